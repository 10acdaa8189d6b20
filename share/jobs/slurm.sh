#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Stage, compute, drain, clean up. Adapt the four lines that start with a capital name, and the
# 300 seconds: a minute at most for the application to end, the rest to drain and remove.
#SBATCH --nodes=4
#SBATCH --time=01:00:00
#SBATCH --signal=B:TERM@300
set -eu
SOURCE=/scratch/$USER/env # on the shared file system
RESULTS=/scratch/$USER/results.$SLURM_JOB_ID # there too
STORE=/tmp/$USER.$SLURM_JOB_ID # node-local; /dev/shm for memory
APPLICATION=("$STORE/env/bin/application" "--input=/scratch/$USER/input" "--output=$STORE/out")

each_node=(srun --overlap --cpu-bind=none --ntasks="$SLURM_NNODES" --ntasks-per-node=1)
mpi=("${each_node[@]}" --mpi=pmi2 --kill-on-bad-exit)
# bash acts on a signal only between commands, or in `wait`.
run() { "$@" & wait "$!"; }

# However the job ends, what is in the stores by then is drained, files that the application
# had no time to finish too. If not all is, the stores stay: the same ebt-drain, run again on
# the same nodes, leaves alone what is in place and brings the rest.
finish() {
	status=$?
	trap : TERM
	# The step ends first: nobody writes while files are drained and removed. scancel reaches
	# all steps and not this script; srun, when it is killed itself, kills them at once.
	if [ "$(jobs -pr)" ]; then
		scancel --signal=TERM "$SLURM_JOB_ID"
		timeout 60 tail --pid="$!" -f /dev/null || kill "$!"
		wait || :
	fi
	"${mpi[@]}" ebt-drain "$STORE/out" "$RESULTS" || {
		echo "$STORE/out: not all drained; on $SLURM_JOB_NODELIST" >&2
		exit 1
	}
	# Directories that came without write permission have to get it back first.
	"${each_node[@]}" sh -c 'chmod -R u+rwX "$1"; rm -rf "$1"' sh "$STORE"
	exit "$status"
}

"${each_node[@]}" mkdir -m 700 "$STORE" "$STORE/out" # fails where somebody else was first
trap finish EXIT
# For the time limit and for scancel --batch --signal=TERM; after a plain scancel no step can
# start any more, and outputs are lost with their nodes.
trap 'exit 143' TERM

run "${mpi[@]}" ebt-stage "$SOURCE" "$STORE"
run srun "${APPLICATION[@]}"
