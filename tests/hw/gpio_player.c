/*
 * gpio_player.c - plays a DHT11 on a line of the kernel's gpio-sim.
 *
 *     gpio_player CONTROL /dev/gpiochipN /sys/devices/platform/.../gpiochipN LINE
 *
 * CONTROL is a named pipe that it makes. Each line written to it is a command for the answers from then on:
 *
 *     frame B0 B1 B2 B3 [SUM]  the bytes; the sum is computed when it is left out
 *     corrupt N                a wrong sum in the next N answers
 *     silent N, silent         no answer N times; never again
 *     answer                   always answer
 *     quit
 *
 * The start signal is seen by watching the line (GPIO_V2_GET_LINEINFO_WATCH): the host drives it low and then makes it an
 * input. Then comes what the datasheet says (Aosong DHT11, "serial interface": 80 us low, 80 us high, then 40 bits of 50 us
 * low and 26 or 70 us high, and 50 us low), by pulling the simulated line. Pulses of 26 us keep their length only where time is
 * counted in instructions: qemu -icount.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/gpio.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ALWAYS UINT64_MAX
#define FRAME_BYTES 5

/* Datasheet's timing. */
#define WAIT_NS 30000 /* from the host's release to the answer: 20 to 40 us */
#define ANSWER_NS 80000
#define LOW_NS 50000
#define ZERO_NS 26000
#define ONE_NS 70000

struct player {
    int chip, pull, control;
    uint8_t frame[FRAME_BYTES];
    uint64_t corrupt, silent; /* answers still to spoil or leave out */
    bool driven;              /* the host drives the line: a start signal is under way */
};

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

_Noreturn static void die(const char *what)
{
    fprintf(stderr, "gpio_player: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void pull(const struct player *player, bool up)
{
    const char *text = up ? "pull-up" : "pull-down";

    if (pwrite(player->pull, text, strlen(text), 0) < 0) die("pull");
}

/* Pull the line, and go on at *at_ns + length_ns. Sleeping is far too coarse. */
static void pulse(const struct player *player, bool up, int64_t *at_ns, int64_t length_ns)
{
    pull(player, up);
    *at_ns += length_ns;
    while (now_ns() < *at_ns) continue;
}

static void answer(struct player *player)
{
    uint8_t frame[FRAME_BYTES];
    int64_t at = now_ns();

    if (player->silent > 0) {
        if (player->silent != ALWAYS) player->silent--;
        return;
    }
    memcpy(frame, player->frame, sizeof frame);
    if (player->corrupt > 0) {
        player->corrupt--;
        frame[FRAME_BYTES - 1] ^= 0x01;
    }
    pulse(player, true, &at, WAIT_NS);
    pulse(player, false, &at, ANSWER_NS);
    pulse(player, true, &at, ANSWER_NS);
    for (int i = 0; i < FRAME_BYTES * 8; i++) {
        pulse(player, false, &at, LOW_NS);
        pulse(player, true, &at, (frame[i / 8] >> (7 - i % 8) & 1) ? ONE_NS : ZERO_NS);
    }
    pulse(player, false, &at, LOW_NS);
    pull(player, true);
}

static void see_host(struct player *player)
{
    struct gpio_v2_line_info_changed change;

    if (read(player->chip, &change, sizeof change) != sizeof change) die("line info");
    if (change.info.flags & GPIO_V2_LINE_FLAG_OUTPUT) {
        player->driven = true;
    } else {
        const bool released = player->driven && (change.info.flags & GPIO_V2_LINE_FLAG_INPUT) &&
                              change.event_type != GPIO_V2_LINE_CHANGED_RELEASED;
        player->driven = false;
        if (released) answer(player);
    }
}

static void obey(struct player *player, const char *command)
{
    unsigned byte[FRAME_BYTES];
    int n = sscanf(command, "frame %u %u %u %u %u", &byte[0], &byte[1], &byte[2], &byte[3], &byte[4]);

    if (n >= FRAME_BYTES - 1) {
        for (int i = 0; i < n; i++) player->frame[i] = (uint8_t)byte[i];
        if (n < FRAME_BYTES) player->frame[4] = (uint8_t)(byte[0] + byte[1] + byte[2] + byte[3]);
    } else if (strncmp(command, "corrupt ", 8) == 0) {
        player->corrupt = strtoul(command + 8, NULL, 10);
    } else if (strncmp(command, "silent ", 7) == 0) {
        player->silent = strtoul(command + 7, NULL, 10);
    } else if (strcmp(command, "silent") == 0) {
        player->silent = ALWAYS;
    } else if (strcmp(command, "answer") == 0) {
        player->silent = player->corrupt = 0;
    } else if (strcmp(command, "quit") == 0) {
        exit(0);
    } else {
        fprintf(stderr, "gpio_player: no such command: %s\n", command);
    }
}

static void obey_control(struct player *player)
{
    char text[4096], *line, *rest = text;
    ssize_t n = read(player->control, text, sizeof text - 1);

    if (n <= 0) return;
    text[n] = '\0';
    while ((line = strsep(&rest, "\n"))) {
        if (*line) obey(player, line);
    }
}

int main(int argc, char **argv)
{
    static struct player player = { .frame = { 45, 0, 23, 4, 72 } };
    struct gpio_v2_line_info info = { 0 };
    char path[256];

    if (argc != 5) {
        fputs("usage: gpio_player CONTROL CHIP SYSFS-OF-CHIP LINE\n", stderr);
        return 2;
    }
    snprintf(path, sizeof path, "%s/sim_gpio%s/pull", argv[3], argv[4]);
    player.pull = open(path, O_WRONLY | O_CLOEXEC);
    if (player.pull < 0) die(path);
    player.chip = open(argv[2], O_RDWR | O_CLOEXEC);
    if (player.chip < 0) die(argv[2]);
    info.offset = (uint32_t)strtoul(argv[4], NULL, 10);
    if (ioctl(player.chip, GPIO_V2_GET_LINEINFO_WATCH_IOCTL, &info) < 0) die("GPIO_V2_GET_LINEINFO_WATCH");
    pull(&player, true);
    /* The pipe appears when the line is watched. */
    if (mkfifo(argv[1], 0600) < 0 && errno != EEXIST) die(argv[1]);
    player.control = open(argv[1], O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (player.control < 0) die(argv[1]);
    for (;;) {
        struct pollfd fds[] = { { .fd = player.chip, .events = POLLIN }, { .fd = player.control, .events = POLLIN } };
        if (poll(fds, 2, -1) < 0 && errno != EINTR) die("poll");
        if (fds[1].revents) obey_control(&player);
        if (fds[0].revents) see_host(&player);
    }
}
