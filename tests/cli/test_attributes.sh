#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Local file systems that cannot hold what the sources have: ACLs, times, owners.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/drain.sh"
cd "$WORK" || exit 99
chmod 755 "$WORK"
[ "$(id -u)" = 0 ] || skip "file systems without ACLs, times or owners have to be mounted, as root"
TRIED=0

# on DIR OPTION...: DIR/fs is a bindfs with these options; 1 where none can be had
on() {
	local dir=$1
	shift
	mkdir -p "$dir/below" "$dir/fs"
	if ! bindfs "$@" -o hard_remove "$dir/below" "$dir/fs" 2>"$WORK/mount"; then
		echo "not tried: $dir: bindfs: $(head -1 "$WORK/mount")"
		return 1
	fi
	MOUNTS+=("$WORK/$dir/fs")
	TRIED=$((TRIED + 1))
}
drained() { expect 0 2 --json "$@"; }

mkdir -p s/dir
echo a >s/file
echo b >s/dir/below
ln -s file s/link
touch -h -d '2001-02-03 04:05:07.123456789 UTC' s/file s/link
touch -d '2004-02-03 04:05:08.987654321 UTC' s/dir/below

# Extended attributes of directories are no less than those of files; found out before anything
# is there, and left behind only if that was said.
if on noacl --xattr-none; then
	cp -a s acl
	setfacl -m u:1234:rwx acl/dir
	STAGE=$STAGER expect 1 2 acl "$WORK/noacl/fs/d.%r"
	says "acl/dir: its attribute system.posix_acl_access cannot be set"
	says "--no-xattrs"
	nothing_visible noacl/fs/d.0 noacl/fs/d.1
	absent noacl/fs/d.0
	staged 2 --no-xattrs acl "$WORK/noacl/fs/d.%r"
	staged 2 --verify "$WORK/noacl/fs/d.%r"
	# A directory that is there already, and a default ACL.
	setfacl -b acl/dir
	setfacl -d -m u:1234:rwx acl/dir
	STAGE=$STAGER expect 1 2 --overwrite=update acl "$WORK/noacl/fs/d.%r"
	says "acl/dir: its attribute system.posix_acl_default cannot be set"
	setfacl -b acl/dir
	setfattr -n trusted.test -v 1 acl/dir
	STAGE=$STAGER expect 1 2 --overwrite=update acl "$WORK/noacl/fs/d.%r"
	says "acl/dir: its attribute trusted.test cannot be set"
	setfattr -x trusted.test acl/dir
	staged 2 --overwrite=update acl "$WORK/noacl/fs/d.%r"
	staged 2 --verify "$WORK/noacl/fs/d.%r"
fi
# An ACL that goes away afterwards is a difference.
if setfacl -m u:1234:r s/file 2>/dev/null; then
	staged 2 s "$WORK/lost.%r"
	setfacl -b lost.1/s/file
	chmod "$(stat -c %a s/file)" lost.1/s/file
	touch -d '2001-02-03 04:05:07.123456789 UTC' lost.1/s/file
	STAGE=$STAGER expect 1 2 --verify "$WORK/lost.%r"
	says "lost.1/s/file: extended attributes"
	setfacl -b s/file
else
	echo "not tried: ACLs, which $WORK does not have"
fi

# Times that the store cannot hold: said once, and then nothing differs.
truncate -s 64M disk
mkdir ext4
if mkfs.ext4 -q -F -I 128 disk 2>"$WORK/mount" && mount -o loop disk ext4 2>>"$WORK/mount"; then
	MOUNTS+=("$WORK/ext4")
	TRIED=$((TRIED + 1))
	cp -a s late
	echo late >late/late
	echo early >late/early
	touch -d '2050-01-01 00:00:01.5 UTC' late/late
	touch -d '1950-01-01 00:00:01.5 UTC' late/early
	staged 3 late "$WORK/ext4/d.%r"
	says "holds times in steps of 1 s, from 1901-12-13 to 2038-01-19: those of 5 files are cut (3 of 3 nodes)"
	is "warnings" 1 "$(grep -c warning err)"
	umount ext4 && mount -o loop disk ext4 || exit 99 # on the disk, too
	staged 3 --verify "$WORK/ext4/d.%r"
	staged 3 --json --overwrite=update late "$WORK/ext4/d.%r"
	is "unchanged" 5 "$(number unchanged)"
	is "moved again" 0 "$(number bytes)"
	is "warnings of an update with nothing new" 0 "$(grep -c warning err)"
	# None of what was staged is an output; what a job wrote is, from directories of the store too.
	expect 0 3 --json --conflict=newest "$WORK/ext4/d.%r" "$WORK/back"
	is "drained" 0 "$(number files)"
	expect 0 3 --json --conflict=newest "$WORK/ext4/d.%r/late" "$WORK/back"
	is "drained from a directory" 0 "$(number files)"
	echo b >ext4/d.1/late/dir/below
	expect 0 3 --json "$WORK/ext4/d.%r" "$WORK/back2"
	is "drained" 1 "$(number files)"
	exists back2/late/dir/below
	# A second source of other times goes with the first.
	staged 3 s/file "$WORK/ext4/d.%r"
	STAGE=$STAGER expect 1 3 --verify "$WORK/ext4/d.%r"
	says "d.1/late/dir/below: mtime"
	is "differences" 1 "$(grep -c 'mtime' err)"
	# As the target of a drain: what is in place is known again.
	mkdir all.0 all.1
	cp -a late all.1/tree
	drained "$WORK/all.%r" "$WORK/ext4/results"
	is "drained" 5 "$(($(number files) + $(number symlinks)))"
	drained "$WORK/all.%r" "$WORK/ext4/results"
	is "in place" 5 "$(number in_place)"
	umount ext4
else
	echo "not tried: times that end in 2038: $(head -1 "$WORK/mount")"
fi
# Where all is held a nanosecond counts as before.
staged 2 s "$WORK/exact.%r"
is "warnings" 0 "$(grep -c warning err)"
touch -d '2001-02-03 04:05:07.123456788 UTC' exact.1/s/file
STAGE=$STAGER expect 1 2 --verify "$WORK/exact.%r"
says "exact.1/s/file: mtime"
drained "$WORK/exact.%r" "$WORK/exact"
is "drained" 1 "$(number files)"

# Owners that cannot be given: refused, or forgotten without a word.
chown 1234:5678 s/dir/below
chown -h 1234 s/link
chmod 6755 s/dir/below
echo half >s/half
chown 0:5678 s/half
chmod 6755 s/half
for how in deny ignore; do
	on "chown-$how" --chown-$how || continue
	STAGE=$STAGER expect 1 2 s "$WORK/chown-$how/fs/d.%r"
	says "s/dir/below: cannot be given to its owner 1234:5678"
	says "--no-owner"
	absent "chown-$how/fs/d.0"
	staged 2 --no-owner s "$WORK/chown-$how/fs/d.%r"
	staged 2 --verify "$WORK/chown-$how/fs/d.%r"
	is "owner and mode" "0:0 755" "$(stat -c '%u:%g %a' "chown-$how/fs/d.1/s/dir/below")"
	is "owner kept, group not" "0:0 4755" "$(stat -c '%u:%g %a' "chown-$how/fs/d.1/s/half")"
	staged 2 --json --no-owner --overwrite=update s "$WORK/chown-$how/fs/d.%r"
	is "moved again" 0 "$(number bytes)"
	is "unchanged" 4 "$(number unchanged)"
	drained "$WORK/chown-$how/fs/d.%r" "$WORK/own-$how"
	is "drained" 0 "$(number files)"
done
# The target of a drain: each file by its path.
if [ -d chown-deny/fs ]; then
	mkdir -p job.0/p job.1
	cp -a s/. job.0/p/
	chown 1234 job.0/p
	expect 1 2 --strict "$WORK/job.%r" "$WORK/chown-deny/fs/strict"
	says "strict/p/dir/below: cannot be given to its owner 1234:5678 (see --no-owner)"
	says "strict/p/link: cannot be given to its owner 1234:0 (see --no-owner)"
	rm -rf job.?/.ebt
	# Without --strict all comes, for --no-owner to be asked for or not the next time.
	expect 3 2 --json --delete "$WORK/job.%r" "$WORK/chown-deny/fs/results"
	says "owners of 4 outputs cannot be set (see --no-owner): $WORK/chown-deny/fs/results/p"
	is "lost" 4 "$(number lost_attributes)"
	cmp job.0/p/dir/below chown-deny/fs/results/p/dir/below || fail "a file without its owner did not come"
	is "no set-id bit" "0:0 755" "$(stat -c '%u:%g %a' chown-deny/fs/results/p/dir/below)"
	absent job.0/p/file
	cp -a s/file job.0/p/
	rm -rf chown-deny/fs/results job.?/.ebt
	expect 0 2 --no-owner "$WORK/job.%r" "$WORK/chown-deny/fs/results"
	is "owner and mode" "0:0 755" "$(stat -c '%u:%g %a' chown-deny/fs/results/p/dir/below)"
	is "owner of a directory" 0 "$(stat -c %u chown-deny/fs/results/p)"
fi
# A set-id bit never speaks for somebody else, whatever became of the owner.
if [ -d chown-ignore/fs ]; then
	rm -rf job.?/.ebt
	expect 0 2 "$WORK/job.%r" "$WORK/chown-ignore/fs/results"
	is "no set-id bit" 0 "$(stat -c '%u %a' chown-ignore/fs/results/p/dir/below | grep -c '^0 [4567]...')"
fi
# Root of a user namespace, for whom the owners are nobody.
if unshare -Ur true 2>"$WORK/mount"; then
	TRIED=$((TRIED + 1))
	run() {
		local n=$1
		shift
		CHECKS=$((CHECKS + 1))
		timeout "$LIMIT" unshare -Ur "$LAUNCH" -n "$n" "$@" >out 2>err </dev/null || {
			fail "in a user namespace: $*"
			show
		}
	}
	mkdir ns
	CHECKS=$((CHECKS + 1))
	timeout "$LIMIT" unshare -Ur "$LAUNCH" -n 2 "$STAGER" --per-rank s "$WORK/ns/d.%r" >out 2>err &&
		fail "a file of nobody's was given to nobody"
	says "s/dir/below: cannot be given to its owner 65534:65534"
	absent ns/d.0
	run 2 "$STAGER" --per-rank --no-owner s "$WORK/ns/d.%r"
	is "owner and mode" "0:0 755" "$(stat -c '%u:%g %a' ns/d.1/s/dir/below)"
	run 2 "$STAGER" --per-rank --verify "$WORK/ns/d.%r"
	run 2 "$STAGER" --per-rank --no-owner --overwrite=update s "$WORK/ns/d.%r"
	run 2 "$BIN/ebt-drain" --per-rank --no-owner "$WORK/ns/d.%r" "$WORK/ns/results"
	says "drained 0 files"
	run 1 "$BIN/ebt-drain" --per-rank --no-owner "$WORK/s" "$WORK/ns/results"
	exists ns/results/dir/below
else
	echo "not tried: user namespaces: $(head -1 "$WORK/mount")"
fi
[ "$TRIED" -gt 0 ] || skip "no file system could be mounted"
finish
