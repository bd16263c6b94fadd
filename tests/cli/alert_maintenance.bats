#!/usr/bin/env bats
# psa-alert --maintenance: windows in which nothing is raised, as src/stage/alert_calm.c and alert_plan.h state it.

load helpers
setup() { psa_setup; }

# 2024-03-09 is a Saturday, 2024-03-10 a Sunday.
at() { date -u -d "$1" +%s%N; }
verdict() { case $1 in 0.[0-4]*) echo false ;; *) echo true ;; esac; }
# scored TIME SCORE [ID]: of t/ID, t/a unless named; an anomaly above 0.5
scored() {
    printf '{"sensor_type":"t","sensor_id":"%s","fields":{"anomaly_score":%s},"timestamp_ns":%s,"anomaly":{"is_anomaly":%s,"threshold":0.5}}\n' \
        "${3-a}" "$2" "$(at "$1")" "$(verdict "$2")"
}
# steps FIRST LAST STEP SCORE [ID]: from a time to another, in seconds
steps() {
    local t last anomalous
    t=$(date -u -d "$1" +%s)
    last=$(date -u -d "$2" +%s)
    anomalous=$(verdict "$4")
    for (( ; t <= last; t += $3)); do
        printf '{"sensor_type":"t","sensor_id":"%s","fields":{"anomaly_score":%s},"timestamp_ns":%s000000000,"anomaly":{"is_anomaly":%s,"threshold":0.5}}\n' \
            "${5-a}" "$4" "$t" "$anomalous"
    done
}
says() {
    printf '{"sensor_type":"status","sensor_id":"%s","fields":{"up":%s},"timestamp_ns":%s,"of":"t","fault":"absent"}\n' "$1" "$3" "$(at "$2")"
}
beat() { printf '{"psa":{"heartbeat":%s}}\n' "$(at "$1")"; }

# alerts OPTION...: "time id kind state" of each alert for $T/in, with the windows of $T/plan.
alerts() {
    keep 0 "$BIN/psa-alert" --maintenance "$T/plan" "$@" <"$T/in"
    jq -r 'select(.alert) | "\(.timestamp_ns / 1e9 | todate[5:19]) \(.sensor_id) \(.alert.kind) \(.alert.state)"' "$T/out" >"$T/alerts"
}

# told LINE...: the minutes of an hour's steps at which a record of t/a, alone, is told of with these windows
told() {
    printf '%s\n' "$@" >"$T/plan"
    for minute in "${minutes[@]}"; do scored "$minute" 0.9; done >"$T/in"
    alerts --raise 1/1 --cooldown 0 --silent 0
    cut -d' ' -f1 "$T/alerts" | tr '\n' ' '
}

@test "windows: once, on days, across midnight, half open, by key; comments, blanks, offsets" {
    minutes=('2024-03-09 05:59:59.999999' '2024-03-09 06:00' '2024-03-09 17:59:59.999999' '2024-03-09 18:00')
    [ "$(told '2024-03-09T06:00:00Z 2024-03-09T18:00:00Z')" = '03-09T05:59:59 03-09T18:00:00 ' ]
    for line in '2024-03-09T06:00Z/2024-03-09T18:00Z' '  2024-03-09T07:00:00+01:00	2024-03-09T19:00+01:00   # night' 'daily 06:00-18:00' \
        'Sat 06:00-18:00 t/a' 'fri-SUN 06:00:00-18:00:00 x,t/?' 'Fri-Mon 06:00-18:00 *' 'Mon,Sat 06:00-18:00#t/b is no comment' \
        '2024-03-09T06:00Z/2024-03-09T12:00Z
2024-03-09T12:00Z/2024-03-09T18:00Z' 'Sat 06:00-14:00
daily 13:00-18:00 t/a'; do
        case $line in *'no comment') want=refused ;; *) want='03-09T05:59:59 03-09T18:00:00 ' ;; esac
        if [ "$want" = refused ]; then
            printf '%s\n' "$line" >"$T/plan" && keep 2 "$BIN/psa-alert" --maintenance "$T/plan" </dev/null
        else
            [ "$(told "$line")" = "$want" ]
        fi
    done
    all='03-09T05:59:59 03-09T06:00:00 03-09T17:59:59 03-09T18:00:00 '
    for line in '' '# daily 00:00-24:00' 'Sun 06:00-18:00' 'Mon-Fri 00:00-24:00' 'daily 06:00-18:00 t/b' 'daily 06:00-18:00 a' \
        '1999-01-01 2024-03-09T05:00Z' '2024-03-10 2030-01-01'; do [ "$(told "$line")" = "$all" ]; done
    minutes=('2024-03-09 21:00' '2024-03-09 23:00' '2024-03-10 21:59' '2024-03-10 22:00' '2024-03-11 01:59' '2024-03-11 02:00' '2024-03-11 23:00')
    [ "$(told 'Sun 22:00-02:00')" = '03-09T21:00:00 03-09T23:00:00 03-10T21:59:00 03-11T02:00:00 03-11T23:00:00 ' ]
    [ "$(told 'Sun 00:00-24:00')" = '03-09T21:00:00 03-09T23:00:00 03-11T01:59:00 03-11T02:00:00 03-11T23:00:00 ' ]
    minutes=('1969-12-31 21:00' '1969-12-31 22:00' '1970-01-01 01:59' '1970-01-01 02:00')
    [ "$(told 'Wed 22:00-02:00')" = '12-31T21:00:00 01-01T02:00:00 ' ]
}

@test "a line that is no window is refused with its number and what is wrong; so is a file that is not there" {
    wrong() {
        printf '# refit\n\n%s\n' "$1" >"$T/plan"
        keep 2 "$BIN/psa-alert" --maintenance "$T/plan" </dev/null
        saying "psa-alert: $T/plan:3: $2"
        [ "$(wc -l <"$T/err")" = 1 ]
    }
    wrong 'tomorrow 06:00-18:00' 'neither a time nor days'
    wrong 'Sun-Funday 06:00-18:00' 'neither a time nor days'
    wrong 'Sun' 'behind the days there must be hours'
    wrong 'Sun 6:00-18:00' 'behind the days there must be hours'
    wrong 'Sun 06:00-24:01' 'behind the days there must be hours'
    wrong 'Sun 24:00-06:00' 'behind the days there must be hours'
    wrong 'Sun 06:60-07:00' 'behind the days there must be hours'
    wrong 'Sun 06:00' 'behind the days there must be hours'
    wrong 'daily 06:00-06:00' 'the window begins when it ends; a whole day is 00:00-24:00'
    wrong '2024-03-09T06:00:00Z' 'a window is FROM TO'
    wrong '2024-03-09 06:00 2024-03-09 18:00' 'a window is FROM TO'
    wrong '2024-03-09T06:00:00Z 2024-03-09T06:00:00Z' 'the window ends before it begins'
    wrong '2024-03-09T06:00:00Z/2024-03-08T06:00:00Z' 'the window ends before it begins'
    wrong 'daily 06:00-07:00 t/a t/b' 'more words than a window'
    keep 2 "$BIN/psa-alert" --maintenance "$T/none" </dev/null
    said "psa-alert: --maintenance: there is no file '$T/none'"
}

@test "records within a window count neither way; k of n and the normals in a row start anew at both its ends" {
    echo '2024-03-09T06:00:00Z 2024-03-09T07:00:00Z' >"$T/plan"
    { scored '2024-03-09 05:59:58' 0.9 && scored '2024-03-09 05:59:59' 0.1 && steps '2024-03-09 06:00:00' '2024-03-09 06:59:59' 600 0.99 &&
        scored '2024-03-09 07:00:00' 0.9 && scored '2024-03-09 07:00:01' 0.1 && scored '2024-03-09 07:00:02' 0.9; } >"$T/in"
    alerts --raise 2/3 --silent 0 --stats
    same "$T/alerts" <<<'03-09T07:00:02 a anomaly raised'
    [ "$(jq .alert.since_ns "$T/out")" = "$(at '2024-03-09 07:00:00')" ]
    saying '"noted":{"maintenance":6}'
    accounts "$T/err"
    # One that is passed without a record has ended all the same.
    { scored '2024-03-09 05:59:58' 0.9 && scored '2024-03-09 07:00:00' 0.9 && scored '2024-03-09 07:00:01' 0.9; } >"$T/in"
    alerts --raise 2/2 --silent 0
    same "$T/alerts" <<<'03-09T07:00:01 a anomaly raised'
}

@test "an event that is active stays so, untold, and ends by normals behind the window, with the id it had" {
    echo 'Sat 06:00-07:00' >"$T/plan"
    { scored '2024-03-09 05:50' 0.9 && scored '2024-03-09 05:51' 0.1 && scored '2024-03-09 05:59' 0.1 &&
        steps '2024-03-09 06:00:00' '2024-03-09 06:20' 60 0.99 && steps '2024-03-09 06:21' '2024-03-09 06:59' 60 0.1 &&
        scored '2024-03-09 07:00' 0.1 && scored '2024-03-09 07:01' 0.1 && scored '2024-03-09 07:02' 0.9 && steps '2024-03-09 07:03' '2024-03-09 07:05' 60 0.1; } >"$T/in"
    alerts --cooldown 1s --silent 0
    same "$T/alerts" <<'END'
03-09T05:50:00 a anomaly raised
03-09T07:02:00 a anomaly ongoing
03-09T07:05:00 a anomaly cleared
END
    [ "$(jq -s 'map(.alert.id) | unique | length' "$T/out")" = 1 ]
    [ "$(jq -r 'select(.alert.state == "cleared").alert.reason' "$T/out")" = 't/a: normal again after 4500.0 s' ]
}

@test "silence: none in a window, due no sooner than the limit after its end; others are not concerned; heartbeats alone too" {
    echo 'Sat 06:00-07:00 t/a' >"$T/plan"
    { scored '2024-03-09 05:59:50' 0.1 && scored '2024-03-09 05:59:50' 0.1 c && steps '2024-03-09 06:00' '2024-03-09 07:00:40' 10 0.1 b &&
        scored '2024-03-09 07:00:45' 0.1; } >"$T/in"
    alerts --silent 30s
    same "$T/alerts" <<'END'
03-09T06:00:20 c silence raised
03-09T06:05:20 c silence ongoing
03-09T06:10:20 c silence ongoing
03-09T06:15:20 c silence ongoing
03-09T06:20:20 c silence ongoing
03-09T06:25:20 c silence ongoing
03-09T06:30:20 c silence ongoing
03-09T06:35:20 c silence ongoing
03-09T06:40:20 c silence ongoing
03-09T06:45:20 c silence ongoing
03-09T06:50:20 c silence ongoing
03-09T06:55:20 c silence ongoing
03-09T07:00:20 c silence ongoing
03-09T07:00:30 a silence raised
03-09T07:00:45 a silence cleared
END
    [ "$(jq -r 'select(.sensor_id == "a" and .alert.state == "raised").alert.reason' "$T/out")" = 't/a: no record for 3640.0 s, since 2024-03-09T05:59:50Z; in maintenance until 2024-03-09T07:00:00Z' ]
    # Read again within the window's last seconds: by its last record, as ever.
    { scored '2024-03-09 05:59:50' 0.1 && steps '2024-03-09 06:00' '2024-03-09 06:59:50' 10 0.1 b && scored '2024-03-09 06:59:55' 0.1 &&
        steps '2024-03-09 07:00' '2024-03-09 07:00:40' 5 0.1 b; } >"$T/in"
    alerts --silent 30s
    same "$T/alerts" <<<'03-09T07:00:30 a silence raised'
    # Heartbeats, and a key that was never heard.
    { beat '2024-03-09 05:59:55' && for m in $(seq 0 10 50); do beat "2024-03-09 06:0$((m / 60)):$m"; done && for m in $(seq -w 1 59); do beat "2024-03-09 06:$m:30"; done &&
        for s in 00 10 20 29 30; do beat "2024-03-09 07:00:$s"; done; } >"$T/in"
    alerts --silent 30s --max-ahead 1h --expect t/a
    same "$T/alerts" <<<'03-09T07:00:30 a silence raised'
}

@test "event time that jumps over the end of a window does not put a silence off by more than its limit" {
    echo 'Sat 06:00-18:00' >"$T/plan"
    { scored '2024-03-09 06:00:00' 0.1 && steps '2024-03-09 06:00:10' '2024-03-09 06:01:00' 10 0.1 b && steps '2024-03-09 20:00:00' '2024-03-09 20:03:00' 10 0.1 b; } >"$T/in"
    alerts --silent 30s
    [ "$(wc -l <"$T/alerts")" = 1 ]
    grep -E '^03-09T20:0[12]:[0-9]0 a silence raised$' "$T/alerts"
}

@test "a silence from before a window is not told of in it; a record in the window ends it at once" {
    echo 'Sat 06:00-07:00' >"$T/plan"
    { scored '2024-03-09 05:58' 0.1 && steps '2024-03-09 05:58' '2024-03-09 06:40' 10 0.1 b && scored '2024-03-09 06:40:05' 0.1; } >"$T/in"
    alerts --silent 30s --cooldown 60s
    same "$T/alerts" <<'END'
03-09T05:58:30 a silence raised
03-09T05:59:30 a silence ongoing
03-09T06:40:05 a silence cleared
END
}

@test "status: down in a window raises nothing, but the silence behind it says so; up always clears" {
    echo 'Sat 06:00-07:00' >"$T/plan"
    { says x '2024-03-09 05:50' 0 && says x '2024-03-09 06:01' 0 && says x '2024-03-09 06:02' 1 && says y '2024-03-09 06:03' 0 &&
        says y '2024-03-09 07:00' 0 && says y '2024-03-09 07:01' 1; } >"$T/in"
    alerts --cooldown 0 --silent 0 --stats
    same "$T/alerts" <<'END'
03-09T05:50:00 x status raised
03-09T06:02:00 x status cleared
03-09T07:00:00 y status raised
03-09T07:01:00 y status cleared
END
    saying '"noted":{"maintenance":2}'
    accounts "$T/err"
    { scored '2024-03-09 05:59' 0.1 && says a '2024-03-09 06:03' 0 && steps '2024-03-09 06:04' '2024-03-09 07:01' 10 0.1 b; } >"$T/in"
    alerts --silent 30s
    same "$T/alerts" <<<'03-09T07:00:30 a silence raised'
    [ "$(jq -r .alert.severity "$T/out")" = warning ]
    jq -r .alert.reason "$T/out" | grep -F '; in maintenance until 2024-03-09T07:00:00Z; it says itself that it is down (absent)'
}

@test "random windows and scores: what the manual says, worked out the long way; cut anywhere, fused" {
    "$PY" tests/cli/alert_check.py maintenance
}

@test "cut at every line: the same bytes, silences within and behind windows included; the plan may change" {
    printf 'Sat 06:00-06:05\nSat 06:08-06:10 t/b,t/c\n' >"$T/plan"
    { scored '2024-03-09 05:58' 0.9 && scored '2024-03-09 05:58:10' 0.9 c && steps '2024-03-09 05:58:30' '2024-03-09 06:12' 20 0.1 b && says b '2024-03-09 06:12:10' 0 &&
        scored '2024-03-09 06:12:20' 0.9 && scored '2024-03-09 06:12:20' 0.9 c && for m in 13 14; do beat "2024-03-09 06:$m:00"; done; } >"$T/in"
    keep 0 "$BIN/psa-alert" --maintenance "$T/plan" --cooldown 1m --state "$T/state" <"$T/in"
    mv "$T/out" "$T/whole"
    [ "$(grep -c silence "$T/whole")" -gt 5 ]
    rm "$T/state"
    while IFS= read -r line; do
        keep 0 "$BIN/psa-alert" --maintenance "$T/plan" --cooldown 1m --state "$T/state" <<<"$line"
        cat "$T/out"
    done <"$T/in" >"$T/cut"
    cmp "$T/whole" "$T/cut"
    echo 'daily 00:00-24:00' >"$T/plan"
    beat '2024-03-09 06:15' | keep 0 "$BIN/psa-alert" --maintenance "$T/plan" --cooldown 1m --state "$T/state"
}

@test "two that are due at once, one of them put off by a window, keep their order across a restart" {
    echo 'Sat 06:00-06:10 t/a' >"$T/plan"
    { scored '2024-03-09 06:00' 0.1 && steps '2024-03-09 06:00' '2024-03-09 06:10:10' 10 0.1 b && scored '2024-03-09 06:10:18' 0.1 b && scored '2024-03-09 06:09:50' 0.1 z; } | sort -t: -k6,6 >"$T/in"
    scored '2024-03-09 06:10:45' 0.1 b >"$T/last"
    cat "$T/last" >>"$T/in"
    alerts --silent 30s
    same "$T/alerts" <<'END'
03-09T06:10:45 z silence raised
03-09T06:10:45 a silence raised
END
    mv "$T/out" "$T/whole"
    sed -i '$d' "$T/in"
    alerts --silent 30s --state "$T/state"
    mv "$T/last" "$T/in"
    alerts --silent 30s --state "$T/state"
    cmp "$T/whole" "$T/out"
}

@test "a day that does not exist, or lies beyond time, is said to be that" {
    for line in '2024-02-30T00:00:00Z 2024-03-01T00:00:00Z' '2024-01-01 9999-12-31' '2024-01-01T00:00:00Z/2024-13-01T00:00:00Z'; do
        echo "$line" >"$T/plan"
        keep 2 "$BIN/psa-alert" --maintenance "$T/plan" </dev/null
        said "psa-alert: $T/plan:1: a time that does not exist, or none between 1677-09-22 and 2262-04-11; one is 2024-03-09T06:00:00Z"
    done
    echo '2024-02 2024-03' >"$T/plan"
    keep 2 "$BIN/psa-alert" --maintenance "$T/plan" </dev/null
    said "psa-alert: $T/plan:1: a window is FROM TO, two times such as 2024-03-09T06:00:00Z"
    keep 2 "$BIN/psa-alert" --maintenance . </dev/null
}
