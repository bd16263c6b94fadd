#!/usr/bin/env bash
# replay-nab.sh FILE [WINDOWS] - the temperature of an industrial machine before and at its failure (NAB), to alerts.
#
# What it shows: a detector without a training set. Every reading is compared with the stream's own past (streaming ECOD),
# by the mean and spread of the last 10, 50 and 200 readings (50 minutes, 4 hours, 17 hours):
#
#     psa-replay | psa-features --rolling | psa-score --ecod | psa-alert
#
# One row in a hundred may lie above the threshold; an alert is raised when half an hour of the last hour does and cleared
# after a quiet hour, and told again every half day in between. Nothing looks ahead; WINDOWS, NAB's windows.json (by default beside FILE), only makes the table at
# the end. The settings were chosen among some twenty tried on this one file.
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
    "$BIN/psa-features" --rolling mean,std@10,50,200 |
    "$BIN/psa-score" --ecod --warmup 200 --contamination 0.01 |
    "$BIN/psa-alert" --raise 6/12 --clear 12 --cooldown 12h |
    tee "$work/alerts" |
    jq -r --unbuffered "$show"

[ -e "$windows" ] || { echo "no labels: $windows is missing" >&2; exit 0; }

# NAB's windows are "2013-12-10 06:25:00.000000", UTC. An alert lasts from its raised line to its cleared one.
events='
    def seconds: .[:19] | strptime("%Y-%m-%d %H:%M:%S") | mktime;
    [$windows[0][$name][] | {from: (.[0] | seconds), to: (.[1] | seconds)}] as $windows |
    ([.[] | select(.alert.state == "cleared") | {(.alert.id): (.timestamp_ns / 1e9)}] | add // {}) as $cleared |
    [.[] | select(.alert.state == "raised") | {id: .alert.id, from: (.timestamp_ns / 1e9)} |
        .to = ($cleared[.id] // infinite)] | unique_by(.id) | sort_by(.from) | . as $events |
    def meet($a; $b): $a.from <= $b.to and $a.to > $b.from;'

table='
    ["labelled window", "found", "first alert", "hours after its begin"],
    ($windows[] | . as $w | ([$events[] | select(meet(.; $w))] | first) as $hit |
        ["\($w.from | todate) to \($w.to | todate)"] +
        if $hit then ["yes", ($hit.from | todate), (($hit.from - $w.from) / 360 | round / 10)] else ["no", "-", "-"] end)
    | @tsv'

total='
    "windows \($windows | length), found \([$windows[] | . as $w | select(any($events[]; meet(.; $w)))] | length), alerts \(
        $events | length), false alarms \([$events[] | . as $e | select(any($windows[]; meet($e; .)) | not)] | length)"'

judge() { jq -r -s --arg name "$(basename "$file")" --slurpfile windows "$windows" "$events $1" "$work/alerts"; }

echo
judge "$table" | awk -F '\t' '{ printf "%-44s %5s  %-20s %21s\n", $1, $2, $3, $4 }'
echo
judge "$total"
