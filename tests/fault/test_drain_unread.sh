#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Outputs that cannot be looked at: directories that cannot be opened or listed, names that
# cannot be looked at, links and attributes that cannot be read. Each is named and stays in its
# store, and the others come.
. "$(dirname "$0")/drain.sh"
BROKEN=$2/broken.so

# on_disk BROKEN ARG...: a drain in which node 1 has a disk like that
on_disk() {
	AS=(env "LD_PRELOAD=$BROKEN" EBT_TEST_RANK=1 "EBT_TEST_BROKEN=$1")
	shift
	begin "${args[@]}" "$@" "$WORK/s.%r" "$WORK/top/d"
	AS=()
	ended 60
}
# add: what node 1 has besides, and want does not
add() {
	mkdir -p s.1/x/bad s.1/x/half s.1/x/good
	for i in 1 2 3 4 5 6 7 8; do
		echo "bad $i" >s.1/x/bad/f$i
		echo "half $i" >s.1/x/half/f$i
		echo "good $i" >s.1/x/good/f$i
	done
	mkdir s.1/x/half/sub s.1/x/good/sub
	echo deep | tee s.1/x/half/sub/f >s.1/x/good/sub/f
	echo odd >s.1/x/odd
	ln -s somewhere s.1/x/symlink
	echo tagged >s.1/x/tagged
	attributes=
	setfattr -n user.tag -v value s.1/x/tagged 2>/dev/null && attributes=yes
	touch -d '2011-11-11' s.1/x/*/f* s.1/x/half/sub/* s.1/x/tagged
	cp -a s.1/x x.keep
}
# others_came: all of want, and what is good
others_came() {
	local lost
	CHECKS=$((CHECKS + 1))
	lost=$(rsync -naHAXS --checksum -i want/ top/d/ | grep -v '^\.d' | head -3)
	[ -z "$lost" ] || fail "$what: did not come: $lost"
	check "$what: its neighbours" diff -r x.keep/good top/d/x/good
	tidy top/d
}

what="a disk with bad blocks"
bad=:open:bad:list:half:stat:odd:readlink:symlink:xattr:tagged:
fresh
add
on_disk $bad --delete --json
is "$what: status" 3 "$status"
others_came
says "x/bad: open: Input/output error"
says "x/half: list: Input/output error"
says "x/odd: stat: Input/output error"
says "x/symlink: readlink: Input/output error"
says "x/tagged: extended attributes: Input/output error"
for n in x/bad x/half x/odd x/symlink; do
	check "$what: $n is listed" grep -q "\"kind\":\"missing\",\"path\":\"$n\"" out
done
check "$what: x/tagged is listed" grep -q '"kind":"lost","path":"x/tagged"' out
is "$what: how many are missing" 4 "$(number failed)"
is "$what: how many lack attributes" 1 "$(number lost_attributes)"
check "$what: content without attributes" cmp x.keep/tagged top/d/x/tagged
absent top/d/x/odd
absent top/d/x/symlink
# What could not be read as a whole stays, the others go.
for n in bad half odd symlink tagged; do check "$what: $n stays" diff -r --no-dereference x.keep/$n s.1/x/$n; done
check "$what: the others are freed" test -z "$(find s.1/x/good s.0 s.2 -name .ebt -prune -o -type f -print)"
# Nothing is over, and nothing is freed by a later run before it is home as a whole.
on_disk $bad --delete
is "$what: status of a second run" 3 "$status"
for n in bad half odd symlink tagged; do check "$what: $n stays still" diff -r --no-dereference x.keep/$n s.1/x/$n; done
what="the disk is repaired"
expect 0 $N "${args[@]}" --delete "$WORK/s.%r" "$WORK/top/d"
check "$what: all of it" diff -r --no-dereference x.keep top/d/x
[ -z "$attributes" ] || is "$what: and its attributes" value "$(getfattr --only-values -n user.tag top/d/x/tagged)"
check "$what: all are freed" test -z "$(find s.? -name .ebt -prune -o ! -type d -print)"

what="all or nothing"
for how in --strict --atomic; do
	rm -rf x.keep
	fresh
	add
	on_disk $bad $how
	is "$what: status, $how" 1 "$status"
	nothing_at top
done
on_disk :stat:none: --atomic
is "$what: status without" 0 "$status"

# The store itself.
what="a store that cannot be listed"
rm -rf x.keep
fresh
add
on_disk :list:s.1: --delete
is "$what: status" 3 "$status"
says "s.1: list: Input/output error"
check "$what: nothing of it is freed" diff -r --no-dereference x.keep s.1/x
check "$what: the others come" test -z "$(find s.0 s.2 -name .ebt -prune -o -type f ! -name shared -print)"
expect 0 $N "${args[@]}" --delete "$WORK/s.%r" "$WORK/top/d"
check "$what: then" diff -r --no-dereference x.keep top/d/x

# An ordinary user, and modes that he left.
as_user=()
if [ "$(id -u)" = 0 ]; then
	command -v setpriv >/dev/null && as_user=(setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/)
	if [ ${#as_user[@]} = 0 ] || ! "${as_user[@]}" test -x "$STAGE"; then
		echo "not tried: an ordinary user needs setpriv and a build that everybody may run"
		finish
	fi
fi
rm -rf x.keep home
mkdir -m 755 home
mkdir home/s.0 home/s.1
cd home || exit 99
mkdir s.1/open s.1/closed s.1/no-x
for d in open closed no-x; do for i in 1 2 3; do echo "$d $i" >s.1/$d/f$i; done; done
echo zero >s.0/zero
echo mine >s.1/unreadable
[ -z "$attributes" ] || setfattr -n user.tag -v value s.1/unreadable
chmod 0 s.1/closed s.1/unreadable
chmod 600 s.1/no-x
[ "$(id -u)" != 0 ] || chown -R 65534:65534 .
what="modes, as an ordinary user"
timeout "$LIMIT" "${as_user[@]}" "$LAUNCH" -n 2 "$STAGE" --per-rank --delete "$PWD/s.%r" "$PWD/d" >../out 2>../err
is "$what: status" 3 $?
says "s.1/closed: open: Permission denied"
says "s.1/no-x/f1: stat: Permission denied"
says "unreadable"
check "$what: the other node's" cmp <(echo zero) d/zero
check "$what: the neighbours" test "$(cat d/open/f?)" = "open 1
open 2
open 3"
absent d/unreadable
chmod u+rwX s.1/closed s.1/no-x s.1/unreadable
is "$what: what was closed stays" "closed 1 closed 2 closed 3 no-x 1 no-x 2 no-x 3 mine" \
	"$(cat s.1/closed/f? s.1/no-x/f? s.1/unreadable | paste -sd ' ')"
timeout "$LIMIT" "${as_user[@]}" "$LAUNCH" -n 2 "$STAGE" --per-rank --delete "$PWD/s.%r" "$PWD/d" >../out 2>../err
is "$what: status once they are readable" 0 $?
is "$what: all came" "closed 1 closed 2 closed 3 no-x 1 no-x 2 no-x 3 mine" \
	"$(cat d/closed/f? d/no-x/f? d/unreadable | paste -sd ' ')"
finish
