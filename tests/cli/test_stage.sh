#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The main job on real trees: every kind of entry, several numbers of nodes, every schedule.
. "$(dirname "$0")/lib.sh"

make_tree "$WORK/src"

for n in 1 2 3 4 7; do
	expect 0 $n --readers=2 "$WORK/src/." "$WORK/d$n.%r"
	for ((r = 0; r < n; r++)); do
		same "$WORK/src" "$WORK/d$n.$r"
		same_times "$WORK/src" "$WORK/d$n.$r"
	done
	rm -rf "$WORK"/d$n.*
done

for algo in auto chain two-tree circulant binomial mpi-bcast; do
	for readers in 1 3; do
		expect 0 5 --algo=$algo --readers=$readers --parcel=128K "$WORK/src/." "$WORK/e.%r"
		for r in 0 4; do same "$WORK/src" "$WORK/e.$r"; done
		rm -rf "$WORK"/e.*
	done
done

# Holes stay holes, within a block or two a hole.
expect 0 2 "$WORK/src" "$WORK/h.%r"
for f in hole bighole allhole; do
	CHECKS=$((CHECKS + 1))
	[ "$(stat -c %b "$WORK/h.1/src/$f")" -le $(($(stat -c %b "$WORK/src/$f") + 16)) ] ||
		fail "$f takes $(stat -c %b "$WORK/h.1/src/$f") blocks"
done
same "$WORK/src" "$WORK/h.1/src"

# Every node agrees, and the store can be looked at.
expect 0 2 --verify "$WORK/h.%r"
"$STAGE" --list "$WORK/h.0" >"$WORK/list" || fail "--list"
CHECKS=$((CHECKS + 1))
[ "$(wc -l <"$WORK/list")" -eq "$(find "$WORK/src" -printf x | wc -c)" ] || fail "--list lines"
"$STAGE" --list --json "$WORK/h.0" | grep -q '"path":"src/a/hello","kind":"file","mode":"4755"' ||
	fail "--list --json"

# Parents are made, a file as SOURCE goes in under its name.
expect 0 2 "$WORK/src/a/hello" "$WORK/src/a/b" "$WORK/deep/er/%r"
check "file" cmp "$WORK/src/a/hello" "$WORK/deep/er/1/hello"
same "$WORK/src/a/b" "$WORK/deep/er/1/b"

# An empty directory, and nothing at all to stream.
mkdir "$WORK/void"
expect 0 3 "$WORK/void" "$WORK/v.%r"
check "empty directory" test -d "$WORK/v.2/void"
finish
