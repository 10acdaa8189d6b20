#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Outputs that do not hold still while they are drained: what is renamed or written to is looked
# for again when all else is done, what is gone has vanished, and what never comes to rest is
# taken as it is and named. Nothing of that is lost or freed, nothing half comes under its name.
cli=$(cd "$(dirname "$0")/../cli" && pwd)
. "$(dirname "$0")/fault.sh"
. "$cli/drain.sh"
shim=$2/failing.so
N=2
run=()
# looks: how many of each kind the last run counted
looks() {
	local k out=
	for k in failed torn grew vanished; do out+=" $(number $k)"; done
	echo "${out# }"
}
# fresh: two stores with steady files, and the one that is worked on in that of rank 1
fresh() {
	rm -rf s.? d
	mkdir -p s.0/sub s.1/sub
	for i in 1 2 3 4 5; do
		echo "steady $i" >s.0/sub/steady$i
		echo "steady $i too" >s.1/sub/too$i
	done
	head -c 30000 /dev/urandom >s.1/sub/log
	head -c 3000000 /dev/zero >s.1/sub/first
	touch -d '2010-10-10 10:10:10' s.?/sub/* s.?/sub
	cp -a s.1/sub/log was
}
# meanwhile WHEN FILE TIMES COMMAND: of the next runs, on rank 1, before FILE of it is read (READ)
# or looked at by the scan (LOOK)
meanwhile() { AS=(env "LD_PRELOAD=$shim" EBT_TEST_RANK=1 "EBT_TEST_$1=$2" "EBT_TEST_TIMES=$3" "EBT_TEST_DO=cd $WORK/s.1/sub && $4"); }
# drains STATUS LOOKS ARG...: a run that ends so; of writers one, which has the others' files sent
drains() {
	local want=$1 counts=$2
	shift 2
	begin --json -v "${run[@]}" "$@" "$WORK/s.%r" "$WORK/d"
	ended 60
	AS=()
	is "$what: status" "$want" "$status" || show
	is "$what: missing, torn, grew, vanished" "$counts" "$(looks)"
}
steady() {
	local f
	for i in 1 2 3 4 5; do
		is "$what: steady$i" "steady $i" "$(cat d/sub/steady$i)"
		is "$what: too$i" "steady $i too" "$(cat d/sub/too$i)"
	done
	tidy d
}
# freed: the steady ones are
freed() { check "$what: freed" test -z "$(find s.? -name 'steady*' -o -name 'too*')"; }
# whole_then: the next drain brings what there is by now, and frees it
whole_then() {
	cp -a s.1/sub now
	expect 0 $N "${run[@]}" --delete "$WORK/s.%r" "$WORK/d"
	for f in now/*; do
		check "$what: ${f#now/} in the end" cmp "$f" "d/sub/${f#now/}"
		absent "s.1/sub/${f#now/}"
	done
	rm -rf now
}

# With one writer rank 0 writes what is read on rank 1.
for with in "" --writers=1; do
	run=($with)

	what="it grows once $with"
	fresh
	meanwhile READ sub/log 1 'echo more >>log'
	drains 0 "0 0 0 0" --delete
	check "$what: all of it" sh -c '{ cat was; echo more; } | cmp - d/sub/log'
	absent s.1/sub/log
	check "$what: $(number passes) passes" test "$(number passes)" = 2
	is "$what: files" 12 "$(number files)"
	is "$what: not in place before" 0 "$(number in_place)"
	steady
	freed

	what="it grows once, and the journal is in doubt $with"
	fresh
	(umask 077 && mkdir s.1/.ebt && head -c 3000 was >s.1/.ebt/drain)
	meanwhile READ sub/log 1 'echo more >>log'
	drains 3 "0 0 0 0"
	check "$what: $(number passes) passes" test "$(number passes)" = 2
	is "$what: doubt" 1 "$(number doubt)"
	is "$what: said once" 1 "$(grep -c "what it proved is compared again" err)"
	check "$what: all of it" sh -c '{ cat was; echo more; } | cmp - d/sub/log'
	steady

	what="it grows and grows $with"
	fresh
	meanwhile READ sub/log 100 'echo more >>log'
	drains 3 "0 0 1 0" --delete --settle=350ms
	check "$what: $(number passes) passes" test "$(number passes)" -ge 3
	says "sub/log"
	check "$what: what it was" cmp -n 30000 was d/sub/log
	check "$what: no more than it is" cmp -n "$(stat -c %s d/sub/log)" s.1/sub/log d/sub/log
	exists s.1/sub/log
	absent d/sub/log.ebt-torn
	steady
	freed
	whole_then

	what="it is overwritten in place, over and over $with"
	fresh
	meanwhile READ sub/log 100 'date +%N | dd of=log conv=notrunc status=none'
	mkdir -p d/sub
	echo other >d/sub/log.ebt-torn
	drains 3 "0 1 0 0" --delete --settle=150ms
	says "sub/log.ebt-torn.2"
	absent d/sub/log
	is "$what: not replaced" other "$(cat d/sub/log.ebt-torn)"
	is "$what: its size" 30000 "$(stat -c %s d/sub/log.ebt-torn.2)"
	check "$what: what was not written to" cmp -i 20 was d/sub/log.ebt-torn.2
	grep -q '"kind":"torn","path":"sub/log","as":"sub/log.ebt-torn.2"' out || fail "$what: not in the JSON"
	exists s.1/sub/log
	steady
	whole_then
	exists d/sub/log.ebt-torn.2

	what="it is cut off, over and over $with"
	fresh
	meanwhile READ sub/log 100 'truncate -s -1000 log'
	drains 3 "0 1 0 0" --settle=0
	absent d/sub/log
	exists d/sub/log.ebt-torn
	steady

	what="it grows and is too large to be read twice $with"
	fresh
	meanwhile READ sub/log 100 'echo more >>log'
	drains 3 "0 1 0 0" --settle=0 --settle-max=29000
	absent d/sub/log
	check "$what: what it was" cmp -n 30000 was d/sub/log.ebt-torn
	whole_then

	what="it had no content and gets some $with"
	fresh
	: >s.1/sub/log
	meanwhile READ sub/log 1 'echo more >>log'
	drains 0 "0 0 0 0" --delete
	is "$what: all of it" more "$(cat d/sub/log)"

	what="with holes that are filled, over and over $with"
	fresh
	truncate -s 200000 s.1/sub/log
	printf x | dd of=s.1/sub/log bs=1 seek=199999 conv=notrunc status=none
	meanwhile READ sub/log 100 'n=$(cat ../../n); echo $((n + 4096)) >../../n; printf y | dd of=log bs=1 seek=$n conv=notrunc status=none'
	echo 40960 >n
	drains 3 "0 1 0 0" --settle=0
	absent d/sub/log
	exists d/sub/log.ebt-torn

	what="with several names, it grows $with"
	fresh
	ln s.1/sub/log s.1/sub/second
	meanwhile READ sub/log 100 'echo more >>log'
	drains 3 "0 0 1 0" --delete --settle=0
	check "$what: what it was" cmp -n 30000 was d/sub/log
	check "$what: one file" test d/sub/log -ef d/sub/second
	exists s.1/sub/second
	whole_then
	what="with several names, it is torn $with"
	fresh
	ln s.1/sub/log s.1/sub/second
	meanwhile READ sub/log 100 'date +%N | dd of=log conv=notrunc status=none'
	drains 3 "0 1 0 0" --delete --settle=0
	absent d/sub/log
	absent d/sub/second
	check "$what: one file" test d/sub/log.ebt-torn -ef d/sub/second.ebt-torn
	whole_then

	what="it is renamed before it is read $with"
	fresh
	mv s.1/sub/log s.1/sub/x.tmp
	meanwhile READ sub/first 1 'mv x.tmp x'
	drains 0 "0 0 0 1" --delete --io-threads=1
	check "$what: under its new name" cmp was d/sub/x
	absent d/sub/x.tmp
	absent s.1/sub/x
	steady
	freed

	what="its directory is renamed before it is read $with"
	fresh
	mkdir s.1/sub/w
	mv s.1/sub/log s.1/sub/w/log
	meanwhile READ sub/first 1 'mv w v'
	drains 0 "0 0 0 1" --delete --io-threads=1
	check "$what: under its new name" cmp was d/sub/v/log
	absent d/sub/w/log

	what="its directory is renamed after it was read $with"
	fresh
	mkdir s.1/sub/w
	mv s.1/sub/first s.1/sub/w/first
	meanwhile READ sub/too5 1 'mv w v'
	drains 0 "0 0 0 0" --delete --io-threads=1
	exists d/sub/w/first
	exists s.1/sub/v/first

	what="it is renamed before the scan looks at it $with"
	fresh
	mv s.1/sub/log s.1/sub/x.tmp
	meanwhile LOOK x.tmp 1 'mv x.tmp x'
	drains 0 "0 0 0 0" --delete
	check "$what: under its new name" cmp was d/sub/x
	absent s.1/sub/x

	what="it is removed before it is read $with"
	fresh
	mv s.1/sub/log s.1/sub/z
	meanwhile READ sub/first 1 'rm z'
	drains 0 "0 0 0 1" --delete --io-threads=1
	says "sub/z on "
	says "vanished"
	absent d/sub/z
	steady
	freed

	[ "$with" ] || continue
	what="something is removed in the last pass too $with"
	fresh
	echo z >s.1/sub/z0
	meanwhile READ sub/first 100 'date +%N | dd of=first conv=notrunc status=none; rm z*; echo z >z$(date +%N)'
	drains 3 "1 1 0 1" --settle=0 --io-threads=1
done
run=()

# A file with pieces on several nodes is put together by what they were when they were compared.
# pieces AT: of 40,960 bytes each, the second from AT on
pieces() {
	fresh
	rm s.1/sub/first
	for r in 0 1; do
		rm -f s.$r/sub/log
		truncate -s 81920 s.$r/sub/log
	done
	head -c 81920 /dev/urandom >was
	head -c 40960 was | dd of=s.0/sub/log conv=notrunc status=none
	tail -c +$(($1 + 1)) was | dd of=s.1/sub/log bs=1 seek=$1 conv=notrunc status=none
}
what="a piece changes once"
pieces 40960
meanwhile READ sub/log 1 'printf Z | dd of=log bs=1 seek=81919 conv=notrunc status=none'
drains 0 "0 0 0 0" --conflict=merge --delete
check "$what: as it became" sh -c '{ head -c 81919 was; printf Z; } | cmp - d/sub/log'
for r in 0 1; do absent s.$r/sub/log; done
what="a piece changes over and over"
pieces 40960
meanwhile READ sub/log 100 'echo more >>log'
drains 3 "0 1 0 0" --conflict=merge --delete --settle=0
absent d/sub/log
check "$what: what was read" cmp -n 81920 was d/sub/log.ebt-torn
for r in 0 1; do exists s.$r/sub/log; done

what="a piece changes whenever it is compared"
pieces 36865
meanwhile READ sub/log 100 'echo more >>log'
drains 3 "1 0 0 0" --conflict=merge --delete --settle=0
absent d/sub/log
for r in 0 1; do exists s.$r/sub/log; done

# What is shown as a whole, or strict, is not to have anything half.
what="it grows, and the whole is to be shown"
fresh
meanwhile READ sub/log 1 'echo more >>log'
drains 1 "   " --atomic
absent d
expect 0 $N --atomic "$WORK/s.%r" "$WORK/d"
check "$what: the whole" cmp s.1/sub/log d/sub/log
steady

# Without a journal nobody knows what a pass has put in place.
what="it grows, and there is no room for a journal"
fresh
meanwhile READ sub/log 1 'echo more >>log'
AS+=(EBT_TEST_AT=1 EBT_TEST_ON=1 EBT_TEST_CALLS=,write, EBT_TEST_ERROR=28)
drains 3 "1 0 0 0"
absent d/sub/log
steady

# A stop request while it waits.
what="told to stop while it waits"
fresh
meanwhile READ sub/log 1000 'echo more >>log'
begin -v --settle=60s "$WORK/s.%r" "$WORK/d"
AS=()
all_ranks >/dev/null
until_there 'd/sub/too5' || fail "$what: too late"
sleep 1
kill -TERM $(all_ranks) 2>/dev/null
ended 30
is "$what: status" 1 $status
steady

# Processes that go on while it drains: as whoever runs this, and as an ordinary user.
others_write() {
	local i
	rm -rf s.? d
	mkdir -p s.0/sub s.1/sub
	for i in $(seq 60); do head -c 20000 /dev/urandom >s.$((i % 2))/sub/$i.tmp; done
	cat s.?/sub/*.tmp | sha256sum >/dev/null
	(cd s.0/sub && sha256sum *.tmp; cd ../../s.1/sub && sha256sum *.tmp) | sed 's/\.tmp$//' | sort >sums
	head -c 20000 /dev/urandom >s.0/sub/grows
	head -c 20000 /dev/urandom >s.1/sub/rewritten
	cp s.0/sub/grows was
	mkdir d
	[ "$user" ] && chown -R "$user:$user" s.? d
	begin --json -v --rate=1M --settle=1500ms "$WORK/s.%r" "$WORK/d"
	for i in $(seq 200); do
		[ $i -gt 60 ] || mv s.$((i % 2))/sub/$i.tmp s.$((i % 2))/sub/$i
		echo "line $i" >>s.0/sub/grows
		printf '%05d' $i | dd of=s.1/sub/rewritten bs=1 seek=$((i * 50)) conv=notrunc status=none
		sleep 0.005
	done &
	worker=$!
	ended 60
	wait $worker
	# Every file came, under the name it had before or after.
	(cd d/sub && for f in [0-9]*; do sha256sum "$f"; done) | sed 's/\.tmp$//' | sort -u >came
	check "$what: all files came" diff sums came
	check "$what: status $status" test $status = 0 -o $status = 3
	if [ -e d/sub/grows ]; then
		check "$what: what only grew" cmp -n "$(stat -c %s d/sub/grows)" d/sub/grows s.0/sub/grows
	else
		check "$what: torn" test $status = 3 -a -e d/sub/grows.ebt-torn
	fi
	check "$what: rewritten" test -e d/sub/rewritten -o \( -e d/sub/rewritten.ebt-torn -a $status = 3 \)
	expect 0 $N "$WORK/s.%r" "$WORK/d"
	for f in grows rewritten; do check "$what: $f in the end" cmp s.?/sub/$f d/sub/$f; done
	tidy d
}
what="others write"
user=
others_write
if [ "$(id -u)" = 0 ] && setpriv --reuid=65534 --regid=65534 --clear-groups test -x "$STAGE" 2>/dev/null; then
	what="others write, ordinary user"
	AS=(setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/)
	user=65534
	expect() {
		local want=$1
		shift 2
		begin "$@"
		ended 60
		is "$what: status" "$want" "$status" || show
	}
	others_write
else
	echo "not tried: an ordinary user needs root, setpriv and a build that everybody may run"
fi
finish
