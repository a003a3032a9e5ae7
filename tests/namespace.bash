# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables of those who load this
# A network of the test's own, for what must not leave the machine or needs a host that never answers. Load it after
# loopback or terminal. The tool and the pool run in it as processes.

# Longest that the tool may take in it, seconds. What is attacked here takes longer, or never ends.
ENDED_WITHIN=40

# own_network: a loopback; 192.0.2.0/24 and 2001:db8::/64, where packets vanish; no name server but one at 192.0.2.53.
# From here on, `request` and `pool_here` run in it. Ends with close_network.
own_network() {
  local line up
  ((EUID == 0)) || skip 'only root can have a network of its own'
  mkdir -p "$BATS_TEST_TMPDIR/etc"
  printf '%s\n' 'nameserver 192.0.2.53' 'options timeout:30 attempts:5' >"$BATS_TEST_TMPDIR/etc/resolv.conf"
  printf '%s\n' '127.0.0.1 localhost' '127.0.0.1 known.test' >"$BATS_TEST_TMPDIR/etc/hosts"
  echo 'hosts: files dns' >"$BATS_TEST_TMPDIR/etc/nsswitch.conf"
  # shellcheck disable=SC2016 # for the shell in there
  exec {up}< <(exec unshare --net --uts --mount --propagation private sh -ec '
    hostname lonely
    ip link set lo up
    ip route add local 192.0.2.0/24 dev lo
    ip -6 route add local 2001:db8::/64 dev lo
    echo "table inet dark { chain input { type filter hook input priority 0;
      ip daddr 192.0.2.0/24 drop; ip6 daddr 2001:db8::/64 drop; }; }" | nft -f -
    for file in resolv.conf hosts nsswitch.conf; do mount --bind "$1/$file" "/etc/$file"; done
    echo up
    exec sleep infinity' sh "$BATS_TEST_TMPDIR/etc" 2>&1 3>&-)
  NETWORK=$!
  IFS= read -r line <&"$up"
  [[ $line == up ]] || { echo "no network of our own: $line" && return 1; }
  exec {up}<&-
  settings=(timeout --signal KILL "$ENDED_WITHIN" nsenter --target "$NETWORK" --net --uts --mount "--wdns=$PWD" --)
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
  exec {said}< <(exec nsenter --target "$NETWORK" --net --uts --mount -- java "${options[@]}" -cp "$TOKEN_REQUEST_CLASSPATH" \
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
in_there() { nsenter --target "$NETWORK" --net --uts --mount -- "$@"; }
