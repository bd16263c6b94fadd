#!/usr/bin/env bats
# Whole pipelines are killed and no byte changes. These are samples; pipeline_proof.sh has 200 kills for every detector.

load ../cli/helpers
setup() { psa_setup; }

# prove WORDS...: its counts go to the log as comments.
prove() {
    local status=0
    "$PY" tests/fault/pipeline_crash.py "$@" >"$T/said" 2>"$T/err" || status=$?
    if [ "$status" -eq 0 ]; then tail -n 1 "$T/said" >&3; else cat "$T/said" "$T/err" >&2; fi
    return "$status"
}

@test "kill -9 of any process at any time, restart at the last committed checkpoint: the bytes of the uncrashed run" {
    prove kills --times 4 --layouts mixed
}
@test "the same, each stage a process of its own, in one long run" { prove kills --times 20 --layouts piped --detectors ecod; }
@test "SIGTERM in mid-stream and resumed from --state: the bytes of the uncut run, for every detector" { prove terms --times 2; }
@test "psa-spool as the feeder, killed as well" { prove spool --times 5 --detectors ecod; }

@test "a checkpoint that was asked for twice outlives the next one" {
    for _ in 1 2; do
        keep 0 "$BIN/psa-window" --length 2 --state "$T/s" <<<'{"psa":{"checkpoint":"7"}}'
    done
    printf '{"psa":{"restore":"7"}}\n%s\n{"psa":{"checkpoint":"8"}}\n' "$(record a '"x":1' 1)" >"$T/in"
    keep 0 "$BIN/psa-window" --length 2 --state "$T/s" "$T/in"
    [ -e "$T/s.7" ] # nobody has said that 8 is committed
    [ -e "$T/s.8" ]
}

@test "what a kill left of a state that was being written goes with the next restore" {
    keep 0 "$BIN/psa-window" --length 2 --state "$T/s" <<<'{"psa":{"checkpoint":"7"}}'
    : >"$T/s.8.tmp"
    : >"$T/s.other.tmp"
    keep 0 "$BIN/psa-window" --length 2 --state "$T/s" <<<'{"psa":{"restore":"7"}}'
    [ ! -e "$T/s.8.tmp" ]
    [ -e "$T/s.other.tmp" ]
}
