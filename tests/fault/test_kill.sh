#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Death at any moment: SIGKILL of one rank and SIGTERM, spread over the whole life of a run and
# once more over its publication. Afterwards either nothing is visible anywhere, or recovery
# brings every store to the whole tree; the next run works and removes what is left.
BUDGET=${BUDGET:-20}
. "$(dirname "$0")/fault.sh"

mkdir src
for i in $(seq 200); do
	echo "file $i" >"src/f$i"
	mkdir "src/d$i"
	echo "deep $i" >"src/d$i/f"
done
head -c 12000000 /dev/urandom >src/large
ln src/large src/hard
ln -s large src/link
D=("$WORK/d.0" "$WORK/d.1" "$WORK/d.2")

# How long does a run live, from the moment its last rank is there, and its publication?
what="a run without faults"
begin src/. "$WORK/d.%r"
all_ranks >/dev/null
started=$(now_ms)
until_there d.0/.ebt/publish
committed=$(now_ms)
ended 60
life=$(($(now_ms) - started))
check "$what" test $status -eq 0
for d in "${D[@]}"; do same src "$d"; done
rm -rf "${D[@]}"
echo "a run lives $life ms, publishes after $((committed - started)) ms"

settle() {
	local d
	if [ $status -eq 0 ]; then
		for d in "${D[@]}"; do same src "$d"; done
		complete=$((complete + 1))
	elif begun "${D[@]}"; then
		expect 0 $N --recover "$WORK/d.%r" || fail "$what: recovery"
		for d in "${D[@]}"; do same src "$d"; done
		no_leftovers "${D[@]}"
		recovered=$((recovered + 1))
	else
		nothing_visible "${D[@]}"
		expect 0 $N src/. "$WORK/d.%r" || fail "$what: next run"
		for d in "${D[@]}"; do same src "$d"; done
		no_leftovers "${D[@]}"
		nothing=$((nothing + 1))
	fi
	rm -rf "${D[@]}"
}
complete=0 recovered=0 nothing=0 tried=0

# Kills that hit the publication for sure, then the recovery itself.
for name in "f*" .ebt/publish; do
	for victim in 0 1 2; do
		[ $recovered -gt 0 ] && over && break 2
		what="rank $victim killed when d.$victim/$name is there"
		begin src/. "$WORK/d.%r"
		pid=$(rank $victim)
		until_there "d.$victim/$name" && kill -KILL "$pid" 2>/dev/null
		ended 30
		tried=$((tried + 1))
		if [ $status -ne 0 ]; then
			check "$what: has begun" begun "${D[@]}"
			what="recovery, rank $victim killed"
			begin --recover "$WORK/d.%r"
			pid=$(rank $victim)
			until_there "d.$victim/d*" && kill -KILL "$pid" 2>/dev/null
			ended 30
			if [ $status -eq 0 ]; then
				for d in "${D[@]}"; do same src "$d"; done
			fi
			status=1
		fi
		settle
	done
done

# Each step up to the commit: the store made, the tree begun, content, sealed.
moments=(".ebt/lock" ".ebt/incoming/*/tree/d1" ".ebt/incoming/*/tree/large"
	".ebt/incoming/*/boot" ".ebt/incoming/*/manifest")
for ((k = 0; k < ${#moments[@]}; k++)); do
	[ $nothing -gt 0 ] && over && break
	victim=$((k % N))
	what="rank $victim killed when d.$victim/${moments[k]} is there"
	begin src/. "$WORK/d.%r"
	pid=$(rank $victim)
	until_there "d.$victim/${moments[k]}" && kill -KILL "$pid" 2>/dev/null
	ended 30
	tried=$((tried + 1))
	settle
done

# Winding down: all are told to stop, and one dies while it removes what had arrived.
for ((victim = 0; victim < N; victim++)); do
	over && break
	what="rank $victim killed while it cleans up"
	begin src/. "$WORK/d.%r"
	pid=$(rank $victim)
	pids=$(all_ranks)
	until_there "d.$victim/.ebt/incoming/*/tree/large" && kill -TERM $pids 2>/dev/null
	while [ -n "$(compgen -G "d.$victim/.ebt/incoming/*/tree/d100")" ] && [ -d "/proc/$launcher" ]; do :; done
	kill -KILL "$pid" 2>/dev/null
	ended 30
	tried=$((tried + 1))
	settle
done

# The whole life.
# In an order that covers all of it early, should the time not suffice for every moment.
steps=36
for ((k = 0; k < steps; k++)); do
	over && break
	i=$((k * 13 % steps))
	victim=$((i % N))
	at=$((life * i / steps))
	what="rank $victim killed after $at of $life ms"
	begin src/. "$WORK/d.%r"
	pid=$(rank $victim)
	sleep "$(printf '%d.%03d' $((at / 1000)) $((at % 1000)))"
	kill -KILL "$pid" 2>/dev/null
	ended 30
	tried=$((tried + 1))
	settle
done

# SIGTERM: to one rank, or by way of the launcher. The status says how it went, always.
for ((i = 0; i < 8; i++)); do
	[ $i -gt 1 ] && over && break
	at=$((life * i / 8 + RANDOM % (life / 8 + 1)))
	what="SIGTERM after $at of $life ms"
	begin src/. "$WORK/d.%r"
	pid=$(rank $((i % N)))
	all_ranks >/dev/null
	sleep "$(printf '%d.%03d' $((at / 1000)) $((at % 1000)))"
	[ $((i % 2)) = 0 ] && pid=$launcher
	kill -TERM "$pid" 2>/dev/null
	ended 30
	tried=$((tried + 1))
	settle
done
echo "$tried faults of 58: $complete complete, $recovered recovered, $nothing without a trace"
check "publications were hit" test $recovered -gt 0
check "streams were hit" test $nothing -gt 0
finish
