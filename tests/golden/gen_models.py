#!/usr/bin/python3
"""dynamic_pca.json and mahalanobis.json: what psa's multivariate detectors have to agree with.

Run: /usr/bin/python3 gen_models.py   (Debian 12: numpy 1.24.2, scikit-learn 1.2.1; OPENBLAS_NUM_THREADS=1 for the same last digits)
NaN is null. All inputs are synthetic, from one seeded random stream. Mahalanobis distances are scikit-learn's own
(MinCovDet); dynamic PCA is in no library, so it is written down here in NumPy as dynamic_pca.h defines it: all rows
at hand, one window after the other, numpy.linalg.eigh, no rings and no buffers.
"""
import json
import os

import numpy as np
from scipy import stats
from sklearn.covariance import MinCovDet

rng = np.random.default_rng(20261121)
OUT = os.path.dirname(os.path.abspath(__file__))


def plain(x):
    if isinstance(x, dict):
        return {k: plain(v) for k, v in x.items()}
    if isinstance(x, (list, tuple, np.ndarray)):
        return [plain(v) for v in x]
    if isinstance(x, (bool, np.bool_, np.integer, int)):
        return int(x)
    if isinstance(x, (np.floating, float)):
        return float(x) if np.isfinite(x) else None
    return x


def dump(name, content):
    with open(os.path.join(OUT, name), "w") as file:
        file.write(json.dumps(plain(content), separators=(",", ":")) + "\n")


# ---- dynamic PCA


class Fit:
    """The fit of dynamic_pca.h on the rows of X whose numbers are in `numbers`."""

    def __init__(self, X, numbers, lags, variance):
        reference = X[numbers]
        low, high = np.nanquantile(reference, [0.01, 0.99], axis=0)
        width = np.where(high > low, high - low, np.inf)
        X = np.where((X >= low - width) & (X <= high + width), X, np.nan)
        reference = X[numbers]
        self.lags, self.mean, self.scale = lags, np.nan_to_num(np.nanmean(reference, axis=0)), np.nanstd(reference, axis=0)
        self.scale[self.scale < 1e-12] = 1.0
        inside = np.zeros(len(X), bool)
        inside[numbers] = True
        self.parts, each = [], {}
        for lag in lags:
            ends = [t for t in range(lag - 1, len(X)) if inside[t - lag + 1 : t + 1].all()]
            Z = np.array([self.stack(X, t, lag) for t in ends])
            mean, scale = np.nanmean(Z, axis=0), np.nanstd(Z, axis=0)
            scale[scale <= 1e-10] = 1.0
            W = np.nan_to_num((Z - mean) / scale)
            value, vector = np.linalg.eigh(W.T @ W / len(W))
            share = np.cumsum(value[::-1]) / value.sum()
            P = vector[:, ::-1][:, : int(np.searchsorted(share, variance)) + 1]
            E = np.where(np.isnan(Z), 0.0, W - W @ P @ P.T)
            norm = np.linalg.norm(E, axis=1)
            limit = np.quantile(norm, 0.99)
            self.parts.append((lag, mean, scale, P, limit))
            each[lag] = dict(zip(ends, norm / limit))
        ends = sorted(each[max(lags)])
        mean = np.array([np.exp(np.mean([np.log(each[lag][t]) for lag in lags])) for t in ends])
        self.norm = np.quantile(mean, 0.99)
        self.learned = mean / self.norm

    def stack(self, X, t, lag):
        return ((X[t - lag + 1 : t + 1][::-1] - self.mean) / self.scale).ravel()

    def score(self, X, t):
        """The score of row t and each channel's contribution to it; missing values by ridge projection, as dynamic_pca.h says."""
        total, contribution = 0.0, np.zeros(X.shape[1])
        for lag, mean, scale, P, limit in self.parts:
            z = self.stack(X, t, lag)
            w = np.nan_to_num((z - mean) / scale)
            seen = ~np.isnan(z)
            along = P.T @ w
            if not seen.all():
                along = np.linalg.solve(P[seen].T @ P[seen] + 0.1 * np.eye(P.shape[1]), along)
            square = np.where(seen, w - P @ along, 0.0) ** 2
            if not seen.all():
                H = P[seen] @ np.linalg.solve(P[seen].T @ P[seen] + 0.1 * np.eye(P.shape[1]), P[seen].T)
                trace = np.sum((np.eye(len(H)) - H) ** 2)
                square *= min((len(z) - P.shape[1]) / trace, 4.0)
            total += np.log(np.sqrt(square.sum()) / limit)
            contribution += (square / square.sum()).reshape(lag, -1).sum(axis=0)
        return np.exp(total / len(self.lags)) / self.norm, contribution


def dynamic_pca(X, lags, variance, warmup, refit, reference, guard, on, off):
    n = len(X)
    scores, contributions, alarms, fits = np.full(n, np.nan), [], np.zeros(n, bool), 0
    fit, alarm = Fit(X, np.arange(warmup), lags, variance), False
    learned = fit.learned
    for t in range(warmup, n):
        scores[t], contribution = fit.score(X, t)
        contributions.append(contribution)
        alarm = scores[t] > on or (alarm and scores[t] >= off)
        alarms[t] = alarm
        if (t - warmup + 1) % refit == 0:
            normal = [i for i in range(0, t - guard + 1) if not alarms[max(0, i - guard) : i + guard + 1].any()]
            normal = normal[-reference:]
            windows = sum(1 for i in normal if set(range(i - max(lags) + 1, i + 1)) <= set(normal))
            if 2 * windows >= reference:
                fit = Fit(X, np.array(normal), lags, variance)
                fits += 1
    return dict(
        rows=X, lags=lags, variance=variance, warmup=warmup, refit=refit, reference=reference, guard=guard, on=on, off=off,
        scores=scores, alarms=alarms, learned=learned, contributions=contributions[::20], refits=fits,
    )


def machine():
    """Five channels of a machine whose load wanders and warms it up: one lags behind, one is a coarse meter, one constant."""
    n = 640
    load = np.convolve(rng.standard_normal(n + 20), np.exp(-np.arange(20) / 6.0), "valid")[:n]
    current = 3.0 + load + 0.1 * rng.standard_normal(n)
    flow = np.round(30 + 2 * np.concatenate([load[:1].repeat(2), load[:-2]]) + 0.5 * rng.standard_normal(n))
    warmth = 40.0 + np.cumsum(0.02 * load) + 0.004 * np.arange(n) + 0.05 * rng.standard_normal(n)
    noise = 0.2 * rng.standard_normal(n)
    X = np.round(np.column_stack([current, flow, warmth, noise, np.full(n, 7.5)]), 4)
    X[80, 0] += 30  # a spike in the warm-up, which the fit must leave out
    X[300:330, 1] += 6  # a fault: more flow than the load explains
    X[450:460, 3] += np.round(np.linspace(0.5, 2.0, 10), 4)
    X[500:, 2] += 0.8  # another normal
    for t, j in ((50, 0), (51, 0), (210, 3), (310, 2), (420, 1), (421, 4)):
        X[t, j] = np.nan
    return X


dump("dynamic_pca.json", dynamic_pca(machine(), [2, 4, 7], 0.85, 150, 20, 120, 10, 1.5, 1.0))


# ---- Mahalanobis


def bulk_and_odd(n, n_odd, p):
    """Rows of a correlated bulk, and a little fewer than half that are scattered far around it: so the smallest determinant
    is that of one choice of rows, which any good search finds; within a bulk alone there are many nearly as small."""
    X = rng.standard_normal((n, p))
    X[:n_odd] *= 15.0
    return np.round(X @ rng.standard_normal((p, p)), 5)


def mahalanobis(X):
    """The best of twenty searches: a single one with scikit-learn's 30 starts may end at a local minimum."""
    best = min((MinCovDet(random_state=s).fit(X) for s in range(20)), key=lambda m: np.linalg.slogdet(m.raw_covariance_)[1])
    return dict(
        rows=X, location=best.location_, covariance=best.covariance_, support=np.flatnonzero(best.support_),
        distances=best.mahalanobis(X),
    )


dump(
    "mahalanobis.json",
    dict(
        sets=[mahalanobis(bulk_and_odd(*size)) for size in ((120, 56, 3), (300, 144, 5), (900, 440, 3))],
        chi_square=[
            dict(n=n, level=level, quantile=quantile)
            for n, level, quantile in (
                (n, level, stats.chi2.ppf(level, n)) for n in (1, 2, 3, 8, 50, 256) for level in (0.5, 0.975)
            )
        ],
    ),
)
