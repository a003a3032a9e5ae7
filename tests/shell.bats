#!/usr/bin/env bats

# files_named PATTERN: files of the repository, those not yet committed too
files_named() {
  git -C "$TESTS_DIR/.." ls-files --cached --others --exclude-standard -- "$1"
}

setup() { cd "$TESTS_DIR/.." || return; }

@test "shellcheck finds nothing in the scripts" {
  local scripts=() file first
  while IFS= read -r file; do
    [[ -f $file && $file != tests/fixtures/* ]] || continue # fixtures are as others wrote them
    read -r first <"$file" || :
    [[ $file == *.bash || $file == *.sh || $first =~ ^'#!'.*(/|' ')(ba|da)?sh($|' ') ]] && scripts+=("$file")
  done < <(files_named '*')
  [[ " ${scripts[*]} " == *' tests/run.sh '* ]]
  shellcheck --external-sources "${scripts[@]}"
}

@test "shellcheck finds nothing in the bats files" {
  local files
  mapfile -t files < <(files_named '*.bats')
  # SC2034: variables that `request` takes. SC2154: variables that it sets. SC2317: functions that bats calls.
  shellcheck --shell=bats --exclude=SC2034,SC2154,SC2317 "${files[@]}"
}

# unnoticed FILE: what shellcheck says of a negated command that is neither a condition nor the last one: set -e, and so
# bats, passes over it. It says so only of a shell that has set -e.
unnoticed() { sed -E '1i #!/bin/bash\nset -e
    s/^@test .* \{/a_test() {/' "$1" | shellcheck --shell=bash --include=SC2251 -; }

@test "no test passes over a negated command" {
  local files file
  mapfile -t files < <(files_named '*.bats' && files_named '*.bash')
  ((${#files[@]} >= 50))
  for file in "${files[@]}"; do
    unnoticed "$file" || { echo "in $file, two lines further up" && return 1; }
  done
  printf '@test "x" {\n  ! true\n  true\n}\n' >"$BATS_TEST_TMPDIR/wrong"
  run unnoticed "$BATS_TEST_TMPDIR/wrong"
  [[ $status == 1 && $output == *SC2251* ]]
}

@test "Error Prone finds nothing in TokenRequest.java" {
  tests/errorprone TokenRequest.java "${TOKEN_REQUEST_CLASSPATH#*:}"
}

@test "Error Prone's warning is as bad as an error" {
  local wrong=$BATS_TEST_TMPDIR/Wrong.java
  echo 'package wrong; class Wrong { boolean same(String text) { return text.equals(1); } }' >"$wrong"
  run tests/errorprone "$wrong"
  [[ $status == 1 && $output == "$wrong:1: warning: [EqualsIncompatibleType]"*'error: warnings found and -Werror specified'* ]]
}
