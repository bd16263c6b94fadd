#!/usr/bin/env python3
"""psa-score --groups against what its manual says, worked out the long way: for every record of a group's leader the whole
history of each member is searched for its latest value. The joined records, scored by psa-score as any stream is, must be
the bytes that --groups writes.

    score_groups_check.py SEED CUTS DETECTOR [OPTION...]

CUTS: the input is also cut into so many pieces, resumed from --state; the bytes must be the same."""
import json
import os
import random
import sys

from psatest import check, psa

SECOND = 10**9
WORK = os.environ["BATS_TEST_TMPDIR"]
HOLD = 3 * SECOND
# Name, hold, members: the leader first. Two groups share a sensor, one has a sensor that is often silent.
GROUPS = [
    ("press", HOLD, [("vibration/p1", ["rms", "kurtosis"]), ("current/p1", ["amps"]), ("oil", ["temp"])]),
    ("line 2", SECOND // 2, [("current/p1", ["amps"]), ("vibration/p1", ["kurtosis"])]),
    ("other", 100 * SECOND, [("oil", ["temp"]), ("slow/x/1", ["level"]), ("oil", ["flow"])]),
]


def group_file(detector, options):
    lines = ["# groups of the test", ""]
    for name, hold, members in GROUPS:
        words = ["'%s'" % name, "--" + detector] + options + ["--hold", "%dms" % (hold // 10**6)]
        words += ["%s:%s" % (key, ",".join(fields)) for key, fields in members]
        lines.append(" ".join(words) + "   # a comment")
    return "\n".join(lines[:-1]) + "\n" + lines[-1].replace(" --hold", " \\\n  --hold") + "\n"


def stream(rng, n):
    """(key, record as text): four sensors at their own paces, some values null, some fields absent, some records late."""
    at, out = 1700000000 * SECOND, []
    for i in range(n):
        at += rng.choice([0, 50, 150, 150, 400, 900]) * 10**6
        if rng.random() < 0.005:
            at += rng.randrange(20) * SECOND
        key = rng.choice(["vibration/p1"] * 5 + ["current/p1"] * 3 + ["oil"] * 2 + ["slow/x/1"] * (i % 400 > 100) + ["no/one"])
        names = {"vibration/p1": ["rms", "kurtosis", "peak"], "current/p1": ["amps"], "oil": ["temp", "flow"],
                 "slow/x/1": ["level"], "no/one": ["rms"]}[key]
        fields = {}
        for name in rng.sample(names, len(names)):
            if name != "amps" and rng.random() < 0.05:
                continue
            value = round(rng.gauss(5, 1) + 40 * (rng.random() < 0.01), 3)
            fields[name] = None if rng.random() < 0.03 else int(value) if value.is_integer() else value
        kind, _, name = key.rpartition("/") if key == "slow/x/1" else key.partition("/")
        if key == "slow/x/1":
            kind, name = "slow", "x/1"
        if key == "oil":
            kind, name = "", "oil"
        record = {"sensor_type": kind} if kind else {}
        record.update({"sensor_id": name, "fields": fields})
        late = rng.randrange(4 * SECOND) if rng.random() < 0.02 else 0
        record["timestamp_ns"] = at - late
        if rng.random() < 0.5:
            record["labels"] = {"anomaly": int(rng.random() < 0.1)}
        out.append((key, record))
    return out


def text(record):
    return json.dumps(record, separators=(",", ":")) + "\n"


def is_number(value):
    return value is not None


def join(records, group):
    """{index of a leader's record: (its joined record, have all members come)}"""
    name, hold, members = group
    columns = [(key, field) for key, fields in members for field in fields]
    out, newest = {}, None
    for i, (key, record) in enumerate(records):
        at, leads = record["timestamp_ns"], False
        if key != members[0][0]:
            continue
        values, come = {}, True
        for k, f in columns:
            history = []
            for kk, r in records[:i + 1]:
                if kk == k and f in r["fields"] and not (history and r["timestamp_ns"] < history[-1][0]):
                    history.append((r["timestamp_ns"], r["fields"][f], r))
            come = come and any(is_number(v) for _, v, _ in history)
            fresh = history and at - history[-1][0] <= hold
            values["%s:%s" % (k, f)] = history[-1][1] if fresh else None
            leads = leads or (k == key and history and history[-1][2] is record)
        if not leads or (newest is not None and at < newest):
            continue
        newest = at
        joined = {"sensor_type": "group", "sensor_id": name, "fields": values, "timestamp_ns": at}
        if "labels" in record:
            joined["labels"] = record["labels"]
        out[i] = (joined, come)
    return out


def waiting(joined):
    """The record of a group some of whose members have never come: it is not scored."""
    anomaly = {"is_anomaly": False, "threshold": 0.5, "model": None, "state": "missing",
               "missing": [k for k, v in joined["fields"].items() if v is None]}
    return dict(joined, anomaly=anomaly)


def expected(records, detector, options):
    """The lines that come out, as one list a record of the input."""
    out = [[text(r)] for _, r in records]
    for group in GROUPS:
        joined = join(records, group)
        whole = [(i, r) for i, (r, come) in sorted(joined.items()) if come]
        scored = psa("psa-score", "--" + detector, *options, data="".join(text(r) for _, r in whole).encode())
        lines = scored.decode().splitlines(True)
        check(len(lines) == len(whole), "%d of %d joined records of %s scored" % (len(lines), len(whole), group[0]))
        verdict = dict(zip([i for i, _ in whole], lines))
        check(len(whole) > 100, "only %d whole records of %s" % (len(whole), group[0]))
        for i, (record, come) in joined.items():
            out[i].append((group, verdict[i] if come else None, record))
    return out


def compare(want, got):
    lines = got.decode().splitlines(True)
    at = 0
    for each in want:
        for w in each:
            line = lines[at] if at < len(lines) else "nothing"
            at += 1
            if isinstance(w, str):
                check(line == w, "line %d: %r instead of %r" % (at, line, w))
            elif w[1] is not None:
                check(line == w[1], "line %d: %r instead of %r" % (at, line, w[1]))
            else:
                record = json.loads(line)
                model = record["anomaly"].pop("model")
                check(dict(record, anomaly=dict(record["anomaly"], model=None)) == waiting(w[2]),
                      "line %d: %r of %s" % (at, line, model))
    check(at == len(lines), "%d lines instead of %d" % (len(lines), at))


def main():
    seed, cuts, detector, options = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:]
    rng = random.Random(seed)
    records = stream(rng, 1500)
    path = os.path.join(WORK, "groups-%d" % seed)
    with open(path, "w") as f:
        f.write(group_file(detector, options))
    lines = [text(r).encode() for _, r in records]
    whole = psa("psa-score", "--groups", path, data=b"".join(lines))
    compare(expected(records, detector, options), whole)
    at = sorted([0, len(lines)] + [rng.randrange(len(lines)) for _ in range(cuts - 1)])
    state, got = os.path.join(WORK, "state-%d" % seed), b""
    for begin, end in zip(at, at[1:]):
        got += psa("psa-score", "--groups", path, "--state", state, data=b"".join(lines[begin:end]))
    check(got == whole, "cut at %s the bytes differ" % at)


main()
