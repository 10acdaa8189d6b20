#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A source whose inode numbers differ from node to node: one FUSE mount for each rank, at the
# same path in a mount namespace of its own.
. "$(dirname "$0")/fault.sh"
server=$2/unsteady
unset what
[ -x "$server" ] || skip "built without libfuse 3"
[ "$(id -u)" = 0 ] || skip "mounts need root"
[ -c /dev/fuse ] || skip "no /dev/fuse"
: 2>/dev/null <>/dev/fuse || skip "/dev/fuse cannot be opened"
unshare -m mount --bind / /mnt 2>/dev/null || skip "no mount namespaces here"

mkdir src view
make_tree src/t
head -c 30000000 /dev/urandom >src/t/shared-by-readers
ln src/t/many/f10 src/t/many/g10
ln src/t/many/f20 src/t/a/g20
for r in 0 1 2 3; do
	mkdir mnt.$r
	"$server" "$WORK/src" $((r * 7)) "$WORK/mnt.$r" || skip "FUSE cannot be mounted here"
	MOUNTS+=("$WORK/mnt.$r")
done
check "the numbers differ" test \
	"$(stat -c %i mnt.0/t/many/f10)" != "$(stat -c %i mnt.1/t/many/f10)"

cat >on_node.sh <<X
#!/bin/sh
mount --bind "$WORK/mnt.\$EBT_RANK" "$WORK/view" && exec "\$@"
X
chmod 755 on_node.sh
COMMAND=$STAGE
# on_nodes ARG...: four ranks with their own mount at view, else all defaults
on_nodes() {
	CHECKS=$((CHECKS + 1))
	timeout "$LIMIT" "$LAUNCH" -n 4 unshare -m "$WORK/on_node.sh" "$COMMAND" --per-rank --json "$@" \
		>out 2>err </dev/null || { fail "$what: status $?"; show; }
}
# stores: content and attributes but ACLs, of which this file system has none; links that no
# node came by in full may have come apart
stores() {
	local r diff
	for r in 0 1 2 3; do
		CHECKS=$((CHECKS + 1))
		diff=$(rsync -naS --checksum --delete -i src/t/ "d.$r/t/" 2>&1)
		[ -z "$diff" ] || fail "$what: d.$r differs: $(head -5 <<<"$diff")"
		check "$what: links of one directory" test d.$r/t/many/f10 -ef d.$r/t/many/g10
	done
}

what="all defaults"
on_nodes view/. "$WORK/d.%r"
stores
what="several readers of one file"
rm -rf d.?
on_nodes --readers=4 view/. "$WORK/d.%r"
stores
what="nothing to update"
on_nodes --overwrite=update view/. "$WORK/d.%r"
stores
check "$what: $(cat out)" grep -q '"type":"result".*"bytes":0,' out
what="verify"
on_nodes --verify "$WORK/d.%r"
what="a changed file is updated"
echo changed >>src/t/shared-by-readers
sleep 1.1 # for as long a kernel may keep attributes of a FUSE file system
on_nodes --overwrite=update view/. "$WORK/d.%r"
stores
what="only files without content"
mkdir src/none
touch src/none/{1..100}
rm -rf d.?
on_nodes view/none/. "$WORK/d.%r"
check "$what" test -e d.3/100
what="DEST of a drain"
mkdir src/results
for r in 0 1 2 3; do
	mkdir out.$r
	echo $r >out.$r/of-$r
done
COMMAND=$BIN/ebt-drain
on_nodes -n "$WORK/out.%r" view/results # what is shown cannot be written to
check "$what: $(cat out)" grep -q '"type":"plan".*"nodes":4' out
what="DEST on each node"
for r in 0 1 2 3; do
	umount "mnt.$r"
	mkdir "mnt.$r/results"
	sleep 0.05 # as long as the kernel's time of a change may stand still
done
MOUNTS=()
timeout "$LIMIT" "$LAUNCH" -n 4 unshare -m "$WORK/on_node.sh" "$COMMAND" --per-rank "$WORK/out.%r" \
	view/results >out 2>err </dev/null
status=$?
check "$what: status $status" test $status -ne 0
says "is it node-local?"

# The root of every tmpfs has the same inode number, and here the same device number too.
what="DEST in the memory of each node"
mkdir mem
cat >on_node.sh <<X
#!/bin/sh
mount -t tmpfs ebt "$WORK/mem" && exec "\$@"
X
on_each() {
	timeout "$LIMIT" "$LAUNCH" -n 2 unshare -m "$WORK/on_node.sh" "$COMMAND" --per-rank "$WORK/out.%r" \
		"$WORK/mem" >out 2>err </dev/null
	status=$?
	check "$what: status $status" test $status = 1
	says "is it node-local?"
}
on_each
what="DEST in the memory of each machine"
boot=/proc/sys/kernel/random/boot_id
echo 01234567-89ab-cdef-0123-456789abcdef >boot
cat >on_node.sh <<X
#!/bin/sh
[ "\$EBT_RANK" = 0 ] || mount --bind "$WORK/boot" $boot || exit 99
exec "\$@"
X
mount -t tmpfs ebt "$WORK/mem"
MOUNTS+=("$WORK/mem")
on_each
finish
