"""The delivery part of make bench: the spool against the disk, MQTT against mosquitto_pub, latency, memory. See bench.py.

Commands that are compared take turns, so that a slow minute of the machine hits all of them. Wall time is what counts
here: the disk and the broker are part of it.
"""
import json
import os
import shutil
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "fault"))
from broker import Broker, Subscriber, wait_until  # noqa: E402

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
SPOOLED = int(os.environ.get("BENCH_SPOOLED", "1500000"))
PUBLISHED = 60000  # mosquitto_pub -l loses lines beyond its 65,535 packet identifiers
BACKLOG_BYTES = int(os.environ.get("BENCH_BACKLOG", "1000000000"))


def record(i):
    head = ('{"sensor_type":"accel_gyro","sensor_id":"press-07","fields":{"accel_x":0.123,"accel_y":-0.012,"accel_z":0.981,'
            f'"gyro_x":0.01,"gyro_y":-0.02,"gyro_z":0}},"timestamp_ns":{1710000000000000000 + i * 10000000}')
    return head + ',"p":"' + "x" * (200 - len(head) - 9) + '"}\n'


def timed(argv, source):
    begin = time.perf_counter()
    with open(source, "rb") as stdin:
        done = subprocess.run(argv, stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        sys.exit(f"bench: '{' '.join(argv)}' exited with {done.returncode}: {done.stderr.decode()[-500:]}")
    return time.perf_counter() - begin, done.stderr.decode()


def row(name, taken, unit, amount):
    median = statistics.median(taken)
    print(f"  {name:44} {median:8.3f} {min(taken):7.3f} {max(taken):7.3f} {amount / median:12,.0f} {unit}")
    return median


def spool(bin_dir, work):
    source, folder = os.path.join(work, "spooled.ndjson"), os.path.join(work, "q")
    with open(source, "w", encoding="ascii") as out:
        out.writelines(record(i) for i in range(SPOOLED))
    ways = {"always": [], "100ms": [], "none": []}
    dd, batch = [], 0
    for _ in range(ROUNDS):
        for sync, taken in ways.items():
            shutil.rmtree(folder, ignore_errors=True)
            os.sync()
            seconds, said = timed([f"{bin_dir}/psa-spool", "append", "-d", folder, "--max-size", "8GiB", "--sync", sync,
                                   "--stats"], source)
            taken.append(seconds)
            if sync == "always":
                stats = json.loads(said.splitlines()[-1])
                batch = stats["passed"] / max(1, stats["syncs"])
        shutil.rmtree(folder, ignore_errors=True)
        os.sync()
        dd.append(timed(["dd", f"if={source}", f"of={work}/dd.out", "bs=512K", "oflag=dsync"], source)[0])
        os.unlink(f"{work}/dd.out")
    print(f"\npsa-spool append, {SPOOLED} records of 200 bytes; wall seconds, median of {ROUNDS}, min, max")
    medians = {sync: row(f"psa-spool append --sync {sync}", taken, "records/s", SPOOLED) for sync, taken in ways.items()}
    disk = row("dd bs=512K oflag=dsync, the same bytes", dd, "records/s", SPOOLED)
    print(f"  --sync 100ms takes {medians['100ms'] / disk:.2f} of dd's time; --sync always takes {batch:.0f} records a sync")
    os.unlink(source)


def backlog(bin_dir, work):
    """Peak memory of the process that drains, and of the whole with its input going on, at a backlog of BACKLOG_BYTES."""
    folder, source = os.path.join(work, "q"), os.path.join(work, "backlog.ndjson")
    n = BACKLOG_BYTES // 200
    with open(source, "w", encoding="ascii") as out:
        out.writelines(record(i) for i in range(n))
    shutil.rmtree(folder, ignore_errors=True)

    def megabytes(words, stdin):
        """By time(1): a child of this script would be counted with the script's own memory."""
        timed(["/usr/bin/time", "-f", "%M", "-o", f"{work}/kb", f"{bin_dir}/psa-spool", *words], stdin)
        with open(f"{work}/kb", encoding="ascii") as out:
            return int(out.read().split()[-1]) / 1024

    appended = megabytes(["append", "-d", folder, "--max-size", "8GiB"], source)
    begin = time.perf_counter()
    drained = megabytes(["drain", "-d", folder, "--trust-write", "--", "sh", "-c", "cat >/dev/null"], os.devnull)
    seconds = time.perf_counter() - begin
    shutil.rmtree(folder)
    through = megabytes(["-d", folder, "--max-size", "8GiB", "--trust-write", "--linger", "60s", "--", "sh", "-c",
                         "cat >/dev/null"], source)
    print(f"\npsa-spool with a backlog of {n * 200 / 1e9:.1f} GB: peak memory in MB")
    print(f"  append {appended:.1f}, drain {drained:.1f} ({n / seconds:,.0f} records/s), both at once {through:.1f}")
    os.unlink(source)
    shutil.rmtree(folder, ignore_errors=True)


def mqtt(bin_dir, work):
    source = os.path.join(work, "published.ndjson")
    with open(source, "w", encoding="ascii") as out:
        out.writelines(record(i) for i in range(PUBLISHED))
    taken = {"psa-mqtt-pub": [], "mosquitto_pub": []}
    with Broker(work) as broker:
        at = ["--host", "127.0.0.1", "--port", str(broker.port)]
        ways = {"psa-mqtt-pub": [f"{bin_dir}/psa-mqtt-pub", *at, "--topic", "bench/a", "--no-suffix", "--qos", "1"],
                "mosquitto_pub": ["mosquitto_pub", *at, "-t", "bench/a", "-l", "-q", "1"]}
        for _ in range(ROUNDS):
            for name, argv in ways.items():
                counter = subprocess.Popen(["mosquitto_sub", *at, "-t", "bench/a", "-q", "1", "-C", str(PUBLISHED)],
                                           stdout=subprocess.DEVNULL)
                subscribed(broker, counter, len(taken[name]) * len(ways) + list(ways).index(name) + 1)
                seconds, _ = timed(argv, source)
                if counter.wait(60) != 0:
                    sys.exit(f"bench: {name}: not all lines arrived")
                taken[name].append(seconds)
        print(f"\nMQTT QoS 1, {PUBLISHED} lines into one mosquitto, all arrivals counted; wall seconds, median of {ROUNDS},"
              " min, max")
        ours = row("psa-mqtt-pub --qos 1", taken["psa-mqtt-pub"], "lines/s", PUBLISHED)
        theirs = row("mosquitto_pub -l -q 1", taken["mosquitto_pub"], "lines/s", PUBLISHED)
        print(f"  psa-mqtt-pub takes {ours / theirs:.2f} of mosquitto_pub's time")
        latency(bin_dir, work, broker)
    os.unlink(source)


def subscribed(broker, counter, n):
    """Until the broker has answered the n-th subscriber."""
    wait_until(lambda: broker.logged().count("Sending SUBACK to") >= n or counter.poll() is not None,
               "the subscriber is not heard")


def latency(bin_dir, work, broker):
    print("\nlatency of one record, milliseconds (p50, p99 of 500), from writing it to its arrival at a subscriber")
    for name, words in (("psa-mqtt-pub", []), ("psa-spool --sync 100ms -- psa-mqtt-pub", ["--sync", "100ms"]),
                        ("psa-spool --sync always -- psa-mqtt-pub", ["--sync", "always"])):
        publish = [f"{bin_dir}/psa-mqtt-pub", "--host", "127.0.0.1", "--port", str(broker.port), "--topic", "bench/l",
                   "--no-suffix"]
        argv = publish if not words else [f"{bin_dir}/psa-spool", "-d", f"{work}/ql", *words, "--", *publish, "--ack"]
        with Subscriber(broker, "bench/l") as subscriber:
            child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                     bufsize=0)
            taken = []
            for i in range(550):
                begin = time.perf_counter()
                child.stdin.write(record(i).encode())
                while len(subscriber.got) <= i:
                    time.sleep(0)  # the reading thread's turn
                    if time.perf_counter() - begin > 10:
                        sys.exit(f"bench: {name}: record {i} has not arrived")
                taken.append((time.perf_counter() - begin) * 1e3)
            child.stdin.close()
            child.wait()
        taken = sorted(taken[50:])
        print(f"  {name:44} {taken[len(taken) // 2]:8.3f} {taken[len(taken) * 99 // 100]:8.3f}")
        shutil.rmtree(f"{work}/ql", ignore_errors=True)


def measure(bin_dir, work):
    spool(bin_dir, work)
    backlog(bin_dir, work)
    mqtt(bin_dir, work)
