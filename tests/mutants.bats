#!/usr/bin/env bats
# The list of mistakes that tests/mutants puts into the program: that it can be used, not that the tests notice them, which
# takes an hour.
# shellcheck disable=SC2030,SC2031 # status and output, which run sets

setup() { cd "$TESTS_DIR/.." || return; }

@test "every mistake of the list has its place in the program and a test that should notice, in each section several" {
  local section count
  tests/mutants --check >"$BATS_TEST_TMPDIR/counts"
  cat "$BATS_TEST_TMPDIR/counts"
  count=$(sed -nE 's/^([0-9]+) mistakes, .*/\1/p' "$BATS_TEST_TMPDIR/counts")
  ((count >= 200))
  for ((section = 1; section <= 25; section++)); do
    count=$(sed -nE "s/^# section +$section: //p" "$BATS_TEST_TMPDIR/counts")
    ((count >= 3))
  done
}

# refused PATTERN <LIST: such a list is refused
refused() {
  cat >"$BATS_TEST_TMPDIR/list"
  run tests/mutants --check --mistakes "$BATS_TEST_TMPDIR/list"
  [[ $status == 2 && $output =~ $1 ]] || { echo "$output" && return 1; }
}

@test "a text that is not there once, a section or test that is another, and a survivor without a reason are refused" {
  refused 'occurs 0 times' <<<$'3 one\nfind NOT_IN_THE_PROGRAM\nput X\ntest json'
  refused 'occurs [0-9]+ times' <<<$'3 one\nfind return\nput X\ntest json'
  refused 'is in section 3' <<<$'4 one\nfind TIMED_OUT(6, "timed_out"),\nput X\ntest json'
  refused 'no tests/missing.bats' <<<$'3 one\nfind TIMED_OUT(6, "timed_out"),\nput X\ntest missing'
  refused 'no test in tests/json.bats matches' <<<$'3 one\nfind TIMED_OUT(6, "timed_out"),\nput X\ntest json no such name'
  refused 'names no test' <<<$'3 one\nfind TIMED_OUT(6, "timed_out"),\nput X'
  refused 'a reason is a sentence' <<<$'3 one\nfind TIMED_OUT(6, "timed_out"),\nput X\ntest json\nsurvives because'
}
