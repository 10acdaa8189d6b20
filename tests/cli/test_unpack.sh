#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Archives as sources: the tree that they hold is on every node, whatever the format, however small
# the batches and the memory; what is there already does not come again.
# Usage: test_unpack.sh BIN
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/archives.sh"
[ "$(id -u)" = 0 ] || skip "not root: owners of archives cannot be given"

# listed DIR: what is there, hard links by the number of the first of them in order
listed() {
	(cd "$1" && find . -mindepth 1 -path ./.ebt -prune -o -mindepth 1 -printf '%P|%y|%m|%U:%G|%T@|%n|%i|%s|%l\n') | sort |
		awk -F'|' -v OFS='|' '$2 == "d" { $8 = "" } { if (!($7 in n)) n[$7] = ++k; $7 = "i" n[$7]; print }'
}
# alike WANT GOT: the same trees, as listed and with what is in files
alike() {
	CHECKS=$((CHECKS + 1))
	diff <(listed "$1") <(listed "$2") >"$WORK/diff" && diff -r --no-dereference -x .ebt "$1" "$2" >>"$WORK/diff" && return 0
	fail "$2 differs from $1"
	head -10 "$WORK/diff" >&2
}
# nothing_comes N ARG...: a further run finds all there
nothing_comes() {
	local n=$1
	shift
	expect 0 "$n" --json "$@"
	is "bytes that come again" 0 "$(field bytes)"
	is "what comes again" 0 "$(($(field files) + $(field links) + $(field symlinks) - $(field unchanged)))"
}

# A tree that small batches go through quickly, with something of each kind.
mkdir -p src/a/b/c src/empty src/ro "src/sp ace"
for i in $(seq 24); do head -c $((i * 301)) /dev/urandom >src/a/f$i; done
: >src/a/none
head -c 2097152 /dev/urandom >src/a/hold # as much as is held in memory of 16 MiB
head -c 2097153 /dev/urandom >src/a/b/more
head -c 1048576 /dev/zero | tr '\0' x >src/a/b/c/mega
head -c 5000001 /dev/urandom >src/large
echo x >"src/sp ace/$(printf 'new\nline')"
echo y >"src/sp ace/%41"
ln src/a/f3 src/a/hard
ln src/a/f3 src/zhard
ln src/large src/a/b/largetoo
ln -s a/f3 src/symlink
ln -s /does/not/exist src/dangling
chmod 4755 src/a/f4
chmod 2711 src/a/b
chmod 1777 src/empty
chown 1234:5678 src/a/f5 src/a/b
chown -h 1234:5678 src/symlink
echo ro >src/ro/file
chmod 0555 src/ro
touch -d '2001-02-03 04:05:06 UTC' src/a/f6 src/a/b src/a src/empty "src/sp ace"
find src -exec touch -h -d '2011-11-11 11:11:11 UTC' {} +

cp -a src pax_src
touch -d '1969-12-31 23:59:58.25 UTC' pax_src/a/f7
touch -h -d '2001-02-03 04:05:06.700000001 UTC' pax_src/symlink
echo bytes >"pax_src/sp ace/$(printf 'inv\377\376alid')"
truncate -s 70M pax_src/hole
printf y | dd of=pax_src/hole bs=1 seek=50000000 conv=notrunc status=none
truncate -s 1M pax_src/allhole
setfattr -n user.ebt -v value pax_src/a/f8 2>/dev/null
setfattr -n trusted.ebt -v value pax_src/a/b 2>/dev/null
setfacl -m u:1234:rw pax_src/a/f9 2>/dev/null
setfacl -d -m u:1234:rwx pax_src/empty 2>/dev/null

# compress FILE HOW: FILE.HOW of it
compress() {
	case $2 in
	none) ln -f "$1" "$1.none" ;;
	gz) gzip -1c "$1" >"$1.gz" ;;
	bz2) bzip2 -1c "$1" >"$1.bz2" ;;
	xz) xz -0c "$1" >"$1.xz" ;;
	zst) zstd -qc "$1" >"$1.zst" ;;
	lz4) lz4 -qc "$1" >"$1.lz4" ;;
	esac
}
# has TOOL FORMAT: is it here, and EBT able to read what it writes?
has() {
	if ! command -v "$1" >/dev/null; then
		echo "not tried: no $1"
		return 1
	fi
	[ "$2" = none ] || "$STAGE" --version | grep -q "^archives.*$2" && return 0
	echo "not tried: built without $2"
	return 1
}
tar --format=pax --sparse --acls --xattrs --xattrs-include='*' --pax-option=delete=atime,delete=ctime -C pax_src -cf pax .
tar --format=gnu -C src -cf gnu . # with names that have a newline
tar --format=ustar -C src -cf ustar .
if has cpio none; then
	for f in newc odc; do (cd src && find . | cpio -o -H $f --quiet >../$f 2>/dev/null); done
fi
has zip none && (cd src && zip -qry ../zip . -x '*
*')
has 7z none && (cd src && 7z a -bd -snl -snh ../7z.7z . >/dev/null && mv ../7z.7z ../7z)
# The others are compared with what bsdtar makes of them, which reads them all.
for f in gnu ustar newc odc zip 7z; do
	[ -e $f ] || continue
	mkdir want.$f && bsdtar -xpf $f -C want.$f 2>/dev/null || echo "note: bsdtar has complaints about $f"
done
ln -s pax_src want.pax

for kind in pax:none pax:gz pax:bz2 pax:xz pax:zst pax:lz4 gnu:none gnu:zst ustar:none ustar:gz newc:none newc:xz \
	odc:none odc:bz2 zip:none 7z:none; do
	f=${kind%:*} c=${kind#*:}
	[ -e $f ] || continue
	case $c in
	none) ;;
	gz) has gzip gzip || continue ;;
	bz2) has bzip2 bzip2 || continue ;;
	xz) has xz xz || continue ;;
	zst) has zstd zstd || continue ;;
	lz4) has lz4 lz4 || continue ;;
	esac
	compress $f $c
	for n in 1 3; do
		[ $n = 1 ] && [ $c != none ] && continue
		what="$kind, $n nodes"
		opts=()
		[ $n = 3 ] && opts=(--memory=16M --batch=15)
		expect 0 $n "${opts[@]}" --unpack $f.$c "$WORK/d.%r"
		if [ $f = pax ]; then
			same pax_src d.$((n - 1))
			same_times pax_src d.$((n - 1))
			is "holes" 1 $(($(stat -c %b d.0/hole) < 1000))
		else
			alike want.$f d.$((n - 1))
		fi
		[ $n = 3 ] && alike d.2 d.0
		is "left in incoming" "" "$(ls d.0/.ebt/incoming 2>/dev/null)"
		# Of newc the first name of several comes without the content that the last one has.
		if [ $n = 3 ] && [ $c = none ]; then
			expect 0 $n --verify "$WORK/d.%r"
			[ $f = newc ] || nothing_comes $n "${opts[@]}" --unpack $f.$c "$WORK/d.%r"
		fi
		chmod -R u+rwX d.*
		rm -rf d.*
	done
done
what=
finish
