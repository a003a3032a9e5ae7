#!/usr/bin/env bash
#
# A pool of two hosts on a network of their own, which knows IPv6 only, from the chroot that pool.sh builds:
#
#   client   2001:db8::3   where the tests run commands: this machine's files, but for /etc/hosts
#   cm       2001:db8::1   collector, negotiator and schedd, all behind the shared port 9618
#   node     2001:db8::2   startd, behind a firewall that lets nobody in; its broker (CCB) is the collector
#
# The client and cm share a directory under one path, as a file server does for its clients: NETWORK_SHARED.
#
# Each host is a network namespace. All processes live in one PID namespace and all mounts in one mount namespace, so
# nothing of it can outlive its first process. stdout is for machines, narration goes to stderr.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
SELF=$HERE/$(basename "${BASH_SOURCE[0]}")
NAMES=('2001:db8::1 cm.net.test' '2001:db8::2 node.net.test' '2001:db8::3 client.net.test')

# Longest wait for the pool to be complete, seconds. It takes about ten on an idle machine.
READY_WITHIN=120

# shellcheck source=tests/prerequisites.sh
source "$HERE/../prerequisites.sh"
# shellcheck source=tests/pool/settings.bash
source "$HERE/settings.bash"

# In the chroots and for the client; the pools' own folder may be closed to the users in there.
SHARED=/mnt

usage() {
  cat <<'TEXT'
usage: network.sh COMMAND RELEASE [ARGUMENT...]      RELEASE is stable or testing

  can                             exit 0 if this machine can host such a pool; else say why, exit 1
  up RELEASE                      start, wait until it is complete, print shell assignments
  exec RELEASE HOST COMMAND...    run a command as root on the host cm or node (_CONDOR_* and CONDOR_CONFIG pass through)
  client RELEASE COMMAND...       run a command on the client
  down RELEASE                    stop
TEXT
}

say() { printf 'network.sh %s: %s\n' "${RELEASE-}" "$*" >&2; }

die() {
  say "$*"
  exit 1
}

select_release() {
  RELEASE=${1:?which release}
  DIR=${TOKEN_REQUEST_CACHE:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/token-request}/pools/$RELEASE
  ROOT=$DIR/root
  STATE=$DIR/network
}

# ---- Inside: this machine's mounts and processes are out of sight ----

# run_inside: the first process. Its network is the client's, where the cables of the others end, too.
run_inside() {
  local name pid
  mkdir -p "$STATE"
  mount -t tmpfs tmpfs "$STATE"
  install -d -m 1777 "$STATE/shared"
  mount --bind "$STATE/shared" "$SHARED"
  mount -t proc proc /proc
  printf '%s\n' '127.0.0.1 localhost' '::1 localhost' "${NAMES[@]}" >"$STATE/hosts"
  cp "$STATE/hosts" "$STATE/hosts.client"
  mount --bind "$STATE/hosts.client" /etc/hosts
  ip link set lo up
  ip link add switch type bridge
  ip link set switch up
  ip address add 2001:db8::3/64 dev switch nodad
  for name in cm node; do
    # What the host needs before it can run is done from out here.
    unshare --net --uts -- sleep infinity &
    pid=$!
    until [[ $(readlink "/proc/$pid/ns/net") != "$(readlink /proc/self/ns/net)" ]]; do sleep 0.01; done
    echo "$pid" >"$STATE/$name.pid"
    plug_in "$name" "$pid"
    make_tree "$name"
  done
  settings_of_cm >"$STATE/cm/root/etc/condor/config.d/70-network"
  settings_of_node >"$STATE/node/root/etc/condor/config.d/70-network"
  close_firewall "$(<"$STATE/node.pid")"
  start_master cm
  until [[ -s $STATE/cm/root/etc/condor/hostcert.pem ]]; do sleep 0.1; done
  certify_node
  start_master node
  wait
}

# plug_in NAME PID: a cable from the host to the switch
plug_in() {
  local number=1
  [[ $1 == cm ]] || number=2
  ip link add "to-$1" type veth peer name eth0 netns "$2"
  ip link set "to-$1" master switch up
  nsenter --target "$2" --net --uts -- sh -c "hostname $1.net.test && ip link set lo up && ip link set eth0 up &&
    ip address add 2001:db8::$number/64 dev eth0 nodad"
}

# make_tree NAME: the chroot with files of the host's own on top
make_tree() {
  local own=$STATE/$1
  mkdir -p "$own"/{upper,work,root}
  mount -t overlay overlay -o "lowerdir=$ROOT,upperdir=$own/upper,workdir=$own/work" "$own/root"
  rm -rf "$own"/root/var/{log,spool,run,lock}/condor/{*,.[a-z]*}
  rm -f "$own"/root/etc/condor/config.d/{50-machine,99-caller} \
    "$own"/root/etc/condor/{hostcert,hostkey,trust_domain_ca,trust_domain_ca_privkey}.pem
  cp "$STATE/hosts" "$own/root/etc/hosts"
  install -m 644 "$HERE/pool.conf" "$own/root/etc/condor/config.d/60-pool"
  mount -t proc proc "$own/root/proc"
  mount --rbind /dev "$own/root/dev"
  mount --bind "$STATE/shared" "$own/root$SHARED"
}

settings_of_both() {
  cat <<TEXT
POOL_TEST_HOST = cm.net.test
POOL_TEST_PORT = 9618
NETWORK_HOSTNAME = $1.net.test
NETWORK_INTERFACE = 2001:db8::*
ENABLE_IPV4 = False
ENABLE_IPV6 = True
# Daemons of two hosts know each other by the pool's password. (Of several methods the server takes the first of its own.)
SEC_CLIENT_AUTHENTICATION_METHODS = PASSWORD
TEXT
}

settings_of_cm() {
  settings_of_both cm
  echo 'DAEMON_LIST = MASTER SHARED_PORT COLLECTOR NEGOTIATOR SCHEDD'
  echo 'SEC_DEFAULT_AUTHENTICATION_METHODS = FS, SSL, IDTOKENS, CLAIMTOBE, ANONYMOUS, PASSWORD, FS_REMOTE'
  echo "FS_REMOTE_DIR = $SHARED"
}

settings_of_node() {
  settings_of_both node
  echo 'DAEMON_LIST = MASTER SHARED_PORT STARTD'
  # shellcheck disable=SC2016 # for HTCondor
  echo 'CCB_ADDRESS = $(COLLECTOR_HOST)'
}

# close_firewall PID: nobody comes in but answers to what went out
close_firewall() {
  nsenter --target "$1" --net -- nft -f - <<'TEXT'
table inet firewall {
  chain input {
    type filter hook input priority 0; policy drop;
    iif lo accept
    ct state established,related accept
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
  }
}
TEXT
}

# certify_node: a certificate from the pool's own CA, which the collector has made
certify_node() {
  local cm=$STATE/cm/root/etc/condor node=$STATE/node/root/etc/condor
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=node.net.test -keyout "$node/hostkey.pem" |
    openssl x509 -req -days 2 -CA "$cm/trust_domain_ca.pem" -CAkey "$cm/trust_domain_ca_privkey.pem" -CAcreateserial \
      -extfile <(echo subjectAltName=DNS:node.net.test) -out "$node/hostcert.pem"
  cp "$cm/trust_domain_ca.pem" "$node/"
}

start_master() {
  nsenter --target "$(<"$STATE/$1.pid")" --net --uts -- chroot "$STATE/$1/root" /usr/bin/env -i "${CLEAN_ENV[@]}" \
    condor_master -f &
}
CLEAN_ENV=(PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 LANG=C.UTF-8)

# on_host HOST COMMAND...: in the first process's mount and PID namespaces, and in the host's network
on_host() {
  local host=$1
  shift
  nsenter --net="/proc/$(<"$STATE/$host.pid")/ns/net" --uts="/proc/$(<"$STATE/$host.pid")/ns/uts" -- \
    chroot "$STATE/$host/root" /usr/bin/env -i "${CLEAN_ENV[@]}" "$@"
}

# ---- Outside ----

is_running() { [[ -s $DIR/network.pid ]] && kill -0 "$(<"$DIR/network.pid")" 2>/dev/null; }

inside() { nsenter --target "$(<"$DIR/network.pid")" --mount --pid --net --wd="$PWD" -- "$@"; }

# knows TYPE...: the collector has heard of daemons of these types
knows() {
  local type types
  types=$(inside bash "$SELF" on-host "$RELEASE" cm condor_status -any -af MyType) || return
  for type; do [[ $types == *"$type"* ]] || return; done
}

# has_broker: the startd can be asked for through its broker
has_broker() {
  [[ $(inside bash "$SELF" on-host "$RELEASE" cm condor_status -af MyAddress) == *CCBID=* ]]
}

can() {
  "$HERE/pool.sh" can || exit
  require_commands ip nft openssl unshare nsenter
  unshare --net -- sh -c 'ip link add x type bridge && ip -6 address add 2001:db8::1/64 dev x nodad' 2>/dev/null ||
    die "no right to make a network of our own, or no IPv6"
}

up() {
  can
  [[ -d $ROOT/etc/condor ]] || die "the chroot is not built: pool.sh up $RELEASE"
  down
  say "starting"
  local fd first deadline=$((SECONDS + READY_WITHIN))
  (
    for fd in /proc/self/fd/*; do
      fd=${fd##*/}
      ((fd <= 2)) || exec {fd}>&-
    done
    exec setsid unshare --net --mount --pid --fork --kill-child --propagation private -- \
      bash "$SELF" run-inside "$RELEASE" </dev/null >"$DIR/network.log" 2>&1
  ) &
  until first=$(<"/proc/$!/task/$!/children") && [[ -n $first ]]; do
    if ((SECONDS >= deadline)) || ! kill -0 $! 2>/dev/null; then die "the first process does not start; see $DIR/network.log"; fi
    sleep 0.05
  done
  echo "${first% }" >"$DIR/network.pid"
  until knows DaemonMaster Negotiator Scheduler Machine 2>/dev/null && has_broker; do
    is_running || die "it has died; see $DIR/network.log"
    ((SECONDS < deadline)) || die "not complete within $READY_WITHIN s; see $DIR/network.log"
    sleep 0.2
  done
  inside cat "$STATE/cm/root/etc/condor/trust_domain_ca.pem" >"$DIR/network.ca"
  echo "NETWORK_CA=${DIR@Q}/network.ca"
  echo "NETWORK_SHARED=$SHARED"
}

down() {
  ! is_running || {
    say "stopping"
    kill -KILL "$(<"$DIR/network.pid")"
    while is_running; do sleep 0.05; done
  }
  rm -f "$DIR/network.pid"
}

main() {
  local command=${1-}
  case $command in
    can) can; return ;;
    '' | help | -h | --help) usage; return ;;
  esac
  select_release "${2-}"
  shift 2
  case $command in
    up) up ;;
    down) down ;;
    exec)
      is_running || die "not up"
      caller_settings
      inside bash "$SELF" on-host "$RELEASE" "$1" env "${SETTINGS[@]}" "${@:2}"
      ;;
    client)
      is_running || die "not up"
      inside "$@"
      ;;
    run-inside) run_inside ;;
    on-host) on_host "$@" ;;
    *)
      usage >&2
      exit 2
      ;;
  esac
}

main "$@"
exit
