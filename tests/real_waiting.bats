#!/usr/bin/env bats
# What happens while an administrator is awaited, at real pools.
load real

setup_file() { every_pool auto-approve off; }

one_session() {
  on "$1"
  authenticate_by SSL
  start -pool "$HERE" "${PENDING[@]}" -debug:D_SECURITY
  await_id
  await_line 'Resuming the session for command 60048: AUTHORIZED' 3
  pool approve "$id" >/dev/null 2>&1
  await_end
  assert_status 0
  assert_pending_claims "$BATS_TEST_TMPDIR/stdout"
  [[ $(grep -c 'Authenticated with SSL' "$BATS_TEST_TMPDIR/stderr") == 1 ]]
  [[ $(grep -c 'Our policy' "$BATS_TEST_TMPDIR/stderr") == 1 ]]
}

@test "stable: a wait of some polls authenticates once and resumes the session each time" { one_session stable; }
@test "testing: a wait of some polls authenticates once and resumes the session each time" { one_session testing; }

restarted() {
  on "$1"
  authenticate_by SSL
  start -pool "$HERE" "${PENDING[@]}" -debug:D_SECURITY
  await_id
  await_line 'Resuming the session for command 60048: AUTHORIZED'
  pool restart-collector 2>/dev/null
  await_line 'Authenticated with SSL' 2
  await_end
  [[ ! -s $BATS_TEST_TMPDIR/stdout ]]
  # The golden is of what a user sees, for whom nobody narrates sessions. Whether a poll met the collector while it was
  # away is a matter of moments; if one did, its answer may have been the token.
  sed -i -e '/(D_SECURITY)/d' -e '/^Cannot reach the pool (/d' -e '/^The pool is reachable again/d' \
    -e 's/, or the reply with the token was lost\./\./' "$BATS_TEST_TMPDIR/record"
  assert_pool_golden restarted
}

@test "stable: after a restart of the pool the client authenticates again, and reports that the request is lost" { restarted stable; }
@test "testing: after a restart of the pool the client authenticates again, and reports that the request is lost" { restarted testing; }

# approve_when_reachable: the administrator, too, has to wait for the pool
approve_when_reachable() {
  local deadline=$((SECONDS + EVENTUALLY))
  until pool approve "$id" >/dev/null 2>&1; do
    ((SECONDS < deadline))
    sleep 0.05
  done
}

# The shared port goes away, so connections are refused while the collector lives on; the master, stopped meanwhile, can
# bring it back only when told.
unreachable_for_a_while() {
  on "$1"
  authenticate_by SSL
  start -pool "$HERE" "${PENDING[@]}"
  await_id
  hold condor_master
  signal KILL condor_shared_port
  await_line '^Cannot reach the pool'
  let_go
  approve_when_reachable
  await_end
  assert_status 0
  assert_is_token "$BATS_TEST_TMPDIR/stdout"
  assert_pending_claims "$BATS_TEST_TMPDIR/stdout"
  sed -i -E 's/^eyJ.*/<TOKEN>/' "$BATS_TEST_TMPDIR/record" # its claims have been checked
  assert_pool_golden unreachable_for_a_while
}

@test "stable: an unreachable pool is retried, and the token arrives" { unreachable_for_a_while stable; }
@test "testing: an unreachable pool is retried, and the token arrives" { unreachable_for_a_while testing; }

# interrupted RELEASE SIGNAL STATUS: within two seconds, though the next poll may be due just then
interrupted() {
  local began
  on "$1"
  authenticate_by SSL
  AS_PROCESS=1 start -pool "$HERE" "${PENDING[@]}"
  await_id
  began=$EPOCHREALTIME
  kill "-$2" "$(java_process)"
  await_end
  assert_status "$3"
  ((${EPOCHREALTIME/./} - ${began/./} < 2000000))
  [[ ! -s $BATS_TEST_TMPDIR/stdout ]]
  diff - <(sed -E "s/\b[0-9]{7}\b/ID/; s/-request-[^ ]*-ID-[0-9a-f]{12}/-request-POOL-ID-HASH/" "$BATS_TEST_TMPDIR/stderr") <<EOF
Token request enqueued.  Ask an administrator to please approve request ID.
Send this to the administrator:

  Please approve HTCondor token request ID:
    Identity:  alice@pool.test
    Limits:    READ
    Lifetime:  600 seconds (10 minutes)
    Client ID: $(id -un)@$(own_host)-...
  On the central manager, as an administrator, run:
    condor_token_request_approve -reqid ID

The request is still pending. To resume: condor_token_request -resume $HOME/.condor/pending-token-request-POOL-ID-HASH.json
EOF
}

@test "stable: Ctrl-C ends the wait at once with status 130 and nothing on stdout" { interrupted stable INT 130; }
@test "testing: Ctrl-C ends the wait at once with status 130 and nothing on stdout" { interrupted testing INT 130; }
@test "stable: SIGTERM ends the wait at once with status 143 and nothing on stdout" { interrupted stable TERM 143; }
@test "testing: SIGTERM ends the wait at once with status 143 and nothing on stdout" { interrupted testing TERM 143; }

# jbang_request ARGUMENT...: the file started as users do, which `request` spares itself
jbang_request() {
  jbang "$TESTS_DIR/../TokenRequest.java" "$@" >"$BATS_TEST_TMPDIR/stdout" 2>"$BATS_TEST_TMPDIR/stderr" </dev/null
}

by_jbang() {
  on "$1"
  authenticate_by SSL
  background jbang_request -pool "$HERE" "${PENDING[@]}"
  await_id
  pool approve "$id" >/dev/null 2>&1
  await_end
  assert_status 0
  assert_is_token "$BATS_TEST_TMPDIR/stdout"
  assert_pending_claims "$BATS_TEST_TMPDIR/stdout"
}

@test "stable: the file is run by jbang, as users do" { by_jbang stable; }
@test "testing: the file is run by jbang, as users do" { by_jbang testing; }
