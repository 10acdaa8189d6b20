#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A drain dies at any moment: a rank, the launcher, or all by SIGTERM. Whatever can be seen then
# is complete, nothing is lost that was to be freed, and the same command run again finishes:
# what was in place is not written again, and the result is that of an undisturbed run.
BUDGET=${BUDGET:-20}
. "$(dirname "$0")/drain.sh"

what="a run without faults"
fresh
start
all_ranks >/dev/null
from=$(now_ms)
ended 60
life=$(($(now_ms) - from))
check "$what" test $status -eq 0
arrived want top/d
what="a slow run without faults"
fresh
start --rate=20M
all_ranks >/dev/null
from=$(now_ms)
ended 60
slow=$(($(now_ms) - from))
check "$what" test $status -eq 0
arrived want top/d
echo "a run lives $life ms, a slow one $slow ms"

# Sure hits: while the first files are under temporary names, and once some are in place.
for how in rank0 rank1 rank2 launcher term; do
	for name in 'top/d/deep/.ebt*' 'top/d/many/f[1-9]' 'top/d/deep/large*'; do
		[ $partly -gt 0 ] && over && break 2
		what="$how when $name is there"
		fresh
		start --rate=20M
		all_ranks >/dev/null
		until_there "$name" && strike $how
		ended 30
		settle --rate=100M
	done
done

# The whole life, in an order that covers all of it early.
hows=(rank0 launcher rank1 term rank2 termrank1)
more=("" --delete --rate=20M "--rate=20M --delete")
steps=30 faults=15
for ((k = 0; k < steps; k++)); do
	over && break
	i=$((k * 13 % steps))
	rest=${more[k % 4]}
	span=$life
	[ "${rest#--rate}" = "$rest" ] || span=$slow
	faults=$((faults + 1))
	fault "${hows[k % 6]}" $i $steps $span $rest
	settle $rest
done
echo "$tried faults of 45: $complete complete, $partly partly there, $nothing without a trace," \
	"$kept of $((tried * files)) files in place before the second run"
check "moments with a part in place were hit" test $partly -gt 0
finish
