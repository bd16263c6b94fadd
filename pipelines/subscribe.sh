#!/usr/bin/env bash
# subscribe.sh [MOSQUITTO_SUB OPTION ...] - the far side of a broker: readings that gateways publish, to alerts.
#
#     mosquitto_sub | psa-features --rolling | psa-score --ecod | psa-alert
#
# Subscribing is mosquitto_sub's work: -q 1, -c and -i make the broker keep what comes while this is away. Alerts go to stdout.
#
# Not behind a shared subscription ($share/GROUP/TOPIC): a broker deals its messages out in turn, and each of two copies would
# see every second reading of every sensor. Every stage here remembers its sensors. To share the work, subscribe to topics
# that part the sensors: factory/sensor/+/press-01, with psa-mqtt-pub --topic 'factory/sensor/{sensor_type}/{sensor_id}'.
#
#     pipelines/subscribe.sh -h broker -t 'factory/sensor/dht11'
#     PSA_STAGES='psa-score --model m.json | psa-alert' pipelines/subscribe.sh -h broker -t 'factory/sensor/+'
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
PATH=${PSA_BIN:-$here/bin}:$PATH
stages=${PSA_STAGES:-psa-features --rolling mean,std@10,50 | psa-score --ecod --warmup 200 --contamination 0.01 |
    psa-alert --raise 3/4}

[ $# -gt 0 ] || { echo "usage: subscribe.sh -t TOPIC [mosquitto_sub option ...]" >&2; exit 2; }
command -v mosquitto_sub >/dev/null || { echo "subscribe.sh: mosquitto_sub is missing (Debian: mosquitto-clients)" >&2; exit 2; }

mosquitto_sub -q 1 -c -i "psa-subscribe-$(hostname)" "$@" | psa-run "$stages"
