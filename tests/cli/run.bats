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
