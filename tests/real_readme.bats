#!/usr/bin/env bats
# The first task of README.md on real pools: the user's command, and what README.md has the administrator type.
# shellcheck disable=SC2030,SC2031,SC2154 # settings of one test; status, RELEASE and id, which the helpers set
load real
load command
load readme

personal_token() {
  local command token=$HOME/.condor/tokens.d/personal
  on "$1"
  authenticate_by SSL
  export _CONDOR_SEC_TOKEN_DIRECTORY=$HOME/.condor/tokens.d
  put_command_on_path
  background run_block_with_status personal
  await_id
  # README.md's own words, with this request's number; the tool has the administrator confirm it.
  # shellcheck disable=SC2016 # backquotes of Markdown
  command=$(grep -oE '`condor_token_request_approve -reqid [0-9]+`' "$README" | head -n 1 | tr -d '\140')
  [[ -n $command ]]
  pool exec sh -c "echo yes | ${command/%[0-9]*/$id}" >/dev/null 2>&1
  await_end
  assert_status 0
  assert_is_token "$token"
  assert_claims "$token" '.sub == "alice@pool.test" and .exp - .iat == 86400
    and (.scope | split(" ") | sort) == ["condor:/READ", "condor:/WRITE"]'
  # It is where HTCondor's tools look, and the pool accepts it.
  authenticate_by IDTOKENS
  request -pool "$HERE" -identity alice@pool.test -authz READ -lifetime 60 -timeout 0
  assert_status 6
}

# run_block_with_status NAME: for the background
run_block_with_status() {
  run_block "$@"
  return "$status"
}

@test "stable: README.md, a personal token: the administrator types what README.md says, and the pool accepts the token" { personal_token stable; }
@test "testing: README.md, a personal token: the administrator types what README.md says, and the pool accepts the token" { personal_token testing; }
