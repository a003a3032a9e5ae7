#!/usr/bin/env bats
# The scripts that a user would copy, on the embedded pool. Those of real pools are in real_scripts.bats.
load loopback
load command

setup() {
  own_folders
  export _CONDOR_SEC_TOKEN_DIRECTORY=$HOME/tokens.d _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=false
  export _CONDOR_SEC_PASSWORD_DIRECTORY=$HOME/passwords.d
  authenticate_by SSL
  put_command_on_path
}

# script ARGUMENT...: `run_script`, whose record is appended to the transcript
script() {
  run_script "$@"
  append
}

# assert_script_transcript CASE: the golden is that of the transcript, but for what differs from run to run
assert_script_transcript() {
  local rules=(
    's/[0-9-]{10}T[0-9:]{8}(\.[0-9]+)?Z/<TIME>/'   # an hour from now, or what it was
    's/\/tmp\.[A-Za-z0-9]{10}\b/\/<TEMPORARY>/g'   # mktemp
    's/^<127\.0\.0\.1:/<HERE:/'
  )
  sed -Ei "${rules[@]/#/-e}" "$BATS_TEST_TMPDIR/transcript"
  assert_transcript "$1"
}

# ---- ci-job.sh ----

# In the order of its story. What the job leaves behind would be here:
ci_job() {
  mkdir -p "$BATS_TEST_TMPDIR/tmp"
  POOL=${POOL-$HERE} TMPDIR=$BATS_TEST_TMPDIR/tmp script ci-job.sh "$@"
  [[ -z $(ls -A "$BATS_TEST_TMPDIR/tmp") ]]
}

@test "ci-job: the job has a token, which is neither in its log nor there afterwards" {
  pool_with --methods SSL,IDTOKENS
  # shellcheck disable=SC2016 # for the job's shell
  IDENTITY=ci@pool.test ci_job sh -c 'ls "$_CONDOR_SEC_TOKEN_DIRECTORY"; cp "$TOKEN_FILE" used; exit 42'
  assert_status 42
  grep -Eqx '[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+' used
  lacks "$BATS_TEST_TMPDIR/stdout" "$(<used)"
  assert_script_transcript ci-job
}

@test "ci-job: it is told how to approve the job before anybody has" {
  local approved=$PWD/approved
  pool_with --methods SSL,IDTOKENS --approve-on "$approved"
  mkdir "$BATS_TEST_TMPDIR/tmp"
  : >"$BATS_TEST_TMPDIR/stdout"
  POOL=$HERE TMPDIR=$BATS_TEST_TMPDIR/tmp run_script_with_status ci-job.sh echo finished 3>&- &
  client=$!
  await_event 'type:  condor_token_request_approve -reqid 6108900 -pool localhost:[0-9]+$' "$BATS_TEST_TMPDIR/stdout"
  [[ $(events ^issued) == 0 ]]
  touch "$approved"
  wait "$client"
  grep -qx finished "$BATS_TEST_TMPDIR/stdout"
}

@test "ci-job: a job that nobody approves may be started again" {
  pool_with --approve-on never
  APPROVE_WITHIN=1 ci_job echo never
  assert_status 75
  assert_script_transcript ci-job-pending
}

@test "ci-job: a pool that refuses does so again" {
  pool_with --refuse '44:Token request disabled.'
  ci_job echo never
  assert_status 1
  assert_script_transcript ci-job-refused
}

@test "ci-job: a token that is not as ordered is not used" {
  pool_with --methods SSL,IDTOKENS --issue-authz READ,ADMINISTRATOR
  ci_job echo never
  assert_status 1
  assert_script_transcript ci-job-not-as-ordered
}

@test "ci-job: it says what it needs to be told" {
  POOL='' ci_job true
  assert_status 1
  POOL=cm.example.org ci_job
  assert_status 1
  sed -i -E 's/^[^ ]*(ci-job\.sh): line [0-9]+/\1/' "$BATS_TEST_TMPDIR/transcript" # bash's words; its line may move
  assert_script_transcript ci-job-usage
}

# ---- two-step.sh ----

ASK=(-identity alice@pool.test -authz READ)

@test "two-step: a request is made once, taken when it is approved, and both files are nobody else's" {
  local approved=$PWD/approved
  pool_with --approve-on "$approved"
  script two-step.sh ask request token -pool "$HERE" "${ASK[@]}"
  assert_status 0
  [[ $(stat -c %a request) == 600 ]]
  script two-step.sh ask request token -pool "$HERE" "${ASK[@]}"
  [[ $(events ^start) == 1 ]]
  script two-step.sh take request token
  assert_status 6
  touch "$approved"
  script two-step.sh take request token
  assert_status 0
  rm approved
  [[ $(ls) == token && $(stat -c %a token) == 600 ]]
  script two-step.sh take request token
  script two-step.sh ask request token -pool "$HERE" "${ASK[@]}"
  [[ $(events ^start) == 1 && $(events ^issued) == 1 ]]
  assert_script_transcript two-step
}

@test "two-step: a request that is gone for good is forgotten, so that the next one can be made" {
  pool_with --refuse-poll '3:Client ID is incorrect.' --approve-after 0
  script two-step.sh ask request token -pool "$HERE" "${ASK[@]}"
  script two-step.sh take request token
  assert_status 5
  [[ -z $(ls -A -I ".*.lock") ]]
  assert_script_transcript two-step-gone
}

@test "two-step: a rule of the pool makes the second step empty" {
  pool_with --auto-approve
  script two-step.sh ask request token -pool "$HERE" "${ASK[@]}"
  assert_status 0
  [[ -s token ]]
  script two-step.sh take request token
  assert_status 0
  assert_script_transcript two-step-approved-at-once
}

@test "two-step: what fails leaves nothing that looks like a request" {
  pool_with --refuse '44:Token request disabled.'
  script two-step.sh ask request token -pool "$HERE" "${ASK[@]}"
  assert_status 1
  [[ ! -e request ]]
  script two-step.sh take request token
  assert_status 2
  script two-step.sh give request token
  assert_status 2
  assert_script_transcript two-step-failing
}

# ---- node-bootstrap.sh ----

# node_with TOKENS: what the script calls of HTCondor says that tokens are there, and that it was called
node_with() {
  put_on_path condor_config_val <<<"#!/bin/sh
[ \"\$*\" = SEC_TOKEN_SYSTEM_DIRECTORY ] && echo ${1@Q}"
  put_on_path condor_reconfig <<<$'#!/bin/sh\necho reconfigured'
  # Where it may write is a matter of who runs the tests; what it sets it asks for.
}

@test "node-bootstrap: the token of the daemons is placed once, and each time they read their settings" {
  node_with "$PWD/etc/tokens.d"
  pool_with --methods SSL,IDTOKENS
  export _CONDOR_UID_DOMAIN=pool.test
  script node-bootstrap.sh "$HERE" -mode 400
  assert_status 0
  [[ $(stat -c %a etc/tokens.d) == 700 && $(stat -c %a "etc/tokens.d/localhost_$LOOPBACK_PORT") == 400 ]]
  [[ $(ls -A -I ".*.lock" etc/tokens.d) == "localhost_$LOOPBACK_PORT" ]]
  script node-bootstrap.sh "$HERE" -mode 400
  assert_status 0
  [[ $(events '^start client_id=yes identity=condor@pool\.test authz=ADVERTISE_STARTD,ADVERTISE_MASTER ') == 1 ]]
  assert_script_transcript node-bootstrap
}

@test "node-bootstrap: the token belongs to whom the daemons run as" {
  ((EUID == 0)) || skip "not root"
  node_with "$PWD/tokens.d"
  pool_with --methods SSL,IDTOKENS
  script node-bootstrap.sh "$HERE" -owner nobody
  assert_status 0
  [[ $(stat -c '%U %a' "tokens.d/localhost_$LOOPBACK_PORT") == 'nobody 600' ]]
}

@test "node-bootstrap: without a token the daemons are left alone" {
  node_with "$PWD/tokens.d"
  pool_with --refuse-poll '4:Failed to generate token.'
  script node-bootstrap.sh "$HERE" -quiet
  assert_status 5
  [[ -z $(ls -A -I ".*.lock" tokens.d) ]]
  assert_script_transcript node-bootstrap-refused
}
