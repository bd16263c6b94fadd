/* resample.c - see resample.h. */
#include "dsp/resample.h"

#include <math.h>
#include <stdlib.h>

static const double pi = 3.14159265358979323846;

/* Exact products of times, counts and rates need more than 64 bits. */
__extension__ typedef __int128 wide;

static const int64_t NS_PER_SECOND = 1000000000;

/* ---- fractions ------------------------------------------------------------------------------------------------- */

double psa_rational(double value, int64_t most, int64_t *num, int64_t *den)
{
    if (!(value >= 0x1p-60 && value <= 0x1p60) || most < 1) return INFINITY;
    /* value = over / under, exactly: 53 bits, and a power of two of at most 2^113. */
    int exponent;
    double mantissa = frexp(value, &exponent);
    wide over = (wide)ldexp(mantissa, 53), under = 1;
    exponent -= 53;
    if (exponent >= 0) over <<= exponent;
    else under <<= -exponent;

    /* Convergents p / q by p_i = a_i p_(i-1) + p_(i-2), and q likewise; a_i are Euclid's quotients. */
    wide p = 1, q = 0, p_before = 0, q_before = 1;
    double apart = INFINITY;
    while (under != 0) {
        wide a = over / under, rest = over % under;
        if (a > most) break;
        wide p_next = a * p + p_before, q_next = a * q + q_before;
        if (p_next > most || q_next > most) break;
        p_before = p;
        q_before = q;
        p = p_next;
        q = q_next;
        over = under;
        under = rest;
        if (p == 0) continue; /* below 1: the first convergent is 0 / 1 */
        *num = (int64_t)p;
        *den = (int64_t)q;
        double rounded = (double)*num / (double)*den;
        apart = fabs(rounded - value) / value;
        if (rounded == value) break;
    }
    return apart;
}

static size_t common_divisor(size_t a, size_t b)
{
    while (b) {
        size_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* ---- low-pass filters of finite length ------------------------------------------------------------------------- */

/* The modified Bessel function of the first kind and order 0, sum of ((x/2)^k / k!)^2, for |x| up to about 10: all terms
 * are positive, so nothing cancels. Abramowitz and Stegun, Handbook of Mathematical Functions, 9.6.12. */
static double bessel_i0(double x)
{
    double quarter = x * x / 4.0, term = 1.0, sum = 1.0;
    for (int k = 1; term > sum * 0x1p-60; k++) {
        term *= quarter / ((double)k * k);
        sum += term;
    }
    return sum;
}

static double taper_at(enum psa_fir_taper taper, size_t i, size_t n)
{
    double last = (double)(n - 1);
    if (n == 1) return 1.0;
    if (taper == PSA_FIR_HAMMING) return 0.54 - 0.46 * cos(2.0 * pi * (double)i / last);
    double across = 2.0 * (double)i / last - 1.0;
    return bessel_i0(5.0 * sqrt(fmax(0.0, 1.0 - across * across))) / bessel_i0(5.0);
}

void psa_fir_design(double *h, size_t n, double cutoff, enum psa_fir_taper taper)
{
    double center = 0.5 * (double)(n - 1), sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        double at = pi * cutoff * ((double)i - center);
        h[i] = cutoff * (at == 0.0 ? 1.0 : sin(at) / at) * taper_at(taper, i, n);
        sum += h[i];
    }
    for (size_t i = 0; i < n; i++) h[i] /= sum;
}

/* ---- polyphase ------------------------------------------------------------------------------------------------- */

struct psa_polyphase *psa_polyphase_new(size_t up, size_t down, const double *h, size_t n_h, size_t lead, double gain)
{
    if (up < 1 || up > PSA_RATIO_MAX || down < 1 || down > PSA_RATIO_MAX || n_h < 1 || lead >= n_h) return NULL;
    struct psa_polyphase *polyphase = calloc(1, sizeof *polyphase);
    if (!polyphase) return NULL;
    size_t span = (n_h + up - 1) / up;
    *polyphase = (struct psa_polyphase){ up, down, lead, span, calloc(up * span, sizeof(double)) };
    if (!polyphase->bank) {
        free(polyphase);
        return NULL;
    }
    /* Tap phase + j up belongs to the j-th newest input, and the oldest is to be first. */
    for (size_t i = 0; i < n_h; i++) polyphase->bank[(i % up) * span + span - 1 - i / up] = gain * h[i];
    return polyphase;
}

static struct psa_polyphase *lowpass_polyphase(size_t up, size_t down, enum psa_fir_taper taper, bool centred)
{
    size_t most = up > down ? up : down, half = 10 * most, n = 2 * half + 1;
    double *h = malloc(n * sizeof *h);
    if (!h) return NULL;
    psa_fir_design(h, n, 1.0 / (double)most, taper);
    struct psa_polyphase *polyphase = psa_polyphase_new(up, down, h, n, centred ? half : 0, (double)up);
    free(h);
    return polyphase;
}

struct psa_polyphase *psa_polyphase_resampler(size_t up, size_t down)
{
    if (up < 1 || down < 1) return NULL;
    size_t divisor = common_divisor(up, down);
    up /= divisor;
    down /= divisor;
    if (up > PSA_RATIO_MAX || down > PSA_RATIO_MAX) return NULL;
    if (up == down) return psa_polyphase_new(1, 1, (const double[]){ 1.0 }, 1, 0, 1.0);
    return lowpass_polyphase(up, down, PSA_FIR_KAISER5, true);
}

struct psa_polyphase *psa_polyphase_decimator(size_t down, bool zero_phase)
{
    if (down < 1 || down > PSA_RATIO_MAX) return NULL;
    return lowpass_polyphase(1, down, PSA_FIR_HAMMING, zero_phase);
}

void psa_polyphase_free(struct psa_polyphase *polyphase)
{
    if (!polyphase) return;
    free(polyphase->bank);
    free(polyphase);
}

/* at[0]: the next output's time less the newest input's, in parts 1 / up of an interval. at[1]: where the next input goes
 * in the ring. Before the first input the "newest" is number -1. */
void psa_polyphase_start(const struct psa_polyphase *polyphase, int64_t at[2])
{
    at[0] = (int64_t)polyphase->up;
    at[1] = 0;
}

bool psa_polyphase_valid(const struct psa_polyphase *polyphase, const int64_t at[2])
{
    int64_t up = (int64_t)polyphase->up, down = (int64_t)polyphase->down, lead = (int64_t)polyphase->lead;
    /* Nothing is left to pull, and the one before was pulled when it was due, or the first is still to come. */
    bool due = at[0] >= up - lead && (at[0] <= up || at[0] < up - lead + down);
    return due && at[1] >= 0 && at[1] < (int64_t)polyphase->span;
}

void psa_polyphase_push(const struct psa_polyphase *polyphase, double *x, int64_t at[2], const double *frame,
                        size_t width)
{
    double *row = x + (size_t)at[1] * width;
    for (size_t c = 0; c < width; c++) row[c] = frame[c];
    at[0] -= (int64_t)polyphase->up;
    at[1] = at[1] + 1 == (int64_t)polyphase->span ? 0 : at[1] + 1;
}

/* y += taps[n] times the rows x[n][width]. */
static void add_rows(const double *restrict tap, const double *restrict x, size_t n, double *restrict y, size_t width)
{
    for (size_t j = 0; j < n; j++, x += width)
        for (size_t c = 0; c < width; c++) y[c] += tap[j] * x[c];
}

bool psa_polyphase_pull(const struct psa_polyphase *polyphase, const double *x, int64_t at[2], bool flush, double *y,
                        size_t width, struct psa_polyphase_place *place)
{
    int64_t up = (int64_t)polyphase->up, lead = (int64_t)polyphase->lead;
    size_t span = polyphase->span, next = (size_t)at[1];
    if (flush ? at[0] >= up : at[0] + lead >= up) return false;

    /* The newest input of this output, counted from the newest there is: 0, or later ones that never come. */
    size_t beyond = (size_t)((at[0] + lead) / up), phase = (size_t)((at[0] + lead) % up);
    const double *tap = polyphase->bank + phase * span;
    size_t n = beyond < span ? span - beyond : 0; /* inputs that there are */
    size_t oldest = (next + beyond) % span;
    size_t first = n < span - oldest ? n : span - oldest;
    for (size_t c = 0; c < width; c++) y[c] = 0.0;
    add_rows(tap, x + oldest * width, first, y, width);
    add_rows(tap + first, x, n - first, y, width);

    /* floor(at / up), at being below up. */
    size_t back = at[0] >= 0 ? 0 : (size_t)((-at[0] + up - 1) / up);
    place->back = back;
    place->part = (size_t)(at[0] + (int64_t)back * up);
    place->slot = (next + 2 * span - 1 - back) % span;
    at[0] += (int64_t)polyphase->down;
    return true;
}

/* ---- grids of times --------------------------------------------------------------------------------------------- */

bool psa_grid_of(double hz, struct psa_grid *grid)
{
    if (!(hz >= PSA_GRID_MIN_HZ && hz <= PSA_GRID_MAX_HZ)) return false;
    /* Of a double in this range some convergent with shorter terms rounds to it. */
    return psa_rational(hz, INT64_C(1000000000000), &grid->num, &grid->den) == 0.0;
}

static wide floor_of(wide over, wide under)
{
    wide quotient = over / under;
    return quotient * under > over ? quotient - 1 : quotient;
}

static wide exact_time(struct psa_grid grid, wide m)
{
    return floor_of(2 * m * NS_PER_SECOND * grid.den + grid.num, 2 * (wide)grid.num);
}

int64_t psa_grid_time(struct psa_grid grid, int64_t m)
{
    wide time_ns = exact_time(grid, m);
    if (time_ns > INT64_MAX) return INT64_MAX;
    return time_ns < INT64_MIN ? INT64_MIN : (int64_t)time_ns;
}

int64_t psa_grid_at_or_before(struct psa_grid grid, int64_t time_ns)
{
    /* The grid before rounding, which moves a point by half a nanosecond at most, less than a step. */
    wide m = floor_of((wide)time_ns * grid.num, (wide)NS_PER_SECOND * grid.den);
    while (exact_time(grid, m + 1) <= time_ns) m++;
    while (exact_time(grid, m) > time_ns) m--;
    return (int64_t)m;
}

int64_t psa_grid_at_or_after(struct psa_grid grid, int64_t time_ns)
{
    int64_t m = psa_grid_at_or_before(grid, time_ns);
    return exact_time(grid, m) == time_ns ? m : m + 1;
}

double psa_line_between(int64_t t0, double x0, int64_t t1, double x1, int64_t time_ns)
{
    if (time_ns == t1) return x1;
    if (time_ns == t0) return x0;
    return x0 + (x1 - x0) * ((double)((wide)time_ns - t0) / (double)((wide)t1 - t0));
}
