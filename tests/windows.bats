#!/usr/bin/env bats
# Windows, in memory: where tokens and saved requests go, who can read them, what is believed and what is not. Not tried
# on a real Windows.
# shellcheck disable=SC1003,SC2016 # separators of Windows; $ in the configuration's own language
# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # settings of one test; environment and circumstances are for windows.bash
load windows

setup_file() {
  start_windows
  pool_with --methods CLAIMTOBE,SSL --auto-approve --token "$TOKEN"
  export LOOPBACK_CA
}

setup() { windows_folders; }

# ask_pool ARGUMENT...: a request, which succeeds
ask_pool() {
  request -pool "$HERE" -identity alice@own.test "$@"
  assert_status 0
}

# got_token [FILE]: stdout, or a file on the drives, has the token and nothing else
got_token() { printf '%s\n' "$TOKEN" | cmp - "${1-$BATS_TEST_TMPDIR/stdout}"; }

# refused_unasked ARGUMENT...: ends with 2 and an error of a line and its hint; the pool has not seen a connection, and
# no file is new
refused_unasked() {
  local before
  before=$(events ^connection)
  find c d -type f | sort >"$BATS_TEST_TMPDIR/files"
  ask -pool "$HERE" -identity alice@own.test "$@"
  assert_status 2
  [[ $(events ^connection) == "$before" && ! -s $BATS_TEST_TMPDIR/stdout ]]
  diff "$BATS_TEST_TMPDIR/files" <(find c d -type f | sort)
  [[ $(grep -vc ^WARNING "$BATS_TEST_TMPDIR/stderr") -le 2 ]]
  lacks "$BATS_TEST_TMPDIR/stderr" 'Internal error' Exception
}

# says TEXT...: each of them is on stderr
says() {
  local text
  for text; do
    grep -qF -e "$text" "$BATS_TEST_TMPDIR/stderr" || { cat "$BATS_TEST_TMPDIR/stderr" && return 1; }
  done
}

# by_ssl: the next requests trust certificates alone
by_ssl() { environment+=(_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS=SSL _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=false); }

# certificate, fingerprint: those of the pool's CA
certificate() { openssl x509 -in "$LOOPBACK_CA" -outform DER | base64 -w 0; }
fingerprint() { openssl x509 -in "$LOOPBACK_CA" -noout -fingerprint -sha256 | sed 's/.*=//' | tr '[:upper:]' '[:lower:]'; }

# utf16 ENCODING: a filter; Windows PowerShell writes UTF-16LE with a byte-order mark
utf16() { iconv -t "$1" | case $1 in UTF-16LE) printf '\xff\xfe' && cat ;; *) printf '\xfe\xff' && cat ;; esac; }
crlf() { sed 's/$/\r/'; }
marked() { printf '\xef\xbb\xbf' && cat; }

# private PATH...: the user alone is in the list of each of them
private() {
  local path
  for path; do
    diff <(printf '%s\t%s\n' "$OWN" "$OWN_LIST") <(list_of "$path" | sed 's/+inherit//') || { echo "$path" && return 1; }
  done
}

# ---- The token ----

@test "the token is on stdout, and no file is left" {
  ask_pool
  got_token
  [[ ! -s $BATS_TEST_TMPDIR/stderr && -z $(find c d -type f) ]]
}

@test "-token writes into .condor\tokens.d of the user's profile, and the list of each file names him alone" {
  local name
  for name in name my.pool.token 'two words' COM COM10 console nul2 .hidden öäü; do
    ask_pool -token "$name"
    says "Token for alice@own.test written to C:\\Users\\alice\\.condor\\tokens.d\\$name."
    got_token "$PROFILE/.condor/tokens.d/$name"
    private "C:\\Users\\alice\\.condor\\tokens.d\\$name"
  done
  private 'C:\Users\alice\.condor' 'C:\Users\alice\.condor\tokens.d'
  # Whatever drive is current, and however the profile is written.
  circumstances=('here D:\')
  settings=('USERPROFILE=D:/Profiles/alice')
  ask_pool -token name
  got_token d/Profiles/alice/.condor/tokens.d/name
  private 'D:\Profiles\alice\.condor\tokens.d\name'
}

@test "-token takes no name that Windows would take elsewhere, to a device or to another name" {
  local name
  for name in '..\up' '../up' .. . 'a\b' a/b 'a:b' a: 'C:x' 'C:\x' '\x' /x 'a?b' 'a*b' 'a<b' 'a|b' 'a"b' CON con NUL.txt 'nul .txt' \
    aux.tar.gz PRN COM1 com9.x LPT1 'COM¹' 'CONIN$' 'CONOUT$' name. 'name ' 'name. .' $'a\tb'; do
    echo "name: $name"
    refused_unasked -token "$name"
    [[ $(touched ^device) == 0 ]]
  done
  ask_pool -token name
}

@test "-file takes what is a path on Windows" {
  local name
  mkdir -p "$HERE_ON_C/sub"
  for name in token 'sub\token' sub/token '.\token' '..\work\other' 'C:\Users\alice\full' 'c:/users/alice/work/slashes'; do
    ask_pool -file "$name"
  done
  got_token "$HERE_ON_C/sub/token"
  got_token "$PROFILE/full"
  private 'C:\Users\alice\work\sub\token' 'C:\Users\alice\full' 'C:\Users\alice\work\slashes'
  for name in '\token' /token 'C:token' 'D:token' 'token:stream' 'a?b' 'sub\CON' 'sub\nul.txt' NUL 'sub\name.' 'sub\name ' '*' $'a\1'; do
    echo "name: $name"
    refused_unasked -file "$name"
    [[ $(touched ^device) == 0 && $(touched 'without a drive') == 0 ]]
  done
}

@test "a file that is there already is replaced as a whole, and its list with it" {
  echo other >"$HERE_ON_C/token"
  guard 'C:\Users\alice\work\token' "$OWN" 'LAPTOP\alice=all;Everyone=all'
  ask_pool -file token
  got_token "$HERE_ON_C/token"
  private 'C:\Users\alice\work\token'
}

@test "a destination whose files others would be in the list of is refused before the pool is contacted" {
  mkdir -p "$HERE_ON_C/open"
  guard 'C:\Users\alice\work\open' "$OWN" 'LAPTOP\alice=all+inherit;Everyone=read+inherit'
  ask_pool -file 'open\token' # whose own list counts
  private 'C:\Users\alice\work\open\token'
  rm "$HERE_ON_C/open/token"
  circumstances=(merging)
  refused_unasked -file 'open\token'
  says Everyone
  guard 'C:\Users\alice\work\open' "$OWN" 'LAPTOP\alice=all+inherit;LAPTOP\bob=WRITE_DAC,WRITE_OWNER,DELETE+inherit'
  sed -i s/WRITE_DAC/WRITE_ACL/ lists
  refused_unasked -file 'open\token'
  says 'LAPTOP\bob'
  # The system and its administrators are above lists anyway.
  guard 'C:\Users\alice\work\open' "$OWN" 'NT AUTHORITY\SYSTEM=all+inherit;BUILTIN\Administrators=all+inherit'
  ask_pool -file 'open\token'
  got_token "$HERE_ON_C/open/token"
}

@test "a drive that does not exist is refused before the pool is contacted, and has no saved requests" {
  local place
  for place in 'Q:\' 'Q:\a\b'; do
    refused_unasked -state "$place"
    says "$place"
    refused_unasked -file "${place%\\}\token"
    says "$place"
    settings=("_CONDOR_SEC_TOKEN_DIRECTORY=$place")
    refused_unasked -token token
    says "$place"
    settings=()
    request -pending -file "$place"
    assert_status 0
    says 'No saved requests'
  done
  ask_pool -state 'D:\'
  got_token
  request -pending -file 'C:\'
  assert_status 0
}

@test "known hosts on a drive that does not exist, or in the place of a drive, are an error of SSL" {
  local place
  environment+=(_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS=SSL _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=false
    _CONDOR_BOOTSTRAP_SSL_SERVER_TRUST=true)
  for place in 'C:\' 'Q:\' 'Q:\known_hosts'; do
    settings=("_CONDOR_SEC_KNOWN_HOSTS=$place")
    request -pool "$HERE" -identity alice@own.test
    assert_status 4
    says "SSL: the certificate is not trusted: $place: "
  done
  settings=('_CONDOR_SEC_KNOWN_HOSTS=D:\known_hosts')
  ask_pool
  grep -q '^localhost SSL ' d/known_hosts
}

@test "a volume without access control lists is refused before the pool is contacted" {
  local kind
  ask_pool -file 'D:\token'
  rm d/token
  for kind in no-lists empty-lists; do
    circumstances=("$kind D")
    refused_unasked -file 'D:\token'
    says 'D:\token' 'access control list'
    ask_pool -file token
  done
}

@test "a file in use is tried again for two seconds; then the token is saved elsewhere" {
  local refusal
  export REQUEST_MAIN=Harness
  echo old >"$HERE_ON_C/token"
  for refusal in '' busy-is-refusal; do
    circumstances=('busy 15 C:\Users\alice\work\token' ${refusal:+"$refusal"})
    ask_pool -file token
    got_token "$HERE_ON_C/token"
    [[ $(touched '^in use') == 15 ]]
    echo old >"$HERE_ON_C/token"
  done
  circumstances=('busy 1000 C:\Users\alice\work\token')
  request -pool "$HERE" -identity alice@own.test -file token
  [[ $status == 7 && $(touched '^in use') -le 25 ]]
  grep -q old "$HERE_ON_C/token"
  rescued=$(find c d -name 'rescued-token-*')
  says "${rescued##*/}"
  got_token "$rescued"
  private "C:\\Users\\alice\\.condor\\${rescued##*/}"
  [[ -z $(find c d -name '*.tmp') ]]
}

# ---- -ensure ----

# ensured CONNECTIONS: -ensure ends well after so many connections; what it says is in stderr
ensured() {
  local before
  before=$(events ^connection)
  request -ensure -pool "$HERE" -identity alice@own.test -file token
  assert_status 0
  [[ $(events ^connection) == $((before + $1)) ]]
}

@test "-ensure finds its own token current, corrects a list, and does not believe the files of others" {
  local file='C:\Users\alice\work\token' record='C:\Users\alice\work\.token.record'
  pool_with --methods CLAIMTOBE --auto-approve
  ensured 1
  private "$file" "$record"
  ensured 0
  says 'Token for alice@own.test'
  lacks "$BATS_TEST_TMPDIR/stderr" owner WARNING
  request -ensure -check -pool "$HERE" -identity alice@own.test -file token
  assert_status 0
  guard "$file" "$OWN" "$OWN_LIST;Everyone=read"
  ensured 0
  says WARNING 'Other users could read the token'
  private "$file"
  # A record of others, or that others can change, does not count, so the pool names its trust domain; then it is new.
  guard "$record" 'LAPTOP\bob' "$OWN_LIST"
  ensured 1
  guard "$record" "$OWN" "$OWN_LIST;LAPTOP\\bob=WRITE_DATA"
  ensured 1
  private "$record"
  ensured 0
  guard "$file" 'LAPTOP\bob' "$OWN_LIST;LAPTOP\\bob=all"
  request -ensure -pool "$HERE" -identity alice@own.test -file token
  assert_status 2
  says 'belongs to LAPTOP\bob, so -ensure does not replace it.'
}

@test "-ensure resumes the request of an earlier run" {
  pool_with --methods CLAIMTOBE --approve-on "$BATS_TEST_TMPDIR/approved" --approve-after 0
  local order=(-ensure -pool "$HERE" -identity alice@own.test -file token -timeout 0)
  request "${order[@]}"
  assert_status 6
  touch "$BATS_TEST_TMPDIR/approved"
  request "${order[@]}"
  assert_status 0
  [[ $(events ^start) == 1 && -s $HERE_ON_C/token ]]
}

# ---- Saved requests ----

@test "a waiting request is saved for the user alone, and resumed by the command that is printed" {
  export REQUEST_MAIN=Harness
  pool_with --methods CLAIMTOBE --token "$TOKEN"
  ask_pool -nowait
  saved=$(find c d -name 'pending-*.json')
  [[ $saved == "$PROFILE/.condor/"* ]]
  private "C:\\Users\\alice\\.condor\\${saved##*/}" 'C:\Users\alice\.condor'
  grep -qF "To resume: condor_token_request -resume C:\\Users\\alice\\.condor\\${saved##*/}" "$BATS_TEST_TMPDIR/stderr"
  request -resume "$(printed_command | sed 's/.* -resume //')"
  assert_status 0
  got_token
  [[ -z $(find c d -type f) ]]
  # The destination is where it was, whatever drive is current then.
  ask_pool -nowait -file token
  circumstances=('here D:\')
  command=$(printed_command)
  read -ra words <<<"${command#condor_token_request }"
  request "${words[@]}"
  assert_status 0
  got_token "$HERE_ON_C/token"
}

@test "the printed command is quoted for the shell that was used" {
  local shell
  export REQUEST_MAIN=Harness
  pool_with --methods CLAIMTOBE --token "$TOKEN"
  mkdir -p "d/A B & 100%"
  for shell in '' cmd powershell bash; do
    settings=('USERPROFILE=D:\A B & 100%' JBANG_RUNTIME_SHELL="$shell")
    ask_pool -nowait
    printed_command | sed -E 's/pending-token-request-[^ ]*json/SAVED/' >>"$BATS_TEST_TMPDIR/commands"
  done
  cat "$BATS_TEST_TMPDIR/commands"
  diff "$BATS_TEST_TMPDIR/commands" - <<'END'
condor_token_request -resume ^"D:\A B ^& 100^%\.condor\SAVED^"
condor_token_request -resume ^"D:\A B ^& 100^%\.condor\SAVED^"
condor_token_request -resume 'D:\A B & 100%\.condor\SAVED'
condor_token_request -resume 'D:\A B & 100%\.condor\SAVED'
END
}

# quoted SHELL WORD...: as the tool prints them, a line each
quoted() {
  local answer
  # shellcheck disable=SC2153 # not the array windows
  call "$WINDOWS/calls" quote "$@"
  tr '\t' '\n' <<<"$answer"
}

@test "words are quoted so that each shell hands them on unchanged" {
  local words=(plain 'C:\Users\alice\x.json' '' 'two words' "it's" 'C:\A B\' 'say "hi"' '%PATH%' 'a&b|c<d>e^f' 'wow!' '$HOME' '`x`'
    '@file' 'a(b)' 'a,b;c=d' '~' '{a}' '#x' -lead 'tail\')
  diff <(quoted CMD "${words[@]}") - <<'END'
plain
C:\Users\alice\x.json
""
"two words"
"it's"
"C:\A B\\"
^"say \^"hi\^"^"
^"^%PATH^%^"
"a&b|c<d>e^f"
^"wow^!^"
"$HOME"
"`x`"
@file
"a(b)"
"a,b;c=d"
"~"
"{a}"
"#x"
-lead
tail\
END
  diff <(quoted POWERSHELL "${words[@]}") - <<'END'
plain
C:\Users\alice\x.json
''
'two words'
'it''s'
'C:\A B\'
'say "hi"'
'%PATH%'
'a&b|c<d>e^f'
'wow!'
'$HOME'
'`x`'
'@file'
'a(b)'
'a,b;c=d'
'~'
'{a}'
'#x'
-lead
tail\
END
  # The shell itself tells whether its words are right.
  diff <(printf '%s\n' "${words[@]}") <(eval "printf '%s\n' $(quoted POSIX "${words[@]}" | tr '\n' ' ')")
}

# ---- What is believed ----

# plant ROOT: what any user may put at the root of a drive, each with what would be seen if it were believed
plant() {
  local root=$1 file
  mkdir -p "$root"/{etc/condor/{config.d,tokens.d},usr/local/etc,etc/ssl/certs,etc/pki/tls/certs,condor/{tokens.d,config},tmp,run,var,dev,proc/self/fd}
  for file in etc/condor/condor_config usr/local/etc/condor_config condor/condor_config etc/condor/config.d/1 condor_config; do
    echo "COLLECTOR_HOST = $HERE" >"$root/$file"
  done
  for file in etc/ssl/certs/ca-certificates.crt etc/pki/tls/certs/ca-bundle.crt etc/ssl/cert.pem; do
    cp "$LOOPBACK_CA" "$root/$file"
  done
  echo "localhost SSL $(certificate)" | tee "$root/etc/condor/known_hosts" "$root/condor/known_hosts" >"$root/known_hosts"
  printf '%s\n' "$TOKEN" | tee "$root/etc/condor/tokens.d/x" "$root/condor/tokens.d/x" "$root/tmp/bt_u0" >"$root/tmp/bt_u1000"
}

# nothing_planted: of these the last run touched nothing, and no path without a drive. (Java opens the jars of its class
# path, which are the machine's.)
nothing_planted() {
  if grep -Ei ' [CD]:\\(etc|usr|condor|tmp|run|var|dev|proc|known|home)|without a drive' touched \
    | grep -v '[.]jar (without a drive)$'; then return 1; fi
}

@test "files at the root of a drive are neither believed nor opened, whichever drive is current" {
  local drive
  plant c
  plant d
  # shellcheck disable=SC2206 # words without CONDOR_CONFIG
  for drive in 'C:\' 'D:\'; do
    circumstances=("here $drive")
    environment=("${environment[@]/CONDOR_CONFIG=ONLY_ENV/UNUSED=}")
    environment=("${environment[@]/%CLAIMTOBE/SSL}")
    request # with no pool, as nothing names one
    assert_status 2
    nothing_planted
    request -pool "$HERE" -identity alice@own.test
    assert_status 4
    nothing_planted
    environment=("${environment[@]/%=SSL/=SCITOKENS,TOKEN,PASSWORD}")
    request -pool "$HERE" -identity alice@own.test
    [[ $status != 0 ]]
    nothing_planted
    environment=("${environment[@]/%=SCITOKENS,TOKEN,PASSWORD/=CLAIMTOBE}")
    ask_pool -token name
    nothing_planted
    request -config
    assert_status 0
    nothing_planted
  done
}

@test "a path without a drive, which Windows completes with the current one, is refused" {
  by_ssl
  refused_unasked -file '\token'
  says 'Write its drive and directory'
  refused_unasked -cafile '\ca.pem'
  says 'Write its drive and directory'
}

@test "CONDOR_CONFIG names the configuration, and its directory is CONFIG_ROOT with the separator of Windows" {
  mkdir -p c/pool/sub
  printf '%s\n' "COLLECTOR_HOST = $HERE" 'X = $Fp(A)|$Fn(A)|$Fnx(A)|$DIRNAME(A)|$BASENAME(A)|$(CONFIG_ROOT)' 'A = C:\dir\sub\name.ext' \
    'LOCAL_CONFIG_FILE = $(CONFIG_ROOT)\sub\local' >c/pool/condor_config
  echo 'Y = local' >c/pool/sub/local
  environment+=('CONDOR_CONFIG=C:\pool\condor_config')
  request -identity alice@own.test
  assert_status 0
  got_token
  request -config X -config Y
  grep -qF 'X = C:\dir\sub\|name|name.ext|' "$BATS_TEST_TMPDIR/stdout" || { grep '^X' "$BATS_TEST_TMPDIR/stdout" && return 1; }
  grep -qF '|name.ext|C:\pool' "$BATS_TEST_TMPDIR/stdout"
  grep -qx 'Y = local' "$BATS_TEST_TMPDIR/stdout"
  # A file that is missing, or a path without a drive, is an error of the variable.
  for file in 'C:\pool\missing' '\pool\condor_config' 'C:\pool' 'a?b'; do
    environment+=("CONDOR_CONFIG=$file")
    request -identity alice@own.test
    assert_status 2
    lacks "$BATS_TEST_TMPDIR/stderr" 'Internal error'
    says CONDOR_CONFIG
    [[ $(touched 'without a drive') == 0 ]]
  done
}

# registry [VALUE]: what reg.exe prints
registry() {
  printf '\r\nHKEY_LOCAL_MACHINE\\Software\\Condor\r\n    CONDOR_CONFIG    REG_SZ    %s\r\n\r\n' "$1" >"$BATS_TEST_TMPDIR/registry"
  circumstances=("registry $BATS_TEST_TMPDIR/registry")
}

@test "the registry names the configuration where CONDOR_CONFIG does not" {
  local value
  mkdir -p 'c/Program Files/Condor'
  echo "COLLECTOR_HOST = $HERE" >'c/Program Files/Condor/condor_config'
  environment=("${environment[@]/CONDOR_CONFIG=ONLY_ENV/UNUSED=}")
  registry 'C:\Program Files\Condor\condor_config'
  request -identity alice@own.test
  assert_status 0
  got_token
  for value in 'C:\missing' '\Program Files\Condor\condor_config' 'a?b' ''; do
    registry "$value"
    request -identity alice@own.test
    assert_status 2
    lacks "$BATS_TEST_TMPDIR/stderr" 'Internal error'
    [[ $(touched 'without a drive') == 0 ]]
  done
  environment+=(CONDOR_CONFIG=ONLY_ENV)
  registry 'C:\Program Files\Condor\condor_config'
  request -identity alice@own.test
  assert_status 2
}

@test "the configuration of the user is user_config in his profile" {
  mkdir -p "$PROFILE/.condor"
  echo "COLLECTOR_HOST = $HERE" >"$PROFILE/.condor/user_config"
  environment=("${environment[@]/CONDOR_CONFIG=ONLY_ENV/UNUSED=}")
  request -identity alice@own.test
  assert_status 0
}

@test "text with CRLF and a byte-order mark is read as it is without" {
  local filter
  mkdir -p "$PROFILE/.condor" c/pool
  for filter in crlf marked 'crlf | marked'; do
    eval "printf '%s\n' 'COLLECTOR_HOST = $HERE' 'X = x' | $filter" >c/pool/condor_config
    settings=('CONDOR_CONFIG=C:\pool\condor_config')
    request -identity alice@own.test
    assert_status 0
    request -config X
    grep -qx 'X = x' "$BATS_TEST_TMPDIR/stdout"
    settings=(_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS=SSL _CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS=false)
    eval "$filter" <"$LOOPBACK_CA" >"$PROFILE/ca.pem"
    ask_pool -cafile 'C:\Users\alice\ca.pem'
    eval "printf '%s\n' '# hosts' 'localhost SSL $(certificate)' | $filter" >"$PROFILE/.condor/known_hosts"
    ask_pool
    # A refusal in the first line counts, too.
    eval "printf '%s\n' '!localhost SSL $(certificate)' | $filter" >"$PROFILE/.condor/known_hosts"
    request -pool "$HERE" -identity alice@own.test
    assert_status 4
    rm "$PROFILE/.condor/known_hosts"
  done
}

@test "a saved request that PowerShell redirected is resumed: UTF-16, CRLF, a byte-order mark" {
  local filter
  export REQUEST_MAIN=Harness
  pool_with --methods CLAIMTOBE --token "$TOKEN"
  for filter in cat crlf marked 'crlf | marked' 'utf16 UTF-16LE' 'utf16 UTF-16BE' 'crlf | utf16 UTF-16LE'; do
    echo "$filter"
    request -json -nowait -pool "$HERE" -identity alice@own.test
    eval "$filter" <"$BATS_TEST_TMPDIR/stdout" >"$HERE_ON_C/request.json"
    request -resume request.json
    assert_status 0
    got_token
  done
  request -json -nowait -pool "$HERE" -identity alice@own.test
  crlf <"$BATS_TEST_TMPDIR/stdout" | utf16 UTF-16LE >"$BATS_TEST_TMPDIR/in"
  input=$BATS_TEST_TMPDIR/in request -resume -
  assert_status 0
}

@test "a login token counts in every encoding, if it is the user's alone" {
  local filter list tokens=$PROFILE/.condor/tokens.d file='C:\Users\alice\.condor\tokens.d\login'
  pool_with --methods IDTOKENS --token-for alice@own.test --auto-approve --token "$TOKEN"
  environment+=(_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS=TOKEN)
  mkdir -p "$tokens"
  for filter in cat crlf 'crlf | marked' 'utf16 UTF-16LE' 'crlf | utf16 UTF-16BE'; do
    echo "$filter"
    eval "printf '%s\n' '# mine' '$LOOPBACK_TOKEN' | $filter" >"$tokens/login"
    ask_pool
  done
  echo "$LOOPBACK_TOKEN" >"$tokens/login"
  # The way of Windows itself: the user, the system and its administrators.
  for list in "$OWN_LIST" "$OWN_LIST;NT AUTHORITY\\SYSTEM=all;BUILTIN\\Administrators=all" \
    "$OWN_LIST;Everyone=READ_ATTRIBUTES,READ_ACL,SYNCHRONIZE"; do
    guard "$file" "$OWN" "$list"
    ask_pool
  done
  for list in "$OWN_LIST;Everyone=read" "$OWN_LIST;BUILTIN\\Users=READ_DATA" "$OWN_LIST;LAPTOP\\bob=WRITE_ACL" \
    "$OWN_LIST;LAPTOP\\bob=WRITE_OWNER" "$OWN_LIST;LAPTOP\\bob=WRITE_DATA" ''; do
    echo "$list"
    guard "$file" "$OWN" "$list"
    request -pool "$HERE" -identity alice@own.test
    [[ $status != 0 && $(events '^authenticated IDTOKENS') == "$(events ^issued)" ]]
  done
  guard "$file" 'LAPTOP\bob' "$OWN_LIST"
  request -pool "$HERE" -identity alice@own.test
  [[ $status != 0 ]]
  # What an administrator makes belongs to all administrators.
  guard "$file" 'BUILTIN\Administrators' "$OWN_LIST"
  request -pool "$HERE" -identity alice@own.test
  [[ $status != 0 ]]
  circumstances=(administrator)
  ask_pool
}

# ---- What Windows does not have ----

@test "-owner and -mode are refused in one line before the pool is contacted" {
  local option
  for option in '-owner alice' '-mode 640' '-owner alice:users'; do
    # shellcheck disable=SC2086 # an option and its value
    refused_unasked -token name $option
    says "${option% *}" Windows
  done
}

@test "include command is refused in one line before the pool is contacted" {
  mkdir c/pool
  settings=('CONDOR_CONFIG=C:\pool\condor_config')
  echo 'include command : echo X = 1' >c/pool/condor_config
  refused_unasked
  says 'include command' 'C:\pool\condor_config' Windows
  echo 'LOCAL_CONFIG_FILE = echo X = 1 |' >c/pool/condor_config
  refused_unasked
  settings=('CONDOR_CONFIG=echo X = 1 |')
  refused_unasked
}

@test "FS is not among the methods" {
  environment=("${environment[@]/#_CONDOR_SEC_CLIENT*/UNUSED=}")
  pool_with --methods FS,CLAIMTOBE --auto-approve --token "$TOKEN"
  request -pool "$HERE" -identity alice@own.test
  # At the end it asks what the pool offers, and names whatever there is.
  [[ $(events '^policy [0-9]+ bound .*\bFS\b') == 0 && $(events '^policy') -ge 1 && $(events ^created) == 0 ]]
  environment+=('_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS=FS,CLAIMTOBE')
  ask_pool
  [[ $(events '^policy [0-9]+ bound .*\bFS\b') == 0 && $(events ^created) == 0 ]]
  environment+=(_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS=FS)
  request -pool "$HERE" -identity alice@own.test
  [[ $status != 0 ]]
  says Windows
}

@test "FS_REMOTE and MUNGE, which only Unix has, are named as such in one line" {
  local method
  pool_with --methods FS_REMOTE,MUNGE --auto-approve --token "$TOKEN"
  environment=("${environment[@]/#_CONDOR_SEC_CLIENT*/UNUSED=}")
  for method in FS_REMOTE MUNGE; do
    environment+=("_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS=$method" '_CONDOR_FS_REMOTE_DIR=C:\shared'
      '_CONDOR_MUNGE_SOCKET=C:\munged')
    request -pool "$HERE" -identity alice@own.test
    assert_status 4
    [[ $(grep -F "$method: " "$BATS_TEST_TMPDIR/stderr") == "  $method: not supported on Windows" ]] ||
      { cat "$BATS_TEST_TMPDIR/stderr" && return 1; }
  done
  [[ $(events '^authenticated') == 0 ]]
}

# ---- The rest ----

@test "the pool learns the computer's name and the user's without his domain" {
  pool_with --methods CLAIMTOBE --token "$TOKEN"
  circumstances=('account LAPTOP\alice')
  request -nowait -pool "$HERE" -identity alice@own.test
  assert_status 0
  grep -Eq '^    Client ID: alice@LAPTOP-' "$BATS_TEST_TMPDIR/stderr" || { cat "$BATS_TEST_TMPDIR/stderr" && return 1; }
  settings=(COMPUTERNAME=)
  request -nowait -pool "$HERE" -identity alice@own.test
  grep -Eq '^    Client ID: alice@unknown-' "$BATS_TEST_TMPDIR/stderr"
}

@test "-json prints the events" {
  export REQUEST_MAIN=Harness
  pool_with --methods CLAIMTOBE --token "$TOKEN"
  ask_pool -json -token name
  [[ $(names) == 'enqueued '*issued ]]
  [[ $(field issued .file) == 'C:\Users\alice\.condor\tokens.d\name' ]]
}

@test "-cafile and -fingerprint decide whom to trust, -verify logs in with the token" {
  by_ssl
  request -pool "$HERE" -identity alice@own.test
  assert_status 4
  cp "$LOOPBACK_CA" "$HERE_ON_C/ca.pem"
  ask_pool -cafile ca.pem
  ask_pool -cafile 'C:\Users\alice\work\ca.pem'
  ask_pool -fingerprint "$(fingerprint)"
  refused_unasked -cafile '\ca.pem'
  pool_with --methods SSL,IDTOKENS --auto-approve
  cp "$LOOPBACK_CA" "$HERE_ON_C/ca.pem"
  ask_pool -cafile ca.pem -verify
  [[ $(events '^authenticated IDTOKENS') == 1 ]]
}

@test "the CAs of the store of Windows count beside Java's own, and -debug says so" {
  environment+=(_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS=SSL)
  request -pool "$HERE" -identity alice@own.test
  assert_status 4
  circumstances=("roots $LOOPBACK_CA")
  ask_pool -debug
  says Windows-ROOT
}

# answering TEXT: it is typed at the console
answering() {
  printf '%s\r\n' "$1" >"$BATS_TEST_TMPDIR/typed"
  input=$BATS_TEST_TMPDIR/typed
  circumstances=(console)
}

@test "an unknown certificate is asked about at the console, and the answer is recorded for the user alone to change" {
  by_ssl
  answering no
  request -pool "$HERE" -identity alice@own.test
  assert_status 4
  diff "$PROFILE/.condor/known_hosts" - <<<"!localhost SSL $(certificate)"
  rm "$PROFILE/.condor/known_hosts"
  answering yes
  ask_pool
  got_token
  diff "$PROFILE/.condor/known_hosts" - <<<"localhost SSL $(certificate)"
  list_of 'C:\Users\alice\.condor\known_hosts' | grep -qE "^LAPTOP.alice	LAPTOP.alice=all(;|$)"
  input=''
  circumstances=()
  ask_pool
}

@test "who cannot be asked is not told that he is" {
  by_ssl
  request -pool "$HERE" -identity alice@own.test
  assert_status 4
  lacks "$BATS_TEST_TMPDIR/stderr" 'at a terminal' 'in a terminal' 'you are asked'
  says 'in a console'
}

@test "the live line is only where the console understands it" {
  local setting
  export REQUEST_MAIN=Harness
  pool_with --methods CLAIMTOBE --token "$TOKEN"
  circumstances=(console)
  ask_pool
  lacks "$BATS_TEST_TMPDIR/stderr" $'\e'
  for setting in WT_SESSION=1 ConEmuANSI=ON TERM=xterm; do
    settings=("$setting")
    ask_pool
    grep -q $'\e' "$BATS_TEST_TMPDIR/stderr"
  done
}

# ---- Whose files count ----

@test "known hosts and CAs of another user do not count, and what others can change is warned of" {
  local what
  by_ssl
  mkdir "$PROFILE/.condor"
  echo "localhost SSL $(certificate)" >"$PROFILE/.condor/known_hosts"
  cp "$LOOPBACK_CA" "$PROFILE/ca.pem"
  ask_pool
  for what in '.condor\known_hosts' ca.pem; do
    [[ $what != ca.pem ]] || rm "$PROFILE/.condor/known_hosts"
    settings=('_CONDOR_AUTH_SSL_CLIENT_CAFILE=C:\Users\alice\ca.pem')
    [[ $what == ca.pem ]] || settings=()
    guard "C:\\Users\\alice\\$what" 'LAPTOP\bob' "$OWN_LIST"
    request -pool "$HERE" -identity alice@own.test
    assert_status 4
    says 'LAPTOP\bob'
    guard "C:\\Users\\alice\\$what" "$OWN" "$OWN_LIST;LAPTOP\\bob=WRITE_DATA"
    ask_pool
    says WARNING 'LAPTOP\bob'
    guard "C:\\Users\\alice\\$what" 'BUILTIN\Administrators' "$OWN_LIST;NT AUTHORITY\\SYSTEM=all"
    ask_pool
    lacks "$BATS_TEST_TMPDIR/stderr" WARNING
  done
}

@test "every file that a run leaves or moves is in a list of the user alone" {
  local path
  export REQUEST_MAIN=Harness
  pool_with --methods CLAIMTOBE,SSL --token "$TOKEN"
  by_ssl
  answering yes
  ask_pool -token name -nowait
  ask_pool -file token
  find c d -type f
  [[ $(find c d -type f | wc -l) -ge 4 ]]
  while IFS= read -r path; do
    path=$(sed 's|/|\\|g; s|^c|C:|' <<<"$path")
    case $path in
      *known_hosts) ;; # anybody may read it
      *) private "$path" ;;
    esac
  done < <(find c -type f; find "$PROFILE/.condor" -type d)
}

# ---- As a process ----

@test "no program of the current folder or of PATH is started" {
  local name
  path=$BATS_TEST_TMPDIR/programs
  mkdir "$path"
  for name in test test.exe reg reg.exe hostname hostname.exe; do
    printf '#!/bin/sh\nprintf "%%s\\n" "$0" >>%q\n' "$BATS_TEST_TMPDIR/started" | tee "$path/$name" >"$BATS_TEST_TMPDIR/$name"
    chmod 755 "$path/$name" "$BATS_TEST_TMPDIR/$name"
  done
  cd "$BATS_TEST_TMPDIR"
  environment=("${environment[@]/CONDOR_CONFIG=ONLY_ENV/UNUSED=}")
  environment+=(_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS=SSL TERM=xterm)
  path=.:$path windows_process -pool "$HERE"
  [[ $status == 4 ]]
  [[ ! -e started ]] || { cat started && return 1; }
  # reg.exe is started by its whole name, which on this machine is that of a file on PATH.
  cp programs/reg.exe 'programs/C:\Windows\System32\reg.exe'
  path=$path windows_process -pool "$HERE"
  cat started
  [[ $status == 4 && $(<started) == *'System32\reg.exe' ]]
}

@test "a token of the unmodified main, with its own home and host name" {
  windows_process -pool "$HERE" -identity alice@own.test -token name
  [[ $status == 0 ]] || { cat "$BATS_TEST_TMPDIR/stderr" && return 1; }
  got_token "$PROFILE/.condor/tokens.d/name"
}

@test "the question is asked at the console of a process" {
  local windows
  by_ssl
  windows_command -pool "$HERE" -identity alice@own.test
  terminal_for "${windows[@]}"
  until_shown "Please type 'yes', 'no' or the fingerprint:"
  printf 'yes\r' >&"$KEYBOARD"
  at_its_end
  [[ $status == 0 ]] || { cat shown && return 1; }
  [[ $(<"$PROFILE/.condor/known_hosts") == "localhost SSL $(certificate)" ]]
}

# windows_with_status ARGUMENT...: for the background
windows_with_status() {
  windows_process "$@"
  return "$status"
}

@test "an interrupted wait of a process is saved and resumed" {
  pool_with --methods CLAIMTOBE --approve-on "$PWD/approved" --token "$TOKEN"
  local saved
  background windows_with_status -pool "$HERE" -identity alice@own.test
  await_line '^Token request enqueued'
  kill -INT -- "-$client"
  await_end
  [[ $status == 130 ]]
  saved=$(find c d -name 'pending-*.json')
  private "C:\\Users\\alice\\.condor\\${saved##*/}"
  touch approved
  request -resume "$(printed_command | sed 's/.* -resume //')"
  assert_status 0
  got_token
}
