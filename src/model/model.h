/*
 * model.h - a trained model in memory. model_file.h is the same as JSON; detector.h says what a kind of model is.
 */
#ifndef PSA_MODEL_MODEL_H
#define PSA_MODEL_MODEL_H

#include "core/arena.h"
#include "core/buf.h"
#include "core/error.h"
#include "model/scaler.h"
#include "model/tail.h"
#include "psa.h"

#define PSA_MODEL_ID_MAX 48 /* with its NUL */

struct psa_detector_type;

struct psa_model {
    char id[PSA_MODEL_ID_MAX]; /* its content's hash: set by reading and writing */
    const struct psa_detector_type *type;
    size_t n_features;
    struct psa_str *feature; /* [n_features], in the order of every row */
    struct psa_scaler scaler;
    double threshold;     /* oriented: an anomaly's score is above it; off falls back to it too */
    double contamination; /* share of the training scores above the threshold; NaN: the threshold is the kind's own */
    struct psa_tail_table reference; /* of the oriented training scores */
    struct psa_model_training {
        int64_t records;
        bool has_time;
        int64_t from_ns, to_ns;
        double *low, *high; /* [n_features], ranges of the training values, in the features' units */
    } trained;
    int64_t seed;
    void *parameters;       /* the type's own */
    struct psa_arena arena; /* owns names, ranges, the reference and whatever the type puts there */
};

#endif
