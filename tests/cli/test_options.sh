#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Naming sources and choosing among them: relative, lists, filters, DEST patterns, reports.
. "$(dirname "$0")/lib.sh"

mkdir -p "$WORK/p/env/lib" "$WORK/p/env/cache" "$WORK/p/data"
echo 1 >"$WORK/p/env/lib/a.so"
echo 2 >"$WORK/p/env/lib/b.pyc"
echo 3 >"$WORK/p/env/cache/c"
echo 4 >"$WORK/p/data/x"
echo 5 >"$WORK/p/data/$(printf 'odd\nname')"
ln -s env "$WORK/p/elink"
cd "$WORK" || exit 99

# exists PATH / absent PATH
exists() { check "$1 is there" test -e "$1" -o -L "$1"; }
absent() { check "$1 is not there" test ! -e "$1" -a ! -L "$1"; }

# --relative keeps the path, absolute or not, and the attributes of the directories above.
chmod 0751 p/env
expect 0 2 -R "$WORK/p/env/lib" p/data/x "$WORK/r.%r"
exists "r.1$WORK/p/env/lib/a.so"
exists r.1/p/data/x
absent r.1/p/env
check "mode of a parent" test "$(stat -c %a "r.1$WORK/p/env")" = 751
expect 1 2 -R p/../p/data "$WORK/r2.%r"
says "'..'"
nothing_visible r2.0 r2.1

# Lists: lines, NULs, standard input, with more sources on the command line.
printf '%s\n' p/env/lib p/data/x >list
expect 0 2 --files-from=list p/env/cache "$WORK/l.%r"
exists l.1/lib/a.so
exists l.1/x
exists l.1/cache/c
find p/data -type f -print0 >list0
expect 0 2 --files-from=list0 --null "$WORK/l0.%r"
exists "l0.1/$(printf 'odd\nname')"
CHECKS=$((CHECKS + 1))
printf 'p/data/x\n' | timeout "$LIMIT" "$LAUNCH" -n 2 "$STAGE" --per-rank --files-from=- \
	"$WORK/li.%r" >out 2>err || fail "--files-from=-"
exists li.1/x
# Without -0 only the first of its names would be seen.
expect 1 2 --files-from=list0 "$WORK/l1.%r"
says "list0: has NUL bytes in it"
nothing_visible l1.0 l1.1
printf 'p/data/x\np/env/lib\0\n' >list1
expect 1 2 --files-from=list1 "$WORK/l1.%r"
says "list1: has NUL bytes in it"
expect 1 2 --exclude-from=list0 p "$WORK/l1.%r"
says "list0: has NUL bytes in it"
nothing_visible l1.0 l1.1
CHECKS=$((CHECKS + 1))
timeout "$LIMIT" "$LAUNCH" -n 2 "$STAGE" --per-rank --files-from=- "$WORK/l1.%r" <list0 >out 2>err &&
	fail "--files-from=- with NUL bytes"
says "standard input: has NUL bytes in it"
nothing_visible l1.0 l1.1
: >empty
expect 0 2 --files-from=empty "$WORK/le.%r"
expect 1 2 --files-from=nosuch "$WORK/ln.%r"
says nosuch

# Filters: rsync on the same tree with the same rules is the judge.
judge() {
	expect 0 2 "$@" "$WORK/p" "$WORK/f.%r"
	rm -rf want
	rsync -aHAX "$@" "$WORK/p" want/
	same want f.1
	rm -rf f.0 f.1
}
judge --exclude='*.pyc'
judge --exclude=/p/env/cache/
judge --include='*.so' --include='*/' --exclude='*'
judge --exclude='/env' --exclude='data/x'
judge --include='/p/env/lib/***' --exclude='/p/env/**'
printf '# comment\n- *.pyc\n\n+ x\n; more\ndata/*\n' >rules
judge --exclude-from=rules
judge --include=b.pyc --exclude-from=rules

# Links on the command line: as links, or followed with a slash at the end.
expect 0 2 p/elink "$WORK/k.%r"
check "link stays a link" test -L k.1/elink
expect 0 2 p/elink/ "$WORK/k2.%r"
check "link with a slash is its directory" test -d k2.1/elink -a ! -L k2.1/elink
exists k2.1/elink/lib/a.so
if setfattr -n user.ebt -v its-own p/env 2>/dev/null; then
	rm -rf k2.*
	expect 0 2 p/elink/ "$WORK/k2.%r"
	check "with its attributes" test "$(getfattr --only-values -n user.ebt k2.1/elink)" = its-own
	mkdir -p k3.0/env k3.1/env
	setfattr -n user.mine -v stays k3.1/env
	expect 0 2 --no-xattrs p/env "$WORK/k3.%r"
	check "left behind" test -z "$(getfattr --only-values -n user.ebt k3.1/env 2>/dev/null)"
	check "not taken away" test "$(getfattr --only-values -n user.mine k3.1/env)" = stays
	expect 0 2 --verify "$WORK/k3.%r"
	setfattr -x user.ebt p/env
fi

# The same name from two places: directories merge, files do not.
mkdir -p q/data
echo 6 >q/data/y
expect 0 2 p/data q/data "$WORK/m.%r"
exists m.1/data/x
exists m.1/data/y
echo 7 >q/data/x
expect 1 2 p/data q/data "$WORK/m2.%r"
says "data/x"
nothing_visible m2.0 m2.1
expect 0 2 p/data/x p/data/x "$WORK/m3.%r"
# However it is written, the same place is the same source.
expect 0 2 p ./p p/ .//p "$WORK/m4.%r"
same p m4.1/p
printf '%s\n' p/data ./p/data p//data/ p/./data "$WORK/p/data" >list2
expect 0 2 --files-from=list2 ./p/env/lib/a.so p/env/./lib//a.so "$WORK/m5.%r"
same p/data m5.1/data
check "and a file" cmp p/env/lib/a.so m5.1/a.so

# DEST: what stands for what.
expect 0 2 p/data/x "$WORK/%h.%u.%r.%%"
exists "$(hostname).$(id -un).1.%/x"
expect 1 1 p/data/x "$WORK/%q"

# FIFOs, sockets and devices are left out with one warning each kind.
mkdir odd
mkfifo odd/f1 odd/f2
echo 8 >odd/file
expect 0 2 odd "$WORK/o.%r"
says "1 more: skipped, they are FIFOs"
exists o.1/odd/file
absent o.1/odd/f1

# DEST inside a source, and a store as a source.
expect 1 2 p "$WORK/p/inside.%r"
says "DEST lies inside"
absent p/inside.0/p
rm -rf p/inside.*
expect 0 2 "$WORK/o.0/." "$WORK/o2.%r"
same o.0 o2.1

# Reports.
expect 0 3 --json p "$WORK/j.%r"
check "a line per node" test "$(grep -c '"type":"node"' out)" = 3
check "one result" test "$(grep -c '"type":"result"' out)" = 1
check "files" grep -q '"files":5,' out
expect 0 3 --dry-run p "$WORK/n.%r"
says "reader on node 0"
absent n.0
# Small files are read by who looks at them; large ones are dealt.
mkdir large
head -c 3M /dev/zero >large/a
head -c 3M /dev/zero >large/b
expect 0 3 --dry-run --json --readers=2 --parcel=1M large "$WORK/n.%r"
check "a line a reader" test "$(grep -c '"type":"reader","node":"[^"]*","rank":[01],"bytes":[0-9]*,"parcels":3}' out)" = 2
check "one plan" test "$(grep -c '"type":"plan"' out)" = 1
check "no OST" test "$(grep -c '"type":"ost"' out)" = 0
export EBT_PFS=lustre # which it is not: no layout can be had
expect 0 2 --dry-run p "$WORK/n.%r"
unset EBT_PFS
says "layout unknown for 5 files"
expect 0 1 --simulate=nodes=100,bytes=1G,link=1G
says "100 nodes"
expect 2 1 --simulate=nodes=many
expect 2 2 --nonsense p "$WORK/z.%r"
says "--nonsense"
check "one line and a hint" test "$(grep -cE "^(ebt-stage: |Try )" err)" -le 3
expect 2 2 p
expect 2 2 --parcel=100 p "$WORK/z.%r"
expect 2 2 --overwrite=maybe p "$WORK/z.%r"
absent z.0
finish
