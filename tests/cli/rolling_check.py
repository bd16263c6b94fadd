"""psa-features --rolling against brute force in Python: every statistic by count and by time, in any company."""
import json
import math
import os
import random
import tempfile

import numpy as np

from psatest import check, close, lines, main, psa, records

T0 = 1710000000000000000
STATS = ["mean", "std", "var", "min", "max", "median", "q05", "q95", "q99.9", "rms", "slope", "zscore", "ewma"]
EXACT = {"min", "max", "median", "q05", "q95", "q99.9"}
SPAN_NS = {"10ms": 10000000, "250ms": 250000000, "1.5s": 1500000000, "1m": 60000000000}


def streams(n, seed):
    """Several keys of two fields each: offsets, ties, jumps of scale, nulls, absent fields, pauses, equal and late times."""
    rng = random.Random(seed)
    shapes = [lambda i: rng.gauss(0, 1), lambda i: 1e9 + rng.gauss(0, 1e-3), lambda i: rng.randrange(4),
              lambda i: rng.gauss(0, 1e6 if 100 < i < 140 else 1), lambda i: 4.25, lambda i: float(i), lambda i: -0.5 * i]
    t = {key: T0 + rng.randrange(1000) for key in "abcd"}
    recs = []
    for i in range(n):
        key = rng.choice("abcd")
        t[key] += rng.choice([0, 1000000, 3000000, 10000000, rng.randrange(40000000), 2000000000 if rng.random() < .02 else 0])
        fields = {"x": shapes["abcd".index(key)](i), "s": "on", "y": shapes[4 + "abcd".index(key) % 3](i)}
        if i > 4 and rng.random() < .1:
            fields["x"] = None
        if i > 20 and rng.random() < .1:
            del fields["y"]
        late = rng.random() < .03
        recs.append({"sensor_id": key, "fields": fields, "timestamp_ns": t[key] - (5000000 if late else 0)})
    return recs


def line_slope(ts, xs, per):
    t, x = [v - ts[0] for v in ts], [v - xs[0] for v in xs]
    mt, mx = math.fsum(t) / len(t), math.fsum(x) / len(x)
    below = math.fsum((v - mt) ** 2 for v in t)
    return math.fsum((v - mt) * (w - mx) for v, w in zip(t, x)) / below * per if below else None


def statistic(name, xs, ts, per=1):
    """Of the samples of a full window, ts whole numbers, `per` of them one of the slope's unit. None: undefined."""
    n = len(xs)
    if n == 0 or (n < 2 and name in ("slope", "zscore")):
        return None
    if name in ("min", "max"):
        return min(xs) if name == "min" else max(xs)
    if name == "median":
        return float(np.median(xs))
    if name[0] == "q":
        return float(np.quantile(xs, float(name[1:]) / 100))
    if name == "slope":
        return line_slope(ts, xs, per)
    shifted = [v - xs[0] for v in xs]
    mean = math.fsum(shifted) / n
    var = math.fsum((v - mean) ** 2 for v in shifted) / n
    if name == "rms":
        return math.sqrt(math.fsum(v * v for v in xs) / n)
    if name == "zscore":
        return (shifted[-1] - mean) / math.sqrt(var) if var > 0 and len(set(xs)) > 1 else None
    return {"mean": xs[0] + mean, "var": var, "std": math.sqrt(var)}[name]


class Series:
    """One field of one key: all that has been."""

    def __init__(self, start):
        self.start, self.x, self.t, self.ewma, self.last = start, [], [], {}, None

    def take(self, x, t, lengths):
        if x is None:
            return
        for length in lengths:
            if length in SPAN_NS:
                a = -math.expm1(-(t - self.t[-1]) / SPAN_NS[length]) if self.t else 0
            else:
                a = 2 / (int(length) + 1)
            before = self.ewma.get(length, x)
            self.ewma[length] = before + a * (x - before)
        self.x.append(x)
        self.t.append(t)

    def expect(self, name, length, now, most):
        if name == "ewma":
            return self.ewma.get(length)
        if length in SPAN_NS:
            if now - self.start < SPAN_NS[length]:
                return None
            first = len(self.x)
            while first > 0 and self.t[first - 1] > now - SPAN_NS[length] and len(self.x) - first < most:
                first -= 1
            return statistic(name, self.x[first:], self.t[first:], 1e9)
        if len(self.x) < int(length):
            return None
        xs = self.x[len(self.x) - int(length):]
        return statistic(name, xs, list(range(len(xs))))


def agree(recs, groups, options=(), most=100000):
    """The program's output against what the definitions say, record by record; returns --stats."""
    args = [word for stats, lengths in groups for word in ("--rolling", ",".join(stats) + "@" + ",".join(lengths))]
    out = records(psa("psa-features", *args, *options, "--stats", data=lines(recs)))
    stats = json.loads(psa.err.splitlines()[-1])
    all_lengths = sorted({length for _, lengths in groups for length in lengths})
    keys, newest, at = {}, {}, 0
    for r in recs:
        key, t = r["sensor_id"], r["timestamp_ns"]
        if t < newest.get(key, t):
            continue
        newest[key] = t
        series = keys.setdefault(key, {f: Series(t) for f in r["fields"] if f != "s"})
        o = out[at]["fields"]
        names = [f for f in r["fields"] if f not in series]
        for f, one in series.items():
            one.take(r["fields"].get(f), t, all_lengths)
            for chosen, lengths in groups:
                for length in lengths:
                    for name in chosen:
                        names.append("%s_%s_%s" % (f, name, length))
                        want, got = one.expect(name, length, t, most), o.get(names[-1], "absent")
                        what = "record %d, key %s: %s" % (at, key, names[-1])
                        if name in EXACT or want is None:
                            check(got == want, "%s: %r, not %r" % (what, got, want))
                        else:
                            check(got is not None and got != "absent" and abs(got - want) <= 1e-9 * max(1e-4, abs(want)),
                                  "%s: %r, not %r" % (what, got, want))
        check(list(o) == names, "names and order: %r, not %r" % (list(o), names))
        at += 1
    check(at == len(out) and at + stats["dropped"].get("late", 0) == len(recs), "records lost")
    return stats


def by_count():
    stats = agree(streams(1200, 1), [(STATS, ["2", "3", "10", "50", "200"])])
    check(stats["dropped"]["late"] > 10, "no record was late: %r" % stats)
    check(set(stats["noted"]) == {"filling", "constant"}, "notes: %r" % stats)


def by_time():
    stats = agree(streams(1000, 2), [(STATS, ["10ms", "250ms", "1.5s"])])
    check(set(stats["noted"]) == {"filling", "constant", "empty_window", "too_few_samples", "undefined"}, "notes: %r" % stats)
    for most in (1, 2, 7):
        stats = agree(streams(400, 3), [(STATS, ["250ms", "5"])], ["--max-samples", str(most)], most)
        check(stats["noted"]["max_samples"] > 20, "notes: %r" % stats)
        check("a rolling window holds more than --max-samples %d; its oldest samples are left out" % most in psa.err, psa.err)


def groups():
    """Repeated options, one length in two groups and by two names, one statistic alone: each as in company."""
    agree(streams(600, 4), [(["mean"], ["10", "250ms"]), (["median", "max"], ["1.5s", "10"]), (["ewma"], ["1m", "1"])])
    recs = streams(600, 5)
    together = records(psa("psa-features", "--rolling", ",".join(STATS) + "@7,250ms", data=lines(recs)))
    for name in STATS:
        alone = records(psa("psa-features", "--rolling", name + "@7,250ms", data=lines(recs)))
        for a, b in zip(alone, together):
            for field, value in a["fields"].items():
                check(b["fields"][field] == value, "%s alone is %r, in company %r" % (field, value, b["fields"][field]))
    twice = records(psa("psa-features", "--rolling", "mean@60s,1m", data=lines(recs)))
    check(all(r["fields"]["x_mean_60s"] == r["fields"]["x_mean_1m"] for r in twice), "one length by two names")


def pandas():
    """The same numbers as pandas gives whoever knows it: rolling(n), rolling('..s'), ewm."""
    import pandas as pd
    rng = random.Random(6)
    t, recs = T0, []
    for i in range(800):
        t += rng.randrange(1, 30000000)
        recs.append({"fields": {"x": rng.gauss(20, 3)}, "timestamp_ns": t})
    x = pd.Series([r["fields"]["x"] for r in recs], index=pd.to_datetime([r["timestamp_ns"] for r in recs]))
    chosen = ["mean", "std", "var", "min", "max", "median", "q05", "q95"]
    out = records(psa("psa-features", "--rolling", ",".join(chosen) + "@20,250ms", "--rolling", "ewma@20", data=lines(recs)))
    for window, length in ((20, "20"), ("250ms", "250ms")):
        r = x.rolling(window)
        want = {"mean": r.mean(), "std": r.std(ddof=0), "var": r.var(ddof=0), "min": r.min(), "max": r.max(),
                "median": r.median(), "q05": r.quantile(.05), "q95": r.quantile(.95)}
        for name in chosen:
            got = [o["fields"]["x_%s_%s" % (name, length)] for o in out]
            full = next(i for i, v in enumerate(got) if v is not None)
            check(full == (19 if length == "20" else next(i for i, r in enumerate(recs) if r["timestamp_ns"] >= recs[0]["timestamp_ns"] + 250000000)),
                  "%s is full at record %d" % (length, full))
            close(got[full:], list(want[name])[full:], 1e-9, "pandas %s@%s" % (name, length))
    close([o["fields"]["x_ewma_20"] for o in out], list(x.ewm(span=20, adjust=False).mean()), 1e-12, "pandas ewm")


def resumed():
    """A stream cut anywhere and resumed gives the same bytes, and the same state; chunks of any size too."""
    recs = streams(900, 7)
    args = ["psa-features", "--rolling", ",".join(STATS) + "@3,20", "--rolling", ",".join(STATS) + "@250ms,1.5s", "--keep",
            "--max-samples", "40"]
    with tempfile.TemporaryDirectory() as folder:
        states = {}
        whole = psa(*args, "--state", folder + "/whole", data=lines(recs))
        states["whole"] = open(folder + "/whole").read()
        for step in (1, 37, 450):
            path, out = "%s/%d" % (folder, step), b""
            for at in range(0, 120 if step == 1 else len(recs), step):
                out += psa(*args, "--state", path, data=lines(recs[at:at + step]))
            check(whole.startswith(out) and out.count(b"\n") > 100, "cut every %d records differs" % step)
            if step != 1:
                check(out == whole, "cut every %d records is shorter" % step)
                check(open(path).read() == states["whole"], "the state after cuts differs")


def hostile():
    """A state that somebody has been at is refused with a sentence and 2, or is whole: never a crash."""
    recs = streams(120, 8)
    args = ["psa-features", "--rolling", ",".join(STATS) + "@3,20", "--rolling", ",".join(STATS) + "@250ms", "--max-samples", "9"]
    rng = random.Random(9)
    refused = taken = 0
    with tempfile.TemporaryDirectory() as folder:
        path = folder + "/state"
        psa(*args, "--state", path, data=lines(recs))
        good = json.load(open(path))

        def change(value):
            """Somewhere in a value: another number, one item less, one twice, another kind."""
            if isinstance(value, dict) and value:
                key = rng.choice(list(value))
                return {**value, key: change(value[key])}
            if isinstance(value, list) and value and rng.random() < .8:
                at = rng.randrange(len(value))
                how = rng.random()
                if how < .15:
                    return value[:at] + value[at + 1:]
                if how < .3:
                    return value[:at] + [value[at]] + value[at:]
                return value[:at] + [change(value[at])] + value[at + 1:]
            return rng.choice([0, -1, 1, 3, 2 ** 31, 2 ** 63 - 1, -2 ** 63, 1e308, 0.5, None, [], {}, "x", [1, 2, 3], True])

        member = next(name for name in good if isinstance(good[name], list))
        for _ in range(400):
            changed = dict(good)
            changed[member] = change(good[member])
            with open(path, "w") as out:
                out.write(json.dumps(changed))
            done = run_either(args + ["--state", path], lines(streams(60, 8)[-30:]))
            refused += done == 2
            taken += done == 0
    check(refused > 100 and taken > 10, "%d refused, %d taken" % (refused, taken))


def run_either(argv, data):
    """The exit status, 0 or 2; at 2 with a sentence about the state."""
    import subprocess
    from psatest import BIN
    done = subprocess.run([os.path.join(BIN, argv[0]), *argv[1:]], input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=60)
    text = done.stderr.decode(errors="replace")
    check(done.returncode in (0, 2), "exit status %d: %s" % (done.returncode, text[-1000:]))
    check(done.returncode == 0 or "state" in text, "no sentence: %s" % text)
    return done.returncode


main({"by_count": by_count, "by_time": by_time, "groups": groups, "pandas": pandas, "resumed": resumed, "hostile": hostile})
