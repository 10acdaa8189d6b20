# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# shellcheck disable=SC2016,SC2034,SC2153,SC2154 # who sources it has the other half of the names
#
# The ways of bringing a file, a tree or an executable with its libraries to all nodes, as
# commands to be run in one allocation of a real Slurm on an emulated cluster with an emulated
# Lustre. Sourced by bench/compare and bench/failures, which call, in this order:
#
#   ways_build BUILD DIR      programs into DIR, which stays until the end
#   cluster_up N RATE         nodes, Slurm, an allocation of all, Lustre at $pfs in each
#   ways_find                 absent[WAY]: why a way cannot run here; all others can
#   pfs_forget                before a cold run: no client knows anything, counters at zero
#   clean_nodes FOLDER        empty on every node; /local/NAME
#   way_command WAY KIND SOURCE FOLDER
#                             cmd=(...): brings SOURCE to FOLDER/${SOURCE##*/}
#   "${in_job[@]}" "${cmd[@]}"
#                             runs it in n0, like the script of a job. The process becomes
#                             the command, so that a signal reaches it
#   way_run WAY KIND SOURCE FOLDER SECONDS
#                             both, measured: see there
#   original KIND PATH        what arrives is compared with this
#   nodes_check KIND FOLDER/NAME
#                             equal=NODES, not_kept=WORDS
#   cluster_down              all of it, also what a failure left; none is fine
#
# A KIND is file, tree, archive or exe. An archive is one of a tree with the name of the archive
# up to its first dot, which is what arrives. An exe is a folder with bin/app and its libraries in lib/; its
# command also runs it once on every node, from FOLDER, so that all ways end at the same point.
# Callers have $here (this folder) and set
# LAB and EMUL; a signal they handle should end in cluster_down.
#
# MPI programs run under srun --mpi=pmi2: MPICH's own PMI-1 client and Slurm's server of it
# meet there. --mpi=none would start N jobs of one rank, pmix is not in Debian's MPICH.

ways=(ebt-stage ebt-stage-none sbcast sbcast-F2 sbcast-F4 sbcast-F8 sbcast-lz4 srun-bcast
	mpibcast mpibcast-binomial mpibcast-doubling mpibcast-ring mpibcast-chain mpibcast-tree
	tar+mpibcast tar+sbcast tar+sbcast-lz4 mpibcast+untar direct dbcast python-mpi-bcast spindle pdcp)
declare -A labels=(
	[ebt-stage]="ebt-stage"
	[ebt-stage-none]="ebt-stage --compress=none"
	[sbcast]="sbcast"
	[sbcast-F2]="sbcast --fanout=2"
	[sbcast-F4]="sbcast --fanout=4"
	[sbcast-F8]="sbcast --fanout=8"
	[sbcast-lz4]="sbcast --compress=lz4"
	[srun-bcast]="srun --bcast --send-libs"
	[mpibcast]="mpibcast, MPICH's choice"
	[mpibcast-binomial]="mpibcast, binomial"
	[mpibcast-doubling]="mpibcast, scatter + recursive doubling"
	[mpibcast-ring]="mpibcast, scatter + ring"
	[mpibcast-chain]="mpibcast, chain of 1 MiB"
	[mpibcast-tree]="mpibcast, binary tree of 1 MiB"
	[tar+mpibcast]="tar, mpibcast, untar"
	[tar+sbcast]="tar, sbcast, untar"
	[tar+sbcast-lz4]="tar, sbcast --compress=lz4, untar"
	[mpibcast+untar]="mpibcast of the archive, untar"
	[direct]="every node reads the PFS"
	[dbcast]="dbcast"
	[python-mpi-bcast]="python-mpi-bcast"
	[spindle]="Spindle"
	[pdcp]="pdcp"
)

# --- the cluster ----------------------------------------------------------------------------

lab=$here/lab
slurm=$here/slurm
emul=$here/emulated-lustre
pfs=/lustre
# Few and fast OSTs: the emulated clients read nothing ahead, so that one that reads in
# sequence gets the rate of one OST. This one is more than the link of a node carries.
osts=${WAYS_OSTS:-4} ost_rate=${WAYS_OST_RATE:-40M}
model=(--osts "$osts" "ost-rate=$ost_rate" mds-rate=5000 mds-latency=500us handover=5ms
	stripe-size=1M)
peaks=
in_job=() pfs_env=()
child=

cluster_check() {
	"$slurm" check || return
	"$emul" check || return
	local tool
	for tool in jq meson cc salloc tar; do
		command -v "$tool" >/dev/null || {
			echo "skipped: no $tool (packages jq, meson, gcc, slurm-client, tar)" >&2
			return 77
		}
	done
}

# ways_build BUILD DIR: a copy of what is in BUILD, so that a rebuild changes nothing
ways_build() {
	local build=$1
	ways_dir=$2
	if [[ ! -x $build/src/cmd/ebt-stage || ! -x $build/bench/lustre/emulated-lustre-server ]]; then
		echo "building ebt-stage" >&2
		build=$ways_dir/build
		{
			meson setup --buildtype=release "$build" "$here/.." &&
				meson compile -C "$build" src/cmd/ebt-stage \
					bench/lustre/emulated-lustre-server
		} >"$ways_dir/log" 2>&1 || {
			tail -n 20 "$ways_dir/log" >&2
			return 1
		}
	fi
	cp "$build/src/cmd/ebt-stage" "$build/src/cmd/launch" \
		"$build/bench/lustre/emulated-lustre-server" "$ways_dir"
	program=$ways_dir/ebt-stage
	export EMUL_SERVER=$ways_dir/emulated-lustre-server EBT_LAUNCH=$ways_dir/launch
	# See above: Slurm starts it, and the algorithms of the control are MPICH's.
	[[ $("$EBT_LAUNCH" --mpi) == mpich ]] || {
		echo "$build was not built with MPICH" >&2
		return 1
	}
	local mpicc
	mpicc=$("$EBT_LAUNCH" --mpicc) || return
	"$mpicc" -O2 -D_GNU_SOURCE -o "$ways_dir/control_bcast" "$here/control_bcast.c"
	cc -O2 -D_GNU_SOURCE -o "$ways_dir/peak_rss" "$here/peak_rss.c"
}

# cluster_up N RATE: the observer's mount is $seen
cluster_up() {
	local said
	nodes=$1 link=$2
	seen=$ways_dir/seen
	mkdir -p "$seen"
	"$slurm" up "$nodes" "$link" </dev/null || return
	pfs_new || return
	# A job script has these too; what srun and sbcast need is the job alone.
	said=$("$slurm" run salloc -N "$nodes" --no-shell 2>&1 </dev/null) || {
		echo "$said" >&2
		return 1
	}
	[[ $said =~ allocation\ ([0-9]+) ]] || return
	job=${BASH_REMATCH[1]}
	in_job=("$slurm" run env "SLURM_JOB_ID=$job" "SLURM_JOB_NUM_NODES=$nodes")
	on_all=(srun -N "$nodes" --ntasks-per-node=1)
}

cluster_down() {
	local status=0
	"$emul" down || status=$?
	"$slurm" down || status=$?
	in_job=()
	return "$status"
}

# An empty file system in place of the one there is
pfs_new() {
	"$emul" up --lab "$LAB" --path "$pfs" --observer "$seen" "${model[@]}" || return
	mapfile -t pfs_env < <("$emul" env | sed 's/^export //' | tr ' ' '\n')
}

# Clients forget, and what follows is counted from zero.
pfs_forget() {
	"$emul" set attr-cache=60s >/dev/null && "$emul" stats --reset >/dev/null
}

# pfs_put SOURCE [STRIPES]: onto the file system, through the observer; 1 stripe, or over all
pfs_put() {
	"$emul" set stripe-count="${2:-1}" >/dev/null && cp -a "$1" "$seen/"
}

# CPU seconds the emulated servers have used so far
pfs_cpu() {
	local pid stat
	read -r pid _ <"/run/ebt-emul-$EMUL/server.pid"
	stat=$(<"/proc/$pid/stat")
	# shellcheck disable=SC2086 # fields are wanted
	set -- ${stat##*) }
	awk -v t="$((${12} + ${13}))" -v hz="$(getconf CLK_TCK)" 'BEGIN { printf "%.2f\n", t / hz }'
}

# clean_nodes FOLDER: it is there and empty, and nothing else is in node-local storage
clean_nodes() {
	"${in_job[@]}" "${on_all[@]}" sh -c \
		"find ${1%/*} -mindepth 1 -maxdepth 1 -exec rm -rf {} + && mkdir $1" </dev/null
}

# --- ways -----------------------------------------------------------------------------------

# In KIND, is WAY of any use?
way_does() {
	case $1:$2 in
	ebt-stage*:* | direct:* | python-mpi-bcast:tree | mpibcast+untar:archive) ;;
	mpibcast+*) return 1 ;;
	sbcast*:file | sbcast:exe | sbcast-F2:exe | srun-bcast:exe | spindle:exe) ;;
	mpibcast*:file | dbcast:file | pdcp:* | tar+*:tree) ;;
	*) return 1 ;;
	esac
}

# Fills absent[WAY]. A fan-out of all nodes is what sbcast does by itself.
ways_find() {
	local way
	declare -gA absent=()
	for way in 2 4 8; do
		((way < nodes)) || absent[sbcast-F$way]="as sbcast on $nodes nodes"
	done
	# That the library takes it is only known when it was asked to.
	head -c 1M /dev/zero >"$ways_dir/zeros"
	clean_nodes /local/bench || return
	"${in_job[@]}" sbcast --verbose --compress=lz4 "$ways_dir/zeros" /local/bench/zeros \
		</dev/null >"$ways_dir/log" 2>&1 || true
	grep -q 'File compressed from 1048576 to [0-9]\{1,5\} ' "$ways_dir/log" || {
		absent[sbcast-lz4]="this sbcast has no lz4"
		absent[tar+sbcast-lz4]=${absent[sbcast-lz4]}
	}
	for way in dbcast spindle pdcp; do
		command -v "$way" >/dev/null || absent[$way]="no $way on PATH"
	done
	# What the lab starts processes in nodes with does not cross the links.
	absent[pdcp]=${absent[pdcp]:-"it needs an sshd in every node"}
	if ! command -v bcast >/dev/null || ! command -v python-mpi >/dev/null; then
		absent[python-mpi-bcast]="no bcast and python-mpi on PATH"
	fi
}

# The variables of MPICH 4.0.2 that choose an algorithm. Device collectives would come first.
mpi_algorithm() {
	local own=(MPIR_CVAR_BCAST_DEVICE_COLLECTIVE=0 MPIR_CVAR_IBCAST_DEVICE_COLLECTIVE=0)
	case $1 in
	mpibcast-binomial) algorithm=(binomial) ;;
	mpibcast-doubling) algorithm=(scatter_recursive_doubling_allgather) ;;
	mpibcast-ring) algorithm=(scatter_ring_allgather) ;;
	mpibcast-chain)
		algorithm=(nb MPIR_CVAR_IBCAST_INTRA_ALGORITHM=tsp_ring
			MPIR_CVAR_IBCAST_RING_CHUNK_SIZE=1048576)
		;;
	mpibcast-tree)
		algorithm=(nb MPIR_CVAR_IBCAST_INTRA_ALGORITHM=tsp_tree
			MPIR_CVAR_IBCAST_TREE_TYPE=kary MPIR_CVAR_IBCAST_TREE_KVAL=2
			MPIR_CVAR_IBCAST_TREE_PIPELINE_CHUNK_SIZE=1048576)
		;;
	*)
		algorithm=()
		return
		;;
	esac
	algorithm[0]=MPIR_CVAR_BCAST_INTRA_ALGORITHM=${algorithm[0]}
	algorithm+=("${own[@]}")
}

# The names that ldd finds below the source are what has to be brought beside the program; the
# last line of each script runs it on every node, and it says where it and its libraries are.
exe_command() {
	local way=$1 source=$3 folder=$4 script
	local -a args=()
	case $way in
	ebt-stage*)
		script='
			{ echo "$from/bin/app"; ldd "$from/bin/app" |
				awk -v from="$from/" "index(\$3, from) == 1 { print \$3 }"; } >"$list"
			"$@" --files-from="$list" "$folder/"
			rm -f "$list"
			LD_LIBRARY_PATH=$folder srun "${all[@]}" "$folder/app" "$folder"'
		args=("${ranks[@]}" "${probe[@]}" "${ours[@]}")
		;;
	sbcast*)
		script='
			"$@" --send-libs "$from/bin/app" "$folder/app"
			LD_LIBRARY_PATH=$folder/app_libs srun "${all[@]}" "$folder/app" "$folder"'
		args=(sbcast "${option[@]}")
		;;
	srun-bcast)
		script='srun "${all[@]}" --bcast="$folder/app" --send-libs "$from/bin/app" "$folder"' ;;
	direct) script='srun "${all[@]}" "$from/bin/app" "$from"' ;;
	spindle) script='spindle srun "${all[@]}" "$from/bin/app" ""' ;;
	esac
	cmd=("${probe[@]}" bash -euc 'from=$1 folder=$2 list=$3 all=("-N$4" --ntasks-per-node=1)
		export LD_LIBRARY_PATH=$from/lib
		shift 4
		'"$script" "$way" "$source" "$folder" "${folder%/*}/bench.list" "$nodes"
		"${args[@]}")
}

# way_command WAY KIND SOURCE FOLDER: cmd=(...)
way_command() {
	local way=$1 kind=$2 source=$3 folder=$4
	local -a probe=() algorithm=() ours=("$program" --json "--link=$link")
	local ranks=("${on_all[@]}" --mpi=pmi2 -K)
	local target=$folder/${source##*/} tar=${folder%/*}/bench.tar option=()
	[[ ! $peaks ]] || probe=("$ways_dir/peak_rss" "$peaks")
	mpi_algorithm "$way"
	[[ $source != "$pfs"/* ]] || ours=(env "${pfs_env[@]}" "${ours[@]}")
	case $way in
	*-F*) option=("--fanout=${way##*-F}") ;;
	*-lz4) option=(--compress=lz4) ;;
	*-none) ours+=(--compress=none) ;;
	esac
	[[ $kind != archive ]] || ours+=(--unpack)
	case $way:$kind in
	*:exe) exe_command "$@" ;;
	ebt-stage*:*)
		cmd=("${ranks[@]}" "${probe[@]}" "${ours[@]}" "$source" "$folder/")
		;;
	sbcast*) cmd=("${probe[@]}" sbcast "${option[@]}" "$source" "$target") ;;
	mpibcast+untar:*)
		cmd=("${ranks[@]}" "${probe[@]}" "$ways_dir/control_bcast" "$source" "$tar" ""
			"tar -xpf $tar -C $folder && rm -f $tar")
		;;
	mpibcast*)
		cmd=(env "${algorithm[@]}" "${ranks[@]}" "${probe[@]}" "$ways_dir/control_bcast"
			"$source" "$target")
		;;
	direct:archive) cmd=("${on_all[@]}" "${probe[@]}" tar -xpf "$source" -C "$folder") ;;
	tar+mpibcast:*)
		cmd=("${ranks[@]}" "${probe[@]}" "$ways_dir/control_bcast" "$tar.0" "$tar"
			"tar -cf $tar.0 -C ${source%/*} ${source##*/}"
			"tar -xpf $tar -C $folder && rm -f $tar $tar.0")
		;;
	tar+sbcast*)
		cmd=("${probe[@]}" bash -euc '
			from=$1 folder=$2 tar=$3 option=$4
			shift 4
			tar -cf "$tar.0" -C "${from%/*}" "${from##*/}"
			sbcast $option "$tar.0" "$tar"
			rm -f "$tar.0"
			"$@" sh -c "tar -xpf $tar -C $folder && rm -f $tar"' tar "$source" "$folder"
			"$tar" "${option[*]}" "${on_all[@]}" "${probe[@]}")
		;;
	direct:*) cmd=("${on_all[@]}" "${probe[@]}" cp -a "$source" "$folder/") ;;
	dbcast:*)
		# At least two ranks a node, as many on each.
		cmd=(srun -N "$nodes" --ntasks-per-node=2 --mpi=pmi2 -K "${probe[@]}" dbcast
			"$source" "$target")
		;;
	python-mpi-bcast:*)
		# It takes archives and unpacks them; modes are not kept.
		cmd=("${probe[@]}" bash -euc 'from=$1 folder=$2 tar=$3
			shift 3
			tar -cf "$tar" -C "${from%/*}" "${from##*/}"
			"$@" bcast -p "$folder" "$tar"
			rm -f "$tar"' bcast "$source" "$folder" "$tar" "${ranks[@]}" "${probe[@]}")
		;;
	*) return 1 ;;
	esac
}

# --- a run ----------------------------------------------------------------------------------

# Pids of the daemons that a way makes work; their peaks start anew.
daemons_of() {
	case $1 in
	*sbcast* | srun-bcast) cat /run/ebt-slurm-"$LAB"/slurmd.n*.pid ;;
	esac
}

daemon_peaks() {
	local pid
	for pid in "$@"; do
		awk '$1 == "VmHWM:" { printf "%.0f\n", $2 * 1024 }' "/proc/$pid/status" 2>/dev/null || true
	done
}

# Bytes each node has sent so far
sent() {
	"$lab" bytes | awk '{ print $3 }'
}

# What a run that was ended has left in the allocation
end_steps() {
	local step
	for step in $("$slurm" run squeue --steps -h -j "$job" -o %i </dev/null); do
		"$slurm" run scancel --signal=KILL "$step" </dev/null || true
	done
}

# Output in $ways_dir/said and complaints. Sets $status, and of a run with status 0
#   seconds       clock around the command, in n0
#   inner         by the program's own account, null if it gives none
#   peak_rss      largest of any process of the tool on any node
#   max_sent      bytes through the link of the node that sent most
#   pfs_bytes pfs_reads pfs_mds server_cpu
#                 what the file system was asked for, and the CPU seconds this took it
way_run() {
	local way=$1 limit=$5 before cpu pid daemons
	local -a cmd=()
	peaks=$ways_dir/peaks
	: >"$peaks"
	rm -f "$ways_dir/clock"
	way_command "$1" "$2" "$3" "$4"
	mapfile -t daemons < <(daemons_of "$way")
	for pid in "${daemons[@]}"; do
		echo 5 >"/proc/$pid/clear_refs"
	done
	before=$(sent)
	cpu=$(pfs_cpu)
	status=0
	timeout -k 5 "$limit" "${in_job[@]}" bash -c 'clock=$1 start=$EPOCHREALTIME
		shift
		"$@"
		status=$?
		echo "$start $EPOCHREALTIME" >"$clock"
		exit $status' run "$ways_dir/clock" "${cmd[@]}" </dev/null >"$ways_dir/said" \
		2>"$ways_dir/complaints" &
	child=$!
	wait "$child" || status=$?
	child=
	((status == 0)) || end_steps
	seconds=$(awk '{ printf "%.4f\n", $2 - $1; got = 1 } END { if (!got) print "null" }' \
		"$ways_dir/clock" 2>/dev/null || echo null)
	inner=$(grep '"type":"result"\|ebt.control' "$ways_dir/said" | jq -s '.[0].seconds' || true)
	peak_rss=$({ cat "$peaks"; daemon_peaks "${daemons[@]}"; } | sort -n | tail -n 1)
	max_sent=$(paste <(echo "$before") <(sent) | awk '{ d = $2 - $1; if (d > m) m = d }
		END { printf "%.0f\n", m }')
	server_cpu=$(awk -v a="$cpu" -v b="$(pfs_cpu)" 'BEGIN { printf "%.2f\n", b - a }')
	read -r pfs_bytes pfs_reads pfs_mds < <("$emul" stats --json |
		jq -r '"\(.total.bytes_read) \(.total.reads) \(.mds.total)"')
}

# --- what arrived ---------------------------------------------------------------------------

# A list of PATH, of entries with what find prints of them
listed() {
	find "$1" -printf "$2\0" | sort -z
}

content() {
	if [[ -d $1 ]]; then
		(cd "$1" && find . -type f -print0 | sort -z | xargs -0 -r cat)
	else
		cat "$1"
	fi
}

# The size of a directory is its file system's business.
names() {
	find "$1" -type d -printf 'd %P\0' -o -printf '%y %P %s %l\0' | sort -z
}

# original KIND PATH
original() {
	[[ $1 != exe ]] || {
		want=$("$2/bin/app" | cut -d' ' -f3)
		return
	}
	names "$2" >"$ways_dir/want.names"
	content "$2" >"$ways_dir/want.content"
	listed "$2" '%P %m' >"$ways_dir/want.modes"
	listed "$2" '%P %U:%G' >"$ways_dir/want.owners"
	listed "$2" '%P %Ts' >"$ways_dir/want.mtimes"
	listed "$2" '%P %T@' >"$ways_dir/want.nanoseconds"
}

# On a node: status 0 if names and content are those of the original; what is not kept is said
node_check() {
	local path=$1 dir=$2 what
	[[ -e $path ]] || return
	cmp -s <(names "$path") "$dir/want.names" || return
	content "$path" | cmp -s - "$dir/want.content" || return
	for what in modes:%m owners:%U:%G mtimes:%Ts nanoseconds:%T@; do
		cmp -s <(listed "$path" "%P ${what#*:}") "$dir/want.${what%%:*}" || echo "${what%%:*}"
	done
}

# An executable has said on every node what it read, and where all its parts were.
nodes_check() {
	local i lost=
	not_kept=
	if [[ $1 == exe ]]; then
		equal=$(awk -v sum="$want" '$1 == "app" && $3 == sum && $4 == 5 { print $2 }' \
			"$ways_dir/said" | sort -u | wc -l)
		return
	fi
	equal=0
	for ((i = 0; i < nodes; i++)); do
		! lost+=$("$lab" exec "$i" bash -c "$(declare -f listed content names node_check)
			"'node_check "$1" "$2"' check "$2" "$ways_dir" </dev/null)$'\n' || equal=$((equal + 1))
	done
	not_kept=$(sort -u <<<"$lost" | xargs)
}
