#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A target that is full: one message, nothing half-visible, nothing freed that is not durable,
# and once there is room the same run finishes.
. "$(dirname "$0")/drain.sh"
[ "$(id -u)" = 0 ] || skip "a small file system as DEST needs root to mount"
mkdir top
mount -t tmpfs -o size=1m tmpfs top 2>err || skip "a small file system as DEST: $(cat err)"
umount top

# small OPTIONS: a target of that size
small() {
	fresh
	mount -t tmpfs -o "$1" tmpfs top || exit 99
	MOUNTS=("$WORK/top")
}
gone() {
	umount top
	MOUNTS=()
}
# full TEXT ARG...: a run into it
full() {
	local text=$1
	shift
	start --strict "$@"
	ended 60
	check "$what: status $status" test $status -eq 1
	says "$text"
	said=$(grep -v warning: err | grep -c ^ebt-drain:)
	[ "$said" = 1 ] || show
	is "$what: errors" 1 "$said"
	complete_as_seen
	nothing_lost
}
# roomy ARG...: the same when there is room
roomy() {
	mount -o remount,size=100m,nr_inodes=10k top
	again "$@"
	gone
}
for size in 400k 3m 9m; do
	what="DEST of $size"
	small size=$size
	full "needed"
	says "$WORK/top/d"
	check "$what: nothing was written" test -z "$(seen)"
	nothing_freed=$(find s.? -name .ebt -prune -o -type f -print | wc -l)
	is "$what: local files" "$(find keep.? -type f | wc -l)" "$nothing_freed"
	roomy
done
what="DEST of 9m, to be freed"
small size=9m
full "needed" --delete
roomy --delete
check "$what: freed in the end" test -z "$(find s.? -name .ebt -prune -o -type f -print)"
what="no inodes"
small size=100m,nr_inodes=60
full "No space left"
roomy
what="DEST of 9m, as a whole"
small size=9m
full "needed" --atomic
check "$what: nothing is seen" test ! -e top/d
roomy --atomic

# It fills up because of somebody else, and room comes back.
what="somebody else fills it"
small size=30m
start --strict --rate=10M
until_there 'top/d/deep/large*' || fail "$what: too late"
head -c 40000000 /dev/zero >top/other 2>/dev/null
ended 60
check "$what: status $status" test $status -eq 1
says "No space left"
complete_as_seen
rm top/other
roomy
finish
