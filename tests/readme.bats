#!/usr/bin/env bats
# README.md: every block of it runs, every screen in it is what the command shows, and it stays short.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # settings of one test; variables of readme.bash
load trust
load command
load readme

setup_file() { :; }

setup() {
  setup_terminal
  export TERM=dumb # no line that changes while it waits: terminal.bats has it
  export _CONDOR_SEC_TOKEN_DIRECTORY=$HOME/.condor/tokens.d _CONDOR_SEC_KNOWN_HOSTS=$PWD/known_hosts
  authenticate_by SSL
  put_command_on_path
}

# site OPTION...: a pool, its CA as a file here, and no other trust
site() {
  pool_with --methods SSL,IDTOKENS "$@"
  unset _CONDOR_AUTH_SSL_CLIENT_CAFILE
  cp "$LOOPBACK_CA" pool-ca.pem
  FINGERPRINT=$(fingerprint) # for here()
}

# jbang_of_own: JBang with a home of its own, in which the public repository's name stands for this checkout
jbang_of_own() {
  local libraries=${TOKEN_REQUEST_CLASSPATH%%/info/picocli/*}
  export JBANG_REPO=${libraries##*:} JBANG_DIR=$HOME/.jbang JDK_JAVA_OPTIONS=-Duser.home=$HOME
  mkdir -p "$JBANG_DIR"
  jq -n --arg file "$(realpath "$TESTS_DIR/../jbang-catalog.json")" '{catalogs: {"OWNER/REPOSITORY": {"catalog-ref": $file}}, aliases: {}}' \
    >"$JBANG_DIR/jbang-catalog.json"
}

# ---- The page ----

@test "README.md has at most 250 lines outside of <details>" {
  local lines
  lines=$(awk '/^<details/ { hidden = 1 } !hidden { ++lines } /^<\/details>/ { hidden = 0 } END { print lines }' "$README")
  echo "$lines lines"
  ((lines > 100 && lines <= 250))
  [[ $(grep -c '^<details' "$README") == $(grep -c '^</details>$' "$README") ]]
}

@test "the first screen of README.md has at most 25 lines and everything that a first request needs" {
  local screen=$BATS_TEST_TMPDIR/screen
  sed '/^## /,$d' "$README" >"$screen"
  echo "$(wc -l <"$screen") lines"
  (($(wc -l <"$screen") <= 25))
  grep -q 'HTCondor' "$screen"
  grep -q 'JDK (17 or newer) and \[JBang\]' "$screen"
  grep -q '^jbang trust add ' "$screen"
  grep -q '^ *SHA-256: ' "$screen"
  grep -q 'condor_token_request_approve -reqid 6108900' "$screen"
  [[ $(block run start | wc -l) == 4 ]]
}

@test "every block of README.md has a mark, and every mark has a test" {
  local kind name tested
  # A block is opened by the line after its mark.
  [[ $(awk '/^```[a-z]/ && previous !~ /^<!-- (run|tasks|file|output): [a-zA-Z-]+ -->$|^<!-- help -->$/ { print NR ": " $0 } { previous = $0 }' "$README") == '' ]]
  while read -r kind name; do
    case $kind in
      run) tested="run_block(_at_terminal)? $name\b" ;;
      file | tasks) tested="block $kind $name\b" ;;
      output) tested="assert_output $name\b" ;;
      message) tested="assert_message $name\b" ;;
    esac
    grep -Eq "$tested" "$TESTS_DIR/readme.bats" || { echo "no test of $kind: $name" && return 1; }
  done < <(grep -oE '<!-- (run|tasks|file|output|message): [a-zA-Z-]+ -->' "$README" | sed -E 's/<!-- ([a-z]+): ([a-zA-Z-]+) -->/\1 \2/')
  [[ $(grep -c '<!-- message: ' "$README") == 10 ]]
  [[ $(grep -c '<!-- run: ' "$README") -ge 13 ]]
}

@test "every link of README.md within the page or the repository leads somewhere" {
  local target count=0
  while read -r target; do
    ((++count))
    case $target in
      http*) ;;
      '#'*)
        grep -q "^<details id=\"${target#\#}\">" "$README" \
          || grep -E '^#+ ' "$README" | sed -E 's/^#+ //; s/[^A-Za-z0-9 -]//g; s/ /-/g' | tr '[:upper:]' '[:lower:]' | grep -qx -- "${target#\#}" \
          || { echo "no $target" && return 1; }
        ;;
      *) [[ -e ${README%/*}/$target ]] || { echo "no $target" && return 1; } ;;
    esac
  done < <(grep -oE '\]\([^)]+\)' "$README" | sed -E 's/^\]\((.*)\)$/\1/')
  ((count >= 10))
}

# outline.bats compares the two; here it is renewed.
@test "the options of README.md are those of -help, and UPDATE_README=1 renews them" {
  command condor_token_request -help >help
  [[ $(wc -l <help) -gt 50 ]]
  if renewing; then
    awk '/^<!-- \/help -->$/ { inside = 0 }
      !inside
      /^<!-- help -->$/ { inside = 1; print "```text"; while ((getline line < "help") > 0) print line; print "```" }' "$README" >renewed
    cat renewed >"$README"
  fi
  diff help <(sed '1,/^<!-- help -->$/d; /^<!-- \/help -->$/,$d' "$README" | sed '/^```/d')
}

# ---- The first screen ----

@test "the commands of the first screen work from nothing, and the question takes a yes" {
  site
  jbang_of_own
  run_block_at_terminal start
  until_shown "$QUESTION"
  type_line yes
  at_its_end
  [[ $status == 0 ]] || { cat -v shown && return 1; }
  tr -d '\r' <shown | grep -Eqx '[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+'
  grep -q '"https://github.com/OWNER/"' "$JBANG_DIR/trusted-sources.json"
  grep -q 'The archive of classes is made: ' shown
  [[ $(find "$HOME/.cache/condor_token_request" -name '*.jsa' | wc -l) == 1 ]]
  [[ $(events '^start client_id=yes identity=alice@pool\.test authz=READ lifetime=86400') == 1 ]]
}

@test "the certificate question looks as README.md shows it" {
  site
  at_terminal -pool "$HERE" -identity alice@pool.test
  until_shown "$QUESTION"
  tr -d '\r' <shown >question
  assert_output question question
  printf '\003' >&"$KEYBOARD"
  at_its_end
}

# ---- Tasks ----

@test "README.md, a personal token: it is where HTCondor's tools look, and stderr shows what README.md shows" {
  site
  cp "$LOOPBACK_CA" trusted.pem
  export _CONDOR_AUTH_SSL_CLIENT_CAFILE=$PWD/trusted.pem
  run_block personal
  assert_ended 0
  [[ ! -s $BATS_TEST_TMPDIR/stdout && $(stat -c %a "$HOME/.condor/tokens.d/personal") == 600 ]]
  assert_token "$HOME/.condor/tokens.d/personal"
  assert_output enqueued "$BATS_TEST_TMPDIR/stderr"
}

@test "README.md, -prepare: with java -jar the archive is made and used by the same line" {
  site
  # As the user's own JDK takes the home from the password database.
  export JDK_JAVA_OPTIONS=-Duser.home=$HOME
  jbang export fatjar -O request.jar "$TESTS_DIR/../TokenRequest.java"
  run_block prepare-jar
  assert_ended 0
  grep -F "The archive of classes is made: $HOME/.cache/condor_token_request/request.jsa " "$BATS_TEST_TMPDIR/stderr"
  assert_token "$BATS_TEST_TMPDIR/stdout"
}

@test "README.md, an execute node: the token is where the daemons look, and they are told" {
  site
  mkdir -p etc/condor/tokens.d
  chmod 700 etc/condor/tokens.d
  put_on_path condor_reconfig <<<$'#!/bin/sh\necho reconfigured'
  run_block node
  assert_ended 0
  assert_token etc/condor/tokens.d/node
  grep -qx reconfigured "$BATS_TEST_TMPDIR/stdout"
  [[ $(events '^start .* identity=condor@pool\.test authz=ADVERTISE_STARTD,ADVERTISE_MASTER ') == 1 ]]
}

@test "README.md, a check: it reports without a connection" {
  site
  run_block check
  assert_ended 0
  [[ $(events ^connection) == 0 && $(<"$BATS_TEST_TMPDIR/stdout") == 'status 5' ]]
}

@test "README.md, two steps" {
  site
  run_block two-step
  assert_ended 0
  assert_token "$HOME/.condor/tokens.d/my-token"
  [[ $(stat -c %a request.json) == 600 ]]
  jq -e 'select(.event == "enqueued")' request.json
}

@test "README.md, an air-gapped machine: one jar needs nothing but Java" {
  site
  jbang_of_own
  run_block fatjar
  assert_ended 0
  assert_token "$BATS_TEST_TMPDIR/stdout"
  # Elsewhere, without JBang and its libraries.
  cp request.jar "$BATS_FILE_TMPDIR" # for the container; it takes long to build
  mkdir elsewhere
  mv request.jar elsewhere
  rm -r "$JBANG_DIR"
  (cd elsewhere && JBANG_REPO=/none java -jar request.jar -version)
}

# The stand-in for podman runs the image's command here, in an environment of its own, with the folder of -v under its
# own name: a test machine has no container engine.
@test "README.md, a container: the jar runs as the image's command, and the token is in the folder from outside" {
  site
  if ! cp "$BATS_FILE_TMPDIR/request.jar" . 2>/dev/null; then
    jbang_of_own
    jbang export fatjar -O request.jar token-request@OWNER/REPOSITORY
  fi
  block file Containerfile >Containerfile.read
  mv Containerfile.read Containerfile
  put_on_path podman <"$TESTS_DIR/support/podman.sh"
  run_block container
  assert_ended 0
  [[ -s request.jsa ]]
  assert_token token
  [[ $(stat -c %a token) == 600 ]]
}

# ---- What you ask for, trust, automation ----

@test "README.md, another daemon: the request goes to the schedd of that name" {
  site
  stop_loopback_pool
  pool_with --methods SSL --ad "Type=Scheduler;Name=submit.test;Machine=submit.test;MyAddress=<127.0.0.1:1>"
  export _CONDOR_AUTH_SSL_CLIENT_CAFILE=$LOOPBACK_CA
  run_block schedd
  assert_ended 3
  # Found by its ad; there is nothing at that address.
  [[ $(events '^lookup Scheduler .*submit\.test.* -> 1$') == 1 ]]
}

@test "README.md, trust: -cafile and -fingerprint are enough, each by itself" {
  site --auto-approve
  run_block trust
  assert_ended 0
  [[ $(wc -l <"$BATS_TEST_TMPDIR/stdout") == 2 && ! -e known_hosts ]]
}

@test "README.md, JSON: the loop prints what the administrator types, and keeps the token" {
  site
  run_block json
  assert_ended 0
  grep -q '^condor_token_request_approve -reqid 6108900' "$BATS_TEST_TMPDIR/stdout"
  assert_token token
}

@test "README.md, the configuration: the command shows a setting and where it comes from" {
  mkdir -p etc/condor
  printf '%s\n' '# the pool' 'UID_DOMAIN = example.org' 'COLLECTOR_HOST = cm.example.org' >etc/condor/condor_config
  CONDOR_CONFIG=$PWD/etc/condor/condor_config run_block config
  assert_ended 0
  assert_output config "$BATS_TEST_TMPDIR/stdout"
}

@test "README.md, completion: bash knows the options" {
  run_block completion
  assert_ended 0
  { cat "$BATS_TEST_TMPDIR/script" && echo 'complete -p condor_token_request'; } >whole
  bash -euo pipefail whole | grep -q 'condor_token_request$'
}

@test "README.md, the demo: it ends with a token" {
  cd "$TESTS_DIR/.." || return
  run_block demo
  assert_ended 0
  assert_token "$BATS_TEST_TMPDIR/stdout"
}

@test "README.md, JBang's own statuses: 1, 2, 4 and 10, each for its reason" {
  local port
  jbang_of_own
  cp "$TESTS_DIR/../TokenRequest.java" .
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.9", 0)); print(s.getsockname()[1])')
  jbang_status() {
    status=0
    "$@" </dev/null >out 2>err || status=$?
    grep -q '^\[jbang\] \[ERROR\]' err
  }
  jbang_status env JBANG_REPO="$PWD/none" JBANG_CACHE_DIR="$PWD/cache" jbang --offline TokenRequest.java -version
  assert_ended 1
  jbang_status jbang nosuch@OWNER/REPOSITORY
  assert_ended 2
  jbang_status jbang "http://127.0.0.1:$port/TokenRequest.java"
  assert_ended 4
  jbang_status jbang --offline --java 99 TokenRequest.java -version
  assert_ended 4
  # JBang trusts 127.0.0.1 by itself, but not this address.
  coproc WEB { exec python3 -u -c 'import http.server, sys
server = http.server.HTTPServer(("127.0.0.9", 0), http.server.SimpleHTTPRequestHandler)
print(server.server_port, flush=True)
server.serve_forever()' 2>/dev/null 3>&-; }
  local web=$WEB_PID
  read -r port <&"${WEB[0]}"
  jbang_status jbang "http://127.0.0.9:$port/TokenRequest.java" -version
  local refused=$status
  jbang trust add "http://127.0.0.9:$port/"
  status=0
  jbang "http://127.0.0.9:$port/TokenRequest.java" -version >out 2>err || status=$?
  kill "$web"
  [[ $refused == 10 && $status == 0 ]]
  grep -q '^TokenRequest ' out
}

# ---- Troubleshooting ----

# tool ARGUMENT...: the status and stderr of one run
tool() { run_tool "$@"; }

@test "troubleshooting: the messages about certificates are those of README.md" {
  site
  tool -pool "$HERE" -identity alice@pool.test
  assert_ended 4
  assert_message unknown-certificate '^ *SSL: '
  other_certificate
  known "localhost SSL $(certificate other.pem)"
  tool -pool "$HERE" -identity alice@pool.test
  assert_ended 4
  assert_message changed-certificate '^ *SSL: '
  site --certificate-name other.example.org
  tool -pool "$HERE" -identity alice@pool.test -cafile pool-ca.pem
  assert_ended 4
  assert_message wrong-host '^ *SSL: '
}

@test "troubleshooting: the message about methods is that of README.md" {
  pool_with --methods FS --fs-dir "$PWD"
  tool -pool "$HERE" -identity alice@pool.test
  assert_ended 4
  assert_message no-method '^ *SSL: '
}

@test "troubleshooting: the messages about hosts and daemons are those of README.md" {
  tool -pool nosuchhost.invalid
  assert_ended 3
  assert_message unknown-host nosuchhost
  tool -pool localhost:1
  assert_ended 3
  assert_message unreachable '^[^ ]'
  site --ad 'Type=Scheduler;Name=submit.test;Machine=submit.test;MyAddress=<127.0.0.1:1>'
  tool -pool "$HERE" -type schedd -name nosuchname@cm.test -cafile pool-ca.pem
  assert_ended 3
  assert_message no-daemon '^[^ ]'
}

@test "troubleshooting: the messages of requests that come to nothing are those of README.md" {
  site --refuse '44:Token requests are disabled.'
  tool -pool "$HERE" -identity alice@pool.test -authz READ -lifetime 600 -cafile pool-ca.pem
  assert_ended 1
  assert_message disabled '^[^ ].*disabled'
  site --approve-on never
  tool -pool "$HERE" -identity alice@pool.test -authz READ -lifetime 600 -cafile pool-ca.pem -timeout 1
  assert_ended 6
  assert_message not-approved '^[^ ].*not approved'
  site --forget-after 1
  tool -pool "$HERE" -identity alice@pool.test -authz READ -lifetime 600 -cafile pool-ca.pem
  assert_ended 5
  assert_message lost 'not known'
}
