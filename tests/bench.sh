#!/usr/bin/env bash
# Times the command beside the real condor_token_request, in one run, on the same real pool, over SSL. Prints a table.
#
#   tests/bench.sh [stable|testing]    which pool, and which original (default: testing)
#   -n N              approvals to time, at random moments (default 20)
#   --waits N         requests that wait at once (default 200)
#   --beside COMMIT   another version of this program, on the same JDK, with the options that it gives to JBang
#   --quick           3 approvals, 3 starts, 10 seconds of waiting instead of 60, and 20 requests at once
#
# Ours starts in every documented way, with and without the archive of classes (-prepare), on the machine's JDK and on the
# newest that is here.
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
# shellcheck source=tests/archive.bash
source "$tests/archive.bash"
TESTS_DIR=$tests

# How many waits go on at once, so that twenty approvals do not take twenty waits.
parallel=4
# Approvals come at random moments within this many seconds of the request.
spread=10

main() {
  release=testing approvals=20 starts=9 wait=60 waits=200 beside=
  while (($# > 0)); do
    case $1 in
      stable | testing) release=$1 ;;
      -n) approvals=${2?-n takes a number} && shift ;;
      --waits) waits=${2?--waits takes a number} && shift ;;
      --beside) beside=${2?--beside takes a commit} && shift ;;
      --quick) approvals=3 starts=3 wait=10 waits=20 ;;
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
  provide
  measure
}

finish() {
  local children
  mapfile -t children < <(jobs -p)
  ((${#children[@]} == 0)) || kill "${children[@]}" 2>/dev/null || :
  [[ -z ${started-} ]] || "$pool" down "$started" >&2
  rm -rf "$work"
}

# provide: builds what is compared. Every way has a home of its own in $work, and its archive there.
provide() {
  local jdk
  cp "$tests/../TokenRequest.java" "$work"
  source=$work/TokenRequest.java
  mkdir "$work"/{home,bare,jbang,portable}
  jdk=$(jdk_homes | head -n 1)
  newest=$(jdk_homes | while read -r home; do echo "$("$home/bin/java" -version 2>&1 | sed -nE '1s/.*version "([0-9.]+).*/\1/p') $home"; done \
    | sort -V | tail -n 1 | cut -d ' ' -f 2)
  own=$jdk
  # What the starts need to know, so that no JVM but theirs is timed.
  build_of "$own" >/dev/null
  build_of "$newest" >/dev/null
  jbang --quiet build "$source"
  jbang --quiet build "$tests/support/Harness.java"
  classpath=$(jbang --quiet info classpath "$source")
  all_classes=$(jbang --quiet info classpath "$tests/support/Harness.java")
  jbang --quiet export fatjar -O "$work/fat.jar" "$source"
  jbang --quiet export portable -O "$work/portable/TokenRequest.jar" "$source"
  JBANG_DIR=$work/jbang jbang --quiet app install --name condor_token_request "$source" 2>/dev/null
  JBANG_DIR=$work/jbang JDK_JAVA_OPTIONS=-Duser.home=$work/bare "$work/jbang/bin/condor_token_request" -version >/dev/null 2>&1
  kinds=(java java-archive jbang jbang-archive app-archive portable fatjar fatjar-archive)
  [[ $newest == "$own" ]] || kinds+=(newest newest-archive)
  if [[ -n $beside ]]; then
    git -C "$tests" show "$beside:TokenRequest.java" >"$work/beside.java"
    mkdir "$work/beside"
    mv "$work/beside.java" "$work/beside/TokenRequest.java"
    jbang --quiet build "$work/beside/TokenRequest.java"
    beside_classpath=$(jbang --quiet info classpath "$work/beside/TokenRequest.java")
    kinds=(beside beside-jbang "${kinds[@]}")
  fi
  kinds+=(original nothing)
  # The archives: by JBang's options, and of each kind that has other jars.
  cost=()
  for jdk in "$own" "$newest"; do
    prepared "$jdk" "$work/home" -cp "$classpath" tokenrequest.TokenRequest
  done
  # JBang keeps its libraries below the home, so that another home is another class path.
  JDK_JAVA_OPTIONS=-Duser.home=$work/by-jbang jbang --quiet "$source" -prepare 2>/dev/null
  prepared "$own" "$work/fat" -jar "$work/fat.jar"
  JBANG_DIR=$work/jbang JDK_JAVA_OPTIONS=-Duser.home=$work/app "$work/jbang/bin/condor_token_request" -prepare 2>/dev/null
}

# prepared JDK HOME ARGUMENT...: makes the archive; adds milliseconds, and bytes to cost. One JDK's
# -prepare removes that of the other, so each has a home of its own.
prepared() {
  local from to
  mkdir -p "$2.${1##*/}"
  options_of "$1" "$2.${1##*/}"
  from=$EPOCHREALTIME
  "$1/bin/java" "${java_options[@]}" -Duser.home="$2.${1##*/}" "${@:3}" -prepare 2>/dev/null
  to=$EPOCHREALTIME
  cost+=("$(((${to/./} - ${from/./}) / 1000))" "$(stat -c %s "$(archive_of "$1" "$2.${1##*/}")")")
}

measure() {
  local kind
  echo "HTCondor ${POOL_VERSION:?}, Java $(build_of "$own") and $(build_of "$newest"), $(nproc) processors," \
    "load $(cut -d' ' -f1 /proc/loadavg)"
  # In turns, so that what else the machine does concerns all alike. The first of each warms up.
  for ((i = 0; i <= starts; i++)); do
    for kind in "${kinds[@]}"; do
      start "$kind" "$((i > 0))"
    done
  done
  for kind in java-archive original; do
    waiting "$kind"
    approvals "$kind"
    at_once "$kind"
  done
  table
}

# run KIND: the command, in place of this shell, with the "enqueued" line at once on stdout or stderr
run() {
  local request=(-pool "${POOL_HOST:?}:${POOL_PORT:?}" -identity bench@pool.test -lifetime 60) home=$work/bare jdk=$own jars
  case $1 in
    *-archive) home=$work/home.${own##*/} ;;
  esac
  case $1 in
    newest-archive) home=$work/home.${newest##*/} ;;
    fatjar-archive) home=$work/fat.${own##*/} ;;
    jbang-archive) home=$work/by-jbang ;;
    app-archive) home=$work/app ;;
  esac
  [[ $1 != newest* ]] || jdk=$newest
  case $1 in
    java | java-archive | newest*) jars=(-cp "$classpath" tokenrequest.TokenRequest) ;;
    portable) jars=(-jar "$work/portable/TokenRequest.jar") ;;
    fatjar*) jars=(-jar "$work/fat.jar") ;;
    jbang*) JDK_JAVA_OPTIONS=-Duser.home=$home exec jbang --quiet "$source" "${request[@]}" ;;
    app*) JBANG_DIR=$work/jbang JDK_JAVA_OPTIONS=-Duser.home=$home exec "$work/jbang/bin/condor_token_request" "${request[@]}" ;;
    beside-jbang) JDK_JAVA_OPTIONS=-Duser.home=$home exec jbang --quiet "$work/beside/TokenRequest.java" "${request[@]}" ;;
    beside)
      read -ra java_options < <(sed -n 's,^//RUNTIME_OPTIONS ,,p' "$work/beside/TokenRequest.java" | paste -sd ' ')
      exec java "${java_options[@]}" -Duser.home="$home" -cp "$beside_classpath" tokenrequest.TokenRequest "${request[@]}"
      ;;
    original) in_chroot "exec condor_token_request ${request[*]}" ;;
    nothing) in_chroot 'echo approve request 0000000' ;;
    waits) exec java -XX:+UseSerialGC -Xmx1g -cp "$all_classes" tokenrequest.Waits "$waits" "${request[@]}" ;;
  esac
  options_of "$jdk" "$home"
  exec "$jdk/bin/java" "${java_options[@]}" -Duser.home="$home" "${jars[@]}" "${request[@]}"
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

# start KIND WHICH: appends to start.KIND.WHICH the milliseconds from the start of the process until the request ID can be read,
# to spent.KIND.WHICH the processor time of all its processes until then
start() {
  local pid ticks=0
  begin "$1"
  for pid in $(descendants "$group"); do
    ((ticks += $(ticks_of "$pid"))) || :
  done
  echo "$((took / 1000))" >>"$work/start.$1.$2"
  echo "$((ticks * 1000 / $(getconf CLK_TCK)))" >>"$work/spent.$1.$2"
  stop
}

# ticks_of PID: of the process and of its children that have ended
ticks_of() { awk '{ sub(/.*\) /, ""); print $12 + $13 + $14 + $15 }' "/proc/$1/stat" 2>/dev/null || echo 0; }

# waiting KIND: peak and steady memory (KiB) and processor time (milliseconds) of the one process that waits, after so many seconds
waiting() {
  local pid name=java
  [[ $1 != original ]] || name=condor_token_re
  begin "$1"
  sleep "$wait"
  for pid in $(descendants "$group"); do
    [[ $(cat "/proc/$pid/comm" 2>/dev/null) == "$name" ]] || continue # it may be gone by now
    sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$pid/status" >"$work/memory.$1"
    sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$pid/status" >"$work/steady.$1"
    sed -n 's/^Pss:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$pid/smaps_rollup" >"$work/pss.$1"
    echo "$(($(ticks_of "$pid") * 1000 / $(getconf CLK_TCK)))" >"$work/cpu.$1"
  done
  stop
}

# at_once KIND: what the collector spends on requests that wait at once, in milliseconds for each hour that one waits: ours in one
# JVM, of the original a tenth as many. How many were enqueued is in enqueued.KIND.
at_once() {
  local i before after count=$waits groups=() line
  if [[ $1 == original ]]; then
    count=$((waits / 10))
    for ((i = 0; i < count; i++)); do
      begin original
      groups+=("$group")
      exec {lines}<&-
    done
    echo "$count" >"$work/enqueued.$1"
  else
    exec {lines}< <(set -m; run waits 2>&1)
    groups=("$!")
    i=0
    while ((i < count)) && read -r -t 120 line <&"$lines"; do
      [[ $line != *'approve request '[0-9]* ]] || ((++i))
    done
    echo "$i" >"$work/enqueued.$1"
  fi
  before=$(collector)
  sleep "$wait"
  after=$(collector)
  awk -v a="$after" -v b="$before" -v w="$wait" -v n="$count" -v hz="$(getconf CLK_TCK)" \
    'BEGIN { printf "%.0f\n", (a - b) * 1000 / hz * 3600 / w / n }' >"$work/collector.$1"
  for group in "${groups[@]}"; do
    for line in $(descendants "$group"); do kill "$line" 2>/dev/null || :; done
  done
}

# collector: the processor time that the pool's collector has used, in ticks
collector() {
  # shellcheck disable=SC2016 # a program of the chroot's sh
  "$pool" exec "$release" sh -c 'for pid in $(pidof condor_collector); do cat "/proc/$pid/stat"; done' |
    awk '{ sub(/.*\) /, ""); ticks += $12 + $13 } END { print ticks }'
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
row() { awk -v t="$1" -v u="$2" -v a="$3" -v b="$4" 'BEGIN { printf "%-52s %8d %10d %-4s %6.2f\n", t, a, b, u, b ? a / b : 0 }'; }

# title KIND: what it is
title() {
  case $1 in
    beside) echo "commit $beside, java" ;;
    beside-jbang) echo "commit $beside, jbang FILE" ;;
    java) echo 'java' ;;
    java-archive) echo 'java, archive' ;;
    jbang) echo 'jbang FILE' ;;
    jbang-archive) echo 'jbang FILE, archive' ;;
    app-archive) echo 'jbang app install, archive' ;;
    portable) echo 'jbang export portable' ;;
    fatjar) echo 'jbang export fatjar' ;;
    fatjar-archive) echo 'jbang export fatjar, archive' ;;
    newest) echo "java, $(build_of "$newest")" ;;
    newest-archive) echo "java, archive, $(build_of "$newest")" ;;
    original) echo 'condor_token_request' ;;
  esac
}

table() {
  local original kind first=${kinds[0]} nothing took spent
  nothing=$(median "$work/start.nothing.1")
  original=$(($(median "$work/start.original.1") - nothing))
  printf '%-40s %10s %10s %8s %8s\n' 'start to request ID (medians)' 'time ms' 'CPU ms' 'ratio' 'CPU ratio'
  for kind in "${kinds[@]}"; do
    [[ $kind != nothing ]] || continue
    took=$(median "$work/start.$kind.1")
    spent=$(median "$work/spent.$kind.1")
    [[ $kind != original ]] || took=$original spent=$((spent - $(median "$work/spent.nothing.1")))
    awk -v t="$(title "$kind")" -v a="$took" -v c="$spent" -v a0="$(median "$work/start.$first.1")" -v c0="$(median "$work/spent.$first.1")" \
      'BEGIN { printf "%-40s %10d %10d %8.2f %8.2f\n", t, a, c, a / a0, c0 ? c / c0 : 0 }'
  done
  printf '\n%-40s %s\n' 'making the archive (ms, bytes)' "${cost[*]}"
  printf '\n%-52s %8s %10s %-4s %6s\n' 'java with the archive' ours original '' ratio
  row "approval to token (median of $approvals)" ms "$(median "$work/approval.java-archive")" "$(median "$work/approval.original")"
  for kind in memory:'peak memory' steady:'memory at the end' pss:'its own share of it (PSS)'; do
    row "${kind#*:}, $wait s of waiting" KiB "$(cat "$work/${kind%%:*}.java-archive")" "$(cat "$work/${kind%%:*}.original")"
  done
  row "processor time, start and $wait s of waiting" ms "$(cat "$work/cpu.java-archive")" "$(cat "$work/cpu.original")"
  row "collector, for each waited hour ($(cat "$work/enqueued.java-archive") and $(cat "$work/enqueued.original") at once)" ms \
    "$(cat "$work/collector.java-archive")" "$(cat "$work/collector.original")"
}

main "$@"
