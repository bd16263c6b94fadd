#!/usr/bin/env bats
# psa-score with the streaming detectors ewma, cusum, half-space-trees, conformal: golden numbers through the program, the
# figures that psa-detectors(7) quotes for real recordings, what they refuse.

load helpers
setup() {
    psa_setup
    DATA=${PSA_DATA:-../shared/data}
}

# golden SECTION CASE OPTIONS...: the case's scores, and those of its warm-up, come out of psa-score.
golden() { "$PY" tests/cli/score_charts_check.py golden "$@"; }

@test "EWMA charts: golden scores and alarms, moving baseline and --freeze" {
    golden charts 0 --ewma --lambda 0.15 --warmup 60
    golden charts 1 --ewma --lambda 0.15 --warmup 60 --freeze
}

@test "CUSUM charts: golden scores and alarms, moving baseline and --freeze" {
    golden charts 2 --cusum --lambda 0.15 --allowance 0.75 --warmup 60
    golden charts 3 --cusum --lambda 0.15 --allowance 0.75 --warmup 60 --freeze
}

@test "half-space trees: golden scores, the paper's algorithms with the same draws" {
    golden half_space_trees 0 --half-space-trees --samples 100 --warmup 120 --on 0 --off 0
    golden half_space_trees 1 --half-space-trees --trees 7 --depth 12 --samples 64 --warmup 40 --seed 99 --on -1 --off -1
}

@test "conformal: golden scores, by the definition" {
    golden conformal 0 --conformal --warmup 1 --horizon 300 --smooth 6 --shingle 48 --nearest 3
    golden conformal 1 --conformal --warmup 1 --horizon 1000 --smooth 12 --shingle 10 --nearest 5 --season 0
}

@test "the figures that psa-detectors(7) quotes for SKAB's valve1 and NAB's machine temperature" {
    [ -d "$DATA/skab/valve1" ] && [ -d "$DATA/nab" ] || skip "no recordings at $DATA/skab and $DATA/nab"
    "$PY" tests/cli/score_charts_check.py measured "$DATA"
}

@test "what they cannot do is said" {
    record a '"x":1' 1 >"$T/in"
    keep 2 "$BIN/psa-score" --conformal --freeze "$T/in"
    saying '--freeze with --conformal, which compares each value with those just before; leave it out'
    keep 2 "$BIN/psa-score" --conformal --horizon 0 "$T/in"
    saying '--horizon 0 with --conformal, which compares each value with all of the horizon; give 2 or more'
    keep 2 "$BIN/psa-score" --ewma --warmup 1 "$T/in"
    saying '--warmup 1 is too short for --ewma'
    keep 2 "$BIN/psa-score" --half-space-trees --warmup 1 "$T/in"
    saying '--warmup 1 is too short for --half-space-trees'
}

@test "a frozen chart finds the drift that a moving one follows; top names the field" {
    printf '%s\n' 'duration 3000s' 'pressure line mean=60000 swing=0' \
        'fault drift line at=400s for=2600s amplitude=-300' >"$T/scene"
    "$BIN/psa-sim" --spec "$T/scene" >"$T/in"
    keep 0 "$BIN/psa-score" --ewma --warmup 200 --freeze "$T/in"
    jq -s -e '[.[] | select(.anomaly.is_anomaly)] | length > 1500 and all(.anomaly.top[0][0] == "pressure_Pa")' "$T/out"
    keep 0 "$BIN/psa-score" --ewma --warmup 200 "$T/in"
    jq -s -e '[.[] | select(.anomaly.is_anomaly)] | length < 100' "$T/out"
}
