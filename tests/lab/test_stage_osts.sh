#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Readers own OSTs: from an emulated Lustre of 8 OSTs, 4 nodes stage files of several layouts.
# Every OST is read by one client, every byte once, no lock moves, and a file is opened by those
# alone that read from it. At the end it is measured what that is worth.
EMUL_SERVER=$2 LAYOUT=$3
LAB_RATE=1gbit
. "$(dirname "$0")/lab.sh"
. "$(dirname "$0")/emul.sh"
emul_begin lab_end || skip "$LACKS"
emul_up "$WORK/observer" --osts 8

# striped NAME OSTS STRIPE KIB: random content, seen by the observer alone
striped() {
	CHECKS=$((CHECKS + 1))
	timeout -k 5 20 "$LAYOUT" create "$O/$1" "$2" "$3" >"$WORK/layout"
	[ "$(cat "$WORK/layout")" = ok ] || fail "layout of $1: $(cat "$WORK/layout")"
	head -c $(($4 * 1024)) /dev/urandom | dd of="$O/$1" bs=1M conv=notrunc iflag=fullblock status=none ||
		fail "content of $1"
}
mkdir -p "$O/src/large" "$O/src/small" "$O/rate"
L=src/large
striped $L/wide 0,1,2,3,4,5,6,7 1048576 32780
striped $L/two 6,7 4194304 20000
striped $L/odd 5,3,1 393216 17000
for k in 0 2 3 4 6; do striped $L/one$k $k 1048576 $((16500 + 64 * k)); done
# Mostly hole: 20 MiB of 200.
striped $L/sparse 2,5 1048576 0
truncate -s 200M "$O/$L/sparse"
head -c 20M /dev/urandom | dd of="$O/$L/sparse" bs=1M seek=100 conv=notrunc iflag=fullblock status=none
for k in $(seq 30); do head -c $((k * 999)) /dev/urandom >"$O/src/small/$k"; done
# A stripe of half a leaf: large, and dealt as the small ones are.
striped src/small/fine 0,4 65536 17000

# A line a client: name, opens, bytes of each OST
reads() {
	timeout -k 5 20 "$emul" stats --json | tee "$WORK/stats" | sed 's/.*"clients"://' |
		grep -oE '"client":"[^"]*","mds":\{[^}]*\},"bytes_read":\[[^]]*\]' |
		sed -E 's/"client":"([^"]*)".*"open":([0-9]+).*\[(.*)\]/\1 \2 \3/; s/,/ /g'
}
bytes_moved() { grep -o '"bytes":[0-9]*' "$WORK/out" | head -n 1 | cut -d: -f2; }
total() { awk '{for (k = 3; k <= NF; k++) s += $k} END {printf "%d\n", s}' "$WORK/reads"; }

reset
run 0 --readers=4 --json /lustre/$L/. /local/job
reads >"$WORK/reads"
cat "$WORK/reads"
same_on_nodes "$O/$L" /local/job
is "clients" 4 "$(wc -l <"$WORK/reads")"
is "bytes read" "$(bytes_moved)" "$(total)"
is "hand-overs" '"handovers":0,' "$(grep -o '"handovers":[0-9]*,' "$WORK/stats" | head -n 1)"
is "clients of each OST" "1 1 1 1 1 1 1 1" \
	"$(awk '{for (k = 3; k <= 10; k++) n[k] += $k > 0} END {for (k = 3; k <= 10; k++) printf "%d%s", n[k], k < 10 ? " " : "\n"}' "$WORK/reads")"
is "clients that read" 4 "$(awk '{s = 0; for (k = 3; k <= 10; k++) s += $k; n += s > 0} END {print n}' "$WORK/reads")"
# Opens: of each file as many as its OSTs have owners; and the walk looks at each open, which
# is one request either way.
opens=$(find "$O/$L" -type f | wc -l)
for f in "$O/$L"/*; do
	osts=$("$LAYOUT" get "$f" | sed 's/.*://')
	n=$(awk -v osts="$osts" 'BEGIN {n = split(osts, o, " ")}
		{for (i = 1; i <= n; i++) if ($(o[i] + 3) > 0) {c++; next}} END {print c}' "$WORK/reads")
	opens=$((opens + n))
done
is "opens" $opens "$(awk '{s += $2} END {print s}' "$WORK/reads")"
clear_nodes

# Of a plain tar large members are read by all readers at their places, by OSTs, the small ones with
# their headers by one, and nothing twice but the blocks in which members begin and end. What is
# compressed one reader decodes, once.
mkdir -p "$WORK/tree/d"
head -c 40000000 /dev/urandom >"$WORK/tree/large"
for k in $(seq 50); do head -c $((k * 777)) /dev/urandom >"$WORK/tree/d/$k"; done
striped src/env.tar 0,1,2,3,4,5,6,7 1048576 0
tar --format=pax -cf - -C "$WORK/tree" . | dd of="$O/src/env.tar" bs=1M conv=notrunc iflag=fullblock status=none
gzip -1 <"$O/src/env.tar" >"$O/env.tar.gz"
mv "$O/src/env.tar" "$O/env.tar"
for archive in env.tar env.tar.gz; do
	size=$(stat -c %s "$O/$archive")
	reset
	run 0 --readers=4 --json --unpack /lustre/$archive /local/job
	reads >"$WORK/reads"
	cat "$WORK/reads"
	same_on_nodes "$WORK/tree" /local/job
	check "$archive is read once: $(total) of $size bytes" \
		test "$(total)" -ge $((size * 99 / 100)) -a "$(total)" -le $((size + 8 * 131072))
	is "$archive: clients that read" $([ $archive = env.tar ] && echo 4 || echo 1) \
		"$(awk '{s = 0; for (k = 3; k <= 10; k++) s += $k; n += s > 0} END {print n}' "$WORK/reads")"
	clear_nodes
done

# With small files and one that cannot be dealt by OST, still every byte once, and the readers
# are level.
reset
run 0 --readers=4 --json /lustre/src/. /local/job
reads >"$WORK/reads"
cat "$WORK/reads"
same_on_nodes "$O/src" /local/job
is "bytes read of all" "$(bytes_moved)" "$(total)"
clear_nodes

# The dry run says the same of the OSTs with and without owners.
for readers in 1 4; do
	run 0 --readers=$readers --dry-run /lustre/src/. /local/job
	grep ' OST ' "$WORK/out" >"$WORK/osts.$readers"
done
is "OSTs in a dry run" 8 "$(wc -l <"$WORK/osts.4")"
check "owners do not change what is read" cmp "$WORK/osts.1" "$WORK/osts.4"

# An OST that does not answer is named, with the file and the node that reads it.
timeout -k 5 20 "$emul" set ost=3 rate=64K
CHECKS=$((CHECKS + 1))
timeout -k 5 "$LIMIT" "$lab" mpi "$N" "$STAGE" --link="$RATE" --readers=4 --stall=1s "/lustre/$L/." /local/job \
	>"$WORK/out" 2>"$WORK/err" </dev/null &
stalled=$!
for _ in $(seq 100); do
	grep -q "waiting for" "$WORK/err" && break
	sleep 0.1
done
timeout -k 5 20 "$emul" set ost=3 rate=none
wait $stalled || fail "status of a run from an OST that was slow"
grep -qE 'waiting for rank [0-3] on n[0-3]: reading /lustre/[a-z/]+[0-9]* \(OST 3\) for [0-9]+ s' "$WORK/err" || {
	fail "the OST is not named"
	show
}
same_on_nodes "$O/$L" /local/job
clear_nodes

# Measured, not tested: the machine may be busy.
timeout -k 5 20 "$emul" set ost-rate=10M
mkdir "$O/rate/striped" "$O/rate/single"
striped rate/striped/file 0,1,2,3,4,5,6,7 1048576 65536
for k in 0 1 2 3 4 5 6 7; do striped rate/single/$k $k 1048576 16384; done
for what in striped single; do
	bytes=$(find "$O/rate/$what" -type f -printf '%s\n' | awk '{s += $1} END {print s}')
	for readers in 1 4; do
		run 0 --readers=$readers --json "/lustre/rate/$what/." /local/job
		grep -o '"stream_seconds":[0-9.]*' "$WORK/out" | cut -d: -f2 | sort -n | tail -n 1 |
			awk -v b="$bytes" -v r=$readers -v w=$what '{
				printf "%s, %d reader%s: %.2f s for %d MiB, %.1f of 80 MiB/s\n",
					w, r, (r > 1 ? "s" : ""), $1, b / 2^20, b / 2^20 / $1}'
		clear_nodes
	done
done
finish
