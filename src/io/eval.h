/*
 * eval.h - what the parts of psa-eval share: the rows it keeps, what it makes of them.
 *
 *     eval_main.c     options, reading records into streams
 *     eval_windows.c  NAB's windows.json, and which of its entries a stream belongs to
 *     eval_judge.c    streams -> figures, by model/evaluation.h and model/nab_score.h
 *     eval_report.c   figures -> a table for people, or JSON
 */
#ifndef PSA_IO_EVAL_H
#define PSA_IO_EVAL_H

#include "core/account.h"
#include "core/buf.h"
#include "core/keyed.h"
#include "model/evaluation.h"
#include "model/nab_score.h"
#include "psa.h"

struct psa_eval_windows_entry;

/* The rows of one stream: a key, in one file unless --join. */
struct psa_eval_stream {
    struct psa_slot slot;
    struct psa_str id;  /* of slot.key: what names its sensor, or the value at --key */
    const char *source; /* the file it came from */
    size_t n, cap;
    int64_t *time_ns; /* [n]; 0 where a record has none */
    double *score;    /* [n]; -INFINITY: none */
    bool *predicted, *labelled;
    bool untimed; /* a record had no time: nothing is said in seconds */

    /* Made by psa_eval_judge: rows that are passed over, labelled ranges among the others and, for NAB, among all. */
    size_t skip;
    struct psa_range *range, *window;
    size_t n_range, n_window;
    const struct psa_eval_windows_entry *entry; /* with --windows: its entry */
    bool left_out;                              /* --windows has none for it */
};

struct psa_eval_streams {
    struct psa_eval_stream **of; /* [n], in the order in which they were first seen; owned by the keyed table */
    size_t n;
    bool by_file; /* several files: a stream's name is told with its file's */
};

/* ---- windows.json ------------------------------------------------------------------------------------------------------- */

struct psa_eval_window {
    int64_t from_ns, to_ns; /* both included */
};

struct psa_eval_windows_entry {
    struct psa_str name;
    struct psa_eval_window *window; /* [n], in order, not overlapping */
    size_t n;
};

struct psa_eval_windows {
    const char *path;
    struct psa_eval_windows_entry *entry;
    size_t n;
    struct psa_buf text; /* names without escapes lie in here */
    struct psa_arena arena;
};

/* Read a file of windows; -1 with *error set. To be freed even then. */
int psa_eval_windows_read(struct psa_eval_windows *windows, const char *path, struct psa_error *error);
void psa_eval_windows_free(struct psa_eval_windows *windows);
/* The entry of that name, or NULL. */
const struct psa_eval_windows_entry *psa_eval_windows_named(const struct psa_eval_windows *windows, const char *name);
/* The entry that a stream belongs to: by its id, else by its file's name, else the only one there is. *entry is NULL when
 * there is none; -1 with *error set where several would do. */
int psa_eval_windows_find(const struct psa_eval_windows *windows, const struct psa_eval_stream *stream,
                          const struct psa_eval_windows_entry **entry, struct psa_error *error);

/* ---- figures ------------------------------------------------------------------------------------------------------------ */

struct psa_eval_settings {
    const char *label;        /* NULL: windows */
    const char *windows_path; /* NULL: labels */
    const char *score;        /* path of the score */
    bool has_threshold;
    double threshold; /* has_threshold: predicted is score >= threshold; else it is is_anomaly */
    enum psa_eval_skip { PSA_EVAL_SKIP_ROWS, PSA_EVAL_SKIP_PERCENT, PSA_EVAL_SKIP_NAB } skip_by;
    double skip; /* rows of a stream, or percent of them; with _NAB the probation is skipped */
    bool nab, each;
    size_t sweep; /* operating points to show; 0: none */
};

struct psa_eval_nab {
    double score, normalised, best, best_normalised, best_threshold; /* the threshold INFINITY: predict nothing */
};

/* Of one stream, or of all pooled. */
struct psa_eval_figures {
    uint64_t rows, skipped, unscored; /* read, passed over, judged without a score */
    uint64_t empty_windows;           /* windows in which no row was judged */
    struct psa_confusion points;
    struct psa_range_sums ranges;
    uint64_t found;                /* of ranges.labelled */
    struct psa_summary delay_rows; /* over the ranges found */
    struct psa_summary delay_s;    /* NaN where a stream has rows without time */
    uint64_t false_alarms;
    double normal_days; /* NaN where a stream has rows without time */
    double roc_area, pr_area;
    bool has_best;
    struct psa_operating_point best;
    size_t nab_windows;
    struct psa_eval_nab nab[PSA_NAB_PROFILES];
};

struct psa_eval_result {
    struct psa_eval_figures pooled;
    struct psa_eval_figures *each; /* [streams->n] with --each, or NULL; rows 0: the stream was left out */
    size_t streams;                /* that were judged */
    struct psa_operating_point *sweep;
    size_t n_sweep;
};

/* Judge the streams; those that have an entry are labelled by its windows first. -1 with *error set. The result is to be
 * freed even then. */
int psa_eval_judge(struct psa_eval_streams *streams, const struct psa_eval_settings *settings,
                   struct psa_eval_result *result, struct psa_error *error);
void psa_eval_result_free(struct psa_eval_result *result);

/* Append the report. left_out: why records were not judged. */
void psa_eval_table(const struct psa_eval_result *result, const struct psa_eval_streams *streams,
                    const struct psa_eval_settings *settings, const struct psa_reasons *left_out, struct psa_buf *out);
void psa_eval_json(const struct psa_eval_result *result, const struct psa_eval_streams *streams,
                   const struct psa_eval_settings *settings, const struct psa_reasons *left_out, struct psa_buf *out);

/* A stream's name for people; into out. */
const char *psa_eval_stream_name(const struct psa_eval_stream *stream, const struct psa_eval_streams *streams,
                                 char out[300]);

#endif
