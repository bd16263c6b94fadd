#!/usr/bin/env python3
"""score_charts_check.py golden SECTION CASE OPTION... | measured FOLDER - psa-score's streaming detectors beside
tests/golden/charts.json, and on the recordings in FOLDER beside the figures in psa-detectors(7)."""
import glob
import json
import os
import subprocess
import sys
import tempfile

BIN = os.environ["PSA_BIN"]
START = 1710000000 * 10 ** 9


def run(program, *arguments, given=None):
    done = subprocess.run([os.path.join(BIN, program), *arguments], input=given, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        sys.exit(f"{program} {' '.join(arguments)}: exit status {done.returncode}\n{done.stderr.decode()}")
    return done.stdout


def golden(section, number, *options):
    with open(os.path.join(os.environ.get("PSA_GOLDEN", "tests/golden"), "charts.json"), encoding="utf-8") as file:
        everything = json.load(file)[section]
    case = everything["cases"][int(number)]
    warmup, n = case.get("warmup", everything.get("warmup", 0)), len(case["raw"]) + len(case.get("learned", []))
    width = len(everything["rows"]) // n
    rows = [everything["rows"][i:i + width] for i in range(0, n * width, width)]
    times = everything.get("time", range(START, START + n * 10 ** 9, 10 ** 9))
    lines = [json.dumps(dict(sensor_id="a", fields={f"f{j}": x for j, x in enumerate(row)}, timestamp_ns=time))
             for row, time in zip(rows, times)]
    records = [json.loads(line) for line in
               run("psa-score", "--top", "9", *options, given="\n".join(lines).encode()).splitlines()]
    want = [None] * warmup + case["raw"]
    assert len(records) == len(want) == n
    for i, (record, raw) in enumerate(zip(records, want)):
        got, first = record["anomaly"], warmup or 1
        if i < first or raw is None:
            assert "raw" not in got or raw is None or abs(got["raw"] - raw) < 1e-9, (i, got, raw)
            continue
        assert abs(got["raw"] - raw) <= 1e-9 * max(1, abs(raw)), (i, got, raw)
        if "alarm" in case:
            assert got["is_anomaly"] == bool(case["alarm"][i - warmup]), (i, got)
        shares = [share for _, share in got["top"]]
        assert not shares or abs(sum(shares) - 1) < 1e-9, (i, got)
    assert sum("raw" in record["anomaly"] for record in records) >= n - warmup - 2


def figures(records, *options):
    return json.loads(run("psa-eval", "--json", *options, given=records))


def skab(folder, dropped, stages, f1, far):
    files = sorted(glob.glob(os.path.join(folder, "skab/valve1/*.csv")))
    records = run("psa-replay", "--id-from", "path", *(["--drop", dropped] if dropped else []), *files)
    for program, *options in stages:
        records = run(program, *options, given=records)
    got = figures(records, "--skip", "400")["points"]
    print(stages, "F1", round(got["f1"], 4), "FAR", round(got["far"], 4))
    assert abs(got["f1"] - f1) < 0.0006 and abs(got["far"] - far) < 0.0006, got


def measured(folder):
    temperatures = "Temperature,Thermocouple"
    skab(folder, temperatures, [["psa-score", "--ewma", "--warmup", "400"]], 0.866, 0.025)
    skab(folder, None, [["psa-score", "--ewma", "--warmup", "400"]], 0.863, 0.058)
    skab(folder, temperatures, [["psa-score", "--ewma", "--warmup", "400", "--freeze"]], 0.848, 0.132)
    skab(folder, None, [["psa-score", "--cusum", "--warmup", "400", "--allowance", "1", "--off", "1"]], 0.850, 0.008)
    skab(folder, temperatures, [["psa-filter", "--ewma", "0.2"], ["psa-score", "--half-space-trees", "--warmup", "400"]],
         0.863, 0.172)
    with tempfile.NamedTemporaryFile() as scored:
        recording = os.path.join(folder, "nab/machine_temperature_system_failure.csv")
        scored.write(run("psa-score", "--conformal", "--rest", "2016", given=run("psa-replay", recording)))
        scored.flush()
        got = figures(None, "--windows", os.path.join(folder, "nab/windows.json"), "--skip", "nab", scored.name)
        print(json.dumps(got["nab"]))
        assert abs(got["nab"]["standard"]["normalised"] - 92.15) < 0.05, got["nab"]
        assert got["delay"]["found"] == 4, got["delay"]


if __name__ == "__main__":
    {"golden": golden, "measured": measured}[sys.argv[1]](*sys.argv[2:])
