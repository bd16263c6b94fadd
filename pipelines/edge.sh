#!/usr/bin/env bash
# edge.sh - the edge gateway: from a source of readings to a broker, and from alerts to a person, and nothing is lost.
#
#   source -> psa-spool: readings -> filter | window | features | score -+-> psa-spool: records -> psa-mqtt-pub
#                          ^                                             |          | @ID
#                          |                                             +-> psa-alert -> psa-spool: alerts -> psa-webhook
#                          |                                                         |          | @ID
#                          +-- @ID, once both have said it --------------------------+----------+
#
# Why nothing is lost:
# 1. A reading counts as taken once it is in the first spool, synced to disk. The spool forgets it only when an @ID says so.
# 2. Every PSA_CHECKPOINT the spool sends {"psa":{"checkpoint":"ID"}} behind record ID. Each stage saves its state as FILE.ID
#    and hands the line on, so whatever came out of the stages before it depends on the readings up to ID and on no others.
# 3. tee gives both branches the line. Each ends in `psa-spool append --ack`, which prints @ID when what came before it is
#    synced. Only the second of the two goes up. The next checkpoint is sent after that, so they come in pairs.
# 4. Whatever dies between the first spool and the other two, all of it is started anew with {"psa":{"restore":"ID"}}, the
#    last ID that both had: the same states, the same readings again. What came since is made again, the same bytes: duplicates
#    rather than loss. Tell them by sensor_type, sensor_id and timestamp_ns, an alert by alert.id and timestamp_ns.
# 5. records and alerts have a reader each, with an acknowledged sink: a dead broker holds up no alert, and a dead webhook no
#    record. A spool that is full blocks what is before it, back to the source.
#
#   pipelines/edge.sh                   the whole of it, against a broker on this machine, until Ctrl-C or the source's end
#   pipelines/edge.sh source [FIFO]     a part, as the units in pipelines/systemd run it:  the source, into FIFO
#   pipelines/edge.sh sensors [FIFO]    the same with sensord and the sensors of PSA_SENSORS
#   pipelines/edge.sh readings [FIFO]   FIFO (or stdin) to the spools of records and of alerts; makes FIFO
#   pipelines/edge.sh publish           the spool of records to the broker
#   pipelines/edge.sh alerts            the spool of alerts to the webhook, or, without one, to stderr
#
# Settings are environment variables, or lines of the shell in the file that PSA_CONF names; pipelines/systemd/edge.conf
# lists them with their defaults. To try it: apt-get install mosquitto; pipelines/edge.sh; mosquitto_sub -t 'factory/#'
set -euo pipefail

die() {
    echo "edge.sh: $*" >&2
    exit 2
}

here=$(cd "$(dirname "$0")" && pwd)
edge=$here/$(basename "$0")
for folder in "$here/../../../bin" "$here/../bin"; do # of PREFIX/share/psa/pipelines; of a checkout, which goes first
    [ ! -x "$folder/psa-spool" ] || PATH=$folder:$PATH
done
PATH=${PSA_BIN:+$PSA_BIN:}$PATH

[ -n "${PSA_DIR:=${STATE_DIRECTORY:-${XDG_STATE_HOME:-${HOME:?}/.local/state}/psa-edge}}" ]
case $PSA_DIR in *[\'\"\\\|]*) die "PSA_DIR '$PSA_DIR' has a quote, a backslash or a | in it; choose another folder" ;; esac
state=$PSA_DIR/state
if [ -e "${PSA_CONF:=}" ]; then
    # shellcheck source=/dev/null
    . "$PSA_CONF"
fi
: "${PSA_SENSORS:=/etc/psa/sensors.conf}"
: "${PSA_SENSORD=--heartbeat 10s}"
sensors="sensord --config $(printf %q "$PSA_SENSORS") $PSA_SENSORD"
[ ! -e "$PSA_SENSORS" ] || : "${PSA_SOURCE:=$sensors}"
: "${PSA_SOURCE:=psa-sim --start now --duration 0 --speed 1x}"
: "${PSA_LOG=}"
# shellcheck disable=SC2016 # within the double quotes, $state is the shell's and the single quotes are psa-run's
: "${PSA_STAGES:=psa-filter --lowpass 40Hz --rate 100Hz --fields 'accel_*,gyro_*' --state '$state/filter' |
    psa-window --length 1s --stride 250ms --state '$state/window' |
    psa-features --features rms,kurtosis,ptp,std --state '$state/features' |
    psa-score --ecod --warmup 240 --contamination 0.01 --horizon 5000 --state '$state/score'}"
: "${PSA_ALERT=--raise 3/4}"
: "${PSA_CHECKPOINT=--checkpoint 20000 --checkpoint-every 30s}"
: "${PSA_SPOOL=--max-size 1GiB}"
: "${PSA_MQTT=--host localhost}"
: "${PSA_WEBHOOK=}"
export PSA_DIR PSA_CONF PSA_SENSORS PSA_SENSORD PSA_SOURCE PSA_LOG PSA_STAGES PSA_ALERT PSA_CHECKPOINT PSA_SPOOL PSA_MQTT PSA_WEBHOOK

# Lists of options, parted by blanks.
read -ra alert <<<"$PSA_ALERT"
read -ra checkpoint <<<"$PSA_CHECKPOINT"
read -ra spool <<<"$PSA_SPOOL"
read -ra mqtt <<<"$PSA_MQTT"
read -ra webhook <<<"$PSA_WEBHOOK"

# credential NAME OPTION: OPTION and the file, if systemd (LoadCredential=) or PSA_CREDENTIALS, a folder, has it and it is not blank.
credential() {
    local file=${CREDENTIALS_DIRECTORY:-${PSA_CREDENTIALS:-/nonexistent}}/$1
    ! grep -qs '[^[:space:]]' "$file" || printf '%s\n%s\n' "$2" "$file"
}

# ---- the parts ----------------------------------------------------------------------------------------------------------

run_source() { # [FIFO]. Opened both ways, so that a restart of the reader is no end for us, nor ours for it.
    [ $# = 0 ] || { [ -p "$1" ] && exec 1<>"$1"; } || { echo "edge.sh: '$1' is no fifo yet" >&2 && exit 1; }
    # A stop reaches every process of the unit; tee is to end when it has read everything.
    [ -z "$PSA_LOG" ] || exec 1> >(trap '' TERM INT HUP && exec tee -a -- "$PSA_LOG")
    exec bash -c "exec $PSA_SOURCE"
}

run_sensors() { # [FIFO]
    PSA_SOURCE=$sensors run_source "$@"
}

run_readings() { # [FIFO]
    mkdir -p "$state"
    if [ $# != 0 ]; then
        [ -p "$1" ] || mkfifo -m 660 "$1"
        exec 0<>"$1"
    fi
    exec psa-spool --directory "$PSA_DIR/readings" ${spool[@]+"${spool[@]}"} ${checkpoint[@]+"${checkpoint[@]}"} -- "$edge" stages
}

# The sink of the first spool: records and control lines on stdin, @ID on stdout.
run_stages() {
    {
        must psa-run "$PSA_STAGES" |
            must tee >(must psa-alert ${alert[@]+"${alert[@]}"} --state "$state/alert" | append alerts >&3) |
            append records >&3
    } 3>&1 | second
}

append() { # SPOOL
    must psa-spool append --ack --directory "$PSA_DIR/$1" ${spool[@]+"${spool[@]}"}
}

# One dies, all die, at once: psa-spool has given the sink a process group of its own. Without this a death is noticed by whoever
# writes to the dead next, and while an @ID is waited for that may be nobody; then the spool's --stall would have to find it.
must() { "$@" || kill -TERM 0; }

# Each @ID comes twice, once of each branch. Counts are of no use behind stages.
second() {
    local line first=
    while IFS= read -r line; do
        case $line in
        @*) if [ "$line" = "$first" ]; then echo "$line" && first=; else first=$line; fi ;;
        esac
    done
}

run_publish() {
    local secret
    mapfile -t secret < <(credential mqtt --credentials)
    exec psa-spool drain --follow --directory "$PSA_DIR/records" -- psa-mqtt-pub --ack ${mqtt[@]+"${mqtt[@]}"} ${secret[@]+"${secret[@]}"}
}

run_alerts() {
    local where secret sink=("$edge" show)
    mapfile -t where < <(credential webhook-url --url-file)
    mapfile -t secret < <(credential webhook-token --bearer)
    [ ${#where[@]}${#webhook[@]} = 00 ] ||
        sink=(psa-webhook --ack ${secret[@]+"${secret[@]}"} ${where[@]+"${where[@]}"} ${webhook[@]+"${webhook[@]}"})
    exec psa-spool drain --follow --directory "$PSA_DIR/alerts" -- "${sink[@]}"
}

# Any command that prints how many lines it is done with can stand behind a spool.
run_show() {
    local line n=0
    while IFS= read -r line; do
        jq -r '.alert | select(.) | "\(.state), \(.severity): \(.reason)"' <<<"$line" >&2
        echo $((n += 1))
    done
}

# ---- all of it ------------------------------------------------------------------------------------------------------------

# Ctrl-C goes to this script alone (set -m: every part has a process group of its own), and it stops the parts in the order of
# the stream, so that each still takes what the one before it wrote.
run_all() {
    local status=0 interrupted='' signalled=
    set -m
    trap interrupt INT TERM HUP
    mkdir -p "$state"
    [ -p "$PSA_DIR/fifo" ] || mkfifo -m 600 "$PSA_DIR/fifo"
    "$edge" publish </dev/null &
    publish=$!
    "$edge" alerts </dev/null &
    alerts=$!
    "$edge" readings <"$PSA_DIR/fifo" &
    readings=$!
    "$edge" source >"$PSA_DIR/fifo" </dev/null &
    source=$!
    await source
    await readings # its input has ended: it drains, 10 s at most
    kill -TERM "$publish" "$alerts" 2>/dev/null || true # what they cannot deliver within 10 s stays for the next time
    await publish
    await alerts
    return "$status"
}

interrupt() {
    signalled=1
    if [ -z "$interrupted" ]; then
        interrupted=1
        kill -TERM -- "-$source" 2>/dev/null || true
    else # once more: what is not done stays in the spools
        kill -KILL -- "-$source" "-$readings" "-$publish" "-$alerts" 2>/dev/null || true
    fi
}

# await PART: a signal to us ends wait, but not the part. That the source ends by our signal is no failure.
await() {
    local got
    while :; do
        signalled='' got=0
        wait "${!1}" || got=$?
        [ -n "$signalled" ] || break
    done
    if [ "$got" != 0 ] && ! { [ "$1" = source ] && [ -n "$interrupted" ]; }; then
        echo "edge.sh: $1 ended with status $got" >&2
        status=1
    fi
}

case ${1:-} in
'') run_all ;;
source | sensors | readings | publish | alerts | stages | show) "run_$1" "${@:2}" ;;
*) die "no such part: '$1'" ;;
esac
