#!/usr/bin/env bats
# Some of the command lines in fixtures/cli/cases.md, side by side: the pool's own condor_token_request, run by alice in
# the pool's chroot, and ours.
load real
load cli

setup_file() { every_pool auto-approve off; } # requests of somebody before us are forgotten

# side_by_side RELEASE ROW...: both do what the rows say, and it comes to the same
side_by_side() {
  on "$1"
  allow_fs
  export _CONDOR_COLLECTOR_HOST=$HERE _CONDOR_UID_DOMAIN=$POOL_DOMAIN
  unset _CONDOR_AUTH_SSL_CLIENT_CAFILE # the table's client trusts no CA
  local wanted
  for wanted in "${@:2}"; do
    read_row "$(row "$wanted")"
    echo "row $number: ${row_settings[*]} condor_token_request ${arguments[*]@Q}"
    run_theirs
    run_ours
    compare
  done
}

# run_theirs: sets their_status, leaves their-stdout and their-stderr
run_theirs() {
  background original
  [[ -z $approved ]] || pool wait-and-approve any >/dev/null 2>&1
  await_end
  their_status=$status
}

# original: as the row says; the other settings are the pool's own, but for its CA
original() (
  unset "${!_CONDOR_@}" CONDOR_CONFIG
  exec env _CONDOR_AUTH_SSL_CLIENT_CAFILE= "${row_settings[@]}" \
    "$TESTS_DIR/pool/pool.sh" exec-as "$RELEASE" alice condor_token_request "${arguments[@]}" \
    </dev/null >"$BATS_TEST_TMPDIR/their-stdout" 2>"$BATS_TEST_TMPDIR/their-stderr"
)

# run_ours: sets status, leaves stdout and stderr
run_ours() {
  [[ ${#row_settings[@]} == 0 ]] || local -x "${row_settings[@]}"
  if [[ -n $approved ]]; then
    request_and_approve "${arguments[@]}"
  else
    request "${arguments[@]}"
  fi
}

# compare: each with the table, and so with the other
compare() {
  local dir=$BATS_TEST_TMPDIR their_out their_err our_out our_err
  their_out=$(on_one_line "$dir/their-stdout") their_err=$(on_one_line "$dir/their-stderr")
  our_out=$(on_one_line "$dir/stdout") our_err=$(in_common "$dir/stderr" | on_one_line /dev/stdin)
  printf '  %s\n' "theirs: $their_status $their_out" "$their_err" "ours: $status $our_out" "$our_err"
  ((their_status == exit_status && status == ours))
  [[ $their_out == "$out" ]]
  if differs help; then
    [[ $their_err == 'Usage: condor_token_request '* && $our_out == 'Usage: condor_token_request '* && -z $our_err ]]
    return
  fi
  ((their_status == 0 ? status == 0 : status != 0))
  if differs enqueued; then
    [[ $their_out == "$our_err$our_out" && -z $their_err ]] # the very same, in other places
  elif differs stack; then
    [[ $their_err == "$(of_pool "$err")"* && ${our_err%%⏎*} == "$(of_pool "$first_line")" && -z $our_out ]]
  else
    [[ $their_err == "$(of_pool "${err%'<USAGE>'}")"* && ${their_err%%⏎*} == "${our_err%%⏎*}" && -z $our_out ]]
  fi
  [[ -z $files ]] || same_file
}

# of_pool TEXT: with this pool's address
of_pool() {
  local text=${1//'127.0.0.1:9618?alias=localhost'/127.0.0.1:$POOL_PORT?alias=$POOL_HOST}
  printf '%s' "${text//localhost:9618/$POOL_HOST:$POOL_PORT}"
}

# same_file: both have written a token, for its owner only
same_file() {
  [[ $(pool exec-as alice stat -c %a "$files") == "$(stat -c %a "$files")" && $(stat -c %a "$files") == 600 ]]
  pool exec-as alice cat "$files" >theirs
  assert_is_token theirs
  assert_is_token "$files"
  pool exec-as alice rm "$files"
}

# Of the bad arguments, one of each kind
BAD_ARGUMENTS=(4 7 9 11 16 19 23 24 25 26 28 37)

@test "stable: bad arguments end with the same words as the original's" { side_by_side stable "${BAD_ARGUMENTS[@]}"; }
@test "testing: bad arguments end with the same words as the original's" { side_by_side testing "${BAD_ARGUMENTS[@]}"; }
@test "stable: a pool that cannot be reached or rejects the login fails in both" { side_by_side stable 38 39 53; }
@test "testing: a pool that cannot be reached or rejects the login fails in both" { side_by_side testing 38 39 53; }
@test "stable: an approved token goes to the same places" { side_by_side stable 56 60; }
@test "testing: an approved token goes to the same places" { side_by_side testing 56 60; }
