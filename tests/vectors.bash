# shellcheck shell=bash
# Checks of recorded bytes: a program makes all of them in one run, for the whole file; each test looks at one group. Load it
# after lib, and call run_checks in setup_file.

# run_checks PROGRAM FILE: the groups of that program, on what is recorded in that file of fixtures/wire
run_checks() {
  local options
  read -ra options <<<"$TOKEN_REQUEST_JAVA_OPTIONS"
  java "${options[@]}" -cp "$TOKEN_REQUEST_CLASSPATH" "tokenrequest.$1" "$TESTS_DIR/fixtures/wire/$2" \
    >"$BATS_FILE_TMPDIR/results" || : # the tests say what failed
}

# group NAME: this group of checks ran and passed
group() {
  grep -E "^(not )?ok $1(:|$)" "$BATS_FILE_TMPDIR/results"
  grep -qx "ok $1" "$BATS_FILE_TMPDIR/results"
}
