/*
 * bmp180.c - Bosch BMP180: air pressure and temperature by I2C, always at address 0x77.
 *
 * Everything here is from the data sheet BST-BMP180-DS000-09, revision 2.5 (5 April 2013): registers from section 4,
 * figure 6; the order of a measurement from section 3.3 and figure 4; the arithmetic from section 3.5, figure 4, whose
 * example (UT 27898, UP 23843: 15.0 degrees C, 69964 Pa) the unit test has. The BMP085 is the same to a program.
 *
 * A reading is a pressure conversion that begins at the deadline, so that readings are even, and behind it a
 * temperature conversion, which the pressure's compensation needs, unless the last one is younger than a second
 * (section 3.3).
 */
#include <string.h>

#include "sensor/drivers.h"

#define NS_PER_MS INT64_C(1000000)

/* Registers: section 4, figure 6 "Memory map". */
#define REG_CALIBRATION 0xaa /* 11 words to 0xbf, high byte first: section 3.4, table 5 */
#define REG_ID 0xd0
#define REG_RESET 0xe0
#define REG_CONTROL 0xf4
#define REG_OUT 0xf6 /* high, low, and 3 to 8 bits more */

#define ID_BMP180 0x55
#define ID_BMP280 0x58
#define ID_BME280 0x60
#define RESET_SOFT 0xb6 /* section 4, "Soft reset": as if the power came */

/* Table 8 (page 21): what starts a conversion. Bit 5, SCO, stays set until it is done: section 4, "Sco". */
#define START_TEMPERATURE 0x2e
#define START_PRESSURE 0x34
#define CONTROL_SCO 0x20
#define OSS_SHIFT 6
#define OSS_MAX 3

/* Section 1, table 1: time until the first communication after the power came; table 8: the longest conversions. */
#define STARTUP_NS (10 * NS_PER_MS)
#define TEMPERATURE_NS (9 * NS_PER_MS / 2)
static const int64_t pressure_ns[OSS_MAX + 1] = { 9 * NS_PER_MS / 2, 15 * NS_PER_MS / 2, 27 * NS_PER_MS / 2,
                                                  51 * NS_PER_MS / 2 };
/* A conversion that is not done is looked at again so often, and given up after this much more time. */
#define POLL_NS (2 * NS_PER_MS)
#define OVERTIME_NS (20 * NS_PER_MS)
/* Section 3.3: for more than a reading a second, it suffices to measure the temperature once a second. A little less,
 * since readings that are a second apart may come early by as much as a sleep is late. */
#define TEMPERATURE_AGE_NS (950 * NS_PER_MS)

/* Section 1, table 1: what the chip measures. */
#define PRESSURE_MIN_PA 30000
#define PRESSURE_MAX_PA 110000
#define TEMPERATURE_MIN_DC (-400) /* tenths of a degree C */
#define TEMPERATURE_MAX_DC 850

struct bmp180_config {
    int64_t oss, stuck;
    double bus_hz;
    bool oss_given;
};

/* Section 3.4, table 5. */
struct calibration {
    int64_t ac1, ac2, ac3, ac4, ac5, ac6, b1, b2, mb, mc, md;
};

struct bmp180_state {
    struct calibration calibration;
    int64_t ut, up; /* raw temperature and pressure, as read last */
    int64_t ut_at_ns;
    int64_t same; /* so many readings in a row had the very same raw values */
};

#define AT(member) offsetof(struct bmp180_config, member)
static const struct psa_option options[] = {
    { .name = "oss",
      .type = PSA_OPT_COUNT,
      .offset = AT(oss),
      .given = AT(oss_given),
      .metavar = "N",
      .min = 0,
      .max = OSS_MAX,
      .help = "oversampling, 2^N samples in a reading; without it the most that the rate allows, 3 up to 30 Hz" },
    { .name = "stuck",
      .type = PSA_OPT_COUNT,
      .offset = AT(stuck),
      .metavar = "N",
      .initial = "100",
      .min = 0,
      .max = 1e9,
      .help = "N readings in a row that are the same to the last bit are a fault; 0: never" },
    { .name = "bus",
      .type = PSA_OPT_RATE,
      .offset = AT(bus_hz),
      .metavar = "HZ",
      .min = 10e3,
      .max = 3.4e6, /* section 5.1: high speed mode */
      .help = "the bus's clock, where the system does not tell" },
    { .type = PSA_OPT_END },
};

static const uint8_t addresses[] = { 0x77, 0 };

static int configure(struct psa_sensor *sensor, struct psa_error *error);
static int start(struct psa_sensor *sensor, struct psa_fault *fault);
static int read_once(struct psa_sensor *sensor, struct psa_fault *fault);
static bool identify(struct psa_i2c *i2c, uint8_t address);

const struct psa_sensor_driver psa_driver_bmp180 = {
    .name = "bmp180",
    .summary = "Bosch BMP180 or BMP085: air pressure and temperature",
    .usage = "bmp180:i2c-N[@0x77]",
    .sensor_type = "pressure",
    .sensor_model = "BMP180",
    .bus = PSA_BUS_I2C,
    .options = options,
    .config_size = sizeof(struct bmp180_config),
    .state_size = sizeof(struct bmp180_state),
    .addresses = addresses,
    .every_ns = 1000 * NS_PER_MS,
    .failures = 3,
    .configure = configure,
    .start = start,
    .read = read_once,
    .identify = identify,
    .notes = "fields: pressure_Pa, temperature_C",
};

/* ---- conversions: section 3.5, figure 4 -------------------------------------------------------------------------- */

/* a / 2^n and a / b, rounded down. The data sheet's example comes out, with each of its intermediate values, only if
 * negative values are rounded down as well (X2 = -2344, 69964 Pa). */
static int64_t halved(int64_t a, int n)
{
    return a >= 0 ? a >> n : ~(~a >> n);
}

static int64_t divided(int64_t a, int64_t b)
{
    const int64_t quotient = a / b;

    return quotient - (a % b != 0 && (a < 0) != (b < 0));
}

/* B5 of a raw temperature. false: these calibration values allow none. */
static bool compensate_b5(const struct calibration *c, int64_t ut, int64_t *b5)
{
    const int64_t x1 = halved((ut - c->ac6) * c->ac5, 15);

    if (x1 + c->md == 0) return false;
    *b5 = x1 + divided(c->mc * 2048, x1 + c->md);
    return true;
}

/* Tenths of a degree C. */
static int64_t compensate_temperature(int64_t b5)
{
    return halved(b5 + 8, 4);
}

/* Pa. false: these values allow none. All fits into 64 bits; the data sheet's 32-bit B4 and B7 are never negative where
 * it is right. */
static bool compensate_pressure(const struct calibration *c, int64_t b5, int64_t up, int oss, int64_t *pressure)
{
    const int64_t b6 = b5 - 4000, square = halved(b6 * b6, 12);
    int64_t x1 = halved(c->b2 * square, 11);
    int64_t x2 = halved(c->ac2 * b6, 11);
    int64_t x3 = x1 + x2;
    const int64_t b3 = halved((c->ac1 * 4 + x3) * (1 << oss) + 2, 2);

    x1 = halved(c->ac3 * b6, 13);
    x2 = halved(c->b1 * square, 16);
    x3 = halved(x1 + x2 + 2, 2);
    const int64_t b4 = halved(c->ac4 * (x3 + 32768), 15);
    const int64_t b7 = (up - b3) * (50000 >> oss);
    if (b4 <= 0 || b7 < 0) return false;

    int64_t p = b7 < INT64_C(0x80000000) ? b7 * 2 / b4 : b7 / b4 * 2;
    if (p > 10 * PRESSURE_MAX_PA) return false;
    x1 = (p >> 8) * (p >> 8);
    x1 = halved(x1 * 3038, 16);
    x2 = halved(-7357 * p, 16);
    *pressure = p + halved(x1 + x2 + 3791, 4);
    return true;
}

static int64_t word(const uint8_t *p)
{
    return p[0] << 8 | p[1];
}

static int64_t signed_word(const uint8_t *p)
{
    return (int16_t)(uint16_t)(p[0] << 8 | p[1]);
}

/* Section 3.4: no word is 0 or 0xffff, "the data communication can be checked" by that. */
static bool read_calibration(struct calibration *c, const uint8_t p[22])
{
    for (int i = 0; i < 22; i += 2) {
        if (word(p + i) == 0 || word(p + i) == 0xffff) return false;
    }
    *c = (struct calibration){ .ac1 = signed_word(p),
                               .ac2 = signed_word(p + 2),
                               .ac3 = signed_word(p + 4),
                               .ac4 = word(p + 6),
                               .ac5 = word(p + 8),
                               .ac6 = word(p + 10),
                               .b1 = signed_word(p + 12),
                               .b2 = signed_word(p + 14),
                               .mb = signed_word(p + 16),
                               .mc = signed_word(p + 18),
                               .md = signed_word(p + 20) };
    return true;
}

/* ---- configuration ----------------------------------------------------------------------------------------------- */

#define PRESSURE_BITS (psa_i2c_write_bits(1) + psa_i2c_read_bits(1) + psa_i2c_read_bits(3))
#define TEMPERATURE_BITS (psa_i2c_write_bits(1) + psa_i2c_read_bits(1) + psa_i2c_read_bits(2))

/* The time that a reading may take, both conversions with their transfers. */
static double reading_ns(const struct psa_sensor *sensor, int64_t oss)
{
    const int64_t converting_ns = TEMPERATURE_NS + pressure_ns[oss];

    return (double)converting_ns + (PRESSURE_BITS + TEMPERATURE_BITS) / psa_sensor_bus_hz(sensor, NULL) * 1e9;
}

static int configure(struct psa_sensor *sensor, struct psa_error *error)
{
    struct bmp180_config *config = sensor->config;

    sensor->bus_hz = config->bus_hz;
    if (config->stuck == 1) return psa_sensor_refuse(sensor, error, "stuck: 2 at least, or 0: never");
    if (!config->oss_given) {
        config->oss = OSS_MAX;
        while (config->oss > 0 && reading_ns(sensor, config->oss) > sensor->period_exact_ns) config->oss--;
    }
    if (reading_ns(sensor, config->oss) > sensor->period_exact_ns)
        return psa_sensor_refuse(sensor, error, "%.6g readings a second are too many; with oss=%d there can be %d",
                                 sensor->rate_hz, (int)config->oss, (int)(1e9 / reading_ns(sensor, config->oss)));
    sensor->field[0] = "pressure_Pa";
    sensor->field[1] = "temperature_C";
    sensor->n_field = 2;
    sensor->bits_per_s =
        PRESSURE_BITS * sensor->rate_hz + TEMPERATURE_BITS * (sensor->rate_hz < 1 ? sensor->rate_hz : 1);
    return 0;
}

/* ---- the chip ---------------------------------------------------------------------------------------------------- */

static int wrong_chip(const struct psa_sensor *sensor, uint8_t id, struct psa_fault *fault)
{
    const char *name = id == ID_BMP280 ? "BMP280" : id == ID_BME280 ? "BME280" : NULL;

    if (name != NULL)
        return psa_fault_set(fault, PSA_FAULT_WRONG,
                             "0x%02x on %s is a %s (id 0x%02x), no BMP180; the kernel's driver reads it: iio:%s",
                             sensor->address, sensor->bus, name, id, id == ID_BMP280 ? "bmp280" : "bme280");
    return psa_fault_set(fault, PSA_FAULT_WRONG, "0x%02x on %s is no BMP180: its id is 0x%02x, not 0x%02x",
                         sensor->address, sensor->bus, id, ID_BMP180);
}

/* Start a conversion, wait until it is done, and read n bytes of its result. 0, 1: a stop is asked for, or -1.
 * *began_ns is when it began. */
static int convert(struct psa_sensor *sensor, uint8_t command, int64_t longest_ns, uint8_t *p, size_t n,
                   int64_t *began_ns, struct psa_fault *fault)
{
    const struct psa_world *world = sensor->world;
    uint8_t control;

    if (psa_i2c_write8(sensor->i2c, REG_CONTROL, command, fault) != 0) return -1;
    *began_ns = world->now_ns(sensor);
    for (int64_t wait_ns = longest_ns;; wait_ns += POLL_NS) {
        if (!world->sleep_until(sensor, *began_ns + wait_ns)) return 1;
        if (psa_i2c_read(sensor->i2c, REG_CONTROL, &control, 1, fault) != 0) return -1;
        if ((control & CONTROL_SCO) == 0) return psa_i2c_read(sensor->i2c, REG_OUT, p, n, fault);
        if (wait_ns >= longest_ns + OVERTIME_NS)
            return psa_fault_set(fault, PSA_FAULT_TIMEOUT,
                                 "0x%02x on %s: a conversion of %.1f ms at most is not done after %d ms",
                                 sensor->address, sensor->bus, (double)longest_ns / 1e6, (int)(wait_ns / NS_PER_MS));
    }
}

static int convert_temperature(struct psa_sensor *sensor, struct psa_fault *fault)
{
    struct bmp180_state *state = sensor->state;
    uint8_t out[2] = { 0 };
    int64_t began_ns;
    const int status = convert(sensor, START_TEMPERATURE, TEMPERATURE_NS, out, sizeof out, &began_ns, fault);

    if (status != 0) return status; /* and it is due still */
    state->ut = word(out);
    state->ut_at_ns = began_ns;
    return 0;
}

/* *taken_ns: the middle of the conversion. */
static int convert_pressure(struct psa_sensor *sensor, int64_t *taken_ns, struct psa_fault *fault)
{
    const struct bmp180_config *config = sensor->config;
    struct bmp180_state *state = sensor->state;
    const int oss = (int)config->oss;
    uint8_t out[3] = { 0 };
    const int status = convert(sensor, (uint8_t)(START_PRESSURE | oss << OSS_SHIFT), pressure_ns[oss], out, sizeof out,
                               taken_ns, fault);

    if (status != 0) return status;
    *taken_ns += pressure_ns[oss] / 2;
    state->up = (out[0] << 16 | out[1] << 8 | out[2]) >> (8 - oss);
    return 0;
}

static int stopped(struct psa_fault *fault)
{
    return psa_fault_set(fault, PSA_FAULT_TIMEOUT, "stopped while it was starting");
}

/* Identify and reset the chip, read its calibration, measure the temperature for the first readings. */
static int start(struct psa_sensor *sensor, struct psa_fault *fault)
{
    struct bmp180_state *state = sensor->state;
    const struct psa_world *world = sensor->world;
    uint8_t id, words[22];
    int status;

    if (psa_i2c_read(sensor->i2c, REG_ID, &id, 1, fault) != 0) return -1;
    if (id != ID_BMP180) return wrong_chip(sensor, id, fault);
    if (psa_i2c_write8(sensor->i2c, REG_RESET, RESET_SOFT, fault) != 0) return -1;
    if (!world->sleep_until(sensor, world->now_ns(sensor) + STARTUP_NS)) return stopped(fault);
    if (psa_i2c_read(sensor->i2c, REG_CALIBRATION, words, sizeof words, fault) != 0) return -1;
    if (!read_calibration(&state->calibration, words))
        return psa_fault_set(fault, PSA_FAULT_CHECKSUM,
                             "0x%02x on %s: calibration words of 0 or 0xffff cannot be; check wiring and supply",
                             sensor->address, sensor->bus);
    status = convert_temperature(sensor, fault);
    return status == 1 ? stopped(fault) : status;
}

/* A chip's noise is several steps of its raw values: readings that stay the same are none. */
static int check_stuck(const struct psa_sensor *sensor, int64_t old_ut, int64_t old_up, struct psa_fault *fault)
{
    const struct bmp180_config *config = sensor->config;
    struct bmp180_state *state = sensor->state;

    state->same = state->ut == old_ut && state->up == old_up ? state->same + 1 : 1;
    if (config->stuck == 0 || state->same < config->stuck) return 0;
    return psa_fault_set(fault, PSA_FAULT_STUCK,
                         "0x%02x on %s: stuck, %d readings in a row are the same (raw %d and %d)", sensor->address,
                         sensor->bus, (int)state->same, (int)state->ut, (int)state->up);
}

/* A value outside of what the chip measures is no weather but a bad transfer (I2C has no checksum) or a broken chip: no
 * reading is better than one that is taken for true. */
static int check_range(const struct psa_sensor *sensor, bool possible, int64_t tenths, int64_t pressure,
                       struct psa_fault *fault)
{
    const struct bmp180_state *state = sensor->state;

    if (!possible)
        return psa_fault_set(fault, PSA_FAULT_CHECKSUM,
                             "0x%02x on %s: the raw values %d and %d make no sense; check wiring", sensor->address,
                             sensor->bus, (int)state->ut, (int)state->up);
    if (tenths < TEMPERATURE_MIN_DC || tenths > TEMPERATURE_MAX_DC || pressure < PRESSURE_MIN_PA ||
        pressure > PRESSURE_MAX_PA)
        return psa_fault_set(fault, PSA_FAULT_CHECKSUM,
                             "0x%02x on %s: %.1f degrees C and %d Pa are outside of what a BMP180 measures (-40 to 85 "
                             "degrees C, 30000 to 110000 Pa)",
                             sensor->address, sensor->bus, (double)tenths / 10, (int)pressure);
    return 0;
}

/* The raw values of a reading. 0, 1: a stop is asked for, or -1. */
static int read_raw(struct psa_sensor *sensor, int64_t *taken_ns, struct psa_fault *fault)
{
    const struct bmp180_state *state = sensor->state;
    const int status = convert_pressure(sensor, taken_ns, fault);

    if (status != 0 || *taken_ns - state->ut_at_ns < TEMPERATURE_AGE_NS) return status;
    return convert_temperature(sensor, fault);
}

static int read_once(struct psa_sensor *sensor, struct psa_fault *fault)
{
    const struct bmp180_config *config = sensor->config;
    struct bmp180_state *state = sensor->state;
    const int64_t old_ut = state->ut, old_up = state->up;
    int64_t taken_ns, b5 = 0, pressure = 0, tenths = 0;
    bool possible;
    int status;

    status = read_raw(sensor, &taken_ns, fault);
    if (status != 0) return status < 0 ? -1 : 0;
    if (check_stuck(sensor, old_ut, old_up, fault) != 0) return -1;

    possible = compensate_b5(&state->calibration, state->ut, &b5) &&
               compensate_pressure(&state->calibration, b5, state->up, (int)config->oss, &pressure);
    if (possible) tenths = compensate_temperature(b5);
    if (check_range(sensor, possible, tenths, pressure, fault) != 0) return -1;
    sensor->world->emit(sensor, taken_ns, (double[]){ (double)pressure, (double)tenths / 10 });
    return 0;
}

static bool identify(struct psa_i2c *i2c, uint8_t address)
{
    struct psa_fault fault;
    uint8_t id;

    return address == addresses[0] && psa_i2c_read(i2c, REG_ID, &id, 1, &fault) == 0 && id == ID_BMP180;
}
