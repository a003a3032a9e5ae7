#!/usr/bin/env bash
# A CI job that gets a token for one run: it asks, an administrator approves, COMMAND uses it.
#
#   POOL=cm.example.org ci-job.sh COMMAND [ARGUMENT...]
#
# COMMAND finds the token where HTCondor's tools look for tokens, and its path in TOKEN_FILE. The token never shows up in
# the log of the job, and is gone when the job is.
#
# Exit status: COMMAND's. Without a token, 75 if it is worth while to start the job again, as when nobody has approved it
# in time or the pool was away; else that of condor_token_request, such as 1 refused, 2 misused, 4 not trusted.
set -euo pipefail
: "${POOL:?is the pool to ask, such as cm.example.org}" "${1:?is the command to run}"
request=${CONDOR_TOKEN_REQUEST:-condor_token_request}

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# -strict and -verify: rather no token than one that is not as ordered, or that the pool does not take.
order=(-pool "$POOL" -authz READ -authz WRITE -lifetime 3600 -strict -verify -timeout "${APPROVE_WITHIN:-900}")
[[ -z ${IDENTITY-} ]] || order+=(-identity "$IDENTITY")

status=0
"$request" -json -quiet "${order[@]}" -file "$folder/token" |
  while IFS= read -r line; do
    case $(jq -r .event <<<"$line") in
      enqueued) jq -r '"To approve this job until \(.deadline), type:  \(.approve_with)"' <<<"$line" ;;
      issued) jq -r '"Got a token for \(.claims.sub)."' <<<"$line" ;;
      failed) ! jq -e .retryable <<<"$line" >/dev/null || touch "$folder/retryable" ;; # stderr says why
    esac
  done || status=$?
if ((status != 0)); then
  [[ ! -e $folder/retryable ]] || status=75
  exit "$status"
fi

TOKEN_FILE=$folder/token _CONDOR_SEC_TOKEN_DIRECTORY=$folder "$@"
