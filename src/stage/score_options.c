/* score_options.c - the options of psa-score, and which of them go together; see score.h. */
#include <stdio.h>
#include <string.h>

#include "core/error.h"
#include "stage/score.h"

#define STREAMING "ecod|dynamic-pca|ewma|cusum|half-space-trees|conformal"
#define MODELS "model|models"

#define DAY_NS (INT64_C(86400) * 1000000000)

static struct psa_score_config *config_of(void *config)
{
    return config;
}

/* --ecod and its like: the option has the detector's name. */
static int take_detector(void *config, const struct psa_option *option, const char *value, struct psa_error *error)
{
    const struct psa_detector_type **detector = &config_of(config)->detector;

    (void)value;
    if (*detector != NULL)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--%s and --%s exclude each other", (*detector)->name, option->name);
    *detector = psa_detector_find(psa_str_of(option->name));
    if (*detector == NULL)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--%s: this psa-score was built without it", option->name);
    return 0;
}

/* A list of counts, 5,8,12. */
static int take_lags(void *config, const struct psa_option *option, const char *value, struct psa_error *error)
{
    struct psa_detector_settings *settings = &config_of(config)->settings;
    char what[32];

    snprintf(what, sizeof what, "--%s", option->name);
    return psa_parse_counts(value, what, (int64_t)option->min, (int64_t)option->max, settings->lag, &settings->n_lag,
                            PSA_LAGS_MAX, error);
}

struct period {
    const char *name;
    int64_t ns;
};

static const struct period periods[] = { { "hour", DAY_NS / 24 },  { "day", DAY_NS },        { "week", 7 * DAY_NS },
                                         { "month", 30 * DAY_NS }, { "year", 365 * DAY_NS }, { NULL, 0 } };

/* 1/week, 2/day, 1/12h. */
static int take_false_alarms(void *config, const struct psa_option *option, const char *value, struct psa_error *error)
{
    const char *slash = strchr(value, '/');
    const struct period *period = periods;
    char text[32];
    double number;
    int64_t ns = 0;

    if (slash == NULL || slash == value || (size_t)(slash - value) >= sizeof text)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--%s: '%s' is no rate; write it like 1/week, 2/day or 1/12h",
                        option->name, value);
    memcpy(text, value, (size_t)(slash - value));
    text[slash - value] = 0;
    if (psa_parse_real(text, "--false-alarms", &number, error) != 0) return -1;
    while (period->name != NULL && strcmp(period->name, slash + 1) != 0) period++;
    if (period->name != NULL) ns = period->ns;
    else if (psa_parse_duration(slash + 1, "--false-alarms", &ns, error) != 0) return -1;
    if (!(number > 0.0) || ns <= 0)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--%s: '%s' must be above zero", option->name, value);
    config_of(config)->false_alarms_hz = number / ((double)ns * 1e-9);
    return 0;
}

/* NOLINTBEGIN(bugprone-macro-parentheses): they are strings that initialise */
#define DETECTOR(name_, help_)                                                    \
    {                                                                             \
        .name = name_, .type = PSA_OPT_CALL, .take = take_detector, .help = help_ \
    }
/* NOLINTEND(bugprone-macro-parentheses) */
#define SETTING(member) .offset = offsetof(struct psa_score_config, settings.member)

const struct psa_option psa_score_options[] = {
    { .name = "model",
      .type = PSA_OPT_TEXT,
      .offset = offsetof(struct psa_score_config, model),
      .metavar = "FILE",
      .free_of_state = true, /* the state keeps the model's id */
      .not_with = STREAMING,
      .help = "score by the model in FILE, made by psa-train" },
    DETECTOR("ecod", "score by streaming ECOD: each value's place among the stream's own last ones"),
    DETECTOR("dynamic-pca", "score by dynamic PCA: rows that do not fit how the channels moved together lately"),
    DETECTOR("ewma", "score by an EWMA chart of each channel: small lasting shifts"),
    DETECTOR("cusum", "score by a CUSUM chart of each channel: small lasting shifts, in the fewest rows"),
    DETECTOR("half-space-trees", "score by half-space trees: rows where few were lately; cheap for many channels"),
    DETECTOR("conformal", "score a slow process value by its profile, shape and range, each as a conformal p-value"),
    { .name = "warmup",
      .type = PSA_OPT_COUNT,
      SETTING(warmup),
      .metavar = "N",
      .initial = "200",
      .min = 1,
      .max = 1e9,
      .needs = STREAMING,
      .help = "rows of a stream that are learned before the first one is scored" },
    { .name = "horizon",
      .type = PSA_OPT_COUNT,
      SETTING(horizon),
      .metavar = "N",
      .initial = "10000",
      .min = 0,
      .max = 4e9,
      .needs = STREAMING,
      .help = "rows of a stream that count, the newest included; 0: all" },
    { .name = "freeze",
      .type = PSA_OPT_FLAG,
      SETTING(freeze),
      .free_of_state = true,
      .needs = STREAMING,
      .help = "learn from the warm-up only" },
    { .name = "adapt",
      .type = PSA_OPT_FLAG,
      SETTING(adapt),
      .needs = MODELS,
      .help = "go on learning from the stream where the model left off" },
    { .name = "contamination",
      .type = PSA_OPT_REAL,
      .offset = offsetof(struct psa_score_config, contamination),
      .given = offsetof(struct psa_score_config, contamination_given),
      .metavar = "SHARE",
      .initial = "0.05",
      .min = 1e-9,
      .max = 0.5,
      .free_of_state = true,
      .not_with = "on|false-alarms",
      .help = "share of the reference scores that the threshold leaves above it; a model and some detectors have a "
              "threshold of their own" },
    { .name = "on",
      .type = PSA_OPT_REAL,
      .offset = offsetof(struct psa_score_config, on),
      .given = offsetof(struct psa_score_config, on_given),
      .metavar = "RAW",
      .free_of_state = true,
      .not_with = "false-alarms",
      .help = "raw score above which a row is an anomaly" },
    { .name = "off",
      .type = PSA_OPT_REAL,
      .offset = offsetof(struct psa_score_config, off),
      .given = offsetof(struct psa_score_config, off_given),
      .metavar = "RAW",
      .free_of_state = true,
      .help = "raw score above which the rows after an anomaly are anomalies too; without it that of the beginning" },
    { .name = "rest",
      .type = PSA_OPT_COUNT,
      .offset = offsetof(struct psa_score_config, rest),
      .metavar = "N",
      .initial = "0",
      .min = 0,
      .max = PSA_JUDGE_REST_MAX,
      .help = "a row is an anomaly only if its raw score exceeds those of the N rows before it; 0: however they are" },
    { .name = "false-alarms",
      .type = PSA_OPT_CALL,
      .take = take_false_alarms,
      .metavar = "N/TIME",
      .free_of_state = true,
      .help = "choose the threshold so that about N false alarms are expected per hour, day, week, month or "
              "duration: 1/week" },
    { .name = "lags",
      .type = PSA_OPT_CALL,
      .take = take_lags,
      .metavar = "N,...",
      .initial = "5,8,12",
      .min = 1,
      .max = 1000,
      .needs = "dynamic-pca",
      .help = "rows stacked into one; several: the geometric mean of their scores" },
    { .name = "variance",
      .type = PSA_OPT_REAL,
      SETTING(variance),
      .metavar = "SHARE",
      .initial = "0.85",
      .min = 0.01,
      .max = 0.999999,
      .needs = "dynamic-pca",
      .help = "share of the variance that the components kept explain" },
    { .name = "refit",
      .type = PSA_OPT_COUNT,
      SETTING(refit),
      .given = offsetof(struct psa_score_config, refit_given),
      .metavar = "N",
      .initial = "30",
      .min = 1,
      .max = 1e9,
      .needs = "dynamic-pca|adapt",
      .not_with = "freeze",
      .help = "rows between two fits" },
    { .name = "reference",
      .type = PSA_OPT_COUNT,
      SETTING(reference),
      .given = offsetof(struct psa_score_config, refit_given),
      .metavar = "N",
      .initial = "400",
      .min = 2,
      .max = 1e6,
      .needs = "dynamic-pca|adapt",
      .not_with = "freeze",
      .help = "rows of a fit: the last ones judged normal" },
    { .name = "guard",
      .type = PSA_OPT_COUNT,
      SETTING(guard),
      .given = offsetof(struct psa_score_config, refit_given),
      .metavar = "N",
      .initial = "30",
      .min = 0,
      .max = 1e6,
      .needs = "dynamic-pca|adapt",
      .not_with = "freeze",
      .help = "rows that a row must be away from now and from any alarm to be fitted by" },
    { .name = "lambda",
      .type = PSA_OPT_REAL,
      SETTING(lambda),
      .metavar = "WEIGHT",
      .initial = "0.1",
      .min = 1e-6,
      .max = 1,
      .needs = "ewma|cusum",
      .help = "weight of the newest row in the average" },
    { .name = "allowance",
      .type = PSA_OPT_REAL,
      SETTING(allowance),
      .metavar = "SDS",
      .initial = "0.5",
      .min = 0,
      .max = 1e6,
      .needs = "cusum",
      .help = "drift that is let pass, in standard deviations" },
    { .name = "trees",
      .type = PSA_OPT_COUNT,
      SETTING(trees),
      .metavar = "N",
      .initial = "25",
      .min = 1,
      .max = 1000,
      .needs = "half-space-trees",
      .help = "trees of the ensemble" },
    { .name = "depth",
      .type = PSA_OPT_COUNT,
      SETTING(depth),
      .metavar = "N",
      .initial = "8",
      .min = 1,
      .max = 20,
      .needs = "half-space-trees",
      .help = "splits from a tree's root to its leaves" },
    { .name = "samples",
      .type = PSA_OPT_COUNT,
      SETTING(samples),
      .metavar = "N",
      .initial = "256",
      .min = 2,
      .max = 65535,
      .needs = "half-space-trees",
      .help = "rows of a window: those of the last one are what a row is compared with" },
    { .name = "seed",
      .type = PSA_OPT_COUNT,
      SETTING(seed),
      .metavar = "N",
      .initial = "1",
      .min = 0,
      .max = 9e15,
      .needs = "half-space-trees",
      .help = "start of the random sequence" },
    { .name = "season",
      .type = PSA_OPT_DURATION,
      SETTING(season_ns),
      .metavar = "TIME",
      .initial = "1d",
      .min = 0,
      .max = 366e9 * 86400,
      .needs = "conformal",
      .help = "period of the profile that values are compared with; 0: none" },
    { .name = "smooth",
      .type = PSA_OPT_COUNT,
      SETTING(smooth),
      .metavar = "N",
      .initial = "12",
      .min = 1,
      .max = 1e5,
      .needs = "conformal",
      .help = "rows of the short mean" },
    { .name = "shingle",
      .type = PSA_OPT_COUNT,
      SETTING(shingle),
      .metavar = "N",
      .initial = "288",
      .min = 1,
      .max = 10000,
      .needs = "conformal",
      .help = "consecutive rows whose shape is compared" },
    { .name = "nearest",
      .type = PSA_OPT_COUNT,
      SETTING(nearest),
      .metavar = "N",
      .initial = "3",
      .min = 1,
      .max = 1000,
      .needs = "conformal",
      .help = "most similar earlier shapes whose distance counts" },
    { .name = "models",
      .type = PSA_OPT_TEXT,
      .offset = offsetof(struct psa_score_config, models),
      .metavar = "DIR",
      .free_of_state = true, /* the state keeps each model's id */
      .not_with = STREAMING "|model",
      .help = "score each stream by its own model: DIR/TYPE/ID.json, else DIR/TYPE.json, else DIR/default.json" },
    { .name = "groups",
      .type = PSA_OPT_TEXT,
      .offset = offsetof(struct psa_score_config, groups),
      .metavar = "FILE",
      .free_of_state = true, /* the state keeps what each group is */
      .not_with = STREAMING "|model|models|adapt|contamination|on|off|rest|false-alarms|top|running",
      .help = "score sensors together: a line of FILE is a group's NAME, options and members KEY:FIELD" },
    { .name = "hold",
      .type = PSA_OPT_DURATION,
      .offset = offsetof(struct psa_score_config, hold_ns),
      .given = offsetof(struct psa_score_config, hold_given),
      .metavar = "TIME",
      .initial = "5s",
      .min = 0,
      .max = 9e18,
      .free_of_state = true,
      .needs = "groups",
      .help = "how long a group's member keeps its latest value, where its line says nothing else" },
    { .name = "running",
      .type = PSA_OPT_TEXT,
      .offset = offsetof(struct psa_score_config, running),
      .metavar = "JQ",
      .free_of_state = true,
      .help = "score and learn only while this jq expression holds for the record: the machine runs" },
    { .name = "settle",
      .type = PSA_OPT_DURATION,
      .offset = offsetof(struct psa_score_config, settle_ns),
      .metavar = "TIME",
      .initial = "30s",
      .min = 0,
      .max = 9e18,
      .free_of_state = true,
      .needs = "running",
      .help = "and from that long after its start" },
    { .name = "history",
      .type = PSA_OPT_TEXT,
      .offset = offsetof(struct psa_score_config, history),
      .metavar = "FILE",
      .free_of_state = true,
      .help = "learn from the records in FILE first, writing nothing, unless a --state was there" },
    { .name = "top",
      .type = PSA_OPT_COUNT,
      .offset = offsetof(struct psa_score_config, top),
      .metavar = "N",
      .initial = "3",
      .min = 0,
      .max = 4096,
      .free_of_state = true,
      .help = "fields named in anomaly.top, those that drove the score most; 0: none" },
    { .type = PSA_OPT_END },
};

int psa_score_config_check(const struct psa_score_config *config, struct psa_error *error)
{
    if (config->model == NULL && config->models == NULL && config->groups == NULL && config->detector == NULL)
        return psa_fail(error, PSA_EXIT_PERMANENT, "say how to score: --model FILE, or --ecod or another detector");
    if (config->settings.horizon == 1)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--horizon 1 leaves no row to compare with");
    return 0;
}
