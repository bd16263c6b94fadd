#!/usr/bin/env bats
# psa-alert --when: a jq expression says what is anomalous.

load helpers
setup() { psa_setup; }

# hot TEMPERATURE...: unscored readings of t/oven, one second apart from second 1 on.
hot() {
    local at=0 celsius
    for celsius in "$@"; do
        at=$((at + 1))
        printf '{"sensor_type":"t","sensor_id":"oven","fields":{"temperature_C":%s},"timestamp_ns":%s000000000}\n' "$celsius" "$at"
    done
}
# alerts OPTION...: "second state severity suppressed" of each alert for $T/in.
alerts() {
    keep 0 "$BIN/psa-alert" "$@" <"$T/in"
    jq -r '"\(.timestamp_ns / 1e9) \(.alert.state) \(.alert.severity) \(.alert.suppressed)"' "$T/out" >"$T/alerts"
}
# sets SCORE IS_ANOMALY STATE: the members that psa-score adds to each line of $T/in.
sets() {
    sed -i "s/\"temperature_C\"/\"anomaly_score\":$1,&/; s/}\$/,\"anomaly\":{\"is_anomaly\":$2,\"threshold\":0.5,\"model\":\"ecod-x\",\"state\":\"$3\",\"top\":[[\"temperature_C\",1]]}}/" "$T/in"
}

@test "the condition counts, unscored or whatever the verdict says: k of n, clear, cooldown as ever" {
    hot 20 95 20 96 97 98 99 95 20 20 95 20 20 20 95 >"$T/in"
    alerts --when '.fields.temperature_C > 90' --raise 2/3 --cooldown 3s
    same "$T/alerts" <<'END'
4 raised warning 0
7 ongoing warning 2
11 ongoing warning 1
14 cleared warning 0
END
    [ "$(jq -s '.[0].alert.since_ns' "$T/out")" = 2000000000 ]
    [ "$(jq -s 'map(.alert.id) | unique | length' "$T/out")" = 1 ]
    jq -s -e 'all(.[]; .alert.kind == "anomaly" and .alert.score == null and .alert.threshold == null and .alert.top == [])' "$T/out"
    cp "$T/alerts" "$T/want"
    for state in warming missing stopped settling; do # of the record: it plays no part here
        hot 20 95 20 96 97 98 99 95 20 20 95 20 20 20 95 >"$T/in"
        sets 0.99 true "$state"
        alerts --when '.fields.temperature_C > 90' --raise 2/3 --cooldown 3s
        sed 's/warning/critical/' "$T/want" | diff - "$T/alerts"
        alerts
        same "$T/alerts" </dev/null # without --when it counts neither way
    done
}

@test "a score still grades; without one --when-severity, which, if given, is the least of all" {
    for case in '0.2 info warning critical' '0.9 warning warning critical' '0.99 critical critical critical'; do
        # shellcheck disable=SC2086 # words
        set -- $case
        hot 95 >"$T/in"
        sets "$1" false scoring
        alerts --when '.fields.temperature_C > 90' && [ "$(<"$T/alerts")" = "1 raised $2 0" ]
        alerts --when '.fields.temperature_C > 90' --when-severity warning && [ "$(<"$T/alerts")" = "1 raised $3 0" ]
        alerts --when '.fields.temperature_C > 90' --when-severity critical && [ "$(<"$T/alerts")" = "1 raised $4 0" ]
    done
    hot 95 >"$T/in"
    alerts --when '.fields.temperature_C > 90' --when-severity info && [ "$(<"$T/alerts")" = '1 raised info 0' ]
    keep 2 "$BIN/psa-alert" --when . --when-severity bad </dev/null
    said "psa-alert: --when-severity: 'bad' is none of info, warning, critical"
    keep 2 "$BIN/psa-alert" --when-severity info </dev/null
    saying '--when-severity'
}

@test "the reason names the condition; the record leaves untouched, 20-digit integers and nanoseconds included" {
    hot 95 95 20 >"$T/in"
    sed -i 's/"sensor_type"/"big":12345678901234567890, "x" : 1.10,&/; s/[0-9]000000000}/&/; s/000000000}/123456789}/' "$T/in"
    keep 0 "$BIN/psa-alert" --when '.fields.temperature_C > 90' --cooldown 1s --clear 1 <"$T/in"
    sed 's/,"alert":.*/}/' "$T/out" | diff - "$T/in"
    [ "$(jq -r .alert.reason "$T/out")" = "t/oven: the condition '.fields.temperature_C > 90' holds
t/oven: for 1.0 s now, the condition '.fields.temperature_C > 90' holds
t/oven: the condition '.fields.temperature_C > 90' holds no more; normal again after 2.0 s" ]
    hot 95 >"$T/in"
    sets 0.97 false scoring
    keep 0 "$BIN/psa-alert" --when '.fields.temperature_C > 90' <"$T/in"
    [ "$(jq -r .alert.reason "$T/out")" = "t/oven: the condition '.fields.temperature_C > 90' holds; anomaly score 0.970, threshold 0.500 by ecod-x; driven by temperature_C 100 %" ]
    [ "$(jq -c '.alert | [.score, .threshold, .top]' "$T/out")" = '[0.97,0.5,[["temperature_C",1]]]' ]
    # An expression as long as one likes stays valid JSON, cut at a whole character.
    hot 95 >"$T/in"
    keep 0 "$BIN/psa-alert" --when ".fields.temperature_C > 90 and (\"$(printf 'ä%.0s' $(seq 400))\" | length == 400)" <"$T/in"
    jq -e '.alert.reason | length > 100' "$T/out"
    iconv -f UTF-8 -t UTF-8 "$T/out" >/dev/null
}

@test "the first output decides, as with jq -e: false, null and none do not hold, all else does" {
    hot 95 >"$T/in"
    for holds in true 0 '""' '{}' '[]' '1, false' 'first(repeat(1))' '.fields | has("temperature_C")' '[.fields[]] | any(. > 90)' \
        'def f: .fields; f.temperature_C == 95' '.timestamp_ns / 1e9 | todate == "1970-01-01T00:00:01Z"' \
        '.timestamp_ns / 1e9 | strftime("%H:%M:%S") == "00:00:01"' '"ENV" and .nowhere == null' '.sensor_id | test("^ov")'; do
        alerts --when "$holds" && [ "$(<"$T/alerts")" = '1 raised warning 0' ] || { echo "does not hold: $holds" >&2 && false; }
    done
    for not in false null empty 'false, true' .now .env '.fields.pressure_Pa > 5' 'error(null)'; do
        alerts --when "$not" && [ ! -s "$T/alerts" ] && [ ! -s "$T/err" ] || { echo "holds: $not" >&2 && false; }
    done
}

@test "an error of the expression's does not hold: it is said, counted, and the stream goes on" {
    { hot 95 && printf '{"sensor_type":"t","sensor_id":"oven","fields":{"temperature_C":96},"timestamp_ns":2000000000,"limit":90}\n'; } >"$T/in"
    alerts --when '.fields.temperature_C - .limit > 5' --stats
    same "$T/alerts" <<<'2 raised warning 0'
    said 'psa-alert: stdin:1: --when: number (95) and null (null) cannot be subtracted; taken for a record that the condition does not hold for'
    saying '"noted":{"condition":1}'
    accounts "$T/err"
    alerts --when '.timestamp_ns / 1e9 | strftime("%s") | tonumber > 0'
    saying 'reads the time zone of the machine'
    same "$T/alerts" </dev/null
}

@test "what is no jq, or would not mean the same in a replay, is refused with 2 and a sentence" {
    keep 2 "$BIN/psa-alert" --when '.fields.x >' </dev/null
    saying "psa-alert: --when: jq cannot read '.fields.x >': syntax error"
    keep 2 "$BIN/psa-alert" --when '. ) | (.' </dev/null
    keep 2 "$BIN/psa-alert" --when 'nonsense' </dev/null
    said "psa-alert: --when: jq cannot read 'nonsense': nonsense/0 is not defined"
    keep 2 "$BIN/psa-alert" --when ' ' </dev/null
    said 'psa-alert: --when: the expression is empty'
    [ "$(wc -l <"$T/err")" = 1 ]
    # shellcheck disable=SC2016 # jq's, not the shell's
    for word in now localtime 'strflocaltime("%H")' env '$ENV' '"\($ENV.HOME)"' '$  ENV' input inputs debug 'debug("x")' stderr input_filename \
        input_line_number halt halt_error 'halt_error(1)' get_search_list '"x" | modulemeta' 'def f: now; f > 1' '[limit(3; inputs)]'; do
        keep 2 "$BIN/psa-alert" --when "$word" </dev/null
        saying 'has no place in a condition, which must mean the same in a replay'
        [ "$(wc -l <"$T/err")" = 1 ]
    done
    echo 'def helper: true;' >"$T/lib.jq"
    for module in 'import "lib" as l; l::helper' 'include "lib"; helper'; do
        (cd "$T" && keep 2 "$BIN/psa-alert" --when "$module" </dev/null)
    done
}

@test "the definitions of ~/.jq are not read" {
    mkdir "$T/home"
    echo 'def select(f): empty; def house: true;' >"$T/home/.jq"
    hot 95 >"$T/in"
    HOME=$T/home alerts --when 'select(.fields.temperature_C > 90)'
    same "$T/alerts" <<<'1 raised warning 0'
    HOME=$T/home keep 2 "$BIN/psa-alert" --when house </dev/null
    HOME=$T/home keep 0 "$BIN/psa-run" "psa-alert --when 'select(.fields.temperature_C > 90)'" "$T/in"
    [ "$(wc -l <"$T/out")" = 1 ]
}

@test "cut at every line and resumed: the same bytes; another expression is another state; fused as piped" {
    hot 20 95 20 96 97 98 99 95 20 20 95 20 20 20 95 >"$T/in"
    set -- --when '.fields.temperature_C > 90' --raise 2/3 --cooldown 3s --state "$T/state"
    keep 0 "$BIN/psa-alert" "$@" <"$T/in"
    mv "$T/out" "$T/whole"
    rm "$T/state"
    while IFS= read -r line; do
        keep 0 "$BIN/psa-alert" "$@" <<<"$line"
        cat "$T/out"
    done <"$T/in" >"$T/cut"
    cmp "$T/whole" "$T/cut"
    keep 2 "$BIN/psa-alert" --when '.fields.temperature_C > 91' --raise 2/3 --cooldown 3s --state "$T/state" </dev/null
    saying 'the state is of another configuration'
    keep 0 "$BIN/psa-run" "psa-score --ecod --warmup 3 | psa-alert --when '.fields.temperature_C > 90' --raise 2/3 --cooldown 3s" "$T/in"
    mv "$T/out" "$T/fused"
    keep 0 "$BIN/psa-score" --ecod --warmup 3 "$T/in"
    mv "$T/out" "$T/scored"
    keep 0 "$BIN/psa-alert" --when '.fields.temperature_C > 90' --raise 2/3 --cooldown 3s "$T/scored"
    cmp "$T/fused" "$T/out"
    [ -s "$T/out" ]
}

@test "a value of a record that libjq would end the program by is an error of the expression's" {
    hot 95 >"$T/in"
    sed -i 's/"timestamp_ns":1000000000/"timestamp_ns":1710000000000000000,"odd":1e300/' "$T/in"
    for when in '.timestamp_ns | todate > "2024"' '.odd | todateiso8601 > "2024"' '.odd | date > "2024"' '.timestamp_ns | strftime("%H") > "06"' \
        '"abc" | indices("") == []' '"abc" | index("") == 0' '"abc" | rindex("") == 0'; do
        alerts --when "$when" --stats
        same "$T/alerts" </dev/null
        saying 'taken for a record that the condition does not hold for'
        saying '"noted":{"condition":1}'
        accounts "$T/err"
    done
    for holds in '.timestamp_ns / 1e9 | todate == "2024-03-09T16:00:00Z"' '.timestamp_ns / 1e9 + 0.5 | todateiso8601 == "2024-03-09T16:00:00Z"' \
        '.timestamp_ns / 1e9 | strftime("%Y %H") == "2024 16"' '[2024,2,9,16,0,0,6,68] | strftime("%F") == "2024-03-09"' \
        '"abca" | indices("a") == [0, 3]' '[1, 2] | indices(2) == [1]' '"abca" | index("a") == 0' '"abca" | rindex("a") == 3'; do
        alerts --when "$holds" && [ "$(cut -d ' ' -f 2 "$T/alerts")" = raised ] || { echo "does not hold: $holds" >&2 && false; }
    done
    # psa-score --running asks the same way.
    keep 0 "$BIN/psa-score" --ecod --running '.odd | todate > "2000"' --stats <"$T/in"
    saying '"noted":{"condition":1'
}

@test "the time zone of the machine changes no condition" {
    hot 95 >"$T/in"
    for zone in UTC Europe/Berlin America/New_York CET-1CEST; do
        for when in '"2024-07-01T10:00:00Z" | fromdate == 1719828000' '"2024-01-01T10:00:00Z" | fromdateiso8601 == 1704103200' \
            '[2024,6,1,10,0,0,0,0] | mktime == 1719828000' '"2024-07-01" | strptime("%Y-%m-%d") | mktime == 1719792000' \
            '1719828000 | strftime("%H:%M") == "10:00"'; do
            TZ=$zone alerts --when "$when"
            [ "$(<"$T/alerts")" = '1 raised warning 0' ] || { echo "does not hold in $zone: $when" >&2 && false; }
        done
    done
}
