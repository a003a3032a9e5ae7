# shellcheck shell=bash
# Makes sure that commands exist. To be sourced; then:  require_commands java jq ...
#
# As root what is missing is installed with the machine's own package manager. Anybody else is told what to type, and
# the script ends with status 2.

# Where root-only programs are; `su` without a dash leaves them out.
PATH=$PATH:/usr/sbin:/sbin

# Command, Debian's package, Fedora's package. A command that is not here is in a package of its own name. A name
# python3:MODULE is a module of Python.
packages_of_commands='
java        default-jdk-headless  java-latest-openjdk-devel
javac       default-jdk-headless  java-latest-openjdk-devel
keytool     default-jdk-headless  java-latest-openjdk-devel
mvn         maven                 maven
shellcheck  shellcheck            ShellCheck
ip          iproute2              iproute
ss          iproute2              iproute
nft         nftables              nftables
script      bsdutils              util-linux-script
flock       util-linux            util-linux
setpriv     util-linux            util-linux
unshare     util-linux            util-linux
nsenter     util-linux            util-linux
setsid      util-linux            util-linux
ps          procps                procps-ng
awk         mawk                  gawk
diff        diffutils             diffutils
python3:jsonschema  python3-jsonschema  python3-jsonschema
python3:yaml  python3-yaml  python3-pyyaml
'

# Oldest JDK that will do.
jdk_at_least=17

# has NAME: whether it is there; for a module, whether one of the interpreters that tests/validate tries can import it;
# for a program of the JDK, whether that is new enough
has() {
  case $1 in
    java | javac)
      command -v "$1" && [[ $("$1" -version 2>&1) =~ (version |javac )\"?([0-9]+) ]] && ((BASH_REMATCH[2] >= jdk_at_least))
      ;;
    python3:*) /usr/bin/python3 -c "import ${1#*:}" || python3 -c "import ${1#*:}" ;;
    *) command -v "$1" ;;
  esac >/dev/null 2>&1
}

# require_commands NAME...: returns when every one of them can be run
require_commands() {
  local missing=() packages update=() install name
  for name in "$@"; do
    has "$name" || missing+=("$name")
  done
  ((${#missing[@]})) || return 0
  if command -v apt-get >/dev/null; then
    packages=$(packages_of 2 "${missing[@]}")
    update=(apt-get update)
    install=(apt-get install --yes --no-install-recommends)
  elif command -v dnf >/dev/null; then
    packages=$(packages_of 3 "${missing[@]}")
    install=(dnf install --assumeyes --setopt=install_weak_deps=False)
  else
    echo "missing here, please install: ${missing[*]}" >&2
    exit 2
  fi
  read -ra packages <<<"$packages"
  install+=("${packages[@]}")
  if ((EUID != 0)); then
    echo "missing here: ${missing[*]}; please type: sudo ${update[*]:+${update[*]} && sudo }${install[*]}" >&2
    exit 2
  fi
  echo "installing ${packages[*]}" >&2
  install_packages
  for name in "${missing[@]}"; do
    has "$name" || { echo "still no $name after: ${install[*]}" >&2; exit 2; }
  done
}

# packages_of COLUMN NAME...: the packages that hold these commands, by that column of the table, on one line
packages_of() {
  local column=$1 name
  shift
  for name in "$@"; do
    awk -v name="$name" -v column="$column" \
      '$1 == name { package = $column } END { print package ? package : name }' <<<"$packages_of_commands"
  done | sort -u | paste -sd ' '
}

# install_packages: runs its caller's `install`, with `update` before it only if need be: the lists of a machine in use
# are mostly good enough, a fresh one has none. What they say is worth reading only when they fail.
install_packages() {
  local log
  log=$(mktemp)
  if ! quietly "${install[@]}" && ! { ((${#update[@]})) && quietly "${update[@]}" && quietly "${install[@]}"; }; then
    cat "$log" >&2
    rm -f "$log"
    echo "failed: ${install[*]}" >&2
    exit 2
  fi
  rm -f "$log"
}

quietly() {
  DEBIAN_FRONTEND=noninteractive "$@" </dev/null >>"$log" 2>&1
}
