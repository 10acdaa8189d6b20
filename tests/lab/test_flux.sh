#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The job scripts for Flux, on nodes that share nothing but the source and the results, with a
# stand-in for the `flux` of a batch job's instance: what it is asked is answered, what it is to
# run is run by mpiexec, and it runs on when its `flux run` is killed, as with Flux, until it is
# cancelled. No Flux is there: this shows what the scripts do, not that Flux takes their options.
. "$(dirname "$0")/lab.sh"
top=$(cd "$(dirname "$0")/../.." && pwd)
export USER=${USER:-root} WORK N lab

mkdir -p "$WORK/src" "$WORK/env/bin" "$WORK/wait" "$WORK/bin" "$WORK/runs"
: >"$WORK/wait/wait"
cat >"$WORK/env/bin/application" <<'X'
#!/bin/sh
out=${2#--output=}
echo "begun by $EBT_RANK" >"$out/begun.$EBT_RANK"
[ -e "${1#--input=}/wait" ] || exit 0
trap 'echo "stopped $EBT_RANK" >"$out/stopped.$EBT_RANK"; exit 0' TERM
while :; do sleep 0.1; done
X
chmod 555 "$WORK/env/bin/application" "$WORK/env/bin"
cat >"$WORK/bin/flux" <<'X'
#!/bin/bash
runs() { cat "$WORK"/runs/* 2>/dev/null; }
case $* in
"getattr jobid") echo f7 ;;
"job id --to=dec f7") echo 7 ;;
"getattr size") echo "$N" ;;
"getattr hostlist") echo "n[0-$((N - 1))]" ;;
"cancel --all") kill $(runs) 2>/dev/null; true ;;
"queue drain") for pid in $(runs); do tail -s 0.1 --pid="$pid" -f /dev/null; done ;;
run\ *)
	shift
	while [[ $1 == --* ]]; do
		case $1 in
		--nodes=$N | --tasks-per-node=1 | --exclusive | --input=0 | --setopt=cpu-affinity=off) shift ;;
		*) echo "flux run: $1" >&2; exit 2 ;;
		esac
	done
	setsid "$lab" mpi "$N" "$@" </dev/null &
	echo $! >"$WORK/runs/$$"
	wait $!
	status=$?
	rm -f "$WORK/runs/$$"
	exit $status
	;;
*) echo "flux: $*" >&2; exit 2 ;;
esac
X
chmod 755 "$WORK/bin/flux"
echo EBT_SITE_LOCAL=/local >"$WORK/site.sh"
export FLUX_URI=local:///stand-in EBT_SITE=$WORK/site.sh PATH=$WORK/bin:$PATH:$BIN

# job_script SOURCE INPUT [SED...]: its lines adapted as a user does
job_script() {
	sed -e "s|^SOURCE=.*|SOURCE=$1|" -e "s|^RESULTS=.*|RESULTS=$WORK/results|" \
		-e "s|\$EBT_SITE_PFS/\$USER/input|$2|" "${@:3}" "$top/share/jobs/flux.sh" >"$WORK/job.sh"
	rm -rf "$WORK/results"
}
# shellcheck disable=SC2016 # expanded in the job
job() {
	timeout -k 5 "$LIMIT" bash -c 'echo $$ >"$WORK/pid"; exec bash "$0"' "$WORK/job.sh" \
		>"$WORK/out" 2>"$WORK/err" </dev/null
}
no_stores() {
	local i
	for ((i = 0; i < N; i++)); do
		check "the store on node $i" on $i test ! -e "/local/$USER.7"
	done
}
# results NAME...: what each rank of the application left, and nothing else
results() {
	local i name want=
	for name in "$@"; do
		for ((i = 0; i < N; i++)); do
			check "$name of rank $i" grep -q " $i\$" "$WORK/results/$name.$i"
			want+=$name.$i$'\n'
		done
	done
	check "nothing but $*" test "$(ls -A "$WORK/results" 2>&1)" = "${want%$'\n'}"
}
# begin: returns when every rank has its first output
begin() {
	local i
	job &
	pid=$!
	for ((i = 0; i < N; i++)); do
		for _ in $(seq 500); do
			[ -n "$(on $i sh -c 'ls /local/*/out/begun.* 2>/dev/null')" ] && break
			sleep 0.01
		done
	done
}

job_script "$WORK/env" "$WORK/src"
job || { fail "the status"; show; }
results begun
no_stores

job_script "$WORK/none" "$WORK/src"
job
check "status without its source" test $? -eq 1
says "none: stat: No such file or directory"
no_stores

# Ahead of the time limit.
job_script "$WORK/env" "$WORK/wait"
begin
kill -TERM "$(cat "$WORK/pid")"
wait $pid
check "status of a job that was stopped" test $? -eq 143
results begun stopped
no_stores

# Outputs that leave while the job computes.
job_script "$WORK/env" "$WORK/wait" -e 's|^WATCH=.*|WATCH=1s|'
begin
for _ in $(seq 300); do
	[ "$(find "$WORK/results" -name 'begun.*' 2>/dev/null | wc -l)" = "$N" ] &&
		[ -z "$(find "$WORK/results" -name '.*' -print -quit)" ] && break
	sleep 0.1
done
results begun
kill -TERM "$(cat "$WORK/pid")"
wait $pid
check "status of a job that was stopped while it was watched" test $? -eq 143
results begun stopped
no_stores

# Killed outright: nothing is drained, and a second job brings it.
job_script "$WORK/env" "$WORK/wait"
begin
kill -KILL "$(cat "$WORK/pid")"
wait $pid 2>/dev/null
flux cancel --all
flux queue drain
rm -f "$WORK"/runs/*
check "nothing is drained then" test ! -e "$WORK/results"
read -r -a args < <(sed -n "s/^if killed: flux batch -N $N --requires=hosts:n\\[0-$((N - 1))\\] flux-resume.sh //p" "$WORK/out")
check "what to resume is said" test ${#args[@]} = 2
timeout -k 5 "$LIMIT" bash "$top/share/jobs/flux-resume.sh" "${args[@]}" >"$WORK/out" 2>"$WORK/err" </dev/null ||
	{ fail "resume"; show; }
rm -f "$WORK"/results/stopped.*
results begun
no_stores

# A status of 0 alone removes no store.
job_script "$WORK/env" "$WORK/src"
PATH=$(liar):$PATH job
check "status of a job whose drain did nothing" test $? -eq 1
says "not all drained; on n[0-$((N - 1))]"
PATH=$(liar):$PATH timeout -k 5 "$LIMIT" bash "$top/share/jobs/flux-resume.sh" "${args[@]}" \
	>"$WORK/out" 2>"$WORK/err" </dev/null
check "status of a second job whose drain did nothing" test $? -eq 1
timeout -k 5 "$LIMIT" bash "$top/share/jobs/flux-resume.sh" "${args[@]}" >"$WORK/out" 2>"$WORK/err" </dev/null ||
	{ fail "resume"; show; }
results begun
no_stores
check "nothing is left beside the results" test -z "$(ls -d "$WORK"/results.* 2>/dev/null)"
finish
