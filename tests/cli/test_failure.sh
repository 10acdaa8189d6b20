#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# What goes wrong goes wrong everywhere alike: one message that names node and path, the same
# status on every rank, nothing visible, nothing left that the next run does not remove.
. "$(dirname "$0")/lib.sh"
cd "$WORK" || exit 99

mkdir src
for i in $(seq 200); do head -c 20000 /dev/urandom >"src/f$i"; done
head -c 30000000 /dev/urandom >src/large

expect 1 3 nosuch "$WORK/a.%r"
says "nosuch"
says "No such file"
nothing_visible a.0 a.1 a.2

# Changing while it is read: its time moves without end. Sizes that shrink, names that vanish.
( while :; do touch src/large; done ) &
toucher=$!
expect 1 3 --parcel=128K src "$WORK/b.%r"
says "large"
kill $toucher
wait $toucher 2>/dev/null
nothing_visible b.0 b.1 b.2

# Every rank ends with the same status: hydra gives the OR, so look at each.
cat >each.sh <<'X'
#!/bin/sh
"$@"
echo $? >"$EACH/status.$EBT_RANK"
X
chmod +x each.sh
EACH=$WORK timeout "$LIMIT" "$LAUNCH" -n 4 ./each.sh "$STAGE" --per-rank nosuch "$WORK/c.%r" \
	>/dev/null 2>&1
check "status of each rank" test "$(cat status.0 status.1 status.2 status.3 | tr -d '\n')" = 1111

# Stop signals, sent to the launcher in the middle of the stream.
head -c 400000000 /dev/zero | tr '\0' x >big
# On a fast machine that ends before the signal has found its way, for which mpiexec of Open MPI
# needs a second: so its reader gets slow. -D: who is traced keeps its process id.
cat >slow.sh <<'X'
#!/bin/bash
[ "$EBT_RANK" = 0 ] && strace -o /dev/null true 2>/dev/null || exec "$@"
exec strace -D -f -qq -o /dev/null -e trace=pread64 -e inject=pread64:delay_enter=5000 "$@"
X
chmod +x slow.sh
# interrupt SIGNAL: status in $got, seconds it took to end in $took
interrupt() {
	rm -rf s.0 s.1 s.2
	"$LAUNCH" -n 3 ./slow.sh "$STAGE" --per-rank --parcel=128K --memory=8M --readers=1 big "$WORK/s.%r" >out 2>err </dev/null &
	local pid=$! began
	for _ in $(seq 1000); do
		[ -n "$(ls s.0/.ebt/incoming/*/tree/big 2>/dev/null)" ] && break
		sleep 0.005
	done
	began=$(date +%s)
	kill -"$1" $pid
	wait $pid
	got=$?
	took=$(($(date +%s) - began))
}
for sig in TERM INT USR1; do
	# Where nothing makes it slow, once more. mpiexec of Open MPI says 1 of a run that ended too.
	for _ in 1 2 3 4 5; do
		interrupt $sig
		[ "$got" -eq 0 ] || grep -q '^staged' out || break
	done
	check "status after $sig" test "$got" -ne 0
	check "within 30 s after $sig" test "$took" -le 30
	nothing_visible s.0 s.1 s.2
	check "incoming is gone after $sig" test -z "$(ls s.0/.ebt/incoming 2>/dev/null)"
done

# A rank that is killed takes the job along; what is left is invisible, the next run removes it.
for victim in 0 1 2; do
	"$LAUNCH" -n 3 "$STAGE" --per-rank --parcel=128K --memory=8M big "$WORK/k.%r" >out 2>err </dev/null &
	pid=$!
	rank=
	for _ in $(seq 200); do
		for p in $(pgrep -x ebt-stage); do
			# What the shell says of one that has just ended is noise.
			{ tr '\0' '\n' <"/proc/$p/environ" | grep -qx "EBT_RANK=$victim" &&
				grep -qF "$WORK/k." "/proc/$p/cmdline" && rank=$p; } 2>/dev/null
		done
		[ -n "$rank" ] && break
		sleep 0.01
	done
	for _ in $(seq 500); do
		[ -n "$(ls k.0/.ebt/incoming/*/tree/big 2>/dev/null)" ] && break
		sleep 0.01
	done
	kill -9 "$rank" || fail "rank $victim was gone already"
	timeout 30 tail --pid=$pid -f /dev/null || fail "hangs after rank $victim died"
	wait $pid
	check "status after rank $victim died" test $? -ne 0
	nothing_visible k.0 k.1 k.2
done
expect 0 3 src/f1 "$WORK/k.%r"
check "leftovers are removed" test -z "$(ls k.0/.ebt/incoming k.1/.ebt/incoming 2>/dev/null | grep -v :)"

# A store that is too small is refused before anything moves; one that fills up cleans up.
if [ "$(id -u)" = 0 ] && mkdir full.0 full.1 && mount -t tmpfs -o size=20m tmpfs full.1 2>/dev/null; then
	MOUNTS+=("$WORK/full.1")
	# The other one has room, however full the disk is.
	mount -t tmpfs -o size=200m tmpfs full.0 || exit 99
	MOUNTS+=("$WORK/full.0")
	expect 1 2 src/large "$WORK/full.%r/x"
	says "free"
	nothing_visible full.0/x full.1/x
	# Room for it, but not for what is to stay free. 20 MiB less 15 MB leave 5.7 MiB.
	head -c 15000000 /dev/urandom >most
	expect 1 2 --keep-free=6M most "$WORK/full.%r/x"
	says "are to stay so (see --keep-free)"
	expect 1 2 --keep-free=30% most "$WORK/full.%r/x"
	says "6.0 MiB are to stay so"
	nothing_visible full.0/x full.1/x
	expect 0 2 --keep-free=5M most "$WORK/full.%r/x"
	head -c 4900000 /dev/urandom >more
	expect 1 2 more "$WORK/full.%r/y"
	says "1.0 MiB are to stay so"
	expect 0 2 --keep-free=0 more "$WORK/full.%r/y"
	for bad in 100% -1% 5x %; do
		expect 2 1 --keep-free=$bad more "$WORK/full.%r/z"
	done
	rm -rf full.0/x full.0/y
	umount full.1
	mount -t tmpfs -o size=100m,nr_inodes=100 tmpfs full.1
	expect 1 2 src "$WORK/full.%r/x"
	says "inodes"
	nothing_visible full.0/x full.1/x
	umount full.1
	mount -t tmpfs -o size=60m tmpfs full.1
	# Room when it is checked, none when it is needed: somebody else takes it meanwhile.
	head -c 45000000 /dev/urandom >mid
	( while [ ! -e full.1/x/.ebt/incoming ]; do sleep 0.005; done
	  head -c 50000000 /dev/zero >full.1/other 2>/dev/null ) &
	stage 2 --parcel=128K mid "$WORK/full.%r/x"
	got=$?
	wait
	if [ $got -eq 0 ]; then
		echo "note: the store did not fill up in time"
	else
		says "No space left"
		nothing_visible full.0/x full.1/x
	fi
else
	echo "not tried: full stores need a mount"
fi
finish
