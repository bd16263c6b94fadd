"""What the Python checks share: run a program, read its records, compare numbers."""
import json
import math
import os
import subprocess
import sys

BIN = os.path.abspath(os.environ.get("PSA_BIN", "bin"))


def psa(*argv, data=b"", status=0, env=None):
    """Run a program on `data`; its stdout. The exit status must be `status`."""
    if isinstance(data, str):
        data = data.encode()
    done = subprocess.run([os.path.join(BIN, argv[0]), *argv[1:]], input=data, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env={**os.environ, **(env or {})}, timeout=60)
    if done.returncode != status:
        fail("%s: exit status %d, not %d\n%s" % (" ".join(argv), done.returncode, status,
                                                 done.stderr.decode(errors="replace")[:2000]))
    psa.err = done.stderr.decode(errors="replace")
    return done.stdout


def records(text):
    return [json.loads(line) for line in text.decode().splitlines()]


def lines(recs):
    return "".join(json.dumps(r) + "\n" for r in recs).encode()


def fail(text):
    sys.exit("FAILED: " + text)


def check(ok, text):
    if not ok:
        fail(text)


def close(got, want, tolerance, what):
    """Relative to the larger of 1 and the value; None (null, NaN) only equals None."""
    check(len(got) == len(want), "%s: %d values, not %d" % (what, len(got), len(want)))
    for i, (g, w) in enumerate(zip(got, want)):
        if isinstance(w, float) and math.isnan(w):
            w = None
        if g is None or w is None:
            check(g is None and w is None, "%s[%d]: %r, not %r" % (what, i, g, w))
        else:
            check(abs(g - w) <= tolerance * max(1.0, abs(w)), "%s[%d]: %r, not %r" % (what, i, g, w))


def main(table):
    """Run the checks named on the command line."""
    for name in sys.argv[1:]:
        table[name]()
