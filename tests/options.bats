#!/usr/bin/env bats
# The options that the original does not have, but for -json (json.bats) and what a wait survives (resuming.bats).
# shellcheck disable=SC2034 # settings is for loopback.bash
load events

setup() {
  own_folders
  export _CONDOR_SEC_TOKEN_DIRECTORY=$HOME/tokens.d _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=false
  export REQUEST_MAIN=Harness
  authenticate_by CLAIMTOBE
}

teardown() {
  stop_loopback_pool
  stop_process
  [[ -z ${elsewhere-} ]] || rm -rf "$elsewhere"
}

pool_of() { pool_with --methods CLAIMTOBE --token "$TOKEN" "$@"; }
asked() { ask -pool "$HERE" -identity alice@own.test "$@"; }

# refused_unasked ARGUMENT...: ends with 2, and nobody was asked
refused_unasked() {
  local before
  before=$(events ^connection)
  asked "$@"
  assert_status 2
  [[ $(events ^connection) == "$before" ]]
}

# ---- How they are written ----

@test "new options have one name, with one dash or two" {
  local word
  for word in -jso -nowai -resum -timeou -pol -resubmi -approval -verif -stric -owne -mod -verbos -quie -versio -completio -j -r; do
    ask "$word"
    assert_status 2
    [[ ! -s $BATS_TEST_TMPDIR/stdout ]]
    head -n 1 "$BATS_TEST_TMPDIR/stderr" | diff - <(echo "condor_token_request: Invalid command line argument: $word")
  done
  pool_of
  ask --json --nowait --pool "$HERE" --identity alice@own.test
  assert_status 0
  cp "$BATS_TEST_TMPDIR/stdout" request.json
  ask --resume request.json --timeout 9 --poll 1 --resubmit --strict --quiet --file token --mode 640
  assert_status 0
  [[ $(stat -c %a token) == 640 ]]
}

@test "the original's prefixes still mean the original's options" {
  pool_of
  local prefix
  # Where a new option begins with the same letters, the old one has them.
  for prefix in -t -ty; do
    ask "$prefix"
    grep -q -e '-type requires a daemon type argument' "$BATS_TEST_TMPDIR/stderr"
  done
  for prefix in -n -na; do
    ask "$prefix"
    grep -q -e '-name requires a daemon name argument' "$BATS_TEST_TMPDIR/stderr"
  done
  request -p "$HERE" -i alice@own.test
  assert_status 0
  request -po "$HERE" -i alice@own.test -a READ -au WRITE -l 60 -to name
  assert_status 0
}

@test "a new option without its value is refused, and the message names the value" {
  local option
  for option in -name -type -resume -timeout -poll -approval-url -owner -mode --resume; do
    ask "$option"
    assert_status 2
  done
  assert_transcript missing-values
}

@test "-timeout and -poll refuse anything but a number of seconds" {
  local value
  pool_of
  for value in abc '' -1 1.5 60s 2h 99999999999 '１'; do
    refused_unasked -timeout "$value"
  done
  for value in '' 0 0.5 3601; do
    refused_unasked -poll "$value"
  done
  assert_transcript numbers-refused
}

@test "-quiet and -verbose exclude each other" {
  pool_of
  refused_unasked -quiet -verbose
  refused_unasked -verbose -json -quiet
  assert_transcript quiet-and-verbose
}

# ---- -version and -completion ----

@test "-version prints our version and the one announced to the pool" {
  ask -version
  assert_status 0
  assert_transcript version
  cp "$BATS_TEST_TMPDIR/stdout" version
  local spelling
  for spelling in --version -V; do
    request "$spelling"
    assert_status 0
    cmp version "$BATS_TEST_TMPDIR/stdout"
  done
  [[ $(sed -n 1p version) =~ ^TokenRequest\ [0-9]+\.[0-9]+\.[0-9]+$ && $(sed -n 2p version) =~ ^\$CondorVersion:\ .*\ \$$ ]]
  [[ $(wc -l <version) == 2 ]]
}

# completion: leaves the script in the file completion
completion() {
  request -completion "$@"
  assert_status 0
  [[ ! -s $BATS_TEST_TMPDIR/stderr ]]
  cp "$BATS_TEST_TMPDIR/stdout" completion
}

# in_bash WORD...: what bash proposes for the last word
in_bash() {
  # shellcheck disable=SC2016 # a program of bash
  bash --norc --noprofile -c '
    source ./completion
    compopt() { :; } # it works only when a person has hit the key
    COMP_WORDS=("$@")
    COMP_CWORD=$(($# - 1))
    function=$(complete -p "$1" | sed -E "s/.*-F ([^ ]+) .*/\1/")
    "$function" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
    printf "%s\n" "${COMPREPLY[@]}"' bash "$@"
}

# in_zsh WORD...: what zsh proposes for the last word
in_zsh() {
  # What zsh itself calls, but for the last step, which would put the words on the screen: those that begin so.
  # shellcheck disable=SC2016 # a program of zsh
  zsh -f -c '
    autoload -Uz compinit
    compinit -u -D
    source ./completion
    compadd() { print -rl -- ${(M)matches:#${words[CURRENT]}*}; }
    words=("$@")
    CURRENT=$#
    PREFIX=${words[CURRENT]}
    eval "${_comps[$1]}"' zsh "$@"
}

# in_fish WORD...: what fish proposes for the last word
in_fish() {
  local words
  printf -v words '%q ' "$@"
  # shellcheck disable=SC2016 # a program of fish
  fish --no-config -c 'source ./completion; complete -C $argv[1]' -- "${words% }" | cut -f 1
}

# proposes SHELL WORD...: its proposals, each once
proposes() { "in_$1" condor_token_request "${@:2}" | sed 's/ *$//' | sort -u; }

@test "the completion knows every option of the help, with one dash and with two, in bash and in zsh" {
  local shell
  completion
  request -help
  sed -nE 's/^ +(-[a-z-]+)([= :].*)?$/\1/p' "$BATS_TEST_TMPDIR/stdout" | sort -u >options
  [[ $(wc -l <options) -ge 25 ]]
  sed 's/^/-/' options | sort -u - options >spellings
  for shell in bash zsh; do
    proposes "$shell" - | diff spellings -
    proposes "$shell" --resu | diff <(printf '%s\n' --resubmit --resume) -
    proposes "$shell" -resu | diff <(printf '%s\n' -resubmit -resume) -
    proposes "$shell" -json -timeo | diff <(echo -timeout) -
  done
}

@test "the completion offers files, daemon types and authorization levels" {
  local shell option
  completion
  touch request.json
  for shell in bash zsh; do
    for option in -resume -file; do
      proposes "$shell" "$option" requ | diff <(echo request.json) -
    done
    proposes "$shell" -type sch | diff <(echo schedd) -
    proposes "$shell" --authz ADVERTISE_S | diff <(printf '%s\n' ADVERTISE_SCHEDD ADVERTISE_STARTD) -
    proposes "$shell" -completion f | diff <(echo fish) -
  done
}

# proposes_in_fish: what the other tests want of bash and zsh
proposes_in_fish() {
  request -help
  sed -nE 's/^ +(-[a-z-]+)([= :].*)?$/\1/p' "$BATS_TEST_TMPDIR/stdout" | sort -u >options
  sed 's/^/-/' options | sort -u - options >spellings
  touch request.json
  proposes fish - | grep '^-' | diff spellings - || return
  proposes fish -type sch | diff <(echo schedd) - || return
  proposes fish --authz ADVERTISE_S | diff <(printf '%s\n' ADVERTISE_SCHEDD ADVERTISE_STARTD) - || return
  proposes fish -resume requ | diff <(echo request.json) -
}

@test "-completion prints a script for each shell, and refuses other shells" {
  local shell
  completion
  cp completion default
  for shell in bash zsh; do
    completion "$shell"
    cmp default completion
    "$shell" -n completion
  done
  completion fish
  assert_golden options/completion-fish
  # fish is on few machines; the golden is what it has been tried with.
  ! type -P fish >/dev/null || proposes_in_fish
  ask -completion tcsh
  assert_status 2
  ask --completion=csh
  assert_status 2
  assert_transcript shells-refused
}

# ---- -approval-url ----

@test "-approval-url prints the link with the request ID for the administrator" {
  local template
  pool_of --request-id 0000042
  for template in 'https://approve.example/requests/{request_id}' 'x:{request_id}?id={request_id}&{other}=%20' '{request_id}'; do
    asked -approval-url "$template"
    assert_status 0
    asked -approval-url "$template" -json
    assert_status 0
    [[ $(field enqueued .approval_url) == "${template//'{request_id}'/0000042}" ]]
  done
  assert_transcript approval-url
}

@test "an -approval-url without the place for the ID is refused" {
  local template
  pool_of
  # shellcheck disable=SC2016 # no variable
  for template in https://approve.example/ '' '{REQUEST_ID}' '{request_id' '$request_id'; do
    refused_unasked -approval-url "$template"
  done
  assert_transcript approval-url-refused
}

# ---- -verify ----

@test "-verify prints the identity that the pool sees with the token" {
  pool_with --methods CLAIMTOBE,IDTOKENS --issued-at "$START" --approve-after 1
  asked -verify
  assert_status 0
  [[ $(events '^authenticated IDTOKENS unbound alice@own.test') == 1 ]]
  asked -verify -json
  assert_status 0
  [[ $(names) == 'enqueued issued verified' ]]
  asked -verify -json -file token
  assert_status 0
  assert_transcript verified
}

@test "-verify fails if the pool rejects the token, which is delivered nevertheless" {
  local pool
  # 60040 is the command with which a token is tried, a query whether it is good for anything.
  for pool in '--methods CLAIMTOBE,IDTOKENS --reject-issued' '--methods CLAIMTOBE,IDTOKENS --denied 60040' \
    '--methods CLAIMTOBE,IDTOKENS --query-denied' '--methods CLAIMTOBE'; do
    # shellcheck disable=SC2086 # words
    pool_with --issued-at "$START" --auto-approve $pool
    asked -verify
    assert_status 4
    [[ $(cat "$BATS_TEST_TMPDIR/stdout") == eyJ* ]]
    asked -verify -json -file token
    assert_status 4
    [[ $(names) == 'issued failed' && $(field failed .code) == token_rejected && -s token ]]
  done
  assert_transcript rejected
}

@test "-verify offers the pool no other method" {
  authenticate_by SSL CLAIMTOBE IDTOKENS
  pool_with --methods SSL,CLAIMTOBE --issued-at "$START" --auto-approve
  asked -verify
  assert_status 4
  [[ $(events ^authenticated) == 1 ]]
}

@test "a token that the pool accepts can still differ from the request" {
  pool_with --methods CLAIMTOBE,IDTOKENS --issued-at "$START" --auto-approve --issue-subject bob@own.test
  asked -verify
  assert_status 0
  asked -verify -strict -json
  assert_status 1
  [[ $(field failed .code) == not_as_requested ]]
  assert_transcript verified-bob
}

# ---- -owner and -mode ----

@test "-mode sets the file's mode, whatever the umask" {
  local mode mask
  pool_of --auto-approve
  for mask in 000 077; do
    umask "$mask"
    for mode in 640 0440; do
      request -pool "$HERE" -identity alice@own.test -file "file-$mode-$mask" -mode "$mode"
      assert_status 0
      [[ $(stat -c %a "file-$mode-$mask") == "${mode#0}" ]]
    done
    umask 022
  done
  request -pool "$HERE" -identity alice@own.test -token name -mode 640
  assert_status 0
  diff - <(stat -c '%a %n' "$_CONDOR_SEC_TOKEN_DIRECTORY" "$_CONDOR_SEC_TOKEN_DIRECTORY/name") <<<"700 $_CONDOR_SEC_TOKEN_DIRECTORY
640 $_CONDOR_SEC_TOKEN_DIRECTORY/name"
}

@test "-mode refuses anything but three octal digits, and modes that let others read" {
  local mode
  pool_of --auto-approve
  for mode in 644 602 601 4600 '' abc 68 -600 u=rw; do
    refused_unasked -file token -mode "$mode"
  done
  assert_transcript modes-refused
  [[ -z $(ls -A) ]]
}

@test "-owner sets the file's owner and group" {
  ((EUID == 0)) || skip "needs root"
  local owner
  pool_of --auto-approve
  for owner in daemon daemon:games 1:60 root; do
    request -pool "$HERE" -identity alice@own.test -file "${owner/:/-}" -owner "$owner"
    assert_status 0
  done
  request -pool "$HERE" -identity alice@own.test -token name -owner daemon:daemon -mode 640
  assert_status 0
  touch old
  chown 65534:65534 old
  request -pool "$HERE" -identity alice@own.test -file old -owner daemon
  assert_status 0
  diff - <(stat -c '%U:%G %a %n' daemon daemon-games 1-60 root old "$_CONDOR_SEC_TOKEN_DIRECTORY/name" | sed "s|$HOME/||") <<<'daemon:root 600 daemon
daemon:games 600 daemon-games
daemon:games 600 1-60
root:root 600 root
daemon:root 600 old
daemon:daemon 640 tokens.d/name'
}

@test "an unknown -owner is refused before the first connection" {
  local owner
  pool_of --auto-approve
  for owner in nobody-of-that-name daemon:no-group-of-that-name '' : daemon: :daemon a:b:c -1 99999999999; do
    refused_unasked -file token -owner "$owner"
  done
  assert_transcript owners-refused
  [[ -z $(ls -A) ]]
}

@test "-owner by an ordinary user who cannot change owners is refused before the first connection" {
  local home=$HOME jars classes=$TOKEN_REQUEST_CLASSPATH
  pool_of --auto-approve
  if ((EUID == 0)); then
    # Neither root's jars nor root's folders are open to others.
    elsewhere=$(mktemp -d)
    home=$elsewhere/home
    IFS=: read -ra jars <<<"$TOKEN_REQUEST_CLASSPATH"
    mkdir "$elsewhere/jars" "$home"
    cp "${jars[@]}" "$elsewhere/jars" # of two with the same name one is enough
    classes="$elsewhere/jars/*"
    chmod 755 "$elsewhere"
    chown 65534:65534 "$home"
    settings=(setpriv --reuid=65534 --regid=65534 --clear-groups)
  fi
  cd "$home"
  local before
  before=$(events ^connection)
  HOME=$home TOKEN_REQUEST_CLASSPATH=$classes request -pool "$HERE" -identity alice@own.test -file token -owner root
  settings=()
  append
  assert_status 2
  [[ $(events ^connection) == "$before" && -z $(ls -A) ]]
  assert_transcript owner-forbidden
}

@test "-owner and -mode need a file" {
  pool_of --auto-approve
  refused_unasked -owner daemon
  refused_unasked -mode 600
  refused_unasked -mode 640 -file ''
  refused_unasked -file /dev/null -mode 640
  assert_transcript no-file-to-own
  [[ $(stat -c %a /dev/null) == 666 ]]
}

# ---- -quiet and -verbose ----

@test "-quiet still prints the request, warnings and errors" {
  pool_with --methods CLAIMTOBE --issued-at "$START" --drop-polls 1 --approve-after 2
  ask -quiet -pool "$HERE"
  assert_status 0
  pool_with --methods CLAIMTOBE --issued-at "$START" --issue-subject bob@own.test
  asked -quiet
  assert_status 0
  asked -quiet -json -timeout 0
  assert_status 6
  asked -quiet -nowait
  assert_status 0
  pool_of --refuse '44:Disabled.'
  asked -quiet
  assert_status 1
  assert_transcript quiet
}

@test "-quiet with -json prints nothing on stderr if all goes well" {
  pool_with --methods CLAIMTOBE --issued-at "$START"
  ask -quiet -json -pool "$HERE"
  assert_status 0
  [[ $(names) == 'enqueued issued' && ! -s $BATS_TEST_TMPDIR/stderr ]]
}

@test "-verbose logs each state change of the wait" {
  local options
  for options in '--approve-after 3' '--drop-polls 2' '--rate-limit 2' '--forget-after 2 --approve-after 9'; do
    # shellcheck disable=SC2086 # words
    pool_of $options
    asked -verbose
  done
  assert_transcript verbose
}
