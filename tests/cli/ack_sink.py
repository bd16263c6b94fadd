#!/usr/bin/env python3
"""An acknowledged sink for tests: appends what it gets to FILE, durably, and prints counts as psa-spool(1) wants them.

    ack_sink.py FILE [--die-after N] [--only-once MARK] [--bad TEXT] [--hang] [--say TEXT] [--status N] [--every N]

--die-after N   exits (status 7, or --status) after N lines, the last of them unacknowledged
--only-once M   ... but only if the file M does not exist yet; it is made then
--bad TEXT      a line that holds TEXT is `!N cannot be`
--hang          reads, and says nothing
--say TEXT      prints TEXT first
--every N       prints a count only every N lines, and at the end
"""
import argparse
import json
import os
import sys

parser = argparse.ArgumentParser()
parser.add_argument("file")
parser.add_argument("--die-after", type=int, default=0)
parser.add_argument("--only-once")
parser.add_argument("--bad")
parser.add_argument("--hang", action="store_true")
parser.add_argument("--say")
parser.add_argument("--status", type=int, default=7)
parser.add_argument("--every", type=int, default=1)
args = parser.parse_args()

if args.only_once and args.die_after:
    if os.path.exists(args.only_once):
        args.die_after = 0
    else:
        with open(args.only_once, "wb"):
            pass


def say(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if args.say:
    say(args.say)
count = 0
with open(args.file, "ab") as out:
    for line in sys.stdin.buffer:
        count += 1
        control = line.startswith(b'{"psa":')
        if control:
            word = json.loads(line)["psa"]
            if "checkpoint" in word and not args.hang:
                out.flush()
                say("@" + word["checkpoint"])
        elif args.bad and args.bad.encode() in line:
            say(f"!{count} cannot be")
        else:
            out.write(line)
            out.flush()
        if args.die_after and count >= args.die_after:
            os._exit(args.status)
        if not args.hang and count % args.every == 0:
            say(str(count))
if not args.hang and count % args.every:
    say(str(count))
