#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A dry run of the drain writes nothing at all: no store, nothing in one, no destination. What it
# plans is what the run then does, also on stores that nobody can write to.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/drain.sh"
cd "$WORK" || exit 99
# all: everything below here but what the tests themselves write
all() { find . -mindepth 1 ! -path ./out ! -path ./err ! -path ./before -printf '%p %i %y %m %s %T@ %C@\n' | sort; }
# look ARG...: a dry run that changes nothing
look() {
	all >before
	expect "$1" "$2" -n "${@:3}"
	check "nothing was written: $*" diff before <(all)
}
mkdir -p src s.0 s.1/sub
echo staged >src/staged
echo zero >s.0/zero
echo one >s.1/sub/one

look 0 2 "$WORK/s.%r" "$WORK/d"
says "2 files"
look 0 2 --missing-ok "$WORK/none.%r" "$WORK/d"
look 1 2 "$WORK/none.%r" "$WORK/d"
says "none.0"
look 0 3 --missing-ok --conflict=merge "$WORK/s.%r" "$WORK/d"
says "2 files"
# Stores that were staged to, or drained from: what is unchanged or in place is left out.
staged 2 src/. "$WORK/s.%r"
look 0 2 "$WORK/s.%r" "$WORK/d"
says "2 files"
expect 0 2 "$WORK/s.%r" "$WORK/d"
echo new >s.0/new
look 0 2 "$WORK/s.%r" "$WORK/d"
says "1 file"
look 0 2 --atomic --restart "$WORK/s.%r" "$WORK/e"
mkdir -m 755 s.0/sub s.0/sub/.ebt
look 0 2 --exclude=.ebt "$WORK/s.%r" "$WORK/d"
# A store cut short needs a look, one with a .ebt that is not to be trusted is as wrong as for the
# run itself.
printf 'ebt publish 1\nid %032d\noverwrite refuse\nboot none\n' 7 >s.1/.ebt/publish
look 3 2 "$WORK/s.%r" "$WORK/d"
says "cut short"
look 1 2 --strict "$WORK/s.%r" "$WORK/d"
says "cut short"
rm s.1/.ebt/publish
chmod 755 s.1/.ebt
look 1 2 "$WORK/s.%r" "$WORK/d"
says "s.1/.ebt"
chmod 700 s.1/.ebt

if [ "$(id -u)" = 0 ] && mount --bind s.0 s.0 2>/dev/null; then
	MOUNTS=("$WORK/s.0")
	mount -o remount,bind,ro s.0
	look 0 2 "$WORK/s.%r" "$WORK/d"
	says "1 file"
	umount s.0
	MOUNTS=()
else
	echo "not tried: read-only stores need root and mounts"
fi
expect 0 2 "$WORK/s.%r" "$WORK/d"
check "the run does what was planned" cmp s.0/new d/new
finish
