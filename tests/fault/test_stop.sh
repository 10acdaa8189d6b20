#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Stop signals, to the launcher above all, at any moment: status 0 is only ever said of a run
# that did all it was to do, and a run that was stopped says so. Hydra forgets the statuses of
# ranks once it has passed a signal on, which is why this is tried again and again.
BUDGET=${BUDGET:-25}
cli=$(cd "$(dirname "$0")/../cli" && pwd)
. "$(dirname "$0")/fault.sh"
. "$cli/drain.sh"
RANDOM=${SEED:-4711}

mkdir src
for i in $(seq 300); do echo "file $i" >src/f$i; done
head -c 8000000 /dev/urandom >src/large
spread src $N keep
mkdir other # has one of the names
echo other >other/f7

# run_stage, run_drain, run_conflict: in the background; ended_well: it did all it was to do
run_stage() { STAGE=$STAGER begin --done=done src/. "$WORK/d.%r"; }
run_drain() { begin --done=done --rate=16M "$WORK/s.%r" "$WORK/top/d"; }
run_conflict() { begin --strict --done=done "$WORK/s.%r" "$WORK/other"; }
ended_well() {
	local r
	case $1 in
	stage) for ((r = 0; r < N; r++)); do diff -rq --exclude=.ebt src d.$r || return; done ;;
	drain) diff -rq src top/d ;;
	conflict) false ;;
	esac
}
# renew: stores as they were, no targets
renew() {
	local r
	rm -rf d.? s.? top
	mkdir top
	echo old >done
	for ((r = 0; r < N; r++)); do cp -a keep.$r s.$r; done
}
# up: returns when MPI is: a rank that is hit before main dies of it, whatever is done here
up() {
	while [ -e done ] && [ -d "/proc/$launcher" ]; do sleep 0.002; done
}
# measure KIND: $life ms from that moment
measure() {
	local began
	what="an undisturbed run: $1"
	renew
	"run_$1"
	up
	began=$(now_ms)
	ended 60
	life=$(($(now_ms) - began))
	case $1 in
	conflict) check "$what" test $status -eq 1 ;;
	*) check "$what" test $status -eq 0 ;;
	esac
}
stops=0 zero=0
# judge KIND TEXT...: the run that just ended, in $status; what it may say
judge() {
	local kind=$1 said=
	shift
	stops=$((stops + 1))
	if [ $status -eq 0 ]; then
		zero=$((zero + 1))
		ended_well "$kind" >diff 2>&1 || fail "$what: status 0, but $(head -n 1 diff)"
		check "$what: it is done" grep -q '"type":"done"' done
		return
	fi
	check "$what: it is not done" test ! -e done
	check "$what: status $status" test $status -eq 1
	for text in "$@"; do grep -qaF -- "$text" err && said=1; done
	[ -n "$said" ] || { fail "$what: it is not said why"; show; }
}
# moment KIND HOW SIGNAL: a signal to the launcher, or to rank0, rank1, rank2, at any moment
moment() {
	local kind=$1 to=$2 sig=$3 at=$((RANDOM % (life * 6 / 5))) pid
	what="$kind of $N, $sig to $to after $at of $life ms"
	renew
	"run_$kind"
	up
	pid=$launcher
	[ "$to" = launcher ] || pid=$(rank "${to#rank}")
	sleep "$(printf '%d.%03d' $((at / 1000)) $((at % 1000)))"
	kill -"$sig" "$pid" 2>/dev/null
	ended 30
	judge "$kind" "stopped by signal" $([ "$kind" != conflict ] || echo "target exists")
}

for kind in stage drain conflict; do
	measure $kind
	for ((k = 0; k < 8; k++)); do
		[ $k -lt 4 ] || ! over || break
		case $((k % 6)) in
		0 | 2 | 4) moment $kind launcher TERM ;;
		1 | 3) moment $kind launcher INT ;;
		5) moment $kind rank$((RANDOM % N)) USR1 ;;
		esac
	done
done
# A job of one rank: MPI_Abort of MPICH is a mere exit there.
N=1
measure stage
for ((k = 0; k < 6; k++)); do moment stage launcher TERM; done
N=3
echo "$stops stops, status 0 of $zero that were done"
check "stops were in time" test $zero -lt $((stops * 3 / 4))

# Before MPI_Init returns: one rank of three, so that a rank that died of it would be missed.
for sig in 15 10; do
	what="signal $sig before MPI is up"
	renew
	AS=(env "LD_PRELOAD=$2/failing.so" EBT_TEST_RANK=1 EBT_TEST_EARLY=$sig)
	run_stage
	AS=()
	ended 30
	check "$what: status $status" test $status -eq 1
	says "stopped by signal $sig"
	says "rank 1"
	nothing_visible d.?
	check "$what: no store is left" test -z "$(ls -d d.? 2>/dev/null)"
done

# Done but for one file is not done.
what="a file that cannot be read"
renew
AS=(env "LD_PRELOAD=$2/failing.so" EBT_TEST_RANK=1 EBT_TEST_UNREADABLE=/f8)
for ((r = 0; r < N; r++)); do [ ! -e s.$r/f8 ] || AS[2]=EBT_TEST_RANK=$r; done
run_drain
AS=()
ended 30
check "$what: status $status" test $status -eq 3
check "$what: it is not done" test ! -e done
check "$what: but the others are there" cmp src/f9 top/d/f9

# Without any launcher, each stop signal: MPICH has a handler of its own for USR1.
for sig in INT TERM HUP QUIT USR1 USR2 XCPU; do
	what="$sig without mpiexec"
	rm -rf d.0 top
	mkdir top
	"$STAGE" --local-dest --rate=1M keep.0 top/d >out 2>err </dev/null &
	launcher=$!
	until_there 'top/d/.ebt*' || fail "$what: too late"
	kill -$sig $launcher
	began=$(now_ms)
	ended 20
	check "$what: status $status" test $status -eq 1
	says "stopped by signal $(kill -l $sig)"
	check "$what: at once" test $(($(now_ms) - began)) -lt 8000
	check "$what: said once" test "$(wc -l <err)" = 1
done

# Told to stop, and a rank hangs: the watchdog of another one ends the job, with its status.
for k in 1 2 3 4 5 6; do
	[ $k -lt 3 ] || ! over || break
	what="stopped while a rank stands still ($k)"
	renew
	STAGE=$STAGER begin --timeout=1 --readers=1 --parcel=128K --memory=2M src/. "$WORK/d.%r"
	pids=$(all_ranks)
	until_there 'd.1/.ebt/incoming/*/tree/f1' || fail "$what: too late"
	kill -STOP "$(rank 1)"
	kill -TERM $launcher
	ended 12
	check "$what: status $status" test $status -eq 1
	says "did not wind down within 1 s"
	nothing_visible d.?
done
finish
