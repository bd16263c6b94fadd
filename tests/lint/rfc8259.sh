#!/bin/bash
# rfc8259.sh - the verdicts of tests/unit/rfc8259_table.h, compared with those of Python's json module.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
if ! command -v python3 >/dev/null; then
    echo '1..0 # skip python3 is missing'
    exit 0
fi
"${B:-bin/build}/tests/test_json" --table | python3 tests/unit/rfc8259_check.py
