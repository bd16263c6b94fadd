/*
 * dht.c - DHT11 and DHT22 (AM2302): temperature and humidity over one wire that both sides pull down. The host asks by
 * holding the line low, lets go, and the sensor answers with 40 bits within 5 ms (dht_decode.c).
 *
 * Sources: Aosong, AM2302 Product Manual, section 7 (times, order and meaning of the bits, two seconds between readings);
 * Aosong, DHT11 data sheet, sections 4 and 5, and its edition 1.3 of ASAIR for the decimals and the sign. All say that an
 * answer is what was measured after the one before it.
 */
#include "sensor/dht.h"

#include "sensor/drivers.h"

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

/* From the release of the line to the end of the answer: 40 us + 160 us + 40 * 120 us + 50 us, and interrupts that come
 * late. The time is slept through, so that waking up for edges does not delay the hearing of others. */
#define ANSWER_NS (8 * NS_PER_MS)
/* An answer measured longer ago is old news: the sensor is asked twice. */
#define STALE_NS (10 * NS_PER_S)
/* A reading may come this much sooner after the one before: deadlines are met with some jitter. */
#define SLACK_NS (50 * NS_PER_MS)
#define EDGES_KEPT 256 /* room for an answer and a noisy line before it */
/* An answer, the host's own edge and a few of a plug that is moved: what has more is not a DHT's alone. */
#define EDGES_OWN (PSA_DHT_EDGES + 8)

struct part {
    const char *name;
    int64_t between_ns; /* two readings, at least */
    int64_t start_ns;   /* how long the host holds the line low */
    int64_t start_least_ns;
    bool (*convert)(const uint8_t byte[4], double *temperature_C, double *humidity_pct);
    bool (*convert_other)(const uint8_t byte[4], double *temperature_C, double *humidity_pct);
    const char *other;
};

/* DHT11 data sheet, section 5.2: at least 18 ms (edition 1.3: at most 30 ms). AM2302 manual: 0.8 to 20 ms, 1 ms typically; the
 * older DHT22 sheet: 1 to 10 ms. */
static const struct part dht11 = { "DHT11",           NS_PER_S,          20 * NS_PER_MS, 18 * NS_PER_MS,
                                   psa_dht11_convert, psa_dht22_convert, "dht22" };
static const struct part dht22 = { "DHT22",           2 * NS_PER_S,      2 * NS_PER_MS, NS_PER_MS,
                                   psa_dht22_convert, psa_dht11_convert, "dht11" };

struct config {
    const char *pull;
    int64_t start_ns;
    size_t pull_index; /* enum psa_gpio_pull */
};

struct state {
    int64_t asked_ns; /* last; 0: never */
    struct psa_edge edge[EDGES_KEPT];
};

#define AT(member) offsetof(struct config, member)
static const struct psa_option options[] = {
    { .name = "pull",
      .type = PSA_OPT_TEXT,
      .offset = AT(pull),
      .metavar = "WAY",
      .initial = "up",
      .help = "the line's own resistor: up, down, none or as-is" },
    { .name = "start",
      .type = PSA_OPT_DURATION,
      .offset = AT(start_ns),
      .metavar = "TIME",
      .min = 5e5,
      .max = 30e6,
      .help = "how long to hold the line low to ask (default: 20ms, dht22 2ms)" },
    { .type = PSA_OPT_END },
};

static const struct part *part_of(const struct psa_sensor *sensor)
{
    return sensor->driver == &psa_driver_dht11 ? &dht11 : &dht22;
}

/* ---- conversion -------------------------------------------------------------------------------------------------------- */

/*
 * DHT11 data sheet, section 5: whole and decimal of the humidity, whole and decimal of the temperature. The first parts left the
 * decimals 0; later ones (edition 1.3) give the temperature's, and in its highest bit the sign. Edition 1.3: 5 to 95 %, -20 to
 * 60 degrees; a humidity of 0 is a line that was held low.
 */
bool psa_dht11_convert(const uint8_t byte[4], double *temperature_C, double *humidity_pct)
{
    const int humidity = byte[0] * 10 + byte[1], size = byte[2] * 10 + (byte[3] & 0x7f);
    const int temperature = byte[3] & 0x80 ? -size : size;

    if (byte[1] > 9 || (byte[3] & 0x7f) > 9) return false;
    if (humidity == 0 || humidity > 1000 || temperature < -200 || temperature > 600) return false;
    *humidity_pct = humidity / 10.0;
    *temperature_C = temperature / 10.0;
    return true;
}

/*
 * AM2302 manual, section 7.2: tenths of a per cent, tenths of a degree with a sign bit: 1000 0000 0110 0101 is -10.1. There
 * are parts that give negative temperatures in two's complement instead, -0.1 being 0xffff. The two cannot be mistaken for each
 * other, since the smallest in the one would be below -3000 degrees in the other.
 */
bool psa_dht22_convert(const uint8_t byte[4], double *temperature_C, double *humidity_pct)
{
    const int humidity = byte[0] << 8 | byte[1], raw = byte[2] << 8 | byte[3];
    int temperature = raw;

    if (raw >= 0xf000) temperature = raw - 0x10000;
    else if (raw & 0x8000) temperature = -(raw & 0x7fff);
    if (humidity > 1000 || temperature < -400 || temperature > 1250) return false;
    if (humidity == 0 && temperature == 0) return false; /* a line that was held low */
    *humidity_pct = humidity / 10.0;
    *temperature_C = temperature / 10.0;
    return true;
}

/* ---- asking ------------------------------------------------------------------------------------------------------------ */

/* Ask, and hear the edges into the state. *n SIZE_MAX: a stop was asked for meanwhile. */
static int ask(struct psa_sensor *sensor, size_t *n, struct psa_fault *fault)
{
    const struct config *config = sensor->config;
    const struct psa_world *world = sensor->world;
    struct state *state = sensor->state;
    struct psa_gpio *gpio = sensor->gpio;
    bool go_on;

    *n = SIZE_MAX;
    if (gpio->calls->drive(gpio, false, fault) != 0) return -1;
    state->asked_ns = world->now_ns(sensor);
    go_on = world->sleep_until(sensor, state->asked_ns + config->start_ns);
    if (gpio->calls->listen(gpio, fault) != 0) return -1;
    if (!go_on || !world->sleep_until(sensor, world->now_ns(sensor) + ANSWER_NS)) return 0;
    return gpio->calls->edges(gpio, state->edge, EDGES_KEPT, world->now_ns(sensor), n, fault);
}

static int fail_silent(const struct psa_sensor *sensor, size_t n, struct psa_fault *fault)
{
    bool high = true;

    if (sensor->gpio->calls->value(sensor->gpio, &high, fault) != 0) return -1;
    if (!high)
        return psa_fault_set(
            fault, PSA_FAULT_ABSENT,
            "the line stays low: the %s has no power, the pull-up is missing, or there is a short to ground",
            part_of(sensor)->name);
    return psa_fault_set(fault, PSA_FAULT_ABSENT,
                         "no answer (%zu edges of %d); check the %s's wiring, power and line number", n, PSA_DHT_EDGES,
                         part_of(sensor)->name);
}

/* Edges too few or too late to be read, or too many. */
static int fail_unread(const struct psa_sensor *sensor, size_t n, struct psa_fault *fault)
{
    if (n > EDGES_OWN)
        return psa_fault_set(
            fault, PSA_FAULT_IO,
            "%zu%s edges where an answer has %d: noise, or something else than a %s drives the line; check the line "
            "number, and the cable",
            n, n == EDGES_KEPT ? " or more" : "", PSA_DHT_EDGES, part_of(sensor)->name);
    return psa_fault_set(
        fault, PSA_FAULT_IO,
        "an answer that cannot be read (%zu edges of %d): this machine was too busy to hear them, or the "
        "cable is long or noisy",
        n, PSA_DHT_EDGES);
}

/* A reading out of the n edges of the state. */
static int understand(struct psa_sensor *sensor, size_t n, double value[2], struct psa_fault *fault)
{
    const struct part *part = part_of(sensor);
    const struct state *state = sensor->state;
    double other[2];
    uint8_t byte[5];

    switch (psa_dht_decode(state->edge, n, byte)) {
    case PSA_DHT_OK: break;
    case PSA_DHT_SILENT: return fail_silent(sensor, n, fault);
    case PSA_DHT_FEW: return fail_unread(sensor, n, fault);
    case PSA_DHT_CHECKSUM:
        if (n > EDGES_OWN) return fail_unread(sensor, n, fault);
        return psa_fault_set(fault, PSA_FAULT_CHECKSUM,
                             "the checksum is wrong (%zu edges of %d); now and then that is normal", n, PSA_DHT_EDGES);
    }
    if (part->convert(byte, &value[0], &value[1])) return 0;
    return psa_fault_set(fault, PSA_FAULT_WRONG, "no %s says %02x %02x %02x %02x%s%s", part->name, byte[0], byte[1],
                         byte[2], byte[3], part->convert_other(byte, &other[0], &other[1]) ? "; try the driver " : "",
                         part->convert_other(byte, &other[0], &other[1]) ? part->other : "");
}

/* ---- the driver -------------------------------------------------------------------------------------------------------- */

static int configure(struct psa_sensor *sensor, struct psa_error *error)
{
    static const char *const pulls[] = { "as-is", "none", "up", "down", NULL };
    const struct part *part = part_of(sensor);
    struct config *config = sensor->config;

    if (psa_sensor_choose(sensor, "pull", config->pull, pulls, &config->pull_index, error) != 0) return -1;
    if (config->start_ns == 0) config->start_ns = part->start_ns;
    if (config->start_ns < part->start_least_ns)
        return psa_sensor_refuse(sensor, error, "start: a %s hears nothing shorter than %d ms", part->name,
                                 (int)(part->start_least_ns / NS_PER_MS));
    if (sensor->period_ns < part->between_ns)
        return psa_sensor_refuse(sensor, error, "a %s measures no more often than every %d s; give every=%ds or more",
                                 part->name, (int)(part->between_ns / NS_PER_S), (int)(part->between_ns / NS_PER_S));
    sensor->field[0] = "temperature_C";
    sensor->field[1] = "humidity_pct";
    sensor->n_field = 2;
    return 0;
}

static void gpio_setup(const struct psa_sensor *sensor, struct psa_gpio_setup *setup)
{
    const struct config *config = sensor->config;

    setup->pull = (enum psa_gpio_pull)config->pull_index;
    setup->buffer = EDGES_KEPT;
}

/*
 * The first answer is measured when somebody asked last, which may be long ago: it is thrown away. It also tells whether
 * a sensor is there. One that was asked by another program less than the least interval ago, or has just got its power, may
 * say nothing, so that silence counts only when it is repeated.
 */
static int start(struct psa_sensor *sensor, struct psa_fault *fault)
{
    const struct psa_world *world = sensor->world;
    const struct state *state = sensor->state;
    size_t n = 0;
    uint8_t byte[5];

    for (int try = 0; try < 2; try++) {
        if (ask(sensor, &n, fault) != 0) return -1;
        if (n == SIZE_MAX || !world->sleep_until(sensor, state->asked_ns + part_of(sensor)->between_ns)) return 0;
        if (psa_dht_decode(state->edge, n, byte) != PSA_DHT_SILENT) return 0;
    }
    return fail_silent(sensor, n, fault);
}

static int read_values(struct psa_sensor *sensor, struct psa_fault *fault)
{
    const struct psa_world *world = sensor->world;
    const int64_t between_ns = part_of(sensor)->between_ns;
    const struct state *state = sensor->state;
    double value[2];
    size_t n;

    /* What fails here shows again below. */
    if (world->now_ns(sensor) - state->asked_ns > STALE_NS && ask(sensor, &n, fault) != 0) return -1;
    if (world->now_ns(sensor) - state->asked_ns < between_ns - SLACK_NS &&
        !world->sleep_until(sensor, state->asked_ns + between_ns))
        return 0;
    if (ask(sensor, &n, fault) != 0) return -1;
    if (n == SIZE_MAX) return 0;
    if (understand(sensor, n, value, fault) != 0) return -1;
    world->emit(sensor, state->edge[n - 1].at_ns, value);
    return 0;
}

/* However it ended, the line is not left pulled down. */
static void stop(struct psa_sensor *sensor)
{
    struct psa_fault ignored;

    if (sensor->gpio != NULL) (void)sensor->gpio->calls->listen(sensor->gpio, &ignored);
}

/* The same fields, hence the same type: what is made for the one works for the other. */
/* NOLINTBEGIN(bugprone-macro-parentheses): they are strings that initialise */
#define DHT(NAME, MODEL, SUMMARY)                                                                             \
    {                                                                                                         \
        .name = NAME, .summary = SUMMARY, .usage = NAME ":gpiochipN/LINE", .sensor_type = "dht11",            \
        .sensor_model = MODEL, .bus = PSA_BUS_GPIO, .options = options, .config_size = sizeof(struct config), \
        .state_size = sizeof(struct state), .needs_line = true, .every_ns = 2 * NS_PER_S, .failures = 3,      \
        .patience_ns = 10 * NS_PER_S, .configure = configure, .gpio_setup = gpio_setup, .start = start,       \
        .read = read_values, .stop = stop, .notes = "fields: temperature_C, humidity_pct"                     \
    }
/* NOLINTEND(bugprone-macro-parentheses) */

const struct psa_sensor_driver psa_driver_dht11 =
    DHT("dht11", "DHT11", "DHT11: temperature and humidity, GPIO, once a second at most");
const struct psa_sensor_driver psa_driver_dht22 =
    DHT("dht22", "DHT22", "DHT22, AM2302: temperature and humidity, GPIO, every 2 s at most");
