#!/usr/bin/env bats
# What the user sees when a real pool is not found, not trusted, or does not want to. Both releases say the same, so
# both are held against one golden.
load real

setup_file() { every_pool auto-approve off; }

teardown() {
  end_client
  let_go
  # Settings of a test's own, taken back.
  [[ -z ${configured-} ]] || configure
}

# configure [SETTING...]: for this test. What its answer to a policy is, HTCondor 23 remembers through a reconfiguration,
# so what concerns methods and levels takes a new collector.
configure() {
  local methods_or_levels='AUTHENTICATION_METHODS|ENCRYPTION'
  if [[ $* =~ $methods_or_levels ]]; then configured=restart; fi
  { (($# == 0)) || printf '%s\n' "$@"; } | pool configure 2>/dev/null
  [[ ${configured=yes} != restart ]] || pool restart-collector 2>/dev/null
}

# fails_as CASE ARGUMENT...: with the order that would otherwise wait
fails_as() {
  local case=$1
  shift
  start "$@" "${PENDING[@]}"
  finish
  assert_pool_golden "$case"
}

# ---- Whether it is the right pool ----

wrong_ca() {
  on "$1"
  authenticate_by SSL
  openssl req -x509 -newkey rsa:2048 -nodes -keyout "$BATS_TEST_TMPDIR/key" -out "$BATS_TEST_TMPDIR/other-ca.pem" \
    -subj '/CN=Another CA' -days 2 2>/dev/null
  export _CONDOR_AUTH_SSL_CLIENT_CAFILE=$BATS_TEST_TMPDIR/other-ca.pem
  fails_as wrong_ca -pool "$HERE"
}

@test "stable: a pool whose CA is another than the one given is not trusted" { wrong_ca stable; }
@test "testing: a pool whose CA is another than the one given is not trusted" { wrong_ca testing; }

system_cas() {
  on "$1"
  authenticate_by SSL
  unset _CONDOR_AUTH_SSL_CLIENT_CAFILE
  fails_as system_cas -pool "$HERE"
}

@test "stable: without a CA of the pool, the system's do not make it trusted" { system_cas stable; }
@test "testing: without a CA of the pool, the system's do not make it trusted" { system_cas testing; }

wrong_name() {
  on "$1"
  authenticate_by SSL
  fails_as wrong_name -pool "localhost:$POOL_PORT"
}

@test "stable: a certificate for another name than the one typed is not trusted" { wrong_name stable; }
@test "testing: a certificate for another name than the one typed is not trusted" { wrong_name testing; }

no_name() {
  on "$1"
  authenticate_by SSL
  fails_as no_name -pool "127.0.0.1:$POOL_PORT"
}

@test "stable: SSL is not tried with an address that names nobody" { no_name stable; }
@test "testing: SSL is not tried with an address that names nobody" { no_name testing; }

# ---- Whether it is there ----

# The reserved top level of RFC 6761; port 1 of loopback, where nobody listens.
@test "an unknown host is reported as such" {
  on stable
  fails_as unknown_host -pool no-such-host.invalid
}

@test "a port on which nobody listens is reported as such" {
  on stable
  fails_as nobody_listens -pool 127.0.0.1:1
}

# The collector is stopped; the system goes on accepting connections in its name.
@test "a pool that never answers is given up after the time that an exchange may take" {
  local began=$SECONDS
  on stable
  authenticate_by SSL
  hold condor_collector
  fails_as never_answers -pool "$POOL_HOST:$POOL_DIRECT_PORT"
  ((SECONDS - began <= 30))
}

unknown_endpoint() {
  on "$1"
  authenticate_by SSL
  start -pool "<127.0.0.1:$POOL_PORT?alias=$POOL_HOST&sock=nobody>" "${PENDING[@]}"
  finish
  # The shared port hangs up with our policy unread: the moment decides whether the system calls that an end or a reset.
  sed -i -e 's/The server closed the connection while we waited for its security policy\./<HUNG UP>/' \
    -e "s/The connection broke while we waited for the server's security policy (Connection reset)\./<HUNG UP>/" \
    "$BATS_TEST_TMPDIR/record"
  assert_pool_golden unknown_endpoint
}

@test "stable: an endpoint that the shared port does not know is reported" { unknown_endpoint stable; }
@test "testing: an endpoint that the shared port does not know is reported" { unknown_endpoint testing; }

# ---- Whether there is a common method ----

no_common_method() {
  on "$1"
  authenticate_by KERBEROS
  fails_as no_common_method -pool "$HERE"
}

@test "stable: a list of methods that this command does not have is answered by their names" { no_common_method stable; }
@test "testing: a list of methods that this command does not have is answered by their names" { no_common_method testing; }

pool_without_ssl() {
  on "$1"
  configure 'SEC_DEFAULT_AUTHENTICATION_METHODS = FS, IDTOKENS'
  authenticate_by SSL
  fails_as pool_without_ssl -pool "$HERE"
}

@test "stable: a pool that does not offer SSL is reported as such" { pool_without_ssl stable; }
@test "testing: a pool that does not offer SSL is reported as such" { pool_without_ssl testing; }

# made_up_token HEADER PAYLOAD: one that nobody has issued
made_up_token() {
  local signed
  signed=$(base64url <<<"$1").$(base64url <<<"$2")
  printf '%s.%s' "$signed" "$(openssl dgst -sha256 -hmac nobody -binary <<<"$signed" | base64url)"
}

base64url() { base64 -w 0 | tr -d '=' | tr '+/' '-_'; }

foreign_token() {
  on "$1"
  authenticate_by IDTOKENS
  log_in_with "$(made_up_token '{"alg":"HS256","kid":"POOL"}' '{"iat":1700000000,"iss":"elsewhere.test","sub":"alice@elsewhere.test"}')"
  fails_as foreign_token -pool "$HERE"
}

@test "stable: a token of another pool does not log in" { foreign_token stable; }
@test "testing: a token of another pool does not log in" { foreign_token testing; }

token_of_unknown_key() {
  on "$1"
  authenticate_by IDTOKENS
  log_in_with "$(made_up_token '{"alg":"HS256","kid":"nokey"}' '{"iat":1700000000,"iss":"pool.test","sub":"alice@pool.test"}')"
  fails_as token_of_unknown_key -pool "$HERE"
}

@test "stable: a token signed with a key that the pool has not does not log in" { token_of_unknown_key stable; }
@test "testing: a token signed with a key that the pool has not does not log in" { token_of_unknown_key testing; }

forged_token() {
  on "$1"
  authenticate_by IDTOKENS
  log_in_with "$(made_up_token '{"alg":"HS256","kid":"POOL"}' '{"iat":1700000000,"iss":"pool.test","sub":"alice@pool.test"}')"
  # HTCondor 25 notices before it answers; 23 answers, and gives away that it does not know the token.
  fails_as "forged_token_$RELEASE" -pool "$HERE"
}

@test "stable: a token with the right names and a wrong signature does not log in" { forged_token stable; }
@test "testing: a token with the right names and a wrong signature does not log in" { forged_token testing; }

expired_token() {
  local token expires
  on "$1"
  authenticate_by IDTOKENS
  token=$(pool token alice@pool.test -lifetime 1)
  expires=$((EPOCHSECONDS + 2))
  log_in_with "$token"
  while ((EPOCHSECONDS < expires)); do sleep 0.05; done
  fails_as expired_token -pool "$HERE"
}

@test "stable: a token that has expired does not log in" { expired_token stable; }
@test "testing: a token that has expired does not log in" { expired_token testing; }

no_token() {
  on "$1"
  authenticate_by IDTOKENS
  fails_as no_token -pool "$HERE"
}

@test "stable: IDTOKENS without any token names the folder in which one is looked for" { no_token stable; }
@test "testing: IDTOKENS without any token names the folder in which one is looked for" { no_token testing; }

# ---- Whether the pool wants to ----

limits() {
  on "$1"
  configure 'SEC_TOKEN_REQUEST_LIMITS = ADVERTISE_STARTD'
  authenticate_by SSL
  fails_as limits -pool "$HERE"
}

@test "stable: authorizations that the pool does not grant are refused, and the setting is named" { limits stable; }
@test "testing: authorizations that the pool does not grant are refused, and the setting is named" { limits testing; }

disabled() {
  on "$1"
  configure 'SEC_ENABLE_TOKEN_REQUEST = False'
  authenticate_by SSL
  fails_as disabled -pool "$HERE"
}

@test "stable: a pool that takes no token requests refuses, and the setting is named" { disabled stable; }
@test "testing: a pool that takes no token requests refuses, and the setting is named" { disabled testing; }

no_encryption() {
  on "$1"
  configure 'SEC_DEFAULT_ENCRYPTION = NEVER' 'SEC_READ_ENCRYPTION = NEVER' 'SEC_DEFAULT_INTEGRITY = NEVER' \
    'SEC_READ_INTEGRITY = NEVER'
  authenticate_by SSL
  fails_as no_encryption -pool "$HERE"
}

@test "stable: a pool that does not encrypt is sent no request" { no_encryption stable; }
@test "testing: a pool that does not encrypt is sent no request" { no_encryption testing; }
