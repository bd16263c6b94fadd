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
# above its surroundings is noise, and a harmonic counts only if its fundamental shows too. Each second is judged by itself;
# the verdict is what most of them say, and none if fewer than half do.
#
# The last line is `verdict: outer race`, inner race, ball, cage or none; before it stands what it rests on, and which
# elements it says nothing of: a cage turns so slowly that it needs --length 5s or more. Of several channels or sensors the
# last line names all that are not well: `verdict: inner race (ch1), outer race (ch2)`. A signal with nothing to judge, of a
# dead sensor or of no vibration in the band, gets no verdict and the exit status 1. The defaults are the bearing and the
# speed of MFPT's recordings:
#
#     --bearing n,d,D,angle    8,0.235,1.245,0: rolling elements, their diameter, the pitch diameter, the contact angle
#     --rpm N                  1500: the shaft's speed
#     --bearing-hz LIST        instead of both: bpfo=81.1,bpfi=118.9,bsf=63.9,ftf=10.1, as far as known
#     --envelope LOW:HIGH      500:5000 (Hz), around the resonances; it must lie below half the sampling rate
#     --bearing-lines LOW:HIGH 10:500 (Hz): where the highest line is looked for; wider for a fast or a slow shaft
#     --length TIME            1s: of a window. Lines are 1/TIME apart and must lie closer than 2 % of what is looked for
#     -h, --help               print this
#
#     pipelines/bearing.sh ../shared/data/mfpt/inner_1.wav
#     psa-sim --scene bearing-outer | pipelines/bearing.sh -
#     pipelines/bearing.sh --bearing 9,7.94,39.04,0 --rpm 1772 --envelope 2000:4000 drive-end.wav
# shellcheck disable=SC2016 # $names within single quotes are jq's
set -euo pipefail
trap 'exit 130' INT

BIN=${PSA_BIN:-$(dirname "$(readlink -f "$0")")/../bin}
bearing=8,0.235,1.245,0 rpm=1500 hz='' envelope=500:5000 lines=10:500 length=1s

usage='usage: bearing.sh [--bearing n,d,D,angle --rpm N | --bearing-hz LIST] [--envelope LOW:HIGH] [--bearing-lines LOW:HIGH] [--length TIME] FILE'
wrong() { echo "$usage" >&2; exit 2; }
fail() { echo "bearing.sh: $1" >&2; exit "${2:-1}"; }
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help) echo "$usage" && sed -n -e '/^# shellcheck/q' -e '2,$s/^# \{0,1\}//p' "$0" && exit 0 ;;
    --) shift && break ;;
    --*) [ $# -gt 1 ] || wrong ;;
    *) break ;;
    esac
    case $1 in
    --bearing) bearing=$2 ;;
    --rpm) rpm=$2 ;;
    --bearing-hz) hz=$2 ;;
    --envelope) envelope=$2 ;;
    --bearing-lines) lines=$2 ;;
    --length) length=$2 ;;
    *) wrong ;;
    esac
    shift 2
done
if [ $# -ne 1 ] || [ -z "$1" ]; then wrong; fi
command -v jq >/dev/null || fail 'jq is missing (Debian: jq)' 2
for tool in "$BIN/psa-replay" "$BIN/psa-features"; do
    command -v "$tool" >/dev/null || fail "'$tool' is missing; run make, or set PSA_BIN" 2
done
file=$1
case $file in -?*) file=./$file ;; esac
options=(--bearing "$bearing" --rpm "$rpm")
[ -z "$hz" ] || options=(--bearing-hz "$hz")

# A row for each channel and each thing that was said of it, and the sentences beside them. A row shows the window whose line
# stands out as the median one does. What is left at the end of a recording counts if it is half a window.
judge='
    def round(digits): pow(10; digits) as $p | . * $p + 0.5 | floor / $p;
    def hz: if endswith("kHz") then 1000 * (rtrimstr("kHz") | tonumber) else rtrimstr("Hz") | tonumber end;
    ($lines | split(":") | map(hz)) as [$low, $high] |
    [.[] | select(.bearing) | .window as {$n, $start_ns, $end_ns} | {sensor: .sensor_id, $n, length: ((($end_ns // 0) - ($start_ns // 0)) / 1e9)} +
        (.bearing | to_entries[] | {field: .key} + .value)] |
    (map(.n) | max) as $most | map(select(.n >= $most / 2)) |
    (map(.sensor) | unique | length > 1) as $many |
    (group_by([.sensor, .field]) | map(length as $of | group_by(.verdict) |
        map(sort_by(.ratio) | .[length / 2 | floor] + {windows: length, $of}))) as $channels |
    ($channels | map({
        name: (if $many then "\(.[0].sensor)/\(.[0].field)" else .[0].field end),
        dead: (map(select(.verdict == null and .windows * 2 > .of)) | .[0].reason),
        verdict: (map(select((.verdict // "none") != "none" and .windows * 2 >= .of)) | max_by(.ratio) | .verdict // "none")
    })) as $said |
    ($said | map(select(.dead or .verdict != "none"))) as $ill |
    {
        short: (min_by(.step_hz) | if 2 / .step_hz < .length * 0.999 then 1 / .step_hz | round(3) else null end),
        dead: ($said | all(.dead)),
        reasons: ($said | map(select(.dead) | (if $said | length > 1 then "\(.name): " else "" end) + (
            if .dead == "constant" then "the signal is constant or has nothing from \($envelope) Hz: a dead sensor, or the wrong --envelope"
            elif .dead == "below_resolution" then "what the signal has from \($envelope) Hz is no more than the rounding of its samples"
            else "the envelope has no line from \($lines) Hz" end))),
        rows: ([["sensor", "field", "verdict", "windows", "line Hz", "expected Hz", "off %", "harmonic", "ratio"]] +
            [$channels[][] | [.sensor, .field, .verdict // "-", "\(.windows) of \(.of)",
                if .line_hz then (.line_hz | round(2)) else "-" end,
                if .expected_hz then (.expected_hz | round(2)), ((.line_hz / .expected_hz - 1) * 100 | round(2)), .order
                else "-", "-", "-" end,
                if .ratio then (.ratio | round(1)) else "-" end]]),
        unseen: (min_by(.step_hz) | .step_hz as $step | (.step_hz * .n / 2) as $half | (.unseen // {}) | to_entries |
            map("not judged: \(.key), \(.value | round(2)) Hz: " + (
                if .value > $half then "above half the sampling rate, \($half | round(2)) Hz"
                elif .value < $low or .value > $high then "not within \($lines) Hz; give --bearing-lines"
                else "lines \($step | round(3)) Hz apart are too coarse; give --length \(50 / .value | ceil)s or more" end))),
        verdict: (if $said | length == 1 then $said[0].verdict
            elif $ill == [] then "none"
            else $ill | map("\(if .dead then "unknown" else .verdict end) (\(.name))") | join(", ") end)
    }'

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$BIN/psa-replay" "$file" |
    "$BIN/psa-features" --length "$length" --partial --max-samples 10000000 --set bearing --harmonics 4 \
        --envelope "$envelope" --bearing-lines "$lines" --stats-file "$work/stats" "${options[@]}" >"$work/windows"
if ! grep -q '"bearing":{' "$work/windows"; then
    case $(cat "$work/stats") in
    *'"out_of_band"'*) fail "$1: --envelope $envelope does not lie below half the sampling rate" ;;
    *'"no_rate"'*) ;;
    *'"too_few_samples"'*) fail "$1: no window of $length has samples enough for the band-pass of --envelope $envelope" ;;
    *'"too_many_samples"'*) fail "$1: windows of more than 1,000,000 samples; give a shorter --length" ;;
    *'"missing_samples"'* | *'"empty_window"'*) fail "$1: every window misses samples" ;;
    esac
    fail "$1: no samples to judge, or no rate_hz beside them"
fi
jq -s --arg lines "$lines" --arg envelope "$envelope" "$judge" "$work/windows" >"$work/judged"
short=$(jq -r '.short // empty' "$work/judged")
[ -z "$short" ] || fail "$1: $short s are less than half a window of $length; give a shorter --length, or a longer recording"
jq -r --arg file "$1" '.reasons[] | "bearing.sh: \($file): \(.)"' "$work/judged" >&2
if jq -e .dead "$work/judged" >/dev/null; then exit 1; fi
jq -r '.rows[] | @tsv' "$work/judged" |
    awk -F '\t' '{ printf "%-12s %-8s %-10s %10s %9s %11s %7s %8s %7s\n", $1, $2, $3, $4, $5, $6, $7, $8, $9 }'
jq -r '.unseen[], "verdict: \(.verdict)"' "$work/judged"
