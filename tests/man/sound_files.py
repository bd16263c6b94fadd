"""sound_files.py - the sound files that examples of the manuals read, made anew for each run.

pump.wav: 2.1 s of psa-sim's bearing with a fault of the inner race at 8 kHz, 8 bits, full scale 16 g.
three.wav: two frames of three channels at 51.2 kHz, 16 bits.
"""
import json
import os
import subprocess
import wave

FULL_SCALE_G = 16


def write(path, n_channel, width, rate, content):
    with wave.open(path, "wb") as out:
        out.setnchannels(n_channel)
        out.setsampwidth(width)
        out.setframerate(rate)
        out.writeframes(content)


def write_all(programs, directory):
    lines = subprocess.run([os.path.join(programs, "psa-sim"), "--scene", "bearing-inner", "--rate", "8kHz",
                            "--duration", "2100ms"], capture_output=True, check=True).stdout.splitlines()
    samples = [x for line in lines for x in json.loads(line)["fields"]["accel"]]
    write(os.path.join(directory, "pump.wav"), 1, 1, 8000,
          bytes(min(255, max(0, round(x / FULL_SCALE_G * 128) + 128)) for x in samples))
    rows = ((0, 4096, 1), (16384, -32768, 2))
    write(os.path.join(directory, "three.wav"), 3, 2, 51200,
          b"".join(x.to_bytes(2, "little", signed=True) for row in rows for x in row))
