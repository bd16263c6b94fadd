/* evaluation.c - see evaluation.h. */
#include "model/evaluation.h"

#include <math.h>
#include <stdlib.h>

#include "dsp/quantile.h"

size_t psa_ranges_of(const bool *flag, size_t from, size_t n, struct psa_range *range)
{
    size_t found = 0;

    for (size_t i = from; i < n; i++) {
        size_t first = i;

        if (!flag[i]) continue;
        while (i + 1 < n && flag[i + 1]) i++;
        if (range != NULL) range[found] = (struct psa_range){ first, i };
        found++;
    }
    return found;
}

/* ---- points ----------------------------------------------------------------------------------------------------------- */

static double quotient(double above, double below)
{
    return below > 0.0 ? above / below : NAN;
}

void psa_confusion_add(struct psa_confusion *counts, const bool *predicted, const bool *labelled, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        counts->tp += predicted[i] && labelled[i];
        counts->fp += predicted[i] && !labelled[i];
        counts->fn += !predicted[i] && labelled[i];
        counts->tn += !predicted[i] && !labelled[i];
    }
}

double psa_confusion_precision(const struct psa_confusion *counts)
{
    return quotient((double)counts->tp, (double)(counts->tp + counts->fp));
}

double psa_confusion_recall(const struct psa_confusion *counts)
{
    return quotient((double)counts->tp, (double)(counts->tp + counts->fn));
}

double psa_confusion_f1(const struct psa_confusion *counts)
{
    return quotient((double)counts->tp, (double)counts->tp + 0.5 * (double)(counts->fp + counts->fn));
}

double psa_confusion_far(const struct psa_confusion *counts)
{
    return quotient((double)counts->fp, (double)(counts->fp + counts->tn));
}

double psa_confusion_mar(const struct psa_confusion *counts)
{
    return quotient((double)counts->fn, (double)(counts->fn + counts->tp));
}

/* ---- ranges ----------------------------------------------------------------------------------------------------------- */

/* Rows that two ranges share. */
static size_t shared(struct psa_range a, struct psa_range b)
{
    size_t first = a.first > b.first ? a.first : b.first;
    size_t last = a.last < b.last ? a.last : b.last;

    return first <= last ? last - first + 1 : 0;
}

/* The sum over `range` of their rewards against `other`. Both are in order, so that no range of `other` that ended before
 * one of `range` began is looked at again. */
static double rewards(const struct psa_range *range, size_t n, const struct psa_range *other, size_t n_other)
{
    double sum = 0.0;
    size_t from = 0;

    for (size_t i = 0; i < n; i++) {
        size_t covered = 0, x = 0;

        while (from < n_other && other[from].last < range[i].first) from++;
        for (size_t j = from; j < n_other && other[j].first <= range[i].last; j++) {
            covered += shared(range[i], other[j]);
            x++;
        }
        if (x > 0) sum += (double)covered / (double)(range[i].last - range[i].first + 1) / (double)x;
    }
    return sum;
}

void psa_range_sums_add(struct psa_range_sums *sums, const struct psa_range *labelled, size_t n_labelled,
                        const struct psa_range *predicted, size_t n_predicted)
{
    sums->labelled_reward += rewards(labelled, n_labelled, predicted, n_predicted);
    sums->predicted_reward += rewards(predicted, n_predicted, labelled, n_labelled);
    sums->labelled += n_labelled;
    sums->predicted += n_predicted;
}

double psa_range_precision(const struct psa_range_sums *sums)
{
    return quotient(sums->predicted_reward, (double)sums->predicted);
}

double psa_range_recall(const struct psa_range_sums *sums)
{
    return quotient(sums->labelled_reward, (double)sums->labelled);
}

double psa_range_f1(const struct psa_range_sums *sums)
{
    double precision = psa_range_precision(sums), recall = psa_range_recall(sums);

    if (sums->labelled + sums->predicted == 0) return NAN;
    return precision > 0.0 && recall > 0.0 ? 2.0 * precision * recall / (precision + recall) : 0.0;
}

/* ---- delay and false alarms --------------------------------------------------------------------------------------------- */

size_t psa_detection_delays(const bool *predicted, const struct psa_range *labelled, size_t n_labelled, int64_t *rows)
{
    size_t found = 0;

    for (size_t i = 0; i < n_labelled; i++) {
        size_t at = labelled[i].first;

        while (at <= labelled[i].last && !predicted[at]) at++;
        rows[i] = at <= labelled[i].last ? (int64_t)(at - labelled[i].first) : -1;
        found += rows[i] >= 0;
    }
    return found;
}

struct psa_summary psa_summarise(double *value, size_t n)
{
    struct psa_summary summary = { NAN, NAN, NAN };
    double sum = 0.0;

    if (n == 0) return summary;
    psa_sort(value, n);
    for (size_t i = 0; i < n; i++) sum += value[i];
    summary.mean = sum / (double)n;
    summary.median = 0.5 * (value[(n - 1) / 2] + value[n / 2]);
    summary.max = value[n - 1];
    return summary;
}

size_t psa_false_alarms(const struct psa_range *labelled, size_t n_labelled, const struct psa_range *predicted,
                        size_t n_predicted)
{
    size_t alarms = 0, at = 0;

    for (size_t i = 0; i < n_predicted; i++) {
        while (at < n_labelled && labelled[at].last < predicted[i].first) at++;
        alarms += at == n_labelled || labelled[at].first > predicted[i].last;
    }
    return alarms;
}

double psa_elapsed_ns(int64_t from_ns, int64_t to_ns)
{
    int64_t step;

    return __builtin_sub_overflow(to_ns, from_ns, &step) ? (double)to_ns - (double)from_ns : (double)step;
}

double psa_normal_time_ns(const int64_t *time_ns, const bool *labelled, size_t from, size_t n)
{
    double sum = 0.0;

    for (size_t i = from + 1; i < n; i++)
        if (!labelled[i - 1] && !labelled[i]) sum += psa_elapsed_ns(time_ns[i - 1], time_ns[i]);
    return sum;
}

/* ---- ranking by score --------------------------------------------------------------------------------------------------- */

static int compare_scored(const void *a, const void *b)
{
    double x = ((const struct psa_scored *)a)->score, y = ((const struct psa_scored *)b)->score;

    return (x < y) - (x > y);
}

void psa_scored_sort(struct psa_scored *row, size_t n)
{
    qsort(row, n, sizeof *row, compare_scored);
}

/* Rows of both kinds with the score of row[*at], which is moved behind them. */
static void take_ties(const struct psa_scored *row, size_t n, size_t *at, uint64_t *anomalous, uint64_t *normal)
{
    double score = row[*at].score;

    *anomalous = *normal = 0;
    for (; *at < n && row[*at].score == score; ++*at) {
        *anomalous += row[*at].labelled;
        *normal += !row[*at].labelled;
    }
}

double psa_roc_area(const struct psa_scored *row, size_t n)
{
    uint64_t anomalous, normal, above = 0, all_normal = 0;
    double pairs = 0.0; /* of an anomalous row and a normal one, the anomalous one scoring higher */

    for (size_t at = 0; at < n;) {
        take_ties(row, n, &at, &anomalous, &normal);
        pairs += (double)normal * ((double)above + 0.5 * (double)anomalous);
        above += anomalous;
        all_normal += normal;
    }
    return quotient(pairs, (double)above * (double)all_normal);
}

double psa_pr_area(const struct psa_scored *row, size_t n)
{
    uint64_t anomalous, normal, found = 0, all = 0;
    double sum = 0.0;

    for (size_t at = 0; at < n;) {
        take_ties(row, n, &at, &anomalous, &normal);
        found += anomalous;
        all += anomalous + normal;
        sum += (double)anomalous * ((double)found / (double)all);
    }
    return quotient(sum, (double)found);
}

void psa_sweep_begin(struct psa_sweep *sweep, const struct psa_scored *row, size_t n)
{
    *sweep = (struct psa_sweep){ .row = row, .n = n };
    for (size_t i = 0; i < n; i++) {
        sweep->point.counts.fn += row[i].labelled;
        sweep->point.counts.tn += !row[i].labelled;
    }
}

bool psa_sweep_next(struct psa_sweep *sweep)
{
    struct psa_confusion *counts = &sweep->point.counts;
    uint64_t anomalous, normal;

    if (sweep->at == sweep->n || sweep->row[sweep->at].score == -INFINITY) return false;
    sweep->point.threshold = sweep->row[sweep->at].score;
    take_ties(sweep->row, sweep->n, &sweep->at, &anomalous, &normal);
    counts->tp += anomalous;
    counts->fn -= anomalous;
    counts->fp += normal;
    counts->tn -= normal;
    return true;
}

bool psa_sweep_best(const struct psa_scored *row, size_t n, struct psa_operating_point *best)
{
    struct psa_sweep sweep;
    double best_f1 = -1.0;

    psa_sweep_begin(&sweep, row, n);
    if (sweep.point.counts.fn == 0) return false;
    while (psa_sweep_next(&sweep)) {
        double f1 = psa_confusion_f1(&sweep.point.counts);

        if (!(f1 > best_f1)) continue;
        best_f1 = f1;
        *best = sweep.point;
    }
    return best_f1 >= 0.0;
}
