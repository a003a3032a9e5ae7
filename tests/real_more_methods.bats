#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031,SC2153 # each test is a subshell; RELEASES is set by real
# MUNGE with a real munged, FS_REMOTE, and IDTOKENS with the pool's own signing key, against real pools. Two hosts that share
# a directory are in real_network.bats.
load real_events

setup_file() {
  [[ ${TOKEN_REQUEST_REAL-no} != no ]] || return 0
  local options
  for RELEASE in "${RELEASES[@]}"; do
    shared=/tmp/token-request-shared-$RELEASE
    rm -rf "$shared"
    install -d -m 1777 "$shared"
    configure_pool
    pool munge
  done >/dev/null 2>&1
  # The man in the middle lives until his stdin ends.
  read -ra options <<<"$TOKEN_REQUEST_JAVA_OPTIONS"
  export ORDERS=$BATS_FILE_TMPDIR/orders
  mkfifo "$BATS_FILE_TMPDIR/life"
  java "${options[@]}" -cp "$TOKEN_REQUEST_CLASSPATH" tokenrequest.MiddleMan --orders "$ORDERS" \
    <"$BATS_FILE_TMPDIR/life" >"$BATS_FILE_TMPDIR/port" 2>"$BATS_FILE_TMPDIR/complaints" 3>&- &
  MIDDLEMAN=$!
  exec {LIFE}>"$BATS_FILE_TMPDIR/life"
  local deadline=$((SECONDS + EVENTUALLY))
  until [[ -s $BATS_FILE_TMPDIR/port ]]; do
    ((SECONDS < deadline)) || return
    sleep 0.05
  done
  MIDDLEMAN_PORT=$(sed 's/^MIDDLEMAN_PORT=//' "$BATS_FILE_TMPDIR/port")
  export MIDDLEMAN_PORT
}

# configure_pool: the pool takes these methods
configure_pool() {
  pool configure <<<"SEC_DEFAULT_AUTHENTICATION_METHODS = MUNGE, FS_REMOTE, FS, IDTOKENS, SSL, CLAIMTOBE
FS_REMOTE_DIR = /tmp/token-request-shared-$RELEASE"
  pool auto-approve on
}

# HTCondor 23 remembers what it offered, until its collector is another.
teardown_file() {
  [[ -n ${LIFE-} ]] || return 0
  exec {LIFE}>&-
  wait "$MIDDLEMAN" || :
  every_pool configure
  every_pool restart-collector
  for RELEASE in "${RELEASES[@]}"; do rm -rf "/tmp/token-request-shared-$RELEASE"; done
}

teardown() {
  end_client
  let_go
  cd / || return
  rm -rf "${OPEN-}"
}

says() { grep -F -e "$1" "$BATS_TEST_TMPDIR/stderr" || { cat "$BATS_TEST_TMPDIR/stderr" && return 1; }; }

# by METHOD: the client has that method alone, and what it needs; KEY is IDTOKENS by the signing key. Sets `as`, what -debug
# says of the login.
by() {
  case $1 in
    MUNGE)
      authenticate_by MUNGE
      eval "$(pool munge 2>/dev/null)"
      export _CONDOR_MUNGE_SOCKET=$MUNGED_SOCKET _CONDOR_MUNGE_POOL_UID=$MUNGED_POOL_UID
      as='MUNGE as root@pool\.test; the session is bound'
      ;;
    FS_REMOTE)
      authenticate_by FS_REMOTE
      allow_fs
      export _CONDOR_FS_REMOTE_DIR=/tmp/token-request-shared-$RELEASE
      as='FS_REMOTE as (root|condor)@pool\.test; the session is unbound'
      ;;
    KEY)
      authenticate_by IDTOKENS
      export _CONDOR_TRUST_DOMAIN=pool.test _CONDOR_SEC_PASSWORD_DIRECTORY=$POOL_ROOT/etc/condor/passwords.d
      as='IDTOKENS as condor@password; the session is unbound'
      ;;
  esac
}

logged_in() { grep -E "\(D_SECURITY\) Authenticated with $as" "$BATS_TEST_TMPDIR/stderr" || { cat "$BATS_TEST_TMPDIR/stderr" && return 1; }; }

pending() {
  local out=$BATS_TEST_TMPDIR/stdout
  on "$1"
  by "$2"
  request_and_approve -pool "$HERE" "${PENDING[@]}" -verify -debug
  assert_status 0
  assert_is_token "$out"
  assert_pending_claims "$out"
  assert_no_secrets "$out"
  logged_in
  # The pool itself is the judge of what a token is worth.
  pool ping "$out" READ | grep -Eq 'Remote Mapping: +alice@pool\.test$'
  request_and_approve -pool "$HERE" "${PENDING[@]}" -verify -token mine
  assert_status 0
  [[ ! -s $out && $(stat -c %a "$HOME/made/tokens.d/mine") == 600 ]]
  assert_pending_claims "$HOME/made/tokens.d/mine"
}

approved_by_rule() {
  local out=$BATS_TEST_TMPDIR/stdout
  on "$1"
  by "$2"
  request -pool "$HERE" "${AUTO_APPROVED[@]}" -verify -debug
  assert_status 0
  assert_auto_approved_claims "$out"
  assert_no_secrets "$out"
  logged_in
  request -pool "$HERE" "${AUTO_APPROVED[@]}" -verify -token mine
  assert_status 0
  [[ ! -s $out ]]
  assert_auto_approved_claims "$HOME/made/tokens.d/mine"
}

# Its session is a new one: another process logs in.
resumed() {
  on "$1"
  by "$2"
  request -pool "$HERE" "${PENDING[@]}" -json -nowait
  assert_status 0
  cp "$BATS_TEST_TMPDIR/stdout" saved
  pool approve "$(jq -r 'select(.event == "enqueued").request_id' saved)" >/dev/null 2>&1
  request -resume saved -verify -debug
  assert_status 0
  logged_in
  assert_pending_claims "$BATS_TEST_TMPDIR/stdout"
}

@test "stable: MUNGE brings a token that an administrator approves" { pending stable MUNGE; }
@test "testing: MUNGE brings a token that an administrator approves" { pending testing MUNGE; }
@test "stable: MUNGE brings a token that a rule approves" { approved_by_rule stable MUNGE; }
@test "testing: MUNGE brings a token that a rule approves" { approved_by_rule testing MUNGE; }
@test "stable: a request over MUNGE is resumed over MUNGE" { resumed stable MUNGE; }
@test "testing: a request over MUNGE is resumed over MUNGE" { resumed testing MUNGE; }
@test "stable: FS_REMOTE brings a token that an administrator approves" { pending stable FS_REMOTE; }
@test "testing: FS_REMOTE brings a token that an administrator approves" { pending testing FS_REMOTE; }
@test "stable: FS_REMOTE brings a token that a rule approves" { approved_by_rule stable FS_REMOTE; }
@test "testing: FS_REMOTE brings a token that a rule approves" { approved_by_rule testing FS_REMOTE; }
@test "stable: a request over FS_REMOTE is resumed over FS_REMOTE" { resumed stable FS_REMOTE; }
@test "testing: a request over FS_REMOTE is resumed over FS_REMOTE" { resumed testing FS_REMOTE; }
@test "stable: the signing key brings a token that an administrator approves" { pending stable KEY; }
@test "testing: the signing key brings a token that an administrator approves" { pending testing KEY; }
@test "stable: the signing key brings a token that a rule approves" { approved_by_rule stable KEY; }
@test "testing: the signing key brings a token that a rule approves" { approved_by_rule testing KEY; }
@test "stable: a request by the signing key is resumed by it" { resumed stable KEY; }
@test "testing: a request by the signing key is resumed by it" { resumed testing KEY; }

# With the built-in list of methods (FS finds no directory), and no other setting: root on the pool's own machine, whose configuration names the pool.
roots_way_in() {
  on "$1"
  by KEY
  unset _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS _CONDOR_AUTH_SSL_CLIENT_CAFILE
  export _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=false _CONDOR_COLLECTOR_HOST=$HERE _CONDOR_FS_LOCAL_DIR=/nonexistent
  request "${AUTO_APPROVED[@]}" -debug
  assert_status 0
  assert_auto_approved_claims "$BATS_TEST_TMPDIR/stdout"
  logged_in
  says "Logging in to $HERE with the pool's signing key $POOL_ROOT/etc/condor/passwords.d/POOL."
}

@test "stable: root needs no setting and no token on the pool's own machine" { roots_way_in stable; }
@test "testing: root needs no setting and no token on the pool's own machine" { roots_way_in testing; }

# FS is refused, as HTCondor 23 is by default. What the client makes is nowhere: not on stderr, and not in a file.
nothing_left() {
  on "$1"
  by KEY
  unset _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS _CONDOR_AUTH_SSL_CLIENT_CAFILE
  export _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=false _CONDOR_FS_LOCAL_DIR=/nonexistent
  request -pool "$HERE" "${AUTO_APPROVED[@]}" -file here -debug
  assert_status 0
  logged_in
  says ') FS failed: '
  if grep -E 'eyJ|"exp"' "$BATS_TEST_TMPDIR/stderr"; then return 1; fi
  # The delivered token is the control.
  [[ $(grep -rl eyJ "$HOME" "$PWD") == "$PWD/here" ]]
}

@test "stable: where FS is refused, root logs in with the signing key, of which nothing is left" { nothing_left stable; }
@test "testing: where FS is refused, root logs in with the signing key, of which nothing is left" { nothing_left testing; }

# The directory has the setgid bit; another directory than the pool's, or none, is refused before the pool learns of it.
shared_directory() {
  on "$1"
  by FS_REMOTE
  chgrp 65534 "$_CONDOR_FS_REMOTE_DIR"
  chmod 3777 "$_CONDOR_FS_REMOTE_DIR"
  request -pool "$HERE" "${AUTO_APPROVED[@]}" -debug
  chmod g-s "$_CONDOR_FS_REMOTE_DIR"
  assert_status 0
  logged_in
  [[ -z $(ls -A "$_CONDOR_FS_REMOTE_DIR") ]]
  # HTCondor 23 names a directory without its address.
  unset _CONDOR_SEC_FS_ENFORCE_CHANNEL_BINDING
  request -pool "$HERE" "${AUTO_APPROVED[@]}"
  if [[ $RELEASE == stable ]]; then
    assert_status 4
    says "FS_REMOTE: the server's directory name does not contain its address"
  else
    assert_status 0
  fi
  _CONDOR_FS_REMOTE_DIR=$PWD/none request -pool "$HERE" "${AUTO_APPROVED[@]}"
  assert_status 4
  says "FS_REMOTE: FS_REMOTE_DIR = $PWD/none (environment variable _CONDOR_FS_REMOTE_DIR) is not a directory on this machine"
}

@test "stable: FS_REMOTE works below a setgid directory, and needs the server's address in the name" { shared_directory stable; }
@test "testing: FS_REMOTE works below a setgid directory, and needs the server's address in the name" { shared_directory testing; }

as_alice() {
  on "$1"
  by MUNGE
  become_alice
  # She may not go through the folder in which the pool is.
  mkdir "$OPEN/munge"
  sed -i "s|^exec |exec unshare --mount --propagation private -- sh -c 'mount --bind $(dirname "$MUNGED_SOCKET") $OPEN/munge \&\& exec \"\$@\"' sh |" \
    "$OPEN/bin/java"
  export _CONDOR_MUNGE_SOCKET=$OPEN/munge/${MUNGED_SOCKET##*/}
  request "${AUTO_APPROVED[@]}" -pool "$HERE" -debug:D_SECURITY
  assert_status 0
  as='MUNGE as alice@pool\.test; the session is bound' logged_in
}

@test "stable: MUNGE recognises an ordinary user" { as_alice stable; }
@test "testing: MUNGE recognises an ordinary user" { as_alice testing; }

# What munged's troubles are to the user, and to the pool, which takes the next method over the next connection.
troubles() {
  on "$1"
  by MUNGE
  _CONDOR_MUNGE_POOL_UID=4711 request "${AUTO_APPROVED[@]}" -pool "$HERE"
  assert_status 4
  says 'only user 4711 can decrypt it'
  # Another key.
  # shellcheck disable=SC2016 # for the shell in there
  pool exec sh -ec 'install -d -o munge -g munge -m 755 /run/munge/other
    mungekey --create --force --keyfile=/run/munge/other/key
    chown munge: /run/munge/other/key
    exec setpriv --reuid=munge --regid=munge --init-groups munged --key-file=/run/munge/other/key \
      --socket=/run/munge/other/socket --pid-file=/run/munge/other/pid --seed-file=/run/munge/other/seed \
      --log-file=/run/munge/other/log --origin=127.0.0.1 3>&-' </dev/null >/dev/null 2>&1 3>&-
  _CONDOR_MUNGE_SOCKET=$POOL_ROOT/run/munge/other/socket request "${AUTO_APPROVED[@]}" -pool "$HERE"
  # shellcheck disable=SC2016 # for the shell in there
  pool exec sh -c 'kill "$(cat /run/munge/other/pid)"; rm -rf /run/munge/other'
  assert_status 4
  says 'the pool did not accept the credential: both machines need the same munge.key'
  hold munged
  authenticate_by MUNGE SSL
  request "${AUTO_APPROVED[@]}" -pool "$HERE" -debug:D_SECURITY
  let_go
  assert_status 0
  says "MUNGE failed: munged at $MUNGED_SOCKET does not answer; it may be stopped"
  says 'Authenticated with SSL as '
}

@test "stable: a wrong user, a wrong key and a stopped munged are named, and the next method runs" { troubles stable; }
@test "testing: a wrong user, a wrong key and a stopped munged are named, and the next method runs" { troubles testing; }

# against ATTACK ARGUMENT...: a request that a rule approves, through the man in the middle; what he could read is in $LOOT
against() {
  LOOT=$BATS_TEST_TMPDIR/loot.$1
  rm -f "$LOOT"
  printf '%s\n' --pool "127.0.0.1:$POOL_PORT" --attack "$1" --loot "$LOOT" >"$ORDERS"
  request -pool "$POOL_HOST:$MIDDLEMAN_PORT" "${AUTO_APPROVED[@]}" "${@:2}"
}

# he_has TEXT, he_reads_nothing: what is in his loot
he_has() { grep -qaF -e "$1" "$LOOT"; }

he_reads_nothing() {
  he_has 'MUNGE:' # he was on the way
  ! he_has ADVERTISE_STARTD && ! he_has 'Token = ' && ! he_has ClientId
}

middleman() {
  local attack
  on "$1"
  by MUNGE
  # The control: a session whose key is not bound is his.
  authenticate_by CLAIMTOBE
  against swap-keys
  assert_status 0
  he_has ADVERTISE_STARTD && he_has 'Token = '
  authenticate_by MUNGE
  for attack in none swap-keys; do
    against "$attack"
    assert_status 0
    he_reads_nothing
  done
  for attack in add-own-key add-own-key-forge-zeros add-own-key-forge-random add-key-to-reply int-zero zero-wrapped \
    random-wrapped flip-server flip-client; do
    echo "$attack"
    against "$attack"
    ((status == 3 || status == 4))
    [[ ! -s $BATS_TEST_TMPDIR/stdout ]]
    if [[ $attack != add-key-to-reply ]]; then he_reads_nothing; fi
    if he_has ADVERTISE_STARTD; then return 1; fi
  done
}

@test "stable: a man in the middle reads nothing of a session over MUNGE" { middleman stable; }
@test "testing: a man in the middle reads nothing of a session over MUNGE" { middleman testing; }

# Who overhears a credential asks munged for its content, even after the pool has used it.
overheard() {
  local user
  on "$1"
  by MUNGE
  for user in alice root; do
    _CONDOR_MUNGE_POOL_UID=any against none
    assert_status 0
    # The control: without the number of the pool's user, anybody gets the secret, although it is a replay.
    [[ $(decoded "$user" 2>/dev/null) == 24 ]]
    against none
    assert_status 0
    [[ $(decoded "$user" 2>refusal) == 0 ]]
    grep 'Unauthorized credential' refusal
  done
}

# decoded USER: how many bytes munged hands to that user of the pool's machine for the overheard credential
decoded() {
  local how=(exec-as "$1")
  [[ $1 != root ]] || how=(exec)
  grep -aoE 'MUNGE:[A-Za-z0-9+/=]+:' "$LOOT" | tail -n 1 | pool "${how[@]}" unmunge --metadata=/dev/null | wc -c
}

@test "stable: who overhears a credential of MUNGE cannot decode it, if the pool's user is known" { overheard stable; }
@test "testing: who overhears a credential of MUNGE cannot decode it, if the pool's user is known" { overheard testing; }
