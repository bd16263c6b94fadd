/*
 * nab_score.h - the score of the Numenta Anomaly Benchmark, which rewards early detection within a window around each
 * anomaly and forgives what follows right behind one.
 *
 * A. Lavin, S. Ahmad, "Evaluating Real-Time Anomaly Detection Algorithms - the Numenta Anomaly Benchmark", ICMLA 2015,
 * section II.C, DOI 10.1109/ICMLA.2015.141. Where its text and its program (github.com/numenta/NAB: nab/sweeper.py,
 * nab/optimizer.py, nab/runner.py, config/profiles.json) differ, the program counts, because the leaderboard is made by
 * it. With the scaled sigmoid
 *
 *     sigma(y) = 2 / (1 + exp(5 y)) - 1,  -1 for y > 3
 *
 * a row i that is predicted is worth
 *
 *     inside a window [a, b]    tp * sigma(-(b - i + 1) / (b - a + 1)) / sigma(-1)   only the best of the window counts
 *     behind a window [a, b]    fp * sigma((i - b) / (b - a))                        the last window before it
 *     before the first window   -fp
 *
 * and a window without a predicted row costs fn. The first min(floor(0.15 n), 750) of the n rows of a stream are
 * probation: what is predicted there is worth nothing. The normalised score is 100 (s - s0) / (s1 - s0), where s0 = -fn
 * windows is what a detector gets that never predicts, and s1 = tp windows what a perfect one gets.
 *
 * Two cases that cannot occur in NAB's own files: behind a window of one row sigma's argument is taken as infinite, and a
 * window that lies within the probation is no window.
 */
#ifndef PSA_MODEL_NAB_SCORE_H
#define PSA_MODEL_NAB_SCORE_H

#include "model/evaluation.h"

struct psa_nab_profile {
    const char *name;
    double tp, fp, fn; /* weights */
};

#define PSA_NAB_PROFILES 3
/* standard, reward_low_FP_rate, reward_low_FN_rate, as in NAB's config/profiles.json. */
extern const struct psa_nab_profile psa_nab_profile[PSA_NAB_PROFILES];

#define PSA_NAB_NO_WINDOW ((size_t)-1)

/* A row beyond the probation. */
struct psa_nab_row {
    double score;  /* -INFINITY: none, never predicted by a threshold */
    double worth;  /* without the profile's weight: in a window sigma(..)/sigma(-1) > 0, elsewhere sigma(..) <= 0 */
    size_t window; /* number of its window, counted over all streams, or PSA_NAB_NO_WINDOW */
    bool predicted;
};

double psa_nab_sigmoid(double y);

/* Rows of the probation of a stream of n rows. */
size_t psa_nab_probation(size_t n);

/*
 * The rows of one stream beyond its probation, into row (room for n). window: its n_window windows, in order, not
 * overlapping. *windows counts those of all streams so far that have a row beyond the probation; this stream's are added.
 * Returns how many rows there are.
 */
size_t psa_nab_rows(const double *score, const bool *predicted, size_t n, const struct psa_range *window,
                    size_t n_window, size_t *windows, struct psa_nab_row *row);

/* The score of the predictions. best: scratch for one number a window. */
double psa_nab_score(const struct psa_nab_profile *profile, const struct psa_nab_row *row, size_t n, size_t windows,
                     double *best);

/* Sort rows by descending score, as psa_nab_best wants them. */
void psa_nab_sort(struct psa_nab_row *row, size_t n);

/*
 * NAB's threshold optimisation: the best score that any threshold gives when rows at or above it count as predicted, and
 * the highest such threshold; +INFINITY: best is to predict nothing. The labels choose it, so it flatters the detector;
 * NAB's leaderboard is made with it.
 */
double psa_nab_best(const struct psa_nab_profile *profile, const struct psa_nab_row *sorted, size_t n, size_t windows,
                    double *best, double *threshold);

/* On the scale where the detector that never predicts has 0 and a perfect one 100; NaN without windows. */
double psa_nab_normalise(const struct psa_nab_profile *profile, double score, size_t windows);

#endif
