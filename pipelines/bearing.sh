#!/usr/bin/env bash
# bearing.sh [OPTION]... FILE - what ails a rolling bearing, from a recording of its vibration.
#
#     psa-replay | psa-features --set bearing | jq
#
# FILE is a sound file (WAV, FLAC, AIFF, W64 ...), psa's own records, or - for standard input. A damaged race or ball is
# struck at a frequency that the bearing's geometry tells; each strike rings at the housing's resonances. So the signal is
# taken in a band of such resonances, its envelope made, and the highest line of the envelope's spectrum from 10 to 500 Hz
# is looked up among the expected frequencies and their first four harmonics (a ball strikes twice a turn, so the second of its
# strikes is the fourth of its turning), up to 2 % off, for rolling elements slip. A line that stands less than six times
# above its surroundings is noise. Each second is judged by itself; the verdict is what most of them say, and none if fewer
# than half do.
#
# The last line is `verdict: outer race`, inner race, ball, cage or none; before it stands what it rests on. The defaults are
# the bearing and the speed of MFPT's recordings:
#
#     --bearing n,d,D,angle   8,0.235,1.245,0: rolling elements, their diameter, the pitch diameter, the contact angle
#     --rpm N                 1500: the shaft's speed
#     --bearing-hz LIST       instead of both: bpfo=81.1,bpfi=118.9,bsf=63.9,ftf=10.1, as far as known
#     --envelope LOW:HIGH     500:5000 (Hz), around the resonances; it must lie below half the sampling rate
#     --length TIME           1s: of a window. Lines are 1/TIME apart and should lie closer than 2 % of what is looked for
#
#     pipelines/bearing.sh ../shared/data/mfpt/inner_1.wav
#     psa-sim --scene bearing-outer | pipelines/bearing.sh -
#     pipelines/bearing.sh --bearing 9,7.94,39.04,0 --rpm 1772 --envelope 2000:4000 drive-end.wav
# shellcheck disable=SC2016 # $names within single quotes are jq's
set -euo pipefail

BIN=${PSA_BIN:-$(dirname "$0")/../bin}
bearing=8,0.235,1.245,0 rpm=1500 hz='' envelope=500:5000 length=1s

usage() { echo 'usage: bearing.sh [--bearing n,d,D,angle --rpm N | --bearing-hz LIST] [--envelope LOW:HIGH] [--length TIME] FILE' >&2; exit 2; }
while [ $# -gt 1 ]; do
    case $1 in
    --bearing) bearing=$2 ;;
    --rpm) rpm=$2 ;;
    --bearing-hz) hz=$2 ;;
    --envelope) envelope=$2 ;;
    --length) length=$2 ;;
    *) usage ;;
    esac
    shift 2
done
case ${1:-} in '' | --*) usage ;; esac
for tool in jq "$BIN/psa-replay" "$BIN/psa-features"; do
    command -v "$tool" >/dev/null || { echo "bearing.sh: '$tool' is missing; run make, or set PSA_BIN" >&2; exit 2; }
done
options=(--bearing "$bearing" --rpm "$rpm")
[ -z "$hz" ] || options=(--bearing-hz "$hz")

# One row for each channel and each thing that was said of it. A row shows the window whose line stands out as the median one
# does. What is left at the end of a recording counts if it is half a window.
table='
    def round(digits): pow(10; digits) as $p | . * $p + 0.5 | floor / $p;
    [.[] | select(.bearing) | .window.n as $n | {sensor: .sensor_id, $n} + (.bearing | to_entries[] | {field: .key} + .value)] |
    (map(.n) | max) as $most | map(select(.n >= $most / 2)) |
    group_by([.sensor, .field]) |
    map(length as $n | group_by(.verdict) |
        map(sort_by(.ratio) | .[length / 2 | floor] + {windows: length, of: $n})[]) |
    (map(select(.verdict != "none" and .windows * 2 >= .of)) | max_by(.ratio) | .verdict // "none") as $verdict |
    (["sensor", "field", "verdict", "windows", "line Hz", "expected Hz", "off %", "harmonic", "ratio"],
    (.[] | [.sensor, .field, .verdict, "\(.windows) of \(.of)",
        if .line_hz then (.line_hz | round(2)) else "-" end,
        if .expected_hz then (.expected_hz | round(2)), ((.line_hz / .expected_hz - 1) * 100 | round(2)), .order
        else "-", "-", "-" end,
        if .ratio then (.ratio | round(1)) else "-" end])),
    ["verdict: \($verdict)"] | @tsv'

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$BIN/psa-replay" "$1" |
    "$BIN/psa-features" --length "$length" --partial --max-samples 10000000 --set bearing --harmonics 4 \
        --envelope "$envelope" "${options[@]}" >"$work/windows"
if ! grep -q '"bearing":{' "$work/windows"; then
    echo "bearing.sh: $1: no samples to judge, or no rate_hz beside them" >&2
    exit 1
fi
jq -s -r "$table" "$work/windows" |
    awk -F '\t' 'NF == 1 { print; next }
        { printf "%-12s %-8s %-10s %10s %9s %11s %7s %8s %7s\n", $1, $2, $3, $4, $5, $6, $7, $8, $9 }'
