#!/usr/bin/env python3
"""psa-score --running against what its manual says: the rows of each key that are scored are those for which the machine has
run for --settle, found here by looking back over the whole stream; scored alone they must get the same verdicts, and all
others none. Then the same cut in pieces with --state.

    score_running_check.py SEED SETTLE_S CUTS OPTION..."""
import json
import os
import random
import sys

from psatest import check, psa

SECOND = 10**9
WORK = os.environ["BATS_TEST_TMPDIR"]


def stream(rng, n):
    """Three machines that run for a while and stand for a while; `amps` says so, now and then by null or not at all."""
    out, on, left, at = [], {}, {}, 1700000000 * SECOND
    for _ in range(n):
        key = rng.choice("abc")
        at += rng.randrange(2 * SECOND)
        if left.get(key, 0) == 0:
            on[key], left[key] = not on.get(key, rng.random() < 0.5), rng.choice([1, 2, 5, 40, 120])
        left[key] -= 1
        fields = {"x": round(rng.gauss(0, 1) + (20 if not on[key] else 0), 3) + 0.0005, "amps": 10.5 if on[key] else 0.5}
        if rng.random() < 0.02:
            fields["amps"] = None
        elif rng.random() < 0.02:
            del fields["amps"]
        out.append({"sensor_id": key, "fields": fields, "timestamp_ns": at})
    return out


def phases(records, settle):
    """"stopped", "settling" or None for each record, from all records of its key up to it."""
    out, since = [], {}
    for r in records:
        key = r["sensor_id"]
        if (r["fields"].get("amps") or 0) > 3:
            since.setdefault(key, r["timestamp_ns"])
            out.append("settling" if r["timestamp_ns"] - since[key] < settle else None)
        else:
            since.pop(key, None)
            out.append("stopped")
    return out


def text(records):
    return b"".join(json.dumps(r, separators=(",", ":")).encode() + b"\n" for r in records)


def main():
    seed, settle, cuts, options = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
    rng = random.Random(seed)
    records = stream(rng, 2500)
    options += ["--running", ".fields.amps > 3", "--settle", "%gs" % settle]
    whole = psa("psa-score", *options, data=text(records))
    got, want = [json.loads(line) for line in whole.splitlines()], phases(records, settle * SECOND)
    check(len(got) == len(records), "%d records of %d" % (len(got), len(records)))
    for r, phase in zip(got, want):
        a = r["anomaly"]
        check((a["state"] == phase) if phase else a["state"] not in ("stopped", "settling"), "%r is not %s" % (r, phase))
        check(not phase or (a["is_anomaly"] is False and "raw" not in a and "anomaly_score" not in r["fields"] and
                            "observations_seen" not in a), "a score of %r" % r)
    check({None, "stopped", "settling"} >= set(want) and min(want.count(p) for p in (set(want))) > 50, "the stream says little")
    alone = psa("psa-score", *options[:-4], data=text(r for r, phase in zip(records, want) if not phase))
    for w, g in zip([json.loads(line) for line in alone.splitlines()], [r for r, phase in zip(got, want) if not phase]):
        check(w == g, "%r instead of %r" % (g, w))
    at = sorted([0, len(records)] + [rng.randrange(len(records)) for _ in range(cuts - 1)])
    state, pieces = os.path.join(WORK, "state-%d" % seed), b""
    for begin, end in zip(at, at[1:]):
        pieces += psa("psa-score", *options, "--state", state, data=text(records[begin:end]))
    check(pieces == whole, "cut at %s the bytes differ" % at)


main()
