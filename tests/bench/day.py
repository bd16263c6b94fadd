#!/usr/bin/env python3
"""A day of many keys: psa-score reads what 10,000 sensors say at 1 Hz in 24 hours, 864 million readings, and its memory must not
grow.

    day.py [--keys N] [--seconds N] [--fields N] GENERATOR PSA-SCORE [OPTION ...]      (--ecod --horizon 100 --warmup 50 by default)

After each tenth of the stream: readings, wall and CPU seconds of psa-score, its resident memory and the peak so far. What
bounds memory is keys times what is kept of each (for ECOD --horizon rows), so by half of the stream that must be full:
status 1 if the peak grew by more than one part in 50 afterwards, or a reading was not scored.
"""
import argparse
import json
import os
import subprocess
import sys
import time

TICKS = os.sysconf("SC_CLK_TCK")
MAX_GROWTH = 1.02


def memory_mb(pid, name):
    with open(f"/proc/{pid}/status", encoding="ascii") as text:
        return next(int(line.split()[1]) for line in text if line.startswith(name)) / 1024


def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as text:
        return sum(int(n) for n in text.read().rpartition(")")[2].split()[11:13]) / TICKS


def play(args, words):
    """Run both, print the table; the peaks after each tenth, and psa-score's statistics."""
    generator = subprocess.Popen([args.generator, str(args.keys), str(args.seconds), str(args.fields)], stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE)
    score = subprocess.Popen([args.psa_score, "--stats", *words], stdin=generator.stdout, stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE)
    generator.stdout.close()
    began_s, peaks = time.monotonic(), []
    print(f"{'tenth':>5} {'M readings':>11} {'wall s':>9} {'CPU s':>9} {'M/CPU s':>8} {'MB now':>8} {'peak MB':>8}")
    for line in generator.stderr:
        tenth = int(line)
        readings, used_s = args.seconds * tenth // 10 * args.keys, cpu_s(score.pid)
        peaks.append(memory_mb(score.pid, "VmHWM"))
        print(f"{tenth:5d} {readings / 1e6:11.2f} {time.monotonic() - began_s:9.1f} {used_s:9.1f} {readings / 1e6 / max(used_s, 0.01):8.3f}"
              f" {memory_mb(score.pid, 'VmRSS'):8.1f} {peaks[-1]:8.1f}", flush=True)
    said = score.stderr.read().decode()
    if generator.wait() != 0 or score.wait() != 0:
        sys.exit(f"day: generator {generator.returncode}, psa-score {score.returncode}: {said}")
    return peaks, json.loads(next(line for line in said.splitlines() if line.startswith('{"psa_stats"')))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--keys", type=int, default=10000)
    parser.add_argument("--seconds", type=int, default=86400)
    parser.add_argument("--fields", type=int, default=1)
    parser.add_argument("generator")
    parser.add_argument("psa_score")
    args, words = parser.parse_known_args()
    words = words or ["--ecod", "--horizon", "100", "--warmup", "50"]
    print(f"psa-score {' '.join(words)}: {args.keys} keys of {args.fields} fields, {args.seconds} s at 1 Hz")
    peaks, stats = play(args, words)
    growth = peaks[-1] / peaks[4]
    print(f"peak {peaks[-1]:.1f} MB, {peaks[-1] * 1024 / args.keys:.1f} kB a key; in the second half it grew by {(growth - 1) * 100:.1f} %;"
          f" in {stats['in']}, passed {stats['passed']}, keys {stats['keys']}")
    if growth > MAX_GROWTH:
        sys.exit("day: memory grows")
    if stats["passed"] != args.keys * args.seconds:
        sys.exit("day: not every reading was scored")


if __name__ == "__main__":
    main()
