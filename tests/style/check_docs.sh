#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# What README.md, share/doc and src/README.md name is there: pages and headings that they link to,
# files in `code`, options and their values behind a command or alone in `code`, manual pages as
# name(N), variables EBT_*. README.md stays short, and what it has measured is in results.md. Pages
# of share/doc are installed, so they link to each other only.
set -eu
cd "$1"
most=150 # lines of README.md

lines=$(wc -l <README.md)
bad=0
if [ "$lines" -gt "$most" ]; then
	echo "README.md:$most: has $lines lines, $most at most"
	bad=1
fi

# What was measured is in results.md, with its command.
for number in $(grep '^|' README.md | grep -oE '[0-9]+[.][0-9]+'); do
	grep -qwF "$number" share/doc/results.md || {
		echo "README.md: $number is not in share/doc/results.md"
		bad=1
	}
done

# What there is, a thing a line.
things() {
	find README.md LICENSE meson.build src include tests bench share -name '__pycache__' -prune -o -print |
		sed 's/^/file /'
	grep -n '^#' README.md share/doc/*.md src/README.md | sed 's/^\([^:]*\):[0-9]*:#* */heading \1 /'
	(cd share/man && ls) | sed 's/[.]in$//; s/^/page /'
	# Pages of others: those that ours refer to.
	sed -n 's/^\.Xr \([^ ]*\) \([0-9]\).*/page \1.\2/p' share/man/* | sort -u
	grep -rhoE '\bEBT_[A-Z]+(_[A-Z]+)*\b' src share/man share/jobs share/sites | sort -u | sed 's/^/variable /'
	# The tables of src/cmd/options: names, and words of the line after.
	for table in src/cmd/options/ebt-*.options; do
		program=${table##*/}
		awk -v program="${program%.options}" '
		function put(i) {
			for (i = 1; i <= n; i++) {
				if (names[i] ~ /^-/)
					print "option", program, names[i], words
			}
			n = 0
			words = ""
		}
		/^@option / {
			put()
			gsub(/[[]?=.*/, "")
			n = split($0, names, " ")
		}
		/^@words / { words = substr($0, 8) }
		END { put() }' src/cmd/options/common.options "$table"
	done
}

things | awk '
function fail(text) {
	printf "%s:%d: %s\n", FILENAME, FNR, text
	bad = 1
}
function slug(text) {
	text = tolower(text)
	gsub(/[^a-z0-9 _-]/, "", text)
	gsub(/ /, "-", text)
	return text
}
# a/b/../c without its dots
function plain(path) {
	while (sub(/[^\/]+\/[.][.]\//, "", path))
		;
	return path
}
# Is there a file whose path ends in this one? With * for anything but a slash.
function is_file(path, f) {
	if (path in file)
		return 1
	gsub(/[.]/, "[.]", path)
	gsub(/[*]/, "[^/]*", path)
	for (f in file) {
		if (f ~ ("(^|/)" path "$"))
			return 1
	}
	return 0
}
function link(to, at, dir) {
	if (to ~ /^https?:/)
		return
	dir = FILENAME
	sub(/[^\/]*$/, "", dir)
	at = to
	sub(/^[^#]*#?/, "", at)
	sub(/#.*/, "", to)
	if (FILENAME ~ /^share\/doc\// && to ~ /\//)
		fail("leads out of share/doc, where it is not once installed: " to)
	to = to == "" ? FILENAME : plain(dir to)
	if (!(to in file))
		fail("no " to)
	else if (at != "" && !((to SUBSEP at) in heading))
		fail("no heading #" at " in " to)
}
function has(who, name) {
	return (who, name) in options
}
# Alone in `code`, with no command before it, an option is one of either.
function option(who, word, name, value) {
	name = value = word
	sub(/=.*/, "", name)
	sub(/^[^=]*=?/, "", value)
	if (who != "" && !has(who, name))
		fail(who " has no " name)
	else if (who != "" && !takes(who, name, value))
		fail(who " " name " does not take " value)
	else if (who == "" && !(has("ebt-stage", name) && takes("ebt-stage", name, value)) &&
		 !(has("ebt-drain", name) && takes("ebt-drain", name, value)))
		fail("neither command has " word)
}
# Where the table has values, words have to be among them; of pairs the names.
function takes(who, name, value, n, i, pairs, list) {
	list = " " options[who, name] " "
	if (list ~ /^ *@pairs /) {
		n = value ~ /=/ ? split(value, pairs, ",") : 0
		for (i = 1; i <= n; i++) {
			sub(/=.*/, "", pairs[i])
			if (!index(list, " " pairs[i] " "))
				return 0
		}
		return 1
	}
	if (list ~ /^ *(@|$)/)
		return 1
	sub(/:.*/, "", value)
	return value !~ /^[a-z][a-z-]*$/ || index(list, " " value " ")
}
function short(who, word, i, c) {
	for (i = 2; i <= length(word); i++) {
		c = "-" substr(word, i, 1)
		if (who != "" && !has(who, c))
			fail(who " has no " c)
		else if (who == "" && !has("ebt-stage", c) && !has("ebt-drain", c))
			fail("neither command has " c)
	}
}
# A span of `code`, or a line of a block, where names of files may be those that a command makes.
function code(text, block, n, i, words, word, more) {
	if (!more_of_command)
		program = ""
	more_of_command = 0
	n = split(text, words, /[ \t]+/)
	for (i = 1; i <= n; i++) {
		word = words[i]
		if (word ~ /^#/)
			break
		if (word == "\\") {
			more_of_command = block
			break
		}
		more = word !~ /[;|]$/ && word != "&&"
		gsub(/^["(\047$]+|["),.;:\047]+$/, "", word)
		if (word ~ /^ebt-(stage|drain)$/ && words[i - 1] != "-w") # a way of bench/compare
			program = word
		else if (word ~ /^--[a-z]/ && (program != "" || (!block && i == 1)))
			option(program, word)
		else if (word ~ /^-[A-Za-z0-9]+$/ && (program != "" || (!block && n == 1)))
			short(program, word)
		else
			path(word, block)
		if (!more)
			program = ""
	}
}
function path(word, block) {
	if (match(word, /(^|[\/=])share\/(ebt|doc\/ebt)(\/[A-Za-z0-9._\/-]+)?$/)) {
		sub(/^.*share\/doc\/ebt/, "share/doc", word)
		sub(/^.*share\/ebt/, "share", word)
	} else if (word ~ /^(src|include|tests|bench|share)\/[A-Za-z0-9._*\/-]+$/) {
		if (word ~ /[*]/ ? !is_file(word) : !(plain(word) in file))
			fail("no " word)
		return
	} else if (block ||
		   word !~ /^[A-Za-z0-9_*][A-Za-z0-9._*\/-]*[.](awk|build|c|h|jq|jsonl|lua|md|nf|options|py|sh|svg|txt)$/)
		return
	if (!is_file(word))
		fail("no file " word)
}
FILENAME == "-" || FILENAME == "" {
	if ($1 == "heading") {
		name = $2
		sub(/^heading [^ ]* /, "")
		heading[name, slug($0)] = 1
	} else if ($1 == "option") {
		name = $2 SUBSEP $3
		sub(/^option [^ ]* [^ ]* */, "")
		options[name] = $0
		many++
	} else if ($1 == "file")
		file[$2] = 1
	else if ($1 == "page")
		page[$2] = 1
	else
		variable[$2] = 1
	next
}
FNR == 1 { fenced = 0 }
/^```/ { fenced = !fenced; next }
{
	rest = $0
	while (match(rest, /EBT_[A-Z]+(_[A-Z]+)*/)) {
		name = substr(rest, RSTART, RLENGTH)
		rest = substr(rest, RSTART + RLENGTH)
		if (!(name in variable))
			fail("nothing knows the variable " name)
	}
	rest = $0
	while (match(rest, /[A-Za-z][A-Za-z0-9_-]*[(][1-8][)]/)) {
		name = substr(rest, RSTART, RLENGTH - 1)
		rest = substr(rest, RSTART + RLENGTH)
		sub(/[(]/, ".", name)
		if (!(name in page))
			fail("no manual page " name)
		named++
	}
}
fenced || /^    / { code($0, 1); next }
{
	n = split($0, spans, "`")
	if (n && n % 2 == 0)
		fail("code that does not end on its line")
	rest = ""
	for (i = 1; i <= n; i++) {
		more_of_command = 0
		if (i % 2)
			rest = rest spans[i]
		else
			code(spans[i], 0)
	}
	while (match(rest, /\]\([^)]*\)/)) {
		name = substr(rest, RSTART + 2, RLENGTH - 3)
		rest = substr(rest, RSTART + RLENGTH)
		link(name)
		named++
	}
}
END {
	if (many < 20 || named < 20) {
		print "too little found: options " many ", links and manual pages " named
		bad = 1
	}
	exit bad
}' - README.md share/doc/*.md src/README.md || bad=1
exit $bad
