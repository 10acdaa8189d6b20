# SPDX-License-Identifier: BSD-3-Clause
#
# A page of the manual, after options.awk: -v page=ebt-stage.1.in, which has the list of options where it
# says @OPTIONS@.
function entry(i, s) {
	s = "Fl "
	if (short[i] != "")
		s = s short[i] " , "
	s = s "-" name[i]
	if (optional[i])
		s = s " Ns Op = Ns Ar " value[i]
	else if (value[i] ~ /=/)
		s = s "= Ns Ar " substr(value[i], 1, index(value[i], "=") - 1) " Ns Li = Ns Ar " \
			substr(value[i], index(value[i], "=") + 1)
	else if (value[i] != "")
		s = s "= Ns Ar " value[i]
	return s
}
function print_list(i, open) {
	for (i = 1; i <= items; i++) {
		if (item[i] == "option") {
			if (hidden[i])
				continue
			printf "%s%s", open ? " , " : ".It ", entry(i)
			open = 1
			continue
		}
		if (open)
			print ""
		open = 0
		print (item[i] == "section" ? ".Ss " : "") line[i]
	}
}
END {
	if (failed)
		exit 1
	while ((got = (getline s <page)) > 0) {
		if (s == "@OPTIONS@")
			print_list()
		else
			print s
	}
	if (got < 0) {
		printf "%s: cannot be read\n", page >"/dev/stderr"
		exit 1
	}
}
