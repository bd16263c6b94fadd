/*
 * dht_line.h - for tests: the line of a DHT11 or DHT22 that answers, and what a kernel makes of its edges.
 *
 * The sensor: durations of the AM2302 Product Manual, table 7, with a scale for the part (its oscillator) and a jitter for
 * each edge. The kernel: drivers/gpio/gpiolib-cdev.c of Linux 6.1. An edge makes an interrupt; while interrupts are off the
 * hardware remembers one. The handler notes the time and wakes a thread. The thread takes the time of the latest interrupt,
 * reads the line as it is by then for the direction, and queues one edge.
 *
 * Include it after cmocka.h.
 */
#ifndef PSA_TESTS_DHT_LINE_H
#define PSA_TESTS_DHT_LINE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "sensor/bus.h"

struct line_dice {
    uint64_t state;
};

/* xorshift64*; Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled", 2016. */
static inline uint64_t dice_bits(struct line_dice *dice)
{
    dice->state ^= dice->state >> 12;
    dice->state ^= dice->state << 25;
    dice->state ^= dice->state >> 27;
    return dice->state * UINT64_C(0x2545F4914F6CDD1D);
}

/* In [0, 1). */
static inline double dice_unit(struct line_dice *dice)
{
    return (double)(dice_bits(dice) >> 11) / 9007199254740992.0;
}

static inline double dice_in(struct line_dice *dice, double low, double high)
{
    return low + (high - low) * dice_unit(dice);
}

/* What goes wrong; zeroed: nothing. */
struct line_trouble {
    double jitter_us;             /* of the sensor's edges, either way */
    double scale_low, scale_high; /* of its durations, 0: 1 */
    double latency_us;            /* interrupts are late by up to */
    double wake_us;               /* and the thread by up to so much more */
    double late_part, late_us;    /* this part of interrupts: later by up to */
    int stalls;                   /* so many times interrupts are off for up to */
    double stall_us;
    double first_us;   /* the first edges are not heard for so long after the response begins */
    double drop_part;  /* this part of the edges is lost on the way */
    int keep_end;      /* but for so many at the end */
    double extra_part; /* and before this part of them stands one too many, anywhere */
    double wrong_part; /* and this part has the wrong direction */
};

#define LINE_EDGES_MAX 256

/* The sensor's own edges from the fall of the response on, in us; the first falls. Returns how many: 84. */
static inline int line_answer(struct line_dice *dice, const struct line_trouble *trouble, const uint8_t byte[5],
                              double *at_us)
{
    const double scale = trouble->scale_high > 0 ? dice_in(dice, trouble->scale_low, trouble->scale_high) : 1.0;
    double t = 100;
    int n = 0;

    at_us[n++] = t;
    at_us[n++] = t += 80 * scale;
    at_us[n++] = t += 80 * scale;
    for (int i = 0; i < 40; i++) {
        at_us[n++] = t += 50 * scale;
        at_us[n++] = t += (byte[i / 8] >> (7 - i % 8) & 1 ? 70 : 26) * scale;
    }
    at_us[n++] = t + 50 * scale;
    for (int i = 0; i < n; i++) at_us[i] += dice_in(dice, -trouble->jitter_us, trouble->jitter_us);
    return n;
}

/* The level at a time: high before the first edge, then every edge turns it. */
static inline bool line_level(const double *at_us, int n, double t_us)
{
    int passed = 0;

    while (passed < n && at_us[passed] <= t_us) passed++;
    return passed % 2 == 0;
}

/* When the interrupt of each edge is handled; edges that share one: the same time. */
static inline void line_interrupts(struct line_dice *dice, const struct line_trouble *trouble, const double *at_us,
                                   int n, double *irq_us)
{
    double off_us[8], on_us[8];
    const int stalls = trouble->stalls < 8 ? trouble->stalls : 8;

    for (int k = 0; k < stalls; k++) {
        off_us[k] = dice_in(dice, at_us[0], at_us[n - 1]);
        on_us[k] = off_us[k] + dice_in(dice, 0, trouble->stall_us);
    }
    for (int i = 0; i < n; i++) {
        irq_us[i] = at_us[i] + dice_in(dice, 0, trouble->latency_us);
        if (dice_unit(dice) < trouble->late_part) irq_us[i] += dice_in(dice, 0, trouble->late_us);
        for (int k = 0; k < stalls; k++)
            if (irq_us[i] >= off_us[k] && irq_us[i] < on_us[k]) irq_us[i] = on_us[k];
        if (i > 0 && irq_us[i] < irq_us[i - 1]) irq_us[i] = irq_us[i - 1];
    }
}

/* The edges as a program reads them. */
static inline size_t line_heard(struct line_dice *dice, const struct line_trouble *trouble, const double *at_us, int n,
                                struct psa_edge *edge)
{
    double irq_us[LINE_EDGES_MAX], thread_free_us = 0;
    size_t heard = 0;

    line_interrupts(dice, trouble, at_us, n, irq_us);
    for (int i = 0; i < n;) {
        if (at_us[i] < at_us[0] + trouble->first_us) {
            i++;
            continue;
        }
        double runs_us = irq_us[i] + dice_in(dice, 0, trouble->wake_us), time_us = irq_us[i];
        if (runs_us < thread_free_us) runs_us = thread_free_us;
        for (; i < n && irq_us[i] <= runs_us; i++) time_us = irq_us[i];
        thread_free_us = runs_us + 1;
        const bool wrong = dice_unit(dice) < trouble->wrong_part;
        if (dice_unit(dice) < trouble->extra_part && heard > 0) {
            const int64_t before_ns = edge[heard - 1].at_ns, at_ns = (int64_t)(time_us * 1000);
            edge[heard] = edge[heard - 1];
            edge[heard++].at_ns = before_ns + (int64_t)((double)(at_ns - before_ns) * dice_unit(dice));
        }
        if (dice_unit(dice) < trouble->drop_part && i < n - trouble->keep_end) continue;
        edge[heard++] = (struct psa_edge){ .at_ns = (int64_t)(time_us * 1000),
                                           .seqno = (uint32_t)heard + 1,
                                           .rising = line_level(at_us, n, runs_us) != wrong };
    }
    return heard;
}

#endif
