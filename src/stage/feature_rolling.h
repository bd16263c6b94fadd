/*
 * feature_rolling.h - psa-features --rolling: on readings, statistics over the last samples of each key's fields.
 *
 * The stage that has it keeps a struct psa_roll_config as the first member of its config, names psa_roll_take in the
 * row of --rolling, psa_roll_slot_type as its slot type, calls psa_roll_open once, and psa_roll_push for every record.
 */
#ifndef PSA_STAGE_FEATURE_ROLLING_H
#define PSA_STAGE_FEATURE_ROLLING_H

#include "core/chain.h"
#include "dsp/rolling.h"
#include "stage/made.h"

enum {
    PSA_ROLL_LENGTHS_MAX = 64,     /* different ones */
    PSA_ROLL_STATISTICS_MAX = 256, /* of one field: each at each of its lengths counts */
    PSA_ROLL_SUFFIX_MAX = 64       /* bytes of `median_10s` */
};

struct psa_roll_statistic;

/* One number that each record gets for each field. */
struct psa_roll_column {
    const struct psa_roll_statistic *statistic;
    double level; /* of a quantile */
    size_t window;
    char suffix[PSA_ROLL_SUFFIX_MAX]; /* mean_10 */
};

/* What --rolling says; zeroed: it was not given. */
struct psa_roll_config {
    struct psa_roll_column column[PSA_ROLL_STATISTICS_MAX]; /* in the order of the output */
    size_t n_column;
    struct psa_rolling_spec window[PSA_ROLL_LENGTHS_MAX];
    size_t n_window;
    bool timed; /* some length is a duration */
    bool keep;
    int64_t max_samples;
};

static inline bool psa_roll_given(const struct psa_roll_config *config)
{
    return config->n_column > 0;
}

/* --rolling STAT,...@LENGTH,...: a take() of core/option.h. */
int psa_roll_take(void *config, const struct psa_option *option, const char *value, struct psa_error *error);

/* Before the first record: the rest of what it must know. keep: --keep; max_samples: --max-samples. */
int psa_roll_open(struct psa_roll_config *config, bool keep, int64_t max_samples, struct psa_error *error);

/* Put the statistics in the place of the fields that they are of, and pass the record on; `made` is scratch. */
int psa_roll_push(struct psa_node *node, struct psa_made *made, struct psa_record *record, struct psa_error *error);

extern const struct psa_slot_type psa_roll_slot_type;

#endif
