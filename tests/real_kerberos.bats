#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031,SC2153 # each test is a subshell; RELEASES is set by real
# KERBEROS against real pools, each with a KDC of its own (pool.sh kerberos). JGSS reads krb5.conf once in the life of a
# process, so every client here is one of its own.
load real

export AS_PROCESS=1

setup_file() {
  [[ ${TOKEN_REQUEST_REAL-no} != no ]] || return 0
  for RELEASE in "${RELEASES[@]}"; do
    pool configure <<<'SEC_DEFAULT_AUTHENTICATION_METHODS = FS, IDTOKENS, KERBEROS, SSL, CLAIMTOBE
KERBEROS_SERVER_KEYTAB = /etc/condor/condor.keytab'
    pool kerberos
    pool auto-approve on
  done >/dev/null 2>&1
}

# HTCondor 23 remembers what it offered, until its collector is another.
teardown_file() {
  every_pool configure
  every_pool restart-collector
}

# with_ticket RELEASE: takes that pool, as a user who has said kinit
with_ticket() {
  on "$1"
  authenticate_by KERBEROS
  eval "$(pool kerberos 2>/dev/null)"
  export KRB5_CONFIG=$KDC_CONFIG KRB5CCNAME=FILE:$HOME/krb5cc
  kinit
}

# kinit: gets alice's ticket into the cache
kinit() {
  # shellcheck disable=SC2016 # for the shell in there
  (umask 077 && pool exec sh -ec 'file=$(mktemp)
    echo alice | kinit -c "FILE:$file" alice >/dev/null
    cat "$file"
    rm "$file"' >"$HOME/krb5cc")
}

# kadmin COMMAND: as the realm's administrator
kadmin() { pool exec kadmin.local -q "$1"; }

says() { grep -F -e "$1" "$BATS_TEST_TMPDIR/stderr" || { cat "$BATS_TEST_TMPDIR/stderr" && return 1; }; }

logged_in() {
  grep -F '(D_SECURITY) Authenticated with KERBEROS as alice@pool.test; the session is bound' "$BATS_TEST_TMPDIR/stderr"
}

pending() {
  with_ticket "$1"
  request_and_approve -pool "$HERE" "${PENDING[@]}" -verify -debug
  assert_status 0
  assert_is_token "$BATS_TEST_TMPDIR/stdout"
  assert_pending_claims "$BATS_TEST_TMPDIR/stdout"
  assert_no_secrets "$BATS_TEST_TMPDIR/stdout"
  logged_in
  # The pool itself is the judge of what a token is worth.
  pool ping "$BATS_TEST_TMPDIR/stdout" READ | grep -Eq 'Remote Mapping: +alice@pool\.test$'

  request_and_approve -pool "$HERE" "${PENDING[@]}" -verify -token mine
  assert_status 0
  [[ ! -s $BATS_TEST_TMPDIR/stdout && $(stat -c %a "$HOME/made/tokens.d/mine") == 600 ]]
  assert_pending_claims "$HOME/made/tokens.d/mine"
}

@test "stable: KERBEROS brings a token that an administrator approves" { pending stable; }
@test "testing: KERBEROS brings a token that an administrator approves" { pending testing; }

approved_by_rule() {
  with_ticket "$1"
  request -pool "$HERE" "${AUTO_APPROVED[@]}" -verify -debug
  assert_status 0
  assert_auto_approved_claims "$BATS_TEST_TMPDIR/stdout"
  assert_no_secrets "$BATS_TEST_TMPDIR/stdout"
  logged_in
  request -pool "$HERE" "${AUTO_APPROVED[@]}" -verify -token mine
  assert_status 0
  assert_auto_approved_claims "$HOME/made/tokens.d/mine"
}

@test "stable: KERBEROS brings a token that a rule approves" { approved_by_rule stable; }
@test "testing: KERBEROS brings a token that a rule approves" { approved_by_rule testing; }

resumed() {
  with_ticket "$1"
  request -pool "$HERE" "${PENDING[@]}" -json -nowait
  assert_status 0
  cp "$BATS_TEST_TMPDIR/stdout" saved
  [[ $(jq -r 'select(.event == "enqueued")| "\(.method) \(.session)"' saved) == 'KERBEROS bound' ]] ||
    { cat saved && return 1; }
  pool approve "$(jq -r 'select(.event == "enqueued").request_id' saved)" >/dev/null 2>&1
  request -resume saved -verify -debug
  assert_status 0
  logged_in
  assert_pending_claims "$BATS_TEST_TMPDIR/stdout"
}

@test "stable: a request over KERBEROS is resumed over KERBEROS" { resumed stable; }
@test "testing: a request over KERBEROS is resumed over KERBEROS" { resumed testing; }

every_type() {
  local type principal
  with_ticket "$1"
  principal=host/$POOL_HOST@$KDC_REALM
  for type in 17:aes128-cts-hmac-sha1-96 18:aes256-cts-hmac-sha1-96 19:aes128-cts-hmac-sha256-128 \
    20:aes256-cts-hmac-sha384-192; do
    kadmin "setstr $principal session_enctypes ${type#*:}" >/dev/null
    request -pool "$HERE" "${AUTO_APPROVED[@]}" -debug
    assert_status 0
    says "KERBEROS: using the ticket for $principal (encryption type ${type%%:*})"
  done
  kadmin "delstr $principal session_enctypes" >/dev/null
}

@test "stable: every encryption type of a session key works" { every_type stable; }
@test "testing: every encryption type of a session key works" { every_type testing; }

names() {
  with_ticket "$1"
  # The KDC knows localhost, the reverse name of the address, and not this name, which no host has.
  request -pool "<127.0.0.1:$POOL_PORT?alias=other.pool.test>" "${AUTO_APPROVED[@]}"
  assert_status 0
  says "KERBEROS checks the server as host/localhost@$KDC_REALM, by the reverse name of 127.0.0.1; the KDC does not know host/other.pool.test."

  sed 's/^\[libdefaults\]/&\n  rdns = false/' "$KDC_CONFIG" >krb5.conf
  KRB5_CONFIG=$PWD/krb5.conf request -pool "<127.0.0.1:$POOL_PORT?alias=other.pool.test>" "${AUTO_APPROVED[@]}"
  assert_status 4
  says "  KERBEROS: the KDC of $KDC_REALM does not know host/other.pool.test; name the server as in its principal, or set KERBEROS_SERVER_SERVICE (try: kvno host/other.pool.test)"
}

@test "stable: the typed name comes first, then, with a notice, the reverse name" { names stable; }
@test "testing: the typed name comes first, then, with a notice, the reverse name" { names testing; }

keytab() {
  with_ticket "$1"
  export _CONDOR_KERBEROS_SERVER_KEYTAB=$POOL_ROOT/etc/condor/condor.keytab
  _CONDOR_KERBEROS_SERVER_PRINCIPAL=host/localhost@$KDC_REALM request -pool "$HERE" "${AUTO_APPROVED[@]}" -debug
  assert_status 0
  says "KERBEROS: using the keytab $_CONDOR_KERBEROS_SERVER_KEYTAB for host/localhost@$KDC_REALM"
  says 'Authenticated with KERBEROS as condor@pool.test; the session is bound'
  # A keytab without the principal leaves the cache.
  _CONDOR_KERBEROS_SERVER_PRINCIPAL=host/other@$KDC_REALM request -pool "$HERE" "${AUTO_APPROVED[@]}" -debug
  assert_status 0
  says "KERBEROS: the keytab $_CONDOR_KERBEROS_SERVER_KEYTAB has no key for host/other@$KDC_REALM"
  logged_in
}

@test "stable: root logs in as the host, if the keytab holds it, and else with the cache" { keytab stable; }
@test "testing: root logs in as the host, if the keytab holds it, and else with the cache" { keytab testing; }

stays_in_step() {
  with_ticket "$1"
  # The KDC has another key for the host than the pool.
  kadmin "cpw -randkey host/$POOL_HOST" >/dev/null
  authenticate_by KERBEROS SSL
  request -pool "$HERE" "${AUTO_APPROVED[@]}" -debug
  kadmin "ktadd -k /etc/condor/condor.keytab -norandkey host/$POOL_HOST" >/dev/null
  assert_status 0
  says "KERBEROS failed: the pool did not accept the ticket for host/$POOL_HOST@$KDC_REALM: its key may be new"
  says 'Authenticated with SSL as '
  authenticate_by KERBEROS
  request -pool "$HERE" "${AUTO_APPROVED[@]}" -debug
  assert_status 0
  logged_in
}

@test "stable: a pool that refuses the ticket is left for the next method" { stays_in_step stable; }
@test "testing: a pool that refuses the ticket is left for the next method" { stays_in_step testing; }

built_in_list() {
  with_ticket "$1"
  unset _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS _CONDOR_AUTH_SSL_CLIENT_CAFILE
  export _CONDOR_FS_LOCAL_DIR=/nonexistent _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=false
  request -pool "$HERE" "${AUTO_APPROVED[@]}" -debug
  assert_status 0
  logged_in
  [[ $(grep -Eo '(FS|SSL|KERBEROS) failed|Authenticated with [A-Z]+' "$BATS_TEST_TMPDIR/stderr") == \
    $'FS failed\nSSL failed\nAuthenticated with KERBEROS' ]]
  request -pool "$HERE" "${AUTO_APPROVED[@]}" -cafile "$POOL_CA" -debug
  assert_status 0
  ! grep -E '"KERBEROS"|chose KERBEROS' "$BATS_TEST_TMPDIR/stderr"
}

@test "stable: a user who sets nothing gets in by a ticket where the certificate is not known" { built_in_list stable; }
@test "testing: a user who sets nothing gets in by a ticket where the certificate is not known" { built_in_list testing; }

# ---- A man in the middle ----

# behind ATTACK: the request goes through him; sets status, leaves what he read in loot
behind() {
  local options port=$BATS_TEST_TMPDIR/port life
  rm -f loot "$port"
  mkfifo life
  read -ra options <<<"$TOKEN_REQUEST_JAVA_OPTIONS"
  java "${options[@]}" -cp "$TOKEN_REQUEST_CLASSPATH" tokenrequest.MiddleMan --pool "127.0.0.1:$POOL_PORT" --attack "$1" \
    --loot "$PWD/loot" <life >"$port" 2>complaints 3>&- &
  local him=$!
  exec {life}>life
  until [[ -s $port ]]; do sleep 0.02; done
  request -pool "$POOL_HOST:$(sed 's/.*=//' "$port")" -identity condor@pool.test -authz ADVERTISE_STARTD -lifetime 600 -timeout 0
  exec {life}>&-
  wait "$him"
  rm life
}

middleman() {
  local attack
  with_ticket "$1"
  # The control: he can pass on the whole login, and it succeeds.
  behind none
  assert_status 0
  grep -Eq '^== server sealed' loot
  for attack in swap-keys add-own-key-forge-zeros add-key-to-reply int-zero zero-wrapped choose-claimtobe; do
    behind "$attack"
    echo "$attack: $status"
    # What only an encrypted message holds: the request with its client ID, and the token.
    if grep -aE 'ClientId|LimitAuthorization|ADVERTISE_STARTD|eyJ' loot; then return 1; fi
    [[ $attack == swap-keys ]] || [[ $status == [34] ]]
  done
}

@test "stable: a man in the middle reads nothing of a login by KERBEROS" { middleman stable; }
@test "testing: a man in the middle reads nothing of a login by KERBEROS" { middleman testing; }
