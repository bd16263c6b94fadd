#!/usr/bin/env python3
"""segments.py keep SPOOL FOLDER | segments.py taken FOLDER - what a spool has ever taken, also what it has forgotten since.

keep links every segment of SPOOL into FOLDER, as long as it runs: a segment that is removed or replaced lives on there. It looks
twenty times a second; a segment lives longer, since it is followed by another only when psa-spool starts anew or it is full.
taken prints the records of all of them, in the order of their sequence numbers; status 1 if there is a gap or one number has two
records. The form of a line is in src/spool/format.h.
"""
import os
import signal
import sys
import time


def keep(spool, folder):
    going = [True]
    signal.signal(signal.SIGTERM, lambda *_: going.clear())
    kept = set()
    while True:
        last = not going
        try:
            found = [(entry.name, entry.inode()) for entry in os.scandir(spool) if entry.name.endswith(".seg")]
        except FileNotFoundError:
            found = []
        for name, inode in found:
            if (name, inode) not in kept:
                try:
                    os.link(os.path.join(spool, name), os.path.join(folder, f"{len(kept):06}-{name}"))
                    kept.add((name, inode))
                except FileNotFoundError:
                    continue
        if last:
            return 0
        time.sleep(0.05)


def taken(folder):
    records, faults = {}, 0
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), "rb") as segment:
            for line in segment:
                if line.endswith(b"\n"):
                    number, _, _, text = line.split(b" ", 3)
                    faults += records.setdefault(int(number), text) != text
    for number in sorted(records):
        sys.stdout.buffer.write(records[number])
    gaps = max(records, default=0) - len(records)
    if faults or gaps:
        print(f"{faults} sequence numbers with two records, {gaps} without one", file=sys.stderr)
    return bool(faults or gaps)


sys.exit(keep(*sys.argv[2:]) if sys.argv[1] == "keep" else taken(sys.argv[2]))
