#!/usr/bin/env bats
# psa-spool -- psa-mqtt-pub before brokers that are paused, cut off, killed, and refuse: nothing is lost, and both oracles can
# fail. These are short; broker_proof.sh sends 100,000 records.

load ../cli/helpers
setup() {
    psa_setup
    for program in mosquitto mosquitto_passwd openssl; do
        PATH=$PATH:/usr/sbin command -v "$program" >/dev/null || skip "$program is missing"
    done
}

# prove RUN RECORDS: its counts go to the log as comments.
prove() {
    local status=0
    "$PY" tests/fault/broker_chaos.py --folder "$T" --records "$2" "$1" >"$T/said" 2>"$T/err" || status=$?
    if [ "$status" -eq 0 ]; then cat "$T/said" >&3; else cat "$T/said" "$T/err" >&2; fi
    return "$status"
}

@test "4,000 records, a broker that keeps its memory, eleven disturbances: all arrive" { prove memory 4000; }
@test "a broker killed, which forgets: passed only after its PUBACK" { prove forgetful 3000; }
@test "TLS: for a while a certificate of another CA" { prove tls 2000; }
@test "QoS 2 in a persistent session: once each, through cuts" { prove exactly_once 2000; }
@test "dropped after each PUBLISH" { prove dropping 15; }
@test "refusing codes: dead letters, later successes, retry-dead" { prove refusing 300; }
@test "a sink that acknowledges before it has published is caught" { prove trusting 5000; }
@test "a proxy that acknowledges what it swallowed is caught" { prove swallowing 500; }
