#!/usr/bin/env bats
# What another local user can have root run by way of HTCondor's configuration. In each place lies a file that has root
# run a command; beside each place that a user can change stands one that he cannot, from which the command is run.
# shellcheck disable=SC2016,SC2030,SC2031 # references of HTCondor; status is of each test
load loopback
load users

setup() {
  own_folders
  common_folder
  mkdir -m 0755 "$COMMON"/{etc,root} && mkdir -m 0755 "$COMMON/user"
  chown "$OTHER" "$COMMON/user"
  export CONDOR_CONFIG=$COMMON/etc/condor_config
}

teardown() {
  remove_common_folder
  stop_loopback_pool
}

# commanding FILE: makes it one that runs a command
commanding() {
  echo 'include command : echo RUN = yes' >"$1"
  chmod 0644 "$1"
}

# reads FILE [LINE...]: the root file includes that one, after these lines; sets status, and ran if the command was run
reads() {
  printf '%s\n' "${@:2}" "include : $1" >"$CONDOR_CONFIG"
  request -config RUN
  ran=
  ! grep -qx 'RUN = yes' "$BATS_TEST_TMPDIR/stdout" || ran=yes
}

# refused FILE COMPONENT: what that file holds is not run, and the message names the file and who can change what
refused() {
  reads "$1"
  [[ $status == 2 && -z $ran ]] || { cat "$BATS_TEST_TMPDIR/record" && return 1; }
  grep -qF "ERROR: root does not run echo RUN = yes for the configuration in $1." "$BATS_TEST_TMPDIR/stderr"
  grep -qF "  $2 " "$BATS_TEST_TMPDIR/stderr" || { cat "$BATS_TEST_TMPDIR/stderr" && return 1; }
}

run_from() {
  reads "$1"
  [[ $status == 0 && $ran == yes ]] || { cat "$BATS_TEST_TMPDIR/record" && return 1; }
}

@test "root runs no command of a user's file, and does of its own" {
  commanding "$COMMON/root/own"
  run_from "$COMMON/root/own"
  commanding "$COMMON/root/users"
  chown "$OTHER" "$COMMON/root/users"
  refused "$COMMON/root/users" "$COMMON/root/users"
  commanding "$COMMON/root/shared"
  chmod 0666 "$COMMON/root/shared"
  refused "$COMMON/root/shared" "$COMMON/root/shared"
  chmod 0664 "$COMMON/root/shared"
  refused "$COMMON/root/shared" "$COMMON/root/shared"
}

@test "nor of a file of its own in a user's directory, or below one" {
  mkdir -p "$COMMON"/{user,root}/a/b
  commanding "$COMMON/root/a/b/file"
  run_from "$COMMON/root/a/b/file"
  commanding "$COMMON/user/file"
  refused "$COMMON/user/file" "$COMMON/user"
  commanding "$COMMON/user/a/b/file"
  refused "$COMMON/user/a/b/file" "$COMMON/user"
}

@test "nor of one in a directory that others can write, unless that is sticky and root's" {
  mkdir -m 0777 "$COMMON/open"
  mkdir -m 1777 "$COMMON/sticky"
  commanding "$COMMON/sticky/file"
  run_from "$COMMON/sticky/file"
  commanding "$COMMON/open/file"
  refused "$COMMON/open/file" "$COMMON/open"
  "${as_other[@]}" sh -c "echo 'include command : echo RUN = yes' >$COMMON/sticky/other"
  refused "$COMMON/sticky/other" "$COMMON/sticky/other"
  "${as_other[@]}" mkdir "$COMMON/sticky/theirs"
  commanding "$COMMON/sticky/theirs/file"
  refused "$COMMON/sticky/theirs/file" "$COMMON/sticky/theirs"
}

@test "root runs no command from a file behind a link if a user can change the link or its target" {
  commanding "$COMMON/root/own"
  ln -s "$COMMON/root/own" "$COMMON/root/link"
  run_from "$COMMON/root/link"
  ln -s "$COMMON/root" "$COMMON/etc/directory"
  run_from "$COMMON/etc/directory/own"
  # A directory that holds the link is looked at, wherever it leads.
  "${as_other[@]}" ln -s "$COMMON/root/own" "$COMMON/user/link"
  refused "$COMMON/user/link" "$COMMON/user"
  "${as_other[@]}" ln -s "$COMMON/root" "$COMMON/user/directory"
  refused "$COMMON/user/directory/own" "$COMMON/user"
  commanding "$COMMON/user/file"
  ln -s "$COMMON/user/file" "$COMMON/root/away"
  refused "$COMMON/root/away" "$COMMON/user"
  ln -s ../user "$COMMON/root/up"
  refused "$COMMON/root/up/file" "$COMMON/user"
  # Two links, the second of a user's.
  ln -s "$COMMON/user/link" "$COMMON/root/twice"
  refused "$COMMON/root/twice" "$COMMON/user"
}

@test "nor one whose words can come from a user's file, whoever has the command" {
  echo 'WORDS = echo RUN = yes' >"$COMMON/root/words"
  commanding "$COMMON/root/own"
  # shellcheck disable=SC2016 # HTCondor's reference
  echo 'include command : $(WORDS)' >"$COMMON/root/command"
  reads "$COMMON/root/command" "include : $COMMON/root/words"
  [[ $status == 0 && $ran == yes ]]
  cp "$COMMON/root/words" "$COMMON/user/words"
  reads "$COMMON/root/command" "include : $COMMON/user/words"
  [[ $status == 2 && -z $ran ]]
  grep -qF "for the configuration in $COMMON/user/words." "$BATS_TEST_TMPDIR/stderr"
  # Also where nothing of it is used.
  echo >"$COMMON/user/words"
  reads "$COMMON/root/own" "include : $COMMON/user/words"
  [[ $status == 2 && -z $ran ]]
}

@test "the message names the file that is to blame, not one that was not there" {
  commanding "$COMMON/root/own"
  reads "$COMMON/root/own" "include ifexist : $COMMON/root/none"
  [[ $status == 0 && $ran == yes ]]
  commanding "$COMMON/user/file"
  reads "$COMMON/user/file" "include ifexist : $COMMON/user/none"
  [[ $status == 2 && -z $ran ]]
  grep -qF "for the configuration in $COMMON/user/file." "$BATS_TEST_TMPDIR/stderr"
  run ! grep -F none "$BATS_TEST_TMPDIR/stderr"
}

@test "what a command writes is kept in no place to which a user leads root" {
  echo "include command into $COMMON/root/kept : echo RUN = yes" >"$COMMON/root/own"
  run_from "$COMMON/root/own"
  [[ -s $COMMON/root/kept ]]
  echo "include command into $COMMON/user/kept : echo RUN = yes" >"$COMMON/root/own"
  "${as_other[@]}" ln -s "$COMMON/root/stolen" "$COMMON/user/kept"
  reads "$COMMON/root/own"
  [[ $status == 2 && -z $ran && ! -e $COMMON/root/stolen ]]
  echo "include command into $COMMON/user/way/stolen : echo RUN = yes" >"$COMMON/root/own"
  "${as_other[@]}" ln -s "$COMMON/root" "$COMMON/user/way"
  reads "$COMMON/root/own"
  [[ $status == 2 && -z $ran && ! -e $COMMON/root/stolen ]]
}

@test "an ordinary user runs what the configuration says, as with the original" {
  commanding "$COMMON/user/file"
  echo "include : $COMMON/user/file" >"$CONDOR_CONFIG"
  settings=("${as_other[@]}" env HOME="$COMMON/user")
  TOKEN_REQUEST_CLASSPATH=$COMMON_CLASSPATH request -config RUN
  assert_status 0
  grep -qx 'RUN = yes' "$BATS_TEST_TMPDIR/stdout"
}

# ends FILE WORDS: reading it, or its setting B, ends with status 2 and one error that has these words and names the file.
# Without limits these take hours or all memory; the time that every test has is a guard.
ends() {
  request -config B
  [[ $status == 2 ]] || { cat "$BATS_TEST_TMPDIR/record" && return 1; }
  [[ $(grep -c '^ERROR' "$BATS_TEST_TMPDIR/stderr") == 1 ]]
  if ! grep -qF "$1" "$BATS_TEST_TMPDIR/stderr" || ! grep -qF "$CONDOR_CONFIG" "$BATS_TEST_TMPDIR/stderr"; then
    head -c 2000 "$BATS_TEST_TMPDIR/stderr"
    return 1
  fi
}

# growing VALUE: sixty settings that each refer twice to the next, the last of which has this value
growing() {
  local i
  for ((i = 0; i < 60; i++)); do echo "A$i=\$(A$((i + 1)))\$(A$((i + 1)))"; done
  printf 'A60=%s\nB=$(A0)\n' "$1"
}

@test "a line of 260,000 references is expanded" {
  { echo 'A=x' && printf 'B=' && printf '$(A)%.0s' {1..260000} && echo; } >"$CONDOR_CONFIG"
  request -config B
  [[ $status == 0 ]]
  [[ $(tr -cd x <"$BATS_TEST_TMPDIR/stdout" | wc -c) -ge 260000 ]]
}

@test "settings that double with each level end in one error, whether they have a value or not" {
  growing x >"$CONDOR_CONFIG"
  ends 'takes too long to expand'
  growing '' >"$CONDOR_CONFIG"
  ends 'takes too long to expand'
  { echo 'B=x' && printf 'B=$(B)$(B)\n%.0s' {1..60}; } >"$CONDOR_CONFIG"
  ends 'grows to more than 1048576 characters'
}

@test "a chain of settings has a limit, of functions too, and a shorter one is followed" {
  local i form
  for form in '$(%s)' '$INT(%s)'; do
    # shellcheck disable=SC2059 # the form is a format
    for i in 5000 100; do
      { seq 0 $((i - 1)) | while read -r n; do printf "A$n=$form\n" "A$((n + 1))"; done; printf 'A%s=7\nB=$(A0)\n' "$i"; } \
        >"$CONDOR_CONFIG"
      [[ $i == 100 ]] || ends 'refers to more than 200 settings inside one another'
    done
    request -config B
    [[ $status == 0 ]]
    grep -qx 'B = 7' "$BATS_TEST_TMPDIR/stdout"
  done
}

@test "references that never close, conditions a hundred thousand deep and texts that append for ever end" {
  { printf 'B=' && printf '$(A:%.0s' {1..260000} && echo ')' && :; } >"$CONDOR_CONFIG"
  request -config B
  [[ $status == 2 ]]
  { printf 'if true\n%.0s' {1..100000} && echo B=1 && printf 'endif\n%.0s' {1..100000}; } >"$CONDOR_CONFIG"
  request -config B
  [[ $status == 0 ]]
  grep -qx 'B = 1' "$BATS_TEST_TMPDIR/stdout"
  printf 'B +=a\n%.0s' {1..150000} >"$CONDOR_CONFIG"
  ends 'takes too long to expand'
}

@test "arguments of a template that refer to themselves end in an error, and cannot include a file" {
  echo 'use FEATURE:ScheddUsermapFile($(1),x)' >"$CONDOR_CONFIG"
  request -config B
  [[ $status == 2 ]]
  grep -qF 'the arguments refer to themselves' "$BATS_TEST_TMPDIR/stderr"
  commanding "$COMMON/root/own"
  run_from "$COMMON/root/own"
  echo "use FEATURE:OneShotCronHook(include command : echo RUN = yes |,a,b)" >"$CONDOR_CONFIG"
  request -config RUN
  run ! grep -qx 'RUN = yes' "$BATS_TEST_TMPDIR/stdout"
}
