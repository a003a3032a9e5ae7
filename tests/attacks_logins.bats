#!/usr/bin/env bats
# Attacks on a login with a client certificate, on sessions with an old cipher, and by a broker that passes bytes on. The
# last part needs no man in the middle: another user's files. Each has its control in the same place. What a real man in the
# middle gets from real pools is in real_attacks_logins.bats.
# shellcheck disable=SC2030,SC2031,SC2034,SC2153 # settings of one test; variables of loopback.bash
load events

setup_file() {
  export USERS=$BATS_FILE_TMPDIR/users
  mkdir "$USERS"
  cd "$USERS" || return
  {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -subj /CN=users -days 2
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout other.key -out other-ca.pem -subj /CN=users -days 2
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out user.key
    openssl req -new -key user.key -subj /CN=alice |
      openssl x509 -req -CA ca.pem -CAkey ca.key -CAcreateserial -days 1 -out user.pem
  } 2>log || { cat log && return 1; }
  chmod 600 "$USERS"/*
}

setup() {
  own_folders
  export _CONDOR_SEC_TOKEN_DIRECTORY=$HOME/tokens.d _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=false
  export _CONDOR_UID_DOMAIN=pool.test
  authenticate_by SSL
  as_alice
}

as_alice() { export _CONDOR_AUTH_SSL_CLIENT_CERTFILE=$USERS/user.pem _CONDOR_AUTH_SSL_CLIENT_KEYFILE=$USERS/user.key; }
as_nobody() { unset _CONDOR_AUTH_SSL_CLIENT_CERTFILE _CONDOR_AUTH_SSL_CLIENT_KEYFILE; }

pool_of() { pool_with --token "$TOKEN" --auto-approve --client-ca "$USERS/ca.pem" "$@"; }

# asked STATUS ARGUMENT...
asked() {
  : >"$LOOPBACK_LOG"
  request -pool "$HERE" -identity alice@own.test "${@:2}"
  assert_status "$1"
}

# gets_nothing STATUS: the request ends so, and neither it nor a token has passed
gets_nothing() {
  asked "$@"
  [[ $(events '^(start|issued)') == 0 && ! -s $BATS_TEST_TMPDIR/stdout ]]
}

says() { grep -qF -e "$1" "$BATS_TEST_TMPDIR/stderr" || { cat "$BATS_TEST_TMPDIR/stderr" && return 1; }; }

# token_login: leaves the pool's own token where the client looks for one
token_login() {
  export _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS=SSL,IDTOKENS
  (umask 077 && mkdir -p "$_CONDOR_SEC_TOKEN_DIRECTORY" && printf '%s\n' "$LOOPBACK_TOKEN" >"$_CONDOR_SEC_TOKEN_DIRECTORY/login")
}

# ---- A login that somebody takes ----

@test "a negotiation that is broken after a certificate was shown is an attack: no other method, no second collector" {
  local fault
  for fault in int-zero-key short-key zero-key other-cipher bad-tag; do
    pool_of --methods SSL,IDTOKENS --token-for alice@pool.test --fault "$fault"
    token_login
    _CONDOR_COLLECTOR_HOST="$HERE, 127.0.0.1:1" request -identity alice@own.test
    assert_status 4
    [[ $(events '^(start|issued)') == 0 && ! -s $BATS_TEST_TMPDIR/stdout ]]
    lacks "$BATS_TEST_TMPDIR/stderr" 127.0.0.1:1
    says "A man in the middle may have taken the login at localhost:$LOOPBACK_PORT."
    says "This command had shown the certificate in $USERS/user.pem:"
    [[ $(events '^certificate alice$') == 1 && $(events '^authenticated IDTOKENS') == 0 && $(events ^connection) == 1 ]]
  done
  # The controls: a sound pool, also as the second collector; and one who was shown no certificate is accused of nothing.
  pool_of --methods SSL,IDTOKENS --token-for alice@pool.test
  _CONDOR_COLLECTOR_HOST="127.0.0.1:1, $HERE" request -identity alice@own.test
  assert_status 0
  [[ $(events '^authenticated SSL bound alice@pool.test$') == 1 ]]
  as_nobody
  pool_of --methods SSL --fault int-zero-key
  gets_nothing 4
  lacks "$BATS_TEST_TMPDIR/stderr" 'man in the middle may'
}

@test "what an attack on such a login looks like" {
  cp "$USERS"/user.* .
  export _CONDOR_AUTH_SSL_CLIENT_CERTFILE=user.pem _CONDOR_AUTH_SSL_CLIENT_KEYFILE=user.key
  pool_of --methods SSL --fault int-zero-key
  ask -pool "$HERE" -identity alice@own.test
  assert_transcript taken
}

@test "a refusal after the certificate, which anybody could forge, is suspicious, and the next method runs" {
  pool_of --methods SSL,IDTOKENS --token-for alice@pool.test --fault ssl-quits
  token_login
  asked 0
  says "WARNING: The login with the certificate in $USERS/user.pem ended without proof from localhost:$LOOPBACK_PORT."
  [[ $(events '^authenticated IDTOKENS') == 1 ]]
  as_nobody
  asked 0
  lacks "$BATS_TEST_TMPDIR/stderr" 'without proof'
}

@test "before TLS 1.3 an alert after the certificate is no proof, since anybody could forge it" {
  pool_of --methods SSL --tls TLSv1.2 --client-ca "$USERS/other-ca.pem"
  gets_nothing 4
  says 'ended without proof'
  pool_of --methods SSL --tls TLSv1.3 --client-ca "$USERS/other-ca.pem"
  gets_nothing 4
  lacks "$BATS_TEST_TMPDIR/stderr" 'without proof'
}

@test "a connection that ends after the certificate is suspicious, and before it is not" {
  local packet
  for packet in 4 5 6; do
    pool_of --methods SSL --fault truncated-frame --fault-packet "$packet"
    gets_nothing 3
    if [[ $(events ^certificate) == 1 ]]; then
      says 'ended without proof'
    fi
  done
  says 'ended without proof'
  pool_of --methods SSL --fault truncated-frame --fault-packet 2
  gets_nothing 3
  lacks "$BATS_TEST_TMPDIR/stderr" 'without proof'
}

@test "a server without the right certificate is shown none" {
  pool_of --methods SSL --certificate-name elsewhere.test
  gets_nothing 4
  [[ $(events ^certificate) == 0 ]]
}

@test "a certificate is not shown to a host that only the collector named" {
  local address='<127.0.0.1:{port}?alias=localhost>'
  pool_of --methods SSL --ad "Type=Scheduler;Name=s1;Machine=localhost;MyAddress=$address" \
    --ad "Type=Scheduler;Name=s2@localhost;Machine=localhost;MyAddress=$address"
  gets_nothing 4 -type schedd -name s1
  [[ $(events '^certificate') == 1 ]] # the collector's own login
  says 'SSL: not used: a client certificate goes only to a host named on the command line or in the configuration'
  asked 0 -type schedd -name s2@localhost
  [[ $(events '^certificate') == 2 ]]
  as_nobody
  asked 0 -type schedd -name s1
}

@test "the login is asked for ten minutes, and without a certificate for longer" {
  pool_of --methods SSL
  asked 0 -debug:D_SECURITY
  says 'SessionDuration = "600"'
  as_nobody
  asked 0 -debug:D_SECURITY
  says 'SessionDuration = "3900"'
}

# ---- Old ciphers ----

@test "a changed, cut or misnamed session with an old cipher brings nothing" {
  local cipher fault
  as_nobody
  for cipher in BLOWFISH 3DES; do
    export _CONDOR_SEC_CLIENT_CRYPTO_METHODS=$cipher
    for fault in bad-tag short-key zero-key other-cipher int-zero-key ecdh-in-bound integrity-no encryption-no authentication-no; do
      pool_of --methods SSL --ciphers "$cipher" --fault "$fault"
      gets_nothing 4
    done
    for fault in bad-length negative-length zero-length bad-end-flag truncated-frame flipped-bit; do
      pool_of --methods SSL --ciphers "$cipher" --fault "$fault" --fault-packet 9
      request -pool "$HERE" -identity alice@own.test
      [[ $status == [34] && ! -s $BATS_TEST_TMPDIR/stdout ]] || { echo "$fault: $status" && cat "$LOOPBACK_LOG" && return 1; }
    done
    pool_of --methods SSL --ciphers "$cipher"
    asked 0
  done
}

@test "whoever offered AES takes no old cipher, and whoever offered one old cipher not the other" {
  as_nobody
  pool_of --methods SSL --fault cipher-blowfish
  gets_nothing 4
  pool_of --methods SSL --ciphers 3DES --fault cipher-blowfish
  _CONDOR_SEC_CLIENT_CRYPTO_METHODS=3DES gets_nothing 4
  says 'CryptoMethods = BLOWFISH; this program offered 3DES'
  pool_of --methods SSL --ciphers 3DES
  _CONDOR_SEC_CLIENT_CRYPTO_METHODS=3DES asked 0
}

# ---- Files of others, and secrets ----

@test "a key or certificate of another user, or that others can write to, is not used" {
  ((EUID == 0)) || skip 'only root can make files of others'
  local file
  cp "$USERS"/user.* .
  export _CONDOR_AUTH_SSL_CLIENT_CERTFILE=$PWD/user.pem _CONDOR_AUTH_SSL_CLIENT_KEYFILE=$PWD/user.key
  pool_of --methods SSL
  asked 0
  for file in user.pem user.key; do
    chown 65534 "$file"
    gets_nothing 4
    [[ $(events ^certificate) == 0 ]]
    says "$PWD/$file"
    chown 0 "$file"
  done
  chmod 666 user.key
  printf '%s\n' "AUTH_SSL_CLIENT_CERTFILE = $PWD/user.pem" "AUTH_SSL_CLIENT_KEYFILE = $PWD/user.key" >condor_config
  as_nobody
  CONDOR_CONFIG=$PWD/condor_config gets_nothing 4
  says 'can be changed by others'
  chmod 600 user.key
  CONDOR_CONFIG=$PWD/condor_config asked 0
}

@test "-debug and -json show the file of a key, and nothing of the key" {
  local line
  pool_of --methods SSL
  asked 0 -debug -json -verbose
  while read -r line; do
    lacks "$BATS_TEST_TMPDIR/stderr" "$line"
    lacks "$BATS_TEST_TMPDIR/stdout" "$line"
  done < <(grep -v -- ----- "$USERS/user.key")
}

@test "a key file that is a pipe without a writer, or endless, does not stop the program" {
  pool_of --methods SSL
  mkfifo pipe
  chmod 600 pipe
  printf '%s\n' "AUTH_SSL_CLIENT_CERTFILE = $USERS/user.pem" "AUTH_SSL_CLIENT_KEYFILE = $PWD/pipe" >condor_config
  as_nobody
  CONDOR_CONFIG=$PWD/condor_config gets_nothing 4
  printf '%s\n' "AUTH_SSL_CLIENT_CERTFILE = $USERS/user.pem" "AUTH_SSL_CLIENT_KEYFILE = /dev/zero" >condor_config
  CONDOR_CONFIG=$PWD/condor_config gets_nothing 4
}
