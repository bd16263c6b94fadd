#!/usr/bin/env bats
# psa-eval: scikit-learn's figures, NAB's score, ranges and delays by hand; and honest about what it could not judge.

load helpers
setup() { psa_setup; }
check() { "$PY" tests/cli/eval_check.py "$@"; }
recordings() { [ -d "../shared/data/$1" ] || skip "no recordings at ../shared/data/$1"; }

# row ID SECONDS LABEL PREDICTED [SCORE]
row() {
    printf '{"sensor_type":"m","sensor_id":"%s","fields":{"x":1%s},"timestamp_ns":%s000000000,"labels":{"anomaly":%s},"anomaly":{"is_anomaly":%s}}\n' \
        "$1" "${5:+,\"anomaly_score\":$5}" "$2" "$3" "$4"
}

# Ten rows of one stream: a range of four, of which the last three are found, and one false alarm before it.
ten() {
    row "$1" 100 0 false 0.1
    row "$1" 110 0 true 0.6
    row "$1" 120 0 false 0.1
    row "$1" 130 1 false 0.4
    row "$1" 140 1 true 0.7
    row "$1" 150 1 true 0.8
    row "$1" 160 1 true 0.9
    row "$1" 170 0 true 0.5
    row "$1" 180 0 false 0.2
    row "$1" 190 0 false 0.3
}

@test "points, rates and areas are scikit-learn's: pooled, each, skipped, with ties and warming rows" {
    "$PY" -c 'import sklearn' 2>/dev/null || skip 'no scikit-learn (python3-sklearn)'
    check points
}
@test "range-based figures, delays and false alarms against sets of rows" { check ranges; }
@test "NAB: three profiles at the predictions and at the best of all thresholds, windows and labels alike" { check nab; }
@test "a row of the sweep is what --threshold gives" { check sweep; }
@test "SKAB's protocol on its recordings, counted by hand" { recordings skab && check skab; }
@test "NAB's machine temperature with its own windows" {
    recordings nab
    "$PY" -c 'import sklearn' 2>/dev/null || skip 'no scikit-learn (python3-sklearn)'
    check machine_temperature
}

@test "the table" {
    ten a >"$T/in"
    keep 0 "$BIN/psa-eval" --sweep 3 "$T/in"
    same "$T/out" <<'end'
1 stream, 10 rows: 0 skipped, 10 judged, 4 of them anomalous (1 range)

             precision    recall        F1       FAR       MAR
points           0.600     0.750     0.667     0.333     0.250   TP 3, FP 2, FN 1, TN 4
ranges           0.375     0.750     0.500                       2 predicted, 1 labelled

found         1 of 1 ranges, 0 missed
delay         mean 10 s, median 10 s, longest 10 s
false alarms  1 in 0.000463 days of normal operation, 2160 a day
ROC area      0.917
PR area       0.917
best F1       0.857 (FAR 0.000) at threshold 0.7: with hindsight, the labels chose it

threshold                precision    recall        F1       FAR       MAR
0.7                          1.000     0.750     0.857     0.000     0.250   best F1, with hindsight
0.6                          0.750     0.750     0.750     0.167     0.250
0.3                          0.571     1.000     0.727     0.500     0.000
0.1                          0.400     1.000     0.571     1.000     0.000
end
}

@test "--each names streams, and their files where there are several; --join makes one of two" {
    ten a >"$T/one"
    ten a | sed 's/"timestamp_ns":/"timestamp_ns":1/' >"$T/two"
    cd "$T"
    keep 0 "$BIN/psa-eval" --each --skip 2 one two
    grep -q '^one: a  *8  *4 ' out
    grep -q '^two: a  *8  *4 ' out
    grep -q '^all  *16  *8 ' out
    keep 0 "$BIN/psa-eval" --each --skip 2 --join one two
    grep -q '^a  *18  *8 ' out
    keep 0 "$BIN/psa-eval" --each --key fields.x one
    grep -q '^1  *10  *4 ' out
    keep 0 "$BIN/psa-eval" --skip 25% --json one
    jq -e '.rows == {read: 10, skipped: 2, judged: 8, anomalous: 4, unscored: 0}' out
}

@test "what cannot be judged is left out, said and counted; --strict, --rejects" {
    {
        ten a
        echo
        echo '{"sensor_type":"status","sensor_id":"a","fields":{}}'
        echo '{"psa":{"heartbeat":5}}'
        echo 'nonsense'
        echo '{"sensor_id":"a","timestamp_ns":200000000000,"labels":{"anomaly":0}}'
        row a 200 '"x"' false
        row a 200 null false
        row a 200 0 '"x"'
        row a 200 0 false '"x"'
        row a 189 0 false 0.1
    } >"$T/in"
    keep 0 "$BIN/psa-eval" --json <"$T/in"
    jq -e '.rows.read == 10 and .left_out ==
        {syntax: 1, unscored: 1, label: 1, unlabelled: 1, verdict: 1, score: 1, late: 1}' "$T/out"
    said 'psa-eval: stdin:15: no member anomaly: psa-score did not judge it; left out'
    said 'psa-eval: stdin:16: labels.anomaly is neither a number nor true or false; left out'
    said 'psa-eval: stdin:17: no labels.anomaly; left out'
    said 'psa-eval: stdin:18: anomaly.is_anomaly is neither true nor false; left out'
    said 'psa-eval: stdin:19: fields.anomaly_score is not a number; left out'
    said 'psa-eval: stdin:20: older than the newest record of its stream; left out'
    keep 3 "$BIN/psa-eval" --strict --rejects "$T/kept" "$T/in"
    grep -q '^records left out: 7$' "$T/out"
    tail -n 7 "$T/in" | same "$T/kept"
    ten a >"$T/good"
    keep 0 "$BIN/psa-eval" --strict "$T/good"
}

@test "no row with a positive label, none with a score, none at all" {
    { row a 1 0 true 0.9; row a 2 0 false 0.2; } >"$T/in"
    keep 0 "$BIN/psa-eval" --nab "$T/in"
    grep -qx 'no row is anomalous by its label: nothing to find' "$T/out"
    grep -q '^points  *0.000  *-  *0.000  *0.500  *- ' "$T/out"
    keep 0 "$BIN/psa-eval" --nab --json "$T/in"
    jq -e '.points.recall == null and .points.mar == null and .roc_area == null and .pr_area == null and .best == null
        and .delay.seconds.mean == null and .nab.standard.normalised == null and .points.far == 0.5' "$T/out"
    { row a 1 1 true; row a 2 0 false; } >"$T/in"
    keep 0 "$BIN/psa-eval" --json "$T/in"
    jq -e '.points.f1 == 1 and .roc_area == null and .best == null and .rows.unscored == 2' "$T/out"
    keep 2 "$BIN/psa-eval" </dev/null
    said 'psa-eval: no row to judge; 0 records were left out'
    keep 2 "$BIN/psa-eval" --skip 2 "$T/in"
    said 'psa-eval: no row to judge; all 2 lie within --skip 2'
}

@test "records without time: delays in rows, nothing per day" {
    ten a | sed 's/"timestamp_ns":[0-9]*,//' >"$T/in"
    keep 0 "$BIN/psa-eval" "$T/in"
    grep -qx 'delay         mean 1 rows, median 1 rows, longest 1 rows' "$T/out"
    grep -qx 'false alarms  1' "$T/out"
    echo '{"a":[]}' >"$T/windows"
    keep 2 "$BIN/psa-eval" --windows "$T/windows" "$T/in"
    said 'psa-eval: stdin:1: no time, by which --windows judges; left out' || said "psa-eval: $T/in:1: no time, by which --windows judges; left out"
}

@test "--threshold and --score judge by any number, also where psa-score left no verdict" {
    for i in 1 2 3 4; do printf '{"fields":{"rms":%s},"timestamp_ns":%s,"labels":{"bad":%s}}\n' $((i * 10)) $i $((i > 2)); done >"$T/in"
    keep 0 "$BIN/psa-eval" --label bad --score fields.rms --threshold 20 --json "$T/in"
    jq -e '.points.tp == 2 and .points.fp == 1 and .roc_area == 1 and .best.threshold == 30 and .threshold == 20' "$T/out"
}

@test "--windows: which entry a stream belongs to" {
    ten nab/press >"$T/in"
    windows() { printf '%s' "$1" >"$T/windows"; }
    span='[["1970-01-01 00:02:10","1970-01-01 00:02:40.0"],["1971-01-01","1971-01-02"]]'
    for name in press.csv nab/press press x/nab/press.csv; do
        windows '{"other.csv":[],"'$name'":'"$span"'}'
        keep 0 "$BIN/psa-eval" --windows "$T/windows" --json "$T/in"
        jq -e '.points.tp == 3 and .points.fn == 1 and .windows_without_rows == 1 and .nab.windows == 1' "$T/out"
    done
    windows '{"anything":'"$span"'}'
    keep 0 "$BIN/psa-eval" --windows "$T/windows" --json "$T/in"
    windows '{"a/press.csv":[],"b/press.csv":'"$span"'}'
    ten press >"$T/in"
    keep 2 "$BIN/psa-eval" --windows "$T/windows" "$T/in"
    said "psa-eval: 2 entries of --windows '$T/windows' have the name of stream 'press'; --windows-for NAME chooses one"
    keep 0 "$BIN/psa-eval" --windows "$T/windows" --windows-for b/press --json --each "$T/in"
    jq -e '.points.tp == 3 and .each[0].windows == "b/press.csv"' "$T/out"
    { cat "$T/in"; ten lathe; } >"$T/both"
    windows '{"press":'"$span"',"saw":[]}'
    keep 0 "$BIN/psa-eval" --windows "$T/windows" --json "$T/both"
    said "psa-eval: stream lathe has no entry in '$T/windows'; its 10 rows are left out" || saying 'has no entry'
    jq -e '.streams == 1 and .left_out.no_windows == 10 and .points.tp == 3' "$T/out"
}

@test "--windows: what is no file of windows" {
    ten a >"$T/in"
    for bad in '[]' '{' '{}' '{"a":[["1970-01-01"]]}' '{"a":[["1970-01-01","x"]]}' '{"a":[["1970-01-02","1970-01-01"]]}' \
        '{"a":[["1970-01-01","1970-01-03"],["1970-01-02","1970-01-04"]]}' '{"a":[["1970-01-01","1970-01-02","1970-01-03"]]}' '{"a":7}'; do
        printf '%s' "$bad" >"$T/windows"
        keep 2 "$BIN/psa-eval" --windows "$T/windows" "$T/in"
        saying "psa-eval: --windows '$T/windows'"
    done
    keep 2 "$BIN/psa-eval" --windows "$T/nothing" "$T/in"
    said "psa-eval: --windows '$T/nothing': there is no such file"
}

@test "limits are said" {
    { ten a; ten b; } >"$T/in"
    keep 0 "$BIN/psa-eval" --max-rows 15 --json "$T/in"
    jq -e '.rows.read == 15 and .left_out == {max_rows: 5}' "$T/out"
    saying ':16: one row more than --max-rows 15; left out'
    keep 0 "$BIN/psa-eval" --max-keys 1 --json "$T/in"
    jq -e '.streams == 1 and .left_out == {max_keys: 10}' "$T/out"
    keep 2 "$BIN/psa-eval" --max-line 64 "$T/in"
    saying 'longer than --max-line 64'
}

@test "wrong usage: 2 and a sentence" {
    for skip in x -1 100% % 1.5 ''; do keep 2 "$BIN/psa-eval" --skip "$skip" </dev/null; done
    keep 2 "$BIN/psa-eval" --threshold x </dev/null
    keep 2 "$BIN/psa-eval" --sweep 0 </dev/null
    keep 2 "$BIN/psa-eval" --windows-for a </dev/null
    said 'psa-eval: --windows-for means nothing without --windows'
    keep 2 "$BIN/psa-eval" --windows a --label b </dev/null
    said 'psa-eval: --label means nothing beside --windows'
    keep 2 "$BIN/psa-eval" --no-such-option </dev/null
    keep 0 "$BIN/psa-eval" --help
}

@test "a figure that cannot be written is an error; the same input gives the same bytes" {
    ten a >"$T/in"
    status=0
    "$BIN/psa-eval" "$T/in" >/dev/full 2>"$T/err" || status=$?
    [ "$status" -eq 1 ]
    keep 0 "$BIN/psa-eval" --json --nab --each --sweep 9 "$T/in"
    mv "$T/out" "$T/want"
    keep 0 env LOCPATH="$PWD/bin/build/locale" LC_ALL=de_DE.UTF-8 "$BIN/psa-eval" --json --nab --each --sweep 9 "$T/in"
    cmp "$T/out" "$T/want"
}

@test "a signal ends the reading, and what was read is judged" {
    mkfifo "$T/fifo"
    "$BIN/psa-eval" --json "$T/fifo" >"$T/out" 2>"$T/err" &
    eval_pid=$!
    exec 7>"$T/fifo"
    { ten a; echo nonsense; } >&7
    until grep -q nonsense "$T/err" || grep -q ':11: ' "$T/err"; do kill -0 "$eval_pid"; done # every line before it is taken
    kill -TERM "$eval_pid"
    wait "$eval_pid"
    exec 7>&-
    said 'psa-eval: stopped by a signal; judging what was read'
    jq -e '.rows.read == 10' "$T/out"
}

@test "names of streams bring no control characters to a terminal, nor half a character" {
    printf '{"sensor_id":"%s","fields":{"anomaly_score":%s},"labels":{"anomaly":%s},"anomaly":{"is_anomaly":%s}}\n' \
        'a\u001b[2Jb\u0000c\u009bd' 0.9 1 true "$(printf 'ä%.0s' {1..100})" 0.1 0 false "x$(printf 'ä%.0s' {1..100})" 0.1 0 false >"$T/in"
    keep 0 "$BIN/psa-eval" --each "$T/in"
    ! LC_ALL=C grep -q "$(printf '[\001-\010\013-\037\177]')" "$T/out"
    grep -q '^a?\[2Jb' "$T/out"
    iconv -f UTF-8 -t UTF-8 "$T/out" >/dev/null
    grep -q '^ä\{20\} ' "$T/out"
    grep -q '^xä\{19\} ' "$T/out"
}
