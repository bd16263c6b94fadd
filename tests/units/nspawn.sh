#!/bin/bash
# nspawn.sh - the units of pipelines/systemd under a real systemd: a minimal Debian is booted by systemd-nspawn, and while
# readings flow, each process of the services is killed in turn, broker and webhook go and come, the watchdog bites, services and
# the machine restart, and all of the machine's processes are killed at once. Then: what psa-spool took must have arrived.
#
#   tests/units/nspawn.sh        TAP on stdout; root only, otherwise skipped with the reason. `make check-units`
#
# The oracle. Every segment that the spool of readings ever had is kept by a link (segments.py): that is what it took. The same
# stages over that, in one go and undisturbed, say what must have arrived: every record at a subscriber of the broker and every
# alert at the webhook, byte for byte, none invented, in their order; duplicates are counted (oracle.py). A kill keeps what is in
# the page cache: what a power cut takes is another test's business.
#
# The recorders run outside, in the machine's network: they see what left it and survive what happens in it.
# PSA_MAKE and PSA_BIN: another build than bin/. PSA_UNITS_CACHE: another folder than bin/build/units, for the Debian root, which
# is made once, and for the run. PSA_UNITS_KEEP=1 leaves the run's root and logs there.
# run alone: it measures nothing, but it kills and waits for minutes.
# shellcheck disable=SC2317 # functions are called through check and within
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

here=$PWD/tests/units
cache=${PSA_UNITS_CACHE:-$PWD/bin/build/units}
PSA_BIN=$(realpath -m "${PSA_BIN:-bin}")
python=python3
[ ! -x /usr/bin/python3 ] || python=/usr/bin/python3
packages=systemd,systemd-sysv,dbus,procps,jq,libmosquitto1,libcurl4,libfftw3-double3,libsndfile1,libi2c0,mosquitto

skip() {
    echo "1..0 # skip $*"
    exit 0
}
[ "$(id -u)" = 0 ] || skip 'not root'
for tool in mmdebstrap systemd-nspawn nsenter mosquitto_sub mosquitto_passwd jq; do
    command -v "$tool" >/dev/null || skip "$tool is missing"
done
for program in psa-spool psa-mqtt-pub psa-webhook; do
    [ -x "$PSA_BIN/$program" ] || skip "$program is not built"
done

mkdir -p "$cache"
work=$(mktemp -d "$cache/run.XXXXXX")
root=$work/root
machine='' keeper='' recorders=() tests=0 failed=0
source=psa-source # or psa-sensord, once there is a list of sensors
trap 'finish' EXIT
trap 'exit 1' INT TERM

# ---- tests ----------------------------------------------------------------------------------------------------------------

check() { # NAME COMMAND...: in this shell; its output is shown when it fails
    local name=$1
    shift
    tests=$((tests + 1))
    if "$@" >"$work/output" 2>&1; then
        echo "ok $tests - $name"
    else
        failed=$((failed + 1))
        printf 'not ok %d - %s\n' "$tests" "$name"
        tail -n 40 "$work/output" | say
    fi
}

say() { sed 's/^/# /'; }

# within SECONDS COMMAND...: true as soon as COMMAND is.
within() {
    local limit=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        if [ "$SECONDS" -ge "$limit" ]; then
            echo "not within its time: $*"
            return 1
        fi
        sleep 0.1
    done
}

# ---- the machine ------------------------------------------------------------------------------------------------------------

make_root() {
    local tar release
    release=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
    tar=$cache/root-$(printf '%s' "$packages" | cksum | cut -d' ' -f1).tar
    if [ ! -e "$tar" ]; then
        mmdebstrap --quiet --variant=minbase --include="$packages" "$release" "$work/root.tar" >"$work/mmdebstrap.log" 2>&1 || {
            tail -n 5 "$work/mmdebstrap.log" | say
            skip 'mmdebstrap cannot make a root (no network?)'
        }
        mv "$work/root.tar" "$tar"
    fi
    mkdir "$root" && tar -xf "$tar" -C "$root"
}

furnish() {
    # shellcheck disable=SC2086 # a command line
    MAKEFLAGS='' ${PSA_MAKE:-make} --no-print-directory install PREFIX=/usr/local DESTDIR="$root" >"$work/install.log" 2>&1 || return
    systemd-sysusers --root="$root"
    mkdir -p "$root/etc/psa" "$root/etc/mosquitto/conf.d"
    cat >"$root/etc/psa/edge.conf" <<'END'
# 100 readings and some 16 windows a second; a fifth of them are anomalous, so that alerts flow all the time.
PSA_SOURCE='psa-sim --start now --duration 0 --speed 1x --rate 25Hz --no-faults'
PSA_LOG=/var/lib/psa/source.ndjson
PSA_STAGES="psa-filter --lowpass 8Hz --rate 25Hz --fields 'accel_*,gyro_*' --state '$state/filter' |
    psa-window --length 1s --stride 250ms --state '$state/window' |
    psa-features --features rms,ptp --state '$state/features' |
    psa-score --ecod --warmup 20 --contamination 0.2 --horizon 500 --state '$state/score'"
PSA_ALERT='--raise 1/1 --clear 1 --cooldown 1s'
PSA_CHECKPOINT='--checkpoint 500 --checkpoint-every 1s'
PSA_SPOOL='--max-size 128MiB'
PSA_MQTT='--host 127.0.0.1 --retry-max 1s'
PSA_WEBHOOK='--retry-max 1s'
END
    printf 'psa\nnot very secret\n' | install -m 600 /dev/stdin "$root/etc/psa/mqtt"
    install -m 600 /dev/stdin "$root/etc/psa/webhook-url" <<<'http://127.0.0.1:8080/alerts'
    install -m 600 /dev/stdin "$root/etc/psa/webhook-token" <<<'a-token'
    cat >"$root/etc/mosquitto/conf.d/test.conf" <<'END'
listener 1883 127.0.0.1
allow_anonymous false
password_file /etc/mosquitto/passwords
max_queued_messages 0
max_inflight_messages 0
END
    touch "$root/etc/mosquitto/passwords"
    mosquitto_passwd -b "$root/etc/mosquitto/passwords" psa 'not very secret' 2>/dev/null &&
        mosquitto_passwd -b "$root/etc/mosquitto/passwords" recorder recorder 2>/dev/null &&
        chmod 644 "$root/etc/mosquitto/passwords"
    local unit
    for unit in sensord readings publish alerts; do # shorter than the test, so that a watchdog that is not fed is found
        install -D -m 644 /dev/stdin "$root/etc/systemd/system/psa-$unit.service.d/watchdog.conf" <<<$'[Service]\nWatchdogSec=4'
    done
    systemctl --quiet --root="$root" mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer console-getty.service
}

power_on() {
    systemd-nspawn --quiet -b --register=no --keep-unit --private-network -D "$root" </dev/null >>"$work/console.log" 2>&1 &
    machine=$!
    within 60 booted
}

leader() { # the process id of the machine's init, seen from here
    local pid children=()
    read -d '' -ra children 2>/dev/null <"/proc/${machine:-none}/task/$machine/children"
    for pid in ${children[@]+"${children[@]}"}; do
        [ "$(cat "/proc/$pid/comm")" = systemd ] && echo "$pid" && return
    done
    return 1
}

inside() {
    local pid
    pid=$(leader) || return
    env -i PATH=/usr/local/bin:/usr/sbin:/usr/bin TERM=dumb nsenter -t "$pid" -a -- "$@"
}

booted() { [[ $(inside systemctl is-system-running) =~ running|degraded ]]; }

power_off() {
    [ -n "$machine" ] || return 0
    kill -TERM "$machine" 2>/dev/null # an orderly shutdown
    within 60 gone "$machine" || kill_machine
    wait "$machine" 2>/dev/null
    machine=
}

kill_machine() { # every process of the machine dies with its init
    local pid
    pid=$(leader) && kill -KILL "$pid"
    within 20 gone "$machine" || kill -KILL "$machine"
    wait "$machine" 2>/dev/null
    machine=
}

gone() { ! kill -0 "$1" 2>/dev/null || [[ $(cat "/proc/$1/stat") == *') Z '* ]]; }

# ---- recorders --------------------------------------------------------------------------------------------------------------

record() { # COMMAND...: in the machine's network; the process id is in $recorder
    nsenter -t "$(leader)" -n -- "$@" 2>>"$work/recorders.log" &
    recorder=$!
    recorders+=("$recorder")
}

record_broker() {
    within 20 inside systemctl is-active mosquitto
    record stdbuf -oL mosquitto_sub -h 127.0.0.1 -u recorder -P recorder -c -i recorder -q 1 -t 'factory/#' >>"$work/records"
}

record_webhook() {
    record "$python" "$here/recorder.py" 8080 "$work/alerts" a-token
    webhook=$recorder
}

keep_segments() { # of the spool of readings
    mkdir "$work/segments"
    "$python" "$here/segments.py" keep "$root/var/lib/psa/readings" "$work/segments" 2>>"$work/recorders.log" &
    keeper=$!
}

stop_recorders() {
    local pid
    for pid in ${recorders[@]+"${recorders[@]}"}; do kill -TERM "$pid" 2>/dev/null && wait "$pid" 2>/dev/null; done
    recorders=()
}

finish() {
    stop_recorders
    [ -z "$keeper" ] || kill -TERM "$keeper" 2>/dev/null
    power_off
    [ "$tests" = 0 ] || echo "1..$tests"
    if [ -n "${PSA_UNITS_KEEP:-}" ]; then echo "# kept: $work"; else rm -rf "$work"; fi
    [ "$failed" = 0 ] || exit 1
}

# ---- looking ----------------------------------------------------------------------------------------------------------------

count() { if [ -e "$work/$1" ]; then wc -l <"$work/$1"; else echo 0; fi; }

# Has more arrived than there was at the last mark?
mark() { records_then=$(count records) alerts_then=$(count alerts); }
flows() { [ "$(count records)" -ge $((records_then + ${1:-30})) ] && [ "$(count alerts)" -ge $((alerts_then + 2)) ]; }

backlog() { inside psa-spool stat --directory "/var/lib/psa/$1" | jq -r .backlog; }
# The cursor is a second behind: what is waiting is what came since.
last() { inside psa-spool stat --directory "/var/lib/psa/$1" | jq -r .last; }
grows() { # SPOOL N: by N records from now on
    local wanted=$(($(last "$1") + $2))
    within 60 has_come_to "$1" "$wanted"
}
has_come_to() { [ "$(last "$1")" -ge "$2" ]; }
backlog_is() { [ "$(backlog "$1")" = "$2" ]; }

# The process ids of a unit whose command line has the pattern.
processes() { # UNIT PATTERN
    inside ps -eww -o pid=,unit=,args= | awk -v unit="$1.service" -v pattern="$2" '
        $2 == unit { pid = $1; $1 = $2 = ""; if ($0 ~ pattern) print pid }'
}

another() { # UNIT PATTERN OLD: is there one, and not the old one?
    local now
    now=$(processes "$1" "$2" | head -n 1)
    [ -n "$now" ] && [ "$now" != "$3" ]
}

property() { inside systemctl show --property="$2" --value "$1"; }

all_active() {
    inside systemctl is-active "$source" psa-readings psa-publish psa-alerts && inside systemctl is-active psa-edge.target
}

diagnose() {
    inside journalctl --no-pager --boot --lines=25 --output=cat --unit='psa-*'
    return 1
}

# ---- what happens to it ------------------------------------------------------------------------------------------------------

begin() {
    mark
    { inside systemctl enable --now psa-edge.target && within 60 flows && all_active; } || diagnose
}

kill_one() { # UNIT PATTERN
    local pid
    within 20 another "$1" "$2" '' || return
    pid=$(processes "$1" "$2" | head -n 1)
    mark
    inside kill -KILL "$pid"
    { within 40 another "$1" "$2" "$pid" && within 40 flows && within 20 all_active; } || diagnose
}

bites() { inside journalctl --quiet --no-pager --unit='psa-*' --grep='Watchdog timeout' --output=cat | wc -l; }

hang() { # UNIT PATTERN BITES: the watchdog's work, and only now
    local pid
    pid=$(property "$1" MainPID)
    [ "$(bites)" = "$3" ] || diagnose || return
    mark
    inside kill -STOP "$pid"
    { within 40 another "$1" "$2" "$pid" && within 40 flows; } || diagnose
}

sensors_take_over() { # a list of sensors is there: no more psa-sim, from one start to the next
    printf '%s\n' 'sim:imu?id=imu-01&rate=25Hz' 'sim:bmp180?id=pump-01&unplug=5s,3s' >"$root/etc/psa/sensors.conf"
    source=psa-sensord
    inside systemctl stop psa-edge.target
    inside systemctl start psa-edge.target
    { within 20 all_active && mark && within 40 flows && has_stopped psa-source; } || diagnose
}

came_back() { # the sensor whose wire was loose, as a person is told of it
    within 40 grep -q '"kind":"status".*"state":"cleared".*' "$work/alerts" || diagnose
}

broker_away() {
    inside systemctl stop mosquitto
    grows records 150 || diagnose || return
    inside systemctl stop psa-publish
    has_stopped psa-publish # told to stop, with a backlog: no failure
    local stopped=$?
    inside systemctl start psa-publish
    mark
    inside systemctl start mosquitto
    { within 60 flows 150 && [ "$stopped" = 0 ]; } || diagnose
}

webhook_away() {
    kill -TERM "$webhook" && wait "$webhook" 2>/dev/null
    grows alerts 10 || diagnose || return
    mark
    record_webhook
    within 60 flows || diagnose
}

restart() {
    mark
    inside systemctl restart "$1"
    { within 40 flows && within 10 all_active; } || diagnose
}

stop_and_start() {
    stop || return
    mark
    inside systemctl start psa-edge.target
    within 40 flows || diagnose
}

stop() {
    local unit
    inside systemctl stop psa-edge.target
    for unit in "$source" psa-readings psa-publish psa-alerts; do within 40 has_stopped "$unit" || diagnose || return; done
}
has_stopped() { [ "$(property "$1" ActiveState) $(property "$1" Result)" = 'inactive success' ]; }

reboot() {
    mark
    inside systemctl reboot
    within 60 gone "$machine" || return
    wait "$machine" # 133: it wants to be started again
    [ $? = 133 ] && power_on && back
}

kill_all() { # not the broker's: what it has acknowledged and holds in memory is its own affair
    inside systemctl stop mosquitto
    grows records 50 || diagnose || return
    mark
    kill_machine
    power_on && back
}

back() {
    stop_recorders
    record_broker
    record_webhook
    { within 60 flows && within 10 all_active; } || diagnose
}

drain() { # the source stops; everything flows off
    inside systemctl stop "$source"
    { within 60 backlog_is readings 0 && within 60 backlog_is records 0 && within 60 backlog_is alerts 0; } || diagnose || return
    stop || return
    inside chmod -R a+rX /var/lib/psa
}

bitten_twice() { [ "$(bites)" = 2 ] || diagnose; }

wrong_settings() { # exit status 2: not restarted
    inside sh -c 'mkdir -p /run/systemd/system/psa-publish.service.d &&
        printf "[Service]\nEnvironment=PSA_CONF=/etc/psa/wrong.conf\n" >/run/systemd/system/psa-publish.service.d/wrong.conf &&
        echo "exit 2" >/etc/psa/wrong.conf && systemctl daemon-reload && systemctl start psa-publish' && return 1
    [ "$(property psa-publish ActiveState) $(property psa-publish NRestarts)" = 'failed 0' ] || {
        inside systemctl status psa-publish
        return 1
    }
}

# ---- what must have come of it -----------------------------------------------------------------------------------------------

replay() {
    local state=$work/replay # for the settings
    mkdir "$state"
    # shellcheck source=/dev/null
    . "$root/etc/psa/edge.conf"
    kill -TERM "$keeper" && wait "$keeper"
    keeper=
    # shellcheck disable=SC2086 # a list of options
    "$python" "$here/segments.py" taken "$work/segments" >"$work/taken" &&
        "$PSA_BIN/psa-run" "$PSA_STAGES" "$work/taken" >"$work/scored" &&
        "$PSA_BIN/psa-alert" $PSA_ALERT --state "$state/alert" "$work/scored" >"$work/alerted" &&
        grep -v '^{"psa":' "$work/scored" >"$work/records.expected" && # a sink publishes no heartbeat
        grep -v '^{"psa":' "$work/alerted" >"$work/alerts.expected"
}

# Readings that the source wrote and the spool never had: those in its memory when it was killed, before they were written.
untaken() {
    sort -u "$work/taken" >"$work/taken.sorted"
    sort -u "$root/var/lib/psa/source.ndjson" | comm -13 "$work/taken.sorted" - | wc -l
}

whole() { # nothing damaged, missing or dead
    "$PSA_BIN/psa-spool" check --directory "$root/var/lib/psa/$1" &&
        "$PSA_BIN/psa-spool" stat --directory "$root/var/lib/psa/$1" | jq -e '[.dead, .missing, .damaged, .backlog] == [0, 0, 0, 0]'
}

verify() { # its status is 0 for what it only warns of
    inside systemd-analyze verify --man=no psa-edge.target psa-source.service psa-sensord.service psa-readings.service psa-publish.service \
        psa-alerts.service && [ ! -s "$work/output" ]
}

exposure() { inside systemd-analyze security --no-pager "$1" | awk '/Overall exposure level/ { print $(NF - 2) }'; }
declare -A exposures
exposed_below() {
    exposures[$1]=$(exposure "psa-$1.service")
    awk -v e="${exposures[$1]}" -v most="$2" 'BEGIN { if (e == "" || e + 0 > most + 0) { print "exposure " e; exit 1 } }'
}

# ---- the story -----------------------------------------------------------------------------------------------------------------

bail_out() { # WHY LOG
    tail -n 20 "$2" | say
    echo "Bail out! $1"
    failed=1
    exit 1
}

make_root || bail_out 'there is no root' /dev/null
furnish || bail_out 'the root cannot be furnished' "$work/install.log"
touch "$work/records" "$work/alerts"
check 'the machine boots' power_on
[ "$failed" = 0 ] || bail_out 'the machine does not boot' "$work/console.log"
check 'systemd-analyze verify has nothing to say' verify
for unit in source sensord readings publish alerts; do
    check "psa-$unit: exposure at most 2.0 (systemd-analyze security)" exposed_below "$unit" 2.0
done
record_broker
record_webhook
keep_segments
check 'the target starts, records and alerts arrive' begin

check 'kill -9 psa-sim' kill_one psa-source psa-sim
check 'kill -9 the first psa-spool' kill_one psa-readings 'psa-spool .*checkpoint'
check 'kill -9 the shell of the stages' kill_one psa-readings 'edge.sh stages'
check 'kill -9 psa-run' kill_one psa-readings psa-run
check 'kill -9 tee' kill_one psa-readings ' tee '
check 'kill -9 psa-alert' kill_one psa-readings psa-alert
check 'kill -9 psa-spool append: records' kill_one psa-readings 'psa-spool append .*/records'
check 'kill -9 psa-spool append: alerts' kill_one psa-readings 'psa-spool append .*/alerts'
check 'kill -9 psa-spool drain: records' kill_one psa-publish 'psa-spool drain'
check 'kill -9 psa-mqtt-pub' kill_one psa-publish ' psa-mqtt-pub'
check 'kill -9 psa-spool drain: alerts' kill_one psa-alerts 'psa-spool drain'
check 'kill -9 psa-webhook' kill_one psa-alerts ' psa-webhook'
check 'a psa-spool that hangs is found by the watchdog' hang psa-readings 'psa-spool .*checkpoint' 0
check 'broker stopped, spool grows, broker back, spool drains' broker_away
check 'webhook stopped and started' webhook_away
for unit in source readings publish alerts; do check "systemctl restart psa-$unit" restart "psa-$unit"; done
check 'the target stops and starts' stop_and_start
check 'reboot' reboot
check 'with a list of sensors, sensord is the source' sensors_take_over
check 'a sensor unplugged and plugged in is told as a status alert' came_back
check 'kill -9 sensord' kill_one psa-sensord 'sensord --config'
check 'a sensord that hangs is found by the watchdog' hang psa-sensord 'sensord --config' 1
check 'all processes of the machine killed at once' kill_all
check 'the source stops, everything flows off, all stop' drain
check 'the watchdog has bitten no other time' bitten_twice
check 'wrong settings end a service for good' wrong_settings
power_off

check 'the undisturbed replay of what was taken' replay
check 'every record taken has arrived at the broker' "$python" "$here/oracle.py" records "$work/records.expected" "$work/records"
check 'every alert has arrived at the webhook' "$python" "$here/oracle.py" alerts "$work/alerts.expected" "$work/alerts"
for spool in readings records alerts; do check "the spool of $spool is whole and empty" whole "$spool"; done
{
    for unit in source sensord readings publish alerts; do echo "psa-$unit: exposure ${exposures[$unit]}"; done
    echo "readings: $(wc -l <"$root/var/lib/psa/source.ndjson") written by the source, $(wc -l <"$work/taken") taken, $(untaken) never taken"
    "$python" "$here/oracle.py" records "$work/records.expected" "$work/records"
    "$python" "$here/oracle.py" alerts "$work/alerts.expected" "$work/alerts"
} | say
