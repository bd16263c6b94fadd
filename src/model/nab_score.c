/* nab_score.c - see nab_score.h. */
#include "model/nab_score.h"

#include <math.h>
#include <stdlib.h>

#define PROBATION_SHARE 0.15 /* of a stream's rows, */
#define PROBATION_ROWS 5000  /* of which at most so many count */
#define FAR_BEHIND 3.0       /* window widths behind a window from where a false positive costs all of its weight */

const struct psa_nab_profile psa_nab_profile[PSA_NAB_PROFILES] = {
    { "standard", 1.0, 0.11, 1.0 },
    { "reward_low_FP_rate", 1.0, 0.22, 1.0 },
    { "reward_low_FN_rate", 1.0, 0.11, 2.0 },
};

double psa_nab_sigmoid(double y)
{
    return y > FAR_BEHIND ? -1.0 : 2.0 / (1.0 + exp(5.0 * y)) - 1.0;
}

size_t psa_nab_probation(size_t n)
{
    double rows = floor(PROBATION_SHARE * (double)n), most = PROBATION_SHARE * PROBATION_ROWS;

    return (size_t)(rows < most ? rows : most);
}

/* Rows of a window, as the numbers that a position is made of. */
static double width(struct psa_range window)
{
    return (double)(window.last - window.first + 1);
}

static double worth_within(struct psa_range window, size_t i)
{
    return psa_nab_sigmoid(-(double)(window.last - i + 1) / width(window)) / psa_nab_sigmoid(-1.0);
}

static double worth_behind(struct psa_range window, size_t i)
{
    if (window.last == window.first) return -1.0;
    return psa_nab_sigmoid((double)(i - window.last) / (width(window) - 1.0));
}

size_t psa_nab_rows(const double *score, const bool *predicted, size_t n, const struct psa_range *window,
                    size_t n_window, size_t *windows, struct psa_nab_row *row)
{
    const size_t from = psa_nab_probation(n);
    size_t at = 0, base = *windows, skipped = 0; /* at: the first window that has not ended */

    while (skipped < n_window && window[skipped].last < from) skipped++;
    for (size_t i = from; i < n; i++) {
        struct psa_nab_row *out = &row[i - from];

        while (at < n_window && window[at].last < i) at++;
        *out = (struct psa_nab_row){ score[i], -1.0, PSA_NAB_NO_WINDOW, predicted[i] };
        if (at < n_window && window[at].first <= i) {
            out->worth = worth_within(window[at], i);
            out->window = base + at - skipped;
        } else if (at > 0) {
            out->worth = worth_behind(window[at - 1], i);
        }
    }
    *windows += n_window - skipped;
    return n - from;
}

static void start(const struct psa_nab_profile *profile, size_t windows, double *best)
{
    for (size_t w = 0; w < windows; w++) best[w] = -profile->fn;
}

/* The row is predicted: how much that changes the score. */
static double gain(const struct psa_nab_profile *profile, const struct psa_nab_row *row, double *best)
{
    double worth = row->worth * profile->tp, before;

    if (row->window == PSA_NAB_NO_WINDOW) return row->worth * profile->fp;
    before = best[row->window];
    if (worth <= before) return 0.0;
    best[row->window] = worth;
    return worth - before;
}

double psa_nab_score(const struct psa_nab_profile *profile, const struct psa_nab_row *row, size_t n, size_t windows,
                     double *best)
{
    double score = -profile->fn * (double)windows;

    start(profile, windows, best);
    for (size_t i = 0; i < n; i++)
        if (row[i].predicted) score += gain(profile, &row[i], best);
    return score;
}

/* Rows of one score are ordered too: the sum of what they are worth is rounded the same on every machine. */
static int compare_rows(const void *a, const void *b)
{
    const struct psa_nab_row *x = a, *y = b;

    if (x->score != y->score) return x->score < y->score ? 1 : -1;
    if (x->worth != y->worth) return x->worth < y->worth ? 1 : -1;
    return (x->window > y->window) - (x->window < y->window);
}

void psa_nab_sort(struct psa_nab_row *row, size_t n)
{
    qsort(row, n, sizeof *row, compare_rows);
}

double psa_nab_best(const struct psa_nab_profile *profile, const struct psa_nab_row *sorted, size_t n, size_t windows,
                    double *best, double *threshold)
{
    double score = -profile->fn * (double)windows, greatest = score;

    *threshold = INFINITY;
    start(profile, windows, best);
    for (size_t i = 0; i < n && sorted[i].score > -INFINITY;) {
        double at = sorted[i].score;

        for (; i < n && sorted[i].score == at; i++) score += gain(profile, &sorted[i], best);
        if (score <= greatest) continue;
        greatest = score;
        *threshold = at;
    }
    return greatest;
}

double psa_nab_normalise(const struct psa_nab_profile *profile, double score, size_t windows)
{
    double null = -profile->fn * (double)windows, perfect = profile->tp * (double)windows;

    return windows > 0 ? 100.0 * (score - null) / (perfect - null) : NAN;
}
