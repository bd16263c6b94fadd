#!/usr/bin/env bats
# sensord and the FIFO of an MPU-6050, which holds 85 ms at 1 kHz: times are measured, so run alone. See sensord_i2c.bats.

load helpers
setup() {
    psa_setup
    export PSA_I2C_WORLD=${PSA_I2C_WORLD:-bin/build/hw/i2c_world}
    [ -x "$PSA_I2C_WORLD" ] || skip "no $PSA_I2C_WORLD: libumockdev-dev is missing, or make hw-tools was not run"
}

@test "mpu6050: 1 kHz and 200 Hz by the FIFO: every sample, even times, true rates; overflow" {
    BATS_TEST_TMPDIR=$T "$PY" tests/cli/sensord_i2c_check.py fifo
}
