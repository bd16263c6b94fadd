#!/usr/bin/env bash
# replay-skab.sh FILE... - real recordings of a pump with a valve being closed (SKAB), from CSV to alerts, and judged.
#
#     psa-replay | psa-score --dynamic-pca | psa-alert
#
# Of each recording the first 400 rows, when all was well, are learned from; every later row is judged before the next is
# read, and what was normal goes on being learned. The settings are the defaults, the same for all files. Nothing looks at
# the labels but psa-eval, which makes the table at the end by SKAB's protocol (always alarming has F1 0.70 and FAR 1).
# skab-detectors.sh does the same with every detector there is.
# shellcheck disable=SC2016 # $names within single quotes are jq's
set -euo pipefail

BIN=${PSA_BIN:-$(dirname "$0")/../bin}

[ $# -gt 0 ] || { echo "usage: replay-skab.sh FILE..." >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# One alert a line, for people. jq rounds nanoseconds to 256 ns, which these lines do not show.
show='"\(.timestamp_ns / 1e9 | todate)  \(.sensor_id)  \(.alert.state)  \(.alert.severity)  \(.alert.reason)"'

"$BIN/psa-replay" --id-from path "$@" |
    "$BIN/psa-score" --dynamic-pca --lags 5,8,12 --warmup 400 |
    tee "$work/scored" |
    "$BIN/psa-alert" --clear 10 --silent 0 |
    jq -r --unbuffered "$show"
echo
"$BIN/psa-eval" --skip 400 --each "$work/scored"
