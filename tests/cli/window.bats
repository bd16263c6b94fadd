#!/usr/bin/env bats
# psa-window: against an independent model in Python (window_check.py), and what it says about odd input.

load helpers
setup() { psa_setup; }
check() { "$PY" tests/cli/window_check.py "$@"; }
points() { for i in $1; do record a "\"x\":$i" "$((i * 1000000))"; done; }

@test "model: regular time, tumbling, sliding and sparse windows, three keys, nulls, labels" { check regular; }
@test "model: irregular and equal times, late records" { check irregular; }
@test "model: gaps without --max-gap" { check gappy; }
@test "model: heartbeats complete time windows" { check heartbeats; }
@test "model: count windows" { check counts; }
@test "model: blocks of samples among readings" { check blocks; }
@test "model: --max-gap and --partial, time windows" { check time_gaps; }
@test "model: --max-gap and --partial, count windows" { check count_gaps; }
@test "model: --align epoch, before 1970 too" { check epoch; }
@test "model: sessions, cut at --max-samples, ended by records and heartbeats" { check sessions; }
@test "model: --intervals" { check intervals; }
@test "model: what a key forgotten at --max-keys held is dropped, not absorbed" { check evicted; }
@test "cut anywhere and resumed from its state: the same bytes, for every kind of window" { check resumed; }
@test "any chunking of the input: the same bytes, for every kind of window" { check chunks; }
@test "overlapping windows windowed again count no sample twice; readings inside a block are late" { check again; }

@test "a time window is half-open and is written by the record at its end" {
    points '0 5 9 10 11' >"$T/in"
    keep 0 "$BIN/psa-window" --length 10ms <"$T/in"
    echo '{"sensor_id":"a","fields":{"x":[0,5,9]},"timestamp_ns":0,"rate_hz":222.22222222222223,"window":{"start_ns":0,"end_ns":10000000,"n":3,"seq":0}}' | same "$T/out"
}

@test "a window takes its members from its newest record, its time from its first sample" {
    { record a '"x":1' 0 '"rate_hz":500,"site":"north","zone":1' && record a '"x":2' 5 '"rate_hz":500,"site":"south"' &&
        record a '"x":3' 1000 '"site":"west"'; } >"$T/in"
    keep 0 "$BIN/psa-window" --length 1us <"$T/in"
    echo '{"sensor_id":"a","fields":{"x":[1,2]},"timestamp_ns":0,"rate_hz":500,"site":"south","window":{"start_ns":0,"end_ns":1000,"n":2,"seq":0,"last_ns":5}}' | same "$T/out"
}

@test "event time given as ts_ms or ISO 8601 leaves as timestamp_ns, in its place" {
    printf '{"ts_ms":%d,"fields":{"x":1},"k":1}\n' 1000 1001 1002 >"$T/in"
    keep 0 "$BIN/psa-window" --length 2 <"$T/in"
    echo '{"timestamp_ns":1000000000,"fields":{"x":[1,1]},"k":1,"rate_hz":1000,"window":{"start_ns":1000000000,"end_ns":1002000000,"n":2,"seq":0}}' | same "$T/out"
    printf '{"timestamp":"2024-03-09T16:00:0%d.5Z","fields":{"x":1}}\n' 0 1 2 >"$T/in"
    keep 0 "$BIN/psa-window" --length 2 <"$T/in"
    echo '{"timestamp_ns":1710000000500000000,"fields":{"x":[1,1]},"rate_hz":1,"window":{"start_ns":1710000000500000000,"end_ns":1710000002500000000,"n":2,"seq":0}}' | same "$T/out"
}

@test "labels: the largest number, the string of the most anomalous sample" {
    { record a '"x":1' 1 '"labels":{"anomaly":0,"fault":"none"}' && record a '"x":1' 2 '"labels":{"anomaly":1,"fault":"wear"}' &&
        record a '"x":1' 3 '"labels":{"anomaly":0,"fault":"none"}' && record a '"x":1' 4 '"labels":{"anomaly":0,"fault":"none"}' &&
        record a '"x":1' 5 && record a '"x":1' 6; } >"$T/in"
    keep 0 "$BIN/psa-window" --length 2 <"$T/in"
    run jq -c .labels "$T/out"
    [ "$output" = '{"anomaly":1,"fault":"wear"}
{"anomaly":0,"fault":"none"}
null' ]
}

@test "--max-gap says where the windows start anew" {
    points '0 5 10 500 505 510 520' >"$T/in"
    keep 0 "$BIN/psa-window" --length 10ms --max-gap 100ms --stats <"$T/in"
    said 'psa-window: stdin:4: a: a gap of 0.490 s; windows start anew'
    saying '"noted":{"gap":1,"unfinished":1}'
    [ "$(jq -c .window.start_ns "$T/out" | tr '\n' ' ')" = '0 10000000 500000000 510000000 ' ]
}

@test "--max-samples bounds a window: the oldest are left out, counted and said" {
    points "$(seq -s ' ' 0 40)" >"$T/in"
    keep 0 "$BIN/psa-window" --length 30ms --max-samples 10 --stats <"$T/in"
    [ "$(jq -c '[.fields.x[0], .window.n, .timestamp_ns]' "$T/out")" = '[20,10,20000000]' ]
    said 'psa-window: stdin:11: a window holds more than --max-samples 10; its oldest samples are left out'
    saying '"max_samples":21'
    keep 2 "$BIN/psa-window" --length 30 --max-samples 10 </dev/null
    said 'psa-window: --length 30 is above --max-samples 10'
}

@test "what is no window's sample is rejected by name, and the rest is as if it had not been" {
    points '0 1 2 3 4 5 6 7' >"$T/good"
    { sed -n '1,2p' "$T/good" && echo '{"sensor_id":"a","fields":{"x":1}}' && record b '"s":"on"' 5 && record a '"x":"hot"' 1000000 &&
        record c '"x":[1,2]' 7 && record d '"x":[1,2],"y":[1]' 8 '"rate_hz":5' && record d '"x":[1,2],"y":3' 9 '"rate_hz":5' &&
        record a '"x":1' 999 && echo 'x' && sed -n '3,8p' "$T/good"; } >"$T/in"
    keep 0 "$BIN/psa-window" --length 4 <"$T/good"
    mv "$T/out" "$T/want"
    keep 0 "$BIN/psa-window" --length 4 --stats --rejects "$T/rejects" <"$T/in"
    cmp "$T/out" "$T/want"
    sed -n '3,8p;10p' "$T/in" | same "$T/rejects"
    said 'psa-window: stdin:3: no timestamp_ns; rejected'
    said "psa-window: stdin:4: no field is a number or an array of numbers; rejected"
    said 'psa-window: stdin:5: fields.x is not a number; skipped'
    said 'psa-window: stdin:6: a block of samples without rate_hz; rejected'
    said 'psa-window: stdin:9: a: 999001 ns older than the newest record; dropped'
    saying '"rejected":{"no_time":1,"no_fields":1,"type":1,"no_rate":1,"blocks":2,"syntax":1},"dropped":{"late":1}'
    accounts "$T/err"
}

@test "far ends of time" {
    { record a '"x":1' -9223372036854775808 && record a '"x":2' 0 && record a '"x":3' 9223372036854775807 &&
        record a '"x":4' 9223372036854775807; } >"$T/in"
    keep 0 "$BIN/psa-window" --length 1s --stride 250ms --partial --max-gap 1d <"$T/in"
    keep 0 "$BIN/psa-window" --length 1s --stride 250ms --partial <"$T/in"
    keep 0 "$BIN/psa-window" --length 3 --partial <"$T/in"
}

@test "options that make no window are refused with 2 and a sentence" {
    keep 2 "$BIN/psa-window" </dev/null
    said 'psa-window: no window named; give --length, such as --length 1s or --length 100, or --session 10s'
    keep 2 "$BIN/psa-window" --length 1s --stride 100 </dev/null
    said 'psa-window: --length and --stride must both be durations or both be counts'
    keep 2 "$BIN/psa-window" --length 100 --align epoch </dev/null
    said 'psa-window: --align epoch needs windows of time, such as --length 1s; --length 100 is a number of samples'
    keep 2 "$BIN/psa-window" --length 1s --align Epoch </dev/null
    said "psa-window: --align: 'Epoch' is neither first nor epoch"
    keep 2 "$BIN/psa-window" --length 1.5 </dev/null
    said "psa-window: --length: '1.5' is no whole number; for seconds write 1.5s"
    keep 0 "$BIN/psa-window" --length 1.5s </dev/null
    for length in 0 -1 0s -1s 1.5 ten 1parsec ''; do
        keep 2 "$BIN/psa-window" --length "$length" </dev/null
    done
    for session in 0 -1s 0.1ns soon; do
        keep 2 "$BIN/psa-window" --session "$session" </dev/null
    done
}

@test "a session takes no --length, and nothing that belongs to one" {
    keep 2 "$BIN/psa-window" --session 1s --length 1s </dev/null
    said 'psa-window: --session means nothing beside --length'
    for option in '--stride 1s' '--align first' '--max-gap 1s' '--partial'; do
        # shellcheck disable=SC2086 # an option and its argument
        keep 2 "$BIN/psa-window" --session 1s $option </dev/null
        said "psa-window: ${option%% *} means nothing without --length"
    done
}

@test "a session is over at a record or a heartbeat later than TIME behind it, not at TIME, and at the end" {
    points '0 5 10 20 31 32 50' >"$T/in"
    keep 0 "$BIN/psa-window" --session 10ms <"$T/in"
    [ "$(jq -c '[.fields.x, .window.start_ns, .window.end_ns, .window.partial]' "$T/out")" = '[[0,5,10,20],0,26666666,null]
[[31,32],31000000,33000000,null]
[[50],50000000,50000001,true]' ]
    { cat "$T/in" && echo '{"psa":{"heartbeat":60000000}}' && record a '"x":1' 60000000 && echo '{"psa":{"heartbeat":70000001}}'; } >"$T/more"
    keep 0 "$BIN/psa-window" --session 10ms <"$T/more"
    [ "$(tail -n 3 "$T/out" | jq -c '[.psa.heartbeat, .fields.x, .window.partial]')" = '[60000000,null,null]
[null,[50,1],null]
[70000001,null,null]' ]
}

@test "a session longer than --max-samples is cut, said and counted, and loses no sample" {
    { points '0 1 2 3 4 5 6' && record a '"x":7' 7000000 '"site":"new"' && points '50'; } >"$T/in"
    keep 0 "$BIN/psa-window" --session 10ms --max-samples 3 --stats <"$T/in"
    [ "$(jq -c '[.fields.x, .site, .window.seq, .window.cut, .window.continued, .window.partial]' "$T/out")" = '[[0,1,2],null,0,true,null,null]
[[3,4,5],null,1,true,true,null]
[[6,7],"new",2,null,true,null]
[[50],null,3,null,null,true]' ] || { cat "$T/out"; false; }
    said 'psa-window: stdin:4: a: a session holds more than --max-samples 3; it goes on in another window'
    saying '"noted":{"cut":2}'
}

@test "--align epoch: windows of two machines that began at different times start together" {
    { for i in 1030 1480 1510 2020 2030; do record a '"x":1' "${i}000000"; done && for i in 1970 2100; do record b '"x":1' "${i}000000"; done; } >"$T/in"
    keep 0 "$BIN/psa-window" --length 1s --stride 500ms --align epoch <"$T/in"
    [ "$(jq -c '[.sensor_id, .window.start_ns / 1000000, .window.end_ns / 1000000, .window.n]' "$T/out")" = '["a",500,1500,2]
["a",1000,2000,3]
["b",1000,2000,1]' ]
}

@test "--intervals: the median interval, its relative deviation, the longest; null where there is none" {
    points '0 10 20 30 70 80 100 100 100' >"$T/in"
    keep 0 "$BIN/psa-window" --length 6 --intervals --partial <"$T/in"
    [ "$(jq -c '.window | [.n, .interval_s, .jitter, .longest_s]' "$T/out")" = '[6,0.01,1.2,0.04]
[3,0,null,0]' ]
    keep 0 "$BIN/psa-window" --length 1 --intervals <"$T/in"
    [ "$(head -n 1 "$T/out" | jq -c '.window | [.interval_s, .jitter, .longest_s]')" = '[null,null,null]' ]
}

@test "a key forgotten with readings in no window: dropped as evicted, in psa-features too" {
    { points '0 1 2 3 4' && record b '"x":1' 5000000 && points '6 7'; } >"$T/in"
    for program in psa-window psa-features; do
        keep 0 "$BIN/$program" --length 3 --max-keys 1 --stats <"$T/in"
        saying '"emitted":1,"control":0,"rejected":{},"dropped":{"evicted":3},"absorbed":5,"keys":1,"keys_evicted":2'
        accounts "$T/err"
    done
    # What another run counted as in and kept in its state is not dropped from this one's count.
    points '0 1' >"$T/first"
    { for i in 5 6 7; do record b '"x":1' "${i}000000"; done && record c '"x":1' 8000000; } >"$T/second"
    keep 0 "$BIN/psa-window" --length 3 --max-keys 2 --state "$T/state" <"$T/first"
    keep 0 "$BIN/psa-window" --length 3 --max-keys 2 --state "$T/state" --stats <"$T/second"
    saying '"dropped":{},"absorbed":4,"keys":2,"keys_evicted":1'
}

@test "label names may hold dots, and one that only a middle sample has is kept" {
    { record a '"x":1' 0 '"labels":{"a.b":0}' && record a '"x":1' 1 '"labels":{"a.b":1,"why":"knock"}' &&
        record a '"x":1' 2 '"labels":{"a.b":0}' && record a '"x":1' 3 '"labels":{"a.b":0,"c":2}' &&
        record a '"x":1' 4 '"labels":{"a.b":0}'; } >"$T/in"
    keep 0 "$BIN/psa-window" --length 5 <"$T/in"
    [ "$(jq -c .labels "$T/out")" = '{"a.b":1,"why":"knock","c":2}' ] || [ "$(jq -cS .labels "$T/out")" = '{"a.b":1,"c":2,"why":"knock"}' ]
}

@test "where samples are missing from records that tell their rate, last_ns says when the last one was" {
    for i in 0 1 2 8 9; do record a '"x":1' "${i}0000000" '"rate_hz":100'; done >"$T/in"
    record a '"x":1' 200000000 '"rate_hz":100' >>"$T/in"
    keep 0 "$BIN/psa-window" --length 100ms <"$T/in"
    [ "$(head -n 1 "$T/out" | jq -c '[.rate_hz, .window.last_ns]')" = '[100,90000000]' ]
    mv "$T/out" "$T/windows"
    keep 0 "$BIN/psa-features" --features mean <"$T/windows"
    [ "$(head -n 1 "$T/out" | jq .timestamp_ns)" = 90000000 ]
}

@test "a state that holds no sample yet can be loaded" {
    record a '"x":"on"' 1 >"$T/in"
    record a '"x":[1,2]' 2 >>"$T/in"
    keep 0 "$BIN/psa-window" --length 2 --state "$T/state" <"$T/in"
    record a '"x":1' 3 >"$T/in"
    keep 0 "$BIN/psa-window" --length 2 --state "$T/state" <"$T/in"
}

@test "a state that lacks a part is refused, not half used" {
    record a '"x":1' 1 >"$T/in"
    keep 0 "$BIN/psa-window" --length 2 --state "$T/state" <"$T/in"
    sed 's/,"rows":\[\[1\]\]//' "$T/state" >"$T/less"
    ! cmp -s "$T/state" "$T/less"
    keep 2 "$BIN/psa-window" --length 2 --state "$T/less" <"$T/in"
    saying 'a slot that lacks a member'
    # Times behind the rows would be of samples that nothing has given.
    sed 's/"time_ns":\[1\],"rows":\[\[1\]\]/"rows":[[]],"time_ns":[1]/' "$T/state" >"$T/turned"
    ! cmp -s "$T/state" "$T/turned"
    keep 2 "$BIN/psa-window" --length 2 --state "$T/turned" <"$T/in"
    saying 'a slot that is not whole'
}

# blocks STEP_NS RATE...: ten-sample blocks of a, STEP_NS apart, each with its rate_hz.
blocks() {
    local step=$1 at=0 from
    shift
    for rate in "$@"; do
        from=$((at * 10))
        record a "\"x\":[$(seq -s, "$from" "$((from + 9))")]" "$((at * step))" "\"rate_hz\":$rate"
        at=$((at + 1))
    done
}

@test "blocks of a clock that is a little fast follow each other: no sample is taken for one that came before" {
    blocks 9950000 1000 1000 1000 1000 >"$T/in"
    keep 0 "$BIN/psa-window" --length 20 --stats <"$T/in"
    [ "$(jq -c '.fields.x[0], .fields.x[-1]' "$T/out" | tr '\n' ' ')" = '0 19 20 39 ' ]
    saying '"noted":{}'
    blocks 5000000 1000 1000 1000 >"$T/in" # half of each came before
    keep 0 "$BIN/psa-window" --length 20 --stats <"$T/in"
    saying '"noted":{"overlap":10}'
}

@test "a rate that changes starts the windows anew" {
    blocks 10000000 1000 1000 2000 2000 >"$T/in"
    keep 0 "$BIN/psa-window" --length 15 --partial --stats <"$T/in"
    said 'psa-window: stdin:3: a: the sampling rate changed from 1000 to 2000 Hz; windows start anew'
    saying '"noted":{"rate_changed":1}'
    [ "$(jq -c '[.rate_hz, .window.n]' "$T/out" | tr '\n' ' ')" = '[1000,15] [1000,5] [2000,15] [2000,5] ' ]
}

@test "samples that no window held are noted as unfinished" {
    points '0 5 10 15 20' >"$T/in"
    keep 0 "$BIN/psa-window" --length 3 --stats <"$T/in"
    saying '"noted":{"unfinished":2}'
    keep 0 "$BIN/psa-window" --length 3 --stride 1 --stats <"$T/in"
    saying '"noted":{}'
    keep 0 "$BIN/psa-window" --length 3 --state "$T/state" --stats <"$T/in"
    saying '"noted":{}'
}

@test "windows of time start at most 10000 times within a length" {
    keep 2 "$BIN/psa-window" --length 10m --stride 10us --align epoch </dev/null
    said 'psa-window: --stride is below a 10000th of --length: each sample would be written that often'
    keep 0 "$BIN/psa-window" --length 10s --stride 1ms </dev/null
}
