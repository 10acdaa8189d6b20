#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Stage, compute, drain, clean up. Adapt the five lines that start with a capital name.
#PBS -l select=4:ncpus=64:mpiprocs=64
#PBS -l walltime=01:00:00
set -eu
SOURCE=/scratch/$USER/env # on the shared file system
RESULTS=/scratch/$USER/results.$PBS_JOBID # there too
STORE=/tmp/$USER.$PBS_JOBID # node-local; /dev/shm for memory
APPLICATION=("$STORE/env/bin/application" "--input=/scratch/$USER/input" "--output=$STORE/out")
LAST=3300 # second in which the application is stopped: the rest of the walltime is the drain's

nodes=$(sort -u "$PBS_NODEFILE")
each_node=(mpiexec -hosts "${nodes//$'\n'/,}" -ppn 1 -n "$(wc -l <<<"$nodes")")
# bash acts on a signal only between commands, or in `wait`.
run() { "$@" & wait "$!"; }

# However the job ends, what is in the stores by then is drained, files that the application
# had no time to finish too. If not all is, the stores stay: the same ebt-drain, run again on
# the same nodes, leaves alone what is in place and brings the rest.
finish() {
	status=$?
	trap : TERM
	# The step ends first: nobody writes while files are drained and removed.
	kill $(jobs -p) 2>/dev/null && wait || :
	"${each_node[@]}" ebt-drain "$STORE/out" "$RESULTS" || {
		echo "$STORE/out: not all drained; on" $nodes >&2
		exit 1
	}
	# Directories that came without write permission have to get it back first.
	"${each_node[@]}" sh -c 'chmod -R u+rwX "$1"; rm -rf "$1"' sh "$STORE"
	exit "$status"
}

"${each_node[@]}" mkdir -m 700 "$STORE" "$STORE/out" # fails where somebody else was first
trap finish EXIT
# After qdel; PBS gives no longer warning than its kill_delay, so `timeout` watches the time.
trap 'exit 143' TERM

run "${each_node[@]}" ebt-stage "$SOURCE" "$STORE"
run timeout --foreground --kill-after=30 $((LAST - SECONDS)) \
	mpiexec -f "$PBS_NODEFILE" "${APPLICATION[@]}"
