#!/bin/bash
# seeds.sh CORPUS - makes the starting corpus of every fuzz target under CORPUS/TARGET, from the texts the tests have.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
corpus=$1
bin=${PSA_BIN:-bin}

seed() {
    mkdir -p "$corpus/$1"
    cat >"$corpus/$1/seed-$2"
}

# ---- decode: a byte of options, then lines. Two readings of one shape, so that the second is predicted. ----
reading='{"sensor_type":"accel_gyro","sensor_model":"MPU6050","sensor_id":"press-07","fields":{"accel_x":0.123,"accel_y":-0.012,"gyro_z":0},"timestamp_ns":1710000000000000000}'
next=${reading/0.123/-1.5e3}
for options in 0 1 2 3; do
    printf '%s%s\n%s\n' "$options" "$reading" "${next/000}" | seed fuzz_decode "readings-$options"
    printf '%s{"timestamp":1710000000,"sensor_id":"s","t":22.1,"up":true,"p": 5}\n{"timestamp":1710000001,"sensor_id":"s","t":null,"up":true,"p": 5}\n' \
        "$options" | seed fuzz_decode "flat-$options"
    printf '%s{"fields":{"x":[1,null,2.5],"y":[]},"rate_hz":100}\n{"fields":{"x":[3,1e999],"y":[0]},"rate_hz":1e2} \n' \
        "$options" | seed fuzz_decode "blocks-$options"
    printf '%s{"a":1,"a":2,"fields":{"x":1,"\\u0078":2},"fields":{"y":"s"}}\n{"psa":{"checkpoint":"42"}}\n{"psa":{"heartbeat":17}}\n\n[1]\n{"timestamp_ns":1.5}\n' \
        "$options" | seed fuzz_decode "odd-$options"
    printf '%s{"name":"cpu","tags":{"host":"a\\/b\xc3\xa9"},"fields":{"u":1.50},"timestamp":"2024-03-09T16:00:00.5Z"}\n' \
        "$options" | seed fuzz_decode "telegraf-$options"
done

# ---- number ----
i=0
for number in 0 -0 1.10 -1.5e3 1e999 2.4703282292062328e-324 9007199254740993 1.7976931348623159e308 0.1 123456789012345678901234567890; do
    printf '%s' "$number" | seed fuzz_number "$((i += 1))"
done

# ---- model: a small one of every kind, its reference thinned out; the target mends the id ----
printf '%s' '{"psa_model":2,"kind":"isolation-forest","id":"iforest-0000000000000000","features":["a","b"],"scaler":{"kind":"standard","mean":[0,1],"scale":[1,2]},"contamination":0.05,"threshold":-0.5,"trained":{"records":4,"from_ns":1,"to_ns":2,"ranges":[[-1,1],[0,2]]},"seed":1,"reference":{"quantiles":[[0,0.3],[0.5,0.4],[1,0.6]],"tail_start":0.5,"tail_scale":0.05},"parameters":{"max_samples":4,"trees":[{"children_left":[1,-1,-1],"children_right":[2,-1,-1],"feature":[0,-2,-2],"threshold":[0.5,-2,-2],"n_node_samples":[4,3,1]}]}}' |
    seed fuzz_model small
for kind in ecod pca mahalanobis 'dynamic-pca --lags 2,3'; do
    { [ -x "$bin/psa-train" ] && command -v jq >/dev/null; } || break
    mkdir -p "$corpus"
    for i in $(seq 32); do
        echo "{\"fields\":{\"a\":$((i * i % 7)),\"b\":$((i * 5 % 11)).5},\"timestamp_ns\":$i}"
    done >"$corpus/rows"
    # shellcheck disable=SC2086
    "$bin/psa-train" $kind "$corpus/rows" >"$corpus/model" 2>/dev/null &&
        jq -c '.reference.quantiles |= [.[0], .[50], .[104]]' "$corpus/model" | seed fuzz_model "${kind%% *}"
    rm -f "$corpus/rows" "$corpus/model"
done

# ---- state: the choice of a configuration, then the state that the program itself saves. The list is fuzz_state.c's. ----
readings() {
    local i
    for i in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19; do
        printf '{"sensor_id":"a","fields":{"x":0.%s,"y":%s},"timestamp_ns":%s0000000}\n' "$i" "$((i % 3))" "$((100 + i))"
        printf '{"sensor_id":"b","fields":{"x":%s},"timestamp_ns":%s0000001}\n' "$i" "$((100 + i))"
    done
}
save_state() {
    local choice=$1 file=$corpus/state-$1
    shift
    [ -x "$bin/$1" ] || return 0
    mkdir -p "$corpus"
    rm -f "$file"
    readings | "$bin/$1" "${@:2}" --state "$file" >/dev/null 2>&1 || return 0
    # The stage's own value: behind the member named state, without the file's closing brace.
    { printf '%s' "$choice"; sed -e 's/^.*"state"://' -e '$s/}[^}]*$//' "$file"; } | seed fuzz_state "$choice"
    rm -f "$file"
}
save_state 0 psa-filter --lowpass 10Hz
save_state 1 psa-window --length 4 --stride 2
save_state 2 psa-window --length 100ms --stride 30ms
save_state 3 psa-features --rolling mean,std@3,5
save_state 4 psa-features --length 4 --stride 2
save_state 5 psa-score --ecod --warmup 4 --horizon 6
save_state 6 psa-alert --cooldown 50ms
save_state 7 psa-window --session 20ms --max-samples 8
save_state 8 psa-features --rolling mean,slope,min,max,q05,ewma,zscore@5,40ms --max-samples 8
save_state 9 psa-filter --fill linear,4 --median 5 --centred --magnitude 'accel_*=m' --hampel 4 --difference
save_state ':' psa-filter --hampel 5 --kalman velocity,1,1 --resample 40 --rate 100 --fill hold --ewma 50ms
save_state ';' psa-filter --detrend linear,5 --kalman level,1,1 --resample 30,mean --decimate 2 --median 3
save_state '<' psa-filter --decimate 2,fir --resample 70,linear --resample 50,previous
save_state '=' psa-alert --silent 50ms --cooldown 100ms --expect c,t/d
# With --when, which makes events of these readings; the target's own has none, for compiling jq takes its time.
mkdir -p "$corpus/evidence"
save_state '>' psa-alert --raise 2/3 --cooldown 50ms --when '.fields.x > 0.3' --evidence "$corpus/evidence" --evidence-before 3 --evidence-after 2 --evidence-max 2
rm -rf "$corpus/evidence"
save_state '?' psa-score --dynamic-pca --lags 2 --warmup 12 --refit 3 --reference 12 --guard 2 --rest 3
save_state '@' psa-score --ewma --warmup 4 --false-alarms 3/1s --off 0.5
save_state A psa-score --cusum --warmup 4 --off 1
save_state B psa-score --half-space-trees --trees 2 --depth 3 --samples 4 --warmup 4
save_state C psa-score --conformal --warmup 4 --horizon 12 --shingle 3 --smooth 2 --nearest 2 --season 100ms
save_state D psa-score --ecod --warmup 4 --horizon 6 --freeze --rest 3 --false-alarms 3/1s
mkdir -p "$corpus"
printf 'g --ecod --warmup 4 --horizon 6 --hold 1s a:x,y b:x\nh --cusum --warmup 4 b:x a:y\n' >"$corpus/groups"
save_state E psa-score --groups "$corpus/groups"
rm -f "$corpus/groups"

# ---- spool: a byte of choices, then cursor, dead letters and segments, a form feed behind each; blank CRCs are mended ----
cursor='psa-spool-cursor 1 done=2 checkpoint=7 missing=0 damaged=1 expired=0 ########'
for choices in '#' '3' '+' 'O' '0'; do
    printf '%s%s\n\f2 5 ######## "no" {"x":2}\n9 - ######## "" 9\n\f1 1000 ######## {"x":1}\n2 - ######## {"x":2}\n3 1002 ######## a\n\f4 1003 ######## b\n\f8 9 ######## c\n' \
        "$choices" "$cursor" | seed fuzz_spool "good-$choices"
    printf '%sx\n\f2 5 ######## "no" {"x":2}\nbad\n9 - ######## "" 9\n9\f1 1 ######## a\n3 1 ######## b\n\n2 x ######## c\n3 1 ######## again\n5 1 ######## d\n5 1 ###\f4 1 ######## e\n4 1 11111111 f\f8 9 ######## g\n8' \
        "$choices" | seed fuzz_spool "bad-$choices"
    printf '%s%s' "$choices" "${cursor/done=2/done=18446744073709551614}" | seed fuzz_spool "last-$choices"
done
