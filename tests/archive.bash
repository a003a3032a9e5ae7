# shellcheck shell=bash
# shellcheck disable=SC2016,SC2034,SC2154 # JBang's placeholders; variables of those who load this
# The archive of classes: the options by which Java finds it, and the program in a jar of its own. Load it after loopback.

# jdk_homes: the JDK in use, and then the newer ones that are here, which alone can run what it has compiled
jdk_homes() {
  local home version own=
  for home in "$(dirname "$(dirname "$(readlink -f "$(type -P java)")")")" /usr/lib/jvm/*; do
    [[ -x $home/bin/java && ! -L $home ]] || continue
    version=$("$home/bin/java" -version 2>&1 | sed -nE '1s/.*version "([0-9]+).*/\1/p')
    : "${own:=$version}"
    ((${version:-0} < own)) || printf '%s\n' "$home"
  done | awk '!seen[$0]++'
}

# another_jdk: sets OTHER_JDK, or skips the test
another_jdk() {
  OTHER_JDK=$(jdk_homes | sed -n 2p)
  [[ -n $OTHER_JDK ]] || skip "only one JDK is here"
}

# build_of JDK: the JVM's build, as the name of the archive has it
build_of() {
  [[ -n ${builds[$1]-} ]] || builds[$1]=$("$1/bin/java" -XshowSettings:properties -version 2>&1 | sed -n 's/^ *java\.vm\.version = //p')
  printf '%s\n' "${builds[$1]}"
}
declare -gA builds=() # by JDK: asking takes a JVM

# options_of JDK HOME: sets java_options to those of TokenRequest.java, as JBang gives them to that JDK for a user with that home
options_of() {
  local line word
  java_options=()
  build_of "$1" >/dev/null # not in a shell below, which would forget it
  while IFS= read -r line; do
    line=${line//'${sun.boot.library.path:}'/$1/lib}
    line=${line//'${path.separator}'/:}
    line=${line//'${user.home:?}'/$2}
    line=${line//'${java.vm.version:}'/${builds[$1]}}
    [[ $line != *'${'* ]] || { echo "unknown: $line" && return 1; }
    if [[ $line == '"'*'"' ]]; then
      java_options+=("${line:1:-1}")
    else
      for word in $line; do java_options+=("$word"); done
    fi
  done < <(sed -n 's,^//RUNTIME_OPTIONS ,,p' "$TESTS_DIR/../TokenRequest.java")
}

# archived JDK HOME ARGUMENT...: the program as JBang starts it, on that JDK, for a user with that home; sets status; leaves
# stdout, stderr, and what Java says of the origin of each class (file classes). `wrapper` is a command to run it by.
archived() {
  local dir=$BATS_TEST_TMPDIR jdk=$1 home=$2
  options_of "$jdk" "$home"
  status=0
  rm -f "${classes:-$dir/classes}"
  env "${settings[@]}" "${wrapper[@]}" "$jdk/bin/java" "${java_options[@]}" -Duser.home="$home" -Xlog:class+load:file="${classes:-$dir/classes}" \
    -cp "${program:-$TOKEN_REQUEST_CLASSPATH}" tokenrequest.TokenRequest "${@:3}" >"$dir/stdout" 2>"$dir/stderr" </dev/null || status=$?
}

# from_archive: how many classes came from this program's archive
from_archive() { grep -c 'shared objects file (top)' "${classes:-$BATS_TEST_TMPDIR/classes}" || :; }

# archive_of JDK HOME: its path
archive_of() { echo "$2/.cache/condor_token_request/$(build_of "$1").jsa"; }

# only_the_token: status 0, on stdout one line that is a token, on stderr what a request shows, and nothing of Java's
only_the_token() {
  assert_status 0
  [[ $(wc -l <"$BATS_TEST_TMPDIR/stdout") == 1 ]]
  grep -Eqx '[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+' "$BATS_TEST_TMPDIR/stdout"
  [[ $(head -n 1 "$BATS_TEST_TMPDIR/stderr") == 'Token request enqueued.  Ask an administrator to please approve request 6108900.' ]]
  lacks "$BATS_TEST_TMPDIR/stderr" warning error Java VM archive
}
