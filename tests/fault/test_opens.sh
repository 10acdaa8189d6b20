#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# What a file system says in passing, and what others hold: sources and outputs whose handles
# are stale for a moment or for good, opens that are interrupted, files under a lease. A wait
# is short, ends with a stop request, and is counted; the file system's words reach the user,
# and are never taken for EBT's own.
cli=$(cd "$(dirname "$0")/../cli" && pwd)
. "$(dirname "$0")/fault.sh"
. "$cli/drain.sh"
LEASE=$2/lease
DRAIN=$STAGE

mkdir src
for i in 1 2 3 4 5; do echo "content $i" >src/f$i; done
head -c 300000 /dev/urandom >src/large
fresh() {
	local r
	rm -rf d d.? s.?
	for ((r = 0; r < N; r++)); do
		mkdir -p s.$r/out
		cp -a src/f$((r + 1)) s.$r/out
	done
	cp -a src/large s.1/out
}
stage() { STAGE=$STAGER begin --json "$@" "$WORK/src/." "$WORK/d.%r"; }
drain() { STAGE=$DRAIN begin --json "$@" "$WORK/s.%r" "$WORK/d"; }
# ends STATUS
ends() {
	ended 60
	is "$what: status" "$1" $status
	[ "$1" = $status ] || show
}
staged_all() { check "$what: content" diff -r src d.$((N - 1)) --exclude=.ebt; }
drained_all() { check "$what: content" cmp src/large d/out/large; }

# A file server has it: the open breaks the lease, and works when it is given up.
held() {
	rm -f held
	"$LEASE" "$1" "$2" >held 2>&1 &
	holder=$!
	until [ -s held ] || ! kill -0 $holder 2>/dev/null; do sleep 0.01; done
	[ -s held ]
}
what="a source under a lease"
fresh
if held src/f3 700; then
	stage
	ends 0
	staged_all
	is "$what: counted" 1 "$(number reopened)"
	wait $holder
	is "$what: it was asked for" 0 $?
	what="an output under a lease"
	held s.1/out/large 700
	drain
	ends 0
	drained_all
	is "$what: counted" 1 "$(number reopened)"
	wait $holder
	what="a stop request while a lease is held"
	fresh
	held src/f3 20000
	stage
	all_ranks >/dev/null
	sleep 1
	kill -TERM $(all_ranks)
	before=$(now_ms)
	ended 30
	check "$what: status $status" test $status -ne 0
	check "$what: soon, $(($(now_ms) - before)) ms" test $(($(now_ms) - before)) -lt 5000
	says "stopped by signal"
	nothing_visible d.0 d.1 d.2
	kill $holder
	wait $holder 2>/dev/null
else
	echo "not tried: no leases on this file system"
fi

command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null || {
	echo "not tried: calls are made to fail with strace, which is missing or may not trace"
	finish
}
# faulty RANKS CALL:error=...:when=... [PATH]: what strace does to these ranks of the next run
cat >faulty.sh <<'X'
#!/bin/bash
command=$1
shift
case $RANKS in *"$EBT_RANK"*) ;; *) exec "$command" "$@" ;; esac
exec strace -f -qq -o "$WHERE/trace.$EBT_RANK" ${ON:+-P "$ON"} -e "trace=${FAULT%%:*}" -e "inject=$FAULT" "$command" "$@"
X
chmod 755 faulty.sh
mkdir traces
faulty() {
	rm -f traces/*
	export WHERE=$WORK/traces RANKS=$1 FAULT=$2 ON=${3:-}
}
# faulted stage|drain ARG...: with strace between the rank and the command
faulted() {
	local run=$1 command=$STAGER
	shift
	[ "$run" = stage ] || command=$DRAIN
	printf '#!/bin/bash\nexec "%s" "%s" "$@"\n' "$WORK/faulty.sh" "$command" >under.sh
	chmod 755 under.sh
	STAGER=$WORK/under.sh DRAIN=$WORK/under.sh $run "$@"
}
injected() { check "$what: was reached" test "$(cat traces/* | grep -c INJECTED)" -gt 0; }

for error in ESTALE EINTR; do
	# One node, where the thread that opens it is the one that creates it, later.
	what="a source's open gives $error twice"
	fresh
	N=1
	faulty 0 openat:error=$error:when=1..2 f3
	faulted stage
	ends 0
	injected
	staged_all
	is "$what: counted" 1 "$(number reopened)"
	N=3
	what="an output's open gives $error twice"
	faulty 1 openat2:error=$error:when=1..2 out/large
	faulted drain
	ends 0
	injected
	drained_all
	check "$what: counted, $(number reopened)" test "$(number reopened)" -ge 1
done
what="a source's directory is stale for a moment"
fresh
faulty 0 openat:error=ESTALE:when=1..2 "$WORK/src"
faulted stage
ends 0
injected
staged_all

for fault in openat:open pread64:read; do
	call=${fault%:*}
	what="a source is stale, $call"
	fresh
	on=f3
	[ $call = openat ] || on=$WORK/src/f3
	# On all nodes: what one cannot read while it looks at it goes to any of them.
	faulty 012 $call:error=ESTALE "$on"
	faulted stage
	ends 1
	injected
	says "src/f3: ${fault#*:}: Stale file handle"
	nothing_visible d.0 d.1 d.2
done
for fault in openat2:open pread64:read; do
	call=${fault%:*}
	what="an output is stale, $call"
	fresh
	on=out/large
	[ $call = openat2 ] || on=$WORK/s.1/out/large
	faulty 1 $call:error=ESTALE "$on"
	faulted drain
	ends 3
	injected
	says "out/large"
	says "${fault#*:}: Stale file handle"
	absent d/out/large
	for i in 1 2 3; do check "$what: f$i" cmp src/f$i d/out/f$i; done
done

# A file that has content although its size is 0, as those below /proc.
what="an output is not as empty as it says"
fresh
: >s.1/out/none
faulty 1 pread64:retval=1 "$WORK/s.1/out/none"
faulted drain
ends 3
injected
says "out/none on"
says "has content although its size is 0"
absent d/out/none
for file in /proc/filesystems /proc/sys/kernel/ostype /sys/kernel/uevent_seqnum; do
	[ -r $file ] || continue
	what="$file as a source"
	rm -rf d.?
	# The kernel forgets such a file at times, and gives it the time of day when it comes again.
	for i in 1 2 3 4 5; do
		STAGE=$STAGER begin $file "$WORK/d.%r"
		ended 30
		is "$what: status" 1 $status
		grep -q "changed while it was being staged" err || break
	done
	says "$file: has "
	nothing_visible d.0 d.1 d.2
done

# ECANCELED is what nodes say that only follow; of a file system it is a failure to be named.
what="a target gives ECANCELED"
fresh
truncate -s 400000 s.1/out/large
faulty 1 ftruncate:error=ECANCELED
faulted drain
ends 3
injected
says "out/large: size: Operation canceled"

# EINTR is a stop request; a listing that was interrupted is none.
what="a listing of a drain that watches gives EINTR"
fresh
faulty 1 getdents64:error=EINTR "$WORK/s.1/out"
faulted drain --strict --watch=1s
ends 1
injected
says "Interrupted system call"
finish
