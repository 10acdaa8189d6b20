#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Many outputs as one archive: whatever goes into which archive, from however many nodes, what
# comes of it unpacked is the tree that the nodes had, for every program that reads such archives.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/drain.sh"
. "$(dirname "$0")/packs.sh"

make_tree tree
touch -d '1969-12-31 23:59:58 UTC' tree/many/f2 # archives have whole seconds then
spread tree 1 one
# Hard links among what goes apart are another matter.
cp -a tree part
rm part/many/hard2 part/hardlarge part/hard1
touch -r tree/many part/many
touch -r tree part

# from TREE N: stores of it
from() {
	fresh 0
	rmdir d
	spread "$1" "$2" s
}
# is_tree TREE ARCHIVE...: what is in DEST and these is the tree
is_tree() {
	local tree=$1
	shift
	unpack u "$@"
	touch -r "$tree" u
	arrived "$tree" u
	sound "${@/#/d/}"
}

for n in 1 3 7; do
	what="all of $n nodes"
	from tree $n
	drains 0 $n --pack='*=all.tar' --verify
	is "$what: names" "all.tar all.tar.idx" "$(names)"
	is "$what: members" "$(find tree -mindepth 1 -printf . | wc -c) 1" "$(number packed) $(number archives)"
	is_tree tree all.tar
	quiet 0 $n --pack='*=all.tar'
	what="some of $n nodes"
	from part $n
	drains 0 $n --pack='many/**=sub/a/many.tar' --pack='a/b=b.tar' --pack='*hole=b.tar' --pack='*hole*=never.tar' \
		--pack='nothing*=none.tar'
	is "$what: archives" "b.tar b.tar.idx sub/a/many.tar sub/a/many.tar.idx" "$(cd d && find . -name '*.tar*' -printf '%P\n' | sort | paste -sd ' ')"
	is "$what: in one of them" "a/b a/b/c a/b/c/large a/b/medium allhole bighole hole" "$(members d/b.tar)"
	is "$what: in the other" 400 "$(members d/sub/a/many.tar | wc -w)"
	check "$what: directory of what went" test -d d/many -a -z "$(ls d/many)"
	absent d/a/b
	check "$what: holes" test "$(stat -c %s d/b.tar)" -lt 7000000
	unpack u sub/a/many.tar b.tar
	rm -r u/sub # was made for the archive
	touch -r part u
	arrived part u
	sound d/b.tar d/sub/a/many.tar
	quiet 0 $n --pack='many/**=sub/a/many.tar' --pack='a/b=b.tar' --pack='*hole=b.tar' --pack='*hole*=never.tar' \
		--pack='nothing*=none.tar'
done

what="the first that matches"
fresh 2
mkdir -p s.0/logs/deep s.1/logs/deep s.1/other
for r in 0 1; do
	for f in a.log a.txt deep/b.log deep/b.txt; do echo "$f $r" >s.$r/logs/${f%.*}$r.${f##*.}; done
done
echo outside >s.1/other/c.log
drains 0 2 --pack='deep/*.log=x.tar' --pack='logs/**=y.tar' --pack='*.log=x.tar'
is "$what" "logs/deep/b0.log logs/deep/b1.log other/c.log" "$(members d/x.tar)"
is "$what: rest" "logs/a0.log logs/a0.txt logs/a1.log logs/a1.txt logs/deep logs/deep/b0.txt logs/deep/b1.txt" "$(members d/y.tar)"
is "$what: nothing else" "x.tar x.tar.idx y.tar y.tar.idx" "$(names)"
check "$what: directories that do not match" test -d d/logs -a -d d/other -a ! -e d/logs/deep
is "$what: content" "deep/b.log 0 deep/b.txt 1" "$(member d/x.tar logs/deep/b0.log) $(member d/y.tar logs/deep/b1.txt)"
sound d/x.tar d/y.tar
what="a directory and what is below, but for what matches by itself"
rm -rf d s.?/.ebt
drains 0 2 --pack='*.log=x.tar' --pack='logs=y.tar'
is "$what" "logs/a0.log logs/a1.log logs/deep/b0.log logs/deep/b1.log other/c.log" "$(members d/x.tar)"
is "$what: rest" "logs logs/a0.txt logs/a1.txt logs/deep logs/deep/b0.txt logs/deep/b1.txt" "$(members d/y.tar)"
absent d/logs
what="nothing matches"
rm -rf d s.?/.ebt
drains 0 2 --pack='nothing=x.tar'
is "$what" 9 "$(names | wc -w)"
what="left out before"
rm -rf d s.?/.ebt
drains 0 2 --exclude='deep' --pack='logs/**=x.tar'
is "$what" "logs/a0.log logs/a0.txt logs/a1.log logs/a1.txt" "$(members d/x.tar)"
what="nothing at all"
fresh 2
drains 0 2 --pack='*=x.tar'
is "$what" "" "$(names)"

# Whoever reads it, and EBT's own way back.
what=readers
from tree 3
drains 0 3 --pack='*=all.tar'
chmod a+r d/all.tar
list() { (cd "$1" && find . -mindepth 1 -printf '%y %m %U %G %n %l %'"$2"' %P\0' | sort -z); }
if command -v bsdtar >/dev/null; then
	mkdir bsd
	check "bsdtar" env LC_ALL=C.UTF-8 bsdtar -x -p --xattrs --acls -f d/all.tar -C bsd >out 2>err
	is "bsdtar: complaints" "" "$(cat err)"
	check "bsdtar: all but xattrs" cmp <(list tree T@) <(list bsd T@)
	check "bsdtar: content" diff -r --no-dereference tree bsd
else
	echo "not tried: no bsdtar"
fi
# To who does not know ACLs it has the mode that the group had.
rm -r s.? d
cp -a tree bare
! command -v setfacl >/dev/null || setfacl -Rb bare
from bare 3
drains 0 3 --pack='*=all.tar'
gtar -df d/all.tar -C bare
mkdir py
check "Python" env LC_ALL=C.UTF-8 "$PYTHON" -W ignore -c 'import tarfile
tarfile.open("d/all.tar", errorlevel=2).extractall("py", numeric_owner=True)'
check "Python: all but times of links" cmp <(list bare Ts | LC_ALL=C grep -azv ^l) <(list py Ts | LC_ALL=C grep -azv ^l)
check "Python: content" diff -r --no-dereference bare py
chmod -R u+rwx py bsd 2>/dev/null
rm -rf py bsd
if command -v busybox >/dev/null; then
	# It does not know maps of holes.
	drains 0 3 --exclude='*hole*' --pack='*=bb.tar'
	mkdir bb
	check "busybox" busybox tar -xf d/bb.tar -C bb
	check "busybox: content" diff -r --no-dereference --exclude='*hole*' bare bb
	# Nor times before 1970.
	plain() { list "$1" Ts | LC_ALL=C grep -az '^f' | LC_ALL=C grep -azv 'hole$\|many/f2$'; }
	check "busybox: files" cmp <(plain bare) <(plain bb)
else
	echo "not tried: no busybox"
fi
staged 2 --unpack "$WORK/d/all.tar" "$WORK/back.%r"
for r in 0 1; do
	touch -r bare back.$r
	same bare back.$r
	same_times bare back.$r
done
finish
