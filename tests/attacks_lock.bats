#!/usr/bin/env bats
# Two runs with one destination, and what others can make of the file by which the second notices the first. Each run is a
# process of its own. Beside each attack stands the same run without it.
# shellcheck disable=SC2030,SC2031,SC2034,SC2153,SC2154 # each test has settings of its own; variables of loopback.bash
load events
load users

setup() {
  own_folders
  umask 022
  authenticate_by CLAIMTOBE
  export _CONDOR_SEC_TOKEN_DIRECTORY=$HOME/tokens.d AS_PROCESS=1
  pool_with --methods CLAIMTOBE --token "$TOKEN" --approve-on "$BATS_TEST_TMPDIR/approved"
}

teardown() {
  end_client
  stop_process
  stop_loopback_pool
  remove_common_folder
}

approve() { touch "$BATS_TEST_TMPDIR/approved"; }

# second ARGUMENT...: another run while the first waits; what it says is in the files second.*
second() { beside -pool "$HERE" -identity alice@own.test "$@"; }

beside() {
  local BATS_TEST_TMPDIR=$BATS_TEST_TMPDIR/second LOOPBACK_LOG=$LOOPBACK_LOG
  mkdir -p "$BATS_TEST_TMPDIR"
  request "$@"
}

# busy ARGUMENT...: it ends at once, and asks nothing
busy() {
  local before
  before=$(events ^start)
  second "$@"
  assert_status 6
  [[ $(events ^start) == "$before" ]]
}

# unlocked FILE: a run goes on without the lock, with one warning, and writes the token
unlocked() {
  approve
  request -pool "$HERE" -identity alice@own.test -file "$1"
  assert_status 0
  diff - "$1" <<<"$TOKEN"
  [[ $(grep -c 'WARNING: another run could write to' "$BATS_TEST_TMPDIR/stderr") == 1 ]]
}

# locked FILE: a run says nothing of locks, and writes the token
locked() {
  approve
  request -pool "$HERE" -identity alice@own.test -file "$1"
  assert_status 0
  diff - "$1" <<<"$TOKEN"
  lacks "$BATS_TEST_TMPDIR/stderr" WARNING
}

@test "a second run with the same destination ends at once and names the first run" {
  local first here=$HERE
  second -nowait -json
  cp "$BATS_TEST_TMPDIR/second/stdout" kept
  begin_process -pool "$here" -identity alice@own.test -file token
  first=$(<"$BATS_TEST_TMPDIR/process")
  busy -file token
  grep -qE "^Another run is waiting for a token for token: process $first on .* since 20" "$BATS_TEST_TMPDIR/second/stderr"
  # By another name, and when it goes on with an earlier request.
  ln -s . link
  busy -file link/token
  beside -resume kept -file token
  assert_status 6
  # Another destination is free. (This pool has one request at a time, so it is asked for at another.)
  start_pool "$BATS_TEST_TMPDIR/other" --methods CLAIMTOBE --token "$TOKEN" --auto-approve
  HERE=localhost:$LOOPBACK_PORT second -file another
  assert_status 0
  approve
  await_end
  assert_status 0
  diff - token <<<"$TOKEN"
  [[ $(stat -c %a .token.lock) == 600 ]]
}

@test "a destination is free again when its run has ended, or was killed" {
  local signal
  for signal in TERM KILL; do
    begin_process -pool "$HERE" -identity alice@own.test -file token
    busy -file token
    send "$signal"
    await_end
  done
  locked token
  locked token
}

@test "stdout has no lock" {
  approve
  request -pool "$HERE" -identity alice@own.test
  assert_status 0
  diff /dev/null <(find . -name '*.lock')
}

@test "a link, a pipe, a directory or a text in the place of the lock is left alone" {
  echo precious >precious
  ln -s precious .linked.lock
  unlocked linked
  diff - precious <<<precious
  mkfifo .piped.lock
  unlocked piped
  mkdir .made.lock
  unlocked made
  echo precious >.written.lock
  unlocked written
  diff - .written.lock <<<precious
  ln precious .hard.lock
  unlocked hard
  diff - precious <<<precious
  : >empty
  ln empty .second.lock
  unlocked second
  [[ ! -s empty ]]
  locked free
}

@test "another user who holds the lock of a destination does not block the token" {
  common_folder
  mkdir -m 1777 "$COMMON/tmp"
  "${as_other[@]}" touch "$COMMON/tmp/.token.lock"
  chmod 666 "$COMMON/tmp/.token.lock"
  settings=()
  hold_lock "$COMMON/tmp/.token.lock" 'condor_token_request: process 1 on nowhere since ever'
  unlocked "$COMMON/tmp/token"
  release_lock
  locked "$COMMON/tmp/another"
}

@test "what a lock says of its holder cannot steer the terminal" {
  hold_lock .token.lock $'condor_token_request: process \e[2J\e]0;x\a 7 on '"$(printf 'x%.0s' {1..5000})"
  busy -file token
  release_lock
  lacks "$BATS_TEST_TMPDIR/second/stderr" $'\e' $'\a'
  [[ $(wc -c <"$BATS_TEST_TMPDIR/second/stderr") -lt 1000 ]]
  grep -q '^Another run is waiting' "$BATS_TEST_TMPDIR/second/stderr"
}

# ---- What a killed run has left ----

@test "what a killed run has left is removed by the next with that destination, and nothing else is" {
  local left=.token.0123456789abcdef.tmp
  echo half >"$left"
  echo mine >.other.0123456789abcdef.tmp
  echo mine >.token.tmp
  echo mine >.token.0123456789abcdeg.tmp
  ln -s .token.tmp .token.0123456789abcde0.tmp
  locked token
  diff - <(find . -name '.*tmp' | sort) <<<"./.other.0123456789abcdef.tmp
./.token.0123456789abcde0.tmp
./.token.0123456789abcdeg.tmp
./.token.tmp"
}

@test "a temporary file that a run has open, or that is a stranger's, is not removed" {
  common_folder
  mkdir -m 1777 "$COMMON/tmp"
  hold_lock .token.0123456789abcdef.tmp ''
  locked token
  release_lock
  [[ -e .token.0123456789abcdef.tmp ]]
  locked token
  [[ ! -e .token.0123456789abcdef.tmp ]]
  "${as_other[@]}" touch "$COMMON/tmp/.token.0123456789abcdef.tmp"
  locked "$COMMON/tmp/token"
  [[ -e $COMMON/tmp/.token.0123456789abcdef.tmp ]]
}

@test "what was left beside saved requests is removed, too" {
  mkdir -m 0700 "$HOME/.condor"
  echo half >"$HOME/.condor/.pending-token-request-x-6108900-0123456789ab.json.0123456789abcdef.tmp"
  echo half >"$HOME/.condor/.rescued-token-01234567.0123456789abcdef.tmp"
  locked token
  diff /dev/null <(ls -A "$HOME/.condor")
}
