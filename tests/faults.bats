#!/usr/bin/env bats
# The short form of tests/faults: sessions with a fault of the network at some byte, inputs that nobody meant, and damaged
# archives of classes. The long form is ./tests/faults --all.
# shellcheck disable=SC2154 # status, output and lines are bats' own
load loopback

@test "a connection that breaks at any byte, however it was authenticated, loses no token and leaves no file" {
  local method
  run "$TESTS_DIR/faults" sessions each=40 workers=3 together=4
  echo "$output"
  ((status == 0))
  grep -E '^by fault: cut [1-9].*reset [1-9].*half-close [1-9].*stall [1-9].*flip [1-9].*duplicate [1-9].*dribble [1-9]' \
    <<<"$output"
  [[ ${lines[-1]} =~ ^[0-9]{3,}' faulty sessions, no misbehaviour'$ ]]
  # Of two runs for one file, the second is refused or, with -ensure, waits; afterwards the file is free.
  grep -E '^second runs: .*free again [1-9].*refused while the first ran [1-9].*waited for the first [1-9]' <<<"$output"
  # Every method but NTSSPI, which is Windows'.
  for method in $(sed -n '/enum AuthMethod {/,/;$/p' "$TESTS_DIR/../TokenRequest.java" | grep -oE '\b[A-Z_]+\(' | tr -d '('); do
    [[ $method == NTSSPI ]] || grep -E "^  ${method/#TOKEN/IDTOKENS}\b" <<<"$output"
  done
}

@test "a damaged archive of classes changes no request that Java lets start, and a killed -prepare leaves no part of one" {
  run "$TESTS_DIR/faults" archives count=6 kills=1
  echo "$output"
  ((status == 0))
  grep -E '^by fault: .*cut .*drop .*duplicate .*flip .*killed .*noise .*zeros' <<<"$output"
  [[ ${lines[-1]} == '6 damaged archives, 1 killed runs of -prepare, no misbehaviour' ]]
}

# Offsets of the CertificateRequest of TLS 1.2, in which the server names CAs: X500Principal throws what JSSE passes on.
@test "the name of a CA that is damaged on the way is a failed handshake, not a bug" {
  run "$TESTS_DIR/faults" sessions only='SSL, TLS 1.2' fault='flip 0 to-client 1250 1450'
  echo "$output"
  ((status == 0))
  [[ ${lines[-1]} == '201 faulty sessions, no misbehaviour' ]]
}

@test "no parser crashes or hangs on inputs that nobody meant" {
  run "$TESTS_DIR/faults" inputs count=40000
  echo "$output"
  ((status == 0))
  [[ ${lines[-1]} =~ ^[0-9]{5,}' random inputs, no misbehaviour'$ ]]
}

@test "the campaign notices mistakes in the poller, the writer, a reader and the lock, and an archive that Java does not check" {
  run "$TESTS_DIR/faults" --prove
  echo "$output"
  ((status == 0))
}

@test "a number that Java cannot hold, in a saved request, makes it not JSON" {
  printf '{"event":"enqueued","lifetime":1.5e99999999999}\n' >saved.json
  request -resume saved.json
  assert_status 2
  grep -F 'saved.json: it is not JSON with one object per line.' "$BATS_TEST_TMPDIR/stderr"
  # Where the number can be held, the field that is missing is named.
  printf '{"event":"enqueued","lifetime":1.5e99}\n' >saved.json
  request -resume saved.json
  assert_status 2
  grep -F 'its "enqueued" event has no valid' "$BATS_TEST_TMPDIR/stderr"
}
