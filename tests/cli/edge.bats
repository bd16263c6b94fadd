#!/usr/bin/env bats
# pipelines/edge.sh as it stands in a checkout, against a real broker and a webhook; the cron jobs; what systemd says of the units.
# tests/units/nspawn.sh runs the units themselves.

setup() {
    load helpers
    psa_setup
    command -v mosquitto_sub >/dev/null || skip 'mosquitto_sub is missing'
    command -v mosquitto >/dev/null || PATH=$PATH:/usr/sbin
    command -v mosquitto >/dev/null || skip 'mosquitto is missing'
    PIDS=()
    read -r PORT HOOK < <("$PY" -c 'import socket
s = [socket.socket() for _ in range(2)]
[x.bind(("127.0.0.1", 0)) for x in s]
print(*[x.getsockname()[1] for x in s])')
    # Some 270 readings and 170 windows a second of our time; a fifth of the windows are anomalous.
    cat >"$T/conf" <<END
PSA_SOURCE='psa-sim --duration 0 --speed 10x --rate 25Hz --no-faults'
PSA_LOG=\$PSA_DIR/source.ndjson
PSA_STAGES="psa-filter --lowpass 8Hz --rate 25Hz --fields 'accel_*,gyro_*' --state '\$state/filter' |
    psa-window --length 1s --stride 250ms --state '\$state/window' |
    psa-features --features rms,ptp --state '\$state/features' |
    psa-score --ecod --warmup 20 --contamination 0.2 --horizon 500 --state '\$state/score'"
PSA_ALERT='--raise 1/1 --clear 1 --cooldown 1s'
PSA_CHECKPOINT='--checkpoint 300 --checkpoint-every 1s'
PSA_MQTT='--host 127.0.0.1 --port $PORT --retry-max 1s'
PSA_WEBHOOK='--retry-max 1s http://127.0.0.1:$HOOK/alerts'
END
    export PSA_CONF=$T/conf PSA_DIR=$T/spool
}

teardown() {
    local pid
    if [ -z "${BATS_TEST_COMPLETED:-}" ] && [ -e "$T/out" ]; then # what happened, and who is there
        tail -n 20 "$T/out"
        ps -eww -o pid=,ppid=,stat=,args= | awk -v dir="$PSA_DIR" 'index($0, dir)'
        for pid in readings records alerts; do "$BIN/psa-spool" stat -d "$PSA_DIR/$pid"; done
    fi >&2
    for pid in ${PIDS[@]+"${PIDS[@]}"}; do kill -TERM "$pid" 2>/dev/null && wait "$pid" 2>/dev/null; done
    return 0
}

# within SECONDS COMMAND...: true as soon as COMMAND is.
within() {
    local limit=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$limit" ] || { echo "not within its time: $*" >&2 && return 1; }
        sleep 0.05
    done
}

listens() { (exec 9<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

broker() {
    [ -e "$T/broker.conf" ] || cat >"$T/broker.conf" <<END
listener $PORT 127.0.0.1
allow_anonymous true
max_queued_messages 0
max_inflight_messages 0
END
    mosquitto -c "$T/broker.conf" >"$T/broker.log" 2>&1 3>&- &
    PIDS+=($!)
    within 10 listens "$PORT"
    stdbuf -oL mosquitto_sub -h 127.0.0.1 -p "$PORT" -d -c -i recorder -q 1 -t 'factory/#' -F '%p' >"$T/sub" 2>&1 3>&- &
    PIDS+=($!)
    within 10 grep -q SUBACK "$T/sub"
}
# mosquitto_sub's -d writes its own lines too.
arrived() { grep '^{' "$T/sub" || true; }

webhook() {
    "$PY" tests/units/recorder.py "$HOOK" "$T/alerts" 3>&- &
    PIDS+=($!)
    within 10 listens "$HOOK"
}

edge() { # on a terminal, for Ctrl-C
    rm -f "$T/go"
    PSA_BIN=$BIN "$PY" tests/units/terminal.py "$T/go" pipelines/edge.sh >"$T/out" 2>&1 3>&- &
    EDGE=$!
    PIDS+=($!)
}

has() { [ -e "$1" ] && [ "$(grep -c '^{' "$1")" -ge "$2" ]; }

interrupt() {
    touch "$T/go"
    wait "$EDGE" || { local status=$? && tail -n 20 "$T/out" >&2 && return "$status"; }
}

spool() { "$BIN/psa-spool" stat -d "$PSA_DIR/$1" | jq -c "$2"; }

waits() { [ "$(spool "$1" .backlog)" -ge "$2" ]; }

# What was taken, through the same stages in one go.
replay() {
    local state=$T/replay
    mkdir -p "$state"
    # shellcheck source=/dev/null
    . "$T/conf"
    [ -e "$T/taken" ] || "$BIN/psa-spool" dump --all -d "$PSA_DIR/readings" >"$T/taken"
    "$BIN/psa-run" "$PSA_STAGES" "$T/taken" >"$T/records.expected"
    # shellcheck disable=SC2086 # a list of options
    "$BIN/psa-alert" $PSA_ALERT --state "$state/alert" "$T/records.expected" >"$T/alerts.expected"
}

@test "edge.sh: every reading taken is a record at the broker and an alert at the webhook; Ctrl-C is clean" {
    broker
    webhook
    edge
    within 30 has "$T/sub" 300
    within 30 has "$T/alerts" 20
    interrupt
    replay
    cmp "$T/taken" "$PSA_DIR/source.ndjson"
    for name in readings records alerts; do [ "$(spool $name .backlog)" = 0 ]; done
    within 10 has "$T/sub" "$(wc -l <"$T/records.expected")"
    arrived >"$T/records"
    cmp "$T/records" "$T/records.expected"
    cmp "$T/alerts" "$T/alerts.expected"
}

@test "edge.sh: without broker and webhook the spools keep all, and the next run delivers it before its own" {
    edge
    within 30 waits records 200
    within 30 waits alerts 10
    interrupt
    broker
    webhook
    # Event time of a simulated source begins anew: nothing more to read, only what is left.
    sed -i "s/^PSA_SOURCE=.*/PSA_SOURCE=true/" "$T/conf"
    PSA_BIN=$BIN timeout 60 pipelines/edge.sh 2>"$T/err"
    replay
    within 10 has "$T/sub" "$(wc -l <"$T/records.expected")"
    arrived | sort -u | cmp - <(sort -u "$T/records.expected")
    sort -u "$T/alerts" | cmp - <(sort -u "$T/alerts.expected")
}

# The process of the stages whose command line has the pattern; of this run, not of another's.
stage() { ps -eww -o pid=,args= | awk -v dir="$PSA_DIR" -v pattern="$1" 'index($0, dir) && $0 ~ pattern && !/awk/ { print $1; exit }'; }
runs() { [ -n "$(stage "$1")" ]; }

@test "edge.sh: each process between the spools killed in turn, and no webhook for a while: nothing lost or invented" {
    local pattern
    broker
    mkdir -p "$T/segments"
    "$PY" tests/units/segments.py keep "$PSA_DIR/readings" "$T/segments" 3>&- &
    KEEPER=$!
    PIDS+=($!)
    edge
    within 30 has "$T/sub" 100
    for pattern in '^ *[0-9]+ psa-run' '^ *[0-9]+ psa-alert' 'psa-spool append .*/alerts' 'psa-spool append .*/records'; do
        within 30 runs "$pattern"
        kill -KILL "$(stage "$pattern")"
        within 30 has "$T/sub" $(($(grep -c '^{' "$T/sub") + 200))
    done
    webhook
    within 30 has "$T/alerts" 20
    interrupt
    kill -TERM "$KEEPER" && wait "$KEEPER"
    "$PY" tests/units/segments.py taken "$T/segments" >"$T/taken"
    replay
    within 10 has "$T/sub" "$(wc -l <"$T/records.expected")"
    arrived >"$T/records"
    "$PY" tests/units/oracle.py records "$T/records.expected" "$T/records"
    "$PY" tests/units/oracle.py alerts "$T/alerts.expected" "$T/alerts"
}

@test "edge.sh: a folder whose name psa-run would cut is refused" {
    PSA_DIR="$BATS_TEST_TMPDIR/o'brien" run pipelines/edge.sh
    [ "$status" = 2 ]
    [[ $output == *"o'brien' has a quote"* ]]
}

@test "psa-drain: silent when all is delivered; says what is left when not" {
    printf '{"sensor_id":"a","n":%d}\n' 1 2 3 | "$BIN/psa-spool" append -d "$T/q"
    export PSA_BIN=$BIN PSA_LINGER=1s
    run pipelines/cron/psa-drain "$T/q" psa-mqtt-pub --ack --host 127.0.0.1 --port "$PORT"
    [ "$status" -eq 1 ]
    [[ $output == *'"backlog":3'* ]]
    broker
    PSA_LINGER=10s run pipelines/cron/psa-drain "$T/q" psa-mqtt-pub --ack --host 127.0.0.1 --port "$PORT"
    [ "$status" -eq 0 ]
    [ -z "$output" ]
    within 10 has "$T/sub" 3
    run pipelines/cron/psa-drain "$T/nothing" psa-mqtt-pub --ack
    [ "$status" -eq 0 ]
}

@test "psa-drain: silent when another reader has the spool" {
    printf '{"sensor_id":"a","n":%d}\n' 1 2 3 | "$BIN/psa-spool" append -d "$T/q"
    mkfifo "$T/hold"
    "$BIN/psa-spool" drain -d "$T/q" -- sh -c "cat <'$T/hold'" 2>"$T/err" 3>&- &
    PIDS+=($!)
    within 10 test -s "$T/q/reader.lock"
    PSA_BIN=$BIN run pipelines/cron/psa-drain "$T/q" cat
    [ "$status" -eq 0 ]
    [ -z "$output" ]
}

@test "psa-replay-night: a recording gives the alerts it gave" {
    "$BIN/psa-sim" --duration 60s --rate 25Hz | gzip >"$T/night.gz"
    PSA_BIN=$BIN run pipelines/cron/psa-replay-night "$T/night.gz"
    [ "$status" -eq 0 ]
    [[ $output == *'raised'* ]]
}

@test "systemd-analyze has nothing to say about the units" {
    command -v systemd-analyze >/dev/null || skip 'systemd-analyze is missing'
    mkdir "$T/units"
    cp -r pipelines/systemd/*.service pipelines/systemd/*.target pipelines/systemd/psa-.service.d "$T/units"
    sed -i "s|/usr/local/share/psa|$PWD|" "$T"/units/*.service
    SYSTEMD_UNIT_PATH=$T/units: run systemd-analyze verify --man=no "$T"/units/*.target "$T"/units/*.service
    [ "$status" -eq 0 ]
    [ -z "$output" ]
}

@test "sensors: those of a list, as psa-sensord.service runs them; and the source of all of it where there is one" {
    printf '%s\n' 'sim:imu?id=press-07' >"$T/sensors"
    sed -i '/^PSA_SOURCE/d; /^PSA_LOG/d' "$T/conf"
    PSA_SENSORS=$T/sensors PSA_SENSORD='--count 5 --heartbeat 1h' keep 0 pipelines/edge.sh sensors
    [ "$(grep -c '"seq":' "$T/out")" -eq 5 ]
    PSA_SENSORS=$T/sensors PSA_SENSORD='--count 5' keep 0 pipelines/edge.sh source
    [ "$(grep -c '"seq":' "$T/out")" -eq 5 ]
    PSA_SENSORS=$T/none PSA_SOURCE='echo simulated' keep 0 pipelines/edge.sh source
    same "$T/out" <<<simulated
}
