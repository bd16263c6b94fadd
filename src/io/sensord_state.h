/*
 * sensord_state.h - how a sensor is, as everybody may know it: up or down and why, whether a call of its driver hangs, what
 * readings may still come, what was counted, and what is to be said of it. The worker reports what it does, the main thread
 * watches, and both decide here, under the hub's lock; no other file changes any of this.
 *
 * The functions take the lock themselves unless they say otherwise. None of them writes to stderr but psa_state_say.
 */
#ifndef PSA_IO_SENSORD_STATE_H
#define PSA_IO_SENSORD_STATE_H

#include "io/sensord_hub.h"
#include "io/sensord_lateness.h"
#include "sensor/driver.h"

struct psa_state {
    /* set by psa_state_init */
    struct psa_hub *hub;
    struct psa_state *next; /* of hub->states */
    const char *id, *place; /* the sensor's, and what it was called in its argument */
    int64_t patience_ns;    /* a call of the driver that takes longer hangs */
    uint16_t index;
    bool strict;

    /* read without the lock: whether `up` below is so */
    _Atomic bool is_up;

    /* guarded by hub->lock */
    char *type, *model; /* copies: a driver may find them out, or change them, whenever it starts */
    bool tried;         /* once, with whatever result */
    bool up, down;      /* neither: it was not read yet */
    bool hung;          /* down, since a call does not come back */
    bool running;       /* between a start and the next stop: readings may come */
    bool done;          /* the thread has nothing left to do */
    bool status_lost;   /* its last status record was dropped from the queue */
    bool renamed;       /* it is down, and nothing was said of that under its present type */
    enum psa_fault_kind fault;
    char reason[sizeof(((struct psa_fault *)0)->text)];
    int64_t since_ns;      /* it is up or down since */
    int64_t stamped_ns;    /* time of its last status record: none before that will follow */
    int64_t busy_since_ns; /* in a call of the driver since; 0: in none */
    int64_t promise_ns;    /* running: no reading older than this will come */
    int64_t read_ns;       /* so long its last read took */

    /* what is due while it is down, or a call hangs, and is counted when it is back: the first at due_ns (0: nobody knows), each
     * further one every_ns later (0: it speaks as events come) */
    int64_t due_ns;
    double every_ns;
    bool hung_before; /* a call that hung has come back well, and what was due meanwhile is not counted yet */

    /* to be said */
    struct psa_note missed, lost;
    int64_t slow_ns; /* the longest read behind which deadlines were missed, of those in `missed` */
    char lost_why[120];
    uint64_t n_faults, n_warnings; /* messages, of which the first ten are shown */
    struct psa_messages messages;

    /* statistics */
    uint64_t readings, n_missed, failed, n_lost, absent, downs, dropped;
    struct psa_lateness lateness;
};

/* -1 with *error set. */
int psa_state_init(struct psa_state *state, struct psa_hub *hub, const struct psa_sensor *sensor, uint16_t index,
                   bool strict, struct psa_error *error);
void psa_state_free(struct psa_state *state);

/* ---- for the worker ---------------------------------------------------------------------------------------------- */

/* Type and model may be known only now. What was said under another type is taken back, by a record that it is up: nobody
 * would ever hear of that one again. -1 with *fault set: another sensor has that type and the same id. */
int psa_state_describe(struct psa_state *state, const struct psa_sensor *sensor, struct psa_fault *fault);
/* From since_ns on a call of the driver may take its time, but not for ever; 0: it has come back. */
void psa_state_busy(struct psa_state *state, int64_t since_ns);
/* It has started; so many readings were due since it stopped; none older than promise_ns will come. */
void psa_state_started(struct psa_state *state, uint64_t absent, int64_t promise_ns);
/* It was stopped; the next reading would have been due at due_ns. Had it been started? */
bool psa_state_stopped(struct psa_state *state, int64_t due_ns);
/* A deadline was met late_ns late, and so many after it were missed; a read begins. When that does not come back, what is due
 * from due_ns on is missing; 0: nobody knows. */
void psa_state_deadline(struct psa_state *state, int64_t late_ns, uint64_t missed, int64_t now_ns, int64_t due_ns);
/* The read has ended: it failed, or it gave nothing of what was due. */
void psa_state_read(struct psa_state *state, bool failed, bool empty, int64_t promise_ns);
/* A line of n readings, the oldest taken at taken_ns, for the queue; line.p NULL: there was no memory for it. */
void psa_state_give(struct psa_state *state, struct psa_str line, size_t n, int64_t taken_ns);
void psa_state_lost(struct psa_state *state, uint64_t n, const char *why);
/* What the driver wants people to know. */
void psa_state_warn(struct psa_state *state, const char *text);
/* It works; the reading that tells is of taken_ns. */
void psa_state_up(struct psa_state *state, int64_t taken_ns);
void psa_state_down(struct psa_state *state, const struct psa_fault *fault);
bool psa_state_is_down(struct psa_state *state);
void psa_state_done(struct psa_state *state);

/* ---- for the main thread ----------------------------------------------------------------------------------------- */

/* Has a call of the driver not come back for too long? Then the sensor is down. *wake_ns is lowered to when to look again. */
void psa_state_watch(struct psa_state *state, int64_t now_ns, int64_t *wake_ns);
/* How many readings were due while it was down or hung, until then, that its counts do not have yet; the lock is held. */
uint64_t psa_state_due(const struct psa_state *state, int64_t until_ns);
/* A minute is over: there may be ten more warnings. */
void psa_state_mend(struct psa_state *state);
/* Say what is noted and due; all of it at_once at the end. false: stderr takes no more. */
bool psa_state_say(struct psa_state *state, bool at_once);
/* A line of this sensor was dropped from the queue; the lock is held. */
void psa_state_dropped(struct psa_state *state, const struct psa_queue_entry *entry);
/* Write the state anew if its last record was dropped; the lock is held. */
void psa_state_catch_up(struct psa_state *state);

#endif
