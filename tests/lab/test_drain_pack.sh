#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# An archive over several targets of an emulated Lustre of which one fails, is full or slow while
# it is written: it is placed again, and is whole. Also where its members change meanwhile. All
# ranks are on this machine.
EMUL_SERVER=${2:+$(readlink -f "$2")} LAYOUT=${3:+$(readlink -f "$3")} SHIM=${4:-}
cli=$(cd "$(dirname "$0")/../cli" && pwd)
PACKED=$(cd "$(dirname "$0")/../fault" && pwd)/packed.py
. "$cli/lib.sh"
. "$cli/drain.sh"
. "$(dirname "$0")/emul.sh"
cd "$WORK" || exit 99
[ -n "$PYTHON" ] || skip "archives are looked at by python3, which is missing"
emul_begin cleanup t$$ || skip "$LACKS"
N=3
O=$WORK/observer
timeout -k 5 60 "$emul" up --mount "$WORK/fs" --observer "$O" --osts 6 --capacity 512M \
	ost-rate=none mds-rate=none mds-latency=0 handover=0 rename-flags=1 || exit 99
eval "$("$emul" env)"
pack=(--pack=/sub=all.tar --stripe-count=4)

mkdir -p want/sub/many
for i in $(seq 60); do head -c $((100000 + i * 1999)) /dev/urandom >want/sub/many/f$i; done
for i in 1 2 3; do head -c 4M /dev/urandom >want/sub/large$i; done
ln want/sub/large1 want/sub/name
echo plain >want/plain
spread want $N keep
(cd want && find . -type f -print0 | xargs -0 sha256sum | sort -u) >before
fill() {
	local r
	rm -rf s.? "$O/out"
	for ((r = 0; r < N; r++)); do cp -a keep.$r s.$r; done
}
# drained STATUS OPTION...
drained() {
	local want=$1
	shift
	expect "$want" $N --json "${pack[@]}" "$@" "$WORK/s.%r" "$WORK/fs/out"
}
# home: everything is, in a whole archive with its index
home() {
	CHECKS=$((CHECKS + 1))
	"$PYTHON" "$PACKED" sums "$O/out" >sums 2>said || fail "$what: $(cat said)"
	check "$what: all is home" cmp before <(sort -u sums)
	exists "$O/out/all.tar.idx"
	tidy "$O/out"
}
freed() { is "$what: left on the nodes" "" "$(find s.? -name .ebt -prune -o -type f -print)"; }

what="all targets work"
fill
drained 0 --delete
home
freed
is "$what: placed again" 0 "$(number retries)"

# What the file system says of its targets is seconds old: only the writing shows it.
for fault in full failing readonly; do
	for target in 0 3 5; do
		what="target $target is $fault"
		fill
		set_ ost-state=stale
		set_ ost=$target $fault
		drained 0 --delete --verify
		set_ ost-state=now ost=all healthy
		home
		freed
		again=$((${again:-0} + $(number retries)))
	done
done
check "placed again $again times" test "$again" -gt 3

# In the middle of it, when so many bytes are written.
for fault in full failing readonly; do
	what="a target gets $fault in between"
	fill
	set_ ost-rate=4M window=1M
	reset
	(
		for _ in $(seq 500); do
			n=$(stats | sed 's/"osts":.*//' | grep -o '"bytes_written":[0-9]*' | cut -d: -f2)
			[ "${n:-0}" -lt 3000000 ] || break
			sleep 0.02
		done
		timeout -k 5 20 "$emul" set ost=all healthy ost=1 $fault ost=4 $fault
	) >/dev/null &
	drained 0 --delete
	wait $!
	set_ ost=all healthy ost-rate=none window=8M
	home
	freed
	check "$what: placed again $(number retries) times" test "$(number retries)" -gt 0
done

what="a target is slow"
fill
set_ ost-rate=20M ost=1 slow=40
drained 0 --delete
set_ ost=all healthy ost-rate=none
home
freed
echo "$what: placed again $(number retries) times"

what="all targets fail"
fill
set_ ost-state=stale ost=all failing
drained 1 --delete
set_ ost-state=now ost=all healthy
absent "$O/out/all.tar"
is "$what: nothing is freed" "$(find keep.? -type f | wc -l)" "$(find s.? -name .ebt -prune -o -type f -print | wc -l)"
drained 0 --delete
home
freed

what="all targets are full"
fill
set_ ost-state=stale ost=all full
drained 3 --delete
set_ ost-state=now ost=all healthy
absent "$O/out/all.tar"
check "$what: nothing of it is freed" test "$(find s.? -path '*/sub/*' -type f | wc -l)" = 64
drained 0 --delete
home
freed

# What is found out about a member in the first try is not forgotten in the second.
if [ -e "$SHIM" ]; then
	for target in 0 2 4; do
		what="target $target fails, and a member changes"
		fill
		r=$(ls -d s.?/sub/many/f7)
		r=${r:2:1}
		set_ ost-state=stale
		set_ ost=$target failing
		export LD_PRELOAD=$SHIM EBT_TEST_RANK=$r EBT_TEST_READ=sub/many/f7 EBT_TEST_TIMES=100 \
			EBT_TEST_DO="cd $WORK/s.$r/sub/many && date +%N | dd of=f7 conv=notrunc status=none"
		drained 3 --delete --settle=0
		unset LD_PRELOAD EBT_TEST_RANK EBT_TEST_READ EBT_TEST_TIMES EBT_TEST_DO
		set_ ost-state=now ost=all healthy
		says '"as":"sub/many/f7.ebt-torn"'
		torn_again=$((${torn_again:-0} + $(number retries)))
		CHECKS=$((CHECKS + 1))
		"$PYTHON" "$PACKED" sums "$O/out" >sums 2>said || fail "$what: $(cat said)"
		is "$what: all others are home" "./sub/many/f7" "$(comm -23 before <(sort -u sums) | cut -c67-)"
		check "$what: its place" grep -q './sub/many/f7.ebt-torn$' sums
		is "$what: left on the nodes" "s.$r/sub/many/f7" "$(find s.? -name .ebt -prune -o -type f -print)"
		tidy "$O/out"
	done
	check "placed again $torn_again times, with members that change" test "$torn_again" -gt 1
else
	echo "not tried: members that change"
fi
finish
