#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Odd places for stores: file systems that do not count, or that nobody can write to, directories
# that come and go, and trees with stores in them.
. "$(dirname "$0")/lib.sh"
cd "$WORK" || exit 99
STORES=$STAGE
DRAIN=$BIN/ebt-drain
mkdir -p s/dir
for i in 1 2 3; do head -c 100000 /dev/urandom >"s/dir/f$i"; done

# Directories above DEST that a run made go with it, and no others.
mkdir there
what="a run that fails"
expect 1 3 s /does/not/exist "$WORK/a/b/c/d.%r"
check "$what: nothing is left" test ! -e a
expect 1 3 s /does/not/exist "$WORK/there/b/%r/d"
check "$what: nothing but what was there" test -z "$(ls -A there)"
mkdir -p there/other/d.0
expect 1 1 s /does/not/exist "$WORK/there/other/d.%r/x/y"
check "$what: not what was there" test -d there/other/d.0
check "$what: but what was made" test -z "$(ls -A there/other/d.0)"
what=
expect 0 3 s "$WORK/a/b/c/d.%r"
expect 1 3 --overwrite=refuse s "$WORK/a/b/c/d.%r"
check "what is in use stays" cmp s/dir/f1 a/b/c/d.2/s/dir/f1

# The folder of a store is not content, wherever the store lies in the tree.
what="a store as a source"
mkdir -p tree/deep
mv a/b/c/d.0 tree/deep/store
echo file >tree/deep/.ebt # no folder, so nobody's
for source in tree/deep/store tree/deep/store/. tree tree/deep/store/; do
	rm -rf e.*
	expect 0 2 $source "$WORK/e.%r"
	check "$what $source: content" test "$(find e.1 -name f3 | wc -l)" = 1
	check "$what $source: no folder" test -z "$(find e.1 -mindepth 2 -name .ebt -type d)"
done
expect 0 2 tree "$WORK/e2.%r"
check "$what: a file of that name" cmp tree/deep/.ebt e2.1/tree/deep/.ebt
rm -rf e.*
expect 0 2 -R tree/deep/store "$WORK/e.%r"
check "$what, -R: no folder" test -z "$(find e.1 -mindepth 2 -name .ebt)"
rm -rf e.*
expect 1 2 tree/deep/store/.ebt "$WORK/e.%r"
says "tree/deep/store/.ebt: belongs to a store and is not content"
expect 1 2 -R tree/deep/store/.ebt/manifest "$WORK/e.%r"
says "belongs to a store"
expect 1 2 tree/deep/. "$WORK/e.%r"
says "deep/.ebt: a store has no place for a file of this name"
expect 0 2 --exclude=/.ebt tree/deep/. "$WORK/e.%r"
rm -rf e.*
STAGE=$DRAIN
mkdir -p o.0
cp -a tree o.0/
expect 0 1 "$WORK/o.%r" "$WORK/home"
check "$what of a drain: content" cmp s/dir/f1 home/tree/deep/store/s/dir/f1
check "$what of a drain: no folder" test -z "$(find home -name .ebt -type d)"
check "$what of a drain: a file of that name" cmp tree/deep/.ebt home/tree/deep/.ebt
STAGE=$STORES
what=

if [ "$(id -u)" != 0 ]; then
	echo "not tried: file systems that do not count, or are read-only, need root to mount"
	finish
fi
# mounted DIR TYPE OPTIONS
mounted() {
	mkdir -p "$1"
	if ! mount -t "$2" -o "$3" none "$1" 2>err; then
		echo "not tried: $2 with $3: $(cat err)"
		return 1
	fi
	MOUNTS=("$WORK/$1" "${MOUNTS[@]}")
}

# No blocks, no inodes: not full, but not counted.
for fs in "tmpfs size=0,nr_inodes=0" "ramfs mode=755"; do
	# shellcheck disable=SC2086 # two words
	mounted "m" $fs || continue
	what="$fs"
	check "$what: counts no blocks" test "$(stat -f -c %b m)" = 0
	expect 0 1 s "$WORK/m/d.%r"
	check "$what: content" cmp s/dir/f2 m/d.0/s/dir/f2
	expect 0 1 --verify "$WORK/m/d.%r"
	expect 1 1 --memory=100000000M s "$WORK/m/e.%r"
	says "lies in memory"
	STAGE=$DRAIN
	cp -a s m/d.0/out
	expect 0 1 "$WORK/m/d.%r" "$WORK/m/results"
	check "$what: drained" cmp s/dir/f2 m/results/out/dir/f2
	STAGE=$STORES
	umount m
done
what=

# Nobody can write there: what is there can be looked at, with the lock file and without.
if mounted ro tmpfs size=10m,mode=755; then
	expect 0 2 s "$WORK/ro/d.%r"
	mount -o remount,ro ro
	for lock in with without; do
		what="read-only, $lock a lock file"
		expect 0 2 --verify "$WORK/ro/d.%r"
		check "$what: list" grep -q s/dir/f1 <("$STAGE" --list ro/d.1)
		expect 1 2 --overwrite=update s "$WORK/ro/d.%r"
		says "Read-only file system"
		expect 1 2 --recover "$WORK/ro/d.%r"
		says "Read-only file system"
		mount -o remount,rw ro
		rm -f ro/d.?/.ebt/lock
		mount -o remount,ro ro
	done
	what="read-only, damaged"
	mount -o remount,rw ro
	printf X | dd of=ro/d.1/s/dir/f1 bs=1 seek=3 conv=notrunc status=none
	touch -r s/dir/f1 ro/d.1/s/dir/f1
	mount -o remount,ro ro
	expect 1 2 --verify "$WORK/ro/d.%r"
	says "ro/d.1/s/dir/f1: content"
fi
finish
