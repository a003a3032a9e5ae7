# shellcheck shell=bash disable=SC2034 # SETTINGS is for the scripts that load this
# What the scripts here hand on to HTCondor's tools.

# caller_settings: sets SETTINGS to the HTCondor settings in our environment, as NAME=VALUE. (Some names hold a dot, so
# they are no variables to the shell.)
caller_settings() {
  local entry
  SETTINGS=()
  while IFS= read -r -d '' entry; do
    case $entry in _CONDOR_*=* | CONDOR_CONFIG=*) SETTINGS+=("$entry") ;; esac
  done < <(env --null)
}
