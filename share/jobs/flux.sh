#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Stage, compute, clean up: for `flux batch`. Adapt the three lines that start with a capital
# name.
#flux: --nodes=4
#flux: --exclusive
#flux: --time-limit=1h
#flux: --signal=TERM@2m
set -eu
SOURCE=/scratch/$USER/env # on the shared file system
STORE=/tmp/$USER.$(flux job id --to=dec "$(flux getattr jobid)") # node-local; /dev/shm for memory
APPLICATION=("$STORE/env/bin/application" "--input=/scratch/$USER/input")

nodes=$(flux getattr size)
each_node() { flux run --nodes="$nodes" --tasks-per-node=1 "$@"; }
# Directories that came without write permission have to get it back first. What still runs
# on the nodes would keep them from us.
clean() {
	flux cancel --all || true
	flux queue drain
	each_node sh -c 'chmod -R u+rwX "$1"; rm -rf "$1"' sh "$STORE"
}
# bash acts on a signal only between commands, or in `wait`.
run() { "$@" & wait "$!"; }

each_node mkdir -m 700 "$STORE" # fails where somebody else was first
trap clean EXIT
trap 'exit 143' TERM

run each_node ebt-stage "$SOURCE" "$STORE"
run flux run --nodes="$nodes" --exclusive "${APPLICATION[@]}"
