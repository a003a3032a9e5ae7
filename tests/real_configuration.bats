#!/usr/bin/env bats
# The pools' own configuration, as HTCondor's condor_config_val and we read it. Both read the same copy of the files,
# outside of the pool's root, so that ours needs no root of its own.
load real
load namespace

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
  close_network
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

# agree RELEASE VARIABLE=VALUE...: on every parameter that the command uses and the release's record does not have, and on some
# that those refer to
agree() {
  local names recorded=$BATS_TEST_DIRNAME/fixtures/names/$1
  shift
  mapfile -t names < <(ours "$@" -- | sed 's/ = .*//' | grep -vxFf <(sed 's/ = .*//' "$recorded"))
  ((${#names[@]} >= 100))
  names+=(ETC LOG SPOOL RUN LOCK LIBEXEC HOSTNAME FULL_HOSTNAME SUBSYSTEM LOCALNAME ARCH OPSYS CONFIG_ROOT FILESYSTEM_DOMAIN
    SECURITY_MODEL ALLOW_ADMINISTRATOR ALLOW_DAEMON ALLOW_READ SEC_READ_AUTHENTICATION SEC_READ_ENCRYPTION DAEMON_LIST)
  diff <(theirs "$@" -- "${names[@]}" | booleans) <(ours "$@" -- "${names[@]}" | booleans)
}

own_configuration() {
  on "$1"
  copy_of_configuration
  agree "$1" CONDOR_CONFIG="$copy/condor_config"
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
  agree "$1" CONDOR_CONFIG="$copy/condor_config" _condor_Uid_Domain=env.test '_CONDOR_TRUST_DOMAIN=$(TRUST_DOMAIN).$(UID_DOMAIN)' \
    _CONDOR_COLLECTOR_HOST= '_CONDOR_TOOL_DEBUG=$(NOTHING:D_FULLDEBUG) D_SECURITY'
}

# The older release has that template, but with other text.
@test "testing: we read further settings as condor_config_val does" { overruled_configuration testing; }

only_the_environment() {
  on "$1"
  agree "$1" CONDOR_CONFIG=ONLY_ENV _CONDOR_CONDOR_HOST=cm.test _CONDOR_LOCAL_DIR=/nothing _CONDOR_NETWORK_HOSTNAME=here.test
}

@test "stable: we read the environment alone as condor_config_val does" { only_the_environment stable; }
@test "testing: we read the environment alone as condor_config_val does" { only_the_environment testing; }

# ---- Random configurations and detected values: tests/support/CompareConfigurations.java ----

# comparison WORD...: runs the program that makes configurations and compares answers
comparison() {
  local options
  read -ra options <<<"$TOKEN_REQUEST_JAVA_OPTIONS"
  "${network[@]}" java "${options[@]}" -cp "$TOKEN_REQUEST_CLASSPATH" tokenrequest.CompareConfigurations "$@"
}
network=()

# no_difference: between what condor_config_val and we read in the configurations in $copy
no_difference() {
  comparison script "$copy" >"$copy/oracle"
  "${network[@]}" env -u CONDOR_CONFIG "$TESTS_DIR/pool/pool.sh" exec "$RELEASE" sh "$copy/oracle"
  comparison compare "$copy"
}

# case_of VARIABLE=VALUE... -- NAME...: one more configuration, the environment alone, in $copy. The pool has a user condor.
case_of() {
  place=$copy/$((cases++))
  mkdir -p "$place"
  : >"$place/local-name"
  printf '%s\n' CONDOR_CONFIG=ONLY_ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin _CONDOR_MARK=@MARK@ _CONDOR_LOCAL_DIR=/var/lib/condor \
    _CONDOR_ETC=/etc/condor >"$place/environment"
  while [[ $1 != -- ]]; do
    printf '%s\n' "$1" >>"$place/environment"
    shift
  done
  printf '%s\n' "${@:2}" >"$place/names"
}

# empty_copy: a folder for them
empty_copy() {
  copy=$(mktemp -d /tmp/token-request-configuration.XXXXXX)
  chmod 755 "$copy"
  cases=0
}

# Another seed makes others: TOKEN_REQUEST_SEED=12345 tests/run.sh real_configuration -f random
random_configurations() {
  local seed=${TOKEN_REQUEST_SEED:-1}
  on "$1"
  empty_copy
  echo "seeds $seed to $((seed + 199))"
  comparison generate "$1" "$seed" 200 "$copy"
  no_difference
}

@test "stable: we read 200 random configurations as condor_config_val does" { random_configurations stable; }
@test "testing: we read 200 random configurations as condor_config_val does" { random_configurations testing; }

# What HTCondor itself defines, but for the system's name and user condor, which are the chroot's own, and what differs in
# each process or is random.
names_of_htcondor() {
  pool exec env CONDOR_CONFIG=ONLY_ENV condor_config_val -subsystem TOOL -dump | awk '$2 == "=" { print $1 }' |
    grep -vixE 'OPSYS.*|PID|PPID|UTSNAME_.*|MARK|TILDE|PERIODIC_CHECKPOINT'
}

# The older release has other values, or none, for some; those are recorded.
values_of_htcondor() {
  local names recorded=$BATS_TEST_DIRNAME/fixtures/names/$1
  on "$1"
  empty_copy
  mapfile -t names < <(names_of_htcondor | grep -vxFf <(sed 's/ = .*//' "$recorded"))
  echo "${#names[@]} names"
  ((${#names[@]} >= 1000))
  case_of -- "${names[@]}"
  no_difference
  mapfile -t names < <(sed 's/ = .*//' "$recorded")
  diff "$recorded" <(theirs CONDOR_CONFIG=ONLY_ENV _CONDOR_LOCAL_DIR=/var/lib/condor _CONDOR_ETC=/etc/condor -- "${names[@]}")
}

@test "stable: every name that HTCondor defines has its value, but those recorded" { values_of_htcondor stable; }
@test "testing: every name that HTCondor defines has its value" { values_of_htcondor testing; }

# network_with COMMANDS: a network for both sides, made by these commands; interface NAME ADDRESS... is one of them
network_with() {
  # shellcheck disable=SC2016 # for the shell in there
  network_of net -- '
    interface() {
      name=$1
      shift
      ip link add "$name" type veth peer name "$name-end"
      ip link set "$name" up
      ip link set "$name-end" up
      for address; do
        case $address in *:*) ip address add "$address" dev "$name" nodad ;; *) ip address add "$address" dev "$name" ;; esac
      done
    }
    eval "$2"' "$1"
}

# addresses_agree: with each way to name an interface, and with either family off
addresses_agree() {
  local interface names=(IP_ADDRESS IP_ADDRESS_IS_IPV6 IPV4_ADDRESS IPV6_ADDRESS HOSTNAME FULL_HOSTNAME NETWORK_INTERFACE)
  empty_copy
  case_of -- "${names[@]}"
  # The older release keeps the first IP_ADDRESS, too, where the second look finds another.
  [[ $RELEASE != stable ]] || names=("${names[@]:2}")
  for interface in '*' two 'two*' ONE 10.1.2.3 '10.*' '*.7' '192.0.2.*' 198.51.100.1 2001:db8::7 '2001:*' fd00::5 127.0.0.1 lo '::1' 'o*' \
    'one,two' 'two, one' 'nosuch' '1*2*' 172.16.0.5; do
    case_of "_CONDOR_NETWORK_INTERFACE=$interface" -- "${names[@]}"
    case_of "_CONDOR_NETWORK_INTERFACE=$interface" _CONDOR_ENABLE_IPV4=false _CONDOR_NETWORK_HOSTNAME=here.test -- "${names[@]}"
    case_of "_CONDOR_NETWORK_INTERFACE=$interface" _CONDOR_ENABLE_IPV6=false _CONDOR_NETWORK_HOSTNAME=here.test -- "${names[@]}"
  done
  for interface in '*' two 2001:db8::7 lo; do
    case_of "_CONDOR_NETWORK_INTERFACE=$interface" _CONDOR_NO_DNS=true _CONDOR_DEFAULT_DOMAIN_NAME=no.dns -- "${names[@]}"
  done
  no_difference
}

several_interfaces() {
  on "$1"
  network_with 'interface one 10.1.2.3/24 169.254.1.1/16; interface two 192.0.2.7/24 192.0.2.8/24 2001:db8::7/64
    interface three 172.16.0.5/16 fd00::5/64'
  addresses_agree
}

only_ipv6() {
  on "$1"
  network_with 'ip address del 127.0.0.1/8 dev lo; interface one fd00::5/64; interface two 2001:db8::7/64'
  addresses_agree
}

@test "stable: of several interfaces we take the addresses that HTCondor takes" { several_interfaces stable; }
@test "testing: of several interfaces we take the addresses that HTCondor takes" { several_interfaces testing; }
@test "stable: with IPv6 alone we take the addresses that HTCondor takes" { only_ipv6 stable; }
@test "testing: with IPv6 alone we take the addresses that HTCondor takes" { only_ipv6 testing; }
# templates NUMBER: every template, with and without arguments, as a configuration in $copy; its names are those for which
# the fixtures of configuration.bats record a value of that release
templates() {
  local config names
  empty_copy
  while IFS= read -r config && IFS= read -r names; do
    # shellcheck disable=SC2086 # words
    case_of -- $names
    printf '%b\n' "$config" >"$place/condor_config"
    sed -i "s|^CONDOR_CONFIG=.*|CONDOR_CONFIG=$place/condor_config|" "$place/environment"
  done < <(jq -r --arg number "$1" '(.config | @json | ltrimstr("\"") | rtrimstr("\"") | gsub("\\\\\""; "\"")),
    ((.[$number] // ."25.14.1").values // {} | keys | join(" "))' "$BATS_TEST_DIRNAME/fixtures/config/templates.jsonl")
  ((cases >= 250))
}

templates_agree() {
  on testing
  templates 25.14.1
  no_difference
}

# The older release's answers are recorded; where it refuses a template, none are.
templates_recorded() {
  local number=0 config
  on stable
  templates 23.9.6
  comparison script "$copy" >"$copy/oracle"
  env -u CONDOR_CONFIG "$TESTS_DIR/pool/pool.sh" exec stable sh "$copy/oracle"
  while IFS= read -r config; do
    jq -r '(."23.9.6" // ."25.14.1").values // {} | to_entries[] | .value, "@MARK@"' <<<"$config" >recorded
    [[ ! -s recorded ]] || diff -iw recorded "$copy/$number/stdout" || { jq -r .config <<<"$config" && return 1; }
    number=$((number + 1))
  done <"$BATS_TEST_DIRNAME/fixtures/config/templates.jsonl"
}

@test "stable: every template has the recorded values" { templates_recorded; }
@test "testing: we read every template as condor_config_val does" { templates_agree; }
