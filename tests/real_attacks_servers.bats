#!/usr/bin/env bats
# Which servers a client accepts, ALLOW_CLIENT and DENY_CLIENT: ours and HTCondor's own condor_token_request of the pool's
# release, side by side, with the settings of fixtures/servers/settings. What an administrator has forbidden gets nothing.
# shellcheck disable=SC2030,SC2031,SC2153 # settings of one test; HERE is real.bash's
load real

setup_file() {
  [[ ${TOKEN_REQUEST_REAL-no} != no ]] || return 0
  every_pool auto-approve off
  every_pool auto-approve on
}

teardown_file() { every_pool auto-approve off; }

setup() {
  [[ ${TOKEN_REQUEST_REAL-no} != no ]] || skip "${TOKEN_REQUEST_REAL_REASON-no real pool}"
  own_folders
  export _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=false _CONDOR_SEC_FS_ENFORCE_CHANNEL_BINDING=false
  SHARED=$(mktemp -d /tmp/real_attacks_servers.XXXXXX) # also in the pool's chroot
}

teardown() { [[ -z ${SHARED-} ]] || rm -rf "$SHARED"; }

maps() {
  printf '%s\n' 'SSL "^/CN=('"$POOL_HOST"')$" \1@pool.test' >"$SHARED/MAP"
  echo 'SSL "/CN='"$POOL_HOST"'" literal@pool.test' >"$SHARED/LITERAL"
  echo 'SSL /CN='"$POOL_HOST"' literal@pool.test' >"$SHARED/SLASH"
  printf '# a comment\nFS x y\nssl "/CN=none" none@x\nSSL /^\\/cn=(.*)$/i \\1@pool.test\n' >"$SHARED/EXPRESSION"
  echo 'SSL /CN=other other@pool.test' >"$SHARED/OTHER"
  mkdir "$SHARED/tokens.d"
  (umask 077 && pool token condor@pool.test >"$SHARED/tokens.d/login")
}

# verdict COMMAND...: yes if it prints a token, no if it says that it refuses the server. HTCondor 23's command expects an
# ID, and has no use for a token that comes at once.
verdict() {
  local said
  said=$("$@" 2>&1 </dev/null) || :
  if grep -qE '^eyJ|did not provide a valid request ID' <<<"$said"; then
    echo yes
  elif grep -qE 'The settings do not accept the server|SECMAN:2009:DENIED' <<<"$said"; then
    echo no
  else
    printf '?%s\n' "$said"
  fi
}

ours() {
  request "$@"
  cat "$BATS_TEST_TMPDIR"/std{out,err}
  return "$status"
}

# row METHOD SETTINGS OURS ORIGINAL: both with the settings
row() (
  local setting settings variables=() said
  IFS=';' read -ra settings <<<"$2"
  for setting in "${settings[@]}"; do
    setting=${setting# }
    [[ $setting != CERTIFICATE_MAPFILE=* ]] || setting=CERTIFICATE_MAPFILE=$SHARED/${setting#*=}
    variables+=("_CONDOR_$setting")
  done
  variables+=("_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS=$1" "_CONDOR_SEC_TOKEN_DIRECTORY=$SHARED/tokens.d")
  said="$(verdict original "${variables[@]}") $(verdict ours "${variables[@]}")"
  [[ $said == "$4 $3" ]] || echo "$1 | $2: the original says ${said% *} ($4), ours ${said##* } ($3)"
)

# original VARIABLE=VALUE...: with the pool's own configuration besides
original() {
  env -u CONDOR_CONFIG -u _CONDOR_AUTH_SSL_CLIENT_CAFILE -u _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS "$@" \
    "$TESTS_DIR/pool/pool.sh" exec "$RELEASE" condor_token_request -pool "$HERE" "${AUTO_APPROVED[@]}"
}

# ours VARIABLE=VALUE...
ours() {
  local settings=("_CONDOR_SEC_PASSWORD_FILE=$POOL_ROOT/etc/condor/pool_password" "$@")
  request -pool "$HERE" "${AUTO_APPROVED[@]}"
  cat "$BATS_TEST_TMPDIR"/std{out,err}
}

table() {
  local method settings expected stable rows=0 wrong=0 differences
  on "$1"
  maps
  while IFS='|' read -r method settings expected stable; do
    [[ $method != '#'* && -n $settings ]] || continue
    [[ $1 == stable && -n $stable ]] || stable=$expected
    differences=$(row "$method" "$settings" "$expected" "$stable")
    [[ -z $differences ]] || { echo "$differences" && wrong=$((wrong + 1)); }
    rows=$((rows + 1))
  done <"$TESTS_DIR/fixtures/servers/settings"
  echo "$rows settings, $wrong wrong"
  ((rows >= 25 && wrong == 0))
}

@test "stable: this client accepts the same servers as the original" { table stable; }
@test "testing: this client accepts the same servers as the original" { table testing; }
