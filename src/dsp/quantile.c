/* quantile.c - see quantile.h. Sorting is quicksort by the median of three, heapsort where that goes too deep, and
 * insertion for short runs. */
#include "dsp/quantile.h"

#include <math.h>

/* Runs up to this length are left to insertion. */
enum { SHORT_RUN = 24 };

static void insert_sort(double *x, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        double value = x[i];
        size_t at = i;
        for (; at > 0 && value < x[at - 1]; at--) x[at] = x[at - 1];
        x[at] = value;
    }
}

/* Let x[at] sink until no child is larger, in a heap of n. */
static void sink(double *x, size_t n, size_t at)
{
    double value = x[at];
    for (size_t child = 2 * at + 1; child < n; child = 2 * at + 1) {
        if (child + 1 < n && x[child] < x[child + 1]) child++;
        if (!(value < x[child])) break;
        x[at] = x[child];
        at = child;
    }
    x[at] = value;
}

static void heap_sort(double *x, size_t n)
{
    for (size_t i = n / 2; i-- > 0;) sink(x, n, i);
    for (size_t last = n; last-- > 1;) {
        double greatest = x[0];
        x[0] = x[last];
        x[last] = greatest;
        sink(x, last, 0);
    }
}

static double median_of(double a, double b, double c)
{
    if (b < a) {
        double t = a;
        a = b;
        b = t;
    }
    return c < a ? a : c < b ? c : b;
}

/*
 * Hoare's partition: returns m with 0 < m < n, everything below m not greater than everything from m on. Samples
 * equal to the pivot are swapped too, so that a run of equals is halved. m > 0 because a pivot that is the median of
 * three has another sample not greater than it; m < n because i never passes the last sample swapped to the right.
 */
static size_t partition(double *x, size_t n)
{
    double pivot = median_of(x[0], x[n / 2], x[n - 1]);
    for (size_t i = 0, j = n - 1;; i++, j--) {
        while (x[i] < pivot) i++;
        while (pivot < x[j]) j--;
        if (i >= j) return i;
        double t = x[i];
        x[i] = x[j];
        x[j] = t;
    }
}

static void sort_depth(double *x, size_t n, int depth)
{
    while (n > SHORT_RUN) {
        if (depth-- == 0) {
            heap_sort(x, n);
            return;
        }
        size_t m = partition(x, n);
        if (m < n - m) {
            sort_depth(x, m, depth);
            x += m;
            n -= m;
        } else {
            sort_depth(x + m, n - m, depth);
            n = m;
        }
    }
    insert_sort(x, n);
}

void psa_sort(double *x, size_t n)
{
    int depth = 0;
    for (size_t left = n; left > 1; left /= 2) depth += 2;
    sort_depth(x, n, depth);
}

/* Put into x[at] what a sort would: nothing before it is greater, nothing behind it less. */
static void select_nth(double *x, size_t n, size_t at)
{
    int depth = 0;
    for (size_t left = n; left > 1; left /= 2) depth += 2;
    while (n > SHORT_RUN && depth-- > 0) {
        size_t m = partition(x, n);
        if (at < m) {
            n = m;
        } else {
            x += m;
            n -= m;
            at -= m;
        }
    }
    if (n > SHORT_RUN) heap_sort(x, n);
    else insert_sort(x, n);
}

double psa_median(double *x, size_t n)
{
    if (n == 0) return NAN;
    select_nth(x, n, n / 2);
    if (n % 2) return x[n / 2];
    double below = x[0];
    for (size_t i = 1; i < n / 2; i++)
        if (below < x[i]) below = x[i];
    return (below + x[n / 2]) / 2;
}

double psa_quantile_sorted(const double *sorted, size_t n, double q)
{
    if (n == 0 || isnan(q)) return NAN;
    double h = (double)(n - 1) * q;
    if (h >= (double)(n - 1)) return sorted[n - 1];
    if (!(h > 0.0)) return sorted[0];
    size_t below = (size_t)h;
    double t = h - (double)below;
    double a = sorted[below], b = sorted[below + 1];
    return t < 0.5 ? a + (b - a) * t : b - (b - a) * (1.0 - t);
}
