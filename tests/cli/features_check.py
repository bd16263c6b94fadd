"""psa-features against NumPy, SciPy and brute force (tests/golden/features.json)."""
import json
import math
import random

from psatest import check, close, lines, main, psa, records

golden = json.load(open("tests/golden/features.json"))
T0 = 1710000000000000000
KEY = {"rms": "rms", "kurtosis": "kurt_fisher_biased", "spectral_energy": "spec_energy_noDC", "ptp": "p2p",
       "mean": "mean", "std": "std_pop", "min": "min", "max": "max"}


def windows():
    """Every golden window; kurtosis of a constant is null. spectral_energy of a constant is rounding alone."""
    for w in golden["windows"]:
        x, want = w["x"], w["expected"]
        out = records(psa("psa-features", data=lines([{"fields": {"v": x}, "timestamp_ns": T0, "rate_hz": w["fs"]}])))[0]
        got = out["fields"]
        check(list(got) == ["v_" + f for f in ("rms", "kurtosis", "spectral_energy", "zcr", "moving_avg", "ptp", "mean",
                                               "std", "min", "max")], "names and order: %r" % list(got))
        for feature, key in KEY.items():
            close([got["v_" + feature]], [want[key]], 1e-9, w["name"] + " " + feature)
        close([got["v_zcr"]], [want["zc_signbit"] / (want["n"] - 1)], 1e-12, w["name"] + " zcr")
        close([got["v_moving_avg"]], [math.fsum(x[-5:]) / 5], 1e-9, w["name"] + " moving_avg")
        check(out["timestamp_ns"] == T0 + round((len(x) - 1) * 1e9 / w["fs"]), "time is the last sample's")
        check("rate_hz" not in out, "rate_hz of a feature record")
    constant = records(psa("psa-features", "--stats", data=lines([{"fields": {"v": [3.5] * 64}, "timestamp_ns": T0}])))
    check(constant[0]["fields"]["v_kurtosis"] is None and '"noted":{"constant":1}' in psa.err, psa.err)


def moving_average():
    m = golden["moving_average"]
    recs = [{"fields": {"v": m["x"][:n]}} for n in range(m["w"], len(m["x"]) + 1)]
    got = records(psa("psa-features", "--features", "moving_avg", "--moving-avg", str(m["w"]), data=lines(recs)))
    close([r["fields"]["v_moving_avg"] for r in got], m["valid"], 1e-9, "moving average")


def choice():
    """--features chooses and orders; a null sample is left out, a window of nulls has no features."""
    x = golden["windows"][0]["x"]
    holes = list(x)
    for i in (3, 50, 99):
        holes.insert(i, None)
    recs = [{"fields": {"v": holes, "w": [None, None], "t": 7.50, "s": "on"}, "timestamp_ns": T0, "rate_hz": 100}]
    out = psa("psa-features", "--features", "max,rms,spectral_energy,mean", "--stats", data=lines(recs))
    got = records(out)[0]["fields"]
    check(list(got) == ["v_max", "v_rms", "v_spectral_energy", "v_mean", "w_max", "w_rms", "w_spectral_energy", "w_mean",
                        "t", "s"], "names: %r" % list(got))
    want = golden["windows"][0]["expected"]
    close([got["v_max"], got["v_rms"], got["v_mean"]], [want["max"], want["rms"], want["mean"]], 1e-9, "with holes")
    check(got["v_spectral_energy"] is None, "a transform of samples with holes")
    check(all(got["w_" + f] is None for f in ("max", "rms", "mean")), "features of nothing")
    check('"noted":{"missing_samples":1,"empty_window":4}' in psa.err, psa.err)
    kept = records(psa("psa-features", "--features", "mean", "--keep", data=lines(
        [{"fields": {"v": [1, 2, 3.5], "w": [4, None]}, "timestamp_ns": T0, "rate_hz": 10}])))[0]["fields"]
    check(kept == {"v": 3.5, "v_mean": 6.5 / 3, "w": None, "w_mean": 4}, "--keep: %r" % kept)


def rolling():
    """mean and std over several lengths against sums of exact rationals; a big offset, jumps of scale, nulls."""
    rng = random.Random(7)
    walks = {"plain": [rng.gauss(0, 1) for _ in range(400)],
             "offset": [1e6 + rng.gauss(0, 1) for _ in range(400)],
             "scales": [rng.gauss(0, 1) * (1e6 if 100 < i < 140 else 1) for i in range(400)],
             "still": [4.25] * 400,
             "holes": [None if rng.random() < 0.1 else rng.gauss(20, 3) for _ in range(400)]}
    lengths = (1, 2, 10, 50, 200)
    recs = [{"sensor_id": k, "fields": {"x": walks[k][i], "s": "on"}, "timestamp_ns": T0 + i} for i in range(400)
            for k in walks]
    out = records(psa("psa-features", "--rolling", "mean,std@" + ",".join(map(str, lengths)), data=lines(recs)))
    check(len(out) == len(recs), "records lost")
    seen = {k: [] for k in walks}
    for r, o in zip(recs, out):
        k = r["sensor_id"]
        if r["fields"]["x"] is not None:
            seen[k].append(r["fields"]["x"])
        for n in lengths:
            mean, std = o["fields"]["x_mean_%d" % n], o["fields"]["x_std_%d" % n]
            if len(seen[k]) < n:
                check(mean is None and std is None, "before the window is full")
                continue
            last = seen[k][-n:]
            m = math.fsum(last) / n
            s = math.sqrt(math.fsum((v - m) ** 2 for v in last) / n)
            check(abs(mean - m) <= 1e-9 * max(1, abs(m)), "%s mean %d: %r, not %r" % (k, n, mean, m))
            check(abs(std - s) <= 1e-9 * max(1, s), "%s std %d: %r, not %r" % (k, n, std, s))
        check(list(o["fields"])[0] == "s" and "x" not in o["fields"], "fields %r" % list(o["fields"]))
    kept = records(psa("psa-features", "--rolling", "std@2", "--keep", data=lines(recs[:6])))
    check(list(kept[0]["fields"]) == ["x", "s", "x_std_2"], "--keep: %r" % kept[0]["fields"])


def inside():
    """--length inside equals psa-window in front, byte for byte, heartbeats and the end included."""
    rng = random.Random(11)
    recs, t = [], T0
    for i in range(1500):
        t += rng.choice([0, 1000000, 5000000, 10000000, 400000000 if rng.random() < 0.02 else 3000000])
        recs.append({"sensor_id": rng.choice("abc"), "fields": {"x": rng.gauss(0, 1), "y": rng.choice([None, 1, 2.5])},
                     "timestamp_ns": t - (2000000 if rng.random() < 0.05 else 0), "labels": {"anomaly": int(i % 97 == 0)}})
        if rng.random() < 0.05:
            recs.append({"psa": {"heartbeat": t + rng.choice([0, 50000000])}})
    data = b'{"sensor_type":"status","sensor_id":"a","event":"gone"}\nnonsense\n\n' + lines(recs)
    for options in (["--length", "200ms"], ["--length", "200ms", "--stride", "50ms", "--max-gap", "300ms", "--partial"],
                    ["--length", "16", "--stride", "5", "--partial"], ["--length", "1s", "--max-samples", "20"]):
        two = psa("psa-features", data=psa("psa-window", *options, data=data))
        one = psa("psa-features", *options, "--stats", data=data)
        check(one == two and one, "%r differs" % options)
        stats = json.loads(psa.err.splitlines()[-1])
        bad = sum(stats["rejected"].values()) + sum(stats["dropped"].values())
        check(stats["in"] == stats["passed"] + stats["absorbed"] + bad, "accounts: %r" % stats)
        check(stats["rejected"] == {"syntax": 1} and stats["dropped"]["late"] > 0 and stats["passed"] == 1, "%r" % stats)
        psa("psa-window", *options, "--stats", data=data)
        window = json.loads(psa.err.splitlines()[-1])
        for note in ("gap", "max_samples"):
            check(window["noted"].get(note) == stats["noted"].get(note), "%s is not noted: %r" % (note, stats))


def many_names():
    """More field names than are kept ready."""
    fields = {"f%d" % i: [i, i + 1] for i in range(5000)}
    out = records(psa("psa-features", "--features", "mean", "--max-fields", "10000", data=lines([{"fields": fields}] * 2)))
    for r in out:
        check(r["fields"] == {"f%d_mean" % i: i + 0.5 for i in range(5000)}, "names are mixed up")


main({"windows": windows, "moving_average": moving_average, "choice": choice, "rolling": rolling, "inside": inside,
      "many_names": many_names})
