/*
 * ecod_model.h - ECOD by a model, a frozen sample (ecod_sample.h): what detector_ecod.c hands on to, where there is a model.
 *
 *     "parameters":{"sample":[[..],..]}     for each feature the sample's values, ascending, all of one length
 */
#ifndef PSA_MODEL_ECOD_MODEL_H
#define PSA_MODEL_ECOD_MODEL_H

#include "model/detector.h"

/* As the members of struct psa_detector_type; a model has no state of its own, and nothing to drop or to stop. */
int psa_ecod_model_update(struct psa_detector *detector, const double *row, double *raw);
int psa_ecod_model_train(struct psa_model *model, const struct psa_training *training, double *scores,
                         struct psa_error *error);
void psa_ecod_model_write(const struct psa_model *model, struct psa_buf *out);
bool psa_ecod_model_read(struct psa_model *model, struct psa_str name, struct psa_json *in);
const char *psa_ecod_model_check(struct psa_model *model);
void psa_ecod_model_describe(const struct psa_model *model, struct psa_buf *out);

#endif
