#!/usr/bin/env bats
# psa-train: a model from records, the same for the same seed, and honest about what it leaves out. What needs scikit-learn
# to compare with stands in train_check.py.

load helpers

setup() {
    psa_setup
    export T
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

# with MODULE...: skips the test where Python lacks one.
with() {
    local name
    for name in "$@"; do
        [ -n "$("$PY" -c "import importlib.util as u; print(u.find_spec('$name') or '')")" ] || skip "python3-$name is missing"
    done
}

@test "every kind trains, reads back, finds the odd row, and is described; --quantile, --contamination; streams; ecod is PyOD's" {
    with numpy
    "$PY" tests/cli/train_check.py kinds threshold streams ecod
}

@test "the scalers are scikit-learn's; import-sklearn: what a file is not is said" {
    with numpy sklearn joblib
    "$PY" tests/cli/train_check.py scalers import_refusals
}

@test "import-sklearn: scores to 1e-12, labels, float edges; subsets of features, bootstrap, auto; names of a DataFrame" {
    with numpy sklearn joblib pandas
    "$PY" tests/cli/train_check.py import import_names
}

@test "every kind on a real machine: SKAB's valve, learned from its first 400 rows" {
    local data=../shared/data/skab/valve1 file kind least
    [ -e "$data/0.csv" ] || skip "no recordings in $data"
    # F1 that each kind reaches on three files by its own threshold or one given, less a margin.
    while read -r least kind; do
        rm -rf "$T/scored"
        mkdir "$T/scored"
        for file in 0 7 12; do
            "$BIN/psa-replay" --drop Temperature,Thermocouple "$data/$file.csv" >"$T/rows"
            head -n 400 "$T/rows" >"$T/normal"
            # shellcheck disable=SC2086
            "$BIN/psa-train" $kind "$T/normal" >"$T/model"
            "$BIN/psa-score" --model "$T/model" "$T/rows" >"$T/scored/$file"
        done
        "$BIN/psa-eval" --skip 400 --each --json "$T"/scored/* >"$T/figures"
        jq -e --argjson least "$least" '.points.f1 >= $least' "$T/figures" >/dev/null ||
            { echo "$kind: F1 $(jq .points.f1 "$T/figures"), not $least" >&2; false; }
    done <<-'END'
		0.45 isolation-forest
		0.48 ecod
		0.7 pca --quantile 1
		0.5 dynamic-pca
		0.72 mahalanobis --quantile 1
	END
}

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
    for scaler in standard robust minmax none; do
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
    jq -e '.psa_model == 2 and .kind == "isolation-forest" and .features == ["rms", "kurtosis", "ptp"] and
        (.parameters.trees | length) == 100 and .parameters.max_samples == 256 and .seed == 7 and
        .trained.records == 500 and (.trained.ranges | length) == 3 and (.id | test("^iforest-[0-9a-f]{16}$"))' "$T/a"
}

@test "trees, samples, scaler, lags, variance and auto are obeyed" {
    rows 500 >"$T/in"
    "$BIN/psa-train" isolation-forest --trees 7 --samples 33 --contamination auto "$T/in" >"$T/model"
    jq -e '(.parameters.trees | length) == 7 and .parameters.max_samples == 33 and .threshold == -0.5 and
        .contamination == null and all(.parameters.trees[]; .n_node_samples[0] == 33) and
        .scaler.kind == "standard" and (.scaler.scale | length) == 3' "$T/model"
    "$BIN/psa-train" isolation-forest --scaler none "$T/in" >"$T/model"
    jq -e '.scaler.kind == "none" and (.scaler.mean | length) == 3 and (.scaler | has("scale") | not)' "$T/model"
    "$BIN/psa-train" dynamic-pca --lags 3,7 "$T/in" >"$T/model"
    jq -e '.contamination == null and .threshold == 1.5' "$T/model"
    keep 0 "$BIN/psa-train" --describe "$T/model"
    grep -q '^a PCA of 3 rows stacked' "$T/out"
    grep -q '^a PCA of 7 rows stacked' "$T/out"
    [ "$(grep -c '^a PCA of' "$T/out")" -eq 2 ]
    "$BIN/psa-train" pca --variance 0.3 "$T/in" >"$T/model"
    keep 0 "$BIN/psa-train" --describe "$T/model"
    grep -q '^1 of 3 components' "$T/out"
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
    jq -c .parameters "$T/expected" >"$T/trees"
    jq -c .parameters "$T/model" | cmp - "$T/trees"
}

@test "columns behind one that is left out keep their values" {
    rows 50 >"$T/in"
    sed 's/"rms"/"empty":null,&/' "$T/in" >"$T/nulls"
    "$BIN/psa-train" isolation-forest "$T/in" >"$T/expected"
    "$BIN/psa-train" isolation-forest "$T/nulls" >"$T/model" 2>/dev/null
    cmp "$T/expected" "$T/model"
}

@test "--max-rows bounds what is kept and says so; so does --max-line" {
    rows 100 >"$T/in"
    keep 0 "$BIN/psa-train" isolation-forest --max-rows 60 "$T/in"
    jq -e '.trained.records == 60' "$T/out"
    saying '--max-rows 60 reached; 40 records'
    { rows 20 && printf '{"fields":{"rms":1,"kurtosis":1,"ptp":1,"note":"%080d"}}\n' 7; } >"$T/in"
    keep 0 "$BIN/psa-train" isolation-forest --max-line 130 "$T/in"
    jq -e '.trained.records == 20' "$T/out"
    saying ':21: longer than --max-line; left out'
}

@test "--flat takes the members of a record without fields" {
    rows 50 | jq -c '.fields + {timestamp_ns}' >"$T/in"
    keep 2 "$BIN/psa-train" ecod "$T/in"
    keep 0 "$BIN/psa-train" ecod --flat "$T/in"
    jq -e '.features == ["rms", "kurtosis", "ptp"] and .trained.from_ns == 1710000000000000000' "$T/out"
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
    [[ $output == *"a forest of 9 trees, each grown from 100 rows"* ]]
    [[ $output == *"trained on 100 records from 2024-03-09T16:00:00Z to 2024-03-09T16:01:39Z"* ]]
    [[ $output == *"kurtosis"* ]]
    run "$BIN/psa-train" --describe "$T/in"
    [ "$status" -eq 2 ]
    [[ $output == *"not a model"* ]]
    run "$BIN/psa-train" --describe "$T/none"
    [ "$status" -eq 2 ]
}

@test "a model of another version, or a kind unknown, is refused by name, by psa-train and psa-score" {
    rows 20 >"$T/in"
    "$BIN/psa-train" ecod -o "$T/model" "$T/in"
    sed 's/"psa_model":2/"psa_model":1/' "$T/model" >"$T/old"
    sed 's/"psa_model":2/"psa_model":7/' "$T/model" >"$T/new"
    sed 's/"kind":"ecod"/"kind":"copod"/' "$T/model" >"$T/kind"
    for program in "psa-train --describe" "psa-score --model"; do
        # shellcheck disable=SC2086
        keep 2 "$BIN"/$program "$T/old"
        saying "model '$T/old': not a model to use: it is of version 1, and this psa reads version 2: train it again with this psa-train"
        # shellcheck disable=SC2086
        keep 2 "$BIN"/$program "$T/new"
        saying 'it is of version 7, and this psa reads version 2: update psa'
        # shellcheck disable=SC2086
        keep 2 "$BIN"/$program "$T/kind"
        saying "its kind 'copod' is none that this psa knows: isolation-forest, ecod"
    done
}

@test "wrong usage ends with status 2 and a sentence" {
    for arguments in "" "forest" "isolation-forest --scaler robot" "isolation-forest --contamination 0.7" \
        "isolation-forest --contamination x" "isolation-forest --trees 0" "isolation-forest --samples 1" \
        "isolation-forest --quantile 0.9 --contamination 0.1" "isolation-forest --quantile 1.1" "pca --contamination auto" \
        "dynamic-pca --lags 3,0" "dynamic-pca --lags 1,2,3,4,5,6,7,8,9" "dynamic-pca --lags 3,,4" "ewma" \
        "--describe" "import-sklearn"; do
        # shellcheck disable=SC2086
        run "$BIN/psa-train" $arguments </dev/null
        [ "$status" -eq 2 ]
        [[ $output == psa-train:* ]]
    done
    run "$BIN/psa-train" isolation-forest /no/such/file
    [ "$status" -eq 2 ]
    keep 2 "$BIN/psa-train" COPOD
    said "psa-train: unknown kind of model 'COPOD'; there are isolation-forest, ecod, pca, dynamic-pca, mahalanobis, import-sklearn"
}

@test "a record that no model can be made of is refused with the name of its field" {
    # what the values of y are | kind | message
    while IFS='|' read -r values arguments message; do
        rows 40 | jq -c --argjson v "[$values]" '.fields.y = (input_line_number as $i | $v[$i % ($v | length)] // ($i % 7))' >"$T/in"
        # shellcheck disable=SC2086
        keep 2 "$BIN/psa-train" $arguments -o "$T/model" "$T/in"
        saying "psa-train: $message"
        [ ! -e "$T/model" ]
    done <<'END'
1e300,null,null,null,null|isolation-forest|fields.y, from 0 to 1e+300, is too wide to be scaled; leave out the records that spoil it
1e50,null,null,null,null|isolation-forest --scaler robust|feature y has a value beyond 3.4e38, where the single precision of the trees ends; leave out its record
1.7e308,-1.7e308|dynamic-pca --lags 3|fields.y, from -1.7e+308 to 1.7e+308, is too wide to be scaled; leave out
1.7e308,1.6e308|pca|fields.y, from 1.6e+308 to 1.7e+308, is too wide to be scaled; leave out the records that spoil it
1e160,null,null,null,null|pca --scaler robust|fields.y, from 0 to 1e+160, is too wide to be scaled; leave out the records that spoil it
1e160,null,null,null,null|mahalanobis --scaler none|feature y has a value beyond 1e100; scale it with --scaler
1,2,3|dynamic-pca --lags 3,4,3|--lags: 3 stands there twice
1,2,3|dynamic-pca --key=|--key: the path is empty; without --key sensor_type and sensor_id tell streams apart
END
}

@test "an option that a kind does not use is refused, not ignored" {
    rows 20 >"$T/in"
    for pair in "ecod --trees 3" "pca --trees 3" "dynamic-pca --samples 9" "mahalanobis --samples 9" "ecod --lags 3" \
        "pca --lags 3" "isolation-forest --variance 0.9" "ecod --variance 0.9" "pca --seed 3" "dynamic-pca --seed 3" \
        "ecod --scaler none" "isolation-forest --key a" "ecod --features rms" "pca --python python3"; do
        # shellcheck disable=SC2086
        keep 2 "$BIN/psa-train" $pair "$T/in"
        option=${pair#* }
        said "psa-train: ${pair%% *} has no use for ${option%% *}"
    done
    for option in "--trees 3" "--output x" "--contamination 0.1"; do
        # shellcheck disable=SC2086
        keep 2 "$BIN/psa-train" --describe "$T/in" $option
        said "psa-train: --describe has no use for ${option%% *}"
    done
}

@test "a stop while it reads leaves no model and no file" {
    rows 5000 >"$T/in"
    mkfifo "$T/pipe"
    "$BIN/psa-train" ecod --output "$T/model" "$T/pipe" 2>"$T/err" &
    exec 7>"$T/pipe" # opened by the program too by now, whose handlers stand before it reads
    head -n 3 "$T/in" >&7
    kill -TERM $!
    status=0
    wait $! || status=$?
    exec 7>&-
    [ "$status" -eq 1 ]
    said 'psa-train: stopped by a signal; no model was written'
    [ -z "$(find "$T" -name 'model*')" ]
}

@test "no progress is shown into a file, some on a terminal" {
    rows 100 >"$T/in"
    "$BIN/psa-train" isolation-forest -o "$T/model" "$T/in" 2>"$T/err"
    [ ! -s "$T/err" ]
    command -v script >/dev/null || skip 'script (bsdutils) is missing'
    script -qec "'$BIN/psa-train' isolation-forest -o '$T/model' '$T/in'" /dev/null >"$T/out"
    grep -q 'growing tree 100 of 100' "$T/out"
    grep -q 'iforest-[0-9a-f]* from 100 records, 0 left out' "$T/out"
}

@test "a model that could never alarm, or that psa-score could not read, is refused" {
    for _ in 1 2 3; do echo '{"fields":{"a":1}}'; done >"$T/in"
    for kind in isolation-forest ecod pca dynamic-pca mahalanobis; do
        run "$BIN/psa-train" $kind --output "$T/model" "$T/in"
        [ "$status" -eq 2 ]
        [[ "$output" == *"fields.a was constant"*"could never alarm"* ]]
    done
    printf '{"fields":{"a":%s}}\n' 1 2 3 1e300 >"$T/in"
    run "$BIN/psa-train" isolation-forest --output "$T/model" "$T/in"
    [ "$status" -eq 2 ]
    [[ "$output" == *"fields.a, from 1 to 1e+300, is too wide to be scaled"* ]]
    rows 11 >"$T/in"
    keep 2 "$BIN/psa-train" dynamic-pca --output "$T/model" "$T/in"
    [ ! -e "$T/model" ]
}
