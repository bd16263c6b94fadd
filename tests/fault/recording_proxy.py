"""recording_proxy.py - stands between MQTT clients and a broker, and writes down what both say; and disturbs them.

    with RecordingProxy(broker.port) as proxy: ...; proxy.port; proxy.acked; proxy.links[0].answers

What a message's payload was, when it was acknowledged with a success (a reason below 0x80) and for how many of its
PUBLISHes: at QoS 1 by PUBACK, at QoS 2 by PUBCOMP. An answer is written down before it is handed on, so whoever acts on
it acts later. MQTT 3.1.1 and 5, any number of connections, a message at a time; what is torn in the middle is not
handed on. opaque=True: bytes, of which nothing is known (TLS).

Disturbances: hold/release (nothing but CONNECT and CONNACK is handed on; hold_at does so by itself after a number of
acknowledged messages), mute/unmute (the broker's answers, CONNACK excepted, are written down and lost), cut
(connections are reset), refuse/admit (new ones are).
"""
import socket
import struct
import threading
import time

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, DISCONNECT = 1, 2, 3, 4, 5, 6, 7, 14
CHUNK = 1 << 18  # bytes read at a time
HOPELESS = (0x90, 0x95, 0x99)  # topic name invalid, packet too large, payload format invalid: it can never pass
ESTABLISHED = 1  # the first byte of TCP_INFO
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close at once, with a reset


def packets(data):
    """(first byte, begin and end of the body) of each whole packet."""
    at, size = 0, len(data)
    while size - at >= 2:
        length, body = data[at + 1], at + 2
        if length & 128:
            length, shift, body = 0, 0, at + 1
            while True:
                if body == size or shift > 21:
                    return
                byte = data[body]
                length |= (byte & 127) << shift
                body, shift = body + 1, shift + 7
                if byte < 128:
                    break
        end = body + length
        if end > size:
            return
        yield data[at], body, end
        at = end


def past_properties(data, at):
    """Where the properties that begin there end."""
    length, shift = 0, 0
    while True:
        byte = data[at]
        length |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return at + length


def message(data, first, body, end, level):
    """Packet identifier (None at QoS 0), topic and payload of a PUBLISH."""
    at = body + 2 + (data[body] << 8 | data[body + 1])
    topic, mid = data[body + 2:at], None
    if first & 6:
        mid = data[at] << 8 | data[at + 1]
        at += 2
    if level == 5:
        at = past_properties(data, at)
    return mid, topic, data[at:end]


class Link:
    """One connection through the proxy. Times are time.time()."""

    def __init__(self, number, client, server):
        self.number, self.client, self.server = number, client, server
        self.opened, self.closed = time.time(), None
        self.level, self.client_id, self.connack, self.resumed, self.goodbye = 4, None, None, False, None
        self.published = []  # (when, packet identifier, topic, payload)
        self.answers = []    # (when, kind, packet identifier, reason, payload or None)
        self.open = {}       # packet identifier: payload not yet acknowledged
        self.writing = threading.Lock()  # to the client
        self.pumps, self.cut, self.welcomed, self.ended = 2, False, False, threading.Event()

    def client_left(self):
        """Whether the client has closed the connection, even while what it said last waits to be read."""
        try:
            state = self.client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
            return self.closed is not None or state != ESTABLISHED
        except OSError:
            return True

    def interrupt(self, how):
        for side in self.client, self.server:
            try:
                side.shutdown(how)
            except OSError:
                pass


class RecordingProxy:
    def __init__(self, target, port=0, opaque=False, swallow=None):
        """swallow(payload): whether a PUBLISH is kept from the broker and falsely acknowledged."""
        self.target, self.opaque, self.swallow = target, opaque, swallow
        self.lock = threading.Lock()
        self.links = []
        self.acked = {}       # payload: when first acknowledged with a success
        self.sent = {}        # payload: how often seen as PUBLISH
        self.hopeless = {}    # payload: the reason for which it can never pass
        self.refusals = []    # (when, reason, payload; None: the connection)
        self.pubacks, self.muted, self.turned_away, self.resets = 0, 0, 0, 0
        self.hold_when, self.reached = None, False
        self.going, self.muting, self.refusing, self.closing = threading.Event(), False, False, False
        self.going.set()
        self.sessions = {}    # client id: its open messages
        self.listener = socket.create_server(("127.0.0.1", port), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.acceptor = threading.Thread(target=self.accept, daemon=True)
        self.acceptor.start()

    # ---- disturbances ------------------------------------------------------------------------------------------------

    def hold_at(self, count):
        """Hold everything once so many different messages are acknowledged, until another count (None: none) is given
        and all is released; .reached tells."""
        with self.lock:
            self.hold_when, self.reached = count, False
            self.look_at_count()

    def look_at_count(self):
        if self.hold_when is not None and len(self.acked) >= self.hold_when:
            self.hold_when, self.reached = None, True
            self.going.clear()

    def hold(self):
        self.going.clear()

    def release(self):
        with self.lock:
            if not self.reached:
                self.going.set()

    def mute(self):
        self.muting = True

    def unmute(self):
        self.muting = False

    def refuse(self):
        self.refusing = True

    def admit(self):
        self.refusing = False

    def cut(self):
        """Reset all connections; how many there were."""
        with self.lock:
            links = [link for link in self.links if link.closed is None]
            self.resets += len(links)
        for link in links:
            link.cut = True
            for side in link.client, link.server:
                try:
                    side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                except OSError:
                    pass
            link.interrupt(socket.SHUT_RD)  # wakes our readers; the other side hears of it by the reset only
        for link in links:
            if not link.ended.wait(0.5):  # stuck while writing
                link.interrupt(socket.SHUT_RDWR)
        return len(links)

    # ---- what is seen ------------------------------------------------------------------------------------------------

    def connected(self):
        """Connections that the client has open, and that the broker has accepted."""
        return [link for link in self.links if (self.opaque or link.connack == 0) and not link.client_left()]

    def from_client(self, link, data):
        """Note what the client says; how much of it is whole, and what of that to hand on (None: all)."""
        done, parts, now = 0, None, time.time()
        for first, body, end in packets(data):
            kind = first >> 4
            if kind == PUBLISH:
                mid, topic, payload = message(data, first, body, end, link.level)
                link.published.append((now, mid, topic, payload))
                self.sent[payload] = self.sent.get(payload, 0) + 1
                if mid is not None:
                    link.open[mid] = payload
                    if self.swallow and self.swallow(payload):
                        parts = [data[:done]] if parts is None else parts
                        self.falsely_acknowledge(link, mid, now)
                        done = end
                        continue
            elif kind == CONNECT:
                name = data[body:end]
                link.level = name[6]
                after = past_properties(name, 10) if link.level == 5 else 10
                link.client_id = name[after + 2:after + 2 + (name[after] << 8 | name[after + 1])]
            elif kind == DISCONNECT:
                link.goodbye = "client"
            if parts is not None:
                parts.append(data[done:end])
            done = end
        return done, parts

    def falsely_acknowledge(self, link, mid, now):
        self.answered(link, PUBACK, mid, 0, now)
        with link.writing:
            link.client.sendall(b"\x40\x02" + struct.pack(">H", mid))

    def from_broker(self, link, data):
        done, now, held = 0, time.time(), self.reached
        for first, body, end in packets(data):
            kind = first >> 4
            if kind in (PUBACK, PUBREC, PUBCOMP):
                reason = data[body + 2] if link.level == 5 and end - body > 2 else 0
                self.answered(link, kind, data[body] << 8 | data[body + 1], reason, now)
            elif kind == CONNACK:
                self.accepted(link, data[body] & 1, data[body + 1], now)
            elif kind == DISCONNECT:
                link.goodbye = data[body] if end > body else 0
            done = end
            if self.reached and not held:
                break
        return done, None

    def accepted(self, link, resumed, reason, now):
        link.connack, link.resumed = reason, bool(resumed)
        if reason:
            self.refusals.append((now, reason, None))
        elif resumed:
            link.open.update(self.sessions.get(link.client_id, {}))
        self.sessions[link.client_id] = link.open

    def answered(self, link, kind, mid, reason, now):
        final = kind != PUBREC or reason >= 0x80
        payload = link.open.pop(mid, None) if final else link.open.get(mid)
        link.answers.append((now, kind, mid, reason, payload))
        if payload is None or not final:
            return
        if reason >= 0x80:
            self.refusals.append((now, reason, payload))
            if reason in HOPELESS:
                self.hopeless.setdefault(payload, (now, reason))
            return
        self.pubacks += 1
        if payload not in self.acked:
            self.acked[payload] = now
            self.look_at_count()

    # ---- handing on --------------------------------------------------------------------------------------------------

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if self.refusing or self.closing:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                client.close()
                self.turned_away += 1
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self.target), 5)
            except OSError:
                client.close()
                self.turned_away += 1
                continue
            server.settimeout(None)
            for side in client, server:
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                link = Link(len(self.links), client, server)
                self.links.append(link)
            for words in ((link, client, server, self.from_client), (link, server, client, self.from_broker)):
                threading.Thread(target=self.pump, args=words, daemon=True).start()

    def pump(self, link, source, sink, note):
        rest = b""
        try:
            while True:
                data = self.read(link, source)
                if link.cut or not data:
                    break
                rest = self.pass_on(link, sink, note, rest + data)
            if not link.cut:
                sink.shutdown(socket.SHUT_WR)
        except OSError:
            link.interrupt(socket.SHUT_RDWR)
        with self.lock:
            link.pumps -= 1
            if link.pumps == 0:
                link.client.close()
                link.server.close()
                link.closed = time.time()
                link.ended.set()

    def read(self, link, source):
        try:
            data = source.recv(CHUNK)
        except OSError:
            data = b""
        self.wait_for_release(link)
        return data

    def wait_for_release(self, link):
        """CONNECT and CONNACK are not held."""
        while (self.opaque or link.connack is not None) and not self.going.wait(0.02) and not link.cut:
            pass

    def pass_on(self, link, sink, note, data):
        """All that is whole, with a stop where everything is to be held; returns what is left."""
        while data and not link.cut:
            with self.lock:
                whole, parts = (len(data), None) if self.opaque else note(link, data)
            if not whole:
                break
            self.hand_on(link, sink, data[:whole] if parts is None else b"".join(parts))
            data = data[whole:]
            self.wait_for_release(link)
        return data

    def hand_on(self, link, sink, data):
        if sink is link.server:
            sink.sendall(data)
        elif self.muting and link.welcomed:
            self.muted += 1
        else:
            with link.writing:
                sink.sendall(data)
            link.welcomed = True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closing = True
        self.going.set()
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        for link in self.links:
            if link.closed is None:
                link.interrupt(socket.SHUT_RDWR)
