# shellcheck shell=bash
# shellcheck disable=SC2034 # variables for the files that load this
# What the tests at a terminal share. The terminal is that of script(1). Load it with `load terminal`.
load events

ESC=$'\e'

setup_terminal() {
  own_folders
  export _CONDOR_SEC_TOKEN_DIRECTORY=$HOME/tokens.d _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=false
  export TERM=xterm
  unset NO_COLOR COLUMNS
}

teardown() {
  stop_loopback_pool
  [[ -z ${client-} ]] || kill -KILL "$client" 2>/dev/null || : # its terminal goes with it
}

# at_terminal ARGUMENT...: the tool at a terminal of its own, in the background. What the terminal is sent is in the file
# shown as far as it was read. With REDIRECTION set, the tool's streams go elsewhere first.
at_terminal() {
  local options
  read -ra options <<<"$TOKEN_REQUEST_JAVA_OPTIONS"
  terminal_for java "${options[@]}" -Duser.home="$HOME" -cp "$TOKEN_REQUEST_CLASSPATH" "tokenrequest.${TERMINAL_MAIN:-TokenRequest}" "$@"
}

# terminal_for COMMAND...: a command at such a terminal
terminal_for() {
  local command
  printf -v command '%q ' "$@"
  : >shown
  mkfifo keyboard 2>/dev/null || :
  exec {KEYBOARD}<>keyboard
  exec {SCREEN}< <(SHELL=/bin/bash exec env --default-signal=HUP,INT,TERM script --quiet --return --flush --command "exec $command ${REDIRECTION-}" /dev/null \
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
