#!/usr/bin/env bats
# Conventions of every filter: help, version, refused options, units.

load helpers
setup() { psa_setup; }
FILTERS='psa-filter psa-window psa-features psa-score psa-alert psa-run psa-eval'

@test "--help and --version on stdout with 0, wherever they stand; a closed stdout is an error" {
    for name in $FILTERS; do
        keep 0 "$BIN/$name" --help
        grep -q "^usage: $name " "$T/out"
        cp "$T/out" "$T/help"
        keep 0 "$BIN/$name" -h
        cmp "$T/out" "$T/help"
        keep 0 "$BIN/$name" --version
        grep -qx "$name (psa) [0-9.]*" "$T/out"
        keep 0 "$BIN/$name" -V
        [ ! -s "$T/err" ]
        status=0
        "$BIN/$name" --help >/dev/full 2>"$T/err" || status=$?
        [ "$status" -eq 1 ]
        saying "$name: stdout: cannot write: No space left on device"
    done
}

@test "an option that does not exist, one without its value: 2 and a sentence" {
    for name in $FILTERS; do
        keep 2 "$BIN/$name" --no-such-option </dev/null
        said "$name: there is no option '--no-such-option'; see --help"
        [ ! -s "$T/out" ]
        keep 2 "$BIN/$name" --max-line </dev/null
        said "$name: option '--max-line' needs a value; see --help"
    done
    keep 2 "$BIN/psa-filter" --strict=yes </dev/null
}

@test "numbers with units are checked" {
    for value in -1 0 x 1.5 1e3 99999999999999999999 ''; do keep 2 "$BIN/psa-window" --length 1 --max-keys "$value" </dev/null; done
    for value in x 1x 5 -1MiB 2TiB ''; do keep 2 "$BIN/psa-window" --length 1 --max-line "$value" </dev/null; done
    for value in x 1w s 1e400s nan; do keep 2 "$BIN/psa-window" --length 1s --max-gap "$value" </dev/null; done
    for value in 1s 250ms 1.5s 5m 2h 1d 10us 100ns 1e3ms; do keep 0 "$BIN/psa-window" --length 1s --max-gap "$value" </dev/null; done
    for value in 64KiB 1MiB 1kB 100 100B 1e3; do keep 0 "$BIN/psa-window" --length 1s --max-line "$value" </dev/null; done
}

@test "every option that --help names is taken, and takes a value exactly if --help says so" {
    for name in psa-filter psa-window psa-features psa-score psa-alert psa-eval; do
        "$BIN/$name" --help >"$T/help"
        sed -n 's/^ \{2,6\}\(-.,\)\?  *\?--\([a-z-]*\)\( [A-Z].*\)\?.*/\2/p' "$T/help" | sort >"$T/named"
        [ "$(wc -l <"$T/named")" -gt 12 ]
        while read -r option; do
            status=0
            "$BIN/$name" "--$option" </dev/null >"$T/out" 2>"$T/err" || status=$?
            if grep -q "there is no option" "$T/err"; then
                cat "$T/err" >&2
                return 1
            fi
        done <"$T/named"
    done
}

@test "the same locale or another, the same bytes" {
    for i in $(seq 20); do record a "\"x\":$i.5" "${i}000000"; done >"$T/in"
    keep 0 env LC_ALL=C "$BIN/psa-filter" --lowpass 10.5Hz --rate 0.1kHz <"$T/in"
    cp "$T/out" "$T/want"
    keep 0 env LOCPATH="$PWD/build/locale" LC_ALL=de_DE.UTF-8 "$BIN/psa-filter" --lowpass 10.5Hz --rate 0.1kHz <"$T/in"
    same "$T/out" <"$T/want"
}

@test "an option that would mean nothing is refused, not ignored" {
    keep 2 "$BIN/psa-features" --stride 1s </dev/null
    said 'psa-features: --stride means nothing without --length'
    keep 2 "$BIN/psa-features" --rolling mean@3 --features rms </dev/null
    said 'psa-features: --features means nothing beside --rolling'
    keep 2 "$BIN/psa-score" --model x --warmup 5 </dev/null
    saying 'psa-score: --warmup means nothing without --ecod or --dynamic-pca'
    keep 2 "$BIN/psa-window" --length 5 --state-every 1s </dev/null
    said 'psa-window: --state-every means nothing without --state'
    keep 2 "$BIN/psa-run" "psa-window --length 5 --state $T/s | psa-features | psa-alert --state $T/s" </dev/null
    saying 'is given to two stages'
}

@test "a state knows options by their value, not by their spelling" {
    record a '"x":1' 1 >"$T/in"
    keep 0 "$BIN/psa-window" --length 1s --state "$T/state" <"$T/in"
    record a '"x":2' 2 >"$T/in"
    keep 0 "$BIN/psa-window" --length 1000ms --state "$T/state" <"$T/in"
}

@test "--key sees a field as it is now, in a pipe and fused" {
    for i in 1 2 3; do record a "\"m\":$i" "$i"; done >"$T/in"
    keep 0 "$BIN/psa-features" --rolling mean@1 <"$T/in"
    mv "$T/out" "$T/half"
    keep 0 "$BIN/psa-score" --ecod --key fields.m_mean_1 --stats <"$T/half"
    mv "$T/out" "$T/piped"
    saying '"keys":3'
    keep 0 "$BIN/psa-run" 'psa-features --rolling mean@1 | psa-score --ecod --key fields.m_mean_1' <"$T/in"
    cmp "$T/out" "$T/piped"
}

@test "--state-every saves also while input never waits" {
    mkfifo "$T/fifo"
    "$BIN/psa-sim" --duration 0 --no-labels >"$T/fifo" 2>/dev/null &
    source=$!
    "$BIN/psa-window" --length 1s --state "$T/state" --state-every 50ms <"$T/fifo" >/dev/null 2>&1 &
    filter=$!
    until [ -s "$T/state" ]; do kill -0 "$filter"; done # busy throughout: psa-sim does not wait either
    kill -KILL "$filter" "$source"
    wait "$filter" "$source" || true
    grep -q '"psa_state":1' "$T/state"
}

@test "a file is replaced whole; a FIFO is written to and a link stays a link" {
    mkfifo "$T/fifo"
    cat "$T/fifo" >"$T/read" &
    keep 0 "$BIN/psa-filter" --lowpass 1Hz --stats-file "$T/fifo" </dev/null
    wait $!
    [ -p "$T/fifo" ]
    jq -e '.psa_stats == "psa-filter"' "$T/read"
    ln -s target "$T/link"
    echo old >"$T/target"
    keep 0 "$BIN/psa-filter" --lowpass 1Hz --stats-file "$T/link" </dev/null
    [ -L "$T/link" ]
    jq -e '.psa_stats == "psa-filter"' "$T/target"
}

@test "the last two checkpoints are kept, over plain restarts and over restores" {
    for i in 2 4 6; do
        printf '{"psa":{"checkpoint":"%s"}}\n' "$i" "$((i + 1))" >"$T/in"
        keep 0 "$BIN/psa-alert" --state "$T/s" <"$T/in"
        [ "$(cd "$T" && echo s.*)" = "s.$i s.$((i + 1))" ]
    done
    for i in 7 8 9; do
        printf '{"psa":{"restore":"%s"}}\n{"psa":{"checkpoint":"%s"}}\n' "$i" "$((i + 1))" >"$T/in"
        keep 0 "$BIN/psa-alert" --state "$T/s" <"$T/in"
        [ -e "$T/s.$i" ] && [ -e "$T/s.$((i + 1))" ] && [ ! -e "$T/s.$((i - 1))" ]
    done
    # What was saved behind the state that is restored belongs to a future that did not come.
    touch "$T/s.11" "$T/s.200" "$T/s.x" "$T/s.9a" "$T/st.300"
    printf '{"psa":{"restore":"9"}}\n' >"$T/in"
    keep 0 "$BIN/psa-alert" --state "$T/s" <"$T/in"
    [ "$(cd "$T" && echo s.* st.*)" = 's.9 s.9a s.x st.300' ]
}
