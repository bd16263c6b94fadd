"""sensord against chips on I2C buses of umockdev: tests/hw/i2c_world.c and the chips of tests/hw/chips.h, whose values are known."""
import bisect
import json
import os
import signal
import statistics
import subprocess
import threading
import time

from psatest import BIN, check, fail, main

WORLD = os.environ["PSA_I2C_WORLD"]
T = os.environ["BATS_TEST_TMPDIR"]
PATIENCE_S = 15.0  # of waits that a broken sensord makes long; a good one needs a tenth


class World:
    """A sensord among chips: its records as they come, its messages, words to the chips."""

    runs = 0

    def __init__(self, chips, sensors, options=(), world=(), env=None):
        World.runs += 1
        self.control = os.path.join(T, "control%d" % World.runs)
        self.report = os.path.join(T, "report%d" % World.runs)
        self.messages = os.path.join(T, "err%d" % World.runs)
        os.mkfifo(self.control)
        with open(self.messages, "wb") as err:
            self.process = subprocess.Popen(
                [WORLD, *world, "--report", self.report, self.control, *chips, "--", os.path.join(BIN, "sensord"),
                 *options, *sensors], stdout=subprocess.PIPE, stderr=err, stdin=subprocess.DEVNULL,
                env={**os.environ, **(env or {})})
        self.records = []
        self.kept = {}  # (sensor_id, kind): (indices in records, the records)
        self.ended = False
        self.news = threading.Condition()
        threading.Thread(target=self.read, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()

    def read(self):
        rest = b""
        while chunk := os.read(self.process.stdout.fileno(), 1 << 16):
            *lines, rest = (rest + chunk).split(b"\n")
            with self.news:
                for line in lines:
                    record = json.loads(line)
                    kind = "status" if record.get("sensor_type") == "status" else "reading"
                    places, kept = self.kept.setdefault((record.get("sensor_id"), kind), ([], []))
                    places.append(len(self.records))
                    kept.append(record)
                    self.records.append(record)
                self.news.notify_all()
        with self.news:
            self.ended = True
            self.news.notify_all()

    def of(self, sensor_id, kind="reading", since=0):
        """The readings or the status records of a sensor, from the since-th of all records on."""
        places, kept = self.kept.get((sensor_id, kind), ([], []))
        return kept[bisect.bisect_left(places, since):]

    def until(self, ready, what):
        """Wait until ready() is true; it sees a list that does not change meanwhile."""
        end = time.monotonic() + PATIENCE_S
        with self.news:
            while not ready():
                left = end - time.monotonic()
                if left <= 0 or self.ended:
                    fail("%s: never came; %d records, the last %s\n%s" %
                         (what, len(self.records), self.records[-1:], self.said()))
                self.news.wait(min(left, 0.5))
            return len(self.records)

    def count(self, sensor_id, n, since=0):
        return self.until(lambda: len(self.of(sensor_id, since=since)) >= n, "%d readings of %s" % (n, sensor_id))

    def status(self, sensor_id, up, since=0):
        """The next status record of the sensor that says so."""
        self.until(lambda: any(r["fields"]["up"] == up for r in self.of(sensor_id, "status", since)),
                   "%s %s" % (sensor_id, "up" if up else "down"))
        return next(r for r in self.of(sensor_id, "status", since) if r["fields"]["up"] == up)

    def say(self, *lines):
        with open(self.control, "w") as fifo:
            fifo.write("".join(line + "\n" for line in lines))

    def said(self):
        with open(self.messages) as err:
            return err.read()

    def saying(self, text, times=None):
        got = self.said().count(text)
        check(got > 0 if times is None else got == times, "said %d times: %s\nbut:\n%s" % (got, text, self.said()))

    def stop(self, status=0):
        """SIGTERM, the exit status, and what happened to the chips: a dictionary by (bus, address)."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            got = self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            fail("it did not end on SIGTERM\n" + self.said())
        check(got == status, "exit status %d, not %d\n%s" % (got, status, self.said()))
        with open(self.report) as report:
            chips = [json.loads(line) for line in report]
        check(all(c["forced"] == 0 for c in chips), "I2C_SLAVE_FORCE was used")
        check("i2c_world:" not in self.said(), self.said())
        return {(c["bus"], c["address"]): c for c in chips}


def refused(chips, sensors, text, world=(), status=2):
    with World(chips, sensors, world=world) as w:
        got = w.process.wait(PATIENCE_S)
        check(got == status, "exit status %d, not %d\n%s" % (got, status, w.said()))
        w.saying(text)
        check(not w.records, "records: %r" % w.records[:2])


def exactly(record, fields, what):
    got = {name: record["fields"].get(name) for name in fields}
    check(got == fields, "%s: %r, not %r" % (what, got, fields))


QUICK = "selftest=off"

# ---- values ---------------------------------------------------------------------------------------------------------


def mpu(accel, gyro_steps, temperature=True):
    """What the model measures, in a range: gyro_z is left out, its last steps move."""
    fields = {"accel_x": 0.5, "accel_y": -0.25, "accel_z": 1,
              "gyro_x": round(10 * gyro_steps) / gyro_steps, "gyro_y": round(-20 * gyro_steps) / gyro_steps}
    if temperature:
        fields["temperature_C"] = -3920 / 340 + 36.53
    return fields


def polled():
    """Four chips on two buses, one in each range."""
    ranges = [("2g", "250dps", 131), ("4g", "500dps", 65.5), ("8g", "1000dps", 32.8), ("16g", "2000dps", 16.4)]
    places = ["1:0x68", "1:0x69", "2:0x68", "2:0x69"]
    sensors = ["mpu6050:i2c-%s@%s?rate=50Hz&accel=%s&gyro=%s&temp=on&id=%s&%s" % (*place.split(":"), a, g, a, QUICK)
               for place, (a, g, _) in zip(places, ranges)]
    with World(["mpu6050@" + place for place in places], sensors) as w:
        for a, _, _ in ranges:
            w.count(a, 12)
        w.stop()
        for a, _, steps in ranges:
            readings = w.of(a)
            for r in readings:
                exactly(r, mpu(a, steps), a)
                raw = (r["fields"]["gyro_z"] - 5) * steps
                check(-0.5 <= raw <= 7.5, "%s: gyro_z %r" % (a, r["fields"]["gyro_z"]))
            check(readings[0]["sensor_type"] == "accel_gyro" and readings[0]["sensor_model"] == "MPU6050", str(readings[0]))
            check(len({r["fields"]["gyro_z"] for r in readings}) > 2, "%s: the same sample again and again" % a)
            off_ns = [r["timestamp_ns"] - r["seq"] * 20e6 for r in readings]  # a busy machine is late now and then
            check(max(off_ns) - min(off_ns) < 60e6, "%s: not at multiples of 20 ms: %r" % (a, off_ns))


# BST-BMP180-DS000-09, figure 4, in integers rounded down: its example has X2 = -2344, where C's division would give -2343.
def bmp180_says(ut, up, oss):
    ac1, ac2, ac3, ac4, ac5, ac6, b1, b2, mc, md = 408, -72, -14383, 32741, 32757, 23153, 6190, 4, -8711, 2868
    x1 = (ut - ac6) * ac5 >> 15
    b5 = x1 + mc * 2048 // (x1 + md)
    b6 = b5 - 4000
    x3 = (b2 * (b6 * b6 >> 12) >> 11) + (ac2 * b6 >> 11)
    b3 = ((ac1 * 4 + x3 << oss) + 2) // 4
    x3 = ((ac3 * b6 >> 13) + (b1 * (b6 * b6 >> 12) >> 16) + 2) >> 2
    b4 = ac4 * (x3 + 32768) >> 15
    b7 = (up - b3) * (50000 >> oss)
    p = b7 * 2 // b4 if b7 < 0x80000000 else b7 // b4 * 2
    x1 = (p >> 8) ** 2 * 3038 >> 16
    return {"temperature_C": (b5 + 8 >> 4) / 10, "pressure_Pa": p + (x1 + (-7357 * p >> 16) + 3791 >> 4)}


def bmp180():
    """The data sheet's example at each oversampling, and other weather; a chip that never gets ready, and one whose
    calibration is nonsense."""
    check(bmp180_says(27898, 23843, 0) == {"temperature_C": 15, "pressure_Pa": 69964}, "the check itself is wrong")
    # b5 ends in 7 and 8 of 16 where it is warm and cold: rounding of the tenths shows.
    weather = [(27898, 23843, 0), (27898, 23843, 1), (27898, 23843, 2), (27898, 23843, 3), (24041, 40008, 3), (31005, 30001, 0)]
    chips = ["bmp180@%d:0x77,set ut %d,set up %d" % (bus, ut, up) for bus, (ut, up, _) in enumerate(weather)]
    sensors = ["bmp180:i2c-%d?rate=20Hz&oss=%d&stuck=0&id=at%d" % (bus, oss, bus) for bus, (_, _, oss) in enumerate(weather)]
    chips += ["bmp180@6:0x77,endless", "bmp180@7:0x77,poke 0xaa 0,poke 0xab 0"]
    sensors += ["bmp180:i2c-6?id=endless&failures=1", "bmp180:i2c-7?id=nonsense"]
    with World(chips, sensors) as w:
        for bus in range(len(weather)):
            w.count("at%d" % bus, 5)
        check(w.status("endless", 0)["fault"] == "timeout", "endless: %r" % w.of("endless", "status"))
        check(w.status("nonsense", 0)["fault"] == "checksum", "nonsense: %r" % w.of("nonsense", "status"))
        seen = len(w.records)
        w.say("ending 6:0x77")
        w.status("endless", 1, seen)
        chip = w.stop()
        for bus, (ut, up, oss) in enumerate(weather):
            for r in w.of("at%d" % bus):
                exactly(r, bmp180_says(ut, up << oss, oss), "ut %d, up %d, oss %d" % (ut, up, oss))
            check(chip[bus, 0x77]["early_reads"] == 0, "oss %d: a result was read before it was there" % oss)


def ads1115():
    """Several inputs of one chip in turns, a difference, scale and offset, a range that clips."""
    place = "ads1115:i2c-1@0x48/%s?rate=10Hz&id=%s"
    sensors = [place % (i, "in" + i) for i in ("0", "1", "2", "0-1")]
    sensors += [place % ("3", "scaled") + "&range=6.144V&scale=-2&offset=0.5&field=accel_x&type=accel",
                "ads1115:i2c-1@0x4a/2-3?rate=4Hz&id=slow&dr=8&range=1.024V",
                "ads1115:i2c-1@0x49/1?rate=50Hz&id=clipped&range=0.512V"]
    with World(["ads1115@0x48,rate-error -9%", "ads1115@0x49,sine ain1 0.6 2", "ads1115@0x4a"], sensors) as w:
        for name in ("in0", "in1", "in2", "in0-1", "scaled"):
            w.count(name, 8)
        w.count("clipped", 25)
        w.count("slow", 3)
        chip = w.stop()
        for name, want in (("in0", 0.5), ("in1", 1), ("in2", 1.5), ("in0-1", -0.5), ("slow", -0.5)):
            for r in w.of(name):
                exactly(r, {"voltage_V": want}, name)
        for r in w.of("scaled"):  # 2 V is 10666.67 steps of 187.5 uV
            check(abs(r["fields"]["accel_x"] - (10667 * 187.5e-6 - 0.5) * -2) < 1e-12, "scaled: %r" % r)
            check(r["sensor_type"] == "accel", "scaled: %r" % r)
        values = [r["fields"]["voltage_V"] for r in w.of("clipped")]
        check(max(values) == 0.512 * 32767 / 32768 and min(values) < 0.45, "clipped: %r" % values)
        w.saying("at the end of the range of 0.512V", 1)
        check(all(c["early_reads"] == 0 for c in chip.values()), "a result was read before it was there")


# ---- the FIFO --------------------------------------------------------------------------------------------------------


def number(record, steps):
    """The chip's own number of the sample: `count gyro_z`."""
    return round(record["fields"]["gyro_z"] * steps) & 0xFFFF


def fifo():
    """1 kHz of an oscillator that is 1 % fast, 200 Hz of one that is slow: every sample, even times, the true rates. Then the
    first bus stalls: the samples that the FIFO lost are lost in seq, and said."""
    sensors = ["mpu6050:i2c-1?mode=fifo&rate=1kHz&gyro=250dps&dlpf=184Hz&id=fast&bus=400kHz&" + QUICK,
               "mpu6050:i2c-2?mode=fifo&rate=200Hz&gyro=250dps&temp=on&id=slow&bus=400kHz&" + QUICK]
    chips = ["mpu6050@0x68,count gyro_z,rate-error 1%", "mpu6050@2:0x68,count gyro_z,rate-error -1%"]
    with World(chips, sensors, options=["--heartbeat", "50ms"]) as w:
        w.count("fast", 3000)
        seen = len(w.of("fast"))
        said = "lost" in w.said()
        w.say("stall 0x68 300")
        w.until(lambda: w.of("fast")[-1]["seq"] - w.of("fast")[seen - 1]["seq"] > len(w.of("fast")) - seen + 101, "a gap")
        w.count("fast", seen + 1000)
        chip = w.stop()
        w.saying("overflow")
        check(chip[1, 0x68]["fifo_lost"] > 500, "no overflow: %r" % chip)
        kept_promises(w.records)
        check(w.of("fast")[0]["seq"] == 0 and w.of("slow")[0]["seq"] == 0, "seq does not begin at 0")
        check(accounted(w.of("fast")[:seen], "fast") == 0 or said, "lost without a word:\n" + w.said())
        check(accounted(w.of("fast"), "fast") >= 100, "the stall has no gap")
        check(accounted(w.of("slow"), "slow") == 0, "slow: samples lost\n" + w.said())
        even(w.of("fast"), "fast", 1010, 1e-3)
        even(w.of("slow"), "slow", 198, 3e-3)
        for r in w.of("fast"):
            exactly(r, mpu("4g", 131, False), "fast: out of step")
        for r in w.of("slow"):
            exactly(r, mpu("4g", 131), "slow")


def kept_promises(records):
    """No reading is older than a heartbeat before it: the FIFO holds readings back for longer than heartbeats are apart."""
    promised, beats = 0, 0
    for r in records:
        if "psa" in r:
            promised = r["psa"]["heartbeat"]
            beats += 1
        else:
            check(r["sensor_type"] == "status" or r["timestamp_ns"] >= promised, "older than the heartbeat %d: %r" % (promised, r))
    check(beats > 20, "%d heartbeats" % beats)


def accounted(readings, name):
    """How many samples were lost, each of which must be missing in seq. How many an overflow took is known by the clock, so give
    or take the one under way at each end. (A busy machine may well be late for a FIFO of 85 ms.)"""
    lost = 0
    for a, b in zip(readings, readings[1:]):
        samples, seq = (number(b, 131) - number(a, 131)) & 0xFFFF, b["seq"] - a["seq"]
        check(samples == seq == 1 or (samples > 1 and abs(samples - seq) <= 3),
              "%s: %d samples of the chip on, seq is %d on, after %r" % (name, samples, seq, a))
        lost += seq - 1
    check(lost < len(readings) / 2, "%s: %d readings, %d lost" % (name, len(readings), lost))
    return lost


def even(readings, name, rate_hz, tolerance):
    """The times are those of the oscillator."""
    half = readings[len(readings) // 2:]
    gaps = [b["timestamp_ns"] - a["timestamp_ns"] for a, b in zip(readings, readings[1:])]
    tail = [b["timestamp_ns"] - a["timestamp_ns"] for a, b in zip(half, half[1:]) if b["seq"] - a["seq"] == 1]
    check(min(gaps) > 0, "%s: time runs back" % name)
    check(all(abs(g - 1e9 / rate_hz) < 0.01e9 / rate_hz for g in tail),
          "%s: intervals %d to %d ns, not %d" % (name, min(tail), max(tail), 1e9 / rate_hz))
    check(abs(statistics.mean(tail) * rate_hz / 1e9 - 1) < 2 * tolerance, "%s: intervals of %r ns" % (name, statistics.mean(tail)))
    check(abs(readings[-1]["rate_hz"] / rate_hz - 1) < tolerance, "%s: rate_hz %r" % (name, readings[-1]["rate_hz"]))


# ---- faults -----------------------------------------------------------------------------------------------------------


def unplugged():
    """One absent at the start, one pulled and put back: one message each, a status record each way, the others go on."""
    sensors = ["mpu6050:i2c-1?rate=50Hz&gyro=250dps&id=pulled&" + QUICK, "bmp180:i2c-1?rate=20Hz&id=stays&stuck=0",
               "ads1115:i2c-2@0x48/0?rate=20Hz&id=late"]
    with World(["mpu6050@0x68", "bmp180@0x77", "ads1115@2:0x48,absent"], sensors) as w:
        down = w.status("late", 0)
        check(down["fault"] == "absent" and down["of"] == "voltage" and "EREMOTEIO" in down["reason"], "late: %r" % down)
        w.count("pulled", 5)
        check(w.status("pulled", 1)["of"] == "accel_gyro", "pulled: %r" % w.of("pulled", "status"))
        w.say("absent 0x68", "present 2:0x48")
        down = w.status("pulled", 0)
        check(down["fault"] == "absent" and "0x68" in down["reason"], "pulled: %r" % down)
        seen = w.records.index(down)
        w.status("late", 1)
        w.count("late", 5)
        w.count("stays", 10, seen)
        w.say("present 0x68")
        w.status("pulled", 1, seen)
        w.count("pulled", 5, seen)
        w.stop()
        for r in w.of("pulled"):
            exactly(r, mpu("4g", 131, False), "pulled")
        check(len(w.of("stays", "status")) == 1, "stays: %r" % w.of("stays", "status"))
        for name in ("pulled", "late"):
            w.saying("sensord: %s: down: " % name, 1)
            w.saying("sensord: %s: up again" % name, 1)
        seq = [r["seq"] for r in w.of("pulled")]
        times = [r["timestamp_ns"] for r in w.of("pulled")]
        check(abs((times[-1] - times[0]) / 20e6 - (seq[-1] - seq[0])) < 1, "pulled: seq does not count what was due")


def adapter():
    """The adapter itself is pulled out, as those on USB are, and put back."""
    with World(["mpu6050@0x68", "ads1115@2:0x48"], ["mpu6050:i2c-1?rate=50Hz&id=a&" + QUICK, "ads1115:i2c-2/0?rate=50Hz&id=b"]) as w:
        w.count("a", 3)
        w.say("unplug 0x68")
        down = w.status("a", 0)
        check(down["fault"] == "absent" and "i2c-1" in down["reason"], "a: %r" % down)
        seen = w.records.index(down)
        w.count("b", 10, seen)
        w.say("plug 0x68", "brownout 0x68")
        w.status("a", 1, seen)
        w.count("a", 3, seen)
        w.stop()


def sick():
    """Chips that answer, but wrongly."""
    chips = ["mpu6050@0x68", "mpu6050@0x69", "mpu6050@2:0x68,wrong-id", "mpu6050@2:0x69,self-test 20%",
             "bmp180@2:0x77,bind bmp280 bmp180", "mpu6050@3:0x68,self-test -20%", "mpu6050@3:0x69"]
    sensors = ["mpu6050:i2c-1?rate=50Hz&stuck=20&id=frozen&" + QUICK, "mpu6050:i2c-1@0x69?rate=50Hz&accel=8g&id=browned&" + QUICK,
               "mpu6050:i2c-2?id=wrong", "mpu6050:i2c-2@0x69?rate=50Hz&id=weak", "bmp180:i2c-2?id=taken",
               "mpu6050:i2c-3?id=strict&selftest=strict", "mpu6050:i2c-3@0x69?rate=50Hz&id=fine&selftest=strict"]
    with World(chips, sensors) as w:
        down = w.status("wrong", 0)
        check(down["fault"] == "wrong" and "0xee" in down["reason"], "wrong: %r" % down)
        down = w.status("taken", 0)
        check(down["fault"] == "busy" and "iio:bmp180" in down["reason"], "taken: %r" % down)
        w.count("frozen", 5)
        w.count("browned", 5)
        w.say("freeze 0x68", "brownout 0x69", "unbind 2:0x77")
        down = w.status("frozen", 0)
        check(down["fault"] == "stuck", "frozen: %r" % down)
        seen = w.records.index(down)
        w.say("thaw 0x68")
        w.status("frozen", 1, seen)
        down = w.status("browned", 0)
        seen = w.records.index(down)
        w.status("browned", 1, seen)
        w.count("browned", 3, seen)
        w.status("taken", 1)
        down = w.status("strict", 0)
        check("self-test" in down["reason"], "strict: %r" % down)
        w.count("weak", 3)
        w.count("fine", 3)
        w.stop()
        check([r["fields"]["up"] for r in w.of("fine", "status")] == [1], "fine: %r" % w.of("fine", "status"))
        check("weak: " in w.said() and "self-test" in w.said().split("weak: ")[1].split("\n")[0], w.said())
        for name in ("browned", "weak", "fine"):
            for r in w.of(name):
                exactly(r, {"accel_x": 0.5, "accel_z": 1}, name)


def transient():
    """Two failed readings are two numbers less in seq, and no more; three are a fault. Adapters differ in their errors."""
    with World(["mpu6050@0x68", "mpu6050@2:0x68,mute"],
               ["mpu6050:i2c-1?rate=50Hz&failures=3&id=a&" + QUICK, "mpu6050:i2c-2?id=b&" + QUICK],
               world=("--nack", "ENXIO")) as w:
        w.count("a", 5)
        seen = w.until(lambda: True, "")
        w.say("fail 0x68 EIO 2")
        w.until(lambda: any(b["seq"] - a["seq"] == 3 for a, b in zip(w.of("a"), w.of("a")[1:])), "a gap of two")
        w.count("a", 5, seen)
        check(len(w.of("a", "status")) == 1, "a: %r" % w.of("a", "status"))
        check("ENXIO" in w.status("b", 0)["reason"], "b: %r" % w.of("b", "status"))
        w.say("fail 0x68 EIO 3")
        check(w.status("a", 0)["fault"] == "io", "a: %r" % w.of("a", "status"))
        w.say("unmute 2:0x68")
        w.status("b", 1)
        w.stop()


def hang():
    """A bus that hangs is said to, though its call does not come back; the sensor on another bus goes on; SIGTERM is obeyed
    meanwhile; and it comes back. One whose transfers time out says so too."""
    chips = ["bmp180@0x77", "mpu6050@2:0x68", "ads1115@3:0x48"]
    sensors = ["bmp180:i2c-1?rate=20Hz&id=hung&stuck=0", "mpu6050:i2c-2?rate=20Hz&id=other&" + QUICK,
               "ads1115:i2c-3/0?rate=20Hz&id=slow"]
    # What a thread that does not come back holds is left behind with it: no leak.
    with World(chips, sensors, env={"ASAN_OPTIONS": "detect_leaks=0"}) as w:
        for name in ("hung", "other", "slow"):
            w.count(name, 2)
        w.say("hang 0x77 600000", "hang 3:0x48 200")
        seen = w.until(lambda: True, "")
        down = w.status("slow", 0)
        check(down["fault"] == "timeout" and "ETIMEDOUT" in down["reason"], "slow: %r" % down)
        w.say("unhang 3:0x48")
        w.status("slow", 1, w.records.index(down))
        down = w.status("hung", 0)
        check(down["fault"] == "timeout", "hung: %r" % down)
        check(len(w.of("other", since=seen)) > 60, "other: %d readings while one hung" % len(w.of("other", since=seen)))
        check(len(w.of("other", "status")) == 1, "other: %r" % w.of("other", "status"))
        w.say("unhang 0x77")
        w.status("hung", 1, w.records.index(down))
        w.say("hang 0x77 600000")
        w.count("other", 3, w.until(lambda: True, ""))
        start = time.monotonic()
        w.stop()
        check(time.monotonic() - start < 4, "SIGTERM took %.1f s" % (time.monotonic() - start))
        w.saying("sensord: hung: down: ", 1)


def slow_answer():
    """A call that was given up, and then comes back with a reading from before: up comes after down, in time too. When the
    slowest has given its second reading, the others are amid a conversion, whose time is that of their reading."""
    buses = (1, 2, 3)
    with World(["ads1115@%d:0x48" % bus for bus in buses], ["ads1115:i2c-%d/0?rate=%dHz&dr=8&id=%d" % (bus, 8 - bus, bus) for bus in buses]) as w:
        for bus in buses:
            w.count(str(bus), 2)
        w.say(*("stall %d:0x48 5500" % bus for bus in buses))
        for name in map(str, buses):
            down = w.status(name, 0)
            check(down["fault"] == "timeout" and "hangs" in down["reason"], "%r" % down)
            up = w.status(name, 1, w.records.index(down))
            w.count(name, 2, w.records.index(up))
            check(up["timestamp_ns"] > down["timestamp_ns"], "%s: up at %d, down at %d" % (name, up["timestamp_ns"], down["timestamp_ns"]))
        w.stop()
        for name in map(str, buses):
            check([r["fields"]["up"] for r in w.of(name, "status")] == [1, 0, 1], "%r" % w.of(name, "status"))
            w.saying("sensord: %s: up again after " % name, 1)
        w.saying("up again after -", 0)


def strict():
    with World(["mpu6050@0x68,mute"], ["mpu6050:i2c-1"], options=["--strict"]) as w:
        got = w.process.wait(PATIENCE_S)
        check(got == 1, "exit status %d, not 1\n%s" % (got, w.said()))
        w.saying("EREMOTEIO", 1)


# ---- adapters ----------------------------------------------------------------------------------------------------------


def smbus():
    """Adapters without I2C_RDWR, with blocks and without: the same values."""
    sensors = ["mpu6050:i2c-1?rate=50Hz&gyro=250dps&temp=on&id=poll&" + QUICK, "bmp180:i2c-1?rate=20Hz&oss=0&stuck=0&id=bmp",
               "ads1115:i2c-1/2?rate=20Hz&id=ads",
               "mpu6050:i2c-2?mode=fifo&rate=100Hz&gyro=250dps&dlpf=21Hz&id=fifo&bus=400kHz&" + QUICK]
    chips = ["mpu6050@0x68", "bmp180@0x77", "ads1115@0x48", "mpu6050@2:0x68,count gyro_z"]
    for kind in ("--smbus", "--byte"):
        with World(chips, sensors, world=(kind,)) as w:
            for name in ("poll", "bmp", "ads", "fifo"):
                w.count(name, 10)
            w.stop()
            for r in w.of("poll"):
                exactly(r, mpu("4g", 131), "poll " + kind)
            for r in w.of("bmp"):
                exactly(r, {"pressure_Pa": 69964, "temperature_C": 15}, "bmp " + kind)
            for r in w.of("ads"):
                exactly(r, {"voltage_V": 1.5}, "ads " + kind)
            numbers = [number(r, 131) for r in w.of("fifo")]
            check(all((b - a) & 0xFFFF == 1 for a, b in zip(numbers, numbers[1:])), "fifo %s: samples lost: %r" % (kind, numbers))
    # Single bytes: registers of one byte can be had; an ADS1115's, of two, cannot, and nothing is made up.
    with World(chips[:3], sensors[:3], world=("--single",)) as w:
        down = w.status("ads", 0)
        check(down["fault"] == "wrong" and "moves single bytes only" in down["reason"], "ads --single: %r" % down)
        w.count("poll", 10)
        w.count("bmp", 10)
        w.stop()
        check(not w.of("ads"), "ads --single: %r" % w.of("ads"))
        for r in w.of("bmp"):
            exactly(r, {"pressure_Pa": 69964, "temperature_C": 15}, "bmp --single")


def too_fast():
    """A bus that cannot carry the rate is refused, whoever tells its clock: the device tree, bus=, or nobody."""
    sensor = "mpu6050:i2c-1?mode=fifo&rate=1kHz&id=x"
    refused(["mpu6050@0x68"], [sensor], "i2c-1", world=("--clock", "100000"))
    refused(["mpu6050@0x68"], [sensor + "&bus=100kHz"], "i2c-1")
    refused(["mpu6050@0x68"], [sensor], "i2c-1")
    refused(["none@0x50"], ["mpu6050:i2c-1?rate=400Hz&bus=100kHz", "mpu6050:i2c-1@0x69?rate=400Hz&bus=100kHz"], "i2c-1")
    with World(["mpu6050@0x68", "ads1115@0x48"], [sensor + "&" + QUICK, "ads1115:i2c-1/0?rate=500Hz&id=fast"],
               world=("--clock", "400000")) as w:
        w.count("x", 100)
        w.count("fast", 5)
        w.stop()
    refused(["ads1115@0x48"], ["ads1115:i2c-1/0?rate=500Hz"], "if it runs at 400 kHz, say bus=400kHz")
    refused(["ads1115@0x48"], ["ads1115:i2c-1/0?rate=800Hz"], "605 on a bus of 400 kHz (as the device tree says)",
            world=("--clock", "400000"))


def no_bus():
    with World(["none@0x50"], ["mpu6050:i2c-7?id=a"]) as w:
        down = w.status("a", 0)
        check(down["fault"] == "absent" and "i2c-7" in down["reason"], str(down))
        w.stop()


def probe():
    """What answers, by name; a chip that a kernel driver has; nothing is written to any chip."""
    out = os.path.join(T, "probe")
    chips = ["mpu6050@0x68", "bmp180@0x77", "ads1115@0x48", "bmp180@2:0x77,bind bmp280 bmp180", "mpu6050@2:0x69,wrong-id"]
    with open(out, "wb") as stdout, open(out + ".err", "wb") as stderr:
        got = subprocess.run([WORLD, "--report", out + ".report", "-", *chips, "--", os.path.join(BIN, "sensord"), "--probe"],
                             stdout=stdout, stderr=stderr, timeout=PATIENCE_S).returncode
    with open(out) as text:
        text = text.read()
    with open(out + ".err") as err:
        check(got == 0, "exit status %d\n%s" % (got, err.read()))
    for word in ("mpu6050:i2c-1", "bmp180:i2c-1", "ads1115:i2c-1", "iio:bmp180"):
        check(word in text, "no %s in:\n%s" % (word, text))
    check("mpu6050:i2c-2" not in text, "taken for an mpu6050:\n" + text)
    with open(out + ".report") as report:
        for chip in map(json.loads, report):
            check(chip["resets"] <= 1 and chip["forced"] == 0, "touched: %r" % chip)


if __name__ == "__main__":
    main({f.__name__: f for f in (polled, bmp180, ads1115, fifo, unplugged, adapter, sick, transient, hang, slow_answer, strict, smbus,
                                  too_fast, no_bus, probe)})
