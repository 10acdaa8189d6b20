#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Names of archives in whatever order they come, given twice, linked, left out by rules, from several
# sources; and runs into stores that have some of it. Small batches come to what one batch does.
# Usage: test_unpack_names.sh BIN
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/archives.sh"

wipe() {
	chmod -R u+rwX d.* 2>/dev/null
	rm -rf d.*
}
# held DIR: what is there: files by their size and number of names, all by mode and time if odd
held() {
	(cd "$1" && find . -mindepth 1 -path ./.ebt -prune -o -type f -printf '%P:%s:%n ' -o -type l -printf '%P->%l ' -o -type d -printf '%P/:%m:%Ts ') |
		tr ' ' '\n' | sed 's/:1000000000$//; s/:755$//; s/:1$//' | sort | tr '\n' ' ' | sed 's/ $//'
}
# unpacks NAME WANT MEMBER...: nodes will hold that. Each goes below a directory of its own, its number, and
# all into one archive; unpack_all sees what came of it.
names=() wants=() members=()
unpacks() {
	local n=${#names[@]} fields m
	names+=("$1")
	wants+=("$2")
	shift 2
	for m; do
		IFS=, read -ra fields <<<"$m"
		[ "${fields[0]}" = h ] && fields[2]=$n/${fields[2]}
		fields[1]=$n/${fields[1]}
		members+=("$(IFS=, && echo "${fields[*]}")")
	done
}
unpack_all() {
	local batch i r
	make t.tar pax "${members[@]}"
	for batch in 1 2 1000; do
		for run in first second; do
			expect 0 2 --json --batch=$batch --unpack t.tar "$WORK/d.%r"
			[ $batch = 1000 ] && [ $run = second ] && is "bytes that come again" 0 "$(field bytes)"
			for i in "${!names[@]}"; do
				what="${names[i]}, batches of $batch, $run run"
				for r in 0 1; do is "on node $r" "${wants[i]}" "$(held d.$r/$i)"; done
			done
			what="batches of $batch, $run run"
		done
		expect 0 2 --verify "$WORK/d.%r"
		wipe
	done
	what=
}
# refused NAME TEXT MEMBER...
refused() {
	local text=$2 batch
	what=$1
	shift 2
	make t.tar pax "$@"
	for batch in 1 1000; do
		expect 1 2 --batch=$batch --unpack t.tar "$WORK/d.%r"
		says "$text"
		check "DEST is not made" test ! -e d.0 -a ! -e d.1
	done
	wipe
	what=
}

# The last of one name wins, as with tar -r.
unpacks "a file twice" "a:5 b:2" f,a,old f,b,bb f,a,newer
unpacks "a large file twice" "a:3 b:1000 c:3000000" f,a,@5000000 f,c,@70 f,b,@1000 f,a,abc f,c,@3000000
unpacks "an empty file twice" "a:0 b:0" f,a f,b f,a f,b
unpacks "a symbolic link thrice" "l->c q:1" s,l,a s,l,b f,q,Q s,l,c
unpacks "a file that a link replaces" "a:1:2 b:1:2" f,a,A f,b,BB h,b,a
unpacks "a link that a file replaces" "a:1 b:2" f,a,A h,b,a f,b,BB
unpacks "a link that a link replaces" "a:1 b:2:2 c:2:2" f,a,A f,b,BB h,c,a h,c,b
unpacks "a file twice, then a link" "a:2:2 b:2:2" f,a,A f,a,AA h,b,a
unpacks "a link through a replaced name" "a:1:2 b:2 c:1:2" f,a,A h,b,a h,c,b f,b,BB
unpacks "links to links" "a:1:4 b:1:4 c:1:4 d:1:4 z:1" f,a,A h,b,a f,z,Z h,c,b h,d,c
unpacks "links with content" "a:5:3 b:5:3 c:5:3 z:1" f,a,AAA h,b,a,BBBBB,comment=x h,c,a f,z,x
unpacks "links in other directories" "x/ x/y/ x/y/f:1:4 z/ z/a:1:4 z/b:1:4 z/q:1:4" \
	f,x/y/f,A f,z/b,BB h,z/a,./x//y/f h,z/q,z/a h,z/b,z/a
# Directories: after what is in them, never, without rights, twice.
unpacks "directories that come late" "x/:711:8 x/y/:500:7 x/y/z:1" f,x/y/z,A d,x/y,mode=0500,time=7 d,x,mode=0711,time=8
unpacks "directories that never come" "x/ x/y/ x/y/z:1 x/y/zz:2" f,x/y/z,A f,x/y/zz,AA
unpacks "directories without rights" "x/:555:7 x/q:1 x/y/:0:9 x/y/z:1" d,x,mode=0555,time=7 d,x/y,mode=0000,time=9 \
	f,x/y/z,A f,x/q,B
unpacks "a directory twice" "x/:555:5 x/a:1 x/b:1" d,x,mode=0700 f,x/a,A d,x,mode=0555,time=5 f,x/b,B
unpacks "names that are the same" "x/ x/y/ x/y/a:3" f,./x/y/a,A f,x//y/./a,AA f,x/y/a,AAA d,./x/ d,.
unpacks "odd names" "%41:1 -x:1 ..a:1 .ebt2:1 a.ebt/ a.ebt/.ebt/ a.ebt/.ebt/x:1" f,%2541,a f,-x,a f,..a,a f,.ebt2,a f,a.ebt/.ebt/x,a
unpack_all

# Of links only such are made as name the file that they were made of.
refused "a file that is replaced after it was linked" "b is a hard link to a, which was replaced afterwards" \
	f,a,A h,b,a f,c,C f,a,AA
refused "the same by a link" "c is a hard link to b, which was replaced afterwards" f,a,A f,b,B h,c,b f,d,D h,b,a
refused "content of a link to a link" "which is one too, and brings content for it" f,a,A h,b,a h,c,b,CC,comment=x

what="nothing"
for m in "" d,.,mode=0700; do
	make t.tar pax $m
	expect 0 2 --unpack t.tar "$WORK/d.%r"
	nothing_visible d.0 d.1
	wipe
done
what="what cannot be unpacked is left out"
make t.tar pax f,a,A p,fifo c,dev p,x/fifo2 f,x/b,B
expect 0 2 --batch=1 --unpack t.tar "$WORK/d.%r"
is "held" "a:1 b:1" "$(cd d.1 && find . -type f -not -path './.ebt*' -printf '%f:%s\n' | sort | tr '\n' ' ' | sed 's/ $//')"
is "one warning for each kind" "1 1" "$(grep -c 'FIFOs left out: 2, first of fifo' err) $(grep -c 'devices left out: 1, first of dev' err)"
wipe
what=

# Sizes around what is held in memory, and read where it lies; fed in order from a compressed one.
what=sizes
make t.tar gnu f,empty f,hold,@2097152 f,more,@2097153 f,mega,@1048576 f,megamore,@1048577 f,big,@20000000 f,one,x \
	f,big2,@9000001 h,biglink,big
mkdir want && tar -xpf t.tar -C want
gzip -1 -k t.tar
for a in t.tar t.tar.gz; do
	expect 0 3 --memory=16M --batch=3 --unpack $a "$WORK/d.%r"
	for r in 0 1 2; do same want d.$r; done
	expect 0 3 --verify "$WORK/d.%r"
	# Nobody asks for what is fed: it is passed.
	expect 0 3 --json --memory=16M --batch=3 --unpack $a "$WORK/d.%r"
	is "$a: bytes that come again" 0 "$(field bytes)"
	is "$a: unchanged" 9 "$(field unchanged)"
	# One node lacks a file that is fed, another one all names of one, and one that was held.
	rm d.1/big2 d.2/biglink d.2/big d.2/hold
	expect 0 3 --json --memory=16M --batch=3 --unpack $a "$WORK/d.%r"
	for r in 0 1 2; do same want d.$r; done
	# One of two names is a change of the other, as in a tree.
	rm d.1/biglink
	expect 1 3 --memory=16M --batch=2 --unpack $a "$WORK/d.%r"
	says "d.1: 1 target exist already, and differ or are not by EBT's hand (see --overwrite): big"
	expect 0 3 --memory=16M --batch=2 --overwrite=update --unpack $a "$WORK/d.%r"
	for r in 0 1 2; do same want d.$r; done
	expect 0 3 --verify "$WORK/d.%r"
	echo changed >d.1/more
	expect 1 3 --memory=16M --batch=3 --unpack $a "$WORK/d.%r"
	says "more"
	is "stays" changed "$(cat d.1/more)"
	expect 0 3 --memory=16M --batch=3 --overwrite=update --unpack $a "$WORK/d.%r"
	for r in 0 1 2; do same want d.$r; done
	echo changed >d.0/big
	expect 0 3 --memory=16M --batch=3 --overwrite=always --unpack $a "$WORK/d.%r"
	for r in 0 1 2; do same want d.$r; done
	expect 0 3 --verify "$WORK/d.%r"
	expect 1 3 --overwrite=refuse --unpack $a "$WORK/d.%r"
	says "exist already"
	wipe
done
what=

# What an earlier run brought and what is not by EBT's hand are told apart, also where a name comes twice.
what="a name twice, and a store that has another one"
make t.tar pax f,a,old f,b,b f,a,newer
for batch in 1 1000; do
	for r in 0 1; do mkdir d.$r && echo mine >d.$r/a; done
	expect 1 2 --batch=$batch --unpack t.tar "$WORK/d.%r"
	says "1 target exist already"
	is "what there was" "a:5" "$(held d.1)"
	is "is left" mine "$(cat d.1/a)"
	wipe
	make s.tar pax f,a,A
	expect 0 2 --unpack s.tar "$WORK/d.%r"
	expect 1 2 --batch=$batch --unpack t.tar "$WORK/d.%r"
	says "1 target exist already"
	is "what there was" "a:1" "$(held d.0)"
	check "incoming is gone" test -z "$(ls d.0/.ebt/incoming d.1/.ebt/incoming 2>/dev/null | grep -v :)"
	expect 0 2 --batch=$batch --overwrite=update --unpack t.tar "$WORK/d.%r"
	is "updated" "a:5 b" "$(held d.1 | sed 's/b:1/b/')"
	expect 0 2 --verify "$WORK/d.%r"
	# One node lacks what came twice.
	rm d.1/a
	expect 0 2 --batch=$batch --unpack t.tar "$WORK/d.%r"
	is "again" newer "$(cat d.1/a)"
	wipe
done
what=
finish
