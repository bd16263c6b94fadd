/*
 * rolling.h - statistics of the last samples of a stream, over any number of windows at once, by count or by time.
 *
 * Insertion and expiry cost O(1) amortised, O(log n) expected for the quantiles, whatever the window's length; one
 * sample in so many costs O(length), when a stack is turned over. The windows share one ring of samples; each keeps
 * beside it only what its statistics need:
 *
 * - Mean, variance and slope: a queue made of two stacks (Two-Stacks in Tangwongsan, Hirzel and Schneider, Low-Latency
 *   Sliding-Window Aggregation in Worst-Case Constant Time, DEBS 2017, doi:10.1145/3093742.3093925) of aggregates (n,
 *   mean, M2 = sum (x - mean)^2, C = sum (t - mean_t)(x - mean), T2 = sum (t - mean_t)^2), which merge as (Chan, Golub
 *   and LeVeque, The American Statistician 37(3), 1983, equations 2.1, there in sums,
 *   doi:10.1080/00031305.1983.10483115; C likewise: Pebay, Sandia report SAND2008-6212, 2008, the pairwise update of
 *   the covariance, doi:10.2172/1028931)
 *
 *       n = na + nb,   d = mean_b - mean_a,   e = mean_t_b - mean_t_a,   mean = mean_a + d nb / n
 *       M2 = M2_a + M2_b + d^2 na nb / n,   C = C_a + C_b + d e na nb / n,   T2 = T2_a + T2_b + e^2 na nb / n
 *
 *   and by count, where t = 0 .. n-1: e = n / 2 and T2 = n (n^2 - 1) / 12.
 * - Minimum and maximum: monotone queues (Lemire, Streaming Maximum-Minimum Filter Using No More than Three Comparisons
 *   per Element, Nordic Journal of Computing 13(4), 2006, arXiv:cs/0610046), exact.
 * - Median and quantiles: an order-statistic tree (dsp/order_set.h), exact.
 * - Exponential mean: one number, without a window.
 *
 * Why nothing drifts. Every aggregate is made by merging samples that are in the window as long as the aggregate is
 * used, and nothing is ever subtracted from one: the front stack holds, for its i + 1 newest samples, the aggregate of
 * exactly these, made at turning over from the samples themselves, so dropping the oldest sample is dropping the last
 * aggregate; the back stack's only grows, and is thrown away when the stack is turned over. So a result is a function
 * of the samples in the window and of where the stacks meet, with at most n + 1 merges behind it, after 10^8 samples as
 * after the first n: a rounding error, however large the sample that made it, leaves with that sample. And values count
 * from a sample of the stack itself (its newest in front, its oldest at the back), so that an offset a million times
 * the spread takes no digits from the variance; that sample, too, is in the window as long as the stack's aggregates
 * are used.
 */
#ifndef PSA_DSP_ROLLING_H
#define PSA_DSP_ROLLING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dsp/order_set.h"

/* What a window can be asked for: each part costs time and memory only where it is asked for. */
enum psa_rolling_part {
    PSA_ROLLING_MEAN = 1,
    PSA_ROLLING_VAR = 2, /* with the mean */
    PSA_ROLLING_SLOPE = 4,
    PSA_ROLLING_MIN = 8,
    PSA_ROLLING_MAX = 16,
    PSA_ROLLING_ORDER = 32, /* median and quantiles */
    PSA_ROLLING_EWMA = 64
};

/* The longest window, in samples. */
#define PSA_ROLLING_COUNT_MAX ((size_t)100000000)

struct psa_rolling_spec {
    size_t count; /* 1 .. PSA_ROLLING_COUNT_MAX: so many samples at most; of more the oldest leave */
    int64_t
        span_ns; /* > 0: those newer than now - span_ns, now being the time of the last push or advance; 0: by count */
    unsigned parts; /* a set of enum psa_rolling_part, not empty */
};

/* Of some samples, counted from a sample of them. */
struct psa_rolling_sum {
    double n, mean, m2; /* mean - shift */
    double c, mean_t, t2;
    double shift;
    int64_t shift_ns;
};

struct psa_rolling_queue {
    uint32_t *at; /* ring of the samples' numbers, lowest 32 bits */
    size_t begin, n;
};

/* Samples [first, middle) are in the front stack, [middle, end) in the back one; the ring's end is every window's. */
struct psa_rolling_window {
    uint64_t first, middle;
    size_t cap;    /* of the queues and the order set: a power of two */
    double *front; /* [middle - first][width]: mean, then M2, C, mean_t, T2 as far as asked for */
    size_t cap_front;
    double shift_front;
    int64_t shift_front_ns;
    struct psa_rolling_sum back;
    struct psa_rolling_queue least, greatest;
    struct psa_order_set order;
    double ewma; /* NaN before the first sample */
};

struct psa_rolling {
    const struct psa_rolling_spec *spec; /* [n_window], the caller's */
    struct psa_rolling_window *window;   /* [n_window] */
    size_t n_window;
    double *x;           /* ring of the samples [begin, end), sample i at i % cap */
    int64_t *time_ns;    /* likewise; NULL when no window asks for time */
    size_t cap;          /* a power of two, or 0 */
    uint64_t begin, end; /* begin may be behind what the windows need */
    bool timed;
    int64_t newest_ns; /* of the newest sample */
    uint64_t cut;      /* samples that left a window by time early, because it held `count`; the caller may clear it */
};

/* Empty windows as `spec` says, which must outlive them. -1 when memory is out or a spec is impossible: then only
 * psa_rolling_free is allowed. Memory for samples is taken as they come (at once in windows by count of 4096 or fewer),
 * up to twice what the windows hold: 8 bytes a sample (16 with time), and in each window 8 for the mean, 16 with the
 * variance, 8 more for the slope (24 by time), 4 for each of minimum and maximum, 20 for the quantiles. */
int psa_rolling_init(struct psa_rolling *rolling, const struct psa_rolling_spec *spec, size_t n_window);
void psa_rolling_free(struct psa_rolling *rolling);

/*
 * Put a sample in; each window loses what is too old or too many. x is finite: a missing sample is not pushed, but time
 * may advance without one. time_ns never runs backwards; it means nothing when no window asks for time. -1 when
 * memory is out: then only psa_rolling_free is allowed.
 */
int psa_rolling_push(struct psa_rolling *rolling, double x, int64_t time_ns);
int psa_rolling_advance(struct psa_rolling *rolling, int64_t time_ns);

/* How many samples are in a window that is asked for more than PSA_ROLLING_EWMA. */
size_t psa_rolling_count(const struct psa_rolling *rolling, size_t window);

/* Of a window's samples, NaN where it was not asked for or there is none. var is the population's (divided by n); slope
 * is that of the least-squares line, per sample by count (NaN for n < 2), per second by time (NaN when all are of one
 * time). */
struct psa_rolling_summary {
    size_t n;
    double mean, var, slope;
    double deviation; /* newest sample - mean, with the digits that a large mean has not; with the variance */
};
void psa_rolling_summarise(const struct psa_rolling *rolling, size_t window, struct psa_rolling_summary *summary);

/* NaN of an empty window. */
double psa_rolling_min(const struct psa_rolling *rolling, size_t window);
double psa_rolling_max(const struct psa_rolling *rolling, size_t window);
/* The middle sample, or the mean of the middle two, as numpy.median. */
double psa_rolling_median(const struct psa_rolling *rolling, size_t window);
/* At level 0 .. 1, linear between neighbours, as numpy.quantile: Hyndman and Fan's type 7 (dsp/quantile.h). */
double psa_rolling_quantile(const struct psa_rolling *rolling, size_t window, double level);

/* The exponential mean y += a (x - y) of all samples, from the first on; by count with a = 2 / (count + 1), as pandas'
 * ewm(span=count, adjust=False, ignore_na=True).mean(), by time with a = 1 - exp(-dt / span), dt the time since the
 * sample before. NaN before the first. */
double psa_rolling_ewma(const struct psa_rolling *rolling, size_t window);

/* ---- saving -------------------------------------------------------------------------------------------------------------- */

/* How many samples the longest window holds; the i-th of these, oldest first, and its time. */
size_t psa_rolling_held(const struct psa_rolling *rolling);
double psa_rolling_sample(const struct psa_rolling *rolling, size_t i);
int64_t psa_rolling_sample_ns(const struct psa_rolling *rolling, size_t i);

/* Of a window: how many samples it has, how many of them are in the back stack, its exponential mean. */
struct psa_rolling_mark {
    size_t n, n_back;
    double ewma;
};
struct psa_rolling_mark psa_rolling_mark_of(const struct psa_rolling *rolling, size_t window);

/*
 * Give freshly initialised windows the content that others of the same specs had: samples x[n] (and their times, where
 * time is asked for), a mark for each window, and the newest sample's time. All later results have the bits that the
 * others' would have had, for everything else follows from these. false when memory is out or the content cannot be one
 * of such windows: then only psa_rolling_free is allowed.
 */
bool psa_rolling_restore(struct psa_rolling *rolling, const double *x, const int64_t *time_ns, size_t n,
                         const struct psa_rolling_mark *mark, int64_t newest_ns);

#endif
