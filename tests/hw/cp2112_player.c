/*
 * cp2112_player.c - plays a Silicon Labs CP2112, a USB bridge to I2C and eight GPIO lines, through /dev/uhid. The kernel's own
 * hid-cp2112 drives it and makes a true /dev/i2c-N with I2C_RDWR and a true /dev/gpiochipN of it; behind the bridge are the
 * chips of chips.h.
 *
 *     cp2112_player CONTROL KIND@ADDRESS...        cp2112_player /run/bridge mpu6050@0x68 bmp180@0x77
 *
 * CONTROL is a named pipe that it makes. Each line written to it is a command:
 *
 *     chip ADDRESS WORDS...    chip_control(), chips.h
 *     line N 0|1               the level on an input
 *     square N LOW HIGH        the input is low for LOW milliseconds, high for HIGH, and so on, until the next `line`
 *     unplug, plug             the whole bridge, out of its socket and in again
 *     quit
 *
 * Reports are those of Silicon Labs AN495, "CP2112 interface specification", rev. 0.2, chapter 4 to 6; numbers are big endian.
 * The bridge carries one transfer at a time and starts it when the request arrives, so the chips see the time at which the
 * kernel asked.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/input.h>
#include <linux/uhid.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "chips.h"

#define CHIPS_MAX 16
#define LINES 8
#define DATA_MAX 61  /* bytes of data in a report */
#define READ_MAX 512 /* bytes in a read transfer */
#define REPORT_SIZE 64
#define VENDOR 0x10c4
#define PRODUCT 0xea90

enum report { /* AN495, table 3 */
              GPIO_CONFIG = 0x02,
              GPIO_GET = 0x03,
              GPIO_SET = 0x04,
              VERSION = 0x05,
              SMBUS_CONFIG = 0x06,
              READ_REQUEST = 0x10,
              WRITE_READ_REQUEST = 0x11,
              READ_FORCE_SEND = 0x12,
              READ_RESPONSE = 0x13,
              WRITE_REQUEST = 0x14,
              STATUS_REQUEST = 0x15,
              STATUS_RESPONSE = 0x16,
              CANCEL = 0x17
};

/* Status 0 and status 1 of a transfer's state, AN495 section 5.7. */
enum { COMPLETE = 2, ERROR = 3, ADDRESS_NACKED = 0, SUCCEEDED = 5 };

struct bridge {
    int uhid, control;
    bool plugged;
    struct chip *chip[CHIPS_MAX];
    size_t n_chip;

    bool nacked;
    uint8_t data[READ_MAX]; /* read from a chip and not fetched yet */
    size_t n_data, fetched;

    uint8_t output, latch, input; /* a bit a line */
    struct square {
        int64_t lasts_ns[2]; /* low and high; 0: no square */
        int64_t toggle_ns;
    } square[LINES];
};

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

_Noreturn static void die(const char *what)
{
    fprintf(stderr, "cp2112_player: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void tell_kernel(struct bridge *bridge, const struct uhid_event *event)
{
    if (write(bridge->uhid, event, sizeof *event) < 0) die("/dev/uhid");
}

/* ---- the device ----------------------------------------------------------------------------------------------------- */

/* What a report descriptor says of one report: ID, so many bytes, feature, output or input. HID 1.11, section 6.2.2. */
static size_t describe(uint8_t *p, uint8_t id, uint8_t bytes, uint8_t item)
{
    const uint8_t words[] = { 0x85, id, 0x95, bytes, 0x09, 0x01, item, 0x02 };

    memcpy(p, words, sizeof words);
    return sizeof words;
}

static void plug(struct bridge *bridge)
{
    static const struct {
        uint8_t id, bytes, item;
    } reports[] = {
        { GPIO_CONFIG, 4, 0xb1 },
        { GPIO_GET, 1, 0xb1 },
        { GPIO_SET, 2, 0xb1 },
        { VERSION, 2, 0xb1 },
        { SMBUS_CONFIG, 13, 0xb1 },
        { READ_REQUEST, 63, 0x91 },
        { WRITE_READ_REQUEST, 63, 0x91 },
        { READ_FORCE_SEND, 63, 0x91 },
        { WRITE_REQUEST, 63, 0x91 },
        { STATUS_REQUEST, 63, 0x91 },
        { CANCEL, 63, 0x91 },
        { READ_RESPONSE, 63, 0x81 },
        { STATUS_RESPONSE, 63, 0x81 },
    };
    /* Vendor's page, usage 1, a collection; bytes from 0 to 255. */
    static const uint8_t head[] = {
        0x06, 0x00, 0xff, 0x09, 0x01, 0xa1, 0x01, 0x15, 0x00, 0x26, 0xff, 0x00, 0x75, 0x08
    };
    struct uhid_event event = { .type = UHID_CREATE2 };
    struct uhid_create2_req *create = &event.u.create2;
    size_t n = sizeof head;

    memcpy(create->rd_data, head, sizeof head);
    for (size_t i = 0; i < sizeof reports / sizeof *reports; i++) {
        n += describe(create->rd_data + n, reports[i].id, reports[i].bytes, reports[i].item);
    }
    create->rd_data[n++] = 0xc0;
    create->rd_size = (uint16_t)n;
    snprintf((char *)create->name, sizeof create->name, "played CP2112");
    create->bus = BUS_USB;
    create->vendor = VENDOR;
    create->product = PRODUCT;
    tell_kernel(bridge, &event);
    bridge->plugged = true;
}

/* The kernel returns from this when nobody has the bus open any more. */
static void unplug(struct bridge *bridge)
{
    const struct uhid_event event = { .type = UHID_DESTROY };

    tell_kernel(bridge, &event);
    bridge->plugged = false;
    bridge->n_data = bridge->fetched = 0;
    bridge->output = 0;
}

/* ---- feature reports: GPIO and settings --------------------------------------------------------------------------------- */

static void get_feature(struct bridge *bridge, const struct uhid_get_report_req *request)
{
    struct uhid_event event = { .type = UHID_GET_REPORT_REPLY };
    struct uhid_get_report_reply_req *reply = &event.u.get_report_reply;

    reply->id = request->id;
    reply->data[0] = request->rnum;
    switch (request->rnum) {
    case GPIO_CONFIG:
        reply->data[1] = bridge->output;
        reply->data[2] = 0xff; /* push-pull */
        reply->size = 5;
        break;
    case GPIO_GET:
        reply->data[1] = (uint8_t)((bridge->input & ~bridge->output) | (bridge->latch & bridge->output));
        reply->size = 2;
        break;
    case VERSION:
        reply->data[1] = 0x0c; /* the part's number */
        reply->data[2] = 2;
        reply->size = 3;
        break;
    case SMBUS_CONFIG:
        reply->data[2] = 1; /* 100 kHz: 0x000186a0 */
        reply->data[3] = 0x86;
        reply->data[4] = 0xa0;
        reply->size = 14;
        break;
    default: reply->err = EIO;
    }
    tell_kernel(bridge, &event);
}

static void set_feature(struct bridge *bridge, const struct uhid_set_report_req *request)
{
    struct uhid_event event = { .type = UHID_SET_REPORT_REPLY };
    const uint8_t *p = request->data;

    if (p[0] == GPIO_CONFIG) bridge->output = p[1];
    if (p[0] == GPIO_SET) bridge->latch = (uint8_t)((bridge->latch & ~p[2]) | (p[1] & p[2]));
    event.u.set_report_reply.id = request->id;
    tell_kernel(bridge, &event);
}

/* ---- output reports: transfers ---------------------------------------------------------------------------------------------- */

/* The chip at the address in a request (7 bits, left-aligned), if it acknowledges. */
static struct chip *addressed(struct bridge *bridge, uint8_t byte)
{
    for (size_t i = 0; i < bridge->n_chip; i++) {
        if (chip_address(bridge->chip[i]) == byte >> 1 && chip_answers(bridge->chip[i])) return bridge->chip[i];
    }
    return NULL;
}

static void transfer(struct bridge *bridge, const uint8_t *p)
{
    struct chip *chip = addressed(bridge, p[1]);
    size_t n = p[0] == WRITE_REQUEST ? p[2] : (size_t)(p[2] << 8 | p[3]);

    bridge->nacked = !chip;
    bridge->n_data = bridge->fetched = 0;
    if (!chip) return;
    if (p[0] == WRITE_REQUEST) {
        chip_write(chip, p + 3, n < DATA_MAX ? n : DATA_MAX, now_ns());
        return;
    }
    if (p[0] == WRITE_READ_REQUEST) chip_write(chip, p + 5, p[4] < 16 ? p[4] : 16, now_ns());
    bridge->n_data = n < READ_MAX ? n : READ_MAX;
    chip_read(chip, bridge->data, bridge->n_data, now_ns());
}

static void send_input(struct bridge *bridge, const uint8_t *p, size_t n)
{
    struct uhid_event event = { .type = UHID_INPUT2 };

    event.u.input2.size = REPORT_SIZE;
    memcpy(event.u.input2.data, p, n);
    tell_kernel(bridge, &event);
}

static void send_status(struct bridge *bridge)
{
    const uint8_t report[] = { STATUS_RESPONSE,
                               bridge->nacked ? ERROR : COMPLETE,
                               bridge->nacked ? ADDRESS_NACKED : SUCCEEDED,
                               0,
                               0,
                               (uint8_t)(bridge->n_data >> 8),
                               (uint8_t)bridge->n_data };

    send_input(bridge, report, sizeof report);
}

static void send_data(struct bridge *bridge)
{
    size_t left = bridge->n_data - bridge->fetched, n = left < DATA_MAX ? left : DATA_MAX;
    uint8_t report[REPORT_SIZE] = { READ_RESPONSE, COMPLETE, (uint8_t)n };

    memcpy(report + 3, bridge->data + bridge->fetched, n);
    bridge->fetched += n;
    send_input(bridge, report, sizeof report);
}

static void obey_kernel(struct bridge *bridge)
{
    struct uhid_event event;

    if (read(bridge->uhid, &event, sizeof event) < 0) {
        if (errno == EAGAIN || errno == EINTR) return;
        die("/dev/uhid");
    }
    if (!bridge->plugged) return;
    switch (event.type) {
    case UHID_GET_REPORT: get_feature(bridge, &event.u.get_report); return;
    case UHID_SET_REPORT: set_feature(bridge, &event.u.set_report); return;
    case UHID_OUTPUT: break;
    default: return;
    }
    switch (event.u.output.data[0]) {
    case READ_REQUEST:
    case WRITE_READ_REQUEST:
    case WRITE_REQUEST: transfer(bridge, event.u.output.data); break;
    case STATUS_REQUEST: send_status(bridge); break;
    case READ_FORCE_SEND: send_data(bridge); break;
    default: break;
    }
}

/* ---- commands ------------------------------------------------------------------------------------------------------------------ */

static bool chip_command(struct bridge *bridge, const char *words)
{
    char *rest;
    unsigned long address = strtoul(words, &rest, 0);

    for (size_t i = 0; i < bridge->n_chip; i++) {
        if (chip_address(bridge->chip[i]) != address) continue;
        return *rest == ' ' && chip_control(bridge->chip[i], rest + 1, now_ns());
    }
    return false;
}

static bool line_command(struct bridge *bridge, bool square, const char *words)
{
    char *rest;
    const unsigned long line = strtoul(words, &rest, 10), first = strtoul(rest, &rest, 10);
    const unsigned long second = square ? strtoul(rest, &rest, 10) : 0;

    if (line >= LINES || (square && (first == 0 || second == 0))) return false;
    if (square) {
        bridge->square[line] = (struct square){ { (int64_t)first * 1000000, (int64_t)second * 1000000 }, now_ns() };
    } else {
        bridge->square[line] = (struct square){ 0 };
        bridge->input = (uint8_t)((bridge->input & ~(1U << line)) | (first ? 1U << line : 0));
    }
    return true;
}

static void obey(struct bridge *bridge, char *command)
{
    bool known = true;

    if (strncmp(command, "chip ", 5) == 0) {
        known = chip_command(bridge, command + 5);
    } else if (strncmp(command, "line ", 5) == 0) {
        known = line_command(bridge, false, command + 5);
    } else if (strncmp(command, "square ", 7) == 0) {
        known = line_command(bridge, true, command + 7);
    } else if (strcmp(command, "unplug") == 0) {
        if (bridge->plugged) unplug(bridge);
    } else if (strcmp(command, "plug") == 0) {
        if (!bridge->plugged) plug(bridge);
    } else if (strcmp(command, "quit") == 0) {
        exit(0);
    } else {
        known = false;
    }
    if (!known) fprintf(stderr, "cp2112_player: no such command: %s\n", command);
}

static void obey_control(struct bridge *bridge)
{
    char text[4096], *line, *rest = text;
    ssize_t n = read(bridge->control, text, sizeof text - 1);

    if (n <= 0) return;
    text[n] = '\0';
    while ((line = strsep(&rest, "\n"))) {
        if (*line) obey(bridge, line);
    }
}

/* ---- the loop -------------------------------------------------------------------------------------------------------------------- */

/* Squares are due from their start on, so their rate does not depend on how late this comes. Returns ms to the next one. */
static int toggle_lines(struct bridge *bridge)
{
    int64_t now = now_ns(), next = now + 1000000000;

    for (size_t i = 0; i < LINES; i++) {
        struct square *square = &bridge->square[i];
        if (square->lasts_ns[0] == 0) continue;
        while (square->toggle_ns <= now) {
            bridge->input = (uint8_t)(bridge->input ^ 1U << i);
            square->toggle_ns += square->lasts_ns[bridge->input >> i & 1];
        }
        if (square->toggle_ns < next) next = square->toggle_ns;
    }
    return (int)((next - now) / 1000000) + 1;
}

int main(int argc, char **argv)
{
    static struct bridge bridge;

    if (argc < 2 || argc - 2 > CHIPS_MAX) {
        fputs("usage: cp2112_player CONTROL KIND@ADDRESS...\n", stderr);
        return 2;
    }
    for (int i = 2; i < argc; i++) {
        char *at = strchr(argv[i], '@');
        if (at) *at = '\0';
        bridge.chip[bridge.n_chip] = at ? chip_new(argv[i], (uint8_t)strtoul(at + 1, NULL, 0)) : NULL;
        if (!bridge.chip[bridge.n_chip++]) {
            fprintf(stderr, "cp2112_player: no such chip: %s\n", argv[i]);
            return 2;
        }
    }
    if (mkfifo(argv[1], 0600) < 0 && errno != EEXIST) die(argv[1]);
    bridge.control = open(argv[1], O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (bridge.control < 0) die(argv[1]);
    bridge.uhid = open("/dev/uhid", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (bridge.uhid < 0) die("/dev/uhid");
    plug(&bridge);
    for (;;) {
        struct pollfd fds[] = { { .fd = bridge.uhid, .events = POLLIN }, { .fd = bridge.control, .events = POLLIN } };
        if (poll(fds, 2, toggle_lines(&bridge)) < 0 && errno != EINTR) die("poll");
        if (fds[0].revents) obey_kernel(&bridge);
        if (fds[1].revents) obey_control(&bridge);
    }
}
