#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Nodes whose views of the shared file system lag: each has a FUSE mount of its own of one directory,
# which remembers for a while which names are missing, and sizes and times as they were. For 5
# seconds, which may be over when it matters; and for longer than any run waits, so that only
# asking helps.
FAILING=$(readlink -f "$2") # a library that makes calls fail
LAB_RATE=1gbit
cli=$(cd "$(dirname "$0")/../cli" && pwd)
command -v bindfs >/dev/null || { echo "skipped: no bindfs (package bindfs)"; exit 77; }
. "$(dirname "$0")/lab.sh"
. "$cli/drain.sh"
cd "$WORK" || exit 99
V=$WORK/view

mkdir -p want/d0/deep/er want/d1 want/d2 want/empty fs view other
for i in $(seq 60); do head -c $((1000 + i * 199)) /dev/urandom >want/d$((i % 3))/f$i; done
for i in $(seq 8); do echo "deep $i" >want/d0/deep/er/g$i; done
head -c 16M /dev/urandom >want/shared
spread want "$N" keep
# All nodes have a part of one of the files, in pieces of 1 MiB by turns.
rm -f keep.?/shared
for i in $(seq 0 15); do
	dd if=want/shared of=keep.$((i % N))/shared bs=1M count=1 skip=$i seek=$i conv=notrunc status=none
done
touch -r want/shared keep.?/shared
for ((i = 0; i < N; i++)); do touch -r want "keep.$i"; done
for ((i = 0; i < N; i++)); do on $i cp -a "$WORK/keep.$i" /local/job || exit 99; done

# each COMMAND...: on all nodes at once
each() {
	local i pids=()
	for ((i = 0; i < N; i++)); do
		on $i "$@" >/dev/null 2>&1 &
		pids+=($!)
	done
	wait "${pids[@]}"
}
forget() {
	local i
	for ((i = 0; i < N; i++)); do on $i rm -rf /local/job/.ebt; done
	rm -rf fs/* fs/.[!.]*
}
views() { # SECONDS
	each umount "$V"
	for ((i = 0; i < N; i++)); do
		on $i bindfs -o "attr_timeout=$1,entry_timeout=$1,negative_timeout=$1" "$WORK/fs" "$V" ||
			{ echo "skipped: bindfs cannot mount here"; exit 77; }
	done
}
dirs=$(cd want && find . -type d)

for lag in 5 1000; do
	views $lag

	what="what is missing, for $lag s"
	# shellcheck disable=SC2086 # words are wanted
	each sh -c 'cd "$1" && shift && ls -d up up/d; for d; do ls -d "up/d/$d"; done' sh "$V" $dirs
	run 0 --conflict=merge --verify --creators="$N" /local/job "$V/up/d"
	arrived want fs/up/d
	check "$what: nobody had to wait" test "$(grep -c 'not there yet' err)" = 0
	forget

	what="an empty DEST that another was, for $lag s"
	mkdir fs/d fs/d/d0
	each ls -d "$V/d/d0/deep" "$V/d/d1"
	rm -rf fs/d
	run 0 --conflict=merge --creators="$N" /local/job "$V/d"
	arrived want fs/d

	what="sizes and times, for $lag s"
	run 0 --conflict=merge --overwrite=update /local/job "$V/d"
	each find "$V/d" -type f -exec stat {} +
	echo "somebody else's" >fs/d/d1/f1
	echo "somebody else's" >fs/d/d0/deep/er/g3
	for ((i = 0; i < N; i++)); do on $i rm -rf /local/job/.ebt; done
	run 0 --json --conflict=merge --overwrite=update /local/job "$V/d"
	is "$what: files that differ" 2 "$(number files)"
	arrived_beside want fs/d

	what="a target that grew, for $lag s"
	each find "$V/d" -type f -exec stat {} +
	echo tail >>fs/d/d1/f1
	for ((i = 0; i < N; i++)); do on $i rm -rf /local/job/.ebt; done
	run 4 --conflict=merge /local/job "$V/d"
	is "$what: it stays" tail "$(tail -n 1 fs/d/d1/f1 | tail -c 5)"
	check "$what: the job's" cmp want/d1/f1 fs/d/d1/f1.ebt-new
	forget

	what="a directory that is made while it is looked for, for $lag s"
	mkdir fs/d
	each ls -d "$V/d/d0" "$V/d/d1" "$V/d/d2" "$V/d/d0/deep" "$V/d/d0/deep/er" "$V/d/empty"
	mkdir -p fs/d/d0/deep
	run 0 --conflict=merge --creators="$N" /local/job "$V/d"
	arrived_beside want fs/d
	forget
done

# A server that does not tell: all that is left is to wait, for so long.
# The first one is for .ebt in the store.
cat >deaf.sh <<Y
#!/bin/sh
exec env LD_PRELOAD="$FAILING" EBT_TEST_RANK=2 EBT_TEST_CALLS=,mkdirat, EBT_TEST_AT=2 EBT_TEST_ON=1 \
	EBT_TEST_ERROR=13 "$STAGE" "\$@"
Y
chmod +x deaf.sh
what="a server that does not tell"
views 15
mkdir fs/d
each ls -d "$V/d/d0" "$V/d/d1" "$V/d/d2" "$V/d/d0/deep"
STAGE=$WORK/deaf.sh run 0 --conflict=merge --creators=1 /local/job "$V/d"
says "not there yet on n2: waiting, at most 60 s"
arrived_beside want fs/d
forget
views 1000
each ls -d "$V/d"
began=$SECONDS
STAGE=$WORK/deaf.sh run 1 --conflict=merge --creators=1 /local/job "$V/d"
took=$((SECONDS - began))
says "DEST $V/d is not there on n2 as it is on n0: is it node-local?"
check "$what: the end comes after $took s" test $took -ge 55 -a $took -le 90
is "$what: left" "" "$(find fs -mindepth 1)"

# One node sees another directory. Never status 0, and nothing is left in either.
what="another directory"
views 0
on 2 umount "$V"
on 2 bindfs "$WORK/other" "$V" || exit 99
run 1 --conflict=merge /local/job "$V/d"
says "is it node-local?"
is "$what: left" "" "$(find fs other -mindepth 1)"
mkdir fs/d
run 1 --conflict=merge /local/job "$V/d"
says "DEST $V/d is not there on n2 as it is on n0: is it node-local?"
is "$what: left" "fs/d" "$(find fs other -mindepth 1)"
each umount "$V"
finish
