#!/usr/bin/env python3
"""psa-alert --silent against what its manual says, worked out the long way: no heap, no lists, every key looked at for
every record, every limit from the whole history of its key. Streams of all paces at once, with bursts and outages, and
pauses of everything.

    alert_silence_check.py SEED KEYS MAX_KEYS CUTS

The input is cut into CUTS pieces, resumed from --state where there are several."""
import json
import os
import random
import subprocess
import sys

SECOND = 10**9
SILENT, COOLDOWN = 6 * SECOND, 20 * SECOND


def times(rng, until):
    """When one key is heard: at its pace, perhaps in bursts, perhaps with outages."""
    pace = rng.choice([1, 1, 2, 3, 4, 7, 11, 19, 31]) * SECOND
    burst = rng.choice([1, 1, 2, 12])
    outages = rng.choice([0, 0, 0.02, 0.2])
    at = rng.randrange(10 * SECOND)
    while at < until:
        for i in range(burst):
            yield at + i * SECOND // 10
        at += pace + (burst - 1) * SECOND // 10 + rng.choice([0, 0, rng.randrange(SECOND)])
        if rng.random() < outages:
            at += rng.randrange(60 * SECOND)


def limit_of(intervals):
    """Three times the second longest of the last 8 counted, --silent at least."""
    counted, stretch = [], []
    for interval in intervals:
        stretch.append(interval)
        if sum(stretch) >= SILENT // 3:
            counted.append(max(stretch))
            stretch = []
    last = sorted(counted[-8:])
    return max(SILENT, 3 * (last[-2] if len(last) > 1 else last[0] if last else 0))


class Key:
    def __init__(self, at):
        self.intervals, self.limit, self.heard, self.turn, self.told, self.grace = [], SILENT, at, 0, None, None

    def due(self):
        return max(self.heard + self.limit, self.grace or 0)


def expected(records, max_keys):
    keys, out, turn, elapsed, n_grace = {}, [], 0, 0, 0
    begin = records[0][0]
    for at, name in records:
        paused = at - begin - elapsed > SILENT
        elapsed = at - begin
        key = keys.pop(name, None)
        if not key:
            if len(keys) == max_keys:
                del keys[next(iter(keys))]
            key = Key(elapsed)
        else:
            if key.told is not None:
                out.append((at, name, "cleared", key.limit))
            key.intervals = (key.intervals + [elapsed - key.heard])[-1000:]
            key.limit = limit_of(key.intervals)
        keys[name] = key  # the least recently heard first
        turn += 1
        key.heard, key.turn, key.told, key.grace = elapsed, turn, None, None
        due = [k for k in keys.items() if k[1].told is None and k[1].due() <= elapsed]
        if paused:  # whoever became due in the pause gets --silent again, once
            for _, key in due:
                n_grace += not key.grace
                key.grace = key.grace or elapsed + SILENT
            due = [k for k in due if k[1].due() <= elapsed]
        for name, key in sorted(due, key=lambda k: (k[1].due(), k[1].turn)):
            turn += 1
            key.turn, key.told = turn, elapsed
            out.append((at, name, "raised", key.limit))
        again = [k for k in keys.items() if k[1].told is not None and elapsed - k[1].told >= COOLDOWN]
        for name, key in sorted(again, key=lambda k: k[1].turn):
            turn += 1
            key.turn, key.told = turn, elapsed
            out.append((at, name, "ongoing", key.limit))
    assert n_grace > 5, "nobody became due in a pause"
    return out


def alerts(lines, max_keys, cuts):
    state = os.path.join(os.environ["BATS_TEST_TMPDIR"], "state")
    command = [os.path.join(os.environ["PSA_BIN"], "psa-alert"), "--silent", "6s", "--cooldown", "20s", "--max-ahead", "1h", "--max-keys",
               str(max_keys)]
    if os.path.exists(state):
        os.remove(state)
    size = len(lines) // cuts + 1
    out = b""
    for i in range(0, len(lines), size):
        run = subprocess.run(command + (["--state", state] if cuts > 1 else []), input=b"".join(lines[i:i + size]),
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        assert run.returncode == 0, run.stderr
        out += run.stdout
    return [json.loads(line) for line in out.splitlines()]


def main():
    seed, n_keys, max_keys, cuts = map(int, sys.argv[1:])
    rng = random.Random(seed)
    pauses = [(rng.randrange(400 * SECOND), rng.randrange(5 * SECOND, 30 * SECOND)) for _ in range(6)]
    records = sorted((at + sum(length for begin, length in pauses if begin <= at), "k%d" % k)
                     for k in range(n_keys) for at in times(rng, 400 * SECOND))
    lines = [b'{"sensor_id":"%s","fields":{"anomaly_score":0.1},"timestamp_ns":%d,"anomaly":{"is_anomaly":false}}\n' %
             (name.encode(), at) for at, name in records]
    want, got = expected(records, max_keys), alerts(lines, max_keys, cuts)
    states = [state for _, _, state, _ in want]
    assert states.count("raised") > 20 and states.count("cleared") > 20 and states.count("ongoing") > 5, "too little is tested"
    assert any(limit > SILENT for _, _, state, limit in want if state == "raised"), "no slow key falls silent"
    for i, (w, g) in enumerate(zip(want, got)):
        assert w[:3] == (g["timestamp_ns"], g["sensor_id"], g["alert"]["state"]), "line %d: %s instead of %s" % (i + 1, g, w)
        limit = "; its limit is %.1f s, for" % (w[3] / SECOND)
        assert (limit in g["alert"]["reason"]) == (w[3] > SILENT and w[2] != "cleared"), "line %d: %s: %s" % (i + 1, w, g)
    assert len(want) == len(got), "%d lines instead of %d" % (len(got), len(want))


main()
