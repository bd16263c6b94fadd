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

# sound FILE RATE SECONDS EXPRESSION [KIND]: a WAV of 16 bits, or float or double; EXPRESSION knows t, n, rng and knocks(HZ).
# A list has an expression for each channel.
sound() {
    "$PY" - "$@" <<'END'
import sys
import numpy as np
import scipy.io.wavfile
name, rate, seconds, expression = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
kind = sys.argv[5] if len(sys.argv) > 5 else "int16"
n = int(rate * seconds)
t, rng = np.arange(n) / rate, np.random.default_rng(7)
def knocks(hz):
    since = np.mod(t, 1 / hz)
    return 0.4 * np.exp(-800 * since) * np.sin(2 * np.pi * 3000 * since) + 0.02 * rng.standard_normal(n)
x = eval(expression, {"t": t, "n": n, "rng": rng, "knocks": knocks, "np": np})
x = np.stack([np.broadcast_to(c, n) for c in x], 1) if isinstance(x, list) else np.broadcast_to(x, n)
scipy.io.wavfile.write(name, rate, np.round(x * 32768).astype("int16") if kind == "int16" else x.astype(kind))
END
}

@test "MFPT: the inner race is found as such, every second by itself" {
    [ -e "$DATA/mfpt/inner_1.wav" ] || skip "$DATA/mfpt/inner_1.wav is missing"
    verdict 'inner race' "$DATA/mfpt/inner_1.wav"
    same "$T/out" <<'END'
sensor       field    verdict       windows   line Hz expected Hz   off % harmonic   ratio
inner_1      ch1      inner race     3 of 3       118      118.88   -0.74        1    43.5
not judged: cage, 10.14 Hz: lines 1 Hz apart are too coarse; give --length 5s or more
verdict: inner race
END
}

@test "MFPT: the outer race is found as such, every second by itself" {
    [ -e "$DATA/mfpt/outer_1.wav" ] || skip "$DATA/mfpt/outer_1.wav is missing"
    verdict 'outer race' "$DATA/mfpt/outer_1.wav"
    same "$T/out" <<'END'
sensor       field    verdict       windows   line Hz expected Hz   off % harmonic   ratio
outer_1      ch1      outer race     3 of 3        80       81.12   -1.39        1    45.8
not judged: cage, 10.14 Hz: lines 1 Hz apart are too coarse; give --length 5s or more
verdict: outer race
END
}

@test "MFPT: other bands, half a second, and the frequencies told give the same" {
    [ -e "$DATA/mfpt/outer_1.wav" ] || skip "$DATA/mfpt/outer_1.wav is missing"
    for band in 1000:10000 2000:6000 8000:20000; do
        verdict 'inner race' --envelope "$band" "$DATA/mfpt/inner_1.wav"
        verdict 'outer race' --envelope "$band" "$DATA/mfpt/outer_1.wav"
    done
    verdict 'inner race' --length 0.5s "$DATA/mfpt/inner_1.wav"
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
    said "bearing.sh: $T/in: no window of 1s has samples enough for the band-pass of --envelope 500:5000"
    : >"$T/empty"
    keep 1 pipelines/bearing.sh "$T/empty"
    said "bearing.sh: $T/empty: no samples to judge, or no rate_hz beside them"
    sound "$T/low.wav" 8000 2 '0.1 * rng.standard_normal(n)'
    keep 1 pipelines/bearing.sh "$T/low.wav"
    said "bearing.sh: $T/low.wav: --envelope 500:5000 does not lie below half the sampling rate"
    sound "$T/short.wav" 25600 0.3 '0.1 * rng.standard_normal(n)'
    keep 1 pipelines/bearing.sh "$T/short.wav"
    said "bearing.sh: $T/short.wav: 0.3 s are less than half a window of 1s; give a shorter --length, or a longer recording"
    keep 2 pipelines/bearing.sh "$T/none"
    keep 2 pipelines/bearing.sh
    keep 2 pipelines/bearing.sh --rpm 1500
    keep 2 pipelines/bearing.sh --speed 1500 "$T/in"
    keep 2 pipelines/bearing.sh --bearing 1,2 "$T/in"
}

@test "a signal that holds no vibration has no verdict" {
    while IFS='|' read -r kind why expression; do
        sound "$T/x.wav" 25600 3 "$expression" "$kind"
        keep 1 pipelines/bearing.sh "$T/x.wav"
        saying "bearing.sh: $T/x.wav: $why"
        [ ! -s "$T/out" ]
    done <<'END'
int16|the signal is constant or has nothing from 500:5000 Hz|0 * t
int16|the signal is constant or has nothing from 500:5000 Hz|0 * t + 0.3
double|the signal is constant or has nothing from 500:5000 Hz|0 * t + 0.3
int16|what the signal has from 500:5000 Hz is no more than the rounding of its samples|0.1 + 0.01 * t
float32|what the signal has from 500:5000 Hz is no more than the rounding of its samples|0.001 * t
int16|what the signal has from 500:5000 Hz is no more than the rounding of its samples|0.5 * np.sin(2 * np.pi * 60 * t)
END
}

@test "several channels: the last line names all that are not well" {
    sound "$T/x.wav" 25600 2 '[knocks(118), 0.1 * rng.standard_normal(n), knocks(80.5)]'
    verdict 'inner race (ch1), outer race (ch3)' "$T/x.wav"
    sound "$T/x.wav" 25600 2 '[0.1 * rng.standard_normal(n), 0.1 * rng.standard_normal(n)]'
    verdict none "$T/x.wav"
    sound "$T/x.wav" 25600 2 '[knocks(118), 0 * t]'
    verdict 'inner race (ch1), unknown (ch2)' "$T/x.wav"
    saying "$T/x.wav: ch2: the signal is constant"
    "$BIN/psa-sim" --scene bearing-inner --duration 3s >"$T/one"
    sed 's/"sensor_id":"[^"]*"/"sensor_id":"m2"/' "$T/one" | paste -d '\n' "$T/one" - >"$T/in"
    verdict 'inner race (m2/accel), inner race (motor-01/accel)'
}

@test "what knocks at a harmonic of no primary is no fault" {
    local hz
    for hz in 162.25 191.58 237.75 243.37 324.5 356.6; do
        sound "$T/x.wav" 25600 2 "knocks($hz)"
        verdict none "$T/x.wav"
    done
    sound "$T/x.wav" 25600 2 'knocks(127.72)' # a ball, on both races
    verdict ball "$T/x.wav"
}

@test "lines that are too coarse, or not looked at, name nothing and it is said" {
    sound "$T/x.wav" 25600 2 'knocks(80.5)'
    verdict none --length 100ms "$T/x.wav"
    [ "$(grep -c '^not judged: .*: lines 10 Hz apart are too coarse; give --length' "$T/out")" -eq 4 ]
    sound "$T/x.wav" 25600 6 '(1 + np.cos(2 * np.pi * 10.14 * t)) * np.sin(2 * np.pi * 3000 * t) * 0.3 + 0.01 * rng.standard_normal(n)'
    verdict none "$T/x.wav"
    grep -qxF 'not judged: cage, 10.14 Hz: lines 1 Hz apart are too coarse; give --length 5s or more' "$T/out"
    verdict cage --length 5s --envelope 2000:4000 "$T/x.wav"
    ! grep -q 'not judged' "$T/out"
    # Ten times as fast: the races are struck beyond 500 Hz.
    sound "$T/x.wav" 25600 2 'knocks(808)'
    verdict none --rpm 15000 "$T/x.wav"
    grep -qxF 'not judged: outer race, 811.24 Hz: not within 10:500 Hz; give --bearing-lines' "$T/out"
    verdict 'outer race' --rpm 15000 --bearing-lines 100:1.5kHz "$T/x.wav"
    ! grep -q 'not judged' "$T/out"
}

@test "help, a link, names with a dash, missing tools" {
    for script in bearing spectrum imu-features; do
        for flag in -h --help; do
            keep 0 "pipelines/$script.sh" "$flag"
            grep -q "^usage: $script.sh " "$T/out"
        done
    done
    sound "$T/--x.wav" 25600 2 'knocks(118)'
    cp -- "$T/--x.wav" "$T/-x.wav"
    ln -s "$PWD/pipelines/bearing.sh" "$T/judge"
    script=$PWD/pipelines/bearing.sh
    cd "$T"
    verdict_of() { keep 0 ./judge "$@" && [ "$(tail -n 1 "$T/out")" = 'verdict: inner race' ]; }
    verdict_of -- --x.wav
    verdict_of -x.wav
    mkdir "$T/bin"
    for tool in bash env dirname readlink; do ln -s "$(command -v "$tool")" "$T/bin"; done
    PATH=$T/bin keep 2 ./judge -x.wav
    said 'bearing.sh: jq is missing (Debian: jq)'
    # Without PSA_BIN the programs are beside the script that the link leads to.
    mkdir -p "$T/there/pipelines"
    cp "$script" "$T/there/pipelines/bearing.sh"
    ln -s "$BIN" "$T/there/bin"
    ln -sf there/pipelines/bearing.sh judge
    unset PSA_BIN
    verdict_of -x.wav
}

@test "Ctrl-C ends it without a word, and 130" {
    "$PY" - pipelines/bearing.sh <<'END'
import os, signal, subprocess, sys
# Records come until the programs are there, then the whole group is interrupted, as a terminal does it.
run = subprocess.Popen([sys.argv[1], "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
names = []
while not {"psa-replay", "psa-features"} <= set(names):
    names = subprocess.run(["ps", "-o", "comm=", "-g", str(run.pid)], capture_output=True, text=True).stdout.split()
    assert run.poll() is None
for at in range(200):
    run.stdin.write(b'{"sensor_id":"a","fields":{"v":%d},"timestamp_ns":%d}\n' % (at % 7, 10**18 + at * 39062))
run.stdin.flush()
os.killpg(run.pid, signal.SIGINT)
out, err = run.communicate()
assert run.returncode == 130 and not out and b"bearing.sh" not in err, (run.returncode, out, err)
END
}
