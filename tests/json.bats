#!/usr/bin/env bats
# What -json prints. That every line is as schema.json says is checked by `request` itself.
# shellcheck disable=SC2034 # settings and output are for loopback.bash
load events

setup() {
  own_folders
  export _CONDOR_SEC_TOKEN_DIRECTORY=$HOME/tokens.d _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=false
  export REQUEST_MAIN=Harness
  authenticate_by CLAIMTOBE
}

# pool_of OPTION...: a pool whose tokens are the same in every run
pool_of() { pool_with --methods CLAIMTOBE --issued-at "$START" "$@"; }

# asked ARGUMENT...: a request for alice, with -json
asked() { ask -json -pool "$HERE" -identity alice@own.test "$@"; }

# issued_to ORDER... -- OPTION...: a request with that order to a pool of these options, which approves it at once
issued_to() {
  local order=()
  while [[ $1 != -- ]]; do
    order+=("$1")
    shift
  done
  pool_of --auto-approve "${@:2}"
  asked "${order[@]}"
}

# ---- The events ----

@test "a wait that ends well is an enqueued event and an issued one" {
  pool_of --approve-after 1
  asked -authz READ -authz WRITE -lifetime 600
  assert_status 0
  [[ $(names) == 'enqueued issued' ]]
  asked
  assert_status 0
  assert_transcript issued
}

@test "a token in a file is named by its file, and shown nowhere" {
  local payload
  pool_of --auto-approve
  asked -file token
  assert_status 0
  asked -token name
  assert_status 0
  assert_transcript files
  [[ $(field issued .file) == "$_CONDOR_SEC_TOKEN_DIRECTORY/name" ]]
  IFS=. read -r _ payload _ <token
  lacks "$BATS_TEST_TMPDIR/stdout" "$payload"
  lacks "$BATS_TEST_TMPDIR/stderr" "$payload"
}

@test "a request that a rule of the pool approves was never enqueued" {
  issued_to --
  assert_status 0
  [[ $(names) == issued && $(field issued .request_id) == null ]]
  assert_transcript approved-at-once
}

@test "a session over SSL is bound, as its event says" {
  authenticate_by SSL
  # shellcheck disable=SC2016 # no variable
  pool_with --methods SSL --issued-at "$START" --remote-version '$CondorVersion: 23.9.6 2024-08-08 BuildID: x $' --no-trust-domain
  asked
  assert_status 0
  [[ $(field enqueued .method,.session | paste -sd ' ') == 'SSL bound' && $(field enqueued .trust_domain) == null ]]
  assert_transcript bound
}

@test "a pool that is configured is in the event as it is configured" {
  pool_of
  with "_CONDOR_COLLECTOR_HOST=nowhere.invalid, $HERE" _CONDOR_UID_DOMAIN=own.test -- -json
  assert_status 0
  assert_transcript configured
}

@test "a daemon that was looked up is in the event with its kind, name and address" {
  pool_of --ad 'Type=Scheduler;Name=s1@cm.test;Machine=cm.test;MyAddress=<127.0.0.1:{port}?alias=cm.test&sock=schedd_9_c071>'
  asked -type schedd -name s1@cm.test
  assert_status 0
  assert_transcript looked-up
}

@test "every event begins with its name and its time" {
  pool_of --approve-after 2
  asked -verbose -timeout 0
  asked -verbose
  asked -lifetime x
  jq -e 'keys_unsorted[0:2] == ["event", "time"]' "$BATS_TEST_TMPDIR/stdout"
  jq -es 'length > 0' "$BATS_TEST_TMPDIR/stdout"
}

@test "what people read on stderr is the same with -json as without" {
  pool_of --approve-after 1 --issue-subject bob@own.test
  local options
  for options in '-lifetime x' '-timeout 0' '-verbose' ''; do
    # shellcheck disable=SC2086 # words
    request -pool "$HERE" -identity alice@own.test $options
    [[ -s $BATS_TEST_TMPDIR/stderr ]]
    # The command that resumes would be another one.
    sed 's/ -resume .*//' "$BATS_TEST_TMPDIR/stderr" >plain
    # shellcheck disable=SC2086
    request -json -pool "$HERE" -identity alice@own.test $options
    diff plain <(sed 's/ -resume .*//' "$BATS_TEST_TMPDIR/stderr")
  done
}

@test "-verbose tells each state of the wait once, and each retry" {
  local options
  for options in '--approve-after 3' '--drop-polls 2' '--rate-limit 2' '--forget-after 2 --approve-after 9'; do
    # shellcheck disable=SC2086 # words
    pool_of $options
    asked -verbose
  done
  assert_transcript waiting
}

@test "without -verbose there are no waiting events" {
  pool_of --drop-polls 2 --approve-after 3
  asked
  assert_status 0
  [[ $(names) == 'enqueued issued' ]]
}

@test "-debug does not get into the JSON" {
  pool_of --approve-after 1
  asked -debug
  assert_status 0
  [[ $(names) == 'enqueued issued' ]]
  grep -q 'Authenticated with CLAIMTOBE' "$BATS_TEST_TMPDIR/stderr"
}

@test "-json does not change what -help prints" {
  local option
  for option in -help -version -completion; do
    request "$option"
    assert_status 0
    cp "$BATS_TEST_TMPDIR/stdout" plain
    request -json "$option"
    assert_status 0
    cmp plain "$BATS_TEST_TMPDIR/stdout"
  done
}

# ---- Failures: each with its code ----

@test "status 1: the pool refuses, has no place, or says something unexpected" {
  local options
  for options in '--refuse 44:Disabled.' --empty-ad '--fault no-request-id' '--token nonsense'; do
    # shellcheck disable=SC2086 # words
    pool_of $options --approve-after 0
    asked
    assert_status 1
  done
  assert_transcript refused
}

@test "status 2: command line, setting or destination cannot be" {
  ask -json -x
  ask -json -lifetime x
  ask -json -pool
  ask --json foo
  ask foo -json
  with _CONDOR_SEC_CLIENT_AUTHENTICATION=bogus -- -json -pool 127.0.0.1:1
  ask -json -pool 127.0.0.1:1 -file missing/token
  assert_transcript usage
}

@test "status 3: the pool is not found, or not reached" {
  ask -json -pool nosuchhost.invalid
  assert_status 3
  ask -json -pool 127.0.0.1:1
  assert_status 3
  assert_transcript unreachable
}

@test "a full queue and a request that has expired have codes of their own" {
  pool_of --empty-ad
  asked
  assert_status 1
  [[ $(jq -r .code "$BATS_TEST_TMPDIR/stdout") == busy ]]
  pool_of --expire
  asked
  assert_status 5
  [[ $(jq -r 'select(.event == "failed").code' "$BATS_TEST_TMPDIR/stdout") == request_expired ]]
}

@test "a host that DNS does not know is not_found, which no later run mends by itself" {
  ask -json -pool nosuchhost.invalid
  assert_status 3
  [[ $(jq -c '[.code, .retryable]' "$BATS_TEST_TMPDIR/stdout") == '["not_found",'* ]]
  ask -json -pool 127.0.0.1:1
  [[ $(jq -c .code "$BATS_TEST_TMPDIR/stdout") == '"unreachable"' ]]
}

@test "status 4: nobody can be authenticated, or the protocol is broken" {
  pool_with --methods SSL
  asked
  assert_status 4
  pool_of --fault bad-tag
  asked
  assert_status 4
  assert_transcript not-trusted
}

@test "status 5: the request has ended" {
  pool_of --forget-after 1 --approve-after 9
  asked
  assert_status 5
  pool_of --expire
  asked
  assert_status 5
  pool_of --refuse-poll '4:Failed to generate token.'
  asked
  assert_status 5
  assert_transcript ended
}

@test "status 6: the wait has ended, the request has not" {
  pool_of --approve-after 1000
  asked -timeout 2
  assert_status 6
  assert_transcript timed-out
  [[ $(field failed .hint) == "condor_token_request -resume $(state_files) -json" ]]
}

@test "status 7: a token that cannot be written where asked is in the event" {
  mkdir doomed
  pool_of --approve-on "$PWD/approved"
  REQUEST_MAIN=TokenRequest
  begin_process -json -pool "$HERE" -identity alice@own.test -file doomed/token
  rm -r doomed
  touch approved
  finish
  assert_status 7
  hide_chance
  assert_transcript not-written
}

@test "status 7: a token that stdout does not take is saved at home" {
  pool_of --auto-approve
  output=/dev/full
  asked
  assert_status 7
  assert_transcript stdout-full
  [[ $(cut -d. -f1 "$HOME"/.condor/rescued-token-*) == eyJ* ]]
}

@test "an enqueued event that stdout does not take is no reason to lose the request" {
  pool_of --approve-after 1
  output=/dev/full
  asked
  assert_status 7
  assert_transcript enqueued-into-full
  output=
  asked -resume "$(state_files)" || :
}

@test "status 6: another run waits for the same destination" {
  pool_of --auto-approve
  hold_lock .token.lock 'condor_token_request: process 4242 on build7.example since 2026-01-01T00:00:00.000Z'
  asked -file token
  release_lock
  assert_status 6
  assert_transcript destination-busy
  [[ ! -e token ]]
  asked -file token
  assert_status 0
}

@test "every code has its golden" {
  local code
  while read -r code; do
    grep -qsE "\"code\":\"$code\"" "$TESTS_DIR"/golden/{json,resuming,options,ensure,archive}/*.txt || { echo "no golden of $code" && return 1; }
  done < <(codes | sed '/ internal$/d; s/.* //') # which has no reason to happen
}

# codes: a line "status code" for every one of the enum
codes() { sed -nE 's/^        [A-Z_]+\(([0-9]+), "([a-z_]+)"\)[,;]$/\1 \2/p' "$TESTS_DIR/../TokenRequest.java"; }

@test "the schema has the codes of the enum, with their statuses" {
  [[ $(codes | wc -l) -ge 19 ]]
  # SIGHUP and SIGTERM have other statuses than SIGINT, which the enum has.
  diff <(codes | sort) <(jq -r '."$defs".failed.allOf[] | .then.properties.exit.enum as $exits
    | .if.properties.code.enum[] | "\(if . == "interrupted" then 130 else $exits[0] end) \(.)"' "$TESTS_DIR/schema.json" | sort)
  diff <(codes | cut -d ' ' -f 2 | sort) <(jq -r '."$defs".failed.properties.code.enum[]' "$TESTS_DIR/schema.json" | sort)
}

@test "a line that is not as the schema says is noticed" {
  local good bad
  good='{"event":"waiting","time":"2026-01-01T00:00:00.000Z","request_id":"1","reason":"pending","detail":null,"next_poll_s":1}'
  "$TESTS_DIR/validate" <<<"$good"
  for bad in '' '{}' null "${good%\}}" "[$good]" "$good$good" "${good/waiting/other}" "${good/.000Z/Z}" "${good/Z/+00:00}" \
    "${good/-01T/-32T}" "${good/pending/Pending}" "${good/:1\}/:1,\"more\":1\}}" "${good/,\"detail\":null/}" "${good/:1\}/:\"1\"\}}" \
    "${good/:1\}/:NaN\}}" "${good/\"1\"/1}" "${good/null/null,\"detail\":null}" "${good/null/\"\\u001b[2J\"}" \
    "${good/null/\"$'\e'[2J\"}" "${good/null/\"$'\xff'\"}" "$good"$'\r' \
    '{"time":"2026-01-01T00:00:00.000Z","event":"waiting","request_id":"1","reason":"pending","detail":null,"next_poll_s":1}'; do
    if "$TESTS_DIR/validate" <<<"$bad"; then
      echo "not noticed: $bad"
      return 1
    fi
  done
  if printf %s "$good" | "$TESTS_DIR/validate"; then return 1; fi # no newline
}

# ---- What the token says ----

@test "claims that a token lacks are null" {
  issued_to -- --token "$(handmade_token '{}' '{}')"
  assert_status 0
  [[ $(field issued '.claims | [.[]] | unique | tostring') == '[null,[]]' ]]
  assert_transcript no-claims
}

@test "claims of an odd kind do no harm" {
  local payload
  for payload in '{"sub":"ünïcödé@own.test","iss":"zwölf"}' '{"sub":"a\u001b[2J\u0000\n\u2028@own.test","jti":"\u202e"}' \
    '{"sub":17,"iss":["a"],"iat":"yesterday","scope":["condor:/READ","x"],"jti":{}}' '{"iat":1.5e9,"exp":4102444800.5,"nbf":-1}' \
    '{"sub":"a","sub":"b","scope":"  condor:/READ   condor:/WRITE "}' \
    '[]' 'nonsense'; do
    issued_to -- --token "$(handmade_token "$payload")"
    [[ $status == [01] ]]
  done
  assert_transcript odd-claims
}

# ---- It is not what was asked for ----

# Each pair: the order; then what the pool makes of it.
deviations=(
  '' '--issue-subject bob@own.test'
  '-authz READ,WRITE' '--issue-authz READ'
  '-authz READ' '--issue-authz READ,WRITE,ADVERTISE_STARTD'
  '-authz READ' '--issue-authz='
  '' '--issue-authz READ'
  '-lifetime 600' '--issue-lifetime 300'
  '-lifetime 600' '--issue-no-expiry'
  '-lifetime 600' "--issued-at $((START - 700))"
  '' "--not-before $((START + 86400))"
  '' '--issue-issuer other.test'
  '-authz READ -lifetime 600' "--issue-subject bob@own.test --issue-authz WRITE --issue-lifetime 60 --issue-issuer other.test"
)

@test "a token that is not what was asked for is delivered with a warning, and with -strict as a failure" {
  local i
  for ((i = 0; i < ${#deviations[@]}; i += 2)); do
    # shellcheck disable=SC2086 # words
    issued_to ${deviations[i]} -- ${deviations[i + 1]}
    assert_status 0
    # On stderr they are the same, with a word before.
    [[ $(field issued '.warnings | length') -ge 1 ]]
    diff <(field issued '.warnings[]' | sed 's/^/WARNING: /') <(grep '^WARNING: ' "$BATS_TEST_TMPDIR/stderr")
    cp "$BATS_TEST_TMPDIR/stdout" lenient
    # shellcheck disable=SC2086
    request -json -strict -pool "$HERE" -identity alice@own.test ${deviations[i]}
    assert_status 1
    [[ $(names) == 'issued failed' && $(field failed .code) == not_as_requested ]]
    head -n 1 "$BATS_TEST_TMPDIR/stdout" | diff lenient -
  done
  assert_transcript warnings
}

@test "-strict fails with the token where it was wanted" {
  pool_of --auto-approve --issue-subject bob@own.test --issue-authz READ
  asked -strict
  ask -pool "$HERE" -identity alice@own.test -strict
  assert_status 1
  ask -pool "$HERE" -identity alice@own.test -strict -file token
  assert_status 1
  [[ -s token ]]
  assert_transcript strict
}

@test "a token that is what was asked for has no warnings, and -strict nothing to complain about" {
  pool_of --auto-approve
  local order
  for order in '' '-authz READ' '-authz READ,WRITE -authz READ' '-lifetime 600' '-authz ADVERTISE_STARTD -lifetime 1000000'; do
    # shellcheck disable=SC2086 # words
    asked -strict $order
    assert_status 0
    [[ $(names) == issued && $(field issued '.warnings | length') == 0 && ! -s $BATS_TEST_TMPDIR/stderr ]]
  done
}

@test "words of the token cannot steer the terminal" {
  issued_to -- --token "$(handmade_token '{"sub":"bob\u001b[2J\u0007\u202e@own.test","iss":"x\r\ny\u2028z"}')"
  [[ $(tr -d '[:print:]\n' <"$BATS_TEST_TMPDIR/stderr" | wc -c) == 0 ]]
  [[ $(wc -l <"$BATS_TEST_TMPDIR/stdout") == 1 ]]
}

# ---- The signature ----

@test "a signature is verified where the pool's key can be read" {
  mkdir passwords.d
  pool_of --auto-approve --signing-key-file "$PWD/passwords.d/POOL"
  asked
  [[ $(field issued .signature) == unverified ]]
  with "_CONDOR_SEC_TOKEN_POOL_SIGNING_KEY_FILE=$PWD/passwords.d/POOL" -- -json -pool "$HERE" -identity alice@own.test
  [[ $(field issued .signature) == verified && $(field issued '.warnings | length') == 0 ]]
  with "_CONDOR_SEC_PASSWORD_DIRECTORY=$PWD/passwords.d" -- -json -pool "$HERE" -identity alice@own.test
  assert_status 0
  hide_chance
  assert_transcript signature
}

@test "a key that does not fit is said, since the pool is on this machine" {
  pool_of --auto-approve
  printf 'another key' >key
  touch empty
  local file
  for file in key empty; do
    with "_CONDOR_SEC_TOKEN_POOL_SIGNING_KEY_FILE=$PWD/$file" -- -json -pool "$HERE" -identity alice@own.test
    assert_status 0
    [[ $(field issued .signature) == unverified && $(field issued '.warnings | length') == 1 ]]
  done
  assert_transcript other-key
}

@test "a key that cannot be read is none" {
  pool_of --auto-approve
  mkdir directory
  local file
  for file in missing directory; do
    with "_CONDOR_SEC_TOKEN_POOL_SIGNING_KEY_FILE=$PWD/$file" -- -json -pool "$HERE" -identity alice@own.test
    assert_status 0
    [[ $(field issued .signature) == unverified ]]
  done
  assert_transcript no-key
}

@test "the ID of a key cannot name a file elsewhere" {
  local kid
  mkdir passwords.d
  pool_of --auto-approve
  printf 'a key' >elsewhere
  for kid in ../elsewhere "$PWD/elsewhere" . .. '' $'a\\nb'; do
    issued_to -- --token "$(handmade_token '{"sub":"alice@own.test","iss":"pool.test"}' "{\"kid\":\"$kid\",\"alg\":\"HS256\"}")"
    with "_CONDOR_SEC_PASSWORD_DIRECTORY=$PWD/passwords.d" -- -json -pool "$HERE" -identity alice@own.test
    assert_status 0
    [[ $(field issued .signature) == unverified && ! -s $BATS_TEST_TMPDIR/stderr ]]
  done
}

@test "a token without a signature to be verified is not verified" {
  local header
  mkdir passwords.d
  pool_of --auto-approve --signing-key-file "$PWD/passwords.d/POOL"
  for header in '{"alg":"none","kid":"POOL"}' '{"alg":"RS256","kid":"POOL"}' '{"kid":"POOL"}' '{"alg":"HS512","kid":"POOL"}'; do
    pool_of --auto-approve --token "$(handmade_token '{"sub":"alice@own.test","iss":"pool.test"}' "$header")"
    with "_CONDOR_SEC_PASSWORD_DIRECTORY=$PWD/passwords.d" -- -json -pool "$HERE" -identity alice@own.test
    assert_status 0
    [[ $(field issued .signature) == unverified ]]
  done
}

# ---- One line each, in UTF-8, at once ----

@test "a shell reads the enqueued line before the approval, which it gives itself" {
  local seen=()
  REQUEST_MAIN=TokenRequest
  pool_of --approve-on "$PWD/approved"
  # Without the line there is no approval, and the wait ends.
  while IFS= read -r line; do
    seen+=("$(jq -r .event <<<"$line")")
    [[ ! -e approved ]] || break
    jq -r .approve_with <<<"$line" >approved
  done < <(java -Duser.home="$HOME" -cp "$TOKEN_REQUEST_CLASSPATH" tokenrequest.TokenRequest -json -pool "$HERE" -identity alice@own.test \
    -timeout "$EVENTUALLY" 3>&-)
  [[ ${seen[*]} == 'enqueued issued' ]]
  diff approved - <<<"condor_token_request_approve -reqid 6108900 -pool $HERE"
}

@test "whatever the pool says, an event is one line" {
  pool_of --refuse $'3:two\nlines\r\n\e[31mred\e[m \u2028\u202e "quoted" \\ zwölf 漢字 🎫'
  asked
  assert_status 1
  pool_of --trust-domain $'zw\u00f6lf.test'
  asked
  assert_status 0
  assert_transcript odd-texts
  [[ $(wc -l <"$BATS_TEST_TMPDIR/stdout") == 2 ]]
}

@test "JSON is UTF-8 whatever the locale" {
  pool_of --refuse '3:zwölf 漢字 🎫'
  with LC_ALL=C -- -json -pool "$HERE" -identity alice@own.test
  assert_status 1
  [[ $(field failed .message) == *'zwölf 漢字 🎫'* ]]
}

@test "an order comes back as it was given" {
  local identity=$'al"ice\\ \u00fc@own.test'
  pool_of --approve-after 1
  ask -json -pool "$HERE" -identity "$identity" -authz 'READ, WRITE,,DAEMON' -lifetime ' 60'
  assert_status 0
  [[ $(field enqueued .identity) == "$identity" && $(field enqueued '.authz | join(" ")') == 'READ WRITE DAEMON' ]]
  [[ $(field enqueued .lifetime) == 60 ]]
}

# ---- What the administrator gets ----

@test "the client ID names user and host, in one word of safe characters" {
  local hex='[0-9a-f]{32}'
  REQUEST_MAIN=TokenRequest
  pool_of
  request -json -nowait -pool "$HERE" -identity alice@own.test
  [[ $(field enqueued .client_id) =~ ^"$(id -un)@$(own_host)-"$hex$ ]]
  # What is to be forwarded holds no secret.
  lacks "$BATS_TEST_TMPDIR/stderr" "$(field enqueued .client_id)" "$(field enqueued .client_id | grep -Eo "$hex$")"
  grep -qx "    Client ID: $(id -un)@$(own_host)-\.\.\." "$BATS_TEST_TMPDIR/stderr"
}

@test "a hostile host name does not spoil the client ID" {
  ((EUID == 0)) || skip 'only root can rename a machine'
  REQUEST_MAIN=TokenRequest
  pool_of
  # shellcheck disable=SC2016 # a name that a shell would expand
  local name='-a "b";$(c) and some more, so that it is longer than sixty-three' expected='_a__b____c__and_some_more__so_that_it_is_longer_than_sixty-three'
  # shellcheck disable=SC2016 # another shell's variables
  settings=(unshare --uts sh -c 'printf %s "$0" >/proc/sys/kernel/hostname && exec "$@"' "$name")
  request -json -nowait -pool "$HERE" -identity alice@own.test
  settings=()
  assert_status 0
  [[ $(field enqueued .client_id) =~ ^root@"$expected"-[0-9a-f]{32}$ ]]
}

@test "on the central manager a collector needs no -pool; another daemon is named there, too" {
  pool_of
  request -json -nowait -pool "$HERE" -identity alice@own.test
  [[ $(field enqueued .approve_with) == "condor_token_request_approve -reqid 6108900 -pool $HERE" ]]
  [[ $(field enqueued .approve_on_central_manager) == 'condor_token_request_approve -reqid 6108900' ]]
}

@test "half a surrogate pair in a token's claims comes through exactly" {
  pool_with --methods CLAIMTOBE --auto-approve --token "$(handmade_token '{"iss":"pool.test","sub":"a\ud800b@pool.test"}')"
  request -json -pool "$HERE" -identity alice@own.test
  assert_status 0
  grep -Fi '"sub":"a\ud800b@pool.test"' "$BATS_TEST_TMPDIR/stdout"
  grep -F "the token's identity is a?b@pool.test" "$BATS_TEST_TMPDIR/stderr"
}
