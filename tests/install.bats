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
