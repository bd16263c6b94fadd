"""Commands that are compared: each runs ROUNDS times, taking turns, so that a slow minute of the machine hits all of them;
what counts is the median of their CPU seconds, user and system, by the kernel's accounting."""
import os
import statistics
import subprocess
import sys

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))


class Run:
    """One command, its input file, and what it used each time."""

    def __init__(self, name, argv, source):
        self.name, self.argv, self.source = name, argv, source
        self.cpu_s = []

    def once(self):
        with open(self.source, "rb") as stdin, open(os.devnull, "wb") as sink:
            child = subprocess.Popen(self.argv, stdin=stdin, stdout=sink, stderr=subprocess.DEVNULL)
            _, status, used = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            sys.exit(f"bench: '{' '.join(self.argv)}' exited with {child.returncode}")
        self.cpu_s.append(used.ru_utime + used.ru_stime)

    def cpu(self):
        return statistics.median(self.cpu_s)


def take_turns(runs, rounds=ROUNDS):
    for _ in range(rounds):
        for run in runs:
            run.once()


def load():
    with open("/proc/loadavg", encoding="ascii") as text:
        return text.read().split()[0]
