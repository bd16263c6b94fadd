"""psa-filter against SciPy's own numbers (tests/golden/butter_sosfilt.json) and against itself."""
import json
import math
import os
import random
import subprocess
import tempfile
import threading

from psatest import BIN, check, close, fail, lines, main, psa, records

golden = json.load(open("tests/golden/butter_sosfilt.json"))
N = 160
T0 = 1710000000000000000


def arguments(case):
    hz = case["wn"]
    if isinstance(hz, list):
        hz = "%r:%r" % tuple(hz)
    return ["--" + case["btype"], str(hz), "--order", str(case["order"])]


def every_case(feed):
    for case in golden["cases"]:
        for start, key in (("zero", "y_sosfilt"), ("steady", "y_sosfilt_zi_x0")):
            got = feed(case, ["psa-filter", *arguments(case), "--start", start])
            close(got, case[key], 1e-9, "%s order %d %s" % (case["btype"], case["order"], start))


def readings(case, argv):
    out = psa(*argv, "--rate", str(case["fs"]), data=lines(
        {"sensor_id": "a", "fields": {"x": x}, "timestamp_ns": T0 + i * 10000000} for i, x in
        enumerate(golden["x"][:N])))
    return [r["fields"]["x"] for r in records(out)]


def blocks(lengths):
    def feed(case, argv):
        recs, at = [], 0
        for n in lengths:
            recs.append({"sensor_id": "a", "fields": {"x": golden["x"][at:at + n]}, "timestamp_ns": T0 + at * 10000000,
                         "rate_hz": case["fs"]})
            at += n
        check(at == N, "lengths")
        return [x for r in records(psa(*argv, data=lines(recs))) for x in r["fields"]["x"]]
    return feed


def overlapping():
    """A block that overlaps the one before it is filtered by itself."""
    case = golden["cases"][3]
    argv = ["psa-filter", *arguments(case), "--start", "zero"]
    out = records(psa(*argv, data=lines(
        {"fields": {"x": golden["x"][:N]}, "timestamp_ns": T0 + i * 400000000, "rate_hz": 100} for i in range(3))))
    for r in out:
        close(r["fields"]["x"], case["y_sosfilt"], 1e-9, "overlapping")


def rates():
    """--rate, rate_hz and a measured rate design the same filter; which one is used when they differ."""
    x = golden["x"][:N]
    plain = [{"fields": {"x": v}, "timestamp_ns": T0 + i * 10000000} for i, v in enumerate(x)]
    argv = ["psa-filter", "--lowpass", "10Hz", "--order", "4"]
    want = golden["cases"][3]["y_sosfilt_zi_x0"]

    def values(out):
        return [r["fields"]["x"] for r in records(out)]

    close(values(psa(*argv, "--rate", "100Hz", data=lines(plain))), want, 1e-9, "--rate")
    close(values(psa(*argv, "--rate", "0.1kHz", data=lines(plain))), want, 1e-9, "--rate 0.1kHz")
    close(values(psa(*argv, data=lines({**r, "rate_hz": 100} for r in plain))), want, 1e-9, "rate_hz")
    close(values(psa(*argv, "--rate", "100", data=lines({**r, "rate_hz": 50} for r in plain))), want, 1e-9,
          "--rate before rate_hz")
    out = psa(*argv, data=lines(plain))
    close(values(out), want, 1e-9, "measured")
    check("sampled at 100 Hz, measured over 16 intervals" in psa.err, "the measured rate is not said: " + psa.err)
    check([r["timestamp_ns"] for r in records(out)] == [r["timestamp_ns"] for r in plain], "order")


def measured_median():
    """The median of the first 16 intervals, however the others lie; fewer at the end; none is rejected."""
    x = golden["x"][:N]
    gaps = [10, 10, 10, 10, 10, 10, 10, 10, 10, 500, 10, 3, 0, 10, 10, 17] + [10] * N
    ts = [T0]
    for g in gaps[:N - 1]:
        ts.append(ts[-1] + g * 1000000)
    plain = [{"fields": {"x": v}, "timestamp_ns": t} for v, t in zip(x, ts)]
    argv = ["psa-filter", "--lowpass", "10Hz"]
    got = [r["fields"]["x"] for r in records(psa(*argv, data=lines(plain)))]
    close(got, golden["cases"][3]["y_sosfilt_zi_x0"], 1e-9, "median")
    for n in (2, 3, 16, 17):
        got = records(psa(*argv, "--stats", data=lines({"fields": {"x": v}, "timestamp_ns": T0 + i * 10000000}
                                                       for i, v in enumerate(x[:n]))))
        close([r["fields"]["x"] for r in got], golden["cases"][3]["y_sosfilt_zi_x0"][:n], 1e-9, "%d at the end" % n)
        check('"in":%d,"passed":%d' % (n, n) in psa.err and '"absorbed":0' in psa.err, psa.err)
    out = psa(*argv, "--stats", data=lines(plain[:1]))
    check(out == b"", "one record shows no rate")
    check("(no sensor_id): the sampling rate cannot be measured; give --rate; rejected" in psa.err, psa.err)
    check('"rejected":{"no_rate":1}' in psa.err and '"absorbed":0' in psa.err, psa.err)
    out = psa(*argv, "--stats", data=lines({"fields": {"x": 1}, "timestamp_ns": T0} for _ in range(40)))
    check(out == b"" and '"in":40,"passed":0' in psa.err and '"rejected":{"no_rate":40}' in psa.err, psa.err)
    out = psa(*argv, "--stats", data=lines({"fields": {"x": 1}} for _ in range(2)))
    check(out == b"" and '"rejected":{"no_rate":2}' in psa.err, psa.err)
    check("neither a rate nor a time to measure it from; give --rate; rejected" in psa.err, psa.err)


def told_late():
    """rate_hz that comes while records wait for a rate: they leave first, in order, filtered at it."""
    recs = [{"fields": {"x": v}, "timestamp_ns": T0 + i * 10000000} for i, v in enumerate(golden["x"][:N])]
    for r in recs[5:]:
        r["rate_hz"] = 100
    out = records(psa("psa-filter", "--lowpass", "10", "--stats", data=lines(recs)))
    check([r["timestamp_ns"] for r in out] == [r["timestamp_ns"] for r in recs], "the order changed")
    close([r["fields"]["x"] for r in out], golden["cases"][3]["y_sosfilt_zi_x0"], 1e-9, "told late")
    check('"in":160,"passed":160,"emitted":0' in psa.err and '"absorbed":0' in psa.err, psa.err)


def keys():
    """Two keys mixed at random equal each key alone, in a stream that measures their different rates."""
    rng = random.Random(3)
    alone = {k: [] for k in "ab"}
    mixed = []
    t = {"a": T0, "b": T0 + 5}
    for _ in range(400):
        k = rng.choice("ab")
        r = {"sensor_type": "t", "sensor_id": k, "fields": {"x": rng.gauss(0, 1), "y": rng.gauss(5, 1)},
             "timestamp_ns": t[k]}
        t[k] += 10000000 if k == "a" else 7000000
        alone[k].append(r)
        mixed.append(r)
    argv = ["psa-filter", "--highpass", "2Hz", "--lowpass", "20Hz", "--order", "3"]
    got = psa(*argv, data=lines(mixed)).splitlines()
    for k in "ab":
        want = psa(*argv, data=lines(alone[k])).splitlines()
        check([g for g in got if b'"sensor_id": "%s"' % k.encode() in g] == want, "key %s differs" % k)
        check(len(want) == len(alone[k]), "lost")


def nulls():
    """A null reading passes as null and leaves the filter's state alone; in blocks too."""
    x = golden["x"][:N]
    holes = {0, 7, 8, 50}
    want = iter(golden["cases"][3]["y_sosfilt_zi_x0"])
    values, expected = [], []
    at = 0
    for i in range(N + len(holes)):
        if i in holes:
            values.append(None)
            expected.append(None)
        else:
            values.append(x[at])
            expected.append(next(want))
            at += 1
    argv = ["psa-filter", "--lowpass", "10", "--rate", "100"]
    got = records(psa(*argv, data=lines({"fields": {"x": v, "y": 1}, "timestamp_ns": T0 + i} for i, v in enumerate(values))))
    close([r["fields"]["x"] for r in got], expected, 1e-9, "nulls")
    close([r["fields"]["y"] for r in got], [1.0] * len(values), 1e-9, "beside nulls")
    got = records(psa(*argv, data=lines([{"fields": {"x": values}, "timestamp_ns": T0}])))
    close(got[0]["fields"]["x"], expected, 1e-9, "nulls in a block")


def cascade():
    """Several operations are one after the other."""
    x = golden["x"][:N]
    data = lines({"fields": {"x": v}, "timestamp_ns": T0 + i} for i, v in enumerate(x))
    both = psa("psa-filter", "--rate", "100", "--start", "zero", "--highpass", "2", "--lowpass", "10", data=data)
    first = psa("psa-filter", "--rate", "100", "--start", "zero", "--highpass", "2", data=data)
    second = psa("psa-filter", "--rate", "100", "--start", "zero", "--lowpass", "10", data=first)
    close([r["fields"]["x"] for r in records(both)], [r["fields"]["x"] for r in records(second)], 1e-9, "cascade")


def zero_phase():
    """--zero-phase on a block is sosfiltfilt; blocks are independent of each other."""
    for case in golden["cases"]:
        argv = ["psa-filter", *arguments(case), "--zero-phase"]
        out = records(psa(*argv, data=lines({"fields": {"x": golden["x"]}, "timestamp_ns": T0 + i * 10**12, "rate_hz": case["fs"]}
                                            for i in range(2))))
        check(len(out) == 2, "blocks")
        for r in out:
            close(r["fields"]["x"], case["y_sosfiltfilt"], 1e-9, "%s order %d" % (case["btype"], case["order"]))
    argv = ["psa-filter", "--lowpass", "10", "--zero-phase", "--stats"]
    holes = [None if i % 7 == 3 else v for i, v in enumerate(golden["x"])]
    full = [v for v in holes if v is not None]
    [a], [b] = (records(psa(*argv, data=lines([{"fields": {"x": v}, "timestamp_ns": T0, "rate_hz": 100}]))) for v in (holes, full))
    close([v for v in a["fields"]["x"] if v is not None], b["fields"]["x"], 1e-15, "holes")
    check([v is None for v in a["fields"]["x"]] == [v is None for v in holes], "holes moved")
    [a] = records(psa(*argv, data=lines([{"fields": {"x": full[:15]}, "timestamp_ns": T0, "rate_hz": 100}])))
    check(a["fields"]["x"] == [None] * 15 and '"noted":{"too_short":1}' in psa.err, "too short: %r %s" % (a, psa.err))
    check("too few samples in a block for --lowpass with --zero-phase; the result is null" in psa.err, psa.err)
    out = psa(*argv, data=lines([{"fields": {"x": 1}, "timestamp_ns": T0, "rate_hz": 100}]))
    check(out == b"" and '"rejected":{"blocks":1}' in psa.err, psa.err)


def notch():
    g = golden["iirnotch"]
    got = records(psa("psa-filter", "--notch", "%r:%r" % (g["w0"], g["Q"]), "--start", "zero", "--rate", repr(g["fs"]),
                      data=lines([{"fields": {"x": golden["x"]}, "timestamp_ns": T0}])))
    want = g["y_lfilter"]
    close(got[0]["fields"]["x"][:len(want)], want, 1e-9, "notch")
    x = [math.sin(2 * math.pi * 50 * i / 1000) for i in range(20000)]
    [r] = records(psa("psa-filter", "--notch", "50", "--rate", "1000", data=lines([{"fields": {"x": x}, "timestamp_ns": T0}])))
    check(max(map(abs, r["fields"]["x"][15000:])) < 1e-3, "50 Hz pass the notch")


def integrate():
    """Acceleration to velocity: a tone of f Hz is divided by 2 pi f, a bias does not drift, whatever --integrate's corner."""
    f, rate, g = 30.0, 1000.0, 9806.65
    x = [0.5 * math.sin(2 * math.pi * f * i / rate) + 0.98 for i in range(20000)]
    [r] = records(psa("psa-filter", "--scale", str(g), "--integrate", "1Hz", "--rate", str(rate),
                      data=lines([{"fields": {"x": x}, "timestamp_ns": T0}])))
    tail = r["fields"]["x"][-1000:]
    want = 0.5 * g / (2 * math.pi * f)  # mm/s; trapezoidal: w T / 2 / tan(w T / 2) of it
    w = math.pi * f / rate
    close([(max(tail) - min(tail)) / 2], [want * w / math.tan(w)], 2e-3, "amplitude")
    check(abs(sum(tail) / 1000) < 1e-3 * want, "it drifts")


def ewma():
    """pandas' ewm(alpha, adjust=False) by its definition: weights (1 - a)^k by place, a missing value has none."""
    a = 0.3
    x = [None if i in (0, 5, 6, 20) else v for i, v in enumerate(golden["x"][:60])]
    want, old, weight = [], None, 1.0
    for v in x:
        weight *= 1 - a
        if v is None:
            want.append(None)
            continue
        old = v if old is None else (weight * old + a * v) / (weight + a)
        weight = 1.0
        want.append(old)
    recs = [{"fields": {"x": v, "y": 2.5}, "timestamp_ns": T0 + i * i * 1000000} for i, v in enumerate(x)]
    got = records(psa("psa-filter", "--ewma", str(a), data=lines(recs)))
    close([r["fields"]["x"] for r in got], want, 1e-12, "ewma by count")
    check(all(r["fields"]["y"] == 2.5 for r in got), "a constant moved")
    want, old, at = [], None, 0
    for i, v in enumerate(x):
        if v is not None:
            old = v if old is None else old + (1 - math.exp(-(i * i - at * at) / 40)) * (v - old)
            at = i
        want.append(old if v is not None else None)
    got = records(psa("psa-filter", "--ewma", "40ms", data=lines(recs)))
    close([r["fields"]["x"] for r in got], want, 1e-12, "ewma by time")
    for r in recs:
        del r["timestamp_ns"]
    at, old, want = 0, None, []
    for i, v in enumerate(x):
        if v is not None:
            old = v if old is None else old + (1 - math.exp(-(i - at) * 10 / 40)) * (v - old)
            at = i
        want.append(old if v is not None else None)
    got = records(psa("psa-filter", "--ewma", "40ms", "--rate", "100", data=lines(recs)))
    close([r["fields"]["x"] for r in got], want, 1e-12, "ewma by a rate that is told")


def values(option, argument, x, **more):
    """What an operation makes of a list of readings of x, 1 s apart."""
    recs = [{"fields": {"x": v}, "timestamp_ns": T0 + i * 10**9} for i, v in enumerate(x)]
    out = records(psa("psa-filter", option, *([argument] if argument is not None else []), *more.get("options", []), "--stats",
                      data=lines(recs)))
    check([r["timestamp_ns"] for r in out] == [r["timestamp_ns"] for r in recs], "the order changed")
    check('"in":%d,"passed":%d,"emitted":0' % (len(x), len(x)) in psa.err and '"absorbed":0' in psa.err, psa.err)
    return [r["fields"]["x"] for r in out]


def simple():
    """Operations on single values, in closed form."""
    n = None
    check(values("--difference", n, [1, 4, n, 2, 2.5]) == [n, 3, n, n, 0.5], "difference")
    check(values("--scale", "-2.5", [1, n, -4]) == [-2.5, n, 10], "scale")
    check(values("--offset", "-0.5", [1, n, -4]) == [0.5, n, -4.5], "offset")
    check(values("--clip", "-1:2", [5, n, -4, 0.5]) == [2, n, -1, 0.5], "clip")
    check(values("--clip", "0:", [5, -4]) == [5, 0] and values("--clip", ":0", [5, -4]) == [0, -4], "clip one side")
    check(values("--scale", "1e300", [1e300, 1]) == [n, 1e300] and '"noted":{"overflow":1}' in psa.err, "overflow")


def fill():
    n = None
    x = [n, 1, n, n, 4, n, 6, n]
    check(values("--fill", "none", x) == x, "none")
    check(values("--fill", "hold", x) == [n, 1, 1, 1, 4, 4, 6, 6] and '"filled":4' in psa.err, "hold")
    check(values("--fill", "hold,1", x) == [n, 1, 1, n, 4, 4, 6, 6], "hold,1")
    check(values("--fill", "hold", x, options=["--max-gap", "1s"]) == [n, 1, 1, n, 4, 4, 6, 6], "hold --max-gap")
    close(values("--fill", "linear", x), [n, 1, 2, 3, 4, 5, 6, n], 1e-12, "linear")
    check('"filled":3' in psa.err, psa.err)
    close(values("--fill", "linear,1", x), [n, 1, n, n, 4, 5, 6, n], 1e-12, "linear,1")
    close(values("--fill", "linear", x, options=["--max-gap", "2s"]), [n, 1, n, n, 4, 5, 6, n], 1e-12, "linear --max-gap")
    close(values("--fill", "linear", x, options=["--max-gap", "2s", "--rate", "1"]), [n, 1, n, n, 4, 5, 6, n], 1e-12, "linear told")
    close(values("--fill", "linear", [2] + [n] * 100 + [3]), [2 + i / 101 for i in range(102)], 1e-12, "100")
    close(values("--fill", "linear", [2] + [n] * 101 + [3]), [2] + [n] * 101 + [3], 1e-12, "101")
    # In time, not by number; two fields that miss values at different places; a field that is absent stays absent.
    recs = [{"fields": f, "timestamp_ns": T0 + t} for f, t in
            (({"x": 0, "y": 1.50}, 0), ({"x": n, "y": 2}, 10), ({"x": n, "y": n}, 90), ({"x": 10, "y": n}, 100), ({"y": 6}, 110))]
    out = records(psa("psa-filter", "--fill", "linear", data=lines(recs)))
    want = [{"x": 0, "y": 1.5}, {"x": 1, "y": 2}, {"x": 9, "y": 5.2}, {"x": 10, "y": 5.6}, {"y": 6}]
    for r, w in zip(out, want):
        check(sorted(r["fields"]) == sorted(w), "fields: %r" % r)
        close([r["fields"][k] for k in sorted(w)], [w[k] for k in sorted(w)], 1e-12, "two fields")
    check(b'"y": 1.5}' in lines(recs) and len(out) == 5, "all")
    # Blocks and readings fill alike.
    x = [n, 1, n, n, 4, n, 6, n, n, 9, n]
    for cut in ([11], [3, 8], [1, 0, 2, 5, 3]):
        recs, at = [], 0
        for k in cut:
            recs.append({"fields": {"x": x[at:at + k]}, "timestamp_ns": T0 + at * 10**9, "rate_hz": 1})
            at += k
        out = records(psa("psa-filter", "--fill", "linear", "--stats", data=lines(recs)))
        check([len(r["fields"]["x"]) for r in out] == cut and '"absorbed":0' in psa.err, "blocks %r" % out)
        close([v for r in out for v in r["fields"]["x"]], [n, 1, 2, 3, 4, 5, 6, 7, 8, 9, n], 1e-12, "blocks")


def magnitude():
    recs = [{"fields": {"a_x": 3, "a_y": 4, "b": 1.50}, "timestamp_ns": T0}, {"fields": {"b": 2}, "timestamp_ns": T0},
            {"fields": {"a_x": None, "a_y": 1}, "timestamp_ns": T0}, {"fields": {"a_x": -2, "a_y": 0, "a": "old"}, "timestamp_ns": T0}]
    out = psa("psa-filter", "--magnitude", "a_*=a", "--fields", "a", "--scale", "2", data=lines(recs))
    got = records(out)
    check([r["fields"].get("a", "none") for r in got] == [10, "none", None, 4], "magnitude: %r" % got)
    check(got[0]["fields"] == {"a_x": 3, "a_y": 4, "b": 1.5, "a": 10} and b'"a_x": 3' in out, "the others changed")
    check(out.splitlines()[3].count(b'"a"') == 1, "a second field of the name")
    [r] = records(psa("psa-filter", "--magnitude", "x,y=m", "--magnitude", "m=n", "--offset", "1", "--fields", "n",
                      data=lines([{"fields": {"x": [3, 6, None], "y": [4, 8, 1], "z": 7}, "rate_hz": 1, "timestamp_ns": T0}])))
    check(r["fields"] == {"x": [3, 6, None], "y": [4, 8, 1], "z": 7, "m": [5, 10, None], "n": [6, 11, None]}, "blocks: %r" % r)


def suffix():
    recs = [{"fields": {"x": 1.5, "s": "on", "y": None}, "timestamp_ns": T0}, {"fields": {"y": 2}, "timestamp_ns": T0},
            {"fields": {"x": 2, "x_f": 9, "y": 1}, "timestamp_ns": T0}]
    out = psa("psa-filter", "--scale", "2", "--suffix", "_f", data=lines(recs))
    check(out.splitlines()[2].count(b'"x_f"') == 1, "a second field of the name")
    out = records(out)
    check(out[0]["fields"] == {"x": 1.5, "s": "on", "y": None, "x_f": 3, "y_f": None}, "suffix: %r" % out[0])
    check(out[1]["fields"] == {"y": 2, "y_f": 4}, "suffix: %r" % out[1])
    check(out[2]["fields"] == {"x": 2, "x_f": 4, "y": 1, "y_f": 2}, "suffix: %r" % out[2])
    [r] = records(psa("psa-filter", "--scale", "2", "--suffix", "_f", data=lines([{"fields": {"x": [1, None], "n": 3}}])))
    check(r["fields"] == {"x": [1, None], "n": 3, "x_f": [2, None]}, "suffix of a block: %r" % r)


def places():
    """--fields and --order hold for what stands behind them; what stands before the first takes the first one's."""
    x = golden["x"][:N]
    data = lines({"fields": {"a": v, "b": v, "c": v}, "timestamp_ns": T0 + i} for i, v in enumerate(x))
    got = records(psa("psa-filter", "--offset", "1", "--fields", "a,b", "--scale", "2", "--fields", "b", "--scale",
                      "3", data=data))
    for r, v in zip(got, x):
        close([r["fields"][k] for k in "abc"], [2 * (v + 1), 6 * (v + 1), v], 1e-12, "--fields")
    got = psa("psa-filter", "--rate", "100", "--lowpass", "20", "--order", "2", "--highpass", "1", "--order", "3", "--notch", "30",
              "--bandstop", "10:12", data=data)
    want = data
    for argv in (["--lowpass", "20", "--order", "2"], ["--order", "2", "--highpass", "1"], ["--notch", "30"],
                 ["--bandstop", "10:12", "--order", "3"]):
        want = psa("psa-filter", "--rate", "100", *argv, data=want)
    check(got == want, "--order")


def gaps():
    """Behind a longer gap than --max-gap all starts anew, as in a new stream; a heartbeat shows a gap too."""
    x = golden["x"][:60]
    recs = [{"fields": {"y": i, "x": v if i % 5 else None} if i % 2 else {"x": v if i % 5 else None, "y": i},
             "timestamp_ns": T0 + i * 10000000 + (10**9 if i >= 31 else 0)} for i, v in enumerate(x)]
    check(recs[30]["fields"]["x"] is None, "the last record before the gap waits")
    argv = ["psa-filter", "--rate", "100", "--fill", "linear", "--lowpass", "10", "--ewma", "0.5", "--max-gap", "500ms", "--stats"]
    got = psa(*argv, data=lines(recs))
    check('"noted":{"filled":' in psa.err and '"gap":1' in psa.err, psa.err)
    check(got == psa(*argv, data=lines(recs[:31])) + psa(*argv, data=lines(recs[31:])), "a gap is no new start")
    beat = b'{"psa":{"heartbeat":%d}}\n'
    for late, before in ((400000000, False), (600000000, True)):
        word = beat % (recs[30]["timestamp_ns"] + late)
        out = psa(*argv, data=lines(recs[:31]) + word + lines(recs[31:])).splitlines()
        if not before: # the last record waits: nothing may be promised beyond it
            word = beat % recs[30]["timestamp_ns"]
        check((out.index(word.strip()) == 31) == before, "a heartbeat after %d" % late)
        check(len(out) == 61 and '"in":60,"passed":60' in psa.err and '"gap":1' in psa.err, psa.err)
        check(out[:out.index(word.strip())] + out[out.index(word.strip()) + 1:] == got.splitlines(), "a heartbeat changed values")


def mixed_blocks():
    """Arrays are of one length; numbers beside them pass; without a rate no times."""
    argv = ["psa-filter", "--rate", "100", "--lowpass", "10", "--stats"]
    out = psa(*argv, data=lines([{"fields": {"x": [1, 2], "y": [1]}}, {"fields": {"x": [], "y": [1]}}, {"fields": {"x": [], "y": []}}]))
    check(len(records(out)) == 1 and '"rejected":{"blocks":2}' in psa.err, psa.err)
    check("the arrays differ in length; rejected" in psa.err, psa.err)
    out = psa(*argv, data=b'{"fields":{"x":[1,2],"y":1.50,"z":null}}\n{"fields":{"x":5,"y":2.50,"z":3}}\n')
    check(b'"y":1.50,"z":null' in out, "beside an array: %r" % out)
    close([records(out)[1]["fields"]["y"]], [2.5], 1e-12, "the number beside an array was filtered")
    psa("psa-filter", "--ewma", "1s", "--stats", data=lines([{"fields": {"x": [1, 2]}, "timestamp_ns": T0}, {"fields": {"x": 1}}]))
    check('"rejected":{"no_rate":1,"no_time":1}' in psa.err, psa.err)


def kept_text():
    """A value that an operation leaves as it is leaves with the text it came with."""
    data = b'{"fields":{"a":1.50,"b":-0,"c":1e999,"d":0.10000000000000000555}}\n'
    check(psa("psa-filter", "--clip", "-5:5", data=data) == data, "clip")
    check(psa("psa-filter", "--fill", "hold", data=data) == data, "fill")
    data = b'{"fields":{"a":[1.50, -0,1e999,null]}}\n'
    check(psa("psa-filter", "--clip", "-5:5", data=data) == data, "clip a block")
    check(psa("psa-filter", "--offset", "0", data=b'{"fields":{"a":-0}}\n') == b'{"fields":{"a":0}}\n', "-0 + 0")


def stats():
    [line] = [json.loads(l) for l in psa.err.splitlines() if l.startswith('{"psa_stats"')]
    return line


def block_clocks():
    """Blocks whose clock runs a few ppm fast lose no state; those that overlap by more are started anew and said once."""
    x = golden["x"][:N]
    argv = ["psa-filter", *arguments(golden["cases"][3]), "--stats"]
    long = [math.sin(i / 9) for i in range(20000)]
    for share, fresh in ((1e-5, False), (0.0099, False), (0.0101, True)):
        recs = [{"sensor_id": "a", "fields": {"x": long}, "timestamp_ns": T0 + int(i * 2 * 10**11 * (1 - share)), "rate_hz": 100}
                for i in range(3)]
        out = [r["fields"]["x"] for r in records(psa(*argv, data=lines(recs)))]
        check(stats()["noted"] == ({"overlapping_block": 2} if fresh else {}), "%r: %r" % (share, stats()))
        check((out[1] == out[0]) == fresh and (out[2] == out[0]) == fresh, "%r: state" % share)
        said = "a: a block begins before the end of the one before it; such blocks are filtered each by itself; put psa-filter"
        check(psa.err.count(said) == fresh, "said: " + psa.err)
    # A fraction of a sample is none, however short the block.
    recs = [{"fields": {"x": x[i:i + 10]}, "timestamp_ns": T0 + i * 9600000, "rate_hz": 100} for i in range(0, N, 10)]
    close([v for r in records(psa(*argv, data=lines(recs))) for v in r["fields"]["x"]], golden["cases"][3]["y_sosfilt_zi_x0"], 1e-9,
          "half a sample")
    # Times go forward all the same: a line joins two values, and does not run beyond the later one.
    recs = [{"fields": {"x": [0] * 198 + [None] * 2}, "timestamp_ns": T0, "rate_hz": 1},
            {"fields": {"x": [1] * 200}, "timestamp_ns": T0 + 198 * 10**9, "rate_hz": 1}]
    out = records(psa("psa-filter", "--fill", "linear", "--stats", data=lines(recs)))
    check(out[0]["fields"]["x"][197:] == [0, 0.5, 1] and "overlapping_block" not in stats()["noted"], "a line: %r" % out[0])
    recs = [{"sensor_id": "a", "fields": {"x": long[:10000]}, "timestamp_ns": T0 + i * 99500000000, "rate_hz": 100} for i in range(3)]
    for how in ("50", "30,linear", "70,previous", "20,mean"):
        out = records(psa("psa-filter", "--resample", how, "--stats", data=lines(recs)))
        ends = [(r["timestamp_ns"], r["timestamp_ns"] + (len(r["fields"]["x"]) - 1) * 1e9 / r["rate_hz"]) for r in out]
        check([e[0] for e in ends] == sorted(e[0] for e in ends) and not stats()["rejected"], "%s: %r" % (how, ends))


def windows():
    """Windows that overlap cannot be resampled: those that begin inside another are rejected, the others are a whole stream."""
    x = golden["x"][:N]
    recs = [{"sensor_id": "a", "fields": {"x": x[i:i + 40]}, "timestamp_ns": T0 + i * 10000000, "rate_hz": 100,
             "window": {"count": 40}} for i in range(0, N - 20, 20)]
    for option in (["--resample", "50"], ["--resample", "20,mean"], ["--decimate", "4"]):
        out = psa("psa-filter", *option, "--stats", data=lines(recs))
        check(stats()["rejected"] == {"overlapping_block": 3} and stats()["absorbed"] == 4, "%r: %r" % (option, stats()))
        check("stdin:2: a: the block begins before the end of the one before it; put psa-filter before psa-window; rejected" in
              psa.err, psa.err)
        check(out == psa("psa-filter", *option, data=lines(recs[::2])), "%r: the others are no stream" % option)
        check(out and b"window" not in out, "%r: a window that lies" % option)
    # Each by itself, where no operation remembers.
    out = records(psa("psa-filter", "--decimate", "2", "--zero-phase", "--stats", data=lines(recs)))
    check(len(out) == 7 and stats()["noted"] == {} == stats()["rejected"], "by itself: %r" % stats())


def labels():
    """A resampled record carries the labels of every sample it stands for, and none of others."""
    n = 400
    faults = {101, 102, 250, 399}

    def label(i):
        return {"fault": 1, "name": "shock"} if i in faults else {"fault": 0, "name": "well"}
    recs = [{"sensor_id": "a", "fields": {"x": i % 7}, "timestamp_ns": T0 + i * 10000000, "rate_hz": 100, "labels": label(i)}
            for i in range(n)]
    block = [{"sensor_id": "a", "fields": {"x": [r["fields"]["x"] for r in recs[i:i + 50]]}, "timestamp_ns": recs[i]["timestamp_ns"],
              "rate_hz": 100, **({"labels": {"fault": 1}} if i in (100, 200) else {})} for i in range(0, n, 50)]
    mean = lambda t: range(t, t + 5)
    last = lambda t: range(t - 4, t + 1)
    for option, span in ((["--resample", "20,mean"], mean), (["--resample", "20,linear"], last), (["--resample", "20"], last),
                         (["--resample", "20,previous"], last), (["--decimate", "5"], last), (["--decimate", "5,fir"], last)):
        out = records(psa("psa-filter", *option, data=lines(recs)))
        check(len(out) == n // 5, "%r: %d" % (option, len(out)))
        for r in out:
            at = round((r["timestamp_ns"] - T0) / 10000000)
            want = label(next((i for i in span(at) if i in faults), -1))
            check(r["labels"] == want, "%r: sample %d has %r" % (option, at, r.get("labels")))
        # The rate need not be known, nor the time.
        if option[0] == "--decimate":
            for leave in (("rate_hz",), ("rate_hz", "timestamp_ns")):
                bare = [{k: v for k, v in r.items() if k not in leave} for r in recs]
                got = records(psa("psa-filter", *option, data=lines(bare)))
                check([r["labels"] for r in got] == [r["labels"] for r in out], "%r without %r" % (option, leave))
        out = records(psa("psa-filter", *option, data=lines(block)))
        marked = [r.get("labels") for r in out]
        check(marked.count({"fault": 1}) >= 2 and None in marked, "%r: blocks %r" % (option, marked))
    # Between two samples of a slower stream: those of the sample before.
    out = records(psa("psa-filter", "--resample", "1000,linear", data=lines(recs[99:105])))
    check([r["labels"]["fault"] for r in out] == [int(round((r["timestamp_ns"] - T0) / 1e6) // 10 in faults) for r in out], "up")
    # Labels that change with every sample are bounded: 10,000 of them in one mean, and in the state.
    many = [{"sensor_id": "a", "fields": {"x": 1}, "timestamp_ns": T0 + i * 1000, "labels": {"n": i % 9999, "odd": i % 2}}
            for i in range(10000)]
    [r] = records(psa("psa-filter", "--resample", "1,mean", data=lines(many)))
    check(r["labels"] == {"n": 9998, "odd": 1}, "many: %r" % r)
    # Behind a gap nothing of the labels before it is left.
    recs = [{"fields": {"x": 1}, "timestamp_ns": T0 + i * 10**7 + (i > 2) * 10**9, "labels": {"f": int(i < 3)}} for i in range(20)]
    out = records(psa("psa-filter", "--decimate", "9", "--max-gap", "500ms", data=lines(recs)))
    check([r["labels"]["f"] for r in out] == [1, 0, 0], "gap: %r" % out)


def held_places():
    """Records that waited for a rate in vain are named by the lines they came from."""
    folder = tempfile.mkdtemp(dir=os.environ.get("BATS_TEST_TMPDIR"))
    names = [os.path.join(folder, name) for name in ("one", "two")]
    for k, name in enumerate(names):
        with open(name, "wb") as f:
            f.write(b"\n" * k + lines({"sensor_id": "a", "fields": {"x": 1}, "timestamp_ns": T0} for _ in range(3)))
    psa("psa-filter", "--lowpass", "10", *names, data=b"")
    said = ["%s:%d: a: the sampling rate cannot be measured" % (name, i + k) for k, name in enumerate(names) for i in (1, 2, 3)]
    check([line for line in said if line in psa.err] == said, psa.err)
    state = os.path.join(folder, "state")
    psa("psa-filter", "--lowpass", "10", "--state", state, names[0], data=b"")
    beat = {"sensor_id": "a", "fields": {"x": 1}, "timestamp_ns": T0}
    psa("psa-filter", "--lowpass", "10", "--state", state, data=lines([beat]) + b'{"psa":{"heartbeat":%d}}\n' % T0)
    check(psa.err.count("psa-filter: a: the sampling rate cannot be measured") == 3 and "psa-filter: stdin:1: a: the" in psa.err,
          psa.err)


def long_blocks():
    """A block that a gap made long leaves in parts that the next stage's --max-line takes."""
    recs = [{"fields": {"x": [0.1 / 3, 0.2 / 3], "y": [1 / 3, 2 / 3]}, "timestamp_ns": T0 + i * 90 * 10**9, "rate_hz": 1000}
            for i in range(2)]
    out = psa("psa-filter", "--resample", "1000,linear", data=lines(recs))
    got = records(out)
    sizes = [len(r["fields"]["x"]) for r in got]
    check(max(sizes) == 16384 and sum(sizes) == 90002, "sizes: %r" % sizes)
    check(max(map(len, out.splitlines())) < 1 << 20, "a long line")
    for a, b in zip(got, got[1:]):
        check(b["timestamp_ns"] == a["timestamp_ns"] + len(a["fields"]["x"]) * 1000000, "times")


def told_rates():
    """Polyphase resampling wants a rate that is told: no measured one is exact."""
    def plain(step, n=40):
        return [{"sensor_id": "a", "fields": {"x": i}, "timestamp_ns": T0 + i * step} for i in range(n)]

    for step, hz, why in ((10030000, "20", "measured about 99.7 Hz; give --rate 100Hz, or --resample 20Hz,linear"),
                          (10000000, "20", "measured about 100 Hz; give --rate 100Hz, or --resample 20Hz,linear"),
                          (20790000, "24,polyphase", "measured about 48.1 Hz; give --rate 48Hz, or --resample 24Hz,linear"),
                          (600000, "1.5", "measured about 1670 Hz; give --rate 1670Hz, or --resample 1.5Hz,linear")):
        out = psa("psa-filter", "--resample", hz, "--stats", data=lines(plain(step)))
        check(out == b"" and stats()["rejected"] == {"no_rate": 40}, "%s: %r" % (hz, stats()))
        check("stdin:3: a: %s; rejected" % why in psa.err, psa.err)
    recs = plain(10030000)
    want = psa("psa-filter", "--resample", "20", "--rate", "100", data=lines(recs))
    told = [{**r, "rate_hz": 100} if i > 4 else r for i, r in enumerate(recs)]
    got = psa("psa-filter", "--resample", "20", data=lines(told))
    check(records(got) == records(want) and len(records(want)) == 8, "told late: %r %r" % (got, want))
    check(len(records(psa("psa-filter", "--resample", "50,mean", "--resample", "25", data=lines(recs)))) > 5, "behind a grid")


def magnitudes():
    """A magnitude's name, its own and nobody's part; nothing over- or underflows on the way to a root that is a double."""
    recs = [{"fields": {"m": 1, "a": 3, "b": 4}}, {"fields": {"a": 6, "b": 8}}, {"fields": {"m": 7}}]
    for more in ([], ["--clip", "-100:100", "--fields", "m"], ["--clip", "-100:100"]):
        got = records(psa("psa-filter", "--magnitude", "a,b=m", *more, data=lines(recs)))
        check([r["fields"].get("m") for r in got] == [5, 10, 7], "%r: %r" % (more, got))
        got = psa("psa-filter", "--magnitude", "a,b=m", *more, "--suffix", "_f", data=lines(recs[:2]))
        check(got.count(b'"m"') == 2 and [r["fields"]["m"] for r in records(got)] == [5, 10] and b"m_f" not in got, "%r" % got)
    got = psa("psa-filter", "--scale", "3", "--suffix", "_f", data=lines([{"fields": {"x": 1, "x_f": 2}}]))
    check(got.count(b'"x_f"') == 1 and records(got)[0]["fields"] == {"x": 1, "x_f": 3, "x_f_f": 6}, "suffix: %r" % got)
    for f, want in (({"a": [3, 1], "b": 4}, [3, 1]), ({"a": 4, "b": [3, 1], "c": 2}, [3, 1]), ({"a": 3, "b": 4}, 5),
                    ({"a": [3, 1], "b": None}, [None, None])):
        [r] = records(psa("psa-filter", "--magnitude", "?=mag", data=lines([{"fields": f}])))
        check(r["fields"] == {**f, "mag": want}, "%r: %r" % (f, r))
    folder = tempfile.mkdtemp(dir=os.environ.get("BATS_TEST_TMPDIR"))
    argv = ["psa-filter", "--fill", "linear", "--magnitude", "a,b=mag", "--max-gap", "1s"]
    parts = [lines([{"fields": {"a": [3, 5], "b": 4, "late": [1, None]}, "timestamp_ns": T0, "rate_hz": 10}]), b'{"psa":{"heartbeat":%d}}\n' % (T0 * 2)]
    got = psa(*argv, data=b"".join(parts))
    check(records(got)[0]["fields"]["mag"] == [3, 5], "a drained block: %r" % got)
    check(b"".join(psa(*argv, "--state", os.path.join(folder, "s"), data=part) for part in parts) == got, "a drained block, resumed")
    for a, b in ((3e200, 4e200), (3e-200, 4e-200), (1e308, 1e308), (5e-324, 0), (2e-160, 1e-158), (0, 0), (3, 4), (1e150, 1e-150),
                 (1.2e-145, 3.3e-145)):
        [r] = records(psa("psa-filter", "--magnitude", "?=mag", data=lines([{"fields": {"a": a, "b": b}}])))
        check(abs(r["fields"]["mag"] - math.hypot(a, b)) <= 2.3e-16 * math.hypot(a, b), "%r, %r: %r" % (a, b, r))
    [r] = records(psa("psa-filter", "--magnitude", "?=mag", data=lines([{"fields": {"a": 1.7e308, "b": 1.7e308}}])))
    check(r["fields"]["mag"] is None, "beyond")


# Chains of every operation, for the promises about states and chunks.
CHAINS = [
    ["--lowpass", "10", "--highpass", "1", "--order", "3"], ["--bandpass", "2:20", "--bandstop", "9:11", "--start", "zero"],
    ["--notch", "20:5", "--integrate", "1"], ["--ewma", "0.2", "--difference"], ["--ewma", "100ms", "--offset", "-1"],
    ["--scale", "2", "--clip", "-1:3", "--suffix", "_f"], ["--magnitude", "x,y=m", "--lowpass", "5", "--fields", "m", "--rate", "100"],
    ["--fill", "hold,3", "--lowpass", "10"], ["--fill", "linear", "--lowpass", "10", "--max-gap", "200ms"],
    ["--fill", "linear,4", "--magnitude", "x,y=m", "--fill", "linear,2"], ["--lowpass", "10", "--fill", "linear", "--rate", "100"],
    ["--median", "5"], ["--median", "6", "--centred"], ["--hampel", "7", "--lowpass", "10"], ["--hampel", "7,2", "--centred", "--fill", "linear"],
    ["--detrend", "constant,20"], ["--detrend", "linear,20", "--median", "3", "--centred"],
    ["--kalman", "level,0.1,1"], ["--kalman", "velocity,0.1,1", "--rate", "100"],
    ["--resample", "40"], ["--resample", "40,linear"], ["--resample", "250,previous"], ["--resample", "20,mean", "--lowpass", "5"],
    ["--hampel", "5", "--centred", "--resample", "50", "--median", "3", "--centred"], ["--decimate", "4"], ["--decimate", "3,fir"],
    ["--fill", "linear", "--resample", "30,linear", "--resample", "60", "--decimate", "2"],
]
BLOCK_CHAINS = [["--zero-phase", "--lowpass", "10"], ["--zero-phase", "--highpass", "1", "--notch", "20"], ["--detrend", "linear"],
                ["--detrend", "constant", "--decimate", "4", "--zero-phase"], ["--zero-phase", "--decimate", "2,fir", "--lowpass", "5"]]


def stream(blocks, rated=False):
    """Two streams of 100 and 80 Hz with holes, a jump in time, labels that come and go, heartbeats."""
    rng = random.Random(7)
    out = []
    t = {"a": T0, "b": T0 + 3}
    for i in range(60 if blocks else 400):
        k = rng.choice("ab")
        step = 10000000 if k == "a" else 12500000

        def value():
            return None if rng.random() < 0.06 else round(rng.gauss(0, 1) + (20 if rng.random() < 0.03 else 0), 4)
        n = rng.randrange(5, 60)
        f = {"x": [value() for _ in range(n)], "y": [value() for _ in range(n)]} if blocks else {"x": value(), "y": value()}
        if rng.random() < 0.05:
            del f["y"]
        r = {"sensor_id": k, "fields": f, "timestamp_ns": t[k], "i": i}
        if blocks or rated:
            r["rate_hz"] = 1e9 / step
        if i % 17 in (3, 4, 9):
            r["labels"] = {"fault": i % 3, "name": "n%d" % (i % 5)}
        if blocks and i % 7 == 2:
            f["y"] = 1.5
        t[k] += step * (n if blocks else 1)
        if i in (21, 150, 303):
            t[k] += 300000000
        out += lines([r]).splitlines(True)
        if i % 29 == 5:
            out.append(b'{"psa":{"heartbeat":%d}}\n' % min(t.values()))
    return out


def every_chain():
    for chain in CHAINS:
        yield chain, stream(False, any(chain[i - 1] == "--resample" and "," not in chain[i] for i in range(1, len(chain))))
        yield chain, stream(True)
    for chain in BLOCK_CHAINS:
        yield chain, stream(True)


def states():
    """A stream that is cut anywhere and resumed gives the bytes of the uncut one; what is said in --stats adds up."""
    folder = tempfile.mkdtemp(dir=os.environ.get("BATS_TEST_TMPDIR"))
    for number, (chain, data) in enumerate(every_chain()):
        whole = os.path.join(folder, "whole-%d" % number)
        want = psa("psa-filter", *chain, "--state", whole, "--stats", data=b"".join(data))
        adds_up(chain, len(data) - sum(b"heartbeat" in line for line in data))
        for at in (1, 9, 17, len(data) // 2, len(data) - 3):
            state = os.path.join(folder, "cut")
            got = b""
            for part in (data[:at], data[at:at + 1], data[at + 1:]):
                got += psa("psa-filter", *chain, "--state", state, data=b"".join(part))
            check(got == want, "%s cut at %d differs" % (" ".join(chain), at))
            check(open(state).read() == open(whole).read(), "%s cut at %d: another state" % (" ".join(chain), at))
            os.remove(state)


def adds_up(chain, n):
    [line] = [json.loads(l) for l in psa.err.splitlines() if l.startswith('{"psa_stats"')]
    check(line["in"] == n == line["passed"] + line["absorbed"] + sum(line["dropped"].values()) + sum(line["rejected"].values()),
          "%s: %r does not add up to %d" % (" ".join(chain), line, n))
    return line


def whole_streams():
    """Nothing is left at the end, order holds within each stream, and fused equals piped."""
    for chain, data in every_chain():
        data = b"".join(data)
        out = psa("psa-filter", *chain, "--stats", data=data)
        got = [r for r in records(out) if "psa" not in r]
        n = sum(b"heartbeat" not in line for line in data.splitlines())
        stats = adds_up(chain, n)
        resampled = "--resample" in chain or "--decimate" in chain
        check(stats["emitted" if resampled else "passed"] == len(got) and not stats["rejected"], "%s: %r" % (chain, stats))
        check(resampled or (stats["passed"] == n and not stats["absorbed"]), "%s: %r" % (chain, stats))
        for k in "ab":
            times = [r["timestamp_ns"] for r in got if r["sensor_id"] == k]
            check(times == sorted(times), "%s: the order of %s" % (chain, k))
            if not resampled:
                numbers = [r["i"] for r in got if r["sensor_id"] == k]
                check(numbers == sorted(set(numbers)), "%s: the records of %s" % (chain, k))
        second = ["--lowpass", "3", "--order", "1"]
        fused = psa("psa-run", " ".join(["psa-filter", *("'%s'" % w for w in chain), "|", "psa-filter", *second]), data=data)
        check(fused == psa("psa-filter", *second, data=out), "%s: fused differs from piped" % chain)


def chunks():
    """However the input is cut into reads, the bytes are the same."""
    for chain, data in every_chain():
        data = b"".join(data)[:30000].rsplit(b"\n", 1)[0] + b"\n"
        want = psa("psa-filter", *chain, data=data)
        for size in (1 if len(data) < 9000 else 61, 4099):
            done = subprocess.Popen([os.path.join(BIN, "psa-filter"), *chain], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                    stderr=subprocess.DEVNULL)
            parts = []
            reader = threading.Thread(target=lambda: parts.append(done.stdout.read()))
            reader.start()
            for at in range(0, len(data), size):
                done.stdin.write(data[at:at + size])
                done.stdin.flush()
            done.stdin.close()
            reader.join()
            check(done.wait() == 0 and parts[0] == want, "%s by %d bytes differs" % (" ".join(chain), size))


main({"readings": lambda: every_case(readings), "block": lambda: every_case(blocks([N])),
      "blocks": lambda: every_case(blocks([1, 7, 32, 40, 80])), "overlapping": overlapping, "rates": rates,
      "measured": measured_median, "told_late": told_late, "keys": keys, "nulls": nulls, "cascade": cascade,
      "zero_phase": zero_phase, "notch": notch, "integrate": integrate, "ewma": ewma, "simple": simple, "fill": fill,
      "magnitude": magnitude, "suffix": suffix, "places": places, "gaps": gaps, "mixed_blocks": mixed_blocks,
      "kept_text": kept_text, "block_clocks": block_clocks, "windows": windows, "labels": labels, "held_places": held_places,
      "long_blocks": long_blocks, "told_rates": told_rates, "magnitudes": magnitudes, "states": states, "whole_streams": whole_streams, "chunks": chunks})
