#!/usr/bin/env bats
# A man in the middle, between the command and a real pool, must neither read nor change the request and the token.
# Every test runs against both releases, through tests/support/MiddleMan.java, which lists the attacks. They differ in
# nothing that the command says, so they share their goldens.
#
# Two requests are used. One is approved at once by a rule (condor@..., ADVERTISE_STARTD); the other waits for approval.
load real

DOMAIN=secret.test # occurs nowhere but in the requests

setup_file() {
  [[ ${TOKEN_REQUEST_REAL-no} != no ]] || return 0
  local options
  export BATS_TEST_TIMEOUT=60 # a command that takes his word for something may wait for an hour
  read -ra options <<<"$TOKEN_REQUEST_JAVA_OPTIONS"
  export ORDERS=$BATS_FILE_TMPDIR/orders MIDDLEMAN_CERTIFICATE=$BATS_FILE_TMPDIR/middleman
  # He lives until his stdin ends: until this process closes it, or ends itself.
  mkfifo "$BATS_FILE_TMPDIR/life"
  java "${options[@]}" -cp "$TOKEN_REQUEST_CLASSPATH" tokenrequest.MiddleMan --orders "$ORDERS" \
    <"$BATS_FILE_TMPDIR/life" >"$BATS_FILE_TMPDIR/port" 2>"$BATS_FILE_TMPDIR/complaints" 3>&- &
  MIDDLEMAN=$!
  exec {LIFE}>"$BATS_FILE_TMPDIR/life"
  every_pool auto-approve on
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
  every_pool auto-approve off
}

# certificate: a self-signed one of his own, for the pools' host name
certificate() {
  local name=POOL_ENV_${RELEASES[0]^^}
  # shellcheck source=/dev/null
  name=$(source "${!name}" && echo "$POOL_HOST")
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj '/CN=man in the middle' \
    -addext "subjectAltName=DNS:$name" -keyout "$MIDDLEMAN_CERTIFICATE.key" -out "$MIDDLEMAN_CERTIFICATE.pem"
  openssl pkcs12 -export -passout pass:changeit -in "$MIDDLEMAN_CERTIFICATE.pem" -inkey "$MIDDLEMAN_CERTIFICATE.key" \
    -out "$MIDDLEMAN_CERTIFICATE.p12"
}

# soon COMMAND...: waits until it succeeds
soon() {
  local deadline=$((SECONDS + EVENTUALLY))
  until "$@" 2>/dev/null; do
    ((SECONDS < deadline)) || return 1
    sleep 0.05
  done
}

# behind RELEASE [METHOD...]: takes that pool, for the user of these settings; SSL unless others are named
behind() {
  on "$1"
  authenticate_by "${@:2}"
  (($# > 1)) || authenticate_by SSL
  # The CAs of this machine would be counted in a message.
  export _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=false
  THEN=none
}

# against ATTACK ARGUMENT...: requests a token through the man in the middle. Leaves what he read in $LOOT, and takes from
# the record what differs between machines, releases and runs. THEN is what follows forget-session.
against() {
  local attack=$1 rules
  shift
  LOOT=$BATS_TEST_TMPDIR/loot.$attack
  printf '%s\n' --pool "127.0.0.1:$POOL_PORT" --attack "$attack" --then "$THEN" --loot "$LOOT" \
    --certificate "$MIDDLEMAN_CERTIFICATE.p12" >"$ORDERS"
  request -pool "$POOL_HOST:$MIDDLEMAN_PORT" "$@"
  rules=(
    's/ -pool [^ ]+/ -pool <HOST>:<PORT>/'
    "s/\b$POOL_HOST:[0-9]+\b/<HOST>:<PORT>/g"
    's/-reqid [0-9]{7}\b/-reqid <ID>/'
    's/<(127\.0\.0\.1|\[::1\]):<PORT>\?[^ >]*>/<POOL>/g'
    's/^Request [0-9]{7} /Request <ID> /'
    's/^(  The pool offers: ).*/\1<WHAT HE LETS PASS>/' # the releases have different methods left
    's/\b([0-9a-f]{2}:){31}[0-9a-f]{2}\b/<FINGERPRINT>/g'
    's/eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_.-]+/<TOKEN>/'
    "s|$POOL_CA|<CA>|g"
  )
  sed -E -i "${rules[@]/#/-e}" "$BATS_TEST_TMPDIR/record"
}

# approved_against ATTACK: the same for a request that an administrator approves as soon as it is there. Sets CLIENT_ID.
approved_against() {
  rm -f "$BATS_TEST_TMPDIR"/{stderr,client_id}
  approve_when_asked >"$BATS_TEST_TMPDIR/approver" 2>&1 3>&- &
  against "$1" -identity "alice@$DOMAIN" -authz ADVERTISE_STARTD
  wait $! || cat "$BATS_TEST_TMPDIR/approver"
  CLIENT_ID=$(cat "$BATS_TEST_TMPDIR/client_id")
  [[ -n $CLIENT_ID ]]
}

approve_when_asked() {
  local id
  soon grep -q 'approve request' "$BATS_TEST_TMPDIR/stderr" || return
  id=$(sed -n 's/.*approve request \([0-9]\{7\}\).*/\1/p' "$BATS_TEST_TMPDIR/stderr")
  pool list | jq -r --arg id "$id" '.[] | select(.RequestId == $id) | .ClientId' >"$BATS_TEST_TMPDIR/client_id"
  pool approve "$id"
}

# at_once: the arguments of a request that a rule approves
at_once=(-identity "condor@$DOMAIN" -authz ADVERTISE_STARTD)

# he_has TEXT: whether it is in what he read
he_has() { grep --quiet --text --fixed-strings -e "$1" "$LOOT"; }

# he_knows_nothing: he saw the conversation, and none of what he is after, in whatever request. (A login with a token shows
# all of that token but its signature.)
he_knows_nothing() {
  local secret secrets=("$DOMAIN" ADVERTISE_STARTD ClientId RequestId 'Token = ' "${CLIENT_ID-ClientId}") file
  for file in "$BATS_TEST_TMPDIR/stdout" "$_CONDOR_SEC_TOKEN_DIRECTORY/login"; do
    [[ ! -s $file ]] || secrets+=("$(sed 's/.*\.//' "$file")")
  done
  he_has '== client in the clear' || { echo "he saw nothing at all" && return 1; }
  for secret in "${secrets[@]}"; do
    ! he_has "$secret" || { echo "he has read $secret" && return 1; }
  done
  ! grep --quiet --text --extended-regexp -e '-[0-9a-f]{32}([^0-9a-f]|$)' "$LOOT" ||
    { echo "he has read a client ID" && return 1; }
}

# ends_as GOLDEN: and he knows nothing
ends_as() {
  assert_golden "real_middleman/$1"
  he_knows_nothing
}

# keeps_to_itself RELEASE ATTACK[=GOLDEN]...: under each attack the command ends as the golden says, which has the attack's
# name unless it is named, and he knows nothing
keeps_to_itself() {
  local attack
  behind "$1"
  for attack in "${@:2}"; do
    against "${attack%=*}" "${at_once[@]}"
    ends_as "${attack#*=}"
  done
}

# fails_and_offers METHODS...: no token; these lists were offered, or one of them
fails_and_offers() {
  local one
  [[ $status == 4 && ! -s $BATS_TEST_TMPDIR/stdout ]]
  he_knows_nothing
  for one; do
    [[ $(offered) != "$one" ]] || return 0
  done
  echo "offered were $(offered)"
  return 1
}

# offered: the methods that the client offered him, a line a login
# Last of all, when nothing has succeeded, it names every method there is, to hear what the pool offers, and hangs up.
offered() {
  tr '\0' '\n' <"$LOOT" | awk '/^== client/ { client = 1 } /^== server/ { client = 0 } client' |
    grep --text -o 'AuthMethods = "[^"]*"' | sed 's/.*"\(.*\)"/\1/'
}

# put_token: gives the command a token of the pool to log in with
put_token() { log_in_with "$(pool token alice@pool.test)"; }

# ---- He can do what he says ----

unbound() {
  behind "$1" CLAIMTOBE
  approved_against swap-keys
  assert_golden real_middleman/control
  he_has "ClientId = \"$CLIENT_ID\""
  he_has "User = \"alice@$DOMAIN\""
  he_has "Token = \"$(cat "$BATS_TEST_TMPDIR/stdout")\""
}

@test "stable: a man in the middle reads everything of an unbound session" { unbound stable; }
@test "testing: a man in the middle reads everything of an unbound session" { unbound testing; }

trusted() {
  behind "$1"
  export _CONDOR_AUTH_SSL_CLIENT_CAFILE=$MIDDLEMAN_CERTIFICATE.pem
  against own-certificate "${at_once[@]}"
  he_has 'the client takes his certificate'
  he_has "User = \"condor@$DOMAIN\""
}

@test "stable: a man in the middle with a trusted certificate counts as the server" { trusted stable; }
@test "testing: a man in the middle with a trusted certificate counts as the server" { trusted testing; }

# ---- SSL: he changes nothing that matters ----

waits() {
  behind "$1"
  approved_against swap-keys
  ends_as approved
}

@test "stable: a request that waits for approval tells a man in the middle nothing" { waits stable; }
@test "testing: a request that waits for approval tells a man in the middle nothing" { waits testing; }

SHOWN=(none=approved-at-once swap-keys=approved-at-once)

@test "stable: a request that is approved at once tells a man in the middle nothing" { keeps_to_itself stable "${SHOWN[@]}"; }
@test "testing: a request that is approved at once tells a man in the middle nothing" { keeps_to_itself testing "${SHOWN[@]}"; }

# ---- SSL: he changes the keys ----

NO_KEY=(add-own-key=no-session-key)

@test "stable: a server that got another key, and so sends none, gets nothing in the clear" { keeps_to_itself stable "${NO_KEY[@]}"; }
@test "testing: a server that got another key, and so sends none, gets nothing in the clear" { keeps_to_itself testing "${NO_KEY[@]}"; }

FORGED=(add-own-key-forge-zeros=does-not-decrypt add-own-key-forge-random=does-not-decrypt)

@test "stable: a forged session key is refused" { keeps_to_itself stable "${FORGED[@]}"; }
@test "testing: a forged session key is refused" { keeps_to_itself testing "${FORGED[@]}"; }

@test "stable: a key that the client did not request is refused" { keeps_to_itself stable add-key-to-reply; }
@test "testing: a key that the client did not request is refused" { keeps_to_itself testing add-key-to-reply; }

@test "stable: a removed session key ends the connection" { keeps_to_itself stable int-zero=no-session-key; }
@test "testing: a removed session key ends the connection" { keeps_to_itself testing int-zero=no-session-key; }

EXCHANGED=(zero-wrapped=does-not-decrypt random-wrapped=does-not-decrypt)

@test "stable: a replaced session key ends the connection" { keeps_to_itself stable "${EXCHANGED[@]}"; }
@test "testing: a replaced session key ends the connection" { keeps_to_itself testing "${EXCHANGED[@]}"; }

# ---- SSL: he changes what was agreed, or what was sent ----

DOWNGRADED=(downgrade-cipher encryption-no authentication-no)

@test "stable: a reply without encryption, authentication or AES is refused" { keeps_to_itself stable "${DOWNGRADED[@]}"; }
@test "testing: a reply without encryption, authentication or AES is refused" { keeps_to_itself testing "${DOWNGRADED[@]}"; }

EDITED=(edit-session=does-not-decrypt)

@test "stable: an alteration of what the server sent before encryption is detected" { keeps_to_itself stable "${EDITED[@]}"; }
@test "testing: an alteration of what the server sent before encryption is detected" { keeps_to_itself testing "${EDITED[@]}"; }

FLIPPED=(flip-server=does-not-decrypt flip-client)

@test "stable: a flipped bit is detected in either direction" { keeps_to_itself stable "${FLIPPED[@]}"; }
@test "testing: a flipped bit is detected in either direction" { keeps_to_itself testing "${FLIPPED[@]}"; }

# ---- SSL: he changes the method ----

STRIPPED=(strip-ssl strip-ssl-from-offer=strip-ssl choose-nothing)

@test "stable: if only SSL is configured, a failure of SSL ends the login" { keeps_to_itself stable "${STRIPPED[@]}"; }
@test "testing: if only SSL is configured, a failure of SSL ends the login" { keeps_to_itself testing "${STRIPPED[@]}"; }

CHOSEN=(choose-claimtobe choose-anonymous choose-token)

@test "stable: a method that was not offered is not used" { keeps_to_itself stable "${CHOSEN[@]}"; }
@test "testing: a method that was not offered is not used" { keeps_to_itself testing "${CHOSEN[@]}"; }

@test "stable: an untrusted certificate is refused" { keeps_to_itself stable own-certificate; }
@test "testing: an untrusted certificate is refused" { keeps_to_itself testing own-certificate; }

# ---- Other methods after SSL ----

# by_default RELEASE: of the default methods FS comes first on one machine. With a directory of its own it cannot succeed,
# so SSL and what follows show.
by_default() {
  behind "$1"
  unset _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS
  export _CONDOR_FS_LOCAL_DIR=$PWD
}

own_token() {
  local attack
  by_default "$1"
  put_token
  for attack in own-certificate strip-ssl; do
    against "$attack" "${at_once[@]}"
    # He relays this login, so he learns no more here. He could swap its keys: that is what the warning is about.
    ends_as goes-on-with-token
    [[ $(grep -c WARNING "$BATS_TEST_TMPDIR/stderr") == 1 ]]
    [[ $(offered) == $'FS\nSSL\nTOKEN' ]]
  done
}

@test "stable: by default the command continues with its own token, with one warning" { own_token stable; }
@test "testing: by default the command continues with its own token, with one warning" { own_token testing; }

every_method=CLAIMTOBE,FS,FS_REMOTE,NTSSPI,KERBEROS,ANONYMOUS,SSL,PASSWORD,MUNGE,TOKEN,SCITOKENS

no_proof() {
  local attack
  by_default "$1"
  for attack in own-certificate strip-ssl choose-claimtobe choose-anonymous; do
    against "$attack" "${at_once[@]}"
    fails_and_offers $'FS\nSSL' $'FS\nSSL\n'"$every_method"
  done
}

@test "stable: by default no method that does not prove the server is tried instead" { no_proof stable; }
@test "testing: by default no method that does not prove the server is tried instead" { no_proof testing; }

named_by_user() {
  behind "$1" SSL CLAIMTOBE
  against own-certificate "${at_once[@]}"
  ends_as stays-with-ssl-not-trusted
  against strip-ssl "${at_once[@]}"
  ends_as stays-with-ssl-stripped
}

@test "stable: a method that does not prove the server does not replace SSL, even if the user names it" { named_by_user stable; }
@test "testing: a method that does not prove the server does not replace SSL, even if the user names it" { named_by_user testing; }

interference() {
  local attack
  behind "$1" SSL IDTOKENS CLAIMTOBE
  put_token
  for attack in add-own-key int-zero edit-session choose-claimtobe; do
    against "$attack" "${at_once[@]}"
    fails_and_offers SSL
  done
}

@test "stable: interference with a login over SSL does not lead to another method" { interference stable; }
@test "testing: interference with a login over SSL does not lead to another method" { interference testing; }

# ---- While the request waits ----

forgotten() {
  behind "$1"
  THEN=add-own-key
  approved_against forget-session
  ends_as forgotten
  he_has 'he says that the session is forgotten'
  [[ $(offered) == $'SSL\nSSL\nSSL' ]]
}

@test "stable: a lost session is replaced under the same rules, and the wait continues" { forgotten stable; }
@test "testing: a lost session is replaced under the same rules, and the wait continues" { forgotten testing; }

stays_with_ssl() {
  behind "$1" SSL IDTOKENS CLAIMTOBE
  THEN=strip-ssl
  put_token
  approved_against forget-session
  ends_as stays-with-ssl
  [[ $(offered) == $'SSL\nSSL\nSSL' ]]
}

@test "stable: a request that began over SSL never continues with another method" { stays_with_ssl stable; }
@test "testing: a request that began over SSL never continues with another method" { stays_with_ssl testing; }
