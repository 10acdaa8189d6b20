# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2034 # whoever sources this uses the variables
#
# Frontera, Texas Advanced Computing Center (TACC). Sourced by the scripts of share/ebt/jobs:
#
#   sbatch --export=ALL,EBT_SITE=PREFIX/share/ebt/sites/frontera.sh slurm.sh
#
# Each value has its source, or says "unverified". Nothing here was run on the machine. Read in
# the sources of the pages of August 2026, https://github.com/TACC/TACC-Docs.
#
# nodes     8,368 with 56 cores and 192 GB of DRAM; 144 GB /tmp on an SSD; jobs of 3 to 512
#           nodes and up to 48 hours in queue `normal`. https://docs.tacc.utexas.edu/hpc/frontera/
# network   One HDR100 InfiniBand link (100 Gb/s) a node. EBT has one rank a node, which
#           reaches all of it. https://docs.tacc.utexas.edu/hpc/frontera/
# MPI       Build with what the launcher starts: `module load impi`, then meson. Intel MPI keeps
#           the binary interface of MPICH, so a build with MPICH runs with it too.
#           https://github.com/eth-cscs/sarus (doc/user/abi_compatibility.rst)
# the end   Data in /tmp last "only for the duration of your job", so no second job can bring
#           them: set WATCH in the job script. https://docs.tacc.utexas.edu/tutorials/managingio/
#           For the signal ahead of the time limit: Slurm's --signal, see sbatch(1).

# The directory above your own: $SCRATCH is like /scratch2/00000/you. scratch2 has 16 OSTs and
# 60 GB/s, scratch3 has 32 and 120; a user has one of them. Files that were not accessed for 10
# days are purged. https://docs.tacc.utexas.edu/hpc/frontera/
EBT_SITE_PFS=$(dirname "${SCRATCH:-/scratch2/$USER}")

# "144GB /tmp partition on a 240GB SSD"; there on every node, nothing has to be asked for.
# https://docs.tacc.utexas.edu/hpc/frontera/
EBT_SITE_LOCAL=/tmp

# "HDR100 (100 Gb/s) connectivity to the compute nodes". https://docs.tacc.utexas.edu/hpc/frontera/
EBT_SITE_STAGE_OPTIONS=(--link=100gbit)

# "limit the stripe count to no more than 8 since Frontera's $SCRATCH file system is served by
# far fewer OSTs". https://docs.tacc.utexas.edu/hpc/frontera/
EBT_SITE_DRAIN_OPTIONS=(--link=100gbit --max-stripe-count=8)

# The launcher of the guide, with -n and -o: https://docs.tacc.utexas.edu/hpc/frontera/
# One rank on each node where the job has more tasks is by IBRUN_TASKS_PER_NODE, which the guide
# does not have: unverified, as in https://github.com/bbThemis/ThemisIO (testfair/rw_speed1.sh)
export EBT_LAUNCHER="env IBRUN_TASKS_PER_NODE=1 ibrun -n %n -o 0"
