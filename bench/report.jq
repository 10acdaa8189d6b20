# SPDX-License-Identifier: BSD-3-Clause
#
# What bench/report makes of JSON lines: Markdown (markdown, short) and a script for gnuplot
# (plots). Input of all three is the array of lines of all files. The same lines give the
# same text: nothing is taken from the clock or the machine.
#
# Medians are computed here from the lines of type "run". A run is good if its status is 0
# and every node was found equal to the source, as far as it was compared; only good runs have
# a share in the figures, all are counted.

# --- numbers --------------------------------------------------------------------------------

def ten_to($n): reduce range($n) as $i (1; . * 10);

# With $d digits behind the point. By hand, as jq prints the nearest binary fraction.
def fixed($d):
	(if . < 0 then "-" else "" end) as $sign
	| (fabs * ten_to($d) + 0.5 | floor | tostring) as $s
	| if $d == 0 then $sign + $s
	  else ((if ($s | length) <= $d then "0" * ($d + 1 - ($s | length)) else "" end) + $s) as $s
	  | $sign + $s[:-$d] + "." + $s[-$d:] end;

# $n significant digits; what stands before the point is never rounded away.
def sig($n):
	if . == null then "-"
	elif . == 0 then "0"
	else ([0, $n - 1 - (fabs | log10 | floor)] | max) as $d
	| (if $d > 0 and (fabs * ten_to($d) + 0.5 | floor) >= ten_to($n) then $d - 1 else $d end) as $d
	| if $d > 6 then fixed(6) else fixed($d) end end;

def commas: if length <= 3 then . else (.[:-3] | commas) + "," + .[-3:] end;
def count:
	if . == null then "-"
	elif . == floor or . >= 100 then fixed(0) | commas
	else sig(3) end;
def times: sig(3);
def mib: if . == null then "-" else . / 1048576 | sig(3) end;
def percent: if . == null then "-" else (. * 100 | sig(2)) + " %" end;

def stats:
	map(numbers) | sort | length as $n
	| if $n == 0 then null
	  else {n: $n, min: .[0], max: .[-1],
		median: (if $n % 2 == 1 then .[($n - 1) / 2] else (.[$n / 2 - 1] + .[$n / 2]) / 2 end)}
	  end;
def middle: if . == null then null else .median end;
# Median, minimum and maximum: of times always, of counts if there is a difference
def spread(f):
	if . == null then "-"
	elif .n == 1 then .median | f
	else "\(.median | f) (\(.min | f)-\(.max | f))" end;
def few(f): if . != null and .min == .max then .median | f else spread(f) end;
def ratio($to): if . == null or $to == null or $to == 0 then null else . / $to end;

# --- Markdown -------------------------------------------------------------------------------

# Text of others in a cell: one line that ends neither the cell nor starts a tag
def cell:
	tostring | gsub("[[:cntrl:]]+"; " ") | gsub("\\\\"; "\\\\") | gsub("\\|"; "\\|")
	| gsub("<"; "&lt;") | gsub("(?<c>[*`])"; "\\\(.c)");
def shortened($n): tostring | if length > $n then .[:$n] + "..." else . end;
def pad($n): . + " " * ($n - length) // .;
def pad_left($n): (" " * ($n - length) // "") + .;

# $columns: {head, left}; rows of strings. A column in which no row has anything is left out.
def table($columns; $rows):
	[range($columns | length) as $i
	 | select($i == 0 or any($rows[]; .[$i] != "-"))
	 | {i: $i, head: $columns[$i].head, left: ($columns[$i].left // false),
	    width: ([$columns[$i].head, $rows[][$i]] | map(length) | max)}] as $shown
	| def line(f): "| " + ([$shown[] | f] | join(" | ")) + " |";
	  def aligned($c): if $c.left then pad($c.width) else pad_left($c.width) end;
	line(. as $c | .head | aligned($c)),
	"|" + ([$shown[] | if .left then "-" * (.width + 2) else "-" * (.width + 1) + ":" end]
		| join("|")) + "|",
	($rows[] as $r | line(. as $c | $r[.i] | aligned($c))),
	"";
def left($head): {head: $head, left: true};
def right($head): {head: $head};

# --- what the lines say ---------------------------------------------------------------------

def cases: ["file64", "file512", "tree", "python", "exe"];
def states: ["cold", "warm"];
def mishaps: ["full", "filling", "truncated", "overwritten", "killed", "lost", "stopped"];
def place($list): . as $x | $list | index($x) // length;

def bench:
	.bench // (if .type == "failure" then "failures"
		elif .case == "import" or .case == "epochs" then .case
		else "compare" end);
# Lines of bench/stage and bench/drain, which make their own medians
def own: has("variant") or has("to_reach") or (.type == "run" and (has("nodes") | not))
	or (.type == "conditions" and has("case") and (has("bench") | not));
def of_type($type): map(select(.type == $type));
def runs($which): of_type("run") | map(select((own | not) and bench == $which));

def good: .status == 0 and (.nodes_equal == null or .nodes == null or .nodes_equal >= .nodes);
def good_runs: map(select(good));
def stats_of(f): good_runs | map(f) | stats;

# Lines of each run of a script begin with its conditions: what does not say which script it
# is from is from that one.
def attributed: foreach .[] as $line (null;
	if $line.type == "conditions" then $line.bench else . end;
	if . != null and ($line | .bench == null and (own | not)) then . as $b | $line + {bench: $b}
	else $line end);

# Ways in the order in which they were announced, then by name
def way_list:
	[(of_type("way") | .[].way), ([.[] | select((own | not) and .way != null) | .way] | unique[])]
	| reduce .[] as $w ([]; if index([$w]) then . else . + [$w] end);
def way_labels($which): of_type("way")
	| map(select(.label and bench == $which) | {(.way): .label}) | add // {};
def named($labels): $labels[.] // .;

# Kinds of ways: one line each in the plots, one column each in the short table
def kinds: ["ebt-stage", "sbcast", "tar+sbcast", "srun-bcast", "mpibcast", "tar+mpibcast", "direct"];
def kind:
	if startswith("tar+") then
		if contains("mpibcast") then "tar+mpibcast"
		elif contains("sbcast") then "tar+sbcast"
		else . end
	elif startswith("sbcast") then "sbcast"
	elif startswith("srun") then "srun-bcast"
	elif startswith("mpibcast") then "mpibcast"
	else . end;
def kind_label($ways):
	if ($ways | length) < 2 then .
	elif . == "mpibcast" or . == "tar+mpibcast" then . + ", best algorithm"
	elif . == "sbcast" or . == "tar+sbcast" then . + ", best options"
	else . + ", best" end;

def runs_text:
	length as $n
	| (map(select(.status != 0)) | length) as $failed
	| (map(select(.status == 0 and (good | not))) | length) as $unequal
	| "\($n)" + (if $failed > 0 then ", \($failed) failed" else "" end)
	+ (if $unequal > 0 then ", \($unequal) unequal" else "" end);
def equal_text:
	map(select(.nodes_equal != null)) | if length == 0 then "-"
	else (min_by(.nodes_equal) | "\(.nodes_equal) of \(.nodes)") end;

# The link of the nodes in bytes a second, which S/B needs
def link_of($which): (of_type("conditions")
	| map(select((own | not) and bench == $which) | .link_bytes | numbers) | last) // null;
# Time by S/B of one run
def by_bound($link):
	if .x != null then .x
	elif .seconds != null and $link != null and (.bytes // 0) > 0 then .seconds * $link / .bytes
	else null end;

# Cases with all their runs: [{case, state, nodes, bytes, files, ways: [{way, runs}]}]
def compared:
	way_list as $ways
	| runs("compare")
	| group_by([(.case | place(cases)), .case, (.state // "cold" | place(states)), .nodes])
	| map({case: .[0].case, state: (.[0].state // "cold"), nodes: .[0].nodes,
		bytes: (map(.bytes | numbers) | max), files: (map(.files | numbers) | max),
		sizes: (map(.bytes | numbers) | unique),
		ways: (group_by([(.way | place($ways)), .way]) | map({way: .[0].way, runs: .}))});

# --- the parts of the report ----------------------------------------------------------------

def machine:
	[.cpu, (.cores | numbers | "\(.) cores"),
	 (.memory | numbers | "\(. / 1073741824 | sig(2)) GiB of memory"),
	 (.kernel | values | "Linux \(.)")] | map(values | cell) | join(", ");

def conditions_of($which):
	(of_type("calibration") | map(select(bench == $which)) | unique_by(.nodes)) as $calibrated
	| of_type("conditions") | map(select((own | not) and bench == $which))
	| if length == 0 then "No line says under which conditions this was measured.", ""
	  else (unique_by([.date, .command])[]
		| "- `\(.command // "bench/\($which)")`, \(.date // "without a date")",
		  "- \(machine)",
		  "- \([.version, ((.versions // {}) | to_entries[] | select(.value != null)
			| "\(.key) \(.value)")] | map(values | cell) | join(", "))",
		  ([(.link | values | "links of \(.)"), .model] | map(values | cell) | join("; ")
			| select(. != "") | "- \(.)"),
		  (.load | objects | "- load: "
			+ (to_entries | map("\(.key | gsub("_"; " ")) \(.value)") | join(", ") | cell)),
		  (select(.quick == true) | "- **small sizes, for trying: no result**")),
	  (if $calibrated | length > 0 then "- all links busy at once reached, of their rate: "
		+ ([$calibrated[] | "\(.share | percent) with \(.nodes) nodes"] | join(", "))
	   else empty end),
	  ""
	  end;

def absent($which):
	([runs($which)[].way] | unique) as $ran
	| of_type("way") | map(select(bench == $which)) | group_by(.way)
	| (map(select(any(.[]; .present == false)))
	   | map("\(.[0].label // .[0].way | cell) (\([.[] | select(.present == false)
		| .reason // "no reason given" | cell] | unique | join(", ")))")
	   | select(length > 0) | "Not present: " + join("; ") + ".", ""),
	  (map(select(all(.[]; .present != false)) | .[0]
		| select(.way as $w | $ran | index([$w]) | not) | .label // .way | cell)
	   | select($which != "failures" and length > 0) | "Present and not run: " + join(", ") + ".", "");

def group_table($labels; $link):
	((.ways[] | select(.way == "ebt-stage") | .runs | stats_of(.seconds) | middle) // null) as $ours
	| table([left("way"), right("seconds"), right("x S/B"), right("x ebt-stage"),
		right("inside, s"), right("PFS bytes / source"), right("PFS requests"),
		right("server CPU, s"), right("peak memory, MiB"), right("runs"), right("nodes equal"),
		left("not kept")];
	[.ways[] | (.way | named($labels) | cell) as $name | .runs
	 | stats_of(.seconds) as $t
	 | [$name,
	    ($t | spread(sig(3))),
	    (stats_of(by_bound($link)) | spread(times)),
	    ($t | middle | ratio($ours) | sig(3)),
	    (stats_of(.inner_seconds) | middle | sig(3)),
	    (stats_of(if (.bytes // 0) > 0 and .pfs_bytes != null then .pfs_bytes / .bytes
		else null end) | few(sig(3))),
	    (stats_of(.pfs_requests) | few(count)),
	    (stats_of(.server_cpu) | few(sig(2))),
	    (stats_of(.peak_rss) | if . == null then "-" else .max | mib end),
	    runs_text, equal_text,
	    ([.[].not_kept | arrays | .[]] | unique
	     | if length == 0 then "-" else join(", ") | cell end)]]),
	([.ways[] | (.way | named($labels) | cell) as $name | .runs | sort_by(.round)[]
	  | select(good | not)
	  | "- \($name), round \(.round // "-"): "
	  + (if .status == 0 then "status 0, but equal on \(.nodes_equal) of \(.nodes) nodes"
	     else "status \(.status)" end)
	  + (.message | if . == null or . == "" then "" else ": " + (shortened(160) | cell) end)]
	 | select(length > 0) | .[], "");

# $plots: names of those that are written, null for none
def image($plots; $name; $text):
	if $plots == null then empty
	elif $plots | index($name) then "![\($text)](\($name).svg)", ""
	else "No plot of \($text): no good run.", "" end;

def bars_name: "bars-" + gsub("[^A-Za-z0-9_-]"; "_");
def series_of($case): compared | map(select(.case == $case))
	| (map(select(.state == "cold")) | if length > 0 then . else null end) // .;
# The node count of the bars: 8, or the largest
def bar_nodes: map(.nodes) | if index(8) then 8 else max end;

def compare_part($plots):
	. as $all | way_labels("compare") as $labels | link_of("compare") as $link | compared as $groups
	| "## One source to all nodes", "",
	if $groups | length == 0 then "Not measured: no run of bench/compare.", ""
	else ($all | conditions_of("compare")),
	"Medians of the good runs (minimum-maximum). Seconds are those of the clock around the whole",
	"command, launch included; inside: by the program's own clock. S/B: bytes by link rate, what no",
	"schedule can beat. x ebt-stage: median by the median of ebt-stage. Peak memory: largest process",
	"of any run. Nodes equal: fewest of any run. Runs that failed or left a node unequal are counted and",
	"have no share in the figures.",
	"",
	($all | absent("compare")),
	($groups | group_by([(.case | place(cases)), .case])[]
	 | .[0] as $first
	 | "### \($first.case | cell)", "",
	   ($first | "\(.files | count) file\(if .files == 1 then "" else "s" end), "
		+ "\(.bytes | mib) MiB"
		+ (if $link and .bytes then "; S/B is \(.bytes / $link | sig(3)) s." else "." end), ""),
	   ([.[].sizes[]] | unique | select(length > 1)
	    | "Sources of different sizes are mixed here (\(map(mib) | join(", ")) MiB): seconds cannot be"
	    + " compared.", ""),
	   (if $first.case == "file64" or $first.case == "tree" then
		image($plots; $first.case; "\($first.case): time over nodes") else empty end),
	   (if $first.case == "tree" then
		image($plots; "requests"; "tree: PFS requests over nodes") else empty end),
	   image($plots; $first.case | bars_name; "\($first.case): all ways"),
	   (.[] | "#### \(.state), \(.nodes) nodes", "", group_table($labels; $link))),
	([cases[] as $c | states[] as $s
	  | select(any($groups[]; .case == $c and .state == $s) | not) | "\($c) \($s)"]
	 | if length > 0 then "Not measured: \(join(", ")).", "" else empty end)
	end;

def import_part($plots):
	. as $all | way_list as $ways | way_labels("import") as $labels | runs("import") as $runs
	| "## Import of a large package", "",
	if $runs | length == 0 then "Not measured: no run of bench/import.", ""
	else ($all | conditions_of("import")),
	"Time to solution: staging, if any, and the imports of all processes, launches included.", "",
	($all | absent("import")),
	image($plots; "import"; "time to solution"),
	table([right("nodes"), left("way"), right("time to solution, s"), right("staging, s"),
		right("import, s"), right("inside, s"), right("again, s"),
		right("PFS, MiB"), right("PFS requests"),
		right("runs")];
	[$runs | group_by([.nodes, (.way | place($ways)), .way])[]
	 | ["\(.[0].nodes)", (.[0].way | named($labels) | cell),
	    (stats_of(.seconds) | spread(sig(3))), (stats_of(.stage_seconds) | few(sig(3))),
	    (stats_of(.import_seconds) | few(sig(3))),
	    (stats_of(.import_inner_seconds) | middle | sig(3)),
	    (stats_of(.again_seconds) | few(sig(3))),
	    (stats_of(.pfs_bytes) | few(mib)), (stats_of(.pfs_requests) | few(count)), runs_text]]),
	([$all[] | select(.type == "floor")] | unique_by(.nodes) | map("\(.nodes) nodes: the same without"
		+ " a model, what the emulation itself takes: \(.import_seconds | sig(3)) s, inside"
		+ " \(.import_inner_seconds | sig(3)) s.")
	 | select(length > 0) | .[], "")
	end;

def epochs_part($plots):
	. as $all | way_list as $ways | way_labels("epochs") as $labels | runs("epochs") as $runs
	| "## Epochs of a reader", "",
	if $runs | length == 0 then "Not measured: no run of bench/epochs.", ""
	else ($all | conditions_of("epochs")),
	"All: time to solution, staging and launches included. AU: time of computation by time of the epoch.",
	"", ($all | absent("epochs")),
	image($plots; "epochs"; "seconds per epoch"),
	table([right("nodes"), left("way"), left("part"), right("seconds"), right("PFS, MiB"),
		right("PFS requests"), right("AU"), right("runs")];
	[$runs | group_by([.nodes, (.way | place($ways)), .way])[]
	 | . as $g | "\(.[0].nodes)" as $n | (.[0].way | named($labels) | cell) as $w
	 | (select(any(.[]; .stage_seconds != null and .stage_seconds > 0))
	    | [$n, $w, "staging", (stats_of(.stage_seconds) | spread(sig(3))),
	       (stats_of(.stage_pfs_bytes) | few(mib)), (stats_of(.stage_pfs_requests) | few(count)),
	       "-", "-"]),
	   (range([.[].epoch_seconds | arrays | length] | max // 0) as $i
	    | [$n, $w, "epoch \($i + 1)", ($g | stats_of(.epoch_seconds[$i]) | spread(sig(3))),
	       ($g | stats_of(.epoch_pfs_bytes[$i]) | few(mib)),
	       ($g | stats_of(.epoch_pfs_requests[$i]) | few(count)),
	       ($g | stats_of(.epoch_au[$i]?) | if . == null then "-" else .median | percent end), "-"]),
	   [$n, $w, "all", (stats_of(.seconds) | spread(sig(3))),
	    (stats_of(.pfs_bytes) | few(mib)), (stats_of(.pfs_requests) | few(count)), "-", runs_text]]),
	([$all[] | select(.type == "paid-back")] | unique_by(.nodes)
	 | map(if .epochs then "\(.nodes) nodes: staging saves \(.saved_seconds | sig(3)) s an epoch and has"
		+ " paid back by epoch \(.epochs)."
		else "\(.nodes) nodes: staging saves nothing an epoch." end)
	 | select(length > 0) | .[], "")
	end;

def yes_no: if . == null then "-" elif . == true or . == 0 then "yes" else "no" end;

def failures_part:
	. as $all | way_list as $ways | of_type("failure") as $lines
	| (way_labels("compare") + way_labels("failures")) as $labels
	| "## What is left of a failure", "",
	if $lines | length == 0 then "Not measured: no run of bench/failures.", ""
	else ($all | conditions_of("failures")),
	"Whole, partial, absent: on how many nodes the destination under its final name is complete,",
	"there but incomplete or wrong, or not there. Leftovers: nodes with other remains. A status of 0",
	"while a node has not the whole is in bold.", "",
	($all | absent("failures")),
	table([left("what"), left("case"), left("way"), right("nodes"), right("status"),
		right("seconds"), right("whole"), right("partial"), right("absent"),
		right("leftovers"), left("next run"), left("last message")];
	[$lines | group_by([(.what | place(mishaps)), .what, .case, (.way | place($ways)), .way,
		.nodes])[][]
	 | (.way | named($labels) | cell) as $w
	 | (.status == 0 and (.partial // 0) + (.absent // 0) > 0) as $bad
	 | def strong: if $bad then "**\(.)**" else . end;
	 [(.what + (if .hit == false then ", not hit" else "" end) | cell), (.case // "-" | cell),
	  ($w | strong), (.nodes // "-" | tostring),
	  (if .status == null then "did not return" else .status | tostring end | strong),
	  (.seconds | sig(2)),
	  (.whole, .partial, .absent, .leftovers | if . == null then "-" else tostring end),
	  (if has("next") then .next else .next_status end
	   | if type == "string" then shortened(80) | cell else yes_no end),
	  (.said // "-" | if . == "" then "-" else shortened(120) | cell end)]])
	end;

# bench/stage and bench/drain, by their own medians
def own_part:
	of_type("median") | map(select(own and (.median | type) == "number"))
	| if length == 0 then empty else
	"## Staging and draining in parts", "",
	table([left("case"), left("what"), left("unit"), right("median (min-max)"), right("runs")];
	[.[] | [(.case | cell), (.variant // .what | cell), (.unit // "-" | cell),
	 ({n: (.runs // 1), median: .median, min: .min, max: .max} | spread(sig(3))),
	 (.runs // 1 | tostring)]])
	end;

def broken_part:
	of_type("broken") | length
	| select(. > 0)
	| "\(.) line\(if . == 1 then "" else "s" end) could not be read and had no part in this.", "";

def markdown($plots):
	"# Results", "",
	broken_part, compare_part($plots), import_part($plots), epochs_part($plots), failures_part, own_part;

# The best way of each kind in one case: {kind: {way, stats of x, failed}}
def best_of_kinds($link):
	[.ways[] | {kind: (.way | kind), way, t: (.runs | stats_of(by_bound($link))),
		bad: ([.runs[] | select(good | not)] | length), n: (.runs | length)}]
	| group_by(.kind)
	| map({(.[0].kind): ((map(select(.t != null)) | min_by(.t.median)) // .[0])}) | add // {};

def short:
	. as $all | way_labels("compare") as $labels | link_of("compare") as $link | compared as $groups
	| if $groups | length == 0 then "Not measured: no run of bench/compare.", ""
	else
	[$groups[].ways[].way] | unique
	| group_by(kind) | map({(.[0] | kind): .}) | add as $members
	| [kinds[], ($members | keys[] | select(place(kinds) == (kinds | length)))]
	| map(select($members[.])) as $kinds
	| (states[] as $s | [$groups[] | select(.state == $s)] | select(length > 0)
	   | table([left("\($s), time by S/B")] + [$kinds[] | right(kind_label($members[.]) | cell)];
	   map(best_of_kinds($link) as $best
		| ["\(.case | cell), \(.nodes) nodes"] + [$kinds[] as $k | $best[$k]
		| if . == null then "-"
		  elif .t == null then if .bad > 0 then "\(.bad) of \(.n) failed" else "-" end
		  else (.t | spread(sig(3))) + (if .bad > 0 then ", \(.bad) of \(.n) failed" else "" end)
			+ (if ($members[$k] | length) > 1 then ", \(.way | named($labels) | cell)" else "" end)
		  end])))
	end;

# --- plots ----------------------------------------------------------------------------------

# Told apart by anybody: colours of Okabe and Ito, and a mark for each
def styles: {
	"ebt-stage": {colour: "#0072B2", mark: 7}, "sbcast": {colour: "#D55E00", mark: 5},
	"tar+sbcast": {colour: "#E69F00", mark: 4}, "srun-bcast": {colour: "#CC79A7", mark: 9},
	"mpibcast": {colour: "#009E73", mark: 11}, "tar+mpibcast": {colour: "#56B4E9", mark: 10},
	"direct": {colour: "#000000", mark: 6}, "staged": {colour: "#0072B2", mark: 7}};
def style: styles[.] // {colour: "#8C8C8C", mark: 2};

# In single quotes gnuplot expands nothing.
def quoted: "'" + (tostring | gsub("[[:cntrl:]]"; " ") | gsub("'"; "''")) + "'";

def start_plot($name; $title; $height):
	"reset",
	"set terminal svg size 800,\($height) noenhanced background '#FFFFFF' font 'sans-serif,14'",
	"set output \("\($name).svg" | quoted)",
	"set title \($title | quoted)",
	"set border 3 lc rgb '#404040'",
	"set tics nomirror",
	"set grid ytics lc rgb '#D0D0D0' lw 0.5";

# Round numbers, 1 2 5 10, with their text: gnuplot's own have exponents.
def log_tics:
	[range(-3; 10) as $e | (1, 2, 5) as $m
	 | (if $e < 0 then $m / ten_to(-$e) else $m * ten_to($e) end)
	 | (if . >= 1000000 then "\(. / 1000000)M"
	    elif . >= 1000 then "\(. / 1000)k"
	    else tostring end | quoted) + " \(.)"]
	| "(" + join(", ") + ")";

# $series: [{name, label, points: [{x, y, lo, hi}]}], y above 0
def line_plot($name; $title; $ylabel; $series):
	([$series[].points[].x] | unique) as $xs
	| start_plot($name; $title; 420),
	"set xlabel 'nodes'", "set ylabel \($ylabel | quoted)",
	"set key outside right top Left reverse samplen 2",
	"set logscale xy", "set mxtics 1", "set mytics 1",
	"set xtics (\($xs | map(tostring) | join(", ")))",
	"set ytics \(log_tics)",
	"set xrange [\($xs[0] * 0.85):\($xs[-1] * 1.15)]",
	"set yrange [\([$series[].points[].lo] | min * 0.8):\([$series[].points[].hi] | max * 1.25)]",
	($series | to_entries[]
	 | "$s\(.key) << END", (.value.points[] | "\(.x) \(.y) \(.lo) \(.hi)"), "END"),
	"plot " + ([$series | to_entries[] | (.value.name | style) as $style
	 | "$s\(.key) using 1:2:3:4 with yerrorbars lc rgb '\($style.colour)' pt 0 notitle, "
	 + "$s\(.key) using 1:2 with linespoints lc rgb '\($style.colour)'"
	 + " pt \($style.mark) lw 2 ps 0.8 title \(.value.label | quoted)"]
	 | join(", ")),
	"unset output";

# One line a kind of ways; at each node count its best way by time
def kind_series($link; value):
	([.[].ways[].way] | unique | group_by(kind) | map({(.[0] | kind): .}) | add // {}) as $members
	| [.[] | . as $g | best_of_kinds($link) | to_entries[] | select(.value.t)
	   | .key as $kind | .value.way as $way
	   | ($g.ways[] | select(.way == $way) | .runs | good_runs | map(value) | stats)
	   | select(. != null and .min > 0)
	   | {kind: $kind, x: $g.nodes, y: .median, lo: .min, hi: .max}]
	| group_by([(.kind | place(kinds)), .kind])
	| map({name: .[0].kind, label: (.[0].kind | kind_label($members[.])), points: sort_by(.x)});

def case_title: "\(.case), \(.bytes | mib) MiB, \(.state)";

def time_plot($case; $link):
	series_of($case) | select(length > 0) | .[0] as $first
	| kind_series($link; by_bound($link)) | select(length > 0) as $series
	| line_plot($case; "\($first | case_title): time by bytes / link rate"; "time by S/B"; $series);

def requests_plot($link):
	series_of("tree") | select(length > 0) | .[0] as $first
	| kind_series($link; .pfs_requests) | select(length > 0) as $series
	| line_plot("requests"; "\($first | case_title): requests to the PFS"; "PFS requests"; $series);

# All ways of a case at one node count, fastest on top
def bars_plot($case; $labels; $link):
	series_of($case) | select(length > 0) | bar_nodes as $n
	| .[] | select(.nodes == $n) | . as $g
	| [.ways[] | {way, t: (.runs | stats_of(by_bound($link)))} | select(.t)]
	| sort_by(.t.median) | select(length > 0) | to_entries as $bars
	| ($bars | map(.value.t.max) | max) as $most
	| start_plot($case | bars_name; "\($g | case_title), \($n) nodes: time by bytes / link rate";
		90 + 24 * ($bars | length)),
	"unset key", "unset grid", "set grid xtics lc rgb '#D0D0D0' lw 0.5",
	"set xlabel 'time by S/B'",
	"set xrange [0:\($most * 1.12)]", "set yrange [\($bars | length - 0.4):-0.6]",
	"set ytics scale 0 (\([$bars[] | "\(.value.way | named($labels) | quoted) \(.key)"] | join(", ")))",
	($bars[] | "set label \(.value.t.median | times | quoted) at \(.value.t.max),\(.key) left offset 0.8,0"),
	"$d << END",
	($bars[] | (.value.way | kind | style | .colour[1:]) as $colour
	 | "\(.key) \(.value.t.median) \(.value.t.min) \(.value.t.max) 0x\($colour)"),
	"END",
	"plot $d using (0):1:(0):2:($1-0.36):($1+0.36):5 with boxxyerror fs solid 0.85 noborder"
	+ " lc rgb variable, "
	+ "$d using 2:1:3:4 with xerrorbars pt 0 lc rgb '#404040'",
	"unset output";

# Bars of parts on each other: $parts labels, $bars: [{label: lines, values, lo, hi}]
def stacked_plot($name; $title; $parts; $bars):
	["#0072B2", "#E69F00", "#009E73", "#CC79A7"] as $colours
	| start_plot($name; $title; 400),
	"set bmargin 3.5", "set ylabel 'seconds'", "set yrange [0:*]",
	"set key outside right top Left reverse invert samplen 2",
	"set xrange [-0.6:\($bars | length - 0.4)]",
	"set xtics scale 0 (" + ([$bars | to_entries[]
		| (.value.label | map(quoted) | join(".\"\\n\".")) + " \(.key)"] | join(", ")) + ")",
	"$d << END",
	($bars | to_entries[] | .key as $x | .value
	 | ([0] + [range(.values | length) as $i | .values[:$i + 1] | add]) as $tops
	 | "\($x) \($tops | map(tostring) | join(" ")) \(.lo) \(.hi)"),
	"END",
	"plot " + ([$parts | to_entries[]
	 | "$d using 1:\(.key + 2):($1-0.35):($1+0.35):\(.key + 2):\(.key + 3) with boxxyerror"
	   + " fs solid 0.85 noborder lc rgb '\($colours[.key])' title \(.value | quoted)"]
	 + [$parts | length + 2
	    | "$d using 1:\(.):\(. + 1):\(. + 2) with yerrorbars pt 0 lc rgb '#404040' notitle"]
	 | join(", ")),
	"unset output";

def import_plot:
	way_list as $ways | runs("import")
	| [group_by([.nodes, (.way | place($ways)), .way])[]
	   | .[0] as $first | stats_of(.seconds) as $all | select($all)
	   | (stats_of(.stage_seconds) | middle // 0) as $stage
	   | {label: ["\($first.nodes) nodes", $first.way],
	      values: [$stage, ([$all.median - $stage, 0] | max)], lo: $all.min, hi: $all.max}]
	| select(length > 0) as $bars
	| stacked_plot("import"; "Import of a large package: time to solution";
		["staging", "import and launch"]; $bars);

# Staging and each epoch, ways side by side
def epochs_plot($labels):
	way_list as $ways | runs("epochs") | select(length > 0) | bar_nodes as $n
	| map(select(.nodes == $n)) | group_by([(.way | place($ways)), .way])
	| ([.[][] | .epoch_seconds | arrays | length] | max // 0) as $epochs
	| map({way: .[0].way, parts: [stats_of(.stage_seconds // 0),
		(range($epochs) as $i | stats_of(.epoch_seconds[$i]))]} | select(.parts[0]))
	| select(length > 0 and $epochs > 0) as $series
	| (0.8 / ($series | length)) as $w
	| start_plot("epochs"; "Epochs of a reader, \($n) nodes"; 400),
	"set ylabel 'seconds'", "set yrange [0:*]",
	"set key outside right top Left reverse samplen 2",
	"set xrange [-0.6:\($epochs + 0.6)]",
	"set xtics scale 0 ('staging' 0, \([range($epochs) | "'epoch \(. + 1)' \(. + 1)"] | join(", ")))",
	($series | to_entries[] | .key as $k
	 | "$s\($k) << END",
	   (.value.parts | to_entries[] | select(.value)
	    | "\(.key - 0.4 + $w * ($k + 0.5)) \(.value.median) \(.value.min) \(.value.max)"), "END"),
	"plot " + ([$series | to_entries[] | (.value.way | style) as $style
	 | "$s\(.key) using 1:2:(\($w * 0.9)) with boxes fs solid 0.85 noborder"
	 + " lc rgb '\($style.colour)' title \(.value.way | named($labels) | quoted), "
	 + "$s\(.key) using 1:2:3:4 with yerrorbars pt 0 lc rgb '#8C8C8C' notitle"] | join(", ")),
	"unset output";

def plots:
	way_labels("compare") as $labels | link_of("compare") as $link
	| time_plot("file64"; $link), time_plot("tree"; $link), requests_plot($link),
	  (([compared[].case] | unique[]) as $case | bars_plot($case; $labels; $link)),
	  import_plot, epochs_plot(way_labels("epochs"));
