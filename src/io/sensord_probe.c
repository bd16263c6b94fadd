/* sensord_probe.c - see sensord_probe.h. */
#include "io/sensord_probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <i2c/smbus.h>
#include <linux/gpio.h>
#include <linux/i2c-dev.h>
#include <linux/i2c.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/error.h"
#include "io/clock.h"
#include "sensor/driver.h"

/* I2C addresses of chips: UM10204 rev. 7, section 3.1.12 reserves the others. */
#define ADDRESS_FIRST 0x08
#define ADDRESS_LAST 0x77
/* A bus whose every transfer times out is left after this time. */
#define BUS_PATIENCE_NS INT64_C(3000000000)
/* Lines are broken here. */
#define WIDTH 78
#define INDENT 14

static void say(struct psa_buf *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct psa_buf *out, const char *format, ...)
{
    char text[1024];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    psa_buf_puts(out, text);
}

/* ---- folders ----------------------------------------------------------------------------------------------------- */

/* The names in a folder that begin with a prefix. */
struct names {
    char **name;
    size_t n;
};

/* "i2c-2" before "i2c-10". */
static int by_number(const void *a, const void *b)
{
    return strverscmp(*(char *const *)a, *(char *const *)b);
}

/* None where the folder cannot be read. */
static struct names names_in(const char *folder, const char *prefix)
{
    struct names names = { NULL, 0 };
    DIR *dir = opendir(folder);

    if (dir == NULL) return names;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0) continue;
        char **grown = realloc(names.name, (names.n + 1) * sizeof *grown);
        if (grown == NULL) break;
        names.name = grown;
        names.name[names.n] = strdup(entry->d_name);
        if (names.name[names.n] == NULL) break;
        names.n++;
    }
    closedir(dir);
    if (names.n > 0) qsort(names.name, names.n, sizeof *names.name, by_number);
    return names;
}

static void names_free(struct names *names)
{
    for (size_t i = 0; i < names->n; i++) free(names->name[i]);
    free(names->name);
}

/* ---- lists that are broken into lines ---------------------------------------------------------------------------- */

struct list {
    struct psa_buf *out;
    const char *title;
    size_t column; /* 0: nothing was written yet */
};

static void list_put(struct list *list, const char *item)
{
    const size_t n = strlen(item);

    if (list->column == 0) {
        say(list->out, "    %-*s", INDENT - 4, list->title);
        list->column = INDENT;
    } else if (list->column + 2 + n > WIDTH) {
        say(list->out, ",\n%*s", INDENT, "");
        list->column = INDENT;
    } else {
        psa_buf_puts(list->out, ", ");
        list->column += 2;
    }
    psa_buf_puts(list->out, item);
    list->column += n;
}

static void list_end(struct list *list)
{
    if (list->column > 0) psa_buf_puts(list->out, "\n");
    list->column = 0;
}

/* ---- I2C --------------------------------------------------------------------------------------------------------- */

struct bus {
    const char *name; /* "i2c-1" */
    int fd;
    unsigned long can;
};

/* Is there a chip at the address that the descriptor is set to? As i2cdetect does it: the bare address with the write
 * bit, but a byte is read where that can change an EEPROM, or where the adapter cannot send a bare address. */
static bool answers(const struct bus *bus, int address)
{
    const bool eeprom = (address >= 0x30 && address <= 0x37) || (address >= 0x50 && address <= 0x5f);

    if ((bus->can & I2C_FUNC_SMBUS_QUICK) && !(eeprom && (bus->can & I2C_FUNC_SMBUS_READ_BYTE)))
        return i2c_smbus_write_quick(bus->fd, I2C_SMBUS_WRITE) >= 0;
    return i2c_smbus_read_byte(bus->fd) >= 0;
}

/* The driver that knows the chip, or NULL. */
static const struct psa_sensor_driver *recognise(const struct bus *bus, uint8_t address)
{
    struct psa_fault fault;
    struct psa_i2c *i2c;
    const struct psa_sensor_driver *found = NULL;

    if (psa_i2c_open(bus->name, address, &i2c, &fault) != 0) return NULL;
    for (size_t i = 0; psa_sensor_drivers[i] != NULL && found == NULL; i++) {
        const struct psa_sensor_driver *driver = psa_sensor_drivers[i];
        if (driver->bus == PSA_BUS_I2C && driver->identify != NULL && driver->identify(i2c, address)) found = driver;
    }
    i2c->calls->close(i2c);
    return found;
}

/* 1: something is there. */
static int probe_address(const struct bus *bus, uint8_t address, struct psa_buf *out)
{
    const struct psa_sensor_driver *found;
    char driver[40], iio[64];

    if (ioctl(bus->fd, I2C_SLAVE, (unsigned long)address) < 0) {
        if (errno != EBUSY) return 0;
        if (!psa_i2c_driver_of(bus->name, address, driver, iio)) *driver = *iio = '\0';
        say(out, "    0x%02x    the kernel's%s%s%s%s\n", address, *driver != '\0' ? ", driver " : "", driver,
            *iio != '\0' ? ": iio:" : "", iio);
        return 1;
    }
    if (!answers(bus, address)) return 0;
    found = recognise(bus, address);
    if (found != NULL)
        say(out, "    0x%02x    %-8s %s:%s@0x%02x%s\n", address, found->sensor_model, found->name, bus->name, address,
            found->needs_line ? "/0" : "");
    else say(out, "    0x%02x    answers; no driver of sensord's knows it\n", address);
    return 1;
}

static void probe_bus(const char *name, struct psa_buf *out)
{
    char path[300], label[80];
    struct bus bus = { .name = name };
    struct psa_fault fault;
    struct psa_i2c *i2c;
    const int64_t begin_ns = psa_clock_ns();
    const double clock_hz = psa_i2c_bus_hz(name);
    int found = 0;

    snprintf(path, sizeof path, "/sys/class/i2c-dev/%s/name", name);
    psa_bus_line_of(path, label, sizeof label);
    snprintf(path, sizeof path, "/dev/%s", name);
    bus.fd = open(path, O_RDWR | O_CLOEXEC);
    if (bus.fd < 0) {
        /* Once more, for its words. */
        if (psa_i2c_open(name, ADDRESS_FIRST, &i2c, &fault) == 0) i2c->calls->close(i2c);
        else say(out, "  %s  %s\n", name, fault.text);
        return;
    }
    say(out, "  %s%s%s", name, *label != '\0' ? "  " : "", label);
    if (clock_hz > 0) say(out, ", %g kHz", clock_hz / 1e3);
    psa_buf_puts(out, "\n");
    if (ioctl(bus.fd, I2C_FUNCS, &bus.can) < 0 || !(bus.can & (I2C_FUNC_SMBUS_QUICK | I2C_FUNC_SMBUS_READ_BYTE))) {
        psa_buf_puts(out, "    cannot be asked who is there; name a sensor, and sensord will try\n");
    } else {
        for (int address = ADDRESS_FIRST; address <= ADDRESS_LAST; address++) {
            if (psa_clock_ns() - begin_ns > BUS_PATIENCE_NS) {
                say(out, "    left at 0x%02x: the bus hangs or is very slow; does something hold SDA or SCL low?\n",
                    (unsigned)address);
                found = -1;
                break;
            }
            found += probe_address(&bus, (uint8_t)address, out);
        }
        if (found == 0) psa_buf_puts(out, "    no answer from any address; check wiring, power and pull-ups\n");
    }
    close(bus.fd);
}

static void probe_i2c(struct psa_buf *out)
{
    struct names buses = names_in("/dev", "i2c-"), adapters = names_in("/sys/bus/i2c/devices", "i2c-");

    psa_buf_puts(out, "I2C buses\n");
    for (size_t i = 0; i < buses.n; i++) probe_bus(buses.name[i], out);
    if (buses.n == 0 && adapters.n > 0)
        say(out, "  the kernel has %zu, but there is no /dev/i2c-N: load i2c-dev (modprobe i2c-dev)\n", adapters.n);
    else if (buses.n == 0)
        psa_buf_puts(out,
                     "  none: is I2C switched on (on a Raspberry Pi: dtparam=i2c_arm=on), and i2c-dev loaded (modprobe "
                     "i2c-dev)?\n");
    names_free(&buses);
    names_free(&adapters);
}

/* ---- GPIO -------------------------------------------------------------------------------------------------------- */

/* Lines [first, last] of one kind: "17 (GPIO17)", or "4-7" of those without a name. */
static void put_lines(struct list *list, unsigned first, unsigned last, const char *name)
{
    char text[2 * GPIO_MAX_NAME_SIZE + 32];

    if (*name != '\0') snprintf(text, sizeof text, "%u (%.*s)", first, GPIO_MAX_NAME_SIZE, name);
    else if (first == last) snprintf(text, sizeof text, "%u", first);
    else snprintf(text, sizeof text, "%u-%u", first, last);
    list_put(list, text);
}

/* The lines that can be had: those without a name are gathered into runs. */
static void list_free_lines(const struct gpio_v2_line_info *info, unsigned n, struct psa_buf *out)
{
    struct list list = { out, "free", 0 };

    for (unsigned first = 0; first < n; first++) {
        unsigned last = first;
        if (info[first].flags & GPIO_V2_LINE_FLAG_USED) continue;
        if (info[first].name[0] == '\0') {
            while (last + 1 < n && info[last + 1].name[0] == '\0' && !(info[last + 1].flags & GPIO_V2_LINE_FLAG_USED))
                last++;
        }
        put_lines(&list, first, last, info[first].name);
        first = last;
    }
    list_end(&list);
}

static void list_used_lines(const struct gpio_v2_line_info *info, unsigned n, struct psa_buf *out)
{
    struct list list = { out, "in use", 0 };

    for (unsigned i = 0; i < n; i++) {
        char text[3 * GPIO_MAX_NAME_SIZE];
        if (!(info[i].flags & GPIO_V2_LINE_FLAG_USED)) continue;
        snprintf(text, sizeof text, "%u by %.*s", i, GPIO_MAX_NAME_SIZE,
                 info[i].consumer[0] != '\0' ? info[i].consumer : "the kernel");
        list_put(&list, text);
    }
    list_end(&list);
}

static void list_lines(int fd, unsigned n, struct psa_buf *out)
{
    struct gpio_v2_line_info *info = calloc(n + 1, sizeof *info);
    unsigned got = 0;

    if (info == NULL) {
        out->failed = true;
        return;
    }
    while (got < n) {
        info[got].offset = got;
        if (ioctl(fd, GPIO_V2_GET_LINEINFO_IOCTL, &info[got]) < 0) break;
        info[got].name[GPIO_MAX_NAME_SIZE - 1] = info[got].consumer[GPIO_MAX_NAME_SIZE - 1] = '\0';
        got++;
    }
    if (got < n)
        say(out, "    line %u cannot be asked (%s); sensord needs Linux 5.10 or later\n", got, strerror(errno));
    list_free_lines(info, got, out);
    list_used_lines(info, got, out);
    free(info);
}

static void probe_gpio(struct psa_buf *out)
{
    struct names chips = names_in("/dev", "gpiochip");

    psa_buf_puts(out, "\nGPIO chips (digital:CHIP/LINE, dht11:CHIP/LINE)\n");
    for (size_t i = 0; i < chips.n; i++) {
        char path[300];
        struct gpiochip_info chip;
        snprintf(path, sizeof path, "/dev/%s", chips.name[i]);
        const int fd = open(path, O_RDWR | O_CLOEXEC);
        if (fd < 0 && (errno == EACCES || errno == EPERM))
            say(out, "  %s  no permission to open %s; add the user to the group gpio (usermod -aG gpio USER)\n",
                chips.name[i], path);
        else if (fd < 0 || ioctl(fd, GPIO_GET_CHIPINFO_IOCTL, &chip) < 0)
            say(out, "  %s  %s\n", chips.name[i], strerror(errno));
        else {
            say(out, "  %s  %.*s, %u lines\n", chips.name[i], GPIO_MAX_NAME_SIZE, chip.label, chip.lines);
            list_lines(fd, chip.lines, out);
        }
        if (fd >= 0) close(fd);
    }
    if (chips.n == 0) psa_buf_puts(out, "  none\n");
    names_free(&chips);
}

/* ---- IIO --------------------------------------------------------------------------------------------------------- */

/* The channels of a device: its files in_NAME_raw or in_NAME_input. */
static void list_channels(const char *folder, struct psa_buf *out)
{
    static const char *const endings[] = { "_raw", "_input" };
    struct names files = names_in(folder, "in_");
    struct list list = { out, "channels", 0 };

    for (size_t i = 0; i < files.n; i++) {
        char *name = files.name[i];
        const size_t n = strlen(name);
        for (size_t e = 0; e < sizeof endings / sizeof *endings; e++) {
            const size_t ending = strlen(endings[e]);
            if (n <= ending + 3 || strcmp(name + n - ending, endings[e]) != 0) continue;
            name[n - ending] = '\0';
            list_put(&list, name + 3);
            break;
        }
    }
    list_end(&list);
    names_free(&files);
}

static void probe_iio_device(const char *device, struct psa_buf *out)
{
    char folder[300], path[400], name[80];

    snprintf(folder, sizeof folder, "/sys/bus/iio/devices/%s", device);
    snprintf(path, sizeof path, "%s/name", folder);
    psa_bus_line_of(path, name, sizeof name);
    say(out, "  %s  iio:%s\n", device, *name != '\0' ? name : device);
    list_channels(folder, out);
    snprintf(path, sizeof path, "/dev/%s", device);
    if (access(path, F_OK) == 0 && access(path, R_OK | W_OK) != 0)
        say(out,
            "    no permission to open %s, which a capture (trigger=) needs; add the user to its group, iio for one\n",
            path);
}

static void probe_iio(struct psa_buf *out)
{
    struct names devices = names_in("/sys/bus/iio/devices", "iio:device");
    struct names triggers = names_in("/sys/bus/iio/devices", "trigger");
    struct list list = { out, "triggers", 0 };

    psa_buf_puts(out, "\nsensors that the kernel drives (IIO)\n");
    for (size_t i = 0; i < devices.n; i++) probe_iio_device(devices.name[i], out);
    for (size_t i = 0; i < triggers.n; i++) {
        char path[400], name[80];
        snprintf(path, sizeof path, "/sys/bus/iio/devices/%s/name", triggers.name[i]);
        psa_bus_line_of(path, name, sizeof name);
        if (*name != '\0') list_put(&list, name);
    }
    list_end(&list);
    if (devices.n == 0) psa_buf_puts(out, "  none\n");
    names_free(&devices);
    names_free(&triggers);
}

int psa_sensord_probe(struct psa_buf *out, struct psa_error *error)
{
    probe_i2c(out);
    probe_gpio(out);
    probe_iio(out);
    psa_buf_puts(out, "\nsensord ARGUMENT reads one; sensord --list shows the drivers and their options\n");
    return out->failed ? psa_fail_memory(error, "looking at what is there") : 0;
}
