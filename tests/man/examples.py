#!/usr/bin/env python3
"""examples.py PAGE - runs every example of a manual page, or of a Markdown file. TAP on stdout.

Examples are what stands in the page's EXAMPLES, or in a subsection called Example, between `.Bd -literal` and `.Ed`, or
after `.Dl`, and in a Markdown file's ```console blocks: a line that starts with `$ ` is a command (lines that start with
`> ` go on with it, so does what follows a backslash); the lines up to the next command are its output, where `...` stands
for any text and a line of `...` alone for any lines. Without such lines the output may be anything. A command must exit
with 0, in bash with pipefail. All of a page's commands run in one shell and one new directory, with the programs in PATH
and a free port in $PORT; examples that name sound files find those of sound_files.py.

    .\\" not run: REASON      before a block: its commands are skipped
    .\\" exit status N        before a block: what its last command exits with
"""
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import sound_files  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("PSA_BIN", os.path.join(ROOT, "bin"))
SECONDS = 120  # for all of a page


def unescape(line):
    line = re.sub(r"\\[&%|^]", "", line).replace("\\-", "-").replace("\\(dq", '"').replace("\\(aq", "'")
    return line.replace("\\(ti", "~").replace("\\(ha", "^").replace("\\(ga", "`").replace("\\e", "\\")


def blocks(page):
    """(lines, reason not to run or None, exit status) of each block."""
    inside, all_of_it, literal, reason, status = False, False, None, None, 0
    with open(page, encoding="utf-8") as text:
        for line in text:
            line = line.rstrip("\n")
            if line.startswith(".Sh "):
                inside = all_of_it = line == ".Sh EXAMPLES"
            elif line.startswith(".Ss "):
                inside = all_of_it or line == ".Ss Example"
            elif not inside:
                continue
            elif line.startswith('.\\" not run:'):
                reason = line[len('.\\" not run:'):].strip()
            elif line.startswith('.\\" exit status '):
                status = int(line.split()[-1])
            elif line.startswith(".Bd -literal"):
                literal = []
            elif line.startswith(".Ed") and literal is not None:
                yield literal, reason, status
                literal, reason, status = None, None, 0
            elif literal is not None:
                literal.append(unescape(line))
            elif line.startswith(".Dl "):
                yield [unescape(line[4:])], reason, status
                reason, status = None, 0


def markdown_blocks(page):
    """The same of a Markdown file's ```console blocks."""
    literal = None
    with open(page, encoding="utf-8") as text:
        for line in text:
            line = line.rstrip("\n")
            if literal is None:
                literal = [] if line == "```console" else None
            elif line == "```":
                yield literal, None, 0
                literal = None
            else:
                literal.append(line)


def commands(lines):
    """(command, expected lines) of a block."""
    command, output = None, []
    for line in lines:
        if line.startswith("$ "):
            if command is not None:
                yield command, output
            command, output = line[2:], []
        elif command is None:
            continue
        elif not output and (line.startswith("> ") or command.endswith("\\")):
            command += "\n" + (line[2:] if line.startswith("> ") else line)
        else:
            output.append(line)
    if command is not None:
        yield command, output


def is_output(expected, got):
    pattern = ""
    for line in expected:
        pieces = ".*".join(re.escape(piece) for piece in line.split("..."))
        pattern += r"(?:.*\n)*?" if line.strip() == "..." else pieces + r"\n"
    return re.fullmatch(pattern, got if got.endswith("\n") or not got else got + "\n") is not None


def run_all(commands_of_page, directory):
    """Run the commands in one shell; (exit status or None, stdout, stderr) of each."""
    with tempfile.TemporaryDirectory() as logs:
        script = "set -o pipefail\n"
        for at, command in enumerate(commands_of_page):
            with open(f"{logs}/command.{at}", "w", encoding="utf-8") as out:
                out.write(command + "\n")
            script += f'eval "$(cat {logs}/command.{at})" >{logs}/out.{at} 2>{logs}/err.{at}\n'
            script += f"echo $? >{logs}/status.{at}\n"
        with socket.socket() as probe:  # for examples that need a broker
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        env = dict(os.environ, PATH=BIN + ":" + os.environ["PATH"], HOME=directory, PORT=port)
        shell = subprocess.Popen(["bash", "-c", script], cwd=directory, env=env, stdin=subprocess.DEVNULL,
                                 start_new_session=True)
        try:
            shell.wait(SECONDS)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(shell.pid, signal.SIGKILL)  # what an example that failed has left running
        except ProcessLookupError:
            pass
        shell.wait()

        def text(kind, at):
            try:
                with open(f"{logs}/{kind}.{at}", encoding="utf-8", errors="replace") as log:
                    return log.read()
            except FileNotFoundError:
                return ""

        return [(text("status", at).strip(), text("out", at), text("err", at)) for at in range(len(commands_of_page))]


def faults_of(expected, status, done):
    got_status, out, err = done
    faults = []
    if got_status != str(status):
        faults.append(f"exit status {got_status}, not {status}" if got_status else "not finished in time")
    if expected and not is_output(expected, out):
        faults += ["expected:"] + ["  " + line for line in expected]
        faults += ["printed:"] + ["  " + line for line in out.splitlines()[:40]]
    return faults + ["stderr: " + line for line in err.splitlines()[:20]] if faults else []


def main():
    page = sys.argv[1]
    examples, failed = [], False  # (command, expected, status, reason not to run)
    for lines, reason, status in markdown_blocks(page) if page.endswith(".md") else blocks(page):
        pairs = list(commands(lines))
        for at, (command, expected) in enumerate(pairs):
            examples.append((command, expected, status if at == len(pairs) - 1 else 0, reason))
    if not examples:
        wanted = page.endswith((".1", ".8", ".md"))
        print(f"1..1\nnot ok 1 - {page} has examples" if wanted else "1..0 # skip a page without examples")
        return int(wanted)
    with tempfile.TemporaryDirectory() as directory:
        if any(".wav" in command for command, _, _, _ in examples):
            sound_files.write_all(BIN, directory)
        done = iter(run_all([command for command, _, _, reason in examples if not reason], directory))
    print(f"1..{len(examples)}")
    for number, (command, expected, status, reason) in enumerate(examples, 1):
        name = command.splitlines()[0][:100].replace("#", "")
        faults = [] if reason else faults_of(expected, status, next(done))
        failed |= bool(faults)
        print(f"{'not ok' if faults else 'ok'} {number} - {name}" + (f" # skip {reason}" if reason else ""))
        for fault in faults:
            print(f"# {fault}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
