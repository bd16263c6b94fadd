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
#     --field NAME            the recording's first one: which channel
#     --length TIME           1s: of a window; lines are 1/TIME apart
#     --windows N             20: look at so many, from the begin
#     --envelope LOW:HIGH     the band that the envelope is made of, around a resonance; without it all frequencies
#     --to HZ                 draw the spectrum up to here, instead of half the sampling rate
#     --envelope-to HZ        500: the same of the envelope's
#     --output FILE.png       the recording's name with -spectrum.png, in the current folder
#
# The drawing in the terminal is as wide as COLUMNS says, 100 characters without it.
#
#     pipelines/spectrum.sh --envelope 500:5000 ../shared/data/mfpt/inner_1.wav
#     psa-sim --scene imu | pipelines/spectrum.sh --length 10s --field accel_x -
# shellcheck disable=SC2016 # $names within single quotes are jq's
set -euo pipefail

BIN=${PSA_BIN:-$(dirname "$0")/../bin}
field='' length=1s windows=20 envelope=() to=0 envelope_to=500 output=''

usage() { echo 'usage: spectrum.sh [--field NAME] [--length TIME] [--windows N] [--envelope LOW:HIGH] [--to HZ] [--envelope-to HZ] [--output FILE.png] FILE' >&2; exit 2; }
while [ $# -gt 1 ]; do
    case $1 in
    --field) field=$2 ;;
    --length) length=$2 ;;
    --windows) windows=$2 ;;
    --envelope) envelope=(--envelope "$2") ;;
    --to) to=${2%Hz} ;;
    --envelope-to) envelope_to=${2%Hz} ;;
    --output) output=$2 ;;
    *) usage ;;
    esac
    shift 2
done
case ${1:-} in '' | --*) usage ;; esac
for number in "$windows" "$to" "$envelope_to"; do
    case $number in '' | *[!0-9.]*) usage ;; esac
done
command -v gnuplot >/dev/null || { echo "spectrum.sh: gnuplot is missing (Debian: gnuplot-nox)" >&2; exit 2; }
for tool in jq "$BIN/psa-replay" "$BIN/psa-features"; do
    command -v "$tool" >/dev/null || { echo "spectrum.sh: '$tool' is missing; run make, or set PSA_BIN" >&2; exit 2; }
done
name=$(basename "$1")
[ "$1" != - ] || name=stdin
[ -n "$output" ] || output=${name%.*}-spectrum.png
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# awk, not head: the programs before it end as they would.
"$BIN/psa-replay" "$1" |
    "$BIN/psa-features" --length "$length" --max-samples 10000000 --features spectrum,envelope_spectrum --taper hann \
        "${envelope[@]}" |
    awk -v n="$windows" 'NR <= n' >"$work/windows"
[ -s "$work/windows" ] || { echo "spectrum.sh: $1: no window of $length in it" >&2; exit 1; }

# Rows of Hz and amplitude. KIND is spectrum or envelope_spectrum.
[ -n "$field" ] || field=$(head -n 1 "$work/windows" | jq -r '.fields | keys_unsorted[0] | sub("_(envelope_)?spectrum$"; "")')
lines() { # KIND HIGHEST
    jq -n -r --arg field "${field}_$1" --argjson to "$2" '
        [inputs | select(.fields[$field])] | if . == [] then halt else . end | .[0].spectrum.step_hz as $step |
        (if $to > 0 then $to / $step | floor + 1 else null end) as $n |
        map(select(.spectrum.step_hz == $step) | .fields[$field][:$n]) | transpose |
        to_entries[] | [.key * $step, (.value | map(. * .) | add / length | sqrt)] | @tsv' "$work/windows"
}
lines spectrum "$to" >"$work/spectrum"
lines envelope_spectrum "$envelope_to" >"$work/envelope"
[ -s "$work/spectrum" ] || { echo "spectrum.sh: $1: no spectrum of '$field': no such field, or no rate_hz" >&2; exit 1; }

quoted() { printf "'%s'" "${1//\'/\'\'}"; } # for gnuplot: nothing within is looked at

# The same plots for either. Line 0 is the mean, which would hide the others.
plots() {
    cat <<END
set multiplot layout 2,1
set xlabel 'Hz'
set ylabel 'amplitude'
set xrange [0:*]
set yrange [0:*]
unset key
set title $(quoted "$name, $field: spectrum") noenhanced
plot $(quoted "$work/spectrum") every ::1 using 1:2 with $1
set title $(quoted "$name, $field: spectrum of the envelope") noenhanced
plot $(quoted "$work/envelope") every ::1 using 1:2 with $1
END
}
terminal=pngcairo
gnuplot -e 'set terminal pngcairo' >/dev/null 2>&1 || terminal=png
{ printf "set terminal %s size 1200,900\nset output %s\nset grid\n" "$terminal" "$(quoted "$output")" && plots lines; } | gnuplot
{ echo "set terminal dumb ${COLUMNS:-100} 48" && plots impulses; } | gnuplot | tr -d '\f' | sed 's/ *$//'

highest() { LC_ALL=C sort -k 2,2gr "$1" | awk '$1 > 0 && n++ < 5 { printf "%s%.6g Hz (%.3g)", (n > 1 ? ", " : ""), $1, $2 }'; }
echo "spectrum, highest lines: $(highest "$work/spectrum")"
echo "envelope, highest lines: $(highest "$work/envelope")"
echo "drawn to $output"
