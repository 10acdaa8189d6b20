#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Brings what a job of flux.sh left in the stores of its nodes when it was killed before it had
# drained all, and removes the stores. The first line of that job's output has the command:
#
#   flux batch -N 4 --requires=hosts:node[01-04] flux-resume.sh STORE RESULTS
#
# What is in place is left alone, so this can itself be killed and submitted again. It needs the
# same nodes with their stores still there. On a cluster that empties node-local storage between
# jobs outputs end with their job: set WATCH in flux.sh there, so that they leave while it runs
# and little remains for its end.
#flux: --exclusive
#flux: --time-limit=30m
set -eu
STORE=$1 RESULTS=$2
EBT_SITE_DRAIN_OPTIONS=()
. "${EBT_SITE:-/dev/null}" # as in flux.sh

# A launcher that is stopped before it has begun may say 0, and 4 says that all is there, some of it
# under another name: only this file proves that the stores may go.
DONE=$RESULTS.done.$$
rm -f "$DONE"
ebt-drain "${EBT_SITE_DRAIN_OPTIONS[@]}" --done="$DONE" "$STORE/out" "$RESULTS" || :
[ -e "$DONE" ] || { echo "$STORE/out: not all drained" >&2; exit 1; }
flux run --nodes="$(flux getattr size)" --tasks-per-node=1 sh -c 'chmod -R u+rwX "$1"; rm -rf "$1"' sh "$STORE"
rm -f "$DONE"
