# shellcheck shell=bash
# What is done once, before the first test, also when bats is started by hand: build, and a clean environment.

setup_suite() {
  local home=${HOME:?} jars jar variable
  TESTS_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
  export TESTS_DIR
  PATH=${JAVA_HOME:+$JAVA_HOME/bin:}$PATH:$TESTS_DIR/bin
  # Tests have homes of their own; what has been fetched once stays where it is.
  export TOKEN_REQUEST_CACHE=${TOKEN_REQUEST_CACHE:-${XDG_CACHE_HOME:-$home/.cache}/token-request}
  [[ $TOKEN_REQUEST_CACHE == /* ]] || TOKEN_REQUEST_CACHE=$PWD/$TOKEN_REQUEST_CACHE
  export JBANG_DIR=${JBANG_DIR:-$home/.jbang}

  # `jbang info` alone names a jar that need not be built. The harness is another main around the same classes, and
  # names the other support programs as its sources, so that one build makes them all.
  cd "$TESTS_DIR/.." || return
  jbang build TokenRequest.java
  jbang build tests/support/Harness.java
  TOKEN_REQUEST_CLASSPATH=$(jbang info classpath TokenRequest.java)
  TOKEN_REQUEST_CLASSPATH+=:$(jbang info classpath tests/support/Harness.java)
  export TOKEN_REQUEST_CLASSPATH
  IFS=: read -ra jars <<<"$TOKEN_REQUEST_CLASSPATH"
  for jar in "${jars[@]}"; do
    [[ -e $jar ]] || { echo "not built: $jar" && return 1; }
  done
  # The machine's own HTCondor settings are none of the tests' business, and a JVM that is given options by the
  # environment says so on stderr.
  while read -r variable; do
    unset "$variable"
  done < <(compgen -e | grep -iE '^_condor_|^(CONDOR_CONFIG|JAVA_TOOL_OPTIONS|JDK_JAVA_OPTIONS)$')
  export CONDOR_CONFIG=ONLY_ENV LC_ALL=C.UTF-8 TZ=UTC

  # Short-lived JVMs start faster so; twice as fast with their classes in an archive. No log: an archive that does not
  # fit is passed over, and that need not be said.
  if [[ -z ${TOKEN_REQUEST_JAVA_OPTIONS+set} ]]; then
    export TOKEN_REQUEST_JAVA_OPTIONS='-XX:TieredStopAtLevel=1 -XX:+UseSerialGC'
    make_archive "$BATS_SUITE_TMPDIR/classes.jsa"
    TOKEN_REQUEST_JAVA_OPTIONS+=" -Xshare:auto -XX:SharedArchiveFile=$BATS_SUITE_TMPDIR/classes.jsa -Xlog:disable"
  fi
  # shellcheck source=tests/workbench.bash
  source "$TESTS_DIR/workbench.bash"
  start_workbench "$BATS_SUITE_TMPDIR/workbench"
}

# make_archive FILE: archives the classes of both sides of a request to the embedded pool
make_archive() {
  local options line
  read -ra options <<<"$TOKEN_REQUEST_JAVA_OPTIONS"
  coproc POOL {
    exec java "${options[@]}" -XX:DumpLoadedClassList="$1.pool" -cp "$TOKEN_REQUEST_CLASSPATH" tokenrequest.LoopbackPool --until-eof \
      --methods SSL --ca-file "$1.pem" 3>&-
  }
  local pid=$POOL_PID stdin=${POOL[1]}
  read -r line <&"${POOL[0]}"
  eval "$line"
  _CONDOR_AUTH_SSL_CLIENT_CAFILE=$LOOPBACK_CA java "${options[@]}" -XX:DumpLoadedClassList="$1.client" \
    -Duser.home="$BATS_SUITE_TMPDIR" -cp "$TOKEN_REQUEST_CLASSPATH" tokenrequest.Harness -json -pool "localhost:$LOOPBACK_PORT" \
    -identity alice@own.test >"$1.log" 2>&1 || { cat "$1.log" && return 1; }
  exec {stdin}>&-
  wait "$pid"
  # Newer JDKs number the classes, each list by its own count.
  sed 's/ id: [0-9]*//' "$1.pool" "$1.client" | sort -u >"$1.list"
  java "${options[@]}" -Xshare:dump -XX:SharedClassListFile="$1.list" -XX:SharedArchiveFile="$1" -Xlog:disable \
    -cp "$TOKEN_REQUEST_CLASSPATH"
}
