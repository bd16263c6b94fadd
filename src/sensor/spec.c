/*
 * spec.c - reads the argument that names a sensor, driver.h: `driver:bus[@address][/line][?option=value&...]`.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/json.h"
#include "sensor/driver.h"

/* Where neither the argument nor the system says a bus's clock: standard mode, UM10204 section 3.1. */
#define BUS_ASSUMED_HZ 100000.0
/* Lines of one GPIO chip: more than any has. */
#define LINES_MAX 65536

#define AT(member) offsetof(struct psa_sensor_common, member)
const struct psa_option psa_sensor_options[] = {
    { .name = "id", .type = PSA_OPT_TEXT, .offset = AT(id), .metavar = "NAME", .help = "sensor_id of the readings" },
    { .name = "type", .type = PSA_OPT_TEXT, .offset = AT(type), .metavar = "NAME", .help = "another sensor_type" },
    { .name = "model", .type = PSA_OPT_TEXT, .offset = AT(model), .metavar = "NAME", .help = "another sensor_model" },
    { .name = "every",
      .type = PSA_OPT_DURATION,
      .offset = AT(every_ns),
      .metavar = "TIME",
      .min = 1e5,
      .max = 86400e9,
      .help = "time between two readings" },
    { .name = "rate",
      .type = PSA_OPT_RATE,
      .offset = AT(rate_hz),
      .metavar = "HZ",
      .min = 1e-5,
      .max = 10000,
      .help = "readings a second, in place of every" },
    { .name = "failures",
      .type = PSA_OPT_COUNT,
      .offset = AT(failures),
      .metavar = "N",
      .min = 1,
      .max = 1e6,
      .help = "failed readings in a row until the sensor counts as down (default: 3; mpu6050 5, digital 1)" },
    { .name = "block",
      .type = PSA_OPT_COUNT,
      .offset = AT(block),
      .metavar = "N",
      .min = 1,
      .max = PSA_SENSOR_BLOCK_MAX,
      .help = "write a record of N consecutive readings, its fields being arrays" },
    { .type = PSA_OPT_END },
};

int psa_sensor_refuse(const struct psa_sensor *sensor, struct psa_error *error, const char *format, ...)
{
    char sentence[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    return psa_fail(error, PSA_EXIT_PERMANENT, "%s: %s", sensor->text, sentence);
}

int psa_sensor_choose(const struct psa_sensor *sensor, const char *option, const char *text, const char *const *choices,
                      size_t *index, struct psa_error *error)
{
    const size_t n = strlen(text);
    char all[256] = "";

    for (size_t i = 0; choices[i] != NULL; i++) {
        if (strcmp(text, choices[i]) != 0) continue;
        *index = i;
        return 0;
    }
    for (size_t i = 0; choices[i] != NULL; i++) { /* none has exactly this spelling: 4 is 4g */
        if (n > 0 && strspn(choices[i], "0123456789.") == n && memcmp(text, choices[i], n) == 0) {
            *index = i;
            return 0;
        }
        if (i > 0) strncat(all, choices[i + 1] == NULL ? " and " : ", ", sizeof all - strlen(all) - 1);
        strncat(all, choices[i], sizeof all - strlen(all) - 1);
    }
    return psa_sensor_refuse(sensor, error, "%s: '%s' is none of %s", option, text, all);
}

double psa_sensor_bus_hz(const struct psa_sensor *sensor, const char **source)
{
    const bool told = sensor->bus_hz > 0, known = told || sensor->system_hz > 0;

    if (source != NULL)
        *source = told ? "as its argument says" : known ? "as the device tree says" : "assumed, since nobody says";
    return told ? sensor->bus_hz : known ? sensor->system_hz : BUS_ASSUMED_HZ;
}

/* ---- the parts of an argument -------------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* %XX to bytes, in place. Returns what is wrong with it, or NULL. */
static const char *decode_percent(char *text)
{
    char *out = text;

    for (; *text != '\0'; text++) {
        if (*text != '%') {
            *out++ = *text;
            continue;
        }
        const int high = hex_digit(text[1]), low = high < 0 ? -1 : hex_digit(text[2]);
        if (low < 0) return "a % must be followed by two hexadecimal digits";
        if (high * 16 + low == 0) return "%00 cannot be part of a text";
        *out++ = (char)(high * 16 + low);
        text += 2;
    }
    *out = '\0';
    return NULL;
}

/* A blank or a control byte was meant to end the argument, or came out of a file by mistake; in an id nobody would see it. */
static int check_bytes(const char *text, struct psa_error *error)
{
    const char *p = text;

    while (*p != '\0' && (unsigned char)*p > ' ' && *p != 0x7f) p++;
    if (*p == '\0') return psa_utf8_is(text) ? 0 : psa_fail(error, PSA_EXIT_PERMANENT, "'%s' is no UTF-8", text);
    if (*p == ' ' || *p == '\t')
        return psa_fail(
            error, PSA_EXIT_PERMANENT,
            "'%.*s' has a blank behind it; each sensor is an argument, or in a file a line, of its own, and "
            "%%20 is a blank in a name",
            (int)(p - text), text);
    return psa_fail(error, PSA_EXIT_PERMANENT, "'%.*s' has a control byte behind it, 0x%02x", (int)(p - text), text,
                    (unsigned char)*p);
}

/* 0x68, 68h is none, 104. */
static int read_address(struct psa_sensor *sensor, const char *text, struct psa_error *error)
{
    char *end;
    const unsigned long address = strtoul(text, &end, 0);

    if (*text < '0' || *text > '9' || *end != '\0' || address < 0x03 || address > 0x77)
        return psa_sensor_refuse(sensor, error, "'%s' is no I2C address; 0x03 to 0x77 are", text);
    sensor->address = (uint8_t)address;
    for (const uint8_t *known = sensor->driver->addresses; known != NULL && *known != 0; known++) {
        if (*known == address) return 0;
    }
    return psa_sensor_refuse(sensor, error, "a %s has no address 0x%02lx; see --list", sensor->driver->sensor_model,
                             address);
}

/* What the system counts from 0: "i2c-1", or "1" alone. */
static bool is_numbered(const char *name, const char *prefix)
{
    const size_t n = strlen(prefix);

    if (strncmp(name, prefix, n) == 0) name += n;
    return *name != '\0' && strlen(name) < 8 && name[strspn(name, "0123456789")] == '\0' &&
           (*name != '0' || name[1] == '\0');
}

/* A bus whose name can never be one is no absent one, to be waited for. GPIO chips have labels, of any kind; an I2C adapter
 * may have a name of udev's, for those whose number changes, but then it is given as a file. */
static int check_bus(const struct psa_sensor *sensor, bool is_file, struct psa_error *error)
{
    const char *bus = sensor->bus;

    if (sensor->driver->bus == PSA_BUS_I2C && !is_file && !is_numbered(bus, "i2c-"))
        return psa_sensor_refuse(sensor, error,
                                 "'%s' is no I2C bus; i2c-1 is one, /dev/%s would be a name that udev gave, and "
                                 "sensord --probe shows them",
                                 bus, bus);
    if (sensor->driver->bus == PSA_BUS_GPIO && bus[strspn(bus, "0123456789")] == '\0' && !is_numbered(bus, ""))
        return psa_sensor_refuse(sensor, error, "'%s' is no GPIO chip; gpiochip0 is one, or a label", bus);
    return 0;
}

/* A GPIO line is a number. */
static int check_line(const struct psa_sensor *sensor, struct psa_error *error)
{
    const char *line = sensor->line;

    if (line == NULL || sensor->driver->bus != PSA_BUS_GPIO) return 0;
    if (line[strspn(line, "0123456789")] == '\0' && strlen(line) < 8 && strtoul(line, NULL, 10) < LINES_MAX) return 0;
    return psa_sensor_refuse(sensor, error, "'%s' is no line of a GPIO chip; they are counted from 0", line);
}

/* bus[@address][/line], cut in place. */
static int read_place(struct psa_sensor *sensor, char *place, struct psa_error *error)
{
    const struct psa_sensor_driver *driver = sensor->driver;
    const bool is_file = strncmp(place, "/dev/", 5) == 0;
    const char *wrong;
    char *line, *at;

    if (is_file) place += 5; /* the same bus */
    line = strchr(place, '/');
    sensor->bus = place;
    if (line != NULL) {
        *line++ = '\0';
        sensor->line = line;
    }
    at = strchr(place, '@');
    if (at != NULL) *at++ = '\0';
    if (*place == '\0') return psa_sensor_refuse(sensor, error, "no bus; it is %s", driver->usage);
    wrong = decode_percent(place);
    if (wrong == NULL && line != NULL) wrong = decode_percent(line);
    if (wrong == NULL && !(psa_utf8_is(place) && (line == NULL || psa_utf8_is(line)))) wrong = "that is no UTF-8";
    if (wrong != NULL) return psa_sensor_refuse(sensor, error, "%s", wrong);
    if (line != NULL && !driver->takes_line && !driver->needs_line)
        return psa_sensor_refuse(sensor, error, "'/%s' means nothing here; it is %s", line, driver->usage);
    if ((line == NULL && driver->needs_line) || (line != NULL && *line == '\0'))
        return psa_sensor_refuse(sensor, error, "no line; it is %s", driver->usage);
    if (check_bus(sensor, is_file, error) != 0 || check_line(sensor, error) != 0) return -1;
    if (driver->bus == PSA_BUS_I2C) {
        sensor->address = driver->addresses[0];
        return at != NULL ? read_address(sensor, at, error) : 0;
    }
    return at == NULL ? 0 : psa_sensor_refuse(sensor, error, "'@%s' means nothing here; it is %s", at, driver->usage);
}

/* ---- options ------------------------------------------------------------------------------------------------------- */

static const struct psa_option *option_named(const struct psa_option *table, const char *name)
{
    for (; table != NULL && table->type != PSA_OPT_END; table++) {
        if (strcmp(table->name, name) == 0) return table;
    }
    return NULL;
}

/* Which options have been given: a bit for each place in its table. */
struct given {
    uint64_t common, own;
};

/* One `name=value`; a flag stands alone. */
static int read_option(struct psa_sensor *sensor, char *text, struct given *given, struct psa_error *error)
{
    char *value = strchr(text, '='), what[160];
    const char *wrong;
    const struct psa_option *option, *table = sensor->driver->options;
    void *config = sensor->config;
    uint64_t *seen = &given->own;
    struct psa_error why = { 0 };

    if (value != NULL) *value++ = '\0';
    option = option_named(table, text);
    if (option == NULL) {
        table = psa_sensor_options;
        option = option_named(table, text);
        config = &sensor->common;
        seen = &given->common;
    }
    if (option == NULL)
        return psa_sensor_refuse(sensor, error, "a %s has no option '%s'; sensord --list shows them",
                                 sensor->driver->name, text);
    if ((value != NULL) != (option->type != PSA_OPT_FLAG))
        return psa_sensor_refuse(sensor, error, value != NULL ? "%s takes no value" : "%s needs a value", text);
    wrong = value != NULL ? decode_percent(value) : NULL;
    if (wrong != NULL) return psa_sensor_refuse(sensor, error, "%s: %s", text, wrong);
    const uint64_t bit = UINT64_C(1) << (option - table);
    if ((*seen & bit) != 0 && option->type != PSA_OPT_CALL)
        return psa_sensor_refuse(sensor, error, "%s is given twice", text);
    *seen |= bit;
    snprintf(what, sizeof what, "%s: %s", sensor->text, text);
    if (option->type != PSA_OPT_CALL) return psa_option_store(option, config, what, value, error);
    if (option->take(config, option, value, &why) == 0) return 0;
    return psa_sensor_refuse(sensor, error, "%s", why.text);
}

/* What goes into every record must be text that JSON may carry. */
static int check_name(const struct psa_sensor *sensor, const char *option, const char *name, struct psa_error *error)
{
    if (name == NULL) return 0;
    if (*name == '\0') return psa_sensor_refuse(sensor, error, "%s is empty", option);
    return psa_utf8_is(name) ? 0 : psa_sensor_refuse(sensor, error, "%s is no UTF-8", option);
}

static int read_options(struct psa_sensor *sensor, char *text, struct psa_error *error)
{
    const struct psa_option_set set[2] = { { psa_sensor_options, &sensor->common },
                                           { sensor->driver->options, sensor->config } };
    struct given given = { 0 };

    if (psa_options_default(set, 2, error) != 0) return -1;
    while (text != NULL) {
        char *next = strchr(text, '&');
        if (next != NULL) *next++ = '\0';
        if (*text != '\0' && read_option(sensor, text, &given, error) != 0) return -1;
        text = next;
    }
    if (sensor->common.rate_hz > 0 && sensor->common.every_ns > 0)
        return psa_sensor_refuse(sensor, error, "rate and every say the same thing twice; give one");
    if (check_name(sensor, "id", sensor->common.id, error) != 0) return -1;
    if (check_name(sensor, "type", sensor->common.type, error) != 0) return -1;
    if (sensor->common.type != NULL && strcmp(sensor->common.type, "status") == 0)
        return psa_sensor_refuse(sensor, error, "type=status is what records about sensors have; give another");
    return check_name(sensor, "model", sensor->common.model, error);
}

/* ---- a sensor -------------------------------------------------------------------------------------------------------- */

/* What the options say, where configure() has no other wish. */
static void preset(struct psa_sensor *sensor)
{
    const struct psa_sensor_driver *driver = sensor->driver;
    const struct psa_sensor_common *common = &sensor->common;

    sensor->id = common->id != NULL ? common->id : sensor->text;
    sensor->type = common->type != NULL ? common->type : driver->sensor_type;
    sensor->model = common->model != NULL ? common->model : driver->sensor_model;
    sensor->period_exact_ns = common->rate_hz > 0    ? 1e9 / common->rate_hz
                              : common->every_ns > 0 ? (double)common->every_ns
                                                     : (double)driver->every_ns;
    sensor->period_ns = (int64_t)(sensor->period_exact_ns + 0.5);
    sensor->rate_hz = sensor->period_exact_ns > 0 ? 1e9 / sensor->period_exact_ns : 0;
    if (sensor->common.failures == 0) sensor->common.failures = driver->failures;
}

/* Copy the argument twice: once to be cut, once for messages, without the options. */
static int store_text(struct psa_sensor *sensor, const char *text, char **place, char **options)
{
    const size_t n = strlen(text) + 1, shown = strcspn(text, "?");

    sensor->store = malloc(n + shown + 1);
    if (sensor->store == NULL) return -1;
    memcpy(sensor->store, text, n);
    memcpy(sensor->store + n, text, shown);
    sensor->store[n + shown] = '\0';
    sensor->text = sensor->store + n;
    *options = strchr(sensor->store, '?');
    if (*options != NULL) *(*options)++ = '\0';
    *place = strchr(sensor->store, ':');
    *(*place)++ = '\0';
    return 0;
}

static struct psa_sensor *allocate(const struct psa_sensor_driver *driver)
{
    struct psa_sensor *sensor = calloc(1, sizeof *sensor);

    if (sensor == NULL) return NULL;
    sensor->driver = driver;
    sensor->stop_fd = -1;
    sensor->config = calloc(1, driver->config_size + 1);
    sensor->state = calloc(1, driver->state_size + 1);
    if (sensor->config != NULL && sensor->state != NULL) return sensor;
    psa_sensor_free(sensor);
    return NULL;
}

struct psa_sensor *psa_sensor_new(const char *text, struct psa_error *error)
{
    return psa_sensor_new_on(text, NULL, error);
}

struct psa_sensor *psa_sensor_new_on(const char *text, double (*bus_hz)(const char *bus), struct psa_error *error)
{
    const char *colon = strchr(text, ':');
    const struct psa_sensor_driver *driver;
    struct psa_sensor *sensor;
    char *place, *options;

    if (check_bytes(text, error) != 0) return NULL;
    if (colon == NULL) {
        psa_fail(error, PSA_EXIT_PERMANENT, "'%s' names no sensor; write it like mpu6050:i2c-1@0x68?rate=100Hz", text);
        return NULL;
    }
    driver = psa_sensor_driver_named((struct psa_str){ text, (size_t)(colon - text) });
    if (driver == NULL) {
        psa_fail(error, PSA_EXIT_PERMANENT, "'%.*s' is no driver; sensord --list shows them", (int)(colon - text),
                 text);
        return NULL;
    }
    sensor = allocate(driver);
    if (sensor == NULL || store_text(sensor, text, &place, &options) != 0) {
        psa_fail_memory(error, "reading the sensors");
        psa_sensor_free(sensor);
        return NULL;
    }
    if (read_place(sensor, place, error) == 0 && read_options(sensor, options, error) == 0) {
        preset(sensor);
        if (bus_hz != NULL && driver->bus == PSA_BUS_I2C) sensor->system_hz = bus_hz(sensor->bus);
        if (driver->configure(sensor, error) == 0) return sensor;
    }
    psa_sensor_free(sensor);
    return NULL;
}

void psa_sensor_free(struct psa_sensor *sensor)
{
    if (sensor == NULL) return;
    if (sensor->config != NULL && sensor->driver->release != NULL) sensor->driver->release(sensor);
    free(sensor->config);
    free(sensor->state);
    free(sensor->store);
    free(sensor);
}

const struct psa_sensor_driver *psa_sensor_driver_named(struct psa_str name)
{
    for (size_t i = 0; psa_sensor_drivers[i] != NULL; i++) {
        if (psa_str_eq(name, psa_sensor_drivers[i]->name)) return psa_sensor_drivers[i];
    }
    return NULL;
}

void psa_sensor_list(struct psa_buf *out)
{
    for (size_t i = 0; psa_sensor_drivers[i] != NULL; i++) {
        const struct psa_sensor_driver *driver = psa_sensor_drivers[i];
        psa_buf_puts(out, driver->usage);
        psa_buf_puts(out, "\n    ");
        psa_buf_puts(out, driver->summary);
        psa_buf_puts(out, "\n");
        psa_options_list(driver->options, out);
        if (driver->notes != NULL) {
            psa_buf_puts(out, "    ");
            psa_buf_puts(out, driver->notes);
            psa_buf_puts(out, "\n");
        }
        psa_buf_puts(out, "\n");
    }
    psa_buf_puts(out, "every sensor\n");
    psa_options_list(psa_sensor_options, out);
}
