#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Stage, compute, drain, clean up. Adapt the lines that start with a capital name. What a job
# that was killed outright leaves on its nodes, slurm-resume.sh brings.
#SBATCH --nodes=4
#SBATCH --time=01:00:00
#SBATCH --signal=B:TERM@300
set -eu
EBT_SITE_PFS=/scratch EBT_SITE_LOCAL=/tmp EBT_SITE_STAGE_OPTIONS=() EBT_SITE_DRAIN_OPTIONS=()
. "${EBT_SITE:-/dev/null}" # share/ebt/sites has such files: they set what is above

SOURCE=$EBT_SITE_PFS/$USER/env # on the shared file system
RESULTS=$EBT_SITE_PFS/$USER/results.$SLURM_JOB_ID # there too
DONE=$RESULTS.done.$$ # beside them: made when all is drained, by this attempt
STORE=$EBT_SITE_LOCAL/$USER.$SLURM_JOB_ID # node-local; below /dev/shm for memory
APPLICATION=("$STORE/env/bin/application" "--input=$EBT_SITE_PFS/$USER/input" "--output=$STORE/out")
WATCH= # 60s: drain what is finished that often, so that little is left at the end

each_node=(srun --overlap --cpu-bind=none --ntasks="$SLURM_NNODES" --ntasks-per-node=1)
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
	# The steps end first: nobody writes while files are drained and removed. scancel reaches
	# all steps and not this script; the application's srun, told itself, would kill at once.
	if [ "$(jobs -pr)" ]; then
		scancel --signal=TERM "$SLURM_JOB_ID"
		for pid in $(jobs -pr); do
			timeout 60 tail --pid="$pid" -f /dev/null || kill "$pid"
		done
		wait || :
	fi
	rm -f "$DONE"
	"${drain[@]}" --done="$DONE" "$STORE/out" "$RESULTS" || :
	[ -e "$DONE" ] || {
		echo "$STORE/out: not all drained; on $SLURM_JOB_NODELIST" >&2
		exit 1
	}
	# Directories that came without write permission have to get it back first.
	"${each_node[@]}" sh -c 'chmod -R u+rwX "$1"; rm -rf "$1"' sh "$STORE"
	rm -f "$DONE"
	exit "$status"
}

"${each_node[@]}" mkdir -m 700 "$STORE" "$STORE/out" # fails where somebody else was first
echo "if killed: sbatch -N $SLURM_NNODES -w $SLURM_JOB_NODELIST slurm-resume.sh $STORE $RESULTS"
trap finish EXIT
# For the time limit and for scancel --batch --signal=TERM; after a plain scancel no step can
# start any more, and slurm-resume.sh has to bring the outputs.
trap 'exit 143' TERM

run ebt-stage "${EBT_SITE_STAGE_OPTIONS[@]}" "$SOURCE" "$STORE"
if [ "$WATCH" ]; then
	"${drain[@]}" --watch="$WATCH" "$STORE/out" "$RESULTS" &
fi
run srun "${APPLICATION[@]}"
