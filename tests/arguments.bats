#!/usr/bin/env bats
# The command line and the settings. What the pool understood is in the lines below "--- pool".
# shellcheck disable=SC2034 # pool_lines is for loopback.bash
load loopback

setup_file() {
  # Approves at once, so that every invocation runs to its end.
  pool_with --methods CLAIMTOBE --auto-approve --token "$TOKEN"
  authenticate_by CLAIMTOBE
}

@test "-help prints the help on stdout and succeeds, however it is written" {
  ask -help
  assert_transcript help
  cp "$BATS_TEST_TMPDIR/stdout" help
  local spelling
  for spelling in -h -he -hel --help; do
    request "$spelling"
    assert_status 0
    cmp "$BATS_TEST_TMPDIR/stdout" help
    [[ ! -s $BATS_TEST_TMPDIR/stderr ]]
  done
  request -help -no-such-option # what follows does not matter
  assert_status 0
  cmp "$BATS_TEST_TMPDIR/stdout" help
}

@test "options take their values" {
  pool_lines=^start
  ask -pool "$HERE" -identity alice@own.test -authz READ -lifetime 600
  ask -pool "$HERE" -identity alice@own.test -authz READ -authz WRITE,ADVERTISE_STARTD
  ask -pool "$HERE" -debug:D_NOTHING
  assert_transcript options
}

@test "options can be shortened, or written with two dashes" {
  pool_lines=^start
  ask -p "$HERE" -i short@own.test -a READ -l 60
  ask -po "$HERE" -id longer@own.test -au READ -life 60 -d:D_NOTHING
  ask --pool "$HERE" --identity dashes@own.test --authz READ --lifetime 60 --debug:D_NOTHING
  ask -p "$HERE" -to short
  ask -p "$HERE" -f short
  cat "$_CONDOR_SEC_TOKEN_DIRECTORY/short" short
  assert_transcript prefixes
}

@test "the value is the next argument, whatever it looks like" {
  pool_lines=^start
  ask -pool "$HERE" -identity -pool@own.test -authz -help -file -token
  ask -pool "$HERE" -file -- -identity --@own.test
  assert_transcript values-like-options
  [[ -s ./-token && -s ./-- ]]
}

@test "an empty value counts as not given" {
  pool_lines=^start
  ask -pool "$HERE" -identity '' -authz '' -token ''
  ask -pool "$HERE" -token x -file ''
  ask -pool ''
  assert_transcript empty-values
  [[ ! -e x && ! -e $_CONDOR_SEC_TOKEN_DIRECTORY ]]
}

@test "the last of two destinations or identities wins" {
  pool_lines=^start
  ask -pool "$HERE" -token first -file second
  [[ -s second && ! -e $_CONDOR_SEC_TOKEN_DIRECTORY ]]
  ask -pool "$HERE" -file third -token fourth
  [[ ! -e third && -s $_CONDOR_SEC_TOKEN_DIRECTORY/fourth ]]
  ask -pool "nowhere.invalid" -identity first@own.test -pool "$HERE" -identity second@own.test -lifetime 1 -lifetime 2
  assert_transcript last-one-wins
}

@test "an option without its value says what is missing" {
  local option
  for option in -identity -authz -lifetime -pool -token -file -i -a -l -p -to -f --pool; do
    ask "$option"
  done
  assert_transcript missing-values
}

@test "an unknown argument is refused by name" {
  local argument
  for argument in foo '' - -- -x -HELP --hel -t -debugx -debug= --d; do
    ask "$argument"
  done
  assert_transcript no-options
}

@test "a value may follow an equals sign, whatever it looks like" {
  pool_lines=^start
  ask "-pool=$HERE" "--identity=a=b@own.test" -a=READ -life=60
  ask "--pool=$HERE" -identity=-pool=x@own.test --token=
  ask "-p=<127.0.0.1:$LOOPBACK_PORT?alias=localhost>" -identity= --file=a=b
  [[ -s a=b ]]
  request -config=UID_DOMAIN
  assert_status 0
  [[ $(<"$BATS_TEST_TMPDIR/stdout") == 'UID_DOMAIN = '* ]]
  assert_transcript equals-signs
}

@test "-debug alone accepts a colon, and an option without a value accepts no equals sign" {
  ask -pool:host
  ask -debug D_ALL
  ask -debug=D_ALL
  ask --json=yes
  ask -help=
  assert_transcript attached-values
}

@test "a mistyped option gets a hint, an argument unlike any option does not" {
  local argument
  for argument in -jso -pol --polo -timeuot --life -lifetme -HELP -approval -fingreprint pool -nowait=1 \
    -r -x -zzzzzzzz --nosuch timeout5 "-$(printf '%0*d' 5000 0)"; do
    ask "$argument"
    assert_status 2
  done
  sed -i -E 's/0{200,}/<ZEROS>/' "$BATS_TEST_TMPDIR/transcript"
  assert_transcript hints
}

@test "an authorization level unknown to HTCondor is sent, with a warning" {
  pool_lines=^start
  ask -pool "$HERE" -authz READD,read,ADVERTISE_START -authz reed -authz Daemon
  ask -pool "$HERE" -authz NONSENSE -quiet
  assert_transcript levels
}

@test "the help fits the terminal" {
  local columns
  for columns in 40 59 60 80 120; do
    settings=("COLUMNS=$columns")
    request -help
    # A command line that is to be copied is broken between options only.
    [[ $(grep -v "sock=collector>'" "$BATS_TEST_TMPDIR/stdout" | wc -L) -le $columns ]]
    cp "$BATS_TEST_TMPDIR/stdout" "help-$columns"
  done
  settings=()
  request -help
  cmp help-80 "$BATS_TEST_TMPDIR/stdout"
  for columns in '' 0x50 -3 99999 '80 '; do
    settings=("COLUMNS=$columns")
    request -help
    cmp help-80 "$BATS_TEST_TMPDIR/stdout"
  done
  settings=(COLUMNS=7)
  request -help
  cmp help-40 "$BATS_TEST_TMPDIR/stdout"
  settings=(COLUMNS=500)
  request -help
  cmp help-120 "$BATS_TEST_TMPDIR/stdout"
  cp help-40 "$BATS_TEST_TMPDIR/transcript"
  assert_transcript help-40
}

@test "the commands in the help are the same at every width" {
  local columns
  for columns in 40 80 120; do
    settings=("COLUMNS=$columns")
    request -help
    sed '1,/^Examples:$/d; /^$/,$d' "$BATS_TEST_TMPDIR/stdout" >examples
    # bash itself joins the lines.
    sed -E 's/^ +condor_token_request/printf "%s|"/; s/ >request.json//; s/^ +>request.json/;/' examples | bash >"words-$columns"
  done
  cmp words-40 words-120
  cmp words-80 words-120
  [[ $(<words-80) == '-pool|cm.example.org|-identity|alice@example.org|'* ]]
}

# in_locale LOCALE ARGUMENT...: a process of its own, as from cron
in_locale() {
  settings=("LC_ALL=$1")
  AS_PROCESS=1 ask "${@:2}"
  settings=()
}

# one_line_names_the_remedy: below it there is an indented hint at most, and the status is 2
one_line_names_the_remedy() {
  assert_status 2
  [[ $(grep -vc '^  ' "$BATS_TEST_TMPDIR/stderr") == 1 && ! -s $BATS_TEST_TMPDIR/stdout ]]
  grep -q 'LC_ALL=C.UTF-8' "$BATS_TEST_TMPDIR/stderr"
}

@test "non-ASCII arguments are used as they are, or refused with the remedy in a POSIX locale" {
  pool_lines='^(start|connection)'
  local locale option value before
  in_locale C.UTF-8 -pool "$HERE" -identity zoë@own.test -file zoë
  assert_status 0
  [[ -s zoë ]]
  [[ $(events '^start .*zoë@own.test') == 1 ]]
  before=$(events ^connection)
  for locale in C POSIX; do
    for option in -identity -authz -pool -name -token -file -resume -state -cafile -owner -approval-url=; do
      value=zoë
      [[ $option == *= ]] && in_locale "$locale" -pool "$HERE" "$option$value" || in_locale "$locale" -pool "$HERE" "$option" "$value"
      one_line_names_the_remedy
    done
    in_locale "$locale" -pool "$HERE" -identity $'invalid-\xff@own.test'
    one_line_names_the_remedy
    in_locale "$locale" zoë
    assert_status 2
  done
  in_locale C.UTF-8 -pool "$HERE" -identity $'invalid-\xff@own.test'
  one_line_names_the_remedy
  [[ $(events ^connection) == "$before" ]]
  # The control: the same, but for the letter.
  in_locale C -pool "$HERE" -identity zoe@own.test -file zoe
  assert_status 0
  [[ -s zoe ]]
}

@test "a non-ASCII home, setting or working directory stops only the commands that need it" {
  local locale HOME=$HOME/zoë
  mkdir -p "$HOME" zoë
  for locale in C POSIX; do
    in_locale "$locale" -version
    assert_status 0
    in_locale "$locale" -help
    assert_status 0
    in_locale "$locale" -pool "$HERE"
    one_line_names_the_remedy
    in_locale "$locale" -config UID_DOMAIN
    one_line_names_the_remedy
  done
  in_locale C.UTF-8 -pool "$HERE" -nowait
  assert_status 0
  HOME=$BATS_TEST_TMPDIR/home
  export JBANG_LAUNCH_CMD=jbang JBANG_DIR=$PWD/zoë
  in_locale C -version
  assert_status 0
  unset JBANG_LAUNCH_CMD JBANG_DIR
  settings=(LC_ALL=C "_CONDOR_SEC_TOKEN_DIRECTORY=$PWD/zoë")
  AS_PROCESS=1 request -pool "$HERE" -token name
  one_line_names_the_remedy
  settings=(LC_ALL=C "CONDOR_CONFIG=$PWD/zoë/condor_config")
  AS_PROCESS=1 request -pool "$HERE"
  one_line_names_the_remedy
  cd zoë
  settings=(LC_ALL=C)
  request -pool "$HERE" -file token
  one_line_names_the_remedy
  request -pool "$HERE" -file "$WORK/token"
  assert_status 0
  settings=(LC_ALL=C.UTF-8)
  request -pool "$HERE" -file token
  assert_status 0
  [[ -s token && -s $WORK/token ]]
}

@test "the first bad argument, from the left, decides" {
  ask -lifetime abc -help
  ask -help -lifetime abc
  ask foo -lifetime abc
  ask -lifetime abc foo
  ask -help foo
  sed -i '/^Usage: /,/^  130, 143  /d' "$BATS_TEST_TMPDIR/transcript" # the help has a golden of its own
  assert_transcript left-to-right
}

@test "an argument cannot steer the terminal" {
  ask $'\e[31mred\a'
  ask -lifetime $'\e[31mred\a'
  assert_transcript control-characters
  [[ $(tr -d '[:print:]\n' <"$BATS_TEST_TMPDIR/stderr" | wc -c) == 0 ]]
}

@test "-lifetime accepts a number with blanks and a sign; zero and less mean no limit, with a warning" {
  pool_lines=^start
  local number
  for number in ' +77' '60 ' 2147483647 0 -5 007; do
    ask -pool "$HERE" -lifetime "$number"
  done
  assert_transcript lifetimes
}

@test "-lifetime refuses units, text, and numbers that are too large" {
  local number
  for number in abc '' ' ' - 2147483648 99999999999999999999 0x 1e999 ' 60xyz' 600x 10m '2 h' 1d 1w 30s 1.5 ٣ '5 5'; do
    ask -pool 127.0.0.1:1 -lifetime "$number"
  done
  assert_transcript lifetimes-refused
}

@test "without -pool the settings name the pool, and without those there is none" {
  pool_lines=^start
  ask
  with "_CONDOR_COLLECTOR_HOST=$HERE" --
  with "_CONDOR_CONDOR_HOST=$HERE" --
  with "_condor_collector_host=$HERE" --
  with "_CONDOR_COLLECTOR_HOST=nowhere.invalid, $HERE" --
  with "_CONDOR_COLLECTOR_HOST=nowhere.invalid" -- -pool "$HERE"
  with "_CONDOR_COLLECTOR_HOST=nowhere.invalid" --
  assert_transcript pool-from-settings
}

@test "a setting for tools comes before the general one, and a blank one hides it" {
  pool_lines=^start
  with "_CONDOR_TOOL.COLLECTOR_HOST=$HERE" "_CONDOR_COLLECTOR_HOST=nowhere.invalid" --
  with "_condor_tool.Collector_Host=$HERE" --
  with "_CONDOR_TOOL.COLLECTOR_HOST= " "_CONDOR_COLLECTOR_HOST=$HERE" --
  with "_CONDOR_UID_DOMAIN=own.test" -- -pool "$HERE"
  with "_CONDOR_UID_DOMAIN=own.test" -- -pool "$HERE" -identity alice
  with "_CONDOR_TOOL.UID_DOMAIN=" "_CONDOR_UID_DOMAIN=own.test" -- -pool "$HERE" -identity alice
  assert_transcript settings
}

@test "an invalid setting is named, with its accepted values" {
  local setting
  for setting in SEC_CLIENT_AUTHENTICATION=bogus SEC_CLIENT_AUTHENTICATION=NEVER SEC_CLIENT_ENCRYPTION=NEVER \
    SEC_DEFAULT_INTEGRITY=never SEC_CLIENT_AUTHENTICATION_METHODS=nonsense TOOL_TIMEOUT_MULTIPLIER=x \
    TOOL_TIMEOUT_MULTIPLIER=-1 AUTH_SSL_CLIENT_USE_DEFAULT_CAS=maybe; do
    with "_CONDOR_$setting" -- -pool 127.0.0.1:1
    assert_status 2 # not 3: nothing was asked
  done
  with _CONDOR_COLLECTOR_PORT=70000 -- -pool localhost
  assert_transcript settings-refused
}

@test "a method that exists, but not here, is named as such" {
  with _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS=NTSSPI -- -pool "$HERE"
  assert_transcript methods-not-here
}

@test "an invalid -pool is refused, with the accepted forms" {
  local text
  for text in :9618 host:abc '<unclosed' 'a b' host:0 host:70000 host:999999 '[::1' 'host?sock=a>' ' ' \
    '<127.0.0.1:9618?CCBID=127.0.0.1:1%23123>'; do
    ask -pool "$text"
  done
  assert_transcript pools-refused
}

@test "an unknown or unreachable pool is reported" {
  ask -pool nosuchhost.invalid
  ask -pool 127.0.0.1:1
  ask -pool '<127.0.0.1:1?alias=localhost>'
  assert_transcript pools-not-reached
}

@test "a pool may be a name, an address, or a sinful string with alias, addresses and endpoint" {
  pool_lines='^(start|shared-port)'
  ask -pool "localhost:$LOOPBACK_PORT?sock=collector"
  ask -pool "<127.0.0.1:$LOOPBACK_PORT?alias=localhost&sock=collector>"
  ask -pool "<192.0.2.1:1?addrs=127.0.0.1-$LOOPBACK_PORT&noUDP>"
  ask -pool "127.0.0.1:$LOOPBACK_PORT"
  with "_CONDOR_COLLECTOR_PORT=$LOOPBACK_PORT" -- -pool localhost
  assert_transcript pools
}
