#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# ebt-stage --doctor: what it says is so, on several file systems; nothing is left, nothing is
# followed, and nothing is waited for.
. "$(dirname "$0")/lib.sh"
cd "$WORK" || exit 99
chmod 755 "$WORK"
unset "${!SLURM_@}" "${!PMI_@}" "${!OMPI_@}" "${!PBS_@}" "${!FLUX_@}" "${!UCX_@}" EBT_LUSTRE_SYSFS

# doctor STATUS ARG...: without a launcher
AS=() # as whom
doctor() {
	local want=$1 got
	shift
	CHECKS=$((CHECKS + 1))
	timeout "$LIMIT" "${AS[@]}" "$STAGE" --doctor "$@" >out 2>err </dev/null
	got=$?
	[ "$got" -eq "$want" ] && return 0
	fail "exit status $got, not $want: --doctor $*"
	show
}
# line TOPIC STATE [TEXT]
line() {
	CHECKS=$((CHECKS + 1))
	awk -v t="$1" -v s="$2" '$1 == t && $2 == s' out | grep -qF -- "${3-}" && return 0
	fail "not $1 $2 ${3-}, but: $(grep "^$1 " out)"
}
empty() { check "nothing is left in $1" test -z "$(ls -A "$1")"; }
topics="mpi launcher job ucx link compression archives lustre memory files dest store space xattrs acls"
topics="$topics times tmpfile links holes rename namespaces overlay fuse"

# On whatever the test lies on.
mkdir disk
doctor 0 disk
is "topics" "$topics" "$(sed '$d' out | awk '{print $1}' | paste -sd' ')"
check "a state each" test -z "$(sed '$d' out | awk '$2 !~ /^(ok|missing|unknown)$/')"
check "one screen" test "$(wc -l <out)" -le 25
check "no word besides" test ! -s err
check "what is counted" grep -qx "$(grep -c ' ok  ' out) ok, $(grep -c ' missing  ' out) missing, $(grep -c ' unknown  ' out) unknown" <(tail -1 out)
line launcher ok "$("$LAUNCH" --mpiexec)"
line mpi ok "$("$STAGE" --version | sed -n 's/.* running with //p')"
line store ok
line dest ok "disk: $(findmnt -nTo FSTYPE "$WORK" 2>/dev/null)"
empty disk
# One that is missing is judged by where it is to be made, and not made.
doctor 0 "$WORK/disk/a/b/../c"
line dest ok "to be made in $WORK/disk:"
empty disk
doctor 0 nowhere/at/all
line dest ok "nowhere/at/all, to be made in .:"
doctor 0 "disk/%r-%%"
line dest ok "disk/0-%, to be made in disk:"
TMPDIR=$WORK/disk doctor 0
line dest ok "$WORK/disk:"
empty disk

# JSON.
doctor 0 --json "$WORK/disk"
if command -v jq >/dev/null; then
	is "topics in JSON" "$topics" "$(jq -r 'select(.type == "doctor") | .topic' out | paste -sd' ')"
	is "states in JSON" "" "$(jq -r 'select(.type == "doctor" and (.state | IN("ok", "missing", "unknown") | not)) | .topic' out)"
	is "schema" ebt.stage/1 "$(jq -r .schema out | sort -u)"
	is "the last line" "diagnosis $WORK/disk 23" "$(tail -1 out | jq -r '"\(.type) \(.dest) \(.ok + .missing + .unknown)"')"
else
	echo "not tried: JSON without jq"
fi

# Wrong usage, and a DEST that cannot be used.
doctor 2 disk disk
says "--doctor takes one DEST"
doctor 2 --done=f disk
: >file
doctor 1 "$WORK/file/d"
says "$WORK/file"
line dest missing "Not a directory"
doctor 1 file
ln -s nowhere dangling
doctor 1 dangling
says "a link that leads nowhere"
check "the link leads nowhere still" test ! -e nowhere
doctor 1 "disk/%x"
doctor 1 --json file
is "an error in JSON" error "$(tail -1 out | sed 's/.*"type":"\([a-z]*\)".*/\1/')"

# A link to a directory is the user's own way; in DEST others may have planted anything.
mkdir outside
ln -s outside linked
doctor 0 linked
line store ok
empty outside
mkdir planted
for name in store xattrs acls times tmpfile links holes rename overlay fuse .ebt .ebt-doctor; do
	ln -s "$WORK/outside" "planted/$name"
done
ls -lA planted >before
doctor 0 planted
check "what others planted is as it was" diff before <(ls -lA planted)
empty outside
# In a store it stands where no drain looks for outputs.
mkdir src s
echo a >src/a
stage 1 src/. "$WORK/s"
ls -lA s s/.ebt >before
doctor 0 s
line dest ok "s:"
line overlay ok
check "a store is as it was" diff before <(ls -lA s s/.ebt)

# With nothing in the environment, in PATH, of descriptors.
AS=(env -i)
doctor 0 disk
is "topics with env -i" 23 "$(sed '$d' out | wc -l)"
AS=(env PATH=)
doctor 0 disk
AS=(env PATH= SLURM_JOB_ID=1 SLURM_NNODES=2)
doctor 0 disk
line job missing "without srun in PATH"
AS=()
# Few descriptors: the trials take turns.
AS=(bash -c 'ulimit -n 24 && exec "$@"' few)
doctor 0 disk
line rename ok
line files missing "24 open files at most"
AS=()
# A stop signal waits until all is gone.
for i in 1 2 3 4 5 6 7 8; do
	timeout -s TERM 0.0$i "$STAGE" --doctor disk >out 2>&1
	empty disk
done
"$STAGE" --doctor disk >out 2>err <&- || fail "without standard input"
check "as many lines" test "$(wc -l <out)" = 24
"$STAGE" --doctor disk >/dev/full 2>err && fail "a full standard output is no success"

# Launchers of the site.
mkdir bin
cat >bin/srun <<-'END'
	#!/bin/sh
	[ "$*" = --mpi=list ] && printf 'MPI plugin types are...\n\tnone\n\t%s\n' $PMIS >&2
END
chmod 755 bin/srun
case $("$LAUNCH" --mpi) in ompi) pmi=pmix ;; *) pmi=pmi2 ;; esac
AS=(env "PATH=$WORK/bin:$PATH" SLURM_JOB_ID=1 SLURM_NNODES=2 "PMIS=cray $pmi")
doctor 0 disk
line job ok "srun --mpi=$pmi"
AS=(env "PATH=$WORK/bin:$PATH" SLURM_JOB_ID=1 SLURM_NNODES=2 PMIS=none)
doctor 0 disk
line job missing "no --mpi=$pmi"
printf '#!/bin/sh\necho no controller >&2\nexit 3\n' >bin/srun
doctor 0 disk
line job unknown "ends with 3: no controller"
AS=(env PBS_JOBID=1 "PBS_NODEFILE=$WORK/no-such")
doctor 0 disk
line job missing PBS_NODEFILE
AS=(env PBS_JOBID=1 "PBS_NODEFILE=$WORK/file")
doctor 0 disk
line job ok PBS
AS=()

# Targets of Lustre, as a client shows them.
osc=sysfs/osc/scratch-OST0001-osc-ffff9d
mkdir -p "$osc"
for f in active:1 statfs_state: filesfree:5 kbytestotal:1000 kbytesavail:900; do
	echo "${f#*:}" >"$osc/${f%:*}"
done
printf '\n' >"$osc/statfs_state"
if ! grep -q ' lustre ' /proc/self/mounts; then
	AS=(env "EBT_LUSTRE_SYSFS=$WORK/sysfs")
	doctor 0 disk
	line lustre ok "1 targets, 1 usable"
	AS=(env "EBT_LUSTRE_SYSFS=$WORK/disk")
	doctor 0 disk
	line lustre missing "no targets are told"
	AS=()
fi

# Another user, who may not write everywhere.
AS=()
closed=closed
mkdir -m 555 closed
if [ "$(id -u)" = 0 ]; then
	AS=(setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/)
	command -v setpriv >/dev/null && "${AS[@]}" test -x "$STAGE" || closed=
fi
if [ "$closed" ]; then
	doctor 1 "$WORK/closed"
	says "nothing can be made in $WORK/closed: Permission denied"
	line dest missing "Permission denied"
	line xattrs unknown
	line memory ok
	mkdir -m 1777 open
	doctor 0 "$WORK/open"
	line store ok
	empty open
	# Where others could exchange what is brought.
	mkdir -m 777 loose
	doctor 0 "$WORK/loose"
	line store missing "nothing can be staged there"
	empty loose
else
	echo "not tried: another user needs setpriv and a build that everybody may run"
fi
AS=()

if [ "$(id -u)" != 0 ]; then
	echo "not tried: other file systems need root"
	finish
fi
# Where parts of the kernel are not to be seen, and where nobody gets a user namespace.
AS=(unshare -m sh -c 'umount -l /sys; umount -l /proc && exec "$@"' bare)
if timeout 10 "${AS[@]}" "$STAGE" --version >/dev/null 2>&1; then
	doctor 0 disk
	line memory unknown
	line lustre unknown
	line namespaces unknown
	line times ok
	empty disk
else
	echo "not tried: a node without /proc needs a mount namespace"
fi
AS=(unshare -Urm sh -c 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"' none)
if timeout 10 "${AS[@]}" true 2>/dev/null; then
	doctor 0 disk
	line namespaces missing "user.max_user_namespaces is 0"
	line overlay unknown "not tried"
	empty disk
else
	echo "not tried: a limit of user namespaces needs one"
fi
AS=()
# tmpfs, also read-only.
mkdir mem
if mount -t tmpfs -o size=10m,nr_inodes=100 tmpfs mem 2>/dev/null; then
	MOUNTS+=("$WORK/mem")
	doctor 0 mem
	line dest ok "mem: tmpfs, in memory"
	line space ok "10.0 MiB"
	line rename ok
	empty mem
	mount -o remount,ro mem
	doctor 1 mem
	says "nothing can be made in mem: Read-only file system"
	umount mem
else
	echo "not tried: tmpfs needs a mount"
fi
# Without attributes and without a bound.
if mount -t ramfs ramfs mem 2>/dev/null; then
	MOUNTS+=("$WORK/mem")
	doctor 0 mem
	line dest ok "mem: ramfs, in memory"
	line space ok "no bound of its own but memory"
	line xattrs missing "sources with such need --no-xattrs"
	line acls missing "sources with such need --no-xattrs"
	line tmpfile missing "lists of many files stay in memory"
	empty mem
	umount mem
else
	echo "not tried: ramfs needs a mount"
fi
# With small inodes. loop OPTIONS MKFS ARG...
loop() {
	local options=$1
	shift
	truncate -s 8M image
	command -v "$1" >/dev/null && "$@" image >/dev/null 2>&1 &&
		mount -o "loop,$options" image mem 2>/dev/null || return
	MOUNTS+=("$WORK/mem")
}
# Newer kernels have no such options.
if loop noacl,nouser_xattr mke2fs -q -F -t ext2 -I 128 || loop rw mke2fs -q -F -t ext2 -I 128; then
	doctor 0 mem
	line dest ok "mem: ext"
	line times missing "whole seconds from 1901 to 2038: times are cut"
	echo x >mem/x
	! setfacl -m u:1234:rw mem/x 2>/dev/null && line acls missing "need --no-xattrs" || line acls ok
	! setfattr -n user.x -v x mem/x 2>/dev/null && line xattrs missing "need --no-xattrs" || line xattrs ok
	rm mem/x
	line links ok
	is "what is left" lost+found "$(ls -A mem)"
	umount mem
else
	echo "not tried: ext2 needs mke2fs and a loop device"
fi
if loop uid=0 mkfs.vfat; then
	doctor 0 mem
	line links missing "sources with hard links"
	line xattrs missing
	line tmpfile missing
	line times missing
	empty mem
	umount mem
else
	echo "not tried: vfat needs mkfs.vfat and a loop device"
fi
# A file system that does not answer: its lines are unknown, the others are there.
cat >hang.py <<-'END'
	import ctypes, os, sys, time
	fd = os.open("/dev/fuse", os.O_RDWR)
	libc = ctypes.CDLL(None, use_errno=True)
	options = b"fd=%d,rootmode=40000,user_id=0,group_id=0" % fd
	if libc.mount(b"hang", sys.argv[1].encode(), b"fuse", 0, options):
	    sys.exit(1)
	print("mounted", flush=True)
	time.sleep(120)
END
mkdir hang
python3 hang.py "$WORK/hang" >mounted 2>/dev/null &
pid=$!
for _ in $(seq 100); do
	[ ! -s mounted ] || break
	[ -d /proc/$pid ] || break
	sleep 0.1
done
if [ -s mounted ]; then
	MOUNTS+=("$WORK/hang")
	begin=$SECONDS
	doctor 1 hang/d
	check "it took $((SECONDS - begin)) s" test $((SECONDS - begin)) -lt 25
	line dest unknown "no answer within"
	line xattrs unknown
	line memory ok
else
	echo "not tried: a file system that hangs needs /dev/fuse"
fi
kill $pid 2>/dev/null
wait $pid 2>/dev/null
umount hang 2>/dev/null
finish
