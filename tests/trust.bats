#!/usr/bin/env bats
# Which certificates are trusted: by options, by settings, and for a bearer token.
# shellcheck disable=SC2030,SC2031 # settings of one test
load trust

# ---- Fingerprints ----

@test "-fingerprint accepts the fingerprint of the CA or of the pool, in every form that tools print" {
  local form print leaf
  print=$(fingerprint)
  refused
  leaf=$(sed -nE 's/^    SHA-256: (.*)/\1/p' "$BATS_TEST_TMPDIR/stderr")
  [[ ${#leaf} == 95 && $leaf != "$print" ]]
  for form in "$print" "${print^^}" "${print//:/}" "SHA-256: $print" "sha256 Fingerprint=${print^^}" \
    " localhost SSL $print" "$leaf"; do
    trusted -fingerprint "$form"
  done
  other_certificate
  trusted -fingerprint "$(fingerprint other.pem)" -fingerprint "$print"
  trusted -fingerprint "$print" -fingerprint "$(fingerprint other.pem)"
  [[ ! -e known_hosts ]]
}

@test "an invalid fingerprint is a usage error, before any connection" {
  local form print before
  printf -v print ':%02x' {0..31}
  print=${print#:}
  before=$(events ^connection)
  for form in '' abc "${print%:*}" "$print:00" "${print/?/x}" "!localhost SSL $print" "$print $print"; do
    ask_pool -fingerprint "$form"
    assert_status 2
  done
  ask -fingerprint
  assert_status 2
  [[ $(events ^connection) == "$before" ]]
  assert_transcript no-fingerprints
}

@test "a certificate with another fingerprint ends the command, even with a token and a known CA" {
  unset _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS
  pool_of --methods SSL,IDTOKENS --token-for bob@pool.test
  (umask 077 && mkdir -p "$_CONDOR_SEC_TOKEN_DIRECTORY" && echo "$LOOPBACK_TOKEN" >"$_CONDOR_SEC_TOKEN_DIRECTORY/login")
  other_certificate
  refused -fingerprint "$(fingerprint other.pem)" -cafile "$LOOPBACK_CA"
  [[ $(events ^authenticated) == 0 ]]
  assert_transcript unexpected
  at_terminal -pool "$HERE" -fingerprint "$(fingerprint other.pem)"
  at_its_end
  lacks shown "$QUESTION"
  # Without -fingerprint it would go on by the token.
  trusted
  [[ $(events '^authenticated IDTOKENS') == 1 ]]
}

@test "with -fingerprint, methods that do not check the certificate are not used" {
  unset _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS
  mkdir fs
  export _CONDOR_FS_LOCAL_DIR=$PWD/fs
  pool_of --methods FS,SSL --fs-dir "$PWD/fs"
  trusted
  trusted -fingerprint "$(fingerprint)"
  [[ $(events '^authenticated FS') == 1 && $(events '^authenticated SSL') == 1 ]]
  authenticate_by IDTOKENS FS
  ask_pool -fingerprint "$(fingerprint)"
  assert_status 2
  assert_transcript fingerprint-without-ssl
}

@test "an expired certificate is refused, even with its fingerprint or with bootstrap trust" {
  local options
  for options in --certificate-expired '--certificate-expired --certificate-self-signed'; do
    # shellcheck disable=SC2086
    pool_of $options
    refused
    export _CONDOR_BOOTSTRAP_SSL_SERVER_TRUST=true
    refused
    says 'it has expired'
    unset _CONDOR_BOOTSTRAP_SSL_SERVER_TRUST
    [[ ! -e known_hosts ]]
    refused -fingerprint "$(sed -nE 's/^    SHA-256: (.*)/\1/p' "$BATS_TEST_TMPDIR/stderr")"
    says 'it has expired'
  done
}

# ---- The command line's CAs ----

@test "-cafile replaces the configured CAs" {
  other_certificate
  trusted -cafile "$LOOPBACK_CA"
  [[ ! -e known_hosts ]]
  refused -cafile other.pem
  assert_transcript other-ca
  # Nor do the system's CAs count beside it.
  _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=true SSL_CERT_FILE=$LOOPBACK_CA trusted
  _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=true SSL_CERT_FILE=$LOOPBACK_CA refused -cafile other.pem
  export _CONDOR_AUTH_SSL_CLIENT_CAFILE=other.pem
  refused
  trusted -cafile "$LOOPBACK_CA"
  export _CONDOR_AUTH_SSL_CLIENT_CAFILE=$LOOPBACK_CA
  trusted
  refused -cafile other.pem
}

@test "-cafile without a certificate is a usage error, before any connection" {
  local file before
  before=$(events ^connection)
  touch empty
  echo nonsense >nonsense
  for file in missing empty nonsense .; do
    ask_pool -cafile "$file"
    assert_status 2
  done
  [[ $(events ^connection) == "$before" ]]
  assert_transcript no-cas
}

@test "the resume command has the same trust options" {
  local trust
  pool_with --token "$TOKEN" --approve-after 0
  own_known_hosts
  for trust in "-cafile $LOOPBACK_CA" "-fingerprint $(fingerprint)"; do
    # shellcheck disable=SC2086
    request -pool "$HERE" -nowait $trust
    assert_status 0
    printed_command | grep -qF -e "$trust"
    go_on
    assert_status 0
    diff "$BATS_TEST_TMPDIR/stdout" - <<<"$TOKEN"
  done
}

# ---- Settings that trust more ----

@test "BOOTSTRAP_SSL_SERVER_TRUST accepts and records the certificate, with a warning each time" {
  with _CONDOR_BOOTSTRAP_SSL_SERVER_TRUST=true -- -pool "$HERE" -identity alice@own.test
  assert_status 0
  diff known_hosts - <<<"localhost SSL $(certificate)"
  with _CONDOR_BOOTSTRAP_SSL_SERVER_TRUST=true -- -pool "$HERE" -identity alice@own.test
  assert_transcript bootstrap
  [[ $(wc -l <known_hosts) == 1 ]]
}

@test "a warning is shown once, also if every poll has its reason again" {
  pool_with --methods SSL --token "$TOKEN" --approve-after 1 --forget-sessions
  export _CONDOR_SSL_SKIP_HOST_CHECK=true _CONDOR_AUTH_SSL_CLIENT_CAFILE=$LOOPBACK_CA
  authenticate_by SSL
  REQUEST_MAIN=Harness request -pool "$HERE" -identity alice@own.test
  assert_status 0
  [[ $(events '^authenticated') -ge 2 && $(grep -c '^WARNING: SSL_SKIP_HOST_CHECK' "$BATS_TEST_TMPDIR/stderr") == 1 ]]
}

@test "SSL_SKIP_HOST_CHECK accepts a certificate of another host, with a warning, and an address without a name" {
  pool_of --certificate-name cm.example.org
  refused -cafile "$LOOPBACK_CA"
  export _CONDOR_SSL_SKIP_HOST_CHECK=true
  cp "$LOOPBACK_CA" ca.pem
  ask_pool -cafile ca.pem
  assert_status 0
  ask -pool "127.0.0.1:$LOOPBACK_PORT" -identity alice@own.test -cafile ca.pem
  assert_status 0
  assert_transcript skipped
  refused # whose it is, is still a question
}

# ---- Directories, TLS versions, names ----

@test "AUTH_SSL_CLIENT_CADIR names more CAs, in files with hashed names, besides AUTH_SSL_CLIENT_CAFILE" {
  local hash
  pool_of
  other_certificate
  mkdir cas
  cp "$LOOPBACK_CA" cas/ca.pem
  export _CONDOR_AUTH_SSL_CLIENT_CAFILE=$PWD/other.pem
  refused
  export _CONDOR_AUTH_SSL_CLIENT_CADIR=$PWD/cas
  refused # the file has no hashed name
  hash=$(openssl x509 -in "$LOOPBACK_CA" -noout -subject_hash)
  mv cas/ca.pem "cas/$hash.0"
  trusted
  unset _CONDOR_AUTH_SSL_CLIENT_CAFILE
  trusted
  refused -cafile other.pem # which stands for all of them
  mv "cas/$hash.0" "cas/$hash.r0" # a list of revoked certificates has such a name
  refused
}

@test "a pool that speaks TLS 1.2 only, or TLS 1.3 only, is trusted by the same rules" {
  local version
  other_certificate
  for version in TLSv1.2 TLSv1.3; do
    pool_of --tls "$version"
    trusted -cafile "$LOOPBACK_CA"
    refused -cafile other.pem
    pool_of --tls "$version" --certificate-name cm.example.org
    refused -cafile "$LOOPBACK_CA"
  done
}

@test "a certificate that names its host in the subject only is for that host, and for no other" {
  pool_of --certificate-cn-only
  trusted -cafile "$LOOPBACK_CA"
  pool_of --certificate-cn-only --certificate-name other.example.org
  refused -cafile "$LOOPBACK_CA"
}

# ---- Bearer tokens ----

@test "a bearer token goes only to a server that a CA or -fingerprint verifies" {
  local pool=(--methods SCITOKENS)
  authenticate_by SCITOKENS
  export BEARER_TOKEN=$TOKEN
  pool_of "${pool[@]}"
  known "localhost SSL $(certificate)"
  refused
  rm known_hosts
  export _CONDOR_BOOTSTRAP_SSL_SERVER_TRUST=true
  refused
  assert_transcript bearer-kept
  at_terminal -pool "$HERE"
  at_its_end
  lacks shown "$QUESTION"
  [[ ! -e known_hosts && $(events ^bearer-token) == 0 ]]
  trusted -cafile "$LOOPBACK_CA"
  trusted -fingerprint "$(fingerprint)"
  [[ $(events '^authenticated SCITOKENS bound bearer@unmapped') == 2 ]]
  pool_of "${pool[@]}" --certificate-name cm.example.org
  export _CONDOR_SSL_SKIP_HOST_CHECK=true
  refused -cafile "$LOOPBACK_CA"
  [[ $(events ^bearer-token) == 0 ]]
}

@test "if the pool rejects the bearer token, SSL is next" {
  authenticate_by SCITOKENS SSL
  export BEARER_TOKEN=$TOKEN
  pool_of --methods SCITOKENS,SSL --reject-bearer-token
  trusted -cafile "$LOOPBACK_CA"
  [[ $(events ^bearer-token) == 1 && $(events '^failed SCITOKENS') == 1 && $(events '^authenticated SSL') == 1 ]]
  authenticate_by SCITOKENS
  refused -fingerprint "$(fingerprint)"
  says 'the pool does not accept the token in BEARER_TOKEN'
  # A person who accepts the certificate does so for SSL.
  authenticate_by SCITOKENS SSL
  asked
  type_line yes
  at_its_end
  [[ $status == 0 && $(events ^bearer-token) == 2 && $(events '^authenticated SSL') == 2 ]]
}
