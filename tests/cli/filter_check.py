"""psa-filter against SciPy's own numbers (tests/golden/butter_sosfilt.json) and against itself."""
import json
import random

from psatest import check, close, fail, lines, main, psa, records

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


main({"readings": lambda: every_case(readings), "block": lambda: every_case(blocks([N])),
      "blocks": lambda: every_case(blocks([1, 7, 32, 40, 80])), "overlapping": overlapping, "rates": rates,
      "measured": measured_median, "told_late": told_late, "keys": keys, "nulls": nulls, "cascade": cascade})
