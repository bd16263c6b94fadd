#!/usr/bin/env bats
# psa-alert: the state machine that src/stage/alert.c states at its top, one transition a test.

load helpers
setup() { psa_setup; }

# scored NS SCORE [ID]: a record as psa-score writes it; an anomaly above 0.5. SCORE w: warming up, m: all missing.
scored() {
    case $2 in
    w) record "${3-a}" '"x":1' "$1" '"anomaly":{"is_anomaly":false,"threshold":0.5,"model":"ecod","state":"warming","top":[]}' ;;
    m) record "${3-a}" '"x":null' "$1" '"anomaly":{"is_anomaly":false,"threshold":0.5,"model":"ecod","state":"missing","top":[]}' ;;
    *) record "${3-a}" "\"anomaly_score\":$2" "$1" "\"anomaly\":{\"is_anomaly\":$(jq -n "$2 > 0.5"),\"threshold\":0.5,\"raw\":3,\"raw_threshold\":2,\"model\":\"ecod-x\",\"state\":\"scoring\",\"top\":[[\"accel_z\",0.61],[\"accel_x\",0.2],[\"t\",0.1],[\"u\",0.05]]}" ;;
    esac
}

# stream SCORE...: one second apart.
stream() {
    local at=0 score
    for score in "$@"; do
        at=$((at + 1))
        scored ${at}000000000 "$score"
    done
}

# alerts OPTION...: "second state severity suppressed" of each alert for $T/in.
alerts() {
    keep 0 "$BIN/psa-alert" "$@" <"$T/in"
    jq -r '"\(.timestamp_ns / 1e9) \(.alert.state) \(.alert.severity) \(.alert.suppressed)"' "$T/out" >"$T/alerts"
}

@test "raised at once, suppressed within the cooldown, ongoing after it, cleared after --clear normals" {
    stream 0.1 0.6 0.6 0.6 0.6 0.6 0.6 0.1 0.1 0.1 0.1 0.6 >"$T/in"
    alerts --cooldown 3s
    same "$T/alerts" <<'END'
2 raised info 0
5 ongoing info 2
10 cleared info 2
12 raised info 0
END
}

@test "the default cooldown is 300 s of event time" {
    { scored 0 0.6 && scored 299999999999 0.6 && scored 300000000000 0.6 && scored 300000000001 0.6; } >"$T/in"
    alerts
    same "$T/alerts" <<'END'
0 raised info 0
300 ongoing info 1
END
}

@test "worsening is written at once, getting better is not; the event keeps its highest severity" {
    stream 0.6 0.86 0.7 0.86 0.96 0.99 0.6 0.1 0.1 0.1 >"$T/in"
    alerts
    same "$T/alerts" <<'END'
1 raised info 0
2 ongoing warning 0
5 ongoing critical 2
10 cleared critical 2
END
}

@test "severities begin above 0.85 and 0.95, or where --warning and --critical say" {
    for score in 0.85 0.8501 0.95 0.9501; do
        stream "$score" >"$T/in"
        alerts
        cat "$T/alerts"
    done >"$T/all"
    stream 0.61 >"$T/in"
    alerts --warning 0.6 --critical 0.605
    cat "$T/alerts" >>"$T/all"
    same "$T/all" <<'END'
1 raised info 0
1 raised warning 0
1 raised warning 0
1 raised critical 0
1 raised critical 0
END
}

@test "normals between anomalies keep an event open: --clear counts them in a row" {
    stream 0.6 0.1 0.1 0.6 0.1 0.1 0.6 0.1 0.1 0.1 >"$T/in"
    alerts
    same "$T/alerts" <<'END'
1 raised info 0
10 cleared info 2
END
    stream 0.6 0.1 0.6 0.1 >"$T/in"
    alerts --clear 1
    same "$T/alerts" <<'END'
1 raised info 0
2 cleared info 0
3 raised info 0
4 cleared info 0
END
}

@test "--raise K/N: K of the last N; since_ns is the oldest anomaly among them" {
    stream 0.6 0.1 0.6 0.1 0.6 0.6 >"$T/in"
    alerts --raise 3/5
    same "$T/alerts" <<<'5 raised info 0'
    [ "$(jq .alert.since_ns "$T/out")" = 1000000000 ]
    stream 0.6 0.1 0.1 0.1 0.6 0.1 0.6 >"$T/in"
    alerts --raise 2/3
    same "$T/alerts" <<<'7 raised info 0'
    [ "$(jq .alert.since_ns "$T/out")" = 5000000000 ]
    stream 0.6 0.1 0.6 0.6 0.6 >"$T/in"
    alerts --raise 3/3
    same "$T/alerts" <<<'5 raised info 0'
    [ "$(jq .alert.since_ns "$T/out")" = 3000000000 ]
    stream 0.6 0.1 0.1 0.6 0.6 >"$T/in"
    alerts --raise 2/3
    [ "$(jq .alert.since_ns "$T/out")" = 4000000000 ]
    for n in 63 64; do
        stream $(for _ in $(seq $n); do echo 0.6; done) >"$T/in"
        alerts --raise $n/$n
        same "$T/alerts" <<<"$n raised info 0"
        [ "$(jq .alert.since_ns "$T/out")" = 1000000000 ]
    done
}

@test "after it was cleared an event starts from nothing" {
    stream 0.6 0.6 0.1 0.6 0.6 >"$T/in"
    alerts --raise 2/3 --clear 1
    same "$T/alerts" <<'END'
2 raised info 0
3 cleared info 0
5 raised info 0
END
}

@test "records that warm up or miss everything count neither way" {
    stream w w 0.6 w m w w 0.1 m 0.1 w 0.1 >"$T/in"
    alerts --stats
    same "$T/alerts" <<'END'
3 raised info 0
12 cleared info 0
END
    saying '"not_scoring":8'
    accounts "$T/err"
    stream 0.6 w 0.6 >"$T/in"
    alerts --raise 2/2
    same "$T/alerts" <<<'3 raised info 0'
}

@test "an event has one id from raised to cleared, the same for the same input; another event another" {
    stream 0.6 0.9 0.99 0.1 0.1 0.1 0.6 0.1 0.1 0.1 >"$T/in"
    alerts
    cp "$T/out" "$T/first"
    alerts
    cmp "$T/out" "$T/first"
    run jq -r .alert.id "$T/out"
    [ "${lines[0]}" = "${lines[3]}" ]
    [ "${lines[0]}" = "${lines[1]}" ]
    [ "${lines[4]}" = "${lines[5]}" ]
    [ "${lines[0]}" != "${lines[4]}" ]
    { scored 1 0.6 a && scored 1 0.6 b; } >"$T/in"
    alerts
    [ "$(jq -r .alert.id "$T/out" | sort -u | wc -l)" -eq 2 ]
}

@test "keys do not touch each other" {
    { scored 1 0.6 a && scored 2 0.1 b && scored 3 0.1 a && scored 4 0.96 b && scored 5 0.1 a && scored 6 0.1 b && scored 7 0.1 a; } >"$T/in"
    keep 0 "$BIN/psa-alert" <"$T/in"
    [ "$(jq -r '"\(.sensor_id) \(.timestamp_ns) \(.alert.state)"' "$T/out")" = 'a 1 raised
b 4 raised
a 7 cleared' ]
}

@test "an alert has all members of its record, the reason names score, threshold, model and what drove it" {
    stream 0.1 0.86 | sed 's/"sensor_id":"a"/"sensor_type":"t","sensor_id":"a"/; s/}$/,"clock":"unsynced","big":12345678901234567890,"x":1.10}/' >"$T/in"
    keep 0 "$BIN/psa-alert" <"$T/in"
    {
        sed -n '2s/}$//p' "$T/in" | tr -d '\n'
        echo ',"alert":{"kind":"anomaly","severity":"warning","state":"raised","since_ns":2000000000,"score":0.86,"threshold":0.5,"reason":"t/a: anomaly score 0.860 above its threshold 0.500 by ecod-x; driven by accel_z 61 %, accel_x 20 %, t 10 %","top":[["accel_z",0.61],["accel_x",0.2],["t",0.1],["u",0.05]],"suppressed":0,"id":"ID"}}'
    } >"$T/want"
    sed 's/"id":"[0-9a-f]\{16\}"/"id":"ID"/' "$T/out" | same "$T/want"
}

@test "ongoing says for how long, cleared after how long; an empty top drives nothing" {
    { scored 0 0.6 && scored 5000000000 0.6 && scored 6000000000 0.1; } | sed 's/"top":.*]]}/"top":[]}/' >"$T/in"
    keep 0 "$BIN/psa-alert" --cooldown 5s --clear 1 <"$T/in"
    [ "$(jq -r .alert.reason "$T/out")" = 'a: anomaly score 0.600 above its threshold 0.500 by ecod-x
a: for 5.0 s now, anomaly score 0.600 above its threshold 0.500 by ecod-x
a: normal again after 6.0 s' ]
    jq -s -e 'all(.[]; .alert.top == [])' "$T/out"
}

@test "records without a score, without time, late ones and odd anomaly members are told apart" {
    { record a '"x":1' 1 && echo '{"fields":{"anomaly_score":0.9},"anomaly":{"is_anomaly":true}}' && scored 10 0.6 && scored 9 0.99 &&
        record a '"x":1' 11 '"anomaly":7' && record a '"x":1' 12 '"anomaly":{"is_anomaly":"yes"}' &&
        record a '"x":1' 13 '"anomaly":{"is_anomaly":true,"top":[[1,2],"x",[]],"threshold":null}'; } >"$T/in"
    keep 0 "$BIN/psa-alert" --cooldown 0 --stats <"$T/in"
    said 'psa-alert: stdin:1: the record has no anomaly member; put psa-score before psa-alert'
    said 'psa-alert: stdin:2: no timestamp_ns; rejected'
    said 'psa-alert: stdin:4: a: 1 ns older than the newest record; dropped'
    accounts "$T/err"
    jq -s -e 'length == 2 and .[1].alert.score == null' "$T/out"
}

@test "names of 10000 bytes and cut UTF-8 stay valid JSON in the reason" {
    long=$(printf 'ä%.0s' $(seq 3000))
    scored 1 0.6 "x$long" | sed "s/accel_z/y$long/; s/ecod-x/z$long/" >"$T/in"
    keep 0 "$BIN/psa-alert" <"$T/in"
    jq -e '.alert.reason | length > 100' "$T/out"
    iconv -f UTF-8 -t UTF-8 "$T/out" >/dev/null
    scored 2 0.6 >"$T/in2"
    keep 0 "$BIN/psa-run" 'psa-alert | psa-filter --lowpass 1 --rate 10 --fields none' "$T/in" "$T/in2"
    [ "$(wc -l <"$T/out")" -eq 2 ]
}

@test "options that mean nothing are refused with 2 and a sentence" {
    for raise in 0/5 6/5 5 a/b 1/65 -1/3 1/2/3; do keep 2 "$BIN/psa-alert" --raise "$raise" </dev/null; done
    saying "'1/2/3' is no K/N"
    keep 2 "$BIN/psa-alert" --warning 0.9 --critical 0.8 </dev/null
    said 'psa-alert: --warning must not be above --critical'
    keep 2 "$BIN/psa-alert" --clear 0 </dev/null
    keep 2 "$BIN/psa-alert" --cooldown -1s </dev/null
    keep 2 "$BIN/psa-alert" --warning 1.5 </dev/null
}

@test "shares that are no numbers are passed over, and an anomaly without a score says so: no nan for people" {
    printf '{"sensor_id":"a","fields":{%s"x":1},"timestamp_ns":1000000000,"anomaly":{"is_anomaly":true,"threshold":%s,"model":"pca-x","state":"scoring","top":%s}}\n' \
        '"anomaly_score":1,' 0.5 '[["x",null],["y",0.7],["z",null],["u",0.2],["v",0.06],["w",0.04]]' >"$T/in"
    alerts
    [ "$(jq -r .alert.reason "$T/out")" = 'a: anomaly score 1.000 above its threshold 0.500 by pca-x; driven by y 70 %, u 20 %, v 6 %' ]
    sed -i 's/"top":.*/"top":[["x",null]]}}/' "$T/in"
    alerts
    [ "$(jq -r .alert.reason "$T/out")" = 'a: anomaly score 1.000 above its threshold 0.500 by pca-x' ]
    sed -i 's/"threshold":0.5/"threshold":null/' "$T/in"
    alerts
    [ "$(jq -r .alert.reason "$T/out")" = 'a: anomaly score 1.000 by pca-x' ]
    sed -i 's/"anomaly_score":1,//' "$T/in"
    alerts
    [ "$(jq -r .alert.reason "$T/out")" = 'a: anomalous, without a score by pca-x' ]
    [ "$(jq -c '.alert | [.score, .threshold]' "$T/out")" = '[null,null]' ]
}

@test "a state with a member of an event twice, or one in place of another, is refused" {
    scored 1000000000 0.9 >"$T/in"
    keep 0 "$BIN/psa-alert" --state "$T/state" <"$T/in"
    cp "$T/state" "$T/good"
    for change in 's|"since_ns":[0-9]*|"active":true|' 's|"severity":1|"active":true|' 's|"active":true|&,"active":true|'; do
        sed "$change" "$T/good" >"$T/state"
        ! cmp -s "$T/good" "$T/state"
        keep 2 "$BIN/psa-alert" --state "$T/state" </dev/null
        saying 'the state'
    done
}

@test "a threshold or a share that no double holds is none; a broken verdict is not said to be missing" {
    scored 1000000000 0.9 | sed 's/"threshold":0.5/"threshold":1e999/; s/"accel_z",0.61/"accel_z",1e999/' >"$T/in"
    alerts
    [ "$(jq -r .alert.reason "$T/out")" = 'a: anomaly score 0.900 by ecod-x; driven by accel_x 20 %, t 10 %, u 5 %' ]
    grep -q '"threshold":null,"reason"' "$T/out"
    for broken in '"is_anomaly":1' '"is_anomaly":"true"' '"was_anomaly":true'; do
        scored 1000000000 0.9 | sed "s/\"is_anomaly\":true/$broken/" >"$T/in"
        alerts --stats
        said "psa-alert: stdin:1: the record's member anomaly has no is_anomaly that can be read; taken for unscored"
        saying '"noted":{"unscored":1}'
    done
    scored 1000000000 0.9 | sed 's/"anomaly":/"other":/' >"$T/in"
    alerts
    said 'psa-alert: stdin:1: the record has no anomaly member; put psa-score before psa-alert'
}
