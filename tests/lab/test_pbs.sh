#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The job scripts for PBS, on nodes that share nothing but the source and the results. What PBS
# gives to a job stands in for it: PBS_NODEFILE, PBS_JOBID, the script on the first node, TERM
# from qdel. mpiexec is told how to reach the others, which PBS would have told it.
. "$(dirname "$0")/lab.sh"
only_mpich
top=$(cd "$(dirname "$0")/../.." && pwd)
export USER=${USER:-root}

mkdir -p "$WORK/src" "$WORK/env/bin" "$WORK/wait" "$WORK/big"
echo input >"$WORK/src/input"
: >"$WORK/wait/wait"
for i in $(seq 20); do head -c 5000000 /dev/urandom >"$WORK/big/f$i"; done
cat >"$WORK/env/bin/application" <<'X'
#!/bin/sh
echo "application $PMI_RANK on $(hostname) as $0 $*"
out=${2#--output=}
echo "begun by $PMI_RANK" >"$out/begun.$PMI_RANK"
: >"$out/left.out"
[ -e "${1#--input=}/wait" ] || exit 0
trap 'echo "stopped $PMI_RANK" >"$out/stopped.$PMI_RANK"; exit 0' TERM
while :; do sleep 0.1; done
X
chmod 555 "$WORK/env/bin/application" "$WORK/env/bin"
# Two processors a node: the file names each as often.
for ((i = 0; i < N; i++)); do printf 'n%d\nn%d\n' $i $i; done >"$WORK/nodefile"

cat >"$WORK/site.sh" <<'X'
EBT_SITE_LOCAL=/local
EBT_SITE_STAGE_OPTIONS=(--link=200mbit --memory=32M)
EBT_SITE_DRAIN_OPTIONS=(--link=200mbit '--exclude=left.*')
X
# job_script SOURCE INPUT LAST [SED...]: its lines adapted as a user does
job_script() {
	sed -e "s|^SOURCE=.*|SOURCE=$1|" -e "s|^RESULTS=.*|RESULTS=$WORK/results|" \
		-e "s|\$EBT_SITE_PFS/\$USER/input|$2|" -e "s|^LAST=.*|LAST=$3|" "${@:4}" \
		"$top/share/jobs/pbs.sh" >"$WORK/job.sh"
	rm -rf "$WORK/results"
}
# in_job COMMAND...: takes the place of this process, so that a signal reaches it
in_job() {
	exec timeout -k 5 "$LIMIT" "$lab" exec 0 env PBS_NODEFILE="$WORK/nodefile" PBS_JOBID=7.head EBT_SITE="$WORK/site.sh" \
		HYDRA_LAUNCHER=ssh HYDRA_LAUNCHER_EXEC="/run/ebt-lab-$LAB/rsh" \
		UCX_TLS=tcp,self UCX_NET_DEVICES=eth0 PATH="$PATH:$BIN" "$@"
}
# job: the status of the job; its pid is in $WORK/pid
# shellcheck disable=SC2016 # expanded in the job
job() {
	(in_job bash -c 'echo $$ >"$1/pid"; exec bash "$1/job.sh"' bash "$WORK") \
		>"$WORK/out" 2>"$WORK/err" </dev/null
}
no_stores() {
	local i
	for ((i = 0; i < N; i++)); do
		check "the job's store on node $i" on $i test ! -e "/local/$USER.7.head"
	done
}
# results NAME...: what each rank of the application left, and nothing else
results() {
	local i name want=
	for name in "$@"; do
		for ((i = 0; i < 2 * N; i++)); do
			check "$name of rank $i" grep -q " $i\$" "$WORK/results/$name.$i"
			want+=$name.$i$'\n'
		done
	done
	check "nothing but $*" test "$(ls -A "$WORK/results" 2>&1)" = "${want%$'\n'}"
}

job_script "$WORK/env" "$WORK/src" 100
job || { fail "the job's status"; show; }
for ((i = 0; i < 2 * N; i++)); do
	check "application of rank $i" grep -q "^application $i on n$((i / 2)) as /local/$USER.*/application" \
		"$WORK/out"
done
results begun
no_stores

job_script "$WORK/none" "$WORK/src" 100
job
check "status of a job without its source" test $? -eq 1
says "none: stat: No such file or directory"
check "no application without its input" test -z "$(grep ^application "$WORK/out")"
no_stores

# The walltime is nearly over: the application ends, outputs are drained, then the stores go.
job_script "$WORK/env" "$WORK/wait" "SECONDS+3"
job
check "status of an application that was stopped" test $? -eq 124
results begun stopped
no_stores

# qdel in the middle of the staging: nobody writes while the stores go.
job_script "$WORK/big" "$WORK/src" 100
job &
pid=$!
for _ in $(seq 500); do
	[ -n "$(on $((N - 1)) sh -c 'ls /local/*/.ebt/incoming/*/tree/big/f* 2>/dev/null')" ] && break
	sleep 0.01
done
kill -TERM "$(cat "$WORK/pid")"
wait $pid
check "status of a job that was deleted" test $? -eq 143
says "stopped by signal"
check "nobody writes while the stores go" test -z "$(grep '^ebt-stage:' "$WORK/err" | grep -v 'stopped by signal\|winding down')"
no_stores

# Outputs that leave while the job computes.
job_script "$WORK/env" "$WORK/wait" 100 -e 's|^WATCH=.*|WATCH=1s|'
job &
pid=$!
for _ in $(seq 300); do
	[ "$(find "$WORK/results" -name 'begun.*' 2>/dev/null | wc -l)" = $((2 * N)) ] &&
		[ -z "$(find "$WORK/results" -name '.*' -print -quit)" ] && break
	sleep 0.1
done
results begun
kill -TERM "$(cat "$WORK/pid")"
wait $pid
check "status of a job that was stopped while it was watched" test $? -eq 143
results begun stopped
no_stores

# in_resume: with what the job printed, as qsub would start it
in_resume() {
	local variables
	variables=$(sed -n 's/^if killed: qsub .* -v \([^ ]*\) pbs-resume[.]sh$/\1/p' "$WORK/out")
	check "the nodes of the job" grep -q "^if killed: qsub -l select=1:host=n0+1:host=n1" "$WORK/out"
	# shellcheck disable=SC2086 # STORE=... RESULTS=...
	(in_job env ${variables//,/ } bash "$top/share/jobs/pbs-resume.sh") \
		>"$WORK/out" 2>"$WORK/err" </dev/null
}
# resume: and that brings all
resume() {
	CHECKS=$((CHECKS + 1))
	in_resume || { fail "resume"; show; }
	results begun
	no_stores
}
# Killed outright: nothing is drained, and a second job brings it.
job_script "$WORK/env" "$WORK/wait" 100
job &
pid=$!
for ((i = 0; i < N; i++)); do
	for _ in $(seq 500); do
		[ "$(on $i sh -c 'ls /local/*/out/begun.* 2>/dev/null' | wc -l)" = 2 ] && break
		sleep 0.01
	done
done
# As PBS does: all processes of the job, also those that know of no signal.
kill -KILL "$(cat "$WORK/pid")"
# shellcheck disable=SC2016 # expanded in the node
for ((i = 0; i < N; i++)); do
	on $i sh -c 'for p in /proc/[0-9]*; do
		[ "$(readlink "$p/ns/net")" = "$(readlink /proc/self/ns/net)" ] || continue
		grep -qs -e mpiexec -e hydra_pmi -e bin/application "$p/cmdline" && kill -KILL "${p#/proc/}"
	done'
done 2>/dev/null
wait $pid
check "status of a job that was killed" test $? -ne 0
check "nothing is drained then" test ! -e "$WORK/results"
resume

# What cannot be drained stays, and a second job goes on from there.
job_script "$WORK/env" "$WORK/src" 100
: >"$WORK/results"
job
check "status of a job that was not drained" test $? -eq 1
says "not all drained; on n0 n1"
rm "$WORK/results"
resume

# A status of 0 alone removes no store.
job_script "$WORK/env" "$WORK/src" 100
PATH=$(liar):$PATH job
check "status of a job whose drain did nothing" test $? -eq 1
says "not all drained; on n0 n1"
cp "$WORK/out" "$WORK/first"
PATH=$(liar):$PATH in_resume && fail "a second job whose drain did nothing"
says "not all drained"
cp "$WORK/first" "$WORK/out"
resume
check "nothing is left beside the results" test -z "$(ls -d "$WORK"/results.* 2>/dev/null)"
finish
