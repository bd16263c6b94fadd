/*
 * train.h - the parts of psa-train:
 *
 *     train_options.c   its options, and what a kind of model makes of them
 *     train_rows.c      lines -> records -> rows: one column a feature, complete, grouped by stream
 *     train_import.c    a scikit-learn forest in place of training
 *     train_describe.c  --describe
 *     train_main.c      the whole: rows -> scaler -> detector's train() -> threshold and reference -> file
 */
#ifndef PSA_IO_TRAIN_H
#define PSA_IO_TRAIN_H

#include "core/option.h"
#include "core/schema.h"
#include "io/report.h"
#include "model/detector.h"
#include "model/model_file.h"

#define PSA_TRAIN "psa-train"

struct psa_train_options {
    int64_t trees, samples, seed, max_rows, max_line;
    double variance, quantile;
    const char *lags, *contamination, *scaler, *key, *features, *python, *output, *describe;
    bool flat;
    struct {
        bool trees, samples, seed, variance, quantile;
    } given;
};

extern const struct psa_option psa_train_option_table[];

/* What the options mean for a kind of model. */
struct psa_train_plan {
    const struct psa_detector_type *type; /* NULL: import-sklearn */
    struct psa_detector_settings settings;
    enum psa_scaler_kind scaler;
    double contamination; /* share of the training rows above the threshold; NaN: the kind's own threshold */
};

/* Check the options against the kind named `kind`: one that it does not use is refused. */
int psa_train_plan(struct psa_train_plan *plan, const char *kind, const struct psa_train_options *options,
                   struct psa_error *error);

/* Rows in memory, and how they come there. */
struct psa_train_rows {
    const struct psa_train_options *options;
    struct psa_report *report;
    bool terminal;      /* stderr is one: progress is shown */
    const char *source; /* of the line at hand */
    uint64_t line;

    struct psa_schema schema; /* the features; given beforehand, or the first usable record's */
    struct psa_field **field; /* [schema.n] */
    double *value;            /* [n][schema.n] */
    int64_t *time_ns;         /* [n] */
    uint32_t *stream;         /* [n], of each row, in the order of their first rows */
    size_t n, cap;
    size_t *run; /* [n_run + 1], as in struct psa_training */
    size_t n_run;
    struct psa_train_streams {
        struct psa_arena arena;
        struct psa_str *key; /* [n] */
        uint32_t *place;     /* [n_place], a power of 2: number of a stream + 1, 0: free */
        size_t n, cap, n_place;
        struct psa_buf at_hand;
    } streams;
    uint64_t left_out, beyond; /* records that did not fit / came after --max-rows */
    bool has_time, all_timed;  /* a record has, all have a time */
    int64_t from_ns, to_ns;
};

/*
 * Read all records of the files (none: stdin). With `fixed`, the schema's n names are the features that every record must
 * have; without, the first usable record's number fields are. What does not fit is said and left out. Then rows are complete
 * (a null is its column's mean, a column mostly null is left out unless fixed) and stand stream after stream.
 */
int psa_train_rows_read(struct psa_train_rows *rows, char *const *file, size_t n_file, bool fixed,
                        struct psa_error *error);
void psa_train_rows_free(struct psa_train_rows *rows);

/* On a terminal: `what done of total`, over what stood there; 0: no total. Ends the program, as --output knows no half
 * model, when a signal has asked to stop. */
void psa_train_progress(bool terminal, const char *what, size_t done, size_t total);
void psa_train_progress_end(bool terminal);

/* A draft model (psa_model_read_draft) out of the file that joblib wrote, by Python. */
int psa_train_import(struct psa_model *model, const char *file, const struct psa_train_options *options,
                     struct psa_error *error);

/* Print in words what is in the model file. */
int psa_train_describe(const char *path, struct psa_error *error);

#endif
