#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A run that stands still says once for which node, and in what, and once that it goes on; or it is
# ended after --stall-end.
. "$(dirname "$0")/fault.sh"
shim=$2/failing.so
DRAIN=$BIN/ebt-drain

mkdir -p src/deep
for i in $(seq 10 49); do head -c 1000000 /dev/urandom >"src/f$i"; done
echo text >src/deep/er
D=("$WORK/d.0" "$WORK/d.1" "$WORK/d.2")
lines() { wc -l <err; }
# hang NAME=VALUE...: on one rank
hang() { AS=(env "LD_PRELOAD=$shim" "$@"); }
stage() { begin --stall=2 --readers=1 --parcel=128K --memory=2M "$@" src/. "$WORK/d.%r"; }
# told TEXT: the run that just ended went well, having said just that and that it goes on
told() {
	check "$what: status $status" test $status -eq 0
	check "$what: $(head -n 1 err)" test "$(grep -c "waiting for rank $1" err)" -eq 1
	is "$what: lines" 2 "$(lines)"
	says "goes on after"
}

# A rank that is stopped, while content moves.
for stopped in 0 1; do
	what="rank $stopped stands still"
	mkdir "${D[@]}"
	stage
	all_ranks >/dev/null
	until_there "d.2/.ebt/incoming/*/tree/f10" || fail "$what: too late"
	kill -STOP "$(rank $stopped)"
	sleep 4
	kill -CONT "$(rank $stopped)"
	ended 30
	told "$stopped on $(hostname): not heard of for"
	for d in "${D[@]}"; do same src "$d"; done
	rm -rf "${D[@]}"
done

# Nobody comes to its help: the run is ended, and nothing is seen of it.
what="rank 1 stands still for good"
mkdir "${D[@]}"
stage --stall-end=4
until_there "d.2/.ebt/incoming/*/tree/f10" || fail "$what: too late"
kill -STOP "$(rank 1)"
for _ in $(seq 200); do grep -q "stall-end" err && break; sleep 0.05; done
kill -CONT "$(rank 1)" 2>/dev/null
ended 30
check "$what: status $status" test $status -ne 0
says "waiting for rank 1 on $(hostname): not heard of for 4 s, ending the run (--stall-end)"
is "$what: lines" 2 "$(grep -c 'waiting for' err)"
nothing_visible "${D[@]}"
rm -rf "${D[@]}"

# Told to stop meanwhile: it cannot, and one rank says for whom.
what="rank 2 stands still, and the run is to stop"
mkdir "${D[@]}"
stage --timeout=4 --stall=30
until_there "d.2/.ebt/incoming/*/tree/f10" || fail "$what: too late"
kill -STOP "$(rank 2)"
for r in 0 1; do kill -TERM "$(rank $r)"; done
for _ in $(seq 200); do grep -q "did not wind down" err && break; sleep 0.05; done
kill -CONT "$(rank 2)" 2>/dev/null
ended 30
check "$what: status $status" test $status -ne 0
is "$what: who ends it" 1 "$(grep -c 'did not wind down' err)"
says "did not wind down within 4 s, waiting for rank 2 on $(hostname): not heard of for"
nothing_visible "${D[@]}"
rm -rf "${D[@]}"

# Calls that take long, of walkers, readers, writers and at the end.
try() { # TEXT NAME=VALUE...
	what=$1
	shift
	mkdir "${D[@]}"
	hang "$@"
	stage
	ended 30
	told "$what"
	for d in "${D[@]}"; do same src "$d"; done
	rm -rf "${D[@]}"
}
try "0 on $(hostname): reading $WORK/src/f33 for" EBT_TEST_RANK=0 EBT_TEST_READ=/f33 "EBT_TEST_DO=sleep 4"
try "0 on $(hostname): looking at $WORK/src/deep for" EBT_TEST_RANK=0 EBT_TEST_LOOK=deep "EBT_TEST_DO=sleep 4"
try "1 on $(hostname): writing f" EBT_TEST_RANK=1 EBT_TEST_AT=9 EBT_TEST_CALLS=,pwrite64, EBT_TEST_NAPS=4
try "2 on $(hostname): publishing $WORK/d.2 for" EBT_TEST_RANK=2 EBT_TEST_AT=2 EBT_TEST_CALLS=,renameat2, EBT_TEST_NAPS=4

# The same of a drain.
for r in 0 1 2; do mkdir s.$r; done
for i in $(seq 10 49); do cp src/f$i s.$((i % 3))/; done
drain() { STAGE=$DRAIN begin --stall=2 "$@" "$WORK/s.%r" "$WORK/to"; }
whole() {
	check "$what: all is there" cmp <(cd src && sha256sum f*) <(cd to && sha256sum f*)
	rm -rf to
}
AS=()
what="a drain, and rank 1 stands still"
drain --rate=4M
until_there "to/f*" || fail "$what: too late"
kill -STOP "$(rank 1)"
sleep 4
kill -CONT "$(rank 1)"
ended 30
told "1 on $(hostname): not heard of for"
whole
what="a drain, and writing takes long"
hang EBT_TEST_RANK=2 EBT_TEST_AT=5 EBT_TEST_CALLS=,pwrite64, EBT_TEST_NAPS=4
drain
ended 30
told "2 on $(hostname): writing $WORK/to/f"
whole
AS=()

# Who has nothing to do stands for nobody.
what="a drain that watches"
drain --watch=1s
sleep 5
kill -TERM "$(rank 0)"
ended 30
check "$what: it says nothing: $(grep -m 1 -e waiting -e moved err)" test -z "$(grep -e waiting -e moved err)"
whole
what="a run that waits for a store in use"
mkdir "${D[@]}"
stage
ended 30
(
	flock 9
	sleep 7
) 9<>d.1/.ebt/lock &
holder=$!
sleep 0.3
stage --overwrite=always
ended 30
wait $holder
check "$what: status $status" test $status -eq 0
check "$what: it waited" grep -q "in use by another run" err
check "$what: it says nothing of a stall: $(grep -m 1 -e 'waiting for rank' -e moved err)" \
	test -z "$(grep -e 'waiting for rank' -e moved err)"
finish
