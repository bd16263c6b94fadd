#!/usr/bin/env python3
"""oracle.py NAME EXPECTED ARRIVED - is every line of EXPECTED in ARRIVED, nothing else, and in its order?

A line may arrive more than once (at least once); of each the first arrival counts for the order, which is asked of every stream
(sensor_type and sensor_id) by itself. Prints one line of counts; status 1 when a line is missing, invented or out of order.
"""
import json
import sys

name, expected_path, arrived_path = sys.argv[1:4]


def lines(path):
    with open(path, "rb") as file:
        return [line.rstrip(b"\n") for line in file]


def stream(line):
    record = json.loads(line)
    return record.get("sensor_type"), record.get("sensor_id")


expected, arrived = lines(expected_path), lines(arrived_path)
place = {line: i for i, line in enumerate(expected)}
missing = set(place) - set(arrived)
invented = [line for line in arrived if line not in place]
seen, newest, disorder = set(), {}, 0
for line in arrived:
    if line in place and line not in seen:
        seen.add(line)
        key = stream(line)
        disorder += place[line] < newest.get(key, -1)
        newest[key] = max(place[line], newest.get(key, -1))
print(
    f"{name}: {len(place)} expected, {len(seen)} arrived, {len(arrived) - len(seen) - len(invented)} more than once, "
    f"{len(missing)} missing, {len(invented)} invented, {disorder} out of order"
)
for what, which in (("missing", sorted(missing, key=place.get)), ("invented", invented)):
    for line in which[:3]:
        print(f"    {what}: {line[:300].decode(errors='replace')}")
sys.exit(bool(missing or invented or disorder or not expected))
