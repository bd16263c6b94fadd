#!/usr/bin/env python3
"""manuals.py - every program has its manual page, and the page says what the option table says.

Each option that `PROGRAM --help` shows must stand in man/PROGRAM.1 as an item (`.It Fl n , Fl -count Ar N`) with the same
letter and the same argument, its text naming the default; and no item may name an option the program does not have. An
option that all filters share may stand in man/psa.7 instead, if the page refers there (`.Xr psa 7`). TAP on stdout.
"""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("PSA_BIN", os.path.join(ROOT, "bin"))


def help_options(program):
    """name -> (letter, argument, default) out of --help."""
    text = subprocess.run([os.path.join(BIN, program), "--help"], capture_output=True, text=True, check=True).stdout
    options, current = {}, None
    for line in text.splitlines():
        found = re.match(r"  (?:-(\w), |    )--([a-z0-9-]+)(?: (\S+))?(?:\s{2,}(.*)|\s*)$", line)
        if not found:  # an argument may touch the explanation's column
            found = re.match(r"  (?:-(\w), |    )--([a-z0-9-]+)(?: ([A-Z]\S*))? +(.*)$", line)
        if found:
            current = found.group(2)
            options[current] = [found.group(1), found.group(3), found.group(4) or ""]
        elif current and line.startswith("      "):
            options[current][2] += " " + line.strip()
        else:
            current = None
    for option in options.values():
        default = re.search(r"\(default: (.*)\)$", option[2].strip())
        option[2] = default.group(1) if default else None
    return options


def unescape(text):
    text = re.sub(r'\\[&%|^]', "", text)
    return text.replace("\\-", "-").replace("\\(dq", '"').replace("\\e", "\\").replace('"', "")


def item_options(line):
    """(name, letter, argument) of each option that an item line names: `.It Fl n , -count Ar N`, `.It Fl -a Ar X , Fl -b`."""
    options, macro, glue, letter = [], None, False, None
    for word in line.split()[1:]:
        if word in ("Fl", "Ar", "Cm", "No", "Li"):
            macro = word
        elif word == "Ns":
            glue = True
        elif word == ",":
            glue = False
        elif macro == "Fl" and not glue:
            if word.startswith("-"):
                options.append([word[1:], letter, ""])
                letter = None
            else:
                letter = word
        elif options and word != "=":
            options[-1][2] += word
    return options


def page_options(path):
    """name -> (letter, argument, text) out of the items of a page's mdoc source."""
    options, current = {}, []
    with open(path, encoding="utf-8") as page:
        for line in page:
            line = unescape(line.rstrip("\n"))
            if line.startswith(".It Fl"):
                current = item_options(line)
                for name, letter, argument in current:
                    options[name] = [letter, argument or None, ""]
            elif line.startswith((".It", ".El", ".Sh")):
                current = []
            else:
                for name, _, _ in current:
                    options[name][2] += " " + re.sub(r"^\.[A-Z][a-z] ", "", line)
    return options


def names_default(text, default):
    value = r"\s*".join(re.escape(word) for word in default.split())
    return re.search(r"\bdefaults?\b", text, re.I) and re.search(rf"(?<![\w.]){value}(?!\w)", text)


def faults_of(program, shared):
    path = os.path.join(ROOT, "man", program + ".1")
    if not os.path.exists(path):
        return [f"man/{program}.1 does not exist"]
    with open(path, encoding="utf-8") as page:
        refers = re.search(r"^\.Xr psa 7", page.read(), re.M)
    shown, written, faults = help_options(program), page_options(path), []
    if "help" not in shown:
        faults.append(f"{program} --help shows no options")
    for name, (letter, argument, default) in shown.items():
        item = written.get(name) or (shared.get(name) if refers else None)
        if not item:
            faults.append(f"--{name} is not in the page")
            continue
        if item[0] != letter:
            faults.append(f"--{name}: letter {letter} in --help, {item[0]} in the page")
        if item[1] != argument:
            faults.append(f"--{name}: argument {argument} in --help, {item[1]} in the page")
        if default and not names_default(item[2], default):
            faults.append(f"--{name}: the page does not name the default {default}")
    faults += [f"--{name} is in the page but not in --help" for name in written if name not in shown]
    with open(path, encoding="utf-8") as page:
        text = page.read()
    faults += [f"no section {section}" for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "EXAMPLES")
               if not re.search(rf"^\.Sh {section}$", text, re.M)]
    return faults


def main():
    programs = sorted(name for name in os.listdir(BIN) if os.path.exists(os.path.join(ROOT, "src/cmd", name + ".c")))
    shared_page = os.path.join(ROOT, "man/psa.7")
    shared = page_options(shared_page) if os.path.exists(shared_page) else {}
    failed = not programs
    print(f"1..{len(programs)}")
    for number, program in enumerate(programs, 1):
        faults = faults_of(program, shared)
        failed |= bool(faults)
        print(f"{'not ok' if faults else 'ok'} {number} - man/{program}.1 says what {program} --help says")
        for fault in faults:
            print(f"# {fault}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
