#!/usr/bin/env bats
# Where the operating system is decided: in Platform and its two implementations, and nowhere else.
load lib

SOURCE=$TESTS_DIR/../TokenRequest.java

# code_of FILE: its lines without comments, each after the name of its type on the first level and a tab
code_of() {
  awk '
    /^    ([a-z]+ )*(class|record|interface|enum) [A-Z]/ {
      match($0, /(class|record|interface|enum) [A-Za-z]+/)
      type = substr($0, RSTART, RLENGTH)
      sub(/.* /, "", type)
    }
    /^ *(\*|\/\*|\/\/)/ || /^import / { next }
    { sub(/ \/\/ .*/, ""); print (type == "" ? "main" : type) "\t" $0 }
    /^    }$/ || /^    [a-z].*{ }$/ { type = "" }' "$1"
}

# What names a system or its places.
SYSTEM='os\.name|/proc|/etc|/dev|/tmp|/run|unix:|Posix|File\.separator'

# May do so: type, tab, pattern of the line. The reason is before each.
exceptions() {
  # The one place, with the rules of Unix owners and modes that it rests on.
  printf '%s\t%s\n' Platform . UnixPlatform . WindowsPlatform . PathTrust .
  # HTCondor's built-in values, which are the same text on every Unix.
  printf '%s\t%s\n' OtherParameters . Parameters 'ETC = \$\(LOCAL_DIR:/etc/condor\)'
}

@test "no section but Platform names an operating system or its places" {
  local type pattern
  code_of "$SOURCE" | grep -E -- "$SYSTEM" >found
  while IFS=$'\t' read -r type pattern; do
    # An exception that nobody needs any longer is not one.
    grep -Eq "^$type"$'\t'".*($pattern)" found || { echo "no longer needed: $type $pattern" && return 1; }
    grep -Ev "^$type"$'\t'".*($pattern)" found >left || :
    mv left found
  done < <(exceptions)
  cat found
  [[ ! -s found ]]
}

@test "a text becomes a path in one place" {
  run grep -nE '\bPath(s)?\.(of|get)\(|\.toPath\(\)' "$SOURCE"
  ((status == 1))
  # A path object of the file system comes from Platform, or, for the name of an entry, from the directory's own.
  diff <(printf '%s\n' OpenDirectory TokenWriter UnixPlatform WindowsPlatform) <(code_of "$SOURCE" | grep -F '.getPath(' | cut -f 1 | sort -u)
}

@test "no program is started by a bare name" {
  # The commands of a configuration are the administrator's; those of Platform are these.
  diff <(printf '%s\n' Platform Sources) <(code_of "$SOURCE" | grep -F 'ProcessBuilder(' | cut -f 1 | sort -u)
  run grep -nE 'programs\.(output|succeeds)\(' "$SOURCE"
  ((${#lines[@]} == 3))
  run grep -nvE 'programs\.(output|succeeds)\(("/bin/|systemRoot \+ ")' <(printf '%s\n' "${lines[@]}")
  ((status == 1))
}
