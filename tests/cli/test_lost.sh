#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Attributes that DEST cannot hold keep no content from coming home. What was lost is said once
# per kind, counted, and remembered: a store is not freed of what is nowhere else.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/drain.sh"
cd "$WORK" || exit 99
chmod 755 "$WORK"
[ "$(id -u)" = 0 ] || skip "file systems without attributes have to be mounted, as root"
command -v setfacl >/dev/null && command -v setfattr >/dev/null || skip "no setfacl or setfattr"
umask 022
user=(setpriv --reuid=1234 --regid=1234 --clear-groups env HOME=/)

# jobs: 40 files with attributes of user.*, one each with an ACL, a directory with both, and others
jobs() {
	local i
	rm -rf job.?
	mkdir -p job.0/many job.1/dir job.0/plain
	for i in $(seq 40); do
		echo "content $i" >job.0/many/f$i
		setfattr -n user.test -v "$i" job.0/many/f$i || skip "$WORK has no attributes"
	done
	echo acl >job.1/dir/acl
	setfacl -m u:4321:r job.1/dir/acl || skip "$WORK has no ACLs"
	ln job.1/dir/acl job.1/acl2
	echo plain >job.1/dir/plain
	setfacl -d -m u:4321:rwx job.1/dir
	setfattr -n user.test -v dir job.1/dir
	ln -s plain job.1/dir/link
	[ $# = 0 ] || chown -hR "$1" job.?
	touch -d '2010-10-10 10:10:10.101010101 UTC' job.0/many/* job.1/dir/plain job.1/dir/acl
}
# home DEST: all content and times
home() {
	local f
	for f in job.0 job.1; do
		CHECKS=$((CHECKS + 1))
		(cd $f && find . -name .ebt -prune -o -type f -exec cmp {} "../$1/{}" \;) >diff 2>&1
		[ ! -s diff ] || fail "$f: $(head -3 diff)"
		diff <(cd $f && find . -name .ebt -prune -o -type f -printf '%P %T@ %m %U\n' | sort) \
			<(cd $f && find . -name .ebt -prune -o -type f -printf '%P\0' |
				(cd "../$1" && xargs -0 stat -c '%n %.10Y %a %u' 2>&1) | sed 's/ \([0-9]*\.[0-9]*\) / \1 /' | sort) >diff ||
			fail "$f: times, modes or owners: $(head -3 diff)"
	done
	is "symlink" plain "$(readlink "$1/dir/link")"
	is "hard links" 2 "$(stat -c %h "$1/acl2")"
	tidy "$1"
}
# once TEXT: in one message
once() { is "lines with '$1'" 1 "$(grep -c -- "$1" err)"; }

# lossy FILESYSTEM: mounted at fs, takes neither ACLs nor user.*
lossy() {
	what="$3$1"
	expect 3 2 --json "$WORK/job.%r" "$WORK/$2/d"
	home "$2/d"
	is "lost" 42 "$(number lost_attributes)"
	is "not done" 0 "$(number failed)"
	is "files" 42 "$(number files)"
	once "user.\* attributes of 41 outputs cannot be set (see --no-xattrs): $WORK/$2/d/"
	once "default ACLs of 1 output cannot be set (see --no-xattrs): $WORK/$2/d/dir: Operation not supported"
	once "warning: ACLs of 1 output cannot be set"
	is "messages" 3 "$(grep -c ebt-drain err)"
	is "named" 42 "$(grep -c '"kind":"lost"' out)"
	check "a directory is named" grep -q '"kind":"lost","path":"dir"' out
	# Again: in place, and said again.
	picture "$2/d" >before
	expect 3 2 --json "$WORK/job.%r" "$WORK/$2/d"
	is "again: files" 0 "$(number files)"
	is "again: lost" 41 "$(number lost_attributes)" # directories were there before
	once "41 outputs that an earlier run put in place are without attributes"
	check "nothing was written again" diff before <(picture "$2/d")
	# More names for what is in place are not whole either, and nothing of it is freed.
	ln job.1/acl2 job.1/acl3
	expect 3 2 --json --delete "$WORK/job.%r" "$WORK/$2/d"
	is "more names" 3 "$(stat -c %h "$2/d/acl3")"
	exists job.1/dir/acl
	exists job.1/acl2
	exists job.1/acl3
	exists job.0/many/f40
	absent job.1/dir/plain
	absent job.1/dir/link
	expect 3 2 --json --delete "$WORK/job.%r" "$WORK/$2/d"
	exists job.1/acl3
	# What is not asked for is not missed.
	expect 0 2 --json --no-xattrs --delete "$WORK/job.%r" "$WORK/$2/d"
	is "not asked for: lost" 0 "$(number lost_attributes)"
	absent job.1/acl2
	absent job.1/acl3
	absent job.0/many/f40
	what=
}
# strictly FILESYSTEM DIR WHO
strictly() {
	local how
	what="$3$1, --delete at once"
	expect 3 2 --json --delete "$WORK/job.%r" "$WORK/$2/e"
	exists job.0/many/f7
	absent job.1/dir/plain
	for how in --strict --atomic; do
		what="$3$1, $how"
		jobs ${JOBS:+"$JOBS"}
		rm -rf job.1/dir
		expect "$([ $how = --strict ] && echo 3 || echo 1)" 2 $how "$WORK/job.%r" "$WORK/$2/s$how"
		says "many/f40: extended attributes (see --no-xattrs)"
		absent "$2/s$how/many/f40"
	done
	what="$3$1, --watch"
	jobs ${JOBS:+"$JOBS"}
	timeout -s TERM 6 "${WHO[@]}" "$LAUNCH" -n 2 "$STAGE" --per-rank --memory=32M --json --watch=1 "$WORK/job.%r" \
		"$WORK/$2/w" >out 2>err </dev/null
	once "user.\* attributes of 41 outputs cannot be set"
	what=
}
TRIED=0
mkdir fs
# everybody FILESYSTEM: root and an ordinary user
everybody() {
	TRIED=1
	jobs
	lossy "$1" fs "root on "
	jobs
	strictly "$1" fs "root on "
	if command -v setpriv >/dev/null && "${user[@]}" test -x "$STAGE"; then
		WHO=("${user[@]}")
		JOBS=1234:1234
		mkdir fs/user
		chown 1234:1234 fs/user
		jobs $JOBS
		lossy "$1" fs/user "user on "
		jobs $JOBS
		strictly "$1" fs/user "user on "
		WHO=()
		JOBS=
	else
		echo "not tried: an ordinary user needs setpriv and a build that everybody may run"
	fi
}
JOBS=
if mount -t ramfs ramfs fs 2>mount; then
	MOUNTS=("$WORK/fs")
	everybody ramfs
	umount fs
	MOUNTS=()
else
	echo "not tried: ramfs: $(head -1 mount)"
fi
truncate -s 64M disk
if mkfs.ext4 -q -F disk 2>mount && mount -o loop disk fs 2>>mount; then
	MOUNTS=("$WORK/fs")
	TRIED=1
	# A value that is too large for a file system which has attributes otherwise.
	what="ext4, a large attribute"
	rm -rf job.?
	mkdir job.0 job.1
	mount -t tmpfs tmpfs job.0 && MOUNTS+=("$WORK/job.0")
	echo large >job.0/large
	echo small >job.0/small
	if setfattr -n user.large -v "$(head -c 30000 /dev/zero | tr '\0' x)" job.0/large 2>/dev/null; then
		setfattr -n user.small -v s job.0/large
		setfattr -n user.small -v s job.0/small
		expect 3 2 --json "$WORK/job.%r" "$WORK/fs/d"
		is "lost" 1 "$(number lost_attributes)"
		says "user.* attributes of 1 output cannot be set"
		check "content" cmp job.0/large fs/d/large
		is "the other one" s "$(getfattr --only-values -n user.small fs/d/large 2>/dev/null)"
	else
		echo "not tried: large attributes, which $WORK does not have"
	fi
	umount fs
	umount job.0
	MOUNTS=()
	what=
else
	echo "not tried: ext4: $(head -1 mount)"
fi
[ $TRIED = 1 ] || skip "no file system could be mounted"
finish
