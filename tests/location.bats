#!/usr/bin/env bats
# Where the daemon is that is asked: lists of collectors, address files of this machine, the collector's list of daemons,
# and which of several addresses is used. What the pool heard is in the lines below "--- pool".
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153 # no variables; settings of one test; variables of loopback.bash
load events

# One pool, which approves at once, and knows a few daemons. All of them are itself; the endpoint says which was meant.
setup_file() {
  local at='MyAddress=<127.0.0.1:{port}?alias=localhost'
  pool_with --methods CLAIMTOBE --auto-approve --token "$TOKEN" \
    --ad "Type=Scheduler;Name=s1@cm.test;Machine=cm.test;$at&sock=s1>" \
    --ad "Type=Scheduler;Name=s2@cm.test;Machine=cm.test;$at&sock=s2>" \
    --ad "Type=Scheduler;Name=submit.test;Machine=submit.test;$at&sock=submit>" \
    --ad "Type=Negotiator;Name=negotiator1;Machine=cm.test;$at&sock=negotiator>" \
    --ad "Type=DaemonMaster;Name=node;Machine=node;MyAddress=<127.0.0.1:{port}?sock=master>" \
    --ad "Type=Machine;Name=slot1@node.test;Machine=node.test;$at&sock=startd>" \
    --ad "Type=Machine;Name=slot2_1@node.test;Machine=node.test;$at&sock=startd>" \
    --ad "Type=CredD;Name=credd;Machine=cm.test;MyAddress=nonsense"
}

setup() {
  own_folders
  export _CONDOR_SEC_TOKEN_DIRECTORY=$HOME/tokens.d _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=false
  export REQUEST_MAIN=Harness # this machine is client.example
  authenticate_by CLAIMTOBE
}

# other_pool OPTION...: one more pool, beside the file's; sets THERE
other_pool() {
  start_pool "$BATS_TEST_TMPDIR/other-$((++others))" "$@"
  THERE=localhost:$LOOPBACK_PORT
}
others=0

# pool_of OPTION...: a pool of the test's own, in place of the file's
pool_of() { pool_with --methods CLAIMTOBE --auto-approve --token "$TOKEN" "$@"; }

# asked_of LIST ARGUMENT...: asks for a token with this list of collectors
asked_of() { with "_CONDOR_COLLECTOR_HOST=$1" -- -identity alice@own.test "${@:2}"; }

# ---- Collectors ----

@test "a collector behind the one that is used is not reported as skipped" {
  asked_of "$HERE, nowhere.invalid"
  assert_status 0
  lacks "$BATS_TEST_TMPDIR/stderr" 'Skipped' nowhere.invalid
  asked_of "nowhere.invalid, $HERE"
  assert_status 0
  grep -Fx 'Skipped: unknown host nowhere.invalid' "$BATS_TEST_TMPDIR/stderr"
  asked_of '127.0.0.1:1, nowhere.invalid'
  assert_status 3
  grep -F 'Skipped: unknown host nowhere.invalid' "$BATS_TEST_TMPDIR/stderr"
}

@test "of a list of collectors the first that can be used is asked, and the others are named" {
  pool_lines=^start
  asked_of "127.0.0.1:1, nowhere.invalid $HERE"
  assert_status 0
  other_pool --methods CLAIMTOBE --close-on-policy
  asked_of "$THERE,$HERE"
  assert_status 0
  other_pool --methods FS
  asked_of "$THERE,$HERE"
  assert_status 0
  asked_of "$HERE,$THERE"
  assert_transcript first-usable
}

@test "-quiet hides skipped collectors" {
  asked_of "127.0.0.1:1, nowhere.invalid, $HERE" -quiet
  assert_status 0
  [[ ! -s $BATS_TEST_TMPDIR/stderr ]]
}

@test "where every collector fails, every failure is told, and the last one decides" {
  other_pool --methods FS
  asked_of "127.0.0.1:1,$THERE,127.0.0.1:2"
  assert_status 3
  asked_of "127.0.0.1:1,$THERE"
  assert_status 4
  asked_of "nowhere.invalid,nowhere.else.invalid"
  assert_status 3
  assert_transcript none-usable
}

@test "who refuses, or breaks the protocol, speaks for all" {
  local options before
  before=$(events ^connection)
  for options in '--refuse 3:No.' --denied; do
    # shellcheck disable=SC2086
    other_pool --methods CLAIMTOBE $options
    asked_of "$THERE,$HERE"
    assert_status 1
  done
  other_pool --methods CLAIMTOBE --fault bad-point
  asked_of "$THERE,$HERE"
  assert_status 4
  [[ $(events ^connection) == "$before" ]]
}

@test "a daemon is looked up at the first collector that can be used" {
  pool_lines='^(lookup|shared-port|start)'
  asked_of "127.0.0.1:1,$HERE" -type schedd -name s1@cm.test
  assert_status 0
  asked_of "127.0.0.1:1" -type schedd -name s1@cm.test
  assert_status 3
  # One that does not know it is skipped, too.
  other_pool --methods CLAIMTOBE
  asked_of "$THERE,$HERE" -type schedd -name s1@cm.test
  assert_status 0
  other_pool --methods CLAIMTOBE --ad 'Type=Scheduler;Name=a@cm.test;MyAddress=<127.0.0.1:1>' \
    --ad 'Type=Scheduler;Name=b@cm.test;MyAddress=<127.0.0.1:2>'
  asked_of "$THERE,$HERE" -type schedd -name s1@cm.test
  assert_status 0
  assert_transcript looked-up
}

@test "CONDOR_VIEW_HOST is the view collector, and the other names of a pool count in their order" {
  pool_lines=^start
  with "_CONDOR_CONDOR_VIEW_HOST=$HERE" "_CONDOR_COLLECTOR_HOST=127.0.0.1:1" -- -type view_collector -identity alice@own.test
  assert_status 0
  with "_CONDOR_COLLECTOR_HOST=$HERE" -- -type view_collector -identity alice@own.test
  assert_status 0
  with "_CONDOR_CONDOR_VIEW_HOST=127.0.0.1:1" -- -type view_collector -pool "$HERE" -identity alice@own.test
  assert_status 0
  with "_CONDOR_CONDOR_VIEW_HOST=127.0.0.1:1" -- -pool "$HERE" -identity alice@own.test
  assert_status 0
  with "_CONDOR_COLLECTOR_IP_ADDR=$HERE" _CONDOR_CM_IP_ADDR=127.0.0.1:1 -- -identity alice@own.test
  assert_status 0
  with "_CONDOR_CM_IP_ADDR=$HERE" -- -identity alice@own.test
  assert_status 0
  with _CONDOR_COLLECTOR_HOST=127.0.0.1:1 "_CONDOR_COLLECTOR_IP_ADDR=$HERE" -- -identity alice@own.test
  assert_status 3
}

@test "a collector at port 0 has written its address into a file" {
  pool_lines='^(shared-port|start)'
  printf '%s\n' "<127.0.0.1:$LOOPBACK_PORT?sock=by_file>" '$CondorVersion: 25.14.1 $' >address
  export _CONDOR_COLLECTOR_ADDRESS_FILE=$PWD/address
  asked_of client.example:0
  assert_status 0
  asked_of "127.0.0.1:0"
  assert_status 0
  ask -pool 127.0.0.1:0 -identity alice@own.test
  assert_status 0
  rm address
  asked_of client.example:0
  [[ $status != 0 ]]
  assert_transcript port-0
}

# ---- Daemons of this machine ----

# own_schedd ARGUMENT...: asks the schedd; which one answered is on stdout of this
own_schedd() {
  local seen
  seen=$(wc -l <"$LOOPBACK_LOG")
  request -type schedd -identity alice@own.test "$@"
  tail -n "+$((seen + 1))" "$LOOPBACK_LOG" | sed -n 's/^shared-port //p'
}

# answers ENDPOINT ARGUMENT...: it is the one that answers
answers() { diff <(own_schedd "${@:2}") - <<<"$1"; }

# address_files: the schedd's three, each with an endpoint of its own
address_files() {
  export _CONDOR_SCHEDD_SUPER_ADDRESS_FILE=$PWD/super _CONDOR_SCHEDD_DAEMON_AD_FILE=$PWD/ad
  export _CONDOR_SCHEDD_ADDRESS_FILE=$PWD/address
  echo "<127.0.0.1:$LOOPBACK_PORT?sock=super>" >super
  printf '%s\n' 'Name = "s1@cm.test"' "MyAddress = \"<127.0.0.1:$LOOPBACK_PORT?sock=ad>\"" 'MyType = "Scheduler"' >ad
  printf '%s\n' "<127.0.0.1:$LOOPBACK_PORT?sock=address>" '$CondorVersion: 25.14.1 $' '$CondorPlatform: x $' >address
  export _CONDOR_COLLECTOR_HOST=$HERE
}

@test "a daemon of this machine is found by its files, without the collector" {
  local lookups
  address_files
  lookups=$(events ^lookup)
  [[ $(id -u) != 0 ]] || answers super
  export _CONDOR_USE_SUPER_PORT=true
  answers super
  rm super
  answers ad
  rm ad
  answers address
  answers address -name client.example
  export _CONDOR_SCHEDD_NAME=second
  answers address -name second@client.example
  export _CONDOR_SCHEDD_NAME=s1@cm.test
  answers address -name S1@CM.test
  [[ $(events ^lookup) == "$lookups" ]]
}

@test "the super port is root's, unless it is switched on" {
  [[ $(id -u) != 0 ]] || unshare --user --map-user=1000 true 2>/dev/null || skip 'only root is to be had here'
  [[ $(id -u) != 0 ]] || settings=(unshare --user --map-user=1000)
  address_files
  answers ad
  export _CONDOR_USE_SUPER_PORT=true
  answers super
}

@test "a file without an address, another name or -pool leave it to the collector" {
  address_files
  rm super ad
  answers s2 -name s2@cm.test
  answers s1 -name s1@cm.test -pool "$HERE"
  local content
  for content in '' nonsense '<unclosed' '<127.0.0.1:99999999?sock=address>' "# <127.0.0.1:$LOOPBACK_PORT?sock=address>"; do
    echo "$content" >address
    _CONDOR_SCHEDD_NAME=submit.test@x _CONDOR_SCHEDD_HOST=submit.test answers submit
  done
  unset _CONDOR_SCHEDD_ADDRESS_FILE
  _CONDOR_SCHEDD_NAME=s2@cm.test answers s2
}

@test "SCHEDD_HOST names the schedd, and DEFAULT_DOMAIN_NAME makes a short name full" {
  export _CONDOR_COLLECTOR_HOST=$HERE
  _CONDOR_SCHEDD_HOST=s1@cm.test answers s1
  _CONDOR_SCHEDD_HOST="<127.0.0.1:$LOOPBACK_PORT?sock=direct>" answers direct
  _CONDOR_SCHEDD_HOST=submit _CONDOR_DEFAULT_DOMAIN_NAME=test answers submit
  _CONDOR_DEFAULT_DOMAIN_NAME=.test answers submit -name submit
  _CONDOR_DEFAULT_DOMAIN_NAME='test' answers s2 -name s2@cm.test
  _CONDOR_SCHEDD_HOST=127.0.0.1:1 answers submit -name submit.test
  # It is not about other pools.
  _CONDOR_SCHEDD_HOST=127.0.0.1:1 own_schedd -pool "$HERE"
  assert_status 3
  grep -q 'Several daemons match' "$BATS_TEST_TMPDIR/stderr"
}

# ---- The collector's list ----

@test "the collector is asked for the exact name first, as the original does, and then for more" {
  pool_lines='^(lookup|shared-port)'
  export _CONDOR_COLLECTOR_HOST=127.0.0.1:$LOOPBACK_PORT # localhost may have a second address, which the debug lines show
  ask -type schedd -name s1@cm.test -identity alice@own.test -debug:D_HOSTNAME
  assert_status 0
  ask -type schedd -name S1@CM.TEST -identity alice@own.test
  assert_status 0
  ask -type startd -name node.test -identity alice@own.test
  assert_status 0
  ask -type startd -name slot2_1@node.test -identity alice@own.test
  assert_status 0
  ask -type master -name node -identity alice@own.test
  assert_status 0
  ask -type schedd -name 'a"b\c' -identity alice@own.test
  assert_status 3
  assert_transcript queries
}

@test "the only one of a type needs no name; the user hears which it is" {
  pool_lines='^(lookup|shared-port)'
  ask -pool "$HERE" -type negotiator -identity alice@own.test
  assert_status 0
  with "_CONDOR_COLLECTOR_HOST=$HERE" -- -type negotiator -identity alice@own.test
  assert_status 0
  ask -pool "$HERE" -type startd -identity alice@own.test
  assert_status 0
  ask -pool "$HERE" -type schedd -name submit.test -identity alice@own.test
  assert_status 0
  assert_transcript only-one
}

@test "each type of daemon has a command and a type of ad of its own" {
  local pair
  for pair in startd:Machine schedd:Scheduler master:DaemonMaster negotiator:Negotiator had:HAD credd:CredD placementd:PlacementD; do
    pool_of --ad "Type=${pair#*:};Name=d@cm.test;Machine=cm.test;MyAddress=<127.0.0.1:{port}>"
    request -pool "$HERE" -type "${pair%:*}" -name d@cm.test -identity alice@own.test
    assert_status 0
    [[ $(events "^lookup ${pair#*:} .* -> 1") == 1 ]]
  done
}

@test "a quote in the name of a daemon stays a part of the name" {
  pool_of --ad 'Type=Scheduler;Name=s@cm.test;Machine=cm.test;MyAddress=<127.0.0.1:{port}>'
  request -pool "$HERE" -type schedd -name 'x" || true || "@cm.test' -identity alice@own.test
  assert_status 3
  [[ $(events '^lookup .* -> [1-9]') == 1 ]] # that for the list of those that there are
  [[ $(events ^start) == 0 ]]
}

@test "several, unknown and unusable daemons are listed" {
  local before
  before=$(events ^start)
  ask -pool "$HERE" -type schedd
  assert_status 3
  ask -pool "$HERE" -type schedd -name cm.test
  assert_status 3
  ask -pool "$HERE" -type schedd -name nobody@cm.test
  assert_status 3
  ask -pool "$HERE" -type had -name nobody
  assert_status 3
  ask -pool "$HERE" -type had
  assert_status 3
  ask -pool "$HERE" -type credd
  assert_status 3
  [[ $(events ^start) == "$before" ]]
  assert_transcript listed
}

# ---- Addresses ----

@test "of a list of addresses those are used that are switched on, IPv4 first" {
  local list="addrs=[--1]-1+127.0.0.1-$LOOPBACK_PORT"
  ask -pool "<192.0.2.1:1?$list>" -identity alice@own.test -debug:D_HOSTNAME
  assert_status 0
  with _CONDOR_ENABLE_IPV6=false -- -pool "<192.0.2.1:1?$list>" -identity alice@own.test -debug:D_HOSTNAME
  assert_status 0
  with _CONDOR_PREFER_IPV4=false -- -pool "<192.0.2.1:1?$list>" -identity alice@own.test -debug:D_HOSTNAME
  assert_status 0 # by the second
  with _CONDOR_ENABLE_IPV4=false -- -pool "127.0.0.1:$LOOPBACK_PORT"
  assert_status 3
  with _CONDOR_ENABLE_IPV6=false -- -pool "[::1]:9618"
  assert_status 3
  with _CONDOR_ENABLE_IPV4=auto _CONDOR_ENABLE_IPV6=FALSE -- -pool "$HERE" -identity alice@own.test
  assert_status 0
  with _CONDOR_ENABLE_IPV4=false _CONDOR_ENABLE_IPV6=false -- -pool "$HERE"
  assert_status 2
  assert_transcript families
  with _CONDOR_ENABLE_IPV4=false -- -pool "<192.0.2.1:1?$list>"
  assert_status 3 # by the first alone
}

@test "within the daemon's private network its private address is used" {
  pool_lines='^(shared-port|broker|start)'
  local public="127.0.0.1:1" broker="CCBID=127.0.0.1:1%237" private="%3c127.0.0.1:$LOOPBACK_PORT%3fsock=private%3e"
  export _CONDOR_PRIVATE_NETWORK_NAME=ours
  ask -pool "<$public?PrivNet=ours&PrivAddr=$private&$broker&alias=localhost>" -identity alice@own.test
  assert_status 0
  ask -pool "<$public?PrivNet=ours&PrivAddr=127.0.0.1:$LOOPBACK_PORT>" -identity alice@own.test
  assert_status 0
  ask -pool "<127.0.0.1:$LOOPBACK_PORT?PrivNet=ours&$broker>" -identity alice@own.test
  assert_status 0
  ask -pool "<127.0.0.1:$LOOPBACK_PORT?PrivNet=ours&PrivAddr=nonsense>" -identity alice@own.test
  assert_status 0
  # In another network, it is no help.
  ask -pool "<127.0.0.1:$LOOPBACK_PORT?PrivNet=theirs&PrivAddr=127.0.0.1:2>" -identity alice@own.test
  assert_status 0
  ask -pool "<127.0.0.1:$LOOPBACK_PORT?PrivNet=theirs&PrivAddr=127.0.0.1:2&$broker>" -identity alice@own.test
  assert_status 3
  assert_transcript private-network
}
