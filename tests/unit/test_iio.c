/*
 * test_iio.c - sensor/iio: names and units of the kernel's channels, types, choice of channels, polling and
 * capturing, over a device made of a table.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "golden.h"
#include "sensor/bus_iio.h"
#include "sensor/driver.h"

#define MS INT64_C(1000000)

/* ---- a device of tables, and a world that remembers ----------------------------------------------------------- */

enum { CHANNELS_MAX = 80, SAMPLES_MAX = 64, READINGS_MAX = 2048, TEXTS_MAX = 32 };

struct fake {
    struct psa_iio base;
    struct psa_iio_channel channel[CHANNELS_MAX];
    double number[CHANNELS_MAX];
    enum psa_fault_kind broken[CHANNELS_MAX];

    struct psa_iio_stream stream; /* what a capture is given */
    enum psa_fault_kind no_capture, no_wait;
    char trigger[32];
    double rate_hz;
    size_t samples, captured[CHANNELS_MAX], n_captured;
    int captures, releases;
    int64_t at_ns[SAMPLES_MAX];
    size_t n_hand;
    int64_t then_ns, wait_ns; /* until when it was told to wait, and how long it does */
};

static struct {
    int64_t now_ns;
    int64_t taken_ns[READINGS_MAX];
    double value[READINGS_MAX][PSA_SENSOR_FIELDS_MAX];
    int64_t lost_before[READINGS_MAX];
    size_t n;
    int64_t lost;
    char text[TEXTS_MAX][320];
    size_t n_text;
} seen;

static struct fake device;
static struct psa_sensor *sensor;
static struct psa_fault fault;

static int fake_read(struct psa_iio *base, size_t channel, double *number, struct psa_fault *why)
{
    const struct fake *fake = (struct fake *)base;

    if (fake->broken[channel] != PSA_FAULT_NONE)
        return psa_fault_set(why, fake->broken[channel], "%s is broken", fake->channel[channel].id);
    *number = fake->number[channel];
    return 0;
}

static int fake_capture(struct psa_iio *base, const struct psa_iio_capture *how, struct psa_iio_stream *stream,
                        struct psa_fault *why)
{
    struct fake *fake = (struct fake *)base;

    fake->captures++;
    if (fake->no_capture != PSA_FAULT_NONE) return psa_fault_set(why, fake->no_capture, "no capture");
    snprintf(fake->trigger, sizeof fake->trigger, "%s", how->trigger != NULL ? how->trigger : "");
    fake->rate_hz = how->rate_hz;
    fake->samples = how->samples;
    fake->n_captured = how->n_channel;
    memcpy(fake->captured, how->channel, how->n_channel * sizeof *how->channel);
    *stream = fake->stream;
    return 0;
}

static int fake_wait(struct psa_iio *base, int64_t then_ns, size_t *n, struct psa_fault *why)
{
    struct fake *fake = (struct fake *)base;

    fake->then_ns = then_ns;
    if (fake->no_wait != PSA_FAULT_NONE) return psa_fault_set(why, fake->no_wait, "no samples");
    *n = fake->n_hand;
    fake->n_hand = 0;
    seen.now_ns = *n == 0 ? then_ns : seen.now_ns + fake->wait_ns;
    return 0;
}

/* Channel c of sample i is its number + i. */
static void fake_sample(struct psa_iio *base, size_t i, int64_t *at_ns, double *number)
{
    struct fake *fake = (struct fake *)base;

    for (size_t k = 0; k < fake->n_captured; k++) number[k] = fake->number[fake->captured[k]] + (double)i;
    if (fake->stream.timed) *at_ns = fake->at_ns[i];
}

static void fake_release(struct psa_iio *base)
{
    ((struct fake *)base)->releases++;
}

static void fake_close(struct psa_iio *base)
{
    (void)base;
}

static const struct psa_iio_calls fake_calls = { fake_read,   fake_capture, fake_wait,
                                                 fake_sample, fake_release, fake_close };

static int64_t now_ns(struct psa_sensor *of)
{
    (void)of;
    return seen.now_ns;
}

static void emit(struct psa_sensor *of, int64_t taken_ns, const double *value)
{
    assert_true(seen.n < READINGS_MAX);
    seen.taken_ns[seen.n] = taken_ns;
    seen.lost_before[seen.n] = seen.lost;
    memcpy(seen.value[seen.n++], value, of->n_field * sizeof *value);
}

static void lost(struct psa_sensor *of, int64_t n, const char *why)
{
    (void)of;
    (void)why;
    assert_true(n > 0);
    seen.lost += n;
}

static void warn(struct psa_sensor *of, const char *text)
{
    (void)of;
    assert_true(seen.n_text < TEXTS_MAX);
    snprintf(seen.text[seen.n_text++], sizeof *seen.text, "%s", text);
}

static const struct psa_world world = { .now_ns = now_ns, .emit = emit, .lost = lost, .warn = warn };

/* A device without channels, and a sensor that reads it. */
static void make(const char *argument)
{
    struct psa_error error;

    psa_sensor_free(sensor);
    memset(&device, 0, sizeof device);
    memset(&seen, 0, sizeof seen);
    seen.now_ns = 1000000000;
    device.base = (struct psa_iio){ &fake_calls, "bmp280", device.channel, 0 };
    sensor = psa_sensor_new(argument, &error);
    if (sensor == NULL) fail_msg("%s", error.text);
    sensor->world = &world;
    sensor->iio = &device.base;
}

static size_t add(const char *id, double number)
{
    const size_t i = device.base.n_channel++;

    device.channel[i] = (struct psa_iio_channel){ .id = id, .readable = true, .scan = true, .offset = 0, .scale = 1 };
    device.number[i] = number;
    return i;
}

static int start(void)
{
    memset(sensor->state, 0, sensor->driver->state_size);
    return sensor->driver->start(sensor, &fault);
}

static int take(void)
{
    return sensor->driver->read(sensor, &fault);
}

static int teardown(void **state)
{
    (void)state;
    psa_sensor_free(sensor);
    sensor = NULL;
    return 0;
}

/* ---- names and units ---- */

/* Numbers: what the ABI's unit is of the value that is expected in psa's. */
static void names_and_units(void **state)
{
    (void)state;
    static const struct {
        const char *id;
        double number;
        const char *field;
        double value;
    } table[] = {
        { "accel_x", 9.80665, "accel_x", 1 },
        { "accel_z", -19.6133, "accel_z", -2 },
        { "gravity_y", 9.80665, "gravity_y", 1 },
        { "anglvel_x", 3.14159265358979323846, "gyro_x", 180 },
        { "anglvel_z", -0.017453292519943295, "gyro_z", -1 },
        { "temp", 15000, "temperature_C", 15 },
        { "temp1", -40500, "temperature1_C", -40.5 },
        { "temp_ambient", 21500, "temperature_ambient_C", 21.5 },
        { "temp_object", 80250, "temperature_object_C", 80.25 },
        { "pressure", 69.964, "pressure_Pa", 69964 },
        { "pressure0", 101.325, "pressure0_Pa", 101325 },
        { "humidityrelative", 45300, "humidity_pct", 45.3 },
        { "magn_x", 0.5, "magn_x_uT", 50 },
        { "voltage", 3300, "voltage_V", 3.3 },
        { "voltage12", 1250, "voltage12_V", 1.25 },
        { "voltage0-voltage1", -12.5, "voltage0_voltage1_V", -0.0125 },
        { "voltage0_i", 1000, "voltage0_i_V", 1 },
        { "current3", 20, "current3_A", 0.02 },
        { "power1", 1500, "power1_W", 1.5 },
        { "energy", 7, "energy_J", 7 },
        { "resistance0", 109.73, "resistance0_Ohm", 109.73 },
        { "capacitance0-capacitance1", 4, "capacitance0_capacitance1_nF", 4 },
        { "electricalconductivity", 5, "conductivity_S_m", 5 },
        { "illuminance", 320, "illuminance_lx", 320 },
        { "illuminance0_ir", 3, "illuminance0_ir_lx", 3 },
        { "distance", 1.5, "distance_m", 1.5 },
        { "velocity_sqrt(x^2+y^2+z^2)", 2, "velocity_sqrt_x_2_y_2_z_2__m_s", 2 },
        { "positionrelative_x", 50000, "positionrelative_x_pct", 50 },
        { "concentration_co2", 0.04, "concentration_co2_pct", 0.04 },
        { "massconcentration_pm2p5", 12, "massconcentration_pm2p5_ug_m3", 12 },
        { "angl", 1.5, "angl_rad", 1.5 },
        { "angl0", 1.5, "angl0_rad", 1.5 },
        { "phase0", 1.5, "phase0_rad", 1.5 },
        { "incli_x", 30, "incli_x_deg", 30 },
        { "rot_from_north_magnetic", 270, "rot_from_north_magnetic_deg", 270 },
        { "proximity", 17, "proximity", 17 },
        { "intensity_both", 17, "intensity_both", 17 },
        { "steps", 47, "steps", 47 },
        { "activity_walking", 4, "activity_walking", 4 },
        { "count0", 4, "count0", 4 },
        { "ph", 7.2, "ph", 7.2 },
        { "uvindex", 3, "uvindex", 3 },
        { "newfangled3_x", 3, "newfangled3_x", 3 },
        { "temperature", 3, "temperature", 3 }, /* no type of the kernel's, though it begins like one */
    };

    make("iio:x");
    for (size_t i = 0; i < COUNT(table); i++) add(table[i].id, table[i].number);
    assert_int_equal(start(), 0);
    assert_int_equal(take(), 0);
    assert_int_equal(sensor->n_field, COUNT(table));
    assert_int_equal(seen.n, 1);
    for (size_t i = 0; i < COUNT(table); i++) {
        assert_string_equal(sensor->field[i], table[i].field);
        assert_near(seen.value[0][i], table[i].value, 1e-14);
    }
    assert_true(seen.value[0][5] == 15 && seen.value[0][9] == 69964 && seen.value[0][11] == 45.3);
}

/* raw has offset and scale still to come, input does not; the buffer has raw numbers of both. */
static void offset_and_scale(void **state)
{
    (void)state;
    /* inv_mpu6050's temperature: 340 to the degree, 36.53 at 0; and the register's -3920 is 25. */
    const double offset = 12420, scale = 1000.0 / 340;

    for (int captured = 0; captured < 2; captured++) {
        make(captured ? "iio:x?trigger=t0" : "iio:x");
        add("temp", -3920);
        add("temp1", captured ? -3920 : 25000);
        device.channel[0].offset = device.channel[1].offset = offset;
        device.channel[0].scale = device.channel[1].scale = scale;
        device.channel[1].processed = true;
        device.n_hand = 1;
        assert_int_equal(start(), 0);
        assert_int_equal(take(), 0);
        assert_near(seen.value[0][0], 25, 1e-14);
        assert_near(seen.value[0][1], 25, 1e-14);
    }
}

static void types_and_models(void **state)
{
    (void)state;
    static const struct {
        const char *id[8], *type;
    } table[] = {
        { { "accel_x", "accel_y", "accel_z", "anglvel_x", "anglvel_y", "anglvel_z", "temp" }, "accel_gyro" },
        { { "accel_x", "accel_y", "accel_z" }, "iio" },
        { { "pressure", "temp" }, "pressure" },
        { { "humidityrelative", "pressure", "temp" }, "pressure" },
        { { "humidityrelative", "temp" }, "dht11" },
        { { "humidityrelative" }, "iio" },
        { { "voltage0" }, "iio" },
    };

    for (size_t i = 0; i < COUNT(table); i++) {
        make("iio:iio:device0");
        assert_string_equal(sensor->type, "iio");
        for (size_t k = 0; table[i].id[k] != NULL; k++) add(table[i].id[k], 0);
        assert_int_equal(start(), 0);
        assert_string_equal(sensor->type, table[i].type);
        assert_string_equal(sensor->model, "BMP280");
    }
    make("iio:press-room?type=vibration&model=ADXL345");
    add("pressure", 0);
    assert_int_equal(start(), 0);
    assert_string_equal(sensor->type, "vibration");
    assert_string_equal(sensor->model, "ADXL345");
    /* Before the device was ever seen, the argument's name is the best there is. */
    make("iio:mpu6050");
    assert_string_equal(sensor->model, "MPU6050");
    assert_string_equal(sensor->id, "iio:mpu6050");
}

/* ---- channels ---- */

static void fields_are(const char *names)
{
    char all[512] = "";

    for (size_t i = 0; i < sensor->n_field; i++)
        snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", i > 0 ? " " : "", sensor->field[i]);
    assert_string_equal(all, names);
}

static void add_imu(void)
{
    static const char *const ids[] = { "accel_x", "accel_y", "anglvel_x", "temp" };

    for (size_t i = 0; i < COUNT(ids); i++) add(ids[i], 0);
}

static void channels_are_chosen(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        { "iio:x", "accel_x accel_y gyro_x temperature_C" },
        { "iio:x?channels=accel_*", "accel_x accel_y" },
        { "iio:x?channels=temp,accel_y", "accel_y temperature_C" },
        { "iio:x?channels=gyro_x", "gyro_x" },
        { "iio:x?channels=anglvel_*,temperature_C", "gyro_x temperature_C" },
    };

    for (size_t i = 0; i < COUNT(table); i++) {
        make(table[i][0]);
        add_imu();
        assert_int_equal(start(), 0);
        fields_are(table[i][1]);
    }
    make("iio:x?channels=accel_x,acel_*");
    add_imu();
    assert_int_equal(start(), -1);
    assert_int_equal(fault.kind, PSA_FAULT_WRONG);
    assert_string_equal(fault.text, "channels: 'acel_*' is none of bmp280's: accel_x, accel_y, anglvel_x, temp");
}

static void what_cannot_be_had_is_left_out(void **state)
{
    (void)state;
    make("iio:x");
    add_imu();
    device.channel[0].readable = false;
    assert_int_equal(start(), 0);
    fields_are("accel_y gyro_x temperature_C");

    make("iio:x?buffer=8");
    add_imu();
    device.channel[3].scan = false;
    assert_int_equal(start(), 0);
    fields_are("accel_x accel_y gyro_x");

    make("iio:x?trigger=t0");
    add("pressure", 0);
    device.channel[0].scan = false;
    assert_int_equal(start(), -1);
    assert_int_equal(fault.kind, PSA_FAULT_WRONG);
    assert_non_null(strstr(fault.text, "leave trigger= and buffer= out"));

    make("iio:x");
    assert_int_equal(start(), -1);
    assert_int_equal(fault.kind, PSA_FAULT_WRONG);
}

static void too_many_channels_are_said(void **state)
{
    (void)state;
    static char ids[CHANNELS_MAX][16];

    make("iio:x");
    for (size_t i = 0; i < 70; i++) {
        snprintf(ids[i], sizeof ids[i], "voltage%zu", i);
        add(ids[i], (double)i);
    }
    assert_int_equal(start(), 0);
    assert_int_equal(sensor->n_field, PSA_SENSOR_FIELDS_MAX);
    assert_int_equal(seen.n_text, 1);
    assert_non_null(strstr(seen.text[0], "6 channels more than the 64"));
    assert_int_equal(take(), 0);
    assert_near(seen.value[0][63], 0.063, 1e-15);
}

/* Another device may answer to the name when the sensor comes back. */
static void fields_may_change_with_a_restart(void **state)
{
    (void)state;
    make("iio:x");
    add_imu();
    assert_int_equal(start(), 0);
    sensor->driver->stop(sensor);
    device.base.n_channel = 0;
    add("pressure", 101.325);
    assert_int_equal(start(), 0);
    fields_are("pressure_Pa");
    assert_string_equal(sensor->type, "pressure");
    assert_int_equal(take(), 0);
    assert_near(seen.value[0][0], 101325, 1e-14);
}

/* ---- polling ---- */

static void one_channel_fails(void **state)
{
    (void)state;
    make("iio:x?every=100ms");
    add_imu();
    assert_true(sensor->period_ns == 100 * MS && !sensor->own_seq);
    assert_int_equal(start(), 0);
    device.number[0] = 9.80665;
    device.broken[1] = PSA_FAULT_IO;
    device.broken[3] = PSA_FAULT_TIMEOUT;
    for (int i = 0; i < 4; i++) assert_int_equal(take(), 0);
    assert_int_equal(seen.n, 4);
    assert_int_equal(seen.taken_ns[0], 1000000000);
    for (size_t i = 0; i < 4; i++) {
        assert_near(seen.value[i][0], 1, 1e-15);
        assert_true(isnan(seen.value[i][1]) && isnan(seen.value[i][3]));
    }
    assert_int_equal(seen.n_text, 2);
    assert_string_equal(seen.text[0], "temperature_C is null: temp is broken");
    assert_string_equal(seen.text[1], "accel_y is null: accel_y is broken");
    device.broken[1] = PSA_FAULT_NONE;
    assert_int_equal(take(), 0);
    assert_true(seen.value[4][1] == 0);
}

static void all_channels_fail(void **state)
{
    (void)state;
    make("iio:x");
    add_imu();
    assert_int_equal(start(), 0);
    for (size_t i = 0; i < 4; i++) device.broken[i] = i == 0 ? PSA_FAULT_BUSY : PSA_FAULT_IO;
    assert_int_equal(take(), -1);
    assert_int_equal(fault.kind, PSA_FAULT_BUSY);
    assert_string_equal(fault.text, "accel_x is broken");
    assert_int_equal(seen.n, 0);
    assert_int_equal(seen.n_text, 0);
}

/* One channel's file that is gone means that all are going. */
static void a_device_goes(void **state)
{
    (void)state;
    make("iio:x");
    add_imu();
    assert_int_equal(start(), 0);
    device.broken[0] = PSA_FAULT_IO;
    device.broken[2] = PSA_FAULT_ABSENT;
    assert_int_equal(take(), -1);
    assert_int_equal(fault.kind, PSA_FAULT_ABSENT);
    assert_int_equal(seen.n, 0);
}

/* ---- capturing ---- */

static void captures_are_asked_for(void **state)
{
    (void)state;
    make("iio:x?trigger=t0&rate=200Hz&channels=temp,accel_*&buffer=50");
    assert_true(sensor->period_ns == 0 && sensor->own_seq && sensor->rate_hz == 200);
    add_imu();
    device.stream = (struct psa_iio_stream){ "t0", 200, true };
    assert_int_equal(start(), 0);
    assert_string_equal(device.trigger, "t0");
    assert_true(device.rate_hz == 200 && device.samples == 50);
    assert_true(device.n_captured == 3 && device.captured[0] == 0 && device.captured[1] == 1 &&
                device.captured[2] == 3);
    assert_true(sensor->rate_hz == 200 && sensor->measured_hz == 200);
    assert_int_equal(sensor->upto_ns, 1000000000);
    assert_int_equal(seen.n_text, 0);
    sensor->driver->stop(sensor);
    assert_int_equal(device.releases, 1);

    make("iio:x?buffer=8");
    assert_true(sensor->rate_hz == 0 && sensor->own_seq);
    add_imu();
    device.stream = (struct psa_iio_stream){ "own-dev0", 50, true };
    assert_int_equal(start(), 0);
    assert_true(device.trigger[0] == '\0' && device.rate_hz == 0 && device.samples == 8 && sensor->rate_hz == 50);

    make("iio:x?trigger=t0&every=20ms");
    add_imu();
    device.stream = (struct psa_iio_stream){ "t0", 52, false };
    assert_int_equal(start(), 0);
    assert_true(device.rate_hz == 50);
    assert_int_equal(seen.n_text, 2);
    assert_string_equal(seen.text[0], "asked for 50 samples a second, t0 gives 52");
    assert_non_null(strstr(seen.text[1], "no times"));

    make("iio:x?trigger=t0");
    add_imu();
    device.no_capture = PSA_FAULT_BUSY;
    assert_int_equal(start(), -1);
    assert_int_equal(fault.kind, PSA_FAULT_BUSY);
    sensor->driver->stop(sensor);
    assert_int_equal(device.releases, 1);

    /* A polled sensor has nothing to let go of. */
    make("iio:x");
    add_imu();
    assert_int_equal(start(), 0);
    sensor->driver->stop(sensor);
    assert_int_equal(device.captures + device.releases, 0);
}

/* n samples, the first at from_ns, a step apart; they arrive 1 ms after the last. */
static void hand(size_t n, int64_t from_ns, int64_t step_ns)
{
    device.n_hand = n;
    for (size_t i = 0; i < n; i++) device.at_ns[i] = from_ns + (int64_t)i * step_ns;
    seen.now_ns = device.at_ns[n - 1];
    device.wait_ns = MS;
}

static void capture_at(double rate_hz, bool timed)
{
    make("iio:x?trigger=t0");
    add("accel_x", 0);
    device.stream = (struct psa_iio_stream){ "t0", rate_hz, timed };
    assert_int_equal(start(), 0);
}

static void samples_have_the_kernels_times(void **state)
{
    (void)state;
    capture_at(100, true);
    hand(3, 2000 * MS, 10 * MS);
    device.number[0] = 9.80665;
    assert_int_equal(take(), 0);
    assert_int_equal(seen.n, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(seen.taken_ns[i], (2000 + 10 * (int64_t)i) * MS);
        assert_near(seen.value[i][0], (9.80665 + (double)i) / 9.80665, 1e-15);
    }
    assert_int_equal(seen.lost, 0);
    assert_int_equal(sensor->upto_ns, 2020 * MS);
    assert_int_equal(device.then_ns, 2020 * MS + 1000 * MS);
    /* A driver's times that run backwards stand still. */
    hand(2, 2015 * MS, 1 * MS);
    assert_int_equal(take(), 0);
    assert_true(seen.taken_ns[3] == 2020 * MS && seen.taken_ns[4] == 2020 * MS);
}

static void gaps_are_lost_samples(void **state)
{
    (void)state;
    static const struct {
        double beats;
        int64_t lost;
    } table[] = { { 1, 0 },   { 0.3, 0 }, { 1.7, 0 }, { 1.8, 1 },    { 2, 1 },
                  { 2.4, 1 }, { 2.6, 2 }, { 4, 3 },   { 1001, 1000 } };

    for (size_t i = 0; i < COUNT(table); i++) {
        capture_at(100, true);
        hand(2, 2000 * MS, (int64_t)(table[i].beats * 1e7));
        assert_int_equal(take(), 0);
        assert_int_equal(seen.n, 2);
        assert_int_equal(seen.lost_before[0], 0);
        assert_int_equal(seen.lost_before[1], table[i].lost);
    }
    /* Between two reads too; and where no rate is known a pause is a pause. */
    for (int known = 0; known < 2; known++) {
        capture_at(known ? 100 : 0, true);
        hand(1, 2000 * MS, 0);
        assert_int_equal(take(), 0);
        hand(1, 2050 * MS, 0);
        assert_int_equal(take(), 0);
        assert_int_equal(seen.lost, known ? 4 : 0);
        assert_true(sensor->measured_hz == (known ? 100 : 0));
    }
    capture_at(0, true);
    for (int i = 0; i < 8; i++) {
        hand(10, (2000 + 2000 * i) * MS, 100 * MS);
        assert_int_equal(take(), 0);
    }
    assert_true(seen.lost == 0 && sensor->measured_hz == 0);
}

/* A trigger 1 % slow: the rate becomes the measured one, so that the count of a long gap is right, and gaps do not
 * spoil it. */
static void the_rate_is_measured(void **state)
{
    (void)state;
    const int64_t beat_ns = 10100000;
    int64_t at_ns = 2000 * MS;

    capture_at(100, true);
    for (int i = 0; i < 400; i++) {
        hand(5, at_ns, beat_ns);
        assert_int_equal(take(), 0);
        at_ns += (i % 10 == 9 ? 7 : 5) * beat_ns;
        seen.n = 0;
    }
    assert_near(sensor->measured_hz, 1e9 / (double)beat_ns, 1e-6);
    assert_int_equal(seen.lost, 2 * 39);
    hand(1, at_ns + 300 * beat_ns, 0);
    assert_int_equal(take(), 0);
    assert_int_equal(seen.lost, 2 * 39 + 302);
}

static void devices_without_times(void **state)
{
    (void)state;
    capture_at(100, false);
    hand(3, 2000 * MS, 10 * MS);
    assert_int_equal(take(), 0);
    for (size_t i = 0; i < 3; i++) assert_int_equal(seen.taken_ns[i], (2001 + 10 * (int64_t)i) * MS);
    /* Two that come at once after that were not before it. */
    hand(2, 2015 * MS, 1 * MS);
    assert_int_equal(take(), 0);
    assert_true(seen.taken_ns[3] == 2021 * MS && seen.taken_ns[4] == 2021 * MS);
}

static void silence(void **state)
{
    (void)state;
    /* A known rate: two seconds, or ten beats. */
    capture_at(100, true);
    assert_int_equal(take(), 0);
    assert_int_equal(take(), 0);
    assert_int_equal(sensor->upto_ns, 2000 * MS);
    assert_int_equal(take(), -1);
    assert_int_equal(fault.kind, PSA_FAULT_TIMEOUT);
    assert_string_equal(fault.text, "no sample for 3 s, where t0 should give 100 a second");
    assert_int_equal(take(), -1);
    assert_int_equal(device.then_ns, 4000 * MS);
    capture_at(1, true);
    for (int i = 0; i < 10; i++) assert_int_equal(take(), 0);
    assert_int_equal(take(), -1);
    /* An unknown one: nobody knows that something is missing. */
    capture_at(0, true);
    for (int i = 0; i < 100; i++) assert_int_equal(take(), 0);
    assert_int_equal(sensor->upto_ns, 100000 * MS);
    /* A device that is gone is not waited for again. */
    device.no_wait = PSA_FAULT_ABSENT;
    assert_int_equal(take(), -1);
    assert_int_equal(fault.kind, PSA_FAULT_ABSENT);
    assert_int_equal(device.then_ns, seen.now_ns + 1000 * MS);
    assert_int_equal(take(), -1);
    assert_int_equal(device.then_ns, seen.now_ns);
}

/* What was due until a capture breaks is lost, once, however often it is tried. */
static void a_broken_capture_loses_what_was_due(void **state)
{
    (void)state;
    capture_at(10, true);
    hand(2, 2000 * MS, 100 * MS);
    assert_int_equal(take(), 0);
    seen.now_ns = 2950 * MS;
    device.no_wait = PSA_FAULT_ABSENT;
    assert_int_equal(take(), -1);
    assert_int_equal(seen.lost, 8);
    assert_int_equal(take(), -1);
    assert_int_equal(seen.lost, 8);
    seen.now_ns = 3050 * MS;
    assert_int_equal(take(), -1);
    assert_int_equal(seen.lost, 9);

    capture_at(10, true);
    hand(1, 2000 * MS, 0);
    assert_int_equal(take(), 0);
    assert_int_equal(take(), 0);
    assert_int_equal(take(), 0);
    assert_int_equal(seen.lost, 0);
    assert_int_equal(take(), -1);
    assert_int_equal(seen.lost, 30);
}

/* ---- arguments ---- */

static void refusals(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        { "iio:", "no bus" },
        { "iio:x/3", "'/3' means nothing here" },
        { "iio:x?trigger=", "trigger needs a name" },
        { "iio:x?channels=", "channels needs names" },
        { "iio:x?buffer=0", "buffer" },
        { "iio:x?scale=3", "has no option 'scale'" },
    };
    struct psa_error error;

    for (size_t i = 0; i < COUNT(table); i++) {
        assert_null(psa_sensor_new(table[i][0], &error));
        assert_non_null(strstr(error.text, table[i][1]));
    }
    make("iio:x?uri=ip:192.0.2.7");
    assert_string_equal(sensor->uri, "ip:192.0.2.7");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_units),
        cmocka_unit_test(offset_and_scale),
        cmocka_unit_test(types_and_models),
        cmocka_unit_test(channels_are_chosen),
        cmocka_unit_test(what_cannot_be_had_is_left_out),
        cmocka_unit_test(too_many_channels_are_said),
        cmocka_unit_test(fields_may_change_with_a_restart),
        cmocka_unit_test(one_channel_fails),
        cmocka_unit_test(all_channels_fail),
        cmocka_unit_test(a_device_goes),
        cmocka_unit_test(captures_are_asked_for),
        cmocka_unit_test(samples_have_the_kernels_times),
        cmocka_unit_test(gaps_are_lost_samples),
        cmocka_unit_test(the_rate_is_measured),
        cmocka_unit_test(devices_without_times),
        cmocka_unit_test(silence),
        cmocka_unit_test(a_broken_capture_loses_what_was_due),
        cmocka_unit_test(refusals),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, teardown);
}
