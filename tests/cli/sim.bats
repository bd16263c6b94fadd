#!/usr/bin/env bats
# psa-sim: the same seed gives the same bytes, what the command line overrides, faults and labels, batches, pacing, ends.

setup() {
    cd "$BATS_TEST_DIRNAME/../.." || exit 1
    set -o pipefail # a pipe hides no status
    BIN=${PSA_BIN:-bin}
    T=$BATS_TEST_TMPDIR
}

sim() { "$BIN/psa-sim" "$@"; }

@test "the same seed gives the same bytes, in any locale; another seed does not" {
    sim --duration 20s >"$T/a"
    LC_ALL=de_DE.UTF-8 sim --duration 20s >"$T/b"
    sim --duration 20s --seed 2 >"$T/c"
    cmp "$T/a" "$T/b"
    run cmp -s "$T/a" "$T/c"
    [ "$status" -eq 1 ]
    [ "$(wc -l <"$T/a")" -eq $((4 * 20 * 100 + 8 * 20)) ]
}

@test "a record has the design's members in its order" {
    sim --scene imu --count 1 >"$T/out"
    run jq -c '[keys_unsorted, (.fields | keys_unsorted), .sensor_model, .labels]' "$T/out"
    [ "$output" = '[["sensor_type","sensor_model","sensor_id","fields","timestamp_ns","labels"],["accel_x","accel_y","accel_z","gyro_x","gyro_y","gyro_z"],"MPU6050",{"anomaly":0}]' ]
    grep -q '"timestamp_ns":1710000000000000000,' "$T/out"
}

@test "time never runs backwards and every reading is one line of JSON" {
    sim --duration 5s >"$T/out"
    jq -s -e '[.[].timestamp_ns] | . == sort' "$T/out"
    [ "$(jq -c . "$T/out" | wc -l)" -eq "$(wc -l <"$T/out")" ]
}

@test "--faults tells when the labels say anomaly, and --no-faults plays the same without" {
    sim >"$T/faulty"
    sim --no-faults >"$T/healthy"
    sim --faults >"$T/faults"
    [ "$(wc -l <"$T/faults")" -eq 5 ]
    # jq reads nanoseconds as doubles: good to 256 ns, and readings are 10 ms apart.
    jq -s -e --slurpfile faults "$T/faults" 'all(.[]; . as $r |
        ([$faults[] | select(.sensor_type == $r.sensor_type and .sensor_id == $r.sensor_id and
            .from_ns <= $r.timestamp_ns and $r.timestamp_ns < .to_ns) | .fault]) as $now |
        ($r.labels == if $now == [] then {anomaly: 0} else {anomaly: 1, fault: $now[0]} end))' "$T/faulty"
    jq -s -e 'all(.[]; .labels == {anomaly: 0})' "$T/healthy"
    grep '"anomaly":0' "$T/faulty" >"$T/unharmed"
    run grep -vxFf "$T/healthy" "$T/unharmed"
    [ -z "$output" ]
}

@test "--no-labels leaves the member out and changes nothing else" {
    sim --duration 2s >"$T/a"
    sim --duration 2s --no-labels >"$T/b"
    sed 's/,"labels":{"anomaly":0}//' "$T/a" | cmp - "$T/b"
}

@test "--count goes beyond the scene, --duration, --start and --rate change it" {
    [ "$(sim --scene imu --count 30000 | wc -l)" -eq 30000 ]
    [ "$(sim --scene imu --duration 2s --rate 50Hz | wc -l)" -eq 100 ]
    [ "$(sim --scene imu --duration 1s --count 7 | wc -l)" -eq 7 ]
    sim --scene imu --start 2030-01-01T00:00:00Z --count 2 --rate 3Hz >"$T/out"
    grep -q '"timestamp_ns":1893456000333333333,' "$T/out"
}

@test "a specification is read from a file; what is wrong with one is said with its line" {
    printf 'seed 3\nduration 3s\nimu a rate=10Hz\nfault stuck a at=1s for=1s\n' >"$T/spec"
    [ "$(sim --spec "$T/spec" | wc -l)" -eq 30 ]
    [ "$(sim --spec - <"$T/spec" | wc -l)" -eq 30 ]
    printf 'imu a rate=10Hz\nfault stuck b at=1s\n' >"$T/spec"
    run sim --spec "$T/spec"
    [ "$status" -eq 2 ]
    [ "$output" = "psa-sim: $T/spec:2: no sensor 'b' above this line" ]
    run sim --spec "$T/none"
    [ "$status" -eq 2 ]
    [ "$output" = "psa-sim: $T/none: no such file" ]
}

@test "a vibration sensor's record is a block with its rate" {
    sim --scene bearing-inner --duration 100ms --no-labels >"$T/out"
    [ "$(wc -l <"$T/out")" -eq 1 ]
    grep -q '^{"sensor_type":"vibration","sensor_model":"ADXL1002","sensor_id":"motor-01","fields":{"accel":\[-\{0,1\}[0-9].*\]},"rate_hz":25600,"timestamp_ns":1710000000000000000}$' "$T/out"
    jq -e '.fields.accel | length == 2560' "$T/out"
    [ "$(sim --scene bearing --rate 1kHz --duration 10s | jq -c '[.rate_hz, (.fields.accel | length)]' | tr '\n' ' ')" = '[1000,4096] [1000,4096] [1000,1808] ' ]
    sim --scene bearing-ball | jq -s -e 'all(.[]; .labels == {anomaly: 1, fault: "bearing"})'
}

@test "--print-spec prints what plays the same" {
    sim --print-spec >"$T/spec"
    sim --duration 10s >"$T/a"
    sim --spec "$T/spec" --duration 10s | cmp - "$T/a"
}

@test "dropout leaves readings out, or writes nulls" {
    printf 'duration 4s\npressure a\nfault dropout a at=1s for=2s\n' >"$T/spec"
    [ "$(sim --spec "$T/spec" | wc -l)" -eq 2 ]
    printf 'duration 4s\npressure a\nfault dropout a at=1s for=2s null=1\n' >"$T/spec"
    sim --spec "$T/spec" >"$T/out"
    [ "$(grep -c '"pressure_Pa":null,"temperature_C":null' "$T/out")" -eq 2 ]
}

@test "--batch is one line of 1000 entries, 10 ms apart" {
    sim --batch >"$T/out"
    [ "$(wc -l <"$T/out")" -eq 1 ]
    jq -e '.sensor_batch | length == 1000 and ([.[].ts_ms] == [range(0; 10000; 10)]) and
        all(.[]; keys_unsorted == ["ts_ms", "pressure", "vibration", "temperature"] and all(.[]; type == "number"))' \
        "$T/out"
    sim --batch | cmp - "$T/out"
    sim --batch --count 3 | jq -e '.sensor_batch | length == 3'
}

@test "--speed paces by the clock and shows each reading at its time" {
    start=$(date +%s%N)
    sim --scene imu --rate 20Hz --duration 2s --speed 2x >"$T/out"
    took=$((($(date +%s%N) - start) / 1000000))
    [ "$took" -ge 950 ]
    [ "$took" -lt 5000 ]
    sim --scene imu --rate 20Hz --duration 2s | cmp - "$T/out"
}

@test "SIGTERM and SIGINT stop it behind a whole line, with status 0" {
    for signal in TERM INT; do
        status=0
        timeout --preserve-status -s "$signal" 0.5 "$BIN/psa-sim" --scene imu --duration 0 --speed 1x >"$T/out" || status=$?
        [ "$status" -eq 0 ]
        [ "$(wc -l <"$T/out")" -ge 10 ]
        [ "$(tail -c 1 "$T/out" | od -An -c | tr -d ' ')" = '\n' ]
        jq -e . "$T/out" >/dev/null
    done
    status=0
    timeout --preserve-status -s TERM 0.3 "$BIN/psa-sim" --duration 0 >"$T/out" || status=$?
    [ "$status" -eq 0 ]
    tail -n 1 "$T/out" | jq -e .timestamp_ns >/dev/null
}

@test "a full disk is an error; a reader that has gone ends it quietly" {
    run sim --output-is-not-an-option
    [ "$status" -eq 2 ]
    status=0
    sim >/dev/full 2>"$T/err" || status=$?
    [ "$status" -eq 1 ]
    grep -q '^psa-sim: stdout: cannot write: ' "$T/err"
    { status=0; sim --duration 0 2>"$T/err" || status=$?; echo "$status" >"$T/status"; } | head -n 1 >/dev/null
    [ "$(cat "$T/status")" -eq 141 ]
    [ ! -s "$T/err" ]
}

@test "wrong usage is told with status 2" {
    for wrong in '--scene moon' '--speed fast' '--speed 0x' '--duration -1s' '--rate 0Hz' '--start whenever' \
        '--batch --scene imu' '--spec x --scene imu' '--count 0' 'operand' '--seed x'; do
        # shellcheck disable=SC2086
        run sim $wrong
        [ "$status" -eq 2 ]
        [[ "$output" == psa-sim:* ]]
    done
    sim --help | grep -q -- '--no-faults'
    sim --version | grep -q '^psa-sim (psa) '
}

@test "--batch stops at a signal between two entries, its line whole" {
    mkfifo "$T/fifo"
    "$BIN/psa-sim" --batch --duration 0 >"$T/fifo" &
    sim=$!
    {
        head -c 1000
        kill -TERM "$sim"
        cat
    } <"$T/fifo" >"$T/out"
    wait "$sim"
    jq -e '.sensor_batch | length > 10' "$T/out"
}
