#!/usr/bin/env bats
# Every way to end badly: what the user reads, and the exit status. Nothing of the machine's shows through, no trace of
# Java's, and nothing hangs. (What can be wrong with arguments, destinations and waiting is in the other files.)
# shellcheck disable=SC2030,SC2031,SC2153 # TOKEN is set by loopback.bash
load events

# asked_of OPTION...: a request to a pool with these options
asked_of() {
  pool_with --token "$TOKEN" "$@"
  ask -pool "$HERE" -identity alice@own.test
  lacks "$BATS_TEST_TMPDIR/stderr" Exception java. $'\tat '
}

# claimed OPTION...: the same by CLAIMTOBE, so unbound; secured OPTION...: by SSL, so bound
claimed() {
  export _CONDOR_UID_DOMAIN=pool.test # of the name that the client claims
  authenticate_by CLAIMTOBE
  asked_of --methods CLAIMTOBE "$@"
}
secured() {
  authenticate_by SSL
  asked_of --methods SSL "$@"
}

# no_token: nothing has come, and the pool has not handed out anything
no_token() { [[ ! -s $BATS_TEST_TMPDIR/stdout && $(events ^issued) == 0 ]]; }

# ---- The pool says no ----

@test "a refusal has the pool's words, its code, and what may help" {
  local refusal
  for refusal in '44:Token requests are disabled.' '3:Requested identity is not within the limits.' \
    '4:Failed to generate token.' '7:Request was not authenticated.' '99:Something new.'; do
    claimed --refuse "$refusal"
    assert_status 1
  done
  assert_transcript refused
  no_token
}

@test "an error code without words is a refusal, too" {
  claimed --refuse 3:
  assert_status 1
  grep -qxF 'Failed to request a new token: DAEMON:3:no reason given' "$BATS_TEST_TMPDIR/stderr"
  no_token
}

@test "a full queue is told from a refusal" {
  claimed --empty-ad
  assert_status 1
  assert_transcript queue-full
}

@test "a client that may not ask is told who the pool thinks it is" {
  authenticate_by SSL
  asked_of --denied
  assert_status 1
  assert_transcript denied
  no_token
}

@test "a pool with ANONYMOUS only wants a better method" {
  authenticate_by ANONYMOUS
  asked_of --methods ANONYMOUS
  assert_status 1
  assert_transcript anonymous
}

@test "the pool's words cannot steer the terminal" {
  claimed --refuse $'3:\e[2J\e]0;title\a red\r\nspoofed \u202etext'
  assert_status 1
  assert_transcript escape-sequences
  [[ $(tr -d '[:print:]\n' <"$BATS_TEST_TMPDIR/stderr" | wc -c) == 0 ]]
}

@test "an answer that breaks off is no refusal" {
  claimed --drop-start
  assert_status 3
  assert_transcript start-dropped
  claimed --close-on-policy
  assert_status 3
  assert_transcript policy-dropped
}

# ---- The answer is none ----

@test "what is no token is thrown away, and not shown" {
  local text
  for text in 'no token' $'eyJhbGciOiJIUzI1NiJ9.e30.c2ln\e[2J' $'eyJhbGciOiJIUzI1NiJ9.e30.c2ln\nmore' e30.e30 ...; do
    authenticate_by CLAIMTOBE
    pool_with --methods CLAIMTOBE --token "$text" --approve-after 0
    ask -pool "$HERE" -identity alice@own.test
    assert_status 1
    [[ ! -s $BATS_TEST_TMPDIR/stdout ]]
  done
  assert_transcript not-a-token
}

@test "an answer without token or request ID is unexpected" {
  claimed --fault no-request-id
  assert_status 1
  assert_transcript no-request-id
  local id
  for id in '' $'1\e[2J' '12 34'; do
    claimed --request-id "$id"
    assert_status 1
  done
  assert_transcript odd-request-ids
}

# ---- The protocol is broken ----

# broken_off NAME WORD...: with the protocol broken so, SSL ends with status 4 and nothing was asked
broken_off() {
  "${@:2}" --fault "$1"
  assert_status 4
  assert_transcript "$1"
  no_token
  [[ $(events ^start) == 0 ]]
}

@test "a packet longer than any is refused (bad-length)" { broken_off bad-length secured; }
@test "a packet of negative length is refused (negative-length)" { broken_off negative-length secured; }
@test "a packet without content is refused (zero-length)" { broken_off zero-length secured; }
@test "a packet of unknown kind is refused (bad-end-flag)" { broken_off bad-end-flag secured; }
@test "an attribute list without end is refused (huge-attribute-count)" { broken_off huge-attribute-count secured; }
@test "a pool that wants no authentication is refused (authentication-no)" { broken_off authentication-no secured; }
@test "a pool that wants no encryption is refused (encryption-no)" { broken_off encryption-no secured; }
@test "a pool that wants another cipher is refused (cipher-blowfish)" { broken_off cipher-blowfish secured; }
@test "an ECDH key where none was asked for is refused (ecdh-in-bound)" { broken_off ecdh-in-bound secured; }
@test "a missing ECDH key is refused (no-ecdh)" { broken_off no-ecdh claimed; }
@test "an ECDH key that is no point of the curve is refused (bad-point)" { broken_off bad-point claimed; }
@test "a choice that is no method is refused (unknown-method-bit)" { broken_off unknown-method-bit secured; }
@test "a choice that was not offered is refused (unoffered-method)" { broken_off unoffered-method secured; }
@test "SSL that is not set up is said (ssl-refuses)" { broken_off ssl-refuses secured; }
@test "SSL that the pool ends is said (ssl-quits)" { broken_off ssl-quits secured; }
@test "a key of the wrong length through TLS is refused (ssl-short-key)" { broken_off ssl-short-key secured; }
@test "a claim that is not believed is said (claim-refused)" { broken_off claim-refused claimed; }
@test "a session without its key is refused (int-zero-key)" { broken_off int-zero-key secured; }
@test "a session key beside ECDH is refused (int-one-key)" { broken_off int-one-key claimed; }
@test "a short session key is refused (short-key)" { broken_off short-key secured; }
@test "a session key of zeros is refused (zero-key)" { broken_off zero-key secured; }
@test "an encrypted packet that was changed is refused (bad-tag)" { broken_off bad-tag secured; }

@test "a changed packet before encryption is noticed with the first encrypted one (flipped-bit)" {
  # The policy's last letter: a change of case that the policy survives.
  broken_off flipped-bit claimed
}

@test "a packet that is cut off is a broken connection (truncated-frame)" {
  secured --fault truncated-frame
  assert_status 3
  assert_transcript truncated-frame
  no_token
}

@test "bytes after the answer are refused (trailing-bytes)" {
  claimed --fault trailing-bytes
  assert_status 4
  assert_transcript trailing-bytes
}

@test "damage to any later packet never gives a token" {
  local packet fault
  for fault in bad-length bad-end-flag truncated-frame; do
    for packet in 2 4 6; do
      secured --fault "$fault" --fault-packet "$packet" --auto-approve
      [[ $status == [34] ]]
      no_token
    done
  done
  for packet in 1 2; do
    secured --fault bad-tag --fault-packet "$packet" --auto-approve
    assert_status 4
    [[ ! -s $BATS_TEST_TMPDIR/stdout ]]
  done
}

@test "a session without an ID serves one command (no-session-id)" {
  claimed --fault no-session-id --auto-approve
  assert_status 0
}

# ---- Trust ----

@test "a certificate of an unknown CA is rejected, with what to trust instead" {
  authenticate_by SSL
  pool_with --auto-approve
  with "_CONDOR_AUTH_SSL_CLIENT_CAFILE=$BATS_TEST_TMPDIR/none.pem" -- -pool "$HERE"
  assert_status 4
  assert_transcript unknown-ca
  no_token
}

@test "a certificate for another host is rejected" {
  secured --certificate-name cm.example.org --auto-approve
  assert_status 4
  assert_transcript wrong-host
  no_token
}

@test "an expired certificate is rejected" {
  secured --certificate-expired --auto-approve
  assert_status 4
  sed -i -E 's/(NotAfter: ).*\)/\1<TIME>)/' "$BATS_TEST_TMPDIR/transcript"
  assert_transcript expired-certificate
  no_token
}

@test "a pool that wants a certificate of the client is named as such" {
  secured --require-client-certificate
  assert_status 4
  assert_transcript client-certificate
}

@test "an address without a name cannot be verified" {
  authenticate_by SSL
  pool_with --auto-approve
  ask -pool "127.0.0.1:$LOOPBACK_PORT"
  assert_status 4
  assert_transcript no-name
  [[ $(events ^connection) == 1 && $(events '^(authenticated|start)') == 0 ]] # to hear what the pool offers, no more
}

# ---- Methods ----

# agree_on_directory: for FS, instead of /tmp
agree_on_directory() {
  mkdir fs
  export _CONDOR_FS_LOCAL_DIR=$PWD/fs
}

@test "a directory that the pool names outside the agreed one is not made" {
  local fault
  agree_on_directory
  authenticate_by FS
  for fault in fs-evil-path fs-nested-path; do
    asked_of --methods FS --fs-dir "$PWD/fs" --fault "$fault"
    assert_status 4
  done
  assert_transcript fs-paths
  [[ -z $(ls -A fs) ]]
}

@test "a directory for FS is gone afterwards" {
  agree_on_directory
  authenticate_by FS
  asked_of --methods FS --fs-dir "$PWD/fs" --auto-approve
  assert_status 0
  [[ $(events '^authenticated FS unbound') == 1 && -z $(ls -A fs) ]]
}

@test "the last error lists every method with its reason" {
  authenticate_by FS IDTOKENS KERBEROS SCITOKENS SSL CLAIMTOBE
  asked_of --methods SSL,CLAIMTOBE --certificate-name cm.example.org --fault claim-refused
  assert_status 4
  assert_transcript every-method
  no_token
}

@test "a pool with no method of ours is said to have none" {
  authenticate_by SSL IDTOKENS
  mkdir -p "$_CONDOR_SEC_TOKEN_DIRECTORY"
  asked_of --methods FS
  assert_status 4
  assert_transcript no-method
}

# token_login: leaves the pool's own token where the client looks for one
token_login() {
  (umask 077 && mkdir -p "$_CONDOR_SEC_TOKEN_DIRECTORY" && printf '%s\n' "$LOOPBACK_TOKEN" >"$_CONDOR_SEC_TOKEN_DIRECTORY/login")
}

@test "from SSL to IDTOKENS it goes with a warning" {
  unset _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS
  pool_with --methods SSL,IDTOKENS --token-for bob@pool.test --token "$TOKEN" --certificate-name cm.example.org --auto-approve
  token_login
  ask -pool "$HERE" -identity alice@own.test
  assert_status 0
  assert_transcript warning
  [[ $(events '^authenticated IDTOKENS unbound bob@pool.test') == 1 ]]
}

# unfit REASON TOKEN: this token alone is in the directory, and the client says why it does not log in with it
unfit() {
  (umask 077 && echo "$2" >"$_CONDOR_SEC_TOKEN_DIRECTORY/login")
  request -pool "$HERE" -identity alice@own.test
  assert_status 4
  grep -qF -- "$1" "$BATS_TEST_TMPDIR/stderr" || { cat "$BATS_TEST_TMPDIR/stderr" && return 1; }
}

@test "a token of another trust domain or key, an expired one, and one for nobody are not shown to the pool" {
  authenticate_by IDTOKENS
  pool_with --methods IDTOKENS --token-for bob@pool.test --key-id second --issuer-keys POOL,second --token "$TOKEN" --auto-approve
  (umask 077 && mkdir "$_CONDOR_SEC_TOKEN_DIRECTORY" && echo "$LOOPBACK_TOKEN" >"$_CONDOR_SEC_TOKEN_DIRECTORY/login")
  request -pool "$HERE" -identity alice@own.test
  assert_status 0
  [[ $(events '^authenticated IDTOKENS unbound bob@pool.test') == 1 ]]
  unfit 'the token of bob@pool.test belongs to trust domain other.test' \
    "$(handmade_token '{"iss":"other.test","sub":"bob@pool.test"}')"
  unfit 'the token of bob@pool.test is signed with key third' \
    "$(handmade_token '{"iss":"pool.test","sub":"bob@pool.test"}' '{"alg":"HS256","kid":"third"}')"
  unfit 'the token of bob@pool.test expired at 1970-01-01T00:00:01Z' \
    "$(handmade_token '{"iss":"pool.test","sub":"bob@pool.test","exp":1}')"
  unfit 'has neither a subject nor an ID' "$(handmade_token '{"iss":"pool.test"}')"
  # The pool does not know this one either, which only the attempt can tell.
  unfit 'the pool could not prove that it knows the key of the token of bob@pool.test' "$(handmade_token '{"iss":"pool.test","sub":"bob@pool.test"}')"
}

@test "IDTOKENS alone needs no warning" {
  authenticate_by IDTOKENS
  pool_with --methods IDTOKENS --token-for bob@pool.test --token "$TOKEN" --auto-approve
  token_login
  ask -pool "$HERE" -identity alice@own.test
  assert_status 0
  assert_transcript token-alone
}

@test "a pool that does not know the key of our token is not believed" {
  authenticate_by IDTOKENS
  pool_with --methods IDTOKENS --token-for bob@pool.test --fault token-bad-proof
  token_login
  ask -pool "$HERE" -identity alice@own.test
  assert_status 4
  assert_transcript token-bad-proof
  no_token
}

# ---- Secrets ----

@test "neither the client ID nor a token is shown by -debug" {
  export REQUEST_MAIN=Harness # its machine's name begins the client ID
  authenticate_by IDTOKENS
  pool_with --methods IDTOKENS --token-for bob@pool.test --approve-after 1
  token_login
  request -pool "$HERE" -identity alice@own.test -debug
  assert_status 0
  grep -q 'Connected to' "$BATS_TEST_TMPDIR/stderr"
  grep -q 'Authenticated with IDTOKENS' "$BATS_TEST_TMPDIR/stderr"
  local header payload signature token
  for token in "$(cat "$BATS_TEST_TMPDIR/stdout")" "$LOOPBACK_TOKEN"; do
    IFS=. read -r header payload signature <<<"$token"
    [[ -n $header && -n $payload && -n $signature ]]
    lacks "$BATS_TEST_TMPDIR/stderr" "$payload" "$signature"
  done
  grep -q '@client\.example-\.\.\.$' "$BATS_TEST_TMPDIR/stderr" # for the administrator: the part that is not secret
  run ! grep -E 'client\.example-[0-9a-f]' "$BATS_TEST_TMPDIR/stderr"
}

# ---- The original's error stack ----

# Failures that carry a stack, as NAME|OPTIONS|STACK
STACKS=(
  'method|--methods CLAIMTOBE --fault claim-refused|AUTHENTICATE:1004:Failed to authenticate using CLAIMTOBE'
  'none|--methods FS|SECMAN:2005:Protocol Error: No auth methods.'
  'denied|--methods CLAIMTOBE --denied|SECMAN:2010:Received "DENIED" from server for user'
)

# fails ARGUMENT...: the request fails
fails() {
  request -pool "$HERE" -identity alice@own.test "$@"
  grep -E '^(Authentication to|Not authorized at) ' "$BATS_TEST_TMPDIR/stderr"
}

@test "-debug shows the original's error stack, and without it nothing does" {
  local one options stack
  authenticate_by CLAIMTOBE
  for one in "${STACKS[@]}"; do
    IFS='|' read -r _ options stack <<<"$one"
    # shellcheck disable=SC2086 # several options
    pool_with --token "$TOKEN" $options
    fails
    lacks "$BATS_TEST_TMPDIR/stderr" "$stack"
    fails -debug
    grep -F "$stack" "$BATS_TEST_TMPDIR/stderr"
  done
  request -pool '<127.0.0.1:1?alias=localhost>' -debug
  assert_status 3
  grep -F 'Cannot connect to localhost:1.' "$BATS_TEST_TMPDIR/stderr"
  grep -F "DAEMON:1:Failed to connect to remote daemon at '<127.0.0.1:1?alias=localhost>'" "$BATS_TEST_TMPDIR/stderr"
}

@test "JSON details end with the original's error stack" {
  local one options stack
  authenticate_by CLAIMTOBE
  for one in "${STACKS[@]}"; do
    IFS='|' read -r _ options stack <<<"$one"
    # shellcheck disable=SC2086 # several options
    pool_with --token "$TOKEN" $options
    fails -json
    jq -e --arg stack "$stack" 'select(.event == "failed") | .details[-1] | contains($stack)' "$BATS_TEST_TMPDIR/stdout"
  done
  request -pool '<127.0.0.1:1?alias=localhost>' -json
  assert_status 3
  jq -e 'select(.event == "failed") | .details[-1] | startswith("DAEMON:1:Failed to connect to remote daemon at")' \
    "$BATS_TEST_TMPDIR/stdout"
}
