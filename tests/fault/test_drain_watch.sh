#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# --watch: what is finished leaves while the job still writes; what is open or just changed
# does not; a signal ends it with status 0, and a last drain brings the rest.
cli=$(cd "$(dirname "$0")/../cli" && pwd)
. "$(dirname "$0")/fault.sh"
. "$cli/drain.sh"

# eventually SECONDS COMMAND...: within that time
eventually() {
	local end=$(($(now_ms) + $1 * 1000))
	shift
	until "$@" 2>/dev/null; do
		[ "$(now_ms)" -lt $end ] || return 1
		[ -d "/proc/$launcher" ] || { "$@"; return; }
		sleep 0.05
	done
}
watching() { # ARG...
	rm -rf s.? d
	mkdir s.0 s.1 s.2
	begin --watch=400ms "$@" "$WORK/s.%r" "$WORK/d"
	all_ranks >/dev/null
}
# stop: by a signal to all ranks, as a launcher passes it on
stop() {
	kill -TERM $(all_ranks) 2>/dev/null
	ended 30
	is "$what: status" 0 $status
}

what="outputs leave early"
watching
mkdir s.1/sub
echo one >s.0/one
echo sub >s.1/sub/file
check "$what: a first file" eventually 20 cmp -s s.0/one d/one
check "$what: one in a directory" eventually 20 cmp -s s.1/sub/file d/sub/file
echo two >s.2/two
check "$what: a later file" eventually 20 cmp -s s.2/two d/two
# A file that is held open: as it is, however long nobody writes.
exec 8>s.0/open
echo first >&8
echo three >s.1/three
check "$what: what is finished beside it" eventually 20 cmp -s s.1/three d/three
sleep 1.5
absent d/open
echo last >&8
exec 8>&-
check "$what: after it was closed" eventually 20 cmp -s s.0/open d/open
is "$what: all of it" "first last" "$(paste -sd ' ' d/open)"
# A file that changes all the time, opened and closed each time.
for i in $(seq 20); do
	echo "line $i" >>s.2/log
	[ ! -e d/log ] || fail "$what: a file that changes is drained after $i lines"
	sleep 0.1
done
check "$what: after it came to rest" eventually 20 cmp -s s.2/log d/log
# It is written to once more: the target follows.
echo "line 21" >>s.2/log
check "$what: changed again" eventually 20 cmp -s s.2/log d/log
# Renamed into place, as programs do that write safely.
echo safe >s.0/.tmp && mv s.0/.tmp s.0/safe
check "$what: renamed" eventually 20 cmp -s s.0/safe d/safe
exec 8>s.0/unfinished
echo begun >&8
stop
absent d/unfinished
check "$what: stores keep all" test -e s.0/one -a -e s.1/three -a -e s.2/log
exec 8>&-
expect 0 $N --json "$WORK/s.%r" "$WORK/d"
is "$what: files of the last drain" 1 "$(number files)"
is "$what: the unfinished one" begun "$(cat d/unfinished)"
check "$what: nothing of EBT's is left" test -z "$(find d -name '.ebt*')"
for r in 0 1 2; do
	for f in $(cd s.$r && find . -name .ebt -prune -o -type f -print); do
		check "$what: $f" cmp -s "s.$r/$f" "d/$f"
	done
done

what="watching and freeing"
watching --delete
for i in $(seq 30); do
	echo "output $i" >s.$((i % 3))/f$i
	sleep 0.03
done
exec 8>s.1/open
echo begun >&8
all_left() { [ "$(find d -name 'f*' | wc -l)" = 30 ] && [ -z "$(find s.? -name 'f*')" ]; }
check "$what: all leave" eventually 20 all_left
exists s.1/open
stop
exec 8>&-
for i in $(seq 30); do is "$what: f$i" "output $i" "$(cat d/f$i)"; done
expect 0 $N --delete "$WORK/s.%r" "$WORK/d"
is "$what: the last one" begun "$(cat d/open)"
absent s.1/open

# A pass in which nothing is new ends after the scan, whatever the last ones left.
for how in "" --delete; do
	what="nothing new $how"
	watching --json -vv --watch=150ms $how
	for i in $(seq 20); do
		mkdir -p s.$((i % 3))/d$i/sub
		echo $i >s.$((i % 3))/d$i/sub/f
		ln -s f s.$((i % 3))/d$i/sub/l
	done
	exec 8>s.1/open
	echo begun >&8
	came() { [ "$(find d ! -type d | wc -l)" = $1 ]; }
	check "$what: all leave" eventually 20 came 40
	quiet() { [ "$(grep -c 'nothing new' err)" -ge $1 ]; }
	check "$what: passes" eventually 20 quiet 12
	# Something is new again, then not.
	echo last >&8
	exec 8>&-
	check "$what: the last" eventually 20 came 41
	is "$what: all of it" "begun last" "$(paste -sd ' ' d/open)"
	check "$what: more passes" eventually 20 quiet 24
	stop
	busy=$(($(number passes) - $(grep -c 'nothing new' err)))
	calls=$(($(number opens) + $(number others)))
	check "$what: $busy passes with news, $(number passes) in all" test $busy -ge 2 -a $busy -le 12
	is "$what: bytes of all targets" "$(number bytes)" \
		"$(grep '"type":"target"' out | grep -o '"bytes":[0-9]*' | cut -d: -f2 | paste -sd+ | bc)"
	# Each of 41 directories is listed and synced, each of 41 files looked at.
	check "$what: $calls calls" test $calls -le $((busy * 41 * 8))
	expect 0 $N $how "$WORK/s.%r" "$WORK/d"
	is "$what: all are there" 41 "$(find d ! -type d | wc -l)"
done

# Between passes all nodes ask together whether to stop, however long each of them sleeps.
what="a node sleeps longer than the others"
rm -rf s.? d
mkdir s.0 s.1 s.2
AS=(env "LD_PRELOAD=$2/failing.so" EBT_TEST_RANK=1 EBT_TEST_DROWSY=1)
begin -vv --json --watch=1100ms --delete "$WORK/s.%r" "$WORK/d"
AS=()
all_ranks >/dev/null
for i in 1 2 3; do
	echo $i >s.$((i % 3))/f$i
	check "$what: pass $i" eventually 20 test -e d/f$i
done
stop

# A full store has no room for a journal: that is said once, and so is what is left out. When
# there is room the next pass makes one.
what="a store without room"
mkdir -p full
if [ "$(id -u)" = 0 ] && mount -t tmpfs -o size=1m tmpfs full 2>/dev/null; then
	MOUNTS=("$WORK/full")
	head -c 2000000 /dev/zero >full/out 2>/dev/null
	mkfifo full/fifo
	rm -rf s.? d
	mkdir s.1 s.2
	ln -s full s.0
	begin -vv --json --watch=150ms --delete "$WORK/s.%r" "$WORK/d"
	all_ranks >/dev/null
	check "$what: drained" eventually 20 test -e d/out
	check "$what: passes" eventually 20 quiet 4
	echo one >s.0/one
	check "$what: another" eventually 20 test -e d/one
	check "$what: more passes" eventually 20 quiet 8
	stop
	is "$what: said" 1 "$(grep -c 'no room' err)"
	is "$what: left out" "1 1" "$(grep -c fifo err) $(number skipped)"
	check "$what: a journal in the end" test -s full/.ebt/drain
	umount full
	MOUNTS=()
else
	echo "not tried: $what needs root and a tmpfs"
fi

# Killed outright, then finished.
what="watching is killed"
watching
for i in $(seq 30); do echo "output $i" >s.$((i % 3))/f$i; done
check "$what: some leave" eventually 20 test -e d/f3
kill -KILL "$(rank 1)"
ended 30
check "$what: status" test $status -ne 0
inode=$(stat -c %i d/f3)
expect 0 $N "$WORK/s.%r" "$WORK/d"
for i in $(seq 30); do is "$what: f$i" "output $i" "$(cat d/f$i)"; done
is "$what: f3 is not written twice" "$inode" "$(stat -c %i d/f3)"
tidy d

# By way of the launcher, as a batch system does it.
what="the launcher is told"
watching
echo one >s.0/one
check "$what: drained" eventually 20 cmp -s s.0/one d/one
kill -USR1 $launcher
ended 30
is "$what: status" 0 $status
finish
