/*
 * spool_feed.h - the way out of a spool: its reader, and the sink, a command that is given the records and says which are
 * finished (psa-spool(1), ACKNOWLEDGED SINKS).
 *
 *     psa_spool_next -> line -> the sink's stdin      the sink's stdout -> count -> psa_spool_finish -> psa_spool_commit
 *
 * A sink that exits, whatever its status, or makes no progress for --stall, is started again after a backoff, from the first
 * unfinished record on. With --checkpoint stages may stand between: then line counts mean nothing, and only @ID finishes.
 */
#ifndef PSA_IO_SPOOL_FEED_H
#define PSA_IO_SPOOL_FEED_H

#include <poll.h>

#include "core/backoff.h"
#include "core/buf.h"
#include "core/option.h"
#include "io/child.h"
#include "io/report.h"
#include "spool/ledger.h"
#include "spool/reader.h"

struct psa_feed_options {
    int64_t in_flight;           /* --in-flight */
    int64_t stall_ns;            /* --stall */
    int64_t retry_max_ns;        /* --retry-max */
    bool trust_write;            /* --trust-write */
    int64_t max_age_ns;          /* --max-age */
    int64_t max_dead;            /* --max-dead */
    int64_t cursor_every_ns;     /* --cursor-every */
    int64_t checkpoint;          /* --checkpoint; 0: none */
    int64_t checkpoint_every_ns; /* --checkpoint-every */
};
extern const struct psa_option psa_feed_option_table[];

#define PSA_FEED_FDS 3

struct psa_feed {
    const char *name;
    const struct psa_feed_options *options;
    struct psa_report *report;
    struct psa_spool_reader *reader;
    char *const *argv;
    struct psa_child child;
    struct psa_ledger ledger;
    struct psa_buf out; /* to the sink, from out_at on */
    size_t out_at;
    uint64_t written;       /* bytes of this sink's input */
    struct psa_buf answers; /* of the sink, not yet a whole line */
    struct psa_backoff backoff;
    int64_t progress_ns; /* last time something was finished, or began to wait: for --stall */
    int64_t finished_ns; /* last time something was finished: for drain's --linger */
    int64_t committed_ns, kill_ns, peek_ns;
    uint64_t committed_done; /* the cursor's, when it was last stored */
    uint64_t sent_seq;       /* given to this sink last */
    bool caught_up;          /* there was nothing more to read when last asked */
    bool more;               /* the last turn ended before the records did */
    bool eager;              /* the owner: start the sink although there is nothing to send yet */
    bool input_ended;        /* the owner: nothing more will be put in */
    bool closing;            /* psa_feed_let_go */
    bool killing;            /* SIGTERM was sent */
    /* --checkpoint */
    bool ready;  /* this sink has acknowledged the state it begins with: records may follow */
    bool stored; /* the cursor knows the last checkpoint: the stages keep two, so no other may be asked for before */
    bool asked;  /* a checkpoint is out */
    uint64_t asked_id;
    uint64_t since;   /* records given since the last one */
    int64_t asked_ns; /* when the last was given, or the first record that none covers */
    /* counted */
    uint64_t delivered, dead, dead_lost, restarts, stalls;
};

int psa_feed_open(struct psa_feed *feed, const struct psa_disk *disk, const struct psa_feed_options *options,
                  const struct psa_spool_say *tell, char *const *argv, struct psa_error *error);
/* The sink, if one still runs, is killed; the cursor is committed. */
void psa_feed_close(struct psa_feed *feed);

int psa_feed_turn(struct psa_feed *feed, int64_t now_ns, struct psa_error *error);
size_t psa_feed_watch(const struct psa_feed *feed, int64_t now_ns, struct pollfd watch[PSA_FEED_FDS], int64_t *wait_ns);
/* Is everything that was there finished? */
bool psa_feed_is_idle(const struct psa_feed *feed);
/* Close the sink's stdin once it has what it was meant to have; end it when it does not go by itself. */
void psa_feed_let_go(struct psa_feed *feed, int64_t now_ns, bool at_once);
/* After that: has the sink gone? */
bool psa_feed_is_done(const struct psa_feed *feed);
/* Store now how far the sink has come, and free what is finished. false: it could not be, and that was said. */
bool psa_feed_commit(struct psa_feed *feed, int64_t now_ns);

#endif
