#!/usr/bin/env bats
# The wait for an administrator. Time is the harness's: it passes only in sleeps, which are written down.
# shellcheck disable=SC2016,SC2030,SC2031 # names of classes; each test is a shell of its own
load loopback

setup() {
  own_folders
  export _CONDOR_SEC_TOKEN_DIRECTORY=$HOME/tokens.d _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=false
  export REQUEST_MAIN=Harness HARNESS_SLEEPS=$BATS_TEST_TMPDIR/sleeps
  authenticate_by CLAIMTOBE
}

# wait_on OPTION...: a pool with these options, and a request to it
wait_on() {
  pool_with --methods CLAIMTOBE --token "$TOKEN" "$@"
  ask -pool "$HERE" -identity alice@own.test
}

# assert_sleeps SECONDS...: the pauses were about so long, each within a tenth, and there were no others
assert_sleeps() {
  printf '%s\n' "$@" | paste - "$HARNESS_SLEEPS" | awk '
    { print }
    NF != 2 || $2 < 0.9 * $1 - 0.001 || $2 > 1.1 * $1 + 0.001 { print "^ not " $1; bad = 1 }
    END { exit bad }'
}

@test "a request that is approved at the third poll gives the token" {
  wait_on --approve-after 2
  assert_status 0
  assert_transcript approved
  assert_sleeps 0.5 0.5 0.5
  [[ $(events ^poll) == 3 && $(events ^issued) == 1 ]]
}

@test "a request that a rule of the pool approves has no request ID to tell" {
  wait_on --auto-approve
  assert_status 0
  assert_transcript approved-at-once
  [[ ! -e $HARNESS_SLEEPS && $(events ^poll) == 0 ]]
}

@test "the administrator is named the request before it is approved" {
  REQUEST_MAIN=TokenRequest
  pool_with --methods CLAIMTOBE --token "$TOKEN" --approve-on "$PWD/approved"
  begin -pool "$HERE" -identity alice@own.test
  await_line condor_token_request_approve
  diff - <(head -n 1 "$BATS_TEST_TMPDIR/stderr") \
    <<<'Token request enqueued.  Ask an administrator to please approve request 6108900.'
  await_event ^poll # and is asked whether it is approved, which it is not
  [[ ! -s $BATS_TEST_TMPDIR/stdout && $(events ^issued) == 0 ]]
  touch approved
  finish
  assert_status 0
  assert_transcript approved-by-administrator
}

@test "an ID with leading zeros is told as it is" {
  wait_on --request-id 0000042
  assert_status 0
  assert_transcript leading-zeros
  grep -q 'approve request 0000042\.$' "$BATS_TEST_TMPDIR/stderr"
}

@test "it polls twice a second, later at intervals from 2.5 to 5 seconds, a tenth more or less, for an hour" {
  wait_on --approve-after 1000000 --session-duration 100000
  assert_status 6
  assert_transcript timed-out
  awk '{
    usual = at < 60 ? 0.5 : at < 120 ? at / 24 : 5
    last = at + $1 > 3599.999
    if (!last && $1 < 0.9 * usual - 0.002 || $1 > 1.1 * usual + 0.002) { print "pause " NR " at " at " is " $1; bad = 1 }
    at += $1
    different[$1] = 1
    shorter += $1 < 0.97 * usual
    longer += $1 > 1.03 * usual
  }
  END {
    if (shorter < 100 || longer < 100) { print shorter " are shorter, " longer " are longer"; bad = 1 }
    if (at < 3599.999 || at > 3600.001) { print "waited " at; bad = 1 }
    if (length(different) < 100) { print "only " length(different) " different pauses"; bad = 1 }
    exit bad
  }' "$HARNESS_SLEEPS"
  [[ $(events ^poll) == $(wc -l <"$HARNESS_SLEEPS") ]]
  # The original polls every five seconds: 720 times. 1.2 times as many are the limit.
  (($(events ^poll) > 720 && $(events ^poll) <= 864))
}

# aged SECONDS: request.json is a request that the pool took so long ago
aged() {
  pool_with --methods CLAIMTOBE --token "$TOKEN" --approve-after "${2-4}"
  ask -pool "$HERE" -identity alice@own.test -nowait -json
  python3 - "$1" "$BATS_TEST_TMPDIR/stdout" >request.json <<'EOF'
import datetime, json, sys
event = json.loads(open(sys.argv[2]).readline())
taken = datetime.datetime.fromisoformat(event["time"].replace("Z", "+00:00")) - datetime.timedelta(seconds=int(sys.argv[1]))
event["time"] = taken.strftime("%Y-%m-%dT%H:%M:%S.000Z")
print(json.dumps(event))
EOF
}

@test "the intervals of a resumed request go by the time since the pool took it" {
  aged 84
  ask -resume request.json
  assert_status 0
  assert_sleeps 3.5 3.65 3.8 3.95
  rm "$HARNESS_SLEEPS"
  aged 1800
  ask -resume request.json
  assert_status 0
  assert_sleeps 5 5 5 5
}

@test "a saved request that names a time to come is polled as a new one" {
  aged -1800
  ask -resume request.json
  assert_status 0
  assert_sleeps 0.5 0.5 0.5 0.5
  # After its first minute, too
  rm "$HARNESS_SLEEPS"
  aged -1800 200
  ask -resume request.json
  assert_status 0
  awk '{ at += $1 } END { print NR " pauses, " at " s, the last " $1; exit NR != 200 || at < 120 || $1 < 2.2 }' "$HARNESS_SLEEPS"
}

@test "the session is resumed for every poll" {
  wait_on --approve-after 4
  assert_status 0
  [[ $(events ^authenticated) == 1 && $(events '^resumed$') == 5 && $(events ^poll) == 5 ]]
}

@test "a session that is forgotten at every poll is replaced at every poll" {
  wait_on --approve-after 2 --forget-sessions
  assert_status 0
  assert_transcript sessions-forgotten
  [[ $(events ^authenticated) == 4 && $(events '^unknown-session$') == 3 && $(events '^resumed$') == 0 ]]
}

@test "a pool that closes instead of saying so is understood" {
  wait_on --approve-after 2 --drop-resumptions 1
  assert_status 0
  assert_transcript resumption-dropped
  [[ $(events ^authenticated) == 2 && $(events ^poll) == 3 ]]
}

@test "a session that nears its end is replaced before" {
  wait_on --approve-after 48 --session-duration 15
  assert_status 0
  # The first five seconds before its end a session is no longer used.
  [[ $(events ^authenticated) == 3 && $(events '^unknown-session$') == 0 ]]
}

@test "a session that is not used for longer than its lease is replaced" {
  pool_with --methods CLAIMTOBE --token "$TOKEN" --approve-after 3 --session-lease 20
  ask -pool "$HERE" -identity alice@own.test -poll 10
  assert_status 0
  [[ $(events ^authenticated) == 1 && $(events '^resumed$') == 4 ]]
  pool_with --methods CLAIMTOBE --token "$TOKEN" --approve-after 3 --session-lease 20
  ask -pool "$HERE" -identity alice@own.test -poll 16 # the last five seconds do not count
  assert_status 0
  [[ $(events ^authenticated) == 5 && $(events '^resumed$') == 0 ]]
}

@test "a resumption that is answered by anything but AUTHORIZED is followed by another login" {
  local code
  for code in DENIED authorized ' ' CONVERSION_FAILED; do
    pool_with --methods CLAIMTOBE --token "$TOKEN" --approve-after 1 --resume-code "$code"
    ask -pool "$HERE" -identity alice@own.test
    assert_status 0
    [[ $(events ^poll) == 2 && $(events ^authenticated) == 3 ]]
  done
}

@test "a poll that the server does not authorize is repeated, since the request is still there" {
  pool_with --methods CLAIMTOBE --token "$TOKEN" --denied 60048 --forget-sessions
  ask -pool "$HERE" -identity alice@own.test -timeout 60
  assert_status 6
  (($(events ^authenticated) > 3))
}

@test "a poll without an answer is said once, and repeated less and less often" {
  wait_on --drop-polls 7 --approve-after 8
  assert_status 0
  assert_transcript polls-dropped
  assert_sleeps 0.5 2 4 8 16 30 30 30 5
}

@test "after a success, the pauses are short again" {
  wait_on --drop-polls 2 --approve-after 4
  assert_status 0
  assert_sleeps 0.5 2 4 0.5 0.5
}

@test "a pool that is asked too often is asked less often, without a word" {
  wait_on --rate-limit 3 --approve-after 4
  assert_status 0
  assert_transcript rate-limit
  assert_sleeps 0.5 2 4 8 0.5
}

@test "a pool that limits the rate with another code, as old ones do, is understood too" {
  wait_on --rate-limit 1 --rate-limit-code 3
  assert_status 0
  assert_sleeps 0.5 2
}

@test "a request that the pool does not know three times in a row is given up" {
  wait_on --forget-after 3 --approve-after 1000
  assert_status 5
  assert_transcript forgotten
  assert_sleeps 0.5 0.5 0.5 2 4
  [[ $(events ^poll) == 5 ]]
}

@test "a request that expired has ended" {
  wait_on --expire
  assert_status 5
  assert_transcript expired
}

@test "a request that failed has ended, with the pool's words" {
  wait_on --refuse-poll '4:Failed to generate token.'
  assert_status 5
  assert_transcript failed
}

@test "a pool that stops taking requests has refused" {
  wait_on --refuse-poll '44:Token requests are disabled.'
  assert_status 1
  assert_transcript disabled-meanwhile
}

@test "another client's request is not ours" {
  wait_on --refuse-poll '3:Client ID is incorrect.'
  assert_status 5
  assert_transcript client-id-incorrect
}

@test "a token that is lost on the way is gone, which the pool says" {
  wait_on --lose-token
  assert_status 5
  assert_transcript token-lost
}

@test "a pool that goes away while we wait is waited for, but not longer than an hour" {
  pool_with --methods CLAIMTOBE --drop-polls 1000000
  ask -pool "$HERE" -identity alice@own.test
  assert_status 6
  assert_transcript pool-gone
  awk '$1 > 33.001 { exit 1 }' "$HARNESS_SLEEPS"
  (($(wc -l <"$HARNESS_SLEEPS") < 150))
}

# loaded CLASS: the line of the log of loaded classes
loaded() { grep -nm 1 -F "tokenrequest.TokenRequest\$$1 " classes | cut -d: -f1; }

@test "what inspects a token is loaded while it waits, and not with -nowait" {
  export AS_PROCESS=1 REQUEST_MAIN=TokenRequest
  local options="$TOKEN_REQUEST_JAVA_OPTIONS"
  pool_with --methods CLAIMTOBE --token "$TOKEN" --approve-after 1
  export TOKEN_REQUEST_JAVA_OPTIONS="$options -Xlog:class+load:file=classes"
  request -pool "$HERE" -identity alice@own.test
  assert_status 0
  (($(loaded 'Json$FlatReader') < $(loaded 'Event$Issued')))
  request -pool "$HERE" -identity alice@own.test -nowait
  assert_status 0
  [[ -n $(loaded 'Event$Enqueued') && -z $(loaded 'Json$FlatReader') ]]
  # A program whose packages are damaged meanwhile waits nevertheless, and writes the token.
  TOKEN_REQUEST_CLASSPATH=$(tr ':' '\n' <<<"$TOKEN_REQUEST_CLASSPATH" | grep -v jjwt | paste -sd :)
  pool_with --methods CLAIMTOBE --token "$TOKEN" --approve-after 2
  request -pool "$HERE" -identity alice@own.test
  diff "$BATS_TEST_TMPDIR/stdout" - <<<"$TOKEN"
}

# simulated NAME: the values of a line of PollSimulation
simulated() { sed -n "s/^$1 //p" simulated; }

# ratio LIMIT: whether the first of two numbers on stdin is at most so many times the second
ratio() { awk -v limit="$1" '{ print; exit !($2 > 0 && $1 <= limit * $2) }'; }

@test "in simulated time, a token comes as soon, and an hour has as few polls, as the README says of both commands" {
  local options
  read -ra options <<<"$TOKEN_REQUEST_JAVA_OPTIONS"
  java "${options[@]}" -cp "$TOKEN_REQUEST_CLASSPATH" tokenrequest.PollSimulation >simulated
  cat simulated
  simulated first-minute | ratio 0.12
  simulated two-minutes | ratio 0.2
  simulated after-ten-minutes | ratio 1.01 # both 2.5 s but for chance
  simulated polls | ratio 1.2
  # 200 clients that start together all get their tokens, also if the pool refuses polls beyond ten a second.
  local tokens longest median refused
  read -r tokens longest median refused < <(simulated without-limit)
  [[ $tokens == 200 && $refused == 0 ]]
  awk -v longest="$longest" -v median="$median" 'BEGIN { exit !(longest < 6 && median < 3) }'
  read -r tokens longest median refused < <(simulated with-limit)
  [[ $tokens == 200 ]]
  ((refused > 1000))
  awk -v longest="$longest" -v median="$median" 'BEGIN { exit !(longest < 180 && median < 15) }'
}
