# shellcheck shell=bash
# shellcheck disable=SC2034 # variables for the files that load this
# shellcheck disable=SC2154 # status, which request sets
# shellcheck disable=SC2016,SC2054 # programs of sh; a list of env's
# What the tests of JSON, of resumed waits and of what a person sees share. Load it with `load events`.
load loopback

# When the harness's clock starts, in seconds since 1970. A token that the pool issues then is the same in every run.
START=1767225600

# field EVENT FILTER: what jq's filter makes of the last event of that name on stdout
field() { jq -rs "map(select(.event == \"$1\")) | last | $2" "$BATS_TEST_TMPDIR/stdout"; }

# names: of the events on stdout, in their order
names() { jq -r .event "$BATS_TEST_TMPDIR/stdout" | paste -sd ' '; }

# state_files: those at home in which requests wait to be resumed
state_files() { find "$HOME" -name 'pending-token-request-*'; }

# hide_chance: takes what the real clock and real chance bring out of the transcript; for tests without the harness
hide_chance() {
  local rules=(
    's/"(time|deadline)":"20[^"]*"/"\1":"<TIME>"/g'
    's/"client_id":"[^"]*"/"client_id":"<CLIENT_ID>"/g'
    's/"next_poll_s":[0-9.]+/"next_poll_s":<SECONDS>/g' # a tenth more or less
  )
  sed -i -E "${rules[@]/#/-e}" "$BATS_TEST_TMPDIR/transcript"
}

# A failed test may leave a client behind, which would wait for an hour.
teardown() {
  stop_loopback_pool
  stop_process
}

# stop_process: ends what was launched, if it is still there
stop_process() { [[ ! -e $BATS_TEST_TMPDIR/process ]] || send KILL 2>/dev/null || :; }

# launch ARGUMENT...: `request` in the background, as a process that signals reach though it is there; its ID is in the
# file process. For finish.
launch() {
  settings=(sh -c 'echo "$$" >"$0" && exec "$@"' "$BATS_TEST_TMPDIR/process")
  start "$@"
  settings=()
}

# begin_process ARGUMENT...: `launch`, until it has said that it waits
begin_process() {
  launch "$@"
  await_line '^(Token request enqueued|Resuming the wait)'
}

# send SIGNAL: to what was launched
send() { kill -"$1" "$(<"$BATS_TEST_TMPDIR/process")"; }

# ask_from FILE ARGUMENT...: `ask` with stdin from the file
ask_from() {
  local file=$1
  shift
  input=$file
  request "$@"
  input=
  append
}

# printed_command: the command which, so stderr says, goes on with the wait
printed_command() { sed -nE 's/^ *The request is still pending. To resume: (.*)$/\1/p' "$BATS_TEST_TMPDIR/stderr"; }

# go_on: types that command
go_on() {
  local command
  command=$(printed_command)
  [[ $command == 'condor_token_request -resume '* ]]
  eval "$command"
}
condor_token_request() { ask "$@"; }

# handmade_token PAYLOAD [HEADER]: a token of these, with a signature that is none
handmade_token() {
  local usual='{"alg":"HS256","kid":"POOL"}'
  printf '%s.%s.c2lnbmF0dXJl' "$(base64url "${2-$usual}")" "$(base64url "$1")"
}
base64url() { printf %s "$1" | base64 -w 0 | tr '+/' '-_' | tr -d '='; }
