# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2034 # whoever sources this uses the variables
#
# Frontier, Oak Ridge Leadership Computing Facility (OLCF). Sourced by the scripts of
# share/ebt/jobs. Ask for the NVMe when you submit, without it there is no /mnt/bb:
#
#   sbatch -A PROJECT -C nvme --export=ALL,EBT_SITE=PREFIX/share/ebt/sites/frontier.sh slurm.sh
#
# Each value has its source, or says "unverified". Nothing here was run on the machine. Read in
# the sources of the pages of July 2026, https://github.com/olcf/olcf-user-docs.
#
# nodes     9,472 in the largest jobs, each with 64 cores and 512 GB of DRAM; up to 12 hours
#           from 184 nodes on, 6 from 92, 2 below.
#           https://docs.olcf.ornl.gov/systems/frontier_user_guide.html
# network   "[4x] HPE Slingshot 200 Gbps (25 GB/s) NICs" a node. EBT has one rank a node and
#           uses one of them: --link is the rate of that one, not 800 Gbps. By default Cray MPICH
#           refuses a rank that may run in several NUMA domains ("Unable to use a NIC_POLICY of
#           'NUMA'"); MPICH_OFI_NIC_POLICY changes that.
#           https://docs.olcf.ornl.gov/systems/frontier_user_guide.html
# MPI       Build with Cray MPICH: `module load PrgEnv-gnu`, then meson with CC=cc. A build with
#           MPICH 3.4 runs with the library of module cray-mpich-abi.
#           https://docs.olcf.ornl.gov/software/containers_on_frontier.html
# placement Orion spreads a file over its tiers as it grows, and "users should refrain from
#           attempting to manually control file striping, unless they are writing single files in
#           excess of 512 GB". EBT keeps the layout of the directory and chooses only which
#           targets of pool "capacity" a file gets there; small files are created plainly. If
#           the client does not show who is in a pool the file system places the files, which
#           is said; that it takes such layouts is unverified. For very large files make
#           the directory first, with `lfs setstripe -c 8 -p capacity -S 16M DIR` (16 stripes
#           from 1 TB, 64 from 8 TB): that is kept as well.
#           https://docs.olcf.ornl.gov/data/index.html
# the end   "Users are responsible for moving data to/from the NVMe before/after their jobs". That
#           a second job on the same nodes finds anything is unverified: set WATCH in the job
#           script. --signal=B:TERM@300 is in the guide.
#           https://docs.olcf.ornl.gov/systems/frontier_user_guide.html

# The directory above your own in "/lustre/orion/[projid]/scratch/[userid]", whose project is
# taken from EBT_SITE_PROJECT or from the account of the job. Files that were not accessed for 90
# days are purged. https://docs.olcf.ornl.gov/systems/frontier_user_guide.html
EBT_SITE_PFS=/lustre/orion/${EBT_SITE_PROJECT:-${SLURM_JOB_ACCOUNT:-PROJECT}}/scratch

# Two NVMe of 1.92 TB, 5.5 GB/s to read and 2 GB/s to write; `#SBATCH -C nvme`.
# https://docs.olcf.ornl.gov/systems/frontier_user_guide.html
EBT_SITE_LOCAL=/mnt/bb/$USER

# One NIC of four. https://docs.olcf.ornl.gov/systems/frontier_user_guide.html
EBT_SITE_STAGE_OPTIONS=(--link=200gbit)

# No stripes and no pool: see placement above. https://docs.olcf.ornl.gov/data/index.html
EBT_SITE_DRAIN_OPTIONS=(--link=200gbit)

# That BLOCK takes ranks that are not bound, and that --mpi can be left out, is unverified. With
# MPICH_GPU_SUPPORT_ENABLED=1, as applications have it, Cray MPICH "will print an error message
# and exit immediately" where its library for GPUs was not linked, as in EBT.
# https://docs.olcf.ornl.gov/systems/frontier_user_guide.html
export EBT_LAUNCHER="env MPICH_OFI_NIC_POLICY=BLOCK MPICH_GPU_SUPPORT_ENABLED=0 srun --overlap \
--cpu-bind=none --nodes=%n --ntasks=%n --ntasks-per-node=1 --kill-on-bad-exit --input=0"
