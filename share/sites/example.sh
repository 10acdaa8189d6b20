# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2034 # whoever sources this uses the variables
#
# How to write such a file for your site: copy this one, and put in place of what it finds out
# what your site says. The scripts of share/ebt/jobs source the file that EBT_SITE names, under
# `set -eu` and on the first node of the job:
#
#   sbatch --export=ALL,EBT_SITE=$HOME/site.sh slurm.sh
#   qsub -v EBT_SITE=$HOME/site.sh pbs.sh
#
# It sets the variables below and nothing else, and prints nothing. At each one write
# where the value is from, with the address of the page, or "unverified": whoever uses the file
# after you can then tell a rule of the site from a guess. Here all of them are unverified, for
# they are found out on the spot.
#
# Worth a line in the head of the file:
#   nodes     how many, their memory, the longest time of a job
#   network   links of a node, and the rate of one. EBT has one rank a node, which uses one NIC:
#             with several of them --link is what this one rank can reach, not their sum
#   MPI       what to build with, so that the launcher's ranks find each other: `ebt-stage
#             --version` names the MPI of the build, and a wrong one says "started as one rank"
#   the end   whether node-local storage outlives the job. If it does, SCHEDULER-resume.sh can
#             bring what a killed job left; if not, set WATCH in the job script

# Where the scripts look for $EBT_SITE_PFS/$USER/env, and where results go: the directory above
# your own on the scratch file system. unverified: taken from $SCRATCH, which many sites set
EBT_SITE_PFS=$(dirname "${SCRATCH:-/scratch/$USER}")

# A directory on each node where you may write: NVMe, an SSD, or memory as /dev/shm. What has to
# be asked for at submission, as -C nvme, belongs into a comment here. unverified
EBT_SITE_LOCAL=${TMPDIR:-/tmp}

# For ebt-stage. --link is a node's rate for the cost model; left out, ebt-stage looks at the
# node's fastest interface. --no-xattrs where the store is a tmpfs of before Linux 6.6 and the
# source has user attributes. --readers=N where the file system gives one client less than
# 1 GB/s. unverified: nothing has to be said
EBT_SITE_STAGE_OPTIONS=()

# For ebt-drain, --link too. --max-stripe-count is the site's rule for the stripes of one file;
# --rate what all nodes together may write, to leave something to others; --ost-rate and
# --mds-rate if you know them. Where the site wants no layouts but its own, write `env
# EBT_PFS=plain` in front of the launcher below.
# unverified: a quarter of the storage targets, where there is `lfs` and it knows of any
mapfile -t EBT_SITE_DRAIN_OPTIONS < <(lfs df "$EBT_SITE_PFS" 2>/dev/null | awk '
	/\[OST:[0-9]+\]/ { n++ }
	END { if (n) print "--max-stripe-count=" (n < 8 ? 1 : int(n / 4)) }')

# The commands start themselves, one rank on each node: by srun, flux or the mpiexec of their MPI;
# `ebt-stage -v` shows how. Only where that does not fit the site, say here what does, in words
# between blanks: %n becomes the number of nodes, %f under PBS a file with their names.
# unverified: nothing has to be said
# export EBT_LAUNCHER="env IBRUN_TASKS_PER_NODE=1 ibrun -n %n -o 0"

# And what runs a program once on each node, for mkdir and rm, where the script's own line does not.
# unverified: nothing has to be said
# EBT_SITE_EACH_NODE=(mpiexec -n "$(sort -u "$PBS_NODEFILE" | wc -l)" -ppn 1)
