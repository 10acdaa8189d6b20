#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A compressed archive whose drain is killed or stopped: the next run goes on behind the frames that
# are there, if it has the same to pack and they are what they were; else it begins anew. Either way
# what comes is whole.
cli=$(cd "$(dirname "$0")/../cli" && pwd)
. "$(dirname "$0")/fault.sh"
. "$cli/drain.sh"
pack=--pack='**=all.tar.zst'

for ((r = 0; r < N; r++)); do
	mkdir -p keep.$r/d$r
	for i in 1 2 3 4; do head -c 6000000 /dev/urandom >keep.$r/d$r/f$i; done
	echo small >keep.$r/d$r/small
done
timeout 60 "$LAUNCH" -n 1 "$STAGE" -n "$pack" keep.0 d >said 2>&1
! grep -q 'not built in' said || skip "$(cat said)"
fresh() {
	local r
	rm -rf s.? d
	for ((r = 0; r < N; r++)); do cp -a keep.$r s.$r; done
}
hidden() { compgen -G 'd/.ebt-drain-*.frames-*'; }
# half SIGNAL BYTES: of whom, when so much of it is written
half() {
	fresh
	begin --rate=20M --settle=0 "$pack" "$WORK/s.%r" "$WORK/d"
	all_ranks >/dev/null
	until_there 'd/.ebt-drain-*.frames-*' || fail "$what: too late"
	until [ "$(du -B1 -s d 2>/dev/null | cut -f1)" -ge "$2" ] || [ ! -d "/proc/$launcher" ]; do sleep 0.01; done
	sleep 0.2
	case $1 in
	TERM) kill -TERM $launcher ;;
	*) kill -KILL "$(rank "$1")" ;;
	esac
	ended 30
	check "$what: status $status" test "$status" -ne 0
	absent d/all.tar.zst
}
# whole: the next run ends well, and all is in the archive
whole() {
	expect "${1:-0}" $N --delete -v "$pack" "$WORK/s.%r" "$WORK/d"
	rm -rf x now
	mkdir x now
	zstd -dcq d/all.tar.zst | tar -x -C x || fail "$what: the archive"
	for ((r = 0; r < N; r++)); do cp -a s.was.$r/. now; done
	check "$what: content" diff -r --exclude=.ebt now x
	check "$what: freed" test -z "$(find s.? -path '*/.ebt' -prune -o -type f -print)"
	check "$what: nothing hidden is left" test -z "$(hidden)"
	tidy d
}
# was: what the stores hold now
was() {
	local r
	rm -rf s.was.?
	for ((r = 0; r < N; r++)); do cp -a s.$r s.was.$r; done
}
resumed() { grep -q 'goes on behind [1-9]' "$WORK/err" "$WORK/out"; }

went_on=0
for how in 0 1 2 TERM; do
	what="ended by $how"
	half $how 30000000
	was
	whole
	! resumed || went_on=$((went_on + 1))
done
check "$went_on of 4 went on behind what was there" test $went_on -ge 3

what="an output changed since"
half 1 30000000
echo more >>s.0/d0/f4
was
whole
check "$what: begun anew" test -z "$(grep 'goes on behind' err out)"

what="the hidden file is another one"
half 2 30000000
was
name=$(hidden) && rm "$name" && head -c 40000000 /dev/urandom >"$name"
whole
check "$what: begun anew" test -z "$(grep 'goes on behind' err out)"

what="the hidden file is a link"
half 0 30000000
was
echo precious >precious
name=$(hidden) && rm "$name" && ln -s "$WORK/precious" "$name"
whole
check "$what: begun anew" test -z "$(grep 'goes on behind' err out)"
is "$what: what it leads to" precious "$(cat precious)"

what="its last bytes are others"
half 1 30000000
was
name=$(hidden) &&
	size=$(du -B1 "$name" | cut -f1) && head -c 20000000 /dev/zero | dd of="$name" bs=1M seek=$((size / 2 >> 20)) conv=notrunc status=none
whole
check "$what: begun anew" test -z "$(grep 'goes on behind' err out)"

what="without --pack it goes"
half 1 30000000
expect 0 $N "$WORK/s.%r" "$WORK/d"
check "$what: nothing hidden is left" test -z "$(hidden)"
tidy d
finish
