#!/usr/bin/env bats
# Requests that could get lost: homes that take no file, kills at the worst moment, two pools with the same number, and files
# that pretend to be another's request. Beside each stands the same command where nothing is in its way.
# shellcheck disable=SC2030,SC2031,SC2034,SC2153,SC2154 # each test has settings of its own; variables of loopback.bash
load events
load users

setup() {
  own_folders
  umask 022
  authenticate_by CLAIMTOBE
  export _CONDOR_SEC_TOKEN_DIRECTORY=$HOME/tokens.d
}

teardown() {
  end_client
  stop_process
  stop_loopback_pool
  remove_common_folder
}

# waiting_pool: it approves when `approve` says so
waiting_pool() { pool_with --methods CLAIMTOBE --token "$TOKEN" --approve-on "$BATS_TEST_TMPDIR/approved"; }
approve() { touch "$BATS_TEST_TMPDIR/approved"; }

# unasked STATUS ARGUMENT...: ends so, and nothing was asked of the pool
unasked() {
  local before
  before=$(events ^connection)
  request -pool "$HERE" -identity alice@own.test "${@:2}"
  assert_status "$1"
  [[ $(events ^connection) == "$before" ]]
}

# as_user_victim: from here on the tool runs as an ordinary user whose home takes no file
as_user_victim() {
  settings=("${as_victim[@]}")
  export HOME=/proc/nowhere TOKEN_REQUEST_CLASSPATH=$COMMON_CLASSPATH
  TOKEN_REQUEST_JAVA_OPTIONS=${TOKEN_REQUEST_JAVA_OPTIONS% -Xshare:auto*}
  unset _CONDOR_SEC_TOKEN_DIRECTORY
}

# the_hint: the arguments of the command that goes on, from stderr
the_hint() { sed -n 's/^.*To resume: condor_token_request //p' "$BATS_TEST_TMPDIR/stderr"; }

# resumes ARGUMENT...: that command gets the token to stdout
resumes() {
  request "$@"
  assert_status 0
  diff - "$BATS_TEST_TMPDIR/stdout" <<<"$TOKEN"
}

# ---- Places ----

@test "a user without a home has the request beside the token, as a file that is no token" {
  common_folder
  waiting_pool
  install -d -o "$VICTIM" "$COMMON/out"
  as_user_victim
  cd /
  request -pool "$HERE" -identity alice@own.test -nowait -file "$COMMON/out/token"
  assert_status 0
  local saved
  saved=$(find "$COMMON/out" -name '.pending-token-request-*')
  [[ $(stat -c '%u %a' "$saved") == "$VICTIM 600" ]]
  [[ $(the_hint) == "-resume $saved -file $COMMON/out/token" ]]
  approve
  resumes -resume "$saved"
  [[ ! -e $saved ]]
}

@test "where it can be saved nowhere, -nowait is refused before anything is asked" {
  common_folder
  waiting_pool
  as_user_victim
  cd /
  unasked 2 -nowait
  grep -q -- -state "$BATS_TEST_TMPDIR/stderr"
  # A wait goes on, with a warning, and so does whoever has the request on stdout.
  request -pool "$HERE" -identity alice@own.test -nowait -json
  assert_status 0
  [[ $(names) == enqueued ]]
  cp "$BATS_TEST_TMPDIR/stdout" "$COMMON/kept"
  approve
  input=$COMMON/kept
  resumes -resume -
  grep -q 'WARNING: the request cannot be saved' "$BATS_TEST_TMPDIR/stderr"
}

@test "a file in the place of home's folder costs nothing: the request is saved where the command runs" {
  waiting_pool
  touch "$HOME/.condor"
  request -pool "$HERE" -identity alice@own.test -nowait
  assert_status 0
  [[ $(the_hint) == "-resume $PWD/pending-token-request-"* ]]
  approve
  resumes -resume "$PWD"/pending-token-request-*
  diff /dev/null <(find . -type f)
}

@test "-state DIR is where the request is saved, or the command is refused" {
  waiting_pool
  touch plain
  unasked 2 -nowait -state plain
  unasked 2 -nowait -state plain/below
  unasked 2 -json -nowait -state plain
  request -pool "$HERE" -identity alice@own.test -nowait -state new/state
  assert_status 0
  [[ $(stat -c %a new/state) == 700 && $(stat -c %a new/state/pending-*) == 600 && ! -e $HOME/.condor ]]
  approve
  resumes -resume new/state/pending-* -state new/state
  diff /dev/null <(ls -A new/state)
}

@test "root does not save a request where a user leads it, as -state or as a home" {
  common_folder
  waiting_pool
  mkdir "$COMMON/hers" "$COMMON/system"
  chown "$OTHER" "$COMMON/hers"
  "${as_other[@]}" ln -s "$COMMON/system" "$COMMON/hers/state"
  unasked 2 -nowait -state "$COMMON/hers/state"
  unasked 2 -nowait -state "$COMMON/hers/state/new"
  "${as_other[@]}" ln -s "$COMMON/system" "$COMMON/hers/.condor"
  HOME=$COMMON/hers request -pool "$HERE" -identity alice@own.test -nowait
  assert_status 0
  diff /dev/null <(ls -A "$COMMON/system")
  request -pool "$HERE" -identity alice@own.test -nowait -state "$COMMON/system"
  assert_status 0
  [[ -n $(ls -A "$COMMON/system") ]]
}

# ---- Names ----

@test "two pools that give out the same number do not cost each other's request" {
  local first second here
  waiting_pool
  first=$HERE
  request -pool "$first" -identity alice@own.test -nowait
  start_pool "$BATS_TEST_TMPDIR/second" --methods CLAIMTOBE --token "$TOKEN" \
    --approve-on "$BATS_TEST_TMPDIR/approved"
  second=localhost:$LOOPBACK_PORT
  request -pool "$second" -identity alice@own.test -nowait
  [[ $first != "$second" && $(state_files | wc -l) == 2 ]]
  # Nobody can guess a name and plant something there: it ends with a hash of the client ID.
  [[ $(state_files | grep -cE -- '-6108900-[0-9a-f]{12}\.json$') == 2 ]]
  approve
  for here in "$first" "$second"; do
    resumes -resume "$(grep -lF "\"pool\":\"$here\"" "$HOME"/.condor/pending-*)"
  done
  [[ -z $(state_files) ]]
}

@test "a -resume file with another's number does not replace or remove that request" {
  local ours
  waiting_pool
  request -pool "$HERE" -identity alice@own.test -nowait
  ours=$(state_files)
  cp "$ours" before
  # The same number at the same pool, with another secret; the pool knows nothing of it.
  sed -E 's/("client_id":")[^"]*/\1stranger-0/' "$ours" >hostile
  request -resume hostile -timeout 0
  ((status != 0))
  cmp before "$ours"
  pool_with --methods CLAIMTOBE --refuse-poll 5:Expired.
  sed -E "s/127\.0\.0\.1:[0-9]+/127.0.0.1:$LOOPBACK_PORT/" hostile >ended
  request -resume ended
  assert_status 5
  cmp before "$ours"
}

@test "a request that an earlier version saved is resumed and cleaned up" {
  waiting_pool
  request -pool "$HERE" -identity alice@own.test -nowait
  local old=$HOME/.condor/pending-token-request-6108900.json
  mv "$(state_files)" "$old"
  approve
  resumes -resume "$old"
  [[ -z $(state_files) ]]
}

# ---- Moments ----

# blocked STREAM: the command that follows has a pipe there that is full, and blocks when it writes to it
blocked() {
  settings=(python3 -c 'import fcntl, os, sys
open(sys.argv[1], "w").write(str(os.getpid()))
r, w = os.pipe()
os.set_blocking(w, False)
try:
    while True: os.write(w, b"x" * 4096)
except BlockingIOError: pass
try:
    while True: os.write(w, b"x")
except BlockingIOError: pass
os.set_blocking(w, True)
os.dup2(w, int(sys.argv[2]))
os.set_inheritable(r, True)
os.execvp(sys.argv[3], sys.argv[3:])' "$BATS_TEST_TMPDIR/process" "$1")
}

# await_file PATTERN: until there is a file of such a name
await_file() {
  local deadline=$((SECONDS + EVENTUALLY))
  until compgen -G "$1" >/dev/null; do
    ((SECONDS < deadline)) || { echo "no file $1" && return 1; }
    sleep 0.02
  done
}

@test "a request is saved before its ID is shown: killed at that moment, it can be resumed" {
  local stream options=(-pool localhost -identity alice@own.test)
  for stream in 1 2; do
    waiting_pool
    rm -f "$BATS_TEST_TMPDIR/approved"
    blocked "$stream"
    options[1]=$HERE
    ((stream == 2)) || options+=(-json)
    start "${options[@]}"
    settings=()
    await_event ^start
    await_file "$HOME/.condor/pending-token-request-*.json"
    send KILL
    await_end
    ((status == 137))
    approve
    resumes -resume "$(state_files)"
    rm -f "$BATS_TEST_TMPDIR/process"
  done
}

@test "a token is in its file before anything else is done with it" {
  # What the review reads is the pool's key. In the place of it is a pipe, from which nothing comes yet.
  mkfifo key
  export _CONDOR_SEC_TOKEN_POOL_SIGNING_KEY_FILE=$PWD/key
  pool_with --methods CLAIMTOBE --auto-approve
  AS_PROCESS=1 start -pool "$HERE" -identity alice@own.test -file token
  await_file "$PWD/token"
  [[ $(<token) == eyJ* ]]
  kill -0 "$client"
  echo no-key >key
  await_end
  assert_status 0
}

@test "a token that cannot be written is saved in a file, and stdout, which may be a log, does not have it" {
  waiting_pool
  mkdir doomed
  begin -pool "$HERE" -identity alice@own.test -file doomed/token -state state
  rm -r doomed
  approve
  await_end
  assert_status 7
  [[ ! -s $BATS_TEST_TMPDIR/stdout ]]
  lacks "$BATS_TEST_TMPDIR/stderr" "$TOKEN"
  diff - state/rescued-token-* <<<"$TOKEN"
  [[ $(stat -c %a state/rescued-token-*) == 600 ]]
  grep -q "saved in $PWD/state/rescued-token-" "$BATS_TEST_TMPDIR/stderr"
}

@test "a signal while the token is being written to a full stdout saves it in a file" {
  pool_with --methods CLAIMTOBE --auto-approve --token "$TOKEN"
  blocked 1
  start -pool "$HERE" -identity alice@own.test
  settings=()
  await_event ^issued
  send TERM
  await_end
  assert_status 143
  diff - "$HOME"/.condor/rescued-token-* <<<"$TOKEN"
}
