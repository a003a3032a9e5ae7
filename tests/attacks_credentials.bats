#!/usr/bin/env bats
# Attacks on what others could use as well as the user: a bearer token that lies around, the pool's password. Whoever has a
# good certificate, or a place on the way, wants one. Beside each attack stands a control in the same place.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154 # macros of HTCondor; settings of one test; loopback.bash
load events

setup() {
  own_folders
  export _CONDOR_SEC_TOKEN_DIRECTORY=$HOME/tokens.d _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=false
  export _CONDOR_FS_LOCAL_DIR=$PWD/fs _CONDOR_SEC_PASSWORD_FILE=$PWD/pool_password
  export BEARER_TOKEN=$TOKEN
  (umask 077 && printf '\xae\xcc\xcd\x9c\xa9\xc2\xcc\x8b' >pool_password) # "password", scrambled
}

teardown() {
  stop_loopback_pool
  [[ -z ${network-} ]] || kill "$network"
}

# pool_of METHODS OPTION...: who takes every request at once
pool_of() { pool_with --methods "$1" --token "$TOKEN" --auto-approve "${@:2}"; }

asked() {
  local order=(-identity alice@own.test -pool "$HERE")
  [[ " $* " != *' -pool '* ]] || order=(-identity alice@own.test)
  [[ " $* " != *' -resume '* ]] || order=()
  request "${order[@]}" "$@"
}

# sends KIND ARGUMENT...: the pool gets it; keeps KIND ARGUMENT...: it does not. KIND is "bearer token" or "pool password".
sends() {
  local before
  before=$(got "$1")
  asked "${@:2}"
  assert_status 0
  (($(got "$1") > before))
}
keeps() {
  local before
  before=$(got "$1")
  asked "${@:2}"
  [[ $(got "$1") == "$before" ]]
}
got() { events "$([[ $1 == 'bearer token' ]] && echo '^bearer-token' || echo '^(authenticated|failed) PASSWORD')"; }

# says TEXT...: each is on stderr
says() {
  local text
  for text; do
    grep -qF -e "$text" "$BATS_TEST_TMPDIR/stderr" || { cat "$BATS_TEST_TMPDIR/stderr" && return 1; }
  done
}

# configured LINE...: this host has a configuration of these lines
configured() {
  printf '%s\n' "$@" >condor_config
  export CONDOR_CONFIG=$PWD/condor_config
}

# ---- Only on request ----

@test "the client does not send a bearer token that it merely finds" {
  pool_of SCITOKENS,SSL
  keeps 'bearer token'
  assert_status 0 # by SSL
  [[ $(events '^authenticated SSL') == 1 ]]
  configured 'use security:get_htcondor_idtokens' 'CONDOR_HOST = localhost'
  keeps 'bearer token'
  assert_status 0
  authenticate_by SCITOKENS
  sends 'bearer token'
  pool_of SCITOKENS
  unset _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS
  keeps 'bearer token'
  assert_status 4
  says "SCITOKENS: not used: only a template names it, and a bearer token needs an explicit request; to allow it, name it in SEC_CLIENT_AUTHENTICATION_METHODS ($PWD/condor_config:1)"
  CONDOR_CONFIG=ONLY_ENV keeps 'bearer token'
  says 'SCITOKENS: not used: only the built-in list names it'
}

@test "a method from a template or the built-in list does not become the user's choice by being repeated" {
  local lines
  pool_of SCITOKENS
  for lines in \
    'SEC_DEFAULT_AUTHENTICATION_METHODS = $(SEC_DEFAULT_AUTHENTICATION_METHODS), PASSWORD' \
    'SEC_DEFAULT_AUTHENTICATION_METHODS += PASSWORD' \
    'SEC_CLIENT_AUTHENTICATION_METHODS = $(SEC_DEFAULT_AUTHENTICATION_METHODS), PASSWORD' \
    $'use security:get_htcondor_idtokens\nSEC_CLIENT_AUTHENTICATION_METHODS = $(SEC_CLIENT_AUTHENTICATION_METHODS), PASSWORD' \
    $'use role:get_htcondor_submit\nSEC_CLIENT_AUTHENTICATION_METHODS += ,PASSWORD' \
    $'AUTO_USE_SECURITY_get_htcondor_idtokens = true' \
    $'SEC_CLIENT_AUTHENTICATION_METHODS = SCITOKENS\nuse security:get_htcondor_idtokens' \
    $'SEC_DEFAULT_AUTHENTICATION_METHODS = SCITOKENS\nSEC_CLIENT_AUTHENTICATION_METHODS = SSL' \
    $'TOOL.SEC_CLIENT_AUTHENTICATION_METHODS = SSL\nSEC_CLIENT_AUTHENTICATION_METHODS = SCITOKENS'; do
    configured 'CONDOR_HOST = localhost' "$lines"
    keeps 'bearer token'
    assert_status 4
  done
  for lines in \
    'SEC_DEFAULT_AUTHENTICATION_METHODS = $(SEC_DEFAULT_AUTHENTICATION_METHODS), SCITOKENS' \
    'SEC_DEFAULT_AUTHENTICATION_METHODS += scitoken' \
    $'SEC_DEFAULT_AUTHENTICATION_METHODS = SCITOKENS\nuse security:get_htcondor_idtokens' \
    $'use security:get_htcondor_idtokens\nSEC_CLIENT_AUTHENTICATION_METHODS = $(SEC_CLIENT_AUTHENTICATION_METHODS), SCITOKENS' \
    $'OURS = SSL, SCITOKENS\nSEC_CLIENT_AUTHENTICATION_METHODS = $(OURS)' \
    $'SEC_CLIENT_AUTHENTICATION_METHODS @= end\nSSL\nSCITOKENS\n@end' \
    'TOOL.SEC_CLIENT_AUTHENTICATION_METHODS = SCITOKENS'; do
    configured 'CONDOR_HOST = localhost' "$lines"
    sends 'bearer token'
  done
}

# ---- Only to a name of ours ----

@test "the client does not send a credential to a name from a collector's ad" {
  local evil kind
  start_pool "$PWD/evil" --methods SCITOKENS,PASSWORD --token "$TOKEN" --auto-approve --certificate-name evil.test
  cp "$LOOPBACK_CA" cas.pem
  evil=$LOOPBACK_PORT
  start_pool "$PWD/collector" --methods SSL --ad "Type=Scheduler;Name=s1;MyAddress=<127.0.0.1:$evil?alias=evil.test>" \
    --ad "Type=Negotiator;Name=negotiator;Machine=evil.test;MyAddress=<127.0.0.1:$evil>"
  cat "$LOOPBACK_CA" >>cas.pem
  HERE=localhost:$LOOPBACK_PORT
  export _CONDOR_AUTH_SSL_CLIENT_CAFILE=$PWD/cas.pem LOOPBACK_LOG=$PWD/evil/events
  for kind in 'bearer token:SCITOKENS' 'pool password:PASSWORD'; do
    authenticate_by SSL "${kind#*:}"
    keeps "${kind%:*}" -type schedd
    assert_status 4
    says "${kind#*:}: not used: a ${kind%:*} goes only to a host named on the command line or in the configuration; the collector supplied evil.test"
    keeps "${kind%:*}" -type negotiator
    assert_status 4
    # Who names that host, means it.
    sends "${kind%:*}" -type any -name "<127.0.0.1:$evil?alias=evil.test>"
    _CONDOR_SCHEDD_HOST="<127.0.0.1:$evil?alias=evil.test>" _CONDOR_COLLECTOR_HOST=$HERE sends "${kind%:*}" -type schedd -pool ''
  done
}

@test "PASSWORD accepts an address as the server's name, SCITOKENS does not" {
  pool_of PASSWORD,SCITOKENS
  authenticate_by PASSWORD
  sends 'pool password' -pool "127.0.0.1:$LOOPBACK_PORT"
  authenticate_by SCITOKENS
  keeps 'bearer token' -pool "127.0.0.1:$LOOPBACK_PORT"
  assert_status 4
  export _CONDOR_SSL_SKIP_HOST_CHECK=true
  keeps 'bearer token' -pool "127.0.0.1:$LOOPBACK_PORT"
  assert_status 4
  sends 'bearer token'
}

# ---- A bearer token's own words ----

# bearer_token CLAIMS: puts a token of these claims into the environment
bearer_token() { BEARER_TOKEN=$(handmade_token "$1"); }

@test "an expired bearer token is not sent, and its audience is shown" {
  export REQUEST_MAIN=Harness # so that it is the start of 2026
  pool_of SCITOKENS,SSL
  authenticate_by SCITOKENS
  bearer_token "{\"iss\":\"https://issuer.test\",\"sub\":\"alice\",\"aud\":\"https://cm.test\",\"exp\":$((START - 1))}"
  keeps 'bearer token'
  assert_status 4
  says 'SCITOKENS: the bearer token in BEARER_TOKEN (audience https://cm.test) expired at 2025-12-31T23:59:59Z'
  bearer_token "{\"iss\":\"https://issuer.test\",\"aud\":[\"https://cm.test\",\"ANY\"],\"exp\":$((START + 60))}"
  sends 'bearer token' -verbose
  says 'Credential for localhost: the bearer token in BEARER_TOKEN (audience https://cm.test, ANY).'
  bearer_token '{"sub":"alice"}'
  sends 'bearer token' -verbose
  says 'BEARER_TOKEN (without an audience)'
  # What cannot be read may have expired.
  bearer_token '{"exp":"soon"}'
  keeps 'bearer token'
  says 'SCITOKENS: the bearer token in BEARER_TOKEN (without an audience) is not a readable JSON web token'
}

@test "if the pool refuses a bearer token, the message shows the audience" {
  pool_of SCITOKENS --reject-bearer-token
  authenticate_by SCITOKENS
  bearer_token $'{"aud":"https://cm\\u001b[2J.test"}'
  asked
  assert_status 4
  says 'SCITOKENS: the pool does not accept the token in BEARER_TOKEN (audience https://cm?[2J.test)'
}

# ---- It is said ----

@test "-verbose and JSON say that a credential was used, also by a login that failed" {
  pool_of SCITOKENS,SSL,PASSWORD --reject-bearer-token
  authenticate_by SCITOKENS SSL
  asked -json -verbose
  assert_status 0
  [[ $(field issued '[.method, .credentials[]] | join(" ")') == 'SSL bearer token' ]]
  says 'Credential for localhost: the bearer token in BEARER_TOKEN'
  lacks "$BATS_TEST_TMPDIR/stderr" "${TOKEN#*.}"
  authenticate_by PASSWORD
  asked -json -verbose
  assert_status 0
  [[ $(field issued '[.method, .credentials[]] | join(" ")') == 'PASSWORD pool password' ]]
  says "Credential for localhost: the pool password in $PWD/pool_password."
  authenticate_by SCITOKENS
  asked -json
  assert_status 4
  [[ $(field failed '.credentials | join(" ")') == 'bearer token' ]]
  lacks "$BATS_TEST_TMPDIR/stderr" 'Credential for'
  authenticate_by SSL
  asked -json -verbose
  [[ $(field issued '.credentials | length') == 0 ]]
  lacks "$BATS_TEST_TMPDIR/stderr" 'Credential for'
  pool_with --methods PASSWORD --token "$TOKEN" --approve-after 0
  authenticate_by PASSWORD
  asked -json -nowait
  [[ $(field enqueued '[.method, .session, .credentials[]] | join(" ")') == 'PASSWORD bound pool password' ]]
}

# ---- Requests that are saved ----

# saved: leaves a request of ours in request.json; a waiting one, at a pool that takes credentials
saved() {
  pool_with --methods SCITOKENS,PASSWORD,SSL --token "$TOKEN" --approve-after 0
  authenticate_by SSL
  request -json -nowait -pool "$HERE" -identity alice@own.test
  cp "$BATS_TEST_TMPDIR/stdout" request.json
  chmod 600 request.json
}

@test "the client sends a credential for this user's saved request, or for one from stdin" {
  local kind
  for kind in 'bearer token:SCITOKENS' 'pool password:PASSWORD'; do
    saved
    authenticate_by "${kind#*:}"
    sends "${kind%:*}" -resume request.json
    saved
    authenticate_by "${kind#*:}"
    chmod 644 request.json
    input=$PWD/request.json sends "${kind%:*}" -resume -
  done
}

@test "the client does not send a credential for a saved request that others can write" {
  local kind mode
  for kind in 'bearer token:SCITOKENS' 'pool password:PASSWORD'; do
    for mode in 660 606; do
      saved
      authenticate_by "${kind#*:}"
      chmod "$mode" request.json
      keeps "${kind%:*}" -resume request.json
      assert_status 4
      says "(mode 0$mode), so this program uses no credential for it."
      says "${kind#*:}: not used: a ${kind%:*} goes only to a host named on the command line or in the configuration; localhost comes from a file that other users could have written"
      authenticate_by SSL # which takes none
      keeps "${kind%:*}" -resume request.json
      assert_status 0
    done
  done
}

@test "the client refuses a saved request that belongs to another user" {
  ((EUID == 0)) || skip 'needs root, for the file of another user'
  local kind
  for kind in 'bearer token:SCITOKENS' 'pool password:PASSWORD'; do
    saved
    authenticate_by "${kind#*:}"
    chown 65534 request.json
    keeps "${kind%:*}" -resume request.json
    assert_status 2
    says 'request.json: it belongs to nobody, not to root or this user'
    chown 0 request.json
    sends "${kind%:*}" -resume request.json
  done
}

@test "saving such a request again does not make it trusted" {
  local kept
  saved
  pool_with --methods SCITOKENS,SSL --token "$TOKEN" --approve-on "$PWD/approved" --pretends
  sed -i "s/127.0.0.1:[0-9]*/127.0.0.1:$LOOPBACK_PORT/" request.json
  authenticate_by SSL
  request -json -nowait -pool "$HERE" -identity alice@own.test
  cp "$BATS_TEST_TMPDIR/stdout" request.json
  chmod 666 request.json
  asked -resume request.json -timeout 0
  assert_status 6
  kept=$(state_files)
  [[ $(stat -c %a "$kept") == 600 && $(jq -r .certificate_name_from "$kept") == file ]]
  "$TESTS_DIR/validate" "$kept"
  touch approved
  cp "$kept" ours.json
  authenticate_by SCITOKENS
  keeps 'bearer token' -resume ours.json
  assert_status 4
  says 'from a file that other users could have written'
  chmod 600 request.json
  sends 'bearer token' -resume request.json
}

@test "a saved request does not make a name from an ad trusted" {
  local port
  start_pool "$PWD/schedd" --methods SCITOKENS,PASSWORD,SSL --token "$TOKEN" --approve-after 0 --certificate-name node.test
  cp "$LOOPBACK_CA" cas.pem
  port=$LOOPBACK_PORT
  start_pool "$PWD/collector" --methods SSL --ad "Type=Scheduler;Name=s1;Machine=node.test;MyAddress=<127.0.0.1:$port>" \
    --ad "Type=Scheduler;Name=s1@node.test;Machine=node.test;MyAddress=<127.0.0.1:$port>"
  cat "$LOOPBACK_CA" >>cas.pem
  HERE=localhost:$LOOPBACK_PORT
  export _CONDOR_AUTH_SSL_CLIENT_CAFILE=$PWD/cas.pem LOOPBACK_LOG=$PWD/schedd/events
  authenticate_by SSL
  asked -json -nowait -type schedd -name s1
  cp "$BATS_TEST_TMPDIR/stdout" request.json
  chmod 600 request.json
  for method in SCITOKENS PASSWORD; do
    authenticate_by "$method"
    keeps 'bearer token' -resume request.json
    assert_status 4
    says "the collector supplied node.test"
    # Nor does one of an earlier version.
    jq -c 'del(.certificate_name, .certificate_name_from)' request.json >earlier.json
    chmod 600 earlier.json
    keeps 'bearer token' -resume earlier.json
    assert_status 4
  done
  authenticate_by SSL
  asked -json -nowait -type schedd -name s1@node.test
  cp "$BATS_TEST_TMPDIR/stdout" request.json
  authenticate_by SCITOKENS
  sends 'bearer token' -resume request.json
}

# ---- On the way ----

# far_pool OPTION...: a pool that is not on this machine, as far as its address says; `far` runs a command where it is seen
far_pool() {
  local options line
  ((EUID == 0)) || skip 'needs root, for a network of its own'
  read -ra options <<<"$TOKEN_REQUEST_JAVA_OPTIONS"
  export LOOPBACK_LOG=$BATS_TEST_TMPDIR/far-events
  # shellcheck disable=SC2016
  unshare --net -- sh -c 'ip link set lo up && ip route add local 192.0.2.0/24 dev lo && exec "$@"' sh \
    java "${options[@]}" -cp "$TOKEN_REQUEST_CLASSPATH" tokenrequest.LoopbackPool --listen 192.0.2.7 --token "$TOKEN" \
    --ca-file "$PWD/far-ca.pem" --log "$LOOPBACK_LOG" "$@" >far-pool 2>&1 3>&- &
  network=$!
  await_event '^LOOPBACK_PORT' far-pool
  line=$(<far-pool)
  line=${line#LOOPBACK_PORT=}
  HERE=192.0.2.7:${line%% *}
  export _CONDOR_AUTH_SSL_CLIENT_CAFILE=$PWD/far-ca.pem
  settings=(nsenter --target "$network" --net --)
}

@test "a remote login with the pool's password prints a warning: a man in the middle can keep the pool's side of it" {
  local warning='PASSWORD protects this session, but not the pool'\''s side of the login'
  pool_of PASSWORD
  authenticate_by PASSWORD
  asked -json
  assert_status 0
  [[ $(field issued '.warnings | length') == 0 ]]
  far_pool --methods PASSWORD --auto-approve
  asked -json
  assert_status 0
  says "WARNING: $warning"
  field issued '.warnings[]' | grep -F "$warning"
  [[ $(field issued '[.method, .session] | join(" ")') == 'PASSWORD bound' ]]
}

@test "the client does not offer FS to a pool on another machine; other methods work there as here" {
  far_pool --methods FS,SSL --auto-approve --certificate-name cm.test
  asked -pool "<${HERE}?alias=cm.test>"
  assert_status 0
  [[ $(events '^authenticated SSL') == 1 ]]
  authenticate_by FS
  asked -pool "$HERE"
  assert_status 4
  says 'FS: not used: it works only with servers on this machine'
}
