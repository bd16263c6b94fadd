"""fake_broker.py - an MQTT broker that behaves as badly as a test wants; MQTT 3.1.1 and 5, QoS 0 to 2, no subscribers.

    class Dropping(FakeBroker):
        def publish(self, client, packet):
            client.drop()

    with Dropping() as broker: ...; broker.port; broker.published; broker.connects

Each of connack, publish, pubrel and ping may be replaced; what they do by default is what a good broker does. All calls
come from one thread per connection, under the broker's lock.
"""
import socket
import struct
import threading

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = range(1, 8)
PINGREQ, PINGRESP, DISCONNECT = 12, 13, 14


def varint(value):
    out = b""
    while True:
        out += bytes([value % 128 | (128 if value >= 128 else 0)])
        value //= 128
        if not value:
            return out


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        self.at += n
        return self.data[self.at - n:self.at]

    def byte(self):
        return self.take(1)[0]

    def short(self):
        return struct.unpack(">H", self.take(2))[0]

    def text(self):
        return self.take(self.short())

    def varint(self):
        value, shift = 0, 0
        while True:
            byte = self.byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def properties(self):
        return self.take(self.varint())


class Connect:
    def __init__(self, body):
        r = Reader(body)
        r.text()
        self.level, flags, self.keepalive = r.byte(), r.byte(), r.short()
        self.clean = bool(flags & 2)
        self.properties = r.properties() if self.level == 5 else b""
        # 0x11: session expiry interval
        self.expiry = next((struct.unpack(">I", self.properties[i + 1:i + 5])[0]
                            for i in range(len(self.properties)) if self.properties[i] == 0x11), None)
        self.client_id = r.text().decode()
        self.will = None
        if flags & 4:
            if self.level == 5:
                r.properties()
            self.will = (r.text().decode(), r.text(), flags >> 3 & 3, bool(flags & 32))
        self.user = r.text().decode() if flags & 128 else None
        self.password = r.text().decode() if flags & 64 else None


class Publish:
    def __init__(self, flags, body, level, connection):
        r = Reader(body)
        self.dup, self.qos, self.retain = bool(flags & 8), flags >> 1 & 3, bool(flags & 1)
        self.topic = r.text().decode()
        self.mid = r.short() if self.qos else 0
        if level == 5:
            r.properties()
        self.payload = body[r.at:]
        self.connection = connection


class Client:
    """One connection."""

    def __init__(self, broker, sock, number):
        self.broker, self.sock, self.number = broker, sock, number
        self.connect, self.open = None, True

    def send(self, kind, body, flags=0):
        try:
            self.sock.sendall(bytes([kind << 4 | flags]) + varint(len(body)) + body)
        except OSError:
            self.open = False

    def connack(self, code=0, present=False, properties=b""):
        body = bytes([present, code])
        self.send(CONNACK, body + varint(len(properties)) + properties if self.connect.level == 5 else body)

    def answer(self, kind, mid, reason=0):
        body = struct.pack(">H", mid) + (bytes([reason]) if reason and self.connect.level == 5 else b"")
        self.send(kind, body, 2 if kind == PUBREL else 0)

    def puback(self, packet, reason=0):
        if packet.qos:
            self.answer(PUBACK if packet.qos == 1 else PUBREC, packet.mid, reason)

    def disconnect(self, reason):
        self.send(DISCONNECT, bytes([reason]))
        self.drop()

    def drop(self):
        self.open = False
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def exactly(self, n):
        data = b""
        while len(data) < n:
            more = self.sock.recv(n - len(data))
            if not more:
                raise ConnectionError
            data += more
        return data

    def packet(self):
        first, length, shift = self.exactly(1)[0], 0, 0
        while True:
            byte = self.exactly(1)[0]
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return first >> 4, first & 15, self.exactly(length)

    def serve(self):
        try:
            while self.open:
                kind, flags, body = self.packet()
                with self.broker.lock:
                    self.handle(kind, flags, body)
        except (OSError, IndexError, struct.error):
            pass
        # Closed only here, after what the other side still sends was read: otherwise it would see a reset.
        try:
            self.sock.settimeout(2)
            while not self.open and self.sock.recv(65536):
                pass
        except OSError:
            pass
        self.sock.close()

    def handle(self, kind, flags, body):
        broker = self.broker
        if kind == CONNECT:
            self.connect = Connect(body)
            broker.connects.append(self.connect)
            broker.connack(self)
        elif kind == PUBLISH:
            packet = Publish(flags, body, self.connect.level, self.number)
            broker.published.append(packet)
            broker.publish(self, packet)
        elif kind == PUBREL:
            broker.released.append((self.number, struct.unpack(">H", body[:2])[0]))
            broker.pubrel(self, broker.released[-1][1])
        elif kind == PINGREQ:
            broker.pings += 1
            broker.ping(self)
        elif kind == DISCONNECT:
            broker.goodbyes.append(body)
            self.open = False


class FakeBroker:
    def __init__(self, port=0, address="127.0.0.1"):
        self.lock = threading.RLock()
        self.connects, self.published, self.released, self.goodbyes, self.pings = [], [], [], [], 0
        self.sessions = set()
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.listener = socket.create_server((address, port), family=family)
        self.port = self.listener.getsockname()[1]
        self.clients = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client = Client(self, sock, len(self.clients))
            self.clients.append(client)
            threading.Thread(target=client.serve, daemon=True).start()

    # What a good broker does.

    def connack(self, client):
        name, clean = client.connect.client_id, client.connect.clean
        client.connack(0, not clean and name in self.sessions)
        (self.sessions.discard if clean else self.sessions.add)(name)

    def publish(self, client, packet):
        client.puback(packet)

    def pubrel(self, client, mid):
        client.answer(PUBCOMP, mid)

    def ping(self, client):
        client.send(PINGRESP, b"")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        for client in self.clients:
            client.drop()
