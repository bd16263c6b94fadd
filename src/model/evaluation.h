/*
 * evaluation.h - how well do predictions agree with labels? Points, ranges, ranking by score, delay and false alarms.
 *
 * Everything here is a pure function of arrays: rows of one stream in the order of their time, each with a prediction, a
 * label and a score. Streams are pooled by adding to the same sums. A quotient whose denominator is zero (the recall of
 * rows among which none is anomalous) has no value: NaN, which JSON writes as null.
 */
#ifndef PSA_MODEL_EVALUATION_H
#define PSA_MODEL_EVALUATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Rows first .. last of a stream, both included. */
struct psa_range {
    size_t first, last;
};

/* The runs of true among flag[from .. n), in order, into range (room for n - from), indices counted from flag[0]. Returns
 * how many. range may be NULL: they are only counted. */
size_t psa_ranges_of(const bool *flag, size_t from, size_t n, struct psa_range *range);

/* ---- points ----------------------------------------------------------------------------------------------------------- */

/*
 * The confusion matrix (T. Fawcett, "An introduction to ROC analysis", Pattern Recognition Letters 27(8), 2006, figure 1,
 * DOI 10.1016/j.patrec.2005.10.010), and what is made from it:
 *
 *     precision = TP / (TP + FP)      false alarm rate FAR = FP / (FP + TN)
 *     recall    = TP / (TP + FN)      missed           MAR = FN / (FN + TP)      F1 = TP / (TP + (FP + FN) / 2)
 */
struct psa_confusion {
    uint64_t tp, fp, fn, tn;
};

void psa_confusion_add(struct psa_confusion *counts, const bool *predicted, const bool *labelled, size_t n);
double psa_confusion_precision(const struct psa_confusion *counts);
double psa_confusion_recall(const struct psa_confusion *counts);
double psa_confusion_f1(const struct psa_confusion *counts);
double psa_confusion_far(const struct psa_confusion *counts);
double psa_confusion_mar(const struct psa_confusion *counts);

/* ---- ranges ----------------------------------------------------------------------------------------------------------- */

/*
 * Range-based precision and recall (N. Tatbul, T. J. Lee, S. Zdonik, M. Alam, J. Gottschlich, "Precision and Recall for
 * Time Series", NeurIPS 2018, equations 4 to 7, arXiv 1803.03639) with alpha = 0 (finding a range at all earns nothing by
 * itself), the flat positional bias and the reciprocal cardinality: for a range R of |R| rows and the ranges of the other
 * kind, of which x > 0 share rows with it,
 *
 *     reward(R) = 1/x * (rows of R that the others cover) / |R|,    0 where x = 0
 *
 * Recall is the mean reward of the labelled ranges against the predicted ones, precision that of the predicted ranges
 * against the labelled ones, F1 their harmonic mean. Pooled: the mean over the ranges of all streams.
 */
struct psa_range_sums {
    double labelled_reward, predicted_reward;
    uint64_t labelled, predicted; /* ranges */
};

/* Add one stream's ranges. Those of a kind do not overlap and are in order. */
void psa_range_sums_add(struct psa_range_sums *sums, const struct psa_range *labelled, size_t n_labelled,
                        const struct psa_range *predicted, size_t n_predicted);
double psa_range_precision(const struct psa_range_sums *sums);
double psa_range_recall(const struct psa_range_sums *sums);
/* NaN without labelled and predicted ranges; 0 where one of precision and recall is 0 or has no value. */
double psa_range_f1(const struct psa_range_sums *sums);

/* ---- delay and false alarms --------------------------------------------------------------------------------------------- */

/*
 * Rows from the beginning of each labelled range to the first predicted row in it, into rows[i]; -1 where there is none
 * (the range was missed). Returns how many were found.
 */
size_t psa_detection_delays(const bool *predicted, const struct psa_range *labelled, size_t n_labelled, int64_t *rows);

struct psa_summary {
    double mean, median, max; /* NaN without values */
};

/* The mean, median and maximum of n values, which are sorted in place. The median of an even number is the mean of the two
 * in the middle. */
struct psa_summary psa_summarise(double *value, size_t n);

/*
 * How many predicted ranges share no row with any labelled one: alarms about nothing. A run of predicted rows that begins
 * before a labelled range or outlasts it is no false alarm.
 */
size_t psa_false_alarms(const struct psa_range *labelled, size_t n_labelled, const struct psa_range *predicted,
                        size_t n_predicted);

/* Nanoseconds between two times: exact while they fit int64, else rounded. */
double psa_elapsed_ns(int64_t from_ns, int64_t to_ns);

/* Nanoseconds of normal operation among rows from .. n of one stream: the time between consecutive rows of which neither
 * is labelled. */
double psa_normal_time_ns(const int64_t *time_ns, const bool *labelled, size_t from, size_t n);

/* ---- ranking by score --------------------------------------------------------------------------------------------------- */

/* A row without a score (the detector was warming up) has the score -INFINITY: no threshold reaches it. */
struct psa_scored {
    double score;
    bool labelled;
};

/* Sort rows by descending score, in place; the measures below want it. No score is NaN. */
void psa_scored_sort(struct psa_scored *row, size_t n);

/*
 * The area under the ROC curve: the probability that an anomalous row scores above a normal one, ties counting half (Fawcett,
 * section 7 and algorithm 3; it equals the trapezoids of scikit-learn's roc_auc_score). NaN unless both kinds are there.
 */
double psa_roc_area(const struct psa_scored *row, size_t n);

/*
 * The area under the precision-recall curve as average precision, sum_k (R_k - R_k-1) P_k over the distinct scores in
 * descending order, without interpolation, as scikit-learn's average_precision_score. NaN without anomalous rows.
 */
double psa_pr_area(const struct psa_scored *row, size_t n);

/* What it would be with the threshold at `threshold`: a row is predicted where its score is at or above it. */
struct psa_operating_point {
    double threshold;
    struct psa_confusion counts;
};

/*
 * A walk through the operating points of sorted rows, one for each distinct score but -INFINITY, from the highest score to
 * the lowest. Begin with psa_sweep_begin; each psa_sweep_next moves to the next point and is false behind the last.
 */
struct psa_sweep {
    const struct psa_scored *row;
    size_t n, at;
    struct psa_operating_point point;
};

void psa_sweep_begin(struct psa_sweep *sweep, const struct psa_scored *row, size_t n);
bool psa_sweep_next(struct psa_sweep *sweep);

/* The operating point with the greatest F1, of equals that with the highest threshold; false: F1 has no value anywhere. It
 * is known only with hindsight: the labels chose it. */
bool psa_sweep_best(const struct psa_scored *row, size_t n, struct psa_operating_point *best);

#endif
