#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Completions of all shells: each, asked in its own shell, offers the options that the help
# shows and the values that the parser takes. zsh and fish only where they are installed.
. "$(dirname "$0")/lib.sh"
share=$(cd "$BIN/../../share" && pwd)

# Lines of candidates for the command line $1, of which the last word is being typed.
complete_bash() {
	bash --norc -c '
		source "$1"
		compopt() { :; }
		read -ra COMP_WORDS <<<"$2"
		[[ $2 != *" " ]] || COMP_WORDS+=("")
		COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
		"_${COMP_WORDS[0]//-/_}"
		((${#COMPREPLY[@]} == 0)) || printf "%s\n" "${COMPREPLY[@]}"' \
		bash "$share/${1%% *}" "$1"
}
# zsh only completes for a terminal: in one of its own it prints what it has, and leaves.
complete_zsh() {
	cat >"$WORK/inside.zsh" <<-'END'
		autoload -U compinit
		compinit -u -D
		said=()
		compadd() {
			local -a got
			local suffix i
			builtin compadd -A got "$@"
			for ((i = 1; i <= $#; i++)); do
				[[ ${@[i]} != -*S ]] || suffix=${@[i+1]}
				[[ ${@[i]} != -qS?* ]] || suffix=${@[i]#-qS}
			done
			said+=(${got/%/$suffix})
			builtin compadd "$@"
		}
		start() { print START }
		stop() { print -rl -- $said STOP; exit }
		compprefuncs=(start)
		comppostfuncs=(stop)
		bindkey "^I" complete-word
		print RE''ADY
	END
	cat >"$WORK/outside.zsh" <<-'END'
		zmodload zsh/zpty
		zpty inside zsh -f -i
		zpty -w inside "PROMPT= RPROMPT= fpath=(${(q)1} \$fpath); unsetopt beep"
		zpty -w inside "source ${(q)3}"
		while zpty -r inside line; do [[ $line != *READY* ]] || break; done
		zpty -n -w inside "$2"$'\t'
		while zpty -r inside line; do
			line=${line%$'\r'*}
			[[ $line != STOP ]] || break
			[[ -z $started ]] || print -r -- "$line"
			[[ $line != *START ]] || started=1
		done
		zpty -d inside
	END
	timeout -k 5 60 zsh -f "$WORK/outside.zsh" "$share" "$1" "$WORK/inside.zsh" </dev/null
}
complete_fish() {
	# shellcheck disable=SC2016 # fish expands it
	HOME=$WORK fish --no-config -c 'source $argv[1]; complete -C $argv[2]' \
		"$share/${1%% *}.fish" "$1" | cut -f1
}

# offers SHELL LINE WORD...: exactly these, a = or slash at the end left out
offers() {
	local shell=$1 line=$2 got
	shift 2
	CHECKS=$((CHECKS + 1))
	got=$("complete_$shell" "$line" | sed 's/^.*[=,]\(.\)/\1/; s/[=/]$//' | sort -u | paste -sd' ')
	[ "$got" = "$(printf '%s\n' "$@" | sort -u | paste -sd' ')" ] ||
		fail "$shell: '$line' offers '$got', not '$*'"
}

# Words that the parser names when it refuses one.
words() {
	"$BIN/$1" "$2=no-such-word" --help 2>&1 | sed -n 's/.*must be one of //p' | tr -d ','
}

judge() {
	local shell=$1 program option
	if ! command -v "$shell" >/dev/null; then
		echo "not tried: $shell is not installed"
		return
	fi
	for program in ebt-stage ebt-drain; do
		# Long ones: fish offers short ones too.
		CHECKS=$((CHECKS + 1))
		"complete_$shell" "$program --" | grep -o -- '^--[a-z][a-z-]*' | sort -u \
			>"$WORK/offered"
		"$BIN/$program" --help | grep -o -- '--[a-z][a-z-]*' | sort -u >"$WORK/in_help"
		diff "$WORK/in_help" "$WORK/offered" || fail "$shell: options of $program"
		for option in --overwrite --progress; do
			# shellcheck disable=SC2046 # a list
			offers "$shell" "$program $option=" $(words "$program" "$option")
		done
	done
	# shellcheck disable=SC2046 # a list
	offers "$shell" "ebt-drain --conflict=" $(words ebt-drain --conflict)
	# shellcheck disable=SC2086 # a list
	offers "$shell" "ebt-stage --algo=" $algos
	offers "$shell" "ebt-stage --readers=" auto
	offers "$shell" "ebt-drain --conflict=m" merge
	offers "$shell" "ebt-drain --simulate=slow=0.5,slow" slow slow-known
	for option in $("complete_$shell" 'ebt-stage --simulate=' |
		sed 's/.*simulate=//; s/=$//'); do
		CHECKS=$((CHECKS + 1))
		grep -qw -- "$option" <<<"$names" || fail "$shell: --simulate=$option"
	done
	offers "$shell" "ebt-stage inp" input
	offers "$shell" "ebt-stage --unpack inp" input
	offers "$shell" "ebt-stage --files-from=inp" input
	offers "$shell" "ebt-drain in" inside
}

names=$("$BIN/ebt-stage" --simulate=no-such-name=1 2>&1 | sed 's/.*must be one of //; s/,//g')
[ "$(words ebt-stage --overwrite | wc -w)" -eq 4 ] || fail "no words of --overwrite"
# The parser names none of these.
algos=$("$BIN/ebt-stage" --help | tr '\n' ' ' | sed 's/.*--algo=NAME *schedule: \([^(]*\).*/\1/' | tr -d ',')
[ "$(wc -w <<<"$algos")" -gt 3 ] || fail "no words of --algo: $algos"
for algo in $algos; do
	check "--algo=$algo" "$BIN/ebt-stage" "--algo=$algo" --help >"$WORK/out"
done
[ "$(wc -w <<<"$names")" -gt 5 ] || fail "no names of --simulate"
mkdir -p "$WORK/d/inside"
: >"$WORK/d/input"
cd "$WORK/d" || exit 99
judge bash
judge zsh
judge fish
finish
