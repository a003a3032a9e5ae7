#!/usr/bin/env bats
# Attacks on MUNGE, FS_REMOTE and the login with the pool's signing key: a man in the middle, another user of this machine
# with a munged or a server of his own, an ad or a saved request that names a server. Beside each attack is a control in the
# same place, which must succeed.
# shellcheck disable=SC2030,SC2031,SC2034,SC2054,SC2153 # settings of one test; a list of strace; variables of loopback.bash
load events

OTHER=65534 # nobody's number

setup_file() {
  local options
  read -ra options <<<"$TOKEN_REQUEST_JAVA_OPTIONS"
  export ORDERS=$BATS_FILE_TMPDIR/orders
  # He lives until his stdin ends.
  mkfifo "$BATS_FILE_TMPDIR/life"
  java "${options[@]}" -cp "$TOKEN_REQUEST_CLASSPATH" tokenrequest.MiddleMan --orders "$ORDERS" \
    <"$BATS_FILE_TMPDIR/life" >"$BATS_FILE_TMPDIR/port" 2>"$BATS_FILE_TMPDIR/complaints" 3>&- &
  MIDDLEMAN=$!
  exec {LIFE}>"$BATS_FILE_TMPDIR/life"
  await_event '^MIDDLEMAN_PORT=' "$BATS_FILE_TMPDIR/port"
  MIDDLEMAN_PORT=$(sed 's/^MIDDLEMAN_PORT=//' "$BATS_FILE_TMPDIR/port")
  export MIDDLEMAN_PORT
}

teardown_file() {
  exec {LIFE}>&-
  wait "$MIDDLEMAN" || :
}

setup() {
  own_folders
  export _CONDOR_SEC_TOKEN_DIRECTORY=$HOME/tokens.d _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=false
  OPEN=$(mktemp -d /tmp/attacks_more.XXXXXX)
  chmod 755 "$OPEN"
}

teardown() {
  [[ -z ${listener-} ]] || kill "$listener" 2>/dev/null || :
  stop_loopback_pool
  [[ -z ${OPEN-} ]] || rm -rf "$OPEN"
}

# against ATTACK ARGUMENT...: a request through the man in the middle; what he could read is in $LOOT
against() {
  LOOT=$BATS_TEST_TMPDIR/loot.$1
  rm -f "$LOOT"
  printf '%s\n' --pool "127.0.0.1:$LOOPBACK_PORT" --attack "$1" --loot "$LOOT" >"$ORDERS"
  request -pool "localhost:$MIDDLEMAN_PORT" -identity alice@own.test "${@:2}"
}

he_has() { grep -qaF -e "$1" "$LOOT"; }

says() {
  local text
  for text; do
    grep -qF -e "$text" "$BATS_TEST_TMPDIR/stderr" || { cat "$BATS_TEST_TMPDIR/record" && return 1; }
  done
}

# lost WHAT: an attack has succeeded; held: none has. So that all are tried.
lost() { losses+=("$1"); }
losses=()

held() {
  ((${#losses[@]} == 0)) && return
  printf 'lost: %s\n' "${losses[@]}"
  return 1
}

got_token() {
  assert_status 0
  diff - "$BATS_TEST_TMPDIR/stdout" <<<"$TOKEN"
}

# ---- MUNGE ----

@test "a man in the middle reads nothing of a session over MUNGE, whatever he changes" {
  local attack
  pool_with --munged "$OPEN/munged" --methods MUNGE,CLAIMTOBE --auto-approve --token "$TOKEN"
  export _CONDOR_MUNGE_SOCKET=$OPEN/munged _CONDOR_MUNGE_POOL_UID=0
  # The control: a session without a bound key is his.
  authenticate_by CLAIMTOBE
  against swap-keys
  got_token
  he_has "$TOKEN"
  authenticate_by MUNGE
  for attack in none swap-keys; do
    against "$attack"
    got_token
    he_has 'MUNGE:' # he was on the way
    ! he_has "$TOKEN" || lost "the token, by $attack"
  done
  for attack in add-own-key add-own-key-forge-zeros add-own-key-forge-random add-key-to-reply choose-nothing choose-claimtobe \
    choose-anonymous choose-token int-zero zero-wrapped random-wrapped downgrade-cipher encryption-no authentication-no \
    flip-server flip-client; do
    : >"$LOOPBACK_LOG"
    against "$attack"
    ((status == 3 || status == 4)) || lost "status $status, by $attack"
    [[ ! -s $BATS_TEST_TMPDIR/stdout ]] || lost "a token that he may have made, by $attack"
    he_has '== ' || lost "nothing seen, by $attack"
    ! he_has "$TOKEN" || lost "the token, by $attack"
    ! he_has alice@own.test || lost "the request, by $attack"
  done
  held
}

@test "a refusal of MUNGE does not lead to a credential that every user can decode" {
  pool_with --munged "$OPEN/munged" --methods MUNGE --auto-approve --token "$TOKEN" --munge-uid 5
  export _CONDOR_MUNGE_SOCKET=$OPEN/munged
  authenticate_by MUNGE
  _CONDOR_MUNGE_POOL_UID=any against none
  got_token # the control
  _CONDOR_MUNGE_POOL_UID=6 against none
  assert_status 4
  [[ $(grep -aoE 'MUNGE:[A-Za-z0-9+/=]+:' "$LOOT" | sort -u | wc -l) == 1 ]]
  [[ $(grep -aoE 'MUNGE:[A-Za-z0-9+/=]+:' "$LOOT" | head -n 1 | cut -d : -f 2 | base64 -d | xxd -p -l 4) == 00000006 ]]
}

@test "a wait that began over MUNGE does not go on over a session that a man in the middle can read" {
  pool_with --munged "$OPEN/munged" --methods MUNGE --approve-after 0 --token "$TOKEN" --forget-sessions
  export _CONDOR_MUNGE_SOCKET=$OPEN/munged _CONDOR_MUNGE_POOL_UID=0
  authenticate_by MUNGE
  request -pool "$HERE" -identity alice@own.test -json -nowait
  assert_status 0
  cp "$BATS_TEST_TMPDIR/stdout" saved
  # A token would be good for a login, but over an unbound session.
  sed -i "s/:$LOOPBACK_PORT?/:PORT?/" saved
  pool_with --methods IDTOKENS --token "$TOKEN" --token-for bob@pool.test --pretends
  sed -i "s/:PORT?/:$LOOPBACK_PORT?/" saved
  (umask 077 && mkdir -p "$_CONDOR_SEC_TOKEN_DIRECTORY" && printf '%s\n' "$LOOPBACK_TOKEN" >"$_CONDOR_SEC_TOKEN_DIRECTORY/login")
  authenticate_by MUNGE IDTOKENS
  request -resume saved
  assert_status 4
  [[ $(events '^(poll|authenticated)') == 0 && ! -s $BATS_TEST_TMPDIR/stdout ]]
  # The control: the token is good for a login.
  authenticate_by IDTOKENS
  request -pool "$HERE" -identity alice@own.test -nowait
  [[ $(events '^authenticated IDTOKENS') == 1 ]]
}

@test "nor does it when another server takes the port while it waits" {
  local port
  pool_with --munged "$OPEN/munged" --methods MUNGE --approve-on "$PWD/approved" --token "$TOKEN"
  export _CONDOR_MUNGE_SOCKET=$OPEN/munged _CONDOR_MUNGE_POOL_UID=0
  authenticate_by MUNGE IDTOKENS
  start -pool "$HERE" -identity alice@own.test
  await_event ^poll
  port=$LOOPBACK_PORT
  stop_loopback_pool
  pool_with --port "$port" --methods IDTOKENS --token "$TOKEN" --token-for bob@pool.test --pretends --approve-after 0
  (umask 077 && mkdir -p "$_CONDOR_SEC_TOKEN_DIRECTORY" && printf '%s\n' "$LOOPBACK_TOKEN" >"$_CONDOR_SEC_TOKEN_DIRECTORY/login")
  await_line 'authentication to .* failed'
  [[ $(events '^(authenticated|poll)') == 0 ]]
  end_client
  [[ ! -s $BATS_TEST_TMPDIR/stdout ]]
  # The control: the token is good for a login.
  request -pool "$HERE" -identity alice@own.test -nowait
  [[ $(events '^authenticated IDTOKENS') == 1 ]]
}

@test "MUNGE is used only where the settings name it, and only for a server that the user or the administrator named" {
  pool_with --munged "$OPEN/munged" --methods MUNGE --auto-approve --token "$TOKEN"
  export _CONDOR_MUNGE_SOCKET=$OPEN/munged _CONDOR_MUNGE_POOL_UID=0
  authenticate_by MUNGE
  request -pool "$HERE" -identity alice@own.test
  got_token # the control
  request -pool "$HERE" -identity alice@own.test -cafile "$LOOPBACK_CA"
  assert_status 2 # no method in the list checks the certificate
  authenticate_by MUNGE SSL
  request -pool "$HERE" -identity alice@own.test -cafile "$LOOPBACK_CA"
  assert_status 4
  says 'MUNGE: not used: it does not check the certificate'
  # By a template, or not at all.
  unset _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS
  request -pool "$HERE" -identity alice@own.test
  assert_status 4
  # An ad gives the address.
  start_pool "$BATS_TEST_TMPDIR/collector" --methods CLAIMTOBE \
    --ad "Type=Scheduler;Name=theirs;Machine=theirs;MyAddress=<127.0.0.1:$LOOPBACK_PORT>"
  authenticate_by MUNGE
  request -pool "localhost:$LOOPBACK_PORT" -type schedd -name theirs -identity alice@own.test
  ((status == 3 || status == 4))
  [[ ! -s $BATS_TEST_TMPDIR/stdout ]]
}

@test "another user's socket is not taken for munged's, by whatever name" {
  ((EUID == 0)) || skip "another user's programs can be started by root only"
  pool_with --munged "$OPEN/munged" --methods MUNGE --auto-approve --token "$TOKEN"
  export _CONDOR_MUNGE_POOL_UID=0
  authenticate_by MUNGE
  # The control: our own, behind a link of ours.
  ln -s "$OPEN" link
  _CONDOR_MUNGE_SOCKET=$PWD/link/munged request -pool "$HERE" -identity alice@own.test
  got_token
  # His, in a directory of ours.
  chown $OTHER "$OPEN/munged"
  _CONDOR_MUNGE_SOCKET=$OPEN/munged request -pool "$HERE" -identity alice@own.test
  ((status == 4)) || lost 'a socket of his'
  # Ours, where everybody can put another in its place.
  mkdir "$OPEN/loose"
  chmod 777 "$OPEN/loose"
  pool_with --munged "$OPEN/loose/munged" --methods MUNGE --auto-approve --token "$TOKEN"
  _CONDOR_MUNGE_SOCKET=$OPEN/loose/munged request -pool "$HERE" -identity alice@own.test
  ((status == 4)) || lost 'a socket that others can replace'
  pool_with --munged "$OPEN/munged" --methods MUNGE --auto-approve --token "$TOKEN"
  # His, in a directory of his below one that everybody can write to, and in one that everybody can write to itself.
  mkdir "$OPEN/shared" "$OPEN/shared/his" "$OPEN/sticky"
  chmod 1777 "$OPEN/shared" "$OPEN/sticky"
  chown $OTHER "$OPEN/shared/his"
  python3 -c 'import os, socket, sys, time
os.setgroups([])
os.setgid(int(sys.argv[1]))
os.setuid(int(sys.argv[1]))
sockets = []
for path in sys.argv[2:]:
    sockets.append(socket.socket(socket.AF_UNIX))
    sockets[-1].bind(path)
    sockets[-1].listen()
print("ready", flush=True)
time.sleep(60)' $OTHER "$OPEN/shared/his/munged" "$OPEN/sticky/munged" >ready 3>&- &
  listener=$!
  await_event ready ready
  ln -s "$OPEN/shared/his/munged" ours
  for path in "$OPEN/shared/his/munged" "$OPEN/sticky/munged" "$PWD/ours"; do
    for way in MUNGE_SOCKET _CONDOR_MUNGE_SOCKET; do
      settings=("$way=$path")
      request -pool "$HERE" -identity alice@own.test
      settings=()
      ((status == 4)) || lost "$path, by $way"
      grep -Eq 'MUNGE: munged.s socket .* (can be replaced by others|belongs to another user)' "$BATS_TEST_TMPDIR/stderr" \
        || lost "no reason for $path, by $way"
    done
  done
  held
}

# ---- FS_REMOTE ----

@test "a man in the middle who relays FS_REMOTE does not become this user, whatever the form of the name" {
  local names
  mkdir fs
  chmod 1777 fs
  export _CONDOR_FS_REMOTE_DIR=$PWD/fs
  authenticate_by FS_REMOTE
  for names in plain address extension shared-port; do
    pool_with --methods FS_REMOTE --auto-approve --token "$TOKEN" --fs-dir "$PWD/fs" --fs-names "$names"
    against swap-keys
    ! he_has 'User = ' || lost "our login, by a $names name"
    ! he_has "$TOKEN" || lost "the token, by a $names name"
    # The control: who allows relays, has them.
    if [[ $names == plain || $names == address ]]; then
      _CONDOR_SEC_FS_ENFORCE_CHANNEL_BINDING=false against swap-keys
      he_has 'User = ' && he_has "$TOKEN"
    fi
    [[ -z $(ls -A fs) ]] || lost 'a directory is left'
  done
  held
}

@test "a server cannot make FS_REMOTE create or remove anything else" {
  local fault
  mkdir fs
  chmod 1777 fs
  export _CONDOR_FS_REMOTE_DIR=$PWD/fs
  authenticate_by FS_REMOTE
  pool_with --methods FS_REMOTE --auto-approve --token "$TOKEN" --fs-dir "$PWD/fs"
  request -pool "$HERE" -identity alice@own.test
  got_token # the control
  for fault in fs-evil-path fs-nested-path; do
    pool_with --methods FS_REMOTE --auto-approve --token "$TOKEN" --fs-dir "$PWD/fs" --fault "$fault"
    request -pool "$HERE" -identity alice@own.test
    ((status == 4)) || lost "status $status, by $fault"
    [[ $(events '^created') == 0 ]] || lost "a directory, by $fault"
  done
  held
}

# ---- The signing key ----

# key_with OPTION...: a pool whose signing key is on this machine
key_with() {
  mkdir -p -m 700 passwords.d
  pool_with --signing-key-file "$PWD/passwords.d/POOL" "$@"
  export _CONDOR_SEC_PASSWORD_DIRECTORY=$PWD/passwords.d _CONDOR_TRUST_DOMAIN=pool.test
}

@test "an ad, a saved request of another user or the name of another host does not get a login by the signing key" {
  key_with --methods IDTOKENS --token "$TOKEN" --auto-approve
  request -pool "$HERE" -identity alice@own.test
  got_token # the control, with the built-in list of methods
  request -pool "<127.0.0.1:$LOOPBACK_PORT?alias=cm.example.org>" -identity alice@own.test
  ((status == 4)) || lost 'by an alias elsewhere'
  says "; the signing key $PWD/passwords.d/POOL is used only for a pool of this machine"
  # A daemon that an ad of a genuine collector names.
  local target=$LOOPBACK_PORT key=$PWD/passwords.d/POOL
  start_pool "$BATS_TEST_TMPDIR/collector" --methods IDTOKENS \
    --ad "Type=Scheduler;Name=theirs;Machine=theirs;MyAddress=<127.0.0.1:$target>"
  authenticate_by IDTOKENS
  request -pool "localhost:$LOOPBACK_PORT" -type schedd -name theirs -identity alice@own.test
  ((status == 4)) || lost 'by an ad'
  says "; the signing key $key is used only for"
  [[ $(events "^authenticated IDTOKENS") == 1 ]] || lost 'a login'
  if ((EUID == 0)); then
    key_with --methods IDTOKENS --token "$TOKEN" --approve-after 0 --forget-sessions
    request -pool "$HERE" -identity alice@own.test -json -nowait
    assert_status 0
    cp "$BATS_TEST_TMPDIR/stdout" saved.json
    cp saved.json theirs.json
    chown $OTHER theirs.json
    unset _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS
    request -resume theirs.json -timeout 0
    [[ ! -s $BATS_TEST_TMPDIR/stdout ]] || lost 'by a saved request of another user'
    # At a daemon's address, which an ad gave, even if the user gave the daemon's name.
    jq -c '.daemon = {"type": "schedd", "name": "localhost"}' saved.json >daemons.json
    chmod 600 daemons.json
    request -resume daemons.json -timeout 0
    [[ ! -s $BATS_TEST_TMPDIR/stdout ]] || lost 'by a saved request at a daemon'
    says "; the signing key $key is used only for"
    request -resume saved.json
    got_token # the control
  fi
  held
}

@test "with -cafile or -fingerprint the signing key is not a way out" {
  local genuine=$BATS_TEST_TMPDIR/genuine.pem
  key_with --methods IDTOKENS --token "$TOKEN" --auto-approve
  cp "$LOOPBACK_CA" "$genuine"
  request -pool "$HERE" -identity alice@own.test
  got_token # the control
  request -pool "$HERE" -identity alice@own.test -cafile "$genuine"
  ((status == 4)) || lost -cafile
  request -pool "$HERE" -identity alice@own.test -fingerprint "$(openssl x509 -in "$genuine" -noout -fingerprint -sha256 \
    | sed 's/.*=//')"
  ((status == 4)) || lost -fingerprint
  [[ $(events '^authenticated') == 1 ]] || lost 'a login'
  held
}

@test "root is not lent a key that another user owns or can read" {
  ((EUID == 0)) || skip "files of another user can be made by root only"
  key_with --methods IDTOKENS --token "$TOKEN" --auto-approve
  request -pool "$HERE" -identity alice@own.test
  got_token # the control
  chown $OTHER passwords.d/POOL
  request -pool "$HERE" -identity alice@own.test
  ((status == 4)) || lost 'a key that another user owns'
  chown 0 passwords.d/POOL
  chmod 604 passwords.d/POOL
  request -pool "$HERE" -identity alice@own.test
  ((status == 4)) || lost 'a key that everybody can read'
  held
}

@test "the made token and the key are nowhere: not in what is printed, in -debug, in files or in the arguments of a process" {
  key_with --methods IDTOKENS --approve-after 0 --token "$TOKEN"
  local signing
  signing=$(xxd -p passwords.d/POOL | tr -d '\n')
  LOOT=$BATS_TEST_TMPDIR/loot.none
  printf '%s\n' --pool "127.0.0.1:$LOOPBACK_PORT" --attack none --loot "$LOOT" >"$ORDERS"
  # What it writes to any file and passes to any process.
  settings=(strace -f -qq -s 4096 -e trace=write,pwrite64,writev,execve -o "$PWD/trace")
  AS_PROCESS=1 request -pool "localhost:$MIDDLEMAN_PORT" -identity alice@own.test -debug -verbose
  settings=()
  got_token
  # The control: on the way to the pool it is to be seen.
  local header payload
  header=$(grep -aoE 'eyJ[A-Za-z0-9_-]+\.eyJ[A-Za-z0-9_-]+' "$LOOT" | head -n 1)
  payload=${header#*.}
  [[ -n $payload ]]
  lacks "$BATS_TEST_TMPDIR/stderr" "$payload" "$signing"
  if grep -E 'eyJ[A-Za-z0-9_-]+\.eyJ' "$BATS_TEST_TMPDIR/stderr"; then lost 'in what is printed'; fi
  grep -qF "$payload" trace
  # A socket's descriptor is the only one that it goes to.
  if grep -F "$payload" trace | grep -vE '^[0-9]+ +(write|sendto)\([0-9]+, "\\(0|1)'; then lost 'in a file'; fi
  if grep -rlF "$payload" "$HOME" . --exclude=trace; then lost 'in a file that is left'; fi
  held
}
