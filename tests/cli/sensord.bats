#!/usr/bin/env bats
# sensord on sensors that are not there (sim:): options, records, time, faults, a slow reader, systemd, and the end. A machine
# that is busy meanwhile makes deadlines be missed, which is no fault here: they must be counted.

load helpers

setup() {
    psa_setup
    export T
}

# What ought to be refused, and is not, would run for ever.
sensord() { timeout 20 "$BIN/sensord" "$@"; }
sensord_to() { sensord "${@:2}" >"$1"; }
check() { "$PY" tests/cli/sensord_check.py "$@"; }

# not COMMAND...: fails unless it fails. (`! command` fails no test of bats unless it is its last line.)
not() {
    if "$@"; then
        echo "this should not be: $*" >&2
        return 1
    fi
}

# A world of the test's own: tests/cli/sensord_world.c.
world() {
    ! grep -q __asan_init "$BIN/sensord" || skip "a preloaded library and AddressSanitizer exclude each other"
    cc -shared -fPIC -o "$T/world.so" tests/cli/sensord_world.c
    export WORLD_SO=$T/world.so
}

# readings FILE: the lines that are no status records and no control lines.
readings() { grep -v -e '"sensor_type":"status"' -e '^{"psa"' "$1"; }

@test "wrong arguments are refused, permanently, and nothing is written" {
    keep 2 sensord
    said 'sensord: no sensor is named; see --list, and --probe for what is there'
    keep 2 sensord imu
    said "sensord: 'imu' names no sensor; write it like mpu6050:i2c-1@0x68?rate=100Hz"
    keep 2 sensord 'sim:imu?rate=10Hz&every=1s'
    keep 2 sensord sim:imu --queue 0s
    keep 2 sensord sim:imu --heartbeat soon
    keep 2 sensord sim:imu -n 0
    keep 2 sensord sim:imu --stats-file "$T/nowhere/stats"
    saying 'cannot be written there'
    keep 2 sensord 'sim:vibration?block=65536' 'sim:imu?block=65537'
    [ ! -s "$T/out" ]
}

@test "what can never work is refused at the start, and says what would" {
    keep 2 sensord sim:imu --stats-file "$T"
    said "sensord: $T: is a folder, no file"
    keep 2 sensord --config "$T"
    saying 'Is a directory'
    keep 2 sensord --config ''
    said 'sensord: --config: the name of the file is empty'
    keep 2 sensord mpu6050:foo
    saying "'foo' is no I2C bus"
    keep 2 sensord 'sim:imu?type=status&id=clock'
    keep 2 sensord sim:imu --queue 1ns
    said "sensord: --queue: '1ns' is not within 10ms to 1d"
    keep 2 sensord --list sim:imu
    said 'sensord: --list stands alone'
    keep 2 sensord --strict --probe
    said 'sensord: --probe stands alone'
    [ ! -s "$T/out" ]
}

@test "a sensor without a name says its own only once" {
    keep 1 sensord --strict 'sim:imu?unplug=50ms'
    said 'sensord: sim:imu: down: no answer; it is unplugged'
}

@test "a block that is far longer than the heartbeats is said" {
    keep 0 sensord --heartbeat 100ms --duration 50ms 'sim:imu?id=a&rate=10Hz&block=600' 'sim:imu?id=b&rate=10Hz&block=3'
    said 'sensord: a: a block lasts 60 s, and no heartbeat passes it: they are that late, for all sensors, where --heartbeat says 0.1 s; give a smaller block='
    [ "$(grep -cF 'sensord: b:' "$T/err")" -eq 0 ]
}

@test "sensors that nobody could tell apart, or that read one place, are refused" {
    keep 2 sensord sim:imu sim:mpu6050?id=sim:imu
    said "sensord: sim:imu and sim:mpu6050 would both be accel_gyro 'sim:imu', and nobody could tell them apart; give one another id="
    keep 0 sensord sim:imu?id=a sim:bmp180?id=a -n 3 # one machine, two kinds
    keep 2 sensord bmp180:i2c-1 bmp180:1@0x77?id=b
    said 'sensord: bmp180:i2c-1 and bmp180:1@0x77 are the same place twice; give it once'
    keep 2 sensord mpu6050:i2c-1@0x68 ads1115:i2c-1@0x48/0 ads1115:1@0x48/0?id=b
    saying 'are the same place twice; give it once'
}

@test "more than a bus can carry is refused, with the sum and the limit" {
    keep 2 sensord 'mpu6050:i2c-7@0x68?rate=400Hz' 'mpu6050:i2c-7@0x69?rate=400Hz&id=b'
    saying 'i2c-7: 2 sensors would send'
    saying 'at 100 kHz (assumed, since nobody says) the bus carries 90'
    [ ! -s "$T/out" ]
}

@test "--config: a sensor a line, comments, and errors with the line's number" {
    printf '%s\n' '# the press' '' '  sim:imu?id=a&rate=100Hz  # its IMU' $'\tsim:bmp180?id=b#7\r' >"$T/sensors"
    keep 0 sensord --config "$T/sensors" sim:dht11?id=c --duration 100ms
    [ "$(readings "$T/out" | jq -r .sensor_id | sort -u | tr '\n' ' ')" = 'a b#7 c ' ]
    printf 'sim:imu\nsim:nothing\n' >"$T/sensors"
    keep 2 sensord --config "$T/sensors"
    said "sensord: $T/sensors:2: sim:nothing: 'nothing' is none of imu, bmp180, dht11 and vibration"
    keep 2 sensord --config "$T/none"
    said "sensord: $T/none: no such file"
    printf '\xef\xbb\xbfsim:imu?id=a\r\n' >"$T/sensors" # an editor's mark
    keep 0 sensord --config "$T/sensors" -n 1
    [ "$(readings "$T/out" | jq -r .sensor_id)" = a ]
    printf "'sim:imu'\n" >"$T/sensors"
    keep 2 sensord --config "$T/sensors"
    said "sensord: $T/sensors:1: 'sim:imu': an argument stands without quotes in a file"
    printf 'sim:imu?id=a sim:dht11\n' >"$T/sensors"
    keep 2 sensord --config "$T/sensors"
    saying "'sim:imu?id=a' has a blank behind it; each sensor is an argument"
    printf 'sim:imu?id=a\rsim:dht11\r' >"$T/sensors"
    keep 2 sensord --config "$T/sensors"
    saying "'sim:imu?id=a' has a control byte behind it, 0x0d"
    printf '# nobody\n' >"$T/sensors"
    keep 2 sensord --config "$T/sensors"
    said 'sensord: no sensor is named; the configuration has none'

    printf '%s\n' 'sim:imu?id=a' >"$T/sensors"
    printf '%s\n' 'sim:imu?id=b' >"$T/more"
    keep 0 sensord --config "$T/sensors" --config "$T/more" sim:dht11?id=c --duration 300ms
    readings "$T/out" | jq -r .sensor_id | sort -u | tr '\n' ' ' >"$T/ids"
    [ "$(cat "$T/ids")" = 'a b c ' ]
}

@test "--list names every driver and the options of all" {
    keep 0 sensord --list
    for word in mpu6050:i2c-N bmp180: ads1115: dht11: dht22: digital: iio:NAME sim:imu rate=HZ id=NAME block=N unplug=; do
        grep -qF -- "$word" "$T/out"
    done
    keep 1 sensord_to /dev/full --list
    saying 'No space left on device'
}

@test "records have their members in order, whole numbers of nanoseconds, and seq from 0" {
    local before after
    before=$(date +%s%N)
    keep 0 sensord -n 5 'sim:imu?id=press-07&rate=500Hz'
    after=$(date +%s%N)
    readings "$T/out" >"$T/readings"
    [ "$(wc -l <"$T/readings")" -eq 5 ]
    head -n 1 "$T/readings" | grep -qE '^\{"sensor_type":"accel_gyro","sensor_model":"MPU6050","sensor_id":"press-07","fields":\{"accel_x":[-0-9.]+,"accel_y":[-0-9.]+,"accel_z":[-0-9.]+,"gyro_x":[-0-9.]+,"gyro_y":[-0-9.]+,"gyro_z":[-0-9.]+\},"timestamp_ns":[0-9]{19},"seq":0(,"clock":"unsynced")?\}$'
    local ns
    while read -r ns; do
        [ "$ns" -ge "$before" ]
        [ "$ns" -le "$after" ]
    done < <(sed 's/.*"timestamp_ns":\([0-9]*\).*/\1/' "$T/readings")
    "$BIN/psa-filter" --scale 1 <"$T/out" >"$T/passed" # every stage reads them
    [ "$(wc -l <"$T/passed")" -eq "$(wc -l <"$T/out")" ]
}

@test "the same seed gives the same machine, another one another" {
    values() { sensord -n 30 'sim:imu?rate=100Hz&'"$1" 2>"$T/err" | readings - | jq -c '[.seq,.fields]' | sort; }
    values seed=3 >"$T/a"
    values seed=3 >"$T/b"
    values seed=4 >"$T/c"
    # By seq: one of the runs may have missed a deadline.
    [ "$(comm -12 "$T/a" "$T/b" | wc -l)" -gt 10 ]
    [ "$(comm -12 "$T/a" "$T/c" | wc -l)" -eq 0 ]
}

@test "a sensor's first success and its coming and going are status records; the others go on" {
    keep 0 sensord --retry-max 100ms --duration 1300ms --stats 'sim:imu?rate=100Hz&id=a&unplug=300ms,400ms' 'sim:dht11?every=50ms&id=b'
    grep '"sensor_type":"status"' "$T/out" | jq -c '[.sensor_model,.sensor_id,.of,.fields.up,.fault,.reason]' | sort >"$T/states"
    same "$T/states" <<'END'
["DHT11","b","dht11",1,null,null]
["MPU6050","a","accel_gyro",0,"absent","sim:imu: no answer; it is unplugged"]
["MPU6050","a","accel_gyro",1,null,null]
["MPU6050","a","accel_gyro",1,null,null]
END
    grep -m 1 '"sensor_id":"a"' "$T/out" >"$T/first" && grep -q '"up":1' "$T/first" # before its first reading
    [ "$(grep -c 'a: down: sim:imu: no answer; it is unplugged' "$T/err")" -eq 1 ]
    [ "$(grep -c 'a: up again after' "$T/err")" -eq 1 ]
    # Of b nothing is missing but what was said to be; of a, what was due while it was down is missing in seq too.
    grep -F psa_stats "$T/err" >"$T/stats"
    [ "$(readings "$T/out" | jq -s '[.[] | select(.sensor_id == "b")] | .[-1].seq + 1 - length')" = "$(jq '.sensors[1].missed' "$T/stats")" ]
    [ "$(readings "$T/out" | jq -s '[.[] | select(.sensor_id == "a")] | .[-1].seq + 1 - length')" = \
        "$(jq '.sensors[0] | .missed + .failed + .absent' "$T/stats")" ]
    jq -e '.sensors[0] | .down == 1 and .failed == 3 and .absent > 20' "$T/stats"
    jq -e '.emitted == 4' "$T/stats"
    accounts "$T/err"
}

@test "failures= are needed in a row; single ones are only counted" {
    keep 0 sensord --duration 600ms --stats 'sim:imu?rate=50Hz&id=a&failures=8&unplug=100ms,60ms&unplug=300ms,60ms'
    [ "$(grep -c '"sensor_type":"status"' "$T/out")" -eq 1 ]
    not grep 'down' <(grep -vF psa_stats "$T/err")
    grep -F psa_stats "$T/err" | jq -e '.sensors[0] | .failed >= 1 and .down == 0'
}

@test "a value that never changes is a fault" {
    keep 0 sensord --retry-max 50ms --duration 2600ms 'sim:bmp180?every=20ms&id=a&stuck=100ms'
    grep '"sensor_type":"status"' "$T/out" | tail -n 1 | jq -e '.fields.up == 0 and .fault == "stuck"'
    readings "$T/out" | jq -e -s '.[10:90] | map(.fields.pressure_Pa) | unique | length == 1' # it said the same all the time
}

@test "--strict ends at the first sensor that goes down" {
    keep 1 sensord --strict 'sim:imu?id=a&unplug=200ms' sim:dht11
    said 'sensord: a: down: sim:imu: no answer; it is unplugged'
    said 'sensord: a went down, and --strict was given'
    tail -n 1 "$T/out" | grep -q '"up":0'
    keep 1 sensord --strict mpu6050:i2c-250?rate=10Hz # absent from the start
    grep -q '"fault":"absent"' "$T/out"
}

@test "readings stand on the grid of deadlines, without drift" { check grid; }
@test "what was due while a sensor was down is missing in seq" { check away; }
@test "a heartbeat's promise is kept" { check promise; }
@test "a slow reader costs the oldest readings, counted and said, and is told the state anew" { check slow_reader; }
@test "a stderr that nobody reads stops no sensor" { check unread_messages; }
@test "of a hundred absent sensors each is named" { check absent; }
@test "a reader that never reads does not hold the second signal" { check stuck_reader; }
@test "a reader that stands still at the end: what was not written is said once" { check not_written; }
@test "what is due while a sensor is down or hangs counts at once" { check booked; }
@test "deadlines missed for long reads are put down to them" { check held; }
@test "READY, STATUS, WATCHDOG and STOPPING reach the service manager" { check notify; }
@test "READY does not wait for a slow sensor's second reading" { check first_failure; }
@test "a call that hangs is said by the main thread, and starves the watchdog when it is the only one" { check hang; }

@test "the clock: unsynchronised readings say so, and a step is a record" {
    world
    check clock
}

@test "readings and heartbeats follow a clock that is set back" {
    world
    check clock_back
}

@test "the record of a step that was dropped for a slow reader is written anew" {
    world
    check dropped_step
}

@test "a thread that never returns does not keep sensord from ending" {
    world
    check left_behind
}

@test "block=N: arrays with their rate, cut short at a gap" {
    keep 0 sensord -n 3 'sim:imu?rate=1kHz&id=a&block=20'
    readings "$T/out" | jq -e -s 'all(.[]; (.fields | to_entries | all(.value | length <= 20)) and .rate_hz == 1000)'
    # Each block begins where the one before it ended, or later, and its time is its first sample's.
    readings "$T/out" | jq -e -s '. as $r | all(range(1; length); $r[.].seq >= $r[. - 1].seq + ($r[. - 1].fields.accel_x | length))'
    keep 0 sensord --duration 500ms 'sim:imu?rate=100Hz&id=a&block=1000&unplug=200ms'
    readings "$T/out" | jq -e -s 'map(.fields.gyro_z | length) | add > 5 and add < 22' # flushed when it went down
    keep 0 sensord -n 2 'sim:vibration?block=512&fault=bearing,at=0s,element=inner'
    readings "$T/out" | jq -e -s '.[0].rate_hz == 25600 and (.[0].fields.accel | length) == 512 and .[1].seq == 512'
}

@test "--duration ends it, SIGTERM and SIGHUP end it, and all that was taken is written" {
    keep 0 sensord --duration 200ms 'sim:imu?rate=100Hz' --stats
    accounts "$T/err"
    [ "$(readings "$T/out" | wc -l)" = "$(grep -F psa_stats "$T/err" | jq .in)" ]
    local pid signal
    for signal in TERM HUP; do
        env --default-signal=HUP "$BIN/sensord" 'sim:imu?rate=200Hz&block=10' --stats-file "$T/stats" >"$T/out" 2>"$T/err" &
        pid=$!
        until [ "$(wc -l <"$T/out")" -gt 2 ]; do read -rt 0.02 <> <(:) || :; done
        kill "-$signal" "$pid"
        wait "$pid"
        tail -c 1 "$T/out" | cmp - <(echo) # whole lines
        [ "$(readings "$T/out" | jq '.fields.accel_x | length' | jq -s add)" = "$(jq .in "$T/stats")" ]
    done
}

@test "a reader that goes ends it as SIGPIPE does; a full disk is an error" {
    set +o pipefail
    sensord 'sim:imu?rate=100Hz' 2>"$T/err" | head -n 1 >"$T/out"
    [ "${PIPESTATUS[0]}" -eq 141 ]
    local got=0
    sensord 'sim:imu?rate=100Hz' >/dev/full 2>"$T/err" || got=$?
    [ "$got" -eq 1 ]
    said 'sensord: stdout: cannot write: No space left on device'
}

@test "steady state allocates nothing, and what started is released" {
    command -v valgrind >/dev/null || skip "valgrind is missing"
    ! grep -q __asan_init "$BIN/sensord" || skip "valgrind and AddressSanitizer exclude each other"
    allocations() {
        valgrind --leak-check=full --error-exitcode=9 --log-file="$T/valgrind" "$BIN/sensord" -n "$1" --heartbeat 10ms 'sim:imu?rate=500Hz&id=a' \
            'sim:imu?rate=500Hz&id=b&block=5' >"$T/out" 2>"$T/err" || return
        sed -n 's/.*total heap usage: \([0-9,]*\) allocs.*/\1/p' "$T/valgrind" | tr -d ,
    }
    short=$(allocations 50)
    long=$(allocations 400)
    [ -n "$short" ] && [ "$short" = "$long" ]
}
