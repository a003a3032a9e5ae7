#!/usr/bin/env bats
# What TokenRequest.java, its tests and README.md promise about themselves.

setup() { cd "$TESTS_DIR/.." || return; }

SOURCE=TokenRequest.java

# sections_with PATTERN: the types on the first level in whose code the pattern occurs; "main" for what is outside of them
sections_with() {
  PATTERN=$1 awk '
    /^import / { next }
    /^    ([a-z]+ )*(class|record|interface|enum) [A-Z]/ {
      match($0, /(class|record|interface|enum) [A-Za-z]+/)
      type = substr($0, RSTART, RLENGTH)
      sub(/.* /, "", type)
    }
    # A comment between two types belongs to neither.
    /^ *(\*|\/\*|\/\/)/ { next }
    $0 ~ ENVIRON["PATTERN"] { print (type == "" ? "main" : type) }
    /^    }$/ || /^    [a-z].*{ }$/ { type = "" }' "$SOURCE" | sort -u | paste -sd ' '
}

# at_the_door PATTERN TYPE...: the pattern occurs in exactly these types
at_the_door() { diff <(printf '%s\n' "${@:2}" | sort | paste -sd ' ') <(sections_with "$1"); }

# reasons: a line "status code" for every one of the enum
reasons() { sed -nE 's/^        [A-Z_]+\(([0-9]+), "([a-z_]+)"\)[,;]$/\1 \2/p' "$SOURCE"; }

# help: what -help prints
help() { java -cp "$TOKEN_REQUEST_CLASSPATH" tokenrequest.TokenRequest -help; }

# statuses: from the help, a line "status meaning" each
statuses() { help | sed -nE 's/^  ([0-9, ]*[0-9]) {2,}(.*)/\1 \2/p'; }

@test "the list of contents in the Overview equals the banners" {
  diff <(sed -nE 's/^     \*  {2,3}([0-9]+\. .*)/\1/p' "$SOURCE") <(sed -nE 's/^    \/\/ ==== (.*) ====$/\1/p' "$SOURCE")
  [[ $(grep -c '// ====' "$SOURCE") == $(grep -cE '^     \*  {2,3}[0-9]+\. ' "$SOURCE") ]]
  [[ $(sed -nE 's/^    \/\/ ==== ([0-9]+)\..*/\1/p' "$SOURCE" | paste -sd ' ') == "$(seq -s ' ' 25)" ]]
}

@test "each library keeps to its door" {
  at_the_door 'CommandLine|CommandSpec|OptionSpec|PositionalParamSpec|AutoComplete' ArgumentParser
  at_the_door 'Json(Factory|Parser|ParseException|Token[^a-z])|StreamReadConstraints' Json
  at_the_door 'ObjectMapper|JsonNode|databind' ''
  at_the_door 'Jwts|JwtException|AbstractDeserializer' IssuedToken
  at_the_door '(^|[^A-Za-z])SSL(Context|Engine|EngineResult|Exception|Parameters)([^A-Za-z]|$)|TrustManager|KeyManager|HandshakeStatus' \
    Ssl ServerTrust ClientCertificate TrainingPool
  at_the_door 'GSS(Context|Manager|Exception)|KerberosTicket|KerberosPrincipal|Krb5LoginModule|LoginException' KerberosContext
  at_the_door 'Cipher\.getInstance|Mac\.getInstance|KeyAgreement\.getInstance' KeyDerivation KerberosCipher AesGcmCipher \
    LegacyCipher ClientCertificate
}

@test "the world outside is asked in few places" {
  at_the_door 'System\.exit' main
  at_the_door 'Thread\.sleep' ThreadSleeper
  at_the_door 'System\.getenv' Host Platform
  at_the_door 'new SecureRandom\(|SecureRandom\.getInstance' Host
  at_the_door 'FileDescriptor\.(out|err)' Host CrashReporter
  at_the_door 'System\.(out|err|in)[^a-z]' ''
  at_the_door 'Instant\.now|currentTimeMillis|nanoTime' ''
  at_the_door 'printStackTrace' ''
}

@test "no static state can change" {
  run grep -nP '^\s*((private|public|protected) )?static (?!final |sealed |abstract |class |record |enum |interface )[^(]*(=|;)' "$SOURCE"
  ((status == 1))
}

@test "the source is ASCII, so that it compiles in every locale" {
  LC_ALL=C run grep -nP '[^\x00-\x7F]' "$SOURCE"
  ((status == 1))
}

@test "no line is longer than 130 columns" {
  # JBang cannot continue a line of options.
  run grep -nP '^(?!//RUNTIME_OPTIONS ).{131,}' "$SOURCE" tests/support/*.java
  ((status == 1))
}

@test "it compiles without a warning on every JDK from 17 on that is here" {
  local libraries home version tried=0
  libraries=${TOKEN_REQUEST_CLASSPATH#*:}
  for home in "${JAVA_HOME:-$(dirname "$(dirname "$(readlink -f "$(type -P javac)")")")}" /usr/lib/jvm/*; do
    [[ -x $home/bin/javac && ! -L $home ]] || continue
    version=$("$home/bin/javac" -version 2>&1)
    version=${version#javac }
    ((${version%%[.-]*} >= 17)) || continue
    echo "$home"
    "$home/bin/javac" -Xlint:all,-path -Werror -proc:none -cp "$libraries" -d "$BATS_TEST_TMPDIR/$((++tried))" "$SOURCE"
  done
  ((tried > 0))
}

@test "it works the user's way, as a script" {
  type -P jbang
  ./"$SOURCE" -help >"$BATS_TEST_TMPDIR/help" 2>"$BATS_TEST_TMPDIR/stderr"
  diff <(help) "$BATS_TEST_TMPDIR/help"
}

@test "the exit statuses of the help are those of the enum, 0, and 143 beside 130" {
  [[ $(reasons | wc -l) -ge 19 ]]
  diff <(reasons | cut -d ' ' -f 1 | sort -nu | sed -e '1i 0' -e 's/^130$/130, 143/') <(statuses | sed -E 's/([0-9]) [^0-9].*/\1/')
}

# table_rows: of README.md's table of exit statuses, a line "status code" each
table_rows() { tr -d '\140' <README.md | sed -nE 's/^\| ([0-9]+) \| ([a-z_]*) *\| [^|]+ \| [^|]*\|$/\1 \2/p'; }

@test "README.md has one table with each exit status and each code of the enum, with cause and remedy" {
  diff <(reasons | sort) <(table_rows | grep -E ' [a-z_]+$' | sort)
  diff <(statuses | sed -E 's/([0-9]) [^0-9].*/\1/; s/,.*//') <(table_rows | cut -d ' ' -f 1 | sort -nu)
  # Rows with a code have a remedy.
  [[ $(tr -d '\140' <README.md | grep -Ec '^\| [0-9]+ \| [a-z_]+ \| [^| ][^|]* \| [^| ][^|]* \|$') == $(reasons | wc -l) ]]
}

# shellcheck disable=SC2016 # backquotes of Markdown
@test "every test that README.md names is there" {
  local file name count=0
  while IFS=$'\t' read -r file name; do
    grep -qF "@test \"$name\"" "tests/$file.bats" || { echo "no test $name in tests/$file.bats" && return 1; }
    ((++count))
  done < <(grep -oE '`(real_)?[a-z_]+` "[^"]+"' README.md | sed -E 's/^`([a-z_]+)` "(.*)"$/\1\t\2/')
  ((count >= 25))
}

@test "README.md shows the help as it is" {
  grep -qx '<!-- help -->' README.md
  diff <(help) <(sed '1,/^<!-- help -->$/d; /^<!-- \/help -->$/,$d' README.md | sed '/^```/d')
}

@test "every golden has a test, and every test its golden" {
  local golden area name file
  shopt -s extglob
  for golden in tests/golden/*/*.txt; do
    area=${golden#tests/golden/}
    name=${area#*/}
    area=${area%%/*}
    name=${name%.txt}
    name=${name%_@(stable|testing)} # where the releases differ, each has one
    if ! grep -Eq "(^|[^a-zA-Z0-9_-])$name($|[^a-zA-Z0-9_-])" "tests/$area.bats"; then
      echo "nobody uses $golden"
      return 1
    fi
  done
  for file in tests/*.bats; do
    area=${file#tests/}
    area=${area%.bats}
    while read -r name; do
      [[ -e tests/golden/$area/$name.txt ]] || { echo "$file: no golden $name" && return 1; }
    done < <(sed -nE 's/.*\b(assert_transcript|assert_pool_golden|broken_off|assert_golden '"$area"'\/?) ?([a-z0-9_-]+)( .*|$)/\2/p' "$file")
  done
}

@test "every way in which the embedded pool can break the protocol has a test" {
  local faults fault
  faults=$(sed -n '/enum Fault {/,/;$/p' tests/support/LoopbackPool.java | sed -E '/enum Fault|^ *(\/\*\*|\/\/)/d' | grep -oE '\b[A-Z_]{5,}\b' \
    | tr '[:upper:]_' '[:lower:]-')
  [[ $(wc -l <<<"$faults") -ge 28 ]]
  for fault in $faults; do
    cat tests/failures.bats tests/kerberos.bats tests/more_methods.bats tests/brokers.bats tests/attacks_*.bats | grep -Eq "(^|[^a-z-])$fault($|[^a-z-])" || { echo "no test of $fault" && return 1; }
  done
}

# Each lane of run.sh takes the tests of its release.
@test "every test with a real pool names its release first" {
  run grep -nE '^@test ' tests/real_*.bats
  ((${#lines[@]} >= 200))
  run grep -nEv '^[^:]+:[0-9]+:@test "(stable|testing): ' <(printf '%s\n' "${lines[@]}")
  ((status == 1))
}
