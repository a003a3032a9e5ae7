#!/usr/bin/env bats
# Command lines of which it is known what the original makes of them: the table in fixtures/cli/cases.md, row by row.
# shellcheck disable=SC2034 # settings are for loopback.bash
load loopback
load cli

ENQUEUED='Token request enqueued.  Ask an administrator to please approve request <ID>.⏎'
# 2026, when the harness's clock stands still
NOW=1767225600

setup_file() {
  pool_with --methods FS,IDTOKENS,SSL --issued-at "$NOW"
  java -cp "$TOKEN_REQUEST_CLASSPATH" tokenrequest.TokenRequest -help >"$BATS_FILE_TMPDIR/help"
  grep -q '^Usage: condor_token_request ' "$BATS_FILE_TMPDIR/help"
}

setup() {
  own_folders
  export _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=false
  settings_of_table
}

# A wait that is to be interrupted would outlive a test that fails.
teardown() {
  stop_loopback_pool
  [[ -z ${jvm-} ]] || kill -KILL "$jvm"
}

# own_pool OPTION...: a pool of this test's own instead of the file's
own_pool() {
  pool_with --methods FS,IDTOKENS,SSL "$@"
  settings_of_table
}

# settings_of_table: as its text has them
settings_of_table() {
  unset _CONDOR_AUTH_SSL_CLIENT_CAFILE # of the pool: the original trusted no CA
  export _CONDOR_COLLECTOR_HOST=$HERE _CONDOR_UID_DOMAIN=own.test _CONDOR_NETWORK_INTERFACE=127.0.0.1
}

# of_pool TEXT: with this pool's port
of_pool() { printf '%s' "${1//9618/$LOOPBACK_PORT}"; }

# table HEADING: does what the rows say and compares; complains of each that fails; then the whole is compared with the
# transcript of that name
table() {
  local line failed=0
  while IFS= read -r line; do
    read_row "$line"
    own_row
    do_row
    append_row
    check_row || failed=1
  done < <(rows "$1")
  ((failed == 0)) && assert_rows "$1"
}

# own_row: an empty home and working directory
own_row() {
  export HOME=$BATS_TEST_TMPDIR/row-$number/home _CONDOR_SEC_TOKEN_DIRECTORY=$BATS_TEST_TMPDIR/row-$number/home/tokens.d
  mkdir -p "$HOME"
  find . -mindepth 1 -delete
}

# do_row: runs the tool as the row says. Where there is something to wait for, nobody waits.
do_row() {
  seen=$(wc -l <"$LOOPBACK_LOG")
  local i
  for i in "${!row_settings[@]}"; do row_settings[i]=$(of_pool "${row_settings[i]}"); done
  for i in "${!arguments[@]}"; do arguments[i]=$(of_pool "${arguments[i]}"); done
  settings=("${row_settings[@]}")
  if differs resume; then
    interrupted "${arguments[@]}"
  else
    REQUEST_MAIN=${approved:+Harness} request "${arguments[@]}"
  fi
  settings=()
}

# interrupted ARGUMENT...: `request`, ended by SIGTERM when it waits
interrupted() {
  AS_PROCESS=1 begin "$@"
  # The JVM is the only child of the shell around it. (That list does not end with a newline.)
  read -r jvm <"/proc/$client/task/$client/children" || [[ $jvm =~ ^[0-9]+\ *$ ]]
  await_event ^poll
  kill -TERM "$jvm"
  status=0
  wait "$client" || status=$?
  jvm=
}

# check_row: whether it ended as the original does, but for the differences
check_row() {
  ok=yes
  check_differences
  check_status
  check_stdout
  check_stderr
  check_files
  # The end of an earlier row's connection may be noted late, its beginning not.
  [[ $ours != 2 ]] || equal 'what the pool sees' '' "$(tail -n "+$((seen + 1))" "$LOOPBACK_LOG" | grep ^connection)"
  [[ $ok == yes ]] || { cat "$BATS_TEST_TMPDIR/record" && return 1; }
}

# equal WHAT EXPECTED ACTUAL: complains if they are not
equal() {
  [[ $2 == "$3" ]] && return
  printf 'row %s: %s is\n  %s\nnot\n  %s\n' "$number" "$1" "$3" "$2"
  ok=no
}

# check_differences: the row names what it shows, no more and no less
check_differences() {
  local shown=()
  [[ $ours == "$exit_status" || $ours == 0 ]] || shown+=(status)
  [[ $ours != 0 || $exit_status == 0 ]] || shown+=(help)
  [[ $err != *'<USAGE>' || $ours == 0 ]] || shown+=(usage)
  [[ $err != 'ERROR "'* ]] || shown+=(assertion)
  [[ $err != '<STAMP>'* ]] || shown+=(debug)
  [[ $err != *'Failed to request a new token: DAEMON:'* ]] || shown+=(stack)
  [[ $out != "$ENQUEUED"* || $ours != 0 ]] || shown+=(enqueued)
  [[ $out != "$ENQUEUED"* || $ours == 0 ]] || shown+=(early)
  [[ $number != 32 ]] || shown+=(asks)            # has a test of its own
  [[ $number != 55 ]] || shown+=(enqueued resume) # interrupted, the original loses that line
  [[ $number != 35 ]] || shown+=(attached)
  [[ $number != 62 ]] || shown+=(warning)
  [[ $number != 64 ]] || shown+=(number)
  equal differences "$(sorted "${shown[@]}")" "$(sorted "${differences[@]}")"
  if [[ -n $first_line ]]; then differs assertion || differs stack || differs attached || differs number || equal 'our first line' '' "$first_line"; fi
}

sorted() { printf '%s\n' "$@" | sort | paste -sd ' '; }

check_status() {
  equal 'exit status' "$ours" "$status"
  if differs help || differs number; then return; fi
  equal 'success' "$((exit_status == 0))" "$((status == 0))"
}

check_stdout() {
  if differs help; then
    equal stdout "$(<"$BATS_FILE_TMPDIR/help")" "$(<"$BATS_TEST_TMPDIR/stdout")"
  elif differs number; then
    equal stdout '' "$(<"$BATS_TEST_TMPDIR/stdout")"
  else
    equal stdout "${out/#"$ENQUEUED"/}" "$(on_one_line "$BATS_TEST_TMPDIR/stdout")"
  fi
}

# check_stderr: it begins with the original's line, or lines; below them come indented ones
check_stderr() {
  local actual expected=${err%'<USAGE>'}
  in_common "$BATS_TEST_TMPDIR/stderr" >"$BATS_TEST_TMPDIR/in-common"
  actual=$(on_one_line "$BATS_TEST_TMPDIR/in-common")
  if differs help; then expected=; fi
  if differs debug; then
    actual=$(sed -E 's/<STAMP> [^⏎]*⏎//g' <<<"$actual")
    expected=$(sed -E 's/<STAMP> [^⏎]*⏎//g' <<<"$expected")
  fi
  [[ -z $first_line ]] || expected=$first_line⏎
  ! differs enqueued || expected=$ENQUEUED$expected
  expected=$(of_pool "$expected")
  if differs warning; then
    [[ $actual == 'WARNING: '* ]] || equal 'the first line' 'a warning' "$actual"
    actual=${actual#*⏎}
  fi
  if [[ $actual != "$expected"* ]]; then
    equal stderr "$expected..." "$actual"
    return
  fi
  local rest=${actual:${#expected}}
  if differs resume; then
    [[ $rest == 'The request is still pending. To resume: '*" -resume $HOME/.condor/pending-token-request-"*-6108900-*.json⏎ ]] \
      || equal 'the hint' 'how to resume' "$rest"
  elif ((ours == 0)); then
    equal 'the rest of stderr' '' "$rest"
  elif [[ ⏎$rest =~ ⏎[^\ ⏎] ]]; then
    equal 'the rest of stderr' 'indented lines' "$rest"
  elif differs usage; then
    [[ -n $rest ]] || equal 'the rest of stderr' 'some advice' "$rest"
    [[ $expected != *': Invalid command line argument: '* ]] || [[ $rest =~ ^\ \ (Did\ you\ mean\ -[a-z-]+\?\ )?Try\ -help\.⏎$ ]] ||
      equal 'the advice' '  Try -help.⏎' "$rest"
  fi
}

# check_files: those there are, and each holds one token, for its owner only
check_files() {
  local expected=${files//<ID>/6108900} file
  equal 'what is left' "$expected" "$(find "$HOME" "$PWD" -type f ! -name '.*.lock' -printf '%P\n' |
    sed -E 's/(request)-.*-([0-9]{7})-[0-9a-f]{12}\.json/\1-\2.json/' | sort | paste -sd ' ')"
  for file in $expected; do
    [[ $file == */* ]] && file=$HOME/$file
    [[ -e $file ]] || continue
    equal "the mode of $file" 600 "$(stat -c %a "$file")"
    [[ $file == *.json ]] || equal "$file" '<TOKEN>⏎' "$(on_one_line "$file")"
  done
}

# append_row: adds the record of the last `request` to the transcript, with what the pool was asked
append_row() {
  local transcript=$BATS_TEST_TMPDIR/transcript
  [[ ! -e $transcript ]] || echo >>"$transcript"
  {
    echo "# row $number"
    [[ ${#row_settings[@]} == 0 ]] || printf '%s\n' "${row_settings[@]}"
    if differs help; then
      # The help has a golden of its own.
      sed '/^--- stdout$/,/^--- stderr$/{//!d}; s/^--- stdout$/&\n<HELP>/' "$BATS_TEST_TMPDIR/record"
    else
      cat "$BATS_TEST_TMPDIR/record"
    fi
    tail -n "+$((seen + 1))" "$LOOPBACK_LOG" | grep '^start' | sed '1i --- pool' || :
  } >>"$transcript"
}

# assert_rows CASE: as assert_transcript, without what differs from run to run in these rows
assert_rows() {
  local rules=(
    's/^[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{20,}$/<TOKEN>/' # the pool's key is random
    's/^[0-9]{2}\/[0-9]{2}\/[0-9]{2} [0-9:]{8} (\S+) .*/<STAMP> \1 .../' # a step, which may hold a key
    's/^(.*To resume: +)(.*) (-resume )/\1<US> \3/'                # how we are started
  )
  sed -E -i "${rules[@]/#/-e}" "$BATS_TEST_TMPDIR/transcript"
  assert_transcript "$1"
}

@test "-help succeeds" { table help; }
@test "an unknown argument is refused in the original's words" { table no-options; }
@test "an option without its value is refused in the original's words" { table missing-values; }
@test "an invalid value is refused in the original's words" { table values; }
@test "a daemon type without token requests is refused in the original's words" { table types; }
@test "the first bad argument decides, as in the original" { table order; }
@test "an unreachable pool and an unknown host each have a line of their own" { table pools; }
@test "an unknown daemon is reported in the original's words" { table names; }
@test "a missing configuration file is reported in the original's words" { table configuration; }
@test "a login that cannot succeed ends with a short line and the reasons" { table security; }

@test "a wait that nobody ends is ended by SIGTERM, which tells how to go on with it" {
  own_pool --approve-on "$PWD/never"
  table waiting
}

@test "an approved token goes where the original puts it, and is alone on stdout" {
  table approved
  [[ $(events '^start .*lifetime=60') == 0 ]]
}

@test "a token that a rule of the pool approves comes at once" {
  own_pool --auto-approve
  table approved-by-rule
}

@test "of a type that is not on this machine, the only daemon that the collector knows is asked" {
  own_pool --auto-approve \
    --ad 'Type=Scheduler;Name=submit.own.test;Machine=localhost;MyAddress=<127.0.0.1:{port}?alias=localhost>'
  ask -type schedd
  assert_status 0
  assert_rows only-daemon
}

@test "the table has all 65 rows, in their order, explains each difference, and each part of it has a test" {
  diff <(seq 65) <(rows '' | sed -E 's/^\| ([0-9]+).*/\1/')
  diff <(sed -nE 's/^\| ([a-z]+) \| .*/\1/p' "$TESTS_DIR/fixtures/cli/cases.md" | sort) \
    <(rows '' | while IFS= read -r line; do read_row "$line" && printf '%s\n' "${differences[@]}"; done | sort -u | grep .)
  diff <(headings) <(sed -nE 's/.*\btable ([a-z-]+)(;.*)?$/\1/p' "$BATS_TEST_FILENAME")
}
