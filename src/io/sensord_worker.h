/*
 * sensord_worker.h - a thread for each sensor: opens its bus, starts it, reads it at its deadlines, and starts again with
 * growing pauses after a fault, while the others go on. A thread, since an ioctl on a bus that hangs blocks for seconds.
 *
 * Deadlines are multiples of the period from the sensor's first start on, for ever: neither a late wake nor a slow read nor a
 * time of being down moves the ones that follow. seq counts them (or, of a driver with a numbering of its own, the readings
 * it gave or lost), so whatever is missing in the output is missing in seq too.
 */
#ifndef PSA_IO_SENSORD_WORKER_H
#define PSA_IO_SENSORD_WORKER_H

#include <pthread.h>

#include "core/backoff.h"
#include "io/sensord_record.h"
#include "io/sensord_state.h"

struct psa_worker_options {
    int64_t retry_max_ns;
    bool strict;
};

struct psa_worker {
    /* set before the start */
    struct psa_sensor *sensor;
    struct psa_hub *hub;
    const struct psa_worker_options *options;
    uint16_t index;
    pthread_mutex_t *hold; /* shared by the sensors on one chip; NULL: it is alone there */

    /* the thread's own */
    pthread_t thread;
    struct psa_record_form form;
    struct psa_buf line;
    struct psa_backoff backoff;
    double *block; /* [n_field][common.block]: readings gathered for a record */
    size_t n_block, block_fields;
    int64_t block_ns; /* of its first */
    uint64_t block_seq;
    bool begun; /* started once: the deadlines are fixed */
    int64_t origin_ns, stopped_ns;
    uint64_t due;   /* number of the next deadline */
    uint64_t seq;   /* of the next reading */
    uint64_t given; /* readings given or lost in this read() */
    int64_t failed_in_a_row;

    struct psa_state state; /* how it is; changed by sensord_state.c only */
};

/* The functions that drivers reach the world by. */
extern const struct psa_world psa_worker_world;

/* Start the thread. -1 with *error set. */
int psa_worker_start(struct psa_worker *worker, struct psa_error *error);
/* Release what the worker owns; its thread has ended or never began. */
void psa_worker_free(struct psa_worker *worker);

#endif
