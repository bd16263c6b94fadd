#!/usr/bin/env bats
# psa-spool loses nothing: power cuts, kills, disks that fail or are full. These are samples; spool_proof.sh goes through all.

load ../cli/helpers
setup() {
    psa_setup
    PSA_FAULTY_BIN=$(realpath -m "${PSA_FAULTY_BIN:-bin/build/faulty/bin}")
    export PSA_FAULTY_BIN
}

# prove NAME WORDS...: its counts go to the log as comments, and on a failure all that it said.
prove() {
    local status=0
    "$PY" "tests/fault/$1.py" "${@:2}" >"$T/tap" 2>"$T/err" || status=$?
    grep '^# ' "$T/tap" | grep -v '^#   ' >&3 || true
    [ "$status" -eq 0 ] || cat "$T/tap" "$T/err" >&2
    return "$status"
}

# faulty: the build with named fault points is there.
faulty() { [ -x "$PSA_FAULTY_BIN/psa-spool" ] || skip 'there is no build with -DPSA_FAULT_POINTS'; }

@test "the enumerator of power cuts finds each sync that a toy lacks" { prove power_cut toy; }

@test "recovery from a sample of the states that a power cut allows, at every point of every scenario" {
    faulty
    prove power_cut all --states 60
}

@test "a second power cut, during the recovery from a first" {
    faulty
    prove power_cut twice --states 60
}

@test "each sync left out makes the oracle fail" {
    faulty
    prove power_cut skips --states 400
}

@test "killed at named points, in every scenario" {
    faulty
    prove crash_matrix points --part 0/6
}

@test "errors and short writes at named points" {
    faulty
    prove crash_matrix errors --part 0/12
}

@test "SIGKILL at random instants while records stream" { prove crash_matrix kills --times 100; }

@test "a disk that fails at random and throws away what it failed to sync" { prove crash_matrix faulty --times 26; }

@test "a full file system: block, drop-oldest, reject" {
    prove crash_matrix nospace
    ! grep -q '# skip' "$T/tap" || skip "$(sed -n 's/.*# skip //p' "$T/tap")"
}

@test "no checkpoint is asked for before the cursor knows the last: the stages keep only two" {
    faulty
    local got=0
    seq -f '{"a":%.0f}' 20 >"$T/in"
    PSA_FAULT='cursor.sync:*:EIO' "$PSA_FAULTY_BIN/psa-spool" -d "$T/q" --checkpoint 4 --linger 1s -- \
        sh -c "tee -a $T/seen | $PY $PWD/tests/cli/ack_sink.py $T/got" <"$T/in" 2>"$T/err" || got=$?
    [ "$got" = 1 ]
    saying 'cannot write the cursor: Input/output error'
    [ "$(grep -c checkpoint "$T/seen")" = 1 ]
}
