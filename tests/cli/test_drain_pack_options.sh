#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# --pack with all else that a drain can be told, with what changes meanwhile or cannot be read, and
# what is wrong usage.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/drain.sh"
. "$(dirname "$0")/packs.sh"
chmod 755 "$WORK"
root=
[ "$(id -u)" != 0 ] || root=1

outputs() {
	local r
	fresh "$1"
	for ((r = 0; r < $1; r++)); do
		mkdir s.$r/l
		for k in 1 2; do echo "file $k of $r" >s.$r/l/$k.$r; done
		echo "plain $r" >s.$r/plain.$r
	done
}
P=--pack=l=x.tar
two="plain.0 plain.1 x.tar x.tar.idx"

what="wrong usage"
mkdir s.0
long=$(printf 'n%.0s' {1..255})
for bad in "" x x= =x.tar =/x.tar 'a=/x.tar' 'a=../x.tar' 'a=b/../x.tar' 'a=./x.tar' 'a=b//x.tar' 'a=x.tar/' 'a=x' 'a=x.zip' \
	'a=.tar' 'a=b/.tar' 'a=x.TAR' 'a=x.tar.gz' 'a=x.tar.idx' "a=$long.tar" "a=$(printf 'n%.0s' {1..248}).tar" "a=$long$long/x.tar"; do
	expect 2 1 "--pack=$bad" "$WORK/s.%r" "$WORK/d"
	is "$what: $bad: lines" 2 "$(wc -l <err)"
done
for bad in "a=x.tar b=x.tar/y.tar" "a=x.tar/y.tar b=x.tar" "a=x.tar b=x.tar.idx/y.tar" "a=x.tar.idx/y.tar b=x.tar"; do
	expect 2 1 --pack="${bad% *}" --pack="${bad#* }" "$WORK/s.%r" "$WORK/d"
done
absent d
fresh 1
echo a >s.0/a=b
mkdir "s.0/$long"
echo c >"s.0/$long/c"
drains 0 1 '--pack=a=b=x.tar' "--pack=$long=$(printf 'n%.0s' {1..247}).tar"
is "$what: not" "$(printf 'n%.0s' {1..247}).tar $(printf 'n%.0s' {1..247}).tar.idx x.tar x.tar.idx" "$(names)"

what="dry run"
outputs 2
rmdir d
picture s.? >pictured
expect 0 2 --dry-run $P "$WORK/s.%r" "$WORK/d"
says "1 archive of 5 outputs"
absent d
check "$what: stores" diff pictured <(picture s.?)
mkdir d
echo theirs >d/x.tar
expect 0 2 --dry-run $P "$WORK/s.%r" "$WORK/d"
is "$what" x.tar "$(names)"

what="all or nothing"
outputs 2
rmdir d
drains 0 2 --atomic $P --verify
is "$what" "$two" "$(names)"
sound d/x.tar
drains 0 2 --atomic $P
outputs 2
rmdir d
echo differs >s.0/l/2.1
picture s.? >pictured
expect 1 2 --atomic $P "$WORK/s.%r" "$WORK/d"
absent d
check "$what: stores" diff pictured <(picture s.?)
rm s.0/l/2.1
drains 0 2 --atomic --delete $P
is "$what: freed" "$two:" "$(names):$(left)"

what="a node without a store"
outputs 2
rm -r s.1
expect 1 2 $P "$WORK/s.%r" "$WORK/d"
drains 0 2 --missing-ok $P
is "$what" "l l/1.0 l/2.0" "$(members d/x.tar)"
sound d/x.tar

what="without extended attributes"
outputs 1
if setfattr -n user.a -v "$(printf 'v%.0s' {1..1000})" s.0/l/1.0 2>/dev/null; then
	drains 0 1 --no-xattrs $P
	is "$what" "" "$(tar --xattrs -tvvf d/x.tar | grep -a 'user\.')"
	sound d/x.tar
	rm -r d s.?/.ebt
	drains 0 1 $P
	is "$what: with" 1 "$(tar --xattrs -tvvf d/x.tar | grep -ac 'user\.')"
	rm d/x.tar.idx
	drains 0 1 --no-xattrs $P
	says "no index"
	absent d/x.tar.idx
else
	echo "not tried: no extended attributes here"
fi

# Who may read it.
what="who may read it"
# mode WANT: of the archive and of its index
mode() {
	drains 0 2 $P
	is "$what: $1" "$2 $2" "$(stat -c %a d/x.tar d/x.tar.idx | paste -sd ' ')"
	rm -r d s.?/.ebt
}
outputs 2
rm -r d
chmod 666 s.1/l/1.1
mode "all" 644
chmod 640 s.1/l/1.1
mode "the group" 640
chmod 600 s.0/l/2.0
mode "nobody else" 600
chmod 644 s.?/l/*
chmod 750 s.0/l
mode "of a directory" 640
chmod 705 s.1/l
mode "of several" 600
chmod 711 s.0/l
chmod 755 s.1/l
mode "of one that cannot be listed" 600
chmod 755 s.?/l
if setfacl -m u:1234:r,g::--- s.0/l/1.0 2>/dev/null; then
	mode "where an ACL says" 600
	setfacl -b s.0/l/1.0
	chmod 644 s.0/l/1.0
	setfacl -m u:1234:--- s.1/l
	mode "where a directory's says" 600
	setfacl -b s.1/l
fi
if [ "$root" ]; then
	chown -R 1234:5678 s.?/l
	chmod 640 s.?/l/*
	mode "of one owner" 640
	drains 0 2 $P
	is "$what: owner" "1234:5678 1234:5678" "$(stat -c %u:%g d/x.tar d/x.tar.idx | paste -sd ' ')"
	rm -r d s.?/.ebt
	drains 0 2 $P --no-owner
	is "$what: no owner" "0:0 0:0" "$(stat -c %u:%g d/x.tar d/x.tar.idx | paste -sd ' ')"
	check "$what: members have theirs" grep -q 1234/5678 <(tar -tvf d/x.tar)
	rm -r d s.?/.ebt
	chgrp 77 s.1/l/1.1
	drains 0 2 $P
	is "$what: several groups" "1234:0 600" "$(stat -c '%u:%g %a' d/x.tar)"
	rm -r d s.?/.ebt
	chmod 644 s.?/l/*
	mode "several groups" 644
	chown 55 s.0/l/2.0
	drains 0 2 $P
	is "$what: several owners" "0:0 600" "$(stat -c '%u:%g %a' d/x.tar)"
else
	echo "not tried: owners, as this is not root"
fi

# As an ordinary user.
what="a user"
as_user=()
if [ "$root" ] && command -v setpriv >/dev/null; then
	as_user=(setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/)
fi
if [ -z "$root" ] || { [ ${#as_user[@]} -gt 0 ] && "${as_user[@]}" test -x "$STAGE"; }; then
	outputs 2
	mkdir home
	mv s.? home
	rmdir d
	chmod 0 home/s.0/l/1.0
	ln home/s.1/l/1.1 home/s.1/l/z
	[ -z "$root" ] || chown -R 65534:65534 home
	chmod 400 home/s.1/l/2.1
	chmod 555 home/s.1/l
	WHO=("${as_user[@]}")
	expect 3 2 --json $P --delete "$WORK/home/s.%r" "$WORK/home/d"
	is "$what: cannot read" "torn l/1.0" "$(looks | cut -d' ' -f1,2)"
	is "$what: members" "l l/1.0.ebt-missing l/1.1 l/2.0 l/2.1 l/z" "$(members home/d/x.tar)"
	is "$what: left" home/s.0/l/1.0 "$(find home/s.? -name .ebt -prune -o ! -type d -print)"
	is "$what: mode" 600 "$(stat -c %a home/d/x.tar)"
	sound home/d/x.tar
	tidy home/d
	chmod 600 home/s.0/l/1.0
	expect 4 2 --json $P --delete "$WORK/home/s.%r" "$WORK/home/d"
	is "$what: the rest" "file 1 of 0" "$(member home/d/x.tar.ebt-new l/1.0)"
	WHO=()
fi

# What does not hold still.
what="a member changes all the time"
outputs 2
ln s.0/l/1.0 s.0/l/z
head -c 3000000 /dev/urandom >s.1/l/large
(for k in $(seq 4000); do
	echo "$k" >>s.0/l/1.0
	[ -e halt ] && break
	sleep 0.002
done) &
writer=$!
drains 3 2 $P --settle=300ms --delete
: >halt
wait $writer
rm halt
is "$what: members" "l l/1.0.ebt-torn l/1.1 l/2.0 l/2.1 l/large l/z.ebt-torn" "$(members d/x.tar)"
is "$what: looks" "torn l/1.0 l/1.0.ebt-torn
torn l/z l/z.ebt-torn" "$(looks | cut -d' ' -f1-3)"
is "$what: stays" "s.0/l/1.0 s.0/l/z" "$(left)"
sound d/x.tar
gtar -xOf d/x.tar l/2.0
what="then it holds still"
drains 4 2 $P
is "$what: members" "l l/1.0 l/z" "$(members d/x.tar.ebt-new)"
check "$what: content" cmp s.0/l/1.0 <(member d/x.tar.ebt-new l/1.0)

what="watching"
outputs 2
touch -d '2020-01-01 UTC' s.?/plain.? s.?/l/*
cat >each.sh <<'Y'
#!/bin/sh
echo $$ >"$EACH/pid.$EBT_RANK"
exec "$@"
Y
chmod +x each.sh
mkdir pids
# begun ARG...: in the background
begun() {
	local k
	rm -f pids/*
	EACH=$WORK/pids timeout -k 5 "$LIMIT" "$LAUNCH" -n 2 ./each.sh "$STAGE" --per-rank --memory=32M "$@" \
		"$WORK/s.%r" "$WORK/d" >out 2>err </dev/null &
	launcher=$!
	for k in $(seq 600); do
		[ "$(cat pids/pid.? 2>/dev/null | wc -l)" -lt 2 ] || break
		sleep 0.02
	done
}
begun --watch=300ms --delete $P
for k in $(seq 600); do
	[ ! -e d/plain.0 ] || [ ! -e d/plain.1 ] || break
	sleep 0.05
done
echo later >s.0/later
for k in $(seq 600); do
	[ ! -e d/later ] || break
	sleep 0.05
done
is "$what: came" "later plain.0 plain.1" "$(names)"
kill -TERM $(cat pids/pid.?)
wait $launcher
is "$what: status" 0 $?
is "$what: waits" "s.0/l/1.0 s.0/l/2.0 s.1/l/1.1 s.1/l/2.1" "$(left)"
drains 0 2 $P --delete
is "$what: in the end" "later $two:" "$(names):$(left)"
sound d/x.tar

# Killed at any moment.
interrupted=0
for at in 0.1 0.3 0.5; do
	for how in "" --delete; do
		what="killed after $at s $how"
		outputs 2
		for r in 0 1; do
			for k in $(seq 8); do head -c 200000 /dev/urandom >s.$r/l/large$k.$r; done
		done
		rm -rf tree
		mkdir tree
		cp -a s.0/. s.1/. tree
		begun --rate=4M $how $P --timeout=5s
		sleep $at
		kill -KILL $(cat pids/pid.?) 2>/dev/null
		wait $launcher
		[ $? = 0 ] || interrupted=$((interrupted + 1))
		# Whole or not there.
		[ ! -e d/x.tar ] || is "$what: what is there" 21 "$(members d/x.tar | wc -w)"
		drains 0 2 $P $how
		[ ! "$how" ] || is "$what: freed" "" "$(left)"
		is "$what: names" "$two" "$(names)"
		sound d/x.tar
		rm -rf u
		mkdir u
		tar -C u -xf d/x.tar
		check "$what: content" diff -r tree/l u/l
	done
done
check "runs were killed: $interrupted of 6" test $interrupted -gt 0
finish
