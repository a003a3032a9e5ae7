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
  # Short-lived JVMs start faster so.
  export TOKEN_REQUEST_JAVA_OPTIONS=${TOKEN_REQUEST_JAVA_OPTIONS--XX:TieredStopAtLevel=1 -XX:+UseSerialGC}

  # The machine's own HTCondor settings are none of the tests' business, and a JVM that is given options by the
  # environment says so on stderr.
  while read -r variable; do
    unset "$variable"
  done < <(compgen -e | grep -iE '^_condor_|^(CONDOR_CONFIG|JAVA_TOOL_OPTIONS|JDK_JAVA_OPTIONS)$')
  export CONDOR_CONFIG=ONLY_ENV LC_ALL=C.UTF-8 TZ=UTC
}
