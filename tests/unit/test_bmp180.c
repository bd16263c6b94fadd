/*
 * test_bmp180.c - sensor/bmp180 against a chip made of the data sheet: its example, other values by the same figure
 * worked out in whole and in real numbers, the order and times of conversions, and each way a chip can fail.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "sensor/drivers.h"

#define MS INT64_C(1000000)

/* ---- a chip, a bus, a world -------------------------------------------------------------------------------------- */

struct fake {
    struct psa_i2c i2c;
    struct psa_sensor *sensor;
    int64_t now_ns, stop_ns;
    /* the chip */
    uint8_t id, words[22];
    uint32_t ut, up; /* up: 19 bits, as at oss 3 */
    double slow;     /* conversions take so many times the longest of the data sheet */
    bool gone, endless, endless_temperature;
    uint8_t control, out[3];
    int64_t began_ns, done_ns;
    int temperatures, pressures, resets;
    int64_t pressure_began_ns[64];
    /* the world */
    int emitted;
    int64_t taken_ns;
    double value[2];
};

static int64_t longest_ns(uint8_t command)
{
    return command == 0x2e   ? 9 * MS / 2
           : command == 0x34 ? 9 * MS / 2
           : command == 0x74 ? 15 * MS / 2
           : command == 0xb4 ? 27 * MS / 2
           : command == 0xf4 ? 51 * MS / 2
                             : 0;
}

/* Registers of a conversion that is over. */
static void settle(struct fake *fake)
{
    if ((fake->control & 0x20) == 0 || fake->endless || fake->now_ns < fake->done_ns) return;
    if (fake->control == 0x2e && fake->endless_temperature) return;
    if (fake->control == 0x2e) {
        fake->out[0] = (uint8_t)(fake->ut >> 8);
        fake->out[1] = (uint8_t)fake->ut;
    } else {
        const uint32_t up = fake->up >> (3 - (fake->control >> 6)) << (8 - (fake->control >> 6));
        fake->out[0] = (uint8_t)(up >> 16);
        fake->out[1] = (uint8_t)(up >> 8);
        fake->out[2] = (uint8_t)up;
    }
    fake->control &= (uint8_t)~0x20;
}

static int fake_read(struct psa_i2c *i2c, uint8_t reg, uint8_t *p, size_t n, struct psa_fault *fault)
{
    struct fake *fake = (struct fake *)i2c;

    fake->now_ns += 100000;
    if (fake->gone) return psa_fault_set(fault, PSA_FAULT_ABSENT, "gone");
    settle(fake);
    for (size_t i = 0; i < n; i++, reg++) {
        if (reg == 0xd0) p[i] = fake->id;
        else if (reg >= 0xaa && reg <= 0xbf) p[i] = fake->words[reg - 0xaa];
        else if (reg == 0xf4) p[i] = fake->control;
        else if (reg >= 0xf6 && reg <= 0xf8) {
            assert_int_equal(fake->control & 0x20, 0); /* nobody reads what is not ready */
            p[i] = fake->out[reg - 0xf6];
        } else fail_msg("register 0x%02x read", reg);
    }
    return 0;
}

static int fake_write(struct psa_i2c *i2c, uint8_t reg, const uint8_t *p, size_t n, struct psa_fault *fault)
{
    struct fake *fake = (struct fake *)i2c;

    fake->now_ns += 100000;
    if (fake->gone) return psa_fault_set(fault, PSA_FAULT_ABSENT, "gone");
    assert_int_equal(n, 1);
    if (reg == 0xe0) {
        assert_int_equal(*p, 0xb6);
        fake->resets++;
        return 0;
    }
    assert_int_equal(reg, 0xf4);
    assert_true(longest_ns(*p) > 0);
    settle(fake);
    assert_int_equal(fake->control & 0x20, 0);
    fake->control = *p;
    fake->done_ns = fake->now_ns + (int64_t)((double)longest_ns(*p) * fake->slow);
    if (*p == 0x2e) fake->temperatures++;
    else fake->pressure_began_ns[fake->pressures++ % 64] = fake->now_ns;
    return 0;
}

static const struct psa_i2c_calls fake_calls = { .read = fake_read, .write = fake_write };

static struct fake *of(struct psa_sensor *sensor)
{
    return (struct fake *)sensor->i2c;
}

static int64_t now_ns(struct psa_sensor *sensor)
{
    return of(sensor)->now_ns;
}

static bool sleep_until(struct psa_sensor *sensor, int64_t then_ns)
{
    if (then_ns > of(sensor)->now_ns) of(sensor)->now_ns = then_ns;
    return of(sensor)->stop_ns == 0 || then_ns < of(sensor)->stop_ns;
}

static void emit(struct psa_sensor *sensor, int64_t taken_ns, const double *value)
{
    struct fake *fake = of(sensor);

    fake->emitted++;
    fake->taken_ns = taken_ns;
    memcpy(fake->value, value, sizeof fake->value);
}

static const struct psa_world world = { .now_ns = now_ns, .sleep_until = sleep_until, .emit = emit };

/* The calibration of the data sheet's example, section 3.5, figure 4: AC1 408, AC2 -72, AC3 -14383, AC4 32741, AC5
 * 32757, AC6 23153, B1 6190, B2 4, MB -32768, MC -8711, MD 2868. */
static const int example[11] = { 408, -72, -14383, 32741, 32757, 23153, 6190, 4, -32768, -8711, 2868 };
/* Another, which reaches the branch B7 >= 2^31 within the range. */
static const int other[11] = { 7911, -934, -14306, 41567, 25030, 20296, 5498, 46, -32768, -11075, 2432 };

static void set_words(struct fake *fake, const int *word)
{
    for (int i = 0; i < 11; i++) {
        fake->words[2 * i] = (uint8_t)((unsigned)word[i] >> 8);
        fake->words[2 * i + 1] = (uint8_t)word[i];
    }
}

static void open_fake(struct fake *fake, const char *text)
{
    struct psa_error error;

    memset(fake, 0, sizeof *fake);
    fake->i2c.calls = &fake_calls;
    fake->now_ns = 1000 * MS;
    fake->id = 0x55;
    fake->ut = 27898;
    fake->up = 23843 << 3;
    fake->slow = 0.9;
    set_words(fake, example);
    fake->sensor = psa_sensor_new(text, &error);
    if (fake->sensor == NULL) fail_msg("%s", error.text);
    fake->sensor->i2c = &fake->i2c;
    fake->sensor->world = &world;
}

static int start(struct fake *fake, struct psa_fault *fault)
{
    memset(fake->sensor->state, 0, fake->sensor->driver->state_size);
    return fake->sensor->driver->start(fake->sensor, fault);
}

static int read_one(struct fake *fake, struct psa_fault *fault)
{
    return fake->sensor->driver->read(fake->sensor, fault);
}

/* A reading at each deadline, which the chip's noise keeps from being the same. */
static void read_many(struct fake *fake, int n)
{
    struct psa_fault fault;
    int64_t due_ns = fake->now_ns;

    for (int i = 0; i < n; i++, due_ns += fake->sensor->period_ns) {
        if (fake->now_ns < due_ns) fake->now_ns = due_ns;
        fake->up ^= 1;
        if (read_one(fake, &fault) != 0) fail_msg("%s", fault.text);
    }
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static void the_data_sheets_example(void **state)
{
    struct fake fake;
    struct psa_fault fault;
    (void)state;

    open_fake(&fake, "bmp180:i2c-1?oss=0");
    assert_int_equal(start(&fake, &fault), 0);
    assert_int_equal(read_one(&fake, &fault), 0);
    assert_int_equal(fake.emitted, 1);
    assert_true(fake.value[0] == 69964);
    assert_true(fake.value[1] == 15.0);
    assert_string_equal(fake.sensor->field[0], "pressure_Pa");
    assert_string_equal(fake.sensor->field[1], "temperature_C");
    assert_string_equal(fake.sensor->type, "pressure");
    assert_string_equal(fake.sensor->model, "BMP180");
    psa_sensor_free(fake.sensor);
}

/* Figure 4 by hand in unbounded whole numbers, all divisions rounded down; beside it the same formulas in real numbers,
 * from which rounding may lead 5 Pa away. */
static void other_values(void **state)
{
    static const struct {
        const int *words;
        uint32_t ut, up;
        int oss;
        double celsius, pascal, real;
    } table[] = {
        { example, 27898, 47687, 1, 15.0, 69964, 69964.69 },  { example, 27898, 95374, 2, 15.0, 69965, 69964.69 },
        { example, 27898, 190749, 3, 15.0, 69965, 69965.06 }, { example, 24000, 150000, 3, -24.7, 49905, 49907.06 },
        { example, 25000, 80000, 2, -12.1, 54939, 54940.07 }, { other, 27898, 23843, 0, 19.1, 37621, 37622.58 },
        { other, 22000, 36000, 0, -29.8, 57479, 57481.48 },   { other, 33000, 300000, 3, 49.0, 75850, 75849.70 },
        { other, 31000, 416003, 3, 37.7, 109512, 109515.29 }, /* B7 >= 2^31 */
    };
    (void)state;

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct fake fake;
        struct psa_fault fault;
        char text[] = "bmp180:i2c-1?oss=0";
        text[sizeof text - 2] = (char)('0' + table[i].oss);
        open_fake(&fake, text);
        set_words(&fake, table[i].words);
        fake.ut = table[i].ut;
        fake.up = table[i].up << (3 - table[i].oss);
        assert_int_equal(start(&fake, &fault), 0);
        assert_int_equal(read_one(&fake, &fault), 0);
        assert_true(fake.value[0] == table[i].pascal);
        assert_true(fake.value[1] == table[i].celsius);
        assert_true(fabs(fake.value[0] - table[i].real) < 5);
        psa_sensor_free(fake.sensor);
    }
}

/* ---- when -------------------------------------------------------------------------------------------------------- */

static void readings_begin_at_their_deadlines(void **state)
{
    struct fake fake;
    struct psa_fault fault;
    (void)state;

    open_fake(&fake, "bmp180:i2c-1?rate=20Hz&oss=3");
    assert_int_equal(start(&fake, &fault), 0);
    assert_int_equal(fake.temperatures, 1);
    read_many(&fake, 60);
    assert_int_equal(fake.emitted, 60);
    assert_int_equal(fake.pressures, 60);
    assert_in_range(fake.temperatures, 3, 5); /* one a second, not one a reading */
    for (int i = 1; i < 60; i++) assert_int_equal(fake.pressure_began_ns[i] - fake.pressure_began_ns[i - 1], 50 * MS);
    /* The middle of the conversion. */
    assert_int_equal(fake.taken_ns, fake.pressure_began_ns[59] + 51 * MS / 4);
    psa_sensor_free(fake.sensor);
}

static void each_reading_a_second_has_its_temperature(void **state)
{
    struct fake fake;
    struct psa_fault fault;
    (void)state;

    open_fake(&fake, "bmp180:i2c-1");
    assert_int_equal(fake.sensor->period_ns, 1000 * MS);
    assert_int_equal(start(&fake, &fault), 0);
    fake.now_ns += 1000 * MS;
    read_many(&fake, 10);
    assert_int_equal(fake.temperatures, 11);
    assert_true(fake.sensor->bits_per_s > 200 && fake.sensor->bits_per_s < 400);
    psa_sensor_free(fake.sensor);
}

/* The conversion's code that was written last. */
static uint8_t code_of(const char *text)
{
    struct fake fake;
    struct psa_fault fault;
    uint8_t code;

    open_fake(&fake, text);
    assert_int_equal(start(&fake, &fault), 0);
    fake.slow = 0; /* the first reading's temperature is fresh: the last conversion is the pressure's */
    assert_int_equal(read_one(&fake, &fault), 0);
    code = fake.control | 0x20;
    psa_sensor_free(fake.sensor);
    return code;
}

static double device_tree(const char *bus)
{
    (void)bus;
    return 400000;
}

static void oversampling_follows_the_rate(void **state)
{
    struct psa_sensor *sensor;
    struct psa_error error;
    (void)state;

    assert_int_equal(code_of("bmp180:i2c-1"), 0xf4);
    assert_int_equal(code_of("bmp180:i2c-1?rate=30Hz"), 0xf4);
    assert_int_equal(code_of("bmp180:i2c-1?rate=40Hz"), 0xb4);
    assert_int_equal(code_of("bmp180:i2c-1?rate=60Hz"), 0x74);
    assert_int_equal(code_of("bmp180:i2c-1?rate=80Hz"), 0x34);
    assert_int_equal(code_of("bmp180:i2c-1?oss=1"), 0x74);
    assert_int_equal(code_of("bmp180:i2c-1?oss=0"), 0x34);
    assert_null(psa_sensor_new("bmp180:i2c-1?rate=100Hz", &error));
    assert_non_null(strstr(error.text, "with oss=0 there can be "));
    assert_null(psa_sensor_new("bmp180:i2c-1?rate=40Hz&oss=3", &error));
    assert_non_null(strstr(error.text, "with oss=3 there can be 30"));
    assert_int_equal(code_of("bmp180:i2c-1?rate=31Hz"), 0xb4); /* its transfers take 2.7 ms at 100 kHz ... */
    assert_int_equal(code_of("bmp180:i2c-1?rate=31Hz&bus=400kHz"), 0xf4);
    sensor = psa_sensor_new_on("bmp180:i2c-1?rate=31Hz&oss=3", device_tree, &error);
    if (sensor == NULL) fail_msg("%s", error.text);
    psa_sensor_free(sensor);
    assert_null(psa_sensor_new("bmp180:i2c-1?oss=4", &error));
    assert_null(psa_sensor_new("bmp180:i2c-1@0x76", &error));
}

/* ---- faults ------------------------------------------------------------------------------------------------------ */

static void other_chips_are_named(void **state)
{
    struct fake fake;
    struct psa_fault fault;
    (void)state;

    open_fake(&fake, "bmp180:i2c-1");
    fake.id = 0x58;
    assert_int_equal(start(&fake, &fault), -1);
    assert_int_equal(fault.kind, PSA_FAULT_WRONG);
    assert_non_null(strstr(fault.text, "0x77 on i2c-1 is a BMP280"));
    assert_non_null(strstr(fault.text, "iio:bmp280"));
    fake.id = 0xff;
    assert_int_equal(start(&fake, &fault), -1);
    assert_int_equal(fault.kind, PSA_FAULT_WRONG);
    assert_int_equal(fake.resets, 0); /* nothing was written to a stranger */
    assert_false(fake.sensor->driver->identify(&fake.i2c, 0x77));
    fake.id = 0x55;
    assert_true(fake.sensor->driver->identify(&fake.i2c, 0x77));
    assert_false(fake.sensor->driver->identify(&fake.i2c, 0x76));
    psa_sensor_free(fake.sensor);
}

static void calibration_words_that_cannot_be(void **state)
{
    struct fake fake;
    struct psa_fault fault;
    (void)state;

    open_fake(&fake, "bmp180:i2c-1");
    for (int i = 0; i < 11; i++) {
        for (int bad = 0; bad <= 0xff; bad += 0xff) {
            set_words(&fake, example);
            fake.words[2 * i] = fake.words[2 * i + 1] = (uint8_t)bad;
            assert_int_equal(start(&fake, &fault), -1);
            assert_int_equal(fault.kind, PSA_FAULT_CHECKSUM);
        }
    }
    set_words(&fake, example);
    assert_int_equal(start(&fake, &fault), 0);
    psa_sensor_free(fake.sensor);
}

static void a_slow_chip_is_waited_for_and_an_endless_one_is_not(void **state)
{
    struct fake fake;
    struct psa_fault fault;
    int64_t began_ns;
    (void)state;

    open_fake(&fake, "bmp180:i2c-1?oss=3");
    assert_int_equal(start(&fake, &fault), 0);
    fake.slow = 1.5;
    assert_int_equal(read_one(&fake, &fault), 0);
    assert_int_equal(fake.emitted, 1);
    fake.endless = true;
    began_ns = fake.now_ns;
    assert_int_equal(read_one(&fake, &fault), -1);
    assert_int_equal(fault.kind, PSA_FAULT_TIMEOUT);
    assert_true(fake.now_ns - began_ns < 60 * MS);
    assert_int_equal(fake.emitted, 1);
    psa_sensor_free(fake.sensor);
}

/* An old temperature is not taken for a new one because it was asked for. */
static void a_temperature_that_did_not_come_is_still_due(void **state)
{
    struct fake fake;
    struct psa_fault fault;
    (void)state;

    open_fake(&fake, "bmp180:i2c-1?rate=20Hz");
    assert_int_equal(start(&fake, &fault), 0);
    fake.now_ns += 2000 * MS;
    fake.endless_temperature = true;
    assert_int_equal(read_one(&fake, &fault), -1);
    assert_int_equal(fault.kind, PSA_FAULT_TIMEOUT);
    assert_int_equal(fake.temperatures, 2);
    fake.endless_temperature = false;
    assert_int_equal(read_one(&fake, &fault), 0);
    assert_int_equal(fake.temperatures, 3);
    psa_sensor_free(fake.sensor);
}

static void values_that_cannot_be(void **state)
{
    static const struct {
        uint32_t ut, up;
    } table[] = { { 33000, 36000 }, /* 115292 Pa */
                  { 22000, 36000 }, /* -72 degrees C */
                  { 0, 0 },
                  { 0xffff, 0xffff },
                  { 27898, 0 } };
    struct fake fake;
    struct psa_fault fault;
    (void)state;

    open_fake(&fake, "bmp180:i2c-1?oss=0");
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        fake.ut = table[i].ut;
        fake.up = table[i].up << 3;
        assert_int_equal(start(&fake, &fault), 0);
        assert_int_equal(read_one(&fake, &fault), -1);
        assert_int_equal(fault.kind, PSA_FAULT_CHECKSUM);
    }
    assert_int_equal(fake.emitted, 0);
    fake.ut = 27898;
    fake.up = 23843 << 3;
    assert_int_equal(start(&fake, &fault), 0);
    assert_int_equal(read_one(&fake, &fault), 0);
    psa_sensor_free(fake.sensor);
}

/* All that can come over the wires: no division by zero, nothing that does not fit. */
static void no_raw_value_breaks_the_arithmetic(void **state)
{
    static const int extreme[] = { 1, 2, 0x7fff, -0x8000, -2, 0x1234, 32757, 23153 };
    struct fake fake;
    struct psa_fault fault;
    uint32_t random = 1;
    (void)state;

    open_fake(&fake, "bmp180:i2c-1?oss=3&stuck=0");
    for (int i = 0; i < 20000; i++) {
        int words[11];
        for (int w = 0; w < 11; w++) {
            random = random * 1664525 + 1013904223;
            words[w] = extreme[random >> 29];
        }
        set_words(&fake, words);
        fake.ut = (random >> 8) % 3 == 0 ? 0 : (random >> 8) % 3 == 1 ? 0xffff : random >> 16;
        fake.up = (random >> 6) % 3 == 0 ? 0 : (random >> 6) % 3 == 1 ? 0x7ffff : random >> 13;
        assert_int_equal(start(&fake, &fault), 0);
        fake.emitted = 0;
        if (read_one(&fake, &fault) != 0) continue;
        assert_int_equal(fake.emitted, 1);
        assert_true(fake.value[0] >= 30000 && fake.value[0] <= 110000);
        assert_true(fake.value[1] >= -40 && fake.value[1] <= 85);
    }
    psa_sensor_free(fake.sensor);
}

static void a_value_that_never_changes_is_stuck(void **state)
{
    struct fake fake;
    struct psa_fault fault;
    (void)state;

    open_fake(&fake, "bmp180:i2c-1?stuck=5");
    assert_int_equal(start(&fake, &fault), 0);
    for (int i = 0; i < 4; i++) assert_int_equal(read_one(&fake, &fault), 0);
    for (int i = 0; i < 3; i++) { /* a fault that lasts, so that the sensor goes down */
        assert_int_equal(read_one(&fake, &fault), -1);
        assert_int_equal(fault.kind, PSA_FAULT_STUCK);
    }
    fake.up++;
    assert_int_equal(read_one(&fake, &fault), 0);
    psa_sensor_free(fake.sensor);
}

static void a_chip_that_goes_away_and_a_stop(void **state)
{
    struct fake fake;
    struct psa_fault fault;
    (void)state;

    open_fake(&fake, "bmp180:i2c-1?oss=0");
    assert_int_equal(start(&fake, &fault), 0);
    fake.gone = true;
    assert_int_equal(read_one(&fake, &fault), -1);
    assert_int_equal(fault.kind, PSA_FAULT_ABSENT);
    assert_int_equal(start(&fake, &fault), -1);
    fake.gone = false;
    fake.stop_ns = 1;
    assert_int_equal(read_one(&fake, &fault), 0);
    assert_int_equal(fake.emitted, 0);
    psa_sensor_free(fake.sensor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_data_sheets_example),
        cmocka_unit_test(other_values),
        cmocka_unit_test(readings_begin_at_their_deadlines),
        cmocka_unit_test(each_reading_a_second_has_its_temperature),
        cmocka_unit_test(oversampling_follows_the_rate),
        cmocka_unit_test(other_chips_are_named),
        cmocka_unit_test(calibration_words_that_cannot_be),
        cmocka_unit_test(a_slow_chip_is_waited_for_and_an_endless_one_is_not),
        cmocka_unit_test(a_temperature_that_did_not_come_is_still_due),
        cmocka_unit_test(values_that_cannot_be),
        cmocka_unit_test(no_raw_value_breaks_the_arithmetic),
        cmocka_unit_test(a_value_that_never_changes_is_stuck),
        cmocka_unit_test(a_chip_that_goes_away_and_a_stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
