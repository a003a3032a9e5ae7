#!/usr/bin/env bats
# Files that others have put where we read: every place from which the program reads, and what another local user can put
# there. The victim is root, but where the place is in /tmp; the stranger is user OTHER. Beside each attack the same file,
# put there by somebody who may, is used.
# shellcheck disable=SC2030,SC2031,SC2119,SC2120 # each test has settings of its own; functions that take arguments or none
load loopback
load users

# The places, and how somebody says that they are to be read: looked for, in a file of the configuration, or by the user.
PLACES=(found-bearer-token bearer-token password signing-key token ca-setting ca-directory known-hosts address include
  bearer-token-file ca-option ca-variable resumed)
# Those that a user names: there, pipes are read.
NAMED_BY_USER=' bearer-token-file ca-option ca-variable resumed '
# How often a file is replaced under the hands of the program.
TRIES=${ATTACK_TRIES:-8}
# A user who has nothing else on this machine, and therefore no file of his own in /tmp.
VICTIM=61234

setup_file() {
  pool_with --methods SSL,TOKEN,SCITOKENS --auto-approve --signing-key-file "$BATS_FILE_TMPDIR/key" --token-for alice@pool.test
  export LOOPBACK_CA LOOPBACK_TOKEN
}

setup() {
  common_folder
  own_folders
  umask 022
  # Every test says by itself what is configured, in this file.
  export CONDOR_CONFIG=$COMMON/condor_config
  unset _CONDOR_SEC_TOKEN_DIRECTORY _CONDOR_AUTH_SSL_CLIENT_CAFILE _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS
  cp "$LOOPBACK_CA" "$COMMON/ca.pem"
  printf '<127.0.0.1:%s?alias=localhost>\n' "$LOOPBACK_PORT" >"$COMMON/address"
  mkdir "$COMMON/a" # where things are read from
}

teardown() {
  [[ -z ${swapper-} ]] || kill "$swapper" ${renewer-} 2>/dev/null || :
  remove_common_folder
  rm -f "/tmp/bt_u$VICTIM"
}

# ---- The places ----

# name_of PLACE: of the file
name_of() {
  case $1 in
    found-bearer-token) echo "$COMMON/a/bt_u0" ;;
    ca-directory) echo "$COMMON/a/0123abcd.0" ;;
    *) echo "$COMMON/a/file" ;;
  esac
}

# content PLACE: what is of use there
content() {
  case $1 in
    *bearer-token*) echo "$TOKEN" ;;
    password) printf 'any password' ;;
    signing-key) cat "$BATS_FILE_TMPDIR/key" ;;
    token) echo "$LOOPBACK_TOKEN" ;;
    ca-*) cat "$LOOPBACK_CA" ;;
    known-hosts) echo "localhost SSL $(openssl x509 -in "$LOOPBACK_CA" -outform DER | base64 -w 0)" ;;
    address) cat "$COMMON/address" ;;
    include) echo 'A = 1' ;;
    resumed)
      printf '{"event":"enqueued","request_id":"6108900","client_id":"x","pool":"localhost","address":"%s",' "$(<"$COMMON/address")"
      echo '"daemon":{"type":"collector","name":null},"identity":"a@b","authz":[],"lifetime":null,"method":"SSL",' \
        '"session":"unbound","deadline":"2099-01-01T00:00:00.000Z"}'
      ;;
  esac
}

# decoy PLACE: what is of no use there, and no harm
decoy() {
  case $1 in
    ca-*) cat "$COMMON/decoy.pem" ;;
    *) echo '# nothing' ;;
  esac
}

# configured LINE...: that is the whole configuration
configured() {
  printf '%s\n' 'SEC_CLIENT_AUTHENTICATION_METHODS = SSL' AUTH_SSL_CLIENT_USE_DEFAULT_CAS=false "SEC_KNOWN_HOSTS=$COMMON/none" \
    "$@" >"$COMMON/condor_config"
}

# used PLACE FILE [ARGUMENT...]: whether a request uses the file. What was said is in $BATS_TEST_TMPDIR.
used() {
  local place=$1 file=$2 ca=AUTH_SSL_CLIENT_CAFILE=$COMMON/ca.pem bearer=SEC_CLIENT_AUTHENTICATION_METHODS=SCITOKENS before after
  local there=(-pool "$HERE" -identity alice@own.test -timeout 5 "${@:3}")
  before=$(events '^(bearer-token|poll|authenticated)')
  case $place in
    found-bearer-token)
      configured "$ca" "$bearer"
      XDG_RUNTIME_DIR=${file%/*} request "${there[@]}"
      ;;
    bearer-token) configured "$ca" "$bearer" "SCITOKENS_FILE=$file" && request "${there[@]}" ;;
    bearer-token-file) configured "$ca" "$bearer" && BEARER_TOKEN_FILE=$file request "${there[@]}" ;;
    password)
      configured SEC_CLIENT_AUTHENTICATION_METHODS=PASSWORD "SEC_PASSWORD_FILE=$file"
      request "${there[@]}"
      # This pool has no PASSWORD.
      grep -q 'PASSWORD: the pool does not offer this method' "$BATS_TEST_TMPDIR/stderr"
      return
      ;;
    signing-key)
      configured "$ca" "SEC_TOKEN_POOL_SIGNING_KEY_FILE=$file"
      request "${there[@]}" -json
      grep -q '"signature":"verified"' "$BATS_TEST_TMPDIR/stdout"
      return
      ;;
    token) configured SEC_CLIENT_AUTHENTICATION_METHODS=TOKEN "SEC_TOKEN_DIRECTORY=${file%/*}" && request "${there[@]}" ;;
    ca-setting) configured "AUTH_SSL_CLIENT_CAFILE=$file" && request "${there[@]}" ;;
    ca-directory) configured "AUTH_SSL_CLIENT_CADIR=${file%/*}" && request "${there[@]}" ;;
    ca-option) configured && request "${there[@]}" -cafile "$file" ;;
    ca-variable) configured AUTH_SSL_CLIENT_USE_DEFAULT_CAS=true && SSL_CERT_FILE=$file request "${there[@]}" ;;
    known-hosts) configured "SEC_KNOWN_HOSTS=$file" && request "${there[@]}" ;;
    address)
      configured "$ca" "COLLECTOR_HOST=127.0.0.1:0" "COLLECTOR_ADDRESS_FILE=$file"
      request -identity alice@own.test -timeout 5
      ;;
    include)
      configured "include : $file"
      request -config A
      grep -q '^A = 1$' "$BATS_TEST_TMPDIR/stdout"
      return
      ;;
    resumed) configured "$ca" && request -resume "$file" -timeout 5 "${@:3}" ;;
  esac
  ((status != 255)) || return 2
  after=$(events '^(bearer-token|poll|authenticated)')
  ((after > before))
}

# each COMMAND: for every place; it fails with the list of those for which the command did
each() {
  local place failed=()
  for place in "${places[@]:-${PLACES[@]}}"; do
    find "$COMMON/a" -mindepth 1 -delete
    chmod 0755 "$COMMON/a"
    if ! "$@" "$place" "$(name_of "$place")"; then
      failed+=("$place")
      sed "s/^/$place: /" "$BATS_TEST_TMPDIR/stderr"
    fi
  done
  echo "$*: ${#failed[@]} of ${#places[@]}: ${failed[*]}"
  ((${#failed[@]} == 0))
}

# ---- Controls ----

used_if_it_is_ours() {
  content "$1" >"$2" && chmod 0600 "$2"
  used "$1" "$2" && ! grep -q WARNING "$BATS_TEST_TMPDIR/stderr"
}

@test "a file, link or pipe of root is used" {
  places=("${PLACES[@]}")
  each used_if_it_is_ours
}

used_over_links() {
  mkdir "$COMMON/a/..2026"
  content "$1" >"$COMMON/a/..2026/${2##*/}"
  chmod 0600 "$COMMON/a/..2026/${2##*/}"
  ln -s ..2026 "$COMMON/a/..data"
  ln -s "..data/${2##*/}" "$2"
  chmod 1777 "$COMMON/a"
  used "$1" "$2"
}

@test "a secret is used that Kubernetes mounts by links in a directory that everybody can write to" {
  places=("${PLACES[@]:1}") # all that are named
  each used_over_links
}

@test "a bearer token file that the program finds is not used if it is a link, whoever made it" {
  run ! used_over_links found-bearer-token "$(name_of found-bearer-token)"
  grep -qF "(ignoring ${COMMON}/a/bt_u0: it is a symbolic link)" "$BATS_TEST_TMPDIR/stderr"
}

# ---- Pipes, and what is endless ----

held_as_pipe() {
  mkfifo "$2"
  # A pipe of root's own: whose it is is not the question here. Nobody writes to it.
  run ! used "$1" "$2" && ((status != 255)) && grep -qE 'pipe|did not end in time|signature|alice@own.test' "$BATS_TEST_TMPDIR"/std{err,out}
}

@test "a pipe without a writer in place of a file does not block the command" {
  local place
  places=()
  for place in "${PLACES[@]}"; do [[ $NAMED_BY_USER == *" $place "* ]] || places+=("$place"); done
  SECONDS=0
  each held_as_pipe
  ((SECONDS < 15))
}

held_as_silent_pipe() {
  mkfifo "$2"
  run ! used "$1" "$2" -timeout 1 && ((status != 255)) && grep -q 'did not end in time' "$BATS_TEST_TMPDIR/stderr"
}

@test "the command waits for a pipe that the user names until -timeout ends" {
  read -ra places <<<"$NAMED_BY_USER"
  each held_as_silent_pipe
}

held_as_strangers_pipe() {
  mkfifo "$2" && chown "$OTHER" "$2"
  run ! used "$1" "$2" && ((status != 255))
}

@test "the command does not wait for another user's pipe, even if the user names it" {
  read -ra places <<<"$NAMED_BY_USER"
  SECONDS=0
  each held_as_strangers_pipe
  ((SECONDS < 8))
}

held_as_huge() {
  truncate -s 3G "$2" && chmod 0600 "$2"
  run ! used "$1" "$2" && ((status != 255)) && ! grep -qE 'OutOfMemory|exceeds|bug|at tokenrequest' "$BATS_TEST_TMPDIR/stderr"
}

@test "a huge file is not read" {
  places=("${PLACES[@]}")
  each held_as_huge
}

@test "of a device without an end the command reads no more than the size limit" {
  local place
  for place in ca-option resumed known-hosts; do
    run ! used "$place" /dev/zero
    ((status != 255))
    grep -q 'is larger than' "$BATS_TEST_TMPDIR/stderr"
  done
}

@test "of a pipe without an end the command reads no more than the size limit" {
  local written
  configured
  mkfifo endless
  python3 -c 'import os, signal, sys
signal.signal(signal.SIGPIPE, signal.SIG_IGN)
pipe, count = os.open("endless", os.O_WRONLY), 0
try:
    while True:
        count += os.write(pipe, bytes(65536))
except BrokenPipeError:
    print(count)' >written &
  writer=$!
  request -resume /dev/fd/7 7<endless
  assert_status 2
  grep -q 'is larger than' "$BATS_TEST_TMPDIR/stderr"
  wait "$writer"
  written=$(<written)
  ((written < (1 << 20) + (1 << 18))) # a mebibyte, and what the pipe holds
}

# ---- A stranger's file ----

held_as_strangers_own() {
  content "$1" >"$2" && chmod 0600 "$2" && chown "$OTHER" "$2"
  if [[ $1 == include ]]; then used "$1" "$2"; else run ! used "$1" "$2"; fi # HTCondor includes anybody's settings
}

@test "a file that another user owns is not used; only configuration files may belong to anybody" {
  places=("${PLACES[@]}")
  each held_as_strangers_own
}

held_as_link_by_stranger() {
  content "$1" >"$COMMON/elsewhere" && chmod 0600 "$COMMON/elsewhere"
  chmod 0777 "$COMMON/a"
  "${as_other[@]}" ln -s ../elsewhere "$2"
  run ! used "$1" "$2"
}

@test "a link that another user made in a directory that he can write to is not followed, even to the user's own file" {
  places=("${PLACES[@]}")
  each held_as_link_by_stranger
}

@test "nor is such a link in a sticky directory, or within the path" {
  content ca-option >"$COMMON/elsewhere"
  chmod 1777 "$COMMON/a"
  "${as_other[@]}" ln -s "$COMMON" "$COMMON/a/way"
  run ! used ca-option "$COMMON/a/way/elsewhere"
  grep -qF "leads over $COMMON/a/way, a link that $(id -un "$OTHER") created in a directory that others can write to" "$BATS_TEST_TMPDIR/stderr"
  ln -s "$COMMON" "$COMMON/a/ours"
  used ca-option "$COMMON/a/ours/elsewhere"
}

held_if_writable() {
  content "$1" >"$2" && chmod 0666 "$2"
  case $1 in
    include) used "$1" "$2" ;;
    ca-* | known-hosts | address | bearer-token-file | resumed)
      used "$1" "$2" && grep -qF "$2 is used although others can change it: $2 can be changed by everybody (mode 0666)." "$BATS_TEST_TMPDIR/stderr"
      ;;
    *) ! used "$1" "$2" ;;
  esac
}

@test "a file that others can write to gets a warning, and a secret in it is used only if the user names it" {
  places=("${PLACES[@]}")
  each held_if_writable
}

held_if_directory_writable() {
  content "$1" >"$2" && chmod 0600 "$2"
  chmod 0777 "$COMMON/a"
  case $1 in
    bearer-token | password | signing-key) ! used "$1" "$2" ;;
    found-bearer-token | include | address | ca-directory | token) used "$1" "$2" ;;
    *)
      used "$1" "$2" && grep -qF "$2 is used although others can change it: $COMMON/a can be changed by everybody (mode 0777)." \
        "$BATS_TEST_TMPDIR/stderr"
      ;;
  esac
}

@test "the same holds for a directory that others can write to, since they can replace the file" {
  places=("${PLACES[@]}")
  each held_if_directory_writable
}

@test "a bearer token file with a second name, which another user may have made, is not used when the program finds it" {
  content found-bearer-token >"$COMMON/elsewhere" && chmod 0600 "$COMMON/elsewhere"
  ln "$COMMON/elsewhere" "$COMMON/a/bt_u0"
  run ! used found-bearer-token "$COMMON/a/bt_u0"
  rm "$COMMON/elsewhere"
  used found-bearer-token "$COMMON/a/bt_u0"
}

@test "an address file, or a CA in a directory, may belong to the owner of its directory, as HTCondor's do" {
  local place
  chown "$OTHER" "$COMMON/a"
  for place in address ca-directory; do
    content "$place" >"$(name_of "$place")"
    chown "$OTHER" "$(name_of "$place")"
    used "$place" "$(name_of "$place")"
    chown 12001 "$(name_of "$place")"
    run ! used "$place" "$(name_of "$place")"
  done
}

@test "where everybody can create a directory, its owner is not trusted" {
  local place file
  for place in address ca-directory; do
    mkdir "$COMMON/a/made"
    file=$COMMON/a/made/$(basename "$(name_of "$place")")
    content "$place" >"$file"
    chown -R "$OTHER" "$COMMON/a/made"
    chmod 1777 "$COMMON/a"
    run ! used "$place" "$file"
    grep -q "belongs to $(id -un "$OTHER"), not to root or this user" "$BATS_TEST_TMPDIR/stderr"
    chmod 0755 "$COMMON/a"
    used "$place" "$file"
    rm -r "$COMMON/a/made"
  done
}

# ---- Replaced between look and use ----

# swap FIRST SECOND NAME: a stranger makes NAME now the one and now the other, for as long as the test runs
swap() {
  "${as_other[@]}" timeout 60 python3 -c 'import os, sys
first, second, name = sys.argv[1:]
while True:
    for one in first, second:
        try:
            os.rename(one, name)
            os.rename(name, one)
        except OSError:
            sys.exit(3)' "$@" 3>&- &
  swapper=$!
}

# Into a directory of everybody's, root has put a file of no use, and a stranger one of use, his own. Each takes its turn.
held_while_replaced() {
  local i missed=0 taken=0
  decoy "$1" >"$COMMON/a/decoy" && chmod 0600 "$COMMON/a/decoy"
  content "$1" >"$COMMON/a/evil" && chmod 0600 "$COMMON/a/evil" && chown "$OTHER" "$COMMON/a/evil"
  chmod 0777 "$COMMON/a"
  swap "$COMMON/a/decoy" "$COMMON/a/evil" "$2"
  for ((i = 0; i < TRIES; i++)); do
    if used "$1" "$2" -timeout 5; then ((++taken)); fi
    ((status != 255)) || return
    ! grep -q 'o such file\|no pool' "$BATS_TEST_TMPDIR/stderr" || ((++missed))
  done
  kill "$swapper"
  wait "$swapper" 2>/dev/null || :
  swapper=
  echo "$1: $taken of $TRIES ($missed not there)" | tee -a "${ATTACK_LOG:-/dev/null}"
  ((taken == 0))
}

# The same with two files of root's, each of use.
used_while_replaced() {
  local i taken=0
  content "$1" >"$COMMON/a/one" && content "$1" >"$COMMON/a/two"
  chmod 0600 "$COMMON/a/one" "$COMMON/a/two"
  chmod 0777 "$COMMON/a"
  swap "$COMMON/a/one" "$COMMON/a/two" "$2"
  # Most of the time neither is there.
  for ((i = 0; i < 100 && taken == 0; i++)); do
    if used "$1" "$2" -timeout 5; then ((++taken)); fi
  done
  kill "$swapper"
  wait "$swapper" 2>/dev/null || :
  swapper=
  ((taken > 0))
}

@test "another user cannot have his file used by putting it in place between check and use" {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$COMMON/decoy.key" -out "$COMMON/decoy.pem" -subj /CN=decoy 2>/dev/null
  places=(found-bearer-token token ca-setting ca-directory known-hosts address bearer-token-file ca-option ca-variable resumed)
  each held_while_replaced
  each used_while_replaced
}

# read_again TIMES: reads $COMMON/a/file so often; what that came to is in the file results, a count and a word each
read_again() {
  local options
  read -ra options <<<"$TOKEN_REQUEST_JAVA_OPTIONS"
  java "${options[@]}" -cp "$TOKEN_REQUEST_CLASSPATH" tokenrequest.ReadAgain "$COMMON/a/file" "$1" >results
  cat results
}

# counted WORD: how often it came to that
counted() { sed -n "s/^\([0-9]*\) $1\$/\1/p" results; }

# read_until WORD...: in thousands of readings, the stranger's text never comes, and each of the words does; what comes first
# depends on the moment, so there are some rounds
read_until() {
  local round word missing
  for ((round = 1; round <= 20; round++)); do
    read_again $((TRIES * 500))
    [[ $(counted evil) == '' ]] || return
    missing=
    for word; do
      [[ -n $(counted "$word") ]] || missing+=" $word"
    done
    [[ -n $missing ]] || return 0
  done
  echo "never:$missing"
  return 1
}

@test "in thousands of reads of a file that is being replaced, another user's file is never used" {
  echo decoy >"$COMMON/a/decoy"
  echo evil >"$COMMON/a/evil"
  chown "$OTHER" "$COMMON/a/evil"
  chmod 0777 "$COMMON/a"
  swap "$COMMON/a/decoy" "$COMMON/a/evil" "$COMMON/a/file"
  read_until decoy replaced RefusedFileException
}

# A file system gives the number of a deleted file to the next one.
@test "a new file with the inode number of the checked file is not used in its place" {
  chmod 0777 "$COMMON/a"
  "${as_other[@]}" timeout 60 python3 -c 'import os, sys
while True:
    try:
        if os.stat(sys.argv[1]).st_uid == 0:
            os.unlink(sys.argv[1])
            with open(sys.argv[1], "w") as file:
                file.write("evil")
    except OSError:
        pass' "$COMMON/a/file" 3>&- &
  swapper=$!
  timeout 60 python3 -c 'import os, sys
while True:
    with open(sys.argv[1], "w") as file:
        file.write("decoy")
    os.rename(sys.argv[1], sys.argv[2])' "$COMMON/next" "$COMMON/a/file" 3>&- &
  renewer=$!
  read_until decoy replaced RefusedFileException
}

held_while_replaced_by_pipe() {
  local i
  content "$1" >"$COMMON/a/file-1" && chmod 0600 "$COMMON/a/file-1"
  chmod 0777 "$COMMON/a"
  "${as_other[@]}" mkfifo "$COMMON/a/pipe-1"
  swap "$COMMON/a/file-1" "$COMMON/a/pipe-1" "$2"
  for ((i = 0; i < TRIES / 2; i++)); do
    used "$1" "$2" -timeout 1 || :
    ((status != 255)) || return
  done
  kill "$swapper"
  wait "$swapper" 2>/dev/null || :
  swapper=
}

@test "a pipe that replaces a file between check and use does not block beyond the deadline" {
  places=(ca-option bearer-token-file resumed known-hosts)
  each held_while_replaced_by_pipe
}

# ---- What the user hands over ----

@test "a pipe that the user passes as a descriptor is read once" {
  configured SEC_CLIENT_AUTHENTICATION_METHODS=SCITOKENS "AUTH_SSL_CLIENT_CAFILE=$COMMON/ca.pem"
  local there=(-pool "$HERE" -identity alice@own.test)
  BEARER_TOKEN_FILE=<(content bearer-token) AS_PROCESS=1 request "${there[@]}"
  assert_status 0
  configured
  request "${there[@]}" -cafile <(cat "$LOOPBACK_CA")
  assert_status 0
  input=$LOOPBACK_CA AS_PROCESS=1 request "${there[@]}" -cafile /dev/stdin
  assert_status 0
  input=<(cat "$LOOPBACK_CA") AS_PROCESS=1 request "${there[@]}" -cafile /proc/self/fd/0
  assert_status 0
  mkfifo pipe
  cat "$LOOPBACK_CA" >pipe 3>&- &
  request "${there[@]}" -cafile pipe
  assert_status 0
  AS_PROCESS=1 SSL_CERT_FILE=<(cat "$LOOPBACK_CA") _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=true request "${there[@]}"
  assert_status 0
  AS_PROCESS=1 _CONDOR_AUTH_SSL_CLIENT_CAFILE=<(cat "$LOOPBACK_CA") request "${there[@]}"
  assert_status 0
}

@test "what another user wrote into the pipe that root has as stdin counts as root's input" {
  configured
  chmod 0644 "$COMMON/ca.pem"
  input=<("${as_other[@]}" cat "$COMMON/ca.pem") AS_PROCESS=1 request -pool "$HERE" -identity alice@own.test -cafile /dev/stdin
  assert_status 0
}

@test "a configuration that the user passes as a descriptor is read; a pipe that a file includes is not" {
  CONDOR_CONFIG=<(echo 'A = 1') AS_PROCESS=1 request -config A
  grep -qx 'A = 1' "$BATS_TEST_TMPDIR/stdout"
  mkfifo pipe
  configured "include : $PWD/pipe"
  request -config A
  assert_status 2
  grep -q "can't open file $PWD/pipe: is a pipe, not a regular file" "$BATS_TEST_TMPDIR/stderr"
}

@test "/dev/null counts as an empty file" {
  configured SEC_KNOWN_HOSTS=/dev/null "AUTH_SSL_CLIENT_CAFILE=$COMMON/ca.pem"
  request -pool "$HERE" -identity alice@own.test
  assert_status 0
  configured SEC_KNOWN_HOSTS=/dev/null
  request -pool "$HERE" -identity alice@own.test
  assert_status 4
  grep -q 'its CA is unknown' "$BATS_TEST_TMPDIR/stderr"
}

# ---- /tmp ----

# as_victim ARGUMENT...: an ordinary user's request by SCITOKENS
as_victim() {
  configured "AUTH_SSL_CLIENT_CAFILE=$COMMON/ca.pem" SEC_CLIENT_AUTHENTICATION_METHODS=SCITOKENS
  chmod 0644 "$COMMON/ca.pem"
  TOKEN_REQUEST_CLASSPATH=$COMMON_CLASSPATH HOME=/nonexistent
  settings=(timeout 20 setpriv --reuid="$VICTIM" --regid="$VICTIM" --clear-groups --)
  cd "$COMMON" || return
  SECONDS=0
  request -pool "$HERE" -identity alice@own.test "$@"
  settings=()
}

# not_used REASON: nothing was sent, and the user hears why
not_used() {
  assert_status 4
  ((SECONDS < 10))
  [[ $(events ^bearer-token) == "$before" ]]
  grep -qF "(ignoring /tmp/bt_u$VICTIM: it $1)" "$BATS_TEST_TMPDIR/stderr"
}

@test "/tmp/bt_u is used if it is the user's, and not if it is another user's, a pipe, a link, or huge" {
  local file=/tmp/bt_u$VICTIM before
  [[ ! -e $file && ! -L $file ]] || skip "somebody has $file"
  before=$(events ^bearer-token)

  "${as_other[@]}" mkfifo -m 666 "$file"
  as_victim
  not_used 'is a pipe, not a regular file'
  rm "$file"

  "${as_other[@]}" truncate -s 3G "$file"
  chmod 0644 "$file"
  as_victim
  not_used "is larger than 262144 bytes"
  rm "$file"

  "${as_other[@]}" sh -c "echo '$TOKEN' >$file && chmod 0644 $file"
  as_victim
  not_used "belongs to $(id -un "$OTHER")"
  rm "$file"

  install -m 0600 -o "$VICTIM" /dev/null "$COMMON/own"
  echo "$TOKEN" >"$COMMON/own"
  "${as_other[@]}" ln -s "$COMMON/own" "$file"
  as_victim
  not_used 'is a symbolic link'
  rm "$file"

  ln "$COMMON/own" "$file" 2>/dev/null || cp -p "$COMMON/own" "$file"
  chmod 0620 "$file"
  as_victim
  not_used "can be changed by its group, root (mode 0620)"
  rm -f "$file"

  cp -p "$COMMON/own" "$file"
  chmod 0600 "$file"
  as_victim
  assert_status 0
  [[ $(events ^bearer-token) == $((before + 1)) ]]
}

# ---- The system's CAs ----

@test "the system's CAs count only in a file of root" {
  type -P unshare && unshare -m true 2>/dev/null || skip "no mount namespaces"
  local bundle=/etc/ssl/certs/ca-certificates.crt
  [[ -e $bundle ]] || skip "no $bundle here"
  configured AUTH_SSL_CLIENT_USE_DEFAULT_CAS=true
  settings=(unshare -m sh -c "mount --bind $COMMON/ca.pem $bundle && exec \"\$@\"" sh)
  request -pool "$HERE" -identity alice@own.test
  assert_status 0
  chown "$OTHER" "$COMMON/ca.pem"
  request -pool "$HERE" -identity alice@own.test
  settings=()
  assert_status 4
  grep -qF "$bundle (ignored: it belongs to" "$BATS_TEST_TMPDIR/stderr"
}
