#!/usr/bin/env bats
# shellcheck disable=SC2034 # `administrator` is for request_and_approve
# Ways to say where the pool is, against real ones: behind the shared port and straight, by name and by address.
load real

setup_file() {
  every_pool auto-approve off
  every_pool auto-approve on
}

teardown_file() { every_pool auto-approve off; }

# reaches ARGUMENT...: with a certificate checked, a token comes from what the arguments say, and it is the collector
# behind the shared port that the rule was given to
reaches() {
  request "$@" "${AUTO_APPROVED[@]}"
  assert_status 0
  assert_is_token "$BATS_TEST_TMPDIR/stdout"
  assert_auto_approved_claims "$BATS_TEST_TMPDIR/stdout"
}

# endpoint: the collector's own name behind the shared port
endpoint() { pool exec condor_status -collector -af MyAddress | sed -nE 's/.*[?&]sock=([^&>]+).*/\1/p'; }

by_name() {
  on "$1"
  authenticate_by SSL
  reaches -pool "$HERE"
  _CONDOR_COLLECTOR_PORT=$POOL_PORT reaches -pool "$POOL_HOST"
  _CONDOR_COLLECTOR_HOST=$HERE reaches
  _CONDOR_CONDOR_HOST=$HERE reaches
}

@test "stable: a pool is found by HOST, HOST:PORT and the settings" { by_name stable; }
@test "testing: a pool is found by HOST, HOST:PORT and the settings" { by_name testing; }

by_address() {
  local sock
  on "$1"
  authenticate_by SSL
  sock=$(endpoint)
  [[ -n $sock ]]
  reaches -pool "<127.0.0.1:$POOL_PORT?alias=$POOL_HOST>"
  reaches -pool "<127.0.0.1:$POOL_PORT?alias=$POOL_HOST&sock=$sock>"
  # The addresses in the list are tried instead of the one in front.
  reaches -pool "<127.0.0.1:1?addrs=127.0.0.1-$POOL_PORT&alias=$POOL_HOST&noUDP&sock=$sock>"
  reaches -pool "<127.0.0.1:1?addrs=127.0.0.1-1+127.0.0.1-$POOL_PORT&alias=$POOL_HOST>"
  # What the daemon publishes of itself, as it is.
  reaches -pool "$(pool exec condor_status -collector -af MyAddress)"
}

@test "stable: a pool is reached by the sinful strings that HTCondor writes" { by_address stable; }
@test "testing: a pool is reached by the sinful strings that HTCondor writes" { by_address testing; }

by_ipv6() {
  on "$1"
  [[ -n $POOL_IPV6 ]] || skip "this machine has no IPv6"
  authenticate_by SSL
  reaches -pool "<$POOL_IPV6?alias=$POOL_HOST>"
  reaches -pool "<$POOL_IPV6?alias=$POOL_HOST&sock=$(endpoint)>"
  reaches -pool "<127.0.0.1:1?addrs=[--1]-$POOL_PORT&alias=$POOL_HOST>"
  # FS needs no name.
  authenticate_by FS
  allow_fs
  reaches -pool "$POOL_IPV6"
}

@test "stable: a pool is reached by IPv6" { by_ipv6 stable; }
@test "testing: a pool is reached by IPv6" { by_ipv6 testing; }

# straight METHOD...: it knows nothing of the other collector's rules and requests
straight() {
  on "$1"
  local direct=$POOL_HOST:$POOL_DIRECT_PORT method
  administrator=(-pool "$direct")
  allow_fs
  for method in SSL FS; do
    authenticate_by "$method"
    request_and_approve -pool "$direct" "${PENDING[@]}"
    assert_status 0
    assert_is_token "$BATS_TEST_TMPDIR/stdout"
    assert_pending_claims "$BATS_TEST_TMPDIR/stdout"
  done
}

@test "stable: a collector with a port of its own issues tokens" { straight stable; }
@test "testing: a collector with a port of its own issues tokens" { straight testing; }

another_daemon() {
  local address
  on "$1"
  authenticate_by SSL
  address=$(pool exec condor_status -schedd -af MyAddress)
  [[ $address == *sock=schedd* ]]
  administrator=(-type SCHEDD)
  request_and_approve -pool "$address" "${PENDING[@]}"
  assert_status 0
  assert_pending_claims "$BATS_TEST_TMPDIR/stdout"
}

@test "stable: the schedd issues tokens, too, when its address is given" { another_daemon stable; }
@test "testing: the schedd issues tokens, too, when its address is given" { another_daemon testing; }
