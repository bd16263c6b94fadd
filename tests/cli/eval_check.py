"""psa-eval against scikit-learn, against NAB's scoring written from its definition, and against brute force."""
import csv
import datetime
import glob
import json
import math
import os
import random
import statistics
import tempfile

from psatest import check, close, fail, lines, main, psa, records

T0 = 1710000000000000000
DATA = os.path.join("..", "shared", "data")
PROFILES = {"standard": (1.0, 0.11, 1.0), "reward_low_FP_rate": (1.0, 0.22, 1.0), "reward_low_FN_rate": (1.0, 0.11, 2.0)}


# ---- streams ---------------------------------------------------------------------------------------------------------

def stream(rng, name, n, ties=True, warmup=5):
    """Rows as psa-score writes them: labels in runs, scores a little higher there, ties, a warm-up, uneven steps of time."""
    rows, label, left, now = [], 0, rng.randrange(4, 30), T0
    for i in range(n):
        if left == 0:
            label, left = 1 - label, rng.randrange(1, 30)
        left -= 1
        now += rng.choice([0, 1, 1, 1, 7]) * 10 ** 9 + rng.randrange(1000)
        score = None if i < warmup or rng.random() < 0.02 else min(1.0, max(0.0, rng.gauss(0.4 + 0.15 * label, 0.2)))
        if score is not None and ties:
            score = round(score, 2)
        rows.append({"id": name, "t": now, "label": label, "score": score, "predicted": score is not None and score > 0.5})
    return rows


def as_records(rows):
    out = []
    for r in rows:
        fields = {"x": 1.5}
        if r["score"] is not None:
            fields.update({"anomaly_score": r["score"], "anomaly_label": -1 if r["predicted"] else 1})
        state = "warming" if r["score"] is None else "scoring"
        out.append({"sensor_type": "t", "sensor_id": r["id"], "fields": fields, "timestamp_ns": r["t"],
                    "labels": {"fault": "x", "anomaly": r["label"]},
                    "anomaly": {"is_anomaly": r["predicted"], "threshold": 0.5, "state": state}})
    return out


def evaluate(rows, *options, status=0):
    return json.loads(psa("psa-eval", "--json", *options, data=lines(as_records(rows)), status=status))


def streams_of(rows):
    by = {}
    for r in rows:
        by.setdefault(r["id"], []).append(r)
    return by


def runs(flags):
    out = []
    for i, f in enumerate(flags):
        if f and (i == 0 or not flags[i - 1]):
            out.append([i, i])
        if f:
            out[-1][1] = i
    return out


# ---- what it should be -------------------------------------------------------------------------------------------------

def sklearn_figures(rows):
    from sklearn import metrics
    label = [r["label"] for r in rows]
    predicted = [int(r["predicted"]) for r in rows]
    ranked = [-1.0 if r["score"] is None else r["score"] for r in rows]
    tn, fp, fn, tp = metrics.confusion_matrix(label, predicted, labels=[0, 1]).ravel()
    return {"tp": tp, "fp": fp, "fn": fn, "tn": tn, "precision": metrics.precision_score(label, predicted),
            "recall": metrics.recall_score(label, predicted), "f1": metrics.f1_score(label, predicted),
            "far": fp / (fp + tn), "mar": fn / (fn + tp), "roc_area": metrics.roc_auc_score(label, ranked),
            "pr_area": metrics.average_precision_score(label, ranked)}


def same_figures(got, rows, what):
    want = sklearn_figures(rows)
    for name in ("tp", "fp", "fn", "tn"):
        check(got["points"][name] == want[name], "%s: %s is %r, not %r" % (what, name, got["points"][name], want[name]))
    for name in ("precision", "recall", "f1", "far", "mar"):
        close([got["points"][name]], [want[name]], 1e-14, what + " " + name)
    for name in ("roc_area", "pr_area"):
        close([got[name]], [want[name]], 1e-12, what + " " + name)


def range_rewards(ranges, others):
    """Tatbul et al. 2018 by sets of rows: alpha 0, flat bias, reciprocal cardinality."""
    rewards = []
    for first, last in ranges:
        mine = set(range(first, last + 1))
        hits = [mine & set(range(a, b + 1)) for a, b in others]
        hits = [h for h in hits if h]
        rewards.append(sum(len(h) for h in hits) / len(mine) / len(hits) if hits else 0.0)
    return rewards


def brute_force(streams):
    """Ranges, delays and false alarms of streams whose skipped rows are already gone."""
    recalls, precisions, delay_rows, delay_s, false_alarms, normal_ns = [], [], [], [], 0, 0
    for rows in streams:
        labelled = runs([r["label"] for r in rows])
        predicted = runs([r["predicted"] for r in rows])
        recalls += range_rewards(labelled, predicted)
        precisions += range_rewards(predicted, labelled)
        for a, b in labelled:
            hit = [i for i in range(a, b + 1) if rows[i]["predicted"]]
            if hit:
                delay_rows.append(hit[0] - a)
                delay_s.append((rows[hit[0]]["t"] - rows[a]["t"]) / 1e9)
        false_alarms += sum(all(not rows[i]["label"] for i in range(a, b + 1)) for a, b in predicted)
        normal_ns += sum(q["t"] - p["t"] for p, q in zip(rows, rows[1:]) if not p["label"] and not q["label"])
    return recalls, precisions, delay_rows, delay_s, false_alarms, normal_ns / 86400e9


# ---- NAB, from its paper and its program's definitions ------------------------------------------------------------------------

def sigma(y):
    return -1.0 if y > 3.0 else 2.0 / (1.0 + math.exp(5.0 * y)) - 1.0


def nab_score(files, weights, chosen):
    """files: (rows, windows as pairs of indices); chosen: a row -> is it a detection? The sum over the files."""
    tp, fp, fn = weights
    total = 0.0
    for rows, windows in files:
        probation = min(math.floor(0.15 * len(rows)), 0.15 * 5000)
        best = {k: -fn for k, (_, b) in enumerate(windows) if b >= probation}
        for i, row in enumerate(rows):
            if i < probation or not chosen(row):
                continue
            inside = [k for k, (a, b) in enumerate(windows) if a <= i <= b]
            before = [k for k, (_, b) in enumerate(windows) if b < i]
            if inside:
                a, b = windows[inside[0]]
                best[inside[0]] = max(best[inside[0]], tp * sigma(-(b - i + 1) / (b - a + 1)) / sigma(-1.0))
            elif before:
                a, b = windows[before[-1]]
                total += fp * (sigma((i - b) / (b - a)) if b > a else -1.0)
            else:
                total -= fp
        total += sum(best.values())
    return total


def nab_windows(files):
    return sum(b >= min(math.floor(0.15 * len(rows)), 0.15 * 5000) for rows, windows in files for _, b in windows)


def same_nab(got, files, what, every_threshold=True):
    count = nab_windows(files)
    check(got["windows"] == count, "%s: %r windows, not %d" % (what, got["windows"], count))
    scores = sorted({r["score"] for rows, _ in files for i, r in enumerate(rows)
                     if r["score"] is not None and i >= min(math.floor(0.15 * len(rows)), 750)}, reverse=True)
    for name, weights in PROFILES.items():
        def scale(score):
            return 100 * (score + weights[2] * count) / (weights[0] * count + weights[2] * count)

        score = nab_score(files, weights, lambda row: row["predicted"])
        close([got[name]["score"], got[name]["normalised"]], [score, scale(score)], 1e-11, what + " " + name)
        best = got[name]["best"]
        close([best["normalised"]], [scale(best["score"])], 1e-11, what + " best")
        if best["threshold"] is not None:
            again = nab_score(files, weights, lambda r: r["score"] is not None and r["score"] >= best["threshold"])
            close([best["score"]], [again], 1e-11, what + " at the best threshold")
        if not every_threshold:
            continue
        all_scores = [(-weights[2] * count, None)] + [
            (nab_score(files, weights, lambda r, t=t: r["score"] is not None and r["score"] >= t), t) for t in scores]
        want = max(s for s, _ in all_scores)
        close([best["score"]], [want], 1e-11, what + " best of all thresholds")
        first = next(t for s, t in all_scores if s >= want - 1e-12)
        check(best["threshold"] == first, "%s: best threshold %r, not %r" % (what, best["threshold"], first))


# ---- checks ----------------------------------------------------------------------------------------------------------------------

def points():
    """Counts, rates and areas are scikit-learn's, of all streams pooled and of each, with and without skipping."""
    for seed in range(12):
        rng = random.Random(seed)
        rows = [r for k in range(4) for r in stream(rng, "s%d" % k, rng.randrange(60, 200), ties=seed % 2 == 0)]
        for skip in (0, 23):
            got = evaluate(rows, "--each", "--skip", str(skip))
            kept = [by[skip:] for by in streams_of(rows).values()]
            same_figures(got, [r for by in kept for r in by], "seed %d" % seed)
            check(got["rows"]["skipped"] == 4 * skip and got["rows"]["judged"] == sum(map(len, kept)), "rows")
            check(got["rows"]["unscored"] == sum(r["score"] is None for by in kept for r in by), "unscored")
            for one, by in zip(got["each"], kept):
                same_figures(one, by, "seed %d %s" % (seed, one["stream"]))
        shuffled = sorted(rows, key=lambda r: r["t"])  # streams in one another: the same figures
        check(evaluate(shuffled)["points"] == evaluate(rows)["points"], "interleaved streams")


def ranges():
    """Range-based figures, delays and false alarms by sets of rows."""
    for seed in range(20):
        rng = random.Random(1000 + seed)
        rows = [r for k in range(3) for r in stream(rng, "s%d" % k, rng.randrange(30, 150))]
        skip = seed % 3 * 11
        got = evaluate(rows, "--skip", str(skip), "--each")
        kept = [by[skip:] for by in streams_of(rows).values()]
        for figures, part in [(got, kept)] + [(one, [by]) for one, by in zip(got["each"], kept)]:
            recalls, precisions, delay_rows, delay_s, alarms, days = brute_force(part)
            recall, precision = statistics.fmean(recalls), statistics.fmean(precisions)
            f1 = 2 * recall * precision / (recall + precision) if recall and precision else 0.0
            close([figures["ranges"][k] for k in ("recall", "precision", "f1")], [recall, precision, f1], 1e-12, "ranges")
            check(figures["ranges"]["labelled"] == len(recalls) and figures["ranges"]["predicted"] == len(precisions), "n")
            delay = figures["delay"]
            check(delay["found"] == len(delay_rows) and delay["missed"] == len(recalls) - len(delay_rows), "found")
            for name, values in (("rows", delay_rows), ("seconds", delay_s)):
                want = [statistics.fmean(values), statistics.median(values), max(values)] if values else [None] * 3
                close([delay[name][k] for k in ("mean", "median", "max")], want, 1e-12, "delay in " + name)
            close([figures["false_alarms"]["events"], figures["false_alarms"]["normal_days"]], [alarms, days], 1e-12, "alarms")
            close([figures["false_alarms"]["per_day"]], [alarms / days if days else None], 1e-9, "false alarms a day")


def iso(ns):
    return (datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=ns // 1000)).strftime("%Y-%m-%d %H:%M:%S.%f")


def nab():
    """Three profiles, at the predictions and at the best threshold, against every threshold tried; labels as windows too."""
    for seed in range(10):
        rng = random.Random(2000 + seed)
        files, windows, rows = [], {}, []
        for k in range(3):
            one = stream(rng, "art/s%d" % k, rng.randrange(40, 160))
            for i, row in enumerate(one):
                row["t"] = T0 + i * 300 * 10 ** 9
            limits = runs([r["label"] for r in one])
            files.append((one, limits))
            windows["art/s%d.csv" % k] = [[iso(one[a]["t"]), iso(one[b]["t"])] for a, b in limits]
            rows += one
        with tempfile.NamedTemporaryFile("w", suffix=".json") as out:
            json.dump({**windows, "art/other.csv": []}, out)
            out.flush()
            got = evaluate([{**r, "label": 0} for r in rows], "--windows", out.name, "--each")
        same_nab(got["nab"], files, "seed %d" % seed)
        for one, file in zip(got["each"], files):
            same_nab(one["nab"], [file], "seed %d %s" % (seed, one["stream"]), every_threshold=False)
        by_label = evaluate(rows, "--nab", "--each")
        check(by_label["nab"] == got["nab"] and by_label["points"] == got["points"], "labels as windows")


def sweep():
    """A row of the sweep is what --threshold gives; the best F1 is the best of all; N rows are asked for and not exceeded."""
    rows = stream(random.Random(3), "s", 300)
    got = evaluate(rows, "--sweep", "1000")
    scores = sorted({r["score"] for r in rows if r["score"] is not None}, reverse=True)
    check([p["threshold"] for p in got["sweep"]] == scores, "a wide sweep has every score")
    for point in got["sweep"][::7]:
        again = evaluate(rows, "--threshold", repr(point["threshold"]))
        check(again["points"] == {k: v for k, v in point.items() if k != "threshold"}, "sweep against --threshold")
    check(got["best"]["f1"] == max(p["f1"] for p in got["sweep"]) and got["best"]["hindsight"], "best")
    few = evaluate(rows, "--sweep", "5")["sweep"]
    check(len(few) <= 6 and few[-1]["threshold"] == scores[-1], "5 rows and the best: %d" % len(few))
    check(any(p["threshold"] == got["best"]["threshold"] for p in few), "the best is among them")


def skab():
    """SKAB's protocol, from its CSV files and psa-score's verdicts, counted by hand."""
    files = sorted(glob.glob(DATA + "/skab/valve1/*.csv"))
    truth = {}
    for path in files:
        with open(path, newline="") as text:
            truth["valve1/" + os.path.basename(path)[:-4]] = [float(r["anomaly"]) for r in csv.DictReader(text, delimiter=";")]
    replayed = psa("psa-replay", "--id-from", "path", "--drop", "Temperature,Thermocouple", *files)
    scored = psa("psa-score", "--ecod", "--warmup", "400", data=replayed)
    counts, seen = [0, 0, 0, 0], {}
    for r in records(scored):
        at = seen[r["sensor_id"]] = seen.get(r["sensor_id"], -1) + 1
        if at >= 400:
            label, predicted = truth[r["sensor_id"]][at] != 0, r["anomaly"]["is_anomaly"]
            counts[0 if label and predicted else 1 if predicted else 2 if label else 3] += 1
    tp, fp, fn, tn = counts
    got = json.loads(psa("psa-eval", "--skip", "400", "--json", data=scored))
    check([got["points"][k] for k in ("tp", "fp", "fn", "tn")] == counts, "SKAB: %r, not %r" % (got["points"], counts))
    close([got["points"][k] for k in ("f1", "far", "mar")], [tp / (tp + (fp + fn) / 2), fp / (fp + tn), fn / (fn + tp)],
          1e-14, "SKAB")
    check(got["streams"] == 16 and got["ranges"]["labelled"] >= 16, "SKAB's files")


def machine_temperature():
    """NAB's machine temperature with its own windows."""
    path = DATA + "/nab/machine_temperature_system_failure.csv"
    scored = psa("psa-score", "--ecod", data=psa("psa-replay", path))
    with open(DATA + "/nab/windows.json") as text:
        limits = json.load(text)[os.path.basename(path)]
    times = [[int(datetime.datetime.fromisoformat(t + "+00:00").timestamp()) * 10 ** 9 for t in w] for w in limits]
    rows = [{"t": r["timestamp_ns"], "score": r["fields"].get("anomaly_score"), "predicted": r["anomaly"]["is_anomaly"]}
            for r in records(scored)]
    for r in rows:
        r["label"] = int(any(a <= r["t"] <= b for a, b in times))
    windows = [[next(i for i, r in enumerate(rows) if r["t"] >= a), max(i for i, r in enumerate(rows) if r["t"] <= b)]
               for a, b in times]
    got = json.loads(psa("psa-eval", "--windows", DATA + "/nab/windows.json", "--skip", "nab", "--json", data=scored))
    check(got["rows"]["skipped"] == 750 and got["nab"]["windows"] == 4, "probation and windows")
    same_figures(got, rows[750:], "machine temperature")
    same_nab(got["nab"], [(rows, windows)], "machine temperature", every_threshold=False)


if __name__ == "__main__":
    if not os.environ.get("PSA_BIN") and not os.path.isdir("bin"):
        fail("no programs; build them first")
    main({f.__name__: f for f in (points, ranges, nab, sweep, skab, machine_temperature)})
