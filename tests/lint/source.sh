#!/bin/bash
# source.sh - rules that a line of source can break: banned functions, long functions, long mains, promises of later work.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
number=0 failed=0

result() {
    number=$((number + 1))
    if [ -z "$2" ]; then
        echo "ok $number - $1"
    else
        failed=1
        echo "not ok $number - $1"
        printf '%s\n' "$2" | sed 's/^/# /'
    fi
}

# Each has a safer twin: snprintf, psa_buf_put, psa_int_parse, psa_number_parse. setlocale would touch numbers.
banned='strcpy|stpcpy|strcat|sprintf|vsprintf|gets|atoi|atol|atoll|atof|strtok|setlocale|alloca'

# A function's body stands between { and } in the first column; K&R and clang-format see to that.
long_functions() {
    find src -name '*.c' -o -name '*.cc' | sort | while read -r file; do
        awk -v file="$file" '
            /^\{/ { from = NR - 1 }
            /^\}/ && from { if (NR - from + 1 > 70) print file ":" from ": a function of " NR - from + 1 " lines"; from = 0 }
        ' "$file"
    done
}

long_mains() {
    local file lines
    for file in src/cmd/*.c; do
        [ -e "$file" ] || continue
        lines=$(wc -l <"$file")
        [ "$lines" -lt 80 ] || echo "$file has $lines lines"
    done
}

# Spelled in pieces, or this file would find itself.
promises() {
    local words='TO''DO|FIX''ME|X''XX|HA''CK|T''BD|not yet im''plemented|not im''plemented yet|coming s''oon|in a later vers''ion|place''holder'
    grep -rnwE "$words" src man pipelines tests Makefile README.md CONTRIBUTING.md .ci 2>/dev/null |
        grep -v '^tests/golden/' | cut -c1-160
}

echo '1..5'
result "no banned functions ($banned)" "$(grep -rnwE "($banned) *\(" src | grep -vE '^[^:]*:[0-9]*: *(\*|//|/\*)')"
result 'no function over 70 lines' "$(long_functions)"
result 'every main under 80 lines' "$(long_mains)"
result 'no promises of later work' "$(promises)"
result 'no file called utils' "$(find src tests -iname '*util*')"
exit "$failed"
