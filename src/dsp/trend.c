/* trend.c - see trend.h. */
#include "dsp/trend.h"

#include <math.h>

static struct psa_trend sample_at(double t, double x)
{
    if (isnan(x)) return (struct psa_trend){ 0 };
    return (struct psa_trend){ .n = 1.0, .mean_t = t, .mean_x = x };
}

void psa_detrend(double *x, size_t n, bool line)
{
    double count = 0.0, sum_t = 0.0, sum_x = 0.0, tt = 0.0, tx = 0.0, rest = 0.0;
    for (size_t i = 0; i < n; i++) {
        if (isnan(x[i])) continue;
        count += 1.0;
        sum_t += (double)i;
        sum_x += x[i];
    }
    if (count == 0.0) return;
    double mean_t = sum_t / count, mean_x = sum_x / count;
    for (size_t i = 0; i < n; i++) {
        if (isnan(x[i])) continue;
        double t = (double)i - mean_t;
        tt += t * t;
        tx += t * (x[i] - mean_x);
        rest += x[i] - mean_x; /* 0 but for the mean's rounding */
    }
    /* The rest by itself: beside a large mean it would be rounded away. */
    rest /= count;
    double slope = line && tt > 0.0 ? tx / tt : 0.0;
    for (size_t i = 0; i < n; i++) x[i] = x[i] - mean_x - (rest + slope * ((double)i - mean_t));
}

struct psa_trend psa_trend_merge(struct psa_trend a, struct psa_trend b, double shift)
{
    b.mean_t += shift;
    if (b.n == 0.0) return a;
    if (a.n == 0.0) return b;
    double n = a.n + b.n, t = b.mean_t - a.mean_t, x = b.mean_x - a.mean_x, share = b.n / n;
    return (struct psa_trend){ n, a.mean_t + t * share, a.mean_x + x * share, a.tt + b.tt + t * t * a.n * share,
                               a.tx + b.tx + t * x * a.n * share };
}

double psa_trend_at(const struct psa_trend *trend, double t, bool line)
{
    if (trend->n == 0.0) return NAN;
    if (!line || !(trend->tt > 0.0)) return trend->mean_x;
    return trend->mean_x + trend->tx / trend->tt * (t - trend->mean_t);
}

/* v: this block so far, as one; its samples; the ends of the block before, from each of its samples on. */
enum { TREND = sizeof(struct psa_trend) / sizeof(double) };

size_t psa_trend_state(size_t length)
{
    return TREND + length + TREND * length;
}

static struct psa_trend load(const double *v)
{
    return (struct psa_trend){ v[0], v[1], v[2], v[3], v[4] };
}

/* Sums that left the range of a double are kept as NaN, which a saved state can hold. */
static double kept(double sum)
{
    return isfinite(sum) ? sum : NAN;
}

static void store(double *v, struct psa_trend trend)
{
    v[0] = trend.n;
    v[1] = trend.mean_t;
    v[2] = kept(trend.mean_x);
    v[3] = trend.tt;
    v[4] = kept(trend.tx);
}

/* The block is full: merge its ends, and begin the next. */
static void turn_over(double *v, size_t length)
{
    const double *sample = v + TREND;
    double *end = v + TREND + length;
    struct psa_trend sum = { 0 };
    for (size_t i = length; i-- > 0;) {
        sum = psa_trend_merge(sample_at((double)i, sample[i]), sum, 0.0);
        store(end + TREND * i, sum);
    }
    store(v, (struct psa_trend){ 0 });
}

double psa_trend_push(double *v, size_t *at, size_t length, double x, bool line)
{
    size_t t = *at;
    struct psa_trend begin = psa_trend_merge(load(v), sample_at((double)t, x), 0.0), window = begin;
    store(v, begin);
    v[TREND + t] = x;
    if (t + 1 < length) window = psa_trend_merge(load(v + TREND + length + TREND * (t + 1)), begin, (double)length);
    *at = t + 1;
    double value = psa_trend_at(&window, (double)(t + 1 < length ? t + length : t), line);
    if (*at == length) {
        turn_over(v, length);
        *at = 0;
    }
    return value;
}
