#!/usr/bin/env bats
# Who can change what lies at a path. ShowPathTrust.java prints what PathTrust says; the users are numbers without names.
load lib
load users

# Ordinary users: whoever the tests say they are.
ALICE=12001 MALLORY=12002 CONDOR=12003

setup() {
  ((EUID == 0)) || skip "files of several users can be made by root only"
  own_folders
  # A folder that only root can change, as far up as it goes: bats' own lies in a sticky one.
  chmod 0755 "$BATS_TEST_TMPDIR"
  umask 022
}

teardown() { remove_common_folder; }

# trust ARGUMENT...: what is said, with the folder's name left out
trust() {
  local options
  read -ra options <<<"$TOKEN_REQUEST_JAVA_OPTIONS"
  java "${options[@]}" -cp "$TOKEN_REQUEST_CLASSPATH" tokenrequest.ShowPathTrust "$@" | sed "s|$PWD|.|g"
}

# folder MODE OWNER PATH...: directories
folder() {
  mkdir -p "${@:3}"
  chown "$2" "${@:3}"
  chmod "$1" "${@:3}"
}

# file MODE OWNER PATH...
file() {
  touch "${@:3}"
  chown "$2" "${@:3}"
  chmod "$1" "${@:3}"
}

# link OWNER TARGET PATH
link() {
  ln -s "$2" "$3"
  chown -h "$1" "$3"
}

@test "a path that only root can change is root's, whatever lies at its end" {
  folder 0755 0 a
  file 0644 0 a/file
  link 0 file a/link
  mkfifo a/pipe
  run trust 0 a a/file a/link a/pipe a/none a/none/deeper a/../a/./file /dev/null /proc/self/status
  diff - <(sed -E 's|/proc/[0-9]+|/proc/PID|' <<<"$output") <<END
./a: a directory
./a/file: a regular file
./a/file: a regular file
./a/pipe: a pipe
./a/none: nothing
./a/none/deeper: nothing
./a/file: a regular file
/dev/null: a character device; thing: /dev/null can be changed by everybody (mode 0666)
/proc/PID/status: a regular file
END
}

@test "a directory is a stranger's if he owns it or can write to it, and so is what lies in it" {
  folder 0755 "$MALLORY" his
  folder 0775 "0:$MALLORY" group
  folder 0777 0 all
  folder 0755 0 all/below
  file 0644 0 his/file group/file all/file all/below/file
  run trust 0 his his/file group/file all/file all/below/file his/none
  diff - <(cat <<<"$output") <<END
./his: a directory; thing: ./his belongs to $MALLORY
./his/file: a regular file; way: ./his belongs to $MALLORY
./group/file: a regular file; way: ./group can be changed by its group, $MALLORY (mode 0775)
./all/file: a regular file; way: ./all can be changed by everybody (mode 0777)
./all/below/file: a regular file; way: ./all can be changed by everybody (mode 0777)
./his/none: nothing; way: ./his belongs to $MALLORY
END
}

@test "in a sticky directory a thing is safe from all but its owner and the directory's" {
  folder 1777 0 tmp
  folder 0755 "$ALICE" tmp/alice
  folder 0755 "$MALLORY" tmp/mallory
  file 0644 "$ALICE" tmp/file tmp/alice/file
  file 0644 0 tmp/mallory/file tmp/root
  folder 1777 "$MALLORY" market
  file 0644 0 market/file
  run trust "0,$ALICE" tmp tmp/alice tmp/alice/file tmp/file tmp/root tmp/mallory/file tmp/none tmp/none/file market market/file
  diff - <(cat <<<"$output") <<END
./tmp: a directory
./tmp/alice: a directory
./tmp/alice/file: a regular file
./tmp/file: a regular file
./tmp/root: a regular file
./tmp/mallory/file: a regular file; way: ./tmp/mallory belongs to $MALLORY, who can replace it
./tmp/none: nothing; way: ./tmp/none does not exist, and every user who can write to ./tmp can create it
./tmp/none/file: nothing; way: ./tmp/none does not exist, and every user who can write to ./tmp can create it
./market: a directory; thing: ./market belongs to $MALLORY
./market/file: a regular file; way: ./market belongs to $MALLORY
END
  run trust 0 tmp/alice
  [[ $output == "./tmp/alice: a directory; way: ./tmp/alice belongs to $ALICE, who can replace it; thing: ./tmp/alice belongs to $ALICE" ]]
}

@test "a file is a stranger's if he owns it or can write to it, though nobody can put another in its place" {
  file 0644 "$MALLORY" his
  file 0660 "0:$MALLORY" group
  file 0646 0 all
  file 0600 "$ALICE" hers
  run trust "0,$ALICE" his group all hers
  diff - <(cat <<<"$output") <<END
./his: a regular file; thing: ./his belongs to $MALLORY
./group: a regular file; thing: ./group can be changed by its group, $MALLORY (mode 0660)
./all: a regular file; thing: ./all can be changed by everybody (mode 0646)
./hers: a regular file
END
}

@test "an access list that lets somebody write is seen" {
  file 0644 0 shared
  # What setfacl would do: user MALLORY rw, and the mask that this takes. acl(5), as <linux/posix_acl_xattr.h> lays it out
  python3 -c 'import os, struct, sys
entries = [(1, 6, 2**32 - 1), (2, 6, int(sys.argv[2])), (4, 4, 2**32 - 1), (16, 6, 2**32 - 1), (32, 4, 2**32 - 1)]
os.setxattr(sys.argv[1], "system.posix_acl_access", struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *e) for e in entries))' \
    shared "$MALLORY" || skip "this file system has no access lists"
  run trust 0 shared
  [[ $output == "./shared: a regular file; thing: ./shared can be changed by its group, root (mode 0664)" ]]
}

@test "every link and every directory on the way counts, not only where they lead" {
  folder 0755 0 real real/below
  folder 1777 0 tmp
  folder 0755 "$MALLORY" his
  file 0644 0 real/file
  link 0 ../real tmp/by-root
  link "$MALLORY" ../real tmp/by-mallory
  link "$MALLORY" ../real his/by-mallory
  link 0 ../real his/by-root
  link "$MALLORY" real by-mallory
  link 0 tmp/by-mallory to-his
  link 0 real/below/../file up
  link 0 "$PWD/real/file" absolute
  run trust 0 tmp/by-root/file tmp/by-mallory/file his/by-mallory/file his/by-root/file by-mallory/file to-his/file up absolute
  diff - <(cat <<<"$output") <<END
./real/file: a regular file
./tmp/by-mallory: a symbolic link; way: ./tmp/by-mallory belongs to $MALLORY, who can replace it
./real/file: a regular file; way: ./his belongs to $MALLORY
./real/file: a regular file; way: ./his belongs to $MALLORY
./real/file: a regular file
./tmp/by-mallory: a symbolic link; way: ./tmp/by-mallory belongs to $MALLORY, who can replace it
./real/file: a regular file
./real/file: a regular file
END
}

@test "a link in a directory that others can write is followed if it is ours, root's or the directory owner's" {
  folder 0777 "$CONDOR" open
  folder 1777 "$CONDOR" sticky
  file 0644 0 file
  for where in open sticky; do
    for owner in 0 "$ALICE" "$CONDOR" "$MALLORY"; do link "$owner" ../file "$where/by-$owner"; done
  done
  run trust "0,$ALICE" {open,sticky}/by-{0,"$ALICE","$CONDOR","$MALLORY"}
  diff - <(cat <<<"$output") <<END
./file: a regular file; way: ./open belongs to $CONDOR
./file: a regular file; way: ./open belongs to $CONDOR
./file: a regular file; way: ./open belongs to $CONDOR
./open/by-$MALLORY: a symbolic link; way: ./open belongs to $CONDOR
./file: a regular file; way: ./sticky belongs to $CONDOR
./file: a regular file; way: ./sticky belongs to $CONDOR
./file: a regular file; way: ./sticky belongs to $CONDOR
./sticky/by-$MALLORY: a symbolic link; way: ./sticky belongs to $CONDOR
END
}

@test "the last link can be left alone; loops and long chains of links end" {
  file 0644 0 file
  link 0 file link
  link 0 loop loop
  link 0 nowhere dangling
  link 0 file chain-0
  for i in {1..45}; do link 0 "chain-$((i - 1))" "chain-$i"; done
  run trust -nofollow 0 link file none
  diff - <(cat <<<"$output") <<<'./link: a symbolic link
./file: a regular file
./none: nothing'
  run trust 0 loop dangling chain-39 chain-40 file/below
  diff - <(cat <<<"$output") <<<'loop: FileSystemLoopException
./nowhere: nothing
./file: a regular file
chain-40: FileSystemLoopException
file/below: NotDirectoryException'
}

@test "what a process has open is a descriptor's link, whatever that reads" {
  run trust 0 /dev/fd/0 /dev/stdin < <(echo)
  diff - <(sed -E 's|/proc/[0-9]+|/proc/PID|' <<<"$output") <<<'/proc/PID/fd/0: a pipe
/proc/PID/fd/0: a pipe'
}

@test "where root has no name, in a user namespace, the owner of the root directory is trusted" {
  "${as_other[@]}" unshare -r true 2>/dev/null || skip "no user namespaces for ordinary users"
  common_folder
  folder 0755 "$MALLORY" "$COMMON/his"
  # To the program, it is root itself, and whoever is none of its users is number 65534.
  run "${as_other[@]}" unshare -r java -cp "$COMMON_CLASSPATH" tokenrequest.ShowPathTrust 0 / "$COMMON" "$COMMON/his"
  diff - <(cat <<<"$output") <<END
/: a directory
$COMMON: a directory
$COMMON/his: a directory
END
}

@test "a name is shown without what could steer a terminal" {
  folder 0777 0 $'a\e]0;x\ab'
  run trust 0 $'a\e]0;x\ab/file'
  [[ $output == *'way: ./a?]0;x?b can be changed by everybody (mode 0777)' ]]
}

@test "root is user number 0, whatever it is called" {
  type -P unshare || skip "no unshare"
  sed 's/^root:/superuser:/' /etc/passwd >passwd
  # A bind mount in a mount namespace of its own: the machine's list of users is left alone.
  unshare -m true 2>/dev/null || skip "no mount namespaces"
  run unshare -m sh -c 'mount --bind passwd /etc/passwd && exec "$@"' sh java -cp "$TOKEN_REQUEST_CLASSPATH" \
    -Duser.home="$HOME" tokenrequest.TokenRequest -config USERNAME -config CONDORISADMIN
  [[ $output == *superuser* && $output == *true* ]]
}
