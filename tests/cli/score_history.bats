#!/usr/bin/env bats
# psa-score --history: a recording teaches before the input comes.

load helpers

setup() { psa_setup; }

# stream FROM TO: two sensors.
stream() {
    awk -v from="$1" -v to="$2" 'BEGIN {
        for (i = from; i < to; i++)
            printf("{\"sensor_id\":\"%s\",\"fields\":{\"x\":%.6f,\"y\":%d},\"timestamp_ns\":%d}\n",
                i % 3 ? "a" : "b", sin(i) + i * 7919 % 101 / 100, i * 31 % 17, 1000 + i)
    }'
}

@test "what follows a history is what would follow the same records as input, for detectors of each sort" {
    stream 0 400 >"$T/history"
    stream 400 600 >"$T/in"
    for options in "--ecod --warmup 50" "--ecod --warmup 500" "--dynamic-pca --lags 2,3 --warmup 60 --rest 4" \
        "--ewma --warmup 50" "--half-space-trees --warmup 50 --samples 30" "--conformal --warmup 50 --season 0 --shingle 4"; do
        # shellcheck disable=SC2086
        "$BIN/psa-score" $options "$T/history" "$T/in" >"$T/whole"
        tail -n 200 "$T/whole" >"$T/want"
        # shellcheck disable=SC2086
        keep 0 "$BIN/psa-score" $options --history "$T/history" "$T/in"
        cmp "$T/out" "$T/want"
    done
}

@test "nothing of it is written or counted; what it was is one line" {
    {
        stream 0 300
        printf 'no record\n\n{"psa":{"heartbeat":5}}\n{"psa":{"checkpoint":"7"}}\n{"sensor_type":"status","sensor_id":"a"}\n'
        stream 10 13
        printf '{"sensor_id":"a","fields":{"x":"s","y":1},"timestamp_ns":5000}\n'
    } >"$T/history"
    stream 300 310 >"$T/in"
    keep 0 "$BIN/psa-score" --ecod --state "$T/state" --history "$T/history" --stats --rejects "$T/rejects" --strict "$T/in"
    [ "$(wc -l <"$T/out")" -eq 10 ]
    saying "psa-score: $T/history:301: "
    said "psa-score: $T/history:309: fields.x is not a number; skipped"
    said "psa-score: --history $T/history: learned from 301 records of 2 streams; 2 rejected, 3 late"
    [ ! -s "$T/rejects" ]
    [ ! -e "$T/state.7" ]
    accounts "$T/err"
    jq -e '.in == 10 and .passed == 10 and .control == 0 and .keys == 2 and .dropped == {} and .rejected == {}' "$T/stats.lines"
    printf '{"sensor_id":"a","fields":{"x":[1]},"timestamp_ns":9000}\n' >"$T/bad"
    keep 0 "$BIN/psa-score" --ecod --history "$T/history" "$T/bad"
    said "psa-score: $T/bad:1: fields.x is an array, a window rather than features; put psa-features before psa-score"
}

@test "a state that was there is what counts: a restart does not learn twice; a restored checkpoint replaces it all" {
    stream 0 300 >"$T/history"
    stream 300 400 >"$T/1"
    stream 400 500 >"$T/2"
    "$BIN/psa-score" --ecod --warmup 50 "$T/history" "$T/1" "$T/2" >"$T/whole"
    score() { "$BIN/psa-score" --ecod --warmup 50 --history "$T/history" --state "$T/state" "$@"; }
    score "$T/1" >"$T/cut" 2>"$T/err"
    saying "learned from 300 records"
    score "$T/2" >>"$T/cut" 2>"$T/err"
    [ ! -s "$T/err" ]
    tail -n 200 "$T/whole" | cmp - "$T/cut"

    rm "$T/state"
    { cat "$T/1"; printf '{"psa":{"checkpoint":"5"}}\n'; } >"$T/in"
    score "$T/in" >"$T/out" 2>"$T/err"
    rm "$T/state"
    { printf '{"psa":{"restore":"5"}}\n'; cat "$T/2"; } >"$T/in"
    score "$T/in" >"$T/out" 2>"$T/err"
    tail -n 100 "$T/whole" >"$T/want"
    tail -n +2 "$T/out" | cmp - "$T/want"
}

@test "groups and keyed models learn from it too, and a fused chain" {
    stream 0 400 >"$T/history"
    stream 400 500 >"$T/in"
    printf 'g --ecod --warmup 50 --hold 1s a:x b:y\n' >"$T/groups"
    "$BIN/psa-score" --groups "$T/groups" "$T/history" "$T/in" >"$T/whole"
    keep 0 "$BIN/psa-score" --groups "$T/groups" --history "$T/history" "$T/in"
    tail -n "$(wc -l <"$T/out")" "$T/whole" | cmp - "$T/out"
    said "psa-score: --history $T/history: learned from 400 records of 1 group"
    jq -s -e 'map(select(.anomaly)) | length > 50 and all(.[]; .anomaly.state == "scoring")' "$T/out"
    keep 0 "$BIN/psa-run" "psa-score --groups $T/groups --history $T/history | psa-score --ecod --warmup 5 --history $T/history" "$T/in"
    mv "$T/out" "$T/fused"
    saying "psa-score: --history"
    "$BIN/psa-score" --groups "$T/groups" --history "$T/history" "$T/in" >"$T/first" 2>"$T/err"
    "$BIN/psa-score" --ecod --warmup 5 --history "$T/history" "$T/first" 2>"$T/err" | cmp - "$T/fused"
}

@test "the limits of the input hold for it; what cannot be read is an error" {
    { stream 0 20; printf '{"sensor_id":"a","fields":{"x":1},"pad":"%0300d"}\n' 0; } >"$T/history"
    stream 300 310 >"$T/in"
    keep 0 "$BIN/psa-score" --ecod --max-line 200 --history "$T/history" "$T/in"
    saying "$T/history:21: a line of 3"
    saying "; 1 rejected, 0 late"
    keep 2 "$BIN/psa-score" --ecod --history "$T/none" "$T/in"
    said "psa-score: $T/none: cannot open: No such file or directory"
    keep 2 "$BIN/psa-score" --ecod --history - "$T/in"
    said "psa-score: --history: stdin is the input; name a file"
    "$BIN/psa-train" ecod -o "$T/model" "$T/in" 2>"$T/err"
    keep 2 "$BIN/psa-score" --model "$T/model" --history "$T/history" "$T/in"
    saying "psa-score: --history means nothing with model 'ecod-"
    keep 0 "$BIN/psa-score" --model "$T/model" --rest 5 --max-line 200 --history "$T/history" "$T/in"
}

@test "stopped while it reads its history it saves no state, so that the next start learns all of it" {
    mkfifo "$T/history"
    stream 0 100 >"$T/part"
    "$BIN/psa-score" --ecod --history "$T/history" --state "$T/state" </dev/null >"$T/out" 2>"$T/err" &
    pid=$!
    exec 9>"$T/history"
    cat "$T/part" >&9
    kill -TERM $pid
    wait $pid
    exec 9>&-
    [ ! -e "$T/state" ]
    said "psa-score: stopped while --history $T/history was read; no state is saved"
    [ ! -s "$T/out" ]
}
