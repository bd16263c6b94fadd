/* score.h - psa-score as a stage: how unusual is each record? See score.c and psa-score(1). */
#ifndef PSA_STAGE_SCORE_H
#define PSA_STAGE_SCORE_H

#include "psa.h"

extern const struct psa_stage psa_score_stage;

#endif
