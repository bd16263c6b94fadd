"""Fused equals piped, any chunking gives the same bytes, latency, states and checkpoints. One work folder a check."""
import array
import fcntl
import json
import os
import select
import subprocess
import tempfile
import termios

from psatest import BIN, check, fail, main, psa

WORK = tempfile.mkdtemp(dir=os.environ.get("BATS_TEST_TMPDIR"))
T0 = 1710000000000000000


def path(name):
    return os.path.join(WORK, name)


def simulate(seconds=12):
    """psa-sim's press shop with nulls, late records, control lines and lines that are no records put in."""
    out = []
    for i, line in enumerate(psa("psa-sim", "--duration", "%ds" % seconds).splitlines(True)):
        if i % 41 == 7:
            line = line.replace(b'"accel_y":', b'"none":null,"accel_y":', 1) if i % 82 == 7 else \
                line[:line.index(b'"fields":{"') + 10] + b'"accel_x":null}' + line[line.index(b"}") + 1:]
        out.append(line)
        if i % 97 == 0:
            out.append(b'{"psa":{"heartbeat":%d}}\n' % (T0 + i * 1000000))
        if i % 501 == 0:
            out.append(b'{"sensor_type":"status","sensor_id":"press-01","state":"here"}\n')
        if i % 307 == 0:
            out.append(b'{"sensor_type":"status","sensor_id":"press-0%d","of":"accel_gyro","fields":{"up":%d},"fault":"absent",'
                       b'"timestamp_ns":%d}\n' % (i // 307 % 3, i // 307 % 2, T0 + i * 2000000))
        if i % 733 == 0:
            out.append(b"not a record\n\n")
        if i % 211 == 203:
            out.append(out[-20])
    return b"".join(out)


SIM = None


def sim():
    global SIM
    if SIM is None:
        SIM = simulate()
    return SIM


FILTER = ["psa-filter", "--lowpass", "10Hz", "--highpass", "0.001Hz", "--order", "2"]
WINDOW = ["psa-window", "--length", "1s", "--stride", "250ms", "--max-gap", "3s"]
FEATURES = ["psa-features"]
ECOD = ["psa-score", "--ecod", "--warmup", "20", "--contamination", "0.05"]
ALERT = ["psa-alert", "--cooldown", "2s", "--raise", "2/3"]
SILENCE = ["psa-alert", "--silent", "300ms", "--cooldown", "100ms", "--expect", "dht11/none,accel_gyro/press-01"]


def words(stages):
    return " | ".join(" ".join("'%s'" % w for w in s) for s in stages)


def piped(stages, data):
    for s in stages:
        data = psa(*s, data=data)
    return data


def score():
    """A model trained on the first half."""
    model = path("model.json")
    if not os.path.exists(model):
        rows = piped([["psa-window", "--length", "1s", "--stride", "500ms"], FEATURES], sim()[:len(sim()) // 2].rsplit(b"\n", 1)[0] + b"\n")
        imu = b"".join(l + b"\n" for l in rows.splitlines() if b"accel_x_rms" in l and b"null" not in l)
        psa("psa-train", "isolation-forest", "--trees", "20", "-o", model, data=imu)
    return ["psa-score", "--model", model]


def groups():
    """Two groups on readings: one across sensors, one of an IMU alone that scores while it shakes."""
    with open(path("groups"), "w") as f:
        f.write("press --ecod --warmup 10 --horizon 50 --hold 2s accel_gyro/press-01:accel_x,accel_z pressure/press-01:pressure_Pa\n"
                "shaken --cusum --warmup 9 --running '.fields[\"accel_gyro/press-02:accel_x\"] > 0' --settle 10ms accel_gyro/press-02:accel_x,gyro_z\n")
    return ["psa-score", "--groups", path("groups")]


def models():
    """One model of all IMUs, and one of the pressures that remembers rows; the DHT11s have none."""
    os.makedirs(path("models"), exist_ok=True)
    for kind, options in (("accel_gyro", ["isolation-forest", "--trees", "10"]), ("pressure", ["dynamic-pca", "--lags", "2"])):
        model = path("models/%s.json" % kind)
        if not os.path.exists(model):
            good = psa("psa-sim", "--no-faults", "--duration", "60s" if kind == "pressure" else "3s").splitlines(True)
            psa("psa-train", *options, "-o", model, data=b"".join(l for l in good if kind.encode() in l))
    return ["psa-score", "--models", path("models"), "--rest", "2"]


# Each stage by itself: what comes before it, and the stage.
def stages():
    return {
        "filter": ([], FILTER), "filter-rate": ([], ["psa-filter", "--bandpass", "1:20", "--rate", "100"]),
        "filter-chain": ([], ["psa-filter", "--fill", "linear", "--hampel", "5", "--centred", "--magnitude", "accel_*=accel", "--lowpass",
                              "10Hz", "--max-gap", "3s"]),
        "filter-resample": ([], ["psa-filter", "--kalman", "level,1,1", "--resample", "20,mean", "--median", "3", "--centred"]),
        "filter-blocks": ([WINDOW], ["psa-filter", "--detrend", "linear", "--zero-phase", "--highpass", "5Hz", "--suffix", "_hp"]),
        "window": ([], WINDOW), "window-count": ([], ["psa-window", "--length", "20", "--stride", "7"]),
        "window-epoch": ([], ["psa-window", "--length", "1s", "--stride", "250ms", "--align", "epoch", "--intervals"]),
        "window-session": ([], ["psa-window", "--session", "50ms", "--max-samples", "30", "--intervals"]),
        "features": ([WINDOW], FEATURES), "features-length": ([], ["psa-features", "--length", "500ms", "--features", "rms,mean"]),
        "features-all": ([], ["psa-features", "--length", "1s", "--set", "all,array", "--rpm", "600", "--bearing", "8,1,4,0", "--envelope", "10:30"]),
        "features-rolling": ([], ["psa-features", "--rolling", "mean,std@3,20", "--keep"]),
        "features-rolling-time": ([], ["psa-features", "--rolling", "mean,slope,min,median,q95,ewma,zscore@300ms,7", "--rolling", "max,rms@1s", "--max-samples", "25"]),
        "score-ecod": ([WINDOW, FEATURES], ECOD), "score-horizon": ([], ["psa-score", "--ecod", "--warmup", "10", "--horizon", "50"]),
        "score-layers": ([], ["psa-score", "--ecod", "--warmup", "10", "--horizon", "50", "--off", "2", "--rest", "5", "--false-alarms", "2/1s"]),
        "score-dynamic-pca": ([], ["psa-score", "--dynamic-pca", "--lags", "2,3", "--warmup", "60", "--refit", "10", "--reference", "50", "--guard", "5"]),
        "score-chart": ([], ["psa-score", "--cusum", "--warmup", "30", "--top", "9"]),
        "score-trees": ([], ["psa-score", "--half-space-trees", "--warmup", "30", "--samples", "40", "--trees", "5"]),
        "score-conformal": ([], ["psa-score", "--conformal", "--warmup", "30", "--horizon", "80", "--shingle", "6", "--season", "2s"]),
        "score-groups": ([], groups()), "score-models": ([], models()),
        "score-running": ([], ["psa-score", "--ecod", "--warmup", "10", "--horizon", "50", "--running", ".fields | .accel_x > 0 or .temperature_C > 22", "--settle", "20ms"]),
        "score-model": ([WINDOW, FEATURES], score()), "alert": ([WINDOW, FEATURES, ECOD], ALERT),
        "alert-silence": ([], SILENCE),
    }


def chains():
    return [[FILTER, WINDOW, FEATURES, score(), ALERT], [FILTER, WINDOW, FEATURES, ECOD, ALERT],
            [["psa-features", "--length", "16"], ["psa-filter", "--lowpass", "0.5Hz"], ECOD],
            [WINDOW, FILTER, FEATURES, ["psa-window", "--length", "4", "--partial"], FEATURES],
            [["psa-features", "--rolling", "mean,std@5"], ECOD, ["psa-filter", "--lowpass", "1Hz", "--fields", "anomaly_score"]],
            [["psa-score", "--ecod", "--warmup", "5", "--horizon", "100"], WINDOW, FEATURES, ALERT]]


def fused():
    for chain in chains():
        want = piped(chain, sim())
        check(psa("psa-run", words(chain), data=sim()) == want, "fused differs: " + words(chain))
        check(len(want.splitlines()) > 60, "too little output: " + words(chain))
    for name, (before, stage) in stages().items():
        data = piped(before, sim())
        want = psa(*stage, data=data)
        check(psa("psa-run", words([stage]), data=data) == want, "fused differs: " + name)
        check(len(want.splitlines()) > 60, "too little output: " + name)


def names():
    """Names that collide, keys that change on the way, numbers at the ends: fused equals piped."""
    data = b"".join(b'{"sensor_id":"a","fields":{"a":[%d,2,3],"a_mean":%d,"a":[%d,5],"b":[1e308,1e308],"c":1e999,"d":-0.0},'
                    b'"timestamp_ns":%d,"rate_hz":10,"labels":{"n":1},"anomaly":3}\n' % (i, i, i, i * 1000000000)
                    for i in range(40))
    mean = ["psa-features", "--features", "mean,std"]
    for chain in ([mean, ["psa-filter", "--lowpass", "0.1", "--rate", "1"]], [mean, ["psa-features", "--rolling", "mean@2", "--keep"]], [mean, ["psa-window", "--length", "2"]],
                  [mean, ECOD, ["psa-window", "--key", "anomaly.state", "--length", "2"]],
                  [mean, ["psa-window", "--key", "fields.a_mean", "--length", "1"]],
                  [mean, ECOD, ECOD], [mean, ["psa-window", "--length", "3"], mean, ["psa-window", "--key", "window.seq", "--length", "1"]],
                  [mean, ["psa-filter", "--lowpass", "0.1"], ["psa-window", "--length", "2s", "--partial"]],
                  [mean, ["psa-window", "--length", "3"], ["psa-filter", "--highpass", "0.1"], mean, ["psa-features", "--rolling", "mean@3"]]):
        want = piped(chain, data)
        got = psa("psa-run", words(chain), data=data)
        if got != want:
            for g, w in zip(got.splitlines(), want.splitlines()):
                if g != w:
                    fail("%s\n fused %r\n piped %r" % (words(chain), g, w))
            fail("%s: %d lines, not %d" % (words(chain), len(got.splitlines()), len(want.splitlines())))
        check(want, "no output: " + words(chain))


def waiting(fd):
    """Bytes in a pipe that nobody has read yet."""
    n = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, n)
    return n[0]


def feed(argv, data, size):
    p = subprocess.Popen([os.path.join(BIN, argv[0]), *argv[1:]], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, bufsize=0)
    out, at, fd = [], 0, p.stdin.fileno()
    os.set_blocking(fd, False)
    while True:
        r, w, _ = select.select([p.stdout], [fd] if at < len(data) else [], [], 30)
        check(r or w, "stuck: " + " ".join(argv))
        if w:
            try:
                at += os.write(fd, data[at:at + size])
            except BlockingIOError:
                pass
            while size < 4096 and waiting(fd) and p.poll() is None:  # so that each chunk is a read of its own
                pass
            if at >= len(data):
                p.stdin.close()
        if r:
            got = os.read(p.stdout.fileno(), 65536)
            if not got:
                break
            out.append(got)
    check(p.wait() == 0, "status %d: %s" % (p.returncode, " ".join(argv)))
    return b"".join(out)


def chunks():
    head = b"\xef\xbb\xbf" + b"".join(sim().splitlines(True)[:4500])
    todo = [(name, *pair) for name, pair in stages().items()] + [("chain", [], ["psa-run", words(chains()[1])])]
    for name, before, stage in todo:
        data = piped(before, head)
        want = psa(*stage, data=data)
        small = data[:60000] if len(before) else data[:30000]
        check(want, "no output: " + name)
        check(feed(stage, data, 65536) == want, name + ": chunks of 64 KiB differ")
        check(feed(stage, data, 4099) == want, name + ": chunks of 4099 differ")
        want = psa(*stage, data=small)
        check(feed(stage, small, 7) == want, name + ": chunks of 7 differ")
        check(feed(stage, small[:15000], 1) == psa(*stage, data=small[:15000]), name + ": chunks of 1 differ")


def latency():
    """What a record completes appears before anything else is written."""
    def reading(i, extra=""):
        return '{"sensor_id":"a","fields":{"x":%d},"timestamp_ns":%d%s}\n' % (i % 5, i * 1000000000, extra)
    scored = ',"anomaly":{"is_anomaly":true,"state":"scoring"}'
    one = {"psa-filter --lowpass 1 --rate 9": ("", reading(1)), "psa-window --length 2": (reading(1), reading(2)),
           "psa-window --length 2s": (reading(0) + reading(1), reading(2)), "psa-features": ("", reading(1).replace('"x":1', '"x":[1]')),
           "psa-features --length 1": ("", reading(1)), "psa-features --rolling mean@2": ("", reading(1)),
           "psa-score --ecod": ("", reading(1)), "psa-alert": ("", reading(1, scored)),
           "psa-run 'psa-filter --lowpass 1 --rate 9 | psa-window --length 1 | psa-features | psa-score --ecod'": ("", reading(1)),
           "psa-window --length 1s": (reading(0), '{"psa":{"heartbeat":1000000000}}\n')}
    for command, (before, line) in one.items():
        p = subprocess.Popen(["/bin/sh", "-c", "exec " + os.path.join(BIN, command)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, bufsize=0)
        for text in [before, line]:
            p.stdin.write(text.encode())
        check(select.select([p.stdout], [], [], 10)[0], command + ": nothing appears")
        first = os.read(p.stdout.fileno(), 65536)
        check(first.endswith(b"\n"), command + ": half a line")
        p.stdin.close()
        rest = p.stdout.read()
        check(p.wait() == 0, command)
        if "heartbeat" not in line:
            check(first.count(b"\n") == 1 and rest == b"", command + ": %r then %r" % (first, rest))


def cut_at(data, lines_at):
    lines = data.splitlines(True)
    cuts = [0] + lines_at + [len(lines)]
    return [b"".join(lines[a:b]) for a, b in zip(cuts, cuts[1:])]


def states():
    """Cut at many records and resumed from --state: the bytes of the uncut run with --state."""
    todo = [(name, before, [stage]) for name, (before, stage) in stages().items()] + [("chain", [], chains()[1]), ("forest", [], chains()[0])]
    for name, before, chain in todo:
        data = piped(before, sim())
        data = b"".join(data.splitlines(True)[:3000])
        files = [path("%s.%d" % (name, i)) for i in range(len(chain))]
        with_state = [s + ["--state", f] for s, f in zip(chain, files)]
        argv = with_state[0] if len(chain) == 1 else ["psa-run", words(with_state)]
        whole = psa(*argv, data=data)
        check(whole.count(b"\n") > 20, name + ": too little output")
        for f in files:
            os.remove(f)
        n = len(data.splitlines())
        parts = cut_at(data, sorted({1, 2, 3, 5, 8, 17, 18, 60, 61, n // 3, n // 2, n // 2 + 1, n - 1}))
        got = [psa(*argv, data=part) for part in parts]
        check(b"".join(got) == whole, name + ": a stream cut and resumed differs")
        check(all(os.path.exists(f) for f in files), name + ": no state")


def flat_states():
    data = b"".join(b'{"timestamp":%d,"sensor_id":"t","temperature":%d.5}\n' % (1710000000 + i, i % 7) for i in range(60))
    for stage in (["psa-filter", "--lowpass", "0.1Hz"], ["psa-window", "--length", "7"], ["psa-features", "--rolling", "mean@3"]):
        state = path("flat")
        argv = stage + ["--flat", "--state", state]
        whole = psa(*argv, data=data)
        os.remove(state)
        check(b"".join(psa(*argv, data=p) for p in cut_at(data, [5, 18, 30])) == whole, "flat: %r" % stage)
        os.remove(state)


def refused():
    """A state of other options, of another program, of another version, cut short or damaged is refused with 2."""
    for name, (before, stage) in stages().items():
        data = piped(before, sim())
        data = b"".join(data.splitlines(True)[:150])
        state = path(name + ".state")
        argv = stage + ["--state", state]
        psa(*argv, data=data)
        good = open(state, "rb").read()
        other = {"psa-filter": ["--max-gap", "9s"], "psa-window": ["--max-samples", "9999"], "psa-features": ["--max-samples", "9"] if "--length" in stage else ["--rolling", "mean@9"],
                 "psa-score": ["--horizon", "77"], "psa-alert": ["--clear", "9"]}[stage[0]]
        if name in ("score-model", "score-models", "score-groups"):
            other = None
        if other:
            check(psa(*argv, *other, data=data, status=2) == b"", name)
            check("configuration" in psa.err, name + ": " + psa.err)
        wrong = good.replace(b'"psa_state":1', b'"psa_state":2', 1)
        check(wrong != good, "version")
        damaged = {"version": wrong, "empty": b"", "text": b"hello\n", "more": good + b"{}", "program": good.replace(
            b'"stage":"' + stage[0].encode(), b'"stage":"psa-none', 1)}
        for part in (1, 10, len(good) // 3, len(good) // 2, len(good) - 3):
            damaged["cut at %d" % part] = good[:part]
        for what, text in damaged.items():
            open(state, "wb").write(text)
            check(psa(*argv, data=data, status=2) == b"", "%s: %s" % (name, what))
            check(state in psa.err and psa.err.count("\n") == 1, "%s: %s: %s" % (name, what, psa.err))
            check(open(state, "rb").read() == text, "%s: %s: a refused state was overwritten" % (name, what))
        for at in range(0, len(good), max(1, len(good) // 25)):  # a flipped byte: refused or taken, never a crash
            open(state, "wb").write(good[:at] + bytes([good[at] ^ 0x11]) + good[at + 1:])
            p = subprocess.run([os.path.join(BIN, argv[0]), *argv[1:]], input=data, capture_output=True, timeout=20)
            check(p.returncode in (0, 2), "%s: byte %d: status %d %s" % (name, at, p.returncode, p.stderr[-500:]))


def checkpoints():
    """FILE.ID is kept for the last two; restored, the rest of the stream gives the same bytes."""
    lines = [l for l in sim().splitlines(True)][:1200]
    state = path("s")
    chain = [s + ["--state", "%s%d" % (state, i)] for i, s in enumerate(chains()[1])]
    for name, argv, files in [("window", WINDOW + ["--state", state + "0"], [state + "0"]),
                              ("chain", ["psa-run", words(chain)], [state + str(i) for i in range(5)])]:
        marks = {300: b'{"psa":{"checkpoint":"7"}}\n', 600: b'{"psa":{"checkpoint":"8"}}\n', 900: b' {"psa":{"checkpoint":"19"}}\n'}
        stream = b"".join(l + marks.get(i, b"") for i, l in enumerate(lines, 1))
        whole = psa(*argv, data=stream)
        for f in files:
            os.remove(f)
            check(not os.path.exists(f + ".7"), name + ": the oldest of three is still there")
            check(os.path.exists(f + ".8") and os.path.exists(f + ".19"), name + ": the last two are not there")
        for mark, ident in ((900, b"19"), (600, b"8")):  # the newest first: a restore removes what was saved behind it
            rest = b'{"psa":{"restore":"%s"}}\n' % ident + b"".join(lines[mark:])
            got = psa(*argv, data=rest)
            check(got.startswith(b'{"psa":{"restore":"%s"}}\n' % ident), name + ": restore is not handed on")
            got = got.split(b"\n", 1)[1]
            behind = whole[whole.index(marks[mark]) + len(marks[mark]):]
            for m in marks.values():
                behind = behind.replace(m, b"")
            check(got == behind, name + ": restored at %s differs" % ident.decode())
            for f in files:
                os.remove(f)
        for f in files:
            check(os.path.exists(f + ".8") and not os.path.exists(f + ".19"), name + ": not what restore leaves behind")
        psa(*argv, data=b'{"psa":{"restore":"99"}}\n' + lines[0], status=2)
        check("there is no state '%s.99' to restore" % files[-1] in psa.err or "%s.99" % state in psa.err or ".99" in psa.err, psa.err)
        psa(*argv, data=lines[0] + b'{"psa":{"restore":"19"}}\n', status=2)
        check("must be the first line" in psa.err, psa.err)
    out = psa("psa-alert", data=b'{"psa":{"checkpoint":"1"}}\n{"psa":{"restore":"1"}}\n')
    check(out.count(b"\n") == 2, "without --state control lines are only handed on")
    for bad in (b'{"psa":{"checkpoint":"../x"}}', b'{"psa":{"checkpoint":"1a"}}', b'{"psa":{"checkpoint":""}}', b'{"psa":{}}',
                b'{"psa":{"heartbeat":"x"}}', b'{"psa":{"heartbeat":1.5}}', b'{"psa":7}'):
        out = psa(*WINDOW, "--stats", "--strict", "--state", path("bad"), data=bad + b"\n", status=3)
        check(out == b"", "%r is handed on" % bad)


def locale():
    env = {"LOCPATH": os.path.abspath("bin/build/locale"), "LC_ALL": "de_DE.UTF-8", "LC_NUMERIC": "de_DE.UTF-8", "LANG": "de_DE.UTF-8"}
    chain = words(chains()[0])
    check(psa("psa-run", chain, data=sim(), env=env) == psa("psa-run", chain, data=sim(), env={"LC_ALL": "C"}), "the locale changes bytes")


def order_of_reads():
    """The same file twice, as argument and through a pipe: no state outside the stream."""
    open(path("in"), "wb").write(sim())
    chain = words(chains()[1])
    check(psa("psa-run", chain, path("in")) == psa("psa-run", chain, data=sim()) == psa("psa-run", chain, "-", data=sim()), "replay differs")


main({"fused": fused, "names": names, "chunks": chunks, "latency": latency, "states": states, "flat_states": flat_states,
      "refused": refused, "checkpoints": checkpoints, "locale": locale, "replay": order_of_reads})
