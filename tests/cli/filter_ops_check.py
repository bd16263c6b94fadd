"""psa-filter's medians, trends, Kalman filters and resampling against SciPy's, pandas' and statsmodels' own numbers
(tests/golden/resample.json and filters.json), through the program, on readings and on blocks."""
import json
import os
import select
import subprocess

from psatest import BIN, check, close, lines, main, psa, records

resample = json.load(open("tests/golden/resample.json"))
golden = json.load(open("tests/golden/filters.json"))
T0 = 1710000000000000000
TIMES = [int(t) for t in golden["times_ns"]]


def readings(x, times=None, **more):
    times = times or [T0 + i * 10000000 for i in range(len(x))]
    return lines({"sensor_id": "a", "fields": {"x": v, "y": 1}, "timestamp_ns": t, **more} for v, t in zip(x, times))


def blocks(x, lengths, rate=100, **more):
    """x in blocks of the lengths, over and over."""
    recs, at, i = [], 0, 0
    while at < len(x):
        n = lengths[i % len(lengths)]
        recs.append({"sensor_id": "a", "fields": {"x": x[at:at + n]}, "timestamp_ns": T0 + at * 10000000, "rate_hz": rate,
                     **more})
        at += n
        i += 1
    return lines(recs)


def values(out):
    """The values of all records in a row."""
    got = []
    for r in records(out):
        v = r["fields"]["x"]
        got += v if isinstance(v, list) else [v]
    return got


def stats():
    [line] = [json.loads(line) for line in psa.err.splitlines() if line.startswith('{"psa_stats"')]
    return line


def everywhere(x, want, argv, what, tolerance=1e-9):
    """On readings, on one block and on blocks of all lengths."""
    close(values(psa("psa-filter", *argv, "--rate", "100", data=readings(x))), want, tolerance, what + ", readings")
    for lengths in ([len(x)], [1], [7, 1, 32, 2], [99]):
        close(values(psa("psa-filter", *argv, data=blocks(x, lengths))), want, tolerance, "%s, blocks %r" % (what, lengths))


# ---- resampling


def polyphase():
    """Every vector of resample_poly; the first time is the first input's, the others are a period apart."""
    tried = 0
    for data in (resample["cases"], golden["resample"]):
        for case in data:
            if case.get("fn", "resample_poly") != "resample_poly":
                continue
            x = (resample if data is resample["cases"] else golden)["x"][:case.get("n")]
            hz = 100 * case["up"] / case["down"]
            argv = ["psa-filter", "--resample", repr(hz), "--rate", "100"]
            what = "%d/%d" % (case["up"], case["down"])
            out = psa(*argv, "--stats", data=readings(x, kept="yes"))
            close(values(out), case["y"], 1e-9, what)
            check(stats()["absorbed"] == len(x) and stats()["emitted"] == len(case["y"]), psa.err)
            got = records(out)
            for k, r in enumerate(got):
                ns = T0 + k * 10000000 * case["down"] / case["up"]
                check(abs(r["timestamp_ns"] - T0 - (ns - T0)) <= 256 and r["timestamp_ns"] >= T0, "%s: time %d" % (what, k))
                check(abs(r["rate_hz"] - hz) <= 1e-9 * hz and r["kept"] == "yes", "%s: %r" % (what, r))
            check(got[0]["timestamp_ns"] == T0, what)
            for lengths in ([len(x)], [1, 7, 40]):
                close(values(psa(*argv[:3], data=blocks(x, lengths))), case["y"], 1e-9, what + ", blocks")
            tried += 1
    check(tried == 18, "%d cases" % tried)


def decimate():
    """Every vector of decimate: causal on readings and blocks from rest, zero-phase on a block."""
    tried = 0
    for data in (resample, golden):
        for case in data["cases" if data is resample else "decimate"]:
            if case.get("fn", "decimate") != "decimate":
                continue
            argv = ["--decimate", "%d,%s" % (case["q"], case["ftype"])]
            if case["zero_phase"]:
                got = values(psa("psa-filter", *argv, "--zero-phase", data=blocks(data["x"], [len(data["x"])])))
                close(got, case["y"], 1e-9, "%r zero-phase" % argv)
                two = values(psa("psa-filter", *argv, "--zero-phase", data=blocks(data["x"] * 2, [len(data["x"])])))
                check(two == got + got, "%r: a block depends on the one before it" % argv)
            else:
                everywhere(data["x"], case["y"], [*argv, "--start", "zero"], "%r" % argv)
                if case["ftype"] == "iir":
                    close(values(psa("psa-filter", argv[0], str(case["q"]), "--start", "zero", data=readings(data["x"]))),
                          case["y"], 1e-9, "iir is the default")
            tried += 1
    check(tried == 16, "%d cases" % tried)
    out = records(psa("psa-filter", "--decimate", "4", data=readings(golden["x"], rate_hz=100)))
    check([r["timestamp_ns"] for r in out] == [T0 + i * 40000000 for i in range(len(out))], "times")
    check(all(r["rate_hz"] == 25 for r in out), "the rate is not the new one")
    # From the steady state of the first value a constant stays one: the Chebyshev filter's gain is its ripple below 1 there.
    for ftype, gain in (("iir", 10 ** (-0.05 / 20)), ("fir", 1)):
        got = values(psa("psa-filter", "--decimate", "3," + ftype, data=readings([7.25] * 100)))
        close(got, [7.25 * gain] * 34, 1e-12, ftype + ", steady")
    short = psa("psa-filter", "--decimate", "2", "--zero-phase", "--stats", data=blocks(golden["x"][:27], [27]))
    check(values(short) == [None] * 14 and stats()["noted"] == {"too_short": 1}, "27 samples: " + psa.err)
    check(None not in values(psa("psa-filter", "--decimate", "2", "--zero-phase", data=blocks(golden["x"][:28], [28]))), "28")


def grids():
    """linear, previous and mean on irregular times, with missing values and a pause."""
    data = readings(golden["holey"], TIMES)
    for case in golden["grids"]:
        for method in ("linear", "previous", "mean"):
            out = records(psa("psa-filter", "--resample", "%r,%s" % (case["hz"], method), data=data))
            close([r["fields"]["x"] for r in out], case[method], 1e-9, "%s at %r Hz" % (method, case["hz"]))
            first = int(case["mean_first_ns" if method == "mean" else "first_ns"])
            period = case["period_ns"]
            check(all(abs(r["timestamp_ns"] - first - i * period) <= 1 for i, r in enumerate(out)), "%s: times" % method)
            check(all(abs(r["rate_hz"] - case["hz"]) < 1e-9 for r in out), "%s: rate_hz" % method)
    # 10 ms to 50 ms: a block gives a block.
    x = golden["x"]
    out = records(psa("psa-filter", "--resample", "20,mean", data=blocks(x, [50])))
    check(all(isinstance(r["fields"]["x"], list) for r in out), "no blocks")
    close([v for r in out for v in r["fields"]["x"]], [sum(x[i:i + 5]) / 5 for i in range(0, 150, 5)], 1e-12, "10 ms to 50 ms")


def grid_edges():
    """Exact times, two samples at one time, long pauses, heartbeats."""
    # 3 Hz: thirds of a second, each rounded by itself.
    out = records(psa("psa-filter", "--resample", "3,linear", data=readings([0.0, 2.0], [T0, T0 + 2000000000])))
    check([r["timestamp_ns"] - T0 for r in out] == [0, 333333333, 666666667, 1000000000, 1333333333, 1666666667, 2000000000],
          "%r" % [r["timestamp_ns"] - T0 for r in out])
    close([r["fields"]["x"] for r in out], [0, 0.333333333, 0.666666667, 1, 1.333333333, 1.666666667, 2], 1e-12, "thirds")
    # A point at or before the newest sample is out at once; of two samples at its very time it has the first.
    for method, want in (("linear", [1, 3, 5]), ("previous", [1, 1, 5])):
        out = psa("psa-filter", "--resample", "10," + method,
                  data=readings([1, 5, 9], [T0, T0 + 200000000, T0 + 200000000]))
        close(values(out), want, 1e-12, method)
    # Pauses of 100,000 points are bridged, longer ones are not.
    for steps, bridged in ((100000, True), (100001, False)):
        data = readings([1, 2], [T0, T0 + steps * 1000000])
        for method in ("linear", "previous", "mean"):
            out = psa("psa-filter", "--resample", "1000," + method, "--stats", data=data)
            check(len(out.splitlines()) == (steps + 1 if bridged else 2), "%s over %d" % (method, steps))
            check(stats()["noted"] == ({} if bridged else {"gap": 1}), psa.err)
    # Heartbeats let previous go on and mean close its interval, before the next record.
    beat = b'{"psa":{"heartbeat":%d}}\n' % (T0 + 350000000)
    first = readings([4], [T0 + 50000000])
    for method, want in (("previous", [4, 4, 4]), ("mean", [4]), ("linear", [])):
        out = psa("psa-filter", "--resample", "10," + method, data=first + beat + readings([5], [T0 + 900000000]))
        before = out[:out.index(b'{"psa"')]
        check([r["fields"]["x"] for r in records(before)] == want, "%s before the heartbeat: %r" % (method, before))
        whole = psa("psa-filter", "--resample", "10," + method, data=first + readings([5], [T0 + 900000000]))
        check([r for r in records(out) if "psa" not in r] == records(whole), "%s: a heartbeat changes the values" % method)
        at = next(i for i, r in enumerate(records(out)) if "psa" in r)
        promised = records(out)[at]["psa"]["heartbeat"]
        check(promised <= T0 + 350000000 and all(r["timestamp_ns"] >= promised for r in records(out)[at + 1:]),
              "%s: a record behind the heartbeat is older than it says" % method)
    out = psa("psa-filter", "--resample", "10,previous", "--max-gap", "160ms", data=first + beat)
    check(out.count(b"fields") == 2, "previous holds beyond --max-gap: %r" % out)


def promises():
    """A heartbeat makes what is older late, and goes on with no later a time than what waits: nothing is lost behind it."""
    beat = b'{"psa":{"heartbeat":%d}}\n' % (T0 + 5000000000)
    out = psa("psa-filter", "--resample", "1,mean", "--stats",
              data=readings([1], [T0]) + beat + readings([100, 7], [T0 + 1500000000, T0 + 6000000000]))
    check(stats()["dropped"] == {"late": 1} and b":100}" not in out, "older than a heartbeat: %r" % psa.err)
    x = [float(i % 17) for i in range(400)]
    times = [T0 + i * 10000000 for i in range(400)]
    data = b"".join(readings(x[i:i + 1], times[i:i + 1]) + (b'{"psa":{"heartbeat":%d}}\n' % times[i] if i % 7 == 0 else b"")
                    for i in range(400))
    for chain in (["--median", "9", "--centred"], ["--resample", "40", "--rate", "100"], ["--resample", "30,linear"],
                  ["--resample", "30,mean"], ["--fill", "linear", "--lowpass", "10"]):
        out = psa("psa-filter", *chain, data=data)
        behind = psa("psa-filter", "--resample", "5,previous", "--stats", data=out) # any stage that heeds heartbeats
        check(stats()["dropped"] == {} and behind, "%r: %r" % (chain, psa.err))


def silent_streams():
    """A stream that fell silent holds the time of a heartbeat back, until --max-gap lets go of it."""
    data = (readings([1, 2], [T0, T0 + 100000000], sensor_id="dead") + readings([1, 2], [T0, T0 + 9000000000], sensor_id="live") +
            b'{"psa":{"heartbeat":%d}}\n' % (T0 + 12000000000))
    for chain in (["--median", "5", "--centred"], ["--resample", "10,linear"]):
        for gap, free in (([], False), (["--max-gap", "2s"], True)):
            out = psa("psa-filter", *chain, *gap, data=data)
            said = [r["psa"]["heartbeat"] - T0 for r in records(out) if "psa" in r]
            check(len(said) == 1 and (said[0] == 12000000000 if free else said[0] <= 100000000), "%r %r: %r" % (chain, gap, said))


def delays():
    """Outputs come as soon as they can: 10 intervals of the lower rate behind by polyphase, at once by decimate."""
    for option, want in ((["--resample", "50"], lambda n: max(0, (n - 1 - 20) // 2 + 1)),
                         (["--resample", "200"], lambda n: max(0, 2 * (n - 10))),
                         (["--decimate", "4"], lambda n: (n + 3) // 4), (["--decimate", "4,fir"], lambda n: (n + 3) // 4),
                         (["--resample", "50,linear"], lambda n: (n + 1) // 2),
                         (["--resample", "50,mean"], lambda n: max(0, (n - 1) // 2)),
                         (["--median", "7"], lambda n: n), (["--median", "7", "--centred"], lambda n: max(0, n - 3)),
                         (["--hampel", "8", "--centred"], lambda n: max(0, n - 3))):
        data = readings(golden["x"][:60]).splitlines(True)
        child = subprocess.Popen([os.path.join(BIN, "psa-filter"), "--rate", "100", *option], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, bufsize=0)
        for n, line in enumerate(data):
            child.stdin.write(line)
            for _ in range(want(n + 1) - want(n)):
                ready = select.select([child.stdout], [], [], 20)[0]
                check(ready and child.stdout.readline(), "%r: nothing came with record %d" % (option, n))
        # Nothing more came than that: the rest is what the end gives.
        child.stdin.close()
        rest = len(child.stdout.readlines())
        child.wait()
        whole = len(psa("psa-filter", "--rate", "100", *option, data=b"".join(data)).splitlines())
        check(rest == whole - want(len(data)), "%r: %d at the end, not %d" % (option, rest, whole - want(len(data))))


# ---- windows


def medians():
    """median and hampel of every length, trailing and centred, with missing values; outliers are counted."""
    x = golden["holey"]
    for case in golden["windows"]:
        centred = ["--centred"] if case["centred"] else []
        if centred and case["n"] <= 2:
            continue  # is the trailing window, and the program says so
        everywhere(x, case["median"], ["--median", str(case["n"]), *centred], "median %d %r" % (case["n"], centred), 0)
        if case["n"] < 3:
            continue
        everywhere(x, case["hampel"], ["--hampel", str(case["n"]), *centred], "hampel %d %r" % (case["n"], centred), 0)
        psa("psa-filter", "--hampel", "%d,3" % case["n"], *centred, "--fields", "x", "--stats", data=readings(x))
        want = sum(h is not None and h != v for h, v in zip(case["hampel"], x))
        check(stats()["noted"].get("outlier", 0) == want, "outliers: %r, not %d" % (stats()["noted"], want))
    # A larger K replaces less, and the time stays each sample's own.
    out = records(psa("psa-filter", "--hampel", "7,1000000", "--centred", data=readings(x, TIMES)))
    check([r["fields"]["x"] for r in out] == x and [r["timestamp_ns"] for r in out] == TIMES, "hampel K")


def trends():
    x = golden["x"]
    for how in ("constant", "linear"):
        got = values(psa("psa-filter", "--detrend", how, data=blocks(x + x, [150])))
        close(got, golden["detrend"][how] * 2, 1e-9, "detrend " + how)
        for case in golden["trends"]:
            everywhere(golden["holey"], case[how], ["--detrend", "%s,%d" % (how, case["n"])], "detrend %s" % how)
    hole = [None if i % 7 == 2 else 3.0 + 0.5 * i for i in range(60)]
    got = values(psa("psa-filter", "--detrend", "linear", data=blocks(hole, [60])))
    close(got, [None if v is None else 0.0 for v in hole], 1e-9, "a line with holes")


def kalman():
    """Both models, even times told and uneven ones from the records; missing values are predicted and counted."""
    y = golden["walk"]
    for case in golden["kalman"]:
        option = "%s,%r,%r" % (case["model"], case["q"], case["r"])
        argv = ["psa-filter", "--kalman", option, "--stats"]
        if case["times"] == "even":
            close(values(psa(*argv, "--rate", "100", data=readings(y, [T0 + i for i in range(len(y))]))), case["level"], 1e-9,
                  option + " told")
            for lengths in ([150], [1, 7, 30]):
                close(values(psa(*argv, data=blocks(y, lengths))), case["level"], 1e-9, option + " in blocks")
        else:
            close(values(psa(*argv, data=readings(y, TIMES))), case["level"], 1e-9, option)
        check(stats()["noted"] == {"filled": 6}, psa.err)
    out = psa("psa-filter", "--kalman", "level,1,1", data=readings([None, None, 4.0, None]))
    check(values(out) == [None, None, 4.0, 4.0], "before the first sample: %r" % out)


def overflows():
    """Values that leave the range of a double are null, and what follows is whole again."""
    big = [1.0] * 30 + [1.7e308, -1.7e308, 1.7e308, -1.7e308] + [1.0] * 300
    for option in (["--detrend", "linear,4"], ["--kalman", "velocity,1e90,1e-90"], ["--decimate", "2"], ["--median", "4"],
                   ["--decimate", "2,fir"], ["--resample", "50"], ["--resample", "30,mean"], ["--resample", "70,linear"],
                   ["--hampel", "5"]):
        got = values(psa("psa-filter", *option, "--rate", "100", data=readings(big)))
        tail = got[-60:-25]
        check(all(v is not None for v in tail), "%r: %r" % (option, tail))


main({"polyphase": polyphase, "decimate": decimate, "grids": grids, "grid_edges": grid_edges, "promises": promises, "silent_streams": silent_streams, "delays": delays,
      "medians": medians, "trends": trends, "kalman": kalman, "overflows": overflows})
