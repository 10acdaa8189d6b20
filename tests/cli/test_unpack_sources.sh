#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# What --unpack takes for an archive and from where, with what else it goes, and what is said of it: lists,
# dry runs, .ebt/roots.
# Usage: test_unpack_sources.sh BIN
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/archives.sh"

wipe() { rm -rf d.*; }
# held DIR: files with their sizes, directories and links
held() {
	(cd "$1" && find . -mindepth 1 -path ./.ebt -prune -o -type f -printf '%P:%s\n' -o -type l -printf '%P->%l\n' -o -type d -printf '%P/\n') |
		sort | tr '\n' ' ' | sed 's/ $//'
}
# alone STATUS ARG...: without a launcher, standard input as it is
alone() {
	local want=$1 got
	shift
	CHECKS=$((CHECKS + 1))
	timeout "$LIMIT" "$STAGE" "$@" >out 2>err
	got=$?
	[ $got = "$want" ] || { fail "exit status $got, not $want: $*"; show; }
}

make a.tar pax d,x f,x/a,A f,aa,AA
make b.tar pax d,x f,x/b,B f,bb,@3000000
make c.tar pax d,x f,x/a,other f,cc,C
mkdir -p tree/x && echo t >tree/x/t && echo top >tree/top

what="several archives"
for n in 1 3; do
	for batch in 1 1000; do
		expect 0 $n --batch=$batch --memory=16M --unpack a.tar b.tar "$WORK/d.%r"
		is "held" "aa:2 bb:3000000 x/ x/a:1 x/b:1" "$(held d.$((n - 1)))"
		expect 0 $n --verify "$WORK/d.%r"
		expect 0 $n --json --batch=$batch --memory=16M --unpack b.tar a.tar "$WORK/d.%r"
		is "unchanged" 4 "$(field unchanged)"
		wipe
	done
done
what="more archives than readers, all of them fed"
for i in 1 2 3 4 5 6 7; do
	make m$i.tar pax "f,m$i,@2500000" "f,s$i,x" "f,n$i,@$((i * 400000))"
	gzip -1 m$i.tar
done
expect 1 3 --memory=16M --unpack m?.tar.gz tree/. "$WORK/d.%r"
says "a directory is no archive"
expect 0 3 --memory=16M '--unpack=*.gz' m?.tar.gz tree/. "$WORK/d.%r"
mkdir want && for i in 1 2 3 4 5 6 7; do tar -xf m$i.tar.gz -C want; done
cp -a tree/. want/
check "held" diff -r -x .ebt want d.1
expect 0 3 --readers=2 --memory=16M '--unpack=*.gz' m?.tar.gz tree/. "$WORK/d.%r"
expect 0 3 --verify "$WORK/d.%r"
wipe

what="archives and trees"
for batch in 1 1000; do
	expect 0 2 --batch=$batch --unpack='*.tar' tree/. a.tar tree "$WORK/d.%r"
	is "held" "aa:2 top:4 tree/ tree/top:4 tree/x/ tree/x/t:2 x/ x/a:1 x/t:2" "$(held d.1)"
	wipe
	expect 0 2 --batch=$batch --unpack='b*' tree/. a.tar b.tar "$WORK/d.%r"
	check "not unpacked" cmp a.tar d.1/a.tar
	is "unpacked" 3000000 "$(stat -c %s d.1/bb)"
	wipe
	what="one name from two sources, batches of $batch"
	for sources in "a.tar c.tar" "c.tar b.tar a.tar"; do
		expect 1 2 --batch=$batch --unpack $sources "$WORK/d.%r"
		says "x/a: comes from both"
		says "a.tar"
		says "c.tar"
		check "DEST is not made" test ! -e d.0 -a ! -e d.1
	done
	make e.tar pax f,aa,E1 f,aa,E2
	expect 1 2 --batch=$batch --unpack a.tar e.tar "$WORK/d.%r"
	says "aa: comes from both"
	expect 1 2 --readers=1 --batch=3 --unpack a.tar e.tar "$WORK/d.%r"
	says "aa: comes from both"
	make e.tar pax f,q,E1 f,aa,E2 h,aa,q
	expect 1 2 --readers=1 --batch=3 --unpack a.tar e.tar "$WORK/d.%r"
	says "aa: comes from both"
	make e.tar pax f,q,E1 h,aa,q h,ab,aa
	expect 1 2 --batch=$batch --unpack a.tar e.tar "$WORK/d.%r"
	says "aa: comes from both"
	mkdir -p clash && echo mine >clash/aa
	expect 1 2 --batch=$batch '--unpack=*.tar' clash/. a.tar "$WORK/d.%r"
	says "aa: comes from both"
	says "clash"
	mkdir -p kind/aa
	expect 1 2 --batch=$batch '--unpack=*.tar' kind/. a.tar "$WORK/d.%r"
	says "aa"
	check "DEST is not made" test ! -e d.0 -a ! -e d.1
done
what="an archive that is named twice"
expect 0 2 --unpack a.tar ./a.tar "$PWD//a.tar" "$WORK/d.%r"
is "held" "aa:2 x/ x/a:1" "$(held d.0)"
wipe

what="lists of sources"
if command -v zip >/dev/null; then
	(cd tree && zip -qr ../t.zip .)
	printf '%s\n' t.zip a.tar tree >list
	expect 0 2 --files-from=list --unpack='*.zip' --unpack=nothing "$WORK/d.%r"
	is "held" "a.tar:$(stat -c %s a.tar) top:4 tree/ tree/top:4 tree/x/ tree/x/t:2 x/ x/t:2" "$(held d.1)"
	wipe
fi
what="patterns"
mkdir -p in/deep && cp a.tar in/deep/p.tar
for p in 'p.*' 'deep/p.tar' '*.tar' 'in/**'; do
	expect 0 1 --unpack="$p" in/deep/p.tar "$WORK/d.%r"
	is "$p" "aa:2 x/ x/a:1" "$(held d.0)"
	wipe
done

what="rules"
make r.tar pax d,k f,k/a.txt,A f,k/b.bin,BB d,skip f,skip/c.txt,C f,z.txt,Z h,l.bin,k/b.bin
for batch in 1 1000; do
	expect 0 2 --batch=$batch --exclude=skip --unpack r.tar "$WORK/d.%r"
	is "a directory" "k/ k/a.txt:1 k/b.bin:2 l.bin:2 z.txt:1" "$(held d.1)"
	check "partial" grep -q ' partial derived ' d.1/.ebt/roots
	wipe
	expect 0 2 --batch=$batch --include='*/' --include='*.txt' --exclude='*' --unpack r.tar "$WORK/d.%r"
	is "names" "k/ k/a.txt:1 skip/ skip/c.txt:1 z.txt:1" "$(held d.1)"
	wipe
	expect 0 2 --batch=$batch --exclude=/k/a.txt --exclude=l.bin --unpack r.tar "$WORK/d.%r"
	is "a link" "k/ k/b.bin:2 skip/ skip/c.txt:1 z.txt:1" "$(held d.1)"
	is "names of it" 1 "$(stat -c %h d.1/k/b.bin)"
	wipe
	expect 1 2 --batch=$batch --exclude=b.bin --unpack r.tar "$WORK/d.%r"
	says "l.bin is a hard link to k/b.bin, which is left out"
	check "DEST is not made" test ! -e d.0
	# cpio has the content with one of the names only.
	if command -v cpio >/dev/null; then
		mkdir -p hard && echo content >hard/a && ln -f hard/a hard/b && ln -f hard/a hard/c
		for format in newc odc; do
			(cd hard && printf '%s\n' a b c | cpio -o -H $format --quiet) >h.cpio
			first=$(cpio -it --quiet <h.cpio | head -n 1)
			for name in a b c; do
				if [ $name = "$first" ]; then
					expect 1 2 --batch=$batch --exclude=$name --unpack h.cpio "$WORK/d.%r"
					says "is a hard link to $name, which is left out"
					continue
				fi
				expect 0 2 --batch=$batch --exclude=$name --unpack h.cpio "$WORK/d.%r"
				is "$format without $name" "$(cd hard && ls | grep -v $name | sed 's/$/:8/' | tr '\n' ' ' | sed 's/ $//')" "$(held d.1)"
				wipe
			done
		done
	fi
done

what="owners and attributes"
make o.tar pax f,a,A,uid=1234,gid=4321,mode=4755,SCHILY.xattr.user.k=v d,d,uid=1234,mode=0700
expect 0 1 --no-owner --no-xattrs --unpack o.tar "$WORK/d.%r"
is "owner" "$(id -u):$(id -g)" "$(stat -c %u:%g d.0/a)"
check "no attributes" test -z "$(getfattr -d d.0/a 2>/dev/null)"
wipe
if [ "$(id -u)" = 0 ]; then
	expect 0 1 --unpack o.tar "$WORK/d.%r"
	is "owner" "1234:4321 4755" "$(stat -c '%u:%g %a' d.0/a)"
	command -v getfattr >/dev/null && is "attribute" v "$(getfattr --only-values -n user.k d.0/a 2>/dev/null)"
	expect 0 1 --verify "$WORK/d.%r"
	wipe
fi

what="lists and dry runs"
tar -C tree -cf l.tar --exclude=nothing . && gzip -k l.tar
for archives in a.tar b.tar l.tar.gz r.tar "a.tar b.tar"; do
	expect 0 1 --unpack $archives "$WORK/d.%r"
	alone 0 --list "$WORK/d.0"
	# But for digests: nothing is decoded in vain.
	digests='s/ [0-9a-f]\{32\} / - /; s/"digest":"[0-9a-f]*",//'
	sed "$digests" out >listed
	alone 0 --unpack --list $archives
	check "$archives: the same list" diff listed out
	alone 0 --list --json "$WORK/d.0"
	sed "$digests" out >listed
	alone 0 --unpack --list --json $archives
	check "$archives: the same list as JSON" diff listed out
	wipe
	expect 0 2 --json -n --unpack $archives "$WORK/d.%r"
	check "a dry run makes nothing" test ! -e d.0 -a ! -e d.1
	says '"type":"plan"'
done
expect 0 2 --json -n --memory=16M --unpack b.tar "$WORK/d.%r"
check "bytes of the plan" grep -q '"bytes":3000001' out
alone 0 --unpack --list --exclude=k --exclude=l.bin r.tar
check "rules hold for lists" test -z "$(grep a.txt out)"
make cut.tar pax-end f,a,A
alone 0 --unpack --list a.tar ./a.tar
is "an archive that is named twice is listed once" "$(timeout "$LIMIT" "$STAGE" --unpack --list a.tar)" "$(cat out)"
alone 1 --unpack --list cut.tar
says "ends without its end mark"
alone 1 --unpack --list nosuch.tar
says "nosuch.tar"
expect 1 2 -n --unpack cut.tar "$WORK/d.%r"
says "ends without its end mark"

what="roots"
cp a.tar "$(printf 'od\377d %% na\nme.tar')"
odd="$WORK/$(printf 'od\377d %% na\nme.tar')"
expect 0 2 --unpack --at=/proj/data "$odd" "$WORK/d.%r"
for r in 0 1; do
	is "node $r" "$(printf 'ebt roots 1\nroot . /proj/data whole derived %s' "$WORK/od%FFd%20%25%20na%0Ame.tar")" "$(cat d.$r/.ebt/roots)"
done
expect 0 2 --unpack --exclude=nothing b.tar "$WORK/d.%r"
is "a second run" "root . - partial derived $WORK/b.tar" "$(tail -n 1 d.1/.ebt/roots)"
is "the first is known" 3 "$(wc -l <d.1/.ebt/roots)"
expect 0 2 --unpack='*.tar' --at=/x/y tree/. c.tar --exclude=x/a "$WORK/d.%r"
check "a tree beside it" grep -q "^root \. $WORK/tree partial" d.0/.ebt/roots
check "an archive beside it" grep -qx "root . /x/y partial derived $WORK/c.tar" d.0/.ebt/roots
wipe

what="pipes"
mkfifo p
gzip -kc b.tar >b.tar.gz
for a in a.tar b.tar.gz; do
	cat $a >p &
	expect 0 2 --memory=16M --unpack p "$WORK/d.%r"
	wait
	check "$a" test -e d.1/x
	expect 0 2 --verify "$WORK/d.%r"
	wipe
done
alone 0 --per-rank --unpack=- "$WORK/d.%r" <b.tar.gz
is "standard input, a file" 3000000 "$(stat -c %s d.0/bb)"
wipe
cat a.tar | alone 0 --per-rank --unpack=- --at=/q "$WORK/d.%r"
is "standard input, a pipe" "aa:2 x/ x/a:1" "$(held d.0)"
check "roots" grep -qx "root . /q whole derived /dev/stdin" d.0/.ebt/roots
wipe
cat a.tar | alone 0 --unpack=- --list
check "its list" grep -q x/a out
for tool in zip 7z; do
	command -v $tool >/dev/null || continue
	rm -f q.$tool
	if [ $tool = zip ]; then (cd tree && zip -qr ../q.zip .); else (cd tree && 7z a -bd ../q.7z . >/dev/null); fi
	cat q.$tool >p &
	expect 1 2 --unpack p "$WORK/d.%r"
	wait
	says "a $tool archive has its list of members at its end"
	check "DEST is not made" test ! -e d.0 -a ! -e d.1
done

what="usage"
make u.tar pax f,a,A
for args in "--unpack" "--unpack u.tar" "--unpack --list" "--at=/x u.tar d" "--concatenated u.tar d" "--unpack --at=x u.tar d" \
	"--unpack=- --files-from=- d"; do
	alone 2 $args </dev/null
	is "one line and a hint: $args" 0 "$(wc -c <out)"
done
for s in nosuch.tar tree /dev/null; do
	expect 1 2 --unpack $s "$WORK/d.%r"
	says "${s#/dev/}"
	check "DEST is not made" test ! -e d.0 -a ! -e d.1
done
what="--concatenated"
cat a.tar b.tar >ab.tar
gzip -c a.tar >abz && gzip -c b.tar >>abz
for a in ab.tar abz; do
	expect 1 2 --unpack $a "$WORK/d.%r"
	says "more data behind the end of the archive; use --concatenated"
	expect 0 2 --batch=2 --memory=16M --unpack --concatenated $a "$WORK/d.%r"
	is "$a" "aa:2 bb:3000000 x/ x/a:1 x/b:1" "$(held d.1)"
	wipe
done
what=
finish
