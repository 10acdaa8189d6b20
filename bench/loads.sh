# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# What bench/import and bench/epochs have in common: an application that runs on all nodes of
# the emulated cluster (bench/lab), on the emulated file system (bench/emulated-lustre) or on a
# store that ebt-stage filled, in a random order in each round. Time to solution is the clock
# around the launches, as a user would see it: that of staging and that of the application.
#
# Callers set $name, $here, `ways` and `labels`, their own options in `own_options` and in
# own_option, and define prepare, one_run WAY ROUND and show; then they call loads_main. In
# one_run: launch, on_nodes, forget, served; say writes the lines.

lab=$here/lab
emul=$here/emulated-lustre
pfs=/lustre
store=${LAB_LOCAL:-/local}/bench
build=$here/../build counts=4,8,16 rounds=3 rate=200mbit out='' quick='' chosen=()
extra=() model_extra=() attr_cache=60s osts=16
model=(ost-rate=10M mds-rate=5000 mds-latency=500us)
child='' failed=0

common_options() {
	cat <<'END_OF_OPTIONS'
  -N LIST   numbers of nodes (4,8,16)
  -n N      rounds, at least 1 (3)
  -r RATE   of a link in the lab (200mbit)
  -w WAY    only this way; may be repeated
  -m ARG    one more argument for `emulated-lustre up`, after --osts=16
            ost-rate=10M mds-rate=5000 mds-latency=500us; may be repeated
  -a ARG    one more argument for ebt-stage; may be repeated
  -o FILE   every run as a line of JSON, as soon as it is there, and medians
  -b BUILD  where ebt-stage and the emulated Lustre are (./build; built with
            meson if missing)
  -q        small sizes, for trying

Status: 0, 1 if a run failed, 2 wrong usage, 77 not possible here.

Environment (defaults):
  TMPDIR (/tmp)      takes programs and, for an import, the environment
  LOADS_LIMIT (900)  seconds after which a launch is ended and has failed
END_OF_OPTIONS
}

die() {
	echo "bench/$name: $*" >&2
	exit 1
}

wrong_usage() {
	echo "bench/$name: $*; see -h" >&2
	exit 2
}

calc() {
	awk "BEGIN { printf \"%.4f\", $1 }"
}

# is_number NAME VALUE
is_number() {
	[[ $2 =~ ^[1-9][0-9]{0,8}$ ]] || wrong_usage "-$1 takes a number"
}

# $words, $counts, $rounds, ...; what is only known to the caller goes to own_option LETTER VALUE
loads_options() {
	words="$*"
	local opt c
	while getopts ":N:n:r:w:m:a:o:b:qh-:$own_options" opt; do
		case $opt in
		N) counts=$OPTARG ;;
		n) rounds=$OPTARG ;;
		r) rate=$OPTARG ;;
		w) chosen+=("$OPTARG") ;;
		m) model_extra+=("$OPTARG") ;;
		a) extra+=("$OPTARG") ;;
		o) out=$OPTARG ;;
		b) build=$OPTARG ;;
		q) quick=1 ;;
		h)
			usage
			exit 0
			;;
		-)
			[[ $OPTARG == help ]] || wrong_usage "unknown option"
			usage
			exit 0
			;;
		'?' | :) wrong_usage "unknown option or no value: -$OPTARG" ;;
		*) own_option "$opt" "${OPTARG:-}" ;;
		esac
	done
	((OPTIND > $#)) || wrong_usage "there are no arguments but options"
	[[ $counts =~ ^[1-9][0-9]{0,2}(,[1-9][0-9]{0,2})*$ ]] ||
		wrong_usage "-N takes a list such as 4,8"
	is_number n "$rounds"
	[[ $rate =~ ^([1-9][0-9]{0,8})([kmg])bit$ ]] ||
		wrong_usage "-r takes a rate such as 200mbit"
	case ${BASH_REMATCH[2]} in
	k) per_second=$((BASH_REMATCH[1] * 125)) ;;
	m) per_second=$((BASH_REMATCH[1] * 125000)) ;;
	g) per_second=$((BASH_REMATCH[1] * 125000000)) ;;
	esac
	for c in "${chosen[@]}"; do
		[[ " ${ways[*]} " == *" $c "* ]] || wrong_usage "no way $c"
	done
	((${#chosen[@]})) || chosen=("${ways[@]}")
	for c in "${model_extra[@]}"; do
		case $c in
		--osts=*) osts=${c#*=} ;;
		attr-cache=*) attr_cache=${c#*=} ;;
		[a-z]*=*) ;;
		*) wrong_usage "-m takes --osts=N or a setting" ;;
		esac
		[[ $c == --* ]] || model+=("$c")
	done
}

# --- the cluster ----------------------------------------------------------------------------

loads_check() {
	local tool
	"$lab" check || exit
	"$emul" check || exit
	for tool in jq meson cc; do
		command -v "$tool" >/dev/null || {
			echo "bench/$name: skipped: no $tool (packages jq, meson, gcc)" >&2
			exit 77
		}
	done
}

loads_begin() {
	tmp=$(mktemp -d "${TMPDIR:-/tmp}/ebt-bench.XXXXXX")
	export LAB=$name$$ EMUL=$name$$
	cleanup() {
		[[ -z $child ]] || kill "$child" 2>/dev/null || true
		"$emul" down || true
		"$lab" down || true
		rm -rf "$tmp"
	}
	trap cleanup EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
	lines=$tmp/lines seen=$tmp/seen
	: >"$lines"
	[[ ! $out ]] || : >"$out" || die "cannot write $out"
}

# A copy of what is in $build, so that a rebuild during the run changes nothing.
loads_build() {
	local program_name
	if [[ ! -x $build/src/cmd/ebt-stage || ! -x $build/bench/lustre/emulated-lustre-server ]]; then
		echo "building ebt-stage" >&2
		build=$tmp/build
		{
			meson setup --buildtype=release "$build" "$here/.." &&
				meson compile -C "$build" src/cmd/ebt-stage \
					bench/lustre/emulated-lustre-server
		} >"$tmp/log" 2>&1 || {
			tail -n 20 "$tmp/log" >&2
			die "no ebt-stage in $build"
		}
	fi
	cp "$build/src/cmd/ebt-stage" "$build/src/cmd/launch" \
		"$build/bench/lustre/emulated-lustre-server" "$tmp"
	program=$tmp/ebt-stage
	export EMUL_SERVER=$tmp/emulated-lustre-server EBT_LAUNCH=$tmp/launch
	local mpicc
	mpicc=$("$EBT_LAUNCH" --mpicc) || die "nothing to compile the programs with"
	for program_name in "$@"; do
		"$mpicc" -O2 -D_GNU_SOURCE -pthread -o "$tmp/$program_name" "$here/$program_name.c"
	done
}

# cluster N: $nodes, with the emulated file system at $pfs, not counted at $seen
cluster() {
	nodes=$1
	"$lab" up "$nodes" "$rate"
	"$emul" up --lab "$LAB" --path "$pfs" --observer "$seen" --osts="$osts" "${model[@]}"
	eval "$("$emul" env)"
}

# No client knows a name or an attribute any more, and counters are at zero.
forget() {
	"$emul" set "attr-cache=$attr_cache"
	"$emul" stats --reset >/dev/null
}

# What was asked of the file system since the last call: $pfs_bytes, $pfs_requests
served() {
	read -r pfs_bytes pfs_requests < <("$emul" stats --json --reset |
		jq -r '"\(.total.bytes_read) \(.mds.total + .total.reads + .total.writes)"')
}

# enough BYTES: memory for the source and a copy of it on every node
enough() {
	local need=$(($1 * (nodes + 2) / (1 << 20) + 1024)) have
	have=$(awk '$1 == "MemAvailable:" { print int($2 / 1024) }' /proc/meminfo)
	((have >= need)) || die "$nodes nodes need $need MiB of memory, $have are free"
}

# on_nodes CMD...: once on each
on_nodes() {
	local i
	for ((i = 0; i < nodes; i++)); do
		"$lab" exec "$i" "$@" </dev/null
	done
}

# launch PPN CMD...: on all nodes; output in $tmp/said, seconds around it in $wall, $status
launch() {
	local ppn=$1 start
	shift
	status=0
	start=$(date +%s%N)
	PPN=$ppn timeout -k 5 "${LOADS_LIMIT:-900}" "$lab" mpi "$nodes" "$@" </dev/null \
		>"$tmp/said" 2>"$tmp/complaints" &
	child=$!
	wait "$child" || status=$?
	child=
	wall=$(calc "($(date +%s%N) - $start) / 1e9")
	((status == 0)) || {
		echo "FAILED ($status): $*" >&2
		tail -n 5 "$tmp/complaints" >&2
		failed=$((failed + 1))
		return 1
	}
}

# stage ARG...: what it cost in $stage_seconds, $stage_pfs_bytes, $stage_pfs_requests
stage() {
	local failed_here=0
	launch 1 "$program" --json "${extra[@]}" "$@" || failed_here=1
	served
	stage_seconds=$wall stage_pfs_bytes=$pfs_bytes stage_pfs_requests=$pfs_requests
	return "$failed_here"
}

# --- lines ----------------------------------------------------------------------------------

# say TYPE [JQ OPTION...] FILTER: one line, an object by FILTER behind schema, type and bench
say() {
	local type=$1
	shift
	jq -nc --arg type "$type" --arg bench "$name" --argjson nodes "${nodes:-null}" \
		"${@:1:$#-1}" '{schema: "ebt.bench/1", type: $type, bench: $bench} + '"${*: -1}" |
		tee -a "${out:-/dev/null}" >>"$lines"
}

# conditions JQ: what of the load is to be known, an object
conditions() {
	local version
	version=$("$program" --version | head -n 1)
	echo "$version; links $rate; $(nproc) cores, Linux $(uname -r)"
	echo "model: --osts=$osts ${model[*]} attr-cache=$attr_cache"
	say conditions --arg date "$(date -u +%FT%TZ)" --arg version "$version" \
		--argjson cores "$(nproc)" \
		--argjson memory "$(awk '$1 == "MemTotal:" { printf "%.0f", $2 * 1024 }' /proc/meminfo)" \
		--arg cpu "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" \
		--arg kernel "$(uname -r)" --arg link "$rate" --argjson per_second "$per_second" \
		--arg mpi "$("$program" --version | sed -n 's/^built with \(.*\) [^ ]*, which is here.*/\L\1/p')" \
		--arg mpi_version "$("$program" --version | sed -n 's/^built with .* \([^ ]*\), which is here.*/\1/p')" \
		--arg libfuse "$(pkg-config --modversion fuse3 2>/dev/null)" \
		--arg model "--osts=$osts ${model[*]} attr-cache=$attr_cache" \
		--arg command "bench/$name${words:+ $words}" --argjson quick "${quick:-0}" --argjson load "$1" \
		'{date: $date, version: $version, cores: $cores, memory: $memory, cpu: $cpu,
			kernel: $kernel, versions: {($mpi): $mpi_version, libfuse: $libfuse}, link: $link,
			link_bytes: $per_second, model: $model, command: $command,
			quick: ($quick == 1), load: $load}'
}

calibration() {
	local said share
	((nodes > 1)) || return 0
	said=$("$lab" calibrate || true)
	echo "$nodes nodes; calibration: $said"
	share=$(grep -o '[0-9.]\+ *%' <<<"$said" | head -n 1 | tr -d ' %')
	say calibration --argjson percent "${share:-null}" --arg said "$said" \
		'{nodes: $nodes, share: (if $percent then $percent / 100 else null end), said: $said}'
}

# medians FIELD...: of the good runs, of lists each element
medians() {
	jq -nc --arg names "$*" '
		def spread: map(numbers) | sort | length as $n | if $n == 0 then null else {median:
			(if $n % 2 == 1 then .[($n - 1) / 2] else (.[$n / 2 - 1] + .[$n / 2]) / 2 end),
			min: .[0], max: .[-1]} end;
		def each: if any(.[]; type == "array") then map(arrays) | transpose | map(spread)
			else spread end;
		[inputs | select(.type == "run")] | group_by([.nodes, .way])[] |
		map(select(.status == 0)) as $good |
		{schema: "ebt.bench/1", type: "median", bench: .[0].bench, case: .[0].case,
			nodes: .[0].nodes, way: .[0].way, runs: length,
			failed: (length - ($good | length))}
		+ ([$names | split(" ")[] as $f | {($f): ($good | map(.[$f]) | each)}] | add)' "$lines"
}

loads_main() {
	local count round way
	local -a order
	for way in "${ways[@]}"; do
		say way --arg way "$way" --arg name "${labels[$way]}" \
			'{way: $way, label: $name, present: true, reason: ""}'
	done
	for count in ${counts//,/ }; do
		cluster "$count" || die "no cluster of $count nodes"
		calibration
		prepare
		for ((round = 1; round <= rounds; round++)); do
			mapfile -t order < <(shuf -e "${chosen[@]}")
			for way in "${order[@]}"; do
				on_nodes rm -rf "$store"
				on_nodes mkdir -p "$store"
				forget
				one_run "$way" "$round"
			done
		done
		"$emul" down
		"$lab" down
	done
	show >"$tmp/medians"
	[[ ! $out ]] || cat "$tmp/medians" >>"$out"
	if [[ -x $here/report ]]; then
		"$here/report" "$lines"
	else
		cat "$tmp/medians"
	fi
	((failed == 0)) || die "$failed runs failed"
}
