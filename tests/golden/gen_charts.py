#!/usr/bin/python3
"""charts.json: control charts, half-space trees and conformal scores, written again from their papers in NumPy.

Nothing here shares code with src/model: the charts are the formulas of chart.h on whole arrays, pandas giving the exponential
means and variances; a half-space tree is nodes and dictionaries as in the paper's Algorithms 1 to 3; the conformal score
compares every shingle with every other by its definition. Only the random numbers, xoshiro256** and splitmix64 of
src/model/random.h, are ported, so that the trees are the same ones. Run: /usr/bin/python3 tests/golden/gen_charts.py;
the same bytes every time."""
import json
import math
import os

import numpy as np
import pandas as pd

MASK = (1 << 64) - 1


class Random:
    """xoshiro256** 1.0, its state from splitmix64."""

    def __init__(self, seed):
        self.s = []
        for _ in range(4):
            seed = (seed + 0x9e3779b97f4a7c15) & MASK
            z = ((seed ^ (seed >> 30)) * 0xbf58476d1ce4e5b9) & MASK
            z = ((z ^ (z >> 27)) * 0x94d049bb133111eb) & MASK
            self.s.append(z ^ (z >> 31))

    @staticmethod
    def turn(x, k):
        return ((x << k) | (x >> (64 - k))) & MASK

    def bits(self):
        s = self.s
        out = self.turn(s[1] * 5 & MASK, 7) * 9 & MASK
        shifted = s[1] << 17 & MASK
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= shifted
        s[3] = self.turn(s[3], 45)
        return out

    def uniform(self):
        return (self.bits() >> 11) * 2.0 ** -53

    def below(self, n):
        if n < 2:
            return 0
        while True:
            bits = self.bits()
            if bits >= (1 << 64) % n:
                return bits % n


# ---- charts ------------------------------------------------------------------------------------------------------------

WARMUP, LAMBDA, ALLOWANCE, OUTLIER = 60, 0.15, 0.75, 4.0


def ewma_chart(z, lam):
    """|E_t| in standard deviations of E_t, of a column without gaps."""
    e = pd.Series(np.concatenate(([0.0], z))).ewm(alpha=lam, adjust=False).mean().to_numpy()[1:]
    t = np.arange(1, len(z) + 1)
    return np.abs(e) / np.sqrt(lam / (2 - lam) * (1 - (1 - lam) ** (2 * t)))


def phase_one(x):
    """Mean, variance, inflation of a column's warm-up."""
    x = x[~np.isnan(x)]
    if len(x) == 0:
        return np.nan, np.nan, np.nan
    mean, var = x.mean(), x.var()
    if np.ptp(x) == 0:
        var = 1.0
    return mean, var, max(1.0, np.mean(ewma_chart((x - mean) / np.sqrt(var), LAMBDA) ** 2))


def charts(rows, kind, limit, freeze):
    """raw and alarm of every row, and the warm-up's own scores, alarms being raw > limit."""
    n, m = rows.shape
    mean, var, inflation = (np.array(v) for v in zip(*(phase_one(rows[:WARMUP, j]) for j in range(m))))
    start_var = var.copy()

    def run(first, last, moving):
        """Charts that begin at row `first`; the baseline is the outer one."""
        e, t, up, down = np.zeros(m), np.zeros(m), np.zeros(m), np.zeros(m)
        out, alarms, on, hold, a = [], [], False, np.inf, 2 / (WARMUP + 1)
        for x in rows[first:last]:
            z = (x - mean) / np.sqrt(inflation * var)
            ok = ~np.isnan(z)
            if kind == 'ewma':
                e[ok] = LAMBDA * z[ok] + (1 - LAMBDA) * e[ok]
                t[ok] += 1
                score = np.abs(e[ok]) / np.sqrt(LAMBDA / (2 - LAMBDA) * (1 - (1 - LAMBDA) ** (2 * t[ok])))
            else:
                near = np.clip(z[ok], -OUTLIER, OUTLIER)
                up[ok] = np.minimum(np.maximum(0, up[ok] + near - ALLOWANCE), hold)
                down[ok] = np.minimum(np.maximum(0, down[ok] - near - ALLOWANCE), hold)
                score = np.maximum(up[ok], down[ok])
            raw = score.max() if len(score) else np.nan
            was, on = on, bool(raw > limit)
            if moving:
                hold = (hold if was else raw) if on else np.inf
            out.append(raw)
            alarms.append(on)
            if moving and not on and not freeze:
                d = x - mean
                if kind == 'cusum':
                    far = OUTLIER * np.sqrt(inflation * var)
                    d = np.clip(d, -far, far)
                mean[ok] += a * d[ok]
                var[ok] = np.maximum(start_var[ok] / 4, (1 - a) * (var[ok] + a * d[ok] ** 2))
        return out, alarms

    learned = run(0, WARMUP, False)[0]
    raw, alarm = run(WARMUP, n, True)
    return dict(kind=kind, limit=limit, freeze=freeze, learned=learned, raw=raw, alarm=[int(v) for v in alarm], mean=mean,
                variance=var, inflation=inflation)


def chart_rows(rng):
    """White, autocorrelated, constant, never there; gaps, a step in the second column, an outlier, a drift."""
    n = 400
    x = rng.normal(size=(n, 4))
    for i in range(1, n):
        x[i, 1] += 0.8 * x[i - 1, 1]
    x[:, 0] = 20 + 0.5 * x[:, 0] + np.linspace(0, 2, n)
    x[:, 2] = 32.0
    x[250:, 2] += np.round(rng.normal(size=150))
    x[:, 3] = np.nan
    x[180:215, 1] += 9.0
    x[300, 0] += 1e3
    x[rng.random(n) < 0.05, 0] = np.nan
    x[100, :] = [20.1, np.nan, np.nan, 1.0]
    return x


# ---- half-space trees --------------------------------------------------------------------------------------------------

class Node:
    """One node of Algorithm 1; children are made when they are first needed, from the same draws."""

    def __init__(self, tree, number, ranges, depth):
        self.tree, self.number, self.ranges, self.k = tree, number, ranges, depth
        self.r = self.latest = 0
        self.children = None

    def grow(self):
        if self.children is None:
            usable = self.tree['usable']
            mixed = self.tree['seed'] ^ ((self.tree['index'] + 1) << 32 | self.number)
            self.q = usable[Random(mixed).below(len(usable))]
            low, high = self.ranges[self.q]
            # Written as in C: where s > 1/2, a quarter of the work range is the column's least value itself, and the last
            # bit decides on which side the row that has it lies.
            self.p = low + 0.5 * (high - low)
            left, right = dict(self.ranges), dict(self.ranges)
            left[self.q], right[self.q] = (low, self.p), (self.p, high)
            self.children = [Node(self.tree, 2 * self.number + 1 + side, part, self.k + 1)
                             for side, part in enumerate((left, right))]

    def child(self, x):
        self.grow()
        if np.isnan(x[self.q]):
            return self.children[0 if self.children[0].r >= self.children[1].r else 1]
        return self.children[0 if x[self.q] < self.p else 1]

    def move(self):
        """l becomes r, Algorithm 3 line 13."""
        self.r, self.latest = self.latest, 0
        for child in self.children or ():
            child.move()


def half_space_trees(rows, trees, depth, window, warmup, seed, limit):
    n, m = rows.shape
    with np.errstate(all='ignore'):
        low = [np.nanmin(rows[:warmup, j]) if not np.isnan(rows[:warmup, j]).all() else np.nan for j in range(m)]
        high = [np.nanmax(rows[:warmup, j]) if not np.isnan(rows[:warmup, j]).all() else np.nan for j in range(m)]
    random, roots = Random(seed), []
    for t in range(trees):
        ranges = {}
        for j in range(m):
            s = random.uniform()
            reach, width = 2 * max(s, 1 - s), high[j] - low[j] or 1.0
            ranges[j] = (low[j] + (s - reach) * width, low[j] + (s + reach) * width)
        tree = dict(seed=seed, index=t, usable=[j for j in range(m) if not np.isnan(low[j])])
        roots.append(Node(tree, 0, ranges, 0))

    def count(x, attribute):
        paths = []
        for node in roots:
            path = [node]
            while path[-1].k < depth:
                path.append(path[-1].child(x))
            paths += path
        for node in paths:  # afterwards: a missing value follows r
            setattr(node, attribute, getattr(node, attribute) + 1)

    def score(x, n_reference):
        bits = []
        for node in roots:
            while node.k < depth and node.r > 0.1 * n_reference:
                node = node.child(x)
            bits.append(math.log2((1 + n_reference) / (1 + node.r * 2 ** node.k)))
        return sum(bits) / trees

    n_reference, n_latest = min(window, warmup), 0
    # While the first reference is counted, a missing value follows the rows counted so far, one tree after the other.
    for x in rows[warmup - n_reference:warmup]:
        for node in roots:
            node.r += 1
            while node.k < depth:
                node = node.child(x)
                node.r += 1
    learned = [score(x, n_reference) for x in rows[:warmup]]
    raw = []
    for x in rows[warmup:]:
        raw.append(score(x, n_reference))
        if raw[-1] > limit:
            continue
        count(x, 'latest')
        n_latest += 1
        if n_latest == window:
            for node in roots:
                node.move()
            n_reference, n_latest = n_latest, 0
    return dict(trees=trees, depth=depth, window=window, warmup=warmup, seed=seed, limit=limit, learned=learned, raw=raw)


# ---- conformal ---------------------------------------------------------------------------------------------------------

SLOTS = 24


def conformal_measures(x, time, horizon, smooth, shingle, nearest, season):
    """The four measures of every value of one column."""
    n = len(x)
    mean, count = np.zeros(SLOTS), np.zeros(SLOTS)
    slots = SLOTS if season else 1
    r, out = np.full(n, np.nan), np.full((n, 4), np.nan)
    for i in range(n):
        s = int(time[i] % season * SLOTS // season) if season else 0
        if count[s]:
            r[i] = x[i] - mean[s]
        count[s] += 1
        mean[s] += min(1.0, max(1 / count[s], slots / horizon)) * (x[i] - mean[s])
        out[i, 0] = abs(r[i])
        if i + 1 >= smooth:
            out[i, 1] = abs(r[i + 1 - smooth:i + 1].mean())
        lags = [g for g in range(shingle, shingle + horizon) if i - g - shingle + 1 >= 0]
        if len(lags) >= nearest:
            now = x[i + 1 - shingle:i + 1]
            d = sorted(((now - x[i + 1 - shingle - g:i + 1 - g]) ** 2).sum() for g in lags)
            out[i, 2] = math.sqrt(np.mean(d[:nearest]))
        past = x[max(0, i - horizon):i]
        if len(past):
            out[i, 3] = max(0.0, past.min() - x[i], x[i] - past.max())
    return out


def conformal(rows, time, horizon, **options):
    raw = np.zeros(len(rows))
    for j in range(rows.shape[1]):
        there = ~np.isnan(rows[:, j])
        measures = conformal_measures(rows[there, j], time[there], horizon, **options)
        score = np.zeros(len(measures))
        for i in range(len(measures)):
            for k in range(4):
                # The one that is too old makes room before the newest is ranked.
                past = measures[max(0, i - horizon + 1):i, k]
                past = past[~np.isnan(past)]
                if len(past) and not np.isnan(measures[i, k]):
                    score[i] -= math.log10((np.sum(past >= measures[i, k]) + 1) / (len(past) + 1))
        raw[there] = np.maximum(raw[there], score)
    return dict(horizon=horizon, **options, raw=raw)


def conformal_rows(rng):
    n = 700
    t = np.arange(n)
    x = np.column_stack([10 + 3 * np.sin(t / 48 * 2 * np.pi) + 0.2 * rng.normal(size=n),
                         np.cumsum(rng.normal(size=n))])
    x[400:410, 0] += 1.5
    x[500:, 0] += 4.0
    x[600, 1] += 1e4
    x[rng.random(n) < 0.03, 1] = np.nan
    return x, 1710000000 * 10 ** 9 + t * 1800 * 10 ** 9


# ---- the file ----------------------------------------------------------------------------------------------------------

def plain(x):
    if isinstance(x, dict):
        return {k: plain(v) for k, v in x.items()}
    if isinstance(x, (list, tuple, np.ndarray)):
        return [plain(v) for v in x]
    if isinstance(x, (float, np.floating)):
        return float(x) if np.isfinite(x) else None
    return int(x) if isinstance(x, (np.integer, bool)) else x


def main():
    rng = np.random.default_rng(20241121)
    rows = chart_rows(rng)
    tree_rows = rows.copy()
    tree_rows[:, 3] = rng.normal(size=len(rows))
    slow, time = conformal_rows(rng)
    # The ranks that decide a p-value must not hang on the last bit: three digits, as sensors have.
    slow = np.round(slow, 3)
    # A constant column in the charts: any multiple of a constant is its mean exactly.
    assert np.ptp(rows[:WARMUP, 2]) == 0
    out = dict(
        versions=dict(numpy=np.__version__, pandas=pd.__version__),
        charts=dict(warmup=WARMUP, **{'lambda': LAMBDA}, allowance=ALLOWANCE, rows=rows.ravel(), cases=[
            charts(rows, 'ewma', 4.0, False), charts(rows, 'ewma', 4.0, True), charts(rows, 'cusum', 5.0, False),
            charts(rows, 'cusum', 5.0, True)]),
        half_space_trees=dict(rows=tree_rows.ravel(), cases=[
            half_space_trees(tree_rows, 25, 8, 100, 120, 1, 0.0), half_space_trees(tree_rows, 7, 12, 64, 40, 99, -1.0)]),
        conformal=dict(rows=slow.ravel(), time=[int(v) for v in time], cases=[
            conformal(slow, time, 300, smooth=6, shingle=48, nearest=3, season=86400 * 10 ** 9),
            conformal(slow, time, 1000, smooth=12, shingle=10, nearest=5, season=0)]))
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'charts.json')
    with open(path, 'w', encoding='utf-8') as file:
        json.dump(plain(out), file, separators=(',', ':'))
        file.write('\n')


if __name__ == '__main__':
    main()
