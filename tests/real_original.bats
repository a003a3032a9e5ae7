#!/usr/bin/env bats
# The client beside HTCondor's own on real pools: the name that each claims, the owner of root's directory for FS, which
# password file each takes, how each reaches the shared port daemon; and the ports that ours uses.
# shellcheck disable=SC2030,SC2031,SC2153,SC2154 # settings of one test; HERE is real.bash's
load real

setup_file() { every_pool auto-approve off; }
teardown_file() { every_pool auto-approve off; }

# identity_of REQUESTED: as whom the pool knows the client that asked for a token of that identity
identity_of() {
  pool list | jq -r --arg of "$1@pool.test" '[.[] | select(.RequestedIdentity == $of).AuthenticatedIdentity] | join(" ")'
}

# theirs USER METHOD SETTING...: the original's identity, when that user of the pool's machine runs it. It waits for ever.
theirs() {
  local probe=theirs-$((++probes))
  pool exec-as "$RELEASE" "$1" env "${@:3}" "_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS=$2" timeout 3 \
    condor_token_request -identity "$probe@pool.test" >/dev/null 2>&1 || :
  identity=$(identity_of "$probe")
}

# ours METHOD SETTING...: the same for our client, as root
ours() {
  local probe=ours-$((++probes))
  authenticate_by "$1"
  settings=("${@:2}")
  request -pool "$HERE" -identity "$probe@pool.test" -nowait
  settings=()
  assert_status 0
  identity=$(identity_of "$probe")
}
probes=0

pool() (
  unset "${!_CONDOR_@}" CONDOR_CONFIG
  if [[ $1 == exec-as ]]; then
    "$TESTS_DIR/pool/pool.sh" "$@"
  else
    "$TESTS_DIR/pool/pool.sh" "$1" "$RELEASE" "${@:2}"
  fi
)

# same_name METHOD IDENTITY SETTING...: both clients, run by root with these settings, are this identity to the pool
same_name() {
  local expected=$2
  theirs root "$1" "${@:3}"
  [[ $identity == "$expected" ]] || { echo "the original is $identity" && return 1; }
  ours "$1" _CONDOR_UID_DOMAIN=pool.test "${@:3}"
  [[ $identity == "$expected" ]] || { echo "ours is $identity" && return 1; }
}

names() {
  on "$1"
  allow_fs
  # Without this setting the original of 23.9.6 claims a name without a domain.
  local domain=_CONDOR_SEC_CLAIMTOBE_INCLUDE_DOMAIN
  same_name CLAIMTOBE nobody@pool.test $domain=true CONDOR_IDS=65534.65534
  same_name CLAIMTOBE carol@pool.test $domain=true _CONDOR_SEC_CLAIMTOBE_USER=carol
  # A pool of 25.14.1 adds its domain to a bare name.
  same_name CLAIMTOBE "$([[ $RELEASE == stable ]] && echo carol || echo carol@pool.test)" $domain=false _CONDOR_SEC_CLAIMTOBE_USER=carol
  same_name FS nobody@pool.test CONDOR_IDS=65534.65534
}
@test "stable: root's name in CLAIMTOBE and FS is the original's" { names stable; }
@test "testing: root's name in CLAIMTOBE and FS is the original's" { names testing; }

malformed() {
  on "$1"
  local said
  said=$(pool exec-as "$1" root env CONDOR_IDS=bad condor_token_request 2>&1) && return 1
  CONDOR_IDS=bad request -pool "$HERE"
  assert_status 2
  [[ $(head -n 1 "$BATS_TEST_TMPDIR/stderr") == "$(head -n 1 <<<"$said")" ]]
}
@test "stable: a malformed CONDOR_IDS ends both clients with the same line" { malformed stable; }
@test "testing: a malformed CONDOR_IDS ends both clients with the same line" { malformed testing; }

warned_of_gsi() {
  on "$1"
  local said
  said=$(pool exec-as "$1" alice env _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS=GSI condor_token_request 2>&1) && return 1
  authenticate_by 'GSI, SSL'
  request -pool "$HERE" -nowait
  assert_status 0
  [[ $(head -n 2 "$BATS_TEST_TMPDIR/stderr") == "$(head -n 2 <<<"$said")" ]]
}
@test "stable: both clients warn of GSI with the same lines" { warned_of_gsi stable; }
@test "testing: both clients warn of GSI with the same lines" { warned_of_gsi testing; }

passwords() {
  on "$1"
  authenticate_by PASSWORD
  local file=$PWD/pool_password mode status_of_theirs
  export _CONDOR_SEC_PASSWORD_FILE=$file
  (umask 077 && cp "$POOL_ROOT/etc/condor/pool_password" "$file")
  # Status 124: the original waits for the administrator.
  for mode in 0600:124:0 0640:1:4 0604:1:4; do
    IFS=: read -r mode theirs ours <<<"$mode"
    chmod "$mode" "$file"
    status_of_theirs=0
    # shellcheck disable=SC2016 # for the shell in there
    pool exec sh -c 'umask 077 && cat >/tmp/probe && chmod "$0" /tmp/probe && _CONDOR_SEC_PASSWORD_FILE=/tmp/probe \
      _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS=PASSWORD timeout 3 condor_token_request' "$mode" <"$file" >/dev/null 2>&1 ||
      status_of_theirs=$?
    [[ $status_of_theirs == "$theirs" ]] || { echo "$mode: the original ends with $status_of_theirs" && return 1; }
    request -pool "$HERE" -nowait
    assert_status "$ours"
  done
}
@test "stable: a password file that others may read is used by neither client" { passwords stable; }
@test "testing: a password file that others may read is used by neither client" { passwords testing; }

shared_port() {
  on "$1"
  authenticate_by SSL
  # The shared port daemon has its own list of requests; the answer over the encrypted channel is the proof.
  request -pool "<127.0.0.1:$POOL_PORT?sock=self&alias=$POOL_HOST>" -identity alice@pool.test -nowait
  assert_status 0
  request -pool "<127.0.0.1:$POOL_PORT?sock=collector&alias=$POOL_HOST>" -identity alice@pool.test -nowait
  assert_status 0
}
@test "stable: the shared port daemon itself takes a request at sock=self" { shared_port stable; }
@test "testing: the shared port daemon itself takes a request at sock=self" { shared_port testing; }

port_range() {
  on "$1"
  authenticate_by SSL
  export _CONDOR_OUT_LOWPORT=42200 _CONDOR_OUT_HIGHPORT=42202
  request_and_approve -pool "$HERE" "${PENDING[@]}" -debug:D_NETWORK -poll 1
  assert_status 0
  assert_is_token "$BATS_TEST_TMPDIR/stdout"
  ! grep 'Connected to' "$BATS_TEST_TMPDIR/stderr" | grep -vE 'from <127\.0\.0\.1:4220[0-2]>\.$'
}
@test "stable: all connections of a request come from the ports that the firewall leaves open" { port_range stable; }
@test "testing: all connections of a request come from the ports that the firewall leaves open" { port_range testing; }
