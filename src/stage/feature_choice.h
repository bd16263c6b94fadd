/*
 * feature_choice.h - from --features, --set and the options beside them to the list of fields that a window makes.
 */
#ifndef PSA_STAGE_FEATURE_CHOICE_H
#define PSA_STAGE_FEATURE_CHOICE_H

#include "core/arena.h"
#include "stage/feature_registry.h"

/* Features of one field at most; a band and a harmonic each is one. */
enum { PSA_OUTPUTS_MAX = 512 };

/* One field of each window: `<field>_<suffix>`. */
struct psa_feature_output {
    const struct psa_feature *feature;
    double parameter;
    struct psa_str suffix;
};

struct psa_feature_choice {
    struct psa_feature_output output[PSA_OUTPUTS_MAX];
    size_t n;
    unsigned needs; /* of all of them: enum psa_feature_needs */
    bool nested;    /* some suffix ends in another: x_envelope_rms may be a feature of x, and one of x_envelope */
    struct psa_arena arena;
};

/*
 * Fill the empty choice. -1 with a sentence: an unknown name (the nearest ones are named), one that needs an option which
 * was not given, or an option that none of them listens to. settings must have been checked.
 */
int psa_feature_choose(struct psa_feature_choice *choice, const struct psa_feature_settings *settings,
                       struct psa_error *error);
void psa_feature_choice_free(struct psa_feature_choice *choice);

#endif
