#!/usr/bin/env bats
# A run that is killed at a random moment, by SIGKILL and SIGTERM in turn: nothing that was shown is lost, and nothing is
# left that the next run does not remove. More runs: tests/kills
# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # variables of loopback.bash
load events

# How many runs; and where their counts go.
KILLS=${KILLS:-20}

setup() {
  own_folders
  authenticate_by CLAIMTOBE
  export _CONDOR_SEC_TOKEN_DIRECTORY=$HOME/tokens.d
}

teardown() {
  end_client
  stop_process
  stop_loopback_pool
}

# count NAME: one more of it
declare -gA counts=()
count() { counts[$1]=$((${counts[$1]-0} + 1)); }

# leftovers: temporary files, here or at home
leftovers() { find "$HOME" "$WORK" -name '.*.tmp'; }

# has_token FILE...: one of them is the token, whole; none is a part of it
has_token() {
  local file found=1
  for file; do
    [[ -e $file ]] || continue
    diff - "$file" <<<"$TOKEN" >/dev/null || { echo "$file is no token" && exit 1; }
    found=0
  done
  return "$found"
}

# killed_once SIGNAL MILLISECONDS: a run that is killed so long after its start, and what it leaves
killed_once() {
  local signal=$1 shown=no saved=no sent=no got=no file
  find "$HOME" "$WORK" -mindepth 1 -delete
  rm -f "$BATS_TEST_TMPDIR/process"
  pool_with --methods CLAIMTOBE --token "$TOKEN" --approve-after 5
  # The harness does not sleep, so that no moment is more likely than another.
  REQUEST_MAIN=Harness launch -pool "$HERE" -identity alice@own.test -file token
  until [[ -s $BATS_TEST_TMPDIR/process ]]; do sleep 0.002; done
  sleep "$(printf '0.%03d' "$2")"
  send "$signal" 2>/dev/null || count 'ended before'
  await_end
  ! grep -q '^Token request enqueued' "$BATS_TEST_TMPDIR/stderr" || shown=yes
  [[ -z $(state_files) ]] || saved=yes
  [[ $(events ^issued) == 0 ]] || sent=yes
  ! has_token token "$HOME"/.condor/rescued-token-* || got=yes
  count "$signal, ID shown: $shown, request saved: $saved, token sent: $sent, token here: $got"

  # A request whose ID was shown can be resumed, or its token is here.
  if [[ $shown == yes && $saved == no && $sent == no ]]; then
    echo 'the request is lost' && return 1
  fi
  # Between the pool's sending it and the rename, SIGKILL costs the token, and nothing else does.
  if [[ $sent == yes && $got == no ]]; then
    [[ $signal == KILL ]] || { echo 'the token is lost' && return 1; }
    count 'tokens that SIGKILL cost between sending and rename'
  fi
  file=$(leftovers)
  if [[ -n $file ]]; then
    [[ $signal == KILL ]] || { echo "left after SIGTERM: $file" && return 1; }
    count 'files left by SIGKILL'
  fi
  if [[ $saved == yes && $sent == no ]]; then
    request -resume "$(state_files)" -file resumed
    assert_status 0
    has_token resumed
  fi
  # The next run with that destination.
  pool_with --methods CLAIMTOBE --token "$TOKEN" --auto-approve
  request -pool "$HERE" -identity alice@own.test -file token
  assert_status 0
  has_token token
  diff /dev/null <(leftovers)
}

@test "killed at random moments, no request is lost whose ID was shown, no token is lost, and nothing is left for long" {
  local run name
  # How long a run takes that is left alone: the control.
  local begun=${EPOCHREALTIME/./}
  pool_with --methods CLAIMTOBE --token "$TOKEN" --approve-after 5
  AS_PROCESS=1 REQUEST_MAIN=Harness run_tool -pool "$HERE" -identity alice@own.test -file token
  assert_status 0
  has_token token
  local most=$(((${EPOCHREALTIME/./} - begun) / 1000))
  ((most < 990)) || most=990
  for ((run = 0; run < KILLS; run++)); do
    killed_once "$( ((run % 2)) && echo TERM || echo KILL)" $((100 + (RANDOM * 32768 + RANDOM) % (most - 90)))
  done
  for name in "${!counts[@]}"; do
    printf '%5d  %s\n' "${counts[$name]}" "$name"
  done | sort -k 2 | tee "${KILLS_COUNTS:-$BATS_TEST_TMPDIR/counts}"
}

# ensured_after_kill MILLISECONDS: an -ensure that is killed so long after its start, and the next ones
ensured_after_kill() {
  local order=(-ensure -pool "$HERE" -identity alice@own.test -file token) starts
  find "$HOME" "$WORK" -mindepth 1 -delete
  rm -f "$BATS_TEST_TMPDIR/process"
  pool_with --methods CLAIMTOBE --approve-after 5
  order[2]=$HERE
  REQUEST_MAIN=Harness launch "${order[@]}"
  until [[ -s $BATS_TEST_TMPDIR/process ]]; do sleep 0.002; done
  sleep "$(printf '0.%03d' "$1")"
  send KILL 2>/dev/null || count 'ended before'
  await_end
  # An ID that was shown is resumed; a token that the pool sent and that is not here is requested again.
  REQUEST_MAIN=Harness request "${order[@]}"
  assert_status 0
  [[ $(grep -Ecx '[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+' token) == 1 ]]
  starts=$(events '^start')
  ((starts <= 2)) || { echo "$starts requests" && return 1; }
  count "$starts requests"
  REQUEST_MAIN=Harness request "${order[@]}"
  assert_status 0
  [[ $(events '^start') == "$starts" && -z $(leftovers) && -z $(state_files) ]]
}

@test "killed at random moments, -ensure leaves a state from which the next run ends well" {
  local run name
  local begun=${EPOCHREALTIME/./}
  pool_with --methods CLAIMTOBE --approve-after 5
  AS_PROCESS=1 REQUEST_MAIN=Harness run_tool -ensure -pool "$HERE" -identity alice@own.test -file token
  assert_status 0
  local most=$(((${EPOCHREALTIME/./} - begun) / 1000))
  ((most < 990)) || most=990
  for ((run = 0; run < KILLS / 2; run++)); do
    ensured_after_kill $((100 + (RANDOM * 32768 + RANDOM) % (most - 90)))
  done
  for name in "${!counts[@]}"; do
    printf '%5d  %s\n' "${counts[$name]}" "-ensure: $name"
  done | sort -k 2 | tee -a "${KILLS_COUNTS:-$BATS_TEST_TMPDIR/counts}"
}
