# SPDX-License-Identifier: BSD-3-Clause
# Runs in the background whose ranks can be reached one by one: by process id, never by name.
# Sourced by the tests of this folder, after which lib.sh is in use as well.
#
# BUDGET seconds bound the sweeps of one test; what there was no time for is said.
. "$(dirname "$0")/../cli/lib.sh"
BUDGET=${BUDGET:-25}
N=3
chmod 755 "$WORK"
cd "$WORK" || exit 99

# Each rank leaves its process id behind before it becomes the command.
cat >rank.sh <<'X'
#!/bin/sh
echo $$ >"$PIDS/new.$EBT_RANK"
mv "$PIDS/new.$EBT_RANK" "$PIDS/rank.$EBT_RANK"
exec "$@"
X
chmod 755 rank.sh

now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }
over() { [ "$SECONDS" -gt "$BUDGET" ]; }

# begin ARG...: N ranks in the background, $launcher their mpiexec
begin() {
	rm -rf pids
	mkdir -m 777 pids
	PIDS=$WORK/pids "${AS[@]}" "$LAUNCH" -n $N "$WORK/rank.sh" "$STAGE" --per-rank --memory=32M "$@" \
		>out 2>err </dev/null &
	launcher=$!
}
AS=()
# rank R: its process id, once it is there; waits
rank() {
	local i
	for i in $(seq 1000); do
		[ -e "pids/rank.$1" ] && break
		sleep 0.005
	done
	cat "pids/rank.$1"
}
all_ranks() {
	local r
	for ((r = 0; r < N; r++)); do rank $r; done
}
# until_there PATTERN: waits for a file of that name; 1 if the run ended first
until_there() {
	while [ -z "$(compgen -G "$1")" ]; do
		[ -d "/proc/$launcher" ] || return 1
	done
}
# ended SECONDS: the launcher must end by itself; its status in $status
ended() {
	local pid
	CHECKS=$((CHECKS + 1))
	if ! timeout "$1" tail -s 0.05 --pid=$launcher -f /dev/null; then
		fail "hangs: $what"
		show
		for pid in $(cat pids/rank.* 2>/dev/null); do kill -KILL "$pid" 2>/dev/null; done
		sleep 0.5
		kill -KILL $launcher 2>/dev/null
	fi
	wait $launcher 2>/dev/null
	status=$?
	# The launcher may be gone before the last of its ranks is.
	for pid in $(cat pids/rank.* 2>/dev/null); do
		timeout 10 tail -s 0.02 --pid="$pid" -f /dev/null || fail "$what: process $pid is left"
	done
}

# What a store looks like: old (nothing new visible), or begun (a record, or something visible).
begun() {
	local d
	for d in "$@"; do
		[ -e "$d/.ebt/publish" ] && return 0
		[ -n "$(find "$d" -mindepth 1 -maxdepth 1 ! -name .ebt -print -quit 2>/dev/null)" ] && return 0
	done
	return 1
}
no_leftovers() {
	local d
	for d in "$@"; do
		CHECKS=$((CHECKS + 1))
		[ -z "$(ls "$d/.ebt/incoming" 2>/dev/null)" ] && [ ! -e "$d/.ebt/publish" ] ||
			fail "$what: leftovers in $d/.ebt: $(ls -R "$d/.ebt" | head -8 | tr '\n' ' ')"
	done
}
# fails_naming TEXT DEST...: the run that just ended failed, said why, shows and leaves nothing
fails_naming() {
	local text=$1
	shift
	check "$what: status $status" test "$status" -ne 0
	says "$text"
	nothing_visible "$@"
	no_leftovers "$@"
}
