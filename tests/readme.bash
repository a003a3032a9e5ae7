# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables that the files share: status, SCREEN, KEYBOARD
# README.md as a test: its blocks run here, and its screens are compared with what the command shows. Load it with
# `load readme`.
#
# A comment before a block, or in the cell of a table, says what it is:
#
#   <!-- run: NAME -->       commands for run_block
#   <!-- tasks: NAME -->     Ansible's, whose commands a test runs
#   <!-- file: NAME -->      contents of a file that those commands need
#   <!-- output: NAME -->    a whole screen, for assert_output
#   <!-- message: NAME -->   in a table: the first line of a failure, for assert_message
#
# UPDATE_README=1 renews screens and messages, except in CI.
README=$TESTS_DIR/../README.md

# The fingerprint that README.md shows: nobody reads 32 bytes.
SHORT_FINGERPRINT='8a:ad:4e:…:c1'

# block KIND NAME: the lines of that block
block() {
  MARK="<!-- $1: $2 -->" awk '
    $0 == ENVIRON["MARK"] { marked = 1; next }
    marked && /^```/ { if (inside) exit; inside = 1; next }
    marked && inside' "$README" >"$BATS_TEST_TMPDIR/block"
  [[ -s $BATS_TEST_TMPDIR/block || ${UPDATE_README-} == 1 ]] || { echo "README.md has no $1: $2" && return 1; }
  cat "$BATS_TEST_TMPDIR/block"
}

# ---- Running a block ----

# here: a filter that puts the test's pool and folders where README.md names a public host and the system's folders
here() {
  local rules=(
    "s|-token cm\.example\.org\b|-token personal|g"          # a file name may not have the port's colon in it
    "s|tokens\.d/cm\.example\.org|tokens.d/node|g"
    "s|\bcm\.example\.org\b|${HERE-}|g"
    's|@example\.org\b|@pool.test|g'
    's|\bsubmit\.example\.org\b|submit.test|g'
    "s|/etc/condor/|$PWD/etc/condor/|g"
    "s|$SHORT_FINGERPRINT|${FINGERPRINT-}|g"
  )
  sed -E "${rules[@]/#/-e}"
}

# run_block NAME: runs the commands as a shell script of the user's. Sets status; leaves the files stdout and stderr.
run_block() {
  local script=$BATS_TEST_TMPDIR/script dir=$BATS_TEST_TMPDIR
  block run "$1" | here >"$script"
  [[ -s $script ]]
  status=0
  bash -euo pipefail "$script" >"$dir/stdout" 2>"$dir/stderr" </dev/null || status=$?
}

# run_block_at_terminal NAME: the same at a terminal, in the background; for until_shown, type_line and at_its_end
run_block_at_terminal() {
  block run "$1" | here >"$BATS_TEST_TMPDIR/script"
  [[ -s $BATS_TEST_TMPDIR/script ]]
  : >shown
  mkfifo keyboard
  exec {KEYBOARD}<>keyboard
  exec {SCREEN}< <(SHELL=/bin/bash exec env --default-signal=HUP,INT,TERM script --quiet --return --flush \
    --command "exec bash -euo pipefail $BATS_TEST_TMPDIR/script" /dev/null <keyboard 3>&-)
  client=$!
}

# assert_ended STATUS: and shows stderr if it is another
assert_ended() {
  ((status == $1)) && return
  echo "exit $status instead of $1"
  cat "$BATS_TEST_TMPDIR/stdout" "$BATS_TEST_TMPDIR/stderr"
  return 1
}

# assert_token FILE: one line that is a token, and nothing else
assert_token() {
  [[ $(wc -l <"$1") == 1 ]]
  grep -Eqx '[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+' "$1"
}

# ---- Comparing a screen ----

# public: a filter for what the command shows: hosts, folders and names as README.md has them
public() {
  local rules=(
    "s|$BATS_TEST_TMPDIR/home|/home/alice|g"
    "s|$PWD/etc/condor/|/etc/condor/|g"
    "s|$PWD|/home/alice|g"
    "s|<127\.0\.0\.1:[0-9]+|<192.0.2.7:9618|g"
    "s|\blocalhost:[0-9]+|cm.example.org:9618|g"
    "s|\blocalhost_[0-9]+|cm.example.org_9618|g"
    's|\blocalhost\b|cm.example.org|g'
    's|\bpool\.test\b|example.org|g'
    's|\bLoopbackPool CA\b|example.org CA|g'
    "s/\b([0-9a-f]{2}:){31}[0-9a-f]{2}\b/$SHORT_FINGERPRINT/g"
    's|[^ ]+@[^ ]+-[0-9a-f]{32}\b|alice@laptop-4f1d9c02b3aa4c0f8d5e67718c1e90d4|g' # the client's own name
    's|(pending-token-request-[^ ]*-[0-9]{7}-)[0-9a-f]{12}|\19ca4f2e01b77|g'
    's|\b[0-9-]{10}([T ])[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?|2026-01-02\109:00:49|g'
    's|\b[0-9-]{10}([T ])[0-9]{2}:[0-9]{2}|2026-01-02\109:00|g'
    's|tokens\.d/personal\b|tokens.d/cm.example.org|g'
    's|\bnosuchhost\.invalid\b|cm.exmaple.org|g' # mistyped
    's|\bcm\.test\b|example.org|g'
    's|[ \t\r]+$||'
  )
  sed -E "${rules[@]/#/-e}"
}

renewing() { [[ ${UPDATE_README-} == 1 && -z ${CI-} ]]; }

# assert_output NAME FILE: the block is what the file holds
assert_output() {
  local seen=$BATS_TEST_TMPDIR/seen
  public <"$2" | awk 1 >"$seen" # what waits for an answer does not end its line
  [[ -s $seen ]]
  if renewing; then
    MARK="<!-- output: $1 -->" SEEN=$seen awk '
      skipping && /^```/ { skipping = 0 }
      skipping { next }
      { print }
      $0 == ENVIRON["MARK"] { marked = 1; next }
      marked && /^```/ { while ((getline line < ENVIRON["SEEN"]) > 0) print line; marked = 0; skipping = 1 }' "$README" >"$seen.readme"
    cat "$seen.readme" >"$README"
  fi
  diff -u --label README.md <(block output "$1") --label 'what the command shows' "$seen"
}

# assert_message NAME PATTERN: the row of the table begins with the first line on stderr that matches
assert_message() {
  local seen
  seen=$(grep -Em 1 -- "$2" "$BATS_TEST_TMPDIR/stderr" | public | sed -E 's/^ +//; s/\|/\\|/g') || :
  [[ -n $seen ]] || { echo "no line $2 in:" && cat "$BATS_TEST_TMPDIR/stderr" && return 1; }
  if renewing; then
    SEEN=$seen MARK="| <!-- message: $1 --> " awk '
      index($0, ENVIRON["MARK"]) == 1 {
        rest = substr($0, length(ENVIRON["MARK"]) + 1)
        match(rest, /^`[^`]*`/)
        $0 = ENVIRON["MARK"] "`" ENVIRON["SEEN"] "`" substr(rest, RLENGTH + 1)
      }
      { print }' "$README" >"$BATS_TEST_TMPDIR/renewed"
    cat "$BATS_TEST_TMPDIR/renewed" >"$README"
  fi
  diff -u --label README.md <(sed -nE "s/^\| <!-- message: $1 --> \`([^\`]*)\` \|.*/\1/p" "$README") \
    --label 'what the command says' - <<<"$seen"
}
