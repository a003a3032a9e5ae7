#!/usr/bin/env bats
# Attacks on the choice of a method: who listens where the pool should be, or sits on the way, wants to be believed without
# proving that he is the pool. Beside each attack stands a control in the same place, which must succeed.
# shellcheck disable=SC2030,SC2031,SC2034,SC2153 # settings of one test; variables of loopback.bash
load events

setup() {
  own_folders
  export _CONDOR_SEC_TOKEN_DIRECTORY=$HOME/tokens.d _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=false
  export _CONDOR_FS_LOCAL_DIR=$PWD/fs
  mkdir fs
}

# pool_of METHODS OPTION...: who takes every request at once; the attacker's, or, as a control, the genuine one
pool_of() { pool_with --methods "$1" --fs-dir "$PWD/fs" --token "$TOKEN" --auto-approve "${@:2}"; }

# asked ARGUMENT...: asks for a token; the pool is where it should be unless they say where
asked() {
  local order=(-identity alice@own.test -pool "$HERE")
  [[ " $* " != *' -pool '* ]] || order=(-identity alice@own.test)
  [[ " $* " != *' -resume '* ]] || order=()
  request "${order[@]}" "$@"
}

# fails ARGUMENT...: nobody got the request, and nothing came of it
fails() {
  local before
  before=$(events '^(start|poll)')
  asked "$@"
  assert_status 4
  lacks "$BATS_TEST_TMPDIR/stdout" "$TOKEN"
  [[ $(events '^(start|poll)') == "$before" ]]
}

# brings METHOD ARGUMENT...: the token, over a session of this method
brings() {
  local before
  before=$(events "^authenticated $1 ")
  asked "${@:2}"
  assert_status 0
  diff "$BATS_TEST_TMPDIR/stdout" - <<<"$TOKEN"
  (($(events "^authenticated $1 ") > before))
}

# says TEXT...: each is on stderr
says() {
  local text
  for text; do
    grep -qF -e "$text" "$BATS_TEST_TMPDIR/stderr" || { cat "$BATS_TEST_TMPDIR/stderr" && return 1; }
  done
}

# token_login: leaves the pool's own token where the client looks for one
token_login() {
  (umask 077 && mkdir -p "$_CONDOR_SEC_TOKEN_DIRECTORY" && printf '%s\n' "$LOOPBACK_TOKEN" >"$_CONDOR_SEC_TOKEN_DIRECTORY/login")
}

# pool_password: leaves the pool's password, scrambled, where the client looks for it
pool_password() {
  export _CONDOR_SEC_PASSWORD_FILE=$PWD/pool_password
  (umask 077 && printf '\xae\xcc\xcd\x9c\xa9\xc2\xcc\x8b' >"$_CONDOR_SEC_PASSWORD_FILE")
}

# configured LINE...: this host has a configuration of these lines
configured() {
  printf '%s\n' "$@" >condor_config
  export CONDOR_CONFIG=$PWD/condor_config
}

# ---- A certificate was asked for ----

@test "with -cafile or -fingerprint a local listener is not believed by FS" {
  local genuine=$BATS_TEST_TMPDIR/genuine.pem print option
  pool_of FS,SSL
  cp "$LOOPBACK_CA" "$genuine"
  print=$(openssl x509 -in "$genuine" -noout -fingerprint -sha256 | sed 's/.*=//')
  for option in "-cafile $genuine" "-fingerprint $print"; do
    # shellcheck disable=SC2086
    brings SSL $option
  done
  brings FS
  pool_of FS,CLAIMTOBE,ANONYMOUS
  for option in "-cafile $genuine" "-fingerprint $print"; do
    # shellcheck disable=SC2086
    fails $option
    says "FS: not used: it does not check the certificate, which ${option%% *} requires"
  done
  brings FS
}

@test "with -cafile neither a key nor a password is a way out" {
  local genuine=$BATS_TEST_TMPDIR/genuine.pem
  pool_of SSL --token-for bob@pool.test
  cp "$LOOPBACK_CA" "$genuine"
  token_login
  pool_password
  authenticate_by IDTOKENS PASSWORD SSL
  brings SSL -cafile "$genuine"
  pool_of IDTOKENS,PASSWORD
  fails -cafile "$genuine"
  says 'IDTOKENS: not used' 'PASSWORD: not used'
  brings PASSWORD
  authenticate_by IDTOKENS SSL
  fails -cafile "$genuine"
  brings IDTOKENS
}

@test "with -cafile the polls keep to the certificate, and so does a request that is resumed" {
  local genuine=$BATS_TEST_TMPDIR/genuine.pem
  authenticate_by FS SSL
  pool_with --methods SSL --token "$TOKEN" --approve-after 0 --forget-sessions
  cp "$LOOPBACK_CA" "$genuine"
  brings SSL -cafile "$genuine"
  [[ $(events '^authenticated SSL') == 2 ]] # once for the poll
  pool_with --methods FS,SSL --fs-dir "$PWD/fs" --token "$TOKEN" --approve-after 0
  asked -json -nowait
  [[ $(field enqueued .method) == FS ]]
  cp "$BATS_TEST_TMPDIR/stdout" request.json
  sed -i "s/:$LOOPBACK_PORT?/:PORT?/" request.json
  # Now somebody else listens there.
  pool_with --methods FS --fs-dir "$PWD/fs" --token "$TOKEN" --pretends
  sed -i "s/:PORT?/:$LOOPBACK_PORT?/" request.json
  fails -resume request.json -cafile "$genuine"
  brings FS -resume request.json
}

@test "-cafile takes a list of methods with SSL in it" {
  pool_of CLAIMTOBE
  authenticate_by IDTOKENS CLAIMTOBE
  asked -cafile "$LOOPBACK_CA"
  assert_status 2
  says "a list that includes SSL: -cafile requires a check of the server's certificate"
  [[ $(events ^connection) == 0 ]]
}

# ---- The name of another machine was typed ----

@test "with an alias of another machine, the far end of a tunnel must prove its identity" {
  local method far
  for method in FS CLAIMTOBE ANONYMOUS; do
    pool_of "$method"
    authenticate_by "$method"
    fails -pool "<127.0.0.1:$LOOPBACK_PORT?alias=cm.example.org>"
    says "$method: not used: it does not authenticate the server as cm.example.org, which is another machine"
    fails -type schedd -name "<127.0.0.1:$LOOPBACK_PORT?alias=cm.example.org>"
    _CONDOR_COLLECTOR_HOST="<127.0.0.1:$LOOPBACK_PORT?alias=cm.example.org>" fails -pool ''
    for far in localhost "$(uname -n)" me.example.org; do
      _CONDOR_NETWORK_HOSTNAME=me.example.org brings "$method" -pool "<127.0.0.1:$LOOPBACK_PORT?alias=$far>"
    done
    brings "$method" -pool "127.0.0.1:$LOOPBACK_PORT"
  done
}

@test "what proves the server goes through a tunnel" {
  local far
  pool_of IDTOKENS,PASSWORD,SSL --token-for bob@pool.test --certificate-name cm.example.org
  far="<127.0.0.1:$LOOPBACK_PORT?alias=cm.example.org>"
  token_login
  pool_password
  for method in IDTOKENS PASSWORD SSL; do
    authenticate_by "$method"
    brings "$method" -pool "$far"
  done
  # By default FS would come first.
  unset _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS
  brings SSL -pool "$far"
}

@test "-verify logs in with the token, whatever -cafile or an alias say" {
  pool_with --methods IDTOKENS,SSL --auto-approve --certificate-name cm.example.org
  asked -pool "<127.0.0.1:$LOOPBACK_PORT?alias=cm.example.org>" -cafile "$LOOPBACK_CA" -verify
  assert_status 0
  says 'Verified: '
  [[ $(events '^authenticated SSL') == 1 && $(events '^authenticated IDTOKENS') == 1 ]]
}

@test "an alias that was not typed says nothing of where the pool is" {
  authenticate_by CLAIMTOBE
  pool_with --methods CLAIMTOBE --token "$TOKEN" --approve-after 0 \
    --ad 'Type=Scheduler;Name=s1@cm.test;Machine=cm.test;MyAddress=<127.0.0.1:{port}?alias=cm.test>'
  brings CLAIMTOBE -type schedd -name s1@cm.test
  asked -json -nowait
  sed 's/alias=localhost/alias=cm.test/' "$BATS_TEST_TMPDIR/stdout" >request.json
  brings CLAIMTOBE -resume request.json
  echo "<127.0.0.1:$LOOPBACK_PORT?alias=cm.test>" >address
  export _CONDOR_SCHEDD_ADDRESS_FILE=$PWD/address _CONDOR_COLLECTOR_HOST=127.0.0.1:1
  brings CLAIMTOBE -type schedd -pool ''
}

@test "a daemon of a pool behind a tunnel is not on this machine either" {
  local ad='Type=Scheduler;Name=s1;MyAddress=<127.0.0.1:{port}>'
  pool_of FS,IDTOKENS,SSL --token-for bob@pool.test --certificate-name cm.example.org --ad "$ad"
  fails -pool "<127.0.0.1:$LOOPBACK_PORT?alias=cm.example.org>" -type schedd
  says 'FS: not used: '
  brings FS -type schedd
}

# ---- No step down ----

# The line that a package puts on every host of a pool.
TEMPLATE='use security:get_htcondor_idtokens'

@test "on a host with the usual template, nobody is believed because SSL is not to be had" {
  configured "$TEMPLATE" "CONDOR_HOST = localhost"
  pool_of ANONYMOUS,CLAIMTOBE
  fails
  says "ANONYMOUS: not used beside IDTOKENS, KERBEROS, SCITOKENS and SSL: it does not authenticate the server; to allow it, remove those methods from SEC_CLIENT_AUTHENTICATION_METHODS ($PWD/condor_config:1)"
  fails -token cm.example.org -strict -json -quiet
  [[ ! -e $_CONDOR_SEC_TOKEN_DIRECTORY/cm.example.org ]]
  # It knows SSL, with a certificate that nobody vouches for.
  pool_of SSL,ANONYMOUS
  unset _CONDOR_AUTH_SSL_CLIENT_CAFILE
  fails
  # Who wants it so, says so.
  configured "$TEMPLATE" 'CONDOR_HOST = localhost' 'SEC_CLIENT_AUTHENTICATION_METHODS = ANONYMOUS'
  brings ANONYMOUS
  configured "$TEMPLATE" 'CONDOR_HOST = localhost'
  authenticate_by ANONYMOUS
  brings ANONYMOUS
}

@test "a template names no method for the user" {
  pool_of ANONYMOUS,CLAIMTOBE
  # Of the list in force, CLAIMTOBE is the user's and ANONYMOUS the template's.
  configured "$TEMPLATE" 'CONDOR_HOST = localhost' 'SEC_DEFAULT_AUTHENTICATION_METHODS = CLAIMTOBE'
  brings CLAIMTOBE
  pool_of ANONYMOUS
  fails
  says 'ANONYMOUS: not used: only a template names it'
}

@test "a method list with SSL never leads to a method that does not prove the server" {
  local method methods
  for method in CLAIMTOBE ANONYMOUS FS; do
    for methods in "SSL $method" "IDTOKENS SSL $method" "SSL $method PASSWORD"; do
      pool_of "$method"
      # shellcheck disable=SC2086
      authenticate_by $methods
      fails
      says "$method: not used"
      says 'SEC_CLIENT_AUTHENTICATION_METHODS (environment variable'
    done
    authenticate_by "$method"
    brings "$method"
  done
}

@test "nor does one with a method that is not to be had" {
  local list
  pool_of CLAIMTOBE
  for list in 'IDTOKENS CLAIMTOBE' 'KERBEROS CLAIMTOBE' 'SCITOKENS CLAIMTOBE' 'PASSWORD CLAIMTOBE'; do
    # shellcheck disable=SC2086
    authenticate_by $list
    fails
  done
  authenticate_by CLAIMTOBE
  brings CLAIMTOBE
}

@test "the server does not choose a method that proves nothing from among better ones" {
  pool_of CLAIMTOBE,FS,IDTOKENS --token-for bob@pool.test
  token_login
  authenticate_by IDTOKENS CLAIMTOBE
  brings IDTOKENS
  authenticate_by IDTOKENS FS
  brings IDTOKENS
  authenticate_by FS IDTOKENS
  brings FS
  authenticate_by CLAIMTOBE FS
  brings CLAIMTOBE
}

@test "FS is used where it comes first, or where nothing before it can be" {
  pool_of FS,IDTOKENS,SSL --token-for bob@pool.test
  authenticate_by FS SSL
  brings FS -strict
  authenticate_by IDTOKENS FS
  brings FS # there is no token
  token_login
  brings IDTOKENS
  pool_of FS
  fails
  says 'FS: not used after IDTOKENS: it does not authenticate the server; to allow it, put it first in SEC_CLIENT_AUTHENTICATION_METHODS (environment'
  authenticate_by SSL FS
  fails
  # With an address alone no certificate can be checked.
  brings FS -pool "127.0.0.1:$LOOPBACK_PORT"
}

@test "a password goes on where SSL does not, and not where the certificate is another one than before" {
  pool_of SSL,PASSWORD
  pool_password
  authenticate_by SSL PASSWORD
  unset _CONDOR_AUTH_SSL_CLIENT_CAFILE
  export _CONDOR_SEC_KNOWN_HOSTS=$PWD/known_hosts
  brings PASSWORD # nobody vouches for the certificate
  echo 'localhost SSL @trusted' >known_hosts
  fails
  says 'a CA verified localhost before'
  [[ $(events '^authenticated PASSWORD') == 1 ]]
  printf '!localhost SSL %s\n' "$(openssl x509 -in "$LOOPBACK_CA" -outform DER | base64 -w 0)" >known_hosts
  fails
  says 'the certificate is refused'
  [[ $(events '^authenticated PASSWORD') == 1 ]]
}

@test "after SSL a password comes before a token, in a connection of its own" {
  pool_of PASSWORD,SSL,IDTOKENS --token-for bob@pool.test
  pool_password
  token_login
  authenticate_by IDTOKENS SSL PASSWORD
  brings SSL # though the pool would rather have a password
  pool_of PASSWORD,IDTOKENS --token-for bob@pool.test
  token_login
  brings PASSWORD
  diff <(sed -nE 's/^policy [0-9]+ //p' "$LOOPBACK_LOG") <(printf 'bound %s\n' SSL PASSWORD)
  rm "$_CONDOR_SEC_PASSWORD_FILE"
  brings IDTOKENS
  says 'WARNING: SSL failed, and PASSWORD could not be tried; continuing with IDTOKENS'
}

# ---- What scripts learn of it ----

@test "the issued event says by what the token came, and what was warned about" {
  pool_of IDTOKENS,SSL --token-for bob@pool.test --certificate-name cm.example.org
  token_login
  authenticate_by SSL IDTOKENS
  asked -json -quiet
  assert_status 0
  [[ $(names) == issued && $(field issued '[.method, .session] | join(" ")') == 'IDTOKENS unbound' ]]
  field issued '.warnings[]' | grep -F 'SSL failed; continuing with IDTOKENS. A man in the middle could read this session, including the token.'
  asked -json -quiet -pool "<127.0.0.1:$LOOPBACK_PORT?alias=cm.example.org>"
  [[ $(field issued '[.method, .session, (.warnings | length)] | join(" ")') == 'SSL bound 0' ]]
}

@test "the fallback warning names the methods that failed or could not be tried, and no other" {
  pool_with --methods IDTOKENS,SSL --token-for bob@pool.test --certificate-name cm.example.org --auto-approve --token "$TOKEN"
  token_login
  authenticate_by SSL IDTOKENS
  asked -pool "127.0.0.1:$LOOPBACK_PORT"
  assert_status 0
  says 'WARNING: SSL could not be tried; continuing with IDTOKENS.'
  authenticate_by PASSWORD IDTOKENS
  asked
  assert_status 0
  says 'WARNING: PASSWORD could not be tried; continuing with IDTOKENS.'
  lacks "$BATS_TEST_TMPDIR/stderr" SSL
  authenticate_by SSL PASSWORD IDTOKENS
  asked
  assert_status 0
  says 'WARNING: SSL failed, and PASSWORD could not be tried; continuing with IDTOKENS.'
  authenticate_by IDTOKENS
  asked
  assert_status 0
  lacks "$BATS_TEST_TMPDIR/stderr" 'continuing with'
}

@test "-strict fails when the token came over a session that SSL would have protected" {
  pool_with --methods IDTOKENS,SSL --token-for bob@pool.test --certificate-name cm.example.org --auto-approve
  token_login
  authenticate_by SSL IDTOKENS
  asked -strict -json
  assert_status 1
  [[ $(names) == 'issued failed' && $(field failed .code) == not_as_requested ]]
  field failed '.details[]' | grep -F 'SSL failed, so the token came over IDTOKENS'
  asked -json
  assert_status 0
  asked -strict -pool "<127.0.0.1:$LOOPBACK_PORT?alias=cm.example.org>"
  assert_status 0
  authenticate_by IDTOKENS
  asked -strict
  assert_status 0
  # After a wait it is the session of the last poll that counts.
  pool_with --methods IDTOKENS,SSL --token-for bob@pool.test --certificate-name cm.example.org --approve-after 1
  token_login
  authenticate_by SSL IDTOKENS
  REQUEST_MAIN=Harness asked -strict -json
  assert_status 1
  [[ $(names) == 'enqueued issued failed' && $(field issued .method) == IDTOKENS ]]
}

# ---- A request that goes on ----

@test "what began with a proof of the server goes on with no less" {
  pool_with --methods IDTOKENS --token-for bob@pool.test --token "$TOKEN" --approve-after 0
  token_login
  asked -json -nowait
  [[ $(field enqueued .method) == IDTOKENS ]]
  cp "$BATS_TEST_TMPDIR/stdout" request.json
  brings IDTOKENS -resume request.json
  sed -i "s/:$LOOPBACK_PORT?/:PORT?/" request.json
  pool_with --methods FS,CLAIMTOBE --fs-dir "$PWD/fs" --token "$TOKEN" --pretends
  sed -i "s/:PORT?/:$LOOPBACK_PORT?/" request.json
  fails -resume request.json
  authenticate_by CLAIMTOBE
  fails -resume request.json
  says 'The request was submitted with IDTOKENS, which authenticates the server, and can be resumed only so'
  # One that began without goes on so.
  jq -c '.method = "CLAIMTOBE"' request.json >other.json
  brings CLAIMTOBE -resume other.json
}
