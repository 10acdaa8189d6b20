#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# --delete where removing is not as easy: directories that their owner made read-only are opened
# for it and closed again, what cannot be removed is named and no failure, the rest goes.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/drain.sh"
chmod 755 "$WORK"
cd "$WORK" || exit 99
as_user=()
if [ "$(id -u)" = 0 ]; then
	command -v setpriv >/dev/null && as_user=(setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/)
fi
# as_user_drains ARG...: a drain of an ordinary user; its status in $status
as_user_drains() {
	timeout "$LIMIT" "${as_user[@]}" "$LAUNCH" -n 2 "$STAGE" --per-rank "$@" >out 2>err
	status=$?
}
files_of() { find "$@" -name .ebt -prune -o ! -type d -print | sort | paste -sd ' '; }

if [ "$(id -u)" != 0 ] || { [ ${#as_user[@]} -gt 0 ] && "${as_user[@]}" test -x "$STAGE"; }; then
	mkdir -m 755 home
	mkdir -p home/s.0/ro/deep home/s.0/open home/s.1/shared
	echo one >home/s.0/ro/f
	ln home/s.0/ro/f home/s.0/open/link
	ln -s f home/s.0/ro/symlink
	echo two >home/s.0/ro/deep/f
	echo three >home/s.0/open/f
	echo four >home/s.1/f
	echo five >home/s.1/shared/f
	touch -d '2005-05-05 05:05:05.123456789 UTC' home/s.0/ro/deep home/s.0/ro
	chmod 2555 home/s.0/ro
	chmod 0500 home/s.0/ro/deep
	[ "$(id -u)" != 0 ] || chown -hR 65534:65534 home
	before=$(cd home && stat -c '%n %a %Y' s.0/ro s.0/ro/deep)
	what="read-only directories"
	as_user_drains --delete "$WORK/home/s.%r" "$WORK/home/d"
	is "$what: status" 0 $status
	is "$what: all is freed" "" "$(files_of home/s.0 home/s.1)"
	is "$what: they are as they were" "$before" "$(cd home && stat -c '%n %a %Y' s.0/ro s.0/ro/deep)"
	is "$what: content" "one two one three four five" \
		"$(cat home/d/ro/f home/d/ro/deep/f home/d/open/link home/d/open/f home/d/f home/d/shared/f | paste -sd ' ')"

	# Somebody else's directory, in which he may only read: root put it there.
	if [ "$(id -u)" = 0 ]; then
		what="a directory of others"
		rm -rf home/d
		mkdir -p home/s.0/theirs home/s.1/mine
		for i in 1 2 3; do
			echo "theirs $i" >home/s.0/theirs/f$i
			echo "mine $i" >home/s.0/f$i
			echo "mine $i" >home/s.1/mine/f$i
		done
		chown -R 65534:65534 home/s.0/f? home/s.1/mine
		as_user_drains --delete --json "$WORK/home/s.%r" "$WORK/home/d"
		is "$what: status" 4 $status
		is "$what: only they are left" "home/s.0/theirs/f1 home/s.0/theirs/f2 home/s.0/theirs/f3" \
			"$(files_of home/s.0 home/s.1)"
		for i in 1 2 3; do
			says "s.0/theirs/f$i on "
			check "$what: f$i is listed" grep -q "\"kind\":\"unfreed\",\"path\":\"theirs/f$i\"" out
			check "$what: f$i is home" cmp home/s.0/theirs/f$i home/d/theirs/f$i
		done
		is "$what: their number" 3 "$(number unfreed)"
		is "$what: the number of others" 6 "$(number freed)"
		as_user_drains --delete "$WORK/home/s.%r" "$WORK/home/d"
		is "$what: status of a second run" 4 $status
		says "3 not removed from the nodes"
		as_user_drains "$WORK/home/s.%r" "$WORK/home/d"
		is "$what: status where nothing is to be removed" 0 $status
	fi
	what=
else
	echo "not tried: an ordinary user needs setpriv and a build that everybody may run"
fi

# What nobody can remove.
mkdir -p s.0/fixed s.1
echo one >s.0/fixed/f
echo two >s.0/f
echo three >s.1/f1
if [ "$(id -u)" = 0 ] && mount --bind s.0/fixed s.0/fixed 2>/dev/null; then
	MOUNTS=("$WORK/s.0/fixed")
	mount -o remount,bind,ro s.0/fixed
	what="a read-only mount in the store"
	expect 4 2 --delete "$WORK/s.%r" "$WORK/d"
	says "s.0/fixed/f on "
	says "Read-only file system"
	check "$what: home" cmp s.0/fixed/f d/fixed/f
	is "$what: the others are freed" "s.0/fixed/f" "$(files_of s.0 s.1)"
	umount s.0/fixed
	MOUNTS=()
	expect 0 2 --delete "$WORK/s.%r" "$WORK/d"
	is "$what: freed once it is none" "" "$(files_of s.0 s.1)"
	what=
else
	echo "not tried: a read-only mount needs root and mounts"
fi
finish
