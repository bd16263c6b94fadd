/*
 * moments.c - with d_i = x_i - c for c near the mean, S_k = sum d_i^k and e = S_1 / n (what c misses of the mean):
 *
 *     m2 = S_2/n - e^2
 *     m3 = S_3/n - 3 e S_2/n + 2 e^3
 *     m4 = S_4/n - 4 e S_3/n + 6 e^2 S_2/n - 3 e^4
 */
#include "dsp/moments.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "dsp/quad.h"

static double lesser(double a, double b)
{
    return b < a ? b : a;
}

static double greater(double a, double b)
{
    return b > a ? b : a;
}

/* The first pass: sums of x and x^2 and the extremes. */
struct sums {
    double x, x2, min, max;
};

static struct sums sums_of(const double *x, size_t n)
{
    struct psa_quad s = { { 0 }, { 0 } }, s2 = { { 0 }, { 0 } };
    double min0 = x[0], min1 = x[0], max0 = x[0], max1 = x[0];
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        struct psa_quad q = psa_quad_load(x + i);
        s.lo += q.lo;
        s.hi += q.hi;
        s2.lo += q.lo * q.lo;
        s2.hi += q.hi * q.hi;
        min0 = lesser(min0, lesser(x[i], x[i + 1]));
        min1 = lesser(min1, lesser(x[i + 2], x[i + 3]));
        max0 = greater(max0, greater(x[i], x[i + 1]));
        max1 = greater(max1, greater(x[i + 2], x[i + 3]));
    }
    struct sums sums = { psa_quad_total(s), psa_quad_total(s2), lesser(min0, min1), greater(max0, max1) };
    for (; i < n; i++) {
        sums.x += x[i];
        sums.x2 += x[i] * x[i];
        sums.min = lesser(sums.min, x[i]);
        sums.max = greater(sums.max, x[i]);
    }
    return sums;
}

/* The second pass: S_1 .. S_4 of the deviations from c. */
struct powers {
    double s1, s2, s3, s4;
};

static struct powers powers_of(const double *x, size_t n, double c)
{
    struct psa_quad s1 = { { 0 }, { 0 } }, s2 = s1, s3 = s1, s4 = s1;
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        struct psa_quad d = psa_quad_load(x + i);
        d.lo -= c;
        d.hi -= c;
        struct psa_quad dd = { d.lo * d.lo, d.hi * d.hi };
        s1.lo += d.lo;
        s1.hi += d.hi;
        s2.lo += dd.lo;
        s2.hi += dd.hi;
        s3.lo += dd.lo * d.lo;
        s3.hi += dd.hi * d.hi;
        s4.lo += dd.lo * dd.lo;
        s4.hi += dd.hi * dd.hi;
    }
    struct powers p = { psa_quad_total(s1), psa_quad_total(s2), psa_quad_total(s3), psa_quad_total(s4) };
    for (; i < n; i++) {
        double d = x[i] - c, dd = d * d;
        p.s1 += d;
        p.s2 += dd;
        p.s3 += dd * d;
        p.s4 += dd * dd;
    }
    return p;
}

bool psa_moments_constant(const struct psa_moments *moments)
{
    static const double resolution = 1e-15; /* of a double, as SciPy has it */
    double floor_of_m2 = resolution * moments->mean;
    return !(moments->var > floor_of_m2 * floor_of_m2);
}

struct psa_moments psa_moments_of(const double *x, size_t n)
{
    struct psa_moments m = { n, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN };
    if (n == 0) return m;
    double count = (double)n;
    struct sums sums = sums_of(x, n);
    m.min = sums.min;
    m.max = sums.max;
    m.ptp = sums.max - sums.min;
    m.rms = sqrt(sums.x2 / count);
    if (sums.min == sums.max) {
        m.mean = x[0];
        m.var = 0.0;
        m.std = 0.0;
        m.rms = fabs(x[0]);
        return m;
    }

    m.mean = sums.x / count;
    struct powers p = powers_of(x, n, m.mean);
    double e = p.s1 / count, ee = e * e;
    double r2 = p.s2 / count, r3 = p.s3 / count, r4 = p.s4 / count;
    m.mean += e;
    if (!isfinite(r2)) r2 = NAN; /* the squares left the range of a double: there is no variance, rather than none */
    m.var = r2 <= ee ? 0.0 : r2 - ee;
    m.std = sqrt(m.var);

    if (psa_moments_constant(&m)) return m;
    double m3 = r3 - 3.0 * e * r2 + 2.0 * ee * e;
    double m4 = r4 - 4.0 * e * r3 + 6.0 * ee * r2 - 3.0 * ee * ee;
    m.skewness = m3 / (m.var * m.std);
    m.kurtosis = m4 / (m.var * m.var) - 3.0;
    return m;
}

double psa_spectral_energy(const struct psa_moments *moments)
{
    return (double)moments->n * moments->var;
}

double psa_moving_avg(const double *x, size_t n, size_t last)
{
    if (last > n) last = n;
    if (last == 0) return NAN;
    double sum = 0.0;
    for (size_t i = n - last; i < n; i++) sum += x[i];
    return sum / (double)last;
}

static inline uint64_t sign_of(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits >> 63;
}

double psa_zcr(const double *x, size_t n)
{
    if (n < 2) return NAN;
    uint64_t changes = 0;
    for (size_t i = 1; i < n; i++) changes += sign_of(x[i]) ^ sign_of(x[i - 1]);
    return (double)changes / (double)(n - 1);
}
