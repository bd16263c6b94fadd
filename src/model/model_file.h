/*
 * model_file.h - a trained model as a JSON text, and back: psa-model(5). psa-train writes it, psa-score reads it; the
 * reading and writing of files is io's.
 *
 *     {"psa_model":2,                                        the version; the first member
 *      "kind":"isolation-forest",                            a name of detectors.c that psa-train makes models of
 *      "id":"iforest-0123456789abcdef",
 *      "features":["accel_x_rms",...],                       names, in the order of every array below
 *      "scaler":{"kind":"standard","mean":[..],"scale":[..]},
 *      "contamination":0.05,                                 null: the threshold is the kind's own
 *      "threshold":-0.51,                                    as people read raw scores of that kind
 *      "trained":{"records":n,"from_ns":..,"to_ns":..,"ranges":[[min,max],..]},
 *      "seed":1,
 *      "reference":{"quantiles":[[level,score],..],"tail_start":..,"tail_scale":..},   higher is more anomalous
 *      "parameters":{..}}                                    the kind's own: detector_<kind>.c
 *
 * A text is valid if and only if
 *   - it is one RFC 8259 JSON object within the limits below, every number finite;
 *   - "psa_model" is its first member and 2; "features" comes before "scaler", "trained" and "parameters", and "kind" before
 *     "parameters"; else the order is free;
 *   - it has each of these members once; from_ns, to_ns and contamination may be null; seed and members not named here are
 *     optional and mean nothing; features are 1 to 4096, no two alike;
 *   - every array has its length, the reference's levels ascend strictly within 0 .. 1 and its scores do not descend, scales
 *     are above 0, ranges have their lower end first;
 *   - the scaler is "none" with mean, or "standard", "robust" or "minmax" with mean, scale and, where it is not the mean,
 *     center;
 *   - parameters are what the kind asks for, each once and none else;
 *   - the id is the kind's prefix, "-" and the 16 hex digits of the FNV-1a 64 hash (G. Fowler, L. C. Noll, K.-P. Vo;
 *     RFC 9923) of the text, white space outside strings left out, the id's value taken as "".
 */
#ifndef PSA_MODEL_MODEL_FILE_H
#define PSA_MODEL_MODEL_FILE_H

#include "core/json.h"
#include "model/model.h"

#define PSA_MODEL_VERSION 2
#define PSA_MODEL_BYTES_MAX ((size_t)256 << 20) /* of the text */
#define PSA_MODEL_FEATURES_MAX 4096
#define PSA_MODEL_QUANTILES_MAX 10000
#define PSA_MODEL_PARAMETERS_MAX 32 /* members of "parameters" */

/* Read a model; PSA_EXIT_PERMANENT with a sentence when the text is none. On failure nothing is left to free. */
int psa_model_read(struct psa_model *model, struct psa_str text, struct psa_error *error);

/* Read a draft: the text of a model without id, trained and reference, which another program learned and psa-train fills
 * in. There is room for them as after psa_model_init. */
int psa_model_read_draft(struct psa_model *model, struct psa_str text, struct psa_error *error);

/* Append the model as text, one line, and set model->id, which belongs to that text. out->failed: memory ran out. */
void psa_model_write(struct psa_model *model, struct psa_buf *out);

/* A new model of a type: n names are copied into its arena, with room for ranges and reference (PSA_TAIL_LEVELS). 0, or -1
 * when memory is out. */
int psa_model_init(struct psa_model *model, const struct psa_detector_type *type, const struct psa_str *feature,
                   size_t n);

/* Its parameters too, by type->drop. A zeroed model is free already. */
void psa_model_free(struct psa_model *model);

/* ---- for the types' read() ---------------------------------------------------------------------------------------- */

/* A finite number; anything else is a fault. */
double psa_model_number(struct psa_json *in);

/* A whole number from least to most; anything else is a fault, and gives least. */
int64_t psa_model_count(struct psa_json *in, int64_t least, int64_t most);

/* How many items the array that comes next has, most + 1 for more than most; the reader stays where it is. What is wrong
 * with the array shows when it is read. */
size_t psa_model_items(const struct psa_json *in, size_t most);

/* An array of `least` to `most` finite numbers into the model's arena, never NULL for one that was read; *n (may be NULL)
 * becomes how many. NULL at a fault. The array is counted before room is made for it. */
double *psa_model_numbers(struct psa_model *model, struct psa_json *in, size_t least, size_t most, size_t *n);

#endif
