"""What the proofs about psa-spool share: helpers compiled, scenarios run, recovery, and the oracle that judges it.

The oracle: every record that was taken and not finished by the sink is delivered, or stands among the dead letters; in order;
none invented or altered; a fresh record flows afterwards; nothing is wrong with the spool then. Duplicates are counted.

A record is its number n; line(n, size) is its text, so whatever is delivered can be compared with what was put in.
"""
import collections
import hashlib
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
FRESH = 10 ** 9  # the number of the record that has to flow after a recovery
PATIENCE_S = int(os.environ.get("PSA_PATIENCE_S", 30))  # a program that makes no progress for so long hangs
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def line(n, size):
    """A record's text of about that many bytes, without LF."""
    text = b'{"sensor_type":"accel_gyro","sensor_id":"press-07","n":%d,"fields":{"x":%d.25}' % (n, n)
    word = hashlib.sha256(b"%d" % n).hexdigest().encode()
    room = size - len(text) - 10
    return text + (b',"pad":"%s"}' % (word * (room // 64 + 1))[:room] if room > 0 else b"}")


def number_of(text):
    """The n of a line; None: this is no line of ours."""
    found = re.search(rb'"n":(\d+)', text)
    return int(found.group(1)) if found else None


def compile_helpers(folder):
    """The preloaded libraries and the sink, built into a folder: {name: path}."""
    built = {}
    for name in ("recorder", "faulty_io", "acking_sink"):
        built[name] = os.path.join(folder, name)
        command = [os.environ.get("CC", "cc"), "-std=c11", "-D_GNU_SOURCE", "-O1", "-o", built[name], os.path.join(HERE, name + ".c")]
        subprocess.run(command + (["-shared", "-fPIC", "-ldl"] if name != "acking_sink" else []), check=True)
    return built


class Place:
    """A scratch folder in memory: root/ holds the spool, the sink's log stands beside it."""

    def __init__(self):
        self.base = tempfile.mkdtemp(prefix="psa-", dir=MEMORY)
        self.root = os.path.join(self.base, "root")
        self.spool = os.path.join(self.root, "spool")
        self.log = os.path.join(self.base, "sink.log")
        os.mkdir(self.root)

    def __enter__(self):
        return self

    def __exit__(self, *how):
        shutil.rmtree(self.base, ignore_errors=True)

    def clear(self):
        shutil.rmtree(self.root)
        os.mkdir(self.root)
        if os.path.exists(self.log):
            os.remove(self.log)

    def write(self, files):
        """Make the spool these files ({name: bytes}); None: there is no folder."""
        if files is None:
            return
        os.mkdir(self.spool)
        for name, content in files.items():
            with open(os.path.join(self.spool, name), "wb") as f:
                f.write(content)

    def read(self):
        files = {}
        for name in os.listdir(self.spool):
            with open(os.path.join(self.spool, name), "rb") as f:
                files[name] = f.read()
        return files


def runs_of(log):
    """What a sink's log holds: [(pid, [line, ...]), ...]; a refused line begins with `!`."""
    runs = []
    if not os.path.exists(log):
        return runs
    with open(log, "rb") as f:
        for text in f.read().split(b"\n")[:-1]:
            if text.startswith(b"# start "):
                runs.append((int(text.split()[2]), []))
            else:
                runs[-1][1].append(text)
    return runs


class Died(Exception):
    """The program under test ended before its time: by the signal or status it was ordered to, or of itself."""


class Script:
    """Runs psa-spool for a scenario: feeds it, waits for what it says, remembers what was promised."""

    def __init__(self, place, proof, program, size, env):
        self.place, self.proof, self.program, self.sink, self.size = place, proof, program, proof.sink, size
        self.env = dict(os.environ, **env)
        self.fed = {}  # process id -> numbers of the records it was given, in order
        self.promised = set()  # numbers of the records that were said to be taken
        self.statuses, self.errors = [], b""
        self.held = {}

    def start(self, *args, **how):
        return subprocess.Popen([self.program, *args], env=self.env, bufsize=0, stderr=subprocess.PIPE, **how)

    def command(self, *args, want=(0,)):
        """Run to the end, without stdin. Returns stdout."""
        p = self.start(*args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        return self.finish(p, want)[0]

    def finish(self, p, want=(0,)):
        try:
            out, err = p.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            p.kill()
            err = p.communicate()[1]
            raise AssertionError("%r hangs: %r" % (p.args[1:], err[-500:]))
        self.errors += err
        self.statuses.append(p.returncode)
        if p.returncode not in want:
            raise Died("%r: status %d: %s" % (p.args[1:3], p.returncode, err.decode(errors="replace").strip()[-300:]))
        return out, err

    def sink_command(self, *options):
        return ["--", self.sink, self.place.log, *options]

    def say(self, p, numbers):
        """Give a process records on its stdin."""
        self.fed.setdefault(p.pid, []).extend(numbers)
        data = b"".join(line(n, self.size) + b"\n" for n in numbers)
        try:
            while data:
                data = data[p.stdin.write(data):]
        except BrokenPipeError:
            self.finish(p, ())

    def lines_from(self, p, stream):
        """The complete lines that come next from a process's stdout or stderr; [] at its end."""
        key = (p.pid, stream.fileno())
        while True:
            if not select.select([stream], [], [], PATIENCE_S)[0]:
                p.kill()
                raise AssertionError("%r says nothing for %d s" % (p.args[1:], PATIENCE_S))
            more = os.read(stream.fileno(), 65536)
            *whole, self.held[key] = (self.held.get(key, b"") + more).split(b"\n")
            if whole or not more:
                return whole

    def take(self, p, count):
        self.promised.update(self.fed[p.pid][:count])

    def append(self, groups, *options):
        """psa-spool append --ack: group by group, each when the one before it is taken."""
        p = self.start("append", "-d", self.place.spool, "--ack", *options, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        taken = sent = 0
        for numbers in groups:
            self.say(p, numbers)
            sent += len(numbers)
            while taken < sent:
                lines = self.lines_from(p, p.stdout)
                if not lines:
                    self.finish(p, ())
                for text in lines:
                    if text.isdigit():
                        taken = int(text)
                        self.take(p, taken)
        for text in self.finish(p)[0].split():
            self.take(p, int(text))

    def stream(self, groups, options, sink_options=()):
        """psa-spool -- SINK: group by group, each when SIGUSR1's statistics call the one before it taken."""
        p = self.start("-d", self.place.spool, "--stats", *options, *self.sink_command(*sink_options),
                       stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        taken = sent = 0
        for numbers in groups:
            self.say(p, numbers)
            sent += len(numbers)
            while taken < sent:
                taken = self.ask(p)
                if taken is None:
                    self.finish(p, ())
        self.take(p, taken_in(stats_in(self.finish(p)[1])[-1]))

    def ask(self, p):
        """How many records does psa-spool call taken now? None: it has ended."""
        listens_to(p, signal.SIGUSR1)
        p.send_signal(signal.SIGUSR1)
        while True:
            lines = self.lines_from(p, p.stderr)
            self.errors += b"".join(text + b"\n" for text in lines)
            stats = stats_in(b"\n".join(lines))
            if stats:
                self.take(p, taken_in(stats[-1]))
                return taken_in(stats[-1])
            if not lines:
                return None

    def drain(self, options=(), sink_options=(), want=(0,)):
        return self.command("drain", "-d", self.place.spool, *options, *self.sink_command(*sink_options), want=want)


def taken_in(stats):
    """`passed` are records put in the queue, `untaken` those of them that no sync covers yet."""
    return stats["passed"] - stats["untaken"]


def listens_to(p, number):
    """Wait until a process catches a signal, which would end it otherwise."""
    while p.poll() is None:
        with open("/proc/%d/status" % p.pid) as f:
            caught = [l for l in f if l.startswith("SigCgt:")]
        if caught and int(caught[0].split()[1], 16) >> number - 1 & 1:
            return
        select.select([], [], [], 0.0005)


def stats_in(text):
    return [json.loads(l) for l in text.split(b"\n") if l.startswith(b'{"psa_stats"')]


class Proof:
    """Where the programs and helpers are; prints results as TAP."""

    def __init__(self):
        self.home = Place()
        self.helpers = compile_helpers(self.home.base)
        self.sink = self.helpers["acking_sink"]
        self.program = os.path.abspath(os.path.join(os.environ.get("PSA_BIN", "bin"), "psa-spool"))
        self.faulty = os.path.abspath(os.path.join(os.environ.get("PSA_FAULTY_BIN", "bin/build/faulty/bin"), "psa-spool"))
        self.results, self.failed = 0, False

    def script(self, place, size, program=None, **env):
        return Script(place, self, program or self.program, size, env)

    def recover(self, place, size, way):
        return recover(place, self.program, self.sink, size, way)

    def points_of(self, scenario):
        """The named points that a scenario passes, and how often."""
        with Place() as place:
            size, before, act = SCENARIOS[scenario]
            if before:
                before(self.script(place, size))
            listing = os.path.join(place.base, "points")
            act(self.script(place, size, self.faulty, PSA_FAULT_LIST=listing))
            with open(listing) as f:
                return collections.Counter(f.read().split())

    def result(self, good, what, why=()):
        self.results += 1
        self.failed = self.failed or not good
        print("%sok %d - %s" % ("" if good else "not ", self.results, what))
        for text in why:
            print("#   " + text.replace("\n", "\n#   "))
        sys.stdout.flush()

    def end(self):
        print("1..%d" % self.results)
        sys.exit(self.failed)


# ---- scenarios ----------------------------------------------------------------------------------------------------------
# (size of a record, what is there before, what is done). `before` runs without faults and without being recorded.

def in_groups(numbers, *sizes):
    """Cut a range into groups of these sizes, over and over."""
    numbers, groups = list(numbers), []
    while numbers:
        n = sizes[len(groups) % len(sizes)]
        groups.append(numbers[:n])
        numbers = numbers[n:]
    return groups


SMALL = ("--max-size", "1MiB")  # segments of 128 KiB
EAGER = ("--cursor-every", "1ms", "--in-flight", "4")
BRIEF = ("--retry-max", "10ms")


def fill(s, n=60, sizes=(10,)):
    s.append(in_groups(range(1, n + 1), *sizes), "--sync", "1ms", *SMALL)


def with_dead(s):
    fill(s, 30)
    s.drain(EAGER, ["refuse=5"])


def tear(s):
    """A cut has left half a line at the end of the last segment."""
    fill(s, 20)
    last = sorted(n for n in os.listdir(s.place.spool) if n.endswith(".seg"))[-1]
    with open(os.path.join(s.place.spool, last), "ab") as f:
        f.write(b"21 1710000000123 0123abcd " + line(21, s.size)[:s.size // 2] + bytes(300))


def damage(s):
    """Flash has lost a line in the middle, a stray file lies about, the cursor is gone bad."""
    fill(s, 40)
    s.drain(("--linger", "1ms", *EAGER), ["refuse=7", "end=16"], want=(1,))
    first = sorted(n for n in os.listdir(s.place.spool) if n.endswith(".seg"))[0]
    with open(os.path.join(s.place.spool, first), "r+b") as f:
        f.readlines(12 * s.size)
        at = f.tell()
        s.promised.discard(number_of(f.readline()))  # that one is gone
        f.seek(at + s.size // 2)
        f.write(b"\xff" * 40)
    with open(os.path.join(s.place.spool, "stray"), "wb") as f:
        f.write(b"left alone\n")
    with open(os.path.join(s.place.spool, "cursor"), "wb") as f:
        f.write(b"psa-spool-cursor 1 done=999 nonsense\n")


def tear_and_litter(s):
    tear(s)
    s.drain(("--linger", "1ms", *EAGER), ["end=4"], want=(1,))
    for name in ("cursor.tmp", "repair.tmp"):
        with open(os.path.join(s.place.spool, name), "wb") as f:
            f.write(b"half done")


def after_a_kill(s):
    """One process dies with a segment made and nothing of it synced; the next goes on in it."""
    first = Script(s.place, s.proof, s.proof.faulty, s.size, dict(s.env, PSA_FAULT="segment.write:2:kill-after"))
    try:
        first.append([[1, 2], [3]], "--sync", "1ms", *SMALL)
    except Died:
        pass
    s.promised |= first.promised
    s.fed.update(first.fed)
    s.append(in_groups(range(4, 12), 1, 3), "--sync", "always", *SMALL)


def after_a_torn_write(s):
    """One process dies within a write; the next cannot cut what it left, and must go on in another segment."""
    first = Script(s.place, s.proof, s.proof.faulty, s.size, dict(s.env, PSA_FAULT="segment.write:2:half"))
    try:
        first.append([[1], [2, 3, 4, 5, 6]], "--sync", "1ms", *SMALL)
    except Died:
        pass
    s.promised |= first.promised
    s.fed.update(first.fed)
    s.program = s.proof.faulty
    orders = ["segment.cut:1:EIO", s.env.get("PSA_FAULT", "").replace("segment.sync:*:", "segment.sync:1:")]
    s.env["PSA_FAULT"] = ",".join(o for o in orders if o)
    s.append([[7], [8, 9]], "--sync", "always", *SMALL)


def on_a_bad_disk(s):
    """Syncs fail, and what they should have covered may be gone for good."""
    s.env.setdefault("FAULTY_SYNC", "300")
    s.env.setdefault("FAULTY_SEED", "3")
    s.env["FAULTY_UNDER"] = s.place.root
    s.env["LD_PRELOAD"] = " ".join([s.env.get("LD_PRELOAD", ""), s.proof.helpers["faulty_io"]])
    s.append(in_groups(range(1, 41), 1, 4), "--sync", "1ms", *SMALL)


def recover_and_go_on(s, *numbers):
    s.append([numbers], "--sync", "always", *SMALL)
    s.drain(EAGER)


SCENARIOS = {
    "append always": (300, None, lambda s: s.append(in_groups(range(1, 31), 1, 1, 5), "--sync", "always", *SMALL)),
    "append 5ms, rotating": (9000, None, lambda s: s.append(in_groups(range(1, 46), 3, 1, 6), "--sync", "5ms", *SMALL)),
    "append after a kill": (300, None, after_a_kill),
    "append after a torn write": (300, None, after_a_torn_write),
    "append, syncs fail": (3000, None, on_a_bad_disk),
    "stream": (3000, None, lambda s: s.stream(in_groups(range(1, 81), 1, 7, 16), ("--sync", "2ms", *SMALL, *EAGER))),
    "drain": (9000, fill, lambda s: s.drain(EAGER)),
    "dead letters": (9000, lambda s: fill(s, 40), lambda s: s.drain(EAGER, ["refuse=4"])),
    "retry-dead": (3000, with_dead, lambda s: s.command("retry-dead", "-d", s.place.spool)),
    "recovery, torn": (3000, tear, lambda s: recover_and_go_on(s, 22, 23)),
    "recovery, damaged": (6000, damage, lambda s: recover_and_go_on(s, 41, 42)),
    "repair": (6000, damage, lambda s: s.command("repair", "-d", s.place.spool)),
    "repair, torn": (3000, tear_and_litter, lambda s: s.command("repair", "-d", s.place.spool)),
    "drop-oldest": (30000, None, lambda s: s.append(in_groups(range(1, 61), 3, 9), "--sync", "5ms", "--on-full", "drop-oldest", *SMALL)),
}


# ---- recovery and the oracle --------------------------------------------------------------------------------------------

class Outcome:
    """What recovery made of a spool."""

    def __init__(self):
        self.before = None  # what stat said first
        self.delivered = []  # lines, in the order they came
        self.dead = []  # lines
        self.missing = self.damaged = 0
        self.faults = []  # sentences
        self.trouble = []  # what check had to say before a repair


def run(program, *args, data=b"", want=(0,), faults):
    p = subprocess.Popen([program, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, close_fds=False)
    try:
        out, err = p.communicate(data, timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        p.kill()
        out, err = p.communicate()
        faults.append("%s hangs" % args[0])
    if p.returncode not in want:
        faults.append("%s: status %d: %s" % (args[0], p.returncode, (out[-200:] + err[-400:]).decode(errors="replace").strip()))
    return out, err


def recover(place, program, sink, size, way):
    """Bring the spool back: append a fresh record and drain, or the other way round (way 1), or after repair (way 2)."""
    o, d = Outcome(), ("-d", place.spool)
    if os.path.isdir(place.spool):
        o.before = json.loads(run(program, "stat", *d, faults=o.faults)[0] or b"{}")
        if way == 2:
            run(program, "repair", *d, faults=o.faults)
    else:
        way = 0
    drain = ("drain", *d, "--stats", *BRIEF, "--linger", "5s", "--", sink, place.log)
    if way == 1:
        run(program, *drain, faults=o.faults)
    told, _ = run(program, "append", *d, "--sync", "always", "--ack", data=line(FRESH, size) + b"\n", faults=o.faults)
    if told.split()[-1:] != [b"1"]:
        o.faults.append("the fresh record was not taken: %r" % told)
    stats = stats_in(run(program, *drain, faults=o.faults)[1])
    o.missing, o.damaged = (stats[-1]["missing"], stats[-1]["damaged"]) if stats else (0, 0)
    for _, lines in runs_of(place.log):
        o.delivered += lines
    if os.path.exists(os.path.join(place.spool, "dead")):
        o.dead = dead_lines(run(program, "dump", *d, "--dead", faults=o.faults)[0])
    run(program, "check", *d, faults=o.trouble)
    if o.trouble:  # damage that was found stays in its segment until that is finished or repaired
        run(program, "repair", *d, faults=o.faults)
        run(program, "check", *d, faults=o.faults)
    return o


def dead_lines(dump):
    return dump.split(b"\n")[:-1]


def altered(lines, size):
    """Lines that never were put in."""
    return [text[:120] for text in lines if number_of(text) is None or text != line(number_of(text), size)]


def judge(o, size, required, acked, dropped=frozenset(), may_be_damaged=False):
    """Sentences that say what is wrong; and how many records came although they were finished."""
    wrong = list(o.faults)
    for text in altered(o.delivered, size)[:1]:
        wrong.append("delivered, but never put in: %r" % text)
    for text in altered(o.dead, size)[:1]:
        wrong.append("a dead letter that never was put in: %r" % text)
    numbers = [number_of(text) for text in o.delivered]
    if any(a is None or b is None or a >= b for a, b in zip(numbers, numbers[1:])):
        wrong.append("out of order: %s" % numbers)
    if numbers[-1:] != [FRESH]:
        wrong.append("the fresh record did not come last: %s" % numbers[-3:])
    lost = sorted(required - dropped - set(numbers) - {number_of(text) for text in o.dead})
    if lost:
        wrong.append("%d lost: %s" % (len(lost), lost[:10]))
    if not may_be_damaged:
        if o.before and o.before.get("cursor") == "damaged":
            wrong.append("the cursor is damaged")
        wrong += o.trouble
        if o.damaged:
            wrong.append("%d damaged stretches" % o.damaged)
        if o.missing > len(dropped):
            wrong.append("%d called missing" % o.missing)
    return wrong, len(acked & set(numbers))
