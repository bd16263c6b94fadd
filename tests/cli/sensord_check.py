"""sensord_check.py - what sensord.bats asks of sensord that takes a program: readers that stop reading, a service manager's
socket, a clock that is set. Nothing here sleeps to wait for something: it reads until it has come."""
import atexit
import fcntl
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time

from psatest import BIN, check, fail, main

SENSORD = os.path.join(BIN, "sensord")
T = os.environ.get("T", "/tmp")
WORLD = os.path.join(T, "world")
PATIENCE_S = 20


class Sensord:
    """One that runs, its stdout in a pipe that holds only a page."""

    def __init__(self, *argv, env=None):
        read, write = os.pipe()
        fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
        self.out = os.fdopen(read, "rb", buffering=0)
        self.child = subprocess.Popen([SENSORD, *argv], stdout=write, stderr=subprocess.PIPE, env={**os.environ, **(env or {})})
        atexit.register(self.child.kill)
        os.close(write)
        os.set_blocking(self.child.stderr.fileno(), False)
        self.said, self.rest, self.seen = "", b"", []

    def take(self, wait_s):
        """Read what is there."""
        ready, _, _ = select.select([self.out], [], [], wait_s)
        data = self.out.read(65536) if ready else b""
        *lines, self.rest = (self.rest + data).split(b"\n")
        self.seen += [json.loads(line) for line in lines]
        return data

    def until(self, what, description):
        """Read until what(record) is true of one; the record."""
        end = time.monotonic() + PATIENCE_S
        at = 0
        while time.monotonic() < end:
            for record in self.seen[at:]:
                if what(record):
                    return record
            at = len(self.seen)
            if self.take(0.2) == b"" and self.child.poll() is not None:
                break
        self.child.kill()
        fail("no %s came; said: %s" % (description, self.err()))

    def err(self):
        self.said += (self.child.stderr.read() or b"").decode()
        return self.said

    def until_said(self, text, times=1):
        """Wait for a message without reading stdout."""
        end = time.monotonic() + PATIENCE_S
        while self.err().count(text) < times:
            if time.monotonic() > end:
                self.child.kill()
                fail("never said '%s' but: %s" % (text, self.said))
            select.select([self.child.stderr], [], [], 0.2)

    def end(self, status=0, number=signal.SIGTERM):
        """Stop it, read all, and check the exit status."""
        if number:
            self.child.send_signal(number)
        while self.take(PATIENCE_S):
            pass
        check(self.rest == b"", "half a line at the end: %r" % self.rest)
        check(self.child.wait(PATIENCE_S) == status, "exit status %d, not %d: %s" % (self.child.returncode, status, self.err()))
        os.set_blocking(self.child.stderr.fileno(), True)
        self.err()


def readings(records, name):
    return [r for r in records if r.get("sensor_id") == name and r["sensor_type"] != "status"]


def states(records, name):
    return [r["fields"]["up"] for r in records if r.get("sensor_type") == "status" and r["sensor_id"] == name]


def total_of(text):
    """The last line of statistics."""
    return json.loads([line for line in text.splitlines() if line.startswith('{"psa_stats"')][-1])


def stats_of(text, name):
    return next(s for s in total_of(text)["sensors"] if s["sensor_id"] == name)


def missing(rows):
    """Readings that seq says were between those that came."""
    return sum(b["seq"] - a["seq"] - 1 for a, b in zip(rows, rows[1:])) + rows[0]["seq"]


def grid():
    """Readings stand at multiples of the period from the first on: however late one is, none is a period late, and lateness
    does not add up. A read that takes 20 periods costs the deadlines that pass meanwhile, counted and said."""
    run = subprocess.run([SENSORD, "sim:imu?rate=200Hz&id=a&hang=300ms,100ms", "-n", "250", "--stats"], capture_output=True, check=True)
    said = run.stderr.decode()
    rows = readings([json.loads(line) for line in run.stdout.splitlines()], "a")
    check(len(rows) == 250, "%d readings" % len(rows))
    off_ms = [((r["timestamp_ns"] - rows[0]["timestamp_ns"]) / 1e6 - 5 * r["seq"]) for r in rows]
    check(min(off_ms) > -5, "a reading %.3f ms early" % min(off_ms))
    check(sorted(off_ms)[125] < 5, "half of the readings are more than %.3f ms late" % sorted(off_ms)[125])
    stats = stats_of(said, "a")
    check(stats["failed"] == 1 and stats["missed"] >= 15, "%s" % stats)
    check(missing(rows) == stats["missed"] + 1, "%d missing in seq, but %s" % (missing(rows), stats))
    check(re.search(r"^sensord: a: \d+ deadlines? missed, the worst by ", said, re.M), said)


def away():
    """What was due while a sensor was down is missing in seq: of a polled one by its deadlines, of one with a FIFO by its
    rate, however often it was tried meanwhile."""
    run = subprocess.run([SENSORD, "--retry-max", "60ms", "--duration", "1500ms", "--stats", "sim:imu?rate=100Hz&id=a&unplug=300ms,600ms",
                          "sim:vibration?rate=1kHz&id=b&block=20&unplug=300ms,600ms&failures=1"], capture_output=True, check=True)
    records = [json.loads(line) for line in run.stdout.splitlines()]
    for name, rate_hz in (("a", 100), ("b", 1000)):
        check(states(records, name) == [1, 0, 1], "states of %s: %s" % (name, states(records, name)))
        rows = readings(records, name)
        before, after = next((x, y) for x, y in zip(rows, rows[1:]) if y["timestamp_ns"] - x["timestamp_ns"] > 5e8)
        due = (after["timestamp_ns"] - before["timestamp_ns"]) / 1e9 * rate_hz
        check(abs(after["seq"] - before["seq"] - due) <= 0.06 * rate_hz + 20, "%s: seq says %d, time %.1f" % (name, after["seq"] - before["seq"], due))
        absent = stats_of(run.stderr.decode(), name)["absent"]
        check(absent > 0.45 * rate_hz, "%s: %d absent" % (name, absent))


def promise():
    """No record is older than a heartbeat before it; batches, blocks and a sensor that comes and goes included."""
    run = subprocess.run([SENSORD, "--heartbeat", "20ms", "--retry-max", "100ms", "--duration", "1500ms", "sim:imu?rate=500Hz&id=a",
                          "sim:imu?rate=100Hz&id=b&block=25", "sim:vibration?id=c&block=1024&unplug=600ms,150ms&failures=1",
                          "sim:bmp180?every=70ms&id=d&unplug=300ms,200ms&unplug=900ms,100ms&failures=1"], capture_output=True, check=True)
    seen, beats, kinds = 0, 0, set()
    for line in run.stdout.splitlines():
        record = json.loads(line)
        if "psa" in record:
            check(record["psa"]["heartbeat"] > seen, "a heartbeat goes back")
            seen = record["psa"]["heartbeat"]
            beats += 1
        else:
            check(record["timestamp_ns"] >= seen, "older than the heartbeat before it: %s" % line)
            kinds.add(record["sensor_id"])
    check(beats > 10 and kinds == {"a", "b", "c", "d"}, "%d heartbeats, %s" % (beats, kinds))
    check(b'"fields":{"up":0}' in run.stdout, "nobody went down")
    check("lost" not in run.stderr.decode(), run.stderr.decode())


def slow_reader():
    """The reader stops for a while: the oldest readings go, as many as seq and statistics say, and a state that was dropped
    is told anew."""
    run = Sensord("--queue", "200ms", "--retry-max", "50ms", "--stats", "sim:imu?rate=1kHz&id=a", "sim:imu?rate=100Hz&id=b&unplug=500ms")
    run.until(lambda r: r.get("sensor_id") == "b" and r["sensor_type"] != "status", "reading")
    run.until_said("b: down")
    at_down = asked = dropped = 0
    while asked < 2 or dropped < at_down + 1000: # what was in the queue when b went down is gone since long
        asked += 1
        run.child.send_signal(signal.SIGUSR1)
        run.until_said('"psa_stats"', asked)
        dropped = stats_of(run.said, "a")["dropped"]
        at_down = at_down or dropped
    run.until_said("the reader is too slow")
    while states(run.seen, "b") == [1]: # what is in the pipe, and then the state anew
        run.until(lambda r: r.get("sensor_type") == "status" and r["fields"]["up"] == 0, "status record")
    run.until_said("the reader keeps up again")
    run.end()
    rows = readings(run.seen, "a")
    stats = stats_of(run.said, "a")
    check(stats["dropped"] > 100, "%d dropped" % stats["dropped"])
    check(missing(rows) == stats["dropped"] + stats["missed"], "%d missing, but %s" % (missing(rows), stats))
    check(len(rows) == stats["readings"] - stats["dropped"], "%d came of %s" % (len(rows), stats))
    check(states(run.seen, "b") == [1, 0], "states %s" % states(run.seen, "b"))
    total = total_of(run.said)
    check(total["in"] == total["passed"] + total["dropped"]["queue"], "the account is not even: %s" % total)
    came = sum(r.get("sensor_type") == "status" for r in run.seen)
    check(total["emitted"] == came, "%d status records came, but %s" % (came, total))


def stuck_reader():
    """A reader that never reads: one signal waits for it as long as readings are kept, a second one does not."""
    run = Sensord("--queue", "1h", "sim:imu?rate=1kHz")
    run.until(lambda r: r["sensor_type"] == "accel_gyro", "reading")
    run.child.send_signal(signal.SIGUSR1)
    run.until_said('"psa_stats"') # the loop turns
    time.sleep(0.1) # lets the pipe fill; whether it has or not, what follows must hold
    run.child.send_signal(signal.SIGTERM)
    run.until_said("", 0)
    with_stop = time.monotonic()
    while run.child.poll() is None and time.monotonic() < with_stop + PATIENCE_S:
        run.child.send_signal(signal.SIGINT)
        time.sleep(0.05)
    check(run.child.poll() == 1, "exit status %s" % run.child.poll())
    check("the reader does not read" in run.err(), run.said)


def clock():
    """Readings say that the clock is not synchronised until it is; a step is a record, said, and moves the timestamps."""
    os.makedirs(WORLD, exist_ok=True)
    open(os.path.join(WORLD, "refused"), "w").close() # a sandbox: who may not ask, does not know
    run = Sensord("sim:imu?rate=50Hz&id=a", env={"LD_PRELOAD": os.environ["WORLD_SO"], "SENSORD_WORLD": WORLD})
    first = run.until(lambda r: r["sensor_type"] == "accel_gyro", "reading")
    check(first.get("clock") == "unsynced", "not unsynced: %s" % first)
    open(os.path.join(WORLD, "synced"), "w").close()
    os.unlink(os.path.join(WORLD, "refused"))
    synced = run.until(lambda r: r["sensor_type"] == "accel_gyro" and "clock" not in r, "synchronised reading")
    open(os.path.join(WORLD, "stepped"), "w").close()
    step = run.until(lambda r: r["sensor_id"] == "clock", "record of the step")
    check(step["sensor_type"] == "status" and step["of"] == "clock" and step["fields"]["up"] == 1, "%s" % step)
    check(abs(step["fields"]["step_s"] - 3600) < 1, "%s" % step)
    after = run.until(lambda r: r["sensor_type"] == "accel_gyro" and r["timestamp_ns"] > synced["timestamp_ns"] + 3000e9, "later time")
    check(after["timestamp_ns"] - synced["timestamp_ns"] - 3600e9 - (after["seq"] - synced["seq"]) * 20e6 < 20e6, "%s" % after)
    run.end()
    check(run.said.count("does not call the wall clock synchronised") == 1, run.said)
    check(run.said.count("the wall clock is synchronised now") == 1, run.said)
    check(run.said.count("the wall clock was set forward by 3600 s") == 1, run.said)


def clock_back():
    """Readings and heartbeats follow a clock that is set back at once, not when it is as late again."""
    os.makedirs(WORLD, exist_ok=True)
    open(os.path.join(WORLD, "stepped"), "w").close()
    run = Sensord("--heartbeat", "50ms", "sim:imu?rate=50Hz&id=a", env={"LD_PRELOAD": os.environ["WORLD_SO"], "SENSORD_WORLD": WORLD})
    before = run.until(lambda r: "psa" in r, "heartbeat")["psa"]["heartbeat"]
    open(os.path.join(WORLD, "back"), "w").close()
    step = run.until(lambda r: r.get("sensor_id") == "clock", "record of the step")
    check(abs(step["fields"]["step_s"] + 7200) < 1, "%s" % step)
    run.until(lambda r: r.get("sensor_id") == "a" and r["timestamp_ns"] < before - 7000e9, "reading after the step")
    is_back = lambda r: "psa" in r and r["psa"]["heartbeat"] < before - 7000e9
    beat = run.until(is_back, "heartbeat after the step")["psa"]["heartbeat"]
    run.until(lambda r: is_back(r) and r["psa"]["heartbeat"] > beat, "heartbeat after that")
    run.end()
    check(run.said.count("the wall clock was set back by 7200 s") == 1, run.said)


def dropped_step():
    """The record of a step that was dropped from the queue is written when the reader is back, and counts once."""
    os.makedirs(WORLD, exist_ok=True)
    run = Sensord("--queue", "100ms", "--stats", "sim:imu?rate=1kHz&id=a", env={"LD_PRELOAD": os.environ["WORLD_SO"], "SENSORD_WORLD": WORLD})
    run.until(lambda r: r["sensor_type"] == "accel_gyro", "reading")
    run.until_said("the reader is too slow")
    open(os.path.join(WORLD, "stepped"), "w").close()
    run.until_said("the wall clock was set forward")
    at_step = asked = dropped = 0
    while asked < 2 or dropped < at_step + 1000: # what was in the queue at the step is gone since long
        asked += 1
        run.child.send_signal(signal.SIGUSR1)
        run.until_said('"psa_stats"', asked)
        dropped = stats_of(run.said, "a")["dropped"]
        at_step = at_step or dropped
    step = run.until(lambda r: r["sensor_id"] == "clock", "record of the step")
    check(abs(step["fields"]["step_s"] - 3600) < 1, "%s" % step)
    run.end()
    came = sum(r.get("sensor_type") == "status" for r in run.seen)
    check(total_of(run.said)["emitted"] == came == 2, "%d status records came, but %s" % (came, total_of(run.said)))


def unread_messages():
    """Nobody reads stderr: sensors come and go, readings and records are written, and nothing is missing of what was to be
    said when somebody reads it. When nobody ever does, it ends all the same."""
    names = ["press-%03d" % i for i in range(100)]
    run = Sensord("--retry-max", "50ms", *("sim:imu?rate=20Hz&id=%s&failures=1&unplug=%dms,150ms" % (name, 300 + 5 * i) for i, name in enumerate(names)))
    fcntl.fcntl(run.child.stderr, fcntl.F_SETPIPE_SZ, 4096)
    for name in names:
        run.until(lambda r: states(run.seen, name)[:3] == [1, 0, 1] and r.get("sensor_id") == name and r["sensor_type"] != "status",
                  "reading of %s after it was down" % name)
    check(run.err().count("up again") < 90, "the pipe holds all: %s" % run.said)
    for name in names:
        run.until_said("%s: down: sim:imu: no answer; it is unplugged" % name)
        run.until_said("%s: up again after" % name)
    run.end()
    run = Sensord("--duration", "600ms", *("sim:imu?id=%s&unplug=0s" % name for name in names))
    fcntl.fcntl(run.child.stderr, fcntl.F_SETPIPE_SZ, 4096)
    while run.take(PATIENCE_S):
        pass
    try:
        check(run.child.wait(PATIENCE_S) == 0, "exit status %d" % run.child.returncode)
    except subprocess.TimeoutExpired:
        run.child.kill()
        fail("it does not end while nobody reads what it says")


def absent():
    """Each of a hundred sensors that are not there is named, however alike their names are."""
    names = ["a-press-in-the-third-hall-behind-the-second-pillar-%03d" % i for i in range(100)]
    run = Sensord(*("sim:imu?id=%s&unplug=0s" % name for name in names))
    for name in names:
        run.until_said("sensord: %s: down: sim:imu: no answer; it is unplugged\n" % name)
    run.end()
    check(run.said.count(": down: ") == 100 and "in all" not in run.said, "more was said: %s" % run.said)


class Manager:
    """A service manager's socket; what it heard is in words. It must be read: who notifies waits while it is full."""

    def __init__(self):
        self.path = os.path.join(T, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.env = {"NOTIFY_SOCKET": self.path, "WATCHDOG_USEC": "200000"}
        self.words = []
        self.heard = threading.Condition()
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while True:
            word = self.socket.recv(4096).decode()
            with self.heard:
                self.words.append(word)
                self.heard.notify_all()

    def hear(self, text, run):
        with self.heard:
            if self.heard.wait_for(lambda: text in self.words, PATIENCE_S):
                return
        run.child.kill()
        fail("heard only %s; said: %s" % (self.words, run.err()))


def notify():
    """READY when every sensor was tried, the state in words, WATCHDOG while something works, STOPPING."""
    manager = Manager()
    run = Sensord("sim:imu?rate=100Hz", "sim:bmp180?id=press-07&unplug=0s", env=manager.env)
    manager.hear("READY=1", run)
    manager.hear("STATUS=1 of 2 sensors up; down: press-07 (absent)", run)
    manager.hear("WATCHDOG=1", run)
    check(manager.words.index("READY=1") >= 1, "READY before anything was tried: %s" % manager.words)
    run.child.send_signal(signal.SIGTERM)
    manager.hear("STOPPING=1", run)
    run.end(number=0)


def first_failure():
    """READY does not wait for a slow sensor to be read anew when its first reading failed."""
    manager = Manager()
    run = Sensord("sim:bmp180?every=10min&id=slow&unplug=1us,1min", "--stats", env=manager.env)
    manager.hear("READY=1", run)
    manager.hear("STATUS=0 of 1 sensor up", run)
    run.end()
    check(stats_of(run.said, "slow")["failed"] == 1 and not run.seen, "no failed reading: %s" % run.said)


def hang():
    """A call that does not come back: said, written, heartbeats go on, the watchdog is not fed any more, and all is well again."""
    manager = Manager()
    run = Sensord("--heartbeat", "100ms", "--retry-max", "50ms", "sim:imu?rate=100Hz&id=a&hang=200ms,2500ms", env=manager.env)
    down = run.until(lambda r: r.get("sensor_type") == "status" and r["fields"]["up"] == 0, "down record")
    check(down["fault"] == "timeout" and "hangs" in down["reason"], "%s" % down)
    run.until(lambda r: r.get("psa", {}).get("heartbeat", 0) >= down["timestamp_ns"], "heartbeat while it hangs")
    run.until(lambda r: r.get("sensor_type") == "status" and r["timestamp_ns"] > down["timestamp_ns"] and r["fields"]["up"] == 1, "up record")
    run.end()
    check(states(run.seen, "a") == [1, 0, 1], "states %s" % states(run.seen, "a"))
    check(run.said.count("a: down:") == 1 and run.said.count("a: up again") == 1, run.said)
    words = manager.words
    gone = next(i for i, word in enumerate(words) if "down: a (timeout)" in word)
    back = next(i for i, word in enumerate(words) if i > gone and word.startswith("STATUS=1 of 1"))
    check(words[:gone].count("WATCHDOG=1") > 10, "the watchdog was not fed: %s" % words)
    check(words[gone:back].count("WATCHDOG=1") <= 1, "the watchdog was fed while all hung: %s" % words)


def booked():
    """What is due while a sensor is down, or a call hangs, is in the statistics whenever somebody asks, and never less of it
    later, whichever counter has it in the end."""
    run = Sensord("--stats", "--retry-max", "50ms", "sim:imu?rate=100Hz&id=gone&unplug=200ms", "sim:imu?rate=100Hz&id=back&unplug=200ms,1s",
                  "sim:imu?rate=100Hz&id=hung&hang=200ms,1h", "sim:vibration?rate=1kHz&id=fifo&block=20&failures=1&unplug=200ms,3s")
    began, asked, was = time.monotonic(), 0, {}
    while was.get("gone", 0) < 300 or was.get("hung", 0) < 300 or states(run.seen, "back") != [1, 0, 1] or states(run.seen, "fifo") != [1, 0, 1]:
        check(time.monotonic() - began < PATIENCE_S, "%s of states %s" % (was, [states(run.seen, name) for name in ("back", "fifo")]))
        run.take(0.02)
        asked += 1
        run.child.send_signal(signal.SIGUSR1)
        run.until_said('"psa_stats"', asked)
        for name in ("gone", "back", "hung", "fifo"):
            now = stats_of(run.said, name)["absent"]
            check(now >= was.get(name, 0), "%s: %d absent after %d" % (name, now, was.get(name, 0)))
            was[name] = now
    took_s = time.monotonic() - began
    run.end()
    for name in ("gone", "hung"):
        stats = stats_of(run.said, name)
        check(was[name] <= stats["absent"] < 100 * (took_s + 5), "%s" % stats)
        due = sum(stats[key] for key in ("readings", "missed", "failed", "lost", "absent"))
        check(abs(due - 100 * took_s) < 100, "%s: %d were due within %.2f s: %s" % (name, due, took_s, stats))
    check(60 < was["back"] < 400 and 2500 < was["fifo"] < 6000, "%s" % was)


def held():
    """A read that takes long is what its late deadlines are put down to, in seconds that people can read."""
    run = subprocess.run([SENSORD, "sim:imu?rate=50Hz&id=a&hang=200ms,1200ms", "--duration", "1700ms"], capture_output=True, check=True)
    said = run.stderr.decode()
    took = re.search(r"^sensord: a: \d+ deadlines missed, the worst by 1\.\d+ s; reads took up to 1\.\d+ s: something holds the bus$", said, re.M)
    check(took, said)


def not_written():
    """A reader that stands still: after a signal it has as long as --queue says; what it did not take is said once, counted to
    the last line, and put down to that."""
    run = Sensord("--queue", "1500ms", "--stats", "sim:imu?rate=100Hz&id=a")
    run.until(lambda r: r["sensor_type"] == "accel_gyro", "reading")
    time.sleep(0.6) # the pipe fills; whether it has or not, what follows must hold
    run.child.send_signal(signal.SIGINT)
    began = time.monotonic()
    run.child.wait(PATIENCE_S)
    took_s = time.monotonic() - began
    check(1.3 < took_s < 2.3, "it took %.1f s" % took_s)
    run.end(status=1, number=0)
    check("the reader is too slow" not in run.said, run.said)
    n = re.search(r"the reader does not read; (\d+) readings were not written within 1\.5 s", run.said)
    total = total_of(run.said)
    check(n and int(n[1]) == total["dropped"]["queue"], run.said)
    check(len(readings(run.seen, "a")) == total["passed"] == total["in"] - int(n[1]), "%d came of %s" % (len(readings(run.seen, "a")), total))


def left_behind():
    """A worker that never returns does not keep the process from ending."""
    os.makedirs(WORLD, exist_ok=True)
    run = Sensord("sim:imu?rate=50Hz&id=a", env={"LD_PRELOAD": os.environ["WORLD_SO"], "SENSORD_WORLD": WORLD})
    run.until(lambda r: r["sensor_type"] == "accel_gyro", "reading")
    open(os.path.join(WORLD, "stuck"), "w").close()
    while run.take(0.3): # until nothing comes any more
        pass
    began = time.monotonic()
    run.end()
    check(0.5 < time.monotonic() - began < 10, "it took %.1f s" % (time.monotonic() - began))


if __name__ == "__main__":
    main({name: value for name, value in globals().items() if callable(value)})
