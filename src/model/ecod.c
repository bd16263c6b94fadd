/* ecod.c - see ecod.h. */
#include "model/ecod.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "model/ecod_surprise.h"

#define FIRST_ROWS 16 /* capacity to begin with: ten thousand keys shall not cost ten thousand horizons at once */

int psa_ecod_init(struct psa_ecod *ecod, size_t n_columns, size_t horizon)
{
    *ecod = (struct psa_ecod){ .n_columns = n_columns, .horizon = horizon };
    ecod->column = calloc(n_columns + 1, sizeof *ecod->column);
    ecod->moments = calloc(n_columns + 1, sizeof *ecod->moments);
    if (ecod->column == NULL || ecod->moments == NULL) {
        psa_ecod_free(ecod);
        return -1;
    }
    for (size_t j = 0; j < n_columns; j++) psa_order_set_init(&ecod->column[j], false);
    return 0;
}

void psa_ecod_free(struct psa_ecod *ecod)
{
    for (size_t j = 0; ecod->column != NULL && j < ecod->n_columns; j++) psa_order_set_free(&ecod->column[j]);
    free(ecod->column);
    free(ecod->moments);
    *ecod = (struct psa_ecod){ .n_columns = 0 };
}

/* ---- rows and slots ------------------------------------------------------------------------------------------- */

static size_t slot_of(const struct psa_ecod *ecod, uint64_t row)
{
    return (size_t)(ecod->horizon > 0 ? row % ecod->horizon : row);
}

double psa_ecod_value(const struct psa_ecod *ecod, size_t i, size_t column)
{
    return ecod->column[column].value[slot_of(ecod, ecod->seen - ecod->held + i)];
}

/* Make sure that the slot exists in every set. */
static int reserve(struct psa_ecod *ecod, size_t slot)
{
    size_t capacity = ecod->capacity > 0 ? ecod->capacity : FIRST_ROWS;

    if (slot < ecod->capacity) return 0;
    while (capacity <= slot) capacity *= 2;
    if (ecod->horizon > 0 && capacity > ecod->horizon) capacity = ecod->horizon;
    for (size_t j = 0; j < ecod->n_columns; j++) {
        if (psa_order_set_reserve(&ecod->column[j], capacity) != 0) return -1;
    }
    ecod->capacity = capacity;
    return 0;
}

/* ---- is a column's skewness exactly zero? ----------------------------------------------------------------------- */

/*
 * Add x (sign 1) or take it out (sign -1). d is rounded once, d^2 and d^3 once or twice more, each sum once: with u the
 * unit roundoff, a power's error is below 6u |d|^k, the sum's below u |sum|. DBL_EPSILON is 2u, so the bounds are safe.
 */
static void moments_update(struct psa_ecod_moments *moments, double x, double sign)
{
    double d = x - moments->shift, power = 1.0;

    for (int k = 0; k < 3; k++) {
        power *= d;
        moments->sum[k] += sign * power;
        moments->error[k] += DBL_EPSILON * (fabs(moments->sum[k]) + 4.0 * fabs(power));
    }
    moments->updates++;
}

/*
 * Mean, and central moments 2 and 3, in two passes over the values held and the newest, in the order they came. What rounding left in the mean
 * (r, small) is taken out again: m2 - r^2 and m3 - 3 r m2 + 2 r^3 are the moments about mean + r. The running sums start
 * anew from the mean.
 */
static bool exact_skew_is_zero(const struct psa_ecod *ecod, size_t column, double newest,
                               struct psa_ecod_moments *moments)
{
    const struct psa_order_set *set = &ecod->column[column];
    double n = 1.0, mean = 0.0, r, m2, m3;

    for (uint64_t row = ecod->seen - ecod->held; row < ecod->seen; row++) {
        size_t slot = slot_of(ecod, row);

        if (!psa_order_set_has(set, slot)) continue;
        mean += set->value[slot];
        n += 1.0;
    }
    mean = (mean + newest) / n;
    *moments = (struct psa_ecod_moments){ .shift = mean };
    for (uint64_t row = ecod->seen - ecod->held; row < ecod->seen; row++) {
        size_t slot = slot_of(ecod, row);

        if (psa_order_set_has(set, slot)) moments_update(moments, set->value[slot], 1.0);
    }
    moments_update(moments, newest, 1.0);
    moments->updates = 0;
    r = moments->sum[0] / n;
    m2 = moments->sum[1] / n - r * r;
    m3 = moments->sum[2] / n - 3.0 * r * (moments->sum[1] / n) + 2.0 * r * r * r;
    return psa_ecod_skew_is_zero(mean, m2, m3);
}

/*
 * The running sums know the moments within error bounds e2, e3:
 *
 *     m2 = s2/n - a^2,   m3 = s3/n - 3 a s2/n + 2 a^3,   a = s1/n
 *
 * They prove that the skewness is not 0 where |m3| - e3 > 2 PSA_ECOD_SKEW_ZERO (m2 + e2)^1.5, and that it is 0 where
 * |m3| + e3 < PSA_ECOD_SKEW_ZERO/4 (m2 - e2)^1.5, if the variance is clearly not that of a constant. Between, they cannot tell.
 */
enum skew { SKEW_IS_ZERO, SKEW_IS_NOT_ZERO, SKEW_UNKNOWN };

static enum skew running_skew(const struct psa_ecod_moments *moments, double n)
{
    double a = moments->sum[0] / n, b = moments->sum[1] / n, c = moments->sum[2] / n;
    double ea = moments->error[0] / n, eb = moments->error[1] / n, ec = moments->error[2] / n;
    double wide = fabs(a) + ea, m2 = b - a * a, m3 = fabs(c - 3.0 * a * b + 2.0 * a * a * a);
    double e2 = eb + 2.0 * wide * ea + 8.0 * DBL_EPSILON * (fabs(b) + wide * wide);
    double e3 = ec + 3.0 * (ea * (fabs(b) + eb) + wide * eb) + 6.0 * wide * wide * ea +
                16.0 * DBL_EPSILON * (fabs(c) + 3.0 * wide * fabs(b) + 2.0 * wide * wide * wide);
    double resolution = PSA_ECOD_SKEW_RESOLUTION * (fabs(moments->shift) + wide);

    if (!(m2 - e2 > 4.0 * resolution * resolution)) return SKEW_UNKNOWN;
    if (m3 - e3 > 2.0 * PSA_ECOD_SKEW_ZERO * (m2 + e2) * sqrt(m2 + e2)) return SKEW_IS_NOT_ZERO;
    return m3 + e3 < 0.25 * PSA_ECOD_SKEW_ZERO * (m2 - e2) * sqrt(m2 - e2) ? SKEW_IS_ZERO : SKEW_UNKNOWN;
}

/* Of the rows held and the newest, which is in the set: the row of number ecod->seen. */
static bool skew_is_zero(struct psa_ecod *ecod, size_t column, double newest)
{
    const struct psa_order_set *set = &ecod->column[column];
    struct psa_ecod_moments *moments = &ecod->moments[column];
    size_t n = psa_order_set_count(set);
    enum skew skew = moments->updates < n + FIRST_ROWS ? running_skew(moments, (double)n) : SKEW_UNKNOWN;

    if (skew != SKEW_UNKNOWN) return skew == SKEW_IS_ZERO;
    if (psa_order_set_select(set, 0) == psa_order_set_select(set, n - 1))
        return true; /* a constant, whatever rounding makes of its mean */
    return exact_skew_is_zero(ecod, column, newest, moments);
}

/* Of the rows held, at least one of which has a value, and a value that is not in the set. */
static bool skew_with_is_zero(const struct psa_ecod *ecod, size_t column, double x)
{
    const struct psa_order_set *set = &ecod->column[column];
    struct psa_ecod_moments moments = ecod->moments[column];
    size_t n = psa_order_set_count(set);
    enum skew skew;

    moments_update(&moments, x, 1.0);
    skew = running_skew(&moments, (double)(n + 1));
    if (skew != SKEW_UNKNOWN) return skew == SKEW_IS_ZERO;
    if (psa_order_set_select(set, 0) == x && psa_order_set_select(set, n - 1) == x) return true;
    return exact_skew_is_zero(ecod, column, x, &moments);
}

/* ---- rows in and out -------------------------------------------------------------------------------------------- */

/* The row whose slot is needed leaves. */
static void evict(struct psa_ecod *ecod, size_t slot)
{
    if (ecod->horizon == 0 || ecod->held < ecod->horizon) return;
    for (size_t j = 0; j < ecod->n_columns; j++) {
        if (!psa_order_set_has(&ecod->column[j], slot)) continue;
        psa_order_set_erase(&ecod->column[j], slot);
        moments_update(&ecod->moments[j], ecod->column[j].value[slot], -1.0);
    }
    ecod->held--;
}

static void enter(struct psa_ecod *ecod, size_t slot, const double *row)
{
    for (size_t j = 0; j < ecod->n_columns; j++) {
        struct psa_order_set *set = &ecod->column[j];

        if (isnan(row[j])) {
            set->value[slot] = NAN;
            continue;
        }
        if (psa_order_set_count(set) == 0) ecod->moments[j] = (struct psa_ecod_moments){ .shift = row[j] };
        moments_update(&ecod->moments[j], row[j], 1.0);
        psa_order_set_insert(set, slot, row[j]);
    }
}

int psa_ecod_update(struct psa_ecod *ecod, const double *row, double *contribution, double *raw)
{
    size_t slot = slot_of(ecod, ecod->seen), below, up_to;

    if (reserve(ecod, slot) != 0) return -1;
    evict(ecod, slot);
    enter(ecod, slot, row);
    *raw = 0.0;
    for (size_t j = 0; j < ecod->n_columns; j++) {
        double part = 0.0;

        if (!isnan(row[j])) {
            psa_order_set_ranks(&ecod->column[j], row[j], &below, &up_to);
            part =
                psa_ecod_surprise(below, up_to, psa_order_set_count(&ecod->column[j]), skew_is_zero(ecod, j, row[j]));
        }
        if (contribution != NULL) contribution[j] = part;
        *raw += part;
    }
    ecod->held++;
    ecod->seen++;
    return 0;
}

double psa_ecod_score(const struct psa_ecod *ecod, const double *row, double *contribution)
{
    double raw = 0.0;

    for (size_t j = 0; j < ecod->n_columns; j++) {
        size_t n = psa_order_set_count(&ecod->column[j]), below, up_to;
        double part = 0.0;

        if (!isnan(row[j]) && n > 0) { /* alone in its column a value surprises nobody */
            psa_order_set_ranks(&ecod->column[j], row[j], &below, &up_to);
            part = psa_ecod_surprise(below, up_to + 1, n + 1, skew_with_is_zero(ecod, j, row[j]));
        }
        if (contribution != NULL) contribution[j] = part;
        raw += part;
    }
    return raw;
}

int psa_ecod_restore(struct psa_ecod *ecod, const double *row)
{
    size_t slot = slot_of(ecod, ecod->seen);

    if (reserve(ecod, slot) != 0) return -1;
    enter(ecod, slot, row);
    ecod->held++;
    ecod->seen++;
    return 0;
}
