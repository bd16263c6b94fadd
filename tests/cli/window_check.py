"""psa-window against a model written from the design's words, on seeded random streams."""
import json
import random

from psatest import check, fail, lines, main, psa, records

T0 = 1710000000000000000
MS = 1000000


class Model:
    """One key. Time windows are [start + k stride, + length); count windows every stride samples."""

    def __init__(self, length, stride, count, max_gap=0, partial=False):
        self.length, self.stride, self.count, self.max_gap, self.partial = length, stride, count, max_gap, partial
        self.newest = None
        self.seq = 0
        self.out = []
        self.names = None
        self.begin([])

    def begin(self, samples):
        self.samples = samples  # (ns, values, labels, members) since the start, all of them
        self.k = 0

    def emit(self, chosen, start, end, partial=False):
        w = {"start_ns": start, "end_ns": end, "n": len(chosen), "seq": self.seq}
        if partial:
            w["partial"] = True
        self.seq += 1
        newest = self.last
        record = {"timestamp_ns": chosen[0][0], "window": w,
                  "fields": {f: [s[1].get(f) for s in chosen] for f in self.names}}
        span = chosen[-1][0] - chosen[0][0]
        rate = newest.get("rate_hz") or ((len(chosen) - 1) / (span / 1e9) if span else None)
        if rate:
            record["rate_hz"] = rate
        if "site" in newest:
            record["site"] = newest["site"]
        labels = [s[2] for s in chosen if s[2] is not None]
        if labels:
            record["labels"] = merge(labels)
        self.out.append(record)

    def bounds(self, k):
        start = self.samples[0][0] + k * self.stride
        return start, start + self.length

    def inside(self, k):
        if self.count:
            return self.samples[k * self.stride:k * self.stride + self.length]
        start, end = self.bounds(k)
        return [s for s in self.samples if start <= s[0] < end]

    def complete(self, now):
        """Time windows whose end is not after now, as far as samples reach (a gap leaves the rest open)."""
        if self.count or not self.samples:
            return
        while True:
            start, end = self.bounds(self.k)
            if end > now or (self.max_gap and end > self.samples[-1][0] + self.max_gap):
                return
            if start > self.samples[-1][0]:
                return
            chosen = self.inside(self.k)
            if chosen:
                self.emit(chosen, start, end)
            self.k += 1

    def rest(self):
        if not self.partial or not self.samples:
            return
        while True:
            chosen = self.inside(self.k)
            if chosen:
                break
            if self.count or self.bounds(self.k)[0] > self.samples[-1][0]:
                return
            self.k += 1
        if self.count:
            step = (chosen[-1][0] - chosen[0][0]) // (len(chosen) - 1) if len(chosen) > 1 else 0
            self.emit(chosen, chosen[0][0], chosen[-1][0] + (step if step > 0 else 1), True)
        else:
            start, end = self.bounds(self.k)
            self.emit(chosen, start, end, True)

    def put(self, r):
        ns = r["timestamp_ns"]
        if self.newest is not None and ns < self.newest:
            return False
        self.newest = ns
        if self.names is None:
            self.names = list(r["fields"])
        values = r["fields"]
        n = max([len(v) for v in values.values() if isinstance(v, list)], default=0)
        for i in range(n or 1):
            at = ns + (round(i * 1e9 / r["rate_hz"]) if i else 0)
            self.sample(at, {f: (v[i] if isinstance(v, list) else v) for f, v in values.items()}, r)
        return True

    def sample(self, ns, values, r):
        self.complete(ns)
        if self.samples and self.max_gap and ns - self.samples[-1][0] > self.max_gap:
            self.rest()
            self.begin([])
        self.last = r
        self.samples.append((ns, values, r.get("labels"), r))
        if self.count:
            chosen = self.inside(self.k)
            if len(chosen) == self.length:
                step = (chosen[-1][0] - chosen[0][0]) // (len(chosen) - 1) if len(chosen) > 1 else 0
                self.emit(chosen, chosen[0][0], chosen[-1][0] + (step if step > 0 else 1))
                self.k += 1

    def heartbeat(self, ns):
        if self.newest is None or self.newest >= ns:
            return
        self.newest = ns
        self.complete(ns)


def merge(labels):
    heaviest = max(enumerate(labels), key=lambda p: (max([v for v in p[1].values() if not isinstance(v, str)],
                                                         default=float("-inf")), p[0]))[1]
    merged = {}
    for source in [heaviest, labels[-1], labels[0]]:
        for name, value in source.items():
            if name not in merged:
                merged[name] = value if isinstance(value, str) else max(
                    l[name] for l in labels if name in l and not isinstance(l[name], str))
    return merged


def stream(seed, n, irregular=False, heartbeats=False, late=False, blocks=False, gaps=False):
    rng = random.Random(seed)
    t = {k: T0 + i * 3 * MS for i, k in enumerate("abc")}
    out = []
    for i in range(n):
        k = rng.choice("abc")
        r = {"sensor_id": k, "fields": {}, "timestamp_ns": t[k]}
        size = rng.randint(1, 9) if blocks and rng.random() < 0.7 else 0
        for f in "xy":
            draw = [rng.choice([None, rng.gauss(0, 1), rng.randint(-5, 5)]) for _ in range(size or 1)]
            r["fields"][f] = draw if size else draw[0]
        if blocks:
            r["rate_hz"] = 100
        if late and rng.random() < 0.1:
            r["timestamp_ns"] -= rng.choice([1, 15 * MS])
        if rng.random() < 0.5:
            r["labels"] = {"anomaly": rng.choice([0, 0, 1, 0.5]), "kind": rng.choice(["none", "wear", "hit"])}
        if k == "b":
            r["site"] = "hall %d" % (i // 200)
        out.append(r)
        step = 10 * MS * (size or 1)
        if irregular:
            step += rng.choice([0, -step, 1, 7 * MS, rng.randint(0, 40 * MS)])
        if gaps and rng.random() < 0.03:
            step += rng.choice([90 * MS, 1000 * MS, 100 * MS])
        t[k] += step
        if heartbeats and rng.random() < 0.1:
            out.append({"psa": {"heartbeat": max(t.values()) + rng.choice([0, -20 * MS, 30 * MS])}})
    return out


def compare(recs, length, stride, argv, max_gap=0, partial=False):
    count = length[1] == ""
    unit = 1 if count else MS
    argv = ["--length", "%d%s" % length, "--stride", "%d%s" % stride] + argv
    models, order = {}, []
    n_late = 0
    for r in recs:
        before = {k: len(m.out) for k, m in models.items()}
        if "psa" in r:
            for m in models.values():
                m.heartbeat(r["psa"]["heartbeat"])
            order.append(r)
        else:
            k = r["sensor_id"]
            m = models.setdefault(k, Model(length[0] * unit, stride[0] * unit, count, max_gap, partial))
            n_late += not m.put(r)
    for m in models.values():
        m.rest()
    out = records(psa("psa-window", *argv, "--stats", data=lines(recs)))
    stats = json.loads(psa.err.splitlines()[-1])
    check(stats["in"] == stats["passed"] + stats["absorbed"] + sum(stats["dropped"].values()) +
          sum(stats["rejected"].values()), "accounts: %r" % stats)
    check(stats["dropped"].get("late", 0) == n_late, "late: %r, not %d" % (stats["dropped"], n_late))
    check([r for r in out if "psa" in r] == order, "control lines")
    for k, m in models.items():
        got = [r for r in out if r.get("sensor_id") == k]
        want = m.out
        for i, (g, w) in enumerate(zip(got, want)):
            g = dict(g)
            check(g.pop("sensor_id") == k, "sensor_id")
            if g != w:
                fail("%s, key %s, window %d\n got  %s\n want %s" % (" ".join(argv), k, i, json.dumps(g), json.dumps(w)))
        check(len(got) == len(want), "%s, key %s: %d windows, not %d" % (" ".join(argv), k, len(got), len(want)))
    check(sum(len(m.out) for m in models.values()) == stats["emitted"], "emitted %r" % stats["emitted"])
    return stats["emitted"]


TIMES = [((100, "ms"), (100, "ms")), ((200, "ms"), (50, "ms")), ((55, "ms"), (20, "ms")), ((30, "ms"), (70, "ms")),
         ((1000, "ms"), (250, "ms")), ((1, "ms"), (1, "ms"))]
COUNTS = [((10, ""), (10, "")), ((16, ""), (4, "")), ((7, ""), (3, "")), ((4, ""), (9, "")), ((1, ""), (1, ""))]


def every(shapes, **how):
    for seed, (length, stride) in enumerate(shapes):
        check(compare(stream(seed, 700, **how), length, stride, []) > 0, "no window")


def gaps(shapes):
    for seed, (length, stride) in enumerate(shapes):
        recs = stream(seed, 700, irregular=True, heartbeats=True, late=True, gaps=True)
        compare(recs, length, stride, ["--max-gap", "95ms"], max_gap=95 * MS)
        compare(recs, length, stride, ["--max-gap", "95ms", "--partial"], max_gap=95 * MS, partial=True)
        compare(recs, length, stride, ["--partial"], partial=True)


def again():
    """Windows that overlap, windowed again, are the windows of the readings: no sample counts twice."""
    rng = random.Random(5)
    recs = [{"fields": {"x": rng.gauss(0, 1)}, "timestamp_ns": T0 + i * 10 * MS, "rate_hz": 100} for i in range(600)]
    for shape in (["--length", "200ms"], ["--length", "16"], ["--length", "160ms", "--stride", "30ms"]):
        want = records(psa("psa-window", *shape, data=lines(recs)))
        for first in (["--length", "400ms"], ["--length", "400ms", "--stride", "100ms"], ["--length", "33", "--stride", "7"]):
            got = records(psa("psa-window", *shape, "--stats", data=psa("psa-window", *first, data=lines(recs))))
            check(("overlap" in psa.err) == (len(first) > 2), psa.err)
            check(len(got) > len(want) * 0.8, "too few")
            for g, w in zip(got, want):
                check(g["fields"] == w["fields"] and g["timestamp_ns"] == w["timestamp_ns"], "\n%r\n%r" % (g, w))
    # A reading behind a block, older than the block's last sample, is late.
    out = psa("psa-window", "--length", "4", "--stats", data=lines([
        {"fields": {"x": [1, 2, 3]}, "timestamp_ns": T0, "rate_hz": 100},
        {"fields": {"x": 9}, "timestamp_ns": T0 + 15 * MS, "rate_hz": 100},
        {"fields": {"x": 4}, "timestamp_ns": T0 + 20 * MS, "rate_hz": 100}]))
    check(records(out)[0]["fields"]["x"] == [1, 2, 3, 4] and '"dropped":{"late":1}' in psa.err, psa.err)


main({"again": again, "regular": lambda: every(TIMES), "irregular": lambda: every(TIMES, irregular=True, late=True),
      "gappy": lambda: every(TIMES, irregular=True, gaps=True), "heartbeats": lambda: every(
          TIMES + COUNTS, irregular=True, heartbeats=True, late=True),
      "counts": lambda: every(COUNTS, irregular=True, late=True, gaps=True),
      "blocks": lambda: every(TIMES + COUNTS, blocks=True), "time_gaps": lambda: gaps(TIMES),
      "count_gaps": lambda: gaps(COUNTS)})
