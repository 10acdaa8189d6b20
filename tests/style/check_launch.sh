#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A machine may have several MPIs. Scripts start programs by the `launch` of a build and compile
# by the mpicc that it names; ranks know their number from EBT_RANK. Job scripts, which are for
# one MPI, have tests of their own that say so (only_mpich).
set -eu
cd "$1"
bad=0
for f in share/demo share/test $(find tests bench -type f \( -name '*.sh' -o -perm -u+x \)) \
	$(find tests -name '*.c'); do
	! grep -q '^only_mpich$' "$f" || continue
	grep -nE '^([^#]*[ (|;!])?((mpiexec|mpirun|mpicc)[a-z.]* +-|.*([{$]|getenv[(]")PMI_RANK)' "$f" | grep -v 'sed \|launches ' |
		sed "s|^\([0-9]*\):|$f:\1: not by launch: |" | grep . && bad=1
done
exit $bad
