# shellcheck shell=bash
# What the bats files share: run the tool, normalise what happened, compare it. Load it with `load lib`.
bats_require_minimum_version 1.8.0 # what Debian 12 ships; keep to it

# Every test begins in an empty folder of its own, with an empty home. A file's own setup calls own_folders.
setup() { own_folders; }
teardown() { stop_loopback_pool; }

own_folders() {
  mkdir "$BATS_TEST_TMPDIR/home" "$BATS_TEST_TMPDIR/work"
  export HOME=$BATS_TEST_TMPDIR/home
  cd "$BATS_TEST_TMPDIR/work" || return
}

# request ARGUMENT...: runs the tool. Sets status; leaves stdout, stderr and the normalised record of it all as files in
# $BATS_TEST_TMPDIR. REQUEST_MAIN=Harness before it runs that main instead. (Files, since `run` eats final newlines.)
# With -json, fails unless every line on stdout is as schema.json says.
# Java takes the home from the password database, not from HOME, so it is told.
request() {
  local dir=$BATS_TEST_TMPDIR options argument
  read -ra options <<<"$TOKEN_REQUEST_JAVA_OPTIONS"
  status=0
  java "${options[@]}" -Duser.home="$HOME" -cp "$TOKEN_REQUEST_CLASSPATH" "tokenrequest.${REQUEST_MAIN:-TokenRequest}" "$@" \
    >"$dir/stdout" 2>"$dir/stderr" </dev/null || status=$?
  {
    printf '$ token-request'
    for argument; do
      [[ $argument =~ ^[A-Za-z0-9_%+=:,./@-]+$ ]] && printf ' %s' "$argument" || printf ' %s' "${argument@Q}"
    done
    printf '\nexit %s\n--- stdout\n' "$status"
    whole_lines "$dir/stdout"
    printf -- '--- stderr\n'
    whole_lines "$dir/stderr"
  } | normalise >"$dir/record"
  if [[ " $* " =~ \ --?json\  && ! " $* " =~ \ --?(help|version|completion)\  ]]; then
    "$TESTS_DIR/validate" --exit "$status" "$dir/stdout"
  fi
}

# loopback_pool ARGUMENT...: starts a pool that does what LoopbackPool.java's options say, and waits until it listens.
# Sets LOOPBACK_PORT and LOOPBACK_CA (its CA's certificate), also LOOPBACK_TOKEN with --token-for; lets SSL trust that
# CA; its events go to $BATS_TEST_TMPDIR/events. The pool ends when its stdin does, so with the test at the latest.
loopback_pool() {
  local dir=$BATS_TEST_TMPDIR line options
  stop_loopback_pool
  : >"$dir/events"
  read -ra options <<<"$TOKEN_REQUEST_JAVA_OPTIONS"
  coproc LOOPBACK {
    exec java "${options[@]}" -cp "$TOKEN_REQUEST_CLASSPATH" tokenrequest.LoopbackPool --until-eof --ca-file "$dir/ca.pem" \
      --log "$dir/events" "$@" 2>"$dir/pool-stderr" 3>&-
  }
  if ! read -r line <&"${LOOPBACK[0]}"; then
    cat "$dir/pool-stderr"
    return 1
  fi
  eval "$line"
  export _CONDOR_AUTH_SSL_CLIENT_CAFILE=$LOOPBACK_CA
}

# stop_loopback_pool: ends the pool, if there is one; then its events are complete. For teardown, or within a test.
stop_loopback_pool() {
  local pid=${LOOPBACK_PID-} stdin=${LOOPBACK[1]-} # bash unsets them when the process is gone
  [[ -n $pid && -n $stdin ]] || return 0
  exec {stdin}>&-
  wait "$pid" || :
}

# whole_lines FILE: prints it; says so, as diff does, when the last line lacks its newline
whole_lines() {
  cat "$1"
  [[ ! -s $1 || -z $(tail -c 1 "$1") ]] || printf '\n\\ No newline at end of file\n'
}

# normalise: a filter for what differs from run to run and cannot be made constant. One rule a line, with its reason.
normalise() {
  local rules=(
    "s|$BATS_TEST_TMPDIR|<TMP>|g"                               # bats takes a new folder for every run
    's/(127\.0\.0\.1|localhost|\[::1\]):[0-9]{5}\b/\1:<PORT>/g' # the system picks it; 9618, of four digits, stays
    's/(\brequest |request_id"?[:=] ?"?)[0-9]{7}\b/\1<ID>/g'    # a pool draws request IDs at random
  )
  sed -E "${rules[@]/#/-e}"
}

# assert_golden AREA/CASE: the record equals tests/golden/AREA/CASE.txt; UPDATE_GOLDEN=1 rewrites that, except in CI
assert_golden() {
  local golden=$TESTS_DIR/golden/$1.txt
  if [[ ${UPDATE_GOLDEN-} == 1 && -z ${CI-} ]]; then
    mkdir -p "${golden%/*}"
    cp "$BATS_TEST_TMPDIR/record" "$golden"
  fi
  diff -uN "$golden" "$BATS_TEST_TMPDIR/record"
}
