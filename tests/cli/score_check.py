"""psa-score against Python: limits, hysteresis, rest, false alarms, freeze, calibration, explanations, for every detector."""
import json
import math
import os
import random
import tempfile

import numpy as np

from psatest import BIN, check, close, lines, main, psa, records

WORK = tempfile.mkdtemp(dir=os.environ.get("BATS_TEST_TMPDIR"))
MODEL = "tests/golden/iforest_model.json"
T0 = 1710000000000000000
SECOND = 1000000000
STREAMING = ["ecod", "dynamic-pca", "ewma", "cusum", "half-space-trees", "conformal"]
TRAINED = ["isolation-forest", "ecod", "pca", "dynamic-pca", "mahalanobis"]


def readings(n, seed, keys="ab", fields=3, period=SECOND):
    """Channels that move together, with ties, bursts and a null now and then, of several sensors in turn."""
    rng = random.Random(seed)
    out = []
    for i in range(n):
        common = rng.gauss(0, 1)
        burst = 3.0 if i // 25 % 7 == 5 else 0.0
        f = {"f%d" % j: round(common + rng.gauss(0, 0.5) + (burst if j == 1 else 0), 2) for j in range(fields)}
        if i % 13 == 7:
            f["f0"] = None
        out.append({"sensor_id": keys[i % len(keys)], "fields": f, "timestamp_ns": T0 + i * period})
    return out


# ---- the definitions of psa-score(1), straightforwardly -----------------------------------------------------------------

class Set:
    """The stream's own earlier scores."""

    def __init__(self, scores):
        self.s = np.sort(np.array(scores, dtype=float))
        self.start = np.percentile(self.s, 90)
        above = self.s[self.s > self.start]
        self.scale = above.mean() - self.start if len(above) else 0.0

    def quantile(self, level):
        return float(np.percentile(self.s, 100 * level))

    def least(self):
        return self.s[0]

    def body(self, x):
        n = len(self.s)
        k = int(np.searchsorted(self.s, x, side="left"))
        return 0.0 if k == 0 else (k - 1 + (x - self.s[k - 1]) / (self.s[k] - self.s[k - 1])) / (n - 1)

    def ln_p(self, x):
        scale = max(self.scale, 1e-9 * max(abs(self.start), 1e-9))
        if x >= self.start:
            return math.log(0.1) - (x - self.start) / scale
        return math.log1p(-self.body(x))

    def at(self, ln_p):
        scale = max(self.scale, 1e-9 * max(abs(self.start), 1e-9))
        return self.start + (math.log(0.1) - ln_p) * scale if ln_p <= math.log(0.1) else self.quantile(1 - math.exp(ln_p))

    def rare(self, ln_p):
        """Like at, by a generalised Pareto tail where that is heavier: its L-moments, Q being a line between the levels."""
        if ln_p > math.log(0.1):
            return self.at(ln_p)
        level = np.array([0.9, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99, 0.995, 0.999, 0.9995, 0.9999, 1])
        y, u, h = np.array([self.quantile(v) for v in level]) - self.quantile(0.9), 10 * level - 9, 10 * np.diff(level)
        middle, where = (y[1:] + y[:-1]) / 2, (u[1:] + u[:-1]) / 2
        l1 = (h * middle).sum()
        l2 = (h * (y[1:] * (2 * u[1:] - 1) + 4 * middle * (2 * where - 1) + y[:-1] * (2 * u[:-1] - 1)) / 6).sum()
        shape = 2 - l1 / l2 if l2 > 0 else 0.0
        pareto = l1 * (l1 / l2 - 1) / shape * math.expm1(shape * (math.log(0.1) - ln_p)) if shape > 0 else 0.0
        return max(self.start + pareto, self.at(ln_p), self.quantile(1 - math.exp(ln_p)))


class Table(Set):
    """A model's reference."""

    def __init__(self, reference):
        pairs = np.array(reference["quantiles"])
        self.level, self.s = pairs[:, 0], pairs[:, 1]
        self.start, self.scale = reference["tail_start"], reference["tail_scale"]

    def quantile(self, level):
        return float(np.interp(level, self.level, self.s))

    def body(self, x):
        k = int(np.searchsorted(self.s, x, side="left"))
        if k == 0:
            return 0.0
        a, b = self.s[k - 1], self.s[k]
        return self.level[k - 1] + (self.level[k] - self.level[k - 1]) * (x - a) / (b - a)


def normalised(reference, x, on):
    if x <= reference.least():
        return 0.0
    return 1 - 2 ** (-reference.ln_p(x) / min(reference.ln_p(on), math.log(0.999999)))


def verdicts(raw, times, on=None, off=None, contamination=None, false_alarms=None, rest=0, warmup=0, horizon=0, freeze=False,
             table=None):
    """What is to be said of each row of a stream, its oriented raw scores given."""
    out, entered, alarm = [], [], False
    for i, r in enumerate(raw):
        # A limit of its own keeps rows in alarm out of the reference; a quantile of the reference does not.
        beyond = on is not None and r > (min(off, on) if alarm and off is not None else on)
        outside = (freeze or beyond) and i >= warmup and entered
        held = entered if not horizon else entered[-horizon:] if outside else entered[max(0, len(entered) + 1 - horizon):]
        reference = table or (Set(held) if held else None)
        limit_on, was = on, alarm
        if limit_on is None and reference and false_alarms:
            if i >= 16 and times[i] > times[0]:
                limit_on = reference.rare(math.log(min(0.5, false_alarms * (times[i] - times[0]) / 1e9 / i)))
        elif limit_on is None and reference:
            limit_on = reference.quantile(1 - contamination)
        alarm = False
        if i < warmup or reference is None or limit_on is None:
            out.append(None)
        else:
            limit = min(off, limit_on) if was and off is not None else limit_on
            alarm = r > limit
            if rest:
                limit = max([limit] + list(raw[max(0, i - rest):i]))
            threshold = 0.5 if limit == limit_on else normalised(reference, limit, limit_on)
            out.append({"is_anomaly": bool(r > limit), "limit": limit, "threshold": threshold,
                        "score": max(normalised(reference, r, limit_on), threshold if r > limit else 0)})
        if not outside:
            entered.append(r)
    return out


def compare(got, want, sign, what):
    anomalies = 0
    check(len(got) == len(want), what)
    for i, (g, w) in enumerate(zip(got, want)):
        a, where = g["anomaly"], "%s: row %d: " % (what, i)
        if w is None:
            check(a["state"] == "warming" and not a["is_anomaly"] and "raw" not in a and g["fields"].get("anomaly_score") is None and
                  a["observations_seen"] == i + 1, where + repr(a))
            continue
        check(a["state"] == "scoring" and a["is_anomaly"] == w["is_anomaly"], where + "%r, not %r" % (a, w))
        check(a["is_anomaly"] == (sign * a["raw"] > sign * a["raw_threshold"]), where + "is not told by raw: %r" % a)
        check(g["fields"]["anomaly_label"] == (-1 if a["is_anomaly"] else 1), where + "label")
        close([sign * a["raw_threshold"], g["fields"]["anomaly_score"], a["threshold"]], [w["limit"], w["score"], w["threshold"]], 1e-9, where)
        anomalies += a["is_anomaly"]
    return anomalies


def of(key, recs):
    return [r for r in recs if r["sensor_id"] == key]


# ---- the layers -----------------------------------------------------------------------------------------------------------

def layers():
    """--on, --off, --rest, --contamination, --false-alarms, --horizon, --warmup on two interleaved streams of ECOD."""
    recs = readings(500, 1)
    times = {k: [r["timestamp_ns"] for r in of(k, recs)] for k in "ab"}
    for horizon in (0, 60):
        plain = records(psa("psa-score", "--ecod", "--warmup", "1", "--horizon", str(horizon), data=lines(recs)))
        raw = {k: [0.0] + [r["anomaly"]["raw"] for r in of(k, plain)[1:]] for k in "ab"}
        for options, wish in ((["--contamination", "0.1"], {"contamination": 0.1}), (["--on", "6"], {"on": 6}), (["--on", "6", "--off", "3"], {"on": 6, "off": 3}),
                              (["--off", "4"], {"contamination": 0.05, "off": 4}), (["--rest", "20"], {"contamination": 0.05, "rest": 20}),
                              (["--on", "5", "--off", "2", "--rest", "3"], {"on": 5, "off": 2, "rest": 3}),
                              (["--false-alarms", "12/hour"], {"false_alarms": 12 / 3600}),
                              (["--false-alarms", "2/1m", "--off", "3"], {"false_alarms": 2 / 60, "off": 3}),
                              (["--false-alarms", "1/week"], {"false_alarms": 1 / (7 * 86400)})):
            for warmup in (40,) if horizon else (1, 40):
                what = "--horizon %d --warmup %d %s" % (horizon, warmup, " ".join(options))
                out = records(psa("psa-score", "--ecod", "--warmup", str(warmup), "--horizon", str(horizon), *options, data=lines(recs)))
                n = sum(compare(of(k, out), verdicts(raw[k], times[k], warmup=warmup, horizon=horizon, **wish), 1, what) for k in "ab")
                check(n > 0 or "week" in what, what + ": no anomaly")


def own_off():
    """A detector's own hysteresis holds under --on, --false-alarms and --contamination too, --off being above all."""
    rng = random.Random(9)
    recs = [{"sensor_id": "a", "timestamp_ns": T0 + i * SECOND,
             "fields": {"f%d" % j: rng.gauss(0, 1) + (1.3 if 700 <= i < 900 else 0) for j in range(4)}} for i in range(1200)]
    for own, detector in ((-1, ["--half-space-trees", "--seed", "3"]), (1, ["--dynamic-pca", "--freeze"])):
        want = records(psa("psa-score", *detector, "--off", str(own), data=lines(recs)))
        for limit in ([], ["--on", "0" if own < 0 else "1.5"]):
            out = records(psa("psa-score", *detector, *limit, data=lines(recs)))
            check(out == want, "%s: not its own hysteresis" % (detector + limit))
            told = {r["anomaly"]["raw_threshold"] for r in out if "raw_threshold" in r["anomaly"]}
            check(own in told and len(told) == 2, "%s: limits %r" % (detector + limit, told))
        out = records(psa("psa-score", *detector, "--on", "0.5", "--off", "0.5", data=lines(recs)))
        check({r["anomaly"]["raw_threshold"] for r in out if "raw_threshold" in r["anomaly"]} == {0.5}, "--off 0.5")


def lasting():
    """A shift that never goes away: each row in alarm scores at least the threshold, to the end; one spike is no shift."""
    rng = random.Random(10)
    recs = [{"sensor_id": "a", "timestamp_ns": T0 + i * SECOND, "fields": {"x": 20 + rng.gauss(0, 1) + (4 if i >= 600 else 0)}} for i in range(3000)]
    for name in ("cusum", "ewma", "conformal"):
        out = records(psa("psa-score", "--" + name, "--warmup", "200", "--horizon", "500", *(["--shingle", "20"] if name == "conformal" else []), data=lines(recs)))
        alarmed = [r for r in out if r["anomaly"]["is_anomaly"]]
        check(all(r["fields"]["anomaly_score"] >= r["anomaly"]["threshold"] >= 0.5 for r in alarmed), name + ": an anomaly scores nothing")
        check(name == "conformal" or all(r["anomaly"]["is_anomaly"] for r in out[-2000:]), name + ": the alarm ends")
    for r in recs[600:]:
        r["fields"]["x"] -= 4
    recs[900]["fields"]["x"] += 1000
    out = records(psa("psa-score", "--cusum", data=lines(recs)))
    check(sum(r["anomaly"]["is_anomaly"] for r in out[900:1100]) < 10, "--cusum alarms long after one spike")


def skew_is_zero(x):
    d = x - x.mean()
    m2 = (d * d).mean()
    return m2 <= (1e-15 * x.mean()) ** 2 or abs((d ** 3).mean()) / m2 ** 1.5 < 1e-12


def frozen_score(rows, new):
    """PyOD's decision_function of one row: the columns with it put in."""
    total = 0.0
    for j, x in enumerate(new):
        if np.isnan(x):
            continue
        column = np.append(rows[:, j][~np.isnan(rows[:, j])], x)
        left, right = -math.log(np.mean(column <= x)), -math.log(np.mean(column >= x))
        total += left + right if skew_is_zero(column) else max(left, right)
    return total


def freeze():
    """After the warm-up neither rows nor scores enter."""
    recs = readings(400, 2, keys="a")
    rows = np.array([[math.nan if v is None else v for v in r["fields"].values()] for r in recs])
    plain = records(psa("psa-score", "--ecod", "--warmup", "1", "--horizon", "90", data=lines(recs)))
    for warmup, horizon in ((60, 0), (150, 90)):
        first = psa("psa-score", "--ecod", "--warmup", "1", "--horizon", str(horizon), data=lines(recs[:warmup]))
        raw = [0.0] + [r["anomaly"]["raw"] for r in records(first)[1:]]
        held = rows[max(0, warmup - horizon) if horizon else 0:warmup]
        raw += [frozen_score(held, r) for r in rows[warmup:]]
        out = records(psa("psa-score", "--ecod", "--warmup", str(warmup), "--horizon", str(horizon), "--freeze", data=lines(recs)))
        close([r["anomaly"]["raw"] for r in out[warmup:]], raw[warmup:], 1e-12, "frozen raw")
        want = verdicts(raw, [r["timestamp_ns"] for r in recs], contamination=0.05, warmup=warmup, horizon=horizon, freeze=True)
        check(compare(out, want, 1, "--freeze") > 5, "--freeze: no anomaly")
    check(plain[-1]["anomaly"]["raw"] != out[-1]["anomaly"]["raw"], "--freeze changed nothing")


def by_model():
    """The same layers by a model whose scores people read with the sign turned; two streams, one alarm each."""
    recs = readings(500, 3, fields=6)
    for r in recs:
        r["fields"] = {k: 4 * v if v is not None else None for k, v in r["fields"].items()}
    model = json.load(open(MODEL))
    table = Table(model["reference"])
    times = {k: [r["timestamp_ns"] for r in of(k, recs)] for k in "ab"}
    plain = records(psa("psa-score", "--model", MODEL, data=lines(recs)))
    raw = {k: [-r["anomaly"]["raw"] for r in of(k, plain)] for k in "ab"}
    both = sorted(raw["a"] + raw["b"])
    high, low = -round(both[int(0.8 * len(both))], 3), -round(both[int(0.5 * len(both))], 3)
    for options, wish in (([], {"on": -model["threshold"]}), (["--on", str(high)], {"on": -high}),
                          (["--on", str(high), "--off", str(low)], {"on": -high, "off": -low}),
                          (["--rest", "15"], {"on": -model["threshold"], "rest": 15}),
                          (["--contamination", "0.02"], {"on": table.quantile(0.98)}),
                          (["--contamination", "0.3"], {"on": table.quantile(0.7)}),
                          (["--false-alarms", "30/hour"], {"false_alarms": 30 / 3600})):
        out = records(psa("psa-score", "--model", MODEL, *options, data=lines(recs)))
        n = sum(compare(of(k, out), verdicts(raw[k], times[k], table=table, **wish), -1, "--model " + " ".join(options)) for k in "ab")
        check(n > 3, "--model %s: %d anomalies" % (" ".join(options), n))


def wish():
    """A healthy day: the default alarms hundreds of times, with a wish it is about as often as wished at most."""
    rng = random.Random(4)
    recs = [{"sensor_id": "a", "fields": {"x": rng.gauss(0, 1), "y": rng.expovariate(1)}, "timestamp_ns": T0 + i * SECOND} for i in range(24000)]
    data = lines(recs)
    anomalies = {}
    for options in ((), ("--false-alarms", "2/hour")):
        out = psa("psa-score", "--ecod", "--warmup", "4000", "--top", "0", *options, data=data)
        anomalies[options] = out.count(b'"is_anomaly":true')
    check(800 < anomalies[()] < 1200, "contamination 0.05 of 20,000 rows: %d" % anomalies[()])
    check(1 <= anomalies["--false-alarms", "2/hour"] <= 22, "2 an hour in 5.5 hours: %d" % anomalies["--false-alarms", "2/hour"])
    # Heavy tails, Student's t with 3 degrees of freedom: 33 hours of them, by charts and by a model.
    rng = np.random.default_rng(4)
    x = rng.standard_t(3, size=(40000, 2))
    recs = [{"sensor_id": "a", "fields": {"x": float(a), "y": float(b)}, "timestamp_ns": T0 + i * 3 * SECOND} for i, (a, b) in enumerate(x)]
    model = os.path.join(WORK, "heavy.json")
    with open(model, "wb") as file:
        file.write(psa("psa-train", "pca", data=lines(recs[:8000])))
    for how in (["--ewma", "--lambda", "1"], ["--model", model]):
        out = psa("psa-score", *how, "--top", "0", "--false-alarms", "1/hour", data=lines(recs))
        check(2 <= out.count(b'"is_anomaly":true') <= 80, "%s: %d false alarms, 33 were wished for" % (how, out.count(b'"is_anomaly":true')))


# ---- explanations ---------------------------------------------------------------------------------------------------------

def together(n, seed, fields=4):
    """Channels driven by two common causes."""
    rng = np.random.default_rng(seed)
    causes = rng.normal(size=(n, 2))
    return causes @ rng.normal(size=(2, fields)) + 0.3 * rng.normal(size=(n, fields)) + 10 * np.arange(fields)


def as_records(rows):
    return [{"sensor_id": "m", "fields": {"c%d" % j: round(float(v), 4) for j, v in enumerate(row)}, "timestamp_ns": T0 + i * SECOND}
            for i, row in enumerate(rows)]


def explained(name, argv, recs, column, at):
    out = records(psa("psa-score", *argv, "--top", "99", data=lines(recs)))
    scored = [r for r in out if r["anomaly"]["state"] == "scoring"]
    check(len(scored) > 100, "%s: %d rows are scored" % (name, len(scored)))
    for r in scored:
        shares = [s for _, s in r["anomaly"]["top"]]
        check(not shares or abs(sum(shares) - 1) < 1e-9, "%s: shares sum to %r" % (name, sum(shares)))
        check(shares == sorted(shares, reverse=True) and all(s > 0 for s in shares), "%s: %r" % (name, shares))
    last = out[at]["anomaly"]
    check(last["top"] and last["top"][0][0] == "c%d" % column, "%s: channel %d was disturbed: %r" % (name, column, last))
    before = [r["fields"]["anomaly_score"] for r in out[:at - 2] if r["anomaly"]["state"] == "scoring"]
    check(out[at]["fields"]["anomaly_score"] > np.percentile(before, 75), "%s: not seen: %r" % (name, last))


def streaming():
    """Every detector that learns from its stream names the channel that was disturbed."""
    for name in STREAMING:
        for column in (0, 2):
            rows = together(620, 7 + column)
            rows[600:, column] += 12 * rows[:600, column].std()
            more = {"dynamic-pca": ["--lags", "2,4"], "half-space-trees": ["--samples", "100"], "conformal": ["--season", "0"]}.get(name, [])
            explained(name, ["--" + name, "--warmup", "300", *more], as_records(rows), column, 602)


def models():
    """And every kind of model."""
    for name in TRAINED:
        good = as_records(together(600, 20))
        path = os.path.join(WORK, name)
        psa("psa-train", name, "-o", path, data=lines(good))
        for column in (1, 3):
            rows = together(600, 20)[:220]
            rows[200:, column] += 12 * rows[:, column].std()
            explained("model " + name, ["--model", path], as_records(rows), column, 202)


# ---- golden through the programs --------------------------------------------------------------------------------------------

def t2_q():
    """psa-train pca and psa-score --model: scikit-learn's T2 and Q."""
    golden, forest = json.load(open("tests/golden/pca_t2q.json")), json.load(open("tests/golden/iforest.json"))
    rows = [[{"fields": {"f%d" % j: v for j, v in enumerate(row)}} for row in forest[part]] for part in ("X_train", "inputs")]
    path = os.path.join(WORK, "pca")
    psa("psa-train", "pca", "--scaler", "standard", "--variance", "0.85", "-o", path, data=lines(rows[0]))
    out = records(psa("psa-score", "--model", path, data=lines(rows[1])))
    for member, name in (("t2", "T2"), ("q", "Q")):
        want = golden[name]
        got = [r["anomaly"][member] for r in out]
        check(len(got) == len(want), "rows")
        for i, (g, w) in enumerate(zip(got, want)):
            check(abs(g - w) <= 1e-8 * max(abs(w), 1e-6), "%s[%d]: %r, not %r" % (name, i, g, w))


def cuts():
    """Every way of scoring, cut at many records and resumed, by two keys."""
    for name, argv in ways().items():
        data = lines(readings(420, 5)).splitlines(True)
        state = os.path.join(WORK, "state")
        whole = psa(*argv, data=b"".join(data))
        check(whole.count(b'"scoring"') > 100, name + ": too few are scored")
        at = [0, 1, 57, 121, 200, 301, 420]
        got = b"".join(psa(*argv, "--state", state, data=b"".join(data[a:b])) for a, b in zip(at, at[1:]))
        if got != whole:
            for i, (g, w) in enumerate(zip(got.splitlines(), whole.splitlines())):
                check(g == w, "%s: row %d: cut %r\n uncut %r" % (name, i, g, w))
        os.remove(state)


def ways():
    warm = ["--warmup", "50"]
    out = {"ecod-" + o[0].strip("-"): ["--ecod", *warm, *o] for o in (["--freeze"], ["--rest", "7"], ["--false-alarms", "2/1m"], ["--off", "3"])}
    for name in STREAMING:
        more = {"dynamic-pca": ["--lags", "2,4", "--reference", "60", "--guard", "5"], "half-space-trees": ["--samples", "40"],
                "conformal": ["--season", "20s"]}.get(name, [])
        out[name] = ["--" + name, *warm, *more]
        if name != "conformal":
            out[name + "-frozen"] = ["--" + name, *warm, *more[:2], "--freeze"]
    good = lines([r for r in readings(300, 6) if r["fields"]["f0"] is not None])
    for name in TRAINED:
        path = os.path.join(WORK, name + ".cut")
        psa("psa-train", name, "-o", path, data=good)
        out["model-" + name] = ["--model", path, "--rest", "5", "--false-alarms", "3/1m"]
        if name == "dynamic-pca":
            out["model-plain"] = ["--model", path]
            out["model-adapt"] = ["--model", path, "--adapt", "--refit", "20", "--reference", "60", "--guard", "5"]
    return {name: ["psa-score", *argv] for name, argv in out.items()}


def state_of_a_model():
    """A state is refused under another model, which is named."""
    paths = [os.path.join(WORK, "one"), os.path.join(WORK, "two")]
    ids = []
    for seed, path in enumerate(paths):
        psa("psa-train", "isolation-forest", "--trees", "5", "--seed", str(seed), "-o", path,
            data=lines([r for r in readings(200, 8) if r["fields"]["f0"] is not None]))
        ids.append(json.load(open(path))["id"])
    state, data = os.path.join(WORK, "state"), lines(readings(50, 9))
    psa("psa-score", "--model", paths[0], "--rest", "5", "--state", state, data=data)
    os.rename(paths[0], paths[0] + ".moved")
    psa("psa-score", "--model", paths[0] + ".moved", "--rest", "5", "--state", state, data=b"")
    before = open(state, "rb").read()
    psa("psa-score", "--model", paths[1], "--rest", "5", "--state", state, data=data, status=2)
    check("the state was kept under model '%s', this is '%s'" % tuple(ids) in psa.err, psa.err)
    check(open(state, "rb").read() == before, "a refused state was overwritten")


if __name__ == "__main__":
    main({f.__name__: f for f in (layers, freeze, by_model, wish, own_off, lasting, streaming, models, t2_q, cuts, state_of_a_model)})
