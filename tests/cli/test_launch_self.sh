#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Commands that start themselves: with stand-ins for srun and flux, which write down what they are
# asked for and run it by mpiexec, and with mpiexec itself. Words, variables, standard input and
# output, statuses, signals; who was started by a launcher starts nothing, and nobody does it twice.
. "$(dirname "$0")/lib.sh"
cd "$WORK" || exit 99
unset "${!SLURM_@}" "${!PMI_@}" "${!PMIX_@}" "${!OMPI_COMM_@}" "${!FLUX_@}" "${!PBS_@}" "${!EBT_@}" MPI_LOCALNRANKS
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export WORK LAUNCH
mkdir src bin
echo a >src/a
head -c 300000 /dev/urandom >src/b

# Takes options up to the program, as srun does, and gives it to as many ranks as were asked for.
cat >bin/srun <<'X'
#!/bin/bash
[ "$*" != --mpi=list ] || { printf 'MPI plugin types are...\n\tpmi2\n\tpmix\n'; exit; }
echo "srun $*" >>"$WORK/calls"
env >"$WORK/env"
while [[ $1 == -* ]]; do
	[[ $1 != --ntasks=* ]] || n=${1#*=}
	shift
done
[ -z "${LIES:-}" ] || {
	for ((i = 0; i < n; i++)); do PMI_RANK=$i PMI_SIZE=1 env -u PMI_FD "$@" & done
	wait -n; exit
}
exec "$LAUNCH" -n "$n" "$@"
X
cat >bin/flux <<'X'
#!/bin/bash
[ "$*" != "getattr size" ] || { [ -z "${LIES:-}" ] || { echo "no broker" >&2; exit 1; }; echo 3; exit; }
exec srun "flux=$*" --ntasks=3 "${@:6}"
X
sed -i 's/^echo "srun.*/&/; s/^while .*/[[ $1 != flux=* ]] || shift\n&/' bin/srun
printf '#!/bin/sh\nshift\nexec srun --ntasks=3 "$@"\n' >bin/own
chmod 755 bin/*
PATH=$WORK/bin:$PATH
case $("$LAUNCH" --mpi) in ompi) pmi=pmix ;; *) pmi=pmi2 ;; esac

# run STATUS NAME=VALUE... COMMAND ARG...
run() {
	local want=$1 got
	shift
	CHECKS=$((CHECKS + 1))
	: >calls
	timeout "$LIMIT" env "$@" >out 2>err </dev/null
	got=$?
	[ "$got" -eq "$want" ] && return 0
	fail "exit status $got, not $want: $*"
	show
}
# called TEXT: one launcher was, with that
called() {
	is "launchers" 1 "$(wc -l <calls)"
	check "called: $1: $(cat calls)" grep -qF -- "$1" calls
}
not_called() { check "a launcher was called: $(cat calls)" test ! -s calls; }
slurm=(SLURM_JOB_ID=7 SLURM_JOB_NUM_NODES=3)
nodes=(--per-rank --memory=32M)
staged() {
	local i
	for i in 0 1 2; do same src "$1.$i/src"; done
	rm -rf "$1".?
}

run 0 "${slurm[@]}" SLURM_NTASKS_PER_NODE=4 SLURM_CPU_BIND=rank SLURM_LABELIO=1 SRUN_CPUS_PER_TASK=2 PMI_JOBID=7.1 \
	"$STAGE" -v "${nodes[@]}" src s.%r
called "srun --mpi=$pmi --overlap --kill-on-bad-exit=1 --nodes=3 --ntasks=3 --ntasks-per-node=1 --cpu-bind=none --export=ALL --input=0 "
says "by SLURM_JOB_ID: srun --mpi=$pmi"
says "on 3 nodes"
check "variables: $(grep -E '^(SLURM|SRUN|PMI)' env)" test "$(grep -E '^(SLURM|SRUN|PMI)' env | sort | tr '\n' ' ')" = \
	"SLURM_JOB_ID=7 SLURM_JOB_NUM_NODES=3 "
staged s
run 0 "${slurm[@]}" "$STAGE" "${nodes[@]}" src s.%r
called "--quiet"
check "nothing is said: $(cat err)" test ! -s err
run 0 "${slurm[@]}" "$STAGE" --verify --per-rank s.%r
called "--verify"
echo new >s.1/new
run 0 "${slurm[@]}" "$BIN/ebt-drain" "${nodes[@]}" s.%r d
called ebt-drain
is "drained" new "$(cat d/new)"
staged s
run 0 "${slurm[@]}" "$STAGE" --json "${nodes[@]}" src s.%r
check "JSON goes through" test "$(grep -c '"type":"node"' out)" = 3
staged s

# Statuses and messages are those of the ranks; what needs no ranks starts none.
run 1 "${slurm[@]}" "$STAGE" "${nodes[@]}" none s.%r
called none
check "said once" test "$(grep -c 'none: stat: No such file' err)" = 1
nothing_visible s.0 s.1 s.2
run 2 "${slurm[@]}" "$STAGE" --no-such-option src s.%r
not_called
for option in --help --version --simulate=nodes=3,bytes=1M; do
	run 0 "${slurm[@]}" "$STAGE" $option
	not_called
done

# Standard input is the first rank's, as far as it is read.
: >calls
echo "$WORK/src/a" | timeout "$LIMIT" env "${slurm[@]}" "$STAGE" "${nodes[@]}" --files-from=- s.%r >out 2>err ||
	{ fail "a list from standard input"; show; }
called files-from
is "what the list named" a "$(cat s.2/a)"
rm -rf s.?
for name in /dev/stdin /dev/fd/0; do
	echo "$WORK/src/a" | timeout "$LIMIT" env "${slurm[@]}" "$STAGE" "${nodes[@]}" --files-from=$name s.%r >out 2>err ||
		{ fail "a list from $name"; show; }
	is "what the list named" a "$(cat s.2/a 2>&1)"
	rm -rf s.?
done
run 1 "${slurm[@]}" "$STAGE" "${nodes[@]}" --exclude-from=/dev/fd/63 src s.%r
says "a file of /dev/fd, as <(...) is one, is there for this process alone"
not_called
# Otherwise it stays where it is.
{
	timeout "$LIMIT" env "${slurm[@]}" "$STAGE" "${nodes[@]}" src s.%r >out 2>err
	read -r line
} < <(printf 'one\ntwo\n')
is "the next line of a script" one "$line"
staged s

# What was started by a launcher, or is told not to.
run 0 "${slurm[@]}" "$STAGE" --no-launch --memory=32M src s
not_called
same src s/src
run 0 "${slurm[@]}" "$LAUNCH" -n 3 "$STAGE" "${nodes[@]}" src s.%r
not_called
staged s
run 1 "${slurm[@]}" SLURM_STEP_NUM_TASKS=2 SLURM_PROCID=0 "$STAGE" src s
not_called
says "started as one rank although SLURM_STEP_NUM_TASKS is 2"
run 0 "${slurm[@]}" SLURM_STEP_NUM_TASKS=1 SLURM_STEP_ID=4294967290 PMI_RANK=0 PMI_SIZE=1 \
	"$STAGE" "${nodes[@]}" src s.%r
called "--ntasks=3"
staged s
run 0 "$STAGE" --memory=32M src s
not_called

# A launcher whose ranks do not find each other: no loop, no N runs of one rank.
rm -rf s
run 1 "${slurm[@]}" LIES=1 "$STAGE" --memory=32M src s
called "--launched=3"
says "started with 3 ranks, of which the MPI in use"
says "EBT_LAUNCHER names another one"
nothing_visible s
# One that puts all of them on one node: the others would be left out, and all be well.
run 1 "${slurm[@]}" "$STAGE" --memory=32M src s
says "one rank on each of 3 nodes was meant, and the launcher that -v shows has put 3 ranks on 1 nodes"
check "said once" test "$(grep -c 'was meant' err)" = 1
nothing_visible s
# None at all.
mkdir none
run 1 "${slurm[@]}" PATH="$WORK/none" "$STAGE" --memory=32M src s
says "srun: No such file or directory. --no-launch starts one rank, here"
nothing_visible s
run 1 SLURM_JOB_ID=7 "$STAGE" src s
says "the number of nodes is not known"

# Flux.
run 0 FLUX_URI=local:///x "$STAGE" -v "${nodes[@]}" src s.%r
called "flux=run --nodes=3 --tasks-per-node=1 --setopt=cpu-affinity=off --input=0 $(readlink -f "$STAGE") --launched=3"
staged s
run 1 FLUX_URI=local:///x LIES=1 "$STAGE" "${nodes[@]}" src s.%r
says "flux getattr size: status 1: no broker"

# A file of hosts: one that has names once is given as it is.
printf 'localhost\n' >hosts
printf 'localhost\nlocalhost:4\n# all\n' >hosts2
run 0 EBT_HOSTS="$WORK/hosts" "$STAGE" -v "${nodes[@]}" src s.%r
says "by EBT_HOSTS: $("$LAUNCH" --mpiexec) "
says "$WORK/hosts"
says "on 1 node"
same src s.0/src
rm -rf s.0
run 0 PBS_NODEFILE="$WORK/hosts2" PBS_JOBID=7 "$STAGE" -v "${nodes[@]}" src s.%r
says "by PBS_NODEFILE: "
says "on 1 node"
same src s.0/src
rm -rf s.0
run 1 EBT_HOSTS="$WORK/none/hosts" "$STAGE" src s
says "none/hosts: No such file or directory"
run 1 EBT_HOSTS=/dev/null "$STAGE" src s
says "/dev/null: names no host (EBT_HOSTS)"
run 1 PBS_NODEFILE="$WORK/hosts" PBS_NODENUM=1 "$STAGE" src s
says "start the command from the job's script"
nothing_visible s

# A script that is ended by what it does not pass on: nothing of it is left.
# shellcheck disable=SC2016 # for the script
printf '#!/bin/sh\necho "srun $*" >>"$WORK/calls"\nsleep 1000\necho >/dev/null\n' >bin/deaf
chmod 755 bin/deaf
: >calls
env "${slurm[@]}" EBT_LAUNCHER=deaf "$STAGE" src s.%r >out 2>err </dev/null &
pid=$!
for _ in $(seq 500); do [ -s calls ] && break; sleep 0.01; done
kill -TERM $pid
wait $pid
is "status of a script that was ended" 1 $?
check "its processes are gone" test -z "$(pgrep -f 'sleep 1000')"

# The launcher of a site.
run 0 "${slurm[@]}" EBT_LAUNCHER="own %n" "$STAGE" "${nodes[@]}" src s.%r
called "srun --ntasks=3 $(readlink -f "$STAGE") --launched=3"
staged s
# One that starts more ranks than nodes: further ones of a node only wait, and here each is a node.
sed 's/--ntasks=3/--ntasks=4/' bin/own >bin/more
chmod 755 bin/more
run 0 "${slurm[@]}" EBT_LAUNCHER="more %n" "$STAGE" "${nodes[@]}" src s.%r
says "on 4 nodes"
rm -rf s.?
run 1 "${slurm[@]}" EBT_LAUNCHER="own %f" "$STAGE" "${nodes[@]}" src s.%r
says "EBT_LAUNCHER: %f, but no file names the nodes here"
run 0 EBT_LAUNCHER="own %n" "$STAGE" --memory=32M src s
not_called
rm -rf s

# Stop signals: in order, and nothing is left. The source is a FIFO that nobody writes.
mkfifo list
stopped() {
	local signal=$1 pid status
	shift
	: >calls
	env "${slurm[@]}" "$@" "$STAGE" "${nodes[@]}" --timeout=20 --files-from=list s.%r >out 2>err </dev/null &
	pid=$!
	for _ in $(seq 500); do [ -s calls ] && break; sleep 0.01; done
	sleep 1
	kill "-$signal" $pid
	exec 3<>list
	printf '%s\n' "$WORK/src" >&3
	sleep 0.5
	exec 3>&-
	wait $pid
	status=$?
	is "status after $signal" 1 $status
	says "winding down"
	says "stopped by signal"
	nothing_visible s.0 s.1 s.2
}
# await_end: until no rank is left; who waits for a writer has one
await_end() {
	exec 3<>list
	exec 3>&-
	for _ in $(seq 300); do
		pgrep -f "files-from=list s.%r" >/dev/null || break
		sleep 0.1
	done
}
stopped TERM
stopped INT env # bash starts what is in the background with SIGINT ignored
stopped USR1
# With nohup a hangup is no wish to stop, neither of the command nor of a rank.
for launch in --launched=1 --no-launch ''; do
	: >calls
	(trap '' HUP && exec env "${slurm[@]}" "$STAGE" $launch "${nodes[@]}" --files-from=list s.%r) >out 2>err </dev/null &
	pid=$!
	if [ "$launch" ]; then sleep 0.5; else for _ in $(seq 500); do [ -s calls ] && break; sleep 0.01; done; sleep 1; fi
	kill -HUP $pid
	echo "$WORK/src" >list
	wait $pid
	is "status after HUP that is ignored, $launch" 0 $?
	same src s.0/src
	rm -rf s.?
done
# The launcher itself is killed: as a shell tells it.
: >calls
env "${slurm[@]}" "$STAGE" "${nodes[@]}" --files-from=list s.%r >out 2>err </dev/null &
pid=$!
for _ in $(seq 500); do [ -s calls ] && break; sleep 0.01; done
pkill -KILL -P $pid
wait $pid
is "status of a launcher that was killed" 137 $?
await_end
# And with the command its ranks end, which would bring what the list then names.
: >calls
env "${slurm[@]}" "$STAGE" "${nodes[@]}" --files-from=list s.%r >out 2>err </dev/null &
pid=$!
for _ in $(seq 500); do [ -s calls ] && break; sleep 0.01; done
sleep 1
kill -KILL $pid
wait $pid 2>/dev/null
sleep 1
timeout 5 sh -c 'echo "$1" >list' sh "$WORK/src"
await_end
check "ranks go on alone" test -z "$(pgrep -f "files-from=list s.%r")"
nothing_visible s.0 s.1 s.2
finish
