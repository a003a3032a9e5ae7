#!/usr/bin/env bash
# Times the command beside the real condor_token_request, in one run, on the same real pool, over SSL. Prints a table.
#
#   tests/bench.sh [stable|testing]    which pool, and which original (default: testing)
#   -n N      approvals to time, at random moments (default 20)
#   --quick   3 approvals, 3 starts, and 10 seconds of waiting instead of 60
#
# It judges nothing: machines differ, ratios less so. It needs root and a Debian-like system, as tests/pool/pool.sh does.
#
# The original runs in the pool's chroot, on a terminal of script(1), since into a pipe it prints nothing before its end.
# What it takes to get there is measured with a mere `echo` in its place, and taken off its start.
set -euo pipefail
tests=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
pool=$tests/pool/pool.sh

# shellcheck source=tests/prerequisites.sh
source "$tests/prerequisites.sh"

# How many waits go on at once, so that twenty approvals do not take twenty waits.
parallel=4
# Approvals come at random moments within this many seconds of the request.
spread=10

main() {
  release=testing approvals=20 starts=9 wait=60
  while (($# > 0)); do
    case $1 in
      stable | testing) release=$1 ;;
      -n) approvals=${2?-n takes a number} && shift ;;
      --quick) approvals=3 starts=3 wait=10 ;;
      *)
        sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"
        [[ $1 == -h || $1 == --help ]] && exit 0
        exit 2
        ;;
    esac
    shift
  done
  require_commands java mvn jq script flock
  PATH=$PATH:$tests/bin
  work=$(mktemp -d)
  trap finish EXIT
  "$pool" can
  if ! "$pool" env "$release" >"$work/pool"; then
    "$pool" up "$release" >"$work/pool" </dev/null
    started=$release
  fi
  # shellcheck source=/dev/null
  source "$work/pool"
  export _CONDOR_AUTH_SSL_CLIENT_CAFILE=${POOL_CA:?} _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS=SSL
  jbang --quiet build "$tests/../TokenRequest.java"
  classpath=$(jbang --quiet info classpath "$tests/../TokenRequest.java")
  read -ra java_options < <(sed -n 's,^//RUNTIME_OPTIONS ,,p' "$tests/../TokenRequest.java" | paste -sd ' ')
  measure
}

finish() {
  local children
  mapfile -t children < <(jobs -p)
  ((${#children[@]} == 0)) || kill "${children[@]}" 2>/dev/null || :
  [[ -z ${started-} ]] || "$pool" down "$started" >&2
  rm -rf "$work"
}

measure() {
  local kind
  echo "HTCondor ${POOL_VERSION:?}, $(java -version 2>&1 | sed -n 's/.*version "\(.*\)".*/Java \1/p'), $(nproc) processors," \
    "load $(cut -d' ' -f1 /proc/loadavg)"
  # In turns, so that what else the machine does concerns all alike. The first of each warms up.
  for ((i = 0; i <= starts; i++)); do
    for kind in java jbang original nothing; do
      start "$kind" >>"$work/start.$kind.$((i > 0))"
    done
  done
  for kind in java original; do
    waiting "$kind"
    approvals "$kind"
  done
  table
}

# run KIND: the command, in place of this shell, with the "enqueued" line at once on stdout or stderr
run() {
  local request=(-pool "${POOL_HOST:?}:${POOL_PORT:?}" -identity bench@pool.test -lifetime 60)
  case $1 in
    java) exec java "${java_options[@]}" -cp "$classpath" tokenrequest.TokenRequest "${request[@]}" ;;
    jbang) exec jbang --quiet "$tests/../TokenRequest.java" "${request[@]}" ;;
    original) in_chroot "exec condor_token_request ${request[*]}" ;;
    nothing) in_chroot 'echo approve request 0000000' ;;
  esac
}

# in_chroot COMMAND: on a terminal there, in place of this shell
in_chroot() {
  _CONDOR_AUTH_SSL_CLIENT_CAFILE=/etc/condor/trust_domain_ca.pem exec "$pool" exec "$release" \
    script -qefc "$1" /dev/null </dev/null
}

# begin KIND: starts it in a process group of its own; sets group, id (of the request), took (milliseconds until the ID
# was there) and lines (the descriptor with the rest of what it prints)
begin() {
  local line said from to
  from=$EPOCHREALTIME
  exec {lines}< <(set -m; run "$1" 2>&1)
  group=$!
  id=
  said=
  while [[ -z $id ]] && read -r line <&"$lines"; do
    said+=$line
    [[ $line =~ approve\ request\ ([0-9]{7}) ]] && id=${BASH_REMATCH[1]}
  done
  to=$EPOCHREALTIME
  took=$((${to/./} - ${from/./}))
  [[ -n $id ]] || { echo "$1 ended without a request: $said" >&2 && return 1; }
}

# stop: ends what `begin` began, with everything below it
stop() {
  local pid
  for pid in $(descendants "$group"); do kill "$pid" 2>/dev/null || :; done
  exec {lines}<&-
}

# descendants PID: it and all processes below it
descendants() {
  local child
  for child in $(ps -o pid= --ppid "$1"); do descendants "$child"; done
  echo "$1"
}

# start KIND: milliseconds from the start of the process until the request ID can be read
start() {
  begin "$1"
  echo "$((took / 1000))"
  stop
}

# waiting KIND: peak memory (KiB) and processor time (milliseconds) of the one process that waits, after so many seconds
waiting() {
  local pid name=java
  [[ $1 == java ]] || name=condor_token_re
  begin "$1"
  sleep "$wait"
  for pid in $(descendants "$group"); do
    [[ $(cat "/proc/$pid/comm" 2>/dev/null) == "$name" ]] || continue # it may be gone by now
    sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$pid/status" >"$work/memory.$1"
    awk -v hz="$(getconf CLK_TCK)" '{ print int(($14 + $15) * 1000 / hz) }' "/proc/$pid/stat" >"$work/cpu.$1"
  done
  stop
}

# approvals KIND: milliseconds from the end of the administrator's command to the token. The moments are random, but one
# in each of as many equal parts of the spread, and the same for either kind: polls are seconds apart, so that a median of
# a few moments taken freely would tell more about the moments.
approvals() {
  local done=0 pids pid delay
  RANDOM=1
  while ((done < approvals)); do
    pids=()
    for ((i = 0; i < parallel && done < approvals; i++, done++)); do
      delay=$(awk -v part="$done" -v r="$RANDOM" -v n="$approvals" -v s="$spread" 'BEGIN { print s * (part + r / 32768) / n }')
      approval "$1" "$delay" >>"$work/approval.$1" &
      pids+=("$!")
    done
    for pid in "${pids[@]}"; do wait "$pid"; done
  done
}

# approval KIND DELAY
approval() {
  local line approved
  begin "$1"
  sleep "$2"
  "$pool" approve "$release" "$id" >/dev/null 2>&1
  approved=$EPOCHREALTIME
  while read -r line <&"$lines"; do
    if [[ $line == eyJ* ]]; then
      line=$EPOCHREALTIME
      echo "$(((${line/./} - ${approved/./}) / 1000))"
      break
    fi
  done
  exec {lines}<&-
}

# median FILE
median() { sort -n "$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

# row TITLE UNIT OURS ORIGINAL
row() { awk -v t="$1" -v u="$2" -v a="$3" -v b="$4" 'BEGIN { printf "%-44s %8d %10d %-4s %6.2f\n", t, a, b, u, a / b }'; }

table() {
  local original
  original=$(($(median "$work/start.original.1") - $(median "$work/start.nothing.1")))
  printf '%-44s %8s %10s %-4s %6s\n' '' ours original '' ratio
  row 'start to request ID, java (median)' ms "$(median "$work/start.java.1")" "$original"
  row 'start to request ID, jbang (median)' ms "$(median "$work/start.jbang.1")" "$original"
  row "approval to token (median of $approvals)" ms "$(median "$work/approval.java")" "$(median "$work/approval.original")"
  row 'peak memory while waiting' KiB "$(cat "$work/memory.java")" "$(cat "$work/memory.original")"
  row "processor time, start and $wait s of waiting" ms "$(cat "$work/cpu.java")" "$(cat "$work/cpu.original")"
}

main "$@"
