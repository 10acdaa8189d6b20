#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The application loads of the bench, small: what a staged copy asks of the file system, counted
# by its servers; and that a load whose data is wrong fails.
. "$(dirname "$0")/../cli/lib.sh"
bench=$(cd "$(dirname "$0")/../.." && pwd)/bench
build=$(cd "$BIN/../.." && pwd)
command -v jq >/dev/null || skip "no jq (package jq)"

# load SCRIPT ARG...: its runs in $WORK/runs
load() {
	local script=$1 got
	shift
	CHECKS=$((CHECKS + 1))
	timeout -k 5 "$LIMIT" "$bench/$script" -b "$build" -n 1 -q -o "$WORK/lines" "$@" \
		>"$WORK/out" 2>"$WORK/err" </dev/null
	got=$?
	[ $got -ne 77 ] || skip "$(cat "$WORK/err")"
	[ $got -eq 0 ] || { fail "bench/$script $*: status $got"; show; }
	jq -c 'select(.type == "run")' "$WORK/lines" >"$WORK/runs"
}
# holds NAME FILTER: jq's FILTER is true of the runs, by way in $w
holds() {
	CHECKS=$((CHECKS + 1))
	jq -se '(map({(.way): .}) | add) as $w | '"$2" "$WORK/runs" >/dev/null && return
	fail "$1"
	cat "$WORK/runs" >&2
}

load import -N 2 -p 1 -w staged -w direct
one=$(jq -s 'map({(.way): .pfs_requests}) | add' "$WORK/runs")
load import -N 2 -p 3
holds "three ways" 'length == 3 and all(.[]; .status == 0 and .seconds > 0)'
holds "each process does all of it" '[.[].operations] | length == 3 and (unique | length == 1) and .[0] % 6 == 0'
holds "every byte once, by staging alone" \
	'$w.staged | .pfs_bytes == .bytes and .stage_pfs_bytes == .bytes and .pfs_requests == .stage_pfs_requests'
holds "what is touched is less" '$w.touched | .pfs_bytes > 0 and .pfs_bytes < .bytes / 2'
holds "requests of a staged import do not grow with processes" \
	"(\$w.staged.pfs_requests - $one.staged | fabs) <= $one.staged / 20"
holds "requests of a direct import do" "\$w.direct.pfs_requests > $one.direct"
holds "a second job asks for nothing" \
	'all($w.staged, $w.touched; .again_pfs_bytes == 0 and .again_pfs_requests == 0)'
holds "a page cache keeps files, not opens" \
	'$w.direct | .again_pfs_bytes == 0 and .again_pfs_requests > 0 and .pfs_bytes == .bytes_read'

load epochs -N 3
holds "two ways" 'length == 2 and all(.[]; .status == 0 and (.epoch_seconds | length) == 3)'
holds "staged, epochs ask for nothing" \
	'$w.staged | .epoch_pfs_bytes == [0, 0, 0] and .epoch_pfs_requests == [0, 0, 0]'
holds "every byte once, by staging" '$w.staged | .stage_pfs_bytes == .bytes and .pfs_bytes == .bytes'
holds "directly, every byte in each epoch" '$w.direct | .epoch_pfs_bytes == [.bytes, .bytes, .bytes]'
holds "utilisation is a share" 'all(.[].epoch_au[]; . > 0 and . <= 1)'

# expect_load STATUS TEXT CMD...: alone, without a cluster
expect_load() {
	local want=$1 text=$2 got
	shift 2
	CHECKS=$((CHECKS + 1))
	timeout -k 5 30 "$@" >"$WORK/out" 2>"$WORK/err" </dev/null
	got=$?
	if [ "$want" = bad ]; then [ $got -ne 0 ] && [ $got -ne 124 ]; else [ $got -eq "$want" ]; fi &&
		grep -qF -- "$text" "$WORK/out" "$WORK/err" && return
	fail "status $got, or not '$text': $*"
	show
}
mpicc=$("$LAUNCH" --mpicc) || skip "nothing to compile the loads with"
for program in epoch_reader import_make import_storm; do
	check "compiling $program" "$mpicc" -O1 -D_GNU_SOURCE -pthread -o "$WORK/$program" "$bench/$program.c"
done
mkdir "$WORK/set"
"$WORK/epoch_reader" make "$WORK/set" 2 8 5000 >/dev/null
read_set=("$WORK/epoch_reader" -e 2 -b 3 read "$WORK/set" 2 8 5000)
expect_load 0 '"records":16' "$LAUNCH" -n 3 "${read_set[@]}"
printf X | dd of="$WORK/set/part-00001-of-00002" bs=1 seek=31234 conv=notrunc status=none
expect_load bad "record in $WORK/set/part-00001-of-00002" "$LAUNCH" -n 3 "${read_set[@]}"
expect_load bad "of-00003: No such file" "$LAUNCH" -n 3 "$WORK/epoch_reader" read "$WORK/set" 3 8 5000

"$WORK/import_make" "$WORK/env" "$WORK/trace" 60 4000 >/dev/null
import=("$LAUNCH" -n 2 "$WORK/import_storm")
expect_load 0 '"type":"replay"' "${import[@]}" "$WORK/env" "$WORK/trace"
file=$(awk '$1 == "read" { f = $4 } END { print f }' "$WORK/trace")
printf X | dd of="$WORK/env/$file" bs=1 seek=1234 conv=notrunc status=none
expect_load bad "content of $file" "${import[@]}" "$WORK/env" "$WORK/trace"
rm "$WORK/env/$file"
expect_load bad "open $file" "${import[@]}" "$WORK/env" "$WORK/trace"
missing=$(awk '$1 == "missing" { f = $4 } END { print f }' "$WORK/trace")
: >"$WORK/env/$missing"
grep -v "^list\| $file\$" "$WORK/trace" >"$WORK/rest"
expect_load bad "there is $missing" "${import[@]}" "$WORK/env" "$WORK/rest"

for script in import epochs; do
	expect_load 0 "bench/$script" "$bench/$script" -h
	expect_load 2 "see -h" "$bench/$script" -N none
	expect_load 2 "see -h" "$bench/$script" extra
	expect_load 2 "see -h" "$bench/$script" -w nothing
done
finish
