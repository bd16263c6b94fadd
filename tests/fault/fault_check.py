"""Signals, readers that go away, long lines, short reads: what a shell cannot time. No sleeps: readiness is read."""
import json
import os
import resource
import select
import signal
import subprocess
import tempfile

from psatest import BIN, check, main, psa

WORK = tempfile.mkdtemp(dir=os.environ.get("BATS_TEST_TMPDIR"))
PASS = ["psa-filter", "--lowpass", "1", "--rate", "9"]


def reading(i, value="0"):
    return b'{"sensor_id":"a","fields":{"x":%s},"timestamp_ns":%d}\n' % (value.encode(), i)


def start(*argv, **how):
    how.setdefault("stdin", subprocess.PIPE)
    how.setdefault("stdout", subprocess.PIPE)
    how.setdefault("stderr", subprocess.PIPE)
    return subprocess.Popen([os.path.join(BIN, argv[0]), *argv[1:]], bufsize=0, **how)


def read_lines(p, n, what):
    got = b""
    while got.count(b"\n") < n:
        check(select.select([p.stdout], [], [], 10)[0], what + ": nothing came")
        more = os.read(p.stdout.fileno(), 65536)
        check(more, what + ": ended after %r" % got)
        got += more
    return got


def stop(number):
    """A signal in mid-stream, half a line behind: complete lines are handled, the state saved, status 0."""
    state = os.path.join(WORK, "state")
    p = start("psa-window", "--length", "4", "--state", state, "--stats")
    p.stdin.write(b"".join(reading(i, str(i)) for i in range(10)) + b'{"sensor_id":"a","fiel')
    got = read_lines(p, 2, "before the signal")
    p.send_signal(number)
    out, err = p.communicate(timeout=10)
    check(p.returncode == 0, "status %d: %r" % (p.returncode, err))
    check((got + out).count(b"\n") == 2, "windows %r" % out)
    check(b"psa-window: stdin:11: stopped within this line; it was not handled" in err, "%r" % err)
    check(b'"in":10,"passed":0,"emitted":2' in err, "%r" % err)
    rest = psa("psa-window", "--length", "4", "--state", state, data=b"".join(reading(i, str(i)) for i in range(10, 12)))
    check(json.loads(rest)["fields"]["x"] == [8, 9, 10, 11], "the state: %r" % rest)


def stop_fused():
    state = os.path.join(WORK, "s")
    chain = "psa-filter --lowpass 1 --rate 9 --state %s1 | psa-window --length 2 --state %s2" % (state, state)
    p = start("psa-run", chain)
    p.stdin.write(b"".join(reading(i) for i in range(3)))
    read_lines(p, 1, "before the signal")
    p.terminate()
    check(p.wait(10) == 0, "status")
    check(os.path.exists(state + "1") and os.path.exists(state + "2"), "states")
    check(psa("psa-run", chain, data=reading(3)).count(b"\n") == 1, "resumed")


def stop_in_file():
    """A signal while a long file is read: whole lines, and what the state says goes on where the output ended."""
    name, state = os.path.join(WORK, "long"), os.path.join(WORK, "st")
    with open(name, "wb") as f:
        f.write(b"".join(reading(i) for i in range(200000)))
    p = start(*PASS, "--state", state, name, stdin=subprocess.DEVNULL)
    got = read_lines(p, 1, "the first block")
    p.terminate()
    out, err = p.communicate(timeout=20)
    check(p.returncode == 0, "status %d %r" % (p.returncode, err))
    out = got + out
    check(out.endswith(b"\n") and 0 < out.count(b"\n") < 200000, "%d lines" % out.count(b"\n"))
    newest = json.loads(open(state).read())["state"]
    check('"newest_ns": %d' % (out.count(b"\n") - 1) in json.dumps(newest), "the state is not where the output ended")


def usr1():
    p = start(*PASS)
    for round_ in range(1, 4):
        p.stdin.write(reading(round_))
        read_lines(p, 1, "the record")
        p.send_signal(signal.SIGUSR1)
        check(select.select([p.stderr], [], [], 10)[0], "SIGUSR1 says nothing")
        stats = json.loads(os.read(p.stderr.fileno(), 65536))
        check(stats["in"] == stats["passed"] == round_, "%r" % stats)
    p.stdin.close()
    check(p.wait(10) == 0, "status")
    check(p.stderr.read() == b"", "statistics at the end without --stats")


def reader_gone(ignored):
    """The reader goes after one line: quiet, with SIGPIPE's own status or 141's like, never a message."""
    r, w = os.pipe()
    how = {"preexec_fn": lambda: signal.signal(signal.SIGPIPE, signal.SIG_IGN if ignored else signal.SIG_DFL), "restore_signals": False}
    p = start(*PASS, stdout=w, **how)
    os.close(w)
    p.stdin.write(reading(0))
    check(os.read(r, 65536), "one line")
    os.close(r)
    try:
        for i in range(1, 100000):
            p.stdin.write(reading(i))
    except BrokenPipeError:
        pass
    try:
        p.stdin.close()
    except BrokenPipeError:
        pass
    err = p.stderr.read()
    check(p.wait(10) == -signal.SIGPIPE, "status %d" % p.returncode)
    check(err == b"", "%r" % err)


def long_line():
    """100 MB without an end of line: rejected by name; memory stays small; the records around it come out."""
    p = start(*PASS, "--stats")
    p.stdin.write(reading(1))
    block = b"x" * 1000000
    for _ in range(100):
        p.stdin.write(block)
    p.stdin.write(b"\n" + reading(2))
    out = read_lines(p, 2, "long line")
    peak = [l for l in open("/proc/%d/status" % p.pid) if l.startswith("VmHWM")][0].split()[1]
    p.stdin.close()
    err = p.stderr.read()
    check(p.wait(10) == 0 and out == reading(1) + reading(2), "%r %r" % (out[:200], err))
    check(b"psa-filter: stdin:2: a line of 100000000 bytes, longer than --max-line 1048576; rejected" in err, "%r" % err[:500])
    check(b'"in":3,"passed":2' in err and b'"rejected":{"max_line":1}' in err, "%r" % err)
    if b"__asan" not in open(os.path.join(BIN, PASS[0]), "rb").read():
        check(int(peak) < 16384, "peak memory %s kB" % peak)


def memory_flat():
    """Sixteen keys, a million readings: peak memory under 16 MB for the fused chain."""
    if b"__asan" in open(os.path.join(BIN, PASS[0]), "rb").read():
        return
    line = b'{"sensor_id":"s%d","fields":{"a":%d.25,"b":%d.5,"c":1.125},"timestamp_ns":%d}\n'
    p = start("psa-run", "psa-filter --lowpass 10 --rate 100 | psa-window --length 1s --stride 250ms | psa-features | psa-alert",
              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peaks = []
    for part in range(4):
        p.stdin.write(b"".join(line % (i % 16, i % 7, i % 5, i * 625000) for i in range(part * 40000, part * 40000 + 40000)))
        peaks.append(int([l for l in open("/proc/%d/status" % p.pid) if l.startswith("VmHWM")][0].split()[1]))
    p.stdin.close()
    check(p.wait(20) == 0, "status")
    check(peaks[-1] < 16384, "peak memory %r kB" % peaks)
    check(peaks[-1] - peaks[1] < 256, "memory grows: %r kB" % peaks)


def closed_descriptors():
    """Without stdout, stdin or stderr: an error, or no messages; never a file or a pipe of its own in their place."""
    rejects = os.path.join(WORK, "rejects")
    data = reading(1) + b"no\n"
    for fds, want in (((1,), 1), ((0,), 1), ((2,), 0), ((0, 1), 1), ((1, 2), 1), ((0, 1, 2), 1)):
        p = subprocess.Popen(["/bin/sh", "-c", "exec \"$@\" " + " ".join({0: "<&-", 1: ">&-", 2: "2>&-"}[f] for f in fds), "sh",
                              os.path.join(BIN, "psa-filter"), "--lowpass", "1", "--rate", "9", "--rejects", rejects],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            out, err = p.communicate(data, timeout=10)
        except BrokenPipeError:
            out, err = b"", b""
        except subprocess.TimeoutExpired:
            p.kill()
            check(False, "closed %r: it hangs" % (fds,))
        check(p.wait() == want, "closed %r: status %d, not %d: %r" % (fds, p.returncode, want, err))
        kept = open(rejects, "rb").read() if os.path.exists(rejects) else b""
        check(kept in (b"", b"no\n"), "closed %r: rejects hold %r" % (fds, kept))
        if os.path.exists(rejects):
            os.remove(rejects)


def nonblocking():
    """A stdout that somebody made non-blocking is waited for; so is a stdin."""
    r, w = os.pipe()
    os.set_blocking(w, False)
    r0, w0 = os.pipe()
    os.set_blocking(r0, False)
    p = start(*PASS, stdin=r0, stdout=w)
    os.close(w)
    os.close(r0)
    data = b"".join(reading(i) for i in range(20000))
    out, at = [], 0
    os.set_blocking(w0, False)
    while True:
        ready, room, _ = select.select([r], [w0] if at < len(data) else [], [], 10)
        check(ready or room, "stuck")
        if room:
            at += os.write(w0, data[at:at + 65536])
            if at >= len(data):
                os.close(w0)
        elif ready:  # only when no more can be written: the program meets a full pipe
            more = os.read(r, 65536)
            if not more:
                break
            out.append(more)
    check(p.wait(10) == 0, "status %d %r" % (p.returncode, p.stderr.read()))
    check(b"".join(out) == data, "%d bytes, not %d" % (len(b"".join(out)), len(data)))


def state_every():
    """--state-every saves while nothing comes, too."""
    state = os.path.join(WORK, "every")
    p = start("psa-window", "--length", "3", "--state", state, "--state-every", "20ms")
    p.stdin.write(reading(1))
    for _ in range(500):
        if os.path.exists(state) and b'"newest_ns":1' in open(state, "rb").read():
            break
        select.select([], [], [], 0.02)
    else:
        check(False, "no state was saved")
    p.kill()
    p.wait()
    check(psa("psa-window", "--length", "3", "--state", state, data=reading(2) + reading(3)).count(b"\n") == 1, "after kill -9")


main({"term": lambda: stop(signal.SIGTERM), "int": lambda: stop(signal.SIGINT), "fused": stop_fused, "file": stop_in_file, "usr1": usr1,
      "gone": lambda: reader_gone(False), "gone_ignored": lambda: reader_gone(True), "long_line": long_line,
      "memory": memory_flat, "closed": closed_descriptors, "nonblocking": nonblocking, "state_every": state_every})
