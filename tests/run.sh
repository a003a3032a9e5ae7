#!/usr/bin/env bash
# Runs the tests, after installing what they need. The last line counts:  N passed, N failed, N skipped
#
#   tests/run.sh                         every test
#   tests/run.sh json polling.bats       the tests of these files
#   tests/run.sh -f 'exits 5' [FILE...]  the tests whose name matches; other options of bats will do as well
#
# Tests against a real HTCondor pool (real_*.bats) get their pools from tests/pool/pool.sh. Where that is not possible
# they are skipped; with CI set in the environment a skipped one fails the run.
#
#   TOKEN_REQUEST_REAL=no       skip them anyway
#   TOKEN_REQUEST_KEEP_POOLS=1  leave the pools running, for a faster next run
#   TOKEN_REQUEST_CACHE         where JBang, Error Prone and pools are kept (default: token-request in the user's cache folder)
#
# Exit status: 0 all is well, 1 a test failed or did not run, 2 something needed is missing.
set -euo pipefail
tests=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
pool=$tests/pool/pool.sh

# Longest wait for bats to finish writing its report, seconds.
report_within=5

# shellcheck source=tests/prerequisites.sh
source "$tests/prerequisites.sh"

main() {
  local options=() files=() status=0
  parse_arguments "$@"
  require_commands git bats jq shellcheck openssl awk diff python3:jsonschema zsh script mvn flock
  [[ -n ${JAVA_HOME-} ]] || require_commands java javac
  PATH=$PATH:$tests/bin

  work=$(mktemp -d)
  started=()
  trap finish EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM

  provide_pools
  run_bats || status=$?
  stop_pools # before the closing line, since it narrates
  report "$status"
}

# parse_arguments ARGUMENT...: to `options` for bats and `files`. A file may go by its bare name.
parse_arguments() {
  local name
  while (($# > 0)); do
    case $1 in
      -h | --help)
        sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"
        exit 0
        ;;
      -f | --filter | --filter-tags | --filter-status)
        options+=("$1" "${2?$1 needs a value}")
        shift
        ;;
      -*) options+=("$1") ;;
      *)
        name=${1##*/}
        [[ -f $tests/${name%.bats}.bats ]] || { echo "no tests/${name%.bats}.bats" >&2 && exit 2; }
        files+=("$tests/${name%.bats}.bats")
        ;;
    esac
    shift
  done
  ((${#files[@]})) || files=("$tests"/*.bats)
}

# ---- Real pools ----

# provide_pools: if any of the tests wanted needs a pool, brings both up, or sets TOKEN_REQUEST_REAL=no and the reason
provide_pools() {
  local real=() file
  for file in "${files[@]}"; do
    [[ $file != */real_* ]] || real+=("$file")
  done
  ((${#real[@]})) && [[ $(bats --count "${options[@]}" "${real[@]}") != 0 ]] || return 0
  if [[ ${TOKEN_REQUEST_REAL-} == no ]]; then
    no_pools "TOKEN_REQUEST_REAL=no"
  elif ! "$pool" can >"$work/can" 2>&1; then
    no_pools "$(tail -n 1 "$work/can")"
  elif provide_pool stable && provide_pool testing; then
    export TOKEN_REQUEST_REAL=yes POOL_ENV_STABLE=$work/stable.env POOL_ENV_TESTING=$work/testing.env
  else
    no_pools "a pool did not come up"
  fi
}

# provide_pool RELEASE: leaves what the tests need to know about it in $work/RELEASE.env
provide_pool() {
  "$pool" env "$1" >"$work/$1.env" 2>/dev/null && return # it was up before us; so it stays
  started+=("$1")
  "$pool" up "$1" >"$work/$1.env" </dev/null
}

no_pools() {
  export TOKEN_REQUEST_REAL=no TOKEN_REQUEST_REAL_REASON=$1
  echo "tests with a real pool are skipped: $1" >&2
}

# stop_pools: those that were not up before
stop_pools() {
  local release
  [[ ${TOKEN_REQUEST_KEEP_POOLS-} != 1 ]] || return 0
  for release in "${started[@]}"; do
    "$pool" down "$release" >&2 || :
  done
  started=()
}

# finish: the one way out, after Ctrl-C too
finish() {
  trap '' INT TERM
  stop_pools
  rm -rf "$work"
}

# ---- Tests ----

# run_bats: besides what it shows, bats writes its unformatted stream to a file: TAP in which the test files are named
run_bats() {
  local formatter=tap
  [[ ! -t 1 ]] || formatter=pretty
  mkdir "$work/report"
  : >"$work/report/stream"
  BATS_REPORT_FILENAME=stream bats --formatter "$formatter" --report-formatter cat --output "$work/report" \
    "${options[@]}" "${files[@]}"
}

# report STATUS: counts, explains what is amiss, prints the closing line; ends with the run's exit status
report() {
  local bats_status=$1 passed failed skipped real_skipped missing complaints=() line
  local deadline=$((SECONDS + report_within))
  # bats 1.8 does not wait for its report to be written; a test without result may only be late.
  until read -r passed failed skipped real_skipped missing < <(count) && ((missing == 0 || SECONDS >= deadline)); do
    sleep 0.1
  done

  ((missing == 0)) || complaints+=("no result from $missing of the tests announced; they count as failed")
  ((failed += missing)) || :
  if ((bats_status != 0 && failed == 0)); then
    complaints+=("bats ended with status $bats_status though no test failed; that counts as a failure")
    failed=1
  fi
  ((passed + failed + skipped > 0)) || complaints+=("no test was run")
  if [[ -n ${CI-} ]] && ((real_skipped > 0)); then
    complaints+=("CI must not skip tests with a real pool: ${TOKEN_REQUEST_REAL_REASON-$real_skipped skipped}")
  fi

  for line in "${complaints[@]}"; do
    echo "$line" >&2
  done
  line="$passed passed, $failed failed"
  ((skipped == 0)) || line+=", $skipped skipped"
  echo "$line"
  ((failed == 0 && ${#complaints[@]} == 0)) || exit 1
}

# count: prints how many tests passed, failed, were skipped, were skipped for want of a real pool, and have no result. A
# result line must bear the number of the test that has begun, for tests can print what they like; but no failure is
# overlooked. Names can contain anything, "# skip" too, so the name is taken off before looking.
count() {
  awk '
    NR == 1 && /^1\.\.[0-9]+$/  { planned = substr($0, 4) + 0 }
    /^suite /                   { real = $0 ~ /\/real_[^\/]*$/ }
    /^begin [0-9]+ /            { number = $2; name = substr($0, length("begin " $2 " ") + 1) }
    /^not ok [0-9]+ /           { failed++; ended[$3] }
    /^ok [0-9]+ / && $2 == number && !($2 in ended) {
      ended[$2]
      if (substr($0, length("ok " $2 " " name) + 1) ~ /^ # skip/) { skipped++; real_skipped += real } else passed++
    }
    END {
      if (planned == "") missing++ # bats did not get as far as its plan
      for (i = 1; i <= planned; i++) if (!(i in ended)) missing++
      print passed + 0, failed + 0, skipped + 0, real_skipped + 0, missing + 0
    }' "$work/report/stream"
}

main "$@"
