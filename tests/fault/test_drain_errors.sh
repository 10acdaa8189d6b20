#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Calls of a drain under a microscope: everything is synced before it is seen and durable
# before its source goes, and a call that fails never ends in a success that hides it.
BUDGET=${BUDGET:-45}
. "$(dirname "$0")/drain.sh"
command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null ||
	skip "calls are seen and made to fail with strace, which is missing or may not trace"
some=$(cd keep.1 && ls many/f* | head -n 1)
for d in keep.1 want; do setfattr -n user.x -v y $d/$some 2>/dev/null || echo "not tried: extended attributes"; done

# traced OPTION...: ranks run under strace with these, see TRACED for which of them
cat >traced.sh <<'Y'
#!/bin/bash
case $TRACED in *"$EBT_RANK"*) ;; *) exec "$@" ;; esac
eval "options=($OPTIONS)"
exec strace -f -y -ttt -qq -s 0 -o "$TRACES/trace.$EBT_RANK" "${options[@]}" "$@"
Y
chmod 755 traced.sh
mkdir traces
# trace RANKS OPTIONS ARG...: status in $status
trace() {
	local ranks=$1 options=$2
	shift 2
	rm -f traces/*
	fresh
	TRACED=$ranks TRACES=$WORK/traces OPTIONS=$options timeout -k 5 "$LIMIT" \
		"$LAUNCH" -n $N ./traced.sh "$STAGE" --per-rank --memory=32M "${args[@]}" "$@" "$WORK/s.%r" "$WORK/top/d" \
		>out 2>err </dev/null
	status=$?
}

what="the order of calls"
trace "0 1 2" "-e trace=openat,pwrite64,write,pwritev,copy_file_range,ftruncate,fallocate,fsync,fdatasync,renameat,renameat2,linkat,unlinkat,fchmod,fchown,utimensat,fsetxattr" --delete
check "$what: status $status" test $status = 0
arrived want top/d
# A call that was interrupted in the log counts when it ended; its head is taken from before.
cat >order.awk <<'Y'
# Input: time call(arguments) = result, by time. Reports what is done in the wrong order.
function temp(s) { return match(s, /\/top\/d[^>]*\.ebt-drain-[0-9a-f-]+/) ? substr(s, RSTART, RLENGTH) : "" }
{ t = $1 }
/ (pwrite64|pwritev|write|copy_file_range|ftruncate|fallocate)\(/ && temp($0) != "" { written[temp($0)] = t; writes++ }
/ (fsync|fdatasync)\(/ && temp($0) != "" { synced[temp($0)] = t; syncs++ }
/ (fsync|fdatasync)\(.*top\/d/ && temp($0) == "" { match($0, /<[^>]*>/); dirs[substr($0, RSTART + 1, RLENGTH - 2)] = t }
/ (fchmod|fchown|utimensat|fsetxattr)\(/ && temp($0) != "" { attributed++ }
/ (fchmod|fchown|utimensat|fsetxattr)\(.*top\/d/ && temp($0) == "" {
	match($0, /<[^>]*>/)
	f = substr($0, RSTART + 1, RLENGTH - 2)
	if (f in named) print "attributes after the rename: " $0
}
/ renameat2?\(.*top\/d/ {
	split($0, q, "\"")
	match($0, /<[^>]*>/)
	d = substr($0, RSTART + 1, RLENGTH - 2)
	f = d "/" q[2]
	k = temp(f)
	if (k in written && !(k in synced)) print "renamed without sync: " $0
	if (k in written && synced[k] < written[k]) print "written after the sync: " $0
	named[d "/" q[4]] = 1
	changed[d] = t
	renames++
}
/ unlinkat\(.*\/s\.[0-2]/ && !/\.ebt/ {
	if (!unlinks) for (d in changed) if (!(d in dirs) || dirs[d] < changed[d]) print "freed before the directory was synced: " d
	unlinks++
}
END { printf "%d writes, %d syncs, %d renames, %d unlinks, %d attributes\n", writes, syncs, renames, unlinks, attributed }
Y
for r in 0 1 2; do
	# Joins the halves of calls: pid and name tell which belong together.
	awk '{ pid = $1; $1 = "" }
		/<unfinished \.\.\.>$/ { sub(/ *<unfinished \.\.\.>$/, ""); head[pid] = $0; next }
		/<\.\.\. [a-z0-9]+ resumed>/ { t = $2; sub(/^.*resumed>/, ""); h = head[pid]; sub(/^ *[0-9.]+ /, "", h); print t " " h $0; next }
		{ sub(/^ /, ""); print }' traces/trace.$r
done | sort -n | grep -v ' = -1 ' >calls
awk -f order.awk calls >judged
tail -n 1 judged
check "$what: $(head -n -1 judged | head -n 3)" test "$(wc -l <judged)" = 1
check "$what: enough was seen" awk '{exit !($1 > 100 && $3 > 100 && $5 > 100 && $7 > 100)}' <(tail -n 1 judged)
# No file is created twice, or written through its final name.
is "$what: creations of a name" "" "$(grep ' openat(.*O_CREAT.*top/d' calls | grep -o '"[^"]*"' | sort | uniq -d)"
check "$what: all creations are exclusive and hidden" test -z "$(grep ' openat(.*top/d.*O_CREAT' calls | grep -v 'O_EXCL' | head -n 2)"

# Calls that fail, on one rank, once or from then on.
faults=0 hidden=0
large=$(cd keep.1 && find deep -name 'large*' -links 1 | head -n 1)
while read -r call error when ranks only; do
	over && break
	what="$call fails with $error, $when $only"
	only=${only/LARGE/-P $WORK/s.1/$large}
	only=${only/JOURNAL/-P $WORK/s.1/.ebt/drain}
	# The libraries below MPI look at files too, and more of them where more are installed.
	only=${only/MANY/-P $WORK/s.1/many}
	trace "$ranks" "-e trace=$call -e inject=$call:error=$error:when=$when $only" --delete
	injected=$(cat traces/* | grep -c INJECTED)
	check "$what: was reached" test "$injected" -gt 0
	faults=$((faults + 1))
	check "$what: status $status" test $status -le 4 -a $status -ne 2
	[ $status = 0 ] || check "$what: it is said" test -s err
	[ $status != 0 ] || hidden=$((hidden + 1))
	# What is home without an attribute comes anew when there is room for that.
	anew=
	[ $call != fsetxattr ] || anew=$some
	settle --delete
done <<'Y'
fsync EIO 3 1
fsync EIO 3+ 0
fsync ENOSPC 3 2
pwrite64 EIO 2 1
pwrite64 ENOSPC 3 0
pwrite64 EDQUOT 2+ 2
pwrite64 EINTR 2 1
pread64 EIO 1 1 LARGE
pread64 EIO 2+ 1 LARGE
pread64 EINTR 1 1 LARGE
write ENOSPC 2 1 JOURNAL
write EIO 2+ 1 JOURNAL
renameat2 EIO 2 1
renameat2 ENOSPC 3+ 2
utimensat EIO 2 0
utimensat EIO 3 2
fsetxattr ENOSPC 1 012
linkat EIO 1 012
symlinkat ENOSPC 1 012
mkdirat ENOSPC 4 0
unlinkat EIO 3 1
unlinkat EACCES 1+ 2
openat2 EMFILE 5 1
openat2 EACCES 4 2
fchmod EPERM 3 0
newfstatat EIO 20 1 MANY
Y
echo "$faults calls of 26 made to fail: $hidden were made good, $partly runs left a part"
finish
