/*
 * score_group.h - psa-score --groups: sensors that are scored together.
 *
 * A group is a line of a file: its name, the options of its detector, and its members, KEY:FIELD. The latest value of each
 * member is held; at each record of the first member's key (the leader) they become one record, key group/NAME, which is
 * scored as any stream is and goes out behind the record that caused it.
 *
 *     record of KEY --source--> columns: value, time --at a record of the leader--> row --stream--> the group's record
 *
 * score_group_file.c reads the file, score_group.c is at work, score_group_state.c saves and loads.
 */
#ifndef PSA_STAGE_SCORE_GROUP_H
#define PSA_STAGE_SCORE_GROUP_H

#include "stage/score.h"

enum {
    PSA_GROUPS_MAX = 10000,          /* in a file */
    PSA_GROUP_MEMBERS_MAX = 4096,    /* KEY:FIELD of a group */
    PSA_GROUPS_BYTES_MAX = 64 << 20, /* of the file */
};

/* One KEY:FIELD. */
struct psa_group_column {
    struct psa_str field; /* FIELD */
    struct psa_str key;   /* `,"KEY:FIELD":` */
    size_t next;          /* column of the same source; PSA_NO_INDEX: it is the last */
    size_t hint;          /* where its field was in the record before */
    bool come;            /* it has had a number once */
    bool held;            /* a value or a null, of time_ns where has_time */
    bool has_time;
    int64_t time_ns;
    double value; /* NaN: null */
};

struct psa_group {
    struct psa_str name;
    uint64_t line;                   /* of the file */
    struct psa_score_config *config; /* of its own */
    struct psa_buf canonical;        /* the options that give its state meaning */
    struct psa_group_column *column; /* [n], as the file has them */
    struct psa_str *name_of;         /* [n], KEY:FIELD */
    size_t n, cap;
    size_t n_come;
    size_t *order; /* [n], by a model: the column of each of its features; NULL: as they stand */
    double *row;   /* [n], as the detector has them */
    struct psa_model_file *file;
    struct psa_score_setup setup;
    struct psa_score_stream stream;
    bool has_time;
    int64_t newest_ns;               /* of its records */
    struct psa_record frame, record; /* what all its records have; the one at hand */
};

/* A key of a group, for which records look. */
struct psa_group_source {
    struct psa_str key; /* as psa_node_key gives it */
    uint64_t hash;
    size_t group, first, last; /* columns of the group */
    bool leads;
    struct psa_group_source *chain; /* next of the bucket, as the file has them */
};

struct psa_groups {
    const char *path;
    struct psa_group *group; /* [n] */
    size_t n, cap;
    struct psa_group_source *source; /* [n_source] */
    size_t n_source, cap_source;
    struct psa_group_source **bucket; /* [n_bucket] */
    size_t n_bucket;
    size_t *due;              /* [n], groups whose records the record at hand makes */
    struct psa_option *table; /* of a line's options */
    char *words;
    struct psa_arena arena;
};

/* Read --groups and open its groups; NULL with *error set. */
struct psa_groups *psa_score_groups_open(struct psa_node *node, const char *path, struct psa_error *error);
/* What its groups never had goes unsaid with a run that had no record. */
void psa_score_groups_close(struct psa_node *node, struct psa_groups *groups);

int psa_score_groups_push(struct psa_node *node, struct psa_record *record, struct psa_error *error);

/* All groups as one JSON array / read it. Groups that the state does not know start afresh, those that the file does not know
 * any more are said and forgotten, one that was another is refused. */
void psa_score_groups_save(const struct psa_groups *groups, struct psa_buf *out);
int psa_score_groups_load(struct psa_node *node, struct psa_groups *groups, struct psa_json *in,
                          struct psa_error *error);

/* score_group_file.c: fill groups with the lines of the text, everything but setup, stream and row. */
int psa_score_groups_parse(struct psa_node *node, struct psa_groups *groups, struct psa_str text,
                           struct psa_error *error);

#endif
