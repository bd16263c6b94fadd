#!/usr/bin/env python3
"""sampling.py - how evenly sensord samples while the machine's other core is busy.

    tests/bench/sampling.py [BIN [SECONDS]]         BIN: where sensord is (bin); SECONDS: of each run (60)

Runs `sensord sim:imu` at 100 Hz and at 1 kHz with an endless loop of this script's own beside it, and prints for each the
distances of the readings' timestamps from the nominal one (p50, p99 and largest deviation, in microseconds), the lateness that
sensord itself reports, the missed deadlines that it reports against the gaps in `seq` that are really there, its share of a
core, and its largest resident memory. Exit status 1 when a gap went unreported. SAMPLING_WRAP="chrt -f 10" runs sensord at
real-time priority.
"""
import json
import multiprocessing
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WRAP = os.environ.get("SAMPLING_WRAP", "").split()


def spin():
    while True:
        pass


def quantile(ordered, q):
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


def peak_kib(pid, before):
    """VmHWM, or what it was before the child ended; wait4's ru_maxrss would count this script, whose image the child had before its exec."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next((int(line.split()[1]) for line in status if line.startswith("VmHWM")), before)


def sample(sensord, rate_hz, seconds):
    """One run: what came out, what it said, what it used."""
    argv = WRAP + [sensord, f"sim:imu?rate={rate_hz}Hz", "--duration", f"{seconds}s", "--stats"]
    child = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    times, seqs, memory = [], [], 0
    for line in child.stdout:
        record = json.loads(line)
        if record["sensor_type"] == "accel_gyro":
            if len(times) % rate_hz == 0:
                memory = peak_kib(child.pid, memory)
            times.append(record["timestamp_ns"])
            seqs.append(record["seq"])
    said = child.stderr.read().decode()
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"sampling: '{' '.join(argv)}' exited with {child.returncode}: {said}")
    stats = json.loads(next(line for line in said.splitlines() if line.startswith('{"psa_stats"')))
    return times, seqs, stats["sensors"][0], used, memory


def report(rate_hz, seconds, times, seqs, stats, used, memory):
    period_ns = 1e9 / rate_hz
    off = sorted(abs((b - a) - (t - s) * period_ns) / 1000 for a, b, s, t in zip(times, times[1:], seqs, seqs[1:]))
    gaps = seqs[-1] + 1 - len(seqs)
    cpu = 100 * (used.ru_utime + used.ru_stime) / seconds
    print(f"{rate_hz} Hz for {seconds} s, {len(times)} readings")
    print(f"  interval jitter     p50 {quantile(off, 0.5):.1f} us, p99 {quantile(off, 0.99):.1f} us, max {off[-1]:.1f} us")
    late = stats["late_ns"]
    print(f"  lateness of wakes   p50 {late['p50'] / 1000:.1f} us, p99 {late['p99'] / 1000:.1f} us, max {late['max'] / 1000:.1f} us")
    print(f"  missed deadlines    {stats['missed']} reported, {gaps} missing in seq")
    print(f"  CPU                 {cpu:.2f} % of a core")
    print(f"  memory              {memory / 1024:.1f} MiB at most")
    sys.stdout.flush()
    return gaps == stats["missed"]


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "bin")
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 60
    busy = [multiprocessing.Process(target=spin, daemon=True) for _ in range(max(1, os.cpu_count() - 1))]
    for loop in busy:
        loop.start()
    try:
        good = [report(hz, seconds, *sample(os.path.join(folder, "sensord"), hz, seconds)) for hz in (100, 1000)]
    finally:
        for loop in busy:
            loop.kill()
            loop.join()
    if not all(good):
        sys.exit("sampling: deadlines were missed and not reported")


if __name__ == "__main__":
    main()
