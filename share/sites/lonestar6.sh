# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2034 # whoever sources this uses the variables
#
# Lonestar6, Texas Advanced Computing Center (TACC). Sourced by the scripts of share/ebt/jobs:
#
#   sbatch --export=ALL,EBT_SITE=PREFIX/share/ebt/sites/lonestar6.sh slurm.sh
#
# Each value has its source, or says "unverified". Nothing here was run on the machine. Read in
# the sources of the pages of August 2026, https://github.com/TACC/TACC-Docs.
#
# nodes     560 with 128 cores and 256 GB of DRAM, 88 with GPUs; 288 GB /tmp on an SSD; jobs of up
#           to 64 nodes and 48 hours in queue `normal`. https://docs.tacc.utexas.edu/hpc/lonestar6/
# network   One HDR InfiniBand link (200 Gb/s) a node, 24/16 oversubscribed. EBT has one rank a
#           node, which reaches all of it. https://docs.tacc.utexas.edu/hpc/lonestar6/
# MPI       Build with what the launcher starts: `module load impi`, then meson. Intel MPI keeps
#           the binary interface of MPICH, so a build with MPICH runs with it too.
#           https://github.com/eth-cscs/sarus (doc/user/abi_compatibility.rst)
# the end   "Data purged at the end of each job" in /tmp, and "any job requesting specific compute
#           nodes [...] will be deleted from the queue", so no second job can bring what the
#           first one left: set WATCH in the job script. https://docs.tacc.utexas.edu/hpc/lonestar6/
#           For the signal ahead of the time limit: Slurm's --signal, see sbatch(1).

# The directory above your own. That $SCRATCH is BeeGFS is in the guide, that it is
# /scratch/GROUP/you is not: unverified where $SCRATCH is not set.
# https://docs.tacc.utexas.edu/hpc/lonestar6/
EBT_SITE_PFS=$(dirname "${SCRATCH:-/scratch/$USER}")

# "288GB /tmp partition on a 288GB SSD"; there on every node, nothing has to be asked for.
# https://docs.tacc.utexas.edu/hpc/lonestar6/
EBT_SITE_LOCAL=/tmp

# "full HDR (200 Gb/s) connectivity between the switches and the compute nodes".
# https://docs.tacc.utexas.edu/hpc/lonestar6/
EBT_SITE_STAGE_OPTIONS=(--link=200gbit)

# "not to exceed 75% of the available stripes. So, the max stripe count for $SCRATCH would be 72"
# of 96 targets. BeeGFS is told how many targets a file gets, never which.
# https://docs.tacc.utexas.edu/hpc/lonestar6/
EBT_SITE_DRAIN_OPTIONS=(--link=200gbit --max-stripe-count=72)

# The launcher of the guide, with -n and -o: https://docs.tacc.utexas.edu/hpc/lonestar6/
# One rank on each node where the job has more tasks is by IBRUN_TASKS_PER_NODE, which the guide
# does not have: unverified, as in https://github.com/bbThemis/ThemisIO (testfair/rw_speed1.sh)
export EBT_LAUNCHER="env IBRUN_TASKS_PER_NODE=1 ibrun -n %n -o 0"
