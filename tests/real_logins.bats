#!/usr/bin/env bats
# Client certificates, bearer tokens, and sessions with BLOWFISH and 3DES, against real pools; and what the other methods' own
# files leave out: each request resumed over its method.
load real

setup_file() {
  every_pool auto-approve off
  every_pool auto-approve on
}

teardown_file() {
  every_pool auto-approve off
  every_pool configure
}

teardown() {
  end_client
  [[ -z ${issuer-} ]] || kill "$issuer"
  [[ ! -e ${BATS_TEST_TMPDIR}/cas ]] || cp "$BATS_TEST_TMPDIR/cas" "$POOL_ROOT/etc/ssl/certs/ca-certificates.crt"
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

# base64url: stdin, as JSON Web Tokens have it
base64url() { openssl base64 -A | tr '+/' '-_' | tr -d =; }

# bearer_token SUBJECT: prints one of the issuer's
bearer_token() {
  local now signed
  now=$(date +%s)
  signed=$(printf '{"alg":"RS256","typ":"JWT","kid":"k"}' | base64url).$(
    printf '{"iss":"%s","sub":"%s","aud":"ANY","ver":"scitoken:2.0","scope":"condor:/READ condor:/WRITE","iat":%d,"exp":%d,"jti":"%s"}' \
      "$ISSUER" "$1" "$now" $((now + 600)) "$now" | base64url)
  echo "$signed.$(printf %s "$signed" | openssl dgst -sha256 -sign "$BATS_TEST_TMPDIR/issuer.key" | base64url)"
}

# issuer_of_tokens: an issuer of bearer tokens, whose certificate and users the pool knows. Sets ISSUER.
issuer_of_tokens() {
  local port modulus
  port=$(python3 -c 'import socket
with socket.create_server(("127.0.0.1", 0)) as server: print(server.getsockname()[1])')
  ISSUER=https://localhost:$port
  cd "$BATS_TEST_TMPDIR" || return
  openssl req -x509 -newkey rsa:2048 -nodes -keyout issuer.key -out issuer.pem -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost -days 2 2>/dev/null
  mkdir -p www/.well-known
  modulus=$(openssl rsa -in issuer.key -noout -modulus | sed 's/.*=//' | python3 -c 'import sys
sys.stdout.buffer.write(bytes.fromhex(sys.stdin.read()))' | base64url)
  echo "{\"issuer\":\"$ISSUER\",\"jwks_uri\":\"$ISSUER/jwks\"}" >www/.well-known/openid-configuration
  echo "{\"keys\":[{\"kty\":\"RSA\",\"alg\":\"RS256\",\"use\":\"sig\",\"kid\":\"k\",\"n\":\"$modulus\",\"e\":\"AQAB\"}]}" >www/jwks
  (cd www && exec openssl s_server -quiet -accept "127.0.0.1:$port" -cert ../issuer.pem -key ../issuer.key -WWW) \
    >issuer.log 2>&1 3>&- &
  issuer=$!
  cp "$POOL_ROOT/etc/ssl/certs/ca-certificates.crt" cas
  cat issuer.pem >>"$POOL_ROOT/etc/ssl/certs/ca-certificates.crt"
  echo "SCITOKENS \"^$ISSUER,alice\$\" alice@pool.test" >"$POOL_ROOT/etc/condor/users_map"
  printf '%s\n' 'CERTIFICATE_MAPFILE = /etc/condor/users_map' 'SEC_DEFAULT_AUTHENTICATION_METHODS = FS, SSL, IDTOKENS, SCITOKENS' |
    pool configure --restart >/dev/null 2>&1
  pool auto-approve on >/dev/null 2>&1
  cd "$WORK" || return
}

bearer_tokens() {
  on "$1"
  issuer_of_tokens
  authenticate_by SCITOKENS
  BEARER_TOKEN=$(bearer_token alice)
  export BEARER_TOKEN
  every_destination SCITOKENS AES alice@pool.test
  [[ $(grep -rF "$BEARER_TOKEN" "$BATS_TEST_TMPDIR/stderr" "$HOME") == '' ]]
  # A user whom the pool's map does not have.
  BEARER_TOKEN=$(bearer_token mallory) request -pool "$HERE" "${PENDING[@]}" -nowait
  assert_status 4
  grep -F 'SCITOKENS: the pool does not accept the token in BEARER_TOKEN' "$BATS_TEST_TMPDIR/stderr"
}
@test "stable: a bearer token logs in as its user" { bearer_tokens stable; }
@test "testing: a bearer token logs in as its user" { bearer_tokens testing; }

# resumed METHOD...: requests of the methods whose tokens real_methods gets without a second run
resumed() {
  local method
  on "$1"
  pool configure --restart </dev/null >/dev/null 2>&1
  pool auto-approve on >/dev/null 2>&1
  allow_fs
  export _CONDOR_SEC_PASSWORD_FILE=$POOL_ROOT/etc/condor/pool_password
  for method in "${@:2}"; do
    [[ $method != IDTOKENS ]] || log_in_with "$(pool token condor@pool.test)"
    authenticate_by "$method"
    every_destination "$method" AES ''
  done
}
@test "stable: SSL, IDTOKENS, FS, PASSWORD and CLAIMTOBE bring tokens everywhere, and each resumes its request" { resumed stable SSL IDTOKENS FS PASSWORD CLAIMTOBE; }
@test "testing: SSL, IDTOKENS, FS, PASSWORD and CLAIMTOBE bring tokens everywhere, and each resumes its request" { resumed testing SSL IDTOKENS FS PASSWORD CLAIMTOBE; }
