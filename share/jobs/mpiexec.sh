#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Stage, compute, drain, clean up: where there is no scheduler but mpiexec of MPICH and a file
# with one host name a line. Adapt the lines that start with a capital name.
#
#   EBT_HOSTS=hosts bash mpiexec.sh
#   EBT_HOSTS=hosts bash mpiexec.sh resume NAME      if it was killed: its first line has the NAME
#
# One that is told to stop (TERM, INT, HUP) stops the application and drains. `resume` is for one
# that was killed outright, when nothing of it runs any more: it drains and removes the stores.
# What is in place is left alone, so it can itself be killed and repeated. Where nodes were
# restarted in between and their storage emptied, outputs are gone: set WATCH, so that they leave
# during the run.
set -eu
export EBT_HOSTS=${EBT_HOSTS:-hosts} # with it the commands start themselves on all of them
nodes=$(sort -u "$EBT_HOSTS")
EBT_SITE_PFS=/scratch EBT_SITE_LOCAL=/tmp EBT_SITE_STAGE_OPTIONS=() EBT_SITE_DRAIN_OPTIONS=()
EBT_SITE_EACH_NODE=(mpiexec -hosts "${nodes//$'\n'/,}" -ppn 1 -n "$(wc -l <<<"$nodes")")
. "${EBT_SITE:-/dev/null}" # share/ebt/sites has such files: they set what is above

NAME=${2:-$(date +%Y%m%dT%H%M%S).$$} # of this run
SOURCE=$EBT_SITE_PFS/$USER/env # on the shared file system
RESULTS=$EBT_SITE_PFS/$USER/results.$NAME # there too
DONE=$RESULTS.done.$$ # beside them: made when all is drained, by this attempt
STORE=$EBT_SITE_LOCAL/$USER.$NAME # node-local; below /dev/shm for memory
APPLICATION=("$STORE/env/bin/application" "--input=$EBT_SITE_PFS/$USER/input" "--output=$STORE/out")
PROCESSES=64 # of the application, on each node
LAST=1h # the application is stopped after this time
WATCH= # 60s: drain what is finished that often, so that little is left at the end

drain=(ebt-drain "${EBT_SITE_DRAIN_OPTIONS[@]}")
# bash acts on a signal only between commands, or in `wait`. mpiexec must not read the terminal.
run() { "$@" </dev/null & wait "$!"; }

# However the run ends, what is in the stores by then is drained, files that the application
# had no time to finish too. If not all is, the stores stay. Only the file DONE proves that all
# is: a launcher that is stopped before it has begun may say 0, and 4 says that some of it has
# another name.
finish() {
	status=$?
	trap : TERM INT HUP
	# What runs on the nodes ends first: nobody writes while files are drained and removed.
	kill $(jobs -p) 2>/dev/null && wait || :
	rm -f "$DONE"
	"${drain[@]}" --done="$DONE" "$STORE/out" "$RESULTS" </dev/null || :
	[ -e "$DONE" ] || {
		echo "$STORE/out: not all drained; on" $nodes >&2
		exit 1
	}
	# Directories that came without write permission have to get it back first.
	"${EBT_SITE_EACH_NODE[@]}" sh -c 'chmod -R u+rwX "$1"; rm -rf "$1"' sh "$STORE" </dev/null
	rm -f "$DONE"
	exit "$status"
}

if [ "${1:-}" = resume ]; then
	: "${2:?resume which run? The first line that it printed has the NAME}"
	finish
fi
"${EBT_SITE_EACH_NODE[@]}" mkdir -m 700 "$STORE" "$STORE/out" </dev/null # fails where it exists
echo "if killed: EBT_HOSTS=$EBT_HOSTS bash $0 resume $NAME"
trap finish EXIT
trap 'exit 143' TERM INT HUP

run ebt-stage "${EBT_SITE_STAGE_OPTIONS[@]}" "$SOURCE" "$STORE"
if [ "$WATCH" ]; then
	"${drain[@]}" --watch="$WATCH" "$STORE/out" "$RESULTS" </dev/null &
fi
run timeout --foreground --kill-after=30 "$LAST" \
	mpiexec -f "$EBT_HOSTS" -ppn "$PROCESSES" -n $((PROCESSES * $(wc -l <<<"$nodes"))) "${APPLICATION[@]}"
