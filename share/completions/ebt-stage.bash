# SPDX-License-Identifier: BSD-3-Clause
# bash completion of ebt-stage.
# shellcheck shell=bash

_ebt_stage() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} before=
	local -r flags='--relative --null --no-xattrs --per-rank --dry-run --list --verify
		--recover --json --verbose --help --version'
	local -r valued='--files-from= --exclude= --include= --exclude-from= --overwrite=
		--readers= --io-threads= --write-threads= --algo= --parcel= --window= --memory=
		--timeout= --link= --latency= --simulate= --progress='

	COMPREPLY=()
	# bash splits --name=value at the sign.
	if [[ $prev == = ]] && ((COMP_CWORD >= 2)); then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	elif [[ $cur == = && $prev == --* ]]; then
		cur=
	elif [[ $cur == --*=* ]]; then # = is not in COMP_WORDBREAKS
		prev=${cur%%=*} before=${cur%%=*}= cur=${cur#*=}
	fi
	case $prev in
	--algo) mapfile -t COMPREPLY < <(compgen -P "$before" -W \
		'auto chain two-tree circulant binomial mpi-bcast' -- "$cur") ;;
	--overwrite) mapfile -t COMPREPLY < <(compgen -P "$before" -W \
		'refuse always update' -- "$cur") ;;
	--progress) mapfile -t COMPREPLY < <(compgen -P "$before" -W \
		'auto always never' -- "$cur") ;;
	--readers) mapfile -t COMPREPLY < <(compgen -P "$before" -W auto -- "$cur") ;;
	--files-from | --exclude-from)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -P "$before" -f -- "$cur")
		;;
	--simulate)
		compopt -o nospace 2>/dev/null
		[[ $cur != *,* ]] || before+=${cur%,*}, cur=${cur##*,}
		mapfile -t COMPREPLY < <(compgen -P "$before" -W \
			'nodes= bytes= readers= link= latency= read= write= algo= parcel=' -- "$cur")
		;;
	--exclude | --include | --io-threads | --write-threads | --parcel | --window | --memory | \
		--timeout | --link | --latency) ;;
	*)
		if [[ $cur == -* ]]; then
			mapfile -t COMPREPLY < <(compgen -W "$flags $valued" -- "$cur")
			[[ ${#COMPREPLY[@]} != 1 || ${COMPREPLY[0]} != *= ]] || compopt -o nospace 2>/dev/null
		else
			compopt -o filenames 2>/dev/null
			mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		fi
		;;
	esac
}
complete -F _ebt_stage ebt-stage
