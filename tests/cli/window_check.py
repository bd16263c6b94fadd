"""psa-window against a model written from the design's words, on seeded random streams."""
import json
import os
import random
import statistics
import subprocess
import tempfile

from psatest import BIN, check, close, fail, lines, main, psa, records

T0 = 1710000000000000000
MS = 1000000


class Model:
    """One key. Time windows are [start + k stride, + length); count windows every stride samples."""

    def __init__(self, length, stride, count, max_gap=0, partial=False, epoch=False):
        self.length, self.stride, self.count, self.max_gap, self.partial = length, stride, count, max_gap, partial
        self.epoch = epoch
        self.newest = None
        self.seq = 0
        self.out = []
        self.times = []  # of the samples of each window written
        self.n_record = 0
        self.written = set()  # records that a window has a sample of
        self.names = None
        self.begin([])

    def begin(self, samples):
        self.samples = samples  # (ns, values, labels, members) since the start, all of them
        self.k = 0

    def emit(self, chosen, start, end, partial=False, **marks):
        w = {"start_ns": start, "end_ns": end, "n": len(chosen), "seq": self.seq, **marks}
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
            if abs(span - round((len(chosen) - 1) * 1e9 / rate)) > round(0.5e9 / rate):
                w["last_ns"] = chosen[-1][0]
        if "site" in newest:
            record["site"] = newest["site"]
        labels = [s[2] for s in chosen if s[2] is not None]
        if labels:
            record["labels"] = merge(labels)
        self.out.append(record)
        self.times.append([s[0] for s in chosen])
        self.written |= {s[4] for s in chosen}

    def bounds(self, k):
        start = self.samples[0][0]
        if self.epoch:  # of the starts 0, stride, 2 stride ... the first whose window holds the first sample or comes behind it
            start = next(n * self.stride for n in range((start - self.length) // self.stride, start // self.stride + 2)
                         if n * self.stride + self.length > start)
        start += k * self.stride
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
        self.n_record += 1
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
        self.samples.append((ns, values, r.get("labels"), r, self.n_record))
        if self.count:
            chosen = self.inside(self.k)
            if len(chosen) == self.length:
                step = (chosen[-1][0] - chosen[0][0]) // (len(chosen) - 1) if len(chosen) > 1 else 0
                self.emit(chosen, chosen[0][0], chosen[-1][0] + (step if step > 0 else 1))
                self.k += 1

    def held(self, n_record):
        """Does a window that is still open hold a sample of the record?"""
        if self.count:
            return any(s[4] == n_record for s in self.samples[self.k * self.stride:])
        if not self.length:
            return any(s[4] == n_record for s in self.samples)
        past = [s[0] - self.bounds(self.k)[0] for s in self.samples if s[4] == n_record]
        return any(ns >= 0 and ns % self.stride < self.length for ns in past)

    def heartbeat(self, ns):
        if self.newest is None or self.newest >= ns:
            return
        self.newest = ns
        self.complete(ns)


class Sessions(Model):
    """One key. A session is all samples with no longer time than `gap` between two of them, cut at so many samples."""

    def __init__(self, gap, most):
        super().__init__(0, 0, False)
        self.gap, self.most, self.continued = gap, most, False

    def write(self, **marks):
        ns = [s[0] for s in self.samples]
        step = (ns[-1] - ns[0]) // (len(ns) - 1) if len(ns) > 1 else 0
        if self.continued:
            marks["continued"] = True
        self.emit(self.samples, ns[0], ns[-1] + max(step, 1), **marks)
        self.begin([])
        self.continued = "cut" in marks

    def complete(self, now):
        if self.samples and now - self.samples[-1][0] > self.gap:
            self.write()

    def sample(self, ns, values, r):
        self.complete(ns)
        if len(self.samples) == self.most:
            self.write(cut=True)
        self.last = r
        self.samples.append((ns, values, r.get("labels"), r, self.n_record))

    def rest(self):
        if self.samples:
            self.write(partial=True)


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


def compare(recs, length, stride, argv, max_gap=0, partial=False, epoch=False):
    count = length[1] == ""
    unit = 1 if count else MS
    argv = ["--length", "%d%s" % length, "--stride", "%d%s" % stride] + argv
    return compare_to(recs, argv, lambda: Model(length[0] * unit, stride[0] * unit, count, max_gap, partial, epoch))


def run_models(recs, make, max_keys=10000):
    """What the models of the keys write: the windows of each, their times, and how many records were late or evicted."""
    models, windows, times, n_late, n_evicted = {}, {}, {}, 0, 0

    def close_key(k):
        m = models.pop(k)
        windows[k] = windows.get(k, []) + m.out
        times[k] = times.get(k, []) + m.times
        return m

    for r in recs:
        if "psa" in r:
            for m in models.values():
                m.heartbeat(r["psa"]["heartbeat"])
            continue
        k = r["sensor_id"]
        if k not in models and len(models) == max_keys:
            m = close_key(next(iter(models)))
            n_evicted += sum(1 for n in {s[4] for s in m.samples} - m.written if m.held(n))
        models[k] = m = models.pop(k, None) or make()  # now the newest
        n_late += not m.put(r)
    for k in list(models):
        models[k].rest()
        close_key(k)
    return windows, times, n_late, n_evicted


def compare_to(recs, argv, make, max_keys=10000):
    windows, times, n_late, n_evicted = run_models(recs, make, max_keys)
    out = records(psa("psa-window", *argv, "--stats", "--max-keys", str(max_keys), data=lines(recs)))
    stats = json.loads(psa.err.splitlines()[-1])
    check(stats["in"] == sum("psa" not in r for r in recs), "in: %r" % stats)
    check(stats["in"] == stats["passed"] + stats["absorbed"] + sum(stats["dropped"].values()) +
          sum(stats["rejected"].values()), "accounts: %r" % stats)
    check(stats["dropped"].get("late", 0) == n_late, "late: %r, not %d" % (stats["dropped"], n_late))
    check(stats["dropped"].get("evicted", 0) == n_evicted, "evicted: %r, not %d" % (stats["dropped"], n_evicted))
    check([r for r in out if "psa" in r] == [r for r in recs if "psa" in r], "control lines")
    for k, want in windows.items():
        got = [r for r in out if r.get("sensor_id") == k]
        for i, (g, w) in enumerate(zip(got, want)):
            g = dict(g)
            check(g.pop("sensor_id") == k, "sensor_id")
            if "--intervals" in argv:
                check_intervals(g["window"], times[k][i])
            if g != w:
                fail("%s, key %s, window %d\n got  %s\n want %s" % (" ".join(argv), k, i, json.dumps(g), json.dumps(w)))
        check(len(got) == len(want), "%s, key %s: %d windows, not %d" % (" ".join(argv), k, len(got), len(want)))
    check(sum(len(w) for w in windows.values()) == stats["emitted"], "emitted %r" % stats["emitted"])
    compare_to.stats = stats
    return stats["emitted"]


def check_intervals(window, times):
    """Take the members of --intervals out of the window and compare them with the standard library's statistics."""
    steps = [b - a for a, b in zip(times, times[1:])]
    middle = statistics.median(steps) if steps else None
    want = [middle / 1e9 if steps else None, statistics.pstdev(steps) / middle if middle else None,
            max(steps) / 1e9 if steps else None]
    close([window.pop(name) for name in ("interval_s", "jitter", "longest_s")], want, 1e-12, "intervals of %r" % window)


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


def epoch():
    """Windows that start at whole multiples of the stride since 1970, before it too."""
    for seed, (length, stride) in enumerate(TIMES):
        for how in ({}, {"irregular": True, "heartbeats": True, "late": True, "gaps": True}):
            recs = stream(seed, 500, **how)
            for shift in (0, -T0, -T0 - 777 * MS, 12345):
                moved = [{**r, "timestamp_ns": r["timestamp_ns"] + shift} if "timestamp_ns" in r else
                         {"psa": {"heartbeat": r["psa"]["heartbeat"] + shift}} for r in recs]
                check(compare(moved, length, stride, ["--align", "epoch"], epoch=True) > 0, "no window")
            compare(recs, length, stride, ["--align", "epoch", "--max-gap", "95ms", "--partial"], 95 * MS, True, True)


def sessions():
    for seed, (gap, most) in enumerate([(50, 100000), (11, 100000), (95, 7), (1000, 40), (10, 1), (0.000001, 5)]):
        for how in ({"irregular": True, "gaps": True}, {"irregular": True, "gaps": True, "heartbeats": True, "late": True},
                    {"blocks": True, "gaps": True}):
            recs = stream(seed, 700, **how)
            argv = ["--session", "%.6fms" % gap, "--max-samples", str(most)]
            n = compare_to(recs, argv, lambda: Sessions(round(gap * MS), most))
            check(n > 5, "%d sessions" % n)
            check(compare_to.stats["noted"].get("cut", 0) > 0 or most > 40 or gap < 1, "none was cut: %r" % compare_to.stats)


def intervals():
    recs = stream(3, 900, irregular=True, gaps=True, late=True)
    for length, stride in TIMES + COUNTS:
        compare(recs, length, stride, ["--intervals"])
    compare_to(recs, ["--session", "90ms", "--intervals"], lambda: Sessions(90 * MS, 100000))


def evicted():
    """Records that were in no window yet when their key was forgotten are dropped, not absorbed."""
    rng, n = random.Random(11), 0
    for seed, (length, stride) in enumerate(TIMES + COUNTS):
        for blocks in (False, True):
            recs, t = [], T0
            for i, r in enumerate(stream(seed, 600, blocks=blocks)):
                if i % 20 == 0:
                    k = "k%d" % rng.randint(0, 5)
                t += 130 * MS if blocks else 10 * MS
                recs.append({**r, "sensor_id": k, "timestamp_ns": t})
            unit = MS if length[1] else 1
            argv = ["--length", "%d%s" % length, "--stride", "%d%s" % stride]
            compare_to(recs, argv, lambda: Model(length[0] * unit, stride[0] * unit, not length[1]), max_keys=3)
            n += compare_to.stats["dropped"].get("evicted", 0)
            check(compare_to.stats["keys_evicted"] > 3, "none was evicted")
    recs = [{"sensor_id": "k%d" % (i // 9 % 5), "fields": {"x": i}, "timestamp_ns": T0 + i * MS} for i in range(400)]
    compare_to(recs, ["--session", "50ms"], lambda: Sessions(50 * MS, 100000), max_keys=3)
    check(n > 100, "%d evicted" % n)


SHAPES = [["--length", "200ms", "--stride", "50ms", "--align", "epoch"], ["--length", "16", "--stride", "4", "--intervals"],
          ["--session", "12ms", "--max-samples", "9"], ["--session", "60ms", "--intervals"],
          ["--length", "100ms", "--align", "epoch", "--max-gap", "95ms", "--partial", "--intervals"]]


def resumed():
    """Cut anywhere and resumed from its state, a stream gives the bytes of one that was not cut."""
    rng = random.Random(6)
    for argv in SHAPES:
        for how in ({"irregular": True, "gaps": True, "heartbeats": True, "late": True}, {"blocks": True, "gaps": True}):
            text = lines(stream(7, 500, **how)).splitlines(True)
            with tempfile.TemporaryDirectory() as work:
                want = psa("psa-window", *argv, "--state", work + "/whole", data=b"".join(text))
                cuts = [0] + sorted(rng.sample(range(len(text)), 12)) + [len(text)]
                got = b"".join(psa("psa-window", *argv, "--state", work + "/cut", data=b"".join(text[a:b]))
                               for a, b in zip(cuts, cuts[1:]))
                check(got == want and len(want) > 1000, "cut and resumed: %s" % argv)
                with open(work + "/whole", "rb") as a, open(work + "/cut", "rb") as b:
                    check(a.read() == b.read(), "the state at the end: %s" % argv)


def chunks():
    """However the input is cut into writes, the same bytes come out."""
    rng = random.Random(8)
    text = lines(stream(9, 400, irregular=True, gaps=True, heartbeats=True, late=True))
    for argv in SHAPES:
        want = psa("psa-window", *argv, data=text)
        with tempfile.TemporaryFile() as out:
            child = subprocess.Popen([os.path.join(BIN, "psa-window"), *argv], stdin=subprocess.PIPE, stdout=out,
                                     stderr=subprocess.DEVNULL, bufsize=0)
            at = 0
            while at < len(text):
                n = rng.choice([1, 7, 100, 1000, 5000])
                child.stdin.write(text[at:at + n])
                at += n
            child.stdin.close()
            check(child.wait() == 0, "exit status")
            out.seek(0)
            check(out.read() == want and len(want) > 1000, "another chunking: %s" % argv)


main({"again": again, "epoch": epoch, "sessions": sessions, "intervals": intervals, "evicted": evicted,
      "resumed": resumed, "chunks": chunks,
      "regular": lambda: every(TIMES), "irregular": lambda: every(TIMES, irregular=True, late=True),
      "gappy": lambda: every(TIMES, irregular=True, gaps=True), "heartbeats": lambda: every(
          TIMES + COUNTS, irregular=True, heartbeats=True, late=True),
      "counts": lambda: every(COUNTS, irregular=True, late=True, gaps=True),
      "blocks": lambda: every(TIMES + COUNTS, blocks=True), "time_gaps": lambda: gaps(TIMES),
      "count_gaps": lambda: gaps(COUNTS)})
