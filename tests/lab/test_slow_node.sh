#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A node whose sends are slow is found out in the first batch, and sends nothing from then on.
LAB_NODES=4
. "$(dirname "$0")/lab.sh"
cd "$WORK" || exit 99

mkdir src
for i in $(seq 10); do head -c 9M /dev/urandom >src/f$i; done
# A fifth of what the others have, out of this node.
on 2 tc qdisc replace dev eth0 root tbf rate 40mbit burst 262144 limit 8388608 || fail "rate of node 2"
run 0 -v --json --readers=1 --batch=2 "$WORK/src/." /local/job
same_on_nodes "$WORK/src" /local/job
says "node 2 sends slowly, and is the last to receive from now on"
sent=$(grep '"rank":2,' out | grep -o '"bytes_out":[0-9]*' | cut -d: -f2)
check "node 2 sent the first batch only: $sent" test "$sent" -gt 0 -a "$sent" -le $((2 * 9 << 20))
took=$(grep '"type":"result"' out | grep -o '"stream_seconds":[0-9.]*' | cut -d: -f2)
# 90 MiB over 5 MB/s would take 19 s.
check "time of the stream: $took s" awk -v t="$took" 'BEGIN {exit !(t > 0 && t < 13)}'
finish
