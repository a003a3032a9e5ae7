#!/usr/bin/env bats
# Destinations that lead elsewhere: what another local user can make of a path to which root, or another user, has a token
# written. The stranger is user OTHER. Beside each attack stands the same command where nobody interferes.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # each test has settings of its own; variables of loopback.bash
load events
load users

setup_file() {
  pool_with --methods CLAIMTOBE --auto-approve --token "$TOKEN"
  authenticate_by CLAIMTOBE
  export AT_ONCE=$HERE AT_ONCE_LOG=$LOOPBACK_LOG
}

setup() {
  common_folder
  own_folders
  umask 022
  mkdir "$COMMON/system" "$COMMON/hers" "$COMMON/home"
  mkdir -m 1777 "$COMMON/tmp"
  chown "$OTHER:$OTHER" "$COMMON/hers"
  chown "$VICTIM:$VICTIM" "$COMMON/home"
  OTHERS_NAME=$(id -nu "$OTHER")
  export _CONDOR_SEC_TOKEN_DIRECTORY=$HOME/tokens.d
}

teardown() {
  end_client
  stop_process
  stop_loopback_pool
  mapfile -t mounted < <(awk -v below="${COMMON-none}/" 'index($2, below) == 1 { print $2 }' /proc/mounts)
  [[ ${#mounted[@]} == 0 ]] || umount "${mounted[@]}"
  remove_common_folder
}

# refused ARGUMENT...: ends with 2, says so in words of its own, and nothing was asked of the pool
refused() {
  local before LOOPBACK_LOG=$AT_ONCE_LOG
  before=$(events ^connection)
  request -pool "$AT_ONCE" -identity alice@own.test "$@"
  assert_status 2
  grep -q '^Cannot write token to' "$BATS_TEST_TMPDIR/stderr"
  [[ $(events ^connection) == "$before" ]]
}

# delivered FILE [ARGUMENT...]: the token gets there, without a word
delivered() {
  request -pool "$AT_ONCE" -identity alice@own.test -file "$@"
  assert_status 0
  diff - "$1" <<<"$TOKEN"
}

# begin_waiting ARGUMENT...: a request that waits until approve
begin_waiting() {
  pool_with --methods CLAIMTOBE --token "$TOKEN" --approve-on "$BATS_TEST_TMPDIR/approved"
  begin -pool "$HERE" -identity alice@own.test "$@"
}
approve() { touch "$BATS_TEST_TMPDIR/approved"; }

nothing_in() { diff /dev/null <(ls -A "$1"); }

# ---- Directories ----

@test "a user cannot lead root into a directory of the system by a link" {
  "${as_other[@]}" ln -s "$COMMON/system" "$COMMON/hers/out"
  refused -file "$COMMON/hers/out/token"
  refused -file "$COMMON/hers/out/token" -owner "$OTHERS_NAME"
  nothing_in "$COMMON/system"
  ln -s "$COMMON/system" "$COMMON/roots-own"
  delivered "$COMMON/roots-own/token"
}

@test "nor by a directory of theirs, if it is not to be theirs" {
  "${as_other[@]}" mkdir "$COMMON/hers/dir"
  refused -file "$COMMON/hers/dir/token"
  grep -q 'owner' "$BATS_TEST_TMPDIR/stderr"
  nothing_in "$COMMON/hers/dir"
  "${as_other[@]}" ln -s dir "$COMMON/hers/linked"
  delivered "$COMMON/hers/linked/token" -owner "$OTHERS_NAME"
  [[ $(stat -c '%u %a' "$COMMON/hers/dir/token") == "$OTHER 600" ]]
}

@test "a directory that replaces the destination while the request waits does not get the token" {
  "${as_other[@]}" mkdir "$COMMON/hers/dir"
  begin_waiting -file "$COMMON/hers/dir/token" -owner "$OTHERS_NAME" -json
  "${as_other[@]}" mv "$COMMON/hers/dir" "$COMMON/hers/away"
  "${as_other[@]}" ln -s "$COMMON/system" "$COMMON/hers/dir"
  approve
  await_end
  assert_status 7
  nothing_in "$COMMON/system"
  diff - "$COMMON/hers/away/token" <<<"$TOKEN"
  [[ $(field issued .file) == "$COMMON/hers/away/token" ]]
  grep -qF "It is in $COMMON/hers/away/token." "$BATS_TEST_TMPDIR/stderr"
}

@test "a directory that stays in its place gets the token" {
  "${as_other[@]}" mkdir "$COMMON/hers/dir"
  begin_waiting -file "$COMMON/hers/dir/token" -owner "$OTHERS_NAME" -json
  approve
  await_end
  assert_status 0
  diff - "$COMMON/hers/dir/token" <<<"$TOKEN"
}

@test "root does not write into a directory that others can write to, and prints both remedies" {
  local rights
  for rights in 0777 0775; do
    mkdir -p "$COMMON/shared"
    chmod "$rights" "$COMMON/shared"
    chgrp "$OTHER" "$COMMON/shared"
    refused -file "$COMMON/shared/token"
    grep -q "chmod go-w $COMMON/shared" "$BATS_TEST_TMPDIR/stderr"
    grep -q 'mktemp -d' "$BATS_TEST_TMPDIR/stderr"
    nothing_in "$COMMON/shared"
  done
  chmod go-w "$COMMON/shared"
  delivered "$COMMON/shared/token"
  # A folder of root's in a sticky one is safe, and so is the sticky one.
  mkdir -m 0700 "$COMMON/tmp/mine"
  delivered "$COMMON/tmp/mine/token"
  delivered "$COMMON/tmp/token"
}

@test "anybody else is warned once, and has the token in the directory that was opened" {
  install -d -o "$VICTIM" -m 0777 "$COMMON/shared"
  as_user_victim
  request -pool "$AT_ONCE" -identity alice@own.test -file "$COMMON/shared/token"
  assert_status 0
  [[ $(grep -c WARNING "$BATS_TEST_TMPDIR/stderr") == 1 ]]
  grep -q "WARNING: $COMMON/shared can be changed by everybody" "$BATS_TEST_TMPDIR/stderr"
  [[ $(stat -c '%u %a' "$COMMON/shared/token") == "$VICTIM 600" ]]
  delivered "$COMMON/home/token"
  [[ $(<"$BATS_TEST_TMPDIR/stderr") == "Token for alice@own.test written to $COMMON/home/token. It does not expire." ]]
}

@test "a file of somebody else's in a sticky directory is refused before anything is asked" {
  "${as_other[@]}" touch "$COMMON/tmp/token"
  as_user_victim
  refused -file "$COMMON/tmp/token"
  delivered "$COMMON/tmp/another"
}

@test "a destination that is a mount point is refused before anything is asked" {
  mkdir "$COMMON/a" "$COMMON/a/directory"
  touch "$COMMON/a/token" "$COMMON/a/source"
  mount --bind "$COMMON/a/source" "$COMMON/a/token" 2>/dev/null || skip "needs the right to mount"
  refused -file "$COMMON/a/token"
  grep -q 'mount point' "$BATS_TEST_TMPDIR/stderr"
  mount --bind "$COMMON/system" "$COMMON/a/directory"
  delivered "$COMMON/a/directory/token"
}

# ---- Pipes, sockets, devices ----

@test "another user's pipe, socket or device at the path is refused before the request is sent" {
  "${as_other[@]}" mkfifo -m 0666 "$COMMON/tmp/pipe"
  "${as_other[@]}" timeout 30 cat "$COMMON/tmp/pipe" >"$BATS_TEST_TMPDIR/stolen" 3>&- &
  local thief=$!
  refused -file "$COMMON/tmp/pipe"
  python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$COMMON/tmp/socket"
  refused -file "$COMMON/tmp/socket"
  mknod "$COMMON/tmp/device" c 1 3
  refused -file "$COMMON/tmp/device"
  kill "$thief"
  wait "$thief" || :
  [[ ! -s $BATS_TEST_TMPDIR/stolen ]]
  delivered "$COMMON/tmp/file"
}

@test "a pipe that becomes a link while the request waits does not make root write elsewhere" {
  echo precious >"$COMMON/system/file"
  "${as_other[@]}" mkfifo -m 0666 "$COMMON/tmp/token"
  pool_with --methods CLAIMTOBE --token "$TOKEN" --approve-on "$BATS_TEST_TMPDIR/approved"
  start -pool "$HERE" -identity alice@own.test -file "$COMMON/tmp/token"
  await_line . || :
  rm "$COMMON/tmp/token"
  "${as_other[@]}" ln -s "$COMMON/system/file" "$COMMON/tmp/token"
  approve
  await_end || end_client
  diff - "$COMMON/system/file" <<<precious
  [[ $status == 2 ]]
}

@test "a file that becomes a link while the request waits is replaced, and nothing is written through it" {
  echo precious >"$COMMON/system/file"
  begin_waiting -file "$COMMON/tmp/token"
  "${as_other[@]}" ln -s "$COMMON/system/file" "$COMMON/tmp/token"
  approve
  await_end
  assert_status 0
  diff - "$COMMON/system/file" <<<precious
  [[ ! -L $COMMON/tmp/token ]]
  diff - "$COMMON/tmp/token" <<<"$TOKEN"
}

# ---- The program's own streams ----

# logged FILE [ARGUMENT...]: the tool with stdout and stderr at the end of a log; what was there stays
logged() {
  printf '%s\n' 'the first line of a long log' 'its second' >log
  settings=(sh -c 'exec "$@" >>log 2>&1' sh)
  request -pool "$AT_ONCE" -identity alice@own.test "$@"
  settings=()
  assert_status 0
  diff - log <<<"the first line of a long log
its second
$TOKEN"
}

@test "/dev/stdout and its like are the streams that the program has: a log is not overwritten" {
  local name
  logged
  for name in /dev/stdout /dev/stderr /dev/fd/1 /dev/fd/2 /proc/self/fd/1 /proc/self/fd/2 /dev/../dev/./stdout; do
    logged -file "$name"
  done
}

@test "they may be sockets" {
  local name
  settings=(python3 -c 'import socket, subprocess, sys
ours, its = socket.socketpair()
done = subprocess.run(sys.argv[1:], stdout=its)
its.close()
sys.stdout.buffer.write(ours.recv(65536))
sys.exit(done.returncode)')
  for name in '' /dev/stdout /dev/fd/1; do
    request -pool "$AT_ONCE" -identity alice@own.test ${name:+-file "$name"}
    assert_status 0
    diff - "$BATS_TEST_TMPDIR/stdout" <<<"$TOKEN"
  done
}

@test "an open file is no destination by its number, but a pipe is" {
  printf '%s\n' 'the first line of a long text, which is longer than a token: '{1..9} >text
  cp text before
  exec 9<>text
  refused -file /dev/fd/9
  refused -file /proc/self/fd/9
  exec 9>&-
  cmp before text
  mkfifo pipe
  exec 8<>pipe
  exec 9<pipe
  refused -file /dev/fd/9 # nobody could write to this end
  exec 8>&- 9>&-
  exec 9> >(cat >came)
  request -pool "$AT_ONCE" -identity alice@own.test -file /dev/fd/9
  exec 9>&-
  assert_status 0
  await_event . came
  diff - came <<<"$TOKEN"
}

@test "with -json, /dev/stdout has the event, and nothing beside it" {
  AS_PROCESS=1 request -json -pool "$AT_ONCE" -identity alice@own.test -file /dev/stdout
  assert_status 0
  [[ $(names) == issued && $(field issued .token) == "$TOKEN" ]]
}

@test "a token directory without permission is refused, and the hint names -file and SEC_TOKEN_DIRECTORY" {
  mkdir -m 0700 "$COMMON/closed" "$COMMON/closed/tokens.d"
  mkdir -m 0755 "$COMMON/locked"
  cp -a "$COMMON/locked" "$COMMON/open"
  chown "$VICTIM:$VICTIM" "$COMMON/open"
  cd "$COMMON/home"
  export HOME=$COMMON/home TOKEN_REQUEST_CLASSPATH=$COMMON_CLASSPATH
  settings=("${as_victim[@]}")
  local directory
  for directory in "$COMMON/closed/tokens.d" "$COMMON/locked/tokens.d" "$COMMON/locked"; do
    _CONDOR_SEC_TOKEN_DIRECTORY=$directory refused -token name
    grep -F 'Permission denied (errno=13)' "$BATS_TEST_TMPDIR/stderr"
    grep -Fx '  Choose another place: -file PATH, or SEC_TOKEN_DIRECTORY.' "$BATS_TEST_TMPDIR/stderr"
  done
  _CONDOR_SEC_TOKEN_DIRECTORY=$COMMON/open request -pool "$AT_ONCE" -identity alice@own.test -token name
  assert_status 0
  [[ -s $COMMON/open/name ]]
}
