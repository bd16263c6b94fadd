#!/usr/bin/env python3
"""model_service.py MODE ... - what one writes with scikit-learn, NumPy and SciPy, or in plain Python, in place of psa-score.

Records come on standard input, one a line, and leave with their score, like psa's; imports are left to the modes.

    forest FILE                 StandardScaler and IsolationForest of FILE (joblib), one row at a time
    calls FILE                  the same rows read first; prints CPU seconds a row of score_samples() alone
    chain FILE LENGTH STRIDE    readings into windows of LENGTH samples every STRIDE, features of each, their score
    bisect HORIZON              streaming ECOD on sorted lists
    refit HORIZON SKIP          ECOD as PyOD fits it, anew for each row behind the first SKIP, which only fill the horizon
    parse                       only reads: the floor below all
"""
import os
import sys

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"  # CPU seconds are compared: no thread may wait in a loop

import json  # noqa: E402

CONTAMINATION = 0.05
EXACT_ROWS = 64  # as long as a window is that short, its skewness is summed anew


def put(record, raw, is_anomaly):
    record["fields"]["anomaly_label"] = -1 if is_anomaly else 1
    record["anomaly"] = {"is_anomaly": bool(is_anomaly), "raw": raw}
    sys.stdout.write(json.dumps(record, separators=(",", ":")) + "\n")


def load_forest(path):
    import joblib
    import numpy  # noqa: F401
    return joblib.load(path)


def forest(path):
    import numpy as np
    scaler, model = load_forest(path)
    for line in sys.stdin.buffer:
        record = json.loads(line)
        row = np.array([list(record["fields"].values())])
        raw = float(model.score_samples(scaler.transform(row))[0])
        put(record, raw, raw < model.offset_)


def calls(path):
    import time

    import numpy as np
    scaler, model = load_forest(path)
    rows = [scaler.transform(np.array([list(json.loads(line)["fields"].values())])) for line in sys.stdin.buffer]
    began_s = time.process_time()
    for row in rows:
        model.score_samples(row)
    print((time.process_time() - began_s) / len(rows))


def chain(path, length, stride):
    import collections

    import numpy as np
    from scipy import stats
    scaler, model = load_forest(path)
    rows, since, names = collections.deque(maxlen=int(length)), -int(length), None
    for line in sys.stdin.buffer:
        record = json.loads(line)
        rows.append(list(record["fields"].values()))
        names = names or list(record["fields"])
        since += 1
        if since < 0 or since % int(stride):
            continue
        x = np.array(rows)  # [sample][field]
        made = np.stack([np.sqrt(np.mean(x * x, axis=0)), stats.kurtosis(x, axis=0), np.ptp(x, axis=0), np.std(x, axis=0)], axis=1)
        raw = float(model.score_samples(scaler.transform(made.reshape(1, -1)))[0])
        keys = [f"{field}_{feature}" for field in names for feature in ("rms", "kurtosis", "ptp", "std")]
        record["fields"] = dict(zip(keys, made.ravel().tolist()))
        put(record, raw, raw < model.offset_)


class Column:
    """Sorted values of one field, their order of arrival, and their power sums about the first."""

    def __init__(self):
        self.sorted, self.shift, self.sum = [], None, [0.0, 0.0, 0.0]

    def change(self, x, sign):
        d = x - self.shift
        self.sum[0] += sign * d
        self.sum[1] += sign * d * d
        self.sum[2] += sign * d * d * d

    def is_symmetric(self, values):
        """Skewness 0, told from rounding: PyOD adds both tails then."""
        n = len(self.sorted)
        a, b, c = (s / n for s in self.sum)
        if n < EXACT_ROWS:
            mean = sum(values) / n
            b, c, a = sum((v - mean) ** 2 for v in values) / n, sum((v - mean) ** 3 for v in values) / n, 0.0
        m2, m3 = b - a * a, c - 3 * a * b + 2 * a ** 3
        return m2 <= 0 or abs(m3) < 1e-12 * m2 ** 1.5


def sorted_lists(horizon):
    import math
    from bisect import bisect_left, bisect_right, insort
    from collections import deque
    horizon, rows, columns, scores, kept = int(horizon), deque(), None, deque(), []
    for line in sys.stdin.buffer:
        record = json.loads(line)
        row = list(record["fields"].values())
        columns = columns or [Column() for _ in row]
        if len(rows) == horizon:
            for column, x in zip(columns, rows.popleft()):
                del column.sorted[bisect_left(column.sorted, x)]
                column.change(x, -1)
            del kept[bisect_left(kept, scores.popleft())]
        rows.append(row)
        raw, n = 0.0, len(rows)
        for j, (column, x) in enumerate(zip(columns, row)):
            if column.shift is None:
                column.shift = x
            insort(column.sorted, x)
            column.change(x, 1)
            left = -math.log(bisect_right(column.sorted, x) / n)
            right = -math.log((n - bisect_left(column.sorted, x)) / n)
            raw += left + right if column.is_symmetric([r[j] for r in rows] if n < EXACT_ROWS else None) else max(left, right)
        threshold = math.inf
        if kept:
            at = (len(kept) - 1) * (1 - CONTAMINATION)
            below = kept[int(at)]
            threshold = below + (kept[min(int(at) + 1, len(kept) - 1)] - below) * (at - int(at))
        put(record, raw, raw > threshold)
        scores.append(raw)
        insort(kept, raw)


def column_ecdf(np, x):
    """Share of each column's values not above each of them, ties included: pyod.utils.stat_models.column_ecdf."""
    out = np.empty_like(x)
    for j in range(x.shape[1]):
        out[:, j] = np.searchsorted(np.sort(x[:, j]), x[:, j], side="right") / x.shape[0]
    return out


def refit(horizon, skip):
    """PyOD's ECOD.fit() on the last HORIZON rows, transcribed from pyod/models/ecod.py: decision_scores_, threshold_, label."""
    import numpy as np
    from scipy.stats import skew
    horizon, skip = int(horizon), int(skip)
    rows = []
    for i, line in enumerate(sys.stdin.buffer):
        record = json.loads(line)
        rows.append(list(record["fields"].values()))
        if i < skip:
            continue
        x = np.array(rows[-horizon:])
        left, right = -np.log(column_ecdf(np, x)), -np.log(column_ecdf(np, -x))
        sign = np.sign(skew(x, axis=0))
        by_skew = left * -1 * np.sign(sign - 1) + right * np.sign(sign + 1)
        scores = np.maximum(by_skew, np.maximum(left, right)).sum(axis=1)
        threshold = np.percentile(scores, 100 * (1 - CONTAMINATION))
        put(record, float(scores[-1]), scores[-1] > threshold)


def parse():
    for line in sys.stdin.buffer:
        json.loads(line)


if __name__ == "__main__":
    {"forest": forest, "calls": calls, "chain": chain, "bisect": sorted_lists, "refit": refit, "parse": parse}[sys.argv[1]](*sys.argv[2:])
