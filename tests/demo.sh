#!/usr/bin/env bash
# Shows a token being requested, approved and delivered, on this machine alone.
#
#   tests/demo.sh          on an embedded stand-in for a pool; needs neither root nor HTCondor
#   tests/demo.sh --real   on a real HTCondor pool in a chroot (as root, on a Debian-like system; about a minute at first)
#
# It installs what it needs with the system's package manager when root, else it says what to install.
set -euo pipefail
tests=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# shellcheck source=tests/prerequisites.sh
source "$tests/prerequisites.sh"

main() {
  case ${1-} in
    '') demo=embedded ;;
    --real) demo=real ;;
    *)
      sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"
      [[ $1 == -h || $1 == --help ]] && exit 0
      exit 2
      ;;
  esac
  [[ -n ${JAVA_HOME-} ]] || require_commands java javac
  command -v jbang >/dev/null || require_commands mvn flock # what tests/bin/jbang needs
  PATH=$PATH:$tests/bin
  work=$(mktemp -d)
  trap finish EXIT
  "$demo"
}

finish() {
  exec 3>&- # the embedded pool ends when its input does
  [[ -z ${started-} ]] || "$tests/pool/pool.sh" down "$started" >&2
  rm -rf "$work"
}

# embedded: the pool approves as soon as a file exists
embedded() {
  say "# An embedded pool starts. It stands in for the collector of an HTCondor pool."
  mkfifo "$work/stdin" "$work/ready"
  jbang --quiet "$tests/support/LoopbackPool.java" --until-eof --ca-file "$work/ca.pem" --approve-on "$work/approved" \
    --methods SSL <"$work/stdin" >"$work/ready" 3>&- &
  exec 3>"$work/stdin"
  read -r line <"$work/ready"
  eval "$line" # LOOPBACK_PORT and LOOPBACK_CA, quoted for the shell by the pool
  approve() { touch "$work/approved"; }
  request "localhost:${LOOPBACK_PORT:?}" "${LOOPBACK_CA:?}" "touch approved   (the embedded pool's administrator)"
}

real() {
  local release=stable
  "$tests/pool/pool.sh" can
  say "# A real HTCondor pool starts."
  if ! "$tests/pool/pool.sh" env "$release" >"$work/pool"; then
    "$tests/pool/pool.sh" up "$release" >"$work/pool" </dev/null
    started=$release
  fi
  # shellcheck source=/dev/null
  source "$work/pool"
  approve() { "$tests/pool/pool.sh" approve "$release" "$1" >&2; }
  say "# It is HTCondor ${POOL_VERSION:?}."
  request "${POOL_HOST:?}:${POOL_PORT:?}" "${POOL_CA:?}" "condor_token_request_approve -reqid ID"
}

# request POOL CA APPROVAL: requests a token over SSL, approves it as soon as its ID is on stderr, prints it
request() {
  local line id
  say '' "\$ export _CONDOR_AUTH_SSL_CLIENT_CAFILE=$2 _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS=SSL" \
    "\$ jbang TokenRequest.java -pool $1 -identity alice@pool.test -authz READ -lifetime 600"
  mkfifo "$work/stderr"
  _CONDOR_AUTH_SSL_CLIENT_CAFILE=$2 _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS=SSL jbang --quiet "$tests/../TokenRequest.java" \
    -pool "$1" -identity alice@pool.test -authz READ -lifetime 600 >"$work/token" 2>"$work/stderr" 3>&- &
  while read -r line; do
    say "$line"
    id=$(sed -n 's/^Token request enqueued\..* request \([0-9]\{7\}\)\.$/\1/p' <<<"$line")
    if [[ -n $id ]]; then
      say '' "# The administrator approves it: $3"
      approve "$id"
    fi
  done <"$work/stderr"
  wait $!
  say '' "# Only the token is on stdout:"
  cat "$work/token"
}

say() { printf '%s\n' "$@" >&2; }

main "$@"
