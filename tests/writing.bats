#!/usr/bin/env bats
# Where the token goes, and that it is never lost on the way.
# shellcheck disable=SC2034 # settings and output are for loopback.bash
load loopback

setup_file() {
  pool_with --methods CLAIMTOBE --auto-approve --token "$TOKEN"
  authenticate_by CLAIMTOBE
}

teardown() {
  stop_loopback_pool
  cd / || return
  [[ -z ${full-} ]] || umount "$full"
  [[ -z ${elsewhere-} ]] || rm -rf "$elsewhere"
}

# refused_unasked ARGUMENT...: ends with 2, and the pool has not seen a connection
refused_unasked() {
  local before
  before=$(events ^connection)
  ask -pool "$HERE" -identity alice@own.test "$@"
  assert_status 2
  [[ $(events ^connection) == "$before" ]]
}

# mode FILE: its rights and its name
mode() { stat -c '%a %n' "$@"; }

# only NAME...: the working directory holds these, and nothing that was left behind
only() { diff <(printf '%s\n' "$@") <(ls -A); }

@test "stdout has the token and nothing else" {
  ask -pool "$HERE"
  assert_transcript stdout
  printf '%s\n' "$TOKEN" | cmp - "$BATS_TEST_TMPDIR/stdout"
}

@test "-token and -file write a file for its owner only, whatever the umask" {
  local mask
  for mask in 000 077; do
    umask "$mask"
    request -pool "$HERE" -identity alice@own.test -file "file-$mask"
    assert_status 0
    diff - "$BATS_TEST_TMPDIR/stderr" <<<"Token for alice@own.test written to $PWD/file-$mask. It does not expire."
    _CONDOR_SEC_TOKEN_DIRECTORY=$PWD/tokens-$mask request -pool "$HERE" -identity alice@own.test -token name
    assert_status 0
    diff - "$BATS_TEST_TMPDIR/stderr" <<<"Token for alice@own.test written to $PWD/tokens-$mask/name. It does not expire."
    [[ ! -s $BATS_TEST_TMPDIR/stdout ]]
    umask 022
    diff - <(mode "file-$mask" "tokens-$mask" "tokens-$mask/name") <<<"600 file-$mask
700 tokens-$mask
600 tokens-$mask/name"
    printf '%s\n' "$TOKEN" | cmp - "file-$mask"
  done
}

@test "the token directory is SEC_TOKEN_DIRECTORY, made with all its parents" {
  with _CONDOR_SEC_TOKEN_DIRECTORY="$PWD/a/b/tokens.d" -- -pool "$HERE" -identity alice@own.test -token name
  assert_status 0
  diff - <(mode a/b a/b/tokens.d/name) <<<"700 a/b
600 a/b/tokens.d/name"
}

@test "root's token directory is the system's" {
  ((EUID == 0)) || skip "needs root"
  unset _CONDOR_SEC_TOKEN_DIRECTORY
  with _CONDOR_SEC_TOKEN_SYSTEM_DIRECTORY="$PWD/system" -- -pool "$HERE" -identity alice@own.test -token name
  assert_status 0
  [[ -s system/name && ! -e $HOME/.condor ]]
}

@test "an ordinary user's token directory is .condor/tokens.d at home" {
  local home=$HOME jars classes=$TOKEN_REQUEST_CLASSPATH
  unset _CONDOR_SEC_TOKEN_DIRECTORY
  if ((EUID == 0)); then
    # Neither root's jars nor root's folders are open to others.
    elsewhere=$(mktemp -d)
    home=$elsewhere/home
    IFS=: read -ra jars <<<"$TOKEN_REQUEST_CLASSPATH"
    mkdir "$elsewhere/jars" "$home"
    cp "${jars[@]}" "$elsewhere/jars" # of two with the same name one is enough
    classes="$elsewhere/jars/*"
    chmod 755 "$elsewhere"
    chown 65534:65534 "$home"
    settings=(setpriv --reuid=65534 --regid=65534 --clear-groups)
  fi
  cd "$home"
  HOME=$home TOKEN_REQUEST_CLASSPATH=$classes request -pool "$HERE" -identity alice@own.test -token name
  assert_status 0
  diff - <(mode .condor .condor/tokens.d .condor/tokens.d/name) <<<"700 .condor
700 .condor/tokens.d
600 .condor/tokens.d/name"
}

@test "a file that is there already is replaced as a whole, and stays as it was if there is no token" {
  echo 'a much longer text than a token, or at least one with different letters in it' >old
  chmod 644 old
  ln old other-name
  request -pool 127.0.0.1:1 -file old
  assert_status 3
  grep -q 'longer text' old
  request -pool "$HERE" -identity alice@own.test -file old
  assert_status 0
  printf '%s\n' "$TOKEN" | cmp - old
  [[ $(mode old) == '600 old' ]]
  grep -q 'longer text' other-name
  only .old.lock old other-name
}

@test "a destination that cannot be is refused before anything is asked" {
  mkdir directory
  ln -s target link
  ln -s directory link-to-directory
  touch plain
  local path
  for path in link link-to-directory directory missing/file plain/file /; do
    refused_unasked -file "$path"
  done
  assert_transcript files-refused
  only directory link link-to-directory plain
}

@test "a token name is a plain file name" {
  local name
  for name in a/b . .. /tmp/x; do
    refused_unasked -token "$name"
  done
  assert_transcript names-refused
  [[ ! -e $_CONDOR_SEC_TOKEN_DIRECTORY ]]
}

@test "a symbolic link in the token directory is refused, too" {
  mkdir "$_CONDOR_SEC_TOKEN_DIRECTORY"
  ln -s "$PWD/target" "$_CONDOR_SEC_TOKEN_DIRECTORY/name"
  refused_unasked -token name
  assert_transcript link-refused
}

@test "a directory that cannot be made is refused before anything is asked" {
  touch plain
  _CONDOR_SEC_TOKEN_DIRECTORY=$PWD/plain/tokens.d refused_unasked -token name
  assert_transcript directory-refused
}

@test "a full disk is noticed before anything is asked" {
  mkdir full
  mount -t tmpfs -o size=4k tmpfs full 2>/dev/null || skip "needs the right to mount"
  full=$PWD/full
  refused_unasked -file full/token
  assert_transcript full-disk
  [[ -z $(ls -A full) ]]
}

@test "/dev/null and a pipe that is given as an open file are written to" {
  ask -pool "$HERE" -identity alice@own.test -file /dev/null
  assert_transcript device
  [[ -c /dev/null ]]
  request -pool "$HERE" -identity alice@own.test -file >(cat >came)
  assert_status 0
  [[ ! -s $BATS_TEST_TMPDIR/stdout && ! -s $BATS_TEST_TMPDIR/stderr ]]
  await_event . came
  printf '%s\n' "$TOKEN" | cmp - came
}

@test "if the directory disappears meanwhile, the token is saved at home" {
  pool_with --methods CLAIMTOBE --token "$TOKEN" --approve-on "$PWD/approved"
  mkdir doomed
  begin -pool "$HERE" -identity alice@own.test -file doomed/token
  rm -r doomed
  touch approved
  finish
  assert_status 7
  assert_transcript directory-gone
  printf '%s\n' "$TOKEN" | cmp - "$HOME"/.condor/rescued-token-*
}

@test "if stdout is full, the token is saved at home" {
  output=/dev/full
  ask -pool "$HERE" -identity alice@own.test
  assert_status 7
  assert_transcript stdout-full
  printf '%s\n' "$TOKEN" | cmp - "$HOME"/.condor/rescued-token-*
  [[ $(stat -c %a "$HOME"/.condor/rescued-token-*) == 600 ]]
}

@test "if stdout is closed, the token is saved at home" {
  output=-
  ask -pool "$HERE" -identity alice@own.test
  assert_status 7
  assert_transcript stdout-closed
  printf '%s\n' "$TOKEN" | cmp - "$HOME"/.condor/rescued-token-*
}

@test "if home cannot be written to either, the token is saved where the command runs" {
  rmdir "$HOME"
  touch "$HOME"
  output=/dev/full
  ask -pool "$HERE" -identity alice@own.test
  assert_status 7
  assert_transcript home-gone
  printf '%s\n' "$TOKEN" | cmp - rescued-token-*
  only rescued-token-*
}

@test "if neither a file nor the place for it takes it, the token is on stdout" {
  rmdir "$HOME"
  touch "$HOME"
  mkdir elsewhere
  mount -t tmpfs -o size=64k tmpfs elsewhere 2>/dev/null || skip "needs the right to mount"
  full=$PWD/elsewhere
  pool_with --methods CLAIMTOBE --token "$TOKEN" --approve-on "$BATS_TEST_TMPDIR/approved"
  cd elsewhere
  begin -pool "$HERE" -identity alice@own.test -file token
  head -c 1M /dev/zero >rest 2>/dev/null || :
  touch "$BATS_TEST_TMPDIR/approved"
  finish
  assert_status 7
  assert_transcript all-full
  printf '%s\n' "$TOKEN" | cmp - "$BATS_TEST_TMPDIR/stdout"
}

@test "if nothing at all takes it, the token is lost, and the message says so" {
  rmdir "$HOME"
  touch "$HOME"
  mkdir elsewhere
  mount -t tmpfs -o size=64k tmpfs elsewhere 2>/dev/null || skip "needs the right to mount"
  full=$PWD/elsewhere
  pool_with --methods CLAIMTOBE --token "$TOKEN" --auto-approve
  pushd elsewhere
  head -c 1M /dev/zero >rest 2>/dev/null || :
  exec 9>/dev/full
  output=/dev/full
  ask -pool "$HERE" -identity alice@own.test -file /dev/fd/9
  exec 9>&-
  popd
  assert_status 7
  assert_transcript nothing-left
}

# ---- In which order ----

# traced CALLS ARGUMENT...: a request; the calls of the system, with the paths of descriptors, are in the file calls
traced() {
  type -P strace >/dev/null || skip 'needs strace'
  settings=(strace -f -y -qq -e "trace=$1" -e signal=none -o "$BATS_TEST_TMPDIR/calls")
  request -pool "$HERE" -identity alice@own.test "${@:2}"
  settings=()
}

# in_order PATTERN...: the first call that matches each of them comes after the first that matches the one before
in_order() {
  local pattern last=0 line
  for pattern; do
    line=$(grep -nEm 1 -- "$pattern" "$BATS_TEST_TMPDIR/calls" | cut -d: -f1)
    if [[ -z $line ]] || ((line <= last)); then
      echo "not in order: $pattern" && cat "$BATS_TEST_TMPDIR/calls"
      return 1
    fi
    last=$line
  done
}

@test "a token is forced to the disk before it gets its name, and its directory after that" {
  traced fsync,fdatasync,rename,renameat,renameat2 -file token
  assert_status 0
  in_order "f(data)?sync\\([0-9]+<$PWD/\\.token\\.[0-9a-f]{16}\\.tmp>" "rename.*\\.token\\.[0-9a-f]{16}\\.tmp.*\"token\"" \
    "f(data)?sync\\([0-9]+<$PWD>"
}

@test "a temporary file of a token has a name that HTCondor passes over, and nothing else is created beside it" {
  traced openat,open,creat -file token
  assert_status 0
  [[ $(grep -F "$PWD" "$BATS_TEST_TMPDIR/calls" | grep -c O_CREAT) -ge 2 ]]
  run grep -E "O_CREAT" <(grep -F "$PWD" "$BATS_TEST_TMPDIR/calls" | grep -vE '"\.token\.([0-9a-f]{16}\.tmp|lock)"')
  ((status == 1))
  only .token.lock token
}

@test "a token has its mode before its owner, and both before its name" {
  ((EUID == 0)) || skip 'only root gives files away'
  traced chmod,fchmod,fchmodat,?fchmodat2,chown,fchown,lchown,fchownat,rename,renameat,renameat2 -file token -owner nobody -mode 640
  assert_status 0
  # The temporary file of the test before the request has gone through the same; the last one counts.
  sed -i '1,/rename/!d' "$BATS_TEST_TMPDIR/calls"
  tac "$BATS_TEST_TMPDIR/calls" >reversed && mv reversed "$BATS_TEST_TMPDIR/calls"
  in_order 'rename' 'chown[a-z0-9]*\(.* 65534, -1|chown[a-z0-9]*\(.*, 65534, ' 'chmod[a-z0-9]*\(.* 0640'
  [[ $(stat -c '%U %a' token) == 'nobody 640' ]]
}

@test "a saved request is forced to the disk, and its directory after it" {
  pool_with --methods CLAIMTOBE --token "$TOKEN"
  traced fsync,fdatasync -nowait
  assert_status 0
  in_order "f(data)?sync\\([0-9]+<$HOME/\\.condor/pending-token-request-" "f(data)?sync\\([0-9]+<$HOME/\\.condor>"
}

@test "a file with a long or odd name is written" {
  local name
  for name in ' ' -x 'a b;c' $'two\nlines' "$(printf 'x%.0s' {1..200})" ünïcödé; do
    request -pool "$HERE" -identity alice@own.test -file "$name"
    assert_status 0
    printf '%s\n' "$TOKEN" | cmp - "./$name"
  done
}
