/*
 * ecod.h - streaming ECOD: how far out each value lies in its column's own distribution, without parameters.
 *
 * Z. Li, Y. Zhao, X. Hu, N. Botta, C. Ionescu, G. Chen, "ECOD: Unsupervised Outlier Detection Using Empirical Cumulative
 * Distribution Functions", IEEE TKDE 35(12), 2022, DOI 10.1109/TKDE.2022.3159580, as the library PyOD computes it. For
 * column j with n values, the newest x among them,
 *
 *     U_left = -ln(#{x_k <= x} / n),   U_right = -ln(#{x_k >= x} / n)
 *     O_j = max(U_left, U_right), or U_left + U_right where the column's sample skewness is exactly 0
 *     score = sum over j of O_j
 *
 * PyOD takes the maximum per column, the paper that of three sums over the columns; psa follows PyOD. The rows are the
 * last `horizon` ones, the newest included. Each update costs O(log horizon) a column, expected and amortised, the power
 * sums being made anew, O(horizon), every n updates of a column with n values. While they cannot tell whether the skewness
 * is 0, the column being symmetric or nearly so (|skewness| around 1e-12), each update sums it anew and costs O(horizon).
 * Memory: 20 n_columns bytes a row held.
 */
#ifndef PSA_MODEL_ECOD_H
#define PSA_MODEL_ECOD_H

#include "dsp/order_set.h"

/* Power sums of a column about a shift, with bounds on their rounding errors: they tell cheaply that a skewness is not 0;
 * where they cannot, the column is summed anew. */
struct psa_ecod_moments {
    double shift;
    double sum[3], error[3]; /* of (x - shift)^1, ^2, ^3 */
    size_t updates;          /* since the sums were made anew */
};

struct psa_ecod {
    size_t n_columns;
    size_t horizon;               /* rows; 0: all */
    uint64_t seen;                /* rows so far; row r lies in slot r, or r modulo horizon */
    size_t held, capacity;        /* rows still there; slots */
    struct psa_order_set *column; /* [n_columns]; also the ring of rows: value[slot], NaN for a null */
    struct psa_ecod_moments *moments;
};

/* 0, or -1 when memory is out. The struct owns its arrays. */
int psa_ecod_init(struct psa_ecod *ecod, size_t n_columns, size_t horizon);
void psa_ecod_free(struct psa_ecod *ecod);

/*
 * Take in the next row, n_columns values, NaN for a null (which adds nothing and does not enter its column). *raw becomes its
 * score, contribution[n_columns] (NULL: not wanted) each column's O_j. 0, or -1 when memory is out or the row number has
 * outgrown an unbounded horizon (4e9 rows); nothing has changed then.
 */
int psa_ecod_update(struct psa_ecod *ecod, const double *row, double *contribution, double *raw);

/* The score that a row has among the rows held and itself, which does not enter: PyOD's decision_function of one row. At
 * least one row is held. */
double psa_ecod_score(const struct psa_ecod *ecod, const double *row, double *contribution);

/* The rows held, 0 the oldest, for saving. */
double psa_ecod_value(const struct psa_ecod *ecod, size_t i, size_t column);

/* Fill a fresh one with saved rows, the oldest first; before the first, set seen to the number of rows before it. Whatever
 * follows is bit for bit as if the stream had not been interrupted. 0, or -1 when memory is out. */
int psa_ecod_restore(struct psa_ecod *ecod, const double *row);

#endif
