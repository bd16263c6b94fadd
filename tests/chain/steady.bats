#!/usr/bin/env bats
# Steady state allocates nothing: four times the input, the same number of allocations. valgrind counts them.

load ../cli/helpers

setup() {
    psa_setup
    command -v valgrind >/dev/null || skip "valgrind is missing"
    ! grep -q __asan_init "$BIN/psa-filter" || skip "valgrind and AddressSanitizer exclude each other"
}

# allocations FILE COMMAND...: how many the command makes on the file.
allocations() {
    local input=$1
    shift
    valgrind --log-file="$T/valgrind" "$@" <"$input" >"$T/out" 2>"$T/err" || return
    sed -n 's/.*total heap usage: \([0-9,]*\) allocs.*/\1/p' "$T/valgrind" | tr -d ,
}

# steady INPUT COMMAND...: as many for the whole input as for its first quarter; its output is left in $T/out.
steady() {
    local input=$1 short long
    shift
    head -n "$(($(wc -l <"$input") / 4))" "$input" >"$T/quarter"
    short=$(allocations "$T/quarter" "$@")
    long=$(allocations "$input" "$@")
    [ -n "$short" ]
    if [ "$short" != "$long" ]; then
        echo "$short allocations for a quarter of the input, $long for all of it: $*" >&2
        return 1
    fi
}

@test "steady state allocates nothing, stage by stage" {
    "$BIN/psa-sim" --no-faults --duration 30s >"$T/readings"
    steady "$T/readings" "$BIN/psa-filter" --lowpass 40Hz --rate 100Hz --fields 'accel_*,gyro_*'
    steady "$T/readings" "$BIN/psa-features" --rolling mean,std@5,20
    steady "$T/readings" "$BIN/psa-features" --rolling std,var,min,max,median,q95,rms,slope,ewma,zscore@5,20,500ms,2s
    steady "$T/readings" "$BIN/psa-window" --session 50ms --max-samples 100 --intervals
    steady "$T/readings" "$BIN/psa-window" --length 1s --stride 250ms --align epoch --intervals
    steady "$T/readings" "$BIN/psa-window" --length 1s --stride 250ms
    mv "$T/out" "$T/windows"
    steady "$T/windows" "$BIN/psa-features" --set all,array --band 1:10 --rpm 600 --bearing 8,1,4,0 --envelope 10:30 --nperseg 50 --taper hann
    steady "$T/windows" "$BIN/psa-features"
    mv "$T/out" "$T/features"
    grep accel_gyro "$T/features" | "$BIN/psa-train" isolation-forest --trees 20 --output "$T/model"
    steady "$T/features" "$BIN/psa-score" --model "$T/model"
    steady "$T/features" "$BIN/psa-score" --ecod --warmup 10 --horizon 20
    mv "$T/out" "$T/scored"
    echo 'press --ecod --warmup 10 --horizon 20 accel_gyro/press-01:accel_x,accel_y pressure/press-01:pressure_Pa' >"$T/groups"
    steady "$T/readings" "$BIN/psa-score" --groups "$T/groups"
    mkdir "$T/models" && cp "$T/model" "$T/models/accel_gyro.json"
    steady "$T/features" "$BIN/psa-score" --models "$T/models"
    steady "$T/scored" "$BIN/psa-alert"
    mkdir "$T/evidence" && echo 'daily 00:00-24:00 none/*' >"$T/plan" # no event, whose evidence would be allocated
    steady "$T/scored" "$BIN/psa-alert" --raise 64/64 --evidence "$T/evidence" --evidence-before 5 --maintenance "$T/plan"
    # Three sensors that are silent for 250 ms of 600: too seldom for a pace of theirs.
    awk '/"press-01"/ || (match($0, /"timestamp_ns":[0-9]+/) && substr($0, RSTART + 15, RLENGTH - 15) / 1e6 % 600 < 350)' "$T/readings" >"$T/gaps"
    steady "$T/gaps" "$BIN/psa-alert" --silent 100ms --cooldown 100ms --expect dht11/none
    [ "$(grep -c '"cleared"' "$T/out")" -gt 100 ]
}

@test "steady state allocates nothing in psa-filter's operations" {
    "$BIN/psa-sim" --scene imu --duration 60s >"$T/sim" # a slow sensor would not have warmed up in a quarter of the time
    awk 'NR % 25 == 0 { sub(/"accel_y":[^,]*/, "\"accel_y\":null") } { print }' "$T/sim" >"$T/readings"
    grep -q null "$T/readings"
    steady "$T/readings" "$BIN/psa-filter" --median 5 --hampel 7 --kalman velocity,1,1 --lowpass 40Hz --rate 100Hz
    steady "$T/readings" "$BIN/psa-filter" --fill linear --hampel 7 --centred --magnitude 'accel_*=accel' --ewma 200ms --max-gap 1s
    steady "$T/readings" "$BIN/psa-filter" --detrend linear,20 --difference --scale 2 --offset 1 --clip -1:1 --suffix _f
    steady "$T/readings" "$BIN/psa-filter" --resample 40 --lowpass 10 --rate 100Hz
    steady "$T/readings" "$BIN/psa-filter" --resample 50,mean --decimate 2
    steady "$T/readings" "$BIN/psa-filter" --resample 250,linear --median 3 --centred
    "$BIN/psa-window" --length 1s <"$T/readings" >"$T/blocks"
    steady "$T/blocks" "$BIN/psa-filter" --zero-phase --lowpass 10 --median 5 --fill linear
    steady "$T/blocks" "$BIN/psa-filter" --resample 40 --integrate 1Hz
}

@test "steady state allocates nothing on the way into a spool" {
    "$BIN/psa-sim" --no-faults --duration 30s >"$T/readings"
    head -n 4000 "$T/readings" >"$T/some"
    local short long # a regular file and no waiting for syncs: the same groups each time
    short=$(allocations "$T/some" "$BIN/psa-spool" append -d "$T/q1" --sync none --topic 'a/{sensor_id}')
    long=$(allocations "$T/readings" "$BIN/psa-spool" append -d "$T/q2" --sync none --topic 'a/{sensor_id}')
    [ -n "$short" ] && [ "$short" = "$long" ]
}

@test "steady state allocates nothing in psa-score's detectors and layers" {
    "$BIN/psa-sim" --scene imu --duration 12s >"$T/readings"
    steady "$T/readings" "$BIN/psa-score" --ecod --warmup 10 --horizon 60 --rest 20 --off 3 --false-alarms 1/1m
    head -n 640 "$T/readings" >"$T/short"
    steady "$T/short" "$BIN/psa-score" --dynamic-pca --lags 2,3 --warmup 100 --refit 20 --reference 80 --guard 5 --horizon 60
    steady "$T/short" "$BIN/psa-score" --cusum --warmup 50 --horizon 60
    steady "$T/short" "$BIN/psa-score" --half-space-trees --warmup 50 --samples 50 --trees 5 --horizon 60
    steady "$T/short" "$BIN/psa-score" --conformal --warmup 50 --shingle 10 --horizon 60
}
