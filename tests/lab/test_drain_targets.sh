#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Drains to an emulated Lustre that is not what it could be: targets that go one after the
# other, full, failing or read-only, until one is left, and then none; times of a coarser unit
# than the stores'; and a drain that watches and has nothing to do.
EMUL_SERVER=${2:+$(readlink -f "$2")} LAYOUT=${3:+$(readlink -f "$3")}
LAB_RATE=1gbit LAB_NODES=3
cli=$(cd "$(dirname "$0")/../cli" && pwd)
. "$(dirname "$0")/lab.sh"
. "$cli/drain.sh"
. "$(dirname "$0")/emul.sh"
cd "$WORK" || exit 99
emul_begin lab_end || skip "$LACKS"

mkdir -p want/many want/sub/deep
for i in $(seq 60); do head -c $((100000 + i * 1999)) /dev/urandom >want/many/f$i; done
for i in $(seq 6); do head -c 2M /dev/urandom >want/sub/deep/large$i; done
head -c 12M /dev/urandom >want/shared
ln -s many/f1 want/link
spread want $N keep
rm -f keep.?/shared
for i in $(seq 0 11); do
	dd if=want/shared of=keep.$((i % N))/shared bs=1M count=1 skip=$i seek=$i conv=notrunc status=none
done
touch -r want/shared keep.?/shared
for ((i = 0; i < N; i++)); do touch -r want keep.$i; done
bytes=$(find want -type f -printf '%s\n' | awk '{s += $1} END {print s}')
outputs=$(find keep.? -type f | wc -l)
fill() {
	local i
	rm -rf "$O/out"
	for ((i = 0; i < N; i++)); do
		on $i rm -rf /local/job
		on $i cp -a "$WORK/keep.$i" /local/job || fail "node $i cannot be filled"
	done
}
on_nodes() {
	local i
	for ((i = 0; i < N; i++)); do on $i find /local/job -name .ebt -prune -o -type f -print; done | wc -l
}

emul_up "$WORK/fs" --osts 8 --capacity 512M handover=0 stripe-count=1
requests() { timeout -k 5 20 "$emul" stats --json | grep -o '"mds":{"total":[0-9]*' | head -n 1 | cut -d: -f3; }

# loses OST:FAULT...: one after the other, each when 2 MB more are written. The last line tells
# how many it got to.
cat >loses.sh <<'X'
emul=$1 at=0
shift
for what; do
	at=$((at + 2000000))
	for _ in $(seq 500); do
		n=$("$emul" stats --json | sed 's/"osts":.*//' | grep -o '"bytes_written":[0-9]*' | cut -d: -f2)
		[ "${n:-0}" -lt $at ] || break
		sleep 0.02
	done
	"$emul" set "ost=${what%:*}" "${what#*:}" || exit 1
	echo "$what"
done
X
loses() {
	reset
	timeout -k 5 60 bash loses.sh "$emul" "$@" >lost &
	losing=$!
}

what="seven of eight targets go"
for order in "0:full 1:failing 2:readonly 3:full 4:failing 5:readonly 6:full" \
	"7:readonly 5:readonly 3:failing 1:failing 6:full 4:full 2:failing"; do
	set_ ost-rate=4M window=1M
	fill
	loses $order
	run 0 --json --conflict=merge --delete /local/job /lustre/out
	check "$what: none could be lost" wait $losing
	is "$what: lost" "$(wc -w <<<"$order")" "$(wc -l <lost)"
	set_ ost=all healthy ost-rate=none window=8M
	arrived want "$O/out"
	is "$what: bytes" "$bytes" "$(number bytes)"
	check "$what: placed again $(number retries) times" test "$(number retries)" -gt 6
	is "$what: said once each" "$(wc -w <<<"$order")" "$(grep -c 'what is left goes elsewhere' err)"
	is "$what: files on the nodes" 0 "$(on_nodes)"
done

what="all targets go"
set_ ost-rate=4M window=1M
fill
loses 0:full 1:failing 2:readonly 3:full 4:failing 5:readonly 6:full 7:failing
run 1 --conflict=merge --delete /local/job /lustre/out
wait $losing
check "$what: the reason is said" grep -qE "No space left|Input/output error|Read-only" err
check "$what: said once, not for each file: $(wc -l <err) lines" test "$(wc -l <err)" -le 14
for f in $(cd "$O/out" && find . -name '.ebt*' -prune -o -type f -print); do
	check "$what: seen: $f" cmp -s "want/$f" "$O/out/$f"
done
check "$what: what was not drained is on the nodes" test "$(on_nodes)" -gt 0
set_ ost=all healthy ost-rate=none window=8M
run 0 --conflict=merge --delete /local/job /lustre/out
arrived want "$O/out"
is "$what: files on the nodes afterwards" 0 "$(on_nodes)"

# A client's view of the targets is seconds old on a real file system: a file over several of
# which some take nothing, and the file system says that all is well.
what="targets that are gone and nobody says so" again=0
for faults in "ost=0-2 full" "ost=0-1 readonly ost=2-3 full" "ost=5-7 failing" "ost=0,3,6 full ost=1,4 failing ost=2,5 readonly"; do
	fill
	for ((i = 0; i < N; i++)); do on $i find /local/job -type f ! -name shared -delete; done
	set_ ost-state=stale
	set_ $faults
	run 0 --json --conflict=merge --delete /local/job /lustre/out
	check "$what: $faults: content" cmp want/shared "$O/out/shared"
	again=$((again + $(number retries)))
	is "$what: $faults: files on the nodes" 0 "$(on_nodes)"
	is "$what: $faults: left" "" "$(find "$O/out" -name '.ebt*')"
	set_ ost-state=now ost=all healthy
done
check "$what: placed again $again times" test "$again" -gt 2

# Times are cut off to what the file system keeps: nothing seems to have changed by that.
for unit in 1s 1us; do
	what="times in units of $unit"
	set_ time-unit=$unit
	fill
	# Directories of the target come by their times last; here only the files' count.
	run 0 --json --conflict=merge /local/job /lustre/out
	is "$what: a time" "$(stat -c %Y want/shared)" "$(stat -c %Y "$O/out/shared")"
	[ $unit = 1us ] || is "$what: its fraction" 000000000 "$(stat -c %y "$O/out/shared" | cut -d. -f2 | cut -c1-9)"
	check "$what: content" diff -r --no-dereference want "$O/out"
	run 0 --json --conflict=merge /local/job /lustre/out
	is "$what: files again" "0 0" "$(number files) $(number bytes)"
	# Without a journal sizes and times decide.
	for ((i = 0; i < N; i++)); do on $i rm /local/job/.ebt/drain; done
	run 0 --json --conflict=merge --overwrite=update /local/job /lustre/out
	is "$what: files to update" "0 0" "$(number files) $(number bytes)"
	on 0 sh -c 'f=$(find /local/job/many -type f | head -n 1); echo more >>"$f"'
	run 0 --json --conflict=merge --overwrite=update /local/job /lustre/out
	is "$what: one has changed" 1 "$(number files)"
done
set_ time-unit=1ns

# Watching without anything new: the metadata server is not asked for anything.
what="nothing new"
fill
for ((i = 0; i < N; i++)); do on $i rm /local/job/shared; done
cat >rank.sh <<'X'
#!/bin/sh
echo $$ >"$EACH/rank.$EBT_RANK"
exec "$@"
X
chmod +x rank.sh
mkdir each
EACH=$WORK/each timeout -k 5 60 "$lab" mpi "$N" "$WORK/rank.sh" "$STAGE" --link="$RATE" -vv --watch=200ms /local/job /lustre/out \
	>out 2>err </dev/null &
launcher=$!
quiet() {
	local i
	for i in $(seq 400); do
		[ "$(grep -c 'nothing new' err)" -lt $1 ] || return 0
		sleep 0.05
	done
	return 1
}
check "$what: in the end" quiet 1
reset
seen=$(grep -c 'nothing new' err)
check "$what: ten passes more" quiet $((seen + 10))
is "$what: metadata requests" 0 "$(requests)"
kill -USR1 $(cat each/rank.*)
timeout 30 tail -s 0.1 --pid=$launcher -f /dev/null || fail "$what: does not end"
wait $launcher
is "$what: status" 0 $?
is "$what: all there" "$(find want -name shared -o -type f -print | wc -l)" "$(find "$O/out" -type f | wc -l)"
finish
