# shellcheck shell=bash
# shellcheck disable=SC2034 # variables for the files that load this
# Shared by the tests of trust in certificates. Load it with `load trust`.
load terminal

# One pool for all tests that need nothing special of it. It approves at once.
setup_file() {
  pool_with --methods SSL --auto-approve --token "$TOKEN"
  export LOOPBACK_CA
}

setup() {
  setup_terminal
  own_known_hosts
  authenticate_by SSL
}

# own_known_hosts: no CA is configured, and known_hosts in this folder records the answers
own_known_hosts() {
  unset _CONDOR_AUTH_SSL_CLIENT_CAFILE
  export _CONDOR_SEC_KNOWN_HOSTS=$PWD/known_hosts
}

# pool_of OPTION...: another pool, whose CA is not configured either
pool_of() {
  pool_with --auto-approve --token "$TOKEN" "$@"
  own_known_hosts
}

# certificate [FILE]: as known_hosts has it; by default, that of the pool's CA
certificate() { openssl x509 -in "${1-$LOOPBACK_CA}" -outform DER | base64 -w 0; }

# fingerprint [FILE]: in the form of condor_ssl_fingerprint
fingerprint() {
  openssl x509 -in "${1-$LOOPBACK_CA}" -noout -fingerprint -sha256 | sed 's/.*=//' | tr '[:upper:]' '[:lower:]'
}

# other_certificate: makes other.pem, a certificate that no pool has
other_certificate() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout other.key -out other.pem -subj /CN=other 2>/dev/null
}

# ask_pool ARGUMENT...: a request over SSL
ask_pool() { ask -pool "$HERE" -identity alice@own.test "$@"; }

# refused ARGUMENT...: such a request fails for lack of trust; trusted ARGUMENT...: it succeeds, with no transcript
refused() {
  local asked
  asked=$(events ^start)
  ask_pool "$@"
  assert_status 4
  [[ ! -s $BATS_TEST_TMPDIR/stdout && $(events ^start) == "$asked" ]]
}
trusted() {
  request -pool "$HERE" -identity alice@own.test "$@"
  assert_status 0
  diff "$BATS_TEST_TMPDIR/stdout" - <<<"$TOKEN"
}

# says TEXT...: each of them is on stderr
says() {
  local text
  for text; do
    grep -qF -e "$text" "$BATS_TEST_TMPDIR/stderr" || { cat "$BATS_TEST_TMPDIR/stderr" && return 1; }
  done
}

# known LINE...: makes known_hosts of these lines
known() { printf '%s\n' "$@" >known_hosts; }

# ---- At a terminal ----

QUESTION="Please type 'yes', 'no' or the fingerprint:"

# asked ARGUMENT...: at a terminal, until the question is there
asked() {
  at_terminal -pool "$HERE" -identity alice@own.test "$@"
  until_shown "$QUESTION"
}

# type_line TEXT: as a person does
type_line() { printf '%s\n' "$1" >&"$KEYBOARD"; }
