/*
 * test_ads1115.c - sensor/ads1115 against a chip made of the data sheet: codes, inputs, data rates and times, several
 * inputs of one chip, and each way a chip can fail.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sensor/drivers.h"

#define MS INT64_C(1000000)

/* ---- a chip, a bus, a world -------------------------------------------------------------------------------------- */

struct fake {
    struct psa_i2c i2c;
    struct psa_sensor *sensor;
    int64_t now_ns;
    bool stop;
    /* the chip */
    uint16_t reg[4], config, input; /* config: as written last, without OS */
    double speed;                   /* of its oscillator */
    bool gone, endless, deaf;       /* deaf: takes no configuration */
    int64_t began_ns, done_ns;
    bool converting;
    int conversions;
    /* the world */
    bool held;
    int emitted, warned;
    int64_t taken_ns;
    double value;
    char warning[240];
};

static double data_rate_of(uint16_t config)
{
    static const double rates[] = { 8, 16, 32, 64, 128, 250, 475, 860 };

    return rates[config >> 5 & 7];
}

static void settle(struct fake *fake)
{
    if (!fake->converting || fake->endless || fake->now_ns < fake->done_ns) return;
    fake->converting = false;
    fake->reg[0] = fake->input;
}

static int fake_read(struct psa_i2c *i2c, uint8_t reg, uint8_t *p, size_t n, struct psa_fault *fault)
{
    struct fake *fake = (struct fake *)i2c;
    uint16_t word;

    fake->now_ns += 100000;
    if (fake->gone) return psa_fault_set(fault, PSA_FAULT_ABSENT, "gone");
    settle(fake);
    assert_int_equal(n, 2);
    assert_true(reg < 4);
    if (reg == 0) assert_false(fake->converting); /* nobody reads what is not ready */
    word = reg == 1 ? (uint16_t)(fake->config | (fake->converting ? 0 : 0x8000)) : fake->reg[reg];
    p[0] = (uint8_t)(word >> 8);
    p[1] = (uint8_t)word;
    return 0;
}

static int fake_write(struct psa_i2c *i2c, uint8_t reg, const uint8_t *p, size_t n, struct psa_fault *fault)
{
    struct fake *fake = (struct fake *)i2c;

    fake->now_ns += 100000;
    if (fake->gone) return psa_fault_set(fault, PSA_FAULT_ABSENT, "gone");
    assert_true(fake->held);
    assert_int_equal(reg, 1);
    assert_int_equal(n, 2);
    settle(fake);
    assert_false(fake->converting);
    if (fake->deaf) return 0;
    fake->config = (uint16_t)((p[0] & 0x7f) << 8 | p[1]);
    if ((p[0] & 0x80) == 0) return 0;
    fake->converting = true;
    fake->conversions++;
    fake->began_ns = fake->now_ns;
    fake->done_ns = fake->now_ns + 25000 + (int64_t)(1e9 / data_rate_of(fake->config) / fake->speed);
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
    assert_true(of(sensor)->held);
    if (then_ns > of(sensor)->now_ns) of(sensor)->now_ns = then_ns;
    return !of(sensor)->stop;
}

static void emit(struct psa_sensor *sensor, int64_t taken_ns, const double *value)
{
    struct fake *fake = of(sensor);

    assert_false(fake->held);
    fake->emitted++;
    fake->taken_ns = taken_ns;
    fake->value = *value;
}

static void warn(struct psa_sensor *sensor, const char *text)
{
    of(sensor)->warned++;
    snprintf(of(sensor)->warning, sizeof of(sensor)->warning, "%s", text);
}

static void hold(struct psa_sensor *sensor, bool held)
{
    assert_true(of(sensor)->held != held);
    of(sensor)->held = held;
}

static const struct psa_world world = {
    .now_ns = now_ns, .sleep_until = sleep_until, .emit = emit, .warn = warn, .hold = hold
};

static void open_fake(struct fake *fake, const char *text)
{
    struct psa_error error;

    memset(fake, 0, sizeof *fake);
    fake->i2c.calls = &fake_calls;
    fake->now_ns = 1000 * MS;
    fake->config = 0x0583; /* section 9.6.3: as after a reset */
    fake->reg[2] = 0x8000;
    fake->reg[3] = 0x7fff;
    fake->speed = 1;
    fake->sensor = psa_sensor_new(text, &error);
    if (fake->sensor == NULL) fail_msg("%s", error.text);
    fake->sensor->i2c = &fake->i2c;
    fake->sensor->world = &world;
}

static void start(struct fake *fake)
{
    struct psa_fault fault;

    if (fake->sensor->driver->start(fake->sensor, &fault) != 0) fail_msg("%s", fault.text);
}

static void read_one(struct fake *fake)
{
    struct psa_fault fault;

    if (fake->sensor->driver->read(fake->sensor, &fault) != 0) fail_msg("%s", fault.text);
}

static void refused(const char *text, const char *why)
{
    struct psa_error error;
    struct psa_sensor *sensor = psa_sensor_new(text, &error);

    if (sensor != NULL) fail_msg("%s was taken", text);
    if (strstr(error.text, why) == NULL) fail_msg("%s: %s", text, error.text);
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

/* Section 9.3.3, table 3: the steps of the ranges; section 9.5.3: 0x7fff is just below full scale, -1 step is
 * 0xffff. */
static void codes_and_volts(void **state)
{
    static const struct {
        const char *range;
        uint16_t code;
        double volts;
    } table[] = {
        { "6.144V", 1, 187.5e-6 },    { "4.096V", 1, 125e-6 },
        { "2.048V", 1, 62.5e-6 },     { "1.024V", 1, 31.25e-6 },
        { "0.512V", 1, 15.625e-6 },   { "0.256V", 1, 7.8125e-6 },
        { "4.096", 0xffff, -125e-6 }, { "2.048V", 0x7fff, 2.0479375 },
        { "2.048V", 0x8000, -2.048 }, { "4.096V", 4000, 0.5 },
        { "4.096V", 0, 0 },           { "0.256V", 0xc000, -0.128 },
        { "6.144V", 17600, 3.3 },
    };
    (void)state;

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct fake fake;
        char text[64];
        snprintf(text, sizeof text, "ads1115:i2c-1/0?range=%s", table[i].range);
        open_fake(&fake, text);
        start(&fake);
        fake.input = table[i].code;
        read_one(&fake);
        assert_true(fake.value == table[i].volts); /* to the last bit: the shortest decimal */
        assert_string_equal(fake.sensor->field[0], "voltage_V");
        psa_sensor_free(fake.sensor);
    }
}

static void scale_and_offset(void **state)
{
    struct fake fake;
    (void)state;

    /* An ADXL1002 at 3.3 V: 0 g at 1.65 V, 40 mV/g. */
    open_fake(&fake, "ads1115:i2c-1@0x4b/3?scale=25&offset=1.65&field=accel_g&type=vibration&model=ADXL1002&id=p1");
    start(&fake);
    fake.input = 13520; /* 1.69 V */
    read_one(&fake);
    assert_true(fabs(fake.value - 1) < 1e-12);
    assert_int_equal(fake.sensor->address, 0x4b);
    assert_string_equal(fake.sensor->field[0], "accel_g");
    assert_string_equal(fake.sensor->type, "vibration");
    assert_string_equal(fake.sensor->model, "ADXL1002");
    psa_sensor_free(fake.sensor);

    refused("ads1115:i2c-1/0?scale=0", "scale");
    refused("ads1115:i2c-1/0?scale=1e999", "scale");
    refused("ads1115:i2c-1/0?field=", "field");
    refused("ads1115:i2c-1/0?field=a%22b", "field");
    refused("ads1115:i2c-1/0?field=a%0ab", "field");
    refused("ads1115:i2c-1/0?field=a.b", "field");
    refused("ads1115:i2c-1/0?range=1V", "0.256V");
}

/* Section 9.6.3, table 8: the configuration of each input, range and data rate. */
static void configurations(void **state)
{
    static const struct {
        const char *text;
        uint16_t config;
    } table[] = {
        { "ads1115:i2c-1/0-1?range=2.048V&dr=128", 0x0583 }, /* what it has after a reset */
        { "ads1115:i2c-1/0-3?range=2.048V&dr=128", 0x1583 }, { "ads1115:i2c-1/1-3?range=2.048V&dr=128", 0x2583 },
        { "ads1115:i2c-1/2-3?range=2.048V&dr=128", 0x3583 }, { "ads1115:i2c-1/0?range=2.048V&dr=128", 0x4583 },
        { "ads1115:i2c-1/1?range=2.048V&dr=128", 0x5583 },   { "ads1115:i2c-1/2?range=2.048V&dr=128", 0x6583 },
        { "ads1115:i2c-1/3?range=2.048V&dr=128", 0x7583 },   { "ads1115:i2c-1/0?range=6.144V&dr=8", 0x4103 },
        { "ads1115:i2c-1/0?range=4.096V&dr=16", 0x4323 },    { "ads1115:i2c-1/0?range=1.024V&dr=32", 0x4743 },
        { "ads1115:i2c-1/0?range=0.512V&dr=64", 0x4963 },    { "ads1115:i2c-1/0?range=0.256V&dr=250", 0x4ba3 },
        { "ads1115:i2c-1/0?range=2.048V&dr=475", 0x45c3 },   { "ads1115:i2c-1/0?range=2.048V&dr=860", 0x45e3 },
    };
    (void)state;

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct fake fake;
        open_fake(&fake, table[i].text);
        start(&fake);
        assert_int_equal(fake.config, table[i].config);
        assert_int_equal(fake.conversions, 0);
        read_one(&fake);
        assert_int_equal(fake.config, table[i].config);
        assert_int_equal(fake.conversions, 1);
        psa_sensor_free(fake.sensor);
    }
    refused("ads1115:i2c-1/4", "0, 1, 2, 3, 0-1, 0-3, 1-3 and 2-3");
    refused("ads1115:i2c-1/1-2", "0-1");
    refused("ads1115:i2c-1", "no line");
    refused("ads1115:i2c-1@0x4c/0", "0x4c");
    refused("ads1115:i2c-1/0?dr=100", "no data rate of 100");
}

/* ---- when -------------------------------------------------------------------------------------------------------- */

static double chosen(const char *text)
{
    struct fake fake;
    double rate;

    open_fake(&fake, text);
    start(&fake);
    rate = data_rate_of(fake.config);
    psa_sensor_free(fake.sensor);
    return rate;
}

static void the_data_rate_follows_the_rate(void **state)
{
    (void)state;
    assert_true(chosen("ads1115:i2c-1/0") == 8);
    assert_true(chosen("ads1115:i2c-1/0?rate=1Hz&dr=860") == 860);
    assert_true(chosen("ads1115:i2c-1/0?rate=2Hz") == 16);
    assert_true(chosen("ads1115:i2c-1/0?rate=10Hz") == 64);
    assert_true(chosen("ads1115:i2c-1/0?rate=15Hz") == 128);
    assert_true(chosen("ads1115:i2c-1/0?rate=250Hz") == 860);
    assert_true(chosen("ads1115:i2c-1/0?rate=250Hz&bus=400kHz") == 860);
    /* 100 kHz: 1.292 + 0.025 + 1.41 ms; 400 kHz: 0.35 ms of transfers. */
    assert_true(chosen("ads1115:i2c-1/0?rate=360Hz") == 860);
    refused("ads1115:i2c-1/0?rate=400Hz",
            "there can be 376 on a bus of 100 kHz (assumed, since nobody says); if it runs at 400 kHz, say bus=400kHz");
    assert_true(chosen("ads1115:i2c-1/0?rate=500Hz&bus=400kHz") == 860);
    refused("ads1115:i2c-1/0?rate=800Hz&bus=400kHz", "there can be 605 on a bus of 400 kHz (as its argument says)");
    refused("ads1115:i2c-1/0?rate=10Hz&dr=8", "with dr=8 there can be 7");
}

static double device_tree(const char *bus)
{
    return strcmp(bus, "i2c-3") == 0 ? 400000 : 0;
}

/* A bus whose clock the system knows needs no bus=. */
static void the_systems_clock_counts(void **state)
{
    struct psa_error error;
    struct psa_sensor *sensor = psa_sensor_new_on("ads1115:i2c-3/0?rate=500Hz", device_tree, &error);
    const char *source;
    (void)state;

    if (sensor == NULL) fail_msg("%s", error.text);
    assert_true(psa_sensor_bus_hz(sensor, &source) == 400000);
    assert_string_equal(source, "as the device tree says");
    psa_sensor_free(sensor);
    assert_null(psa_sensor_new_on("ads1115:i2c-3/0?rate=800Hz", device_tree, &error));
    assert_non_null(strstr(error.text, "605 on a bus of 400 kHz (as the device tree says)"));
    assert_null(strstr(error.text, "say bus="));
    assert_null(psa_sensor_new_on("ads1115:i2c-1/0?rate=500Hz", device_tree, &error));
    assert_non_null(strstr(error.text, "say bus=400kHz"));
    assert_null(psa_sensor_new_on("ads1115:i2c-3/0?rate=500Hz&bus=100kHz", device_tree, &error));
}

static void the_time_is_the_middle_of_the_conversion(void **state)
{
    struct fake fake;
    (void)state;

    open_fake(&fake, "ads1115:i2c-1/0?dr=8");
    start(&fake);
    read_one(&fake);
    assert_int_equal(fake.taken_ns, fake.began_ns + 25000 + 125 * MS / 2);
    psa_sensor_free(fake.sensor);
}

/* The oscillator is 10 % off, section 7.5; slower, and it is waited for; it never ends, and it is not. */
static void slow_and_endless_chips(void **state)
{
    struct fake fake;
    struct psa_fault fault;
    int64_t before_ns;
    (void)state;

    open_fake(&fake, "ads1115:i2c-1/0?dr=128");
    start(&fake);
    for (fake.speed = 0.6; fake.speed < 1.11; fake.speed += 0.05) read_one(&fake);
    assert_int_equal(fake.emitted, fake.conversions);
    fake.endless = true;
    before_ns = fake.now_ns;
    assert_int_equal(fake.sensor->driver->read(fake.sensor, &fault), -1);
    assert_int_equal(fault.kind, PSA_FAULT_TIMEOUT);
    assert_true(fake.now_ns - before_ns < 25 * MS);
    assert_false(fake.held);
    psa_sensor_free(fake.sensor);
}

/* ---- faults ------------------------------------------------------------------------------------------------------ */

static void values_at_the_ends_are_said(void **state)
{
    struct fake fake;
    (void)state;

    open_fake(&fake, "ads1115:i2c-1/0?rate=100Hz&range=1.024V");
    start(&fake);
    fake.input = 0x7ffe;
    read_one(&fake);
    assert_int_equal(fake.warned, 0);
    fake.input = 0x7fff;
    read_one(&fake);
    assert_true(fake.value == 1.02396875); /* handed on */
    assert_int_equal(fake.warned, 1);
    assert_non_null(strstr(fake.warning, "1 reading at the end of the range of 1.024V"));
    fake.input = 0x8000;
    for (int i = 0; i < 99; i++) read_one(&fake);
    assert_int_equal(fake.warned, 1);
    fake.now_ns += 60000 * MS;
    read_one(&fake);
    assert_int_equal(fake.warned, 2);
    assert_non_null(strstr(fake.warning, "100 readings"));
    assert_true(fake.value == -1.024);
    psa_sensor_free(fake.sensor);
}

static void other_chips(void **state)
{
    struct fake fake;
    struct psa_fault fault;
    (void)state;

    open_fake(&fake, "ads1115:i2c-1/0");
    assert_true(fake.sensor->driver->identify(&fake.i2c, 0x48));
    assert_false(fake.sensor->driver->identify(&fake.i2c, 0x4c));
    fake.reg[2] = 75;
    assert_false(fake.sensor->driver->identify(&fake.i2c, 0x48));
    fake.deaf = true;
    assert_int_equal(fake.sensor->driver->start(fake.sensor, &fault), -1);
    assert_int_equal(fault.kind, PSA_FAULT_WRONG);
    assert_non_null(strstr(fault.text, "0x48 on i2c-1 is no ADS1115"));
    assert_false(fake.held);
    psa_sensor_free(fake.sensor);
}

static bool reset_while_asleep(struct psa_sensor *sensor, int64_t then_ns)
{
    of(sensor)->config = 0x0583;
    of(sensor)->converting = false;
    return sleep_until(sensor, then_ns);
}

static void a_chip_that_was_changed_behind_our_back(void **state)
{
    struct psa_world other = world;
    struct fake fake;
    struct psa_fault fault;
    (void)state;

    open_fake(&fake, "ads1115:i2c-1/0");
    start(&fake);
    other.sleep_until = reset_while_asleep;
    fake.sensor->world = &other;
    assert_int_equal(fake.sensor->driver->read(fake.sensor, &fault), -1);
    assert_int_equal(fault.kind, PSA_FAULT_BUSY);
    assert_int_equal(fake.emitted, 0);
    fake.sensor->world = &world;
    read_one(&fake); /* each reading writes the whole configuration */
    assert_int_equal(fake.emitted, 1);
    psa_sensor_free(fake.sensor);
}

static void a_chip_that_goes_away_and_a_stop(void **state)
{
    struct fake fake;
    struct psa_fault fault;
    (void)state;

    open_fake(&fake, "ads1115:i2c-1/0");
    start(&fake);
    fake.gone = true;
    assert_int_equal(fake.sensor->driver->read(fake.sensor, &fault), -1);
    assert_int_equal(fault.kind, PSA_FAULT_ABSENT);
    assert_false(fake.held);
    fake.gone = false;
    fake.stop = true;
    read_one(&fake);
    assert_int_equal(fake.emitted, 0);
    assert_false(fake.held);
    psa_sensor_free(fake.sensor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_and_volts),
        cmocka_unit_test(scale_and_offset),
        cmocka_unit_test(configurations),
        cmocka_unit_test(the_data_rate_follows_the_rate),
        cmocka_unit_test(the_systems_clock_counts),
        cmocka_unit_test(the_time_is_the_middle_of_the_conversion),
        cmocka_unit_test(slow_and_endless_chips),
        cmocka_unit_test(values_at_the_ends_are_said),
        cmocka_unit_test(other_chips),
        cmocka_unit_test(a_chip_that_was_changed_behind_our_back),
        cmocka_unit_test(a_chip_that_goes_away_and_a_stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
