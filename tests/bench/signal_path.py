#!/usr/bin/env python3
"""The signal path in make bench: psa-filter and psa-features against NumPy and SciPy doing the same work, what rolling
statistics and a chain of filters take, and how each feature's time grows with the window. Alone: signal_path.py BIN.

Both sides read and write JSON. Python gets a tenth of the lines, and its time to start is taken off: what is compared is
CPU seconds a line. That both compute the same is checked first. Samples have seven significant digits, as sensors' have.
"""
import json
import math
import os
import re
import subprocess
import sys
import tempfile

from turns import ROUNDS, Run, load, take_turns

READINGS = int(os.environ.get("BENCH_READINGS", "1000000"))
FIELDS = ("accel_x", "accel_y", "accel_z", "gyro_x", "gyro_y", "gyro_z")
CLASSIC = "rms,kurtosis,spectral_energy,zcr,moving_avg,ptp"
SERVICE = ["/usr/bin/python3", os.path.join(os.path.dirname(os.path.abspath(__file__)), "scipy_service.py")]
T0 = 1710000000000000000
SAMPLES = 1000000  # in each file of the table of window lengths
LENGTHS = (1000, 10000, 100000)
# What some features cannot be without, tried in turn; a feature that none of them satisfies is named with the reason.
COMPANY = ([], ["--band", "10:1000"], ["--rpm", "1500"], ["--envelope", "500:5000"],
           ["--bearing", "9,7.94,39.04,0", "--rpm", "1500"], ["--zones", "pipelines/iso20816.zones,II"])
PARAMETERS = {"q#": "q05", "autocorr_#": "autocorr_1", "entropy_#": "entropy_10"}


def samples(n, seed):
    """A machine's vibration: two tones and noise, as text of seven significant digits."""
    import numpy as np
    rng = np.random.default_rng(seed)
    t = np.arange(n) / 100
    x = np.sin(2 * np.pi * 1.7 * t + seed) + 0.4 * np.sin(2 * np.pi * 13.1 * t) + 0.3 * rng.standard_normal(n)
    return ["%.7g" % v for v in x]


def write_readings(path, names, n):
    """Readings of 100 Hz."""
    columns = [samples(min(n, 100000), seed) for seed, _ in enumerate(names)]
    form = '{"sensor_type":"accel_gyro","sensor_id":"press-07","fields":{%s},"timestamp_ns":%%d}\n' % ",".join(
        f'"{name}":%s' for name in names)
    rows = list(zip(*columns))
    with open(path, "w", encoding="ascii") as out:
        for i in range(n):
            out.write(form % (*rows[i % len(rows)], T0 + i * 10000000))


def write_windows(path, names, length, n, rate_hz):
    """n windows of so many samples. Values repeat after a few windows: parsing does not care."""
    kept = min(n, 50)
    columns = [samples(length * kept, seed) for seed, _ in enumerate(names)]
    bodies = [",".join('"%s":[%s]' % (name, ",".join(column[i * length:(i + 1) * length]))
                       for name, column in zip(names, columns)) for i in range(kept)]
    step = length * 1000000000 // rate_hz
    with open(path, "w", encoding="ascii") as out:
        for i in range(n):
            start = T0 + i * step
            out.write('{"sensor_type":"accel_gyro","sensor_id":"press-07","fields":{%s},"timestamp_ns":%d,"rate_hz":%d,"window":'
                      '{"start_ns":%d,"end_ns":%d,"n":%d,"seq":%d}}\n' % (bodies[i % kept], start, rate_hz, start, start + step,
                                                                         length, i))


def head(path, lines):
    """A shorter file of the first lines."""
    with open(path, "rb") as source, open(path + ".head", "wb") as out:
        for _, line in zip(range(lines), source):
            out.write(line)
    return path + ".head"


def check_same(ours, theirs, source):
    """Both commands give the same numbers under the same names, to 1e-9 of their size."""
    results = []
    for argv in (ours, theirs):
        with open(head(source, 200), "rb") as stdin:
            out = subprocess.run(argv, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
        results.append([json.loads(line) for line in out.splitlines()])
    if len(results[0]) != 200 or len(results[1]) != 200:
        sys.exit(f"bench: {len(results[0])} and {len(results[1])} records of 200")
    for a, b in zip(*results):
        fields, others = a["fields"], b["fields"]
        if list(fields) != list(others) or a["timestamp_ns"] != b["timestamp_ns"]:
            sys.exit(f"bench: not the same work: {a} and {b}")
        for name, value in fields.items():
            if abs(value - others[name]) > 1e-9 * max(1, abs(value)):
                sys.exit(f"bench: {name}: {value!r} and {others[name]!r}")


def per_line(runs, lines):
    """CPU seconds a line of each run, in order; the runs of Python with what starting it takes taken off."""
    idle = {}
    for run, n in zip(runs, lines):
        if run.argv[0] == SERVICE[0]:
            idle[run] = Run("", run.argv, os.devnull)
    take_turns([*runs, *idle.values()])
    return [(run.cpu() - (idle[run].cpu() if run in idle else 0)) / n for run, n in zip(runs, lines)]


def table(runs, seconds, unit):
    print(f"  {'command':58} {'us/' + unit:>11} {unit + 's/s':>13}")
    for run, s in zip(runs, seconds):
        print(f"  {run.name:58} {s * 1e6:11.3f} {1 / s:13,.0f}")


def features(bin_dir, work):
    path, n = os.path.join(work, "windows.ndjson"), READINGS // 20
    write_windows(path, FIELDS, 100, n, 100)
    psa = f"{bin_dir}/psa-features"
    check_same([psa, "--features", CLASSIC], [*SERVICE, "features"], path)
    short = head(path, n // 10)
    runs = [Run("psa-features, the six classic features", [psa, "--features", CLASSIC], path),
            Run("psa-features --features mean: JSON is nearly all of it", [psa, "--features", "mean"], path),
            Run("json.loads, NumPy, json.dumps", [*SERVICE, "features"], short),
            Run("json.loads alone", [*SERVICE, "parse"], short)]
    seconds = per_line(runs, [n, n, n // 10, n // 10])
    print(f"\nwindowed features: windows of 100 samples x 6 fields; CPU time a window, medians of {ROUNDS}; load {load()}")
    table(runs, seconds, "window")
    print(f"  psa-features does {seconds[2] / seconds[0]:.1f} times NumPy's work in a CPU second (to reach: 20)")
    os.unlink(path)


def filters(bin_dir, work):
    path, n = os.path.join(work, "six.ndjson"), READINGS
    write_readings(path, FIELDS, n)
    low_pass = [f"{bin_dir}/psa-filter", "--lowpass", "10Hz", "--order", "4", "--rate", "100Hz"]
    check_same(low_pass, [*SERVICE, "filter"], path)
    short = head(path, n // 10)
    runs = [Run("psa-filter --lowpass 10Hz --order 4", low_pass, path),
            Run("json.loads, scipy.signal.sosfilt, json.dumps", [*SERVICE, "filter"], short),
            Run("json.loads alone", [*SERVICE, "parse"], short),
            Run("psa-filter, four operations",
                [f"{bin_dir}/psa-filter", "--hampel", "7,3", "--kalman", "level,0.01,0.1", "--lowpass", "10Hz", "--clip",
                 "-1.5:1.5", "--rate", "100Hz"], path)]
    seconds = per_line(runs, [n, n // 10, n // 10, n])
    print(f"\nfilters: readings of 6 fields; CPU time a reading, medians of {ROUNDS}; load {load()}")
    table(runs, seconds, "reading")
    print(f"  psa-filter does {seconds[1] / seconds[0]:.1f} times SciPy's work in a CPU second (to reach: 40)")
    print(f"  --hampel 7,3 --kalman level --lowpass --clip: {1e-6 / seconds[3]:.2f} M readings/s of a core (to reach: 1)")


def rolling(bin_dir, work):
    one, six = os.path.join(work, "one.ndjson"), os.path.join(work, "six.ndjson")
    write_readings(one, ("accel_x",), READINGS)
    argv = [f"{bin_dir}/psa-features", "--rolling"]
    runs = [Run("--rolling mean,std@100, one field", [*argv, "mean,std@100"], one),
            Run("--rolling mean,std@100, six fields", [*argv, "mean,std@100"], six),
            Run("--rolling min,max,median@100, one field", [*argv, "min,max,median@100"], one),
            Run("--rolling mean,std,min,max,median@10,100,1000, one field", [*argv, "mean,std,min,max,median@10,100,1000"], one)]
    seconds = per_line(runs, [READINGS] * len(runs))
    print(f"\nrolling features on readings; CPU time a reading, medians of {ROUNDS}; load {load()}")
    table(runs, seconds, "reading")
    print(f"  mean and std over 100 samples of one field: {1e-6 / seconds[0]:.2f} M readings/s of a core (to reach: 1)")
    os.unlink(one)
    os.unlink(six)


def names_of(psa):
    """Every feature of --list, with a parameter where it takes one."""
    text = subprocess.run([psa, "--list"], stdout=subprocess.PIPE, check=True, text=True).stdout
    names = [found.group(1) for found in re.finditer(r"^  ([a-z][a-z0-9_#]*) +\S+ +\S", text, re.M)]
    return [PARAMETERS.get(name, name) for name in names]


def argv_of(psa, name, source):
    """The command that computes one feature, or why there is none."""
    why = ""
    for company in COMPANY:
        argv = [psa, "--max-line", "64MiB", "--features", name, *company]
        with open(source, "rb") as stdin:
            done = subprocess.run(argv, stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
        if done.returncode == 0:
            return argv, None
        why = why or done.stderr.decode().strip().removeprefix("psa-features: ")
    return None, why


def growth(bin_dir, work):
    """Each feature's own time a sample: that of the command less that of one which only parses and counts."""
    psa, files = f"{bin_dir}/psa-features", []
    for length in LENGTHS:
        files.append(os.path.join(work, f"windows-{length}.ndjson"))
        write_windows(files[-1], ("x",), length, SAMPLES // length, 20000)
    first = head(files[0], 2)
    floors = [Run("", [psa, "--max-line", "64MiB", "--features", "count"], path) for path in files]
    rows, without = {}, []
    for name in names_of(psa):
        argv, why = argv_of(psa, name, first)
        if argv:
            rows[name] = [Run(name, argv, path) for path in files]
        else:
            without.append(f"{name}: {why}")
    take_turns([*floors, *(run for runs in rows.values() for run in runs)], min(ROUNDS, 3))
    floor = [min(run.cpu_s) for run in floors]
    print(f"\ntime of each feature and sample in windows of 1,000, 10,000 and 100,000 samples: ns of CPU, the least of"
          f" {min(ROUNDS, 3)}; load {load()}")
    print("  parsing, in all of them: " + " ".join(f"{s / SAMPLES * 1e9:8.1f}" for s in floor))
    print(f"  {'feature':24} {'1,000':>8} {'10,000':>8} {'100,000':>8}  growth: time ~ n^")
    for name, runs in rows.items():
        ns = [(min(run.cpu_s) - s) / SAMPLES * 1e9 for run, s in zip(runs, floor)]
        print(f"  {name:24} " + " ".join(f"{max(v, 0):8.1f}" for v in ns) + "  " + verdict(ns))
    for line in without:
        print(f"  not measured: {line}")
    for path in files:
        os.unlink(path)


def verdict(ns):
    """The exponent from the shortest window to the longest: 1 is linear, n log n gives 1.11 from 1,000 to 100,000 samples,
    and what leaves the caches up to 0.2 more. What takes less than 5 ns a sample even in the longest is not told from 0."""
    if ns[-1] < 5:
        return "linear: too little to measure"
    exponent = 1 + math.log(ns[-1] / max(ns[0], 1)) / math.log(LENGTHS[-1] / LENGTHS[0])
    word = "linear" if exponent < 1.06 else "n log n" if exponent < 1.35 else "MORE THAN n log n"
    return f"{exponent:.2f}  {word}"


def measure(bin_dir, work):
    features(bin_dir, work)
    filters(bin_dir, work)
    rolling(bin_dir, work)
    growth(bin_dir, work)


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    with tempfile.TemporaryDirectory() as scratch:
        measure(os.path.abspath(sys.argv[1]), scratch)
