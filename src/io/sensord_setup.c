/* sensord_setup.c - see sensord_setup.h. */
#include "io/sensord_setup.h"

#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/error.h"
#include "core/number.h"
#include "io/writer.h"

/* A configuration larger than this is none. */
#define CONFIG_MAX_BYTES 1048576
/* What some editors begin a text with. */
#define UTF8_MARK "\xef\xbb\xbf"
/* The share of the clock's bits that readings may take: clock stretching, other users and the driver's own pauses between
 * messages need the rest. */
#define BUS_SHARE 0.9

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static int add(struct psa_setup *setup, const char *text, struct psa_error *error)
{
    struct psa_sensor **grown;

    if (setup->n == PSA_SENSORD_MAX)
        return psa_fail(error, PSA_EXIT_PERMANENT, "more than %d sensors", PSA_SENSORD_MAX);
    grown = realloc(setup->sensor, (setup->n + 1) * sizeof *grown);
    if (grown == NULL) return psa_fail_memory(error, "reading the sensors");
    setup->sensor = grown;
    setup->sensor[setup->n] = psa_sensor_new_on(text, psa_i2c_bus_hz, error);
    if (setup->sensor[setup->n] == NULL) return -1;
    setup->n++;
    return 0;
}

/* Blanks around it, and a comment behind a blank or at the begin, cut off in place. */
static char *trim(char *line)
{
    char *end;

    line += strspn(line, " \t\r");
    for (char *p = line; *p != '\0'; p++) {
        if (*p != '#' || (p > line && p[-1] != ' ' && p[-1] != '\t')) continue;
        *p = '\0';
        break;
    }
    end = line + strlen(line);
    while (end > line && strchr(" \t\r", end[-1]) != NULL) *--end = '\0';
    return line;
}

/* A line of the file. Nothing takes quotes off there, as a shell does. */
static int add_line(struct psa_setup *setup, const char *line, struct psa_error *error)
{
    if (*line == '\'' || *line == '"')
        return psa_fail(error, PSA_EXIT_PERMANENT, "%s: an argument stands without quotes in a file", line);
    return add(setup, line, error);
}

/* One sensor a line; the text is cut in place. */
static int read_lines(struct psa_setup *setup, char *text, const char *name, struct psa_error *error)
{
    struct psa_error why = { 0 };

    if (strncmp(text, UTF8_MARK, strlen(UTF8_MARK)) == 0) text += strlen(UTF8_MARK);
    for (unsigned long number = 1; text != NULL; number++) {
        char *next = strchr(text, '\n');
        if (next != NULL) *next++ = '\0';
        const char *line = trim(text);
        if (*line != '\0' && add_line(setup, line, &why) != 0)
            return psa_fail(error, why.status, "%s:%lu: %.800s", name, number, why.text);
        text = next;
    }
    return 0;
}

static int read_config(struct psa_setup *setup, const char *path, struct psa_error *error)
{
    const bool is_stdin = strcmp(path, "-") == 0;
    struct psa_buf text = { 0 };

    if (*path == '\0') return psa_fail(error, PSA_EXIT_PERMANENT, "--config: the name of the file is empty");
    int status = psa_file_read(is_stdin ? "/dev/stdin" : path, CONFIG_MAX_BYTES, &text, error);

    if (status < 0 && !text.failed) error->status = PSA_EXIT_PERMANENT; /* a folder, say: no restart would help */
    if (status == 1) status = psa_fail(error, PSA_EXIT_PERMANENT, "%s: no such file", path);
    if (status == 0 && text.n > 0 && memchr(text.p, '\0', text.n) != NULL)
        status = psa_fail(error, PSA_EXIT_PERMANENT, "%s: a NUL byte: this is no text", path);
    psa_buf_put(&text, "", 1);
    if (status == 0 && text.failed) status = psa_fail_memory(error, "reading the sensors");
    if (status == 0) status = read_lines(setup, text.p, is_stdin ? "stdin" : path, error);
    psa_buf_free(&text);
    return status;
}

/* ---- one against the other --------------------------------------------------------------------------------------- */

/* "/dev/i2c-1", "i2c-1" and "1" are one bus, and so for gpiochip. */
static const char *bus_name(const struct psa_sensor *sensor)
{
    static const char *const prefixes[] = { "/dev/", "i2c-", "gpiochip" };
    const char *name = sensor->bus;

    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        const size_t n = strlen(prefixes[i]);
        if (strncmp(name, prefixes[i], n) == 0) name += n;
    }
    return name;
}

static bool same_bus(const struct psa_sensor *a, const struct psa_sensor *b)
{
    return a->driver->bus == b->driver->bus && strcmp(bus_name(a), bus_name(b)) == 0;
}

static bool same_chip(const struct psa_sensor *a, const struct psa_sensor *b)
{
    return a->driver->bus == PSA_BUS_I2C && same_bus(a, b) && a->address == b->address;
}

/* GPIO lines are numbers: 4 and 04 are one. */
static bool same_line(const struct psa_sensor *a, const struct psa_sensor *b)
{
    if (a->line == NULL || b->line == NULL) return a->line == b->line;
    if (a->driver->bus == PSA_BUS_GPIO) return strtoul(a->line, NULL, 10) == strtoul(b->line, NULL, 10);
    return strcmp(a->line, b->line) == 0;
}

static int check_pair(const struct psa_sensor *a, const struct psa_sensor *b, struct psa_error *error)
{
    /* An IIO device may be read twice: some of its channels each. */
    const bool real = a->driver->bus == PSA_BUS_I2C || a->driver->bus == PSA_BUS_GPIO;

    if (same_chip(a, b) && a->driver != b->driver)
        return psa_fail(error, PSA_EXIT_PERMANENT, "%s and %s are two chips at one address; only one can be right",
                        a->text, b->text);
    if (real && same_bus(a, b) && a->address == b->address && same_line(a, b))
        return psa_fail(error, PSA_EXIT_PERMANENT, "%s and %s are the same place twice; give it once", a->text,
                        b->text);
    if (strcmp(a->type, b->type) == 0 && strcmp(a->id, b->id) == 0)
        return psa_fail(error, PSA_EXIT_PERMANENT,
                        "%s and %s would both be %s '%s', and nobody could tell them apart; give one another id=",
                        a->text, b->text, a->type, a->id);
    return 0;
}

static int check_pairs(const struct psa_setup *setup, struct psa_error *error)
{
    for (size_t b = 1; b < setup->n; b++) {
        for (size_t a = 0; a < b; a++) {
            if (check_pair(setup->sensor[a], setup->sensor[b], error) != 0) return -1;
        }
    }
    return 0;
}

/* Is this the first sensor on its bus? */
static bool is_first(const struct psa_setup *setup, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (same_bus(setup->sensor[i], setup->sensor[index])) return false;
    }
    return true;
}

/* All sensors on the I2C bus of the one at `first` against its clock. */
static int check_bus(const struct psa_setup *setup, size_t first, struct psa_error *error)
{
    const struct psa_sensor *teller = setup->sensor[first]; /* who says the clock, if anybody does */
    const char *source;
    double sum = 0;
    size_t n = 0;

    for (size_t i = first; i < setup->n; i++) {
        const struct psa_sensor *sensor = setup->sensor[i];
        if (!same_bus(sensor, setup->sensor[first])) continue;
        sum += sensor->bits_per_s;
        n++;
        if (sensor->bus_hz <= 0) continue;
        if (teller->bus_hz > 0 && teller->bus_hz != sensor->bus_hz)
            return psa_fail(error, PSA_EXIT_PERMANENT,
                            "%s: one sensor says that the bus runs at %g kHz, another %g kHz", sensor->text,
                            teller->bus_hz / 1000, sensor->bus_hz / 1000);
        teller = sensor;
    }
    const double clock_hz = psa_sensor_bus_hz(teller, &source);
    if (sum <= BUS_SHARE * clock_hz) return 0;
    return psa_fail(
        error, PSA_EXIT_PERMANENT,
        "i2c-%s: %zu sensor%s would send %.4g kbit/s, but at %g kHz (%s) the bus carries %.4g; lower a rate, move "
        "a sensor to another bus, or, if the bus is faster than that, say so (bus=400kHz)",
        bus_name(setup->sensor[first]), n, n == 1 ? "" : "s", sum / 1000, clock_hz / 1000, source,
        BUS_SHARE * clock_hz / 1000);
}

static int check_buses(const struct psa_setup *setup, struct psa_error *error)
{
    for (size_t i = 0; i < setup->n; i++) {
        if (setup->sensor[i]->driver->bus == PSA_BUS_I2C && is_first(setup, i) && check_bus(setup, i, error) != 0)
            return -1;
    }
    return 0;
}

/* Channels of one chip get a lock together. */
static int make_holds(struct psa_setup *setup, struct psa_error *error)
{
    setup->hold_of = calloc(setup->n + 1, sizeof *setup->hold_of);
    setup->hold = calloc(setup->n + 1, sizeof *setup->hold);
    if (setup->hold_of == NULL || setup->hold == NULL) return psa_fail_memory(error, "reading the sensors");
    for (size_t i = 0; i < setup->n; i++) setup->hold_of[i] = PSA_NO_INDEX;
    for (size_t b = 1; b < setup->n; b++) {
        for (size_t a = 0; a < b && setup->hold_of[b] == PSA_NO_INDEX; a++) {
            if (!same_chip(setup->sensor[a], setup->sensor[b])) continue;
            if (setup->hold_of[a] == PSA_NO_INDEX) {
                if (pthread_mutex_init(&setup->hold[setup->n_hold], NULL) != 0)
                    return psa_fail_memory(error, "reading the sensors");
                setup->hold_of[a] = setup->n_hold++;
            }
            setup->hold_of[b] = setup->hold_of[a];
        }
    }
    return 0;
}

int psa_setup_read(struct psa_setup *setup, char *const *argument, size_t n, const char *const *file, size_t n_file,
                   struct psa_error *error)
{
    for (size_t i = 0; i < n; i++) {
        if (add(setup, argument[i], error) != 0) return -1;
    }
    for (size_t i = 0; i < n_file; i++) {
        if (read_config(setup, file[i], error) != 0) return -1;
    }
    if (setup->n == 0)
        return psa_fail(error, PSA_EXIT_PERMANENT, "no sensor is named; %s",
                        n_file > 0 ? "the configuration has none" : "see --list, and --probe for what is there");
    if (check_pairs(setup, error) != 0 || check_buses(setup, error) != 0) return -1;
    return make_holds(setup, error);
}

void psa_setup_free(struct psa_setup *setup)
{
    for (size_t i = 0; i < setup->n_hold; i++) pthread_mutex_destroy(&setup->hold[i]);
    free(setup->sensor);
    free(setup->hold_of);
    free(setup->hold);
}
