#!/usr/bin/env bats
# Where real pools and their daemons are found: by type and name, by the configuration of their own machine, by the files
# that they leave there.
load real_events

setup_file() { every_pool auto-approve off; }

teardown() {
  end_client
  let_go
  [[ ! -d ${copy-} ]] || rm -r "$copy"
}

# brings_token ARGUMENT...: the request is approved by the command that the administrator is told, and is then a token
brings_token() {
  start -json "${PENDING[@]}" "$@"
  await_told enqueued
  approve_as_told
  await_end
  assert_status 0
  keep_token token
  assert_pending_claims token
}

# from TYPE ARGUMENT...: the same, and it comes from such a daemon
from() {
  brings_token "${@:2}"
  [[ $(told enqueued .daemon.type) == "$1" ]]
  [[ $1 == collector || $(told enqueued .address) == *"sock=$1"* ]] # the name of its endpoint behind the shared port
}

# ---- By type and name ----

collector() {
  at "$1"
  from collector -pool "$HERE"
  from collector -pool "$HERE" -type collector
  from collector -name "$HERE"
  from collector -type COLLECTOR -name "$HERE"
  export _CONDOR_COLLECTOR_HOST=$HERE
  from collector -type collector
  from collector -type view_collector # the pool has no other
}

@test "stable: a token comes from the collector, however it is named" { collector stable; }
@test "testing: a token comes from the collector, however it is named" { collector testing; }

# every_way RELEASE TYPE
every_way() {
  local address
  at "$1"
  # As far as this machine knows, it is the daemons' machine.
  export _CONDOR_NETWORK_HOSTNAME=$POOL_HOST
  from "$2" -pool "$HERE" -type "$2"
  from "$2" -pool "$HERE" -type "$2" -name "$POOL_HOST"
  address=$(told enqueued .address)
  export _CONDOR_COLLECTOR_HOST=$HERE
  from "$2" -type "$2"
  from "$2" -type "${2^^}" -name "$POOL_HOST"
  unset _CONDOR_COLLECTOR_HOST
  from "$2" -type "$2" -name "$address"
  brings_token -type any -name "$address"
  [[ $(told enqueued '[.daemon.type, .address]') == "[\"any\",\"$address\"]" ]]
}

@test "stable: a token comes from the schedd, however it is named" { every_way stable schedd; }
@test "testing: a token comes from the schedd, however it is named" { every_way testing schedd; }
@test "stable: a token comes from the startd, however it is named" { every_way stable startd; }
@test "testing: a token comes from the startd, however it is named" { every_way testing startd; }
@test "stable: a token comes from the master, however it is named" { every_way stable master; }
@test "testing: a token comes from the master, however it is named" { every_way testing master; }

# ---- On the pool's own machine ----

# own_configuration: the client reads the pool's own configuration, and nothing else. What that says of files is true in
# the pool's chroot, so its folders are named as they are seen from here.
own_configuration() {
  copy=$(mktemp -d /tmp/token-request-configuration.XXXXXX)
  cp -RL "$POOL_ROOT/etc/condor/condor_config" "$POOL_ROOT/etc/condor/config.d" "$copy"
  sed -i "s|^LOCAL_CONFIG_DIR = .*|LOCAL_CONFIG_DIR = $copy/config.d|" "$copy/condor_config"
  cat >"$copy/config.d/99-from-here" <<TEXT
ETC = $POOL_ROOT/etc/condor
LOG = $POOL_ROOT/var/log/condor
SPOOL = $POOL_ROOT/var/spool/condor
SEC_TOKEN_DIRECTORY = $HOME/made/tokens.d
TEXT
  unset "${!_CONDOR_@}"
  export CONDOR_CONFIG=$copy/condor_config
}

no_options() {
  local first
  on "$1"
  own_configuration
  brings_token
  # FS comes first, but HTCondor 23's is refused by default.
  case $RELEASE in stable) first=SSL ;; testing) first=FS ;; esac
  [[ $(told enqueued '[.pool, .method]') == "[\"$HERE\",\"$first\"]" ]]
  # The same over SSL: the configuration names the CA, and has the name that is in the certificate.
  authenticate_by SSL
  brings_token
  [[ $(told enqueued '[.method, .session]') == '["SSL","bound"]' ]]
  # The identity is completed, and the pool's signing key is at hand.
  start -json -identity alice -authz READ -lifetime 600
  await_told enqueued
  approve_as_told
  await_end
  [[ $(told issued '[.claims.sub, .signature, .warnings]') == '["alice@pool.test","verified",[]]' ]]
}

@test "stable: with the pool's own configuration no option is needed" { no_options stable; }
@test "testing: with the pool's own configuration no option is needed" { no_options testing; }

by_address_file() {
  local type file name
  on "$1"
  own_configuration
  authenticate_by SSL
  # Nobody is there to be asked for a daemon's address.
  export _CONDOR_COLLECTOR_HOST=$POOL_HOST:1
  for type in schedd startd master; do
    file=$POOL_ROOT/var/log/condor/.${type}_address
    [[ $type != schedd ]] || file=$POOL_ROOT/var/spool/condor/.schedd_address
    [[ ! -e $file.super ]] || file+=.super # where root is let in before others
    for name in '' "$POOL_HOST"; do
      brings_token -type "$type" ${name:+-name "$name"}
      [[ $(told enqueued '[.daemon.type, .address] | join(" ")') == "$type $(head -n 1 "$file")" ]]
    done
  done
  # Nor is there a file any more.
  export _CONDOR_SCHEDD_ADDRESS_FILE=/none _CONDOR_SCHEDD_SUPER_ADDRESS_FILE=/none _CONDOR_SCHEDD_DAEMON_AD_FILE=/none
  request -type schedd
  assert_status 3
  grep -F "annot connect to 127.0.0.1 port 1" "$BATS_TEST_TMPDIR/stderr"
  # The address of a collector whose port is not known beforehand is in a file, too.
  export _CONDOR_COLLECTOR_HOST=$POOL_HOST:0
  brings_token
  [[ $(told enqueued .address) == "$(head -n 1 "$POOL_ROOT/var/log/condor/.collector_address.super")" ]]
}

@test "stable: this machine's daemons are found by their address files, without a collector" { by_address_file stable; }
@test "testing: this machine's daemons are found by their address files, without a collector" { by_address_file testing; }

list() {
  at "$1"
  export _CONDOR_COLLECTOR_HOST="$POOL_HOST:1, nowhere.invalid, $HERE"
  from collector
  grep -Fx 'Skipped: unknown host nowhere.invalid' "$BATS_TEST_TMPDIR/stderr"
  grep -E '^Skipped <127\.0\.0\.1:1\?alias=[^>]+>: Cannot connect to ' "$BATS_TEST_TMPDIR/stderr"
  from schedd -type schedd -name "$POOL_HOST"
  grep -E '^Skipped <127\.0\.0\.1:1\?alias=[^>]+>: ' "$BATS_TEST_TMPDIR/stderr"
}

@test "stable: of several collectors the first usable one gets the request, and the message names the skipped ones" { list stable; }
@test "testing: of several collectors the first usable one gets the request, and the message names the skipped ones" { list testing; }

# ---- As sites have it ----

# A name with a dot is none for the shell, so sites set it with env. The line is theirs but for the host.
documented_by_a_site() {
  local order
  at "$1"
  unset _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS
  order=(-pool "$HERE" -type collector -identity "SCHEDD_$POOL_HOST@$POOL_HOST" -authz ADVERTISE_MASTER -authz ADVERTISE_SCHEDD
    -authz NEGOTIATOR -authz DAEMON -authz READ -token "SCHEDD_$POOL_HOST@$POOL_HOST")
  settings=(_CONDOR_TOOL.SEC_CLIENT_AUTHENTICATION_METHODS=SSL)
  request_and_approve "${order[@]}"
  assert_status 0
  [[ ! -s $BATS_TEST_TMPDIR/stdout ]]
  assert_is_token "$_CONDOR_SEC_TOKEN_DIRECTORY/SCHEDD_$POOL_HOST@$POOL_HOST"
  assert_claims "$_CONDOR_SEC_TOKEN_DIRECTORY/SCHEDD_$POOL_HOST@$POOL_HOST" ".sub == \"SCHEDD_$POOL_HOST@$POOL_HOST\"
    and .scope == \"condor:/ADVERTISE_MASTER condor:/ADVERTISE_SCHEDD condor:/NEGOTIATOR condor:/DAEMON condor:/READ\""
}

@test "stable: the command line that sites document works unchanged" { documented_by_a_site stable; }
@test "testing: the command line that sites document works unchanged" { documented_by_a_site testing; }
