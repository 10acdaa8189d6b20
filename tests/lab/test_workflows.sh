#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# share/jobs/workflows: the Snakefile runs on emulated nodes, with mpiexec in place of srun; what
# the Parsl app hands to bash runs there too, with a stand-in for Parsl. The Nextflow process is
# not run.
. "$(dirname "$0")/lab.sh"
top=$(cd "$(dirname "$0")/../.." && pwd)
flows=$top/share/jobs/workflows
export USER=${USER:-root} PATH=$PATH:$BIN

mkdir -p "$WORK/scratch/env/bin" "$WORK/scratch/cases/a" "$WORK/scratch/cases/b" "$WORK/bin"
echo "case a" >"$WORK/scratch/cases/a/input"
echo "case b" >"$WORK/scratch/cases/b/input"
cat >"$WORK/scratch/env/bin/application" <<'X'
#!/bin/sh
[ ! -e "${1#--input=}/fail" ] || exit 7
{ cat "${1#--input=}/input"; hostname; } >"${2#--output=}/of.$EBT_RANK"
X
chmod 755 "$WORK/scratch/env/bin/application"
# Reaches the nodes as srun would; further options of srun that are named here are taken.
cat >"$WORK/bin/srun" <<X
#!/bin/bash
tasks=$N
while [[ \$1 == -* ]]; do
	case \$1 in
	-n | --ntasks | --nodes) [[ \$1 == --nodes ]] || tasks=\$2; shift ;;
	--ntasks=*) tasks=\${1#*=} ;;
	--nodelist | --ntasks-per-node) shift ;;
	--mpi=list) echo pmi2; exit ;;
	--overlap | --cpu-bind=none | --mpi=pmi2 | --kill-on-bad-exit | --ntasks-per-node=1) ;;
	--kill-on-bad-exit=1 | --nodes=$N | --export=ALL | --input=0 | --quiet) ;;
	*) echo "srun: \$1" >&2; exit 2 ;;
	esac
	shift
done
exec env PPN=\$((tasks / $N)) "$lab" mpi $N "\$@" </dev/null
X
chmod 755 "$WORK/bin/srun"
PATH=$WORK/bin:$PATH
no_stores() {
	local i
	for ((i = 0; i < N; i++)); do
		check "$1: the store on node $i" test -z "$(on $i ls -A /local)"
	done
}
# results DIRECTORY TEXT RANKS
results() {
	local i
	for ((i = 0; i < $3; i++)); do
		check "$1: of rank $i" test "$(cat "$1/of.$i")" = "$2"$'\n'"n$((i / ($3 / N)))"
	done
	check "$1: nothing else" test "$(find "$1" -type f ! -name .snakemake_timestamp | wc -l)" = "$3"
}

command -v python3 >/dev/null || skip "no python3"
python3 - "$flows/parsl_nodes.py" "$WORK/scratch" >"$WORK/app.sh" 2>"$WORK/err" <<'X' || { fail "the Parsl app"; cat "$WORK/err" >&2; }
import sys, types

class Anything(types.ModuleType):
    def __getattr__(self, name):
        return (lambda app: app) if name == "bash_app" else lambda **kw: kw

for name in ("parsl", "parsl.config", "parsl.executors", "parsl.launchers", "parsl.providers"):
    sys.modules[name] = Anything(name)
source = {"__name__": "parsl_nodes"}
exec(compile(open(sys.argv[1]).read(), sys.argv[1], "exec"), source)
assert source["config"]()["executors"][0]["mpi_launcher"] == "srun"
s = sys.argv[2]
print(source["simulate"](s + "/env", s + "/cases/a", s + "/of parsl", local="/local"))
X
SLURM_JOB_ID=7 PARSL_NUM_NODES=$N \
	PARSL_MPI_PREFIX="srun --ntasks $((2 * N)) --ntasks-per-node 2 --nodelist n0,n1 --nodes $N" \
	timeout -k 5 "$LIMIT" bash "$WORK/app.sh" >"$WORK/out" 2>"$WORK/err" </dev/null || { fail "the Parsl app"; show; }
results "$WORK/scratch/of parsl" "case a" $((2 * N))
no_stores Parsl

# A status of 0 alone does not make it done.
CHECKS=$((CHECKS + 1))
PATH=$(liar):$PATH SLURM_JOB_ID=7 PARSL_NUM_NODES=$N \
	PARSL_MPI_PREFIX="srun --ntasks $((2 * N)) --ntasks-per-node 2 --nodelist n0,n1 --nodes $N" \
	timeout -k 5 "$LIMIT" bash "$WORK/app.sh" >"$WORK/out" 2>"$WORK/err" </dev/null && fail "the Parsl app, not drained"
no_stores "Parsl, not drained"
check "Parsl: nothing is left beside the results" test -z "$(ls -d "$WORK"/scratch/*.done* 2>/dev/null)"

if ! command -v snakemake >/dev/null; then
	echo "the Snakefile is not run: no snakemake (package snakemake)"
	finish
fi
# snakemake [ARG...]: in a folder of its own, which takes its notes
snakemake() {
	HOME=$WORK SLURM_JOB_ID=7 SLURM_NNODES=$N timeout -k 5 "$LIMIT" snakemake --snakefile "$flows/Snakefile" -d "$WORK" --cores 1 \
		--config scratch="$WORK/scratch" local=/local "$@" \
		--set-resources simulate:tasks=$((2 * N)) >"$WORK/out" 2>"$WORK/err" </dev/null
}
snakemake || { fail "snakemake"; show; }
results "$WORK/scratch/results/a" "case a" $((2 * N))
results "$WORK/scratch/results/b" "case b" $((2 * N))
no_stores snakemake
# A case that fails leaves no results, and its store goes.
mkdir "$WORK/scratch/cases/c"
: >"$WORK/scratch/cases/c/fail"
check "a case that fails" test "$(snakemake cases=c; echo $?)" = 1
check "has no results" test ! -e "$WORK/scratch/results/c"
no_stores "snakemake, failed"
check "a drain that did nothing" test "$(PATH=$(liar):$PATH snakemake cases=a --forceall; echo $?)" = 1
check "snakemake: nothing is left beside the results" test -z "$(ls -d "$WORK"/scratch/results/*.done* 2>/dev/null)"
no_stores "snakemake, not drained"
finish
