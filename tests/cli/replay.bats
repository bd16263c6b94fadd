#!/usr/bin/env bats
# psa-replay: CSV and NDJSON to records, merging, ranges, pacing, restamping, and what it says about bad input.

setup() {
    cd "$BATS_TEST_DIRNAME/../.." || exit 1
    set -o pipefail # a pipe hides no status
    BIN=${PSA_BIN:-bin}
    DATA=${PSA_DATA:-../shared/data}
    T=$BATS_TEST_TMPDIR
}

replay() { "$BIN/psa-replay" "$@"; }
need() { [ -e "$DATA/$1" ] || skip "$DATA/$1 is missing"; }
record() { printf '{"sensor_id":"%s","fields":{"x":%s},"timestamp_ns":%s}\n' "$1" "$2" "$3"; }

@test "SKAB: read with nothing but the file's name" {
    need skab/valve1/0.csv
    replay "$DATA/skab/valve1/0.csv" >"$T/out"
    [ "$(wc -l <"$T/out")" -eq $(($(wc -l <"$DATA/skab/valve1/0.csv") - 1)) ]
    head -n 1 "$T/out" >"$T/first"
    cat >"$T/want" <<'END'
{"sensor_type":"recording","sensor_id":"0","fields":{"Accelerometer1RMS":0.0265878,"Accelerometer2RMS":0.0401113,"Current":1.3302,"Pressure":0.054711,"Temperature":79.3366,"Thermocouple":26.0199,"Voltage":233.062,"Volume Flow RateRMS":32.0},"timestamp_ns":1583748873000000000,"labels":{"anomaly":0.0,"changepoint":0.0}}
END
    cmp "$T/first" "$T/want"
}

@test "SKAB: every value of all files passes byte for byte" {
    need skab/valve1/0.csv
    for file in "$DATA"/skab/valve1/*.csv; do
        replay "$file" | sed 's/.*"fields":{//; s/},"timestamp.*"labels":{/;/; s/}}$//; s/"[^"]*"://g; s/,/;/g' >"$T/values"
        tail -n +2 "$file" | tr -d '\r' | cut -d ';' -f 2- | cmp - "$T/values"
    done
}

@test "NAB: read with nothing but the file's name" {
    need nab/machine_temperature_system_failure.csv
    replay --stats-file "$T/stats" "$DATA/nab/machine_temperature_system_failure.csv" >"$T/out" 2>"$T/err"
    head -n 1 "$T/out" >"$T/first"
    echo '{"sensor_type":"recording","sensor_id":"machine_temperature_system_failure","fields":{"value":73.96732207},"timestamp_ns":1386018900000000000}' |
        cmp - "$T/first"
    jq -e '.in == 22695 and .passed == 22695 and .noted.backwards == 11' "$T/stats"
    [ "$(wc -l <"$T/err")" -eq 11 ] # ten and the total
}

@test "NDJSON passes byte for byte, whatever it holds" {
    printf '%s\n' '{"b" : 1.10,"timestamp_ns":1710000000123456789 ,"x":[1,2],"fields":{"v":1e-7}}' \
        '{"psa":{"heartbeat":1710000000123456790}}' '{"ts_ms":1710000000124,"fields":{}}' \
        '{"timestamp":"2024-03-09T16:00:01Z","fields":{"v":null}}' '{"no":"time"}' >"$T/in"
    replay "$T/in" >"$T/out"
    cmp "$T/out" "$T/in"
    replay <"$T/in" >"$T/out"
    cmp "$T/out" "$T/in"
    sed 's/$/\r/' "$T/in" | replay | cmp - "$T/in"
    printf '%s' "$(cat "$T/in")" | replay | cmp - "$T/in"
}

@test "CSV: separators, quotes, names, numbers that JSON does not know, empty cells" {
    printf 'time,"a ""b""",c d,,e\n1.5,+1,.5,9,1.10\n2,"1.",007,9,-.5e1\n3,,NaN,9,1e999\n' >"$T/in.csv"
    replay --sensor-id s --sensor-type t --sensor-model m "$T/in.csv" >"$T/out"
    cat >"$T/want" <<'END'
{"sensor_type":"t","sensor_model":"m","sensor_id":"s","fields":{"a \"b\"":1,"c d":0.5,"e":1.10},"timestamp_ns":1500000000}
{"sensor_type":"t","sensor_model":"m","sensor_id":"s","fields":{"a \"b\"":1,"c d":7,"e":-5},"timestamp_ns":2000000000}
{"sensor_type":"t","sensor_model":"m","sensor_id":"s","fields":{"a \"b\"":null,"c d":null,"e":1e999},"timestamp_ns":3000000000}
END
    cmp "$T/out" "$T/want"
    for c in ';' "$(printf '\t')"; do
        printf 'time%sa\n1%s2\n' "$c" "$c" | replay | grep -q '"fields":{"a":2},"timestamp_ns":1000000000'
    done
    printf 'time|a\n1|2\n' | replay --separator '|' | grep -q '"a":2'
}

@test "CSV: columns to take, to leave, and labels" {
    printf 'when,ax,ay,t,label,why\n2024-03-09,1,2,3,1,hot spot\n' >"$T/in.csv"
    replay --time-column when --columns 'a*,t' --drop ay --labels 'label,why' "$T/in.csv" >"$T/out"
    grep -q '"fields":{"ax":1,"t":3},"timestamp_ns":1709942400000000000,"labels":{"label":1,"why":"hot spot"}}' "$T/out"
    printf 'time,a,label\n1,2,3\n' | replay --labels '' | grep -q '"fields":{"a":2,"label":3},"timestamp_ns":1000000000}'
}

@test "CSV: labels may be text, quoted and escaped" {
    printf 'time,a,label\n1,2,"hot ""spot"""\n2,3,\n' | replay >"$T/out"
    jq -s -e '.[0].labels.label == "hot \"spot\"" and .[1].labels.label == null' "$T/out"
}

@test "CSV: every format of time, guessed and told" {
    for cell in 2024-03-09T16:00:00Z '2024-03-09 16:00:00' 1710000000 1710000000000 1710000000000000 1710000000000000000 \
        2024-03-09T17:00:00+01:00 1.71e9; do
        printf 'timestamp,a\n%s,1\n' "$cell" | replay | grep -q '"timestamp_ns":1710000000000000000}'
    done
    printf 'when,a\n1710000000123456789,1\n' | replay --time-column when --time-format epoch-ns |
        grep -q '"timestamp_ns":1710000000123456789}'
    printf 'ts_ms,a\n5,1\n' | replay | grep -q '"timestamp_ns":5000000}'
    printf 'time,a\n5,1\n' | replay --time-format epoch-ms | grep -q '"timestamp_ns":5000000}'
    printf 'time,a\n5,1\n' | replay --time-format iso --stats-file "$T/stats"
    jq -e '.rejected.time == 1' "$T/stats"
}

@test "sensor_id is the file's name, or its folder and name" {
    mkdir -p "$T/valve1"
    printf 'time,a\n1,2\n' >"$T/valve1/0.x.csv"
    replay "$T/valve1/0.x.csv" | grep -q '"sensor_id":"0.x"'
    replay --id-from path "$T/valve1/0.x.csv" | grep -q '"sensor_id":"valve1/0.x"'
    replay <"$T/valve1/0.x.csv" | grep -q '"sensor_id":"stdin"'
}

@test "bad rows are told with file and line, counted, kept, and cost no good one" {
    printf 'time,a,b\n1,1,1\n2,1\nlater,1,1\n4,1,1,1\n5,"1,1\n6,x,1\n7,1,1,\n' >"$T/in.csv"
    status=0
    replay --strict --rejects "$T/rejects" --stats-file "$T/stats" "$T/in.csv" >"$T/out" 2>"$T/err" || status=$?
    [ "$status" -eq 3 ]
    [ "$(wc -l <"$T/out")" -eq 3 ]
    cat >"$T/want" <<END
psa-replay: $T/in.csv:3: 2 cells, but the header has 3
psa-replay: $T/in.csv:4: 'later' in column 'time' is no time
psa-replay: $T/in.csv:5: 4 cells, but the header has 3
psa-replay: $T/in.csv:6: a quote that is never closed
psa-replay: $T/in.csv:7: 'x' in column 'a' is not a number; null printed
END
    cmp "$T/err" "$T/want"
    printf '2,1\nlater,1,1\n4,1,1,1\n5,"1,1\n' | cmp - "$T/rejects"
    jq -e '.in == 7 and .passed == 3 and .rejected == {"columns": 2, "time": 1, "csv": 1} and .noted.not_a_number == 1' "$T/stats"
    replay "$T/in.csv" >/dev/null 2>&1
}

@test "bad lines of NDJSON likewise" {
    { record a 1 1; echo '{"half":'; echo 'time,a'; head -c 2000 /dev/zero | tr '\0' x; echo; record a 2 2; } >"$T/in"
    replay --max-line 1000B --rejects "$T/rejects" --stats-file "$T/stats" "$T/in" >"$T/out" 2>"$T/err"
    [ "$(wc -l <"$T/out")" -eq 2 ]
    grep -q "^psa-replay: $T/in:2: " "$T/err"
    grep -q "^psa-replay: $T/in:4: a line of 2000 bytes, longer than --max-line 1000$" "$T/err"
    jq -e '.in == 5 and .passed == 2 and ([.rejected[]] | add) == 3' "$T/stats"
    [ "$(wc -l <"$T/rejects")" -eq 2 ]
}

@test "a file without names of time, or that cannot be opened, ends it with 2 before anything is printed" {
    printf 'a,b\n1,2\n' >"$T/in.csv"
    record a 1 1 >"$T/good"
    run replay "$T/good" "$T/in.csv"
    [ "$status" -eq 2 ]
    [ "$output" = "psa-replay: $T/in.csv: no column of time in its header 'a,b'; name it with --time-column" ]
    run replay --time-column c "$T/in.csv"
    [ "$status" -eq 2 ]
    [ "$output" = "psa-replay: $T/in.csv: no column 'c' in its header" ]
    run replay "$T/good" "$T/none"
    [ "$status" -eq 2 ]
    [[ "$output" == "psa-replay: $T/none: cannot open:"* ]]
    : >"$T/empty"
    run replay "$T/empty"
    [ "$status" -eq 0 ]
    [ -z "$output" ]
}

@test "many files are merged in time order, equal times in the files' order" {
    { record a 1 10; record a 2 30; record a 3 30; record a 4 50; } >"$T/a"
    { record b 5 20; record b 6 30; record b 7 60; } >"$T/b"
    printf 'time_ns,x\n5,8\n30,9\n' >"$T/c.csv"
    replay "$T/a" "$T/b" "$T/c.csv" >"$T/out"
    run jq -c '.fields.x' "$T/out"
    [ "$(echo "$output" | tr '\n' ' ')" = '8 1 5 2 3 6 9 4 7 ' ]
    replay "$T/a" - "$T/c.csv" <"$T/b" | cmp - "$T/out"
}

@test "a record that goes back in its file passes in its place and is counted" {
    { record a 1 10; record a 2 5; record a 3 30; } >"$T/a"
    { record b 4 7; record b 5 20; } >"$T/b"
    replay --stats-file "$T/stats" "$T/a" "$T/b" >"$T/out" 2>"$T/err"
    [ "$(jq -c .fields.x "$T/out" | tr '\n' ' ')" = '4 1 2 5 3 ' ]
    grep -q "^psa-replay: $T/a:2: time goes backwards" "$T/err"
    jq -e '.passed == 5 and .noted.backwards == 1' "$T/stats"
}

@test "files joined by cat: a repeated header is no row" {
    printf 'time,a\n1,2\n' >"$T/in.csv"
    cat "$T/in.csv" "$T/in.csv" | replay --stats-file "$T/stats" >"$T/out"
    jq -e '.in == 2 and .passed == 2' "$T/stats"
}

@test "--from and --to are half-open" {
    for t in 1 2 3 4 5; do record a "$t" "${t}000000000"; done >"$T/in"
    echo '{"fields":{}}' >>"$T/in"
    replay --from 2000000000 --to 1970-01-01T00:00:04Z --stats-file "$T/stats" "$T/in" >"$T/out"
    [ "$(jq -c .fields.x "$T/out" | tr '\n' ' ')" = '2 3 ' ]
    jq -e '.in == 6 and .passed == 2 and .dropped == {"range": 3, "no_time": 1}' "$T/stats"
}

@test "--restamp-to shifts time and nothing else; --restamp begins now" {
    printf '{"z":1.10,"timestamp_ns":1000000007,"fields":{"x":1}}\n{"ts_ms":3000,"fields":{"x":2.50}}\n' >"$T/in"
    replay --restamp-to 2024-03-09T16:00:00Z "$T/in" >"$T/out"
    printf '{"z":1.10,"timestamp_ns":1710000000000000000,"fields":{"x":1}}\n{"timestamp_ns":1710000001999999993,"fields":{"x":2.50}}\n' |
        cmp - "$T/out"
    before=$(date +%s)
    stamp=$(replay --restamp "$T/in" | sed -n '1s/.*"timestamp_ns":\([0-9]*\)[0-9]\{9\},.*/\1/p')
    [ "$stamp" -ge "$before" ]
    [ "$stamp" -le "$(date +%s)" ]
    printf 'time,a,label\n1,2,0\n' | replay --restamp-to 5 | grep -q '"timestamp_ns":5,"labels":{"label":0}}'
}

@test "--speed paces by event time, and a record shows before the next is due" {
    for t in 1 2 3; do record a "$t" "${t}000000000"; done >"$T/in"
    start=$(date +%s%N)
    replay --speed 4x "$T/in" >"$T/out"
    took=$((($(date +%s%N) - start) / 1000000))
    [ "$took" -ge 480 ]
    [ "$took" -lt 4000 ]
    cmp "$T/in" "$T/out"
    status=0
    timeout --preserve-status -s TERM 0.5 "$BIN/psa-replay" --speed 1x --stats-file "$T/stats" "$T/in" >"$T/out" || status=$?
    [ "$status" -eq 0 ]
    head -n 1 "$T/in" | cmp - "$T/out"
    jq -e '.passed == 1' "$T/stats"
}

@test "a paced record shows before the wait for the next one" {
    { record a 1 1000000000; record a 2 100000000000; } >"$T/in"
    "$BIN/psa-replay" --speed 1x "$T/in" >"$T/out" &
    pid=$!
    for _ in $(seq 100); do [ -s "$T/out" ] && break; sleep 0.05; done
    head -n 1 "$T/in" | cmp - "$T/out"
    kill -TERM "$pid"
    wait "$pid"
    head -n 1 "$T/in" | cmp - "$T/out"
}

@test "a record read from a pipe that stays open is printed at once" {
    mkfifo "$T/pipe"
    replay <"$T/pipe" >"$T/out" &
    exec 7>"$T/pipe"
    record a 1 1 >&7
    for _ in $(seq 100); do [ -s "$T/out" ] && break; sleep 0.05; done
    record a 1 1 | cmp - "$T/out"
    exec 7>&-
    wait $!
}

@test "a full disk is an error; a reader that has gone ends it quietly" {
    record a 1 1 >"$T/in"
    status=0
    replay "$T/in" >/dev/full 2>"$T/err" || status=$?
    [ "$status" -eq 1 ]
    grep -q '^psa-replay: stdout: cannot write: ' "$T/err"
    for _ in $(seq 5000); do cat "$T/in"; done >"$T/many"
    { status=0; replay "$T/many" 2>"$T/err" || status=$?; echo "$status" >"$T/status"; } | head -n 1 >/dev/null
    [ "$(cat "$T/status")" -eq 141 ]
    [ ! -s "$T/err" ]
    echo broken >>"$T/in"
    status=0
    replay --rejects /dev/full "$T/in" >/dev/null 2>"$T/err" || status=$?
    [ "$status" -eq 1 ]
    grep -q '/dev/full: cannot write' "$T/err"
}

@test "names and labels that are no UTF-8 still give valid JSON" {
    printf 'time,Temp\260C\n1,2\n' | replay >"$T/out"
    jq -e '.fields["Temp?C"] == 2' "$T/out"
    printf 'time,Temp\302\260C\n1,2\n' | replay | jq -e '.fields["Temp°C"] == 2'
}

@test "what a terminal cannot show is masked in messages" {
    printf 'Zeit,Temp\260C,\303\244\302\233\n1,2,3\n' >"$T/latin.csv"
    status=0
    replay "$T/latin.csv" 2>"$T/err" || status=$?
    [ "$status" -eq 2 ]
    echo "psa-replay: $T/latin.csv: no column of time in its header 'Zeit,Temp?C,ä??'; name it with --time-column" | cmp - "$T/err"
}

@test "what leaves nothing to play is refused: --from not before --to, standard input named twice" {
    record a 1 1 >"$T/in"
    for range in '5 3' '5 5' '2024-03-09T16:00:00Z 2024-03-09'; do
        status=0
        replay --stats --from "${range% *}" --to "${range#* }" "$T/in" >"$T/out" 2>"$T/err" || status=$?
        [ "$status" -eq 2 ]
        echo "psa-replay: --from ${range% *} is not before --to ${range#* }; there is nothing between them" | cmp - "$T/err"
    done
    replay --from 1 --to 2 "$T/in" | cmp - "$T/in"
    status=0
    record a 1 1 | replay - "$T/in" - >"$T/out" 2>"$T/err" || status=$?
    [ "$status" -eq 2 ]
    echo 'psa-replay: standard input (-) is named twice; it is read once' | cmp - "$T/err"
}

@test "no progress into a pipe; wrong usage is told with status 2" {
    record a 1 1 | replay >/dev/null 2>"$T/err"
    [ ! -s "$T/err" ]
    for wrong in '--format xml' '--separator ab' '--time-format soon' '--speed 1' '--from then' \
        '--restamp --restamp-to now' '--id-from dns' '--max-line 1B'; do
        # shellcheck disable=SC2086
        run replay $wrong
        [ "$status" -eq 2 ]
        [[ "$output" == psa-replay:* ]]
    done
    replay --help | grep -q -- '--time-column'
    replay --version | grep -q '^psa-replay (psa) '
}
