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

# One run at a time.
expect 0 1 s "$WORK/lock.%r"
exec 9<lock.0/.ebt/lock
flock 9
expect 1 1 u "$WORK/lock.%r"
says "lock.0"
finish
