#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The job script for PBS, on nodes that share nothing but the source and the results. What PBS
# gives to a job stands in for it: PBS_NODEFILE, PBS_JOBID, the script on the first node, TERM
# from qdel. mpiexec is told how to reach the others, which PBS would have told it.
. "$(dirname "$0")/lab.sh"
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
[ -e "${1#--input=}/wait" ] || exit 0
trap 'echo "stopped $PMI_RANK" >"$out/stopped.$PMI_RANK"; exit 5' TERM
while :; do sleep 0.1; done
X
chmod 555 "$WORK/env/bin/application" "$WORK/env/bin"
# Two processors a node: the file names each as often.
for ((i = 0; i < N; i++)); do printf 'n%d\nn%d\n' $i $i; done >"$WORK/nodefile"

# job_script SOURCE INPUT LAST: its lines adapted as a user does
job_script() {
	# shellcheck disable=SC2016 # expanded in the job
	sed -e "s|^SOURCE=.*|SOURCE=$1|" -e 's|^STORE=.*|STORE=/local/$USER.$PBS_JOBID|' \
		-e "s|^RESULTS=.*|RESULTS=$WORK/results|" -e "s|/scratch/\$USER/input|$2|" \
		-e "s|^LAST=.*|LAST=$3|" "$top/share/jobs/pbs.sh" >"$WORK/job.sh"
	rm -rf "$WORK/results"
}
# in_job COMMAND...: takes the place of this process, so that a signal reaches it
in_job() {
	exec timeout -k 5 "$LIMIT" "$lab" exec 0 env PBS_NODEFILE="$WORK/nodefile" PBS_JOBID=7.head \
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
says "stopped by signal 15"
check "nobody writes while the stores go" test -z "$(grep '^ebt-stage:' "$WORK/err" | grep -v 'signal 15')"
no_stores

# What cannot be drained stays, and the same drain goes on from there.
job_script "$WORK/env" "$WORK/src" 100
: >"$WORK/results"
job
check "status of a job that was not drained" test $? -eq 1
says "not all drained; on n0 n1"
rm "$WORK/results"
timeout -k 5 "$LIMIT" "$lab" mpi "$N" "$BIN/ebt-drain" "/local/$USER.7.head/out" "$WORK/results" \
	>"$WORK/out" 2>"$WORK/err" </dev/null || { fail "the drain by hand"; show; }
results begun
finish
