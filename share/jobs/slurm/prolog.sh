#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Prolog= of slurm.conf, root on each node of a job: makes its store, BASE/JOBID with out/ in
# it, which belong to the job's user. BASE is root's, so that no user can be there first or put
# a link in the way, and a store gets its name only when it is complete. Twice is fine:
# burst_buffer.lua calls this too. A TaskProlog tells jobs without #BB_LUA where it is:
#
#   echo "export EBT_STORE=/local/ebt/$SLURM_JOB_ID"
set -euo pipefail
base=/local/ebt # the same in epilog.sh; a folder of the local file system

die() {
	echo "prolog.sh: $*" >&2
	exit 1
}

[[ ${SLURM_JOB_ID:-} =~ ^[0-9]+$ && ${SLURM_JOB_UID:-} =~ ^[0-9]+$ ]] || die "not in a prolog"
gid=${SLURM_JOB_GID:-$(id -g "$SLURM_JOB_UID")}
store=$base/$SLURM_JOB_ID

[[ -d $base ]] || mkdir -m 755 "$base" || [[ -d $base ]]
[[ $(stat -c '%F %u %a' "$base") == "directory 0 755" ]] || die "$base: not a folder of root's, mode 755"
[[ ! -d $store ]] || exit 0
new=$(mktemp -d "$base/.new.$SLURM_JOB_ID.XXXXXX")
trap 'rm -rf "$new"' EXIT
mkdir -m 700 "$new/out"
# out/ first: afterwards its parent is in the user's hands.
chown -h "$SLURM_JOB_UID:$gid" "$new/out"
chown -h "$SLURM_JOB_UID:$gid" "$new"
mv -n -T "$new" "$store" || true # another may have been faster
[[ -d $store ]] || die "$store: cannot be made"
