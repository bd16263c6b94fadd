#!/usr/bin/env bats
# psa-score --running: only while the machine runs, and has settled, is anything scored or learned.

load helpers

setup() { psa_setup; }

check() { rm -f "$T"/state-*; "$PY" tests/cli/score_running_check.py "$@"; }

# machine N [FROM TO [AT]]: N seconds of two channels and a current, which is 0 from second FROM on to before TO; a jolt in y at AT.
machine() {
    awk -v n="$1" -v from="${2:--1}" -v to="${3:--1}" -v at="${4:--1}" 'BEGIN {
        for (i = 0; i < n; i++)
            printf("{\"sensor_id\":\"a\",\"fields\":{\"x\":%.6f,\"y\":%.6f,\"amps\":%d},\"timestamp_ns\":%d000000000}\n",
                sin(i) + i * 7919 % 101 / 100, cos(i) + i * 104729 % 103 / 100 + (i == at ? 60 : 0),
                i >= from && i < to ? 0 : 9, 1000 + i)
    }'
}

@test "stopped and settling rows have no score and teach nothing; all others are scored as if these were not; cut and resumed" {
    check 1 5 8 --ecod --warmup 20
    check 2 30 6 --ecod --warmup 20 --horizon 50
    check 3 0 6 --half-space-trees --warmup 40 --samples 30 --on 0 --off 0 # its own limits have a hysteresis, which a stop ends
}

@test "rows before a stop are not joined with rows after it" {
    machine 240 200 210 >"$T/in"
    keep 0 "$BIN/psa-score" --dynamic-pca --lags 4 --warmup 100 --running '.fields.amps > 3' --settle 3s "$T/in"
    jq -s -e '[.[].anomaly | if .raw then "scored" else .state end] | .[199] == "scored" and .[200:210] == [range(10) | "stopped"] and
        .[210:213] == [range(3) | "settling"] and .[213:216] == [range(3) | "warming"] and all(.[216:][]; . == "scored")' "$T/out"
}

@test "an alarm ends with the run: the next one starts quiet" {
    machine 150 100 110 95 >"$T/in"
    keep 0 "$BIN/psa-score" --ecod --warmup 50 --on 6 --off 0 "$T/in"
    jq -s -e 'all(.[95:][]; .anomaly.is_anomaly)' "$T/out" # --off 0: it never ends by itself
    keep 0 "$BIN/psa-score" --ecod --warmup 50 --on 6 --off 0 --running '.fields.amps > 3' --settle 2s "$T/in"
    jq -s -e 'all(.[95:100][]; .anomaly.is_anomaly) and all(.[100:][]; .anomaly.is_anomaly | not) and
        all(.[112:][]; .anomaly.state == "scoring" and .anomaly.raw_threshold == 6)' "$T/out"
}

@test "a record that jq cannot answer for counts as not running, noted and said; one without time does not wait" {
    {
        printf '{"sensor_id":"a","fields":{"x":1,"amps":"much"}}\n'
        printf '{"sensor_id":"b","fields":{"x":1,"amps":5}}\n'
        printf '{"sensor_id":"b","fields":{"x":2}}\n'
        printf '{"sensor_id":"b","fields":{"x":null,"amps":1}}\n'
    } >"$T/in"
    keep 0 "$BIN/psa-score" --ecod --stats --running '.fields.amps + 0 > 3' "$T/in"
    saying "psa-score: $T/in:1: --running '.fields.amps + 0 > 3': "
    saying "; taken for not running"
    jq -c '[.sensor_id, .anomaly.state]' "$T/out" >"$T/got"
    same "$T/got" <<'END'
["a","stopped"]
["b","warming"]
["b","stopped"]
["b","stopped"]
END
    accounts "$T/err"
    jq -e '.noted == {condition: 1} and .passed == 4' "$T/stats.lines"
    printf '{"sensor_id":"b","fields":{"x":1},"mode":"a"}\n' >"$T/in"
    keep 0 "$BIN/psa-score" --ecod --stats --running '.mode > 3 and (.mode | tonumber)' "$T/in"
    accounts "$T/err"
    jq -e '.noted == {condition: 1} and .passed == 1' "$T/stats.lines"
    keep 2 "$BIN/psa-score" --ecod --running '.fields.amps >' "$T/in"
    keep 2 "$BIN/psa-score" --ecod --running 'now > 3' "$T/in"
    keep 2 "$BIN/psa-score" --ecod --settle 3s "$T/in"
}

@test "a state without the machine's, or with it twice, is refused" {
    machine 30 >"$T/in"
    score() { "$BIN/psa-score" --ecod --warmup 5 --running '.fields.amps > 3' --settle 2s "$@" "$T/in"; }
    keep 0 score --state "$T/state"
    for edit in 's/"running":true,//' 's/"running":true,/&&/' 's/"running":true,/"running":"on",/'; do
        sed "$edit" "$T/state" >"$T/bad"
        ! cmp -s "$T/bad" "$T/state"
        keep 2 score --state "$T/bad"
        saying damaged
    done
}

@test "in a group the condition sees the group's record: another sensor says whether the machine runs" {
    printf 'press --ecod --warmup 5 --running '\''.fields["motor/p1:amps"] > 3'\'' --settle 2s imu/p1:rms motor/p1:amps\n' >"$T/groups"
    for i in $(seq 10 29); do
        printf '{"sensor_type":"motor","sensor_id":"p1","fields":{"amps":%d},"timestamp_ns":%d000000000}\n' $((i >= 15 && i < 17 ? 0 : 9)) "$i"
        printf '{"sensor_type":"imu","sensor_id":"p1","fields":{"rms":%d},"timestamp_ns":%d500000000}\n' "$((i * 7 % 5))" "$i"
    done >"$T/in"
    keep 0 "$BIN/psa-score" --groups "$T/groups" "$T/in"
    grep '"group"' "$T/out" | jq -r .anomaly.state | uniq -c | awk '{ print $1, $2 }' >"$T/got"
    same "$T/got" <<'END'
2 settling
3 warming
2 stopped
2 settling
2 warming
9 scoring
END
    head -n 25 "$T/in" >"$T/head"
    tail -n +26 "$T/in" >"$T/tail"
    "$BIN/psa-score" --groups "$T/groups" --state "$T/state" "$T/head" >"$T/cut"
    "$BIN/psa-score" --groups "$T/groups" --state "$T/state" "$T/tail" >>"$T/cut"
    cmp "$T/out" "$T/cut"
}

@test "with a model, which remembers nothing itself, each key has its own state of the machine" {
    machine 60 >"$T/all"
    "$BIN/psa-train" isolation-forest --trees 10 -o "$T/model" "$T/all"
    machine 30 10 20 >"$T/a"
    machine 30 5 25 | sed 's/"a"/"b"/' | paste -d '\n' "$T/a" - >"$T/in"
    keep 0 "$BIN/psa-score" --model "$T/model" --running '.fields.amps > 3' --settle 1s "$T/in"
    for key in a b; do
        grep "\"$key\"" "$T/out" | jq -r .anomaly.state | uniq -c | awk '{ print $1, $2 }' | tr '\n' ' '
        echo
    done >"$T/got"
    same "$T/got" <<'END'
1 settling 9 scoring 10 stopped 1 settling 9 scoring 
1 settling 4 scoring 20 stopped 1 settling 4 scoring 
END
}
