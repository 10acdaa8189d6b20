#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# --pack once more, and where something is in the way: what is there is never lost, what has come
# does not come again, nothing is freed that is not home, and names are told.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/drain.sh"
. "$(dirname "$0")/packs.sh"

# outputs N: some on each, with a directory, links and one that is not packed
outputs() {
	local r
	fresh "$1"
	for ((r = 0; r < $1; r++)); do
		mkdir -p s.$r/l/deep
		for k in 1 2 3; do echo "file $k of $r" >s.$r/l/$k.$r; done
		head -c 300000 /dev/urandom >s.$r/l/deep/large.$r
		ln s.$r/l/1.$r s.$r/l/hard.$r
		ln -s 1.$r s.$r/l/link.$r
		echo "plain $r" >s.$r/plain.$r
	done
	for ((r = 0; r < $1; r++)); do touch -d '2020-02-02 UTC' s.$r/l s.$r/l/deep; done
}
P=--pack=l=x.tar
two="plain.0 plain.1 x.tar x.tar.idx"
all_members="l l/1.0 l/1.1 l/2.0 l/2.1 l/3.0 l/3.1 l/deep l/deep/large.0 l/deep/large.1 l/hard.0 l/hard.1 l/link.0 l/link.1"

what=again
outputs 2
drains 0 2 $P
is "$what: names" "$two" "$(names)"
is "$what: members" "$all_members" "$(members d/x.tar)"
sound d/x.tar
quiet 0 2 $P
is "$what: counts" "0 1 14" "$(number files) $(number archives) $(number packed)"
what="again, without a journal"
rm -r s.?/.ebt
quiet 0 2 $P
what="again, without the index"
rm d/x.tar.idx
drains 0 2 $P
sound d/x.tar
quiet 0 2 $P
what="again, with an older index"
sed -i '1s/^EBT-INDEX 1 [0-9]*/EBT-INDEX 1 1024/' d/x.tar.idx
drains 0 2 $P
sound d/x.tar
for kind in file dir link long; do
	what="again, with an index that is somebody's: $kind"
	rm d/x.tar.idx
	case $kind in
	file) echo theirs >d/x.tar.idx ;;
	dir) mkdir d/x.tar.idx ;;
	link) ln -s plain.0 d/x.tar.idx ;;
	long) head -c 100000 /dev/zero >d/x.tar.idx ;;
	esac
	quiet 0 2 $P
	says "x.tar.idx: is there already"
	rm -r d/x.tar.idx
	drains 0 2 $P
done
sound d/x.tar

what="a member changes"
was=$(stat -c %i d/x.tar)
echo "newer 1" >s.1/l/2.1
drains 0 2 $P
is "$what: names" "$two" "$(names)"
is "$what: content" "newer 1" "$(member d/x.tar l/2.1)"
check "$what: replaced" test "$(stat -c %i d/x.tar)" != "$was"
sound d/x.tar
what="attributes of a member change"
chmod 600 s.0/l/3.0
drains 0 2 $P
check "$what" grep -q '^-rw------- .* l/3.0$' <(tar -tvf d/x.tar)
is "$what: who may read it" 600 "$(stat -c %a d/x.tar)"
what="a member comes"
echo more >s.0/l/more
drains 0 2 $P
is "$what" "$two: more" "$(names): $(member d/x.tar l/more)"
sound d/x.tar
what="one of many patterns changes"
drains 4 2 --pack=deep=y.tar $P
is "$what: names" "plain.0 plain.1 x.tar x.tar.ebt-new x.tar.ebt-new.idx x.tar.idx y.tar y.tar.idx" "$(names)"
is "$what: what is called so is in the other" "l/deep l/deep/large.0 l/deep/large.1" "$(members d/y.tar)"

what="a member is removed"
outputs 2
drains 0 2 $P
rm s.0/l/2.0
cp -a d/x.tar d/x.tar.idx .
drains 4 2 $P
is "$what: names" "plain.0 plain.1 x.tar x.tar.ebt-new x.tar.ebt-new.idx x.tar.idx" "$(names)"
is "$what: looks" "beside x.tar x.tar.ebt-new" "$(looks | sed 's/ *$//')"
check "$what: what was there stays" cmp x.tar d/x.tar
is "$what: members" "${all_members/l\/2.0 /}" "$(members d/x.tar.ebt-new)"
sound d/x.tar d/x.tar.ebt-new
quiet 4 2 $P
is "$what: looks of the next run" "beside x.tar x.tar.ebt-new" "$(looks | sed 's/ *$//')"
what="then another changes"
echo "newer 3" >s.0/l/3.0
drains 4 2 $P
is "$what" "plain.0 plain.1 x.tar x.tar.ebt-new x.tar.ebt-new.idx x.tar.idx: newer 3" "$(names): $(member d/x.tar.ebt-new l/3.0)"
check "$what: what was there stays" cmp x.tar d/x.tar
sound d/x.tar.ebt-new

what="freed at once"
outputs 3
drains 0 3 $P --delete --verify
is "$what" "" "$(left)"
check "$what: directories stay" test -d s.0/l/deep
sound d/x.tar
cp -a d/x.tar d/x.tar.idx .
what="freed, and nothing new"
quiet 0 3 $P --delete
what="freed, and something new"
echo new >s.2/l/new
drains 4 3 $P --delete
is "$what: freed" "" "$(left)"
is "$what: names" "plain.0 plain.1 plain.2 x.tar x.tar.ebt-new x.tar.ebt-new.idx x.tar.idx" "$(names)"
check "$what: what was there stays" cmp x.tar d/x.tar
is "$what: content" new "$(member d/x.tar.ebt-new l/new)"
sound d/x.tar d/x.tar.ebt-new
what="freed, and the same name again"
echo other >s.2/l/new
drains 4 3 $P --delete
is "$what: neither is lost" "new other" "$(member d/x.tar.ebt-new l/new) $(member d/x.tar.ebt-new.2 l/new)"
sound d/x.tar.ebt-new.2
what="freed, and nothing new beside"
quiet 0 3 $P --delete # what is left is in the first
what="freed, and all of it comes once more, from other nodes"
fresh 2
for r in 0 1; do
	mkdir s.$r/l
	echo "first $r" >s.$r/l/f$r
done
drains 0 2 $P --delete
cp -a d/x.tar .
for r in 0 1; do echo "second $r" >s.$r/l/f$((1 - r)); done
drains 4 2 $P --delete
check "$what: what was there stays" cmp x.tar d/x.tar
is "$what" "second 1 second 0: " "$(member d/x.tar.ebt-new l/f0) $(member d/x.tar.ebt-new l/f1): $(left)"
what="freed, and an output has the name"
for n in 1 2; do
	fresh $n
	mkdir s.0/l
	echo first >s.0/l/f
	drains 0 $n $P --delete
	cp -a d/x.tar .
	echo output >s.0/x.tar
	expect 1 $n --overwrite=refuse "$WORK/s.%r" "$WORK/d"
	drains 4 $n
	check "$what: what was there stays" cmp x.tar d/x.tar
	is "$what" "x.tar x.tar.ebt-new x.tar.idx: output" "$(names): $(cat d/x.tar.ebt-new)"
	quiet 4 $n
done
what="freed, and always"
fresh 2
mkdir s.0/l s.1/l
for r in 0 1; do echo "second $r" >s.$r/l/f$r; done
drains 0 2 $P --delete
for r in 0 1; do echo "third $r" >s.$r/l/f$r; done
drains 4 2 $P --overwrite=always
is "$what: what is nowhere else stays" "second 0 third 0" "$(member d/x.tar l/f0) $(member d/x.tar.ebt-new l/f0)"
what="freed with a later run"
outputs 2
drains 0 2 $P
quiet 0 2 $P --delete
is "$what" "" "$(left)"
what="changes before it is freed"
outputs 2
drains 0 2 $P
echo newer >s.0/l/1.0
drains 0 2 $P --delete
is "$what" "newer: " "$(member d/x.tar l/1.0): $(left)"

# What DEST has under that name.
what="somebody's archive"
theirs() {
	outputs 2
	echo theirs >d/x.tar
	touch -d '2001-01-01 UTC' d/x.tar
}
theirs
drains 4 2 $P
is "$what: names" "plain.0 plain.1 x.tar x.tar.ebt-new x.tar.ebt-new.idx" "$(names)"
is "$what: stays" theirs "$(cat d/x.tar)"
is "$what: looks" "beside x.tar x.tar.ebt-new" "$(looks | sed 's/ *$//')"
sound d/x.tar.ebt-new
quiet 4 2 $P
drains 4 2 $P --delete
is "$what: freed" "" "$(left)"
theirs
for how in --overwrite=refuse --strict "--strict --delete"; do
	what="somebody's archive, $how"
	picture s.? d >pictured
	expect 1 2 $P $how "$WORK/s.%r" "$WORK/d"
	says x.tar
	check "$what: nothing is touched" diff pictured <(picture s.? d)
done
what="somebody's archive, keep"
drains 3 2 $P --overwrite=keep --delete
is "$what" "plain.0 plain.1 x.tar: theirs" "$(names): $(cat d/x.tar)"
is "$what: looks" "kept x.tar" "$(looks | sed 's/ *$//')"
is "$what: nothing of it is freed" 12 "$(left | wc -w)"
quiet 3 2 $P --overwrite=keep --delete
what="somebody's archive, after keep"
drains 4 2 $P --delete
is "$what" "theirs 14 " "$(cat d/x.tar) $(members d/x.tar.ebt-new | wc -w) $(left)"
for how in always update; do
	what="somebody's archive, $how"
	theirs
	drains 0 2 $P --overwrite=$how
	is "$what" "$two" "$(names)"
	sound d/x.tar
	quiet 0 2 $P --overwrite=$how
done
what="the same archive is there"
outputs 2
drains 0 2 $P
rm -r s.?/.ebt
touch -d '2022-02-02 UTC' d/x.tar
rm d/plain.* d/x.tar.idx
was=$(stat -c '%i %Y' d/x.tar)
drains 0 2 $P
is "$what" "$was" "$(stat -c '%i %Y' d/x.tar)"
sound d/x.tar
for kind in dir link; do
	what="in place of the archive is a $kind"
	outputs 2
	[ $kind = dir ] && mkdir d/x.tar || ln -s elsewhere d/x.tar
	drains 4 2 $P
	sound d/x.tar.ebt-new
	absent d/elsewhere
	drains 4 2 $P --overwrite=always --delete
done

# Directories above the archive.
what="in directories"
outputs 2
drains 0 2 --pack=l=a/b/logs.tar
is "$what" "a/b/logs.tar a/b/logs.tar.idx plain.0 plain.1" "$(names)"
sound d/a/b/logs.tar
quiet 0 2 --pack=l=a/b/logs.tar
what="in a directory that the job has"
rm -r d
drains 0 2 --pack='l/*=l/logs.tar'
is "$what" "l/logs.tar l/logs.tar.idx plain.0 plain.1" "$(names)"
is "$what: its time" "2020-02-02" "$(date -ur d/l +%F)"
what="below what is no directory in DEST"
outputs 2
mkdir d/a
echo theirs >d/a/b
drains 4 2 --pack=l=a/b/logs.tar
is "$what" "a/b a/b.ebt-new/logs.tar a/b.ebt-new/logs.tar.idx plain.0 plain.1: theirs" "$(names): $(cat d/a/b)"
sound d/a/b.ebt-new/logs.tar
quiet 4 2 --pack=l=a/b/logs.tar
drains 4 2 --pack=l=a/b/logs.tar --delete
is "$what: freed" "" "$(left)"
what="below what is no directory on a node"
outputs 2
echo output >s.1/a
drains 4 2 --pack=l=a/logs.tar
is "$what" "a.$host.1 a/logs.tar a/logs.tar.idx plain.0 plain.1: output" "$(names): $(cat "d/a.$host.1")"
quiet 4 2 --pack=l=a/logs.tar

# Outputs that are called so.
for name in x.tar x.tar.idx x.tar/inner; do
	what="an output is $name"
	outputs 2
	mkdir -p "$(dirname s.1/$name)"
	echo output >s.1/$name
	drains 4 2 $P
	is "$what" "$(printf '%s\n' plain.0 plain.1 x.tar.ebt-new x.tar.ebt-new.idx $name | sort | paste -sd ' '): output" "$(names): $(cat d/$name)"
	is "$what: looks" "beside x.tar x.tar.ebt-new" "$(looks | sed 's/ *$//')"
	sound d/x.tar.ebt-new
	quiet 4 2 $P
	drains 4 2 $P --delete
	is "$what: freed" "" "$(left)"
	outputs 2
	rmdir d
	mkdir -p "$(dirname s.1/$name)"
	echo output >s.1/$name
	expect 1 2 $P --strict "$WORK/s.%r" "$WORK/d"
	nothing_at d
done
what="an output called so goes into it"
outputs 2
echo output >s.0/l/x.tar
drains 0 2 --pack=l=l/x.tar
is "$what" output "$(member d/l/x.tar l/x.tar)"
quiet 0 2 --pack=l=l/x.tar

finish
