/*
 * sensord_hub.h - where sensord's threads meet: one lock, the queue behind it, the wish to stop, the clock, and messages.
 *
 * A worker writes its lines into the queue and wakes the main thread when it was empty; the main thread writes them to stdout.
 * So it is with messages: only the main thread writes to stderr, and only when that takes them. Nobody holds the lock while it
 * waits or calls the kernel for more than the time or a wake.
 */
#ifndef PSA_IO_SENSORD_HUB_H
#define PSA_IO_SENSORD_HUB_H

#include <pthread.h>

#include "core/buf.h"
#include "io/report.h"
#include "io/sensord_note.h"
#include "io/sensord_queue.h"

struct psa_state;

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
    struct psa_state *states; /* of all sensors, sensord_state.h */
    uint64_t n_status;        /* status records made */
    bool changed;             /* a sensor was tried, came or went */
    bool to_say;              /* a sensor has something to say */
    const char *strict_down;  /* --strict: the id of the first sensor that went down */

    /* the main thread's own */
    struct psa_messages messages; /* its own, which wait for stderr */
    struct psa_report report;     /* what was said of causes that are no one sensor's */
    int patience_ms;              /* at the end: so long stderr is waited for, once */
    bool deaf;                    /* stderr took no more when it was last looked at */
};

/* -1 with *error set. */
int psa_hub_init(struct psa_hub *hub, struct psa_error *error);
void psa_hub_free(struct psa_hub *hub);

void psa_hub_wake(struct psa_hub *hub);
/* Ask every thread to stop; the main thread is woken. */
void psa_hub_stop(struct psa_hub *hub);
/* Append to the queue, the lock being held, and wake the main thread if need be. entry->n and pushed_ns are set here. false: the
 * queue is too small for such a line. */
bool psa_hub_push(struct psa_hub *hub, struct psa_queue_entry *entry, struct psa_str line);

/* ---- for the main thread ----------------------------------------------------------------------------------------- */

/* `sensord: source: text`, the first ten of a cause, as soon as stderr takes it. source and cause must stay. */
void psa_hub_say(struct psa_hub *hub, const char *source, const char *cause, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Write what waits. false: stderr takes no more. */
bool psa_hub_say_waiting(struct psa_hub *hub);
/* Would a message be written at once? */
bool psa_hub_can_say(struct psa_hub *hub);
void psa_hub_print(struct psa_hub *hub, const struct psa_message *message);
/* What the cause was about has worked for a good while: its next messages are shown again. */
void psa_hub_mended(struct psa_hub *hub, const char *cause);
/* The totals of what was not shown, at the end. */
void psa_hub_say_totals(struct psa_hub *hub);

#endif
