#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The main job of ebt-drain: whatever lies in the nodes' stores and was not staged there
# unchanged arrives, with everything that belongs to it, from any number of nodes.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/drain.sh"
cd "$WORK" || exit 99

make_tree want
long=$(printf 'd%.0s' $(seq 255))
mkdir -p "want/$long/$(printf 'in\nner\377')" want/deep/1/2/3/4/5/6/7/8/9
echo deep >want/deep/1/2/3/4/5/6/7/8/9/file
echo long >"want/$long/${long//d/f}"
echo closed >want/closed
chmod 0000 want/closed
echo suid >want/suid
chmod 6755 want/suid
ln -s loop2 want/loop1
ln -s loop1 want/loop2
ln -s . want/self
ln -s ../../../../etc/passwd want/outside
ln -s "$(printf 'to\nnew\377line')" want/odd-target
truncate -s 3000000 want/hole-at-end
printf start | dd of=want/hole-at-end conv=notrunc status=none
truncate -s 2000000 want/hole-in-front
head -c 5000 /dev/urandom >>want/hole-in-front
: >want/grown
truncate -s 4096 want/grown
if command -v setfattr >/dev/null && setfattr -n user.ebt -v "$(printf 'a\tb\nc')" want/empty 2>/dev/null; then
	setfattr -n user.long -v "$(printf 'v%.0s' $(seq 1000))" want/a/b/c/large
	if [ "$(id -u)" = 0 ]; then setfattr -n trusted.ebt -v root want/a/b/medium; fi
else
	echo "not tried: extended attributes, which cannot be set here"
fi
touch -d '2011-11-11 11:11:11.111111111 UTC' want/closed want/deep/1 "want/$long"
touch -d '2005-05-05 05:05:05.5 UTC' want

# Holes stay holes, on whatever nodes.
holes() { # SOURCE DEST
	local f
	for f in hole bighole allhole hole-at-end hole-in-front; do
		CHECKS=$((CHECKS + 1))
		[ "$(stat -c %b "$2/$f")" -le $(($(stat -c %b "$1/$f") + 16)) ] ||
			fail "$2/$f takes $(stat -c %b "$2/$f") blocks, $1/$f $(stat -c %b "$1/$f")"
	done
}
for n in 1 2 3 5; do
	spread want $n s$n
	expect 0 $n --json "$WORK/s$n.%r" "$WORK/d$n"
	arrived want d$n
	holes want d$n
	is "files of $n nodes" "$(find want -type f -printf '%i\n' | sort -u | wc -l)" "$(number files)"
	is "failed of $n nodes" 0 "$(number failed)"
	[ -d keep ] || cp -a want keep
	[ $n = 2 ] || rm -rf s$n.* d$n
done

# Once more to the same place: all is there already, and nothing is written again.
picture d2 >before
expect 0 2 --json "$WORK/s2.%r" "$WORK/d2"
is "files of the second run" 0 "$(number files)"
check "second run leaves all alone" diff before <(picture d2)

# What only one node has does not go to others first.
mkdir lone.0 lone.1 lone.2
head -c 16M /dev/urandom >lone.1/large
expect 0 3 --json "$WORK/lone.%r" "$WORK/dlone"
check "it arrived" cmp lone.1/large dlone/large
is "nodes that write" "1 0" "$(number writers) $(number moved)"
says '"home":true'
expect 0 3 --json --writers=3 --overwrite=always --restart "$WORK/lone.%r" "$WORK/dlone2"
is "nodes that write, if they are said" 3 "$(number writers)"
says '"home":false'

# What cannot be drained is left out, with one warning each kind.
mkfifo s2.0/fifo1 s2.0/fifo2 s2.1/a/fifo3
if [ "$(id -u)" = 0 ] && mknod s2.0/dev1 c 1 3 2>/dev/null; then
	mknod s2.1/dev2 b 7 9
	devices=2
else
	echo "not tried: devices, which cannot be made here"
	devices=0
fi
sockets=0
if [ -n "$PYTHON" ]; then
	"$PYTHON" -c 'import socket, sys
for name in sys.argv[1:]: socket.socket(socket.AF_UNIX).bind(name)' s2.0/socket1 s2.1/socket2 && sockets=2
fi
expect 0 2 --json "$WORK/s2.%r" "$WORK/special"
for kind in fifo socket device; do
	most=1 least=1
	[ $kind != device ] || [ $devices -gt 0 ] || least=0 most=0
	[ $kind != socket ] || [ $sockets -gt 0 ] || least=0 most=0
	said=$(grep -ci "$kind" err)
	# One line a kind and node at most.
	check "warnings of ${kind}s: $said" test "$said" -ge $least -a "$said" -le $((most * 2))
done
is "skipped" $((3 + devices + sockets)) "$(number skipped)"
arrived want special
rm -rf special s2.0/fifo* s2.1/a/fifo3 s2.?/dev[12] s2.?/socket?

# Several ranks on a node are lanes of one store.
CHECKS=$((CHECKS + 1))
timeout "$LIMIT" "$LAUNCH" -n 3 "$STAGE" --local-dest --memory=32M keep lanes >out 2>err </dev/null || { fail "lanes"; show; }
arrived want lanes
rm -rf lanes keep/.ebt

# %h and %r; DEST as seen from the working directory, through a link, with a slash at the end.
mkdir real
ln -s real via
mv s2.0 "h.$(hostname).0"
mv s2.1 "h.$(hostname).1"
expect 0 2 "h.%h.%r/" via/new/
arrived want real/new
check "the link stays" test -L via
rm -rf real via h.* d2

# More than 4 GiB in one file, mostly hole.
if truncate -s 5G big 2>/dev/null; then
	mkdir big.0 big.1
	mv big big.1/big
	for at in 0 4294967295 4999999999; do
		printf "data at $at" | dd of=big.1/big bs=1M oflag=seek_bytes seek=$at conv=notrunc status=none
	done
	expect 0 2 "$WORK/big.%r" "$WORK/dbig"
	is "size of a large file" 5368709120 "$(stat -c %s dbig/big)"
	for at in 0 4294967295 4999999999; do
		is "data at $at" "data at $at" "$(dd if=dbig/big bs=64 iflag=skip_bytes skip=$at count=1 status=none | tr -d '\0')"
	done
	# Nothing but these blocks can hold anything.
	check "blocks of a large file" test "$(stat -c %b dbig/big)" -le $(($(stat -c %b big.1/big) + 16))
	rm -rf big.* dbig
else
	echo "not tried: files above 4 GiB, which cannot be made here"
fi

# Nothing to drain.
mkdir none.0 none.1
expect 0 2 --json "$WORK/none.%r" "$WORK/dnone"
is "files of none" 0 "$(number files)"
nothing_at dnone

# Outputs are what staging did not put there, or what changed since.
mkdir -p in/lib in/out
for i in 1 2 3 4 5 6; do echo "input $i" >in/lib/f$i; done
echo config >in/out/config
ln in/lib/f5 in/lib/f5b
ln -s f1 in/lib/l
staged 2 in/. "$WORK/t.%r"
expect 0 2 --json "$WORK/t.%r" "$WORK/untouched"
is "unchanged" 0 "$(number files)"
check "no file of an untouched store" test -z "$(find untouched ! -type d)"
echo "changed here" >t.0/lib/f1              # other size
printf X | dd of=t.1/lib/f2 conv=notrunc status=none # same size, later
chmod 600 t.0/lib/f3                         # only its mode
cp t.1/lib/f4 f4 && mv f4 t.1/lib/f4         # same content, another file, later
ln -sf f2 t.1/lib/l
rm t.0/lib/f6                                # gone is nothing to drain
echo new >t.0/out/new
mkdir t.1/out/newdir
echo other >t.1/out/newdir/other
mkdir expected
rsync -a t.1/lib/f2 t.1/lib/l t.0/lib/f1 expected/lib/
rsync -a --include=newdir --include='newdir/**' --exclude='*' t.1/out/ expected/out/
rsync -a t.0/out/new expected/out/
expect 0 2 --json "$WORK/t.%r" "$WORK/dt"
for f in lib/f1 lib/f2 out/new out/newdir/other; do
	check "$f arrives" cmp -s expected/$f dt/$f
done
is "a changed link" f2 "$(readlink dt/lib/l)"
for f in lib/f5 lib/f5b lib/f6 out/config; do absent dt/$f; done
is "a mode that changed" 600 "$(stat -c %a dt/lib/f3 2>/dev/null)"
check "inputs stay where they are" test -e t.0/out/config -a -e t.1/lib/f5
rm -rf dt

# STORE within what was staged.
expect 0 2 --json "$WORK/t.%r/out" "$WORK/dsub"
check "outputs of a part" diff <(cd expected/out && find . -type f | sort) <(cd dsub && find . -type f | sort)
check "their content" diff -r expected/out dsub
is "files of a part" 2 "$(number files)"
tidy dsub
# The whole once more: what a drain of the part left behind there is no output.
expect 0 2 "$WORK/t.%r" "$WORK/dt"
tidy dt
exists dt/out/newdir/other

# Filters: rsync on the same tree with the same rules is the judge.
mkdir -p p/env/lib p/env/cache p/data
echo 1 >p/env/lib/a.so
echo 2 >p/env/lib/b.pyc
echo 3 >p/env/cache/c
echo 4 >p/data/x
ln -s env p/elink
spread p 2 f
judge() {
	expect 0 2 "$@" "$WORK/f.%r" "$WORK/df"
	rm -rf wanted
	rsync -aHAX "$@" p/ wanted/
	same wanted df
	rm -rf df
}
judge --exclude='*.pyc'
judge --exclude=/env/cache/
judge --include='*.so' --include='*/' --exclude='*'
judge --exclude='/env' --exclude='data/x'
judge --include='/env/lib/***' --exclude='/env/**'
printf '# comment\n- *.pyc\n\n+ x\n; more\ndata/*\n' >rules
judge --exclude-from=rules
expect 1 2 --exclude-from=nosuch "$WORK/f.%r" "$WORK/df"
says nosuch
nothing_at df

if command -v setfattr >/dev/null && setfattr -n user.ebt -v x f.0/env/lib 2>/dev/null; then
	setfattr -n user.ebt -v x f.1/data/x f.0/data/x 2>/dev/null
	expect 0 2 --no-xattrs "$WORK/f.%r" "$WORK/df"
	check "no extended attributes" test -z "$(getfattr -R -d df 2>/dev/null)"
fi
finish
