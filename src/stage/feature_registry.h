/*
 * feature_registry.h - every feature that psa-features has: one line each, in the table of feature_registry.c, which
 * `psa-features --list` prints and the manual's section FEATURES is made from (tests/lint/features_manual.py).
 */
#ifndef PSA_STAGE_FEATURE_REGISTRY_H
#define PSA_STAGE_FEATURE_REGISTRY_H

#include "core/buf.h"
#include "stage/feature_analysis.h"

/* What a feature needs of the window and of the options; without it the feature is null, or refused at the start. */
enum psa_feature_needs {
    PSA_NEEDS_WHOLE = 1 << 0, /* no sample missing */
    PSA_NEEDS_SAMPLE_RATE = 1 << 1,
    PSA_NEEDS_SPEED = 1 << 2,     /* --rpm or --rpm-field */
    PSA_NEEDS_BAND = 1 << 3,      /* --band */
    PSA_NEEDS_BEARING = 1 << 4,   /* --bearing or --bearing-hz */
    PSA_NEEDS_ZONES = 1 << 5,     /* --zones */
    PSA_NEEDS_INTERVALS = 1 << 6, /* psa-window --intervals, which --length turns on */
    PSA_TAKES_EMPTY = 1 << 7,     /* says something of a window of missing samples too */
    /* The options that it listens to; one that no wanted feature listens to is refused. */
    PSA_USES_WELCH = 1 << 8,       /* --taper, --nperseg, --noverlap, --detrend, --average */
    PSA_USES_ENVELOPE = 1 << 9,    /* --envelope */
    PSA_USES_HARMONICS = 1 << 10,  /* --harmonics */
    PSA_USES_VELOCITY = 1 << 11,   /* --velocity-band, --unit */
    PSA_USES_RANGE = 1 << 12,      /* --range */
    PSA_USES_ROLLOFF = 1 << 13,    /* --rolloff */
    PSA_USES_MOVING_AVG = 1 << 14, /* --moving-avg */
    PSA_USES_SPEED = 1 << 15,      /* --rpm, --rpm-field */
    PSA_USES_INTERVALS = 1 << 17,  /* psa-window's --intervals, if there are any */
    PSA_USES_SORTED = 1 << 18,     /* no option: analysis->sorts */
    PSA_USES_BEARING = 1 << 16,    /* --bearing, --bearing-hz, --bearing-lines */
};

/* How the fields' names are made from the feature's. */
enum psa_feature_naming {
    PSA_NAMED_ONCE,
    PSA_NAMED_SHARE,     /* q#: per cent: q05, q99.9 */
    PSA_NAMED_COUNT,     /* autocorr_#: a whole number: autocorr_1 */
    PSA_NAMED_BANDS,     /* band: band_LOW_HIGH for each --band */
    PSA_NAMED_HARMONICS, /* harmonic: harmonic_1 .. --harmonics */
};

/* An array feature: n numbers; on a spectrum's axis when step_hz > 0. n == 0: undefined. */
struct psa_feature_array {
    const double *value;
    size_t n;
    double step_hz;
};

struct psa_feature {
    const char *name;    /* of the parameterised, with # for the parameter */
    const char *set;     /* the one it belongs to */
    const char *unit;    /* x: the field's own */
    const char *formula; /* one line */
    const char *source;  /* a function of the same value, or who defined it */
    unsigned needs;      /* a set of enum psa_feature_needs */
    size_t least;        /* samples, with fewer it is undefined */
    /* Its value, of the parameter; NaN: undefined, analysis->why says why if it is known. Or its array. */
    double (*of)(struct psa_analysis *analysis, double parameter);
    struct psa_feature_array (*array_of)(struct psa_analysis *analysis);
    enum psa_feature_naming naming;
    const char *in_sets; /* parameterised: the parameters that a set takes, "05,25" */
    int64_t most;        /* PSA_NAMED_COUNT: the greatest parameter */
    const char *range;   /* parameterised: what a message says there is */
};

extern const struct psa_feature psa_features[];
extern const size_t psa_features_n;

/* The sets, in the order in which --list shows them; named ones are lists of features, `all` is the others together. */
struct psa_feature_set {
    const char *name, *summary;
    const char *names; /* a list with commas; NULL: the features whose `set` it is */
};
extern const struct psa_feature_set psa_feature_sets[];
extern const size_t psa_feature_sets_n;

/* The text of --list. */
void psa_features_list(struct psa_buf *out);

#endif
