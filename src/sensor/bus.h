/*
 * bus.h - the buses as drivers see them: tables of functions. The kernel's own are made by bus_i2c.c, bus_gpio.c and
 * bus_iio.c; tests make others. A call returns 0, or -1 with *fault set.
 */
#ifndef PSA_SENSOR_BUS_H
#define PSA_SENSOR_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sensor/fault.h"

enum psa_bus_kind { PSA_BUS_NONE, PSA_BUS_I2C, PSA_BUS_GPIO, PSA_BUS_IIO };

/* ---- files of /sys ---------------------------------------------------------------------------------------------------- */

/* The first line of a small file, without its end; empty where there is none. bus_file.c */
void psa_bus_line_of(const char *path, char *line, size_t size);

/* ---- I2C: one chip -------------------------------------------------------------------------------------------------- */

struct psa_i2c {
    const struct psa_i2c_calls *calls;
    /* Bytes of a register; 0 is 1. A driver whose chip has larger ones says so before its first transfer: then none is moved
     * by parts, as an adapter that knows only single bytes would have to. */
    uint8_t register_bytes;
};

struct psa_i2c_calls {
    /* n bytes from register reg on, which counts up as the chip reads. */
    int (*read)(struct psa_i2c *i2c, uint8_t reg, uint8_t *p, size_t n, struct psa_fault *fault);
    /* n bytes out of the one register reg, which does not count up: a FIFO. */
    int (*read_fifo)(struct psa_i2c *i2c, uint8_t reg, uint8_t *p, size_t n, struct psa_fault *fault);
    int (*write)(struct psa_i2c *i2c, uint8_t reg, const uint8_t *p, size_t n, struct psa_fault *fault);
    void (*close)(struct psa_i2c *i2c);
};

static inline int psa_i2c_write8(struct psa_i2c *i2c, uint8_t reg, uint8_t value, struct psa_fault *fault)
{
    return i2c->calls->write(i2c, reg, &value, 1, fault);
}

static inline int psa_i2c_read(struct psa_i2c *i2c, uint8_t reg, uint8_t *p, size_t n, struct psa_fault *fault)
{
    return i2c->calls->read(i2c, reg, p, n, fault);
}

/* Bits on the wire of a register read and a write of n bytes: 9 a byte, start and stop. UM10204 (NXP I2C-bus
 * specification) rev. 7, section 3.1. */
static inline double psa_i2c_read_bits(size_t n)
{
    return 9.0 * (3 + (double)n) + 3;
}

static inline double psa_i2c_write_bits(size_t n)
{
    return 9.0 * (2 + (double)n) + 2;
}

/* Open the chip at an address of /dev/i2c-N. `bus` is "i2c-1" or "1". EBUSY (a kernel driver has the chip) says so and
 * points at iio:. */
int psa_i2c_open(const char *bus, uint8_t address, struct psa_i2c **i2c, struct psa_fault *fault);
/* The bus's clock in Hz as the device tree says, or 0: unknown. */
double psa_i2c_bus_hz(const char *bus);
/* The kernel driver that has the chip, and the name of the IIO device that it offers; empty texts: none, or it does not
 * tell. false: no driver. */
bool psa_i2c_driver_of(const char *bus, uint8_t address, char driver[40], char iio[64]);

/* ---- GPIO: one line ---------------------------------------------------------------------------------------------------- */

/* A change of the line, as the kernel saw it. */
struct psa_edge {
    int64_t at_ns;  /* CLOCK_MONOTONIC */
    uint32_t seqno; /* of the line, from 1 for each listen; a gap: edges were lost */
    bool rising;
};

enum psa_gpio_pull { PSA_GPIO_PULL_AS_IS, PSA_GPIO_PULL_NONE, PSA_GPIO_PULL_UP, PSA_GPIO_PULL_DOWN };

struct psa_gpio {
    const struct psa_gpio_calls *calls;
};

struct psa_gpio_calls {
    /* Drive the line. */
    int (*drive)(struct psa_gpio *gpio, bool high, struct psa_fault *fault);
    /* Make it an input and hear both edges from now on. */
    int (*listen)(struct psa_gpio *gpio, struct psa_fault *fault);
    int (*value)(struct psa_gpio *gpio, bool *high, struct psa_fault *fault);
    /* Up to max edges that have come, *n of them. Waits until then_ns (CLOCK_MONOTONIC) for the first; *n 0: none came,
     * or a stop was asked. */
    int (*edges)(struct psa_gpio *gpio, struct psa_edge *edge, size_t max, int64_t then_ns, size_t *n,
                 struct psa_fault *fault);
    void (*close)(struct psa_gpio *gpio);
};

struct psa_gpio_setup {
    enum psa_gpio_pull pull;
    bool active_low;
    int64_t debounce_ns; /* 0: none */
    uint32_t buffer;     /* edges that the kernel keeps */
    int stop_fd;         /* readable: a stop is asked for; ends waits */
};

/* Line `line` of /dev/gpiochipN, or of the chip with that label. The line is an input at first. */
int psa_gpio_open(const char *chip, uint32_t line, const struct psa_gpio_setup *setup, struct psa_gpio **gpio,
                  struct psa_fault *fault);

/* ---- IIO: one device of the kernel's ----------------------------------------------------------------------------------- */

struct psa_iio; /* sensor/bus_iio.h */

#endif
