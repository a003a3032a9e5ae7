#!/usr/bin/env bats
# Client certificates for SSL on the embedded pool: files, keys, passphrases. Attacks on such a login are in
# attacks_logins.bats, real pools in real_logins.bats.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153 # settings of one test; variables of loopback.bash
load terminal

RULES=(-identity alice@own.test)

setup_file() {
  export USERS=$BATS_FILE_TMPDIR/users
  mkdir "$USERS"
  cd "$USERS" || return
  {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -subj /CN=users -days 2
    openssl genrsa -out rsa.key 2048
    openssl ecparam -name secp384r1 -genkey -noout -out ec.sec1
    openssl pkey -in ec.sec1 -out ec.key
    openssl ecparam -name secp384r1 -genkey -out ec.parameters
    openssl genpkey -algorithm ed25519 -out ed.key
    certify ec.parameters parameters
    for kind in rsa ec ed; do certify "$kind.key" "$kind"; done
    openssl pkey -in rsa.key -traditional -out rsa.pkcs1
    # Encrypted, in each form: by PBES2 with its two hashes, by what came before it, by OpenSSL's own way.
    openssl pkcs8 -topk8 -in rsa.key -passout pass:secret -v2 aes-256-cbc -v2prf hmacWithSHA256 -out rsa.pbes2
    openssl pkcs8 -topk8 -in ec.key -passout pass:grün -v2 aes-128-cbc -v2prf hmacWithSHA512 -out ec.pbes2
    openssl pkcs8 -topk8 -in rsa.key -passout pass:secret -v1 PBE-SHA1-3DES -out rsa.pbes1
    openssl rsa -in rsa.key -traditional -aes128 -passout pass:secret -out rsa.aes128
    openssl ec -in ec.sec1 -des3 -passout pass:grün -out ec.des3
    # A proxy: signed with the user's key, its own key, and both certificates, in one file.
    openssl genrsa -out proxy.key 2048
    openssl req -new -key proxy.key -subj '/CN=rsa user/CN=12345' |
      openssl x509 -req -CA rsa.pem -CAkey rsa.key -CAcreateserial -days 1 \
        -extfile <(echo 'proxyCertInfo = critical,language:id-ppl-inheritAll') -out proxy.certificate
    cat proxy.certificate proxy.key rsa.pem >proxy
  } 2>log || { cat log && return 1; }
  chmod 600 "$USERS"/*
}

# certify KEY NAME: a user's certificate, signed by the CA
certify() {
  openssl req -new -key "$1" -subj "/CN=$2 user" |
    openssl x509 -req -CA ca.pem -CAkey ca.key -CAcreateserial -days 1 -out "$2.pem"
}

setup() {
  setup_terminal
  authenticate_by SSL
}

pool_of() { pool_with --methods SSL --token "$TOKEN" --auto-approve --client-ca "$USERS/ca.pem" "$@"; }

# as CERTIFICATE KEY: from now on, of $USERS
as() { export _CONDOR_AUTH_SSL_CLIENT_CERTFILE=$USERS/$1 _CONDOR_AUTH_SSL_CLIENT_KEYFILE=$USERS/$2; }

# asked STATUS ARGUMENT...: a request that ends so; the pool's log begins with it
asked() {
  : >"$LOOPBACK_LOG"
  request -pool "$HERE" "${RULES[@]}" "${@:2}"
  assert_status "$1"
}

# is_user NAME: the login was that user's
is_user() { [[ $(events "^authenticated SSL bound $1@pool.test\$") == 1 ]] || { cat "$LOOPBACK_LOG" && return 1; }; }

# untouched: nobody was connected to, or at least not as anybody
untouched() { [[ $(events '^(authenticated|certificate)') == 0 ]]; }

says() { grep -qF -e "$1" "$BATS_TEST_TMPDIR/stderr" || { cat "$BATS_TEST_TMPDIR/stderr" && return 1; }; }

@test "every form of key logs in as the user of its certificate, with TLS 1.3 and 1.2" {
  local version pair
  for version in TLSv1.3 TLSv1.2; do
    pool_of --tls "$version"
    for pair in 'rsa rsa.key' 'rsa rsa.pkcs1' 'ec ec.key' 'ec ec.sec1' 'parameters ec.parameters' 'ed ed.key'; do
      as "${pair% *}.pem" "${pair#* }"
      asked 0
      is_user "${pair% *} user"
    done
  done
}

@test "without the settings no certificate is shown, and its class is not loaded" {
  pool_of
  asked 0
  [[ $(events '^authenticated SSL bound unauthenticated@unmapped$') == 1 && $(events ^certificate) == 0 ]]
  local TOKEN_REQUEST_JAVA_OPTIONS="$TOKEN_REQUEST_JAVA_OPTIONS -Xlog:class+load:file=$PWD/classes"
  AS_PROCESS=1 asked 0
  grep -qF 'TokenRequest$Ssl ' classes
  run grep -E 'TokenRequest\$(ClientCertificate|LegacyCipher)' classes
  ((status == 1))
  # The control.
  as rsa.pem rsa.key
  AS_PROCESS=1 asked 0
  grep -qF 'TokenRequest$ClientCertificate ' classes
}

@test "a certificate is never shown to SCITOKENS" {
  pool_with --methods SCITOKENS --token "$TOKEN" --auto-approve --client-ca "$USERS/ca.pem"
  as rsa.pem rsa.key
  export _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS=SCITOKENS BEARER_TOKEN=$TOKEN
  asked 0
  [[ $(events ^certificate) == 0 && $(events '^authenticated SCITOKENS bound') == 1 ]]
}

@test "a proxy of X509_USER_PROXY is used only if the setting says so, and then instead of the other files" {
  pool_of
  export X509_USER_PROXY=$USERS/proxy
  asked 0
  [[ $(events ^certificate) == 0 ]]
  as ec.pem ec.key
  export _CONDOR_AUTH_SSL_USE_CLIENT_PROXY_ENV_VAR=true
  asked 0
  is_user 'rsa user'
  unset X509_USER_PROXY
  asked 0
  is_user 'ec user'
}

@test "of several pairs those that cannot be opened are passed over, and the last of a key type counts" {
  pool_of
  export _CONDOR_AUTH_SSL_CLIENT_CERTFILE="$USERS/none.pem, $USERS/ec.pem,$USERS/parameters.pem"
  export _CONDOR_AUTH_SSL_CLIENT_KEYFILE="$USERS/rsa.key, $USERS/ec.key,$USERS/ec.parameters"
  asked 0
  is_user 'parameters user'
}

@test "files that cannot be used end SSL before anything is sent, with the setting, the file and its place" {
  local case
  pool_of
  echo garbage >"$USERS/garbage"
  sed 's/^M/#/' "$USERS/rsa.pem" >"$USERS/broken.pem"
  sed '3,5d' "$USERS/rsa.key" >"$USERS/cut.key"
  chmod 600 "$USERS"/{garbage,broken.pem,cut.key}
  for case in 'rsa.pem ec.key KEYFILE=is not the key of the certificate in ' 'garbage rsa.key CERTFILE=does not hold a PEM certificate' \
    'broken.pem rsa.key CERTFILE=holds a certificate that Java cannot read' 'rsa.pem garbage KEYFILE=does not hold a PEM private key' \
    'rsa.pem cut.key KEYFILE=does not hold a private key that Java can read'; do
    read -r certificate key _ <<<"$case"
    as "$certificate" "$key"
    asked 4
    setting=${case#* * }
    file=$key
    [[ $setting != CERTFILE* ]] || file=$certificate
    says "  SSL: AUTH_SSL_CLIENT_${setting%%=*} = $USERS/$file (environment variable _CONDOR_AUTH_SSL_CLIENT_${setting%%=*}) ${setting#*=}"
    untouched
  done
  unset _CONDOR_AUTH_SSL_CLIENT_KEYFILE
  asked 4
  says 'AUTH_SSL_CLIENT_CERTFILE is set without AUTH_SSL_CLIENT_KEYFILE'
  untouched
  unset _CONDOR_AUTH_SSL_CLIENT_CERTFILE
  _CONDOR_AUTH_SSL_REQUIRE_CLIENT_CERTIFICATE=true asked 4
  says 'AUTH_SSL_REQUIRE_CLIENT_CERTIFICATE is true, but'
  untouched
}

@test "after a certificate that cannot be used, the next method runs" {
  pool_with --methods SSL,CLAIMTOBE --token "$TOKEN" --auto-approve --client-ca "$USERS/ca.pem"
  as rsa.pem ec.key
  authenticate_by CLAIMTOBE
  asked 0
  [[ $(events '^authenticated CLAIMTOBE') == 1 && $(events ^certificate) == 0 ]]
}

@test "a key that others can read is used with a warning" {
  pool_of
  as rsa.pem rsa.key
  asked 0
  lacks "$BATS_TEST_TMPDIR/stderr" 'can read the private key'
  chmod 644 "$USERS/rsa.key"
  asked 0
  says "Other users can read the private key $USERS/rsa.key (AUTH_SSL_CLIENT_KEYFILE)."
  chmod 600 "$USERS/rsa.key"
}

@test "a certificate that the pool does not trust is refused with its reason, and without a suspicion" {
  pool_with --methods SSL --token "$TOKEN" --auto-approve --client-ca "$USERS/rsa.pem"
  as ec.pem ec.key
  asked 4
  says '  SSL: the pool aborted the TLS handshake ('
  lacks "$BATS_TEST_TMPDIR/stderr" 'man in the middle'
}

# ---- Encrypted keys ----

@test "without a terminal an encrypted key ends SSL, with what decrypts it" {
  pool_of
  as rsa.pem rsa.pbes2
  asked 4
  says "AUTH_SSL_CLIENT_KEYFILE = $USERS/rsa.pbes2 (environment variable _CONDOR_AUTH_SSL_CLIENT_KEYFILE) is encrypted, and there is"
  says "openssl pkey -in $USERS/rsa.pbes2 -out NEW"
  untouched
}

# typed PASSPHRASE: at a terminal, with a request; sets status
typed() {
  : >"$LOOPBACK_LOG"
  at_terminal -pool "$HERE" "${RULES[@]}"
  until_shown 'Passphrase of the private key'
  printf '%s\n' "$1" >&"$KEYBOARD"
  at_its_end
}

@test "at a terminal the passphrase of an encrypted key is asked for, not shown, and every form of encryption is read" {
  local case
  pool_of
  for case in rsa=pbes2=secret ec=pbes2=grün rsa=pbes1=secret rsa=aes128=secret ec=des3=grün; do
    IFS='=' read -r name form passphrase <<<"$case"
    as "$name.pem" "$name.$form"
    typed "$passphrase"
    [[ $status == 0 ]] || { echo "$case" && cat -v shown && return 1; }
    is_user "$name user"
    lacks shown "$passphrase"
  done
}

@test "a wrong passphrase is said, and not asked for again" {
  pool_of
  as rsa.pem rsa.pbes2
  typed wrong
  [[ $status == 4 ]]
  grep -qF 'does not decrypt with this passphrase' shown
  [[ $(grep -c 'Passphrase of' shown) == 1 ]]
  untouched
}
