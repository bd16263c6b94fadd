/*
 * score.h - psa-score as a stage: how unusual is each record? psa-score(1) says what it does; here is how it is cut:
 *
 *     score_options.c   the option table and what it means       struct psa_score_config
 *     score_setup.c     one way of scoring, made ready           struct psa_score_setup
 *                       what one stream remembers                struct psa_score_stream
 *     score_verdict.c   a verdict into a record                  struct psa_score_verdict
 *     score.c           the stage: records -> rows -> verdicts   struct psa_score, struct psa_score_slot
 *     score_running.c   --running: does the machine run?         struct psa_running
 *     score_models.c    --models: a model for each key           struct psa_model_file
 *     score_group.c     --groups: sensors scored together        struct psa_group
 *     score_history.c   --history: a recording before the input
 *
 *     record --fields--> row --stream--> detector (raw) --> judge --> verdict --> record
 */
#ifndef PSA_STAGE_SCORE_H
#define PSA_STAGE_SCORE_H

#include "core/keyed.h"
#include "core/option.h"
#include "core/schema.h"
#include "model/detector.h"
#include "model/judge.h"
#include "model/linear.h"
#include "psa.h"
#include "stage/score_running.h"

extern const struct psa_stage psa_score_stage;

/* ---- options ------------------------------------------------------------------------------------------------------ */

struct psa_score_config {
    const struct psa_detector_type *detector; /* --ecod ...; NULL: by a model */
    const char *model;
    struct psa_detector_settings settings;
    double contamination, on, off; /* on and off as people write them */
    bool contamination_given, on_given, off_given, refit_given;
    double false_alarms_hz; /* 0: not wished */
    int64_t rest;
    int64_t top;
    const char *models, *groups, *history, *running;
    int64_t hold_ns, settle_ns;
    bool hold_given;
};

/* The table of all options; psa_score_config is the struct its offsets lie in. */
extern const struct psa_option psa_score_options[];

/* Is there exactly one way of scoring, and does it use every option given? 0, or -1 with *error set. The rest, what depends
 * on the kind of a model, psa_score_setup_open says. */
int psa_score_config_check(const struct psa_score_config *config, struct psa_error *error);

/* ---- one way of scoring ------------------------------------------------------------------------------------------- */

/* What the options of one detector or model come to. It serves any number of streams, one row at a time. */
struct psa_score_setup {
    const struct psa_score_config *config;
    const struct psa_detector_type *type;
    const struct psa_model *model; /* NULL: each stream for itself */
    const char *name;              /* anomaly.model: the model's id, or the detector's name */
    struct psa_judge_rule rule;
    bool own_detector;             /* each stream has a detector of its own; else all work by `shared` */
    bool keyed;                    /* streams remember something; else one stream serves all records */
    struct psa_detector shared;    /* started, unless own_detector */
    struct psa_scratch *scratch;   /* lent to every detector */
    struct psa_condition *running; /* --running; NULL: all rows are scored */
    struct psa_error note;         /* of the stream just started or scored: what its detector has to say */
    size_t room;                   /* columns of the scratch below */
    double *scaled, *contribution;
};

/* config, model and scratch must outlive it. 0, or -1 with *error set; close it in any case. */
int psa_score_setup_open(struct psa_score_setup *setup, const struct psa_score_config *config,
                         const struct psa_model *model, struct psa_scratch *scratch, struct psa_error *error);
void psa_score_setup_close(struct psa_score_setup *setup);

/* Give an opened setup the condition that its config's --running asks for, if it does; setups with the same one share it.
 * It is the stage's. 0, or -1 with *error set. */
int psa_score_setup_run(struct psa_node *node, struct psa_score_setup *setup, struct psa_error *error);

/* ---- a stream of rows --------------------------------------------------------------------------------------------- */

/* What one source of rows remembers. Zeroed, it is not started, which stop() accepts. It must not move. */
struct psa_score_stream {
    struct psa_score_setup *setup;
    const struct psa_str *name; /* [n], the columns: the model's, or lent by whoever started it */
    size_t n;
    struct psa_detector own;
    struct psa_judge judge;
    struct psa_running running; /* --running */
    unsigned loaded;            /* which parts of a state were */
};

/* What is to be said about a record. name, row and contribution are lent until the next row of the setup. */
struct psa_score_verdict {
    const char *state; /* "scoring", "warming", "missing"; "stopped", "settling" */
    bool scored;       /* the scores below mean something */
    bool is_anomaly;
    double score, threshold;   /* anomaly_score, and what it had to exceed */
    double raw, raw_threshold; /* as people read it, and what it had to exceed (fall below, of a reversed detector) */
    const char *model;
    const struct psa_str *name; /* [n] of the columns */
    size_t n;
    const double *row;                   /* [n], NaN: missing */
    double *contribution;                /* [n], of any size, used up by writing; NULL: no `top` */
    int64_t top;                         /* of them named at most */
    const struct psa_detector *detector; /* scored: whose row this was; it may tell more */
    bool warming;
    uint64_t seen; /* rows of the stream; said while warming */
};

/* name[n] is NULL and n 0 with a model: its features are the columns. 0, or -1 with *error set and nothing to stop. */
int psa_score_stream_start(struct psa_score_stream *stream, struct psa_score_setup *setup, const struct psa_str *name,
                           size_t n, struct psa_error *error);
void psa_score_stream_stop(struct psa_score_stream *stream);

/* Score the next row: values[n] in the fields' units, NaN for a null. All null: the verdict says "missing", and nothing is
 * learned. 0, or -1 when memory is out. */
int psa_score_stream_row(struct psa_score_stream *stream, const double *values, bool has_time, int64_t time_ns,
                         struct psa_score_verdict *verdict, struct psa_error *error);

/* Before that, of a stream that learns from its rows: values further out than PSA_VALUE_MAX, which no sensor means and no
 * mean or variance survives, count as missing. The first is said, each row with one is noted ("beyond"). */
void psa_score_leave_out_beyond(struct psa_node *node, const struct psa_score_stream *stream, double *values);

/* Say what the stream's detector wrote since it was started or scored, if anything; who: the key, or the group's
 * name. */
void psa_score_stream_note(struct psa_node *node, struct psa_score_stream *stream, struct psa_str who);

/* A verdict without a score on a row of the stream. */
void psa_score_verdict_of(struct psa_score_verdict *verdict, const struct psa_score_stream *stream, const char *state,
                          const double *values);

/* The machine stands still: the alarm ends, and the rows to come do not follow those before. */
void psa_score_stream_pause(struct psa_score_stream *stream);

/* By --running: is this record's row not one to score or to learn, the machine standing or just started? Then *verdict says
 * so, and the next row to score is a later one. */
bool psa_score_stream_waits(struct psa_node *node, struct psa_score_stream *stream, const struct psa_record *record,
                            const double *values, struct psa_score_verdict *verdict);

/* Append what a started stream remembers as members of an open object / read one member of it, into one freshly started /
 * check after the last that they go together. */
void psa_score_stream_save(const struct psa_score_stream *stream, struct psa_buf *out);
bool psa_score_stream_load(struct psa_score_stream *stream, struct psa_str name, struct psa_json *in);
bool psa_score_stream_loaded(struct psa_score_stream *stream);

/* ---- the stage ---------------------------------------------------------------------------------------------------- */

/* What is remembered of a stream key. */
struct psa_score_slot {
    struct psa_slot slot;
    struct psa_schema schema; /* without the fields that psa-score itself writes; empty by a model */
    bool started;
    struct psa_score_stream stream;
    struct psa_model_file *file; /* --models: by which it works, once started */
    bool stale;                  /* the state that is being loaded was kept by another, and is passed over */
};

/* --models: a stream that passes unscored. Such streams are remembered beside the slots: they take no place from one that has
 * a model. */
struct psa_score_passing {
    struct psa_slot slot;
    struct psa_model_file *file; /* the one that is broken; NULL: there is none */
};

/* node->state */
struct psa_score {
    struct psa_scratch scratch;
    struct psa_model_files *files; /* all that are in use */
    struct psa_model_file *file;   /* --model */
    struct psa_keyed *passing;     /* --models: struct psa_score_passing */
    struct psa_score_setup setup;
    struct psa_score_stream common; /* serves all records where the setup is not keyed */
    /* Scratch, room for `room` columns. */
    size_t room;
    struct psa_field **field;
    double *row;
    struct psa_buf json;
    struct psa_groups *groups;    /* --groups */
    struct psa_score_conditions { /* --running, each expression once */
        struct psa_condition **of;
        size_t n, cap;
    } conditions;
};

void psa_score_conditions_free(struct psa_score_conditions *all);

/* Write a verdict into the record: fields.anomaly_score, fields.anomaly_label and `anomaly`. 0, or -1 when memory is out. */
int psa_score_write(struct psa_node *node, struct psa_record *record, const struct psa_score_verdict *verdict,
                    struct psa_error *error);

#endif
