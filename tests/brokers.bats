#!/usr/bin/env bats
# Daemons that accept no connections: their broker makes them connect back. The embedded pool is both broker and daemon.
# The lines below "--- pool" are its log.
# shellcheck disable=SC2030,SC2031,SC2034,SC2153 # settings of one test; variables of loopback.bash
load events

setup() {
  own_folders
  export _CONDOR_SEC_TOKEN_DIRECTORY=$HOME/tokens.d _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=false
  authenticate_by CLAIMTOBE
  pool_lines='^(policy|broker|caller|dropped|shared-port|start|poll|resumed)'
}

pool_of() { pool_with --methods CLAIMTOBE --token "$TOKEN" --auto-approve "$@"; }

# behind BROKERS [PARAMETER]: the address of a daemon that is reached through these; nothing takes connections there
behind() { printf '<127.0.0.1:1?CCBID=%s&alias=localhost%s>' "${1//#/%23}" "${2-}"; }

# asked_behind BROKERS ARGUMENT...: asks such a daemon for a token
asked_behind() { ask -pool "$(behind "$1")" -identity alice@own.test "${@:2}"; }

# hide_ports: those on which we listen are the system's choice; the transcript has them in the pool's lines
hide_ports() { sed -i -E 's/^(broker [0-9]+ <[^:]+):[0-9]+>/\1:<LISTENING>>/' "$BATS_TEST_TMPDIR/transcript"; }

@test "a daemon behind a broker connects back, and the request succeeds" {
  pool_of
  asked_behind "127.0.0.1:$LOOPBACK_PORT#7"
  assert_status 0
  ask -pool "$(behind "127.0.0.1:$LOOPBACK_PORT#7" '&sock=schedd_1')" -identity alice@own.test
  assert_status 0
  hide_ports
  assert_transcript called-back
}

@test "a daemon that the collector lists with a broker is reached through that broker" {
  local address='<127.0.0.1:1?CCBID=127.0.0.1:{port}#42&sock=s1&PrivNet=cm.test>'
  pool_of --ad "Type=Scheduler;Name=s1@cm.test;Machine=cm.test;MyAddress=$address"
  ask -pool "$HERE" -type schedd -name s1@cm.test -identity alice@own.test
  assert_status 0
  hide_ports
  assert_transcript looked-up
}

@test "over SSL the certificates of the broker and of the daemon are checked" {
  local broker
  authenticate_by SSL
  pool_with --methods SSL --token "$TOKEN" --auto-approve
  broker=127.0.0.1:$LOOPBACK_PORT
  asked_behind "$broker%3falias=localhost#7"
  assert_status 0
  [[ $(events '^authenticated SSL bound') == 2 ]]
  asked_behind "$broker#7"
  assert_status 4
  ask -pool "<127.0.0.1:1?CCBID=$broker%3falias=localhost%237&alias=elsewhere>"
  assert_status 4
  hide_ports
  assert_transcript certificates
}

@test "each poll goes through the broker, also after -resume" {
  export REQUEST_MAIN=Harness
  pool_with --methods CLAIMTOBE --token "$TOKEN" --approve-after 2
  asked_behind "127.0.0.1:$LOOPBACK_PORT#7"
  assert_status 0
  [[ $(events ^broker) == 4 && $(events ^poll) == 3 && $(events '^caller daemon') == 4 ]]
  [[ $(events ^policy) == 2 ]] # one login at each, then resumptions
  request -pool "$(behind "127.0.0.1:$LOOPBACK_PORT#7")" -json -nowait
  cp "$BATS_TEST_TMPDIR/stdout" request.json
  [[ $(jq -r .address request.json) == "$(behind "127.0.0.1:$LOOPBACK_PORT#7" | sed 's/%23/#/')" ]]
  request -resume request.json
  assert_status 0
  [[ $(events ^broker) == 6 && $(events ^poll) == 4 ]]
}

# ---- Who calls ----

@test "connections from anything but the daemon are dropped, whatever they send" {
  pool_of --callers stranger,other-protocol,daemon
  asked_behind "127.0.0.1:$LOOPBACK_PORT#7"
  assert_status 0
  hide_ports
  assert_transcript strangers
}

@test "a caller with another command is not the daemon, though it knows the secret" {
  pool_of --callers other-command,daemon
  asked_behind "127.0.0.1:$LOOPBACK_PORT#7"
  assert_status 0
  [[ $(events ^dropped) == 1 && $(events '^caller daemon') == 1 ]]
}

@test "the port for the connection back is open on the address that leads to the broker, and on no other" {
  pool_of --callers elsewhere,daemon
  asked_behind "127.0.0.1:$LOOPBACK_PORT#7"
  assert_status 0
  export _CONDOR_IN_LOWPORT=$LOOPBACK_PORT _CONDOR_IN_HIGHPORT=$((LOOPBACK_PORT + 50))
  asked_behind "127.0.0.1:$LOOPBACK_PORT#7"
  assert_status 0
  [[ $(events '^caller elsewhere is refused') == 2 && $(events '^caller elsewhere connects') == 0 ]]
}

@test "a connection that sends nothing is dropped after a timeout" {
  pool_of --callers mute,daemon
  asked_behind "127.0.0.1:$LOOPBACK_PORT#7"
  assert_status 0
  [[ $(events ^dropped) == 1 ]]
}

@test "-debug does not print the secret that identifies the daemon" {
  pool_of --callers stranger,daemon
  request -pool "$(behind "127.0.0.1:$LOOPBACK_PORT#7")" -identity alice@own.test -debug
  assert_status 0
  grep -q 'Asking the CCB server of' "$BATS_TEST_TMPDIR/stderr"
  run grep -E '\b[0-9a-f]{40}\b' "$BATS_TEST_TMPDIR/stderr"
  ((status == 1))
}

# ---- Brokers that do not help ----

@test "a broker's refusal is shown with its reason, without control characters" {
  pool_of --broker-refuses $'7:CCB server rejecting request for ccbid 7 because\e[2J no daemon\nis registered\u202e.'
  asked_behind "127.0.0.1:$LOOPBACK_PORT#7"
  assert_status 3
  hide_ports
  assert_transcript refused
  [[ $(tr -d '[:print:]\n' <"$BATS_TEST_TMPDIR/stderr" | wc -c) == 0 && $(events ^start) == 0 ]]
}

@test "a broker that closes the connection ends the wait at once" {
  pool_of --broker-closes
  asked_behind "127.0.0.1:$LOOPBACK_PORT#7"
  assert_status 3
  grep -F 'closed the connection before it sent its answer to the request for a connection' "$BATS_TEST_TMPDIR/stderr"
}

@test "each of several brokers is tried" {
  local two="127.0.0.1:1#6%20127.0.0.1:"
  pool_of --broker-refuses 7:No.
  two+=$LOOPBACK_PORT
  asked_behind "$two#8"
  assert_status 0
  asked_behind "127.0.0.1:$LOOPBACK_PORT#7%20127.0.0.1:$LOOPBACK_PORT#8"
  assert_status 0
  asked_behind "$two#7"
  assert_status 3
  hide_ports
  assert_transcript several
}

@test "if a broker denies access, the message names it and its reply" {
  export _CONDOR_UID_DOMAIN=pool.test
  pool_of --denied 68
  asked_behind "127.0.0.1:$LOOPBACK_PORT#7"
  assert_status 1
  pool_with --methods FS
  asked_behind "127.0.0.1:$LOOPBACK_PORT#7"
  assert_status 4
  pool_of --close-on-policy
  asked_behind "127.0.0.1:$LOOPBACK_PORT#7"
  assert_status 3
  sed -i "s/ user $(id -un)@/ user <USER>@/" "$BATS_TEST_TMPDIR/transcript"
  assert_transcript not-admitted
}

@test "an invalid broker address is refused" {
  local contact
  pool_lines=
  for contact in nonsense 127.0.0.1:9618 '#7' '127.0.0.1:0#7' '127.0.0.1:9618%3fCCBID=127.0.0.1:1%2523#7'; do
    asked_behind "$contact"
    [[ $status != 0 ]]
  done
  assert_transcript no-brokers
}

# ---- Where we listen ----

# listened: the port on which we listened last
listened() { sed -nE 's/^broker .*:([0-9]+)>$/\1/p' "$LOOPBACK_LOG" | tail -n 1; }

@test "the port for the connection back is between LOWPORT and HIGHPORT" {
  local low high
  pool_of
  low=$LOOPBACK_PORT # which is taken
  high=$((low + 50))
  export _CONDOR_LOWPORT=$low _CONDOR_HIGHPORT=$high
  asked_behind "127.0.0.1:$LOOPBACK_PORT#7"
  assert_status 0
  (($(listened) > low && $(listened) <= high))
  export _CONDOR_LOWPORT=$((high + 1)) _CONDOR_HIGHPORT=$((high + 50)) _CONDOR_IN_LOWPORT=$low _CONDOR_IN_HIGHPORT=$high
  asked_behind "127.0.0.1:$LOOPBACK_PORT#7"
  assert_status 0
  (($(listened) > low && $(listened) <= high))
}

@test "if all these ports are in use, the message says so" {
  pool_of
  with "_CONDOR_IN_LOWPORT=$LOOPBACK_PORT" "_CONDOR_IN_HIGHPORT=$LOOPBACK_PORT" -- -pool "$(behind "127.0.0.1:$LOOPBACK_PORT#7")"
  assert_status 3
  with "_CONDOR_IN_LOWPORT=70000" -- -pool "$(behind "127.0.0.1:$LOOPBACK_PORT#7")"
  assert_status 2
  assert_transcript no-port
}

# ---- A broker that passes the connection on ----

# passed_on STATUS ARGUMENT...: a request to a daemon behind the pool, in a fresh log
passed_on() {
  : >"$LOOPBACK_LOG"
  request -pool "$(behind "127.0.0.1:$LOOPBACK_PORT#7")" -identity alice@own.test "${@:2}"
  assert_status "$1"
}

# says TEXT: is on stderr
says() { grep -qF -e "$1" "$BATS_TEST_TMPDIR/stderr" || { cat "$BATS_TEST_TMPDIR/stderr" && return 1; }; }

@test "if the daemon cannot connect back, the broker passes the connection on, and each poll again" {
  export REQUEST_MAIN=Harness
  pool_with --methods CLAIMTOBE --token "$TOKEN" --approve-after 2 --broker-cannot-call
  asked_behind "127.0.0.1:$LOOPBACK_PORT#7"
  assert_status 0
  [[ $(events '^broker 7 to be passed on') == 4 && $(events ^poll) == 3 && $(events ^caller) == 0 ]]
  [[ $(events '^broker 7 <') == 1 ]] # only the first connection had to find out
  [[ $(events ^policy) == 2 ]] # one login at each, then resumptions
  hide_ports
  assert_transcript passed-on
}

@test "a connection that is passed on reaches a daemon behind a shared port, and one in a tunnel" {
  export _CONDOR_TOOLS_ASSUME_FIREWALLS=true
  pool_of
  request -pool "$(behind "127.0.0.1:$LOOPBACK_PORT#7" '&sock=schedd_1')" -identity alice@own.test
  assert_status 0
  [[ $(events '^shared-port schedd_1') == 1 && $(events '^broker 7 to be passed on') == 1 ]]
  request -pool "$(behind "127.0.0.1:$LOOPBACK_PORT#7#8#9")" -identity alice@own.test
  assert_status 0
  [[ $(events '^broker 7 by 8 9 to be passed on') == 1 ]]
}

@test "over SSL, the certificate is the daemon's, not that of the broker that passes the connection on" {
  local broker
  authenticate_by SSL
  export _CONDOR_TOOLS_ASSUME_FIREWALLS=true
  pool_with --methods SSL --token "$TOKEN" --auto-approve
  broker=127.0.0.1:$LOOPBACK_PORT%3falias=localhost%237
  request -pool "<127.0.0.1:1?CCBID=$broker&alias=localhost>" -identity alice@own.test
  assert_status 0
  [[ $(events '^authenticated SSL bound') == 2 ]]
  request -pool "<127.0.0.1:1?CCBID=$broker&alias=elsewhere>" -identity alice@own.test
  assert_status 4
  [[ $(events ^start) == 1 ]]
}

@test "TOOLS_ASSUME_FIREWALLS asks for that at once, and CCB_CLIENT_STREAMING = false never" {
  pool_of --broker-cannot-call
  _CONDOR_TOOLS_ASSUME_FIREWALLS=true passed_on 0
  [[ $(events ^broker) == 1 ]]
  passed_on 0
  [[ $(events ^broker) == 2 ]]
  _CONDOR_CCB_CLIENT_STREAMING=false passed_on 3
  [[ $(events 'to be passed on') == 0 ]]
  says 'failed to connect'
}

@test "a broker before 25.13.2 is not asked to pass a connection on" {
  local release
  for release in 25.12.2 25.13.1 24.12.30 nonsense; do
    pool_of --broker-cannot-call --remote-version "\$CondorVersion: $release 2026-01-01 BuildID: LoopbackPool \$"
    passed_on 3
    _CONDOR_TOOLS_ASSUME_FIREWALLS=true passed_on 3
    says 'release does not pass connections on (25.13.2 and later do)'
    [[ $(events 'to be passed on') == 0 ]]
  done
  for release in 25.13.2 25.14.0 26.0.1; do
    pool_of --broker-cannot-call --remote-version "\$CondorVersion: $release 2026-01-01 BuildID: LoopbackPool \$"
    passed_on 0
  done
}

@test "a broker that does not do what it says gets no request" {
  local fault
  for fault in broker-no-proxy broker-other-call broker-stays; do
    pool_of --broker-cannot-call --fault "$fault"
    _CONDOR_TOOLS_ASSUME_FIREWALLS=true request -pool "$(behind "127.0.0.1:$LOOPBACK_PORT#7")" -identity alice@own.test
    [[ $status == [34] && $(events ^start) == 0 && ! -s $BATS_TEST_TMPDIR/stdout ]] || { echo "$fault" && return 1; }
  done
  pool_of --broker-cannot-call
  passed_on 0
}

@test "FS is not used over a connection that is passed on, since its peer is not the daemon" {
  mkdir fs
  export _CONDOR_FS_LOCAL_DIR=$PWD/fs _CONDOR_TOOLS_ASSUME_FIREWALLS=true
  authenticate_by FS,CLAIMTOBE
  pool_with --methods FS,CLAIMTOBE --fs-dir "$PWD/fs" --token "$TOKEN" --auto-approve
  passed_on 0
  [[ $(events '^authenticated FS') == 1 && $(events '^authenticated CLAIMTOBE') == 1 ]] # the broker's; the daemon's
}
