/*
 * chart.h - control charts on every column of a stream: EWMA and two-sided tabular CUSUM.
 *
 * Phase I. Mean m_j and variance v_j (population) of each column are those of its values in the warm-up, a constant
 * column having v_j = 1 as in scikit-learn's StandardScaler. Readings that follow each other closely are alike, which
 * both charts' textbook limits do not expect, and would turn into alarms. So the variance is multiplied by an inflation
 *
 *     f_j = max(1, mean over the warm-up of  E_j(t)^2 / (lambda / (2 - lambda) (1 - (1 - lambda)^(2t)))  with f_j = 1)
 *
 * which brings the charted quantity's mean square back to the 1 that it has for independent values; it is the factor
 * that the process's autocorrelation puts on the variance of its exponential mean (N. F. Zhang, "A Statistical Control
 * Chart for Stationary Process Data", Technometrics 40(1), 1998, pp. 24-38, the EWMAST chart), and, lambda being
 * small, on that of its sums, by which a CUSUM's limits grow (R. A. Johnson, M. Bagshaw, "The Effect of Serial
 * Correlation on the Performance of CUSUM Tests", Technometrics 16(1), 1974, DOI 10.1080/00401706.1974.10489155).
 *
 * Phase II. z_j = (x_j - m_j) / sqrt(f_j v_j), held within +- PSA_CHART_FAR; E_j and S_j start at 0.
 *
 *     EWMA (S. W. Roberts, "Control Chart Tests Based on Geometric Moving Averages", Technometrics 1(3), 1959, DOI
 *     10.1080/00401706.1959.10489860; with the exact variance of its first rows: J. M. Lucas, M. S. Saccucci, Technometrics
 *     32(1), 1990, DOI 10.1080/00401706.1990.10484583):
 *         E_j(t) = lambda z_j + (1 - lambda) E_j(t-1)
 *         raw = max over j of |E_j(t)| / sqrt(lambda / (2 - lambda) (1 - (1 - lambda)^(2t)))
 *
 *     CUSUM (E. S. Page, "Continuous Inspection Schemes", Biometrika 41(1/2), 1954, DOI 10.1093/biomet/41.1-2.100), k the
 *     allowance:
 *         S+_j(t) = max(0, S+_j(t-1) + z_j - k),   S-_j(t) = max(0, S-_j(t-1) - z_j - k)
 *         raw = max over j of max(S+_j, S-_j)
 *     with z_j held within +- PSA_CHART_OUTLIER, in the baseline below too: one wild reading is no shift, and alone is no
 *     alarm, nor does it deafen the chart (Winsorized as in J. M. Lucas, R. B. Crosier, "Robust CUSUM: A Robustness Study
 *     for CUSUM Quality Control Schemes", Communications in Statistics - Theory and Methods 11(23), 1982, pp. 2669-2687).
 *     It is not reset by an alarm. While one is on, the sums are held at the raw score that began it, so that the chart
 *     comes down as soon as the process is back, however long and however far it was away.
 *
 * A missing value leaves its column's chart as it is. A column without a value in the warm-up is never charted.
 *
 * Moving baseline. Rooms warm up and tools wear, so each row judged normal moves mean and variance exponentially, with
 * the weight of a span of `warmup` rows, a = 2 / (warmup + 1) (pandas' ewm(span=warmup, adjust=False), var with
 * bias=True):
 *
 *     d = x - m,   m += a d,   v = max(v_I / 4, (1 - a) (v + a d^2)),   v_I of Phase I
 *
 * `freeze` leaves it as Phase I found it, which is the textbook's chart.
 *
 * Memory: 80 bytes a column, and 8 warmup (columns + 1) bytes until the warm-up is over. Time: O(columns) a row.
 */
#ifndef PSA_MODEL_CHART_H
#define PSA_MODEL_CHART_H

#include <stdbool.h>
#include <stddef.h>

#include "model/warmup_rows.h"

/* Standard deviations beyond which a value is no further out, and for a CUSUM. */
#define PSA_CHART_FAR 1e6
#define PSA_CHART_OUTLIER 4.0

enum psa_chart_kind { PSA_CHART_EWMA, PSA_CHART_CUSUM };

struct psa_chart_options {
    enum psa_chart_kind kind;
    size_t warmup;    /* rows of Phase I, at least 2 */
    double lambda;    /* 0 < lambda <= 1: weight of the newest row; for both kinds, of the inflation */
    double allowance; /* k of the CUSUM, >= 0, in standard deviations */
    bool freeze;      /* the baseline stays that of Phase I */
};

/* Of one column. mean is NaN when it is not charted: then the others mean nothing. */
struct psa_chart_column {
    double mean, variance; /* of the baseline */
    double least_variance; /* a quarter of Phase I's */
    double inflation;      /* f, >= 1 */
    double ewma, fade;     /* E; (1 - lambda)^(2t), 1 before the first value */
    double up, down;       /* S+, S- */
};

struct psa_chart {
    struct psa_chart_options options;
    size_t n_columns;
    bool charting;                   /* Phase II has begun */
    struct psa_chart_column *column; /* [n_columns] */
    bool alarm;                      /* as last judged */
    double hold;                     /* CUSUM: where the sums are held while the alarm is on */
    double *newest;                  /* [n_columns], the row that is to be judged */
    double raw;                      /* its score */
    struct psa_warmup_rows rows;     /* Phase I's so far; later only how many */
    double *learned; /* [warmup], the scores of Phase I's rows by its own baseline, until the next update; or NULL */
};

/* 0, or -1 when memory is out. The struct owns its arrays. */
int psa_chart_init(struct psa_chart *chart, const struct psa_chart_options *options, size_t n_columns);
void psa_chart_free(struct psa_chart *chart);

/*
 * Take in the next row of n_columns values, NaN for a missing one. *raw becomes its score, NaN in Phase I, whose last
 * row leaves the scores of all in chart->learned (NaN where a row had no charted value). contribution (NULL: not
 * wanted) [n_columns] becomes the square of each column's own score. 0, or -1 when memory is out, which can only be in
 * Phase I.
 */
int psa_chart_update(struct psa_chart *chart, const double *row, double *contribution, double *raw);

/* That row's verdict: is the alarm on? The baseline learns from it unless it is. */
void psa_chart_judged(struct psa_chart *chart, bool alarm);

/* The next row does not follow the last one: averages and sums begin anew. */
void psa_chart_gap(struct psa_chart *chart);

/* May the columns' numbers, `hold` and the number of rows be those of a chart? For what comes from a file. */
bool psa_chart_is_sound(const struct psa_chart *chart);

#endif
