/* test_hw_chips.c - the chips that drivers are tested against (tests/hw/chips.h) do what their datasheets say. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../hw/chips.h"

#define MS INT64_C(1000000)

static void set(struct chip *chip, uint8_t reg, uint8_t value, int64_t now_ns)
{
    chip_write(chip, (uint8_t[]){ reg, value }, 2, now_ns);
}

static void get(struct chip *chip, uint8_t reg, uint8_t *p, size_t n, int64_t now_ns)
{
    chip_write(chip, &reg, 1, now_ns);
    chip_read(chip, p, n, now_ns);
}

static int get16(struct chip *chip, uint8_t reg, int64_t now_ns)
{
    uint8_t p[2];

    get(chip, reg, p, 2, now_ns);
    return (int16_t)(p[0] << 8 | p[1]);
}

/* Awake, DLPF on: 1 kHz / (1 + divider); accelerometer and gyroscope into the FIFO. */
static struct chip *mpu_with_fifo(uint8_t divider, int64_t now_ns)
{
    struct chip *chip = chip_new("mpu6050", 0x68);

    set(chip, 0x38, 0x10, now_ns);
    set(chip, 0x1A, 3, now_ns);
    set(chip, 0x19, divider, now_ns);
    set(chip, 0x23, 0x78, now_ns);
    set(chip, 0x6A, 0x40, now_ns);
    set(chip, 0x6B, 0x01, now_ns);
    return chip;
}

static void mpu_sleeps_at_power_on_and_keeps_ranges(void **state)
{
    struct chip *chip = chip_new("mpu6050", 0x68);
    (void)state;

    assert_int_equal(chip_peek(chip, 0x75, 0), 0x68);
    assert_int_equal(chip_peek(chip, 0x6B, 0), 0x40);
    assert_int_equal(get16(chip, 0x3B, 100 * MS), 0);
    set(chip, 0x6B, 0, 100 * MS);
    assert_int_equal(get16(chip, 0x3B, 110 * MS), 8192); /* 0.5 g at 2 g */
    assert_int_equal(get16(chip, 0x41, 110 * MS), -3920);
    set(chip, 0x1C, 0x18, 110 * MS);
    set(chip, 0x1B, 0x10, 110 * MS);
    assert_int_equal(get16(chip, 0x3B, 120 * MS), 1024); /* at 16 g */
    assert_int_equal(get16(chip, 0x45, 120 * MS), -656); /* -20 deg/s at 1000 deg/s */
    set(chip, 0x6B, 0x80, 120 * MS);
    set(chip, 0x1C, 0x18, 130 * MS); /* lost: it is in reset */
    assert_int_equal(chip_peek(chip, 0x6B, 130 * MS) & 0x80, 0x80);
    assert_int_equal(chip_peek(chip, 0x6B, 171 * MS), 0x40);
    assert_int_equal(chip_peek(chip, 0x1C, 171 * MS), 0);
    chip_free(chip);
}

static void fifo_fills_at_the_oscillators_rate(void **state)
{
    struct chip *chip = mpu_with_fifo(9, 0);
    uint8_t p[24];
    (void)state;

    assert_int_equal(get16(chip, 0x72, 10 * MS - 1), 0);
    assert_int_equal(get16(chip, 0x72, 10 * MS), 12);
    assert_true(chip_control(chip, "rate-error 1%", 10 * MS));
    assert_true(chip_control(chip, "count gyro_z", 10 * MS));
    assert_int_equal(get16(chip, 0x72, 510 * MS), 12 * (1 + 50)); /* 101 Hz from 10 ms on: 50.5 */
    get(chip, 0x74, p, 24, 510 * MS);
    assert_int_equal((int16_t)(p[0] << 8 | p[1]), 8192);
    assert_int_equal(p[23], 1); /* the second sample's number */
    assert_int_equal(get16(chip, 0x72, 510 * MS), 12 * (1 + 50 - 2));
    /* FIFO_COUNTL alone is what it was when FIFO_COUNTH was read. */
    get(chip, 0x73, p, 1, 900 * MS);
    assert_int_equal(p[0], 12 * 49 % 256);
    chip_free(chip);
}

static void a_full_fifo_drops_its_oldest_bytes(void **state)
{
    struct chip *chip = mpu_with_fifo(0, 0);
    uint8_t p[1024];
    (void)state;

    get(chip, 0x3A, p, 1, 85 * MS);
    assert_int_equal(p[0], 0);
    assert_int_equal(get16(chip, 0x72, 85 * MS), 1020);
    get(chip, 0x3A, p, 1, 86 * MS);
    assert_int_equal(p[0], 0x10);
    assert_int_equal(get16(chip, 0x72, 100 * MS), 1024);
    get(chip, 0x74, p, 1024, 100 * MS); /* 1200 bytes came, 176 are lost: 8 past the start of a sample */
    assert_int_equal((int16_t)(p[4] << 8 | p[5]), 8192);
    assert_int_equal(chip_history(chip).fifo_lost, 176);
    set(chip, 0x6A, 0x44, 110 * MS); /* no reset while it is on */
    assert_int_equal(get16(chip, 0x72, 110 * MS), 120);
    set(chip, 0x6A, 0x04, 110 * MS);
    assert_int_equal(get16(chip, 0x72, 120 * MS), 0);
    chip_free(chip);
}

/* RM-MPU-6000A 4.1: the response is the difference between an output with self-test and one without. */
static void self_test_answers_as_the_trim_says(void **state)
{
    struct chip *chip = mpu_with_fifo(0, 0);
    uint8_t trim[4];
    (void)state;

    get(chip, 0x0D, trim, 4, 0);
    const int xa = trim[0] >> 5 << 2 | (trim[3] >> 4 & 3), yg = trim[1] & 0x1F;
    const double ft_xa = 4096 * 0.34 * pow(0.92 / 0.34, (xa - 1) / 30.0), ft_yg = -25 * 131 * pow(1.046, yg - 1);
    set(chip, 0x1C, 0x10, 0);
    const int accel = get16(chip, 0x3B, 10 * MS), gyro = get16(chip, 0x45, 10 * MS);
    set(chip, 0x1C, 0xF0, 10 * MS);
    set(chip, 0x1B, 0xE0, 10 * MS);
    assert_true(fabs((get16(chip, 0x3B, 20 * MS) - accel) / ft_xa - 1.03) < 0.002);
    assert_true(fabs((get16(chip, 0x45, 20 * MS) - gyro) / ft_yg - 1.03) < 0.002);
    assert_true(chip_control(chip, "self-test -30%", 20 * MS));
    assert_true(fabs((get16(chip, 0x3B, 30 * MS) - accel) / ft_xa - 0.7) < 0.002);
    chip_free(chip);
}

static void bmp180_takes_its_time(void **state)
{
    static const double ms[4] = { 4.5, 7.5, 13.5, 25.5 };
    struct chip *chip = chip_new("bmp180", 0x77);
    int64_t now = MS;
    uint8_t p[3];
    (void)state;

    assert_int_equal(get16(chip, 0xAA, now), 408);
    assert_int_equal(get16(chip, 0xBE, now), 2868);
    set(chip, 0xF4, 0x2E, now);
    assert_int_equal(chip_peek(chip, 0xF4, now + 4499999), 0x2E);
    assert_int_equal(get16(chip, 0xF6, now + 4499999), (int16_t)0x8000);
    assert_int_equal(chip_history(chip).early_reads, 1);
    now += 4500000;
    assert_int_equal(chip_peek(chip, 0xF4, now), 0x0E);
    assert_int_equal(get16(chip, 0xF6, now), 27898);
    for (uint8_t oss = 0; oss < 4; oss++) {
        set(chip, 0xF4, (uint8_t)(0x34 + (oss << 6)), now);
        now += (int64_t)(ms[oss] * 1e6);
        assert_true(chip_peek(chip, 0xF4, now - 1) & 0x20);
        get(chip, 0xF6, p, 3, now);
        assert_int_equal((p[0] << 16 | p[1] << 8 | p[2]) >> (8 - oss), 23843 << oss);
    }
    set(chip, 0xE0, 0xB6, now);
    assert_int_equal(get16(chip, 0xF6, now), (int16_t)0x8000);
    chip_free(chip);
}

static int convert(struct chip *chip, uint16_t config, int64_t *now_ns, double rate_hz)
{
    chip_write(chip, (uint8_t[]){ 1, (uint8_t)(config >> 8), (uint8_t)config }, 3, *now_ns);
    assert_false(chip_peek(chip, 1, *now_ns + (int64_t)(1e9 / rate_hz)) & 0x80);
    *now_ns += (int64_t)(1e9 / rate_hz) + 25001;
    assert_true(chip_peek(chip, 1, *now_ns) & 0x80);
    return get16(chip, 0, *now_ns);
}

static void ads1115_converts_what_is_chosen(void **state)
{
    struct chip *chip = chip_new("ads1115", 0x48);
    int64_t now = 0;
    (void)state;

    assert_int_equal(get16(chip, 1, 0), (int16_t)0x8583);
    assert_int_equal(convert(chip, 0xC383, &now, 128), 4000);  /* AIN0 0.5 V, 4.096 V, 128 a second */
    assert_int_equal(convert(chip, 0xF1E3, &now, 860), 10667); /* AIN3 2 V, 6.144 V */
    assert_int_equal(convert(chip, 0xD903, &now, 8), 32767);   /* AIN1 1 V, 0.512 V: clipped */
    chip_free(chip);
}

static void power_and_wires(void **state)
{
    struct chip *chip = chip_new("mpu6050", 0x69);
    (void)state;

    set(chip, 0x1C, 8, 0);
    assert_true(chip_control(chip, "mute", 0));
    assert_false(chip_answers(chip));
    assert_true(chip_control(chip, "unmute", 0));
    assert_int_equal(chip_peek(chip, 0x1C, 0), 8);
    assert_true(chip_control(chip, "absent", 0));
    assert_false(chip_answers(chip));
    assert_true(chip_control(chip, "present", 0));
    assert_int_equal(chip_peek(chip, 0x1C, 0), 0);
    assert_true(chip_control(chip, "wrong-id", 0));
    assert_int_equal(chip_peek(chip, 0x75, 0), 0xEE);
    assert_false(chip_control(chip, "explode", 0));
    assert_false(chip_control(chip, "set nothing 1", 0));
    assert_null(chip_new("bmp999", 1));
    chip_free(chip);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mpu_sleeps_at_power_on_and_keeps_ranges),
        cmocka_unit_test(fifo_fills_at_the_oscillators_rate),
        cmocka_unit_test(a_full_fifo_drops_its_oldest_bytes),
        cmocka_unit_test(self_test_answers_as_the_trim_says),
        cmocka_unit_test(bmp180_takes_its_time),
        cmocka_unit_test(ads1115_converts_what_is_chosen),
        cmocka_unit_test(power_and_wires),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
