#!/usr/bin/env bats
# MUNGE, FS_REMOTE and IDTOKENS with the pool's signing key, on the embedded pool, which also plays munged. Attacks are in
# attacks_more_methods.bats.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034 # classes have a $ in their names; settings of one test
load events

RULES=(-identity alice@pool.test -timeout 0)

setup_file() {
  local options
  read -ra options <<<"$TOKEN_REQUEST_JAVA_OPTIONS"
  java "${options[@]}" -cp "$TOKEN_REQUEST_CLASSPATH" tokenrequest.MethodVectors "$TESTS_DIR/fixtures/wire/methods.json" \
    >"$BATS_FILE_TMPDIR/results" || : # the tests say what failed
}

setup() {
  own_folders
  export _CONDOR_SEC_TOKEN_DIRECTORY=$HOME/tokens.d _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=false
  # The path of a socket must be short.
  SOCKETS=$(mktemp -d /tmp/more_methods.XXXXXX)
}

teardown() {
  stop_loopback_pool
  [[ -z ${SOCKETS-} ]] || rm -rf "$SOCKETS"
}

# group NAME: this group of checks ran and passed
group() {
  grep -E "^(not )?ok $1(:|$)" "$BATS_FILE_TMPDIR/results"
  grep -qx "ok $1" "$BATS_FILE_TMPDIR/results"
}

@test "munged's recorded requests, replies and session keys are made and read" { group munged; }
@test "a reply of munged that is cut off or damaged is refused" { group damaged-munged; }
@test "MUNGE sends what the recorded client sent" { group munge-conversation; }
@test "FS_REMOTE creates what a server may ask for, and nothing else" { group fs-remote-names; }

# says TEXT...: each is on stderr
says() {
  local text
  for text; do
    grep -qF -e "$text" "$BATS_TEST_TMPDIR/stderr" || { cat "$BATS_TEST_TMPDIR/record" && return 1; }
  done
}

# reason METHOD TEXT: the line about the method begins so
reason() {
  grep -F "  $1: $2" "$BATS_TEST_TMPDIR/stderr" || { cat "$BATS_TEST_TMPDIR/record" && return 1; }
}

# ---- MUNGE ----

# munged_with OPTION...: a pool that takes MUNGE, and the munged of this machine; a user of the pool's daemons who is known
munged_with() {
  pool_with --munged "$SOCKETS/munged" "$@"
  export _CONDOR_MUNGE_SOCKET=$SOCKETS/munged _CONDOR_MUNGE_POOL_UID=0
}

by_munge() {
  authenticate_by MUNGE
  request -pool "$HERE" "${RULES[@]}" "$@"
}

@test "MUNGE logs in over a bound session, and its credential is for the user of the pool's daemons" {
  munged_with --methods MUNGE --auto-approve --munge-uid 105
  _CONDOR_MUNGE_POOL_UID=105 by_munge -json -debug:D_SECURITY
  assert_status 0
  says "Authenticated with MUNGE as $(id -un)@pool.test; the session is bound"
  [[ $(field issued '[.method, .session, .credentials[0]] | join(" ")') == 'MUNGE bound MUNGE credential' ]]
  [[ $(events '^policy 60047 bound MUNGE$') == 1 ]]
  lacks "$BATS_TEST_TMPDIR/stderr" MUNGE: WARNING
  # The other way round, the pool cannot decode it, and the command names the setting.
  _CONDOR_MUNGE_POOL_UID=106 by_munge
  assert_status 4
  reason MUNGE 'the pool did not accept the credential: '
  says 'only user 106 can decrypt it' 'set MUNGE_POOL_UID'
}

@test "the pool's user is that of CONDOR_IDS; where it is unknown, every user of the site can read along, and a warning says so" {
  munged_with --methods MUNGE --auto-approve --munge-uid 105
  unset _CONDOR_MUNGE_POOL_UID
  CONDOR_IDS=105.106 by_munge
  assert_status 0
  lacks "$BATS_TEST_TMPDIR/stderr" WARNING
  _CONDOR_CONDOR_IDS=106.105 by_munge
  assert_status 4
  _CONDOR_MUNGE_POOL_UID=any CONDOR_IDS=106.106 by_munge
  assert_status 0
  says 'WARNING: With MUNGE every user of the site could read this session' 'Set MUNGE_POOL_UID.'
  for number in x -1 4294967295 99999999999; do
    _CONDOR_MUNGE_POOL_UID=$number by_munge
    assert_status 2
    says "MUNGE_POOL_UID = $number (environment variable _CONDOR_MUNGE_POOL_UID) is invalid"
  done
}

@test "MUNGE waits for approval, and another command resumes the wait" {
  munged_with --methods MUNGE --approve-after 1 --token "$TOKEN" --forget-sessions
  authenticate_by MUNGE
  request -pool "$HERE" -identity alice@own.test -json -nowait
  assert_status 0
  mv "$BATS_TEST_TMPDIR/stdout" saved
  REQUEST_MAIN=Harness request -resume saved
  assert_status 0
  diff "$BATS_TEST_TMPDIR/stdout" - <<<"$TOKEN"
  (($(events '^authenticated MUNGE bound') >= 3))
}

@test "the environment's MUNGE_SOCKET comes before the configuration's" {
  munged_with --methods MUNGE --auto-approve
  _CONDOR_MUNGE_SOCKET=$SOCKETS/none MUNGE_SOCKET=$SOCKETS/munged by_munge
  assert_status 0
  MUNGE_SOCKET=$SOCKETS/none by_munge
  assert_status 4
}

@test "a munged that is not there, not running, out of reach or silent is told apart" {
  munged_with --methods MUNGE
  by_munge # the control
  assert_status 6
  _CONDOR_MUNGE_SOCKET=$SOCKETS/none by_munge
  reason MUNGE "no munged here: $SOCKETS/none does not exist; start munge.service, or set MUNGE_SOCKET"
  touch "$SOCKETS/file"
  _CONDOR_MUNGE_SOCKET=$SOCKETS/file by_munge
  reason MUNGE "munged's socket $SOCKETS/file is a regular file, not a socket"
  python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$SOCKETS/dead"
  _CONDOR_MUNGE_SOCKET=$SOCKETS/dead by_munge
  reason MUNGE "munged is not running: $SOCKETS/dead has no listener"
  munged_with --methods MUNGE --munged-does close
  by_munge
  reason MUNGE "munged at $SOCKETS/munged closed the connection without an answer"
  munged_with --methods MUNGE --munged-does error
  by_munge
  reason MUNGE "munged at $SOCKETS/munged answered error 15: Too?[31m late"
}

@test "a silent munged takes five seconds, and then the next method is tried" {
  munged_with --methods MUNGE,PASSWORD --auto-approve --munged-does silence
  authenticate_by MUNGE PASSWORD
  export _CONDOR_SEC_PASSWORD_FILE=$PWD/pool_password
  (umask 077 && printf '\xae\xcc\xcd\x9c\xa9\xc2\xcc\x8b' >"$_CONDOR_SEC_PASSWORD_FILE")
  SECONDS=0
  request -pool "$HERE" "${RULES[@]}" -debug:D_SECURITY
  assert_status 0
  ((SECONDS >= 4 && SECONDS <= 9))
  says "MUNGE failed: munged at $SOCKETS/munged does not answer; it may be stopped" 'Authenticated with PASSWORD'
}

@test "a user who may not connect to munged is told so" {
  ((EUID == 0)) || skip "another user's programs can be started by root only"
  local jars
  munged_with --methods MUNGE
  chmod 700 "$SOCKETS/munged"
  chmod 755 "$SOCKETS"
  mkdir "$SOCKETS/jars" "$SOCKETS/home"
  chown 65534 "$SOCKETS/home"
  IFS=: read -ra jars <<<"$TOKEN_REQUEST_CLASSPATH"
  cp -u "${jars[@]}" "$SOCKETS/jars" 2>/dev/null
  chmod -R a+rX "$SOCKETS/jars"
  TOKEN_REQUEST_CLASSPATH="$SOCKETS/jars/*" HOME=$SOCKETS/home
  cd "$SOCKETS/home" || return
  unset _CONDOR_AUTH_SSL_CLIENT_CAFILE
  settings=(setpriv --reuid=65534 --regid=65534 --clear-groups --)
  AS_PROCESS=1 by_munge
  assert_status 4
  reason MUNGE "this user may not connect to munged's socket $SOCKETS/munged"
}

@test "what does not speak munged's protocol is not believed, whatever it sends" {
  local deed
  for deed in bad-magic bad-version bad-type huge-length negative-length short-body long-body bad-text-length \
    bad-credential-length no-credential strange-credential; do
    munged_with --methods MUNGE --munged-does "$deed"
    by_munge
    assert_status 4
    reason MUNGE "what listens at $SOCKETS/munged does not speak munged's protocol"
  done
  munged_with --methods MUNGE --munged-does cut-off
  by_munge
  reason MUNGE "munged at $SOCKETS/munged closed the connection without an answer"
}

@test "the pool's faults in MUNGE end it: munge-refuses, munge-out-of-step, munge-other-key, munge-long-verdict" {
  munged_with --methods MUNGE --fault munge-refuses
  by_munge
  assert_status 4
  reason MUNGE 'the pool did not accept the credential: both machines need the same munge.key'
  munged_with --methods MUNGE --fault munge-out-of-step
  by_munge
  assert_status 4
  munged_with --methods MUNGE --fault munge-other-key
  by_munge
  assert_status 4
  munged_with --methods MUNGE --fault munge-long-verdict
  by_munge
  assert_status 4
  [[ $(events '^start') == 0 ]]
}

# ---- FS_REMOTE ----

# remote_with OPTION...: a pool that takes FS_REMOTE, in a directory that it shares with this machine
remote_with() {
  mkdir -p shared
  chmod 1777 shared
  pool_with --fs-dir "$PWD/shared" "$@"
  export _CONDOR_FS_REMOTE_DIR=$PWD/shared
}

by_fs_remote() {
  authenticate_by FS_REMOTE
  request -pool "$HERE" "${RULES[@]}" "$@"
}

@test "FS_REMOTE logs in over an unbound session, and removes its directory" {
  local names
  for names in shared-port extension address; do
    remote_with --methods FS_REMOTE --auto-approve --fs-names "$names"
    by_fs_remote -json -debug:D_SECURITY
    assert_status 0
    says "Authenticated with FS_REMOTE as $(id -un)@pool.test; the session is unbound"
    [[ $(field issued '[.method, .session] | join(" ")') == 'FS_REMOTE unbound' ]]
    [[ -z $(ls -A shared) ]]
  done
}

@test "FS_REMOTE refuses a name without the server's address, unless the settings allow it" {
  remote_with --methods FS_REMOTE --auto-approve --fs-names plain
  by_fs_remote
  assert_status 4
  reason FS_REMOTE "the server's directory name does not contain its address"
  [[ $(events '^created') == 0 ]]
  _CONDOR_SEC_FS_ENFORCE_CHANNEL_BINDING=false by_fs_remote
  assert_status 0
  [[ $(events "^created $PWD/shared/FS_REMOTE_cm_4711_XXX......$") == 1 ]]
}

@test "FS_REMOTE works below a directory with the setgid bit" {
  ((EUID == 0)) || skip "a directory of another group can be made by root only"
  remote_with --methods FS_REMOTE --auto-approve
  chgrp 65534 shared
  chmod 3777 shared
  by_fs_remote
  assert_status 0
}

@test "FS_REMOTE without a directory, or with one that is not there, is not offered" {
  remote_with --methods FS_REMOTE
  unset _CONDOR_FS_REMOTE_DIR
  by_fs_remote
  assert_status 4
  reason FS_REMOTE 'FS_REMOTE_DIR is not set; set it to the directory that this machine and the pool share'
  _CONDOR_FS_REMOTE_DIR=$PWD/none by_fs_remote
  assert_status 4
  reason FS_REMOTE "FS_REMOTE_DIR = $PWD/none (environment variable _CONDOR_FS_REMOTE_DIR) is not a directory"
  # The pool's directory is another one.
  mkdir other
  _CONDOR_FS_REMOTE_DIR=$PWD/other by_fs_remote
  reason FS_REMOTE "the pool named $PWD/shared/FS_REMOTE_"
  [[ $(events '^created') == 0 ]]
}

@test "after a failure of FS_REMOTE the next method runs on the same connection" {
  remote_with --methods FS_REMOTE,CLAIMTOBE --auto-approve --fs-names plain
  authenticate_by FS_REMOTE CLAIMTOBE
  request -pool "$HERE" "${RULES[@]}" -debug:D_SECURITY
  assert_status 0
  says 'FS_REMOTE failed: ' 'Authenticated with CLAIMTOBE'
  [[ $(events '^connection') == 1 ]]
}

@test "FS_REMOTE proves no server: beside a method that does, it is not used" {
  remote_with --methods FS_REMOTE --auto-approve
  authenticate_by FS_REMOTE SSL
  request -pool "$HERE" "${RULES[@]}"
  assert_status 4
  reason FS_REMOTE 'not used beside SSL: it does not authenticate the server'
  # Nor if only a template names it.
  unset _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS
  request -pool "$HERE" "${RULES[@]}"
  assert_status 4
  by_fs_remote
  assert_status 0
}

# ---- The signing key ----

# key_with OPTION...: a pool whose signing key is on this machine
key_with() {
  mkdir -p -m 700 passwords.d
  pool_with --signing-key-file "$PWD/passwords.d/POOL" "$@"
  export _CONDOR_SEC_PASSWORD_DIRECTORY=$PWD/passwords.d _CONDOR_TRUST_DOMAIN=pool.test
  authenticate_by IDTOKENS
}

by_key() { request -pool "$HERE" "${RULES[@]}" "$@"; }

@test "where the pool's signing key is, IDTOKENS needs no token" {
  key_with --methods IDTOKENS --auto-approve
  by_key -json -debug:D_SECURITY
  assert_status 0
  says "Logging in to localhost:$LOOPBACK_PORT with the pool's signing key $PWD/passwords.d/POOL." \
    'Authenticated with IDTOKENS as condor@password'
  [[ $(grep -c 'Logging in to' "$BATS_TEST_TMPDIR/stderr") == 1 ]]
  [[ $(field issued '.credentials[0]') == 'signing key' ]]
  # A server before 23.9 knows the daemons by another name.
  key_with --methods IDTOKENS --auto-approve --remote-version '$CondorVersion: 23.8.1 2024-06-27 BuildID: 1 $'
  by_key -debug:D_SECURITY
  assert_status 0
  says 'Authenticated with IDTOKENS as condor_pool@;'
}

@test "a token that fits comes before the signing key" {
  key_with --methods IDTOKENS --auto-approve --token-for bob@pool.test
  (umask 077 && mkdir "$_CONDOR_SEC_TOKEN_DIRECTORY" && printf '%s\n' "$LOOPBACK_TOKEN" >"$_CONDOR_SEC_TOKEN_DIRECTORY/login")
  by_key -debug:D_SECURITY
  assert_status 0
  says 'Authenticated with IDTOKENS as bob@pool.test'
  lacks "$BATS_TEST_TMPDIR/stderr" 'signing key'
  # One of another pool does not fit.
  echo "$TOKEN" | tee "$_CONDOR_SEC_TOKEN_DIRECTORY/login" >/dev/null
  by_key -debug:D_SECURITY
  assert_status 0
  says 'Authenticated with IDTOKENS as condor@password'
}

@test "of several keys the first by name is used, and no other takes the place of one that others can read" {
  key_with --methods IDTOKENS --auto-approve --key-id B --issuer-keys 'C B ../B A/B'
  cp passwords.d/POOL passwords.d/B
  by_key
  assert_status 0
  says "signing key $PWD/passwords.d/B."
  chmod 640 passwords.d/B
  cp passwords.d/POOL passwords.d/C
  by_key
  assert_status 4
  reason IDTOKENS "no token, and the signing key $PWD/passwords.d/B is not this user's alone"
}

@test "a pool of another trust domain, or without one, gets no login by a signing key" {
  key_with --methods IDTOKENS
  by_key # the control
  assert_status 6
  _CONDOR_TRUST_DOMAIN=other.test by_key
  assert_status 4
  says 'a signing key is on this machine, but TRUST_DOMAIN is other.test'
  _CONDOR_TRUST_DOMAIN='pool.test other.test' by_key
  assert_status 4
  key_with --methods IDTOKENS --no-trust-domain
  by_key
  assert_status 4
  key_with --methods IDTOKENS --issuer-keys ''
  by_key
  assert_status 4
  [[ $(events '^(start|authenticated)') == 0 ]]
}

@test "the delivered token, not the signing key, is what -verify logs in with" {
  key_with --methods IDTOKENS --auto-approve --reject-issued
  by_key -json -verify
  [[ $(events '^authenticated IDTOKENS') == 1 ]]
  ((status != 0))
}

# ---- What is loaded ----

# loaded METHOD...: the classes of the program's own that a request loads by these methods
loaded() {
  authenticate_by "$@"
  TOKEN_REQUEST_JAVA_OPTIONS='-XX:TieredStopAtLevel=1 -Xshare:off -Xlog:class+load' AS_PROCESS=1 request -pool "$HERE" "${RULES[@]}"
  assert_status 0
}

@test "the classes of a method are loaded only when it is tried" {
  mkdir -p -m 700 passwords.d shared
  pool_with --munged "$SOCKETS/munged" --methods MUNGE,FS_REMOTE,IDTOKENS,SSL --auto-approve --fs-dir "$PWD/shared" \
    --signing-key-file "$PWD/passwords.d/POOL"
  export _CONDOR_MUNGE_SOCKET=$SOCKETS/munged _CONDOR_MUNGE_POOL_UID=0 _CONDOR_FS_REMOTE_DIR=$PWD/shared
  export _CONDOR_SEC_PASSWORD_DIRECTORY=$PWD/passwords.d _CONDOR_TRUST_DOMAIN=pool.test
  local special='TokenRequest\$Munge|UnixDomainSocketAddress |TokenRequest\$FileSystemAccess|io\.jsonwebtoken\.impl\.DefaultJwtBuilder |\$Signer '
  loaded SSL
  grep -q 'tokenrequest.TokenRequest\$Ssl ' "$BATS_TEST_TMPDIR/stdout"
  if grep -E "$special" "$BATS_TEST_TMPDIR/stdout"; then return 1; fi
  loaded MUNGE
  grep -q 'tokenrequest.TokenRequest\$MungeDaemon ' "$BATS_TEST_TMPDIR/stdout"
  if grep -E '\$Signer |FileSystemAccess|TokenRequest\$Ssl ' "$BATS_TEST_TMPDIR/stdout"; then return 1; fi
  loaded FS_REMOTE
  grep -q 'tokenrequest.TokenRequest\$FileSystemAccess ' "$BATS_TEST_TMPDIR/stdout"
  if grep -E '\$Signer |TokenRequest\$Munge' "$BATS_TEST_TMPDIR/stdout"; then return 1; fi
  loaded IDTOKENS
  grep -q '\$Signer ' "$BATS_TEST_TMPDIR/stdout"
}
