#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The same path on several nodes: refused, joined, chosen or kept apart, as the user says, and
# whatever is refused is refused before anything is written anywhere. What no rule can unite comes
# under its node's name, unless the user wants all or nothing.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/drain.sh"
cd "$WORK" || exit 99
host=$(hostname)

# stores N: empty ones, s.0 to s.N-1, and no target
stores() {
	local r
	rm -rf s.? d ||
		exit 99
	for ((r = 0; r < $1; r++)); do mkdir s.$r; done
}
# refused N ARG...: nothing is written, neither to the target nor to a file of a store
refused() {
	local before
	before=$(picture s.?)
	expect 1 "$@" "$WORK/s.%r" "$WORK/d"
	nothing_at d
	tidy d
	CHECKS=$((CHECKS + 1))
	[ "$before" = "$(picture s.?)" ] || fail "stores have changed: $*"
}
# beside N ARG...: all is there, some of it under another name
beside() {
	expect 4 "$@" "$WORK/s.%r" "$WORK/d"
	tidy d
}
# found NAME...: these are all that is in the target but directories
found() { is "names" "$(printf '%s\n' "$@" | LC_ALL=C sort | paste -sd ' ')" "$(cd d && find . ! -type d -printf '%P\n' | LC_ALL=C sort | paste -sd ' ')"; }
# names_nodes A B: both, each as rank and host
names_nodes() {
	local r
	for r in "$@"; do says "$host.$r"; done
}
# put FILE OFFSET TEXT
put() { printf %s "$3" | dd of="$1" bs=64K oflag=seek_bytes seek="$2" conv=notrunc status=none; }

# Different files: refused, with path, nodes and the first range that both have.
stores 3
mkdir s.0/a s.1/a s.2/a
head -c 30000 /dev/urandom >s.1/a/same
head -c 10000 /dev/urandom >s.2/a/same
echo fine >s.0/fine
refused 3 --conflict=error
says "a/same"
names_nodes 1 2
says "[0, 10000)"
check "no word of the other file" test -z "$(grep -w fine err)"
# Pieces: sparse, the first common range lies in the middle.
stores 3
truncate -s 1M s.0/f s.2/f
put s.0/f 65536 "$(printf 'x%.0s' {1..4096})"
put s.0/f 131072 "$(printf 'y%.0s' {1..8192})"
put s.2/f 135168 "$(printf 'z%.0s' {1..8192})"
refused 3 --strict
says ": f:"
names_nodes 0 2
says "[135168, 139264)"
# Many conflicts: they are counted, and the first ones are named.
stores 2
for i in $(seq 10 59); do
	echo "one $i" >s.0/c$i
	echo "two $i" >s.1/c$i
done
refused 2 --conflict=error
says "c10"
says "50"

# merge: pieces of 1 MiB of 4 nodes, interleaved.
stores 4
head -c 16M /dev/urandom >want
for ((i = 0; i < 16; i++)); do
	dd if=want of=s.$((i % 4))/shared bs=1M count=1 skip=$i seek=$i conv=notrunc status=none
done
touch -d '2011-11-11 11:11:11.5 UTC' s.?/shared
check "pieces are sparse" test "$(stat -c %b s.3/shared)" -le 9000
expect 0 4 --json --conflict=merge "$WORK/s.%r" "$WORK/d"
check "interleaved pieces" cmp want d/shared
is "files" 1 "$(number files)"
is "conflicts" 1 "$(number conflicts)"
is "bytes" 16777216 "$(number bytes)"
is "time of the pieces" "2011-11-11 11:11:11.500000000 +0000" "$(TZ=UTC stat -c %y d/shared)"
tidy d

# Pieces that begin and end anywhere, several in a block, and of one byte; holes on all nodes
# stay holes, and the file is as long as the longest.
stores 3
rm -f want
truncate -s 9M want
at=0
for i in $(seq 0 119); do
	size=$((i % 7 * 4099 + 1 + i * 13 % 97))
	[ $i != 60 ] || at=$((at + 3000000))
	head -c $size /dev/urandom | tr '\0' '\1' >piece
	for f in want s.$((i * 5 % 3))/odd; do
		dd if=piece of=$f bs=64K oflag=seek_bytes seek=$at conv=notrunc status=none
	done
	at=$((at + size))
done
truncate -s 9M s.1/odd
expect 0 3 --conflict=merge "$WORK/s.%r" "$WORK/d"
check "unaligned pieces" cmp want d/odd
check "holes of the joined file" test "$(stat -c %b d/odd)" -le $(($(stat -c %b want) + 64))

# Overlaps with equal bytes are fine: headers that every node wrote.
stores 3
head -c 20000 /dev/urandom >header
rm -f want
truncate -s 300000 want
dd if=header of=want conv=notrunc status=none
for r in 0 1 2; do
	head -c 50001 /dev/urandom >body
	for f in want s.$r/h5; do
		dd if=body of=$f bs=64K oflag=seek_bytes seek=$((20000 + r * 50001)) conv=notrunc status=none
	done
	dd if=header of=s.$r/h5 conv=notrunc status=none
	truncate -s 300000 s.$r/h5
done
expect 0 3 --conflict=merge "$WORK/s.%r" "$WORK/d"
check "equal overlaps" cmp want d/h5
# One byte of it differs: path, nodes and place.
rm -rf d
printf '\377\376' | dd of=s.2/h5 bs=64K oflag=seek_bytes seek=12345 conv=notrunc status=none
printf '\1\2' | dd of=s.1/h5 bs=64K oflag=seek_bytes seek=12345 conv=notrunc status=none
echo fine >s.0/fine
refused 3 --conflict=merge
says "h5"
says 1234
CHECKS=$((CHECKS + 1))
[ "$(grep -o "$host\.[0-2]" err | sort -u | wc -l)" = 2 ] || { fail "not exactly two nodes are named"; show; }
# The same with whole files, of several pieces each, far in.
stores 2
head -c 5000000 /dev/urandom >s.0/whole
cp s.0/whole s.1/whole
expect 0 2 --conflict=merge "$WORK/s.%r" "$WORK/d"
check "equal files" cmp s.0/whole d/whole
rm -rf d
printf '%s' "$(tail -c +4999001 s.0/whole | head -c 1 | od -An -tx1 | tr -d ' \n' | tr '0-9a-f' 'f0-9a-e')" |
	sed 's/../\\x&/' >hex
printf "$(cat hex)" | dd of=s.1/whole bs=64K oflag=seek_bytes seek=4999000 conv=notrunc status=none
check "the copies differ" test -n "$(cmp s.0/whole s.1/whole)"
refused 2 --conflict=merge
says whole
says 4999000
# A file that only one node has may be anything.
stores 2
echo only >s.1/only
expect 0 2 --conflict=merge "$WORK/s.%r" "$WORK/d"
check "the only one" cmp s.1/only d/only

# newest; on a tie, the lowest node.
stores 3
for r in 0 1 2; do
	for f in last first middle tie; do echo "$f of $r" >s.$r/$f; done
	touch -d "2020-01-01 00:00:00.00000000$((r + 1)) UTC" s.$r/last
	touch -d "2020-01-0$((3 - r)) UTC" s.$r/first
	touch -d "2020-01-01 00:00:0$((r * 2 % 3)) UTC" s.$r/middle
	touch -d "2020-01-01 UTC" s.$r/tie
done
chmod 640 s.2/last
expect 0 3 --json --conflict=newest "$WORK/s.%r" "$WORK/d"
is "newest by a nanosecond" "last of 2" "$(cat d/last)"
is "its mode" 640 "$(stat -c %a d/last)"
is "newest on the first node" "first of 0" "$(cat d/first)"
is "newest in the middle" "middle of 1" "$(cat d/middle)"
is "tie" "tie of 0" "$(cat d/tie)"
is "dropped" 8 "$(number dropped)"
is "conflicts" 4 "$(number conflicts)"
# A name of a hard-linked file loses; its other names keep their content.
stores 2
echo old >s.0/x
ln s.0/x s.0/y
ln s.0/x s.0/z
echo new >s.1/x
touch -d '2020-01-01 UTC' s.0/x
expect 0 2 --conflict=newest "$WORK/s.%r" "$WORK/d"
is "x, y, z" "new old old" "$(cat d/x d/y d/z | paste -sd ' ')"
check "y and z are one" test d/y -ef d/z
check "x is another" test ! d/x -ef d/y

# suffix.
stores 3
mkdir -p s.0/d s.1/d s.2/d
for r in 0 1 2; do echo "log of $r" >s.$r/d/log; done
echo once >s.1/d/once
echo two >s.0/x
ln s.0/x s.0/y
echo other >s.2/x
expect 0 3 --json --conflict=suffix "$WORK/s.%r" "$WORK/d"
for r in 0 1 2; do is "log of $r" "log of $r" "$(cat d/d/log.$host.$r)"; done
absent d/d/log
is "no suffix where none is needed" once "$(cat d/d/once)"
is "linked names" "two other" "$(cat d/x.$host.0 d/x.$host.2 | paste -sd ' ')"
is "the other name of it" two "$(cat d/y)"
check "is linked still" test d/y -ef d/x.$host.0
is "all that arrived" 7 "$(find d -type f | wc -l)"
# A file that has the name already that another one would get: nobody's data is lost.
echo mine >s.1/d/log.$host.0
rm -rf d
refused 3 --strict --conflict=suffix
says "log.$host.0"
beside 3 --conflict=suffix
is "the logs and it" "log of 0 log of 1 log of 2 mine" "$(cat d/d/log.* | sort | paste -sd ' ')"
check "they have the names of their nodes" diff <(echo "log of 1" && echo "log of 2") <(cat d/d/log.$host.1 d/d/log.$host.2)
# A name that leaves no room for it is cut.
stores 2
long=$(printf 'n%.0s' $(seq 255))
echo 0 >"s.0/$long"
echo 1 >"s.1/$long"
expect 0 2 --conflict=suffix "$WORK/s.%r" "$WORK/d"
for r in 0 1; do
	name=$(printf %s "$long" | head -c $((255 - ${#host} - 3))).$host.$r
	is "a name that was cut" $r "$(cat "d/$name")"
done
is "as many names" 2 "$(find d -type f | wc -l)"

# Directories unite; their attributes come from the lowest node that has them.
stores 3
mkdir -p s.0/d/only0 s.1/d/common/deep s.2/d/common
chmod 2751 s.0/d
chmod 700 s.1/d/common
touch -d '2019-01-01 UTC' s.1/d/common
echo 1 >s.1/d/common/one
echo 2 >s.2/d/common/two
touch -d '2018-01-01 UTC' s.0/d
touch -d '2017-01-01 UTC' s.1/d/common
expect 0 3 "$WORK/s.%r" "$WORK/d"
is "united" "./d ./d/common ./d/common/deep ./d/common/one ./d/common/two ./d/only0" \
	"$(cd d && find . -mindepth 1 | sort | paste -sd ' ')"
is "mode and time of the lowest node's" "2751 2018-01-01" "$(TZ=UTC stat -c '%a %y' d/d | cut -c1-15)"
is "the same of another" "700 2017-01-01" "$(TZ=UTC stat -c '%a %y' d/d/common | cut -c1-14)"

# Symbolic links: equal ones are one; different ones are a conflict like any other.
stores 2
ln -s target s.0/l
ln -s target s.1/l
expect 0 2 "$WORK/s.%r" "$WORK/d"
is "equal links" target "$(readlink d/l)"
ln -sfn elsewhere s.1/l
touch -h -d '2035-01-01 UTC' s.1/l
rm -rf d
refused 2 --conflict=error
says ": l:"
names_nodes 0 1
beside 2
is "both links" "target elsewhere" "$(readlink d/l.$host.0 d/l.$host.1 | paste -sd ' ')"
found l.$host.0 l.$host.1
rm -rf d
rm -rf s.?/.ebt
expect 0 2 --conflict=newest "$WORK/s.%r" "$WORK/d"
is "newest link" elsewhere "$(readlink d/l)"
rm -rf d
expect 0 2 --conflict=suffix "$WORK/s.%r" "$WORK/d"
is "both links" "target elsewhere" "$(readlink d/l.$host.0 d/l.$host.1 | paste -sd ' ')"
rm -rf d
refused 2 --strict --conflict=merge
says ": l:"
rm -rf s.?/.ebt
beside 2 --conflict=merge
found l.$host.0 l.$host.1

# Two kinds under one name cannot be united by any rule. All or nothing: nothing.
mkdir outside
# kinds KIND: a file on one node, that on the other
kinds() {
	stores 2
	echo file >s.0/both
	if [ $1 = dir ]; then
		mkdir s.1/both
		echo inner >s.1/both/inner
	else
		ln -s "$WORK/outside" s.1/both
	fi
}
# A link to somewhere on one node, a directory on another.
link_and_dir() {
	stores 2
	ln -s "$WORK/outside" s.0/both
	mkdir s.1/both
	echo inner >s.1/both/inner
}
for how in --conflict=error --strict --atomic "--strict --conflict=merge" "--strict --conflict=newest" \
	"--atomic --conflict=newest" "--strict --conflict=suffix"; do
	for kind in dir link; do
		kinds $kind
		refused 2 $how
		says both
		names_nodes 0 1
	done
	# Nothing goes through the link.
	link_and_dir
	refused 2 $how
	says both
	check "nothing behind the link" test -z "$(ls -A outside)"
done
# Else the directory keeps the name, and what is none gets that of its node.
for how in auto merge newest suffix; do
	kinds dir
	beside 2 --conflict=$how
	found both/inner both.$host.0
	is "the directory and the file" "inner file" "$(cat d/both/inner d/both.$host.0 | paste -sd ' ')"
	kinds link
	beside 2 --conflict=$how
	found both.$host.0 both.$host.1
	is "the file and the link" "file $WORK/outside" "$(cat d/both.$host.0) $(readlink d/both.$host.1)"
	link_and_dir
	beside 2 --conflict=$how
	found both/inner both.$host.0
	is "the link and the directory" "$WORK/outside inner" "$(readlink d/both.$host.0) $(cat d/both/inner)"
	check "nothing behind the link" test -z "$(ls -A outside)"
done

# What the manifests say decides first: an input that one node changed is no conflict with
# the same input, unchanged, on another.
mkdir in
echo input >in/f
staged 3 in/. "$WORK/s.%r"
rm -rf s.? d
staged 3 in/. "$WORK/s.%r"
echo "changed by 1" >s.1/f
expect 0 3 "$WORK/s.%r" "$WORK/d"
is "the changed one" "changed by 1" "$(cat d/f)"

# Who writes a file of which all have a piece: all, also where nobody has anything else. As many
# from one node are written by that one.
what="writers of a joined file"
stores 3
for i in 0 1 2; do dd if=/dev/urandom of=s.$i/f bs=1M count=1 seek=$i status=none; done
for i in 0 1; do truncate -s 3M s.$i/f; done
for i in 1 2; do touch -r s.0/f s.$i/f; done
expect 0 3 --json "$WORK/s.%r" "$WORK/d"
is "$what" "3 of 3" "$(number writers) of $(number nodes)"
what="writers of a file of one node"
stores 3
head -c 3000000 /dev/urandom >s.1/f
expect 0 3 --json "$WORK/s.%r" "$WORK/d"
is "$what" "1 of 3" "$(number writers) of $(number nodes)"
finish
