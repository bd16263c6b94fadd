"""broker.py - real mosquitto brokers on free loopback ports, their certificates, and subscribers. For tests.

    with Broker(workdir) as broker:            # or Broker(workdir, ["acl_file /x"], tls=Certificates(workdir))
        with Subscriber(broker, "#") as sub:
            ...; sub.messages(3)

Everything is waited for by looking, never by sleeping for a fixed time, and only processes started here are stopped.
"""
import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
SECONDS = 20  # for anything that is waited for


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until(condition, what, seconds=SECONDS):
    """The condition's value once it is true."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("not within %g s: %s" % (seconds, what() if callable(what) else what))
        time.sleep(0.005)


def can_connect(port, host="127.0.0.1"):
    try:
        socket.create_connection((host, port), 1).close()
        return True
    except OSError:
        return False


class Certificates:
    """A CA, and what it signed: made by openssl in `folder`. Names are files: ca.pem, NAME.pem, NAME.key."""

    def __init__(self, folder):
        self.folder = folder
        self.authority("ca")

    def path(self, name):
        return os.path.join(self.folder, name)

    def openssl(self, *words):
        subprocess.run(["openssl", *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def authority(self, name):
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                     "-subj", "/CN=psa test " + name, "-keyout", self.path(name + ".key"),
                     "-out", self.path(name + ".pem"))
        return self.path(name + ".pem")

    def sign(self, name, subject_alt_name, days="2"):
        """A certificate for e.g. "DNS:localhost,IP:127.0.0.1"; days "-1": it has expired."""
        with open(self.path(name + ".ext"), "w", encoding="ascii") as ext:
            ext.write("subjectAltName=%s\n" % subject_alt_name)
        self.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=" + name,
                     "-keyout", self.path(name + ".key"), "-out", self.path(name + ".csr"))
        self.openssl("x509", "-req", "-in", self.path(name + ".csr"), "-CA", self.path("ca.pem"), "-CAkey",
                     self.path("ca.key"), "-CAcreateserial", "-days", days, "-extfile", self.path(name + ".ext"),
                     "-out", self.path(name + ".pem"))


class Broker:
    """mosquitto with a configuration of its own. `lines` are added to it; a port can be given to come back on it."""

    def __init__(self, folder, lines=(), port=None, anonymous=True, unlimited=True):
        self.folder = tempfile.mkdtemp(prefix="broker.", dir=folder)
        self.port = port or free_port()
        self.log = os.path.join(self.folder, "log")
        self.process = None
        conf = ["listener %d 127.0.0.1" % self.port, "allow_anonymous %s" % ("true" if anonymous else "false"),
                "user " + getpass.getuser(), "persistence false", "log_type all", "log_dest stderr"]
        if unlimited:  # a slow subscriber loses nothing
            conf += ["max_queued_messages 0", "max_inflight_messages 0"]
        self.conf = os.path.join(self.folder, "conf")
        with open(self.conf, "w", encoding="utf-8") as out:
            out.write("\n".join(conf + list(lines)) + "\n")

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([MOSQUITTO, "-c", self.conf], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log)
        wait_until(lambda: can_connect(self.port) or self.process.poll() is not None, "the broker does not start")
        if self.process.poll() is not None:
            with open(self.log, encoding="utf-8", errors="replace") as log:
                raise AssertionError("the broker ended: " + log.read()[-2000:])
        return self

    def send_signal(self, number):
        self.process.send_signal(number)

    def pause(self):
        self.send_signal(signal.SIGSTOP)

    def resume(self):
        self.send_signal(signal.SIGCONT)

    def stop(self, number=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.send_signal(signal.SIGCONT)
            self.send_signal(number)
            self.process.wait(SECONDS)

    def kill(self):
        self.stop(signal.SIGKILL)

    def logged(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()


class Message:
    def __init__(self, line):
        topic, retain, qos, payload = line.rstrip("\n").split("\t")
        self.topic, self.retain, self.qos, self.payload = topic, retain == "1", int(qos), bytes.fromhex(payload)

    def __repr__(self):
        return "%s %r" % (self.topic, self.payload[:60])


class Subscriber:
    """mosquitto_sub to topics; what arrived is in .got, in order. It is subscribed when the constructor returns."""

    def __init__(self, broker, *topics, options=(), qos=2):
        at = ["-h", "127.0.0.1", "-p", str(broker.port), *options]
        # A retained message comes back at once to whoever subscribes: that is the sign.
        mark = "psa-test/subscribed/%d" % id(self)
        subprocess.run(["mosquitto_pub", *at, "-r", "-q", "1", "-t", mark, "-m", "x"], check=True, timeout=SECONDS)
        words = ["mosquitto_sub", *at, "-q", str(qos), "-F", "%t\t%r\t%q\t%x"]
        for topic in (*topics, mark):
            words += ["-t", topic]
        self.got, self.ready = [], threading.Event()
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.thread = threading.Thread(target=self.read, args=(mark,), daemon=True)
        self.thread.start()
        assert self.ready.wait(SECONDS), "not subscribed"
        subprocess.run(["mosquitto_pub", *at, "-r", "-q", "1", "-t", mark, "-n"], check=True, timeout=SECONDS)

    def read(self, mark):
        for line in self.process.stdout:
            if line.startswith(mark + "\t"):
                self.ready.set()
            elif not line.startswith("psa-test/"):
                self.got.append(Message(line))

    def messages(self, n, seconds=SECONDS):
        """The first n messages, once they have come."""
        wait_until(lambda: len(self.got) >= n,
                   lambda: "%d of %d messages: %r" % (len(self.got), n, self.got[-3:]), seconds)
        return self.got[:n]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(SECONDS)
        self.thread.join(SECONDS)
        self.process.stdout.close()


def retained(broker, topic, options=()):
    """The retained messages under a topic, now."""
    with Subscriber(broker, topic, options=options) as sub:
        # The broker answers in the order of the topics; whatever is retained under the first has come with the sign.
        return list(sub.got)
