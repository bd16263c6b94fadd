#!/usr/bin/env python3
"""Compare the verdicts of rfc8259_table.h with Python's json module.

    bin/build/tests/test_json --table | tests/unit/rfc8259_check.py

Input: a line a row, "accepted(0|1) hex". Python is made strict: UTF-8 decoded strictly, NaN and Infinity refused. Output is
TAP. KNOWN lists the texts on which Python and psa differ on purpose, each with its reason.
"""
import json
import sys

KNOWN = {}


def refuse(word):
    raise ValueError(word)


def python_accepts(text):
    try:
        json.loads(text.decode("utf-8"), parse_constant=refuse)
        return True
    except ValueError:
        return False


def main():
    rows = [line.rstrip("\n").partition(" ")[::2] for line in sys.stdin]
    wrong = []
    for accepted, hexed in rows:
        text = bytes.fromhex(hexed)
        if python_accepts(text) != (accepted == "1") and text not in KNOWN:
            wrong.append((accepted, text))
    print("1..1")
    print(f"{'not ok' if wrong or not rows else 'ok'} 1 - {len(rows)} texts judged as Python's json judges them")
    for accepted, text in wrong:
        print(f"# the table says {'yes' if accepted == '1' else 'no'}: {text!r}")
    return 1 if wrong or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
