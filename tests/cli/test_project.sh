#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# DEST belongs to a project: its directories say which group pays for what is in them and who else
# may use it. An ordinary user's files get what open(2) and mkdir(2) would give them there, root's
# the owners and groups of the job.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/drain.sh"
cd "$WORK" || exit 99
chmod 755 "$WORK"
[ "$(id -u)" = 0 ] || skip "a project's directory for another user has to be made by root"
user=(setpriv --reuid=1234 --regid=1234 --groups=1234,5678 env HOME=/)
command -v setpriv >/dev/null && "${user[@]}" test -x "$STAGE" ||
	skip "an ordinary user needs setpriv and a build that everybody may run"
command -v setfacl >/dev/null || skip "no setfacl (package acl)"
umask 022
# has PATH MODE GROUP
has() { is "$1: mode and group" "$2 $3" "$(stat -c '%a %g' "$1")"; }
acl() { getfacl -cpnE "$1" 2>/dev/null | grep -v '^$' | tr '\n' ' '; }
# has_acl PATH TEXT: among its entries
has_acl() {
	CHECKS=$((CHECKS + 1))
	case " $(acl "$1")" in *" $2 "*) ;; *) fail "$1: no $2 in $(acl "$1")" ;; esac
}
has_no_acl() {
	CHECKS=$((CHECKS + 1))
	case " $(acl "$1")" in *" $2"*) fail "$1: $2 in $(acl "$1")" ;; esac
}

# jobs UID GID: stores job.0 and job.1
jobs() {
	rm -rf job.?
	mkdir -p job.0/sub/deep job.1/sub job.1/own job.1/shared
	echo plain >job.0/plain
	echo deep >job.0/sub/deep/f
	echo tool >job.0/sub/tool
	head -c 3000000 /dev/urandom >job.1/sub/large
	echo private >job.1/sub/private
	echo wide >job.1/wide
	echo own >job.1/own/f
	ln job.1/wide job.1/sub/wide2
	ln -s plain job.0/link
	chown -hR "$1:$2" job.?
	chmod 644 job.0/plain
	chmod 750 job.0/sub/deep
	chmod 6755 job.0/sub/tool
	chmod 640 job.1/sub/large
	chmod 600 job.1/sub/private
	chmod 664 job.1/wide
	chmod 2755 job.1/shared
	setfacl -m u:4321:rx job.1/own
	setfacl -d -m u:4321:rwx job.1/own
	setfacl -m u:4321:r job.1/own/f
	chmod 755 job.0 job.1
}
# project: an empty directory of group 5678 that hands it down, with an ACL for user 777
project() {
	rm -rf fs/proj
	mkdir fs/proj
	chown 0:5678 fs/proj
	chmod 2775 fs/proj
	setfacl -m u:777:rwx,g:5678:rwx fs/proj
	setfacl -d -m u:777:rwx,g:5678:rwx fs/proj
}

# in_project FILESYSTEM
in_project() {
	what="user on $1"
	WHO=("${user[@]}")
	jobs 1234 1234
	project
	expect 0 2 --verify "$WORK/job.%r" "$WORK/fs/proj/res"
	d=fs/proj/res
	for f in job.0 job.1; do
		CHECKS=$((CHECKS + 1))
		(cd $f && find . -name .ebt -prune -o -type f -exec cmp {} ../$d/{} \;) >diff 2>&1
		[ ! -s diff ] || fail "$f: $(head -3 diff)"
	done
	has $d 2775 5678 # as mkdir makes it
	has $d/sub 2755 5678
	has $d/sub/deep 2750 5678
	has $d/shared 2755 5678
	has $d/plain 644 5678
	has $d/sub/large 640 5678
	has $d/sub/private 600 5678
	has $d/wide 664 5678
	has $d/sub/tool 4755 5678 # no set-id bit for a group that is another one
	is "group of a symlink" 5678 "$(stat -c %g $d/link)"
	is "hard links" "2 5678" "$(stat -c '%h %g' $d/sub/wide2)"
	# The mode's group bits are the mask of what is inherited.
	has_acl $d/sub user:777:rwx
	has_acl $d/sub mask::r-x
	has_acl $d/sub default:user:777:rwx
	has_acl $d/sub/deep default:group:5678:rwx
	has_acl $d/plain user:777:rwx
	has_acl $d/plain mask::r--
	has_acl $d/wide mask::rw-
	has_acl $d/sub/private mask::---
	# A file's own ACL wins.
	has_acl $d/own user:4321:r-x
	has_no_acl $d/own user:777
	has_acl $d/own default:user:4321:rwx
	has_no_acl $d/own default:user:777
	has_acl $d/own/f user:4321:r--
	has_no_acl $d/own/f user:777
	CHECKS=$((CHECKS + 1))
	"${user[@]}" mkdir $d/sub/later || fail "sub takes nothing more"
	has $d/sub/later 2775 5678
	rmdir $d/sub/later
	# A second run finds everything as it has to be.
	before=$(picture $d)
	expect 0 2 --json "$WORK/job.%r" "$WORK/fs/proj/res"
	is "drained again" 0 "$(number files)"
	echo more >job.0/sub/more
	chown 1234:1234 job.0/sub/more
	touch -r job.1/sub job.0/sub
	expect 0 2 --json "$WORK/job.%r" "$WORK/fs/proj/res"
	is "drained with one more" 1 "$(number files)"
	has $d/sub 2755 5678
	has_acl $d/sub default:user:777:rwx

	what="--atomic on $1"
	jobs 1234 1234
	expect 0 2 --atomic "$WORK/job.%r" "$WORK/fs/proj/whole"
	has fs/proj/whole 2775 5678
	has_acl fs/proj/whole user:777:rwx
	has_acl fs/proj/whole mask::rwx
	has_acl fs/proj/whole default:user:777:rwx
	has fs/proj/whole/sub 2755 5678
	# --keep-group: the job's groups, and what was handed down otherwise.
	what="--keep-group on $1"
	jobs 1234 1234
	expect 0 2 --keep-group "$WORK/job.%r" "$WORK/fs/proj/kept"
	has fs/proj/kept/plain 644 1234
	has fs/proj/kept/sub 755 1234
	has fs/proj/kept/sub/tool 6755 1234
	has_acl fs/proj/kept/sub default:user:777:rwx

	# Root keeps the owners, and the group is then not that of the directory.
	what="root on $1"
	WHO=()
	jobs 1234 1234
	chown root job.0 job.1
	chgrp 5678 job.0/sub/deep
	expect 0 2 "$WORK/job.%r" "$WORK/fs/proj/root"
	has fs/proj/root/plain 644 1234
	has fs/proj/root/sub 755 1234
	has fs/proj/root/sub/tool 6755 1234
	has fs/proj/root/sub/deep 2750 5678
	is "owner" 1234 "$(stat -c %u fs/proj/root/sub/large)"
	has_acl fs/proj/root/sub default:user:777:rwx
	what=
}

TRIED=0
mkdir fs
truncate -s 64M disk
if mkfs.ext4 -q -F disk 2>mount && mount -o loop disk fs 2>>mount; then
	MOUNTS=("$WORK/fs")
	TRIED=1
	in_project ext4
	umount fs
	MOUNTS=()
else
	echo "not tried: ext4: $(head -1 mount)"
fi
if mount -t tmpfs -o size=64m tmpfs fs 2>mount; then
	MOUNTS=("$WORK/fs")
	TRIED=1
	in_project tmpfs
	# A run that was cut short: a directory that is shut to its owner in the end is opened again
	# without losing the bit.
	what="cut short"
	WHO=("${user[@]}")
	jobs 1234 1234
	mkdir -m 555 job.0/closed
	echo f >job.0/closed/f
	chown -R 1234:1234 job.0/closed
	project
	echo g >job.0/closed/g
	chmod 000 job.0/closed/g
	chown -R 1234:1234 job.0/closed
	expect 3 2 "$WORK/job.%r" "$WORK/fs/proj/res"
	has fs/proj/res/closed 2555 5678
	chmod 644 job.0/closed/g
	expect 0 2 "$WORK/job.%r" "$WORK/fs/proj/res"
	has fs/proj/res/closed 2555 5678
	has fs/proj/res/closed/g 644 5678
	what=
	# The user's own directories are like those of the job.
	what="own directory"
	jobs 1234 1234
	mkdir fs/own
	chown 1234:1234 fs/own
	expect 0 2 "$WORK/job.%r" "$WORK/fs/own/res"
	has fs/own/res/sub/tool 6755 1234
	has fs/own/res/shared 2755 1234
	has fs/own/res/sub 755 1234
	what=
	umount fs
	MOUNTS=()
else
	echo "not tried: tmpfs: $(head -1 mount)"
fi
[ $TRIED = 1 ] || skip "no file system with ACLs could be mounted"
finish
