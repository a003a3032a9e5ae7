# shellcheck shell=bash
# The command under its installed name on PATH, for scripts that call it. Load it after lib.

# put_command_on_path: as `jbang app install` does it, but starting at once and at home in the test's own folder
put_command_on_path() {
  local bin=$BATS_TEST_TMPDIR/bin options
  mkdir -p "$bin"
  read -ra options <<<"$TOKEN_REQUEST_JAVA_OPTIONS"
  {
    echo '#!/bin/sh'
    echo "exec $(command -v java) ${options[*]@Q} -Duser.home=${HOME@Q} -cp ${TOKEN_REQUEST_CLASSPATH@Q} tokenrequest.TokenRequest \"\$@\""
  } >"$bin/condor_token_request"
  chmod 755 "$bin/condor_token_request"
  PATH=$bin:$PATH
}

# put_on_path NAME <SCRIPT: a stand-in for another command
put_on_path() {
  local bin=$BATS_TEST_TMPDIR/bin
  mkdir -p "$bin"
  cat >"$bin/$1"
  chmod 755 "$bin/$1"
  PATH=$bin:$PATH
}

EXAMPLES=$TESTS_DIR/examples

# run_script NAME ARGUMENT...: an example; sets status; leaves stdout, stderr and the normalised record of it all, as
# `request` does
run_script() {
  local dir=$BATS_TEST_TMPDIR
  status=0
  "$EXAMPLES/$1" "${@:2}" >"$dir/stdout" 2>"$dir/stderr" </dev/null || status=$?
  {
    printf '$ %s\nexit %s\n--- stdout\n' "$*" "$status"
    whole_lines "$dir/stdout"
    printf -- '--- stderr\n'
    whole_lines "$dir/stderr"
  } | normalise >"$dir/record"
}

# run_script_with_status NAME ARGUMENT...: the same, for the background
run_script_with_status() {
  run_script "$@"
  return "$status"
}
