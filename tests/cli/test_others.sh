#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Other users: a store lies where nobody else could replace it or what is in it, for root too.
# What ebt-drain writes to is not a store, and may lie in anybody's directory.
. "$(dirname "$0")/lib.sh"
cd "$WORK" || exit 99
STORES=$STAGE
DRAIN=$BIN/ebt-drain
[ "$(id -u)" = 0 ] || skip "other users' directories need root"
chmod 755 "$WORK"
mkdir -p s/dir
echo content >s/dir/f
umask 022

# refused PATH SAYS: as a store of both commands, whether there is one or not, and without a trace
refused() {
	local before
	what="$1"
	before=$(find st -printf '%p %i %m %U:%G %y\n' | sort)
	STAGE=$STORES
	expect 1 1 s "$WORK/$1"
	says "$2"
	if [ -e "$1" ]; then
		expect 1 1 --recover "$WORK/$1"
		says "$2"
		STAGE=$DRAIN
		expect 1 1 "$WORK/$1" "$WORK/home"
		says "$2"
	fi
	STAGE=$DRAIN
	expect 1 1 --missing-ok "$WORK/$1" "$WORK/home"
	says "$2"
	STAGE=$STORES
	check "$what: is left alone" test "$before" = "$(find st -printf '%p %i %m %U:%G %y\n' | sort)"
	check "$what: nothing came home" test ! -e home
	what=
}
# accepted PATH
accepted() {
	what="$1"
	expect 0 1 s "$WORK/$1"
	check "$1: content" cmp s/dir/f "$1/s/dir/f"
	what=
}

# By its owner, or by a mode that lets others write; the store, or a directory above it.
mkdir -p st/theirs/ours st/all/ours st/group/ours st/sticky/ours
chown 1234:1234 st/theirs
chmod 777 st/all
chmod 775 st/group
chgrp 1234 st/group
chmod 1777 st/sticky
for d in "" /ours /new /new/deep; do
	refused "st/theirs$d" "belongs to user 1234"
	refused "st/all$d" "is not sticky"
	refused "st/group$d" "group 1234 may write to"
done
accepted st/sticky/ours
accepted st/sticky/new/deep
mkdir st/of-root
chmod 775 st/of-root
accepted st/of-root/new

# A link on the way; nobody's but ours and root's is followed, to look at a store neither.
mkdir -p st/real/d
ln -s real st/ours
ln -s real st/theirs-link
ln -s theirs-link st/second
chown -h 1234:1234 st/theirs-link
for l in theirs-link theirs-link/ theirs-link/d theirs-link/new second/d; do
	refused "st/$l" "is a link of another user's (1234)"
done
accepted st/ours
for how in list verify; do
	what="--$how behind a link"
	expect 0 1 --$how "$WORK/st/ours"
	if [ $how = verify ]; then expect 1 1 --$how "$WORK/st/theirs-link"; else
		timeout "$LIMIT" "$STAGE" --$how "$WORK/st/theirs-link" >out 2>err
		check "$what" test $? = 1
	fi
	says "is a link of another user's (1234)"
done
mkdir st/planted
ln -s ../real/.ebt st/planted/.ebt
what="--list of a planted .ebt"
timeout "$LIMIT" "$STAGE" --list st/planted >out 2>err
check "$what" test $? = 1
check "$what: shows nothing" test ! -s out
what=

# A way from the working directory is one from the root.
cd st/all/ours || exit 99
what="relative"
expect 1 1 ../../../s new
says "is not sticky"
what=
cd "$WORK" || exit 99

# To look at a store is not to trust its way.
expect 0 1 s st/real/d
mv st/real/d st/all/d
expect 0 1 --verify "$WORK/st/all/d"
check "list" grep -q s/dir/f <("$STAGE" --list st/all/d)

# In the store: a directory that somebody else made is not filled, by root neither.
mkdir st/in
expect 0 1 s "$WORK/st/in/fresh"
mkdir -m 1777 st/in/sticky
mkdir -m 777 st/in/sticky/s
chown 1234:1234 st/in/sticky/s
what="a directory of others in a sticky store"
expect 1 1 s "$WORK/st/in/sticky"
says "st/in/sticky/s: others could replace what is in it: it belongs to user 1234"
check "$what: empty" test -z "$(ls st/in/sticky/s)"
what=
nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/)
if command -v setpriv >/dev/null && "${nobody[@]}" test -x "$STAGE"; then
	what="the same as an ordinary user"
	CHECKS=$((CHECKS + 1))
	timeout "$LIMIT" "${nobody[@]}" "$LAUNCH" -n 1 "$STAGE" s "$WORK/st/in/sticky" >out 2>err
	[ $? = 1 ] || { fail "not refused"; show; }
	says "st/in/sticky/s: others could replace"
	check "$what: empty" test -z "$(ls st/in/sticky/s)"
	# umask 002 and a group of many.
	mkdir -m 775 st/in/nobodys
	chown 65534:1234 st/in/nobodys
	timeout "$LIMIT" "${nobody[@]}" "$LAUNCH" -n 1 "$STAGE" s "$WORK/st/in/nobodys" >out 2>err
	check "$what: a group" test $? = 1
	says "group 1234 may write to it"
	# ... behind a door that only he opens.
	mkdir -m 700 st/in/door
	mv st/in/nobodys st/in/door/
	chown 65534:65534 st/in/door
	timeout "$LIMIT" "${nobody[@]}" "$LAUNCH" -n 1 "$STAGE" s "$WORK/st/in/door/nobodys" >out 2>err
	check "$what: closed" test $? = 0
	cp -r st/in/door/nobodys/s st/in/door/nobodys/result
	chown -R 65534:65534 st/in/door/nobodys
	mkdir -m 777 shared
	chown 1234 shared
	CHECKS=$((CHECKS + 1))
	timeout "$LIMIT" "${nobody[@]}" "$LAUNCH" -n 1 "$DRAIN" --local-dest --exclude=/s "$WORK/st/in/door/nobodys" "$WORK/shared/d" >out 2>err ||
		{ fail "results stay"; show; }
	check "$what: results" cmp s/dir/f shared/d/result/dir/f
	what=
else
	echo "not tried: an ordinary user's stores need setpriv and a build that everybody may run"
fi

# Somebody who is quick: he has the name when it is looked at, or when it is made.
if command -v setpriv >/dev/null; then
	mkdir -m 1777 st/race
	mkdir -m 777 trap
	chown 1234 trap
	what="a race"
	setpriv --reuid=1234 --regid=1234 --clear-groups bash -c 'cd "$0" || exit
		until [ -e stop ]; do
			mkdir -m 777 d; rmdir d; ln -s ../../trap d; rm d
		done' "$WORK/st/race" 2>/dev/null &
	racer=$!
	won=0
	for i in $(seq 25); do
		stage 1 s "$WORK/st/race/d/x"
		case $? in
		0)
			won=$((won + 1))
			check "$what: root's" test "$(stat -c %u:%a st/race/d st/race/d/x)" = "0:700
0:700"
			;;
		1)
			grep -q "belongs to user 1234\|link of another user\|comes and goes" err ||
				{ fail "another failure"; show; }
			;;
		*) fail "$what: status" ;;
		esac
		[ "$(stat -c %u st/race/d 2>/dev/null)" != 0 ] || rm -rf st/race/d
	done
	touch st/race/stop
	wait $racer
	echo "$what: $won of 25 runs were first"
	check "$what: nothing got into his hands" test -z "$(ls -A trap)"
	what=
fi

# The drain's DEST may lie in a directory of others and be theirs.
mkdir -p out.0 project/d
echo result >out.0/r
chown 1234:1234 project project/d
chmod 777 project/d
STAGE=$DRAIN
expect 0 1 "$WORK/out.%r" "$WORK/project/d"
expect 0 1 --overwrite=update "$WORK/out.%r" "$WORK/project/new"
check "results" cmp out.0/r project/new/r
STAGE=$STORES

# A user namespace that knows one user alone: the directories above are nobody's there.
if setpriv --reuid=65534 --regid=65534 --clear-groups unshare -Ur test -x "$STAGE" 2>/dev/null; then
	mkdir -m 755 ns
	cp -r s ns/
	chown -R 65534:65534 ns
	what="a user namespace"
	CHECKS=$((CHECKS + 1))
	timeout "$LIMIT" "${nobody[@]}" unshare -Ur "$LAUNCH" -n 1 "$STAGE" ns/s "$WORK/ns/d/e" >out 2>err ||
		{ fail "refused"; show; }
	check "$what" cmp s/dir/f ns/d/e/s/dir/f
	what=
else
	echo "not tried: user namespaces need unshare, setpriv and a kernel that allows them"
fi

# Trees with directories of others and ones that others may write to are brought up to date.
mkdir -p t/theirs/deep t/group t/all
for d in t/theirs t/theirs/deep t/group t/all; do echo one >$d/f; done
chown -R 1234:1234 t/theirs
chgrp 1234 t/group
chmod 775 t/group
chmod 777 t/all
expect 0 2 t/. "$WORK/u.%r"
same t u.0
for d in t/theirs t/theirs/deep t/group t/all; do echo two >$d/f; done
what="directories of others"
expect 0 2 --overwrite=update t/. "$WORK/u.%r"
same t u.0
same t u.1
expect 0 2 --verify "$WORK/u.%r"
# Not where others get in.
chmod 755 u.1
echo three >t/theirs/f
expect 1 2 --overwrite=update t/. "$WORK/u.%r"
says "mode 0700 of the store would keep them out"
check "$what: nothing changed" test "$(cat u.0/theirs/f u.1/theirs/f)" = "two
two"
chmod 700 u.1
expect 0 2 --overwrite=update t/. "$WORK/u.%r"
what="not as it was staged"
chown 1235 u.0/theirs
expect 1 2 --overwrite=update t/. "$WORK/u.%r"
says "u.0/theirs: others could replace"
finish
