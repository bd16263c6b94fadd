/*
 * mpu6050.c - InvenSense MPU-6050: three axes of acceleration, three of rotation, and the die's temperature, over I2C.
 *
 * PS: MPU-6000/MPU-6050 Product Specification, PS-MPU-6000A-00, revision 3.4. RM: MPU-6000/MPU-6050 Register Map and
 * Descriptions, RM-MPU-6000A-00, revision 4.2.
 *
 *     poll   at each deadline the newest sample, a burst of 14 bytes, which is of one instant (RM 4.17 to 4.19): in step
 *            with the system clock. The chip takes 1,000 samples a second meanwhile: a reading is up to 1 ms old.
 *     fifo   every sample of the chip, from its FIFO (PS 7.17, RM 4.30, 4.31), at the chip's pace: even to the
 *            oscillator's jitter, whatever the program was kept from. The times come from clock_fit.c.
 *
 * A reading, in a burst and in the FIFO, is big-endian words in the order of the registers: accel x y z, [temperature,]
 * gyro x y z.
 *
 * A chip that a dip of its supply has reset sleeps and answers as if nothing were wrong; so once a second its settings are
 * read back, and at once when readings repeat.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sensor/clock_fit.h"
#include "sensor/drivers.h"

#define MS INT64_C(1000000)
#define SECOND INT64_C(1000000000)

/* ---- registers: RM 3, and the section given --------------------------------------------------------------------------- */

enum {
    SELF_TEST_X = 0x0D,  /* 4.1, to 0x10 */
    SMPLRT_DIV = 0x19,   /* 4.2 */
    CONFIG = 0x1A,       /* 4.3: DLPF_CFG */
    GYRO_CONFIG = 0x1B,  /* 4.4: self-test 7..5, FS_SEL 4..3 */
    ACCEL_CONFIG = 0x1C, /* 4.5: self-test 7..5, AFS_SEL 4..3 */
    FIFO_EN = 0x23,      /* 4.6: what goes into the FIFO */
    INT_ENABLE = 0x38,   /* 4.15 */
    INT_STATUS = 0x3A,   /* 4.16: reading clears */
    ACCEL_XOUT_H = 0x3B, /* 4.17 to 4.19, to 0x48 */
    USER_CTRL = 0x6A,    /* 4.27 */
    PWR_MGMT_1 = 0x6B,   /* 4.28 */
    PWR_MGMT_2 = 0x6C,   /* 4.29 */
    FIFO_COUNTH = 0x72,  /* 4.30: latches the low byte */
    FIFO_R_W = 0x74,     /* 4.31 */
    WHO_AM_I = 0x75,     /* 4.32 */
};

enum {
    ACCEL_OUT_EN = 0x08 | 0x70, /* FIFO_EN: the accelerometer and the three gyros ... */
    TEMP_OUT_EN = 0x80,         /* ... and the temperature */
    FIFO_OFLOW = 0x10,          /* INT_ENABLE, INT_STATUS */
    USER_FIFO_EN = 0x40,
    USER_FIFO_RESET = 0x04, /* takes effect while USER_FIFO_EN is 0 */
    DEVICE_RESET = 0x80,
    SLEEP = 0x40,
    CLOCK_PLL_X_GYRO = 0x01, /* PS 6.6: off by 1 % at most, the internal oscillator by 5 % */
    AXES_SELF_TEST = 0xE0,
};

#define IDENTITY 0x68
#define FIFO_BYTES 1024 /* PS 7.17 */
#define BURST_BYTES 14
#define FRAME_MAX 14 /* with the temperature; 12 without */
/* One read of the FIFO: whole frames of either length, below the 255 and 256 bytes of several adapters. */
#define FIFO_CHUNK 168
/* The FIFO is drained when so much has come: below a third, so that two more drains may fail or be late. */
#define DRAIN_BYTES 300.0

/* RM 4.28 gives no time for the reset; Linux' driver of the chip waits 50 to 100 ms. */
#define RESET_WAIT_NS (50 * MS)
#define RESET_LIMIT_NS (200 * MS)
/* PS 6.1: gyros are ready 30 ms after waking, typically. */
#define WAKE_WAIT_NS (60 * MS)
/* Of a self-test: after a change of its bits, and how many readings are averaged, so far apart. */
#define TEST_SETTLE_NS (100 * MS)
#define TEST_READINGS 40
#define TEST_STEP_NS (INT64_C(2500000))
#define TEST_ATTEMPTS 3
/* PS 6.1, 6.2: change from factory trim. */
#define TEST_LIMIT 0.14

/* Polling is a program's timing: above this rate its jitter and the sample's age are too much of an interval. */
#define POLL_MAX_HZ 500.0
/* start() takes 0.3 s, with a self-test that does not pass and a slow FIFO rate nearly 4 s; LEARN_LIMIT_NS more at worst. */
#define PATIENCE_NS (8 * SECOND)
#define FIFO_MAX_HZ 1000.0 /* PS 6.2: the accelerometer's */
#define DRAIN_MAX_NS (50 * MS)
#define VERIFY_NS SECOND
/* Drains come so many samples short of a whole number: in step with the sampling they would always see the same phase of
 * it, and the clock fit learn nothing of the others. The golden ratio's part, since it is far from all simple fractions. */
#define OFF_STEP 0.381966
/* The clock fit learns before the first reading is given out: so many samples, so long. */
#define LEARN_SAMPLES 20
#define LEARN_MIN_NS (500 * MS)
#define LEARN_MAX_NS (2 * SECOND)
/* A machine that is busy may let the FIFO overflow meanwhile: it learns anew, until so much time has passed. */
#define LEARN_LIMIT_NS (3 * SECOND)
/* How far off an oscillator is believed to be; PS 6.6 allows 5 % to the worst of its sources. */
#define CLOCK_TOLERANCE 0.1
/* So many counts that do not go with the others, each within so long of the last, are no accident. */
#define MISFITS_MAX 3
#define MISFITS_NS (60 * SECOND)
/* Samples that a count may be off from what the fit expects. */
#define UNEVEN_SAMPLES 4
/* rate_hz in the records follows the fitted rate when it is off by the first share, or at once by the second. It is kept for
 * a second first, since the fit is young then, and for twice as long after each change. psa-filter and psa-window take rates
 * within 1 % for the same. */
#define RATE_FOLLOWS 3e-5
#define RATE_FOLLOWS_NOW 5e-3
#define RATE_KEPT_FIRST_NS SECOND
#define RATE_KEPT_MOST_NS (10 * SECOND)

/* ---- options ------------------------------------------------------------------------------------------------------------- */

enum mode { POLL, FIFO };
enum self_test { TEST_ON, TEST_OFF, TEST_STRICT };

struct config {
    const char *accel_text, *gyro_text, *dlpf_text, *mode_text, *temp_text, *self_test_text;
    double bus_hz;
    int64_t stuck;
    bool stuck_given;

    size_t accel, gyro, dlpf; /* AFS_SEL, FS_SEL, DLPF_CFG */
    enum mode mode;
    enum self_test self_test;
    bool temperature;
    uint8_t divider;
    size_t frame; /* bytes of a reading in the FIFO */
};

#define AT(member) offsetof(struct config, member)
static const struct psa_option options[] = {
    { .name = "accel",
      .type = PSA_OPT_TEXT,
      .offset = AT(accel_text),
      .metavar = "RANGE",
      .initial = "4g",
      .help = "2g, 4g, 8g or 16g" },
    { .name = "gyro",
      .type = PSA_OPT_TEXT,
      .offset = AT(gyro_text),
      .metavar = "RANGE",
      .initial = "500dps",
      .help = "250dps, 500dps, 1000dps or 2000dps" },
    { .name = "dlpf",
      .type = PSA_OPT_TEXT,
      .offset = AT(dlpf_text),
      .metavar = "HZ",
      .help = "low-pass in the chip, 260Hz, 184Hz, 94Hz, 44Hz, 21Hz, 10Hz or 5Hz; without it the widest below half the "
              "rate, at most 184Hz" },
    { .name = "mode",
      .type = PSA_OPT_TEXT,
      .offset = AT(mode_text),
      .metavar = "MODE",
      .initial = "poll",
      .help = "poll, up to 500 Hz; or fifo: every sample of the chip, up to 1 kHz" },
    { .name = "temp",
      .type = PSA_OPT_TEXT,
      .offset = AT(temp_text),
      .metavar = "on|off",
      .initial = "off",
      .help = "the chip's temperature as well" },
    { .name = "bus",
      .type = PSA_OPT_RATE,
      .offset = AT(bus_hz),
      .metavar = "HZ",
      .min = 1000,
      .max = 400000,
      .help = "the bus's clock, where the system does not tell" },
    { .name = "selftest",
      .type = PSA_OPT_TEXT,
      .offset = AT(self_test_text),
      .metavar = "on|off|strict",
      .initial = "on",
      .help = "test the chip at start: say what it fails, or count it as down" },
    { .name = "stuck",
      .type = PSA_OPT_COUNT,
      .offset = AT(stuck),
      .metavar = "N",
      .min = 0,
      .max = 1e9,
      .help = "identical readings in a row until it counts as stuck; 0: never; without it 2 s of them, at least 10",
      .given = AT(stuck_given) },
    { .type = PSA_OPT_END },
};

static const char *const accel_ranges[] = { "2g", "4g", "8g", "16g", NULL };
static const char *const gyro_ranges[] = { "250dps", "500dps", "1000dps", "2000dps", NULL };
/* RM 4.3: the accelerometer's; the gyro's are 256, 188, 98, 42, 20, 10, 5. */
static const char *const filters[] = { "260Hz", "184Hz", "94Hz", "44Hz", "21Hz", "10Hz", "5Hz", NULL };
static const double filter_hz[] = { 260, 184, 94, 44, 21, 10, 5 };
static const char *const modes[] = { "poll", "fifo", NULL };
static const char *const switches[] = { "off", "on", NULL };
static const char *const self_tests[] = { "on", "off", "strict", NULL };

/* PS 6.2, RM 4.17: LSB/g; PS 6.1, RM 4.19: LSB/(deg/s). */
static const double accel_steps[] = { 16384, 8192, 4096, 2048 };
static const double gyro_steps[] = { 131, 65.5, 32.8, 16.4 };

static const char *const axes[6] = { "accel_x", "accel_y", "accel_z", "gyro_x", "gyro_y", "gyro_z" };

struct state {
    bool running;        /* start() was through */
    bool failed;         /* the last read */
    bool ours;           /* it said that it is an MPU-6050: it may be written to */
    uint8_t expected[3]; /* SMPLRT_DIV.. are from the options, these from the mode: USER_CTRL, PWR_MGMT_1, PWR_MGMT_2 */
    int64_t verify_ns;   /* when the settings are read back next */
    uint8_t last[FRAME_MAX];
    int64_t same; /* readings in a row that were the same */

    /* fifo */
    struct psa_clock_fit fit;
    int64_t drained;    /* frames that were read since the FIFO was emptied */
    int64_t frame_ns;   /* when there was one last */
    int64_t given_ns;   /* time of the last reading given out, 0: none yet */
    int64_t rate_ns;    /* when the rate in the records changed last, */
    int64_t kept_ns;    /* and how long it is kept */
    const char *spoilt; /* why the FIFO must be emptied; NULL: it is good */
    const char *gap;    /* why samples went lost before the next one; NULL: none did */
    bool ragged;        /* the last count was no multiple of a frame */
    int misfits;        /* counts that did not go with the others */
    int64_t misfit_ns;  /* the last of them */
    uint8_t fifo[FIFO_BYTES];
};

static int read_poll(struct psa_sensor *sensor, struct psa_fault *fault);
static int read_fifo(struct psa_sensor *sensor, struct psa_fault *fault);
static int begin_fifo(struct psa_sensor *sensor, struct psa_fault *fault);
static void tell_gap(struct psa_sensor *sensor, int64_t next_ns);

/* ---- configure ------------------------------------------------------------------------------------------------------- */

static int choose_all(struct psa_sensor *sensor, struct config *config, struct psa_error *error)
{
    size_t mode = 0, temperature = 0, self_test = 0;

    if (psa_sensor_choose(sensor, "accel", config->accel_text, accel_ranges, &config->accel, error) != 0 ||
        psa_sensor_choose(sensor, "gyro", config->gyro_text, gyro_ranges, &config->gyro, error) != 0 ||
        psa_sensor_choose(sensor, "mode", config->mode_text, modes, &mode, error) != 0 ||
        psa_sensor_choose(sensor, "temp", config->temp_text, switches, &temperature, error) != 0 ||
        psa_sensor_choose(sensor, "selftest", config->self_test_text, self_tests, &self_test, error) != 0)
        return -1;
    config->mode = mode == 1 ? FIFO : POLL;
    config->temperature = temperature == 1;
    config->self_test = (enum self_test)self_test;
    if (config->dlpf_text != NULL)
        return psa_sensor_choose(sensor, "dlpf", config->dlpf_text, filters, &config->dlpf, error);
    for (config->dlpf = 1; config->dlpf < 6 && filter_hz[config->dlpf] > sensor->rate_hz / 2;) config->dlpf++;
    return 0;
}

/* The rate of the gyro's output, which SMPLRT_DIV divides: RM 4.2. */
static double output_hz(const struct config *config)
{
    return config->dlpf == 0 ? 8000 : 1000;
}

/* The divider for the rate asked, or a refusal that names the nearest rates. */
static int choose_divider(struct psa_sensor *sensor, struct config *config, struct psa_error *error)
{
    const double full_hz = output_hz(config), least_hz = full_hz / 256, asked_hz = sensor->rate_hz;
    const double ratio = full_hz / asked_hz, whole = round(ratio);

    if (asked_hz > FIFO_MAX_HZ * 1.0001)
        return psa_sensor_refuse(sensor, error, "rate: %.6g Hz; the chip's accelerometer gives 1000 Hz at most",
                                 asked_hz);
    if (asked_hz < least_hz * 0.9999)
        return psa_sensor_refuse(sensor, error,
                                 "rate: %.6g Hz; with mode=fifo%s %.6g Hz is the least; mode=poll goes lower", asked_hz,
                                 config->dlpf == 0 ? " and dlpf=260Hz" : "", least_hz);
    if (fabs(ratio - whole) > 1e-4 * ratio)
        return psa_sensor_refuse(
            sensor, error,
            "rate: with mode=fifo the chip samples at %g Hz divided by a whole number; nearest to %.6g Hz "
            "are %.6g and %.6g Hz",
            full_hz, asked_hz, full_hz / ceil(ratio), full_hz / floor(ratio));
    config->divider = (uint8_t)(whole - 1);
    sensor->rate_hz = full_hz / whole;
    return 0;
}

static int configure_fifo(struct psa_sensor *sensor, struct config *config, struct psa_error *error)
{
    double drains_hz, transfers;

    if (choose_divider(sensor, config, error) != 0) return -1;
    config->frame = config->temperature ? 14 : 12;
    const double bytes_hz = sensor->rate_hz * (double)config->frame;
    const double most_ns = fmin((double)DRAIN_MAX_NS, DRAIN_BYTES / bytes_hz * 1e9),
                 samples = most_ns / 1e9 * sensor->rate_hz;
    sensor->period_exact_ns = samples < 2 ? most_ns : (floor(samples) - OFF_STEP) / sensor->rate_hz * 1e9;
    sensor->period_ns = (int64_t)(sensor->period_exact_ns + 0.5);
    sensor->own_seq = true;
    drains_hz = 1e9 / sensor->period_exact_ns;
    transfers = ceil(bytes_hz / drains_hz / FIFO_CHUNK);
    sensor->bits_per_s =
        drains_hz * (psa_i2c_read_bits(2) + psa_i2c_read_bits(1) + transfers * psa_i2c_read_bits(0)) + 9 * bytes_hz;
    return 0;
}

static int configure(struct psa_sensor *sensor, struct psa_error *error)
{
    struct config *config = sensor->config;

    if (choose_all(sensor, config, error) != 0) return -1;
    if (config->mode == FIFO) {
        if (configure_fifo(sensor, config, error) != 0) return -1;
    } else if (sensor->rate_hz > POLL_MAX_HZ) {
        return psa_sensor_refuse(sensor, error, "rate: %.6g Hz; polled %g Hz at most, mode=fifo goes to 1000 Hz",
                                 sensor->rate_hz, POLL_MAX_HZ);
    } else {
        sensor->bits_per_s = sensor->rate_hz * psa_i2c_read_bits(BURST_BYTES);
    }
    sensor->bits_per_s += (psa_i2c_read_bits(4) + psa_i2c_read_bits(3)) * SECOND / VERIFY_NS;
    sensor->bus_hz = config->bus_hz;
    /* Noise is 400 ug/sqrt(Hz) and 0.005 deg/s/sqrt(Hz) (PS 6.1, 6.2). Where it shows least, at 16g, 2000dps and 5 Hz, an
     * acceleration still has 400e-6 * sqrt(1.57 * 5) * 2048 = 2.3 steps rms, new about ten times a second: that three of
     * them stay for 2 s, or for ten readings further apart, is less likely than 1e-12 even there. */
    if (config->stuck == 1) return psa_sensor_refuse(sensor, error, "stuck: 2 at least, or 0: never");
    if (!config->stuck_given) config->stuck = (int64_t)fmax(10, ceil(2 * sensor->rate_hz));
    sensor->n_field = 6;
    memcpy(sensor->field, axes, sizeof axes);
    if (config->temperature) sensor->field[sensor->n_field++] = "temperature_C";
    return 0;
}

/* ---- registers written and read back ---------------------------------------------------------------------------------- */

static void settings(const struct psa_sensor *sensor, uint8_t *value)
{
    const struct config *config = sensor->config;

    value[0] = config->divider;
    value[1] = (uint8_t)config->dlpf;
    value[2] = (uint8_t)(config->gyro << 3);
    value[3] = (uint8_t)(config->accel << 3);
}

/* Compare registers from `reg` on with what they must be. */
static int compare(struct psa_sensor *sensor, uint8_t reg, const uint8_t *expected, size_t n, struct psa_fault *fault)
{
    const struct state *state = sensor->state;
    uint8_t there[4];

    if (psa_i2c_read(sensor->i2c, reg, there, n, fault) != 0) return -1;
    for (size_t i = 0; i < n; i++) {
        const unsigned at = (unsigned)(reg + i);
        if (there[i] == expected[i]) continue;
        if (!state->running)
            return psa_fault_set(fault, PSA_FAULT_WRONG,
                                 "register 0x%02x reads 0x%02x after 0x%02x was written: no MPU-6050, or a faulty one",
                                 at, there[i], expected[i]);
        if (at == PWR_MGMT_1 && there[i] & SLEEP)
            return psa_fault_set(
                fault, PSA_FAULT_STUCK,
                "the chip has fallen asleep (PWR_MGMT_1 is 0x%02x), as after power-on: a dip of its supply "
                "reset it; it is started anew",
                there[i]);
        return psa_fault_set(
            fault, PSA_FAULT_WRONG,
            "the chip has lost its settings (register 0x%02x is 0x%02x, was 0x%02x): a dip of its supply, or "
            "another program writes to it; it is started anew",
            at, there[i], expected[i]);
    }
    return 0;
}

/* Read the settings back, when it is time. A fault stays one: they are read again at the next reading. */
static int verify(struct psa_sensor *sensor, int64_t now_ns, struct psa_fault *fault)
{
    struct state *state = sensor->state;
    uint8_t expected[4];

    if (now_ns < state->verify_ns) return 0;
    settings(sensor, expected);
    /* The sleep bit first: it says what has happened, the others only that something has. */
    if (compare(sensor, USER_CTRL + 1, state->expected + 1, 2, fault) != 0 ||
        (state->spoilt == NULL && compare(sensor, USER_CTRL, state->expected, 1, fault) != 0) ||
        compare(sensor, SMPLRT_DIV, expected, 4, fault) != 0)
        return -1;
    state->verify_ns = now_ns + VERIFY_NS;
    return 0;
}

/* ---- readings --------------------------------------------------------------------------------------------------------- */

static int16_t word_at(const uint8_t *p)
{
    return (int16_t)(p[0] << 8 | p[1]);
}

/* Six axes, and the temperature if it is wanted, from n bytes in the order of the registers. */
static void convert(const struct config *config, const uint8_t *p, size_t n, double *value)
{
    const uint8_t *gyro = p + n - 6;

    for (size_t i = 0; i < 3; i++) {
        value[i] = word_at(p + 2 * i) / accel_steps[config->accel];
        value[3 + i] = word_at(gyro + 2 * i) / gyro_steps[config->gyro];
    }
    if (config->temperature) value[6] = word_at(p + 6) / 340.0 + 36.53; /* RM 4.18 */
}

/* Do n bytes show a chip that measures? The settings are looked at as soon as a reading repeats. */
static int check_reading(struct psa_sensor *sensor, const uint8_t *p, size_t n, struct psa_fault *fault)
{
    const struct config *config = sensor->config;
    struct state *state = sensor->state;
    size_t i = 1;

    while (i < n && p[i] == p[0]) i++;
    if (i == n && (p[0] == 0x00 || p[0] == 0xFF)) {
        state->verify_ns = 0;
        if (verify(sensor, sensor->world->now_ns(sensor), fault) != 0) return -1;
        return psa_fault_set(fault, PSA_FAULT_STUCK, "every byte of a reading is 0x%02x: %s", p[0],
                             p[0] == 0 ? "the chip does not measure; check its supply"
                                       : "nothing drives SDA; check the wiring and the chip's supply");
    }
    if (memcmp(state->last, p, n) != 0) {
        memcpy(state->last, p, n);
        state->same = 1;
        return 0;
    }
    state->same++;
    if (state->same == 3) state->verify_ns = 0;
    if (config->stuck == 0 || state->same < config->stuck) return 0;
    return psa_fault_set(
        fault, PSA_FAULT_STUCK,
        "%lld readings in a row are identical to the last bit, which noise forbids: the chip has stopped "
        "measuring; it is started anew (stuck=0 lets it pass)",
        (long long)config->stuck);
}

/* ---- start ----------------------------------------------------------------------------------------------------------------- */

/* A pause in start(); -1: a stop is asked for. */
static int pause_ns(struct psa_sensor *sensor, int64_t ns, struct psa_fault *fault)
{
    if (sensor->world->sleep_until(sensor, sensor->world->now_ns(sensor) + ns)) return 0;
    return psa_fault_set(fault, PSA_FAULT_NONE, "stopped while starting");
}

/* WHO_AM_I of its relatives: Linux' drivers/iio/imu/inv_mpu6050/inv_mpu_iio.h, and what is sold under its name. */
static const char *relative_named(uint8_t identity)
{
    static const struct {
        uint8_t identity;
        const char *name;
    } known[] = {
        { 0x70, "an MPU-6500" },  { 0x71, "an MPU-9250" },  { 0x72, "a part sold as an MPU-6050" },
        { 0x73, "an MPU-9255" },  { 0x74, "an MPU-6515" },  { 0x78, "an MPU-6880" },
        { 0x98, "an ICM-20689" }, { 0x11, "an ICM-20600" }, { 0x12, "an ICM-20602" },
        { 0x19, "an MPU-6886" },  { 0x20, "an ICM-20690" }, { 0xAF, "an ICM-20608" },
    };

    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (known[i].identity == identity) return known[i].name;
    }
    return NULL;
}

static int check_identity(struct psa_sensor *sensor, struct psa_fault *fault)
{
    struct state *state = sensor->state;
    uint8_t identity;

    if (psa_i2c_read(sensor->i2c, WHO_AM_I, &identity, 1, fault) != 0) return -1;
    state->ours = identity == IDENTITY;
    if (state->ours) return 0;
    const char *relative = relative_named(identity);
    if (relative != NULL)
        return psa_fault_set(fault, PSA_FAULT_WRONG,
                             "WHO_AM_I is 0x%02x, %s; this driver is for the MPU-6050 (0x68), iio: may drive it",
                             identity, relative);
    return psa_fault_set(fault, PSA_FAULT_WRONG, "WHO_AM_I is 0x%02x, an MPU-6050 says 0x68: %s", identity,
                         identity == 0xFF || identity == 0 ? "check the wiring, SDA does not move"
                                                           : "another chip has this address");
}

/* RM 4.28: DEVICE_RESET clears itself when the reset is done; until then the chip may not answer. */
static int reset_chip(struct psa_sensor *sensor, struct psa_fault *fault)
{
    const int64_t limit_ns = sensor->world->now_ns(sensor) + RESET_LIMIT_NS;
    uint8_t power = DEVICE_RESET;

    if (psa_i2c_write8(sensor->i2c, PWR_MGMT_1, DEVICE_RESET, fault) != 0) return -1;
    if (pause_ns(sensor, RESET_WAIT_NS, fault) != 0) return -1;
    for (;;) {
        const int status = psa_i2c_read(sensor->i2c, PWR_MGMT_1, &power, 1, fault);
        if (status == 0 && !(power & DEVICE_RESET)) return 0;
        if (sensor->world->now_ns(sensor) >= limit_ns)
            return status != 0 ? -1
                               : psa_fault_set(fault, PSA_FAULT_TIMEOUT, "the chip's reset has not ended after %lld ms",
                                               (long long)(RESET_LIMIT_NS / MS));
        if (pause_ns(sensor, 10 * MS, fault) != 0) return -1;
    }
}

/* Write the settings, and see that the chip keeps them. */
static int set_up(struct psa_sensor *sensor, struct psa_fault *fault)
{
    const struct config *config = sensor->config;
    struct state *state = sensor->state;
    uint8_t value[4];

    settings(sensor, value);
    for (size_t i = 0; i < 4; i++) {
        if (psa_i2c_write8(sensor->i2c, (uint8_t)(SMPLRT_DIV + i), value[i], fault) != 0) return -1;
    }
    if (psa_i2c_write8(sensor->i2c, INT_ENABLE, config->mode == FIFO ? FIFO_OFLOW : 0, fault) != 0) return -1;
    if (psa_i2c_write8(sensor->i2c, USER_CTRL, config->mode == FIFO ? USER_FIFO_EN : 0, fault) != 0) return -1;
    state->expected[0] = config->mode == FIFO ? USER_FIFO_EN : 0;
    state->expected[1] = CLOCK_PLL_X_GYRO;
    state->expected[2] = 0;
    if (verify(sensor, sensor->world->now_ns(sensor), fault) != 0) return -1;
    return pause_ns(sensor, (int64_t)(1e9 / filter_hz[config->dlpf]) + 10 * MS, fault); /* the filter's memory */
}

/* ---- self-test: RM 4.1, 4.4, 4.5 ------------------------------------------------------------------------------------- */

/* The six axes' means, with these bits beside the ranges that the test asks for: 8g and 250dps. */
static int measure_mean(struct psa_sensor *sensor, uint8_t self_test, double *mean, struct psa_fault *fault)
{
    uint8_t burst[BURST_BYTES];

    if (psa_i2c_write8(sensor->i2c, GYRO_CONFIG, self_test, fault) != 0 ||
        psa_i2c_write8(sensor->i2c, ACCEL_CONFIG, (uint8_t)(self_test | 2 << 3), fault) != 0 ||
        pause_ns(sensor, TEST_SETTLE_NS, fault) != 0)
        return -1;
    memset(mean, 0, 6 * sizeof *mean);
    for (size_t n = 0; n < TEST_READINGS; n++) {
        if (psa_i2c_read(sensor->i2c, ACCEL_XOUT_H, burst, sizeof burst, fault) != 0) return -1;
        for (size_t i = 0; i < 6; i++) mean[i] += word_at(burst + 2 * i + (i < 3 ? 0 : 2)) / (double)TEST_READINGS;
        if (pause_ns(sensor, TEST_STEP_NS, fault) != 0) return -1;
    }
    return 0;
}

/* FT, the response that the factory measured, in steps of 8g and 250dps; 0: it left none. RM 4.1. */
static void factory_trim(const uint8_t *self_test, double *trim)
{
    for (size_t i = 0; i < 3; i++) {
        const int accel = (self_test[i] >> 5) << 2 | (self_test[3] >> (4 - 2 * i) & 3), gyro = self_test[i] & 0x1F;
        trim[i] = accel == 0 ? 0 : 4096 * 0.34 * pow(0.92 / 0.34, (accel - 1) / 30.0);
        trim[3 + i] = gyro == 0 ? 0 : 25 * 131.0 * pow(1.046, gyro - 1) * (i == 1 ? -1 : 1);
    }
}

/* The axes' change from factory trim, as a share: the least of some attempts, since a machine that runs adds to it. */
static int measure_changes(struct psa_sensor *sensor, const double *trim, double *change, struct psa_fault *fault)
{
    for (int attempt = 0; attempt < TEST_ATTEMPTS; attempt++) {
        double resting[6], tested[6];
        bool passed = true;
        if (measure_mean(sensor, 0, resting, fault) != 0 || measure_mean(sensor, AXES_SELF_TEST, tested, fault) != 0)
            return -1;
        for (size_t i = 0; i < 6; i++) {
            const double now = trim[i] == 0 ? 0 : (tested[i] - resting[i] - trim[i]) / trim[i];
            if (attempt == 0 || fabs(now) < fabs(change[i])) change[i] = now;
            if (fabs(change[i]) > TEST_LIMIT) passed = false;
        }
        if (passed) break;
    }
    return 0;
}

/* What the test has found, for people; empty: nothing. */
static void judge(const double *trim, const double *change, char *text, size_t size)
{
    int used = 0;

    *text = '\0';
    for (size_t i = 0; i < 6 && used < (int)size; i++) {
        const char *lead = used == 0 ? "self-test: " : ", ";
        if (trim[i] == 0) used += snprintf(text + used, size - (size_t)used, "%s%s has no factory trim", lead, axes[i]);
        else if (fabs(change[i]) > TEST_LIMIT)
            used += snprintf(text + used, size - (size_t)used, "%s%s is %+.0f %% off", lead, axes[i], change[i] * 100);
    }
}

static int test_chip(struct psa_sensor *sensor, struct psa_fault *fault)
{
    const struct config *config = sensor->config;
    double trim[6], change[6] = { 0 };
    char found[200], text[400];
    uint8_t code[4];

    if (config->self_test == TEST_OFF) return 0;
    if (psa_i2c_write8(sensor->i2c, SMPLRT_DIV, 0, fault) != 0 || psa_i2c_write8(sensor->i2c, CONFIG, 2, fault) != 0 ||
        psa_i2c_read(sensor->i2c, SELF_TEST_X, code, sizeof code, fault) != 0)
        return -1;
    factory_trim(code, trim);
    if (measure_changes(sensor, trim, change, fault) != 0) return -1;
    judge(trim, change, found, sizeof found);
    if (*found == '\0') return 0;
    if (config->self_test == TEST_STRICT) return psa_fault_set(fault, PSA_FAULT_WRONG, "%s", found);
    snprintf(
        text, sizeof text,
        "%s (of the factory's response, 14 %% is allowed): a damaged chip or no genuine one, or the machine shook it; "
        "selftest=off leaves the test out",
        found);
    sensor->world->warn(sensor, text);
    return 0;
}

static int start(struct psa_sensor *sensor, struct psa_fault *fault)
{
    const struct config *config = sensor->config;
    struct state *state = sensor->state;

    sensor->measured_hz = 0;
    sensor->upto_ns = 0;
    if (check_identity(sensor, fault) != 0 || reset_chip(sensor, fault) != 0 ||
        psa_i2c_write8(sensor->i2c, PWR_MGMT_1, CLOCK_PLL_X_GYRO, fault) != 0 ||
        psa_i2c_write8(sensor->i2c, PWR_MGMT_2, 0, fault) != 0 || pause_ns(sensor, WAKE_WAIT_NS, fault) != 0 ||
        test_chip(sensor, fault) != 0 || set_up(sensor, fault) != 0)
        return -1;
    if (config->mode == FIFO && begin_fifo(sensor, fault) != 0) return -1;
    if (config->mode == POLL) sensor->measured_hz = sensor->rate_hz;
    state->running = true;
    return 0;
}

static int read_chip(struct psa_sensor *sensor, struct psa_fault *fault)
{
    const struct config *config = sensor->config;
    struct state *state = sensor->state;

    state->failed = (config->mode == FIFO ? read_fifo(sensor, fault) : read_poll(sensor, fault)) != 0;
    return state->failed ? -1 : 0;
}

/* Asleep it draws 5 uA in place of 3.8 mA (PS 6.3). After a fault, what the FIFO was not asked for any more is lost. */
static void stop(struct psa_sensor *sensor)
{
    const struct config *config = sensor->config;
    struct state *state = sensor->state;
    struct psa_fault ignored;

    if (config->mode == FIFO && state->failed) {
        if (state->gap == NULL) state->gap = "the chip failed";
        tell_gap(sensor, sensor->world->now_ns(sensor));
    }
    if (state->ours) psa_i2c_write8(sensor->i2c, PWR_MGMT_1, SLEEP, &ignored);
}

static bool identify(struct psa_i2c *i2c, uint8_t address)
{
    struct psa_fault ignored;
    uint8_t identity;

    (void)address; /* WHO_AM_I is 0x68 at 0x69 as well: RM 4.32 */
    return psa_i2c_read(i2c, WHO_AM_I, &identity, 1, &ignored) == 0 && identity == IDENTITY;
}

/* ---- poll ------------------------------------------------------------------------------------------------------------------ */

static int read_poll(struct psa_sensor *sensor, struct psa_fault *fault)
{
    const struct config *config = sensor->config;
    const int64_t now_ns = sensor->world->now_ns(sensor);
    uint8_t burst[BURST_BYTES];
    double value[7];

    if (psa_i2c_read(sensor->i2c, ACCEL_XOUT_H, burst, sizeof burst, fault) != 0 ||
        check_reading(sensor, burst, sizeof burst, fault) != 0 || verify(sensor, now_ns, fault) != 0)
        return -1;
    convert(config, burst, sizeof burst, value);
    sensor->world->emit(sensor, now_ns, value);
    return 0;
}

/* ---- fifo ---------------------------------------------------------------------------------------------------------------- */

/* Empty the FIFO and let it fill: RM 4.6, 4.27. */
static int empty_fifo(struct psa_sensor *sensor, struct psa_fault *fault)
{
    const struct config *config = sensor->config;
    struct state *state = sensor->state;
    const uint8_t content = (uint8_t)(ACCEL_OUT_EN | (config->temperature ? TEMP_OUT_EN : 0));
    int64_t before_ns, after_ns;
    uint8_t status;

    if (psa_i2c_write8(sensor->i2c, FIFO_EN, 0, fault) != 0 || psa_i2c_write8(sensor->i2c, USER_CTRL, 0, fault) != 0 ||
        psa_i2c_write8(sensor->i2c, USER_CTRL, USER_FIFO_RESET, fault) != 0 ||
        psa_i2c_write8(sensor->i2c, USER_CTRL, USER_FIFO_EN, fault) != 0 ||
        psa_i2c_read(sensor->i2c, INT_STATUS, &status, 1, fault) != 0)
        return -1;
    before_ns = sensor->world->now_ns(sensor);
    if (psa_i2c_write8(sensor->i2c, FIFO_EN, content, fault) != 0) return -1;
    after_ns = sensor->world->now_ns(sensor);
    psa_clock_fit_gap(&state->fit);
    psa_clock_fit_observe(&state->fit, 0, before_ns, after_ns);
    state->drained = 0;
    state->frame_ns = after_ns;
    state->spoilt = NULL;
    state->ragged = false;
    return 0;
}

/* A count does not go with the others: the FIFO is begun anew. Again and again: the chip does not sample as told. */
static int heed_misfit(struct psa_sensor *sensor, struct psa_fault *fault)
{
    struct state *state = sensor->state;

    if (state->frame_ns - state->misfit_ns > MISFITS_NS) state->misfits = 0;
    state->misfit_ns = state->frame_ns;
    if (++state->misfits >= MISFITS_MAX) {
        state->verify_ns = 0; /* a chip that fell asleep does not sample either */
        if (verify(sensor, state->frame_ns, fault) != 0) return -1;
        return psa_fault_set(fault, PSA_FAULT_WRONG,
                             "samples do not come at %.6g Hz, not even within %.0f %%: no MPU-6050, or a faulty one",
                             sensor->rate_hz, CLOCK_TOLERANCE * 100);
    }
    state->spoilt = "the chip's FIFO filled unevenly";
    return 0;
}

/* Samples by the count, where the fit has learnt to expect some: somebody may have emptied the FIFO. */
static bool count_is_even(const struct psa_sensor *sensor, int64_t n, int64_t before_ns, int64_t after_ns)
{
    const struct state *state = sensor->state;
    const int64_t slack_ns = (int64_t)(UNEVEN_SAMPLES * psa_clock_fit_period_ns(&state->fit));

    return !state->running || (psa_clock_fit_at(&state->fit, n) < after_ns + slack_ns &&
                               psa_clock_fit_at(&state->fit, n + 1) > before_ns - slack_ns);
}

/* How many whole frames wait. The FIFO may turn out to be spoilt: state->spoilt. */
static int count_frames(struct psa_sensor *sensor, size_t *frames, struct psa_fault *fault)
{
    const struct config *config = sensor->config;
    struct state *state = sensor->state;
    const int64_t before_ns = sensor->world->now_ns(sensor);
    uint8_t there[2];

    if (psa_i2c_read(sensor->i2c, FIFO_COUNTH, there, sizeof there, fault) != 0) return -1;
    const int64_t after_ns = sensor->world->now_ns(sensor);
    const size_t bytes = (size_t)there[0] << 8 | there[1];
    if (bytes > FIFO_BYTES)
        return psa_fault_set(fault, PSA_FAULT_IO, "FIFO_COUNT is %zu of at most %d: check wiring and pull-ups", bytes,
                             FIFO_BYTES);
    *frames = bytes / config->frame;
    if (bytes + config->frame > FIFO_BYTES) { /* full, or the next sample overwrites the oldest */
        state->spoilt = "the chip's FIFO overflowed, since it was not read in time";
        return 0;
    }
    /* A frame that is just being written ends within microseconds; what is left over twice is one that was torn. */
    if (bytes % config->frame != 0 && state->ragged) state->spoilt = "the chip's FIFO held a part of a sample";
    state->ragged = bytes % config->frame != 0;
    if (state->spoilt != NULL) return 0;
    const int64_t n = state->drained + (int64_t)*frames;
    const bool even = count_is_even(sensor, n, before_ns, after_ns);
    if (!even && *frames == 0) return 0; /* they are late: check_silence() */
    if (!even || !psa_clock_fit_observe(&state->fit, n, before_ns, after_ns)) return heed_misfit(sensor, fault);
    if (*frames > 0) state->frame_ns = after_ns;
    return 0;
}

/* Take whole frames out. A transfer that fails may have taken some bytes along. */
static int drain(struct psa_sensor *sensor, size_t frames, struct psa_fault *fault)
{
    const struct config *config = sensor->config;
    struct state *state = sensor->state;
    const size_t n = frames * config->frame;

    for (size_t at = 0; at < n;) {
        const size_t chunk = n - at < FIFO_CHUNK ? n - at : FIFO_CHUNK - FIFO_CHUNK % config->frame;
        if (sensor->i2c->calls->read_fifo(sensor->i2c, FIFO_R_W, state->fifo + at, chunk, fault) != 0) {
            state->spoilt = "reading the chip's FIFO failed";
            return -1;
        }
        at += chunk;
    }
    state->drained += (int64_t)frames;
    return 0;
}

/* Learn the oscillator's pace from samples that are not given out. The FIFO may turn out to be spoilt. */
static int learn(struct psa_sensor *sensor, struct psa_fault *fault)
{
    const struct config *config = sensor->config;
    struct state *state = sensor->state;
    const double period_ns = 1e9 / sensor->rate_hz;
    const int64_t learn_ns = (int64_t)fmin((double)LEARN_MAX_NS, fmax((double)LEARN_MIN_NS, LEARN_SAMPLES * period_ns));
    const int64_t step_ns = (int64_t)fmin((double)(25 * MS), fmax((double)(2 * MS), period_ns / 8));
    size_t frames = 0;

    for (const int64_t end_ns = state->frame_ns + learn_ns; sensor->world->now_ns(sensor) < end_ns;) {
        if (pause_ns(sensor, step_ns, fault) != 0 || count_frames(sensor, &frames, fault) != 0) return -1;
        if (state->spoilt != NULL) return 0;
        if ((double)(frames * config->frame) > DRAIN_BYTES && drain(sensor, frames, fault) != 0) return -1;
    }
    if (count_frames(sensor, &frames, fault) != 0) return -1;
    return state->spoilt != NULL ? 0 : drain(sensor, frames, fault);
}

/* Begin, and learn: the first sample that is given out has its time right. */
static int begin_fifo(struct psa_sensor *sensor, struct psa_fault *fault)
{
    struct state *state = sensor->state;
    const int64_t limit_ns = sensor->world->now_ns(sensor) + LEARN_LIMIT_NS;

    psa_clock_fit_init(&state->fit, 1e9 / sensor->rate_hz, CLOCK_TOLERANCE);
    do {
        if (empty_fifo(sensor, fault) != 0 || learn(sensor, fault) != 0) return -1;
    } while (state->spoilt != NULL && sensor->world->now_ns(sensor) < limit_ns);
    if (state->spoilt != NULL) return psa_fault_set(fault, PSA_FAULT_TIMEOUT, "while starting, %s", state->spoilt);
    if (state->drained == 0)
        return psa_fault_set(fault, PSA_FAULT_TIMEOUT, "the chip's FIFO stays empty: it takes no samples");
    psa_clock_fit_skip(&state->fit, state->drained);
    sensor->measured_hz = 0;
    sensor->upto_ns = psa_clock_fit_at(&state->fit, state->drained);
    return 0;
}

/* Begin anew after samples went lost. How many, the time of the next one will tell. */
static int recover(struct psa_sensor *sensor, struct psa_fault *fault)
{
    struct state *state = sensor->state;
    const char *why = state->spoilt;

    state->verify_ns = 0; /* a chip that was reset spoils its FIFO as well */
    if (verify(sensor, sensor->world->now_ns(sensor), fault) != 0) return -1;
    if (empty_fifo(sensor, fault) != 0) {
        state->spoilt = why;
        return -1;
    }
    state->gap = why;
    return 0;
}

/* The next sample has this time, or would have: say what is lost since the last one. */
static void tell_gap(struct psa_sensor *sensor, int64_t next_ns)
{
    struct state *state = sensor->state;
    const double periods = (double)(next_ns - state->given_ns) / psa_clock_fit_period_ns(&state->fit);
    const int64_t n = state->given_ns == 0 ? 0 : (int64_t)(periods + 0.5) - 1;

    if (n > 0) sensor->world->lost(sensor, n, state->gap);
    state->gap = NULL;
}

/* rate_hz in the records: the fitted rate, with six digits, changed seldom: readers may begin anew at a change. */
static void follow_rate(struct psa_sensor *sensor)
{
    struct state *state = sensor->state;
    const double fitted_hz = 1e9 / psa_clock_fit_period_ns(&state->fit);
    const double off = fabs(fitted_hz - sensor->measured_hz) / fitted_hz;

    if (off < RATE_FOLLOWS) return;
    if (off < RATE_FOLLOWS_NOW && state->frame_ns - state->rate_ns < state->kept_ns) return;
    const double digit = pow(10, 5 - floor(log10(fitted_hz)));
    sensor->measured_hz = round(fitted_hz * digit) / digit;
    state->rate_ns = state->frame_ns;
    state->kept_ns = state->kept_ns == 0                      ? RATE_KEPT_FIRST_NS
                     : state->kept_ns < RATE_KEPT_MOST_NS / 2 ? 2 * state->kept_ns
                                                              : RATE_KEPT_MOST_NS;
}

/* Give out what was drained. */
static int give_frames(struct psa_sensor *sensor, size_t frames, struct psa_fault *fault)
{
    const struct config *config = sensor->config;
    struct state *state = sensor->state;
    const struct psa_clock_run run = psa_clock_fit_take(&state->fit, state->drained);
    double value[7];

    follow_rate(sensor);
    if (state->gap != NULL) tell_gap(sensor, psa_clock_run_at(&run, 1));
    state->given_ns = psa_clock_run_at(&run, (int64_t)frames);
    for (size_t i = 0; i < frames; i++) {
        const uint8_t *frame = state->fifo + i * config->frame;
        if (check_reading(sensor, frame, config->frame, fault) != 0) {
            sensor->world->lost(sensor, (int64_t)(frames - i), "the chip has stopped measuring");
            return -1;
        }
        convert(config, frame, config->frame, value);
        sensor->upto_ns = psa_clock_run_at(&run, (int64_t)i + 1);
        sensor->world->emit(sensor, sensor->upto_ns, value);
    }
    return 0;
}

/* No frame waits: is that a matter of time, or has the chip stopped? */
static int check_silence(struct psa_sensor *sensor, int64_t now_ns, struct psa_fault *fault)
{
    struct state *state = sensor->state;
    const double silence_ns = (double)(now_ns - state->frame_ns);

    if (silence_ns < 4e9 / sensor->rate_hz + 3 * sensor->period_exact_ns) return 0;
    state->verify_ns = 0; /* the settings know why, mostly */
    if (verify(sensor, now_ns, fault) != 0) return -1;
    return psa_fault_set(fault, PSA_FAULT_TIMEOUT, "no sample for %.0f ms: the chip's FIFO stays empty",
                         silence_ns / 1e6);
}

static int read_fifo(struct psa_sensor *sensor, struct psa_fault *fault)
{
    struct state *state = sensor->state;
    const int64_t now_ns = sensor->world->now_ns(sensor);
    size_t frames = 0;
    uint8_t status = 0;

    if (verify(sensor, now_ns, fault) != 0) return -1;
    if (state->spoilt != NULL) return recover(sensor, fault);
    if (count_frames(sensor, &frames, fault) != 0) return -1;
    if (state->spoilt != NULL) return recover(sensor, fault);
    if (frames == 0) return check_silence(sensor, now_ns, fault);
    if (drain(sensor, frames, fault) != 0) return -1;
    if (psa_i2c_read(sensor->i2c, INT_STATUS, &status, 1, fault) != 0) {
        state->spoilt = "whether the chip's FIFO overflowed could not be read";
        return -1;
    }
    if (status & FIFO_OFLOW) { /* while it was drained: what came out may be torn */
        state->spoilt = "the chip's FIFO overflowed, since it was not read in time";
        return recover(sensor, fault);
    }
    return give_frames(sensor, frames, fault);
}

/* ---- the driver ------------------------------------------------------------------------------------------------------ */

static const uint8_t addresses[] = { 0x68, 0x69, 0 }; /* PS 6.4: AD0 low, high */

const struct psa_sensor_driver psa_driver_mpu6050 = {
    .name = "mpu6050",
    .summary = "acceleration in g and rotation in deg/s, three axes each (InvenSense MPU-6050, GY-521)",
    .usage = "mpu6050:i2c-N[@0x68|0x69]",
    .sensor_type = "accel_gyro",
    .sensor_model = "MPU6050",
    .bus = PSA_BUS_I2C,
    .options = options,
    .config_size = sizeof(struct config),
    .state_size = sizeof(struct state),
    .addresses = addresses,
    .every_ns = 10 * MS,
    .failures = 5,
    .patience_ns = PATIENCE_NS,
    .configure = configure,
    .start = start,
    .read = read_chip,
    .stop = stop,
    .identify = identify,
    .notes = "fields: accel_x accel_y accel_z in g, gyro_x gyro_y gyro_z in deg/s, with temp=on temperature_C",
};
