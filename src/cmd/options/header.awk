# SPDX-License-Identifier: BSD-3-Clause
#
# A header of C from a table, after options.awk. Of a command: OPT_* of its own, the tables of getopt_long(3)
# and what --help says of options. With -v program=common: only CMD_OPT_* of what all share. They are two
# enums, of options without and with a value: a switch over each has no default, and so the compiler
# names an option that nothing acts on.
function constant(i, s) {
	s = toupper(name[i])
	gsub(/-/, "_", s)
	return (common[i] ? "CMD_OPT_" : "OPT_") s
}
function enums(prefix, first, with, begun, number) {
	for (with = 0; with < 2; with++) {
		begun = 0
		for (i = 1; i <= items; i++) {
			if (item[i] != "option" || common[i] + 0 != (program == "common") || (value[i] != "") != with)
				continue
			if (!begun++)
				printf "enum %s_%s {\n", prefix, with ? "value" : "flag"
			printf "\t%s = %s,\n", constant(i), short[i] != "" ? "'" short[i] "'" : first + ++number
		}
		if (begun)
			print "};"
	}
}
function quoted(s) {
	gsub(/\\/, "\\\\", s)
	gsub(/"/, "\\\"", s)
	return "\"" s "\""
}
# A heading, usage apart: as it is. An option: its text from column 26 on, in 80 columns.
function print_help(i, left, all, n, i_word, word, row) {
	if (text[i] == "")
		fail("--" name[i] " has no @text")
	left = short[i] != "" ? "  -" short[i] ", " : "      "
	left = left "--" name[i]
	if (value[i] != "")
		left = left (optional[i] ? "[=" value[i] "]" : "=" value[i])
	all = words[i]
	sub(/^@pairs /, "", all)
	gsub(/ /, ", ", all)
	n = index(text[i], "@words")
	all = n ? substr(text[i], 1, n - 1) all substr(text[i], n + 6) : text[i]
	if (args[i] == "")
		gsub(/%/, "%%", all)
	printf "\tfprintf(out,"
	if (length(left) > 24) {
		printf "\n\t\t%s", quoted(left) " \"\\n\""
		left = ""
	}
	row = sprintf("%-24s", left)
	n = split(all, word, " ")
	for (i_word = 1; i_word <= n; i_word++) {
		# What stands for a number may become as long as one.
		if (length(row) + length(word[i_word]) + 1 > 80) {
			printf "\n\t\t%s", quoted(row) " \"\\n\""
			row = sprintf("%-24s", "")
		}
		row = row " " word[i_word]
	}
	printf "\n\t\t%s%s);\n", quoted(row) " \"\\n\"", args[i] != "" ? ", " args[i] : ""
}
END {
	if (failed)
		exit 1
	print "/* Made from a table in src/cmd/options by header.awk. */"
	if (program == "common") {
		for (i = 1; i <= shareds; i++)
			include(shared[i])
		enums("cmd", 256)
		exit
	}
	print "#include <getopt.h>\n#include <stdio.h>\n"
	print headers "#include \"cmd/common_options.h\"\n"
	enums("opt", 512)
	print "\nstatic const struct option long_options[] = {"
	shorts = ":"
	for (i = 1; i <= items; i++) {
		if (item[i] != "option")
			continue
		shorts = shorts short[i] (short[i] != "" && value[i] != "" ? ":" : "")
		printf "\t{\"%s\", %s_argument, NULL, %s},\n", name[i],
			optional[i] ? "optional" : value[i] != "" ? "required" : "no", constant(i)
	}
	print "\t{NULL, 0, NULL, 0},\n};"
	printf "#define SHORT_OPTIONS \"%s\"\n\n", shorts
	print "/* A blank line, a heading and its options, again and again. */"
	print "static inline void print_options(FILE *out)\n{"
	for (i = 1; i <= items; i++) {
		if (item[i] == "section") {
			gsub(/%/, "%%", heading[i])
			printf "\tfprintf(out, \"\\n\" %s \":\\n\");\n", quoted(heading[i])
		} else if (item[i] == "option" && !hidden[i])
			print_help(i)
	}
	print "}"
}
