#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A file of hosts in EBT_HOSTS is all it takes: the mpiexec of the MPI at hand, whichever it is, starts
# the command on nodes that share nothing but the source; results, lists, statuses and stop signals
# come and go as if one process did it.
. "$(dirname "$0")/lab.sh"
for ((i = 0; i < N; i++)); do echo n$i; done >"$WORK/hosts"
mkdir "$WORK/src" "$WORK/big"
make_tree "$WORK/src/tree"
for i in $(seq 20); do head -c 5000000 /dev/urandom >"$WORK/big/f$i"; done
rsh=/run/ebt-lab-$LAB/rsh
self=("$lab" exec 0 env EBT_HOSTS="$WORK/hosts" UCX_TLS=tcp,self UCX_NET_DEVICES=eth0
	HYDRA_LAUNCHER=ssh HYDRA_LAUNCHER_EXEC="$rsh" OMPI_MCA_plm_rsh_agent="$rsh"
	OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_mpi_yield_when_idle=1
	OMPI_MCA_btl_tcp_if_include=eth0 OMPI_MCA_oob_tcp_if_include=eth0
	OMPI_MCA_pml=ob1 OMPI_MCA_btl=self,vader,tcp OMPI_MCA_btl_vader_single_copy_mechanism=none)

# alone STATUS COMMAND ARG...: on the first node, without a launcher
alone() {
	local want=$1 got
	shift
	CHECKS=$((CHECKS + 1))
	timeout -k 5 "$LIMIT" "${self[@]}" "$@" >"$WORK/out" 2>"$WORK/err" </dev/null
	got=$?
	[ "$got" -eq "$want" ] && return 0
	fail "exit status $got, not $want: $*"
	show
}
alone 0 "$STAGE" -v --link="$RATE" "$WORK/src/." /local/job
says "by EBT_HOSTS: $("$LAUNCH" --mpiexec) "
says "on $N nodes"
same_on_nodes "$WORK/src" /local/job
alone 0 "$STAGE" --verify /local/job
for ((i = 0; i < N; i++)); do
	on $i sh -c "mkdir /local/job/out && echo $i >/local/job/out/of.$i"
done
alone 0 "$BIN/ebt-drain" --link="$RATE" /local/job "$WORK/results"
for ((i = 0; i < N; i++)); do
	is "output of node $i" $i "$(cat "$WORK/results/out/of.$i")"
done
clear_nodes
alone 1 "$STAGE" "$WORK/none" /local/job
says "none: stat: No such file or directory (rank 0 on n0"
nothing_on_nodes

CHECKS=$((CHECKS + 1))
printf '%s\n' "$WORK/src/tree/many/f1" | timeout -k 5 "$LIMIT" "${self[@]}" "$STAGE" --files-from=- /local/job \
	>"$WORK/out" 2>"$WORK/err" || { fail "a list from standard input"; show; }
check "what it named" on $((N - 1)) cmp "$WORK/src/tree/many/f1" /local/job/f1
clear_nodes

# Each name several times, as PBS writes them.
sed p "$WORK/hosts" >"$WORK/twice"
alone 0 env -u EBT_HOSTS PBS_NODEFILE="$WORK/twice" PBS_JOBID=7 "$STAGE" "$WORK/src/tree/many/f1" /local/job
says "on $N nodes"
clear_nodes

# Stopped while content is on its way: the process that was started is told, and all end in order.
timeout -k 5 "$LIMIT" "${self[@]}" sh -c 'echo $$ >"$0" && exec "$@"' "$WORK/pid" \
	"$STAGE" --link="$RATE" "$WORK/big/." /local/job >"$WORK/out" 2>"$WORK/err" </dev/null &
job=$!
for _ in $(seq 1000); do
	[ -n "$(on $((N - 1)) sh -c 'ls /local/job/.ebt/incoming/*/tree/f* 2>/dev/null')" ] && break
	sleep 0.01
done
kill -TERM "$(cat "$WORK/pid")"
wait $job
is "status after TERM" 1 $?
says "Terminated: winding down"
says "stopped by signal 10"
for ((i = 0; i < N; i++)); do
	check "store of a stopped run on node $i" on $i test ! -e /local/job
done

finish
