/*
 * test_mpu6050.c - sensor/mpu6050.c against a chip of registers, a FIFO and an oscillator, on a clock of its own: conversions by
 * the datasheet's sensitivities, what start() leaves in the registers, even times, and each fault once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sensor/drivers.h"

#define MS INT64_C(1000000)
#define BUS_HZ 400000.0
#define READINGS_MAX 250000

/* The chip, the bus, and who listens. */
static struct world {
    struct psa_i2c i2c;
    int64_t now_ns;

    uint8_t reg[128];
    uint8_t fifo[1024];
    size_t n_fifo;
    double rate_error; /* of its oscillator, a share */
    double next_ns;    /* the next sample's time */
    int64_t samples;   /* taken; accel_x is the number of the newest where `numbered` */
    bool numbered, frozen, endless_reset, forgets_range, silent, overflows_in_drain;
    double self_test[6];       /* the response to self-test, as a share of the factory trim */
    int fail_reads, fail_fifo; /* so many transfers fail */
    int slow_sleeps;           /* so many sleeps, once the FIFO fills, take 0.2 s longer */
    int writes;
    double sample_ns[READINGS_MAX]; /* when each was taken */

    int64_t emitted, lost;
    int64_t at_ns[READINGS_MAX];
    double value[READINGS_MAX][7];
    double measured_hz;
    int rate_changes;
    char why[200], warned[500];
} world;

/* ---- the chip --------------------------------------------------------------------------------------------------------- */

static double factory_trim(size_t axis)
{
    static const uint8_t accel[3] = { 16, 10, 20 }, gyro[3] = { 11, 12, 13 };

    if (axis < 3) return 4096 * 0.34 * pow(0.92 / 0.34, (accel[axis] - 1) / 30.0);
    return (axis == 4 ? -1 : 1) * 25 * 131 * pow(1.046, gyro[axis - 3] - 1);
}

static void put_word(uint8_t reg, int value)
{
    world.reg[reg] = (uint8_t)((unsigned)value >> 8);
    world.reg[reg + 1] = (uint8_t)value;
}

static void power_on(void)
{
    memset(world.reg, 0, sizeof world.reg);
    world.reg[0x6B] = 0x40;
    world.reg[0x75] = 0x68;
    world.reg[0x0D] = 16 >> 2 << 5 | 11; /* accel 16, 10, 20: upper three bits here ... */
    world.reg[0x0E] = 10 >> 2 << 5 | 12;
    world.reg[0x0F] = 20 >> 2 << 5 | 13;
    world.reg[0x10] = (16 & 3) << 4 | (10 & 3) << 2 | (20 & 3); /* ... the lower two here */
    world.n_fifo = 0;
}

static double period_ns(void)
{
    return 1e9 / ((world.reg[0x1A] == 0 ? 8000.0 : 1000.0) / (1 + world.reg[0x19]) * (1 + world.rate_error));
}

/* Values that a test has set stay; gyro_z flickers. The self-test adds to what rests. */
static void take_sample(void)
{
    world.sample_ns[world.samples % READINGS_MAX] = world.next_ns;
    world.samples++;
    if (!world.frozen) {
        if (world.numbered) put_word(0x3B, (int)(world.samples & 0x7FFF));
        put_word(0x47, 100 + (int)(world.samples & 3));
        for (size_t i = 0; i < 6; i++) {
            const bool tested = world.reg[i < 3 ? 0x1C : 0x1B] >> (7 - i % 3) & 1;
            if (tested || (world.reg[0x1B] == 0 && world.reg[0x1C] == 0x10))
                put_word((uint8_t)(0x3B + 2 * i + (i < 3 ? 0 : 2)),
                         50 + (int)(tested ? lround(factory_trim(i) * world.self_test[i]) : 0));
        }
    }
    if (world.reg[0x6A] != 0x40) return;
    for (uint8_t i = 0; i < 14; i++) {
        static const uint8_t bit[7] = { 0x08, 0x08, 0x08, 0x80, 0x40, 0x20, 0x10 };
        if (!(world.reg[0x23] & bit[i / 2])) continue;
        if (world.n_fifo == sizeof world.fifo) { /* the oldest goes: RM 4.31 */
            memmove(world.fifo, world.fifo + 1, --world.n_fifo);
            world.reg[0x3A] |= world.reg[0x38] & 0x10;
        }
        world.fifo[world.n_fifo++] = world.reg[0x3B + i];
    }
}

static void pass_time(int64_t to_ns)
{
    if (to_ns > world.now_ns) world.now_ns = to_ns;
    if (world.reg[0x6B] & 0xC0 || world.silent) world.next_ns = (double)world.now_ns;
    while (world.next_ns <= (double)world.now_ns && !(world.reg[0x6B] & 0xC0) && !world.silent) {
        take_sample();
        world.next_ns += period_ns();
    }
}

static int bus_read(struct psa_i2c *i2c, uint8_t reg, uint8_t *p, size_t n, struct psa_fault *fault)
{
    (void)i2c;
    pass_time(world.now_ns + (int64_t)(psa_i2c_read_bits(0) / BUS_HZ * 1e9));
    if (world.fail_reads > 0) {
        world.fail_reads--;
        return psa_fault_set(fault, PSA_FAULT_ABSENT, "no answer");
    }
    world.reg[0x72] = (uint8_t)(world.n_fifo >> 8);
    world.reg[0x73] = (uint8_t)world.n_fifo;
    memcpy(p, world.reg + reg, n);
    if (reg == 0x3A) world.reg[0x3A] = 0;
    pass_time(world.now_ns + (int64_t)(9 * (double)n / BUS_HZ * 1e9));
    return 0;
}

static int bus_read_fifo(struct psa_i2c *i2c, uint8_t reg, uint8_t *p, size_t n, struct psa_fault *fault)
{
    (void)i2c;
    assert_int_equal(reg, 0x74);
    assert_true(n <= world.n_fifo);
    if (world.fail_fifo > 0) {
        world.fail_fifo--;
        world.n_fifo -= 5;
        memmove(world.fifo, world.fifo + 5, world.n_fifo);
        return psa_fault_set(fault, PSA_FAULT_IO, "torn");
    }
    if (world.overflows_in_drain) world.reg[0x3A] |= world.reg[0x38] & 0x10;
    world.overflows_in_drain = false;
    memcpy(p, world.fifo, n);
    world.n_fifo -= n;
    memmove(world.fifo, world.fifo + n, world.n_fifo);
    pass_time(world.now_ns + (int64_t)(psa_i2c_read_bits(n) / BUS_HZ * 1e9));
    return 0;
}

static int bus_write(struct psa_i2c *i2c, uint8_t reg, const uint8_t *p, size_t n, struct psa_fault *fault)
{
    (void)i2c;
    (void)fault;
    assert_int_equal(n, 1);
    pass_time(world.now_ns + (int64_t)(psa_i2c_write_bits(1) / BUS_HZ * 1e9));
    world.writes++;
    world.reg[reg] = *p;
    if (reg == 0x1C && world.forgets_range) world.reg[reg] = 0;
    if (reg == 0x6A && *p == 0x04) {
        world.reg[reg] = 0;
        world.n_fifo = 0;
    }
    if (reg == 0x6B && *p & 0x80) {
        const uint8_t identity = world.reg[0x75];
        power_on();
        world.reg[0x75] = identity;
        if (world.endless_reset) world.reg[0x6B] |= 0x80;
    }
    return 0;
}

static const struct psa_i2c_calls calls = { .read = bus_read, .read_fifo = bus_read_fifo, .write = bus_write };

/* ---- who listens ------------------------------------------------------------------------------------------------------ */

static int64_t now_ns(struct psa_sensor *sensor)
{
    (void)sensor;
    return world.now_ns;
}

static bool sleep_until(struct psa_sensor *sensor, int64_t then_ns)
{
    (void)sensor;
    const bool slow = world.slow_sleeps > 0 && world.reg[0x23] != 0;
    world.slow_sleeps -= slow;
    pass_time(then_ns + (slow ? 200 * MS : 0));
    return true;
}

static void take_reading(struct psa_sensor *sensor, int64_t taken_ns, const double *value)
{
    const size_t i = (size_t)(world.emitted++ % READINGS_MAX);

    world.at_ns[i] = taken_ns;
    memcpy(world.value[i], value, sensor->n_field * sizeof *value);
    world.rate_changes += world.measured_hz != sensor->measured_hz;
    world.measured_hz = sensor->measured_hz;
}

static void note_lost(struct psa_sensor *sensor, int64_t n, const char *why)
{
    (void)sensor;
    world.lost += n;
    snprintf(world.why, sizeof world.why, "%s", why);
}

static void note_warning(struct psa_sensor *sensor, const char *text)
{
    (void)sensor;
    snprintf(world.warned, sizeof world.warned, "%s", text);
}

static const struct psa_world listening = {
    .now_ns = now_ns,
    .sleep_until = sleep_until,
    .emit = take_reading,
    .lost = note_lost,
    .warn = note_warning,
};

/* ---- helpers ------------------------------------------------------------------------------------------------------------ */

static struct psa_sensor *sensor_of(const char *text)
{
    struct psa_error error = { 0 };
    struct psa_sensor *sensor = psa_sensor_new(text, &error);

    if (sensor == NULL) fail_msg("%s", error.text);
    memset(&world, 0, sizeof world);
    world.i2c.calls = &calls;
    world.now_ns = 1000 * MS;
    for (size_t i = 0; i < 6; i++) world.self_test[i] = 1.05;
    power_on();
    sensor->i2c = &world.i2c;
    sensor->world = &listening;
    return sensor;
}

static void assert_refused(const char *text, const char *sentence)
{
    struct psa_error error = { 0 };
    struct psa_sensor *sensor = psa_sensor_new(text, &error);

    if (sensor != NULL) fail_msg("%s was taken", text);
    if (strstr(error.text, sentence) == NULL) fail_msg("'%s' does not say '%s'", error.text, sentence);
}

static void start_chip(struct psa_sensor *sensor)
{
    struct psa_fault fault;

    if (sensor->driver->start(sensor, &fault) != 0) fail_msg("%s", fault.text);
}

static void assert_start_fails(struct psa_sensor *sensor, enum psa_fault_kind kind, const char *sentence)
{
    struct psa_fault fault = { 0 };

    assert_int_equal(sensor->driver->start(sensor, &fault), -1);
    if (fault.kind != kind || strstr(fault.text, sentence) == NULL) fail_msg("%d: %s", fault.kind, fault.text);
}

/* A read at the next deadline. */
static int read_next(struct psa_sensor *sensor, struct psa_fault *fault)
{
    pass_time(world.now_ns / sensor->period_ns * sensor->period_ns + sensor->period_ns + 50000);
    return sensor->driver->read(sensor, fault);
}

static void read_well(struct psa_sensor *sensor, int64_t for_ns)
{
    struct psa_fault fault;

    for (const int64_t end_ns = world.now_ns + for_ns; world.now_ns < end_ns;) {
        if (read_next(sensor, &fault) != 0) fail_msg("at %lld: %s", (long long)world.now_ns, fault.text);
    }
}

/* Reads until one fails, which it must within a time. */
static void read_until_fault(struct psa_sensor *sensor, int64_t within_ns, enum psa_fault_kind kind,
                             const char *sentence)
{
    const int64_t end_ns = world.now_ns + within_ns;
    struct psa_fault fault;

    while (read_next(sensor, &fault) == 0) {
        if (world.now_ns > end_ns) fail_msg("no fault that says '%s'", sentence);
    }
    if (fault.kind != kind || strstr(fault.text, sentence) == NULL) fail_msg("%d: %s", fault.kind, fault.text);
}

/* ---- options ------------------------------------------------------------------------------------------------------------- */

static void options_are_refused_with_a_way_out(void **unused)
{
    (void)unused;
    assert_refused("mpu6050:i2c-1?accel=3g", "accel: '3g' is none of 2g, 4g, 8g and 16g");
    assert_refused("mpu6050:i2c-1?gyro=1dps", "gyro: '1dps' is none of");
    assert_refused("mpu6050:i2c-1?dlpf=100Hz", "dlpf: '100Hz' is none of 260Hz, 184Hz");
    assert_refused("mpu6050:i2c-1?rate=1kHz", "polled 500 Hz at most, mode=fifo goes to 1000 Hz");
    assert_refused("mpu6050:i2c-1?rate=2kHz&mode=fifo", "gives 1000 Hz at most");
    assert_refused("mpu6050:i2c-1?rate=300Hz&mode=fifo", "nearest to 300 Hz are 250 and 333.333 Hz");
    assert_refused("mpu6050:i2c-1?rate=1Hz&mode=fifo", "3.90625 Hz is the least");
    assert_refused("mpu6050:i2c-1?rate=20Hz&mode=fifo&dlpf=260Hz", "31.25 Hz is the least");
    assert_refused("mpu6050:i2c-1@0x60", "no address 0x60");
    assert_refused("mpu6050:i2c-1?selftest=maybe", "selftest: 'maybe' is none of on, off and strict");
}

static void the_filter_follows_the_rate(void **unused)
{
    static const struct {
        const char *text;
        uint8_t filter, divider;
    } cases[] = {
        { "mpu6050:i2c-1?rate=500Hz&selftest=off", 1, 0 },
        { "mpu6050:i2c-1?rate=200Hz&selftest=off", 2, 0 },
        { "mpu6050:i2c-1?selftest=off", 3, 0 }, /* 100 Hz */
        { "mpu6050:i2c-1?every=1s&selftest=off", 6, 0 },
        { "mpu6050:i2c-1?rate=10Hz&dlpf=260Hz&selftest=off", 0, 0 },
        { "mpu6050:i2c-1?rate=1kHz&mode=fifo&selftest=off", 1, 0 },
        { "mpu6050:i2c-1?rate=1kHz&mode=fifo&dlpf=260&selftest=off", 0, 7 },
        { "mpu6050:i2c-1?rate=50Hz&mode=fifo&selftest=off", 4, 19 },
        { "mpu6050:i2c-1?rate=333.33Hz&mode=fifo&selftest=off", 2, 2 },
    };

    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct psa_sensor *sensor = sensor_of(cases[i].text);
        start_chip(sensor);
        assert_int_equal(world.reg[0x1A], cases[i].filter);
        assert_int_equal(world.reg[0x19], cases[i].divider);
        psa_sensor_free(sensor);
    }
}

/* Six axes at 1 kHz are 108 kbit/s of samples alone; the FIFO is drained before it is half full. */
static void the_bus_load_is_told(void **unused)
{
    struct psa_sensor *sensor = sensor_of("mpu6050:i2c-1?rate=1kHz&mode=fifo&bus=400kHz");

    (void)unused;
    assert_true(sensor->bits_per_s > 108000);
    assert_true(sensor->bits_per_s < 140000);
    assert_true(sensor->bus_hz == 400000);
    assert_true(sensor->own_seq);
    assert_true((double)sensor->period_ns * 1e-9 * 1000 * 12 < 512);
    assert_true(fabs(fmod((double)sensor->period_ns * 1e-6, 1) - 0.62) < 0.01); /* in no step with the samples */
    psa_sensor_free(sensor);
    sensor = sensor_of("mpu6050:i2c-1?rate=100Hz");
    assert_true(sensor->bits_per_s > 100 * 9 * 17 && sensor->bits_per_s < 100 * 9 * 18 + 200);
    assert_false(sensor->own_seq);
    psa_sensor_free(sensor);
}

/* ---- conversions ------------------------------------------------------------------------------------------------------- */

/* PS 6.1, 6.2: LSB per g and per deg/s of each range; RM 4.18: the temperature. */
static void readings_are_in_units(void **unused)
{
    static const struct {
        const char *text;
        int g, dps; /* steps */
        double dps_is;
    } cases[] = {
        { "mpu6050:i2c-1?accel=2g&gyro=250dps&temp=on&selftest=off", 16384, 131, 1 },
        { "mpu6050:i2c-1?accel=4g&gyro=500dps&temp=on&selftest=off", 8192, 655, 10 },
        { "mpu6050:i2c-1?accel=8g&gyro=1000dps&temp=on&selftest=off", 4096, 328, 10 },
        { "mpu6050:i2c-1?accel=16g&gyro=2000dps&temp=on&selftest=off", 2048, 164, 10 },
    };

    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct psa_sensor *sensor = sensor_of(cases[i].text);
        start_chip(sensor);
        assert_int_equal(world.reg[0x1C], i << 3);
        assert_int_equal(world.reg[0x1B], i << 3);
        put_word(0x3B, cases[i].g);
        put_word(0x3D, -cases[i].g / 2);
        put_word(0x3F, -32768);
        put_word(0x41, -521); /* PS 6.3: -521 at 35 C */
        put_word(0x43, cases[i].dps);
        put_word(0x45, -cases[i].dps);
        read_well(sensor, 1);
        const double *value = world.value[0];
        assert_true(value[0] == 1 && value[1] == -0.5 && value[2] == -(2 << i));
        assert_float_equal(value[3], cases[i].dps_is, 1e-12);
        assert_float_equal(value[4], -cases[i].dps_is, 1e-12);
        assert_float_equal(value[6], 35, 0.01);
        assert_int_equal(sensor->n_field, 7);
        assert_string_equal(sensor->field[6], "temperature_C");
        assert_string_equal(sensor->field[0], "accel_x");
        assert_string_equal(sensor->field[5], "gyro_z");
        psa_sensor_free(sensor);
    }
}

/* ---- start and stop ------------------------------------------------------------------------------------------------------ */

static void start_sets_the_chip_up(void **unused)
{
    struct psa_sensor *sensor = sensor_of("mpu6050:i2c-1@0x69?rate=100Hz&accel=8g&gyro=2000dps");

    (void)unused;
    assert_int_equal(sensor->address, 0x69);
    world.reg[0x37] = 0x55; /* a reset clears what somebody left */
    start_chip(sensor);
    assert_string_equal(world.warned, "");
    assert_int_equal(world.reg[0x37], 0);
    assert_int_equal(world.reg[0x1B], 3 << 3); /* the self-test's bits are gone */
    assert_int_equal(world.reg[0x1C], 2 << 3);
    assert_int_equal(world.reg[0x1A], 3);
    assert_int_equal(world.reg[0x6B], 0x01);
    read_well(sensor, 1);
    assert_true(world.measured_hz == 100);
    sensor->driver->stop(sensor);
    assert_int_equal(world.reg[0x6B], 0x40);
    psa_sensor_free(sensor);
}

static void strangers_are_named_and_left_alone(void **unused)
{
    static const struct {
        uint8_t identity;
        const char *name;
    } cases[] = { { 0x70, "MPU-6500" },         { 0x71, "MPU-9250" },         { 0x73, "MPU-9255" },
                  { 0x98, "ICM-20689" },        { 0x72, "sold as" },          { 0x19, "MPU-6886" },
                  { 0xFF, "check the wiring" }, { 0x00, "check the wiring" }, { 0x42, "another chip" } };

    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct psa_sensor *sensor = sensor_of("mpu6050:i2c-1");
        world.reg[0x75] = cases[i].identity;
        assert_start_fails(sensor, PSA_FAULT_WRONG, cases[i].name);
        if (i < 6)
            assert_start_fails(sensor, PSA_FAULT_WRONG, "this driver is for the MPU-6050 (0x68), iio: may drive it");
        sensor->driver->stop(sensor);
        assert_int_equal(world.writes, 0);
        assert_false(sensor->driver->identify(sensor->i2c, 0x68));
        world.reg[0x75] = 0x68;
        assert_true(sensor->driver->identify(sensor->i2c, 0x68));
        psa_sensor_free(sensor);
    }
}

static void faults_of_starting_are_told(void **unused)
{
    struct psa_sensor *sensor = sensor_of("mpu6050:i2c-1");

    (void)unused;
    world.fail_reads = 1;
    assert_start_fails(sensor, PSA_FAULT_ABSENT, "no answer");
    world.endless_reset = true;
    assert_start_fails(sensor, PSA_FAULT_TIMEOUT, "reset has not ended");
    world.endless_reset = false;
    world.forgets_range = true;
    assert_start_fails(sensor, PSA_FAULT_WRONG, "register 0x1c reads 0x00 after 0x08 was written");
    psa_sensor_free(sensor);
    sensor = sensor_of("mpu6050:i2c-1?mode=fifo&selftest=off");
    world.silent = true;
    assert_start_fails(sensor, PSA_FAULT_TIMEOUT, "takes no samples");
    psa_sensor_free(sensor);
}

/* RM 4.1: within 14 % of the factory's response. */
static void the_self_test_names_axes(void **unused)
{
    struct psa_sensor *sensor = sensor_of("mpu6050:i2c-1");

    (void)unused;
    world.self_test[1] = 0; /* accel_y does not move */
    world.self_test[5] = 1.2;
    world.self_test[4] = 1.13;
    start_chip(sensor);
    assert_non_null(strstr(world.warned, "self-test: accel_y is -100 % off, gyro_z is +20 % off (of the factory's"));
    psa_sensor_free(sensor);

    sensor = sensor_of("mpu6050:i2c-1?selftest=strict");
    world.self_test[0] = 0.8;
    assert_start_fails(sensor, PSA_FAULT_WRONG, "self-test: accel_x is -20 % off");
    world.self_test[0] = 0.9;
    memset(sensor->state, 0, sensor->driver->state_size);
    start_chip(sensor);
    assert_string_equal(world.warned, "");
    psa_sensor_free(sensor);

    sensor = sensor_of("mpu6050:i2c-1?selftest=off");
    world.self_test[0] = 0;
    start_chip(sensor);
    assert_string_equal(world.warned, "");
    psa_sensor_free(sensor);
}

/* ---- poll -------------------------------------------------------------------------------------------------------------- */

static void polled_readings_are_taken_when_due(void **unused)
{
    struct psa_sensor *sensor = sensor_of("mpu6050:i2c-1?rate=100Hz&selftest=off");

    (void)unused;
    put_word(0x3B, 1);
    start_chip(sensor);
    read_well(sensor, 1000 * MS);
    assert_in_range(world.emitted, 99, 101);
    for (int64_t i = 1; i < world.emitted; i++)
        assert_in_range(world.at_ns[i] - world.at_ns[i - 1], 10 * MS - 200000,
                        10 * MS + 200000); /* the once-a-second look */
    psa_sensor_free(sensor);
}

static void faults_of_polling_are_told(void **unused)
{
    struct psa_sensor *sensor = sensor_of("mpu6050:i2c-1?rate=100Hz&selftest=off");
    struct psa_fault fault;

    (void)unused;
    start_chip(sensor);
    read_well(sensor, 100 * MS);
    world.fail_reads = 1;
    read_until_fault(sensor, 10 * MS, PSA_FAULT_ABSENT, "no answer");
    read_well(sensor, 100 * MS);
    world.frozen = true;
    memset(world.reg + 0x3B, 0xFF, 14);
    read_until_fault(sensor, 10 * MS, PSA_FAULT_STUCK, "every byte of a reading is 0xff: nothing drives SDA");
    memset(world.reg + 0x3B, 0, 14);
    read_until_fault(sensor, 10 * MS, PSA_FAULT_STUCK, "every byte of a reading is 0x00: the chip does not measure");
    world.reg[0x3C] = 1; /* 2 s of the same */
    read_well(sensor, 1900 * MS);
    read_until_fault(sensor, 200 * MS, PSA_FAULT_STUCK, "identical to the last bit");
    world.frozen = false;
    pass_time(world.now_ns + 2 * MS);
    read_well(sensor, 100 * MS);
    power_on(); /* a dip of the supply: asleep, the last values stay */
    world.reg[0x3C] = 1;
    read_until_fault(sensor, 50 * MS, PSA_FAULT_STUCK, "fallen asleep (PWR_MGMT_1 is 0x40)");
    assert_int_equal(sensor->driver->read(sensor, &fault), -1); /* and it stays one */
    psa_sensor_free(sensor);
}

static void lost_settings_are_found(void **unused)
{
    struct psa_sensor *sensor = sensor_of("mpu6050:i2c-1?rate=100Hz&selftest=off");

    (void)unused;
    start_chip(sensor);
    read_well(sensor, 500 * MS);
    world.reg[0x1C] = 0; /* 2g from now on, and the values move */
    read_until_fault(sensor, 1050 * MS, PSA_FAULT_WRONG, "lost its settings (register 0x1c is 0x00, was 0x08)");
    psa_sensor_free(sensor);
    sensor = sensor_of("mpu6050:i2c-1?rate=100Hz&selftest=off&stuck=0");
    start_chip(sensor);
    world.frozen = true;
    world.reg[0x3C] = 1;
    read_well(sensor, 10000 * MS);
    psa_sensor_free(sensor);
    sensor = sensor_of("mpu6050:i2c-1?rate=1Hz&selftest=off&stuck=4");
    start_chip(sensor);
    world.frozen = true;
    world.reg[0x3C] = 1;
    read_well(sensor, 2500 * MS);
    read_until_fault(sensor, 1000 * MS, PSA_FAULT_STUCK, "4 readings in a row");
    psa_sensor_free(sensor);
}

/* ---- fifo -------------------------------------------------------------------------------------------------------------- */

/* The sample whose number a reading carries. */
static int64_t number_of(int64_t i, double steps)
{
    return (int64_t)lround(world.value[i][0] * steps);
}

/* Readings from..to are consecutive samples, in order; times are within `most_ns` of when they were taken, and grow. */
static void assert_even(int64_t from, int64_t to, double most_ns)
{
    for (int64_t i = from; i < to; i++) {
        const int64_t number = number_of(i, 8192);
        if (i > from) {
            assert_int_equal((number - number_of(i - 1, 8192)) & 0x7FFF, 1);
            assert_true(world.at_ns[i] > world.at_ns[i - 1]);
        }
        int64_t sample = number == 0 ? 0x8000 : number; /* one of those with this number, the nearest */
        while (sample + 0x8000 <= world.samples && fabs(world.sample_ns[sample - 1] - (double)world.at_ns[i]) > 5e9)
            sample += 0x8000;
        const double off_ns = (double)world.at_ns[i] - world.sample_ns[sample - 1];
        if (fabs(off_ns) > most_ns) fail_msg("reading %lld is off by %.0f ns", (long long)i, off_ns);
    }
}

static struct psa_sensor *fifo_sensor(const char *text, double rate_error)
{
    struct psa_sensor *sensor = sensor_of(text);

    world.numbered = true;
    world.rate_error = rate_error;
    start_chip(sensor);
    return sensor;
}

static void the_fifo_gives_every_sample_its_time(void **unused)
{
    static const double errors[] = { 0.01, -0.01, 0.03, 0 };

    (void)unused;
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        struct psa_sensor *sensor = fifo_sensor("mpu6050:i2c-1?rate=1kHz&mode=fifo&selftest=off", errors[i]);
        const int64_t before = world.samples;
        read_well(sensor, 40000 * MS);
        print_message("%+.0f %%: rate %.6g Hz, %d changes\n", errors[i] * 100, world.measured_hz, world.rate_changes);
        assert_in_range(world.emitted, world.samples - before - 30, world.samples - before + 30);
        assert_even(0, world.emitted, 0.4e6);
        assert_int_equal(world.lost, 0);
        assert_true(fabs(world.measured_hz / (1000 * (1 + errors[i])) - 1) < 150e-6);
        assert_true(world.rate_changes <= 3);
        assert_int_equal(sensor->upto_ns, world.at_ns[world.emitted - 1]);
        psa_sensor_free(sensor);
    }
}

/* The first rate told comes from half a second of samples. */
static void the_rate_told_is_true_soon(void **unused)
{
    static const char *const texts[] = { "mpu6050:i2c-1?rate=200Hz&mode=fifo&selftest=off",
                                         "mpu6050:i2c-1?rate=100Hz&mode=fifo&selftest=off",
                                         "mpu6050:i2c-1?rate=50Hz&mode=fifo&selftest=off" };

    (void)unused;
    for (int i = 0; i < 30; i++) {
        struct psa_sensor *sensor = fifo_sensor(texts[i % 3], (i - 15) * 0.0021);
        const double true_hz = sensor->rate_hz * (1 + world.rate_error);
        read_well(sensor, 100 * MS);
        const double first = fabs(world.measured_hz / true_hz - 1);
        read_well(sensor, 4900 * MS);
        const double later = fabs(world.measured_hz / true_hz - 1);
        print_message("%g Hz: off by %.3g, after 5 s by %.3g\n", true_hz, first, later);
        assert_true(later < (i % 3 == 2 ? 1e-3 : 2e-4));
        psa_sensor_free(sensor);
    }
}

/* Twice somebody emptied the FIFO, then the supply dips: counts that do not fit are the sleep's. */
static void a_chip_that_fell_asleep_is_not_called_another(void **unused)
{
    static const char *const texts[] = { "mpu6050:i2c-1?rate=1kHz&mode=fifo&selftest=off",
                                         "mpu6050:i2c-1?rate=100Hz&mode=fifo&selftest=off",
                                         "mpu6050:i2c-1?rate=20Hz&mode=fifo&selftest=off" };

    (void)unused;
    for (int i = 0; i < 30; i++) {
        struct psa_sensor *sensor = fifo_sensor(texts[i % 3], 0.01);
        for (int n = 0; n < 2; n++) {
            read_well(sensor, 2000 * MS);
            pass_time(world.now_ns + (int64_t)(9e9 / sensor->rate_hz));
            world.n_fifo = 0;
            *world.why = '\0';
            read_well(sensor, 500 * MS);
            assert_string_equal(world.why, "the chip's FIFO filled unevenly");
        }
        read_well(sensor, 40 * i * MS); /* at any moment between two looks at the settings */
        power_on();
        read_until_fault(sensor, 1500 * MS, PSA_FAULT_STUCK, "fallen asleep");
        psa_sensor_free(sensor);
    }
}

static void the_fifo_may_hold_the_temperature(void **unused)
{
    struct psa_sensor *sensor = fifo_sensor("mpu6050:i2c-1?rate=200Hz&mode=fifo&temp=on&selftest=off", 0.01);

    (void)unused;
    put_word(0x41, 340);
    put_word(0x43, 655);
    read_well(sensor, 2000 * MS);
    assert_in_range(world.emitted, 390, 415);
    assert_even(20, world.emitted, 2e6);
    assert_float_equal(world.value[100][6], 37.53, 1e-9);
    assert_float_equal(world.value[100][3], 10, 1e-9);
    assert_true(world.value[100][5] > 100 / 65.5 - 0.01);
    psa_sensor_free(sensor);
}

/* Nobody read it for 300 ms: what was in it is torn. Lost are the samples between two readings, to the last. */
static void an_overflow_is_counted(void **unused)
{
    struct psa_sensor *sensor = fifo_sensor("mpu6050:i2c-1?rate=1kHz&mode=fifo&selftest=off", 0.01);

    (void)unused;
    read_well(sensor, 5000 * MS);
    const int64_t at = world.emitted;
    pass_time(world.now_ns + 300 * MS);
    read_well(sensor, 5000 * MS);
    print_message("lost %lld: %s\n", (long long)world.lost, world.why);
    assert_string_equal(world.why, "the chip's FIFO overflowed, since it was not read in time");
    assert_in_range(world.lost, number_of(at, 8192) - number_of(at - 1, 8192) - 2,
                    number_of(at, 8192) - number_of(at - 1, 8192));
    assert_even(0, at, 0.4e6);
    assert_even(at, world.emitted, 0.7e6);
    assert_true(world.at_ns[at] > world.at_ns[at - 1] + 290 * MS);
    world.lost = 0;
    world.overflows_in_drain = true; /* what was drained may be torn, and is not given out */
    read_well(sensor, 500 * MS);
    assert_in_range(world.lost, 25, 60);
    psa_sensor_free(sensor);
}

/* A machine that is busy while the chip starts: it begins anew, as long as that can help. */
static void an_overflow_while_starting_is_no_fault(void **unused)
{
    struct psa_sensor *sensor = sensor_of("mpu6050:i2c-1?rate=1kHz&mode=fifo&selftest=off");

    (void)unused;
    world.numbered = true;
    world.rate_error = 0.01;
    world.slow_sleeps = 5;
    start_chip(sensor);
    assert_int_equal(world.slow_sleeps, 0);
    read_well(sensor, 1000 * MS);
    assert_even(0, world.emitted, 0.7e6);
    assert_int_equal(world.lost, 0);
    sensor->driver->stop(sensor);
    memset(sensor->state, 0, sensor->driver->state_size);
    world.slow_sleeps = 1000;
    const int64_t begun_ns = world.now_ns;
    assert_start_fails(sensor, PSA_FAULT_TIMEOUT, "while starting, the chip's FIFO overflowed");
    assert_true(world.now_ns - begun_ns < sensor->driver->patience_ns);
    psa_sensor_free(sensor);
}

/* A failed transfer of samples may have taken some along; one of the count has not. */
static void failed_transfers_cost_what_they_must(void **unused)
{
    struct psa_sensor *sensor = fifo_sensor("mpu6050:i2c-1?rate=1kHz&mode=fifo&selftest=off", 0.01);

    (void)unused;
    read_well(sensor, 2000 * MS);
    world.fail_reads = 1;
    read_until_fault(sensor, 50 * MS, PSA_FAULT_ABSENT, "no answer");
    read_well(sensor, 500 * MS);
    assert_int_equal(world.lost, 0);
    assert_even(0, world.emitted, 0.4e6);
    const int64_t at = world.emitted;
    world.fail_fifo = 1;
    read_until_fault(sensor, 50 * MS, PSA_FAULT_IO, "torn");
    read_well(sensor, 500 * MS);
    assert_string_equal(world.why, "reading the chip's FIFO failed");
    assert_in_range(world.lost, 25, 80);
    assert_even(at, world.emitted, 0.7e6);
    psa_sensor_free(sensor);
}

/* Bytes that are no whole sample, again: everything behind them would be read askew. */
static void a_torn_fifo_is_begun_anew(void **unused)
{
    struct psa_sensor *sensor = fifo_sensor("mpu6050:i2c-1?rate=1kHz&mode=fifo&selftest=off", 0.01);

    (void)unused;
    read_well(sensor, 2000 * MS);
    const int64_t at = world.emitted;
    world.n_fifo += 3;
    read_well(sensor, 1000 * MS);
    assert_string_equal(world.why, "the chip's FIFO held a part of a sample");
    assert_true(world.lost > 20);
    assert_even(at + 100, world.emitted, 0.7e6);
    psa_sensor_free(sensor);
}

/* Somebody emptied the FIFO: what is missing shows in the count, and once in a while it is no fault. */
static void missing_samples_are_noticed(void **unused)
{
    struct psa_sensor *sensor = fifo_sensor("mpu6050:i2c-1?rate=1kHz&mode=fifo&selftest=off", 0.01);

    (void)unused;
    for (int i = 0; i < 4; i++) {
        read_well(sensor, i == 0 ? 2000 * MS : 61000 * MS);
        const int64_t at = world.emitted, lost = world.lost;
        pass_time(world.now_ns + 15 * MS);
        world.n_fifo = 0;
        read_well(sensor, 500 * MS);
        assert_string_equal(world.why, "the chip's FIFO filled unevenly");
        assert_in_range(world.lost - lost, 15, 60);
        const int64_t missing = (number_of(at, 8192) - number_of(at - 1, 8192)) & 0x7FFF;
        assert_in_range(world.lost - lost, missing - 2, missing);
        assert_even(at, world.emitted, 0.8e6);
        world.emitted = 0;
    }
    psa_sensor_free(sensor);
}

static void faults_of_the_fifo_are_told(void **unused)
{
    struct psa_sensor *sensor = fifo_sensor("mpu6050:i2c-1?rate=1kHz&mode=fifo&selftest=off", 0.01);

    (void)unused;
    read_well(sensor, 1000 * MS);
    world.silent = true;
    read_until_fault(sensor, 200 * MS, PSA_FAULT_TIMEOUT, "the chip's FIFO stays empty");
    world.silent = false;
    read_well(sensor, 1000 * MS);
    power_on();
    world.lost = 0;
    const int64_t given_ns = world.at_ns[world.emitted - 1];
    read_until_fault(sensor, 200 * MS, PSA_FAULT_STUCK, "fallen asleep");
    sensor->driver->stop(sensor); /* what came since then is lost */
    assert_in_range(world.lost, (world.now_ns - given_ns) / MS - 2, (world.now_ns - given_ns) / MS + 2);
    psa_sensor_free(sensor);

    sensor = fifo_sensor("mpu6050:i2c-1?rate=1kHz&mode=fifo&selftest=off", 0.01);
    read_well(sensor, 1000 * MS);
    world.frozen = true;
    const int64_t emitted = world.emitted;
    read_until_fault(sensor, 2100 * MS, PSA_FAULT_STUCK, "2000 readings in a row");
    assert_in_range(world.emitted - emitted, 1950, 2050);
    assert_true(world.lost > 0);
    psa_sensor_free(sensor);

    sensor = fifo_sensor("mpu6050:i2c-1?rate=1kHz&mode=fifo&selftest=off", 0.01);
    read_well(sensor, 1000 * MS);
    world.rate_error = 0.3; /* no oscillator is so far off */
    read_until_fault(sensor, 5000 * MS, PSA_FAULT_WRONG, "samples do not come at 1000 Hz");
    psa_sensor_free(sensor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_are_refused_with_a_way_out),
        cmocka_unit_test(the_filter_follows_the_rate),
        cmocka_unit_test(the_bus_load_is_told),
        cmocka_unit_test(readings_are_in_units),
        cmocka_unit_test(start_sets_the_chip_up),
        cmocka_unit_test(strangers_are_named_and_left_alone),
        cmocka_unit_test(faults_of_starting_are_told),
        cmocka_unit_test(the_self_test_names_axes),
        cmocka_unit_test(polled_readings_are_taken_when_due),
        cmocka_unit_test(faults_of_polling_are_told),
        cmocka_unit_test(lost_settings_are_found),
        cmocka_unit_test(the_fifo_gives_every_sample_its_time),
        cmocka_unit_test(the_fifo_may_hold_the_temperature),
        cmocka_unit_test(an_overflow_is_counted),
        cmocka_unit_test(an_overflow_while_starting_is_no_fault),
        cmocka_unit_test(the_rate_told_is_true_soon),
        cmocka_unit_test(a_chip_that_fell_asleep_is_not_called_another),
        cmocka_unit_test(failed_transfers_cost_what_they_must),
        cmocka_unit_test(a_torn_fifo_is_begun_anew),
        cmocka_unit_test(missing_samples_are_noticed),
        cmocka_unit_test(faults_of_the_fifo_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
