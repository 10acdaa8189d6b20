#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# One node of a real network fails: no room, or its process dies. The same status everywhere,
# nothing visible on any node, and the next run removes what is left.
. "$(dirname "$0")/lab.sh"
mkdir "$WORK/src"
for i in $(seq 20); do head -c 1000000 /dev/urandom >"$WORK/src/f$i"; done
last=$((N - 1))

cat >"$WORK/status.sh" <<'X'
#!/bin/sh
"$@"
status=$?
echo $status >"$EACH/status.$EBT_RANK"
exit $status
X
# The launcher must see the death of the rank itself: no shell in between.
cat >"$WORK/rank.sh" <<'X'
#!/bin/sh
echo $$ >"$EACH/rank.$EBT_RANK"
exec "$@"
X
chmod +x "$WORK/status.sh" "$WORK/rank.sh"
export EACH=$WORK/each

# No room on the last node when it is checked.
mkdir "$EACH"
on $last mount -t tmpfs -o size=5m tmpfs /local
timeout -k 5 "$LIMIT" "$lab" mpi "$N" "$WORK/status.sh" "$STAGE" --link=200mbit "$WORK/src/." /local/job \
	>"$WORK/out" 2>"$WORK/err" </dev/null
for ((i = 0; i < N; i++)); do
	check "status of node $i" test "$(cat "$EACH/status.$i")" = 1
done
says "free"
says "(rank $last on n$last"
nothing_on_nodes
on $last umount /local

# A rank dies in the middle.
for victim in 0 $last; do
	rm -rf "$EACH"
	mkdir "$EACH"
	timeout -k 5 "$LIMIT" "$lab" mpi "$N" "$WORK/rank.sh" "$STAGE" --link=200mbit "$WORK/src/." /local/job \
		>"$WORK/out" 2>"$WORK/err" </dev/null &
	launcher=$!
	for _ in $(seq 500); do
		[ -n "$(on $victim sh -c 'ls /local/job/.ebt/incoming/*/tree/f* 2>/dev/null')" ] && break
		sleep 0.01
	done
	kill -KILL "$(cat "$EACH/rank.$victim")" || fail "rank $victim was gone already"
	CHECKS=$((CHECKS + 1))
	if ! timeout 60 tail -s 0.1 --pid=$launcher -f /dev/null; then
		fail "hangs after rank $victim died"
		kill -TERM $launcher
	fi
	wait $launcher 2>/dev/null
	check "status after rank $victim died" test $? -ne 0
	nothing_on_nodes
	run 0 "$WORK/src/f1" /local/job
	for ((i = 0; i < N; i++)); do
		check "leftovers on node $i" test -z "$(on $i ls /local/job/.ebt/incoming 2>/dev/null)"
		check "f1 on node $i" on $i cmp "$WORK/src/f1" /local/job/f1
	done
	clear_nodes
done
finish
