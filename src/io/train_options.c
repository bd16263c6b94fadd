/* train_options.c - psa-train's options, and which kind of model uses which: see train.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/error.h"
#include "core/key.h"
#include "io/train.h"
#include "model/isolation_forest.h"

#define FOREST_SAMPLES 256 /* F. T. Liu et al., 2008: more rows a tree hardly help */
#define ECOD_SAMPLES 10000 /* as many rows as psa-score --ecod looks back on */
#define CONTAMINATION 0.05
#define LAG_MAX 1000 /* rows stacked */

#define OFFSET(member) offsetof(struct psa_train_options, member)

const struct psa_option psa_train_option_table[] = {
    { .name = "trees",
      .type = PSA_OPT_COUNT,
      .offset = OFFSET(trees),
      .given = OFFSET(given.trees),
      .metavar = "N",
      .initial = "100",
      .min = 1,
      .max = PSA_IFOREST_TREES_MAX,
      .help = "isolation-forest: trees" },
    { .name = "samples",
      .type = PSA_OPT_COUNT,
      .offset = OFFSET(samples),
      .given = OFFSET(given.samples),
      .metavar = "N",
      .min = 2,
      .max = PSA_IFOREST_SAMPLES_MAX,
      .help =
          "isolation-forest: rows that each tree is grown from, 256 unless given; ecod: rows of the sample, 10000" },
    { .name = "lags",
      .type = PSA_OPT_TEXT,
      .offset = OFFSET(lags),
      .metavar = "N,..",
      .help = "dynamic-pca: rows stacked, for one PCA each; 5,8,12 unless given" },
    { .name = "variance",
      .type = PSA_OPT_REAL,
      .offset = OFFSET(variance),
      .given = OFFSET(given.variance),
      .metavar = "SHARE",
      .initial = "0.85",
      .min = 0.01,
      .max = 1,
      .help = "pca, dynamic-pca: share of the variance that the components keep" },
    { .name = "contamination",
      .type = PSA_OPT_TEXT,
      .offset = OFFSET(contamination),
      .metavar = "SHARE|auto",
      .not_with = "quantile",
      .help = "share of the training rows above the threshold, 0.05 unless given; auto: the kind's own threshold, "
              "dynamic-pca's unless given" },
    { .name = "quantile",
      .type = PSA_OPT_REAL,
      .offset = OFFSET(quantile),
      .given = OFFSET(given.quantile),
      .metavar = "Q",
      .min = 1e-9,
      .max = 1,
      .help = "the threshold is this quantile of the training rows' scores" },
    { .name = "seed",
      .type = PSA_OPT_COUNT,
      .offset = OFFSET(seed),
      .given = OFFSET(given.seed),
      .metavar = "N",
      .initial = "1",
      .min = 0,
      .max = 9e15,
      .help = "seed of the random numbers; the same seed and input give the same model" },
    { .name = "scaler",
      .type = PSA_OPT_TEXT,
      .offset = OFFSET(scaler),
      .metavar = "KIND",
      .help = "standard (unless given), robust, minmax or none: how every feature is brought to one scale" },
    { .name = "key",
      .type = PSA_OPT_TEXT,
      .offset = OFFSET(key),
      .metavar = "PATH",
      .help = "dynamic-pca: records with one value at this path are one stream; else sensor_type and sensor_id say" },
    { .name = "features",
      .type = PSA_OPT_TEXT,
      .offset = OFFSET(features),
      .metavar = "NAME,..",
      .help = "import-sklearn: the fields that the forest's columns are, in their order" },
    { .name = "python",
      .type = PSA_OPT_TEXT,
      .offset = OFFSET(python),
      .metavar = "COMMAND",
      .help = "import-sklearn: the Python that has scikit-learn, python3 unless given" },
    { .name = "output",
      .letter = 'o',
      .type = PSA_OPT_TEXT,
      .offset = OFFSET(output),
      .metavar = "FILE",
      .help = "write the model to FILE, whole or not at all; without it to stdout" },
    { .name = "max-rows",
      .type = PSA_OPT_COUNT,
      .offset = OFFSET(max_rows),
      .metavar = "N",
      .initial = "1000000",
      .min = 2,
      .max = 4e9,
      .help = "rows kept in memory; what comes behind them is left out" },
    { .name = "describe",
      .type = PSA_OPT_TEXT,
      .offset = OFFSET(describe),
      .metavar = "MODEL",
      .help = "say in words what is inside the model file MODEL, and exit" },
    { .name = "flat",
      .type = PSA_OPT_FLAG,
      .offset = OFFSET(flat),
      .help = "take the number members of a record without fields for its fields" },
    { .name = "max-line",
      .type = PSA_OPT_SIZE,
      .offset = OFFSET(max_line),
      .metavar = "SIZE",
      .initial = "1MiB",
      .min = 64,
      .max = 1073741824,
      .help = "longest line that is read; a longer one is left out" },
    { .type = PSA_OPT_END },
};

/* ---- which kind uses which -------------------------------------------------------------------------------------------- */

enum use {
    TREES = 1,
    SAMPLES = 2,
    LAGS = 4,
    VARIANCE = 8,
    THRESHOLD = 16, /* --contamination, --quantile */
    SEED = 32,
    SCALER = 64,
    KEY = 128,
    IMPORT = 256, /* --features, --python */
};

static const struct {
    const char *kind;
    unsigned uses;
} kinds[] = {
    { "isolation-forest", TREES | SAMPLES | THRESHOLD | SEED | SCALER },
    { "ecod", SAMPLES | THRESHOLD | SEED },
    { "pca", VARIANCE | THRESHOLD | SCALER },
    { "dynamic-pca", LAGS | VARIANCE | THRESHOLD | SCALER | KEY },
    { "mahalanobis", THRESHOLD | SEED | SCALER },
    { "import-sklearn", IMPORT },
    { "--describe", 0 },
};
#define N_KINDS (sizeof kinds / sizeof *kinds)

/* The first option given that is none of `uses`; NULL: all are. */
static const char *unused(const struct psa_train_options *options, unsigned uses)
{
    const struct {
        const char *name;
        bool given;
        enum use use;
    } of[] = {
        { "trees", options->given.trees, TREES },
        { "samples", options->given.samples, SAMPLES },
        { "lags", options->lags != NULL, LAGS },
        { "variance", options->given.variance, VARIANCE },
        { "contamination", options->contamination != NULL, THRESHOLD },
        { "quantile", options->given.quantile, THRESHOLD },
        { "seed", options->given.seed, SEED },
        { "scaler", options->scaler != NULL, SCALER },
        { "key", options->key != NULL, KEY },
        { "features", options->features != NULL, IMPORT },
        { "python", options->python != NULL, IMPORT },
    };

    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        if (of[i].given && !(of[i].use & uses)) return of[i].name;
    }
    return NULL;
}

/* ---- what they mean --------------------------------------------------------------------------------------------------- */

/* --contamination, --quantile, or what the kind has without them. */
static int read_threshold(struct psa_train_plan *plan, const struct psa_train_options *options, struct psa_error *error)
{
    const char *share = options->contamination;
    bool own = share != NULL ? strcmp(share, "auto") == 0 : isfinite(plan->type->on) != 0;

    plan->contamination = options->given.quantile ? 1.0 - options->quantile : own ? (double)NAN : CONTAMINATION;
    if (share == NULL || own) return 0;
    if (psa_parse_real(share, "--contamination", &plan->contamination, error) != 0) return -1;
    if (plan->contamination > 0.0 && plan->contamination <= 0.5) return 0;
    return psa_fail(error, PSA_EXIT_PERMANENT, "--contamination '%s' is neither auto nor above 0 and up to 0.5", share);
}

static int read_scaler(struct psa_train_plan *plan, const char *name, unsigned uses, struct psa_error *error)
{
    plan->scaler = uses & SCALER ? PSA_SCALER_STANDARD : PSA_SCALER_NONE;
    if (name == NULL) return 0;
    for (plan->scaler = PSA_SCALER_NONE; plan->scaler < PSA_SCALER_KINDS; plan->scaler++) {
        if (strcmp(name, psa_scaler_name(plan->scaler)) == 0) return 0;
    }
    return psa_fail(error, PSA_EXIT_PERMANENT, "unknown scaler '%s'; there are standard, robust, minmax and none",
                    name);
}

/* The names of all kinds. */
static int unknown_kind(const char *kind, struct psa_error *error)
{
    char names[300] = "";
    size_t n = 0;

    for (size_t i = 0; i < N_KINDS && n < sizeof names; i++) {
        if (!(kinds[i].uses & IMPORT) && psa_detector_find(psa_str_of(kinds[i].kind)) == NULL) continue;
        n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", n > 0 ? ", " : "", kinds[i].kind);
    }
    return psa_fail(error, PSA_EXIT_PERMANENT, "unknown kind of model '%s'; there are %s", kind, names);
}

int psa_train_plan(struct psa_train_plan *plan, const char *kind, const struct psa_train_options *options,
                   struct psa_error *error)
{
    struct psa_detector_settings *settings = &plan->settings;
    const char *wrong;
    unsigned uses;
    size_t k = 0;

    *plan = (struct psa_train_plan){ .type = psa_detector_find(psa_str_of(kind)), .contamination = NAN };
    while (k < N_KINDS && strcmp(kinds[k].kind, kind) != 0) k++;
    if (k == N_KINDS) return unknown_kind(kind, error);
    uses = kinds[k].uses;
    if (plan->type == NULL && uses & THRESHOLD) return unknown_kind(kind, error);
    wrong = unused(options, uses);
    if (wrong != NULL) return psa_fail(error, PSA_EXIT_PERMANENT, "%s has no use for --%s", kind, wrong);
    if (psa_key_check_path(options->key, error) != 0) return -1;
    if (plan->type == NULL) return 0;
    settings->trees = options->trees;
    settings->samples = options->given.samples ? options->samples : uses & TREES ? FOREST_SAMPLES : ECOD_SAMPLES;
    settings->variance = options->variance;
    settings->seed = options->seed;
    if (uses & LAGS && psa_parse_counts(options->lags != NULL ? options->lags : "5,8,12", "--lags", 1, LAG_MAX,
                                        settings->lag, &settings->n_lag, PSA_LAGS_MAX, error) != 0)
        return -1;
    if (read_threshold(plan, options, error) != 0) return -1;
    return read_scaler(plan, options->scaler, uses, error);
}
