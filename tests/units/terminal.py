#!/usr/bin/env python3
"""terminal.py GO COMMAND... - run COMMAND on a terminal of its own and type Ctrl-C there as soon as the file GO exists.

What it says there goes to stdout. Ends with its status, 128 + the signal's number if a signal ended it, and 124 (killing it) if it
is still there 30 s after the Ctrl-C. SIGTERM to this program kills it. Whatever was started on the terminal is killed with it.
"""
import os
import pty
import select
import signal
import sys
import time

go, command = sys.argv[1], sys.argv[2:]
pid, terminal = pty.fork()
if pid == 0:
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE):  # the shell's `&` and Python ignore them
        signal.signal(number, signal.SIG_DFL)
    os.execvp(command[0], command)


def kill_session():
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as stat:
                if int(stat.read().rpartition(")")[2].split()[3]) == pid:
                    os.kill(int(process), signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError):
            pass


def give_up(*_):
    kill_session()
    os.waitpid(pid, 0)
    sys.exit(124)


signal.signal(signal.SIGTERM, give_up)
typed = None
while True:
    try:
        if select.select([terminal], [], [], 0.05)[0]:
            os.write(1, os.read(terminal, 65536))
    except OSError:  # EIO: the last of its processes has closed it
        break
    if typed is None and os.path.exists(go):
        os.write(terminal, b"\x03")
        typed = time.monotonic()
    if typed is not None and time.monotonic() - typed > 30:
        give_up()
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
sys.exit(status if status >= 0 else 128 - status)
