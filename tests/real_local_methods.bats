#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031,SC2153 # each test is a subshell; RELEASES is set by real
# The methods that use what a site's machines share, against real pools: MUNGE (pool.sh munge), FS_REMOTE, and IDTOKENS with
# the pool's signing key.
load real

setup_file() {
  [[ ${TOKEN_REQUEST_REAL-no} != no ]] || return 0
  # The pools have the machine's /tmp, so that this is the directory that a file server would share.
  SHARED=$(mktemp -d /tmp/real_local_methods.XXXXXX)
  export SHARED
  chmod 1777 "$SHARED"
  for RELEASE in "${RELEASES[@]}"; do
    pool configure <<<"SEC_DEFAULT_AUTHENTICATION_METHODS = FS, IDTOKENS, MUNGE, FS_REMOTE, SSL, CLAIMTOBE
FS_REMOTE_DIR = $SHARED" >/dev/null 2>&1
    pool munge >"$BATS_FILE_TMPDIR/munge.$RELEASE" 2>/dev/null
    pool auto-approve on >/dev/null 2>&1
  done
}

# HTCondor 23 remembers what it offered, until its collector is another.
teardown_file() {
  every_pool auto-approve off
  every_pool configure
  every_pool restart-collector
  [[ -z ${SHARED-} ]] || rm -rf "$SHARED"
}

# by METHOD RELEASE: takes that pool, as root of a machine of its site; KEY is IDTOKENS with the pool's signing key
by() {
  on "$2"
  case $1 in
    MUNGE)
      # shellcheck source=/dev/null
      source "$BATS_FILE_TMPDIR/munge.$RELEASE"
      authenticate_by MUNGE
      export MUNGE_SOCKET=$POOL_MUNGED _CONDOR_MUNGE_POOL_UID=$POOL_UID
      LOGIN='MUNGE as root@pool.test; the session is bound'
      ;;
    FS_REMOTE)
      authenticate_by FS_REMOTE
      allow_fs
      export _CONDOR_FS_REMOTE_DIR=$SHARED
      LOGIN='FS_REMOTE as (root|condor)@pool.test; the session is unbound'
      ;;
    KEY)
      authenticate_by IDTOKENS
      with_key
      LOGIN='IDTOKENS as condor@password; the session is unbound'
      ;;
  esac
}

# with_key: as on the pool's own machine
with_key() { export _CONDOR_SEC_PASSWORD_DIRECTORY=$POOL_ROOT/etc/condor/passwords.d _CONDOR_TRUST_DOMAIN=pool.test; }

says() { grep -F -e "$1" "$BATS_TEST_TMPDIR/stderr" || { cat "$BATS_TEST_TMPDIR/stderr" && return 1; }; }

logged_in() {
  grep -E "\(D_SECURITY\) Authenticated with $LOGIN" "$BATS_TEST_TMPDIR/stderr" ||
    { cat "$BATS_TEST_TMPDIR/stderr" && return 1; }
}

pending() {
  by "$1" "$2"
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
  [[ -z $(ls -A "$SHARED") ]]
}

@test "stable: MUNGE brings a token that an administrator approves" { pending MUNGE stable; }
@test "testing: MUNGE brings a token that an administrator approves" { pending MUNGE testing; }
@test "stable: FS_REMOTE brings a token that an administrator approves" { pending FS_REMOTE stable; }
@test "testing: FS_REMOTE brings a token that an administrator approves" { pending FS_REMOTE testing; }
@test "stable: the signing key brings a token that an administrator approves" { pending KEY stable; }
@test "testing: the signing key brings a token that an administrator approves" { pending KEY testing; }

approved_by_rule() {
  by "$1" "$2"
  request -pool "$HERE" "${AUTO_APPROVED[@]}" -verify -debug
  assert_status 0
  assert_auto_approved_claims "$BATS_TEST_TMPDIR/stdout"
  assert_no_secrets "$BATS_TEST_TMPDIR/stdout"
  logged_in
  request -pool "$HERE" "${AUTO_APPROVED[@]}" -verify -token mine
  assert_status 0
  assert_auto_approved_claims "$HOME/made/tokens.d/mine"
}

@test "stable: MUNGE brings a token that a rule approves" { approved_by_rule MUNGE stable; }
@test "testing: MUNGE brings a token that a rule approves" { approved_by_rule MUNGE testing; }
@test "stable: FS_REMOTE brings a token that a rule approves" { approved_by_rule FS_REMOTE stable; }
@test "testing: FS_REMOTE brings a token that a rule approves" { approved_by_rule FS_REMOTE testing; }
@test "stable: the signing key brings a token that a rule approves" { approved_by_rule KEY stable; }
@test "testing: the signing key brings a token that a rule approves" { approved_by_rule KEY testing; }

resumed() {
  by "$1" "$2"
  request -pool "$HERE" "${PENDING[@]}" -json -nowait
  assert_status 0
  cp "$BATS_TEST_TMPDIR/stdout" saved
  pool approve "$(jq -r 'select(.event == "enqueued").request_id' saved)" >/dev/null 2>&1
  request -resume saved -verify -debug
  assert_status 0
  logged_in
  assert_pending_claims "$BATS_TEST_TMPDIR/stdout"
}

@test "stable: a request over MUNGE is resumed over MUNGE" { resumed MUNGE stable; }
@test "testing: a request over MUNGE is resumed over MUNGE" { resumed MUNGE testing; }
@test "stable: a request over FS_REMOTE is resumed over FS_REMOTE" { resumed FS_REMOTE stable; }
@test "testing: a request over FS_REMOTE is resumed over FS_REMOTE" { resumed FS_REMOTE testing; }
@test "stable: a request with the signing key is resumed with it" { resumed KEY stable; }
@test "testing: a request with the signing key is resumed with it" { resumed KEY testing; }

# ---- The signing key ----

roots_way_in() {
  on "$1"
  with_key
  unset _CONDOR_AUTH_SSL_CLIENT_CAFILE
  export _CONDOR_FS_LOCAL_DIR=/nonexistent _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=false
  request -pool "$HERE" "${AUTO_APPROVED[@]}" -file here -debug
  assert_status 0
  [[ $(grep -Eo '\) (FS|SSL) failed|\) Authenticated with [A-Z]+ as [a-z@]+' "$BATS_TEST_TMPDIR/stderr") == \
    $') FS failed\n) SSL failed\n) Authenticated with IDTOKENS as condor@password' ]] || { cat "$BATS_TEST_TMPDIR/stderr" && return 1; }
  says "with the pool's signing key $POOL_ROOT/etc/condor/passwords.d/POOL."
  # No part of the token that the client makes, and of the key, is shown or kept. The delivered token is the control.
  if grep -E 'eyJ|"exp"' "$BATS_TEST_TMPDIR/stderr"; then return 1; fi
  [[ $(grep -rl eyJ "$HOME" "$PWD") == "$PWD/here" ]]

  # With a certificate asked for, the key is left alone.
  request -pool "$HERE" "${AUTO_APPROVED[@]}" -cafile "$POOL_CA" -debug
  assert_status 0
  ! grep -F 'signing key' "$BATS_TEST_TMPDIR/stderr"
}

@test "stable: root gets in without a token on the pool's own machine where FS is refused" { roots_way_in stable; }
@test "testing: root gets in without a token on the pool's own machine where FS is refused" { roots_way_in testing; }

# ---- MUNGE ----

# munge_then_ssl: MUNGE fails, and SSL brings the token
munge_then_ssl() {
  authenticate_by MUNGE SSL
  request -pool "$HERE" "${AUTO_APPROVED[@]}" -debug
  let_go
  assert_status 0
  says 'Authenticated with SSL as '
}

next_method() {
  by MUNGE "$1"
  # The pool cannot decrypt what is for somebody else.
  _CONDOR_MUNGE_POOL_UID=12345 munge_then_ssl
  says 'MUNGE failed: the pool did not accept the credential: '
  says 'only user 12345 can decrypt it'
  hold munged
  munge_then_ssl
  says "MUNGE failed: munged at $POOL_MUNGED does not answer; it may be stopped"
  authenticate_by MUNGE
  MUNGE_SOCKET=$PWD/none request -pool "$HERE" "${AUTO_APPROVED[@]}"
  assert_status 4
  says "MUNGE: no munged here: $PWD/none does not exist"
  # The control.
  request -pool "$HERE" "${AUTO_APPROVED[@]}" -debug
  assert_status 0
  logged_in
}

@test "stable: a pool that refuses the credential, and a stopped munged, are left for the next method" { next_method stable; }
@test "testing: a pool that refuses the credential, and a stopped munged, are left for the next method" { next_method testing; }

# behind ATTACK ARGUMENT...: the request goes through a man in the middle; sets status, leaves what he read in loot
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
  request -pool "$POOL_HOST:$(sed 's/.*=//' "$port")" "${AUTO_APPROVED[@]}" -timeout 0 "${@:2}"
  exec {life}>&-
  wait "$him"
  rm life
}

# What only an encrypted message holds: the request with its client ID, and the token.
SECRETS='ClientId|LimitAuthorization|ADVERTISE_STARTD|eyJ'

middleman() {
  local attack
  by MUNGE "$1"
  # The control: he can pass on the whole login, and it succeeds.
  behind none
  assert_status 0
  grep -Eq '^== server sealed' loot
  for attack in swap-keys add-own-key-forge-zeros add-key-to-reply int-zero zero-wrapped choose-claimtobe; do
    behind "$attack"
    echo "$attack: $status"
    if grep -aE "$SECRETS" loot; then return 1; fi
    [[ $attack == swap-keys ]] || [[ $status == [34] ]]
  done
}

@test "stable: a man in the middle reads nothing of a login by MUNGE" { middleman stable; }
@test "testing: a man in the middle reads nothing of a login by MUNGE" { middleman testing; }

# decoded USER: whether munged decodes the credential in loot for that user, who reads the secret then
decoded() {
  # shellcheck disable=SC2016 # for the shell in there
  grep -aoE 'MUNGE:[A-Za-z0-9+/=]+:' loot | head -n 1 |
    pool exec sh -c 'setpriv --reuid="$1" --clear-groups unmunge --metadata=- --output=/dev/null 2>&1' sh "$1" | tee decoded
  grep -E '^STATUS: +(Success|Replayed)' decoded
}

for_the_pool_alone() {
  by MUNGE "$1"
  behind none
  assert_status 0
  [[ -s loot ]]
  if decoded root || decoded alice; then return 1; fi
  grep 'Unauthorized credential for client' decoded
  decoded condor
  # Without the user of the pool's daemons, all of the site can read it, and a warning says so.
  _CONDOR_MUNGE_POOL_UID=any behind none
  assert_status 0
  says 'WARNING: With MUNGE every user of the site could read this session'
  decoded alice
}

@test "stable: only the pool's user can decode the credential" { for_the_pool_alone stable; }
@test "testing: only the pool's user can decode the credential" { for_the_pool_alone testing; }

# ---- FS_REMOTE ----

directories() {
  by FS_REMOTE "$1"
  chgrp 65534 "$SHARED"
  chmod 3777 "$SHARED"
  request -pool "$HERE" "${AUTO_APPROVED[@]}" -debug
  chmod g-s "$SHARED"
  assert_status 0
  logged_in
  [[ -z $(ls -A "$SHARED") ]]

  # HTCondor 23 names a directory without its address.
  unset _CONDOR_SEC_FS_ENFORCE_CHANNEL_BINDING
  request -pool "$HERE" "${AUTO_APPROVED[@]}"
  if [[ $RELEASE == stable ]]; then
    assert_status 4
    says "FS_REMOTE: the server's directory name does not contain its address"
  else
    assert_status 0
  fi
  _CONDOR_FS_REMOTE_DIR=$PWD request -pool "$HERE" "${AUTO_APPROVED[@]}"
  assert_status 4
  says "FS_REMOTE: the pool named $SHARED/FS_REMOTE_"
  _CONDOR_FS_REMOTE_DIR=$PWD/none request -pool "$HERE" "${AUTO_APPROVED[@]}"
  assert_status 4
  says "FS_REMOTE: FS_REMOTE_DIR = $PWD/none (environment variable _CONDOR_FS_REMOTE_DIR) is not a directory on this machine"
}

@test "stable: FS_REMOTE works below a setgid directory, and refuses a name without an address" { directories stable; }
@test "testing: FS_REMOTE works below a setgid directory, and in no other directory" { directories testing; }
