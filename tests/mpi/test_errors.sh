#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# An MPI error ends all ranks, with one line that says who saw it: test_errors.sh LAUNCH PROGRAM
set -euo pipefail

status=0
said=$(timeout -k 5 60 "$1" -n 3 "$2" 2>&1 </dev/null) || status=$?
wanted="^${2##*/}: is a node lost? MPI says: .*rank.* (rank 0 on $(uname -n))\$"
[[ $status != 0 && $status != 124 && $(grep -c "$wanted" <<<"$said") == 1 ]] || {
	echo "status $status:"
	echo "$said"
	exit 1
}
