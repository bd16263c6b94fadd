#!/usr/bin/env python3
"""scipy_service.py features|filter|parse - what one writes with NumPy and SciPy in place of psa-features and psa-filter.

Reads records on standard input, one a line, and writes records, as a service that has to answer each: all fields of a
window, or all channels of a reading, go through NumPy at once, names are made once, and output is flushed when the buffer
is full, which is psa's rule while input is waiting. Imports are left to the way they are used, so that each mode pays for
its own. `parse` only reads: the floor below both.
"""
import json
import sys

MOVING_AVG = 5


def windows():
    """The six classic features of every array field."""
    import numpy as np
    names, write = {}, sys.stdout.write
    for line in sys.stdin.buffer:
        record = json.loads(line)
        fields = record["fields"]
        x = np.array(list(fields.values()), dtype=float)  # [field][sample]; null is NaN
        n = x.shape[1]
        mean = x.mean(axis=1, keepdims=True)
        squared = (x - mean) ** 2
        m2 = squared.mean(axis=1)
        power = np.abs(np.fft.rfft(x, axis=1)) ** 2
        energy = 2 * power[:, 1:].sum(axis=1)
        if n % 2 == 0:
            energy -= power[:, -1]
        with np.errstate(divide="ignore", invalid="ignore"):
            kurtosis = (squared * squared).mean(axis=1) / (m2 * m2) - 3
        made = np.stack([np.sqrt((x * x).mean(axis=1)), kurtosis, energy / n,
                         np.count_nonzero(np.diff(np.signbit(x), axis=1), axis=1) / (n - 1),
                         x[:, -MOVING_AVG:].mean(axis=1), np.ptp(x, axis=1)], axis=1)
        values = made.ravel().tolist()
        if not np.isfinite(made).all():
            values = [v if np.isfinite(v) else None for v in values]
        key = tuple(fields)
        if key not in names:
            names[key] = [f"{field}_{feature}" for field in key
                          for feature in ("rms", "kurtosis", "spectral_energy", "zcr", "moving_avg", "ptp")]
        record["fields"] = dict(zip(names[key], values))
        record["timestamp_ns"] += round((n - 1) / record["rate_hz"] * 1e9)
        write(json.dumps(record, separators=(",", ":")) + "\n")


def readings():
    """A Butterworth low-pass, 10 Hz of 100 Hz, 4th order, on all channels at once; started as if at rest at the first."""
    import numpy as np
    from scipy.signal import butter, sosfilt, sosfilt_zi
    sos = butter(4, 10, fs=100, output="sos")
    states, write = {}, sys.stdout.write
    for line in sys.stdin.buffer:
        record = json.loads(line)
        fields = record["fields"]
        x = np.array(list(fields.values()), dtype=float)[:, None]  # [channel][1]
        key = record["sensor_id"]
        if key not in states:
            states[key] = sosfilt_zi(sos)[:, None, :] * x
        y, states[key] = sosfilt(sos, x, axis=1, zi=states[key])
        record["fields"] = dict(zip(fields, y[:, 0].tolist()))
        write(json.dumps(record, separators=(",", ":")) + "\n")


def parse():
    for line in sys.stdin.buffer:
        json.loads(line)


if __name__ == "__main__":
    {"features": windows, "filter": readings, "parse": parse}[sys.argv[1]]()
