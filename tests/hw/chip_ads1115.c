/*
 * chip_ads1115.c - Texas Instruments ADS1115, from the data sheet SBAS444D ("DS"). Four registers of 16 bits, most significant
 * byte first; a conversion takes 1 / data rate (DS 9.3.3: within 10 %, `rate-error`) after a power-up of 25 us (DS 9.4.2.1).
 */
#include <math.h>
#include <string.h>

#include "chip.h"

enum { CONVERSION, CONFIG, LOW_THRESHOLD, HIGH_THRESHOLD }; /* DS table 6 */

/* DS table 8. */
#define CONFIG_RESET 0x8583
#define OS 0x8000
#define SINGLE_SHOT 0x0100
#define POWER_UP_NS 25000.0

static const char *const names[] = { "ain0", "ain1", "ain2", "ain3", NULL };
static const double constants[] = { 0.5, 1, 1.5, 2 };

struct ads1115 {
    struct chip chip;
    uint16_t reg[4];
    uint16_t running; /* the configuration that the conversion began with */
    bool busy, endless;
    int64_t done_ns;
};

/* DS table 8, DR[2:0]. */
static double conversion_time_ns(const struct ads1115 *ads, uint16_t config)
{
    static const double rate_hz[8] = { 8, 16, 32, 64, 128, 250, 475, 860 };

    return 1e9 / (rate_hz[config >> 5 & 7] * (1 + ads->chip.rate_error));
}

/* MUX[2:0] chooses the inputs and PGA[2:0] the full scale, DS table 8; out of range the code is clipped (DS 9.5.4). */
static int16_t convert(const struct ads1115 *ads, uint16_t config, int64_t now_ns)
{
    static const int8_t positive[8] = { 0, 0, 1, 2, 0, 1, 2, 3 }, negative[8] = { 1, 3, 3, 3, -1, -1, -1, -1 };
    static const double full_scale_v[8] = { 6.144, 4.096, 2.048, 1.024, 0.512, 0.256, 0.256, 0.256 };
    const unsigned mux = config >> 12 & 7;
    double v = chip_signal_at(&ads->chip.signal[positive[mux]], now_ns);

    if (negative[mux] >= 0) v -= chip_signal_at(&ads->chip.signal[negative[mux]], now_ns);
    return chip_round(v / full_scale_v[config >> 9 & 7] * 32768);
}

static void begin(struct ads1115 *ads, double from_ns)
{
    ads->running = ads->reg[CONFIG];
    ads->busy = true;
    ads->done_ns = (int64_t)(from_ns + conversion_time_ns(ads, ads->running));
}

static void reset(struct chip *chip, int64_t now_ns)
{
    struct ads1115 *ads = (struct ads1115 *)chip;

    (void)now_ns;
    ads->reg[CONVERSION] = 0;
    ads->reg[CONFIG] = CONFIG_RESET;
    ads->reg[LOW_THRESHOLD] = 0x8000;
    ads->reg[HIGH_THRESHOLD] = 0x7FFF;
    ads->busy = false;
    chip->pointer = CONVERSION;
    chip->history.resets++;
}

static void advance(struct chip *chip, int64_t now_ns)
{
    struct ads1115 *ads = (struct ads1115 *)chip;

    while (ads->busy && !ads->endless && now_ns >= ads->done_ns) {
        if (!chip->frozen) ads->reg[CONVERSION] = (uint16_t)convert(ads, ads->running, ads->done_ns);
        chip->history.samples++;
        ads->busy = false;
        /* Continuous mode: the next one begins at once, with the configuration as it is now (DS 9.4.2.2). */
        if (!(ads->reg[CONFIG] & SINGLE_SHOT)) begin(ads, (double)ads->done_ns);
    }
}

/* DS table 8: OS can be set only in the power-down state; a change takes effect when the running conversion has ended. */
static void write_config(struct ads1115 *ads, uint16_t value, int64_t now_ns)
{
    ads->reg[CONFIG] = value & (uint16_t)~OS;
    if (!ads->busy && (value & OS || !(value & SINGLE_SHOT))) begin(ads, (double)now_ns + POWER_UP_NS);
}

/* DS 9.5.1.1: the pointer register's two bits, then two bytes. */
static void write_message(struct chip *chip, const uint8_t *p, size_t n, int64_t now_ns)
{
    struct ads1115 *ads = (struct ads1115 *)chip;

    chip->pointer = p[0] & 3;
    if (n < 3 || chip->pointer == CONVERSION) return;
    const uint16_t value = (uint16_t)(p[1] << 8 | p[2]);
    if (chip->pointer == CONFIG) write_config(ads, value, now_ns);
    else ads->reg[chip->pointer] = value;
}

/* OS reads 0 while a conversion is running. */
static uint16_t word(const struct ads1115 *ads, unsigned reg)
{
    return reg == CONFIG && !ads->busy ? ads->reg[CONFIG] | OS : ads->reg[reg];
}

static void read_message(struct chip *chip, uint8_t *p, size_t n, int64_t now_ns)
{
    const struct ads1115 *ads = (struct ads1115 *)chip;
    const uint16_t value = word(ads, chip->pointer & 3);

    (void)now_ns;
    if ((chip->pointer & 3) == CONVERSION && ads->busy && ads->running & SINGLE_SHOT) chip->history.early_reads++;
    for (size_t i = 0; i < n; i++) p[i] = (uint8_t)(i % 2 == 0 ? value >> 8 : value);
}

static uint8_t peek(struct chip *chip, uint8_t reg)
{
    const uint16_t value = word((struct ads1115 *)chip, reg & 3);

    return (uint8_t)(reg & 0x80 ? value : value >> 8);
}

static void poke(struct chip *chip, uint8_t reg, uint8_t value)
{
    uint16_t *to = &((struct ads1115 *)chip)->reg[reg & 3];

    *to = (uint16_t)(reg & 0x80 ? (*to & 0xFF00) | value : (*to & 0xFF) | value << 8);
}

static bool control(struct chip *chip, const char *word_, const char *argument, int64_t now_ns)
{
    (void)argument;
    (void)now_ns;
    if (strcmp(word_, "endless") != 0 && strcmp(word_, "ending") != 0) return false;
    ((struct ads1115 *)chip)->endless = strcmp(word_, "endless") == 0;
    return true;
}

const struct chip_type chip_type_ads1115 = {
    .kind = "ads1115",
    .size = sizeof(struct ads1115),
    .identity = -1,
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
