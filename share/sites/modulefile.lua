-- SPDX-License-Identifier: BSD-3-Clause
-- For Lmod: as ebt/@VERSION@.lua below a directory of MODULEPATH. Add what the commands were
-- built with, for example depends_on("mpich"): the MPI of a job has to be that one.
help([[
EBT stages files to the local storage of all nodes of a job, and drains outputs from there.
See ebt(7), ebt-stage(1) and ebt-drain(1); job scripts are in @DATADIR@/ebt/jobs,
values for some machines in @DATADIR@/ebt/sites.
]])
whatis("Name: EBT")
whatis("Version: @VERSION@")
whatis("Description: Efficient Bulk Transfer between parallel file systems and node-local storage")

prepend_path("PATH", "@BINDIR@")
prepend_path("MANPATH", "@MANDIR@")
