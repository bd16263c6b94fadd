#!/usr/bin/env python3
"""mqtt_check.py CHECK... - psa-mqtt-pub against real mosquitto brokers and a fake one; see mqtt.bats."""
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fault"))
from broker import Broker, Certificates, Subscriber, free_port, retained, wait_until  # noqa: E402
from fake_broker import FakeBroker  # noqa: E402
from psatest import BIN, check, main  # noqa: E402

WORK = os.environ["BATS_TEST_TMPDIR"]
PUB = os.path.join(BIN, "psa-mqtt-pub")
CHECKS = {}


def test(function):
    CHECKS[function.__name__] = function
    return function


class Done:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out.decode(), err.decode(errors="replace")
        found = re.findall(r'^\{"psa_stats".*$', self.err, re.M)
        self.stats = json.loads(found[-1]) if found else None

    def __repr__(self):
        return "status %d, out %r, err %s" % (self.status, self.out[-300:], self.err[-1500:])


def start(broker, *options, env=None, **pipes):
    port = broker if isinstance(broker, int) else broker.port
    words = [PUB, "--host", "127.0.0.1", "--port", str(port), "--stats", "--retry-max", "200ms", *options]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **pipes}
    return subprocess.Popen(words, env={**os.environ, **(env or {})}, **pipes)


def finish(process, data=b"", seconds=30):
    try:
        out, err = process.communicate(data, seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError("not finished: %s" % process.communicate()[1].decode()[-2000:]) from None
    return Done(process.returncode, out, err)


def publish(broker, data, *options, status=0, env=None, seconds=30):
    done = finish(start(broker, *options, env=env), data, seconds)
    check(done.status == status, "status %d expected: %r" % (status, done))
    return done


def counted(process, n):
    """Read counts of --ack up to n."""
    got = 0
    while got < n:
        line = process.stdout.readline()
        check(line, "ended at %d: %s" % (got, process.stderr.read().decode() if not line else ""))
        got = int(line)
    check(got == n, "%d" % got)


def record(number, kind="a", **more):
    return json.dumps({"sensor_type": kind, "sensor_id": "s1", "fields": {"x": number}, **more}).encode()


def lines(n, first=0):
    return [record(i) for i in range(first, first + n)]


def text(parts):
    return b"".join(part + b"\n" for part in parts)


def expect_arrivals(broker, want):
    """At the fake broker: every record at least once, none altered; first arrivals in order."""
    first = list(dict.fromkeys(p.payload for p in broker.published))
    check(first == want, "arrived: %r" % first[:5])


# ---- topics and payloads -------------------------------------------------------------------------------------------


@test
def topics():
    """Default with its suffixes, a template, sanitised values, publish_topic, and what can have no topic."""
    data = text([
        b'{"sensor_type":"accel_gyro","sensor_id":"p1","fields":{}}', b'{"sensor_type":"t","anomaly":{}}',
        b'{"sensor_type":"t","anomaly":{},"alert":{}}', b'{"fields":{}}', b'{"sensor_type":"a+b/c#d$e\\u0001f"}',
        b'{"sensor_type":"t","alert":{},"publish_topic":"my/own"}', b'{"publish_topic":"$SYS/x"}',
        b'{"publish_topic":7}'
    ])
    with Broker(WORK) as broker, Subscriber(broker, "#") as sub:
        done = publish(broker, data, "--ack")
        got = [m.topic for m in sub.messages(6)]
        check(got == ["factory/sensor/accel_gyro", "factory/sensor/t/inference", "factory/sensor/t/alert",
                      "factory/sensor/unknown", "factory/sensor/a_b_c_d_e_f", "my/own"], repr(got))
        check("!7 publish_topic begins with $" in done.out and "!8 publish_topic" in done.out, done.out)
        check(done.out.endswith("8\n"), done.out)
        check(done.stats["rejected"] == {"address": 2} and done.stats["passed"] == 6, repr(done.stats))
        publish(broker, data, "-t", "f/{tags.host}/{sensor_id}", "--no-suffix")
        check([m.topic for m in sub.messages(9)[6:]] == ["f/unknown/p1", "f/unknown/unknown", "f/unknown/unknown"],
              repr(sub.got[6:]))


@test
def payloads():
    """Byte for byte: spaces, 19 digits, 1 MB; at each QoS. NUL bytes cannot be in a record, and are rejected."""
    big = b'{"sensor_type":"big","x":"' + bytes(97 + i % 26 for i in range(1000000)) + b'"}'
    odd = b' {"sensor_type" : "t","timestamp_ns":1710000000000000001,  "x":1.10,"y":"\\u0000\xc3\xa9"} '
    with Broker(WORK) as broker, Subscriber(broker, "#") as sub:
        for qos in "0", "1", "2":
            before = len(sub.got)
            done = publish(broker, text([big, odd, record(1)]) + b'{"x":"\0"}\n', "-q", qos)
            got = sub.messages(before + 3)[before:]
            check([m.payload for m in got] == [big, odd, record(1)], "payloads differ at QoS %s" % qos)
            check(all(m.qos == int(qos) and not m.retain for m in got), "QoS")
            check(done.stats["rejected"] == {"syntax": 1}, repr(done.stats))


@test
def many():
    """70,000 lines, more than there are packet identifiers: each arrives exactly once, in order."""
    data = text(lines(70000))
    with Broker(WORK) as broker, Subscriber(broker, "#") as sub:
        done = publish(broker, data, "--in-flight", "10000", "--ack", seconds=60)
        check(done.out.endswith("\n70000\n") and done.stats["passed"] == 70000, repr(done))
        check(text([m.payload for m in sub.messages(70000, 60)]) == data, "what arrived differs")


@test
def retain_and_status():
    with Broker(WORK) as broker:
        publish(broker, text(lines(2)), "--retain", "-t", "r/{sensor_id}", "--status-topic", "st/line1")
        got = {m.topic: m.payload for m in retained(broker, "#")}
        check(got == {"r/s1": record(1), "st/line1": b"offline"}, "after a clean end: %r" % got)
        with Subscriber(broker, "st/#") as sub:
            process = start(broker, "--status-topic", "st/line1", "--ack")
            process.stdin.write(text(lines(1)))
            process.stdin.flush()
            check([m.payload for m in sub.messages(2)] == [b"offline", b"online"], repr(sub.got))
            process.kill()
            process.wait()
            check([m.payload for m in sub.messages(3)][2] == b"offline", "kill -9: %r" % sub.got)
        check({m.topic: m.payload for m in retained(broker, "st/#")} == {"st/line1": b"offline"}, "not retained")
        with Subscriber(broker, "w") as sub:
            process = start(broker, "--will-topic", "w", "--will-payload", "gone", "--ack")
            process.stdin.write(text(lines(1)))
            process.stdin.flush()
            counted(process, 1)
            process.kill()
            process.wait()
            check(sub.messages(1)[0].payload == b"gone", "will")
            publish(broker, text(lines(1)), "--will-topic", "w", "--will-payload", "not this")
            publish(broker, b'{"publish_topic":"w"}\n')
            check(sub.messages(2)[1].payload == b'{"publish_topic":"w"}', "a clean end has no will")


# ---- --ack ---------------------------------------------------------------------------------------------------------


@test
def ack_lines():
    """Counts include blank, bad and control lines; @ID stands where its checkpoint stood; no control line is sent."""
    data = text([record(1), b"", b"no", b'{"psa":{"heartbeat":5}}', b'{"psa":{"checkpoint":"17"}}', record(2), b""])
    with Broker(WORK) as broker, Subscriber(broker, "#") as sub:
        done = publish(broker, data, "--ack")
        out = done.out.splitlines()
        check(out[-1] == "7" and out.index("@17") == out.index("5") + 1, done.out)
        bad = next(i for i, line in enumerate(out) if line.startswith("!3 "))
        check(all(int(line) < 3 for line in out[:bad] if line.isdigit()), done.out)
        check([m.payload for m in sub.messages(2)] == [record(1), record(2)], repr(sub.got))
        check(done.stats["in"] == 3 and done.stats["control"] == 2, repr(done))
        check(done.stats["rejected"] == {"syntax": 1}, repr(done))
        for qos in "1", "2":
            check(publish(broker, text(lines(3)), "--ack", "-q", qos).out.splitlines()[-1] == "3", "QoS " + qos)
        check(publish(broker, text(lines(3))).out == "", "output without --ack")


@test
def ack_in_turn():
    """An early PUBACK waits for the ones before it."""
    class Late(FakeBroker):
        held = None

        def publish(self, client, packet):
            if packet.payload == record(0):
                self.held = packet
            else:
                client.puback(packet)

    with Late() as broker:
        process = start(broker, "--ack")
        process.stdin.write(text(lines(3)))
        process.stdin.flush()
        wait_until(lambda: len(broker.published) == 3, "three lines")
        with broker.lock:
            broker.clients[0].puback(broker.held)
        counted(process, 3)
        finish(process)


# ---- refusals ------------------------------------------------------------------------------------------------------


class Refusing(FakeBroker):
    """Answers each message of a payload in `reasons` with its reason codes, one after the other, then with success."""

    def __init__(self, reasons):
        super().__init__()
        self.reasons = {payload: list(codes) for payload, codes in reasons.items()}

    def publish(self, client, packet):
        codes = self.reasons.get(packet.payload)
        client.puback(packet, codes.pop(0) if codes else 0)


@test
def hopeless():
    """0x90, 0x95 and 0x99 bury one line each, at QoS 1 and 2; 0x10 is a success."""
    for qos in "1", "2":
        with Refusing({record(1): [0x90], record(2): [0x95], record(3): [0x99], record(4): [0x10]}) as broker:
            done = publish(broker, text(lines(6)), "-q", qos, "--ack")
            buried = [line.split()[0] for line in done.out.splitlines() if line.startswith("!")]
            check(buried == ["!2", "!3", "!4"] and done.out.endswith("\n6\n"), done.out)
            check(done.stats["rejected"] == {"topic": 1, "too_large": 1, "payload_format": 1}, repr(done.stats))
            check(len(broker.published) == 6, "sent again")


@test
def refused():
    """Other refusals keep the line with --ack, and say so; without it the program ends with 4."""
    for code, word in ((0x97, "Quota exceeded (0x97)"), (0x87, "Not authorized (0x87)"), (0x83, "(0x83)"),
                       (0x80, "(0x80)")):
        with Refusing({record(1): [code, code]}) as broker:
            done = publish(broker, text(lines(4)), "--ack")
            check(done.out.splitlines()[-1] == "4" and done.stats["refused"] == 2, repr(done))
            check("refuses line 2: " in done.err and word in done.err and "kept" in done.err, done.err)
            expect_arrivals(broker, lines(4))
    for qos in "1", "2":
        with Refusing({record(1): [0x97] * 9}) as broker:
            done = publish(broker, text(lines(2)), "-q", qos, status=4)
            check("not acknowledged" in done.err, done.err)


@test
def refused_for_long():
    """While a line is refused nothing spins, and lines behind it arrive; then it does."""
    with Refusing({record(0): [0x97] * 6}) as broker:
        begin = time.monotonic()
        done = publish(broker, text(lines(300)), "--ack")
        # Waits of at least half of 100, 200, 200, 200, 200 and 200 ms (--retry-max).
        check(time.monotonic() - begin >= 0.54, "no waits")
        check(done.out.endswith("300\n") and done.stats["refused"] == 6, repr(done))
        check(len(broker.published) == 306, "%d messages" % len(broker.published))


@test
def connack_refused():
    class No(FakeBroker):
        codes = []

        def connack(self, client):
            client.connack(self.codes.pop(0) if self.codes else 0)

    for code, word in ((0x87, "Not authorized (0x87)"), (0x84, "does not speak this version"), (0x85, "(0x85)"),
                       (0x88, "(0x88)")):
        with No() as broker:
            broker.codes = [code, code]
            done = publish(broker, text(lines(2)), "--ack")
            check(word in done.err and "kept" in done.err and "connected to" in done.err, done.err)
            check(done.out.endswith("2\n") and done.stats["refused"] == 2, repr(done))
            broker.codes = [code]
            check(word in publish(broker, text(lines(2)), status=4).err, "without --ack")
    with No() as broker:
        broker.codes = [5, 1]
        done = publish(broker, text(lines(2)), "--ack", "--protocol", "3.1.1")
        check("not authorised (0x05)" in done.err and "does not speak" in done.err, done.err)


@test
def mosquitto_refuses():
    """A wrong password, an ACL, a message too large: real answers of mosquitto."""
    passwords, acl = os.path.join(WORK, "passwords"), os.path.join(WORK, "acl")
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "anna", "right"], check=True, stderr=subprocess.DEVNULL)
    with open(acl, "w", encoding="ascii") as out:
        out.write("user anna\ntopic readwrite factory/#\n")
    os.chmod(passwords, 0o600)
    os.chmod(acl, 0o600)
    right = {"PSA_MQTT_USER": "anna", "PSA_MQTT_PASSWORD": "right"}
    wrong = {**right, "PSA_MQTT_PASSWORD": "wr0ng"}
    conf = ["password_file " + passwords, "acl_file " + acl, "message_size_limit 1000"]
    with Broker(WORK, conf, anonymous=False) as broker:
        done = publish(broker, text(lines(2)), status=4, env=wrong)
        check("refuses" in done.err and "Not authorized" in done.err and "wr0ng" not in done.err, done.err)
        done = publish(broker, text(lines(2)), "--ack", "--drain-timeout", "300ms", status=1, env=wrong)
        check("kept" in done.err and done.out == "", repr(done))
        check("4" not in publish(broker, text(lines(2)), status=4).out, "anonymous")
        publish(broker, text(lines(2)), env=right)
        done = publish(broker, b'{"publish_topic":"other"}\n', status=4, env=right)
        check("refuses line 1: Not authorized (0x87)" in done.err, done.err)
        large = b'{"sensor_type":"a","x":"' + b"y" * 1000 + b'"}'
        for qos in "1", "2":
            done = publish(broker, text([record(1), large, record(2)]), "--ack", "-q", qos, env=right)
            check(done.out.startswith(("1\n!2 ", "!2 ")) and done.out.endswith("3\n"), done.out)
            check(done.stats["rejected"] == {"too_large": 1}, repr(done.stats))
        # credentials from a file, which should be one's own
        name = os.path.join(WORK, "credentials")
        with open(name, "w", encoding="ascii") as out:
            out.write("anna\r\nright\r\n")
        os.chmod(name, 0o644)
        done = publish(broker, text(lines(2)), "--credentials", name, env=wrong)
        check("can be read by others; chmod 600 it" in done.err, done.err)
        os.chmod(name, 0o600)
        check("others" not in publish(broker, text(lines(2)), "--credentials", name).err, "a message for nothing")


@test
def limits_of_the_broker():
    """CONNACK's limits: the largest packet, to the byte; QoS; retained messages."""
    class Limited(FakeBroker):
        properties = b""

        def connack(self, client):
            client.connack(0, False, self.properties)

    with Limited() as broker:
        fits = b'{"publish_topic":"abc","x":"' + b"y" * 100 + b'"}'
        size = 1 + 2 + 2 + 3 + 2 + 1 + len(fits)  # two bytes of remaining length
        broker.properties = b"\x27" + size.to_bytes(4, "big")
        done = publish(broker, text([fits, fits.replace(b"yy", b"yyy", 1), fits]), "--ack")
        check("!2 larger" in done.out and done.stats["rejected"] == {"too_large": 1}, repr(done))
        check([p.payload for p in broker.published] == [fits, fits], "arrived")
        broker.properties = b"\x24\x00"
        check("offers no QoS above 0; give --qos 0" in publish(broker, text(lines(1)), status=2).err, "QoS")
        broker.published.clear()
        publish(broker, text(lines(3)), "-q", "0", "--status-topic", "s")
        # Nobody answers at QoS 0: the program may be gone before the broker has read the last of it.
        wait_until(lambda: len(broker.published) >= 5, lambda: "QoS 0 with a status: %r" % broker.published, 5)
        check([p.payload for p in broker.published] == [b"online", *lines(3), b"offline"], "QoS 0 with a status")
        wait_until(lambda: len(broker.goodbyes) == 2, "DISCONNECT")
        broker.properties = b"\x25\x00"
        done = publish(broker, text(lines(1)), "--retain", "-t", "{sensor_id}", status=2)
        check("keeps no retained messages; --retain needs them" in done.err, done.err)
        broker.properties = b"\x21\x00\x01"  # one message at a time
        check(publish(broker, text(lines(50)), "--ack").out.endswith("50\n"), "receive maximum")


# ---- broken connections --------------------------------------------------------------------------------------------


@test
def dropped_after_each():
    """The client is dropped after each PUBLISH, which is acknowledged only the second time; nothing is lost."""
    class Dropping(FakeBroker):
        seen = set()

        def publish(self, client, packet):
            if packet.payload in self.seen:
                client.puback(packet)
            else:
                self.seen.add(packet.payload)
                client.drop()

    for qos in "1", "2":
        with Dropping() as broker:
            Dropping.seen = set()
            done = publish(broker, text(lines(8)), "--ack", "-q", qos)
            check(done.out.endswith("8\n") and done.stats["reconnects"] >= 8 and done.stats["passed"] == 8, repr(done))
            expect_arrivals(broker, lines(8))
            check("connection to" in done.err and "lost: the broker closed it" in done.err, done.err)


@test
def culprit():
    """DISCONNECT 0x95 because of one of many: that one is found and buried, all others arrive, in order."""
    class Strict(FakeBroker):
        def publish(self, client, packet):
            if packet.payload in (record(3), record(7)):
                client.disconnect(0x95)
            elif client.open:
                client.puback(packet)

    for options in ([], ["--persistent", "--client-id", "me"], ["-q", "2"]):
        with Strict() as broker:
            done = publish(broker, text(lines(12)), "--ack", *options)
            buried = [line.split()[0] for line in done.out.splitlines() if line.startswith("!")]
            check(buried == ["!4", "!8"] and done.out.endswith("12\n"), repr(done))
            check(done.stats["passed"] == 10 and done.stats["rejected"] == {"too_large": 2}, repr(done.stats))
            expect_arrivals(broker, lines(12))


@test
def breaking_line():
    """A line that breaks the connection without a word is not buried; those before it pass, and it is named."""
    class Mute(FakeBroker):
        def publish(self, client, packet):
            if packet.payload == record(3):
                client.drop()
            elif client.open:
                client.puback(packet)

    with Mute() as broker:
        done = publish(broker, text(lines(6)), "--ack", "--drain-timeout", "2s", "--protocol", "3.1.1", status=1)
        check(done.out.splitlines()[-1] == "3" and "!" not in done.out, done.out)
        check("input:4: the connection breaks each time it is sent" in done.err, done.err)
        check("3 of 6 records were not acknowledged" in done.err, done.err)


@test
def exactly_once_restart():
    """QoS 2, death between PUBREC and PUBCOMP. Without the session: PUBLISH again. With it: PUBREL, and no PUBLISH."""
    class Dying(FakeBroker):
        died = False

        def pubrel(self, client, mid):
            if not self.died:
                self.died = True
                client.drop()
            elif client.open:
                super().pubrel(client, mid)

    class Forgetting(Dying):
        def connack(self, client):
            if self.died:
                self.sessions.clear()
            super().connack(client)

    persistent = ["--persistent", "--client-id", "me", "--session-expiry", "1h"]
    for protocol in "5", "3.1.1":
        options = persistent if protocol == "5" else persistent[:3]
        with Dying() as broker:  # a clean session: everything anew
            done = publish(broker, text(lines(3)), "-q", "2", "--ack", "--protocol", protocol)
            check(done.out.endswith("3\n") and len(broker.connects) == 2, repr(done))
            check([p.payload for p in broker.published if p.connection == 1][:1] == [record(0)], "PUBLISH again")
            check(not any(p.dup for p in broker.published), "DUP on a new session")
        with Dying() as broker:  # resumed
            done = publish(broker, text(lines(3)), "-q", "2", "--ack", "--protocol", protocol, *options)
            check(done.out.endswith("3\n"), repr(done))
            wipe, first, second = broker.connects
            check(wipe.clean and not first.clean and not second.clean, "clean start")
            check(first.expiry == (3600 if protocol == "5" else None) and not wipe.expiry, repr(first.expiry))
            again = [p for p in broker.published if p.connection == 2]
            check(all(p.dup for p in again) and record(0) not in [p.payload for p in again], "not resumed: %r" % again)
            check(any(number == 2 for number, _ in broker.released), "PUBREL again")
        with Forgetting() as broker:  # the broker has lost the session
            done = publish(broker, text(lines(3)), "-q", "2", "--ack", "--protocol", protocol, *options)
            check(done.out.endswith("3\n") and "has lost the session" in done.err, repr(done))
            check(not any(p.connection == 2 for p in broker.published), "something left on the stale client")
            last = [p for p in broker.published if p.connection == 3]
            check([p.payload for p in last] == lines(3) and not any(p.dup for p in last), "PUBLISH anew: %r" % last)


@test
def absent_then_present():
    """No broker at the start: one message, no end of trying, delivery once it is there. Killed and restarted, too."""
    port = free_port()
    process = start(port, "--ack")
    process.stdin.write(text(lines(3)))
    process.stdin.flush()
    said = b"cannot connect to 127.0.0.1:%d: Connection refused; trying again" % port
    check(said in process.stderr.readline(), "said")
    with Broker(WORK, port=port) as broker, Subscriber(broker, "#") as sub:
        counted(process, 3)
        check([m.payload for m in sub.messages(3)] == lines(3), "arrived")
        check(b"connected to" in process.stderr.readline(), "said")
        broker.kill()
        check(b"lost: " in process.stderr.readline(), "lost")
        process.stdin.write(text(lines(3, 3)))
        process.stdin.flush()
    with Broker(WORK, port=port) as broker, Subscriber(broker, "#") as sub:
        counted(process, 6)
        done = finish(process)
        check(done.status == 0 and done.stats["reconnects"] >= 1, repr(done))
        check(done.err.count("cannot connect") <= 1, "said again and again: " + done.err)


@test
def killed_in_the_middle():
    """mosquitto dies among 20,000 lines and comes back without its memory; at each QoS and kind of session all pass."""
    name = os.path.join(WORK, "lines")
    with open(name, "wb") as out:
        out.write(text(lines(20000)))
    for options in (["-q", "1"], ["-q", "2"], ["-q", "2", "--persistent", "--client-id", "me"]):
        with Broker(WORK) as broker:
            process = start(broker, "--ack", *options, name)
            while int(process.stdout.readline()) < 2000:
                pass
            broker.kill()
            broker.start()
            done = finish(process)
            check(done.status == 0 and done.out.endswith("\n20000\n") and done.stats["passed"] == 20000, repr(done))
            check(done.stats["reconnects"] == 1, repr(done))


@test
def unreachable():
    """A host without an address, a port where nobody answers: bounded by the drain timeout, never blocking."""
    done = publish(free_port(), text(lines(4)), "--ack", "--drain-timeout", "300ms", status=1)
    check("4 of 4 records were not acknowledged by the end" in done.err and done.out == "", repr(done))
    process = subprocess.Popen([PUB, "--host", "no-such-host.invalid", "--drain-timeout", "200ms"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    done = finish(process, text(lines(1)), 15)
    check(done.status == 1 and "not acknowledged" in done.err, repr(done))


@test
def every_address():
    """A name with an address of each kind, where only one of them answers: either way round it is found."""
    hosts = os.path.join(WORK, "hosts")
    with open(hosts, "w", encoding="ascii") as out:
        out.write("::1 both.test\n127.0.0.1 both.test\n")
    own_hosts = ["unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', hosts]
    if subprocess.run([*own_hosts, "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        print("# not run: no right to another /etc/hosts")
        return
    for address in "127.0.0.1", "::1":
        with FakeBroker(address=address) as broker:
            process = subprocess.Popen([*own_hosts, PUB, "--host", "both.test", "--port", str(broker.port)],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            done = finish(process, text(lines(1)))
            check(done.status == 0 and done.err == "", repr(done))


@test
def never_answers():
    """The drain timeout ends the wait for answers, with a count; a broker that is silent from the start is left."""
    class Mute(FakeBroker):
        def publish(self, client, packet):
            if packet.payload == record(0):
                client.puback(packet)

    class Deaf(FakeBroker):
        def connack(self, client):
            pass

    with Mute() as broker:
        done = publish(broker, text(lines(5)), "--drain-timeout", "300ms", status=1)
        check("4 of 5 records were not acknowledged by the end; they are lost" in done.err, done.err)
        check(done.stats["dropped"] == {"unacknowledged": 4}, repr(done.stats))
        wait_until(lambda: broker.goodbyes, "DISCONNECT")
    with Deaf() as broker:
        done = publish(broker, text(lines(1)), "--connect-timeout", "100ms", "--drain-timeout", "1s", "--ack", status=1)
        check("no answer within 0.1 s; trying again" in done.err and len(broker.connects) > 2, done.err)


@test
def keepalive():
    """A broker that is stopped (SIGSTOP) is noticed by the keepalive; when it goes on, so does the rest."""
    with Broker(WORK) as broker:
        process = start(broker, "--ack", "--keepalive", "5s", "--connect-timeout", "1s")
        process.stdin.write(text(lines(1)))
        process.stdin.flush()
        counted(process, 1)
        broker.pause()
        process.stdin.write(text(lines(1, 1)))
        process.stdin.flush()
        check(b"no sign of life within the keepalive of 5 s" in process.stderr.readline(), "not noticed")
        broker.resume()
        counted(process, 2)
        check(finish(process).status == 0, "status")


# ---- TLS -----------------------------------------------------------------------------------------------------------


@test
def tls():
    made = Certificates(WORK)
    made.sign("good", "DNS:localhost,IP:127.0.0.1")
    made.sign("other", "DNS:elsewhere.example")
    made.sign("old", "IP:127.0.0.1", "-1")
    made.sign("me", "DNS:me")
    wrong_ca = made.authority("stranger")
    data = text(lines(3))

    def conf(name, *more):
        return ["cafile " + made.path("ca.pem"), "certfile " + made.path(name + ".pem"),
                "keyfile " + made.path(name + ".key"), *more]

    def pub(broker, *options, host="127.0.0.1", status=0, ca=made.path("ca.pem")):
        process = start(broker, "--host", host, *(["--ca", ca] if ca else []), *options)
        done = finish(process, data)
        check(done.status == status, "status %d expected: %r" % (status, done))
        return done

    with Broker(WORK, conf("good")) as broker:
        with Subscriber(broker, "#", options=["--cafile", made.path("ca.pem")]) as sub:
            pub(broker)
            pub(broker, host="localhost")
            pub(broker, "--tls-version", "1.3")
            pub(broker, "--tls-version", "1.2", "-q", "2")
            pub(broker, "--tls-min", "1.3", "-q", "0")
            check([m.payload for m in sub.messages(15)] == lines(3) * 5, "arrived")
        check("--ca-path is not the authority" in pub(broker, ca=wrong_ca, status=4).err, "wrong CA")
        check("give the authority that signed it by --ca" in pub(broker, "--tls", ca=None, status=4).err, "system CAs")
        done = pub(broker, "--ack", "--drain-timeout", "500ms", ca=wrong_ca, status=1)
        check("kept, and tried again later" in done.err and done.stats["refused"] > 1, repr(done))
        check("want TLS?" in pub(broker, "--drain-timeout", "500ms", ca=None, status=1).err, "no TLS to a TLS port")
        check("cannot be used" in pub(broker, ca="/nonexistent", status=2).err, "no CA file")
    with Broker(WORK, conf("other")) as broker:  # a good certificate, for another host
        check("IP address mismatch; it was made out to another name" in pub(broker, status=4).err, "wrong address")
        check("hostname mismatch" in pub(broker, host="localhost", status=4).err, "wrong host")
    with Broker(WORK, conf("old")) as broker:
        check("expired; is this machine's clock right?" in pub(broker, status=4).err, "expired")
    with Broker(WORK, conf("good", "tls_version tlsv1.3")) as broker:
        check("no version of TLS that both sides allow" in pub(broker, "--tls-version", "1.2", status=4).err, "version")
        pub(broker)
    with Broker(WORK, conf("good", "require_certificate true")) as broker:
        # In TLS 1.3 the refusal comes behind the handshake, and may be lost with the connection: a new try follows.
        done = finish(start(broker, "--ca", made.path("ca.pem"), "--drain-timeout", "500ms"), data)
        check("(--cert)" in done.err and done.status in (1, 4), repr(done))
        check("--cert" in pub(broker, "--tls-version", "1.2", status=4).err, "no client certificate, TLS 1.2")
        pub(broker, "--cert", made.path("me.pem"), "--key", made.path("me.key"))
        done = pub(broker, "--cert", made.path("me.pem"), "--key", made.path("good.key"), status=2)
        check("does not belong" in done.err, done.err)
    with Broker(WORK) as broker:
        check("is this its TLS port" in pub(broker, "--drain-timeout", "500ms", status=1).err, "TLS to a plain port")


# ---- Home Assistant ------------------------------------------------------------------------------------------------


@test
def discovery():
    data = text([
        b'{"sensor_type":"accel_gyro","sensor_model":"MPU6050","sensor_id":"p1","fields":'
        b'{"accel_x":1,"gyro_x":2,"block":[1]}}',
        b'{"sensor_type":"accel_gyro","sensor_id":"p1","fields":{"accel_x":1,"gyro_x":2}}',
        b'{"sensor_type":"dht11","sensor_id":"k 2","fields":{"temperature_C":20.5,"humidity_pct":null,"od\'d.name":1}}',
        b'{"sensor_type":"accel_gyro","sensor_id":"p1","fields":{"accel_x_rms":3,"anomaly_score":0.5},"anomaly":{}}',
        b'{"sensor_type":"status","sensor_id":"p1","fields":{"up":1}}', b'{"sensor_type":"a","fields":{"no_id":1}}',
        b'{"sensor_type":"p","sensor_id":"3","fields":{"pressure_Pa":1},"alert":{}}'
    ])
    topic = "f/{sensor_id}/{sensor_type}"
    with Broker(WORK) as broker:
        done = publish(broker, data, "--ha-discovery", "-t", topic, "--status-topic", "st", "--ack")
        check(done.out.endswith("7\n") and done.stats["passed"] == 7, repr(done))
        got = {m.topic: json.loads(m.payload) for m in retained(broker, "homeassistant/#")}
    check(len(got) == 7, "announced: %s" % "\n".join(got))
    accel = got["homeassistant/sensor/accel_gyro_p1_accel_x/config"]
    check(accel == {"name": "accel_x", "unique_id": "psa_accel_gyro_p1_accel_x", "state_topic": "f/p1/accel_gyro",
                    "value_template": "{{ value_json.fields.accel_x }}", "unit_of_measurement": "g",
                    "state_class": "measurement", "availability_topic": "st",
                    "device": {"identifiers": ["psa_accel_gyro_p1"], "name": "p1 accel_gyro", "model": "MPU6050"}},
          repr(accel))
    check(got["homeassistant/sensor/accel_gyro_p1_gyro_x/config"]["unit_of_measurement"] == "\u00b0/s", "gyro")
    rms = got["homeassistant/sensor/accel_gyro_p1_accel_x_rms/config"]
    check(rms["unit_of_measurement"] == "g" and rms["state_topic"] == "f/p1/accel_gyro/inference", repr(rms))
    check("unit_of_measurement" not in got["homeassistant/sensor/accel_gyro_p1_anomaly_score/config"], "score")
    kitchen = {c["name"]: (name, c) for name, c in got.items() if c["device"]["name"] == "k 2 dht11"}
    check(kitchen["temperature_C"][1]["unit_of_measurement"] == "\u00b0C" and
          kitchen["temperature_C"][1]["device_class"] == "temperature", repr(kitchen))
    check(kitchen["humidity_pct"][1]["device_class"] == "humidity", repr(kitchen))
    check(kitchen["od'd.name"][1]["value_template"] == "{{ value_json.fields['od\\'d.name'] }}", repr(kitchen))
    check(re.fullmatch(r"homeassistant/sensor/dht11_k_2_temperature_C_[0-9a-f]{8}/config", kitchen["temperature_C"][0]),
          kitchen["temperature_C"][0])
    many_sensors = text([record(i, kind="k%d" % i) for i in range(40)])
    with Broker(WORK) as broker:
        options = ["--ha-discovery", "--ha-prefix", "ha/x", "-t", topic, "--max-sensors", "30"]
        done = publish(broker, many_sensors, *options)
        check(len(retained(broker, "ha/x/#")) == 30 and "more than --max-sensors 30" in done.err, done.err)


@test
def discovery_again():
    """After each connection everything is announced anew: it may be another broker."""
    with FakeBroker() as broker:
        process = start(broker, "--ha-discovery", "-t", "{sensor_id}", "--status-topic", "st", "--ack")
        process.stdin.write(text(lines(1)))
        process.stdin.flush()
        wait_until(lambda: len(broker.published) == 3, "announced")
        with broker.lock:
            broker.clients[0].drop()
        wait_until(lambda: len(broker.published) == 5, "announced again")
        done = finish(process)
        check(done.status == 0 and done.stats["passed"] == 1, repr(done))
        topics_seen = sorted(p.topic for p in broker.published)
        check(topics_seen == ["homeassistant/sensor/a_s1_x/config"] * 2 + ["s1"] + ["st"] * 3, repr(topics_seen))
        check(all(p.retain and p.qos == 1 for p in broker.published if p.topic != "s1"), "retained")


# ---- the rest ------------------------------------------------------------------------------------------------------


@test
def connect_packet():
    """What CONNECT says: client id, credentials, keepalive, will, protocol."""
    with FakeBroker() as broker:
        env = {"PSA_MQTT_USER": "u", "PSA_MQTT_PASSWORD": "p w"}
        publish(broker, text(lines(1)), "--client-id", "me", "--keepalive", "7s", "--status-topic", "s/t", env=env)
        publish(broker, text(lines(1)), "--protocol", "3.1.1")
        publish(broker, text(lines(1)), "--will-topic", "w", "-q", "2")
        first, second, third = broker.connects
        check((first.level, first.client_id, first.user, first.password, first.keepalive, first.clean, first.will) ==
              (5, "me", "u", "p w", 7, True, ("s/t", b"offline", 1, True)), repr(vars(first)))
        check(second.level == 4 and re.fullmatch(r"psa-[0-9a-f]{15}", second.client_id) and second.will is None and
              second.user is None and second.keepalive == 60, repr(vars(second)))
        check(third.will == ("w", b"", 2, False) and third.client_id != second.client_id, repr(vars(third)))
        wait_until(lambda: len(broker.goodbyes) == 3, "DISCONNECT")


@test
def window():
    """Never more on their way than --in-flight, also when nothing is answered."""
    class Holding(FakeBroker):
        held = []

        def publish(self, client, packet):
            self.held.append((client, packet))

    with Holding() as broker:
        process = start(broker, "--ack", "--in-flight", "7")
        feeder = threading.Thread(target=lambda: (process.stdin.write(text(lines(100))), process.stdin.flush()))
        feeder.start()
        begin = time.monotonic()
        for done in range(0, 100, 7):
            wait_until(lambda done=done: len(broker.published) == min(done + 7, 100), "%d" % done)
            with broker.lock:
                for client, packet in broker.held:
                    client.puback(packet)
                broker.held.clear()
        feeder.join()
        check(finish(process).out.splitlines()[-1] == "100", "the last count")
        check(time.monotonic() - begin < 7, "lines that were read waited for the next second")


@test
def at_once():
    """A line is published when it is there, with more input to come; SIGTERM delivers what was read and exits 0."""
    with Broker(WORK) as broker, Subscriber(broker, "#") as sub:
        process = start(broker, "-q", "0", "--in-flight", "2")
        process.stdin.write(text(lines(5)))
        process.stdin.flush()
        check([m.payload for m in sub.messages(5, 5)] == lines(5), "arrived")
        process.send_signal(signal.SIGTERM)
        check(finish(process).status == 0, "status")


main(CHECKS)
