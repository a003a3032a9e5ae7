#!/usr/bin/env bats
# FS: somebody else's server, or somebody on the way to a real one, has us create a directory. He is another user of this
# machine; we are root. What he is not to get: our login at a pool, and a deed of ours to anything but that directory.
# shellcheck disable=SC2030,SC2031,SC2153 # settings of one test; variables of loopback.bash
load loopback

OTHER=65534 # nobody's number

# A test that setup skips would be waited for until its time is over.
((EUID == 0)) || unset BATS_TEST_TIMEOUT

# What another user's programs need is copied to where he may read; the folder is below /tmp, where he may come.
setup_file() {
  ((EUID == 0)) || skip "another user's programs can be started by root only"
  local jars
  OPEN=$(mktemp -d /tmp/attacks_fs.XXXXXX)
  export OPEN
  chmod 755 "$OPEN"
  mkdir "$OPEN/jars"
  IFS=: read -ra jars <<<"$TOKEN_REQUEST_CLASSPATH"
  cp "${jars[@]}" "$OPEN/jars"
  chmod -R a+rX "$OPEN/jars"
}

teardown_file() { [[ -z ${OPEN-} ]] || rm -rf "$OPEN"; }

setup() {
  own_folders
  export _CONDOR_SEC_TOKEN_DIRECTORY=$HOME/tokens.d _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=false
  authenticate_by FS
  mkdir "$OPEN/theirs" "$OPEN/ours"
  chown $OTHER "$OPEN/theirs"
  shared_directory 1777
}

teardown() {
  [[ -z ${swapper-} ]] || kill "$swapper" 2>/dev/null || :
  end_theirs
  stop_loopback_pool
  [[ -z ${OPEN-} ]] || rm -rf "$OPEN"/{theirs,ours,fs}
}

# shared_directory MODE: where FS has its directories
shared_directory() {
  rm -rf "$OPEN/fs"
  mkdir "$OPEN/fs"
  chmod "$1" "$OPEN/fs"
  export _CONDOR_FS_LOCAL_DIR=$OPEN/fs
}

# theirs MAIN ARGUMENT...: one of the support programs, run by the other user until end_theirs. It says where it listens:
# sets LOOPBACK_PORT or MIDDLEMAN_PORT.
theirs() {
  local line
  coproc THEIRS {
    exec setpriv --reuid=$OTHER --regid=$OTHER --clear-groups -- java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC \
      -XX:-UsePerfData -cp "$OPEN/jars/*" "tokenrequest.$1" "${@:2}" 2>"$BATS_TEST_TMPDIR/their-stderr" 3>&-
  }
  read -r line <&"${THEIRS[0]}" || { cat "$BATS_TEST_TMPDIR/their-stderr" && return 1; }
  eval "$line"
}

# rogue ARGUMENT...: a pool of the other user's, at $THERE, with its log in $THEIR_LOG
rogue() {
  theirs LoopbackPool --until-eof --ca-file "$OPEN/theirs/ca.pem" --log "$OPEN/theirs/events" --methods FS --auto-approve \
    --token "$TOKEN" --fs-dir "$OPEN/fs" "$@"
  THERE=127.0.0.1:$LOOPBACK_PORT
  THEIR_LOG=$OPEN/theirs/events
}

# relay ARGUMENT...: the other user passes on to $HERE what comes to $THERE; what he can read is in $LOOT
relay() {
  LOOT=$OPEN/theirs/loot-$((++relays))
  theirs MiddleMan --pool "127.0.0.1:$LOOPBACK_PORT" --loot "$LOOT" "$@"
  THERE=localhost:$MIDDLEMAN_PORT
}

relays=0

# genuine ARGUMENT...: the pool that somebody relays to
genuine() { pool_with --methods FS --auto-approve --token "$TOKEN" --fs-dir "$OPEN/fs" "$@"; }

end_theirs() {
  local pid=${THEIRS_PID-} stdin=${THEIRS[1]-}
  [[ -n $pid && -n $stdin ]] || return 0
  exec {stdin}>&-
  wait "$pid" || :
}

# got_token, nothing_got: what became of a request
got_token() {
  assert_status 0
  diff - "$BATS_TEST_TMPDIR/stdout" <<<"$TOKEN"
}

nothing_got() {
  cat "$BATS_TEST_TMPDIR/record"
  ((status != 0)) && [[ ! -s $BATS_TEST_TMPDIR/stdout ]]
}

# says TEXT...: each is on stderr
says() {
  local text
  for text; do
    grep -qF -e "$text" "$BATS_TEST_TMPDIR/stderr" || { cat "$BATS_TEST_TMPDIR/record" && return 1; }
  done
}

# he_has TEXT: among what he could read
he_has() { grep -qaF -e "$1" "$LOOT"; }

# lost WHAT: an attack has succeeded; held: none has. So that all are tried.
lost() { losses+=("$1"); }
losses=()

held() {
  ((${#losses[@]} == 0)) && return
  printf 'lost: %s\n' "${losses[@]}"
  return 1
}

# nothing_left: nobody's directory is where FS has them
nothing_left() { [[ -z $(ls -A "$OPEN/fs") ]] || { ls -lA "$OPEN/fs" && return 1; }; }

# ---- The endpoint's ID, sock=, which becomes part of the directory's name ----

# asked_at WAY ID: a request to the other user's pool at an address with this sock=, which reaches us in that way
asked_at() {
  local way=$1 address="<$THERE?alias=localhost&sock=$2>"
  case $way in
    -pool) request -pool "$address" -identity alice@own.test ;;
    -name) request -type any -name "$address" -identity alice@own.test ;;
    'address file')
      echo "$address" >schedd_address
      export _CONDOR_SCHEDD_ADDRESS_FILE=$PWD/schedd_address
      request -type schedd -identity alice@own.test
      ;;
    ad)
      start_pool "$BATS_TEST_TMPDIR/collector" --methods FS --fs-dir "$OPEN/fs" \
        --ad "Type=Scheduler;Name=theirs;Machine=theirs;MyAddress=$address"
      request -pool "localhost:$LOOPBACK_PORT" -type schedd -name theirs -identity alice@own.test
      ;;
    -resume)
      start_pool "$BATS_TEST_TMPDIR/earlier" --methods FS --fs-dir "$OPEN/fs"
      request -json -nowait -pool "localhost:$LOOPBACK_PORT" -identity alice@own.test
      assert_status 0
      jq -c --arg address "$address" '.address = $address' "$BATS_TEST_TMPDIR/stdout" >saved.json
      request -resume saved.json
      ;;
  esac
}

WAYS=(-pool -name 'address file' ad -resume)

@test "another user's server cannot make the client delete a file through the sock= of its address" {
  local way
  rogue --fs-then "link:$OPEN/ours"
  for way in "${WAYS[@]}"; do
    echo secret >"$OPEN/ours/secret"
    asked_at "$way" a/secret
    nothing_got || lost "an answer, by $way"
    [[ -e $OPEN/ours/secret ]] || lost "a file, by $way"
  done
  held
}

@test "a server cannot make FS remove an empty directory, or create one elsewhere" {
  local way
  rogue --fs-then "link:$OPEN/ours"
  for way in "${WAYS[@]}"; do
    mkdir -p "$OPEN/ours/empty"
    asked_at "$way" a/empty
    nothing_got || lost "an answer, by $way"
    [[ -d $OPEN/ours/empty ]] || lost "an empty directory, by $way"
    asked_at "$way" a/../../ours/new
    [[ ! -e $OPEN/ours/new ]] || lost "a directory made elsewhere, by $way"
    rm -rf "$OPEN/ours/new"
  done
  [[ $(grep -c ^created "$THEIR_LOG") == 0 ]] || lost 'a directory made at all'
  held
}

@test "one local address among others does not make a pool one of this machine" {
  local here
  pool_with --methods FS --fs-dir "$OPEN/fs" --token "$TOKEN" --auto-approve
  here=127.0.0.1-$LOOPBACK_PORT
  for addresses in "$here+192.0.2.7-9618" "192.0.2.7-9618+$here" "$here+[2001-db8--7]-9618"; do
    request -pool "<127.0.0.1:$LOOPBACK_PORT?addrs=$addresses>" -identity alice@own.test
    assert_status 4
    grep -qF 'FS: not used: it works only with servers on this machine' "$BATS_TEST_TMPDIR/stderr"
  done
  [[ $(events '^authenticated FS') == 0 ]]
  request -pool "<127.0.0.1:$LOOPBACK_PORT?addrs=$here+[--1]-$LOOPBACK_PORT>" -identity alice@own.test
  assert_status 0
  [[ $(events '^authenticated FS') == 1 ]]
}

@test "a valid sock= is part of the directory's name, wherever the address comes from" {
  local way
  rogue
  for way in "${WAYS[@]}"; do
    asked_at "$way" schedd_18623_68.50-x
    if [[ $way == -resume ]]; then says 'Request ID is not known.'; else got_token; fi # it is another pool's
  done
  [[ $(grep -Ec "^created $OPEN/fs/FS_127.0.0.1_${THERE#*:}_XXX.{6}_$THERE\?sock=schedd_18623_68.50-x$" "$THEIR_LOG") == 5 ]]
  nothing_left
}

# ---- What is in the directory's place in the end ----

@test "the client does not remove a file, link or directory that replaced its own directory" {
  local thing left
  echo secret >"$OPEN/ours/secret"
  for thing in file directory "link:$OPEN/ours/secret" "link:$OPEN/ours" "link:$OPEN/ours/nothing"; do
    shared_directory 777 # in a sticky directory he could not move it away
    rogue --fs-then "$thing"
    request -pool "$THERE" -identity alice@own.test
    nothing_got
    [[ -n $(find "$OPEN/fs" -name 'FS_*.away' -type d) ]]
    left=$(find "$OPEN/fs" -name 'FS_*' ! -name '*.away' -user $OTHER)
    [[ -n $left ]] || lost "the ${thing%%:*}"
    [[ $(<"$OPEN/ours/secret") == secret ]] || lost 'what the link leads to'
    end_theirs
  done
  held
}

# swap TARGET: the other user sees each new directory at once, moves it away, and puts a link to the target in its place;
# or a pipe. How often he did is in $OPEN/theirs/swaps.
swap() {
  local deadline=$((SECONDS + EVENTUALLY))
  python3 - "$OPEN/fs" "$1" "$OPEN/theirs" "$OTHER" 3>&- <<'PYTHON' &
import ctypes, os, sys
directory, target, log, user = sys.argv[1:]
os.setgroups([])
os.setgid(int(user))
os.setuid(int(user))
libc = ctypes.CDLL(None)
watch = libc.inotify_init()
libc.inotify_add_watch(watch, directory.encode(), 0x100)  # IN_CREATE
open(log + "/ready", "w").close()
swaps = 0
while True:
    name = os.path.join(directory, os.read(watch, 4096)[16:].split(b"\0")[0].decode())
    if name.endswith(".away") or not os.path.isdir(name) or os.path.islink(name):
        continue
    try:
        os.rename(name, name + ".away")
        os.mkfifo(name) if target == "pipe" else os.symlink(target, name)
    except OSError:
        continue
    swaps += 1
    with open(log + "/swaps", "w") as out:
        out.write(str(swaps))
PYTHON
  swapper=$!
  until [[ -e $OPEN/theirs/ready ]]; do
    ((SECONDS < deadline)) || return
    sleep 0.02
  done
}

@test "the client does not change the mode of a replacement, and does not block on a FIFO" {
  local target try
  install -d -m 750 "$OPEN/ours/directory"
  install -m 640 /dev/null "$OPEN/ours/file"
  shared_directory 2777
  pool_with --methods FS --auto-approve --token "$TOKEN" --fs-dir "$OPEN/fs"
  for target in "$OPEN/ours/directory" "$OPEN/ours/file" pipe; do
    rm -f "$OPEN/theirs"/*
    swap "$target"
    for try in {1..10}; do
      request -pool "$HERE" -identity alice@own.test # succeeds where he is late
      ((status == 0 || status == 4)) || lost "try $try"
    done
    kill "$swapper"
    echo "$target: he was there in time $(<"$OPEN/theirs/swaps") of 10 times"
    (($(<"$OPEN/theirs/swaps") > 0))
  done
  [[ $(stat -c %a "$OPEN/ours/directory" "$OPEN/ours/file") == $'750\n640' ]] || lost 'the rights of what the link leads to'
  held
}

@test "the client removes its directory, whether the server accepts it or not" {
  rogue
  request -pool "$THERE" -identity alice@own.test
  got_token
  nothing_left
  end_theirs
  shared_directory 3777 # where what is made has the setgid bit, too, which the server does not take
  rogue
  request -pool "$THERE" -identity alice@own.test
  got_token
  nothing_left
  end_theirs
  rogue --fs-names extension # which does not take the ID of an endpoint, but is announced as if it did
  request -pool "<$THERE?sock=x>" -identity alice@own.test
  nothing_got
  says 'FS: the pool did not accept the directory '
  nothing_left
}

@test "a signal removes the directory too" {
  local signal client ended
  rogue --fs-then silence
  for signal in HUP INT TERM; do
    : >"$THEIR_LOG"
    set -m # else the shell has SIGINT ignored in what runs in the background
    env --default-signal=HUP,INT,TERM java -Duser.home="$HOME" -cp "$TOKEN_REQUEST_CLASSPATH" tokenrequest.TokenRequest -pool "$THERE" -identity alice@own.test \
      >"$BATS_TEST_TMPDIR/stdout" 2>"$BATS_TEST_TMPDIR/stderr" 3>&- &
    client=$!
    set +m
    await_event ^created "$THEIR_LOG"
    [[ -n $(ls -A "$OPEN/fs") ]]
    kill -"$signal" "$client"
    ended=0
    wait "$client" || ended=$?
    ((ended == 128 + $(kill -l "$signal")))
    nothing_left
  done
}

# ---- Our login at somebody else's pool ----

# What he does between us and a pool: he passes on the name of the directory, and has keys of his own with both sides.
# He has our login if he can read what the pool tells us about it.

@test "a man in the middle who relays a login does not become this user, whatever the form of the name" {
  local names
  for names in plain address extension shared-port; do
    genuine --fs-names "$names"
    relay --attack swap-keys
    request -pool "$THERE" -identity alice@own.test
    he_has '== server in the clear'
    ! he_has 'User = "root@' || lost "our login, by a $names name"
    ! he_has "$TOKEN" || lost "the token, by a $names name"
    nothing_left
    end_theirs
  done
  held
}

@test "a man in the middle does not become this user by changing the address that the client sends" {
  local attack
  genuine
  for attack in swap-keys-forge-extension swap-keys-drop-extension; do
    relay --attack "$attack"
    request -pool "$THERE" -identity alice@own.test
    nothing_got
    says 'FS: the pool did not accept the directory '
    ! he_has 'User = "root@' || lost "our login, by $attack"
    nothing_left
    export _CONDOR_SEC_FS_ENFORCE_CHANNEL_BINDING=false
    request -pool "$THERE" -identity alice@own.test
    got_token
    he_has 'User = "root@'
    unset _CONDOR_SEC_FS_ENFORCE_CHANNEL_BINDING
    end_theirs
  done
  held
}

@test "without channel binding the relay succeeds; without a man in the middle every form of name does" {
  local names
  for names in plain address extension shared-port; do
    genuine --fs-names "$names"
    relay --attack swap-keys
    export _CONDOR_SEC_FS_ENFORCE_CHANNEL_BINDING=false
    request -pool "$THERE" -identity alice@own.test
    got_token
    he_has 'User = "root@'
    he_has "$TOKEN"
    request -pool "$HERE" -identity alice@own.test
    got_token
    export _CONDOR_SEC_FS_ENFORCE_CHANNEL_BINDING=true
    request -pool "$HERE" -identity alice@own.test
    if [[ $names == plain ]]; then nothing_got; else got_token; fi
    nothing_left
    end_theirs
  done
}

@test "the message about a name without an address, or with another, names the setting" {
  genuine --fs-names plain
  request -pool "$HERE" -identity alice@own.test
  nothing_got
  says "FS: the server's directory name does not contain its address, so a man in the middle could log in as this user at another server;" \
    'SEC_FS_ENFORCE_CHANNEL_BINDING = false allows it'
  genuine --fs-names address
  relay --attack none
  request -pool "$THERE" -identity alice@own.test
  nothing_got
  says "FS: the server's directory name contains the address <127.0.0.1:$LOOPBACK_PORT>; this connection is to <127.0.0.1:$MIDDLEMAN_PORT>" \
    'SEC_FS_ENFORCE_CHANNEL_BINDING = false allows it'
}
