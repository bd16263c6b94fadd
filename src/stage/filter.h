/*
 * filter.h - what psa-filter's files share: its options, what it remembers of a key, and the way of a record through it.
 *
 *     filter.c         options, the stage, what becomes of a record
 *     filter_chain.c   channels, designs and the run of the steps of a key
 *     filter_record.c  a record to frames, frames to a record; the records that wait
 *     filter_labels.c  the labels of resampled records
 *     filter_state.c   saving and loading
 *     operations.c, operation_*.c   the operations (operation.h)
 */
#ifndef PSA_STAGE_FILTER_H
#define PSA_STAGE_FILTER_H

#include "core/buf.h"
#include "stage/operation.h"
#include "stage/slot.h"

enum {
    PSA_FILTER_OPERATIONS_MAX = 32,
    PSA_FILTER_INTERVALS = 16, /* that a rate is measured from */
    PSA_FILTER_HELD_MAX = PSA_FILTER_INTERVALS + 1,
    /* Samples times channels of a resampled block, at most: a line of it stays below the default of --max-line. */
    PSA_FILTER_BLOCK_MAX = 32768,
    PSA_FILTER_GROWTH_MAX = 4000000, /* values that one block may become by resampling */
    PSA_FILTER_EMPTY_MAX = 1000,     /* records that may wait when one without samples joins them */
    PSA_FILTER_STATE_MAX = 50000000  /* numbers that one operation may remember of a key: 400 MB */
};

struct psa_filter_config {
    struct psa_operation operation[PSA_FILTER_OPERATIONS_MAX];
    size_t n_operation;
    const char *fields; /* the last --fields */
    int64_t order;      /* the last --order */
    bool order_given;
    const char *idle_fields, *idle_order; /* one that stands behind all operations so far that could heed it */
    bool centred, zero_phase;
    const char *suffix;
    int64_t max_gap_ns;
    double rate_hz;
    const char *start;
};

/* node->state: what follows from the options. */
struct psa_filter {
    unsigned trait[PSA_FILTER_OPERATIONS_MAX]; /* of each operation */
    unsigned traits;                           /* of all together */
    bool needs_rate;                           /* a key's rate must be known before its chain can be designed */
    double rate_share;                         /* where the rate is not needed: rate out to rate in */
    const struct psa_operation *needs_told;    /* one that a measured rate is not exact enough for; or NULL */
    bool needs_time;                           /* a record without time is of no use */
    char *globs;                               /* of all operations together; NULL: every field */
    bool matched[PSA_FILTER_OPERATIONS_MAX];   /* some key has a field for the operation */
    struct psa_record out;                     /* a resampled record on its way */
};

/* A record that waits, how many frames it has, and the line it came from (0: of a state). */
struct psa_filter_held {
    struct psa_record record;
    size_t n;
    bool is_block;
    const char *source;
    uint64_t line;
};

/* The labels of the samples that resampled records are still to come of. */
struct psa_filter_labels {
    struct psa_filter_run *run; /* a ring of cap, the oldest at first */
    size_t cap, first, n;
    struct psa_str *text; /* [cap] scratch */
    struct psa_buf merged;
    bool has_upto;
    int64_t upto_ns; /* where the last record out ended */
};

struct psa_filter_channel {
    struct psa_str name, key;         /* key: `,"name":` */
    struct psa_str out_name, out_key; /* the field that the result goes into: with --suffix another one */
    size_t maker;                     /* the operation that makes it; PSA_NO_INDEX: it is a field of the records */
    size_t overwriter;                /* the last operation that makes it, whether or not records have it */
    bool shares_name;                 /* another field may have out_name */
    bool written;                     /* an operation changes it */
    bool there;                       /* in the record going out */
};

struct psa_filter_slot {
    struct psa_slot slot;
    struct psa_schema schema;
    struct psa_arena arena;             /* names and keys */
    struct psa_filter_channel *channel; /* [width]: the schema's fields, then those that are made */
    size_t width, n_made;               /* n_made of them an operation makes */
    struct psa_field **field;           /* [schema.n], of the record at hand */
    size_t n_mapped;                    /* fields found of it */
    bool designed;
    double rate_hz;        /* 0: not known, or not needed */
    struct psa_step *step; /* [n_operation], once designed */
    size_t *of_step;       /* [n_operation][width], their channels */
    bool *apart;           /* [width] of the newest record: a number beside arrays, which is no channel of the block */
    struct psa_frames in, spare, extra;
    struct psa_frames done; /* frames that came out, of held records that are not complete */
    double *array;          /* [width][cap_array] arrays of the record going out */
    size_t cap_array;
    bool has_block, has_last;
    int64_t
        floor_ns; /* no sample of the block at hand is older: clocks may let it begin a little before the last's end */
    int64_t block_end_ns;                       /* where the last block ended */
    int64_t last_ns;                            /* the last sample's time */
    bool has_out;                               /* with resampling: out_ns is set; drained steps owe nothing */
    int64_t out_ns;                             /* no resampled record older than this comes any more */
    struct psa_filter_held *held;               /* a ring of cap_held, the oldest at first_held */
    size_t cap_held, first_held, n_held, n_fed; /* n_fed of them have gone into the chain */
    struct psa_record newest;                   /* with resampling: the last record, without its fields */
    bool has_newest, newest_is_block;
    struct psa_filter_labels labels; /* with resampling */
    bool said_overlap;
};

/* ---- filter_chain.c ----------------------------------------------------------------------------------------------- */

/* The schema has been learnt: channels and room for them. false when memory is out. */
bool psa_filter_make_channels(struct psa_node *node, struct psa_filter_slot *slot);
/* Design every step for the key's rate (0: not needed) and start it. -1 with a sentence that says why there can be none;
 * the slot is then as it was. */
int psa_filter_design(struct psa_node *node, struct psa_filter_slot *slot, double rate_hz, struct psa_error *error);
/* Can the operation be designed for this rate at all? The rate behind it, or -1 with a sentence. */
int psa_filter_probe(const struct psa_operation *operation, double rate_hz, bool told, double *rate_out_hz,
                     struct psa_error *error);
/* Can the operations be designed for this rate at all? The rate behind them, or -1 with a sentence. */
int psa_filter_check(struct psa_node *node, double rate_hz, double *rate_out_hz, struct psa_error *error);
/* slot->in through all steps, in place. */
int psa_filter_run(struct psa_node *node, struct psa_filter_slot *slot, struct psa_error *error);
/* What the steps hold back, into slot->in: as much as lies before now_ns, or all of it, and they start anew. */
int psa_filter_advance(struct psa_node *node, struct psa_filter_slot *slot, int64_t now_ns, struct psa_error *error);
int psa_filter_drain(struct psa_node *node, struct psa_filter_slot *slot, struct psa_error *error);
/* The rate of a resampled record like the newest; 0: not known. */
double psa_filter_rate_out(const struct psa_node *node, const struct psa_filter_slot *slot);
/* The newest time that a resampled record at time_ns stands for. */
int64_t psa_filter_covers(const struct psa_node *node, const struct psa_filter_slot *slot, int64_t time_ns);
/* Has a step a memory that a gap or an overlapping block would upset? */
bool psa_filter_remembers(const struct psa_node *node, const struct psa_filter_slot *slot);
void psa_filter_drop_steps(struct psa_step *step, size_t n);

/* ---- filter_record.c ---------------------------------------------------------------------------------------------- */

/* Find the record's fields. Its number of frames, and whether it is a block; PSA_NO_INDEX when its arrays differ in
 * length. *extra as psa_schema_map. */
size_t psa_filter_map(struct psa_filter_slot *slot, const struct psa_record *record, bool *is_block,
                      const struct psa_field **extra);
/* The record, which has just been mapped, goes into the chain, and what is complete goes out: itself, records that wait,
 * resampled ones. `held`: it is the slot's held record number n_fed, and waits already. */
int psa_filter_feed(struct psa_node *node, struct psa_filter_slot *slot, struct psa_record *record, size_t n,
                    bool is_block, bool held, struct psa_error *error);
/* Does the block begin before the end of the one before it, by more than clocks differ, and does a step remember that? */
bool psa_filter_overlaps(const struct psa_node *node, const struct psa_filter_slot *slot,
                         const struct psa_record *record, size_t n, bool is_block);
/* A copy of the record waits; it came from that line. */
int psa_filter_hold(struct psa_filter_slot *slot, const struct psa_record *record, size_t n, bool is_block,
                    const char *source, uint64_t line, struct psa_error *error);
struct psa_filter_held *psa_filter_held_at(const struct psa_filter_slot *slot, size_t i);
/* The oldest held record is done with. */
void psa_filter_pop(struct psa_filter_slot *slot);
/* All that the steps hold back leaves; they start anew. */
int psa_filter_finish(struct psa_node *node, struct psa_filter_slot *slot, struct psa_error *error);
/* Event time has reached now_ns: what that completes leaves. */
int psa_filter_tell_time(struct psa_node *node, struct psa_filter_slot *slot, int64_t now_ns, struct psa_error *error);

/* ---- filter_labels.c ---------------------------------------------------------------------------------------------- */

/* The record's labels are those of its samples, of which the first and the last have these times. -1: memory is out. */
int psa_filter_labels_note(struct psa_filter_labels *labels, const struct psa_record *record, int64_t first_ns,
                           int64_t last_ns);
/* Give a resampled record the labels of the samples it stands for, the newest of them at or before upto_ns. -1: memory is
 * out. */
int psa_filter_labels_give(struct psa_filter_labels *labels, struct psa_record *record, int64_t upto_ns);
/* No record comes of the samples so far. */
void psa_filter_labels_restart(struct psa_filter_labels *labels);
void psa_filter_labels_free(struct psa_filter_labels *labels);
void psa_filter_labels_save(const struct psa_filter_labels *labels, struct psa_buf *out);
bool psa_filter_labels_load(struct psa_filter_labels *labels, struct psa_json *in);

/* The time before which nothing of this key will be written any more: ns, or that of the oldest it holds back. */
int64_t psa_filter_owes(struct psa_filter_slot *slot, int64_t ns);

/* ---- filter_state.c ----------------------------------------------------------------------------------------------- */

void psa_filter_save(const struct psa_slot *base, struct psa_buf *out);
bool psa_filter_load(struct psa_slot *base, struct psa_str name, struct psa_json *in);
bool psa_filter_loaded(struct psa_slot *base);

#endif
