#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Stage, compute, drain, clean up: for `flux batch`. Adapt the four lines that start with a
# capital name, and the five minutes: what the drain and the removal may take.
#flux: --nodes=4
#flux: --exclusive
#flux: --time-limit=1h
#flux: --signal=TERM@5m
set -eu
job=$(flux job id --to=dec "$(flux getattr jobid)")
SOURCE=/scratch/$USER/env # on the shared file system
RESULTS=/scratch/$USER/results.$job # there too
STORE=/tmp/$USER.$job # node-local; /dev/shm for memory
APPLICATION=("$STORE/env/bin/application" "--input=/scratch/$USER/input" "--output=$STORE/out")

nodes=$(flux getattr size)
each_node=(flux run --nodes="$nodes" --tasks-per-node=1)
# bash acts on a signal only between commands, or in `wait`.
run() { "$@" & wait "$!"; }

# However the job ends, what is in the stores by then is drained, files that the application
# had no time to finish too. If not all is, the stores stay: the same ebt-drain, run again on
# the same nodes, leaves alone what is in place and brings the rest.
finish() {
	status=$?
	trap : TERM
	# What runs on the nodes ends first: nobody writes while files are drained and removed.
	# It does not end with its `flux run`.
	flux cancel --all || :
	flux queue drain
	wait || :
	"${each_node[@]}" ebt-drain "$STORE/out" "$RESULTS" || {
		echo "$STORE/out: not all drained; on $(flux getattr hostlist)" >&2
		exit 1
	}
	# Directories that came without write permission have to get it back first.
	"${each_node[@]}" sh -c 'chmod -R u+rwX "$1"; rm -rf "$1"' sh "$STORE"
	exit "$status"
}

"${each_node[@]}" mkdir -m 700 "$STORE" "$STORE/out" # fails where somebody else was first
trap finish EXIT
trap 'exit 143' TERM

run "${each_node[@]}" ebt-stage "$SOURCE" "$STORE"
run flux run --nodes="$nodes" --exclusive "${APPLICATION[@]}"
