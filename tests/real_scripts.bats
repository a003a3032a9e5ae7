#!/usr/bin/env bats
# What a script relies on, at real pools: JSON, waits that survive, the verdict on the token, daemons of every kind, and
# the examples.
load real_events
load command

setup_file() { every_pool auto-approve off; }

teardown() {
  end_client
  let_go
  [[ -z ${placed-} ]] || rm -f "$placed"
  # Settings and rules of a test's own, taken back.
  [[ -z ${configured-} ]] || configure
  [[ -z ${ruled-} ]] || pool auto-approve off 2>/dev/null
}

# ---- The story ----

approved_as_told() {
  at "$1"
  approved -strict "${PENDING[@]}"
  assert_status 0
  keep_token token
  assert_pending_claims token
  [[ $(told issued '[.claims.sub, .claims.scope, .claims.exp - .claims.iat, .warnings, .signature]') == \
    '["alice@pool.test",["condor:/READ"],600,[],"unverified"]' ]]
  # The claims are those of the token, as anybody can read them.
  assert_claims token "{sub, iss, iat, exp, jti} == $(told issued '.claims | {sub, iss, iat, exp, jti}')"
  [[ $(told enqueued '[.server_version | contains(" '"$POOL_VERSION"' ")]') == '[true]' ]]
  nothing_pending
  assert_events_golden approved
}

@test "stable: with the command from the enqueued event the administrator approves the request, and the token is as requested" { approved_as_told stable; }
@test "testing: with the command from the enqueued event the administrator approves the request, and the token is as requested" { approved_as_told testing; }

# The user's way. A line that is held back would make the loop wait for ever, and the command with it.
pipeline() {
  at "$1"
  local events=$BATS_TEST_TMPDIR/stdout
  timeout "$ENDED_WITHIN" jbang -R-Duser.home="$HOME" "$TESTS_DIR/../TokenRequest.java" -json -pool "$HERE" "${PENDING[@]}" \
    2>"$BATS_TEST_TMPDIR/stderr" </dev/null | while read -r line; do
    printf '%s\n' "$line" >>"$events"
    [[ $(jq -r .event <<<"$line") != enqueued ]] || approve_as_told
  done
  [[ ${PIPESTATUS[*]} == '0 0' ]]
  "$TESTS_DIR/validate" --exit 0 "$events"
  [[ $(jq -r .event "$events" | paste -sd ' ') == 'enqueued issued' ]]
  keep_token token
  assert_pending_claims token
}

@test "stable: a loop over the lines of jbang TokenRequest.java -json approves the request from within" { pipeline stable; }
@test "testing: a loop over the lines of jbang TokenRequest.java -json approves the request from within" { pipeline testing; }

approved_by_rule() {
  at "$1"
  ruled=yes
  pool auto-approve on 2>/dev/null
  request -json -nowait -pool "$HERE" "${AUTO_APPROVED[@]}"
  assert_status 0
  [[ $(jq -r .event "$BATS_TEST_TMPDIR/stdout") == issued && $(told issued .request_id) == null ]]
  keep_token token
  assert_auto_approved_claims token
  nothing_pending
  assert_events_golden approved_by_rule
}

@test "stable: a token that a rule approves is issued at once, even with -nowait" { approved_by_rule stable; }
@test "testing: a token that a rule approves is issued at once, even with -nowait" { approved_by_rule testing; }

# ---- A wait that survives ----

killed() {
  at "$1"
  AS_PROCESS=1 start -json -pool "$HERE" "${PENDING[@]}"
  await_told enqueued
  await_state
  kill_client
  [[ $(stat -c %a "$state") == 600 ]]
  diff "$BATS_TEST_TMPDIR/stdout" "$state"
  pool approve "$id" >/dev/null 2>&1
  request -json -resume "$state"
  assert_status 0
  [[ $(told issued .request_id) == "$id" ]]
  keep_token token
  assert_pending_claims token
  nothing_pending
  assert_events_golden killed
}

@test "stable: a killed wait is resumed from its saved request, and the token arrives" { killed stable; }
@test "testing: a killed wait is resumed from its saved request, and the token arrives" { killed testing; }

killed_with_output_kept() {
  at "$1"
  AS_PROCESS=1 start -json -verbose -pool "$HERE" "${PENDING[@]}"
  await_told waiting
  await_state
  kill_client
  mv "$BATS_TEST_TMPDIR/stdout" output
  rm "$state" # as on another machine
  pool approve "$id" >/dev/null 2>&1
  request -resume output -token mine
  assert_status 0
  [[ ! -s $BATS_TEST_TMPDIR/stdout ]]
  assert_is_token "$_CONDOR_SEC_TOKEN_DIRECTORY/mine"
  assert_pending_claims "$_CONDOR_SEC_TOKEN_DIRECTORY/mine"
  nothing_pending
}

@test "stable: a killed wait is resumed from its printed line" { killed_with_output_kept stable; }
@test "testing: a killed wait is resumed from its printed line" { killed_with_output_kept testing; }

enqueued_only() {
  at "$1"
  request -nowait -json -pool "$HERE" "${PENDING[@]}"
  assert_status 0
  [[ $(jq -r .event "$BATS_TEST_TMPDIR/stdout") == enqueued ]]
  nothing_pending
  cp "$BATS_TEST_TMPDIR/stdout" output
  request -resume output -timeout 0
  assert_status 6
  [[ ! -s $BATS_TEST_TMPDIR/stdout ]]
  cp output "$BATS_TEST_TMPDIR/stdout"
  approve_as_told
  input=output
  request -resume - -file here
  assert_status 0
  [[ $(stat -c %a here) == 600 ]]
  assert_is_token here
  assert_pending_claims here
}

@test "stable: submitting and waiting can be two commands, whenever the approval comes" { enqueued_only stable; }
@test "testing: submitting and waiting can be two commands, whenever the approval comes" { enqueued_only testing; }

# The polls may use another method than the request; but a request that began bound does not continue unbound.
resumed_by_another_method() {
  at "$1"
  authenticate_by CLAIMTOBE
  request -nowait -json -pool "$HERE" "${PENDING[@]}"
  [[ $(told enqueued '[.method, .session]') == '["CLAIMTOBE","unbound"]' ]]
  mv "$BATS_TEST_TMPDIR/stdout" by_claimtobe
  authenticate_by SSL
  request -nowait -json -pool "$HERE" "${PENDING[@]}"
  [[ $(told enqueued '[.method, .session]') == '["SSL","bound"]' ]]
  mv "$BATS_TEST_TMPDIR/stdout" by_ssl
  for id in $(jq -r .request_id by_claimtobe by_ssl); do
    pool approve "$id" >/dev/null 2>&1
  done

  request -resume by_claimtobe
  assert_status 0
  assert_pending_claims "$BATS_TEST_TMPDIR/stdout"
  authenticate_by CLAIMTOBE
  start -resume by_ssl
  await_end
  assert_status 4
  [[ ! -s $BATS_TEST_TMPDIR/stdout ]]
  authenticate_by SSL
  request -resume by_ssl
  assert_status 0
  assert_pending_claims "$BATS_TEST_TMPDIR/stdout"
}

@test "stable: a request is resumed with another method, but never with a weaker one" { resumed_by_another_method stable; }
@test "testing: a request is resumed with another method, but never with a weaker one" { resumed_by_another_method testing; }

# interrupted RELEASE SIGNAL STATUS: the signal in lower case, after which the golden is named
interrupted() {
  local command
  at "$1"
  AS_PROCESS=1 start -json -pool "$HERE" "${PENDING[@]}" -file 'my token'
  await_told enqueued
  await_state
  kill "-${2#sig}" "$(java_process)"
  await_end
  assert_status "$3"
  [[ $(told failed '[.code, .exit, .request_id, .retryable]') == "[\"interrupted\",$3,\"$id\",true]" ]]
  command=$(sed -nE 's/^The request is still pending. To resume: condor_token_request (.*)/\1/p' \
    "$BATS_TEST_TMPDIR/stderr")
  [[ $(told failed .hint) == "condor_token_request $command" ]]
  assert_events_golden "$2"
  pool approve "$id" >/dev/null 2>&1
  eval "request $command" # the quotes are for a shell
  assert_status 0
  assert_is_token 'my token'
  assert_pending_claims 'my token'
  [[ $(told issued .file) == "$PWD/my token" ]]
  nothing_pending
}

@test "stable: Ctrl-C leaves the request pending, and the command that is printed then brings the token" { interrupted stable sigint 130; }
@test "testing: Ctrl-C leaves the request pending, and the command that is printed then brings the token" { interrupted testing sigint 130; }
@test "stable: SIGHUP leaves the request pending, and the command that is printed then brings the token" { interrupted stable sighup 129; }
@test "testing: SIGHUP leaves the request pending, and the command that is printed then brings the token" { interrupted testing sighup 129; }
@test "stable: SIGTERM leaves the request pending, and the command that is printed then brings the token" { interrupted stable sigterm 143; }
@test "testing: SIGTERM leaves the request pending, and the command that is printed then brings the token" { interrupted testing sigterm 143; }

forgotten() {
  at "$1"
  start -json -pool "$HERE" "${PENDING[@]}"
  await_told enqueued
  await_state
  pool restart-collector 2>/dev/null
  await_end
  assert_status 5
  [[ $(told failed '[.code, .exit, .request_id, .retryable]') == "[\"request_unknown\",5,\"$id\",true]" ]]
  nothing_pending
  # Whether a poll met the collector while it was away is a matter of moments; if one did, its answer may have been the
  # token.
  sed -i -e '/^Cannot reach the pool (/d' -e '/^The pool is reachable again/d' -e 's/, or the reply with the token was lost\./\./' \
    "$BATS_TEST_TMPDIR/record"
  assert_events_golden forgotten
}

@test "stable: a restarted collector has lost the request, which ends the command" { forgotten stable; }
@test "testing: a restarted collector has lost the request, which ends the command" { forgotten testing; }

resubmitted() {
  local first
  at "$1"
  start -json -resubmit -pool "$HERE" "${PENDING[@]}"
  await_told enqueued
  first=$id
  [[ $(told enqueued 'has("replaces")') == false ]]
  pool restart-collector 2>/dev/null
  await_told enqueued 2
  [[ $id != "$first" && $(told enqueued .replaces) == "$first" ]]
  approve_as_told
  await_end
  assert_status 0
  [[ $(told issued .request_id) == "$id" ]]
  keep_token token
  assert_pending_claims token
  nothing_pending
  sed -i -e '/^Cannot reach the pool (/d' -e '/^The pool is reachable again/d' "$BATS_TEST_TMPDIR/record" # as above
  assert_events_golden resubmitted
}

@test "stable: with -resubmit the request is submitted again after a restart of the collector, and the token arrives" { resubmitted stable; }
@test "testing: with -resubmit the request is submitted again after a restart of the collector, and the token arrives" { resubmitted testing; }

# ---- The verdict on the token ----

verified() {
  local order identity level
  at "$1"
  request_and_approve -verify -pool "$HERE" "${PENDING[@]}"
  assert_status 0
  assert_pending_claims "$BATS_TEST_TMPDIR/stdout"
  sed -i -E 's/^eyJ.*/<TOKEN>/' "$BATS_TEST_TMPDIR/record" # its claims have been checked
  assert_pool_golden verified
  # The first is good for one thing; the second for nothing but to log in, since alice may not; the third not for READ.
  for order in condor@pool.test:ADVERTISE_STARTD alice@pool.test:ADVERTISE_STARTD alice@pool.test:ALLOW; do
    identity=${order%:*} level=${order#*:}
    approved -verify -identity "$identity" -authz "$level" -lifetime 600
    assert_status 0
    [[ $(told issued .claims.scope) == "[\"condor:/$level\"]" ]]
    [[ $(told verified '[.request_id, .identity, .method]') == "[\"$id\",\"$identity\",\"IDTOKENS\"]" ]]
    [[ $(told verified .address) == "$(told enqueued .address)" ]]
  done
  assert_events_golden verified_events
}

@test "stable: -verify prints the identity that the pool sees, whatever the token's scope" { verified stable; }
@test "testing: -verify prints the identity that the pool sees, whatever the token's scope" { verified testing; }

rejected() {
  at "$1"
  configure 'SEC_DEFAULT_AUTHENTICATION_METHODS = FS, SSL'
  approved -verify "${PENDING[@]}"
  assert_status 4
  [[ $(told failed '[.code, .exit]') == '["token_rejected",4]' ]]
  keep_token token # nevertheless
  assert_pending_claims token
  assert_events_golden rejected
}

@test "stable: a token that the pool rejects is delivered, and the command fails" { rejected stable; }
@test "testing: a token that the pool rejects is delivered, and the command fails" { rejected testing; }

# signed_as_told STATE: the reported state of the signature
signed_as_told() {
  approved "${PENDING[@]}" "${@:2}"
  [[ $(told issued .signature) == "$1" ]]
}

signature() {
  local other=$HOME/other
  at "$1"
  signed_as_told unverified
  [[ $(told issued .warnings) == '[]' ]]
  # As root on the central manager
  export _CONDOR_SEC_PASSWORD_DIRECTORY=$POOL_ROOT/etc/condor/passwords.d
  signed_as_told verified -strict
  assert_status 0
  export _CONDOR_SEC_PASSWORD_DIRECTORY=$HOME/passwords.d
  export _CONDOR_SEC_TOKEN_POOL_SIGNING_KEY_FILE=$POOL_ROOT/etc/condor/passwords.d/POOL
  signed_as_told verified -strict
  assert_status 0
  # Another pool's, which is as random
  mkdir -p "$other/etc/condor/passwords.d"
  (umask 077 && head -c 64 /dev/urandom >"$other/etc/condor/passwords.d/POOL")
  export _CONDOR_SEC_TOKEN_POOL_SIGNING_KEY_FILE=$other/etc/condor/passwords.d/POOL
  signed_as_told unverified -strict
  assert_status 1
  [[ $(told issued '.warnings | length') == 1 ]]
  sed -i 's|<TMP>/home/other|<OTHER POOL>|g' "$BATS_TEST_TMPDIR/record"
  unset _CONDOR_SEC_TOKEN_POOL_SIGNING_KEY_FILE # would show what has just been taken out
  assert_events_golden other_key
}

@test "stable: a user who can read the pool's signing key sees that the signature is verified" { signature stable; }
@test "testing: a user who can read the pool's signing key sees that the signature is verified" { signature testing; }

narrowed() {
  at "$1"
  configure 'SEC_TOKEN_REQUEST_LIMITS = READ' 'SEC_ISSUED_TOKEN_EXPIRATION = 300'
  approved "${PENDING[@]}" -authz WRITE
  assert_status 0
  [[ $(told issued .warnings) == '["the token lacks authorization WRITE.","the token'"'"'s lifetime is 300 s, not 600 s as requested."]' ]]
  keep_token token
  assert_claims token '.scope == "condor:/READ" and .exp - .iat == 300'
  assert_events_golden narrowed

  approved -strict -identity alice@pool.test
  assert_status 1
  keep_token token
  [[ $(told issued .warnings) == '["the token is limited to READ; the request had no limit."]' ]]
  [[ $(told failed '[.code, .exit]') == '["not_as_requested",1]' ]]
  assert_events_golden narrowed_strictly
}

@test "stable: a pool that grants less than requested gets a warning, and with -strict the command fails" { narrowed stable; }
@test "testing: a pool that grants less than requested gets a warning, and with -strict the command fails" { narrowed testing; }

# ---- Other daemons ----

# from_daemon TYPE ARGUMENT...: the token comes from such a daemon, and is approved there
from_daemon() {
  local type=$1
  start -json "${PENDING[@]}" -type "$@"
  await_told enqueued
  [[ $(told enqueued .daemon.type) == "$type" ]]
  approve_as_told
  await_end
  assert_status 0
  keep_token token
  assert_pending_claims token
}

by_name() {
  local address
  at "$1"
  configure "MASTER_NAME = m1@$POOL_HOST" "SCHEDD_NAME = s1@$POOL_HOST" "STARTD_NAME = e1@$POOL_HOST" "NEGOTIATOR_NAME = n1@$POOL_HOST"
  await_daemons DaemonMaster Scheduler StartD Machine Negotiator
  from_daemon collector -name "$HERE"
  from_daemon master -name "m1@$POOL_HOST" -pool "$HERE"
  assert_events_golden by_name
  from_daemon schedd -name "s1@$POOL_HOST" -pool "$HERE"
  from_daemon startd -name "e1@$POOL_HOST" -pool "$HERE"
  from_daemon negotiator -name "n1@$POOL_HOST" -pool "$HERE"
  # The collector has nothing to do with it, nor has the name when the wait is taken up.
  request -nowait -json -type schedd -name "S1@${POOL_HOST^^}" -pool "$HERE" "${PENDING[@]}"
  assert_status 0
  address=$(told enqueued .address)
  [[ $(pool list) == '[]' ]]
  approve_as_told
  mv "$BATS_TEST_TMPDIR/stdout" output
  request -resume output
  assert_status 0
  assert_pending_claims "$BATS_TEST_TMPDIR/stdout"
  # The address does as well as the name.
  from_daemon schedd -name "$address"
  [[ $(told enqueued .address) == "$address" ]]

  request -json -type master -name "m2@$POOL_HOST" -pool "$HERE" "${PENDING[@]}"
  assert_status 3
  assert_events_golden no_such_daemon
}

@test "stable: master, schedd, startd, negotiator and collector issue tokens, found by their names" { by_name stable; }
@test "testing: master, schedd, startd, negotiator and collector issue tokens, found by their names" { by_name testing; }

# ---- The examples ----

# background_script NAME ARGUMENT...: an example, to be waited for by `await_end`
background_script() { background run_script_with_status "$@"; }

# await_output PATTERN: sets line to the first of the script's output that matches
await_output() {
  local deadline=$((SECONDS + EVENTUALLY))
  until line=$(cat "$BATS_TEST_TMPDIR/stdout" "$BATS_TEST_TMPDIR/stderr" 2>/dev/null | grep -Em 1 -- "$1"); do
    if ! kill -0 "$client" 2>/dev/null || ((SECONDS >= deadline)); then
      cat "$BATS_TEST_TMPDIR/stdout" "$BATS_TEST_TMPDIR/stderr"
      return 1
    fi
    sleep 0.02
  done
}

ensured() {
  local order first id
  at "$1"
  order=(-ensure -pool "$HERE" "${PENDING[@]}" -file token -timeout 0)
  request "${order[@]}"
  assert_status 6
  id=$(sed -nE 's/.*please approve request ([0-9]{7})\.$/\1/p' "$BATS_TEST_TMPDIR/stderr")
  request "${order[@]}"
  assert_status 6
  [[ $(pool list | jq length) == 1 ]]
  pool approve "$id" >/dev/null 2>&1
  request "${order[@]}"
  assert_status 0
  assert_is_token token
  assert_pending_claims token
  first=$(<token)
  # Where no network is, not even loopback, a connection would fail.
  settings=(unshare --net)
  request "${order[@]}"
  assert_status 0
  request "${order[@]}" -check
  assert_status 0
  settings=()
  [[ $(<token) == "$first" ]]
  # Near its end: 500 of its 600 seconds before. The old one stays until the new one is there.
  request "${order[@]}" -renew-before 300 -json
  [[ $(jq -r .event "$BATS_TEST_TMPDIR/stdout") == current ]]
  rm .token.record # then one connection learns the trust domain
  request "${order[@]}"
  assert_status 0
  [[ $(jq -r .trust_domain .token.record) == pool.test ]]
  jq -c '.authz = ["WRITE"]' .token.record >record && cat record >.token.record
  request "${order[@]}" -strict -authz WRITE
  assert_status 6
  [[ $(<token) == "$first" ]]
  id=$(sed -nE 's/.*please approve request ([0-9]{7})\.$/\1/p' "$BATS_TEST_TMPDIR/stderr")
  pool approve "$id" >/dev/null 2>&1
  request "${order[@]}" -authz WRITE -verify
  assert_status 0
  [[ $(<token) != "$first" ]]
  request "${order[@]}" -authz WRITE -verify
  assert_status 0
  grep -q '^Verified: ' "$BATS_TEST_TMPDIR/stderr"
  nothing_pending
}

@test "stable: -ensure asks once, delivers, makes no connection for a current token, and renews it" { ensured stable; }
@test "testing: -ensure asks once, delivers, makes no connection for a current token, and renews it" { ensured testing; }

# pool_tool: the beginning of a script that runs a tool in the pool
pool_tool() { printf '#!/usr/bin/env bash\nRELEASE=%q\n%s\nin_pool ' "$RELEASE" "$(declare -f pool in_pool)"; }

# The chroot has no Java: the script runs beside it, and what it calls of HTCondor, runs in there.
node_bootstrap() {
  at "$1"
  unset _CONDOR_SEC_TOKEN_DIRECTORY
  put_command_on_path
  put_on_path condor_config_val <<<"$(pool_tool) condor_config_val \"\$@\" | sed s:^:${POOL_ROOT@Q}:"
  put_on_path condor_reconfig <<<"$(pool_tool) condor_reconfig"
  placed=$(condor_config_val SEC_TOKEN_SYSTEM_DIRECTORY)/${POOL_HOST}_$POOL_PORT

  background_script node-bootstrap.sh "$HERE" -identity condor@pool.test -owner root:root -mode 400
  await_output 'please approve request [0-9]{7}\.$'
  id=${line//[!0-9]/}
  pool approve "$id" >/dev/null 2>&1
  await_end
  assert_status 0
  grep -E '^Verified: .* accepts the token as condor@pool\.test \(IDTOKENS\)\.$' "$BATS_TEST_TMPDIR/stderr"
  grep -E '^Sent "Reconfig" command to ' "$BATS_TEST_TMPDIR/stdout"
  assert_is_token "$placed"
  assert_claims "$placed" '.sub == "condor@pool.test" and .scope == "condor:/ADVERTISE_STARTD condor:/ADVERTISE_MASTER"'
  [[ $(stat -c '%U:%G %a' "$placed") == 'root:root 400' ]]
  pool ping "$placed" ADVERTISE_STARTD | grep -Eq 'Remote Mapping: +condor@pool\.test$'
  # The daemons find it where it is.
  in_pool env _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS=IDTOKENS _CONDOR_SEC_PASSWORD_DIRECTORY=/none condor_ping -quiet \
    -type collector ADVERTISE_MASTER

  cp -p "$placed" before
  run_script node-bootstrap.sh "$HERE" -identity condor@pool.test -owner root:root -mode 400
  assert_status 0
  grep -q ' is current\.' "$BATS_TEST_TMPDIR/stderr"
  cmp before "$placed"
}

@test "stable: a node gets the token for its daemons and configures them once" { node_bootstrap stable; }
@test "testing: a node gets the token for its daemons and configures them once" { node_bootstrap testing; }
