#!/usr/bin/env bats
# Peers, name servers and users who keep the tool waiting: it ends, when it should. Each attack stands beside a control.
# shellcheck disable=SC2030,SC2031,SC2034,SC2153,SC2154 # settings of one test; variables of loopback.bash and namespace.bash
load terminal
load namespace

setup() {
  setup_terminal
  export _CONDOR_SEC_KNOWN_HOSTS=$PWD/known_hosts
  authenticate_by CLAIMTOBE
}

teardown() {
  close_network
  stop_loopback_pool
}

pool_of() { pool_here --methods CLAIMTOBE --token "$TOKEN" --auto-approve "$@"; }

# got_token: the control's end
got_token() {
  assert_status 0
  diff "$BATS_TEST_TMPDIR/stdout" - <<<"$TOKEN"
}

# gave_up: the attack's end: not reached, in time
gave_up() {
  assert_status "${1-3}"
  [[ ! -s $BATS_TEST_TMPDIR/stdout ]]
  lacks "$BATS_TEST_TMPDIR/stderr" Exception java. $'\tat '
}

# ---- Addresses ----

@test "a thousand addresses at which nobody answers take no longer than -timeout" {
  own_network
  pool_of
  request -pool "<127.0.0.1:$LOOPBACK_PORT?addrs=$(dark 5)+127.0.0.1-$LOOPBACK_PORT>" -timeout 20
  got_token
  request -pool "<192.0.2.2:9618?addrs=$(dark 1000)>" -timeout 3
  gave_up
  grep -q 'cannot connect to\|Cannot connect to' "$BATS_TEST_TMPDIR/stderr"
}

@test "a thousand addresses that a collector gives for a daemon take no longer than -timeout" {
  own_network
  pool_of --ad "Type=Scheduler;Name=good;MyAddress=<127.0.0.1:{port}?addrs=$(dark 2)+127.0.0.1-{port}>" \
    --ad "Type=Scheduler;Name=bad;MyAddress=<192.0.2.2:9618?addrs=$(dark 1000)>"
  request -pool "$HERE" -type schedd -name good -timeout 20
  got_token
  request -pool "$HERE" -type schedd -name bad -timeout 3
  gave_up
  [[ $(events '^lookup') -ge 2 ]]
}

@test "by default they take a minute" {
  export REQUEST_MAIN=Harness HARNESS_SPEED=30
  own_network
  request -pool "<192.0.2.2:9618?addrs=$(dark 1000)>"
  gave_up
}

@test "an address that answers behind ten that do not is connected to within seconds" {
  own_network
  pool_of
  request -pool "<192.0.2.2:9618?addrs=$(dark 10)+127.0.0.1-$LOOPBACK_PORT>"
  got_token
  [[ $(events '^connection') == 1 ]] # those that lost are gone
}

@test "a family of addresses that does not work is no obstacle" {
  own_network
  pool_of
  export _CONDOR_PREFER_OUTBOUND_IPV4=false
  request -pool "<192.0.2.2:9618?addrs=127.0.0.1-$LOOPBACK_PORT+[2001-db8--9]-9618+[2001-db8--8]-9618>" -timeout 4
  got_token
}

@test "an address that refuses makes room for the next at once" {
  own_network
  pool_of
  request -pool "<127.0.0.1:1?addrs=$(seq -s + 1 60 | sed "s/[0-9]*/127.0.0.1-&/g")+127.0.0.1-$LOOPBACK_PORT>" -timeout 10
  got_token
}

@test "an address that would have to be looked up is none" {
  own_network
  pool_of
  request -pool "<127.0.0.1:1?addrs=999.1.1.1-9618+1.2.3.4.5-9618+[abc]-9618+[1234-]-9618+010.0.0.1-1+127.0.0.1-$LOOPBACK_PORT>"
  got_token
}

# ---- Brokers and collectors ----

# behind CONTACT...: the address of a daemon that is reached through these brokers
behind() {
  local list
  printf -v list '%s%%20' "${@//#/%23}"
  printf '<127.0.0.1:1?CCBID=%s&alias=localhost>' "${list%\%20}"
}

@test "a broker that says nothing leaves the next one a share of the time" {
  local mute
  export REQUEST_MAIN=Harness HARNESS_SPEED=10
  pool_of --silent
  mute=$LOOPBACK_PORT
  start_pool "$BATS_TEST_TMPDIR/second" --methods CLAIMTOBE --token "$TOKEN" --auto-approve
  request -pool "$(behind "127.0.0.1:$mute#1" "127.0.0.1:$LOOPBACK_PORT#7")" -timeout 12
  got_token
}

@test "a thousand brokers at which nobody answers take no longer than -timeout" {
  own_network
  pool_of
  request -pool "$(behind 192.0.2.2:9618#1 192.0.2.3:9618#1 "127.0.0.1:$LOOPBACK_PORT#7")" -timeout 30
  got_token
  mapfile -t brokers < <(dark 1000 | tr + '\n' | sed 's/-/:/; s/$/#1/')
  request -pool "$(behind "${brokers[@]}")" -timeout 3
  gave_up
}

@test "brokers that are names nobody knows of are not looked up one after the other for ever" {
  own_network
  pool_of
  request -pool "$(behind "known.test:$LOOPBACK_PORT#7")" -timeout 20
  got_token
  mapfile -t brokers < <(printf 'broker%d.test:9618#1\n' {1..50})
  request -pool "$(behind "${brokers[@]}")" -timeout 3
  gave_up
}

@test "collectors that say nothing leave time for the one that answers" {
  local silent
  own_network
  pool_of --silent
  silent=127.0.0.1:$LOOPBACK_PORT
  POOL=
  pool_of
  _CONDOR_COLLECTOR_HOST="$silent,$silent,127.0.0.1:$LOOPBACK_PORT" request -timeout 15
  got_token
  [[ $(grep -c '^Skipped ' "$BATS_TEST_TMPDIR/stderr") == 2 ]]
}

# ---- Peers that say nothing, or little ----

@test "a pool that accepts and says nothing is left at the end of -timeout" {
  own_network
  pool_of
  request -pool "$HERE" -timeout 10
  got_token
  pool_of --silent
  settings[3]=15
  request -pool "$HERE" -timeout 2
  gave_up
}

@test "a pool that sends one byte at a time is abandoned when -timeout ends" {
  own_network
  pool_of --dribble 1
  request -pool "$HERE" -timeout 30
  got_token
  pool_of --dribble 500
  settings[3]=15
  request -pool "$HERE" -timeout 3
  gave_up
}

@test "a pool that reads nothing is left at the end of -timeout" {
  local long
  own_network
  in_there sysctl -qw net.ipv4.tcp_wmem='4096 4096 4096' net.ipv4.tcp_rmem='4096 4096 4096'
  long=$(head -c 100000 /dev/zero | tr '\0' a)
  pool_of
  request -pool "$HERE" -identity "$long@own.test" -timeout 30
  got_token
  pool_of --fault deaf
  request -pool "$HERE" -identity "$long@own.test" -timeout 3
  gave_up
  [[ $(events '^deaf') == 1 ]]
}

@test "a poll that gets no answer ends soon after -timeout" {
  own_network
  pool_here --methods CLAIMTOBE --token "$TOKEN" --approve-after 1
  request -pool "$HERE" -timeout 10
  got_token
  pool_here --methods CLAIMTOBE --token "$TOKEN" --hang-poll 1
  settings[3]=20
  request -pool "$HERE" -timeout 2
  gave_up 6
}

@test "a poll that gets no answer is given up long before -timeout, and the next one gets the token" {
  export REQUEST_MAIN=Harness HARNESS_SPEED=30
  pool_here --methods CLAIMTOBE --token "$TOKEN" --hang-poll 1
  request -pool "$HERE" -timeout 600
  got_token
  [[ $(events '^poll') == 2 ]]
}

@test "by default a pool that says nothing is given up after a minute" {
  export REQUEST_MAIN=Harness HARNESS_SPEED=30
  pool_of --silent
  request -pool "$HERE" -timeout 3600
  gave_up
}

@test "the first poll of a resumed request ends with -timeout" {
  own_network
  pool_here --methods CLAIMTOBE --token "$TOKEN" --approve-after 0
  request -pool "$HERE" -json -nowait
  cp "$BATS_TEST_TMPDIR/stdout" request.json
  request -resume request.json -timeout 10
  got_token
  pool_of --silent
  sed -i "s/127.0.0.1:[0-9]*/127.0.0.1:$LOOPBACK_PORT/" request.json
  settings[3]=15
  request -resume request.json -timeout 2
  gave_up 6
}

@test "-timeout 0 gives the first answer its minute" {
  export REQUEST_MAIN=Harness HARNESS_SPEED=30
  own_network
  pool_of --dribble 1
  HARNESS_SPEED=1 request -pool "$HERE" -timeout 0
  got_token
  pool_of --silent
  request -pool "$HERE" -timeout 0
  gave_up
}

# ---- Names ----

@test "a name server that does not answer is not waited for beyond -timeout" {
  own_network
  pool_of
  request -pool "known.test:$LOOPBACK_PORT" -timeout 20
  got_token
  request -pool "dark.test:$LOOPBACK_PORT" -timeout 3
  gave_up
  grep -q 'DNS did not answer in time' "$BATS_TEST_TMPDIR/stderr"
}

@test "the full names of this machine and of a daemon are looked up for a part of the time only" {
  own_network
  pool_of --ad 'Type=Scheduler;Name=shortname;MyAddress=<127.0.0.1:{port}>'
  export _CONDOR_COLLECTOR_HOST=127.0.0.1:$LOOPBACK_PORT
  request -type schedd -timeout 12
  got_token
  request -type schedd -name shortname -timeout 15
  got_token
  request -config FULL_HOSTNAME
  assert_status 0
  grep -q '^FULL_HOSTNAME = lonely$' "$BATS_TEST_TMPDIR/stdout"
}

@test "of several collectors one that cannot be looked up leaves time for the next" {
  own_network
  pool_of
  _CONDOR_COLLECTOR_HOST="dark.test, 127.0.0.1:$LOOPBACK_PORT" request -timeout 12
  got_token
}

# ---- Loops ----

secured() { authenticate_by SSL && pool_here --methods SSL --token "$TOKEN" --auto-approve "$@"; }

@test "TLS that the server never ends is left at once" {
  own_network
  secured
  request -pool "$HERE"
  got_token
  secured --fault ssl-endless
  settings[3]=15
  request -pool "$HERE"
  gave_up 4
  grep -q 'does not complete the' "$BATS_TEST_TMPDIR/stderr"
}

@test "TLS that closes or renegotiates after the key exchange does not make the program spin" {
  local fault version methods
  own_network
  export BEARER_TOKEN=$TOKEN
  for methods in SSL SCITOKENS; do
    authenticate_by "$methods"
    for version in TLSv1.2 TLSv1.3; do
      pool_here --methods "$methods" --token "$TOKEN" --auto-approve --tls "$version"
      request -pool "$HERE" -timeout 20
      got_token
      for fault in ssl-closes ssl-renegotiates ssl-closes,ssl-short-key ssl-renegotiates,ssl-short-key; do
        pool_here --methods "$methods" --token "$TOKEN" --auto-approve --tls "$version" --fault "$fault"
        settings[3]=15
        request -pool "$HERE" -timeout 10
        echo "$methods $version $fault: $status"
        [[ $status != 137 && $status != 1 ]]
      done
    done
  done
}

@test "packets without content and without end are refused" {
  own_network
  export _CONDOR_UID_DOMAIN=own.test # which CLAIMTOBE claims; without it, the silent name service would be asked
  pool_of
  request -pool "$HERE"
  got_token
  pool_of --fault empty-packets
  settings[3]=20
  request -pool "$HERE"
  gave_up 4
}

# ---- Questions ----

@test "a question that nobody answers ends with -timeout, and says which options answer it" {
  authenticate_by SSL
  pool_with --methods SSL --token "$TOKEN" --auto-approve
  unset _CONDOR_AUTH_SSL_CLIENT_CAFILE
  at_terminal -pool "$HERE" -timeout 2
  until_shown "Please type 'yes', 'no' or the fingerprint:"
  at_its_end
  [[ $status == 4 ]]
  grep -q 'the question was not answered' shown
  grep -q -e '-fingerprint [0-9a-f:]*, or -cafile FILE' shown
  # The control: it is answered.
  at_terminal -pool "$HERE" -timeout 60
  until_shown "Please type 'yes', 'no' or the fingerprint:"
  echo yes >&"$KEYBOARD"
  at_its_end
  [[ $status == 0 ]]
  grep -q "$TOKEN" shown
}

# answered_after SECONDS ARGUMENT...: the question is open so long, by the tool's clock, before the answer is yes
answered_after() {
  rm -f ahead known_hosts
  export HARNESS_CLOCK=$PWD/ahead
  TERMINAL_MAIN=Harness at_terminal "${@:2}"
  until_shown "Please type 'yes', 'no' or the fingerprint:"
  echo "$1" >ahead.new
  mv ahead.new ahead
  [[ ${answer-yes} == none ]] || echo "${answer-yes}" >&"$KEYBOARD"
  at_its_end
}

@test "while a question is open the minute stands still, and -timeout does not" {
  authenticate_by SSL
  pool_with --methods SSL --token "$TOKEN" --auto-approve
  unset _CONDOR_AUTH_SSL_CLIENT_CAFILE
  answered_after 600 -pool "$HERE"
  [[ $status == 0 ]]
  answered_after 30 -pool "$HERE" -timeout 0
  [[ $status == 0 ]]
  answer=none answered_after 61 -pool "$HERE" -timeout 0
  [[ $status == 4 ]]
  answer=none answered_after 601 -pool "$HERE" -timeout 600
  [[ $status == 4 ]]
  grep -q 'the question was not answered within the 600 seconds of -timeout' shown
}
