#!/usr/bin/env bats
# What a person sees at a terminal, and that it is seen nowhere else. The terminal is that of script(1).
# shellcheck disable=SC2030,SC2031 # settings of one test
load terminal

setup() {
  setup_terminal
  authenticate_by CLAIMTOBE
}

pool_of() { pool_with --methods CLAIMTOBE --token "$TOKEN" "$@"; }

# ---- The live line ----

LIVE='^Waiting for 6108900 \(([0-9]+:[0-9][0-9]); until [0-2][0-9]:[0-5][0-9]\)'"$ESC"'\[K'

@test "while it waits, a line shows the request, how long already and how long at most; then it is gone" {
  pool_of --approve-on "$PWD/approved"
  at_terminal -pool "$HERE" -identity alice@own.test
  until_shown "$LIVE"
  until_shown 'Waiting for 6108900 \(0:0[1-9];' # it goes on
  touch approved
  at_its_end
  [[ $status == 0 ]]
  # Erased before the token appears, as everything that comes after it is.
  grep -q "^.*${ESC}\[K"$'\r'"${ESC}\[K$TOKEN"$'\r$' shown
  assert_screen waited
}

@test "what is said while it waits has a line of its own" {
  pool_of --drop-polls 1 --approve-on "$PWD/approved"
  at_terminal -pool "$HERE" -identity alice@own.test
  until_shown 'Retrying'
  until_shown "$LIVE" # and it is there again
  touch approved
  at_its_end
  [[ $status == 0 ]]
  assert_screen waited-with-trouble
}

@test "a resumed wait has that line, too" {
  pool_of --approve-on "$PWD/approved"
  request -json -nowait -pool "$HERE" -identity alice@own.test
  cp "$BATS_TEST_TMPDIR/stdout" request.json
  at_terminal -resume request.json
  until_shown "$LIVE"
  touch approved
  at_its_end
  [[ $status == 0 ]]
  assert_screen resumed
}

@test "Ctrl-C takes the line away and shows how to go on" {
  pool_of
  pool_of --approve-on "$PWD/approved"
  at_terminal -pool "$HERE" -identity alice@own.test
  until_shown "$LIVE"
  printf '\003' >&"$KEYBOARD"
  at_its_end
  [[ $status == 130 && -s $(state_files) ]]
  sed -i 's/\^C//' shown # which the terminal itself shows
  assert_screen interrupted
}

@test "a terminal that is closed leaves the request to be resumed" {
  pool_of --approve-on "$PWD/approved"
  at_terminal -pool "$HERE" -identity alice@own.test
  until_shown "$LIVE"
  kill -KILL "$client"
  at_its_end
  touch approved
  request -resume "$(state_files)"
  assert_status 0
}

@test "the line is only at a terminal that can erase, and not with -json or -quiet" {
  local variant
  pool_of --approve-after 0
  for variant in TERM=dumb -json -quiet; do
    if [[ $variant == -* ]]; then
      at_terminal -pool "$HERE" -identity alice@own.test "$variant"
    else
      TERM=${variant#*=} at_terminal -pool "$HERE" -identity alice@own.test
    fi
    at_its_end
    [[ $status == 0 ]]
    lacks shown "$ESC" 'Waiting for 6108900'
  done
  # It is stderr that counts.
  REDIRECTION='2>errors' at_terminal -pool "$HERE" -identity alice@own.test
  at_its_end
  [[ $status == 0 ]]
  lacks shown "$ESC"
  lacks errors "$ESC" 'Waiting for 6108900'
}

# live_lines: each live line that was drawn, without what erases the rest
live_lines() { tr '\r' '\n' <shown | sed -n "s/${ESC}\\[K\$//p" | grep -E '[0-9]:[0-9][0-9]'; }

@test "the line fits terminals of every width" {
  local columns
  pool_of --approve-after 1
  for columns in 200 80 60 59 40 30 12 5 '' none; do
    COLUMNS=$columns at_terminal -pool "$HERE" -identity alice@own.test
    at_its_end
    [[ $status == 0 ]]
    case $columns in
      200 | 80 | 60) live_lines | grep -Eq '^Waiting for approval of request 6108900 \(0:0[0-9]; until [0-9:]{5}\)$' ;;
      59 | 40 | '' | none) live_lines | grep -Eq '^Waiting for 6108900 \(0:0[0-9]; until [0-9:]{5}\)$' ;;
      30) live_lines | grep -Eq '^Waiting \(0:0[0-9]; until [0-9:]{5}\)$' ;;
      12 | 5) live_lines | grep -Eq '^0:0[0-9]$' ;;
    esac
    [[ $columns == *[!0-9]* || -z $columns ]] && columns=40
    run awk -v most="$columns" 'length >= most' <(live_lines)
    [[ -z $output ]]
  done
}

@test "the line says that the pool cannot be reached, and that it limits the rate of polls" {
  pool_of --drop-polls 1 --approve-after 2
  at_terminal -pool "$HERE" -identity alice@own.test
  until_shown '^Unreachable \(0:0[0-9]; until '
  until_shown 'The pool is reachable again\.'
  until_shown "$LIVE"
  at_its_end
  [[ $status == 0 ]]
  pool_of --rate-limit 1 --approve-after 2
  COLUMNS=100 at_terminal -pool "$HERE" -identity alice@own.test
  until_shown '^The pool limits the rate of polls; waiting for request 6108900 \(0:0[0-9]; until '
  until_shown '^Waiting for approval of request 6108900 '
  at_its_end
  [[ $status == 0 ]]
}

@test "the line promises nothing beyond the hour after which the pool drops a request" {
  local wait
  export TERMINAL_MAIN=Harness
  pool_of --approve-after 2
  for wait in '600 00:10' '86400 01:00'; do
    at_terminal -pool "$HERE" -identity alice@own.test -timeout "${wait% *}"
    until_shown "until ${wait#* }\\)"
    at_its_end
    [[ $status == 0 ]]
    [[ $(live_lines | sed -E 's/.*until //' | sort -u) == "${wait#* })" ]]
  done
  # A resumed wait counts from when the request was made.
  pool_of --approve-after 3
  REQUEST_MAIN=Harness request -json -nowait -pool "$HERE" -identity alice@own.test
  sed 's/"time":"2026-01-01T00:00/"time":"2025-12-31T23:20/' "$BATS_TEST_TMPDIR/stdout" >request.json
  at_terminal -resume request.json
  until_shown 'until 00:20\)'
  at_its_end
  [[ $status == 0 ]]
  # Whatever time a saved request names, that does no harm.
  for wait in +1000000000-12-31T23:59:59.999Z -1000000000-01-01T00:00:00.000Z soon; do
    pool_of --approve-after 3
    REQUEST_MAIN=Harness request -json -nowait -pool "$HERE" -identity alice@own.test
    sed "s/\"time\":\"[^\"]*\"/\"time\":\"$wait\"/" "$BATS_TEST_TMPDIR/stdout" >request.json
    at_terminal -resume request.json -poll 1
    until_shown '^Waiting for 6108900 \(0:0[1-9]|^Waiting \(0:0[1-9]'
    at_its_end
    [[ $status == 0 ]]
  done
}

@test "a token in a file leaves a line that says where it is, for whom and until when, in place of the live one" {
  export TERMINAL_MAIN=Harness # by whose clock the token is valid
  pool_with --methods CLAIMTOBE --issued-at "$START" --approve-after 1
  at_terminal -pool "$HERE" -identity alice@own.test -authz READ -lifetime 600 -token name
  until_shown "$LIVE"
  at_its_end
  [[ $status == 0 ]]
  assert_screen token-in-file
}

@test "the line does not get into the token's file" {
  pool_of --approve-after 0
  REDIRECTION='>token' at_terminal -pool "$HERE" -identity alice@own.test
  until_shown "$LIVE"
  at_its_end
  [[ $status == 0 ]]
  diff token - <<<"$TOKEN"
  assert_screen token-elsewhere
}

# ---- Colours ----

@test "errors are red and warnings yellow" {
  pool_with --methods CLAIMTOBE --issued-at "$START" --auto-approve --issue-subject bob@own.test
  at_terminal -pool "$HERE" -identity alice@own.test
  at_its_end
  assert_screen warning
  at_terminal -x
  at_its_end
  assert_screen error
}

@test "nothing has colour under NO_COLOR, at a dumb terminal, or elsewhere" {
  NO_COLOR=1 at_terminal -x
  at_its_end
  [[ $status == 2 ]]
  lacks shown "$ESC"
  TERM=dumb at_terminal -x
  at_its_end
  [[ $status == 2 ]]
  lacks shown "$ESC"
  request -x
  lacks "$BATS_TEST_TMPDIR/stderr" "$ESC"
  # An empty variable is none.
  NO_COLOR='' at_terminal -x
  at_its_end
  grep -q "$ESC" shown
}

@test "a pool cannot colour what it says" {
  pool_of --refuse "3:${ESC}[2J${ESC}[32mgreen${ESC}[m"
  at_terminal -pool "$HERE" -identity alice@own.test
  at_its_end
  [[ $status == 1 ]]
  lacks shown "${ESC}[2J" "${ESC}[32m"
}
