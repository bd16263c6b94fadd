#!/bin/bash
# check.sh - sensord in a Debian kernel, against real kernel drivers: `make check-hw`. tests/hw/prepare.sh has made the kernel,
# make the programs. A line of TAP a check; status 0 when all passed.
#
#   tests/hw/check.sh [GUEST...]     of: stub cp2112 gpio (tests/hw/guest/GUEST.sh); all of them side by side by default
#
# PSA_BIN=DIR tests another sensord: one with a driver broken on purpose must fail here. PSA_HW_STATIC=DIR has the guests' static
# programs, PSA_HW_KEEP=1 keeps the folder with the kernels' messages, PSA_HW_SECONDS is a guest's time limit.
#
# What runs in a guest is in a ramdisk: busybox, jq, the modules, sensord with its libraries, and libiio, which it loads itself.
# There is no disk and no network.
#
# Only -accel tcg: nested KVM is not everywhere, and hangs in some places. And time is counted in instructions (-icount): one a
# nanosecond, and what a sleeping machine waits for comes at once. So a DHT11's pulses of 26 us are exact, no deadline is missed
# because this machine is busy, the same happens in every run, and a guest's minute takes half of one here.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
export LC_ALL=C

kernel=bin/build/hw/kernel
bin=${PSA_BIN:-bin}
static=${PSA_HW_STATIC:-bin/build/hw/static}
seconds=${PSA_HW_SECONDS:-180}
guests=("$@")
[ $# != 0 ] || guests=(stub cp2112 gpio)

fail() {
    printf 'check-hw: %s\n' "$*" >&2
    exit 1
}

# ---- the ramdisk -----------------------------------------------------------------------------------------------------------

# carry ROOT FILE...: shared libraries or programs with all the libraries they need, at the same paths.
carry() {
    local root=$1 library
    shift
    ldd "$@" | grep -oE '/[^ ]+' | grep -v ':$' | sort -u | while read -r library; do
        mkdir -p "$root${library%/*}"
        cp -nL "$library" "$root$library"
    done
}

make_ramdisk() {
    local root=$run/root libiio
    mkdir -p "$root"/{bin,proc,sys,dev,etc,usr/lib}
    cp "$(command -v busybox)" "$(command -v jq)" "$bin/sensord" "$root/bin/" || return
    cp "$static"/{stub_player,cp2112_player,gpio_player,qemu_exit} "$root/bin/" || return
    cp -r "$kernel/modules" "$kernel/load" tests/hw/guest "$root/" || return
    mv "$root/guest/init" "$root/init"
    chmod 755 "$root/init"
    strip -g "$root/bin/sensord" 2>/dev/null
    carry "$root" "$root/bin/jq" "$root/bin/sensord"
    libiio=$(ldconfig -p 2>/dev/null | sed -n 's/.*libiio\.so\.0 .*=> //p' | head -n 1)
    if [ -n "$libiio" ]; then
        mkdir -p "$root${libiio%/*}"
        cp -L "$libiio" "$root$libiio"
        carry "$root" "$libiio"
    fi
    # The users of the checks of permissions: one in the groups that Debian gives to I2C and GPIO, one in none.
    printf 'root:x:0:0::/:/bin/sh\ngateway:x:1000:1000::/:/bin/sh\nvisitor:x:1001:1001::/:/bin/sh\n' >"$root/etc/passwd"
    printf 'root:x:0:\ni2c:x:100:gateway\ngpio:x:101:gateway\ngateway:x:1000:\nvisitor:x:1001:\n' >"$root/etc/group"
    # Not compressed: loading it costs less than unpacking it.
    (cd "$root" && find . | cpio -o -H newc -R 0:0 --quiet) >"$run/ramdisk"
}

# ---- a guest ------------------------------------------------------------------------------------------------------------------

# boot GUEST: its TAP goes to $run/GUEST.tap as it comes, the kernel's messages to GUEST.console, qemu's status to GUEST.rc.
boot() {
    local qemu
    timeout --kill-after=5 "$seconds" qemu-system-x86_64 -accel tcg -icount shift=0,sleep=off,align=off -M pc -cpu max -m 256 -nodefaults -no-user-config \
        -display none -no-reboot -serial "file:$run/$1.console" -serial "file:$run/$1.tap" \
        -device isa-debug-exit,iobase=0xf4,iosize=0x04 -kernel "$kernel/vmlinux" -initrd "$run/ramdisk" \
        -append "console=ttyS0 quiet loglevel=4 panic=-1 mitigations=off guest=$1" </dev/null >"$run/$1.qemu" 2>&1 &
    qemu=$!
    trap 'kill "$qemu" 2>/dev/null' TERM
    wait "$qemu"
    echo $? >"$run/$1.rc"
}

# Count a guest's results, and make a failure of an end before its end.
relay() {
    local name=$1 line rc planned=0 passed=0 bad=0 why=
    while IFS= read -r line; do
        case $line in
        1..*) planned=$((${line#1..})) ;;
        ok\ *) passed=$((passed + 1)) ;;
        not\ ok\ *) bad=$((bad + 1)) ;;
        esac
        case $line in
        1..*) ;;
        ok\ * | not\ ok\ *)
            number=$((number + 1))
            printf '%s %d - %s: %s\n' "${line%% [0-9]*}" "$number" "$name" "${line#* - }"
            ;;
        *) printf '%s\n' "$line" ;;
        esac
    done < <(tr -d '\r' <"$run/$name.tap")
    rc=$(cat "$run/$name.rc" 2>/dev/null || echo 255)
    case $rc in
    1) [ "$bad" = 0 ] || why='the guest says that all went well, but it did not' ;;
    3) [ "$bad" != 0 ] || why='the guest says that something failed, but not what' ;;
    124 | 137) why="no end after $seconds s" ;;
    0) why='the guest went down by itself: a panic?' ;;
    *) why="qemu ended with status $rc" ;;
    esac
    [ "$((passed + bad))" = "$planned" ] || why="${why:+$why; }$((passed + bad)) of $planned checks were made"
    if [ -n "$why" ]; then
        bad=$((bad + 1)) number=$((number + 1))
        printf 'not ok %d - %s: %s\n' "$number" "$name" "$why"
        tail -n 5 "$run/$name.qemu" | sed 's/^/# qemu: /'
        tail -n 25 "$run/$name.console" 2>/dev/null | tr -d '\r' | sed 's/^/# kernel: /'
    fi
    all_passed=$((all_passed + passed)) all_failed=$((all_failed + bad))
}

[ -e "$kernel/vmlinux" ] || fail 'there is no kernel: run tests/hw/prepare.sh'
mkdir -p bin/build/hw
run=$(mktemp -d bin/build/hw/run.XXXXXX)
pids=()
clean_up() {
    [ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2>/dev/null
    wait
    if [ "${PSA_HW_KEEP:-}" = 1 ]; then echo "check-hw: $run is kept" >&2; else rm -rf "$run"; fi
}
trap clean_up EXIT
trap 'exit 1' INT TERM

make_ramdisk || fail 'no ramdisk: is everything built? make check-hw does it'
number=0 all_passed=0 all_failed=0
for guest in "${guests[@]}"; do
    [ -e "tests/hw/guest/$guest.sh" ] || fail "no such guest: $guest"
    boot "$guest" &
    pids+=($!)
done
for i in "${!guests[@]}"; do
    wait "${pids[$i]}"
    relay "${guests[$i]}"
done
pids=()
printf '1..%d\n' "$number"
printf '# %d passed, %d failed\n' "$all_passed" "$all_failed"
[ "$all_failed" = 0 ] && [ "$all_passed" != 0 ]
