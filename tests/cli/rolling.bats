#!/usr/bin/env bats
# psa-features --rolling: every statistic by count and by time against brute force, states, limits, what is refused.

load helpers
setup() { psa_setup; }
check() { "$PY" tests/cli/rolling_check.py "$@"; }

@test "every statistic by count: offsets, ties, jumps of scale, nulls, late records, several keys" { check by_count; }
@test "every statistic by time, and --max-samples" { check by_time; }
@test "repeated options, shared lengths; each statistic alone as in company" { check groups; }
@test "the numbers of pandas" {
    "$PY" -c 'import pandas' 2>/dev/null || skip 'python3-pandas is missing'
    check pandas
}
@test "cut anywhere and resumed gives the same bytes" { check resumed; }
@test "a state that somebody has been at is refused or whole" { check hostile; }

@test "a window by time is half-open, and full once the stream is as old" {
    { record a '"x":1' 1000000000 && record a '"x":2' 1500000000 && record a '"x":3' 1999999999 &&
        record a '"x":4' 2000000000 && record a '"x":null' 2499999999 && record a '"x":null' 2500000000 &&
        record a '"x":null' 3000000000; } >"$T/in"
    keep 0 "$BIN/psa-features" --rolling min,mean@1s --stats <"$T/in"
    { record a '"x_min_1s":null,"x_mean_1s":null' 1000000000 && record a '"x_min_1s":null,"x_mean_1s":null' 1500000000 &&
        record a '"x_min_1s":null,"x_mean_1s":null' 1999999999 && record a '"x_min_1s":2,"x_mean_1s":3' 2000000000 &&
        record a '"x_min_1s":2,"x_mean_1s":3' 2499999999 && record a '"x_min_1s":3,"x_mean_1s":3.5' 2500000000 &&
        record a '"x_min_1s":null,"x_mean_1s":null' 3000000000; } | same "$T/out"
    saying '"noted":{"filling":6,"empty_window":2}'
}

@test "names: the field, the statistic, the length as typed; --keep; escapes" {
    printf '{"fields":{"a\\"b":1,"s":"on","x_mean_1":7},"timestamp_ns":1}\n' >"$T/in"
    keep 0 "$BIN/psa-features" --rolling q99.9,mean@1 --rolling ewma@0.5s --keep <"$T/in"
    printf '%s\n' '{"fields":{"a\"b":1,"s":"on","x_mean_1":7,"a\"b_q99.9_1":1,"a\"b_mean_1":1,"a\"b_ewma_0.5s":1,"x_mean_1_q99.9_1":7,"x_mean_1_mean_1":7,"x_mean_1_ewma_0.5s":7},"timestamp_ns":1}' | same "$T/out"
}

@test "numbers at the far ends of a double do not stop a stream" {
    { record a '"x":1.7e308' 1 && record a '"x":-1.7e308' 2 && record a '"x":1' 3 && record a '"x":2' 4 && record a '"x":4' 5; } >"$T/in"
    keep 0 "$BIN/psa-features" --rolling mean,std,rms,slope,zscore,median,max@2 --rolling ewma@3 --stats <"$T/in"
    [ "$(sed -n 2p "$T/out")" = "$(record a '"x_mean_2":null,"x_std_2":null,"x_rms_2":null,"x_slope_2":null,"x_zscore_2":null,"x_median_2":0,"x_max_2":1.7e+308,"x_ewma_3":0' 2)" ]
    [ "$(sed -n 5p "$T/out" | jq -c '.fields | del(.x_ewma_3, .x_rms_2)')" = '{"x_mean_2":3,"x_std_2":1,"x_slope_2":2,"x_zscore_2":1,"x_median_2":3,"x_max_2":4}' ]
    saying '"undefined":'
}

@test "by time a record needs a time; by count none" {
    { printf '{"fields":{"x":1}}\n' && printf '{"fields":{"x":2},"timestamp_ns":5}\n'; } >"$T/in"
    keep 3 "$BIN/psa-features" --rolling max@1,1ms --strict --stats <"$T/in"
    said 'psa-features: stdin:1: no timestamp_ns for a --rolling length by time; rejected'
    saying '"rejected":{"no_time":1}'
    [ "$(wc -l <"$T/out")" -eq 1 ]
    keep 0 "$BIN/psa-features" --rolling max@1 --strict <"$T/in"
    [ "$(wc -l <"$T/out")" -eq 2 ]
}

@test "more samples than --max-samples: the oldest are left out, said once a cause and noted" {
    for i in 1 2 3 4 5 6; do record a "\"x\":$i" "$i"; done >"$T/in"
    keep 0 "$BIN/psa-features" --rolling min@3ns --max-samples 2 --stats <"$T/in"
    [ "$(tail -n 1 "$T/out")" = "$(record a '"x_min_3ns":5' 6)" ]
    said 'psa-features: stdin:3: a rolling window holds more than --max-samples 2; its oldest samples are left out'
    saying '"noted":{"filling":3,"max_samples":4}'
}

@test "what means nothing is refused with 2 and a sentence" {
    refuses() {
        keep 2 "$BIN/psa-features" "${@:2}" </dev/null
        saying "$1"
    }
    refuses "'mean' has no lengths; write mean,std@10,50" --rolling mean
    refuses "there is no statistic 'mode'; there are mean, std, var, min, max, median, q05 (a quantile in per cent), rms, slope, ewma and zscore" --rolling mode@5
    for none in q q100.1 q-1 q5. q.5 q1e1 q1.2.3 Mean '' 'mean,' ',mean'; do
        refuses 'there is no statistic' --rolling "$none@5"
    done
    for length in '' 0 -5 5x 0s -1s '5,' ',5' five 1e3; do
        refuses -- --rolling "mean@$length"
        saying --rolling
    done
    refuses '100000001 is more than 100000000 samples' --rolling mean@100000001
    refuses 'mean@5 stands there twice' --rolling mean@5 --rolling std,mean@7,5
    refuses 'mean@5 stands there twice' --rolling mean,mean@5
    refuses 'slope@1 would always be null; it needs 2 samples' --rolling slope@1
    refuses 'zscore@1 would always be null; it needs 2 samples' --rolling zscore@1
    refuses 'means nothing' --rolling mean@5 --features rms
    refuses '--length' --rolling mean@5 --length 1s
    refuses 'more than 64 lengths' --rolling "mean@$(seq -s, 1 65)"
    refuses 'more than 256 statistics, each length counted' --rolling "mean,std,min,max,rms@$(seq -s, 2 60)"
    keep 0 "$BIN/psa-features" --rolling "mean,std,min,max@$(seq -s, 2 65)" </dev/null
}

@test "long lengths cost no memory before their samples come" {
    ! grep -q __asan_init "$BIN/psa-features" || skip "AddressSanitizer takes all of the address space"
    record a '"x":1' 1 >"$T/in"
    (ulimit -v 300000 && keep 0 "$BIN/psa-features" --rolling mean,median,slope@100000000 --rolling min@9d <"$T/in")
}
