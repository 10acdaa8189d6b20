# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2034 # whoever sources this uses the variables
#
# Perlmutter, National Energy Research Scientific Computing Center (NERSC). Sourced by the
# scripts of share/ebt/jobs:
#
#   sbatch -A PROJECT -C cpu --export=ALL,EBT_SITE=PREFIX/share/ebt/sites/perlmutter.sh slurm.sh
#
# Each value has its source, or says "unverified". Nothing here was run on the machine. Pages
# were read as stored copies of unknown age.
#
# nodes     3,072 with CPUs alone and 512 GB of DRAM, 1,792 with GPUs and 256 GB.
#           https://docs.nersc.gov/systems/perlmutter/architecture
#           https://docs.nersc.gov/beginner-guide/nodetypesfig
#           The longest time of a job is unverified: see https://docs.nersc.gov/jobs/policy/
# network   HPE Slingshot 11: "each CPU-only compute node is connected to 1 NIC", each with GPUs
#           to 4. EBT has one rank a node and uses one: --link is the rate of that one.
#           https://docs.nersc.gov/systems/perlmutter/architecture
# MPI       Build with Cray MPICH, CC=cc. Cray MPICH keeps the binary interface of MPICH.
#           https://github.com/eth-cscs/sarus (doc/user/abi_compatibility.rst)
# the end   In /dev/shm "data is purged after every job is completed", so no second job can bring
#           it: set WATCH in the job script. https://docs.nersc.gov/performance/io/dev-shm/
#           For the signal ahead of the time limit: Slurm's --signal, see sbatch(1).

# The directory above your own: $PSCRATCH is "/pscratch/sd/FirstLetterOfUserName/YourUserName".
# All flash, 298 OSTs. https://docs.nersc.gov/filesystems/perlmutter-scratch/
EBT_SITE_PFS=/pscratch/sd/${USER:0:1}

# Nodes have no disk that the pages know of. Memory: "by default the storage space reserved to
# tmpfs is half the physical RAM installed". What is in it is missing for the application.
# https://docs.nersc.gov/performance/io/dev-shm/
EBT_SITE_LOCAL=/dev/shm

# One NIC. That it has 200 Gb/s is what OLCF says of the same one: unverified for Perlmutter.
# https://docs.olcf.ornl.gov/systems/frontier_user_guide.html
EBT_SITE_STAGE_OPTIONS=(--link=200gbit)

# What stripe_large sets, the widest of NERSC's own commands: 72, for files from 100 GB on.
# Files have one stripe by default. https://docs.nersc.gov/performance/io/lustre/
EBT_SITE_DRAIN_OPTIONS=(--link=200gbit --max-stripe-count=72)

# srun is the launcher of https://docs.nersc.gov/jobs/; that --mpi can be left out is unverified,
# and so are the two variables of Cray MPICH, which are those of frontier.sh.
export EBT_LAUNCHER="env MPICH_OFI_NIC_POLICY=BLOCK MPICH_GPU_SUPPORT_ENABLED=0 srun --overlap \
--cpu-bind=none --nodes=%n --ntasks=%n --ntasks-per-node=1 --kill-on-bad-exit --input=0"
