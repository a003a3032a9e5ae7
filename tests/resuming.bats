#!/usr/bin/env bats
# A wait that survives: left at once, interrupted, killed or timed out, and resumed; and a request that is submitted again.
# shellcheck disable=SC2034 # settings and output are for loopback.bash
load events

setup() {
  own_folders
  export _CONDOR_SEC_TOKEN_DIRECTORY=$HOME/tokens.d _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=false
  authenticate_by CLAIMTOBE
}

# With the harness, time passes only in sleeps, which are written down.
harness() { export REQUEST_MAIN=Harness HARNESS_SLEEPS=$BATS_TEST_TMPDIR/sleeps; }

# pool_of OPTION...: a pool whose token is short; approving_pool: one that approves when the file approved is there
pool_of() { pool_with --methods CLAIMTOBE --token "$TOKEN" "$@"; }
approving_pool() { pool_of --approve-on "$PWD/approved"; }

# asking ARGUMENT...: those of a request for alice, in an array of this name
asking() { asking=(-pool "$HERE" -identity alice@own.test "$@"); }

# enqueue [ARGUMENT...]: leaves the enqueued event of a new request in the file request.json
enqueue() {
  request -json -nowait -pool "$HERE" -identity alice@own.test "$@"
  assert_status 0
  [[ $(names) == enqueued ]]
  cp "$BATS_TEST_TMPDIR/stdout" request.json
}

# got_token: stdout has it and nothing else
got_token() { printf '%s\n' "$TOKEN" | cmp - "$BATS_TEST_TMPDIR/stdout"; }

# refused_unasked ARGUMENT...: ends with 2 and with no more lines than a person reads, and nobody was asked
refused_unasked() {
  local before
  before=$(events ^connection)
  ask "$@"
  assert_status 2
  [[ $(events ^connection) == "$before" && ! -s $BATS_TEST_TMPDIR/stdout && $(wc -l <"$BATS_TEST_TMPDIR/stderr") -le 2 ]]
  lacks "$BATS_TEST_TMPDIR/stderr" Exception $'\tat '
}

# ---- Left at once ----

@test "-nowait submits the request, prints the command to resume it, and ends" {
  harness
  pool_of
  ask -nowait -pool "$HERE" -identity alice@own.test
  assert_status 0
  [[ $(events ^poll) == 0 && ! -e $HARNESS_SLEEPS ]]
  [[ $(stat -c %a "$(state_files)") == 600 && $(stat -c %a "$HOME/.condor") == 700 ]]
  "$TESTS_DIR/validate" "$(state_files)"
  go_on
  assert_status 0
  got_token
  [[ -z $(state_files) ]]
  ask -nowait -pool "$HERE" -identity alice@own.test -file token # which is checked, and is where it goes later
  go_on
  diff - token <<<"$TOKEN"
  ask -nowait -pool "$HERE" -identity alice@own.test -file missing/token
  assert_status 2
  assert_transcript nowait
}

@test "-nowait with -json prints everything that resuming needs, and leaves no file" {
  harness
  pool_of
  ask -json -nowait -pool "$HERE" -identity alice@own.test -authz READ -lifetime 600
  assert_status 0
  assert_transcript nowait-json
  [[ -z $(state_files) && $(events ^poll) == 0 ]]
}

@test "-nowait with -json saves the request in a file if stdout does not take the event" {
  harness
  pool_of
  output=/dev/full
  request -json -nowait -pool "$HERE" -identity alice@own.test
  output=
  assert_status 7
  [[ $(stat -c %a "$(state_files)") == 600 ]]
  go_on
  assert_status 0
  [[ $(jq -r .token "$BATS_TEST_TMPDIR/stdout") == "$TOKEN" ]]
  [[ -z $(state_files) ]]
}

@test "-nowait delivers a token that is approved at once" {
  pool_of --auto-approve
  request -nowait -pool "$HERE" -identity alice@own.test
  assert_status 0
  got_token
  [[ -z $(state_files) ]]
}

@test "-resume takes the object from a file, or from stdin" {
  harness
  pool_of
  enqueue
  ask -resume request.json
  assert_status 0
  got_token
  enqueue
  ask_from request.json -resume -
  assert_status 0
  got_token
  enqueue
  ask -resume <(cat request.json)
  assert_status 0
  got_token
  sed -i 's|/dev/fd/[0-9]*|/dev/fd/<N>|' "$BATS_TEST_TMPDIR/transcript"
  assert_transcript resumed
  [[ -s request.json && -z $(state_files) ]] # the user's own file stays
}

@test "a pipe carries a request from one command to the next" {
  pool_of
  asking
  # shellcheck disable=SC2312
  java -Duser.home="$HOME" -cp "$TOKEN_REQUEST_CLASSPATH" tokenrequest.TokenRequest -json -nowait "${asking[@]}" \
    | java -Duser.home="$HOME" -cp "$TOKEN_REQUEST_CLASSPATH" tokenrequest.TokenRequest -resume - >token
  diff - token <<<"$TOKEN"
}

@test "of many lines the last enqueued one counts" {
  pool_of
  enqueue
  {
    jq -c '.request_id = "1111111"' request.json
    cat request.json
    echo '{"event":"waiting","time":"2026-01-01T00:00:00.000Z","request_id":"2222222","reason":"pending","detail":null,"next_poll_s":1}'
    echo '{"event":"failed","time":"2026-01-01T00:00:00.000Z","request_id":"3333333"}'
  } >all
  request -resume all
  assert_status 0
  got_token
}

@test "-resume takes the options of its own run" {
  harness
  pool_of
  enqueue
  ask -resume request.json -token name
  assert_status 0
  [[ -s $_CONDOR_SEC_TOKEN_DIRECTORY/name && ! -s $BATS_TEST_TMPDIR/stdout ]]
  pool_with --methods CLAIMTOBE --issue-subject bob@own.test --issued-at "$START"
  enqueue
  ask -resume request.json -json -strict -file token
  assert_status 1
  [[ -s token ]]
  assert_transcript resumed-options
}

@test "a request that has ended cannot be resumed" {
  harness
  pool_of --expire
  enqueue
  ask -json -resume request.json
  assert_status 5
  ask -json -resume request.json
  assert_status 5
  assert_transcript resumed-too-late
}

@test "a resumed wait retries while the pool is unreachable" {
  harness
  pool_of
  enqueue
  stop_loopback_pool
  ask -resume request.json -timeout 5
  assert_status 6
  assert_transcript pool-away
}

@test "a login that fails after an earlier one, as while a pool restarts, does not end the wait" {
  local port
  approving_pool
  asking
  begin_process "${asking[@]}"
  await_event ^poll
  port=$LOOPBACK_PORT
  stop_loopback_pool
  pool_with --port "$port" --methods PASSWORD
  await_line 'authentication to .* failed'
  stop_loopback_pool
  pool_with --port "$port" --methods CLAIMTOBE --token "$TOKEN" --pretends --approve-after 0
  finish
  assert_status 0
  got_token
}

# ---- The file that survives ----

@test "while a request waits, a file at home has what is needed to resume it" {
  approving_pool
  asking
  begin_process -json "${asking[@]}"
  await_event '"enqueued"' "$BATS_TEST_TMPDIR/stdout"
  local file
  file=$(state_files)
  [[ $file == "$HOME"/.condor/pending-token-request-localhost_*-6108900-*.json ]]
  [[ $(stat -c %a "$file") == 600 && $(stat -c %a "$HOME/.condor") == 700 ]]
  cmp "$file" "$BATS_TEST_TMPDIR/stdout"
  touch approved
  finish
  assert_status 0
  [[ -z $(ls -A "$HOME/.condor") ]]
}

@test "the saved request is deleted when the request has ended" {
  local end
  harness
  for end in --expire '--refuse-poll 4:Failed.' '--forget-after 1 --approve-after 9' '--refuse-poll 44:Disabled.'; do
    # shellcheck disable=SC2086 # words
    pool_of $end
    asking
    request "${asking[@]}"
    [[ $status == [15] && -d $HOME/.condor && -z $(ls -A "$HOME/.condor") ]]
    lacks "$BATS_TEST_TMPDIR/stderr" -resume
  done
}

@test "the saved request is deleted when the pool has answered with something that is not a token" {
  pool_with --methods CLAIMTOBE --token 'not a token'
  request -pool "$HERE" -identity alice@own.test
  assert_status 1
  [[ $(events ^issued) == 1 && -z $(state_files) ]]
}

@test "a request that cannot be saved at home is saved in the working directory" {
  harness
  pool_of
  asking
  rmdir "$HOME"
  touch "$HOME" # a file
  ask "${asking[@]}"
  assert_status 0
  rm "$HOME"
  mkdir "$HOME"
  touch "$HOME/.condor"
  ask "${asking[@]}"
  assert_status 0
  ask -json -timeout 0 "${asking[@]}"
  assert_status 6
  assert_transcript no-file
}

@test "without a writable home the request is saved in the working directory" {
  harness
  pool_of
  asking
  HOME=/proc/nowhere ask "${asking[@]}"
  assert_status 0
  HOME=/proc ask -timeout 0 "${asking[@]}"
  assert_status 6
  assert_transcript no-home
}

@test "a wait that is killed is resumed from the file" {
  approving_pool
  asking
  begin_process "${asking[@]}"
  await_event ^poll
  send KILL
  status=0
  wait "$client" || status=$?
  assert_status 137
  touch approved
  ask -resume "$(state_files)"
  assert_status 0
  got_token
  assert_transcript killed
  [[ -z $(state_files) ]]
}

# ---- Interrupted ----

@test "with -json the last event has the exit status of the signal" {
  local signal
  for signal in INT TERM HUP; do
    approving_pool
    asking -json
    begin_process "${asking[@]}"
    await_event ^poll
    send "$signal"
    finish
    assert_status $((128 + $(kill -l "$signal")))
    [[ $(jq -c 'select(.event == "failed") | [.code, .exit]' "$BATS_TEST_TMPDIR/stdout") == "[\"interrupted\",$status]" ]]
  done
}

@test "a signal leaves the request pending and prints the command to resume it" {
  local signal
  for signal in INT TERM HUP; do
    rm -f approved
    approving_pool
    asking
    begin_process "${asking[@]}"
    await_event ^poll
    send "$signal"
    finish
    assert_status $((128 + $(kill -l "$signal")))
    [[ ! -s $BATS_TEST_TMPDIR/stdout ]]
    touch approved
    go_on
    assert_status 0
    got_token
    [[ -z $(state_files) ]]
  done
  assert_transcript interrupted
}

@test "with -json, a signal is an event with that command as its hint" {
  local signal
  for signal in INT TERM HUP; do
    rm -f approved
    approving_pool
    asking
    begin_process -json "${asking[@]}"
    await_event ^poll
    send "$signal"
    finish
    assert_status $((128 + $(kill -l "$signal")))
    [[ $(names) == 'enqueued failed' && $(field failed .hint) == "$(printed_command)" ]]
    touch approved
    go_on
    assert_status 0
    [[ $(names) == issued && $(field issued .token) == "$TOKEN" ]]
  done
  hide_chance
  assert_transcript interrupted-json
}

@test "a resumed wait that is interrupted is resumed again" {
  approving_pool
  enqueue
  begin_process -resume request.json -file token
  await_event ^poll
  send TERM
  finish
  assert_status 143
  touch approved
  go_on
  assert_status 0
  assert_transcript interrupted-again
  diff - token <<<"$TOKEN"
  [[ -z $(state_files) ]]
}

@test "a signal waits for a reply in progress, which may hold the token" {
  pool_of --hang-poll 1
  asking
  begin_process -json "${asking[@]}"
  await_event ^poll
  send TERM
  await_event '^Interrupted\. Waiting for a reply' "$BATS_TEST_TMPDIR/stderr"
  stop_loopback_pool # there will be none
  finish
  assert_status 143
  [[ $(names) == 'enqueued failed' && $(field failed .hint) == "$(printed_command)" && -s $(state_files) ]]
  [[ $(tail -n 1 "$BATS_TEST_TMPDIR/stderr") == 'The request is still pending'* ]]
}

@test "before there is a request, a signal leaves nothing to resume" {
  pool_with --silent
  launch -json -pool "$HERE" -identity alice@own.test
  await_event ^connection
  send TERM
  finish
  assert_status 143
  hide_chance
  assert_transcript interrupted-before
  [[ ! -e $HOME/.condor ]]
}

@test "the command to resume has the options of the interrupted run" {
  harness
  pool_with --methods CLAIMTOBE,IDTOKENS --approve-after 1000
  asking -authz READ -lifetime 600
  ask -timeout 0 "${asking[@]}" -file "a b'c" -json -strict -verify -mode 640 -poll 7 -quiet -resubmit \
    -approval-url 'https://approve.example/{request_id}?a=1&b=2'
  assert_status 6
  ask -timeout 0 "${asking[@]}" -token name -verbose
  assert_status 6
  ask -timeout 0 "${asking[@]}" -file first -token second -file ''
  assert_status 6
  assert_transcript command
}

@test "the command to resume can be typed, whatever names it contains" {
  harness
  approving_pool
  HOME="$HOME/it's \$HOME; a \"b\""
  mkdir "$HOME"
  ask -pool "$HERE" -identity alice@own.test -timeout 0 -file "a b'c"
  assert_status 6
  touch approved
  go_on
  assert_status 0
  diff - "a b'c" <<<"$TOKEN"
}

@test "the command to resume works from another directory" {
  harness
  approving_pool
  mkdir elsewhere saved
  ask -pool "$HERE" -identity alice@own.test -timeout 0 -file token -state saved
  assert_status 6
  touch approved
  pushd elsewhere
  go_on
  assert_status 0
  popd
  diff - token <<<"$TOKEN"
  [[ -z $(ls -A elsewhere) && -z $(ls -A saved) ]]
  # The same where the request itself was a file of this directory, and nothing else can hold it.
  ask -json -nowait -pool "$HERE" -identity alice@own.test
  rm approved
  cp "$BATS_TEST_TMPDIR/stdout" request.json
  ask -resume request.json -timeout 0 -file -state -state saved
  assert_status 6
  [[ $(printed_command) == *" -file $PWD/-state -state $PWD/saved" ]]
}

# ---- How long, how often ----

@test "-timeout 0 does not wait, but takes a token that is there at once" {
  harness
  approving_pool
  asking
  ask -timeout 0 "${asking[@]}"
  assert_status 6
  [[ $(events ^poll) == 0 ]]
  touch approved
  go_on
  assert_status 0
  assert_transcript timeout-0
}

@test "-resume with -timeout 0 polls once" {
  harness
  approving_pool
  enqueue
  ask -json -resume request.json -timeout 0
  assert_status 6
  [[ $(events ^poll) == 1 ]]
  touch approved
  ask -json -resume request.json -timeout 0
  assert_status 0
  assert_transcript resume-timeout-0
  [[ ! -e $HARNESS_SLEEPS ]]
}

@test "-resume with -timeout 0 asks three times for a request that the pool does not know, and says that it has ended" {
  harness
  pool_of --forget-after 1
  enqueue
  ask -resume request.json -timeout 0
  assert_status 5
  [[ $(events ^poll) == 3 ]]
}

@test "-timeout ends the wait in time and prints the command to resume it" {
  harness
  approving_pool
  asking
  ask "${asking[@]}" -timeout 5
  assert_status 6
  [[ $(awk '{ all += $1 } END { print (all > 4.99 && all < 5.01) }' "$HARNESS_SLEEPS") == 1 ]]
  touch approved
  go_on
  assert_status 0
  got_token
  assert_transcript timeout
}

@test "-timeout may be longer than the usual hour" {
  harness
  pool_of --approve-after 100000 --session-duration 100000
  ask -pool "$HERE" -identity alice@own.test -timeout 7200 -poll 600
  assert_status 6
  [[ $(awk '{ all += $1 } END { print (all > 7199.99 && all < 7200.01) }' "$HARNESS_SLEEPS") == 1 ]]
}

@test "the command that resumes repeats -timeout, unless that is over, 0 or the default" {
  local seconds
  approving_pool
  asking
  begin_process "${asking[@]}" -timeout 900
  await_event ^poll
  send INT
  finish
  assert_status 130
  [[ $(printed_command) == *'.json -timeout 900' ]]
  ask "${asking[@]}" -nowait -quiet -file token -timeout 86400
  [[ $(printed_command) == *".json -quiet -file $PWD/token -timeout 86400" ]]
  for seconds in 0 3600; do
    ask "${asking[@]}" -nowait -timeout "$seconds"
    [[ $(printed_command) == *.json ]]
  done
  harness
  ask "${asking[@]}" -timeout 5
  assert_status 6
  [[ $(printed_command) == *.json ]]
}

@test "a saved request with half a surrogate pair in a field is refused by the field's name" {
  local field
  pool_of
  enqueue -authz READ
  cp request.json good.json
  for field in request_id client_id pool address identity trust_domain certificate_name server_version; do
    sed -E "s/\"$field\":\"[^\"]*\"/\"$field\":\"a\\\\ud800b\"/" good.json >request.json
    ! cmp -s good.json request.json || { echo "no field $field" && return 1; }
    refused_unasked -resume request.json
    grep -F "$field" "$BATS_TEST_TMPDIR/stderr" || { cat "$BATS_TEST_TMPDIR/stderr" && return 1; }
  done
  # An unknown field is not read.
  sed 's/^{/{"other":"\\ud800",/' good.json >request.json
  ask -resume request.json
  assert_status 0
}

@test "-poll sets a constant interval" {
  harness
  pool_of --approve-after 9
  ask -pool "$HERE" -identity alice@own.test -poll 30
  assert_status 0
  awk '$1 < 29.999 || $1 > 30.001 { print; bad = 1 } END { exit bad || NR != 10 }' "$HARNESS_SLEEPS"
}

@test "with -poll an unreachable pool is polled less often, never more often" {
  harness
  local options
  for options in '--drop-polls 3' '--rate-limit 3'; do
    rm -f "$HARNESS_SLEEPS"
    # shellcheck disable=SC2086 # words
    pool_of $options --approve-after 5
    ask -pool "$HERE" -identity alice@own.test -poll 10
    assert_status 0
    # After a failure longer, after a success as usual.
    awk '{ pause[NR] = $1; if ($1 < 8.999) bad = 1 }
      END { exit bad || NR != 6 || pause[3] <= 11 || pause[4] <= 11 || pause[6] > 11.001 }' "$HARNESS_SLEEPS"
  done
}

# ---- Submitted again ----

@test "-resubmit submits the request again when the pool has lost it" {
  harness
  pool_with --methods CLAIMTOBE --issued-at "$START" --request-id 6108900,6108901 --forget-once --forget-after 1
  asking -authz READ -lifetime 600
  ask "${asking[@]}" -resubmit
  assert_status 0
  pool_with --methods CLAIMTOBE --issued-at "$START" --request-id 6108900,6108901 --forget-once --forget-after 1
  asking -authz READ -lifetime 600
  ask "${asking[@]}" -resubmit -json
  assert_status 0
  assert_transcript resubmitted
  [[ $(names) == 'enqueued enqueued issued' && $(field enqueued .replaces) == 6108900 ]]
  # The same order, until the same end; but another secret.
  jq -es 'map(select(.event == "enqueued") | [.identity, .authz, .lifetime, .deadline, .pool, .address]) | .[0] == .[1]' \
    "$BATS_TEST_TMPDIR/stdout"
  jq -es '.[0].client_id != .[1].client_id' "$BATS_TEST_TMPDIR/stdout"
  [[ $(events '^start .*identity=alice@own.test authz=READ lifetime=600') == 2 && -z $(state_files) ]]
}

@test "without -resubmit a lost request ends the command" {
  harness
  pool_of --request-id 6108900,6108901 --forget-once --forget-after 1
  asking
  ask "${asking[@]}" -json
  assert_status 5
  [[ $(field failed .code) == request_unknown && $(events ^start) == 1 ]]
  assert_transcript not-resubmitted
}

@test "-resume with -resubmit submits the saved request again" {
  harness
  pool_with --methods CLAIMTOBE --issued-at "$START" --request-id 6108900,6108901 --forget-once --forget-after 1
  enqueue -authz READ -authz WRITE -lifetime 600
  ask -resume request.json -resubmit -json
  assert_status 0
  [[ $(events '^start .*identity=alice@own.test authz=READ,WRITE lifetime=600') == 2 ]]
  assert_transcript resubmitted-resumed
}

@test "a request that the pool refuses when it is submitted again has failed" {
  harness
  pool_of --request-id 6108900 --forget-after 1 --approve-after 1000
  ask -pool "$HERE" -identity alice@own.test -resubmit -timeout 60
  assert_status 6
  # If the pool always loses it, the client submits it again and again until the wait ends.
  [[ $(events ^start) -ge 2 ]]
  [[ $(awk '{ all += $1 } END { print (all < 60.01) }' "$HARNESS_SLEEPS") == 1 ]]
}

# ---- What cannot be resumed ----

@test "a file that does not exist or holds no request is refused in one line" {
  : >empty
  echo 'no JSON' >text
  echo '{"event":"issued","time":"2026-01-01T00:00:00.000Z"}' >other-event
  echo '[1,2]' >array
  echo null >null
  echo '[{"event":"enqueued"},null]' >array-with-null
  echo '{"event":"enqueued"} null' >two-values
  echo '{"event":"enqueued"' >cut-off
  mkdir directory
  head -c 100000 /dev/urandom >binary
  truncate -s 3G huge
  printf '{"event":"enqueued","a":%s' "$(printf '[%.0s' {1..20000})" >deep
  local file
  for file in missing empty text other-event array null array-with-null two-values cut-off directory /proc/self/mem; do
    refused_unasked -resume "$file"
  done
  assert_transcript bad-files
  # What they say of these is their own affair.
  for file in binary huge /dev/zero deep; do
    refused_unasked -resume "$file"
  done
  : >stdin
  ask_from stdin -resume -
  assert_status 2
}

@test "a saved request with an impossible field is refused by the field's name" {
  pool_of
  enqueue -authz READ
  local change file
  for change in 'del(.request_id)' '.request_id = 7' '.request_id = "../../x"' '.client_id = ""' '.client_id = "a\nb"' \
    '.address = "<unclosed"' '.address = "<127.0.0.1:99999>"' '.session = "loose"' 'del(.identity)' '.authz = "READ"' \
    '.lifetime = -5' '.lifetime = 1e30' '.daemon = "collector"' '.daemon.type = "nonsense"' '.daemon.name = 1' \
    '.deadline = "tomorrow"' '.deadline = "+999999999-01-01T00:00:00Z"' '.authz = [null]' '.authz = null' '.pool = [null]' \
    '.lifetime = true' '.request_id = null' '.daemon = null' '.trust_domain = {}'; do
    file=${change//[^a-z0-9_]/}.json
    jq -c "$change" request.json >"$file"
    refused_unasked -resume "$file"
  done
  assert_transcript bad-fields
}

@test "a request with the largest possible deadline is resumed" {
  harness
  pool_of
  enqueue
  jq -c '.deadline = "9999-12-31T23:59:59.999Z"' request.json >far.json
  request -resume far.json
  assert_status 0
  got_token
  # So is one whose deadline is over: it asks once.
  enqueue
  jq -c '.deadline = "0000-01-01T00:00:00.000Z"' request.json >past.json
  request -resume past.json
  [[ $status == [06] ]]
  lacks "$BATS_TEST_TMPDIR/stderr" 'Internal error'
}

@test "the refusal of a saved request does not show its secret" {
  pool_of
  enqueue
  local secret
  secret=$(jq -r .client_id request.json)
  sed -i 's/}$//' request.json
  refused_unasked -resume request.json
  lacks "$BATS_TEST_TMPDIR/stderr" "$secret" "${secret#*-}"
}

@test "-resume cannot be combined with an option that the saved request already settles" {
  pool_of
  enqueue
  local option
  for option in '-identity bob' '-authz READ' '-lifetime 600' "-pool $HERE" '-name x' '-type schedd' -nowait; do
    # shellcheck disable=SC2086 # words
    refused_unasked -resume request.json $option
  done
  refused_unasked -identity bob -resume request.json
  assert_transcript conflicts
}

@test "a request that began over a bound session is never resumed over an unbound one" {
  authenticate_by SSL
  pool_with --methods SSL,CLAIMTOBE --token "$TOKEN"
  harness
  enqueue
  [[ $(field enqueued .session) == bound ]]
  authenticate_by CLAIMTOBE
  ask -resume request.json -timeout 5
  [[ $status != 0 && ! -s $BATS_TEST_TMPDIR/stdout ]]
  assert_transcript bound
  [[ $(events '^authenticated CLAIMTOBE') == 0 && $(events ^poll) == 0 ]]
  authenticate_by SSL
  request -resume request.json
  assert_status 0
  got_token
}
