#!/bin/bash
# lint.sh - the linters over everything; all run even when one complains. `make lint` installs them and calls this.
# shellcheck disable=SC2317 # functions are called through step
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
failed=0

step() { # step NAME COMMAND...
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then
        echo "ok - $name"
    else
        failed=1
        echo "not ok - $name"
        printf '%s\n' "$output" | sed 's/^/    /' | head -n 200
    fi
}

mapfile -t sources < <(find src -name '*.c' -o -name '*.h' -o -name '*.cc' | sort)
mapfile -t c_sources < <(find src -name '*.c' | sort)
mapfile -t c_tests < <(find tests -name '*.c' -o -name '*.h' | sort)
mapfile -t scripts < <(grep -rlE '^#!.*\b(ba|da|)sh\b' tests pipelines .ci | sort)
mapfile -t bats_files < <(find tests -name '*.bats' | sort)
mapfile -t pages < <(find man -name '*.[1-8]' | sort)

tidy() {
    printf '%s\n' "${c_sources[@]}" |
        xargs -P "$(nproc)" -n 4 sh -c 'clang-tidy --quiet --config-file=tests/lint/clang-tidy.yaml "$@" -- -std=c11 -D_GNU_SOURCE -Isrc 2>/dev/null' tidy
}

# One page's faults; STYLE messages about our own cross references to pages not installed are not faults.
check_page() {
    local faults
    faults=$(mandoc -T lint -W style "$@" 2>/dev/null | grep -vE 'referenced manual not found|operating system explicitly|outdated mandoc.db|possible typo in section name')
    [ -z "$faults" ] || { printf '%s\n' "$faults"; return 1; }
}

step clang-format clang-format --dry-run -Werror "${sources[@]}" "${c_tests[@]}"
step clang-tidy tidy
step cppcheck cppcheck --quiet --std=c11 --std=c++17 --enable=warning,performance,portability --inline-suppr \
    --suppress=missingIncludeSystem --suppress=internalAstError --suppress=legacyUninitvar --error-exitcode=1 -j "$(nproc)" -Isrc -D_GNU_SOURCE src
step shellcheck shellcheck "${scripts[@]}"
[ ${#bats_files[@]} = 0 ] || step 'shellcheck (bats)' shellcheck --shell=bats --exclude=SC2001,SC2030,SC2031,SC2046,SC2094,SC2314,SC2315 "${bats_files[@]}"
[ ${#pages[@]} = 0 ] || step 'mandoc -T lint' check_page "${pages[@]}"
for script in tests/lint/*.sh tests/lint/*.py; do step "$(basename "$script")" "$script"; done
exit "$failed"
