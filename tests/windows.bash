# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables of those who load this
# The tool on Windows in memory (tests/support/WindowsBench.java), in a JVM that stays for the tests of one file. Load it
# with `load windows`, call start_windows in setup_file and windows_folders in setup. `request` and `ask` run there.
load terminal

# What the JVM finds on Windows.
WINDOWS_OPTIONS=(-Djava.nio.file.spi.DefaultFileSystemProvider=tokenrequest.WindowsFiles -Dos.version=10.0 -Duser.name=alice
  '-Duser.home=C:\Users\alice')
# The bench answers at once, or has died.
ANSWERED_WITHIN=30
# Its home and its working folder, in the folder of drives.
PROFILE=c/Users/alice
HERE_ON_C=$PROFILE/work

start_windows() {
  local options
  export WINDOWS=$BATS_FILE_TMPDIR/windows
  mkdir -p "$WINDOWS"
  mkfifo "$WINDOWS/calls"
  exec {windows_kept}<>"$WINDOWS/calls"
  read -ra options <<<"$TOKEN_REQUEST_JAVA_OPTIONS"
  # The bench ends with the shell of the file.
  java "${options[@]}" "${WINDOWS_OPTIONS[@]}" -cp "$TOKEN_REQUEST_CLASSPATH" tokenrequest.WindowsBench "$WINDOWS/calls" "$$" \
    </dev/null >"$WINDOWS/log" 2>&1 3>&- &
}

# windows_folders: empty drives but for the user's folders; the environment of a user there
windows_folders() {
  own_folders
  drives=$BATS_TEST_TMPDIR/drives
  mkdir -p "$drives/$HERE_ON_C" "$drives/d"
  cd "$drives" || return
  environment=('USERPROFILE=C:\Users\alice' COMPUTERNAME=LAPTOP USERNAME=alice 'SystemRoot=C:\Windows'
    'APPDATA=C:\Users\alice\AppData\Roaming' CONDOR_CONFIG=ONLY_ENV _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS=CLAIMTOBE)
  circumstances=()
}

# run_tool ARGUMENT...: what `request` and `ask` run. `environment` is all of it, `settings` comes last.
run_tool() {
  local dir=$BATS_TEST_TMPDIR file answer
  status=0
  : >"$dir/stdout"
  file=$dir/call-$BASHPID-$((++calls))
  mkfifo "$file.answer"
  {
    printf '%s\0' run "${REQUEST_MAIN:-TokenRequest}" "$drives" "${input:-/dev/null}" "$dir/stdout" "$dir/stderr"
    ((${#circumstances[@]} == 0)) || printf '%s\0' "${circumstances[@]}"
    printf '\0'
    env -i "${environment[@]}" "${settings[@]}" env --null
    printf '\0'
    (($# == 0)) || printf '%s\0' "$@"
  } >"$file"
  answer_to "$WINDOWS/calls" "$file"
  status=$answer
  [[ $answer =~ ^[0-9]+$ ]] || { echo "the bench says: $answer $(tail -n 3 "$WINDOWS/log")" && status=255; }
}

# windows_command ARGUMENT...: the same as a process with the tool's own main, in the array windows; programs are those of
# `path`
windows_command() {
  local options
  read -ra options <<<"$TOKEN_REQUEST_JAVA_OPTIONS"
  windows=(env -i '--default-signal=HUP,INT,TERM' PATH="${path:-/usr/bin}" "${environment[@]}" "${settings[@]}" "$(type -P java)"
    "${options[@]}" "${WINDOWS_OPTIONS[@]}" -cp "$TOKEN_REQUEST_CLASSPATH" tokenrequest.WindowsBench --process "$drives" "$@")
}

# windows_process ARGUMENT...: runs it
windows_process() {
  local windows
  windows_command "$@"
  status=0
  "${windows[@]}" >"$BATS_TEST_TMPDIR/stdout" 2>"$BATS_TEST_TMPDIR/stderr" <"${input:-/dev/null}" || status=$?
}

# list_of PATH: owner and access control list of a file on the drives
list_of() { WANTED=$1 awk -F '\t' 'tolower($1) == tolower(ENVIRON["WANTED"]) { print $2 "\t" $3 }' "$drives/lists"; }

# guard PATH OWNER LIST: what the next run finds
guard() { printf '%s\t%s\t%s\n' "$@" >>"$drives/lists"; }

# touched PATTERN: how often the last run touched such a path, as an extended regular expression
touched() { grep -Eic -- "$1" "$drives/touched" || :; }

OWN='LAPTOP\alice'
OWN_LIST='LAPTOP\alice=all'
