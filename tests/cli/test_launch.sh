#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Processes that MPI takes for jobs of one rank each, although a launcher started several of
# them, do nothing and say why; a single rank that is meant works, also within a larger step.
. "$(dirname "$0")/lib.sh"
cd "$WORK" || exit 99
mkdir src
echo a >src/a
unset "${!SLURM_@}" "${!PMI_@}" "${!OMPI_@}"

# alone STATUS VARIABLE=VALUE... COMMAND ARG...: without any launcher
alone() {
	local want=$1 got
	shift
	CHECKS=$((CHECKS + 1))
	timeout "$LIMIT" env "$@" >out 2>err </dev/null
	got=$?
	[ "$got" -eq "$want" ] && return 0
	fail "exit status $got, not $want: $*"
	show
}
refused() {
	alone 1 "$@"
	says "started as one rank although"
	says "the MPI in use ($library)"
	says "Use $mpiexec, with Slurm srun --mpi=$pmi;"
	check "said once: $*" test "$(grep -c 'started as' err)" = 1
	nothing_visible s d
}
library=$("$STAGE" --version | sed -n 's/.* running with //p')
mpiexec=$("$LAUNCH" --mpiexec)
case $("$LAUNCH" --mpi) in ompi) pmi=pmix ;; *) pmi=pmi2 ;; esac
slurm=(SLURM_NTASKS=4 SLURM_PROCID=0 SLURM_STEP_ID=0)
for several in "SLURM_STEP_NUM_TASKS=4" PMI_SIZE=4 OMPI_COMM_WORLD_SIZE=4; do
	rm -rf s d
	refused "${slurm[@]}" "$several" "$STAGE" src s
	refused "${slurm[@]}" "$several" "$BIN/ebt-drain" src d
	check "no journal" test ! -e src/.ebt
	says "${several%=*} is 4"
done
# One of them says it, the others end with the same status.
alone 1 SLURM_STEP_NUM_TASKS=4 SLURM_PROCID=2 "$STAGE" src s
check "only the first says it" test ! -s err
nothing_visible s
alone 1 SLURM_STEP_NUM_TASKS=4 SLURM_PROCID=0 "$STAGE" --json src s
says '"type":"error"'
alone 2 SLURM_STEP_NUM_TASKS=4 "$STAGE" --no-such-option

# A batch script is in no step. A launcher nearer to the process than srun has the last word.
alone 0 SLURM_NTASKS=4 SLURM_PROCID=0 "$STAGE" src s
same src s/src
rm -rf s
alone 0 SLURM_STEP_NUM_TASKS=1 SLURM_STEP_ID=0 "$STAGE" src s
same src s/src
rm -rf s
alone 0 SLURM_STEP_NUM_TASKS=4 SLURM_STEP_ID=0 "$LAUNCH" -n 1 "$STAGE" src s
same src s/src
alone 0 SLURM_STEP_NUM_TASKS=4 SLURM_STEP_ID=0 "$LAUNCH" -n 1 "$BIN/ebt-drain" --local-dest s d
alone 0 SLURM_STEP_NUM_TASKS=2 SLURM_STEP_ID=0 "$LAUNCH" -n 3 "$STAGE" --per-rank src "$WORK/m.%r"
same src m.2/src
alone 0 SLURM_STEP_NUM_TASKS=4 "$STAGE" --list s

# mpiexec of the other MPI, where this machine has one.
other=
case $("$LAUNCH" --mpi) in
mpich) other=$(command -v mpiexec.openmpi) size=OMPI_COMM_WORLD_SIZE ;;
ompi) other=$(command -v mpiexec.mpich) size=PMI_SIZE ;;
esac
if [ "$other" ]; then
	rm -rf s
	root=(OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1)
	refused "${root[@]}" "$other" -n 3 "$STAGE" src s
	says "$size is 3"
else
	echo "not tried: mpiexec of another MPI, none here"
fi

# What --version says is so: the version that MPI has, and one of those that were tested with.
for program in ebt-stage ebt-drain; do
	alone 0 "$BIN/$program" --version
	version=$(sed -n 's/^built with \(.*\), running with .*/\1/p' out)
	says "built with $version, running with $library"
	check "$program names what was tested" grep -q "^tested with MPICH [0-9.]*, Open MPI [0-9.]*$" out
	check "$library is $version" test "${library##*[ v]}" = "${version##* }"
done
finish
