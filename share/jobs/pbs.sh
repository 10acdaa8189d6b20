#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Stage, compute, drain, clean up. Adapt the lines that start with a capital name. What a job
# that was killed outright leaves on its nodes, pbs-resume.sh brings.
#PBS -l select=4:ncpus=64:mpiprocs=64
#PBS -l walltime=01:00:00
set -eu
nodes=$(sort -u "$PBS_NODEFILE")
EBT_SITE_PFS=/scratch EBT_SITE_LOCAL=/tmp EBT_SITE_STAGE_OPTIONS=() EBT_SITE_DRAIN_OPTIONS=()
EBT_SITE_EACH_NODE=(mpiexec -hosts "${nodes//$'\n'/,}" -ppn 1 -n "$(wc -l <<<"$nodes")")
. "${EBT_SITE:-/dev/null}" # share/ebt/sites has such files: they set what is above

SOURCE=$EBT_SITE_PFS/$USER/env # on the shared file system
RESULTS=$EBT_SITE_PFS/$USER/results.$PBS_JOBID # there too
DONE=$RESULTS.done.$$ # beside them: made when all is drained, by this attempt
STORE=$EBT_SITE_LOCAL/$USER.$PBS_JOBID # node-local; below /dev/shm for memory
APPLICATION=("$STORE/env/bin/application" "--input=$EBT_SITE_PFS/$USER/input" "--output=$STORE/out")
LAST=3300 # second in which the application is stopped: the rest of the walltime is the drain's
WATCH= # 60s: drain what is finished that often, so that little is left at the end

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
	kill $(jobs -p) 2>/dev/null && wait || :
	rm -f "$DONE"
	"${drain[@]}" --done="$DONE" "$STORE/out" "$RESULTS" || :
	[ -e "$DONE" ] || {
		echo "$STORE/out: not all drained; on" $nodes >&2
		exit 1
	}
	# Directories that came without write permission have to get it back first.
	"${EBT_SITE_EACH_NODE[@]}" sh -c 'chmod -R u+rwX "$1"; rm -rf "$1"' sh "$STORE"
	rm -f "$DONE"
	exit "$status"
}

"${EBT_SITE_EACH_NODE[@]}" mkdir -m 700 "$STORE" "$STORE/out" # fails where somebody else was first
echo "if killed: qsub -l select=1:host=${nodes//$'\n'/+1:host=}" \
	"-v STORE=$STORE,RESULTS=$RESULTS pbs-resume.sh"
trap finish EXIT
# After qdel; PBS gives no longer warning than its kill_delay, so `timeout` watches the time.
trap 'exit 143' TERM

run ebt-stage "${EBT_SITE_STAGE_OPTIONS[@]}" "$SOURCE" "$STORE"
if [ "$WATCH" ]; then
	"${drain[@]}" --watch="$WATCH" "$STORE/out" "$RESULTS" &
fi
run timeout --foreground --kill-after=30 $((LAST - SECONDS)) \
	mpiexec -f "$PBS_NODEFILE" "${APPLICATION[@]}"
