#!/usr/bin/env bats
# What the client does as HTCondor's own client does it: the name that it claims, the addresses and ports that it uses,
# which password, token and CA it takes, what it warns of and logs. real_original.bats compares with that client.
# shellcheck disable=SC2030,SC2031,SC2034,SC2153,SC2154 # settings of one test; variables of loopback.bash
load events
load users

setup_file() { pool_with --methods CLAIMTOBE --auto-approve --token "$TOKEN"; }

setup() {
  own_folders
  export _CONDOR_SEC_TOKEN_DIRECTORY=$HOME/tokens.d _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=false
  authenticate_by CLAIMTOBE
}

teardown() {
  stop_loopback_pool
  remove_common_folder
}

asked() { request -pool "$HERE" -identity alice@own.test "$@"; }

# says TEXT...: each is on stderr; is_silent TEXT...: none is
says() {
  local text
  for text; do
    grep -qF -e "$text" "$BATS_TEST_TMPDIR/stderr" || { cat "$BATS_TEST_TMPDIR/stderr" && return 1; }
  done
}
is_silent() { lacks "$BATS_TEST_TMPDIR/stderr" "$@"; }

# is_claimed NAME SETTING...: with these settings the client claims this name
is_claimed() {
  settings=("${@:2}")
  asked -debug:D_SECURITY
  settings=()
  assert_status 0
  says "Authenticated with CLAIMTOBE as $1;"
}

# ---- Names ----

@test "CLAIMTOBE claims the user's name in this machine's domain, not in the pool's" {
  local user
  user=$(id -un)
  # Root's programs act as the user condor where there is one.
  ((EUID != 0)) || ! grep -q ^condor: /etc/passwd || user=condor
  is_claimed "$user@own.test" _CONDOR_UID_DOMAIN=own.test
  is_claimed carol@own.test _CONDOR_UID_DOMAIN=own.test _CONDOR_SEC_CLAIMTOBE_USER=carol
  is_claimed carol _CONDOR_SEC_CLAIMTOBE_USER=carol _CONDOR_SEC_CLAIMTOBE_INCLUDE_DOMAIN=false
}

@test "root claims the name of the account in CONDOR_IDS, the environment's first" {
  ((EUID == 0)) || skip 'only root acts as another account'
  is_claimed nobody@own.test _CONDOR_UID_DOMAIN=own.test CONDOR_IDS=65534.65534 _CONDOR_CONDOR_IDS=0.0
  is_claimed nobody@own.test _CONDOR_UID_DOMAIN=own.test _CONDOR_CONDOR_IDS=65534.65534
  is_claimed root@own.test _CONDOR_UID_DOMAIN=own.test CONDOR_IDS=0.0
  is_claimed nobody@own.test _CONDOR_UID_DOMAIN=own.test 'CONDOR_IDS= 65534.1x' # sscanf ignores the rest
}

@test "a malformed CONDOR_IDS ends the command of root before any connection" {
  ((EUID == 0)) || skip 'only root acts as another account'
  local before
  before=$(events .)
  for ids in bad 1000 1000. .1000 1000.x -1.1 99999999999.1 ''; do
    CONDOR_IDS=$ids asked
    assert_status 2
    says "ERROR: badly formed value in CONDOR_IDS environment variable ($ids)."
  done
  _CONDOR_CONDOR_IDS=bad asked
  assert_status 2
  says 'ERROR: badly formed value in CONDOR_IDS config file variable (bad).' 'environment variable _CONDOR_CONDOR_IDS'
  [[ $(events .) == "$before" ]]
}

@test "CONDOR_IDS with a number that no user has: there is no name to claim" {
  ((EUID == 0)) || skip 'only root acts as another account'
  CONDOR_IDS=54321.54321 asked
  assert_status 4
  says 'CLAIMTOBE: this user has no name in the list of users; set SEC_CLAIMTOBE_USER'
}

@test "an ordinary user's CONDOR_IDS has no effect, and a user without a name claims none" {
  common_folder
  local run=(env --default-signal=HUP "CONDOR_IDS=bad" "HOME=$COMMON")
  settings=(setpriv --reuid=65534 --regid=65534 --clear-groups -- "${run[@]}")
  local TOKEN_REQUEST_CLASSPATH=$COMMON_CLASSPATH
  AS_PROCESS=1 TOKEN_REQUEST_JAVA_OPTIONS=-Xshare:auto asked -debug:D_SECURITY
  assert_status 0
  says 'Authenticated with CLAIMTOBE as nobody@'
  settings=(setpriv --reuid=54321 --regid=54321 --clear-groups -- "${run[@]}")
  AS_PROCESS=1 TOKEN_REQUEST_JAVA_OPTIONS=-Xshare:auto asked
  assert_status 4
  says 'CLAIMTOBE: this user has no name in the list of users'
}

@test "by FS root's directory belongs to the account in CONDOR_IDS" {
  ((EUID == 0)) || skip 'only root acts as another account'
  mkdir -m 1777 fs
  pool_with --methods FS --fs-dir "$PWD/fs" --auto-approve --token "$TOKEN"
  export _CONDOR_FS_LOCAL_DIR=$PWD/fs
  authenticate_by FS
  CONDOR_IDS=65534.65534 asked -debug:D_SECURITY
  assert_status 0
  says 'Authenticated with FS as nobody@'
  CONDOR_IDS=0.0 asked -debug:D_SECURITY
  assert_status 0
  says 'Authenticated with FS as root@'
  [[ -z $(ls -A fs) ]]
}

# ---- Addresses and ports ----

@test "of a list of addresses the widest reach comes first, then the preferred IP version, then the list's order" {
  ((EUID == 0)) || skip 'only root can have a network of its own'
  local list="127.0.0.1-1+[fe80--1]-2+10.1.1.1-3+[fd00--1]-4+169.254.1.1-5+198.51.100.1-6+[2001-db8--1]-7+198.51.100.2-8"
  # ports SETTING...: in the order in which the addresses are tried; nothing leaves this network
  ports() {
    settings=("$@" unshare --net)
    request -pool "<192.0.2.1:9?addrs=$list>" -debug:D_HOSTNAME
    settings=()
    sed -nE 's/.*to be tried at (.*)\.$/\1/p' "$BATS_TEST_TMPDIR/stderr" | grep -oE ':[0-9]+>' | tr -d ':>\n'
  }
  [[ $(ports) == 68734512 ]]
  [[ $(ports _CONDOR_PREFER_OUTBOUND_IPV4=false) == 76843512 ]]
  [[ $(ports _CONDOR_IGNORE_TARGET_PROTOCOL_PREFERENCE=false _CONDOR_PREFER_OUTBOUND_IPV4=false) == 67834512 ]]
  [[ $(ports _CONDOR_ENABLE_IPV6=false) == 68351 ]]
}

# came_from: the local port of the last connection
came_from() { sed -nE 's/.*Connected to .* from <127\.0\.0\.1:([0-9]+)>\.$/\1/p' "$BATS_TEST_TMPDIR/stderr" | tail -n 1; }

@test "connections come from a port between OUT_LOWPORT and OUT_HIGHPORT, else between LOWPORT and HIGHPORT" {
  export _CONDOR_LOWPORT=42100 _CONDOR_HIGHPORT=42130
  for _ in 1 2 3; do
    asked -debug:D_NETWORK
    assert_status 0
    (($(came_from) >= 42100 && $(came_from) <= 42130))
  done
  export _CONDOR_OUT_LOWPORT=42140 _CONDOR_OUT_HIGHPORT=42150
  for _ in 1 2 3; do
    asked -debug:D_NETWORK
    assert_status 0
    (($(came_from) >= 42140 && $(came_from) <= 42150))
  done
  # As in the original, half a range or a reversed one is none.
  unset _CONDOR_OUT_HIGHPORT
  asked
  assert_status 0
  _CONDOR_OUT_LOWPORT=42150 _CONDOR_OUT_HIGHPORT=42140 asked
  assert_status 0
}

@test "ports in use are passed over" {
  local low
  # The only free port of ten is the last.
  exec {taken}< <(exec python3 -c '
import socket
while True:
    sockets = [socket.socket() for _ in range(10)]
    try:
        sockets[0].bind(("127.0.0.1", 0))
        low = sockets[0].getsockname()[1]
        for i in range(1, 10):
            sockets[i].bind(("127.0.0.1", low + i))
        break
    except (OSError, OverflowError):
        for one in sockets:
            one.close()
sockets[9].close()
print(low, flush=True)
__import__("signal").pause()')
  holder=$!
  read -r low <&"$taken"
  for _ in 1 2 3; do
    _CONDOR_OUT_LOWPORT=$low _CONDOR_OUT_HIGHPORT=$((low + 9)) asked -debug:D_NETWORK
    assert_status 0
    [[ $(came_from) == $((low + 9)) ]]
  done
  kill "$holder"
}

@test "if no port of the range is free, the message names the settings" {
  export _CONDOR_OUT_LOWPORT=$LOOPBACK_PORT _CONDOR_OUT_HIGHPORT=$LOOPBACK_PORT
  asked
  assert_status 3
  says "no free local port, from OUT_LOWPORT $LOOPBACK_PORT to OUT_HIGHPORT $LOOPBACK_PORT"
  _CONDOR_OUT_LOWPORT=70000 asked
  assert_status 2
  says 'it must be a number from 0 to 65535'
}

@test "with BIND_ALL_INTERFACES = false connections come from the address of NETWORK_INTERFACE" {
  asked -debug:D_NETWORK
  says 'from <127.0.0.1:'
  export _CONDOR_BIND_ALL_INTERFACES=false _CONDOR_NETWORK_INTERFACE=127.0.0.1
  asked -debug:D_NETWORK
  assert_status 0
  says 'from <127.0.0.1:'
  ((EUID == 0)) || return 0
  settings=(unshare --net) # which has no address
  request -pool '[::1]:9618'
  settings=()
  assert_status 3
  says 'BIND_ALL_INTERFACES is false, and NETWORK_INTERFACE has no IPv6 address'
}

# ---- The collectors ----

@test "the view collector is that of CONDOR_VIEW_HOST, CONDOR_VIEW_IP_ADDR or CM_IP_ADDR, else the collector" {
  local view=(-type view_collector -identity alice@own.test)
  export _CONDOR_COLLECTOR_HOST=127.0.0.1:1
  request "${view[@]}"
  assert_status 3
  _CONDOR_CM_IP_ADDR=$HERE request "${view[@]}"
  assert_status 0
  _CONDOR_CM_IP_ADDR=127.0.0.1:2 _CONDOR_CONDOR_VIEW_IP_ADDR=$HERE request "${view[@]}"
  assert_status 0
  _CONDOR_CONDOR_VIEW_IP_ADDR=127.0.0.1:2 _CONDOR_CONDOR_VIEW_HOST=$HERE request "${view[@]}"
  assert_status 0
  # A name that is not found leaves it to the collector.
  _CONDOR_COLLECTOR_HOST=$HERE _CONDOR_CONDOR_VIEW_HOST=nowhere.invalid request "${view[@]}"
  assert_status 0
  says 'Skipped: unknown host nowhere.invalid'
  # Port 0: its address is in a file.
  echo "<127.0.0.1:$LOOPBACK_PORT?alias=localhost>" >view_address
  _CONDOR_CONDOR_VIEW_HOST=localhost:0 _CONDOR_CONDOR_VIEW_ADDRESS_FILE=$PWD/view_address request "${view[@]}"
  assert_status 0
}

@test "an address that only a daemon's socket leads to is refused with the reason" {
  request -pool '<127.0.0.1:0?sock=collector>'
  assert_status 2
  says 'has no port' 'socket in DAEMON_SOCKET_DIR'
}

@test "the shared port daemon itself is reached at sock=self" {
  request -pool "<127.0.0.1:$LOOPBACK_PORT?sock=other>" -identity alice@own.test
  assert_status 0
  # This pool forgets the message to the shared port, as an endpoint behind it does; a client that counts it does not agree.
  request -pool "<127.0.0.1:$LOOPBACK_PORT?sock=self>" -identity alice@own.test
  assert_status 4
  says 'does not decrypt'
}

# ---- Passwords, tokens, CAs ----

@test "the pool password counts only in a file of the user's own that nobody else can read" {
  pool_with --methods PASSWORD --auto-approve --token "$TOKEN"
  authenticate_by PASSWORD
  export _CONDOR_SEC_PASSWORD_FILE=$PWD/pool_password
  (umask 077 && printf '\xae\xcc\xcd\x9c\xa9\xc2\xcc\x8b' >pool_password)
  asked
  assert_status 0
  for mode in 0640 0604 0610; do
    chmod "$mode" pool_password
    asked
    assert_status 4
    says "must be readable by its owner only (chmod 600); its mode is $mode"
  done
  chmod 0400 pool_password
  asked
  assert_status 0
  # What follows a NUL does not count.
  (umask 077 && printf '\xae\xcc\xcd\x9c\xa9\xc2\xcc\x8b\0rest' >longer)
  _CONDOR_SEC_PASSWORD_FILE=$PWD/longer asked
  assert_status 0
  ((EUID != 0)) || {
    chown 65534 pool_password
    asked
    assert_status 4
    says 'it belongs to nobody'
  }
}

@test "a bearer token file that cannot be read ends the search" {
  pool_with --methods SCITOKENS --auto-approve --token "$TOKEN"
  authenticate_by SCITOKENS
  mkdir run
  export XDG_RUNTIME_DIR=$PWD/run
  (umask 077 && echo "$TOKEN" >"run/bt_u$EUID")
  BEARER_TOKEN_FILE=$PWD/missing asked
  assert_status 0
  : >blank
  BEARER_TOKEN_FILE=$PWD/blank asked
  assert_status 0
  echo nonsense >nonsense
  BEARER_TOKEN_FILE=$PWD/nonsense asked
  assert_status 4
  says "$PWD/nonsense does not contain a JSON web token"
  BEARER_TOKEN_FILE=$PWD/run asked
  assert_status 4
  says "cannot read $PWD/run: Is a directory"
  BEARER_TOKEN=nonsense asked
  assert_status 4
  says 'BEARER_TOKEN does not contain a JSON web token'
  [[ $(events ^bearer-token) == 2 ]]
}

@test "the token in TOOL_auto_generated_token goes first" {
  local token
  pool_with --methods TOKEN --auto-approve --token "$TOKEN" --token-for zoe@pool.test
  authenticate_by IDTOKENS
  mkdir -m 0700 "$HOME/tokens.d"
  token=$(handmade_token '{"iss":"pool.test","sub":"first@pool.test"}')
  (umask 077 && echo "$token" >"$HOME/tokens.d/a" && echo "$LOOPBACK_TOKEN" >"$HOME/tokens.d/zoe")
  asked
  assert_status 4
  says 'the token of first@pool.test'
  for name in TOOL_auto_generated_token tool_AUTO_generated_token; do
    mv "$HOME/tokens.d/zoe" "$HOME/tokens.d/$name"
    asked
    assert_status 0
    mv "$HOME/tokens.d/$name" "$HOME/tokens.d/zoe"
  done
}

@test "an excluded file is no token, nor is one that others can read or that lies in a directory" {
  pool_with --methods TOKEN --auto-approve --token "$TOKEN" --token-for zoe@pool.test
  authenticate_by IDTOKENS
  mkdir -m 0700 "$HOME/tokens.d" "$HOME/tokens.d/deeper"
  (umask 077 && echo "$LOOPBACK_TOKEN" >"$HOME/tokens.d/login")
  asked
  assert_status 0
  for name in .login login~ '#login' login.rpmsave login.rpmnew deeper/login; do
    mv "$HOME/tokens.d/login" "$HOME/tokens.d/$name"
    asked
    assert_status 4
    says 'IDTOKENS: no token in '
    is_silent zoe@pool.test
    mv "$HOME/tokens.d/$name" "$HOME/tokens.d/login"
  done
  _CONDOR_LOCAL_CONFIG_DIR_EXCLUDE_REGEXP='^log' asked
  assert_status 4
  for mode in 640 604 620 602; do
    chmod "$mode" "$HOME/tokens.d/login"
    asked
    assert_status 4
    says "login: it is not this user's alone"
  done
  chmod 400 "$HOME/tokens.d/login"
  asked
  assert_status 0
}

@test "SSL_CERT_FILE and SSL_CERT_DIR name the default CAs; in a directory only hashed names count" {
  local hash
  pool_with --methods SSL --auto-approve --token "$TOKEN"
  unset _CONDOR_AUTH_SSL_CLIENT_CAFILE
  authenticate_by SSL
  export _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=true _CONDOR_SEC_KNOWN_HOSTS=$PWD/known_hosts
  mkdir empty cas
  SSL_CERT_DIR=$PWD/empty asked
  assert_status 4
  SSL_CERT_DIR=$PWD/empty SSL_CERT_FILE=$LOOPBACK_CA asked
  assert_status 0
  SSL_CERT_DIR='' SSL_CERT_FILE=$LOOPBACK_CA asked
  assert_status 0
  hash=$(openssl x509 -in "$LOOPBACK_CA" -noout -subject_hash)
  cp "$LOOPBACK_CA" cas/ca.pem
  SSL_CERT_DIR=$PWD/empty:$PWD/cas asked
  assert_status 4
  ln -s ca.pem "cas/$hash.0"
  SSL_CERT_DIR=$PWD/empty:$PWD/cas asked
  assert_status 0
  SSL_CERT_DIR=$PWD/cas _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=false asked
  assert_status 4
}

# ---- Warnings and the log ----

@test "GSI among the methods gets the original's warning, once" {
  for list in 'CLAIMTOBE, GSI' GSI,CLAIMTOBE; do
    with "_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS=$list" -- -pool "$HERE" -identity alice@own.test
    assert_status 0
  done
  with _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS=GSI,CLAIMTOBE _CONDOR_WARN_ON_GSI_CONFIGURATION=false -- \
    -pool "$HERE" -identity alice@own.test
  assert_status 0
  with _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS=GSI -- -pool "$HERE" -identity alice@own.test
  assert_status 2
  assert_transcript gsi
}

# categories FLAGS: the categories of the lines that -debug with these flags shows
categories() {
  asked "-debug:$1"
  assert_status 0
  grep -oE '^[0-9/]+ [0-9:]+ \(D_[A-Z]+\)' "$BATS_TEST_TMPDIR/stderr" | grep -oE 'D_[A-Z]+' | sort -u | paste -sd ' '
}

@test "-debug shows the categories that are named, joined by any of the signs that scripts use" {
  [[ $(categories D_SECURITY) == D_SECURITY ]]
  [[ $(categories D_NETWORK) == D_NETWORK ]]
  [[ $(categories D_HOSTNAME) == D_HOSTNAME ]]
  for both in D_SECURITY:D_NETWORK D_SECURITY,D_NETWORK 'D_SECURITY D_NETWORK' 'D_NETWORK|d_security' \
    D_SECURITY:2,D_NETWORK:1 D_SECURITY:2:D_NETWORK 'D_ALL -D_HOSTNAME -D_COMMAND' D_ALL,D_HOSTNAME:0,D_COMMAND:0; do
    [[ $(categories "$both") == 'D_NETWORK D_SECURITY' ]]
  done
  [[ -z $(categories D_NONSENSE || :) ]]
  [[ $(categories D_NONSENSE,D_NETWORK) == D_NETWORK ]]
}

@test "D_FULLDEBUG shows everything, and the settings in force with their sources" {
  local every
  every=$(categories D_ALL)
  [[ $every == *D_HOSTNAME*D_NETWORK*D_SECURITY* ]]
  is_silent D_FULLDEBUG
  for flags in D_FULLDEBUG D_FULLDEBUG:D_SECURITY 'D_SECURITY D_FULLDEBUG' D_ALL:2,D_FULLDEBUG; do
    [[ $(categories "$flags") == "${every/D_HOSTNAME/D_FULLDEBUG D_HOSTNAME}" ]]
    says '(D_FULLDEBUG) SEC_CLIENT_AUTHENTICATION_METHODS = CLAIMTOBE (environment)'
  done
}

@test "-debug names the settings that the original reads and this program does not" {
  export _CONDOR_OUTBOUND_CCB_ADDRESS=127.0.0.1:9618 _CONDOR_NO_DNS=true
  asked
  is_silent ignores
  asked -debug:D_SECURITY
  says '(D_ALWAYS) This program ignores OUTBOUND_CCB_ADDRESS (environment variable _CONDOR_OUTBOUND_CCB_ADDRESS).' \
    'ignores NO_DNS (environment'
  is_silent 'ignores FIPS'
}

@test "-debug names what it looked up, where it connected from and to, the methods and the session" {
  asked -debug:D_HOSTNAME:D_NETWORK:D_SECURITY
  assert_status 0
  says "(D_HOSTNAME) $HERE is <127.0.0.1:$LOOPBACK_PORT?alias=localhost>, to be tried at <127.0.0.1:$LOOPBACK_PORT>." \
    "(D_NETWORK) Connected to <127.0.0.1:$LOOPBACK_PORT> from <127.0.0.1:" \
    '(D_SECURITY) Methods for ' '(D_SECURITY) The server chose CLAIMTOBE.' '(D_SECURITY) Authenticated with CLAIMTOBE as '
}

# ---- Small things ----

@test "an empty -file after -token, or the other way round, sends the token to stdout with a warning" {
  with -- -pool "$HERE" -identity alice@own.test -token name -file ''
  assert_status 0
  with -- -pool "$HERE" -identity alice@own.test -file name -token ''
  assert_status 0
  [[ ! -e name && ! -e $HOME/tokens.d ]]
  assert_transcript empty-destination
  asked -token '' -file ''
  is_silent overrides
  asked -file '' -token name
  is_silent 'goes to stdout'
  [[ -e $HOME/tokens.d/name ]]
}
