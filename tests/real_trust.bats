#!/usr/bin/env bats
# Which certificates are trusted, at real pools: the questions at a terminal, what is refused without a question, and a
# file of known hosts that is the original's, too. Both releases say the same, so both are held against one golden.
load real
load real_trust

# HTCondor 23 remembers what it offered under the settings of somebody before us.
setup_file() { every_pool restart-collector; }

# What was asked for only to see whether it can be, the pool forgets.
teardown_file() { every_pool auto-approve off; }

teardown() {
  end_client
  let_go
  put_back
}

# at RELEASE: a client that neither has the pool's CA nor has heard of it. (Root's known hosts are the machine's.)
at() {
  on "$1"
  authenticate_by SSL
  unset _CONDOR_AUTH_SSL_CLIENT_CAFILE
  know_hosts_by "$HOME/known_hosts"
  export TERM=dumb # no line that waits, no colours: terminal.bats has them
}

# assert_trust_golden CASE: hides what else differs from machine to machine
assert_trust_golden() {
  local rules=(
    "s/\b(host|certificate of|CERTIFICATE OF|not for|matching|with) (!?)$POOL_HOST\b/\1 \2<HOST>/g" # the machine's name
    's/(pending-token-request-<POOL>-)[0-9]{7}\b/\1<ID>/g'                                      # random
    's/(expired \().*\)/\1<TIME>)/'                                                             # yesterday
  )
  sed -Ei "${rules[@]/#/-e}" "$BATS_TEST_TMPDIR/record"
  assert_pool_golden "$1"
}

# ---- The question ----

yes_at_terminal() {
  at "$1"
  ask_at_terminal
  type_in 'y\n'
  type_in 'YES\n' 2
  type_in 'yes\n' 3
  get_up
  was_taken
  says "SHA-256: $(fingerprint "$POOL_CA")"
  known "$POOL_CA"
  [[ $(stat -c %a "$KNOWN_HOSTS") == 644 ]]
  assert_trust_golden yes_at_terminal
  is_trusted
  ask_at_terminal
  get_up
  was_taken
  says_nothing_of 'Please type'
  known "$POOL_CA"
}

@test "stable: after the answer yes the question about the pool's CA does not return; it has the original's words" { yes_at_terminal stable; }
@test "testing: after the answer yes the question about the pool's CA does not return; it has the original's words" { yes_at_terminal testing; }

no_at_terminal() {
  at "$1"
  answers 'no\n'
  was_refused
  known "!$POOL_CA"
  assert_trust_golden no_at_terminal
  is_refused
  says "refused ($KNOWN_HOSTS:1)"
  assert_trust_golden refused_before
  known "!$POOL_CA"
}

@test "stable: after the answer no the question does not return, and the message names the file" { no_at_terminal stable; }
@test "testing: after the answer no the question does not return, and the message names the file" { no_at_terminal testing; }

no_answer() {
  at "$1"
  answers '\004'
  was_refused
  unknown
  assert_trust_golden no_answer
  answers '\003'
  assert_status 130
  unknown
  says_nothing_of Failed
}

@test "stable: the end of input and Ctrl-C are not answers, so nothing is written" { no_answer stable; }
@test "testing: the end of input and Ctrl-C are not answers, so nothing is written" { no_answer testing; }

nobody_to_ask() {
  local option
  at "$1"
  ask
  was_refused
  unknown
  assert_trust_golden nobody_to_ask
  says "SHA-256: $(fingerprint "$POOL_ROOT/etc/condor/hostcert.pem")"
  option=$(grep -Eo -- '-fingerprint [0-9a-f:]+' "$BATS_TEST_TMPDIR/stderr")
  [[ $option == "-fingerprint $(fingerprint "$POOL_CA")" ]]
  # shellcheck disable=SC2086 # as it would be typed
  is_trusted $option
  unknown
}

@test "stable: without a terminal the remedies are shown, and the first one works" { nobody_to_ask stable; }
@test "testing: without a terminal the remedies are shown, and the first one works" { nobody_to_ask testing; }

not_asked() {
  at "$1"
  export _CONDOR_BOOTSTRAP_SSL_SERVER_TRUST_PROMPT_USER=false
  is_refused
  unknown
  assert_trust_golden not_asked
}

@test "stable: there is no question if the setting turns it off" { not_asked stable; }
@test "testing: there is no question if the setting turns it off" { not_asked testing; }

# ---- Options ----

by_fingerprint() {
  local ca leaf form
  at "$1"
  share_known_hosts
  ca=$(fingerprint "$POOL_CA")
  leaf=$(fingerprint "$POOL_ROOT/etc/condor/hostcert.pem")
  line "$POOL_CA" >"$SHARED/elsewhere"
  for form in "$ca" "$leaf" "$(tr -d : <<<"${leaf^^}")" "SHA-256: $ca" \
    "$(openssl x509 -noout -fingerprint -sha256 -in "$POOL_CA")" \
    "$(pool exec condor_ssl_fingerprint /etc/condor/hostcert.pem 2>&1)" \
    "$(pool exec condor_ssl_fingerprint "$SHARED/elsewhere")"; do
    is_trusted -fingerprint "$form"
  done
  [[ $form == " $POOL_HOST SSL $ca" ]] # the last one is as the original writes it
  # Of several, one has to fit.
  is_trusted -fingerprint "$(fingerprint "$(other_ca)")" -fingerprint "$leaf"
  unknown
  line "!$POOL_CA" >"$SHARED/elsewhere"
  ask -fingerprint "$(pool exec condor_ssl_fingerprint "$SHARED/elsewhere")"
  assert_status 2
  says "Invalid argument for -fingerprint: !$POOL_HOST SSL $ca."
}

@test "stable: a fingerprint of the certificate or its CA suffices, in every usual form" { by_fingerprint stable; }
@test "testing: a fingerprint of the certificate or its CA suffices, in every usual form" { by_fingerprint testing; }

wrong_fingerprint() {
  at "$1"
  allow_fs
  unset _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS
  log_in_with "$(pool token condor@pool.test)"
  is_trusted -debug:D_SECURITY
  says 'Authenticated with FS as '
  unset _CONDOR_SEC_FS_ENFORCE_CHANNEL_BINDING
  authenticate_by IDTOKENS
  is_trusted -debug:D_SECURITY
  says 'Authenticated with IDTOKENS as '
  authenticate_by FS IDTOKENS SSL
  line "$POOL_CA" >"$KNOWN_HOSTS"
  is_refused -fingerprint "$(fingerprint "$(other_ca)")"
  says "expected: SHA-256 $(fingerprint "$(other_ca)")" "its CA: /O=condor/CN=pool.test, SHA-256: $(fingerprint "$POOL_CA")"
  assert_trust_golden wrong_fingerprint
  unset _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS
  is_refused -fingerprint "$(fingerprint "$(other_ca)")" -debug:D_SECURITY
  says_nothing_of 'Authenticated with'
}

@test "stable: a certificate other than the expected one ends the command, and no other method is tried" { wrong_fingerprint stable; }
@test "testing: a certificate other than the expected one ends the command, and no other method is tried" { wrong_fingerprint testing; }

by_ca_file() {
  at "$1"
  is_trusted -cafile "$POOL_CA"
  cp "$(other_ca)" other-ca.pem
  # The option is instead of everything else.
  line "$POOL_CA" >"$KNOWN_HOSTS"
  export _CONDOR_AUTH_SSL_CLIENT_CAFILE=$POOL_CA _CONDOR_BOOTSTRAP_SSL_SERVER_TRUST=true
  is_refused -cafile other-ca.pem
  assert_trust_golden other_ca_file
  cat other-ca.pem "$POOL_CA" >both.pem
  is_trusted -cafile both.pem
  says_nothing_of WARNING
  known "$POOL_CA"
  echo 'no certificate' >empty.pem
  for file in missing.pem empty.pem; do
    HERE=127.0.0.1:1 ask -cafile "$file" # nobody is there to be asked
    assert_status 2
    says "Invalid argument for -cafile: $file."
  done
}

@test "stable: -cafile names the trusted CAs, and is read before the first connection" { by_ca_file stable; }
@test "testing: -cafile names the trusted CAs, and is read before the first connection" { by_ca_file testing; }

no_name() {
  local suggested
  at "$1"
  HERE=127.0.0.1:$POOL_PORT
  is_refused
  unknown
  assert_trust_golden no_name
  suggested=$(grep -Eo '<127[^>]*alias=HOST>' "$BATS_TEST_TMPDIR/stderr")
  # shellcheck disable=SC2034 # for ask_at_terminal
  HERE=${suggested/=HOST>/=$POOL_HOST>}
  answers 'yes\n'
  was_taken
  known "$POOL_CA"
}

@test "stable: for an address the message says to add the name in the certificate" { no_name stable; }
@test "testing: for an address the message says to add the name in the certificate" { no_name testing; }

# ---- Certificates of other kinds ----

# is_beyond_trust CERTIFICATE: whatever is said for it
is_beyond_trust() {
  is_refused -cafile "$POOL_CA"
  is_refused -fingerprint "$(fingerprint "$POOL_CA")"
  is_refused -fingerprint "$(fingerprint "$1.pem")"
  _CONDOR_BOOTSTRAP_SSL_SERVER_TRUST=true is_refused
  unknown
  is_refused
  line "$POOL_CA" "$1.pem" >"$KNOWN_HOSTS"
  is_refused
  known "$POOL_CA" "$1.pem"
  rm "$KNOWN_HOSTS"
}

never_forgiven() {
  at "$1"
  take_pools_ca
  host elsewhere pool other.test
  show elsewhere pool
  is_beyond_trust elsewhere
  assert_trust_golden elsewhere
  DAYS=-1 host expired pool
  show expired pool
  is_beyond_trust expired
  assert_trust_golden expired
  host good pool
  show good pool
  is_trusted -cafile "$POOL_CA" # so it was not for something else
}

@test "stable: there is no question about a wrong name or an expired certificate" { never_forgiven stable; }
@test "testing: there is no question about a wrong name or an expired certificate" { never_forgiven testing; }

# asks_about CERTIFICATE: of all that is shown; accepted, it is known to us and to the original
asks_about() {
  rm -f "$KNOWN_HOSTS"
  answers 'yes\n'
  was_taken
  says "SHA-256: $(fingerprint "$1.pem")"
  known "$1.pem"
  is_trusted
  original
}

of_other_kinds() {
  local one
  at "$1"
  host self self
  ca root root
  ca middle root
  host leaf middle

  show self
  answers 'no\n'
  assert_trust_golden self_signed
  is_trusted -fingerprint "$(fingerprint self.pem)"
  show leaf middle root
  answers 'no\n'
  assert_trust_golden chain
  for one in leaf middle root; do
    is_trusted -fingerprint "$(fingerprint "$one.pem")"
  done
  is_trusted -cafile root.pem
  is_refused -cafile "$POOL_CA"

  share_known_hosts
  asks_about root
  show leaf middle
  asks_about middle
  show leaf
  asks_about leaf
  show self
  asks_about self
}

@test "stable: the question is about the end of the chain that the pool shows" { of_other_kinds stable; }
@test "testing: the question is about the end of the chain that the pool shows" { of_other_kinds testing; }

changed() {
  at "$1"
  answers 'yes\n'
  was_taken
  cp "$POOL_CA" former.pem
  rm "$POOL_ROOT"/etc/condor/{hostcert,hostkey,trust_domain_ca,trust_domain_ca_privkey}.pem
  pool restart-collector >/dev/null 2>&1 # which makes new ones
  [[ -s $POOL_CA && $(fingerprint "$POOL_CA") != "$(fingerprint former.pem)" ]]

  _CONDOR_BOOTSTRAP_SSL_SERVER_TRUST=true is_refused
  is_refused
  says "HAS CHANGED ($KNOWN_HOSTS:1)" "accepted before: SHA-256 $(fingerprint former.pem)" \
    "now: SHA-256 $(fingerprint "$POOL_CA")"
  known former.pem
  assert_trust_golden changed

  sed -i 1d "$KNOWN_HOSTS"
  # The former one is of the same name, and vouches for nothing.
  _CONDOR_AUTH_SSL_CLIENT_CAFILE=$PWD/former.pem answers 'yes\n'
  was_taken
  known "$POOL_CA"
}

@test "stable: a pool with a new CA is refused until its old line is removed from the file" { changed stable; }
@test "testing: a pool with a new CA is refused until its old line is removed from the file" { changed testing; }

# ---- Without a question ----

bootstrap() {
  at "$1"
  export _CONDOR_BOOTSTRAP_SSL_SERVER_TRUST=true
  is_trusted
  known "$POOL_CA"
  says "SHA-256 $(fingerprint "$POOL_CA")"
  assert_trust_golden bootstrap
  is_trusted
  says 'WARNING: BOOTSTRAP_SSL_SERVER_TRUST is on (environment variable '
  known "$POOL_CA"
  # A setting is no answer to who has said no.
  line "!$POOL_CA" >"$KNOWN_HOSTS"
  is_refused
  # Where a CA vouches, nothing is to be warned of.
  is_trusted -cafile "$POOL_CA"
  says_nothing_of WARNING
}

@test "stable: accepting all certificates prints a warning each time" { bootstrap stable; }
@test "testing: accepting all certificates prints a warning each time" { bootstrap testing; }

bearer_token() {
  local kept='SCITOKENS failed: the certificate is not trusted' sent='SCITOKENS failed: the pool does not accept the token'
  at "$1"
  configure 'SEC_DEFAULT_AUTHENTICATION_METHODS = SCITOKENS, SSL'
  authenticate_by SCITOKENS SSL
  export BEARER_TOKEN=eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJodHRwczovL2lzc3Vlci5pbnZhbGlkIn0.c2lnbmF0dXJl
  line "$POOL_CA" >"$KNOWN_HOSTS"
  is_trusted -debug:D_SECURITY
  says "$kept" 'A bearer token goes only to a server' 'Authenticated with SSL as '
  rm "$KNOWN_HOSTS"
  _CONDOR_BOOTSTRAP_SSL_SERVER_TRUST=true is_trusted -debug:D_SECURITY
  says "$kept" 'Authenticated with SSL as '
  # Nor is that what people are asked about.
  authenticate_by SCITOKENS
  is_refused
  authenticate_by SCITOKENS SSL
  is_trusted -debug:D_SECURITY -cafile "$POOL_CA"
  says "$sent" 'Authenticated with SSL as '
  is_trusted -debug:D_SECURITY -fingerprint "$(fingerprint "$POOL_CA")"
  says "$sent" 'Authenticated with SSL as '
}

@test "stable: a bearer token is not sent to a server that is trusted only by known_hosts" { bearer_token stable; }
@test "testing: a bearer token is not sent to a server that is trusted only by known_hosts" { bearer_token testing; }

# ---- The original's file ----

ours_for_the_original() {
  at "$1"
  share_known_hosts
  answers 'yes\n'
  was_taken
  original
  known "$POOL_CA"
  rm "$KNOWN_HOSTS"
  answers 'no\n'
  fails original _CONDOR_BOOTSTRAP_SSL_SERVER_TRUST=true
  known "!$POOL_CA"
}

@test "stable: the original accepts the lines that this client wrote" { ours_for_the_original stable; }
@test "testing: the original accepts the lines that this client wrote" { ours_for_the_original testing; }

the_originals_for_us() {
  at "$1"
  share_known_hosts
  original _CONDOR_BOOTSTRAP_SSL_SERVER_TRUST=true
  known "$POOL_CA"
  is_trusted
  rm "$KNOWN_HOSTS"
  fails original # which nobody can answer
  known "!$POOL_CA"
  is_refused
  says "refused ($KNOWN_HOSTS:1)"
  # A CA vouched for it there; not so here.
  rm "$KNOWN_HOSTS"
  original _CONDOR_AUTH_SSL_CLIENT_CAFILE=/etc/condor/trust_domain_ca.pem
  diff "$KNOWN_HOSTS" - <<<"$POOL_HOST SSL @trusted"
  is_refused
  says "a CA verified $POOL_HOST before, but no configured CA does now ($KNOWN_HOSTS:1)"
  # What it writes of other methods keeps it from asking, but not us.
  rm "$KNOWN_HOSTS"
  original _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS=FS
  diff "$KNOWN_HOSTS" - <<<"$POOL_HOST FS unknown"
  chown root "$KNOWN_HOSTS" # a user of the pool has written it, whom root does not believe
  answers 'yes\n'
  was_taken
  diff "$KNOWN_HOSTS" <(echo "$POOL_HOST FS unknown" && line "$POOL_CA")
  is_trusted
}

@test "stable: this client accepts the lines that the original wrote" { the_originals_for_us stable; }
@test "testing: this client accepts the lines that the original wrote" { the_originals_for_us testing; }
