/*
 * psa.h - the central types of psa. Read this first.
 *
 * A record is one JSON object on one line. The decoder (core/record.h) cuts the line into spans that still point into
 * it: for each member the text that leads up to its value (`,"name":`) and the value's own text. A stage changes values
 * or puts members in; whatever nobody touched is written as the very bytes that came.
 *
 * A stage is a constant descriptor plus its state. A stage with the sink behind it (a node) is itself a sink, so a chain
 * is nested sinks, and the same code runs as a process in a pipe or fused with its neighbours in one process.
 *
 *     line --decode--> record --node.put--> stage.push --psa_pass--> next sink ... --encode--> line
 *
 * A record is lent to put() for the length of the call. The receiver may change it in place; whoever lent it must not
 * rely on its content afterwards. A stage that keeps anything copies it.
 */
#ifndef PSA_H
#define PSA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PSA_VERSION "0.1.0"

/* Exit statuses of every program, psa(7). */
enum psa_exit {
    PSA_EXIT_OK = 0,
    PSA_EXIT_RUNTIME = 1,   /* I/O or the like: worth a restart */
    PSA_EXIT_PERMANENT = 2, /* usage, bad model: not worth a restart */
    PSA_EXIT_REJECTED = 3,  /* done, but some input was rejected and --strict was given */
    PSA_EXIT_REFUSED = 4    /* the other side refused what a sink without --ack gave it */
};

/* A span of bytes owned by someone else; not ended by NUL. p == NULL means absent. */
struct psa_str {
    const char *p;
    size_t n;
};

/* ---- fields and members -------------------------------------------------------------------------------------- */

enum psa_kind {
    PSA_NULL,   /* null, or a number no double can hold: no value */
    PSA_NUMBER, /* .number */
    PSA_ARRAY,  /* .array[0 .. n_array): consecutive samples, NaN where the text says null */
    PSA_OTHER   /* a string, a boolean, an object: passes on untouched, means nothing to a stage */
};

struct psa_field {
    struct psa_str lead; /* from the end of the value before it to this value: `{"a":` or `,"a":` */
    struct psa_str name; /* decoded, without quotes */
    struct psa_str text; /* the value as it came; text.p == NULL: computed here, print .number or .array */
    enum psa_kind kind;
    bool shadowed; /* a later field has the same name and counts; this one only passes on */
    double number;
    const double *array;
    size_t n_array;
};

enum psa_member_id {
    PSA_M_OTHER,
    PSA_M_SENSOR_TYPE,
    PSA_M_SENSOR_MODEL,
    PSA_M_SENSOR_ID,
    PSA_M_TIMESTAMP_NS,
    PSA_M_TS_MS,
    PSA_M_TIMESTAMP,
    PSA_M_FIELDS,
    PSA_M_RATE_HZ,
    PSA_M_WINDOW,
    PSA_M_ANOMALY,
    PSA_M_ALERT,
    PSA_M_LABELS,
    PSA_M_PUBLISH_TOPIC,
    PSA_M_CLOCK,
    PSA_M_SEQ,
    PSA_M_PSA
};

struct psa_member {
    struct psa_str lead;
    struct psa_str name;
    struct psa_str text; /* the value's JSON text; of PSA_M_FIELDS it is ignored: the fields are printed one by one */
    enum psa_member_id id;
    bool shadowed;
};

/* A bump allocator of chunks that never move; core/arena.h. */
struct psa_arena {
    struct psa_arena_chunk *first, *current;
};

#define PSA_NO_INDEX ((size_t)-1)

/* One record. Filled by psa_decode() or built with the functions of core/record.h, which also own its storage. */
struct psa_record {
    struct psa_member *member;
    size_t n_member, cap_member;
    struct psa_field *field;
    size_t n_field, cap_field;
    size_t fields_at;           /* index of the member whose value the fields are; PSA_NO_INDEX: it has none */
    struct psa_str fields_tail; /* from the last field's value through the closing brace */
    struct psa_str tail;        /* from the last member's value to the end of the line */

    /* What the stages ask for most, read once. */
    struct psa_str sensor_type, sensor_id; /* decoded; n == 0 when absent */
    bool has_time;
    int64_t timestamp_ns; /* from timestamp_ns, else ts_ms, else timestamp */
    double rate_hz;       /* 0: none */

    struct psa_arena arena; /* decoded names, numbers of arrays, texts of changed members */
};

/* ---- items, sinks, stages ------------------------------------------------------------------------------------ */

/* Errors that end a run: the exit status and one sentence, problem first, lower case, no full stop. core/error.h */
struct psa_error {
    int status;
    char text[1024];
};

enum psa_control_kind { PSA_CHECKPOINT, PSA_RESTORE, PSA_HEARTBEAT };

struct psa_control {
    enum psa_control_kind kind;
    char id[24];          /* checkpoint, restore: digits */
    int64_t heartbeat_ns; /* heartbeat: event time has reached this */
    struct psa_str text;  /* the line as it came, handed on as it is */
};

enum psa_item_kind { PSA_ITEM_RECORD, PSA_ITEM_CONTROL, PSA_ITEM_END };

struct psa_item {
    enum psa_item_kind kind;
    struct psa_record *record;
    const struct psa_control *control;
};

/* put returns 0, or -1 with *error set: the run ends. */
struct psa_sink {
    int (*put)(void *ctx, const struct psa_item *item, struct psa_error *error);
    void *ctx;
};

struct psa_buf;       /* core/buf.h */
struct psa_json;      /* core/json.h */
struct psa_node;      /* core/chain.h */
struct psa_option;    /* core/option.h */
struct psa_slot_type; /* core/keyed.h */

/*
 * A stage. All calls but open and close are optional where the comment says so. State hangs at node->state; options
 * parsed by the stage's table are at node->config (config_size bytes, zeroed, defaults applied).
 *
 * push must account for the record by exactly one of psa_pass(), psa_absorb(), psa_drop(), psa_reject() (core/chain.h);
 * records that the stage makes itself go out by psa_emit(). All return 0, or -1 with *error set.
 */
struct psa_stage {
    const char *name;    /* "psa-window" */
    const char *summary; /* one line for --help and the manual's NAME */
    const struct psa_option *options;
    size_t config_size;
    /* What it remembers of each stream key, or NULL. The node keeps the slots (core/keyed.h): it makes the table
     * (node->keyed; a slot's owner is the node), bounds it, saves and loads it. */
    const struct psa_slot_type *slot;

    int (*open)(struct psa_node *node, struct psa_error *error);
    /* Optional: what the stage does once before the first record; `resumed`: a saved state was loaded after open(). */
    int (*begin)(struct psa_node *node, bool resumed, struct psa_error *error);
    int (*push)(struct psa_node *node, struct psa_record *record, struct psa_error *error);
    /* Optional: a record of sensor_type "status", to be accounted for like any other. Without it such records pass. */
    int (*status)(struct psa_node *node, struct psa_record *record, struct psa_error *error);
    /* Optional: event time has reached ns; emit what that completes. The node itself hands the control line on. */
    int (*heartbeat)(struct psa_node *node, int64_t ns, struct psa_error *error);
    /* Optional, after heartbeat(): the time before which it will emit nothing any more, where records that it holds back
     * are older than ns. The heartbeat goes on with that time. */
    int64_t (*promise)(const struct psa_node *node, int64_t ns);
    /* Optional: the end of the input, without --state: emit unfinished work. */
    int (*finish)(struct psa_node *node, struct psa_error *error);
    /* Releases node->state; called once after a successful or failed open. */
    void (*close)(struct psa_node *node);
    /* Optional, where there is state other than slots: append it as one JSON value to out / read it back. A fault may be
     * left in `in`, where the node finds it. */
    int (*save)(struct psa_node *node, struct psa_buf *out, struct psa_error *error);
    int (*load)(struct psa_node *node, struct psa_json *in, struct psa_error *error);
    /* Optional, where there are others than the slots: how many keys it remembers, for --stats. */
    size_t (*keys)(const struct psa_node *node);
    /* Optional, with a PSA_OPT_ASK option 'l': the text that the program prints for --list. */
    void (*list)(struct psa_buf *out);
};

#endif
