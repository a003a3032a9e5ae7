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
  local jdk kind
  cp "$tests/../TokenRequest.java" "$work"
  source=$work/TokenRequest.java
  mkdir "$work"/{home,bare,jbang,portable,run}
  mkfifo "$work/never" "$work/questions" # the first for a pause without a process
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
  # What JBang itself takes: a program of the same directives that only prints a line.
  mkdir "$work/empty"
  sed '/^package /,$d' "$source" >"$work/empty/Empty.java"
  echo 'class Empty { public static void main(String... a) { System.err.println("approve request 0000000"); } }' >>"$work/empty/Empty.java"
  jbang --quiet build "$work/empty/Empty.java"
  kinds=(java java-archive jbang-empty jbang jbang-archive app-archive portable fatjar fatjar-archive)
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
  for kind in "${kinds[@]}" waits; do command_of "$kind"; done
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

# command_of KIND: writes $work/run/KIND, a script that becomes the command, so that nothing else is timed. Its "enqueued" line
# is at once on stdout or stderr.
command_of() {
  local request=(-pool "${POOL_HOST:?}:${POOL_PORT:?}" -identity bench@pool.test -lifetime 60) home=$work/bare jdk=$own java_options
  local -a command settings=()
  case $1 in
    newest-archive) home=$work/home.${newest##*/} ;;
    fatjar-archive) home=$work/fat.${own##*/} ;;
    jbang-archive) home=$work/by-jbang ;;
    app-archive) home=$work/app ;;
    *-archive) home=$work/home.${own##*/} ;;
  esac
  [[ $1 != newest* ]] || jdk=$newest
  case $1 in
    app*) settings=(JDK_JAVA_OPTIONS="-Duser.home=$home" JBANG_DIR="$work/jbang") ;;
    *jbang*) settings=(JDK_JAVA_OPTIONS="-Duser.home=$home") ;;
    beside) read -ra java_options < <(sed -n 's,^//RUNTIME_OPTIONS ,,p' "$work/beside/TokenRequest.java" | paste -sd ' ') ;;
    *) options_of "$jdk" "$home" ;;
  esac
  command=("$jdk/bin/java" "${java_options[@]}" -Duser.home="$home")
  case $1 in
    java | java-archive | newest*) command+=(-cp "$classpath" tokenrequest.TokenRequest) ;;
    portable) command+=(-jar "$work/portable/TokenRequest.jar") ;;
    fatjar*) command+=(-jar "$work/fat.jar") ;;
    jbang-empty) command=(jbang --quiet "$work/empty/Empty.java") ;;
    jbang*) command=(jbang --quiet "$source") ;;
    app*) command=("$work/jbang/bin/condor_token_request") ;;
    beside-jbang) command=(jbang --quiet "$work/beside/TokenRequest.java") ;;
    beside) command+=(-cp "$beside_classpath" tokenrequest.TokenRequest) ;;
    original) command=("$pool" exec "$release" script -qefc "exec condor_token_request ${request[*]}" /dev/null) ;;
    nothing) command=("$pool" exec "$release" script -qefc 'echo approve request 0000000' /dev/null) ;;
    waits) command=("$own/bin/java" -XX:+UseSerialGC -Xmx1g -cp "$all_classes" tokenrequest.Waits "$waits") ;;
  esac
  case $1 in
    original | nothing) settings=(_CONDOR_AUTH_SSL_CLIENT_CAFILE=/etc/condor/trust_domain_ca.pem) ;;
    *) command+=("${request[@]}") ;;
  esac
  {
    echo '#!/bin/sh'
    ((${#settings[@]} == 0)) || printf 'export %q\n' "${settings[@]}"
    printf 'exec'
    printf ' %q' "${command[@]}"
    echo
  } >"$work/run/$1"
  chmod +x "$work/run/$1"
}

# begin KIND: starts it in a process group of its own; sets group, id (of the request), took (milliseconds until the ID
# was there) and lines (the descriptor with the rest of what it prints)
begin() {
  local line said from to
  from=$EPOCHREALTIME
  exec {lines}< <(exec "$work/run/$1" 2>&1 </dev/null)
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

# stop: ends what `begin` began, with everything below it, and waits until it has ended: it would slow down what comes next
stop() {
  local pids pid
  pids=$(descendants "$group")
  for pid in $pids; do kill "$pid" 2>/dev/null || :; done
  for pid in $pids; do
    while kill -0 "$pid" 2>/dev/null; do read -r -t 0.01 <>"$work/never" || :; done
  done
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

# at_once KIND: what the collector spends on a poll, in microseconds, while many requests wait at once: ours in one JVM, of the
# original a tenth as many. How many were enqueued is in enqueued.KIND.
at_once() {
  local i before after polled=0 polls count=0 groups=() intervals=$((wait / 5))
  if [[ $1 == original ]]; then
    for ((i = 0; i < waits / 10; i++)); do
      begin original
      groups+=("$group")
      exec {lines}<&-
    done
    count=$i
    # It polls every five seconds. condor_tools/token_request.cpp
    before=$(collector)
    sleep "$((intervals * 5))"
    after=$(collector)
    polls=$((intervals * count))
  else
    exec {lines}< <(exec "$work/run/waits" 2>/dev/null <"$work/questions")
    group=$!
    exec {questions}>"$work/questions"
    while ((count < waits)); do
      sleep 0.2
      ask_waits
    done
    before=$(collector)
    polled=$polls
    sleep "$wait"
    after=$(collector)
    ask_waits
    ((polls -= polled)) || :
    exec {questions}>&-
  fi
  echo "$count" >"$work/enqueued.$1"
  echo "$(((after - before) / 1000 / polls))" >"$work/collector.$1"
  for group in "${groups[@]}"; do stop; done
}

# ask_waits: sets count and polls to what they are now
ask_waits() {
  echo >&"$questions"
  read -r count polls <&"$lines"
}

# collector: the processor time that the pool's collector has used, in nanoseconds
collector() {
  # shellcheck disable=SC2016 # a program of the chroot's sh
  "$pool" exec "$release" sh -c 'for pid in $(pidof condor_collector); do cat "/proc/$pid/schedstat"; done' |
    awk '{ spent += $1 } END { printf "%.0f\n", spent }'
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
    jbang-empty) echo 'jbang FILE, of an empty program' ;;
    jbang) echo 'jbang FILE' ;;
    jbang-archive) echo 'jbang FILE, archive' ;;
    app-archive) echo 'jbang app install, archive' ;;
    portable) echo 'jbang export portable' ;;
    fatjar) echo 'jbang export fatjar, launcher of sh' ;;
    fatjar-archive) echo 'jbang export fatjar, launcher, archive' ;;
    newest) echo "java, $(build_of "$newest")" ;;
    newest-archive) echo "java, archive, $(build_of "$newest")" ;;
    original) echo 'condor_token_request' ;;
  esac
}

table() {
  local original kind first=${kinds[0]} nothing took spent ours theirs hourly every_five
  ours=$(cat "$work/collector.java-archive")
  theirs=$(cat "$work/collector.original")
  read -r hourly every_five < <("$own/bin/java" -cp "$all_classes" tokenrequest.PollSimulation | sed -n 's/^polls //p')
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
  row "collector, each poll of $(cat "$work/enqueued.java-archive") and $(cat "$work/enqueued.original") waits" us "$ours" "$theirs"
  row 'polls in an hour of waiting (simulated)' '' "$hourly" "$every_five"
  row 'collector, for each hour of waiting' ms "$((ours * hourly / 1000))" "$((theirs * every_five / 1000))"
}

main "$@"
