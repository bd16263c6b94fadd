/*
 * sensord_hub.h - where sensord's threads meet: one lock, the queue behind it, the wish to stop, the clock, and messages.
 *
 * A worker writes its lines into the queue and wakes the main thread when it was empty; the main thread writes them to stdout.
 * Nobody holds the lock while it waits or calls the kernel for more than the time or a wake.
 */
#ifndef PSA_IO_SENSORD_HUB_H
#define PSA_IO_SENSORD_HUB_H

#include <pthread.h>

#include "core/buf.h"
#include "io/report.h"
#include "io/sensord_queue.h"

struct psa_hub {
    pthread_mutex_t lock;
    int wake_fd; /* eventfd: the main thread has something to see to */
    int stop_fd; /* eventfd, never read: readable when a stop is asked for */
    _Atomic bool stopping, unsynced;
    _Atomic int64_t offset_ns; /* psa_clock_offset_ns */

    /* guarded by lock */
    struct psa_queue queue;
    struct psa_buf scratch; /* for a status record */
    int64_t promised_ns; /* CLOCK_MONOTONIC: no reading older than this may go out any more; INT64_MIN: none promised */
    int64_t left;        /* records of readings until --count is reached; INT64_MAX: without end */
    uint64_t n_status;   /* status records made */
    bool changed;        /* a sensor was tried, came or went */
    const char *strict_down; /* --strict: the id of the first sensor that went down */

    pthread_mutex_t say_lock;
    struct psa_report report;
};

/* -1 with *error set. */
int psa_hub_init(struct psa_hub *hub, struct psa_error *error);
void psa_hub_free(struct psa_hub *hub);

void psa_hub_wake(struct psa_hub *hub);
/* Ask every thread to stop; the main thread is woken. */
void psa_hub_stop(struct psa_hub *hub);
/* Append to the queue, the lock being held, and wake the main thread if need be. entry->n and pushed_ns are set here. */
void psa_hub_push(struct psa_hub *hub, struct psa_queue_entry *entry, struct psa_str line);

/* `sensord: source: text`, the first ten of a cause. For any thread. */
void psa_hub_say(struct psa_hub *hub, const char *source, const char *cause, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* What the cause was about has worked for a good while: its next messages are shown again. */
void psa_hub_mended(struct psa_hub *hub, const char *cause);

/* ---- messages that come again and again: the first at once, then at most one a minute with the sum --------------- */

#define PSA_NOTE_EVERY_NS INT64_C(60000000000)

/* Zeroed: nothing happened yet. */
struct psa_note {
    uint64_t n;       /* since it was last said */
    int64_t worst;    /* the largest amount of those */
    int64_t first_ns; /* when the first of those happened */
    int64_t next_ns;  /* not to be said before */
    uint64_t said;    /* how many times */
};

void psa_note_add(struct psa_note *note, uint64_t n, int64_t amount, int64_t now_ns);
/* Is it to be said now? Then *told is what to say, and *note begins anew. `at_once` does not wait for the minute. */
bool psa_note_due(struct psa_note *note, int64_t now_ns, bool at_once, struct psa_note *told);

#endif
