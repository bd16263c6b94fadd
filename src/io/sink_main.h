/*
 * sink_main.h - the program around a transport: an acknowledged sink. It reads lines, decodes them, keeps them in the outbox,
 * lets the transport deliver, prints what --ack asks for, and at the end waits --drain-timeout for what is unfinished.
 *
 *     wait (poll) -> read lines while there is room -> transport.work -> outbox.flush -> wait ...
 *
 * Everything happens in one thread; a transport never blocks.
 */
#ifndef PSA_IO_SINK_MAIN_H
#define PSA_IO_SINK_MAIN_H

#include <poll.h>

#include "core/account.h"
#include "core/backoff.h"
#include "core/option.h"
#include "io/filter_main.h"
#include "io/outbox.h"
#include "io/report.h"
#include "psa.h"

/* Options of every sink; psa_sink_option_table. */
struct psa_sink_options {
    bool ack;                 /* --ack */
    int64_t in_flight;        /* --in-flight: lines read and not finished */
    int64_t max_buffer;       /* --max-buffer: bytes of them */
    int64_t drain_timeout_ns; /* --drain-timeout */
    int64_t retry_max_ns;     /* --retry-max: the longest wait between two tries */
    bool stats;               /* --stats */
    const char *stats_file;   /* --stats-file */
};
extern const struct psa_option psa_sink_option_table[];

/* What a transport is given. */
struct psa_sink_run {
    const char *name; /* of the program */
    const struct psa_sink_options *options;
    struct psa_outbox outbox;
    struct psa_report report;
    struct psa_stats stats;
    int64_t now_ns;  /* CLOCK_MONOTONIC, of this turn */
    bool complained; /* of a refusal, since the last delivery */
    bool flat;       /* set by a transport's open: take the number members of a record without fields for its fields */
    bool ending;     /* the input has ended: nothing more will come */
};

struct psa_transport {
    /* The options are parsed: check them, make what lasts. */
    int (*open)(void *ctx, struct psa_sink_run *run, struct psa_error *error);
    /* Fill letter->to from the record: the topic, or the body to deliver in place of letter->text, the line as it came. 0, or 1
     * with *why: this record can never be delivered; -1: the run ends. */
    int (*address)(void *ctx, struct psa_record *record, struct psa_letter *letter, const char **why,
                   struct psa_error *error);
    /* Do what can be done now: connect, send WAITING letters, take answers. Called every turn. */
    int (*work)(void *ctx, struct psa_error *error);
    /* What to wait for besides the input: fills at most max entries, returns how many; lowers *wait_ns (time until the
     * next work is due at the latest) if it must be called earlier. */
    size_t (*watch)(void *ctx, struct pollfd *fd, size_t max, int64_t *wait_ns);
    /* The n descriptors of watch, with revents. Called before work. */
    int (*ready)(void *ctx, const struct pollfd *fd, size_t n, struct psa_error *error);
    /* Everything is finished, or given up: say goodbye. Called each turn instead of work until it returns 1, at most for
     * PSA_SINK_GOODBYE_NS. */
    int (*goodbye)(void *ctx, struct psa_error *error);
    void (*close)(void *ctx);
    /* Append its own counters to the line of --stats: `,"reconnects":3`. May be NULL. */
    void (*stats)(void *ctx, struct psa_buf *out);
};

#define PSA_SINK_GOODBYE_NS INT64_C(2000000000)

struct psa_sink_program {
    const char *name, *usage, *summary;
    const struct psa_option *options; /* the transport's own */
    void *ctx;                        /* they lie in, and what the transport's functions get */
    const struct psa_transport *transport;
    /* Take the operands that are not input files (psa-webhook's URL): returns how many, or -1. NULL: all are files. */
    int (*operands)(void *ctx, char *const *operand, int n, struct psa_error *error);
};

/* The whole program. */
int psa_sink_main(const struct psa_sink_program *program, int argc, char **argv);

/* ---- for transports ---------------------------------------------------------------------------------------------- */

/* Say something on stderr, the first ten of a cause; line 0: about none. */
void psa_sink_say(struct psa_sink_run *run, const char *cause, uint64_t line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The letter was delivered: counted as passed. */
void psa_sink_delivered(struct psa_sink_run *run, struct psa_letter *letter);
/* The letter can never be delivered: counted as rejected under the constant `reason`, said, kept by --rejects. */
int psa_sink_undeliverable(struct psa_sink_run *run, struct psa_letter *letter, const char *reason, const char *why,
                           struct psa_error *error);
/* The other side refuses for now. With --ack: said, 0: the caller keeps the letters and backs off. Without: -1, the
 * program ends with PSA_EXIT_REFUSED. */
int psa_sink_refused(struct psa_sink_run *run, struct psa_error *error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
