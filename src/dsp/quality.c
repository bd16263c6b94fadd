/* quality.c - see quality.h. */
#include "dsp/quality.h"

#include <math.h>
#include <stdbool.h>

double psa_stuck(const double *x, size_t n)
{
    if (n == 0) return NAN;
    size_t run = 1, longest = 1;
    for (size_t i = 1; i < n; i++) {
        run = x[i] == x[i - 1] ? run + 1 : 1;
        if (run > longest) longest = run;
    }
    return (double)longest / (double)n;
}

/* The samples in runs at the window's own ends. */
static size_t flat_tops(const double *x, size_t n)
{
    double min = x[0], max = x[0];
    for (size_t i = 1; i < n; i++) {
        if (x[i] < min) min = x[i];
        if (x[i] > max) max = x[i];
    }
    size_t clipped = 0, run = 0;
    for (size_t i = 0; i <= n; i++) {
        bool at_an_end = i < n && (x[i] == min || x[i] == max);
        bool goes_on = at_an_end && run > 0 && x[i] == x[i - 1];
        if (!goes_on) {
            if (run >= PSA_CLIPPED_RUN) clipped += run;
            run = 0;
        }
        if (at_an_end) run++;
    }
    return clipped;
}

double psa_clipped(const double *x, size_t n, double low, double high)
{
    if (n == 0) return NAN;
    size_t clipped = 0;
    if (isnan(low) && isnan(high)) {
        clipped = flat_tops(x, n);
    } else { /* a comparison with NaN is false */
        for (size_t i = 0; i < n; i++) clipped += (x[i] <= low) | (x[i] >= high);
    }
    return (double)clipped / (double)n;
}

double psa_dropout(size_t n_present, size_t n_expected)
{
    if (n_expected == 0) return NAN;
    return n_present >= n_expected ? 0.0 : (double)(n_expected - n_present) / (double)n_expected;
}
