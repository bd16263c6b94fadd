/*
 * tail.h - what anomaly_score means, the same for every detector (psa-score(1), CALIBRATION).
 *
 * Given reference scores (the training set's, or the stream's own earlier ones), higher meaning more anomalous, let p(s) be
 * the tail probability of a score s:
 *
 *     p(s) = 1 - F(s)                            s < q90     F inverts the linearly interpolated quantile function
 *     p(s) = 0.1 exp(-(s - q90) / scale)         s >= q90    scale = mean excess over q90 of the scores above it
 *
 *     anomaly_score(s) = 1 - 2^(-ln p(s) / ln p0),           p0 = p(threshold)
 *
 * So a score at or below the least reference score gives 0, the threshold gives exactly 0.5, and each further halving of
 * 1 - anomaly_score is another factor p0 of rarity. Where nine tenths of the reference are its least score the first comes
 * before the second: what everything scores is ordinary (judge.c). The mean excess is the maximum-likelihood scale of the exponential
 * distribution that excesses over a high quantile tend to (J. Pickands, "Statistical Inference Using Extreme Order
 * Statistics", Annals of Statistics 3(1), 1975, DOI 10.1214/aos/1176343003, its case c = 0).
 *
 * How rare a score beyond all of the reference is decides nothing but what score it gets. A limit that shall be exceeded
 * in a share p of the rows is another matter: where the tail is heavier than exponential the line above puts it far too
 * low. Such limits are therefore those of the generalised Pareto distribution, the other case of Pickands' theorem, where
 * its shape xi comes out positive, and never below the exponential one nor below the reference's own quantile:
 *
 *     rare(p) = max(q90 + sigma/xi ((p / 0.1)^-xi - 1) if xi > 0,  q90 + scale ln(0.1 / p),  F^-1(1 - p))     p <= 0.1
 *
 * by probability-weighted moments of the excesses y over q90, their mean l1 and half their mean difference l2 (J. R. M.
 * Hosking, J. R. Wallis, "Parameter and Quantile Estimation for the Generalized Pareto Distribution", Technometrics 29(3),
 * 1987, section 3.3, DOI 10.2307/1269343; xi is their -k, l1 = a0 and l2 = a0 - 2 a1):
 *
 *     xi = 2 - l1 / l2,   sigma = l1 (l1 / l2 - 1)
 *
 * They are integrals of the quantile function, which is taken between the levels 0.9, 0.91 .. 0.99, 0.995, 0.999, 0.9995,
 * 0.9999, 1, as a model's table has them, to be a line.
 *
 * Everything is kept as ln p, which does not underflow however far out a score lies.
 */
#ifndef PSA_MODEL_TAIL_H
#define PSA_MODEL_TAIL_H

#include "dsp/order_set.h"

#define PSA_TAIL_LEVEL 0.9       /* where the exponential tail begins */
#define PSA_TAIL_P0_MAX 0.999999 /* a threshold below all reference scores counts as this, so that ln p0 is not 0 */

/* The exponential part. A scale of 0 (the top tenth is one value) counts as a billionth of that value. */
struct psa_tail {
    double start; /* q90, in units of the scores */
    double scale;
};

/* Reference scores as quantiles, as a model file keeps them. The arrays are owned by whoever made the table. */
struct psa_tail_table {
    size_t n;
    double *level; /* [n], 0 .. 1, ascending */
    double *score; /* [n], not descending */
    struct psa_tail tail;
};

/* anomaly_score of ln p, given ln p at the threshold: 0 .. 1. */
double psa_tail_score(double ln_p, double ln_p_threshold);

/* ln p of a score among the table's. */
double psa_tail_table_ln_p(const struct psa_tail_table *table, double score);
/* The inverse: the score that has this ln p, at most 0. */
double psa_tail_table_at(const struct psa_tail_table *table, double ln_p);
/* rare(p) above: the score to be exceeded in a share exp(ln_p) of the rows, ln_p at most 0. */
double psa_tail_table_rare(const struct psa_tail_table *table, double ln_p);
/* The table's quantile at level 0 .. 1, linearly interpolated between its own levels. */
double psa_tail_table_quantile(const struct psa_tail_table *table, double level);

/* The exponential tail of the scores in a set with sums, at least one. */
struct psa_tail psa_tail_of_set(const struct psa_order_set *set);

/* ln p of a score among the set's; tail is psa_tail_of_set of the same set. */
double psa_tail_set_ln_p(const struct psa_order_set *set, const struct psa_tail *tail, double score);
/* The inverse: the score that has this ln p, at most 0. */
double psa_tail_set_at(const struct psa_order_set *set, const struct psa_tail *tail, double ln_p);
/* rare(p) above. */
double psa_tail_set_rare(const struct psa_order_set *set, const struct psa_tail *tail, double ln_p);

/* Levels of the table that psa_tail_table_make fills. */
#define PSA_TAIL_LEVELS 105

/* Fill a table from n >= 1 scores in ascending order: levels 0, 0.01 .. 0.99, then 0.995, 0.999, 0.9995, 0.9999, 1. level
 * and score have room for PSA_TAIL_LEVELS. */
void psa_tail_table_make(struct psa_tail_table *table, const double *sorted, size_t n);

/* The quantile at level 0 .. 1 of n >= 1 values in ascending order (h = (n-1) level, numpy's default). */
double psa_tail_quantile(const double *sorted, size_t n, double level);

#endif
