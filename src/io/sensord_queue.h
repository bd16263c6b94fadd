/*
 * sensord_queue.h - lines that wait for a slow reader: a ring of whole lines, bounded in bytes and in age. When it is full,
 * or its oldest line too old, the oldest go, and their owner is told. Nothing is allocated after psa_queue_init, and while the
 * reader keeps up only the ring's first pages are ever touched: it starts again at the front whenever it runs empty.
 *
 * Not safe for threads by itself: the hub's lock guards it (sensord_hub.h).
 */
#ifndef PSA_IO_SENSORD_QUEUE_H
#define PSA_IO_SENSORD_QUEUE_H

#include "psa.h"

enum psa_queue_kind { PSA_QUEUE_READING, PSA_QUEUE_STATUS, PSA_QUEUE_STEP, PSA_QUEUE_HEARTBEAT };

/* What the queue knows of a line. */
struct psa_queue_entry {
    int64_t pushed_ns; /* CLOCK_MONOTONIC */
    union {
        uint64_t weight; /* PSA_QUEUE_READING: readings in it */
        int64_t step_ns; /* PSA_QUEUE_STEP: by how much the wall clock was set */
    };
    uint32_t n;     /* bytes of the line, LF included */
    uint16_t owner; /* index of the sensor; PSA_QUEUE_NOBODY: none */
    uint8_t kind;
};
#define PSA_QUEUE_NOBODY UINT16_MAX

struct psa_queue {
    char *ring;
    size_t cap, head, tail, wrap; /* wrap: where the lines end and go on at the front */
    size_t n;                     /* lines in it */
    int64_t max_age_ns;
    /* A line is dropped. */
    void (*dropped)(void *ctx, const struct psa_queue_entry *entry);
    void *ctx;
};

/* -1: out of memory. A line of more than a quarter of `bytes` does not fit. */
int psa_queue_init(struct psa_queue *queue, size_t bytes, int64_t max_age_ns);
void psa_queue_free(struct psa_queue *queue);

/* Append a line; entry->n bytes. Drops what is too old, then what stands in the way, oldest first. false: it does not fit. */
bool psa_queue_push(struct psa_queue *queue, const struct psa_queue_entry *entry, const char *line);
/* Drop what is older than max_age_ns. */
void psa_queue_expire(struct psa_queue *queue, int64_t now_ns);
/* The oldest line, which stays until psa_queue_pop; NULL: there is none. */
const char *psa_queue_front(struct psa_queue *queue, struct psa_queue_entry *entry);
void psa_queue_pop(struct psa_queue *queue);
/* Is there ample room again: at most half of the bytes taken, and the oldest line younger than half of the age? */
bool psa_queue_is_easy(const struct psa_queue *queue, int64_t now_ns);

#endif
