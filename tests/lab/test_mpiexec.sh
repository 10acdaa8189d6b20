#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The job script for bare mpiexec with a host file, on nodes that share nothing but the source
# and the results: stage, run, drain; stopped; killed outright and resumed under its name.
# mpiexec is told by its own variables how to reach the nodes.
. "$(dirname "$0")/lab.sh"
only_mpich
top=$(cd "$(dirname "$0")/../.." && pwd)
export USER=${USER:-root}

mkdir -p "$WORK/src" "$WORK/env/bin" "$WORK/wait"
: >"$WORK/wait/wait"
cat >"$WORK/env/bin/application" <<'X'
#!/bin/sh
echo "application $PMI_RANK on $(hostname) as $0 $*"
out=${2#--output=}
echo "begun by $PMI_RANK" >"$out/begun.$PMI_RANK"
[ -e "${1#--input=}/wait" ] || exit 0
trap 'echo "stopped $PMI_RANK" >"$out/stopped.$PMI_RANK"; exit 0' TERM
while :; do sleep 0.1; done
X
chmod 555 "$WORK/env/bin/application" "$WORK/env/bin"
for ((i = 0; i < N; i++)); do echo n$i; done >"$WORK/hosts"
echo EBT_SITE_LOCAL=/local >"$WORK/site.sh"

# job_script SOURCE INPUT [SED...]: its lines adapted as a user does
job_script() {
	sed -e "s|^SOURCE=.*|SOURCE=$1|" -e "s|^RESULTS=.*|RESULTS=$WORK/results|" \
		-e "s|\$EBT_SITE_PFS/\$USER/input|$2|" -e "s|^PROCESSES=.*|PROCESSES=2|" "${@:3}" \
		"$top/share/jobs/mpiexec.sh" >"$WORK/job.sh"
	rm -rf "$WORK/results"
}
# job ARG...: the status of the script; its pid is in $WORK/pid
# shellcheck disable=SC2016 # expanded in the node
job() {
	timeout -k 5 "$LIMIT" "$lab" exec 0 env EBT_HOSTS="$WORK/hosts" EBT_SITE="$WORK/site.sh" \
		HYDRA_LAUNCHER=ssh HYDRA_LAUNCHER_EXEC="/run/ebt-lab-$LAB/rsh" \
		UCX_TLS=tcp,self UCX_NET_DEVICES=eth0 PATH="$PATH:$BIN" \
		bash -c 'echo $$ >"$0/pid"; exec bash "$0/job.sh" "$@"' "$WORK" "$@" \
		>"$WORK/out" 2>"$WORK/err" </dev/null
}
no_stores() {
	local i
	for ((i = 0; i < N; i++)); do
		check "the store on node $i" test -z "$(on $i find /local -maxdepth 1 -name "$USER.*")"
	done
}
# results NAME...: what each rank of the application left, and nothing else
results() {
	local i name want=
	for name in "$@"; do
		for ((i = 0; i < 2 * N; i++)); do
			check "$name of rank $i" grep -q " $i\$" "$WORK/results/$name.$i"
			want+=$name.$i$'\n'
		done
	done
	check "nothing but $*" test "$(ls -A "$WORK/results" 2>&1)" = "${want%$'\n'}"
}
# begin: returns when every rank has its first output
begin() {
	local i
	job &
	pid=$!
	for ((i = 0; i < N; i++)); do
		for _ in $(seq 500); do
			[ "$(on $i sh -c 'ls /local/*/out/begun.* 2>/dev/null' | wc -l)" = 2 ] && break
			sleep 0.01
		done
	done
}

job_script "$WORK/env" "$WORK/src"
job || { fail "the status"; show; }
for ((i = 0; i < 2 * N; i++)); do
	check "application of rank $i" grep -q "^application $i on n$((i / 2)) as /local/$USER.*/application" \
		"$WORK/out"
done
results begun
no_stores

job_script "$WORK/none" "$WORK/src"
job
check "status without its source" test $? -eq 1
says "none: stat: No such file or directory"
check "no application without its input" test -z "$(grep ^application "$WORK/out")"
no_stores

# Its own time limit, then a signal.
job_script "$WORK/env" "$WORK/wait" -e 's|^LAST=.*|LAST=3s|'
job
check "status of an application that was stopped" test $? -eq 124
results begun stopped
no_stores
job_script "$WORK/env" "$WORK/wait"
begin
kill -TERM "$(cat "$WORK/pid")"
wait $pid
check "status of a run that was stopped" test $? -eq 143
results begun stopped
no_stores

# Killed outright: nothing is drained, and a second run under its name brings it.
begin
rm -rf "$WORK/results"
kill -KILL "$(cat "$WORK/pid")"
# shellcheck disable=SC2016 # expanded in the node
for ((i = 0; i < N; i++)); do
	on $i sh -c 'for p in /proc/[0-9]*; do
		[ "$(readlink "$p/ns/net")" = "$(readlink /proc/self/ns/net)" ] || continue
		grep -qs -e mpiexec.hydra -e "^mpiexec" -e hydra_pmi -e bin/application "$p/cmdline" &&
			kill -KILL "${p#/proc/}"
	done'
done 2>/dev/null
wait $pid 2>/dev/null
check "status of a run that was killed" test $? -ne 0
check "nothing is drained then" test ! -e "$WORK/results"
name=$(sed -n 's/^if killed: EBT_HOSTS=.* resume //p' "$WORK/out")
check "it told its name" test -n "$name"
job resume "$name" || { fail "resume"; show; }
results begun
no_stores
job resume "$name"
check "resume of what is not there" test $? -eq 1
job resume
check "resume without a name" test $? -eq 1
says "resume which run"

# A status of 0 alone removes no store.
job_script "$WORK/env" "$WORK/src"
PATH=$(liar):$PATH job
check "status of a run whose drain did nothing" test $? -eq 1
says "not all drained; on n0 n1"
name=$(sed -n 's/^if killed: EBT_HOSTS=.* resume //p' "$WORK/out")
PATH=$(liar):$PATH job resume "$name"
check "status of a second run whose drain did nothing" test $? -eq 1
job resume "$name" || { fail "resume"; show; }
results begun
no_stores
check "nothing is left beside the results" test -z "$(ls -d "$WORK"/results.* 2>/dev/null)"
finish
