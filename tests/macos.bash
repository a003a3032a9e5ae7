# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables of those who load this
# The tool where things are as on macOS: no /proc; /tmp, /var and /etc are links into /private; the user is 501 with a home
# below /Users. It is a root folder in a mount namespace of the file's own. Load it with `load macos`, call start_mac in
# setup_file, mac_folders in setup and end_mac in teardown_file. `request` and `ask` run there.
load terminal

MAC_HOME=/Users/alice
MAC_NAME=Alices-Mac.test

# start_mac: sets MAC, the root folder, and MAC_PID, which keeps the namespace
start_mac() {
  local jdk entry number=0 classes=() up line
  ((EUID == 0)) || skip 'only root can have a root folder of its own'
  export MAC=$BATS_FILE_TMPDIR/mac MAC_PID MAC_CLASSPATH MAC_JAVA
  mkdir -p "$MAC"/{usr,dev,opt,private/{tmp,var/tmp,etc/ssl/certs},Users/{alice,Shared}}
  chmod 755 "$BATS_FILE_TMPDIR" "$MAC" "$MAC"/{private,private/etc,Users,Users/Shared}
  chmod 1777 "$MAC"/private/{tmp,var/tmp}
  ln -s private/tmp private/var private/etc "$MAC"
  for entry in bin sbin lib lib64; do
    [[ ! -e /$entry ]] || ln -s "usr/$entry" "$MAC/$entry"
  done
  printf '%s\n' root:x:0:0::/var/root:/bin/sh "alice:x:501:20::$MAC_HOME:/bin/sh" >"$MAC/etc/passwd"
  printf '%s\n' root:x:0: staff:x:20: >"$MAC/etc/group"
  printf '%s\n' '127.0.0.1 localhost' '::1 localhost' >"$MAC/etc/hosts"
  echo 'hosts: files' >"$MAC/etc/nsswitch.conf"
  # Debian keeps parts of a JDK there.
  for entry in /etc/java-*; do
    [[ ! -d $entry ]] || cp -rL "$entry" "$MAC/etc/"
  done
  [[ ! -d /etc/ssl/certs/java ]] || cp -rL /etc/ssl/certs/java "$MAC/etc/ssl/certs/"
  MAC_JAVA=$(readlink -f "$(type -P java)")
  jdk=${MAC_JAVA%/bin/java}
  IFS=: read -ra classes <<<"$TOKEN_REQUEST_CLASSPATH"
  for entry in "${classes[@]}"; do
    [[ -n $entry ]] || continue
    mkdir "$MAC/Users/Shared/$((++number))"
    cp -r "$entry" "$MAC/Users/Shared/$number/"
    MAC_CLASSPATH=${MAC_CLASSPATH:+$MAC_CLASSPATH:}/Users/Shared/$number/${entry##*/}
  done
  # shellcheck disable=SC2016 # for the shell in there
  exec {up}< <(exec unshare --uts --mount --propagation private sh -ec '
    hostname "$3"
    mount --rbind /usr "$1/usr"
    mount --rbind /dev "$1/dev"
    case $2 in /usr/*) ;; *) mkdir -p "$1$2" && mount --bind "$2" "$1$2" ;; esac
    echo up
    exec sleep infinity' sh "$MAC" "$jdk" "$MAC_NAME" 2>&1 3>&-)
  MAC_PID=$!
  IFS= read -r line <&"$up"
  [[ $line == up ]] || { echo "no root folder: $line" && return 1; }
  exec {up}<&-
}

end_mac() { [[ -z ${MAC_PID-} ]] || kill "$MAC_PID"; }

# mac_folders: an empty home and /tmp there
mac_folders() {
  setup_terminal
  find "$MAC/Users/alice" "$MAC/private/tmp" "$MAC/private/var/tmp" -mindepth 1 -delete
  rm -f "$MAC/etc/ssl/cert.pem"
  chown 501:20 "$MAC/Users/alice"
  environment=(PATH=/usr/bin:/bin LC_ALL=C.UTF-8 CONDOR_CONFIG=ONLY_ENV TERM=xterm _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS=CLAIMTOBE
    _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=false)
  properties=()
}

# mac_command ARGUMENT...: the command that runs the tool there, in the array mac
mac_command() {
  local options
  read -ra options <<<"$TOKEN_REQUEST_JAVA_OPTIONS"
  # An archive of classes is outside.
  options=("${options[@]/#-XX:SharedArchiveFile=*/-Xshare:auto}")
  # shellcheck disable=SC2016 # for the shell in there
  mac=(nsenter --target "$MAC_PID" --mount --uts chroot "$MAC" setpriv --reuid=501 --regid=20 --clear-groups
    # Without /proc the loader does not know where a program is.
    env -i '--default-signal=HUP,INT,TERM' "LD_LIBRARY_PATH=${MAC_JAVA%/bin/java}/lib" "${environment[@]}" "${settings[@]}"
    sh -c "echo \$\$ >/tmp/process; cd ${there:-$MAC_HOME} && exec \"\$@\"" sh
    "$MAC_JAVA" "${options[@]}" -Duser.name=alice "-Duser.home=$MAC_HOME" "${properties[@]}" -cp "$MAC_CLASSPATH"
    tokenrequest.OtherSystem 'Mac OS X' "$@")
}

run_tool() {
  local mac
  mac_command "$@"
  status=0
  "${mac[@]}" >"$BATS_TEST_TMPDIR/stdout" 2>"$BATS_TEST_TMPDIR/stderr" <"${input:-/dev/null}" || status=$?
}

# mac_terminal ARGUMENT...: at_terminal there
mac_terminal() {
  local mac
  mac_command "$@"
  terminal_for "${mac[@]}"
}

# mac_send SIGNAL: to the tool there
mac_send() { kill -"$1" "$(<"$MAC/private/tmp/process")"; }
