#!/usr/bin/env bats
# The examples that a user copies, on the embedded pool; those of real pools are in real_scripts.bats. Each is taken from its
# file, and its commands run as cron, Ansible, systemd and so on would run them.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # commands of other shells; settings of one test; variables of readme.bash
load trust
load command
load readme

setup_file() { :; }

setup() {
  own_folders
  export _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=false _CONDOR_UID_DOMAIN=pool.test
  unset _CONDOR_SEC_TOKEN_DIRECTORY
  mkdir -p etc/condor/tokens.d
  chmod 700 etc/condor/tokens.d
  put_command_on_path
  put_on_path condor_reconfig <<<$'#!/bin/sh\necho reconfigured'
}

# site OPTION...: a pool, whose CA is where the examples have it
site() {
  pool_with --methods SSL,IDTOKENS "$@"
  unset _CONDOR_AUTH_SSL_CLIENT_CAFILE
  cp "$LOOPBACK_CA" etc/condor/pool-ca.pem
}

# example NAME: the file, with this test's pool and folders instead of the public ones
example() { here <"$EXAMPLES/$1" | sed -E "s|/usr/local/bin/||; s|/usr/sbin/||"; }

# yaml NAME FILTER: what jq makes of an example
yaml() { example "$1" | /usr/bin/python3 -c 'import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)' | jq -r "$2"; }

# run_command COMMAND...: one command of an example; sets status, leaves stdout and stderr
run_command() {
  status=0
  "$@" >"$BATS_TEST_TMPDIR/stdout" 2>"$BATS_TEST_TMPDIR/stderr" </dev/null || status=$?
}

# starts: how many requests the pool has received; connections: how many connections
starts() { events '^start'; }
connections() { events '^connection'; }

# kept_secret FILE...: no line of the output shows these tokens
kept_secret() {
  local file
  for file; do
    assert_token "$file"
    lacks "$BATS_TEST_TMPDIR/stdout" "$(<"$file")"
    lacks "$BATS_TEST_TMPDIR/stderr" "$(<"$file")"
  done
}

# repeated COMMAND...: pending, approved, current: one request, and nothing is printed at the end that has to be done
repeated() {
  run_command "$@"
  assert_ended 6
  grep -q 'please approve request 6108900' "$BATS_TEST_TMPDIR/stderr"
  run_command "$@"
  assert_ended 6
  touch approved
  run_command "$@"
  assert_ended 0
  kept_secret etc/condor/tokens.d/node
  local before
  before=$(connections)
  run_command "$@"
  assert_ended 0
  kept_secret etc/condor/tokens.d/node
  [[ $(starts) == 1 && $(connections) == "$before" ]]
}

@test "cron: the line makes one request, and says nothing while the token is current" {
  local line
  site --approve-on "$PWD/approved" --approve-after 0
  # The first five fields are the time, the sixth is the user.
  line=$(example condor-token.cron | sed -nE 's/^[0-9]+( \*){4} root //p')
  [[ $line == 'condor_token_request -ensure '* && $(grep -c '^[0-9]' "$EXAMPLES/condor-token.cron") == 1 ]]
  repeated env SHELL=/bin/sh sh -c "$line"
  [[ ! -s $BATS_TEST_TMPDIR/stdout && ! -s $BATS_TEST_TMPDIR/stderr ]]
}

@test "Ansible: the task waits for the approval, changes the machine once, and then nothing" {
  local command changed
  site --approve-on "$PWD/approved" --approve-after 0
  mapfile -t command < <(yaml ansible.yml '.[0]["ansible.builtin.command"].argv[]')
  [[ ${command[0]} == condor_token_request && $(yaml ansible.yml '.[0].until') == 'token.rc != 6' ]]
  # changed_when and until are expressions of Jinja; these two are Python as well.
  changed() {
    STDERR=$(<"$BATS_TEST_TMPDIR/stderr") RC=$status /usr/bin/python3 -c 'import os, sys, types
token = types.SimpleNamespace(stderr=os.environ["STDERR"], rc=int(os.environ["RC"]))
print(eval(sys.argv[1]))' "$1"
  }
  run_command "${command[@]}"
  assert_ended 6
  [[ $(changed "$(yaml ansible.yml '.[0].until')") == False ]]
  touch approved
  run_command "${command[@]}"
  assert_ended 0
  [[ $(changed "$(yaml ansible.yml '.[0].until')") == True ]]
  [[ $(changed "$(yaml ansible.yml '.[0].changed_when')") == True ]]
  run_command "${command[@]}"
  assert_ended 0
  [[ $(changed "$(yaml ansible.yml '.[0].changed_when')") == False && $(starts) == 1 ]]
  kept_secret etc/condor/tokens.d/node
  [[ $(yaml ansible.yml '.[1].when') == 'token is changed' ]]
}

@test "Ansible: what a task shows when it fails does not let its reader fetch the token" {
  local command secret
  site --approve-on never
  mapfile -t command < <(yaml ansible.yml '.[0]["ansible.builtin.command"].argv[]')
  run_command "${command[@]}"
  assert_ended 6
  secret=$(cat "$HOME"/.condor/pending-token-request-* | jq -r .client_id)
  [[ ${#secret} -gt 32 ]]
  lacks "$BATS_TEST_TMPDIR/stdout" "$secret"
  lacks "$BATS_TEST_TMPDIR/stderr" "$secret"
}

@test "systemd: the service is started again until the token is there, without a limit" {
  local start
  site --approve-on "$PWD/approved" --approve-after 0
  start=$(example condor-token.service | sed -n 's/^ExecStart=//p')
  read -ra start <<<"$start"
  repeated "${start[@]}"
  # Status 6 is a failure of a oneshot; without these lines it would be the last.
  grep -qx 'Type=oneshot' "$EXAMPLES/condor-token.service"
  grep -qx 'Restart=on-failure' "$EXAMPLES/condor-token.service"
  sed -n '/^\[Unit\]/,/^$/p' "$EXAMPLES/condor-token.service" | grep -qx 'StartLimitIntervalSec=0'
  if [[ -n $(type -P systemd-analyze) ]]; then
    mkdir units
    sed "s|^ExecStart=[^ ]*|ExecStart=$(type -P true)|; s|^ExecStartPost=-.*||" "$EXAMPLES/condor-token.service" >units/condor-token.service
    cp "$EXAMPLES/condor-token.timer" units
    systemd-analyze verify "$PWD"/units/condor-token.{service,timer}
  fi
}

@test "cloud-init: it places the units, and does not hold up the boot" {
  diff "$EXAMPLES/condor-token.service" <(/usr/bin/python3 -c 'import sys, yaml
sys.stdout.write(yaml.safe_load(sys.stdin)["write_files"][0]["content"])' <"$EXAMPLES/cloud-init.yml")
  diff "$EXAMPLES/condor-token.timer" <(/usr/bin/python3 -c 'import sys, yaml
sys.stdout.write(yaml.safe_load(sys.stdin)["write_files"][1]["content"])' <"$EXAMPLES/cloud-init.yml")
  [[ $(head -n 1 "$EXAMPLES/cloud-init.yml") == '#cloud-config' ]]
  [[ $(yaml cloud-init.yml '.runcmd | map(join(" ")) | join("; ")') == \
    'systemctl daemon-reload; systemctl enable --now --no-block condor-token.timer' ]]
}

# job SCRIPT: a job's commands, as the runner gives them to bash
job() {
  put_on_path condor_submit <<<$'#!/bin/sh\nset -- "$_CONDOR_SEC_TOKEN_DIRECTORY"/*\n[ $# = 1 ] && cp "$1" used'
  run_command bash -euo pipefail -c "$1"
}

@test "GitLab: the job has a token while it runs, and the log does not show it" {
  site --auto-approve
  export POOL_CA=$PWD/etc/condor/pool-ca.pem CI_PROJECT_DIR=$PWD POOL=$HERE
  export _CONDOR_SEC_TOKEN_DIRECTORY=$CI_PROJECT_DIR/.tokens
  [[ $(yaml gitlab-ci.yml .submit.variables._CONDOR_SEC_TOKEN_DIRECTORY) == "\$CI_PROJECT_DIR/.tokens" ]]
  # A token's name has no colon on every system; the test's pool has one.
  job "$(yaml gitlab-ci.yml '.submit.script | join("\n")' | sed 's/-token "$POOL"/-token pool/')"
  assert_ended 0
  kept_secret used
  job "$(yaml gitlab-ci.yml '.submit.after_script | join("\n")')"
  [[ ! -e .tokens ]]
  site --approve-on never
  export POOL=$HERE
  rm used
  job "$(yaml gitlab-ci.yml '.submit.script | join("\n")' | sed 's/-token "$POOL"/-token pool/; s/-timeout 900/-timeout 1/')"
  assert_ended 6
  [[ ! -e used && $(yaml gitlab-ci.yml '.submit.retry.exit_codes | tostring') == '[3,6]' ]]
}

@test "GitHub: the job has a token while it runs, and the log does not show it" {
  site --auto-approve
  export RUNNER_TEMP=$PWD/runner GITHUB_ENV=$PWD/github_env POOL=$HERE
  mkdir runner
  cp etc/condor/pool-ca.pem .
  put_on_path jbang <<<$'#!/bin/sh\n[ "$1" = trust ] || { shift; exec condor_token_request "$@"; }'
  job "$(yaml github-job.yml '.jobs.submit.steps[] | select(.name == "Get a token").run' | sed 's/-token "$POOL"/-token pool/')"
  assert_ended 0
  # shellcheck source=/dev/null
  . "$GITHUB_ENV"
  export _CONDOR_SEC_TOKEN_DIRECTORY
  job "$(yaml github-job.yml '.jobs.submit.steps[] | select(.name == "Submit").run')"
  assert_ended 0
  kept_secret used
  job "$(yaml github-job.yml '.jobs.submit.steps[] | select(.name == "Delete the token").run')"
  [[ ! -e $RUNNER_TEMP/tokens ]]
}

# The container: its own root directory with the system's programs, a user number without a name, an empty environment.
@test "Kubernetes: the init container needs no user name, no home and no locale, and restarts into the same request" {
  ((EUID == 0)) || skip "needs root"
  local command arguments user part java
  site --approve-on "$PWD/approved" --approve-after 0
  mapfile -t arguments < <(yaml kubernetes.yml '.spec.initContainers[0].args[]')
  user=$(yaml kubernetes.yml .spec.securityContext.runAsUser)
  container=$BATS_TEST_TMPDIR/container
  java=$(readlink -f "$(command -v java)")
  mkdir -p "$container"/{usr,lib,lib64,bin,proc,dev,tokens,pool,jars,jdk,tmp,etc}
  echo 'root:x:0:0::/root:/bin/sh' >"$container/etc/passwd"
  echo '127.0.0.1 localhost' >"$container/etc/hosts"
  cp etc/condor/pool-ca.pem "$container/pool"
  chown "$user:$user" "$container/tokens"
  chmod 700 "$container/tokens"
  chmod 755 "$container" "$BATS_TEST_TMPDIR" "$container"/{pool,jars}
  # Class folders and jars under names that every user can read.
  local classpath='' index=0
  IFS=: read -ra parts <<<"$TOKEN_REQUEST_CLASSPATH"
  for part in "${parts[@]}"; do
    cp -rL "$part" "$container/jars/$((++index)).jar"
    classpath+=:/jars/$index.jar
  done
  chmod -R a+rX "$container/jars"
  init_container() {
    run_command unshare --mount --pid --fork --kill-child -- bash -euc '
      container=$1 java=$2 user=$3
      shift 3
      for part in usr lib lib64 bin; do [[ ! -e /$part ]] || mount --rbind "/$part" "$container/$part"; done
      mount --rbind "${java%/bin/java}" "$container/jdk"
      mkdir -p "$container/etc/java-17-openjdk"
      for part in /etc/java-* /etc/ssl /etc/crypto-policies /etc/pki; do
        [[ ! -d $part ]] || { mkdir -p "$container$part" && mount --bind "$part" "$container$part"; }
      done
      mount --rbind /dev "$container/dev"
      mount -t proc proc "$container/proc"
      exec chroot --userspec="+$user:+$user" --groups= "$container" env -i "$@"' \
      _ "$container" "$java" "$user" /jdk/bin/java -cp "${classpath#:}" tokenrequest.TokenRequest "$@"
  }
  init_container "${arguments[@]/86400/0}"
  assert_ended 6
  init_container "${arguments[@]/86400/0}"
  assert_ended 6
  touch approved
  init_container "${arguments[@]/86400/0}"
  assert_ended 0
  [[ $(starts) == 1 ]]
  kept_secret "$container/tokens/$HERE"
  [[ $(stat -c %u:%a "$container/tokens/$HERE") == "$user:600" ]]
}

# ---- node-bootstrap.sh ----

# script ARGUMENT...: `run_script`, whose record is appended to the transcript
script() {
  run_script "$@"
  append
}

# assert_script_transcript CASE: the golden is that of the transcript, but for what differs from run to run
assert_script_transcript() {
  sed -Ei 's/[0-9-]{10}T[0-9:]{8}(\.[0-9]+)?Z/<TIME>/' "$BATS_TEST_TMPDIR/transcript" # an hour from now, or what it was
  assert_transcript "$1"
}

# node_with TOKENS: what the script calls of HTCondor says that tokens are there
node_with() {
  put_on_path condor_config_val <<<"#!/bin/sh
[ \"\$*\" = SEC_TOKEN_SYSTEM_DIRECTORY ] && echo ${1@Q}"
}

@test "node-bootstrap: the token of the daemons is placed once, and each time they read their settings" {
  node_with "$PWD/tokens.d"
  pool_with --methods SSL,IDTOKENS
  script node-bootstrap.sh "$HERE" -lifetime 3600 -mode 400
  assert_status 0
  [[ $(stat -c %a tokens.d) == 700 && $(stat -c %a "tokens.d/localhost_$LOOPBACK_PORT") == 400 ]]
  script node-bootstrap.sh "$HERE" -lifetime 3600 -mode 400
  assert_status 0
  [[ $(events '^start client_id=yes identity=condor@pool\.test authz=ADVERTISE_STARTD,ADVERTISE_MASTER ') == 1 ]]
  assert_script_transcript node-bootstrap
}

@test "node-bootstrap: an expired token is replaced" {
  node_with "$PWD/tokens.d"
  pool_with --methods SSL,IDTOKENS --auto-approve --issue-lifetime -1
  run_script node-bootstrap.sh "$HERE" -quiet || :
  stop_loopback_pool
  pool_with --methods SSL,IDTOKENS --auto-approve
  mv tokens.d/localhost_* "tokens.d/localhost_$LOOPBACK_PORT"
  cp "tokens.d/localhost_$LOOPBACK_PORT" expired
  run_script node-bootstrap.sh "$HERE" -quiet
  assert_status 0
  [[ $(starts) == 1 ]]
  run ! cmp -s expired "tokens.d/localhost_$LOOPBACK_PORT"
}

@test "node-bootstrap: the token belongs to whom the daemons run as" {
  ((EUID == 0)) || skip "needs root"
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
