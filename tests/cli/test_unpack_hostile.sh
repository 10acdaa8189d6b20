#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Archives that lie, are damaged or change: refused by name, with status 1, on all nodes; nothing is
# visible, nothing left, nothing outside of DEST. What a rank's death leaves the next run removes.
# Usage: test_unpack_hostile.sh BIN
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/archives.sh"

# gone: nothing of the run is left, nor anything beside its stores
mkdir store
gone() {
	local left
	CHECKS=$((CHECKS + 1))
	left=$(find store -mindepth 1)
	[ -z "$left" ] || fail "left: $left"
	CHECKS=$((CHECKS + 1))
	[ ! -e up ] && [ ! -e /ebt-hostile ] && [ "$(cat victim)" = victim ] || fail "something outside of DEST"
	rm -rf store/*
}
echo victim >victim
# bad TEXT ARCHIVE [N [ARG...]]: that is refused by N nodes, with good members brought before
bad() {
	local text=$1 archive=$2 n=${3:-1}
	shift $(($# > 3 ? 3 : $#))
	what="$archive: $text"
	if [ "$n" = 1 ]; then
		CHECKS=$((CHECKS + 1))
		timeout "$LIMIT" "$STAGE" --per-rank --memory=16M --batch=1 "$@" --unpack "$archive" "$WORK/store/d.%r" >out 2>err </dev/null
		local got=$?
		[ $got = 1 ] || { fail "exit status $got, not 1"; show; }
	else
		expect 1 "$n" --memory=16M --batch=1 "$@" --unpack "$archive" "$WORK/store/d.%r"
	fi
	says "$text"
	says "${archive##*/}"
	CHECKS=$((CHECKS + 1))
	[ "$(wc -l <err)" -le 2 ] || { fail "more than a line"; show; }
	gone
	what=
}
good=(f,good,G f,x/good,@3000 "f,large,@600000" s,sym,good p,fifo f,file,F)
# member TEXT SPEC...: as the last of several that are good
member() {
	local text=$1
	shift
	make t.tar pax "${good[@]}" "$@" f,behind,B
	bad "$text" t.tar
}

# Names.
member "/ebt-hostile: an absolute name" f,/ebt-hostile,x
member "../up: a name with \"..\" in it" f,../up,x
member "x/../../up: a name with \"..\" in it" f,x/../../up,x
member "an empty name" f,,x
member ".ebt/manifest: a name that is EBT's own" f,.ebt/manifest,x
member "/.ebt: a name that is EBT's own" f,.//.ebt,x
member ".ebt: a name that is EBT's own" s,.ebt,/tmp
member "its name leads through file, which is a file" f,file/x,x
member "its name leads through sym, which is a symbolic link" f,sym/x,x
member "its name leads through out, which is a symbolic link" "s,out,$WORK" f,out/victim,x
member "its name leads through x/out, which is a symbolic link" s,x/out,../.. f,x/out/up,x
member "its name leads through fifo, which is a FIFO" f,fifo/x,x
member "a part of more than 255 bytes" "f,$(printf 'n%.0s' $(seq 256)),x"
member "of more than 4095 bytes" "f,$(printf 'dir/%.0s' $(seq 1030)),x"
member "it would be the directory of all" f,.,x
# Another kind under a name that was there.
member "x: a file, and a directory of that name comes before it" f,x,x
member "file: a directory, and a file of that name comes before it" d,file
member "file: a symbolic link, and a file of that name comes before it" "s,file,$WORK/victim"
member "sym: a file, and a symbolic link of that name comes before it" f,sym,x
member "fifo: a file, and a FIFO" f,fifo,x
member "sym: a directory, and a symbolic link of that name comes before it" d,sym
# Links.
member "a hard link to behind, which does not come before it" h,l,behind
member "a hard link to missing, which does not come before it" h,l,missing
member "a hard link to itself" h,l,l
member "a hard link to $WORK/victim, an absolute name" "h,l,$WORK/victim"
member "a hard link to ../victim, a name with \"..\" in it" h,l,../victim
member "a hard link to x, which is a directory" h,l,x
member "EBT's own" h,l,.ebt/lock
member "a symbolic link without a target" s,l,
member "more than 4095 bytes" "s,l,$(printf 'dir/%.0s' $(seq 1250))"
# Numbers and attributes.
member "are not numbers of users here" f,u,x,uid=4294967295,comment=x,uid=4294967295
member "NFSv4" "f,n,x,SCHILY.acl.ace=owner@:rwx::allow:"
for m in "GNU.volume.filename=x,GNU.volume.size=9,GNU.volume.offset=5"; do
	member "lies in several archives" "f,v,x,$m"
done
member "lies in several archives" t,M,v,xxxxx
member "sparse" "f,s,xx,GNU.sparse.major=0,GNU.sparse.minor=1,GNU.sparse.size=100,GNU.sparse.map=50%2C1%2C10%2C1"
member "" "f,s,xx,GNU.sparse.major=0,GNU.sparse.minor=1,GNU.sparse.size=100,GNU.sparse.map=0%2C1%2C200%2C1"
member "" "f,s,xx,GNU.sparse.major=0,GNU.sparse.minor=1,GNU.sparse.size=9223372036854775807,GNU.sparse.map=0%2C1%2C9223372036854775806%2C1"
# Sizes: more than there is, more than there is room for.
member "" f,s,x,size=8589934591
make t.tar pax f,good,G f,s,x,size=8589934591
bad "" t.tar
make t.tar pax f,good,G f,s,,size=4611686018427387904
bad "" t.tar

# Others than tar.
if command -v 7z >/dev/null; then
	mkdir -p in && echo secret >in/secret && head -c 300000 /dev/urandom >in/random && ln -s random in/link
	(cd in && 7z a -bd -psecret ../enc.7z . && 7z a -bd -psecret -mhe=on ../hidden.7z . && 7z a -bd -tzip -psecret ../enc.zip . &&
		7z a -bd -tzip -psecret -mem=AES256 ../aes.zip . && 7z a -bd ../ok.7z . && 7z a -bd -v100k ../vol.7z .) >/dev/null
	for a in enc.7z enc.zip; do bad "encrypted" $a; done
	bad "aes" aes.zip
	bad "" hidden.7z
	bad "" vol.7z.001
	bad "" vol.7z.002
	head -c -1 ok.7z >cut.7z
	bad "cut off" cut.7z
	(cat ok.7z && echo garbage) >more.7z
	bad "more data behind" more.7z
else
	echo "not tried: no 7z"
fi
python3 - <<'P'
import struct, zipfile
def store(name, members, **kw):
    with zipfile.ZipFile(name, "w", **kw) as z:
        for n, data in members:
            z.writestr(n, data)
good = [("good", b"G" * 1000), ("x/y", b"y" * 70000)]
store("ok.zip", good, compression=zipfile.ZIP_DEFLATED)
store("up.zip", good + [("../up", b"x")])
store("abs.zip", good + [("/ebt-hostile", b"x")])
data = bytearray(open("ok.zip", "rb").read())
d = bytearray(data); d[45] ^= 1; open("flip.zip", "wb").write(d)
d = bytearray(data); at = d.index(b"PK\1\2"); d[at + 16] ^= 1; open("crc.zip", "wb").write(d)
d = bytearray(data); struct.pack_into("<I", d, at + 24, 999); open("size.zip", "wb").write(d)
open("cut.zip", "wb").write(data[:-1])
open("more.zip", "wb").write(data + b"garbage")
open("two.zip", "wb").write(data + data)
P
bad "../up: a name with \"..\" in it" up.zip
bad "an absolute name" abs.zip
for a in flip crc size; do bad "" $a.zip; done
bad "cut off" cut.zip
bad "more data behind" more.zip
bad "two archives in one file" two.zip
if command -v cpio >/dev/null; then
	mkdir -p in && echo x >in/file
	(cd in && find . | cpio -o -H bin --quiet >../old.cpio && find . | cpio -o -H newc --quiet >../new.cpio && find . | cpio -o -H crc --quiet >../crc.cpio)
	bad "an old binary cpio archive" old.cpio
	python3 - <<'P'
d = bytearray(open("crc.cpio", "rb").read())
at = d.rindex(b"x\n"); d[at] ^= 2; open("flip.cpio", "wb").write(d)
d = open("new.cpio", "rb").read()
open("cut.cpio", "wb").write(d[:d.rindex(b"070701")])
open("more.cpio", "wb").write(d + b"garbage")
P
	bad "does not have its checksum" flip.cpio
	bad "" cut.cpio
	bad "more data behind the end" more.cpio
fi

# No archives.
: >empty
bad "empty: no archive" empty
head -c 100000 /dev/urandom >random
bad "no archive" random
echo text >short
bad "no archive" short

# The end of a tar, and what is behind it.
make t.tar pax "${good[@]}"
make noend.tar pax-end "${good[@]}"
make half.tar pax-end "${good[@]}" z,1
for a in noend half; do bad "ends without its end mark" $a.tar; done
(cat t.tar && echo garbage) >garbage.tar
(cat t.tar t.tar) >twice.tar
(cat t.tar && head -c 100000 /dev/zero && echo x) >far.tar
for a in garbage twice far; do bad "more data behind the end of the archive; use --concatenated" $a.tar; done
bad "" garbage.tar 1 --concatenated
(cat t.tar && head -c 100000 /dev/zero) >padded.tar
expect 0 1 --unpack padded.tar "$WORK/store/d.%r"
rm -rf store/*

# On several nodes, one of which notices.
make t.tar pax "${good[@]}" f,../up,x
for batch in 1 3 1000; do bad "../up: a name with \"..\" in it" t.tar 3 --batch=$batch; done
make l.tar pax "${good[@]}" f,last,@5000000 h,a,good f,good,other
bad "a is a hard link to good, which was replaced afterwards" l.tar 3
gzip -1 l.tar && head -c -9 l.tar.gz >cutl.tar.gz
bad "" cutl.tar.gz 3

# Compressed: cut anywhere, and one bit anywhere. What the checksum covers is seen, and so is the end.
make t.tar pax "${good[@]}" f,text,$(printf 'text%.0s' $(seq 300)) f,last,@9000
for tool in none gzip bzip2 xz zstd lz4; do
	what=$tool
	if [ $tool = none ]; then
		cp t.tar c.none
	else
		command -v $tool >/dev/null && "$STAGE" --version | grep -q "^archives.*$tool" || { echo "not tried: $tool"; continue; }
		$tool -qc <t.tar >c.$tool 2>/dev/null || $tool -c <t.tar >c.$tool
		# zstd of a pipe has a checksum, as the command line sets it.
		(cat c.$tool && echo garbage) >g.$tool
		bad "" g.$tool
	fi
	python3 - c.$tool <<'P'
import random, sys
d = open(sys.argv[1], "rb").read()
random.seed(len(d))
n = 10
for i in range(n):
    cut = len(d) * i // n + random.randrange(len(d) // n)
    open("cut.%d" % i, "wb").write(d[:cut])
    f = bytearray(d)
    f[random.randrange(12, len(d))] ^= 1 << random.randrange(8)
    open("flip.%d" % i, "wb").write(f)
P
	for i in 0 1 2 3 4 5 6 7 8 9; do
		bad "" cut.$i
		[ $tool = none ] || bad "" flip.$i
	done
done

# It changes while it is read: a plain one where large members are read at their place, one that is fed.
what="changes"
make big.tar gnu f,a,@3000000 f,b,@10000000 f,c,@10000000
gzip -1 -k big.tar
for a in big.tar big.tar.gz; do
	(while [ ! -e stop ]; do touch $a; done) &
	toucher=$!
	expect 1 2 --parcel=128K --memory=8M --unpack $a "$WORK/store/d.%r"
	touch stop
	wait $toucher
	rm stop
	says "changed while it was being"
	gone
done

# A rank that is killed, and a stop, in the middle of an archive that comes through a FIFO: what the writer
# holds back is waited for, so the moment is sure.
mkfifo pipe
half=$(($(stat -c %s big.tar.gz) / 2))
# begin ARG...: three ranks that have half of it, and one file of it whole; the launcher's id in $pid
begin() {
	exec 8<>pipe
	"$LAUNCH" -n 3 "$STAGE" --per-rank --memory=8M --batch=1 --unpack pipe "$WORK/store/d.%r" >out 2>err </dev/null 8>&- &
	pid=$!
	timeout "$LIMIT" head -c $half big.tar.gz >&8 || fail "nobody reads"
	for _ in $(seq 1000); do
		[ -n "$(ls store/d.2/.ebt/incoming/*/tree/a 2>/dev/null)" ] && break
		sleep 0.01
	done
	check "the first file is there" test -n "$(ls store/d.2/.ebt/incoming/*/tree/a 2>/dev/null)"
}
# ended: it comes to an end by itself, with a bad status
ended() {
	timeout 30 tail --pid=$pid -f /dev/null || fail "hangs"
	wait $pid
	check "status" test $? -ne 0
	exec 8>&-
}
for sig in TERM INT; do
	what="SIG$sig"
	begin
	kill -$sig $pid
	ended
	gone
done
for victim in 0 2; do
	what="rank $victim is killed"
	begin
	rank=
	for p in $(pgrep -x ebt-stage); do
		{ tr '\0' '\n' <"/proc/$p/environ" | grep -qx "EBT_RANK=$victim" &&
			grep -qF "$WORK/store/" "/proc/$p/cmdline" && rank=$p; } 2>/dev/null
	done
	kill -9 "$rank" || fail "rank $victim was gone already"
	ended
	nothing_visible store/d.0 store/d.1 store/d.2
	expect 0 3 --memory=8M --unpack big.tar.gz "$WORK/store/d.%r"
	check "what was left is gone" test -z "$(ls store/d.?/.ebt/incoming 2>/dev/null | grep -v :)"
	is "all of it" 23000000 "$(($(cat store/d.2/[abc] | wc -c)))"
	rm -rf store/*
done
what="the writer gives up"
exec 8<>pipe
"$LAUNCH" -n 3 "$STAGE" --per-rank --memory=8M --batch=1 --unpack pipe "$WORK/store/d.%r" >out 2>err </dev/null 8>&- &
pid=$!
timeout "$LIMIT" head -c $half big.tar.gz >&8
exec 8>&-
ended
says "pipe"
gone
what=
finish
