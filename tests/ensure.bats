#!/usr/bin/env bats
# -ensure, -check and -pending: one command for cron that is right every time it runs.
# shellcheck disable=SC2030,SC2031,SC2034,SC2054,SC2154 # each test has its own order, which holds lists of levels; settings are for events.bash
load events

setup() {
  own_folders
  export _CONDOR_SEC_TOKEN_DIRECTORY=$HOME/tokens.d _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=false
  authenticate_by CLAIMTOBE
  order=(-ensure -pool localhost -identity alice@own.test -authz READ -lifetime 3600 -file token)
}

# pool_of OPTION...: a pool that issues real claims; the order names its port
pool_of() {
  pool_with --methods CLAIMTOBE "$@"
  order[2]=$HERE
}

# approving_pool: one that approves when the file approved is there
approving_pool() { pool_of --approve-on "$PWD/approved" --approve-after 0 "$@"; }

# ensure [ARGUMENT...]: the order, once
ensure() { ask "${order[@]}" -timeout 0 "$@"; }

# starts: how many requests the pool has received; connections: how many connections
starts() { events '^start'; }
connections() { events '^connection'; }

# token_at ISSUED EXPIRES [NAME=VALUE...]: a token with these times, seconds from now, and other claims
token_at() {
  local now
  now=$(date +%s)
  jq -rcn --argjson iat $((now + $1)) --argjson exp $((now + $2)) '
    {iss: "pool.test", sub: "alice@own.test", scope: "condor:/READ", jti: "0123", iat: $iat, exp: $exp}
    + ([$ARGS.positional[] | split("=") | {(.[0]): .[1]}] | add // {})
    | "eyJhbGciOiJIUzI1NiJ9." + (tojson | @base64 | gsub("=";"") | gsub("\\+";"-") | gsub("/";"_")) + ".c2lnbmF0dXJl"' \
    --args "${@:3}"
}

# place TOKEN: puts a token there by hand
place() {
  rm -f .token.record
  printf '%s\n' "$1" >token
  chmod 600 token
}

# hide_times: takes the times of the real clock out of the transcript
hide_times() { sed -i -E 's/(until|since) 20[0-9T:.-]+Z/\1 <TIME>/g' "$BATS_TEST_TMPDIR/transcript"; }

# record_of: the file that remembers the order
record_of() { jq -S "$@" .token.record; }

@test "the first run asks and ends with 6, the next delivers, and the one after makes no connection" {
  approving_pool
  ensure
  assert_status 6
  [[ ! -e token && $(starts) == 1 ]]
  ensure
  assert_status 6
  [[ ! -e token && $(starts) == 1 ]]
  touch approved
  ensure
  assert_status 0
  [[ -s token && $(starts) == 1 && -z $(state_files) ]]
  [[ $(stat -c %a token .token.record | sort -u) == 600 ]]
  local before
  before=$(connections)
  cp token first
  ensure
  assert_status 0
  cmp token first
  [[ $(connections) == "$before" ]]
  hide_times
  assert_transcript first_runs
}

@test "JSON tells a token that was issued from one that was current" {
  pool_of --auto-approve
  request "${order[@]}" -json
  assert_status 0
  [[ $(names) == issued ]]
  "$TESTS_DIR/validate" "$BATS_TEST_TMPDIR/stdout"
  request "${order[@]}" -json -quiet
  assert_status 0
  [[ $(names) == current && ! -s $BATS_TEST_TMPDIR/stderr ]]
  "$TESTS_DIR/validate" "$BATS_TEST_TMPDIR/stdout"
  jq -e '.claims.sub == "alice@own.test" and (.expires | test("Z$")) and .file == "token"' "$BATS_TEST_TMPDIR/stdout"
  grep -F -e "$(cut -d. -f2 token)" "$BATS_TEST_TMPDIR/stdout" && return 1
  true
}

@test "a token near its end is replaced, and the old one stays until the new one is there" {
  approving_pool
  touch approved
  request "${order[@]}"
  assert_status 0
  rm approved
  # A third of an hour before the end it is due; a second before that it is not.
  local times=() token
  for token in "$(token_at -2340 1260)" "$(token_at -2460 1140)"; do
    place "$token"
    cp token old
    ensure
    times+=("$status")
    cmp token old
  done
  [[ ${times[*]} == '0 6' ]]
  grep -E '/token contains a token that expires soon, at 20[0-9T:-]+Z\.$' "$BATS_TEST_TMPDIR/stderr"
  touch approved
  ensure
  assert_status 0
  [[ -s token && $(starts) == 2 ]]
  run ! cmp -s token old
}

@test "a file of two tokens is not replaced, and limits count in any order" {
  pool_of --auto-approve
  place "$(token_at -100 3500)"$'\n'"$(token_at -50 3550)"
  ensure
  assert_status 2
  grep 'contains 2 lines, not one token' "$BATS_TEST_TMPDIR/stderr"
  order+=(-authz WRITE)
  place "$(token_at -100 3500 'scope=condor:/WRITE condor:/READ')"
  ensure
  assert_status 0
  [[ $(starts) == 0 ]]
}

@test "-renew-before sets the margin, never more than half of the lifetime" {
  pool_of --auto-approve
  place "$(token_at -100 3500)"
  ensure -renew-before 3400
  assert_status 0
  ensure -renew-before 3550
  assert_status 0
  place "$(token_at -1000 2600)"
  ensure -renew-before 2500
  assert_status 0
  [[ $(starts) == 0 ]]
  grep 'more than half of the token.s lifetime' "$BATS_TEST_TMPDIR/stderr"
  place "$(token_at -2000 1600)"
  ensure -renew-before 2500
  assert_status 0
  [[ $(starts) == 1 ]]
  # Nor less than what clocks differ.
  place "$(token_at -3400 200)"
  ensure -renew-before 0
  assert_status 0
  [[ $(starts) == 2 ]]
}

@test "a token of a year is due 30 days before its end" {
  local day=86400
  pool_of --auto-approve
  order[8]=$((365 * day))
  place "$(token_at $((-334 * day)) $((31 * day)))"
  ensure
  assert_status 0
  [[ $(starts) == 0 ]]
  place "$(token_at $((-336 * day)) $((29 * day)))"
  ensure
  assert_status 0
  [[ $(starts) == 1 ]]
}

@test "the token of one pool, with its record, is not another pool's" {
  pool_of --auto-approve
  ensure
  assert_status 0
  ensure
  assert_status 0
  [[ $(starts) == 1 ]]
  cp token old
  pool_of --auto-approve --trust-domain other.test
  ensure
  assert_status 2
  grep -F 'a token of the pool pool.test, not of other.test' "$BATS_TEST_TMPDIR/stderr"
  cmp token old
}

@test "the clock may be wrong by five minutes, and a token of the future does not cause a request" {
  pool_of --auto-approve
  place "$(token_at 290 3890)"
  ensure
  assert_status 0
  run ! grep -i clock "$BATS_TEST_TMPDIR/stderr"
  place "$(token_at 7200 10800)"
  ensure
  assert_status 0
  grep 'Check the clock' "$BATS_TEST_TMPDIR/stderr"
  [[ $(starts) == 0 ]]
  # Four minutes before its end the pool's clock may be past it.
  place "$(token_at -3360 240)"
  ensure -renew-before 1
  [[ $(starts) == 1 ]]
}

@test "what the pool grants less than ordered counts as granted, but not with -strict" {
  pool_of --auto-approve --issue-authz READ --issue-lifetime 1800
  order=(-ensure -pool "$HERE" -identity alice@own.test -authz READ -authz WRITE -lifetime 3600 -file token)
  ensure
  assert_status 0
  grep -c '^WARNING: the token' "$BATS_TEST_TMPDIR/stderr"
  ensure
  assert_status 0
  [[ $(starts) == 1 ]]
  ensure -strict
  assert_status 1
  [[ $(starts) == 2 ]]
}

@test "another order asks again: other limits, another lifetime; not the same limits in another order" {
  pool_of --auto-approve
  order=(-ensure -pool "$HERE" -identity alice@own.test -authz READ,WRITE -lifetime 3600 -file token)
  ensure
  order[6]=write,read
  ensure
  assert_status 0
  [[ $(starts) == 1 ]]
  order[6]=READ
  ensure
  assert_status 0
  [[ $(starts) == 2 ]]
  order[8]=1800
  ensure
  grep '/token contains a token that lives 3600 seconds; the order is 1800 seconds\.$' "$BATS_TEST_TMPDIR/stderr"
  assert_status 0
  [[ $(starts) == 3 ]]
}

@test "a token of another identity, of another pool or no token at all is replaced only with -force" {
  pool_of --auto-approve
  local content
  for content in "$(token_at 0 3600 sub=bob@own.test)" "$(token_at 0 3600 iss=other.test)" 'my notes' $'one\ntwo'; do
    place "$content"
    cp token old
    ensure
    assert_status 2
    cmp token old
    ensure -force
    assert_status 0
    run ! cmp -s token old
  done
  [[ $(starts) == 4 ]]
  hide_times
  assert_transcript foreign
}

@test "an empty file and a damaged token are replaced" {
  pool_of --auto-approve
  place ''
  : >token
  ensure
  assert_status 0
  head -c 20 token >part && mv part token
  ensure
  assert_status 0
  [[ $(starts) == 2 ]]
}

@test "a token that was placed by hand needs one connection, and then none" {
  pool_of --auto-approve
  place "$(token_at 0 3600)"
  ensure
  assert_status 0
  [[ $(starts) == 0 && $(connections) == 1 ]]
  [[ $(record_of -r .trust_domain) == pool.test ]]
  ensure
  assert_status 0
  [[ $(connections) == 1 ]]
  # Placed again: the record is about another token.
  cp .token.record record
  place "$(token_at 1 3601)"
  mv record .token.record
  ensure
  assert_status 0
  [[ $(connections) == 2 ]]
}

@test "the pool's trust domain completes an identity without a domain, here and in the next run" {
  pool_of --auto-approve
  order=(-ensure -pool "$HERE" -identity alice -file token)
  with _CONDOR_UID_DOMAIN= -- "${order[@]}"
  assert_status 0
  [[ $(record_of -r .sent_identity) == alice@pool.test ]]
  with _CONDOR_UID_DOMAIN= -- "${order[@]}"
  assert_status 0
  [[ $(starts) == 1 ]]
}

@test "owner and mode become those of the command line, without a request" {
  pool_of --auto-approve
  ensure
  chmod 644 token
  ensure
  assert_status 0
  [[ $(stat -c %a token) == 600 ]]
  grep '^WARNING: .*/token had the mode rw-r--r--; this run corrected owner and mode\. Other users could read the token\.$' \
    "$BATS_TEST_TMPDIR/stderr"
  ensure -mode 640
  assert_status 0
  [[ $(stat -c %a token) == 640 && $(starts) == 1 ]]
  if ((EUID == 0)); then
    ensure -mode 640 -owner nobody
    assert_status 0
    [[ $(stat -c %U:%a token) == nobody:640 ]]
    ensure -mode 640 -owner nobody
    assert_status 0
    [[ $(wc -l <"$BATS_TEST_TMPDIR/stderr") == 1 && $(starts) == 1 ]]
    ensure -mode 640 -owner "nobody:$(id -gn 1)"
    assert_status 0
    [[ $(stat -c %U:%G:%a token) == "nobody:$(id -gn 1):640" && $(starts) == 1 ]]
  fi
}

@test "-verify tries a current token, and replaces one that the pool rejects" {
  pool_of --auto-approve --methods CLAIMTOBE,IDTOKENS
  ensure -verify
  assert_status 0
  ensure -verify
  assert_status 0
  [[ $(starts) == 1 ]]
  grep '^Verified: ' "$BATS_TEST_TMPDIR/stderr"
  place "$(token_at 0 3600)"
  ensure -verify
  [[ $(starts) == 2 ]]
}

@test "a request that the pool forgot or that expired is made again at once" {
  export REQUEST_MAIN=Harness # whose pauses take no time
  pool_of --forget-once --forget-after 1 --approve-after 0 --request-id 6108900,6108901
  ensure
  assert_status 6
  ensure
  assert_status 6
  [[ $(starts) == 2 && $(state_files) == *6108901* ]]
  ensure
  assert_status 0
  [[ -s token && -z $(state_files) ]]
  rm token
  pool_of --expire --approve-after 0 --request-id 6108902,6108903
  ensure
  assert_status 6
  ensure
  assert_status 6
  [[ $(starts) == 2 && $(state_files) == *6108903* ]]
}

@test "a request for another order or another file is not resumed" {
  approving_pool --request-id 6108900,6108901,6108902
  ensure
  assert_status 6
  order[6]=WRITE
  ensure
  assert_status 6
  order[10]=other
  ensure
  assert_status 6
  [[ $(starts) == 3 && $(state_files | wc -l) == 3 ]]
}

@test "-check reports and changes nothing" {
  approving_pool
  ensure -check
  assert_status 5
  [[ -z $(ls -A) || $(ls -A) != *lock* ]]
  ensure
  assert_status 6
  local before
  before=$(connections)
  ensure -check
  assert_status 6
  touch approved
  [[ $(connections) == "$before" ]]
  ensure
  ensure -check
  assert_status 0
  mv .token.record record
  request "${order[@]}" -check
  [[ ! -e .token.record ]]
  mv record .token.record
  chmod 644 token
  ensure -check
  assert_status 5
  [[ $(stat -c %a token) == 644 ]]
  order[10]=missing/token
  ensure -check
  assert_status 5
  [[ ! -e missing ]]
  hide_times
  assert_transcript check
}

@test "-check -json ends with the code not_current or pending" {
  approving_pool
  ask "${order[@]}" -check -json
  assert_status 5
  [[ $(field failed .code) == not_current ]]
  "$TESTS_DIR/validate" "$BATS_TEST_TMPDIR/stdout"
  request "${order[@]}" -timeout 0
  ask "${order[@]}" -check -json
  assert_status 6
  [[ $(field failed .code) == pending ]]
  "$TESTS_DIR/validate" "$BATS_TEST_TMPDIR/stdout"
  hide_times
  hide_chance
  assert_transcript check_json
}

@test "a second run waits for the first, as long as -timeout allows" {
  approving_pool
  start "${order[@]}"
  await_line '^Token request enqueued'
  request "${order[@]}" -timeout 0
  assert_status 6
  grep 'Another run is waiting for a token' "$BATS_TEST_TMPDIR/stderr"
  touch approved
  # The record is what the first run writes last.
  await_end
  assert_status 0
  request "${order[@]}" -timeout 10
  assert_status 0
  [[ $(starts) == 1 ]]
}

@test "a signal ends the wait for another run, and leaves the lock and everything else as it was" {
  local signal codes=(HUP 129 INT 130 TERM 143) i
  approving_pool
  touch approved
  hold_lock .token.lock 'condor_token_request: process 1 on elsewhere since ever'
  cp .token.lock before
  for i in 0 2 4; do
    launch "${order[@]}" -json
    await_line '^Another run is waiting .* since ever\. Waiting until it ends\.$'
    send "${codes[i]}"
    await_end
    assert_status "${codes[i + 1]}"
    [[ $(names) == failed && $(field failed .code) == interrupted ]]
    lacks "$BATS_TEST_TMPDIR/stderr" 'Waiting for a reply'
    cmp before .token.lock
  done
  diff - <(ls -A) <<<$'.token.lock\napproved\nbefore'
  [[ $(connections) == 0 && -z $(state_files) ]]
  # A run that is not interrupted has the lock once it is free.
  launch "${order[@]}"
  await_line 'Waiting until it ends'
  release_lock
  await_end
  assert_status 0
  [[ -s token && $(grep -c '^Another run' "$BATS_TEST_TMPDIR/stderr") == 1 ]]
}

@test "a record that cannot be written is a warning, and the token is there" {
  local i
  pool_of --auto-approve
  mkdir .token.record
  # Without the record, each later run needs a connection, and warns again.
  for i in 1 2; do
    ensure
    assert_status 0
    [[ $(grep -c '^WARNING: cannot write the record of the token beside token: .*errno=21' "$BATS_TEST_TMPDIR/stderr") == 1 ]]
    [[ -s token && $(starts) == 1 && -z $(state_files) ]]
  done
  diff - <(ls -A) <<<$'.token.lock\n.token.record\ntoken'
  rmdir .token.record
  ensure
  assert_status 0
  run ! grep WARNING "$BATS_TEST_TMPDIR/stderr"
  [[ -f .token.record ]]
}

@test "twenty runs at once make one request" {
  approving_pool
  local i runs=() codes=()
  for i in {1..20}; do
    (BATS_TEST_TMPDIR=$BATS_TEST_TMPDIR/run$i && mkdir "$BATS_TEST_TMPDIR" && HARNESS=$i request "${order[@]}" -timeout 60 && exit "$status") &
    runs+=($!)
  done
  await_event '^start'
  touch approved
  for i in "${runs[@]}"; do
    wait "$i" && codes+=(0) || codes+=($?)
  done
  [[ ${codes[*]} == "0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0" ]]
  [[ $(starts) == 1 ]]
}

@test "-pending lists what waits, without secrets, and removes what is stale" {
  approving_pool --request-id 6108900,6108901
  ensure
  request -nowait -pool "$HERE" -identity bob@own.test -state "$PWD/state"
  ask -pending -state "$PWD/state"
  assert_status 0
  [[ $(grep -c '^Request' "$BATS_TEST_TMPDIR/stdout") == 2 ]]
  local files
  mapfile -t files < <(state_files)
  request -pending -json -state "$PWD/state"
  "$TESTS_DIR/validate" "$BATS_TEST_TMPDIR/stdout"
  lacks "$BATS_TEST_TMPDIR/stdout" "$(jq -r .client_id "${files[@]}")"
  local file
  for file in "${files[@]}"; do
    jq -c '.time = "2020-01-01T00:00:00.000Z" | .deadline = "2020-01-01T01:00:00.000Z"' "$file" >old
    cat old >"$file"
  done
  ask -pending
  assert_status 0
  [[ -z $(state_files) ]]
}

@test "-pending looks in the directory of -file, also where that is a root directory" {
  approving_pool
  mkdir there
  request -nowait -pool "$HERE" -identity alice@own.test
  mv "$(state_files)" there/.pending-token-request-x-6108900-0123456789ab.json
  request -pending -file there/token
  assert_status 0
  grep -q '^Request 6108900' "$BATS_TEST_TMPDIR/stdout"
  # The token directory counts in any case.
  mkdir -p "$_CONDOR_SEC_TOKEN_DIRECTORY"
  mv there/.pending-token-request-x-6108900-0123456789ab.json "$_CONDOR_SEC_TOKEN_DIRECTORY"
  request -pending
  assert_status 0
  grep -q '^Request 6108900' "$BATS_TEST_TMPDIR/stdout"
  rm "$_CONDOR_SEC_TOKEN_DIRECTORY"/.pending-*
  ask -pending -file /
  assert_status 0
  [[ ! -s $BATS_TEST_TMPDIR/stdout && $(<"$BATS_TEST_TMPDIR/stderr") == 'No saved requests.' ]]
}

@test "options that do not go with -ensure, -check or -pending are refused before anything else" {
  local line
  while read -r line; do
    # shellcheck disable=SC2086 # words
    ask $line
    assert_status 2
  done <<'LINES'
-ensure
-ensure -file token -resume request.json
-file token -renew-before 60
-file token -force
-file token -check
-ensure -file token -check -verify
-ensure -file token -check -force
-ensure -file /dev/null
-pending -nowait
-pending -ensure -file token
LINES
  assert_transcript refused
}
