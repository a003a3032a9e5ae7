#!/usr/bin/env bats
# The ways to have the command without a checkout, each used on the embedded pool. JBang writes into the user's home (it
# puts its commands on PATH in .bashrc), so here it has a home and a folder of its own.
load loopback

setup() {
  own_folders
  export _CONDOR_SEC_TOKEN_DIRECTORY=$HOME/tokens.d _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=false
  authenticate_by SSL
  # Libraries that are here need not be fetched again: where one of them is, the others are.
  local libraries=${TOKEN_REQUEST_CLASSPATH%%/info/picocli/*}
  export JBANG_REPO=${libraries##*:} JBANG_DIR=$BATS_TEST_TMPDIR/jbang
  # For every JVM, JBang's too: Java takes the home from the password database.
  export JDK_JAVA_OPTIONS=-Duser.home=$HOME
  cp "$TESTS_DIR/../TokenRequest.java" .
}

# used COMMAND...: what a user does with it. JVMs note that they have been given options.
used() {
  local out=$BATS_TEST_TMPDIR/stdout err=$BATS_TEST_TMPDIR/stderr command
  "$@" -version | grep -Ex 'TokenRequest [0-9.]+'

  pool_with
  "$@" -pool "$HERE" -identity alice@pool.test -authz READ >"$out" 2>"$err"
  grep -Eqx '[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+' "$out"
  diff - <(grep -v '^NOTE: Picked up JDK_JAVA_OPTIONS' "$err" | head -n 1) \
    <<<'Token request enqueued.  Ask an administrator to please approve request 6108900.'

  # What it says will resume the wait, does, from every directory.
  "$@" -nowait -pool "$HERE" -identity alice@pool.test -authz READ 2>"$err"
  command=$(sed -n 's/^The request is still pending. To resume: //p' "$err")
  (cd / && bash -c "$command") >"$out"
  grep -Eqx '[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+' "$out"

  # Its exit status is the command's own.
  status=0
  "$@" -lifetime soon 2>/dev/null || status=$?
  [[ $status == 2 ]]
}

@test "jbang app install makes it a command" {
  jbang app install --name condor_token_request TokenRequest.java
  PATH=$JBANG_DIR/bin:$PATH
  [[ $(type -P condor_token_request) == "$JBANG_DIR"/bin/condor_token_request ]]
  mkdir elsewhere
  cd elsewhere
  used condor_token_request
}

@test "a foreign TokenRequest.java in the working directory is not in the command that resumes" {
  local err=$BATS_TEST_TMPDIR/stderr
  jbang app install --name condor_token_request TokenRequest.java
  mkdir elsewhere
  cd elsewhere
  echo 'class TokenRequest { public static void main(String... a) { System.out.println("foreign"); } }' >TokenRequest.java
  pool_with
  "$JBANG_DIR/bin/condor_token_request" -nowait -pool "$HERE" -identity alice@pool.test 2>"$err"
  grep '^The request is still pending. To resume: condor_token_request -resume ' "$err"
  # The control: the same file as this program's.
  cp ../TokenRequest.java .
  "$JBANG_DIR/bin/condor_token_request" -nowait -pool "$HERE" -identity alice@pool.test 2>"$err"
  grep -F "To resume: jbang $PWD/TokenRequest.java -resume " "$err"
}

@test "jbang runs the file" { used jbang TokenRequest.java; }

@test "jbang export fatjar makes it a jar that needs nothing but Java" {
  jbang export fatjar -O request.jar TokenRequest.java
  rm -r TokenRequest.java "$JBANG_DIR"
  JBANG_REPO=/none used java -jar request.jar
}

@test "jbang compiles and runs the file without a locale" {
  LC_ALL=C LANG='' jbang --fresh TokenRequest.java -version | grep -Ex 'TokenRequest [0-9.]+'
}

# released DIRECTORY SETTING...: the checksum of a release that is built from a copy of the checkout there
released() {
  git clone -q "$TESTS_DIR/.." "$1"
  cp "$TESTS_DIR/../TokenRequest.java" "$1"
  cp "$TESTS_DIR/release.sh" "$1/tests"
  env "${@:2}" "$1/tests/release.sh" "$(version)" >&2
  cat "$1"/release/*.sha256
}
version() { sed -nE 's/^ *static final String VERSION = "([0-9.]+)";$/\1/p' TokenRequest.java; }

@test "a release has the same bytes wherever it is built, and lists its libraries with their checksums" {
  local first second list
  first=$(released "$PWD/here" TZ=UTC)
  (umask 077 && second=$(released "$PWD/there" TZ=Asia/Tokyo LC_ALL=C.UTF-8) && [[ $first == "$second" ]])
  [[ $first == *"  token-request-$(version).jar" ]]
  list=here/release/token-request-$(version).cdx.json
  cmp "$list" "there/release/${list##*/}"
  jq -e '[.components[].name] | contains(["picocli", "jackson-databind", "jjwt-api", "jjwt-impl"])' "$list"
  jq -e '.components | length >= 6 and all(.hashes[0].content | test("^[0-9a-f]{64}$"))' "$list"
  [[ $first == "$(jq -r '.metadata.component.hashes[0].content' "$list") "* ]]
  used java -jar "here/release/token-request-$(version).jar"
  # Java's own defaults do: the manifest carries no options.
  status=0
  here/tests/release.sh 0.0.0 2>"$BATS_TEST_TMPDIR/stderr" || status=$?
  [[ $status == 2 ]]
}

@test "a Java runtime of four modules is enough, and one without them says what it lacks" {
  local module small
  type -P jlink >/dev/null && [[ -d $(dirname "$(readlink -f "$(type -P jlink)")")/../jmods ]] || skip "this JDK has no jmods"
  link() { jlink --add-modules "$1" --strip-debug --no-header-files --no-man-pages --output "$2"; }
  link java.base,java.naming,jdk.crypto.ec,jdk.security.auth runtime
  pool_with
  runtime/bin/java -cp "$TOKEN_REQUEST_CLASSPATH" tokenrequest.TokenRequest -pool "$HERE" -identity alice@pool.test -json \
    >"$BATS_TEST_TMPDIR/stdout"
  [[ $(jq -rs 'last.event' "$BATS_TEST_TMPDIR/stdout") == issued ]]
  for small in java.base:java.naming java.base,java.naming,jdk.crypto.ec:jdk.security.auth; do
    module=${small#*:}
    link "${small%:*}" "without-$module"
    status=0
    "without-$module/bin/java" -cp "$TOKEN_REQUEST_CLASSPATH" tokenrequest.TokenRequest -pool localhost:1 2>"$BATS_TEST_TMPDIR/stderr" || status=$?
    [[ $status == 2 ]]
    grep -x "This Java runtime lacks the module $module\." "$BATS_TEST_TMPDIR/stderr"
  done
}
