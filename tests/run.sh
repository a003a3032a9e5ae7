#!/usr/bin/env bash
# Runs the tests, after installing what they need. The last line counts:  N passed, N failed, N skipped
#
#   tests/run.sh                         every test
#   tests/run.sh fast                    those on the embedded pool; real: those on real pools
#   tests/run.sh json polling.bats       the tests of these files; attacks: of all files whose names begin so
#   tests/run.sh -f 'exits 5' [FILE...]  the tests whose name matches; other options of bats will do as well
#
# Several lanes run at once, each a file at a time: two for the embedded pool, one for each real pool. A file's results
# are shown together, when it is done. Tests against real HTCondor pools (real_*.bats) get their pools from
# tests/pool/pool.sh. Where that is not possible they are skipped; with CI set in the environment a skipped one fails
# the run.
#
#   TOKEN_REQUEST_REAL=no       skip them anyway
#   TOKEN_REQUEST_KEEP_POOLS=1  leave the pools running, for a faster next run
#   TOKEN_REQUEST_CACHE         where JBang and the pools are kept (default: token-request in the user's cache folder)
#   TOKEN_REQUEST_LANES         how many lanes the embedded pool has (default: one for each processor, at most 4)
#   JAVA_HOME                   the JDK to use (default: the java on PATH)
#
# Exit status: 0 all is well, 1 a test failed or did not run, 2 something needed is missing.
set -euo pipefail
tests=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
pool=$tests/pool/pool.sh

# Longest wait for bats to finish writing its report, seconds.
report_within=5

# shellcheck source=tests/prerequisites.sh
source "$tests/prerequisites.sh"
# shellcheck source=tests/setup_suite.bash
source "$tests/setup_suite.bash"

main() {
  local options=() files=() filter=
  parse_arguments "$@"
  [[ -n ${JAVA_HOME-} ]] || require_commands java javac
  require_commands git bats jq shellcheck openssl awk diff ps mvn flock script setpriv zsh python3:jsonschema python3:yaml

  work=$(mktemp -d)
  lanes=()
  trap finish EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM

  prepare "$work" >&2
  provide_pools
  run_lanes
  stop_pools # before the closing line, since it narrates
  report
}

# parse_arguments ARGUMENT...: to `options` for bats, `filter` and `files`. A file may go by its bare name.
parse_arguments() {
  local found=()
  while (($# > 0)); do
    case $1 in
      -h | --help)
        sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"
        exit 0
        ;;
      -f | --filter)
        filter=${2?$1 needs a value}
        options+=(--filter "$filter")
        shift
        ;;
      --filter-tags | --filter-status)
        options+=("$1" "${2?$1 needs a value}")
        shift
        ;;
      -*) options+=("$1") ;;
      *)
        mapfile -t found < <(files_of "${1##*/}")
        ((${#found[@]})) || { echo "no tests/${1##*/}.bats" >&2 && exit 2; }
        files+=("${found[@]}")
        ;;
    esac
    shift
  done
  ((${#files[@]})) || files=("$tests"/*.bats)
}

# files_of NAME: those of a lane, the one of that name, or those whose names begin so
files_of() {
  local file
  case $1 in
    fast) for file in "$tests"/*.bats; do is_real "$file" || printf '%s\n' "$file"; done ;;
    real) printf '%s\n' "$tests"/real_*.bats ;;
    *)
      file=$tests/${1%.bats}.bats
      if [[ -f $file ]]; then printf '%s\n' "$file"; else compgen -G "$tests/$1*.bats"; compgen -G "$tests/real_$1*.bats"; fi
      ;;
  esac || :
}

is_real() { [[ $1 == */real_* ]]; }

# ---- Real pools ----

# provide_pools: if any of the tests wanted needs a pool, brings both up, or sets TOKEN_REQUEST_REAL=no and the reason
provide_pools() {
  local real=() file
  for file in "${files[@]}"; do
    ! is_real "$file" || real+=("$file")
  done
  ((${#real[@]})) && [[ $(bats --count "${options[@]}" "${real[@]}") != 0 ]] || return 0
  if [[ ${TOKEN_REQUEST_REAL-} == no ]]; then
    no_pools "TOKEN_REQUEST_REAL=no"
  elif ! "$pool" can >"$work/can" 2>&1; then
    no_pools "$(tail -n 1 "$work/can")"
  elif both provide_pool; then
    export TOKEN_REQUEST_REAL=yes POOL_ENV_STABLE=$work/stable.env POOL_ENV_TESTING=$work/testing.env
  else
    no_pools "a pool did not come up"
  fi
}

# both COMMAND: for the two releases at once
both() {
  local first
  "$1" stable &
  first=$!
  "$1" testing && wait "$first"
}

# provide_pool RELEASE: leaves what the tests need to know about it in $work/RELEASE.env; $work/RELEASE.ours says that it
# was not up before us, when it stays
provide_pool() {
  "$pool" env "$1" >"$work/$1.env" 2>/dev/null && return
  : >"$work/$1.ours"
  "$pool" up "$1" >"$work/$1.env" </dev/null
}

no_pools() {
  export TOKEN_REQUEST_REAL=no TOKEN_REQUEST_REAL_REASON=$1
  echo "tests with a real pool are skipped: $1" >&2
}

# stop_pools: those that were not up before
stop_pools() {
  [[ ${TOKEN_REQUEST_KEEP_POOLS-} == 1 ]] || both stop_pool >&2 || :
}

stop_pool() {
  [[ -e $work/$1.ours ]] || return 0
  rm "$work/$1.ours"
  "$pool" down "$1"
}

# finish: the one way out, after Ctrl-C too. Each lane is a process group.
finish() {
  local lane
  trap '' INT TERM
  for lane in "${lanes[@]}"; do
    kill -TERM -- "-$lane" 2>/dev/null || :
  done
  stop_pools
  rm -rf "$work"
}

# ---- Lanes ----

# run_lanes: all files, in so many lanes at once; waits for them
run_lanes() {
  local fast=() real=() file number count=${TOKEN_REQUEST_LANES:-$(nproc)}
  for file in "${files[@]}"; do
    if is_real "$file"; then real+=("$file"); else fast+=("$file"); fi
  done
  mkdir "$work/taken" "$work/units"
  # One file is shown as it goes.
  if ((${#files[@]} == 1)) && { ((${#real[@]} == 0)) || [[ -n $filter ]]; }; then
    in_lane only run_files '' "${files[@]}"
  else
    # The longest first, so that the last ones end together; its text is a measure.
    ((${#fast[@]} == 0)) || mapfile -t fast < <(ls -S "${fast[@]}")
    for ((number = 1; number <= (count < 4 ? count : 4) && number <= ${#fast[@]}; number++)); do
      in_lane "fast-$number" run_files '' "${fast[@]}"
    done
    if ((${#real[@]})) && [[ -n $filter || $TOKEN_REQUEST_REAL == no ]]; then
      in_lane real run_files '' "${real[@]}"
    elif ((${#real[@]})); then
      TOKEN_REQUEST_RELEASES=stable in_lane stable run_files '^stable: ' "${real[@]}"
      TOKEN_REQUEST_RELEASES=testing in_lane testing run_files '^testing: ' "${real[@]}"
    fi
  fi
  ((${#lanes[@]} == 0)) || wait "${lanes[@]}" || :
}

# in_lane NAME COMMAND...: in the background, in a process group and with a workbench of its own
in_lane() {
  set -m
  lane=$1 lane_of_commands "${@:2}" </dev/null &
  set +m
  lanes+=($!)
}

lane_of_commands() {
  trap - EXIT INT TERM
  set +m
  start_workbench "$work/workbench-$lane"
  "$@"
}

# run_files FILTER FILE...: those that no other lane has taken; with a filter each is this lane's own
run_files() {
  local file taken
  for file in "${@:2}"; do
    taken=$work/taken/${1:+$lane-}${file##*/}
    ! mkdir "$taken" 2>/dev/null || run_file "$1" "$file"
  done
}

# run_file FILTER FILE: besides what it shows, bats writes its unformatted stream to a file
run_file() {
  local unit formatter=tap began=$SECONDS status=0
  unit=$work/units/$lane-${2##*/}
  mkdir "$unit"
  if [[ $lane == only ]]; then
    [[ ! -t 1 ]] || formatter=pretty
    bats_file "$@" || status=$?
  else
    bats_file "$@" >"$unit/shown" 2>&1 || status=$?
  fi
  await_report "$unit" "$status"
  [[ -e $unit/shown ]] || return 0
  {
    flock 9
    printf '# %s%s: %s s\n' "$(basename "$2" .bats)" "${1:+, ${lane}}" "$((SECONDS - began))"
    grep -vE '^1\.\.[0-9]+$' "$unit/shown" || :
  } 9>"$work/shown"
}

bats_file() {
  BATS_REPORT_FILENAME=stream bats --timing --formatter "$formatter" --report-formatter cat --output "$unit" \
    ${1:+--filter "$1"} "${options[@]}" "$2"
}

# ---- Results ----

# await_report UNIT STATUS: counts and explains what is amiss, in the unit's own files. bats 1.8 does not wait for its
# report to be written, so a test without result may only be late.
await_report() {
  local passed failed skipped real_skipped missing deadline=$((SECONDS + report_within))
  until read -r passed failed skipped real_skipped missing < <(count "$1/stream") && ((missing == 0 || SECONDS >= deadline)); do
    sleep 0.05
  done
  {
    ((missing == 0)) || echo "${1##*/}: no result from $missing of the tests announced; they count as failed"
    if (($2 != 0 && failed + missing == 0)); then
      echo "${1##*/}: bats ended with status $2 though no test failed; that counts as a failure"
      failed=1
    fi
  } >"$1/complaints"
  echo "$passed $((failed + missing)) $skipped $real_skipped" >"$1/counts"
}

# count STREAM: prints how many tests passed, failed, were skipped, were skipped for want of a real pool, and have no
# result. A result line must bear the number of the test that has begun, for tests can print what they like; but no
# failure is overlooked. Names can contain anything, "# skip" too, so the name is taken off before looking.
count() {
  awk '
    NR == 1 && /^1\.\.[0-9]+$/  { planned = substr($0, 4) + 0 }
    /^suite /                   { real = $0 ~ /\/real_[^\/]*$/ }
    /^begin [0-9]+ /            { number = $2; name = substr($0, length("begin " $2 " ") + 1) }
    /^not ok [0-9]+ /           { failed++; ended[$3] }
    /^ok [0-9]+ / && $2 == number && !($2 in ended) {
      ended[$2]
      if (substr($0, length("ok " $2 " " name) + 1) ~ /^( in [0-9]+ms)? # skip/) { skipped++; real_skipped += real } else passed++
    }
    END {
      if (planned == "") missing++ # bats did not get as far as its plan
      for (i = 1; i <= planned; i++) if (!(i in ended)) missing++
      print passed + 0, failed + 0, skipped + 0, real_skipped + 0, missing + 0
    }' "$1" 2>/dev/null || echo 0 0 0 0 1
}

# report: explains what is amiss, names the slowest tests, prints the closing line; ends with the run's exit status
report() {
  local passed failed skipped real_skipped complaints line units
  units=$(find "$work/units" -mindepth 1 -maxdepth 1 -type d | wc -l)
  read -r passed failed skipped real_skipped < <(
    awk '{ p += $1; f += $2; s += $3; r += $4 } END { print p + 0, f + 0, s + 0, r + 0 }' "$work"/units/*/counts /dev/null
  )
  complaints=$(cat "$work"/units/*/complaints 2>/dev/null || :)
  if (($(find "$work/units" -name counts | wc -l) != units)); then
    complaints+=$'\na lane ended early; that counts as a failure'
    ((failed += 1))
  fi
  ((passed + failed + skipped > 0)) || complaints+=$'\nno test was run'
  if [[ -n ${CI-} ]] && ((real_skipped > 0)); then
    complaints+=$'\n'"CI must not skip tests with a real pool: ${TOKEN_REQUEST_REAL_REASON-$real_skipped skipped}"
  fi

  slowest
  grep . <<<"$complaints" >&2 || :
  line="$passed passed, $failed failed"
  ((skipped == 0)) || line+=", $skipped skipped"
  echo "$line"
  ((failed == 0)) && [[ -z ${complaints//$'\n'/} ]] || exit 1
}

# slowest: the ten tests that took longest
slowest() {
  ((units > 1)) || return 0
  echo '# the slowest tests:'
  grep -hE '^(not )?ok [0-9]+ .* in [0-9]+ms' "$work"/units/*/stream |
    sed -E 's/^(not )?ok [0-9]+ (.*) in ([0-9]+)ms.*/\3 \2/' | sort -rn |
    awk 'NR <= 10 { ms = $1; sub(/^[0-9]+ /, ""); printf "# %6.1f s  %s\n", ms / 1000, $0 }'
}

main "$@"
