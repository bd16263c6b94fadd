#!/usr/bin/env bash
# make bench: speed, memory and latency, as ratios to other tools measured in the same run. See bench.py.
set -euo pipefail
cd "$(dirname "$0")/../.."
exec /usr/bin/python3 tests/bench/bench.py "${PSA_BIN:-bin}" "$@"
