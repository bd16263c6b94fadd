/*
 * chips.c - what all models of chips share: power, wires, the words of chip_control, signals. See chips.h.
 */
#include "chips.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chip.h"

#define PI 3.14159265358979323846
#define WRONG_IDENTITY 0xEE

static const struct chip_type *const types[] = { &chip_type_mpu6050, &chip_type_bmp180, &chip_type_ads1115 };

struct chip *chip_new(const char *kind, uint8_t address)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct chip *chip;
        if (strcmp(types[i]->kind, kind) != 0) continue;
        chip = calloc(1, types[i]->size);
        if (chip == NULL) return NULL;
        chip->type = types[i];
        chip->address = address;
        chip->identity = -1;
        for (size_t k = 0; types[i]->names[k] != NULL; k++) chip->signal[k].constant = types[i]->constants[k];
        return chip;
    }
    return NULL;
}

void chip_free(struct chip *chip)
{
    free(chip);
}

const char *chip_kind(const struct chip *chip)
{
    return chip->type->kind;
}

uint8_t chip_address(const struct chip *chip)
{
    return chip->address;
}

bool chip_answers(const struct chip *chip)
{
    return !chip->unpowered && !chip->mute;
}

struct chip_history chip_history(const struct chip *chip)
{
    return chip->history;
}

/* ---- time ---------------------------------------------------------------------------------------------------------- */

/* The chip comes to life with the first time it hears of. */
static void bring_up_to(struct chip *chip, int64_t now_ns)
{
    if (now_ns > chip->now_ns) chip->now_ns = now_ns;
    if (!chip->started) {
        chip->started = true;
        chip->type->reset(chip, chip->now_ns);
    }
    if (!chip->unpowered) chip->type->advance(chip, chip->now_ns);
}

double chip_signal_at(const struct chip_signal *signal, int64_t now_ns)
{
    if (signal->amplitude == 0) return signal->constant;
    return signal->constant + signal->amplitude * sin(2 * PI * fmod(signal->hz * (double)now_ns * 1e-9, 1));
}

int16_t chip_round(double steps)
{
    const double whole = nearbyint(steps);

    return whole > INT16_MAX ? INT16_MAX : whole < INT16_MIN ? INT16_MIN : (int16_t)whole;
}

/* The finalizer of MurmurHash3 (Appleby 2011). */
uint32_t chip_hash(uint64_t n)
{
    uint32_t h = (uint32_t)(n ^ n >> 32);

    h = (h ^ h >> 16) * 0x85EBCA6BU;
    h = (h ^ h >> 13) * 0xC2B2AE35U;
    return h ^ h >> 16;
}

/* ---- the bus --------------------------------------------------------------------------------------------------------- */

void chip_write(struct chip *chip, const uint8_t *p, size_t n, int64_t now_ns)
{
    bring_up_to(chip, now_ns);
    if (!chip_answers(chip) || n == 0) return;
    chip->pointer = p[0];
    chip->type->write(chip, p, n, chip->now_ns);
}

void chip_read(struct chip *chip, uint8_t *p, size_t n, int64_t now_ns)
{
    bring_up_to(chip, now_ns);
    if (chip_answers(chip)) chip->type->read(chip, p, n, chip->now_ns);
    else memset(p, 0xFF, n); /* nobody pulls the line down */
}

uint8_t chip_peek(struct chip *chip, uint8_t reg, int64_t now_ns)
{
    bring_up_to(chip, now_ns);
    if (chip->identity >= 0 && reg == chip->type->identity) return (uint8_t)chip->identity;
    return chip->type->peek(chip, reg);
}

void chip_poke(struct chip *chip, uint8_t reg, uint8_t value)
{
    bring_up_to(chip, chip->now_ns);
    if (reg == chip->type->identity) chip->identity = value;
    else chip->type->poke(chip, reg, value);
}

/* ---- words ----------------------------------------------------------------------------------------------------------- */

int chip_signal_named(const struct chip *chip, const char *name)
{
    for (int i = 0; chip->type->names[i] != NULL; i++) {
        if (strcmp(chip->type->names[i], name) == 0) return i;
    }
    return -1;
}

/* absent, present, mute, unmute, brownout, freeze, thaw, wrong-id. */
static bool control_plain(struct chip *chip, const char *word)
{
    if (strcmp(word, "absent") == 0) chip->unpowered = true;
    else if (strcmp(word, "present") == 0 || strcmp(word, "brownout") == 0) {
        chip->unpowered = false;
        chip->type->reset(chip, chip->now_ns);
    } else if (strcmp(word, "mute") == 0 || strcmp(word, "unmute") == 0) chip->mute = *word == 'm';
    else if (strcmp(word, "freeze") == 0 || strcmp(word, "thaw") == 0) chip->frozen = *word == 'f';
    else if (strcmp(word, "wrong-id") == 0 && chip->type->identity >= 0) chip->identity = WRONG_IDENTITY;
    else return false;
    return true;
}

/* poke, set, sine, rate-error. */
static bool control_valued(struct chip *chip, const char *word, const char *argument)
{
    char name[32];
    double value, hz;
    unsigned reg, byte;
    int at;

    if (strcmp(word, "rate-error") == 0) {
        if (sscanf(argument, "%lf%%", &value) != 1) return false;
        chip->rate_error = value / 100;
        return true;
    }
    if (strcmp(word, "poke") == 0) {
        if (sscanf(argument, "%i %i", (int *)&reg, (int *)&byte) != 2 || reg > 0xFF || byte > 0xFF) return false;
        chip_poke(chip, (uint8_t)reg, (uint8_t)byte);
        return true;
    }
    if (strcmp(word, "set") == 0 && sscanf(argument, "%31s %lf", name, &value) == 2) {
        at = chip_signal_named(chip, name);
        if (at >= 0) chip->signal[at] = (struct chip_signal){ .constant = value };
        return at >= 0;
    }
    if (strcmp(word, "sine") == 0 && sscanf(argument, "%31s %lf %lf", name, &value, &hz) == 3) {
        at = chip_signal_named(chip, name);
        if (at < 0) return false;
        chip->signal[at].amplitude = value;
        chip->signal[at].hz = hz;
        return true;
    }
    return false;
}

bool chip_control(struct chip *chip, const char *command, int64_t now_ns)
{
    char word[32];
    int length = 0;
    const char *argument;
    bool known;

    if (sscanf(command, " %31s %n", word, &length) != 1) return false;
    argument = command + length;
    bring_up_to(chip, now_ns);
    /* Words of the chip's own first: `set` may end a `count`. */
    known = chip->type->control(chip, word, argument, chip->now_ns);
    return control_plain(chip, word) || control_valued(chip, word, argument) || known;
}
