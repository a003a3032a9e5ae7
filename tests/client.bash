# shellcheck shell=bash disable=SC2034 # variables for the files that load this
# A client that runs beside the test, whatever the pool: started, listened to, ended. lib loads it.

# Longest wait for anything that ought to come at once, seconds.
EVENTUALLY=20
# Longest life of a client that nothing keeps waiting, seconds: an exchange may take 25.
ENDED_WITHIN=40

# authenticate_by METHOD...: the client's list
authenticate_by() {
  local IFS=,
  export _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS="$*"
}

# start ARGUMENT...: `request` in the background; sets client
start() { background request_with_status "$@"; }

request_with_status() {
  request "$@"
  return "$status"
}

# background COMMAND...: starts a client. With job control it is a process group, which can be ended as a whole.
background() {
  rm -f "$BATS_TEST_TMPDIR"/{stdout,stderr}
  set -m
  "$@" 3>&- &
  client=$!
  set +m
}

# await_line PATTERN [COUNT]: until so many lines of the client's stderr match
await_line() {
  local deadline=$((SECONDS + EVENTUALLY)) file=$BATS_TEST_TMPDIR/stderr matching
  until matching=$(grep -Ecs -- "$1" "$file") && ((matching >= ${2-1})); do
    if ! kill -0 "$client" 2>/dev/null || ((SECONDS >= deadline)); then
      printf 'no line %s in:\n' "$1"
      cat "$file"
      return 1
    fi
    sleep 0.02
  done
}

# await_end: waits for the client's end; sets status. One that goes on for ever, as after a request that ought to have
# been refused, is a failure.
await_end() {
  local deadline=$((SECONDS + ${1-$ENDED_WITHIN}))
  while kill -0 "$client" 2>/dev/null; do
    if ((SECONDS >= deadline)); then
      echo 'the client does not end; its stderr:'
      cat "$BATS_TEST_TMPDIR/stderr"
      return 1
    fi
    sleep 0.02
  done
  status=0
  wait "$client" || status=$?
  client=
}

# end_client: for a test that has failed meanwhile
end_client() {
  [[ -n ${client-} ]] || return 0
  kill -KILL -- "-$client" 2>/dev/null || :
  wait "$client" 2>/dev/null || :
  client=
}

# assert_status EXPECTED
assert_status() {
  ((status == $1)) && return
  printf 'exit %s instead of %s\n' "$status" "$1"
  cat "$BATS_TEST_TMPDIR/record" 2>/dev/null || cat "$BATS_TEST_TMPDIR/stderr"
  return 1
}
