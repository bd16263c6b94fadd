#!/usr/bin/python3
"""filters.json: what psa-filter's operations beyond gen_golden.py's have to agree with, made by the libraries themselves.

Run: /usr/bin/python3 gen_filters.py   (Debian 12: numpy 1.24.2, scipy 1.10.1, pandas 1.5.3, statsmodels 0.13.5)
NaN is null. All inputs are synthetic, from one seeded random stream.
"""
import json
import os
import warnings

import numpy as np
import pandas as pd
from scipy import signal
from statsmodels.tsa.statespace.kalman_filter import KalmanFilter

warnings.filterwarnings("ignore")
rng = np.random.default_rng(20240701)
OUT = os.path.dirname(os.path.abspath(__file__))


def plain(x):
    if isinstance(x, dict):
        return {k: plain(v) for k, v in x.items()}
    if isinstance(x, (list, tuple, np.ndarray)):
        return [plain(v) for v in x]
    if isinstance(x, bool):
        return x
    if isinstance(x, (np.integer, int)):
        return int(x)
    if isinstance(x, (np.floating, float)):
        return None if np.isnan(x) else float(x)
    return x


# ---- inputs: a gapless signal, and one with holes and outliers

n = 150
t = np.arange(n)
x = np.round(1.2 + 0.01 * t + np.sin(2 * np.pi * 0.05 * t) + 0.3 * rng.standard_normal(n), 6)
holey = np.round(np.cumsum(rng.standard_normal(n)) + 20, 2)
holey[rng.choice(n, 12, replace=False)] += rng.choice([-30.0, 30.0], 12)
for i in (0, 1, 17, 18, 40, 41, 42, 43, 44, 45, 46, 47, 48, 90, 149):
    holey[i] = np.nan

# ---- recursive filters

cheby1 = [dict(order=o, ripple_db=r, corner_hz=c, rate_hz=f, sos=signal.cheby1(o, r, c, fs=f, output="sos"))
          for o, r, c, f in [(1, 1.0, 10.0, 100.0), (2, 0.5, 3.0, 100.0), (3, 3.0, 40.0, 100.0), (5, 0.01, 0.7, 50.0),
                             (8, 0.05, 0.4, 2.0), (8, 0.05, 0.8 / 13, 2.0), (11, 0.1, 1000.0, 8000.0),
                             (12, 2.0, 0.6, 2.0)]]
filtfilt = []
for sos in (signal.cheby1(8, 0.05, 0.3, output="sos"), signal.butter(1, 0.2, output="sos"),
            signal.butter(3, [0.1, 0.4], "bandpass", output="sos"), signal.butter(5, 0.05, "highpass", output="sos")):
    filtfilt.append(dict(sos=sos, y=signal.sosfiltfilt(sos, x)))
integrator = []
for corner, rate in ((0.5, 100.0), (2.0, 1000.0), (0.1, 10.0)):
    high = signal.sosfilt(signal.butter(2, corner, "highpass", fs=rate, output="sos"), x)
    integrator.append(dict(corner_hz=corner, rate_hz=rate, y=signal.lfilter([0.5 / rate, 0.5 / rate], [1, -1], high)))

# ---- resampling

firwin = [dict(n=m, cutoff=c, window=w, h=signal.firwin(m, c, window=("kaiser", 5.0) if w == "kaiser5" else w))
          for m, c, w in ((21, 0.5, "kaiser5"), (41, 1 / 3, "kaiser5"), (101, 0.2, "hamming"), (1, 0.5, "hamming"),
                          (20, 0.25, "kaiser5"), (2001, 0.01, "hamming"))]
resample = [dict(up=u, down=d, n=m, y=signal.resample_poly(x[:m], u, d))
            for u, d, m in ((7, 3, n), (3, 7, n), (1, 10, n), (10, 1, 40), (160, 147, n), (2, 3, 1), (3, 2, 5), (5, 11, 37),
                            (4, 4, 20), (6, 4, 20), (1000, 999, 60), (1, 4096, n))]
decimate = [dict(q=q, ftype=f, zero_phase=z, y=signal.decimate(x, q, ftype=f, zero_phase=z))
            for q in (3, 13) for f in ("iir", "fir") for z in (True, False)]

# Onto a grid, from irregular times: whole nanoseconds, the values NaN here and there.
times = 1710000000000000000 + np.cumsum(rng.integers(0, 25000000, n))
times[60:] += 400000000
index = pd.to_datetime(times)
series = pd.Series(holey, index=index)
grids = []
for period_ns, hz in ((50000000, 20.0), (7000000, None), (2500000000, 0.4)):
    hz = hz or 1e9 / period_ns
    first, last = -(-times[0] // period_ns), times[-1] // period_ns
    grid = np.arange(first, last + 1) * period_ns
    linear = np.interp(grid - times[0], times - times[0], holey)
    # numpy.interp spreads NaN only to where it divides; a point beside a missing neighbour is missing here.
    after = np.searchsorted(times, grid, side="left")
    for i, at in enumerate(after):
        if times[at] == grid[i]:
            linear[i] = holey[at]
        elif np.isnan(holey[at]) or np.isnan(holey[at - 1]):
            linear[i] = np.nan
    mean = series.resample(pd.Timedelta(period_ns, "ns"), origin="epoch").mean()
    grids.append(dict(hz=hz, period_ns=period_ns, first_ns=str(first * period_ns), linear=linear,
                      previous=series[~series.index.duplicated(keep="last")].asof(pd.to_datetime(grid)).values,
                      mean_first_ns=str(mean.index[0].value), mean=mean.values))

# ---- windows

windows = []
for length in (1, 2, 3, 4, 7, 50):
    for centred in (False, True):
        roll = pd.Series(holey).rolling(length, min_periods=1, center=centred)
        median = roll.median().values
        mad = roll.apply(lambda w: np.median(np.abs(w[~np.isnan(w)] - np.median(w[~np.isnan(w)]))), raw=True).values
        hampel = np.where(np.abs(holey - median) > 3 * 1.4826 * mad, median, holey)
        median[np.isnan(holey)] = np.nan  # a missing sample stays missing
        mad[np.isnan(holey)] = np.nan
        windows.append(dict(n=length, centred=centred, median=median, mad=mad, hampel=hampel))
present = np.where(np.isnan(holey), 0.0, 1.0)
trends = []
for length in (2, 5, 20, 200):
    mean = holey - pd.Series(holey).rolling(length, min_periods=1).mean().values
    line = np.full(n, np.nan)
    for i in range(n):
        places = np.arange(max(0, i - length + 1), i + 1)
        w = holey[places]
        keep = ~np.isnan(w)
        if np.isnan(holey[i]):
            continue
        fit = np.polyfit(places[keep] - i, w[keep], 1)[1] if keep.sum() > 1 else w[keep][0]
        line[i] = holey[i] - fit
    trends.append(dict(n=length, constant=mean, linear=line))
detrend = dict(constant=signal.detrend(x, type="constant"), linear=signal.detrend(x, type="linear"))

# ---- Kalman


def filtered(y, dt, q, r, velocity):
    """The level after each sample, from an exact diffuse start; dt[i] seconds before sample i."""
    dim = 2 if velocity else 1
    transition, noise = np.zeros((dim, dim, len(y))), np.zeros((dim, dim, len(y)))
    for i in range(len(y)):
        d = dt[i + 1] if i + 1 < len(y) else 0.0  # statsmodels' matrices at i lead on to i + 1
        transition[:, :, i] = [[1, d], [0, 1]] if velocity else [[1]]
        noise[:, :, i] = np.array([[d ** 3 / 3, d ** 2 / 2], [d ** 2 / 2, d]] if velocity else [[d]]) * q
    kalman = KalmanFilter(k_endog=1, k_states=dim, k_posdef=dim)
    kalman.bind(np.asarray(y, float).reshape(-1, 1))
    kalman["design"] = np.array([[1.0, 0.0]]) if velocity else np.array([[1.0]])
    kalman["obs_cov"] = np.array([[r]])
    kalman["selection"] = np.eye(dim)
    kalman["transition"] = transition
    kalman["state_cov"] = noise
    kalman.initialize_diffuse()
    return kalman.filter()


def known(y, dt, q, r, velocity):
    """The same by initialize_known, from the first sample (two samples) on, by the textbook's start."""
    full = filtered(y, dt, q, r, velocity)
    begin = 2 if velocity else 1
    if velocity:
        d = dt[1]
        a = np.array([y[1], (y[1] - y[0]) / d])
        p = np.array([[r, r / d], [r / d, 2 * r / d ** 2 + q * d / 3]])
        step = np.array([[1, dt[2]], [0, 1]])
        add = q * np.array([[dt[2] ** 3 / 3, dt[2] ** 2 / 2], [dt[2] ** 2 / 2, dt[2]]])
    else:
        a, p, step, add = np.array([y[0]]), np.array([[r]]), np.eye(1), np.array([[q * dt[1]]])
    dim = len(a)
    transition, noise = full.transition[:, :, begin:], full.state_cov[:, :, begin:]
    kalman = KalmanFilter(k_endog=1, k_states=dim, k_posdef=dim)
    kalman.bind(np.asarray(y[begin:], float).reshape(-1, 1))
    kalman["design"] = full.design[:, :, 0]
    kalman["obs_cov"] = np.array([[r]])
    kalman["selection"] = np.eye(dim)
    kalman["transition"] = np.ascontiguousarray(transition)
    kalman["state_cov"] = np.ascontiguousarray(noise)
    kalman.initialize_known(step @ a, step @ p @ step.T + add)
    return np.concatenate([y[:begin], kalman.filter().filtered_state[0]])


even = np.full(n, 0.01)
uneven = np.diff(times, prepend=times[0]) / 1e9
walk = x.copy()
walk[[5, 6, 7, 30, 80, 81]] = np.nan
kalmans = []
for name, dt in (("even", even), ("uneven", uneven)):
    for velocity, q, r in ((False, 4.0, 0.09), (False, 1e-3, 1.0), (True, 50.0, 0.09), (True, 0.1, 2.0)):
        if velocity and dt[1] == 0:
            continue
        level = filtered(walk, dt, q, r, velocity).filtered_state[0]
        other = known(walk, dt, q, r, velocity)
        assert np.nanmax(np.abs(level - other)) < 1e-9, (name, velocity, np.nanmax(np.abs(level - other)))
        kalmans.append(dict(times=name, model="velocity" if velocity else "level", q=q, r=r, level=other))

with open(os.path.join(OUT, "filters.json"), "w") as out:
    json.dump(plain(dict(x=x, holey=holey, cheby1=cheby1, filtfilt=filtfilt, integrator=integrator, firwin=firwin,
                         resample=resample, decimate=decimate, times_ns=[str(v) for v in times],
                         since_first_ns=(times - times[0]), grids=grids, windows=windows, trends=trends,
                         detrend=detrend, walk=walk, kalman=kalmans)), out, separators=(",", ":"))
    out.write("\n")
