"""webhook_check.py CHECK... - psa-webhook against HTTP servers that answer as they are told."""
import email.utils
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time

from psatest import BIN, check, fail, main

WEBHOOK = os.path.join(BIN, "psa-webhook")
T = tempfile.mkdtemp(dir=os.environ.get("BATS_TEST_TMPDIR"))
ENV = {name: value for name, value in os.environ.items()
       if not name.lower().endswith("_proxy") and name != "PSA_WEBHOOK_TOKEN"}
QUICK = ["--retry-max", "50ms"]


# ---- the server -------------------------------------------------------------------------------------------------------

class Request:
    def __init__(self, head, body, connection):
        first, *rest = head.decode("latin-1").split("\r\n")
        self.method, self.path, _ = first.split(" ", 2)
        self.headers = [tuple(line.split(":", 1)) for line in rest if line]
        self.body, self.connection, self.at = body, connection, time.monotonic()

    def header(self, name):
        found = [value.strip() for key, value in self.headers if key.lower() == name.lower()]
        return found[0] if len(found) == 1 else found or None


def answer(status=200, body=b"ok", **headers):
    """The bytes of an answer; header names with _ for -."""
    lines = "".join("%s: %s\r\n" % (name.replace("_", "-"), value) for name, value in headers.items())
    return ("HTTP/1.1 %d Said\r\n%sContent-Length: %d\r\n\r\n" % (status, lines, len(body))).encode() + body


class Server:
    """`answers(n, request)` or a list says what the n-th request is answered: a status, the bytes of an answer, a list of
    these and of pauses in seconds, which then closes the connection, or a function that is called with the socket. Past
    the list's end it is 200."""

    def __init__(self, answers=(), port=0, context=None):
        self.answers, self.context = answers, context
        self.requests, self.connections, self.lock = [], 0, threading.Lock()
        self.now, self.most = 0, 0  # requests being handled
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port = self.listener.getsockname()[1]
        self.url = "%s://127.0.0.1:%d" % ("https" if context else "http", self.port)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(peer,), daemon=True).start()

    def serve(self, peer):
        try:
            if self.context:
                peer = self.context.wrap_socket(peer, server_side=True)
            with self.lock:
                number = self.connections
                self.connections += 1
            text = b""
            while True:
                while b"\r\n\r\n" not in text:
                    more = peer.recv(65536)
                    if not more:
                        return
                    text += more
                head, text = text.split(b"\r\n\r\n", 1)
                length = int(re.search(rb"(?i)\r\ncontent-length: *(\d+)", head).group(1))
                while len(text) < length:
                    text += peer.recv(1048576)
                if not self.reply(peer, Request(head, text[:length], number)):
                    return
                text = text[length:]
        except OSError:
            pass
        finally:
            peer.close()

    def reply(self, peer, request):
        with self.lock:
            n = len(self.requests)
            self.requests.append(request)
            self.now += 1
            self.most = max(self.most, self.now)
        if callable(self.answers):
            reply = self.answers(n, request)
        else:
            reply = self.answers[n] if n < len(self.answers) else 200
        stays = not isinstance(reply, list) and not callable(reply)
        with self.lock:
            self.now -= 1
        for part in reply if isinstance(reply, list) else [reply]:
            if callable(part):
                part(peer)
            elif isinstance(part, float):
                time.sleep(part)
            else:
                peer.sendall(answer(part) if isinstance(part, int) else part)
        return stays

    def bodies(self):
        return [request.body for request in self.requests]


def drop(peer):
    """Gone without a word: RST, not FIN."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    peer.close()


# ---- the program ------------------------------------------------------------------------------------------------------

def webhook(*argv, data=b"", status=0, env=None):
    """Run it; (stdout, stderr, seconds)."""
    begin = time.monotonic()
    done = subprocess.run([WEBHOOK, *argv], input=data, capture_output=True, timeout=30, env={**ENV, **(env or {})})
    err = done.stderr.decode(errors="replace")
    if done.returncode != status:
        fail("%s: exit status %d, not %d\n%s" % (" ".join(argv), done.returncode, status, err[:3000]))
    return done.stdout.decode(), err, time.monotonic() - begin


class Running:
    """The program with its input left open."""

    def __init__(self, *argv):
        self.err = tempfile.NamedTemporaryFile(dir=T)
        self.process = subprocess.Popen([WEBHOOK, *argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.err, env=ENV)

    def write(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def wait_said(self, text):
        wait_for(lambda: text in self.said(), "%r in %r" % (text, self.said()))

    def said(self):
        with open(self.err.name, encoding="utf-8", errors="replace") as err:
            return err.read()

    def end(self, status=0):
        out, _ = self.process.communicate(timeout=20)
        check(self.process.returncode == status,
              "exit status %d, not %d\n%s" % (self.process.returncode, status, self.said()))
        return out.decode()


def wait_for(condition, what):
    until = time.monotonic() + 15
    while not condition():
        if time.monotonic() > until:
            fail("waited in vain for " + what)
        time.sleep(0.01)


def same(got, want, what):
    check(got == want, "%s: %r, not %r" % (what, got, want))


def has(text, *parts):
    for part in parts:
        check(part in text, "%r is not in %r" % (part, text))


def lacks(text, *parts):
    for part in parts:
        check(part not in text, "%r is in %r" % (part, text))


def lines(n):
    return [b'{"sensor_id":"press-%d","alert":{"severity":"warning"}}' % i for i in range(n)]


def feed(records):
    return b"".join(record + b"\n" for record in records)


def written(name, text):
    """A file in T, there whole or not at all."""
    path = os.path.join(T, name)
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path + ".new", path)
    return path


def stats(err):
    return json.loads([line for line in err.splitlines() if line.startswith('{"psa_stats"')][0])


# ---- what is sent -------------------------------------------------------------------------------------------------------

def bodies():
    """Byte for byte, in order, over one connection."""
    server = Server()
    records = lines(47) + [b'{ "a" : 1.10, "b":"\\u00e9\\/", "c":"\xc3\xa9" }', b"{}", b'{"last":1}']
    out, err, _ = webhook(server.url + "/hook?x=1", "--stats", data=feed(records)[:-1])
    same(out, "", "stdout")
    same(server.bodies(), records, "bodies")
    same({request.connection for request in server.requests}, {0}, "connections used")
    first = server.requests[0]
    same((first.method, first.path), ("POST", "/hook?x=1"), "request line")
    same(first.header("Content-Type"), "application/json", "type")
    check(re.fullmatch(r"psa-webhook/\d+\.\d+\.\d+", first.header("User-Agent")), "user agent")
    same((first.header("Authorization"), first.header("Expect")), (None, None), "headers that should not be there")
    told = stats(err)
    same((told["in"], told["passed"], told["requests"], told["retries"], told["connections"], told["answers"]),
         (50, 50, 50, 0, 1, {"2xx": 50}), "statistics")


def large():
    server = Server()
    record = b'{"a":"' + b"x" * 3000000 + b'"}'
    webhook(server.url, "--max-line", "4MiB", data=feed([record, b"{}"]))
    same(server.bodies(), [record, b"{}"], "bodies")
    same(server.requests[0].header("Expect"), None, "asking for leave to send much")


def at_once():
    """A record is sent while the input stays open, and acknowledged."""
    server = Server()
    running = Running(server.url, "--ack")
    for i, line in enumerate(lines(3)):
        running.write(line + b"\n")
        same(running.process.stdout.readline(), b"%d\n" % (i + 1), "acknowledged")
        same(server.bodies(), lines(i + 1), "bodies")
    running.end()


def headers():
    server = Server()
    files = written("headers", "Authorization: Basic c2VjcmV0\r\n\nX-From-File: a: b\nX-Empty:\n")
    webhook(server.url, "--method", "PUT", "-H", "X-Site: north", "--header", "X-Two: 1", "-H", "X-Two: 2",
            "-H", "content-type: text/x", "-H", "X-Nothing: ", "--header-file", files, data=b"{}\n")
    request = server.requests[0]
    same(request.method, "PUT", "method")
    for name, value in {"X-Site": "north", "X-Two": ["1", "2"], "Content-Type": "text/x", "X-Nothing": "", "X-Empty": "",
                        "Authorization": "Basic c2VjcmV0", "X-From-File": "a: b"}.items():
        same(request.header(name), value, name)


def tokens():
    server = Server()
    webhook(server.url, "--bearer", written("token", " one-token\n"), data=b"{}\n")
    webhook(server.url, data=b"{}\n", env={"PSA_WEBHOOK_TOKEN": "other-token"})
    webhook(server.url, "--bearer", written("token", "one-token"), data=b"{}\n", env={"PSA_WEBHOOK_TOKEN": "other"})
    same([request.header("Authorization") for request in server.requests],
         ["Bearer one-token", "Bearer other-token", "Bearer one-token"], "tokens")


def token_renewed():
    """401: the file is read again, and what is in flight beside it keeps the headers it began with."""
    path = written("token", "old-token")

    def judge(_n, request):
        if request.header("Authorization") == "Bearer new-token":
            return 200
        with server.lock:
            written("token", "new-token")
        return 401

    for parallel in "1", "4":
        written("token", "old-token")
        server = Server(judge)
        _, err, _ = webhook(server.url, "--bearer", path, "--parallel", parallel, data=feed(lines(6)))
        passed = [r.body for r in server.requests if r.header("Authorization") == "Bearer new-token"]
        same(sorted(passed), lines(6), "bodies with the new token")
        has(err, "answered 401: ok; there is a new token, which is tried at once")
        lacks(err, "old-token", "new-token")


def template():
    """A chat's message: quotes and control characters of a value stay within its string."""
    server = Server()
    text = '{"text": "*{alert.severity}* {sensor_id}: {alert.reason}",\n "n":{fields.n},"none":{no},"all":{.}}\n'
    record = {"sensor_id": 'p"7\\', "alert": {"severity": "critical", "reason": 'a "b"\n\x01\x7f é 😀 {sensor_id}'},
              "fields": {"n": 1.5}}
    line = json.dumps(record).encode()
    for option in ["--template", written("slack", text)], ["--template-text", text]:
        webhook(server.url, *option, data=line + b"\n")
        got = json.loads(server.requests[-1].body)
        same(got, {"text": '*critical* p"7\\: a "b"\n\x01\x7f é 😀 {sensor_id}', "n": 1.5, "none": None, "all": record},
             "the message")
        check(line in server.requests[-1].body, "the record as it came")
    rejects = os.path.join(T, "rejects")
    webhook(Server([410]).url, "--template-text", '"{sensor_id}"', "--rejects", rejects, data=line + b"\n")
    with open(rejects, "rb") as file:
        same(file.read(), line + b"\n", "--rejects")


# ---- answers ------------------------------------------------------------------------------------------------------------

def retried():
    """5xx, 408, 425 and 429: the same record again, before those behind it."""
    server = Server([200, 500, 503, 408, 425, 429, 204, 201, 502])
    out, err, _ = webhook(server.url, "--ack", "--stats", *QUICK, data=feed(lines(4)))
    a, b, c, d = lines(4)
    same(server.bodies(), [a, b, b, b, b, b, b, c, d, d], "bodies")
    same(out, "1\n2\n3\n4\n", "acknowledged")
    check(re.search(r"input:2: http://127.0.0.1:\d+ answered 500: ok; tried again in 0\.0 s", err), err)
    has(err, "takes records again")
    told = stats(err)
    same((told["passed"], told["retries"], told["answers"]), (4, 6, {"2xx": 4, "4xx": 3, "5xx": 3}), "statistics")


def retry_after():
    def wait_of(value, *options):
        server = Server([answer(429, Retry_After=value)])
        _, err, _ = webhook(server.url, *QUICK, *options, data=b"{}\n")
        check("tried again in" in err, err)
        return server.requests[1].at - server.requests[0].at

    waits = [wait_of("1"), wait_of(email.utils.formatdate(time.time() + 2, usegmt=True)),
             wait_of("3600", "--retry-after-max", "300ms"), wait_of("soon"), wait_of("0")]
    check(0.95 < waits[0] < 3, "1 s: %g" % waits[0])
    check(0.9 < waits[1] < 4, "a date in 2 s: %g" % waits[1])
    check(0.28 < waits[2] < 2, "an hour, at most 300 ms: %g" % waits[2])
    check(waits[3] < 1 and waits[4] < 1, "no time: %r" % waits[3:])


def hopeless():
    """4xx: the record is said to be undeliverable, those behind it are delivered."""
    server = Server([200, answer(404, b"\r\nno such\x1b[31m caf\xc3\xa9\r\nsecond line"), answer(413, b"x" * 300), 200])
    rejects = os.path.join(T, "rejects")
    out, err, _ = webhook(server.url, "--ack", "--stats", "--strict", "--rejects", rejects, data=feed(lines(4)), status=3)
    same(server.bodies(), lines(4), "bodies")
    why = [server.url + " answered 404: no such?[31m caf??", server.url + " answered 413: " + "x" * 200]
    same(out, "1\n!2 %s\n2\n!3 %s\n3\n4\n" % tuple(why), "acknowledged")
    has(err, "psa-webhook: input:2: %s; it can never be delivered\n" % why[0])
    told = stats(err)
    same((told["passed"], told["rejected"]), (2, {"http_4xx": 2}), "statistics")
    with open(rejects, "rb") as file:
        same(file.read(), feed(lines(3)[1:]), "--rejects")


def refused():
    """401, 403 and 407 are not the record's fault."""
    for status in 401, 403, 407:
        server = Server([status, answer(status, b"")])
        out, err, _ = webhook(server.url, "--ack", *QUICK, data=feed(lines(2)))
        same(out, "1\n2\n", "acknowledged")
        same(server.bodies(), lines(1) * 3 + lines(2)[1:], "bodies")
        has(err, "%s answered %d: ok; kept, and tried again later" % (server.url, status),
            "%s answered %d; kept" % (server.url, status))
        server = Server([status])
        _, err, _ = webhook(server.url, data=feed(lines(2)), status=4)
        same(len(server.requests), 1, "requests")
        has(err, "psa-webhook: 2 of 2 records were not acknowledged\n", "psa-webhook: %s answered %d: ok\n" % (server.url, status))


def given_up():
    """--tries: after that many failures it can never be delivered."""
    server = Server(lambda n, request: 500 if request.body == lines(2)[0] else 200)
    out, err, _ = webhook(server.url, "--ack", "--tries", "3", *QUICK, data=feed(lines(2)))
    same(server.bodies(), lines(1) * 3 + lines(2)[1:], "bodies")
    same(out, "!1 3 failed tries, the last: %s answered 500: ok\n1\n2\n" % server.url, "acknowledged")
    has(err, "it can never be delivered")


# ---- redirects ----------------------------------------------------------------------------------------------------------

def redirected():
    """307 and 308 on the same server keep method and body."""
    server = Server([answer(307, Location="/there?a=b"), 200, answer(308, Location="//127.0.0.1:%d/c"), 200])
    server.answers[2] = answer(308, Location="%s/c" % server.url)
    _, err, _ = webhook(server.url + "/here", "--method", "PUT", "--stats", data=feed(lines(2)))
    same([(r.method, r.path, r.body) for r in server.requests],
         [("PUT", path, body) for path, body in zip(["/here", "/there?a=b", "/here", "/c"], lines(1) * 2 + lines(2)[1:] * 2)],
         "requests")
    same((stats(err)["passed"], stats(err)["redirects"]), (2, 2), "statistics")


def redirects_refused():
    other = Server()
    token = ["--bearer", written("token", "the-token")]
    for status, location, said in [
            (307, other.url + "/x", "answered 307, moved to another server, 127.0.0.1; give the new URL, if it is right"),
            (308, "http://localhost:%d/", "moved to another server, localhost"),
            (307, "http://user:word@127.0.0.1:%d/", "moved to another server"),
            (307, "ftp://127.0.0.1:%d/", "moved to another server"),
            (301, "http://new.example/secret", "answered 301, moved to new.example, which would turn the request into a GET"),
            (302, "/x", "answered 302, moved to 127.0.0.1"),
            (303, "/x", "answered 303, moved to 127.0.0.1"),
            (307, None, "answered 307, to nowhere"),
            (304, None, "answered 304, to nowhere"),
            (307, "/", "answered more than 5 redirects in a row")]:
        server = Server()
        where = {"Location": location.replace("%d", str(server.port))} if location else {}
        server.answers = lambda n, request, status=status, where=where: answer(status, **where)
        _, err, _ = webhook(server.url, *token, data=feed(lines(1)), status=4)
        has(err, said)
        lacks(err, "/secret", "the-token", "word@")
        same(len(server.requests), 6 if "more than 5" in said else 1, "requests")
    same(len(other.requests), 0, "requests to the other server")
    server = Server([answer(302, Location="/x"), answer(307, Location=other.url)])
    out, err, _ = webhook(server.url, "--ack", *QUICK, data=feed(lines(1)))
    same((out, server.bodies()), ("1\n", lines(1) * 3), "with --ack it is kept")


# ---- TLS ----------------------------------------------------------------------------------------------------------------

def certificate(name, san=None, ca=None):
    """Make a key and a certificate in T."""
    base = os.path.join(T, name)
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
               "-subj", "/CN=" + name, "-keyout", base + ".key", "-out", base + ".crt"]
    if san:
        command += ["-addext", "subjectAltName=" + san]
    if ca:
        command += ["-CA", os.path.join(T, ca + ".crt"), "-CAkey", os.path.join(T, ca + ".key"),
                    "-addext", "basicConstraints=critical,CA:FALSE"]
    done = subprocess.run(command, capture_output=True)
    check(done.returncode == 0, done.stderr.decode())
    return base


def tls_server(name, answers=(), client_ca=None, at_most=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.path.join(T, name + ".crt"), os.path.join(T, name + ".key"))
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(os.path.join(T, client_ca + ".crt"))
    if at_most:
        context.maximum_version = at_most
    return Server(answers, context=context)


def tls():
    certificate("ca")
    certificate("wrong-ca")
    certificate("good", "IP:127.0.0.1", "ca")
    certificate("other", "DNS:other.example", "ca")
    certificate("client", None, "ca")
    ca = ["--ca", os.path.join(T, "ca.crt")]
    short = ["--drain-timeout", "300ms", *QUICK]

    def refuses(server, *options, said):
        _, err, _ = webhook(server.url, *short, *options, data=feed(lines(1)), status=1)
        has(err, server.url + ": ", said, "tried again in", "1 of 1 records were not acknowledged by the end")
        same(server.requests, [], "requests")

    good = tls_server("good")
    webhook(good.url, *ca, data=feed(lines(5)))
    same(good.bodies(), lines(5), "bodies")
    same({request.connection for request in good.requests}, {0}, "connections used")
    refuses(tls_server("good"), said="certificate")
    refuses(tls_server("good"), "--ca", os.path.join(T, "wrong-ca.crt"), said="certificate")
    refuses(tls_server("other"), *ca, said="127.0.0.1")
    refuses(tls_server("good", at_most=ssl.TLSVersion.TLSv1_2), *ca, "--tls-min", "1.3", said="")
    webhook(tls_server("good", at_most=ssl.TLSVersion.TLSv1_2).url, *ca, data=feed(lines(1)))

    mutual = tls_server("good", client_ca="ca")
    client = ["--cert", os.path.join(T, "client.crt"), "--key", os.path.join(T, "client.key")]
    webhook(mutual.url, *ca, *client, data=feed(lines(1)))
    same(mutual.bodies(), lines(1), "bodies")
    refuses(tls_server("good", client_ca="ca"), *ca, said="")
    _, err, _ = webhook(good.url, *ca, "--cert", written("empty.crt", ""), data=feed(lines(1)), status=2)
    has(err, good.url + ": ")

    secure = tls_server("good")
    plain = Server([answer(308, Location=secure.url + "/up")])
    webhook(plain.url, *ca, data=feed(lines(1)))
    same([request.path for request in secure.requests], ["/up"], "from HTTP to HTTPS")
    down = tls_server("good", [answer(308, Location=plain.url)])
    _, err, _ = webhook(down.url, *ca, data=feed(lines(1)), status=4)
    has(err, "moved to another server")
    same(len(plain.requests), 1, "requests from HTTPS to HTTP")


# ---- a bad network --------------------------------------------------------------------------------------------------------

def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def absent():
    """The server comes later."""
    port = free_port()
    running = Running("http://127.0.0.1:%d/" % port, "--ack", "--retry-max", "100ms")
    running.write(feed(lines(3)))
    running.wait_said("tried again in")
    server = Server(port=port)
    same([running.process.stdout.readline() for _ in range(3)], [b"1\n", b"2\n", b"3\n"], "acknowledged")
    running.wait_said("http://127.0.0.1:%d takes records again" % port)
    running.end()
    same(server.bodies(), lines(3), "bodies")
    _, err, _ = webhook("http://no-such-host.invalid/path-of-it", "--drain-timeout", "200ms", data=b"{}\n", status=1)
    has(err, "http://no-such-host.invalid", "1 of 1 records were not acknowledged by the end; they are lost")
    lacks(err, "path-of-it")


def dropped():
    """A connection that ends before the whole answer is there: sent again, be it twice."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n"
    server = Server([200, drop, [head], [head + b"\r\nten bytes."], [b""], [b"nonsense\r\n\r\n"], 200])
    out, err, _ = webhook(server.url, "--ack", *QUICK, data=feed(lines(3)))
    a, b, c = lines(3)
    same(set(server.bodies()), {a, b, c}, "bodies")
    check(server.bodies().count(b) >= 6 and server.bodies()[-1] == c, "the second again and again, then the third")
    same(out, "1\n2\n3\n", "acknowledged")
    has(err, "input:2: %s: " % server.url)


def slow():
    """--timeout covers a server that says nothing, and one that goes on and on."""
    def trickle(peer):
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(100):
            peer.sendall(b"x")
            time.sleep(0.02)

    server = Server([[1.5], trickle])
    out, err, seconds = webhook(server.url, "--ack", "--timeout", "300ms", *QUICK, data=feed(lines(1)))
    same((out, server.bodies()), ("1\n", lines(1) * 3), "acknowledged, bodies")
    same(err.count("timed out"), 2, "timeouts")
    check(0.6 < seconds < 5, "%g s" % seconds)


def endless():
    """An answer without end is cut off after 64 KiB; its status stands."""
    def pour(peer):
        peer.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            peer.sendall(b"1000\r\n" + b"y" * 4096 + b"\r\n")

    server = Server([pour, 200])
    out, err, seconds = webhook(server.url, "--ack", data=feed(lines(2)))
    same((out, err, server.bodies()), ("1\n2\n", "", lines(2)), "acknowledged, messages, bodies")
    check(seconds < 5, "%g s" % seconds)


def proxied():
    server = Server()
    webhook("http://far.example/path", data=feed(lines(1)), env={"http_proxy": server.url})
    same((server.requests[0].path, server.bodies()), ("http://far.example/path", lines(1)), "through the proxy")


# ---- the protocol ---------------------------------------------------------------------------------------------------------

def acknowledged():
    """Blank lines, control lines and rejected lines have their numbers too; only records are sent."""
    server = Server()
    good = lines(3)
    data = (b'\n{"psa":{"restore":"7"}}\n' + good[0] + b'\nnot json\n{"psa":{"checkpoint":"8"}}\n[1]\n' + good[1] +
            b'\r\n{"psa":{"heartbeat":5}}\n{"psa":{"checkpoint":"9"}}\n' + good[2] + b"\n\n")
    out, err, _ = webhook(server.url, "--ack", "--stats", data=data)
    same(server.bodies(), good, "bodies")
    lines_out = out.splitlines()
    burials = [line for line in lines_out if line.startswith("!")]
    same([line.split()[0] for line in burials], ["!4", "!6"], "undeliverable")
    marks = [line for line in lines_out if not line.startswith("!")]
    same([int(line) for line in marks if line[0] != "@"], sorted({int(line) for line in marks if line[0] != "@"}), "counts")
    same(marks[-1], "11", "the last count")
    same([line for line in marks if line[0] == "@"], ["@8", "@9"], "checkpoints")
    same((marks[marks.index("@8") - 1], marks[marks.index("@9") - 1]), ("5", "9"), "before the checkpoints")
    check(lines_out.index(burials[1]) < lines_out.index("9"), "told before it is counted")
    told = stats(err)
    same((told["in"], told["passed"], told["control"]), (5, 3, 4), "statistics")


def reader_gone():
    """Nobody reads what --ack prints: it ends quietly, as by SIGPIPE."""
    server = Server()
    running = Running(server.url, "--ack")
    running.process.stdout.close()
    running.write(feed(lines(1)))
    same((running.process.wait(10), running.said()), (-signal.SIGPIPE, ""), "exit status, messages")


def drained():
    """At the end of the input it tries for --drain-timeout, then counts what is left."""
    server = Server(lambda n, request: 200 if n == 0 else 500)
    out, err, seconds = webhook(server.url, "--ack", "--drain-timeout", "400ms", *QUICK, data=feed(lines(4)), status=1)
    same(out, "1\n", "acknowledged")
    has(err, "psa-webhook: 3 of 4 records were not acknowledged by the end\n")
    check(0.35 < seconds < 3, "%g s" % seconds)
    check(len(server.requests) > 4, "tried again")
    begin = time.monotonic()
    server = Server(lambda n, request: [5.0])  # one request is on its way
    _, err, _ = webhook(server.url, "--drain-timeout", "200ms", data=feed(lines(1)), status=1)
    check(time.monotonic() - begin < 3, "it waited for the answer")


def stopped():
    """SIGTERM: what was read is tried for --drain-timeout; a second one ends that."""
    server = Server(lambda n, request: 503)
    running = Running(server.url, "--ack", "--drain-timeout", "1h", *QUICK)
    running.write(feed(lines(2)))
    running.wait_said("tried again in")
    running.process.send_signal(signal.SIGTERM)
    server.answers = ()
    same(running.end(), "1\n2\n", "acknowledged")
    server = Server(lambda n, request: 503)
    running = Running(server.url, "--drain-timeout", "1h", *QUICK)
    running.write(feed(lines(2)))
    running.wait_said("tried again in")
    running.process.send_signal(signal.SIGTERM)
    count = len(server.requests)
    wait_for(lambda: len(server.requests) > count + 2, "more tries")
    running.process.send_signal(signal.SIGTERM)
    running.end(1)
    has(running.said(), "2 of 2 records were not acknowledged")


def parallel():
    """N requests at once; counts keep the order all the same."""
    gate = threading.Barrier(4)

    def judge(n, request):
        if n < 4:
            gate.wait(10)
        return 500 if n in (1, 5, 9) else 200

    server = Server(judge)
    out, err, _ = webhook(server.url, "--ack", "--parallel", "4", "--stats", *QUICK, data=feed(lines(40)))
    counts = [int(line) for line in out.splitlines()]
    same((counts, counts[-1]), (sorted(set(counts)), 40), "acknowledged")
    same(sorted(set(server.bodies())), sorted(lines(40)), "bodies")
    told = stats(err)
    same((told["passed"], told["retries"], len(server.requests)), (40, 3, 43), "statistics")
    check(2 <= told["connections"] <= 8, "%d connections" % told["connections"])


def one_at_a_time():
    """The default: the next request begins after the answer to the last."""
    def judge(_n, _request):
        time.sleep(0.02)
        return 200

    server = Server(judge)
    webhook(server.url, data=feed(lines(10)))
    same((server.most, server.bodies()), (1, lines(10)), "requests at once, bodies")


def secrets():
    """Neither the URL's path nor a token nor a header from a file is ever printed, also when the server repeats it."""
    hidden = ["/services/T0/B0/Sec", "token=PathSecret", "TokenSecret", "HeaderSecret"]
    token, header = written("token", "TokenSecret"), written("header", "X-Key: HeaderSecret\n")

    def run(server, status, *options):
        url = written("url", server + "/services/T0/B0/Sec?token=PathSecret\n")
        out, err, _ = webhook("--url-file", url, "--bearer", token, "--header-file", header, "--drain-timeout", "100ms", *QUICK,
                              *options, data=feed(lines(1)), status=status)
        lacks(out + err, *hidden)
        return err

    for repeated in hidden:
        text = b"no: " + repeated.encode()
        for code, status in (404, 0), (500, 1), (401, 4), (403, 4):
            err = run(Server(lambda n, request, code=code, text=text: answer(code, text)).url, status, "--stats")
            has(err, "answered %d: (what it says repeats a secret)" % code)
        err = run(Server([answer(404, text)]).url, 0, "--ack")
        run(Server(lambda n, request, text=text: answer(302, Location=text[4:].decode())).url, 4)
    run("http://127.0.0.1:%d" % free_port(), 1)
    run("http://no-such-host.invalid", 1)
    server = Server()
    run(server.url, 0)
    same(server.requests[0].path, "/services/T0/B0/Sec?token=PathSecret", "path")
    for url in "http://user:PathSecret@127.0.0.1/", "http://127.0.0.1:PathSecret/", "PathSecret://x", "http://[PathSecret/":
        _, err, _ = webhook(url, status=2)
        lacks(err, "PathSecret")


main(globals())
