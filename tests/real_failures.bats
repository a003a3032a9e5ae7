#!/usr/bin/env bats
# What the user sees when a real pool is not found, not trusted, or does not want to. Both releases say the same, so
# both are held against one golden, which has the name of the case.
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

# fails RELEASE CASE: with what is special about the case, the request ends as the golden says; otherwise it would wait
fails() {
  on "$1"
  local case=$2 golden=$2 where=$HERE patience=()
  authenticate_by SSL
  case $case in
    # Whether it is the right pool
    wrong_ca)             trust_another_ca ;;
    system_cas)           unset _CONDOR_AUTH_SSL_CLIENT_CAFILE ;;
    wrong_name)           where=localhost:$POOL_PORT ;;
    no_name)              where=127.0.0.1:$POOL_PORT ;;
    # Whether it is there
    unknown_host)         unset_methods && where=no-such-host.invalid ;; # the reserved top level of RFC 6761
    nobody_listens)       unset_methods && where=127.0.0.1:1 ;;
    # The system accepts connections in its name.
    never_answers)        hold condor_collector && where=$POOL_HOST:$POOL_DIRECT_PORT && patience=(-timeout 3) ;;
    unknown_endpoint)     where="<127.0.0.1:$POOL_PORT?alias=$POOL_HOST&sock=nobody>" ;;
    # Whether there is a common method
    no_common_method)     authenticate_by NTSSPI ;;
    pool_without_ssl)     configure 'SEC_DEFAULT_AUTHENTICATION_METHODS = FS, IDTOKENS' ;;
    foreign_token)        log_in_with_made_up POOL elsewhere.test ;;
    token_of_unknown_key) log_in_with_made_up nokey pool.test ;;
    # HTCondor 25 notices before it answers; 23 answers, and gives away that it does not know the token.
    forged_token)         log_in_with_made_up POOL pool.test && golden+=_$RELEASE ;;
    expired_token)        log_in_with_expired ;;
    no_token)             authenticate_by IDTOKENS ;;
    # Whether the pool wants to
    limits)               configure 'SEC_TOKEN_REQUEST_LIMITS = ADVERTISE_STARTD' ;;
    disabled)             configure 'SEC_ENABLE_TOKEN_REQUEST = False' ;;
    no_encryption)        configure SEC_{DEFAULT,READ}_{ENCRYPTION,INTEGRITY}' = NEVER' ;;
    *)                    echo "no case $case" && return 1 ;;
  esac
  start -pool "$where" "${PENDING[@]}" "${patience[@]}"
  await_end
  # The shared port hangs up with our policy unread: the moment decides whether the system calls that an end or a reset.
  [[ $case != unknown_endpoint ]] || sed -i -e 's/The server closed the connection before it sent its security policy\./<HUNG UP>/' \
    -e "s/The connection broke before the server sent its security policy (Connection reset)\./<HUNG UP>/" \
    "$BATS_TEST_TMPDIR/record"
  assert_pool_golden "$golden"
}

unset_methods() { unset _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS; }

trust_another_ca() {
  export _CONDOR_AUTH_SSL_CLIENT_CAFILE=$BATS_TEST_TMPDIR/other-ca.pem
  openssl req -x509 -newkey rsa:2048 -nodes -keyout "$BATS_TEST_TMPDIR/key" -out "$_CONDOR_AUTH_SSL_CLIENT_CAFILE" \
    -subj '/CN=Another CA' -days 2 2>/dev/null
}

# log_in_with_made_up KEY ISSUER: a token that nobody has issued
log_in_with_made_up() {
  local signed
  authenticate_by IDTOKENS
  signed=$(base64url <<<"{\"alg\":\"HS256\",\"kid\":\"$1\"}").$(base64url <<<"{\"iat\":1700000000,\"iss\":\"$2\",\"sub\":\"alice@$2\"}")
  log_in_with "$signed.$(openssl dgst -sha256 -hmac nobody -binary <<<"$signed" | base64url)"
}

base64url() { base64 -w 0 | tr -d '=' | tr '+/' '-_'; }

log_in_with_expired() {
  local token expires
  authenticate_by IDTOKENS
  token=$(pool token alice@pool.test -lifetime 1)
  expires=$((EPOCHSECONDS + 2))
  log_in_with "$token"
  while ((EPOCHSECONDS < expires)); do sleep 0.05; done
}

@test "stable: a pool whose CA is not the given one is not trusted" { fails stable wrong_ca; }
@test "testing: a pool whose CA is not the given one is not trusted" { fails testing wrong_ca; }
@test "stable: without the pool's CA, the system's CAs do not make it trusted" { fails stable system_cas; }
@test "testing: without the pool's CA, the system's CAs do not make it trusted" { fails testing system_cas; }
@test "stable: a certificate for another name than the one typed is not trusted" { fails stable wrong_name; }
@test "testing: a certificate for another name than the one typed is not trusted" { fails testing wrong_name; }
@test "stable: SSL is not tried with an address without a name" { fails stable no_name; }
@test "testing: SSL is not tried with an address without a name" { fails testing no_name; }

@test "stable: an unknown host is reported as such" { fails stable unknown_host; }
@test "testing: a port on which nobody listens is reported as such" { fails testing nobody_listens; }
@test "testing: a pool that never answers is given up when -timeout is over" {
  local began=$SECONDS
  fails testing never_answers
  ((SECONDS - began <= 20))
}
@test "stable: an endpoint that the shared port does not know is reported" { fails stable unknown_endpoint; }
@test "testing: an endpoint that the shared port does not know is reported" { fails testing unknown_endpoint; }

@test "stable: unsupported methods in the list are named in the error" { fails stable no_common_method; }
@test "testing: unsupported methods in the list are named in the error" { fails testing no_common_method; }
@test "stable: a pool that does not offer SSL is reported as such" { fails stable pool_without_ssl; }
@test "testing: a pool that does not offer SSL is reported as such" { fails testing pool_without_ssl; }
@test "stable: a token of another pool does not log in" { fails stable foreign_token; }
@test "testing: a token of another pool does not log in" { fails testing foreign_token; }
@test "stable: a token signed with a key that the pool does not have does not log in" { fails stable token_of_unknown_key; }
@test "testing: a token signed with a key that the pool does not have does not log in" { fails testing token_of_unknown_key; }
@test "stable: a token with the right names and a wrong signature does not log in" { fails stable forged_token; }
@test "testing: a token with the right names and a wrong signature does not log in" { fails testing forged_token; }
@test "stable: a token that has expired does not log in" { fails stable expired_token; }
@test "testing: a token that has expired does not log in" { fails testing expired_token; }
@test "stable: IDTOKENS without a token names the directory to put one into" { fails stable no_token; }
@test "testing: IDTOKENS without a token names the directory to put one into" { fails testing no_token; }

@test "stable: authorizations that the pool does not grant are refused, and the message names the setting" { fails stable limits; }
@test "testing: authorizations that the pool does not grant are refused, and the message names the setting" { fails testing limits; }
@test "stable: a pool that does not accept token requests refuses, and the message names the setting" { fails stable disabled; }
@test "testing: a pool that does not accept token requests refuses, and the message names the setting" { fails testing disabled; }
@test "stable: a pool that does not encrypt gets no request" { fails stable no_encryption; }
@test "testing: a pool that does not encrypt gets no request" { fails testing no_encryption; }
