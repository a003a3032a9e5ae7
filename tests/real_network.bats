#!/usr/bin/env bats
# A real pool of two hosts, on a network that knows IPv6 only; one of them lets nobody in, so its daemons have to be asked
# to call back. pool/network.sh describes it.
load real_events

# What the administrator types, is typed on the central manager.
in_pool() { network exec cm "$@"; }

setup() {
  [[ ${TOKEN_REQUEST_REAL-no} != no ]] || skip "${TOKEN_REQUEST_REAL_REASON-no real pool}"
  own_folders
}

teardown() {
  end_client
  [[ -z ${RELEASE-} ]] || "$TESTS_DIR/pool/network.sh" down "$RELEASE" 2>/dev/null
}

# network COMMAND ARGUMENT...: network.sh for the pool taken. On the hosts our settings must not reach the client.
network() (
  unset "${!_CONDOR_@}" CONDOR_CONFIG
  exec "$TESTS_DIR/pool/network.sh" "$1" "$RELEASE" "${@:2}"
)

# between RELEASE: takes that release's hosts
between() {
  at "$1"
  eval "$("$TESTS_DIR/pool/network.sh" up "$RELEASE" 3>&- 2>"$BATS_TEST_TMPDIR/network")" # says nothing if it fails
  export _CONDOR_AUTH_SSL_CLIENT_CAFILE=${NETWORK_CA:?}
  HERE=cm.net.test
  settings=("$TESTS_DIR/pool/network.sh" client "$RELEASE") # where the tool runs
}

# brings_token ARGUMENT...: the whole story, with some polls before the approval
brings_token() {
  start -json -verbose -poll 1 "${PENDING[@]}" "$@"
  await_told enqueued
  await_told waiting
  approve_as_told
  await_end
  assert_status 0
  keep_token token
  assert_pending_claims token
}

by_the_family_that_works() {
  between "$1"
  # The name gets an IPv4 address, too, and what goes there vanishes.
  network client sh -ec 'ip route add local 192.0.2.0/24 dev lo
    echo "table inet dark { chain input { type filter hook input priority 0; ip daddr 192.0.2.0/24 drop; }; }" | nft -f -
    echo "192.0.2.9 cm.net.test" >>/etc/hosts'
  brings_token -pool "$HERE" -timeout 60
  # The saved request names the address by which the pool was reached.
  [[ $(told enqueued .address) == "<[2001:db8::1]:9618?alias=$HERE>" ]]
}

by_ipv6() {
  between "$1"
  brings_token -pool "$HERE"
  [[ $(told enqueued .address) == "<[2001:db8::1]:9618?alias=$HERE>" ]]
  brings_token -pool "<[2001:db8::1]:9618?alias=$HERE>"
  brings_token -pool "$HERE" -type schedd
  [[ $(told enqueued '[.daemon.name, .session] | join(" ")') == 'cm.net.test bound' ]]
  # An address alone has no name to be checked.
  request -pool '2001:db8::1' "${PENDING[@]}"
  assert_status 4
  grep -F "'<[2001:db8::1]:9618?alias=HOST>'" "$BATS_TEST_TMPDIR/stderr"
  _CONDOR_ENABLE_IPV6=false request -pool "$HERE" "${PENDING[@]}"
  assert_status 3
  grep -F 'ENABLE_IPV6 is false here' "$BATS_TEST_TMPDIR/stderr"
}

@test "stable: a pool with IPv6 alone is reached by name and by address" { by_ipv6 stable; }
@test "testing: a pool with IPv6 alone is reached by name and by address" { by_ipv6 testing; }

behind_firewall() {
  local type address
  between "$1"
  # Nobody gets in, though the client reaches others.
  network client timeout 5 bash -c '</dev/tcp/2001:db8::1/9618'
  if network client timeout 1 bash -c '</dev/tcp/2001:db8::2/9618'; then return 1; fi
  for type in startd master; do
    brings_token -pool "$HERE" -type "$type" -name node.net.test -verify
    address=$(told enqueued .address)
    [[ $address == '<[2001:db8::2]:9618?CCBID='* && $(told enqueued '[.daemon.type, .session] | join(" ")') == "$type bound" ]]
    [[ $(told verified '[.identity, .method] | join(" ")') == 'alice@pool.test IDTOKENS' ]]
  done
  # Another process resumes the wait; and a firewall of our own has some ports open.
  export _CONDOR_LOWPORT=41000 _CONDOR_HIGHPORT=41005
  request -json -nowait -pool "$HERE" -type startd "${PENDING[@]}" -debug:D_NETWORK
  assert_status 0
  grep -E 'for a connection to <\[2001:db8::3\]:4100[0-5]>' "$BATS_TEST_TMPDIR/stderr"
  approve_as_told
  mv "$BATS_TEST_TMPDIR/stdout" output
  request -json -resume output
  assert_status 0
  keep_token token
  assert_pending_claims token
  # A daemon that its broker does not know.
  request -type startd -name "$(sed -E 's/#[0-9]+&/#999\&/' <<<"$address")" "${PENDING[@]}" -timeout 0
  assert_status 3
  grep -E 'Not reachable through CCB server .*: CCB server rejecting request for ccbid 999 because no daemon is currently' \
    "$BATS_TEST_TMPDIR/stderr"
}

@test "stable: a daemon behind a firewall is reached through its broker, at each poll" { behind_firewall stable; }
@test "testing: a daemon behind a firewall is reached through its broker, at each poll" { behind_firewall testing; }

@test "stable: a host whose IPv4 does not answer is reached by IPv6" { by_the_family_that_works stable; }
@test "testing: a host whose IPv4 does not answer is reached by IPv6" { by_the_family_that_works testing; }

# FS_REMOTE: the client creates a directory on a file system that it shares with the pool's host.
by_a_shared_directory() {
  between "$1"
  authenticate_by FS_REMOTE
  export _CONDOR_FS_REMOTE_DIR=$NETWORK_SHARED
  if [[ $1 == stable ]]; then
    # HTCondor 23 names directories without its address.
    request -pool "$HERE" "${PENDING[@]}"
    assert_status 4
    grep -F "FS_REMOTE: the server's directory name does not contain its address" "$BATS_TEST_TMPDIR/stderr"
    export _CONDOR_SEC_FS_ENFORCE_CHANNEL_BINDING=false
  fi
  brings_token -pool "$HERE" -verify
  [[ $(told enqueued '[.method, .session] | join(" ")') == 'FS_REMOTE unbound' ]]
  [[ -z $(network client ls -A "$NETWORK_SHARED") ]]
  # The directory that the client knows is another one.
  mkdir elsewhere
  _CONDOR_FS_REMOTE_DIR=$PWD/elsewhere request -pool "$HERE" "${PENDING[@]}"
  assert_status 4
  grep -F 'which is not a name that HTCondor uses for a directory in' "$BATS_TEST_TMPDIR/stderr"
}

@test "stable: FS_REMOTE logs in from another host that shares a directory" { by_a_shared_directory stable; }
@test "testing: FS_REMOTE logs in from another host that shares a directory" { by_a_shared_directory testing; }

# Nobody can connect to the client, nor to the daemon: the CCB server passes the bytes on.
behind_two_firewalls() {
  between "$1"
  network client sh -ec 'echo "table inet closed { chain input { type filter hook input priority 0; policy drop; iifname lo accept
    ct state established,related accept; meta l4proto ipv6-icmp accept; }; }" | nft -f -'
  if [[ $1 == stable ]]; then
    _CONDOR_TOOLS_ASSUME_FIREWALLS=true request -pool "$HERE" -type startd -name node.net.test "${PENDING[@]}" -timeout 0
    assert_status 3
    grep -F "the CCB server's release does not pass connections on (25.13.2 and later do)" "$BATS_TEST_TMPDIR/stderr"
    return
  fi
  brings_token -pool "$HERE" -type startd -name node.net.test -verify -debug:D_NETWORK
  grep -F 'to pass a connection on.' "$BATS_TEST_TMPDIR/stderr"
  [[ $(told enqueued .session) == bound ]]
  export _CONDOR_TOOLS_ASSUME_FIREWALLS=true
  request -json -nowait -pool "$HERE" -type master -name node.net.test "${PENDING[@]}" -debug:D_NETWORK
  assert_status 0
  if grep -F 'for a connection to' "$BATS_TEST_TMPDIR/stderr"; then return 1; fi
  approve_as_told
  mv "$BATS_TEST_TMPDIR/stdout" output
  request -json -resume output
  assert_status 0
  keep_token token
  assert_pending_claims token
}

@test "stable: where nobody can connect to the client either, the reason is the CCB server's release" { behind_two_firewalls stable; }
@test "testing: where nobody can connect to the client either, the CCB server passes the connection on" { behind_two_firewalls testing; }
