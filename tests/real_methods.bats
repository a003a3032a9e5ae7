#!/usr/bin/env bats
# Every method of authentication, against real pools: waiting for an administrator and approved by a rule, to each
# destination.
load real

setup_file() {
  # Off first, so that rules and requests of an earlier run are gone.
  every_pool auto-approve off
  every_pool auto-approve on
}

teardown_file() { every_pool auto-approve off; }

# by METHOD: the client offers it and no other
by() {
  method=$1
  authenticate_by "$method"
  [[ $method != FS ]] || allow_fs
  [[ $method != IDTOKENS ]] || log_in_with "$(pool token condor@pool.test)"
  # Like an administrator on the central manager, who can read it.
  [[ $method != PASSWORD ]] || export _CONDOR_SEC_PASSWORD_FILE=$POOL_ROOT/etc/condor/pool_password
}

# made_directory: the token directory is there and nobody else's, and so is what had to be made above it
made_directory() {
  [[ $(stat -c %a "$HOME/made" "$HOME/made/tokens.d") == $'700\n700' ]]
}

pending_by() {
  on "$1"
  by "$2"
  local out=$BATS_TEST_TMPDIR/stdout err=$BATS_TEST_TMPDIR/stderr

  request_and_approve -pool "$HERE" "${PENDING[@]}" -debug
  assert_status 0
  assert_is_token "$out"
  assert_pending_claims "$out"
  assert_no_secrets "$out"
  grep -F "(D_SECURITY) Authenticated with $method as " "$err"
  # The pool itself is the judge of what a token is worth.
  pool ping "$out" READ | grep -Eq 'Remote Mapping: +alice@pool\.test$'

  request_and_approve -pool "$HERE" "${PENDING[@]}" -token mine
  assert_status 0
  [[ ! -s $out && $(stat -c %a "$HOME/made/tokens.d/mine") == 600 ]]
  made_directory
  assert_is_token "$HOME/made/tokens.d/mine"
  assert_pending_claims "$HOME/made/tokens.d/mine"
  assert_no_secrets "$HOME/made/tokens.d/mine"

  request_and_approve -pool "$HERE" "${PENDING[@]}" -file here
  assert_status 0
  [[ ! -s $out && $(stat -c %a here) == 600 ]]
  assert_is_token here
  assert_pending_claims here
  [[ $(ls -A) == $'.here.lock\nhere' ]] # and nothing else is left beside it
}

approved_by_rule() {
  on "$1"
  by "$2"
  local out=$BATS_TEST_TMPDIR/stdout err=$BATS_TEST_TMPDIR/stderr

  request -pool "$HERE" "${AUTO_APPROVED[@]}" -debug
  assert_status 0
  assert_is_token "$out"
  assert_auto_approved_claims "$out"
  assert_no_secrets "$out"
  grep -F "(D_SECURITY) Authenticated with $method as " "$err"
  grep -F 'please approve' "$err" && return 1

  request -pool "$HERE" "${AUTO_APPROVED[@]}" -token mine
  assert_status 0
  [[ ! -s $out && $(<"$err") == 'Token for '*' written to '* && $(stat -c %a "$HOME/made/tokens.d/mine") == 600 ]]
  made_directory
  assert_is_token "$HOME/made/tokens.d/mine"
  assert_auto_approved_claims "$HOME/made/tokens.d/mine"

  request -pool "$HERE" "${AUTO_APPROVED[@]}" -file here
  assert_status 0
  [[ ! -s $out && $(<"$err") == 'Token for '*' written to '* && $(stat -c %a here) == 600 ]]
  assert_is_token here
  assert_auto_approved_claims here
}

@test "stable: SSL brings a token that an administrator approves, to stdout and to files" { pending_by stable SSL; }
@test "testing: SSL brings a token that an administrator approves, to stdout and to files" { pending_by testing SSL; }
@test "stable: IDTOKENS brings a token that an administrator approves" { pending_by stable IDTOKENS; }
@test "testing: IDTOKENS brings a token that an administrator approves" { pending_by testing IDTOKENS; }
@test "stable: FS brings a token that an administrator approves" { pending_by stable FS; }
@test "testing: FS brings a token that an administrator approves" { pending_by testing FS; }
@test "stable: CLAIMTOBE brings a token that an administrator approves" { pending_by stable CLAIMTOBE; }
@test "testing: CLAIMTOBE brings a token that an administrator approves" { pending_by testing CLAIMTOBE; }

@test "stable: SSL brings a token that a rule approves, at once" { approved_by_rule stable SSL; }
@test "testing: SSL brings a token that a rule approves, at once" { approved_by_rule testing SSL; }
@test "stable: IDTOKENS brings a token that a rule approves" { approved_by_rule stable IDTOKENS; }
@test "testing: IDTOKENS brings a token that a rule approves" { approved_by_rule testing IDTOKENS; }
@test "stable: FS brings a token that a rule approves" { approved_by_rule stable FS; }
@test "testing: FS brings a token that a rule approves" { approved_by_rule testing FS; }
@test "stable: PASSWORD brings a token that an administrator approves" { pending_by stable PASSWORD; }
@test "testing: PASSWORD brings a token that an administrator approves" { pending_by testing PASSWORD; }

@test "stable: CLAIMTOBE brings a token that a rule approves" { approved_by_rule stable CLAIMTOBE; }
@test "testing: CLAIMTOBE brings a token that a rule approves" { approved_by_rule testing CLAIMTOBE; }
@test "stable: ANONYMOUS brings a token that a rule approves" { approved_by_rule stable ANONYMOUS; }
@test "testing: ANONYMOUS brings a token that a rule approves" { approved_by_rule testing ANONYMOUS; }

anonymous_pending() {
  on "$1"
  by ANONYMOUS
  start -pool "$HERE" "${PENDING[@]}"
  await_end
  assert_pool_golden "anonymous_pending_$RELEASE" # the two word it differently
}

@test "stable: ANONYMOUS is refused without an approval rule, and the message names the remedy" { anonymous_pending stable; }
@test "testing: ANONYMOUS is refused without an approval rule, and the message names the remedy" { anonymous_pending testing; }

token_is_good_for_another() {
  on "$1"
  by SSL
  request_and_approve -pool "$HERE" -identity alice@pool.test
  assert_status 0
  log_in_with "$(<"$BATS_TEST_TMPDIR/stdout")"
  authenticate_by IDTOKENS
  request_and_approve -pool "$HERE" "${PENDING[@]}" -debug:D_SECURITY
  assert_status 0
  assert_pending_claims "$BATS_TEST_TMPDIR/stdout"
  grep -F 'Authenticated with IDTOKENS as alice@pool.test' "$BATS_TEST_TMPDIR/stderr"
}

@test "stable: a login with the obtained token gets the next token" { token_is_good_for_another stable; }
@test "testing: a login with the obtained token gets the next token" { token_is_good_for_another testing; }

# ---- The default list of methods ----

default_methods() {
  on "$1"
  allow_fs
  request_and_approve -pool "$HERE" "${PENDING[@]}" -debug:D_SECURITY
  assert_status 0
  assert_pending_claims "$BATS_TEST_TMPDIR/stdout"
  # HTCondor 25 takes root for one of its own daemons.
  grep -E 'Authenticated with FS as (root|condor)@pool\.test;' "$BATS_TEST_TMPDIR/stderr"
}

@test "stable: with the CA, and FS allowed without an address, root is recognised on the pool's own machine" { default_methods stable; }
@test "testing: with no setting but the CA, root is recognised on the pool's own machine" { default_methods testing; }

default_without_fs() {
  on "$1"
  request_and_approve -pool "$HERE" "${PENDING[@]}" -debug:D_SECURITY
  assert_status 0
  assert_pending_claims "$BATS_TEST_TMPDIR/stdout"
  grep -F 'FS failed: ' "$BATS_TEST_TMPDIR/stderr"
  grep -F 'Authenticated with SSL as unauthenticated@unmapped; the session is bound' "$BATS_TEST_TMPDIR/stderr"
}

@test "stable: with no setting but the CA, FS is refused, and SSL is used" { default_without_fs stable; }

teardown() {
  end_client
  let_go
  cd / || return
  rm -rf "${OPEN-}"
}

as_ordinary_user() {
  on "$1"
  allow_fs
  become_alice
  request_and_approve -pool "$HERE" "${PENDING[@]}" -token mine -debug:D_SECURITY
  assert_status 0
  grep -F 'Authenticated with FS as alice@pool.test' "$BATS_TEST_TMPDIR/stderr"
  [[ $(stat -c '%u %a' "$HOME/.condor" "$HOME/.condor/tokens.d" "$HOME/.condor/tokens.d/mine") == \
    "$ALICE_UID 700"$'\n'"$ALICE_UID 700"$'\n'"$ALICE_UID 600" ]]
  assert_pending_claims "$HOME/.condor/tokens.d/mine"

  # FS came first; without it, her new token is found where it has just been put.
  authenticate_by IDTOKENS SSL
  request_and_approve -pool "127.0.0.1:$POOL_PORT" "${PENDING[@]}" -debug:D_SECURITY
  assert_status 0
  grep -F 'Authenticated with IDTOKENS as alice@pool.test' "$BATS_TEST_TMPDIR/stderr"
}

@test "stable: an ordinary user needs the CA, and FS allowed without an address, and keeps tokens at home" { as_ordinary_user stable; }
@test "testing: an ordinary user needs no setting but the CA, and keeps tokens at home" { as_ordinary_user testing; }

# A pool of our own cannot ask the issuer of a bearer token; but it goes to the pool, and the next method is tried.
bearer() {
  on "$1"
  echo 'SEC_DEFAULT_AUTHENTICATION_METHODS = SCITOKENS, SSL' | pool configure >/dev/null 2>&1
  authenticate_by SCITOKENS SSL
  export BEARER_TOKEN=eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJodHRwczovL2lzc3Vlci5pbnZhbGlkIn0.c2lnbmF0dXJl
  request -pool "$HERE" "${PENDING[@]}" -timeout 0 -debug:D_SECURITY
  pool configure </dev/null >/dev/null 2>&1
  pool restart-collector 2>/dev/null # HTCondor 23 remembers what it offered
  assert_status 6
  grep -F 'SCITOKENS failed: the pool does not accept the token in BEARER_TOKEN' "$BATS_TEST_TMPDIR/stderr"
  grep -F 'Authenticated with SSL as ' "$BATS_TEST_TMPDIR/stderr"
  ! grep -F "$BEARER_TOKEN" "$BATS_TEST_TMPDIR/stderr"
}

@test "stable: a bearer token is sent over SSL; after its refusal SSL is used" { bearer stable; }
@test "testing: a bearer token is sent over SSL; after its refusal SSL is used" { bearer testing; }
