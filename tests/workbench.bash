# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables of those who load this: status; settings, input, output
# Calls of the tool and of the embedded pool in the JVM that stays (tests/support/Workbench.java), and of the validator
# that stays (tests/validate --serve). lib loads it; setup_suite starts the two.

# Longest wait for the answer to a call, seconds: more than the longest that a client here is kept waiting.
ANSWERED_WITHIN=150

# start_workbench: for setup_suite. Sets WORKBENCH, the folder of the pipes, and WORK, its working directory, which is
# that of every test in turn. Both servers end with this shell.
start_workbench() {
  local options
  export WORKBENCH=$1 WORK=$1/work
  mkdir -p "$WORK"
  mkfifo "$WORKBENCH/calls" "$WORKBENCH/lines"
  # Held open, the pipes keep what is written before the servers listen.
  exec {calls_kept}<>"$WORKBENCH/calls" {lines_kept}<>"$WORKBENCH/lines"
  read -ra options <<<"$TOKEN_REQUEST_JAVA_OPTIONS"
  (
    cd "$WORK" || exit
    # What is not standard (Trace.STAMP, say) is in force in this process for all of its calls.
    exec java "${options[@]}" -cp "$TOKEN_REQUEST_CLASSPATH" tokenrequest.Workbench "$WORKBENCH/calls" "$$"
  ) </dev/null >"$WORKBENCH/log" 2>&1 3>&- &
  "$TESTS_DIR/validate" --serve "$WORKBENCH/lines" "$$" </dev/null >"$WORKBENCH/validator-log" 2>&1 3>&- &
}

# call PIPE FIELD...: hands a call to a server that reads PIPE; sets answer. The call may come from several shells at once.
call() {
  local file
  file=$BATS_TEST_TMPDIR/call-$BASHPID-$((++calls))
  mkfifo "$file.answer"
  printf '%s\0' "${@:2}" >"$file"
  answer_to "$1" "$file"
}

# answer_to PIPE FILE: the same, when the call is in the file. Opened for both, no pipe waits for its other end.
answer_to() {
  local pipe
  exec {pipe}<>"$2.answer"
  printf '%s\n' "$2" 1<>"$1"
  answer=
  IFS= read -r -t "$ANSWERED_WITHIN" -u "$pipe" answer || echo "no answer from the workbench: $(tail -n 5 "$WORKBENCH/log")"
  exec {pipe}<&-
  rm -f "$2" "$2.answer"
}

# can_call ARGUMENT...: whether an invocation can be a call: in the directory that is the workbench's, with no wrapper
# around it, and about none of the caller's descriptors
can_call() {
  local setting
  [[ $* != */dev/fd/* && $* != */dev/std* && $* != */proc/* && $* != */dev/tty* ]] || return
  [[ -n ${WORKBENCH-} && $PWD == "$WORK" && -z ${AS_PROCESS-} && ${output-} != - ]] || return
  for setting in "${settings[@]}"; do
    [[ $setting == -i || $setting =~ ^[A-Za-z_][A-Za-z0-9_.]*= ]] || return
  done
}

# call_tool ARGUMENT...: the tool, or what REQUEST_MAIN says, as a call. Sets status.
call_tool() {
  local dir=$BATS_TEST_TMPDIR file
  file=$dir/call-$BASHPID-$((++calls))
  mkfifo "$file.answer"
  {
    printf '%s\0' run "${REQUEST_MAIN:-TokenRequest}" "${input:-/dev/null}" "${output:-$dir/stdout}" "$dir/stderr" "$HOME"
    env "${settings[@]}" env --null
    printf '\0'
    (($# == 0)) || printf '%s\0' "$@"
  } >"$file"
  answer_to "$WORKBENCH/calls" "$file"
  status=$answer
  [[ $answer =~ ^[0-9]+$ ]] || { echo "the workbench says: $answer" && status=255; }
}
