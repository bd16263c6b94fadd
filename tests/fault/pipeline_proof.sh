#!/bin/bash
# pipeline_proof.sh - the whole proof that a pipeline with checkpoints survives: for every detector 200 kills with each stage a
# process, 200 fused, 200 of either kind by turns in the same states, 40 behind psa-spool, and 100 SIGTERMs. KILLS asks for
# another number. PSA_BIN says where the programs are. Prints counts as comments; status 1 when a byte differed. Minutes.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
export PSA_BIN=${PSA_BIN:-bin} PYTHONDONTWRITEBYTECODE=1
kills=${KILLS:-200}
failed=0 number=0

# prove WORDS...
prove() {
    number=$((number + 1))
    if python3 tests/fault/pipeline_crash.py "$@"; then
        echo "ok $number - $*"
    else
        failed=1
        echo "not ok $number - $*"
    fi
}

[ -x "$PSA_BIN/psa-score" ] || { printf 'Bail out! %s is not built\n' "$PSA_BIN/psa-score" && exit 1; }
echo 1..5
prove kills --layouts piped --times "$kills"
prove kills --layouts fused --times "$kills"
prove kills --layouts mixed --times "$kills"
prove spool --times $(((kills + 4) / 5))
prove terms --times $(((kills + 1) / 2))
exit "$failed"
