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
}

@test "options take their values" {
  pool_lines=^start
  ask -pool "$HERE" -identity alice@own.test -authz READ -lifetime 600
  ask -pool "$HERE" -identity alice@own.test -authz READ -authz WRITE,ADVERTISE_STARTD
  ask -pool "$HERE" -debug:D_NOTHING
  assert_transcript options
}

@test "options may be shortened as far as they differ, or written with two dashes" {
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

@test "of two destinations and of two identities the last one wins" {
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

@test "what is no option is refused by name" {
  local argument
  for argument in foo '' - -- -x -HELP --hel -t -debugx -debug= --d; do
    ask "$argument"
  done
  assert_transcript no-options
}

@test "values attached with = or : are refused, but for the flags of -debug" {
  ask -pool=host
  ask -pool:host
  ask -debug D_ALL
  ask -debug=D_ALL
  assert_transcript attached-values
}

@test "the first bad argument, from the left, decides" {
  ask -lifetime abc -help
  ask -help -lifetime abc
  ask foo -lifetime abc
  ask -lifetime abc foo
  ask -help foo
  sed -i '/^Usage: /,/^  7  /d' "$BATS_TEST_TMPDIR/transcript" # the help has a golden of its own
  assert_transcript left-to-right
}

@test "an argument cannot steer the terminal" {
  ask $'\e[31mred\a'
  ask -lifetime $'\e[31mred\a'
  assert_transcript control-characters
  [[ $(tr -d '[:print:]\n' <"$BATS_TEST_TMPDIR/stderr" | wc -c) == 0 ]]
}

@test "-lifetime takes a number as C does, and no limit if it is not positive" {
  pool_lines=^start
  local number
  for number in ' +77xyz' 2147483647 0 -5 007; do
    ask -pool "$HERE" -lifetime "$number"
  done
  assert_transcript lifetimes
}

@test "-lifetime refuses what is no number, or too large a one" {
  local number
  for number in abc '' ' ' - 2147483648 99999999999999999999 0x 1e999; do
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

@test "a setting that cannot be used is named, with what it must be" {
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
  with _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS=KERBEROS -- -pool "$HERE"
  assert_transcript methods-not-here
}

@test "a text that names no pool is refused, with what it may be" {
  local text
  for text in :9618 host:abc '<unclosed' 'a b' host:0 host:70000 host:999999 '[::1' 'host?sock=a>' ' ' \
    '<127.0.0.1:9618?CCBID=127.0.0.1:1%23123>'; do
    ask -pool "$text"
  done
  assert_transcript pools-refused
}

@test "a pool that cannot be found or reached is so called" {
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
