#!/usr/bin/env bats
# Peers who say too much, nest too deep, or catch the tool short of memory, stack or file descriptors. Each attack stands
# beside a control.
# shellcheck disable=SC2030,SC2031,SC2034,SC2153,SC2154 # settings of one test; variables of loopback.bash
load loopback
load users

setup() {
  own_folders
  export _CONDOR_SEC_TOKEN_DIRECTORY=$HOME/tokens.d _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=false
  authenticate_by CLAIMTOBE
}

teardown() {
  stop_loopback_pool
  remove_common_folder
}

pool_of() { pool_with --methods CLAIMTOBE --token "$TOKEN" "$@"; }

# letters COUNT [TEXT]: so many times the text, "x" by default
letters() { head -c "$1" /dev/zero | sed "s/\\x0/${2-x}/g"; }

# got_token: the control's end
got_token() {
  assert_status 0
  diff "$BATS_TEST_TMPDIR/stdout" - <<<"$TOKEN"
}

# short [BYTES]: neither stdout nor stderr is longer, and no trace of Java's is in them
short() {
  local file
  for file in stdout stderr; do
    (($(stat -c %s "$BATS_TEST_TMPDIR/$file") <= ${1-4000})) || { wc -c "$BATS_TEST_TMPDIR"/std* && return 1; }
    lacks "$BATS_TEST_TMPDIR/$file" Exception java. $'\tat '
  done
}

# shown TEXT...: each is on stderr
shown() {
  local text
  for text; do grep -qF -e "$text" "$BATS_TEST_TMPDIR/stderr" || { echo "not said: $text" && cut -c1-600 "$BATS_TEST_TMPDIR/stderr" && return 1; }; done
}

# ---- Depth ----

@test "a name of 20,000 labels is no name, wherever it comes from" {
  local long
  long=$(letters 20000 a.)
  pool_of --auto-approve --ad "Type=Scheduler;Name=bad;MyAddress=<127.0.0.1:{port}?alias=$long>" \
    --ad "Type=Scheduler;Name=odd;Machine=$long;MyAddress=<127.0.0.1:{port}>" \
    --ad 'Type=Scheduler;Name=good;Machine=cm.test;MyAddress=<127.0.0.1:{port}>'
  for name in good bad odd; do
    request -pool "$HERE" -type schedd -name "$name"
    got_token
  done
  short
  # What is typed as alias is not this machine's name, so a method that does not prove the server is not offered.
  request -pool "<127.0.0.1:$LOOPBACK_PORT?alias=$long>"
  assert_status 4
  short
  request -pool "$long"
  assert_status 3
  short
  shown 'unknown host'
}

@test "an address in a saved request whose name has 20,000 labels does not overflow the stack" {
  pool_of --approve-after 0
  request -pool "$HERE" -json -nowait
  jq -c --arg long "$(letters 20000 a.)" '.address |= sub("alias=[a-z]*"; "alias=" + $long)' "$BATS_TEST_TMPDIR/stdout" >request.json
  request -resume request.json
  got_token
}

@test "settings that nest without end cost one line, and JSON says so too" {
  local nested
  export AS_PROCESS=1
  nested=$(letters 60000 '(')
  pool_of --auto-approve
  _CONDOR_ENABLE_IPV4='(((true)))' request -pool "$HERE"
  got_token
  _CONDOR_ENABLE_IPV4=$nested request -pool "$HERE" -json
  assert_status 2
  [[ $(wc -l <"$BATS_TEST_TMPDIR/stderr") == 1 && $(jq -r .code "$BATS_TEST_TMPDIR/stdout") == configuration ]]
  short
  shown '… and 60 KB more' ENABLE_IPV4
}

# ---- Length ----

@test "of a long reason 500 characters are shown, and the rest is counted" {
  pool_of --refuse '3:No.'
  request -pool "$HERE"
  assert_status 1
  shown 'DAEMON:3:No.'
  pool_of --refuse '3:Be{long}' --long 1900000
  request -pool "$HERE"
  assert_status 1
  short 1500
  shown "DAEMON:3:Be$(letters 498)… and 1.9 MB more"
  request -pool "$HERE" -json
  assert_status 1
  short 3000
  jq -e --arg start "DAEMON:3:Be$(letters 498)… and 1.9 MB more" '.message | contains($start)' "$BATS_TEST_TMPDIR/stdout"
  pool_of --refuse '3:{long}' --long 501
  request -pool "$HERE"
  shown '… and 1 B more'
  pool_of --refuse '3:{long}' --long 13000
  request -pool "$HERE"
  shown '… and 13 KB more'
}

@test "no other text of a pool is shown longer, not with -verbose, -debug or -json either" {
  local what
  for what in '--trust-domain {long}' '--remote-version {long}' '--refuse-poll 3:{long}' '--denied --trust-domain {long}' \
    '--refuse-poll 3:Request~ID~is~not~known{long}' '--request-id {long}' '--resume-code {long}' '--issuer-keys {long}' \
    '--token {long}'; do
    read -ra options <<<"$what"
    pool_of --approve-after 0 --long 300000 "${options[@]//'~'/ }"
    HARNESS=1 REQUEST_MAIN=Harness request -pool "$HERE" -identity alice@own.test -verbose -debug
    short 40000
    [[ $(awk '{ if (length > most) most = length } END { print most + 0 }' "$BATS_TEST_TMPDIR/stderr") -lt 4000 ]]
    REQUEST_MAIN=Harness request -pool "$HERE" -identity alice@own.test -verbose -json
    short 12000
  done
}

@test "of more than fifty lines of details the first fifty are shown, and the rest is counted" {
  local names
  names=$(printf 'a..%s ' {1..60})
  _CONDOR_COLLECTOR_HOST=$names request -identity alice@own.test
  assert_status 3
  [[ $(grep -c 'a\.\.' "$BATS_TEST_TMPDIR/stderr") == 50 ]]
  grep -qF '… and 10 more lines' "$BATS_TEST_TMPDIR/stderr"
}

@test "an address of 60,000 characters is not shown whole" {
  pool_of --auto-approve --ad 'Type=Scheduler;Name=good;MyAddress=<127.0.0.1:{port}>' \
    --ad 'Type=Scheduler;Name=bad;MyAddress=<127.0.0.1:1?sock={long}>' --long 60000
  request -pool "$HERE" -type schedd -name good
  got_token
  request -pool "$HERE" -type schedd -name bad
  assert_status 3
  short
  shown '… and '
  pool_of --ad 'Type=Scheduler;Name=bad;MyAddress=<127.0.0.1:1?sock={long}>' --long 900000
  request -pool "$HERE" -type schedd -name bad
  assert_status 3
  short
  shown 'listed an invalid address'
}

@test "of daemons without number, and of slots, the first are listed" {
  local ads=() i
  for ((i = 0; i < 500; i++)); do ads+=(--ad "Type=Scheduler;Name=s$i@{long};MyAddress=<127.0.0.1:$((i + 1000))>"); done
  pool_of --auto-approve "${ads[@]}" --long 2000
  request -pool "$HERE" -type schedd
  assert_status 3
  short 12000
  [[ $(wc -l <"$BATS_TEST_TMPDIR/stderr") -le 13 ]]
}

@test "a broker's reason is as short" {
  pool_of --auto-approve --broker-refuses '7:{long}' --long 1000000
  request -pool "<127.0.0.1:1?CCBID=127.0.0.1:$LOOPBACK_PORT%238&alias=localhost>"
  got_token
  request -pool "<127.0.0.1:1?CCBID=127.0.0.1:$LOOPBACK_PORT%237&alias=localhost>"
  assert_status 3
  short
}

# token_of JSON: a token with these claims
token_of() { printf 'eyJhbGciOiJIUzI1NiJ9.%s.c2ln' "$(base64 -w 0 <<<"$1" | tr '+/' '-_' | tr -d =)"; }

@test "a token with thousands of authorizations, or a long name, has few warnings" {
  local scopes token
  scopes=$(seq -f 'condor:/A%g' -s ' ' 2000)
  for claims in "{\"sub\":\"alice@own.test\",\"scope\":\"$scopes\"}" "{\"sub\":\"$(letters 30000)\",\"iss\":\"$(letters 10000)\"}"; do
    token=$(token_of "$claims")
    pool_with --methods CLAIMTOBE --token "$token" --auto-approve
    request -pool "$HERE" -identity alice@own.test -authz READ
    assert_status 0
    diff "$BATS_TEST_TMPDIR/stdout" - <<<"$token"
    (($(wc -l <"$BATS_TEST_TMPDIR/stderr") <= 14 && $(stat -c %s "$BATS_TEST_TMPDIR/stderr") < 4000))
  done
  request -pool "$HERE" -identity alice@own.test -json
  jq -e '.claims.sub | length < 600' "$BATS_TEST_TMPDIR/stdout"
}

@test "a trust domain may hold what a regular expression would take for an order" {
  authenticate_by IDTOKENS
  pool_with --methods IDTOKENS --token-for bob@pool.test --token "$TOKEN" --auto-approve
  (umask 077 && mkdir -p "$_CONDOR_SEC_TOKEN_DIRECTORY" && printf '%s\n' "$LOOPBACK_TOKEN" >"$_CONDOR_SEC_TOKEN_DIRECTORY/login")
  request -pool "$HERE" -identity alice@own.test
  got_token
  # shellcheck disable=SC2016 # a dollar sign
  pool_with --methods IDTOKENS --trust-domain 'a$b\1' --token "$TOKEN" --auto-approve
  request -pool "$HERE" -identity alice@own.test
  assert_status 4
  # shellcheck disable=SC2016 # the domain
  shown 'no token for trust domain a$b\1'
}

# ---- File descriptors, memory, parts of the program ----

# as_process [SETTING...]: from here on, the tool runs as a process, with these settings
as_process() {
  export AS_PROCESS=1
  settings=("$@")
}

# descriptors COUNT: the tool has no more; those of the tests are closed before
# shellcheck disable=SC2016 # for the shell in there
descriptors() { as_process bash -c 'for fd in /proc/$$/fd/*; do fd=${fd##*/}; ((fd < 3)) || eval "exec $fd>&-"; done; ulimit -n "$0"; exec "$@"' "$1"; }

# one_line: stderr is that, with no trace of Java's; the exit status is 1
# (Java 21 and later log how a program ends, and add a line if they cannot.)
one_line() {
  assert_status 1
  sed -i '/^Runtime.exit(1) logging failed: /d' "$BATS_TEST_TMPDIR/stderr"
  short
  [[ $(wc -l <"$BATS_TEST_TMPDIR/stderr") == 1 ]] || { cat "$BATS_TEST_TMPDIR/stderr" && return 1; }
}

@test "with too few file descriptors it says so in one line, or does its work; nothing is lost" {
  local count method failed=0 issued
  pool_with --methods SSL,CLAIMTOBE --token "$TOKEN" --auto-approve
  for method in SSL CLAIMTOBE; do
    authenticate_by "$method"
    descriptors 64
    request -pool "$HERE" -identity alice@own.test -file token
    assert_status 0
    rm token
    for count in 8 10 12 14 15 16 17 18 19 20 21 22 24; do
      descriptors "$count"
      issued=$(events ^issued)
      request -pool "$HERE" -identity alice@own.test -file token -json
      if [[ $(events ^issued) != "$issued" ]]; then
        diff token - <<<"$TOKEN" # in whichever state the rest is
        rm token
      else
        ((++failed))
        if ((status == 2)); then
          # Noticed where the token is to go, or at a file that is read before.
          shown 'Too many open files'
          continue
        fi
        # A warning of the same cause may come first: that a request could not be saved.
        sed -i '/^WARNING: the request cannot be saved, .*: Too many open files/d' "$BATS_TEST_TMPDIR/stderr"
        one_line
        shown 'limit of open files'
        [[ ! -s $BATS_TEST_TMPDIR/stdout || $(jq -r .code "$BATS_TEST_TMPDIR/stdout") == internal ]]
      fi
    done
  done
  ((failed > 0))
}

@test "with too little memory it says so in one line" {
  local memory failed=0
  pool_of --refuse '3:{long}' --long 3900000
  as_process
  TOKEN_REQUEST_JAVA_OPTIONS=$(runtime_options) request -pool "$HERE" -identity alice@own.test
  assert_status 1
  shown '… and 3.9 MB more'
  for memory in 4 6 8 12 16; do
    TOKEN_REQUEST_JAVA_OPTIONS+=" -Xmx${memory}m" request -pool "$HERE" -identity alice@own.test -json
    grep -qF '… and 3.9 MB more' "$BATS_TEST_TMPDIR/stderr" && continue
    ((++failed))
    one_line
    shown -Xmx
  done
  ((failed > 0))
}

@test "the line names what ran out, though another thread met it first" {
  diff - <(java -cp "$TOKEN_REQUEST_CLASSPATH" tokenrequest.ShowCrash) <<'END'
OutOfMemoryError: Internal error: Java ran out of memory. Give it more with -Xmx.
StackOverflowError: Internal error: Java ran out of stack space. Give it more with -Xss.
the other thread: Internal error: Java ran out of memory. Give it more with -Xmx.
memory, in a class that another thread initialized: Internal error: Java ran out of memory. Give it more with -Xmx.
the other thread: Internal error: Java ran out of stack space. Give it more with -Xss.
stack, in a class that another thread initialized: Internal error: Java ran out of stack space. Give it more with -Xss.
OutOfMemoryError as a cause: Internal error: Java ran out of memory. Give it more with -Xmx.
no thread: Internal error: Java cannot start a thread. Check the limit of processes (ulimit -u).
no class: Internal error: Java cannot load a class. Check the limit of open files (ulimit -n) and the memory (-Xmx).
no descriptor: Internal error: Java cannot load a class. Check the limit of open files (ulimit -n) and the memory (-Xmx).
anything else: Internal error: this is a bug in the program.
END
}

@test "with too few threads it says so in one line, or does its work; nothing is lost" {
  local count failed=0 issued options user
  # The system counts the threads of a user, so this one has no others.
  VICTIM=$((100000 + BASHPID))
  as_victim=(setpriv --reuid="$VICTIM" --regid="$VICTIM" --clear-groups --)
  common_folder
  install -d -o "$VICTIM" -g "$VICTIM" -m 700 "$COMMON/home"
  pool_of --auto-approve
  as_process
  as_user_victim
  user=("${settings[@]}")
  export _CONDOR_SEC_CLAIMTOBE_USER=victim
  options=$(runtime_options)
  export TOKEN_REQUEST_JAVA_OPTIONS=${options%% -XX:SharedArchiveFile*}
  for ((count = 8; count < 28; count++)); do
    settings=("${user[@]}" prlimit --nproc="$count")
    issued=$(events ^issued)
    rm -f home/token
    run_tool -pool "$HERE" -identity alice@own.test -file home/token -json
    [[ $(events ^issued) == "$issued" ]] || diff home/token - <<<"$TOKEN"
    [[ $status != 0 ]] || continue
    # Java itself needs some, before the program begins.
    if grep -qE 'initialization of VM|JNI error' "$BATS_TEST_TMPDIR"/std{out,err}; then continue; fi
    ((++failed))
    one_line
    shown 'limit of processes'
    [[ $(jq -r .code "$BATS_TEST_TMPDIR/stdout") == internal ]]
  done
  ((failed > 0))
  diff home/token - <<<"$TOKEN"
}

# runtime_options: those of the program's header, with which jbang runs it; the README names the same
runtime_options() { sed -n 's,^//RUNTIME_OPTIONS \(-.*\),\1,p' "$TESTS_DIR/../TokenRequest.java" | paste -sd ' '; }

@test "the memory that the program's own options allow is enough for the largest answers of a pool" {
  local options
  as_process
  for options in '--more-attributes 9980' '--remote-version {long} --long 900000' "--issuer-keys {long} --long 900000"; do
    read -ra options <<<"$options --approve-after 1"
    pool_of "${options[@]}"
    TOKEN_REQUEST_JAVA_OPTIONS=$(runtime_options) request -pool "$HERE" -identity alice@own.test
    got_token
  done
  # The control: the pool does send as much as the limit allows, and what exceeds it is an error of the pool.
  pool_of --more-attributes 9999
  TOKEN_REQUEST_JAVA_OPTIONS=$(runtime_options) request -pool "$HERE" -identity alice@own.test
  assert_status 4
  shown 'where 0 to 10000 is allowed'
  short
}

@test "the memory that the program's own options allow is enough for ten times the system's CAs, and for a refusal of 3.9 MB" {
  local i bundle
  for bundle in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do
    [[ -r $bundle ]] && break
  done
  [[ -r $bundle ]] || skip 'this machine has no bundle of CAs'
  pool_with --methods SSL --token "$TOKEN" --approve-after 1 --refuse '3:{long}' --long 3900000
  for ((i = 0; i < 10; i++)); do cat "$bundle"; done >many.pem
  cat "$LOOPBACK_CA" >>many.pem
  authenticate_by SSL
  unset _CONDOR_AUTH_SSL_CLIENT_CAFILE
  as_process
  TOKEN_REQUEST_JAVA_OPTIONS=$(runtime_options) request -pool "$HERE" -identity alice@own.test -cafile many.pem
  assert_status 1
  shown '… and 3.9 MB more'
}

@test "with a small stack it does its work, or says so in one line" {
  local stack
  pool_with --methods SSL --token "$TOKEN" --auto-approve
  authenticate_by SSL
  as_process
  for stack in 180 220 260 320 512; do
    TOKEN_REQUEST_JAVA_OPTIONS+=" -Xss${stack}k" request -pool "$HERE" -identity alice@own.test
    [[ $status == 0 ]] || one_line
  done
  got_token
}

# without NAME: the class path lacks these packages, as if there were no descriptor left to open them
without() { tr ':' '\n' <<<"$TOKEN_REQUEST_CLASSPATH" | grep -v "$1" | paste -sd :; }

@test "a token that has come is saved though the program cannot go on" {
  local saved
  pool_of --auto-approve
  as_process
  request -pool "$HERE" -identity alice@own.test -file token
  assert_status 0
  diff token - <<<"$TOKEN"
  rm token
  TOKEN_REQUEST_CLASSPATH=$(without jjwt) request -pool "$HERE" -identity alice@own.test -file token
  [[ $(events ^issued) == 2 ]]
  short
  saved=$(find "$PWD" "$HOME" -name 'rescued-token-*' -o -name token)
  diff "$saved" - <<<"$TOKEN"
  [[ $(stat -c %a "$saved") == 600 ]]
  [[ $saved == */token ]] || shown "$saved"
}

@test "a part of the program that is missing is said in one line, before anything is asked" {
  pool_of --auto-approve
  as_process
  request -pool "$HERE" -json
  assert_status 0
  TOKEN_REQUEST_CLASSPATH=$(without jackson) request -pool "$HERE" -json
  one_line
  TOKEN_REQUEST_CLASSPATH=$(without picocli) request -help
  one_line
  [[ $(events ^issued) == 1 ]]
}

# ---- Addresses and names as typed or configured ----

@test "an address of 200,000 colons, dots or brackets simply ends" {
  local text
  for text in : . '[' '<' a: 1.; do
    printf 'COLLECTOR_HOST = %s\n' "$(letters 200000 "$text")" >many
    CONDOR_CONFIG=$PWD/many ask
    ((status == 2 || status == 3)) || { cut -c1-300 "$BATS_TEST_TMPDIR/stderr" && return 1; }
    short
  done
  pool_of
  ask -pool "$HERE"
  got_token
}

@test "no control, format or separator character of a typed text reaches the terminal, and no half of a character" {
  local characters=$'\x1b\u009b\u200e\u202e\u2028\u2029\ufeff\U000e0001'
  ask -pool "<$characters>"
  assert_status 3
  shown 'unknown host ????????'
  # The text is cut in the middle of a character of two halves.
  ask -pool "<$(letters 499)"$'\U0001f600\U0001f600>'
  assert_status 3
  shown "$(letters 499)… and 4 B more"
  lacks "$BATS_TEST_TMPDIR/stderr" '?'
}

@test "a text that cannot be a path is an error of its option or setting" {
  AS_PROCESS=1 LC_ALL=C ask -pool localhost:1 -file 'zoë'
  assert_status 2
  shown 'the value of -file' LC_ALL=C.UTF-8
  short
  unset _CONDOR_SEC_TOKEN_DIRECTORY
  printf 'SEC_TOKEN_DIRECTORY = /tmp/zoë\nCOLLECTOR_HOST = localhost:1\n' >odd
  AS_PROCESS=1 LC_ALL=C CONDOR_CONFIG=$PWD/odd ask -token mine
  assert_status 2
  shown '(SEC_TOKEN_DIRECTORY) is not a file name' LC_ALL=C.UTF-8
  short
}
