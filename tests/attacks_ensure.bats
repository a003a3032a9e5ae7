#!/usr/bin/env bats
# What another local user can plant at the path of -ensure, so that another token than the ordered one counts as current. The
# attacker is user OTHER, who has a token of the same pool for mallory@own.test. Each test also runs the command on files of
# the user's own, which are current.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # each test has settings of its own; variables of loopback.bash
load events
load users

setup_file() {
  pool_with --methods CLAIMTOBE --auto-approve
  authenticate_by CLAIMTOBE
}

setup() {
  common_folder
  own_folders
  umask 022
  mkdir "$COMMON/home" "$COMMON/planted" "$COMMON/shared"
  mkdir -m 1777 "$COMMON/tmp"
  chown "$VICTIM:$VICTIM" "$COMMON/home" "$COMMON/shared"
  chmod 0777 "$COMMON/shared"
  export _CONDOR_SEC_TOKEN_DIRECTORY=$HOME/tokens.d
}

teardown() {
  [[ -z ${swapper-} ]] || { kill "$swapper" && wait "$swapper"; } 2>/dev/null || :
  remove_common_folder
}

# ensure FILE [ARGUMENT...]: alice's order, once; ORDERED is another identity
ensure() { request -ensure -pool "$HERE" -identity "${ORDERED:-alice@own.test}" -authz READ -lifetime 3600 -file "$@"; }

# foreign FILE REASON: -ensure ends with 2, says why, and replaces neither this file nor asks for a token
foreign() {
  local before
  before=$(events ^start)
  cp "$1" "$BATS_TEST_TMPDIR/before"
  ensure "$1"
  assert_status 2
  grep -F -e "$1 $2, so -ensure does not replace it." "$BATS_TEST_TMPDIR/stderr"
  cmp "$1" "$BATS_TEST_TMPDIR/before"
  [[ $(events ^start) == "$before" ]]
}

# current FILE [CONNECTIONS]: the token is current, which takes so many connections, none without a number
current() {
  local before
  before=$(events ^connection)
  ensure "$1"
  assert_status 0
  grep -q '^Token for' "$BATS_TEST_TMPDIR/stderr"
  [[ $(events ^connection) == $((before + ${2-0})) ]]
}

# mallorys DIRECTORY USER: mallory's token there, and a record which says that it is what alice ordered; both of that user
mallorys() {
  ORDERED=mallory@own.test ensure "$COMMON/planted/token"
  assert_status 0
  jq -c '.identity = "alice@own.test" | .sent_identity = .identity' "$COMMON/planted/.token.record" >"$1/.token.record"
  cp "$COMMON/planted/token" "$1/token"
  chown "$2:$2" "$1/token" "$1/.token.record"
  chmod 600 "$1/token" "$1/.token.record"
}

@test "another user's token with a record beside it is not current, and is replaced only with -force" {
  mallorys "$COMMON/shared" "$OTHER"
  chmod 644 "$COMMON/shared/token" "$COMMON/shared/.token.record"
  as_user_victim
  foreign "$COMMON/shared/token" 'belongs to nobody'
  ensure "$COMMON/shared/token" -check
  assert_status 2
  ensure "$COMMON/shared/token" -force
  assert_status 0
  [[ $(stat -c '%u %a' "$COMMON/shared/token" "$COMMON/shared/.token.record" | sort -u) == "$VICTIM 600" ]]
  current "$COMMON/shared/token"
}

@test "another user's token for the right identity, and an empty file of theirs, are not this user's" {
  ensure "$COMMON/planted/token"
  assert_status 0
  cp "$COMMON/planted/token" "$COMMON/shared/token"
  chown "$OTHER" "$COMMON/shared/token"
  chmod 644 "$COMMON/shared/token"
  "${as_other[@]}" touch "$COMMON/shared/empty"
  cp "$COMMON/planted/token" "$COMMON/shared/mine"
  install -o "$VICTIM" -m 600 /dev/null "$COMMON/shared/new"
  chown "$VICTIM" "$COMMON/shared/mine"
  as_user_victim
  foreign "$COMMON/shared/token" 'belongs to nobody'
  foreign "$COMMON/shared/empty" 'belongs to nobody'
  current "$COMMON/shared/mine" 1
  ensure "$COMMON/shared/new"
  assert_status 0
  [[ -s $COMMON/shared/new ]]
}

@test "root does not take another user's token in a sticky directory for the one ordered" {
  mallorys "$COMMON/tmp" "$OTHER"
  foreign "$COMMON/tmp/token" 'contains a token for mallory@own.test, not for alice@own.test'
  ensure "$COMMON/tmp/token" -force
  assert_status 0
  [[ $(stat -c '%u %a' "$COMMON/tmp/token" "$COMMON/tmp/.token.record" | sort -u) == '0 600' ]]
  current "$COMMON/tmp/token"
}

# The token is this user's own, for another identity. A user who can write to the directory can give it another name.
@test "a record that another user owns or can write to does not decide whose token is current" {
  local rights
  mallorys "$COMMON/shared" "$VICTIM"
  cp "$COMMON/shared/.token.record" "$COMMON/planted/record"
  cp "$COMMON/shared/token" "$COMMON/planted/kept"
  as_user_victim
  for rights in "$OTHER 644" "$VICTIM 622" "$VICTIM 620" '0 644' "$VICTIM 600"; do
    install -o "${rights% *}" -m "${rights#* }" "$COMMON/planted/record" "$COMMON/shared/.token.record"
    if [[ $rights == "$VICTIM 600" ]]; then
      current "$COMMON/shared/token"
    else
      foreign "$COMMON/shared/token" 'contains a token for mallory@own.test, not for alice@own.test'
    fi
  done
}

# renameat2(2) exchanges two files without a moment at which one of them is missing.
@test "while two records change places, another user's is never used" {
  local i
  mkdir "$COMMON/roots"
  mallorys "$COMMON/roots" 0
  cp "$COMMON/roots/.token.record" "$COMMON/roots/other"
  chown "$OTHER" "$COMMON/roots/other"
  current "$COMMON/roots/token"
  # This user's own record is about another token, so the claims decide.
  jq -c '.token_sha256 = "00"' "$COMMON/roots/other" >"$COMMON/roots/.token.record"
  timeout 60 python3 -c 'import ctypes, sys
libc = ctypes.CDLL(None)
one, other = (name.encode() for name in sys.argv[1:])
while libc.renameat2(-100, one, -100, other, 2) == 0:
    pass' "$COMMON/roots/.token.record" "$COMMON/roots/other" 3>&- &
  swapper=$!
  for ((i = 0; i < 80; i++)); do
    ensure "$COMMON/roots/token" -check
    ((status == 2)) || { echo "run $i: $status" && return 1; }
  done
  kill "$swapper"
  wait "$swapper" || (($? == 143))
  swapper=
}
