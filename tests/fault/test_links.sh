#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Hard links of a source whose names are seen by several nodes, and nodes that number devices
# and inodes differently.
. "$(dirname "$0")/fault.sh"
shim=$2/numbers.so
unset what

# numbered SETTING N ARG...: N ranks, the second of which sees what SETTING says
numbered() {
	local setting=$1 n=$2
	shift 2
	rm -rf d.?
	CHECKS=$((CHECKS + 1))
	timeout "$LIMIT" "$LAUNCH" -n "$n" env LD_PRELOAD="$shim" EBT_TEST_RANK=1 \
		"$setting" "$STAGE" --per-rank --memory=32M --json "$@" "$WORK/d.%r" >out 2>err </dev/null || { fail "status $?"; show; }
}
# counted FIELD VALUE: as the result says
counted() {
	local got
	CHECKS=$((CHECKS + 1))
	got=$(sed -n "s/.*\"type\":\"result\".*\"$1\":\([0-9]*\).*/\1/p" out)
	[ "$got" = "$2" ] || fail "$1 is '$got', not $2"
}
# stores N: N stores hold what the source has, links included
stores() {
	local r
	for ((r = 0; r < $1; r++)); do
		same src "d.$r/src"
		same_times src "d.$r/src"
	done
}

# What a node believes to be a link of another file, and is none on the node that looks.
what="a number that is another file's"
mkdir -p src/a src/b out-of-it
echo one >src/a/f
echo two >src/b/g
chmod 640 src/b/g
touch -d '2020-02-02 UTC' src/a/f src/b/g
ln src/a/f out-of-it/f
ln src/b/g out-of-it/g
# src is the first rank's, src/b the second's, src/a the first one's again
numbered "EBT_TEST_INODE=g:$(stat -c %i src/a/f)" 2 -R src/b src/a
for r in 0 1; do
	check "$what: content" cmp src/a/f d.$r/src/a/f
	check "$what: content" cmp src/b/g d.$r/src/b/g
	check "$what: mode" test "$(stat -c %a%h d.$r/src/a/f d.$r/src/b/g | tr '\n' ' ')" = "6441 6401 "
done
counted links 0
counted links_apart 1
says "src/b/g: comes as a file of its own"

what="links that two nodes come by"
rm -rf src out-of-it
mkdir -p src/a src/b
for i in $(seq 300); do
	echo $i >src/a/f$i
	ln src/a/f$i src/b/g$i
done
numbered EBT_TEST_DEVICES=0 2 -R src/a src/b
counted links 300
counted links_apart 0
check "$what: no word" test ! -s err
stores 2
what="the other node numbers the device differently"
numbered "EBT_TEST_DEVICES=$(stat -c %d src):4095" 2 -R src/a src/b
counted links 300
counted links_apart 0
stores 2

mounts_here() {
	[ "$(id -u)" = 0 ] && mkdir -p mnt && mount -t tmpfs none mnt 2>/dev/null && umount mnt
}
if ! mounts_here; then
	echo "not tried: file systems below a source need a root that may mount"
	finish
fi

# More file systems than anybody counts, all alike but for the content: names, sizes, times and
# very likely inode numbers.
what="device numbers that two nodes deal differently"
rm -rf src
roots=() devices=
for i in $(seq 20); do
	mkdir -p src/m$i
	mount -t tmpfs none src/m$i || exit 99
	MOUNTS+=("$WORK/src/m$i")
	mkdir src/m$i/p src/m$i/e
	printf '%02d' "$i" >src/m$i/p/f
	ln src/m$i/p/f src/m$i/e/f
	printf '%02d' "$i" >src/m$i/e/outside
	touch -d '2020-02-02 UTC' src/m$i/?/*
	roots+=(src/m$i/p src/m$i/e)
	devices+=:$(stat -c %d src/m$i)
done
touch -d '2020-02-02 UTC' src/m*/? src/m* src
numbered "EBT_TEST_DEVICES=${devices#:}" 2 -R "${roots[@]}"
counted links 20
counted links_apart 0
stores 2
numbered "EBT_TEST_DEVICES=${devices#:}" 3 -R src
counted links 20
counted links_apart 0
stores 3
what="the same file system by another path"
ln -s m1 src/again
numbered "EBT_TEST_DEVICES=${devices#:}" 2 -R src/m1/p src/again/e
counted links 1
check "$what" test "$(stat -c %h d.0/src/m1/p/f)" = 2

# Names that are more than the links: the same ones by two mounts.
what="a bind mount"
for m in "${MOUNTS[@]}"; do umount "$m"; done
MOUNTS=()
rm -rf src
mkdir -p src/one src/two
echo 1 >src/one/a
ln src/one/a src/one/b
mount --bind src/one src/two || exit 99
MOUNTS=("$WORK/src/two")
for n in 1 2; do
	numbered EBT_TEST_DEVICES=0 $n -R src/one src/two
	counted links 3
	counted links_apart 0
	check "$what" test "$(stat -c %h d.0/src/two/b)" = 4
done
what="a bind mount in a store that is drained"
check "$what" timeout "$LIMIT" "$BIN/ebt-drain" --local-dest src back >out 2>err
check "$what" test "$(stat -c %h back/two/b)" = 4
check "$what: no word" test ! -s err
finish
