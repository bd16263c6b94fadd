#!/usr/bin/env bash
# replay-nab.sh FILE [WINDOWS] - the temperature of an industrial machine before and at its failure (NAB), to alerts.
#
#     psa-replay | psa-score --conformal | psa-alert
#
# What it shows: a detector for one slow value, without a training set. Each reading, one in five minutes, is compared with
# the last five weeks: with the hour's usual value, by the shape of the last day, by its range. --rest 2016: of a long fault
# only what is odder than anything of the week before is told again. Nothing looks ahead; WINDOWS, NAB's windows.json (by
# default beside FILE), is read by psa-eval alone, which makes the tables at the end.
# shellcheck disable=SC2016 # $names within single quotes are jq's
set -euo pipefail

BIN=${PSA_BIN:-$(dirname "$0")/../bin}

[ $# -ge 1 ] || { echo "usage: replay-nab.sh FILE [WINDOWS]" >&2; exit 2; }
file=$1
windows=${2:-$(dirname "$file")/windows.json}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

show='"\(.timestamp_ns / 1e9 | todate)  \(.alert.state)  \(.alert.severity)  \(.alert.reason)"'

"$BIN/psa-replay" "$file" |
    "$BIN/psa-score" --conformal --rest 2016 |
    tee "$work/scored" |
    "$BIN/psa-alert" --clear 12 --cooldown 12h --silent 0 |
    jq -r --unbuffered "$show"

[ -e "$windows" ] || { echo "no labels: $windows is missing" >&2; exit 0; }
echo
"$BIN/psa-eval" --windows "$windows" --skip nab "$work/scored"
