/*
 * conformal.h - is a slow process value like its own past? Four measures of strangeness of one value, each turned into
 * a conformal p-value, for columns of which each is judged by itself.
 *
 * Of the value x at time t, with the values before it (newest first x_1, x_2 ...), a row being one value of the column:
 *
 *     profile    |r|, r = x - m(s): m the mean of the values in slot s of the season, which has PSA_CONFORMAL_SLOTS, the
 *                hours of a day; s then takes in x: m += w (x - m), w = max(1/n, slots / horizon), n values so far
 *     mean       |mean of r over the last `smooth` rows|
 *     shape      the distance of the last `shingle` rows to their likes: the root of the mean of the `nearest` smallest
 *                sums of squared differences to the shingles that ended `shingle` .. `shingle` + horizon - 1 rows before
 *                (k-nearest neighbours conformal detection on shingles: E. Burnaev, V. Ishimtsev, "Conformalized
 *                density- and distance-based anomaly detection in time-series data", 2016, arXiv:1608.04585)
 *     range      how far x lies outside the least and greatest of the horizon's values; 0 inside
 *
 * A measure a has, among its n earlier values a_i within the horizon, the p-value (V. Vovk, A. Gammerman, G. Shafer,
 * "Algorithmic Learning in a Random World", Springer 2005, DOI 10.1007/b106715, chapter 2; for anomalies R. Laxhammar,
 * G. Falkman, FUSION 2011)
 *
 *     p = (#{a_i >= a} + 1) / (n + 1)
 *
 * which, were rows exchangeable, would be at most e in a share e of the rows, whatever the distribution. Then
 *
 *     column = sum over the four of -log10 p        raw = the largest column's
 *
 * A measure that cannot be taken yet counts as p = 1. A missing value leaves its column as it is. Values beyond
 * +-PSA_CONFORMAL_FAR count as that.
 *
 * Sums of squared differences are kept by lag g: D_g(t) = D_g(t-1) + (x - x_g)^2 - (x_L - x_(L+g))^2, L the shingle,
 * one multiplication and one subtraction a lag, so a row costs O(horizon) instead of O(horizon shingle). Rounding is
 * kept out: where a term that leaves is CANCELLED times what remains, and for one lag a row in turn, D_g is summed
 * anew. Time: O(horizon + shingle) a row and column, 30 us at 10,000; in the worst case, spikes of a million times the
 * signal, O(horizon shingle). Memory: about 120 bytes a row of the horizon and column, 1.2 MB at 10,000.
 */
#ifndef PSA_MODEL_CONFORMAL_H
#define PSA_MODEL_CONFORMAL_H

#include "dsp/order_set.h"

#define PSA_CONFORMAL_SLOTS 24
#define PSA_CONFORMAL_FAR 1e150 /* squares of differences, and sums of them, stay finite */

enum psa_conformal_part {
    PSA_CONFORMAL_PROFILE,
    PSA_CONFORMAL_MEAN,
    PSA_CONFORMAL_SHAPE,
    PSA_CONFORMAL_RANGE,
    PSA_CONFORMAL_PARTS
};

struct psa_conformal_options {
    size_t horizon;                  /* rows, at least 2 */
    size_t smooth, shingle, nearest; /* rows, rows, neighbours: each at least 1 */
    int64_t season_ns;               /* > 0; 0: the profile is one mean */
};

/* A profile's slot. */
struct psa_conformal_slot {
    double mean;
    uint64_t n;
};

/* What is remembered of a column. Value i of it lies in a ring at i modulo the ring's size. */
struct psa_conformal_column {
    uint64_t seen;  /* values */
    uint64_t since; /* of them since the last gap */
    struct psa_conformal_slot slot[PSA_CONFORMAL_SLOTS];
    double *value;                 /* ring [cap_value] of what reaches two shingles and the horizon back */
    double *residual;              /* ring [smooth] of r, NaN where there was none */
    double *distance;              /* [cap_row], D_g of lag g = shingle + index */
    struct psa_order_set in_range; /* the horizon's values, in ring order */
    struct psa_order_set part[PSA_CONFORMAL_PARTS]; /* the horizon's measures; none in a slot: it was not taken */
    size_t cap_value;                               /* a power of two */
    size_t cap_row;                                 /* up to the horizon */
};

struct psa_conformal {
    struct psa_conformal_options options;
    size_t n_columns;
    struct psa_conformal_column *column; /* [n_columns] */
    double *nearest;                     /* [options.nearest], scratch: ascending */
};

/* 0, or -1 when memory is out. The struct owns its arrays. */
int psa_conformal_init(struct psa_conformal *conformal, const struct psa_conformal_options *options, size_t n_columns);
void psa_conformal_free(struct psa_conformal *conformal);

/*
 * Take in the next row of n_columns values, NaN for a missing one. *raw becomes its score, at least 0. contribution (NULL: not
 * wanted) [n_columns] becomes the columns' scores. 0, or -1 when memory is out; then only psa_conformal_free is allowed.
 */
int psa_conformal_update(struct psa_conformal *conformal, const double *row, int64_t time_ns, double *contribution,
                         double *raw);

/* The next row does not follow the last one: short means and shingles that join both are not taken. */
void psa_conformal_gap(struct psa_conformal *conformal);

/* ---- saving ------------------------------------------------------------------------------------------------------------- */

/* Of a column: how many of its newest values, measures and lags it holds. All follow from `seen`. */
size_t psa_conformal_values(const struct psa_conformal *conformal, const struct psa_conformal_column *column);
size_t psa_conformal_rows(const struct psa_conformal *conformal, const struct psa_conformal_column *column);
size_t psa_conformal_lags(const struct psa_conformal *conformal, const struct psa_conformal_column *column);

/* The i-th value held, the oldest first; a measure of the i-th row held, NaN where it was not taken. */
double psa_conformal_value(const struct psa_conformal *conformal, const struct psa_conformal_column *column, size_t i);
double psa_conformal_measure(const struct psa_conformal *conformal, const struct psa_conformal_column *column,
                             enum psa_conformal_part part, size_t i);

/* Give a fresh column that many values: room is made, and they, its measures and the rest are to be set. 0, or -1 when
 * memory is out. */
int psa_conformal_restore(struct psa_conformal *conformal, struct psa_conformal_column *column, uint64_t seen);
void psa_conformal_restore_value(struct psa_conformal *conformal, struct psa_conformal_column *column, size_t i,
                                 double x);
void psa_conformal_restore_measure(struct psa_conformal *conformal, struct psa_conformal_column *column,
                                   enum psa_conformal_part part, size_t i, double a);

#endif
