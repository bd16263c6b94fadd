/*
 * model_file.h - a trained model as a JSON text, and back. psa-train writes it, psa-score reads it; the reading and writing
 * of files is io's.
 *
 *     {"psa_model":1, "kind":"isolation-forest", "id":"iforest-0123456789abcdef",
 *      "features":["accel_x_rms",...],                        names, in the order of every array below
 *      "scaler":{"kind":"standard","mean":[..],"scale":[..]}, or {"kind":"none","mean":[..]}; mean is what a null stands for
 *      "contamination":0.05,                                  or "auto"
 *      "threshold":-0.51,                                     scikit-learn's offset_: an anomaly scores below it
 *      "forest":{"max_samples":256,"trees":[{"children_left":[..],"children_right":[..],"feature":[..],
 *                                            "threshold":[..],"n_node_samples":[..]},..]},
 *      "reference":{"quantiles":[[level,score],..],"tail_start":..,"tail_scale":..},   -score_samples of the training rows
 *      "trained":{"records":n,"from_ns":..,"to_ns":..,"ranges":[[min,max],..]},
 *      "seed":1}
 *
 * A text is valid if and only if it is RFC 8259 JSON within the limits below, has each of these members once (from_ns and
 * to_ns may be null; seed and unknown members are optional), every array has its length, every number is finite, the trees
 * are trees, and the id is "iforest-" with the 16 hex digits of the FNV-1a 64 hash (G. Fowler, L. C. Noll, K.-P. Vo;
 * RFC 9923) of the text, white space outside strings left out, the id's value taken as "".
 */
#ifndef PSA_MODEL_MODEL_FILE_H
#define PSA_MODEL_MODEL_FILE_H

#include "core/arena.h"
#include "core/buf.h"
#include "core/error.h"
#include "model/isolation_forest.h"
#include "model/scaler.h"
#include "model/tail.h"
#include "psa.h"

#define PSA_MODEL_VERSION 1
#define PSA_MODEL_BYTES_MAX ((size_t)256 << 20) /* of the text */
#define PSA_MODEL_QUANTILES_MAX 10000
#define PSA_MODEL_ID_MAX 32 /* with its NUL */

struct psa_model {
    char id[PSA_MODEL_ID_MAX];
    size_t n_features;
    struct psa_str *feature; /* [n_features], in the arena */
    struct psa_scaler scaler;
    bool contamination_auto; /* then the threshold is -0.5 */
    double contamination;
    double threshold; /* on score_samples' scale: an anomaly is below */
    struct psa_iforest forest;
    struct psa_tail_table reference; /* of -score_samples: higher is more anomalous */
    struct psa_model_training {
        int64_t records;
        bool has_time;
        int64_t from_ns, to_ns;
        double *low, *high; /* [n_features], ranges of the training values */
    } trained;
    int64_t seed;
    struct psa_arena arena; /* owns names, ranges and the reference */
};

/* Read a model; PSA_EXIT_PERMANENT with a sentence when the text is none. On failure nothing is left to free. */
int psa_model_read(struct psa_model *model, struct psa_str text, struct psa_error *error);

/* Append the model as text, one line, and set model->id, which belongs to that text. out->failed: memory ran out. */
void psa_model_write(struct psa_model *model, struct psa_buf *out);

/* Names for a new model: n copies into its arena, with room for ranges and reference. 0, or -1 when memory is out. */
int psa_model_init(struct psa_model *model, const struct psa_str *feature, size_t n);

void psa_model_free(struct psa_model *model);

#endif
