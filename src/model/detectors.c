/* detectors.c - the detectors there are, in the order of the manual; see detector.h. */
#include <stddef.h>

#include "core/buf.h"
#include "model/detector.h"

const struct psa_detector_type *const psa_detector_types[] = {
    &psa_isolation_forest_detector,
    &psa_ecod_detector,
    &psa_dynamic_pca_detector,
    &psa_pca_detector,
    &psa_mahalanobis_detector,
    &psa_ewma_detector,
    &psa_cusum_detector,
    &psa_half_space_trees_detector,
    &psa_conformal_detector,
    NULL,
};

const struct psa_detector_type *psa_detector_find(struct psa_str name)
{
    for (size_t i = 0; psa_detector_types[i] != NULL; i++) {
        if (psa_str_eq(name, psa_detector_types[i]->name)) return psa_detector_types[i];
    }
    return NULL;
}
