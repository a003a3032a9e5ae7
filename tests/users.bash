# shellcheck shell=bash disable=SC2034 # variables for the files that load this
# Another local user, for tests of what he can do to us, and of us as an ordinary user. Load it with `load users`, call
# common_folder in setup and remove_common_folder in teardown.

# An ordinary user without any group, whose number is known everywhere.
OTHER=65534
as_other=(setpriv --reuid="$OTHER" --regid="$OTHER" --clear-groups --)

# Another ordinary user, as a container may have: no name, no home.
VICTIM=61234
# This number has no name, so the test names what CLAIMTOBE claims.
as_victim=(env _CONDOR_SEC_CLAIMTOBE_USER=victim setpriv --reuid="$VICTIM" --regid="$VICTIM" --clear-groups --)

# common_folder: sets COMMON, a folder that only root can change and everybody can read, on a way that is alike (the
# folders of bats are closed to others), and COMMON_CLASSPATH, the program in it. Skips the test where that takes root.
common_folder() {
  local jars jar
  ((EUID == 0)) || skip "only root can be several users"
  COMMON=$(mktemp -d /tmp/token-request-test.XXXXXX)
  chmod 0755 "$COMMON"
  mapfile -t jars < <(tr : '\n' <<<"$TOKEN_REQUEST_CLASSPATH" | awk '!seen[$0]++')
  mkdir "$COMMON/jars"
  cp "${jars[@]}" "$COMMON/jars"
  # In the same order: several jars have the same classes.
  COMMON_CLASSPATH=
  for jar in "${jars[@]}"; do COMMON_CLASSPATH+=${COMMON_CLASSPATH:+:}$COMMON/jars/${jar##*/}; done
}

# as_user_victim: from here on the tool runs as the user VICTIM, whose home is the folder home in COMMON
as_user_victim() {
  settings=("${as_victim[@]}" env HOME="$COMMON/home")
  export HOME=$COMMON/home TOKEN_REQUEST_CLASSPATH=$COMMON_CLASSPATH
  # The archive of classes lies in a folder of root's.
  TOKEN_REQUEST_JAVA_OPTIONS=${TOKEN_REQUEST_JAVA_OPTIONS% -Xshare:auto*}
  cd "$COMMON" || return
}

remove_common_folder() { [[ -z ${COMMON-} ]] || rm -rf "$COMMON"; }
