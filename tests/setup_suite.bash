# shellcheck shell=bash
# What is done once, before the first test, by run.sh or, when bats is started by hand, by bats: build, a clean
# environment, the servers that stay.

# shellcheck source=tests/workbench.bash
source "$(dirname "${BASH_SOURCE[0]}")/workbench.bash"

# Longest that one test may take, seconds. bats wants ps for it.
TEST_WITHIN=180

setup_suite() {
  [[ -n ${TOKEN_REQUEST_CLASSPATH-} ]] || prepare "$BATS_SUITE_TMPDIR" || return
  [[ -n ${WORKBENCH-} ]] || start_workbench "$BATS_SUITE_TMPDIR/workbench"
}

# prepare DIRECTORY: everything but the servers; what it makes for this run is in the directory
prepare() {
  local jar jars variable
  TESTS_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
  export TESTS_DIR BATS_TEST_TIMEOUT=${BATS_TEST_TIMEOUT:-$TEST_WITHIN}
  PATH=${JAVA_HOME:+$JAVA_HOME/bin:}$PATH:$TESTS_DIR/bin:/usr/sbin:/sbin
  find_cache "$1"
  clean_environment

  # `jbang info` alone names a jar that need not be built. The harness is another main around the same classes, and
  # names the other support programs as its sources, so that one build makes them all.
  cd "$TESTS_DIR/.." || return
  jbang build TokenRequest.java && jbang build tests/support/Harness.java || return
  TOKEN_REQUEST_CLASSPATH=$(jbang info classpath TokenRequest.java):$(jbang info classpath tests/support/Harness.java)
  export TOKEN_REQUEST_CLASSPATH
  IFS=: read -ra jars <<<"$TOKEN_REQUEST_CLASSPATH"
  for jar in "${jars[@]}"; do
    [[ -e $jar ]] || { echo "not built: $jar" && return 1; }
  done

  # Short-lived JVMs start faster so; twice as fast with their classes in an archive. No log: an archive that does not
  # fit is passed over, and that need not be said.
  [[ -z ${TOKEN_REQUEST_JAVA_OPTIONS+set} ]] || return 0
  export TOKEN_REQUEST_JAVA_OPTIONS='-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData'
  make_archive "$1/classes.jsa"
  TOKEN_REQUEST_JAVA_OPTIONS+=" -Xshare:auto -XX:SharedArchiveFile=$1/classes.jsa -Xlog:disable"
}

# find_cache DIRECTORY: where what has been fetched stays: JBang, and what it has built, by JDK; Maven's packages where
# they are anyway. Who has no home fetches all of it for this run alone.
find_cache() {
  local jdk cache=${XDG_CACHE_HOME:-${HOME-}/.cache}
  if [[ -z ${TOKEN_REQUEST_CACHE-} ]]; then
    mkdir -p "$cache" 2>/dev/null && [[ -w $cache ]] || cache=$1
    TOKEN_REQUEST_CACHE=$cache/token-request
  fi
  [[ $TOKEN_REQUEST_CACHE == /* ]] || TOKEN_REQUEST_CACHE=$PWD/$TOKEN_REQUEST_CACHE
  export TOKEN_REQUEST_CACHE
  if [[ ! -w ${HOME:-/nonexistent} ]]; then
    export JBANG_REPO=$TOKEN_REQUEST_CACHE/maven MAVEN_ARGS="-Dmaven.repo.local=$TOKEN_REQUEST_CACHE/maven ${MAVEN_ARGS-}"
  fi
  jdk=$(java -XshowSettings:properties -version 2>&1 | sed -n 's/^ *java\.runtime\.version = \([^ ]*\).*/\1/p')
  export JBANG_DIR=$TOKEN_REQUEST_CACHE/jbang-home/$jdk
}

# clean_environment: the machine's own HTCondor settings are none of the tests' business, and a JVM that is given options
# by the environment says so on stderr
clean_environment() {
  local variable
  while read -r variable; do
    unset "$variable"
  done < <(compgen -e | grep -iE '^_condor_|^KRB5|^(CONDOR_CONFIG|JAVA_TOOL_OPTIONS|JDK_JAVA_OPTIONS|BEARER_TOKEN.*|XDG_RUNTIME_DIR|SSL_CERT_.*|LC_.*|COLUMNS|LANG|LANGUAGE|NO_COLOR)$')
  export CONDOR_CONFIG=ONLY_ENV LC_ALL=C.UTF-8 TZ=UTC
  # Nor are the user's Kerberos tickets and the machine's keytab.
  export KRB5CCNAME=FILE:/nonexistent/krb5cc KRB5_KTNAME=FILE:/nonexistent/krb5.keytab
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
    -Duser.home="${1%/*}" -cp "$TOKEN_REQUEST_CLASSPATH" tokenrequest.Harness -json -pool "localhost:$LOOPBACK_PORT" \
    -identity alice@own.test >"$1.log" 2>&1 || { cat "$1.log" && return 1; }
  exec {stdin}>&-
  wait "$pid"
  # From 19 on, each list numbers its classes by its own count.
  sed 's/ id: [0-9]*//' "$1.pool" "$1.client" | sort -u >"$1.list"
  java "${options[@]}" -Xshare:dump -XX:SharedClassListFile="$1.list" -XX:SharedArchiveFile="$1" -Xlog:disable -Xlog:all=off \
    -cp "$TOKEN_REQUEST_CLASSPATH" >/dev/null
}
