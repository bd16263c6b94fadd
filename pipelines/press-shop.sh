#!/usr/bin/env bash
# The whole chain on a small press shop, as real processes: psa-sim plays four machines with faults at known times,
#
#     psa-sim | psa-filter | psa-window | psa-features | psa-score | psa-alert
#
# Shown: alerts as they come, and at the end what was found of what was injected. A model is trained first, on another
# run of the same shop without faults; there is one for each kind of sensor, and the psa-score of a kind passes on what
# it has no model for. Nothing is told about the faults before the end, when the table is made.
#
#     pipelines/press-shop.sh              ten times as fast as it happened
#     PSA_SPEED=max PSA_SEED=7 pipelines/press-shop.sh    at once, with other noise

set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
bin=${PSA_BIN:-$here/bin}
speed=${PSA_SPEED:-10x}
healthy=${PSA_HEALTHY:-1200s}
seed=${PSA_SEED:-1} # of the day that is watched; the healthy one has seed 2

for tool in jq "$bin/psa-sim" "$bin/psa-alert"; do
    command -v "$tool" >/dev/null || {
        echo "press-shop.sh: '$tool' is missing; run make run, or set PSA_BIN" >&2
        exit 2
    }
done

work=$(mktemp -d)
status=0
trap 'status=$?; [ "$status" -eq 0 ] || cat "$work/log" >&2; rm -rf "$work"' EXIT
: >"$work/log" # what the programs say: that another kind's records pass unscored, which is meant here

# Readings to features. The IMUs' signals are filtered; what comes once a second passes as it is.
features() {
    "$bin/psa-filter" --lowpass 40Hz --order 4 --rate 100Hz --fields 'accel_*,gyro_*' --stats-file "$work/readings" |
        "$bin/psa-window" --length 1s --stride 250ms --stats-file "$work/windows" |
        "$bin/psa-features"
}

SECONDS=0
echo "learning what normal is from ${healthy} of healthy running ..."
"$bin/psa-sim" --no-faults --no-labels --seed 2 --duration "$healthy" | features >"$work/healthy.ndjson"
# The share of healthy windows that may lie above the threshold. --raise 3/4 below asks for three of four such windows.
train() { # TYPE CONTAMINATION
    grep "\"sensor_type\":\"$1\"" "$work/healthy.ndjson" |
        "$bin/psa-train" isolation-forest --contamination "$2" --output "$work/$1.json" 2>>"$work/log"
}
train accel_gyro 0.001
train dht11 0.002
train pressure 0.002

echo "watching (event time, state, severity, what):"
"$bin/psa-sim" --speed "$speed" --seed "$seed" |
    features |
    "$bin/psa-score" --model "$work/accel_gyro.json" 2>>"$work/log" |
    "$bin/psa-score" --model "$work/dht11.json" 2>>"$work/log" |
    "$bin/psa-score" --model "$work/pressure.json" 2>>"$work/log" |
    "$bin/psa-alert" --raise 3/4 --clear 8 |
    tee "$work/alerts.ndjson" |
    jq -r --unbuffered '"  \(.timestamp_ns / 1e9 | todate[11:19])  \(.alert.state | (. + "      ")[:8])" +
        "\(.alert.severity | (. + "       ")[:9])\(.alert.reason)"'

# An injected fault is found if its sensor raised an alert while it lasted, or within the window behind its end. A raised
# alert that no fault of its sensor explains is a false alarm. (Seconds are exact enough here: jq 1.6 rounds nanoseconds.)
"$bin/psa-sim" --faults | jq -s . >"$work/faults.json"
jq -s -r --slurpfile faults "$work/faults.json" \
    --argjson readings "$(jq .in "$work/readings")" --argjson windows "$(jq .emitted "$work/windows")" \
    --argjson seconds "$SECONDS" '
    def explains($a): .sensor_type == $a.sensor_type and .sensor_id == $a.sensor_id and
        $a.timestamp_ns >= .from_ns and $a.timestamp_ns <= .to_ns + 1e9;
    [.[] | select(.alert.state == "raised")] as $raised | $faults[0] as $faults |
    ($faults | map(. as $f | select(any($raised[]; . as $a | $f | explains($a))))) as $found |
    ($raised | map(. as $a | select(any($faults[]; explains($a)) | not))) as $false |
    "",
    "  readings         \($readings)",
    "  windows          \($windows)",
    "  faults injected  \($faults | length)",
    "  faults found     \($found | length)",
    "  false alarms     \($false | length)",
    "  seconds          \($seconds)"' "$work/alerts.ndjson"
