#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Drains from nodes that share nothing but the target: to a plain file system, and to an
# emulated Lustre of 8 OSTs, where it is counted who wrote what, how often the metadata server
# was asked, and what becomes of a drain whose targets fill up, fail or ignore layouts.
# They are named as seen from the build directory.
EMUL_SERVER=${2:+$(readlink -f "$2")} LAYOUT=${3:+$(readlink -f "$3")}
LAB_RATE=1gbit
cli=$(cd "$(dirname "$0")/../cli" && pwd)
. "$(dirname "$0")/lab.sh"
. "$cli/drain.sh"
. "$(dirname "$0")/emul.sh"
cd "$WORK" || exit 99

mkdir -p want/d0/deep want/empty
for i in 1 2 3 4 5 6 7 8 9; do mkdir want/d$i; done
for i in $(seq 200); do head -c $((20000 + i * 199)) /dev/urandom >want/d$((i % 10))/f$i; done
for i in $(seq 8); do head -c 4M /dev/urandom >want/d0/deep/large$i; done
head -c 32M /dev/urandom >want/shared
spread want 4 keep
# All nodes have a part of one of the files, in pieces of 1 MiB by turns.
rm -f keep.?/shared
for i in $(seq 0 31); do
	dd if=want/shared of=keep.$((i % 4))/shared bs=1M count=1 skip=$i seek=$i conv=notrunc status=none
done
touch -r want/shared keep.?/shared
for i in 0 1 2 3; do touch -r want keep.$i; done
bytes=$(find want -type f -printf '%s\n' | awk '{s += $1} END {print s}')
files=$(find want -type f | wc -l)
dirs=$(find want -type d | wc -l)

# fill: the outputs on every node, as a job would leave them
fill() {
	local i
	for ((i = 0; i < N; i++)); do
		on $i rm -rf /local/job
		on $i cp -a "$WORK/keep.$i" /local/job || fail "node $i cannot be filled"
	done
}
on_nodes() { # what is left of the outputs on them
	local i
	for ((i = 0; i < N; i++)); do on $i find /local/job -name .ebt -prune -o -type f -print; done | wc -l
}
outputs=$(find keep.? -type f | wc -l)

# A plain file system that all nodes share.
fill
"$lab" bytes >before
run 0 --json --conflict=merge /local/job "$WORK/d"
"$lab" bytes >after
arrived want d
is "files" "$files" "$(number files)"
is "bytes" "$bytes" "$(number bytes)"
is "nodes" 4 "$(number nodes)"
# Over the network goes what another node writes, once, and a little talk.
sent=$(paste -d' ' before after | awk '{s += $6 - $3} END {print s}')
moved=$(number moved)
check "sent $sent, reported $moved of $bytes" \
	test "$moved" -le "$bytes" -a "$sent" -ge "$moved" -a "$sent" -le $((moved * 11 / 10 + 4000000))
run 0 --json --conflict=merge --delete /local/job "$WORK/d"
is "nothing is written twice" 0 "$(number files)"
is "files on the nodes" 0 "$(on_nodes)"
arrived want d
rm -rf d

# Conflicts name the nodes by their names.
fill
on 1 sh -c 'echo one >/local/job/d1/both'
on 3 sh -c 'echo three >/local/job/d1/both'
run 1 --conflict=merge /local/job "$WORK/d"
says d1/both
says n1
says n3
nothing_at d
on 3 rm /local/job/d1/both
on 0 sh -c 'echo zero >/local/job/d1/both'
run 0 --conflict=suffix --exclude=/shared /local/job "$WORK/d"
is "both" "zero one" "$(cat d/d1/both.n0 d/d1/both.n1 | paste -sd ' ')"
rm -rf d
run 4 --json --exclude=/shared /local/job "$WORK/d"
is "both by default" "zero one" "$(cat d/d1/both.n0 d/d1/both.n1 | paste -sd ' ')"
is "whose they are" "n0 n1" "$(grep '"type":"look"' out | grep -o '"node":"[^"]*"' | cut -d'"' -f4 | sort | paste -sd ' ')"
rm -rf d
on 2 rm -rf /local/job
run 1 --exclude=/shared --exclude=both /local/job "$WORK/d"
says /local/job
says n2
nothing_at d
on 2 test ! -e /local/job || fail "a missing store was made"
run 0 --missing-ok --exclude=/shared --exclude=both /local/job "$WORK/d"
check "what the other nodes had" test -z "$(rsync -naHX --omit-dir-times --checksum -i --exclude=/shared keep.0/ keep.1/ keep.3/ d/)"
rm -rf d

# A process on one node dies; the next run finishes.
fill
cat >rank.sh <<'Y'
#!/bin/sh
echo $$ >"$EACH/rank.$EBT_RANK"
exec "$@"
Y
chmod +x rank.sh
mkdir each
EACH=$WORK/each timeout -k 5 "$LIMIT" "$lab" mpi "$N" "$WORK/rank.sh" "$STAGE" --rate=20M --conflict=merge /local/job "$WORK/d" \
	>out 2>err </dev/null &
launcher=$!
for _ in $(seq 1000); do
	[ -n "$(compgen -G 'd/d?/f*')" ] && break
	sleep 0.01
done
kill -KILL "$(cat each/rank.2)" || fail "rank 2 was gone already"
timeout 60 tail -s 0.1 --pid=$launcher -f /dev/null || fail "hangs after rank 2 died"
wait $launcher 2>/dev/null
check "status after rank 2 died" test $? -ne 0
for f in $(cd d && find . -name '.ebt*' -prune -o -type f -print); do check "seen: $f" cmp -s "want/$f" "d/$f"; done
# The ranks come in another order, as after a requeue: what is in place is known still.
seen() { find d -name '.ebt*' -prune -o -type f -printf '%i %P\n' | sort; }
seen >before
hosts=/run/ebt-lab-$LAB/hostfile
cp $hosts hosts
tac hosts >$hosts
run 0 --conflict=merge /local/job "$WORK/d"
cp hosts $hosts
arrived want d
check "nothing is written twice" test -z "$(seen | comm -23 before - | head -3)"
check "something was in place" test -s before
rm -rf d

# From here on an emulated Lustre.
emul_begin lab_end || { echo "not tried: $LACKS"; finish; }
emul_up "$WORK/fs" --osts 8 --capacity 512M handover=0 stripe-count=1
stats() { timeout -k 5 20 "$emul" stats --json >stats; }
total_of() { sed 's/"osts":.*//' stats | grep -o "\"$1\":[0-9]*" | tail -n 1 | cut -d: -f2; }
of_ost() { grep -o "{\"ost\":$1,[^}]*" stats | grep -o "\"$2\":[0-9]*" | cut -d: -f2; }
# level OST...: largest by mean of what they were written, in per cent
level() {
	local k
	for k in "$@"; do of_ost "$k" bytes_written; done |
		awk '{s += $1; if ($1 > m) m = $1} END {printf "%d\n", s ? m * NR * 100 / s : 999}'
}
# drained ARG...: onto an empty target, with statistics
drained() {
	rm -rf "$O/out"
	fill
	reset
	run "$@" --json --conflict=merge /local/job /lustre/out
	stats
}

at_most "level" 105 "level 0 1 2 3 4 5 6 7" drained 0
arrived want "$O/out"
is "bytes written" "$bytes" "$(total_of bytes_written)"
is "hand-overs" 0 "$(total_of handovers)"
asked=$(grep -o '"mds":{"total":[0-9]*' stats | head -n 1 | cut -d: -f3)
echo "metadata requests: $asked for $files files and $dirs directories, level $(level 0 1 2 3 4 5 6 7) %"
# With a place for each; small ones that go in turn are counted in test_drain_in_turn.sh.
check "metadata requests" test "$asked" -le $((5 * files + 8 * dirs + 40))
check "they agree with the report" test "$(number calls_per_file | cut -d. -f1)" -le 4
is "refused layouts" 0 "$(number refused)"
for k in 0 1 2 3 4 5 6 7; do
	is "reported for OST $k" "$(of_ost $k bytes_written)" \
		"$(grep '"type":"target"' out | grep "\"index\":$k," | grep -o '"bytes":[0-9]*' | cut -d: -f2)"
done

# Stripes as the user says.
drained 0 --stripe-count=3 --stripe-size=128K
is "stripes" "131072 3" "$("$LAYOUT" get "$O/out/shared" | cut -d' ' -f3,4)"
is "hand-overs with 3 stripes" 0 "$(total_of handovers)"
arrived want "$O/out"
drained 0 --max-stripe-count=2
stripes=$("$LAYOUT" get "$O/out/shared" | cut -d' ' -f4)
check "at most two stripes: $stripes" test "$stripes" -le 2
arrived want "$O/out"

# Targets that cannot take anything are left out from the start.
set_ ost=0 full ost=2 readonly ost=3 degraded ost=5 inactive
at_most "level of the rest" 105 "level 1 4 6 7" drained 0
arrived want "$O/out"
for k in 0 2 3 5; do is "bytes on unfit OST $k" 0 "$(of_ost $k bytes_written)"; done
set_ ost=all healthy

# One fails on the way, or fills up: what it was to hold goes elsewhere, and that is said once.
cat >midway.sh <<'Y'
# Waits until the drain has written something, then does the rest.
for _ in $(seq 1000); do
	[ "$("$1" stats --json | sed 's/"osts":.*//' | grep -o '"bytes_written":[0-9]*' | cut -d: -f2)" -gt 3000000 ] && break
	sleep 0.02
done
emul=$1
shift
"$emul" set "$@"
Y
for fault in failing full readonly; do
	set_ ost-rate=5M window=1M
	rm -rf "$O/out"
	fill
	reset
	timeout -k 5 60 bash midway.sh "$emul" ost=6 $fault &
	midway=$!
	run 0 --json --conflict=merge --delete /local/job /lustre/out
	wait $midway
	is "OST 6 $fault: said" 1 "$(grep -c 'target 6' err)"
	check "OST 6 $fault: tried again: $(number retries)" test "$(number retries)" -gt 0
	set_ ost=all healthy ost-rate=none window=8M
	arrived want "$O/out"
	is "OST 6 $fault: files on the nodes" 0 "$(on_nodes)"
done

# All of them fill up: what has no room is named, nothing half-visible, nothing freed that is
# not there.
set_ ost-rate=5M window=1M
rm -rf "$O/out"
fill
reset
timeout -k 5 60 bash midway.sh "$emul" ost=all full &
midway=$!
run 3 --conflict=merge --delete /local/job /lustre/out
wait $midway
says "No space left"
seen_well() {
	local f
	for f in $(cd "$O/out" && find . -name '.ebt*' -prune -o -type f -print); do
		check "$1: seen: $f" cmp -s "want/$f" "$O/out/$f"
	done
}
seen_well "all full"
check "all full: files on the nodes: $(on_nodes)" test "$(on_nodes)" -gt 0
set_ ost=all healthy ost-rate=none window=8M
run 0 --conflict=merge --delete /local/job /lustre/out
arrived want "$O/out"
is "afterwards: files on the nodes" 0 "$(on_nodes)"
# Likewise with a quota.
rm -rf "$O/out"
fill
set_ quota=20M
run 3 --conflict=merge /local/job /lustre/out
says "uota"
seen_well "over quota"
set_ quota=none
run 0 --conflict=merge /local/job /lustre/out
arrived want "$O/out"

# A file system that says it took a layout and did not, as every file has one.
for how in 1 default; do
	set_ refuse-layouts=$how
	drained 0 --stripe-count=1
	arrived want "$O/out"
	# By chance the default may be what was wanted.
	check "refused layouts ($how): $(number refused)" test "$(number refused)" -gt $((files * 3 / 4))
	is "hand-overs ($how)" 0 "$(total_of handovers)"
done
finish
