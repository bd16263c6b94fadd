#!/usr/bin/env bats
# pipelines/bearing.sh: MFPT's recordings and simulated bearings, whose faults are known.

load helpers
setup() {
    psa_setup
    DATA=${PSA_DATA:-../shared/data}
    command -v jq >/dev/null || skip 'jq is missing'
}

# verdict WHAT [ARGUMENT...]: bearing.sh's last line, of the arguments or of $T/in.
verdict() {
    local want=$1
    shift
    if [ $# -gt 0 ]; then keep 0 pipelines/bearing.sh "$@"; else keep 0 pipelines/bearing.sh "$T/in"; fi
    [ "$(tail -n 1 "$T/out")" = "verdict: $want" ] || { cat "$T/out" >&2; false; }
}
sim() { "$BIN/psa-sim" "$@" >"$T/in"; }

@test "MFPT: the inner race is found as such, every second by itself" {
    [ -e "$DATA/mfpt/inner_1.wav" ] || skip "$DATA/mfpt/inner_1.wav is missing"
    verdict 'inner race' "$DATA/mfpt/inner_1.wav"
    same "$T/out" <<'END'
sensor       field    verdict       windows   line Hz expected Hz   off % harmonic   ratio
inner_1      ch1      inner race     3 of 3       118      118.88   -0.74        1    43.5
verdict: inner race
END
}

@test "MFPT: the outer race is found as such, every second by itself" {
    [ -e "$DATA/mfpt/outer_1.wav" ] || skip "$DATA/mfpt/outer_1.wav is missing"
    verdict 'outer race' "$DATA/mfpt/outer_1.wav"
    same "$T/out" <<'END'
sensor       field    verdict       windows   line Hz expected Hz   off % harmonic   ratio
outer_1      ch1      outer race     3 of 3        80       81.12   -1.39        1    45.8
verdict: outer race
END
}

@test "MFPT: other bands, half a second, and the frequencies told give the same" {
    [ -e "$DATA/mfpt/outer_1.wav" ] || skip "$DATA/mfpt/outer_1.wav is missing"
    for band in 1000:10000 2000:6000 8000:20000; do
        verdict 'inner race' --envelope "$band" "$DATA/mfpt/inner_1.wav"
        verdict 'outer race' --envelope "$band" "$DATA/mfpt/outer_1.wav"
    done
    verdict 'outer race' --length 0.5s "$DATA/mfpt/outer_1.wav"
    verdict 'inner race' --bearing-hz bpfo=81.125,bpfi=118.875,bsf=63.91 "$DATA/mfpt/inner_1.wav"
    verdict none --bearing-hz bpfo=81.125,bsf=63.91 "$DATA/mfpt/inner_1.wav"
}

@test "a healthy bearing is none, whatever the noise" {
    for seed in $(seq 20); do
        sim --scene bearing --seed "$seed" --duration 5s
        verdict none
        grep -q ' none  *[45] of 5 ' "$T/out"
    done
}

@test "an imbalance is none: the shaft's lines are no bearing's" {
    for seed in 1 2 3; do
        printf 'seed %s\nduration 5s\nvibration m\nfault imbalance m at=0s amplitude=3\n' "$seed" >"$T/spec"
        sim --spec "$T/spec"
        verdict none
    done
}

@test "simulated faults are found where they are" {
    for seed in $(seq 5); do
        sim --scene bearing-outer --seed "$seed"
        verdict 'outer race'
        sim --scene bearing-inner --seed "$seed"
        verdict 'inner race'
        sim --scene bearing-ball --seed "$seed"
        verdict ball
    done
}

@test "another bearing at another speed: only its own frequencies fit" {
    printf 'duration 5s\nvibration m rate=12kHz speed=1600rpm bearing=9,7.94,39.04,0\nfault bearing m at=0s element=inner\n' >"$T/spec"
    sim --spec "$T/spec"
    verdict 'inner race' --bearing 9,7.94,39.04,0 --rpm 1600 "$T/in"
    verdict none
}

@test "a recording goes through a sound file, a pipe and blocks of any length with the same table" {
    sim --scene bearing-inner --duration 3s
    verdict 'inner race'
    cp "$T/out" "$T/want"
    keep 0 pipelines/bearing.sh - <"$T/in"
    same "$T/want" <"$T/out"
    "$PY" - "$T/in" "$T/inner.wav" <<'END'
import json, struct, sys
samples = [x for line in open(sys.argv[1]) for x in json.loads(line)["fields"]["accel"]]
data = struct.pack("<%dd" % len(samples), *samples)
with open(sys.argv[2], "wb") as out:
    out.write(struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 3, 1, 25600, 204800, 8, 64,
                          b"data", len(data)) + data)
END
    verdict 'inner race' "$T/inner.wav"
    sed 's/^motor-01     accel/inner        ch1  /' "$T/want" | same "$T/out"
}

@test "what it cannot judge, and wrong usage" {
    echo '{"fields":{"a":1},"timestamp_ns":1}' >"$T/in"
    keep 1 pipelines/bearing.sh "$T/in"
    said "bearing.sh: $T/in: no samples to judge, or no rate_hz beside them"
    keep 2 pipelines/bearing.sh "$T/none"
    keep 2 pipelines/bearing.sh
    keep 2 pipelines/bearing.sh --rpm 1500
    keep 2 pipelines/bearing.sh --speed 1500 "$T/in"
    keep 2 pipelines/bearing.sh --bearing 1,2 "$T/in"
}
