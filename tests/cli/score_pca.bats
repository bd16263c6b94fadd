#!/usr/bin/env bats
# Dynamic PCA, PCA and robust Mahalanobis distances through psa-train and psa-score.

load helpers
setup() { psa_setup; }
check() { "$PY" tests/cli/score_pca_check.py "$@"; }

@test "PCA: T2 and Q are scikit-learn's" { check t2_and_q; }
@test "Mahalanobis: support and distances are scikit-learn's" { check distances; }
@test "dynamic PCA: scores, alarms, refits and shares are the transcription's in NumPy" { check dynamic; }
@test "dynamic PCA: many channels get rows enough to learn from, and no alarm lasts on healthy ones" { check wide; }
@test "dynamic PCA: a channel that dies, comes alive or has holes is no anomaly" { check missing; }
@test "dynamic PCA by a model: frozen, adapting, described" { check models; }
@test "dynamic PCA cut anywhere and resumed gives the same bytes" { check cuts; }
@test "SKAB by its protocol, with the manual's commands" {
    [ -d ../shared/data/skab/valve1 ] || skip 'no recordings at ../shared/data/skab'
    check skab
}

@test "OpenBLAS runs one thread" {
    awk 'BEGIN { for (i = 0; i < 90; i++) printf "{\"fields\":{\"x\":%d,\"y\":%d},\"timestamp_ns\":%d}\n", i * 7 % 11, i * 5 % 13, i }' >"$T/in"
    mkfifo "$T/to" "$T/from"
    "$BIN/psa-score" --dynamic-pca --lags 2,3 --warmup 60 "$T/to" >"$T/from" 3>&- &
    exec 5<"$T/from" 4>"$T/to"
    cat "$T/in" >&4
    # With the 90th record out the fit was made, and the program waits for more.
    for _ in $(seq 90); do read -r -u 5 line; done
    [[ "$line" == *'"state":"scoring"'* ]]
    threads=$(find "/proc/$!/task" -mindepth 1 -maxdepth 1 | wc -l)
    exec 4>&- 5<&-
    wait
    [ "$threads" -eq 1 ]
}

@test "what cannot be scored is said with what to do" {
    keep 2 "$BIN/psa-score" --dynamic-pca --warmup 20 <<<'{"fields":{"x":1},"timestamp_ns":1}'
    saying '--warmup 20 is too short for --lags up to 12; at least 48'
    for i in 1 2 3 4 5 6 7 8; do echo "{\"fields\":{\"x\":$((i * 3 % 5)),\"y\":$i},\"timestamp_ns\":$i}"; done >"$T/in"
    keep 2 "$BIN/psa-train" dynamic-pca "$T/in"
    saying 'a training set of 8 is too short for --lags up to 12; at least 48'
    for i in $(seq 60); do echo "{\"fields\":{\"x\":$((i * 3 % 5)),\"y\":$((i * i % 7))},\"timestamp_ns\":$i}"; done >"$T/few"
    keep 2 "$BIN/psa-train" dynamic-pca "$T/few"
    saying '60 rows in 1 runs hold 49 windows of 12 consecutive rows; 2 features need at least 81, as 92 rows in one run have'
    keep 2 "$BIN/psa-train" dynamic-pca --lags 1 "$T/few"
    saying 'the components of 1 rows stacked hold all there is, so that every row scores 0'
    keep 0 "$BIN/psa-score" --dynamic-pca --lags 1 --warmup 50 --reference 50 \
        <<<"$(jq -c '.sensor_id = "m"' "$T/few")"
    saying 'm: the components of 1 rows stacked hold all there is, so that every row scores 0; give longer --lags'
    keep 0 "$BIN/psa-score" --dynamic-pca --warmup 60 <<<"$(jq -c '.sensor_id = "m"' "$T/few")"
    saying 'm: 2 fields with these lags need 92 rows to learn from, so --warmup is 92 and --reference 400'
    # Each record has one of three fields, and none has half of them.
    keep 0 "$BIN/psa-score" --dynamic-pca --lags 2 --warmup 40 --refit 5 --reference 40 \
        <<<"$(jq -c '.sensor_id = "m" | .timestamp_ns as $t | .fields = {x: .fields.x, y: .fields.y, z: $t}
            | .fields |= with_entries(if ["x", "y", "z"][$t % 3] == .key then . else .value = null end)' "$T/few")"
    saying 'm: nothing could be learned from the warm-up: no field has values in half of the rows'
    keep 2 "$BIN/psa-train" mahalanobis <<<"$(head -n 4 "$T/in")"
    saying '4 rows are too few for a robust covariance of 2 features; more than 4 are needed, better 10'
    jq -c '.fields.z = .fields.x - .fields.y' "$T/in" >"$T/dependent"
    keep 2 "$BIN/psa-train" mahalanobis --scaler none "$T/dependent"
    saying 'in most rows feature z follows from the features before it'
}
