/*
 * detector.h - what psa-score and psa-train ask of a detector. A detector is a constant descriptor, a line in detectors.c;
 * detector_<name>.c holds its glue, the file named after its method the maths.
 *
 * A detector turns rows into raw scores. Within psa a raw score is oriented: higher is more anomalous. Where the field
 * writes it the other way round (scikit-learn's score_samples), PSA_DETECTOR_REVERSED says so, and its sign is turned in
 * what people read and give: anomaly.raw, raw_threshold, --on, --off, a model's threshold.
 *
 *     stream  --row-->  update() --raw, contributions-->  judge (model/judge.h)  --alarm-->  judged()
 *     rows    --train()-->  model  --write()-->  file  --read()-->  model  --start()-->  detector
 *
 * It works for one stream, learning from it (PSA_DETECTOR_STREAMS), or by a model (PSA_DETECTOR_TRAINS) that all streams
 * may share unless PSA_DETECTOR_REMEMBERS.
 */
#ifndef PSA_MODEL_DETECTOR_H
#define PSA_MODEL_DETECTOR_H

#include "core/json.h"
#include "model/model.h"

struct psa_scratch;

enum psa_detector_trait {
    PSA_DETECTOR_STREAMS = 1,   /* learns from a stream: --NAME of psa-score */
    PSA_DETECTOR_TRAINS = 2,    /* psa-train makes models of it */
    PSA_DETECTOR_ADAPTS = 4,    /* by a model too it can go on learning: --adapt */
    PSA_DETECTOR_REMEMBERS = 8, /* by a model too it remembers rows of its stream: each has a detector of its own */
    PSA_DETECTOR_NULLS = 32,    /* by a model too it is told which values are missing */
    PSA_DETECTOR_REVERSED = 16, /* people read its raw score with the sign turned: lower is more anomalous */
};

enum { PSA_LAGS_MAX = 8 };

/* The options of all detectors; each reads its own. The programs' tables (stage/score_options.c, io/train_options.c) say what
 * they mean, their defaults and limits. */
struct psa_detector_settings {
    int64_t warmup;  /* rows learned before the first is scored */
    int64_t horizon; /* rows of a stream that count; 0: all */
    bool freeze;     /* learn from the warm-up only */
    bool adapt;      /* by a model: go on learning */
    /* dynamic-pca: rows stacked, one PCA each; share of the variance its components keep (pca too); rows between two
     * fits; rows of a fit; rows kept away from an alarm */
    int64_t lag[PSA_LAGS_MAX];
    size_t n_lag;
    double variance;
    int64_t refit, reference, guard;
    double lambda;                    /* ewma: weight of the newest row */
    double allowance;                 /* cusum: drift let pass, in standard deviations */
    int64_t trees, samples, depth;    /* isolation-forest, half-space-trees */
    int64_t seed;                     /* of whatever is random */
    int64_t season_ns;                /* conformal: the period of the profile; 0: none */
    int64_t smooth, shingle, nearest; /* conformal: rows of the short mean, of a shingle; neighbours */
};

/* One at work. The caller sets everything above `state` before start(), and leaves it. */
struct psa_detector {
    const struct psa_detector_type *type;
    const struct psa_detector_settings *settings;
    const struct psa_model *model; /* it works by; NULL: it learns from its stream */
    size_t n_columns;
    /* Memory that a call may use until it returns (model/linear.h), one for all detectors of the caller, who frees it; NULL:
     * the detector makes and keeps its own. */
    struct psa_scratch *scratch;
    /* Lent by the caller, NULL when not wanted: start() and update() write what the engineer should know of this stream, each
     * thing once, as one sentence in its text, which is empty otherwise. */
    struct psa_error *note;
    void *state; /* the type's own */
    /*
     * [n_columns], lent by the caller for each update(), NULL when not wanted: how much each column drove the row's score.
     * Positive ones drove it up; shares are taken of these, so they need no unit. A missing column's is 0.
     */
    double *contribution;
    /* Set by an update() in which it learned all at once: oriented raw scores of the rows it learned by, as they would have
     * been judged; the reference begins with them. Its own memory, valid until the next update(). */
    const double *learned;
    size_t n_learned;
};

/* What a model is trained from. */
struct psa_training {
    const struct psa_detector_settings *settings;
    const double *rows; /* [n_rows][n_columns], row after row, scaled by the model's scaler, finite */
    size_t n_rows, n_columns;
    const size_t *run; /* [n_run + 1]: rows run[r] .. run[r+1]-1 are consecutive rows of one stream; run[0] = 0 */
    size_t n_run;
    const int64_t *time_ns;                                                   /* [n_rows]; NULL: the records had none */
    void (*progress)(void *ctx, const char *what, size_t done, size_t total); /* may be NULL */
    void *progress_ctx;
};

struct psa_detector_type {
    const char *name;    /* "dynamic-pca": option of psa-score, kind of a model */
    const char *prefix;  /* of a model's id: "dpca" for "dpca-0123456789abcdef" */
    const char *summary; /* what it finds, in a line, for --help and --describe */
    unsigned traits;
    /* Its own alarm limits on the oriented raw score, on above, off below; NaN: the threshold is a quantile of the
     * reference (--contamination, a model's threshold). */
    double on, off;

    /* ---- at work ---- */

    /* Make detector->state for n_columns columns; settings it cannot work with are said here. 0, or -1 with *error set and
     * nothing to stop. */
    int (*start)(struct psa_detector *detector, struct psa_error *error);
    /*
     * Take in the next row of n_columns values: scaled by a model, none missing unless
     * PSA_DETECTOR_NULLS; as they come, NaN for a null, from a
     * stream (never all NaN). *raw becomes its oriented score, NaN while that cannot be told. 0, or -1 when memory is out.
     */
    int (*update)(struct psa_detector *detector, const double *row, int64_t time_ns, double *raw);
    /* Optional: what the judge made of that row: is the alarm on? */
    void (*judged)(struct psa_detector *detector, bool alarm);
    /* Optional: the next row does not follow the last one, because the machine stood still between (--running): what joins
     * consecutive rows, a stack of lags, a running mean, a sum, begins anew; what was learned stays. */
    void (*gap)(struct psa_detector *detector);
    /* Optional: append members on the row just scored to `anomaly` (the object is open), e.g. statistics that raw is made
     * of. Called only after an update() that gave a raw score. */
    void (*tell)(const struct psa_detector *detector, struct psa_buf *out);
    void (*stop)(struct psa_detector *detector);
    /* Append the state as JSON members (psa_buf_member_...; the object is open) / read one member into a fresh detector; false
     * for an unknown name or at a fault / check after the last that they go together. What follows a load is bit for bit
     * what would have followed the save. Without STREAMS and REMEMBERS there is nothing to save, and all three are NULL. */
    void (*save)(const struct psa_detector *detector, struct psa_buf *out);
    bool (*load)(struct psa_detector *detector, struct psa_str name, struct psa_json *in);
    bool (*loaded)(struct psa_detector *detector);

    /* ---- models; NULL without PSA_DETECTOR_TRAINS ---- */

    /* Learn model->parameters (features and scaler are set) and score the rows it learned by: scores[n_rows], oriented, NaN
     * where there is none (the first rows of a run). 0, or -1 with *error set. */
    int (*train)(struct psa_model *model, const struct psa_training *training, double *scores, struct psa_error *error);
    /* Append the members of "parameters" (the object is open) / read one of them, false at a fault / check that they go
     * together, once the whole file is read: NULL, or what is wrong. Whatever comes from a file may be hostile: every
     * array is bounded before it is filled. The memory is the model's arena's, or drop() frees it. */
    void (*write)(const struct psa_model *model, struct psa_buf *out);
    bool (*read)(struct psa_model *model, struct psa_str name, struct psa_json *in);
    const char *(*check)(struct psa_model *model);
    void (*drop)(struct psa_model *model); /* optional */
    /* Append sentences on what the parameters are, for psa-train --describe. */
    void (*describe)(const struct psa_model *model, struct psa_buf *out);
};

/* All there are, ended by NULL. */
extern const struct psa_detector_type *const psa_detector_types[];
/* The one of that name; NULL when there is none. */
const struct psa_detector_type *psa_detector_find(struct psa_str name);

/* detector_<name>.c */
extern const struct psa_detector_type psa_isolation_forest_detector, psa_ecod_detector, psa_pca_detector,
    psa_dynamic_pca_detector, psa_mahalanobis_detector, psa_ewma_detector, psa_cusum_detector,
    psa_half_space_trees_detector, psa_conformal_detector;

#endif
