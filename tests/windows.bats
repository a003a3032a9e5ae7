#!/usr/bin/env bats
load windows
setup_file() {
  start_windows
  pool_with --methods CLAIMTOBE --auto-approve --token "$TOKEN"
}
setup() { windows_folders; }

@test "the token is on stdout" {
  request -pool "$HERE" -identity alice@own.test
  cat "$BATS_TEST_TMPDIR/record"; cat $drives/touched; cat $drives/lists
  assert_status 0
  printf '%s\n' "$TOKEN" | cmp - "$BATS_TEST_TMPDIR/stdout"
  false
}
