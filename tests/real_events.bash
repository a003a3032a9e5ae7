# shellcheck shell=bash disable=SC2034 # variables for the files that load this
# shellcheck disable=SC2154 # status, which request sets
# What the real_*.bats share that follow a request by its events. Load it with `load real_events`.
load real

# ---- The pool ----

# at RELEASE: a client that knows the pool's CA and nothing else. (The machine may have keys of a pool of its own.)
at() {
  on "$1"
  authenticate_by SSL
  export _CONDOR_SEC_PASSWORD_DIRECTORY=$HOME/passwords.d
}

# in_pool COMMAND...: `pool exec` under the pool's own configuration; the client's is none
in_pool() (
  unset CONDOR_CONFIG
  pool exec "$@"
)

# configure [SETTING...]: for this test. What concerns methods takes a new collector, since HTCondor 23 remembers its
# answer to a policy; names of daemons take new daemons.
configure() {
  local how=()
  case $* in
    *_METHODS*) configured=collector ;;
    *_NAME*) configured=daemons ;;
    '') ;;
    *) configured=settings ;;
  esac
  [[ $configured != daemons ]] || how=(--restart)
  { (($# == 0)) || printf '%s\n' "$@"; } | pool configure "${how[@]}" 2>/dev/null
  [[ $configured != collector ]] || pool restart-collector 2>/dev/null
}

# await_daemons TYPE...: until the collector has heard of them
await_daemons() {
  local deadline=$((SECONDS + 60)) type types
  for type; do
    until types=$(in_pool condor_status -any -af MyType 2>/dev/null) && grep -qx "$type" <<<"$types"; do
      ((SECONDS < deadline)) || { echo "no $type" && return 1; }
      sleep 0.2
    done
  done
}

# ---- Events ----

# told EVENT FILTER: what the last such event on stdout says, text without quotes
told() {
  jq -cr "select(.event == \"$1\") | $2" "$BATS_TEST_TMPDIR/stdout" | tail -n 1
}

# await_told EVENT [COUNT]: until so many are on stdout; then sets id to the request's
await_told() {
  local deadline=$((SECONDS + EVENTUALLY)) found
  until found=$(grep -cs "^{\"event\":\"$1\",.*}$" "$BATS_TEST_TMPDIR/stdout") && ((found >= ${2-1})); do
    if ! kill -0 "$client" 2>/dev/null || ((SECONDS >= deadline)); then
      printf 'no event %s; stderr:\n' "$1"
      cat "$BATS_TEST_TMPDIR/stderr"
      return 1
    fi
    sleep 0.02
  done
  id=$(told "$1" .request_id)
}

# await_state: until the waiting request is on disk; sets state to the file
await_state() {
  local deadline=$((SECONDS + EVENTUALLY))
  until state=$(compgen -G "$HOME/.condor/pending-token-request-*-$id-*.json"); do
    ((SECONDS < deadline)) || { echo "request $id is not saved" && return 1; }
    sleep 0.02
  done
}

# type_as_administrator COMMAND: what the administrator is told to type, at the pool's central manager
type_as_administrator() {
  local answer
  if ! answer=$(in_pool sh -c "$1" <<<yes 2>&1) || [[ $answer != *' approved successfully.' ]]; then
    printf '%s\n%s\n' "$1" "$answer"
    return 1
  fi
}

approve_as_told() { type_as_administrator "$(told enqueued .approve_with)"; }

# approved ARGUMENT...: the whole story of a request that is as -json tells it
approved() {
  start -json -pool "$HERE" "$@"
  await_told enqueued
  approve_as_told
  await_end
}

# keep_token FILE: the token of the last event, as if it had been written there
keep_token() {
  told issued .token >"$1"
  assert_is_token "$1"
}

# kill_client: as the machine does when it loses power. For a client that was started as a process.
kill_client() {
  kill -KILL "$(java_process)"
  await_end
  assert_status 137
}

# nothing_pending: no request is left on disk
nothing_pending() { ! ls "$HOME"/.condor/pending-* 2>/dev/null; }

# assert_events_golden CASE: the record is the golden, but for what differs from run to run in events
assert_events_golden() {
  local rules=(
    's/"time":"[0-9-]{10}T[0-9:]{8}\.[0-9]{3}Z"/"time":"<TIME>"/'
    's/"deadline":"[0-9-]{10}T[0-9:]{8}(\.[0-9]+)?Z"/"deadline":"<DEADLINE>"/'
    's/"client_id":"[^"]+-[0-9a-f]{16,}"/"client_id":"<CLIENT ID>"/'  # random
    's/"server_version":"[^"]*"/"server_version":"<VERSION>"/'        # one golden for two releases
    "s/(\"(certificate_)?name\":)\"$POOL_HOST\"/\1\"<HOST>\"/g"     # the machine's name
    "s/\b([a-z][0-9])@$POOL_HOST\b/\1@<HOST>/g"                    # the same in a daemon's
    's/\b(sock=[a-z]+_)[0-9]+_[0-9a-f]+\b/\1<SOCK>/g'                  # named after the process
    's/\+\[--1\]-[0-9]+//g'                                           # IPv6, where the machine has it
    's/"token":"[^".]+\.[^".]+\.[^".]+"/"token":"<TOKEN>"/'           # its claims are told, and checked
    's/"(iat|exp)":[0-9]+/"\1":<\U\1>/g'                            # their difference is checked
    's/"jti":"[0-9a-f]+"/"jti":"<JTI>"/'                              # random
    's/((-reqid |pending-token-request-<POOL>-)|"replaces":")[0-9]{7}\b/\1<ID>/g' # random
  )
  sed -Ei "${rules[@]/#/-e}" "$BATS_TEST_TMPDIR/record"
  assert_pool_golden "$1"
}
