#!/usr/bin/env bash
# spectrum.sh [OPTION]... FILE - what frequencies a recording holds: its spectrum and the spectrum of its envelope, drawn to
# the terminal and to a PNG file.
#
#     psa-replay | psa-features --features spectrum,envelope_spectrum | jq | gnuplot
#
# FILE is a sound file (WAV, FLAC, AIFF, W64 ...), psa's own records, or - for standard input. The amplitudes are the root
# mean square over the windows, so that what comes and goes shows as much as it is there. hann's taper keeps a strong line
# from hiding its surroundings.
#
#     --sensor NAME           of records of several sensors: which; they are listed when it is not said
#     --field NAME            the recording's first one: which channel
#     --length TIME           1s: of a window; lines are 1/TIME apart
#     --windows N             20: look at so many, from the begin
#     --envelope LOW:HIGH     the band that the envelope is made of, around a resonance; without it all frequencies
#     --to HZ                 draw the spectrum up to here, instead of half the sampling rate
#     --envelope-to HZ        500: the same of the envelope's
#     --output FILE.png       the recording's name with -spectrum.png, in the current folder
#     -h, --help              print this
#
# The drawing in the terminal is as wide as COLUMNS says, 100 characters without it, or if that is no number from 40 to 999.
#
#     pipelines/spectrum.sh --envelope 500:5000 ../shared/data/mfpt/inner_1.wav
#     psa-sim --scene imu | pipelines/spectrum.sh --length 10s --field accel_x -
# shellcheck disable=SC2016 # $names within single quotes are jq's
set -euo pipefail
trap 'exit 130' INT

BIN=${PSA_BIN:-$(dirname "$(readlink -f "$0")")/../bin}
sensor='' field='' length=1s windows=20 band='' to='' envelope_to=500 output=''

usage='usage: spectrum.sh [--sensor NAME] [--field NAME] [--length TIME] [--windows N] [--envelope LOW:HIGH] [--to HZ] [--envelope-to HZ] [--output FILE.png] FILE'
wrong() { echo "$usage" >&2; exit 2; }
fail() { echo "spectrum.sh: $1" >&2; exit "${2:-1}"; }
number() { # OPTION VALUE
    [[ $2 =~ ^[0-9]{1,9}(\.[0-9]{1,9})?$ && $2 =~ [1-9] ]] || fail "$1: '$2' is no number above 0" 2
}
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help) echo "$usage" && sed -n -e '/^# shellcheck/q' -e '2,$s/^# \{0,1\}//p' "$0" && exit 0 ;;
    --) shift && break ;;
    --*) [ $# -gt 1 ] || wrong ;;
    *) break ;;
    esac
    case $1 in
    --sensor) sensor=$2 ;;
    --field) field=$2 ;;
    --length) length=$2 ;;
    --windows) windows=$2 && number "$1" "$windows" ;;
    --envelope) band=$2 ;;
    --to) to=${2%Hz} && number "$1" "$to" ;;
    --envelope-to) envelope_to=${2%Hz} && number "$1" "$envelope_to" ;;
    --output) output=$2 ;;
    *) wrong ;;
    esac
    shift 2
done
if [ $# -ne 1 ] || [ -z "$1" ]; then wrong; fi
command -v jq >/dev/null || fail 'jq is missing (Debian: jq)' 2
command -v gnuplot >/dev/null || fail 'gnuplot is missing (Debian: gnuplot-nox)' 2
for tool in "$BIN/psa-replay" "$BIN/psa-features"; do
    command -v "$tool" >/dev/null || fail "'$tool' is missing; run make, or set PSA_BIN" 2
done
file=$1
case $file in -?*) file=./$file ;; esac
name=$(basename -- "$1")
[ "$1" != - ] || name=stdin
[ -n "$output" ] || output=${name%.*}-spectrum.png
case $output in -*) output=./$output ;; esac
{ [ ! -d "$output" ] && if [ -e "$output" ]; then [ -w "$output" ]; else [ -w "$(dirname "$output")" ]; fi; } ||
    fail "$output cannot be written; name another --output" 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The first windows of each sensor. awk, not head: the programs before it end as they would.
"$BIN/psa-replay" "$file" |
    "$BIN/psa-features" --length "$length" --max-samples 10000000 --features spectrum,envelope_spectrum --taper hann \
        --stats-file "$work/stats" ${band:+--envelope "$band"} |
    awk -v n="$windows" '{ id = match($0, /"sensor_id":"([^"\\]|\\.)*"/) ? substr($0, RSTART, RLENGTH) : "" } seen[id]++ < n' >"$work/all"
[ -s "$work/all" ] || fail "$1: no window of $length in it: the recording is shorter, or has no samples; try a shorter --length"
sensors=$(jq -r -s 'map(.sensor_id // "") | unique | join(", ")' "$work/all")
many=$(jq -s 'map(.sensor_id) | unique | length' "$work/all")
[ -n "$sensor" ] || [ "$many" -eq 1 ] || fail "$1: several sensors; name one of them with --sensor: $sensors" 2
jq -c --arg sensor "$sensor" 'select($sensor == "" or .sensor_id == $sensor)' "$work/all" >"$work/windows"
[ -s "$work/windows" ] || fail "$1: no sensor '$sensor'; there is: $sensors" 2

# Rows of Hz and amplitude. KIND is spectrum or envelope_spectrum.
[ -n "$field" ] || field=$(head -n 1 "$work/windows" | jq -r '.fields | keys_unsorted[0] | sub("_(envelope_)?spectrum$"; "")')
lines() { # KIND HIGHEST
    jq -n -r --arg field "${field}_$1" --argjson to "${2:-0}" '
        [inputs | select(.fields[$field])] | if . == [] then halt else . end | .[0].spectrum.step_hz as $step |
        (if $to > 0 then $to / $step | floor + 1 else null end) as $n |
        map(select(.spectrum.step_hz == $step) | .fields[$field][:$n]) | transpose |
        to_entries[] | [.key * $step, (.value | map(. * .) | add / length | sqrt)] | @tsv' "$work/windows"
}
lines spectrum "$to" >"$work/spectrum"
lines envelope_spectrum "$envelope_to" >"$work/envelope"
[ -s "$work/spectrum" ] || fail "$1: no spectrum of '$field': no such field, no rate_hz, or every window misses samples"
if [ ! -s "$work/envelope" ]; then
    case $(cat "$work/stats") in
    *'"out_of_band"'*) fail "$1: --envelope $band does not lie below half the sampling rate" ;;
    *'"too_few_samples"'*) fail "$1: a window of $length is too short for the band-pass of --envelope $band" ;;
    esac
    fail "$1: no envelope of '$field'"
fi
step=$(jq -s 'map(.spectrum.step_hz // empty) | first' "$work/windows")
[ "$(wc -l <"$work/spectrum")" -gt 1 ] || fail "$1: no line up to ${to:+--to }${to:-half the sampling rate}: lines are $step Hz apart"
[ "$(wc -l <"$work/envelope")" -gt 1 ] || fail "$1: no line up to --envelope-to $envelope_to: lines are $step Hz apart"

quoted() { printf "'%s'" "${1//\'/\'\'}"; } # for gnuplot: nothing within is looked at
top() { awk 'NR > 1 && $2 > 0 { any = 1 } END { print any ? "*" : 1 }' "$1"; } # of the axis: an empty range is none

# The same plots for either. Line 0 is the mean, which would hide the others.
title="$name, ${sensor:+$sensor, }$field"
plots() {
    cat <<END
set multiplot layout 2,1
set xlabel 'Hz'
set ylabel 'amplitude'
set xrange [0:*]
unset key
set title $(quoted "$title: spectrum") noenhanced
set yrange [0:$(top "$work/spectrum")]
plot $(quoted "$work/spectrum") every ::1 using 1:2 with $1
set title $(quoted "$title: spectrum of the envelope") noenhanced
set yrange [0:$(top "$work/envelope")]
plot $(quoted "$work/envelope") every ::1 using 1:2 with $1
END
}
terminal=pngcairo
gnuplot -e 'set terminal pngcairo' >/dev/null 2>&1 || terminal=png
{ printf "set terminal %s size 1200,900\nset output %s\nset grid\n" "$terminal" "$(quoted "$work/drawing")" && plots lines; } | gnuplot
cat "$work/drawing" 2>/dev/null >"$output" || fail "$output cannot be written"
width=${COLUMNS:-100}
[[ $width =~ ^[1-9][0-9]{1,2}$ && $width -ge 40 ]] || width=100
{ echo "set terminal dumb $width 48" && plots impulses; } | gnuplot | tr -d '\f' | sed 's/ *$//'

highest() { LC_ALL=C sort -k 2,2gr "$1" | awk '$1 > 0 && $2 > 0 && n++ < 5 { printf "%s%.6g Hz (%.3g)", (n > 1 ? ", " : ""), $1, $2 } END { if (!n) printf "none" }'; }
echo "spectrum, highest lines: $(highest "$work/spectrum")"
echo "envelope, highest lines: $(highest "$work/envelope")"
echo "drawn to $output"
