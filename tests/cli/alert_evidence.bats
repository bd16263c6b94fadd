#!/usr/bin/env bats
# psa-alert --evidence: a file for each event, as src/stage/alert_evidence.c states it.

load helpers
setup() { psa_setup; }

# scored SECOND SCORE [ID]: of t/ID, t/a unless named; an anomaly above 0.5
scored() {
    printf '{"sensor_type":"t","sensor_id":"%s","fields":{"anomaly_score":%s, "x" : 1.10},"timestamp_ns":%s000000000,"big":12345678901234567890,"anomaly":{"is_anomaly":%s,"threshold":0.5,"model":"ecod-x","top":[["x",1]]}}\n' \
        "${3-a}" "$2" "$1" "$(jq -n "$2 > 0.5")"
}
stream() { # SCORE...: one second apart
    local at=0 score
    for score in "$@"; do at=$((at + 1)) && scored "$at" "$score"; done
}
files() { find "$T/e" -mindepth 1 -maxdepth 1 -printf '%f\n' | LC_ALL=C sort; }
evidence() { keep 0 "$BIN/psa-alert" --evidence "$T/e" "$@" <"$T/in"; }

@test "the records before, the alert, those until it is cleared, as they came or as the alerts they became; a first line says what it is" {
    mkdir "$T/e"
    stream 0.1 0.2 0.3 0.9 0.1 0.97 0.1 0.1 0.1 0.1 >"$T/in"
    evidence --evidence-before 2
    id=$(jq -s -r '.[0].alert.id' "$T/out")
    [ "$(files)" = "19700101T000004Z-t+a-$id.ndjson" ]
    file=$T/e/19700101T000004Z-t+a-$id.ndjson
    head -n 1 "$file" >"$T/head"
    same "$T/head" <<END
{"psa_evidence":1,"id":"$id","key":"t/a","kind":"anomaly","since_ns":4000000000,"raised_ns":4000000000,"model":"ecod-x","condition":null,"score":0.9,"threshold":0.5,"top":[["x",1]],"reason":"t/a: anomaly score 0.900 above its threshold 0.500 by ecod-x; driven by x 100 %","severity":"critical","state":"cleared","cleared_ns":9000000000,"before":2,"after":4,"left_out":0}
END
    {
        sed -n '2,3p' "$T/in"
        sed -n 1p "$T/out"
        sed -n 5p "$T/in"
        sed -n 2p "$T/out"
        sed -n '7,8p' "$T/in"
        sed -n 3p "$T/out"
    } | diff - <(tail -n +2 "$file")
    # The alerts themselves are the same without evidence.
    cp "$T/out" "$T/with"
    keep 0 "$BIN/psa-alert" <"$T/in"
    cmp "$T/with" "$T/out"
}

@test "an event that goes on: its file is there at once, whole up to the last alert or to --evidence-after, and at the end" {
    mkdir "$T/e"
    stream 0.1 0.9 0.9 0.9 0.9 0.9 0.9 >"$T/in"
    evidence --evidence-after 3
    jq -s -e '.[0] | [.state, .cleared_ns, .before, .after, .left_out] == ["ongoing", null, 1, 3, 2]' "$T"/e/*
    [ "$(wc -l <"$(echo "$T"/e/*)")" = 6 ]
    evidence
    jq -s -e '.[0] | [.before, .after, .left_out] == [1, 5, 0]' "$T"/e/*
    rm "$T"/e/*
    evidence --state "$T/state" --evidence-after 2 # the rest may come in the next run
    jq -s -e '.[0] | [.state, .after, .left_out] == ["ongoing", 2, 1]' "$T"/e/*
    for i in 8 9 10; do scored "$i" 0.1; done >"$T/in"
    evidence --state "$T/state" --evidence-after 2
    jq -s -e '.[0] | [.state, .cleared_ns, .after, .left_out] == ["cleared", 10000000000, 2, 5]' "$T"/e/*
    jq -s -e '.[-1].alert.state == "cleared" and .[-2].alert == null' "$T"/e/*
}

@test "--evidence-size bounds either side in bytes; 0 records before or after are obeyed" {
    mkdir "$T/e"
    stream $(for _ in $(seq 50); do echo 0.1; done) $(for _ in $(seq 50); do echo 0.9; done) >"$T/in"
    line=$(sed -n 49p "$T/in" | wc -c)
    evidence --evidence-size "$((7 * line))"
    jq -s -e '.[0] | [.before, .after, .left_out] == [7, 7, 42]' "$T"/e/*
    evidence --evidence-size 64
    jq -s -e '.[0] | [.before, .after, .left_out] == [0, 0, 49]' "$T"/e/*
    evidence --evidence-before 0 --evidence-after 0
    jq -s -e '.[0] | [.before, .after, .left_out] == [0, 0, 49]' "$T"/e/*
    evidence
    jq -s -e '.[0] | [.before, .after, .left_out] == [50, 49, 0]' "$T"/e/*
}

@test "silences and status records have evidence too: the last records of the stream before it fell silent" {
    mkdir "$T/e"
    { stream 0.1 0.2 0.3 && for s in 10 20 33 34 40; do scored $s 0.1 b; done &&
        echo '{"sensor_type":"status","sensor_id":"a","fields":{"up":0},"timestamp_ns":41000000000,"of":"t","fault":"absent"}' &&
        scored 42 0.1 && scored 43 0.1 && echo '{"sensor_type":"status","sensor_id":"a","fields":{"up":1},"timestamp_ns":44000000000,"of":"t"}'; } >"$T/in"
    evidence
    [ "$(files | wc -l)" = 2 ]
    jq -s -c '[.[0].kind, .[0].before, .[0].after, .[0].model, (.[1:][] | .alert.state // .timestamp_ns / 1e9)]' "$T"/e/*T000033Z* >"$T/silence"
    same "$T/silence" <<<'["silence",3,0,null,1,2,3,"raised","cleared"]'
    jq -s -c '[.[0].kind, .[0].before, .[0].after, (.[1:][] | .alert.state // .timestamp_ns / 1e9)]' "$T"/e/*T000041Z* >"$T/status"
    same "$T/status" <<<'["status",3,2,1,2,3,"raised",42,43,"cleared"]'
}

@test "--when: the condition stands in the first line" {
    mkdir "$T/e"
    stream 0.1 0.2 >"$T/in"
    evidence --when '.fields.anomaly_score > 0.15'
    jq -s -e '.[0] | .condition == ".fields.anomaly_score > 0.15" and .score == 0.2' "$T"/e/*
}

@test "any key makes a name that stays in the folder" {
    mkdir "$T/e"
    { scored 1 0.9 '../../x' && scored 1 0.9 'a b%ä\u0000\n' && scored 1 0.9 "$(printf 'ö%.0s' $(seq 500))" && scored 1 0.9 .; } >"$T/in"
    evidence
    files | sed 's/-[0-9a-f]\{16\}\.ndjson$//; s/\(%C3%B6\)\{19\}%C3$/~/' | LC_ALL=C sort >"$T/names"
    same "$T/names" <<'END'
19700101T000001Z-t+.
19700101T000001Z-t+..%2F..%2Fx
19700101T000001Z-t+a%20b%25%C3%A4%00%0A
19700101T000001Z-t+~
END
    files | awk 'length > 200 { exit 1 }'
}

@test "--evidence-max: the oldest files go, by count, across restarts; 0 keeps all; one that was removed does not come back" {
    mkdir "$T/e"
    for i in 1 2 3 4 5; do scored "$i" 0.9 "k$i"; done >"$T/in"
    evidence --evidence-max 2 --state "$T/state"
    [ "$(files | sed 's/-[0-9a-f]*\.ndjson//')" = '19700101T000004Z-t+k4
19700101T000005Z-t+k5' ]
    { scored 6 0.9 k6 && for i in 7 8 9; do scored $i 0.1 k1; done; } >"$T/in" # k1's event ends; its file is gone
    evidence --evidence-max 2 --state "$T/state"
    [ "$(files | sed 's/-[0-9a-f]*\.ndjson//')" = '19700101T000005Z-t+k5
19700101T000006Z-t+k6' ]
    for i in 1 2 3 4 5; do scored "$i" 0.9 "k$i"; done >"$T/in"
    rm "$T"/e/*
    evidence --evidence-max 0
    [ "$(files | wc -l)" = 5 ]
}

@test "a folder that is not there is refused at the start; a file that cannot be written costs no alert" {
    keep 2 "$BIN/psa-alert" --evidence "$T/none" </dev/null
    saying 'psa-alert: --evidence: '
    saying 'give a folder that exists and may be written to'
    keep 2 "$BIN/psa-alert" --evidence-before 3 </dev/null
    mkdir "$T/e"
    stream 0.1 0.9 0.1 0.1 0.1 >"$T/in"
    evidence
    [ -z "$(find "$T/e" -name '.*' -type f)" ]
    cp "$T/out" "$T/want"
    file=$(files)
    rm "$T/e/$file"
    mkdir -p "$T/e/$file/x"
    evidence --stats
    cmp "$T/want" "$T/out"
    saying 'psa-alert: stdin:2: '
    saying 'the alert goes out, its evidence does not'
    saying '"noted":{"evidence_failed":2}'
    accounts "$T/err"
}

@test "random streams: the files are what input and alerts say; cut anywhere, killed anywhere, the same files" {
    "$PY" tests/cli/alert_check.py evidence
}

@test "a state whose evidence leads out of the folder, or does not go together, is refused" {
    mkdir "$T/e"
    stream 0.1 0.9 >"$T/in"
    evidence --state "$T/state"
    cp "$T/state" "$T/good"
    for change in 's|"name":"1970|"name":"../1970|' 's|"bundles":"1970|"bundles":"/1970|' 's|"after":0|"after":-1|' 's|"active":true|"active":false|' \
        's|"left_out":0}||' 's|"after":0,"after_bytes":0|"before":1,"before":1|'; do
        sed "$change" "$T/good" >"$T/state"
        ! cmp -s "$T/good" "$T/state"
        keep 2 "$BIN/psa-alert" --evidence "$T/e" --state "$T/state" </dev/null
    done
    cp "$T/good" "$T/state"
    keep 0 "$BIN/psa-alert" --state "$T/state" </dev/null # without --evidence it is left behind
    ! grep -q ndjson "$T/state"
}

@test "a folder that nothing can be written to for now costs no alert, at the start neither, and is tried again" {
    mkdir "$T/e"
    stream 0.1 0.9 0.1 0.1 0.1 >"$T/in"
    keep 0 "$BIN/psa-alert" <"$T/in"
    cp "$T/out" "$T/want"
    # No byte into files, as on a disk that is full; what the program says goes through pipes.
    mkfifo "$T/said"
    cat "$T/said" >"$T/err" &
    (
        trap '' XFSZ
        ulimit -f 0
        exec "$BIN/psa-alert" --evidence "$T/e" --stats <"$T/in" 2>"$T/said"
    ) | cat >"$T/out"
    wait
    cmp "$T/want" "$T/out"
    saying 'it is tried again with each event, alerts go out'
    saying '"noted":{"evidence_failed":3}'
}
