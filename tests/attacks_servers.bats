#!/usr/bin/env bats
# Which servers a client accepts, ALLOW_CLIENT and DENY_CLIENT: one that the settings refuse is told nothing after the
# handshake, wherever it is met. Each refusal is beside the same request without it. That the lists mean what HTCondor means
# is in real_attacks_servers.bats.
# shellcheck disable=SC2030,SC2031,SC2034,SC2153 # settings of one test; variables of loopback.bash
load events

setup() {
  own_folders
  export _CONDOR_SEC_TOKEN_DIRECTORY=$HOME/tokens.d _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=false
  authenticate_by CLAIMTOBE
}

teardown() { stop_loopback_pool; }

# asked STATUS ARGUMENT...: a request that ends so; what the pool did is in its log from here on
asked() {
  : >"$LOOPBACK_LOG"
  request "${@:2}"
  assert_status "$1"
}

# refused_by NAME VALUE ARGUMENT...: with that setting the request is refused, and the pool, after a login, has been told
# nothing; without, it brings the token
refused_by() {
  asked 0 "${@:3}"
  (($(events '^(start|poll|query|broker)') > 0))
  with_setting "$1" "$2" asked 4 "${@:3}"
  says "$1 = $2 (environment variable _CONDOR_$1) "
  (($(events ^authenticated) > 0))
  [[ $(events '^(start|poll|query|broker)') == 0 ]]
  [[ ! -s $BATS_TEST_TMPDIR/stdout ]]
}

# with_setting NAME VALUE COMMAND...
with_setting() {
  export "_CONDOR_$1=$2"
  "${@:3}"
  unset "_CONDOR_$1"
}

# says TEXT...: each is on stderr
says() {
  local text
  for text; do
    grep -qF -e "$text" "$BATS_TEST_TMPDIR/stderr" || { cat "$BATS_TEST_TMPDIR/record" && return 1; }
  done
}

pool_of() { pool_with --methods CLAIMTOBE --auto-approve --token "$TOKEN" "$@"; }

@test "a pool that DENY_CLIENT denies, or ALLOW_CLIENT does not allow, gets no request" {
  pool_of
  refused_by DENY_CLIENT '*' -pool "$HERE" -identity alice@own.test
  says "The settings do not accept the server 'unauthenticated@unmapped/127.0.0.1'."
  refused_by DENY_DEFAULT '*@unmapped/127.0.0.1' -pool "$HERE" -identity alice@own.test
  refused_by ALLOW_CLIENT 192.0.2.7 -pool "$HERE" -identity alice@own.test
  refused_by ALLOW_CLIENT_TOOL 'condor@password' -pool "$HERE" -identity alice@own.test
}

@test "whatever a file sets is shown with its line" {
  pool_of
  printf '%s\n' '# who' 'DENY_CLIENT = 127.0.0.0/8' >"$HOME/config"
  CONDOR_CONFIG=$HOME/config asked 4 -pool "$HERE" -identity alice@own.test
  says "DENY_CLIENT = 127.0.0.0/8 ($HOME/config:2) denies this server."
  printf '%s\n' '# who' 'DENY_CLIENT = 192.0.2.0/24' >"$HOME/config"
  CONDOR_CONFIG=$HOME/config asked 0 -pool "$HERE" -identity alice@own.test
}

@test "a collector gets no query, and what it would have answered is not used" {
  pool_of --ad "Type=Scheduler;Name=s1@cm.test;Machine=cm.test;MyAddress=<127.0.0.1:{port}?alias=localhost&sock=s1>"
  refused_by DENY_CLIENT '*' -pool "$HERE" -type schedd -name s1@cm.test -identity alice@own.test
}

@test "a broker gets no request for a connection" {
  pool_of
  refused_by DENY_CLIENT localhost -pool "<127.0.0.1:1?CCBID=127.0.0.1:$LOOPBACK_PORT%237&alias=localhost>" \
    -identity alice@own.test
}

@test "a request that is resumed is not asked about" {
  pool_with --methods CLAIMTOBE --token "$TOKEN" --approve-after 1
  request -json -nowait -pool "$HERE" -identity alice@own.test
  assert_status 0
  cp "$BATS_TEST_TMPDIR/stdout" saved.json
  with_setting DENY_CLIENT '127.*' asked 4 -resume saved.json
  says 'DENY_CLIENT = 127.* (environment variable _CONDOR_DENY_CLIENT) denies this server.'
  [[ $(events ^poll) == 0 ]]
  asked 0 -resume saved.json
  (($(events ^poll) > 0))
}

@test "who shows another certificate than the map allows gets nothing" {
  authenticate_by SSL
  pool_with --methods SSL --auto-approve --token "$TOKEN"
  printf '%s\n' 'SSL "^/CN=(.*)$" \1@map.test' >map
  export _CONDOR_CERTIFICATE_MAPFILE=$PWD/map
  with_setting ALLOW_CLIENT localhost@map.test asked 0 -pool "$HERE" -identity alice@own.test
  refused_by ALLOW_CLIENT other@map.test -pool "$HERE" -identity alice@own.test
  refused_by DENY_CLIENT '*@map.test' -pool "$HERE" -identity alice@own.test
}

@test "a list that cannot be evaluated refuses, if what can be does not decide" {
  authenticate_by SSL
  pool_with --methods SSL --auto-approve --token "$TOKEN"
  refused_by ALLOW_CLIENT +friends -pool "$HERE" -identity alice@own.test
  says 'ALLOW_CLIENT = +friends (environment variable _CONDOR_ALLOW_CLIENT) cannot be evaluated: '
  refused_by DENY_CLIENT +strangers -pool "$HERE" -identity alice@own.test
  refused_by DENY_CLIENT 10.0.0.0/none -pool "$HERE" -identity alice@own.test
  with_setting ALLOW_CLIENT 127.0.0.0/8 asked 0 -pool "$HERE" -identity alice@own.test
  refused_by ALLOW_CLIENT 126.0.0.0/8 -pool "$HERE" -identity alice@own.test
  refused_by ALLOW_CLIENT 255.0.0.0/8 -pool "$HERE" -identity alice@own.test
  refused_by ALLOW_CLIENT 127.0.0.2/31 -pool "$HERE" -identity alice@own.test
  refused_by ALLOW_CLIENT '@unmapped*/*' -pool "$HERE" -identity alice@own.test # not at the beginning
  with_setting ALLOW_CLIENT '+friends, 127.*' asked 0 -pool "$HERE" -identity alice@own.test
  _CONDOR_NO_DNS=true refused_by DENY_CLIENT elsewhere.test -pool "$HERE" -identity alice@own.test

  # A map: that is not there, that others can change and is somebody else's, that has what Java does not know.
  export _CONDOR_CERTIFICATE_MAPFILE=$PWD/map
  with_setting ALLOW_CLIENT '127.*' asked 0 -pool "$HERE" -identity alice@own.test
  with_setting DENY_CLIENT bad@map.test asked 4 -pool "$HERE" -identity alice@own.test
  local text
  for text in 'SSL (?|a|b) x@map.test' '@include other'; do
    echo "$text" >map
    with_setting DENY_CLIENT bad@map.test asked 4 -pool "$HERE" -identity alice@own.test
    says 'cannot be evaluated: '
  done
  echo 'SSL none x@map.test' >map
  with_setting DENY_CLIENT bad@map.test asked 0 -pool "$HERE" -identity alice@own.test
}

@test "a map that another user has made or can change is not believed" {
  ((EUID == 0)) || skip 'only root can make files of others'
  authenticate_by SSL
  pool_with --methods SSL --auto-approve --token "$TOKEN"
  echo 'SSL .* good@map.test' >map
  export _CONDOR_CERTIFICATE_MAPFILE=$PWD/map
  with_setting ALLOW_CLIENT good@map.test asked 0 -pool "$HERE" -identity alice@own.test
  chown 65534 map
  with_setting ALLOW_CLIENT good@map.test asked 4 -pool "$HERE" -identity alice@own.test
  says 'cannot be evaluated: '
}
