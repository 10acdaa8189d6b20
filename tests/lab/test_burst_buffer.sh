#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# share/jobs/slurm under a real Slurm with its burst_buffer/lua plugin, for a job of a user who
# is not root: directives are checked, stores are made and filled before the job, outputs are
# drained after it, also after one that was killed, before its nodes are free; then the stores go.
. "$(dirname "$0")/lab.sh"
only_mpich
top=$(cd "$(dirname "$0")/../.." && pwd)
slurm=$top/bench/slurm
timeout -k 5 60 "$slurm" check 2>"$WORK/err"
case $? in
0) ;;
77) skip "$(cat "$WORK/err")" ;;
*) cat "$WORK/err" >&2; exit 99 ;;
esac
plugins=$(find /usr/lib* /usr/local/lib* -name burst_buffer_lua.so -print -quit 2>/dev/null)
[ -n "$plugins" ] || skip "this Slurm has no burst_buffer_lua.so"
command -v setpriv >/dev/null || skip "no setpriv (package util-linux)"
lab_end() {
	timeout -k 5 60 "$slurm" down
	cleanup
}
user=65534
setpriv --reuid=$user --regid=$user --init-groups true || skip "no user $user with groups"

# What an administrator adapts: where things are, how nodes are reached.
state=/run/ebt-slurm-$LAB
mkdir "$WORK/conf" "$WORK/bin" "$WORK/out.d"
chmod 755 "$WORK"
cp "$BIN/ebt-stage" "$BIN/ebt-drain" "$WORK/bin/"
chown $user "$WORK/out.d"
cp "$top"/share/jobs/slurm/*.sh "$WORK/conf/"
chmod 755 "$WORK"/conf/*.sh
sed -i 's/^patience=.*/patience=60/' "$WORK/conf/epilog.sh"
sed -e "s|^local scripts = .*|local scripts = \"$state\"|" \
	-e "s|^local launch = .*|local launch = {\"env\", \"-i\", \"PATH=$WORK/bin:/usr/bin:/bin\", \"UCX_TLS=tcp,self\", \"UCX_NET_DEVICES=eth0\", \"$("$LAUNCH" --mpiexec)\", \"-launcher\", \"ssh\", \"-launcher-exec\", \"/run/ebt-lab-$LAB/rsh\"}|" \
	"$top/share/jobs/slurm/burst_buffer.lua" >"$WORK/conf/burst_buffer.lua"
cat >"$WORK/conf/slurm.conf" <<X
BurstBufferType=burst_buffer/lua
Prolog=$state/prolog.sh
Epilog=$state/epilog.sh
X
SLURM_LAB_CONF=$WORK/conf timeout -k 5 120 "$slurm" up "$N" 200mbit || exit 99

mkdir -p "$WORK/src/env"
make_tree "$WORK/src/env/tree"
# Of the user, so that everything about it can be kept.
chown -hR $user:$user "$WORK/src"
chmod -R a+rX "$WORK/src"
# submit DIRECTIVES COMMANDS: as the user; status of sbatch. Prints the job's number.
submit() {
	printf '#!/bin/bash\n#SBATCH -N %d\n#SBATCH -o %s/out.d/said\n%s\n%s\n' "$N" "$WORK" "$1" "$2" >"$WORK/job.sh"
	rm -f "$WORK/out.d/said"
	timeout -k 5 "$LIMIT" "$slurm" run setpriv --reuid=$user --regid=$user --init-groups \
		sbatch --parsable -D / "$WORK/job.sh" 2>"$WORK/err" </dev/null
}
squeue() {
	timeout -k 5 60 "$slurm" run squeue "$@"
}
# gone JOB: waits until Slurm has nothing to do for it any more
gone() {
	for _ in $(seq 600); do
		[ -n "$(squeue -h -t PD,CF,R,CG,SO -j "$1" -o %i 2>/dev/null)" ] || return 0
		sleep 0.1
	done
	fail "job $1 does not end"
	timeout -k 5 60 "$slurm" run scontrol show job "$1" >&2
	echo "what runs:" >&2
	on 0 ps -eo pid,ppid,etime,stat,wchan:20,args --forest | grep -v '\[' | tail -60 >&2
	tail -40 "$state/slurmctld.log" >&2
}
no_stores() {
	local i
	for ((i = 0; i < N; i++)); do
		check "$1: node $i has no store" test -z "$(on $i ls -A /local/ebt)"
	done
}
# refused DIRECTIVES
refused() {
	check "refused: $1" test -z "$(submit "$1" true)"
	says "$2"
}
refused '#BB_LUA ebt stage=relative' 'not understood: stage=relative'
# shellcheck disable=SC2016 # must not be expanded
refused '#BB_LUA ebt stage=/a drain=/b/$(touch${IFS}/tmp/owned)' 'not understood: drain='
refused "#BB_LUA ebt stage=/a'b" "not understood: stage=/a'b"
refused '#BB_LUA ebt stage=/a/../../etc' 'not understood: stage='
refused '#BB_LUA ebt drain=/a drain=/b' 'not understood: drain=/b'
refused '#BB_LUA ebt drain=/a conflict=rror' 'not understood: conflict=rror'
refused '#BB_LUA ebt stage=/a --overwrite=always' 'not understood: --overwrite'
refused '#BB_LUA ebt' 'neither stage= nor drain='

# The good case; its prolog and its epilog are those of real nodes.
# shellcheck disable=SC2016 # expanded in the job
job=$(submit "#BB_LUA ebt stage=$WORK/src/env drain=$WORK/out.d/results.%j" \
	'srun sh -c '\''bash '"$WORK"'/list.sh "$EBT_STORE/env" | sha256sum; stat -c %u:%a "$EBT_STORE" "$EBT_STORE/env";
	echo "by $(hostname)" >"$EBT_STORE/out/of.$(hostname)"'\')
check "submitted" test -n "$job"
gone "$job"
cp "$WORK/out.d/said" "$WORK/err"
want=$(bash "$WORK/list.sh" "$WORK/src/env" | sha256sum)
for ((i = 0; i < N; i++)); do
	check "output of node $i" grep -qx "by n$i" "$WORK/out.d/results.$job/of.n$i"
done
check "nothing but outputs" test "$(find "$WORK/out.d/results.$job" -type f | wc -l)" = "$N"
check "outputs are the user's" test -z "$(find "$WORK/out.d/results.$job" ! -uid $user)"
check "the store is the user's alone" test "$(grep -c "^$user:700\$" "$WORK/err")" = "$N"
check "all nodes have what was staged" test "$(grep -c "^$want\$" "$WORK/err")" = "$N"
no_stores "after a good job"

# No file that the user may not read.
mkdir "$WORK/src/secret"
chmod 700 "$WORK/src/secret"
job=$(submit "#BB_LUA ebt stage=$WORK/src/secret" "echo ran")
for _ in $(seq 300); do
	reason=$(squeue -h -j "$job" -o '%t %r')
	case $reason in "PD "*pre_run*) break ;; esac
	sleep 0.1
done
check "a job that cannot stage is held: $reason" test "$reason" != "${reason/#PD *pre_run/}"
check "the log says why" grep -q "ebt-stage: .*secret.*Permission denied" "$state/slurmctld.log"
timeout -k 5 60 "$slurm" run scancel "$job"
gone "$job"
check "it did not run" test ! -e "$WORK/out.d/said"

# Killed outright, without a trap of its own: what is there is drained nevertheless, and the
# nodes are not free before.
# shellcheck disable=SC2016 # expanded in the job
job=$(submit "#BB_LUA ebt drain=$WORK/out.d/results.%j" \
	'srun sh -c '\''head -c 8000000 /dev/zero | tr "\0" x >"$EBT_STORE/out/of.$(hostname)"; touch '"$WORK"'/out.d/ready.$(hostname); sleep 300'\')
for _ in $(seq 300); do
	[ "$(find "$WORK/out.d" -name 'ready.*' | wc -l)" = "$N" ] && break
	sleep 0.1
done
timeout -k 5 60 "$slurm" run scancel "$job"
next=$(submit "" "ls -A /local/ebt")
gone "$job"
for ((i = 0; i < N; i++)); do
	check "output of node $i of a killed job" test "$(stat -c %s "$WORK/out.d/results.$job/of.n$i")" = 8000000
done
gone "$next"
check "the next job comes after the drain" test "$(cat "$WORK/out.d/said")" = "$next"
no_stores "after a killed job"

# Links that point out of the store are not followed when it goes, names are not reused.
mkdir -p "$WORK/precious/deep"
: >"$WORK/precious/deep/file"
chmod -R 777 "$WORK/precious"
# shellcheck disable=SC2016 # expanded in the job
job=$(submit "" 'srun sh -c '\''cd /local/ebt/$SLURM_JOB_ID && ln -s '"$WORK"'/precious link && mkdir -p a/b && rm -rf out && ln -s '"$WORK"'/precious out && chmod 0 a'\')
gone "$job"
check "what links point to" test -e "$WORK/precious/deep/file"
no_stores "with links"
check "a store cannot be made beside them" test -z \
	"$(on 0 setpriv --reuid=$user --regid=$user --clear-groups mkdir /local/ebt/999 2>/dev/null && echo made)"

# A drain of which the launcher says 0 and that did nothing, as one that is stopped too early: the
# store stays.
mv "$WORK/bin/ebt-drain" "$WORK/ebt-drain"
cp "$(liar)/ebt-drain" "$WORK/bin/ebt-drain"
# shellcheck disable=SC2016 # expanded in the job
job=$(submit "#BB_LUA ebt drain=$WORK/out.d/nothing" \
	'srun sh -c '\''echo "by $(hostname)" >"$EBT_STORE/out/of.$(hostname)"'\')
for _ in $(seq 300); do
	[ -n "$(on 0 ls -d "/local/ebt/.kept.$job" 2>/dev/null)" ] && break
	sleep 0.1
done
for ((i = 0; i < N; i++)); do
	check "the store of node $i stays without proof" on $i test -e "/local/ebt/$job/out/of.n$i"
	on $i rm -rf "/local/ebt/$job" "/local/ebt/.kept.$job"
done
check "the log says why" grep -q "nothing proves that all was done" "$state/slurmctld.log"
timeout -k 5 60 "$slurm" run scancel --hurry "$job" 2>/dev/null
mv "$WORK/ebt-drain" "$WORK/bin/ebt-drain"

# A drain that fails: the store stays, and a drain by hand brings the rest.
mkdir "$WORK/out.d/closed"
# shellcheck disable=SC2016 # expanded in the job
job=$(submit "#BB_LUA ebt drain=$WORK/out.d/closed/results" \
	'srun sh -c '\''echo "by $(hostname)" >"$EBT_STORE/out/of.$(hostname)"'\')
for _ in $(seq 300); do
	[ -n "$(on 0 ls -d "/local/ebt/.kept.$job" 2>/dev/null)" ] && break
	sleep 0.1
done
for ((i = 0; i < N; i++)); do
	check "the store of node $i stays" on $i test -e "/local/ebt/$job/out/of.n$i"
done
chown $user "$WORK/out.d/closed"
timeout -k 5 60 "$slurm" run scancel --hurry "$job" 2>/dev/null
sed 's/^#SBATCH --time.*//' "$top/share/jobs/slurm-resume.sh" >"$WORK/resume.sh"
PATH=$WORK/bin:$PATH timeout -k 5 "$LIMIT" "$slurm" run setpriv --reuid=$user --regid=$user --init-groups \
	sbatch --wait -N "$N" -D / -o "$WORK/out.d/said" "$WORK/resume.sh" "/local/ebt/$job" \
	"$WORK/out.d/closed/results" >"$WORK/out" 2>"$WORK/err" </dev/null
for ((i = 0; i < N; i++)); do
	check "resumed output of node $i" grep -qx "by n$i" "$WORK/out.d/closed/results/of.n$i"
done
for _ in $(seq 100); do
	[ -z "$(on $((N - 1)) ls -A /local/ebt)" ] && break
	sleep 0.1
done
no_stores "after the resumed drain"
finish
