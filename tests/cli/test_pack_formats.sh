#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Archives as drains make them, read by GNU tar, bsdtar, Python's tarfile and busybox tar: content,
# names and all attributes that each of them restores, without a complaint of any.
. "$(dirname "$0")/lib.sh"
PACK=$(readlink -f "$2")
cli=$(cd "$(dirname "$0")" && pwd)
cd "$WORK" || exit 99

have() {
	command -v "$1" >/dev/null && return 0
	echo "not tried: no $1"
	return 1
}
# run COMMAND...: it succeeds and has nothing to say on stderr
run() {
	CHECKS=$((CHECKS + 1))
	timeout "$LIMIT" "$@" >"$WORK/out" 2>"$WORK/err" && [ ! -s "$WORK/err" ] && return 0
	fail "status $?: $*"
	show
}
# The same, but GNU tar may say that it does not know hdrcharset, which it does not need.
run_tar() {
	CHECKS=$((CHECKS + 1))
	timeout "$LIMIT" tar --warning=no-timestamp "$@" >"$WORK/out" 2>"$WORK/err" &&
		! grep -v "Ignoring unknown extended header keyword 'hdrcharset'$" "$WORK/err" && return 0
	fail "status $?: tar $*"
	show
}
# Kinds, modes, ids, sizes, links, times and names of tree $1; $2: how much of a time.
list() {
	(cd "$1" && find . -mindepth 1 -printf '%y %m %U %G %n %l %'"${2:-T@}"' %P\0' | sort -z)
}
sizes() {
	(cd "$1" && find . -type f -printf '%s %P\0' | sort -z)
}
acls() {
	(cd "$1" && find . -mindepth 1 ! -type l -print0 | sort -z | xargs -0 getfacl -n --)
}
attributes() {
	(cd "$1" && find . -mindepth 1 ! -type l -print0 | sort -z | xargs -0 getfattr -d -m "${2:--}" -e hex --)
}
# content TREE COPY; of the file of 9 GiB its end is enough
content() {
	check "content" diff -r --no-dereference --exclude=huge "$1" "$2"
	check "end of the huge one" cmp <(tail -c 1000000 "$1/huge") <(tail -c 1000000 "$2/huge")
}
# unpacked TREE COPY: content and what find shows
unpacked() {
	content "$1" "$2"
	check "attributes" cmp <(list "$1") <(list "$2")
	check "sizes" cmp <(sizes "$1") <(sizes "$2")
}

"$PACK" --help >/dev/null 2>&1
mkdir tree probe
"$PACK" probe probe.tar 2>err || { grep -q 'not built in' err && skip "$(cat err)"; cat err; exit 99; }

# Everything that is hard, but for ACLs and times before 1970.
n50=$(printf 'n%.0s' {1..50})
mkdir -p tree/d/e tree/$'dir\xff' "tree/leer zeichen" tree/readonly
printf 'hello\n' >tree/d/a
: >tree/d/none
head -c 3000000 /dev/urandom >tree/d/e/large
for i in $(seq 0 700); do head -c "$i" /dev/urandom >"tree/leer zeichen/$i"; done
ln tree/d/a tree/hard
ln tree/d/a tree/$'dir\xff/h\xfe'
ln -s d/a tree/link
ln -s "$(printf 'x%.0s' {1..3000})" tree/longlink
ln -s $'\xff\n' tree/$'odd\xfflink'
printf x >tree/$'n\xff\xfe\xc3'
printf y >tree/$'new\nline'
printf z >tree/grün
printf 0 >"tree/$n50$n50"
printf 1 >"tree/$(printf 'm%.0s' {1..255})"
(
	cd tree || exit
	deep=$(printf 'p%.0s' {1..249})
	for _ in $(seq 16); do
		mkdir "$deep" && cd "$deep" || exit # 4000 bytes
	done
	printf deep >file && ln file hard
)
touch -d '2001-02-03 04:05:06.123456789' tree/d/none
touch -d '2033-05-18 03:33:20' tree/grün
touch -d '2200-01-01 00:00:00.5' tree/d/e/large
touch -d '1970-01-01 00:00:00 UTC' tree/d/e
chmod 4755 tree/d/a
chmod 0555 tree/readonly
chmod 2750 tree/d/e
chmod 0 tree/d/none
root=
[ "$(id -u)" != 0 ] || root=1
if [ "$root" ]; then
	chown 3000000:4000000000 tree/grün
	chown -h 2097152:2097151 tree/link
else
	echo "not tried: owners, as this is not root"
	chmod 0600 tree/d/none
fi
xattr=
if have setfattr && setfattr -n user.ebt -v value tree/d/a 2>/dev/null; then
	xattr=1
	setfattr -n user.odd=%3D -v 0x00ff0a3d tree/d/a
	setfattr -n user.$'\xff\xc3\xbc' -v "" tree/d
	setfattr -n user.long -v "$(printf 'v%.0s' {1..3000})" "tree/$n50$n50"
	[ ! "$root" ] || setfattr -n trusted.ebt -v t tree/d/e
else
	echo "not tried: no extended attributes here"
fi
# Holes: of a file that no ustar header can hold, at the ends, everywhere.
truncate -s 9G tree/huge
printf tail | dd of=tree/huge bs=1 seek=9663600000 conv=notrunc status=none
truncate -s 20M tree/allhole
for i in 0 5 6 19; do
	head -c 70000 /dev/urandom | dd of=tree/d/e/holes bs=64K seek=$((i * 16)) conv=notrunc status=none
done
truncate -s 40M tree/d/e/holes
case $(stat -c %b tree/huge) in ? | ?? | ???) ;; *) skip "no holes here" ;; esac

tar_x=(--xattrs --xattrs-include='*' --acls -p)
for blocks in 0 7; do
	what="tree, $blocks blocks"
	run "$PACK" --blocks=$blocks --stripe=70000 tree a.tar
	[ "$(stat -c %s a.tar)" -lt 8000000 ] || fail "holes were written"
	is "index" "$(tr -cd '\0' < <(list tree) | wc -c)" "$(($(wc -l <a.tar.idx) - 1))"

	run_tar -d --exclude=huge -f a.tar -C tree # of 9 GiB: see below
	mkdir gnu
	run_tar "${tar_x[@]}" -x -f a.tar -C gnu
	unpacked tree gnu
	[ ! "$xattr" ] || check "xattrs" cmp <(attributes tree) <(attributes gnu)
	chmod -R u+rwx gnu && rm -rf gnu

	if have bsdtar; then
		mkdir bsd
		run env LC_ALL=C.UTF-8 bsdtar -x -p --xattrs --acls -f a.tar -C bsd
		unpacked tree bsd
		# Its library takes names as they stand in the archive, %3D and all, if it can.
		[ ! "$xattr" ] || check "xattrs" cmp <(attributes tree '^user[.](ebt|long)$') \
			<(attributes bsd '^user[.](ebt|long)$')
		chmod -R u+rwx bsd && rm -rf bsd
	fi

	if have python3; then
		mkdir py
		run env LC_ALL=C.UTF-8 python3 -W ignore -c 'import sys, tarfile
t = tarfile.open("a.tar", errorlevel=2)
t.extractall("py", numeric_owner=True)
for m in t:
	if m.isfile() and t.fileobj.seek(m.offset_data) != m.offset_data:
		sys.exit(1)' || true
		content tree py
		# Times are floating point there, and links keep none.
		check "attributes" cmp <(list tree Ts | LC_ALL=C grep -azv ^l) <(list py Ts | LC_ALL=C grep -azv ^l)
		chmod -R u+rwx py && rm -rf py
	fi
done

what=index
if have python3; then
	run env LC_ALL=C.UTF-8 python3 -W ignore "$cli/index.py" a.tar
fi

# What every program reads is read by busybox, too: no map of holes.
what=busybox
rm -f tree/huge
run "$PACK" --whole --blocks=3 tree whole.tar
run_tar -d -f whole.tar -C tree
if have busybox; then
	mkdir bb
	run busybox tar -x -f whole.tar -C bb
	check "content" diff -r --no-dereference tree bb
	check "kinds and times" cmp <(list tree Ts | LC_ALL=C grep -az ^f) <(list bb Ts | LC_ALL=C grep -az ^f)
	check "links" cmp <(cd tree && find . -type l -printf '%l %P\0' | sort -z) \
		<(cd bb && find . -type l -printf '%l %P\0' | sort -z)
	chmod -R u+rwx bb && rm -rf bb
fi

what=zstd
if run "$PACK" --blocks=3 --stripe=300000 tree a.tar.zst && have zstd; then
	run "$PACK" --blocks=3 tree a.tar
	run zstd -q -t a.tar.zst
	check "the same" cmp <(zstd -q -dc a.tar.zst) a.tar
	run_tar --zstd -d -f a.tar.zst -C tree
	! have bsdtar || run env LC_ALL=C.UTF-8 bsdtar -t -f a.tar.zst
	check "the same index" cmp <(tail -n +2 a.tar.zst.idx) <(tail -n +2 a.tar.idx)
	# Frame 2 by itself, by the table as the page has it.
	if have python3; then
		python3 -c 'import struct, sys
b = open("a.tar.zst", "rb").read()
n, flags, magic = struct.unpack("<IBI", b[-9:])
assert magic == 0x8F92EAB1 and flags == 0
table = b[-17 - 8 * n:]
assert struct.unpack("<II", table[:8]) == (0x184D2A5E, 8 * n + 9)
f = struct.unpack("<%dI" % (2 * n), table[8:-9])
assert sum(f[::2]) + len(table) == len(b)
at = sum(f[0:4:2])
sys.stdout.buffer.write(b[at:at + f[4]])' >frame || fail "seek table"
		check "a frame" cmp <(zstd -q -dc frame) <(tail -c +600001 a.tar | head -c 300000)
	fi
fi

# Before 1970 whole seconds, for which there is no other word in GNU tar than "differs".
what=times
mkdir old old.out
touch -d '1969-12-31 23:59:58.25 UTC' old/a
touch -d '1901-12-13 20:45:52 UTC' old/b
touch -d '1969-12-31 23:59:59 UTC' old/c
run "$PACK" --blocks=2 old old.tar
run_tar -x -p -f old.tar -C old.out
is "GNU tar" "$(cd old && stat -c '%n %.0Y' ./*)" "$(cd old.out && stat -c '%n %Y' ./*)"
is "whole" "" "$(cd old.out && stat -c %.9Y ./* | grep -v '[.]000000000')"
if have bsdtar; then
	rm old.out/*
	run bsdtar -x -p -f old.tar -C old.out
	is "bsdtar" "$(cd old && stat -c '%n %.0Y' ./*)" "$(cd old.out && stat -c '%n %Y' ./*)"
fi

what=ACLs
mkdir acl
: >acl/a
: >acl/wide
mkdir acl/d acl/later
if have setfacl && setfacl -m u:1234:rwx,u:4000000000:r,g:77:rx acl/a 2>/dev/null; then
	setfacl -m u:99:rwx,g::r acl/wide
	setfacl -d -m u:99:rx,g:4294967294:rwx acl/d
	setfacl -m u:5:x acl/d
	ln acl/a acl/z
	run "$PACK" --blocks=2 acl acl.tar
	mkdir gnu bsd
	run_tar "${tar_x[@]}" -x -f acl.tar -C gnu
	check "GNU tar" cmp <(acls acl) <(acls gnu)
	check "modes" cmp <(list acl) <(list gnu)
	mkdir plain
	run_tar --no-acls -p -x -f acl.tar -C plain
	is "no more than the group had" "$(stat -c %A plain/wide)" "-rw-r--r--"
	if have bsdtar; then
		# Its numbers of users end at 2^31.
		setfacl -x u:4000000000 acl/a
		setfacl -d -x g:4294967294 acl/d
		run "$PACK" acl acl.tar
		run bsdtar -x -p --acls -f acl.tar -C bsd
		check "bsdtar" cmp <(acls acl) <(acls bsd)
	fi
else
	echo "not tried: no ACLs here"
fi

finish
