#!/usr/bin/env bats
# Where things are as on macOS. Not tried on a real one.
# shellcheck disable=SC2016 # $ in the language of the configuration, and of a script
# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # settings of one test; environment and properties are for macos.bash
load macos

setup_file() {
  start_mac
  pool_with --methods CLAIMTOBE,SSL --approve-after 0 --token "$TOKEN"
  export LOOPBACK_CA
}
teardown_file() { end_mac; }

setup() { mac_folders; }

teardown() {
  stop_loopback_pool
  [[ -z ${client-} ]] || kill -KILL "$client" 2>/dev/null || :
}

got_token() { printf '%s\n' "$TOKEN" | cmp - "${1-$BATS_TEST_TMPDIR/stdout}"; }

ask_pool() {
  request -pool "$HERE" -identity alice@own.test "$@"
  assert_status 0
}

by_ssl() { environment+=(_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS=SSL); }

QUESTION="Please type 'yes', 'no' or the fingerprint:"

@test "a whole run: the request, the wait, the token, and no file is left" {
  [[ ! -e $MAC/proc && -L $MAC/tmp && -L $MAC/etc && -L $MAC/var ]]
  ask_pool
  got_token
  grep -qx 'Token request enqueued.  Ask an administrator to please approve request 6108900.' "$BATS_TEST_TMPDIR/stderr"
  [[ -z $(find "$MAC/Users/alice" -type f) ]]
}

@test "the machine's name in the client ID is that of the kernel, and the user's his own" {
  ask_pool
  grep -q "^    Client ID: alice@$MAC_NAME-" "$BATS_TEST_TMPDIR/stderr" || { cat "$BATS_TEST_TMPDIR/stderr" && return 1; }
  # A variable does not count.
  settings=(HOSTNAME=other.test)
  ask_pool
  grep -q "^    Client ID: alice@$MAC_NAME-" "$BATS_TEST_TMPDIR/stderr"
}

@test "-token writes into the home below /Users, -file over the links of the root folder" {
  local file
  ask_pool -token name
  diff - <(cd "$MAC/Users/alice" && stat -c '%a %u %n' .condor .condor/tokens.d .condor/tokens.d/name) <<'END'
700 501 .condor
700 501 .condor/tokens.d
600 501 .condor/tokens.d/name
END
  got_token "$MAC/Users/alice/.condor/tokens.d/name"
  mkdir -m 700 "$MAC"/private/{tmp,var/tmp}/mine
  chown 501:20 "$MAC"/private/{tmp,var/tmp}/mine
  for file in /tmp/mine/token /var/tmp/mine/token token; do
    ask_pool -file "$file"
  done
  got_token "$MAC/private/tmp/mine/token"
  got_token "$MAC/private/var/tmp/mine/token"
  got_token "$MAC/Users/alice/token"
}

@test "the question about a certificate is asked at a terminal, and the answer recorded" {
  by_ssl
  mac_terminal -pool "$HERE" -identity alice@own.test
  until_shown "$QUESTION"
  printf 'yes\r' >&"$KEYBOARD"
  at_its_end
  [[ $status == 0 ]] || { cat shown && return 1; }
  [[ $(<"$MAC/Users/alice/.condor/known_hosts") == 'localhost SSL '* ]]
  ask_pool
}

@test "without a terminal nothing is asked" {
  by_ssl
  request -pool "$HERE" -identity alice@own.test
  assert_status 4
  lacks "$BATS_TEST_TMPDIR/stderr" "$QUESTION"
  [[ ! -e $MAC/Users/alice/.condor/known_hosts ]]
}

@test "no program of the current folder or of PATH asks whether it is a terminal" {
  mkdir "$MAC/Users/alice/programs"
  printf '#!/bin/sh\necho "$0" >>/tmp/started\n' | tee "$MAC/Users/alice/programs/test" >"$MAC/Users/alice/programs/hostname"
  chmod 755 "$MAC"/Users/alice/programs/*
  by_ssl
  settings=(PATH=.:/Users/alice/programs:/usr/bin:/bin)
  there=$MAC_HOME/programs request -pool "$HERE" -identity alice@own.test
  assert_status 4
  [[ ! -e $MAC/private/tmp/started ]]
}

@test "SIGINT leaves a request that the printed command resumes" {
  local command
  pool_with --methods CLAIMTOBE --approve-on "$PWD/approved" --token "$TOKEN"
  start -pool "$HERE" -identity alice@own.test
  await_line '^Token request enqueued'
  mac_send INT
  await_end
  [[ $status == 130 ]]
  command=$(printed_command)
  [[ $command == 'condor_token_request -resume /Users/alice/.condor/pending-token-request-'* ]]
  [[ $(stat -c '%a %u' "$MAC${command##* }") == '600 501' ]]
  touch approved
  request -resume "${command##* }"
  assert_status 0
  got_token
  [[ -z $(find "$MAC/Users/alice" -type f) ]]
}

@test "the bearer token in /tmp/bt_u501 is found, and only the user's own" {
  local ca=/Users/alice/ca.pem
  pool_with --methods SCITOKENS --auto-approve --token "$TOKEN"
  cp "$LOOPBACK_CA" "$MAC$ca"
  environment+=(_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS=SCITOKENS "_CONDOR_AUTH_SSL_CLIENT_CAFILE=$ca")
  handmade_token '{"sub":"alice","aud":"ANY"}' >"$MAC/private/tmp/bt_u501"
  chmod 600 "$MAC/private/tmp/bt_u501"
  request -pool "$HERE" -identity alice@own.test # it is root's
  [[ $status != 0 && $(events ^bearer-token) == 0 ]]
  chown 501:20 "$MAC/private/tmp/bt_u501"
  ask_pool
  [[ $(events ^bearer-token) == 1 ]]
}

@test "the configuration knows the user's number and the system's name" {
  settings=('_CONDOR_X=$(REAL_UID) $(REAL_GID) $(OPSYS)')
  request -config X
  assert_status 0
  [[ $(head -n 1 "$BATS_TEST_TMPDIR/stdout") == 'X = 501 20 macOS' ]] || { cat "$BATS_TEST_TMPDIR/stdout" && return 1; }
}

# keychain STORE...: Java's provider for macOS, with these stores; the pool's CA is in each of them
keychain() {
  local IFS=,
  cp "$LOOPBACK_CA" "$MAC/Users/alice/keychain.pem"
  properties=(-Dtest.roots=/Users/alice/keychain.pem "-Dtest.stores=$*")
}

@test "the CAs of the Keychain count beside Java's own, and -debug says so" {
  environment+=(_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS=SSL _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=true)
  request -pool "$HERE" -identity alice@own.test
  assert_status 4
  keychain KeychainStore # as JDK 17 has it
  ask_pool -debug
  grep -q KeychainStore "$BATS_TEST_TMPDIR/stderr"
  keychain KeychainStore KeychainStore-ROOT
  ask_pool
  # A JDK whose provider lacks both is no reason to fail.
  keychain Other
  request -pool "$HERE" -identity alice@own.test
  assert_status 4
  lacks "$BATS_TEST_TMPDIR/stderr" 'Internal error'
}

@test "the CAs in /etc/ssl/cert.pem count, over the link" {
  environment+=(_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS=SSL _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=true)
  cp "$LOOPBACK_CA" "$MAC/etc/ssl/cert.pem"
  ask_pool
}
