#!/usr/bin/env python3
"""A spool's segment made without psa, from the format as src/spool/format.h has it.

    spool_file.py FILE FIRST TAKEN_MS LINE...      TAKEN_MS may be -
"""
import sys


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def line(seq, taken, text):
    head = f"{seq} {taken} ".encode()
    return head + b"%08x " % crc32c(head + text) + text + b"\n"


if __name__ == "__main__":
    name, first, taken = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    with open(name, "wb") as out:
        for i, text in enumerate(sys.argv[4:]):
            out.write(line(first + i, taken, text.encode()))
