#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A store is never stuck: what would keep a publication from its end is found before it begins,
# nothing is visible then, and the next run works. What comes between can be undone, or given up.
. "$(dirname "$0")/lib.sh"
cd "$WORK" || exit 99

# refused TEXT ARG...: fails and says so, on all ranks alike; no record, nothing in incoming
refused() {
	local text=$1
	shift
	expect 1 2 "$@"
	says "$text"
	check "no record after '$text'" test ! -e d.0/.ebt/publish -a ! -e d.1/.ebt/publish
	check "no remains after '$text'" test -z "$(ls d.0/.ebt/incoming d.1/.ebt/incoming 2>/dev/null | grep -v :)"
}
# still_works: the next run, of something else
n=0
still_works() {
	n=$((n + 1))
	echo $n >"other$n"
	expect 0 2 "other$n" "$WORK/d.%r"
	check "the next run" cmp "other$n" "d.1/other$n"
}
mkdir s
echo 1 >s/a
echo 1 >s/b

# Mounts that st_dev does not tell from what lies around them, on the second node.
mkdir -p d.0/s d.1/s beside
if [ "$(id -u)" = 0 ] && mount --bind beside d.1/s 2>err; then
	MOUNTS+=("$WORK/d.1/s")
	refused "d.1/s: " s "$WORK/d.%r"
	says "(rank 1 on"
	check "nothing behind the mount" test -z "$(ls beside)"
	nothing_visible d.0/s
	still_works
	umount d.1/s
	mount -t tmpfs -o ro tmpfs d.1/s
	refused "d.1/s: " s "$WORK/d.%r"
	umount d.1/s
	expect 0 2 s "$WORK/d.%r"
	echo other >beside/f
	mount --bind beside/f d.1/s/a
	MOUNTS+=("$WORK/d.1/s/a")
	echo 2 >s/a
	refused "d.1/s/a: " --overwrite=always s "$WORK/d.%r"
	refused "d.1/s/a: " --overwrite=update s "$WORK/d.%r"
	check "nothing was replaced" test "$(cat d.0/s/a)" = 1
	still_works
	umount d.1/s/a
else
	echo "not tried: mounts need root: $(cat err)"
	expect 0 2 s "$WORK/d.%r"
fi

# Flags: a file that cannot be replaced, a directory that can only be added to.
echo 3 >s/a
if chattr +i d.1/s/a 2>err; then
	refused "d.1/s/a: Operation not permitted" --overwrite=always s "$WORK/d.%r"
	refused "d.1/s/a: Operation not permitted" --overwrite=update s "$WORK/d.%r"
	still_works
	touch -r d.1/s/a s/a
	printf '%s\n' "$(cat d.1/s/a)" >s/a
	chattr -i d.1/s/a
	expect 0 2 --overwrite=update s "$WORK/d.%r"
	chattr +i d.1/s/a
	echo 4 >s/b
	expect 0 2 --overwrite=update s "$WORK/d.%r" # a stays as it is
	check "what may change has" cmp s/b d.1/s/b
	chattr -i d.1/s/a
	mkdir t
	echo 5 >t/new
	mkdir d.0/t d.1/t
	chattr +a d.1/t
	refused "d.1/t: Operation not permitted" t "$WORK/d.%r"
	check "nothing was added" test -z "$(ls -A d.0/t d.1/t | grep -v : | tr -d '\n')"
	still_works
	chattr -a d.1/t
	chattr +i d.1/t
	refused "d.1/t: Operation not permitted" t "$WORK/d.%r"
	chattr -i d.1/t
	expect 0 2 t "$WORK/d.%r"
	expect 0 2 --verify "$WORK/d.%r"
else
	echo "not tried: flags of files: $(cat err)"
fi

# Owners that a user namespace does not map: of a source, of a directory in the store.
# as_root_of_a_namespace ARG...: one rank, user 65534 outside
as_root_of_a_namespace() {
	timeout "$LIMIT" setpriv --reuid 65534 --regid 65534 --clear-groups unshare -Ur \
		"$STAGE" --memory=32M "$@" >out 2>err </dev/null
}
chmod 755 "$WORK"
mkdir -p u/dir v/sub ns
echo x >u/dir/a
echo y >v/sub/y
echo z >z
if [ "$(id -u)" = 0 ] && chown -R 65534:65534 u v z ns && chown 1234 u/dir &&
	setpriv --reuid 65534 --regid 65534 --clear-groups unshare -Ur true 2>err; then
	touch out err
	chmod 666 out err
	as_root_of_a_namespace u "$WORK/ns/d"
	check "unmapped owner of a source" test $? -eq 1
	says "u/dir: cannot be given to its owner"
	check "nothing is left" test ! -e ns/d
	as_root_of_a_namespace z "$WORK/ns/d"
	check "and the next works" test $? -eq 0
	mkdir -p ns/d/v/sub
	chown 65534:65534 ns/d/v
	chown 1234 ns/d/v/sub
	chmod 777 ns/d/v/sub
	as_root_of_a_namespace v "$WORK/ns/d"
	check "unmapped owner in the store" test $? -eq 1
	says "ns/d/v/sub"
	check "no record" test ! -e ns/d/.ebt/publish
	check "nothing in it" test -z "$(ls -A ns/d/v/sub)"
	as_root_of_a_namespace --overwrite=always z "$WORK/ns/d"
	check "and the next works again" test $? -eq 0
	# Sticky, and what is to be replaced belongs to nobody here.
	mkdir ns/d/st st
	chown 1234:1234 ns/d/st
	echo old >ns/d/st/f
	chown 1234:1234 ns/d/st/f
	chmod 1777 ns/d/st
	echo new >st/f
	chown -R 65534:65534 st
	as_root_of_a_namespace --overwrite=always st "$WORK/ns/d"
	check "sticky directory" test $? -eq 1
	check "no record" test ! -e ns/d/.ebt/publish
	check "not replaced" test "$(cat ns/d/st/f)" = old
else
	echo "not tried: user namespaces: $(cat err 2>/dev/null)"
fi

# Descriptors: a deep tree and few of them. Whatever happens, it happens before the commit.
p=deep
for i in $(seq 45); do
	p=$p/d$i
	mkdir -p $p
	echo $i >$p/f
done
expect 0 1 deep "$WORK/few.%r"
for limit in 24 32 40 48 64; do
	echo "new $limit" >$p/f
	CHECKS=$((CHECKS + 1))
	(ulimit -n $limit && exec timeout "$LIMIT" "$STAGE" --per-rank --memory=32M --overwrite=update \
		deep "$WORK/few.%r") >out 2>err </dev/null || grep -q "Too many open files" err ||
		{ fail "$limit descriptors"; show; }
	check "$limit descriptors: no record" test ! -e few.0/.ebt/publish
done
check "64 descriptors suffice" test "$(cat "few.0/$p/f")" = "new 64"
(ulimit -S -n 30 && exec timeout "$LIMIT" "$STAGE" --per-rank --memory=32M --overwrite=always deep \
	"$WORK/few.%r") >out 2>err </dev/null
check "the hard limit counts" test $? -eq 0

# A manifest that is damaged or newer: said at the start, with what removing it costs.
for how in "truncate -s -5" "sed -i s/^EBT-MAN/EBT-NEW/"; do
	expect 0 2 --overwrite=update s "$WORK/m.%r"
	$how m.1/.ebt/manifest
	expect 1 2 z "$WORK/m.%r"
	says "m.1/.ebt/manifest: "
	says "may be removed"
	check "nothing is visible" test ! -e m.0/z -a ! -e m.1/z -a ! -e m.0/.ebt/publish
	rm m.1/.ebt/manifest
	expect 0 2 --overwrite=update z "$WORK/m.%r"
	rm m.0/z m.1/z
done

# What others put in the way after the record is written. stuck: stores in the middle of a
# publication of g (a, b/x, b/y), by the words of ebt-store(5); the second one cannot end it.
mkdir -p g/b
echo a >g/a
echo x >g/b/x
echo y >g/b/y
expect 2 1 --give-up "$WORK/g.%r"
expect 2 1 --verify --give-up "$WORK/g.%r"
stuck() {
	local id d
	rm -rf g.0 g.1
	expect 0 2 --overwrite=always g/. "$WORK/g.%r"
	for d in g.0 g.1; do
		id=$(head -c 64 $d/.ebt/manifest | tail -c 32)
		(umask 077 && mkdir -p $d/.ebt/incoming/$id/tree/b)
		mv $d/b/y $d/.ebt/incoming/$id/tree/b/y
		mv $d/.ebt/manifest $d/.ebt/incoming/$id/manifest
		printf 'ebt publish 1\nid %s\noverwrite refuse\nboot %s\n' "$id" \
			"$(cat /proc/sys/kernel/random/boot_id)" >$d/.ebt/publish
	done
	mkdir g.1/b/y
}
stuck
expect 1 2 z "$WORK/g.%r"
says "g.1/b/y"
says "move it away"
says "ebt-stage --per-rank --recover --give-up $WORK/g.%r"
expect 1 2 --recover "$WORK/g.%r"
rmdir g.1/b/y
expect 0 2 --recover "$WORK/g.%r"
for d in g.0 g.1; do same g $d; done

# Given up on that node alone, by one process, and once more; the other has finished.
stuck
expect 1 2 --recover "$WORK/g.%r"
expect 0 1 --recover --give-up "$WORK/g.1"
says "given up on 1 node"
says "2 files and links are in place and 1 are removed"
check "no record" test ! -e g.1/.ebt/publish
check "incoming is gone" test -z "$(ls g.1/.ebt/incoming)"
check "listed is what is there" test "$("$STAGE" --list g.1 | grep -c ' b/y')" = 0
check "and nothing less" test "$("$STAGE" --list g.1 | grep -c -e ' a$' -e ' b/x$')" = 2
expect 0 1 --verify "$WORK/g.1"
expect 0 1 --recover --give-up "$WORK/g.1"
says "given up on 0 node"
same g g.0
expect 0 2 z "$WORK/g.%r"
expect 1 2 --overwrite=update g/. "$WORK/g.%r"
says "cannot be replaced"
rmdir g.1/b/y
expect 0 2 --overwrite=update g/. "$WORK/g.%r"
expect 0 2 --verify "$WORK/g.%r"
# What is left of the environment does not come home as output.
mkdir home
timeout "$LIMIT" "$BIN/ebt-drain" g.1 home >out 2>err
check "nothing to drain" test -z "$(ls -A home)"

# On all nodes at once.
stuck
expect 0 2 --json --recover --give-up "$WORK/g.%r"
says '"finished":0,"gave_up":2'
for d in g.0 g.1; do check "$d: no record" test ! -e $d/.ebt/publish; done
expect 0 2 --verify "$WORK/g.%r"
expect 0 2 --recover "$WORK/g.%r"
says "finished on 0 nodes"
finish
