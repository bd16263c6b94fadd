#!/bin/bash
# broker_proof.sh - the whole proof that nothing is lost between psa-spool and a broker: 100,000 records through each kind of
# disturbance, many times. PSA_BIN says where the programs are. Prints counts as comments; status 1 after a loss. Minutes.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
export PSA_BIN=${PSA_BIN:-bin} PYTHONDONTWRITEBYTECODE=1
failed=0 number=0

# prove RUN RECORDS ROUNDS
prove() {
    number=$((number + 1))
    if python3 tests/fault/broker_chaos.py --records "$2" --rounds "$3" "$1"; then
        echo "ok $number - $1, $2 records"
    else
        failed=1
        echo "not ok $number - $1, $2 records"
    fi
}

for program in "$PSA_BIN/psa-spool" "$PSA_BIN/psa-mqtt-pub"; do
    [ -x "$program" ] || { printf 'Bail out! %s is not built\n' "$program" && exit 1; }
done
echo 1..8
prove memory 100000 6
prove forgetful 100000 6
prove tls 100000 5
prove exactly_once 100000 6
prove dropping 200 1
prove refusing 5000 1
prove trusting 5000 1
prove swallowing 5000 1
exit "$failed"
