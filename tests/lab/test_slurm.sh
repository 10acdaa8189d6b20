#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Under a real Slurm: srun stages equal stores and passes on the status of a failure, the death
# of a rank ends the step, ranks that do not find each other do nothing, and the job scripts for
# Slurm do what they say: also at a time limit, and when a job is killed outright.
. "$(dirname "$0")/lab.sh"
only_mpich
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

# What srun starts without a PMI that MPI knows are N jobs of one rank.
CHECKS=$((CHECKS + 1))
timeout -k 5 "$LIMIT" "$slurm" run srun --mpi=none -K -N "$N" --ntasks-per-node=1 "$STAGE" "$WORK/src" \
	/local/job >"$WORK/out" 2>"$WORK/err" </dev/null && fail "$N jobs of one rank"
says "started as one rank although SLURM_STEP_NUM_TASKS is $N"
check "said once" test "$(grep -c 'started as' "$WORK/err")" = 1
nothing_on_nodes

# The commands start themselves: from a script, whatever it says of its own tasks; from a shell in the
# allocation, with a PMI and without; in a job of one node; not from a step of several tasks.
cat >"$WORK/self.sh" <<X
#!/bin/bash
#SBATCH --ntasks-per-node=2 --cpus-per-task=1
$STAGE -v --link=200mbit "$WORK/src/." /local/job && echo "staged \$?"
$STAGE --verify /local/job && echo "verified \$?"
$STAGE --link=200mbit $WORK/none /local/none; echo "none \$?"
printf '%s\\n' "$WORK/src/tree/many/f1" | $STAGE --files-from=- /local/list && echo "list \$?"
srun -n2 --mpi=none $STAGE "$WORK/src/tree/many/f1" /local/two; echo "two \$?"
X
# self STATUS SBATCH-ARG...
self() {
	CHECKS=$((CHECKS + 1))
	timeout -k 5 "$LIMIT" "$slurm" sbatch "${@:2}" -o "$WORK/err" "$WORK/self.sh" >"$WORK/out" 2>&1 </dev/null
	is "status of the script" "$1" $?
}
self 0 -N "$N"
for word in "srun --mpi=pmi2 --overlap" "on $N nodes" "staged 0" "verified 0" "none 1" "list 0" "two 1" \
	"none: stat: No such file or directory (rank 0 on n0" "started as one rank although SLURM_STEP_NUM_TASKS is 2"; do
	says "$word"
done
same_on_nodes "$WORK/src" /local/job
for ((i = 0; i < N; i++)); do
	check "a list on node $i" on $i cmp "$WORK/src/tree/many/f1" /local/list/f1
	check "a step of two on node $i" on $i test ! -e /local/two
done
clear_nodes
self 0 -N 1
says "by SLURM_JOB_ID: srun"
says "--nodes=1"
says "on 1 node"
clear_nodes
# in_shell WORD...: what is typed there, in a shell that salloc or srun starts on a terminal
in_shell() {
	CHECKS=$((CHECKS + 1))
	printf '%s\n' "$STAGE -v --link=200mbit $WORK/src/. /local/job" 'echo "status $?"' exit |
		timeout -k 5 "$LIMIT" "$slurm" run script -qec "salloc -N $N $*" /dev/null >"$WORK/out" 2>"$WORK/err" ||
		{ fail "a shell: $*"; show; }
	says "by SLURM_JOB_ID: srun --mpi=pmi2"
	says "on $N nodes"
	says "status 0"
	same_on_nodes "$WORK/src" /local/job
	clear_nodes
}
in_shell bash --norc -i
in_shell srun --pty -n1 -N1 --mpi=none bash --norc -i
in_shell srun --pty -n1 -N1 --mpi=pmi2 bash --norc -i

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
# Tasks of a step that is aborted are killed.
check "status $status after a stop signal" test $status -eq 137
says "stopped by signal 15"
for ((i = 0; i < N; i++)); do
	check "store of a stopped run on node $i" on $i test ! -e /local/job
done

# One that started itself is told to stop: in order, at once, with its own status.
cat >"$WORK/self.sh" <<X
#!/bin/bash
$STAGE --link=200mbit "$WORK/big/." /local/job &
pid=\$!
until ls /local/job/.ebt/incoming/*/tree/f* >/dev/null 2>&1; do sleep 0.01; done
kill -TERM \$pid
wait \$pid
echo "stopped: \$?"
X
self 0 -N "$N"
says "Terminated: winding down"
says "stopped by signal 10"
says "stopped: 1"
nothing_on_nodes

# On a terminal it has a bar, which comes as it is drawn, five times a second, and not by the kilobyte.
CHECKS=$((CHECKS + 1))
timeout -k 5 "$LIMIT" "$slurm" run salloc -N "$N" script -qec "$STAGE --link=200mbit $WORK/big/. /local/job" \
	-T "$WORK/timing" "$WORK/typescript" >"$WORK/out" 2>"$WORK/err" </dev/null || { fail "on a terminal"; show; }
check "a bar: $(wc -l <"$WORK/timing") pieces" test "$(wc -l <"$WORK/timing")" -gt 10
check "of what" grep -qa '#.* of 95[.]4 MiB' "$WORK/typescript"
clear_nodes

# The job script, its lines adapted as a user does.
mkdir -p "$WORK/env/bin"
cat >"$WORK/env/bin/application" <<'X'
#!/bin/sh
echo "application $SLURM_PROCID on $(hostname) as $0 $*"
out=${2#--output=}
echo "begun by $SLURM_PROCID" >"$out/begun.$SLURM_PROCID"
: >"$out/left.out"
[ -e "${1#--input=}/wait" ] || exit 0
trap 'echo "stopped $SLURM_PROCID" >"$out/stopped.$SLURM_PROCID"; exit 5' TERM
while :; do sleep 0.1; done
X
chmod 555 "$WORK/env/bin/application" "$WORK/env/bin"
mkdir "$WORK/wait"
: >"$WORK/wait/wait"
cat >"$WORK/site.sh" <<'X'
EBT_SITE_LOCAL=/local
EBT_SITE_STAGE_OPTIONS=(--link=200mbit --memory=32M)
EBT_SITE_DRAIN_OPTIONS=(--link=200mbit '--exclude=left.*')
X
export EBT_SITE=$WORK/site.sh
# job_script SOURCE INPUT [SED...]
job_script() {
	sed -e "s|^SOURCE=.*|SOURCE=$1|" -e "s|^RESULTS=.*|RESULTS=$WORK/results|" \
		-e "s|\$EBT_SITE_PFS/\$USER/input|$2|" \
		-e "s|^#SBATCH --nodes=.*|#SBATCH --nodes=$N|" "${@:3}" "$top/share/jobs/slurm.sh" >"$WORK/job.sh"
	rm -rf "$WORK/results"
}
# batch: the status of the job
batch() {
	timeout -k 5 "$LIMIT" "$slurm" sbatch -o "$WORK/err" "$WORK/job.sh" >"$WORK/out" 2>&1 </dev/null
}
# stop_batch: as Slurm does ahead of the time limit
stop_batch() {
	timeout -k 5 60 "$slurm" run scancel --batch --signal=TERM \
		"$(timeout -k 5 60 "$slurm" run squeue -h -t R -o %i)"
}
no_stores() {
	local i
	for ((i = 0; i < N; i++)); do
		check "the job's store on node $i" test -z "$(on $i find /local -maxdepth 1 -name "$USER.*")"
	done
}
# results NAME...: what each node's application left, and nothing else
results() {
	local i name want=
	for name in "$@"; do
		for ((i = 0; i < N; i++)); do
			check "$name of node $i" grep -q " $i\$" "$WORK/results/$name.$i"
			want+=$name.$i$'\n'
		done
	done
	check "nothing but $*: $(ls -A "$WORK/results" 2>&1)" test "$(ls -A "$WORK/results" 2>&1)" = "${want%$'\n'}"
}
job_script "$WORK/env" "$WORK/src"
check "the job's status" batch
for ((i = 0; i < N; i++)); do
	check "application on node $i" grep -q \
		"^application $i on n$i as /local/$USER.*/env/bin/application --input=$WORK/src --output=/local/$USER.*/out\$" \
		"$WORK/err"
done
results begun
no_stores

job_script "$WORK/none" "$WORK/src"
batch
check "status of a job without its source" test $? -eq 1
says "none: stat: No such file or directory"
check "no application without its input" test -z "$(grep ^application "$WORK/err")"
no_stores

# Ahead of the time limit: the step ends, outputs are drained, then the stores go.
job_script "$WORK/big" "$WORK/src"
batch &
job=$!
for _ in $(seq 500); do
	[ -n "$(on $((N - 1)) sh -c 'ls /local/*/.ebt/incoming/*/tree/big/f* 2>/dev/null')" ] && break
	sleep 0.01
done
stop_batch
wait $job
check "status of a job that was stopped" test $? -eq 143
says "stopped by signal 15"
check "nobody writes while the stores go" test -z "$(grep '^ebt-stage:' "$WORK/err" | grep -v 'signal 15')"
no_stores

# start_application: returns when all nodes have their first output
start_application() {
	local i
	batch &
	job=$!
	for ((i = 0; i < N; i++)); do
		for _ in $(seq 500); do
			[ -n "$(on $i sh -c 'ls /local/*/out/begun.* 2>/dev/null')" ] && break
			sleep 0.01
		done
	done
}
job_script "$WORK/env" "$WORK/wait"
start_application
stop_batch
wait $job
check "status of a job whose application was stopped" test $? -eq 143
results begun stopped
no_stores

# The time limit itself: Slurm looks at it every 30 s, and warns half a minute early if need be.
job_script "$WORK/env" "$WORK/wait" -e 's|^#SBATCH --time=.*|#SBATCH --time=00:01:00|' \
	-e 's|B:TERM@300|B:TERM@20|'
batch
check "status of a job that came near its limit" test $? -eq 143
results begun stopped
no_stores

# Outputs that leave while the job computes.
job_script "$WORK/env" "$WORK/wait" -e 's|^WATCH=.*|WATCH=1s|'
start_application
for _ in $(seq 300); do
	[ "$(find "$WORK/results" -name 'begun.*' 2>/dev/null | wc -l)" = "$N" ] &&
		[ -z "$(find "$WORK/results" -name '.*' -print -quit)" ] && break
	sleep 0.1
done
results begun
stop_batch
wait $job
check "status of a job that was stopped while it was watched" test $? -eq 143
results begun stopped
no_stores

# resume: the command that the job printed, with the script's place
resume() {
	local args
	read -r -a args < <(sed -n 's/^if killed: sbatch //p' "$WORK/err")
	CHECKS=$((CHECKS + 1))
	timeout -k 5 "$LIMIT" "$slurm" sbatch -o "$WORK/said" "${args[@]/#slurm-resume.sh/$top/share/jobs/slurm-resume.sh}" \
		>"$WORK/out" 2>&1 </dev/null || { fail "${args[*]}"; show; cat "$WORK/said" >&2; }
	# The application may have had a TERM when its job was killed.
	rm -f "$WORK"/results/stopped.*
	results begun
	no_stores
}
# Killed outright: nothing is drained, and a second job brings it.
job_script "$WORK/env" "$WORK/wait"
start_application
timeout -k 5 60 "$slurm" run scancel --full --signal=KILL "$(timeout -k 5 60 "$slurm" run squeue -h -t R -o %i)"
wait $job
check "status of a job that was killed" test $? -ne 0
check "nothing is drained then" test ! -e "$WORK/results"
resume

# What cannot be drained stays, and a second job goes on from there.
job_script "$WORK/env" "$WORK/src"
: >"$WORK/results"
batch
check "status of a job that was not drained" test $? -eq 1
says "not all drained; on n[0-$((N - 1))]"
rm "$WORK/results"
resume

# A status of 0 alone removes no store, neither at the end of the job nor in the second one.
job_script "$WORK/env" "$WORK/src"
PATH=$(liar):$PATH batch
check "status of a job whose drain did nothing" test $? -eq 1
says "not all drained; on n[0-$((N - 1))]"
read -r -a args < <(sed -n 's/^if killed: sbatch //p' "$WORK/err")
PATH=$(liar):$PATH timeout -k 5 "$LIMIT" "$slurm" sbatch -o "$WORK/said" \
	"${args[@]/#slurm-resume.sh/$top/share/jobs/slurm-resume.sh}" >"$WORK/out" 2>&1 </dev/null
check "status of a second job whose drain did nothing" test $? -eq 1
resume
check "nothing is left beside the results" test -z "$(ls -d "$WORK"/results.* 2>/dev/null)"
finish
