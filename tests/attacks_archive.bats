#!/usr/bin/env bats
# The archive of classes as an attacker sees it: it is code that Java maps before a line of the program runs. Beside each
# attack is the same archive, or the same run, where it must work.
# shellcheck disable=SC2030,SC2031,SC2034,SC2054,SC2153,SC2154 # settings of one test; a list of strace; variables of loopback.bash, users.bash and archive.bash
load events
load users
load archive

setup() {
  own_folders
  umask 022
  authenticate_by SSL
  export _CONDOR_SEC_TOKEN_DIRECTORY=$HOME/tokens.d _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=false
  JDK=$(jdk_homes | head -n 1)
  ARCHIVE=$(archive_of "$JDK" "$HOME")
}

teardown() {
  stop_loopback_pool
  remove_common_folder
}

prepare() { archived "$JDK" "$HOME" -prepare; }
ask_for_token() { archived "$JDK" "$HOME" -pool "$HERE" -identity alice@pool.test -authz READ; }

# used, unused: a request prints the token and nothing else, with and without the archive
# (Without "&&", in which bash passes over what fails inside a function.)
used() {
  ask_for_token
  only_the_token
  (($(from_archive) > 500))
}
unused() {
  ask_for_token
  only_the_token
  [[ $(from_archive) == 0 ]]
}

# unused_or_refused: on Java 17, an archive without the mark of one keeps Java from starting; a newer one does not use it
unused_or_refused() {
  if (($("$JDK/bin/java" -version 2>&1 | sed -nE '1s/.*version "([0-9]+).*/\1/p') >= 25)); then
    unused
    return
  fi
  ask_for_token
  assert_status 1
  diff - "$BATS_TEST_TMPDIR/stdout" <<EOF
Error occurred during initialization of VM
Not a top shared archive: /$ARCHIVE
EOF
  [[ ! -s $BATS_TEST_TMPDIR/stderr ]]
}

# ---- Files that are not the archive ----

@test "a request with a damaged archive, on any JDK here, prints the token and nothing else" {
  local at
  pool_with
  while read -r JDK; do
    ARCHIVE=$(archive_of "$JDK" "$HOME")
    prepare
    used
    chmod u+w "$ARCHIVE"
    cp "$ARCHIVE" whole
    # In the header, at the start of the first part, in the middle and near the end.
    for at in 100 5000 5000000 $(($(stat -c %s whole) - 50000)); do
      cp whole "$ARCHIVE"
      head -c 4096 /dev/urandom | dd of="$ARCHIVE" bs=1 seek="$at" conv=notrunc status=none
      unused
    done
    cp whole "$ARCHIVE"
    used
  done < <(jdk_homes)
}

@test "a request with an archive of another JDK, of another program, or with other bytes in its place prints the token and nothing else" {
  local whole=$PWD/whole other jdk
  pool_with
  prepare
  used
  mv "$ARCHIVE" "$whole"
  # The same classes in other jars, and a jar that was changed since.
  mkdir jars
  tr : '\n' <<<"$TOKEN_REQUEST_CLASSPATH" | sort -u | xargs cp -t jars
  other=$(printf '%s:' "$PWD"/jars/*.jar)
  program=${other%:}
  prepare
  used
  cp "$ARCHIVE" others
  touch "$PWD/jars/TokenRequest.jar"
  unused
  program=
  unused
  rm -f "$ARCHIVE"
  mkdir "$ARCHIVE"
  unused
  rmdir "$ARCHIVE"
  head -c 100000 /dev/urandom >"$ARCHIVE"
  unused_or_refused
  ln -sf nowhere "$ARCHIVE"
  unused
  while read -r jdk; do
    archived "$jdk" "$HOME" -prepare
    rm -f others
    mv "$(archive_of "$jdk" "$HOME")" others
    rm -f "$ARCHIVE"
    [[ $jdk == "$JDK" ]] || { cp others "$ARCHIVE" && unused; }
  done < <(jdk_homes)
  rm -f "$ARCHIVE"
  cp "$whole" "$ARCHIVE"
  used
}

@test "an archive that nobody can write or that the user cannot read, in a folder that is read-only, does not disturb a request" {
  common_folder
  pool_with
  mkdir -m 0755 "$COMMON/home"
  chown "$OTHER" "$COMMON/home"
  HOME=$COMMON/home
  program=$COMMON_CLASSPATH
  classes=$COMMON/home/classes
  chmod 0755 "$BATS_TEST_TMPDIR"
  cp "$LOOPBACK_CA" "$COMMON/ca.pem"
  export _CONDOR_AUTH_SSL_CLIENT_CAFILE=$COMMON/ca.pem _CONDOR_SEC_TOKEN_DIRECTORY=$COMMON/home/tokens.d
  cd "$COMMON"
  wrapper=("${as_other[@]}")
  ARCHIVE=$(archive_of "$JDK" "$HOME")
  prepare
  assert_status 0
  used
  chmod 0500 "$HOME/.cache/condor_token_request" "$HOME/.cache"
  used
  chown root "$ARCHIVE"
  chmod 0400 "$ARCHIVE"
  unused
}

# Java 17 maps a file that is cut off, and aborts before a line of the program runs: nothing but the way it is written
# prevents that.
@test "killed at any moment, -prepare leaves no part of an archive under its name" {
  local delay pid whole=0
  pool_with
  prepare
  used
  for delay in 0.3 0.8 1.3 1.8 2.4; do
    rm -f "$ARCHIVE" "$ARCHIVE.json"
    options_of "$JDK" "$HOME"
    setsid "$JDK/bin/java" "${java_options[@]}" -Duser.home="$HOME" -cp "$TOKEN_REQUEST_CLASSPATH" tokenrequest.TokenRequest -prepare 2>/dev/null 3>&- &
    pid=$!
    sleep "$delay" # no event tells how far it is; the moments need not be exact
    kill -KILL -- "-$pid" 2>/dev/null || :
    wait "$pid" 2>/dev/null || :
    if [[ -e $ARCHIVE ]]; then
      whole=$((whole + 1))
      used
    else
      unused
    fi
  done
  echo "$whole were made"
  prepare
  used
  diff <(ls -A "${ARCHIVE%/*}") <(printf '%s\n' "${ARCHIVE##*/}" "${ARCHIVE##*/}.json")
}

@test "newer JDKs do not use an archive that is cut off, however short" {
  local size cut
  another_jdk
  JDK=$OTHER_JDK
  (($("$JDK/bin/java" -version 2>&1 | sed -nE '1s/.*version "([0-9]+).*/\1/p') >= 25)) || skip "no JDK of 25 or later is here"
  ARCHIVE=$(archive_of "$JDK" "$HOME")
  pool_with
  prepare
  used
  cp "$ARCHIVE" whole
  size=$(stat -c %s whole)
  chmod u+w "$ARCHIVE"
  for cut in 1000 5000 $((size / 2)) $((size - 4096)); do
    head -c "$cut" whole >"$ARCHIVE"
    unused
  done
  cp whole "$ARCHIVE"
  used
}

# ---- Other users ----

# hostile_archive: leaves an archive of the attacker's, which lets -version print another number, in the file hostile. The
# program in the folder jars has the same sizes and times as the one for which it was made.
hostile_archive() {
  local class
  mkdir -m 0755 jars unpacked "$BATS_TEST_TMPDIR/attacker"
  tr : '\n' <<<"$TOKEN_REQUEST_CLASSPATH" | sort -u | xargs cp -t jars
  rm jars/Harness.jar # it has the same classes
  (cd unpacked && jar --extract --file ../jars/TokenRequest.jar && jar --create --no-compress --file ../jars/TokenRequest.jar .)
  cp -p jars/TokenRequest.jar honest.jar
  program=$(printf '%s:' "$PWD"/jars/*.jar)
  program=${program%:}
  LC_ALL=C sed -i 's/TokenRequest 1\.0\.0/TokenRequest 6.6.6/g' jars/TokenRequest.jar
  touch -r honest.jar jars/TokenRequest.jar
  if cmp -s honest.jar jars/TokenRequest.jar; then return 1; fi
  archived "$JDK" "$BATS_TEST_TMPDIR/attacker" -prepare
  assert_status 0
  cp "$(archive_of "$JDK" "$BATS_TEST_TMPDIR/attacker")" hostile
  cp -p honest.jar jars/TokenRequest.jar
}

@test "an archive that others plant in the working directory of a user without a home is not used" {
  hostile_archive
  # The control: in the place that the options name, it replaces a method.
  mkdir -p "${ARCHIVE%/*}"
  cp hostile "$ARCHIVE"
  archived "$JDK" "$HOME" -version
  [[ $(head -n 1 "$BATS_TEST_TMPDIR/stdout") == 'TokenRequest 6.6.6' ]]
  (($(from_archive) > 0))
  # Java calls the home of a user number without an entry "?".
  mkdir -p './?/.cache/condor_token_request'
  cp hostile "./?/.cache/condor_token_request/${ARCHIVE##*/}"
  archived "$JDK" '?' -version
  assert_status 0
  [[ $(head -n 1 "$BATS_TEST_TMPDIR/stdout") == 'TokenRequest 1.0.0' && $(from_archive) == 0 ]]
  # And it is the slash in the options that protects: without it, it would be used.
  options_of "$JDK" '?'
  "$JDK/bin/java" "${java_options[@]/:\/\?/:?}" -cp "$program" tokenrequest.TokenRequest -version | head -n 1 | grep -Fx 'TokenRequest 6.6.6'
}

@test "Java itself says ? for a user number without an entry, and JBang's options then lead to the root folder" {
  ((EUID == 0)) || skip "only root can be another user"
  run getent passwd 54321
  ((status == 2))
  env -u HOME setpriv --reuid=54321 --regid=54321 --clear-groups "$JDK/bin/java" -XshowSettings:properties -version 2>&1 | grep -x ' *user\.home = ?'
  options_of "$JDK" '?'
  printf '%s\n' "${java_options[@]}" | grep -E ':/\?/\.cache/condor_token_request/[^:]*\.jsa$'
}

@test "every path that the options name is absolute, below the home, and in no folder that users share" {
  local home
  for home in '?' /home/alice relative ''; do
    options_of "$JDK" "$home"
    [[ $(printf '%s\n' "${java_options[@]}" | grep -c SharedArchiveFile) == 1 ]]
    printf '%s\n' "${java_options[@]}" | grep -Fx -- "-XX:SharedArchiveFile=$JDK/lib/server/classes.jsa:/$home/.cache/condor_token_request/$(build_of "$JDK").jsa"
  done
}

@test "-prepare makes no archive in a folder that other users own or can change" {
  common_folder
  mkdir -m 1777 "$COMMON/tmp"
  mkdir -m 0777 "$COMMON/open"
  mkdir -m 0700 "$COMMON/mine"
  mkdir -m 0755 "$COMMON/his"
  chown "$OTHER" "$COMMON/his"
  "${as_other[@]}" ln -s "$COMMON/mine" "$COMMON/tmp/link"
  in_folder() {
    "$JDK/bin/java" -XX:SharedArchiveFile="$1/request.jsa" -Xlog:disable -Duser.home="$HOME" -cp "$TOKEN_REQUEST_CLASSPATH" \
      tokenrequest.TokenRequest -prepare >"$BATS_TEST_TMPDIR/stdout" 2>"$BATS_TEST_TMPDIR/stderr"
  }
  for folder in tmp open his tmp/link; do
    status=0
    in_folder "$COMMON/$folder" || status=$?
    assert_status 2
    grep -q '^Cannot make the archive of classes: ' "$BATS_TEST_TMPDIR/stderr"
    [[ ! -e $COMMON/$folder/request.jsa ]]
  done
  in_folder "$COMMON/mine"
  [[ -e $COMMON/mine/request.jsa ]]
}

@test "-prepare makes no archive for a user where yet another user owns a directory of its path, or the folder" {
  common_folder
  mkdir -m 0755 "$COMMON/mine" "$COMMON/theirs"
  chown "$OTHER" "$COMMON/mine"
  chown 61234 "$COMMON/theirs"
  mkdir -m 0700 "$COMMON"/{mine,theirs}/archives
  chown "$OTHER" "$COMMON"/*/archives
  mkdir -m 0755 "$COMMON/here" "$COMMON/here/archives"
  chown 61234 "$COMMON/here/archives"
  for folder in theirs here mine; do
    status=0
    (cd "$COMMON" && HOME=$COMMON/mine "${as_other[@]}" "$JDK/bin/java" -XX:SharedArchiveFile="$COMMON/$folder/archives/request.jsa" \
      -Xlog:disable -Duser.home="$COMMON/mine" -cp "$COMMON_CLASSPATH" tokenrequest.TokenRequest -prepare) 2>"$BATS_TEST_TMPDIR/stderr" || status=$?
    if [[ $folder == mine ]]; then
      assert_status 0
    else
      assert_status 2
      [[ $folder == theirs ]] || grep -F 'other users can change' "$BATS_TEST_TMPDIR/stderr"
      [[ -z $(ls -A "$COMMON/$folder/archives") ]]
    fi
  done
}

@test "with umask 000 no other user can change the archive or its folder, at any moment" {
  local seen=$PWD/seen jdk
  while read -r jdk; do
    (umask 000 && archived "$jdk" "$HOME" -prepare && assert_status 0)
    find "$HOME/.cache/condor_token_request" ! -type l -perm /022 >"$seen"
    diff /dev/null "$seen"
    [[ $(stat -c %a "$HOME/.cache/condor_token_request") == 700 ]]
  done < <(jdk_homes)
}

@test "while it is made, no other user sees or changes it, no other machine reaches its pool, and it is on disk before it has its name" {
  local calls=$PWD/calls made
  type -P strace >/dev/null || skip 'needs strace'
  wrapper=(strace -f -y -qq -e trace=mkdir,mkdirat,fsync,fdatasync,rename,renameat,renameat2,bind -e signal=none -o "$calls")
  umask 000
  prepare
  assert_status 0
  grep -E 'mkdir(at)?\(.*/\.[0-9a-f]{16}\.training", 0700\)' "$calls"
  if grep -E 'mkdir(at)?\(.*\.training", ' "$calls" | grep -vF ', 0700)'; then return 1; fi
  # The training pool's port
  grep 'bind(.*sin6\?_port' "$calls" | grep -E '127\.0\.0\.1|"::1"'
  if grep 'bind(.*sin6\?_port' "$calls" | grep -vE '127\.0\.0\.1|"::1"'; then return 1; fi
  made=$(grep -nEm 1 "rename.*\\.training/archive\", .*\\.jsa\"" "$calls" | cut -d: -f1)
  head -n "$made" "$calls" | grep -E 'f(data)?sync\([0-9]+<[^>]*\.training/archive>\) += 0'
}
