#!/usr/bin/env bats
# FS: another user of this machine passes on our login to a real pool, with keys of his own with both sides
# (tests/support/MiddleMan.java). He is us there if he can read what the pool says about it. We are root, whom a pool
# believes a lot.
# shellcheck disable=SC2030,SC2031,SC2153 # settings of one test; HERE is real.bash's
load real

OTHER=65534 # nobody's number

setup_file() {
  [[ ${TOKEN_REQUEST_REAL-no} != no ]] || return 0
  local jars
  every_pool auto-approve off
  every_pool auto-approve on
  OPEN=$(mktemp -d /tmp/real_attacks_fs.XXXXXX)
  export OPEN
  mkdir "$OPEN/jars"
  IFS=: read -ra jars <<<"$TOKEN_REQUEST_CLASSPATH"
  cp "${jars[@]}" "$OPEN/jars"
  chmod -R a+rX "$OPEN"
}

teardown_file() {
  every_pool auto-approve off
  [[ -z ${OPEN-} ]] || rm -rf "$OPEN"
}

setup() {
  [[ ${TOKEN_REQUEST_REAL-no} != no ]] || skip "${TOKEN_REQUEST_REAL_REASON-no real pool}"
  own_folders
  export _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=false
  authenticate_by FS
  install -d -o $OTHER "$OPEN/theirs"
}

teardown() {
  end_relay
  end_client
  let_go
  [[ -z ${configured-} ]] || pool configure </dev/null >/dev/null 2>&1
  [[ -z ${OPEN-} ]] || rm -rf "$OPEN/theirs"
}

# relay ATTACK: the other user's, at $THERE; what he can read is in $LOOT
relay() {
  local line
  LOOT=$OPEN/theirs/loot-$((++relays))
  coproc RELAY {
    exec setpriv --reuid=$OTHER --regid=$OTHER --clear-groups -- java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC \
      -XX:-UsePerfData -cp "$OPEN/jars/*" tokenrequest.MiddleMan --pool "127.0.0.1:$POOL_PORT" --loot "$LOOT" --attack "$1" \
      2>"$BATS_TEST_TMPDIR/their-stderr" 3>&-
  }
  read -r line <&"${RELAY[0]}" || { cat "$BATS_TEST_TMPDIR/their-stderr" && return 1; }
  eval "$line"
  THERE=$POOL_HOST:${MIDDLEMAN_PORT:?}
}
relays=0

end_relay() {
  local pid=${RELAY_PID-} stdin=${RELAY[1]-}
  [[ -n $pid && -n $stdin ]] || return 0
  exec {stdin}>&-
  wait "$pid" || :
}

# through ATTACK ARGUMENT...: the request goes through him
through() {
  relay "$1"
  request -pool "$THERE" "${AUTO_APPROVED[@]}" "${@:2}"
  end_relay
  grep -qa '^== server in the clear' "$LOOT"
}

# he_is_us, he_is_not: by what the pool says to who has logged in
he_is_us() { grep -qaE 'User = "(root|condor)@pool\.test"' "$LOOT"; }

he_is_not() {
  ! grep -qaE 'User = "|Token = "' "$LOOT" || { grep -aE 'User = "' "$LOOT" && return 1; }
  [[ ! -s $BATS_TEST_TMPDIR/stdout ]]
}

bind() { export _CONDOR_SEC_FS_ENFORCE_CHANNEL_BINDING=$1; }

relayed() {
  on "$1"
  bind false
  through swap-keys
  assert_status 0
  he_is_us
  grep -qaF "Token = \"$(<"$BATS_TEST_TMPDIR/stdout")" "$LOOT"

  bind true
  through swap-keys
  assert_status 4
  he_is_not

  unset _CONDOR_SEC_FS_ENFORCE_CHANNEL_BINDING
  through swap-keys
  assert_status 4
  he_is_not
}

@test "stable: an attacker who relays our FS login is root at the pool, unless the login is bound to the server, the default" {
  relayed stable
  grep -qF 'SEC_FS_ENFORCE_CHANNEL_BINDING = false allows it' "$BATS_TEST_TMPDIR/stderr"
}

@test "testing: who passes on our login by FS is condor at the pool, unless it is bound to the server, which it is by default" {
  relayed testing
}

@test "testing: it does not help to tell the server another address than we did, or none" {
  local attack
  on testing
  for attack in swap-keys-forge-extension swap-keys-drop-extension; do
    through "$attack"
    assert_status 4
    he_is_not
    bind false
    through "$attack"
    assert_status 0
    he_is_us
    unset _CONDOR_SEC_FS_ENFORCE_CHANNEL_BINDING
  done
}

goes_on_with_ssl() {
  on "$1"
  authenticate_by FS SSL
  through swap-keys -debug:D_SECURITY
  assert_status 0
  assert_auto_approved_claims "$BATS_TEST_TMPDIR/stdout"
  grep -qF 'Authenticated with SSL as ' "$BATS_TEST_TMPDIR/stderr"
  # He has passed that on as well, and learned nothing.
  ! grep -qaE 'User = "(root|condor|unauth)|Token = "|ClientId' "$LOOT"
}

@test "stable: after a refused FS the token comes over SSL, and the attacker learns nothing" { goes_on_with_ssl stable; }
@test "testing: after a refused FS the token comes over SSL, and the attacker learns nothing" { goes_on_with_ssl testing; }

# ---- As the original ----

# original NAME=VALUE...: what HTCondor 25's own tool says, which alice has ask the pool taken
original() (
  local settings=("$@")
  unset "${!_CONDOR_@}" CONDOR_CONFIG
  env "${settings[@]}" "$TESTS_DIR/pool/pool.sh" exec-as testing alice condor_ping -verbose -type COLLECTOR -pool "$HERE" READ 2>&1
)

@test "stable: by default FS is refused with this pool, as by HTCondor 25's own tool, which has the same setting" {
  local said
  on stable
  said=$(original _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS=FS) && return 1
  grep -F "FS:1004:Directory name doesn't match server's network address." <<<"$said"
  request -pool "$HERE" "${AUTO_APPROVED[@]}"
  assert_status 4
  assert_pool_golden refused_by_default

  original _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS=FS _CONDOR_SEC_FS_ENFORCE_CHANNEL_BINDING=false |
    grep -E 'Remote Mapping: +alice@pool\.test'
  bind false
  request -pool "$HERE" "${AUTO_APPROVED[@]}"
  assert_status 0
  assert_auto_approved_claims "$BATS_TEST_TMPDIR/stdout"
}

# ---- Directories that FS is to be done in ----

# shared DIRECTORY: FS of the pool and of the command is done there
shared() {
  configured=yes
  echo "FS_LOCAL_DIR = $1" | pool configure >/dev/null 2>&1
  export _CONDOR_FS_LOCAL_DIR=$1
}

odd_directories() {
  local directory=$OPEN/fs name
  on "$1"
  bind "$2"
  authenticate_by FS
  for name in '' / //; do
    rm -rf "$directory"
    install -d -m 1777 "$directory"
    shared "$directory$name"
    request -nowait -pool "$HERE" "${PENDING[@]}"
    assert_status 0
    [[ -z $(ls -A "$directory") ]]
  done
  # What is made below it is of its group, and has its setgid bit.
  chgrp $OTHER "$directory"
  chmod 3777 "$directory"
  request -nowait -pool "$HERE" "${PENDING[@]}"
  assert_status 0
  [[ -z $(ls -A "$directory") ]]
  # Another directory than the pool's.
  export _CONDOR_FS_LOCAL_DIR=$OPEN/other
  request -nowait -pool "$HERE" "${PENDING[@]}"
  assert_status 4
  grep -qF 'which is not a name that HTCondor uses for a directory in' "$BATS_TEST_TMPDIR/stderr"
}

@test "stable: FS works with a slash at the end of FS_LOCAL_DIR and below a setgid directory" { odd_directories stable false; }
@test "testing: FS works with a slash at the end of FS_LOCAL_DIR and below a setgid directory" { odd_directories testing true; }
