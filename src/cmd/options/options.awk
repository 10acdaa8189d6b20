# SPDX-License-Identifier: BSD-3-Clause
#
# The one table of options of a command. From it come its parser and --help (header.awk), the list in
# its manual (manual.awk) and its completions (share/completions/completion.awk), each with this:
#
#   awk -v program=ebt-stage -f options.awk -f header.awk common.options ebt-stage.options
#
# A table is the list of options of the manual, in roff, with lines for the others in between:
#
#   @section TITLE       a heading, in the manual and in --help
#   @heading TEXT        in --help instead
#   @option [*] [-S] --name[=VALUE]
#                        *: may be given again; --name[=VALUE] in brackets: with or without
#   @words WORDS         that the value may be; or @file, @dir; or @pairs and names, of which the
#                        value is a list NAME=VALUE,...
#   @text TEXT           what it does, for --help; @words in it are its words; completions show it up to
#                        the first ; : or (
#   @args EXPRESSIONS    TEXT is a format of printf for them
#   @hidden              in the parser alone: a command says it to itself
#   @include NAME        this option of common.options; @text and @manual may follow
#   @manual              what follows is said in place of what common.options says
#   @operand @file       what is completed that is no option
#   @header FILE         of C, which declares what stands in @args
#
# All else is roff: of the option above it, or between them. Options without any in between share
# what comes then. A line that begins with # is a comment, an empty one nothing.
#
# Afterwards there are, in order, item[1..items]: "option", "section" or "roff". Of a section line[i]
# and heading[i]; of roff line[i]; of an option name, short, value, optional, many, words, text, args,
# hidden and common. shared[1..shareds] names what common.options has.
function fail(what) {
	printf "%s:%d: %s\n", FILENAME, FNR, what >"/dev/stderr"
	failed = 1
	exit 1
}
function add(kind) {
	item[++items] = kind
}
function new_option(from, i, parts, count, spec) {
	add("option")
	i = items
	count = split(from, parts, " ")
	many[i] = parts[1] == "*"
	spec = parts[count]
	if (count - many[i] == 2)
		short[i] = substr(parts[1 + many[i]], 2)
	else if (count - many[i] != 1)
		fail("no option")
	optional[i] = spec ~ /\[=/
	gsub(/[][]/, "", spec)
	value[i] = spec ~ /=/ ? substr(spec, index(spec, "=") + 1) : ""
	sub(/=.*/, "", spec)
	name[i] = substr(spec, 3)
	if (spec !~ /^--[a-z][a-z-]*$/ || length(short[i]) > 1)
		fail("no name of an option: " spec)
	if (name[i] in seen)
		fail("--" name[i] " is there twice")
	if (short[i] != "" && ("-" short[i]) in seen)
		fail("-" short[i] " is there twice")
	seen[name[i]] = seen["-" short[i]] = i
	common[i] = replaying
	last = i
}
# A line of the table at hand, or of common.options when it is included.
function take(s, word, rest) {
	if (s !~ /^@/) {
		add("roff")
		line[items] = s
		return
	}
	word = s
	sub(/ .*/, "", word)
	rest = substr(s, length(word) + 2)
	if (word == "@section") {
		add("section")
		line[items] = heading[items] = rest
	} else if (word == "@heading")
		heading[items] = rest
	else if (word == "@option")
		new_option(rest)
	else if (word == "@words")
		words[last] = rest
	else if (word == "@text")
		text[last] = rest
	else if (word == "@args")
		args[last] = rest
	else if (word == "@hidden")
		hidden[last] = 1
	else if (word == "@operand")
		operand = rest
	else if (word == "@header")
		headers = headers "#include \"" rest "\"\n"
	else if (word == "@include")
		include(rest)
	else if (word == "@manual")
		items = last
	else
		fail("no word of this table: " word)
}
function include(which, i) {
	if (!(which in lines))
		fail("no --" which " in common.options")
	replaying = 1
	for (i = 1; i <= lines[which]; i++)
		take(stored[which, i])
	replaying = 0
}
FNR == 1 {
	table++
}
/^#/ || /^$/ {
	next
}
table == 1 {
	if (/^@option /) {
		at = $NF
		gsub(/^--|[[]?=.*$/, "", at)
	}
	if (!(at in lines))
		shared[++shareds] = at
	stored[at, ++lines[at]] = $0
	next
}
{
	take($0)
}
