"""psa-replay on sound files whose samples are known: written here, by the wave module, by hand, or by soundfile."""
import os
import resource
import struct
import subprocess
import sys
import tempfile
import wave
from fractions import Fraction

import numpy as np
from psatest import BIN, check, main, psa, records

try:
    import soundfile
except ImportError:
    soundfile = None

FOLDER = tempfile.mkdtemp(dir=os.environ.get("BATS_TEST_TMPDIR"))
RANDOM = np.random.default_rng(4)


def path(name):
    return os.path.join(FOLDER, name)


def write(name, data):
    with open(path(name), "wb") as file:
        file.write(data)
    return path(name)


def chunk(name, data):
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def wav(name, code, bits, rate, samples, before=b"", told=None):
    """samples: rows of channels, already as bytes; `before`: chunks before the samples; told: data length in the header."""
    n_channel, data = len(samples[0]), b"".join(b"".join(row) for row in samples)
    width = bits // 8 * n_channel
    form = struct.pack("<HHIIHH", code, n_channel, rate, rate * width, width, bits)
    body = chunk(b"fmt ", form) + before + b"data" + struct.pack("<I", len(data) if told is None else told) + data
    return write(name, b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body)


def play(file, *options, pipe=False):
    if not pipe:
        return records(psa("psa-replay", *options, file))
    with open(file, "rb") as data:
        return records(psa("psa-replay", *options, data=data.read()))


def joined(recs, name):
    return [x for r in recs for x in r["fields"][name]]


def expect(recs, channels, rate, block, what, start_ns=0):
    """Every sample the same double, every time exact; channels: name -> samples."""
    n = len(next(iter(channels.values())))
    check(len(recs) == -(-n // block), "%s: %d records" % (what, len(recs)))
    for i, r in enumerate(recs):
        check(list(r["fields"]) == list(channels), "%s: fields %s" % (what, list(r["fields"])))
        check(r["rate_hz"] == rate, "%s: rate %r" % (what, r["rate_hz"]))
        want = start_ns + int(Fraction(i * block * 10**9, rate))
        check(r["timestamp_ns"] == want, "%s: block %d at %d, not %d" % (what, i, r["timestamp_ns"], want))
        check(all(len(a) == min(block, n - i * block) for a in r["fields"].values()), "%s: length of block %d" % (what, i))
    for name, want in channels.items():
        got = joined(recs, name)
        check([x.hex() if x is not None else None for x in map(as_float, got)] ==
              [float(x).hex() if x is not None else None for x in want], "%s: samples of %s" % (what, name))


def as_float(x):
    return None if x is None else float(x)


def pcm24():
    """8 channels of 24 bits by hand: every value that matters, and random ones."""
    n = 10000
    raw = RANDOM.integers(-2**23, 2**23, size=(n, 8))
    raw[:6, 0] = [0, 1, -1, 2**23 - 1, -2**23, 4242]
    rows = [[int(x).to_bytes(3, "little", signed=True) for x in row] for row in raw]
    file = wav("eight.wav", 1, 24, 44100, rows)
    want = {"ch%d" % (i + 1): [int(x) / 2**23 for x in raw[:, i]] for i in range(8)}
    expect(play(file), want, 44100, 4096, "24 bits")
    expect(play(file, pipe=True), want, 44100, 4096, "24 bits from a pipe")
    counts = play(file, "--scale", "8388608")
    check(joined(counts, "ch1")[:6] == [0, 1, -1, 2**23 - 1, -2**23, 4242], "--scale to counts")
    nine = wav("nine.wav", 1, 16, 44100, [[b"\0\0"] * 9])
    psa("psa-replay", nine, status=2)
    check("nine.wav: 9 channels, more than --max-channels 8" in psa.err, psa.err)
    check(len(play(nine, "--max-channels", "9")[0]["fields"]) == 9, "--max-channels")


def pcm16():
    raw = RANDOM.integers(-2**15, 2**15, size=5000)
    with wave.open(path("mono.wav"), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(raw.astype("<i2").tobytes())
    expect(play(path("mono.wav"), "--block", "999"), {"ch1": [int(x) / 2**15 for x in raw]}, 8000, 999, "16 bits")


def floats():
    raw = RANDOM.normal(size=3000).astype("<f4")
    raw[:8] = np.array([0.1, -0.0, 1e-40, 3.4e38, np.nan, np.inf, 45.9739, -np.inf], dtype="<f4")
    file = wav("float.wav", 3, 32, 48828, [[x.tobytes()] for x in raw])
    check(psa("psa-replay", file).split(b"[")[1].startswith(b"0.10000000149011612,-0,9.99994610111476e-41,"), "shortest")
    raw[1] = 0  # Python's json reads -0 as an integer
    want = [float(x) if np.isfinite(x) else None for x in raw]
    file = wav("float.wav", 3, 32, 48828, [[x.tobytes()] for x in raw])
    expect(play(file, "--channels", "vibration", "--start-time", "2024-03-09T16:00:00Z"), {"vibration": want}, 48828, 4096,
           "float", 1710000000 * 10**9)
    check("3 samples from frame 0 on are not numbers; null printed" in psa.err, psa.err)
    check(want[0] != 0.1, "a float32 of 0.1 is not the double 0.1")
    twice = RANDOM.normal(size=2500).astype("<f8")
    file = wav("double.wav", 3, 64, 96000, [[x.tobytes(), (2 * x).tobytes()] for x in twice])
    expect(play(file), {"ch1": list(twice), "ch2": list(2 * twice)}, 96000, 4096, "double")
    got = play(file, "--channels", ",b", "--scale", "1,0.5")
    check(list(got[0]["fields"]) == ["b"] and joined(got, "b") == list(twice), "a channel left out, a factor each")


def formats():
    """What soundfile writes, from files and from pipes."""
    raw = RANDOM.integers(-2**23, 2**23, size=(20000, 3), dtype=np.int64)
    want = {"ch%d" % (i + 1): [int(x) / 2**23 for x in raw[:, i]] for i in range(3)}
    for name, subtype, options in (("a.flac", "PCM_24", {}), ("a.aiff", "PCM_24", {}), ("a.w64", "PCM_24", {}),
                                   ("a.caf", "PCM_24", {}), ("a.au", "PCM_24", {}), ("a.rf64", "PCM_24", {}),
                                   ("big.wav", "PCM_24", {"endian": "BIG"}), ("d.w64", "DOUBLE", {}),
                                   ("f.aiff", "FLOAT", {}), ("i.w64", "PCM_32", {})):
        data = (raw << 8).astype("i4") if subtype.startswith("PCM") else raw / 2**23
        soundfile.write(path(name), data, 44100, subtype=subtype, **options)
        expect(play(path(name)), want, 44100, 4096, name)
        expect(play(path(name), pipe=True), want, 44100, 4096, name + " from a pipe")
        os.rename(path(name), path("nameless"))
        expect(play(path("nameless"), "--block", "20000"), want, 44100, 20000, name + " by its content")
        check("psa_stats" not in psa.err and "cut short" not in psa.err, psa.err)
    soundfile.write(path("eight.wav"), (raw[:, :1] >> 16 << 24).astype("i4"), 8000, subtype="PCM_U8")
    expect(play(path("eight.wav")), {"ch1": [int(x) / 2**7 for x in raw[:, 0] >> 16]}, 8000, 4096, "8 bits, no sign")


def times():
    """44.1 kHz after millions of samples: no rounding adds up. 12.5 minutes of silence."""
    n = 33075001
    file = write("long.wav", b"RIFF" + struct.pack("<I", 36 + n) + b"WAVE" + chunk(
        b"fmt ", struct.pack("<HHIIHH", 1, 1, 44100, 44100, 1, 8)) + b"data" + struct.pack("<I", n) + b"\x80" * n)
    out = psa("psa-replay", "--block", "1000000", "--start-time", "1710000000123456789", file).splitlines()
    check(len(out) == 34, "%d blocks" % len(out))
    for i, line in enumerate(out):
        want = 1710000000123456789 + i * 1000000 * 10**9 // 44100
        check(line.endswith(b',"rate_hz":44100,"timestamp_ns":%d}' % want), "block %d: %r" % (i, line[-60:]))
    check(out[33].count(b"0") > 75000 and len(out[33]) < 200000, "the rest")


def broadcast():
    """The time in a broadcast wave file: samples since midnight of a date, or a time of day."""
    rows = [[b"\0\0"]] * 10

    def bext(date, clock, samples):
        return chunk(b"bext", b"\0" * 320 + date + clock.ljust(8, b"\0") + struct.pack("<Q", samples) + b"\0" * 256)

    day = 1709942400  # 2024-03-09
    for name, what, options, want in (
            ("reference", bext(b"2024-03-09", b"16:00:00", 44100 * 3600 * 16 + 1), (), (day + 57600) * 10**9 + 22675),
            ("clock", bext(b"2024:03:09", b"16-00-00", 0), (), (day + 57600) * 10**9),
            ("date", bext(b"2024-03-09", b"\0" * 8, 0), (), day * 10**9),
            ("none", bext(b"\0" * 10, b"\0" * 8, 7), (), 0),
            ("wrong", bext(b"2024-13-09", b"16:00:00", 0), (), 0),
            ("told", bext(b"2024-03-09", b"16:00:00", 0), ("--start-time", "5"), 5),
            ("without", b"", (), 0)):
        file = wav(name + ".wav", 1, 16, 44100, rows, before=what)
        for pipe in (False, True):
            check(play(file, *options, pipe=pipe)[0]["timestamp_ns"] == want, "time of %s" % name)
            check(("taken as 1970" in psa.err) == (name == "wrong"), "said of %s: %s" % (name, psa.err))
    for name, what in (("february", bext(b"2024-02-30", b"16:00:00", 0)), ("clock", bext(b"2024-03-09", b"25:61:00", 0)),
                       ("words", bext(b"yesterday!", b"16:00:00", 5)), ("half", bext(b"2024-03-09", b"16:00", 0)),
                       ("huge", bext(b"2024-03-09", b"16:00:00", 2**64 - 1)), ("late", bext(b"2262-04-11", b"", 2**40))):
        file = wav(name + ".wav", 1, 16, 44100, rows, before=what)
        for pipe in (False, True):
            got = play(file, "--stats", "--block", "3", pipe=pipe)
            check([r["timestamp_ns"] for r in got] == [0, 68027, 136054, 204081], "%s: %r" % (name, got))
            check(psa.err.count("is none; taken as 1970") == 1 and '"noted":{"no_start":1}' in psa.err, psa.err)
        play(file, "--start-time", "5")
        check(psa.err == "", "--start-time needs no other: " + psa.err)


def cut():
    """Files that end too early play what is there and say so; unknown lengths are no fault."""
    raw = [[struct.pack("<h", i % 1000)] for i in range(10000)]
    whole = wav("whole.wav", 1, 16, 44100, raw)
    with open(whole, "rb") as file:
        data = file.read()
    short = write("short.wav", data[:10044])
    for pipe in (False, True):
        recs = play(short, "--stats", pipe=pipe)
        check(joined(recs, "ch1") == [i % 1000 / 2**15 for i in range(5000)], "what is there of a short file")
        check('"noted":{"truncated":1}' in psa.err and "cut short: its header tells of" in psa.err, psa.err)
    check(psa.err.startswith("psa-replay: stdin: cut short: its header tells of 10000 frames, 5000 are there\n"), psa.err)
    for told in (0x7fffffff - 36, 0xffffffff):
        live = wav("live.wav", 1, 16, 44100, raw, told=told)
        for pipe in (False, True):
            check(joined(play(live, pipe=pipe), "ch1") == [i % 1000 / 2**15 for i in range(10000)], "a live header")
            check("cut short" not in psa.err, psa.err)
    psa("psa-replay", write("head.wav", data[:20]), status=2)
    check("head.wav: no sound that libsndfile can read: " in psa.err, psa.err)
    empty = write("empty.wav", wav_head := data[:40] + b"\0\0\0\0")
    check(psa("psa-replay", "--stats", empty) == b"" and "empty.wav: no samples in it" in psa.err, psa.err)
    check(len(wav_head) == 44 and '"noted":{"empty":1}' in psa.err.replace('"truncated":1,', ""), psa.err)


def cut_kinds():
    """Every kind that is cut short says the same as a file and from a pipe."""
    raw = RANDOM.integers(-2**15, 2**15, size=50000).astype("i2")
    for kind in ("wav", "rf64", "w64", "aiff", "au", "caf", "flac"):
        soundfile.write(path("whole." + kind), raw, 44100)
        with open(path("whole." + kind), "rb") as file:
            data = file.read()
        for part in (0.5, 0.75):
            short, found = write("short." + kind, data[:int(len(data) * part)]), []
            for pipe in (False, True):
                got = joined(play(short, "--strict", "--stats", pipe=pipe), "ch1")
                check(0 < len(got) < 50000 and got == [int(x) / 2**15 for x in raw[:len(got)]], kind + ": what is there")
                check("cut short: its header tells of" in psa.err and '"rejected":{}' in psa.err and
                      '"noted":{"truncated":1}' in psa.err, "%s, pipe %s: %s" % (kind, pipe, psa.err))
                found.append(len(got))
            check(found[0] == found[1], "%s: %r" % (kind, found))
    soundfile.write(path("whole.w64"), raw, 44100)
    with open(path("whole.w64"), "rb") as file:
        data = file.read()
    tail = write("tail.w64", data + b"x" * 1000)
    for pipe in (False, True):
        check(len(joined(play(tail, pipe=pipe), "ch1")) == 50000, "what stands behind the samples is none")


def damaged():
    """Damage that libsndfile sees ends it, in a file and from a pipe."""
    raw = RANDOM.integers(-2**15, 2**15, size=50000)
    soundfile.write(path("whole.flac"), raw.astype("i2"), 44100)
    with open(path("whole.flac"), "rb") as file:
        data = file.read()
    middle = len(data) // 2
    data = data[:middle] + bytes(3000) + data[middle + 3000:]
    bad = write("bad.flac", data)
    for argv, more in (((bad,), {}), ((), {"data": data})):
        got = joined(records(psa("psa-replay", "--strict", "--stats", *argv, status=3, **more)), "ch1")
        check(10000 < len(got) < 30000 and got == [int(x) / 2**15 for x in raw[:len(got)]], "the sound half")
        check('"rejected":{"sound":1}' in psa.err and "; what follows is left out" in psa.err, psa.err)


def far():
    """A pipe's samples must begin within 64 KiB; a file's need not."""
    rows = [[struct.pack("<h", i)] for i in range(100)]
    near = wav("near.wav", 1, 16, 1000, rows, before=chunk(b"LIST", b"INFO" + bytes(60000)))
    file = wav("far.wav", 1, 16, 1000, rows, before=chunk(b"LIST", b"INFO" + bytes(65536)))
    for name in (near, file):
        check(len(joined(play(name), "ch1")) == 100, "as a file")
    check(len(joined(play(near, pipe=True), "ch1")) == 100, "from a pipe")
    with open(file, "rb") as data:
        psa("psa-replay", data=data.read(), status=2)
    check("stdin: no sound that libsndfile can read from a pipe, of which the first 65536 bytes must hold" in psa.err and
          psa.err.endswith("; give the file by its name\n"), psa.err)


def room():
    """A short file takes the memory that it needs, not that of the largest block."""
    file = wav("wide.wav", 1, 16, 1000, [[struct.pack("<h", 1024 * i + k) for k in range(-512, 512)] for i in range(10)])
    long = wav("long.wav", 1, 16, 1000, [[struct.pack("<h", i % 1000)] for i in range(300000)])
    limit = (resource.RLIMIT_AS, (500 << 20, 500 << 20))
    options = ("--max-channels", "1024", "--block", "1048576")
    for name, n, channels in ((file, 10, 1024), (long, 300000, 1)):
        done = subprocess.run([os.path.join(BIN, "psa-replay"), *options, name], stdout=subprocess.PIPE, check=False,
                              preexec_fn=lambda: resource.setrlimit(*limit))
        check(done.returncode == 0, "%s: status %d" % (name, done.returncode))
        got = records(done.stdout)
        check(len(got) == 1 and [len(x) for x in got[0]["fields"].values()] == [n] * channels, name)
        check(got[0]["fields"]["ch1"] == ([(1024 * i - 512) / 2**15 for i in range(10)] if channels > 1 else
                                          [i % 1000 / 2**15 for i in range(n)]), name + ": samples")


def chunks():
    """Any chunking of a pipe gives the same bytes, and a record shows while the recording goes on."""
    file = wav("chunks.wav", 3, 64, 44100, [[x.tobytes()] for x in RANDOM.normal(size=30000)])
    with open(file, "rb") as sound:
        data = sound.read()
    want = psa("psa-replay", "--sensor-id", "stdin", "--block", "1000", file)
    for size in (1, 7, 4093, 65536, 100000):
        if size == 1:
            pieces = [data[i:i + 1] for i in range(200)] + [data[200:]]
        else:
            pieces = [data[i:i + size] for i in range(0, len(data), size)]
        run = subprocess.Popen([os.path.join(BIN, "psa-replay"), "--block", "1000"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, bufsize=0)
        out = path("out")
        with open(out, "wb") as sink:
            reader = subprocess.Popen(["cat"], stdin=run.stdout, stdout=sink)
        for piece in pieces:
            run.stdin.write(piece)
        run.stdin.close()
        check(run.wait() == 0 and reader.wait() == 0, "chunks of %d: status" % size)
        with open(out, "rb") as sink:
            check(sink.read() == want, "chunks of %d: other bytes" % size)
    run = subprocess.Popen([os.path.join(BIN, "psa-replay"), "--block", "1000"], stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE, bufsize=0)
    run.stdin.write(data[:100000])  # 12,494 samples: twelve blocks
    got = b"".join(run.stdout.readline() for _ in range(12))
    check(got == b"".join(want.splitlines(True)[:12]), "blocks of a recording that goes on")
    run.terminate()
    check(run.wait() == 0, "stopped while it waits")
    rest = run.stdout.read()
    check(rest.count(b"\n") <= 1 and (not rest or rest.endswith(b"}\n")), "the last line is whole: %r" % rest[-80:])
    run.stdin.close()


TABLE = {"pcm24": pcm24, "pcm16": pcm16, "floats": floats, "formats": formats, "times": times, "broadcast": broadcast,
         "cut": cut, "cut_kinds": cut_kinds, "damaged": damaged, "far": far, "room": room, "chunks": chunks}

if __name__ == "__main__":
    if soundfile is None and set(sys.argv[1:]) & {"formats", "cut_kinds", "damaged"}:
        sys.exit(77)
    main(TABLE)
