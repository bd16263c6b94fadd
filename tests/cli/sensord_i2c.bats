#!/usr/bin/env bats
# sensord and its I2C drivers against chips that answer as their data sheets say, on buses that umockdev makes: values,
# every fault and the way back. The chips are tests/hw/chips.h, the world is tests/hw/i2c_world.c.

load helpers
setup() {
    psa_setup
    export PSA_I2C_WORLD=${PSA_I2C_WORLD:-bin/build/hw/i2c_world}
    [ -x "$PSA_I2C_WORLD" ] || skip "no $PSA_I2C_WORLD: libumockdev-dev is missing, or make hw-tools was not run"
}
check() { BATS_TEST_TMPDIR=$T "$PY" tests/cli/sensord_i2c_check.py "$@"; }

@test "mpu6050: polled values in each range" { check polled; }
@test "bmp180: the data sheet's example at each oversampling" { check bmp180; }
@test "ads1115: inputs of one chip in turns, scale, offset, clipping" { check ads1115; }
@test "absent at the start, unplugged, plugged in again" { check unplugged; }
@test "the adapter unplugged" { check adapter; }
@test "wrong, stuck, reset, weak, or a kernel driver's" { check sick; }
@test "failures that pass" { check transient; }
@test "a bus that hangs: the others go on" { check hang; }
@test "a call that hangs, is given up and succeeds" { check slow_answer; }
@test "--strict ends at the first fault" { check strict; }
@test "adapters that do SMBus only" { check smbus; }
@test "a rate that the bus cannot carry is refused" { check too_fast; }
@test "no such bus" { check no_bus; }
@test "--probe says what answers and changes nothing" { check probe; }
