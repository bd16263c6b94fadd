#!/usr/bin/env python3
"""Scores in make bench: psa-score against scikit-learn, PyOD's ECOD and plain Python doing the same work. Alone: scoring.py BIN.

An isolation forest of 100 trees, one window at a time; streaming ECOD; the chain from readings to scores. Both sides read and
write JSON. Python gets fewer lines, and what it takes to start is taken off: what is compared is CPU seconds a line, medians of
turns. That both compute the same numbers is checked first. model_service.py is what one would write in Python.
"""
import json
import os
import subprocess
import sys
import tempfile

from signal_path import head, table
from turns import ROUNDS, Run, load, take_turns

WINDOWS = int(os.environ.get("BENCH_WINDOWS", "20000"))  # and four times as many readings
SERVICE = ["/usr/bin/python3", os.path.join(os.path.dirname(os.path.abspath(__file__)), "model_service.py")]
TRAINING = 2000  # windows
LENGTH, STRIDE = 100, 25  # samples, of 100 Hz
FEATURES = "rms,kurtosis,ptp,std"
WINDOWING = f"psa-window --length {LENGTH} --stride {STRIDE}"
ECOD_WARMUP = 200


def shell(command):
    subprocess.run(["bash", "-c", "set -o pipefail; " + command], check=True, stderr=subprocess.DEVNULL)


def count_lines(path):
    with open(path, "rb") as lines:
        return sum(1 for _ in lines)


def output(argv, source):
    with open(source, "rb") as stdin:
        out = subprocess.run(argv, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def prepare(bin_dir, work):
    """Readings, their windows' features, and a forest that scikit-learn has grown on the features of a good day."""
    good, rows = f"{work}/good.ndjson", f"{work}/rows.ndjson"
    for path, more, windows in ((good, "--no-faults --seed 5", TRAINING), (rows, "--seed 6", max(WINDOWS, 2500))):
        count = LENGTH + (windows - 1) * STRIDE
        shell(f"{bin_dir}/psa-sim --scene imu --no-labels {more} --duration 0 --count {count} | tee {path}.readings |"
              f" {bin_dir}/psa-run '{WINDOWING} | psa-features --features {FEATURES}' >{path}")
    shell(f"{' '.join(SERVICE[:1])} {os.path.dirname(SERVICE[1])}/train_forest.py {work}/forest.joblib <{good}")
    with open(rows, "rb") as first:
        names = ",".join(json.loads(next(first))["fields"])
    shell(f"{bin_dir}/psa-train import-sklearn --python /usr/bin/python3 --features {names} -o {work}/forest.json"
          f" {work}/forest.joblib {good}")


def check_scores(ours, theirs, tolerance, what, may_differ=0.0):
    """The same raw score on each record both have scored; may_differ: share of records where a feature's last bit may decide."""
    raw = [[r["anomaly"].get("raw") for r in side] for side in (ours, theirs)]
    if len(raw[0]) != len(raw[1]):
        sys.exit(f"bench: {what}: {len(raw[0])} and {len(raw[1])} records")
    compared = [(a, b) for a, b in zip(*raw) if a is not None and b is not None]
    wrong = [pair for pair in compared if abs(pair[0] - pair[1]) > tolerance]
    if len(compared) < 30 or len(wrong) > may_differ * len(compared):
        sys.exit(f"bench: {what}: {len(wrong)} of {len(compared)} scores differ, {wrong[:3]}")


def check_fields(ours, theirs):
    for a, b in zip(ours, theirs):
        for name, value in b["fields"].items():
            if name not in a["fields"] or abs(a["fields"][name] - value) > 1e-9 * max(1, abs(value)):
                sys.exit(f"bench: {name}: {a['fields'].get(name)} and {value}")


def cpu_per_line(runs):
    """CPU seconds a line of (run, the run that only starts and reads, or None, lines)."""
    take_turns([r for run, floor, _ in runs for r in (run, floor) if r])
    return [(run.cpu() - (floor.cpu() if floor else 0)) / n for run, floor, n in runs]


def calls_alone(source, model):
    with open(source, "rb") as stdin:
        return float(subprocess.run([*SERVICE, "calls", model], stdin=stdin, stdout=subprocess.PIPE, check=True).stdout)


def forest(bin_dir, work):
    rows, model, joblib = f"{work}/rows.ndjson", f"{work}/forest.json", f"{work}/forest.joblib"
    n, few = count_lines(rows), 200
    psa, theirs = [f"{bin_dir}/psa-score", "--model", model], [*SERVICE, "forest", joblib]
    check_scores(output(psa, head(rows, few)), output(theirs, rows + ".head"), 1e-12, "isolation forest")
    runs = [(Run("psa-score --model, 100 trees", psa, rows), None, n),
            (Run("psa-score --model --top 0", [*psa, "--top", "0"], rows), None, n),
            (Run("json.loads, score_samples of a row, json.dumps", theirs, rows + ".head"), Run("", theirs, os.devnull), few)]
    seconds = cpu_per_line(runs)
    seconds.append(sorted(calls_alone(rows + ".head", joblib) for _ in range(3))[1])
    print(f"\nisolation forest of 100 trees, one window of 24 features at a time; CPU time a window, medians of {ROUNDS}; load {load()}")
    table([run for run, _, _ in runs] + [Run("score_samples of a row alone, without JSON", [], "")], seconds, "window")
    print(f"  psa-score, with JSON, does {seconds[3] / seconds[0]:.0f} times what score_samples does without,"
          f" {seconds[2] / seconds[0]:.0f} times what it does with (to reach: 500)")


def ecod(bin_dir, work):
    for horizon in (1000, 10000):
        readings, rows, few = f"{work}/rows.ndjson.readings", 50000 + horizon, horizon + 3000
        n = count_lines(head(readings, rows))
        os.replace(readings + ".head", work + "/long")
        psa = [f"{bin_dir}/psa-score", "--ecod", "--warmup", str(ECOD_WARMUP), "--horizon", str(horizon)]
        os.replace(head(readings, few), work + "/few")
        refits = 150 if horizon == 1000 else 40
        os.replace(head(readings, horizon + refits), work + "/refit")
        bisect, refit = [*SERVICE, "bisect", str(horizon)], [*SERVICE, "refit", str(horizon), str(horizon)]
        ours = output(psa, work + "/few")
        check_scores(ours, output(bisect, work + "/few"), 1e-12, f"ECOD by bisect, horizon {horizon}")
        check_scores(ours[horizon:horizon + refits], output(refit, work + "/refit"), 1e-12, f"ECOD fitted anew, horizon {horizon}")
        runs = [(Run("psa-score --ecod", psa, work + "/long"), None, n),
                (Run("sorted lists with bisect, no calibration, no shares", bisect, work + "/few"), Run("", bisect, os.devnull), few),
                (Run("PyOD's fit, anew for each row", refit, work + "/refit"),
                 Run("", [*refit[:-1], str(horizon + refits)], work + "/refit"), refits)]
        seconds = cpu_per_line(runs)
        print(f"\nstreaming ECOD, 6 fields, horizon {horizon}; CPU time a row, medians of {ROUNDS}; load {load()}")
        table([run for run, _, _ in runs], seconds, "row")
        print(f"  psa-score does {seconds[1] / seconds[0]:.1f} times the work of sorted lists,"
              f" {seconds[2] / seconds[0]:.0f} times that of fitting anew")


def chain(bin_dir, work):
    readings, joblib = f"{work}/rows.ndjson.readings", f"{work}/forest.joblib"
    n, few = count_lines(readings), 100 * STRIDE + LENGTH - STRIDE
    psa = [f"{bin_dir}/psa-run", f"{WINDOWING} | psa-features --features {FEATURES} | psa-score --model {work}/forest.json"]
    theirs = [*SERVICE, "chain", joblib, str(LENGTH), str(STRIDE)]
    ours, others = output(psa, head(readings, few)), output(theirs, readings + ".head")
    check_fields(ours, [dict(r, fields={k: v for k, v in r["fields"].items() if k != "anomaly_label"}) for r in others])
    check_scores(ours, others, 1e-12, "the chain", may_differ=0.02)  # features rounded to floats: a last bit may turn at a node
    runs = [(Run("psa-run window | features | score", psa, readings), None, (n - LENGTH) // STRIDE + 1),
            (Run("json, NumPy, SciPy, scikit-learn in a loop", theirs, readings + ".head"), Run("", theirs, os.devnull), len(others))]
    seconds = cpu_per_line(runs)
    print(f"\nreadings to scores: windows of {LENGTH} six-field readings every {STRIDE}, 24 features, 100 trees; CPU time a window,"
          f" medians of {ROUNDS}; load {load()}")
    table([run for run, _, _ in runs], seconds, "window")
    print(f"  psa-run does {seconds[1] / seconds[0]:.0f} times as many windows in a CPU second (to reach: 200)")


def measure(bin_dir, work):
    prepare(bin_dir, work)
    forest(bin_dir, work)
    chain(bin_dir, work)
    ecod(bin_dir, work)
    for name in ("rows.ndjson", "rows.ndjson.head", "rows.ndjson.readings", "good.ndjson.readings", "long"):
        os.unlink(os.path.join(work, name))


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    with tempfile.TemporaryDirectory() as scratch:
        measure(os.path.abspath(sys.argv[1]), scratch)
