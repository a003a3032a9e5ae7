#!/usr/bin/env bats
# A certificate that no known CA signed: the question about it, and what known_hosts says about it.
# shellcheck disable=SC2030,SC2031,SC2034 # settings of one test; settings and REDIRECTION are for the files loaded
load trust

# ---- Without an answer ----

@test "without a terminal an unknown certificate is refused, with the remedies, and nothing is recorded" {
  refused
  [[ ! -e known_hosts ]]
  assert_transcript unknown
}

# ---- The question ----

@test "yes accepts the certificate and is recorded" {
  asked
  type_line yes
  at_its_end
  [[ $status == 0 ]]
  assert_screen yes
  diff known_hosts - <<<"localhost SSL $(certificate)"
  trusted # and nobody is asked again
  lacks "$BATS_TEST_TMPDIR/stderr" SHA-256
  [[ $(wc -l <known_hosts) == 1 && $(stat -c %a known_hosts) == 644 ]]
}

@test "the administrator's fingerprint counts as yes, in every form that -fingerprint takes" {
  local form print
  print=$(fingerprint)
  for form in "$print" "${print^^}" "${print//:/}" "SHA-256: $print" "sha256 Fingerprint=${print^^}" " localhost SSL $print "; do
    asked
    type_line "$form"
    at_its_end
    [[ $status == 0 ]]
    diff known_hosts - <<<"localhost SSL $(certificate)"
    rm known_hosts
  done
}

@test "another fingerprint is refused, nothing is recorded, and the question comes again the next time" {
  local leaf
  other_certificate
  refused
  leaf=$(sed -nE 's/^    SHA-256: (.*)/\1/p' "$BATS_TEST_TMPDIR/stderr")
  asked
  type_line "$(fingerprint other.pem)"
  at_its_end
  [[ $status == 4 && ! -e known_hosts ]]
  assert_screen other-fingerprint
  # So is the pool's own, as the question is about its CA.
  asked
  type_line "$leaf"
  at_its_end
  [[ $status == 4 && ! -e known_hosts ]]
  assert_screen own-fingerprint
  trusted -fingerprint "$leaf"
  # What is almost a fingerprint is no answer.
  asked
  type_line "!localhost SSL $(fingerprint)"
  until_shown "$QUESTION"
  type_line "$(fingerprint):00"
  until_shown "$QUESTION"
  type_line "$(fingerprint)"
  at_its_end
  [[ $status == 0 ]]
}

@test "another fingerprint ends the command, even if a method without a certificate would succeed" {
  unset _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS
  pool_of --methods SSL,IDTOKENS --token-for bob@pool.test
  (umask 077 && mkdir -p "$_CONDOR_SEC_TOKEN_DIRECTORY" && echo "$LOOPBACK_TOKEN" >"$_CONDOR_SEC_TOKEN_DIRECTORY/login")
  other_certificate
  asked
  type_line "$(fingerprint other.pem)"
  at_its_end
  [[ $status == 4 && ! -e known_hosts && $(events ^authenticated) == 0 ]]
  # At the end of input it goes on by the token: that is no objection.
  asked
  printf '\004' >&"$KEYBOARD"
  at_its_end
  [[ $status == 0 && $(events '^authenticated IDTOKENS') == 1 ]]
}

@test "the question has at most eight lines of 80 columns" {
  asked
  type_line no
  at_its_end
  screen | sed "/^$QUESTION/q" | fold -w 80 | wc -l >lines
  diff lines - <<<8
}

@test "no ends the command and is recorded" {
  asked
  type_line no
  at_its_end
  [[ $status == 4 ]]
  assert_screen no
  diff known_hosts - <<<"!localhost SSL $(certificate)"
  # Nobody is asked again, neither here nor there.
  at_terminal -pool "$HERE" -identity alice@own.test
  at_its_end
  [[ $status == 4 ]]
  lacks shown "$QUESTION"
  refused
  assert_transcript refused-earlier
}

@test "any other answer repeats the question" {
  local answer
  asked
  for answer in y YES '' ' yes' 'yes please'; do
    type_line "$answer"
    until_shown "$QUESTION"
  done
  type_line yes
  at_its_end
  [[ $status == 0 ]]
  assert_screen again
}

@test "the end of input is not an answer: nothing is recorded" {
  asked
  printf '\004' >&"$KEYBOARD"
  at_its_end
  [[ $status == 4 && ! -e known_hosts ]]
  grep -q 'its CA is unknown' shown
  [[ $(grep -c "$QUESTION" shown) == 1 ]]
}

@test "Ctrl-C at the question ends the command without a request and without a record" {
  local before
  before=$(events ^start)
  asked
  printf '\003' >&"$KEYBOARD"
  at_its_end
  [[ $status == 130 && ! -e known_hosts && $(events ^start) == "$before" ]]
}

@test "with -json and -quiet the question is on stderr, too" {
  REDIRECTION='>stdout' asked -json
  type_line yes
  at_its_end
  [[ $status == 0 ]]
  "$TESTS_DIR/validate" --exit 0 stdout
  [[ $(jq -r .token stdout) == "$TOKEN" ]]
  rm known_hosts
  REDIRECTION='>stdout' asked -quiet
  type_line yes
  at_its_end
  [[ $status == 0 ]]
  diff stdout - <<<"$TOKEN"
}

@test "without a terminal on stdin and stderr, or with prompts off, there is no question" {
  local redirection
  for redirection in '</dev/null' '2>errors'; do
    REDIRECTION=$redirection at_terminal -pool "$HERE" -identity alice@own.test
    at_its_end
    [[ $status == 4 && ! -e known_hosts ]]
    lacks shown "$QUESTION"
  done
  lacks errors "$QUESTION"
  _CONDOR_BOOTSTRAP_SSL_SERVER_TRUST_PROMPT_USER=false at_terminal -pool "$HERE" -identity alice@own.test
  at_its_end
  [[ $status == 4 && ! -e known_hosts ]]
  lacks shown "$QUESTION"
}

@test "an answer that cannot be saved holds for this run" {
  touch file
  export _CONDOR_SEC_KNOWN_HOSTS=$PWD/file/known_hosts
  asked
  type_line yes
  at_its_end
  [[ $status == 0 ]]
  assert_screen not-remembered
}

@test "there is no question about an expired certificate, or one of another host" {
  pool_of --certificate-expired
  at_terminal -pool "$HERE" -identity alice@own.test
  at_its_end
  [[ $status == 4 && ! -e known_hosts ]]
  grep -q 'it has expired' shown
  lacks shown "$QUESTION"
  pool_of --certificate-name cm.example.org
  at_terminal -pool "$HERE" -identity alice@own.test
  at_its_end
  [[ $status == 4 && ! -e known_hosts ]]
  grep -q 'the certificate is not for localhost' shown
  lacks shown "$QUESTION"
}

@test "the question is about the pool's own certificate if the pool sends no other" {
  local option words leaf
  for option in --certificate-self-signed --certificate-alone; do
    pool_of "$option"
    asked
    words=$(tr -d '\r' <shown | sed -nE 's/^localhost (has a )/\1/p; /^  condor_ssl_fingerprint /p')
    type_line yes
    at_its_end
    [[ $status == 0 ]]
    # It is the pool's own certificate, of which only the pool knows.
    cut -d ' ' -f 3 known_hosts | base64 -d | openssl x509 -inform DER -noout -subject | grep -q localhost
    trusted
    rm known_hosts
    echo "$words" >>words
  done
  diff words - <<'END'
has a certificate that no known CA signed.
  condor_ssl_fingerprint FILE  (see condor_config_val AUTH_SSL_SERVER_CERTFILE)
has a certificate that no known CA signed.
  condor_ssl_fingerprint FILE  (see condor_config_val AUTH_SSL_SERVER_CERTFILE)
END
}

# ---- Earlier answers ----

@test "a line for this host, SSL and this certificate accepts it, whatever precedes it" {
  local before cert
  cert=$(certificate)
  other_certificate
  known "  localhost SSL $cert  and more"
  trusted
  for before in '# ours' "localhost SSL $(certificate other.pem)" "!localhost SSL $(certificate other.pem)" \
    'localhost SSL @trusted' 'localhost FS unknown' '!localhost IDTOKENS condor@password'; do
    known "$before" "localhost SSL $cert"
    cp known_hosts before
    trusted
    cmp known_hosts before
  done
}

@test "lines for other hosts, methods or certificates are ignored" {
  local line cert
  cert=$(certificate)
  other_certificate
  for line in '' "# localhost SSL $cert" $'localhost\tSSL\t'"$cert" "localhost  SSL $cert" 'localhost SSL' "LOCALHOST SSL $cert" \
    "elsewhere SSL $cert" "!elsewhere SSL $cert" "notlocalhost SSL $cert" "localhost.evil.example SSL $cert" \
    "localhost ssl $cert" "localhost FS $cert" "!localhost FS unknown" \
    "!localhost SSL $(certificate other.pem)" $'\xff\xfe'; do
    known "$line"
    cp known_hosts before
    refused
    says 'its CA is unknown'
    cmp known_hosts before
  done
}

@test "a changed certificate ends the command with a warning in capitals and without a question" {
  other_certificate
  known '# ours' "localhost SSL $(certificate other.pem)"
  refused
  known 'localhost SSL @trusted' "localhost SSL $(certificate other.pem)" # the line with a certificate counts
  refused
  known 'localhost SSL MIInonsense'
  refused
  assert_transcript changed
  at_terminal -pool "$HERE"
  at_its_end
  [[ $status == 4 ]]
  lacks shown "$QUESTION"
  diff known_hosts - <<<'localhost SSL MIInonsense'
}

@test "if a CA verified the host before, the refusal says that this CA is missing, and how to add it" {
  other_certificate
  cp "$LOOPBACK_CA" ca.pem
  known '# ours' 'localhost SSL @trusted' '!localhost FS unknown'
  refused
  export _CONDOR_AUTH_SSL_CLIENT_CAFILE=other.pem
  refused
  assert_transcript ca-missing
  at_terminal -pool "$HERE" -identity alice@own.test
  at_its_end
  [[ $status == 4 ]]
  lacks shown "$QUESTION"
  # Each way that it names works.
  trusted -cafile ca.pem
  trusted -fingerprint "$(fingerprint)"
  _CONDOR_AUTH_SSL_CLIENT_CAFILE=ca.pem trusted
  sed -i 2d known_hosts
  asked
  type_line yes
  at_its_end
  [[ $status == 0 ]]
}

@test "a refusal by a line that HTCondor may have written names both causes, and its remedy brings the question" {
  # As condor_auth_ssl.cpp writes without a terminal, and for a certificate other than the one it knew.
  known 'localhost SSL @trusted' "!localhost SSL $(certificate)"
  refused
  assert_transcript refused-by-htcondor
  says "You answered no, or an HTCondor tool wrote that line without asking." "(line 2) from $PWD/known_hosts"
  trusted -fingerprint "$(fingerprint)"
  sed -i 2d known_hosts
  refused
  says 'a CA verified localhost before'
  sed -i 1d known_hosts
  asked
  type_line yes
  at_its_end
  [[ $status == 0 ]]
}

@test "a refused certificate stays refused, even with bootstrap trust, until a CA verifies it" {
  known "!localhost SSL $(certificate)"
  export _CONDOR_BOOTSTRAP_SSL_SERVER_TRUST=true
  refused
  says 'the certificate is refused'
  trusted -cafile "$LOOPBACK_CA"
}

@test "an answer starts on a new line, even if the file lacks a final newline" {
  printf '# no end' >known_hosts
  asked
  type_line no
  at_its_end
  diff known_hosts - <<END
# no end
!localhost SSL $(certificate)
END
}

@test "if known_hosts cannot be read, no unknown certificate is accepted" {
  mkdir known_hosts
  refused
  assert_transcript unreadable
}

@test "the file is SEC_KNOWN_HOSTS, else the user's, or for root the system's" {
  local as_user=(unshare --user --map-user=1000)
  export _CONDOR_BOOTSTRAP_SSL_SERVER_TRUST=true
  trusted
  [[ -s known_hosts ]]
  unset _CONDOR_SEC_KNOWN_HOSTS
  export _CONDOR_SEC_SYSTEM_KNOWN_HOSTS=$PWD/etc/condor/known_hosts
  if [[ $(id -u) == 0 ]]; then
    trusted
    [[ -s etc/condor/known_hosts && ! -e $HOME/.condor/known_hosts ]]
    rm etc/condor/known_hosts
    "${as_user[@]}" true 2>/dev/null || skip 'only root is to be had here'
    settings=("${as_user[@]}")
  fi
  trusted
  [[ -s $HOME/.condor/known_hosts && ! -e etc/condor/known_hosts ]]
}

@test "an alias that is not a host name cannot inject a line for another host" {
  export _CONDOR_BOOTSTRAP_SSL_SERVER_TRUST=true
  request -pool "<127.0.0.1:$LOOPBACK_PORT?alias=localhost%0Aother%20SSL%20@trusted>" -identity alice@own.test
  assert_status 4
  says 'a certificate carries a name, and only an address is known'
  [[ ! -e known_hosts ]]
  # Where no name is asked for, the address stands for it.
  export _CONDOR_SSL_SKIP_HOST_CHECK=true
  request -pool "<127.0.0.1:$LOOPBACK_PORT?alias=localhost%0Aother%20SSL%20@trusted>" -identity alice@own.test
  assert_status 0
  diff known_hosts - <<<"127.0.0.1 SSL $(certificate)"
}
