"""Crashes and bad disks: psa-spool is killed, or its disk fails, and nothing that was taken is lost.

    crash_matrix.py points [--part K/N]   killed before, in and after each named point (-DPSA_FAULT_POINTS), in every scenario
    crash_matrix.py errors [--part K/N]   EIO, ENOSPC or a short write there instead
    crash_matrix.py kills [--times N]     SIGKILL at random instants while records stream, the sink dying as well
    crash_matrix.py faulty [--times N]    a preloaded disk that fails at random and throws away what it failed to sync
    crash_matrix.py nospace               a full file system (a small tmpfs; needs the right to mount one)

Prints TAP. PSA_BIN holds psa-spool, PSA_FAULTY_BIN one built with -DPSA_FAULT_POINTS. Fixed seeds choose what is random; the
instants of the kills depend on the machine as well. The oracle is spool_oracle.py's.
"""
import argparse
import collections
import concurrent.futures
import fcntl
import os
import random
import select
import signal
import subprocess
import sys
import time

import spool_oracle as oracle
from spool_oracle import FRESH, Died, Place, Proof, line, number_of


# ---- one fault, then recovery --------------------------------------------------------------------------------------------

def finished(log):
    """Wait until the sink that outlived psa-spool has ended. Numbers it handled, those it refused, and its log's runs."""
    if not os.path.exists(log):
        return set(), set(), 0
    with open(log) as f:
        fcntl.flock(f, fcntl.LOCK_EX)
    runs = oracle.runs_of(log)
    lines = [text for _, run in runs for text in run]
    return {number_of(t) for t in lines if t[:1] != b"!"}, {number_of(t) for t in lines if t[:1] == b"!"}, len(runs)


def free(place):
    """Wait until nobody holds the spool's locks: a child of what was killed may, until it executes the sink."""
    for name in ("writer.lock", "reader.lock"):
        if os.path.exists(os.path.join(place.spool, name)):
            with open(os.path.join(place.spool, name)) as f:
                fcntl.flock(f, fcntl.LOCK_EX)


def dropped_by_policy(place):
    """In the scenario that drops, records are numbered as they are sequenced: what stands before the first segment."""
    segments = [int(n[:20]) for n in os.listdir(place.spool) if n.endswith(".seg")] if os.path.isdir(place.spool) else []
    return frozenset(range(1, min(segments, default=1)))


def one_fault(proof, scenario, env, statuses, program=None):
    """Run a scenario in a bad world, then recover in a good one. Returns what is wrong, and counts."""
    size, before, act = oracle.SCENARIOS[scenario]
    counts, wrong = collections.Counter(runs=1), []
    with Place() as place:
        first = proof.script(place, size)
        if before:
            before(first)
        done, refused, _ = finished(place.log)
        required = first.promised - done
        script = proof.script(place, size, program or proof.faulty, **dict(env, FAULTY_UNDER=place.root))
        try:
            act(script)
        except Died:
            pass
        except AssertionError as hangs:
            wrong.append(str(hangs))
        except ValueError as nonsense:
            wrong.append("%r said: %r" % (nonsense, script.errors[-300:]))
        counts.update(killed=-signal.SIGKILL in script.statuses)
        wrong += ["status %d: %r" % (s, script.errors[-300:]) for s in script.statuses if s not in statuses]
        done, refused, runs = finished(place.log)
        free(place)
        required = (required | script.promised) - (done - refused)
        dropped = dropped_by_policy(place) if scenario == "drop-oldest" else frozenset()
        o = proof.recover(place, size, hash_of(scenario, env) % 3)
        o.delivered = [text for _, lines in oracle.runs_of(place.log)[runs:] for text in lines]
        strays = scenario in ("recovery, damaged", "repair", "append, syncs fail") or "LD_PRELOAD" in env
        if env.get("PSA_FAULT", "").startswith("segment.open:"):
            strays = True  # it goes on behind numbers it has to guess, and calls those between missing; nothing may be lost
        faults, twice = oracle.judge(o, size, required, done, dropped, strays)
        counts.update(taken=len(required | done), delivered=len(done) + len(o.delivered), duplicates=twice)
        if "LD_PRELOAD" in env:
            counts["damaged"] += o.damaged
    return wrong + faults, counts


def hash_of(*what):
    return random.Random(repr(what)).randrange(1 << 30)


def cases_at(points, actions, calls):
    for point, count in sorted(points.items()):
        for action in actions(point):
            for n in sorted({min(n, count) if n > 0 else max(1, count + n) for n in calls}):
                yield point, n, action


def kill_actions(point):
    return ("kill-before", "kill-after", "half") if point.endswith("write") else ("kill-before", "kill-after")


def error_actions(point):
    return ("EIO", "ENOSPC", "short") if point.endswith("write") else ("EIO", "ENOSPC") if "sync" not in point else ("EIO",)


def matrix(proof, what, actions, calls, statuses, part):
    """Every scenario, point, action, call: one result a scenario."""
    k, n = part
    everything, names, at = collections.Counter(), set(), 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        for scenario in oracle.SCENARIOS:
            counts, failures, jobs = collections.Counter(), [], []
            for case in cases_at(proof.points_of(scenario), actions, calls):
                at += 1
                names.add(case[0])
                if at % n == k % n:
                    jobs.append((case, pool.submit(one_fault, proof, scenario, {"PSA_FAULT": "%s:%d:%s" % case}, statuses)))
            for case, job in jobs:
                wrong, more = job.result()
                counts.update(more)
                if wrong:
                    failures.append("%s:%d:%s: " % case + "; ".join(wrong[:3]))
            everything.update(counts)
            proof.result(not failures, "%s: %s, %d runs" % (what, scenario, len(jobs)), failures[:5])
    print("# %s: %d named points; %s" % (what, len(names), in_words(everything)))


def in_words(counts):
    return ", ".join("%d %s" % (counts[name], name) for name in
                     ("runs", "kills", "killed", "taken", "delivered", "duplicates", "dead", "damaged") if name in counts)


# ---- kills at random instants ---------------------------------------------------------------------------------------------

class Stream:
    """A feeder that keeps every record until it was said to be taken, and gives it again after a crash."""

    SIZE = 200
    REFUSE = 97

    def __init__(self, proof, place, sync, seed):
        self.proof, self.place, self.sync, self.rng = proof, place, sync, random.Random(seed)
        self.taken = 0  # every record up to this one was said to be taken
        self.starts = {1}  # where a feeder began
        self.counts = collections.Counter()
        self.wrong = []
        self.options = ["-d", place.spool, "--max-size", "4MiB"]
        self.feed = ["--retry-max", "5ms", "--cursor-every", "3ms", "--in-flight", "64"]
        self.sink = ["--", proof.sink, place.log, "refuse=%d" % self.REFUSE, "die=20", "late=20", "seed=%d" % seed]

    def start(self, *args):
        return subprocess.Popen([self.proof.program, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)

    def round(self, kill):
        """One life of psa-spool: fed as fast as it takes, killed after a random while; or, without kill, to the end of the input."""
        p = self.start(*self.options, "--sync", self.sync, "--stats", *self.feed, "--linger", "20s", *self.sink)
        self.life(p, [p], kill, ask=True)

    def round_apart(self, kill):
        """The same with append and drain in processes of their own, each killed or left to the other's end."""
        d = self.start("drain", *self.options[:2], *self.feed, "--linger", "20s", *self.sink)
        a = self.start("append", *self.options, "--sync", self.sync, "--ack")
        self.life(a, [a, d], kill, ask=False)

    def life(self, feeder, processes, kill, ask):
        base, sent, held = self.taken, self.taken, {}
        self.starts.add(base + 1)
        limit = base + self.rng.choice((20, 300, 3000))
        end = time.monotonic() + self.rng.choice((0.002, 0.01, 0.04)) * self.rng.random() if kill else None
        asked = not ask or not kill or self.rng.random() < 0.3
        os.set_blocking(feeder.stdin.fileno(), False)
        rest = b""
        self.errors, self.said = [p.stderr for p in processes], []
        streams = [p.stdout for p in processes] + self.errors
        while streams:
            wait = oracle.PATIENCE_S if end is None else max(0, end - time.monotonic())
            want = [feeder.stdin] if not feeder.stdin.closed and (rest or sent < limit) else []
            ready, room, _ = select.select(streams, want, [], wait)
            if end is not None and time.monotonic() >= end:
                if not asked:  # what it calls taken right before it dies
                    oracle.listens_to(feeder, signal.SIGUSR1)
                    feeder.send_signal(signal.SIGUSR1)
                    asked, end = True, time.monotonic() + 0.002
                    continue
                break
            if not ready and not room:
                self.wrong.append("no progress for %d s" % oracle.PATIENCE_S)
                break
            if room:
                sent, rest = self.push(feeder, sent, limit, rest)
            for stream in ready:
                self.hear(stream, streams, held, base)
            if not kill and sent == limit and not rest and not feeder.stdin.closed:
                feeder.stdin.close()
        self.bury(processes, kill, streams, held, base)

    def push(self, feeder, sent, limit, rest):
        if not rest:
            upto = min(limit, sent + self.rng.randrange(1, 60))
            rest, sent = b"".join(line(n, self.SIZE) + b"\n" for n in range(sent + 1, upto + 1)), upto
        try:
            rest = rest[feeder.stdin.write(rest) or 0:]
        except (BrokenPipeError, BlockingIOError):
            pass
        return sent, rest

    def hear(self, stream, streams, held, base):
        more = os.read(stream.fileno(), 65536)
        *lines, held[stream] = (held.get(stream, b"") + more).split(b"\n")
        for text in lines:
            stats = oracle.stats_in(text)
            if text.isdigit():
                self.taken = max(self.taken, base + int(text))
            elif stats and stats[0]["in"] > 0:
                self.taken = max(self.taken, base + oracle.taken_in(stats[0]))
            self.said = (self.said + [text.decode(errors="replace")[:200]])[-3:] if stream in self.errors else self.said
            if not stats and (b"Sanitizer" in text or b"runtime error" in text or b"damaged" in text):
                self.wrong.append(text.decode(errors="replace")[:300])
        if not more:
            streams.remove(stream)

    def bury(self, processes, kill, streams, held, base):
        for p in processes:
            if p.poll() is not None and p.returncode not in (0,) and not (kill and p.returncode == 1):
                self.wrong.append("%r ended with status %d: %s" % (p.args[1], p.returncode, self.said))
            if kill:
                p.kill()
                self.counts["kills"] += 1
        for p in processes:
            if not kill and p.wait(oracle.PATIENCE_S) != 0:
                self.wrong.append("%r: status %d: %s" % (p.args[1], p.returncode, self.said))
            p.wait()
        while kill and streams and select.select(streams, [], [], 0)[0]:  # said before it died
            for stream in select.select(streams, [], [], 0)[0]:
                self.hear(stream, streams, held, base)
        for p in processes:
            for stream in (p.stdin, p.stdout, p.stderr):
                stream.close()
        free(self.place)

    def judge(self):
        """The whole log: records come in the order of their numbers, again only after a crash; what was refused is in dead."""
        finished(self.place.log)
        highest, seen, refused = 0, set(), set()
        for _, lines in oracle.runs_of(self.place.log):
            last = None
            for text in lines:
                self.counts["delivered"] += text[:1] != b"!"
                n = number_of(text)
                if text.lstrip(b"!") != line(n or 0, self.SIZE):
                    self.wrong.append("delivered, but never put in: %r" % text[:100])
                    return
                if n > highest + 1 and n != FRESH or last is not None and n != last + 1 and n not in self.starts and n != FRESH:
                    self.wrong.append("%d came after %s, the highest being %d" % (n, last, highest))
                if n != FRESH:
                    highest = max(highest, n)
                self.counts["duplicates"] += n in seen
                (refused if text[:1] == b"!" else seen).add(n)
                last = n
        lost = [n for n in range(1, self.taken + 1) if n not in seen and n not in refused]
        if lost:
            self.wrong.append("%d lost: %s" % (len(lost), lost[:10]))
        dead = oracle.dead_lines(oracle.run(self.proof.program, "dump", *self.options[:2], "--dead", faults=self.wrong)[0])
        self.wrong += ["a dead letter that never was put in: %r" % t for t in oracle.altered(dead, self.SIZE)[:1]]
        unburied = {n for n in refused if n <= self.taken} - {number_of(t) for t in dead}
        if unburied:
            self.wrong.append("refused, but not among the dead letters: %s" % sorted(unburied)[:10])
        if FRESH not in seen:
            self.wrong.append("the fresh record did not come")
        self.counts.update(taken=self.taken, dead=len(set(map(number_of, dead))))


def kills(proof, times):
    everything = collections.Counter()
    for sync in ("always", "100ms"):
        for apart in (False, True):
            with Place() as place:
                stream = Stream(proof, place, sync, times)
                act = stream.round_apart if apart else stream.round
                while stream.counts["kills"] < times // 4 and not stream.wrong:
                    act(True)
                act(False)
                oracle.run(proof.program, "append", "-d", place.spool, data=line(FRESH, Stream.SIZE) + b"\n", faults=stream.wrong)
                oracle.run(proof.program, "drain", "-d", place.spool, *stream.feed, "--linger", "20s", *stream.sink, faults=stream.wrong)
                stream.judge()
                oracle.run(proof.program, "check", "-d", place.spool, faults=stream.wrong)
            everything.update(stream.counts)
            proof.result(not stream.wrong, "SIGKILL at random instants, --sync %s, %s" %
                         (sync, "append and drain apart" if apart else "one process"), [in_words(stream.counts)] + stream.wrong[:5])
    print("# random kills: %s" % in_words(everything))


# ---- disks that fail -------------------------------------------------------------------------------------------------------

FAULTY = {
    "fsync fails and the data is gone": {"FAULTY_SYNC": "200"},
    "short writes": {"FAULTY_SHORT": "500"},
    "writes fail": {"FAULTY_WRITE": "150"},
    "all of it": {"FAULTY_SYNC": "80", "FAULTY_SHORT": "150", "FAULTY_WRITE": "80"},
}


def faulty(proof, times):
    everything = collections.Counter()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        for what, env in FAULTY.items():
            counts, failures, jobs = collections.Counter(), [], []
            for seed in range(times):
                scenario = list(oracle.SCENARIOS)[seed % len(oracle.SCENARIOS)]
                how = dict(env, FAULTY_SEED=str(seed), LD_PRELOAD=proof.helpers["faulty_io"])
                jobs.append((scenario, seed, pool.submit(one_fault, proof, scenario, how, (0, 1), proof.program)))
            for scenario, seed, job in jobs:
                wrong, more = job.result()
                counts.update(more)
                if wrong:
                    failures.append("%s, seed %d: %s" % (scenario, seed, "; ".join(wrong[:3])))
            everything.update(counts)
            proof.result(not failures, "a preloaded disk, %d runs: %s" % (times, what), failures[:5])
    print("# a preloaded disk: %s" % in_words(everything))


def nospace(proof):
    """In a mount namespace of its own, so that the small tmpfs goes with it."""
    words = [sys.executable, os.path.abspath(__file__), "nospace-inside"]
    try:
        allowed = subprocess.run(["unshare", "-m", "sh", "-c", "mount -t tmpfs -o size=64k none " + proof.home.root],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    except FileNotFoundError:
        allowed = False
    if allowed:
        sys.exit(subprocess.run(["unshare", "-m", *words]).returncode)
    print("ok 1 - a full file system # skip no right to mount a tmpfs here")
    proof.results = 1


def nospace_inside(proof):
    for policy in ("block", "drop-oldest", "reject"):
        for sync in ("always", "10ms"):
            wrong, counts = full_disk(proof, policy, sync)
            proof.result(not wrong, "a full file system, --on-full %s --sync %s: %s" % (policy, sync, in_words(counts)), wrong[:5])


def full_disk(proof, policy, sync):
    """700 KiB of records into a tmpfs of 1 MiB that a ballast fills; a drain, later the ballast's end, makes room."""
    size, count, wrong, counts = 1000, 700, [], {}
    with Place() as place:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", place.root], check=True)
        try:
            ballast = os.path.join(place.root, "ballast")
            os.mkdir(place.spool)
            script = proof.script(place, size)
            script.append([range(1, 11)], "--sync", "always")
            with open(ballast, "wb") as f:
                f.write(bytes(560 << 10))
            told = fill_disk(proof, place, script, policy, sync, range(11, count + 1), wrong)
            dropped = dropped_by_policy(place) if policy == "drop-oldest" else frozenset()
            done = drain_full(proof, place, wrong)
            os.remove(ballast)
            o = proof.recover(place, size, 1)
            o.delivered = [text for _, lines in oracle.runs_of(place.log) for text in lines if number_of(text) not in done or text == line(FRESH, size)]
            faults, twice = oracle.judge(o, size, script.promised - done, done, dropped)
            counts = {"taken": len(script.promised), "delivered": len(done) + len(o.delivered), "duplicates": twice, "runs": 1}
            if policy == "block" and len(script.promised) != count:
                wrong.append("only %d of %d were taken in the end" % (len(script.promised), count))
            if policy == "reject" and not told:
                wrong.append("nothing was said to be rejected")
            wrong += faults
        except AssertionError as hangs:
            wrong.append(str(hangs))
        finally:
            subprocess.run(["umount", "-l", place.root])
    return wrong, counts


def fill_disk(proof, place, script, policy, sync, numbers, wrong):
    """Append until the disk is full and beyond. With block a drain beside it has to make the room. Returns the rejected."""
    p = script.start("append", "-d", place.spool, "--ack", "--sync", sync, "--on-full", policy, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        feeding = pool.submit(lambda: (script.say(p, numbers), p.stdin.close()))
        rejected = drains = done = 0
        while True:
            ready = select.select([p.stdout], [], [], 0.5)[0]
            if not ready and policy != "drop-oldest" and drains < 20:  # it waits, as it should: make room
                drain_full(proof, place, wrong)
                drains += 1
                continue
            lines = script.lines_from(p, p.stdout)
            for text in lines:
                rejected += text.startswith(b"!")
                done = int(text) if text.isdigit() else done
                if text.startswith(b"!"):
                    script.held.setdefault("rejected", set()).add(script.fed[p.pid][int(text[1:].split()[0]) - 1])
            if not lines:
                break
        feeding.result()
    p.stdin = None
    script.finish(p, (0, 3) if policy != "reject" else (0, 1, 3))  # 1: what was read could not be stored and is no promise
    script.take(p, done)
    script.promised -= script.held.get("rejected", set())
    if policy == "block" and not drains:
        wrong.append("the disk was never full")
    return rejected


def drain_full(proof, place, wrong):
    """Drain while the disk is full: the cursor's reserve has to do. Returns what is finished."""
    oracle.run(proof.program, "drain", "-d", place.spool, "--linger", "10s", *oracle.BRIEF, "--", proof.sink, place.log, faults=wrong)
    return finished(place.log)[0]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("points", "errors", "kills", "faulty", "nospace", "nospace-inside"))
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--part", default="0/1", help="K/N: every Nth case, from the Kth on")
    args = parser.parse_args()
    part = tuple(int(n) for n in args.part.split("/"))
    proof = Proof()
    with proof.home:
        if args.what == "points":
            matrix(proof, "killed at a point", kill_actions, (1, 2, 3, 7, 0), (0, -signal.SIGKILL), part)
        elif args.what == "errors":
            matrix(proof, "an error at a point", error_actions, (1, 2, 3, 0), (0, 1), part)
        elif args.what == "kills":
            kills(proof, args.times)
        elif args.what == "faulty":
            faulty(proof, args.times)
        elif args.what == "nospace":
            nospace(proof)
        else:
            nospace_inside(proof)
        proof.end()


main()
