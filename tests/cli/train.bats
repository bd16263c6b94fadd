#!/usr/bin/env bats
# psa-train: a model from records, the same for the same seed, and honest about what it leaves out.

setup() {
    cd "$BATS_TEST_DIRNAME/../.." || exit 1
    BIN=${PSA_BIN:-bin}
    T=$BATS_TEST_TMPDIR
}

# Ordinary rows: three features; n of them.
rows() {
    awk -v n="$1" 'BEGIN {
        for (i = 0; i < n; i++) {
            u = (i * 7919) % 10007 / 10007; v = (i * 104729) % 9973 / 9973; w = (i * 1299709) % 9967 / 9967
            printf "{\"sensor_id\":\"p\",\"fields\":{\"rms\":%.6f,\"kurtosis\":%.6f,\"ptp\":%.6f},\"timestamp_ns\":%d000000000}\n",
                1 + u + v, 3 * (u + v + w), 10 * w * w, 1710000000 + i
        }
    }'
}

odd() { printf '{"sensor_id":"p","fields":{"rms":2,"kurtosis":40,"ptp":60},"timestamp_ns":1}\n'; }

@test "a trained model scores its own records: the share above the threshold is the contamination" {
    rows 1000 >"$T/in"
    "$BIN/psa-train" isolation-forest "$T/in" >"$T/model"
    "$BIN/psa-score" --model "$T/model" "$T/in" >"$T/out"
    jq -s -e '([.[] | select(.anomaly.is_anomaly)] | length) as $n | $n == 50 and
        ([.[].fields.anomaly_score] | min >= 0 and max <= 1)' "$T/out"
    "$BIN/psa-train" isolation-forest --contamination 0.2 "$T/in" >"$T/model2"
    "$BIN/psa-score" --model "$T/model2" "$T/in" >"$T/out"
    jq -s -e '[.[] | select(.anomaly.is_anomaly)] | length == 200' "$T/out"
}

@test "an odd record is an anomaly, and the features that made it so come first" {
    rows 1000 >"$T/in"
    odd >"$T/odd"
    for scaler in standard none; do
        "$BIN/psa-train" isolation-forest --scaler $scaler -o "$T/model" "$T/in"
        "$BIN/psa-score" --model "$T/model" "$T/odd" >"$T/out"
        jq -e '.anomaly.is_anomaly and .fields.anomaly_score > 0.6 and .fields.anomaly_label == -1 and
            ([.anomaly.top[:2][][0]] | sort == ["kurtosis", "ptp"])' "$T/out"
    done
}

@test "calibration: the threshold scores one half, the training scores spread as the formula says" {
    rows 2000 >"$T/in"
    "$BIN/psa-train" isolation-forest --contamination 0.1 -o "$T/model" "$T/in"
    "$BIN/psa-score" --model "$T/model" "$T/in" >"$T/out"
    # 1 - 2^(-ln p / ln p0) with p = 0.5 (the median) and p0 = 0.1
    jq -s -e '[.[].fields.anomaly_score] | sort | .[1000] - (1 - pow(2; -(0.5 | log) / (0.1 | log))) | fabs < 0.01' "$T/out"
}

@test "same input and seed, same bytes; another seed, another model" {
    rows 500 >"$T/in"
    "$BIN/psa-train" isolation-forest --seed 7 "$T/in" >"$T/a"
    "$BIN/psa-train" isolation-forest --seed 7 <"$T/in" >"$T/b"
    "$BIN/psa-train" isolation-forest --seed 8 "$T/in" >"$T/c"
    cmp "$T/a" "$T/b"
    run cmp -s "$T/a" "$T/c"
    [ "$status" -eq 1 ]
    jq -e '.psa_model == 1 and .kind == "isolation-forest" and .features == ["rms", "kurtosis", "ptp"] and
        (.forest.trees | length) == 100 and .forest.max_samples == 256 and .seed == 7 and .trained.records == 500 and
        (.trained.ranges | length) == 3 and (.id | test("^iforest-[0-9a-f]{16}$"))' "$T/a"
}

@test "trees, samples, scaler and auto are obeyed" {
    rows 500 >"$T/in"
    "$BIN/psa-train" isolation-forest --trees 7 --samples 33 --contamination auto "$T/in" >"$T/model"
    jq -e '(.forest.trees | length) == 7 and .forest.max_samples == 33 and .threshold == -0.5 and
        .contamination == "auto" and all(.forest.trees[]; .n_node_samples[0] == 33) and .scaler.kind == "standard" and (.scaler.scale | length) == 3' "$T/model"
    "$BIN/psa-train" isolation-forest --scaler none "$T/in" >"$T/model"
    jq -e '.scaler.kind == "none" and (.scaler.mean | length) == 3 and (.scaler | has("scale") | not)' "$T/model"
}

@test "records that do not fit are left out, said and counted; labels and scores are ignored" {
    {
        rows 50
        echo '{"fields":{"rms":null,"kurtosis":1,"ptp":1}}'
        echo '{"fields":{"rms":1,"kurtosis":1}}'
        echo '{"fields":{"rms":"x","kurtosis":1,"ptp":1}}'
        echo '{"fields":{"rms":[1,2],"kurtosis":1,"ptp":1}}'
        echo 'not json'
        echo '{"sensor_type":"status","sensor_id":"p","fields":{}}'
        echo '{"psa":{"heartbeat":5}}'
        echo '{"fields":{"ptp":1,"kurtosis":1,"rms":1,"anomaly_score":0.5},"labels":{"fault":1}}'
    } >"$T/in"
    "$BIN/psa-train" isolation-forest "$T/in" >"$T/model" 2>"$T/err"
    jq -e '.trained.records == 52 and .features == ["rms", "kurtosis", "ptp"]' "$T/model"
    grep -q ':52: fields.ptp is missing; left out' "$T/err"
    grep -q ':53: fields.rms is not a number; left out' "$T/err"
    grep -q ':54: fields.rms is an array.*psa-features' "$T/err"
    grep -q ':55: .*left out' "$T/err"
    [ "$(wc -l <"$T/err")" -eq 4 ]
}

@test "a null counts as its column's mean; a column of nulls is no part of the model" {
    rows 50 | sed 's/"ptp":[^}]*/&,"empty":null/' >"$T/in"
    {
        cat "$T/in"
        echo '{"fields":{"rms":null,"kurtosis":1,"ptp":1,"empty":3}}'
    } >"$T/nulls"
    mean=$(jq -s 'map(.fields.rms) | add / length' "$T/in")
    {
        cat "$T/in"
        echo "{\"fields\":{\"rms\":$mean,\"kurtosis\":1,\"ptp\":1,\"empty\":3}}"
    } >"$T/means"
    "$BIN/psa-train" isolation-forest --scaler none "$T/nulls" >"$T/model" 2>"$T/err"
    "$BIN/psa-train" isolation-forest --scaler none "$T/means" 2>/dev/null >"$T/expected"
    grep -q 'fields.empty is null in 50 of 51 records; it is not part of the model' "$T/err"
    jq -e '.features == ["rms", "kurtosis", "ptp"]' "$T/model"
    # jq's mean and psa-train's may differ in the last bit; the forests, of single precision, do not.
    [ "$(jq -c .forest "$T/model")" = "$(jq -c .forest "$T/expected")" ]
}

@test "columns behind one that is left out keep their values" {
    rows 50 >"$T/in"
    sed 's/"rms"/"empty":null,&/' "$T/in" >"$T/nulls"
    "$BIN/psa-train" isolation-forest "$T/in" >"$T/expected"
    "$BIN/psa-train" isolation-forest "$T/nulls" >"$T/model" 2>/dev/null
    cmp "$T/expected" "$T/model"
}

@test "--max-rows bounds what is kept and says so" {
    rows 100 >"$T/in"
    "$BIN/psa-train" isolation-forest --max-rows 60 "$T/in" >"$T/model" 2>"$T/err"
    jq -e '.trained.records == 60' "$T/model"
    grep -q -- '--max-rows 60 reached; 40 records' "$T/err"
}

@test "--output writes the file whole; an input without use leaves the old one" {
    rows 100 >"$T/in"
    "$BIN/psa-train" isolation-forest --output "$T/model" "$T/in"
    cp "$T/model" "$T/kept"
    run "$BIN/psa-train" isolation-forest --output "$T/model" /dev/null
    [ "$status" -eq 2 ]
    [[ $output == *"a model needs 2 or more"* ]]
    cmp "$T/model" "$T/kept"
    [ "$(find "$T" -name 'model*' | wc -l)" -eq 1 ]
    run "$BIN/psa-train" isolation-forest "$T/in" --output "$T/no/where"
    [ "$status" -ne 0 ]
    if [ -e /dev/full ]; then
        run bash -c "'$BIN/psa-train' isolation-forest '$T/in' >/dev/full"
        [ "$status" -eq 1 ]
    fi
}

@test "--describe says what is inside, and refuses what is no model" {
    rows 100 >"$T/in"
    "$BIN/psa-train" isolation-forest --trees 9 -o "$T/model" "$T/in"
    run "$BIN/psa-train" --describe "$T/model"
    [ "$status" -eq 0 ]
    [[ $output == *"isolation forest of 9 trees, each grown from 100 rows"* ]]
    [[ $output == *"trained on 100 records from 2024-03-09T16:00:00Z to 2024-03-09T16:01:39Z"* ]]
    [[ $output == *"kurtosis"* ]]
    run "$BIN/psa-train" --describe "$T/in"
    [ "$status" -eq 2 ]
    [[ $output == *"not a model"* ]]
    run "$BIN/psa-train" --describe "$T/none"
    [ "$status" -eq 2 ]
}

@test "wrong usage ends with status 2 and a sentence" {
    for arguments in "" "forest" "isolation-forest --scaler robust" "isolation-forest --contamination 0.7" \
        "isolation-forest --contamination x" "isolation-forest --trees 0" "isolation-forest --samples 1"; do
        # shellcheck disable=SC2086
        run "$BIN/psa-train" $arguments </dev/null
        [ "$status" -eq 2 ]
        [[ $output == psa-train:* ]]
    done
    run "$BIN/psa-train" isolation-forest /no/such/file
    [ "$status" -eq 2 ]
}

@test "no progress is shown into a file" {
    rows 100 >"$T/in"
    "$BIN/psa-train" isolation-forest -o "$T/model" "$T/in" 2>"$T/err"
    [ ! -s "$T/err" ]
}

@test "a model that could never alarm, or that psa-score could not read, is refused" {
    for _ in 1 2 3; do echo '{"fields":{"a":1}}'; done >"$T/in"
    run "$BIN/psa-train" isolation-forest --output "$T/model" "$T/in"
    [ "$status" -eq 2 ]
    [[ "$output" == *"fields.a was constant"*"could never alarm"* ]]
    printf '{"fields":{"a":%s}}\n' 1 2 3 1e300 >"$T/in"
    run "$BIN/psa-train" isolation-forest --output "$T/model" "$T/in"
    [ "$status" -eq 2 ]
    [[ "$output" == *"too large to make a model of"* ]]
    [ ! -e "$T/model" ]
}
