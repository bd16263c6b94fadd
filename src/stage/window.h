/* window.h - what psa-window is told; psa-features windows by itself with the same. */
#ifndef PSA_STAGE_WINDOW_H
#define PSA_STAGE_WINDOW_H

#include "core/option.h"
#include "psa.h"

struct psa_window_config {
    struct psa_span length, stride; /* stride.value 0: the length */
    int64_t max_gap_ns;             /* 0: none */
    bool partial;
    int64_t max_samples;
};

/* Fill in what was left out and refuse what cannot be. */
int psa_window_check(struct psa_window_config *config, struct psa_error *error);

#endif
