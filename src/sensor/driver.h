/*
 * driver.h - what a sensor driver is. One file a chip: a constant descriptor with its options, register map and
 * conversions, and a line in drivers.c.
 *
 * A driver is pure: it reaches its chip through a bus (sensor/bus.h) and everything else through the world (time, where
 * readings go), both tables of functions. So the same code runs against a kernel, a simulated chip and a test's clock.
 *
 *     configure      once, when the command line is read: options, names of the fields, bus load
 *     open, start    the bus by the worker, then the chip: identify, reset, set up, self-test
 *       read         at each deadline, or again and again where period_ns is 0; emits any number of readings
 *     stop, close    at the end, or after a fault; then open and start again later
 */
#ifndef PSA_SENSOR_DRIVER_H
#define PSA_SENSOR_DRIVER_H

#include "core/option.h"
#include "psa.h"
#include "sensor/bus.h"

#define PSA_SENSOR_FIELDS_MAX 64
#define PSA_SENSOR_BLOCK_MAX 65536

struct psa_sensor;

/* What a driver may ask of whoever runs it. */
struct psa_world {
    /* CLOCK_MONOTONIC. */
    int64_t (*now_ns)(struct psa_sensor *sensor);
    /* false: a stop is asked for; return from read() at once. */
    bool (*sleep_until)(struct psa_sensor *sensor, int64_t then_ns);
    /* One reading, taken at taken_ns: value[n_field], NaN for none. */
    void (*emit)(struct psa_sensor *sensor, int64_t taken_ns, const double *value);
    /* n readings were due but are lost, and why: counted, said, and skipped in seq. */
    void (*lost)(struct psa_sensor *sensor, int64_t n, const char *why);
    /* Something that people should know while the sensor works. */
    void (*warn)(struct psa_sensor *sensor, const char *text);
    /* Have the chip to oneself (true), and let go of it: for drivers whose transactions span sleeps, where several sensors
     * may be channels of one chip. */
    void (*hold)(struct psa_sensor *sensor, bool held);
};

/* What every sensor can be told. */
struct psa_sensor_common {
    const char *id, *type, *model;
    int64_t every_ns; /* the driver's own when neither was given */
    double rate_hz;   /* 0: every_ns was given, or nothing */
    int64_t failures; /* failed readings in a row until the sensor counts as down; 0: the driver's own */
    int64_t block;    /* samples in a record; 0: a record each */
};
/* Their table: id, type, model, every, rate, failures, block. */
extern const struct psa_option psa_sensor_options[];

struct psa_sensor_driver {
    const char *name;    /* "mpu6050" */
    const char *summary; /* one line for --list */
    const char *usage;   /* "mpu6050:i2c-N[@0x68|0x69]" */
    const char *sensor_type, *sensor_model;
    enum psa_bus_kind bus;
    const struct psa_option *options; /* beyond the common ones; may be NULL */
    size_t config_size, state_size;   /* state is zeroed before each start */
    const uint8_t *addresses;         /* I2C: the default first, ended by 0 */
    bool needs_line; /* LINE must stand in the argument; GPIO: a number, otherwise the driver's affair */
    bool takes_line;
    int64_t every_ns;    /* default distance of readings */
    int failures;        /* default of failures=, at least 1 */
    int64_t patience_ns; /* a read that takes longer hangs; 0: PSA_SENSOR_PATIENCE_NS */

    /* Check sensor->config and ->common, set what stands below in struct psa_sensor. Touches no bus. */
    int (*configure)(struct psa_sensor *sensor, struct psa_error *error);
    /* Optional: release what configure() put into config. Called once, at the end, also when configure() failed. */
    void (*release)(struct psa_sensor *sensor);
    /* Optional for GPIO: how to open the line. */
    void (*gpio_setup)(const struct psa_sensor *sensor, struct psa_gpio_setup *setup);
    /* The bus is open. 0 or -1 with *fault. */
    int (*start)(struct psa_sensor *sensor, struct psa_fault *fault);
    int (*read)(struct psa_sensor *sensor, struct psa_fault *fault);
    /* Optional: leave the chip as it should be left, ignoring faults; release what state owns. Called once after each start,
     * also a failed one. */
    void (*stop)(struct psa_sensor *sensor);
    /* I2C: does the chip that answers look like this driver's? For --probe; only reads. */
    bool (*identify)(struct psa_i2c *i2c, uint8_t address);
    /* Optional, in --list behind the options: what else there is to choose, "KIND is imu, ..." */
    const char *notes;
};

#define PSA_SENSOR_PATIENCE_NS INT64_C(5000000000)

struct psa_sensor {
    const struct psa_sensor_driver *driver;
    struct psa_sensor_common common;
    void *config, *state;
    const char *text; /* as it was given, for messages: "mpu6050:i2c-1@0x68" without the options */

    /* the argument's parts */
    const char *bus;  /* "i2c-1", "gpiochip0", an IIO device's name, a kind of sim: */
    uint8_t address;  /* I2C */
    const char *line; /* behind the slash, or NULL */
    double system_hz; /* I2C: what the system says of the bus's clock; 0: nothing */

    /* by configure() */
    const char *id, *type, *model; /* preset from common or the driver; configure may change them */
    const char *field[PSA_SENSOR_FIELDS_MAX];
    size_t n_field;
    int64_t period_ns;      /* rounded; 0: read() waits for events itself */
    double period_exact_ns; /* deadlines are multiples of this */
    double rate_hz; /* of the readings, for the queue's size; 0: as they come. iio: known when start() is through */
    /* Readings do not come one a period (a FIFO is drained): seq advances by emit() and lost() alone, and a missed deadline or
     * a failed read loses none by itself. */
    bool own_seq;
    double bits_per_s; /* on the bus */
    double bus_hz;     /* what the argument says of the bus's clock; 0: nothing. See psa_sensor_bus_hz() */
    const char *uri;   /* iio: where libiio finds the device; NULL: this machine */

    /* by start() and read(), for the next emit */
    double measured_hz; /* the rate_hz member of readings; 0: none */
    int64_t upto_ns;    /* no reading older than this will follow; 0: none older than the read() that is to come */

    struct psa_i2c *i2c;
    struct psa_gpio *gpio;
    struct psa_iio *iio;
    int stop_fd; /* readable: a stop is asked for */

    const struct psa_world *world;
    void *runner; /* the worker that the world's functions belong to */
    char *store;  /* owns the texts above */
};

/* ---- reading arguments: spec.c ------------------------------------------------------------------------------------------ */

/*
 * Read `driver:bus[@address][/line][?option=value&...]`; %XX in values is a byte. Applies defaults, checks the driver's and
 * the common options, derives the period from rate= or every=, and calls configure. NULL with *error set: what is wrong,
 * naming the argument.
 */
struct psa_sensor *psa_sensor_new(const char *text, struct psa_error *error);
/* The same, for a system that knows its I2C buses' clocks: Hz, or 0. */
struct psa_sensor *psa_sensor_new_on(const char *text, double (*bus_hz)(const char *bus), struct psa_error *error);
void psa_sensor_free(struct psa_sensor *sensor);

/* The driver of a name, or NULL; and all of them, ended by NULL. */
const struct psa_sensor_driver *psa_sensor_driver_named(struct psa_str name);
extern const struct psa_sensor_driver *const psa_sensor_drivers[];

/* The text of --list. */
void psa_sensor_list(struct psa_buf *out);

/* ---- for configure() ------------------------------------------------------------------------------------------------------ */

/* Refuse the sensor: "mpu6050:i2c-1@0x68: " and the sentence. Returns -1. */
int psa_sensor_refuse(const struct psa_sensor *sensor, struct psa_error *error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Which of choices[] (ended by NULL, spelled with their unit: "4g") `text` is; the unit may be left out. -1 with a message that
 * names `option` and all choices. */
int psa_sensor_choose(const struct psa_sensor *sensor, const char *option, const char *text, const char *const *choices,
                      size_t *index, struct psa_error *error);
/* The clock of its I2C bus: what its argument says (bus_hz must be set), else the system, else 100 kHz, which the slowest usual
 * bus has; *source, if it is wanted, is which: "as its argument says". */
double psa_sensor_bus_hz(const struct psa_sensor *sensor, const char **source);

#endif
