#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Stores that fill up in the middle or cannot be written.
. "$(dirname "$0")/fault.sh"

mkdir src
for i in $(seq 10 49); do head -c 1000000 /dev/urandom >"src/f$i"; done
D=("$WORK/d.0/x" "$WORK/d.1/x" "$WORK/d.2/x")

# A directory in the store that cannot be made: a file has its name.
what="DEST is a file"
mkdir d.0 d.1 d.2
echo file >d.1/x
begin src/. "$WORK/d.%r/x"
ended 30
check "$what: status $status" test $status -ne 0
says "d.1/x"
nothing_visible d.0/x d.2/x
check "$what: is left alone" test "$(cat d.1/x)" = file
rm -rf d.0 d.1 d.2

if [ "$(id -u)" != 0 ]; then
	echo "not tried: full and read-only stores need root to mount"
	finish
fi
mkdir d.0 d.1 d.2
if ! mount -t tmpfs -o size=70m tmpfs d.1 2>err; then
	echo "not tried: full and read-only stores: $(cat err)"
	finish
fi
MOUNTS+=("$WORK/d.1")

# Room when it is checked, none in the middle: the ranks stand still while somebody takes it.
what="a store fills up"
begin --readers=1 --parcel=128K --memory=2M src/. "$WORK/d.%r/x"
pids=$(all_ranks)
until_there 'd.1/x/.ebt/incoming/*/tree/f10' || fail "$what: too late"
kill -STOP $pids
head -c 70000000 /dev/zero >d.1/other 2>/dev/null
kill -CONT $pids
ended 30
fails_naming "No space left" "${D[@]}"
says "(rank 1 on"
rm d.1/other
what="the next run after a full store"
expect 0 $N src/. "$WORK/d.%r/x"
for d in "${D[@]}"; do same src "$d"; done
no_leftovers "${D[@]}"
rm -rf d.0/x d.1/x d.2/x

# No inodes are left when the publication needs its record.
what="a store without inodes"
umount d.1
mount -t tmpfs -o size=70m,nr_inodes=80 tmpfs d.1
begin --readers=1 --parcel=128K --memory=2M src/. "$WORK/d.%r/x"
pids=$(all_ranks)
until_there 'd.1/x/.ebt/incoming/*/tree/f10' || fail "$what: too late"
kill -STOP $pids
i=0
while : 2>/dev/null >d.1/n$i; do i=$((i + 1)); done 2>/dev/null
kill -CONT $pids
ended 30
fails_naming "No space left" "${D[@]}"
umount d.1

what="a store is read-only"
mount -t tmpfs -o size=70m tmpfs d.1
mount -o remount,ro d.1
begin src/. "$WORK/d.%r/x"
ended 30
fails_naming "Read-only" "${D[@]}"
says "d.1/x"
says "(rank 1 on"
check "$what: nothing was made elsewhere" test ! -e d.0/x -a ! -e d.2/x
finish
