#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# --pack of what is hard to say in an archive: long and odd names, large numbers, old times, huge
# holes; names that several nodes have; files that have other names elsewhere.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/drain.sh"
. "$(dirname "$0")/packs.sh"

# put FILE OFFSET TEXT
put() { printf %s "$3" | dd of="$1" bs=64K oflag=seek_bytes seek="$2" conv=notrunc status=none; }
export WORK
many() { printf "$1%.0s" $(seq "$2"); }

what=names
mkdir tree
for k in 99 100 101 155 156 254 255; do
	echo "$k" >"tree/$(many n "$k")"
	mkdir "tree/$(many d "$k")"
	echo "in $k" >"tree/$(many d "$k")/$(many f "$k")"
	ln -s "$(many t "$k")" "tree/$(many l "$k")"
done
mkdir -p tree/d/-rf 'tree/sp ace' $'tree/dir\xff\xfe' tree/empty 'tree/%41'
: >tree/-n
: >tree/d/-rf/--help
echo x >$'tree/new\nline\n'
echo x >$'tree/dir\xff\xfe/\xc3\x28'
echo x >$'tree/\x01\x7f\t\\ "\''
echo x >'tree/ blanks at both ends '
echo x >'tree/%41/%2e%2E'
echo x >'tree/a=b,c'
echo x >'tree/*?[x]'
echo x >tree/grün
echo x >tree/cafe$'\xcc\x81' # two ways to write the same letter
echo x >tree/caf$'\xc3\xa9'
ln -s $'\xff\n%' tree/oddlink
ln -s "$(many x 4095)" tree/longlink
what="times, modes and numbers"
mkdir tree/t
for at in '1901-12-13 20:45:52' '1969-12-31 23:59:59' '1970-01-01' '2038-01-19 03:14:08.000000001' '2242-03-16 12:56:31' \
	'2242-03-16 12:56:32.999999999' '2446-05-10'; do
	echo "$at" >"tree/t/$at"
	touch -d "$at UTC" "tree/t/$at"
done
for m in 0 1000 2755 4755 6711 7777; do
	echo $m >tree/t/m$m
	mkdir tree/t/d$m
	chmod $m tree/t/m$m tree/t/d$m
done
mkdir tree/closed
echo inside >tree/closed/f
if [ "$(id -u)" = 0 ]; then
	k=0
	for id in 2097151 2097152 2097153 3000000 2147483647 2147483648 4294967294; do
		echo $id >tree/t/u$id
		chown $id:$((4294967294 - k)) tree/t/u$id
		ln -s $id tree/t/l$id
		chown -h $id:$id tree/t/l$id
		k=$((k + 1))
	done
	chmod 6755 tree/t/u3000000
	chmod 0 tree/closed
else
	chmod 600 tree/t/m0 tree/t/m1000
	chmod 700 tree/t/d0 tree/t/d1000
fi
if setfattr -n user.a -v b tree/t 2>/dev/null; then
	setfattr -n user.=%3d=%25 -v 0x00ff0a3d tree/t/m4755
	setfattr -n user.$'\xff\xc3\xbc' -v "" tree/t/m4755
	setfattr -n user.many -v "$(many v 3000)" tree/t/m2755
	setfattr -n user.blank\ in\ it -v " " tree/t/m2755
fi
if setfacl -m u:1:rwx,u:4000000000:r,g:77:rx tree/t/m4755 2>/dev/null; then
	setfacl -m u:99:rwx,g::r tree/t/m2755
	setfacl -d -m u:99:rx,g:4294967294:rwx tree/t/d2755
fi
for n in 1 3; do
	what="all names on $n nodes"
	fresh 0
	rmdir d
	spread tree $n s
	# By steps, as no call takes such a path; the second is too long for tar to make.
	"$PYTHON" -c 'import os
for letter, length in ("p", 249), ("q", 250):
	os.chdir(os.environ["WORK"] + "/s.0")
	for k in range(16 if letter == "p" else 20):
		os.mkdir(letter * (length - 1))
		os.chdir(letter * (length - 1))
	open("file", "w").write(letter)
	os.link("file", "hard")
	os.symlink("file", "link")'
	drains 0 $n --pack='/p*=deep.tar' --pack='/q*=deeper.tar' --pack='/[!pq]*=all.tar'
	is "$what" "all.tar all.tar.idx deep.tar deep.tar.idx deeper.tar deeper.tar.idx" "$(names)"
	sound d/all.tar d/deep.tar d/deeper.tar
	rm -rf deep
	mkdir deep
	gtar -xf d/deep.tar -C deep
	check "$what: 4000 bytes" cmp <(find deep -mindepth 1 -printf '%P %y %n %l %m\n') <(cd s.0 && find "$(many p 248)" -printf '%p %y %n %l %m\n')
	is "$what: 5000 bytes" "$(cd s.0 && find "$(many q 249)" -name file | wc -c)" "$(tail -n +2 d/deeper.tar.idx | cut -d' ' -f6 | grep '/file$' | wc -c)"
	rm d/deep.tar* d/deeper.tar*
	unpack u all.tar
	touch -r tree u
	arrived tree u
	quiet 0 $n --exclude='/[pq]*' --pack='/[!pq]*=all.tar'
done
# What libarchive makes of it otherwise is its own: it puts letters together, and its ACLs have no
# numbers above 2^31.
what="back again"
rm tree/cafe$'\xcc\x81'
if [ "$(getfacl tree/t/m4755 2>/dev/null | wc -l)" -gt 7 ]; then
	setfacl -x u:4000000000 tree/t/m4755
	setfacl -d -x g:4294967294 tree/t/d2755
fi
fresh 0
rmdir d
spread tree 2 s
drains 0 2 --pack='*=all.tar'
staged 1 --unpack "$WORK/d/all.tar" "$WORK/back.%r"
touch -r tree back.0
same tree back.0
same_times tree back.0
chmod -R u+rwx back.0
rm -rf back.0

# What archives cannot say is cut to what they can.
what="parts of seconds before 1970"
fresh 1
echo a >s.0/a
touch -d '1969-12-31 23:59:58.75 UTC' s.0/a
drains 0 1 --pack='a=x.tar'
unpack u x.tar
is "$what" -2.0000000000 "$(find u/a -printf %T@)"

what="huge holes"
fresh 2
truncate -s 9G s.0/huge
put s.0/huge 9000000000 end
truncate -s 20G s.1/nothing
truncate -s 50M s.1/small
put s.1/small 30000000 middle
start=$SECONDS
drains 0 2 --pack='*=x.tar' --verify
check "$what: no more than data is written" test "$(stat -c %s d/x.tar)" -lt 1000000
check "$what: nor read" test $((SECONDS - start)) -lt 15
sound d/x.tar
unpack u x.tar
is "$what: sizes" "$(stat -c %s s.?/huge s.?/nothing s.?/small | paste -sd ' ')" "$(stat -c %s u/huge u/nothing u/small | paste -sd ' ')"
is "$what: data" end "$(tail -c +9000000001 u/huge | head -c 3)"
check "$what: between holes" cmp s.1/small u/small
check "$what: still holes" test "$(du -sk u | cut -f1)" -lt 2000

# Names that several nodes have.
clashes() {
	local r
	fresh 3
	mkdir s.0/l s.1/l s.2/l
	for r in 0 1 2; do
		echo equal >s.$r/l/equal
		touch -d "2020-01-0$((r + 1)) UTC" s.$r/l/equal
		echo "differs $r" >s.$r/l/differs
		touch -d "2020-01-0$((r * 2 % 3 + 1)) UTC" s.$r/l/differs # newest: 1
		truncate -s 300000 s.$r/l/piece
		put s.$r/l/piece $((r * 65536 + 65536)) "data $r"
		echo "only $r" >s.$r/l/only.$r
		ln -s to s.$r/l/link
	done
	touch -d '2020-03-03 UTC' s.?/l/piece
	for r in 0 1; do
		ln -s "to$r" s.$r/l/turned
		echo "taken $r" >s.$r/l/taken
	done
	echo third >"s.2/l/taken.$host.1"
	mkdir s.0/l/kind
	echo inner >s.0/l/kind/inner
	echo file >s.1/l/kind
	ln -s nowhere s.2/l/kind
	echo linked >s.0/l/x
	ln s.0/l/x s.0/l/y
	echo other >s.1/l/x
}
what="names of several nodes"
clashes
drains 4 3 --pack='l=l.tar'
is "$what: members" "$(LC_ALL=C sort <<-Y | paste -sd ' '
	l
	l/differs.$host.0
	l/differs.$host.1
	l/differs.$host.2
	l/equal
	l/kind
	l/kind.$host.1
	l/kind.$host.2
	l/kind/inner
	l/link
	l/only.0
	l/only.1
	l/only.2
	l/piece
	l/taken.$host.0
	l/taken.$host.1
	l/taken.$host.1.2
	l/turned.$host.0
	l/turned.$host.1
	l/x.$host.0
	l/x.$host.1
	l/y
	Y
)" "$(members d/l.tar)"
is "$what: looks" "$(LC_ALL=C sort <<-Y
	beside l/differs l/differs.$host.0 $host.0
	beside l/differs l/differs.$host.1 $host.1
	beside l/differs l/differs.$host.2 $host.2
	beside l/kind l/kind.$host.1 $host.1
	beside l/kind l/kind.$host.2 $host.2
	beside l/taken l/taken.$host.0 $host.0
	beside l/taken l/taken.$host.1.2 $host.1
	beside l/turned l/turned.$host.0 $host.0
	beside l/turned l/turned.$host.1 $host.1
	beside l/x l/x.$host.0 $host.0
	beside l/x l/x.$host.1 $host.1
	Y
)" "$(looks)"
sound d/l.tar
unpack u l.tar
apart() {
	local r
	for r in 0 1 2; do is "$what: differs" "differs $r" "$(cat "u/l/differs.$host.$r")"; done
	is "$what: links that differ" "to0 to1" "$(readlink u/l/turned.$host.{0,1} | paste -sd ' ')"
	is "$what: directory and others" "inner file nowhere" "$(cat u/l/kind/inner "u/l/kind.$host.1" | paste -sd ' ') $(readlink "u/l/kind.$host.2")"
	is "$what: other names" "linked other linked" "$(cat "u/l/x.$host.0" "u/l/x.$host.1" u/l/y | paste -sd ' ')"
	check "$what: are linked" test "u/l/x.$host.0" -ef u/l/y
}
one() {
	is "$what: equal, of the newest" "equal 2020-01-03" "$(cat u/l/equal) $(TZ=UTC date -r u/l/equal +%F)"
	is "$what: pieces" "data 0data 1data 2 300000 2020-03-03" "$(tr -d '\0' <u/l/piece) $(stat -c %s u/l/piece) $(TZ=UTC date -r u/l/piece +%F)"
	is "$what: its last" "data 2" "$(tail -c +196609 u/l/piece | head -c 6)"
}
apart
one
is "$what: a name that another has" "third taken 0 taken 1" "$(cat "u/l/taken.$host.1" "u/l/taken.$host.0" "u/l/taken.$host.1.2" | paste -sd ' ')"
quiet 0 3 --pack='l=l.tar'
what="freed with those"
drains 0 3 --pack='l=l.tar' --delete
is "$what" "" "$(left)"
what="freed at once"
clashes
drains 4 3 --pack='l=l.tar' --delete
unpack u l.tar
apart
one
is "$what" "" "$(left)"

for how in --conflict=error --strict --conflict=merge; do
	what="names of several nodes, $how"
	clashes
	rm -r d
	expect 1 3 $how --pack='l=l.tar' "$WORK/s.%r" "$WORK/d"
	nothing_at d
	tidy d
done
what="names of several nodes, merge"
fresh 3
for r in 0 1 2; do
	truncate -s 40M s.$r/f
	put s.$r/f $((r * 5000000)) "data $r"
	put s.$r/f 20000000 same
done
drains 0 3 --conflict=merge --pack='f=f.tar' --verify
unpack u f.tar
is "$what" "data 0data 1data 2same 41943040" "$(tr -d '\0' <u/f) $(stat -c %s u/f)"
sound d/f.tar
what="names of several nodes, newest"
clashes
drains 4 3 --conflict=newest --pack='l=l.tar'
is "$what" "differs 1" "$(member d/l.tar l/differs)"
is "$what: members" "$(LC_ALL=C sort <<-Y | paste -sd ' '
	l
	l/differs
	l/equal
	l/kind
	l/kind.$host.1
	l/kind.$host.2
	l/kind/inner
	l/link
	l/only.0
	l/only.1
	l/only.2
	l/piece
	l/taken
	l/taken.$host.1
	l/turned
	l/x
	l/y
	Y
)" "$(members d/l.tar)"
sound d/l.tar
unpack u l.tar
check "$what: other names of what is not newest" test "$(cat u/l/y)" = linked
what="names of several nodes, suffix"
clashes
rm "s.2/l/taken.$host.1"
drains 4 3 --conflict=suffix --pack='l=l.tar'
unpack u l.tar
apart
for r in 0 1 2; do is "$what: also equal ones" equal "$(cat "u/l/equal.$host.$r")"; done
sound d/l.tar

# A file with names that go different ways.
linked() {
	fresh 2
	mkdir s.0/a s.0/b
	echo linked >s.0/a/x
	ln s.0/a/x s.0/a/x2
	ln s.0/a/x s.0/b/y
	ln s.0/a/x s.0/z
	echo other >s.1/other
}
what="names of a file in two archives and by itself"
linked
drains 0 2 --pack='a=a.tar' --pack='b=b.tar' --delete
is "$what: freed" "" "$(left)"
is "$what: content" "linked linked linked linked" "$(member d/a.tar a/x) $(tar -xOf d/a.tar) $(tar -xOf d/b.tar) $(cat d/z)"
is "$what: names" "a.tar a.tar.idx b.tar b.tar.idx other z" "$(names)"
sound d/a.tar d/b.tar
what="names of a file, and one is not brought"
linked
echo theirs >d/z
drains 3 2 --pack='a=a.tar' --pack='b=b.tar' --delete --overwrite=keep
is "$what: nothing is freed of it" "s.0/a/x s.0/a/x2 s.0/b/y s.0/z" "$(left)"
is "$what" "theirs linked" "$(cat d/z) $(member d/b.tar b/y)"
what="names of a file, and an archive is not brought"
linked
echo theirs >d/a.tar
drains 3 2 --pack='a=a.tar' --pack='b=b.tar' --delete --overwrite=keep
is "$what: nothing is freed of it" "s.0/a/x s.0/a/x2 s.0/b/y s.0/z" "$(left)"
is "$what" "theirs linked" "$(cat d/a.tar) $(member d/b.tar b/y)"
finish
