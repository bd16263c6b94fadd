/*
 * iir.c - design in zeros, poles and gain (zpk), following scipy.signal.butter and cheby1 step by step:
 *
 *     prototype  Butterworth p_m = -exp(i pi m / (2 N)), m = -N+1, -N+3, .. N-1; no zeros; gain 1
 *                Chebyshev   p_m = -sinh(u + i pi m / (2 N)), u = asinh(1 / e) / N, e^2 = 10^(ripple / 10) - 1; no
 *                zeros; gain prod(-p), over sqrt(1 + e^2) when N is even
 *     pre-warp   W = 4 tan(pi f / rate)               (the bilinear transform below works at a rate of 2)
 *     to a band  low-pass s -> s / W, high-pass s -> W / s, band-pass s -> (s^2 + W0^2) / (s B), band-stop its inverse,
 *                with B = W_high - W_low and W0^2 = W_low W_high
 *     bilinear   z = (4 + s) / (4 - s)
 *     sections   the pair of poles closest to the unit circle takes the zeros closest to it and becomes the last
 *                section, and so on towards the first; the gain goes into the first
 *
 * In a band that lies symmetric about a quarter of the rate, poles tie for "closest", and in SciPy the last bit of each
 * decides. Here distances that differ by rounding only are equal and the first root wins, so that every machine gives
 * the same order of sections; there they may stand in another order than SciPy's, the product of all being the same.
 */
#include "dsp/iir.h"

#include <complex.h>
#include <math.h>
#include <stdbool.h>

static const double pi = 3.14159265358979323846;

/* Twice the rate of 2 at which the bilinear transform works. */
#define BILINEAR 4.0

/* A band-pass of the highest order has so many, which leaves room for the one that makes an odd number even. */
enum { ROOTS_MAX = 2 * PSA_BUTTER_ORDER_MAX };

typedef double complex root;

struct zpk {
    root zero[ROOTS_MAX], pole[ROOTS_MAX];
    size_t n_zero, n_pole;
    double gain;
};

/* re + i im: C11's CMPLX, which glibc 2.36 withholds from clang. */
static root root_of(double re, double im)
{
    return __builtin_complex(re, im);
}

/* Smith, Algorithm 116: Complex division, CACM 5(8), 1962, doi:10.1145/368637.368661; NumPy's, and the same bits from
 * every compiler, whose own divisions differ. */
static root over(root a, root b)
{
    double ar = creal(a), ai = cimag(a), br = creal(b), bi = cimag(b);
    if (fabs(br) >= fabs(bi)) {
        double ratio = bi / br, scale = 1.0 / (br + bi * ratio);
        return root_of((ar + ai * ratio) * scale, (ai - ar * ratio) * scale);
    }
    double ratio = br / bi, scale = 1.0 / (bi + br * ratio);
    return root_of((ar * ratio + ai) * scale, (ai * ratio - ar) * scale);
}

/* offset + sign * v, for every root of a list, multiplied up: the factors of a gain. */
static root product(double offset, double sign, const root *v, size_t n)
{
    root out = 1.0;
    for (size_t i = 0; i < n; i++) out = out * (offset + sign * v[i]);
    return out;
}

static void prototype(struct zpk *f, int order)
{
    f->n_zero = 0;
    f->n_pole = 0;
    f->gain = 1.0;
    for (int m = -order + 1; m < order; m += 2) f->pole[f->n_pole++] = -cexp(root_of(0.0, pi * m / (2.0 * order)));
}

static void chebyshev_prototype(struct zpk *f, int order, double ripple_db)
{
    double e = sqrt(pow(10.0, 0.1 * ripple_db) - 1.0);
    double u = 1.0 / order * asinh(1.0 / e);
    f->n_zero = 0;
    f->n_pole = 0;
    for (int m = -order + 1; m < order; m += 2) f->pole[f->n_pole++] = -csinh(root_of(u, pi * m / (2.0 * order)));
    f->gain = creal(product(0.0, -1.0, f->pole, f->n_pole));
    if (order % 2 == 0) f->gain /= sqrt(1.0 + e * e);
}

static void to_lowpass(struct zpk *f, double cutoff)
{
    for (size_t i = 0; i < f->n_pole; i++) f->pole[i] = cutoff * f->pole[i];
    f->gain *= pow(cutoff, (double)f->n_pole);
}

static void to_highpass(struct zpk *f, double cutoff)
{
    f->gain *= creal(over(1.0, product(0.0, -1.0, f->pole, f->n_pole)));
    for (size_t i = 0; i < f->n_pole; i++) f->pole[i] = over(cutoff, f->pole[i]);
    for (f->n_zero = 0; f->n_zero < f->n_pole; f->n_zero++) f->zero[f->n_zero] = 0.0;
}

/* Each pole p becomes the two solutions of s^2 - 2 p s + center^2 = 0. */
static void split_poles(struct zpk *f, double center)
{
    size_t n = f->n_pole;
    for (size_t i = 0; i < n; i++) {
        root p = f->pole[i];
        root apart = csqrt(p * p - center * center);
        f->pole[i] = p + apart;
        f->pole[n + i] = p - apart;
    }
    f->n_pole = 2 * n;
}

static void to_bandpass(struct zpk *f, double center, double width)
{
    f->gain *= pow(width, (double)f->n_pole);
    for (f->n_zero = 0; f->n_zero < f->n_pole; f->n_zero++) f->zero[f->n_zero] = 0.0;
    for (size_t i = 0; i < f->n_pole; i++) f->pole[i] = width * f->pole[i] / 2.0;
    split_poles(f, center);
}

static void to_bandstop(struct zpk *f, double center, double width)
{
    size_t n = f->n_pole;
    f->gain *= creal(over(1.0, product(0.0, -1.0, f->pole, n)));
    for (size_t i = 0; i < n; i++) f->pole[i] = over(width / 2.0, f->pole[i]);
    split_poles(f, center);
    for (size_t i = 0; i < n; i++) f->zero[i] = root_of(0.0, center);
    for (size_t i = 0; i < n; i++) f->zero[n + i] = root_of(0.0, -center);
    f->n_zero = 2 * n;
}

static void bilinear(struct zpk *f)
{
    f->gain *= creal(over(product(BILINEAR, -1.0, f->zero, f->n_zero), product(BILINEAR, -1.0, f->pole, f->n_pole)));
    for (size_t i = 0; i < f->n_zero; i++) f->zero[i] = over(BILINEAR + f->zero[i], BILINEAR - f->zero[i]);
    for (size_t i = 0; i < f->n_pole; i++) f->pole[i] = over(BILINEAR + f->pole[i], BILINEAR - f->pole[i]);
    while (f->n_zero < f->n_pole) f->zero[f->n_zero++] = -1.0; /* zeros at infinity come to half the rate */
}

/* ---- sections -------------------------------------------------------------------------------------------------- */

/* Distances in the z plane that differ by less are equal: four digits more than the arithmetic above loses. */
static const double rounding = 1e-12;

static bool is_real(root r)
{
    return cimag(r) == 0.0;
}

/* Is a to stand before b? By real part, then by the size of the imaginary part. */
static bool before(root a, root b)
{
    if (creal(a) != creal(b)) return creal(a) < creal(b);
    return fabs(cimag(a)) < fabs(cimag(b));
}

static void sort_roots(root *v, size_t n, bool by_imaginary)
{
    for (size_t i = 1; i < n; i++) {
        root r = v[i];
        size_t at = i;
        for (; at > 0 && (by_imaginary ? fabs(cimag(r)) < fabs(cimag(v[at - 1])) : before(r, v[at - 1])); at--)
            v[at] = v[at - 1];
        v[at] = r;
    }
}

/* Sort every run of roots whose real parts are equal but for rounding by the size of their imaginary parts. */
static void sort_runs(root *v, size_t n, double tolerance)
{
    for (size_t begin = 0; begin < n;) {
        size_t end = begin + 1;
        while (end < n && creal(v[end]) - creal(v[end - 1]) <= tolerance * cabs(v[end - 1])) end++;
        sort_roots(v + begin, end - begin, true);
        begin = end;
    }
}

/*
 * Keep of every conjugate pair the mean of its halves (the upper one), first, then the real roots: scipy's _cplxreal.
 * Returns how many are left.
 */
static size_t fold_pairs(root *v, size_t n)
{
    const double tolerance = 100.0 * 0x1p-52;
    root upper[ROOTS_MAX], lower[ROOTS_MAX], real[ROOTS_MAX];
    size_t n_up = 0, n_low = 0, n_real = 0;
    sort_roots(v, n, false);
    for (size_t i = 0; i < n; i++) {
        if (fabs(cimag(v[i])) <= tolerance * cabs(v[i])) real[n_real++] = creal(v[i]);
        else if (cimag(v[i]) > 0.0) upper[n_up++] = v[i];
        else lower[n_low++] = v[i];
    }
    sort_runs(upper, n_up, tolerance);
    sort_runs(lower, n_low, tolerance);
    for (size_t i = 0; i < n_up && i < n_low; i++) v[i] = (upper[i] + conj(lower[i])) / 2.0;
    for (size_t i = 0; i < n_real; i++) v[n_up + i] = real[i];
    return n_up + n_real;
}

static root take(root *v, size_t *n, size_t at)
{
    root r = v[at];
    for (*n -= 1; at < *n; at++) v[at] = v[at + 1];
    return r;
}

/* Index of the pole closest to the unit circle, of all or of the real ones; the first of equals. */
static size_t worst_of(const root *v, size_t n, bool only_real)
{
    size_t best = 0;
    double least = INFINITY;
    for (size_t i = 0; i < n; i++) {
        double distance = fabs(1.0 - cabs(v[i]));
        if ((only_real && !is_real(v[i])) || !(distance < least - rounding)) continue;
        least = distance;
        best = i;
    }
    return best;
}

/* Index of the root closest to `to`, of all or of the real ones; the first of equals. */
static size_t nearest_of(const root *v, size_t n, root to, bool only_real)
{
    size_t best = 0;
    double least = INFINITY;
    for (size_t i = 0; i < n; i++) {
        double distance = cabs(v[i] - to);
        if ((only_real && !is_real(v[i])) || !(distance < least - rounding)) continue;
        least = distance;
        best = i;
    }
    return best;
}

/* (1 - r1 z^-1)(1 - r2 z^-1) = 1 + c1 z^-1 + c2 z^-2, with c[0] = c1, c[1] = c2; the roots are real or conjugate. */
static void quadratic(root r1, root r2, double c[2])
{
    c[0] = -creal(r1) - creal(r2);
    c[1] = creal(r1 * r2);
}

/*
 * zpk2sos(pairing='nearest'). An odd number of roots is made even by a pole and a zero at the origin; so real roots of
 * either kind come in twos, and SciPy's special cases for a last lone one cannot occur.
 */
static size_t to_sections(struct zpk *f, struct psa_sos *sos)
{
    size_t n = (f->n_pole + 1) / 2;
    if (f->n_pole % 2 == 1) {
        f->pole[f->n_pole++] = 0.0;
        f->zero[f->n_zero++] = 0.0;
    }
    f->n_zero = fold_pairs(f->zero, f->n_zero);
    f->n_pole = fold_pairs(f->pole, f->n_pole);
    for (size_t s = n; s-- > 0;) {
        root p1 = take(f->pole, &f->n_pole, worst_of(f->pole, f->n_pole, false));
        root p2 = conj(p1);
        if (is_real(p1)) p2 = take(f->pole, &f->n_pole, worst_of(f->pole, f->n_pole, true));
        root z1 = take(f->zero, &f->n_zero, nearest_of(f->zero, f->n_zero, p1, false));
        root z2 = conj(z1);
        if (is_real(z1)) z2 = take(f->zero, &f->n_zero, nearest_of(f->zero, f->n_zero, p1, true));
        double b[2], a[2];
        quadratic(z1, z2, b);
        quadratic(p1, p2, a);
        sos[s] = (struct psa_sos){ 1.0, b[0], b[1], a[0], a[1] };
    }
    sos[0].b0 *= f->gain;
    sos[0].b1 *= f->gain;
    sos[0].b2 *= f->gain;
    return n;
}

/* ---- designs --------------------------------------------------------------------------------------------------- */

/* A frequency as a fraction of half the rate; written so that a NaN fails. */
static bool inside(double hz, double rate_hz)
{
    double fraction = 2.0 * hz / rate_hz;
    return isfinite(rate_hz) && fraction > 0.0 && fraction < 1.0;
}

static double warped(double hz, double rate_hz)
{
    return BILINEAR * tan(pi * (2.0 * hz / rate_hz) / 2.0);
}

size_t psa_butter_design(int order, enum psa_band band, double low_hz, double high_hz, double rate_hz,
                         struct psa_sos *sos)
{
    bool two_edges = band == PSA_BANDPASS || band == PSA_BANDSTOP;
    if (order < 1 || order > PSA_BUTTER_ORDER_MAX) return 0;
    if (!inside(low_hz, rate_hz)) return 0;
    if (two_edges && (!inside(high_hz, rate_hz) || low_hz >= high_hz)) return 0;

    struct zpk f;
    prototype(&f, order);
    double low = warped(low_hz, rate_hz);
    double high = two_edges ? warped(high_hz, rate_hz) : low;
    switch (band) {
    case PSA_LOWPASS: to_lowpass(&f, low); break;
    case PSA_HIGHPASS: to_highpass(&f, low); break;
    case PSA_BANDPASS: to_bandpass(&f, sqrt(low * high), high - low); break;
    case PSA_BANDSTOP: to_bandstop(&f, sqrt(low * high), high - low); break;
    default: return 0;
    }
    bilinear(&f);
    return to_sections(&f, sos);
}

size_t psa_notch_design(double center_hz, double q, double rate_hz, struct psa_sos *sos)
{
    if (!inside(center_hz, rate_hz) || !inside(center_hz / q, rate_hz)) return 0;
    double center = 2.0 * center_hz / rate_hz;
    double width = center / q;
    double edge_gain = 1.0 / sqrt(2.0); /* -3 dB */
    double beta = sqrt(1.0 - edge_gain * edge_gain) / edge_gain * tan(width * pi / 2.0);
    double gain = 1.0 / (1.0 + beta);
    double cosine = cos(center * pi);
    sos->b0 = gain;
    sos->b1 = gain * (-2.0 * cosine);
    sos->b2 = gain;
    sos->a1 = -2.0 * gain * cosine;
    sos->a2 = 2.0 * gain - 1.0;
    return 1;
}

size_t psa_cheby1_design(int order, double ripple_db, double corner_hz, double rate_hz, struct psa_sos *sos)
{
    if (order < 1 || order > PSA_BUTTER_ORDER_MAX || !inside(corner_hz, rate_hz)) return 0;
    if (!(ripple_db > 0.0) || !isfinite(ripple_db)) return 0;
    struct zpk f;
    chebyshev_prototype(&f, order, ripple_db);
    to_lowpass(&f, warped(corner_hz, rate_hz));
    bilinear(&f);
    return to_sections(&f, sos);
}

size_t psa_integrator_design(double corner_hz, double rate_hz, struct psa_sos *sos)
{
    if (psa_butter_design(2, PSA_HIGHPASS, corner_hz, 0.0, rate_hz, sos) != 1) return 0;
    double gain = sos->b0 * 0.5 / rate_hz;
    sos->b0 = gain;
    sos->b1 = 0.0;
    sos->b2 = -gain;
    return 1;
}
