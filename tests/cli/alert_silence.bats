#!/usr/bin/env bats
# psa-alert: silent sensors and what sensors say of themselves, as src/stage/alert_silence.c and alert_status.c state it.

load helpers
setup() { psa_setup; }

# reads ID SECOND...: a scored, normal reading of t/ID at each second.
reads() {
    local id=$1 at
    shift
    for at in "$@"; do
        printf '{"sensor_type":"t","sensor_model":"M-1","sensor_id":"%s","fields":{"anomaly_score":0.1},"timestamp_ns":%s,"anomaly":{"is_anomaly":false,"threshold":0.5}}\n' \
            "$id" "$(ns "$at")"
    done
}
ns() { awk -v s="$1" 'BEGIN { printf "%.0f", s * 1e9 }'; }
beats() { for at in "$@"; do printf '{"psa":{"heartbeat":%s}}\n' "$(ns "$at")"; done; }
# says ID SECOND UP [MORE MEMBERS]: a status record of t/ID.
says() {
    printf '{"sensor_type":"status","sensor_model":"M-1","sensor_id":"%s","fields":{"up":%s},"timestamp_ns":%s,"of":"t"%s}\n' \
        "$1" "$3" "$(ns "$2")" "${4:+,$4}"
}

# alerts OPTION...: "second key kind state severity suppressed" of each alert for $T/in.
alerts() {
    keep 0 "$BIN/psa-alert" "$@" <"$T/in"
    jq -r 'select(.alert) | "\(.timestamp_ns / 1e9) \(.sensor_id) \(.alert.kind) \(.alert.state) \(.alert.severity) \(.alert.suppressed)"' "$T/out" >"$T/alerts"
}

@test "silent for --silent by the time of another key: raised once, ongoing once a cooldown, cleared by its next record" {
    { reads a 0 && reads b $(seq 0 45) && reads a 45.5 && reads b 46; } >"$T/in"
    alerts --cooldown 10s
    same "$T/alerts" <<'END'
30 a silence raised warning 0
40 a silence ongoing warning 0
45.5 a silence cleared warning 0
END
    [ "$(jq -r .alert.reason "$T/out")" = 't/a: no record for 30.0 s, since 1970-01-01T00:00:00Z
t/a: silent for 40.0 s now, since 1970-01-01T00:00:00Z
t/a: records again after 45.5 s of silence' ]
    alerts
    same "$T/alerts" <<'END'
30 a silence raised warning 0
45.5 a silence cleared warning 0
END
}

@test "one nanosecond less than --silent is no silence, and each record begins the counting anew" {
    { reads a 0 && reads b 0 9.999999999 && reads a 10 && reads b 39.999999999; } >"$T/in"
    alerts
    same "$T/alerts" </dev/null
    { cat "$T/in" && reads b 40; } >"$T/more"
    mv "$T/more" "$T/in"
    alerts
    same "$T/alerts" <<<'40 a silence raised warning 0'
}

@test "heartbeats alone make time pass; --silent 0 turns it off; --silent and --lost are obeyed" {
    { reads a 0 && beats 10 20 30 40 && reads a 41; } >"$T/in"
    alerts
    same "$T/alerts" <<'END'
30 a silence raised warning 0
41 a silence cleared warning 0
END
    alerts --silent 15s --lost critical --cooldown 15s
    same "$T/alerts" <<'END'
20 a silence raised critical 0
40 a silence ongoing critical 0
41 a silence cleared critical 0
END
    alerts --silent 0
    same "$T/alerts" </dev/null
    { reads a 0 && beats 3600; } >"$T/in"
    alerts
    same "$T/alerts" <<<'3600 a silence raised warning 0'
}

@test "a key alone, with no heartbeat, is never silent" {
    reads a 0 40 80 1000 1001 >"$T/in"
    alerts
    same "$T/alerts" </dev/null
}

@test "the record of a silence: the sensor's type, model and id, how long, when; one id an event, another the next time" {
    { reads a 0 && beats 35 && reads a 36 && beats 144; } >"$T/in"
    keep 0 "$BIN/psa-alert" --stats <"$T/in"
    accounts "$T/err"
    saying '"passed":0,"emitted":3,'
    grep -v '^{"psa":' "$T/out" >"$T/alerts"
    sed 's/"id":"[0-9a-f]\{16\}"/"id":"ID"/' "$T/alerts" | head -n 2 >"$T/got"
    same "$T/got" <<'END'
{"sensor_type":"t","sensor_model":"M-1","sensor_id":"a","fields":{"silent_s":35},"timestamp_ns":35000000000,"alert":{"kind":"silence","severity":"warning","state":"raised","since_ns":0,"score":null,"threshold":null,"reason":"t/a: no record for 35.0 s, since 1970-01-01T00:00:00Z","top":[],"suppressed":0,"id":"ID"}}
{"sensor_type":"t","sensor_model":"M-1","sensor_id":"a","fields":{"silent_s":36},"timestamp_ns":36000000000,"alert":{"kind":"silence","severity":"warning","state":"cleared","since_ns":0,"score":null,"threshold":null,"reason":"t/a: records again after 36.0 s of silence","top":[],"suppressed":0,"id":"ID"}}
END
    [ "$(jq -r .alert.reason "$T/alerts" | tail -n 1)" = \
        't/a: no record for 108.0 s, since 1970-01-01T00:00:36Z; its limit is 108.0 s, for its records came up to 36.0 s apart' ]
    run jq -r .alert.id "$T/alerts"
    [ "${lines[0]}" = "${lines[1]}" ]
    [ "${lines[0]}" != "${lines[2]}" ]
    cp "$T/out" "$T/first"
    keep 0 "$BIN/psa-alert" <"$T/in"
    cmp "$T/out" "$T/first"
}

@test "an alert of a silence stands before the heartbeat, or the alert of the record, that brought it to light" {
    { reads a 0 && beats 30 && reads b 61 | sed 's/false/true/; s/0\.1/0.9/'; } >"$T/in"
    keep 0 "$BIN/psa-alert" --max-ahead 40s --cooldown 31s <"$T/in"
    [ "$(jq -r 'if .psa then "beat" else .alert | .kind + " " + .state end' "$T/out")" = 'silence raised
beat
silence ongoing
anomaly raised' ]
    # Two events of one key that begin at the same time have two ids.
    { reads a 5 | sed 's/false/true/; s/0\.1/0.9/' && beats 35; } >"$T/in"
    keep 0 "$BIN/psa-alert" <"$T/in"
    [ "$(jq -r 'select(.alert) | .alert.since_ns' "$T/out" | uniq -c | awk '{ print $1, $2 }')" = '2 5000000000' ]
    [ "$(jq -r 'select(.alert) | .alert.id' "$T/out" | sort -u | wc -l)" -eq 2 ]
}

# every STEP FROM TO ID: a reading of t/ID every STEP seconds.
every() {
    awk -v step="$1" -v from="$2" -v to="$3" -v id="$4" 'BEGIN { for (i = 0; (t = from + i * step) <= to + 1e-6; i++)
        printf "{\"sensor_type\":\"t\",\"sensor_id\":\"%s\",\"fields\":{\"anomaly_score\":0.1},\"timestamp_ns\":%.0f,\"anomaly\":{\"is_anomaly\":false}}\n", id, t * 1e9 }'
}
# bursts ON OFF TO ID: ON seconds with ten readings each, OFF seconds without, and so on.
bursts() {
    local at
    for ((at = 0; at < $3; at += $1 + $2)); do every 0.1 "$at" "$((at + $1))" "$4"; done
}
by_time() { sed 's/.*"timestamp_ns":\([0-9]*\)/\1 &/' | sort -s -n -k 1,1 | cut -d ' ' -f 2-; }

@test "a sensor read once a minute beside a fast one: silent once, while its pace is not known; then after three minutes" {
    { every 60 0 600 slow && every 1 0 900 fast; } | by_time >"$T/in"
    alerts
    same "$T/alerts" <<'END'
30 slow silence raised warning 0
60 slow silence cleared warning 0
780 slow silence raised warning 0
END
    [ "$(jq -r .alert.reason "$T/out" | tail -n 1)" = \
        't/slow: no record for 180.0 s, since 1970-01-01T00:10:00Z; its limit is 180.0 s, for its records came up to 60.0 s apart' ]
    # Read every second from now on, it is a fast one.
    { every 60 0 600 slow && every 1 601 680 slow && every 1 0 710 fast; } | by_time >"$T/in"
    alerts
    [ "$(tail -n 1 "$T/alerts")" = '710 slow silence raised warning 0' ]
}

@test "one outage of two hours does not make a fast sensor a slow one, nor do two from eight intervals later on" {
    { every 1 0 99 a && every 1 7300 7309 a && every 10 0 7400 b; } | by_time >"$T/in"
    alerts --cooldown 3h
    same "$T/alerts" <<'END'
130 a silence raised warning 0
7300 a silence cleared warning 0
7340 a silence raised warning 0
END
    { every 1 0 99 a && every 1 7300 7309 a && every 1 14500 14590 a && every 10 0 14700 b; } | by_time >"$T/in"
    alerts --cooldown 3h
    same "$T/alerts" <<'END'
130 a silence raised warning 0
7300 a silence cleared warning 0
7340 a silence raised warning 0
14500 a silence cleared warning 0
14620 a silence raised warning 0
END
}

@test "bursts once a minute are a pace like any other, up to bursts as long as --silent" {
    { bursts 2 58 600 a && every 1 0 800 b; } | by_time >"$T/in"
    alerts
    same "$T/alerts" <<'END'
32 a silence raised warning 0
60 a silence cleared warning 0
716 a silence raised warning 0
END
    { bursts 30 40 1000 a && every 1 0 1000 b; } | by_time >"$T/in"
    alerts
    same "$T/alerts" <<'END'
60 a silence raised warning 0
70 a silence cleared warning 0
130 a silence raised warning 0
140 a silence cleared warning 0
END
}

@test "paces of all kinds, bursts and outages: what the manual says, worked out the long way, and resumed anywhere" {
    check() { BATS_TEST_TMPDIR=$T "$PY" tests/cli/alert_silence_check.py "$@"; }
    for seed in 1 2 3; do check "$seed" 40 40 1; done
    check 4 30 30 40
    check 5 40 36 1 # some are forgotten for others
    check 19 12 11 200
}

@test "a pace outlives a restart; a state with one that cannot be is refused" {
    # The gaps of gappy are forgotten once what is not counted yet at each cut has come to eight intervals.
    { every 6 0 18 slow && every 1 0 40 fast && every 0.5 0 2 gappy && every 0.5 10 11 gappy && every 0.5 20 29 gappy; } | by_time >"$T/in"
    keep 0 "$BIN/psa-alert" --silent 3s --cooldown 1h <"$T/in"
    mv "$T/out" "$T/whole"
    [ "$(jq -r '"\(.timestamp_ns / 1e9) \(.sensor_id) \(.alert.state)"' "$T/whole")" = '3 slow raised
5 gappy raised
6 slow cleared
10 gappy cleared
14 gappy raised
20 gappy cleared
32 gappy raised
36 slow raised' ]
    while IFS= read -r line; do
        keep 0 "$BIN/psa-alert" --silent 3s --cooldown 1h --state "$T/state" <<<"$line"
        cat "$T/out"
    done <"$T/in" >"$T/cut"
    cmp "$T/whole" "$T/cut"
    for wrong in '[-1]' '[1,1,1,1,1,1,1,1,1]'; do
        sed "s/\"interval_ns\":\[[^]]*\]/\"interval_ns\":$wrong/" "$T/state" >"$T/wrong"
        keep 2 "$BIN/psa-alert" --silent 3s --cooldown 1h --state "$T/wrong" </dev/null
        saying 'the state is damaged'
    done
}

@test "--expect waits for keys that never came, from the first event time" {
    { reads a 100 110 120 129 && reads a 130 140 && reads c 141 && reads a 150; } >"$T/in"
    alerts --expect t/b,t/a,t/c,d
    same "$T/alerts" <<'END'
130 b silence raised warning 0
130 c silence raised warning 0
130 d silence raised warning 0
141 c silence cleared warning 0
END
    [ "$(jq -r .alert.reason "$T/out")" = 't/b: expected, but no record in the 30.0 s since 1970-01-01T00:01:40Z
t/c: expected, but no record in the 30.0 s since 1970-01-01T00:01:40Z
d: expected, but no record in the 30.0 s since 1970-01-01T00:01:40Z
t/c: its first record after 41.0 s of silence' ]
    [ "$(jq -c '[.sensor_type,.sensor_model,.sensor_id]' "$T/out" | head -n 1)" = '["t",null,"b"]' ]
    beats 5 20 36 >"$T/in"
    alerts --expect t/b
    same "$T/alerts" <<<'36 b silence raised warning 0'
}

@test "--expect: blanks around a name are none of it; an empty type or id is refused" {
    { reads a 0 && beats 30; } >"$T/in"
    alerts --expect ' t/a, t/b ,c'
    same "$T/alerts" <<'END'
30 b silence raised warning 0
30 c silence raised warning 0
30 a silence raised warning 0
END
    for wrong in / t/ /b 't/a, /b'; do
        keep 2 "$BIN/psa-alert" --expect "$wrong" </dev/null
        said "psa-alert: --expect: '$wrong' has an empty name, type or id; give TYPE/ID,TYPE/ID"
    done
    keep 2 "$BIN/psa-alert" --expect 't/a, ' </dev/null
    said "psa-alert: --expect: 't/a, ' has an empty name; give TYPE/ID,TYPE/ID"
    keep 0 "$BIN/psa-alert" --key sensor_id --expect / </dev/null
}

@test "--expect, --lost, --silent: what means nothing is refused with 2" {
    keep 2 "$BIN/psa-alert" --expect a,,b </dev/null
    said "psa-alert: --expect: 'a,,b' has an empty name; give TYPE/ID,TYPE/ID"
    keep 2 "$BIN/psa-alert" --expect a --silent 0 </dev/null
    said 'psa-alert: --expect means nothing with --silent 0'
    keep 2 "$BIN/psa-alert" --expect a,b --max-keys 2 </dev/null
    said 'psa-alert: --expect names 2 streams; --max-keys must be above that, not 2'
    keep 2 "$BIN/psa-alert" --lost loud </dev/null
    said "psa-alert: --lost: 'loud' is none of info, warning, critical"
    keep 2 "$BIN/psa-alert" --silent -1s </dev/null
    keep 2 "$BIN/psa-alert" --max-ahead 0 </dev/null
}

# mixed OTHER...: a at every second from 0 to 45, b at 0, and in between the lines of the file OTHER after a's second 5.
mixed() { { reads b 0 && reads a $(seq 0 5) && cat "$1" && reads a $(seq 6 "${2-45}"); } >"$T/in"; }

@test "--max-ahead: a key, or a gateway of several, whose clock is an hour ahead makes nobody silent" {
    { reads w 3606 && reads x 3606.5; } >"$T/wrong"
    mixed "$T/wrong" 29
    alerts
    same "$T/alerts" </dev/null
    mixed "$T/wrong"
    alerts
    same "$T/alerts" <<'END'
30 b silence raised warning 0
35 w silence raised warning 0
35 x silence raised warning 0
END
    reads w 66 >"$T/wrong"
    mixed "$T/wrong" 29
    alerts
    same "$T/alerts" </dev/null
    reads w 64 >"$T/wrong"
    mixed "$T/wrong" 29
    alerts # a step that might be a pause of everything; b has till 94 by it
    same "$T/alerts" </dev/null
    mixed "$T/wrong" 94
    alerts
    same "$T/alerts" <<<'94 b silence raised warning 0
94 w silence raised warning 0'
    mixed "$T/wrong" 30
    alerts --max-ahead 50s
    same "$T/alerts" <<<'30 b silence raised warning 0'
}

@test "a wrong clock that came first does not keep the others from being watched" {
    { reads w 3606 && reads b 0 && reads a $(seq 0 31); } >"$T/in"
    alerts
    same "$T/alerts" <<'END'
30 w silence raised warning 0
30 b silence raised warning 0
END
    reads w 3606 >"$T/first"
    keep 0 "$BIN/psa-alert" --state "$T/state" "$T/first"
    sed 1d "$T/in" >"$T/rest"
    mv "$T/rest" "$T/in"
    alerts --state "$T/state"
    [ "$(wc -l <"$T/alerts")" -eq 2 ]
    # Once two agree, one that is far behind (a gateway that boots in 1970) is the wrong one.
    { reads a 1000 && reads b 1000 && reads old 5 && reads a 1030; } >"$T/in"
    alerts
    same "$T/alerts" <<'END'
1030 b silence raised warning 0
1030 old silence raised warning 0
END
}

@test "of two keys far apart the slower clock is right while both speak; alone, the other is believed after --max-ahead" {
    { for i in $(seq 0 5); do reads a "$i" && reads w "$((3600 + i))"; done && reads w $(seq 3606 3700); } >"$T/in"
    alerts
    same "$T/alerts" <<<'3695 a silence raised warning 0'
}

@test "a pause of the whole stream is nobody's silence; whoever does not come back is silent after it" {
    { for i in $(seq 0 9); do reads a "$i" && reads b "$i" && reads c "$i"; done &&
        for i in $(seq 28800 28900); do reads a "$i" && reads b "$i.5"; done; } >"$T/in"
    alerts
    same "$T/alerts" <<<'28890 c silence raised warning 0'
    [ "$(jq -r .alert.reason "$T/out")" = 't/c: no record for 28881.0 s, since 1970-01-01T00:00:09Z' ]
}

@test "slow keys: --max-ahead is at least --silent unless given" {
    { for i in $(seq 0 300 3000); do reads a "$i" && reads b "$i"; done && reads a $(seq 3300 300 5000); } >"$T/in"
    alerts --silent 15m
    same "$T/alerts" <<'END'
3900 b silence raised warning 0
4200 b silence ongoing warning 0
4500 b silence ongoing warning 0
4800 b silence ongoing warning 0
END
    alerts --silent 15m --max-ahead 60s
    same "$T/alerts" </dev/null
}

@test "a clock that is set: back, forward, and by a heartbeat of more than a day, is nobody's silence" {
    { reads a $(seq 10000 10005) && reads b 10005 && beats $(seq 5000 5059); } >"$T/in"
    alerts
    same "$T/alerts" </dev/null
    beats $(seq 5060 5089) >>"$T/in"
    alerts
    same "$T/alerts" </dev/null
    beats 5090 >>"$T/in"
    alerts
    same "$T/alerts" <<'END'
5090 a silence raised warning 0
5090 b silence raised warning 0
END
    [ "$(jq 'select(.alert) | .fields.silent_s' "$T/out" | head -n 1)" = 30 ]
    { reads a 5 && reads b 6 && beats 1710000000 && reads b 1710000001 && beats 1710000028; } >"$T/in"
    alerts
    same "$T/alerts" </dev/null
    beats 1710000029.5 >>"$T/in"
    alerts
    same "$T/alerts" <<<'1710000029.5 a silence raised warning 0'
}

@test "a late record is dropped and is no sign of life" {
    { reads a 10 && beats 20 && reads a 9 && beats 40 && reads a 9.5 && reads a 10; } >"$T/in"
    alerts --stats
    same "$T/alerts" <<'END'
40 a silence raised warning 0
40 a silence cleared warning 0
END
    saying '"dropped":{"late":2}'
    accounts "$T/err"
}

@test "status: up 0 raises with its reason, again is suppressed, after the cooldown ongoing; up 1 clears; up 1 else is nothing" {
    { says p 1 1 && says p 5 0 '"fault":"absent","reason":"i2c-1@0x68: no answer"' && says p 6 0 '"fault":"absent"' && says p 15 0 '"fault":"stuck"' &&
        says p 20 1 && says p 21 1; } >"$T/in"
    alerts --cooldown 10s --stats
    same "$T/alerts" <<'END'
5 p status raised warning 0
15 p status ongoing warning 1
20 p status cleared warning 0
END
    accounts "$T/err"
    saying '"passed":3,"emitted":0,'
    [ "$(jq -r .alert.reason "$T/out")" = 't/p: down (absent): i2c-1@0x68: no answer
t/p: down for 10.0 s now (stuck)
t/p: up again after 15.0 s' ]
    [ "$(jq -r .alert.id "$T/out" | sort -u | wc -l)" -eq 1 ]
    sed -n 2p "$T/in" | sed 's/}$//' | tr -d '\n' >"$T/want"
    head -n 1 "$T/out" | grep -qF -- "$(cat "$T/want")"
    says q 5 0 >"$T/in"
    alerts --lost info
    same "$T/alerts" <<<'5 q status raised info 0'
}

@test "status records that say nothing are noted, ones without time rejected, late ones dropped" {
    { echo '{"sensor_type":"status","sensor_id":"p","fields":{"up":null},"timestamp_ns":1}' && echo '{"sensor_type":"status","sensor_id":"p"}' &&
        says p 5 0 | sed 's/"timestamp_ns":[0-9]*,//' && says p 5 0 && says p 4 1 && says p 5 1; } >"$T/in"
    alerts --stats
    same "$T/alerts" <<'END'
5 p status raised warning 0
5 p status cleared warning 0
END
    saying '"rejected":{"no_time":1},"dropped":{"late":1},"absorbed":2,'
    saying '"noted":{"no_up":2}'
    accounts "$T/err"
}

@test "a sensor that said that it is down is silent too, but as information: the cause is told already" {
    { reads a 0 && reads b 0 10 && says a 11 0 '"fault":"absent"' && reads b 20 30 40 && says a 49 1 && reads b 50 && reads a 50.5; } >"$T/in"
    alerts --cooldown 10s
    same "$T/alerts" <<'END'
11 a status raised warning 0
30 a silence raised info 0
40 a silence ongoing info 0
49 a status cleared warning 0
49 a silence ongoing warning 0
50.5 a silence cleared warning 0
END
    jq -r .alert.reason "$T/out" | grep -qxF 't/a: no record for 30.0 s, since 1970-01-01T00:00:00Z; it says itself that it is down (absent)'
    # The other way round: the second is the information; once the sensor is heard, the status is worth what --lost says.
    { reads a 0 && reads b 0 10 20 30 && says a 31 0 && reads a 32 && says a 42 0 && says a 43 1; } >"$T/in"
    alerts --cooldown 10s
    same "$T/alerts" <<'END'
30 a silence raised warning 0
31 a status raised info 0
32 a silence cleared warning 0
42 a status ongoing warning 0
43 a status cleared warning 0
END
    # One that is up says nothing of keys that were never heard.
    { says x 0 1 && reads b 0 10 20 30 40; } >"$T/in"
    alerts
    same "$T/alerts" </dev/null
}

@test "--key: the alert of a silence has that member; status records keep the sensor they mean" {
    for i in 0 20 40; do
        reads "s$i" "$i" | sed 's/}$/,"tags":{"host":"h'"$i"'"}}/'
    done >"$T/in"
    says s0 41 0 >>"$T/in"
    keep 0 "$BIN/psa-alert" --key tags.host --expect h9 <"$T/in"
    [ "$(jq -c '[.sensor_id, .tags.host, .alert.reason]' "$T/out")" = '[null,"h9","h9: expected, but no record in the 40.0 s since 1970-01-01T00:00:00Z"]
["s0","h0","h0: no record for 40.0 s, since 1970-01-01T00:00:00Z"]
["s0",null,"t/s0: down"]' ]
}

@test "cut at every line and resumed from --state: the same bytes, expected, silent, down and far ones included" {
    { reads b 0 && reads a $(seq 0 5) && reads w 3600 3601 && says a 6 0 '"fault":"absent","reason":"gone"' && reads c $(seq 6 5 71) && says a 72 1 &&
        reads a 73 && beats 100 && reads w 3700 $(seq 3701 30 3850) && reads b 3850 && beats 3860 && reads a 7500 && reads b 3870 && beats 7501 && reads b 7502 7530 7570 &&
        reads v 7572 7580 && for i in $(seq 5000 10 5130); do reads b "$i" && reads v "$i"; done; } >"$T/in"
    set -- --silent 20s --cooldown 15s --expect t/x,t/a --state "$T/state"
    keep 0 "$BIN/psa-alert" "$@" <"$T/in"
    mv "$T/out" "$T/whole"
    [ "$(grep -c raised "$T/whole")" -gt 5 ]
    grep -q 'dropped as late' "$T/whole"
    rm "$T/state"
    while IFS= read -r line; do
        keep 0 "$BIN/psa-alert" "$@" <<<"$line"
        cat "$T/out"
    done <"$T/in" >"$T/cut"
    cmp "$T/whole" "$T/cut"
    # Another --expect may come later: what is new in it is waited for from then on.
    reads c 5130 >"$T/in"
    keep 0 "$BIN/psa-alert" --silent 20s --cooldown 15s --expect t/y,t/a --state "$T/state" <"$T/in"
    beats 5150 >"$T/in"
    keep 0 "$BIN/psa-alert" --silent 20s --cooldown 15s --expect t/y,t/a --state "$T/state" <"$T/in"
    grep -q '"sensor_id":"y".*"state":"raised"' "$T/out"
    keep 2 "$BIN/psa-alert" --silent 21s --cooldown 15s --state "$T/state" <"$T/in"
    saying 'the state is of another configuration'
}

@test "a state from before silences were watched is refused" {
    echo '{"psa_state":1,"stage":"psa-alert","options":"warning=0.85","kept":["",""],"state":[]}' >"$T/state"
    keep 2 "$BIN/psa-alert" --state "$T/state" </dev/null
    saying 'the state is of another configuration: it was'
}

@test "a stream that --max-keys forgets is not missed" {
    { reads a 0 && reads b 0 && reads c 1 && reads b 2 && reads c 30 40; } >"$T/in"
    alerts --max-keys 2
    same "$T/alerts" <<<'40 b silence raised warning 0'
    saying 'more than --max-keys 2 streams'
    ! grep -q 'while it has' "$T/err"
    # Nor is it cleared, which is said.
    { cat "$T/in" && says x 41 0 && reads y 42; } >"$T/more"
    mv "$T/more" "$T/in"
    alerts --max-keys 2
    saying 't/b: forgotten for --max-keys 2 while it has an alert (silence), which will never be cleared; give a higher --max-keys'
    # Fewer are loaded than were saved.
    rm -f "$T/state"
    keep 0 "$BIN/psa-alert" --state "$T/state" <"$T/in"
    reads y 43 >"$T/in"
    keep 0 "$BIN/psa-alert" --max-keys 2 --state "$T/state" <"$T/in"
    keep 0 "$BIN/psa-alert" --max-keys 2 --state "$T/state" <"$T/in"
}

@test "a clock set forward is nobody's silence, whether its record comes first or its heartbeat, and is counted from after it" {
    { reads a 100 && beats 101 && reads a 3701 && beats 3702 3730.9; } >"$T/in"
    alerts
    same "$T/alerts" </dev/null
    beats 3732 >>"$T/in"
    alerts
    same "$T/alerts" <<<'3732 a silence raised warning 0'
    [ "$(jq -r 'select(.alert) | "\(.alert.since_ns / 1e9) \(.fields.silent_s) \(.alert.reason)"' "$T/out")" = \
        '3701 31 t/a: no record for 31.0 s, since 1970-01-01T01:01:41Z' ]
    # A record of the old time may still come in between.
    { reads a 100 && beats 101 && reads b 3701 && reads a 102 && beats 3702 && reads a 3702; } >"$T/in"
    alerts
    same "$T/alerts" </dev/null
    { reads a 80 && beats 81 91 101 3702 && reads a 3703; } >"$T/in"
    alerts
    same "$T/alerts" </dev/null
    # Heartbeats that always come so far apart do make time pass.
    { reads a 0 && beats 3600 7200 10800; } >"$T/in"
    alerts
    same "$T/alerts" <<'END'
3600 a silence raised warning 0
7200 a silence ongoing warning 0
10800 a silence ongoing warning 0
END
    { reads a 0 && beats 70 70.1 140 140.1 210 210.1; } >"$T/in"
    alerts --cooldown 60s
    same "$T/alerts" <<'END'
70 a silence raised warning 0
210 a silence ongoing warning 0
END
    # w was heard ahead, and counts from its own time on: 118 s, not an hour.
    { reads w 3601 && reads a 100 && reads b 100 && reads w 3602 && reads a 101 && beats 3720; } >"$T/in"
    alerts --silent 60s
    [ "$(jq -r 'select(.alert) | .alert.reason' "$T/out" | tail -n 1)" = 't/w: no record for 118.0 s, since 1970-01-01T01:00:02Z' ]
    alerts --silent 150s --max-ahead 60s
    same "$T/alerts" <<'END'
3720 b silence raised warning 0
3720 a silence raised warning 0
END
}

@test "a clock set back, no heartbeats: event time follows the late records; who sends only them is silent, and why" {
    { for i in $(seq 10000 10 10100) $(seq 6500 10 10100); do reads a "$i" && reads b "$i"; done; } >"$T/in"
    alerts --cooldown 1h
    same "$T/alerts" <<'END'
6590 a silence raised warning 0
6590 b silence raised warning 0
10100 a silence cleared warning 0
10100 b silence cleared warning 0
END
    [ "$(jq -r .alert.reason "$T/out" | head -n 1)" = \
        't/a: no record for 30.0 s, since 1970-01-01T01:49:20Z; 10 dropped as late, for it has had one of 1970-01-01T02:48:20Z: was its clock set back?' ]
    # While it is silent already, too: no alert began after itself, and its id stays.
    { reads a 10000 && reads b 10000 10020 10040 && beats $(seq 5000 5100); } >"$T/in"
    alerts --cooldown 30s
    [ "$(jq -c 'select(.sensor_id == "a") | [.timestamp_ns / 1e9, .alert.since_ns / 1e9, .fields.silent_s]' "$T/out")" = '[10040,10000,40]
[5090,5020,70]' ]
    [ "$(jq -r 'select(.sensor_id == "a") | .alert.id' "$T/out" | sort -u | wc -l)" -eq 1 ]
    jq -s -e 'all(.[]; .alert == null or .alert.since_ns <= .timestamp_ns)' "$T/out"
}

@test "a pause of everything longer than --silent gives all the benefit of --silent again, once" {
    { for i in 100 110 120 160 170; do for k in a b c; do reads $k "$i"; done; done; } >"$T/in"
    alerts
    same "$T/alerts" </dev/null
    # Heartbeats paused with them, and c does not come back.
    { for i in 100 110 120; do for k in a b c; do reads $k "$i"; done && beats "$i.5"; done && beats 160.5 && reads a 161 && reads b 162 && beats 170 180 190 190.5; } >"$T/in"
    alerts
    same "$T/alerts" <<<'190.5 c silence raised warning 0'
    [ "$(jq -r 'select(.alert) | .alert.reason' "$T/out")" = 't/c: no record for 70.5 s, since 1970-01-01T00:02:00Z' ]
    # The second pause finds it due already.
    { reads a 0 && reads b 0 && reads a 40 80; } >"$T/in"
    alerts
    same "$T/alerts" <<<'80 b silence raised warning 0'
}

@test "--max-ahead below the distance of the records: event time stands still, which is said once" {
    for i in $(seq 0 300 3000); do reads a "$i" && reads b "$i"; done >"$T/in"
    keep 0 "$BIN/psa-alert" --silent 15m --max-ahead 60s <"$T/in"
    said 'psa-alert: stdin:7: each record comes more than --max-ahead 60.000 s after all before it, so that no time is seen to pass, and no silence; give a longer --max-ahead'
    keep 0 "$BIN/psa-alert" --silent 15m <"$T/in"
    ! grep -q 'max-ahead' "$T/err"
}

@test "ten thousand keys: half fall silent and come again, in the order they were heard" {
    awk 'function reading(i, t) { printf "{\"sensor_id\":\"%d\",\"fields\":{\"anomaly_score\":0.1},\"timestamp_ns\":%.0f,\"anomaly\":{\"is_anomaly\":false}}\n", i, t * 1e9 }
        BEGIN { for (t = 0; t < 50; t += 10) for (i = 0; i < 10000; i++) if (t == 0 || t == 40 || i % 2 == 0) reading(i, t) }' >"$T/in"
    alerts
    [ "$(grep -c '^30 .* raised' "$T/alerts")" -eq 5000 ]
    [ "$(grep -c '^40 .* cleared' "$T/alerts")" -eq 5000 ]
    [ "$(wc -l <"$T/alerts")" -eq 10000 ]
    grep raised "$T/alerts" | cut -d ' ' -f 2 | sort -n -c
}

@test "behind features and scores: an IMU unplugged and put in again is one silence, from its last window on" {
    printf '%s\n' 'imu imu-01' 'pressure bmp-01' 'temperature dht-01 every=2s' 'fault dropout imu-01 at=20s for=40s' 'duration 80s' >"$T/scene"
    "$BIN/psa-sim" --spec "$T/scene" >"$T/in"
    chain='psa-features --length 1s --stride 250ms | psa-score --ecod | psa-alert'
    keep 0 "$BIN/psa-run" "$chain" "$T/in"
    [ "$(jq -r 'select(.alert.kind != "anomaly") | .sensor_id + " " + .alert.state' "$T/out")" = 'imu-01 raised
imu-01 cleared' ]
    keep 0 "$BIN/psa-run" "${chain/psa-alert/psa-alert --silent 41s}" "$T/in"
    jq -s -e 'all(.[]; .alert.kind == "anomaly")' "$T/out"
}
