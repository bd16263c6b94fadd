"""Whole pipelines are killed, and no byte of what they say changes.

    pipeline_crash.py kills [--times N] [--detectors A,B] [--layouts piped,fused,mixed] [--seed S] [--folder DIR]
    pipeline_crash.py spool [--times N] [--detectors A,B] ...
    pipeline_crash.py terms [--times N] [--detectors A,B] ...

kills: a feeder that knows where it is in a recording runs psa-filter | psa-window | psa-features | psa-score | psa-alert | sink,
each with a state file of its own, puts checkpoints into the stream, and takes one for committed when the sink, which has made
durable what came before, prints `@ID` (psa-spool(1) is such a feeder). At random moments a random process is killed with
SIGKILL, or all of them at once, or the feeder dies within a line. When all is down the whole pipeline starts again at the last
committed checkpoint. What the sink has kept, lines that came twice removed, must be the bytes of a run without checkpoints and
without crashes, and no process may end otherwise than by the end of its input, SIGPIPE or the kill.

spool: the same, but psa-spool is the feeder, and starts the pipeline again; it is killed itself as well.

terms: a stage, or a fused chain, gets SIGTERM somewhere in a recording; it is resumed from its --state behind the records that
its statistics say it has handled; all that it has written together must be the bytes of the uncut run.

The seed chooses whom to kill and when; the instants depend on the machine as well. Counts are printed as comments.
"""
import argparse
import array
import collections
import fcntl
import json
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import termios
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
from psatest import BIN, check, fail, psa  # noqa: E402

SINK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "durable_sink.py")
T0 = 1710000000000000000
STUCK_S = 30  # a pipeline that moves nothing for so long hangs
MODEL, MODELS, HISTORY, GROUPS, LAGS = "MODEL", "MODELS", "HISTORY", "GROUPS", "LAGS"  # in a detector's options these stand for files
GROUPS_TEXT = """first --ecod --warmup 15 accel_gyro/press-01:accel_x_rms,accel_y_rms accel_gyro/press-02:accel_x_rms
second --ewma --warmup 10 --hold 1s accel_gyro/press-03:accel_z_std accel_gyro/press-04:accel_z_std
"""
# Few fields: dynamic PCA learns from five and a half rows a stacked column at least.
LAGS_TEXT = "".join("press-%d --dynamic-pca --lags 2,3 --warmup 40 --reference 40 --refit 10 --guard 5 accel_gyro/press-0%d:accel_x_rms,accel_z_std\n"
                    % (i, i) for i in (1, 2, 3, 4))

# name: (psa-train's arguments, or None, psa-score's options). A new detector is a line here.
DETECTORS = {
    "ecod": (None, ["--ecod", "--warmup", "20"]),
    "ecod-horizon": (None, ["--ecod", "--warmup", "20", "--horizon", "50", "--rest", "5"]),
    "ecod-freeze": (None, ["--ecod", "--warmup", "40", "--freeze", "--false-alarms", "1/10s"]),
    "dynamic-pca": (None, ["--groups", LAGS]),
    "ewma": (None, ["--ewma", "--warmup", "20"]),
    "cusum": (None, ["--cusum", "--warmup", "20", "--on", "6", "--off", "2"]),
    "half-space-trees": (None, ["--half-space-trees", "--warmup", "20", "--trees", "5", "--depth", "4", "--samples", "16"]),
    "conformal": (None, ["--conformal", "--warmup", "30", "--shingle", "8", "--horizon", "200", "--on", "3", "--off", "2"]),
    "model-isolation-forest": (["isolation-forest", "--trees", "20"], ["--model", MODEL, "--rest", "3"]),
    "model-ecod": (["ecod", "--samples", "200"], ["--model", MODEL]),
    "model-pca": (["pca"], ["--model", MODEL]),
    "model-mahalanobis": (["mahalanobis"], ["--model", MODEL]),
    "model-dynamic-pca": (["dynamic-pca", "--lags", "2,3"], ["--model", MODEL]),
    "model-dynamic-pca-adapt": (["dynamic-pca", "--lags", "2,3"],
                                ["--model", MODEL, "--adapt", "--reference", "60", "--refit", "10", "--guard", "5"]),
    "models-by-key": (["isolation-forest", "--trees", "5"], ["--models", MODELS, "--rest", "2"]),
    "running": (None, ["--ecod", "--warmup", "10", "--running", ".fields.accel_x_rms > 0.02", "--settle", "300ms"]),
    "history": (None, ["--ecod", "--warmup", "20", "--history", HISTORY]),
    "groups": (None, ["--groups", GROUPS]),
}

FILTER = ["psa-filter", "--lowpass", "10Hz", "--order", "2"]
WINDOW = ["psa-window", "--length", "500ms", "--stride", "100ms", "--max-gap", "3s"]
FEATURES = ["psa-features", "--features", "rms,mean,std"]
ALERT = ["psa-alert", "--cooldown", "200ms", "--raise", "2/3", "--silent", "2s"]

# What stands before and behind psa-score. Without psa-alert every score must be right, not only those that alert.
PIPELINES = [
    ([FILTER, WINDOW, FEATURES], []),
    ([FILTER, WINDOW, FEATURES], [ALERT]),
    ([["psa-filter", "--fill", "linear", "--median", "3", "--centred"], [*FEATURES, "--length", "500ms", "--stride", "100ms"]], []),
]


# ---- the recording -------------------------------------------------------------------------------------------------------

def recording(seconds, seed):
    """psa-sim's press shop, with nulls, late records, heartbeats, status records and lines that are none put in."""
    lines = []
    for i, line in enumerate(psa("psa-sim", "--seed", str(seed), "--duration", "%ds" % seconds).splitlines(True)):
        if i % 41 == 7:
            line = line.replace(b'"accel_y":', b'"none":null,"accel_y":', 1)
        lines.append(line)
        if i % 97 == 0:
            lines.append(b'{"psa":{"heartbeat":%d}}\n' % (T0 + i * 1000000))
        if i % 307 == 0:
            lines.append(b'{"sensor_type":"status","sensor_id":"press-0%d","of":"accel_gyro","fields":{"up":%d},"fault":"absent",'
                         b'"timestamp_ns":%d}\n' % (i // 307 % 3, i // 307 % 2, T0 + i * 2000000))
        if i % 733 == 0:
            lines.append(b"not a record\n")
        if i % 211 == 203:
            lines.append(lines[-20])
    return lines


def good_day():
    """Another day: what --history has seen must be older than the stream."""
    return psa("psa-sim", "--no-faults", "--seed", "9", "--duration", "20s", "--start", str(T0 - 100 * 1000000000))


class Bench:
    """A folder, recordings in it, and models trained when first asked for."""

    def __init__(self, folder, seconds):
        self.folder = folder
        self.lines = recording(seconds, 1)
        self.groups, self.lags = os.path.join(folder, "groups"), os.path.join(folder, "lags")
        for path, text in ((self.groups, GROUPS_TEXT), (self.lags, LAGS_TEXT)):
            with open(path, "w", encoding="ascii") as out:
                out.write(text)

    def history(self, before):
        """What these stages make of a good day."""
        path = os.path.join(self.folder, "history-%d" % PIPELINES.index(next(p for p in PIPELINES if p[0] is before)))
        if not os.path.exists(path):
            rows = in_series(before, good_day()).splitlines(True)
            with open(path, "wb") as out:
                out.writelines(row for row in rows if b"accel_gyro" in row and b"null" not in row)
        return path

    def model(self, detector, before):
        rows, train = self.history(before), DETECTORS[detector][0]
        path = "%s-%s" % (rows, detector)
        if not os.path.exists(path):
            psa("psa-train", *train, "-o", path, rows)
        return path

    def models(self, detector, before):
        """A folder for --models: one model, for the accelerometers."""
        model = self.model(detector, before)
        os.makedirs(model + "-folder", exist_ok=True)
        if not os.path.exists(model + "-folder/accel_gyro.json"):
            os.symlink(model, model + "-folder/accel_gyro.json")
        return model + "-folder"

    def scorer(self, detector, before):
        """psa-score with this detector behind these stages."""
        files = {MODEL: lambda: self.model(detector, before), MODELS: lambda: self.models(detector, before),
                 HISTORY: lambda: self.history(before), GROUPS: lambda: self.groups,
                 LAGS: lambda: self.lags}
        return ["psa-score", *[files[word]() if word in files else word for word in DETECTORS[detector][1]]]

    def pipeline(self, detector, number):
        before, behind = PIPELINES[number % len(PIPELINES)]
        return [*before, self.scorer(detector, before), *behind]


def in_series(stages, data):
    for stage in stages:
        data = psa(*stage, data=data)
    return data


def keeps_state(stage):
    if stage[0] == "psa-features":
        return "--length" in stage or "--rolling" in stage
    return True


def with_states(stages, folder):
    return [s + ["--state", os.path.join(folder, "state-%d" % i)] if keeps_state(s) else s for i, s in enumerate(stages)]


def words(stages):
    return " | ".join(" ".join("'%s'" % w for w in s) for s in stages)


# ---- one life of a pipeline ----------------------------------------------------------------------------------------------

class Pipeline:
    """Processes from a pipe that the feeder writes to the sink; at the end of it what the sink says."""

    def __init__(self, stages, layout, folder):
        self.log = open(os.path.join(folder, "said"), "ab")
        commands = [["psa-run", words(stages)]] if layout == "fused" else stages
        commands = [[os.path.join(BIN, c[0]), *c[1:]] for c in commands] + [[SINK, os.path.join(folder, "kept")]]
        self.process, source = [], subprocess.PIPE
        for command in commands:
            p = subprocess.Popen(command, stdin=source, stdout=subprocess.PIPE, stderr=self.log, bufsize=0)
            if self.process:
                source.close()
            self.process.append(p)
            source = p.stdout
        self.feed, self.said = self.process[0].stdin, source
        os.set_blocking(self.feed.fileno(), False)
        os.set_blocking(self.said.fileno(), False)
        self.killed, self.heard = set(), b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for p in self.process:
            if p.returncode is None:
                p.kill()
                p.wait()

    def kill(self, victims):
        for i in victims:
            self.killed.add(i)
            self.process[i].kill()

    def acks(self):
        """The checkpoints that the sink has called durable since the last call; None at its end."""
        try:
            block = os.read(self.said.fileno(), 65536)
        except BlockingIOError:
            return []
        if not block:
            return None
        *lines, self.heard = (self.heard + block).split(b"\n")
        check(all(l[:1] == b"@" and l[1:].isdigit() for l in lines), "the sink said %r" % lines)
        return [int(l[1:]) for l in lines]

    def end(self):
        """No more input; wait until all are down. The acknowledgements that still came."""
        acked = []
        if not self.feed.closed:
            self.feed.close()
        while True:
            check(select.select([self.said], [], [], STUCK_S)[0], "the pipeline does not end")
            more = self.acks()
            if more is None:
                break
            acked += more
        self.said.close()
        for i, p in enumerate(self.process):
            status = p.wait(STUCK_S)
            allowed = {0} | ({-signal.SIGPIPE} if self.killed else set()) | ({-signal.SIGKILL} if i in self.killed else set())
            if p is self.process[-1] and self.killed:
                allowed.add(1)  # the sink is a script: a pipe that closed while it acknowledged is an exception to it
            if status not in allowed:
                fail("%s ended with %d:\n%s" % (" ".join(p.args), status, tail(self.log.name)))
        self.log.close()
        return acked


def tail(path):
    with open(path, "rb") as f:
        return f.read()[-1500:].decode(errors="replace")


# ---- when to kill --------------------------------------------------------------------------------------------------------

class Plan:
    """One kill: who, and at which moment. The moments: somewhere in the records, while a state is being written, between a
    checkpoint and its acknowledgement, right behind an acknowledgement, or at once, before anything was handled."""

    MOMENTS = ("records", "records", "saving", "saving", "waiting", "waiting", "committed", "start", "start")

    def __init__(self, chance, n_process, lines_left, folder):
        self.stale = unfinished(folder)
        self.moment = chance.choice(self.MOMENTS)
        self.after = chance.randrange(max(1, min(lines_left, 1500)))
        self.spin_s = chance.random() ** 3 * 0.004
        self.mute = chance.choice((False, True))  # the feeder stops writing while it waits for the moment
        who = chance.randrange(n_process + 2)
        self.victims = {n_process: range(n_process), n_process + 1: ()}.get(who, (who,))  # (): the feeder itself
        self.later = chance.choice((None, chance.randrange(n_process)))  # one more, while the others save and end
        self.later_s = chance.random() ** 3 * 0.004
        self.due_s = None

    def has_come(self, fed, outstanding, committed_now, folder):
        """Called all the time; spin_s after the moment was first seen it has come."""
        if self.due_s is None:
            seen = {"records": fed >= self.after, "start": True, "waiting": fed >= self.after and outstanding is not None,
                    "committed": fed >= self.after and committed_now,
                    "saving": fed >= self.after and outstanding is not None and bool(unfinished(folder) - self.stale)}[self.moment]
            if not seen:
                return False
            self.due_s = time.monotonic() + (0 if self.moment == "saving" else self.spin_s)
        return time.monotonic() >= self.due_s


def unfinished(folder):
    """States of which only a part is written."""
    return {name for name in os.listdir(folder) if name.endswith(".tmp")}


# ---- the feeder ----------------------------------------------------------------------------------------------------------

class Feeder:
    """Feeds a recording through lives of a pipeline until its last checkpoint is committed."""

    def __init__(self, lines, stages, layout, folder, chance):
        self.lines, self.layout, self.folder, self.chance = lines, layout, folder, chance
        self.stages = with_states(stages, folder)
        self.committed = None  # the last ID that the sink has called durable: the number of lines before it
        self.counts = collections.Counter()

    def live(self, kill):
        """One life. True: it came to the end of the recording and has committed it."""
        layout = self.chance.choice(("piped", "fused")) if self.layout == "mixed" else self.layout
        with Pipeline(self.stages, layout, self.folder) as p:
            return self.one_life(p, kill)

    def one_life(self, p, kill):
        plan = Plan(self.chance, len(p.process), len(self.lines) - (self.committed or 0), self.folder) if kill else None
        killed = self.drive(p, plan)
        for ack in p.end():
            self.commit(ack)
        if killed:
            self.counts["kills"] += 1
            self.counts["a kill while a state was written"] += bool(unfinished(self.folder) - plan.stale)
            self.counts["a kill that left stages at different checkpoints"] += self.stages_differ()
        return not killed

    def commit(self, ident):
        check(self.committed is None or ident >= self.committed, "@%d behind @%s" % (ident, self.committed))
        self.committed = ident
        self.counts["checkpoints"] += 1

    def kept(self):
        """The checkpoints that each stage has on disk."""
        kept = collections.defaultdict(set)
        for name in os.listdir(self.folder):
            stage, _, ident = name.partition(".")
            if stage.startswith("state-") and ident.isdigit():
                kept[stage].add(int(ident))
        return kept

    def stages_differ(self):
        return len({max(ids) for ids in self.kept().values()}) > 1

    def drive(self, p, plan):
        """Feed until the plan's moment (True) or until all is committed (False)."""
        at, fed, outstanding, next_mark = self.committed or 0, 0, None, 0
        if self.committed is None:
            pending, outstanding = checkpoint(0), 0
        else:
            pending, next_mark = b'{"psa":{"restore":"%d"}}\n' % self.committed, at + self.gap()
        moved_s = time.monotonic()
        while True:
            committed_now = False
            acked = p.acks()
            check(acked is not None, "the pipeline ended by itself:\n%s" % tail(p.log.name))
            for ack in acked:
                check(ack == outstanding, "@%d, but %s was asked for" % (ack, outstanding))
                self.commit(ack)
                outstanding, committed_now, next_mark = None, True, at + self.gap()
            if plan and plan.has_come(fed, outstanding, committed_now, self.folder):
                self.strike(p, plan, pending)
                return True
            if self.committed == len(self.lines):
                return False
            # The next checkpoint goes only behind the acknowledgement of the last; records need not wait, except for the first.
            if not pending and self.committed is not None and at < len(self.lines):
                upto = min(at + self.chance.randint(1, 40), len(self.lines))
                pending, fed, at = b"".join(self.lines[at:upto]), fed + upto - at, upto
            if outstanding is None and at >= min(next_mark, len(self.lines)):
                pending, outstanding = pending + checkpoint(at), at
            wrote = self.write(p, pending) if pending and not (plan and plan.due_s and plan.mute) else 0
            pending = pending[wrote:]
            now_s = time.monotonic()
            if wrote or acked:
                moved_s = now_s
            elif not (plan and plan.due_s):
                check(now_s - moved_s < STUCK_S, "the pipeline is stuck:\n%s" % tail(p.log.name))
                if not plan:
                    select.select([p.said], [p.feed] if pending else [], [], 1)

    def write(self, p, pending):
        try:
            return os.write(p.feed.fileno(), pending)
        except (BlockingIOError, BrokenPipeError):  # a pipeline that has ended by itself is noticed where it is read
            return 0

    def strike(self, p, plan, pending):
        if not plan.victims and pending:  # the feeder dies within a line
            self.write(p, pending[:self.chance.randint(1, len(pending))])
        p.kill(plan.victims)
        p.killed.add(None)  # and those that outlive it may find a reader gone
        if plan.later is not None:
            p.feed.close()
            spin(plan.later_s)
            p.kill((plan.later,))

    def gap(self):
        return self.chance.choice((1, 7, 60, 200, 500))


def spin(seconds):
    """Not a wait for something: a fault's random instant."""
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        pass


def checkpoint(ident):
    return b'{"psa":{"checkpoint":"%d"}}\n' % ident


# ---- the proofs ----------------------------------------------------------------------------------------------------------

def once_each(text):
    """The lines, each where it came first."""
    return b"".join(dict.fromkeys(text.splitlines(True)))


def read(path):
    try:
        with open(path, "rb") as f:
            return f.read()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def compare(got, want, what):
    if got == want:
        return
    for i, (g, w) in enumerate(zip(got.splitlines(), want.splitlines())):
        check(g == w, "%s: line %d\n  %r\n  not %r" % (what, i + 1, g[:700], w[:700]))
    fail("%s: %d lines, not %d" % (what, got.count(b"\n"), want.count(b"\n")))


def check_enough(text, stages):
    scored = text.count(b'"state":"scoring"')
    check(text.count(b"\n") > 12 and scored > (100 if stages[-1][0] == "psa-score" else -1),
          "too little output: %d lines, %d of them with a score: %s" % (text.count(b"\n"), scored, words(stages)))


def uncut(bench, stages, folder):
    """What the pipeline says, each stage by itself, of the whole recording in one piece; no sink keeps its control lines."""
    os.makedirs(folder)
    text = in_series(with_states(stages, folder), b"".join(bench.lines))
    text = b"".join(l for l in text.splitlines(True) if not l.startswith(b'{"psa":'))
    check_enough(text, stages)
    check(once_each(text) == text, "two lines of the output are the same; the comparison would be blind: " + words(stages))
    return text


def kills(bench, detector, layout, times, chance):
    """So many kills of pipelines with this detector; runs over the recording, each to its end, until there were enough."""
    counts, wanted, run = collections.Counter(), {}, 0
    while counts["kills"] < times:
        stages = bench.pipeline(detector, run)
        name = os.path.join(bench.folder, "%s-%s-%d" % (detector, layout, run))
        if run % len(PIPELINES) not in wanted:
            wanted[run % len(PIPELINES)] = uncut(bench, stages, name + "-uncut")
        os.makedirs(name)
        feeder = Feeder(bench.lines, stages, layout, name, chance)
        left = min(times - counts["kills"], max(3, times // len(PIPELINES)))
        while not feeder.live(left > feeder.counts["kills"]):
            pass
        kept = read(os.path.join(name, "kept"))
        compare(once_each(kept), wanted[run % len(PIPELINES)], "%s, %s: %s" % (detector, layout, words(stages)))
        check(not unfinished(name), "parts of states are left over: %s" % sorted(unfinished(name)))
        check(all(len(ids) <= 2 for ids in feeder.kept().values()), "more than two checkpoints are kept: %s" % dict(feeder.kept()))
        counts.update(feeder.counts)
        counts["lines that came again"] += kept.count(b"\n") - once_each(kept).count(b"\n")
        counts["runs"] += 1
        run += 1
    print("# %s, %s: %s" % (detector, layout, ", ".join("%d %s" % (n, what) for what, n in sorted(counts.items()))))
    return counts


def group_of(leader):
    """The processes of a process group, by /proc."""
    members = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            fields = read("/proc/%s/stat" % entry).rpartition(b")")[2].split()
            if len(fields) > 2 and int(fields[2]) == leader and fields[0] != b"Z":
                members.append(int(entry))
    return members


def sink_of(drain):
    """The process that psa-spool has started, leader of its own group; None: there is none just now."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            fields = read("/proc/%s/stat" % entry).rpartition(b")")[2].split()
            if len(fields) > 2 and int(fields[1]) == drain and int(fields[2]) == int(entry):
                return int(entry)
    return None


def spool(bench, detector, _, times, chance):
    """psa-spool drain is the feeder: it is killed too, and when it is not, it starts the pipeline again by itself."""
    counts, run = collections.Counter(), 0
    while counts["kills"] < times:
        stages, folder = bench.pipeline(detector, run), os.path.join(bench.folder, "%s-spool-%d" % (detector, run))
        want = uncut(bench, stages, folder + "-uncut")
        os.makedirs(folder)
        queue, kept = os.path.join(folder, "queue"), os.path.join(folder, "kept")
        psa("psa-spool", "append", "-d", queue, "--sync", "none", data=b"".join(bench.lines))
        programs = [[os.path.join(BIN, c[0]), *c[1:]] for c in with_states(stages, folder)] + [[SINK, kept]]
        argv = [os.path.join(BIN, "psa-spool"), "drain", "-d", queue, "--checkpoint", "150", "--stall", "1s", "--retry-max", "300ms",
                "--linger", "60s", "--cursor-every", "50ms", "--", "/bin/sh", "-c", words(programs)]
        upto = counts["kills"] + min(8, times - counts["kills"])
        while drain_once(argv, os.path.join(folder, "said"), counts, upto, chance):
            pass
        compare(once_each(read(kept)), want, "%s, psa-spool: %s" % (detector, words(stages)))
        counts["lines that came again"] += read(kept).count(b"\n") - want.count(b"\n")
        run += 1
    counts["runs"] = run
    print("# %s, psa-spool: %s" % (detector, ", ".join("%d %s" % (n, what) for what, n in sorted(counts.items()))))
    return counts


def drain_once(argv, log, counts, upto, chance):
    """One life of psa-spool drain, with kills in its pipelines. True: it was killed itself."""
    with open(log, "ab") as err:
        p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=err, stderr=err)
    last, until_s = None, time.monotonic() + 4 * STUCK_S
    while p.poll() is None:
        check(time.monotonic() < until_s, "psa-spool does not end:\n%s" % tail(log))
        leader = sink_of(p.pid)
        if counts["kills"] >= upto or leader in (None, last):
            select.select([], [], [], 0.002)
            continue
        spin(chance.random() ** 2 * 0.03)
        victim, last = chance.choice([*group_of(leader), p.pid, p.pid]), leader
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            continue  # it has just ended by itself
        counts["kills"] += 1
        counts["kills of psa-spool itself"] += victim == p.pid
        if victim == p.pid:
            p.wait()
            while group_of(leader):  # the end of its input ends the pipeline
                select.select([], [], [], 0.002)
            return True
    check(p.returncode == 0, "psa-spool ended with %d:\n%s" % (p.returncode, tail(log)))
    return False


def handled(err):
    """How many lines the first stage of a command has handled, by its statistics."""
    stats = json.loads(next(l for l in err.splitlines() if l.startswith(b'{"psa_stats"')))
    return stats["in"] + stats["control"]


def term_once(argv, data, part, plan):
    """Run on data through a pipe. With a plan, (bytes, seconds), SIGTERM so long after it has begun on so many bytes. Its output,
    and the lines it has handled."""
    with open(os.path.join(part, "out"), "wb") as out, open(os.path.join(part, "err"), "wb") as err:
        p = subprocess.Popen([os.path.join(BIN, argv[0]), *argv[1:]], stdin=subprocess.PIPE, stdout=out, stderr=err, bufsize=0)
    upto = plan[0] if plan else len(data)
    at = p.stdin.write(data[:min(upto, 65536)])
    while plan and unread(p.stdin) == at:  # before it reads it may have no handler yet
        check(p.poll() is None, "%s ended" % argv[0])
    until_s = time.monotonic() + (plan[1] if plan else STUCK_S)
    os.set_blocking(p.stdin.fileno(), False)
    while at < upto and time.monotonic() < until_s:
        try:
            at += os.write(p.stdin.fileno(), data[at:upto])
        except BlockingIOError:
            pass
    if plan:
        spin(until_s - time.monotonic())
        p.terminate()
        p.wait(STUCK_S)  # before the end of the input is there to be seen
    p.stdin.close()
    status = p.wait(STUCK_S)
    err = read(os.path.join(part, "err"))
    check(status == 0, "%s: status %d: %s" % (" ".join(argv), status, err.decode(errors="replace")[-1500:]))
    return read(os.path.join(part, "out")), handled(err)


def unread(pipe):
    n = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, n)
    return n[0]


def terms(bench, detector, _, times, chance):
    """SIGTERM so many times, alone and in a fused chain: all that was written together is what the uncut run writes."""
    counts = collections.Counter()
    before = PIPELINES[1][0]
    scorer = bench.scorer(detector, before)
    for stages, data in (([*before, scorer, ALERT], b"".join(bench.lines)), ([scorer], in_series(before, b"".join(bench.lines)))):
        folder = os.path.join(bench.folder, "%s-%d" % (detector, len(stages)))
        counts.update(term_run(stages, data, times // 2 + times % 2, chance, folder))
    print("# %s: %s" % (detector, ", ".join("%d %s" % (n, what) for what, n in sorted(counts.items()))))
    return counts


def term_run(stages, data, times, chance, folder):
    """Runs over the recording, up to six cuts in each, until there were enough."""
    counts, run, lines = collections.Counter(), 0, data.splitlines(True)
    os.makedirs(folder + "-uncut")
    want = in_series(with_states(stages, folder + "-uncut"), data)
    check_enough(want, stages)
    while counts["SIGTERM"] < times:
        part = "%s-%d" % (folder, run)
        os.makedirs(part)
        chain = with_states(stages, part)
        chain[0] = chain[0] + ["--stats"]
        argv = chain[0] if len(chain) == 1 else ["psa-run", words(chain)]
        at, got, cuts = 0, b"", 0
        while at < len(lines):
            rest = b"".join(lines[at:])
            again = cuts < min(6, times - counts["SIGTERM"])
            out, n = term_once(argv, rest, part, (chance.randint(1, len(rest)), chance.random() ** 2 * 0.02) if again else None)
            counts["SIGTERM within the stream"] += again and 0 < n < len(lines) - at
            at, got, cuts = at + n, got + out, cuts + again
            check(again or at == len(lines), "%d of %d lines handled by the end of the input" % (at, len(lines)))
        compare(got, want, "SIGTERM: " + words(stages))
        counts.update({"SIGTERM": cuts, "runs": 1})
        run += 1
    return counts


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("proof", choices=("kills", "spool", "terms"))
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--detectors", default=",".join(DETECTORS))
    parser.add_argument("--layouts", default="piped,fused,mixed")
    parser.add_argument("--seconds", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", default=os.environ.get("BATS_TEST_TMPDIR"))
    args = parser.parse_args()
    began_s, total = time.monotonic(), collections.Counter()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        bench = Bench(folder, args.seconds)
        for detector in args.detectors.split(","):
            for layout in args.layouts.split(",") if args.proof == "kills" else [""]:
                chance = random.Random("%d %s %s" % (args.seed, detector, layout))
                total.update({"kills": kills, "spool": spool, "terms": terms}[args.proof](bench, detector, layout, args.times, chance))
    print("# in all: %s; %.1f s" % (", ".join("%d %s" % (n, what) for what, n in sorted(total.items())), time.monotonic() - began_s))


if __name__ == "__main__":
    main()
