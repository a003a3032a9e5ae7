#!/usr/bin/env bats
# Client certificates, and sessions with BLOWFISH and 3DES, against real pools.
load real

setup_file() {
  every_pool auto-approve off
  every_pool auto-approve on
}

teardown_file() {
  every_pool auto-approve off
  every_pool configure
}

# every_destination METHOD CIPHER USER: pending and auto-approved, to stdout and to a token file, resumed and verified
every_destination() {
  local out=$BATS_TEST_TMPDIR/stdout err=$BATS_TEST_TMPDIR/stderr
  request_and_approve -pool "$HERE" "${PENDING[@]}" -debug -verify
  assert_status 0
  assert_is_token "$out"
  assert_pending_claims "$out"
  grep -F "(D_SECURITY) Authenticated with $1 as $3" "$err"
  grep -F ", $2, for " "$err"

  request_and_approve -pool "$HERE" "${PENDING[@]}" -token pending -verify
  assert_status 0
  assert_is_token "$HOME/made/tokens.d/pending"
  rm -r "$HOME/made"

  request -pool "$HERE" "${AUTO_APPROVED[@]}" -verify
  assert_status 0
  assert_is_token "$out"

  request -pool "$HERE" "${AUTO_APPROVED[@]}" -token approved
  assert_status 0
  assert_is_token "$HOME/made/tokens.d/approved"
  rm -r "$HOME/made"

  request -pool "$HERE" "${PENDING[@]}" -nowait
  id=$(sed -nE 's/.*approve request ([0-9]+)\..*/\1/p' "$err")
  [[ -n $id ]]
  pool approve "$id" >/dev/null 2>&1
  request -resume "$(echo "$HOME"/.condor/pending-token-request-*-"$id"-*.json)" -file later -verify
  [[ $status == 0 ]] || { cat "$err" && return 1; }
  assert_is_token later
  rm later
}

# certificates: a CA of users, and a user's certificate for each form of a private key
certificates() {
  cd "$BATS_TEST_TMPDIR" || return
  {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -subj /CN=users -days 2
    openssl genrsa -out rsa.key 2048
    openssl ecparam -name secp384r1 -genkey -out ec.key
    openssl genpkey -algorithm ed25519 -out ed.key
    for kind in rsa ec ed; do
      openssl req -new -key "$kind.key" -subj "/O=test/CN=$kind user" |
        openssl x509 -req -CA ca.pem -CAkey ca.key -CAcreateserial -days 1 -out "$kind.pem"
    done
    openssl pkey -in rsa.key -traditional -out rsa.pkcs1
    openssl pkey -in ec.key -traditional -out ec.sec1
    # A proxy, RFC 3820: signed with the user's key, its own key, and the user's certificate, in one file.
    openssl genrsa -out proxy.key 2048
    openssl req -new -key proxy.key -subj '/O=test/CN=rsa user/CN=12345' |
      openssl x509 -req -CA rsa.pem -CAkey rsa.key -CAcreateserial -days 1 \
        -extfile <(echo 'proxyCertInfo = critical,language:id-ppl-inheritAll') -out proxy.pem
    cat proxy.pem proxy.key rsa.pem >proxy
  } 2>/dev/null
  chmod 600 ./*.key ./*.pkcs1 ./*.sec1 proxy
  cp ca.pem "$POOL_ROOT/etc/condor/users_ca.pem"
  # shellcheck disable=SC2016 # for the map file
  printf '%s\n' 'SSL "^/O=test/CN=([a-z]+) user$" \1@pool.test' >"$POOL_ROOT/etc/condor/users_map"
  printf '%s\n' 'AUTH_SSL_SERVER_CAFILE = /etc/condor/users_ca.pem' 'CERTIFICATE_MAPFILE = /etc/condor/users_map' \
    'SEC_DEFAULT_AUTHENTICATION_METHODS = FS, SSL, IDTOKENS' "$@" | pool configure --restart >/dev/null 2>&1
  pool auto-approve on >/dev/null 2>&1
  cd "$WORK" || return
  authenticate_by SSL
}

# as CERTIFICATE KEY
as() { export _CONDOR_AUTH_SSL_CLIENT_CERTFILE=$BATS_TEST_TMPDIR/$1 _CONDOR_AUTH_SSL_CLIENT_KEYFILE=$BATS_TEST_TMPDIR/$2; }

certificate() {
  on "$1"
  certificates 'AUTH_SSL_REQUIRE_CLIENT_CERTIFICATE = true' 'AUTH_SSL_ALLOW_CLIENT_PROXY = true'
  as rsa.pem rsa.key
  every_destination SSL AES rsa@pool.test
  for pair in 'rsa rsa.pkcs1' 'ec ec.key' 'ec ec.sec1' 'ed ed.key'; do
    as "${pair% *}.pem" "${pair#* }"
    request -pool "$HERE" "${PENDING[@]}" -nowait -debug
    grep -F "Authenticated with SSL as ${pair% *}@pool.test" "$BATS_TEST_TMPDIR/stderr"
  done
  X509_USER_PROXY=$BATS_TEST_TMPDIR/proxy _CONDOR_AUTH_SSL_USE_CLIENT_PROXY_ENV_VAR=true \
    request -pool "$HERE" "${PENDING[@]}" -nowait -debug
  grep -F 'Authenticated with SSL as rsa@pool.test' "$BATS_TEST_TMPDIR/stderr"
  # Not the key of the certificate: the client does not go on without an identity.
  as rsa.pem ec.key
  request -pool "$HERE" "${PENDING[@]}" -nowait
  assert_status 4
  grep -F 'AUTH_SSL_CLIENT_KEYFILE' "$BATS_TEST_TMPDIR/stderr"
  # Nobody names a certificate: none is shown, and the pool refuses.
  unset _CONDOR_AUTH_SSL_CLIENT_CERTFILE _CONDOR_AUTH_SSL_CLIENT_KEYFILE
  request -pool "$HERE" "${PENDING[@]}" -nowait
  assert_status 4
}
@test "stable: a client certificate logs in as its user, with each form of key" { certificate stable; }
@test "testing: a client certificate logs in as its user, with each form of key" { certificate testing; }

old_cipher() {
  on "$1"
  echo "SEC_DEFAULT_CRYPTO_METHODS = $2" | pool configure --restart >/dev/null 2>&1
  pool auto-approve on >/dev/null 2>&1
  authenticate_by SSL
  # Control: by default, the client offers AES alone.
  request -pool "$HERE" "${PENDING[@]}" -nowait
  assert_status 4
  export _CONDOR_SEC_CLIENT_CRYPTO_METHODS=$2
  every_destination SSL "$2" unauthenticated@unmapped
  grep -F "old cipher $2" "$BATS_TEST_TMPDIR/stderr"
  authenticate_by CLAIMTOBE # a key by ECDH
  every_destination CLAIMTOBE "$2" ''
}
@test "stable: a pool with BLOWFISH alone issues tokens" { old_cipher stable BLOWFISH; }
@test "testing: a pool with BLOWFISH alone issues tokens" { old_cipher testing BLOWFISH; }
@test "stable: a pool with 3DES alone issues tokens" { old_cipher stable 3DES; }
@test "testing: a pool with 3DES alone issues tokens" { old_cipher testing 3DES; }
