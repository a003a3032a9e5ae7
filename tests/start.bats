#!/usr/bin/env bats
# What a start loads. Loading and linking classes takes most of its time, so each test names what must not be loaded yet.
# No test measures time: machines differ.
# shellcheck disable=SC2030,SC2031,SC2153 # settings of one test; variables of loopback.bash
# shellcheck disable=SC2016 # names of classes
load loopback

setup() {
  own_folders
  export _CONDOR_SEC_TOKEN_DIRECTORY=$HOME/tokens.d
}

# loads ARGUMENT...: `request` as a process; leaves the names of the classes that it loaded in the file "classes"
loads() {
  TOKEN_REQUEST_JAVA_OPTIONS+=" -Xlog:disable -Xlog:class+load:file=$PWD/log:none" AS_PROCESS=1 request "$@"
  cut -d' ' -f1 log >classes
}

# none_of PATTERN...: no loaded class matches; shows those that do
none_of() {
  local pattern
  for pattern; do
    if grep -E -e "$pattern" classes; then return 1; fi
  done
}

# lambdas_at_most COUNT: so many lambdas of this program were linked, each of which takes as long as several classes
lambdas_at_most() {
  local count
  count=$(grep -c '^tokenrequest\..*Lambda' classes)
  ((count > 0 && count <= $1)) || { grep '^tokenrequest\..*Lambda' classes && return 1; }
}

# Until the request ID: with -nowait, the program ends right after it.
@test "until the request ID, a request over SSL loads no library that only other work needs" {
  pool_with --methods SSL
  cat >condor_config <<<"AUTH_SSL_CLIENT_CAFILE = $LOOPBACK_CA"$'\nSEC_CLIENT_AUTHENTICATION_METHODS = SSL\nLOCAL_DIR = $(TILDE)'
  CONDOR_CONFIG=$PWD/condor_config loads -pool "$HERE" -identity alice@own.test -nowait
  assert_status 0
  grep -q '^Token request enqueued' "$BATS_TEST_TMPDIR/stderr"
  grep -qx 'tokenrequest.TokenRequest$ServerTrust' classes
  # Jackson's exceptions are loaded, since the verifier of Java looks at them.
  none_of '^picocli\.' '^io\.jsonwebtoken\.' '^com\.fasterxml\.jackson\.databind\.' '^com\.fasterxml\.jackson.*(Factory|Generator|Parser)$' \
    '^sun\.security\.util\.AnchorCertificates$' '^java\.lang\.runtime\.ObjectMethods$' '^java\.time\.zone\.Tzdb'
  # Java looks for it in every jar.
  none_of '^java\.net\.spi\.URLStreamHandlerProvider$'
  lambdas_at_most 32
}

@test "-ensure with a current token loads nothing for a connection, and no library that reads JSON or tokens" {
  pool_with --methods SSL --ca-file ca.pem
  local order=(-ensure -file token -pool "$HERE" -identity alice@own.test -authz READ -cafile "$LOOPBACK_CA")
  request "${order[@]}"
  assert_status 0
  loads "${order[@]}"
  assert_status 0
  grep -q 'is current' "$BATS_TEST_TMPDIR/stderr"
  none_of '^picocli\.' '^io\.jsonwebtoken\..*(Parser|Builder)' '^com\.fasterxml\.jackson\.databind\.' \
    '^com\.fasterxml\.jackson.*(Factory|Generator|Parser)$' '^sun\.security\.ssl\.' '^java\.net\.Socket$' \
    '^java\.lang\.runtime\.ObjectMethods$' '^java\.time\.zone\.Tzdb'
  lambdas_at_most 40
}

@test "the version loads neither settings nor security providers of TLS; the help loads picocli" {
  loads -version
  assert_status 0
  none_of '^picocli\.' 'TokenRequest\$Configuration$' '^sun\.security\.ssl\.' '^java\.time\.zone\.Tzdb'
  loads -help
  assert_status 0
  grep -q '^picocli\.' classes
}

# with_processors COUNT METHOD: a request; leaves THREAD CLASS of each class that it loaded in the file "threads"
with_processors() {
  export _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS=$2
  TOKEN_REQUEST_JAVA_OPTIONS="$options -XX:ActiveProcessorCount=$1 -Xlog:disable -Xlog:class+load:file=$PWD/log:tid" AS_PROCESS=1 \
    request -pool "$HERE" -identity alice@own.test -nowait
  assert_status 0
  sed -E 's/^\[([0-9]+) *\] *([^ ]+).*/\1 \2/' log >threads
}

# loaded_by_main CLASS
loaded_by_main() {
  [[ $(grep -F " $1" threads | head -n 1 | cut -d' ' -f1) == $(grep -xE '[0-9]+ tokenrequest.TokenRequest' threads | cut -d' ' -f1) ]]
}

@test "TLS is loaded in a second thread, unless there is one processor or the settings have no use for it" {
  local options=$TOKEN_REQUEST_JAVA_OPTIONS engines=''
  pool_with --methods SSL,CLAIMTOBE
  with_processors 1 SSL
  loaded_by_main javax.net.ssl.SSLContext
  with_processors 2 SSL
  run loaded_by_main javax.net.ssl.SSLContext
  ((status == 1))
  cut -d' ' -f2 threads >classes
  none_of '^sun\.security\.ssl\.TrustStoreManager' # it reads all CAs of Java
  with_processors 1 CLAIMTOBE
  run grep -F sun.security.ssl.SSLEngineImpl threads
  ((status == 1))
  # The second thread begins before the settings are read, and stops when they are; which of both is first is chance.
  for _ in 1 2 3; do
    with_processors 2 CLAIMTOBE
    engines+=$(grep -c sun.security.ssl.SSLEngineImpl threads || :)
  done
  [[ $engines == *0* ]]
}

@test "a runtime without TLS is named in one line, without a stack trace of the second thread" {
  pool_with --methods SSL
  printf '%s\n' security.provider.1=SUN security.provider.2=SunJCE security.provider.3=SunEC securerandom.source=file:/dev/random \
    keystore.type=pkcs12 ssl.KeyManagerFactory.algorithm=SunX509 ssl.TrustManagerFactory.algorithm=PKIX >security
  export _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS=SSL
  TOKEN_REQUEST_JAVA_OPTIONS+=" -XX:ActiveProcessorCount=2 -Djava.security.properties==$PWD/security"
  loads -pool "$HERE" -identity alice@own.test -nowait
  grep -Fqx 'tokenrequest.TokenRequest$ServerTrust$Preload' classes
  [[ $status != 0 && $(wc -l <"$BATS_TEST_TMPDIR/stderr") == 1 ]]
  grep -F 'Java has no TLS' "$BATS_TEST_TMPDIR/stderr"
  lacks "$BATS_TEST_TMPDIR/stderr" Exception 'at java.' tls-preload
}
