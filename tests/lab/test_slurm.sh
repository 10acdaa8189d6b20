#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Under a real Slurm: srun stages equal stores and passes on the status of a failure, the death
# of a rank ends the step, and the job script for Slurm does what it says.
. "$(dirname "$0")/lab.sh"
top=$(cd "$(dirname "$0")/../.." && pwd)
slurm=$top/bench/slurm
timeout -k 5 60 "$slurm" check 2>"$WORK/err"
case $? in
0) ;;
77) skip "$(cat "$WORK/err")" ;;
*) cat "$WORK/err" >&2; exit 99 ;;
esac
lab_end() {
	timeout -k 5 60 "$slurm" down
	cleanup
}
# In place of the lab that lab.sh has just started.
timeout -k 5 120 "$slurm" up "$N" 200mbit || exit 99
export PATH=$PATH:$BIN USER=${USER:-root}

# under_srun STATUS ARG...: as the manual page says
under_srun() {
	local want=$1 got
	shift
	CHECKS=$((CHECKS + 1))
	timeout -k 5 "$LIMIT" "$slurm" run srun --mpi=pmi2 -K -N "$N" --ntasks-per-node=1 \
		"$STAGE" --link=200mbit "$@" >"$WORK/out" 2>"$WORK/err" </dev/null
	got=$?
	[ "$got" -eq "$want" ] && return 0
	fail "exit status $got, not $want: $*"
	show
	return 1
}
mkdir "$WORK/src"
make_tree "$WORK/src/tree"
under_srun 0 "$WORK/src/." /local/job
says "on $N nodes"
same_on_nodes "$WORK/src" /local/job
under_srun 0 --verify /local/job
clear_nodes

# Further ranks of a node only wait.
CHECKS=$((CHECKS + 1))
timeout -k 5 "$LIMIT" "$slurm" run srun --mpi=pmi2 -K -N "$N" -n $((2 * N)) \
	"$STAGE" --link=200mbit "$WORK/src/tree/many" /local/job >"$WORK/out" 2>"$WORK/err" </dev/null ||
	{ fail "two ranks a node"; show; }
says "on $N nodes"
clear_nodes

under_srun 0 "$WORK/src/tree/many/f1" /local/job.%r.%h
for ((i = 0; i < N; i++)); do
	check "%r and %h on node $i" on $i cmp "$WORK/src/tree/many/f1" "/local/job.$i.n$i/f1"
done

under_srun 1 "$WORK/none" /local/job
says "none: stat: No such file or directory (rank 0 on n0"
under_srun 2 --no-such-option "$WORK/src" /local/job
nothing_on_nodes

# A step that is stopped or loses a rank.
mkdir "$WORK/big"
for i in $(seq 20); do head -c 5000000 /dev/urandom >"$WORK/big/f$i"; done
cat >"$WORK/rank.sh" <<'X'
#!/bin/sh
echo $$ >"$EACH/rank.$SLURM_PROCID"
exec "$@"
X
chmod +x "$WORK/rank.sh"
export EACH=$WORK/each
mkdir "$EACH"
# start_step: returns when content has arrived on the last node
start_step() {
	timeout -k 5 "$LIMIT" "$slurm" run srun --mpi=pmi2 -K -N "$N" --ntasks-per-node=1 "$WORK/rank.sh" \
		"$STAGE" --link=200mbit "$WORK/big/." /local/job >"$WORK/out" 2>"$WORK/err" </dev/null &
	step=$!
	for _ in $(seq 500); do
		[ -n "$(on $((N - 1)) sh -c 'ls /local/job/.ebt/incoming/*/tree/f* 2>/dev/null')" ] && return
		sleep 0.01
	done
	fail "nothing arrives"
	show
}
# ends NAME: the status of the step, which must end by itself
ends() {
	CHECKS=$((CHECKS + 1))
	if ! timeout 30 tail -s 0.1 --pid=$step -f /dev/null; then
		fail "$1: hangs"
		kill -TERM $step
	fi
	wait $step
	status=$?
}
start_step
kill -KILL "$(cat "$EACH/rank.0")" || fail "rank 0 was gone already"
ends "rank 0 died"
check "status after rank 0 died" test $status -ne 0
nothing_on_nodes
under_srun 0 "$WORK/src/tree/many/f1" /local/job
for ((i = 0; i < N; i++)); do
	check "leftovers on node $i" test -z "$(on $i ls /local/job/.ebt/incoming 2>/dev/null)"
done
clear_nodes

start_step
timeout -k 5 60 "$slurm" run scancel --signal=TERM "$(timeout -k 5 60 "$slurm" run squeue -h -t R -o %i)"
ends "stopped"
check "status $status after a stop signal" test $status -eq 1
says "stopped by signal 15"
for ((i = 0; i < N; i++)); do
	check "store of a stopped run on node $i" on $i test ! -e /local/job
done

# The job script, its three lines adapted as a user does.
mkdir -p "$WORK/env/bin"
cat >"$WORK/env/bin/application" <<'X'
#!/bin/sh
echo "application $SLURM_PROCID on $(hostname) as $0 $*"
X
chmod 555 "$WORK/env/bin/application" "$WORK/env/bin"
# job_script SOURCE
job_script() {
	# shellcheck disable=SC2016 # expanded in the job
	sed -e "s|^SOURCE=.*|SOURCE=$1|" -e 's|^STORE=.*|STORE=/local/$USER.$SLURM_JOB_ID|' \
		-e "s|/scratch/\$USER/input|$WORK/src|" \
		-e "s|^#SBATCH --nodes=.*|#SBATCH --nodes=$N|" "$top/share/jobs/slurm.sh" >"$WORK/job.sh"
}
# batch: the status of the job
batch() {
	timeout -k 5 "$LIMIT" "$slurm" sbatch -o "$WORK/err" "$WORK/job.sh" >"$WORK/out" 2>&1 </dev/null
}
no_stores() {
	local i
	for ((i = 0; i < N; i++)); do
		check "the job's store on node $i" test -z "$(on $i find /local -maxdepth 1 -name "$USER.*")"
	done
}
job_script "$WORK/env"
check "the job's status" batch
for ((i = 0; i < N; i++)); do
	check "application on node $i" grep -q \
		"^application $i on n$i as /local/$USER.*/env/bin/application --input=$WORK/src\$" "$WORK/err"
done
no_stores

job_script "$WORK/none"
batch
check "status of a job without its source" test $? -eq 1
says "none: stat: No such file or directory"
check "no application without its input" test -z "$(grep ^application "$WORK/err")"
no_stores

# Ahead of the time limit: the step ends, then the stores go.
job_script "$WORK/big"
batch &
job=$!
for _ in $(seq 500); do
	[ -n "$(on $((N - 1)) sh -c 'ls /local/*/.ebt/incoming/*/tree/big/f* 2>/dev/null')" ] && break
	sleep 0.01
done
timeout -k 5 60 "$slurm" run scancel --batch --signal=TERM \
	"$(timeout -k 5 60 "$slurm" run squeue -h -t R -o %i)"
wait $job
check "status of a job that was stopped" test $? -eq 143
check "nobody writes while the stores go" test -z "$(grep '^ebt-stage:' "$WORK/err")"
no_stores
finish
