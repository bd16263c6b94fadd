/*
 * option.h - one table of descriptors per stage or program: it drives parsing (getopt_long), --help, and the test that
 * the manual page says the same.
 */
#ifndef PSA_CORE_OPTION_H
#define PSA_CORE_OPTION_H

#include "core/buf.h"
#include "psa.h"

enum psa_option_type {
    PSA_OPT_END,
    PSA_OPT_FLAG,     /* bool */
    PSA_OPT_TEXT,     /* const char *, pointing at the argument */
    PSA_OPT_COUNT,    /* int64_t in [min, max] */
    PSA_OPT_REAL,     /* double in [min, max] */
    PSA_OPT_DURATION, /* int64_t nanoseconds: 250ms, 1.5s, 5m, 2h, 1d; a bare number means seconds; in [min, max] ns */
    PSA_OPT_RATE,     /* double Hz: 10, 10Hz, 1.5kHz; in [min, max] */
    PSA_OPT_SIZE,     /* int64_t bytes: 512, 64KiB, 1MiB, 2GiB, 1kB, 1MB; in [min, max] */
    PSA_OPT_SPAN,     /* struct psa_span: 100 is a count, 1s a duration; 1.5 is neither */
    PSA_OPT_CALL,     /* take() is called at each use, in the order given */
    PSA_OPT_ASK       /* a question like --help: parsing stops, and the caller answers it and exits */
};

struct psa_span {
    bool by_count;
    int64_t value; /* a count, or nanoseconds; 0: not given */
};

struct psa_option {
    const char *name; /* long option without dashes */
    char letter;      /* short option, or 0 */
    enum psa_option_type type;
    size_t offset;       /* of the variable within the config struct */
    const char *metavar; /* "HZ"; NULL for flags */
    const char *initial; /* default, as one would type it; NULL: none */
    const char *help;    /* one sentence, lower case, no full stop */
    double min, max;     /* limits, ignored when both are 0 */
    /* PSA_OPT_CALL: value is NULL for one without metavar. -1 with *error set refuses it. */
    int (*take)(void *config, const struct psa_option *option, const char *value, struct psa_error *error);
    /* Names of options, one or several, a|b; NULL: none. It means nothing without any of those that the program has / beside
     * any of those. */
    const char *needs, *not_with;
    size_t given; /* of a bool in the config struct that tells a default from the same value typed; 0: there is none */
    bool free_of_state; /* does not change what a saved state means; state files ignore it */
    char asks;          /* PSA_OPT_ASK: what *asked becomes */
};

/* A table and the struct that its offsets lie in. */
struct psa_option_set {
    const struct psa_option *table; /* ended by PSA_OPT_END */
    void *config;
};

/* Apply every default of the tables. */
int psa_options_default(const struct psa_option_set *set, size_t n_set, struct psa_error *error);

/*
 * Apply defaults, then parse. argv is permuted so that operands come last; *operand is the index of the first. --help
 * and --version are handled by the caller: *asked becomes 'h' or 'V' (or what a PSA_OPT_ASK asks) and parsing stops.
 * `canonical` (may be NULL)
 * receives a text of every option that gives state its meaning, with the values in force.
 */
int psa_options_parse(const struct psa_option_set *set, size_t n_set, int argc, char **argv, int *operand, char *asked,
                      struct psa_buf *canonical, struct psa_error *error);

/* Read one option's value into its variable in config; messages begin with `what`: "--rate", "mpu6050: accel". */
int psa_option_store(const struct psa_option *option, void *config, const char *what, const char *text,
                     struct psa_error *error);

/* The lines of --help for options that stand in an argument: `name=METAVAR  what it is for (default: ...)`. */
void psa_options_list(const struct psa_option *table, struct psa_buf *out);

/* The whole --help text. `usage` is what follows the program's name. */
void psa_options_help(const struct psa_option_set *set, size_t n_set, const char *name, const char *usage,
                      const char *summary, struct psa_buf *out);

/* The next item of a list with commas between that ends at `end` (NULL: at its NUL), cut out of *list, which becomes NULL
 * behind the last; .p == NULL at the end. An empty list has one empty item. */
struct psa_str psa_list_next(const char **list, const char *end);

/* Parse a value of the kinds above; -1 with a message that names `what`. */
int psa_parse_duration(const char *text, const char *what, int64_t *ns, struct psa_error *error);
int psa_parse_rate(const char *text, const char *what, double *hz, struct psa_error *error);
int psa_parse_size(const char *text, const char *what, int64_t *bytes, struct psa_error *error);
int psa_parse_span(const char *text, const char *what, struct psa_span *span, struct psa_error *error);
int psa_parse_count(const char *text, const char *what, int64_t *value, struct psa_error *error);
/* A list like 5,8,12 of different counts from min to max into value[*n], at most `most` of them. */
int psa_parse_counts(const char *text, const char *what, int64_t min, int64_t max, int64_t *value, size_t *n,
                     size_t most, struct psa_error *error);
int psa_parse_real(const char *text, const char *what, double *value, struct psa_error *error);

#endif
