#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Archives with an index beside them: what rules leave comes out as it does without, and nothing else is
# read; an index that is not of the archive, damaged, or lies, is as if there were none.
# Usage: test_unpack_index.sh BIN PACK_TREE READS
. "$(dirname "$0")/lib.sh"
PACK=$(readlink -f "$2") READS=$(readlink -f "$3")
. "$(dirname "$0")/archives.sh"

index() { python3 "$cli/make_index.py" "$@" || exit 99; }
# looks DIR: all that is there, but for what is EBT's
looks() {
	(cd "$1" || exit
		find . -mindepth 1 -path ./.ebt -prune -o -mindepth 1 -printf '%P|%y|%m|%U:%G|%T@|%n|%s|%b|%l\n' |
		awk -F'|' -v OFS='|' '$2 == "d" { $7 = $8 = "" } 1' | sort
		find . -path ./.ebt -prune -o -type f -print0 | sort -z | xargs -0r md5sum
		getfattr -Rhd -m - -e hex . 2>/dev/null | grep -v '^# file: .ebt') 2>/dev/null
}
# run HOW ARG...: into stores of that name; all that came of it is in HOW.*
run() {
	local how=$1
	shift
	stage 2 --json "$@" "$WORK/$how.d.%r"
	echo $? >$how.status
	sed "s/$how\.d/d/g" err >$how.err
	grep -o '"\(files\|dirs\|links\|symlinks\|bytes\|unchanged\|skipped\)":[0-9]*' out >$how.result
	cp out $how.out
	looks $how.d.1 >$how.looks
	sed "s/$how\.d/d/g" $how.d.0/.ebt/roots >$how.roots 2>/dev/null || : >$how.roots
	timeout "$LIMIT" "$STAGE" --list --json $how.d.0 2>/dev/null | sed "s/$how\.d/d/g" >$how.list
}
wipe() {
	chmod -R u+rwX with.* without.* 2>/dev/null
	rm -rf with.* without.*
}
# alike: the two runs came to the same
alike() {
	local f
	for f in status err result looks roots list; do
		CHECKS=$((CHECKS + 1))
		cmp -s without.$f with.$f && continue
		fail "$f: with an index it is another"
		diff without.$f with.$f | head -10 >&2
	done
}
# both USED STATUS ARCHIVE RULE...: the same with its index and without. USED: what is said of it with -v.
# With QUICK in one batch only, once.
both() {
	local used=$1 status=$2 archive=$3 batch
	shift 3
	what="$archive, $*"
	timeout "$LIMIT" "$STAGE" -v --dry-run --per-rank "$@" --unpack $archive "$WORK/dry.%r" >out 2>err
	says "$used"
	for batch in ${QUICK-$few} 1000; do
		run with --batch=$batch "$@" --unpack $archive
		is "status" $status "$(cat with.status)"
		[ $status = 0 ] && [ -z "${QUICK+x}" ] && expect 0 2 --verify "$WORK/with.d.%r"
		mv $archive.idx hidden
		run without --batch=$batch "$@" --unpack $archive
		mv hidden $archive.idx
		alike
		if [ $status = 0 ] && [ $batch = 1000 ] && [ -z "${QUICK+x}" ]; then
			# A second run finds all there, also what the other one brought.
			run with --batch=$batch "$@" --unpack $archive
			is "bytes that come again" 0 "$(sed -n 's/"bytes"://p' with.result)"
			mv without.d.0 without.d.2 && mv with.d.0 without.d.0 && mv without.d.2 with.d.0
			run with --overwrite=update "$@" --unpack $archive
			is "bytes that come again" 0 "$(sed -n 's/"bytes"://p' with.result)"
		fi
		wipe
	done
	if [ -z "${QUICK+x}" ]; then
		for r in with without; do
			[ $r = with ] || mv $archive.idx hidden
			timeout "$LIMIT" "$STAGE" --list --json "$@" --unpack $archive >$r.listed 2>&1
			timeout "$LIMIT" "$STAGE" --json --dry-run --per-rank "$@" --unpack $archive "$WORK/dry.%r" 2>&1 |
				sed 's/"id":"[0-9a-f]*"//; s/"[a-z_]*seconds":[0-9.]*//g' >$r.dry
		done
		mv hidden $archive.idx
		check "list" cmp without.listed with.listed
		check "plan" cmp without.dry with.dry
		wipe
	fi
	what=
}
used="are read, as its index says"
few=20

# A tree with everything, as a drain packs it.
make_tree tree
mkdir -p "tree/$(printf 'deep%.0s' {1..40})/$(printf 'deeper%.0s' {1..40})" tree/large
echo x >"tree/$(printf 'deep%.0s' {1..40})/$(printf 'deeper%.0s' {1..40})/end"
for i in $(seq 40); do head -c $((i * 50000)) /dev/urandom >tree/large/l$i; done
ln tree/large/l3 tree/large/zz
chmod 0555 tree/large
"$PACK" tree t.tar || exit 99
both "$used" 0 t.tar --include=/a/ --include=/a/hello --exclude='*'
both "$used" 0 t.tar --include='*/' --include='f1*' --exclude='*'
both "$used" 0 t.tar --include='*/' --include='large/l1' --include=zz --include=l3 --include='*hole' --exclude='*'
both "$used" 0 t.tar --exclude=/large --exclude=/a/b --exclude=hardlarge --exclude='f[23]*'
both "$used" 0 t.tar --include='/deep***' --include='/sp ace/***' --include=/readonly/*** --include='link*' --include=dangling --exclude='*'
both "$used" 0 t.tar --include=/empty --include='/large/' --exclude='*'
both "$used" 0 t.tar --exclude='*'
both "most of the archive is wanted" 0 t.tar --exclude=/a/none
both "left out" 1 t.tar --include=hard1 --exclude='*'
both "left out" 1 t.tar --include=/large/ --include=zz --exclude='*'
# Nobody asks for it.
what="without rules"
timeout "$LIMIT" "$STAGE" -v --dry-run --per-rank --unpack t.tar "$WORK/dry.%r" >out 2>err
check "no index" test -z "$(grep -i index err)"
what="updates"
for r in with without; do
	[ $r = with ] || mv t.tar.idx hidden
	run $r --include='*/' --include='f1*' --exclude='*' --unpack t.tar
	echo changed >$r.d.0/many/f17
	rm $r.d.1/many/f18
	touch -d '2001-01-01 UTC' $r.d.?/many/f17 $r.d.?/many
done
mv hidden t.tar.idx
alike
for args in "" --overwrite=update --overwrite=always; do
	for r in with without; do
		[ $r = with ] || mv t.tar.idx hidden
		run $r $args --include='*/' --include='f1*' --include=f20 --exclude='*' --unpack t.tar
	done
	mv hidden t.tar.idx
	what="updates: $args"
	alike
done
wipe
what=

# Directories that come late, never, and for the sake of what is left out; names as archivers write them.
make m.tar pax f,./d/e/x.no,X,time=11 f,./d/e/y,Y,time=12 d,./late,mode=0700,time=5 f,late/z.no,@90000 f,never/in/z.no,@200000,time=13 \
	f,never/z,Z,time=14 d,d,mode=0500,time=15 f,s.no,@1000000 s,sym,nowhere h,d/link,d/e/y h,d/link.no,s.no f,last,@300000,uid=77
index m.tar
few=1
both "$used" 0 m.tar --exclude='*.no'
both "$used" 0 m.tar --exclude='*.no' --exclude=last
both "$used" 0 m.tar --exclude='*.no' --exclude=e --exclude=link
both "$used" 0 m.tar --include='*/' --exclude='*'
both "left out" 1 m.tar --exclude='*.no' --exclude=y
# What members have to do with each other in other ways is not for an index.
make o.tar pax f,a,A f,big.no,@500000 f,a,AA h,b,a
index o.tar
both "more than one member of that name" 0 o.tar --exclude='*.no'
make o.tar pax f,a,A f,big.no,@500000 f,a/b,B
index o.tar
both "leads through no directory" 1 o.tar --exclude='*.no'
make o.tar pax s,a,to f,big.no,@500000 h,b,a
index o.tar
both "a hard link to no file before it" 0 o.tar --exclude='*.no'
make o.tar pax f,big.no,@500000 f,../up,x
index o.tar
both "index of an archive: line 3" 1 o.tar --exclude='*.no'

# Not of this archive, or damaged: as if there were none.
QUICK=
make g.tar pax f,a,A f,big.no,@500000 f,b,B d,dd
rules=(--exclude='*.no')
index g.tar
both "$used" 0 g.tar "${rules[@]}"
for edit in 's/^\(EBT-INDEX 1 \)[0-9]*/\1999936/' 's/^\(EBT-INDEX 1 [0-9]* [0-9]* \)/\11/' 's/\.[0-9]* 4$/.000000001 4/'; do
	index g.tar
	sed -i "1$edit" g.tar.idx
	both "g.tar.idx: not used: of an archive with another size or time" 0 g.tar "${rules[@]}"
done
index g.tar
touch g.tar
both "another size or time" 0 g.tar "${rules[@]}"
index g.tar
cp -p g.tar.idx whole.idx
for how in 'head -c -1' 'head -n -1' 'head -n 1' 'tr 0 x' 'sed s/1/2/' 'sed $p' 'sed s/EBT-INDEX/EBT/' 'head -c 0' 'sed 3d' \
	'sed s/big/..\/big/' 'tac' 'sed 2s/a$/%61/'; do
	$how <whole.idx >g.tar.idx
	both "g.tar.idx: not used: " 0 g.tar "${rules[@]}"
done
head -c 600000 /dev/zero >g.tar.idx
both "larger than the archive" 0 g.tar "${rules[@]}"
(cat whole.idx && echo more) >g.tar.idx
both "g.tar.idx: not used: " 0 g.tar "${rules[@]}"
rm g.tar.idx && cp -p whole.idx real && ln -s real g.tar.idx
both "g.tar.idx: not used: " 0 g.tar "${rules[@]}"
rm g.tar.idx && mkfifo g.tar.idx
both "g.tar.idx: not used: no regular file" 0 g.tar "${rules[@]}"
rm g.tar.idx && mkdir g.tar.idx
both "g.tar.idx: not used: no regular file" 0 g.tar "${rules[@]}"
rmdir g.tar.idx
# Behind its end mark is more, which an index does not know.
(cat g.tar && head -c 10240 /dev/zero) >z.tar
index z.tar
both "more than its members" 0 z.tar "${rules[@]}"

# What it says of places, names, kinds and sizes is wrong: one warning, and what is true comes.
# lies TEXT ARCHIVE EDIT RULE...
lies() {
	local text=$1 archive=$2 edit=$3
	shift 3
	what="$archive, $edit"
	index $archive "$edit"
	run with --batch=1 "$@" --unpack $archive
	mv with.err warned
	is "one warning" 1 "$(grep -c "; its index is not used" warned)"
	check "it says why" grep -qF -- "$text" warned
	grep -v "; its index is not used" warned >with.err
	mv $archive.idx hidden
	run without --batch=1 "$@" --unpack $archive
	mv hidden $archive.idx
	alike
	wipe
	what=
}
make l.tar pax f,a,@5000 f,secret.no,@5000 f,b,@5000 f,big.no,@500000 d,dir,mode=0700 f,zero h,h,a s,s,a f,end.no,x
for edit in "[l[:5] + [{'b': 'a', 'a': 'b'}.get(l[5], l[5])] + l[6:] for l in lines]" \
	"[l[:5] + [{'b': 'secret.no', 'secret.no': 'b'}.get(l[5], l[5])] + l[6:] for l in lines]" \
	"[l[:5] + [{'zero': 'forged'}.get(l[5], l[5])] + l[6:] for l in lines]" \
	"[l[:4] + (['f'] if l[5] == 'dir' else [l[4]]) + l[5:] for l in lines]" \
	"[l[:3] + ([99999] if l[5] == 'b' else [l[3]]) + l[4:] for l in lines]" \
	"[l[:4] + ['f', 'h'] if l[5] == 'h' else l for l in lines]" \
	"[l[:5] + ['h', 'b'] if l[5] == 'h' else l for l in lines]" \
	"[l[:4] + ['d', 's'] if l[5] == 's' else l for l in lines]"; do
	lies "l.tar: member" l.tar "$edit" --exclude='*.no'
done
# The member is said to lie in what another one holds: text, zeros, or a header of another one.
python3 - <<'P'
import io, tarfile
with tarfile.open("n.tar", "w", format=tarfile.PAX_FORMAT) as t:
    for name, data in (("a", b"A"), ("outer.no", b"t" * 1024), ("zeros.no", bytes(1024)),
                       ("header.no", tarfile.TarInfo("forged").tobuf() + bytes(512)), ("big.no", bytes(500000)), ("b", b"B")):
        i = tarfile.TarInfo(name)
        i.size = len(data)
        t.addfile(i, io.BytesIO(data))
d = open("n.tar", "rb").read().rstrip(b"\0")
d += bytes(-len(d) % 512) + bytes(1024)
open("n.tar", "wb").write(d)
P
for at in 1 2 3; do
	lies "n.tar" n.tar "lines[:$at] + [lines[$at][:2] + [0, 0] + lines[$at][4:], [lines[$at][1], lines[$at][1] + 512, 0, 0, 'f', 'b'],
		[lines[$at][1] + 512, lines[5][1] - 512, 0, 0, 'f', 'rest.no'], [lines[5][1] - 512] + lines[5][1:5] + ['b.no']]" --exclude='*.no'
done
if [ "$(id -u)" = 0 ]; then
	index l.tar
	chown 1234 l.tar.idx
	both "of another owner" 0 l.tar --exclude='*.no'
	chown 1234 l.tar
	both "$used" 0 l.tar --exclude='*.no'
	chown 0 l.tar l.tar.idx
fi

# An archive that is damaged where it is read is told as without an index.
cp l.tar broken.tar
index l.tar
python3 - <<'P'
lines = [l.split() for l in open("l.tar.idx")]
at = int([l for l in lines if l[-1] == "b"][0][0])
d = bytearray(open("broken.tar", "rb").read())
d[at + 100] ^= 1
open("broken.tar", "wb").write(d)
P
sed "1s/.*/EBT-INDEX 1 $(stat -c '%s %s' broken.tar) $(stat -c %.9Y broken.tar) 9/" l.tar.idx >broken.tar.idx
what="damaged"
run with --exclude='*.no' --unpack broken.tar
is "status" 1 "$(cat with.status)"
check "the warning" grep -q "; its index is not used" with.err
check "the error" grep -q "broken.tar: after 2 members: Damaged tar archive" with.err
nothing_visible with.d.0 with.d.1
wipe
what=

# Other formats have none, whatever lies beside them.
gzip -k l.tar && cp l.tar.idx l.tar.gz.idx
what="compressed"
timeout "$LIMIT" "$STAGE" -v --per-rank --exclude='*.no' --unpack l.tar.gz "$WORK/with.d.%r" >out 2>err
says "l.tar.gz.idx: not used"
check "it is there" test -e with.d.0/zero
wipe
sed "1s/.*/EBT-INDEX 1 $(stat -c '%s %s' l.tar) $(stat -c %.9Y l.tar) 9/" l.tar.idx >l.idx && mv l.idx l.tar.idx
what="standard input"
timeout "$LIMIT" "$STAGE" -v --per-rank --exclude='*.no' --unpack=- "$WORK/with.d.%r" <l.tar >out 2>err
check "no index" test -z "$(grep -i index err)"
wipe

# It is what a drain writes, too; and it pays.
unset QUICK
what="of a drain"
mkdir -p s.0/out/d
for i in $(seq 30); do head -c $((i * 1000)) /dev/urandom >s.0/out/d/o$i; done
mkdir dest
timeout "$LIMIT" "$BIN/ebt-drain" --per-rank '--pack=**=all.tar' "$WORK/s.%r" dest >out 2>err || { fail "drain"; show; }
if [ -e dest/all.tar.idx ]; then
	both "$used" 0 dest/all.tar --include='*/' --include=o7 --exclude='*'
	run with --include='*/' --include=o7 --exclude='*' --unpack dest/all.tar
	check "o7" cmp s.0/out/d/o7 with.d.1/out/d/o7
	wipe
else
	fail "no index of a drain"
	show
fi
what="bytes that are read"
mkdir many
python3 - <<'P'
import os
for i in range(9000):
    if i % 1000 == 0:
        os.mkdir("many/d%d" % (i // 1000))
    with open("many/d%d/f%d" % (i // 1000, i), "wb") as f:
        f.write(os.urandom(2000 + i % 3000))
with open("many/large", "wb") as f:
    f.write(os.urandom(60000000))
P
"$PACK" many many.tar || exit 99
if LD_PRELOAD=$READS "$STAGE" --version >/dev/null 2>&1; then
	WHO=(env "LD_PRELOAD=$READS" "EBT_TEST_READS_OF=$WORK/many.tar" "EBT_TEST_READS_IN=$WORK/reads")
	all=$(stat -c %s many.tar)
	for rules in "--include=/d4/ --include=f4711" "--include=/d[0-9]/ --include=f77" "--include=nothing"; do
		rm -f reads
		expect 0 2 $rules --exclude='*' --unpack many.tar "$WORK/with.d.%r"
		read -r n < <(awk '{ n += $1 } END { print n + 0 }' reads)
		echo "$rules: $n bytes of $all are read, with the index"
		check "few bytes are read: $n of $all" test "$n" -gt 0 -a "$n" -lt $((all / 40))
		wipe
	done
	rm -f reads
	mv many.tar.idx hidden
	expect 0 2 --include=/d4/ --include=f4711 --exclude='*' --unpack many.tar "$WORK/with.d.%r"
	echo "without the index: $(awk '{ n += $1 } END { print n }' reads)"
	check "that is counted" test "$(awk '{ n += $1 } END { print n }' reads)" -gt 20000000
	WHO=()

	# Compressed, frames of 16 MiB: those with what is wanted are decoded, and no others.
	what="compressed"
	wipe
	mkdir -p z.0/out zdest && mv many z.0/out/many
	timeout "$LIMIT" "$BIN/ebt-drain" --per-rank '--pack=**=many.tar.zst' "$WORK/z.%r" zdest >out 2>err || { fail "drain"; show; }
	rules=(--include=/out/ --include=/out/many/ --include=/out/many/d0/ --include=f77 --exclude='*')
	QUICK=
	both "$used" 0 zdest/many.tar.zst "${rules[@]}"
	both "most of the archive is wanted" 0 zdest/many.tar.zst --exclude=f77
	what="compressed, bytes that are read"
	all=$(stat -c %s zdest/many.tar.zst)
	WHO=(env "LD_PRELOAD=$READS" "EBT_TEST_READS_OF=$WORK/zdest/many.tar.zst" "EBT_TEST_READS_IN=$WORK/reads")
	rm -f reads
	expect 0 2 "${rules[@]}" --unpack zdest/many.tar.zst "$WORK/with.d.%r"
	WHO=()
	n=$(awk '{ n += $1 } END { print n + 0 }' reads)
	echo "$n bytes of $all are read, with the index"
	# The first and the last, twice: headers are looked at before anything is believed.
	check "few bytes are read: $n of $all" test "$n" -gt 0 -a "$n" -lt $((all / 2))
	wipe
	# A frame that nobody needs is damaged, then its seek table is not there.
	what="compressed, damaged"
	cp -p zdest/many.tar.zst whole.zst
	run with "${rules[@]}" --unpack zdest/many.tar.zst
	mkdir right && mv with.* right
	printf 'damage' | dd of=zdest/many.tar.zst bs=1 seek=$((all / 2)) conv=notrunc status=none
	touch -r whole.zst zdest/many.tar.zst
	run with "${rules[@]}" --unpack zdest/many.tar.zst
	is "status" 0 "$(cat with.status)"
	check "the same comes" cmp right/with.looks with.looks
	wipe
	run with --exclude=f77 --unpack zdest/many.tar.zst
	is "status of all of it" 1 "$(cat with.status)"
	check "it says which" grep -q "many.tar.zst: " with.err
	nothing_visible with.d.0 with.d.1
	wipe
	cp -p whole.zst zdest/many.tar.zst
	printf 'x' | dd of=zdest/many.tar.zst bs=1 seek=$((all - 1)) conv=notrunc status=none
	touch -r whole.zst zdest/many.tar.zst
	timeout "$LIMIT" "$STAGE" -v --dry-run --per-rank "${rules[@]}" --unpack zdest/many.tar.zst "$WORK/dry.%r" >out 2>err
	says "without a seek table"
	unset QUICK
else
	echo "not tried: nothing can be preloaded"
fi
wipe
what=
finish
