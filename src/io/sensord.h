/*
 * sensord.h - a run of sensord: what its options say, its workers, and what the main thread does beside them, in these files:
 *
 *     sensord_main.c     options, start, the poll loop, the end
 *     sensord_output.c   from the queue to stdout
 *     sensord_clock.c    steps of the wall clock, and whether it is synchronised
 *     sensord_status.c   heartbeats, statistics, what systemd is told
 *     sensord_setup.c    which sensors there are
 *     sensord_worker.c   the threads; sensord_state.c how their sensors are; sensord_hub.c where they meet the main thread, with
 *                        sensord_queue.c between them and the output, and sensord_note.c between them and stderr
 */
#ifndef PSA_IO_SENSORD_H
#define PSA_IO_SENSORD_H

#include "io/sensord_hub.h"
#include "io/sensord_setup.h"
#include "io/sensord_worker.h"

struct psa_sensord_config {
    const char *file[PSA_SENSORD_FILES_MAX]; /* of --config */
    size_t n_file;
    const char *stats_file;
    struct psa_worker_options worker;
    int64_t heartbeat_ns, queue_ns, duration_ns, count;
    bool stats;
};

/* No more lines than that are written at once: as many as PIPE_BUF bytes may have. */
#define PSA_OUTPUT_LINES 128

/* From the queue to stdout. */
struct psa_output {
    struct psa_buf pending;                         /* whole lines out of the queue, */
    size_t written;                                 /* so far written */
    struct psa_queue_entry taken[PSA_OUTPUT_LINES]; /* the lines in pending */
    size_t n_taken;
    bool behind;       /* lines were dropped, and the queue is not easy again */
    int64_t behind_ns; /* since then */
    uint64_t behind_n; /* readings dropped since then */
    bool behind_said;
    struct psa_note dropped;
    int64_t step_ns; /* by how much the wall clock was set in records that were dropped */
};

/* The wall clock. */
struct psa_wall {
    int timer_fd; /* readable when the clock was set; -1: the kernel cannot say */
    int64_t offset_ns;
    uint64_t steps;
};

struct psa_sensord {
    struct psa_sensord_config config;
    struct psa_setup setup;
    struct psa_hub hub;
    struct psa_worker *worker; /* [n] */
    size_t n;
    struct psa_output output;
    struct psa_wall wall;

    int64_t start_ns, stop_ns; /* stop_ns: when a stop was asked for; 0: not yet */
    int stops_heard;           /* signals that had come by then */
    int64_t tick_ns, minute_ns, heartbeat_ns, watchdog_ns, watchdog_every_ns; /* when each is due */
    uint64_t heartbeats;
    bool ready;       /* every sensor was tried */
    bool left_behind; /* a thread that hangs still uses all this */
};

/* ---- sensord_output.c ---------------------------------------------------------------------------------------------- */

/* Make the queue, in proportion to what the sensors will say. */
int psa_sensord_make_queue(struct psa_sensord *run, struct psa_error *error);
/* Fill output.pending when it is empty. Is there anything to write? */
bool psa_sensord_take(struct psa_sensord *run);
/* stdout has room: write some of it. -1 with *error set. */
int psa_sensord_write(struct psa_sensord *run, struct psa_error *error);
/* Say what is due of dropped readings; all of it at_once at the end. */
void psa_sensord_say_dropped(struct psa_sensord *run, bool at_once);
/* Count what will not be written any more as dropped. Returns how many readings that is, with those that were dropped before
 * and not said: all of them are the caller's to say. */
uint64_t psa_sensord_abandon(struct psa_sensord *run);

/* ---- sensord_clock.c ----------------------------------------------------------------------------------------------- */

void psa_sensord_clock_open(struct psa_sensord *run);
void psa_sensord_clock_close(struct psa_sensord *run);
/* Was the clock set? For when timer_fd is readable, and once a second for kernels that do not say. */
void psa_sensord_clock_look(struct psa_sensord *run);
/* Write the record of a step, the hub's lock being held. */
void psa_sensord_clock_put(struct psa_sensord *run, int64_t step_ns);
/* Ask the kernel whether it is synchronised; a change is said. */
void psa_sensord_clock_ask(struct psa_sensord *run, bool first);

/* ---- sensord_status.c ---------------------------------------------------------------------------------------------- */

/* Write the heartbeat that is due. */
void psa_sensord_heartbeat(struct psa_sensord *run, int64_t now_ns);
/* Something has changed: tell systemd READY=1 the first time every sensor was tried, and STATUS=. */
void psa_sensord_tell(struct psa_sensord *run);
/* Has every worker a call that hangs? Then the watchdog may have us. */
bool psa_sensord_is_stuck(struct psa_sensord *run);
/* The line of --stats. -1 with *error set. */
int psa_sensord_print_stats(struct psa_sensord *run, bool asked, struct psa_error *error);

#endif
