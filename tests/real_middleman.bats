#!/usr/bin/env bats
# Somebody between the command and a real pool: what is asked for, and the token, is not for him to read or to change.
# Every test runs against both releases, through tests/support/MiddleMan.java, which lists the attacks. They differ in
# nothing that the command says, so they share their goldens.
#
# Two requests are used. One is approved at once by a rule (condor@..., ADVERTISE_STARTD); the other waits for approval.
load lib

RELEASES=(stable testing)
DOMAIN=secret.test # occurs nowhere but in the requests

setup_file() {
  [[ ${TOKEN_REQUEST_REAL-no} != no ]] || return 0
  local options release
  export BATS_TEST_TIMEOUT=60 # a command that takes his word for something may wait for an hour
  read -ra options <<<"$TOKEN_REQUEST_JAVA_OPTIONS"
  export ORDERS=$BATS_FILE_TMPDIR/orders MIDDLEMAN_CERTIFICATE=$BATS_FILE_TMPDIR/middleman
  # He lives until his stdin ends: until this process closes it, or ends itself.
  mkfifo "$BATS_FILE_TMPDIR/life"
  java "${options[@]}" -cp "$TOKEN_REQUEST_CLASSPATH" tokenrequest.MiddleMan --orders "$ORDERS" \
    <"$BATS_FILE_TMPDIR/life" >"$BATS_FILE_TMPDIR/port" 2>"$BATS_FILE_TMPDIR/complaints" 3>&- &
  MIDDLEMAN=$!
  exec {LIFE}>"$BATS_FILE_TMPDIR/life"
  for release in "${RELEASES[@]}"; do
    "$TESTS_DIR/pool/pool.sh" auto-approve "$release" on
  done
  certificate
  soon test -s "$BATS_FILE_TMPDIR/port" || { cat "$BATS_FILE_TMPDIR/complaints" && return 1; }
  MIDDLEMAN_PORT=$(sed 's/^MIDDLEMAN_PORT=//' "$BATS_FILE_TMPDIR/port")
  export MIDDLEMAN_PORT
}

teardown_file() {
  [[ -n ${LIFE-} ]] || return 0
  exec {LIFE}>&-
  wait "$MIDDLEMAN"
  cat "$BATS_FILE_TMPDIR/complaints" # of no use unless something failed
  local release
  for release in "${RELEASES[@]}"; do
    "$TESTS_DIR/pool/pool.sh" auto-approve "$release" off
  done
}

setup() {
  [[ ${TOKEN_REQUEST_REAL-no} != no ]] || skip "${TOKEN_REQUEST_REAL_REASON-no real pool}"
  own_folders
  methods SSL
  # The CAs of this machine would be counted in a message.
  export _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=false
  THEN=none
}

# methods LIST: what the user's own settings name
methods() { export _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS=$1; }

# certificate: a self-signed one of his own, for the pools' host name
certificate() {
  local name
  # shellcheck source=/dev/null
  name=$(source "$POOL_ENV_STABLE" && echo "$POOL_HOST")
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj '/CN=man in the middle' \
    -addext "subjectAltName=DNS:$name" -keyout "$MIDDLEMAN_CERTIFICATE.key" -out "$MIDDLEMAN_CERTIFICATE.pem"
  openssl pkcs12 -export -passout pass:changeit -in "$MIDDLEMAN_CERTIFICATE.pem" -inkey "$MIDDLEMAN_CERTIFICATE.key" \
    -out "$MIDDLEMAN_CERTIFICATE.p12"
}

# soon COMMAND...: waits until it succeeds, 20 seconds at most
soon() {
  local deadline=$((SECONDS + 20))
  until "$@" 2>/dev/null; do
    ((SECONDS < deadline)) || return 1
    sleep 0.05
  done
}

# against RELEASE ATTACK ARGUMENT...: requests a token through the man in the middle. Leaves what he read in $LOOT, and
# takes from the record what differs between machines, releases and runs. THEN is what follows forget-session.
against() {
  local release=$1 attack=$2 rules
  shift 2
  enter_pool "$release"
  LOOT=$BATS_TEST_TMPDIR/loot.$release.$attack
  printf '%s\n' --pool "127.0.0.1:$POOL_PORT" --attack "$attack" --then "$THEN" --loot "$LOOT" \
    --certificate "$MIDDLEMAN_CERTIFICATE.p12" >"$ORDERS"
  request -pool "$POOL_HOST:$MIDDLEMAN_PORT" "$@"
  rules=(
    's/ -pool [^ ]+/ -pool <HOST>:<PORT>/'
    's/<(127\.0\.0\.1|\[::1\]):<PORT>\?[^ >]*>/<POOL>/g'
    's/^Request [0-9]{7} /Request <ID> /'
    's/^(  The pool offers: ).*/\1<WHAT HE LETS PASS>/' # the releases have different methods left
    's/\b([0-9a-f]{2}:){31}[0-9a-f]{2}\b/<FINGERPRINT>/g'
    's/eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_.-]+/<TOKEN>/'
    "s|$POOL_CA|<CA>|g"
  )
  sed -E -i "${rules[@]/#/-e}" "$BATS_TEST_TMPDIR/record"
}

# enter_pool RELEASE: sets POOL_*, and the CA that the command trusts
enter_pool() {
  local file=POOL_ENV_${1^^}
  # shellcheck source=/dev/null
  source "${!file}"
  export _CONDOR_AUTH_SSL_CLIENT_CAFILE=$POOL_CA
}

# approved RELEASE ATTACK ARGUMENT...: the same for a request that an administrator approves as soon as it is there. Sets
# CLIENT_ID.
approved() {
  rm -f "$BATS_TEST_TMPDIR"/{stderr,client_id}
  approve_when_asked "$1" >"$BATS_TEST_TMPDIR/approver" 2>&1 3>&- &
  against "$@" -identity "alice@$DOMAIN" -authz ADVERTISE_STARTD
  wait $! || cat "$BATS_TEST_TMPDIR/approver"
  CLIENT_ID=$(cat "$BATS_TEST_TMPDIR/client_id")
  [[ -n $CLIENT_ID ]]
}

approve_when_asked() {
  local pool=$TESTS_DIR/pool/pool.sh id
  soon grep -q 'approve request' "$BATS_TEST_TMPDIR/stderr" || return
  id=$(sed -n 's/.*approve request \([0-9]\{7\}\).*/\1/p' "$BATS_TEST_TMPDIR/stderr")
  "$pool" list "$1" | jq -r --arg id "$id" '.[] | select(.RequestId == $id) | .ClientId' >"$BATS_TEST_TMPDIR/client_id"
  "$pool" approve "$1" "$id"
}

# at_once: the arguments of a request that a rule approves
at_once=(-identity "condor@$DOMAIN" -authz ADVERTISE_STARTD)

# he_has TEXT: whether it is in what he read
he_has() { grep --quiet --text --fixed-strings -e "$1" "$LOOT"; }

# he_knows_nothing: he saw the conversation, and none of what he is after, in whatever request. (A login with a token shows
# all of that token but its signature.)
he_knows_nothing() {
  local secret secrets=("$DOMAIN" ADVERTISE_STARTD ClientId RequestId 'Token = ' "${CLIENT_ID-ClientId}") file
  for file in "$BATS_TEST_TMPDIR/stdout" "${_CONDOR_SEC_TOKEN_DIRECTORY-}/login"; do
    [[ ! -s $file ]] || secrets+=("$(sed 's/.*\.//' "$file")")
  done
  he_has '== client in the clear' || { echo "he saw nothing at all" && return 1; }
  for secret in "${secrets[@]}"; do
    ! he_has "$secret" || { echo "he has read $secret" && return 1; }
  done
  ! grep --quiet --text --extended-regexp -e '-[0-9a-f]{32}([^0-9a-f]|$)' "$LOOT" ||
    { echo "he has read a client ID" && return 1; }
}

# keeps_to_itself ATTACK [GOLDEN]: the command ends as the golden says, with both releases, and he knows nothing
keeps_to_itself() {
  local release
  for release in "${RELEASES[@]}"; do
    against "$release" "$1" "${at_once[@]}"
    assert_golden "real_middleman/${2-$1}"
    he_knows_nothing
  done
}

# offered: the methods that the client offered him, a line a login
# Last of all, when nothing has succeeded, it names every method there is, to hear what the pool offers, and hangs up.
offered() {
  tr '\0' '\n' <"$LOOT" | awk '/^== client/ { client = 1 } /^== server/ { client = 0 } client' |
    grep --text -o 'AuthMethods = "[^"]*"' | sed 's/.*"\(.*\)"/\1/'
}

# put_token RELEASE: gives the command a token of the pool to log in with
put_token() {
  export _CONDOR_SEC_TOKEN_DIRECTORY=$BATS_TEST_TMPDIR/tokens
  mkdir -p "$_CONDOR_SEC_TOKEN_DIRECTORY"
  (umask 077 && "$TESTS_DIR/pool/pool.sh" token "$1" alice@pool.test >"$_CONDOR_SEC_TOKEN_DIRECTORY/login")
}

# ---- He can do what he says ----

@test "where the session is not bound to the login, a man in the middle reads everything" {
  methods CLAIMTOBE
  for release in "${RELEASES[@]}"; do
    approved "$release" swap-keys
    assert_golden real_middleman/control
    he_has "ClientId = \"$CLIENT_ID\""
    he_has "User = \"alice@$DOMAIN\""
    he_has "Token = \"$(cat "$BATS_TEST_TMPDIR/stdout")\""
  done
}

@test "whoever has a certificate that is trusted is the server" {
  for release in "${RELEASES[@]}"; do
    enter_pool "$release"
    export POOL_CA=$MIDDLEMAN_CERTIFICATE.pem
    sed "s|^POOL_CA=.*|POOL_CA='$POOL_CA'|" "$(path="POOL_ENV_${release^^}" && echo "${!path}")" >"$BATS_TEST_TMPDIR/env"
    export POOL_ENV_OTHER=$BATS_TEST_TMPDIR/env
    against other own-certificate "${at_once[@]}"
    he_has 'the client takes his certificate'
    he_has "User = \"condor@$DOMAIN\""
  done
}

# ---- SSL: he changes nothing that matters ----

@test "a request that waits for approval tells a man in the middle nothing" {
  for release in "${RELEASES[@]}"; do
    approved "$release" swap-keys
    assert_golden real_middleman/approved
    he_knows_nothing
  done
}

@test "a request that is approved at once tells a man in the middle nothing" {
  keeps_to_itself none approved-at-once
  keeps_to_itself swap-keys approved-at-once
}

# ---- SSL: he changes the keys ----

@test "a server that was sent somebody else's key, and so sends none, is not spoken to in the clear" {
  keeps_to_itself add-own-key no-session-key
}

@test "nor does a forged session key help" {
  keeps_to_itself add-own-key-forge-zeros does-not-decrypt
  keeps_to_itself add-own-key-forge-random does-not-decrypt
}

@test "a key that nobody asked for is refused" {
  keeps_to_itself add-key-to-reply
}

@test "a session key that is taken away is missed" {
  keeps_to_itself int-zero no-session-key
}

@test "a session key that is exchanged does not fit" {
  keeps_to_itself zero-wrapped does-not-decrypt
  keeps_to_itself random-wrapped does-not-decrypt
}

# ---- SSL: he changes what was agreed, or what was sent ----

@test "a reply without encryption, authentication or AES is refused" {
  keeps_to_itself downgrade-cipher
  keeps_to_itself encryption-no
  keeps_to_itself authentication-no
}

@test "what the server said before the encryption cannot be altered" {
  keeps_to_itself edit-session does-not-decrypt
}

@test "a flipped bit is noticed, whoever sent it" {
  keeps_to_itself flip-server does-not-decrypt
  keeps_to_itself flip-client
}

# ---- SSL: he changes the method ----

@test "without SSL there is no login when nothing else is wanted" {
  keeps_to_itself strip-ssl
  keeps_to_itself strip-ssl-from-offer strip-ssl
  keeps_to_itself choose-nothing
}

@test "a method that was not offered is not used" {
  keeps_to_itself choose-claimtobe
  keeps_to_itself choose-anonymous
  keeps_to_itself choose-token
}

@test "a certificate that nobody vouches for is refused" {
  keeps_to_itself own-certificate
}

# ---- Other methods after SSL ----

# By default FS comes first on one machine. With a directory of its own it cannot succeed, so SSL and what follows show.
default_methods_without_fs() {
  unset _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS
  export _CONDOR_FS_LOCAL_DIR=$PWD
}

@test "by default the command goes on with its own token, and says so once" {
  default_methods_without_fs
  for attack in own-certificate strip-ssl; do
    for release in "${RELEASES[@]}"; do
      put_token "$release"
      against "$release" "$attack" "${at_once[@]}"
      assert_golden real_middleman/goes-on-with-token
      [[ $(grep -c WARNING "$BATS_TEST_TMPDIR/stderr") == 1 ]]
      [[ $(offered) == $'FS\nSSL\nTOKEN' ]]
      # He relays this login, so he learns no more here. He could swap its keys: that is what the warning is about.
      he_knows_nothing
    done
  done
}

every_method=CLAIMTOBE,FS,FS_REMOTE,NTSSPI,KERBEROS,ANONYMOUS,SSL,PASSWORD,MUNGE,TOKEN,SCITOKENS

@test "by default nothing that proves no server is tried instead" {
  default_methods_without_fs
  for attack in own-certificate strip-ssl choose-claimtobe choose-anonymous; do
    for release in "${RELEASES[@]}"; do
      against "$release" "$attack" "${at_once[@]}"
      [[ $status == 4 && ! -s $BATS_TEST_TMPDIR/stdout ]]
      [[ $(offered) == $'FS\nSSL' || $(offered) == $'FS\nSSL\n'"$every_method" ]]
      he_knows_nothing
    done
  done
}

@test "what the user names is tried, and said" {
  methods SSL,CLAIMTOBE
  keeps_to_itself own-certificate goes-on-with-claimtobe
  keeps_to_itself strip-ssl goes-on-with-claimtobe
}

@test "interference with a login over SSL does not lead to another method" {
  methods SSL,IDTOKENS,CLAIMTOBE
  for release in "${RELEASES[@]}"; do
    put_token "$release"
    for attack in add-own-key int-zero edit-session choose-claimtobe; do
      against "$release" "$attack" "${at_once[@]}"
      [[ $status == 4 && ! -s $BATS_TEST_TMPDIR/stdout ]]
      [[ $(offered) == SSL ]]
      he_knows_nothing
    done
  done
}

# ---- While the request waits ----

@test "a forgotten session is replaced under the same rules, and the wait goes on" {
  THEN=add-own-key
  for release in "${RELEASES[@]}"; do
    approved "$release" forget-session
    assert_golden real_middleman/forgotten
    he_has 'he says that the session is forgotten'
    [[ $(offered) == $'SSL\nSSL\nSSL' ]]
    he_knows_nothing
  done
}

@test "a request that began over SSL never goes on with another method" {
  methods SSL,IDTOKENS,CLAIMTOBE
  THEN=strip-ssl
  for release in "${RELEASES[@]}"; do
    put_token "$release"
    approved "$release" forget-session
    assert_golden real_middleman/stays-with-ssl
    [[ $(offered) == $'SSL\nSSL\nSSL' ]]
    he_knows_nothing
  done
}
