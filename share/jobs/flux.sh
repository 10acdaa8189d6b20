#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Stage, compute, drain, clean up: for `flux batch`. Adapt the lines that start with a capital
# name, and the five minutes: what the drain and the removal may take. What a job that was
# killed outright leaves on its nodes, flux-resume.sh brings.
#flux: --nodes=4
#flux: --exclusive
#flux: --time-limit=1h
#flux: --signal=TERM@5m
set -eu
job=$(flux job id --to=dec "$(flux getattr jobid)")
nodes=$(flux getattr size)
EBT_SITE_PFS=/scratch EBT_SITE_LOCAL=/tmp EBT_SITE_STAGE_OPTIONS=() EBT_SITE_DRAIN_OPTIONS=()
. "${EBT_SITE:-/dev/null}" # share/ebt/sites has such files: they set what is above

SOURCE=$EBT_SITE_PFS/$USER/env # on the shared file system
RESULTS=$EBT_SITE_PFS/$USER/results.$job # there too
DONE=$RESULTS.done.$$ # beside them: made when all is drained, by this attempt
STORE=$EBT_SITE_LOCAL/$USER.$job # node-local; below /dev/shm for memory
APPLICATION=("$STORE/env/bin/application" "--input=$EBT_SITE_PFS/$USER/input" "--output=$STORE/out")
WATCH= # 60s: drain what is finished that often; it takes a core of each node from the application

each_node=(flux run --nodes="$nodes" --tasks-per-node=1)
drain=(ebt-drain "${EBT_SITE_DRAIN_OPTIONS[@]}")
# bash acts on a signal only between commands, or in `wait`.
run() { "$@" & wait "$!"; }

# However the job ends, what is in the stores by then is drained, files that the application
# had no time to finish too. If not all is, the stores stay. Only the file DONE proves that all
# is: a launcher that is stopped before it has begun may say 0, and 4 says that some of it has
# another name.
finish() {
	status=$?
	trap : TERM
	# What runs on the nodes ends first: nobody writes while files are drained and removed.
	# It does not end with its `flux run`.
	flux cancel --all || :
	flux queue drain
	wait || :
	rm -f "$DONE"
	"${drain[@]}" --done="$DONE" "$STORE/out" "$RESULTS" || :
	[ -e "$DONE" ] || {
		echo "$STORE/out: not all drained; on $(flux getattr hostlist)" >&2
		exit 1
	}
	# Directories that came without write permission have to get it back first.
	"${each_node[@]}" sh -c 'chmod -R u+rwX "$1"; rm -rf "$1"' sh "$STORE"
	rm -f "$DONE"
	exit "$status"
}

"${each_node[@]}" mkdir -m 700 "$STORE" "$STORE/out" # fails where somebody else was first
echo "if killed: flux batch -N $nodes --requires=hosts:$(flux getattr hostlist)" \
	"flux-resume.sh $STORE $RESULTS"
trap finish EXIT
trap 'exit 143' TERM

run ebt-stage "${EBT_SITE_STAGE_OPTIONS[@]}" "$SOURCE" "$STORE"
exclusive=(--exclusive)
if [ "$WATCH" ]; then
	"${drain[@]}" --watch="$WATCH" "$STORE/out" "$RESULTS" &
	exclusive=()
fi
run flux run --nodes="$nodes" "${exclusive[@]}" "${APPLICATION[@]}"
