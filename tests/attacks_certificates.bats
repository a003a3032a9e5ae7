#!/usr/bin/env bats
# Certificates that must not be believed, each beside what openssl says to it and beside a good one that differs from it
# in one thing (support/certificates.sh makes them, and the table of verdicts). All of them are judged in a handshake in
# memory (support/JudgeCertificates.java); some are also shown by a pool, to a whole request.
# shellcheck disable=SC2030,SC2031 # settings of one test
load terminal

setup_file() {
  local options
  export MADE=$BATS_FILE_TMPDIR/made
  read -ra options <<<"$TOKEN_REQUEST_JAVA_OPTIONS"
  "$TESTS_DIR/support/certificates.sh" "$MADE"
  # Java's own limit to a chain is raised, so that ours is seen.
  java "${options[@]}" -Djdk.tls.maxCertificateChainLength=100 -Djdk.tls.client.maxInboundCertificateChainLength=100 \
    -cp "$TOKEN_REQUEST_CLASSPATH" tokenrequest.JudgeCertificates "$MADE" >"$MADE/verdicts"
}

setup() {
  setup_terminal
  authenticate_by SSL
  export _CONDOR_SEC_KNOWN_HOSTS=$PWD/known_hosts
  unset _CONDOR_AUTH_SSL_CLIENT_CAFILE
}

teardown() {
  stop_loopback_pool
  end_old_pool
  [[ -z ${client-} ]] || kill -KILL "$client" 2>/dev/null || : # its terminal goes with it
}

# ---- The table ----

# find_row CASE: sets host, trusted (a kind, and what it is about), shown (certificates) and ours (yes or no)
find_row() {
  local line names
  line=$(awk -F'|' -v case="$1" '$1 == case' "$MADE/cases")
  [[ -n $line ]] || { echo "no case: $1" && return 1; }
  IFS='|' read -r _ host trusted names ours _ <<<"$line"
  IFS=, read -ra shown <<<"$names"
}

# together FILE NAME...: these certificates in one file
together() {
  local names=("${@:2}")
  (cd "$MADE" && cat "${names[@]/%/.pem}") >"$1"
}

# trusted_file: what is trusted of the row that was found, in the file trusted.pem
trusted_file() {
  local names
  case $trusted in
    asked) names=("${shown[-1]}") ;;
    *) IFS=, read -ra names <<<"${trusted#*:}" ;;
  esac
  together trusted.pem "${names[@]}"
}

# openssl_accepts: the row that was found
openssl_accepts() {
  local options=(-auth_level 2 -purpose sslserver)
  case $host in
    *[g-z]*) options+=(-verify_hostname "$host") ;;
    *) options+=(-verify_ip "$host") ;;
  esac
  [[ $trusted != part:* && $trusted != fp:* ]] || options+=(-partial_chain)
  trusted_file
  together shown.pem "${shown[@]}"
  openssl verify "${options[@]}" -CAfile trusted.pem -untrusted shown.pem "$MADE/${shown[0]}.pem" >openssl-says 2>&1
}

# lists FIELD: what that field says, 5 for us and 6 for openssl, and the case
lists() { awk -F'|' -v field="$1" '{ print $field "|" $1 }' "$MADE/cases"; }

@test "each certificate is judged as the table says, on either side of every rule" {
  diff <(lists 5) <(grep -E '^[a-z]+\|' "$MADE/verdicts")
  [[ $(lists 5 | grep -c '^no|') -ge 150 && $(lists 5 | grep -c '^yes|') -ge 60 ]]
  [[ -z $(lists 5 | sort | uniq -d) ]]
}

@test "openssl at security level 2 says what the table says of it" {
  local case verdict
  while IFS='|' read -r case _; do
    find_row "$case"
    verdict=yes
    openssl_accepts || verdict=no
    echo "$verdict|$case"
  done <"$MADE/cases" >verdicts
  diff <(lists 6) verdicts
}

@test "where the two differ, there is a reason, and nowhere else" {
  [[ -z $(awk -F'|' '($5 != $6) != ($7 != "")' "$MADE/cases") ]]
  {
    echo '--- Trusted here, and not by openssl'
    awk -F'|' '$5 == "yes" && $6 == "no" { print $1 ": " $7 }' "$MADE/cases"
    echo '--- Trusted by openssl, and not here'
    awk -F'|' '$5 == "no" && $6 == "yes" { print $1 ": " $7 }' "$MADE/cases"
  } >"$BATS_TEST_TMPDIR/record"
  assert_golden attacks_certificates/differences
}

@test "a refusal says which certificate it is about, what is wrong with it, and what helps" {
  # Of each message, the first line and the last.
  awk 'function finish() { if (refused) print name; if (refused && first) print first; if (refused && last) print last }
    /^[a-z]+\|/ { finish(); refused = /^no/; name = substr($0, 4); first = last = ""; next }
    first { last = $0; next }
    { first = $0 }
    END { finish() }' "$MADE/verdicts" |
    sed -e "s|$MADE|<MADE>|" -e 's/has [0-9]* bytes; the limit/has <SIZE> bytes; the limit/' >"$BATS_TEST_TMPDIR/record"
  assert_golden attacks_certificates/refusals
}

# ---- A pool that shows them ----

# show OPTION... -- NAME...: the pool has the certificate NAME, and shows the others after it
show() {
  local options=()
  while [[ $1 != -- ]]; do
    options+=("$1")
    shift
  done
  together "$BATS_TEST_TMPDIR/shown.pem" "${@:2}"
  pool_with --auto-approve --token "$TOKEN" --certificate-chain "$BATS_TEST_TMPDIR/shown.pem" \
    --certificate-key "$MADE/$2.key" "${options[@]}"
  unset _CONDOR_AUTH_SSL_CLIENT_CAFILE
}

# ask_for HOST ARGUMENT...: a request to the pool as if HOST were its name
ask_for() { request -pool "<127.0.0.1:$LOOPBACK_PORT?alias=$1>" -identity alice@own.test "${@:2}"; }

trusts() {
  ask_for "$@"
  assert_status 0
  diff "$BATS_TEST_TMPDIR/stdout" - <<<"$TOKEN"
}

refuses() {
  local before
  before=$(events '^(authenticated|start|issued)')
  ask_for "$@"
  assert_status 4
  [[ ! -s $BATS_TEST_TMPDIR/stdout && $(events '^(authenticated|start|issued)') == "$before" ]]
  lacks "$BATS_TEST_TMPDIR/stderr" 'Internal error'
}

# says TEXT: it is on stderr
says() { grep -qF -e "$1" "$BATS_TEST_TMPDIR/stderr" || { cat "$BATS_TEST_TMPDIR/stderr" && return 1; }; }

fingerprint() { openssl x509 -in "$MADE/$1.pem" -noout -fingerprint -sha256 | sed 's/.*=//'; }

# meet CASE: a request to the pool of that row, with what the row trusts; the outcome is the row's, and so is the reason
meet() {
  local arguments=() settings=()
  find_row "$1"
  show -- "${shown[@]}"
  trusted_file
  case $trusted in
    asked) settings=(_CONDOR_BOOTSTRAP_SSL_SERVER_TRUST=true) ;; # which stands for a person who says yes
    fp:*) arguments=(-fingerprint "$(fingerprint "${trusted#fp:}")") ;;
    *) arguments=(-cafile trusted.pem) ;;
  esac
  if [[ $ours == yes ]]; then
    trusts "$host" "${arguments[@]}"
  else
    refuses "$host" "${arguments[@]}"
    says "$(grep -A1 -xF "no|$1" "$MADE/verdicts" | sed -n '2s/^ *//p')"
    [[ ! -e known_hosts ]]
  fi
  rm -f known_hosts
}

@test "a root, an intermediate CA or a pinned certificate out of its time is refused, and one in its time is not" {
  local at
  meet 'with an intermediate CA'
  meet 'signed by itself, and trusted itself'
  meet 'fingerprint of the host'
  meet 'a root that a person accepts'
  for at in PAST FUTURE; do
    meet "validity: the root's is $at"
    meet "validity: the intermediate CA's is $at"
    meet "validity: signed by itself, trusted itself, and $at"
    meet "validity: fingerprint of the host's, which is $at"
    meet "validity: a root accepted by a person, and $at"
  done
  meet 'a root that was renewed, the old one first'
}

@test "what limits a CA is kept, also of a root, and of one that a person accepts" {
  meet 'path length 0 of a root, and no other CA'
  meet 'path length 0 of a root, and one more CA'
  meet 'purpose of a root: serverAuth'
  meet 'purpose of a root: clientAuth'
  meet 'purpose of an intermediate CA: serverAuth'
  meet 'purpose of an intermediate CA: clientAuth'
  meet 'name constraints of a root: permitted;DNS:pool.test'
  meet 'name constraints of a root: permitted;DNS:other.test, not kept'
  meet 'name constraints, not kept, of a root that a person accepts'
  meet 'name constraints of a CA that is trusted with its root, kept'
  meet 'name constraints of a CA that is trusted without its root, kept'
}

@test "short keys and broken hashes are refused, anywhere but in a root's own signature" {
  meet 'key: rsa2048'
  meet 'key of the host: RSA, 1024 bits'
  meet 'key of a root: RSA, 1024 bits, and its fingerprint'
  meet 'key: RSA, 1024 bits, signed by itself and accepted by a person'
  meet "hash of a root's own signature: SHA-1"
  meet "hash of the host's certificate: SHA-1"
  meet "hash of an intermediate CA's: SHA-1"
  meet 'hash of a PSS signature: SHA-256'
  meet 'hash of a PSS signature: SHA-1'
}

@test "a certificate is for the hosts that it names in the proper place" {
  meet 'name: a wildcard for its first label'
  meet 'name: a wildcard for the second label'
  meet 'name: a wildcard in the end of a label'
  meet 'common name: it, and no entries'
  meet 'common name: it, and a DNS entry for another'
  meet 'name: an IP address'
  meet 'name: an IP address as that of a host'
  meet 'common name: an IP address'
}

@test "CAs from the settings and the system's are held to the same rules, and the system's forgive nothing" {
  local kind
  together good.pem root
  together bad.pem root-PAST
  mkdir directory
  for kind in CAFILE CADIR SYSTEM; do
    case $kind in
      CAFILE) export _CONDOR_AUTH_SSL_CLIENT_CAFILE=now.pem ;;
      CADIR) export _CONDOR_AUTH_SSL_CLIENT_CADIR=directory ;;
      SYSTEM) export _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=true SSL_CERT_FILE=$PWD/now.pem ;;
    esac
    cp bad.pem now.pem
    cp bad.pem directory/0123abcd.0
    show -- below-root-PAST
    [[ $kind != CAFILE ]] || export _CONDOR_AUTH_SSL_CLIENT_CAFILE=now.pem
    refuses cm.pool.test
    says 'its CA /O=test/CN=root-PAST has expired'
    cp good.pem now.pem
    cp good.pem directory/0123abcd.0
    show -- good
    [[ $kind != CAFILE ]] || export _CONDOR_AUTH_SSL_CLIENT_CAFILE=now.pem
    trusts cm.pool.test
    unset _CONDOR_AUTH_SSL_CLIENT_CAFILE _CONDOR_AUTH_SSL_CLIENT_CADIR
  done
  # The same root, renewed, among the system's; the user's own is the old one.
  together now.pem renewed-after
  together old.pem renewed-before
  show -- by-renewed
  trusts cm.pool.test
  export _CONDOR_AUTH_SSL_CLIENT_CAFILE=old.pem
  refuses cm.pool.test
  says 'its CA /O=test/CN=renewed has expired'
}

@test "an answer, or a line in known_hosts, makes up for nothing else" {
  local name
  for name in alone alone-rsa1024 alone-PAST alone-clientAuth; do
    show -- "$name"
    echo "cm.pool.test SSL $(openssl x509 -in "$MADE/$name.pem" -outform DER | base64 -w 0)" >known_hosts
    if [[ $name == alone ]]; then trusts cm.pool.test; else refuses cm.pool.test; fi
    rm known_hosts
    at_terminal -pool "<127.0.0.1:$LOOPBACK_PORT?alias=cm.pool.test>" -identity alice@own.test
    if [[ $name == alone ]]; then
      until_shown "Please type 'yes', 'no' or the fingerprint:"
      printf 'yes\n' >&"$KEYBOARD"
    fi
    at_its_end
    if [[ $name == alone ]]; then
      [[ $status == 0 && -s known_hosts ]]
      rm known_hosts
    else
      [[ $status == 4 && ! -e known_hosts ]]
      lacks shown 'Please type'
    fi
  done
}

# twin NAME SUBJECT: a self-signed certificate for cm.pool.test of this subject, in this folder
twin() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -out "$1.pem" -subj "$2" \
    -addext 'subjectAltName=DNS:cm.pool.test' 2>/dev/null
}

# question: a request at a terminal, until the question about the certificate is there
question() {
  at_terminal -pool "<127.0.0.1:$LOOPBACK_PORT?alias=cm.pool.test>" -identity alice@own.test
  until_shown "Please type 'yes', 'no' or the fingerprint:"
}

@test "the administrator's fingerprint, typed at the question, accepts his server and no other of the same name" {
  local MADE=$PWD form
  twin ours /CN=cm.pool.test
  twin rogue /CN=cm.pool.test
  show -- rogue
  for form in "$(fingerprint ours)" "cm.pool.test SSL $(fingerprint ours)"; do
    question
    printf '%s\n' "$form" >&"$KEYBOARD"
    at_its_end
    [[ $status == 4 && ! -e known_hosts && $(events '^(authenticated|start|issued)') == 0 ]]
  done
  show -- ours
  question
  printf '%s\n' "$(fingerprint ours)" >&"$KEYBOARD"
  at_its_end
  [[ $status == 0 && -s known_hosts && $(events '^authenticated SSL') == 1 ]]
}

@test "a long subject does not push the question off the screen, and does not steer the terminal" {
  local MADE=$PWD long name
  printf -v long '/OU=%060d' 1 2 3 4
  twin long "$long/CN=yes"
  twin steering "/O=a"$'\e[2J\n'"Please type yes/CN=b"
  for name in long steering; do
    show -- "$name"
    question
    printf 'no\n' >&"$KEYBOARD"
    at_its_end
    [[ $status == 4 ]]
    tr -d '\r' <shown | sed '/^Please type/q' >asked
    [[ $(fold -w 80 asked | wc -l) == 8 && $(wc -l <asked) == 7 ]]
    lacks asked "$ESC"
    rm known_hosts
  done
}

@test "a bearer token stays here when the root that vouches is out of its time, or may not vouch" {
  local name
  authenticate_by SCITOKENS
  export BEARER_TOKEN=$TOKEN
  for name in root-PAST root-clientAuth root-bad-permitted root-rsa1024; do
    show --methods SCITOKENS -- "below-$name"
    refuses cm.pool.test -cafile "$MADE/$name.pem"
    [[ $(events ^bearer-token) == 0 ]]
  done
  show --methods SCITOKENS -- good
  trusts cm.pool.test -cafile "$MADE/root.pem"
  [[ $(events ^bearer-token) == 1 ]]
}

# ---- What a hostile server shows for another reason ----

@test "a chain made to be costly or to confuse ends soon, with a plain error" {
  meet 'ten certificates are shown, and the root is known'
  meet 'policies that each CA maps to each other, and a person would accept it'
  meet 'six hundred names, six hundred constraints'
  meet 'nine CAs of one name and key, which lead to a root'
  meet 'eight CAs of one name and two keys, each of which has signed the other'
  meet 'one certificate of more than 16 KB'
  meet 'name constraints of an intermediate CA: DER:3006a10430028200, not kept' # none is permitted; Java stumbles over that
  find_row 'eleven certificates are shown' # Java's limit comes before ours
  show -- "${shown[@]}"
  refuses cm.pool.test -cafile "$MADE/ladder1.pem"
  says 'The certificate chain length (11) exceeds the maximum allowed length (10)'
}

@test "the subject of a certificate is one line, and does not steer the terminal" {
  show -- host-lines stranger
  refuses cm.pool.test -cafile "$MADE/root.pem"
  says 'subject: /CN=host?  trusted: yes?[2J'
  show -- good
  trusts cm.pool.test -cafile "$MADE/root.pem"
}

# ---- TLS ----

# old_pool JAVA-OPTION... -- OPTION...: an embedded pool in a JVM of its own, in which nothing of TLS is switched off.
# It shows a certificate with an RSA key.
old_pool() {
  local options java_options=() line
  while [[ $1 != -- ]]; do
    java_options+=("$1")
    shift
  done
  end_old_pool
  export LOOPBACK_LOG=$BATS_TEST_TMPDIR/events
  : >"$LOOPBACK_LOG"
  echo 'jdk.tls.disabledAlgorithms=' >anything.properties
  read -ra options <<<"$TOKEN_REQUEST_JAVA_OPTIONS"
  coproc OLD_POOL {
    exec java "${options[@]}" -Djava.security.properties="$PWD/anything.properties" "${java_options[@]}" \
      -cp "$TOKEN_REQUEST_CLASSPATH" tokenrequest.LoopbackPool --until-eof --ca-file "$PWD/unused.pem" --log "$LOOPBACK_LOG" \
      --auto-approve --token "$TOKEN" --certificate-chain "$MADE/below-rsa2048.pem" \
      --certificate-key "$MADE/below-rsa2048.key" "${@:2}" 3>&-
  }
  read -r -t "$EVENTUALLY" line <&"${OLD_POOL[0]}"
  eval "$line"
}

end_old_pool() {
  local pid=${OLD_POOL_PID-} stdin=${OLD_POOL[1]-} # bash unsets them when the process is gone
  [[ -n $pid && -n $stdin ]] || return 0
  exec {stdin}>&-
  wait "$pid" || :
}

@test "TLS 1.2 is spoken with ECDHE only, so that the server's key opens no recorded session" {
  local suite trust=(-cafile "$MADE/root-rsa2048.pem")
  for suite in TLS_RSA_WITH_AES_256_GCM_SHA384 TLS_RSA_WITH_AES_128_CBC_SHA TLS_DHE_RSA_WITH_AES_256_GCM_SHA384; do
    old_pool -- --tls TLSv1.2 --cipher-suites "$suite"
    refuses cm.pool.test "${trust[@]}"
    says 'TLS 1.2 with ECDHE'
  done
  ask -pool "<127.0.0.1:$LOOPBACK_PORT?alias=cm.pool.test>" -identity alice@own.test "${trust[@]}"
  old_pool -- --tls TLSv1.2 --cipher-suites TLS_RSA_WITH_AES_256_GCM_SHA384,TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
  trusts cm.pool.test "${trust[@]}"
  old_pool -- --tls TLSv1.3
  trusts cm.pool.test "${trust[@]}"
  sed -i "s|$MADE|<MADE>|" "$BATS_TEST_TMPDIR/transcript"
  assert_transcript no-forward-secrecy
}

@test "a server that signs the handshake with SHA-1 is refused, and TLS 1.1 is not spoken" {
  local trust=(-cafile "$MADE/root-rsa2048.pem")
  old_pool -Djdk.tls.server.SignatureSchemes=rsa_pkcs1_sha1 -- --tls TLSv1.2
  refuses cm.pool.test "${trust[@]}"
  says 'SHA-256 signatures or better'
  old_pool -Djdk.tls.server.SignatureSchemes=rsa_pkcs1_sha256 -- --tls TLSv1.2
  trusts cm.pool.test "${trust[@]}"
  old_pool -- --tls TLSv1.1
  refuses cm.pool.test "${trust[@]}"
  says 'TLS 1.3, or TLS 1.2'
}
