#!/usr/bin/env python3
"""Turn the golden scikit-learn forest (iforest.json) into a psa model: the trees as they are, no scaler.

    iforest_to_model.py [iforest.json [contamination]] >model.json

contamination is "auto" (the default) or 0.05, for which the golden file has the offset. The features are called f0..f5.
Only the standard library is used; the reference quantiles come from a plain evaluation of the trees.
"""
import json
import math
import struct
import sys

LEVELS = [i / 100 for i in range(100)] + [0.995, 0.999, 0.9995, 0.9999, 1.0]


def average_path(n):
    if n <= 1:
        return 0.0
    if n == 2:
        return 1.0
    return 2.0 * (math.log(n - 1.0) + 0.5772156649015329) - 2.0 * (n - 1.0) / n


def path_length(tree, row):
    node = edges = 0
    while tree["children_left"][node] != -1:
        left = row[tree["feature"][node]] <= tree["threshold"][node]
        node = tree["children_left" if left else "children_right"][node]
        edges += 1
    return edges + average_path(tree["n_node_samples"][node])


def score(forest, row):
    as_float = [struct.unpack("f", struct.pack("f", x))[0] for x in row]
    total = sum(path_length(tree, as_float) for tree in forest["trees"])
    return -(2.0 ** (-total / (len(forest["trees"]) * average_path(forest["max_samples"]))))


def quantile(ascending, level):
    at = (len(ascending) - 1) * level
    k = int(at)
    if k + 1 >= len(ascending):
        return ascending[-1]
    a, b, part = ascending[k], ascending[k + 1], at - k
    return a + (b - a) * part if part < 0.5 else b - (b - a) * (1.0 - part)


def model_id(model):
    """FNV-1a 64 of the text without white space, the id taken as empty."""
    text = json.dumps(dict(model, id=""), separators=(",", ":"), allow_nan=False)
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return "iforest-%016x" % value


def main():
    golden = json.load(open(sys.argv[1] if len(sys.argv) > 1 else "iforest.json"))
    contamination = sys.argv[2] if len(sys.argv) > 2 else "auto"
    rows, forest = golden["X_train"], golden["forest"]
    columns = list(zip(*rows))
    scores = sorted(-score(forest, row) for row in rows)
    start = quantile(scores, 0.9)
    above = [s - start for s in scores if s > start]
    model = {
        "psa_model": 2,
        "kind": "isolation-forest",
        "id": "",
        "features": ["f%d" % j for j in range(len(columns))],
        "scaler": {"kind": "none", "mean": [sum(c) / len(c) for c in columns]},
        "contamination": None if contamination == "auto" else float(contamination),
        "threshold": forest["offset"] if contamination == "auto" else golden["offset_contamination_005"],
        "trained": {"records": len(rows), "from_ns": None, "to_ns": None, "ranges": [[min(c), max(c)] for c in columns]},
        "reference": {
            "quantiles": [[level, quantile(scores, level)] for level in LEVELS],
            "tail_start": start,
            "tail_scale": sum(above) / len(above),
        },
        "parameters": {"max_samples": forest["max_samples"], "trees": forest["trees"]},
    }
    json.dump(dict(model, id=model_id(model)), sys.stdout, separators=(",", ":"), allow_nan=False)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
