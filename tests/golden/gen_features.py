#!/usr/bin/python3
"""features_more.json: what features.json, welch.json and envelope.json lack for testing psa-features and its maths.

Every number comes from NumPy, SciPy or statsmodels (Debian 12: 1.24.2, 1.10.1, 0.13.5), by the expression that the
header in src/dsp quotes beside the function. Run: /usr/bin/python3 tests/golden/gen_features.py; the same bytes every
time."""
import json
import os
import warnings

import numpy as np
from scipy import signal, stats
from statsmodels.tsa.stattools import acf

warnings.filterwarnings('ignore')
rng = np.random.default_rng(20240604)
INTERVAL = 0.02
LAGS = 6
BINS = (1, 5, 10, 33)
TAPERS = ('boxcar', 'hann', 'hamming', 'blackman', 'blackmanharris', 'flattop')
BANDS = ((0, 10), (10, 100), (100, 250.5), (0, 500), (499, 1000))


def plain(x):
    """For JSON: lists of floats, NaN and infinity as null."""
    if isinstance(x, dict):
        return {k: plain(v) for k, v in x.items()}
    if isinstance(x, (list, tuple, np.ndarray)):
        return [plain(v) for v in x]
    if isinstance(x, (float, np.floating)):
        return float(x) if np.isfinite(x) else None
    return int(x) if isinstance(x, np.integer) else x


def hjorth(x):
    """Activity, mobility and complexity of Hjorth (1970), by differences: antropy.hjorth_params has the last two."""
    d = np.diff(x)
    mobility = np.sqrt(d.var() / x.var())
    return [x.var(), mobility, np.sqrt(np.diff(d).var() / d.var()) / mobility]


def in_time(x):
    d = x - x.mean()
    return dict(
        var_sample=x.var(ddof=1), std_sample=x.std(ddof=1), peak=np.abs(x).max(), mean_abs=np.abs(x).mean(),
        mean_sqrt_abs=np.sqrt(np.abs(x)).mean(), energy=np.sum(x * x), line_length=np.abs(np.diff(x)).sum(),
        mean_abs_dev=np.abs(d).mean(), median_abs_dev=stats.median_abs_deviation(x),
        skew_unbiased=stats.skew(x, bias=False), kurt_unbiased=stats.kurtosis(x, bias=False),
        slope=stats.linregress(np.arange(len(x)) * INTERVAL, x).slope,
        acf=acf(x, adjusted=False, nlags=LAGS - 1, fft=False), hjorth=hjorth(x),
        entropy=[stats.entropy(np.histogram(x, bins)[0]) for bins in BINS],
        mean_crossings=np.count_nonzero(np.diff(np.signbit(d))), sign_changes=np.count_nonzero(np.diff(np.sign(x))),
        level_crossings=np.count_nonzero(np.diff(x > 0.5)))


def windows():
    t = np.arange(200) * INTERVAL
    walk = np.cumsum(rng.standard_normal(257))
    made = dict(
        noise=rng.standard_normal(128), odd=rng.standard_normal(101) ** 3, walk=walk,
        offset=1e6 + rng.standard_normal(100),
        tone=1.5 * np.sin(2 * np.pi * 3.7 * t + 0.4) + 0.1, ramp=0.25 * t + 0.01 * rng.standard_normal(200),
        steps=np.round(2 * rng.standard_normal(150)),
        # Here a sample's place among the bins, computed by a product, rounds across an edge.
        edges_below=0.3 + 0.3 * np.arange(61), edges_above=0.3 + 0.1 * np.arange(101),
        short=np.array([0.3, -1.2, 4.0, 2.5, 2.5, -0.7, 0.1]))
    return [dict(name=name, x=np.round(x, 6), expected=in_time(np.round(x, 6))) for name, x in made.items()]


def shape(f, p):
    """Of |rfft|^2: q[k] = p[k] / sum p."""
    q = p / p.sum()
    c = (f * q).sum()
    return dict(centroid=c, spread=np.sqrt(((f - c) ** 2 * q).sum()), entropy=stats.entropy(p),
                entropy_norm=stats.entropy(p) / np.log(len(p)), flatness=stats.gmean(p[1:]) / p[1:].mean(),
                rolloff=[f[np.argmax(np.cumsum(p) > share * p.sum())] for share in (0.5, 0.85, 0.95)],
                dominant=1 + np.argmax(p[1:]))


def welch(x, rate, args):
    f, psd = signal.welch(x, rate, **args)
    power = signal.welch(x, rate, scaling='spectrum', **args)[1]
    n = args['nperseg']
    twice = np.full(len(f), 2.0)
    twice[0] = 1
    if n % 2 == 0:
        twice[-1] = 1
    def inside(a, b):
        return (f >= a) & (f < b)
    def velocity(a, b):
        k = inside(a, b) & (f > 0)
        return np.sqrt(np.sum(psd[k] / (2 * np.pi * f[k]) ** 2) * (f[1] - f[0]))
    return dict(args=args, psd=psd, power=power, amplitude=np.sqrt(power * twice), shape=shape(f, psd / twice),
                bands=[np.sum(psd[inside(a, b)]) * (f[1] - f[0]) for a, b in BANDS],
                velocity_rms=[velocity(a, b) for a, b in BANDS])


def spectra():
    t = np.arange(300) / 1000
    tones = np.sin(2 * np.pi * 50.5 * t) + 0.5 * np.cos(2 * np.pi * 210 * t)
    x = np.round(3 + 4 * t + tones + 0.2 * rng.standard_normal(300), 6)
    cases = [dict(nperseg=64, noverlap=32, window=taper, detrend='constant', average='mean') for taper in TAPERS]
    cases += [dict(nperseg=75, noverlap=60, window='blackman', detrend='linear', average='median'),
              dict(nperseg=50, noverlap=0, window='hann', detrend=False, average='median'),
              dict(nperseg=300, noverlap=299, window='boxcar', detrend='constant', average='mean'),
              dict(nperseg=299, noverlap=0, window='hamming', detrend='linear', average='mean')]
    return dict(x=x, rate_hz=1000.0, bands=BANDS, cases=[welch(x, 1000.0, args) for args in cases])


def hilbert(n, offset):
    i = np.arange(n)
    x = np.round(offset + np.cos(0.3 * i) * (1 + 0.5 * np.sin(0.02 * i)) + 0.1 * rng.standard_normal(n), 6)
    env = np.abs(signal.hilbert(x))
    w = signal.get_window('blackman', n)
    return dict(x=x, envelope=env, blackman_spectrum=2 * np.abs(np.fft.rfft((env - env.mean()) * w)) / w.sum())


out = dict(
    interval=INTERVAL, lags=LAGS, bins=BINS, windows=windows(),
    tapers=[dict(name=taper, n=n, w=signal.get_window(taper, n)) for taper in TAPERS for n in (1, 2, 9, 32)],
    welch=spectra(), hilbert=[hilbert(n, offset) for n, offset in ((1, 0), (2, 0), (64, 0), (97, 5), (120, 1e6))])
here = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(here, 'features_more.json'), 'w', encoding='ascii') as file:
    file.write(json.dumps(plain(out), separators=(',', ':')) + '\n')
