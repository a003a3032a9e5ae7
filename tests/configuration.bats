#!/usr/bin/env bats
# HTCondor's configuration language. Each folder of fixtures/config holds a small configuration and what the real
# condor_config_val answered (its README says how); what we do on purpose otherwise is at the end of this file.
# shellcheck disable=SC2030,SC2031 # each test has a configuration of its own
load lib

CASES=$BATS_TEST_DIRNAME/fixtures/config

# config_answers [OPTION...] NAME...: the answers, one JSON object a line, to stdout; complaints to stderr. The environment
# is that of the file `env` in the working directory, if it is there, and nothing else; the home is `home`.
config_answers() {
  local environment=() HOME=$PWD/home REQUEST_MAIN=ShowConfiguration
  [[ ! -e env ]] || mapfile -t environment <./env
  settings=(-i "PATH=$PATH" "${environment[@]}")
  run_tool "$@"
  settings=()
  cat "$BATS_TEST_TMPDIR/stderr" >&2
  cat "$BATS_TEST_TMPDIR/stdout"
  return "$status"
}

# case_holds CASE: what the fixture expects is what we say, values and complaints alike
case_holds() {
  local case=$CASES/$1 names=() options=() status=0
  cp -R "$case/." .
  [[ ! -e $case/args ]] || read -ra options <"$case/args"
  if [[ -e $case/expected-error.json ]]; then
    config_answers "${options[@]}" AFTER >answers 2>complaints || status=$?
    ((status == 2))
    [[ ! -s answers ]]
    diff <(jq -j .stderr "$case/expected-error.json") complaints
  else
    mapfile -t names < <(jq -r 'keys_unsorted[]' "$case/expected.json")
    config_answers "${options[@]}" "${names[@]}" >answers 2>complaints
    diff <(jq -S . "$case/expected.json") <(jq -sS 'map({(.name): .value}) | add' answers)
    diff "$(if [[ -e $case/expected-stderr.txt ]]; then echo "$case/expected-stderr.txt"; else echo /dev/null; fi)" complaints
  fi
}

# answers TEXT OPTION...: for a configuration of this text. Sets status; leaves what is said in the files answers and
# complaints.
answers() {
  printf '%s\n' "$1" >condor_config
  [[ -e env ]] || echo CONDOR_CONFIG=condor_config >./env
  status=0
  config_answers "${@:2}" >answers 2>complaints || status=$?
}

# value NAME: from the answers
value() { jq -r --arg name "$1" 'select(.name == $name).value' answers; }
source_of() { jq -r --arg name "$1" 'select(.name == $name).source' answers; }

@test "names and values are taken as they are written" { case_holds 01-basics; }
@test "a backslash at the end continues a line, a comment does not" { case_holds 02-continuation; }
@test "references are expanded, with their defaults, also in names" { case_holds 03-macros; }
@test "a parameter that refers to itself means its value before" { case_holds 04-self-reference; }
@test "+= and its kin append" { case_holds 05-plus-equals; }
@test "a value can have several lines" { case_holds 06-here-doc; }
@test "if, elif and else choose by numbers, words and defined" { case_holds 07-if; }
@test "if compares versions with the release whose language this is" { case_holds 08-if-version; }
@test "files are included where they are named, and may be missing if the statement says so" { case_holds 09-include; }
@test "what commands write is included" { case_holds 10-include-command; }
@test "use security:recommended is that of 24.0" { case_holds 11-use-recommended; }
@test "use security:recommended_v9_0 is the one before" { case_holds 12-use-recommended-v9; }
@test "use security:get_htcondor_idtokens and FIPS build on others" { case_holds 13-use-variants; }
@test "templates take arguments" { case_holds 14-use-arguments; }
@test "directories are read in order, and their files by name, without backups" { case_holds 15-config-dir; }
@test "which files are left out can be set, and a directory can name another" { case_holds 16-config-dir-exclude; }
@test "a local file can change the list of local files" { case_holds 17-local-config-file; }
@test "local files may be missing if that is allowed" { case_holds 18-local-file-optional; }
@test "root file, directory, local file, user file and environment overrule one another in this order" { case_holds 19-precedence; }
@test "the environment overrules files, in any case of letters" { case_holds 20-environment; }
@test "names with a prefix go before those without" { case_holds 21-prefixes; }
@test "\$INT, \$REAL and \$EVAL calculate" { case_holds 22-numeric-functions; }
@test "\$SUBSTR, \$STRING, \$CHOICE and the random functions pick" { case_holds 23-string-functions; }
@test "\$F and its kin take file names apart" { case_holds 24-file-functions; }
@test "\$ENV looks into the environment" { case_holds 25-env-function; }
@test "ONLY_ENV leaves all files unread" { case_holds 26-only-env; }
@test "CONFIG_ROOT is where the root file is" { case_holds 27-config-root; }
@test "what nobody sets has its built-in value" { case_holds 28-defaults; }
@test "a colon still assigns, with a warning" { case_holds 29-colon-assign; }
@test "a warning is shown and reading goes on" { case_holds 30-warning; }
@test "a last line without its newline keeps its blanks" { case_holds 31-no-final-newline; }
@test "line ends of DOS are no matter" { case_holds 32-crlf; }
@test "a file can ask for the old rule of comments" { case_holds 33-old-comment-pragma; }
@test "the user's file can have another name" { case_holds 34-user-config-path; }
@test "a comment that ends a value leaves its last character, as in the original" { case_holds 35-quirks; }
@test "a word alone is an error" { case_holds 40-err-no-operator; }
@test "words without an operator are an error" { case_holds 41-err-two-words; }
@test "a name with a dash is an error" { case_holds 42-err-illegal-name; }
@test "a missing endif is an error" { case_holds 43-err-missing-endif; }
@test "an endif too many is an error" { case_holds 44-err-stray-endif; }
@test "an if that calculates is an error" { case_holds 45-err-bad-if; }
@test "an included file that is missing is an error" { case_holds 46-err-missing-include; }
@test "error ends the reading with its text" { case_holds 47-err-error-keyword; }
@test "a value of several lines without its end is an error" { case_holds 48-err-unterminated-here; }
@test "an unknown template is an error" { case_holds 49-err-unknown-template; }
@test "an unknown category of templates is an error" { case_holds 50-err-unknown-category; }
@test "a local file that is missing is an error" { case_holds 51-err-local-file-missing; }
@test "a CONDOR_CONFIG that is missing is an error" { case_holds 52-err-config-missing; }
@test "files that include each other end in an error" { case_holds 53-err-include-loop; }
@test "an unknown word after include is an error" { case_holds 54-err-include-keyword; }
@test "a second else is an error" { case_holds 55-err-double-else; }
@test "a version that is none is an error" { case_holds 56-err-version; }
@test "an error in an included file names both files and lines" { case_holds 57-err-in-include; }
@test "+= without a blank before it is an error" { case_holds 58-err-plus-without-space; }
@test "a colon before a line is an error outside of if" { case_holds 59-err-colon-space-outside-if; }
@test "an indented last line without its newline is an error, as in the original" { case_holds 60-err-indented-last-line-without-newline; }
@test "expressions and formats give what C gives, with 64-bit numbers" { case_holds 61-expressions; }
@test "names are known when the original knows them, and change until all is read" { case_holds 62-names-while-reading; }
@test "conditions, includes and functions with unusual arguments are as in the original" { case_holds 63-conditions-includes-functions; }

@test "every template of HTCondor gives the values, and refuses the arguments, that the original does" {
  local config names expected complaint actual count=0
  echo CONDOR_CONFIG=condor_config >./env
  # One jq for the file, and one for each template: there are many.
  jq -j '.config, (."25.14.1" | (.values // {} | keys | join(" ")), (.values // {} | to_entries | sort_by(.key) | from_entries | tojson),
    .stderr // "") | ., "\u0000"' "$CASES/templates.jsonl" >cases
  while IFS= read -r -d '' config && IFS= read -r -d '' names && IFS= read -r -d '' expected && IFS= read -r -d '' complaint; do
    # shellcheck disable=SC2086 # words
    answers $'LOCAL_DIR=/var/lib/condor\n'"$config" -as-root $names LOCAL_DIR
    actual=$(jq -scS 'map(select(.name != "LOCAL_DIR") | {(.name): (.value | if test("^(true|false)$"; "i") then ascii_downcase else . end)})
      | add // {}' answers)
    if [[ $actual != "$expected" ]] || ! diff <(echo -n "$complaint${complaint:+$'\n'}") <(sed '/^Configuration warning: /d' complaints); then
      diff <(jq -S . <<<"$expected") <(jq -S . <<<"$actual") || :
      echo "differs: $config"
      return 1
    fi
    count=$((count + 1))
  done <cases
  ((count >= 160))
}

@test "every case of the fixtures has a test" {
  diff <(cd "$CASES" && printf '%s\n' */ | tr -d /) <(sed -nE 's/.* case_holds ([0-9a-z-]+); \}$/\1/p' "$BATS_TEST_FILENAME")
}

@test "every value comes with its source" {
  printf 'CONDOR_CONFIG=condor_config\n_CONDOR_B=2\n' >./env
  mkdir config.d
  printf '\n\nC = 3\n' >config.d/one
  answers $'A = 1\nLOCAL_CONFIG_DIR = config.d\nuse security:strong\nUID_DOMAIN =' \
    A B C SEC_DEFAULT_INTEGRITY COLLECTOR_PORT UID_DOMAIN NOBODY
  [[ $(jq -r .source answers | paste -sd ' ') == 'condor_config:1 environment config.d/one:3 condor_config:3 default detected default' ]]
  [[ $(value B) == 2 && $(value COLLECTOR_PORT) == 9618 && $(value NOBODY) == null ]]
}

@test "no names at all are all that the command uses" {
  answers '' ''
  config_answers >answers
  [[ $(wc -l <answers) -ge 100 ]]
  [[ $(jq -r .name answers | head -n 2 | paste -sd ' ') == 'CONDOR_HOST COLLECTOR_HOST' ]]
}

@test "every setting that the program reads is shown by -config" {
  local read
  config_answers >answers
  jq -r .name answers | sort >shown
  # Read as facts of the machine, not as settings; the other two are the ends of names.
  read=$(grep -oE '(configuration(\(\))?|macros)\.(text|flag|find|set|wish|isMentioned|securityWish|value)\("[A-Z_]+"' "$TESTS_DIR/../TokenRequest.java" |
    sed 's/.*"\(.*\)"/\1/' | sort -u | grep -vxE 'AUTHENTICATION_METHODS|CRYPTO_METHODS|COUNT_HYPERTHREAD_CPUS|FULL_HOSTNAME')
  (($(wc -l <<<"$read") > 30))
  diff <(comm -23 - shown <<<"$read") /dev/null
}

@test "a machine without any configuration is no error" {
  : >./env
  [[ ! -e /etc/condor/condor_config && ! -e /usr/local/etc/condor_config ]] || skip "this machine has a configuration"
  config_answers COLLECTOR_HOST SEC_TOKEN_SYSTEM_DIRECTORY >answers 2>complaints
  [[ $(value COLLECTOR_HOST) == null && ! -s complaints ]]
  [[ $(value SEC_TOKEN_SYSTEM_DIRECTORY) == /etc/condor/tokens.d || -n $(getent passwd condor) ]]
}

@test "parameters that refer to each other in a circle end in an error that shows the circle" {
  answers $'COLLECTOR_HOST = $(B)\nB = x$(COLLECTOR_HOST)' COLLECTOR_PORT
  ((status == 2))
  diff - complaints <<'EOF'
ERROR: the configuration of COLLECTOR_HOST refers to itself:
  COLLECTOR_HOST = $(B)  (condor_config:1)
  B = x$(COLLECTOR_HOST)  (condor_config:2)
EOF
  answers $'A = $INT(B)\nB = $(A)' A
  ((status == 2))
}

@test "a circle that the command does not use is no matter" {
  answers $'A = $(B)\nB = $(A)\nC = 1' C
  ((status == 0))
  [[ $(value C) == 1 ]]
}

@test "a default that leads back to a blank parameter is no circle" {
  answers $'COLLECTOR_HOST = $(A:$(B))\nB = $(A:z)' COLLECTOR_HOST
  [[ $(value COLLECTOR_HOST) == z ]]
}

@test "root runs no command for files that others can write" {
  answers 'include command : echo A = 1' A
  [[ $(value A) == 1 ]]
  chmod a+w condor_config
  config_answers -as-root A >answers 2>complaints || status=$?
  ((status == 2))
  [[ ! -s answers ]]
  grep -qx 'ERROR: root does not run echo A = 1 for the configuration in condor_config\.' complaints
  # Another user's file is refused for its owner first.
  ((EUID != 0)) || grep -q '/condor_config can be changed by everybody (mode 0666)\.$' complaints
}

@test "root does not read the settings of a user's home" {
  mkdir -p home/.condor
  echo 'A = user' >home/.condor/user_config
  answers 'A = file' A
  [[ $(value A) == user ]]
  answers 'A = file' -as-root A
  [[ $(value A) == file ]]
}

@test "a format with # keeps the point" {
  # shellcheck disable=SC2016 # HTCondor's reference
  answers $'N = 1\nX = $REAL(N,%#.0e)' X
  [[ $(value X) == 1.e+00 ]]
}

@test "a command that writes without an end is ended" {
  answers 'include command : echo A = 1' A
  [[ $(value A) == 1 ]]
  answers 'include command : yes #' A
  ((status == 2))
  grep -q 'it wrote more than 4194304 bytes' complaints
}

@test "what a command writes can be kept in a file" {
  answers 'include command into kept : echo A = 1' A
  [[ $(value A) == 1 && $(<kept) == 'A = 1' ]]
  echo 'A = 2' >kept
  answers 'include command into kept : echo A = 1' A
  [[ $(value A) == 2 ]]
  rm kept
  answers 'include command into kept : false' A
  ((status == 2))
  [[ ! -e kept ]]
}

@test "a trigger stands for the template that it names" {
  answers $'AUTO_USE_SECURITY_Strong = $(ON)\nON = yes' SEC_DEFAULT_ENCRYPTION
  [[ $(value SEC_DEFAULT_ENCRYPTION) == required ]]
}

@test "a bad argument of a function expands to nothing, with a warning" {
  answers "QUERY_TIMEOUT = [\$INT(abc)]" QUERY_TIMEOUT
  ((status == 0))
  [[ $(value QUERY_TIMEOUT) == '[]' ]]
  grep -qx 'Configuration warning: abc does not evaluate to an integer!' complaints
}

@test "a value that has to be changed has to be changed" {
  answers 'CONDOR_HOST = YOU_MUST_CHANGE_THIS_INVALID_CONDOR_CONFIGURATION_VALUE' CONDOR_HOST
  ((status == 2))
}

# ---- -config ----

@test "-config shows a value and where it comes from" {
  printf '%s\n' 'UID_DOMAIN = own.test' "TRUST_DOMAIN = \$(UID_DOMAIN)" 'DEFAULT_DEBUG =' >condor_config
  export CONDOR_CONFIG=$PWD/condor_config _CONDOR_TOOL_DEBUG=D_SECURITY
  request -config UID_DOMAIN -config trust_domain -config TOOL_DEBUG -config COLLECTOR_PORT -config DEFAULT_DEBUG -config NOT_THERE
  assert_golden configuration/config
}

@test "-config with -json shows a line of JSON for each" {
  printf 'UID_DOMAIN = own.test\n' >condor_config
  export CONDOR_CONFIG=$PWD/condor_config
  request -json -config UID_DOMAIN -config DEFAULT_DEBUG -config SUBSYSTEM
  [[ $status == 1 ]]
  diff - "$BATS_TEST_TMPDIR/stderr" <<<'Not defined: DEFAULT_DEBUG'
  diff <(jq -r '[.event, .name, .value // "null", .source] | join(" ")' "$BATS_TEST_TMPDIR/stdout") - <<EOF
config UID_DOMAIN own.test $PWD/condor_config:1
config DEFAULT_DEBUG null default
config SUBSYSTEM TOOL detected
EOF
  request -config -json # the option after it is not its value
  assert_status 0
  [[ $(head -c 1 "$BATS_TEST_TMPDIR/stdout") == "{" ]]
}

@test "-config with a name that is not defined says so after the others, and fails" {
  request -config NOT_THERE -config COLLECTOR_PORT -config NOR_THIS
  assert_golden configuration/not-defined
  [[ $status == 1 ]]
  request -config COLLECTOR_PORT
  [[ $status == 0 && ! -s $BATS_TEST_TMPDIR/stderr ]]
}

@test "-config UID_DOMAIN says what a request uses if nobody has set it" {
  request -config uid_domain
  [[ $status == 0 ]]
  grep -q '^uid_domain = .' "$BATS_TEST_TMPDIR/stdout"
  diff - "$BATS_TEST_TMPDIR/stderr" \
    <<<"UID_DOMAIN is not set here: a request without -identity uses the pool's trust domain."
  _CONDOR_UID_DOMAIN=own.test request -config UID_DOMAIN
  [[ $status == 0 && ! -s $BATS_TEST_TMPDIR/stderr ]]
}

@test "-config alone shows all that the command uses" {
  request -config
  [[ $status == 0 ]]
  (($(grep -c ' = ' "$BATS_TEST_TMPDIR/stdout") > 90))
  grep -qx 'COLLECTOR_PORT = 9618' "$BATS_TEST_TMPDIR/stdout"
}

@test "a configuration that is rejected says where, and nothing is asked" {
  printf 'UID_DOMAIN = own.test\nfoo bar\n' >condor_config
  export CONDOR_CONFIG=$PWD/condor_config
  request -config UID_DOMAIN
  assert_golden configuration/rejected
  request -pool 127.0.0.1:1
  [[ $status == 2 ]]
}
