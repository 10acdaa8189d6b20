#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Memory is bounded by batches, not by files: ten times as many of them take about as much. What is
# known of those that were brought lies in files of the store, and so does the manifest of a store
# that is staged into again.
. "$(dirname "$0")/lib.sh"
cd "$WORK" || exit 99
[ "$(id -u)" = 0 ] || skip "a file system that promises room needs root to mount"
mkdir fs
mount -t tmpfs -o size=2g,nr_inodes=1m tmpfs fs 2>mount || skip "a file system: $(head -1 mount)"
MOUNTS=("$WORK/fs")

# make DIR N: N times 1,000 files
make() {
	for ((i = 0; i < $2; i++)); do
		mkdir -p "$1/d$i"
		(cd "$1/d$i" && seq -f 'file-%04g' 1000 | xargs touch)
	done
}
# most: bytes of the rank that had most at a time
most() { sed -n 's/.*"max_rss":\([0-9]*\).*/\1/p' out | sort -n | tail -n 1; }
# grows NAME LESS MORE
grows() {
	check "$1: $(($2 >> 20)) MiB, ten times as many $(($3 >> 20)) MiB" test "$3" -le $(($2 + (48 << 20)))
}
make fs/few 20
make fs/many 200

for how in "2 always" "1 update"; do
	n=${how% *}
	what="few, $how"
	expect 0 "$n" --json --batch=4000 --overwrite="${how#* }" fs/few/. "$WORK/fs/to/few.%r"
	less=$(most)
	what="many, $how"
	expect 0 "$n" --json --batch=4000 --overwrite="${how#* }" fs/many/. "$WORK/fs/to/many.%r"
	grows "memory" "$less" "$(most)"
done
for r in 0 1; do
	is "files on $r" 200000 "$(find "fs/to/many.$r" -path "fs/to/many.$r/.ebt" -prune -o -type f -print | wc -l)"
done
what="verified"
expect 0 1 --verify "$WORK/fs/to/many.%r"
what="listed"
timeout "$LIMIT" "$STAGE" --list "$WORK/fs/to/many.0" >out 2>err </dev/null
is "lines" 200200 "$(grep -c . out)"
finish
