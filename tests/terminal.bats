#!/usr/bin/env bats
# What a person sees at a terminal, and that it is seen nowhere else. The terminal is that of script(1).
# shellcheck disable=SC2034 # settings is for loopback.bash
load events

setup() {
  own_folders
  export _CONDOR_SEC_TOKEN_DIRECTORY=$HOME/tokens.d _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=false
  export TERM=xterm
  unset NO_COLOR
  authenticate_by CLAIMTOBE
}

ESC=$'\e'

teardown() {
  stop_loopback_pool
  [[ -z ${client-} ]] || kill -KILL "$client" 2>/dev/null || : # its terminal goes with it
}

pool_of() { pool_with --methods CLAIMTOBE --token "$TOKEN" "$@"; }

# at_terminal ARGUMENT...: the tool at a terminal of its own, in the background. What the terminal is sent is in the file
# shown as far as it was read. With REDIRECTION set, the tool's streams go elsewhere first.
at_terminal() {
  local options command
  read -ra options <<<"$TOKEN_REQUEST_JAVA_OPTIONS"
  printf -v command '%q ' java "${options[@]}" -Duser.home="$HOME" -cp "$TOKEN_REQUEST_CLASSPATH" tokenrequest.TokenRequest "$@"
  : >shown
  mkfifo keyboard 2>/dev/null || :
  exec {KEYBOARD}<>keyboard
  exec {SCREEN}< <(SHELL=/bin/bash exec script --quiet --return --flush --command "exec $command ${REDIRECTION-}" /dev/null \
    <keyboard 3>&-)
  client=$!
}

# until_shown PATTERN: reads what the terminal is sent until one piece of it, up to the next carriage return, matches
until_shown() {
  local piece=
  until [[ $piece =~ $1 ]]; do
    IFS= read -r -d $'\r' -t "$EVENTUALLY" piece <&"$SCREEN" || {
      echo "this was never shown: $1"
      cat -v shown
      return 1
    }
    printf '%s\r' "$piece" >>shown
  done
}

# at_its_end: reads the rest; sets status
at_its_end() {
  cat <&"$SCREEN" >>shown
  status=0
  wait "$client" || status=$?
  exec {SCREEN}<&- {KEYBOARD}<&-
}

# screen: what the terminal looks like in the end; colours are shown as their numbers in brackets. Whatever else steers
# a terminal than a carriage return, a colour or the erasure of the rest of a line is shown as it is.
screen() {
  awk -v RS='\n' '{
    line = ""
    at = 0
    text = $0
    while (text != "") {
      if (match(text, /^\r/)) at = 0
      else if (match(text, /^\033\[0?K/)) line = substr(line, 1, at)
      else {
        if (match(text, /^\033\[[0-9;]*m/)) seen = "[" substr(text, 3, RLENGTH - 3) "]"
        else {
          RLENGTH = 1
          seen = substr(text, 1, 1)
        }
        line = substr(line, 1, at) seen substr(line, at + 1 + length(seen))
        at += length(seen)
      }
      text = substr(text, RLENGTH + 1)
    }
    print line
  }' shown
}

# assert_screen CASE: the screen, with the exit status, equals the golden
assert_screen() {
  {
    echo "exit $status"
    screen
  } | normalise >"$BATS_TEST_TMPDIR/transcript"
  assert_transcript "$1"
}

# ---- The live line ----

LIVE='^Waiting for request 6108900: ([0-9]+:[0-9][0-9]) so far, gives up at [0-2][0-9]:[0-5][0-9]:[0-5][0-9]\.'"$ESC"'\[K'

@test "while it waits, a line shows the request, how long already and how long at most; then it is gone" {
  pool_of --approve-on "$PWD/approved"
  at_terminal -pool "$HERE" -identity alice@own.test
  until_shown "$LIVE"
  until_shown 'Waiting for request 6108900: 0:0[1-9] so far' # it goes on
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
  until_shown 'Trying again'
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
    lacks shown "$ESC" 'Waiting for request'
  done
  # It is stderr that counts.
  REDIRECTION='2>errors' at_terminal -pool "$HERE" -identity alice@own.test
  at_its_end
  [[ $status == 0 ]]
  lacks shown "$ESC"
  lacks errors "$ESC" 'Waiting for request'
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
