/*
 * bus_i2c.c - one chip on /dev/i2c-N, by the kernel's i2c-dev (Documentation/i2c/dev-interface.rst).
 *
 * Three ways to a chip's registers, the first that the adapter can:
 *
 *   I2C_RDWR          register, repeated start, any number of bytes: one transaction, nobody gets in between
 *   SMBus I2C block   the same in pieces of up to 32 bytes
 *   SMBus word, byte  pieces of two bytes or of one
 *
 * In pieces, read() counts the register up and read_fifo() stays; a register of more than a byte is moved whole or not at
 * all. Some adapters claim I2C_RDWR and refuse it, or refuse one that is too long for them, both by EOPNOTSUPP: then the
 * transfer goes the SMBus way.
 *
 * A kernel driver that has the chip keeps it: I2C_SLAVE_FORCE would have two masters write one chip's registers.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <i2c/smbus.h>
#include <linux/i2c-dev.h>
#include <linux/i2c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "sensor/bus.h"

/* The major number of /dev/i2c-N, whose minor number is N: Linux' Documentation/admin-guide/devices.txt. */
#define I2C_DEV_MAJOR 89
/* What i2c-dev takes in one message: drivers/i2c/i2c-dev.c, i2cdev_ioctl_rdwr(). */
#define MESSAGE_MAX 8192
/* An interrupted transfer is tried so often. Threads that block signals are never interrupted. */
#define TRIES 3

struct chip {
    struct psa_i2c i2c;
    int fd;
    uint8_t address;
    unsigned long can; /* I2C_FUNC_* */
    bool rdwr;         /* try I2C_RDWR */
    bool rdwr_works;   /* it did once */
    char *bus;         /* "i2c-1", for messages */
    char path[];       /* "/dev/i2c-1" */
};

static int read_up(struct psa_i2c *i2c, uint8_t reg, uint8_t *p, size_t n, struct psa_fault *fault);
static int read_fifo(struct psa_i2c *i2c, uint8_t reg, uint8_t *p, size_t n, struct psa_fault *fault);
static int write_up(struct psa_i2c *i2c, uint8_t reg, const uint8_t *p, size_t n, struct psa_fault *fault);
static void close_chip(struct psa_i2c *i2c);

static const struct psa_i2c_calls calls = {
    .read = read_up,
    .read_fifo = read_fifo,
    .write = write_up,
    .close = close_chip,
};

/* ---- names ------------------------------------------------------------------------------------------------------- */

/* "/dev/i2c-1" of "i2c-1" or "1"; any other name is one in /dev, which udev may have made for an adapter. */
static void path_of(const char *bus, char *path, size_t size)
{
    const bool digits = *bus != '\0' && bus[strspn(bus, "0123456789")] == '\0';

    snprintf(path, size, "%s%s%s", *bus == '/' ? "" : "/dev/", digits ? "i2c-" : "", bus);
}

/* The adapter's number, or -1. */
static int number_of(const char *path)
{
    static const char prefix[] = "/dev/i2c-";
    const char *digits = path + sizeof prefix - 1;
    struct stat about;

    if (strncmp(path, prefix, sizeof prefix - 1) == 0 && *digits != '\0' &&
        digits[strspn(digits, "0123456789")] == '\0')
        return (int)strtol(digits, NULL, 10);
    if (stat(path, &about) == 0 && S_ISCHR(about.st_mode) && major(about.st_rdev) == I2C_DEV_MAJOR)
        return (int)minor(about.st_rdev);
    return -1;
}

/* The names in a folder that begin with a prefix, "i2c-0, i2c-1"; how many there are. */
static size_t names_in(const char *folder, const char *prefix, char *names, size_t size)
{
    DIR *dir = opendir(folder);
    size_t n = 0;

    *names = '\0';
    if (dir == NULL) return 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        const size_t used = strlen(names);
        if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0) continue;
        snprintf(names + used, size - used, "%s%s", n++ > 0 ? ", " : "", entry->d_name);
    }
    closedir(dir);
    return n;
}

/* ---- what went wrong --------------------------------------------------------------------------------------------- */

static int fault_open(const char *path, int number, struct psa_fault *fault)
{
    char there[120];
    const char *name = strncmp(path, "/dev/", 5) == 0 ? path + 5 : path;

    if (number == EACCES)
        return psa_fault_set(
            fault, PSA_FAULT_DENIED,
            "no permission to open %s (EACCES); add the user to the group i2c (usermod -aG i2c USER; in a "
            "unit: SupplementaryGroups=i2c)",
            path);
    if (number == EPERM)
        return psa_fault_set(fault, PSA_FAULT_DENIED,
                             "the system forbids %s (EPERM); a systemd unit needs DeviceAllow=char-i2c rw", path);
    if (number != ENOENT) return psa_fault_errno(fault, number, path);
    if (names_in("/dev", "i2c-", there, sizeof there) > 0)
        return psa_fault_set(fault, PSA_FAULT_ABSENT, "there is no I2C bus %s (ENOENT); there is %s", name, there);
    return psa_fault_set(
        fault, PSA_FAULT_ABSENT,
        "there is no I2C bus %s (ENOENT), and no other; is I2C switched on, and i2c-dev loaded (modprobe "
        "i2c-dev)?",
        name);
}

/* I2C_SLAVE said EBUSY: whose is the chip, and what is it called there? */
static int fault_busy(const struct chip *chip, struct psa_fault *fault)
{
    char driver[40], iio[64];

    if (!psa_i2c_driver_of(chip->path, chip->address, driver, iio))
        return psa_fault_set(fault, PSA_FAULT_BUSY,
                             "a kernel driver has 0x%02x on %s (EBUSY); read it as iio:NAME, sensord --probe shows the "
                             "names",
                             chip->address, chip->bus);
    if (*iio != '\0')
        return psa_fault_set(fault, PSA_FAULT_BUSY,
                             "the kernel driver %s has 0x%02x on %s (EBUSY); read it through the kernel: iio:%s",
                             driver, chip->address, chip->bus, iio);
    return psa_fault_set(
        fault, PSA_FAULT_BUSY,
        "the kernel driver %s has 0x%02x on %s (EBUSY) and offers no IIO device (iio:NAME); unbind it: "
        "echo %d-%04x >/sys/bus/i2c/drivers/%s/unbind",
        driver, chip->address, chip->bus, number_of(chip->path), chip->address, driver);
}

/* A transfer failed. Adapters differ in what they call a chip that does not answer: ENXIO, EREMOTEIO, ENODEV;
 * a CP2112 says ETIMEDOUT. */
static int fault_transfer(const struct chip *chip, int number, struct psa_fault *fault)
{
    char what[80];
    const char *code = number == ENXIO ? "ENXIO" : number == EREMOTEIO ? "EREMOTEIO" : "ENODEV";

    snprintf(what, sizeof what, "0x%02x on %.40s", chip->address, chip->bus);
    switch (number) {
    case ENXIO:
    case EREMOTEIO:
    case ENODEV:
        if (access(chip->path, F_OK) != 0)
            return psa_fault_set(fault, PSA_FAULT_ABSENT, "%s: the bus is gone (%s); was the adapter unplugged?", what,
                                 code);
        return psa_fault_set(fault, PSA_FAULT_ABSENT, "no answer from %s (%s); check wiring, power and address", what,
                             code);
    case ETIMEDOUT:
        return psa_fault_set(
            fault, PSA_FAULT_TIMEOUT,
            "no answer in time from %s (ETIMEDOUT); is it wired and powered, does something hold SDA or "
            "SCL low?",
            what);
    case EBUSY: /* of a transfer: the bus, not the chip */
        return psa_fault_set(fault, PSA_FAULT_TIMEOUT,
                             "%s: the bus is busy (EBUSY); does something hold SDA or SCL low?", what);
    case EOPNOTSUPP:
        if (chip->i2c.register_bytes > 1)
            return psa_fault_set(
                fault, PSA_FAULT_WRONG,
                "%s: a register of this chip has %u bytes, and the adapter moves single bytes only (it has "
                "neither I2C_RDWR nor SMBus words or blocks); use another adapter",
                what, chip->i2c.register_bytes);
        return psa_fault_errno(fault, number, what);
    default: return psa_fault_errno(fault, number, what);
    }
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static struct chip *allocate(const char *path, uint8_t address)
{
    const size_t n = strlen(path) + 1;
    struct chip *chip = calloc(1, sizeof *chip + n);

    if (chip == NULL) return NULL;
    memcpy(chip->path, path, n);
    chip->bus = strncmp(chip->path, "/dev/", 5) == 0 ? chip->path + 5 : chip->path;
    chip->address = address;
    chip->i2c.calls = &calls;
    return chip;
}

int psa_i2c_open(const char *bus, uint8_t address, struct psa_i2c **i2c, struct psa_fault *fault)
{
    char path[256];
    struct chip *chip;

    path_of(bus, path, sizeof path);
    chip = allocate(path, address);
    if (chip == NULL) return psa_fault_set(fault, PSA_FAULT_IO, "out of memory opening %s", path);
    chip->fd = open(path, O_RDWR | O_CLOEXEC);
    if (chip->fd < 0) {
        fault_open(path, errno, fault);
        free(chip);
        return -1;
    }
    if (ioctl(chip->fd, I2C_FUNCS, &chip->can) < 0) {
        psa_fault_set(fault, PSA_FAULT_WRONG, "%s is no I2C bus: %s", path, strerror(errno));
    } else if (ioctl(chip->fd, I2C_SLAVE, (unsigned long)address) < 0) {
        if (errno == EBUSY) fault_busy(chip, fault);
        else psa_fault_errno(fault, errno, path);
    } else {
        chip->rdwr = (chip->can & I2C_FUNC_I2C) != 0;
        *i2c = &chip->i2c;
        return 0;
    }
    close_chip(&chip->i2c);
    return -1;
}

bool psa_i2c_driver_of(const char *bus, uint8_t address, char driver[40], char iio[64])
{
    char path[256], device[64], target[256], entry[48];
    const char *slash;
    ssize_t n;

    path_of(bus, path, sizeof path);
    snprintf(device, sizeof device, "/sys/bus/i2c/devices/%d-%04x", number_of(path), address);
    snprintf(path, sizeof path, "%s/driver", device);
    n = readlink(path, target, sizeof target - 1);
    target[n < 0 ? 0 : n] = '\0';
    slash = strrchr(target, '/');
    snprintf(driver, 40, "%.39s", slash != NULL ? slash + 1 : target);
    *iio = '\0';
    if (*driver == '\0') return false;
    if (names_in(device, "iio:device", entry, sizeof entry) > 0) {
        entry[strcspn(entry, ",")] = '\0';
        snprintf(path, sizeof path, "%s/%s/name", device, entry);
        psa_bus_line_of(path, iio, 64);
        if (*iio == '\0') snprintf(iio, 64, "%s", entry); /* without a name it goes by its number */
    }
    return true;
}

double psa_i2c_bus_hz(const char *bus)
{
    char path[256];
    uint8_t cell[4]; /* a device tree's numbers are big-endian: Devicetree Specification 0.4, section 2.2.4 */
    ssize_t n;
    int number, fd;

    path_of(bus, path, sizeof path);
    number = number_of(path);
    snprintf(path, sizeof path, "/sys/class/i2c-dev/i2c-%d/device/of_node/clock-frequency", number);
    fd = number < 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    n = read(fd, cell, sizeof cell);
    close(fd);
    if (n != (ssize_t)sizeof cell) return 0;
    return ((double)cell[0] * 256 + cell[1]) * 65536 + ((double)cell[2] * 256 + cell[3]);
}

static void close_chip(struct psa_i2c *i2c)
{
    struct chip *chip = (struct chip *)i2c;

    close(chip->fd);
    free(chip);
}

/* ---- transfers --------------------------------------------------------------------------------------------------- */

/* I2C_RDWR. 0, or the errno; EOPNOTSUPP: go the SMBus way. */
static int rdwr(struct chip *chip, struct i2c_msg *message, unsigned n_message, int tries)
{
    struct i2c_rdwr_ioctl_data transfer = { .msgs = message, .nmsgs = n_message };
    int status;

    if (!chip->rdwr) return EOPNOTSUPP;
    do {
        status = ioctl(chip->fd, I2C_RDWR, &transfer);
    } while (status < 0 && errno == EINTR && --tries > 0);
    if (status == (int)n_message) {
        chip->rdwr_works = true;
        return 0;
    }
    if (status >= 0) return EREMOTEIO; /* fewer messages went through */
    if (errno != EOPNOTSUPP) return errno;
    chip->rdwr = chip->rdwr_works; /* one that was too long, or does the adapter never do it? */
    return EOPNOTSUPP;
}

/* The next piece of n bytes by SMBus: how many came, or minus the errno. */
static int read_piece(const struct chip *chip, uint8_t reg, uint8_t *p, size_t n)
{
    int value;

    if (n > I2C_SMBUS_BLOCK_MAX) n = I2C_SMBUS_BLOCK_MAX;
    if (n > 1 && (chip->can & I2C_FUNC_SMBUS_READ_I2C_BLOCK)) {
        uint8_t block[I2C_SMBUS_BLOCK_MAX]; /* libi2c writes what the kernel says came */
        value = i2c_smbus_read_i2c_block_data(chip->fd, reg, (uint8_t)n, block);
        if (value == 0) return -EIO;
        if (value > (int)n) value = (int)n;
        if (value > 0) memcpy(p, block, (size_t)value);
        return value;
    }
    if (n > 1 && (chip->can & I2C_FUNC_SMBUS_READ_WORD_DATA)) { /* SMBus 3.2, 6.5.4: the low byte comes first */
        value = i2c_smbus_read_word_data(chip->fd, reg);
        if (value < 0) return value;
        p[0] = (uint8_t)(value & 0xff);
        p[1] = (uint8_t)(value >> 8);
        return 2;
    }
    if (chip->i2c.register_bytes > 1) return -EOPNOTSUPP;
    value = i2c_smbus_read_byte_data(chip->fd, reg);
    if (value < 0) return value;
    *p = (uint8_t)value;
    return 1;
}

/* `step`: 1 where the register counts up with the bytes, 0 where it stays. */
static int read_smbus(const struct chip *chip, uint8_t reg, uint8_t *p, size_t n, unsigned step, int tries)
{
    while (n > 0) {
        const int got = read_piece(chip, reg, p, n);
        if (got == -EINTR && --tries > 0) continue;
        if (got < 0) return -got;
        p += got;
        n -= (size_t)got;
        reg = (uint8_t)(reg + step * (unsigned)got);
    }
    return 0;
}

static int read_bytes(struct psa_i2c *i2c, uint8_t reg, uint8_t *p, size_t n, bool fifo, struct psa_fault *fault)
{
    struct chip *chip = (struct chip *)i2c;
    struct i2c_msg message[2] = { { .addr = chip->address, .len = 1, .buf = &reg },
                                  { .addr = chip->address, .flags = I2C_M_RD, .len = (uint16_t)n, .buf = p } };
    /* Bytes that an interrupted transfer took out of a FIFO are gone: another try would start in mid-sample. */
    const int tries = fifo ? 1 : TRIES;
    int error = n > MESSAGE_MAX ? EOPNOTSUPP : rdwr(chip, message, 2, tries);

    if (error == EOPNOTSUPP) error = read_smbus(chip, reg, p, n, fifo ? 0 : 1, tries);
    return error == 0 ? 0 : fault_transfer(chip, error, fault);
}

static int read_up(struct psa_i2c *i2c, uint8_t reg, uint8_t *p, size_t n, struct psa_fault *fault)
{
    return read_bytes(i2c, reg, p, n, false, fault);
}

static int read_fifo(struct psa_i2c *i2c, uint8_t reg, uint8_t *p, size_t n, struct psa_fault *fault)
{
    return read_bytes(i2c, reg, p, n, true, fault);
}

/* The next piece of n bytes by SMBus: how many went, or minus the errno. */
static int write_piece(const struct chip *chip, uint8_t reg, const uint8_t *p, size_t n)
{
    int status;

    if (n > 1 && (chip->can & I2C_FUNC_SMBUS_WRITE_I2C_BLOCK)) {
        status = i2c_smbus_write_i2c_block_data(chip->fd, reg, (uint8_t)n, p);
        return status < 0 ? status : (int)n;
    }
    if (n > 1 && (chip->can & I2C_FUNC_SMBUS_WRITE_WORD_DATA)) {
        status = i2c_smbus_write_word_data(chip->fd, reg, (uint16_t)(p[0] | p[1] << 8));
        return status < 0 ? status : 2;
    }
    if (chip->i2c.register_bytes > 1) return -EOPNOTSUPP;
    status = i2c_smbus_write_byte_data(chip->fd, reg, *p);
    return status < 0 ? status : 1;
}

static int write_up(struct psa_i2c *i2c, uint8_t reg, const uint8_t *p, size_t n, struct psa_fault *fault)
{
    struct chip *chip = (struct chip *)i2c;
    uint8_t bytes[1 + I2C_SMBUS_BLOCK_MAX] = { reg };
    struct i2c_msg message = { .addr = chip->address, .len = (uint16_t)(1 + n), .buf = bytes };
    int error, tries = TRIES;

    if (n > I2C_SMBUS_BLOCK_MAX) return fault_transfer(chip, EINVAL, fault);
    memcpy(bytes + 1, p, n);
    error = rdwr(chip, &message, 1, tries);
    if (error != EOPNOTSUPP) return error == 0 ? 0 : fault_transfer(chip, error, fault);
    while (n > 0) {
        const int sent = write_piece(chip, reg, p, n);
        if (sent == -EINTR && --tries > 0) continue;
        if (sent < 0) return fault_transfer(chip, -sent, fault);
        p += sent;
        n -= (size_t)sent;
        reg = (uint8_t)(reg + sent);
    }
    return 0;
}
