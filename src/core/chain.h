/*
 * chain.h - a node: one stage with its options, its accounting and the sink behind it. A node is itself a sink; nodes
 * nested are a chain.
 */
#ifndef PSA_CORE_CHAIN_H
#define PSA_CORE_CHAIN_H

#include "core/account.h"
#include "core/buf.h"
#include "core/key.h"
#include "core/option.h"
#include "psa.h"

/* ---- what a node needs from the world, given by io; every pointer may be NULL ------------------------------------ */

/* A line of a recording that a stage reads before its input: a record, or why it is none. */
struct psa_recorded {
    struct psa_record *record; /* lent for the length of the call; NULL: the line is none */
    const char *reason, *why;
    uint64_t line; /* its number, from 1 */
};
typedef int psa_take_recorded(void *taker, const struct psa_recorded *recorded, struct psa_error *error);

struct psa_world {
    void *ctx;
    /* Say something about the line at hand of a node (node->source, node->line; line 0: about none). `cause` groups
     * messages: the first ten of a cause are shown, then a total. */
    void (*say)(void *ctx, const struct psa_node *node, const char *cause, const char *text);
    /* Keep a rejected record (--rejects). */
    int (*reject)(void *ctx, const struct psa_record *record, struct psa_error *error);
    /* States and models. Write a file whole and durably / append all of it to `text` (1: there is no such file) / remove
     * it, if it is there. */
    int (*file_write)(void *ctx, const char *path, struct psa_str text, struct psa_error *error);
    int (*file_read)(void *ctx, const char *path, struct psa_buf *text, struct psa_error *error);
    /* As file_read, for a name made of a record's key: what is no plain file is refused, and nothing waited for. */
    int (*plain_file_read)(void *ctx, const char *path, struct psa_buf *text, struct psa_error *error);
    int (*file_remove)(void *ctx, const char *path, struct psa_error *error);
    /* Remove every PATH.N whose number N is greater than `id`. */
    int (*file_forget)(void *ctx, const char *path, const char *id, struct psa_error *error);
    /* Read a recording of any size line by line, with the limits of the input; blank and control lines are passed over. 0;
     * 1: a signal asked to stop before its end; -1 with *error set, by take() too. */
    int (*recording_read)(void *ctx, const char *path, psa_take_recorded *take, void *taker, struct psa_error *error);
};

/* Options that every stage has. */
struct psa_node_options {
    const char *key;        /* --key */
    int64_t max_keys;       /* --max-keys */
    const char *state;      /* --state */
    int64_t state_every_ns; /* --state-every */
    bool stats;             /* --stats */
    const char *stats_file; /* --stats-file */
};
extern const struct psa_option psa_node_option_table[];

struct psa_node {
    const struct psa_stage *stage;
    void *config;            /* the stage's own options, stage->config_size bytes */
    void *state;             /* the stage's own state */
    struct psa_keyed *keyed; /* what it remembers of each key; NULL for a stage without slots */
    struct psa_node_options options;
    struct psa_buf canonical; /* the options that give state its meaning */
    struct psa_sink next;
    const struct psa_world *world;
    struct psa_stats stats;
    const char *name;        /* that messages speak with: the stage's, or of the stage that holds it inside */
    struct psa_node *holder; /* the node of the stage that holds it inside and takes its counts; NULL: none */
    const char *source;      /* where its lines come from, for messages: "stdin" or a file's name */
    uint64_t line;           /* number of the input line at hand, counted from 1 */
    struct psa_buf key;      /* scratch of psa_node_key */
    struct psa_buf saved;    /* scratch of states */
    char checkpoints[2][24]; /* ids of the last two states kept */
    bool opened;
    bool unready; /* begin() was cut short by a signal: what there is of a state is not worth saving */
};

/*
 * Make a node from a stage and its command line (argv[0] is the name). *operand is the index of the first operand of the
 * permuted argv, *asked as psa_options_parse says (nothing is opened then). `extra` are further tables parsed together
 * with the node's (n_extra of them). psa_node_open loads the state file if one is named and exists, and lets the stage begin.
 */
int psa_node_parse(struct psa_node *node, const struct psa_stage *stage, int argc, char **argv,
                   const struct psa_option_set *extra, size_t n_extra, int *operand, char *asked,
                   struct psa_error *error);
int psa_node_open(struct psa_node *node, const struct psa_world *world, struct psa_sink next, struct psa_error *error);
void psa_node_close(struct psa_node *node);

/* The node as a sink. */
struct psa_sink psa_node_sink(struct psa_node *node);

/* Save the state to its file now (end of input, SIGTERM, --state-every); nothing without --state. */
int psa_node_save(struct psa_node *node, struct psa_error *error);
/* The state as one JSON value, without what a state file says around it; for stages that hold another inside them. */
int psa_node_save_value(struct psa_node *node, struct psa_buf *out, struct psa_error *error);
int psa_node_load_value(struct psa_node *node, struct psa_json *in, struct psa_error *error);
size_t psa_node_keys(const struct psa_node *node);
/* The state as the text of a state file, for tests. */
int psa_node_state_text(struct psa_node *node, struct psa_buf *out, struct psa_error *error);
int psa_node_state_load(struct psa_node *node, struct psa_str text, struct psa_error *error);

/* An input line that is no record: counted as in and rejected; and a blank line, which is only numbered. */
void psa_node_refuse(struct psa_node *node, const char *reason, const char *why);
void psa_node_skip_line(struct psa_node *node);
/* A node that a stage holds inside has accounted for records of the stage's own: move its counts to the stage's node. */
void psa_node_take_counts(struct psa_node *node, struct psa_node *inner);

/* One JSON line of the accounting, with its LF. in = passed + absorbed + dropped + rejected. */
void psa_node_stats(const struct psa_node *node, struct psa_buf *out);

/* ---- what a stage calls ------------------------------------------------------------------------------------------ */

/* The record at hand goes on, changed or not. */
int psa_pass(struct psa_node *node, struct psa_record *record, struct psa_error *error);
/* A record absorbed earlier (held back, say until the rate was known) goes on now. */
int psa_pass_held(struct psa_node *node, struct psa_record *record, struct psa_error *error);
/* n records absorbed earlier are lost by rule ("evicted"). */
void psa_lose_held(struct psa_node *node, size_t n, const char *reason);
/* A record absorbed earlier turns out to be unusable. */
int psa_reject_held(struct psa_node *node, struct psa_record *record, const char *reason, struct psa_error *error,
                    const char *format, ...) __attribute__((format(printf, 5, 6)));
/* A record that the stage made. */
int psa_emit(struct psa_node *node, struct psa_record *record, struct psa_error *error);
/* The record at hand went into the state. */
int psa_absorb(struct psa_node *node);
/* The record at hand is left out by rule ("late"); the sentence is said with its line number. */
int psa_drop(struct psa_node *node, const char *reason, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The record at hand is unusable; the sentence is said, the record kept by --rejects. */
int psa_reject(struct psa_node *node, struct psa_record *record, const char *reason, struct psa_error *error,
               const char *format, ...) __attribute__((format(printf, 5, 6)));
/* Count under `noted` in --stats: something worth knowing that neither drops nor rejects. */
void psa_note(struct psa_node *node, const char *reason);
/* Say something that is about no single record, or about the one at hand. */
void psa_say(struct psa_node *node, const char *cause, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The key of a record's stream (core/key.h) by the node's --key. Valid until the next call. */
struct psa_str psa_node_key(struct psa_node *node, struct psa_record *record);

#endif
