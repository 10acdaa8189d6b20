#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Targets that exist: refused, replaced, replaced where they differ; and looking after stores.
. "$(dirname "$0")/lib.sh"
cd "$WORK" || exit 99

mkdir -p s/d
for i in 1 2 3 4 5 6 7 8; do echo "content $i" >"s/d/f$i"; done
echo top >s/top
ln s/top s/d/top2
expect 0 3 s/. "$WORK/t.%r"

# Refused by default: the first few are named, nothing is touched.
echo changed >s/d/f1
expect 1 3 s/. "$WORK/t.%r"
says "exist already"
says "d/f1"
check "old content stays" test "$(cat t.1/d/f1)" = "content 1"
check "no incoming is left" test -z "$(ls t.1/.ebt/incoming 2>/dev/null)"
expect 1 3 --overwrite=refuse s/. "$WORK/t.%r"
says "exist already"
check "old content stays" test "$(cat t.1/d/f1)" = "content 1"

# A second staging beside the first is no conflict, and both are in the manifest.
mkdir -p u/d
echo new >u/d/new
expect 0 3 u/. "$WORK/t.%r"
check "both" test "$("$STAGE" --list t.2 | grep -c ' d/')" = 10
expect 0 3 --verify "$WORK/t.%r"

# Update: only what differs travels; what differs on one node only is mended there.
echo broken >t.2/d/f3
expect 0 3 --json --overwrite=update s/. "$WORK/t.%r"
check "only f1 and f3 travel" grep -q '"bytes":18,' out
check "f1" cmp s/d/f1 t.0/d/f1
check "f3" cmp s/d/f3 t.2/d/f3
check "new stays" test -e t.0/d/new
expect 0 3 --verify "$WORK/t.%r"
check "hard link stays" test t.1/top -ef t.1/d/top2
expect 0 3 --json --overwrite=update s/. "$WORK/t.%r"
check "nothing travels" grep -q '"bytes":0,' out

# Update does not trust what EBT did not bring.
cp -a s/d/f5 f5
expect 0 2 u/. "$WORK/w.%r"
cp -a f5 w.0/f5
cp -a f5 w.1/f5
expect 0 2 --json --overwrite=update f5 "$WORK/w.%r"
check "brought" grep -q '"bytes":10,' out

# Always.
expect 0 3 --overwrite=always s/. "$WORK/t.%r"
for r in 0 1 2; do check "always $r" cmp s/d/f1 "t.$r/d/f1"; done
expect 0 3 --verify "$WORK/t.%r"

# A directory against something else is never replaced, a link never followed.
mkdir -p away
rm -rf t.1/d
ln -s "$WORK/away" t.1/d
expect 1 3 --overwrite=always s/. "$WORK/t.%r"
says "cannot be replaced"
check "nothing behind the link" test -z "$(ls away)"
rm t.1/d
echo file >t.1/d
expect 1 3 --overwrite=update s/. "$WORK/t.%r"
check "file stays" test -f t.1/d
rm t.1/d
expect 0 3 --overwrite=update s/. u/. "$WORK/t.%r"

# Verify names what differs.
expect 0 3 --verify "$WORK/t.%r"
printf X | dd of=t.1/d/f2 bs=1 seek=3 conv=notrunc status=none
touch -r s/d/f2 t.1/d/f2
rm t.2/d/f4
chmod 0600 t.0/d/f6
expect 1 3 --verify "$WORK/t.%r"
says "t.1/d/f2"
says "t.2/d/f4"
says "t.0/d/f6"
says "3 differences"

# A planted .ebt is refused.
mkdir -p plant.0 plant.1 elsewhere
ln -s "$WORK/elsewhere" plant.1/.ebt
expect 1 2 s "$WORK/plant.%r"
check "nothing behind the planted link" test -z "$(ls -A elsewhere)"
nothing_visible plant.0

# What an earlier staging brought, from wherever, and what it left, is no target that exists.
mkdir -p a/d b one w2.0 w2.1
for i in 1 2 3; do echo "auto $i" >a/d/f$i; done
: >a/d/empty
ln -s f1 a/d/link
ln a/d/f2 a/d/hard
cp -a a/. copy
expect 0 3 a/. "$WORK/v.%r"
before=$(stat -c '%n %i %Z' v.?/d/*)
expect 0 3 --json copy/. "$WORK/v.%r"
check "nothing travels" grep -q '"bytes":0,' out
check "all of it is unchanged" grep -q '"unchanged":6,' out
check "nothing is touched" test "$before" = "$(stat -c '%n %i %Z' v.?/d/*)"
expect 1 3 --overwrite=refuse copy/. "$WORK/v.%r"
says "exist already"
expect 0 3 --verify "$WORK/v.%r"
# More of it: only that comes.
echo more >copy/d/more
expect 0 3 --json copy/. "$WORK/v.%r"
check "what is new travels" grep -q '"bytes":5,' out
check "more" cmp copy/d/more v.2/d/more
# Nodes that another run had not: they get it, and the others keep what they have or its like.
rm -rf v.3
expect 0 4 copy/. "$WORK/v.%r"
for r in 0 1 2 3; do same copy v.$r; done
expect 0 4 --verify "$WORK/v.%r"
# spoiled NAME COMMAND: after that, on one node, it is refused there and nothing is touched
spoiled() {
	local name=$1
	shift
	cp -a v.1 kept
	"$@"
	expect 1 4 copy/. "$WORK/v.%r"
	says "$WORK/v.1: 1 target exist already, and differ or are not by EBT's hand (see --overwrite): $name"
	rm -rf v.1
	mv kept v.1
}
change_f1() { echo changed >v.1/d/f1; }
spoiled d/f1 change_f1
spoiled d/f3 touch v.1/d/f3
spoiled d/f1 chmod 0600 v.1/d/f1
spoiled d/link ln -sfn f2 v.1/d/link
# What is not in the manifest may say what it wants.
cp -a copy/d/f1 copy/d/empty copy/d/link one/
expect 0 2 b "$WORK/w2.%r"
for name in f1 empty link; do
	cp -a copy/d/$name w2.1/
	expect 1 2 one/. "$WORK/w2.%r"
	says "w2.1: 1 target exist already"
	says ": $name"
	check "nothing of it on the other node" test "$(ls w2.0)" = b
	rm w2.1/$name
done
expect 0 2 one/. "$WORK/w2.%r"
# Another size or time at the source is another file.
touch copy/d/f1
expect 1 4 copy/. "$WORK/v.%r"
says "d/f1"

# One run at a time.
expect 0 1 s "$WORK/lock.%r"
exec 9<lock.0/.ebt/lock
flock 9
expect 1 1 --wait=0 u "$WORK/lock.%r"
says "lock.0"
finish
