#!/bin/bash
# run.sh DIR SECONDS [TARGET...] - runs the libFuzzer targets in DIR in turn, SECONDS each (all there are by default), and
# prints TAP. The corpus grows in DIR/corpus from run to run; what breaks a target is kept in DIR/found.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=$1 seconds=$2
shift 2
targets=("$@")
if [ ${#targets[@]} = 0 ]; then
    for source in "$here"/fuzz_*.c; do targets+=("$(basename "$source" .c)"); done
fi

echo "1..${#targets[@]}"
number=0 failed=0
for target in "${targets[@]}"; do
    number=$((number + 1))
    work=$(mktemp -d)
    mkdir -p "$dir/corpus/$target" "$dir/found"
    "$here/seeds.sh" "$work/seeds" >&2
    log=$work/log
    "$dir/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -max_len=4096 -dict="$here/json.dict" \
        -artifact_prefix="$dir/found/$target-" -print_final_stats=1 \
        "$dir/corpus/$target" "$work/seeds/$target" >"$log" 2>&1
    status=$?
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    if [ "$status" = 0 ] && [ "${runs:-0}" -gt 0 ]; then
        echo "ok $number - $target: $runs runs in $seconds s found nothing"
    else
        failed=1
        echo "not ok $number - $target: status $status, see $dir/found"
        grep -v '^#[0-9]' "$log" | tail -n 80 | cut -c1-500 | sed 's/^/# /'
    fi
    rm -rf "$work"
done
exit "$failed"
