#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Epilog= of slurm.conf, root on each node after a job: removes its store. Names in BASE are
# root's, so the user cannot replace the store by a link; below it rm follows no links, and
# enters no other file system. Processes of the job are gone by then.
#
# Where burst_buffer.lua drains, this waits until it has: a node whose Epilog has ended is
# given to the next job. A store that was not drained stays, with a mark .kept.JOBID; it goes
# when slurm-resume.sh has emptied it and the next job of the node ends.
set -euo pipefail
base=/local/ebt # the same in prolog.sh
patience=3600 # seconds to wait for a drain

[[ ${SLURM_JOB_ID:-} =~ ^[0-9]+$ ]] || { echo "epilog.sh: not in an epilog" >&2; exit 1; }
store=$base/$SLURM_JOB_ID
drain=$base/.drain.$SLURM_JOB_ID
kept=$base/.kept.$SLURM_JOB_ID

for mark in "$base"/.kept.*; do
	left=$base/${mark##*.kept.}
	[[ ! -d $left ]] || rmdir --ignore-fail-on-non-empty "$left"
	[[ -d $left ]] || rm -f "$mark"
done

until [[ ! -e $drain ]] || ((SECONDS >= patience)); do
	sleep 1
done
[[ ! -e $drain ]] || mv -T "$drain" "$kept"
if [[ -e $kept ]]; then
	echo "epilog.sh: $store: not drained, stays" >&2
	exit 0
fi
[[ -d $store ]] || exit 0
# First its name goes, so that a job that runs again under its number finds nothing half removed.
gone=$(mktemp -d "$base/.gone.$SLURM_JOB_ID.XXXXXX")
mv -T "$store" "$gone/store"
rm -rf --one-file-system "$gone"
