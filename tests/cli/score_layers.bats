#!/usr/bin/env bats
# psa-score: limits, hysteresis, rest, false alarms, freeze, explanations and states of every detector: score_check.py.

load helpers
setup() {
    psa_setup
    "$PY" -c 'import numpy' 2>/dev/null || skip 'python3-numpy is missing'
}
check() { BATS_TEST_TMPDIR=$T "$PY" tests/cli/score_check.py "$@"; }
MODEL=tests/golden/iforest_model.json

@test "limits, hysteresis, rest, false alarms, warm-up and horizon are by the definition" { check layers; }
@test "--freeze: rows and reference of the warm-up stay, each row is scored beside them" { check freeze; }
@test "the same by a model, whose raw scores are read with the sign turned" { check by_model; }
@test "a wish for few false alarms on a healthy day comes true" { check wish; }
@test "a detector's own hysteresis holds unless --off says otherwise" { check own_off; }
@test "a lasting fault never becomes usual to the score; one spike is no lasting fault" { check lasting; }
@test "every streaming detector names the disturbed channel; shares sum to 1" { check streaming; }
@test "every kind of model names the disturbed channel; shares sum to 1" { check models; }
@test "pca: T2 and Q are scikit-learn's" { check t2_q; }
@test "every way of scoring, cut anywhere and resumed, gives the same bytes" { check cuts; }
@test "a state is refused under another model, which is named" { check state_of_a_model; }

@test "a value beyond 1e100 counts as missing, said once; the rows beside it are scored as without it" {
    for i in {1..400}; do record a "\"x\":$((i * 7919 % 101)),\"y\":$((i * 104729 % 89))" "$i"; done >"$T/clean"
    sed '50s/"x":[0-9]*/"x":1e308/; 300s/"x":[0-9]*/"x":-1e101/; 310s/"x":[0-9]*,"y":[0-9]*/"x":1e160,"y":1e300/' "$T/clean" >"$T/wild"
    sed '50s/"x":[0-9]*/"x":null/; 300s/"x":[0-9]*/"x":null/; 310s/"x":[0-9]*,"y":[0-9]*/"x":null,"y":null/' "$T/clean" >"$T/null"
    for detector in ewma cusum ecod dynamic-pca half-space-trees conformal; do
        keep 0 "$BIN/psa-score" "--$detector" --stats "$T/wild"
        saying 'wild:50: fields.x is 1e+308; beyond +-1e+100 a value counts as missing'
        saying '"beyond":3'
        jq -c .anomaly "$T/out" >"$T/verdicts"
        sed -n 310p "$T/verdicts" | grep -q '"missing"'
        "$BIN/psa-score" "--$detector" "$T/null" | jq -c .anomaly | cmp - "$T/verdicts"
        jq -se 'map(select(.anomaly.state == "scoring")) | length == 199' "$T/out"
    done
}

# refused TEXT OPTION...
refused() {
    local text=$1
    shift
    keep 2 "$BIN/psa-score" "$@" </dev/null
    saying "$text"
}

@test "no option is taken that would be ignored" {
    refused 'say how to score'
    refused '--ecod and --ewma exclude each other' --ecod --ewma
    refused '--model means nothing beside --ecod' --model "$MODEL" --ecod
    refused '--warmup means nothing without' --model "$MODEL" --warmup 9
    refused '--horizon means nothing without' --model "$MODEL" --horizon 9
    refused '--freeze means nothing without' --model "$MODEL" --freeze
    refused '--adapt means nothing without' --ecod --adapt
    refused '--adapt: a model of kind isolation-forest cannot go on learning' --model "$MODEL" --adapt
    refused '--lags means nothing without --dynamic-pca' --ecod --lags 5
    refused '--variance means nothing without --dynamic-pca' --ewma --variance 0.9
    refused '--refit means nothing without --dynamic-pca' --ecod --refit 5
    refused '--refit means nothing beside --freeze' --dynamic-pca --freeze --refit 5
    refused '--lambda means nothing without --ewma or --cusum' --ecod --lambda 0.1
    refused '--allowance means nothing without --cusum' --ewma --allowance 0.1
    refused '--trees means nothing without --half-space-trees' --ecod --trees 5
    refused '--seed means nothing without --half-space-trees' --ecod --seed 5
    refused '--season means nothing without --conformal' --ecod --season 1d
    refused '--contamination means nothing beside --on' --ecod --on 5 --contamination 0.1
    refused '--contamination means nothing beside --false-alarms' --ecod --false-alarms 1/week --contamination 0.1
    refused '--on means nothing beside --false-alarms' --ecod --on 5 --false-alarms 1/week
    refused 'an alarm that begins at a raw score of 3 cannot end at 4' --ecod --on 3 --off 4
    refused 'an alarm that begins at a raw score of -0.6 cannot end at -0.7' --model "$MODEL" --on -0.6 --off -0.7
}

@test "values that make no sense are refused" {
    refused "--false-alarms: '1' is no rate; write it like 1/week" --ecod --false-alarms 1
    refused "--false-alarms: '/week' is no rate" --ecod --false-alarms /week
    refused "--false-alarms: 'fortnight' is no duration" --ecod --false-alarms 1/fortnight
    refused "--false-alarms: '0/week' must be above zero" --ecod --false-alarms 0/week
    refused "--false-alarms: '1/0s' must be above zero" --ecod --false-alarms 1/0s
    refused "--lags: '0' is not within 1 to" --dynamic-pca --lags 5,0
    refused "--lags: '5,,8' is no list of counts" --dynamic-pca --lags 5,,8
    refused '--lags: more than 8' --dynamic-pca --lags 1,2,3,4,5,6,7,8,9
    refused '--rest:' --ecod --rest -1
}
