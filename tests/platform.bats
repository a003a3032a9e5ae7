#!/usr/bin/env bats
# Where the operating system is decided: in Platform and its two implementations, and nowhere else.
load events

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
  printf '%s\t%s\n' Platform . UnixPlatform . PathTrust .
  # HTCondor's built-in values and templates, which are the same text on every Unix.
  printf '%s\t%s\n' OtherParameters . Parameters 'ETC = \$\(LOCAL_DIR:/etc/condor\)' Templates 'NEAREST_CACHE=unix:'
  # A name within the JVM's own class path.
  printf '%s\t%s\n' Host 'contains\("\." \+ hash \+ File\.separator\)'
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
  # Host checks that the locale can represent the home; the others take the names of entries, and an empty path.
  diff <(printf '%s\n' Host OpenDirectory TokenWriter UnixPlatform WindowsPlatform) <(code_of "$SOURCE" | grep -F '.getPath(' | cut -f 1 | sort -u)
}

@test "no program is started by a bare name" {
  # The commands of a configuration are the administrator's; those of Platform are these.
  diff <(printf '%s\n' Platform Sources) <(code_of "$SOURCE" | grep -F 'ProcessBuilder(' | cut -f 1 | sort -u)
  run grep -nE 'programs\.(output|succeeds)\(' "$SOURCE"
  ((${#lines[@]} == 4))
  run grep -nvE 'programs\.(output|succeeds)\(("/bin/|systemRoot \+ ")' <(printf '%s\n' "${lines[@]}")
  ((status == 1))
  # The other JVM of -prepare is that of this one, by its directory.
  [[ $(grep -c 'programs\.java(' "$SOURCE") == 1 ]]
  grep -q 'return runtime\.home() + "/bin/java";' "$SOURCE"
}

# ---- Texts of other systems, and addresses with a zone ----

# marked ENCODING FILE: rewrites it as Windows' own programs do: a byte-order mark, CRLF
marked() {
  sed -i 's/$/\r/' "$2"
  case $1 in
    UTF-8) sed -i $'1s/^/\xef\xbb\xbf/' "$2" ;;
    *) { printf '\xff\xfe' && iconv -t UTF-16LE "$2"; } >"$2.marked" && mv "$2.marked" "$2" ;;
  esac
}

# enqueue: leaves the enqueued event of a new request in request.json
enqueue() {
  request -json -nowait -pool "$HERE" -identity alice@own.test
  assert_status 0
  cp "$BATS_TEST_TMPDIR/stdout" request.json
  chmod 600 request.json
}

@test "a saved request is resumed from UTF-8 and UTF-16 with a byte-order mark and CRLF, from a file and from stdin" {
  local encoding
  authenticate_by CLAIMTOBE
  pool_with --methods CLAIMTOBE --token "$TOKEN"
  for encoding in UTF-8 UTF-16; do
    enqueue
    marked "$encoding" request.json
    input=request.json request -resume -
    assert_status 0
    diff - "$BATS_TEST_TMPDIR/stdout" <<<"$TOKEN"
    enqueue
    marked "$encoding" request.json
    request -resume request.json
    assert_status 0
    diff - "$BATS_TEST_TMPDIR/stdout" <<<"$TOKEN"
  done
}

@test "a configuration and a CA file have a byte-order mark and CRLF" {
  pool_with --methods SSL --token "$TOKEN" --auto-approve
  cat >condor_config <<'CONFIGURATION'
UID_DOMAIN = \
  own.test
SEC_DEFAULT_AUTHENTICATION_METHODS = SSL
CONFIGURATION
  cp "$LOOPBACK_CA" ca.pem
  marked UTF-8 condor_config
  marked UTF-8 ca.pem
  unset _CONDOR_AUTH_SSL_CLIENT_CAFILE
  CONDOR_CONFIG=$PWD/condor_config request -pool "$HERE" -identity alice -cafile ca.pem
  assert_status 0
  diff - "$BATS_TEST_TMPDIR/stdout" <<<"$TOKEN"
}

@test "a request at an address with a zone is resumed there" {
  local address
  authenticate_by CLAIMTOBE
  pool_with --methods CLAIMTOBE --token "$TOKEN"
  enqueue
  for address in 'fe80::1%1' '::1%1'; do
    sed -E "s/<127\.0\.0\.1:/<[$address]:/; s/\"deadline\":\"[^\"]*\"/\"deadline\":\"2000-01-01T00:00:00Z\"/" request.json >zone.json
    chmod 600 zone.json
    request -resume zone.json -timeout 1
    # Nobody listens there. That is not a fault of the file (2).
    assert_status 6
    [[ $(<"$BATS_TEST_TMPDIR/stderr") == *"$address"* ]]
  done
  sed -E 's/<127\.0\.0\.1:/<[fe80::1%]:/' request.json >zone.json
  request -resume zone.json
  assert_status 2
}

@test "-debug tells which CAs were used" {
  pool_with --methods SSL --token "$TOKEN" --auto-approve
  request -pool "$HERE" -identity alice@own.test -debug
  assert_status 0
  grep -qF "CAs: $LOOPBACK_CA (1)" "$BATS_TEST_TMPDIR/stderr"
}
