#!/bin/bash
# spool_proof.sh - the whole proof that psa-spool loses nothing: every state that a power cut allows, every sync left out, a
# kill and an error at every named point, 2,000 kills at random instants, failing and full disks. Prints TAP with counts.
# PSA_BIN and PSA_FAULTY_BIN say where the programs are: those built as usual, and with -DPSA_FAULT_POINTS. Minutes.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
export PSA_BIN=${PSA_BIN:-bin} PSA_FAULTY_BIN=${PSA_FAULTY_BIN:-bin/build/faulty/bin} PYTHONDONTWRITEBYTECODE=1
failed=0

prove() {
    printf '# == %s\n' "$*"
    python3 "tests/fault/$1.py" "${@:2}" || failed=1
}

for program in "$PSA_BIN/psa-spool" "$PSA_FAULTY_BIN/psa-spool"; do
    [ -x "$program" ] || { printf 'Bail out! %s is not built\n' "$program" && exit 1; }
done
prove power_cut toy
prove power_cut all
prove power_cut twice
prove power_cut skips
prove crash_matrix points
prove crash_matrix errors
prove crash_matrix kills --times 2000
prove crash_matrix faulty --times 260
prove crash_matrix nospace
exit "$failed"
