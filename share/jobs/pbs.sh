#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Stage, compute, clean up. Adapt the three lines that start with a capital name.
#PBS -l select=4:ncpus=64:mpiprocs=64
#PBS -l walltime=01:00:00
set -eu
SOURCE=/scratch/$USER/env # on the shared file system
STORE=/tmp/$USER.$PBS_JOBID # node-local; /dev/shm for memory
APPLICATION=("$STORE/env/bin/application" "--input=/scratch/$USER/input")

nodes=$(sort -u "$PBS_NODEFILE" | paste -s -d,)
each_node() { mpiexec -hosts "$nodes" -ppn 1 -n "$(tr , '\n' <<<"$nodes" | wc -l)" "$@"; }
# Directories that came without write permission have to get it back first.
clean() { each_node sh -c 'chmod -R u+rwX "$1"; rm -rf "$1"' sh "$STORE"; }
# bash acts on a signal only between commands, or in `wait`.
run() { "$@" & wait "$!"; }

each_node mkdir -m 700 "$STORE" # fails where somebody else was first
trap clean EXIT
trap 'exit 143' TERM

run each_node ebt-stage "$SOURCE" "$STORE"
run mpiexec -f "$PBS_NODEFILE" "${APPLICATION[@]}"
