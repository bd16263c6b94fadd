#!/usr/bin/env python3
"""make bench: what psa costs beside other tools, measured in one run on this machine.

Commands take turns (turns.py), and the median of their CPU seconds is compared. signal_path.py has what is compared with
SciPy, scoring.py with scikit-learn and PyOD's ECOD, delivery.py the spool and MQTT. Figures are only good as ratios: quote them
with the command that made them.
"""
import itertools
import os
import select
import subprocess
import sys
import tempfile
import threading
import time

import delivery
import scoring
import signal_path
from turns import ROUNDS, Run, load, take_turns

READINGS = int(os.environ.get("BENCH_READINGS", "1000000"))
CHAIN = ("psa-filter --lowpass 10Hz --order 4 --rate 100Hz | psa-window --length 1s --stride 250ms | psa-features"
         " | psa-score --model {model} | psa-alert")


def throughput(bin_dir, work):
    """The table of issue: filter against jq, Miller and cat; the fused chain."""
    readings, model = os.path.join(work, "readings.ndjson"), os.path.join(work, "model.json")
    runs = [
        Run("cat", ["cat"], readings),
        Run("psa-filter, low-pass, six fields", [f"{bin_dir}/psa-filter", "--lowpass", "10Hz"], readings),
        Run("psa-run, the whole chain", [f"{bin_dir}/psa-run", CHAIN.format(model=model)], readings),
        Run("jq -c '.fields.accel_x *= 2'", ["jq", "-c", ".fields.accel_x *= 2"], readings),
        Run("mlr put, one field", ["mlr", "--ijsonl", "--ojsonl", "put",
                                   '$fields["accel_x"] = $fields["accel_x"] * 2'], readings),
    ]
    take_turns(runs)
    print(f"{READINGS} six-field readings, {os.path.getsize(readings) / READINGS:.0f} bytes each; CPU seconds, median of"
          f" {ROUNDS}")
    print(f"  {'command':34} {'CPU s':>8} {'min':>7} {'max':>7} {'M readings/s':>13}")
    for run in runs:
        print(f"  {run.name:34} {run.cpu():8.3f} {min(run.cpu_s):7.3f} {max(run.cpu_s):7.3f}"
              f" {READINGS / run.cpu() / 1e6:13.3f}")
    cat, low_pass, chain, jq, mlr = runs
    print(f"  psa-filter is {jq.cpu() / low_pass.cpu():.1f} times jq and {mlr.cpu() / low_pass.cpu():.1f} times Miller;"
          f" it takes {low_pass.cpu() - cat.cpu():.3f} s more than cat")
    print(f"  the chain does in {chain.cpu():.3f} s what jq needs {jq.cpu():.3f} s for: to double one field")


def peak_mb(argv, source):
    """Peak memory of a filter once it has handled the file: read while it waits for more, its output kept beside."""
    mark = b'{"psa":{"heartbeat":1}}\n'
    child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def feed():
        with open(source, "rb") as stdin:
            while block := stdin.read(1 << 16):
                child.stdin.write(block)
        child.stdin.write(mark)  # comes out behind everything else: then all is handled
        child.stdin.flush()

    feeder = threading.Thread(target=feed)
    feeder.start()
    with open(source + ".next", "wb") as out:
        for line in child.stdout:
            if line == mark:
                break
            out.write(line)
    feeder.join()
    with open(f"/proc/{child.pid}/status", encoding="ascii") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    child.stdin.close()
    child.stdout.read()
    child.wait()
    return peak / 1024


def memory(bin_dir, work):
    """Peak memory of each stage on 16 keys, for a short and a ten times longer input."""
    model = os.path.join(work, "model.json")
    stages = ["psa-filter --lowpass 10Hz --order 4 --rate 100Hz", "psa-window --length 1s --stride 250ms", "psa-features",
              f"psa-score --model {model}", "psa-alert"]
    short, long = os.path.join(work, "short.ndjson"), os.path.join(work, "sixteen.ndjson")
    print("\npeak memory in MB, 16 keys: after 20,000 readings, after 200,000")
    for stage in stages:
        words = stage.split()
        words[0] = f"{bin_dir}/{words[0]}"
        peaks = [peak_mb(words, name) for name in (short, long)]
        print(f"  {stage.split(' --model')[0]:48} {peaks[0]:6.1f} {peaks[1]:6.1f}")
        for name in (short, long):
            os.replace(name + ".next", name)


def latency(bin_dir):
    """From writing a line into a pipe that stays open to its line coming out, one at a time."""
    line = (b'{"sensor_type":"accel_gyro","sensor_id":"p","fields":{"a":%d.5,"b":2.5,"c":1.25},'
            b'"timestamp_ns":%d}\n')
    fused = "psa-filter --lowpass 10Hz --rate 100Hz | psa-window --length 10 --stride 1 | psa-features | psa-score --ecod" \
            " --warmup 20"
    piped = " | ".join(f"{bin_dir}/{part.strip()}" for part in fused.split("|"))
    commands = [("cat", ["cat"]), ("psa-filter", [f"{bin_dir}/psa-filter", "--lowpass", "10Hz", "--rate", "100Hz"]),
                ("filter | window | features | score", ["sh", "-c", piped]), ("the same, fused", [f"{bin_dir}/psa-run", fused])]
    print("\nlatency of one record through open pipes, microseconds (p50, p99 of 2000)")
    for name, argv in commands:
        child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0)
        taken = []
        for i in range(2050):
            begin = time.perf_counter()
            child.stdin.write(line % (i % 7, 1710000000000000000 + i * 10000000))
            if i < 9 and name not in ("cat", "psa-filter"):
                continue  # the first window of ten is not full yet
            if not select.select([child.stdout], [], [], 10)[0]:
                sys.exit(f"bench: {name}: no output within 10 s")
            child.stdout.read(65536)
            taken.append((time.perf_counter() - begin) * 1e6)
        child.stdin.close()
        child.wait()
        taken = sorted(taken[-2000:])
        print(f"  {name:36} {taken[len(taken) // 2]:8.0f} {taken[len(taken) * 99 // 100]:8.0f}")


def prepare(bin_dir, work):
    def shell(command):
        subprocess.run(["bash", "-c", "set -o pipefail; " + command], check=True, stderr=subprocess.DEVNULL)

    shell(f"{bin_dir}/psa-sim --scene imu --no-labels --count {READINGS} >{work}/readings.ndjson")
    shell(f"{bin_dir}/psa-sim --scene imu --no-labels --no-faults --seed 5 --count 100000 | {bin_dir}/psa-run"
          " 'psa-filter --lowpass 10Hz --order 4 --rate 100Hz | psa-window --length 1s --stride 250ms | psa-features'"
          f" | {bin_dir}/psa-train isolation-forest --trees 100 --output {work}/model.json")
    with open(f"{work}/readings.ndjson", "rb") as source, open(f"{work}/sixteen.ndjson", "wb") as long, \
            open(f"{work}/short.ndjson", "wb") as short:
        for i, line in enumerate(itertools.islice(source, 200000)):
            line = line.replace(b'"imu-01"', b'"imu-%02d"' % (i % 16))
            long.write(line)
            if i < 20000:
                short.write(line)


def main():
    bin_dir = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as work:
        prepare(bin_dir, work)
        print(f"machine: {os.cpu_count()} cores, load {load()} at the start")
        throughput(bin_dir, work)
        signal_path.measure(bin_dir, work)
        scoring.measure(bin_dir, work)
        memory(bin_dir, work)
        latency(bin_dir)
        delivery.measure(bin_dir, work)


if __name__ == "__main__":
    main()
