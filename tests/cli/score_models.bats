#!/usr/bin/env bats
# psa-score --models: each stream by the model of its key; what happens to those without one, or with a broken one.

load helpers

setup() {
    psa_setup
    mkdir "$T/models" "$T/models/imu"
}

# rows N TYPE ID [PHASE]: N records of a stream, values without randomness.
rows() {
    awk -v n="$1" -v type="$2" -v id="$3" -v phase="${4:-0}" 'BEGIN {
        for (i = 0; i < n; i++)
            printf("{%s\"sensor_id\":\"%s\",\"fields\":{\"x\":%.6f,\"y\":%.6f},\"timestamp_ns\":%d000000000}\n",
                type == "" ? "" : "\"sensor_type\":\"" type "\",", id, sin(i + phase) + i * 7919 % 101 / 100,
                cos(i) + i * 104729 % 103 / 100, 1000 + i)
    }'
}

# train KIND FILE [OPTION...]: a model from rows on stdin.
train() {
    local kind=$1 file=$2
    shift 2
    cat >"$T/training"
    "$BIN/psa-train" "$kind" -o "$file" "$@" "$T/training" 2>"$T/train.err" || { cat "$T/train.err" >&2; return 1; }
}

# by_hand MODEL ID: records of $T/in with that id, scored by one model.
by_hand() {
    grep -F "\"sensor_id\":\"$2\"" "$T/in" >"$T/one"
    "$BIN/psa-score" --model "$1" "$T/one"
}

# of ID: the records of $T/out with that id.
of() { grep -F "\"sensor_id\":\"$1\"" "$T/out"; }

@test "TYPE/ID.json goes before TYPE.json before default.json; what comes out is what each model alone gives" {
    rows 200 imu a | train isolation-forest "$T/models/imu/a.json" --trees 10
    rows 200 imu a 1 | train pca "$T/models/imu.json"
    rows 200 imu a 2 | train mahalanobis "$T/models/default.json"
    rows 50 imu a >"$T/1"
    rows 50 imu b >"$T/2"
    rows 50 dht c >"$T/3"
    rows 50 '' d >"$T/4"
    paste -d '\n' "$T/1" "$T/2" "$T/3" "$T/4" >"$T/in"
    keep 0 "$BIN/psa-score" --models "$T/models" --stats "$T/in"
    accounts "$T/err"
    jq -e '.passed == 200 and .keys == 4 and .noted == {}' "$T/stats.lines"
    by_hand "$T/models/imu/a.json" a >"$T/want"
    of a | cmp - "$T/want"
    by_hand "$T/models/imu.json" b >"$T/want"
    of b | cmp - "$T/want"
    for id in c d; do
        by_hand "$T/models/default.json" $id >"$T/want"
        of $id | cmp - "$T/want"
    done
    jq -s -e '[.[].anomaly.model | split("-")[0]] | unique | length == 3' "$T/out"
}

@test "an id without type is ID.json, with --key it is VALUE.json; other bytes than letters, digits and _-. are %XX" {
    rows 100 imu a | train isolation-forest "$T/model" --trees 5
    mkdir "$T/models/a%2Fb" "$T/models/%2E%2E"
    cp "$T/model" "$T/models/a%2Fb/x%20y%C3%A9.json"
    cp "$T/model" "$T/models/plain_1-2.3.json"
    cp "$T/model" "$T/models/%2E./%2E.json" 2>/dev/null || { mkdir "$T/models/%2E." && cp "$T/model" "$T/models/%2E./%2E.json"; }
    { rows 1 a/b 'x yé'; rows 1 '' plain_1-2.3; rows 1 .. .; rows 1 .. ..; rows 1 imu a; } >"$T/in"
    keep 0 "$BIN/psa-score" --models "$T/models" --stats "$T/in"
    jq -c 'if .anomaly then .anomaly.state else null end' "$T/out" | tr '\n' ' ' >"$T/got"
    [ "$(cat "$T/got")" = '"scoring" "scoring" "scoring" null null ' ]
    said "psa-score: $T/in:4: ../..: no model of it in '$T/models'; it passes unscored"
    accounts "$T/err"
    jq -e '.noted == {unmodelled: 2}' "$T/stats.lines"
    keep 0 "$BIN/psa-score" --models "$T/models" --key tags.host --stats <(printf '{"tags":{"host":"plain_1-2.3"},"fields":{"x":1,"y":2}}\n{"fields":{"x":1,"y":2}}\n')
    [ "$(jq -r .anomaly.state "$T/out")" = scoring ]
    accounts "$T/err"
    jq -e '.rejected == {no_key: 1}' "$T/stats.lines"
}

@test "records of streams without a model pass byte for byte, also late ones; said once a stream" {
    rows 100 imu a | train isolation-forest "$T/models/imu.json" --trees 5
    { rows 3 dht c; rows 1 dht c; rows 2 imu a; rows 2 sound q; printf '{"sensor_id":"x","fields":{}}\n'; } >"$T/in"
    keep 0 "$BIN/psa-score" --models "$T/models" --stats "$T/in"
    grep -v imu "$T/in" >"$T/want"
    grep -v imu "$T/out" | cmp - "$T/want"
    [ "$(grep -c 'no model of it' "$T/err")" -eq 3 ]
    accounts "$T/err"
    jq -e '.noted == {unmodelled: 7} and .passed == 9' "$T/stats.lines"
}

@test "a broken model does not end the run: said with its path once, counted for each record" {
    rows 100 imu a | train isolation-forest "$T/models/default.json" --trees 5
    head -c 300 "$T/models/default.json" >"$T/models/imu.json"
    { rows 2 imu a; rows 2 dht b; rows 2 imu c; } >"$T/in"
    keep 0 "$BIN/psa-score" --models "$T/models" --stats "$T/in"
    [ "$(grep -c 'imu.json' "$T/err")" -eq 1 ]
    saying "psa-score: $T/in:1: imu/a: model '$T/models/imu.json': "
    accounts "$T/err"
    jq -e '.noted == {broken_model: 4} and .passed == 6' "$T/stats.lines"
    jq -s -e '[.[] | has("anomaly")] == [false, false, true, true, false, false]' "$T/out"
    # what a kind cannot do counts as broken too
    keep 0 "$BIN/psa-score" --models "$T/models" --adapt "$T/in"
    saying "dht/b: model '$T/models/default.json': --adapt: a model of kind isolation-forest cannot go on learning"
}

@test "records that lack a feature or have a wrong type are dealt with as with --model" {
    rows 100 imu a | train isolation-forest "$T/models/imu.json" --trees 5
    {
        rows 1 imu a
        printf '{"sensor_type":"imu","sensor_id":"a","fields":{"x":1},"timestamp_ns":2000000000000}\n'
        printf '{"sensor_type":"imu","sensor_id":"a","fields":{"x":1,"y":"z"},"timestamp_ns":2000000000000}\n'
        printf '{"sensor_type":"imu","sensor_id":"a","fields":{"x":1,"y":2},"timestamp_ns":1}\n'
    } >"$T/in"
    keep 0 "$BIN/psa-score" --models "$T/models" --stats "$T/in"
    accounts "$T/err"
    jq -e '.noted == {unscored: 1} and .rejected == {type: 1} and .dropped == {late: 1} and .passed == 2' "$T/stats.lines"
    # what a model lacks is said once for each
    cp "$T/models/imu.json" "$T/models/dht.json"
    printf '{"sensor_type":"%s","sensor_id":"%s","fields":{"x":1}}\n' imu a dht b imu c dht d >"$T/in"
    keep 0 "$BIN/psa-score" --models "$T/models" "$T/in"
    [ "$(grep -c 'fields.y is missing' "$T/err")" -eq 2 ]
}

@test "cut and resumed from its state the bytes are the same; a stream whose model was exchanged starts afresh" {
    rows 300 imu a | train dynamic-pca "$T/models/imu.json" --lags 3
    rows 300 imu a 1 | train isolation-forest "$T/models/dht.json" --trees 5
    rows 80 imu a >"$T/1"
    rows 80 imu b 2 >"$T/2"
    rows 80 dht c >"$T/3"
    rows 80 none d >"$T/4"
    paste -d '\n' "$T/1" "$T/2" "$T/3" "$T/4" >"$T/in"
    score() { "$BIN/psa-score" --models "$T/models" --rest 5 "$@"; }
    score "$T/in" >"$T/whole" 2>"$T/err"
    jq -s -e '[.[] | select(.anomaly.state == "scoring")] | length > 200' "$T/whole"
    for cut in 1 7 100 203 319; do
        rm -f "$T/state"
        head -n $cut "$T/in" >"$T/head"
        tail -n +$((cut + 1)) "$T/in" >"$T/tail"
        score --state "$T/state" "$T/head" >"$T/cut" 2>"$T/err"
        score --state "$T/state" "$T/tail" >>"$T/cut" 2>"$T/err"
        cmp "$T/whole" "$T/cut"
    done
    rows 300 imu a 3 | train dynamic-pca "$T/models/imu.json" --lags 3
    rows 300 imu a 3 | train isolation-forest "$T/models/none.json" --trees 5
    tail -n 4 "$T/in" >"$T/next"
    keep 0 score --state "$T/state" "$T/next"
    said "psa-score: imu/a: its model is not the one its state was kept under; it starts afresh"
    said "psa-score: imu/b: its model is not the one its state was kept under; it starts afresh"
    jq -s -e '[.[].anomaly.state] == ["warming", "warming", "scoring", "scoring"]' "$T/out"
    sed 's/"judge"/"juge"/' "$T/state" >"$T/bad"
    keep 2 score --state "$T/bad" "$T/next"
    saying damaged
}

@test "a forgotten stream gives its model back, and finds it again" {
    rows 100 imu a | train isolation-forest "$T/models/imu.json" --trees 5
    rows 100 imu a 1 | train isolation-forest "$T/models/default.json" --trees 5
    for i in $(seq 30); do
        rows 1 imu "$((i % 4))"
        rows 1 dht "$((i % 3))"
    done >"$T/in"
    keep 0 "$BIN/psa-score" --models "$T/models" --max-keys 2 --stats "$T/in"
    jq -s -e 'length == 60 and all(.[]; .anomaly.state == "scoring")' "$T/out"
    tail -n 1 "$T/err" | jq -e '.keys == 2 and .keys_evicted > 30'
}

@test "a FIFO or a folder in the place of a model is a broken one, and nobody waits for it" {
    rows 100 imu a | train isolation-forest "$T/models/default.json" --trees 5
    mkfifo "$T/models/imu.json"
    mkdir "$T/models/dht.json"
    { rows 1 imu a; rows 1 dht b; rows 1 '' c; } >"$T/in"
    keep 0 timeout 20 "$BIN/psa-score" --models "$T/models" --stats "$T/in"
    saying "imu/a: $T/models/imu.json: is no plain file; it passes unscored"
    saying "dht/b: $T/models/dht.json: is no plain file; it passes unscored"
    accounts "$T/err"
    jq -e '.noted == {broken_model: 2} and .passed == 3' "$T/stats.lines"
    # --model names a file itself: there it may be what it likes
    keep 0 "$BIN/psa-score" --model <(cat "$T/models/default.json") "$T/in"
}

@test "streams without a model take no place from one that has one, and are looked up once" {
    rows 300 imu a | train dynamic-pca "$T/models/imu.json" --lags 3
    rows 40 imu a >"$T/a"
    for i in $(seq 40); do rows 1 dht "$((i % 5))"; done | paste -d '\n' "$T/a" - >"$T/in"
    keep 0 "$BIN/psa-score" --models "$T/models" --max-keys 1 --stats "$T/a"
    mv "$T/out" "$T/alone"
    keep 0 "$BIN/psa-score" --models "$T/models" --max-keys 1 --stats "$T/in"
    of a | cmp - "$T/alone"
    accounts "$T/err"
    jq -e '.keys == 1 and .keys_evicted == 0 and .noted == {unmodelled: 40}' "$T/stats.lines"
    keep 0 "$BIN/psa-score" --models "$T/models" --max-keys 5 "$T/in"
    [ "$(grep -c 'no model of it' "$T/err")" -eq 5 ]
    of a | cmp - "$T/alone"
    # a model that is gone at the next start: its stream passes, said once, and the state can be kept and taken again
    "$BIN/psa-score" --models "$T/models" --state "$T/state" "$T/a" >/dev/null
    rm "$T/models/imu.json"
    for _ in 1 2; do
        keep 0 "$BIN/psa-score" --models "$T/models" --state "$T/state" --stats "$T/a"
        cmp "$T/a" "$T/out"
        [ "$(grep -c 'no model of it' "$T/err")" -eq 1 ]
    done
}

@test "the folder must be there" {
    keep 2 "$BIN/psa-score" --models "$T/none" </dev/null
    said "psa-score: --models: there is no folder '$T/none'"
    : >"$T/file"
    keep 2 "$BIN/psa-score" --models "$T/file" </dev/null
    said "psa-score: --models: '$T/file' is a file; --model FILE takes one model"
}
