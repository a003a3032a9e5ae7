#!/usr/bin/env bats
# Sessions with BLOWFISH and 3DES, and servers of releases before 9.9, which do not answer a resumption. The bytes are
# checked in wire.bats, real pools in real_logins.bats.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153 # settings of one test; variables of loopback.bash
load events

OLD='$CondorVersion: 8.8.17 Apr 04 2022 BuildID: LoopbackPool $'
RULES=(-identity alice@own.test)

setup() {
  own_folders
  export _CONDOR_SEC_TOKEN_DIRECTORY=$HOME/tokens.d _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=false REQUEST_MAIN=Harness
}

# by METHOD CIPHERS
by() {
  authenticate_by "$1"
  export _CONDOR_SEC_CLIENT_CRYPTO_METHODS=$2
}

says() { grep -qF -e "$1" "$BATS_TEST_TMPDIR/stderr" || { cat "$BATS_TEST_TMPDIR/stderr" && return 1; }; }

@test "a pool with one old cipher issues tokens, bound and unbound, with one warning" {
  local cipher method
  for cipher in BLOWFISH 3DES; do
    for method in SSL CLAIMTOBE; do
      pool_with --methods "$method" --ciphers "$cipher" --token "$TOKEN" --approve-after 2
      by "$method" "$cipher"
      request -pool "$HERE" "${RULES[@]}" -debug:D_SECURITY
      assert_status 0
      diff - "$BATS_TEST_TMPDIR/stdout" <<<"$TOKEN"
      says ", $cipher, for "
      [[ $(grep -c "The old cipher $cipher does not" "$BATS_TEST_TMPDIR/stderr") == 1 ]]
      [[ $(events ^resumed) == 3 && $(events ^policy) == 1 ]]
    done
  done
}

@test "the warning, and the cipher in JSON and in a request that is resumed" {
  pool_with --methods SSL --ciphers 3DES --token "$TOKEN" --approve-after 1
  by SSL TRIPLEDES
  ask -pool "$HERE" "${RULES[@]}"
  assert_status 0
  assert_transcript warning
  request -pool "$HERE" "${RULES[@]}" -json -nowait
  assert_status 0
  [[ $(field enqueued .encryption) == 3DES ]]
  cp "$BATS_TEST_TMPDIR/stdout" request.json
  request -resume request.json -file later
  assert_status 0
  diff - later <<<"$TOKEN"
  sed 's/"3DES"/"ROT13"/' request.json >other.json
  request -resume other.json
  assert_status 2
  says encryption
}

@test "long messages of several packets are one stream" {
  pool_with --methods CLAIMTOBE --ciphers BLOWFISH --auto-approve --long 1500000 \
    --ad "Type=Scheduler;Name=s1@cm.test;Machine=cm.test;Other={long};MyAddress=<127.0.0.1:{port}?alias=localhost>"
  by CLAIMTOBE BLOWFISH
  request -pool "$HERE" -type schedd -name s1@cm.test "${RULES[@]}"
  assert_status 0
}

@test "through a shared port" {
  pool_with --methods CLAIMTOBE --ciphers BLOWFISH --token "$TOKEN" --approve-after 1
  by CLAIMTOBE BLOWFISH
  request -pool "<127.0.0.1:$LOOPBACK_PORT?sock=collector&alias=localhost>" "${RULES[@]}"
  assert_status 0
  (($(events '^shared-port collector') > 1))
}

# ---- When they are offered ----

@test "AES in the list, or nothing in it that is known, means AES alone" {
  local list
  pool_with --methods CLAIMTOBE --ciphers BLOWFISH,3DES,AES --token "$TOKEN" --auto-approve
  authenticate_by CLAIMTOBE
  for list in '' AES 'BLOWFISH, AES' '3DES aes' 'CHACHA20'; do
    _CONDOR_SEC_CLIENT_CRYPTO_METHODS=$list request -pool "$HERE" "${RULES[@]}" -debug:D_SECURITY
    assert_status 0
    says ', AES, for '
    says 'CryptoMethods = "AES"'
    lacks "$BATS_TEST_TMPDIR/stderr" 'The old cipher'
  done
  _CONDOR_SEC_DEFAULT_CRYPTO_METHODS='3DES,BLOWFISH' request -pool "$HERE" "${RULES[@]}" -debug:D_SECURITY
  assert_status 0
  says 'CryptoMethods = "3DES,BLOWFISH"'
  says ', BLOWFISH, for ' # the pool's first
}

@test "what a template writes beside an old cipher counts, and FIPS refuses old ciphers" {
  pool_with --methods CLAIMTOBE --ciphers AES --token "$TOKEN" --auto-approve
  authenticate_by CLAIMTOBE
  # shellcheck disable=SC2016 # a macro of the configuration
  printf '%s\n' 'use security:FIPS' 'SEC_DEFAULT_CRYPTO_METHODS = $(SEC_DEFAULT_CRYPTO_METHODS), BLOWFISH' >condor_config
  CONDOR_CONFIG=$PWD/condor_config request -pool "$HERE" "${RULES[@]}"
  assert_status 0
  printf '%s\n' 'FIPS = true' 'SEC_DEFAULT_CRYPTO_METHODS = 3DES' >condor_config
  CONDOR_CONFIG=$PWD/condor_config request -pool "$HERE" "${RULES[@]}"
  assert_status 2
  says "SEC_DEFAULT_CRYPTO_METHODS = 3DES ($PWD/condor_config:2) is invalid: it must be AES, because FIPS is true"
}

@test "a pool without AES is told apart, and nothing makes the client offer less" {
  pool_with --methods CLAIMTOBE --ciphers BLOWFISH --token "$TOKEN" --auto-approve
  authenticate_by CLAIMTOBE
  request -pool "$HERE" "${RULES[@]}"
  assert_status 4
  says 'CryptoMethods = ; this program requires AES (SEC_CLIENT_CRYPTO_METHODS).'
  [[ $(events ^start) == 0 ]]
}

# ---- Releases before 9.9 ----

@test "a server that answers no resumption is polled without a wait for its answer" {
  local cipher
  for cipher in AES BLOWFISH; do
    pool_with --methods CLAIMTOBE --ciphers "$cipher" --remote-version "$OLD" --token "$TOKEN" --approve-after 3
    by CLAIMTOBE "$cipher"
    request -pool "$HERE" "${RULES[@]}"
    assert_status 0
    diff - "$BATS_TEST_TMPDIR/stdout" <<<"$TOKEN"
    [[ $(events ^resumed) == 4 && $(events ^policy) == 1 ]]
  done
}

@test "an unreadable release counts as an old one" {
  pool_with --methods CLAIMTOBE --remote-version nonsense --token "$TOKEN" --approve-after 2
  by CLAIMTOBE AES
  request -pool "$HERE" "${RULES[@]}"
  assert_status 0
  [[ $(events ^policy) == 1 ]]
}

@test "a connection that such a server closes means that it does not know the session: the client logs in again" {
  pool_with --methods CLAIMTOBE --ciphers BLOWFISH --remote-version "$OLD" --token "$TOKEN" --approve-after 1 --forget-sessions 1
  by CLAIMTOBE BLOWFISH
  request -pool "$HERE" "${RULES[@]}"
  assert_status 0
  [[ $(events ^unknown-session) == 1 && $(events ^policy) == 2 ]]
}
