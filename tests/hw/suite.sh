#!/bin/bash
# suite.sh - check-hw as a job of tests/run.sh: where its packages cannot be had, that is a skip with the reason.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

# A mirror that is slow today is not the sources' fault, nor is a machine on which a processor is played slowly.
messages=$(timeout 240 tests/hw/prepare.sh 2>&1 >/dev/null)
case $? in
0) PSA_HW_SECONDS=${PSA_HW_SECONDS:-400} exec tests/hw/check.sh ;;
124) printf '1..1\nok 1 - sensord in a kernel # SKIP the kernel could not be fetched and prepared within 240 s\n' ;;
77) printf '1..1\nok 1 - sensord in a kernel # SKIP %s\n' "$(tail -n 1 <<<"$messages")" ;;
*)
    printf '1..1\nnot ok 1 - a kernel is prepared\n'
    printf '# %s\n' "${messages//$'\n'/$'\n# '}"
    exit 1
    ;;
esac
