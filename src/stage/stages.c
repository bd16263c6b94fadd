/* stages.c - see stages.h. */
#include "stage/stages.h"

const struct psa_stage *const psa_stages[] = {
    &psa_filter_stage, &psa_window_stage, &psa_features_stage, &psa_score_stage, &psa_alert_stage, NULL,
};
