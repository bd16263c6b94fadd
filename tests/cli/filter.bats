#!/usr/bin/env bats
# psa-filter: SciPy's numbers through the program, rates told and measured, odd fields, keys, lateness.

load helpers
setup() { psa_setup; }
check() { "$PY" tests/cli/filter_check.py "$@"; }

@test "golden: low-, high-, band-pass and band-stop of order 1 to 8 on readings, to 1e-9" { check readings; }
@test "golden: the same on one block record" { check block; }
@test "golden: the same on consecutive blocks, state carried on" { check blocks; }
@test "a block that overlaps the one before it is filtered by itself" { check overlapping; }
@test "--rate, rate_hz and the measured rate give the same numbers; --rate wins" { check rates; }
@test "a rate is the median of 16 intervals, or of fewer at the end; without one records are rejected" { check measured; }
@test "rate_hz that comes while records wait: they leave first, in order" { check told_late; }
@test "interleaved keys equal each key alone" { check keys; }
@test "nulls pass and leave the state alone" { check nulls; }
@test "several operations are a cascade" { check cascade; }
@test "golden: --zero-phase is sosfiltfilt on each block by itself, round holes; too short is null and noted" { check zero_phase; }
@test "golden: --notch is iirnotch" { check notch; }
@test "--integrate: a tone over 2 pi f, and no drift" { check integrate; }
@test "--ewma by number, by time and by a rate that is told, over missing values" { check ewma; }
@test "--difference, --scale, --offset, --clip in closed form; a result beyond a double is null" { check simple; }
@test "--fill none, hold and linear: limits, gaps, uneven times, several fields, blocks" { check fill; }
@test "--magnitude makes a field that later operations find; it overwrites one of its name" { check magnitude; }
@test "--suffix leaves the raw values, and adds the results" { check suffix; }
@test "--fields and --order hold for what stands behind them, the first ones for all before too" { check places; }
@test "--max-gap: behind a gap all starts anew; a heartbeat shows a gap too" { check gaps; }
@test "blocks of differing arrays, without rate, records without time: rejected by name" { check mixed_blocks; }
@test "a value that an operation leaves as it is keeps its text" { check kept_text; }
@test "blocks of a clock that is a little fast keep their state; those that overlap start anew, which is said once" { check block_clocks; }
@test "overlapping windows are not resampled; a resampled block has no window" { check windows; }
@test "a resampled record carries the labels of every sample it stands for, bounded, and none across a gap" { check labels; }
@test "records that waited for a rate in vain are named by their own lines" { check held_places; }
@test "resampled blocks are at most 32,768 values long" { check long_blocks; }
@test "polyphase wants a rate that is told, and says which one is likely" { check told_rates; }
@test "magnitudes and suffixes: names that are there already, numbers beside arrays, values near the ends of a double" { check magnitudes; }
@test "every operation: cut anywhere and resumed from --state gives the bytes of the uncut stream" { check states; }
@test "every operation: nothing is lost or out of order, accounts add up, fused equals piped" { check whole_streams; }
@test "every operation: any chunking of the input gives the same bytes" { check chunks; }

@test "a cutoff at half the rate: told at the start with --rate, per key without" {
    keep 2 "$BIN/psa-filter" --lowpass 50 --rate 100Hz </dev/null
    said 'psa-filter: --lowpass: 50 Hz is not below half the sampling rate of 100 Hz'
    keep 2 "$BIN/psa-filter" --bandpass 10Hz:0.06kHz --rate 100 </dev/null
    said 'psa-filter: --bandpass: 60 Hz is not below half the sampling rate of 100 Hz'
    record a '"x":1' 1 '"rate_hz":10' >"$T/in"
    keep 3 "$BIN/psa-filter" --lowpass 5Hz --strict --stats <"$T/in"
    said 'psa-filter: stdin:1: a: --lowpass: 5 Hz is not below half the sampling rate of 10 Hz; rejected'
    saying '"rejected":{"no_rate":1}'
    keep 0 "$BIN/psa-filter" --lowpass 4.99Hz --order 1 <"$T/in"
}

@test "options that make no filter are refused with 2 and a sentence" {
    keep 2 "$BIN/psa-filter" </dev/null
    said 'psa-filter: no operation named; give --lowpass, --median, --resample or another of --help'
    keep 2 "$BIN/psa-filter" --lowpass 0 </dev/null
    saying 'must be above zero'
    keep 2 "$BIN/psa-filter" --bandpass 20:10 </dev/null
    saying "'20:10' is no band"
    keep 2 "$BIN/psa-filter" --bandstop 20 </dev/null
    saying "'20' is no band"
    keep 2 "$BIN/psa-filter" --lowpass 10parsec </dev/null
    saying "'10parsec' is no frequency"
    keep 2 "$BIN/psa-filter" --lowpass 10 --start hot </dev/null
    saying "'hot' is neither steady nor zero"
    for order in 0 -1 4.5 1000; do keep 2 "$BIN/psa-filter" --lowpass 10 --order "$order" </dev/null; done
    keep 2 "$BIN/psa-filter" --highpass 0.0001 --order 12 --rate 100kHz </dev/null
    keep 2 "$BIN/psa-filter" --lowpass nan --rate 100 </dev/null
    keep 2 "$BIN/psa-filter" --lowpass inf --rate 100 </dev/null
}

@test "settings that no operation heeds, and chains that cannot be, are refused with 2 and a sentence" {
    refused() { keep 2 "$BIN/psa-filter" "${@:2}" </dev/null && said "psa-filter: $1"; }
    refused '--order means nothing without a Butterworth filter' --scale 2 --order 3
    refused '--centred means nothing without --median or --hampel' --lowpass 2 --centred
    refused '--zero-phase means nothing without a recursive filter' --scale 2 --zero-phase
    refused '--suffix means nothing beside resampling: its records hold only results' --resample 10 --suffix _x
    refused '--suffix: an empty text makes no new name' --scale 2 --suffix ''
    refused '--lowpass works on whole blocks here, but --median before it delays samples; put it behind' --median 5 --centred --lowpass 5 --zero-phase
    refused "--magnitude: 'x' is not GLOB=NAME, such as 'accel_*=accel'" --magnitude x
    refused "--magnitude: 'x=' is not GLOB=NAME, such as 'accel_*=accel'" --magnitude x=
    refused "--clip: ':' is not LOW:HIGH, such as 0:100, 0: or :100" --clip :
    refused "--clip: '5:1' has its lower limit above the upper one" --clip 5:1
    refused "--ewma: '1.5' is no weight above 0 and at most 1; a time has a unit, like 500ms" --ewma 1.5
    refused "--ewma: '0' is no weight above 0 and at most 1; a time has a unit, like 500ms" --ewma 0
    refused "--fill: 'next' is none of none, hold and linear; the latter two may name a longest run: hold,5" --fill next
    refused "--fill: '0' is not within 1 to 100000" --fill linear,0
    refused "--notch: '10:5:3' is not HZ or HZ:Q, such as 50Hz:30" --notch 10:5:3
    refused "--scale: 'two' is no number" --scale two
    refused '--integrate beside --zero-phase would integrate twice, forward and backward; give it to a psa-filter of its own' --integrate 5 --zero-phase
    refused '--lowpass: 20 Hz is not below half the sampling rate of 25 Hz' --resample 25,linear --lowpass 20
    refused '--lowpass: 20 Hz is not below half the sampling rate of 25 Hz' --decimate 4 --lowpass 20 --rate 100
    refused "--magnitude: 'm=m': the new field's name matches its own glob" --magnitude m=m
    refused "--magnitude: '*=m': the new field's name matches its own glob" --magnitude '*=m'
    refused '--start zero means nothing without a recursive filter or --decimate that runs forward only' --scale 2 --start zero
    refused '--start zero means nothing without a recursive filter or --decimate that runs forward only' --lowpass 2 --zero-phase --start zero
    refused '--rate means nothing here: every operation takes each sample or each block by itself' --scale 2 --rate 3
    refused '--rate means nothing here: every operation takes each sample or each block by itself' --detrend linear --rate 3
    refused '--fields y means nothing here: no operation behind it heeds it' --scale 2 --fields x --magnitude a=b --fields y
    refused '--fields x means nothing here: no operation behind it heeds it' --fields x --fields y --scale 2
    refused '--fields x means nothing here: no operation behind it heeds it' --resample 2,mean --fields x
    refused '--order 3 means nothing here: no operation behind it heeds it' --lowpass 2 --order 2 --scale 3 --order 3
    refused '--suffix b beside --suffix a: it holds for all operations' --scale 2 --suffix a --suffix b
    refused '--centred means nothing to a --median of fewer than 3 samples' --median 2 --centred
    refused "--ewma: '.3' is no number; write 0.3" --ewma .3
    refused '--fields: an empty text names no field' --scale 2 --fields ''
    keep 0 "$BIN/psa-filter" --lowpass 5 --scale 2 --order 2 --fields x --rate 100 --start zero </dev/null
    keep 0 "$BIN/psa-filter" --scale 2 --rate 3 --max-gap 1s </dev/null
    refused '--scale: more than 32 operations' $(printf -- '--scale 2 %.0s' $(seq 33))
    keep 0 "$BIN/psa-filter" $(printf -- '--scale 2 %.0s' $(seq 32)) </dev/null
}

@test "an operation whose fields never come is named at the end" {
    record a '"x":1' 1 >"$T/in"
    keep 0 "$BIN/psa-filter" --fields x --scale 2 --fields 'acel_*' --offset 1 <"$T/in"
    said "psa-filter: stdin:1: --offset found nothing to work on: no number field matches acel_*"
    keep 0 "$BIN/psa-filter" --scale 2 --fields 'acel_*' <"$T/in"
    said "psa-filter: stdin:1: nothing was filtered: no number field matches --fields acel_*"
    keep 0 "$BIN/psa-filter" --magnitude 'q*=m' <"$T/in"
    said "psa-filter: stdin:1: nothing was filtered: no number field matches --magnitude q*=m"
    keep 0 "$BIN/psa-filter" --magnitude 'q*=m' --scale 2 --fields x <"$T/in"
    said "psa-filter: stdin:1: --magnitude q*=m found nothing to work on: no number field matches q*"
}

@test "only operations that need a rate wait for one" {
    for i in 1 2 3; do record a "\"x\":$i" "$i"; done >"$T/in"
    keep 0 "$BIN/psa-filter" --scale 2 --median 3 --stats <"$T/in"
    [ ! -s "$T/out" ] || [ "$(wc -l <"$T/err")" -eq 1 ] # nothing but --stats is said
    printf '%s\n' '{"fields":{"x":1}}' >"$T/in"
    keep 0 "$BIN/psa-filter" --scale 2 <"$T/in"
    printf '%s\n' '{"fields":{"x":2}}' | same "$T/out"
}

@test "a state in which an operation's places or counts lie outside its arrays is refused" {
    for i in 1 2 3; do record a "\"x\":$([ "$i" = 1 ] && echo 1 || echo null)" "$i"; done >"$T/in"
    keep 0 "$BIN/psa-filter" --fill linear,3 --state "$T/state" <"$T/in"
    [ ! -s "$T/err" ] && [ "$(wc -l <"$T/out")" -eq 1 ]
    grep -q '"k":\[1,2,2,2,3,0\]' "$T/state"
    for k in '1,2,9,2,3,0' '1,3,2,2,3,0' '1,-1,2,2,3,0' '1,2,-1,2,3,0' '1,2,2,2,3' '1,2,2,2,3,0,0' '1,2,2.5,2,3,0'; do
        sed "s/\"k\":\[1,2,2,2,3,0\]/\"k\":[$k]/" "$T/state" >"$T/bad"
        keep 2 "$BIN/psa-filter" --fill linear,3 --state "$T/bad" </dev/null
        saying 'the state is damaged'
    done
    # One whose operations hold more samples than it has records does no harm: what follows is saved and loaded as ever.
    sed 's/"held":\[".*"\],"done_ns"/"held":[],"done_ns"/' "$T/state" >"$T/odd"
    ! cmp -s "$T/state" "$T/odd"
    for i in 4 5; do
        record a "\"x\":$i" "$i" >"$T/in"
        keep 0 "$BIN/psa-filter" --fill linear,3 --state "$T/odd" <"$T/in"
        [ "$(wc -l <"$T/out")" -eq 1 ]
    done
}

@test "a field that turns into a string is rejected, and the records around it are as if it had not been" {
    { record a '"x":1' 1 && record a '"x":2' 2 && record a '"x":3' 4; } >"$T/good"
    { record a '"x":1' 1 && record a '"x":2' 2 && record a '"x":"hot"' 3 && record a '"x":3' 4; } >"$T/in"
    keep 0 "$BIN/psa-filter" --lowpass 10 --rate 100 <"$T/good"
    mv "$T/out" "$T/want"
    keep 0 "$BIN/psa-filter" --lowpass 10 --rate 100 --rejects "$T/rejects" --stats <"$T/in"
    cmp "$T/out" "$T/want"
    said 'psa-filter: stdin:3: fields.x is not a number; skipped'
    saying '"rejected":{"type":1}'
    record a '"x":"hot"' 3 | same "$T/rejects"
}

@test "a field that is a string from the first record passes, as do booleans and objects" {
    record a '"x":0,"s":"on","b":true,"o":{"k":[1]}' 1 >"$T/in"
    keep 0 "$BIN/psa-filter" --lowpass 10 --rate 100 <"$T/in"
    same "$T/out" <"$T/in"
    [ ! -s "$T/err" ]
}

@test "a field that the first record lacked passes untouched and is reported once; one that is missing is no fault" {
    { record a '"x":1' 1 && record a '"x":1,"new":1.50' 2 && record a '"new":2.50,"x":1' 3 && record a '"new":7' 4 &&
        record a '"x":1' 5; } >"$T/in"
    keep 0 "$BIN/psa-filter" --lowpass 10 --rate 100 <"$T/in"
    grep -q '"new":1.50' "$T/out"
    grep -q '"new":2.50' "$T/out"
    [ "$(wc -l <"$T/out")" -eq 5 ]
    said 'psa-filter: stdin:2: a: fields.new was not in the first record; it passes untouched'
    [ "$(wc -l <"$T/err")" -eq 1 ]
}

@test "--fields: globs choose, the others pass byte for byte" {
    for i in 1 2 3; do record a "\"accel_x\":$i.10,\"accel_y\":$i.20,\"gyro_x\":$i.30,\"t\":$i.40" "$i"; done >"$T/in"
    keep 0 "$BIN/psa-filter" --highpass 10 --rate 100 --fields 'accel_*,?' <"$T/in"
    for i in 1 2 3; do grep -qF "\"gyro_x\":$i.30" "$T/out"; done
    run grep -c -e '"accel_.":[123]\.[12]0' -e '"t":[123]\.40' "$T/out"
    [ "$output" -eq 0 ]
}

@test "late records are dropped and counted, equal times are fine, keys do not delay each other" {
    { record a '"x":1' 10 && record b '"x":1' 3 && record a '"x":9' 9 && record a '"x":1' 10 && record b '"x":1' 4; } >"$T/in"
    keep 0 "$BIN/psa-filter" --lowpass 10 --rate 100 --stats <"$T/in"
    [ "$(wc -l <"$T/out")" -eq 4 ]
    said 'psa-filter: stdin:3: a: 1 ns older than the newest record; dropped'
    saying '"dropped":{"late":1}'
    accounts "$T/err"
}

@test "a record without time is filtered when the rate is told" {
    for i in 1 2 3; do printf '{"fields":{"x":%d}}\n' "$i"; done >"$T/in"
    keep 0 "$BIN/psa-filter" --lowpass 10 --rate 100 <"$T/in"
    [ "$(wc -l <"$T/out")" -eq 3 ]
}

@test "a rejected record neither moves its stream's clock nor teaches it its fields" {
    { record a '"x":"on"' 0 '"rate_hz":100' && record a '"x":1' 1 '"rate_hz":100' && record a '"x":"hot"' 9000 '"rate_hz":100' &&
        record a '"x":1' 2 '"rate_hz":100'; } >"$T/in"
    keep 0 "$BIN/psa-filter" --lowpass 1Hz --stats <"$T/in"
    [ "$(wc -l <"$T/out")" -eq 3 ]
    saying '"passed":3,'
    saying '"rejected":{"type":1},"dropped":{},'
}

@test "another rate_hz designs the filter anew and says so; a rate that it cannot have is refused" {
    { record a '"x":1' 1 '"rate_hz":100' && record a '"x":2' 2 '"rate_hz":100.5' && record a '"x":5' 3 '"rate_hz":50' &&
        record a '"x":6' 4 '"rate_hz":15'; } >"$T/in"
    keep 0 "$BIN/psa-filter" --lowpass 10Hz --stats <"$T/in"
    said 'psa-filter: stdin:3: a: the sampling rate changed from 100 to 50 Hz; the filter starts anew'
    saying 'psa-filter: stdin:4: a: --lowpass: 10 Hz is not below half the sampling rate of 15 Hz; rejected'
    [ "$(sed -n 3p "$T/out" | jq .fields.x)" = 5 ] # from its steady state
    saying '"noted":{"rate_changed":1}'
}

@test "records that wait for a rate when their stream is forgotten are accounted for" {
    for i in 1 2 3 4; do record a '"x":1' "$i" && record b '"x":1' "$i"; done >"$T/in"
    keep 0 "$BIN/psa-filter" --lowpass 1Hz --max-keys 1 --stats <"$T/in"
    saying '"dropped":{"evicted":7}'
    accounts "$T/err"
}

@test "a value that leaves the range of a double restarts its filter, and no later value is lost" {
    { for i in 1 2 3; do record a '"x":1' "$i"; done && record a '"x":1.7e308' 4 && record a '"x":-1.7e308' 5 &&
        for i in 6 7 8; do record a '"x":1' "$i"; done; } >"$T/in"
    keep 0 "$BIN/psa-filter" --highpass 1Hz --rate 100Hz --stats <"$T/in"
    saying 'fields.x left the range of a double; its filter starts anew'
    [ "$(tail -n 1 "$T/out" | jq '.fields.x != null')" = true ]
    saying '"noted":{"overflow":'
}

@test "limits: what a block may become, what may wait, what an operation may remember" {
    "$PY" -c 'print("""{"fields":{"x":[%s]},"timestamp_ns":1000000000,"rate_hz":1}""" % ",".join(["1"] * 20000))' >"$T/in"
    keep 0 "$BIN/psa-filter" --resample 10000,linear --stats <"$T/in"
    said 'psa-filter: stdin:1: 20000 samples would become 200000000 at the new rate, in one record; rejected'
    saying '"rejected":{"too_long":1}'
    keep 0 "$BIN/psa-filter" --resample 10,linear <"$T/in"
    [ "$(jq -s '[.[].fields.x | length] | add' "$T/out")" -eq 199991 ]
    { record a "\"x\":[$(seq -s, 1 60)]" 1 '"rate_hz":1000' &&
        awk -v line="$(record a '"x":[]' 100000000 '"rate_hz":1000')" 'BEGIN { for (i = 0; i < 1200; i++) print line }'; } >"$T/in"
    keep 0 "$BIN/psa-filter" --median 101 --centred --stats <"$T/in"
    said 'psa-filter: stdin:1001: more than 1000 blocks wait, and this one holds no sample; rejected'
    saying '"passed":1000,'
    saying '"rejected":{"blocks":201}'
    "$PY" -c 'print("""{"fields":{%s},"timestamp_ns":1}""" % ",".join("\"x%d\":1" % i for i in range(900)))' >"$T/in"
    keep 2 "$BIN/psa-filter" --fill linear,100000 <"$T/in"
    said 'psa-filter: --fill: too many samples of 900 fields to remember; give a shorter length, or --fields'
}
