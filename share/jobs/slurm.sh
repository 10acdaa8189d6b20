#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Stage, compute, clean up. Adapt the three lines that start with a capital name.
#SBATCH --nodes=4
#SBATCH --time=01:00:00
#SBATCH --signal=B:TERM@120
set -eu
SOURCE=/scratch/$USER/env # on the shared file system
STORE=/tmp/$USER.$SLURM_JOB_ID # node-local; /dev/shm for memory
APPLICATION=("$STORE/env/bin/application" "--input=/scratch/$USER/input")

each_node=(srun --overlap --cpu-bind=none --ntasks="$SLURM_NNODES" --ntasks-per-node=1)
# Directories that came without write permission have to get it back first.
clean() { "${each_node[@]}" sh -c 'chmod -R u+rwX "$1"; rm -rf "$1"' sh "$STORE"; }
# bash acts on a signal only between commands, or in `wait`.
run() { "$@" & wait "$!"; }

"${each_node[@]}" mkdir -m 700 "$STORE" # fails where somebody else was first
trap clean EXIT
# The step ends first: nobody writes while `clean` removes. For the time limit and for
# scancel --batch --signal=TERM; after a plain scancel no step can start to clean.
trap 'kill $(jobs -p) && wait || :; exit 143' TERM

run "${each_node[@]}" --mpi=pmi2 --kill-on-bad-exit ebt-stage "$SOURCE" "$STORE"
run srun "${APPLICATION[@]}"
