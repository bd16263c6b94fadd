#!/bin/bash
# broken.sh - would check-hw notice a broken driver? Breaks one thing after the other in a copy of the sources, builds sensord
# there, and runs the guest that has to fail. A line of TAP each, with the first check that noticed.
#
#   tests/hw/broken.sh [NUMBER...]     all of them, or only those; half a minute each
#
# Run `make check-hw` first: it leaves the kernel and the guests' programs in bin/build/hw.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

# What is broken, the guest that must notice, the file, and how (sed).
breaks=(
    'the registers of the MPU6050 are read two too high|stub|src/sensor/mpu6050.c|s/ACCEL_XOUT_H = 0x3B/ACCEL_XOUT_H = 0x3D/'
    'a digit is wrong in the compensation of the BMP180|stub|src/sensor/bmp180.c|s/x1 \* 3038/x1 * 3083/'
    'one range of the ADS1115 has the scale of another|cp2112|src/sensor/ads1115.c|s/{ 1875000, 1250000,/{ 1875000, 1875000,/'
    'iio: gives m/s2 as g, nearly|stub|src/sensor/iio.c|s/#define GRAVITY 9.80665/#define GRAVITY 9.7/'
    'EBUSY does not point at iio:|stub|src/sensor/bus_i2c.c|s/if (errno == EBUSY) fault_busy(chip, fault);/if (errno == EBUSY) psa_fault_errno(fault, errno, path);/'
    'FIFO: the rate is the one that was wished for|cp2112|src/sensor/mpu6050.c|s|sensor->measured_hz = round(fitted_hz \* digit) / digit|sensor->measured_hz = sensor->rate_hz|'
    'digital: the share of time low|cp2112|src/sensor/digital.c|s/if (state->high) state->high_ns +=/if (!state->high) state->high_ns +=/'
    'dht: any checksum will do|gpio|src/sensor/dht_decode.c|s/if (!sum_is_right(path->byte)) continue;/if (false \&\& !sum_is_right(path->byte)) continue;/'
    'dht11: it is never below zero|gpio|src/sensor/dht.c|s/byte\[3\] & 0x80 ? -size : size/size/'
    'a fault ends a sensor for ever|cp2112|src/io/sensord_worker.c|s/sleep_until(worker->sensor, worker->backoff.until_ns)/sleep_until(worker->sensor, INT64_MAX)/'
)
chosen=("$@")
[ $# != 0 ] || mapfile -t chosen < <(seq ${#breaks[@]})

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -a Makefile src tests "$copy/"

# What is broken leaves functions and variables unused: warnings stay warnings.
build() {
    env -u MAKEFLAGS -u MAKELEVEL make -C "$copy" -j"$(nproc)" --no-print-directory WERROR=0 bin/sensord >"$copy/make.log" 2>&1
}

# break_and_run GUEST FILE SED: prints why it is not noticed; the line that noticed goes to the file `noticed`.
break_and_run() {
    sed -i "$3" "$copy/$2"
    if cmp -s "$2" "$copy/$2"; then
        echo "nothing is broken: $2 has changed, and this script has not"
    elif ! build; then
        tail -n 5 "$copy/make.log"
    else
        PSA_BIN=$copy/bin tests/hw/check.sh "$1" >"$copy/check.log" 2>&1
        grep -m 1 '^not ok' "$copy/check.log" >"$copy/noticed" || echo "all checks of $1 passed"
    fi
    cp "$2" "$copy/$2"
}

build || { tail -n 5 "$copy/make.log" >&2; exit 1; }
echo "1..${#chosen[@]}"
failed=0
for number in "${chosen[@]}"; do
    IFS='|' read -r name guest file how <<<"${breaks[$((number - 1))]}"
    how=${breaks[$((number - 1))]#"$name|$guest|$file|"}
    why=$(break_and_run "$guest" "$file" "$how")
    if [ -z "$why" ]; then
        printf 'ok %d - %s: %s\n' "$number" "$name" "$(cat "$copy/noticed")"
    else
        failed=1
        printf 'not ok %d - %s\n# %s\n' "$number" "$name" "${why//$'\n'/$'\n# '}"
    fi
done
exit "$failed"
