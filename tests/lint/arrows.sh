#!/bin/bash
# arrows.sh - the architecture, proved on the sources and on the objects built from them.
#
# 1. #include arrows: cmd -> io -> stage -> {dsp, model} and core; sensor and spool stand beside stage.
# 2. The rooms below io (but for sensor/bus_*, the kernel's interfaces) open nothing, print nothing, never exit, read no clock, environment, locale or random source.
# 3. They keep no static state: nothing writable in .data, .bss or thread-local storage.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
build=${B:-bin/build}
number=0 failed=0

result() { # result "what" "faults": faults empty is a pass
    number=$((number + 1))
    if [ -z "$2" ]; then
        echo "ok $number - $1"
    else
        failed=1
        echo "not ok $number - $1"
        printf '%s\n' "$2" | sed 's/^/# /'
    fi
}

# The rooms whose headers the files of a room may include.
allowed_rooms() {
    case $1 in
    core) echo core ;;
    dsp) echo 'dsp core' ;;
    model) echo 'model dsp core' ;;
    sensor) echo 'sensor dsp core' ;;
    spool) echo 'spool core' ;;
    stage) echo 'stage dsp model core' ;;
    io) echo 'io stage sensor spool dsp model core' ;;
    cmd) echo 'cmd io stage sensor spool dsp model core' ;;
    esac
}

wrong_includes() {
    local file room target
    for file in src/*/*.c src/*/*.cc src/*/*.h; do
        [ -e "$file" ] || continue
        room=$(basename "$(dirname "$file")")
        while read -r target; do
            case " $(allowed_rooms "$room") " in *" $target "*) ;; *) echo "$file includes $target/" ;; esac
        done < <(sed -n 's|^ *# *include *"\([a-z]*\)/.*|\1|p' "$file")
    done
    grep -nE '^ *# *include *"\.\./' src/*/*.[ch] /dev/null
    grep -nE '^ *# *include *<(stdio|unistd|fcntl|signal|time|locale|errno|poll|pthread|sys/[a-z]+)\.h>' \
        src/dsp/*.[ch] src/model/*.[ch] /dev/null
    grep -nE '^ *# *include *<(unistd|fcntl|signal|poll|pthread|sys/[a-z]+)\.h>' src/core/*.[ch] src/stage/*.[ch] /dev/null
    # A file that no room owns.
    find src -name '*.[ch]' | grep -vE '^src/(psa\.h|(cmd|io|stage|sensor|spool|dsp|model|core)/[a-z0-9_-]+\.[ch])$'
}

# What no room below io may call, by the names the linker sees. snprintf is formatting, not output, and may be called.
input_output='v?f?printf|__v?f?printf_chk|v?dprintf|puts|fputs|putchar|putc|fputc|fwrite|perror|psignal|fopen|fopen64|fdopen|freopen'
input_output+='|fclose|fflush|fread|fgets|getline|getdelim|v?f?scanf|stdin|stdout|stderr|open|open64|openat|creat|read|write|pread|pwrite'
input_output+='|readv|writev|close|dup2?|pipe2?|socket|connect|poll|select|mmap|mmap64|ioctl|unlink|rename|remove|mkstemp|tmpfile|syslog'
process='exit|_exit|_Exit|quick_exit|abort|atexit|__assert_fail|system|popen|fork|vfork|exec[lv]p?e?|posix_spawnp?|signal|sigaction|raise|kill'
outside='time|clock|clock_gettime|gettimeofday|localtime(_r)?|getenv|secure_getenv|setenv|setlocale|newlocale|uselocale|localeconv'
outside+='|rand|rand_r|srand|random|srandom|[delmnj]rand48|getrandom|arc4random(_.*)?|sleep|usleep|nanosleep'

# Undefined symbols of a room's objects; C++'s own runtime is let pass (number.cc).
wrong_calls() {
    local room object
    for room in "$@"; do
        for object in "$build/obj/$room"/*.o; do
            [ -e "$object" ] || continue
            case $object in */sensor/bus_*) continue ;; esac # the kernel's interfaces, behind sensor/bus.h
            nm -u "$object" | awk '{ sub(/@.*/, "", $NF); print $NF }' | grep -xE "$input_output|$process|$outside" |
                sed "s|^|$object calls |"
        done
    done
}

# Symbols in writable sections. Constant tables with addresses in them lie in .data.rel.ro, which is not writable once
# the program runs.
static_state() {
    local room object
    for room in "$@"; do
        for object in "$build/obj/$room"/*.o; do
            [ -e "$object" ] || continue
            objdump -t "$object" | awk -v object="$object" '
                $NF !~ /^\./ {
                    for (i = 1; i < NF; i++) if ($i ~ /^(\.t?data|\.t?bss|\*COM\*)/ && $i !~ /^\.data\.rel\.ro/) {
                        print object " keeps " $NF " in " $i
                        break
                    }
                }'
        done
    done
}

echo '1..3'
below='core dsp model stage sensor spool'
result 'includes follow the arrows' "$(wrong_includes)"
# shellcheck disable=SC2086 # a list of rooms
{
    result 'no input, output, exit, clock, environment, locale or random source below io' "$(wrong_calls $below)"
    result 'no static state below io' "$(static_state $below)"
}
[ -n "$(ls "$build"/obj/core/*.o 2>/dev/null)" ] || { echo 'Bail out! nothing is built'; exit 1; }
exit "$failed"
