/*
 * chips.h - chips as their datasheets describe them, register by register, for worlds that play a bus: umockdev in
 * i2c_world.c, a CP2112 and i2c-stub in the guest of check-hw. Plain C, no kernel, no clock: each call says what time it is.
 * Written from the datasheets alone, so that a driver and its model do not share a mistake.
 *
 * Kinds and what they measure after power-on; `set`, `sine` and `count` (below) change it:
 *
 *     mpu6050   accel_x 0.5 g, accel_y -0.25 g, accel_z 1 g, gyro_x 10 deg/s, gyro_y -20 deg/s, temperature 25 C: whole
 *               steps of every range but the temperature's (raw -3920, so 36.53 - 3920 / 340 = 25.00059). gyro_z is
 *               5 deg/s plus 0 to 7 raw steps, which a hash of the sample's number gives: a live sensor's last bits move.
 *               Samples are numbered from 0 at power-on. After a change of the rate (or waking up) the first is taken one
 *               period later, the period being (1 + SMPLRT_DIV) / (8 or 1 kHz) / (1 + rate-error).
 *     bmp180    the datasheet's example: UT 27898, UP 23843 at oss 0: 15.0 C and 69964 Pa; at other oss UP << oss.
 *     ads1115   AIN0 0.5 V, AIN1 1 V, AIN2 1.5 V, AIN3 2 V; so differences are -0.5 V, -1.5 V, -1 V, -0.5 V.
 */
#ifndef PSA_TESTS_HW_CHIPS_H
#define PSA_TESTS_HW_CHIPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct chip;

/* Kind "mpu6050", "bmp180" or "ads1115", at power-on. NULL: no such kind, or no memory. */
struct chip *chip_new(const char *kind, uint8_t address);
void chip_free(struct chip *chip);

const char *chip_kind(const struct chip *chip);
uint8_t chip_address(const struct chip *chip);

/* Does it acknowledge its address? A world that plays a bus asks this before each message. */
bool chip_answers(const struct chip *chip);

/* A write message of n bytes: the first is the register, the others go into registers from there on. n is 0 for a bare
 * address (SMBus quick). A write message followed by a read message is a register read. now_ns never runs backwards. */
void chip_write(struct chip *chip, const uint8_t *p, size_t n, int64_t now_ns);
/* A read message of n bytes, from the register where the last message left off. */
void chip_read(struct chip *chip, uint8_t *p, size_t n, int64_t now_ns);

/*
 * Words to the chip; false: it does not know them. Every kind:
 *
 *     absent           power is lost: no acknowledge
 *     present          power is back, registers as after power-on
 *     mute, unmute     the wire is off: no acknowledge, but the chip goes on
 *     brownout         registers as after power-on, all else as before (mpu6050: asleep)
 *     freeze, thaw     the same raw values again and again
 *     poke REG VALUE   a register; the identity and bmp180's calibration are kept over power-on
 *     wrong-id         the identity becomes 0xEE
 *     rate-error PCT%  the chip's oscillator is PCT % fast (-PCT: slow)
 *     set NAME VALUE   what it measures, in the unit of the field: set accel_x -0.5, set ain3 0.25, set ut 27898, set up 23843
 *     sine NAME AMPLITUDE HZ   plus AMPLITUDE sin(2 pi HZ t), t in seconds of now_ns; not ut and up
 *
 * mpu6050: `count NAME` (the raw value of accel_x..gyro_z is the sample's number, low 16 bits, whatever the range; after
 * `set NAME` no longer), `self-test PCT%` (the response to self-test is PCT % off the factory trim; 3 % after power-on, up to
 * 14 % is a pass). bmp180: `endless` and `ending` (a conversion never ends; ends), `slow FACTOR` (it takes longer than the
 * datasheet's maximum), `flicker STEPS` (UP plus 0 to STEPS - 1, another at each conversion). ads1115: `endless`, `ending`.
 */
bool chip_control(struct chip *chip, const char *command, int64_t now_ns);

/* A register as a bus would read it, without what reading it changes; ads1115: the upper byte of register 0..3, with 0x80
 * added the lower. And one set from outside. */
uint8_t chip_peek(struct chip *chip, uint8_t reg, int64_t now_ns);
void chip_poke(struct chip *chip, uint8_t reg, uint8_t value);

/* What has happened so far, for reports and assertions. Samples: made (mpu6050) or conversions ended (bmp180, ads1115). Lost:
 * bytes that the mpu6050's FIFO dropped since it was full. Early: bmp180, ads1115: results read before they were ready. */
struct chip_history {
    uint64_t samples, fifo_lost, early_reads, resets;
};
struct chip_history chip_history(const struct chip *chip);

#endif
