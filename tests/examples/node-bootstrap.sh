#!/usr/bin/env bash
# Lets this machine join a pool: gets the token with which its daemons log in there, and has them use it. As root:
#
#   node-bootstrap.sh POOL [OPTION...]
#
# OPTIONs are those of condor_token_request: another -authz for more than an execute node, or -owner where the daemons are
# not started as root, since they only read tokens that are theirs. It waits a day for an administrator, and asks anew if
# the pool forgets the request meanwhile. It may be run as often as you like: a token that is there stays, and the daemons
# read their settings once more.
set -euo pipefail
pool=${1:?is the pool to join, such as cm.example.org}
request=${CONDOR_TOKEN_REQUEST:-condor_token_request}

# Every file in this directory is a token to the daemons. The name says which pool it is for.
directory=$(condor_config_val SEC_TOKEN_SYSTEM_DIRECTORY)
token=$directory/${pool//[^[:alnum:].-]/_}

if [[ ! -s $token ]]; then
  install -d -m 700 "$directory"
  "$request" -pool "$pool" -authz ADVERTISE_STARTD -authz ADVERTISE_MASTER "${@:2}" \
    -file "$token" -timeout 86400 -resubmit -verify
fi

condor_reconfig
