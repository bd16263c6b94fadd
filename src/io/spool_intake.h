/*
 * spool_intake.h - the way into a spool: lines from stdin or files to the writer, syncing, and what `append --ack` prints.
 *
 *     psa_lines_next -> psa_spool_put -> psa_spool_write -> (syncer) -> taken: acknowledged
 *
 * The owner polls. What blocks is a write of stdout, and, once a segment, the sync that ends it; other syncs have a thread. When the spool is full the line at hand is held, stdin is
 * left unread, and whoever writes to us waits: that is `--on-full block`.
 */
#ifndef PSA_IO_SPOOL_INTAKE_H
#define PSA_IO_SPOOL_INTAKE_H

#include <poll.h>

#include "core/account.h"
#include "core/option.h"
#include "core/record.h"
#include "core/template.h"
#include "io/lines.h"
#include "io/report.h"
#include "io/syncer.h"
#include "io/writer.h"
#include "spool/writer.h"

struct psa_intake_options {
    const char *sync;    /* --sync */
    const char *on_full; /* --on-full */
    int64_t max_size;    /* --max-size */
    int64_t max_line;    /* --max-line */
    const char *topic;   /* --topic */
    bool no_suffix;      /* --no-suffix */
};
extern const struct psa_option psa_intake_option_table[];

struct psa_intake {
    const char *name;
    const struct psa_intake_options *options;
    struct psa_report *report;
    struct psa_stats
        stats; /* passed: taken into the queue's hands; dropped "full" by --on-full reject is a rejection */
    struct psa_spool_writer *writer;
    struct psa_syncer *syncer;
    struct psa_lines lines;
    struct psa_decoder *decoder;        /* for control lines, and with --topic */
    struct psa_template *template;      /* with --topic */
    struct psa_buf topic, quoted, text; /* scratch: a record's topic, as JSON, and the record with it */
    int64_t taken_ms;                   /* of this turn; or PSA_SPOOL_UNSYNCED */
    struct psa_writer out;              /* of --ack */
    size_t group_bytes, untaken_bytes;  /* a group is synced, reading stops with so much not taken */
    int64_t sync_every_ns;              /* 0: always; < 0: never */
    bool ack, reject_when_full;
    bool ended;    /* no more input */
    bool blocked;  /* full, or the disk does not take it: said */
    bool failing;  /* the disk did not take what was to be written */
    bool hopeless; /* ended, the disk does not take the rest, and waiting for room is not what was asked for */
    bool more;     /* the last turn ended before the lines did */
    bool holding;  /* `held` is read and not put */
    struct psa_str held;
    int64_t retry_ns;      /* look again for room then */
    uint64_t line;         /* read */
    uint64_t put_line;     /* of them put or otherwise settled */
    uint64_t counted;      /* printed */
    bool syncing;          /* a job is out */
    uint64_t syncing_line; /* what it settles */
    int64_t synced_at_ns;
    char checkpoint[24]; /* waits for everything before it to be taken; "" none */
};

int psa_intake_open(struct psa_intake *intake, const struct psa_disk *disk, const struct psa_intake_options *options,
                    const struct psa_spool_say *say, char *const *file, size_t n_file, struct psa_error *error);
void psa_intake_close(struct psa_intake *intake);

/* Do what can be done now. */
int psa_intake_turn(struct psa_intake *intake, int64_t now_ns, struct psa_error *error);
/* What to wait for: two entries (input, syncer), -1 where not; lowers *wait_ns. */
void psa_intake_watch(const struct psa_intake *intake, int64_t now_ns, struct pollfd watch[2], int64_t *wait_ns);
/* Has the input ended and is everything taken (or settled)? */
bool psa_intake_is_done(const struct psa_intake *intake);
/* Records read and not yet taken, besides those up to `finished`, which the sink has without that. */
uint64_t psa_intake_untaken(const struct psa_intake *intake, uint64_t finished);

#endif
