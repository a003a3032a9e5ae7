#!/usr/bin/env bash
# A token in two steps, for Ansible and the like, which do not sit and wait while an administrator makes up his mind.
#
#   two-step.sh ask  STATE TOKEN [OPTION...]   asks for a token; OPTIONs are those of condor_token_request
#   two-step.sh take STATE TOKEN               fetches it, when it has been approved
#
# STATE and TOKEN are files. `ask` prints what the administrator has to type. `take` ends with 6 while the request is
# pending, with 5 when it is gone for good; then `ask` anew. Either may be repeated at any time and does nothing that has
# been done. Both files are for your eyes only: who has STATE can fetch the token.
#
#   - command: two-step.sh ask /etc/condor/request /etc/condor/tokens.d/pool -pool cm.example.org -authz READ
#   - command: two-step.sh take /etc/condor/request /etc/condor/tokens.d/pool
#     register: taken
#     until: taken.rc != 6
#     retries: 100
#     delay: 30
set -euo pipefail
umask 077
step=${1-} state=${2:?is the file for the request} token=${3:?is the file for the token}
request=${CONDOR_TOKEN_REQUEST:-condor_token_request}

[[ ! -s $token ]] || exit 0

case $step in
  ask)
    if [[ ! -s $state ]]; then
      "$request" -nowait -json -quiet "${@:4}" -file "$token" >"$state.new"
      mv "$state.new" "$state" # only now, so that it is there as a whole or not at all
    fi
    jq -r 'select(.event == "enqueued").approve_with' "$state" # nothing, if a rule of the pool has approved at once
    ;;
  take)
    status=0
    "$request" -quiet -resume "$state" -file "$token" -timeout 0 || status=$?
    ((status != 0 && status != 5)) || rm -f "$state"
    exit "$status"
    ;;
  *) echo "${0##*/}: ask or take, not '$step'" >&2 && exit 2 ;;
esac
