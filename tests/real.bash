# shellcheck shell=bash disable=SC2034,SC2154 # variables that lib takes and sets
# What the real_*.bats share: a scenario is a function of the release, and two @tests call it, one for each pool. (bats
# 1.8 finds tests by reading the file's text, so a loop cannot make them.)
#
# Both pools can be tested at the same time, each by a run of its own, a lane: bats --filter '^stable: ', and the same
# with testing. So the name of every test begins with the release, and a test touches that pool and no other; what is done
# for a whole file is done to the pools in TOKEN_REQUEST_RELEASES.
load lib

# A call that goes on for ever, as after a request that ought to have been refused, is given up then, seconds.
ANSWERED_WITHIN=$ENDED_WITHIN
# The releases whose pools are for this run.
read -ra RELEASES <<<"${TOKEN_REQUEST_RELEASES-stable testing}"

setup() {
  [[ ${TOKEN_REQUEST_REAL-no} != no ]] || skip "${TOKEN_REQUEST_REAL_REASON-no real pool}"
  own_folders
}

teardown() {
  end_client
  let_go
}

# ---- The pool ----

# on RELEASE: takes that pool, with its CA and a token directory of the test's own as the only settings. (Root's token
# directory is the machine's, which is none of the tests' business.)
on() {
  local environment=POOL_ENV_${1^^}
  RELEASE=$1
  [[ $BATS_TEST_DESCRIPTION == "$RELEASE: "* ]] || { echo "this test's name does not begin with $RELEASE:" && return 1; }
  # shellcheck source=/dev/null
  source "${!environment:?}"
  export _CONDOR_AUTH_SSL_CLIENT_CAFILE=$POOL_CA _CONDOR_SEC_TOKEN_DIRECTORY=$HOME/made/tokens.d
  HERE=$POOL_HOST:$POOL_PORT
  administrator=() # further words for the administrator's tools
}

# pool COMMAND [ARGUMENT...]: pool.sh for the pool taken. It hands HTCondor settings on, and ours are for the client.
pool() (
  unset "${!_CONDOR_@}" CONDOR_CONFIG
  "$TESTS_DIR/pool/pool.sh" "$1" "$RELEASE" "${@:2}"
)

# every_pool COMMAND [ARGUMENT...]: to those of this run; for setup_file and teardown_file, which run even when all is
# skipped
every_pool() {
  [[ ${TOKEN_REQUEST_REAL-no} != no ]] || return 0
  for RELEASE in "${RELEASES[@]}"; do
    pool "$@" </dev/null >/dev/null 2>&1
  done
}

# signal NAME DAEMON: to the pool's daemons of that program
signal() {
  # shellcheck disable=SC2016 # for the shell in there
  pool exec sh -c 'found=; cd /proc && for pid in [0-9]*; do
    case $(readlink "$pid/exe") in */"$2") kill -"$1" "$pid" && found=yes ;; esac
  done; [ "$found" ]' sh "$1" "$2"
}

# hold DAEMON: stops it where it is, until let_go
hold() {
  held=$1
  signal STOP "$held"
}

# let_go: what is held, if anything; a test that failed may have left it so
let_go() {
  [[ -z ${held-} ]] || signal CONT "$held"
  held=
}

# allow_fs: FS may be used here. HTCondor 23 names directories without its address, which are refused by default.
allow_fs() { [[ $RELEASE != stable ]] || export _CONDOR_SEC_FS_ENFORCE_CHANNEL_BINDING=false; }

# log_in_with TOKEN: leaves the token where the client looks for some
log_in_with() {
  (umask 077 && mkdir -p "$_CONDOR_SEC_TOKEN_DIRECTORY" && printf '%s\n' "$1" >"$_CONDOR_SEC_TOKEN_DIRECTORY/login")
}

# What a rule of the pool approves: the identity that daemons have, and one of their authorizations
AUTO_APPROVED=(-identity condor@pool.test -authz ADVERTISE_STARTD -lifetime 600)
# What waits for an administrator
PENDING=(-identity alice@pool.test -authz READ -lifetime 600)

# become_alice: from here on `java` runs as the user who is alice to the pool, with a home of her own. Everything she
# needs is copied to where she may read.
become_alice() {
  local entry copies=()
  ALICE_UID=$(awk -F: '$1 == "alice" { print $3 }' "$POOL_ROOT/etc/passwd")
  OPEN=$(mktemp -d)
  chmod 755 "$OPEN"
  mkdir "$OPEN"/{jars,bin,home,work}
  IFS=: read -ra copies <<<"$TOKEN_REQUEST_CLASSPATH"
  cp "${copies[@]}" "$OPEN/jars"
  cp "$POOL_CA" "$OPEN/ca.pem"
  chmod -R a+rX "$OPEN"
  chown "$ALICE_UID" "$OPEN"/{home,work}
  TOKEN_REQUEST_CLASSPATH="$OPEN/jars/*" # for java to expand
  export HOME=$OPEN/home _CONDOR_AUTH_SSL_CLIENT_CAFILE=$OPEN/ca.pem
  unset _CONDOR_SEC_TOKEN_DIRECTORY
  entry=$(command -v java)
  cat >"$OPEN/bin/java" <<EOF
#!/bin/sh
exec setpriv --reuid=$ALICE_UID --regid=$ALICE_UID --clear-groups -- ${entry@Q} "\$@"
EOF
  chmod 755 "$OPEN/bin/java"
  PATH=$OPEN/bin:$PATH
  cd "$OPEN/work" || return
}

# ---- A client that waits ----

# await_id: sets id to the request's, when the client has said it
await_id() {
  await_line 'please approve request [0-9]{7}\.$'
  id=$(sed -nE 's/.*please approve request ([0-9]{7})\.$/\1/p' "$BATS_TEST_TMPDIR/stderr")
}

# request_and_approve ARGUMENT...: the whole story
request_and_approve() {
  start "$@"
  await_id
  client_id=$(pool list "${administrator[@]}" | jq -r --arg id "$id" '.[] | select(.RequestId == $id).ClientId')
  [[ -n $client_id ]]
  pool approve "$id" "${administrator[@]}" >/dev/null 2>&1
  await_end
}

# every_destination METHOD CIPHER USER: pending and auto-approved, to stdout and to a token file, resumed and verified
every_destination() {
  local out=$BATS_TEST_TMPDIR/stdout err=$BATS_TEST_TMPDIR/stderr
  request_and_approve -pool "$HERE" "${PENDING[@]}" -debug -verify
  assert_status 0
  assert_is_token "$out"
  assert_pending_claims "$out"
  grep -F "(D_SECURITY) Authenticated with $1 as $3" "$err"
  grep -F ", $2, for " "$err"

  request_and_approve -pool "$HERE" "${PENDING[@]}" -token pending -verify
  assert_status 0
  assert_is_token "$HOME/made/tokens.d/pending"
  rm "$HOME/made/tokens.d/pending"

  request -pool "$HERE" "${AUTO_APPROVED[@]}" -verify
  assert_status 0
  assert_is_token "$out"

  request -pool "$HERE" "${AUTO_APPROVED[@]}" -token approved
  assert_status 0
  assert_is_token "$HOME/made/tokens.d/approved"
  rm "$HOME/made/tokens.d/approved"

  request -pool "$HERE" "${PENDING[@]}" -nowait
  id=$(sed -nE 's/.*approve request ([0-9]+)\..*/\1/p' "$err")
  [[ -n $id ]]
  pool approve "$id" >/dev/null 2>&1
  request -resume "$(echo "$HOME"/.condor/pending-token-request-*-"$id"-*.json)" -file later -verify
  [[ $status == 0 ]] || { cat "$err" && return 1; }
  assert_is_token later
  rm later
}

# java_process: the number of the client's JVM, the only child of the shell around it, if it was started with AS_PROCESS
java_process() {
  local numbers
  read -ra numbers <"/proc/$client/task/$client/children"
  ((${#numbers[@]} == 1))
  echo "${numbers[0]}"
}

# ---- What has to hold ----

# assert_is_token FILE: one line that is a token, and nothing else
assert_is_token() {
  local file=$1
  [[ $(wc -l <"$file") == 1 ]]
  grep -Eqx '[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+' "$file"
}

# assert_claims FILE FILTER: the filter of jq holds for what the token says
assert_claims() {
  local payload
  payload=$(cut -d . -f 2 "$1" | tr '_-' '/+')
  while ((${#payload} % 4)); do payload+='='; done
  base64 -d <<<"$payload" | jq -e "$2"
}

assert_auto_approved_claims() {
  assert_claims "$1" '.sub == "condor@pool.test" and .scope == "condor:/ADVERTISE_STARTD" and .iss == "pool.test"
    and .exp - .iat == 600'
}

assert_pending_claims() {
  assert_claims "$1" '.sub == "alice@pool.test" and .scope == "condor:/READ" and .iss == "pool.test"
    and .exp - .iat == 600'
}

# assert_no_secrets FILE: stderr holds neither part of the token in FILE nor the client ID
assert_no_secrets() {
  local header payload signature
  IFS=. read -r header payload signature <"$1"
  # The header is the same in every token of the pool.
  [[ -n $header && -n $payload && -n $signature ]]
  ! grep -F -e "$payload" -e "$signature" ${client_id:+-e "$client_id"} "$BATS_TEST_TMPDIR/stderr"
}

# assert_pool_golden CASE: as assert_golden, for an area named after the bats file, with the settings in force before the
# command line. The golden is the same for both pools, so what tells them apart is named.
assert_pool_golden() {
  local record=$BATS_TEST_TMPDIR/record name area=${BATS_TEST_FILENAME##*/}
  for name in "${!_CONDOR_@}"; do
    printf '%s=%s\n' "$name" "${!name}"
  done | normalise >"$record.whole"
  cat "$record" >>"$record.whole"
  local rules=(
    "s|$POOL_CA|<CA>|g"                                      # below the cache
    "s/\b$POOL_HOST:($POOL_PORT|$POOL_DIRECT_PORT)\b/<POOL>/g" # the machine's name, and ports that can be chosen
    "s/\balias=$POOL_HOST\b/alias=<HOST>/g"                  # the machine's name
    "s/\b$POOL_PORT\b/<PORT>/g"                              # the same port beside an address
    "s/\bCN=$POOL_HOST\b/CN=<HOST>/g"                        # the machine's name
    's/\b([0-9a-f]{2}:){31}[0-9a-f]{2}\b/<FINGERPRINT>/g'    # each start of a pool makes a new certificate
    's/\/etc\/[^ ]+ \([0-9]+\)/<SYSTEM CAS>/g'               # how many depends on the machine, and where they are
    's/^Request [0-9]{7}\b/Request <ID>/'                    # a pool draws request IDs at random
    's/-reqid [0-9]{7}\b/-reqid <ID>/'                       # the same in the administrator's command
    's/\b[0-9-]{10}T[0-9:]{8}Z/<TIME>/g'                     # now
  )
  sed -E "${rules[@]/#/-e}" "$record.whole" >"$record"
  assert_golden "${area%.bats}/$1"
}
