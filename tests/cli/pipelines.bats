#!/usr/bin/env bats
# pipelines/imu-features.sh and pipelines/spectrum.sh; bearing.bats and edge.bats have the others.

load helpers
setup() {
    psa_setup
    DATA=${PSA_DATA:-../shared/data}
    command -v jq >/dev/null || skip 'jq is missing'
}
drawing() { command -v gnuplot >/dev/null || skip 'gnuplot is missing'; }

# tone HZ MODULATION: 4 s at 4 kHz as a WAV of doubles, a carrier of amplitude 2 whose envelope swings by MODULATION at 50 Hz.
tone() {
    "$PY" - "$1" "$2" "$T/tone.wav" <<'END'
import math, struct, sys
carrier, depth = float(sys.argv[1]), float(sys.argv[2])
x = [2 * (1 + depth * math.cos(2 * math.pi * 50 * i / 4000)) * math.sin(2 * math.pi * carrier * i / 4000) for i in range(16001)]
data = struct.pack("<%dd" % len(x), *x)
with open(sys.argv[3], "wb") as out:
    out.write(struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 3, 1, 4000, 32000, 8, 64,
                          b"data", len(data)) + data)
END
}

# peak N: where the highest star of the Nth drawing in $T/out stands, as the share of the way from the left to the right axis.
peak() {
    awk -v want="$1" '
        /\+-+\+$/ { if (!inside) { inside = 1; left = index($0, "+"); right = length($0); seen = 0; n++ } else inside = 0; next }
        inside && !seen && n == want && (at = index(substr($0, left + 4, right - left - 8), "*")) {
            seen = 1; printf "%.3f\n", (at + 3) / (right - left) }' "$T/out"
}

@test "imu-features.sh: an imbalance shows in the features of every direction" {
    keep 0 pipelines/imu-features.sh
    [ "$(wc -l <"$T/out")" -eq 238 ] # 120 s, the last window is not over
    jq -s -e '
        def during(from; to): [.[] | select(.timestamp_ns >= (1710000000 + from) * 1e9 and .timestamp_ns < (1710000000 + to) * 1e9)];
        def mean(f): map(f) | add / length;
        during(5; 59) as $before | during(62; 79) as $with |
        ($with | mean(.fields.accel_rms)) > 3 * ($before | mean(.fields.accel_rms)) and
        ($with | all(.fields.accel_x_dominant_hz == 10)) and
        ($before | mean(.fields.accel_z_rms) < 0.1) and
        (map(.fields | length) | unique) == [56]' "$T/out"
}

@test "imu-features.sh: from a file and from a pipe; a flipped bit is taken out; a gap begins anew" {
    "$BIN/psa-sim" --scene imu --no-labels --no-faults --duration 10s >"$T/in"
    keep 0 pipelines/imu-features.sh "$T/in"
    cp "$T/out" "$T/want"
    keep 0 pipelines/imu-features.sh - <"$T/in"
    same "$T/want" <"$T/out"
    sed '500s/"accel_z":[^,]*/"accel_z":3.9/' "$T/in" >"$T/flipped"
    keep 0 pipelines/imu-features.sh "$T/flipped"
    jq -s -e 'all(.[]; .fields.accel_z_ptp < 0.3)' "$T/out"
    sed '400,600d' "$T/in" >"$T/gap"
    keep 0 pipelines/imu-features.sh "$T/gap"
    # The first window behind the gap begins with its first sample, and no filter rings there.
    jq -s -e '.[8].window == {start_ns: 1710000006000000000, end_ns: 1710000007000000000, n: 100, seq: 8} and
        all(.[]; .fields.accel_rms > 0.05 and .fields.accel_rms < 0.07)' "$T/out"
    keep 2 pipelines/imu-features.sh a b
    keep 2 pipelines/imu-features.sh "$T/none"
}

@test "spectrum.sh: a tone stands where it is, in the terminal, in the list and in the picture" {
    drawing
    tone 500 0.5
    keep 0 pipelines/spectrum.sh --output "$T/tone.png" "$T/tone.wav"
    peak 1 >"$T/first"
    peak 2 >"$T/second"
    awk '{ exit !($1 > 0.23 && $1 < 0.27) }' "$T/first"   # 500 of 2000 Hz
    awk '{ exit !($1 > 0.08 && $1 < 0.12) }' "$T/second"  # 50 of 500 Hz
    grep -q '^spectrum, highest lines: 500 Hz (2), ' "$T/out"
    grep -q '^envelope, highest lines: 50 Hz (1), ' "$T/out"
    grep -qxF "drawn to $T/tone.png" "$T/out"
    # The picture: a PNG of the size asked for, with axes, text and both curves: no page of one colour.
    "$PY" - "$T/tone.png" <<'END'
import struct, sys, zlib
data = open(sys.argv[1], "rb").read()
assert data[:8] == b"\x89PNG\r\n\x1a\n", data[:8]
at, pixels, size = 8, b"", None
while at < len(data):
    n, kind = struct.unpack(">I4s", data[at:at + 8])
    body = data[at + 8:at + 8 + n]
    assert zlib.crc32(kind + body) == struct.unpack(">I", data[at + 8 + n:at + 12 + n])[0]
    if kind == b"IHDR":
        size = struct.unpack(">II", body[:8])
    pixels += body if kind == b"IDAT" else b""
    at += 12 + n
assert size == (1200, 900), size
rows = zlib.decompress(pixels)
assert len(set(rows)) > 20 and 0.5 < rows.count(max(set(rows), key=rows.count)) / len(rows) < 0.999
END
}

@test "spectrum.sh: elsewhere the tone stands elsewhere" {
    drawing
    tone 1500 0.2
    keep 0 pipelines/spectrum.sh --envelope 1300:1700 --to 3000Hz --envelope-to 100 --output "$T/o'ne.png" "$T/tone.wav"
    [ -s "$T/o'ne.png" ]
    peak 1 | awk '{ exit !($1 > 0.73 && $1 < 0.77) }' # the axis ends at 2000 Hz: there is no more
    peak 2 | awk '{ exit !($1 > 0.48 && $1 < 0.52) }'
}

@test "spectrum.sh: of MFPT's inner race the envelope shows 118 Hz and its multiple" {
    drawing
    [ -e "$DATA/mfpt/inner_1.wav" ] || skip "$DATA/mfpt/inner_1.wav is missing"
    keep 0 pipelines/spectrum.sh --envelope 500:5000 --output "$T/inner.png" "$DATA/mfpt/inner_1.wav"
    grep -q '^envelope, highest lines: 118 Hz ' "$T/out"
    peak 2 | awk '{ exit !($1 > 0.22 && $1 < 0.25) }'
}

@test "spectrum.sh: readings, a chosen field, a pipe; its name for the picture" {
    drawing
    "$BIN/psa-sim" --scene imu --no-faults --duration 21s >"$T/in"
    root=$PWD
    cd "$T"
    keep 0 "$root/pipelines/spectrum.sh" --length 5s --field accel_y - <"$T/in"
    [ -s "$T/stdin-spectrum.png" ]
    grep -q '^spectrum, highest lines: 9.8 Hz \|^spectrum, highest lines: 10 Hz ' "$T/out"
    grep -q 'stdin, accel_y: spectrum of the envelope' "$T/out"
}

@test "spectrum.sh: what it cannot draw, and wrong usage" {
    echo '{"fields":{"a":1},"timestamp_ns":1}' >"$T/in"
    keep 2 pipelines/spectrum.sh
    keep 2 pipelines/spectrum.sh --field
    keep 2 pipelines/spectrum.sh --windows all "$T/in"
    said "spectrum.sh: --windows: 'all' is no number above 0"
    keep 2 pipelines/spectrum.sh --to 1.2.3 "$T/in"
    said "spectrum.sh: --to: '1.2.3' is no number above 0"
    keep 2 pipelines/spectrum.sh --colour red "$T/in"
    mkdir "$T/bin"
    for tool in bash env dirname readlink jq; do ln -s "$(command -v "$tool")" "$T/bin"; done
    PATH=$T/bin keep 2 pipelines/spectrum.sh "$T/in"
    said 'spectrum.sh: gnuplot is missing (Debian: gnuplot-nox)'
    drawing
    keep 1 pipelines/spectrum.sh "$T/in"
    saying "spectrum.sh: $T/in: no window of 1s in it: the recording is shorter"
    "$BIN/psa-sim" --scene imu --duration 3s >"$T/in"
    keep 1 pipelines/spectrum.sh --field accel "$T/in"
    saying "no spectrum of 'accel'"
    keep 2 pipelines/spectrum.sh "$T/none"
}

@test "spectrum.sh: the cause is named where nothing can be drawn, and no picture goes to the terminal" {
    drawing
    tone 500 0.5
    for output in "$T/none/x.png" "$T"; do
        keep 2 pipelines/spectrum.sh --output "$output" "$T/tone.wav"
        said "spectrum.sh: $output cannot be written; name another --output"
        [ ! -s "$T/out" ]
    done
    keep 1 pipelines/spectrum.sh --output /dev/full "$T/tone.wav"
    said 'spectrum.sh: /dev/full cannot be written'
    [ ! -s "$T/out" ]
    keep 1 pipelines/spectrum.sh --envelope 500:5000 --output "$T/x.png" "$T/tone.wav"
    said "spectrum.sh: $T/tone.wav: --envelope 500:5000 does not lie below half the sampling rate"
    keep 1 pipelines/spectrum.sh --to 0.1 --output "$T/x.png" "$T/tone.wav"
    said "spectrum.sh: $T/tone.wav: no line up to --to 0.1: lines are 1 Hz apart"
    [ "$(wc -l <"$T/err")" -eq 1 ]
    keep 1 pipelines/spectrum.sh --envelope-to 0.1 --output "$T/x.png" "$T/tone.wav"
    said "spectrum.sh: $T/tone.wav: no line up to --envelope-to 0.1: lines are 1 Hz apart"
}

@test "spectrum.sh: of several sensors one is named; any COLUMNS will do" {
    drawing
    "$BIN/psa-sim" --scene imu --no-faults --duration 5s --no-labels >"$T/one"
    sed 's/"sensor_id":"[^"]*"/"sensor_id":"imu-02"/' "$T/one" | paste -d '\n' "$T/one" - >"$T/in"
    keep 2 pipelines/spectrum.sh --output "$T/x.png" "$T/in"
    said "spectrum.sh: $T/in: several sensors; name one of them with --sensor: imu-01, imu-02"
    keep 2 pipelines/spectrum.sh --sensor imu-03 --output "$T/x.png" "$T/in"
    said "spectrum.sh: $T/in: no sensor 'imu-03'; there is: imu-01, imu-02"
    keep 0 pipelines/spectrum.sh --sensor imu-02 --output "$T/x.png" "$T/in"
    grep -qF 'in, imu-02, accel_x: spectrum of the envelope' "$T/out"
    cp "$T/out" "$T/want"
    for columns in abc 3 99999999999 ''; do
        COLUMNS=$columns keep 0 pipelines/spectrum.sh --sensor imu-02 --output "$T/x.png" "$T/in"
        same "$T/want" <"$T/out"
        [ ! -s "$T/err" ]
    done
}
