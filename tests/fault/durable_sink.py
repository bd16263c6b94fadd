#!/usr/bin/python3 -IS
"""durable_sink.py FILE - the sink behind a pipeline with checkpoints, psa-spool(1): whole lines are appended to FILE; at a
checkpoint what came before is synced, and then `@ID` printed. A torn last line, the trace of its own death, is cut at the start;
a torn last line of the input, the trace of another's, is left out. It is at least once: what came behind the last checkpoint
comes again after a crash."""
import os
import sys

MARK = b'{"psa":{"checkpoint":"'


def cut_torn_line(fd):
    size = os.fstat(fd).st_size
    whole = os.pread(fd, size, 0).rfind(b"\n") + 1
    if whole < size:
        os.ftruncate(fd, whole)


def write(fd, text):
    while text:
        text = text[os.write(fd, text):]


def main():
    out = os.open(sys.argv[1], os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    cut_torn_line(out)
    held = b""
    while block := os.read(0, 65536):
        *lines, held = (held + block).split(b"\n")
        kept = []
        for line in lines:
            if not line.startswith(b'{"psa":'):
                kept.append(line + b"\n")
            elif line.startswith(MARK):
                write(out, b"".join(kept))
                kept = []
                os.fsync(out)
                write(1, b"@" + line[len(MARK):].split(b'"')[0] + b"\n")
        write(out, b"".join(kept))


main()
