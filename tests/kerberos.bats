#!/usr/bin/env bats
# KERBEROS on the embedded pool, which makes tickets without a KDC, and the credential caches. JGSS reads krb5.conf once in
# the life of a process, so a client that gets as far as that is a process of its own.
load loopback
load vectors

RULES=(-identity alice@pool.test -timeout 0)

setup_file() { run_checks KerberosVectors kerberos.json; }

@test "session keys of every encryption type decrypt, and a changed one does not" { group encryption; }
@test "n-fold equals the known answers" { group folding; }
@test "recorded session keys are unwrapped with the ticket's key, and not with the subkey" { group wrapped-keys; }
@test "a wrapped key that is cut, too long or changed is refused" { group damaged-keys; }
@test "a recorded credential cache is read, also in the format before" { group cache; }
@test "a damaged credential cache is refused in an orderly way, wherever the damage is" { group damaged-caches; }

# realm_with OPTION...: a pool that takes KERBEROS, and alice's ticket for it. KDC is the port of the KDC, if there is one.
realm_with() {
  CACHE=$HOME/krb5cc
  pool_with --kerberos-cache "$CACHE" "$@"
  export KRB5CCNAME=FILE:$CACHE
  settings_of_krb5 "${LOOPBACK_KDC-}"
}

# settings_of_krb5 [PORT [LINE...]]: krb5.conf, with a KDC at this port, and further lines of [libdefaults]
settings_of_krb5() {
  export KRB5_CONFIG=$HOME/krb5.conf
  {
    printf '[libdefaults]\n  default_realm = POOL.TEST\n  dns_lookup_kdc = false\n  dns_canonicalize_hostname = false\n'
    printf '  %s\n' "${@:2}"
    printf '[realms]\n  POOL.TEST = {\n    %s\n  }\n' "${1:+kdc = 127.0.0.1:$1}"
  } >"$KRB5_CONFIG"
}

# by_kerberos ARGUMENT...: the tool as a process of its own, by KERBEROS
by_kerberos() {
  authenticate_by KERBEROS
  _CONDOR_SEC_SYSTEM_KNOWN_HOSTS=$HOME/none AS_PROCESS=1 request -pool "$HERE" "${RULES[@]}" "$@"
}

# reason TEXT: the line about KERBEROS begins so
reason() {
  grep -F "  KERBEROS: $1" "$BATS_TEST_TMPDIR/stderr" || { cat "$BATS_TEST_TMPDIR/stderr" && return 1; }
}

says() { grep -F -e "$1" "$BATS_TEST_TMPDIR/stderr" || { cat "$BATS_TEST_TMPDIR/stderr" && return 1; }; }

# ---- The login ----

@test "a ticket in the cache logs in over a bound session, without a KDC" {
  realm_with --methods KERBEROS --auto-approve
  by_kerberos -debug:D_SECURITY
  assert_status 0
  says 'Authenticated with KERBEROS as alice@pool.test; the session is bound'
  says "KERBEROS: using the cache FILE:$CACHE of alice@POOL.TEST"
  says 'KERBEROS: using the ticket for host/localhost@POOL.TEST (encryption type 18)'
  [[ $(events '^policy 60047 bound KERBEROS$') == 1 ]]
}

@test "a directory of caches holds the current one by its file primary, or names one of them" {
  realm_with --methods KERBEROS --auto-approve
  mkdir -m 700 caches
  mv "$CACHE" caches/tktABC
  echo tktABC >caches/primary
  KRB5CCNAME=DIR:$PWD/caches by_kerberos
  assert_status 0
  KRB5CCNAME=DIR::$PWD/caches/tktABC by_kerberos
  assert_status 0
  mv caches/tktABC caches/tkt
  rm caches/primary
  KRB5CCNAME=DIR:$PWD/caches by_kerberos
  assert_status 0
  echo ../tkt >caches/primary
  KRB5CCNAME=DIR:$PWD/caches by_kerberos
  assert_status 4
  reason "no Kerberos ticket: DIR:$PWD/caches has a file \"primary\" that does not name a cache; run kinit"
}

@test "default_ccache_name counts, in whichever of the files of KRB5_CONFIG it is" {
  realm_with --methods KERBEROS --auto-approve
  unset KRB5CCNAME
  mv "$CACHE" "$HOME/cache_$(id -u)"
  mkdir included
  printf '[libdefaults]\n  default_ccache_name = FILE:%s/cache_%%{uid}%%{null}\n' "$HOME" >included/name.conf
  echo '[libdefaults' >included/ignored.rpmsave~
  echo "includedir $PWD/included" >first.conf
  KRB5_CONFIG=$PWD/missing.conf:$PWD/first.conf:$KRB5_CONFIG by_kerberos -debug:D_SECURITY
  assert_status 0
  says "KERBEROS: using the cache FILE:$HOME/cache_$(id -u) of alice@POOL.TEST"
  [[ -z $(find "${TMPDIR:-/tmp}" -maxdepth 1 -name 'krb5-*.conf' -newer "$PWD/first.conf") ]]

  KRB5_CONFIG=$PWD/missing.conf by_kerberos
  assert_status 4
  reason "there is no file $PWD/missing.conf, which KRB5_CONFIG names"
}

@test "a cache in KCM is read from its daemon" {
  local socket=$BATS_TEST_TMPDIR/kcm options
  read -ra options <<<"$TOKEN_REQUEST_JAVA_OPTIONS"
  java "${options[@]}" -cp "$TOKEN_REQUEST_CLASSPATH" tokenrequest.KerberosVectors kcm \
    "$TESTS_DIR/fixtures/wire/kerberos.json" "$socket" 3>&- &
  local daemon=$!
  until [[ -S $socket ]]; do sleep 0.02; done
  pool_with --methods KERBEROS
  settings_of_krb5 '' "kcm_socket = $socket"
  # The recorded tickets were valid on one day.
  KRB5CCNAME=KCM: by_kerberos
  wait "$daemon"
  assert_status 4
  reason 'no Kerberos ticket: the ticket of alice@POOL.TEST in KCM: expired at 2026-11-26T09:53:54Z; run kinit'

  KRB5CCNAME=KCM:0 by_kerberos
  assert_status 4
  reason "no Kerberos ticket: KCM:0 cannot be read: no daemon answers at $socket (No such file or directory); run kinit"
}

# ---- Reasons, each with the command that helps ----

@test "a cache that cannot be used is named with the reason and the command that helps" {
  pool_with --methods KERBEROS
  settings_of_krb5
  export KRB5CCNAME=FILE:$HOME/cache
  by_kerberos
  reason "no Kerberos ticket: FILE:$HOME/cache does not exist; run kinit"
  says 'For KERBEROS, get a ticket: run kinit, and see klist.'
  _CONDOR_KERBEROS_CLIENT_KEYTAB=/etc/alice.keytab by_kerberos
  reason "no Kerberos ticket: FILE:$HOME/cache does not exist; run kinit -kt /etc/alice.keytab PRINCIPAL (KERBEROS_CLIENT_KEYTAB has no effect, as in HTCondor)"
  : >"$HOME/cache"
  by_kerberos
  reason "no Kerberos ticket: FILE:$HOME/cache is not a credential cache; run kinit"
  printf '\5\4\0\0' >"$HOME/cache"
  by_kerberos
  reason "no Kerberos ticket: FILE:$HOME/cache is cut off; run kinit"
  printf '\5\2\0\0' >"$HOME/cache"
  by_kerberos
  reason "no Kerberos ticket: FILE:$HOME/cache has an old format; run kinit"
  head -c 2000000 /dev/zero >"$HOME/cache"
  by_kerberos
  reason "no Kerberos ticket: FILE:$HOME/cache is larger than 1048576 bytes; run kinit"
  mkdir "$HOME/caches"
  (umask 077 && echo ../cache >"$HOME/caches/primary")
  KRB5CCNAME=DIR:$HOME/caches by_kerberos
  reason "no Kerberos ticket: DIR:$HOME/caches has a file \"primary\" that does not name a cache; run kinit"
  KRB5CCNAME=KEYRING:persistent:0 by_kerberos
  reason 'no Kerberos ticket: KEYRING:persistent:0 has a type that this program cannot read; run kvno --out-cache FILE:/PATH host/HOST, or kinit -c FILE:/PATH, then set KRB5CCNAME=FILE:/PATH'
  unset KRB5CCNAME
  settings_of_krb5 '' 'default_ccache_name = FILE:%{LIBDIR}/x'
  by_kerberos
  reason 'this program cannot expand default_ccache_name = FILE:%{LIBDIR}/x of krb5.conf; set KRB5CCNAME'
  assert_status 4
  [[ $(events '^policy .* bound KERBEROS') == 0 ]] # the pool need not be asked
}

@test "an expired ticket is told apart" {
  realm_with --methods KERBEROS --kerberos-tgt --kerberos-lifetime -60
  by_kerberos
  assert_status 4
  reason "no Kerberos ticket: the ticket of alice@POOL.TEST in FILE:$CACHE expired at "
  says '; run kinit'
}

@test "a cache of another user is not used" {
  needs_root
  realm_with --methods KERBEROS
  chown 65534 "$CACHE"
  by_kerberos
  assert_status 4
  reason "no Kerberos ticket: FILE:$CACHE belongs to nobody, not to root or this user: copy it if you trust it; run kinit"
}

needs_root() { ((EUID == 0)) || skip 'needs root'; }

# kdc_says CODE TEXT: what the KDC answers, and the reason
kdc_says() {
  realm_with --methods KERBEROS --kerberos-tgt --kdc "$1"
  by_kerberos
  assert_status 4
  reason "$2"
}

@test "root does not use a keytab that another user can replace" {
  needs_root
  realm_with --methods KERBEROS --auto-approve
  mkdir "$HOME"/{mine,theirs}
  printf '\5\2' | tee "$HOME/mine/keytab" >"$HOME/theirs/keytab"
  chmod 0600 "$HOME"/*/keytab
  chown 65534 "$HOME/theirs"
  _CONDOR_KERBEROS_SERVER_KEYTAB=$HOME/mine/keytab by_kerberos -debug:D_SECURITY
  assert_status 0
  says "KERBEROS: the keytab $HOME/mine/keytab has no key for"
  _CONDOR_KERBEROS_SERVER_KEYTAB=$HOME/theirs/keytab by_kerberos -debug:D_SECURITY
  assert_status 0
  says 'KERBEROS: ignoring the keytab: '
  lacks "$BATS_TEST_TMPDIR/stderr" 'has no key for'
}

@test "what the KDC answers is told apart, with what to do" {
  kdc_says 7 'the KDC of POOL.TEST does not know host/localhost; name the server as in its principal, or set KERBEROS_SERVER_SERVICE (try: kvno host/localhost)'
  kdc_says 37 'the clocks of this machine and the KDC of POOL.TEST differ; compare them (date) and correct one'
  kdc_says 32 'the ticket has expired; run kinit'
  kdc_says 31 'the KDC of POOL.TEST does not accept this ticket or key; run kinit'
  kdc_says 68 'the realm POOL.TEST has no ticket for host/localhost'
}

@test "a KDC that does not answer is given up long before Java would, and the next method runs" {
  realm_with --methods KERBEROS,SSL --kerberos-tgt --kdc 0
  authenticate_by KERBEROS SSL
  export _CONDOR_SEC_CLIENT_AUTHENTICATION_TIMEOUT=2
  local before=$SECONDS
  AS_PROCESS=1 request -pool "$HERE" "${RULES[@]}" -debug:D_SECURITY
  assert_status 6
  ((SECONDS - before < 15))
  says 'KERBEROS failed: the KDC did not answer within 1 s; check that a KDC of krb5.conf runs and that this machine can reach it'
  says 'Authenticated with SSL as '
}

@test "a KDC that answers with nonsense, or with 2 GB, fails the method in an orderly way" {
  realm_with --methods KERBEROS --kerberos-tgt --kdc -1
  by_kerberos
  assert_status 4
  reason 'no ticket for host/localhost: '
  settings_of_krb5 "$LOOPBACK_KDC" 'udp_preference_limit = 1'
  TOKEN_REQUEST_JAVA_OPTIONS="$TOKEN_REQUEST_JAVA_OPTIONS -Xmx64m" _CONDOR_SEC_CLIENT_AUTHENTICATION_TIMEOUT=2 by_kerberos
  assert_status 4
  grep '^  KERBEROS: ' "$BATS_TEST_TMPDIR/stderr"
}

@test "a KDC that is off or not known is told apart" {
  realm_with --methods KERBEROS --kerberos-tgt
  settings_of_krb5 9 # nothing listens there
  by_kerberos
  reason 'no KDC of POOL.TEST answers; check that one of krb5.conf runs and that this machine can reach it'
  settings_of_krb5
  by_kerberos
  reason 'no KDC of POOL.TEST is known; name one in krb5.conf ([realms]), or in DNS'
}

@test "the service is a setting, and what is not a name is refused" {
  realm_with --methods KERBEROS --kerberos-tgt --kdc 7
  _CONDOR_KERBEROS_SERVER_SERVICE=condor by_kerberos
  reason 'the KDC of POOL.TEST does not know condor/localhost;'
  _CONDOR_KERBEROS_SERVER_SERVICE='host/evil@EVIL.TEST' by_kerberos
  reason 'KERBEROS_SERVER_SERVICE = host/evil@EVIL.TEST is not a service name'
}

@test "an address alone is named by its reverse name, with a notice, unless krb5.conf forbids it" {
  realm_with --methods KERBEROS --auto-approve
  authenticate_by KERBEROS
  AS_PROCESS=1 request -pool "127.0.0.1:$LOOPBACK_PORT" "${RULES[@]}"
  assert_status 0
  says 'KERBEROS checks the server as host/localhost@POOL.TEST, by the reverse name of 127.0.0.1.'
  settings_of_krb5 '' 'rdns = false'
  AS_PROCESS=1 request -pool "127.0.0.1:$LOOPBACK_PORT" "${RULES[@]}"
  assert_status 4
  reason 'a ticket is for a host name, and only an address is known (krb5.conf sets rdns = false): give -pool HOST'
}

@test "a name from a daemon's ad is not one to get a ticket for" {
  realm_with --methods KERBEROS --auto-approve \
    --ad 'Type=Scheduler;Name=s1;Machine=localhost;MyAddress=<127.0.0.1:{port}?alias=localhost>'
  settings_of_krb5 '' 'rdns = false'
  by_kerberos
  assert_status 0 # the control: the same name, typed
  by_kerberos -type schedd -name s1
  assert_status 4
  reason 'a ticket is for a host name, and only an address is known'
}

@test "the typed name comes first, and the reverse name only if the KDC does not know it" {
  realm_with --methods KERBEROS --auto-approve --kdc 7
  authenticate_by KERBEROS
  # The cache holds no ticket that gets others; with its ticket for the reverse name it logs in.
  AS_PROCESS=1 request -pool "<127.0.0.1:$LOOPBACK_PORT?alias=localhost>" "${RULES[@]}"
  assert_status 0
  lacks "$BATS_TEST_TMPDIR/stderr" 'reverse name'
}

@test "the settings judge the server by its principal" {
  realm_with --methods KERBEROS --auto-approve
  _CONDOR_ALLOW_CLIENT=condor@pool.test by_kerberos
  assert_status 0
  _CONDOR_DENY_CLIENT=condor@pool.test by_kerberos
  assert_status 4
  says "The settings do not accept the server 'condor@pool.test/127.0.0.1'."
  _CONDOR_KERBEROS_SERVER_USER=pool _CONDOR_ALLOW_CLIENT=pool@pool.test by_kerberos
  assert_status 0
  printf '# comment\nOTHER.TEST = other\nPOOL.TEST = campus.test\n' >map
  _CONDOR_KERBEROS_MAP_FILE=$PWD/map _CONDOR_ALLOW_CLIENT=condor@campus.test by_kerberos
  assert_status 0
  printf 'OTHER.TEST = other\n' >map
  _CONDOR_KERBEROS_MAP_FILE=$PWD/map by_kerberos
  assert_status 4
  reason "KERBEROS_MAP_FILE $PWD/map lacks the realm POOL.TEST; add a line POOL.TEST = DOMAIN"
  [[ $(events '^failed KERBEROS$') == 1 ]]
}

# ---- Faults of the server ----

# broken_by FAULT STATUS TEXT
broken_by() {
  realm_with --methods KERBEROS,SSL --auto-approve --fault "$1"
  by_kerberos
  assert_status "$2"
  says "$3"
}

@test "a server that refuses the ticket or the user is left with a reason" {
  broken_by kerberos-refuses 4 '  KERBEROS: the pool did not accept the ticket for host/localhost@POOL.TEST: its key may be new, or the clocks differ (its log says which); for new tickets, run kinit'
  [[ $(events '^failed KERBEROS$') == 1 ]] # it is not waiting for something else
  broken_by kerberos-unmapped 4 '  KERBEROS: the pool does not map alice@POOL.TEST to a user (its KERBEROS_MAP_FILE must list the realm)'
  [[ $(events '^failed KERBEROS$') == 1 ]]
}

@test "a server without the key of the host is found out, and nothing else is tried" {
  local fault
  for fault in kerberos-bad-proof:'could not prove that it is host/localhost@POOL.TEST' \
    kerberos-long-proof:'Kerberos proof holds 2147483647 where 1 to 65536 is allowed' \
    kerberos-no-proof:'Kerberos proof holds 0 where 1 to 65536 is allowed' \
    kerberos-out-of-step:'answer to the Kerberos ticket is ' \
    kerberos-other-key:'does not decrypt with the ticket' \
    zero-key:"did not encrypt the session key with the ticket's key" \
    int-zero-key:'erver sent no session key though none was agreed' \
    ecdh-in-bound:'erver sent an ECDH key though we sent none' \
    truncated-frame:'closed'; do
    realm_with --methods KERBEROS,SSL --auto-approve --fault "${fault%%:*}" --fault-packet 5
    authenticate_by KERBEROS SSL
    AS_PROCESS=1 request -pool "$HERE" "${RULES[@]}"
    says "${fault#*:}"
    [[ $status == [34] && $(events ' bound SSL') == 0 && $(events '^start') == 0 ]]
  done
}

# ---- When it is used ----

# unknown_certificate: the pool's CA is not in the settings
unknown_certificate() { unset _CONDOR_AUTH_SSL_CLIENT_CAFILE; }

# by_default ARGUMENT...: the built-in list
by_default() {
  _CONDOR_SEC_SYSTEM_KNOWN_HOSTS=$HOME/none AS_PROCESS=1 request -pool "$HERE" "${RULES[@]}" "$@"
}

@test "from the built-in list a ticket is used in a connection of its own, after a certificate that nobody knows" {
  realm_with --methods SSL,KERBEROS --auto-approve
  unknown_certificate
  by_default -debug:D_SECURITY
  assert_status 0
  says 'Authenticated with KERBEROS as alice@pool.test; the session is bound'
  [[ $(grep -E '^policy|^authenticated' "$LOOPBACK_LOG" | grep -v unbound) == \
    $'policy 60047 bound SSL\npolicy 60047 bound KERBEROS\nauthenticated KERBEROS bound alice@pool.test' ]]
}

@test "from the built-in list a ticket is used where the pool has no SSL" {
  realm_with --methods KERBEROS --auto-approve
  by_default
  assert_status 0
  [[ $(events '^authenticated KERBEROS bound') == 1 ]]
}

@test "where the certificate is good, the ticket is not shown" {
  realm_with --methods KERBEROS,SSL --auto-approve
  _CONDOR_AUTH_SSL_CLIENT_CAFILE=$LOOPBACK_CA by_default
  assert_status 0
  [[ $(events '^authenticated SSL bound') == 1 && $(events 'KERBEROS') == 0 ]]
}

# not_used ARGUMENT...: KERBEROS never reaches the pool
not_used() {
  unknown_certificate
  by_default "$@"
  assert_status 4
  [[ $(events ' bound SSL') == 1 && $(events ' bound KERBEROS') == 0 && $(events '^authenticated') == 0 ]]
}

@test "from the built-in list a ticket is not shown behind a certificate that has changed or that the user has refused" {
  realm_with --methods SSL,KERBEROS --auto-approve
  local certificate other
  export _CONDOR_SEC_KNOWN_HOSTS=$PWD/known_hosts
  certificate=$(openssl x509 -in "$LOOPBACK_CA" -outform DER | base64 -w 0)
  other=$(openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=other -keyout /dev/null 2>/dev/null |
    openssl x509 -outform DER | base64 -w 0)
  echo "!localhost SSL $certificate" >known_hosts
  not_used
  says 'refused'
  realm_with --methods SSL,KERBEROS --auto-approve
  echo "localhost SSL $other" >known_hosts
  not_used
  # The control: without these lines it is shown.
  rm known_hosts
  by_default
  assert_status 0
}

@test "a ticket is not shown where the user expects a certificate" {
  realm_with --methods SSL,KERBEROS --auto-approve
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=other -keyout /dev/null -out other.pem
  not_used -cafile other.pem
  realm_with --methods SSL,KERBEROS --auto-approve
  not_used -fingerprint "$(printf '00:%.0s' {1..31})00"
}

@test "where the user's methods name KERBEROS first, it goes first" {
  realm_with --methods SSL,KERBEROS --auto-approve
  authenticate_by KERBEROS SSL
  _CONDOR_AUTH_SSL_CLIENT_CAFILE=$LOOPBACK_CA by_default
  assert_status 0
  [[ $(events '^authenticated KERBEROS bound') == 1 && $(events 'bound SSL') == 0 ]]
}

@test "a user without a ticket reads of it only in the reasons, and a warning does not mention it" {
  pool_with --methods IDTOKENS --auto-approve --token-for alice@pool.test
  mkdir -m 700 "$_CONDOR_SEC_TOKEN_DIRECTORY"
  (umask 077 && echo "$LOOPBACK_TOKEN" >"$_CONDOR_SEC_TOKEN_DIRECTORY/login")
  request -pool "$HERE" "${RULES[@]}"
  assert_status 0
  lacks "$BATS_TEST_TMPDIR/stderr" KERBEROS
}

# ---- What is loaded ----

JAVAS='(org\.ietf\.jgss|sun\.security\.(jgss|krb5)|javax\.security\.auth\.kerberos)'
# shellcheck disable=SC2016 # the name of a class
OURS='TokenRequest\$(Kerberos|CredentialCache)'

# loaded: the classes of Kerberos that the client loads. (Java asks every provider of algorithms what it has.)
loaded() { grep -Eo "\] tokenrequest\.${OURS}[^ ]*|\] ${JAVAS}[^ ]*" classes | grep -v SunProvider | sort -u || :; }

@test "no class of Kerberos is loaded unless the method is tried" {
  local TOKEN_REQUEST_JAVA_OPTIONS="$TOKEN_REQUEST_JAVA_OPTIONS -Xlog:class+load:file=$PWD/classes"
  realm_with --methods SSL,KERBEROS --auto-approve
  _CONDOR_AUTH_SSL_CLIENT_CAFILE=$LOOPBACK_CA by_default
  assert_status 0
  [[ -z $(loaded) ]]
  # With a ticket that the pool does not take, JGSS is not needed either.
  pool_with --methods CLAIMTOBE --auto-approve
  by_kerberos
  assert_status 4
  if loaded | grep -v '\] tokenrequest'; then return 1; fi
  # The control.
  realm_with --methods KERBEROS --auto-approve
  by_kerberos
  assert_status 0
  [[ $(loaded | wc -l) -gt 50 ]]
}

@test "every group of checks has a test here" {
  diff <(sed -E 's/^(not )?ok ([a-z0-9-]+).*/\2/' "$BATS_FILE_TMPDIR/results" | sort) \
    <(sed -nE 's/^@test .*\{ group ([a-z0-9-]+); \}$/\1/p' "$BATS_TEST_FILENAME" | sort)
}
