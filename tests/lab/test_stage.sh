#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# What the tool is for, counted on real links: every node gets the tree, every link carries it
# about once, the source is opened and read once in the whole job.
. "$(dirname "$0")/lab.sh"

mkdir "$WORK/src"
make_tree "$WORK/src/tree"
head -c 10000000 /dev/urandom >"$WORK/src/ten"
# Content, each inode once, and of files with holes what they hold.
size=$(find "$WORK/src" -type f -printf '%i %s %b\n' | sort -u | awk '{h = $3 * 512; s += h < $2 ? h : $2} END {print s}')
# Connections, agreement and the manifest; headers of packets and parcels.
extra=1500000

# within NAME VALUE LOW HIGH
within() {
	check "$1: $2 is not within $3 and $4" test "$2" -ge "$3" -a "$2" -le "$4"
}
for readers in 1 2; do
	"$lab" bytes >"$WORK/before"
	run 0 --readers=$readers --algo=chain --json "$WORK/src/." /local/job
	cp "$WORK/out" "$WORK/result.$readers"
	"$lab" bytes >"$WORK/after"
	same_on_nodes "$WORK/src" /local/job
	while read -r node in out; do
		read -r _ in0 out0 < <(grep "^$node " "$WORK/before")
		in=$((in - in0)) out=$((out - out0))
		echo "readers $readers: $node received $in, sent $out of $size"
		# With one reader it has everything already; with two each lacks the other's half.
		# Acknowledgements and what MPI says at the start and end flow both ways.
		low=$size high=$((size * 13 / 10 + extra))
		if [ $readers = 1 ] && [ "$node" = n0 ]; then low=0 high=$((size * 3 / 10 + extra)); fi
		if [ $readers = 2 ]; then low=$((size * 3 / 10)); fi
		within "$node received" $in $low $high
		within "$node sent" $out 0 $((size * 13 / 10 + extra))
	done <"$WORK/after"
	run 0 --verify /local/job
	clear_nodes
done
# The report agrees with the wire: payload once to everybody but the reader.
check "bytes in the report" grep -q '"bytes":' "$WORK/result.1"

# Opens and reads of the source, in the whole job.
if ! command -v strace >/dev/null || ! strace -o /dev/null true 2>/dev/null; then
	echo "not tried: reads are counted with strace, which is missing or may not trace"
	finish
fi
cat >"$WORK/traced.sh" <<'X'
#!/bin/sh
exec strace -ff -qq -y -e trace=open,openat,openat2,read,pread64,readv,preadv,mmap,copy_file_range,sendfile \
	-s 0 -o "$TRACES/trace.$EBT_RANK" "$@"
X
chmod +x "$WORK/traced.sh"
# Large enough for many parcels, and small files.
mkdir "$WORK/plain"
cp -a "$WORK/src/ten" "$WORK/plain/ten"
for i in $(seq 60); do head -c $((i * 1000)) /dev/urandom >"$WORK/plain/f$i"; done
: >"$WORK/plain/empty"
for readers in 1 2; do
	mkdir "$WORK/traces"
	CHECKS=$((CHECKS + 1))
	TRACES=$WORK/traces timeout -k 5 "$LIMIT" "$lab" mpi "$N" "$WORK/traced.sh" "$STAGE" \
		--link=200mbit --readers=$readers "$WORK/plain/." /local/job >"$WORK/out" 2>"$WORK/err" </dev/null ||
		{ fail "a traced run"; show; }
	same_on_nodes "$WORK/plain" /local/job
	# A file a thread, so no call is split. With -y each call shows the path of its descriptor, results too.
	cat "$WORK"/traces/trace.* | grep -F "$WORK/plain/" >"$WORK/calls"
	for f in "$WORK"/plain/*; do
		name=${f##*/} size=$(stat -c %s "$f")
		opens=$(grep -E "open(at2?)?\(.* = [0-9]+<.*/plain/(\./)?$name>" "$WORK/calls" | wc -l)
		bytes=$(grep -E "p?read(64|v)?\([0-9]+<[^>]*/plain/(\./)?$name>" "$WORK/calls" |
			sed -n 's/.* = \([0-9]*\)$/\1/p' | awk '{s += $1} END {print s + 0}')
		check "readers $readers: $name: $bytes bytes read, not $size" test "$bytes" -eq "$size"
		# Each is opened to be looked at, and a small one read at once; what is read of a large one
		# may be shared between readers.
		most=1
		[ "$name" = ten ] && most=$((1 + readers))
		within "readers $readers: opens of $name" "$opens" 1 $most
	done
	check "mapped or copied by the kernel" test -z "$(grep -E '(mmap|copy_file_range|sendfile)\(' "$WORK/calls")"
	rm -rf "$WORK/traces"
	clear_nodes
done
finish
