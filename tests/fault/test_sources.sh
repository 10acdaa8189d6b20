#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Sources that vanish, shrink or change between scan and read, and ones that may not be read.
# The ranks stand still while the source is changed, so nothing depends on who is faster.
. "$(dirname "$0")/fault.sh"

mkdir src
for i in $(seq 10 49); do head -c 1000000 /dev/urandom >"src/f$i"; done
head -c 8000000 /dev/urandom >src/z-large
: >src/z-none
cp -a src keep
D=("$WORK/d.0" "$WORK/d.1" "$WORK/d.2")

# changed COMMAND...: a run in the middle of which COMMAND is carried out
changed() {
	local pids
	rm -rf src "${D[@]}"
	cp -a keep src
	begin --readers=1 --io-threads=1 --parcel=128K --memory=2M src/. "$WORK/d.%r"
	pids=$(all_ranks)
	until_there 'd.0/.ebt/incoming/*/tree/f10' || fail "$what: too late"
	kill -STOP $pids
	[ ! -e "$(compgen -G 'd.0/.ebt/incoming/*/tree/z-large')" ] || echo "note: $what: late"
	"$@"
	kill -CONT $pids
	ended 30
}
what="a file vanishes"
changed rm src/z-large
fails_naming z-large "${D[@]}"
what="a directory vanishes"
changed rm -r src
fails_naming "No such file" "${D[@]}"
what="a file is truncated"
changed truncate -s 100 src/z-large
fails_naming z-large "${D[@]}"
what="a file grows"
changed dd if=/dev/zero of=src/z-large bs=1 count=1 seek=8000000 conv=notrunc status=none
fails_naming z-large "${D[@]}"
what="a file is rewritten, same size and time"
rewrite() {
	head -c 8000000 /dev/zero >src/other
	touch -r src/z-large src/other
	mv src/other src/z-large
}
changed rewrite
fails_naming z-large "${D[@]}"
what="a file becomes a FIFO"
fifo() { rm src/z-large && mkfifo src/z-large; }
changed fifo
fails_naming z-large "${D[@]}"
what="a file becomes a link"
relink() { mv src/z-large src/y && ln -s y src/z-large; }
changed relink
fails_naming z-large "${D[@]}"
what="a file without content is touched"
changed touch -d yesterday src/z-none
fails_naming z-none "${D[@]}"
what="a file without content vanishes"
changed rm src/z-none
fails_naming z-none "${D[@]}"
what="a file without content gets some"
fills() { echo more >src/z-none; }
changed fills
fails_naming z-none "${D[@]}"

# Somebody writes all the time, and puts back the time: some run or other must notice or
# the content must be whole; here only that nothing hangs and nothing torn becomes visible.
what="names come and go during the scan"
rm -rf src "${D[@]}"
cp -a keep src
( trap 'exit 0' TERM
  while :; do for i in 1 2 3; do : >src/t$i; mv src/t$i src/u$i 2>/dev/null; rm -f src/u$i; done; done ) 2>/dev/null &
mutator=$!
for i in 1 2 3 4 5; do
	begin src/. "$WORK/d.%r"
	ended 30
	if [ $status -eq 0 ]; then
		for f in keep/*; do check "$what: ${f#keep/}" cmp -s "$f" "d.1/${f#keep/}"; done
	else
		says "src/"
		nothing_visible "${D[@]}"
	fi
	rm -rf "${D[@]}"
done
kill -TERM $mutator
wait $mutator 2>/dev/null

# What the rules leave out may come and go all the time: no run fails.
what="names that are left out come and go during the scan"
rm -rf src
mkdir src
for i in $(seq 300); do echo $i >src/m$i.pyc; done
( trap 'exit 0' TERM
  while :; do for i in $(seq 300); do : >src/m$i.pyc.$i; done; rm -f src/*.pyc.*; done ) 2>/dev/null &
mutator=$!
for i in $(seq 12); do
	begin --exclude='*.pyc.*' src/. "$WORK/d.%r"
	ended 30
	check "$what: run $i, status $status" test $status -eq 0
	check "$what: all is there" test "$(ls d.1 | wc -l)" = 300
	rm -rf "${D[@]}"
done
kill -TERM $mutator
wait $mutator 2>/dev/null

# A user who may not read everything.
if [ "$(id -u)" = 0 ]; then
	if command -v setpriv >/dev/null; then
		AS=(setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/ "PIDS=$WORK/pids")
	fi
	if [ ${#AS[@]} = 0 ] || ! "${AS[@]}" test -x "$STAGE"; then
		echo "not tried: unreadable sources need setpriv and a build that everybody may run"
		finish
	fi
fi
rm -rf src "${D[@]}"
cp -a keep src
mkdir src/closed
echo secret >src/closed/file
chmod -R a+rX src
rm -f out err
touch out err
mkdir -m 777 open
what="DEST would be made where others could replace it"
begin src/. "$WORK/open/d.%r"
ended 30
fails_naming /open "$WORK/open/d.0" "$WORK/open/d.1" "$WORK/open/d.2"
says "sticky"
mkdir -m 1777 user
U=("$WORK/user/d.0" "$WORK/user/d.1" "$WORK/user/d.2")
what="a file may not be read"
chmod 0 src/f33
[ "$(id -u)" != 0 ] || chown -R 0:0 src
begin src/. "$WORK/user/d.%r"
ended 30
fails_naming /f33 "${U[@]}"
says "Permission denied"
chmod 644 src/f33
what="a directory may not be read"
chmod 0 src/closed
begin src/. "$WORK/user/d.%r"
ended 30
fails_naming /closed "${U[@]}"
says "Permission denied"
chmod 755 src/closed
what="everything may be read"
begin src/. "$WORK/user/d.%r"
ended 30
check "$what" test $status -eq 0
check "$what: content" cmp src/closed/file user/d.2/closed/file
finish
