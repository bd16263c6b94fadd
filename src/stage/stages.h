/* stages.h - the stages there are; one line here and one in stages.c makes a stage known to psa-run. */
#ifndef PSA_STAGE_STAGES_H
#define PSA_STAGE_STAGES_H

#include "psa.h"

extern const struct psa_stage psa_filter_stage;
extern const struct psa_stage psa_window_stage;
extern const struct psa_stage psa_features_stage;
extern const struct psa_stage psa_score_stage;
extern const struct psa_stage psa_alert_stage;

/* All of them, ended by NULL. */
extern const struct psa_stage *const psa_stages[];

#endif
