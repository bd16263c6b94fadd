#!/usr/bin/env bats
# psa-score --groups: sensors scored together, against an oracle that joins them the long way; what its file may not say;
# what a state remembers of groups.

load helpers

setup() { psa_setup; }

check() { rm -f "$T"/state-*; "$PY" tests/cli/score_groups_check.py "$@"; }

# A leader at 10 Hz and a follower at 2 Hz, values without randomness.
pair() {
    awk -v n="$1" 'BEGIN {
        for (i = 0; i < n; i++) {
            printf "{\"sensor_type\":\"imu\",\"sensor_id\":\"p1\",\"fields\":{\"rms\":%d,\"peak\":2},\"timestamp_ns\":%d}\n",
                i * 7919 % 101, 1000000000 + i * 100000000
            if (i % 5 == 0)
                printf "{\"sensor_id\":\"p1\",\"fields\":{\"amps\":%d},\"timestamp_ns\":%d}\n",
                    i * 31 % 17, 1000000000 + i * 100000000
        }
    }'
}

# groups TEXT: the file $T/groups
groups() { printf '%b' "$1" >"$T/groups"; }

# made: the records of groups in $T/out, as $T/made.
made() { grep -F '"sensor_type":"group"' "$T/out" >"$T/made"; }

@test "the joined records and their scores are those of the oracle, uncut and cut, for detectors of each sort" {
    check 1 8 ecod --warmup 20
    check 2 5 ecod --warmup 50 --horizon 60 --rest 5 --on 8 --off 4 --top 5
    check 3 5 dynamic-pca --lags 2,3 --warmup 60 --reference 80 --refit 10 --guard 4
    check 4 5 ewma --warmup 30
}

@test "a group's record comes behind its leader's, which passes byte for byte; labels and clock go along" {
    groups 'press --ecod --warmup 1 imu/p1:rms p1:amps\n'
    {
        printf '{"sensor_id":"p1","fields":{"amps": 1.50 },"timestamp_ns":5}\n'
        printf '{ "sensor_type":"imu","sensor_id":"p1","fields":{"rms":1e1},"clock":"unsynced","labels":{"anomaly": 1},"timestamp_ns":6,"z":1}\n'
    } >"$T/in"
    keep 0 "$BIN/psa-score" --groups "$T/groups" "$T/in"
    head -n 2 "$T/out" | same "$T/in"
    tail -n +3 "$T/out" >"$T/got"
    same "$T/got" <<'END'
{"sensor_type":"group","sensor_id":"press","fields":{"imu/p1:rms":10,"p1:amps":1.5},"timestamp_ns":6,"clock":"unsynced","labels":{"anomaly": 1},"anomaly":{"is_anomaly":false,"threshold":0.5,"model":"ecod","state":"warming","observations_seen":1}}
END
}

@test "a value older than --hold is null and named in missing; the line's --hold goes before the program's" {
    groups 'a --ecod imu/p1:rms p1:amps\nb --ecod --hold 2s imu/p1:rms p1:amps\n'
    {
        printf '{"sensor_id":"p1","fields":{"amps":1},"timestamp_ns":1000000000}\n'
        for at in 2000000000 2000000001 3000000000 3000000001; do
            printf '{"sensor_type":"imu","sensor_id":"p1","fields":{"rms":1},"timestamp_ns":%d}\n' $at
        done
    } >"$T/in"
    keep 0 "$BIN/psa-score" --groups "$T/groups" --hold 1s "$T/in"
    made
    jq -c '[.sensor_id, .fields["p1:amps"], .anomaly.missing]' "$T/made" >"$T/got"
    same "$T/got" <<'END'
["a",1,null]
["b",1,null]
["a",null,["p1:amps"]]
["b",1,null]
["a",null,["p1:amps"]]
["b",1,null]
["a",null,["p1:amps"]]
["b",null,["p1:amps"]]
END
}

@test "until each member has come nothing is learned; a group that is never complete is named at the end" {
    groups 'late --ecod --warmup 3 imu/p1:rms p1:amps\nnever --ecod imu/p1:rms dht/x:t,h\n'
    { pair 40 | grep imu | head -n 30; pair 40 | tail -n 40; } >"$T/in"
    keep 0 "$BIN/psa-score" --groups "$T/groups" --stats "$T/in"
    said "psa-score: group 'never' was never scored: dht/x:t has not come, nor have others of its members"
    made
    jq -s -e '[.[] | select(.sensor_id == "late").anomaly] | .[0].state == "missing" and .[0].missing == ["p1:amps"] and
        ([.[] | select(.state == "warming").observations_seen] == [1, 2, 3]) and .[-1].state == "scoring"' "$T/made"
    jq -s -e 'all(.[] | select(.sensor_id == "never"); .anomaly.state == "missing" and .anomaly.is_anomaly == false)' "$T/made"
    accounts "$T/err"
    jq -e '.emitted > 0 and .noted.incomplete > 0 and .keys == 2 and .dropped == {} and .rejected == {}' "$T/stats.lines"
}

@test "late values are ignored and noted, values that are no numbers count as null" {
    groups 'g --ecod imu/p1:rms p1:amps\n'
    {
        printf '{"sensor_id":"p1","fields":{"amps":1},"timestamp_ns":10}\n'
        printf '{"sensor_id":"p1","fields":{"amps":2},"timestamp_ns":9}\n'
        printf '{"sensor_type":"imu","sensor_id":"p1","fields":{"rms":1},"timestamp_ns":11}\n'
        printf '{"sensor_type":"imu","sensor_id":"p1","fields":{"rms":2},"timestamp_ns":10}\n'
        printf '{"sensor_id":"p1","fields":{"amps":"x"},"timestamp_ns":12}\n'
        printf '{"sensor_type":"imu","sensor_id":"p1","fields":{"rms":3},"timestamp_ns":12}\n'
        printf '{"sensor_id":"p1","fields":{"amps":[1,2]},"timestamp_ns":12}\n'
    } >"$T/in"
    keep 0 "$BIN/psa-score" --groups "$T/groups" --stats "$T/in"
    made
    jq -c .fields "$T/made" >"$T/got"
    same "$T/got" <<'END'
{"imu/p1:rms":1,"p1:amps":1}
{"imu/p1:rms":3,"p1:amps":null}
END
    said "psa-score: $T/in:2: p1: older than what its group holds; it passes, and the group ignores it"
    said "psa-score: $T/in:5: fields.amps is not a number; group 'g' takes p1:amps for null"
    said "psa-score: $T/in:7: fields.amps is an array; group 'g' takes p1:amps for null"
    accounts "$T/err"
    jq -e '.noted == {late: 2, type: 2} and .passed == 7 and .emitted == 2' "$T/stats.lines"
}

@test "by a model: its features are the members, in any order; one more or one less is refused" {
    groups 'press --ecod imu/p1:rms p1:amps\n'
    pair 400 >"$T/in"
    keep 0 "$BIN/psa-score" --groups "$T/groups" "$T/in"
    made
    jq -c 'del(.anomaly, .fields.anomaly_score, .fields.anomaly_label)' "$T/made" >"$T/rows"
    "$BIN/psa-train" isolation-forest --trees 10 -o "$T/model" "$T/rows"
    keep 0 "$BIN/psa-score" --model "$T/model" "$T/rows"
    jq -c .anomaly "$T/out" >"$T/want"
    groups "press p1:amps --model $T/model imu/p1:rms\nagain --model $T/model imu/p1:rms --top 0 p1:amps\n"
    keep 0 "$BIN/psa-score" --groups "$T/groups" "$T/in"
    made
    jq -c 'select(.sensor_id == "again").anomaly | .top' "$T/made" | sort -u >"$T/got"
    same "$T/got" <<<null
    jq -c 'select(.sensor_id == "again").anomaly' "$T/made" >"$T/got"
    [ "$(wc -l <"$T/got")" -eq 400 ]
    tail -n +2 "$T/want" | jq -c 'del(.top)' >"$T/rest" # in the first row amps had not come
    tail -n +2 "$T/got" | same "$T/rest"
    for line in "g --model $T/model imu/p1:rms p1:amps,volts" "g --model $T/model imu/p1:rms"; do
        groups "$line\n"
        keep 2 "$BIN/psa-score" --groups "$T/groups" "$T/in"
        saying "$T/groups:1: group 'g': 'p1:"
    done
}

@test "with --key the members' keys are its values, and the group's record carries its name there" {
    groups 'line --ecod m1:x m2:x\n'
    printf '{"tags":{"host":"m%d","n":1},"fields":{"x":%d}}\n' 2 5 1 6 >"$T/in"
    keep 0 "$BIN/psa-score" --groups "$T/groups" --key tags.host "$T/in"
    made
    jq -c '[.tags, .fields]' "$T/made" >"$T/got"
    same "$T/got" <<<'[{"host":"line"},{"m1:x":6,"m2:x":5}]'
}

@test "a state of a changed group is refused by name, a new group starts afresh, one that is gone is said" {
    pair 100 >"$T/in"
    groups 'a --ecod imu/p1:rms p1:amps\nb --ecod imu/p1:rms\n'
    keep 0 "$BIN/psa-score" --groups "$T/groups" --state "$T/state" "$T/in"
    groups 'a --ecod --horizon 50 imu/p1:rms p1:amps\n'
    keep 2 "$BIN/psa-score" --groups "$T/groups" --state "$T/state" "$T/in"
    said "psa-score: $T/state: the state of group 'a' was kept with other options or another model than $T/groups has in line 1; move the file away to start afresh"
    groups 'a --ecod p1:amps imu/p1:rms\n'
    keep 2 "$BIN/psa-score" --groups "$T/groups" --state "$T/state" "$T/in"
    saying "the state of group 'a' was kept with other members"
    groups 'c --ecod imu/p1:rms\n# b went\na --ecod --hold 9s imu/p1:rms p1:amps\n'
    pair 120 | tail -n 1 >"$T/next"
    keep 0 "$BIN/psa-score" --groups "$T/groups" --state "$T/state" "$T/next"
    said "psa-score: group 'b' of the state is not in $T/groups any more; it is forgotten"
    made
    jq -c '[.sensor_id, .anomaly.observations_seen]' "$T/made" >"$T/got"
    same "$T/got" <<<'["c",1]
["a",100]'
    for change in 's/"held":\[\[true/"held":[["x"/' 's/"held":\[/&null,/' 's/"judge"/"juge"/' 's/"group":"c"/"grup":"c"/' 's/"members".*"newest/"newest/'; do
        sed "$change" "$T/state" >"$T/bad"
        keep 2 "$BIN/psa-score" --groups "$T/groups" --state "$T/bad" "$T/in"
        saying damaged
    done
}

@test "a leader's record older than the group's newest makes none, also after a restart" {
    groups 'a --ecod imu/p1:rms,peak\n'
    leader() { printf '{"sensor_type":"imu","sensor_id":"p1","fields":{%s},"timestamp_ns":%d}\n' "$1" "$2"; }
    { leader '"peak":1' 5; leader '"rms":1' 10; } >"$T/1"
    { leader '"peak":2' 9; leader '"rms":3' 11; } >"$T/2"
    "$BIN/psa-score" --groups "$T/groups" "$T/1" "$T/2" >"$T/whole" 2>"$T/err"
    jq -c 'select(.sensor_type == "group") | [.fields[]]' "$T/whole" >"$T/got"
    same "$T/got" <<'END'
[null,1]
[1,1]
[3,2]
END
    "$BIN/psa-score" --groups "$T/groups" --state "$T/state" "$T/1" >"$T/cut" 2>"$T/err"
    "$BIN/psa-score" --groups "$T/groups" --state "$T/state" "$T/2" >>"$T/cut" 2>"$T/err"
    cmp "$T/whole" "$T/cut"
}

@test "what the file may not say is refused with its line" {
    # line of the message | file
    while IFS='|' read -r message text; do
        groups "$text"
        keep 2 "$BIN/psa-score" --groups "$T/groups" </dev/null
        said "psa-score: $T/groups$message"
    done <<'END'
: no group stands there|# nothing\n\n
:1: group 'a' has no members; give KEY:FIELD|a --ecod\n
:1: 'y' is no member; give KEY:FIELD|a --ecod y\n
:1: 'x:' has an empty field; give KEY:FIELD,FIELD|a --ecod x:a,,b\n
:1: x:a stands there twice|a --ecod x:a,b x:a\n
:1: '/x:a' has an empty type or id; give TYPE/ID:FIELD|a --ecod /x:a\n
:1: 'x:' has a field that psa-score writes itself; give KEY:FIELD,FIELD|a --ecod x:anomaly_score\n
:4: there is a group 'a' already, in line 2|\na --ecod x:a\n# b\na --ecod x:b\n
:1: a quote is not closed|a --ecod "x:a\n
:2: '--ecod' is no name of a group; it comes before the options|\n--ecod x:a\n
:1: there is no option '--history'; see --help|a --ecod --history f x:a\n
:1: say how to score: --model FILE, or --ecod or another detector|a x:a\n
:1: --settle means nothing without --running|a --ecod --settle 4s x:a\n
:4: group 'b' has no members; give KEY:FIELD|a --ecod \\\n --warmup 5 \\\n x:a\nb --ecod\n
:1: group 'a': model 'none' does not exist|a --model none x:a\n
END
    "$PY" -c 'print("a --ecod " + " ".join("x:f%d" % i for i in range(4097)))' >"$T/groups"
    keep 2 "$BIN/psa-score" --groups "$T/groups" </dev/null
    said "psa-score: $T/groups:1: more than 4096 members"
    keep 2 "$BIN/psa-score" --groups "$T/none" </dev/null
    said "psa-score: --groups: '$T/none' does not exist"
    keep 2 "$BIN/psa-score" --groups "$T/groups" --top 2 </dev/null
}

@test "words are the shell's: a backslash in double quotes stays where it means nothing, lines go on within them too" {
    cat >"$T/groups" <<'END'
press --ecod --running "\"a\u0041\" == \"aA\" and \
    true" imu/p1:rms # \
other --ecod imu/p1:pe\
ak
END
    pair 1 >"$T/in"
    keep 0 "$BIN/psa-score" --groups "$T/groups" "$T/in"
    made
    jq -c '[.sensor_id, .anomaly.state, (.fields | keys[0])]' "$T/made" >"$T/got"
    same "$T/got" <<'END'
["press","settling","imu/p1:rms"]
["other","warming","imu/p1:peak"]
END
    cat >>"$T/groups" <<'END'
a --ecod \
    x:a,,
END
    keep 2 "$BIN/psa-score" --groups "$T/groups" </dev/null
    said "psa-score: $T/groups:5: 'x:' has an empty field; give KEY:FIELD,FIELD"
}

@test "fused in psa-run the bytes are the same" {
    groups 'press --ecod --warmup 20 imu/p1:rms p1:amps\n'
    pair 200 >"$T/in"
    keep 0 "$BIN/psa-run" "psa-score --groups '$T/groups' | psa-score --ecod --warmup 10" "$T/in"
    mv "$T/out" "$T/fused"
    "$BIN/psa-score" --groups "$T/groups" "$T/in" >"$T/first" 2>"$T/err"
    "$BIN/psa-score" --ecod --warmup 10 "$T/first" | cmp - "$T/fused"
}
