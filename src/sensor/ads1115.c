/*
 * ads1115.c - Texas Instruments ADS1115: voltages by I2C, for analogue microphones, accelerometers, current clamps.
 *
 * Registers, times and codes are from the data sheet SBAS444D (revised January 2018); sections are named below. Each
 * reading is a single-shot conversion (section 9.4.2.1) that begins at the deadline: so several sensors, each an input
 * of one chip, take turns, and the chip sleeps in between. What one reading does to the chip spans a sleep, during
 * which world->hold keeps the other sensors of the chip away.
 *
 *     volts = code * range / 2^15       section 9.5.3: the code is in two's complement, 0x7fff and 0x8000 are its ends
 *     value = (volts - offset) * scale
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sensor/drivers.h"

#define NS_PER_S 1e9

/* Registers, two bytes each, high byte first: section 9.6.1, table 5. */
#define REGISTER_BYTES 2
#define REG_CONVERSION 0
#define REG_CONFIG 1
#define REG_LO_THRESH 2
#define REG_HI_THRESH 3
/* What the thresholds hold after the power came, and with the comparator unused for ever: section 9.6.4. */
#define LO_THRESH_RESET 0x8000
#define HI_THRESH_RESET 0x7fff

/* The configuration: section 9.6.3, table 8. */
#define CONFIG_OS 0x8000 /* written: start a conversion; read: none is going on */
#define CONFIG_MUX_SHIFT 12
#define CONFIG_PGA_SHIFT 9
#define CONFIG_SINGLE_SHOT 0x0100
#define CONFIG_DR_SHIFT 5
#define CONFIG_NO_COMPARATOR 0x0003

/* Section 9.4.2.1: the time to wake up for a conversion. Section 7.5: the data rate varies by 10 %, so that a
 * conversion takes up to 1 / (0.9 DR). */
#define WAKE_NS 25e3
#define SLOWEST 0.9
/* A conversion that is not done is looked at again after this share of its time, and given up at the second share. */
#define POLL_SHARE 8
#define OVERTIME_SHARE 1

/* Four inputs of one chip at one rate must find their turns: a conversion and its transfers shall take a fifth of the
 * period, if a data rate does. */
#define TURN_SHARE 5.0
/* Start the conversion, read the configuration, read the conversion. */
#define READING_BITS (psa_i2c_write_bits(2) + 2 * psa_i2c_read_bits(2))

/* Warn of values at the range's ends at most so often. */
#define CLIP_WARN_NS INT64_C(60000000000)

struct ads1115_config {
    const char *range, *field;
    double dr, scale, offset, bus_hz;
    /* by configure() */
    uint16_t word;      /* the configuration register, without OS */
    int64_t lsb;        /* in 1e-10 V */
    double typical_ns;  /* a conversion, waking up left out */
    int64_t longest_ns; /* waking up included */
};

struct ads1115_state {
    int64_t clipped;   /* since the last warning */
    int64_t warned_ns; /* 0: never */
};

#define AT(member) offsetof(struct ads1115_config, member)
static const struct psa_option options[] = {
    { .name = "range",
      .type = PSA_OPT_TEXT,
      .offset = AT(range),
      .metavar = "VOLTS",
      .initial = "4.096V",
      .help = "full scale, both ways: 6.144V, 4.096V, 2.048V, 1.024V, 0.512V or 0.256V" },
    { .name = "scale",
      .type = PSA_OPT_REAL,
      .offset = AT(scale),
      .metavar = "K",
      .initial = "1",
      .help = "value = (volts - offset) * scale" },
    { .name = "offset",
      .type = PSA_OPT_REAL,
      .offset = AT(offset),
      .metavar = "VOLTS",
      .initial = "0",
      .help = "the voltage whose value is 0" },
    { .name = "field",
      .type = PSA_OPT_TEXT,
      .offset = AT(field),
      .metavar = "NAME",
      .initial = "voltage_V",
      .help = "name of the field" },
    { .name = "dr",
      .type = PSA_OPT_RATE,
      .offset = AT(dr),
      .metavar = "HZ",
      .help = "the converter's data rate, 8, 16, 32, 64, 128, 250, 475 or 860; without it the slowest that leaves time "
              "for four inputs" },
    { .name = "bus",
      .type = PSA_OPT_RATE,
      .offset = AT(bus_hz),
      .metavar = "HZ",
      .min = 10e3,
      .max = 5e6,
      .help = "the bus's clock, where the system does not tell" },
    { .type = PSA_OPT_END },
};

static const uint8_t addresses[] = { 0x48, 0x49, 0x4a, 0x4b, 0 };

/* Section 9.6.3, table 8: the codes of PGA and DR are the indices; MUX has the differences first, 0 to 3. */
static const char *const inputs[] = { "0", "1", "2", "3", "0-1", "0-3", "1-3", "2-3", NULL };
#define N_SINGLE_ENDED 4
static const char *const ranges[] = { "6.144V", "4.096V", "2.048V", "1.024V", "0.512V", "0.256V", NULL };
static const int64_t lsb_of_range[] = { 1875000, 1250000, 625000, 312500, 156250, 78125 }; /* 1e-10 V; table 3 */
static const double data_rates[] = { 8, 16, 32, 64, 128, 250, 475, 860 };
#define N_DATA_RATE (sizeof data_rates / sizeof *data_rates)

static int configure(struct psa_sensor *sensor, struct psa_error *error);
static int start(struct psa_sensor *sensor, struct psa_fault *fault);
static int read_once(struct psa_sensor *sensor, struct psa_fault *fault);
static bool identify(struct psa_i2c *i2c, uint8_t address);

const struct psa_sensor_driver psa_driver_ads1115 = {
    .name = "ads1115",
    .summary = "Texas Instruments ADS1115: an analogue voltage, one of four inputs or a difference of two",
    .usage = "ads1115:i2c-N[@0x48|0x49|0x4a|0x4b]/INPUT",
    .sensor_type = "voltage",
    .sensor_model = "ADS1115",
    .bus = PSA_BUS_I2C,
    .options = options,
    .config_size = sizeof(struct ads1115_config),
    .state_size = sizeof(struct ads1115_state),
    .addresses = addresses,
    .needs_line = true,
    .takes_line = true,
    .every_ns = 1000000000,
    .failures = 3,
    .configure = configure,
    .start = start,
    .read = read_once,
    .identify = identify,
    .notes = "INPUT is 0, 1, 2 or 3 against ground, or 0-1, 0-3, 1-3 or 2-3, the first minus the second",
};

/* ---- configuration ----------------------------------------------------------------------------------------------- */

/* The longest time of a reading, transfers included. */
static double reading_ns(const struct psa_sensor *sensor, double data_rate)
{
    const double transfers_ns = READING_BITS / psa_sensor_bus_hz(sensor, NULL) * NS_PER_S;

    return WAKE_NS + NS_PER_S / (SLOWEST * data_rate) + transfers_ns;
}

static int refuse_rate(const struct psa_sensor *sensor, double data_rate, struct psa_error *error)
{
    const struct ads1115_config *config = sensor->config;
    const int most = (int)(NS_PER_S / reading_ns(sensor, data_rate));
    const char *source;
    const double bus_hz = psa_sensor_bus_hz(sensor, &source);

    if (config->dr > 0 && data_rate < data_rates[N_DATA_RATE - 1])
        return psa_sensor_refuse(sensor, error, "%.6g readings a second are too many: with dr=%g there can be %d",
                                 sensor->rate_hz, data_rate, most);
    return psa_sensor_refuse(
        sensor, error, "%.6g readings a second are too many: there can be %d on a bus of %g kHz (%s)%s",
        sensor->rate_hz, most, bus_hz / 1e3, source,
        sensor->bus_hz > 0 || sensor->system_hz > 0 ? "" : "; if it runs at 400 kHz, say bus=400kHz");
}

/* The code of the data rate: of dr=, or the slowest that leaves time for four inputs, or the fastest. */
static int choose_data_rate(const struct psa_sensor *sensor, size_t *code, struct psa_error *error)
{
    const struct ads1115_config *config = sensor->config;

    for (*code = 0; *code < N_DATA_RATE; ++*code) {
        if (config->dr > 0 ? data_rates[*code] == config->dr
                           : reading_ns(sensor, data_rates[*code]) * TURN_SHARE <= sensor->period_exact_ns)
            break;
    }
    if (*code == N_DATA_RATE) {
        if (config->dr > 0)
            return psa_sensor_refuse(sensor, error,
                                     "dr: the chip has no data rate of %g; 8, 16, 32, 64, 128, 250, 475 "
                                     "and 860 there are",
                                     config->dr);
        *code = N_DATA_RATE - 1;
    }
    if (reading_ns(sensor, data_rates[*code]) > sensor->period_exact_ns)
        return refuse_rate(sensor, data_rates[*code], error);
    return 0;
}

/* A name that stands in JSON and in other stages' options as it is. */
static bool is_name(const char *text)
{
    const size_t n = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-");

    return n > 0 && text[n] == '\0';
}

static int configure(struct psa_sensor *sensor, struct psa_error *error)
{
    struct ads1115_config *config = sensor->config;
    size_t input, pga, dr;

    sensor->bus_hz = config->bus_hz;
    if (psa_sensor_choose(sensor, "input", sensor->line, inputs, &input, error) != 0 ||
        psa_sensor_choose(sensor, "range", config->range, ranges, &pga, error) != 0 ||
        choose_data_rate(sensor, &dr, error) != 0)
        return -1;
    if (!is_name(config->field))
        return psa_sensor_refuse(sensor, error, "field: '%s' is no name; letters, digits, _ and - make one",
                                 config->field);
    if (config->scale == 0 || !isfinite(config->scale) || !isfinite(config->offset))
        return psa_sensor_refuse(sensor, error, "scale must not be 0, nor scale or offset infinite");
    config->word =
        (uint16_t)((input + N_SINGLE_ENDED) % (2 * N_SINGLE_ENDED) << CONFIG_MUX_SHIFT | pga << CONFIG_PGA_SHIFT |
                   dr << CONFIG_DR_SHIFT | CONFIG_SINGLE_SHOT | CONFIG_NO_COMPARATOR);
    config->lsb = lsb_of_range[pga];
    config->typical_ns = NS_PER_S / data_rates[dr];
    config->longest_ns = (int64_t)(WAKE_NS + config->typical_ns / SLOWEST);
    sensor->field[0] = config->field;
    sensor->n_field = 1;
    sensor->bits_per_s = READING_BITS * sensor->rate_hz;
    return 0;
}

/* ---- the chip ---------------------------------------------------------------------------------------------------- */

static int read_word(struct psa_i2c *i2c, uint8_t reg, uint16_t *word, struct psa_fault *fault)
{
    uint8_t p[2];

    if (psa_i2c_read(i2c, reg, p, sizeof p, fault) != 0) return -1;
    *word = (uint16_t)(p[0] << 8 | p[1]);
    return 0;
}

static int write_config(struct psa_i2c *i2c, uint16_t word, struct psa_fault *fault)
{
    const uint8_t p[2] = { (uint8_t)(word >> 8), (uint8_t)(word & 0xff) };

    return i2c->calls->write(i2c, REG_CONFIG, p, sizeof p, fault);
}

/* The chip has no identity. One that keeps the configuration as it was written is taken for it. */
static int start(struct psa_sensor *sensor, struct psa_fault *fault)
{
    const struct ads1115_config *config = sensor->config;
    uint16_t kept = 0;
    int status;

    sensor->i2c->register_bytes = REGISTER_BYTES;
    sensor->world->hold(sensor, true);
    status = write_config(sensor->i2c, config->word, fault);
    if (status == 0) status = read_word(sensor->i2c, REG_CONFIG, &kept, fault);
    sensor->world->hold(sensor, false);
    if (status != 0 || (kept & ~CONFIG_OS) == config->word) return status;
    return psa_fault_set(fault, PSA_FAULT_WRONG,
                         "0x%02x on %s is no ADS1115: it made 0x%04x of the configuration 0x%04x", sensor->address,
                         sensor->bus, kept, config->word);
}

/* Wait for the conversion that began at began_ns. 0, 1: a stop is asked for, or -1. */
static int wait_done(struct psa_sensor *sensor, int64_t began_ns, struct psa_fault *fault)
{
    const struct ads1115_config *config = sensor->config;
    const int64_t longest_ns = config->longest_ns;
    uint16_t kept;

    for (int64_t wait_ns = longest_ns;; wait_ns += longest_ns / POLL_SHARE) {
        if (!sensor->world->sleep_until(sensor, began_ns + wait_ns)) return 1;
        if (read_word(sensor->i2c, REG_CONFIG, &kept, fault) != 0) return -1;
        if ((kept & ~CONFIG_OS) != config->word)
            return psa_fault_set(
                fault, PSA_FAULT_BUSY,
                "0x%02x on %s: the configuration changed from 0x%04x to 0x%04x; does another program use "
                "the chip, or did it lose its supply?",
                sensor->address, sensor->bus, config->word, kept & ~CONFIG_OS);
        if (kept & CONFIG_OS) return 0;
        if (wait_ns >= longest_ns * (1 + OVERTIME_SHARE))
            return psa_fault_set(fault, PSA_FAULT_TIMEOUT,
                                 "0x%02x on %s: a conversion of %.1f ms at most is not done after %.1f ms",
                                 sensor->address, sensor->bus, (double)longest_ns / 1e6, (double)wait_ns / 1e6);
    }
}

/* *taken_ns: the middle of the conversion. */
static int convert(struct psa_sensor *sensor, uint16_t *code, int64_t *taken_ns, struct psa_fault *fault)
{
    const struct ads1115_config *config = sensor->config;
    int64_t began_ns;
    int status;

    if (write_config(sensor->i2c, config->word | CONFIG_OS, fault) != 0) return -1;
    began_ns = sensor->world->now_ns(sensor);
    *taken_ns = began_ns + (int64_t)(WAKE_NS + config->typical_ns / 2);
    status = wait_done(sensor, began_ns, fault);
    return status != 0 ? status : read_word(sensor->i2c, REG_CONVERSION, code, fault);
}

/* A value at an end of the range stands for all beyond it. It is handed on: it is the nearest to the truth that there
 * is, and no value at all would hide just the strongest shocks from the stages behind. People are told. */
static void note_clipped(struct psa_sensor *sensor, int64_t taken_ns)
{
    const struct ads1115_config *config = sensor->config;
    struct ads1115_state *state = sensor->state;
    char text[160];

    state->clipped++;
    if (state->warned_ns != 0 && taken_ns - state->warned_ns < CLIP_WARN_NS) return;
    snprintf(text, sizeof text,
             "%lld reading%s at the end of the range of %s: the true value is beyond; choose a wider range",
             (long long)state->clipped, state->clipped == 1 ? "" : "s", config->range);
    sensor->world->warn(sensor, text);
    state->clipped = 0;
    state->warned_ns = taken_ns;
}

static int read_once(struct psa_sensor *sensor, struct psa_fault *fault)
{
    const struct ads1115_config *config = sensor->config;
    uint16_t code;
    int64_t taken_ns;
    double volts, value;
    int status;

    sensor->world->hold(sensor, true);
    status = convert(sensor, &code, &taken_ns, fault);
    sensor->world->hold(sensor, false);
    if (status != 0) return status < 0 ? -1 : 0;
    if (code == 0x7fff || code == 0x8000) note_clipped(sensor, taken_ns);
    /* Whole numbers divided once: the shortest decimal has no more digits than the step has. */
    volts = (double)((int16_t)code * config->lsb) / 1e10;
    value = (volts - config->offset) * config->scale;
    sensor->world->emit(sensor, taken_ns, &value);
    return 0;
}

/* By what its registers hold after the power came, and what this driver leaves. An ADS1113, 1114 or 1015 looks the
 * same. */
static bool identify(struct psa_i2c *i2c, uint8_t address)
{
    struct psa_fault fault;
    uint16_t config, low, high;

    if (address < addresses[0] || address > addresses[3]) return false;
    i2c->register_bytes = REGISTER_BYTES;
    return read_word(i2c, REG_CONFIG, &config, &fault) == 0 && read_word(i2c, REG_LO_THRESH, &low, &fault) == 0 &&
           read_word(i2c, REG_HI_THRESH, &high, &fault) == 0 && low == LO_THRESH_RESET && high == HI_THRESH_RESET &&
           (config & 0x001f) == CONFIG_NO_COMPARATOR;
}
