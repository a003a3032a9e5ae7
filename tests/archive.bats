#!/usr/bin/env bats
# -prepare: the archive of classes, made, used, renewed, and where it cannot be made. Each run is a process of its own, with
# the options that TokenRequest.java gives to JBang.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # settings of one test; variables of loopback.bash and archive.bash
load events
load archive

setup() {
  own_folders
  umask 022
  authenticate_by SSL
  export _CONDOR_SEC_TOKEN_DIRECTORY=$HOME/tokens.d _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=false
  JDK=$(jdk_homes | head -n 1)
  ARCHIVE=$(archive_of "$JDK" "$HOME")
}

prepare() { archived "$JDK" "$HOME" -prepare "$@"; }
ask_for_token() { archived "${1-$JDK}" "$HOME" -pool "$HERE" -identity alice@pool.test -authz READ; }

@test "-prepare makes an archive, in a folder for its user alone, from which a request takes nearly all classes" {
  local all
  pool_with
  ask_for_token
  only_the_token
  [[ $(from_archive) == 0 && ! -e $HOME/.cache ]]
  prepare
  assert_status 0
  [[ ! -s $BATS_TEST_TMPDIR/stdout ]]
  grep -Eqx "The archive of classes is made: ${ARCHIVE//+/\\+} \([0-9]+ MiB\)\." "$BATS_TEST_TMPDIR/stderr"
  [[ $(wc -l <"$BATS_TEST_TMPDIR/stderr") == 1 ]]
  [[ $(stat -c %a "${ARCHIVE%/*}") == 700 && $(stat -c %a "$ARCHIVE") == 444 ]]
  diff <(ls -A "${ARCHIVE%/*}") <(printf '%s\n' "${ARCHIVE##*/}" "${ARCHIVE##*/}.json")
  (($(stat -c %s "$ARCHIVE") < 20 << 20))
  ask_for_token
  only_the_token
  # What is left is a library's classes in an old format, which Java does not archive, and what Java makes at run time.
  all=$(grep -c ' source: ' "$BATS_TEST_TMPDIR/classes")
  echo "$(from_archive) from the archive, of $all"
  grep ' tokenrequest\.[^/]* source: ' "$BATS_TEST_TMPDIR/classes" | grep -v 'shared objects file (top)' >others || :
  diff /dev/null others
  (($(grep -c ' source: shared objects file' "$BATS_TEST_TMPDIR/classes") * 100 > 88 * all))
}

@test "it covers a wait, a token and its review too, on every JDK here" {
  local jdk
  pool_with --approve-after 1
  while read -r jdk; do
    archived "$jdk" "$HOME" -prepare
    assert_status 0
    ask_for_token "$jdk"
    only_the_token
    for class in Poller TokenInspector TokenWriter Json; do
      grep -q "tokenrequest\.TokenRequest\$$class source: shared objects file (top)" "$BATS_TEST_TMPDIR/classes"
    done
    grep -q 'io\.jsonwebtoken\..* source: shared objects file (top)' "$BATS_TEST_TMPDIR/classes"
  done < <(jdk_homes)
}

@test "an archive that is up to date is left alone, one that is damaged or lost its marker is made again, and -json says which" {
  local inode
  prepare -json
  assert_status 0
  [[ $(field prepared '"\(.made) \(.file) \(.java)"') == "true $ARCHIVE $(build_of "$JDK")" ]]
  [[ $(field prepared .bytes) == "$(stat -c %s "$ARCHIVE")" ]]
  "$TESTS_DIR/validate" --exit 0 "$BATS_TEST_TMPDIR/stdout"
  inode=$(stat -c %i "$ARCHIVE")
  prepare -json
  [[ $(field prepared .made) == false && $(stat -c %i "$ARCHIVE") == "$inode" ]]
  prepare
  [[ $(<"$BATS_TEST_TMPDIR/stderr") == "The archive of classes is up to date: $ARCHIVE." ]]
  rm "$ARCHIVE.json"
  prepare -json
  [[ $(field prepared .made) == true ]]
  chmod u+w "$ARCHIVE"
  head -c 64 /dev/urandom | dd of="$ARCHIVE" bs=1 seek=5000000 conv=notrunc status=none
  prepare -json
  [[ $(field prepared .made) == true ]]
  pool_with
  ask_for_token
  only_the_token
  (($(from_archive) > 500))
}

@test "archives of other builds, and what a killed run left, are removed from its own folder, and nothing else is" {
  mkdir -p "${ARCHIVE%/*}/.0123456789abcdef.training/tokens.d"
  touch "${ARCHIVE%/*}"/{11.0.1.jsa,11.0.1.jsa.json,notes.txt} "${ARCHIVE%/*}/.0123456789abcdef.training/tokens.d/training"
  chmod 0700 "$HOME/.cache" "${ARCHIVE%/*}"
  prepare
  assert_status 0
  diff <(ls -A "${ARCHIVE%/*}") <(printf '%s\n' "${ARCHIVE##*/}" "${ARCHIVE##*/}.json" notes.txt)
}

@test "after an update of Java the old archive is not used, a request works, and -prepare replaces it" {
  another_jdk
  pool_with
  prepare
  # As an update leaves it: another build, and the archive of the old one under its old name, or under the new one.
  ask_for_token "$OTHER_JDK"
  only_the_token
  [[ $(from_archive) == 0 ]]
  cp "$ARCHIVE" "$(archive_of "$OTHER_JDK" "$HOME")"
  ask_for_token "$OTHER_JDK"
  only_the_token
  [[ $(from_archive) == 0 ]]
  archived "$OTHER_JDK" "$HOME" -prepare
  assert_status 0
  [[ ! -e $ARCHIVE ]]
  ask_for_token "$OTHER_JDK"
  only_the_token
  (($(from_archive) > 500))
}

by_jbang() {
  jbang "$TESTS_DIR/../TokenRequest.java" -pool "$HERE" -identity alice@pool.test >"$BATS_TEST_TMPDIR/stdout" 2>"$BATS_TEST_TMPDIR/stderr"
}

@test "JBang starts the program with the archive, and no run starts a second JVM" {
  local pid
  export JDK_JAVA_OPTIONS=-Duser.home=$HOME
  pool_with --approve-on "$BATS_TEST_TMPDIR/approved"
  jbang "$TESTS_DIR/../TokenRequest.java" -prepare 2>"$BATS_TEST_TMPDIR/stderr"
  grep -Fq "The archive of classes is made: $ARCHIVE " "$BATS_TEST_TMPDIR/stderr"
  background by_jbang
  await_line '^Token request enqueued'
  pid=$(pgrep -g "$client" java)
  [[ $(wc -w <<<"$pid") == 1 ]]
  grep -Fq "$ARCHIVE" "/proc/$pid/maps"
  touch "$BATS_TEST_TMPDIR/approved"
  await_end
  [[ $status == 0 && $(wc -l <"$BATS_TEST_TMPDIR/stdout") == 1 ]]
}

@test "with java -jar the options name the archive, the same line with -prepare makes it, and it is used from every directory" {
  local jar=$PWD/request.jar folder=$PWD/archives jdk command classes
  pool_with
  jbang export fatjar -O "$jar" "$TESTS_DIR/../TokenRequest.java"
  while read -r jdk; do
    command=("$jdk/bin/java" -XX:+UseSerialGC -XX:SharedArchiveFile="$folder/request.jsa" -Xlog:disable -Xlog:class+load:file="$PWD/classes"
      -Duser.home="$HOME" -jar)
    classes=$PWD/classes
    "${command[@]}" "$jar" -prepare 2>"$BATS_TEST_TMPDIR/stderr"
    grep -Eqx "The archive of classes is made: $folder/request.jsa \([0-9]+ MiB\)\." "$BATS_TEST_TMPDIR/stderr"
    "${command[@]}" "$jar" -pool "$HERE" -identity alice@pool.test >"$BATS_TEST_TMPDIR/stdout" 2>"$BATS_TEST_TMPDIR/stderr"
    only_the_token
    (($(from_archive) > 500))
    mkdir -p elsewhere
    (cd elsewhere && "${command[@]}" "$jar" -version >/dev/null)
    (($(from_archive) > 100))
  done < <(jdk_homes)
  # Without the option it says which one to add.
  java -Duser.home="$HOME" -jar "$jar" -prepare 2>"$BATS_TEST_TMPDIR/stderr"
  grep -Fq "java -XX:SharedArchiveFile=$ARCHIVE " "$BATS_TEST_TMPDIR/stderr"
}

@test "-prepare needs no network, not even loopback" {
  ((EUID == 0)) || skip "a network namespace takes root"
  wrapper=(unshare --net)
  prepare
  assert_status 0
  wrapper=()
  archived "$JDK" "$HOME" -version
  assert_status 0
  (($(from_archive) > 100))
}

# refused PATTERN: one line, with what to do below it, and status 2
refused() {
  assert_status 2
  [[ ! -s $BATS_TEST_TMPDIR/stdout ]]
  head -n 1 "$BATS_TEST_TMPDIR/stderr" | grep -Ex "Cannot make the archive of classes: $1" || { cat "$BATS_TEST_TMPDIR/stderr" && return 1; }
  [[ $(wc -l <"$BATS_TEST_TMPDIR/stderr") -le 2 ]]
}

@test "where -prepare cannot work, one line says why, with status 2" {
  archived "$JDK" '?' -prepare
  refused 'this user has no home directory\.'
  archived "$JDK" '?' -prepare -json
  sed -E 's/("time":")[^"]*/\1<TIME>/' "$BATS_TEST_TMPDIR/stdout" >"$BATS_TEST_TMPDIR/record"
  assert_golden archive/not-prepared
  [[ ! -e '?' && ! -e '/?' ]]
  touch "$HOME/.cache"
  prepare
  refused "Not a directory \(${ARCHIVE//+/\\+}\)\."
  archived "$JDK" "$HOME" -prepare -json
  assert_status 2
  [[ $(field failed '"\(.code) \(.exit) \(.retryable)"') == 'not_prepared 2 false' ]]
  rm "$HOME/.cache"
  prepare
  assert_status 0
}

@test "a folder that cannot be written, and another run that makes the archive, are named" {
  local folder=${ARCHIVE%/*}
  prepare
  hold_lock "$folder/.prepare.lock" ''
  prepare
  refused 'another run makes it at this moment\.'
  release_lock
  rm "$ARCHIVE"
  ((EUID == 0)) || skip "root mounts a folder read-only"
  # shellcheck disable=SC2016 # a program of sh
  wrapper=(unshare --mount sh -c 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"' "$HOME")
  prepare
  refused "Read-only file system \(${ARCHIVE//+/\\+}\)\."
}

@test "a Java runtime without an archive of its own classes is named, and what makes one" {
  local jmods
  jmods=$(dirname "$(readlink -f "$(type -P java)")")/../jmods
  type -P jlink >/dev/null && [[ -d $jmods ]] || skip "this JDK has no jmods"
  jlink --add-modules java.base,java.naming,jdk.crypto.ec,jdk.security.auth --strip-debug --no-header-files --no-man-pages --output runtime
  rm -f runtime/lib/server/*.jsa
  pool_with
  archived "$PWD/runtime" "$HOME" -prepare
  refused 'this Java runtime cannot make one\.'
  grep -Fq "$PWD/runtime/bin/java -Xshare:dump" "$BATS_TEST_TMPDIR/stderr"
  archived "$PWD/runtime" "$HOME" -pool "$HERE" -identity alice@pool.test
  only_the_token
  # What the hint says helps.
  runtime/bin/java -Xshare:dump >/dev/null
  archived "$PWD/runtime" "$HOME" -prepare
  assert_status 0
  archived "$PWD/runtime" "$HOME" -pool "$HERE" -identity alice@pool.test
  only_the_token
  (($(from_archive) > 500))
}

@test "-prepare only makes the archive: with an option about a request it is an error" {
  local option
  for option in -ensure -nowait -verify -pending -config '-resume file'; do
    # shellcheck disable=SC2086 # an option and its value
    request -prepare $option
    assert_status 2
    grep -Fq -- '-prepare cannot be combined with' "$BATS_TEST_TMPDIR/stderr"
  done
}

# made_again: -prepare finds the archive out of date, makes it, and finds it up to date after that
made_again() {
  prepare -json
  assert_status 0
  [[ $(field prepared .made) == true && -f $ARCHIVE && ! -L $ARCHIVE ]]
  prepare -json
  [[ $(field prepared .made) == false ]]
}

# program_in FOLDER: the program with its libraries, copied there, is what runs
program_in() {
  local jars jar
  mkdir "$1"
  mapfile -t jars < <(tr : '\n' <<<"$TOKEN_REQUEST_CLASSPATH" | awk '!seen[$0]++')
  cp -pt "$1" "${jars[@]}"
  program=
  for jar in "${jars[@]}"; do program+=${program:+:}$PWD/$1/${jar##*/}; done
}

@test "an archive for other jars, of a program that has changed since, or a link to one, is made again" {
  program_in jars
  made_again
  program_in elsewhere
  made_again
  printf x >>"${program%%:*}"
  made_again
  mv "$ARCHIVE" "$PWD/archive"
  ln -s "$PWD/archive" "$ARCHIVE"
  made_again
}

@test "in a folder that the options name, archives of other programs stay, and what a killed run left goes" {
  mkdir -m 0700 shared shared/.0123456789abcdef.training
  touch shared/{other.jsa,other.jsa.json}
  in_shared() {
    "$1/bin/java" -XX:SharedArchiveFile="$PWD/shared/request.jsa" -Xlog:disable -Duser.home="$HOME" -cp "$TOKEN_REQUEST_CLASSPATH" \
      tokenrequest.TokenRequest -prepare -json >"$BATS_TEST_TMPDIR/stdout"
  }
  in_shared "$JDK"
  [[ $(field prepared .made) == true ]]
  diff <(ls -A shared) <(printf '%s\n' other.jsa other.jsa.json request.jsa request.jsa.json)
}

@test "an update of Java in its place is noticed: the archive is made again" {
  ((EUID == 0)) || skip "a mount takes root"
  another_jdk
  mkdir -m 0700 jdk shared
  # shellcheck disable=SC2016 # a program of sh
  by() {
    unshare --mount sh -c 'mount --bind "$0" jdk && exec "$@"' "$1" jdk/bin/java -XX:SharedArchiveFile="$PWD/shared/request.jsa" \
      -Xlog:disable -Duser.home="$HOME" -cp "$TOKEN_REQUEST_CLASSPATH" tokenrequest.TokenRequest -prepare -json >"$BATS_TEST_TMPDIR/stdout"
  }
  for jdk in "$JDK" "$OTHER_JDK"; do
    by "$jdk"
    [[ $(field prepared .made) == true ]]
    by "$jdk"
    [[ $(field prepared .made) == false ]]
  done
}

@test "the training leaves nothing in the home and in the user's directories, and asks for no settings of theirs" {
  mkdir -m 0700 "$HOME/tokens.d"
  echo "SEC_TOKEN_DIRECTORY = $HOME/tokens.d" >"$HOME/condor_config"
  export CONDOR_CONFIG=$HOME/condor_config
  find "$HOME" -mindepth 1 | sort >before
  prepare
  assert_status 0
  find "$HOME" -mindepth 1 ! -path "$HOME/.cache*" | sort | diff before -
}

# tampered_jdk: JDK becomes a copy of itself. When the program starts a second JVM for its training, its arguments get into
# the file arguments, and the script "after" runs once it has ended, with the archive's path in `archive`.
tampered_jdk() {
  mkdir jdk
  cp -rp "$JDK"/{bin,conf,lib,release} jdk # with its links, of which one may lead nowhere
  mv jdk/bin/java jdk/bin/real-java
  cat >jdk/bin/java <<END
#!/bin/bash
for word; do [[ \$word != -XX:ArchiveClassesAtExit=* ]] || archive=\${word#*=}; done
if [[ -z \${archive-} ]]; then
  [[ ! -e $PWD/gone || ! " \$* " =~ ' -prepare ' ]] || rm "\$0"
  exec "\${0%/*}/real-java" "\$@"
fi
printf '%s\n' "\$@" >$PWD/arguments
said=\$("\${0%/*}/real-java" "\$@" 2>&1)
source $PWD/after
printf '%s\n' "\$said"
END
  chmod 0755 jdk/bin/java
  JDK=$PWD/jdk
}

# after_each SCRIPT: -prepare refuses what each line of the script does after the training, and leaves nothing; it works without
after_each() {
  local line
  while read -r line; do
    echo "$line" | tee after
    prepare
    refused 'this Java runtime (cannot make one|does not use the one that it made)\.'
    diff <(ls -A "${ARCHIVE%/*}") <(printf '%s\n' .prepare.lock)
  done <<<"$1"
  : >after
  prepare
  assert_status 0
}

# shellcheck disable=SC2016 # scripts of the second JVM
@test "what the second JVM makes counts only if it went to its end, and if it is a file that is there" {
  tampered_jdk
  after_each 'said=
rm -f "$archive"
mv "$archive" "$archive.other"; ln -s "$archive.other" "$archive"'
}

# prepare_by OPTION...: -prepare with these options of Java and the archive, instead of TokenRequest.java's
prepare_by() {
  status=0
  "$JDK/bin/java" "$@" -XX:SharedArchiveFile="$ARCHIVE" -Xlog:disable -Duser.home="$HOME" -cp "$TOKEN_REQUEST_CLASSPATH" \
    tokenrequest.TokenRequest -prepare >"$BATS_TEST_TMPDIR/stdout" 2>"$BATS_TEST_TMPDIR/stderr" </dev/null || status=$?
}

# shellcheck disable=SC2016 # scripts of the second JVM
@test "an archive that is damaged before it is tried, at its start or near its end, gets no name" {
  prepare() { prepare_by; } # without checksums in the options
  tampered_jdk
  after_each 'chmod u+w "$archive"; head -c 4096 /dev/urandom | dd of="$archive" conv=notrunc status=none
chmod u+w "$archive"; head -c 8 /dev/urandom | dd of="$archive" bs=1 seek=$(($(stat -c %s "$archive") - 50000)) conv=notrunc status=none'
}

@test "the second JVM gets the first one's collector, not its properties, heap and archive; one that does not start is named" {
  tampered_jdk
  : >after
  prepare_by -XX:+UseSerialGC -Dpassword=hunter2 -Xmx700m
  assert_status 0
  grep -qx -- -XX:+UseSerialGC arguments
  lacks arguments hunter2 -Duser.home -Xmx700m SharedArchiveFile
  rm "$ARCHIVE"
  touch gone
  prepare
  refused "a second $JDK/bin/java did not start, or did not end in time\\."
}
