/*
 * test_rolling.c - dsp/rolling: every statistic against brute force over every shape of stream, by count and by time,
 * for ever, and across a restore.
 *
 *     test_rolling [SAMPLES]      of the drift test: a million, or as many as one has the patience for
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dsp/quantile.h"
#include "dsp/rolling.h"
#include "golden.h"

enum shape { RANDOM, CONSTANT, BIG_OFFSET, SPIKES, RAMP, TIED, SORTED, REVERSED, SHAPES };
enum { ALL = 127, LONGEST = 256 };

static double uniform(uint64_t t)
{
    uint64_t bits = (t + 1) * 0x9E3779B97F4A7C15u; /* splitmix64, Steele, Lea and Flood 2014 */
    bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9u;
    bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBu;
    return (double)((bits ^ (bits >> 31)) >> 11) * 0x1p-53;
}

/* Sample t of a stream; the same t gives the same sample. */
static double sample(enum shape shape, size_t t)
{
    double random = uniform(t);
    switch (shape) {
    case RANDOM: return random * 2.0 - 1.0;
    case BIG_OFFSET: return 1e9 + random * 1e-3;
    case SPIKES: return t % 97 == 50 ? 1e12 : random;
    case RAMP: return 0.25 * (double)t + random;
    case TIED: return (double)(int)(random * 5.0);
    case SORTED: return (double)t;
    case REVERSED: return -(double)t;
    default: return 0.1;
    }
}

/* Times that stand still, step, and leap; never back. */
static int64_t time_of(size_t t)
{
    int64_t ns = 1710000000000000000;
    for (size_t i = 1; i <= t; i++)
        ns += i % 7 == 0 ? 0 : i % 131 == 0 ? 4000000000 : 1000000 + (int64_t)(uniform(i) * 9e6);
    return ns;
}

static struct psa_rolling_summary summary_of(const struct psa_rolling *rolling, size_t window)
{
    struct psa_rolling_summary summary;
    psa_rolling_summarise(rolling, window, &summary);
    return summary;
}

/* The window's samples and times, oldest first, as whoever knows the whole stream picks them. */
struct picked {
    double x[LONGEST];
    int64_t ns[LONGEST];
    size_t n;
};

static struct picked pick(const struct psa_rolling_spec *spec, enum shape shape, size_t t, const int64_t *ns)
{
    struct picked picked = { .n = 0 };
    size_t first = t + 1;
    while (first > 0 && t + 1 - first < spec->count && (spec->span_ns == 0 || ns[first - 1] > ns[t] - spec->span_ns))
        first--;
    for (; first <= t; first++) {
        picked.x[picked.n] = sample(shape, first);
        picked.ns[picked.n++] = ns[first];
    }
    return picked;
}

/* In 64 bits of mantissa and two passes. What a window holds costs the digits that its largest value has over its
 * spread: the condition number of the standard deviation (Chan et al. 1983); nothing that has left may cost any. */
static void sums_agree(const struct psa_rolling *rolling, size_t at, const struct picked *p)
{
    bool by_time = rolling->spec[at].span_ns > 0;
    long double mean = 0, var = 0, mean_t = 0, t2 = 0, c = 0, n = (long double)p->n;
    struct psa_rolling_summary got = summary_of(rolling, at);
    for (size_t i = 0; i < p->n; i++) {
        mean += ((long double)p->x[i] - (long double)p->x[0]) / n;
        mean_t += (by_time ? (long double)(p->ns[i] - p->ns[0]) / 1e9L : (long double)i) / n;
    }
    for (size_t i = 0; i < p->n; i++) {
        long double d = (long double)p->x[i] - (long double)p->x[0] - mean;
        long double e = (by_time ? (long double)(p->ns[i] - p->ns[0]) / 1e9L : (long double)i) - mean_t;
        var += d * d / n;
        t2 += e * e / n;
        c += d * e / n;
    }
    long double deviation = (long double)p->x[p->n - 1] - (long double)p->x[0] - mean;
    mean += (long double)p->x[0];
    assert_int_equal(got.n, p->n);
    assert_near(got.mean, (double)mean, 2e-16 + 1e-13 * (double)sqrtl(var) / (1.0 + (double)fabsl(mean)));
    double spread = var > 0 ? (double)var : 1.0;
    assert_near(got.deviation / sqrt(spread), (double)(deviation / sqrtl(spread)), 1e-12);
    assert_near(got.var / spread, (double)var / spread, 1e-12);
    if (p->n < 2 || p->ns[0] == p->ns[p->n - 1]) {
        if (by_time || p->n < 2) assert_true(isnan(got.slope));
        return;
    }
    double steepest = (double)sqrtl(var / t2); /* the slope is at most this */
    if (steepest == 0.0) assert_true(got.slope == 0.0);
    else assert_near(got.slope / steepest, (double)(c / t2) / steepest, 1e-12);
}

static void order_agrees(const struct psa_rolling *rolling, size_t at, struct picked *p)
{
    static const double levels[] = { 0.0, 0.05, 0.25, 0.5, 0.95, 0.999, 1.0 };
    size_t n = p->n;
    assert_true(n > 0);
    psa_sort(p->x, n);
    assert_true(psa_rolling_min(rolling, at) == p->x[0]);
    assert_true(psa_rolling_max(rolling, at) == p->x[n - 1]);
    assert_true(psa_rolling_median(rolling, at) == (n % 2 ? p->x[n / 2] : (p->x[n / 2 - 1] + p->x[n / 2]) / 2.0));
    for (size_t i = 0; i < COUNT(levels); i++)
        assert_true(psa_rolling_quantile(rolling, at, levels[i]) == psa_quantile_sorted(p->x, n, levels[i]));
}

static const struct psa_rolling_spec counts[] = { { 1, 0, ALL },  { 2, 0, ALL },  { 3, 0, ALL },
                                                  { 10, 0, ALL }, { 64, 0, ALL }, { 101, 0, ALL } };
static const struct psa_rolling_spec spans[] = { { LONGEST, 1, ALL },
                                                 { LONGEST, 20000000, ALL },
                                                 { LONGEST, 300000000, ALL },
                                                 { 20, 300000000, ALL }, /* more than 20 in it: the newest 20 */
                                                 { LONGEST, 500000000, ALL } };

static void brute_force(const struct psa_rolling_spec *spec, size_t n_spec, size_t n)
{
    int64_t *ns = malloc(n * sizeof *ns);
    for (size_t t = 0; t < n; t++) ns[t] = time_of(t);
    for (int shape = 0; shape < SHAPES; shape++) {
        struct psa_rolling rolling;
        assert_int_equal(psa_rolling_init(&rolling, spec, n_spec), 0);
        for (size_t at = 0; at < n_spec; at++) {
            assert_true(isnan(summary_of(&rolling, at).mean));
            assert_true(isnan(psa_rolling_min(&rolling, at)) && isnan(psa_rolling_max(&rolling, at)));
            assert_true(isnan(psa_rolling_median(&rolling, at)) && isnan(psa_rolling_quantile(&rolling, at, 0.5)));
        }
        for (size_t t = 0; t < n; t++) {
            assert_int_equal(psa_rolling_push(&rolling, sample((enum shape)shape, t), ns[t]), 0);
            for (size_t at = 0; at < n_spec; at++) {
                struct picked p = pick(&spec[at], (enum shape)shape, t, ns);
                sums_agree(&rolling, at, &p);
                order_agrees(&rolling, at, &p);
            }
        }
        psa_rolling_free(&rolling);
    }
    free(ns);
}

static void counts_agree_with_brute_force(void **state)
{
    (void)state;
    brute_force(counts, COUNT(counts), 700);
}

static void spans_agree_with_brute_force(void **state)
{
    (void)state;
    brute_force(spans, COUNT(spans), 700);
}

static void time_advances_without_samples(void **state)
{
    (void)state;
    static const struct psa_rolling_spec spec[] = { { 100, 10, ALL }, { 3, 0, ALL } };
    struct psa_rolling rolling;
    assert_int_equal(psa_rolling_init(&rolling, spec, 2), 0);
    for (int t = 0; t < 5; t++) assert_int_equal(psa_rolling_push(&rolling, t, t), 0);
    assert_int_equal(psa_rolling_count(&rolling, 0), 5);
    assert_int_equal(psa_rolling_advance(&rolling, 9), 0);
    assert_int_equal(psa_rolling_count(&rolling, 0), 5);
    assert_int_equal(psa_rolling_advance(&rolling, 10), 0); /* half-open: a sample as old as the span is out */
    assert_int_equal(psa_rolling_count(&rolling, 0), 4);
    assert_true(psa_rolling_min(&rolling, 0) == 1 && summary_of(&rolling, 0).mean == 2.5);
    assert_int_equal(psa_rolling_advance(&rolling, 14), 0);
    assert_int_equal(psa_rolling_count(&rolling, 0), 0);
    assert_true(isnan(psa_rolling_median(&rolling, 0)) && isnan(summary_of(&rolling, 0).var));
    assert_int_equal(psa_rolling_count(&rolling, 1), 3);
    assert_true(psa_rolling_median(&rolling, 1) == 3);
    assert_int_equal(psa_rolling_push(&rolling, 7, 15), 0);
    assert_true(summary_of(&rolling, 0).mean == 7 && summary_of(&rolling, 0).var == 0);
    assert_true(rolling.cut == 0);
    psa_rolling_free(&rolling);
}

/* What is at the far ends of time must not overflow. */
static void all_of_time(void **state)
{
    (void)state;
    static const struct psa_rolling_spec spec = { 10, INT64_MAX, ALL };
    struct psa_rolling rolling;
    assert_int_equal(psa_rolling_init(&rolling, &spec, 1), 0);
    assert_int_equal(psa_rolling_push(&rolling, 1.0, INT64_MIN), 0);
    assert_int_equal(psa_rolling_push(&rolling, 2.0, -2), 0);
    assert_int_equal(psa_rolling_count(&rolling, 0), 2);
    assert_near(summary_of(&rolling, 0).slope * 0x1p63 / 1e9, 1.0, 1e-15);
    assert_int_equal(psa_rolling_push(&rolling, 3.0, INT64_MAX), 0);
    assert_int_equal(psa_rolling_count(&rolling, 0), 1);
    psa_rolling_free(&rolling);
}

static void more_than_count_are_cut(void **state)
{
    (void)state;
    static const struct psa_rolling_spec spec = { 4, 1000, ALL };
    struct psa_rolling rolling;
    assert_int_equal(psa_rolling_init(&rolling, &spec, 1), 0);
    for (int t = 0; t < 10; t++) assert_int_equal(psa_rolling_push(&rolling, t, t), 0);
    assert_int_equal(psa_rolling_count(&rolling, 0), 4);
    assert_true(rolling.cut == 6 && psa_rolling_min(&rolling, 0) == 6);
    psa_rolling_free(&rolling);
}

/* What is not asked for costs nothing and says nothing. */
static void parts_are_apart(void **state)
{
    (void)state;
    for (unsigned parts = 1; parts <= ALL; parts++) {
        struct psa_rolling_spec spec[] = { { 10, 0, parts }, { 50, 5000, parts } };
        struct psa_rolling rolling, all;
        struct psa_rolling_spec full[] = { { 10, 0, ALL }, { 50, 5000, ALL } };
        assert_int_equal(psa_rolling_init(&rolling, spec, 2), 0);
        assert_int_equal(psa_rolling_init(&all, full, 2), 0);
        for (size_t t = 0; t < 200; t++) {
            assert_int_equal(psa_rolling_push(&rolling, sample(RANDOM, t), (int64_t)t * 150), 0);
            assert_int_equal(psa_rolling_push(&all, sample(RANDOM, t), (int64_t)t * 150), 0);
        }
        for (size_t at = 0; at < 2; at++) {
            struct psa_rolling_summary got = summary_of(&rolling, at), want = summary_of(&all, at);
            if (parts & PSA_ROLLING_MEAN) assert_true(got.mean == want.mean);
            if (parts & PSA_ROLLING_VAR) assert_true(got.var == want.var);
            else assert_true(isnan(got.var));
            if (parts & PSA_ROLLING_SLOPE) assert_true(got.slope == want.slope);
            else assert_true(isnan(got.slope));
            if (parts & PSA_ROLLING_MIN) assert_true(psa_rolling_min(&rolling, at) == psa_rolling_min(&all, at));
            else assert_true(isnan(psa_rolling_min(&rolling, at)));
            if (parts & PSA_ROLLING_MAX) assert_true(psa_rolling_max(&rolling, at) == psa_rolling_max(&all, at));
            else assert_true(isnan(psa_rolling_max(&rolling, at)));
            if (parts & PSA_ROLLING_ORDER)
                assert_true(psa_rolling_median(&rolling, at) == psa_rolling_median(&all, at));
            else assert_true(isnan(psa_rolling_median(&rolling, at)));
            if (parts & PSA_ROLLING_EWMA) assert_true(psa_rolling_ewma(&rolling, at) == psa_rolling_ewma(&all, at));
            else assert_true(isnan(psa_rolling_ewma(&rolling, at)));
        }
        psa_rolling_free(&rolling);
        psa_rolling_free(&all);
    }
}

static void ewma_is_what_it_is_called(void **state)
{
    (void)state;
    static const struct psa_rolling_spec spec[] = { { 9, 0, PSA_ROLLING_EWMA }, { 9, 2000000000, PSA_ROLLING_EWMA } };
    struct psa_rolling rolling;
    double by_count = 5.0, last = 5.0;
    assert_int_equal(psa_rolling_init(&rolling, spec, 2), 0);
    assert_true(isnan(psa_rolling_ewma(&rolling, 0)) && isnan(psa_rolling_ewma(&rolling, 1)));
    assert_int_equal(psa_rolling_push(&rolling, 5.0, 0), 0);
    assert_true(psa_rolling_ewma(&rolling, 0) == 5.0 && psa_rolling_ewma(&rolling, 1) == 5.0);
    for (int t = 1; t <= 200; t++) { /* a step from 5 to 1 decays as exp(-t / 2 s), sampled unevenly */
        assert_int_equal(psa_rolling_push(&rolling, 1.0, (int64_t)t * t * 1000000), 0);
        by_count = by_count * 0.8 + 1.0 * 0.2;
        last = 1.0 + 4.0 * exp(-(double)(t * t) * 1e-3 / 2.0);
        assert_near(psa_rolling_ewma(&rolling, 0), by_count, 1e-14);
        assert_near(psa_rolling_ewma(&rolling, 1), last, 1e-14);
    }
    assert_int_equal(psa_rolling_push(&rolling, 1.7e308, INT64_MAX), 0);
    assert_int_equal(psa_rolling_push(&rolling, -1.7e308, INT64_MAX), 0);
    assert_true(isfinite(psa_rolling_ewma(&rolling, 0)) && isfinite(psa_rolling_ewma(&rolling, 1)));
    psa_rolling_free(&rolling);
}

static size_t drift_samples = 1000000;

/* An offset of 1e9 with noise of 1, and bursts of 1e12: whatever has been, at the end a window says what a fresh
 * computation of its samples says. */
static double drifting(size_t t)
{
    return t % 1009 < 3 ? 1e12 * (uniform(t) - 0.5) : 1e9 + uniform(t);
}

static void many_samples_leave_no_drift(void **state)
{
    (void)state;
    static const struct psa_rolling_spec spec[] = { { 7, 0, ALL }, { 100, 0, ALL }, { LONGEST, 0, ALL } };
    struct psa_rolling rolling;
    size_t checked = 0;
    assert_int_equal(psa_rolling_init(&rolling, spec, COUNT(spec)), 0);
    for (size_t t = 0; t < drift_samples; t++) {
        assert_int_equal(psa_rolling_push(&rolling, drifting(t), 0), 0);
        if (t < LONGEST || (t % 9973 != 0 && t + 3000 < drift_samples)) continue;
        for (size_t at = 0; at < COUNT(spec); at++) {
            struct picked p = { .n = spec[at].count };
            for (size_t i = 0; i < p.n; i++) p.x[i] = drifting(t + 1 - p.n + i);
            sums_agree(&rolling, at, &p);
            order_agrees(&rolling, at, &p);
            checked++;
        }
    }
    assert_true(checked > 9000);
    psa_rolling_free(&rolling);
}

/* After any past, a window of equal samples has exactly their value and no spread. */
static void the_past_is_forgotten_exactly(void **state)
{
    (void)state;
    static const struct psa_rolling_spec spec = { 10, 0, ALL };
    struct psa_rolling rolling;
    assert_int_equal(psa_rolling_init(&rolling, &spec, 1), 0);
    for (size_t t = 0; t < 1003; t++) assert_int_equal(psa_rolling_push(&rolling, sample(SPIKES, t) * 1e3, 0), 0);
    for (int i = 0; i < 10; i++) assert_int_equal(psa_rolling_push(&rolling, 0.1, 0), 0);
    struct psa_rolling_summary got = summary_of(&rolling, 0);
    assert_true(got.mean == 0.1 && got.var == 0.0 && got.slope == 0.0);
    psa_rolling_free(&rolling);
}

/* Numbers of samples are kept in 32 bits in the queues; after 2^32 samples they begin again. */
static void numbers_wrap(void **state)
{
    (void)state;
    struct psa_rolling rolling;
    assert_int_equal(psa_rolling_init(&rolling, counts, COUNT(counts)), 0);
    rolling.begin = rolling.end = UINT32_MAX - 150u;
    for (size_t at = 0; at < COUNT(counts); at++) rolling.window[at].first = rolling.window[at].middle = rolling.end;
    int64_t ns[400] = { 0 };
    for (size_t t = 0; t < COUNT(ns); t++) {
        assert_int_equal(psa_rolling_push(&rolling, sample(RANDOM, t), 0), 0);
        for (size_t at = 0; at < COUNT(counts); at++) {
            struct picked p = pick(&counts[at], RANDOM, t, ns);
            order_agrees(&rolling, at, &p);
        }
    }
    assert_true(rolling.end > UINT32_MAX);
    psa_rolling_free(&rolling);
}

/* Twice as many samples take no more memory than the windows need. */
static void memory_is_bounded(void **state)
{
    (void)state;
    struct psa_rolling rolling;
    assert_int_equal(psa_rolling_init(&rolling, counts, COUNT(counts)), 0);
    for (size_t t = 0; t < 100000; t++) assert_int_equal(psa_rolling_push(&rolling, sample(RANDOM, t), 0), 0);
    assert_int_equal(rolling.cap, 128);
    for (size_t at = 0; at < COUNT(counts); at++) {
        assert_true(rolling.window[at].cap_front <= counts[at].count);
        assert_true(rolling.window[at].cap < 2 * counts[at].count);
        assert_int_equal(rolling.window[at].order.capacity, rolling.window[at].cap);
    }
    psa_rolling_free(&rolling);
}

/* ---- saving ------------------------------------------------------------------------------------------------------------ */

struct content {
    double x[LONGEST];
    int64_t ns[LONGEST];
    struct psa_rolling_mark mark[8];
    size_t n;
};

static struct content content_of(const struct psa_rolling *rolling)
{
    struct content content = { .n = psa_rolling_held(rolling) };
    for (size_t i = 0; i < content.n; i++) {
        content.x[i] = psa_rolling_sample(rolling, i);
        content.ns[i] = psa_rolling_sample_ns(rolling, i);
    }
    for (size_t at = 0; at < rolling->n_window; at++) content.mark[at] = psa_rolling_mark_of(rolling, at);
    return content;
}

static void say_all(const struct psa_rolling *rolling, size_t at, double says[9])
{
    struct psa_rolling_summary s = summary_of(rolling, at);
    double all[9] = { (double)s.n,
                      s.mean,
                      s.var,
                      s.slope,
                      psa_rolling_min(rolling, at),
                      psa_rolling_max(rolling, at),
                      psa_rolling_median(rolling, at),
                      psa_rolling_quantile(rolling, at, 0.95),
                      psa_rolling_ewma(rolling, at) };
    for (int i = 0; i < 9; i++) says[i] = isnan(all[i]) ? -77.0 : all[i];
}

static void restored_windows_go_on_bit_by_bit(void **state)
{
    (void)state;
    static const struct psa_rolling_spec spec[] = { { 7, 0, ALL },
                                                    { 40, 0, ALL },
                                                    { 20, 60000000, ALL },
                                                    { 5, 9000000, PSA_ROLLING_EWMA },
                                                    { 30, 100000000, PSA_ROLLING_MIN } };
    for (size_t cut = 0; cut < 120; cut++) {
        struct psa_rolling whole, half;
        assert_int_equal(psa_rolling_init(&whole, spec, COUNT(spec)), 0);
        assert_int_equal(psa_rolling_init(&half, spec, COUNT(spec)), 0);
        for (size_t t = 0; t < cut; t++)
            assert_int_equal(psa_rolling_push(&whole, sample(BIG_OFFSET, t), time_of(t)), 0);
        struct content content = content_of(&whole);
        assert_true(psa_rolling_restore(&half, content.x, content.ns, content.n, content.mark, whole.newest_ns));
        for (size_t t = cut; t < cut + 60; t++) {
            for (size_t at = 0; at < COUNT(spec); at++) {
                double of_whole[9], of_half[9];
                say_all(&whole, at, of_whole);
                say_all(&half, at, of_half);
                assert_memory_equal(of_whole, of_half, sizeof of_whole);
            }
            assert_int_equal(psa_rolling_push(&whole, sample(BIG_OFFSET, t), time_of(t)), 0);
            assert_int_equal(psa_rolling_push(&half, sample(BIG_OFFSET, t), time_of(t)), 0);
        }
        psa_rolling_free(&whole);
        psa_rolling_free(&half);
    }
}

static void impossible_content_is_refused(void **state)
{
    (void)state;
    static const struct psa_rolling_spec spec[] = { { 4, 100, ALL },
                                                    { 3, 0, PSA_ROLLING_MEAN },
                                                    { 9, 0, PSA_ROLLING_EWMA } };
    static const struct {
        bool good;
        double x[6];
        int64_t ns[6];
        size_t n;
        struct psa_rolling_mark mark[3];
        int64_t newest_ns;
    } table[] = {
        { true, { 1, 2, 3, 4 }, { 5, 5, 6, 7 }, 4, { { 4, 2, 1 }, { 3, 1, NAN }, { 0, 0, 2 } }, 7 },
        { true, { 1, 2, 3, 4 }, { 5, 5, 6, 7 }, 4, { { 4, 0, NAN }, { 0, 0, NAN }, { 0, 0, NAN } }, 9 },
        { true, { 0 }, { 0 }, 0, { { 0, 0, NAN }, { 0, 0, NAN }, { 0, 0, NAN } }, 0 },
        { false,
          { 1, 2, 3, 4 },
          { 5, 5, 6, 7 },
          4,
          { { 4, 2, 1 }, { 3, 1, NAN }, { 0, 0, 2 } },
          6 }, /* from later on */
        { false,
          { 1, 2, 3, 4 },
          { 5, 4, 6, 7 },
          4,
          { { 4, 2, 1 }, { 3, 1, NAN }, { 0, 0, 2 } },
          7 }, /* runs backwards */
        { false, { 1, 2, NAN, 4 }, { 5, 5, 6, 7 }, 4, { { 4, 2, 1 }, { 3, 1, NAN }, { 0, 0, 2 } }, 7 }, /* no number */
        { false,
          { 1, 2, 3, 4 },
          { 5, 5, 6, 7 },
          4,
          { { 3, 2, 1 }, { 3, 1, NAN }, { 0, 0, 2 } },
          7 }, /* one is nobody's */
        { false,
          { 1, 2, 3, 4 },
          { 5, 5, 6, 7 },
          4,
          { { 5, 2, 1 }, { 3, 1, NAN }, { 0, 0, 2 } },
          7 }, /* more than there are */
        { false,
          { 1, 2, 3, 4, 5 },
          { 5, 5, 6, 7, 7 },
          5,
          { { 5, 2, 1 }, { 3, 1, NAN }, { 0, 0, 2 } },
          7 }, /* than fit */
        { false, { 1, 2, 3, 4 }, { 5, 5, 6, 7 }, 4, { { 4, 5, 1 }, { 3, 1, NAN }, { 0, 0, 2 } }, 7 },
        { false, { 1, 2, 3, 4 }, { 5, 5, 6, 7 }, 4, { { 4, 2, 1 }, { 4, 1, NAN }, { 0, 0, 2 } }, 7 },
        { false, { 1, 2, 3, 4 }, { 5, 5, 6, 7 }, 4, { { SIZE_MAX, 2, 1 }, { 3, 1, NAN }, { 0, 0, 2 } }, 7 },
        { false, { 1, 2, 3, 4 }, { 5, 5, 6, 7 }, 4, { { 4, SIZE_MAX, 1 }, { 3, 1, NAN }, { 0, 0, 2 } }, 7 },
        { false, { 1, 2, 3, 4 }, { 5, 5, 6, 7 }, 4, { { 4, 2, INFINITY }, { 3, 1, NAN }, { 0, 0, 2 } }, 7 },
        { false, { 1, 2, 3, 4 }, { 5, 5, 6, 7 }, 4, { { 4, 2, 1 }, { 3, 1, 1 }, { 0, 0, 2 } }, 7 }, /* not asked for */
        { false,
          { 1, 2, 3, 4 },
          { 5, 5, 6, 7 },
          4,
          { { 4, 2, 1 }, { 3, 1, NAN }, { 1, 1, 2 } },
          7 }, /* has no window */
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        struct psa_rolling rolling;
        assert_int_equal(psa_rolling_init(&rolling, spec, COUNT(spec)), 0);
        assert_int_equal(
            psa_rolling_restore(&rolling, table[i].x, table[i].ns, table[i].n, table[i].mark, table[i].newest_ns),
            table[i].good);
        for (int t = 0; t < 20 && table[i].good; t++) assert_int_equal(psa_rolling_push(&rolling, t, 10 + t), 0);
        psa_rolling_free(&rolling);
    }
}

static void impossible_lengths_are_refused(void **state)
{
    (void)state;
    static const struct psa_rolling_spec spec[] = { { 0, 0, ALL },
                                                    { PSA_ROLLING_COUNT_MAX + 1, 0, ALL },
                                                    { 5, -1, ALL } };
    for (size_t i = 0; i < COUNT(spec); i++) {
        struct psa_rolling rolling;
        assert_int_equal(psa_rolling_init(&rolling, &spec[i], 1), -1);
        psa_rolling_free(&rolling);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_agree_with_brute_force),
        cmocka_unit_test(spans_agree_with_brute_force),
        cmocka_unit_test(time_advances_without_samples),
        cmocka_unit_test(all_of_time),
        cmocka_unit_test(more_than_count_are_cut),
        cmocka_unit_test(parts_are_apart),
        cmocka_unit_test(ewma_is_what_it_is_called),
        cmocka_unit_test(many_samples_leave_no_drift),
        cmocka_unit_test(the_past_is_forgotten_exactly),
        cmocka_unit_test(numbers_wrap),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(restored_windows_go_on_bit_by_bit),
        cmocka_unit_test(impossible_content_is_refused),
        cmocka_unit_test(impossible_lengths_are_refused),
    };
    if (argc > 1) drift_samples = strtoull(argv[1], NULL, 10);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
