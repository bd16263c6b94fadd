#!/usr/bin/env python3
"""psa-alert's maintenance and evidence against what its manual says, worked out the long way from the whole input.

    alert_check.py maintenance|evidence
"""
import json
import os
import random
import shutil
import subprocess
import tempfile

from psatest import BIN, check, main, psa

WORK = tempfile.mkdtemp(dir=os.environ.get("BATS_TEST_TMPDIR"))
SECOND = 10**9
MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86400 * SECOND
MONDAY = 1709510400 * SECOND  # 2024-03-04T00:00:00Z
DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]


def path(name):
    return os.path.join(WORK, name)


def record(at, key, score):
    return ('{"sensor_type":"t","sensor_id":"%s","fields":{"anomaly_score":%s},"timestamp_ns":%d,'
            '"anomaly":{"is_anomaly":%s,"threshold":0.5}}\n' % (key, score, at, "true" if score > 0.5 else "false")).encode()


# ---- maintenance ---------------------------------------------------------------------------------------------------------


def iso(ns):
    import datetime
    return datetime.datetime.fromtimestamp(ns // SECOND, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def random_plan(rng):
    """(lines, windows): each window (from, to, keys), the weekly ones written out for four weeks."""
    lines, windows = [], []
    for _ in range(rng.randrange(1, 6)):
        keys = rng.choice([None, {"a"}, {"a", "b"}])
        word = {None: "", "a": "t/a", "ab": "t/a,t/b"}[keys and "".join(sorted(keys))]
        if rng.random() < 0.5:
            begin = MONDAY + rng.randrange(14 * 24) * HOUR
            end = begin + rng.randrange(1, 60) * HOUR // 2
            lines.append("%s %s %s" % (iso(begin), iso(end), word))
            windows.append((begin, end, keys))
            continue
        first, n = rng.randrange(7), rng.randrange(1, 4)
        days = {(first + i) % 7 for i in range(n)}
        begin, length = rng.randrange(48), rng.randrange(1, 48)
        end = (begin + length) % 48
        text = rng.choice(["%s-%s" % (DAYS[first], DAYS[(first + n - 1) % 7]), ",".join(DAYS[d] for d in sorted(days))])
        lines.append("%s %02d:%02d-%02d:%02d %s" % (text, begin // 2, begin % 2 * 30, end // 2, end % 2 * 30, word))
        for day in range(-7, 28):
            if day % 7 in days:
                start = MONDAY + day * DAY + begin * HOUR // 2
                windows.append((start, start + length * HOUR // 2, keys))
    return lines, windows


def expected(rows, windows, k, n, clear, cooldown):
    """(time, key, state) of each alert: every record looked at against every window."""
    out, keys = [], {}
    for at, name, score in rows:
        key = keys.setdefault(name, {"counted": [], "active": False, "normal": 0, "last": 0, "severity": 0, "heard": None})
        mine = [w for w in windows if w[2] is None or name in w[2]]
        edges = {e for w in mine for e in w[:2]}
        if key["heard"] is not None and any(key["heard"] < e <= at for e in edges):
            key["counted"], key["normal"] = [], 0
        key["heard"] = at
        if any(b <= at < e for b, e, _ in mine):
            continue
        anomalous = score > 0.5
        severity = (score > 0.85) + (score > 0.95)
        key["counted"].append(anomalous)
        state = None
        if anomalous:
            key["normal"] = 0
            if not key["active"]:
                if sum(key["counted"][-n:]) >= k:
                    key["active"], state, key["severity"] = True, "raised", severity
            elif severity > key["severity"]:
                key["severity"], state = severity, "ongoing"
            elif at - key["last"] >= cooldown:
                state = "ongoing"
        elif key["active"]:
            key["normal"] += 1
            if key["normal"] >= clear:
                key["active"], key["counted"], key["normal"], state = False, [], 0, "cleared"
        if state:
            key["last"] = at
            out.append((at, name, state))
    return out


def maintenance():
    n_alerts = n_calm = 0
    for seed in range(60):
        rng = random.Random(seed)
        lines, windows = random_plan(rng)
        with open(path("plan"), "w", encoding="utf-8") as plan:
            plan.write("\n".join(lines) + rng.choice(["", "\n"]))
        at, rows, score = MONDAY, [], 0.1
        while at < MONDAY + 14 * DAY:
            at += rng.choice([30 * MINUTE, HOUR, 7 * MINUTE, 9 * HOUR, MINUTE * rng.randrange(1, 600)])
            if rng.random() < 0.3:
                score = rng.choice([0.1, 0.6, 0.9, 0.99])
            rows.append((at, rng.choice("abc"), score))
        k = rng.randrange(1, 4)
        argv = ["psa-alert", "--maintenance", path("plan"), "--raise", "%d/4" % k, "--clear", "2", "--cooldown", "3h", "--silent", "0"]
        data = [record(*row) for row in rows]
        whole = psa(*argv, data=b"".join(data))
        got = [(r["timestamp_ns"], r["sensor_id"], r["alert"]["state"]) for r in map(json.loads, whole.splitlines())]
        want = expected(rows, windows, k, 4, 2, 3 * HOUR)
        check(got == want, "seed %d, %s: %r, not %r" % (seed, lines, got, want))
        n_alerts += len(want)
        n_calm += len(expected(rows, [], k, 4, 2, 3 * HOUR)) != len(want)
        if seed < 8:
            state, out, i = path("state"), b"", 0
            if os.path.exists(state):
                os.remove(state)
            while i < len(data):
                n = rng.randrange(1, 9)
                out += psa(*argv, "--state", state, data=b"".join(data[i:i + n]))
                i += n
            check(out == whole, "seed %d: cut differs" % seed)
            check(psa("psa-run", " ".join(argv), data=b"".join(data)) == whole, "seed %d: fused differs" % seed)
    check(n_alerts > 500 and n_calm > 40, "too little is tested: %d alerts, %d plans that matter" % (n_alerts, n_calm))


# ---- evidence ------------------------------------------------------------------------------------------------------------


def tree(folder):
    out = {}
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), "rb") as file:
            out[name] = file.read()
    return out


def fresh(name):
    shutil.rmtree(path(name), ignore_errors=True)
    os.mkdir(path(name))
    return path(name)


def check_files(files, data, out, before, after):
    """Of anomalies: each file from the input and the alerts alone."""
    alerts = [(json.loads(line), line) for line in out.splitlines(True)]
    ids = {}
    for alert, line in alerts:
        if alert["alert"]["kind"] == "anomaly":
            ids.setdefault(alert["alert"]["id"], []).append((alert, line))
    check(len([f for f in files if json.loads(files[f].splitlines()[0])["kind"] == "anomaly"]) == len(ids), "not a file for each event")
    for event, its in ids.items():
        file = next(text for name, text in files.items() if event in name).splitlines(True)
        key, raised = its[0][0]["sensor_id"], its[0][0]["timestamp_ns"]
        rows = [(r["timestamp_ns"], line) for r, line in ((json.loads(l), l) for l in data)
                if r.get("sensor_id") == key and "up" not in r["fields"]]
        past = [line for at, line in rows if at < raised]
        past = past[max(0, len(past) - before):]
        cleared = its[-1][0]["timestamp_ns"] if its[-1][0]["alert"]["state"] == "cleared" else None
        told = {a["timestamp_ns"]: line for a, line in its}
        later = [told.get(at, line) for at, line in rows if at > raised and (cleared is None or at < cleared)]
        want = past + [its[0][1]] + later[:after] + ([its[-1][1]] if cleared else [])
        check(file[1:] == want, "event %s of %s: %d lines, not %d" % (event, key, len(file) - 1, len(want)))
        head = json.loads(file[0])
        check(head["left_out"] == max(0, len(later) - after) and head["before"] == len(past) and
              head["after"] == min(after, len(later)) and head["cleared_ns"] == cleared, "event %s: %r" % (event, head))


def evidence_input(rng):
    at, data, score = 1709964000 * SECOND, [], {}
    for _ in range(150):
        at += SECOND * rng.choice([1, 1, 2, 7])
        key = rng.choice(["a", "a", "b/\\u00e4"])
        if rng.random() < 0.25:
            score[key] = rng.choice([0.1, 0.1, 0.6, 0.9, 0.99])
        data.append(record(at, key, score.get(key, 0.1)))
        if rng.random() < 0.05:
            data.append(('{"sensor_type":"status","sensor_id":"a","fields":{"up":%d},"timestamp_ns":%d,"of":"t"}\n' % (rng.randrange(2), at)).encode())
    return data


def evidence():
    for seed in range(6):
        rng = random.Random(seed)
        data = evidence_input(rng)
        before, after = rng.randrange(8), rng.randrange(9)
        argv = ["psa-alert", "--raise", "2/3", "--cooldown", "6s", "--silent", "9s", "--evidence-before", str(before), "--evidence-after", str(after)]
        whole = psa(*argv, "--evidence", fresh("whole"), data=b"".join(data))
        files = tree(path("whole"))
        check(len(files) > 3, "too few events")
        check_files(files, data, whole, before, after)
        # Cut anywhere: the last piece has no --state, so that the end writes what is open, as it did for the whole.
        cuts = sorted(rng.sample(range(1, len(data)), 60)) if seed else range(1, len(data))
        state, out, i, folder = path("state"), b"", 0, fresh("cut")
        if os.path.exists(state):
            os.remove(state)
        for cut in cuts:
            out += psa(*argv, "--evidence", folder, "--state", state, data=b"".join(data[i:cut]))
            i = cut
        uncut_state = path("state.whole")
        if os.path.exists(uncut_state):
            os.remove(uncut_state)
        rest = psa(*argv, "--evidence", folder, "--state", state, data=b"".join(data[i:]))
        check(psa(*argv, "--evidence", fresh("whole.state"), "--state", uncut_state, data=b"".join(data)) == whole, "a state changes alerts")
        check(out + rest == whole, "seed %d: cut: other alerts" % seed)
        check(tree(folder) == tree(path("whole.state")), "seed %d: cut: other files" % seed)
        check(open(state, "rb").read() == open(uncut_state, "rb").read(), "seed %d: cut: another state" % seed)
        killed(argv, data, seed, files)
        fused = psa("psa-run", " ".join(argv + ["--evidence", fresh("fused")]), data=b"".join(data))
        check(fused == whole and tree(path("fused")) == files, "seed %d: fused differs" % seed)


def killed(argv, data, seed, files):
    """kill -9 at any line, and again from the last checkpoint: the files of the run that was not."""
    rng = random.Random(seed + 100)
    folder, state = fresh("killed"), path("killed.state")
    for name in os.listdir(WORK):
        if name.startswith("killed.state"):
            os.remove(path(name))
    done, id_ = 0, 0
    while done < len(data):
        take = min(rng.randrange(20, 50), len(data) - done)
        first = [b'{"psa":{"restore":"%d"}}\n' % id_] if id_ else []
        ahead = rng.randrange(0, 20)  # read behind the checkpoint, then lost
        run = subprocess.Popen([os.path.join(BIN, argv[0]), *argv[1:], "--evidence", folder, "--state", state],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        run.stdin.write(b"".join(first + data[done:done + take]) + b'{"psa":{"checkpoint":"%d"}}\n' % (id_ + 1) +
                        b"".join(data[done + take:done + take + ahead]) + b'{"psa":{"heartbeat":1}}\n')
        run.stdin.flush()
        for line in iter(run.stdout.readline, b""):
            if b'"heartbeat"' in line:
                break
        run.kill()
        run.communicate()
        done, id_ = done + take, id_ + 1
    psa(*argv, "--evidence", folder, "--state", state, data=b'{"psa":{"restore":"%d"}}\n' % id_)
    want = tree(path("whole.state"))
    check(tree(folder) == want, "seed %d: killed: other files: %r" %
          (seed, [n for n in set(want) | set(tree(folder)) if want.get(n) != tree(folder).get(n)]))
    check(set(files) == set(want), "seed %d: names" % seed)


main({"maintenance": maintenance, "evidence": evidence})
