# psa-spool: the queue as its user meets it. What crashes and power cuts do to it is tests/fault/spool_crash.bats.
# shellcheck disable=SC2030,SC2031 # every test is a subshell, and children its own
load helpers

setup() {
    psa_setup
    Q=$T/q
    SINK=("$PY" "$PWD/tests/cli/ack_sink.py")
    children=()
}

teardown() {
    local child
    for child in ${children[@]+"${children[@]}"}; do kill -KILL "$child" 2>/dev/null || true; done
}

lines() { seq -f '{"sensor_id":"p","fields":{"a":%.0f}}' "$1" "$2"; }
spool() { psa-spool "$@"; }
stat_of() { psa-spool stat -d "$Q" | jq -r "$1"; }

# until_true COMMAND...: within 20 s.
until_true() {
    local end=$((SECONDS + 20))
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || { echo "never true: $*" >&2; return 1; }
        read -r -t 0.02 <> <(:) || :
    done
}
has_lines() { [ "$(wc -l 2>/dev/null <"$1" || echo 0)" -ge "$2" ]; }

@test "append, dump, drain: the same bytes, NUL, CR, bad UTF-8 and empty strings included" {
    printf '%s\n' '{"a":1}' 'not json' '{"b":"\u0000"}' '  {"c": 1.10 , "d" :[]}' >"$T/in"
    printf 'nul \000 byte\n\377\376 no utf-8\nlast without newline' >>"$T/in"
    keep 0 spool append -d "$Q" "$T/in"
    keep 0 spool dump -d "$Q"
    { cat "$T/in"; echo; } | cmp - "$T/out"
    keep 0 spool drain -d "$Q" -- "${SINK[@]}" "$T/got"
    { cat "$T/in"; echo; } | cmp - "$T/got"
    [ "$(stat_of .backlog)" = 0 ]
    keep 0 spool dump -d "$Q"
    [ ! -s "$T/out" ]
    keep 0 spool dump -d "$Q" --all
    { cat "$T/in"; echo; } | cmp - "$T/out"
}

@test "append --ack counts what is taken, control and blank lines included, and answers checkpoints in their place" {
    printf '%s\n' '{"a":1}' '' '{"psa":{"checkpoint":"17"}}' '{"psa":{"heartbeat":5}}' '{"b":2}' \
        '{"psa":{"restore":"3"}}' '{"psa":{"checkpoint":"18"}}' >"$T/in"
    keep 0 spool append -d "$Q" --ack --sync always <"$T/in"
    grep -v '^[1246]$' "$T/out" | same <(printf '%s\n' 3 @17 7 @18)
    keep 0 spool dump -d "$Q"
    same "$T/out" <<'END'
{"a":1}
{"psa":{"heartbeat":5}}
{"b":2}
END
}

@test "append --ack: a line that cannot be stored is !N, the rest is taken" {
    { lines 1 2; head -c 3000 /dev/zero | tr '\0' x; echo; lines 3 3; } >"$T/in"
    keep 0 spool append -d "$Q" --ack --max-line 2000 <"$T/in"
    grep -q '^!3 a line of 3000 bytes, longer than --max-line 2000$' "$T/out"
    [ "$(tail -n 1 "$T/out")" = 4 ]
    [ "$(stat_of .records)" = 3 ]
    saying 'stdin:3: a line of 3000 bytes'
}

@test "append --ack: half a line at the end of the input is no record; without --ack it is" {
    printf '{"a":1}\n{"b":' >"$T/in"
    keep 0 spool append -d "$Q" --ack --stats <"$T/in"
    [ "$(cat "$T/out")" = 1 ]
    saying 'stdin:2: half a line at the end of the input; left out'
    [ "$(grep -F psa_stats "$T/err" | jq -c '[.in,.passed,.rejected.torn]')" = '[2,1,1]' ]
    keep 0 spool append -d "$Q" <"$T/in"
    [ "$(stat_of .records)" = 3 ]
}

@test "more lines than one read takes are all acknowledged while the input stays open" {
    mkfifo "$T/pipe"
    for sync in none always 100ms; do
        psa-spool append -d "$Q" --ack --sync $sync <"$T/pipe" >"$T/out" &
        children+=($!)
        exec 9>"$T/pipe"
        "$PY" -c 'for i in range(60): print("{\"a\":%d,\"x\":\"%s\"}" % (i, "x" * 9000))' >&9 # 540 kB
        until_true grep -qx 60 "$T/out"
        exec 9>&-
        wait "${children[-1]}"
    done
}

@test "the reader goes on by itself however much there is: no answer of the sink has to wake it" {
    "$PY" -c 'for i in range(3000): print("{\"a\":%d,\"x\":\"%s\"}" % (i, "x" * 500))' >"$T/in" # 1.5 MB
    keep 0 spool append -d "$Q" <"$T/in"
    keep 0 timeout 20 psa-spool drain -d "$Q" --trust-write --linger 60s -- sh -c "cat >$T/got"
    cmp "$T/in" "$T/got"
}

@test "a dead letter that cannot be stored is not lost: the record stays, and is tried again" {
    lines 1 3 >"$T/in"
    mkdir -p "$Q/dead" # a folder in its place: opening it fails
    keep 0 spool -d "$Q" --retry-max 50ms --linger 500ms -- "${SINK[@]}" "$T/got" --bad '"a":2}' <"$T/in"
    saying 'record 2 can never be delivered, and cannot be moved to the dead letters now'
    rmdir "$Q/dead"
    [ "$(stat_of .backlog)" = 2 ]
    keep 0 spool drain -d "$Q" -- "${SINK[@]}" "$T/got" --bad '"a":2}'
    [ "$(stat_of '[.dead, .backlog] | @csv')" = 1,0 ]
}

@test "drain --follow told to stop exits with 0 although records wait, and names them" {
    lines 1 3 | keep 0 spool append -d "$Q"
    psa-spool drain -d "$Q" --follow --linger 200ms -- "${SINK[@]}" "$T/got" --hang 2>"$T/err" &
    children+=($!)
    until_true has_lines "$T/got" 3
    kill -TERM "${children[0]}"
    wait "${children[0]}"
    saying "3 records wait in $Q"
}

@test "in a service systemd hears that it is ready, alive and stopping, and the sink does not speak for it" {
    cat >"$T/listen.py" <<END
import os, socket, subprocess, sys
inbox = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
inbox.bind("$T/notify")
inbox.settimeout(20)
env = dict(os.environ, NOTIFY_SOCKET="$T/notify", WATCHDOG_USEC="100000")
child = subprocess.Popen(["psa-spool", "drain", "--follow", "-d", "$Q", "--", "sh", "-c",
                          "echo \${NOTIFY_SOCKET:-none}/\${WATCHDOG_USEC:-none} >$T/env; cat"], env=env)
got = [inbox.recv(99) for _ in range(4)]
child.terminate()
while b"STOPPING=1" not in got:
    got.append(inbox.recv(99))
sys.exit(child.wait() or got[:4] != [b"READY=1"] + [b"WATCHDOG=1"] * 3)
END
    keep 0 "$PY" "$T/listen.py"
    [ "$(cat "$T/env")" = none/none ]
}

@test "in the ordinary way everything reaches the sink, in order, and the exit is 0" {
    lines 1 5000 >"$T/in"
    keep 0 spool -d "$Q" --stats -- "${SINK[@]}" "$T/got" <"$T/in"
    cmp "$T/in" "$T/got"
    [ "$(grep -F psa_stats "$T/err" | jq -c '[.in,.passed,.delivered,.backlog,.restarts]')" = '[5000,5000,5000,0,0]' ]
    accounts "$T/err"
}

@test "a sink that dies again and again, with status 0 or 7, gets the rest: nothing missing, order kept" {
    lines 1 200 >"$T/in"
    for status in 0 7; do
        rm -rf "$Q" "$T/got"
        keep 0 spool -d "$Q" --retry-max 50ms --linger 60s -- "${SINK[@]}" "$T/got" --die-after 40 --status "$status" <"$T/in"
        awk '!seen[$0]++' "$T/got" | cmp - "$T/in"
        saying "exited with status $status"
    done
}

@test "what can never be delivered becomes a dead letter with its reason, and retry-dead brings it back" {
    lines 1 10 >"$T/in"
    keep 0 spool -d "$Q" -- "${SINK[@]}" "$T/got" --bad '"a":7}' <"$T/in"
    grep -v '"a":7}' "$T/in" | cmp - "$T/got"
    saying 'record 7 can never be delivered: cannot be; moved to the dead letters'
    [ "$(stat_of '[.dead, .backlog] | @csv')" = 1,0 ]
    keep 0 spool dump -d "$Q" --dead
    same "$T/out" < <(lines 7 7)
    grep -q ' "cannot be" {' "$Q/dead"
    keep 0 spool retry-dead -d "$Q"
    grep -q 'put 1 dead letters back' "$T/out"
    [ "$(stat_of '[.dead, .backlog] | @csv')" = 0,1 ]
    keep 0 spool drain -d "$Q" -- "${SINK[@]}" "$T/again"
    same "$T/again" < <(lines 7 7)
}

@test "dead letters beyond --max-dead are lost, and counted" {
    lines 1 10 >"$T/in"
    keep 0 spool -d "$Q" --max-dead 150 --stats -- "${SINK[@]}" "$T/got" --bad '"a"' <"$T/in"
    saying 'lost, the dead letters take no more'
    [ "$(grep -F psa_stats "$T/err" | jq '.dead + .dead_lost')" = 10 ]
    [ "$(grep -F psa_stats "$T/err" | jq '.dead_lost > 0 and .dead > 0')" = true ]
}

@test "a sink that hangs is ended after --stall and started again" {
    lines 1 3 >"$T/in"
    cat >"$T/sink" <<END
#!/bin/sh
if [ -e $T/once ]; then exec ${SINK[*]} $T/got; fi
: >$T/once
exec ${SINK[*]} $T/first --hang
END
    chmod +x "$T/sink"
    keep 0 spool -d "$Q" --stall 300ms --retry-max 50ms --linger 30s --stats -- "$T/sink" <"$T/in"
    cmp "$T/in" "$T/got"
    saying 'the sink has finished nothing for'
    [ "$(grep -F psa_stats "$T/err" | jq .stalls)" = 1 ]
}

@test "a five-line shell script is a sink" {
    cat >"$T/sink" <<END
#!/bin/sh
n=0
while IFS= read -r line; do
    n=\$((n + 1))
    printf '%s\n' "\$line" >>$T/got && echo \$n
done
END
    chmod +x "$T/sink"
    lines 1 50 >"$T/in"
    keep 0 spool -d "$Q" -- "$T/sink" <"$T/in"
    cmp "$T/in" "$T/got"
}

@test "nonsense from a sink is told and finishes nothing" {
    lines 1 3 >"$T/in"
    keep 0 spool -d "$Q" --linger 300ms -- "${SINK[@]}" "$T/got" --hang --say 99 <"$T/in"
    saying "the sink printed '99', more lines than it was given"
    [ "$(stat_of .backlog)" = 3 ]
    keep 0 spool -d "$Q" --linger 300ms -- "${SINK[@]}" "$T/got" --hang --say hello </dev/null
    saying "the sink printed 'hello', which is no answer"
    [ "$(stat_of .backlog)" = 3 ]
}

@test "an answer longer than any is taken by its head; the sink's next trouble is told although there were many" {
    lines 1 30 >"$T/in"
    cat >"$T/sink.py" <<END
import os, sys
n = 0
for line in sys.stdin:
    n += 1
    if '"a":3}' in line:
        print("!%d %s" % (n, "x" * 100000))
    else:
        open("$T/got", "a").write(line)
    print(n, flush=True)
    if n > 1:
        os._exit(5)
END
    keep 0 spool -d "$Q" --retry-max 20ms --linger 30s --stats -- "$PY" "$T/sink.py" <"$T/in"
    [ "$(grep -F psa_stats "$T/err" | jq -c '[.dead, .delivered]')" = '[1,29]' ]
    [ "$(grep -c 'exited with status 5' "$T/err")" -gt 10 ]
}

@test "without a sink that works the backlog is named, stays, and drain delivers it" {
    lines 1 20 >"$T/in"
    keep 0 spool -d "$Q" --linger 200ms -- false <"$T/in"
    saying "20 records wait in $Q"
    saying "the sink 'false' exited with status 1"
    keep 1 spool drain -d "$Q" --linger 300ms -- false
    saying '20 records still wait'
    keep 0 spool drain -d "$Q" -- "${SINK[@]}" "$T/got"
    cmp "$T/in" "$T/got"
}

@test "a sink that does not exist is said, and the records stay" {
    lines 1 2 >"$T/in"
    keep 0 spool -d "$Q" --linger 200ms -- "$T/no-such-sink" <"$T/in"
    saying "no-such-sink' cannot be run: No such file or directory"
    [ "$(stat_of .backlog)" = 2 ]
}

@test "--trust-write: what the sink was given is finished" {
    lines 1 3000 >"$T/in"
    keep 0 spool -d "$Q" --trust-write -- sh -c "cat >>$T/got" <"$T/in"
    cmp "$T/in" "$T/got"
    [ "$(stat_of .backlog)" = 0 ]
}

@test "one writer and one reader: a second one is refused and told who has it" {
    mkfifo "$T/pipe"
    psa-spool -d "$Q" -- "${SINK[@]}" "$T/got" <"$T/pipe" 2>"$T/first" &
    children+=($!)
    exec 9>"$T/pipe"
    lines 1 1 >&9
    until_true has_lines "$T/got" 1
    keep 1 spool append -d "$Q" </dev/null
    saying "$(cat "$Q/writer.lock")"
    keep 1 spool drain -d "$Q" -- true
    saying "$(cat "$Q/reader.lock")"
    keep 1 spool repair -d "$Q"
    keep 1 spool retry-dead -d "$Q"
    keep 0 spool stat -d "$Q"
    exec 9>&-
    wait "${children[0]}"
}

@test "--on-full block: the writer waits, and goes on when the sink does; nothing is lost" {
    "$PY" -c 'for i in range(600): print("{\"a\":%d,\"x\":\"%s\"}" % (i, "x" * 4000))' >"$T/in" # 2.4 MB
    cat >"$T/sink" <<END
#!/bin/sh
while [ ! -e $T/go ]; do sleep 0.02; done
exec ${SINK[*]} $T/got
END
    chmod +x "$T/sink"
    psa-spool -d "$Q" --max-size 1MiB --cursor-every 10ms --linger 60s -- "$T/sink" <"$T/in" 2>"$T/err" &
    children+=($!)
    until_true grep -q 'the spool is full: nothing more is read' "$T/err"
    [ "$(stat_of '.bytes <= 1048576')" = true ]
    : >"$T/go"
    wait "${children[0]}"
    cmp "$T/in" "$T/got"
    saying 'there is room in the spool again'
}

@test "--on-full reject: the new is refused, counted, and !N for whoever counts" {
    "$PY" -c 'for i in range(600): print("{\"a\":%d,\"x\":\"%s\"}" % (i, "x" * 4000))' >"$T/in"
    keep 0 spool append -d "$Q" --max-size 1MiB --on-full reject --ack --stats <"$T/in"
    taken=$(stat_of .records)
    [ "$taken" -gt 200 ] && [ "$taken" -le 260 ]
    [ "$(grep -c '^!' "$T/out")" = $((600 - taken)) ]
    [ "$(tail -n 1 "$T/out")" = 600 ]
    [ "$(grep -F psa_stats "$T/err" | jq .rejected.full)" = $((600 - taken)) ]
    accounts "$T/err"
    keep 0 spool drain -d "$Q" -- "${SINK[@]}" "$T/got"
    head -n "$taken" "$T/in" | cmp - "$T/got"
}

@test "--on-full drop-oldest: the newest stay, what is dropped is counted on both sides" {
    "$PY" -c 'for i in range(600): print("{\"a\":%d,\"x\":\"%s\"}" % (i, "x" * 4000))' >"$T/in"
    lines 1 1 | keep 0 spool -d "$Q" -- "${SINK[@]}" "$T/first" # a cursor: without one nobody can tell what was before
    keep 0 spool append -d "$Q" --max-size 1MiB --on-full drop-oldest --stats <"$T/in"
    dropped=$(grep -F psa_stats "$T/err" | jq .dropped_oldest)
    [ "$dropped" -gt 300 ]
    [ "$(stat_of .missing_now)" = "$dropped" ]
    keep 0 spool drain -d "$Q" --stats -- "${SINK[@]}" "$T/got"
    tail -n "+$((dropped + 1))" "$T/in" | cmp - "$T/got"
    [ "$(grep -F psa_stats "$T/err" | jq .missing)" = "$dropped" ]
    saying 'drop'
}

# A line put in now is taken, not refused.
accepts() {
    local refused last
    refused=$(grep -c '^!' "$T/out")
    last=$(tail -n 1 "$T/out")
    "$PY" -c 'print("{\"a\":0,\"x\":\"%s\"}" % ("x" * 5000))' >&9
    until_true said_more "$last"
    [ "$(grep -c '^!' "$T/out")" = "$refused" ]
}
said_more() { [ "$(tail -n 1 "$T/out")" != "$1" ] && tail -n 1 "$T/out" | grep -q '^[0-9]'; }

@test "--on-full reject: what the reader frees is used again" {
    mkfifo "$T/pipe"
    psa-spool append -d "$Q" --max-size 1MiB --on-full reject --ack <"$T/pipe" >"$T/out" 2>"$T/err" &
    children+=($!)
    exec 9>"$T/pipe"
    "$PY" -c 'for i in range(400): print("{\"a\":%d,\"x\":\"%s\"}" % (i, "x" * 4000))' >&9 # 1.6 MB
    until_true grep -qx 400 "$T/out"
    refused=$(grep -c '^!' "$T/out")
    [ "$refused" -gt 0 ]
    psa-spool drain -d "$Q" --trust-write -- sh -c 'cat >/dev/null'
    until_true accepts
    exec 9>&-
    wait "${children[0]}"
}
@test "SIGTERM on a full spool: the lines that were read are stored and delivered once there is room" {
    # 4,900 lines of 200 bytes: some 4,640 fit, the rest waits in the program, which reads 64 KiB at a time.
    "$PY" -c 'for i in range(4900): print(("{\"a\":%d,\"x\":\"" % i).ljust(197, "x") + "\"}")' >"$T/in"
    cat >"$T/sink" <<END
#!/bin/sh
while [ ! -e $T/go ]; do sleep 0.02; done
exec ${SINK[*]} $T/got
END
    chmod +x "$T/sink"
    mkfifo "$T/pipe"
    psa-spool -d "$Q" --max-size 1MiB --cursor-every 10ms --linger 60s -- "$T/sink" <"$T/pipe" 2>"$T/err" &
    children+=($!)
    exec 9>"$T/pipe"
    exec 8<>"$T/pipe"
    cat "$T/in" >&9
    until_true grep -q 'the spool is full: nothing more is read' "$T/err"
    kill -TERM "${children[0]}"
    until_true grep -q 'stopping: ' "$T/err"
    : >"$T/go"
    wait "${children[0]}"
    # What it had not read is still in the pipe; at most one line was read in part, and that is said.
    "$PY" -c 'import os; os.set_blocking(8, False); os.write(1, os.read(8, 1 << 20))' >"$T/rest" 2>/dev/null || true
    exec 9>&- 8>&-
    whole=$(($(wc -l <"$T/got") + $(wc -l <"$T/rest")))
    [ "$whole" = 4900 ] # a line cut in two ends in the rest
    [ "$(wc -l <"$T/got")" -gt 4800 ]
    [ "$(wc -c <"$T/got")" = "$(head -n "$(wc -l <"$T/got")" "$T/in" | wc -c)" ]
    head -c "$(wc -c <"$T/got")" "$T/in" | cmp - "$T/got"
}

@test "drain gives up on a sink that only ever fails, however often it is started" {
    lines 1 3 | keep 0 spool append -d "$Q"
    begin=$SECONDS
    keep 1 timeout 30 psa-spool drain -d "$Q" --linger 1s --retry-max 100ms -- false
    [ $((SECONDS - begin)) -lt 10 ]
    saying '3 records still wait'
}

@test "a folder may be reached through a link" {
    mkdir "$T/real"
    ln -s "$T/real" "$T/link"
    lines 1 3 | keep 0 spool append -d "$T/link"
    keep 0 spool dump -d "$T/real"
    same "$T/out" < <(lines 1 3)
}

@test "a record larger than a quarter of the spool is refused" {
    { lines 1 1; head -c 300000 /dev/zero | tr '\0' x; echo; lines 2 2; } >"$T/in"
    keep 0 spool append -d "$Q" --max-size 1MiB <"$T/in"
    saying 'a record of 300000 bytes, more than a quarter of --max-size'
    [ "$(stat_of .records)" = 2 ]
}

@test "--max-age drops what has waited too long and was taken by a synchronised clock; what was not, stays" {
    mkdir "$Q"
    "$PY" tests/cli/spool_file.py "$Q/00000000000000000001.seg" 1 1000000000000 '{"old":1}' '{"old":2}'
    "$PY" tests/cli/spool_file.py "$Q/00000000000000000003.seg" 3 - '{"unsynced":3}'
    "$PY" tests/cli/spool_file.py "$Q/00000000000000000004.seg" 4 "$(date +%s)000" '{"new":4}'
    # This machine's clock may not be synchronised: then nothing is too old.
    cc -shared -fPIC -o "$T/synced.so" tests/cli/synced_clock.c
    synced=(env LD_PRELOAD="$T/synced.so" ASAN_OPTIONS="verify_asan_link_order=0:${ASAN_OPTIONS:-}")
    keep 0 "${synced[@]}" psa-spool drain -d "$Q" --max-age 1h --stats -- env -u LD_PRELOAD "${SINK[@]}" "$T/got"
    same "$T/got" <<'END'
{"unsynced":3}
{"new":4}
END
    [ "$(grep -F psa_stats "$T/err" | jq -c '[.expired,.missing,.done]')" = '[2,0,4]' ]
    [ "$(stat_of .expired)" = 2 ]
    rm -rf "$Q" && mkdir "$Q"
    "$PY" tests/cli/spool_file.py "$Q/00000000000000000001.seg" 1 1000000000000 '{"old":1}'
    keep 0 spool drain -d "$Q" -- "${SINK[@]}" "$T/all" # without it nothing is dropped
    same "$T/all" <<<'{"old":1}'
}

@test "a record that says its clock is unsynchronised has no age" {
    cc -shared -fPIC -o "$T/synced.so" tests/cli/synced_clock.c
    synced=(env LD_PRELOAD="$T/synced.so" ASAN_OPTIONS="verify_asan_link_order=0:${ASAN_OPTIONS:-}")
    printf '%s\n' '{"sensor_id":"p","fields":{"a":1},"clock":"unsynced"}' '{"clock" : "unsynced"}' '{"clock":"synced"}' \
        '{"note":"clock"}' >"$T/in"
    keep 0 "${synced[@]}" psa-spool append -d "$Q" "$T/in"
    [ "$(cut -d ' ' -f 2 "$Q"/*.seg | sed 's/^[0-9]\{13\}$/time/' | tr '\n' ' ')" = '- - time time ' ]
}

@test "a kernel that may not be asked has no synchronised clock: no record has an age" {
    cc -shared -fPIC -DREFUSED -o "$T/refused.so" tests/cli/synced_clock.c
    refused=(env LD_PRELOAD="$T/refused.so" ASAN_OPTIONS="verify_asan_link_order=0:${ASAN_OPTIONS:-}")
    keep 0 "${refused[@]}" psa-spool append -d "$Q" <<<'{"a":1}'
    [ "$(cut -d ' ' -f 2 "$Q"/*.seg)" = - ]
    rm -rf "$Q" && mkdir "$Q"
    "$PY" tests/cli/spool_file.py "$Q/00000000000000000001.seg" 1 1000000000000 '{"old":1}'
    keep 0 "${refused[@]}" psa-spool drain -d "$Q" --max-age 1h -- env -u LD_PRELOAD "${SINK[@]}" "$T/got"
    same "$T/got" <<<'{"old":1}'
}

@test "--topic stores publish_topic: as psa-mqtt-pub would make it, and never over one that is there" {
    printf '%s\n' '{"sensor_type":"dht11","sensor_id":"p/1","fields":{}}' '{"sensor_type":"dht11","alert":{"kind":"anomaly"}}' \
        '{"sensor_type":"dht11","publish_topic":"own"}' '{"psa":{"heartbeat":5}}' >"$T/in"
    keep 0 spool append -d "$Q" --topic 'f/{sensor_type}/{sensor_id}' <"$T/in"
    keep 0 spool dump -d "$Q"
    same "$T/out" <<'END'
{"sensor_type":"dht11","sensor_id":"p/1","fields":{},"publish_topic":"f/dht11/p_1"}
{"sensor_type":"dht11","alert":{"kind":"anomaly"},"publish_topic":"f/dht11/unknown/alert"}
{"sensor_type":"dht11","publish_topic":"own"}
{"psa":{"heartbeat":5}}
END
}

@test "a damaged line is set aside, counted, and the rest delivered; check says it, repair mends it" {
    lines 1 5 | keep 0 spool append -d "$Q"
    sed -i 's/"a":3/"a":4/' "$Q"/*.seg # the third line no longer has its CRC
    keep 1 spool check -d "$Q"
    grep -q 'seg: byte .* bytes: ' "$T/out"
    keep 0 spool drain -d "$Q" --stats -- "${SINK[@]}" "$T/got"
    same "$T/got" < <(lines 1 2; lines 4 5)
    [ "$(grep -F psa_stats "$T/err" | jq -c '[.damaged,.missing]')" = '[1,1]' ]
    cat "$Q"/*.damaged | grep -q '^3 '
    keep 0 spool repair -d "$Q"
    keep 0 spool check -d "$Q"
    lines 6 6 | keep 0 spool append -d "$Q"
    keep 0 spool drain -d "$Q" -- "${SINK[@]}" "$T/more"
    same "$T/more" < <(lines 6 6)
}

@test "a lost or damaged cursor delivers again rather than losing" {
    lines 1 5 >"$T/in"
    keep 0 spool -d "$Q" -- "${SINK[@]}" "$T/got" <"$T/in"
    echo garbage >"$Q/cursor"
    [ "$(stat_of .cursor)" = damaged ]
    keep 0 spool drain -d "$Q" -- "${SINK[@]}" "$T/again"
    cmp "$T/in" "$T/again"
    rm "$Q/cursor"
    keep 0 spool drain -d "$Q" -- "${SINK[@]}" "$T/once-more"
    cmp "$T/in" "$T/once-more"
}

@test "a torn tail is cut, and stray files are left alone" {
    lines 1 3 | keep 0 spool append -d "$Q"
    printf '4 - 12345678 {"half' >>"$Q/00000000000000000001.seg"
    echo mine >"$Q/notes.txt"
    keep 0 spool check -d "$Q"
    lines 4 4 | keep 0 spool append -d "$Q"
    keep 0 spool dump -d "$Q"
    same "$T/out" < <(lines 1 4)
    [ "$(cat "$Q/notes.txt")" = mine ]
    [ "$(stat_of .strays)" = 1 ]
}

@test "drain --follow hands on what another process appends, at once, and ends with 0 on SIGTERM" {
    psa-spool drain -d "$Q" --follow -- "${SINK[@]}" "$T/got" 2>"$T/err" &
    children+=($!)
    until_true test -e "$Q/reader.lock"
    for i in 1 2 3; do
        lines "$i" "$i" | psa-spool append -d "$Q"
        until_true has_lines "$T/got" "$i"
    done
    kill -TERM "${children[0]}"
    wait "${children[0]}"
    same "$T/got" < <(lines 1 3)
    [ "$(stat_of .backlog)" = 0 ]
}

@test "SIGTERM: what was read is taken, the backlog named, exit 0; a second signal does not linger" {
    mkfifo "$T/pipe"
    psa-spool -d "$Q" --linger 60s -- "${SINK[@]}" "$T/got" --hang <"$T/pipe" 2>"$T/err" &
    children+=($!)
    exec 9>"$T/pipe"
    lines 1 5 >&9
    until_true has_lines "$T/got" 5
    kill -TERM "${children[0]}"
    until_true grep -q 'stopping: 5 records wait; delivering for up to 60 s' "$T/err"
    kill -TERM "${children[0]}"
    wait "${children[0]}"
    exec 9>&-
    saying "5 records wait in $Q"
    keep 0 spool dump -d "$Q"
    same "$T/out" < <(lines 1 5)
}

@test "--checkpoint: a pipeline that dies is restored, and its output is that of one that did not" {
    psa-sim --scene imu --duration 30s --no-labels >"$T/in" # 3000 readings
    psa-window --length 1s --stride 250ms --state "$T/w0" <"$T/in" >"$T/want"
    cat >"$T/chain" <<END
#!/bin/bash
# The pipeline's sink dies twice, in the middle of things.
n=\$(cat $T/runs 2>/dev/null || echo 0)
echo \$((n + 1)) >$T/runs
die=0
[ \$n -lt 2 ] && die=\$((30 + n * 7))
psa-window --length 1s --stride 250ms --state $T/w | ${SINK[*]} $T/got --die-after \$die
END
    chmod +x "$T/chain"
    keep 0 spool -d "$Q" --checkpoint 150 --checkpoint-every 1h --retry-max 50ms --stall 2s --linger 60s -- "$T/chain" <"$T/in"
    [ "$(cat "$T/runs")" = 3 ]
    cmp <(sort -u "$T/want") <(sort -u "$T/got") # again, but nothing else and nothing less
    [ "$(stat_of .backlog)" = 0 ]
    [ "$(stat_of .checkpoint)" = 3000 ]
}

@test "--checkpoint: the first line is a checkpoint, later starts begin with restore, counts finish nothing" {
    lines 1 10 >"$T/in"
    cat >"$T/chain" <<END
#!/bin/sh
tee -a $T/seen | ${SINK[*]} $T/got
END
    chmod +x "$T/chain"
    keep 0 spool -d "$Q" --checkpoint 4 -- "$T/chain" <"$T/in"
    [ "$(head -n 1 "$T/seen")" = '{"psa":{"checkpoint":"0"}}' ]
    [ "$(tail -n 1 "$T/seen")" = '{"psa":{"checkpoint":"10"}}' ]
    grep -v '^{"psa"' "$T/seen" | cmp - "$T/in"
    grep -q '^{"psa":{"checkpoint":"4"}}$' "$T/seen" # the second waits for its answer, so it may be any later one
    rm "$T/seen"
    lines 11 11 | keep 0 spool -d "$Q" --checkpoint 4 -- "$T/chain"
    { echo '{"psa":{"restore":"10"}}'; lines 11 11; echo '{"psa":{"checkpoint":"11"}}'; } | cmp - "$T/seen"
    lines 12 13 | keep 0 spool -d "$Q" --checkpoint 4 --linger 300ms -- sh -c 'cat >/dev/null & echo 2; wait'
    [ "$(stat_of .backlog)" = 2 ]
}

@test "--sync none takes at once and syncs nothing" {
    lines 1 100 >"$T/in"
    keep 0 spool append -d "$Q" --sync none --ack --stats <"$T/in"
    [ "$(tail -n 1 "$T/out")" = 100 ]
    [ "$(grep -F psa_stats "$T/err" | jq .syncs)" = 0 ]
    keep 0 spool append -d "$Q" --sync always --stats <"$T/in"
    [ "$(grep -F psa_stats "$T/err" | jq '.syncs > 0')" = true ]
}

@test "the folder removed under it is said, and ends with 1" {
    mkfifo "$T/pipe"
    psa-spool append -d "$Q" --max-size 1MiB <"$T/pipe" 2>"$T/err" &
    children+=($!)
    exec 9>"$T/pipe"
    lines 1 5 >&9
    until_true test -s "$Q/00000000000000000001.seg"
    rm -r "$Q"
    "$PY" -c 'for i in range(300): print("{\"a\":%d,\"x\":\"%s\"}" % (i, "x" * 4000))' >&9 2>/dev/null || true # 1.2 MB
    exec 9>&-
    status=0
    wait "${children[0]}" || status=$?
    [ "$status" = 1 ]
    saying 'the folder was removed while it was in use; '
}

@test "append --ack acknowledges nothing into a folder that was removed" {
    mkfifo "$T/pipe"
    psa-spool append -d "$Q" --ack --sync always <"$T/pipe" >"$T/out" 2>"$T/err" &
    children+=($!)
    exec 9>"$T/pipe"
    lines 1 100 >&9
    until_true grep -qx 100 "$T/out"
    rm -r "$Q"
    lines 101 200 >&9
    exec 9>&-
    status=0
    wait "${children[0]}" || status=$?
    [ "$status" = 1 ]
    [ "$(tail -n 1 "$T/out")" = 100 ]
    saying 'the folder was removed while it was in use; 100 records were not taken'
}

@test "a link within the spool is not written through" {
    lines 1 3 | keep 0 spool append -d "$Q"
    echo precious >"$T/precious"
    ln -s "$T/precious" "$Q/cursor.tmp"
    keep 0 spool drain -d "$Q" --linger 300ms -- "${SINK[@]}" "$T/got" || true
    [ "$(cat "$T/precious")" = precious ]
}

@test "a closed stdin is an error of reading, and not the spool's folder" {
    keep 1 bash -c "exec psa-spool append -d $Q <&-"
    saying 'stdin: cannot read: Bad file descriptor'
}

@test "wrong usage is said and exits with 2" {
    keep 2 spool
    saying 'no sink is given: psa-spool [options] -- SINK'
    keep 2 spool -d "$Q" cat
    saying "'cat' is no command of psa-spool; a sink stands behind --"
    keep 2 spool append -d "$Q" --sync often </dev/null
    saying "--sync: 'often' is neither always, none, nor a time"
    keep 2 spool append -d "$Q" --on-full cry </dev/null
    keep 2 spool append -d "$Q" --stall 3s </dev/null
    keep 2 spool --ack -- cat
    saying '--ack belongs to psa-spool append'
    keep 2 spool stat -d "$Q" extra
    keep 2 spool drain -d "$Q" --trust-write --checkpoint 5 -- cat
    keep 2 spool append -d "$Q" --max-size 1000 </dev/null
    keep 2 spool append -d "$T/none/q" </dev/null
    saying "there is no folder '$T/none'; make that one first"
    keep 2 spool stat -d "$T/none"
}
