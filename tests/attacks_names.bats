#!/usr/bin/env bats
# Attacks on the name that a server's certificate must carry: who may advertise one daemon in a pool, sends the requests for
# another to a host of his own, which has a good certificate. Beside each attack stands a control in the same place.
# shellcheck disable=SC2030,SC2031,SC2034,SC2153,SC2154 # settings of one test; variables of loopback.bash and of start_pool
load events

setup() {
  own_folders
  export _CONDOR_SEC_TOKEN_DIRECTORY=$HOME/tokens.d _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=false
  export _CONDOR_SEC_KNOWN_HOSTS=$PWD/known_hosts
  authenticate_by SSL
}

# host NAME OPTION...: a server with a certificate for that name, which everybody trusts; PORT is where it is
host() {
  start_pool "$PWD/$1" --methods SSL --token "$TOKEN" --auto-approve --certificate-name "$@"
  PORT=$LOOPBACK_PORT
  cat "$LOOPBACK_CA" >>cas.pem
}

# collector AD...: the pool's own, which knows daemons by these ads
collector() {
  local ads=()
  while (($# > 0)); do
    ads+=(--ad "$1")
    shift
  done
  host localhost "${ads[@]}"
  HERE=localhost:$PORT
  export _CONDOR_AUTH_SSL_CLIENT_CAFILE=$PWD/cas.pem
}

# asked ARGUMENT...: asks for a token, of the pool unless the arguments say of whom
asked() {
  local order=(-identity alice@own.test -pool "$HERE")
  [[ " $* " != *' -pool '* ]] || order=(-identity alice@own.test)
  [[ " $* " != *' -resume '* ]] || order=()
  request "${order[@]}" "$@"
}

# starts HOST: how many requests it got
starts() { grep -c '^start' "$1/events" || :; }

# reaches HOST ARGUMENT...: the request goes there; kept_from HOST ARGUMENT...: it goes nowhere
reaches() {
  local before
  before=$(starts "$1")
  asked "${@:2}"
  assert_status 0
  (($(starts "$1") > before))
}
kept_from() {
  local before
  before=$(starts "$1")
  asked "${@:2}"
  assert_status 4
  [[ $(starts "$1") == "$before" ]]
  lacks "$BATS_TEST_TMPDIR/stdout" "$TOKEN"
}

# says TEXT...: each is on stderr
says() {
  local text
  for text; do
    grep -qF -e "$text" "$BATS_TEST_TMPDIR/stderr" || { cat "$BATS_TEST_TMPDIR/stderr" && return 1; }
  done
}

# by EVENT: the certificate's name and whose word it is
by() { field "$1" '[.certificate_name, .certificate_name_from] | map(. // "none") | join(", from ")'; }

# ---- Whose name it is ----

@test "the certificate of a daemon given with -name must carry the typed name, whatever its ad says" {
  host evil.test
  local rogue="<127.0.0.1:$PORT?alias=evil.test>"
  collector "Type=Scheduler;Name=s1@submit.test;Machine=submit.test;MyAddress=$rogue" \
    "Type=Scheduler;Name=s2@submit.test;Machine=evil.test;MyAddress=${rogue%?alias*}>" \
    "Type=DaemonMaster;Name=submit.test;Machine=submit.test;MyAddress=$rogue"
  kept_from evil.test -type schedd -name s1@submit.test
  says 'the certificate is not for submit.test'
  kept_from evil.test -type schedd -name s2@submit.test
  kept_from evil.test -type master -name submit.test
  _CONDOR_SCHEDD_HOST=s1@submit.test _CONDOR_COLLECTOR_HOST=$HERE kept_from evil.test -type schedd -pool ''
  # Who asks for that host, gets there.
  reaches evil.test -type any -name "$rogue"
}

@test "a daemon that was named is reached where its certificate says so, whatever its ad does" {
  host submit.test
  local honest="<127.0.0.1:$PORT?alias=other.test>"
  collector "Type=Scheduler;Name=s1@submit.test;Machine=other.test;MyAddress=$honest" \
    "Type=Scheduler;Name=submit.test;Machine=other.test;MyAddress=$honest"
  reaches submit.test -json -type schedd -name s1@submit.test
  [[ $(by issued) == 'submit.test, from command line' ]]
  lacks "$BATS_TEST_TMPDIR/stderr" 'The collector supplied'
  reaches submit.test -type schedd -name submit.test
  export _CONDOR_COLLECTOR_HOST=$HERE _CONDOR_SCHEDD_HOST=s1@submit.test
  reaches submit.test -json -type schedd -pool ''
  [[ $(by issued) == 'submit.test, from configuration' ]]
}

@test "where no host was named, the ad's is taken, and both people and scripts are told" {
  local what
  host node.test
  collector "Type=Negotiator;Name=negotiator;Machine=node.test;MyAddress=<127.0.0.1:$PORT>" \
    "Type=Scheduler;Name=s1;Machine=x.test;MyAddress=<127.0.0.1:$PORT?alias=node.test>"
  for what in '-type negotiator' '-type schedd' '-type schedd -name s1'; do
    # shellcheck disable=SC2086
    reaches node.test -json $what
    [[ $(by issued) == 'node.test, from collector' ]]
    says "The certificate must be valid for node.test. The collector supplied this name"
    # shellcheck disable=SC2086
    reaches node.test -quiet $what
    [[ ! -s $BATS_TEST_TMPDIR/stderr ]]
  done
}

@test "a short name is a host's if the name service knows it, or DEFAULT_DOMAIN_NAME completes it" {
  host evil.test
  collector "Type=DaemonMaster;Name=localhost;Machine=localhost;MyAddress=<127.0.0.1:$PORT?alias=evil.test>" \
    "Type=Scheduler;Name=submit.test;Machine=submit.test;MyAddress=<127.0.0.1:$PORT?alias=evil.test>"
  kept_from evil.test -type master -name localhost
  says 'the certificate is not for localhost'
  _CONDOR_DEFAULT_DOMAIN_NAME='test' kept_from evil.test -type schedd -name submit
  says 'the certificate is not for submit.test'
  host submit.test
  collector "Type=Scheduler;Name=submit.test;Machine=x.test;MyAddress=<127.0.0.1:$PORT?alias=x.test>" \
    "Type=DaemonMaster;Name=nowhere;Machine=nowhere;MyAddress=<127.0.0.1:$PORT?alias=submit.test>"
  _CONDOR_DEFAULT_DOMAIN_NAME='test' reaches submit.test -json -type schedd -name submit
  [[ $(by issued) == 'submit.test, from command line' ]]
  # What nobody knows is only the daemon's name.
  reaches submit.test -json -type master -name nowhere
  [[ $(by issued) == 'submit.test, from collector' ]]
}

@test "the name of the collector is the one that was typed or configured" {
  local text
  host cm.test
  export _CONDOR_AUTH_SSL_CLIENT_CAFILE=$PWD/cas.pem
  kept_from cm.test -pool "localhost:$PORT"
  reaches cm.test -json -pool "<127.0.0.1:$PORT?alias=cm.test>"
  [[ $(by issued) == 'cm.test, from command line' ]]
  _CONDOR_COLLECTOR_HOST="<127.0.0.1:$PORT?alias=cm.test>" reaches cm.test -json -pool ''
  [[ $(by issued) == 'cm.test, from configuration' ]]
  # A name in front outdoes an alias.
  kept_from cm.test -pool "localhost:$PORT?alias=cm.test"
  # An address alone says none.
  authenticate_by CLAIMTOBE
  start_pool "$PWD/nobody" --methods CLAIMTOBE --token "$TOKEN" --auto-approve
  reaches nobody -json -pool "127.0.0.1:$LOOPBACK_PORT"
  [[ $(by issued) == 'none, from command line' ]]
}

@test "a daemon of this machine has the name in its address file, which is configuration" {
  host submit.test
  local port=$PORT
  collector
  export _CONDOR_SCHEDD_ADDRESS_FILE=$PWD/address _CONDOR_SCHEDD_NAME=s1@submit.test _CONDOR_COLLECTOR_HOST=$HERE
  echo "<127.0.0.1:$port?alias=submit.test>" >address
  reaches submit.test -json -type schedd -pool ''
  [[ $(by issued) == 'submit.test, from configuration' ]]
  echo "<127.0.0.1:$port>" >address
  reaches submit.test -json -type schedd -pool ''
  [[ $(by issued) == 'submit.test, from configuration' ]]
  # Who names the daemon, names the host.
  echo "<127.0.0.1:$port?alias=evil.test>" >address
  reaches submit.test -json -type schedd -name s1@submit.test -pool ''
  [[ $(by issued) == 'submit.test, from command line' ]]
}

@test "this machine's own daemon, looked up at the collector, is on this machine" {
  host evil.test
  local rogue=$PORT
  host me.test
  collector "Type=Scheduler;Name=me.test;Machine=me.test;MyAddress=<127.0.0.1:$PORT?alias=evil.test>" \
    "Type=Scheduler;Name=second@me.test;Machine=me.test;MyAddress=<127.0.0.1:$rogue?alias=evil.test>"
  export _CONDOR_COLLECTOR_HOST=$HERE _CONDOR_NETWORK_HOSTNAME=me.test
  reaches me.test -json -type schedd -pool ''
  [[ $(by issued) == 'me.test, from configuration' ]]
  _CONDOR_SCHEDD_NAME=second kept_from evil.test -type schedd -pool ''
}

# ---- Brokers ----

@test "a broker at the pool's collector has the pool's name, whatever the ad calls it" {
  local contact
  export _CONDOR_AUTH_SSL_CLIENT_CAFILE=$PWD/cas.pem
  # The embedded pool is collector, broker and daemon, so all three have its name.
  for contact in '' '?alias=evil.test' '?sock=collector'; do
    rm -rf cm.test
    host cm.test --ad "Type=Scheduler;Name=s1@cm.test;MyAddress=<127.0.0.1:1?CCBID=127.0.0.1:{port}${contact}%237>"
    reaches cm.test -type schedd -name s1@cm.test -pool "<127.0.0.1:$PORT?alias=cm.test>"
    grep -q '^broker 7' cm.test/events
  done
  # Behind the same shared port there are others.
  rm -rf cm.test
  host cm.test --ad "Type=Scheduler;Name=s1@cm.test;MyAddress=<127.0.0.1:1?CCBID=127.0.0.1:{port}?sock=startd%237>"
  kept_from cm.test -type schedd -name s1@cm.test -pool "<127.0.0.1:$PORT?alias=cm.test>"
}

@test "any other broker has the name in the ad, and its daemon the one that was typed" {
  host broker.test
  local contact="CCBID=127.0.0.1:$PORT?alias=broker.test%237"
  collector "Type=Scheduler;Name=s1@broker.test;MyAddress=<127.0.0.1:1?$contact>" \
    "Type=Scheduler;Name=s1@submit.test;MyAddress=<127.0.0.1:1?$contact&alias=broker.test>" \
    "Type=Scheduler;Name=s2@broker.test;MyAddress=<127.0.0.1:1?${contact/broker/other}>"
  reaches broker.test -type schedd -name s1@broker.test
  says "The certificate must be valid for broker.test. The collector supplied this name"
  kept_from broker.test -type schedd -name s1@submit.test
  says 'the certificate is not for submit.test'
  kept_from broker.test -type schedd -name s2@broker.test
  says 'the certificate is not for other.test'
}

# ---- Requests that are saved ----

@test "a saved request keeps the name, and whose word it is" {
  host evil.test --pretends
  local rogue=$PORT port
  start_pool "$PWD/submit.test" --methods SSL --token "$TOKEN" --approve-after 0 --certificate-name submit.test
  cat "$LOOPBACK_CA" >>cas.pem
  port=$LOOPBACK_PORT PORT=$LOOPBACK_PORT
  collector "Type=Scheduler;Name=s1@submit.test;MyAddress=<127.0.0.1:$PORT?alias=other.test>" \
    "Type=Negotiator;Name=n;Machine=submit.test;MyAddress=<127.0.0.1:$PORT>"
  asked -json -nowait -type negotiator
  [[ $(by enqueued) == 'submit.test, from collector' ]]
  asked -json -nowait -type schedd -name s1@submit.test
  [[ $(by enqueued) == 'submit.test, from command line' ]]
  cp "$BATS_TEST_TMPDIR/stdout" request.json
  asked -json -resume request.json
  assert_status 0
  [[ $(by issued) == 'submit.test, from command line' ]]
  # It stands, whatever the address says.
  asked -json -nowait -type schedd -name s1@submit.test
  sed -E "s/127.0.0.1:$port\?alias=[a-z.]+/127.0.0.1:$rogue?alias=evil.test/" "$BATS_TEST_TMPDIR/stdout" >request.json
  [[ $(jq -r .address request.json) == "<127.0.0.1:$rogue?alias=evil.test>" ]]
  asked -resume request.json
  assert_status 4
  says 'the certificate is not for submit.test'
  [[ $(grep -c '^poll' evil.test/events || :) == 0 ]]
}

@test "a name in a saved request that is none, and an unknown word for whose it is, are refused" {
  local edit
  collector
  start_pool "$PWD/waits" --methods SSL --token "$TOKEN" --approve-after 0 --certificate-name localhost
  cat "$LOOPBACK_CA" >>cas.pem
  asked -json -nowait -pool "localhost:$LOOPBACK_PORT"
  cp "$BATS_TEST_TMPDIR/stdout" request.json
  for edit in '.certificate_name = "a b"' '.certificate_name = "x\u0000y"' '.certificate_name = 7' \
    '.certificate_name_from = "heaven"' '.certificate_name_from = ["command line"]'; do
    jq -c "$edit" request.json >edited.json
    asked -resume edited.json
    assert_status 2
    says 'its "enqueued" event has no valid certificate_name'
  done
  # One of an earlier version does not say.
  jq -c 'del(.certificate_name, .certificate_name_from, .credentials)' request.json >edited.json
  asked -json -resume edited.json
  assert_status 0
  [[ $(by issued) == 'localhost, from command line' ]]
}
