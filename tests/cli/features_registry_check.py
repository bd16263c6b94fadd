"""psa-features' registry against NumPy, SciPy and statsmodels: every golden quantity and every feature through the program."""
import json
import math
import os
import re

import numpy as np
from psatest import check, close, lines, main, psa, records
from scipy import signal, stats
from statsmodels.tsa.stattools import acf

T0 = 1710000000000000000


def golden(name):
    return json.load(open("tests/golden/%s.json" % name))


def features(x, *options, rate=100.0, members=None, status=0):
    """The fields of one window of one field `v`, without the prefix; the whole record in features.record."""
    record = {"fields": {"v": x if isinstance(x, list) else list(map(float, x))}, "timestamp_ns": T0}
    if rate:
        record["rate_hz"] = rate
    record.update(members or {})
    features.record = records(psa("psa-features", *options, data=lines([record]), status=status))[0]
    return {name[2:]: value for name, value in features.record["fields"].items() if name.startswith("v_")}


def listed():
    """name -> (set, unit, formula, source) as --list has them."""
    table, group = {}, None
    for line in psa("psa-features", "--list").decode().splitlines():
        found = re.match(r"--set (\w+):", line)
        if found:
            group = found.group(1)
        found = re.match(r"  (\S+) +(\S+) +(\S.*)$", line)
        if found and not line.startswith(" " * 10):
            table[found.group(1)] = [group, found.group(2), found.group(3), None]
            last = found.group(1)
        elif line.lstrip().startswith("= "):
            table[last][3] = line.lstrip()[2:]
    return table


# ---- golden ---------------------------------------------------------------------------------------------------------------

GOLDEN = {"n": "count", "mean": "mean", "std_pop": "std", "std_samp": "std_sample", "var_pop": "var", "rms": "rms", "min": "min",
          "max": "max", "peak": "peak", "p2p": "ptp", "crest": "crest", "shape": "shape", "impulse": "impulse",
          "clearance": "clearance", "skew_biased": "skewness", "skew_unbiased": "skewness_unbiased",
          "kurt_fisher_biased": "kurtosis", "kurt_pearson_biased": "kurtosis_pearson",
          "kurt_fisher_unbiased": "kurtosis_unbiased", "median": "median", "q05": "q05", "q25": "q25", "q75": "q75", "q95": "q95",
          "iqr": "iqr", "mad_raw": "mad", "mean_abs_dev": "mean_abs_dev", "energy": "energy", "abs_sum_changes": "line_length",
          "line_length": "line_length", "zc_signbit": "zero_crossings", "zc_mean_signbit": "mean_crossings",
          "zc_tsfel": "zc_tsfel", "zcr_mean": "mean_crossing_rate", "spec_energy_parseval": "energy",
          "spec_energy_noDC": "spectral_energy", "centroid_mag_tsfel": "centroid_tsfel",
          "centroid_power_noDC": "spectral_centroid", "entropy_power_demeaned_nat": "spectral_entropy",
          "entropy_power_demeaned_bits_norm_tsfel": "spectral_entropy_norm", "rolloff95_mag_tsfel": "rolloff_tsfel",
          "zc_tsfresh_gt0": "zc_tsfresh", "zc_tsfresh_gt_mean": "zc_tsfresh_mean", "dominant_freq_noDC": "dominant_hz",
          "spread_power_demeaned": "spectral_spread", "rfft_re": "fft_re", "rfft_im": "fft_im", "power_raw": "fft_power"}
# Where the generator's own guards put 0 (or NumPy's argmax the first line) for a window without any power, a feature is null.
GUARDED = {"centroid_power_noDC", "spread_power_demeaned", "entropy_power_demeaned_nat",
           "entropy_power_demeaned_bits_norm_tsfel", "dominant_freq_noDC", "centroid_mag_tsfel", "rolloff95_mag_tsfel"}


def golden_features():
    """All quantities of features.json."""
    for w in golden("features")["windows"]:
        got = features(w["x"], "--features", ",".join(dict.fromkeys(GOLDEN.values())), rate=w["fs"])
        check(set(w["expected"]) <= set(GOLDEN), "a golden quantity is not looked at: %r" % (set(w["expected"]) - set(GOLDEN)))
        for key, want in w["expected"].items():
            value, what = got[GOLDEN[key]], "%s %s" % (w["name"], key)
            if key in GUARDED and value is None:
                check(w["name"] in ("constant64", "zeros64"), what + " is null")
            elif isinstance(want, list):
                # Relative to the largest bin: NumPy's others hold its rounding.
                scale = max(w["expected"]["power_raw"]) ** (1.0 if key == "power_raw" else 0.5) or 1.0
                close([v / scale for v in value], [v / scale for v in want], 1e-12, what)
            else:
                close([value], [want], 1e-9, what)


def golden_welch():
    """The five option sets of welch.json."""
    w = golden("welch")
    for case in w["cases"]:
        args = case["args"]
        options = ["--nperseg", str(args["nperseg"]), "--taper", args.get("window", "hann")]
        if "noverlap" in args:
            options += ["--noverlap", str(args["noverlap"])]
        if "detrend" in args:
            options += ["--detrend", args["detrend"] or "none"]
        if "average" in args:
            options += ["--average", args["average"]]
        name = "power_spectrum" if args.get("scaling") == "spectrum" else "psd"
        got = features(w["x"], "--features", name, *options, rate=w["fs"])
        close(got[name], case["P"], 1e-9, "welch %r" % args)
        axis = features.record["spectrum"]
        close([k * axis["step_hz"] + axis["first_hz"] for k in range(axis["n"])], case["f"], 1e-12, "frequencies %r" % args)


def golden_envelope():
    """The band-pass forward and backward, the envelope and its spectrum."""
    g = golden("envelope")
    got = features(g["x"], "--features", "envelope,envelope_spectrum", "--envelope", "%g:%g" % tuple(g["band"]), rate=g["fs"])
    close(got["envelope"][:400], g["envelope_first400"], 1e-9, "envelope")
    close(got["envelope_spectrum"][:300], g["A_first300"], 1e-9, "envelope spectrum")
    axis = features.record["spectrum"]
    close([k * axis["step_hz"] for k in range(300)], g["f_first300"], 1e-12, "its frequencies")
    check(axis["n"] == len(got["envelope_spectrum"]) == len(g["x"]) // 2 + 1, "lines: %r" % axis)
    # Without --envelope it is the envelope of the samples as they are: band-passed once, forward, by someone else.
    causal = signal.sosfilt(np.array(g["sos"]), g["x"])
    close(features(causal, "--features", "envelope", rate=g["fs"])["envelope"][:200], g["causal_envelope_first200"], 1e-9,
          "envelope of filtered samples")
    line = features(g["x"], "--features", "bearing_line_hz", "--envelope", "2000:5500", rate=g["fs"])["bearing_line_hz"]
    check(abs(line - g["expected_f"]) <= 1 and line == g["peak_f"], "line at %r" % line)


# ---- every feature ----------------------------------------------------------------------------------------------------------

def oracle(x, fs, shaft, hz):
    """Every feature of --list but those of one window only: parameter # as in the sets. By NumPy, SciPy and statsmodels."""
    n, m = len(x), x.mean()
    d, t = np.diff(x), np.arange(n) / fs
    rms, a, peak = np.sqrt(np.mean(x**2)), np.abs(x), np.abs(x).max()
    f, X = np.fft.rfftfreq(n, 1 / fs), np.fft.rfft(x)
    p = np.abs(np.fft.rfft(x - m))**2
    q = p / p.sum()
    centroid = np.average(f, weights=p)
    _, psd = signal.welch(x, fs, "boxcar", nperseg=n)
    _, tapered = signal.welch(x, fs, "hann", nperseg=n)
    _, power = signal.welch(x, fs, "boxcar", nperseg=n, scaling="spectrum")
    amplitude = np.sqrt(2 * power)
    amplitude[0] /= math.sqrt(2)
    if n % 2 == 0:
        amplitude[-1] /= math.sqrt(2)
    top = 1 + np.argmax(p[1:])
    y = signal.sosfiltfilt(signal.butter(4, [20, 40], "bandpass", fs=fs, output="sos"), x)
    env = np.abs(signal.hilbert(y))
    w = signal.get_window("hann", n)
    A = 2 * np.abs(np.fft.rfft((env - env.mean()) * w)) / w.sum()
    in_velocity = (f >= 10) & (f < 45)
    velocity = 9806.65 * math.sqrt(np.sum(tapered[in_velocity] / (2 * np.pi * f[in_velocity])**2) * fs / n)
    want = {
        "count": n, "mean": m, "median": np.median(x), "rms": rms, "std": x.std(), "var": x.var(), "std_sample": x.std(ddof=1),
        "var_sample": x.var(ddof=1), "min": x.min(), "max": x.max(), "ptp": np.ptp(x), "peak": peak, "mean_abs": a.mean(),
        "mean_abs_dev": np.mean(np.abs(x - m)), "mad": stats.median_abs_deviation(x), "iqr": stats.iqr(x),
        "skewness": stats.skew(x), "skewness_unbiased": stats.skew(x, bias=False), "kurtosis": stats.kurtosis(x),
        "kurtosis_unbiased": stats.kurtosis(x, bias=False), "kurtosis_pearson": stats.kurtosis(x, fisher=False),
        "crest": peak / rms, "shape": rms / a.mean(), "impulse": peak / a.mean(), "clearance": peak / np.mean(np.sqrt(a))**2,
        "zcr": np.mean(np.diff(np.signbit(x))), "zero_crossings": np.count_nonzero(np.diff(np.signbit(x))),
        "mean_crossings": np.count_nonzero(np.diff(np.signbit(x - m))), "mean_crossing_rate": np.mean(np.diff(np.signbit(x - m))),
        "zc_tsfel": np.count_nonzero(np.diff(np.sign(x))), "zc_tsfresh": np.count_nonzero(np.diff(x > 0)),
        "zc_tsfresh_mean": np.count_nonzero(np.diff(x > m)), "moving_avg": x[-7:].mean(), "energy": np.sum(x**2),
        "line_length": np.abs(d).sum(), "slope": stats.linregress(t, x).slope, "hjorth_activity": x.var(),
        "hjorth_mobility": math.sqrt(d.var() / x.var()),
        "hjorth_complexity": math.sqrt(np.diff(d).var() / d.var()) / math.sqrt(d.var() / x.var()),
        "spectral_energy": np.sum(np.abs(np.fft.fft(x))[1:]**2) / n, "spectral_centroid": centroid,
        "spectral_spread": math.sqrt(np.average((f - centroid)**2, weights=p)),
        "spectral_rolloff": f[np.argmax(np.cumsum(p) > 0.8 * p.sum())], "spectral_entropy": stats.entropy(p),
        "spectral_entropy_norm": stats.entropy(p) / math.log(len(p)), "spectral_flatness": stats.gmean(p[1:]) / p[1:].mean(),
        "dominant_hz": f[top], "dominant_amplitude": amplitude[top],
        "centroid_tsfel": np.average(f, weights=np.abs(X)),
        "rolloff_tsfel": f[np.argmax(np.cumsum(np.abs(X)) > 0.8 * np.abs(X).sum())],
        "band_5_12.5": psd[(f >= 5) & (f < 12.5)].sum() * fs / n, "velocity_rms": velocity,
        "velocity_zone": 1 + np.count_nonzero(velocity >= np.array([10, 1000, 2000])),
        "envelope_rms": np.sqrt(np.mean(env**2)), "envelope_peak": env.max(), "envelope_kurtosis": stats.kurtosis(env),
        "stuck": 3 / n, "clipped": np.mean((x <= -2.5) | (x >= 2)), "dropout": 0, "jitter": 0.25,
        "spectrum": amplitude, "power_spectrum": power, "psd": psd, "envelope": env, "envelope_spectrum": A, "fft_re": X.real,
        "fft_im": X.imag, "fft_power": np.abs(X)**2,
    }
    want.update({"q%02d" % k: np.quantile(x, k / 100) for k in (5, 25, 75, 95)})
    want.update({"autocorr_%d" % k: acf(x, nlags=k, adjusted=False)[k] for k in (1, 13)})
    want.update({"entropy_%d" % k: stats.entropy(np.histogram(x, k)[0]) for k in (10, 25)})
    want.update({"q99.9": np.quantile(x, 0.999), "q0": x.min()})
    want.update(oracle_lines(f, fs / n, amplitude, A, shaft, hz))
    return want


def oracle_lines(f, step, amplitude, A, shaft, hz):
    """What is read off the spectra at expected frequencies."""
    def around(p, expected, reach):
        near = np.abs(f - expected) <= reach * (1 + 1e-9)
        near[0] = False
        return np.flatnonzero(near)[np.argmax(p[near])] if near.any() else int(round(expected / step))

    def ratio(p, at):
        beside = [k for k in range(max(1, at - 42), min(len(p), at + 43)) if abs(k - at) > 2]
        lower = [k for k in beside if k < at][-40:]
        return p[at] / np.median([p[k] for k in lower + [k for k in beside if k > at][:40]])

    want = {}
    for k in (1, 2):
        want["harmonic_%d" % k] = amplitude[around(amplitude, k * shaft, 0.02 * shaft)]
        for element, value in hz.items():
            at = around(A, k * value, 0.02 * k * value)
            want["%s_%d" % (element, k)], want["%s_ratio_%d" % (element, k)] = A[at], ratio(A, at)
    searched = np.flatnonzero((f >= 10) & (f <= 500))
    top = searched[np.argmax(A[searched])]
    want.update({"bearing_line_hz": f[top], "bearing_line_amplitude": A[top], "bearing_line_ratio": ratio(A, top)})
    return want


SINGLES = ["autocorr_13", "entropy_25", "q99.9", "q0"]  # parameters that no set takes


def registry():
    """Each feature of --list once through the program; none is left out, none is listed but unknown."""
    rng = np.random.default_rng(5)
    table = listed()
    zones = os.path.join(os.environ.get("BATS_TEST_TMPDIR", "/tmp"), "zones")
    with open(zones, "w", encoding="ascii") as out:
        out.write("# a comment\nsmall 1 2 3 # more\n\nours\t10 1000 2000\n")
    for n, fs in ((400, 100.0), (257, 128.0)):
        x = 0.3 + np.sin(2 * np.pi * 7 * np.arange(n) / fs) + rng.standard_normal(n)
        x[50:53] = 0.5  # the longest run
        x = np.round(x, 6)
        shaft, hz = 2.0, {"bpfo": 7.2, "bpfi": 10.8, "bsf": 4.6, "ftf": 0.81}
        options = ["--rpm", str(60 * shaft), "--harmonics", "2", "--bearing-hz", ",".join("%s=%g" % e for e in hz.items()),
                   "--band", "5:12.5", "--envelope", "20:40", "--velocity-band", "10:45", "--zones", zones + ",ours",
                   "--range", "-2.5:2", "--rolloff", "0.8", "--moving-avg", "7"]
        members = {"window": {"start_ns": T0, "end_ns": T0 + round(n / fs * 1e9), "n": n, "jitter": 0.25, "interval_s": 1 / fs}}
        alone = features(x, "--features", "median", rate=fs)
        got = features(x, "--set", "all,array", "--features", ",".join(SINGLES), *options, rate=fs, members=members)
        want = oracle(x, fs, shaft, hz)
        check(alone["median"] == got["median"] == np.median(x), "the median, by sorting and without")
        verdict = got.pop("bearing_verdict")
        check(set(got) == set(want), "not the same features: %r" % (set(got) ^ set(want)))
        for name, value in want.items():
            if isinstance(value, np.ndarray):
                scale = np.abs(value).max()
                close([v / scale for v in got[name]], list(map(float, value / scale)), 1e-10, name)
            else:
                close([got[name]], [float(value)], 1e-9, name)
        check(verdict == 0 and features.record["bearing"]["v"]["verdict"] == "none", "a verdict on noise: %r" % verdict)
        stem = {re.sub(r"(?<=^q)[\d.]+$|(?<=_)\d+$", "#", name) for name in want} | {"bearing_verdict"}
        for name in table:
            known = name in want or name in stem or name + "_#" in stem or name == "band"
            check(known, "%s is listed, but no window has it" % name)
    check(all(all(row) for row in table.values()), "a line of --list lacks something")


def closed_forms():
    """A tone's rms, crest, amplitude and velocity; Parseval through psd and the bands; all in closed form."""
    n, fs, A, hz = 1000, 1000.0, 3.0, 50.0
    x = A * np.sin(2 * np.pi * hz * np.arange(n) / fs)
    got = features(x, "--features", "rms,crest,peak,shape,kurtosis,dominant_hz,dominant_amplitude,velocity_rms,psd,hjorth_mobility",
                   "--band", "0:20", "--band", "20:60", "--band", "60:500", "--unit", "m/s2", rate=fs)
    want = {"rms": A / math.sqrt(2), "crest": math.sqrt(2), "peak": A, "kurtosis": -1.5, "dominant_hz": hz,
            "dominant_amplitude": A, "velocity_rms": 1000 * A / (2 * math.pi * hz) / math.sqrt(2),
            "hjorth_mobility": 2 * math.sin(math.pi * hz / fs), "band_20_60": A * A / 2}
    for name, value in want.items():
        # Differences stand for derivatives, and a tapered line has neighbours, which 1/f weighs otherwise.
        close([got[name]], [value], 1e-3 if name in ("hjorth_mobility", "velocity_rms") else 1e-9, name)
    close([sum(got[b] for b in ("band_0_20", "band_20_60", "band_60_500"))], [x.var()], 1e-12, "bands side by side")
    close([math.fsum(got["psd"]) * fs / n], [x.var()], 1e-12, "Parseval")
    step = features(x, "--features", "velocity_rms", "--velocity-band", "10:1000", rate=fs)["velocity_rms"]
    close([step], [9.80665 * got["velocity_rms"]], 1e-9, "velocity from g")
    # What lies outside the band stays there, between two lines too: by boxcar this reads 0.8 mm/s.
    outside = 100 * np.sin(2 * np.pi * 1500.5 * np.arange(4096) / 4096)
    leaked = features(outside, "--features", "velocity_rms", "--unit", "m/s2", rate=4096.0)["velocity_rms"]
    check(leaked < 0.01, "%r mm/s leaked into the band" % leaked)
    tapered = features(outside, "--features", "velocity_rms", "--unit", "m/s2", "--taper", "flattop", rate=4096.0)
    check(tapered["velocity_rms"] != leaked, "--taper is not heard")
    boxcar = features(outside, "--features", "velocity_rms", "--unit", "m/s2", "--taper", "boxcar", rate=4096.0)
    check(boxcar["velocity_rms"] > 0.5, "--taper boxcar is heard too")
    # 25 Hz at 1 g is 44 mm/s; a window whose lines are 50 Hz apart cannot tell.
    shaking = math.sqrt(2) * np.sin(2 * np.pi * 25 * np.arange(25600) / 25600)
    got = features(shaking, "--features", "velocity_rms", rate=25600.0)
    close([got["velocity_rms"]], [1000 * 9.80665 / (2 * np.pi * 25)], 0.02, "a second of it")
    for short, options in ((shaking[:512], []), (shaking, ["--nperseg", "512"])):
        got = features(short, "--features", "velocity_rms,velocity_zone", "--zones", "pipelines/iso20816.zones,I", "--stats",
                       *options, rate=25600.0)
        noted = json.loads(psa.err.splitlines()[-1])["noted"]
        check(set(got.values()) == {None} and noted == {"too_few_samples": 2}, "too short: %r %r" % (got, noted))
    features(shaking, "--features", "velocity_rms", "--stats", rate=1990.0)
    check(json.loads(psa.err.splitlines()[-1])["noted"] == {"band_cut": 1}, "the rate cuts the band")
    # A band's part above half the rate is nothing.
    check(features(x, "--features", "band", "--band", "500:600", rate=fs)["band_500_600"] is None, "out of band")


# ---- choosing -----------------------------------------------------------------------------------------------------------------

def sets():
    """--set and --features join in the order given, without repeats; sets take what their options allow."""
    x = list(map(float, range(1, 200)))
    table = listed()
    classic = ["rms", "kurtosis", "spectral_energy", "zcr", "moving_avg", "ptp"]
    check(list(features(x, "--set", "classic")) == classic, "classic")
    check(list(features(x, "--features", "max,ptp", "--set", "classic", "--features", "rms,min")) ==
          ["max", "ptp", "rms", "kurtosis", "spectral_energy", "zcr", "moving_avg", "min"], "joined")
    ten = classic + ["mean", "std", "min", "max"]
    check(list(features(x)) == list(features(x, "--set", "default")) == ten, "default")
    check(list(features(x, "--band", "1:2")) == ten + ["band_1_2"], "--band adds its feature")
    check(list(features(x, "--band", "1:2", "--features", "band,max", "--band", "0.5:1kHz")) ==
          ["band_1_2", "band_0.5_1000", "max"], "bands where they are named")
    check(list(features(x, "--set", "quality,classic")) == ["stuck", "clipped", "dropout", "jitter"] + classic, "two sets")
    for name in ("time", "spectral", "quality", "array"):
        want = [f for f, row in table.items() if row[0] == name and f != "band"]
        got = list(features(x, "--set", name))
        stem = list(dict.fromkeys(re.sub(r"(?<=^q)[\d.]+$|(?<=_)\d+$", "#", f) for f in got))
        check(stem == want, "%s: %r, not %r" % (name, stem, want))
    check("harmonic_1" not in features(x, "--set", "machine"), "harmonics without a speed")
    check("harmonic_3" in features(x, "--set", "machine", "--rpm", "60"), "harmonics with it")
    every = features(x, "--set", "all")
    check("rms" in every and "psd" not in every and "bpfo_1" not in every and "velocity_zone" not in every, "all")
    # psa-features --length turns on what jitter is made from.
    recs = [{"fields": {"v": i}, "timestamp_ns": T0 + i * 10000000 + (3000000 if i % 2 else 0)} for i in range(40)]
    out = records(psa("psa-features", "--length", "20", "--set", "quality", data=lines(recs)))
    intervals = [13, 7] * 9 + [13]
    close([out[0]["fields"]["v_jitter"]], [np.std(intervals) / np.median(intervals)], 1e-9, "jitter")


def undefined():
    """Null with its reason, and no other."""
    def reasons(x, *options, **more):
        got = features(x, *options, "--stats", **more)
        return got, json.loads(psa.err.splitlines()[-1]).get("noted", {})

    got, why = reasons([2.5] * 50, "--features", "kurtosis,skewness,autocorr_1,hjorth_mobility,spectral_centroid,dominant_hz,rms")
    check(why == {"constant": 6} and got["rms"] == 2.5, "constant: %r %r" % (why, got))
    got, why = reasons([0] * 50, "--features", "crest,shape,impulse,clearance,entropy_10,stuck")
    check(why == {"constant": 4} and got["entropy_10"] == 0 and got["stuck"] == 1, "zeros: %r %r" % (why, got))
    got, why = reasons([1, 4], "--features", "mean,skewness_unbiased,kurtosis_unbiased,autocorr_2,autocorr_1,hjorth_complexity")
    check(why == {"too_few_samples": 4} and got["mean"] == 2.5, "two samples: %r" % why)
    _, why = reasons([1], "--features", "zcr,std_sample,kurtosis")
    check(why == {"too_few_samples": 2, "constant": 1}, "one sample: %r" % why)
    got, why = reasons([1, None, 3, 4], "--features", "mean,slope,psd,spectral_energy,line_length,autocorr_1,median,dropout")
    check(why == {"missing_samples": 5} and got["median"] == 3 and got["dropout"] == 0.25, "a hole: %r %r" % (why, got))
    got, why = reasons([None, None], "--features", "mean,dropout,psd")
    check(why == {"empty_window": 2} and got["dropout"] == 1, "nothing: %r %r" % (why, got))
    got, why = reasons([1, 2, 4, 8], "--features", "slope,psd,envelope_rms,fft_re", rate=None)
    check(why == {"no_rate": 3} and "spectrum" not in features.record and len(got["fft_re"]) == 3, "no rate: %r" % why)
    ramp = list(range(100))
    _, why = reasons(ramp, "--features", "envelope_rms", "--envelope", "20:60")
    check(why == {"out_of_band": 1}, "above half the rate: %r" % why)
    _, why = reasons(ramp[:20], "--features", "envelope_rms", "--envelope", "20:40")
    check(why == {"too_few_samples": 1}, "shorter than the filter's ends: %r" % why)
    _, why = reasons(ramp, "--features", "velocity_rms,velocity_zone", "--zones", "pipelines/iso20816.zones,II",
                     "--velocity-band", "60:100")
    check(why == {"out_of_band": 2}, "no velocity there: %r" % why)
    _, why = reasons(ramp, "--features", "band", "--band", "1.1:1.9", "--band", "70:90")
    check(why == {"too_few_samples": 1, "out_of_band": 1}, "no line in the band: %r" % why)
    _, why = reasons(ramp, "--features", "harmonic,bpfi", "--rpm-field", "speed", "--bearing", "8,1,4,0", "--harmonics", "1")
    check(why == {"no_speed": 2}, "no speed: %r" % why)
    _, why = reasons(ramp, "--features", "harmonic", "--rpm", "3000", "--harmonics", "1")
    check(why == {"out_of_band": 1}, "a harmonic at half the rate: %r" % why)
    _, why = reasons(ramp, "--features", "harmonic", "--rpm", "3600")
    check(why == {"out_of_band": 3}, "harmonics beyond the spectrum: %r" % why)
    _, why = reasons(ramp, "--features", "jitter,dropout")
    check(why == {"no_intervals": 1}, "no intervals: %r" % why)
    _, why = reasons([1e200, -1e200, 1e200, 3e200], "--features", "var,energy")
    check(why == {"undefined": 2}, "out of a double's range: %r" % why)
    for scale in (1e-160, 1e-200, 1e-310):
        tiny = [scale * (3 + math.sin(i) + (i * i) % 7) for i in range(64)]
        got, why = reasons(tiny, "--features", "spectral_flatness,spectral_centroid,spectral_entropy,dominant_hz,spectral_rolloff")
        check(set(got.values()) == {None} and set(why) <= {"undefined", "constant"}, "squares below a double's range: %r %r" % (got, why))
        if scale > 1e-300:
            want = features([v / scale for v in tiny], "--features", "centroid_tsfel,rolloff_tsfel")
            got = features(tiny, "--features", "centroid_tsfel,rolloff_tsfel")
            close([got["centroid_tsfel"], got["rolloff_tsfel"]], [want["centroid_tsfel"], want["rolloff_tsfel"]], 1e-12, "magnitudes")
    got, why = reasons([None, None], "--features", "count,mean")
    check(why == {"empty_window": 1} and got["count"] == 0, "a count of nothing is 0: %r %r" % (why, got))
    _, why = reasons([0.5] * 1000001, "--features", "spectral_centroid", "--max-line", "64MiB")
    check(why == {"too_many_samples": 1}, "too long for a transform: %r" % why)


def holes():
    """A missing sample in any place, of any window up to 40, is found: it is left out, and a transform of the rest is none."""
    recs, want = [], []
    for n in range(1, 41):
        for hole in range(n):
            x = [1.0 + (i * i) % 7 for i in range(n)]
            x[hole] = None
            recs.append({"fields": {"v": x}, "timestamp_ns": T0, "rate_hz": 100})
            rest = [v for v in x if v is not None]
            want.append((len(rest), max(rest, default=None), 1 / n))
    out = records(psa("psa-features", "--features", "count,max,dropout,spectral_energy", data=lines(recs)))
    for r, (count, most, share) in zip(out, want):
        got = r["fields"]
        check((got["v_count"], got["v_max"], got["v_spectral_energy"]) == (count, most, None), "%r, not %r" % (got, (count, most)))
        close([got["v_dropout"]], [share], 1e-12, "dropout")


def lengths():
    """Windows of many lengths in one stream, more than transforms are kept for, twice over: each like one alone."""
    rng = np.random.default_rng(3)
    options = ["--set", "all", "--envelope", "10:30", "--rpm", "600", "--nperseg", "64", "--taper", "hann"]
    recs = [{"fields": {"v": [round(v, 5) for v in rng.standard_normal(n)]}, "timestamp_ns": T0 + i, "rate_hz": 100 + i % 3}
            for i, n in enumerate(list(range(40, 80)) * 2)]
    together = psa("psa-features", *options, data=lines(recs)).splitlines()
    for r, line in zip(recs[::7], together[::7]):
        check(psa("psa-features", *options, data=lines([r])).splitlines() == [line], "a window of %d" % len(r["fields"]["v"]))
    x = rng.standard_normal(80)
    got = features(x, "--features", "psd", "--nperseg", "64", "--noverlap", "60", "--taper", "hann")["psd"]
    close(got, signal.welch(x, 100.0, "hann", 64, 60)[1], 1e-9, "--noverlap")
    x = x[:30]
    got = features(x, "--features", "psd", "--nperseg", "64", "--noverlap", "60", "--taper", "hann")["psd"]
    close(got, signal.welch(x, 100.0, "hann", 30)[1], 1e-9, "a window shorter than a segment")


def axis():
    """The member `spectrum`: the first array's axis, others' under their names; arrays pass through a chain."""
    recs = [{"sensor_id": "a", "fields": {"v": list(range(100)), "w": list(range(50))}, "timestamp_ns": T0, "rate_hz": 100,
             "spectrum": {"old": 1}}]
    out = records(psa("psa-features", "--features", "psd,envelope_spectrum,mean,envelope", "--nperseg", "20", data=lines(recs)))[0]
    check(out["spectrum"] == {"first_hz": 0, "step_hz": 5, "n": 11,
                              "v_envelope_spectrum": {"first_hz": 0, "step_hz": 1, "n": 51},
                              "w_envelope_spectrum": {"first_hz": 0, "step_hz": 2, "n": 26}}, "%r" % out["spectrum"])
    lengths_of = {k: len(v) for k, v in out["fields"].items() if isinstance(v, list)}
    check(lengths_of == {"v_psd": 11, "v_envelope_spectrum": 51, "v_envelope": 100, "w_psd": 11, "w_envelope_spectrum": 26,
                         "w_envelope": 50}, "%r" % lengths_of)
    readings = lines([{"fields": {"v": i % 7}, "timestamp_ns": T0 + i * 10000000} for i in range(100)])
    piped = psa("psa-features", "--features", "mean", data=psa("psa-features", "--features", "psd", "--length", "25",
                                                               data=readings))
    fused = psa("psa-run", "psa-features --features psd --length 25 | psa-features --features mean", data=readings)
    check(piped == fused and piped, "features of features, piped and fused, differ")


# ---- machines -----------------------------------------------------------------------------------------------------------------

def strikes(hz, fs=12000.0, seconds=1.0, modulated=None, noise=0.05, seed=1):
    """A bearing: a resonance of 3.5 kHz rung at each strike, in noise."""
    rng = np.random.default_rng(seed)
    n = int(fs * seconds)
    train = np.zeros(n)
    for k in range(int(seconds * hz)):
        train[min(n - 1, int(round(k / hz * fs)))] = 1 if not modulated else 1 + np.cos(2 * np.pi * modulated * k / hz)
    t = np.arange(200) / fs
    return np.round(np.convolve(train, np.exp(-800 * t) * np.sin(2 * np.pi * 3500 * t))[:n] + noise * rng.standard_normal(n), 5)


def bearing():
    """Each element is named by its frequency, from geometry and speed or told; noise and a shaft's line are none."""
    fs, rpm = 12000.0, 1500
    r, shaft = 7.94 / 39.04, rpm / 60
    hz = {"outer race": 9 / 2 * shaft * (1 - r), "inner race": 9 / 2 * shaft * (1 + r), "ball": shaft / (2 * r) * (1 - r * r)}
    geometry = ["--set", "bearing", "--envelope", "2000:5500", "--bearing", "9,7.94,39.04,0"]
    for code, (element, expected) in enumerate(hz.items(), 1):
        got = features(strikes(expected * 1.004), *geometry, "--rpm", str(rpm), rate=fs)
        member = features.record["bearing"]["v"]
        check(member["verdict"] == element and got["bearing_verdict"] == code and member["order"] == 1, "%r" % member)
        close([member["expected_hz"]], [expected], 1e-12, "expected")
        check(abs(member["line_hz"] / expected - 1) < 0.02 and member["ratio"] > 6, "%r" % member)
        check((member["line_hz"], member["amplitude"], member["ratio"]) ==
              (got["bearing_line_hz"], got["bearing_line_amplitude"], got["bearing_line_ratio"]), "member and fields")
        own = {"outer race": "bpfo_1", "inner race": "bpfi_1", "ball": "bsf_1"}[element]
        check(got[own] == member["amplitude"], "%s: %r" % (own, got))
        told = features(strikes(expected * 1.004), "--set", "bearing", "--envelope", "2kHz:5.5kHz", "--bearing-hz",
                        "bpfo=%r,bpfi=%r,bsf=%r" % tuple(hz.values()), rate=fs)
        check(told["bearing_verdict"] == code and told["ftf_1"] is None, "told: %r" % told)
    # The speed from a field: a number, or the mean of an array.
    x = strikes(hz["outer race"])
    for speed in (rpm, [rpm - 1, None, rpm + 1]):
        record = {"fields": {"v": list(x), "speed": speed}, "rate_hz": fs}
        out = records(psa("psa-features", *geometry, "--rpm-field", "speed", data=lines([record])))[0]
        check(out["bearing"]["v"]["verdict"] == "outer race", "--rpm-field: %r" % out["bearing"])
        check(out["fields"]["speed"] == rpm and not any(f.startswith("speed_") for f in out["fields"]), "the speed's own field")
    rng = np.random.default_rng(2)
    features(rng.standard_normal(12000), *geometry, "--rpm", str(rpm), rate=fs)
    check(features.record["bearing"]["v"]["verdict"] == "none", "noise: %r" % features.record["bearing"])
    # A sensor that is dead says nothing, least of all that the bearing is well.
    got = features([0] * 2000, *geometry, "--rpm", str(rpm), rate=fs)
    check(got["bearing_verdict"] is None, "dead: %r" % got)
    # Nor does what rounding leaves in the band: of a constant, and of a hum in 16 bits.
    t = np.arange(12000) / fs
    for quiet, reason in ((np.full(12000, 0.3), "constant"), (np.round(16384 * np.sin(2 * np.pi * 60 * t)), "below_resolution"),
                          (np.round(2000 + 300 * t), "below_resolution")):
        got = features(quiet, *geometry, "--rpm", str(rpm), "--stats", rate=fs)
        why = json.loads(psa.err.splitlines()[-1])["noted"]
        member = features.record["bearing"]["v"]
        check(got["bearing_verdict"] is None and member["verdict"] is None and member["reason"] == reason and why[reason] and
              member["expected_hz"] is None and member["order"] == 0, "%s: %r %r" % (reason, member, why))
    # One that is four times the rounding is judged.
    features(np.round(16384 * np.sin(2 * np.pi * 60 * t) + 2 * rng.standard_normal(12000)), *geometry, "--rpm", str(rpm), rate=fs)
    check(features.record["bearing"]["v"]["verdict"] == "none", "above the rounding: %r" % features.record["bearing"])
    # What a verdict says nothing of: lines too coarse for the cage, races beyond the lines that are looked at.
    fast = strikes(10 * hz["outer race"])
    features(strikes(hz["outer race"]), *geometry, "--rpm", str(rpm), rate=fs)
    member = features.record["bearing"]["v"]
    close([member["unseen"]["cage"], member["step_hz"]], [shaft / 2 * (1 - r), 1], 1e-12, "the cage, unseen")
    check(list(member["unseen"]) == ["cage"], "unseen: %r" % member)
    features(fast, *geometry, "--rpm", str(10 * rpm), rate=fs)
    member = features.record["bearing"]["v"]
    check(set(member["unseen"]) == {"outer race", "inner race", "ball"} and member["verdict"] == "none", "fast: %r" % member)
    features(fast, *geometry, "--rpm", str(10 * rpm), "--bearing-lines", "50:2kHz", rate=fs)
    member = features.record["bearing"]["v"]
    check("unseen" not in member and member["verdict"] == "outer race", "--bearing-lines: %r" % member)
    added = list(features(x, "--bearing", "9,7.94,39.04,0", "--rpm", "1500", rate=fs))
    check(added[0] == "rms" and "bpfo_1" in added and "bearing_verdict" in added, "--bearing adds its set: %r" % added)


def quality():
    """Stuck, clipped, dropout and jitter, windows of readings that did not all come."""
    got = features([1, 2, 2, 2, 5, 5, 5, 5, -1, 5], "--set", "quality")
    check((got["stuck"], got["clipped"], got["dropout"], got["jitter"]) == (0.4, 0.4, 0, None), "%r" % got)
    check(features([1, 2, 3, 4], "--features", "clipped", "--range", ":3")["clipped"] == 0.5, "--range :3")
    check(features([1, 2, 3, 4], "--features", "clipped", "--range", "1:")["clipped"] == 0.25, "--range 1:")
    rng = np.random.default_rng(9)
    kept = np.sort(rng.choice(np.arange(1, 999), 900, replace=False))
    recs = [{"fields": {"v": float(i)}, "timestamp_ns": T0 + int(i) * 1000000} for i in [0, *kept, 999, 1000]]
    out = records(psa("psa-features", "--length", "1s", "--features", "dropout", data=lines(recs)))
    close([out[0]["fields"]["v_dropout"]], [1 - 902 / 1000], 1e-9, "samples that never came")


def told_dropout():
    """What never came is no dropout of 0 where nobody can tell; what a window's edges cut off is none either."""
    def shares(source, window, *options):
        inside = psa("psa-features", *window, "--features", "dropout", data=lines(source))
        piped = psa("psa-features", "--features", "dropout", "--stats", data=psa("psa-window", *window, *options, data=lines(source)))
        stats_of = json.loads(psa.err.splitlines()[-1])
        return inside, piped, [r["fields"]["v_dropout"] for r in records(piped)], stats_of["noted"]

    late = [{"fields": {"v": i}, "timestamp_ns": T0 + 370000000 + i * 10000000} for i in range(300)]
    for window in (["--length", "1s", "--align", "epoch", "--partial"], ["--length", "70", "--partial"]):
        inside, piped, got, noted = shares(late, window, "--intervals")
        check(inside == piped and got and set(got) == {0}, "edges: %r" % got)
        _, _, got, noted = shares(late, window)
        check(set(got) == {None} and noted == {"no_intervals": len(got)}, "nobody told: %r %r" % (got, noted))
    # Whole milliseconds at 300 Hz: 3, 3 and 4 ms, of which none is a gap.
    rounded = [{"fields": {"v": i}, "timestamp_ns": T0 + round(i / 0.3) * 1000000} for i in range(900)]
    inside, piped, got, _ = shares(rounded, ["--length", "1s", "--partial"], "--intervals")
    check(inside == piped and set(got) == {0}, "rounded times: %r" % got)
    told = [dict(r, rate_hz=100) for i, r in enumerate(late) if not 20 <= i < 45]
    check(shares(told, ["--length", "1s"])[2][:2] == [0.25, None], "the rate is told")
    check(features([1, None, 3], "--features", "dropout", members={"window": {"n": 3}})["dropout"] == 1 / 3, "a null is one")


def burst():
    """A 12 Hz sine that lost 30 of 100 samples has no spectrum: where rate_hz or the intervals tell, that is said."""
    def push(*options, lost=range(40, 70), told=True, jitter=0.0):
        rng = np.random.default_rng(4)
        recs = [{"fields": {"v": math.sin(2 * math.pi * 12 * i / 100)},
                 "timestamp_ns": T0 + i * 10000000 + int(jitter * 1e7 * rng.uniform(-1, 1))}
                for i in range(103) if i not in lost]
        if told:
            recs = [dict(r, rate_hz=100) for r in recs]
        data = psa("psa-window", "--length", "1s", *options, data=lines(recs))
        out = records(psa("psa-features", "--features", "dominant_hz,slope,line_length,autocorr_1,rms,psd,mean", "--stats", data=data))[0]
        null = {k[2:] for k, v in out["fields"].items() if v is None}
        return null, json.loads(psa.err.splitlines()[-1]).get("noted", {}), out

    order = {"dominant_hz", "slope", "line_length", "autocorr_1", "psd"}
    for options, told in (([], True), (["--intervals"], True), (["--intervals"], False)):
        null, noted, out = push(*options, told=told)
        check(null == order and noted == {"missing_samples": 5}, "%r %r: %r" % (options, told, noted))
        null, noted, out = push(*options, told=told, lost=())
        check(not null and not noted and out["fields"]["v_dominant_hz"] == 12, "nothing lost: %r" % noted)
    check(not push("--intervals", lost=(), told=False, jitter=0.2)[0], "a shaky clock loses nothing")
    check(push("--intervals", lost=range(1, 101, 2))[0] == order, "every second one lost, at a told rate")


main({"golden_features": golden_features, "golden_welch": golden_welch, "golden_envelope": golden_envelope, "registry": registry,
      "closed_forms": closed_forms, "sets": sets, "undefined": undefined, "holes": holes, "lengths": lengths, "axis": axis, "bearing": bearing,
      "quality": quality, "told_dropout": told_dropout, "burst": burst})
