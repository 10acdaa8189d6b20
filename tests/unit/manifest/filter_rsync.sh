#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# filter_rsync.sh FILTER_LIST: the same rules to rsync and to us, on a tree whose names are
# made to be trouble. Both must come by the same paths. 77 without rsync, 99 if the tree
# cannot be made.
LC_ALL=C
export LC_ALL
if ! command -v rsync >/dev/null; then
	echo "skipped: rsync is not installed"
	exit 77
fi
list=$(realpath "$1") || exit 99
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
trap 'exit 99' HUP INT TERM

mkdir "$dir/src" && cd "$dir/src" || exit 99
mkdir -p a/foo/x/y/z b/a/foo bar/foo/bar .hid/.in 'sp ace/x' '[a]/x' 'x*y/x' foo/foo/foo \
	A/B/C 'c\d/x' || exit 99
for d in . a a/foo a/foo/x/y/z b/a/foo bar/foo .hid .hid/.in 'sp ace' '[a]' foo/foo A/B; do
	for f in q x.c x.o .x bar 'a b' 'a]' 'a-' 'a\b' 'a*b' 'a?b' 'a[b' '!' '^' '-' '#h' ';s' \
		'~' 'Z9' 'long.tar.gz' '+ p'; do
		[ -d "$d/$f" ] || : >"$d/$f" || exit 99
	done
done
cd .. || exit 99
# parents first, directories with a final slash, ended by NUL
find src -mindepth 1 \( -type d -printf '%P/\0' -o -printf '%P\0' \) >paths

# one NUMBER [-0]: compare under the rules in rules.NUMBER; difference.NUMBER if there is one
one() {
	i=$1
	shift
	rsync -an -8 "$@" --out-format=%n --exclude-from="rules.$i" src/ none/ 2>&1 |
		grep -v '^\./$' | sort >"theirs.$i"
	"$list" "rules.$i" "$@" <paths 2>&1 | sort >"ours.$i"
	cmp -s "theirs.$i" "ours.$i" && return
	{
		printf 'rules %s: < rsync, > ours\n' "$(cat -v "rules.$i")"
		diff "theirs.$i" "ours.$i" | head -10
	} >"difference.$i"
}
# compare [-0]: under what is in ./rules. rsync mostly sleeps, so several run at a time.
n=0
compare() {
	n=$((n + 1))
	mv rules "rules.$n" || exit 99
	one "$n" "$@" &
	[ $((n % 8)) -ne 0 ] || wait
}
# check RULES [-0]: rules as the format of printf
check() {
	# shellcheck disable=SC2059
	printf -- "$1" >rules
	shift
	compare "$@"
}

# where a pattern looks
for p in foo /foo foo/ /foo/ a/foo /a/foo foo/bar foo/foo /foo/foo o/bar foo/x/y a/foo/x/y/z \
	/bar/foo/bar ./foo ../foo / // //foo foo// a//foo . .. q /q '*/q' '*/*/q' '/*/q' \
	'/*/*/q' '**/q' '/**/q' '**q' 'a/**/q' '/a/**/q' '/a/**' 'a/**' 'a/***' '/a/***' '***' \
	'/***' 'foo/***' 'foo***' 'fo***' 'foo/***/' 'x/***' '***/q' '**/' '*/' '/*/' '/*' '*' \
	'**' 'foo**' 'a**x' 'a**/x' 'a**z/' '/a**z' 'f**o/bar' 'foo/*' '/foo/*' 'foo/*/' \
	'*/foo/' '**/foo/' '**foo' '*foo*/bar' 'fo*/bar' 'a/*/x'; do
	printf '%s\n' "$p" >rules
	compare
done
# what one component matches
# shellcheck disable=SC1003
for p in '*.o' 'x.?' '?' '??' '.*' '.?' 'x.[co]' 'x.[!c]' 'x.[^c]' '[[:upper:]]*' '[A-Z]*' \
	'[[:upper:][:digit:]]*' '*[[:digit:]]' '[![:alnum:]]*' '[^[:alpha:].]' '[[:space:]a]*' \
	'[[:foo:]]*' '[[:alpha]*' '[[:alpha:]' '[:alpha:]' '[a' '[' '[]' '[!]' '[]]' 'a[]]' \
	'a[!]]' 'a[]-]' 'a[-]' 'a[a-]' 'a[--]' 'a[+--]' 'a[z-a]' 'a[\]]' 'a[\-]' \
	'a[+\--]' '[!!]' '[!^]' '[^!]' '[^^]' '[\^]' '[\!]' 'a[/]q' 'a[!x]q' 'foo[!x]bar' \
	'foo?bar' 'foo[.-0]bar' '[[]a]' '[a]' '\[a]' '[[]*' 'a\b' 'a\b*' 'a\\b' \
	'a\\b*' 'a\*b' 'a*b' 'a?b' 'a\?b' 'a\[b' 'a[[]b' 'x*y' 'x\*y' 'c\d' \
	'c?d/x' 'c\d/x' 'c\d/?' 'c\\d/?' '*\' 'a \*' '*\*\*' '\**' \
	'a b' 'a b ' ' a b' '~' '*.tar.*' '*.gz' 'long**' 'l*g*t*r*z' '*a*b' '**a**b' '?*?*?*?*?*'; do
	printf '%s\n' "$p" >rules
	compare
done
# rules among themselves, and how a file of rules is read
check '+ */\n+ *.c\n- *\n'
check '+ /a/\n+ /a/foo/***\n- *\n'
check '+ foo/\n+ foo/bar\n- *\n'
check '+ **/\n+ **.o\n- **\n'
check '- *.o\n+ x.o\n'
check '+ x.o\n*.o'
check 'x.c\n!\nx.o\n'
check 'x.c\n! \nx.o\n'
check 'x.c\n!q\nx.o\n'
check '#h\n;s\n'
check '- #h\n- ;s\n'
check '#h\0;s\0q\0' -0
check 'x.c\0!\0x.o\0q' -0
check 'x.c\nq\0- x.o\0' -0
check 'x.c\r\nx.o\rq\n\n\r\n.x'
check '+ + p\n- + p\n'
check '- + p\n'
check '-  q\n-q\n'
check '+q\nq \n'
check '\tq\nq\t\n'
check '-\n+\n!\n'
check ''

wait
all=$(tr -dc '\0' <paths | wc -c)
[ "$(wc -l <"theirs.$n")" -eq "$all" ] || exit 99 # without rules rsync lists everything
failed=$(find . -maxdepth 1 -name 'difference.*' | wc -l)
[ "$failed" -eq 0 ] || cat difference.*
echo "$n sets of rules on $all paths, $failed differ"
[ "$failed" -eq 0 ]
