#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Paths that are longer than a call takes: trees that a job made step by step. They come as any
# other, with all they have, under whatever name, and are found in place and freed. What even a
# journal and a manifest have no room for is named, and the rest comes.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/drain.sh"
[ -n "$PYTHON" ] || skip "no python3"
DEEP=$(realpath "$(dirname "$0")/deep.py")
chmod 755 "$WORK"
cd "$WORK" || exit 99
host=$(hostname)
deep() { "$PYTHON" "$DEEP" "$@" || fail "deep.py $*"; }

# 20480 bytes of the longest names; as many parts of a path end within such a name as with it.
LONG=80x255
# 4620 bytes in short ones.
MANY=420x10
# And both, below a directory that has a plain name.
MIXED=1x8,40x255,40x17

# fresh N: empty stores s.0 to s.N-1, and an empty tree to compare with
fresh() {
	local r
	rm -rf s.? d want out.of.it || exit 99
	for ((r = 0; r < $1; r++)); do mkdir s.$r; done
	mkdir want
}
# put NODE CHAIN WHAT...: in its store, and what has to come
put() {
	local node=$1
	shift
	deep make s.$node "$@"
	deep make want "$@"
}
but_for() { cat; }
no_dirs() { awk '$4 !~ /^0o4/'; }
# came DEST: what had to, with all attributes, and nothing else
came() {
	CHECKS=$((CHECKS + 1))
	diff <(deep picture want | but_for) <(deep picture "$1" | but_for) >differ || {
		fail "$1 is not what was drained:"
		cut -c1-200 differ | head -8 >&2
	}
}
# again STATUS ARG...: the same once more, which writes nothing
again() {
	local want=$1
	shift
	deep inodes d >pictured
	expect "$want" 2 "$@" "$WORK/s.%r" "$WORK/d"
	check "$what: nothing is written again" cmp -s pictured <(deep inodes d)
}
content_left() { deep picture "$1" | no_dirs | wc -l; }

for chain in $LONG $MANY $MIXED; do
	what="a tree of $chain"
	fresh 2
	put 0 $chain file=a hard link xattr empty closed longest=x large=big piece=0
	put 1 $chain file=b piece=1
	put 1 3x200 file=c link
	expect 0 2 --json "$WORK/s.%r" "$WORK/d"
	is "$what: files" 9 "$(number files)"
	is "$what: links" 2 "$(number links)"
	came d
	again 0
	# To come anew where the source has changed, and only that.
	deep make s.1 $chain text=b:changed
	deep make want $chain text=b:changed
	# Directories that are there keep their attributes, but for the time of this one.
	but_for() { no_dirs; }
	expect 0 2 "$WORK/s.%r" "$WORK/d"
	came d
	deep picture s.0 | awk '$4 ~ /^0o4/' >dirs
	expect 0 2 --delete "$WORK/s.%r" "$WORK/d"
	came d
	but_for() { cat; }
	is "$what: not freed on node 0" 0 "$(content_left s.0)"
	is "$what: not freed on node 1" 0 "$(content_left s.1)"
	check "$what: directories as they were" cmp -s dirs <(deep picture s.0)
	tidy d
done

what="as a whole"
fresh 2
put 0 $LONG file=a hard link closed
put 1 $LONG file=b
expect 0 2 --atomic --verify --delete "$WORK/s.%r" "$WORK/d"
came d
is "$what: not freed" 0 "$(content_left s.0)"
tidy d

what="only to look"
fresh 2
put 0 $LONG file=a
expect 0 2 --dry-run "$WORK/s.%r" "$WORK/d"
says "1 files, 13 B, from 2 nodes"
absent d

what="another file under the name"
fresh 2
put 0 $LONG file=a hard link
put 1 $LONG longest=x
mkdir d
deep make d $LONG "text=a:was here" "text=link:was here" "text=$(printf 'n%.0s' {1..255}):was here"
expect 4 2 --json "$WORK/s.%r" "$WORK/d"
is "$what: which stays" "file was here" "$(deep stat d $LONG a)"
is "$what: ours" "file content of a" "$(deep stat d $LONG a.ebt-new)"
is "$what: our link" "link ../target of it" "$(deep stat d $LONG link.ebt-new)"
is "$what: the longest name, cut" "file longest x" "$(deep stat d $LONG "$(printf 'n%.0s' {1..247}).ebt-new")"
is "$what: what is in nobody's way" "file three names" "$(deep stat d $LONG hard.2)"
is "$what: named" 3 "$(grep -c '"kind":"beside"' out)"
# Whole, or nobody finds the file by it.
check "$what: with the whole name" "$PYTHON" -c '
import json, sys
looks = [json.loads(l) for l in open("out") if "\"type\":\"look\"" in l]
sys.exit(not all(len(l["as"]) > 20480 and l["as"].endswith(".ebt-new") for l in looks))'
again 4
again 4 --delete
is "$what: not freed" 0 "$(content_left s.0)$(content_left s.1 | grep -v 0)"

what="something else where a directory far up is to be"
fresh 2
put 0 $MIXED file=a link hard
put 1 $MIXED file=b
mkdir d
echo in the way >"d/0_dddddd"
expect 4 2 "$WORK/s.%r" "$WORK/d"
is "$what: which stays" "in the way" "$(cat d/0_dddddd)"
check "$what: all is below another name" cmp -s \
	<(deep picture want/0_dddddd) <(deep picture d/0_dddddd.ebt-new)
again 4

what="a link that somebody planted"
fresh 2
put 0 $LONG file=a link
put 1 2x200 file=b
mkdir out.of.it d
deep make d 60x255 file=theirs
deep plant d 60x255 "$(printf '%-255s' 60_ | tr ' ' d)" "$WORK/out.of.it"
expect 4 2 "$WORK/s.%r" "$WORK/d"
is "$what: nothing is where it leads" "" "$(ls out.of.it)"
is "$what: it stays" "link $WORK/out.of.it" "$(deep stat d 60x255 "$(printf '%-255s' 60_ | tr ' ' d)")"
is "$what: what is beside it" "file content of theirs" "$(deep stat d 60x255 theirs)"
is "$what: all came" "b'a' b'b' b'link' b'theirs'" \
	"$(deep picture d | awk '$4 ~ /^0o1/ && $3 !~ /ddd/ {print $3}' | sort | paste -sd ' ')"

what="the same name on both nodes"
fresh 2
put 0 $LONG file=same
deep make s.1 $LONG "text=same:another"
expect 0 2 --conflict=suffix "$WORK/s.%r" "$WORK/d"
is "$what: of node 0" "file content of same" "$(deep stat d $LONG same.$host.0)"
is "$what: of node 1" "file another" "$(deep stat d $LONG same.$host.1)"
is "$what: the plain one" nothing "$(deep stat d $LONG same)"
again 0 --conflict=suffix
rm -rf d s.?/.ebt
expect 4 2 "$WORK/s.%r" "$WORK/d"
is "$what, auto: of node 1" "file another" "$(deep stat d $LONG same.$host.1)"
again 4
rm -rf d s.?/.ebt
expect 1 2 --strict "$WORK/s.%r" "$WORK/d"
nothing_at d

what="a file that all nodes write"
fresh 2
put 0 $LONG large=big
expect 0 2 --stripe-count=2 --stripe-size=64K --writers=2 "$WORK/s.%r" "$WORK/d"
came d

what="paths up to what a journal has room for"
fresh 2
# 65280 bytes and 255 more, to the byte; what is one byte longer is named.
put 0 255x255,1x249 file=12345
deep make s.0 255x255,1x249 file=123456
put 1 2x255 file=b
expect 3 2 --json --delete "$WORK/s.%r" "$WORK/d"
is "$what: missing" 1 "$(grep -c '"kind":"missing"' out)"
says "path: File name too long"
came d
is "$what: the longest" "file content of 12345" "$(deep stat d 255x255,1x249 12345)"
is "$what: what stays" "file content of 123456" "$(deep stat s.0 255x255,1x249 123456)"
is "$what: what is freed" nothing "$(deep stat s.0 255x255,1x249 12345)"
is "$what: with the other node's" nothing "$(deep stat s.1 2x255 b)"
# And another name for such a one.
fresh 2
put 0 255x255,1x249 file=12345
mkdir d
deep make d 255x255,1x249 "text=12345:was here"
expect 4 2 "$WORK/s.%r" "$WORK/d"
is "$what: another name" "file content of 12345" "$(deep stat d 255x255,1x249 12345.ebt-new)"
again 4

user=(setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/)
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null && "${user[@]}" test -x "$STAGE"; then
	what="an ordinary user"
	fresh 2
	put 0 $LONG file=a hard link xattr empty closed
	put 1 $MIXED file=b link
	mkdir home
	mv s.0 s.1 want home/
	chown -hR 65534:65534 home
	cd home || exit 99
	WHO=("${user[@]}")
	expect 0 2 "$WORK/home/s.%r" "$WORK/home/d"
	came d
	deep inodes d >pictured
	expect 0 2 --delete "$WORK/home/s.%r" "$WORK/home/d"
	check "$what: nothing is written again" cmp -s pictured <(deep inodes d)
	is "$what: not freed" 0 "$(content_left s.0)"
	expect 0 2 --atomic --missing-ok "$WORK/home/s.%r" "$WORK/home/whole"
	WHO=()
fi
finish
