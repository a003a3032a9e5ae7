# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables of those who load this
# A network of the test's own, for what must not leave the machine, or needs a host that never answers or certain interfaces.
# Load it after loopback, terminal or real. The tool and the pool run in it as processes.

# Longest that the tool may take in it, seconds. What is attacked here takes longer, or never ends.
ENDED_WITHIN=40

# network_of NAMESPACE... -- SCRIPT [ARGUMENT...]: a network with a loopback, in new namespaces of these kinds, which the
# script (sh) furnishes; its arguments are $2 and so on. Sets NETWORK, and in network the words to run a command in there.
network_of() {
  local line up namespaces=()
  while [[ $1 != -- ]]; do
    namespaces+=("--$1")
    shift
  done
  # shellcheck disable=SC2016 # for the shell in there
  exec {up}< <(exec unshare "${namespaces[@]}" sh -ec '
    ip link set lo up
    eval "$1"
    echo up
    exec sleep infinity' sh "${@:2}" 2>&1 3>&-)
  NETWORK=$!
  IFS= read -r line <&"$up"
  [[ $line == up ]] || { echo "no network of our own: $line" && return 1; }
  exec {up}<&-
  network=(nsenter --target "$NETWORK" "${namespaces[@]}" --)
}

# own_network: a loopback; 192.0.2.0/24 and 2001:db8::/64, where packets vanish; no name server but one at 192.0.2.53.
# From here on, `request` and `pool_here` run in it. Ends with close_network.
own_network() {
  ((EUID == 0)) || skip 'only root can have a network of its own'
  mkdir -p "$BATS_TEST_TMPDIR/etc"
  printf '%s\n' 'nameserver 192.0.2.53' 'options timeout:30 attempts:5' >"$BATS_TEST_TMPDIR/etc/resolv.conf"
  printf '%s\n' '127.0.0.1 localhost' '127.0.0.1 known.test' >"$BATS_TEST_TMPDIR/etc/hosts"
  echo 'hosts: files dns' >"$BATS_TEST_TMPDIR/etc/nsswitch.conf"
  # shellcheck disable=SC2016 # for the shell in there
  network_of net uts mount -- '
    hostname lonely
    ip route add local 192.0.2.0/24 dev lo
    ip -6 route add local 2001:db8::/64 dev lo
    echo "table inet dark { chain input { type filter hook input priority 0;
      ip daddr 192.0.2.0/24 drop; ip6 daddr 2001:db8::/64 drop; }; }" | nft -f -
    for file in resolv.conf hosts nsswitch.conf; do mount --bind "$2/$file" "/etc/$file"; done' "$BATS_TEST_TMPDIR/etc"
  settings=(timeout --signal KILL "$ENDED_WITHIN" "${network[@]}" env "--chdir=$PWD")
}

# close_network: for teardown
close_network() {
  local pid
  for pid in "${POOL-}" "${NETWORK-}"; do
    [[ -z $pid ]] || { kill "$pid" 2>/dev/null && wait "$pid"; } || :
  done
  POOL='' NETWORK=''
}

# pool_here OPTION...: an embedded pool in that network; sets what `pool_with` sets
pool_here() {
  local line options dir=$BATS_TEST_TMPDIR said
  [[ -z ${POOL-} ]] || kill "$POOL"
  : >"$dir/events"
  read -ra options <<<"$TOKEN_REQUEST_JAVA_OPTIONS"
  exec {said}< <(exec "${network[@]}" java "${options[@]}" -cp "$TOKEN_REQUEST_CLASSPATH" \
    tokenrequest.LoopbackPool --ca-file "$dir/ca.pem" --log "$dir/events" "$@" 2>"$dir/pool-stderr" 3>&-)
  POOL=$!
  IFS= read -r line <&"$said" || { cat "$dir/pool-stderr" && return 1; }
  exec {said}<&-
  eval "$line"
  export _CONDOR_AUTH_SSL_CLIENT_CAFILE=$LOOPBACK_CA
  HERE=localhost:$LOOPBACK_PORT LOOPBACK_LOG=$dir/events
}

# dark COUNT: the list of so many addresses at which nobody answers, as `addrs` has it
dark() { seq 0 $(($1 - 1)) | awk '{ printf "%s192.0.2.%d-%d", (NR > 1 ? "+" : ""), 2 + $1 % 200, 9618 + $1 / 200 }'; }

# in_there COMMAND...: runs it in that network
in_there() { "${network[@]}" "$@"; }
