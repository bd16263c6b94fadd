#!/usr/bin/env bats
# psa-score: golden numbers through the program, what it says about odd input, state cut and resumed.

load helpers

setup() {
    psa_setup
    GOLDEN=${PSA_GOLDEN:-tests/golden}
    MODEL=$GOLDEN/iforest_model.json
}

# rows FILE QUERY: the matrix at QUERY of a golden file as records with fields f0, f1, ...
rows() {
    jq -c "$2"' | to_entries[] | {sensor_id: "a", fields: (.value | to_entries | map({key: "f\(.key)", value}) |
        from_entries), timestamp_ns: (1000 + .key)}' "$GOLDEN/$1"
}

# close FILE QUERY TOLERANCE GOLDEN QUERY: the numbers of a stream against golden ones.
close() {
    jq -s -e --slurpfile golden "$GOLDEN/$4" \
        "[.[] | $2] as \$got | [\$golden[0] | $5] as \$want | (\$got | length) == (\$want | length) and
         ([\$got, \$want] | transpose | all((.[0] - .[1]) | fabs <= $3))" "$1"
}

record() { printf '{"sensor_id":"%s","fields":{%s},"timestamp_ns":%s}\n' "$1" "$2" "$3"; }

# Readings of two sensors, one of them with ties and a null now and then; no randomness.
stream() {
    awk -v n="$1" 'BEGIN {
        for (i = 0; i < n; i++) {
            v = (i * 7919) % 1009 / 1009
            printf "{\"sensor_id\":\"%s\",\"fields\":{\"x\":%.6f,\"y\":%s},\"timestamp_ns\":%d}\n",
                i % 3 ? "a" : "b", v * v, i % 11 == 5 ? "null" : int(v * 5), 1000 + i
        }
    }'
}

@test "isolation forest: the golden trees give scikit-learn's scores and labels, edge inputs too" {
    rows iforest.json '.inputs + .edge_inputs' >"$T/in"
    "$BIN/psa-score" --model "$MODEL" "$T/in" >"$T/out"
    close "$T/out" '.anomaly.raw' 1e-12 iforest.json '(.score_samples + .edge_score_samples)[]'
    head -n 200 "$T/out" >"$T/first"
    close "$T/first" '.fields.anomaly_label' 0 iforest.json '.predict_contamination_005[]'
    close "$T/first" '(.anomaly.raw - .anomaly.raw_threshold)' 1e-12 iforest.json '.decision_function_contamination_005[]'
    jq -s -e 'all(.[]; .anomaly.is_anomaly == (.fields.anomaly_label == -1) and
        .anomaly.is_anomaly == (.fields.anomaly_score > 0.5) and .anomaly.threshold == 0.5 and
        .anomaly.state == "scoring" and (.anomaly.model | startswith("iforest-")))' "$T/out"
}

@test "isolation forest: the Python exporter makes the committed model" {
    command -v python3 >/dev/null || skip "python3 is missing"
    python3 "$GOLDEN/iforest_to_model.py" "$GOLDEN/iforest.json" 0.05 >"$T/model"
    cmp "$T/model" "$MODEL"
}

@test "ecod: every prefix and every sliding window of 100 give PyOD's score" {
    rows ecod.json '.X' >"$T/in"
    "$BIN/psa-score" --ecod --warmup 1 --horizon 0 "$T/in" >"$T/out"
    tail -n +2 "$T/out" >"$T/scored"
    close "$T/scored" '.anomaly.raw' 1e-12 ecod_stream.json '.expanding[1:][]'
    "$BIN/psa-score" --ecod --warmup 1 --horizon 100 "$T/in" >"$T/out"
    tail -n +2 "$T/out" >"$T/scored"
    close "$T/scored" '.anomaly.raw' 1e-12 ecod_stream.json '.sliding100[1:][]'
}

@test "ecod: warming has no score, then there is one; the model is called ecod" {
    rows ecod.json '.X' >"$T/in"
    "$BIN/psa-score" --ecod "$T/in" >"$T/out"
    head -n 200 "$T/out" | jq -s -e 'all(.[]; .anomaly.state == "warming" and .anomaly.is_anomaly == false and
        (.fields | has("anomaly_score") or has("anomaly_label") | not) and (.anomaly | has("raw") | not))'
    head -n 200 "$T/out" | jq -s -e '[.[].anomaly.observations_seen] == [range(1; 201)]'
    tail -n +201 "$T/out" | jq -s -e 'length == 300 and all(.[]; .anomaly.state == "scoring" and
        .anomaly.model == "ecod" and .fields.anomaly_score >= 0 and .fields.anomaly_score <= 1)'
}

@test "ecod: threshold and label are by the earlier scores within the horizon" {
    rows ecod.json '.X' >"$T/in"
    "$BIN/psa-score" --ecod --warmup 1 --horizon 50 --contamination 0.1 "$T/in" >"$T/out"
    jq -s -e 'def near($x): . - $x | fabs < 1e-12;
        [.[1:][].anomaly] as $a | all(range(60; 499); . as $i | ([$a[$i-49:$i][].raw] | sort) as $s |
        (48 * 0.9) as $h | ($h | floor) as $k | ($a[$i].raw_threshold |
        near($s[$k] + ($s[$k+1] - $s[$k]) * ($h - $k))) and $a[$i].is_anomaly == ($a[$i].raw > $a[$i].raw_threshold))' "$T/out"
}

@test "top: the columns' shares of the ecod score sum to 1, --top bounds and 0 leaves it out" {
    rows ecod.json '.X' >"$T/in"
    "$BIN/psa-score" --ecod --top 6 "$T/in" >"$T/out"
    tail -n 1 "$T/out" | jq -e '.anomaly.top | length == 6 and (map(.[1]) | add - 1 | fabs < 1e-12) and
        (map(.[1]) | . == (sort | reverse))'
    "$BIN/psa-score" --ecod "$T/in" >"$T/out"
    tail -n 1 "$T/out" | jq -e '.anomaly.top | length == 3'
    "$BIN/psa-score" --ecod --top 0 "$T/in" >"$T/out"
    tail -n 1 "$T/out" | jq -e '.anomaly | has("top") | not'
}

@test "top: the forest names the feature that is far out" {
    for j in 0 1 2 3 4 5; do
        jq -c --argjson j $j '.X_train[20] | .[$j] += 1000 | to_entries | {fields: (map({key: "f\(.key)", value}) |
            from_entries)}' "$GOLDEN/iforest.json" >"$T/in"
        "$BIN/psa-score" --model "$MODEL" --top 1 "$T/in" >"$T/out"
        jq -e --arg f "f$j" '.anomaly.top[0][0] == $f and .anomaly.top[0][1] > 0.5' "$T/out"
    done
}

@test "what is not scored leaves byte for byte" {
    printf '{ "a" : 1.10, "sensor_id":"x","fields":{"f0": 1.10,"f1":4.5,"f2":-3,"f3":1e2,"f4":1000,"f5":0,"s":"t"},"timestamp_ns":1710000000000000001,"z":[1, 2]}\n' >"$T/in"
    "$BIN/psa-score" --model "$MODEL" "$T/in" >"$T/out"
    grep -qF '{ "a" : 1.10, "sensor_id":"x","fields":{"f0": 1.10,"f1":4.5,"f2":-3,"f3":1e2,"f4":1000,"f5":0,"s":"t","anomaly_score":' "$T/out"
    grep -qF '"timestamp_ns":1710000000000000001,"z":[1, 2],"anomaly":{' "$T/out"
}

@test "scored twice is scored once: the fields are replaced and never score themselves" {
    stream 400 >"$T/in"
    "$BIN/psa-score" --ecod --warmup 20 "$T/in" >"$T/once"
    "$BIN/psa-score" --ecod --warmup 20 "$T/once" >"$T/twice"
    cmp "$T/once" "$T/twice"
    # a stream that begins with scored records
    tail -n +101 "$T/once" >"$T/scored"
    tail -n +101 "$T/in" >"$T/plain"
    "$BIN/psa-score" --ecod --warmup 20 "$T/scored" >"$T/a"
    "$BIN/psa-score" --ecod --warmup 20 "$T/plain" >"$T/b"
    jq -c .anomaly "$T/a" >"$T/a.anomaly"
    jq -c .anomaly "$T/b" | cmp - "$T/a.anomaly"
    "$BIN/psa-score" --ecod --warmup 1000 "$T/once" >"$T/warming"
    jq -s -e 'all(.[]; .fields.anomaly_score == null)' "$T/warming"
}

@test "nulls: named in missing, count as the mean or add nothing; all null is state missing" {
    {
        record a '"f0":null,"f1":4.5,"f2":-3,"f3":100,"f4":1000,"f5":0' 1
        record a '"f0":null,"f1":null,"f2":null,"f3":null,"f4":null,"f5":null' 2
    } >"$T/in"
    "$BIN/psa-score" --model "$MODEL" "$T/in" >"$T/out"
    head -n 1 "$T/out" | jq -e '.anomaly.missing == ["f0"] and .anomaly.state == "scoring"'
    tail -n 1 "$T/out" | jq -e '.anomaly.state == "missing" and .anomaly.is_anomaly == false and
        (.anomaly.missing | length == 6) and (.fields | has("anomaly_score") | not)'
    # the null weighs as much as the training mean
    jq -c '(.scaler.mean[0]) as $m | {fields: {f0: $m, f1: 4.5, f2: -3, f3: 100, f4: 1000, f5: 0}}' "$MODEL" >"$T/mean"
    "$BIN/psa-score" --model "$MODEL" "$T/mean" >"$T/out2"
    [ "$(jq .anomaly.raw "$T/out2")" = "$(head -n 1 "$T/out" | jq .anomaly.raw)" ]

    { stream 300; record a '"x":null,"y":1' 2000; record a '"x":null,"y":null' 2001; record a '"y":1' 2002; } >"$T/in"
    "$BIN/psa-score" --ecod --warmup 20 "$T/in" >"$T/all"
    tail -n 3 "$T/all" >"$T/out"
    sed -n 1p "$T/out" | jq -e '.anomaly.missing == ["x"] and .anomaly.top == [["y",1]]'
    sed -n 2p "$T/out" | jq -e '.anomaly.state == "missing" and (.fields | has("anomaly_score") | not)'
    sed -n 3p "$T/out" | jq -e '.anomaly.missing == ["x"] and .anomaly.state == "scoring"'
}

@test "a record that the model does not match passes unchanged and is counted" {
    { record a '"f0":1,"f1":2' 1; record a '"temperature":3' 2; } >"$T/in"
    "$BIN/psa-score" --model "$MODEL" --stats "$T/in" >"$T/out" 2>"$T/err"
    cmp "$T/in" "$T/out"
    grep -q ':1: fields.f2 is missing' "$T/err"
    [ "$(wc -l <"$T/err")" -eq 2 ] # said once, and the statistics
    tail -n 1 "$T/err" | jq -e '.in == 2 and .passed == 2 and .noted.unscored == 2'
}

@test "wrong types, arrays and records without numbers are rejected by name, the rest goes on" {
    {
        stream 30
        record a '"x":"warm","y":1' 5000
        record a '"x":[1,2],"y":1' 5001
        record b '' 5002
        record c '"t":"x"' 5003
        record a '"x":1,"y":1' 5004
    } >"$T/in"
    "$BIN/psa-score" --ecod --stats --rejects "$T/rejects" "$T/in" >"$T/out" 2>"$T/err"
    [ "$(wc -l <"$T/out")" -eq 31 ]
    [ "$(wc -l <"$T/rejects")" -eq 4 ]
    grep -q ':31: fields.x is not a number; skipped' "$T/err"
    grep -q ':32: fields.x is an array.*psa-features' "$T/err"
    tail -n 1 "$T/err" | jq -e '.rejected == {type: 1, array: 1, no_fields: 2} and .in == 35 and .keys == 2'
    run "$BIN/psa-score" --ecod --strict "$T/in"
    [ "$status" -eq 3 ]
    record a '"f0":"x","f1":2,"f2":1,"f3":1,"f4":1,"f5":1' 1 >"$T/in"
    "$BIN/psa-score" --model "$MODEL" --stats "$T/in" 2>"$T/err"
    tail -n 1 "$T/err" | jq -e '.rejected == {type: 1}'
}

@test "late records are dropped and counted, equal times are fine" {
    { record a '"x":1' 10; record a '"x":2' 10; record a '"x":3' 9; record b '"x":3' 9; record a '"x":4' 11; } >"$T/in"
    "$BIN/psa-score" --ecod --stats "$T/in" >"$T/out" 2>"$T/err"
    [ "$(wc -l <"$T/out")" -eq 4 ]
    tail -n 1 "$T/err" | jq -e '.dropped == {late: 1} and .passed == 4'
}

@test "a field that the first record lacked is reported once and not scored" {
    { record a '"x":1' 1; record a '"x":2,"new":5' 2; record a '"x":3,"new":6' 3; } >"$T/in"
    "$BIN/psa-score" --ecod "$T/in" >"$T/out" 2>"$T/err"
    [ "$(grep -c 'fields.new' "$T/err")" -eq 1 ]
    [ "$(wc -l <"$T/out")" -eq 3 ]
}

@test "each stream is scored by its own rows" {
    stream 600 >"$T/in"
    "$BIN/psa-score" --ecod --warmup 30 "$T/in" >"$T/both"
    for key in a b; do
        grep "\"sensor_id\":\"$key\"" "$T/in" >"$T/one"
        "$BIN/psa-score" --ecod --warmup 30 "$T/one" >"$T/alone"
        grep "\"sensor_id\":\"$key\"" "$T/both" | cmp - "$T/alone"
    done
}

@test "a stream cut anywhere and resumed from its state gives the same bytes" {
    stream 400 >"$T/in"
    for options in "--horizon 60" "--horizon 0" "--horizon 10000"; do
        # shellcheck disable=SC2086
        "$BIN/psa-score" --ecod --warmup 25 $options "$T/in" >"$T/whole"
        for cut in 0 1 2 59 90 91 180 250 399 400; do
            rm -f "$T/state"
            head -n "$cut" "$T/in" >"$T/head"
            tail -n +"$((cut + 1))" "$T/in" >"$T/tail"
            # shellcheck disable=SC2086
            "$BIN/psa-score" --ecod --warmup 25 $options --state "$T/state" "$T/head" >"$T/cut"
            # shellcheck disable=SC2086
            "$BIN/psa-score" --ecod --warmup 25 $options --state "$T/state" "$T/tail" >>"$T/cut"
            cmp "$T/whole" "$T/cut"
        done
    done
}

@test "a damaged state or one of another configuration is refused" {
    stream 100 >"$T/in"
    "$BIN/psa-score" --ecod --horizon 50 --state "$T/state" "$T/in" >/dev/null
    run "$BIN/psa-score" --ecod --horizon 60 --state "$T/state" "$T/in"
    [ "$status" -eq 2 ]
    for change in 's/"first":[0-9]*/"first":-1/' 's/"judge":{"rows":/"judge":{"row":/' 's/"scores":\[/"scores":[null,/' 's/,"judge":.*/}]}/' \
        's/"detector":/"detectors":/' 's/\],\[/],[7,/' 's/"rows":\[\[/"rows":[["x",/' 's/"rows":\[\[[^]]*\],/"rows":[/'; do
        sed "$change" "$T/state" >"$T/bad"
        run cmp -s "$T/state" "$T/bad"
        [ "$status" -eq 1 ]
        run "$BIN/psa-score" --ecod --horizon 50 --state "$T/bad" "$T/in"
        [ "$status" -eq 2 ]
        [[ $output == *damaged* ]]
    done
}

@test "wrong models and wrong usage end with status 2 and a sentence" {
    stream 3 >"$T/in"
    run "$BIN/psa-score" "$T/in"
    [ "$status" -eq 2 ]
    [[ $output == *"say how to score: --model FILE"* ]]
    run "$BIN/psa-score" --ecod --model "$MODEL" "$T/in"
    [ "$status" -eq 2 ]
    run "$BIN/psa-score" --model "$T/none" "$T/in"
    [ "$status" -eq 2 ]
    [[ $output == *"model '$T/none' does not exist"* ]]
    sed 's/"contamination":0.05/"contamination":0.06/' "$MODEL" >"$T/model"
    run "$BIN/psa-score" --model "$T/model" "$T/in"
    [ "$status" -eq 2 ]
    [[ $output == *"model file was changed: its id is iforest-"*", its content gives iforest-"* ]]
    head -c 10000 "$MODEL" >"$T/model"
    run "$BIN/psa-score" --model "$T/model" "$T/in"
    [ "$status" -eq 2 ]
    [[ $output == *"not a model: byte"* ]]
    sed 's/"psa_model":2/"psa_model":1/' "$MODEL" >"$T/model"
    run "$BIN/psa-score" --model "$T/model" "$T/in"
    [ "$status" -eq 2 ]
    [[ $output == *"model '$T/model': "*"version 1"*"version 2"* ]]
    for option in "--horizon 1" "--warmup 0" "--contamination 0" "--contamination 0.6" "--top -1"; do
        # shellcheck disable=SC2086
        run "$BIN/psa-score" --ecod $option "$T/in"
        [ "$status" -eq 2 ]
    done
}

@test "what cannot be read or written is said at the start, with status 2" {
    stream 30 >"$T/in"
    for arguments in "--model $T" "--ecod --state $T" "--groups $T" "--ecod --history $T" "--ecod --stats-file $T" \
        "--ecod --stats-file $T/none/stats" "--ecod --key="; do
        # shellcheck disable=SC2086
        keep 2 "$BIN/psa-score" $arguments "$T/in"
        [ ! -s "$T/out" ]
    done
    said "psa-score: --key: the path is empty; without --key sensor_type and sensor_id tell streams apart"
    keep 2 "$BIN/psa-score" --dynamic-pca --lags 5,8,5 "$T/in"
    said "psa-score: --lags: 5 stands there twice"
    keep 2 "$BIN/psa-score" --ecod --contamination .1 "$T/in"
    said "psa-score: --contamination: write '.1' with its zero, 0.1"
    keep 0 "$BIN/psa-score" --ecod --state "$T/state" "$T/in"
    for n in 1 20 30 50 70 90 "$(($(wc -c <"$T/state") - 2))"; do
        head -c "$n" "$T/state" >"$T/cut"
        keep 2 "$BIN/psa-score" --ecod --state "$T/cut" "$T/in"
        saying "psa-score: $T/cut: the state is damaged: "
    done
    # A link that somebody put where the new state is made is not written through.
    echo dear >"$T/dear"
    ln -s dear "$T/state.tmp"
    keep 0 "$BIN/psa-score" --ecod --state "$T/state" "$T/in"
    [ "$(cat "$T/dear")" = dear ] && [ -f "$T/state" ] && [ ! -L "$T/state" ] && [ ! -e "$T/state.tmp" ]
    # What is no plain file is written to as it is, in a folder that may not be written to as well.
    keep 0 "$BIN/psa-score" --ecod --stats-file /dev/stderr "$T/in"
    accounts "$T/err"
}

@test "a record comes out scored while the pipe stays open" {
    mkfifo "$T/pipe"
    "$BIN/psa-score" --ecod <"$T/pipe" >"$T/out" &
    pid=$!
    exec 9>"$T/pipe"
    record a '"x":1' 1 >&9
    for _ in $(seq 100); do
        [ -s "$T/out" ] && break
        sleep 0.02
    done
    grep -q '"warming"' "$T/out"
    exec 9>&-
    wait "$pid"
}

@test "status records and control lines pass unchanged and open no key" {
    { printf '{"sensor_type":"status","sensor_id":"a","fields":{"x":1}}\n{"psa":{"heartbeat":5}}\n'; } >"$T/in"
    "$BIN/psa-score" --ecod --stats "$T/in" >"$T/out" 2>"$T/err"
    cmp "$T/in" "$T/out"
    tail -n 1 "$T/err" | jq -e '.keys == 0 and .control == 1'
}
