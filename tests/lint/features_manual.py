#!/usr/bin/env python3
"""features_manual.py [--write] - psa-features(1) lists the features that `psa-features --list` does.

The lines between the two marker comments of man/psa-features.1 are made from --list, which prints the table of
src/stage/feature_registry.c. --write writes them; without it stale ones are a fault. TAP on stdout.
"""
import os
import re
import subprocess
import sys
import textwrap

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("PSA_BIN", os.path.join(ROOT, "bin"))
PAGE = os.environ.get("PSA_FEATURES_PAGE", os.path.join(ROOT, "man", "psa-features.1"))
BEGIN = '.\\" from here to "end of the table": tests/lint/features_manual.py --write\n'
END = '.\\" end of the table\n'


def escape(text):
    return text.replace("\\", "\\e").replace("-", "\\-").replace("^", "\\(ha").replace("'", "\\(aq")


def paragraph(text):
    """Escaped text in lines that roff takes for text."""
    lines = textwrap.wrap(escape(text), 76, break_long_words=False, break_on_hyphens=False)
    return [("\\&" if line[0] in ".'" else "") + line for line in lines]


def table():
    """The mdoc source of --list."""
    listed = subprocess.run([os.path.join(BIN, "psa-features"), "--list"], capture_output=True, text=True, check=True).stdout
    page, in_list = [], False
    for line in listed.splitlines():
        group = re.match(r"--set (\w+): (.*)$", line)
        feature = re.match(r"  (\S+) {2,}(\S+) {2,}(\S.*)$", line)
        source = re.match(r" {20,}= (.*)$", line)
        if group:
            if in_list:
                page.append(".El")
            in_list = False
            page += [".Ss --set " + group.group(1), group.group(2)[0].upper() + group.group(2)[1:] + "."]
        elif source:
            page += paragraph("= " + source.group(1))
        elif feature:
            if not in_list:
                page.append(".Bl -tag -width Ds")
            in_list = True
            name, unit, formula = feature.groups()
            page.append(".It Li " + escape(name) + ("" if unit == "1" else " Pq " + escape(unit)))
            page += paragraph(formula)
            page.append(".br")
        elif line.startswith("  "):
            names = line.strip().split(",")
            page += [".br", ".Li " + " , ".join(names[:6]) + (" ," if names[6:] else "")]
            page += [".Li " + " , ".join(names[6:])] if names[6:] else []
    if in_list:
        page.append(".El")
    return "\n".join(page) + "\n"


def main():
    with open(PAGE, encoding="utf-8") as page:
        before, begin, rest = page.read().partition(BEGIN)
    old, end, behind = rest.partition(END)
    print("1..1")
    if not begin or not end:
        print("not ok 1 - psa-features(1) has the two comments around its table")
        return 1
    new = table()
    if "--write" in sys.argv[1:]:
        with open(PAGE, "w", encoding="utf-8") as page:
            page.write(before + BEGIN + new + END + behind)
        old = new
    print(f"{'ok' if old == new else 'not ok'} 1 - the table in psa-features(1) is that of --list")
    if old != new:
        print("# run tests/lint/features_manual.py --write")
    return int(old != new)


if __name__ == "__main__":
    sys.exit(main())
