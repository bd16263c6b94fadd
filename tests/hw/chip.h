/* chip.h - what the models of chips.h share; one file a chip: chip_mpu6050.c, chip_bmp180.c, chip_ads1115.c. */
#ifndef PSA_TESTS_HW_CHIP_H
#define PSA_TESTS_HW_CHIP_H

#include "chips.h"

#define CHIP_SIGNALS_MAX 8

/* What a quantity of the world around the chip does: constant + amplitude sin(2 pi hz t). */
struct chip_signal {
    double constant, amplitude, hz;
};

struct chip_type {
    const char *kind;
    size_t size;              /* of the chip's own struct, which begins with struct chip */
    int identity;             /* the register that says what it is; -1: it has none */
    const char *const *names; /* of the signals, ended by NULL */
    const double *constants;  /* theirs after power-on */
    /* Registers as after power-on. At the very first power-on everything else is zero. */
    void (*reset)(struct chip *chip, int64_t now_ns);
    /* Let what should have happened until now_ns happen. */
    void (*advance)(struct chip *chip, int64_t now_ns);
    void (*write)(struct chip *chip, const uint8_t *p, size_t n, int64_t now_ns);
    void (*read)(struct chip *chip, uint8_t *p, size_t n, int64_t now_ns);
    uint8_t (*peek)(struct chip *chip, uint8_t reg);
    void (*poke)(struct chip *chip, uint8_t reg, uint8_t value);
    /* The chip's own words, beyond those of all. */
    bool (*control)(struct chip *chip, const char *word, const char *argument, int64_t now_ns);
};

struct chip {
    const struct chip_type *type;
    uint8_t address, pointer;
    bool started, unpowered, mute, frozen;
    int identity;      /* another identity than the type's, or -1 */
    double rate_error; /* 0.01: its oscillator is 1 % fast */
    int64_t now_ns;
    struct chip_signal signal[CHIP_SIGNALS_MAX];
    struct chip_history history;
};

extern const struct chip_type chip_type_mpu6050, chip_type_bmp180, chip_type_ads1115;

/* A signal's value at a time. */
double chip_signal_at(const struct chip_signal *signal, int64_t now_ns);
/* Which signal that is, or -1. */
int chip_signal_named(const struct chip *chip, const char *name);
/* To the nearest step, at most those of an int16_t. */
int16_t chip_round(double steps);
/* A number that looks random, the same for the same n. */
uint32_t chip_hash(uint64_t n);

#endif
