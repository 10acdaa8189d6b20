#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# DEST that is not there yet: made with what is above it, and gone again if nothing was drained; by
# one node alone not on its own disk; by many drains at a time, which share directories.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/drain.sh"
cd "$WORK" || exit 99
chmod 755 "$WORK"
mkdir s.0 s.1 s.0/d s.1/d
echo zero >s.0/d/f0
echo one >s.1/d/f1

# As by mkdir -p, whatever the name looks like, by the umask and not by the outputs' modes.
what="mkdir -p"
chmod 700 s.0/d s.1/d
umask 027
expect 0 2 "$WORK/s.%r" "$WORK/a//b/./c/d/"
umask 022
check "$what" cmp s.1/d/f1 a/b/c/d/d/f1
is "$what: modes" "750 750 750 700" "$(stat -c %a a a/b a/b/c/d a/b/c/d/d | paste -sd ' ')"
is "$what: said once" 1 "$(grep -c "DEST $WORK/a/b/c/d does not exist: made, from $WORK/a on" err)"
tidy a a/b/c/d
expect 0 2 "$WORK/s.%r" a/b/c/d
check "$what: there is nothing to say of one that exists" test ! -s err
rm -rf s.?/.ebt
expect 0 2 --atomic "$WORK/s.%r" "$WORK/x/y/d"
check "$what: atomic" cmp s.1/d/f1 x/y/d/d/f1
tidy x x/y x/y/d
rm -rf a x s.?/.ebt
expect 1 2 "$WORK/s.%r" "$WORK/no/../d"
says "DEST $WORK/no/../d: No such file"
ln -s nowhere link
for dest in link link/d; do
	expect 1 2 "$WORK/s.%r" $dest
	says "is a symlink that leads nowhere"
done
expect 1 2 "$WORK/s.%r" "$WORK/s.0/d/f0/no/d"
says "Not a directory"
absent nowhere

# Nothing was drained: what was made goes again, and nothing else.
what="nothing drained"
mkdir keep
echo both >s.0/both
echo BOTH >s.1/both
touch -d '2001-01-01 UTC' s.?/both
mkdir empty.0 empty.1
for dest in d a/b/d keep/d keep/a/d; do
	expect 0 2 "$WORK/empty.%r" $dest
	expect 1 2 --restart --conflict=error "$WORK/s.%r" $dest
	expect 1 2 --restart --conflict=error --atomic "$WORK/s.%r" $dest
	says both
	check "$what: $dest" test ! -e $dest -a ! -e a -a -d keep -a -z "$(ls -A keep)"
done
expect 0 2 --restart --dry-run --exclude=both "$WORK/s.%r" a/b/d
absent a
mkdir d
expect 0 2 "$WORK/empty.%r" d
check "$what: what was there stays" test -d d -a -z "$(ls -A d)"
rm -rf s.?/both s.?/.ebt d keep

# What one node makes on its own disk nobody finds again. alone STATUS ARG...
alone() {
	local want=$1 got
	shift
	CHECKS=$((CHECKS + 1))
	timeout "$LIMIT" "$STAGE" "$@" >out 2>err </dev/null
	got=$?
	[ $got = "$want" ] || { fail "exit status $got, not $want: $*"; show; }
}
what="one node"
for dest in d a/b/d; do
	for how in "" --dry-run --atomic; do
		# shellcheck disable=SC2086 # nothing, or a word
		alone 1 $how s.0 $dest
		says "DEST $WORK/$dest does not exist, and $WORK is on"
		says --local-dest
		check "$what: nothing is made $how" test ! -e d -a ! -e a
	done
	alone 0 --local-dest --dry-run s.0 $dest
	check "$what: nor in a dry run" test ! -e d -a ! -e a
done
alone 0 --local-dest s.0 a/b/d
check "$what: --local-dest" cmp s.0/d/f0 a/b/d/d/f0
mkdir d
alone 0 s.0 d
check "$what: one that exists" cmp s.0/d/f0 d/d/f0
rm -rf a d s.0/.ebt
if [ "$(id -u)" = 0 ] && mkdir mem && mount -t tmpfs -o size=10m tmpfs mem 2>/dev/null; then
	MOUNTS+=("$WORK/mem")
	alone 1 s.0 mem/a/d
	says "$WORK/mem is on a file system of this node alone"
	nothing_at mem
else
	echo "not tried: a tmpfs of the node needs a mount"
fi

# A job array: twenty drains at a time into one DEST that is not there, with the same directories,
# and some that bring nothing, which must not take it from the others.
what="a job array"
mkdir n
for ((i = 0; i < 20; i++)); do
	mkdir -p n/s.$i/common/deep
	for ((k = 0; k < 200; k++)); do echo $i $k >n/s.$i/common/$((k % 2 ? 0 : 1)).$i.$k; done
	mv n/s.$i/common/0.* n/s.$i/common/deep
	chmod $((i % 2 ? 755 : 775)) n/s.$i/common
done
mkdir n/none
pids=()
for ((i = 0; i < 20; i++)); do
	timeout "$LIMIT" "$STAGE" --per-rank --memory=16M --io-threads=2 n/s.$i n/up/dest >n/out.$i 2>n/err.$i </dev/null &
	pids[i]=$!
	if ((i % 4 == 0)); then
		timeout "$LIMIT" "$STAGE" --per-rank --memory=16M n/none n/up/dest >/dev/null 2>n/none.err </dev/null
		is "$what: status of one without outputs: $(cat n/none.err)" 0 $?
	fi
done
for ((i = 0; i < 20; i++)); do
	wait "${pids[i]}"
	is "$what: status of $i: $(cat n/err.$i)" 0 $?
done
for ((i = 0; i < 20; i++)); do
	is "$what: files of $i" "" "$(rsync -rn --checksum -i --exclude=.ebt n/s.$i/ n/up/dest/ 2>&1 | grep -v '^\.d')"
done
is "$what: files of all" 4000 "$(find n/up/dest -type f | wc -l)"
tidy n/up n/up/dest
# A directory that somebody else makes after the drain has looked, which is while it scans. It is
# his, also for the run that goes on after a kill.
what="a directory made meanwhile"
mkdir -p n/many/common
for ((k = 0; k < 3000; k++)); do : >n/many/common/$k; done
echo content >n/many/common/0
chmod 750 n/many/common
"$STAGE" --per-rank --memory=16M --rate=1 n/many n/third >out 2>err </dev/null &
pid=$!
until [ -d n/third ] || ! [ -d /proc/$pid ]; do :; done
if mkdir -m 711 n/third/common 2>/dev/null; then
	for _ in $(seq 1000); do
		[ ! -e n/third/common/2999 ] || break
		sleep 0.02
	done
	kill -KILL $pid
	wait $pid 2>/dev/null
	expect 0 1 n/many n/third
	check "$what: its files" diff -r n/many/common n/third/common
	is "$what: its mode" 711 "$(stat -c %a n/third/common)"
	tidy n/third
else
	kill -KILL $pid
	echo "not tried: the drain had made the directory already"
fi

# One that was killed leaves nothing behind for good.
"$STAGE" --per-rank --memory=16M --rate=50 n/s.0 n/again/dest >out 2>err </dev/null &
pid=$!
for _ in $(seq 1000); do
	[ -z "$(compgen -G 'n/again/dest/.ebt-drain-*')" ] || break
	sleep 0.02
done
check "$what: it keeps an empty DEST" test -n "$(compgen -G 'n/again/dest/.ebt-drain-*')"
kill -KILL $pid
wait $pid 2>/dev/null
expect 0 1 n/s.0 n/again/dest
check "$what: after a kill" diff -r --exclude=.ebt n/s.0 n/again/dest
tidy n/again n/again/dest
finish
