#!/usr/bin/env bash
# imu-features.sh [FILE] - features of a machine with a six-axis IMU (accel_x .. gyro_z), a record every half second on stdout.
#
#     psa-sim | psa-filter | psa-window | psa-features
#
# FILE is a recording (psa's own records or a table), - for standard input; without it a simulated motor is played, on which
# an imbalance begins after a minute. Watch it with
#
#     pipelines/imu-features.sh | jq -r '[.timestamp_ns / 1e9, .fields.accel_rms, .fields.accel_x_dominant_hz] | @tsv'
#
# or hand it on to psa-train and psa-score, as pipelines/press-shop.sh does.
set -euo pipefail
trap 'exit 130' INT

BIN=${PSA_BIN:-$(dirname "$(readlink -f "$0")")/../bin}

case ${1:-} in
-h | --help) echo 'usage: imu-features.sh [FILE]' && sed -n -e '/^set /q' -e '2,$s/^# \{0,1\}//p' "$0" && exit 0 ;;
--) shift ;;
--*) echo 'usage: imu-features.sh [FILE]' >&2 && exit 2 ;;
esac
[ $# -le 1 ] || { echo 'usage: imu-features.sh [FILE]' >&2; exit 2; }
for tool in sim replay filter window features; do
    command -v "$BIN/psa-$tool" >/dev/null || { echo "imu-features.sh: '$BIN/psa-$tool' is missing; run make, or set PSA_BIN" >&2; exit 2; }
done

case ${1:-} in -?*) set -- "./$1" ;; esac
readings() { if [ $# -gt 0 ]; then "$BIN/psa-replay" "$1"; else "$BIN/psa-sim" --scene imu --no-labels; fi; }

filter=(
    --fields 'accel_*,gyro_*'
    # A bit that flips on the bus is one sample far from its neighbours: the median of 7 replaces it. What lasts longer stays,
    # a knock in the machine too, for eight times the usual deviation is far.
    --hampel '7,8'
    # Nothing a press or a motor of this size does is faster than 40 Hz; above it there is the sensor's own noise. At 100 Hz
    # this leaves the first four multiples of a shaft at 600 turns a minute.
    --lowpass 40Hz
    # Gravity and the slow change of the zero with the temperature are no vibration. Half a turn a second is the slowest
    # shaft that remains. The filter starts as if the first sample had always been there, so gravity does not ring.
    --fields 'accel_*' --highpass 0.5Hz
    # One number for all directions, whichever way the sensor was screwed on.
    --magnitude 'accel_?=accel' --magnitude 'gyro_?=gyro'
    # A second without a sample is a new beginning: no filter may draw a line across it.
    --max-gap 1s
)
window=(
    # Ten turns at 600 a minute: enough for a steady rms, short enough to be told within a second.
    --length 1s
    # Half a window on, so that what happens at one window's edge lies within the next one.
    --stride 500ms
    --max-gap 1s
)
features=(
    # rms: how much. ptp and crest: how peaked, an early sign of a bearing. kurtosis: the same, of its whole shape. std beside
    # rms tells an offset, of the gyroscopes above all.
    --features 'rms,std,ptp,crest,kurtosis,dominant_hz,dominant_amplitude'
    # hann keeps a strong line, the shaft's, from hiding its surroundings.
    --taper hann
)

readings "$@" |
    "$BIN/psa-filter" "${filter[@]}" |
    "$BIN/psa-window" "${window[@]}" |
    "$BIN/psa-features" "${features[@]}"
