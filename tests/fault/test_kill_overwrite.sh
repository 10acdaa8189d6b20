#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Death while an older version is replaced: afterwards every store is the old version as it
# was or, at the latest after recovery, the new one everywhere. Never half of each.
. "$(dirname "$0")/fault.sh"

mkdir old new
for i in $(seq 300); do
	echo "old $i" >"old/f$i"
	echo "new version $i" >"new/f$i"
done
for i in $(seq 50); do
	mkdir "old/d$i" "new/d$i"
	echo "old $i" >"old/d$i/f"
	echo "new $i" >"new/d$i/f"
	echo "only old" >"old/d$i/o"
	echo "only new" >"new/d$i/n"
	echo "only old" >"old/o$i"
	echo "only new" >"new/n$i"
done
head -c 6000000 /dev/urandom >new/large
echo small >old/large
# What the stores must be afterwards: the new version over the old one.
rsync -a old/ both/
rsync -a --checksum new/ both/

expect 0 $N old/. "$WORK/keep.%r"
D=("$WORK/d.0" "$WORK/d.1" "$WORK/d.2")
again() {
	rm -rf "${D[@]}"
	for r in 0 1 2; do cp -a keep.$r d.$r; done
}
record() { compgen -G "$WORK/d.*/.ebt/publish" >/dev/null; }
is() { [ -z "$(rsync -naHX --checksum --delete -i --exclude=/.ebt "$1/" "$2/" | grep -v '^\.d[^ ]* \./$')" ]; }
# all_are TREE: every store equals it
all_are() {
	local d
	for d in "${D[@]}"; do is "$1" "$d" || return 1; done
}
settle() {
	tried=$((tried + 1))
	if [ $status -eq 0 ] || ! all_are old; then
		if [ $status -ne 0 ]; then
			# A store that changed without a record anywhere was finished on all nodes.
			record || all_are both || fail "$what: changed, and no record of it"
			expect 0 $N --recover "$WORK/d.%r" || fail "$what: recovery"
			recovered=$((recovered + 1))
		fi
		for d in "${D[@]}"; do same both "$d"; done
		no_leftovers "${D[@]}"
	else
		kept=$((kept + 1))
		if record; then
			expect 0 $N --recover "$WORK/d.%r" || fail "$what: recovery"
		else
			expect 0 $N --overwrite=always new/. "$WORK/d.%r" || fail "$what: next run"
		fi
		for d in "${D[@]}"; do same both "$d"; done
		no_leftovers "${D[@]}"
	fi
}
tried=0 recovered=0 kept=0

again
what="a run without faults"
begin --overwrite=always new/. "$WORK/d.%r"
all_ranks >/dev/null
started=$(now_ms)
ended 60
life=$(($(now_ms) - started))
check "$what" test $status -eq 0
for d in "${D[@]}"; do same both "$d"; done

# kill_when VICTIM NAME: the rank dies once NAME is there in its store
kill_when() {
	again
	what="rank $1 killed when $2 is new in d.$1"
	begin --overwrite=always new/. "$WORK/d.%r"
	pid=$(rank $1)
	if [ "$2" = large ]; then
		while [ "$(stat -c %s d.$1/large)" -lt 100 ] && [ -d /proc/$launcher ]; do :; done
		kill -KILL "$pid" 2>/dev/null
	else
		until_there "d.$1/$2" && kill -KILL "$pid" 2>/dev/null
	fi
	ended 30
	settle
}
# kill_at VICTIM TWELFTH of a run's life
kill_at() {
	again
	local at=$((life * $2 / 12))
	what="rank $1 killed after $at of $life ms"
	begin --overwrite=always new/. "$WORK/d.%r"
	pid=$(rank $1)
	sleep "$(printf '%d.%03d' $((at / 1000)) $((at % 1000)))"
	kill -KILL "$pid" 2>/dev/null
	ended 30
	settle
}
names=(.ebt/publish n1 n25 n50 large)
for ((k = 0; k < 15; k++)); do
	[ $recovered -gt 0 ] && [ $kept -gt 0 ] && over && break
	kill_at $((k % N)) $((k * 5 % 12))
	kill_when $((k % N)) "${names[k % 5]}"
done
echo "$tried faults of 30: $recovered recovered, $kept kept the old version"
check "publications were hit" test $recovered -gt 0
check "streams were hit" test $kept -gt 0
finish
