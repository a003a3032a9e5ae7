#!/usr/bin/env bats
# Texts that are not paths: each is an error of the option or setting that has it.
# shellcheck disable=SC2016 # $ in the configuration's own language
# shellcheck disable=SC2030,SC2031,SC2034 # settings of one test
load loopback

# A character that no path has in the POSIX locale. (A NUL, which none has anywhere, reaches the tool neither by an argument
# nor by a variable, and a configuration is read without it.)
ODD=zoë

setup_file() {
  pool_with --methods CLAIMTOBE,SSL,SCITOKENS,PASSWORD --auto-approve --token "$TOKEN"
  # A workbench in that locale. One JVM serves all settings.
  export POSIX=$BATS_FILE_TMPDIR/posix USUAL=$WORKBENCH
  (
    export LC_ALL=POSIX
    start_workbench "$POSIX"
  )
}

setup() {
  own_folders
  export _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=false _CONDOR_SEC_TOKEN_DIRECTORY=$HOME/tokens.d CONDOR_CONFIG=ONLY_ENV
  unset _CONDOR_AUTH_SSL_CLIENT_CAFILE
  failed='' asked=$(events ^start)
}

# in_posix ARGUMENT...: `request` in that locale
in_posix() {
  cd "$POSIX/work" || return
  WORKBENCH=$POSIX WORK=$POSIX/work LC_ALL=POSIX request "$@"
  cd "$WORK" || return
}

# is_error_of NAME: the last run ended with 2 and an error of a line and its hint, which names this
is_error_of() {
  if [[ $status != 2 || -s $BATS_TEST_TMPDIR/stdout || $(wc -l <"$BATS_TEST_TMPDIR/stderr") -gt 2 ]] ||
    ! grep -qF -e "$1" "$BATS_TEST_TMPDIR/stderr" || grep -E 'Internal error|Exception' "$BATS_TEST_TMPDIR/stderr"; then
    echo "$1:"
    cat -v "$BATS_TEST_TMPDIR/record"
    failed=1
  fi
}

# all_are_errors: is_error_of was always right, and no request of this test has reached the pool
all_are_errors() { [[ -z $failed && $(events ^start) == "$asked" ]]; }

@test "an option whose text is not a path is an error of that option" {
  local option
  authenticate_by SSL
  for option in -file -token -cafile -state; do
    in_posix -pool "$HERE" -identity alice@own.test "$option" "$ODD"
    is_error_of "$option"
  done
  in_posix -resume "$ODD.json"
  is_error_of -resume
  all_are_errors
  # The argument of a process is read in the locale, too.
  AS_PROCESS=1 LC_ALL=POSIX request -pool "$HERE" -identity alice@own.test -file "$ODD"
  is_error_of -file
  # In a locale that has it, it is a path.
  authenticate_by CLAIMTOBE
  request -pool "$HERE" -identity alice@own.test -file "$ODD"
  assert_status 0
  [[ -s $ODD ]]
}

@test "a variable of the environment whose text is not a path is an error of that variable" {
  local variable
  authenticate_by SSL
  export _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=true
  for variable in CONDOR_CONFIG SSL_CERT_FILE _CONDOR_SEC_TOKEN_DIRECTORY _CONDOR_SEC_KNOWN_HOSTS; do
    settings=("$variable=/tmp/$ODD")
    in_posix -pool "$HERE" -identity alice@own.test -token name
    is_error_of "${variable#_CONDOR_}"
  done
  all_are_errors
}

@test "a setting whose text is not a path is an error of that setting" {
  local name methods
  unset _CONDOR_SEC_TOKEN_DIRECTORY
  export CONDOR_CONFIG=$PWD/condor_config
  while read -r name methods; do
    printf '%s\n' "$name = /tmp/$ODD" "SEC_CLIENT_AUTHENTICATION_METHODS = $methods" 'SEC_TOKEN_SYSTEM_DIRECTORY = /dev/null/x' >condor_config
    in_posix -pool "$HERE" -identity alice@own.test
    is_error_of "$name"
  done <<'END'
LOCAL_CONFIG_DIR CLAIMTOBE
LOCAL_CONFIG_FILE CLAIMTOBE
SEC_TOKEN_DIRECTORY IDTOKENS
SEC_KNOWN_HOSTS SSL
AUTH_SSL_CLIENT_CAFILE SSL
AUTH_SSL_CLIENT_CADIR SSL
SEC_PASSWORD_FILE PASSWORD
END
  all_are_errors
  # Those of files that a daemon of this machine writes.
  for name in SCHEDD_ADDRESS_FILE COLLECTOR_ADDRESS_FILE; do
    printf '%s\n' "$name = /tmp/$ODD" 'COLLECTOR_HOST = $(FULL_HOSTNAME):0' >condor_config
    in_posix -identity alice@own.test ${name:+-type "${name%%_*}"}
    [[ $status != 1 && $status != 0 ]]
    lacks "$BATS_TEST_TMPDIR/stderr" 'Internal error'
  done
}

@test "a bearer token's file whose name is not a path ends in words, not in an internal error" {
  local variable
  authenticate_by SCITOKENS
  for variable in BEARER_TOKEN_FILE _CONDOR_SCITOKENS_FILE XDG_RUNTIME_DIR; do
    settings=("$variable=/tmp/$ODD")
    in_posix -pool "$HERE" -identity alice@own.test
    [[ $status == 2 || $status == 4 ]]
    lacks "$BATS_TEST_TMPDIR/stderr" 'Internal error'
  done
}

@test "an included file whose name is not a path is an error of the configuration" {
  local line
  export CONDOR_CONFIG=$PWD/condor_config
  for line in "include : /tmp/$ODD" "include ifexist : /tmp/$ODD" "include command into /tmp/$ODD : echo X = 1"; do
    echo "$line" >condor_config
    in_posix -pool "$HERE" -identity alice@own.test
    is_error_of "$ODD"
  done
  sed -i s/zoë/zo/ condor_config
  [[ -z $failed ]]
}

# ---- Addresses with a zone ----

@test "a request at an address with a zone is saved, and resumed by the command that is printed" {
  local command zone address
  authenticate_by CLAIMTOBE
  pool_with --methods CLAIMTOBE --token "$TOKEN" --listen ::1
  # The zone of the loopback, by number and by name.
  for zone in "$(</sys/class/net/lo/ifindex)" lo; do
    address="<[::1%$zone]:$LOOPBACK_PORT>"
    request -nowait -pool "$address" -identity alice@own.test
    assert_status 0
    command=$(sed -nE 's/^ *The request is still pending. To resume: condor_token_request -resume (.*)$/\1/p' "$BATS_TEST_TMPDIR/stderr")
    [[ -s $command ]]
    grep -qF "%$zone" "$command"
    request -resume "$command"
    assert_status 0
    printf '%s\n' "$TOKEN" | cmp - "$BATS_TEST_TMPDIR/stdout"
  done
}
