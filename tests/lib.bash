# shellcheck shell=bash
# What the bats files share: run the tool, normalise what happened, compare it. Load it with `load lib`.
bats_require_minimum_version 1.8.0 # what Debian 12 ships; keep to it
load workbench
load client

# Every test begins in an empty folder of its own, with an empty home. A file's own setup calls own_folders.
setup() { own_folders; }
teardown() { stop_loopback_pool; }

# own_folders: the working directory has one name for all tests of a run, for the workbench is in it
own_folders() {
  mkdir "$BATS_TEST_TMPDIR/home"
  export HOME=$BATS_TEST_TMPDIR/home
  : "${WORK:=$BATS_TEST_TMPDIR/work}"
  find "$WORK" -mindepth 1 -delete 2>/dev/null || mkdir -p "$WORK"
  cd "$WORK" || return
}

# Settings of one invocation, NAME=VALUE: a name may have a dot, which the shell's own variables cannot. Or a command with
# its arguments to run the tool by.
settings=()

# request ARGUMENT...: runs the tool. Sets status; leaves stdout, stderr and the normalised record of it all as files in
# $BATS_TEST_TMPDIR. REQUEST_MAIN=Harness before it runs that main instead. (Files, since `run` eats final newlines.)
# `input` and `output` say where stdin and stdout are instead; output is "-" if it is closed.
# With -json, fails unless every line on stdout is as schema.json says.
request() {
  local dir=$BATS_TEST_TMPDIR argument
  run_tool "$@"
  {
    printf '$ token-request'
    for argument; do
      [[ $argument =~ ^[A-Za-z0-9_%+=:,./@-]+$ ]] && printf ' %s' "$argument" || printf ' %s' "${argument@Q}"
    done
    printf '\nexit %s\n--- stdout\n' "$status"
    whole_lines "$dir/stdout"
    printf -- '--- stderr\n'
    whole_lines "$dir/stderr"
  } | normalise >"$dir/record"
  if [[ " $* " =~ \ --?json\  && ! " $* " =~ \ --?(help|version|completion)\  ]]; then
    validate "$status" "$dir/stdout"
  fi
}

# run_tool ARGUMENT...: sets status; leaves the files stdout and stderr. A call where that will do; as a process with
# AS_PROCESS set, or when the invocation asks for one.
run_tool() {
  status=0
  : >"$BATS_TEST_TMPDIR/stdout"
  if can_call "$@"; then call_tool "$@"; else start_tool "$@"; fi
}

# start_tool ARGUMENT...: as a process of its own. Java takes the home from the password database, not from HOME, so it
# is told.
start_tool() {
  local dir=$BATS_TEST_TMPDIR options
  read -ra options <<<"$TOKEN_REQUEST_JAVA_OPTIONS"
  local command=(java "${options[@]}" -Duser.home="$HOME" -cp "$TOKEN_REQUEST_CLASSPATH"
    "tokenrequest.${REQUEST_MAIN:-TokenRequest}" "$@")
  # Some callers, nohup among them, have us ignore signals.
  case ${output-} in
    -) env --default-signal=HUP,INT,TERM "${settings[@]}" "${command[@]}" >&- ;;
    *) env --default-signal=HUP,INT,TERM "${settings[@]}" "${command[@]}" >"${output:-$dir/stdout}" ;;
  esac 2>"$dir/stderr" <"${input:-/dev/null}" || status=$?
}

# hold_lock FILE TEXT: another process locks the file as Java does (flock(1) has locks of another kind); release_lock ends it
hold_lock() {
  coproc HOLDER { exec python3 -c 'import fcntl, sys
file = open(sys.argv[1], "a+")
fcntl.lockf(file, fcntl.LOCK_EX)
print(sys.argv[2], file=file, flush=True)
print("locked", flush=True)
sys.stdin.read()' "$@" 3>&-; }
  local line
  read -r line <&"${HOLDER[0]}"
  [[ $line == locked ]]
}

release_lock() {
  local holder=$HOLDER_PID stdin=${HOLDER[1]}
  exec {stdin}>&-
  wait "$holder"
}

# validate STATUS FILE: the file is what -json may print, when the exit status is that
validate() {
  local answer
  if [[ -n ${WORKBENCH-} ]]; then
    call "$WORKBENCH/lines" "$1" "$2"
  else
    answer=$("$TESTS_DIR/validate" --exit "$1" "$2" 2>&1) && answer=0
  fi
  [[ $answer == 0 ]] || { printf '%s\n' "$answer" && return 1; }
}

# start_pool DIRECTORY ARGUMENT...: an embedded pool that does what LoopbackPool.java's options say; what it writes is in
# the directory: ca.pem, events. Sets LOOPBACK_PORT and LOOPBACK_CA (its CA's certificate), also LOOPBACK_TOKEN with
# --token-for. It ends with this shell's teardown at the latest.
start_pool() {
  local answer dir=$1
  mkdir -p "$dir"
  : >"$dir/events"
  call "$WORKBENCH/calls" pool "$dir" "$dir/pool-stderr" --ca-file "$dir/ca.pem" --log "$dir/events" "${@:2}"
  if [[ $answer != '0 '* ]]; then
    cat "$dir/pool-stderr"
    echo "no pool: $answer"
    return 1
  fi
  pools+=("$dir")
  eval "${answer#0 }"
}
pools=()

# loopback_pool ARGUMENT...: the test's pool, or the file's if setup_file calls this. SSL trusts its CA.
loopback_pool() {
  stop_loopback_pool
  start_pool "$BATS_TEST_TMPDIR" "$@"
  export _CONDOR_AUTH_SSL_CLIENT_CAFILE=$LOOPBACK_CA
}

# stop_loopback_pool: ends what this shell has started; then all events are there. For teardown, or within a test.
stop_loopback_pool() {
  local answer dir
  for dir in "${pools[@]}"; do
    call "$WORKBENCH/calls" stop "$dir"
  done
  pools=()
}

# whole_lines FILE: prints it; says so, as diff does, when the last line lacks its newline
whole_lines() {
  cat "$1"
  [[ ! -s $1 || -z $(tail -c 1 "$1") ]] || printf '\n\\ No newline at end of file\n'
}

# normalise: a filter for what differs from run to run and cannot be made constant. One rule a line, with its reason.
normalise() {
  local rules=(
    "s|$BATS_TEST_TMPDIR|<TMP>|g"                               # bats takes a new folder for every run
    "s|$WORK\b|<TMP>/work|g"                                    # as if it were in there
    # The system picks a port, of four or five digits; 9618 stays.
    's/(127\.0\.0\.1|localhost|cm\.pool\.test|\[::1\]):([0-9]{5}|[1-8][0-9]{3}|9[0-57-9][0-9]{2}|96[02-9][0-9]|961[0-79])\b/\1:<PORT>/g'
    's/(\brequest |request_id"?[:=] ?"?)[0-9]{7}\b/\1<ID>/g'    # a pool draws request IDs at random
    "s/^(    Client ID: |.*\"client_id\":\")$(id -un)@/\1<USER>@/" # who runs the tests,
    "s/^(    Client ID: .*@)$(own_host)-/\1<HOST>-/"            # and where
    # Its name has the pool's, with the port, and a hash of a secret.
    's/pending-token-request-[A-Za-z0-9._-]+-([0-9]{7})-[0-9a-f]{12}\.json/pending-token-request-<POOL>-\1-<HASH>.json/g'
  )
  sed -E "${rules[@]/#/-e}"
}

# own_host: this machine's name, as the tool takes it
own_host() {
  local name
  if read -r name 2>/dev/null </proc/sys/kernel/hostname; then echo "$name"; else hostname; fi
}

# assert_golden AREA/CASE: the record equals tests/golden/AREA/CASE.txt; UPDATE_GOLDEN=1 rewrites that, except in CI
assert_golden() {
  local golden=$TESTS_DIR/golden/$1.txt
  if [[ ${UPDATE_GOLDEN-} == 1 && -z ${CI-} ]]; then
    mkdir -p "${golden%/*}"
    cp "$BATS_TEST_TMPDIR/record" "$golden"
  fi
  diff -uN "$golden" "$BATS_TEST_TMPDIR/record"
}
