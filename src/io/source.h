/*
 * source.h - what the sources (psa-sim, psa-replay) share: the command line's common part, pacing by the wall clock,
 * and an orderly end. Nothing but the pace looks at a clock, and nothing that is printed depends on it.
 */
#ifndef PSA_IO_SOURCE_H
#define PSA_IO_SOURCE_H

#include "core/option.h"
#include "io/writer.h"
#include "psa.h"

/* psa_source_options: go on. */
#define PSA_SOURCE_GO (-1)

struct psa_source_program {
    const char *name, *usage, *summary; /* usage: what follows the name */
    const struct psa_option *options;
    void *config; /* the options' variables */
};

/* Parse the command line; --help and --version are answered. PSA_SOURCE_GO, or the exit status: all is done. */
int psa_source_options(const struct psa_source_program *program, int argc, char **argv, int *operand);

/* The same where the table has questions of its own (PSA_OPT_ASK): *asked is what was asked, or 0. */
int psa_source_parse(const struct psa_source_program *program, int argc, char **argv, int *operand, char *asked);

/* Close the output, print *error if status is not 0 or the close failed, and return the exit status. Where stdout's
 * reader has gone it does not return: the program ends as by SIGPIPE. */
int psa_source_end(const char *name, struct psa_writer *out, int status, struct psa_error *error);

/* ---- pacing ------------------------------------------------------------------------------------------------------ */

/* Event time runs `speed` times as fast as the wall clock, from the first record on. */
struct psa_pace {
    double speed; /* 0: as fast as can be */
    bool begun;
    int64_t event_ns, wall_ns;                        /* of the first record */
    int (*woken)(void *ctx, struct psa_error *error); /* a signal came during a wait; may be NULL */
    void *ctx;
};

/* `max`, `1x`, `60x`, `0.5x`. */
int psa_pace_parse(const char *text, double *speed, struct psa_error *error);

/* Wait until event_ns is due. What `out` holds is flushed before a wait, so that a record shows at its time. Returns 0,
 * 1 when a signal asks to stop, -1 with *error set. */
int psa_pace_wait(struct psa_pace *pace, int64_t event_ns, struct psa_writer *out, struct psa_error *error);

/* The wall clock, nanoseconds since 1970; for --start now and --restamp. */
int64_t psa_source_now_ns(void);

/* A time as an option: `now`, ISO 8601, or nanoseconds since 1970. */
int psa_source_parse_time(const char *text, const char *what, int64_t *ns, struct psa_error *error);

#endif
