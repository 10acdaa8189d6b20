# SPDX-License-Identifier: BSD-3-Clause
#
# Completion of a command for one shell, from the table of its options, after src/cmd/options/options.awk:
# -v shell=bash|zsh|fish -v program=ebt-stage
# The names after @pairs.
function pairs(i) {
	return substr(words[i], 8)
}
function is_pairs(i) {
	return words[i] ~ /^@pairs /
}

# Branches of `case` for what a value may be.
function bash_values(i, list) {
	if (words[i] == "@file" || words[i] == "@dir") {
		printf "\t--%s)\n", name[i]
		print "\t\tcompopt -o filenames 2>/dev/null"
		printf "\t\tmapfile -t COMPREPLY < <(compgen -P \"$before\" -%s -- \"$cur\")\n",
			words[i] == "@dir" ? "d" : "f"
		print "\t\t;;"
	} else if (is_pairs(i)) {
		list = pairs(i)
		gsub(/ /, "= ", list)
		printf "\t--%s)\n", name[i]
		print "\t\tcompopt -o nospace 2>/dev/null"
		print "\t\t[[ $cur != *,* ]] || before+=${cur%,*}, cur=${cur##*,}"
		printf "\t\tmapfile -t COMPREPLY < <(compgen -P \"$before\" -W '%s=' -- \"$cur\")\n", list
		print "\t\t;;"
	} else if (words[i] != "") {
		printf "\t--%s) mapfile -t COMPREPLY < <(compgen -P \"$before\" -W '%s' -- \"$cur\") ;;\n",
			name[i], words[i]
	} else if (value[i] != "") {
		printf "\t--%s) ;;\n", name[i]
	}
}
function bash(i, f, list) {
	f = program
	gsub(/-/, "_", f)
	for (i = 1; i <= n; i++)
		list = list (i > 1 ? " " : "") "--" name[i] (value[i] != "" ? "=" : "")
	print "# bash completion of " program "."
	print "# shellcheck shell=bash"
	printf "\n_%s() {\n", f
	print "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} before="
	printf "\tlocal -r options='%s'\n", list
	print "\n\tCOMPREPLY=()"
	print "\t# bash splits --name=value at the sign."
	print "\tif [[ $prev == = ]] && ((COMP_CWORD >= 2)); then"
	print "\t\tprev=${COMP_WORDS[COMP_CWORD - 2]}"
	print "\telif [[ $cur == = && $prev == --* ]]; then"
	print "\t\tcur="
	print "\telif [[ $cur == --*=* ]]; then # = is not in COMP_WORDBREAKS"
	print "\t\tprev=${cur%%=*} before=${cur%%=*}= cur=${cur#*=}"
	print "\tfi"
	print "\tcase $prev in"
	for (i = 1; i <= n; i++)
		bash_values(i)
	print "\t*)"
	print "\t\tif [[ $cur == -* ]]; then"
	print "\t\t\tmapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$cur\")"
	print "\t\t\t[[ ${#COMPREPLY[@]} != 1 || ${COMPREPLY[0]} != *= ]] || compopt -o nospace 2>/dev/null"
	print "\t\telse"
	print "\t\t\tcompopt -o filenames 2>/dev/null"
	printf "\t\t\tmapfile -t COMPREPLY < <(compgen -%s -- \"$cur\")\n",
		operand == "@dir" ? "d" : "f"
	print "\t\tfi"
	print "\t\t;;"
	print "\tesac"
	print "}"
	printf "complete -F _%s %s\n", f, program
}

# What _arguments does with a value.
function zsh_action(of, i, list, k, m, each) {
	if (of == "@file")
		return "_files"
	if (of == "@dir")
		return "_files -/"
	if (of !~ /^@pairs /)
		return of == "" ? "" : "(" of ")"
	m = split(pairs(i), each, " ")
	for (k = 1; k <= m; k++)
		list = list " " each[k] "\\:VALUE\\:"
	return "_values -s , SPEC" list
}
function zsh(i, long, again) {
	print "#compdef " program
	print "# zsh completion of " program "."
	print "\n_arguments -s -S \\"
	for (i = 1; i <= n; i++) {
		long = "--" name[i] (value[i] != "" ? "=" : "")
		again = many[i] ? "*" : ""
		if (short[i] == "")
			printf "\t'%s%s", again, long
		else if (many[i])
			printf "\t'*'{-%s,%s}'", short[i], long
		else
			printf "\t'(-%s --%s)'{-%s,%s}'", short[i], name[i], short[i], long
		printf "[%s]", text[i]
		if (value[i] != "")
			printf ":%s:%s", value[i], zsh_action(words[i], i)
		print "' \\"
	}
	printf "\t'*:%s:%s'\n", operand == "@dir" ? "directory" : "file", zsh_action(operand, 0)
}

function fish(i, list) {
	print "# fish completion of " program "."
	if (operand == "@dir")
		printf "complete -c %s -f -a '(__fish_complete_directories)'\n", program
	for (i = 1; i <= n; i++) {
		printf "complete -c %s", program
		if (short[i] != "")
			printf " -s %s", short[i]
		printf " -l %s", name[i]
		if (is_pairs(i)) {
			list = pairs(i)
			gsub(/ /, "= ", list)
			printf " -x -a '(__fish_complete_list , \"string split \\\\  \\\"%s=\\\"\")'", list
		} else if (words[i] == "@dir") {
			printf " -x -a '(__fish_complete_directories)'"
		} else if (words[i] == "@file") {
			printf " -r -F"
		} else if (words[i] != "") {
			printf " -x -a '%s'", words[i]
		} else if (value[i] != "") {
			printf " -x"
		}
		printf " -d '%s'\n", text[i]
	}
}
# Options that are shown, as 1..n; none of the shells then needs anything escaped.
function pick(i) {
	for (i = 1; i <= items; i++) {
		if (item[i] != "option" || hidden[i])
			continue
		n++
		name[n] = name[i]
		short[n] = short[i]
		# One that may be missing is not asked for: the next word is none.
		value[n] = optional[i] ? "" : value[i]
		many[n] = many[i]
		words[n] = words[i]
		text[n] = text[i]
		sub(/ *[;:(].*/, "", text[n])
		if (words[n] text[n] ~ /['"`$\\:[\]]/)
			fail("--" name[n] ": quotes, brackets, colons and the like are not for completions")
	}
}
END {
	if (failed)
		exit 1
	pick()
	if (shell == "bash")
		bash()
	else if (shell == "zsh")
		zsh()
	else if (shell == "fish")
		fish()
	else
		exit 1
}
