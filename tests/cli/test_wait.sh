#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A store that another run has: waited for, for as long as it may take, by all nodes together.
. "$(dirname "$0")/lib.sh"
DRAIN=$BIN/ebt-drain
cd "$WORK" || exit 99
mkdir -p s/d
for i in 1 2 3 4 5 6 7 8; do head -c 3000$i /dev/urandom >s/d/f$i; done
mkdir u
echo other >u/other
BYTES=$(cat s/d/* | wc -c)

# bg NAME COMMAND N ARG...: N ranks in the background, output in NAME.out, NAME.err
declare -A PIDS=()
bg() {
	local name=$1 command=$2 n=$3
	shift 3
	RANKS=$WORK/$name.ranks
	mkdir -p "$RANKS"
	rm -f "$RANKS"/* "$name.out" "$name.err"
	RANKS=$RANKS timeout "$LIMIT" "$LAUNCH" -n "$n" "$WORK/rank.sh" "$command" --per-rank \
		--memory=32M "$@" >"$name.out" 2>"$name.err" </dev/null 9>&- &
	PIDS[$name]=$!
}
# Each rank leaves its process id behind before it becomes the command.
cat >rank.sh <<'X'
#!/bin/sh
: >"$RANKS/$$"
exec "$@"
X
chmod 755 rank.sh
# status WANT NAME: that run ends, with this status
status() {
	local got
	wait "${PIDS[$2]}"
	got=$?
	CHECKS=$((CHECKS + 1))
	[ $got -eq "$1" ] && return
	fail "$2: status $got, not $1"
	sed 's/^/    /' "$2.out" "$2.err" >&2
}
# until_says NAME TEXT: that run says it, or has ended
until_says() {
	CHECKS=$((CHECKS + 1))
	until grep -qsF -- "$2" "$1.err"; do
		kill -0 "${PIDS[$1]}" 2>/dev/null || { fail "$1 never says $2"; return; }
		sleep 0.02
	done
}
# hold STORE, release: as another run
hold() {
	exec 9<>"$1/.ebt/lock"
	flock 9 || exit 99
}
release() { flock -u 9; }
now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }

# Not at all, or not for longer than was said: the store and a way out are named.
expect 0 2 s "$WORK/a.%r"
hold a.1
expect 1 2 --wait=0 --overwrite=update s "$WORK/a.%r"
says "$WORK/a.1: in use by another run"
says "rank 1 on"
began=$(now_ms)
expect 1 2 --wait=2s --overwrite=update s "$WORK/a.%r"
check "2 s" test $(($(now_ms) - began)) -ge 2000
says "$WORK/a.1: in use by another run, also after 2 s"
says "--wait=TIME"
for how in --verify --recover "--recover --give-up"; do
	expect 1 2 --wait=100ms $how "$WORK/a.%r"
	says "a.1: in use by another run"
done
# What the others had is free again.
check "the other store is free" flock -n a.0/.ebt/lock true
expect 2 2 --wait=forever s "$WORK/a.%r"
release

# Who waits says so once, and goes on when the other is gone, with what is there then. The
# time of waiting is not the run's.
hold a.1
bg one "$STAGE" 2 --json --overwrite=update s "$WORK/a.%r"
until_says one "$WORK/a.1: in use by another run"
rm a.1/s/d/f1
release
status 0 one
check "said once" test "$(grep -c 'in use' one.err)" = 1
check "by its node" grep -q 'waiting for up to 600 s.*(rank 1 on' one.err
check "f1 is back" cmp s/d/f1 a.1/s/d/f1
check "waiting is no part" awk -F'"seconds":' '/"result"/ {exit !($2 + 0 < 4)}' one.out

# The commands that only look, and the drain.
hold a.0
bg verify "$STAGE" 2 --verify "$WORK/a.%r"
bg recover "$STAGE" 2 --recover "$WORK/a.%r"
mkdir home
bg drain "$DRAIN" 2 "$WORK/a.%r" "$WORK/home"
echo output >a.0/output
for run in verify recover drain; do until_says $run "a.0: in use"; done
release
for run in verify recover drain; do status 0 $run; done
check "drained" cmp a.0/output home/output
rm a.0/output
hold a.0
bg drain "$DRAIN" 2 --wait=0 "$WORK/a.%r" "$WORK/home"
status 1 drain
check "drain names it" grep -qF "$WORK/a.0: in use by another run" drain.err
release

# A signal ends the wait, of all nodes though one alone got it.
for to in launcher rank; do
	hold a.1
	bg one "$STAGE" 3 --overwrite=update s "$WORK/a.%r"
	until_says one "in use"
	began=$(now_ms)
	if [ $to = rank ]; then
		set -- one.ranks/*
		kill -TERM "${1##*/}"
	else
		kill -TERM "${PIDS[one]}"
	fi
	wait "${PIDS[one]}"
	check "stopped through the $to" test $? -ne 0
	check "at once" test $(($(now_ms) - began)) -lt 5000
	check "and says so" grep -q 'stopped by signal 15' one.err
	check "the other store is free" flock -n a.0/.ebt/lock true
	check "a store that was new is gone" test ! -e a.2
	release
done

# A store that is that of another rank of the same run is never free.
began=$(now_ms)
expect 1 3 s "$WORK/both"
says "$WORK/both: is that of rank"
expect 1 2 s "$WORK/../${WORK##*/}/both"
check "at once" test $(($(now_ms) - began)) -lt 20000
nothing_visible both

# Tasks of an array: each stages the same to the same stores. One moves the bytes.
for n in 2 4; do
	rm -rf c.?
	for ((i = 0; i < n; i++)); do bg task$i "$STAGE" 2 --json s "$WORK/c.%r"; done
	for ((i = 0; i < n; i++)); do status 0 task$i; done
	check "one of $n moves bytes" test "$(cat task*.out | grep -c "\"bytes\":$BYTES,")" = 1
	check "others of $n none" test "$(cat task*.out | grep -c '"bytes":0,')" = $((n - 1))
	for r in 0 1; do same s c.$r/s; done
	rm -f task*.out
done

# One of them is killed while the others wait.
rm -rf c.?
mkdir -p c.0 c.1
expect 0 2 u "$WORK/c.%r"
hold c.1
for i in 1 2 3; do bg task$i "$STAGE" 2 --json s "$WORK/c.%r"; done
until_says task1 "in use"
for p in task1.ranks/*; do kill -KILL "${p##*/}"; done
wait "${PIDS[task1]}"
release
status 0 task2
status 0 task3
for r in 0 1; do same s c.$r/s; done

# Two runs that each have a node of the other's, in either order.
mkdir x y ab ba
ln -s "$WORK/x" ab/0
ln -s "$WORK/y" ab/1
ln -s "$WORK/y" ba/0
ln -s "$WORK/x" ba/1
for i in $(seq 20); do
	echo $i >s/d/f1
	bg ab "$STAGE" 2 --overwrite=update s "$WORK/ab/%r"
	bg ba "$STAGE" 2 --overwrite=update s "$WORK/ba/%r"
	status 0 ab
	status 0 ba
done
for store in x y; do same s $store/s; done
finish
