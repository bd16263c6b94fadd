#!/usr/bin/env bats
# Records through the programs: what is not touched leaves byte for byte; inputs, limits, rejects, statistics.

load helpers
setup() { psa_setup; }
pass() { keep "${STATUS-0}" "$BIN/psa-filter" --lowpass 1 --rate 100 --fields 'none*' "$@"; }

odd_lines() {
    cat <<'END'
{"sensor_type":"accel_gyro","sensor_model":"MPU6050","sensor_id":"press-07","fields":{"accel_x":0.123,"accel_y":-0.012},"timestamp_ns":1710000000000000000}
  { "fields" : { "a" :	1 , "b":2.50 } , "timestamp_ns" : 1710000000000000001 }  
{"timestamp_ns":1710000000000000002,"fields":{"a":1.10,"b":1e2,"c":1E-2,"d":-0,"e":-0.0,"f":0.1e+1},"seq":12345678901234567890}
{"timestamp_ns":1710000000000000003,"fields":{"a":1,"a":2,"\u0061":3},"x":1,"x":2,"fields":{"z":12345678901234567890123}}
{"timestamp_ns":1710000000000000004,"fields":{"a":1e999,"b":-1e999,"c":1e-999},"text":"\ud800 \udc00\ud83d\ude00 \u0000 \/ \" \\ é 💡"}
{"timestamp_ns":1710000000000000005,"fields":{},"nested":{"deep":[[[{"k":null}]],true,false]},"":"empty name"}
{"fields":{"usage_idle":98.09},"name":"cpu","tags":{"cpu":"cpu-total","host":"pi"},"timestamp":1710000001}
{"timestamp":"2024-03-09T16:00:02.123456789Z","fields":{"a":[1.0,null,2.50e0],"b":null,"c":"s","d":true,"e":{}}}
{"ts_ms":1710000003000,"sensor_id":7,"fields":{"a":1}}
{}
{"psa":{"heartbeat":1710000004000000000}}
 {"psa": {"checkpoint" : "17"} } 
{"sensor_type":"status","sensor_id":"x","fields":{"a":"gone"},"timestamp_ns":1}
END
}

@test "odd but valid lines pass byte for byte" {
    odd_lines >"$T/in"
    pass <"$T/in"
    same "$T/out" <"$T/in"
    grep -v -e time -e heartbeat "$T/in" >"$T/timeless" # what is older than a heartbeat would be late
    pass "$T/timeless" - "$T/timeless" <"$T/timeless"
    cat "$T/timeless" "$T/timeless" "$T/timeless" | same "$T/out"
}

@test "a changed field changes nothing around it, -0 and 20 digits included" {
    printf '%s\n' '{"big":12345678901234567890, "fields": { "a" :0 ,"keep":1.10, "b": -0.0 },"timestamp_ns":1710000000000000019,"x":1e5}' >"$T/in"
    keep 0 "$BIN/psa-filter" --highpass 10 --rate 100 --fields a <"$T/in"
    same "$T/out" <"$T/in"
}

@test "CRLF, blank lines, a byte order mark, a last line without its end" {
    record a '"x":0' 1 >"$T/one"
    record a '"x":0' 2 >"$T/two"
    { printf '\xef\xbb\xbf\r\n' && sed 's/$/\r/' "$T/one" && printf '\n   \n\r\n' && tr -d '\n' <"$T/two"; } >"$T/in"
    pass --stats <"$T/in"
    cat "$T/one" "$T/two" | same "$T/out"
    saying '"in":2,"passed":2'
    { printf '\xef\xbb\xbf' && cat "$T/one"; } >"$T/in"
    pass "$T/in" "$T/in"
    cat "$T/one" "$T/one" | same "$T/out"
    printf '\xef\xbb\xbf' >"$T/in"
    pass "$T/in"
    [ ! -s "$T/out" ]
}

@test "files come one after the other, - is stdin; messages name the file and its line" {
    { record a '"x":0' 1 && echo no; } >"$T/one"
    { echo no && record a '"x":0' 2; } >"$T/two"
    { record a '"x":0' 3 && echo && echo no; } >"$T/three"
    pass "$T/one" - "$T/three" <"$T/two"
    { sed -n 1p "$T/one" && sed -n 2p "$T/two" && sed -n 1p "$T/three"; } | same "$T/out"
    grep -qF "psa-filter: $T/one:2: " "$T/err"
    grep -qF 'psa-filter: stdin:1: ' "$T/err"
    grep -qF "psa-filter: $T/three:3: " "$T/err"
    pass -- "$T/one"
    pass "$T/one" --stats
}

@test "a missing file: what came before it is written, the status is 2" {
    record a '"x":0' 1 >"$T/one"
    STATUS=2 pass "$T/one" "$T/none" "$T/one"
    same "$T/out" <"$T/one"
    said "psa-filter: $T/none: cannot open: No such file or directory"
    STATUS=2 pass "$T"
    said "psa-filter: $T: cannot read: Is a directory"
}

@test "--flat takes the number members for fields, through a pipe and fused" {
    for i in $(seq 0 20); do printf '{"timestamp":%d,"sensor_id":"t","temperature":%d.5,"unit":"C","ok":true}\n' $((1710000000 + i)) $((20 + i % 3)); done >"$T/in"
    keep 0 "$BIN/psa-window" --flat --length 10 <"$T/in"
    [ "$(jq -c '[.fields, .window.n]' "$T/out" | head -1)" = '[{"temperature":[20.5,21.5,22.5,20.5,21.5,22.5,20.5,21.5,22.5,20.5]},10]' ]
    keep 0 "$BIN/psa-filter" --flat --lowpass 0.1Hz <"$T/in"
    [ "$(jq -c 'keys_unsorted' "$T/out" | sort -u)" = '["timestamp","sensor_id","fields","unit","ok"]' ]
    cp "$T/out" "$T/filtered"
    keep 0 "$BIN/psa-window" --length 10 <"$T/filtered"
    cp "$T/out" "$T/piped"
    keep 0 "$BIN/psa-run" --flat 'psa-filter --lowpass 0.1Hz | psa-window --length 10' <"$T/in"
    same "$T/out" <"$T/piped"
    keep 0 "$BIN/psa-window" --length 10 --stats <"$T/in"
    [ ! -s "$T/out" ]
    saying '"rejected":{"no_fields":21}'
}

@test "time as ts_ms, ISO 8601 with zones, epoch seconds; what is no time is rejected" {
    { for t in '"ts_ms":1710000000123' '"timestamp":1710000000' '"timestamp":1710000000.25' '"timestamp":"2024-03-09T16:00:00Z"' \
        '"timestamp":"2024-03-09T18:00:00.5+02:00"' '"timestamp":"2024-03-09T16:00:00.000000001Z"' '"timestamp_ns":-5'; do
        echo "{\"sensor_id\":\"$t\",\"fields\":{\"x\":1},$t}" | sed 's/"sensor_id":"\(.*\)",\("fields.*\)/"sensor_id":"k",\2/'
    done; } >"$T/in"
    local at=0
    while read -r line; do
        echo "$line" >"$T/line"
        keep 0 "$BIN/psa-window" --length 1 <"$T/line"
        at=$((at + 1))
        grep -o '"start_ns":-\?[0-9]*' "$T/out"
    done <"$T/in" >"$T/times"
    same "$T/times" <<'END'
"start_ns":1710000000123000000
"start_ns":1710000000000000000
"start_ns":1710000000250000000
"start_ns":1710000000000000000
"start_ns":1710000000500000000
"start_ns":1710000000000000001
"start_ns":-5
END
    for t in '"timestamp_ns":1.5' '"timestamp_ns":"x"' '"timestamp_ns":9223372036854775808' '"timestamp":"yesterday"' '"ts_ms":1e300' '"timestamp":[]'; do
        echo "{\"fields\":{\"x\":1},$t}"
    done >"$T/in"
    STATUS=3 pass --strict --stats <"$T/in"
    saying '"in":6,"passed":0'
    [ ! -s "$T/out" ]
}

@test "--key chooses the stream: dotted paths, numbers; a record without it is rejected" {
    for i in 1 2; do for h in a b; do echo "{\"tags\":{\"host\":\"$h\"},\"fields\":{\"x\":$i},\"timestamp_ns\":$i,\"n\":7}"; done; done >"$T/in"
    echo '{"tags":{},"fields":{"x":1},"timestamp_ns":3}' >>"$T/in"
    keep 0 "$BIN/psa-window" --key tags.host --length 2 --stats --rejects "$T/rejects" <"$T/in"
    [ "$(jq -c '[.tags.host, .fields.x]' "$T/out")" = '["a",[1,2]]
["b",[1,2]]' ]
    said 'psa-window: stdin:5: there is no tags.host to tell the stream by; rejected'
    saying '"rejected":{"no_key":1}'
    tail -n 1 "$T/in" | same "$T/rejects"
    keep 0 "$BIN/psa-window" --key n --length 4 <"$T/in"
    [ "$(jq -c '.fields.x' "$T/out")" = '[1,1,2,2]' ]
}

@test "--max-keys forgets the least recently seen and counts it" {
    { record a '"x":1' 10 && record b '"x":1' 10 && record a '"x":2' 11 && record c '"x":1' 10 && record b '"x":2' 5 && record a '"x":3' 5; } >"$T/in"
    keep 0 "$BIN/psa-window" --length 2 --max-keys 2 --stats <"$T/in"
    saying '"keys":2,"keys_evicted":3'
    said 'psa-window: stdin:4: more than --max-keys 2 streams; the one least recently seen was forgotten'
    [ "$(jq -c .sensor_id "$T/out")" = '"a"' ]
    accounts "$T/err"
}

@test "status records pass every stage but psa-alert unchanged and open no key" {
    { echo '{"sensor_type":"status","sensor_id":"a","event":"gone"}' && echo ' {"sensor_type":"st\u0061tus","fields":{"x":[1]},"timestamp_ns":5}'; } >"$T/in"
    for stage in 'psa-filter --lowpass 1 --rate 9' 'psa-filter --lowpass 1' 'psa-window --length 1' 'psa-features' 'psa-features --length 1' \
        'psa-features --rolling mean@2' 'psa-score --ecod'; do
        read -ra words <<<"$stage"
        keep 0 "$BIN/${words[0]}" "${words[@]:1}" --stats --key nothing.here <"$T/in"
        same "$T/out" <"$T/in"
        saying '"in":2,"passed":2,"emitted":0'
        saying '"keys":0'
        accounts "$T/err"
    done
    keep 0 "$BIN/psa-alert" --stats <"$T/in" # writes only alerts, and these two say neither up nor down
    same "$T/out" </dev/null
    saying '"in":2,"passed":0,"emitted":0'
    saying '"keys":0'
    accounts "$T/err"
}

messy() {
    local i
    for i in $(seq 1 40); do
        record "s$((i % 3))" "\"x\":$i,\"y\":[$i,2]" "$((i * 1000 - (i % 7) * 1500))" '"rate_hz":1000'
        record "r$((i % 3))" "\"x\":$i,\"y\":null" "$((i * 1000 - (i % 5) * 1500))"
        echo '{"sensor_type":"status"}'
        [ $((i % 4)) -ne 0 ] || echo 'not json'
        [ $((i % 5)) -ne 0 ] || echo '[1]'
        [ $((i % 6)) -ne 0 ] || record "r1" '"x":"s"' "$((i * 1000))"
        [ $((i % 8)) -ne 0 ] || echo '{"psa":{"heartbeat":1}}'
        [ $((i % 9)) -ne 0 ] || echo '{"psa":{"dance":1}}'
        [ $((i % 10)) -ne 0 ] || echo ''
        [ $((i % 11)) -ne 0 ] || echo '{"fields":[1],"timestamp_ns":1}'
        [ $((i % 12)) -ne 0 ] || record q '"x":1' '"then"'
    done
}

@test "accounting: in = passed + absorbed + dropped + rejected in every stage on messy input" {
    messy >"$T/in"
    for stage in 'psa-filter --lowpass 1 --rate 1000' 'psa-filter --lowpass 1' 'psa-window --length 5us --max-keys 2' 'psa-window --length 3' \
        'psa-features' 'psa-features --length 3 --max-keys 1' 'psa-features --rolling mean,std@3' 'psa-score --ecod --warmup 5' 'psa-alert'; do
        read -ra words <<<"$stage"
        keep 0 "$BIN/${words[0]}" "${words[@]:1}" --stats <"$T/in"
        accounts "$T/err"
        jq -e '.in == 140 + .rejected.control or .in > 100' "$T/stats.lines" >/dev/null
        [ "$(jq '.in + .control' "$T/stats.lines")" -eq "$(grep -c . "$T/in")" ]
        [ "$(jq '.passed + .emitted + .control' "$T/stats.lines")" -eq "$(wc -l <"$T/out")" ]
    done
    keep 0 "$BIN/psa-run" 'psa-filter --lowpass 1 --stats | psa-window --length 4 --stats | psa-features --stats | psa-score --ecod --warmup 3 --stats | psa-alert --stats' <"$T/in"
    accounts "$T/err"
    [ "$(wc -l <"$T/stats.lines")" -eq 5 ]
    # What one stage lets out the next takes in.
    jq -s -e '[.[:-1], .[1:]] | transpose | all(.[]; .[0].passed + .[0].emitted == .[1].in)' "$T/stats.lines"
}

@test "--stats-file is written whole, also by each stage of psa-run" {
    record a '"x":1' 1 >"$T/in"
    pass --stats-file "$T/stats" <"$T/in"
    jq -e '.psa_stats == "psa-filter" and .passed == 1' "$T/stats"
    keep 0 "$BIN/psa-run" "psa-filter --lowpass 1 --rate 9 --stats-file '$T/s1' | psa-window --length 1 --stats-file $T/s2" <"$T/in"
    jq -e '.psa_stats == "psa-filter"' "$T/s1"
    jq -e '.psa_stats == "psa-window"' "$T/s2"
    STATUS=2 pass --stats-file "$T/no/stats" <"$T/in" # before any record, not after the last
    saying "$T/no/stats: cannot be written there: $T/no: No such file or directory"
    [ ! -s "$T/out" ]
}

@test "--rejects appends every line as it came; --strict gives 3 only when something was rejected" {
    { record a '"x":1' 1 && echo 'no json' && printf '[]\n{"a":1}x\n' && record a '"x":1' 1; } >"$T/in"
    STATUS=3 pass --strict --rejects "$T/rejects" <"$T/in"
    sed -n '2,4p' "$T/in" | same "$T/rejects"
    STATUS=0 pass --rejects "$T/rejects" <"$T/in"
    [ "$(wc -l <"$T/rejects")" -eq 6 ]
    sed -n '1p;5p' "$T/in" | same "$T/out"
    cp "$T/out" "$T/clean"
    STATUS=0 pass --strict <"$T/clean"
    STATUS=2 pass --rejects "$T/no/rejects" <"$T/in"
    saying "$T/no/rejects: cannot open: No such file or directory"
    # A record that a later stage rejects counts too.
    record a '"x":0' 1 >"$T/one"
    keep 3 "$BIN/psa-run" --strict --rejects "$T/later" 'psa-filter --lowpass 1 --rate 9 | psa-features' "$T/one"
    same "$T/later" <"$T/one"
}

@test "--max-line, --max-fields, --max-depth: at the limit it passes, beyond it is rejected by name" {
    record a '"x":1' 1 >"$T/one"
    line=$(printf '{"pad":"%s"}' "$(printf 'p%.0s' $(seq 90))")
    { echo "$line" && echo "${line/p/pp}" && cat "$T/one" && echo "$line" | sed 's/$/\r/'; } >"$T/in"
    pass --max-line 100 --stats <"$T/in"
    { echo "$line" && cat "$T/one" && echo "$line"; } | same "$T/out"
    said 'psa-filter: stdin:2: a line of 101 bytes, longer than --max-line 100; rejected'
    saying '"rejected":{"max_line":1}'
    { echo '{"a":1,"fields":{"x":1,"y":2},"b":2}' && echo '{"a":1,"fields":{"x":1,"y":2,"z":3},"b":2}' && cat "$T/one"; } >"$T/in"
    pass --max-fields 5 --stats <"$T/in"
    sed -n '1p;3p' "$T/in" | same "$T/out"
    saying 'psa-filter: stdin:2: '
    { echo '{"a":[[[1]]]}' && echo '{"a":[[[[1]]]]}' && cat "$T/one"; } >"$T/in"
    pass --max-depth 4 --stats <"$T/in"
    sed -n '1p;3p' "$T/in" | same "$T/out"
    saying 'psa-filter: stdin:2: '
    STATUS=2 pass --max-line 5 <"$T/in"
    STATUS=2 pass --max-depth 0 <"$T/in"
}

@test "messages: the first ten of a cause, then a total; stdout carries records only" {
    for i in $(seq 25); do
        echo no
        echo '[]'
        record a '"x":1' "$i"
    done >"$T/in"
    keep 0 "$BIN/psa-filter" --lowpass 1 --rate 100 <"$T/in"
    [ "$(wc -l <"$T/out")" -eq 25 ]
    [ "$(wc -l <"$T/err")" -eq 22 ]
    [ "$(grep -c 'psa-filter: syntax: 25 such messages in all (the first 10 were shown)' "$T/err")" -eq 1 ]
    [ "$(grep -c '25 such messages' "$T/err")" -eq 2 ]
    grep -q '^psa-filter: stdin:28: ' "$T/err"
    run grep -c 'stdin:31:' "$T/err"
    [ "$output" -eq 0 ]
}
