#!/usr/bin/env bash
# Lets this machine join a pool: gets the token with which its daemons authenticate there, and makes them use it. As root:
#
#   node-bootstrap.sh POOL [OPTION...]
#
# OPTIONs are those of condor_token_request: more levels (-authz) than an execute node needs, or -owner where the daemons do
# not start as root, since they read only tokens of their own. It waits a day for an administrator. Run it as often as you
# like: a current token stays, and one that nears its end is renewed.
set -euo pipefail
pool=${1:?the pool to join, such as cm.example.org}
request=${CONDOR_TOKEN_REQUEST:-condor_token_request}

# The daemons read every file in this directory as a token. The name says for which pool it is.
directory=$(condor_config_val SEC_TOKEN_SYSTEM_DIRECTORY)
install -d -m 700 "$directory"
"$request" -ensure -pool "$pool" -authz ADVERTISE_STARTD -authz ADVERTISE_MASTER "${@:2}" \
  -file "$directory/${pool//[^[:alnum:].-]/_}" -timeout 86400 -resubmit -verify

condor_reconfig
