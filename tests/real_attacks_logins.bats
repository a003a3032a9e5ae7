#!/usr/bin/env bats
# A man in the middle of real pools: of a login with a client certificate, which he can take but not in secret, and of
# sessions with an old cipher. tests/support/MiddleMan.java lists the attacks.
# shellcheck disable=SC2030,SC2031 # settings of one test
load real

setup_file() { every_pool auto-approve on; }

teardown_file() {
  every_pool auto-approve off
  every_pool configure
}

# on_pool RELEASE LINE...: that pool with these settings
on_pool() {
  on "$1"
  printf '%s\n' "${@:2}" | pool configure --restart >/dev/null 2>&1
  pool auto-approve on >/dev/null 2>&1
  export _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=false
}

# behind ATTACK: the request goes through him; sets status, leaves what he read in loot
behind() {
  local options port=$BATS_TEST_TMPDIR/port him
  rm -f loot life "$port"
  mkfifo life
  read -ra options <<<"$TOKEN_REQUEST_JAVA_OPTIONS"
  java "${options[@]}" -cp "$TOKEN_REQUEST_CLASSPATH" tokenrequest.MiddleMan --pool "127.0.0.1:$POOL_PORT" --attack "$1" \
    --loot "$PWD/loot" <life >"$port" 2>complaints 3>&- &
  him=$!
  exec {life_kept}>life
  until [[ -s $port ]]; do sleep 0.02; done
  request -pool "$POOL_HOST:$(sed 's/.*=//' "$port")" -identity condor@secret.test -authz ADVERTISE_STARTD
  exec {life_kept}>&-
  wait "$him"
  rm life
}

he_has() { grep -qaF -e "$1" loot; }

# he_knows_nothing: he has seen the conversation, but neither a request nor a token
he_knows_nothing() {
  he_has '== client in the clear'
  ! grep -aE 'ClientId|LimitAuthorization|secret\.test|Token = ' loot
}

says() { grep -qF -e "$1" "$BATS_TEST_TMPDIR/stderr" || { cat "$BATS_TEST_TMPDIR/stderr" && return 1; }; }

takes_login() {
  local attack
  cd "$BATS_TEST_TMPDIR" || return
  {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -subj /CN=users -days 2
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out user.key
    openssl req -new -key user.key -subj /O=test/CN=alice |
      openssl x509 -req -CA ca.pem -CAkey ca.key -CAcreateserial -days 1 -out user.pem
  } 2>/dev/null
  chmod 600 user.key
  cd "$WORK" || return
  on "$1"
  cp "$BATS_TEST_TMPDIR/ca.pem" "$POOL_ROOT/etc/condor/users_ca.pem"
  # shellcheck disable=SC2016 # for the map file
  printf '%s\n' 'SSL "^/O=test/CN=([a-z]+)$" \1@pool.test' >"$POOL_ROOT/etc/condor/users_map"
  on_pool "$1" 'AUTH_SSL_SERVER_CAFILE = /etc/condor/users_ca.pem' 'CERTIFICATE_MAPFILE = /etc/condor/users_map'
  authenticate_by SSL
  export _CONDOR_AUTH_SSL_CLIENT_CERTFILE=$BATS_TEST_TMPDIR/user.pem _CONDOR_AUTH_SSL_CLIENT_KEYFILE=$BATS_TEST_TMPDIR/user.key
  behind none
  assert_status 0
  he_knows_nothing
  # He takes the login. The command tells so, and he gets nothing else.
  for attack in add-own-key add-own-key-forge-zeros add-own-key-forge-random; do
    behind "$attack"
    assert_status 4
    he_has 'alice@pool.test' # his session, opened
    he_knows_nothing
    says 'A man in the middle may have taken the login at '
  done
  for attack in add-key-to-reply int-zero zero-wrapped random-wrapped flip-server edit-session downgrade-cipher encryption-no; do
    behind "$attack"
    assert_status 4
    he_knows_nothing
  done
}
@test "stable: a login with a certificate can be taken, not in secret, and the request stays unread" { takes_login stable; }
@test "testing: a login with a certificate can be taken, not in secret, and the request stays unread" { takes_login testing; }

old_cipher() {
  local cipher attack
  for cipher in BLOWFISH 3DES; do
    on_pool "$1" "SEC_DEFAULT_CRYPTO_METHODS = $cipher"
    export _CONDOR_SEC_CLIENT_CRYPTO_METHODS=$cipher
    # The controls: he reads an unbound session, and passes a bound one on.
    authenticate_by CLAIMTOBE
    behind swap-keys
    assert_status 0
    he_has 'User = "condor@secret.test"'
    he_has "Token = \"$(cat "$BATS_TEST_TMPDIR/stdout")\""
    authenticate_by SSL
    behind none
    assert_status 0
    he_knows_nothing
    for attack in add-own-key add-own-key-forge-zeros add-key-to-reply int-zero zero-wrapped random-wrapped flip-server flip-client \
      encryption-no; do
      behind "$attack"
      he_knows_nothing || { echo "$attack" && return 1; }
      [[ $status == [34] && ! -s $BATS_TEST_TMPDIR/stdout ]] || { echo "$attack: $status" && return 1; }
    done
  done
}
@test "stable: a man in the middle reads nothing of a bound session with an old cipher" { old_cipher stable; }
@test "testing: a man in the middle reads nothing of a bound session with an old cipher" { old_cipher testing; }
