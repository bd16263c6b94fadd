# lib.sh - what the guests' scripts share: loading modules, running sensord, checking its output. Read by busybox sh.
#
# A check waits for its condition, with a deadline: how fast an emulated machine is depends on the host's other work.
# shellcheck shell=dash

number=0 failed=0
# Seconds that a check waits for its condition, and milliseconds between two looks. jq costs the emulated processor far more
# than waiting does.
DEADLINE=20 PAUSE=900

# result NAME [REASON]: ok when there is no reason why not.
result() {
    number=$((number + 1))
    if [ -z "$2" ]; then
        echo "ok $number - $1"
    else
        failed=$((failed + 1))
        echo "not ok $number - $1"
        printf '%s\n' "$2" | sed 's/^/# /'
    fi
}

note() { echo "# $*"; }

finish() {
    [ "$failed" = 0 ]
    qemu_exit $?
}

# ---- kernel ---------------------------------------------------------------------------------------------------------------

# load MODULE [PARAMETERS]: with what it needs, in order.
load() {
    module=$1
    shift
    while read -r file; do
        name=$(echo "${file%.ko}" | tr - _)
        grep -q "^$name " /proc/modules && continue
        if [ "$name" = "$(echo "$module" | tr - _)" ]; then set -- "/modules/$file" "$@"; else insmod "/modules/$file"; fi
    done <"/load/$module"
    [ -z "$1" ] || insmod "$@" || result "the kernel loads $module" "$(dmesg | tail -n 5)"
}

# until_true SECONDS COMMAND...: run the command again and again, with pauses of $pause ms. By uptime, since the clock may be set
# meanwhile.
pause=100
until_true() {
    read -r up _ </proc/uptime
    over=$((${up%.*} + $1))
    shift
    until "$@"; do
        read -r up _ </proc/uptime
        [ "${up%.*}" -lt "$over" ] || return 1
        usleep "${pause}000"
    done
}

# device_called NAME CLASS: its sysfs folder.
device_called() {
    for folder in /sys/bus/"$2"/devices/*; do
        if [ "$(cat "$folder/name" 2>/dev/null)" = "$1" ]; then
            echo "$folder"
            return
        fi
    done
    return 1
}

# ---- sensord ----------------------------------------------------------------------------------------------------------------

# start RUN ARGUMENTS...: its records go to /run/RUN.out, its messages to /run/RUN.err.
start() {
    run=$1
    shift
    sensord --retry-max 1s "$@" >"/run/$run.out" 2>"/run/$run.err" &
    eval "pid_$run=$!"
}

# start_as USER RUN ARGUMENTS...: without root.
start_as() {
    user=$1 run=$2
    shift 2
    # shellcheck disable=SC2016 # the other shell's arguments
    su "$user" -s /bin/sh -c 'exec sensord "$@"' sensord "$@" >"/run/$run.out" 2>"/run/$run.err" &
    eval "pid_$run=$!"
}

# stop RUN: as systemd would; sets $status.
stop() {
    eval "pid=\$pid_$1"
    # shellcheck disable=SC2154 # by eval
    kill -TERM "$pid" 2>/dev/null
    wait "$pid"
    # shellcheck disable=SC2034 # for the scripts
    status=$?
}

# holds RUN FILTER: is the jq filter true of the records so far (an array)? A line that is not written to its end yet is none.
holds() {
    jq -L /guest -Rne "include \"checks\"; [inputs | fromjson?] | $2" "/run/$1.out" >/run/verdict 2>&1
}

# check NAME RUN FILTER: it becomes true in time.
check() {
    pause=$PAUSE
    if until_true "$DEADLINE" holds "$2" "$3"; then result "$1"; else result "$1" "$(explain "$2" "$3")"; fi
    pause=100
}

# always NAME RUN FILTER: it is true now.
always() {
    if holds "$2" "$3"; then result "$1"; else result "$1" "$(explain "$2" "$3")"; fi
}

explain() {
    echo "false: $2"
    sed 's/^/jq: /' /run/verdict | head -n 3
    echo "the last of $(wc -l <"/run/$1.out") records:"
    tail -n 6 "/run/$1.out"
    echo "messages:"
    tail -n 8 "/run/$1.err"
}

# says NAME RUN PATTERN: a message comes in time.
says() {
    if until_true "$DEADLINE" grep -Eq "$3" "/run/$2.err"; then
        result "$1"
    else
        result "$1" "no message like: $3
$(tail -n 8 "/run/$2.err")"
    fi
}
