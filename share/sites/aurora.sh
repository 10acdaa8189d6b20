# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2034 # whoever sources this uses the variables
#
# Aurora, Argonne Leadership Computing Facility (ALCF). Sourced by the scripts of share/ebt/jobs:
#
#   qsub -A PROJECT -q prod -l filesystems=home:flare \
#       -v EBT_SITE=PREFIX/share/ebt/sites/aurora.sh,EBT_SITE_PROJECT=PROJECT pbs.sh
#
# Each value has its source, or says "unverified". Nothing here was run on the machine. Read in
# the sources of the pages of August 2026, https://github.com/argonne-lcf/user-guides.
#
# nodes     10,624, each with 104 cores, 1,024 GB of DDR5 and 128 GB of HBM at the CPUs.
#           https://docs.alcf.anl.gov/aurora/
#           `prod` has jobs from 256 nodes on, 12 to 24 hours; `capacity` up to 16 nodes and 168
#           hours. https://docs.alcf.anl.gov/aurora/running-jobs-aurora/
# network   "8 HPE Slingshot-11 NICs" a node (https://docs.alcf.anl.gov/aurora/), each "capable of
#           driving 20-25 GB/s". EBT has one rank a node and uses one of them: --link is the
#           rate of that one, an eighth of what the node has.
#           https://docs.alcf.anl.gov/aurora/data-management/daos/daos-overview/
# MPI       Build with Aurora MPICH, the default. Its variables are explained in
#           $MPI_ROOT/share/doc/mpich/README.envvar. mpiexec is that of PALS.
#           https://docs.alcf.anl.gov/aurora/running-jobs-aurora/
# the end   That a second job finds anything in /tmp is unverified, and an interrupted job may
#           have lost a node: set WATCH in the job script.

# Project directories, "mounted at /lus/flare/projects/"; name yours in EBT_SITE_PROJECT, and
# have a directory with your name there. 160 OSTs, 650 GB/s; `-l filesystems=flare` is needed.
# https://docs.alcf.anl.gov/aurora/data-management/lustre/flare/
EBT_SITE_PFS=/lus/flare/projects${EBT_SITE_PROJECT:+/$EBT_SITE_PROJECT}

# "each compute node's local /tmp"; the pages know of no disk in a node. That /tmp is memory, and
# how much of it may be used, is unverified: `df /tmp` on a node tells.
# https://docs.alcf.anl.gov/aurora/data-management/moving_data_to_aurora/datamover/
EBT_SITE_LOCAL=/tmp

# One NIC of eight, 200 Gb/s (25 GB/s).
# https://docs.alcf.anl.gov/aurora/data-management/daos/daos-overview/
EBT_SITE_STAGE_OPTIONS=(--link=200gbit)

# No rule for stripes was found: a quarter of the 160 OSTs is unverified, chosen so that one
# large file cannot load all of them.
EBT_SITE_DRAIN_OPTIONS=(--link=200gbit --max-stripe-count=40)

# All free cores of the first socket, where core 0 is reserved; -n, -ppn and --cpu-bind=list:1-51
# are in https://docs.alcf.anl.gov/aurora/running-jobs-aurora/
export EBT_LAUNCHER="mpiexec -n %n -ppn 1 --cpu-bind=list:1-51"

# The same for what each node does for itself, as mkdir.
# https://docs.alcf.anl.gov/aurora/running-jobs-aurora/
EBT_SITE_EACH_NODE=(mpiexec -n "$(sort -u "${PBS_NODEFILE:-/dev/null}" | wc -l)" -ppn 1)
