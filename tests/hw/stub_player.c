/*
 * stub_player.c - brings the registers of the kernel's i2c-stub to life: behind each address stands a chip of chips.h.
 *
 *     stub_player BUS CONTROL KIND@ADDRESS...        stub_player 0 /run/stub mpu6050@0x68 bmp180@0x77
 *
 * i2c-stub is memory: 256 bytes a chip that keep what was written. Every other millisecond this program hands what somebody has
 * written since to the chip, and writes what the chip then shows into the stub: a conversion ends, a reset bit clears. It goes
 * by I2C_SLAVE_FORCE, so it works beside a kernel driver that has the chip. CONTROL is a named pipe that it makes; a line
 * `chip ADDRESS WORDS...` is for chip_control(), `quit` ends the program.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/i2c-dev.h>
#include <linux/i2c.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "chips.h"

#define CHIPS_MAX 10 /* what i2c-stub can have */
#define REGISTERS 256
#define ROUND_MS 2

/* Where a kind has registers, in whole SMBus blocks: the fewer there are, the less the emulated machine has to do. */
static const struct {
    const char *kind;
    size_t from, to;
} registers[] = {
    { "mpu6050", 0x00, 0x80 },
    { "bmp180", 0xa0, 0x100 },
};

struct played {
    struct chip *chip;
    size_t from, to;          /* its registers */
    uint8_t shown[REGISTERS]; /* what this program has put into the stub */
};

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

_Noreturn static void die(const char *what)
{
    fprintf(stderr, "stub_player: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void transfer(int bus, uint8_t direction, uint8_t reg, uint8_t *p, size_t n)
{
    union i2c_smbus_data data;
    struct i2c_smbus_ioctl_data call = { direction, reg, I2C_SMBUS_I2C_BLOCK_DATA, &data };

    data.block[0] = (uint8_t)n;
    memcpy(data.block + 1, p, n);
    if (ioctl(bus, I2C_SMBUS, &call) < 0) die("I2C_SMBUS");
    if (direction == I2C_SMBUS_READ) memcpy(p, data.block + 1, n);
}

/* Put what has changed into the stub, the highest registers first: the busy bit of a BMP180 (0xF4) clears when the result
 * (0xF6) is there. */
static void show(int bus, struct played *played, const uint8_t *there, int64_t now)
{
    uint8_t shown[REGISTERS] = { 0 };

    for (size_t i = played->from; i < played->to; i++) shown[i] = chip_peek(played->chip, (uint8_t)i, now);
    for (size_t end = played->to; end > played->from;) {
        size_t from = end;
        while (from > played->from && end - from < I2C_SMBUS_BLOCK_MAX && shown[from - 1] != there[from - 1]) from--;
        if (from < end) transfer(bus, I2C_SMBUS_WRITE, (uint8_t)from, shown + from, end - from);
        end = from < end ? from : end - 1;
    }
    memcpy(played->shown, shown, sizeof shown);
}

static void play(int bus, struct played *played, bool first)
{
    uint8_t there[REGISTERS] = { 0 };
    int64_t now = now_ns();

    if (ioctl(bus, I2C_SLAVE_FORCE, chip_address(played->chip)) < 0) die("I2C_SLAVE_FORCE");
    for (size_t i = played->from; i < played->to; i += I2C_SMBUS_BLOCK_MAX) {
        transfer(bus, I2C_SMBUS_READ, (uint8_t)i, there + i, I2C_SMBUS_BLOCK_MAX);
    }
    for (size_t i = played->from; !first && i < played->to; i++) {
        const uint8_t message[] = { (uint8_t)i, there[i] };
        if (there[i] != played->shown[i]) chip_write(played->chip, message, sizeof message, now);
    }
    show(bus, played, there, now);
}

static bool make_chip(struct played *played, char *text)
{
    char *at = strchr(text, '@');

    if (!at) return false;
    *at = '\0';
    for (size_t i = 0; i < sizeof registers / sizeof *registers; i++) {
        if (strcmp(text, registers[i].kind) != 0) continue;
        played->from = registers[i].from;
        played->to = registers[i].to;
        played->chip = chip_new(text, (uint8_t)strtoul(at + 1, NULL, 0));
    }
    return played->chip != NULL;
}

static void obey(struct played *played, size_t n_played, char *command)
{
    char *rest;
    unsigned long address;

    if (strcmp(command, "quit") == 0) exit(0);
    address = strncmp(command, "chip ", 5) == 0 ? strtoul(command + 5, &rest, 0) : 0;
    for (size_t i = 0; address && i < n_played; i++) {
        if (chip_address(played[i].chip) != address) continue;
        if (*rest == ' ' && chip_control(played[i].chip, rest + 1, now_ns())) return;
    }
    fprintf(stderr, "stub_player: no such command: %s\n", command);
}

static void obey_control(int control, struct played *played, size_t n_played)
{
    char text[4096], *line, *rest = text;
    ssize_t n = read(control, text, sizeof text - 1);

    if (n <= 0) return;
    text[n] = '\0';
    while ((line = strsep(&rest, "\n"))) {
        if (*line) obey(played, n_played, line);
    }
}

int main(int argc, char **argv)
{
    static struct played played[CHIPS_MAX];
    size_t n_played = 0;
    char path[64];
    int bus, control;

    if (argc < 4 || argc - 3 > CHIPS_MAX) {
        fputs("usage: stub_player BUS CONTROL KIND@ADDRESS...\n", stderr);
        return 2;
    }
    for (int i = 3; i < argc; i++) {
        if (!make_chip(&played[n_played++], argv[i])) {
            fprintf(stderr, "stub_player: no such chip: %s\n", argv[i]);
            return 2;
        }
    }
    snprintf(path, sizeof path, "/dev/i2c-%s", argv[1]);
    bus = open(path, O_RDWR | O_CLOEXEC);
    if (bus < 0) die(path);
    for (size_t i = 0; i < n_played; i++) play(bus, &played[i], true);
    /* The pipe appears when the registers are filled. */
    if (mkfifo(argv[2], 0600) < 0 && errno != EEXIST) die(argv[2]);
    control = open(argv[2], O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (control < 0) die(argv[2]);
    for (;;) {
        struct pollfd fd = { .fd = control, .events = POLLIN };
        if (poll(&fd, 1, ROUND_MS) > 0) obey_control(control, played, n_played);
        for (size_t i = 0; i < n_played; i++) play(bus, &played[i], false);
    }
}
