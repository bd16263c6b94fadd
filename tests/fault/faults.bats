#!/usr/bin/env bats
# Bad input and a bad world: the message, the count, the exit status, and every good record around them unharmed.

load ../cli/helpers
setup() { psa_setup; }
check() { BATS_TEST_TMPDIR=$T "$PY" tests/fault/fault_check.py "$@"; }
FILTER=(--lowpass 1 --rate 9)

@test "SIGTERM: complete lines handled, half a line named, state saved, status 0" { check term; }
@test "SIGINT: the same" { check int; }
@test "SIGTERM to a fused chain saves every stage's state" { check fused; }
@test "SIGTERM within a file: whole lines, and the state stands where the output ended" { check file; }
@test "SIGUSR1 prints the statistics at once" { check usr1; }
@test "the reader goes: quiet" { check gone; }
@test "the reader goes while SIGPIPE is ignored: quiet" { check gone_ignored; }
@test "a line of 100 MB: rejected by name in less than 16 MB of memory" { check long_line; }
@test "peak memory of the chain is under 16 MB and flat" { check memory; }
@test "closed stdin, stdout and stderr" { check closed; }
@test "non-blocking stdin and stdout" { check nonblocking; }
@test "--state-every saves while nothing comes; kill -9 loses nothing before it" { check state_every; }

@test "/dev/full: status 1 and a message, from every stage" {
    record a '"x":[1,2]' 1 '"rate_hz":5,"anomaly":{"is_anomaly":true}' >"$T/in"
    for stage in 'psa-filter --lowpass 1' 'psa-window --length 1' 'psa-features' 'psa-alert' 'psa-run psa-features|psa-alert' \
        'psa-score --ecod'; do
        [ "$stage" != 'psa-score --ecod' ] || record a '"x":1' 1 >"$T/in"
        read -ra words <<<"$stage"
        status=0
        "$BIN/${words[0]}" "${words[@]:1}" <"$T/in" >/dev/full 2>"$T/err" || status=$?
        [ "$status" -eq 1 ]
        said "${words[0]}: stdout: cannot write: No space left on device"
    done
    for i in $(seq 5000); do record a '"x":1' "$i"; done >"$T/in"
    status=0
    "$BIN/psa-filter" "${FILTER[@]}" "$T/in" >/dev/full 2>"$T/err" || status=$?
    [ "$status" -eq 1 ]
    keep 1 "$BIN/psa-filter" "${FILTER[@]}" --rejects /dev/full <<<'no'
    saying '/dev/full: cannot write: No space left on device'
}

# around NAME: the bad line on stdin between good records is rejected for that reason and they come out unharmed.
around() {
    local reason=$1
    { record a '"x":0' 1 && cat && record a '"x":0' 2; } >"$T/in"
    keep 3 "$BIN/psa-filter" "${FILTER[@]}" --strict --stats <"$T/in"
    { record a '"x":0' 1 && record a '"x":0' 2; } | same "$T/out"
    saying "\"rejected\":{\"$reason\":1}"
    saying 'psa-filter: stdin:2: '
    accounts "$T/err"
}

@test "half a line, binary garbage, NUL bytes, NaN and Infinity, wrong types, bad time" {
    around syntax <<<'{"sensor_id":"a","fields":{"x":1'
    around syntax < <(printf '\x89PNG\r\x1a\x00\xff\xfe\x01\x02{}\n')
    around syntax < <(printf '{"fields":{"x":1}}\0\n')
    around syntax < <(printf '{"a":"\xff"}\n')
    around syntax < <(printf '{"a":"x\0y"}\n')
    around syntax <<<'{"fields":{"x":NaN},"timestamp_ns":1}'
    around syntax <<<'{"fields":{"x":-Infinity},"timestamp_ns":1}'
    around syntax <<<'{"fields":{"x":01},"timestamp_ns":1}'
    around syntax <<<"{'fields':{'x':1}}"
    around syntax <<<'{"fields":{"x":1}} {"fields":{"x":1}}'
    around not_object <<<'[1,2]'
    around not_object <<<'"text"'
    around fields <<<'{"fields":[1],"timestamp_ns":1}'
    around fields <<<'{"fields":"x","timestamp_ns":1}'
    around time <<<'{"fields":{"x":1},"timestamp_ns":"soon"}'
    around time <<<'{"fields":{"x":1},"timestamp_ns":1e40}'
    around type <<<'{"sensor_id":"a","fields":{"x":{"y":1}},"timestamp_ns":1}'
}

@test "half a line at the end of the input is rejected, a whole one counts" {
    { record a '"x":0' 1 && printf '{"sensor_id":"a","fields":{"x":0},"timest'; } >"$T/in"
    keep 3 "$BIN/psa-filter" "${FILTER[@]}" --strict <"$T/in"
    record a '"x":0' 1 | same "$T/out"
    saying 'psa-filter: stdin:2: '
}

@test "random bytes: never a crash, one message a line at most, good records around them pass" {
    for seed in 1 2 3 4 5; do
        { record a '"x":0' 1 && "$PY" -c "
import random, sys
r = random.Random($seed)
good = b'{\"sensor_id\":\"a\",\"fields\":{\"x\":[1,null,2e3]},\"timestamp_ns\":1710000000000000000,\"rate_hz\":100}'
for _ in range(400):
    line = bytearray(good)
    for _ in range(r.randint(1, 4)):
        line[r.randrange(len(line))] = r.randrange(256)
    sys.stdout.buffer.write(bytes(line) + b'\n')
" && echo && record z '"x":0' 2; } >"$T/in"
        for stage in 'psa-filter --lowpass 1 --rate 9' 'psa-window --length 2' 'psa-features' 'psa-features --rolling mean@2' 'psa-score --ecod' 'psa-alert'; do
            read -ra words <<<"$stage"
            keep 0 "$BIN/${words[0]}" "${words[@]:1}" --stats <"$T/in"
            accounts "$T/err"
        done
        keep 0 "$BIN/psa-filter" "${FILTER[@]}" <"$T/in"
        tail -n 1 "$T/out" >"$T/last"
        record z '"x":0' 2 | same "$T/last"
    done
}

@test "a state that cannot be written, read or found" {
    record a '"x":1' 1 >"$T/in"
    keep 2 "$BIN/psa-window" --length 1 --state "$T/no/state" <"$T/in"
    said "psa-window: $T/no/state: cannot be written there: $T/no: No such file or directory"
    keep 2 "$BIN/psa-window" --length 1 --state "$T" <"$T/in"
    saying 'Is a directory'
    keep 0 "$BIN/psa-window" --length 1 --state "$T/new" <"$T/in"
    [ -s "$T/new" ]
    [ ! -e "$T/new.tmp" ]
    keep 2 "$BIN/psa-filter" "${FILTER[@]}" --state /dev/full/x <"$T/in"
}

@test "time out of order: late records are dropped and counted in every stage with memory" {
    { record a '"x":[1,2]' 5 '"rate_hz":1e9' && record a '"x":[1,2]' 4 '"rate_hz":1e9' && record a '"x":[1,2]' 9 '"rate_hz":1e9'; } >"$T/in"
    for stage in 'psa-filter --lowpass 1e6' 'psa-window --length 2'; do
        read -ra words <<<"$stage"
        keep 0 "$BIN/${words[0]}" "${words[@]:1}" --stats <"$T/in"
        saying '"dropped":{"late":1}'
        [ "$(wc -l <"$T/out")" -eq 2 ]
        saying "${words[0]}: stdin:2: a: 1 ns older than the newest record; dropped"
    done
}
