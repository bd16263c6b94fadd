/* window.h - what psa-window is told; psa-features windows by itself with the same. */
#ifndef PSA_STAGE_WINDOW_H
#define PSA_STAGE_WINDOW_H

#include "core/option.h"
#include "psa.h"

struct psa_window_config {
    struct psa_span length, stride; /* length.value 0: none given; stride.value 0: the length */
    const char *align;              /* "first" or "epoch" */
    int64_t session_ns;             /* 0: no sessions */
    int64_t max_gap_ns;             /* 0: none */
    bool partial, intervals;
    int64_t max_samples;
    bool epoch; /* set by psa_window_check: --align epoch */
};

/*
 * The rows of psa-window's option table, with a comma behind the last, for a config struct that holds a struct
 * psa_window_config `at` bytes from its beginning. `length_help` is what --help says of --length: in a stage that can do
 * without windows it is what turns them on.
 */
#define PSA_WINDOW_OPTIONS(at, length_help)                                                                       \
    { .name = "length",                                                                                           \
      .type = PSA_OPT_SPAN,                                                                                       \
      .offset = (at) + offsetof(struct psa_window_config, length),                                                \
      .metavar = "SPAN",                                                                                          \
      .help = (length_help) },                                                                                    \
        { .name = "stride",                                                                                       \
          .type = PSA_OPT_SPAN,                                                                                   \
          .offset = (at) + offsetof(struct psa_window_config, stride),                                            \
          .metavar = "SPAN",                                                                                      \
          .needs = "length",                                                                                      \
          .help = "from one window's start to the next one's, in the same kind of unit; without it the length" }, \
        { .name = "align",                                                                                        \
          .type = PSA_OPT_TEXT,                                                                                   \
          .offset = (at) + offsetof(struct psa_window_config, align),                                             \
          .metavar = "first|epoch",                                                                               \
          .initial = "first",                                                                                     \
          .needs = "length",                                                                                      \
          .help = "windows of time start at the first record, or at whole multiples of the stride since 1970" },  \
        { .name = "session",                                                                                      \
          .type = PSA_OPT_DURATION,                                                                               \
          .offset = (at) + offsetof(struct psa_window_config, session_ns),                                        \
          .metavar = "TIME",                                                                                      \
          .min = 1,                                                                                               \
          .max = 9e18,                                                                                            \
          .not_with = "length",                                                                                   \
          .help = "instead of --length: a window is all samples with no longer time between two of them" },       \
        { .name = "max-gap",                                                                                      \
          .type = PSA_OPT_DURATION,                                                                               \
          .offset = (at) + offsetof(struct psa_window_config, max_gap_ns),                                        \
          .metavar = "TIME",                                                                                      \
          .initial = "0",                                                                                         \
          .min = 0,                                                                                               \
          .max = 9e18,                                                                                            \
          .needs = "length",                                                                                      \
          .help = "a longer time between two samples starts the windows anew; 0: no gap does" },                  \
        { .name = "partial",                                                                                      \
          .type = PSA_OPT_FLAG,                                                                                   \
          .offset = (at) + offsetof(struct psa_window_config, partial),                                           \
          .needs = "length",                                                                                      \
          .help = "write what is left of a window at a gap and at the end" },                                     \
        { .name = "intervals",                                                                                    \
          .type = PSA_OPT_FLAG,                                                                                   \
          .offset = (at) + offsetof(struct psa_window_config, intervals),                                         \
          .needs = "length|session",                                                                              \
          .help = "say in each window how evenly its samples came: their interval, its jitter, the longest" },    \
        { .name = "max-samples",                                                                                  \
          .type = PSA_OPT_COUNT,                                                                                  \
          .offset = (at) + offsetof(struct psa_window_config, max_samples),                                       \
          .metavar = "N",                                                                                         \
          .initial = "100000",                                                                                    \
          .min = 1,                                                                                               \
          .max = 100000000,                                                                                       \
          .needs = "length|session|rolling",                                                                      \
          .help = "samples held for one key; beyond it the oldest are left out, and a session is cut in two" },

/* Were windows asked for? */
static inline bool psa_window_is_asked(const struct psa_window_config *config)
{
    return config->length.value || config->session_ns;
}

/* Fill in what was left out and refuse what cannot be. */
int psa_window_check(struct psa_window_config *config, struct psa_error *error);

#endif
