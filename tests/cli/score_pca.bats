#!/usr/bin/env bats
# Dynamic PCA, PCA and robust Mahalanobis distances through psa-train and psa-score.

load helpers
setup() { psa_setup; }
check() { "$PY" tests/cli/score_pca_check.py "$@"; }

@test "PCA: T2 and Q are scikit-learn's" { check t2_and_q; }
@test "Mahalanobis: support and distances are scikit-learn's" { check distances; }
@test "dynamic PCA: scores, alarms, refits and shares are the transcription's in NumPy" { check dynamic; }
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
    keep 2 "$BIN/psa-train" mahalanobis <<<"$(head -n 4 "$T/in")"
    saying '4 rows are too few for a robust covariance of 2 features; more than 4 are needed, better 10'
    jq -c '.fields.z = .fields.x - .fields.y' "$T/in" >"$T/dependent"
    keep 2 "$BIN/psa-train" mahalanobis --scaler none "$T/dependent"
    saying 'in most rows feature z follows from the features before it'
}
