"""session_subscriber.py - a subscriber with a persistent session that comes back whenever it is disconnected.

    with SessionSubscriber(port, "#") as sub: ...; sub.seen

MQTT 5, QoS 1, clean start 0, a session that never expires. A message is noted before it is acknowledged, so whatever the
broker takes for delivered is in .seen: payload -> how often it came.
"""
import collections
import socket
import struct
import threading

from recording_proxy import CONNACK, PUBLISH, CHUNK, message, packets

SUBACK = 9
CONNECT_SECONDS = 5
KEEPALIVE_S = 60


def text(value):
    return struct.pack(">H", len(value)) + value


def packet(first, body):
    length, out = len(body), bytes([first])
    while True:
        out += bytes([length % 128 | (128 if length >= 128 else 0)])
        length //= 128
        if not length:
            return out + body


class SessionSubscriber:
    def __init__(self, port, topic, user=None, password=None, client_id="subscriber"):
        self.address, self.topic = ("127.0.0.1", port), topic.encode()
        self.user, self.password, self.client_id = user, password, client_id.encode()
        self.seen = collections.Counter()
        self.connections, self.resumed, self.messages = 0, 0, 0
        self.sock, self.ending, self.subscribed = None, threading.Event(), threading.Event()
        self.here = threading.Event()
        self.here.set()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def connect_packet(self):
        flags, last = 0, b""
        if self.user:
            flags, last = 0xC0, text(self.user.encode()) + text(self.password.encode())
        properties = b"\x11\xff\xff\xff\xff"  # session expiry: never
        body = text(b"MQTT") + bytes([5, flags]) + struct.pack(">H", KEEPALIVE_S)
        return packet(0x10, body + bytes([len(properties)]) + properties + text(self.client_id) + last)

    def run(self):
        while not self.ending.is_set():
            self.here.wait()
            try:
                with socket.create_connection(self.address, CONNECT_SECONDS) as self.sock:
                    self.sock.settimeout(CONNECT_SECONDS)
                    self.sock.sendall(self.connect_packet())
                    self.serve(self.sock)
            except OSError:
                pass
            self.subscribed.clear()
            self.ending.wait(0.02)  # before the next try

    def leave(self):
        """Hang up, and stay away."""
        self.here.clear()
        self.hang_up()

    def come_back(self):
        self.here.set()

    def hang_up(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except (OSError, AttributeError):
            pass

    def serve(self, sock):
        rest = b""
        while not self.ending.is_set():
            try:
                data = sock.recv(CHUNK)
            except socket.timeout:
                if not self.subscribed.is_set():
                    return
                sock.sendall(b"\xc0\x00")  # PINGREQ
                continue
            if not data:
                return
            data, done, out = rest + data, 0, []
            for first, body, end in packets(data):
                if first >> 4 == PUBLISH:
                    mid, _, payload = message(data, first, body, end, 5)
                    self.seen[payload] += 1
                    self.messages += 1
                    if mid is not None:
                        out.append(b"\x40\x02" + struct.pack(">H", mid))
                elif first >> 4 == CONNACK:
                    out.append(self.welcome(data[body], data[body + 1]))
                elif first >> 4 == SUBACK:
                    self.subscribed.set()
                done = end
            rest = data[done:]
            if out:
                sock.sendall(b"".join(out))

    def welcome(self, resumed, reason):
        if reason:
            raise ConnectionRefusedError(reason)
        self.connections += 1
        self.resumed += resumed & 1
        return packet(0x82, b"\x00\x01\x00" + text(self.topic) + b"\x01")

    def __enter__(self):
        self.thread.start()
        assert self.subscribed.wait(20), "not subscribed"
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.here.set()
        self.hang_up()
        self.thread.join(CONNECT_SECONDS + 1)
