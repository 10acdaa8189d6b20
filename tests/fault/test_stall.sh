#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A node that hangs does not keep the job of a failed one: --timeout bounds the winding down.
. "$(dirname "$0")/fault.sh"

mkdir src
for i in $(seq 10 49); do head -c 1000000 /dev/urandom >"src/f$i"; done
D=("$WORK/d.0/x" "$WORK/d.1/x" "$WORK/d.2/x")

# A rank stands still and another one fails: the job ends when the timeout is over, not later.
for stopped in 0 1 2; do
	failing=$(((stopped + 1) % N))
	what="rank $stopped stands still, rank $failing fails"
	mkdir d.0 d.1 d.2
	begin --timeout=2 --readers=1 --parcel=128K --memory=2M src/. "$WORK/d.%r/x"
	pids=$(all_ranks)
	until_there "d.$failing/x/.ebt/incoming/*/tree/f10" || fail "$what: too late"
	kill -STOP $pids
	[ -z "$(compgen -G "d.$failing/x/f10")" ] || fail "$what: published already"
	kill -TERM "$(rank $failing)"
	began=$(now_ms)
	for r in 0 1 2; do [ $r = $stopped ] || kill -CONT "$(rank $r)"; done
	ended 12
	check "$what: within the timeout ($(($(now_ms) - began)) ms)" test $(($(now_ms) - began)) -lt 9000
	check "$what: status $status" test $status -ne 0
	nothing_visible "${D[@]}"
	rm -rf d.0 d.1 d.2
done

finish
