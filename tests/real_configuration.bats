#!/usr/bin/env bats
# The pools' own configuration, as HTCondor's condor_config_val and we read it. Both read the same copy of the files,
# outside of the pool's root, so that ours needs no root of its own.
load real

# copy_of_configuration: copies the files of the pool taken to where both sides see them: its root shares /tmp with us
copy_of_configuration() {
  copy=$(mktemp -d /tmp/token-request-configuration.XXXXXX)
  chmod 755 "$copy"
  cp -RL "$POOL_ROOT/etc/condor/condor_config" "$POOL_ROOT/etc/condor/config.d" "$copy"
  mkdir "$copy/share.d"
  [[ ! -d $POOL_ROOT/usr/share/condor/config.d ]] || cp -RL "$POOL_ROOT/usr/share/condor/config.d/." "$copy/share.d"
  sed -i "s|^LOCAL_CONFIG_DIR = .*|LOCAL_CONFIG_DIR = $copy/share.d,$copy/config.d|" "$copy/condor_config"
  grep -q "^LOCAL_CONFIG_DIR = $copy/" "$copy/condor_config"
}

teardown() {
  [[ ! -d ${copy-} ]] || rm -r "$copy"
}

# ours VARIABLE=VALUE... -- [NAME...]: a line NAME = VALUE for each; "Not defined" where there is none
ours() {
  local variables=() options names
  while [[ $1 != -- ]]; do
    variables+=("$1")
    shift
  done
  read -ra options <<<"$TOKEN_REQUEST_JAVA_OPTIONS"
  mapfile -t names < <(printf -- '-config\n'; shift; (($# == 0)) || printf '%s\n-config\n' "$@" | sed '$d')
  env -i PATH="$PATH" "${variables[@]}" "$(type -P java)" "${options[@]}" -cp "$TOKEN_REQUEST_CLASSPATH" \
    tokenrequest.TokenRequest -json "${names[@]}" | jq -r '.name + " = " + (.value // "Not defined")'
}

# theirs VARIABLE=VALUE... -- NAME...: the same from condor_config_val in the pool
theirs() {
  local variables=()
  while [[ $1 != -- ]]; do
    variables+=("$1")
    shift
  done
  # shellcheck disable=SC2016 # for the shell in there
  pool exec env "${variables[@]}" sh -c 'for name; do
    value=$(condor_config_val -subsystem TOOL "$name" 2>/dev/null) || value="Not defined"
    printf "%s = %s\n" "$name" "$value"
  done' sh "${@:2}"
}

# booleans: a filter that makes them alike. HTCondor forgets a value that is the built-in one, and how it was written.
booleans() { sed -E 's/ = (true|false)$/ = \L\1/I'; }

# agree VARIABLE=VALUE...: on every parameter that the command uses, and on some that those refer to
agree() {
  local names
  mapfile -t names < <(ours "$@" -- | sed 's/ = .*//')
  ((${#names[@]} >= 100))
  names+=(ETC LOG SPOOL RUN LOCK LIBEXEC HOSTNAME FULL_HOSTNAME SUBSYSTEM LOCALNAME ARCH OPSYS CONFIG_ROOT FILESYSTEM_DOMAIN
    SECURITY_MODEL ALLOW_ADMINISTRATOR ALLOW_DAEMON ALLOW_READ SEC_READ_AUTHENTICATION SEC_READ_ENCRYPTION DAEMON_LIST)
  diff <(theirs "$@" -- "${names[@]}" | booleans) <(ours "$@" -- "${names[@]}" | booleans)
}

own_configuration() {
  on "$1"
  copy_of_configuration
  agree CONDOR_CONFIG="$copy/condor_config"
}

@test "stable: we read the pool's configuration as condor_config_val does" { own_configuration stable; }
@test "testing: we read the pool's configuration as condor_config_val does" { own_configuration testing; }

overruled_configuration() {
  on "$1"
  copy_of_configuration
  # shellcheck disable=SC2016 # for HTCondor
  printf '%s\n' 'use security:get_htcondor_idtokens' 'if version >= 23.0' '  QUERY_TIMEOUT = 2 * $INT(COLLECTOR_PORT)' 'endif' \
    'TOOL.SEC_TCP_SESSION_TIMEOUT = $(QUERY_TIMEOUT)' 'include ifexist : /nothing' 'SCHEDD_NAME = $Fn(LOG)@$(HOSTNAME)' \
    >"$copy/config.d/99-more"
  # shellcheck disable=SC2016 # for HTCondor
  agree CONDOR_CONFIG="$copy/condor_config" _condor_Uid_Domain=env.test '_CONDOR_TRUST_DOMAIN=$(TRUST_DOMAIN).$(UID_DOMAIN)' \
    _CONDOR_COLLECTOR_HOST= '_CONDOR_TOOL_DEBUG=$(NOTHING:D_FULLDEBUG) D_SECURITY'
}

# The older release has that template, but with other text.
@test "testing: we read further settings as condor_config_val does" { overruled_configuration testing; }

only_the_environment() {
  on "$1"
  agree CONDOR_CONFIG=ONLY_ENV _CONDOR_CONDOR_HOST=cm.test _CONDOR_LOCAL_DIR=/nothing _CONDOR_NETWORK_HOSTNAME=here.test
}

@test "stable: we read the environment alone as condor_config_val does" { only_the_environment stable; }
@test "testing: we read the environment alone as condor_config_val does" { only_the_environment testing; }

# every_template RELEASE NUMBER: condor_config_val in the pool answers what the fixtures of configuration.bats record for
# that release's number, for every template, with and without arguments
every_template() {
  on "$1"
  local line config names values differences=0
  copy=$(mktemp -d /tmp/token-request-configuration.XXXXXX)
  chmod 755 "$copy"
  while IFS= read -r line; do
    line=$(jq -c --arg number "$2" '{config, answer: (.[$number] // ."25.14.1")}' <<<"$line")
    config=$(jq -r .config <<<"$line")
    printf 'LOCAL_DIR=/var/lib/condor\n%s\nEND_OF_VALUE=@@@\n' "$config" >"$copy/condor_config"
    mapfile -t names < <(jq -r '.answer.values // {} | keys[] | ., "END_OF_VALUE"' <<<"$line")
    values=$(pool exec env CONDOR_CONFIG="$copy/condor_config" condor_config_val -subsystem TOOL "${names[@]}" END_OF_VALUE \
      2>/dev/null) || values=
    if ! diff <(jq -r 'if .answer.values then (.answer.values[], "") + "@@@" | ltrimstr("\n") else "" end' <<<"$line" \
      | sed '/^@@@$/d; s/@@@$//') <(sed '/^@@@$/d' <<<"$values") -iB >"$copy/difference"; then
      printf 'differs: %s\n' "$config" && cat "$copy/difference"
      differences=$((differences + 1))
    fi
  done <"$BATS_TEST_DIRNAME/fixtures/config/templates.jsonl"
  ((differences == 0))
}

@test "stable: every template has the recorded values" { every_template stable 23.9.6; }
@test "testing: every template has the recorded values" { every_template testing 25.14.1; }
