# shellcheck shell=bash disable=SC2034 # variables for the files that load this
# What the tests on the embedded pool share. Load it with `load loopback`.
load lib

# Which lines of the pool's log belong into the transcript, as a regular expression.
pool_lines=

# Root's token directory is the machine's, and so are the system's CAs; neither is the tests' business.
setup() {
  own_folders
  export _CONDOR_SEC_TOKEN_DIRECTORY=$HOME/tokens.d _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=false
}

# ---- The pool ----

# pool_with OPTION...: `loopback_pool`; sets HERE, which is what -pool takes, and LOOPBACK_LOG. In setup_file, the pool
# serves the whole file.
pool_with() {
  local BATS_TEST_TMPDIR=${BATS_TEST_TMPDIR:-$BATS_FILE_TMPDIR}
  loopback_pool "$@"
  export LOOPBACK_PORT HERE=localhost:$LOOPBACK_PORT LOOPBACK_LOG=$BATS_TEST_TMPDIR/events
}

# A token that is short, and the same in every run.
TOKEN=eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJwb29sLnRlc3QiLCJzdWIiOiJhbGljZUBvd24udGVzdCJ9.c2lnbmF0dXJl

# events PATTERN: how many lines of the pool's log match
events() { grep -Ecs -- "$1" "$LOOPBACK_LOG" || :; }

# await_event PATTERN [FILE]: until a line of the pool's log, or of that file, matches
await_event() {
  local found=0 lines
  exec {lines}< <(exec timeout "$EVENTUALLY" tail -n +1 -F "${2-$LOOPBACK_LOG}" 2>/dev/null 3>&-)
  local tail=$!
  grep -Eqm 1 -- "$1" <&"$lines" || found=$?
  kill "$tail" 2>/dev/null || :
  exec {lines}<&-
  return "$found"
}

# ---- The transcript ----

# begin ARGUMENT...: a client that has said that it waits
begin() {
  start "$@"
  await_line '^Token request enqueued'
}

# finish: waits for its end, however long it waits itself; sets status and appends its record to the transcript
finish() {
  await_end "$ANSWERED_WITHIN"
  append
}

# ask ARGUMENT...: `request`; its record is appended to the transcript
ask() {
  local seen=0
  [[ ! -e ${LOOPBACK_LOG-} ]] || seen=$(wc -l <"$LOOPBACK_LOG")
  request "$@"
  append
  [[ -z $pool_lines ]] || {
    echo '--- pool'
    tail -n "+$((seen + 1))" "$LOOPBACK_LOG" | grep -E -- "$pool_lines" || :
  } >>"$BATS_TEST_TMPDIR/transcript"
}

# with SETTING... -- ARGUMENT...: the same with these settings in the environment, which the transcript shows
with() {
  settings=()
  while [[ $1 != -- ]]; do
    settings+=("$1")
    shift
  done
  ask "${@:2}"
  settings=()
}

# append: adds the record of the last `request` to the transcript
append() {
  local transcript=$BATS_TEST_TMPDIR/transcript
  [[ ! -e $transcript ]] || echo >>"$transcript"
  {
    [[ ${#settings[@]} == 0 ]] || printf '%s\n' "${settings[@]}" | normalise
    cat "$BATS_TEST_TMPDIR/record"
  } >>"$transcript"
}

# assert_transcript CASE: the transcript equals tests/golden/<name of the bats file>/CASE.txt
assert_transcript() {
  local area=${BATS_TEST_FILENAME##*/}
  local rules=(
    's/\b([0-9a-f]{2}:){31}[0-9a-f]{2}\b/<FINGERPRINT>/g' # the pool's certificate is made anew each time
    's/rescued-token-[0-9a-f]{8}/rescued-token-<RANDOM>/g'        # so that no two tokens meet
    "s/(\b|_)${LOOPBACK_PORT:-none}\b/\1<PORT>/g"                 # also where it does not follow an address
    "s/\bwe are $(id -un)@/we are <USER>@/g"                       # who runs the tests
    's/FS_127[^ ;]*/<FS>/g'                                       # the pool draws the name at random
  )
  sed -E "${rules[@]/#/-e}" "$BATS_TEST_TMPDIR/transcript" >"$BATS_TEST_TMPDIR/record"
  rm "$BATS_TEST_TMPDIR/transcript"
  assert_golden "${area%.bats}/$1"
}

# lacks FILE TEXT...: none of the texts is in the file
lacks() {
  local text
  for text in "${@:2}"; do
    if grep -F -e "$text" "$1"; then return 1; fi
  done
}
