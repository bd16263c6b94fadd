/*
 * rolling.h - mean, variance and standard deviation over the last `length` samples, O(1) amortised a sample, without
 * drift: nothing is ever subtracted, so no rounding outlives the window.
 *
 * The window is a queue made of two stacks (Two-Stacks in Tangwongsan, Hirzel and Schneider, Low-Latency Sliding-Window
 * Aggregation in Worst-Case Constant Time, DEBS 2017, doi:10.1145/3093742.3093925), of aggregates (n, mean, M2) with
 * M2 = sum (x - mean)^2, which merge as (Chan, Golub and LeVeque, The American Statistician 37(3), 1983, equations 2.1,
 * there in sums, doi:10.1080/00031305.1983.10483115)
 *
 *     n = na + nb,   d = mean_b - mean_a,   mean = mean_a + d nb / n,   M2 = M2_a + M2_b + d^2 na nb / n
 *
 * One sample in `length` costs O(length), when the front stack is empty and the back one is turned over into it.
 */
#ifndef PSA_DSP_ROLLING_H
#define PSA_DSP_ROLLING_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The raw layout, for saving: front_mean[n_front], front_m2[n_front] and back[n_back] are the whole content; everything
 * else follows from them. front_...[i] is the aggregate of the i + 1 newest of the front's samples, so the last one is
 * that of all, and dropping it drops the oldest sample. The front is empty until the window is full.
 */
struct psa_rolling {
    size_t length;
    size_t n_front, n_back;        /* n_front + n_back <= length */
    double *front_mean, *front_m2; /* [length] */
    double *back;                  /* [length] samples behind those of the front, oldest first */
    double back_mean, back_m2;     /* their aggregate */
};

/* An empty window of `length` samples; -1 when length is 0 or memory is out: then only psa_rolling_free is allowed. */
int psa_rolling_init(struct psa_rolling *rolling, size_t length);
void psa_rolling_free(struct psa_rolling *rolling);

/* Put a sample in; of more than `length` the oldest leaves. x is finite: a missing sample is not pushed. */
void psa_rolling_push(struct psa_rolling *rolling, double x);

/* Of the samples in the window; NaN when it is empty. Population variance (divided by the count). */
size_t psa_rolling_count(const struct psa_rolling *rolling);
double psa_rolling_mean(const struct psa_rolling *rolling);
double psa_rolling_var(const struct psa_rolling *rolling);
double psa_rolling_std(const struct psa_rolling *rolling);

/*
 * Give an initialised window the content that another one of the same length had: all later results have the bits that
 * the other's would have had. false, leaving the window empty, when the content cannot be one of such a window: counts
 * that do not fit, a negative M2, a sample that is not finite. Means and M2 of the front that are not finite are taken:
 * samples near the end of a double's range make them.
 */
bool psa_rolling_restore(struct psa_rolling *rolling, const double *front_mean, const double *front_m2, size_t n_front,
                         const double *back, size_t n_back);

#endif
