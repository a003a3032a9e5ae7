# shellcheck shell=bash disable=SC2034 # settings is for `request`
# What is needed to try whom a client trusts at a real pool. Load it after real.

# put_back: for teardown, what is not the test's own
put_back() {
  rm -rf ${SHARED:+"$SHARED"}
  [[ -z ${configured-} ]] || configure
  rm -rf ${SHOWN:+"$SHOWN"}
}

# ---- A person at a terminal ----

# at_terminal KEYBOARD COMMAND...: line ends are as they were sent, so that patterns find them
at_terminal() {
  local command
  printf -v command '%q ' "${@:2}"
  SHELL=/bin/bash exec script --quiet --return --flush --command "stty -onlcr; exec $command" /dev/null <"$1" >&2
}

# sit_down ARGUMENT...: `start` at a terminal; what is shown there is the client's stderr
sit_down() {
  local keys=$BATS_TEST_TMPDIR/keyboard
  mkfifo "$keys"
  exec {keyboard}<>"$keys"
  settings=(bash -c "$(declare -f at_terminal)"'; at_terminal "$@"' bash "$keys")
  start "$@"
  settings=()
}

# type_in TEXT [COUNT]: when it is asked for, the COUNTth time
type_in() {
  await_line "^Please type 'yes', 'no' or the fingerprint:" "${2-1}"
  printf %b "$1" >&"$keyboard"
}

# get_up: after its end; sets status
get_up() {
  await_end
  exec {keyboard}<&-
  keyboard=
  rm "$BATS_TEST_TMPDIR/keyboard"
}

# ---- What comes of it ----

# ask ARGUMENT...: whether the pool takes the order; that an administrator would approve it is not waited for
ask() { request -pool "$HERE" "${PENDING[@]}" -timeout 0 "$@"; }
ask_at_terminal() { sit_down -pool "$HERE" "${PENDING[@]}" -timeout 0 "$@"; }

# answers TEXT: the one question there is
answers() {
  ask_at_terminal
  type_in "$1"
  get_up
}

was_taken() {
  assert_status 6
  says 'Token request enqueued'
}

was_refused() {
  assert_status 4
  says 'Authentication to '
}

# is_trusted ARGUMENT...: the pool takes it, though there is nobody to ask
is_trusted() {
  ask "$@"
  was_taken
  says_nothing_of 'Please type'
}

# is_refused ARGUMENT...: it does not get it, though there is somebody, who is not asked
is_refused() {
  ask_at_terminal "$@"
  get_up
  was_refused
  says_nothing_of 'Please type'
}

# says TEXT...: each is on the client's stderr
says() {
  local text
  for text; do
    grep -F -e "$text" "$BATS_TEST_TMPDIR/stderr" || { echo "$text is not in:" && cat "$BATS_TEST_TMPDIR/stderr" && return 1; }
  done
}

says_nothing_of() { ! grep -F -e "$1" "$BATS_TEST_TMPDIR/stderr"; }

# ---- Known hosts ----

know_hosts_by() {
  KNOWN_HOSTS=$1
  export _CONDOR_SEC_KNOWN_HOSTS=$1
}

# share_known_hosts: with the programs in the pool, to which only /tmp is the same; they are not always root there
share_known_hosts() {
  SHARED=$(mktemp -d /tmp/known-hosts.XXXXXX)
  chmod 1777 "$SHARED" # else anybody could replace the file
  know_hosts_by "$SHARED/known_hosts"
}

# line [!]CERTIFICATE...: what the file says of them as the pool's; with a ! that they are refused
line() {
  local one
  for one; do
    [[ $one != !* ]] || printf '!'
    printf '%s SSL %s\n' "$POOL_HOST" "$(openssl x509 -in "${one#!}" -outform DER | base64 -w 0)"
  done
}

# known [!]CERTIFICATE...: that is in the file and nothing else
known() { diff "$KNOWN_HOSTS" <(line "$@"); }

unknown() { [[ ! -e $KNOWN_HOSTS ]]; }

# original [SETTING]: whether HTCondor's own tool trusts the pool, by that file
original() {
  pool exec env _CONDOR_SEC_KNOWN_HOSTS="$KNOWN_HOSTS" _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS=SSL \
    _CONDOR_AUTH_SSL_CLIENT_CAFILE= "$@" condor_ping -quiet -type COLLECTOR -pool "$HERE" READ </dev/null >/dev/null 2>&1
}

# fails COMMAND...
fails() { ! "$@"; }

# ---- Certificates ----

fingerprint() { openssl x509 -noout -fingerprint -sha256 -in "$1" | sed 's/.*=//; s/.*/\L&/'; }

# other_ca: prints the name of a file: the CA of another pool, which has the same name
other_ca() {
  local file=$BATS_FILE_TMPDIR/other-ca.pem
  [[ -e $file ]] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$file.key" -days 2 \
    -subj "/$(openssl x509 -noout -subject -nameopt compat -in "$POOL_CA" | sed 's/.*= *\///')" -out "$file" 2>/dev/null
  printf '%s\n' "$file"
}

# certificate NAME ISSUER EXTENSION...: NAME.pem with NAME.key; an issuer of the same name is itself. DAYS can be past.
certificate() {
  local name=$1 signer=(-CA "$2.pem" -CAkey "$2.key" -CAcreateserial)
  [[ $1 != "$2" ]] || signer=(-signkey "$1.key")
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$name.key" -subj "/O=test/CN=$name" \
    -out "$name.csr" 2>/dev/null
  openssl x509 -req -in "$name.csr" "${signer[@]}" -days "${DAYS-2}" -extfile <(printf '%s\n' "${@:3}") -out "$name.pem" \
    2>/dev/null
}

ca() { certificate "$1" "$2" basicConstraints=critical,CA:TRUE keyUsage=critical,keyCertSign; }
host() { certificate "$1" "$2" "subjectAltName=DNS:${3-$POOL_HOST}"; }

# take_pools_ca: for more certificates by it
take_pools_ca() {
  cp "$POOL_CA" pool.pem
  cp "$POOL_ROOT/etc/condor/trust_domain_ca_privkey.pem" pool.key
}

# configure [SETTING...]: what concerns methods takes a new collector, since HTCondor 23 remembers its answer to a policy
configure() {
  [[ $* != *_METHODS* ]] || configured=collector
  { (($# == 0)) || printf '%s\n' "$@"; } | pool configure >/dev/null 2>&1
  [[ ${configured:=settings} != collector ]] || pool restart-collector >/dev/null 2>&1
}

# show NAME...: the pool has this certificate now, and sends the others after it
show() {
  SHOWN=$POOL_ROOT/etc/condor/shown
  mkdir -p "$SHOWN"
  cat "${@/%/.pem}" >"$SHOWN/cert.pem"
  install -m 600 "$1.key" "$SHOWN/key.pem"
  [[ -n ${configured-} ]] ||
    configure AUTH_SSL_SERVER_{CERTFILE=/etc/condor/shown/cert,KEYFILE=/etc/condor/shown/key}.pem
}
