#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Includes follow src/layers.txt: a folder includes what its line names, lines only name
# folders above them, every folder has a line, third-party headers stay where an @ line puts
# them. A header of the own folder is included by its full name too. A public header may need
# a third-party header; then only folders where that one is at home include it.
set -eu
cd "$1"
# shellcheck disable=SC2016 # awk's fields
find include src -name '*.[ch]' -type f | sort | xargs awk '
function complain(where, text) {
	printf "%s: %s\n", where, text
	bad = 1
}
BEGIN {
	while ((getline line < "src/layers.txt") > 0) {
		at = "src/layers.txt:" ++number
		sub(/#.*/, "", line)
		if (line !~ /[^ \t]/)
			continue
		if (line !~ /^@?[a-z0-9_.\/]+:/) {
			complain(at, "not \"folder: folders\" or \"@header: folders\"")
			continue
		}
		split(line, half, ":")
		n = split(half[2], word, " ")
		if (half[1] ~ /^@/) {
			header = substr(half[1], 2)
			guarded[header] = half[2]
			for (i = 1; i <= n; i++)
				if (word[i] in known)
					home[header, word[i]] = 1
				else
					complain(at, "no folder " word[i])
			continue
		}
		known[half[1]] = 1
		if (system("test -d src/" half[1]) != 0)
			complain(at, "no folder src/" half[1])
		may[half[1], half[1]] = 1
		for (i = 1; i <= n; i++) {
			if (!(word[i] in known))
				complain(at, half[1] " names " word[i] ", which is not above it")
			may[half[1], word[i]] = 1
		}
	}
	if (!number)
		complain("src/layers.txt", "missing or empty")
}
FNR == 1 {
	n = split(FILENAME, part, "/")
	folder = part[1] == "src" && n > 2 ? part[2] : ""
	if (part[1] == "src" && n == 2)
		complain(FILENAME, "a source file lives in a folder of src/")
	else if (folder != "" && !(folder in known) && !told[folder]++)
		complain(FILENAME, "folder " folder " is not in src/layers.txt")
	files++
}
/^[ \t]*#[ \t]*include[ \t]*[<"]/ {
	name = $0
	sub(/^[^<"]*[<"]/, "", name)
	sub(/[>"].*/, "", name)
	quoted = $0 ~ /include[ \t]*"/
	at = FILENAME ":" FNR
	if (name ~ /^ebt\//) {
		m = split(needs["include/" name], part, " ")
		for (i = 1; i <= m; i++)
			if (folder == "")
				needs[FILENAME] = needs[FILENAME] " " part[i]
			else if (!((part[i], folder) in home))
				complain(at, name " brings " part[i] ", which belongs to:" \
					guarded[part[i]])
		next
	}
	if (name in guarded) {
		if (folder == "")
			needs[FILENAME] = needs[FILENAME] " " name
		else if (!((name, folder) in home))
			complain(at, name " belongs to:" guarded[name])
		next
	}
	n = split(name, part, "/")
	if (folder == "") {
		if (quoted)
			complain(at, "a public header includes public headers only")
	} else if (n > 1 && part[1] in known) {
		if (!((folder, part[1]) in may))
			complain(at, folder " may not include " part[1])
	} else if (quoted) {
		complain(at, "\"" name "\": write \"folder/header.h\"")
	}
}
END {
	if (!files)
		complain("src", "no source files")
	exit bad
}' || exit 1
