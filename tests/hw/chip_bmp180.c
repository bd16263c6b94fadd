/*
 * chip_bmp180.c - Bosch BMP180, from the data sheet BST-BMP180-DS000-09 rev. 2.5 ("DS"): calibration, UT and UP are those of
 * its example (DS figure 4, page 15), and a conversion takes the longest time of DS table 8 / section 3.3.1.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "chip.h"

/* DS figure 6, page 18. */
enum {
    CALIBRATION = 0xAA,
    CALIBRATION_END = 0xBF,
    IDENTITY = 0xD0,
    SOFT_RESET = 0xE0,
    CONTROL = 0xF4,
    OUT_MSB = 0xF6,
    OUT_LSB = 0xF7,
    OUT_XLSB = 0xF8
};

#define RESET_WORD 0xB6
#define START_CONVERSION 0x20 /* sco */
#define TEMPERATURE 0x0E      /* bits 4 to 0 of ctrl_meas: 0x2E without sco */
#define PRESSURE 0x14         /* 0x34 without sco */

/* AC1 to AC6, B1, B2, MB, MC, MD; DS figure 4. */
static const int example[11] = { 408, -72, -14383, 32741, 32757, 23153, 6190, 4, -32768, -8711, 2868 };

enum { UT, UP };
static const char *const names[] = { "ut", "up", NULL };
static const double constants[] = { 27898, 23843 };

struct bmp180 {
    struct chip chip;
    bool prepared;
    uint8_t reg[256];
    int64_t done_ns; /* when the conversion ends; counts while sco is set */
    bool endless;
    double slow; /* 0 or a factor */
    uint32_t flicker;
};

static void reset(struct chip *chip, int64_t now_ns)
{
    struct bmp180 *bmp = (struct bmp180 *)chip;

    (void)now_ns;
    memset(bmp->reg + CALIBRATION_END + 1, 0, sizeof bmp->reg - CALIBRATION_END - 1);
    for (int i = 0; i < 11 && !bmp->prepared; i++) { /* an EEPROM: resets leave it */
        bmp->reg[CALIBRATION + 2 * i] = (uint8_t)((unsigned)example[i] >> 8);
        bmp->reg[CALIBRATION + 2 * i + 1] = (uint8_t)example[i];
    }
    bmp->prepared = true;
    bmp->reg[IDENTITY] = 0x55;
    bmp->reg[OUT_MSB] = 0x80; /* DS figure 6: out_msb is 80h after reset */
    chip->history.resets++;
}

/* The longest times of DS 3.3.1, page 12: temperature and oss 0 4.5 ms, then 7.5, 13.5, 25.5. */
static int64_t conversion_ns(const struct bmp180 *bmp, uint8_t control)
{
    static const double pressure_ms[4] = { 4.5, 7.5, 13.5, 25.5 };
    const double ms = (control & 0x1F) == TEMPERATURE ? 4.5 : pressure_ms[control >> 6];

    return (int64_t)(ms * 1e6 * (bmp->slow > 0 ? bmp->slow : 1) / (1 + bmp->chip.rate_error));
}

/* UT stands in MSB and LSB, UP in the upper 16 + oss bits of MSB, LSB, XLSB (DS figure 4). */
static void finish_conversion(struct bmp180 *bmp)
{
    const uint8_t control = bmp->reg[CONTROL];
    const unsigned oss = control >> 6;
    uint32_t out;

    if ((control & 0x1F) == TEMPERATURE) out = (uint32_t)bmp->chip.signal[UT].constant << 8;
    else {
        out = (uint32_t)bmp->chip.signal[UP].constant << oss;
        if (bmp->flicker > 0 && !bmp->chip.frozen) out += chip_hash(bmp->chip.history.samples) % bmp->flicker;
        out <<= 8 - oss;
    }
    bmp->reg[OUT_MSB] = (uint8_t)(out >> 16);
    bmp->reg[OUT_LSB] = (uint8_t)(out >> 8);
    bmp->reg[OUT_XLSB] = (uint8_t)out;
    bmp->reg[CONTROL] &= (uint8_t)~START_CONVERSION;
    bmp->chip.history.samples++;
}

static void advance(struct chip *chip, int64_t now_ns)
{
    struct bmp180 *bmp = (struct bmp180 *)chip;

    if (bmp->reg[CONTROL] & START_CONVERSION && !bmp->endless && now_ns >= bmp->done_ns) finish_conversion(bmp);
}

/* One register and one byte (DS figure 7); calibration, identity and results cannot be written. */
static void write_message(struct chip *chip, const uint8_t *p, size_t n, int64_t now_ns)
{
    struct bmp180 *bmp = (struct bmp180 *)chip;

    if (n < 2) return;
    if (p[0] == SOFT_RESET && p[1] == RESET_WORD) reset(chip, now_ns);
    if (p[0] != CONTROL) return;
    bmp->reg[CONTROL] = p[1];
    bmp->done_ns = now_ns + conversion_ns(bmp, p[1]);
}

static uint8_t peek(struct chip *chip, uint8_t reg)
{
    if (reg == IDENTITY && chip->identity >= 0) return (uint8_t)chip->identity;
    return ((struct bmp180 *)chip)->reg[reg];
}

static void read_message(struct chip *chip, uint8_t *p, size_t n, int64_t now_ns)
{
    const struct bmp180 *bmp = (struct bmp180 *)chip;

    (void)now_ns;
    if (bmp->reg[CONTROL] & START_CONVERSION && chip->pointer >= OUT_MSB && chip->pointer <= OUT_XLSB)
        chip->history.early_reads++;
    for (size_t i = 0; i < n; i++) p[i] = peek(chip, chip->pointer++);
}

static void poke(struct chip *chip, uint8_t reg, uint8_t value)
{
    ((struct bmp180 *)chip)->reg[reg] = value;
}

static bool control(struct chip *chip, const char *word, const char *argument, int64_t now_ns)
{
    struct bmp180 *bmp = (struct bmp180 *)chip;
    unsigned steps;

    (void)now_ns;
    if (strcmp(word, "endless") == 0 || strcmp(word, "ending") == 0) {
        bmp->endless = strcmp(word, "endless") == 0;
        return true;
    }
    if (strcmp(word, "slow") == 0) return sscanf(argument, "%lf", &bmp->slow) == 1;
    if (strcmp(word, "flicker") != 0 || sscanf(argument, "%u", &steps) != 1) return false;
    bmp->flicker = steps;
    return true;
}

const struct chip_type chip_type_bmp180 = {
    .kind = "bmp180",
    .size = sizeof(struct bmp180),
    .identity = IDENTITY,
    .names = names,
    .constants = constants,
    .reset = reset,
    .advance = advance,
    .write = write_message,
    .read = read_message,
    .peek = peek,
    .poke = poke,
    .control = control,
};
