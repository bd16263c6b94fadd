"""Power cuts: recovery on every state of the folder that a cut allows, at every point of what psa-spool does.

A preloaded recorder (recorder.c) writes down each operation of a scenario. After each of them the power may go. What is
left is, of the content of every file, what a finished sync covered, and of the rest nothing, all, a part up to some byte, a size
without the bytes, or later pages without earlier ones; and of the names (create, rename, unlink) what a finished sync of
the folder covered, and of the rest any part that keeps the order of what is done to one name. A file's sync does not cover its name.
(What file systems do: Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014.)

    power_cut.py SCENARIO|all [--states N]   recover from each state, at most N a scenario
    power_cut.py skips [--states N]          leave out one sync after the other: each must make the oracle fail
    power_cut.py twice [--states N]          a second cut, during the recovery from a first
    power_cut.py toy                         the enumerator against a writer of five lines, with and without its syncs

Prints TAP. PSA_BIN holds psa-spool, PSA_FAULTY_BIN one built with -DPSA_FAULT_POINTS. Every choice has a fixed seed.
"""
import argparse
import collections
import concurrent.futures
import hashlib
import itertools
import os
import random
import struct
import subprocess
import sys

import spool_oracle as oracle
from spool_oracle import Died, Place, Proof

ENTRY = struct.Struct("=IIIIQqq")
PAGE = 4096
MORE = 10 ** 6  # numbers of records that come after a first cut
FIRST_STATES = 800
Entry = collections.namedtuple("Entry", "kind process text more inode at result")


def entries_of(log):
    with open(log, "rb") as f:
        data = f.read()
    at = 0
    while at < len(data):
        kind, process, n, m, inode, where, result = ENTRY.unpack_from(data, at)
        at += ENTRY.size
        yield Entry(chr(kind), process, data[at:at + n], data[at + n:at + n + m], inode, where, result)
        at += n + m


# ---- what a file may be after a cut --------------------------------------------------------------------------------------

class File:
    """`safe` is what a finished sync covers; `pending` what has happened since: (when, kind, at, data)."""

    def __init__(self, safe=b""):
        self.safe, self.pending, self.known, self.doomed = safe, [], {}, set()

    def sync(self, began):
        """A finished sync covers what had happened when it began."""
        covered = [p for p in self.pending if p[0] < began and p[0] not in self.doomed]
        self.safe = applied(self.safe, covered)
        self.pending = [p for p in self.pending if p not in covered]
        self.known = {}

    def failed(self, began):
        """A sync failed: what it should have covered is clean to the kernel, and no later sync covers it."""
        self.doomed.update(p[0] for p in self.pending if p[0] < began)

    def states(self):
        """[(name, has a hole, content)]: first nothing of what is pending, then all, then the parts."""
        key = len(self.pending)
        if key not in self.known:
            self.known = {key: list(self.parts())}
        return self.known[key]

    def parts(self):
        yield "nothing", False, self.safe
        if not self.pending:
            return
        full = applied(self.safe, self.pending)
        yield "all", False, full
        rng = random.Random("%d %d" % (len(self.safe), len(full)))
        for n in sorted(rng.sample(range(1, len(self.pending)), min(4, len(self.pending) - 1))):
            yield "%d of %d operations" % (n, len(self.pending)), False, applied(self.safe, self.pending[:n])
        if self.doomed:
            for one in self.pending:
                yield "all but operation %d" % one[0], True, applied(self.safe, [p for p in self.pending if p is not one])
            return
        start = min([at for _, kind, at, _ in self.pending if kind != "A"] + [len(full)])
        if start < len(full):
            yield from self.cuts(full, start, rng)
        if start < len(self.safe) and self.safe[start:] != full[start:len(self.safe)]:
            yield "new size, old bytes", True, self.safe[:len(full)].ljust(len(full), b"\0")

    def cuts(self, full, start, rng):
        places = {start + 1, len(full) - 1, *(rng.randrange(start, len(full)) for _ in range(3))}
        lf = full.find(b"\n", start)
        places.update(p for p in (lf, lf + 1) if start < p < len(full))
        for at in sorted(places):
            yield "%d of %d bytes" % (at - start, len(full) - start), False, full[:at]
        yield "a size without bytes", False, full[:start].ljust(len(full), b"\0")
        at = rng.randrange(start, len(full))
        yield "%d bytes, then a size" % (at - start), False, full[:at].ljust(len(full), b"\0")
        pages = range(start // PAGE, (len(full) - 1) // PAGE)  # all but the last
        for page in {*pages[:1], *(rng.sample(pages, 1) if pages else [])}:
            a, b = max(start, page * PAGE), (page + 1) * PAGE
            yield "page %d is missing" % page, True, full[:a] + bytes(b - a) + full[b:]


def applied(content, operations):
    content = bytearray(content)
    for _, kind, at, data in operations:
        if kind == "T":
            del content[at:]
        if kind in "TA" and len(content) < at or kind == "W" and len(content) < at:
            content.extend(bytes(at - len(content)))
        if kind == "W":
            content[at:at + len(data)] = data
    return bytes(content)


# ---- what a folder may be --------------------------------------------------------------------------------------------

def parts_in_order(operations, rng, limit):
    """Parts of a row of operations on names that a folder may show: with each one all before it that touch a name of its."""
    n = len(operations)
    need = [{i for i in range(j) if operations[i][1] & operations[j][1]} for j in range(n)]

    def closed(part):
        part = set(part)
        for j in reversed(range(n)):
            if j in part:
                part |= need[j]
        return tuple(sorted(part))

    if 2 ** n <= limit:
        return sorted({closed(p) for k in range(n + 1) for p in itertools.combinations(range(n), k)})
    found = {(), tuple(range(n))}
    for j in range(n):
        found.add(closed({j}))
        found.add(tuple(i for i in range(n) if i != j and j not in {*need[i]} | {k for m in need[i] for k in need[m]}))
    while len(found) < limit:
        found.add(closed(i for i in range(n) if rng.random() < 0.5))
        limit -= 1  # some come twice
    return sorted(closed(p) for p in found)


class World:
    """A folder while a log is played to it."""

    def __init__(self, folder):
        self.path, self.there, self.folder_safe = folder.encode(), os.path.isdir(folder), os.path.isdir(folder)
        self.inode = self.root_inode = None
        self.files, self.names, self.pending, self.began = {}, {}, [], {}
        self.made_at, self.shown = None, {}
        for name in [n for n in os.listdir(folder) if not n.endswith(".lock")] if self.there else []:
            with open(os.path.join(folder, name), "rb") as f:
                inode = os.fstat(f.fileno()).st_ino
                self.files[inode] = File(f.read())
                self.names[name.encode()] = self.files[inode]

    def name_of(self, path):
        """A name in the folder that counts: locks never do."""
        folder, _, name = path.rpartition(b"/")
        return name if folder == self.path and not name.endswith(b".lock") else None

    def apply(self, when, e):
        name = self.name_of(e.text) if e.kind in "CMORU" else None
        if e.kind in "OM" and e.text == self.path:
            self.inode, self.there = e.inode, True
            self.made_at = when if e.kind == "M" else self.made_at
        elif e.kind == "O" and e.text == os.path.dirname(self.path):
            self.root_inode = e.inode
        elif e.kind == "C" and name:
            self.files[e.inode] = File()
            self.pending.append((when, {name}, "C", name, self.files[e.inode]))
        elif e.kind == "U" and name:
            self.pending.append((when, {name}, "U", name, None))
        elif e.kind == "R" and name:
            to = self.name_of(e.more)
            self.pending.append((when, {name, to}, "R", name, to))
        elif e.kind in "WTA" and e.inode in self.files:
            self.files[e.inode].pending.append((when, e.kind, e.at, e.text))
        elif e.kind == "(":
            self.began[e.process, e.at] = when
        elif e.kind == ")" and e.result == 0:
            self.synced(e.inode, self.began[e.process, e.at])
        elif e.kind == ")" and e.inode in self.files:
            self.files[e.inode].failed(self.began[e.process, e.at])

    def synced(self, inode, began):
        if inode == self.inode:
            self.names = self.shows([p for p in self.pending if p[0] < began])
            self.pending = [p for p in self.pending if p[0] >= began]
        elif inode == self.root_inode:
            self.folder_safe = self.folder_safe or self.made_at is not None and self.made_at < began
        elif inode in self.files:
            self.files[inode].sync(began)

    def shows(self, operations):
        names = dict(self.names)
        for _, _, kind, name, other in operations:
            if kind == "C":
                names[name] = other
            elif kind == "U":
                names.pop(name, None)
            else:
                names[other] = names.pop(name)
        return names

    def states(self, rng, limit=48):
        """[(name, has a hole, {file name: content} or None)], at most about limit squared, some twice."""
        if not self.there:
            return
        if not self.folder_safe:
            yield "no folder", False, None
        for part in parts_in_order(self.pending, rng, limit):
            names = self.shows([self.pending[i] for i in part])
            said = "%d of %d names" % (len(part), len(self.pending)) if self.pending else "names"
            loose = sorted(name for name, file in names.items() if file.pending and name != b"reserve")
            choices = [names[name].states() for name in loose]
            for chosen in some_of(choices, rng, limit):
                content = {name.decode(): file.safe for name, file in names.items()}
                content.update((name.decode(), c[2]) for name, c in zip(loose, chosen))
                words = ["%s: %s" % (name.decode()[-12:], c[0]) for name, c in zip(loose, chosen)]
                yield "; ".join([said, *words]), any(c[1] for c in chosen), content


def some_of(choices, rng, limit):
    """All combinations when there are few; else nothing, all, each alone otherwise, and a sample."""
    count = 1
    for c in choices:
        count *= len(c)
    if count <= limit:
        return list(itertools.product(*choices))
    found = [tuple(c[0] for c in choices), tuple(c[min(1, len(c) - 1)] for c in choices)]
    for i, c in enumerate(choices):
        for one in c:
            for others in (0, 1):
                found.append(tuple(one if j == i else d[min(others, len(d) - 1)] for j, d in enumerate(choices)))
    return found + [tuple(rng.choice(c) for c in choices) for _ in range(limit // 2)]


# ---- what had been promised ----------------------------------------------------------------------------------------------

class Promises:
    """Follows in the log what was told to the world: records taken, records finished, records dropped by policy."""

    def __init__(self, script, start):
        self.fed, self.required = script.fed, set(start)
        self.sinks = {pid: [oracle.number_of(text) for text in lines] for pid, lines in oracle.runs_of(script.place.log)}
        self.refused = {pid: {oracle.number_of(t) for t in lines if t[:1] == b"!"} for pid, lines in oracle.runs_of(script.place.log)}
        self.acked, self.dropped, self.held = set(), set(), collections.defaultdict(bytes)
        self.segments = set()
        self.settled = False  # a command that only changes the spool has said that it is done

    def apply(self, e):
        if e.kind in "12":
            *lines, self.held[e.process, e.kind] = (self.held[e.process, e.kind] + e.text).split(b"\n")
            for text in lines:
                self.told(e, text)
        name = os.path.basename(e.text).partition(b".seg")[0] if e.text.endswith(b".seg") else b""
        if e.kind == "C" and name.isdigit():
            self.segments.add(int(name))
        if e.kind == "U" and name.isdigit() and e.process in self.fed:
            self.drop(int(name))

    def drop(self, first):
        """The writer removed a segment. In a spool written by one process a record's number is its sequence number."""
        behind = min([s for s in self.segments if s > first], default=first)
        self.segments.discard(first)
        self.dropped.update(range(first, behind))

    def told(self, e, text):
        if e.process in self.sinks and e.kind == "1" and text.isdigit():
            self.acked.update(self.sinks[e.process][:int(text)])
        elif e.process not in self.fed and e.process not in self.sinks:
            self.settled = self.settled or e.kind == "1"
        elif e.process in self.fed and e.kind == "1" and text.isdigit():
            self.required.update(self.fed[e.process][:int(text)])
        elif e.process in self.fed and e.kind == "2" and text.startswith(b'{"psa_stats"'):
            self.required.update(self.fed[e.process][:oracle.taken_in(oracle.stats_in(text)[0])])

    def now(self):
        """What was refused is required until it is seen, delivered or dead."""
        refused = set().union(*self.refused.values())
        acked = frozenset(self.acked - refused)
        return Want(frozenset(self.required) - acked, acked, frozenset(self.dropped), self.settled)


Want = collections.namedtuple("Want", "required acked dropped settled")
State = collections.namedtuple("State", "name hole content wants")


def enumerate_states(entries, world, promises, seed):
    """Every distinct state: {hash: State}, and the number of points and of states before removing twins."""
    found, points, total, rng = {}, 0, 0, random.Random(seed)
    for when, e in enumerate(entries):
        world.apply(when, e)
        promises.apply(e)
        points += 1
        if e.kind == "(":
            continue  # nothing has happened
        want = promises.now()
        for name, hole, content in world.states(rng):
            total += 1
            key = hashlib.blake2b(digest_size=16)
            for file in sorted(content or ()):
                key.update(b"%s %d " % (file.encode(), len(content[file])) + hash_of(content[file]))
            key = key.digest() if content is not None else b"none"
            if key not in found or found[key].hole and not hole:
                wants = found[key].wants if key in found else {}
                found[key] = State("after operation %d (%s %s): %s" % (when, e.kind, about(e), name), hole, content, wants)
            found[key].wants.setdefault(want, when)
    return found, points, total


KNOWN = {}


def hash_of(content):
    key = id(content)
    if KNOWN.get(key, (None,))[0] is not content:
        if len(KNOWN) > 20000:
            KNOWN.clear()
        KNOWN[key] = (content, hashlib.blake2b(content, digest_size=16).digest())
    return KNOWN[key][1]


def about(e):
    return os.path.basename(e.text).decode(errors="replace") if e.kind in "CMORUS" else "%d bytes" % len(e.text)


# ---- running -------------------------------------------------------------------------------------------------------------

class Cuts(Proof):
    def record(self, place, scenario, program, env):
        """Run a scenario under the recorder. Returns its entries, the world at its start, what was promised then and later."""
        size, before, act = oracle.SCENARIOS[scenario]
        script = self.script(place, size)
        if before:
            before(script)
        at_start = Promises(script, script.promised)
        for pid, numbers in at_start.sinks.items():
            at_start.acked.update(set(numbers) - at_start.refused[pid])
        world = World(place.spool)
        log = os.path.join(place.base, "record")
        script = self.script(place, size, program, LD_PRELOAD=self.helpers["recorder"], RECORD_UNDER=place.root, RECORD_LOG=log, **env)
        act(script)
        promises = Promises(script, at_start.required - at_start.acked)
        promises.segments = {int(n[:20]) for n in map(bytes.decode, world.names) if n.endswith(".seg")}
        return list(entries_of(log)), world, promises

    def record_again(self, place, scenario, state):
        """Recover from a state, under the recorder, with two records more."""
        want = max(state.wants, key=lambda w: (len(w.required | w.acked), state.wants[w]))
        place.write(state.content)
        log = os.path.join(place.base, "record")
        script = self.script(place, oracle.SCENARIOS[scenario][0], LD_PRELOAD=self.helpers["recorder"], RECORD_UNDER=place.root,
                             RECORD_LOG=log)
        world = World(place.spool)
        oracle.recover_and_go_on(script, MORE, MORE + 1)
        promises = Promises(script, want.required)
        promises.acked.update(want.acked)
        return list(entries_of(log)), world, promises

    def try_state(self, state, scenario):
        """Recover from it, and judge it by every promise that held when it was possible."""
        size, damaged = oracle.SCENARIOS[scenario][0], scenario in ("recovery, damaged", "repair")
        with Place() as place:
            place.write(state.content)
            way = int.from_bytes(hashlib.blake2b(state.name.encode(), digest_size=2).digest(), "big") % 3
            o = self.recover(place, size, way)
            if damaged:
                self.look_for_damage(place, state, o)
        wrong, twice = [], 0
        for want, when in state.wants.items():
            faults, n = oracle.judge(o, size, want.required, want.acked, want.dropped, state.hole or damaged)
            faults += unsettled(state, o, scenario) if want.settled else []
            twice = max(twice, n)
            if faults and not wrong:
                wrong = ["operation %d, recovery %d" % (when, way)] + faults
        return state, wrong, len(o.delivered), twice

    def look_for_damage(self, place, state, o):
        """Damaged bytes are set aside, never thrown away: they stand in some file afterwards."""
        mark = b"\xff" * 40
        if not any(mark in content for content in place.read().values()):
            o.faults.append("the damaged bytes are gone")
        if place.read().get("stray") != b"left alone\n":
            o.faults.append("the stray file was touched")

    def explore(self, scenario, program, env, limit, until_wrong):
        with Place() as place:
            found, points, total = enumerate_states(*self.record(place, scenario, program, env), scenario)
        return self.recover_from(scenario, found, points, total, limit, until_wrong)

    def recover_from(self, scenario, found, points, total, limit, until_wrong):
        states = list(found.values())
        if len(states) > limit:
            random.Random(scenario).shuffle(states)
            del states[limit:]
        counts = collections.Counter(points=points, states=total, distinct=len(found), recovered=0, delivered=0, duplicates=0)
        counts["holes"] = sum(s.hole for s in states)
        failures = []
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
            for part in range(0, len(states), 32):
                jobs = [pool.submit(self.try_state, s, scenario) for s in states[part:part + 32]]
                for state, wrong, delivered, twice in (j.result() for j in jobs):
                    counts.update(recovered=1, delivered=delivered, duplicates=twice)
                    if wrong:
                        failures.append((state, wrong))
                if failures and until_wrong:
                    break
        return counts, failures


def cuts_twice(bench, limit):
    """A second power cut, during the recovery from a first."""
    total = collections.Counter()
    for scenario in ("append 5ms, rotating", "append after a kill", "stream", "drain", "dead letters"):
        with Place() as place:
            found = enumerate_states(*bench.record(place, scenario, bench.program, {}), scenario)[0]
        states = [s for s in found.values() if not s.hole and s.content is not None]
        counts, failures = collections.Counter(), []
        for state in random.Random(scenario).sample(states, min(len(states), max(2, limit // 8))):
            with Place() as place:
                again = enumerate_states(*bench.record_again(place, scenario, state), state.name)
            more, wrong = bench.recover_from(scenario, *again, 8 if limit < FIRST_STATES else 10 ** 9, False)
            counts.update(more)
            counts["first"] += 1
            failures += [(s._replace(name=state.name + ", then " + s.name), w) for s, w in wrong]
        total.update(counts)
        print("# cut again while recovering from %d states of %s: %s" % (counts["first"], scenario, in_words(counts)))
        bench.result(not failures, "a second power cut, during the recovery from a first: %s" % scenario, why_of(failures))
    print("# cut again, together: %d first states; %s" % (total["first"], in_words(total)))


def unsettled(state, o, scenario):
    """What repair and retry-dead have done stays done once they have said so."""
    faults = ("dead",) if scenario == "retry-dead" else ("damaged_now", "torn_bytes")
    left = {key: o.before.get(key) for key in faults if o.before and o.before.get(key)}
    left.update((name, "there") for name in state.content or () if name.endswith(".tmp"))
    if o.before is None or o.before.get("cursor") == "damaged":
        left["cursor"] = "damaged"
    return ["said to be done, but not done: %s" % left] if left else []


def power_cuts(bench, names, limit):
    total = collections.Counter()
    for name in names:
        counts, failures = bench.explore(name, bench.program, {}, limit, False)
        total.update(counts)
        print("# %s: %s" % (name, in_words(counts)))
        bench.result(not failures, "power cuts: %s" % name, why_of(failures))
    print("# power cuts, together: %s" % in_words(total))


def in_words(counts):
    return ("%(points)d points, %(states)d states, %(distinct)d of them distinct, recovered from %(recovered)d (%(holes)d with a hole): "
            "%(delivered)d records delivered, %(duplicates)d twice" % counts)


def why_of(failures):
    lines = ["%d states fail" % len(failures)] if failures else []
    for state, wrong in failures[:3]:
        files = " ".join("%s:%d" % (n, len(c)) for n, c in sorted((state.content or {}).items()))
        lines += [state.name, "  files: " + files] + ["  " + w for w in wrong[:4]]
    return lines


def skips(bench, limit):
    """Each sync left out makes the oracle fail in some scenario."""
    passed = {name: bench.points_of(name) for name in oracle.SCENARIOS}
    points = sorted({p for counts in passed.values() for p in counts if "sync" in p})
    for point in points:
        prove_one_left_out(bench, point, [n for n in passed if point in passed[n]], limit)


def prove_one_left_out(bench, point, scenarios, limit):
    if point.startswith("repair."):  # more than one place in the source: each scenario comes by another
        groups = [[n] for n in scenarios if n.startswith("repair")]
    elif point == "segment.sync":
        groups = [[n] for n in ("append always", "append after a torn write")]
    else:
        groups = [scenarios]
    for group in groups:
        tried, failures = 0, []
        for scenario in group:
            try:
                counts, failures = bench.explore(scenario, bench.faulty, {"PSA_FAULT": point + ":*:skip"}, limit, True)
            except Died as death:
                counts, failures = {"recovered": 0}, [(oracle_state(scenario), [str(death)])]
            tried += counts["recovered"]
            if failures:
                break
        what = "without %s the oracle fails, in %s" % (point, scenario)
        if failures:
            bench.result(True, what, [failures[0][0].name] + failures[0][1][1:3])
        else:
            bench.result(False, what, ["%d states recovered without a fault" % tried])


def oracle_state(name):
    return State(name, False, None, {})


# ---- the enumerator itself -------------------------------------------------------------------------------------------------

TOY = """
import os, sys
under, skip = sys.argv[1:]
d = os.open(under, os.O_RDONLY)
def sync(what, fd):
    if what != skip: os.fsync(fd)
f = os.open(under + "/1.seg", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
for i in range(5):
    os.write(f, b"%d\\n" % i * 2000)
    sync("file", f)
    if i == 0: sync("folder", d)
    os.write(1, b"%d\\n" % (i + 1))
t = os.open(under + "/2.tmp", os.O_WRONLY | os.O_CREAT)
os.write(t, b"done\\n")
sync("temporary", t)
os.rename(under + "/2.tmp", under + "/2")
sync("rename", d)
os.unlink(under + "/1.seg")
"""


def toy_holds(content, promised):
    whole = b"".join(b"%d\n" % i * 2000 for i in range(promised))
    return content.get("2") == b"done\n" or content.get("2") is None and content.get("1.seg", b"")[:len(whole)] == whole


def toy(bench):
    for skip in ("nothing", "file", "folder", "temporary", "rename"):
        with Place() as place:
            os.mkdir(place.spool)
            world, log = World(place.spool), os.path.join(place.base, "record")
            env = dict(os.environ, LD_PRELOAD=bench.helpers["recorder"], RECORD_UNDER=place.root, RECORD_LOG=log)
            subprocess.run([sys.executable, "-c", TOY, place.spool, skip], env=env, check=True, stdout=subprocess.DEVNULL)
            promised, bad, rng, count = 0, [], random.Random(1), 0
            for when, e in enumerate(entries_of(log)):
                world.apply(when, e)
                promised = int(e.text) if e.kind == "1" else promised
                for name, _, content in world.states(rng):
                    count += 1
                    if not toy_holds(content, promised):
                        bad.append("after operation %d (%s %s): %s" % (when, e.kind, about(e), name))
        good = bool(bad) == (skip != "nothing")
        bench.result(good, "a toy without %s: %d of %d states fail" % (skip, len(bad), count), bad[:1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", nargs="+")
    parser.add_argument("--states", type=int, default=10 ** 9)
    args = parser.parse_args()
    bench = Cuts()
    with bench.home:
        if args.what == ["toy"]:
            toy(bench)
        elif args.what == ["twice"]:
            cuts_twice(bench, min(args.states, FIRST_STATES))
        elif args.what == ["skips"]:
            skips(bench, args.states)
        else:
            power_cuts(bench, list(oracle.SCENARIOS) if args.what == ["all"] else args.what, args.states)
    bench.end()


main()
