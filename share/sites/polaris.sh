# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2034 # whoever sources this uses the variables
#
# Polaris, Argonne Leadership Computing Facility (ALCF). Sourced by the scripts of share/ebt/jobs:
#
#   qsub -A PROJECT -q prod -l filesystems=home:eagle \
#       -v EBT_SITE=PREFIX/share/ebt/sites/polaris.sh,EBT_SITE_PROJECT=PROJECT pbs.sh
#
# Each value has its source, or says "unverified". Nothing here was run on the machine. Read in
# the sources of the pages of August 2026, https://github.com/argonne-lcf/user-guides.
#
# nodes     560 with 32 cores and 512 GB of DRAM. https://docs.alcf.anl.gov/polaris/
#           `prod` has jobs of 10 to 496 nodes, 3 to 24 hours.
#           https://docs.alcf.anl.gov/polaris/running-jobs/
# network   "A pair of Slingshot 11 network adapters" a node. EBT has one rank a node and uses one
#           of them: --link is the rate of that one. https://docs.alcf.anl.gov/polaris/
# MPI       Build with Cray MPICH, CC=cc. A build with MPICH runs with the library of module
#           cray-mpich-abi. https://docs.alcf.anl.gov/polaris/containers/containers/
# the end   /local/scratch is "wiped between Cobalt/PBS Pro jobs", so no second job can bring what
#           the first one left: set WATCH in the job script.
#           https://docs.alcf.anl.gov/data-management/filesystem-and-storage/

# Project directories, "/eagle or /lus/eagle/projects"; name yours in EBT_SITE_PROJECT, and have a
# directory with your name there; `-l filesystems=eagle` is needed.
# https://docs.alcf.anl.gov/data-management/filesystem-and-storage/
EBT_SITE_PFS=/lus/eagle/projects${EBT_SITE_PROJECT:+/$EBT_SITE_PROJECT}

# Two SSDs of 1.6 TB in RAID 0, xfs, 3.3 GB/s each; "enabled by default".
# https://docs.alcf.anl.gov/data-management/filesystem-and-storage/
EBT_SITE_LOCAL=/local/scratch

# One NIC of two. That it has 200 Gb/s is what the pages of Aurora say of the same one:
# https://docs.alcf.anl.gov/aurora/data-management/daos/daos-overview/; unverified for Polaris.
EBT_SITE_STAGE_OPTIONS=(--link=200gbit)

# No rule for stripes was found: a quarter of the OSTs is unverified, chosen so that one large
# file cannot load all of them. There are 160, by a comment in the source of the page on storage:
# https://github.com/argonne-lcf/user-guides (docs/data-management/filesystem-and-storage)
EBT_SITE_DRAIN_OPTIONS=(--link=200gbit --max-stripe-count=40)

# All 32 cores; -n, -ppn, --depth, --cpu-bind and --env are in
# https://docs.alcf.anl.gov/polaris/running-jobs/
# With MPICH_GPU_SUPPORT_ENABLED=1, as applications have it, Cray MPICH "will print an error
# message and exit immediately" where its library for GPUs was not linked, as in EBT.
# https://docs.olcf.ornl.gov/systems/frontier_user_guide.html
export EBT_LAUNCHER="mpiexec -n %n -ppn 1 --depth=32 --cpu-bind=depth --env MPICH_GPU_SUPPORT_ENABLED=0"

# The same for what each node does for itself, as mkdir. https://docs.alcf.anl.gov/polaris/running-jobs/
EBT_SITE_EACH_NODE=(mpiexec -n "$(sort -u "${PBS_NODEFILE:-/dev/null}" | wc -l)" -ppn 1)
