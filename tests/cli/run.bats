#!/usr/bin/env bats
# psa-run: how a pipeline is written, and what is refused. That its bytes are a pipe's is tested in tests/chain.

load helpers
setup() {
    psa_setup
    for i in 1 2 3 4; do record a "\"x y\":$i,\"z\":$i" "$i"; done >"$T/in"
}

@test "words, quotes and backslashes are the shell's own" {
    keep 0 "$BIN/psa-filter" --lowpass 1 --rate 9 --fields 'x y' "$T/in"
    cp "$T/out" "$T/want"
    for pipeline in "psa-filter --lowpass 1 --rate 9 --fields 'x y'" 'psa-filter --lowpass 1 --rate 9 --fields "x y"' \
        'psa-filter --lowpass 1 --rate 9 --fields x\ y' '  psa-filter
        --lowpass=1 --rate	9 --fields "x"'"' '"'y  ' '/usr/bin/psa-filter --lowpass 1 --rate 9 --fi"elds" x"\ "y' \
        "psa-filter --lowpass 1 --rate 9 --fields 'x y'|psa-filter --lowpass 1 --rate 9 --fields 'none|x'"; do
        keep 0 "$BIN/psa-run" "$pipeline" "$T/in"
        [ "$(jq -c '.fields.z' "$T/out" | tr -d '\n')" = 1234 ]
        case $pipeline in *\\\ y*y | *elds*) ;; *) same "$T/out" <"$T/want" ;; esac
    done
}

@test "bad pipelines are refused with 2 and a sentence" {
    keep 2 "$BIN/psa-run"
    saying 'psa-run: no pipeline given; usage: psa-run'
    for pipeline in '' '|' 'psa-alert |' '| psa-alert' 'psa-alert || psa-alert'; do
        keep 2 "$BIN/psa-run" "$pipeline" "$T/in"
        said 'psa-run: the pipeline has an empty command'
    done
    keep 2 "$BIN/psa-run" "psa-alert 'x" "$T/in"
    saying 'open quote'
    keep 2 "$BIN/psa-run" 'psa-alert | grep x' "$T/in"
    saying "'grep' cannot be fused"
    keep 2 "$BIN/psa-run" "psa-alert $T/in"
    saying 'name files behind the pipeline'
    keep 2 "$BIN/psa-run" 'psa-alert --help'
    saying 'ask psa-alert itself'
    keep 2 "$BIN/psa-run" 'psa-window --length 0' "$T/in"
    saying "psa-window: --length: '0' must be above zero"
    keep 2 "$BIN/psa-run" "$(for _ in $(seq 33); do printf 'psa-alert|'; done)psa-alert" "$T/in"
    saying 'more than 32 stages'
}

@test "a stage that cannot start says so with its own name and leaves nothing behind" {
    keep 2 "$BIN/psa-run" "psa-window --length 2 --state $T/w | psa-score --model $T/none" "$T/in"
    saying "$T/none"
    [ ! -e "$T/w" ]
}

@test "messages of a fused stage speak with its name and the line it saw" {
    keep 0 "$BIN/psa-run" 'psa-filter --lowpass 1 --rate 9 | psa-features' "$T/in"
    said 'psa-features: stdin:3: no field is an array; put psa-window before it, or give --length or --rolling; rejected'
}

@test "each stage has its own first ten messages of a cause, and its own total, as in a pipe" {
    ns=0
    for i in $(seq 60); do # the rate changes every fourth record, and so between the stages' lines
        ns=$((ns + (i / 4 % 2 ? 10000000 : 20000000)))
        record a "\"x\":$i" "$ns" '"rate_hz":'$((i / 4 % 2 ? 100 : 50))
    done >"$T/changes"
    "$BIN/psa-filter" --lowpass 10 <"$T/changes" >"$T/1" 2>"$T/1.err"
    "$BIN/psa-filter" --lowpass 5 <"$T/1" >"$T/2" 2>"$T/2.err"
    "$BIN/psa-features" --features rms <"$T/2" >"$T/3" 2>"$T/3.err"
    for stage in 1 2 3; do [ "$(wc -l <"$T/$stage.err")" -eq 11 ]; done # ten and the total
    keep 0 "$BIN/psa-run" 'psa-filter --lowpass 10 | psa-filter --lowpass 5 | psa-features --features rms' <"$T/changes"
    same "$T/out" <"$T/3"
    sort "$T/1.err" "$T/2.err" "$T/3.err" >"$T/want"
    sort "$T/err" | diff - "$T/want"
    [ "$(grep -c '^psa-filter: rate_changed: 15 such messages in all (the first 10 were shown)$' "$T/err")" -eq 2 ]
}

@test "a run that never began has no accounting, one that failed on the way has" {
    for options in '--lowpass 7 --rate 9' "--lowpass 1 --rate 9 --state $T/none/state"; do
        # shellcheck disable=SC2086
        keep 2 "$BIN/psa-filter" $options --stats --stats-file "$T/stats" "$T/in"
        [ "$(grep -c psa_stats "$T/err")" -eq 0 ]
        [ ! -e "$T/stats" ]
        keep 2 "$BIN/psa-run" "psa-alert --stats | psa-filter $options --stats" "$T/in"
        [ "$(grep -c psa_stats "$T/err")" -eq 0 ]
    done
    keep 2 "$BIN/psa-filter" --lowpass 1 --rate 9 --stats "$T/none"
    [ "$(wc -l <"$T/err")" -eq 1 ]
    saying 'cannot open'
    keep 2 "$BIN/psa-replay" --separator ab --stats "$T/in"
    [ "$(wc -l <"$T/err")" -eq 1 ]
    keep 2 "$BIN/psa-filter" --lowpass 1 --rate 9 --stats "$T/in" "$T/none"
    saying '{"psa_stats":"psa-filter","in":4,'
}
