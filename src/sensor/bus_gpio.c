/*
 * bus_gpio.c - GPIO lines through the kernel's character device: version 2 of its interface (linux/gpio.h, Linux 5.10 and
 * later) itself, without libgpiod. What that gives: a queue for edges as long as asked (version 1 keeps 16, an answer of a
 * DHT11 has 84), times taken in the interrupt, numbered edges, and an output that turns into a listening input without
 * being let go of. And one binary runs wherever libgpiod's version 1 or 2 is installed, which have nothing in common.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/gpio.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "core/time.h"
#include "sensor/bus.h"

/* Who has a line, for gpioinfo(1): "sensord-1234", so that a second of the same is told from oneself. */
#define CONSUMER "sensord-%ld"
#define EDGES_AT_ONCE 64 /* events of one read(2), 48 bytes each on the stack */

struct line {
    struct psa_gpio gpio; /* first: what callers hold */
    int fd, stop_fd;
    struct psa_gpio_setup setup;
    bool listening;
    uint32_t seqno_last, seqno_base; /* the kernel numbers from the request on, callers from listen() on */
    char what[80];                   /* "gpiochip0/17", for messages */
    char label[32];                  /* of the chip; empty: it is named by it */
};

static struct line *line_of(struct psa_gpio *gpio)
{
    return (struct line *)gpio;
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * PSA_NS_PER_SECOND + now.tv_nsec;
}

static void put_consumer(char consumer[GPIO_MAX_NAME_SIZE])
{
    snprintf(consumer, GPIO_MAX_NAME_SIZE, CONSUMER, (long)getpid());
}

/* A chip that can be unplugged comes back under the next free number, but with its label. */
static int fail_gone(const struct line *line, struct psa_fault *fault)
{
    if (line->label[0] == '\0')
        return psa_fault_set(fault, PSA_FAULT_ABSENT, "%s: the GPIO chip is gone; is it plugged in?", line->what);
    return psa_fault_set(fault, PSA_FAULT_ABSENT,
                         "%s: the GPIO chip is gone; is it plugged in? Its number may change then, its label '%s' does "
                         "not: name it by that",
                         line->what, line->label);
}

static int fail_line(const struct line *line, int number, struct psa_fault *fault)
{
    return number == ENODEV ? fail_gone(line, fault) : psa_fault_errno(fault, number, line->what);
}

/* ---- one line -------------------------------------------------------------------------------------------------------- */

static struct gpio_v2_line_config input_config(const struct psa_gpio_setup *setup, bool edges)
{
    struct gpio_v2_line_config config = { .flags = GPIO_V2_LINE_FLAG_INPUT };

    if (edges) config.flags |= GPIO_V2_LINE_FLAG_EDGE_RISING | GPIO_V2_LINE_FLAG_EDGE_FALLING;
    if (setup->active_low) config.flags |= GPIO_V2_LINE_FLAG_ACTIVE_LOW;
    switch (setup->pull) {
    case PSA_GPIO_PULL_AS_IS: break;
    case PSA_GPIO_PULL_NONE: config.flags |= GPIO_V2_LINE_FLAG_BIAS_DISABLED; break;
    case PSA_GPIO_PULL_UP: config.flags |= GPIO_V2_LINE_FLAG_BIAS_PULL_UP; break;
    case PSA_GPIO_PULL_DOWN: config.flags |= GPIO_V2_LINE_FLAG_BIAS_PULL_DOWN; break;
    }
    if (setup->debounce_ns > 0) {
        const int64_t us = (setup->debounce_ns + 999) / 1000;
        config.num_attrs = 1;
        config.attrs[0].mask = 1;
        config.attrs[0].attr.id = GPIO_V2_LINE_ATTR_ID_DEBOUNCE;
        config.attrs[0].attr.debounce_period_us = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
    }
    return config;
}

static int set_config(struct line *line, struct gpio_v2_line_config *config, struct psa_fault *fault)
{
    if (ioctl(line->fd, GPIO_V2_LINE_SET_CONFIG_IOCTL, config) == 0) return 0;
    /* What a line says whose chip has no interrupts. */
    if (errno == ENXIO)
        return psa_fault_set(
            fault, PSA_FAULT_IO,
            "%s: this GPIO chip has no interrupts and cannot tell of edges (ENXIO); use a line of another", line->what);
    return fail_line(line, errno, fault);
}

static int drive(struct psa_gpio *gpio, bool high, struct psa_fault *fault)
{
    struct line *line = line_of(gpio);
    struct gpio_v2_line_config config = { .flags = GPIO_V2_LINE_FLAG_OUTPUT, .num_attrs = 1 };

    config.attrs[0].mask = 1;
    config.attrs[0].attr.id = GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES;
    config.attrs[0].attr.values = high;
    line->listening = false;
    return set_config(line, &config, fault);
}

/* The kernel's queue is emptied: n edges of it, or -1. Never waits, since the descriptor does not block. */
static ssize_t take(struct line *line, struct psa_edge *edge, size_t max, struct psa_fault *fault)
{
    struct gpio_v2_line_event event[EDGES_AT_ONCE];
    size_t n = 0;

    while (n < max) {
        const size_t want = max - n < EDGES_AT_ONCE ? max - n : EDGES_AT_ONCE;
        const ssize_t got = read(line->fd, event, want * sizeof *event);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN) break;
        if (got < 0) return fail_line(line, errno, fault);
        const size_t count = (size_t)got / sizeof *event;
        for (size_t i = 0; i < count; i++) {
            line->seqno_last = event[i].line_seqno;
            edge[n++] = (struct psa_edge){ .at_ns = (int64_t)event[i].timestamp_ns,
                                           .seqno = event[i].line_seqno - line->seqno_base,
                                           .rising = event[i].id == GPIO_V2_LINE_EVENT_RISING_EDGE };
        }
        if (count < want) break;
    }
    return (ssize_t)n;
}

static int listen_edges(struct psa_gpio *gpio, struct psa_fault *fault)
{
    struct line *line = line_of(gpio);
    struct gpio_v2_line_config config = input_config(&line->setup, true);
    struct psa_edge stale[EDGES_AT_ONCE];
    ssize_t n;

    if (line->listening) return 0;
    /* Edges of an earlier listen() are not of this one. Before the line changes: then every microsecond counts. */
    do {
        n = take(line, stale, EDGES_AT_ONCE, fault);
        if (n < 0) return -1;
    } while (n == EDGES_AT_ONCE);
    line->seqno_base = line->seqno_last;
    if (set_config(line, &config, fault) != 0) return -1;
    line->listening = true;
    return 0;
}

static int value(struct psa_gpio *gpio, bool *high, struct psa_fault *fault)
{
    struct line *line = line_of(gpio);
    struct gpio_v2_line_values values = { .mask = 1 };

    if (ioctl(line->fd, GPIO_V2_LINE_GET_VALUES_IOCTL, &values) != 0) return fail_line(line, errno, fault);
    *high = values.bits & 1;
    return 0;
}

/* Until the line or the stop has something to say, or it is then_ns: whether the line has, or -1. */
static int wait_for(const struct line *line, int64_t then_ns, struct psa_fault *fault)
{
    struct pollfd fds[2] = { { .fd = line->fd, .events = POLLIN }, { .fd = line->stop_fd, .events = POLLIN } };

    for (;;) {
        const struct timespec left = psa_timespec(then_ns - now_ns());
        if (ppoll(fds, 2, &left, NULL) >= 0) break;
        if (errno != EINTR) return psa_fault_errno(fault, errno, line->what);
    }
    if (fds[0].revents & POLLIN) return 1;
    if (fds[0].revents == 0) return 0;
    return fail_gone(line, fault);
}

static int edges(struct psa_gpio *gpio, struct psa_edge *edge, size_t max, int64_t then_ns, size_t *n,
                 struct psa_fault *fault)
{
    struct line *line = line_of(gpio);
    const int ready = wait_for(line, then_ns, fault);
    ssize_t got;

    *n = 0;
    if (ready <= 0) return ready;
    got = take(line, edge, max, fault);
    if (got < 0) return -1;
    *n = (size_t)got;
    return 0;
}

static void close_line(struct psa_gpio *gpio)
{
    struct line *line = line_of(gpio);

    close(line->fd);
    free(line);
}

static const struct psa_gpio_calls calls = { drive, listen_edges, value, edges, close_line };

/* ---- finding a chip -------------------------------------------------------------------------------------------------- */

/* The descriptor of a GPIO chip at that path with *info filled; -1 with errno. */
static int open_chip(const char *path, struct gpiochip_info *info)
{
    const int fd = open(path, O_RDWR | O_CLOEXEC);

    if (fd < 0) return -1;
    if (ioctl(fd, GPIO_GET_CHIPINFO_IOCTL, info) == 0) return fd;
    const int number = errno;
    close(fd);
    errno = number;
    return -1;
}

static int fail_chip(struct psa_fault *fault, int number, const char *chip)
{
    switch (number) {
    case EACCES:
        return psa_fault_set(
            fault, PSA_FAULT_DENIED,
            "no permission to open %s (EACCES); add the user to the group gpio (usermod -aG gpio USER; in a "
            "systemd unit SupplementaryGroups=gpio)",
            chip);
    case EPERM:
        return psa_fault_set(fault, PSA_FAULT_DENIED,
                             "the system forbids %s (EPERM); a systemd unit needs DeviceAllow=char-gpiochip rw", chip);
    case ENOENT:
    case ENXIO:
    case ENODEV:
        return psa_fault_set(fault, PSA_FAULT_ABSENT,
                             "%s: there is no such GPIO chip; ls /dev/gpiochip* shows which are", chip);
    case ENOTTY:
    case EINVAL: return psa_fault_set(fault, PSA_FAULT_WRONG, "%s is no GPIO chip (ENOTTY)", chip);
    default: return psa_fault_errno(fault, number, chip);
    }
}

static int is_chip(const struct dirent *entry)
{
    return strncmp(entry->d_name, "gpiochip", 8) == 0;
}

/* The one chip with that label, into path and *info. All are looked at: two of the same kind have the same label, and which
 * of them is meant nobody can say. */
static int open_label(const char *label, char *path, size_t size, struct gpiochip_info *info, struct psa_fault *fault)
{
    struct dirent **entry;
    char known[120] = "", found[64] = "";
    int fd = -1, denied = 0;
    const int n = scandir("/dev", &entry, is_chip, versionsort);

    for (int i = 0; i < n; i++) {
        struct gpiochip_info other;
        char at[64 + sizeof "/dev/"];
        snprintf(at, sizeof at, "/dev/%.63s", entry[i]->d_name);
        const int one = open_chip(at, &other);
        denied += one < 0 && errno == EACCES;
        if (one >= 0 && strcmp(other.label, label) == 0 && fd < 0) {
            fd = one;
            *info = other;
            snprintf(path, size, "%s", at);
        } else if (one >= 0) {
            if (strcmp(other.label, label) == 0) snprintf(found, sizeof found, "%.63s", entry[i]->d_name);
            const size_t used = strlen(known);
            snprintf(known + used, sizeof known - used, "%s%s (%s)", used > 0 ? ", " : "", other.name, other.label);
            close(one);
        }
        free(entry[i]);
    }
    if (n >= 0) free(entry);
    if (fd >= 0 && found[0] == '\0') return fd;
    if (fd >= 0) {
        close(fd);
        return psa_fault_set(fault, PSA_FAULT_WRONG, "two GPIO chips have the label '%s', %s and %s; give that name",
                             label, path + sizeof "/dev/" - 1, found);
    }
    if (denied > 0) return fail_chip(fault, EACCES, label);
    if (known[0] == '\0')
        return psa_fault_set(fault, PSA_FAULT_ABSENT, "%s: there is no such GPIO chip, and no other either", label);
    return psa_fault_set(fault, PSA_FAULT_ABSENT, "%s: no GPIO chip has that name or label; there is %s", label, known);
}

/* "gpiochip0", "0", "/dev/gpiochip0", or a label. */
static int find_chip(const char *chip, char *path, size_t size, struct gpiochip_info *info, struct psa_fault *fault)
{
    const char *digits = strncmp(chip, "gpiochip", 8) == 0 ? chip + 8 : chip;
    int fd;

    if (*digits != '\0' && strspn(digits, "0123456789") == strlen(digits))
        snprintf(path, size, "/dev/gpiochip%s", digits);
    else if (*chip == '/') snprintf(path, size, "%s", chip);
    else return open_label(chip, path, size, info, fault);
    fd = open_chip(path, info);
    return fd >= 0 ? fd : fail_chip(fault, errno, chip);
}

/* ---- opening ----------------------------------------------------------------------------------------------------------- */

static int fail_request(int chip_fd, uint32_t offset, const char *what, int number, struct psa_fault *fault)
{
    struct gpio_v2_line_info info = { .offset = offset };
    char own[GPIO_MAX_NAME_SIZE];

    switch (number) {
    case EBUSY:
        if (ioctl(chip_fd, GPIO_V2_GET_LINEINFO_IOCTL, &info) != 0 || info.consumer[0] == '\0')
            return psa_fault_set(fault, PSA_FAULT_BUSY, "%s: the line is in use (EBUSY); gpioinfo may say by whom",
                                 what);
        put_consumer(own);
        if (strncmp(info.consumer, own, sizeof own) == 0)
            return psa_fault_set(
                fault, PSA_FAULT_BUSY,
                "%s: the line is in use by this sensord itself (EBUSY): another argument names the same one, by the "
                "chip's number or its label",
                what);
        return psa_fault_set(fault, PSA_FAULT_BUSY,
                             "%s: the line is in use by '%.31s' (EBUSY); a driver of the kernel is read by iio:, a "
                             "program is to be stopped",
                             what, info.consumer);
    case ENOTTY:
        return psa_fault_set(fault, PSA_FAULT_IO, "%s: this kernel has no version 2 of the GPIO interface; 5.10 has",
                             what);
    case EINVAL:
        return psa_fault_set(fault, PSA_FAULT_IO, "%s: the line cannot be an input with these settings (EINVAL)", what);
    default: return psa_fault_errno(fault, number, what);
    }
}

static int request(int chip_fd, uint32_t offset, const struct psa_gpio_setup *setup, const char *what,
                   struct psa_fault *fault)
{
    struct gpio_v2_line_request request = { .num_lines = 1, .event_buffer_size = setup->buffer };

    request.offsets[0] = offset;
    request.config = input_config(setup, false);
    put_consumer(request.consumer);
    if (ioctl(chip_fd, GPIO_V2_GET_LINE_IOCTL, &request) != 0) return fail_request(chip_fd, offset, what, errno, fault);
    /* So that take() can empty the queue without asking first. The kernel has set close-on-exec itself. */
    const int flags = fcntl(request.fd, F_GETFL);
    if (flags >= 0 && fcntl(request.fd, F_SETFL, flags | O_NONBLOCK) == 0) return request.fd;
    psa_fault_errno(fault, errno, what);
    close(request.fd);
    return -1;
}

int psa_gpio_open(const char *chip, uint32_t line, const struct psa_gpio_setup *setup, struct psa_gpio **gpio,
                  struct psa_fault *fault)
{
    struct gpiochip_info info = { 0 };
    struct line *opened;
    char path[PATH_MAX];
    const int chip_fd = find_chip(chip, path, sizeof path, &info, fault);

    *gpio = NULL;
    if (chip_fd < 0) return -1;
    if (line >= info.lines) {
        close(chip_fd);
        return psa_fault_set(fault, PSA_FAULT_ABSENT, "%s has %u lines, 0 to %u: there is no line %u", chip, info.lines,
                             info.lines - 1, line);
    }
    opened = calloc(1, sizeof *opened);
    if (opened == NULL) {
        close(chip_fd);
        return psa_fault_errno(fault, ENOMEM, chip);
    }
    *opened = (struct line){ .gpio = { &calls }, .setup = *setup, .stop_fd = setup->stop_fd };
    snprintf(opened->what, sizeof opened->what, "%.60s/%u", chip, line);
    if (strncmp(info.label, chip, sizeof info.label) != 0)
        snprintf(opened->label, sizeof opened->label, "%.31s", info.label);
    opened->fd = request(chip_fd, line, setup, opened->what, fault);
    close(chip_fd);
    if (opened->fd < 0) {
        free(opened);
        return -1;
    }
    *gpio = &opened->gpio;
    return 0;
}
