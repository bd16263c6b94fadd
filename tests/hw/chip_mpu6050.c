/*
 * chip_mpu6050.c - InvenSense MPU-6050, from the Register Map and Descriptions RM-MPU-6000A-00 rev. 4.2 ("RM") and the
 * Product Specification PS-MPU-6000A-00 rev. 3.4 ("PS"). Where the papers leave a choice, the model takes the reading that
 * asks more of a driver: FIFO_RESET does nothing while FIFO_EN is set in the same byte (RM register 106), INT_STATUS shows only
 * what INT_ENABLE enables (registers 56, 58), a reset takes 50 ms during which nothing can be written.
 *
 * Not modelled: the low-pass filter's attenuation, cycle mode, the motion detector, the auxiliary bus.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "chip.h"

/* RM section 3, the register map; below, registers are named by their decimal number there. */
enum {
    SELF_TEST_X = 0x0D,
    SELF_TEST_A = 0x10,
    SMPLRT_DIV = 0x19,
    CONFIG = 0x1A,
    GYRO_CONFIG = 0x1B,
    ACCEL_CONFIG = 0x1C,
    FIFO_EN = 0x23,
    INT_PIN_CFG = 0x37,
    INT_ENABLE = 0x38,
    INT_STATUS = 0x3A,
    ACCEL_XOUT_H = 0x3B,
    TEMP_OUT_H = 0x41,
    EXT_SENS_END = 0x60,
    USER_CTRL = 0x6A,
    PWR_MGMT_1 = 0x6B,
    PWR_MGMT_2 = 0x6C,
    FIFO_COUNTH = 0x72,
    FIFO_COUNTL = 0x73,
    FIFO_R_W = 0x74,
    WHO_AM_I = 0x75
};

#define INT_OVERFLOW 0x10 /* RM 56, 58 */
#define INT_DATA_READY 0x01
#define USER_FIFO_EN 0x40 /* RM 106 */
#define USER_FIFO_RESET 0x04
#define USER_CLEARS 0x07 /* FIFO_RESET, I2C_MST_RESET, SIG_COND_RESET clear themselves */
#define POWER_RESET 0x80 /* RM 107 */
#define POWER_SLEEP 0x40
#define POWER_CLOCK_STOPPED 7 /* CLKSEL */
#define INT_RD_CLEAR 0x10     /* RM 55: any read clears INT_STATUS */

#define FIFO_BYTES 1024 /* PS section 7, FIFO */
/* PS section 6, start-up time: registers can be reached 20 ms, at most 100 ms after power-on. */
#define RESET_NS INT64_C(50000000)
#define AXES 7 /* in the order of the registers: accel x y z, temperature, gyro x y z */
#define TEMPERATURE 3

/* Factory trim codes, RM 13 to 16: 5 bits each, chosen here; any but 0 will do. Order: accel x y z, gyro x y z. */
static const unsigned trim_accel[3] = { 18, 13, 22 }, trim_gyro[3] = { 12, 17, 9 };

static const char *const names[] = { "accel_x", "accel_y", "accel_z", "temperature_C",
                                     "gyro_x",  "gyro_y",  "gyro_z",  NULL };
static const double constants[] = { 0.5, -0.25, 1, 25, 10, -20, 5 };

struct mpu6050 {
    struct chip chip;
    bool prepared;
    uint8_t reg[256];
    uint8_t fifo[FIFO_BYTES];
    size_t oldest, n_fifo;
    uint8_t last_byte;     /* that came out of the FIFO, RM 116 */
    uint8_t latched_count; /* FIFO_COUNTL as it was when FIFO_COUNTH was read */
    int64_t ready_ns;      /* the reset ends */
    int64_t start_ns;      /* of a time without changes of the rate */
    uint64_t taken;        /* samples since then */
    int64_t accel_tick;    /* the accelerometer's own millisecond since start_ns */
    int16_t raw[AXES];
    bool count[AXES];
    double self_test_error;
};

/* ---- what a sample is ------------------------------------------------------------------------------------------------ */

/* Samples a second, RM 25, 26: the gyroscope's rate is 8 kHz with DLPF_CFG 0 or 7, else 1 kHz. */
static double sample_rate(const struct mpu6050 *mpu)
{
    const unsigned filter = mpu->reg[CONFIG] & 7;
    const double gyro = filter == 0 || filter == 7 ? 8000 : 1000;

    return gyro / (1 + mpu->reg[SMPLRT_DIV]) * (1 + mpu->chip.rate_error);
}

/* What self-test adds when it works as at the factory, RM 13 to 16: in g, deg/s. */
static double factory_trim(int axis)
{
    static const double sign[3] = { 1, -1, 1 };

    if (axis < TEMPERATURE) return 4096 * 0.34 * pow(0.92 / 0.34, (trim_accel[axis] - 1.0) / 30) / 4096;
    return sign[axis - 4] * 25 * 131 * pow(1.046, trim_gyro[axis - 4] - 1.0) / 131;
}

/* Steps of an axis in the range that is set: RM 27, 28 (FS_SEL, AFS_SEL) and the tables at 59 and 67. */
static double steps_per_unit(const struct mpu6050 *mpu, int axis)
{
    static const double gyro[4] = { 131, 65.5, 32.8, 16.4 };

    if (axis < TEMPERATURE) return 16384 >> (mpu->reg[ACCEL_CONFIG] >> 3 & 3);
    return gyro[mpu->reg[GYRO_CONFIG] >> 3 & 3];
}

static int16_t measure(const struct mpu6050 *mpu, int axis, int64_t now_ns)
{
    const uint64_t number = mpu->chip.history.samples;
    const uint8_t test = mpu->reg[axis < TEMPERATURE ? ACCEL_CONFIG : GYRO_CONFIG];
    const int place = axis < TEMPERATURE ? axis : axis - 4;
    double value = chip_signal_at(&mpu->chip.signal[axis], now_ns);

    if (mpu->count[axis]) return (int16_t)(uint16_t)number;
    if (axis == TEMPERATURE) return chip_round((value - 36.53) * 340); /* RM 65 */
    /* XG_ST, XA_ST: bit 7, y 6, z 5. */
    if (test >> (7 - place) & 1) value += factory_trim(axis) * (1 + mpu->self_test_error);
    value *= steps_per_unit(mpu, axis);
    if (axis == AXES - 1) value += chip_hash(number) & 7;
    return chip_round(value);
}

/* An axis in standby (RM 108: accel x bit 5 ... gyro z bit 0) keeps its last value. */
static bool asleep(const struct mpu6050 *mpu, int axis)
{
    return axis != TEMPERATURE && (mpu->reg[PWR_MGMT_2] >> (axis < TEMPERATURE ? 5 - axis : 6 - axis) & 1);
}

/* ---- the FIFO -------------------------------------------------------------------------------------------------------- */

/* RM 116: when it is full the oldest byte is lost and the new one written. 1024 is no multiple of a 12-byte sample: what is
 * read after an overflow begins in the middle of one. */
static void fifo_put(struct mpu6050 *mpu, uint8_t byte)
{
    mpu->fifo[(mpu->oldest + mpu->n_fifo) % FIFO_BYTES] = byte;
    if (mpu->n_fifo < FIFO_BYTES) {
        mpu->n_fifo++;
        return;
    }
    mpu->oldest = (mpu->oldest + 1) % FIFO_BYTES;
    mpu->chip.history.fifo_lost++;
    if (mpu->reg[INT_ENABLE] & INT_OVERFLOW) mpu->reg[INT_STATUS] |= INT_OVERFLOW;
}

/* RM 116: an empty FIFO gives the last byte again. */
static uint8_t fifo_take(struct mpu6050 *mpu)
{
    if (mpu->n_fifo == 0) return mpu->last_byte;
    mpu->last_byte = mpu->fifo[mpu->oldest];
    mpu->oldest = (mpu->oldest + 1) % FIFO_BYTES;
    mpu->n_fifo--;
    return mpu->last_byte;
}

/* RM 35: TEMP bit 7, XG 6, YG 5, ZG 4, ACCEL 3; written in the order of the registers. */
static void fifo_put_sample(struct mpu6050 *mpu)
{
    static const uint8_t bit[AXES] = { 0x08, 0x08, 0x08, 0x80, 0x40, 0x20, 0x10 };

    if (!(mpu->reg[USER_CTRL] & USER_FIFO_EN)) return;
    for (int axis = 0; axis < AXES; axis++) {
        if (!(mpu->reg[FIFO_EN] & bit[axis])) continue;
        fifo_put(mpu, (uint8_t)((uint16_t)mpu->raw[axis] >> 8));
        fifo_put(mpu, (uint8_t)mpu->raw[axis]);
    }
}

/* ---- sampling -------------------------------------------------------------------------------------------------------- */

/* The accelerometer has no more than 1000 samples a second: above that its values come twice and more (RM 25). */
static bool accel_is_new(struct mpu6050 *mpu, double elapsed_s)
{
    const int64_t tick = (int64_t)(elapsed_s * 1000 * (1 + mpu->chip.rate_error) + 1e-6);
    const bool is_new = tick != mpu->accel_tick;

    mpu->accel_tick = tick;
    return is_new;
}

static void take_sample(struct mpu6050 *mpu, double elapsed_s)
{
    const int64_t at_ns = mpu->start_ns + (int64_t)(elapsed_s * 1e9);
    const bool new_accel = accel_is_new(mpu, elapsed_s);

    for (int axis = 0; axis < AXES && !mpu->chip.frozen; axis++) {
        if (!asleep(mpu, axis) && (axis >= TEMPERATURE || new_accel)) mpu->raw[axis] = measure(mpu, axis, at_ns);
    }
    mpu->taken++;
    mpu->chip.history.samples++;
    if (mpu->reg[INT_ENABLE] & INT_DATA_READY) mpu->reg[INT_STATUS] |= INT_DATA_READY;
    fifo_put_sample(mpu);
}

static bool samples_flow(const struct mpu6050 *mpu)
{
    return !(mpu->reg[PWR_MGMT_1] & (POWER_SLEEP | POWER_RESET)) && (mpu->reg[PWR_MGMT_1] & 7) != POWER_CLOCK_STOPPED;
}

static void advance(struct chip *chip, int64_t now_ns)
{
    struct mpu6050 *mpu = (struct mpu6050 *)chip;
    double rate;

    if (mpu->reg[PWR_MGMT_1] & POWER_RESET && now_ns >= mpu->ready_ns) mpu->reg[PWR_MGMT_1] = POWER_SLEEP;
    if (!samples_flow(mpu)) return;
    rate = sample_rate(mpu);
    const uint64_t due = (uint64_t)((double)(now_ns - mpu->start_ns) * 1e-9 * rate);
    /* Those that nobody can see any more need no more than their number. */
    if (!(mpu->reg[USER_CTRL] & USER_FIFO_EN) && due > mpu->taken + 1) {
        chip->history.samples += due - 1 - mpu->taken;
        mpu->taken = due - 1;
    }
    while (mpu->taken < due) take_sample(mpu, (double)(mpu->taken + 1) / rate);
}

static void restart_rate(struct mpu6050 *mpu, int64_t now_ns)
{
    mpu->start_ns = now_ns;
    mpu->taken = 0;
    mpu->accel_tick = 0;
}

/* RM section 3: all registers 0 but PWR_MGMT_1 (0x40) and WHO_AM_I; the factory's trim stays. */
static void reset_registers(struct mpu6050 *mpu)
{
    memset(mpu->reg, 0, sizeof mpu->reg);
    mpu->reg[PWR_MGMT_1] = POWER_SLEEP;
    mpu->reg[WHO_AM_I] = 0x68; /* RM 117: whatever the pin AD0 says */
    for (int i = 0; i < 3; i++) {
        mpu->reg[SELF_TEST_X + i] = (uint8_t)(trim_accel[i] >> 2 << 5 | trim_gyro[i]);
        mpu->reg[SELF_TEST_A] |= (uint8_t)((trim_accel[i] & 3) << (4 - 2 * i));
    }
    memset(mpu->raw, 0, sizeof mpu->raw);
    mpu->n_fifo = mpu->oldest = 0;
    mpu->chip.history.resets++;
}

static void reset(struct chip *chip, int64_t now_ns)
{
    struct mpu6050 *mpu = (struct mpu6050 *)chip;

    if (!mpu->prepared) mpu->self_test_error = 0.03;
    mpu->prepared = true;
    reset_registers(mpu);
    restart_rate(mpu, now_ns);
}

/* ---- registers --------------------------------------------------------------------------------------------------------- */

static void write_user_control(struct mpu6050 *mpu, uint8_t value)
{
    if (value & USER_FIFO_RESET && !(value & USER_FIFO_EN)) mpu->n_fifo = mpu->oldest = 0;
    mpu->reg[USER_CTRL] = value & (uint8_t)~USER_CLEARS;
}

static void write_power(struct mpu6050 *mpu, uint8_t value, int64_t now_ns)
{
    if (value & POWER_RESET) {
        reset_registers(mpu);
        mpu->reg[PWR_MGMT_1] |= POWER_RESET;
        mpu->ready_ns = now_ns + RESET_NS;
        return;
    }
    if (value != mpu->reg[PWR_MGMT_1]) restart_rate(mpu, now_ns);
    mpu->reg[PWR_MGMT_1] = value;
}

static bool read_only(uint8_t reg)
{
    return (reg >= SELF_TEST_X && reg <= SELF_TEST_A) || (reg >= INT_STATUS && reg <= EXT_SENS_END) ||
           reg == FIFO_COUNTH || reg == FIFO_COUNTL || reg >= WHO_AM_I;
}

static void write_register(struct mpu6050 *mpu, uint8_t reg, uint8_t value, int64_t now_ns)
{
    if (read_only(reg) || mpu->reg[PWR_MGMT_1] & POWER_RESET) return;
    if (reg == USER_CTRL) write_user_control(mpu, value);
    else if (reg == PWR_MGMT_1) write_power(mpu, value, now_ns);
    else if (reg == FIFO_R_W) fifo_put(mpu, value);
    else {
        if ((reg == SMPLRT_DIV || reg == CONFIG) && value != mpu->reg[reg]) restart_rate(mpu, now_ns);
        mpu->reg[reg] = value;
    }
}

/* Everything that reading does not change. */
static uint8_t peek(struct chip *chip, uint8_t reg)
{
    struct mpu6050 *mpu = (struct mpu6050 *)chip;

    if (reg >= ACCEL_XOUT_H && reg < ACCEL_XOUT_H + 2 * AXES) {
        const uint16_t raw = (uint16_t)mpu->raw[(reg - ACCEL_XOUT_H) / 2];
        return (uint8_t)((reg - ACCEL_XOUT_H) % 2 == 0 ? raw >> 8 : raw);
    }
    if (reg == FIFO_COUNTH) return (uint8_t)(mpu->n_fifo >> 8);
    if (reg == FIFO_COUNTL) return mpu->latched_count;
    if (reg == FIFO_R_W) return mpu->n_fifo > 0 ? mpu->fifo[mpu->oldest] : mpu->last_byte;
    if (reg == WHO_AM_I && chip->identity >= 0) return (uint8_t)chip->identity;
    return mpu->reg[reg];
}

static uint8_t read_register(struct mpu6050 *mpu, uint8_t reg)
{
    const uint8_t value = peek(&mpu->chip, reg);

    if (reg == FIFO_COUNTH) mpu->latched_count = (uint8_t)mpu->n_fifo; /* RM 114 */
    if (reg == FIFO_R_W) fifo_take(mpu);
    if (reg == INT_STATUS || mpu->reg[INT_PIN_CFG] & INT_RD_CLEAR) mpu->reg[INT_STATUS] = 0;
    return value;
}

/* PS section 9, burst reads: the register counts up within a message, but for FIFO_R_W. A burst is of one sampling
 * instant (RM 59). */
static void read_message(struct chip *chip, uint8_t *p, size_t n, int64_t now_ns)
{
    struct mpu6050 *mpu = (struct mpu6050 *)chip;

    (void)now_ns;
    for (size_t i = 0; i < n; i++) {
        p[i] = read_register(mpu, chip->pointer);
        if (chip->pointer != FIFO_R_W) chip->pointer++;
    }
}

static void write_message(struct chip *chip, const uint8_t *p, size_t n, int64_t now_ns)
{
    for (size_t i = 1; i < n; i++) {
        write_register((struct mpu6050 *)chip, chip->pointer, p[i], now_ns);
        if (chip->pointer != FIFO_R_W) chip->pointer++;
    }
}

static void poke(struct chip *chip, uint8_t reg, uint8_t value)
{
    ((struct mpu6050 *)chip)->reg[reg] = value;
}

static bool control(struct chip *chip, const char *word, const char *argument, int64_t now_ns)
{
    struct mpu6050 *mpu = (struct mpu6050 *)chip;
    char name[32] = "";
    double percent;
    int axis;

    if (strcmp(word, "self-test") == 0 && sscanf(argument, "%lf%%", &percent) == 1) {
        mpu->self_test_error = percent / 100;
        return true;
    }
    if (strcmp(word, "rate-error") == 0) restart_rate(mpu, now_ns);
    if (strcmp(word, "count") != 0 && strcmp(word, "set") != 0) return false;
    axis = sscanf(argument, "%31s", name) == 1 ? chip_signal_named(chip, name) : -1;
    if (axis < 0 || axis == TEMPERATURE) return false;
    mpu->count[axis] = *word == 'c';
    return true;
}

const struct chip_type chip_type_mpu6050 = {
    .kind = "mpu6050",
    .size = sizeof(struct mpu6050),
    .identity = WHO_AM_I,
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
