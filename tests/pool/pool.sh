#!/usr/bin/env bash
#
# Real HTCondor pools to test against, one for each of two releases, from Debian's own condor package.
# `pool.sh help` lists the commands. stdout is for machines, narration goes to stderr.
#
# A pool lives in a chroot below the cache folder. Its daemons run in a mount and a PID namespace of their own: the
# mounts they need (/proc, /dev, the machine's /tmp) exist only in there. So nothing can be left mounted below the
# cache, whatever is killed, and ending the first process of the namespace ends the whole pool.
#
#   CACHE/pools/RELEASE/root        the chroot, complete: it is built as root.new and renamed
#                      /lock        held by the one command that changes the pool
#                      /alive       held by the pool's first process for as long as any of the pool lives
#                      /pid         that process, as the machine numbers it
#                      /env         what `up` prints; exists when the pool is ready
#                      /settings    what `configure` was given last
#                      /build.log, /pool.log
#
# shellcheck disable=SC2317 # functions that are polled get called by name, which shellcheck takes for never
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
SELF=$HERE/$(basename "${BASH_SOURCE[0]}")
DOMAIN=pool.test
USER_NAME=alice

# Raise this number when `build` changes in a way that makes chroots already built unfit.
RECIPE=3

# Longest waits, seconds. A start takes about five on an idle machine.
READY_WITHIN=120
GONE_WITHIN=20

# shellcheck source=tests/pool/settings.bash
source "$HERE/settings.bash"

usage() {
  cat <<'EOF'
usage: pool.sh COMMAND [RELEASE [ARGUMENT...]]      RELEASE is stable or testing

  can                               exit 0 if this machine can host a pool; else say why, exit 1
  up RELEASE                        build and start as needed, wait until ready, print shell assignments
  env RELEASE                       print the same for a pool that is up; exit 1 if it is not
  exec RELEASE COMMAND...           run a command in the chroot as root (_CONDOR_* and CONDOR_CONFIG pass through)
  exec-as RELEASE USER COMMAND...   the same as an ordinary user (there is an alice)
  configure RELEASE [--restart]     take HTCondor settings from stdin (none: the pool's own), wait until in force
  restart-collector RELEASE         restart the collectors: sessions, requests and rules are forgotten
  list RELEASE [OPTION...]          pending requests as a JSON array, as administrator
  approve RELEASE ID [OPTION...]    approve request ID, as administrator
  wait-and-approve RELEASE PATTERN [OPTION...]
                                    wait for a request whose ClientId matches the shell pattern (or: any), approve it,
                                    print its ID
  auto-approve RELEASE on|off [OPTION...]
                                    approve what daemons ask for from this machine; off also forgets pending requests
  kerberos RELEASE                  start a KDC of the pool's own realm, with alice and the pool's host in it; print shell
                                    assignments. It ends with the pool
  munge RELEASE                     start munged with a new key, for the pool and this machine; print shell assignments. It
                                    ends with the pool
  token RELEASE IDENTITY [OPTION...]
                                    print a token made by condor_token_create
  ping RELEASE FILE [LEVEL]         log in with the token in FILE as an ordinary user; exit 0 if LEVEL (READ) is granted
  down RELEASE                      stop the pool
  clean RELEASE                     stop the pool and remove it from the cache

OPTIONs go to HTCondor's tool, e.g. -pool HOST:PORT for the collector on POOL_DIRECT_PORT.
Environment: TOKEN_REQUEST_CACHE (folder), TOKEN_REQUEST_POOL_STABLE_PORT, TOKEN_REQUEST_POOL_TESTING_PORT (the straight
collector takes the port after it, the KDC the next), TOKEN_REQUEST_POOL_MIRROR (Debian mirror, default: the one in apt's settings).
EOF
}

say() { printf 'pool.sh%s: %s\n' "${RELEASE:+ $RELEASE}" "$*" >&2; }

die() {
  say "$*"
  exit 1
}

die_usage() {
  printf 'pool.sh: %s\n' "$*" >&2
  exit 2
}

# ---- Releases ----

# select_release NAME: sets RELEASE and everything that follows from it
select_release() {
  RELEASE=${1-}
  case $RELEASE in
    # By code name: when Debian releases again, this pool is still the older HTCondor.
    stable) SUITE=trixie PORT=${TOKEN_REQUEST_POOL_STABLE_PORT:-19618} ;;
    testing) SUITE=testing PORT=${TOKEN_REQUEST_POOL_TESTING_PORT:-19625} ;;
    *) die_usage "RELEASE must be stable or testing, not '$RELEASE'" ;;
  esac
  DIRECT_PORT=$((PORT + 1))
  DIR=${TOKEN_REQUEST_CACHE:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/token-request}/pools/$RELEASE
  [[ $DIR == /* ]] || DIR=$PWD/$DIR
  ROOT=$DIR/root
}

# lock: one command at a time changes a pool. Held until this script ends, also by a build that outlives it.
lock() {
  mkdir -p "$DIR"
  exec {LOCK_FD}>"$DIR/lock"
  flock --nonblock "$LOCK_FD" && return
  say "waiting for another pool.sh"
  flock --timeout 1200 "$LOCK_FD" || die "another pool.sh has been holding $DIR/lock for 20 minutes"
}

# ---- This machine ----

# why_not: prints the reason why this machine cannot host a pool; nothing when it can
why_not() {
  local tool
  [[ $(uname -s) == Linux ]] || { echo "not Linux" && return; }
  ((EUID == 0)) || { echo "not root" && return; }
  for tool in apt-config apt-get awk chroot dpkg flock mount nsenter setsid unshare; do
    command -v "$tool" >/dev/null || { echo "no $tool" && return; }
  done
  [[ -n $(mirror) ]] || { echo "apt's settings name no Debian mirror (TOKEN_REQUEST_POOL_MIRROR can)" && return; }
  unshare --mount --pid --fork -- sh -c 'mount -t proc proc /proc && mount --rbind /tmp /tmp && chroot / true' \
    2>/dev/null || echo "no right to make namespaces, mount or chroot"
}

can() {
  local reason
  reason=$(why_not)
  [[ -z $reason ]] || die "no real pool on this machine: $reason"
}

# mirror: the address this machine itself gets Debian from. Other repositories in apt's settings (and Debian's security
# archive) have other release names or components.
mirror() (
  if [[ -n ${TOKEN_REQUEST_POOL_MIRROR-} ]]; then
    printf '%s\n' "$TOKEN_REQUEST_POOL_MIRROR"
    return
  fi
  # shellcheck disable=SC1091
  source /etc/os-release
  [[ ${ID-} == debian ]] || return 0
  # shellcheck disable=SC2016 # these are for apt to fill in
  apt-get indextargets --format '$(COMPONENT) $(RELEASE) $(REPO_URI)' 'Created-By: Packages' |
    awk -v own="${VERSION_CODENAME-}" '
      $1 != "main" || $3 !~ /^https?:/ { next }
      !found && ($2 == own || $2 ~ /^(stable|testing|unstable|sid)$/) { print $3; found = 1 }'
)

# host_name: the machine's name if it means loopback and nothing else here, so that clients reach the pool by it
host_name() {
  local name addresses
  name=$(uname -n)
  addresses=$(getent ahosts "$name" | awk '{ print $1 }' | sort -u) || true
  case $addresses in
    127.0.0.1 | ::1 | 127.0.0.1$'\n'::1) printf '%s\n' "$name" ;;
    *) echo localhost ;;
  esac
}

has_ipv6() { grep -q '^0\{31\}1 ' /proc/net/if_inet6 2>/dev/null; }

# ---- Building ----

# build: makes the chroot under a temporary name. Runs in a mount namespace of its own, so that an interrupted build
# leaves no mounts behind.
build() {
  local new=$DIR/root.new began=$SECONDS
  remove_tree "$new"
  command -v debootstrap >/dev/null || install_debootstrap
  say "building from $SUITE (about a minute; log: $DIR/build.log)"
  if ! unshare --mount -- bash "$SELF" build-inside "$RELEASE" >"$DIR/build.log" 2>&1 </dev/null; then
    tail -n 20 "$DIR/build.log" >&2
    die "the build failed"
  fi
  mv "$new" "$ROOT"
  say "built in $((SECONDS - began)) s"
}

install_debootstrap() {
  local install_fd
  exec {install_fd}>"${DIR%/*}/install.lock"
  # apt-get does not wait for another `update`, which may be the other release's build.
  flock "$install_fd"
  say "installing debootstrap"
  {
    apt-get update
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends debootstrap
  } >"$DIR/build.log" 2>&1 || die "cannot install debootstrap; see $DIR/build.log"
  exec {install_fd}>&-
}

build_inside() {
  local new=$DIR/root.new http_proxy='' https_proxy=''
  eval "$(apt-config shell http_proxy Acquire::http::Proxy https_proxy Acquire::https::Proxy)"
  [[ -z $http_proxy ]] || export http_proxy
  [[ -z $https_proxy ]] || export https_proxy
  debootstrap --variant=minbase --include=ca-certificates,openssl "$SUITE" "$new" "$(mirror)"
  copy_names "$new"
  copy_apt_settings "$new"
  # No service may start while packages are being installed.
  printf '#!/bin/sh\nexit 101\n' >"$new/usr/sbin/policy-rc.d"
  chmod 755 "$new/usr/sbin/policy-rc.d"
  echo force-unsafe-io >"$new/etc/dpkg/dpkg.cfg.d/pool"
  mount -t proc proc "$new/proc"
  mount --rbind /dev "$new/dev"
  in_tree "$new" apt-get update
  if ! in_tree "$new" apt-cache show condor >/dev/null; then
    # Packages leave testing now and then; unstable has what testing will get.
    sed "s/ $SUITE / unstable /" "$new/etc/apt/sources.list" >"$new/etc/apt/sources.list.d/unstable.list"
    in_tree "$new" apt-get update
  fi
  in_tree "$new" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends condor \
    krb5-kdc krb5-admin-server krb5-user munge
  in_tree "$new" apt-get clean
  rm -rf "$new"/var/lib/apt/lists/*
  in_tree "$new" useradd --create-home --shell /bin/bash "$USER_NAME"
  echo "$RECIPE" >"$new/etc/pool-recipe"
}

# copy_names TREE: how this machine resolves host names, its own above all
copy_names() {
  local file
  for file in /etc/hosts /etc/resolv.conf; do
    [[ ! -e $file ]] || cp -L --remove-destination "$file" "$1/etc/"
  done
}

# copy_apt_settings TREE: how this machine reaches its mirror. (A script that finds a proxy would be missing in there.)
copy_apt_settings() {
  apt-config dump | grep -E '^Acquire::(https?|Check-|Retries|Force)' | grep -v Auto-Detect \
    >"$1/etc/apt/apt.conf.d/90machine" || true
  local name
  for name in auth.conf auth.conf.d; do
    [[ ! -e /etc/apt/$name ]] || cp -r "/etc/apt/$name" "$1/etc/apt/"
  done
  [[ ! -d /usr/local/share/ca-certificates ]] || cp -r /usr/local/share/ca-certificates "$1/usr/local/share/"
  in_tree "$1" update-ca-certificates
}

# in_tree TREE COMMAND...: runs a command in a chroot with a clean environment
in_tree() {
  local tree=$1
  shift
  chroot "$tree" /usr/bin/env -i "${CLEAN_ENV[@]}" "$@"
}
CLEAN_ENV=(PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 LANG=C.UTF-8)

# remove_root: gives the chroot the name of an unfinished one first, so that half a removal cannot pass for a pool
remove_root() {
  remove_tree "$DIR/root.new"
  [[ -e $ROOT ]] || return 0
  refuse_mounts "$ROOT"
  mv "$ROOT" "$DIR/root.new"
  remove_tree "$DIR/root.new"
}

remove_tree() {
  [[ -e $1 ]] || return 0
  refuse_mounts "$1"
  rm -rf --one-file-system "$1"
}

# refuse_mounts TREE: ends this script if something is mounted at TREE or below, lest its contents be removed too
refuse_mounts() {
  local tree
  tree=$(realpath "$1")
  # The list of mounts has blanks in octal.
  tree=${tree// /\\040}
  ! cut -d ' ' -f 5 /proc/self/mountinfo | sed 's|$|/|' | grep --quiet --fixed-strings "$tree/" ||
    die "something is mounted below $tree; not removing it"
}

is_built() { [[ $(cat "$ROOT/etc/pool-recipe" 2>/dev/null) == "$RECIPE" ]]; }

# ---- Starting and stopping ----

# is_running: somebody holds $DIR/alive. A lock, unlike a recorded PID, cannot outlive the process.
is_running() { [[ -e $DIR/alive ]] && ! flock --shared --nonblock "$DIR/alive" true; }

# start: runs the pool's first process, detached: own session, none of our file descriptors
start() {
  await_ports
  write_settings
  rm -f "$DIR/pid" "$DIR/env" "${ADDRESS_FILES[@]/#/$ROOT/var/}"
  : >"$DIR/alive"
  say "starting"
  (
    close_descriptors
    exec setsid unshare --mount --pid --fork --kill-child --propagation slave -- \
      bash "$SELF" run-inside "$RELEASE" </dev/null >"$DIR/pool.log" 2>&1
  ) &
  until [[ -s $DIR/pid ]]; do
    kill -0 $! 2>/dev/null || die "the first process does not start; see $DIR/pool.log"
    sleep 0.05
  done
}

# await_ports: a pool whose cache was removed under it is unknown to us and holds the ports until its daemons notice
await_ports() {
  local port deadline=$((SECONDS + 90))
  for port in "$PORT" "$DIRECT_PORT"; do
    ! listens 127.0.0.1 "$port" || say "port $port is taken; waiting for it"
    while listens 127.0.0.1 "$port"; do
      ((SECONDS < deadline)) || die "port $port is taken by somebody else"
      sleep 0.2
    done
  done
}

# close_descriptors: leaves only 0, 1 and 2 open; else the pool would keep callers' pipes and our lock for its life
close_descriptors() {
  local path fd
  for path in /proc/self/fd/*; do
    fd=${path##*/}
    ((fd <= 2)) || exec {fd}>&-
  done
}

# run_inside: the first process of the pool's namespaces. It reaps what the daemons leave and takes all with it.
run_inside() {
  exec {ALIVE_FD}>"$DIR/alive"
  flock "$ALIVE_FD"
  # /proc is still the machine's, so this is our number out there. A subshell would read its own.
  local pid
  read -r pid _ </proc/self/stat
  mount -t proc proc "$ROOT/proc"
  mount --rbind /dev "$ROOT/dev"
  # FS authentication shows a directory in /tmp to the server.
  mount --rbind /tmp "$ROOT/tmp"
  # Without exec, the process to signal would be a subshell.
  (exec chroot "$ROOT" /usr/bin/env -i "${CLEAN_ENV[@]}" condor_master -f) &
  local master=$!
  # SIGQUIT is HTCondor's fast shutdown.
  trap 'kill -QUIT "$master"' TERM
  echo "$pid" >"$DIR/pid.new"
  mv "$DIR/pid.new" "$DIR/pid"
  # A trapped signal ends `wait` early.
  while kill -0 "$master" 2>/dev/null; do wait "$master" || true; done
}

# stop: asks, then insists. The kernel ends every process of the namespace together with the first.
stop() {
  is_running || return 0
  say "stopping"
  rm -f "$DIR/env"
  local pid
  pid=$(cat "$DIR/pid")
  kill -TERM "$pid" 2>/dev/null || true
  is_gone "$pid" && return
  say "does not end; killing"
  kill -KILL "$pid" 2>/dev/null || true
  is_gone "$pid" || die "does not end"
}

# is_gone PID: waits for the first process to go, which it does after all others
is_gone() {
  local deadline=$((SECONDS + GONE_WITHIN))
  while [[ -e /proc/$1 ]] || is_running; do
    ((SECONDS < deadline)) || return 1
    sleep 0.05
  done
}

# write_settings: everything in the chroot that depends on this machine and this start
write_settings() {
  local etc=$ROOT/etc/condor interfaces=127.0.0.1 ipv6=False
  if has_ipv6; then interfaces='127.0.0.1, ::1' ipv6=True; fi
  copy_names "$ROOT"
  install -m 644 "$HERE/pool.conf" "$etc/config.d/60-pool"
  # "password", scrambled with DE AD BE EF as in all such files. condor_utils/store_cred.cpp, simple_scramble
  install -m 600 <(printf '\xae\xcc\xcd\x9c\xa9\xc2\xcc\x8b') "$etc/pool_password"
  cat >"$etc/config.d/50-machine" <<EOF
POOL_TEST_HOST        = $(host_name)
POOL_TEST_INTERFACES  = $interfaces
POOL_TEST_IPV6        = $ipv6
POOL_TEST_PORT        = $PORT
POOL_TEST_DIRECT_PORT = $DIRECT_PORT
EOF
}

# forget_certificates: they name the host and expire, so the collector makes new ones at each start
forget_certificates() {
  rm -f "$ROOT"/etc/condor/{hostcert,hostkey,trust_domain_ca,trust_domain_ca_privkey}.pem
}

# ---- Waiting ----

# until_true SECONDS COMMAND...: polls; gives up after SECONDS or when the pool dies
until_true() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < deadline)) && is_running || return 1
    sleep 0.1
  done
}

# listens ADDRESS PORT
listens() { (: <"/dev/tcp/$1/$2") 2>/dev/null; }

# address_files: state of the address files of the daemons that matter to clients. A daemon writes its own when it
# starts and when it takes new settings, before it serves the next command. Watching the files needs no login, so it
# works under whatever settings a caller has installed.
ADDRESS_FILES=(log/condor/.collector_address log/condor/.collector_direct_address spool/condor/.schedd_address)
address_files() { (cd "$ROOT/var" && stat --format '%i %y %n' "${ADDRESS_FILES[@]}"); }

# all_renewed BEFORE: every daemon's address file is there, and none is as it was when BEFORE was printed
all_renewed() {
  local now
  now=$(address_files) && ! grep --quiet --fixed-strings --line-regexp --file <(printf '%s\n' "$1") <<<"$now"
}

all_listen() { listens 127.0.0.1 "$PORT" && listens 127.0.0.1 "$DIRECT_PORT"; }

# all_collectors_serve: each logs us in by SSL, so the certificates are made and in use
all_collectors_serve() {
  local port host
  host=$(host_name)
  for port in "$PORT" "$DIRECT_PORT"; do
    enter _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS=SSL \
      condor_ping -quiet -type COLLECTOR -pool "$host:$port" READ || return
  done
}

# knows TYPE...: the collector has heard of daemons of these types, so that a client can find them there
knows() {
  local type types
  types=$(enter condor_status -any -af MyType)
  for type; do [[ $types == *"$type"* ]] || return; done
}

has_keys() {
  [[ -s $ROOT/etc/condor/hostcert.pem && -s $ROOT/etc/condor/trust_domain_ca.pem &&
    -s $ROOT/etc/condor/passwords.d/POOL ]]
}

all_started() { address_files && all_listen && has_keys; }

# await WHAT COMMAND...: until_true, or the end of this script with the pool's last words
await() {
  local what=$1
  shift
  until_true "$READY_WITHIN" "$@" && return
  tail -n 20 "$DIR/pool.log" "$ROOT"/var/log/condor/{Master,Collector}Log >&2 || true
  is_running || die "$what: the pool has died"
  die "$what: not within $READY_WITHIN s"
}

# ---- What callers need to know ----

# write_env: keeps what `up` prints. Its existence says that the pool was ready once.
write_env() {
  local version host ipv6='' ca=$ROOT/etc/condor/trust_domain_ca.pem
  version=$(enter condor_version | awk '/CondorVersion/ { print $2 }')
  host=$(enter openssl x509 -in /etc/condor/hostcert.pem -noout -ext subjectAltName |
    sed -n 's/.*DNS:\([^,]*\).*/\1/p')
  ! has_ipv6 || ipv6="[::1]:$PORT"
  {
    echo "POOL_RELEASE=${RELEASE@Q}"
    echo "POOL_VERSION=${version@Q}"
    echo "POOL_HOST=${host@Q}"
    echo "POOL_PORT=${PORT@Q}"
    echo "POOL_DIRECT_PORT=${DIRECT_PORT@Q}"
    echo "POOL_IPV6=${ipv6@Q}"
    echo "POOL_CA=${ca@Q}"
    echo "POOL_ROOT=${ROOT@Q}"
    echo "POOL_DOMAIN=${DOMAIN@Q}"
  } >"$DIR/env.new"
  mv "$DIR/env.new" "$DIR/env"
}

is_up() { is_running && [[ -s $DIR/env ]]; }

# load_env: the running pool's values, which may be older than this call's environment
load_env() {
  is_up || die "not up"
  # shellcheck source=/dev/null
  source "$DIR/env"
  PORT=$POOL_PORT DIRECT_PORT=$POOL_DIRECT_PORT
}

# ---- Inside the pool ----

# enter [NAME=VALUE...] COMMAND...: runs a command as root in the pool's namespaces and chroot, with a clean environment
enter() {
  nsenter --target "$(cat "$DIR/pid")" --mount --pid -- chroot "$ROOT" /usr/bin/env -i "${CLEAN_ENV[@]}" "$@"
}

# enter_as USER [NAME=VALUE...] COMMAND...: the same as an ordinary user, at home
enter_as() {
  local user=$1 home
  shift
  home=$(awk -F: -v user="$user" '$1 == user { print $6 }' "$ROOT/etc/passwd")
  [[ -n $home ]] || die "no user $user in the chroot"
  enter HOME="$home" USER="$user" LOGNAME="$user" \
    setpriv --reuid="$user" --regid="$user" --init-groups -- env --chdir="$home" "$@"
}

# signal_daemons SIGNAL NAME: works under whatever settings a caller has installed, as HTCondor's own commands would not
signal_daemons() {
  # shellcheck disable=SC2016
  enter sh -c 'cd /proc && for pid in [0-9]*; do
    if [ "$(readlink "$pid/exe")" = "$2" ]; then kill -"$1" "$pid"; fi
  done' sh "$1" "/usr/sbin/$2"
}

# reconfigure: all daemons read their settings again. Token requests and auto-approval rules are forgotten by that.
reconfigure() {
  local before
  before=$(address_files || true)
  signal_daemons HUP condor_master
  await "new settings" all_renewed "$before"
}

# ---- Commands ----

up() {
  lock
  if is_up && all_listen; then
    cat "$DIR/env"
    return
  fi
  stop
  can
  if ! is_built; then
    remove_root
    build
  fi
  rm -f "$ROOT/etc/condor/config.d/99-caller"
  forget_certificates
  start
  await start all_started
  await start knows DaemonMaster Negotiator Scheduler StartD
  # A daemon that somebody spoke to before there was a certificate does without SSL until it reads its settings again.
  reconfigure
  await start all_collectors_serve
  write_env
  cat "$DIR/env"
}

print_env() {
  is_up || die "not up"
  cat "$DIR/env"
}

down() {
  lock
  stop
}

clean() {
  lock
  stop
  remove_root
  # The lock stays: somebody may be waiting for it.
  rm -f "$DIR"/{alive,pid,pid.new,env,env.new,settings,settings.before,build.log,kdc.log,munged.log,pool.log}
}

execute() {
  (($# >= 1)) || die_usage "exec which command?"
  load_env
  caller_settings
  enter "${SETTINGS[@]}" "$@"
}

execute_as() {
  local user=${1-}
  (($# >= 2)) || die_usage "exec-as which user, which command?"
  load_env
  caller_settings
  enter_as "$user" "${SETTINGS[@]}" "${@:2}"
}

# configure [--restart] <SETTINGS
configure() {
  local caller=$ROOT/etc/condor/config.d/99-caller restart=${1-}
  [[ -z $restart || $restart == --restart ]] || die_usage "configure knows --restart, not '$restart'"
  lock
  load_env
  cat >"$DIR/settings"
  install_settings "$DIR/settings" "$caller"
  if [[ -n $restart ]]; then
    stop
    start
    await restart all_started
    look_for_schedd
    write_env
  else
    reconfigure
  fi
}

# install_settings NEW CALLER: makes NEW the file CALLER in config.d, or removes CALLER when NEW is empty. A daemon that
# cannot read its settings ends, so what HTCondor itself refuses is taken back.
install_settings() {
  local new=$1 caller=$2
  rm -f "$DIR/settings.before"
  [[ ! -e $caller ]] || mv "$caller" "$DIR/settings.before"
  [[ ! -s $new ]] || install -m 644 "$new" "$caller"
  enter condor_config_val -dump >/dev/null && return
  rm -f "$caller"
  [[ ! -e $DIR/settings.before ]] || mv "$DIR/settings.before" "$caller"
  die "HTCondor does not accept these settings; nothing changed"
}

# restart_collector: ends the collectors; the master starts them anew
restart_collector() {
  local before
  lock
  load_env
  before=$(address_files | grep collector || true)
  signal_daemons QUIT condor_collector
  await restart all_renewed "$before"
  # The other daemons would tell the new collector about themselves only at their next update, minutes from now.
  reconfigure
  look_for_schedd
}

# look_for_schedd: not required, for a caller's settings may keep the daemons or us from logging in
look_for_schedd() { until_true 5 knows Scheduler || say "note: the collector does not know the schedd yet"; }

list() {
  local answer
  load_env
  answer=$(enter condor_token_request_list -json "$@")
  printf '%s\n' "${answer:-[]}"
}

# approve ID [OPTION...]: HTCondor's tool takes an empty ID for "any request", so the ID is checked before
approve() {
  local id=${1-}
  [[ $id =~ ^[0-9]{7}$ ]] || die_usage "a request ID has 7 digits, not '$id'"
  load_env
  enter condor_token_request_approve -reqid "$id" "${@:2}" <<<yes
}

# wait_and_approve PATTERN [OPTION...]: prints the ID of the request it approves
wait_and_approve() {
  local pattern=${1:?} id='' deadline=$((SECONDS + READY_WITHIN))
  shift
  [[ $pattern != any ]] || pattern='*'
  load_env
  until id=$(pending_id "$pattern" "$@") && [[ -n $id ]]; do
    ((SECONDS < deadline)) || die "no request of a client '$pattern' within $READY_WITHIN s"
    sleep 0.2
  done
  approve "$id" "$@" >&2
  echo "$id"
}

# pending_id PATTERN [OPTION...]: the ID of the first request whose ClientId matches, or nothing
pending_id() {
  local pattern=$1 client='' id='' name value
  while read -r name _ value; do
    value=${value//\"/}
    case $name in
      ClientId) client=$value ;;
      RequestId) id=$value ;;
      '')
        # shellcheck disable=SC2053
        if [[ -n $id && $client == $pattern ]]; then
          echo "$id"
          return
        fi
        ;;
    esac
  done < <(enter condor_token_request_list "${@:2}" 2>/dev/null && echo)
}

# auto_approve on|off [OPTION...]: there is no command to drop a rule, but new settings drop them all
auto_approve() {
  local wanted=${1-} netblock
  case $wanted in
    on)
      load_env
      for netblock in 127.0.0.0/8 ${POOL_IPV6:+::1/128}; do
        enter condor_token_request_auto_approve -netblock "$netblock" -lifetime 3600 "${@:2}" >&2
      done
      ;;
    off)
      lock
      load_env
      reconfigure
      ;;
    *) die_usage "auto-approve on or off, not '$wanted'" ;;
  esac
}

# kerberos: the KDC runs in the pool's namespaces. Its keys are made at each start; the password of alice is alice.
kerberos() {
  local realm=POOL.TEST port keytab=/etc/condor/condor.keytab
  lock
  load_env
  port=$((DIRECT_PORT + 1))
  if ! listens 127.0.0.1 "$port"; then
    say "starting a KDC"
    cat >"$ROOT/etc/krb5.conf" <<EOF
[libdefaults]
    default_realm = $realm
    dns_lookup_kdc = false
    dns_lookup_realm = false
    dns_canonicalize_hostname = false
[realms]
    $realm = {
        kdc = 127.0.0.1:$port
    }
[domain_realm]
    .pool.test = $realm
    $POOL_HOST = $realm
    localhost = $realm
EOF
    cat >"$ROOT/etc/krb5kdc/kdc.conf" <<EOF
[kdcdefaults]
    kdc_listen = 127.0.0.1:$port
    kdc_tcp_listen = 127.0.0.1:$port
[realms]
    $realm = {
        database_name = /var/lib/krb5kdc/principal
        key_stash_file = /var/lib/krb5kdc/stash
        max_life = 10h
        max_renewable_life = 1d
    }
[logging]
    kdc = FILE:/var/log/krb5kdc.log
EOF
    # shellcheck disable=SC2016 # for the shell in there
    enter sh -ec 'rm -rf /var/lib/krb5kdc "$2"
      mkdir -m 700 -p /var/lib/krb5kdc
      kdb5_util create -s -r "$1" -P master
      printf "%s\n" "addprinc -pw alice alice@$1" "addprinc -randkey host/$3@$1" \
        "addprinc -randkey host/localhost@$1" "ktadd -k $2 host/$3@$1" "ktadd -k $2 host/localhost@$1" | kadmin.local' sh "$realm" "$keytab" "$POOL_HOST" >"$DIR/kdc.log" 2>&1 ||
      die "no realm; see $DIR/kdc.log"
    (
      close_descriptors
      nsenter --target "$(cat "$DIR/pid")" --mount --pid -- chroot "$ROOT" /usr/bin/env -i "${CLEAN_ENV[@]}" \
        setsid krb5kdc -n </dev/null >>"$DIR/kdc.log" 2>&1
    ) &
    await "the KDC" listens 127.0.0.1 "$port"
  fi
  echo "KDC_PORT=${port@Q}"
  echo "KDC_REALM=${realm@Q}"
  echo "KDC_CONFIG=${ROOT@Q}/etc/krb5.conf"
}

# munge: munged runs in the pool's namespaces, as a user of its own. Its key is made at each start.
munge() {
  lock
  load_env
  if ! enter munge --no-input >/dev/null 2>&1; then
    say "starting munged"
    enter sh -ec 'rm -rf /run/munge /etc/munge/munge.key
      install -d -o munge -g munge -m 755 /run/munge
      install -d -o munge -g munge -m 700 /etc/munge /var/lib/munge /var/log/munge
      setpriv --reuid=munge --regid=munge --init-groups mungekey --create' >"$DIR/munged.log" 2>&1 ||
      die "no key; see $DIR/munged.log"
    (
      close_descriptors
      # It goes to the background, so that the pool's first process is its parent: nsenter stops with what a test stops.
      enter setpriv --reuid=munge --regid=munge --init-groups munged </dev/null >>"$DIR/munged.log" 2>&1
    ) || die "munged does not start; see $DIR/munged.log"
    await "munged" enter munge --no-input
  fi
  # The client is outside; munged knows it by its user's number, which is the same in there.
  echo "MUNGED_SOCKET=${ROOT@Q}/run/munge/munge.socket.2"
  echo "MUNGED_POOL_UID=$(enter id -u condor)"
}

token() {
  local identity=${1:?}
  shift
  load_env
  enter condor_token_create -identity "$identity" "$@"
}

# ping FILE [LEVEL]: as an ordinary user, with this token and nothing else. (Root could read the signing key and would
# get in without any.)
ping() {
  local file=${1:?} level=${2:-READ}
  load_env
  PRIVATE=$(mktemp -d "$ROOT/home/$USER_NAME/ping.XXXXXX")
  trap 'rm -rf "$PRIVATE"' EXIT
  (umask 077 && cat "$file" >"$PRIVATE/token")
  chown -R --reference="$ROOT/home/$USER_NAME" "$PRIVATE"
  enter_as "$USER_NAME" _CONDOR_SEC_TOKEN_DIRECTORY="${PRIVATE#"$ROOT"}" \
    _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS=IDTOKENS _CONDOR_SEC_CLIENT_AUTHENTICATION=REQUIRED \
    condor_ping -verbose -type COLLECTOR -pool "$POOL_HOST:$POOL_PORT" "$level"
}

main() {
  local command=${1-}
  case $command in
    can) can; return ;;
    help | --help | -h) usage; return ;;
    '') usage >&2; exit 2 ;;
  esac
  shift
  select_release "${1-}"
  shift
  case $command in
    up) up ;;
    env) print_env ;;
    down) down ;;
    clean) clean ;;
    exec) execute "$@" ;;
    exec-as) execute_as "$@" ;;
    configure) configure "$@" ;;
    restart-collector) restart_collector ;;
    list) list "$@" ;;
    approve) approve "$@" ;;
    wait-and-approve) wait_and_approve "$@" ;;
    auto-approve) auto_approve "$@" ;;
    kerberos) kerberos ;;
    munge) munge ;;
    token) token "$@" ;;
    ping) ping "$@" ;;
    build-inside) build_inside ;;
    run-inside) run_inside ;;
    *) die_usage "no command '$command'; see pool.sh help" ;;
  esac
}

main "$@"
exit
