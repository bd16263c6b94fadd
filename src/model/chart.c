/* chart.c - see chart.h. */
#include "model/chart.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LEAST_SHARE 0.25 /* of Phase I's variance: a machine at rest shall not make every movement an alarm */
#define ROUNDING 10.0    /* a spread of so many roundings of the mean is none, as scikit-learn's scaler sees it */

int psa_chart_init(struct psa_chart *chart, const struct psa_chart_options *options, size_t n_columns)
{
    *chart = (struct psa_chart){ .options = *options, .n_columns = n_columns, .hold = INFINITY, .raw = NAN };
    psa_warmup_rows_init(&chart->rows, n_columns, options->warmup);
    chart->column = calloc(n_columns + 1, sizeof *chart->column);
    chart->newest = calloc(n_columns + 1, sizeof *chart->newest);
    if (chart->column == NULL || chart->newest == NULL) {
        psa_chart_free(chart);
        return -1;
    }
    for (size_t j = 0; j < n_columns; j++) chart->column[j].mean = NAN;
    return 0;
}

void psa_chart_free(struct psa_chart *chart)
{
    free(chart->column);
    free(chart->newest);
    psa_warmup_rows_free(&chart->rows);
    free(chart->learned);
    *chart = (struct psa_chart){ .n_columns = 0 };
}

/* ---- phase II ------------------------------------------------------------------------------------------------------- */

static double standardised(const struct psa_chart_column *column, double x)
{
    double z = (x - column->mean) / sqrt(column->inflation * column->variance);

    return z > PSA_CHART_FAR ? PSA_CHART_FAR : z >= -PSA_CHART_FAR ? z : -PSA_CHART_FAR; /* never NaN */
}

/* |E| in standard deviations of E. */
static double ewma_step(struct psa_chart_column *column, double z, double lambda)
{
    column->ewma = lambda * z + (1.0 - lambda) * column->ewma;
    column->fade *= (1.0 - lambda) * (1.0 - lambda);
    return fabs(column->ewma) / sqrt(lambda / (2.0 - lambda) * (1.0 - column->fade));
}

static double cusum_step(struct psa_chart_column *column, double z, double allowance, double hold)
{
    z = fmin(fmax(z, -PSA_CHART_OUTLIER), PSA_CHART_OUTLIER);
    column->up = fmin(fmax(0.0, column->up + z - allowance), hold);
    column->down = fmin(fmax(0.0, column->down - z - allowance), hold);
    return fmax(column->up, column->down);
}

/* The next row's score: the largest of its columns'; NaN when none is charted. */
static double chart_row(struct psa_chart *chart, const double *row, double *contribution)
{
    double raw = NAN;

    for (size_t j = 0; j < chart->n_columns; j++) {
        struct psa_chart_column *column = &chart->column[j];
        double score = 0.0;

        if (!isnan(row[j]) && !isnan(column->mean)) {
            double z = standardised(column, row[j]);

            score = chart->options.kind == PSA_CHART_EWMA
                        ? ewma_step(column, z, chart->options.lambda)
                        : cusum_step(column, z, chart->options.allowance, chart->hold);
            raw = fmax(raw, score); /* of a NaN and a number, fmax gives the number */
        }
        if (contribution != NULL) contribution[j] = score * score;
    }
    return raw;
}

/* ---- phase I -------------------------------------------------------------------------------------------------------- */

static void restart(struct psa_chart_column *column)
{
    column->ewma = column->up = column->down = 0.0;
    column->fade = 1.0;
}

/* f: the mean square of what an EWMA chart of a column with f = 1 shows over Phase I. */
static double inflation(const struct psa_chart *chart, size_t j)
{
    struct psa_chart_column column = chart->column[j];
    double sum = 0.0, n = 0.0;

    column.inflation = 1.0;
    restart(&column);
    for (size_t i = 0; i < chart->rows.n; i++) {
        double x = psa_warmup_row(&chart->rows, i)[j], score;

        if (isnan(x)) continue;
        score = ewma_step(&column, standardised(&column, x), chart->options.lambda);
        sum += score * score;
        n += 1.0;
    }
    return fmax(1.0, sum / n);
}

static void learn_column(struct psa_chart *chart, size_t j)
{
    struct psa_chart_column *column = &chart->column[j];
    const double *x = chart->rows.value + j;
    double mean = 0.0, variance = 0.0, n = 0.0, spread;

    for (size_t i = 0; i < chart->rows.n; i++) {
        if (isnan(x[i * chart->n_columns])) continue;
        mean += x[i * chart->n_columns];
        n += 1.0;
    }
    mean /= n;
    for (size_t i = 0; i < chart->rows.n; i++) {
        double d = x[i * chart->n_columns] - mean;

        if (!isnan(d)) variance += d * d;
    }
    variance /= n;
    spread = ROUNDING * DBL_EPSILON * mean;
    if (!(variance > spread * spread)) variance = 1.0;
    column->mean =
        isfinite(mean) && isfinite(variance) ? mean : NAN; /* of no value, or of some near the end of double */
    if (isnan(column->mean)) return;
    column->variance = variance;
    column->least_variance = LEAST_SHARE * variance;
    column->inflation = inflation(chart, j);
}

/* Phase I is over: learn the baseline, score its rows by it, and begin anew. */
static int begin(struct psa_chart *chart)
{
    chart->learned = malloc(chart->rows.n * sizeof *chart->learned);
    if (chart->learned == NULL) return -1;
    for (size_t j = 0; j < chart->n_columns; j++) {
        learn_column(chart, j);
        restart(&chart->column[j]);
    }
    for (size_t i = 0; i < chart->rows.n; i++)
        chart->learned[i] = chart_row(chart, psa_warmup_row(&chart->rows, i), NULL);
    for (size_t j = 0; j < chart->n_columns; j++) restart(&chart->column[j]);
    psa_warmup_rows_free(&chart->rows);
    chart->charting = true;
    return 0;
}

/* ---- rows in ---------------------------------------------------------------------------------------------------------- */

int psa_chart_update(struct psa_chart *chart, const double *row, double *contribution, double *raw)
{
    free(chart->learned);
    chart->learned = NULL;
    *raw = NAN;
    if (chart->charting) {
        *raw = chart_row(chart, row, contribution);
    } else {
        for (size_t j = 0; contribution != NULL && j < chart->n_columns; j++) contribution[j] = 0.0;
        if (psa_warmup_rows_add(&chart->rows, row) != 0) return -1;
        if (chart->rows.n == chart->options.warmup && begin(chart) != 0) {
            chart->rows.n--;
            return -1;
        }
    }
    memcpy(chart->newest, row, chart->n_columns * sizeof *row);
    chart->raw = *raw;
    return 0;
}

/* A CUSUM can leave an outlier without an alarm: the baseline sees it as near as the sums do. */
static void move_baseline(struct psa_chart_column *column, double x, double weight, enum psa_chart_kind kind)
{
    double d = x - column->mean, variance, far;

    if (isnan(d)) return;
    far = PSA_CHART_OUTLIER * sqrt(column->inflation * column->variance);
    if (kind == PSA_CHART_CUSUM) d = fmin(fmax(d, -far), far);
    variance = (1.0 - weight) * (column->variance + weight * d * d);
    if (!isfinite(variance)) return;
    column->mean += weight * d;
    column->variance = fmax(column->least_variance, variance);
}

void psa_chart_judged(struct psa_chart *chart, bool alarm)
{
    double weight = 2.0 / ((double)chart->options.warmup + 1.0);

    if (!alarm) chart->hold = INFINITY;
    if (alarm && !chart->alarm) chart->hold = chart->raw;
    chart->alarm = alarm;
    if (alarm || isnan(chart->raw) || chart->options.freeze) return;
    for (size_t j = 0; j < chart->n_columns; j++)
        move_baseline(&chart->column[j], chart->newest[j], weight, chart->options.kind);
}

void psa_chart_gap(struct psa_chart *chart)
{
    for (size_t j = 0; j < chart->n_columns; j++) restart(&chart->column[j]);
    chart->alarm = false;
    chart->hold = INFINITY;
}

/* ---- soundness -------------------------------------------------------------------------------------------------------- */

static bool column_is_sound(const struct psa_chart_column *column)
{
    if (isnan(column->mean)) return true;
    return isfinite(column->mean) && isfinite(column->variance) && isfinite(column->least_variance) &&
           isfinite(column->inflation) && isfinite(column->ewma) && isfinite(column->up) && isfinite(column->down) &&
           column->least_variance > 0.0 && column->variance >= column->least_variance && column->inflation >= 1.0 &&
           column->fade >= 0.0 && column->fade <= 1.0 && column->up >= 0.0 && column->down >= 0.0;
}

bool psa_chart_is_sound(const struct psa_chart *chart)
{
    if (!chart->charting) return chart->rows.n < chart->options.warmup && !chart->alarm;
    if (chart->rows.value != NULL || (chart->alarm && !(chart->hold >= 0.0))) return false;
    for (size_t j = 0; j < chart->n_columns; j++) {
        if (!column_is_sound(&chart->column[j])) return false;
    }
    return true;
}
