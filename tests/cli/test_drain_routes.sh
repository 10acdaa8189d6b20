#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A drain of so many nodes that what they say to each other takes routes by way of others: all
# comes, what several nodes have is one file where it is the same or parts of one, and goes beside
# where it is not.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/drain.sh"
cd "$WORK" || exit 99
N=67 # 8 x 8, and 3 that fill no row
host=$(hostname)
pack=() # with archives, if there are any
"$STAGER" --version | grep -q '^archives tar' && pack=(--pack=packed=packed.tar)
for ((r = 0; r < N; r++)); do
	mkdir -p "s.$r/all/of$r" s.$r/parts
	echo "by $r" >"s.$r/all/of$r/file"
	echo same >"s.$r/all/same"
	truncate -s "$((N * 4096))" s.$r/parts/whole
	head -c 4096 /dev/zero | tr '\0' "\\$(printf %o $((r + 40)))" |
		dd of=s.$r/parts/whole bs=4096 seek=$r conv=notrunc status=none
	touch -d '2020-02-02 02:02:02 UTC' s.$r/all/same
done
for ((r = 0; r < N; r++)); do head -c 4096 /dev/zero | tr '\0' "\\$(printf %o $((r + 40)))"; done >whole

for r in 0 33 66; do echo "by $r" >"s.$r/other"; done
if [ ${#pack[@]} -gt 0 ]; then
	for ((r = 0; r < N; r++)); do
		mkdir s.$r/packed
		cp -a s.$r/all/of$r s.$r/parts/whole s.$r/all/same s.$r/packed
		[ ! -e s.$r/other ] || cp s.$r/other s.$r/packed
	done
fi

expect 4 $N --memory=16M "${pack[@]}" "$WORK/s.%r" "$WORK/d"
if [ ${#pack[@]} -gt 0 ]; then
	mkdir u
	check "archive" tar -xf d/packed.tar -C u
	is "members" $((2 * N + 6)) "$(tail -n +2 d/packed.tar.idx | wc -l)"
	for ((r = 0; r < N; r++)); do
		CHECKS=$((CHECKS + 1))
		[ "$(cat "u/packed/of$r/file")" = "by $r" ] || fail "member of node $r"
	done
	is "member that all have" same "$(cat u/packed/same)"
	check "parts are one member" cmp whole u/packed/whole
	for r in 0 33 66; do
		check "node $r has its own member" grep -qx "by $r" "u/packed/other.$host.$r"
	done
	rm d/packed.tar*
fi
is "files" $((N + 5)) "$(find d -type f | wc -l)"
for ((r = 0; r < N; r++)); do
	CHECKS=$((CHECKS + 1))
	[ "$(cat "d/all/of$r/file")" = "by $r" ] || fail "file of node $r"
done
is "what all have" same "$(cat d/all/same)"
check "parts are one file" cmp whole d/parts/whole
for r in 0 33 66; do
	check "node $r has its own" grep -qx "by $r" "d/other.$host.$r"
done
tidy d
finish
