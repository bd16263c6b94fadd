#!/bin/bash
# run.sh - builds what the suites need, runs them, adds up their results.
#
#   tests/run.sh SUITE...     of: lint unit asan valgrind cli chain fault fuzz man hw; `all` is every one but valgrind and hw
#
# A job is one test program or one test file; it prints TAP (https://testanything.org). Jobs run side by side, one a core;
# a file that has the words "run alone" in a comment (it measures time) runs after the others, by itself. Every job's
# output is kept in bin/build/test-logs/. A failure is printed in full and the other jobs go on. A job that dies, or prints fewer results than it planned, has failed. The last
# line is the sum: N passed, N failed, N skipped. Status 1 when anything failed or nothing passed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

PSA_ROOT=$PWD
PSA_BIN=$(realpath -m "${PSA_BIN:-bin}")
export PSA_ROOT PSA_BIN PATH="$PSA_BIN:$PATH" TZ=UTC
export CMOCKA_MESSAGE_OUTPUT=TAP
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1} UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
unset MAKEFLAGS MFLAGS MAKELEVEL NO_COLOR PSA_TEST_FILTER

logs=$PSA_ROOT/bin/build/test-logs
cores=$(nproc 2>/dev/null || echo 2)
job_seconds=${PSA_JOB_SECONDS:-240}
passed=0 failed=0 skipped=0
together=() alone=() # "name<TAB>command"

# ---- building -----------------------------------------------------------------------------------------------------------

# build TARGET...: a build that fails counts as one failure, and whatever it could build is tested.
build() {
    local log=$logs/build-$1.log
    make --no-print-directory -k -j"$cores" "$@" >"$log" 2>&1 && return
    failed=$((failed + 1))
    printf 'not ok - build: make %s\n' "$*"
    grep -v '^  \(cc\|c++\|link\) ' "$log" | sed 's/^/    /'
}

# ---- jobs -----------------------------------------------------------------------------------------------------------------

# add NAME FILE COMMAND: FILE decides whether the job runs alone.
add() {
    if grep -q 'run alone' "$2" 2>/dev/null; then alone+=("$1"$'\t'"$3"); else together+=("$1"$'\t'"$3"); fi
}

run_job() {
    local log=$logs/${1//\//-} seconds=$job_seconds
    [ "$1" != hw ] || seconds=$((3 * job_seconds)) # it downloads, and boots three machines that a processor plays
    timeout --kill-after=5 "$seconds" bash -c "$2" >"$log.tap" 2>"$log.err" </dev/null
    echo $? >"$log.rc"
}

# Reads a job's TAP: prints "passed failed skipped planned".
count_results() {
    awk '
        /^1\.\.[0-9]+/ { split($1, part, /\.\./); planned += part[2] }
        /^1\.\.0 *# *[Ss][Kk][Ii][Pp]/ { skipped++; planned++ }
        /^(not )?ok / && / # *[Ss][Kk][Ii][Pp]/ { skipped++; next } # cmocka writes "not ok 3 # SKIP name"
        /^ok / { passed++ }
        /^not ok / { failed++ }
        END { print passed + 0, failed + 0, skipped + 0, planned + 0 }' "$1"
}

report_failure() {
    awk '/^not ok /{ show = !/ # SKIP/ } /^ok |^1\.\./ { show = 0 } show { print "    " $0 }' "$1.tap"
    if [ "$2" = 0 ]; then tail -n 20 "$1.tap" | sed 's/^/    /'; fi
    tail -n 200 "$1.err" | sed 's/^/    /'
}

finish_job() {
    local name=$1 log=$logs/${1//\//-} rc p f s planned named
    rc=$(cat "$log.rc" 2>/dev/null || echo 255)
    read -r p f s planned < <(count_results "$log.tap")
    named=$f
    if [ $((p + f + s)) -lt "$planned" ]; then f=$((planned - p - s)); fi
    if [ "$rc" != 0 ] && [ "$f" = 0 ]; then f=1; fi
    if [ $((p + f + s)) = 0 ]; then f=1; fi
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    if [ "$f" != 0 ]; then
        printf 'not ok - %s: %d passed, %d failed, %d skipped, exit status %s%s\n' "$name" "$p" "$f" "$s" "$rc" \
            "$([ "$rc" = 124 ] && echo ' (stopped: it took too long)')"
        report_failure "$log" "$named"
    else
        printf 'ok - %s: %d passed%s\n' "$name" "$p" "$([ "$s" = 0 ] || echo ", $s skipped")"
    fi
    sed -n 's/^\(not \)\?ok [0-9 -]*\(.*# *[Ss][Kk][Ii][Pp].*\)/    skipped: \2/p' "$log.tap"
}

# run_jobs HOW_MANY_AT_ONCE JOB...: results are printed in the order given, as soon as they are in.
run_jobs() {
    local at_once=$1 job pids=() names=() i=0
    shift
    for job in "$@"; do
        while [ "$(jobs -pr | wc -l)" -ge "$at_once" ]; do wait -n; done
        run_job "${job%%$'\t'*}" "${job#*$'\t'}" &
        pids+=($!) names+=("${job%%$'\t'*}")
        while [ "$i" -lt "${#pids[@]}" ] && ! kill -0 "${pids[$i]}" 2>/dev/null; do
            finish_job "${names[$i]}"
            i=$((i + 1))
        done
    done
    for (( ; i < ${#pids[@]}; i++)); do
        wait "${pids[$i]}"
        finish_job "${names[$i]}"
    done
}

skip_suite() {
    skipped=$((skipped + 1))
    printf 'ok - %s # skip: %s\n' "$1" "$2"
}

# ---- suites -----------------------------------------------------------------------------------------------------------------

each_unit() {
    find tests/unit -name 'test_*.c' | sed 's|^tests/unit/||; s|\.c$||' | sort
}

suite_lint() {
    local script
    for script in tests/lint/*.sh tests/lint/*.py; do
        add "lint/$(basename "${script%.*}")" "$script" "$script"
    done
}

# suite_units NAME PREFIX: the unit programs of a build, PREFIX before the program's path.
suite_units() {
    local unit
    for unit in $(each_unit); do add "$1/$unit" "tests/unit/$unit.c" "$2/tests/$unit"; done
}

suite_bats() {
    local file
    if ! command -v bats >/dev/null; then
        skip_suite "$1" 'bats is missing'
        return
    fi
    for file in tests/"$1"/*.bats; do
        [ -e "$file" ] && add "$1/$(basename "$file" .bats)" "$file" "bats --formatter tap '$file'"
    done
}

suite_fuzz() {
    local target
    if ! { command -v clang && command -v clang++; } >/dev/null; then
        skip_suite fuzz 'clang is missing'
        return
    fi
    build test-fuzzers
    for target in tests/fuzz/fuzz_*.c; do
        target=$(basename "$target" .c)
        add "fuzz/$target" "tests/fuzz/$target.c" "tests/fuzz/run.sh bin/build/fuzz/fuzz ${FUZZ_SECONDS:-5} $target"
    done
}

# First of all jobs: what it waits for most of its time costs no processor.
suite_hw() {
    build test-hw
    together=("hw"$'\t'"tests/hw/suite.sh" ${together[@]+"${together[@]}"})
}

suite_man() {
    local page
    for page in man/*.[1-8]; do
        [ -e "$page" ] && add "man/$(basename "$page")" "$page" "tests/man/examples.py '$page'"
    done
}

run_suite() {
    case $1 in
    lint) suite_lint ;;
    unit) suite_units unit bin/build ;;
    asan)
        build test-asan
        suite_units asan bin/build/asan
        ;;
    valgrind)
        if command -v valgrind >/dev/null; then
            suite_units valgrind 'valgrind -q --error-exitcode=9 --leak-check=full --trace-children=no bin/build'
        else
            skip_suite valgrind 'valgrind is missing'
        fi
        ;;
    cli)
        build hw-tools
        suite_bats cli
        ;;
    chain) suite_bats chain ;;
    fault)
        build test-faulty
        suite_bats fault
        ;;
    fuzz) suite_fuzz ;;
    man) suite_man ;;
    hw) suite_hw ;;
    *)
        printf 'run.sh: no such suite: %s\n' "$1" >&2
        exit 2
        ;;
    esac
}

rm -rf "$logs"
mkdir -p "$logs"
# A locale with a decimal comma, for the tests that LC_ALL changes no number: LOCPATH=bin/build/locale LC_ALL=de_DE.UTF-8.
if [ ! -d bin/build/locale/de_DE.UTF-8 ] && command -v localedef >/dev/null; then
    mkdir -p bin/build/locale
    localedef -i de_DE -f UTF-8 bin/build/locale/de_DE.UTF-8 2>"$logs/localedef.log" || true
fi
suites=()
for suite in "$@"; do
    if [ "$suite" = all ]; then suites+=(unit asan lint cli chain fault man fuzz); else suites+=("$suite"); fi
done

# `make check-asan` has built the programs it tests; every other run tests those of bin/.
[ "$PSA_BIN" != "$PSA_ROOT/bin" ] || build test-programs test-units
for suite in "${suites[@]}"; do run_suite "$suite"; done
run_jobs "$cores" ${together[@]+"${together[@]}"}
run_jobs 1 ${alone[@]+"${alone[@]}"}

printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
