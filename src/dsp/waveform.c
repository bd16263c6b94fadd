/* waveform.c - see waveform.h. */
#include "dsp/waveform.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "dsp/quad.h"

/* Of a double, as dsp/moments.h has it. */
static const double resolution = 1e-15;

static double greater(double a, double b)
{
    return b > a ? b : a;
}

/* |x| of both lanes: the sign bit cleared. */
static inline psa_pair magnitude_of(psa_pair x)
{
    return (psa_pair){ fabs(x[0]), fabs(x[1]) };
}

/* ---- size ------------------------------------------------------------------------------------------------------- */

double psa_peak(const double *x, size_t n)
{
    if (n == 0) return NAN;
    double peak0 = 0.0, peak1 = 0.0;
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        peak0 = greater(peak0, greater(fabs(x[i]), fabs(x[i + 1])));
        peak1 = greater(peak1, greater(fabs(x[i + 2]), fabs(x[i + 3])));
    }
    for (; i < n; i++) peak0 = greater(peak0, fabs(x[i]));
    return greater(peak0, peak1);
}

double psa_mean_abs(const double *x, size_t n)
{
    return psa_mean_abs_dev(x, n, 0.0);
}

double psa_mean_sqrt_abs(const double *x, size_t n)
{
    if (n == 0) return NAN;
    struct psa_quad s = { { 0 }, { 0 } };
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        s.lo += (psa_pair){ sqrt(fabs(x[i])), sqrt(fabs(x[i + 1])) };
        s.hi += (psa_pair){ sqrt(fabs(x[i + 2])), sqrt(fabs(x[i + 3])) };
    }
    double sum = psa_quad_total(s);
    for (; i < n; i++) sum += sqrt(fabs(x[i]));
    return sum / (double)n;
}

double psa_energy(const double *x, size_t n)
{
    if (n == 0) return NAN;
    struct psa_quad s = { { 0 }, { 0 } };
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        struct psa_quad q = psa_quad_load(x + i);
        s.lo += q.lo * q.lo;
        s.hi += q.hi * q.hi;
    }
    double sum = psa_quad_total(s);
    for (; i < n; i++) sum += x[i] * x[i];
    return sum;
}

double psa_ratio(double over, double under)
{
    return under == 0.0 ? NAN : over / under;
}

/* ---- spread and shape ------------------------------------------------------------------------------------------- */

double psa_mean_abs_dev(const double *x, size_t n, double mean)
{
    if (n == 0) return NAN;
    struct psa_quad s = { { 0 }, { 0 } };
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        struct psa_quad q = psa_quad_load(x + i);
        s.lo += magnitude_of(q.lo - mean);
        s.hi += magnitude_of(q.hi - mean);
    }
    double sum = psa_quad_total(s);
    for (; i < n; i++) sum += fabs(x[i] - mean);
    return sum / (double)n;
}

double psa_median_abs_dev_sorted(const double *sorted, size_t n, double median)
{
    if (n == 0) return NAN;
    /* Of the samples [0, below) and [above, n) none is taken yet. */
    size_t middle = n / 2, below = middle, above = middle;
    double last = 0.0, deviation = 0.0;
    for (size_t taken = 0; taken <= n / 2; taken++) {
        double down = below > 0 ? median - sorted[below - 1] : INFINITY;
        double up = above < n ? sorted[above] - median : INFINITY;
        last = deviation;
        if (down <= up) {
            deviation = down;
            below--;
        } else {
            deviation = up;
            above++;
        }
    }
    return n % 2 ? deviation : 0.5 * last + 0.5 * deviation;
}

double psa_var_sample(const struct psa_moments *moments)
{
    if (moments->n < 2) return NAN;
    double n = (double)moments->n;
    return moments->var * (n / (n - 1.0));
}

double psa_std_sample(const struct psa_moments *moments)
{
    if (moments->n < 2) return NAN;
    double n = (double)moments->n;
    return moments->std * sqrt(n / (n - 1.0));
}

double psa_skewness_unbiased(const struct psa_moments *moments)
{
    if (moments->n < 3) return NAN;
    double n = (double)moments->n;
    return sqrt(n * (n - 1.0)) / (n - 2.0) * moments->skewness;
}

double psa_kurtosis_unbiased(const struct psa_moments *moments)
{
    if (moments->n < 4) return NAN;
    double n = (double)moments->n;
    return (n - 1.0) / ((n - 2.0) * (n - 3.0)) * ((n + 1.0) * moments->kurtosis + 6.0);
}

/* numpy.linspace(low, high, bins + 1)[i]. */
static inline double edge_of(double low, double high, double width, size_t bins, size_t i)
{
    return i == bins ? high : (double)i * width + low;
}

double psa_binned_entropy(const double *x, size_t n, size_t bins)
{
    if (n == 0 || bins < 1 || bins > PSA_BINS_MAX) return NAN;
    double low = x[0], high = x[0];
    for (size_t i = 1; i < n; i++) {
        low = x[i] < low ? x[i] : low;
        high = greater(high, x[i]);
    }
    if (low == high) return 0.0;
    double range = high - low, per_unit = (double)bins / range, width = range / (double)bins;
    if (!isfinite(range) || !isfinite(per_unit)) return NAN;

    uint32_t count[PSA_BINS_MAX] = { 0 };
    for (size_t i = 0; i < n; i++) {
        size_t bin = (size_t)((x[i] - low) * per_unit);
        if (bin >= bins) bin = bins - 1;
        /* The product may round across an edge; the edges decide. */
        if (x[i] < edge_of(low, high, width, bins, bin)) bin--;
        else if (bin + 1 < bins && x[i] >= edge_of(low, high, width, bins, bin + 1)) bin++;
        count[bin]++;
    }
    double entropy = 0.0;
    for (size_t bin = 0; bin < bins; bin++) {
        if (count[bin] == 0) continue;
        double p = (double)count[bin] / (double)n;
        entropy -= p * log(p);
    }
    return entropy;
}

/* ---- change and order ------------------------------------------------------------------------------------------- */

double psa_line_length(const double *x, size_t n)
{
    if (n == 0) return NAN;
    struct psa_quad s = { { 0 }, { 0 } };
    size_t i = 1;
    for (; i + 4 <= n; i += 4) {
        struct psa_quad q = psa_quad_load(x + i), before = psa_quad_load(x + i - 1);
        s.lo += magnitude_of(q.lo - before.lo);
        s.hi += magnitude_of(q.hi - before.hi);
    }
    double sum = psa_quad_total(s);
    for (; i < n; i++) sum += fabs(x[i] - x[i - 1]);
    return sum;
}

/* With t_i = i - (n-1)/2, sum t = 0 and sum t^2 = n (n^2 - 1) / 12, so any constant may be taken from x: the first
 * sample is, lest a large offset drown the sum. */
double psa_slope(const double *x, size_t n, double interval)
{
    if (n < 2 || !(interval > 0.0)) return NAN;
    double middle = 0.5 * (double)(n - 1), first = x[0];
    struct psa_quad s = { { 0 }, { 0 } };
    psa_pair t_lo = { -middle, 1.0 - middle }, t_hi = { 2.0 - middle, 3.0 - middle };
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        struct psa_quad q = psa_quad_load(x + i);
        s.lo += t_lo * (q.lo - first);
        s.hi += t_hi * (q.hi - first);
        t_lo += 4.0;
        t_hi += 4.0;
    }
    double sum = psa_quad_total(s), count = (double)n;
    for (; i < n; i++) sum += ((double)i - middle) * (x[i] - first);
    return sum / (count * (count * count - 1.0) / 12.0) / interval;
}

double psa_autocorr(const double *x, size_t lag, const struct psa_moments *moments)
{
    size_t n = moments->n;
    if (lag >= n || psa_moments_constant(moments)) return NAN;
    /* Beside a large offset the mean, as a double, is too coarse: what it is above the first sample is not. */
    double first = x[0];
    struct psa_quad s = { { 0 }, { 0 } };
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        struct psa_quad q = psa_quad_load(x + i);
        s.lo += q.lo - first;
        s.hi += q.hi - first;
    }
    double above = psa_quad_total(s);
    for (; i < n; i++) above += x[i] - first;
    above /= (double)n;

    s = (struct psa_quad){ { 0 }, { 0 } };
    for (i = lag; i + 4 <= n; i += 4) {
        struct psa_quad q = psa_quad_load(x + i), before = psa_quad_load(x + i - lag);
        s.lo += (q.lo - first - above) * (before.lo - first - above);
        s.hi += (q.hi - first - above) * (before.hi - first - above);
    }
    double sum = psa_quad_total(s);
    for (; i < n; i++) sum += (x[i] - first - above) * (x[i - lag] - first - above);
    return sum / ((double)n * moments->var);
}

/* The differences' sums telescope, so their means are known beforehand and one pass gives both variances. */
struct psa_hjorth psa_hjorth_of(const double *x, const struct psa_moments *moments)
{
    size_t n = moments->n;
    struct psa_hjorth hjorth = { moments->var, NAN, NAN };
    if (n < 2 || psa_moments_constant(moments)) return hjorth;
    double mean1 = (x[n - 1] - x[0]) / (double)(n - 1);
    double sum1 = (x[1] - x[0] - mean1) * (x[1] - x[0] - mean1);
    double mean2 = n > 2 ? (x[n - 1] - x[n - 2] - (x[1] - x[0])) / (double)(n - 2) : 0.0;
    struct psa_quad s1 = { { 0 }, { 0 } }, s2 = s1;
    size_t i = 2;
    for (; i + 4 <= n; i += 4) {
        struct psa_quad q = psa_quad_load(x + i), p = psa_quad_load(x + i - 1), o = psa_quad_load(x + i - 2);
        psa_pair d_lo = q.lo - p.lo, d_hi = q.hi - p.hi;
        psa_pair e_lo = d_lo - (p.lo - o.lo) - mean2, e_hi = d_hi - (p.hi - o.hi) - mean2;
        d_lo -= mean1;
        d_hi -= mean1;
        s1.lo += d_lo * d_lo;
        s1.hi += d_hi * d_hi;
        s2.lo += e_lo * e_lo;
        s2.hi += e_hi * e_hi;
    }
    sum1 += psa_quad_total(s1);
    double sum2 = psa_quad_total(s2);
    for (; i < n; i++) {
        double d = x[i] - x[i - 1], e = d - (x[i - 1] - x[i - 2]) - mean2;
        sum1 += (d - mean1) * (d - mean1);
        sum2 += e * e;
    }
    double var1 = sum1 / (double)(n - 1);
    hjorth.mobility = sqrt(var1 / moments->var);
    double floor_of_d = resolution * moments->rms; /* differences are no finer than the samples they are of */
    if (n < 3 || var1 <= floor_of_d * floor_of_d) return hjorth;
    hjorth.complexity = sqrt(sum2 / (double)(n - 2) / var1) / hjorth.mobility;
    return hjorth;
}

static inline uint64_t sign_bit(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits >> 63;
}

double psa_mean_crossings(const double *x, size_t n, double mean)
{
    if (n == 0) return NAN;
    uint64_t changes = 0;
    for (size_t i = 1; i < n; i++) changes += sign_bit(x[i] - mean) ^ sign_bit(x[i - 1] - mean);
    return (double)changes;
}

double psa_sign_changes(const double *x, size_t n)
{
    if (n == 0) return NAN;
    uint64_t changes = 0;
    for (size_t i = 1; i < n; i++) {
        int now = (x[i] > 0.0) - (x[i] < 0.0), before = (x[i - 1] > 0.0) - (x[i - 1] < 0.0);
        changes += now != before;
    }
    return (double)changes;
}

double psa_level_crossings(const double *x, size_t n, double level)
{
    if (n == 0) return NAN;
    uint64_t changes = 0;
    for (size_t i = 1; i < n; i++) changes += (x[i] > level) != (x[i - 1] > level);
    return (double)changes;
}
