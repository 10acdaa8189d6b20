# SPDX-License-Identifier: BSD-3-Clause
# bash completion of ebt-drain.
# shellcheck shell=bash

_ebt_drain() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} before=
	local -r flags='--null --no-xattrs --missing-ok --delete --per-rank --atomic --verify
		--restart --dry-run --json --verbose --help --version'
	local -r valued='--exclude= --include= --exclude-from= --conflict= --overwrite=
		--stripe-count= --max-stripe-count= --stripe-size= --writers= --creators=
		--creates= --io-threads= --memory= --rate= --timeout= --link= --ost-rate=
		--mds-rate= --latency= --watch= --simulate= --progress='

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
	--conflict) mapfile -t COMPREPLY < <(compgen -P "$before" -W \
		'error merge newest suffix' -- "$cur") ;;
	--overwrite) mapfile -t COMPREPLY < <(compgen -P "$before" -W \
		'refuse always update' -- "$cur") ;;
	--progress) mapfile -t COMPREPLY < <(compgen -P "$before" -W \
		'auto always never' -- "$cur") ;;
	--writers | --creators | --stripe-count) mapfile -t COMPREPLY < <(compgen -P "$before" \
		-W auto -- "$cur") ;;
	--exclude-from)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -P "$before" -f -- "$cur")
		;;
	--simulate)
		compopt -o nospace 2>/dev/null
		[[ $cur != *,* ]] || before+=${cur%,*}, cur=${cur##*,}
		mapfile -t COMPREPLY < <(compgen -P "$before" -W \
			'nodes= targets= files= size= spread= skew= writers= slow= slow-known= ost=
			shared= writer= link= read= mds= latency= in-flight= stripe-count=
			max-stripe-count= stripe-size=' -- "$cur")
		;;
	--exclude | --include | --max-stripe-count | --stripe-size | --creates | --io-threads | \
		--memory | --rate | --timeout | --link | --ost-rate | --mds-rate | --latency | \
		--watch) ;;
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
complete -F _ebt_drain ebt-drain
