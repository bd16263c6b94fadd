/* dynamic_pca.c - see dynamic_pca.h. */
#include "model/dynamic_pca.h"

#include <cblas.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dsp/quantile.h"

#define BLOCK 64 /* windows stacked at a time while fitting */
#define CONSTANT_WIDTH \
    1e-10 /* a stacked column narrower than this, in standard deviations of its channel, is constant */

/* ---- memory of a fit -------------------------------------------------------------------------------------- */

int psa_dpca_fit_init(struct psa_dpca_fit *fit, size_t n_columns, const size_t *lag, size_t n_lag)
{
    *fit = (struct psa_dpca_fit){ .n_columns = n_columns, .n_part = n_lag, .norm = 1.0 };
    fit->mean = calloc(n_columns + 1, sizeof *fit->mean);
    fit->scale = calloc(n_columns + 1, sizeof *fit->scale);
    if (fit->mean == NULL || fit->scale == NULL) goto failed;
    for (size_t p = 0; p < n_lag; p++) {
        struct psa_dpca_part *part = &fit->part[p];

        part->lag = lag[p];
        part->width = lag[p] * n_columns;
        part->mean = calloc(part->width + 1, sizeof *part->mean);
        part->scale = calloc(part->width + 1, sizeof *part->scale);
        if (part->mean == NULL || part->scale == NULL) goto failed;
    }
    return 0;
failed:
    psa_dpca_fit_free(fit);
    return -1;
}

void psa_dpca_fit_free(struct psa_dpca_fit *fit)
{
    for (size_t p = 0; p < fit->n_part; p++) {
        free(fit->part[p].mean);
        free(fit->part[p].scale);
        free(fit->part[p].component);
    }
    free(fit->mean);
    free(fit->scale);
    *fit = (struct psa_dpca_fit){ 0 };
}

int psa_dpca_part_room(struct psa_dpca_part *part, size_t n)
{
    /* A quarter more than asked: as the reference moves, the number of components moves a little. */
    size_t capacity = n + n / 4 < part->width ? n + n / 4 : part->width;

    if (n <= part->capacity) return 0;
    free(part->component);
    part->component = psa_aligned_doubles(capacity * part->width);
    part->capacity = part->component == NULL ? 0 : capacity;
    return part->component == NULL ? -1 : 0;
}

size_t psa_dpca_longest(const struct psa_dpca_fit *fit)
{
    size_t longest = 0;

    for (size_t p = 0; p < fit->n_part; p++)
        if (fit->part[p].lag > longest) longest = fit->part[p].lag;
    return longest;
}

size_t psa_dpca_windows(const struct psa_dpca_rows *rows, size_t lag)
{
    size_t run = 0, windows = 0;

    for (size_t i = 0; i < rows->n; i++) {
        run = i > 0 && rows->number[i] == rows->number[i - 1] + 1 ? run + 1 : 1;
        if (run >= lag) windows++;
    }
    return windows;
}

int64_t psa_dpca_rows_needed(size_t n_columns, const size_t *lag, size_t n_lag)
{
    size_t longest = 1, sum = 0;
    double each;

    for (size_t p = 0; p < n_lag; p++) {
        sum += lag[p];
        if (lag[p] > longest) longest = lag[p];
    }
    each = longest * n_columns < PSA_DPCA_WIDE ? PSA_DPCA_ROWS : PSA_DPCA_ROWS_WIDE;
    return (int64_t)ceil(each * (double)(sum * n_columns) / (double)n_lag);
}

static size_t channels_of(const struct psa_dpca_fit *fit)
{
    size_t n = 0;

    for (size_t j = 0; j < fit->n_columns; j++) n += fit->scale[j] > 0.0 ? 1 : 0;
    return n;
}

size_t psa_dpca_blind(const struct psa_dpca_fit *fit)
{
    size_t channels = channels_of(fit);

    for (size_t p = 0; p < fit->n_part; p++)
        if (fit->part[p].n_component >= fit->part[p].lag * channels) return fit->part[p].lag;
    return 0;
}

/* ---- fitting ---------------------------------------------------------------------------------------------- */

/* A fit in the making. All arrays lie in the scratch, those of `fit` too: the fit asked for is touched only once this one is
 * whole. */
struct fitting {
    struct psa_dpca_fit *fit;
    size_t n_rows;
    double *z;         /* [n_rows][n_columns], NaN for a missing value */
    double *run;       /* [n_rows]: consecutive rows that end here; small integers */
    double *residual;  /* [n_rows] */
    double *sorted;    /* [n_rows] */
    double *log_score; /* [n_rows] */
    double *window;    /* [BLOCK][width] */
    double *scores;    /* [BLOCK][width] */
    double *matrix;    /* [width][width] */
    double *value;     /* [width] */
    double *space;     /* of psa_eigen */
};

enum { ARRAYS = 12 }; /* of a fitting, beside those of its parts */

/* Begin with `staged`, a fit of the same lags as `asked`, as fitting->fit. false: memory is out. */
static bool lay_out(struct fitting *fitting, struct psa_scratch *scratch, struct psa_dpca_fit *staged,
                    const struct psa_dpca_fit *asked)
{
    size_t c = asked->n_columns, n = fitting->n_rows, width = psa_dpca_longest(asked) * c, at = 0;
    size_t size[ARRAYS + 3 * PSA_DPCA_LAGS_MAX] = {
        n * c, n, n, n, n, BLOCK * width, BLOCK * width, width * width, width, psa_eigen_space(width), c, c
    };
    double **place[ARRAYS + 3 * PSA_DPCA_LAGS_MAX] = { &fitting->z,      &fitting->run,       &fitting->residual,
                                                       &fitting->sorted, &fitting->log_score, &fitting->window,
                                                       &fitting->scores, &fitting->matrix,    &fitting->value,
                                                       &fitting->space,  &staged->mean,       &staged->scale };
    size_t arrays = ARRAYS;

    *staged = (struct psa_dpca_fit){ .n_columns = c, .n_part = asked->n_part };
    for (size_t p = 0; p < asked->n_part; p++) {
        struct psa_dpca_part *part = &staged->part[p];

        *part = (struct psa_dpca_part){ .lag = asked->part[p].lag, .width = asked->part[p].width };
        size[arrays] = size[arrays + 1] = part->width;
        size[arrays + 2] = part->width * part->width;
        place[arrays++] = &part->mean;
        place[arrays++] = &part->scale;
        place[arrays++] = &part->component;
    }
    for (size_t i = 0; i < arrays; i++) at += psa_aligned(size[i]);
    if (psa_scratch_room(scratch, at) == NULL) return false;
    at = 0;
    for (size_t i = 0; i < arrays; i++) {
        *place[i] = scratch->p + at;
        at += psa_aligned(size[i]);
    }
    fitting->fit = staged;
    return true;
}

/* A variance that rounding alone can explain is a constant's, as in scikit-learn's StandardScaler. */
static double width_of(double variance, double mean, double n)
{
    double rounding = n * mean * DBL_EPSILON;

    return variance <= n * DBL_EPSILON * variance + rounding * rounding ? 1.0 : sqrt(variance);
}

static bool is_huge(double value)
{
    return value > PSA_VALUE_MAX || value < -PSA_VALUE_MAX;
}

/* The values of column j into z, missing those too far out to be of the same machine: see dynamic_pca.h. Where fewer than half
 * of the rows have one, all are missing. */
static void take_channel(struct fitting *fitting, const struct psa_dpca_rows *rows, size_t j)
{
    size_t c = fitting->fit->n_columns, n = 0;
    double low, high, width;

    for (size_t i = 0; i < rows->n; i++)
        if (!isnan(rows->value[i * c + j]) && !is_huge(rows->value[i * c + j]))
            fitting->sorted[n++] = rows->value[i * c + j];
    psa_sort(fitting->sorted, n);
    low = psa_quantile_sorted(fitting->sorted, n, PSA_DPCA_TAIL);
    high = psa_quantile_sorted(fitting->sorted, n, 1.0 - PSA_DPCA_TAIL);
    width = high > low ? PSA_DPCA_OUTLYING * (high - low) : INFINITY;
    for (size_t i = 0; i < rows->n; i++) {
        double value = rows->value[i * c + j];
        bool taken = 2 * n >= rows->n && !is_huge(value) && value >= low - width && value <= high + width;

        fitting->z[i * c + j] = taken ? value : NAN;
    }
}

/* Mean and scale of each channel, by two passes; z of every row. */
static void standardise_channels(struct fitting *fitting, const struct psa_dpca_rows *rows)
{
    struct psa_dpca_fit *fit = fitting->fit;
    size_t c = fit->n_columns;

    for (size_t j = 0; j < c; j++) {
        double sum = 0.0, square = 0.0, n = 0.0;

        take_channel(fitting, rows, j);
        for (size_t i = 0; i < rows->n; i++) {
            sum += isnan(fitting->z[i * c + j]) ? 0.0 : fitting->z[i * c + j];
            n += isnan(fitting->z[i * c + j]) ? 0.0 : 1.0;
        }
        fit->mean[j] = n > 0.0 ? sum / n : 0.0;
        for (size_t i = 0; i < rows->n; i++) {
            double apart = isnan(fitting->z[i * c + j]) ? 0.0 : fitting->z[i * c + j] - fit->mean[j];

            square += apart * apart;
        }
        fit->scale[j] = n > 0.0 ? width_of(square / n, fit->mean[j], n) : 0.0;
        for (size_t i = 0; i < rows->n && n > 0.0; i++)
            fitting->z[i * c + j] = (fitting->z[i * c + j] - fit->mean[j]) / fit->scale[j];
    }
    for (size_t i = 0; i < rows->n; i++)
        fitting->run[i] = i > 0 && rows->number[i] == rows->number[i - 1] + 1 ? fitting->run[i - 1] + 1.0 : 1.0;
}

/* z of row e - l, column j, that is column l * n_columns + j of the window that ends at row e. */
static const double *row_of(const struct fitting *fitting, size_t e, size_t l)
{
    return fitting->z + (e - l) * fitting->fit->n_columns;
}

/* Mean and scale of each stacked column over the windows, by two passes, row after row: rows lie in one piece. */
static void standardise_stack(const struct fitting *fitting, struct psa_dpca_part *part)
{
    size_t c = fitting->fit->n_columns, m = part->width;
    double *n = fitting->value; /* of each column, how many values there are; the eigenvalues come later */

    memset(n, 0, m * sizeof *n);
    memset(part->mean, 0, m * sizeof *part->mean);
    memset(part->scale, 0, m * sizeof *part->scale);
    for (size_t e = 0; e < fitting->n_rows; e++)
        for (size_t l = 0; fitting->run[e] >= (double)part->lag && l < part->lag; l++) {
            const double *z = row_of(fitting, e, l);

            for (size_t j = 0; j < c; j++) {
                part->mean[l * c + j] += isnan(z[j]) ? 0.0 : z[j];
                n[l * c + j] += isnan(z[j]) ? 0.0 : 1.0;
            }
        }
    for (size_t k = 0; k < m; k++) part->mean[k] = n[k] > 0.0 ? part->mean[k] / n[k] : 0.0;
    for (size_t e = 0; e < fitting->n_rows; e++)
        for (size_t l = 0; fitting->run[e] >= (double)part->lag && l < part->lag; l++) {
            const double *z = row_of(fitting, e, l), *mean = part->mean + l * c;

            for (size_t j = 0; j < c; j++)
                part->scale[l * c + j] += isnan(z[j]) ? 0.0 : (z[j] - mean[j]) * (z[j] - mean[j]);
        }
    for (size_t k = 0; k < m; k++) {
        double scale = n[k] > 0.0 ? sqrt(part->scale[k] / n[k]) : 0.0;

        part->scale[k] = scale > CONSTANT_WIDTH ? scale : 1.0;
    }
}

/* Standardised windows from row *at on, as many as a block holds, into fitting->window; end[] says where each ends. *at
 * becomes the row behind the last. Returns how many. */
static size_t next_block(const struct fitting *fitting, const struct psa_dpca_part *part, size_t *at, size_t *end)
{
    size_t c = fitting->fit->n_columns, n = 0;

    for (; *at < fitting->n_rows && n < BLOCK; (*at)++) {
        double *window = fitting->window + n * part->width;

        if (fitting->run[*at] < (double)part->lag) continue;
        for (size_t l = 0; l < part->lag; l++) {
            const double *z = row_of(fitting, *at, l);

            for (size_t j = 0; j < c; j++) {
                size_t k = l * c + j;

                window[k] = isnan(z[j]) ? 0.0 : (z[j] - part->mean[k]) / part->scale[k];
            }
        }
        end[n++] = *at;
    }
    return n;
}

/* The components: eigenvectors of the correlation matrix (1/n) W'W, of which enough for `variance`. false: there are none. */
static bool find_components(const struct fitting *fitting, struct psa_dpca_part *part, double variance)
{
    size_t at = 0, windows = 0, n, end[BLOCK], m = part->width;

    memset(fitting->matrix, 0, m * m * sizeof *fitting->matrix);
    while ((n = next_block(fitting, part, &at, end)) > 0) {
        cblas_dsyrk(CblasRowMajor, CblasUpper, CblasTrans, (int)m, (int)n, 1.0, fitting->window, (int)m, 1.0,
                    fitting->matrix, (int)m);
        windows += n;
    }
    if (windows == 0) return false;
    for (size_t k = 0; k < m * m; k++) fitting->matrix[k] /= (double)windows;
    if (psa_eigen(fitting->matrix, m, fitting->value, fitting->space) != 0) return false;
    n = psa_eigen_count(fitting->value, m, variance);
    part->n_component = n;
    for (size_t k = 0; k < n; k++)
        memcpy(part->component + k * m, fitting->matrix + (m - 1 - k) * m, m * sizeof *part->component);
    return true;
}

static double quantile_of(double *value, size_t n)
{
    double quantile;

    psa_sort(value, n);
    quantile = psa_quantile_sorted(value, n, PSA_DPCA_LEVEL);
    return quantile > PSA_DPCA_FLOOR ? quantile : PSA_DPCA_FLOOR;
}

/* The norm of each window's residual, its 99 % quantile, and what this L adds to the logarithm of the scores. */
static void find_limit(const struct fitting *fitting, struct psa_dpca_part *part)
{
    size_t at = 0, windows = 0, n, end[BLOCK], c = fitting->fit->n_columns, m = part->width, k = part->n_component;

    while ((n = next_block(fitting, part, &at, end)) > 0) {
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)n, (int)k, (int)m, 1.0, fitting->window, (int)m,
                    part->component, (int)m, 0.0, fitting->scores, (int)k);
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)n, (int)m, (int)k, -1.0, fitting->scores, (int)k,
                    part->component, (int)m, 1.0, fitting->window, (int)m);
        for (size_t i = 0; i < n; i++) {
            double square = 0.0;

            for (size_t l = 0; l < part->lag; l++) {
                const double *z = row_of(fitting, end[i], l), *residual = fitting->window + i * m + l * c;

                for (size_t j = 0; j < c; j++) square += isnan(z[j]) ? 0.0 : residual[j] * residual[j];
            }
            fitting->residual[end[i]] = sqrt(square);
            fitting->sorted[windows++] = sqrt(square);
        }
    }
    part->limit = quantile_of(fitting->sorted, windows);
    for (size_t e = 0; e < fitting->n_rows; e++)
        if (fitting->run[e] >= (double)part->lag) fitting->log_score[e] += log(fitting->residual[e] / part->limit);
}

/* The geometric means over all L, their 99 % quantile, and the scores on its scale. */
static void find_norm(const struct fitting *fitting, double *score)
{
    struct psa_dpca_fit *fit = fitting->fit;
    double longest = (double)psa_dpca_longest(fit);
    size_t n = 0;

    for (size_t e = 0; e < fitting->n_rows; e++) {
        fitting->residual[e] = exp(fitting->log_score[e] / (double)fit->n_part);
        if (fitting->run[e] >= longest) fitting->sorted[n++] = fitting->residual[e];
    }
    fit->norm = quantile_of(fitting->sorted, n);
    for (size_t e = 0; score != NULL && e < fitting->n_rows; e++)
        score[e] = fitting->run[e] >= longest ? fitting->residual[e] / fit->norm : NAN;
}

/* The staged fit becomes the one asked for. 0, or -1 when memory is out and nothing has changed. */
static int take_over(struct psa_dpca_fit *fit, const struct psa_dpca_fit *staged)
{
    struct psa_dpca_part larger[PSA_DPCA_LAGS_MAX] = { 0 };
    size_t c = fit->n_columns, n = 0;

    for (; n < fit->n_part; n++) {
        larger[n].width = fit->part[n].width;
        if (staged->part[n].n_component > fit->part[n].capacity &&
            psa_dpca_part_room(&larger[n], staged->part[n].n_component) != 0)
            break;
    }
    if (n < fit->n_part) {
        while (n-- > 0) free(larger[n].component);
        return -1;
    }
    memcpy(fit->mean, staged->mean, c * sizeof *fit->mean);
    memcpy(fit->scale, staged->scale, c * sizeof *fit->scale);
    fit->norm = staged->norm;
    for (size_t p = 0; p < fit->n_part; p++) {
        struct psa_dpca_part *part = &fit->part[p];
        const struct psa_dpca_part *from = &staged->part[p];

        if (larger[p].component != NULL) {
            free(part->component);
            part->component = larger[p].component;
            part->capacity = larger[p].capacity;
        }
        memcpy(part->mean, from->mean, part->width * sizeof *part->mean);
        memcpy(part->scale, from->scale, part->width * sizeof *part->scale);
        memcpy(part->component, from->component, from->n_component * part->width * sizeof *part->component);
        part->n_component = from->n_component;
        part->limit = from->limit;
    }
    return 0;
}

int psa_dpca_fit_make(struct psa_dpca_fit *fit, const struct psa_dpca_rows *rows, double variance,
                      struct psa_scratch *scratch, double *score)
{
    struct fitting fitting = { .n_rows = rows->n };
    struct psa_dpca_fit staged;

    if (psa_dpca_windows(rows, psa_dpca_longest(fit)) == 0) return 1;
    if (!lay_out(&fitting, scratch, &staged, fit)) return -1;
    psa_linear_serial();
    standardise_channels(&fitting, rows);
    if (channels_of(&staged) == 0) return 1;
    memset(fitting.log_score, 0, rows->n * sizeof *fitting.log_score);
    for (size_t p = 0; p < staged.n_part; p++) {
        standardise_stack(&fitting, &staged.part[p]);
        if (!find_components(&fitting, &staged.part[p], variance)) return 1;
        find_limit(&fitting, &staged.part[p]);
    }
    find_norm(&fitting, score);
    return take_over(fit, &staged);
}

/* ---- scoring ---------------------------------------------------------------------------------------------- */

/* Four sums side by side: a single one would wait for each addition. */
static double dot(const double *a, const double *b, size_t n)
{
    double sum[4] = { 0.0 };
    size_t i = 0;

    for (; i + 4 <= n; i += 4)
        for (size_t lane = 0; lane < 4; lane++) sum[lane] += a[i + lane] * b[i + lane];
    for (; i < n; i++) sum[0] += a[i] * b[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/* A place that has a part in the fit and no value. */
static bool is_missing(const struct psa_dpca_fit *fit, const double *z, size_t k)
{
    return fit->n_columns > 0 && isnan(z[k]) && fit->scale[k % fit->n_columns] > 0.0;
}

/* What a window with n_missing places is projected by, in the scratch. With B the missing places of the components,
 * P_O' P_O + ridge I = (1 + ridge) I - B B', and its inverse that of a matrix as small as B's smaller side (Woodbury). */
struct projection {
    size_t n_missing, n; /* n: the smaller one of components and missing places */
    double *t;           /* [n_component] */
    double *b;           /* [n_component][n_missing] */
    double *matrix;      /* [n][n] */
    double *u, *v;       /* [n_missing] */
};

static bool room_of(struct projection *by, const struct psa_dpca_part *part, struct psa_scratch *scratch)
{
    size_t k = part->n_component, q = by->n_missing;
    double *at;

    by->n = q < k ? q : k;
    at = psa_scratch_room(scratch,
                          psa_aligned(k) + psa_aligned(k * q) + psa_aligned(by->n * by->n) + 2 * psa_aligned(q));
    if (at == NULL) return false;
    by->t = at;
    by->b = by->t + psa_aligned(k);
    by->matrix = by->b + psa_aligned(k * q);
    by->u = by->matrix + psa_aligned(by->n * by->n);
    by->v = by->u + psa_aligned(q);
    return true;
}

/* The missing places of the components, and the small matrix's inverse. */
static void invert(const struct projection *by, const struct psa_dpca_fit *fit, const struct psa_dpca_part *part,
                   const double *z)
{
    bool is_inner = by->n_missing < part->n_component; /* B'B, else B B' */
    size_t n = by->n, at = 0, other = is_inner ? part->n_component : by->n_missing;

    for (size_t i = 0; i < part->n_component; i++)
        for (size_t k = 0; k < part->width; k++)
            if (is_missing(fit, z, k)) by->b[at++] = part->component[i * part->width + k];
    memset(by->matrix, 0, n * n * sizeof *by->matrix);
    for (size_t i = 0; i < n; i++) by->matrix[i * n + i] = 1.0 + PSA_DPCA_RIDGE;
    psa_linear_serial();
    cblas_dsyrk(CblasRowMajor, CblasUpper, is_inner ? CblasTrans : CblasNoTrans, (int)n, (int)other, -1.0, by->b,
                (int)by->n_missing, 1.0, by->matrix, (int)n);
    (void)psa_inverse(by->matrix, n); /* the eigenvalues are at least the ridge */
}

/* t = P_O' w_O becomes the scores. */
static void solve(const struct projection *by, size_t n_component)
{
    int k = (int)n_component, q = (int)by->n_missing;

    if (by->n == n_component) {
        memcpy(by->b, by->t, n_component * sizeof *by->t); /* there is room: a component has a missing place at least */
        cblas_dsymv(CblasRowMajor, CblasUpper, k, 1.0, by->matrix, k, by->b, 1, 0.0, by->t, 1);
        return;
    }
    cblas_dgemv(CblasRowMajor, CblasTrans, k, q, 1.0, by->b, q, by->t, 1, 0.0, by->u, 1);
    cblas_dsymv(CblasRowMajor, CblasUpper, q, 1.0, by->matrix, q, by->u, 1, 0.0, by->v, 1);
    cblas_dgemv(CblasRowMajor, CblasNoTrans, k, q, 1.0, by->b, q, by->v, 1, 1.0, by->t, 1);
    for (size_t i = 0; i < n_component; i++) by->t[i] /= 1.0 + PSA_DPCA_RIDGE;
}

/* trace (I - H)^2 of the places that are there: places - components + the sum of (ridge / (g + ridge))^2 over the eigenvalues g of
 * P_O' P_O. */
static double trace_of(const struct projection *by, size_t places, size_t n_component)
{
    double sum = (double)(n_component - by->n) / ((1.0 + PSA_DPCA_RIDGE) * (1.0 + PSA_DPCA_RIDGE));

    for (size_t i = 0; i < by->n; i++) {
        const double *row = by->matrix + i * by->n;

        sum += row[i] * row[i];
        for (size_t j = i + 1; j < by->n; j++) sum += 2.0 * row[j] * row[j];
    }
    return (double)places - (double)n_component + PSA_DPCA_RIDGE * PSA_DPCA_RIDGE * sum;
}

/* The scores of a window w, 0 where it is missing, into by->t; returns the factor of the residual's square. */
static double project(const struct projection *by, const struct psa_dpca_fit *fit, const struct psa_dpca_part *part,
                      const double *z, const double *w)
{
    size_t places = part->lag * channels_of(fit), k = part->n_component;
    double trace, left = (double)places - (double)k;

    for (size_t i = 0; i < k; i++) by->t[i] = dot(part->component + i * part->width, w, part->width);
    invert(by, fit, part, z);
    trace = trace_of(by, places - by->n_missing, k);
    solve(by, k);
    if (left <= 0.0) return 1.0;
    return trace * PSA_DPCA_FACTOR_MAX > left ? left / trace : PSA_DPCA_FACTOR_MAX;
}

/* The squares of w - P t into residual, 0 where z is missing; *square becomes their sum. 0, or -1 when memory is out. */
static int residual_of(const struct psa_dpca_fit *fit, const struct psa_dpca_part *part, const double *z, double *w,
                       double *residual, struct psa_scratch *scratch, double *square)
{
    struct projection by = { 0 };
    size_t m = part->width;
    double factor = 1.0;

    for (size_t k = 0; k < m; k++) {
        residual[k] = w[k] = isnan(z[k]) ? 0.0 : (z[k] - part->mean[k]) / part->scale[k];
        by.n_missing += is_missing(fit, z, k) ? 1 : 0;
    }
    if (by.n_missing > 0) {
        if (!room_of(&by, part, scratch)) return -1;
        factor = project(&by, fit, part, z, w);
    }
    for (size_t i = 0; i < part->n_component; i++) {
        const double *component = part->component + i * m;
        double t = by.n_missing > 0 ? by.t[i] : dot(component, w, m);

        for (size_t k = 0; k < m; k++) residual[k] -= t * component[k];
    }
    *square = 0.0;
    for (size_t k = 0; k < m; k++) {
        residual[k] = isnan(z[k]) ? 0.0 : factor * (residual[k] * residual[k]);
        *square += residual[k];
    }
    return 0;
}

int psa_dpca_fit_score(const struct psa_dpca_fit *fit, const double *stack, double *contribution, double *space,
                       struct psa_scratch *scratch, double *score)
{
    size_t c = fit->n_columns, width = psa_dpca_longest(fit) * c;
    double *z = space, *w = space + width, *residual = w + width, sum = 0.0;

    for (size_t k = 0; k < width; k++) {
        double scale = fit->scale[k % c];

        z[k] = scale > 0.0 ? psa_value_clamped((psa_value_clamped(stack[k]) - fit->mean[k % c]) / scale) : NAN;
    }
    for (size_t j = 0; contribution != NULL && j < c; j++) contribution[j] = 0.0;
    for (size_t p = 0; p < fit->n_part; p++) {
        const struct psa_dpca_part *part = &fit->part[p];
        double square;

        if (residual_of(fit, part, z, w, residual, scratch, &square) != 0) return -1;
        sum += log(sqrt(square) / part->limit);
        for (size_t l = 0; contribution != NULL && square > 0.0 && l < part->lag; l++)
            for (size_t j = 0; j < c; j++) contribution[j] += residual[l * c + j] / square;
    }
    *score = exp(sum / (double)fit->n_part) / fit->norm;
    if (!(*score <= DBL_MAX)) *score = DBL_MAX;
    return 0;
}

/* ---- a stream --------------------------------------------------------------------------------------------- */

static int queue_init(struct psa_dpca_queue *queue, size_t capacity, size_t n_columns)
{
    *queue = (struct psa_dpca_queue){ .capacity = capacity, .room = capacity + capacity / 4 + 8 };
    queue->value = calloc(queue->room * n_columns + 1, sizeof *queue->value);
    queue->number = calloc(queue->room, sizeof *queue->number);
    return queue->value == NULL || queue->number == NULL ? -1 : 0;
}

static void drop_oldest(struct psa_dpca_queue *queue)
{
    queue->first++;
    queue->n--;
}

void psa_dpca_put(struct psa_dpca_queue *queue, size_t n_columns, const double *row, int64_t number)
{
    if (queue->n == queue->capacity) drop_oldest(queue);
    if (queue->first + queue->n == queue->room) {
        memmove(queue->value, queue->value + queue->first * n_columns, queue->n * n_columns * sizeof *queue->value);
        memmove(queue->number, queue->number + queue->first, queue->n * sizeof *queue->number);
        queue->first = 0;
    }
    memcpy(queue->value + (queue->first + queue->n) * n_columns, row, n_columns * sizeof *row);
    queue->number[queue->first + queue->n] = number;
    queue->n++;
}

int psa_dpca_start(struct psa_dpca *dpca, const struct psa_dpca_settings *settings, const struct psa_dpca_fit *given)
{
    size_t c = settings->n_columns, most;

    *dpca = (struct psa_dpca){ .settings = *settings, .given = given, .number = -1, .last_alarm = -1 };
    for (size_t p = 0; p < settings->n_lag; p++)
        if (settings->lag[p] > dpca->longest) dpca->longest = settings->lag[p];
    most = (size_t)(settings->warmup > settings->reference ? settings->warmup : settings->reference);
    dpca->stack = calloc(dpca->longest * c + 1, sizeof *dpca->stack);
    dpca->space = calloc(3 * dpca->longest * c + 1, sizeof *dpca->space);
    if (dpca->stack == NULL || dpca->space == NULL) goto failed;
    if (psa_dpca_learns(dpca) &&
        (psa_dpca_fit_init(&dpca->fit, c, settings->lag, settings->n_lag) != 0 ||
         queue_init(&dpca->waiting, (size_t)settings->guard + 1, c) != 0 || queue_init(&dpca->normal, most, c) != 0))
        goto failed;
    return 0;
failed:
    psa_dpca_stop(dpca);
    return -1;
}

void psa_dpca_stop(struct psa_dpca *dpca)
{
    psa_dpca_fit_free(&dpca->fit);
    free(dpca->stack);
    free(dpca->space);
    free(dpca->waiting.value);
    free(dpca->waiting.number);
    free(dpca->normal.value);
    free(dpca->normal.number);
    free(dpca->learned);
    *dpca = (struct psa_dpca){ 0 };
}

/* Does it still need its rows: is a first fit to be made, or does it go on? */
bool psa_dpca_learns(const struct psa_dpca *dpca)
{
    return dpca->settings.refit > 0 || (dpca->given == NULL && !dpca->has_fit);
}

/* Rows that have waited long enough are normal, or near an alarm and forgotten. */
static void settle(struct psa_dpca *dpca)
{
    struct psa_dpca_queue *waiting = &dpca->waiting;
    size_t c = dpca->settings.n_columns;
    int64_t guard = dpca->settings.guard;

    if (dpca->alarm) dpca->last_alarm = dpca->number;
    while (waiting->n > 0 && waiting->number[waiting->first] <= dpca->number - guard) {
        int64_t number = waiting->number[waiting->first];

        if (dpca->last_alarm < 0 || dpca->last_alarm < number - guard)
            psa_dpca_put(&dpca->normal, c, waiting->value + waiting->first * c, number);
        drop_oldest(waiting);
    }
}

/* The first fit: of all rows so far. */
static int fit_first(struct psa_dpca *dpca, struct psa_scratch *scratch)
{
    const struct psa_dpca_queue *queue[2] = { &dpca->normal, &dpca->waiting };
    size_t c = dpca->settings.n_columns, total = dpca->normal.n + dpca->waiting.n, at = 0, n = 0;
    double *value = malloc((total * c + 1) * sizeof *value);
    int64_t *number = malloc((total + 1) * sizeof *number);
    int failed = -1;

    dpca->learned = malloc((total + 1) * sizeof *dpca->learned);
    if (value != NULL && number != NULL && dpca->learned != NULL) {
        for (size_t q = 0; q < 2; at += queue[q]->n, q++) {
            memcpy(value + at * c, queue[q]->value + queue[q]->first * c, queue[q]->n * c * sizeof *value);
            memcpy(number + at, queue[q]->number + queue[q]->first, queue[q]->n * sizeof *number);
        }
        failed = psa_dpca_fit_make(&dpca->fit, &(struct psa_dpca_rows){ value, number, total }, dpca->settings.variance,
                                   scratch, dpca->learned);
    }
    free(value);
    free(number);
    dpca->has_fit = dpca->fresh = failed == 0;
    dpca->barren = failed > 0;
    for (size_t i = 0; failed == 0 && i < total; i++)
        if (!isnan(dpca->learned[i])) dpca->learned[n++] = dpca->learned[i];
    dpca->n_learned = n;
    return failed < 0 ? -1 : 0;
}

/* A fit of the last rows judged normal, where they hold windows enough; where they give none, the last one stays. */
static int fit_again(struct psa_dpca *dpca, struct psa_scratch *scratch)
{
    const struct psa_dpca_queue *normal = &dpca->normal;
    size_t n = (size_t)dpca->settings.reference < normal->n ? (size_t)dpca->settings.reference : normal->n;
    size_t from = normal->first + normal->n - n;
    struct psa_dpca_rows rows = { normal->value + from * dpca->settings.n_columns, normal->number + from, n };
    int failed;

    if (psa_dpca_windows(&rows, dpca->longest) * 2 < (size_t)dpca->settings.reference) return 0;
    failed = psa_dpca_fit_make(&dpca->fit, &rows, dpca->settings.variance, scratch, NULL);
    if (failed == 0) dpca->has_fit = dpca->fresh = true;
    return failed < 0 ? -1 : 0;
}

int psa_dpca_update(struct psa_dpca *dpca, const double *row, struct psa_scratch *scratch, double *contribution,
                    double *raw)
{
    const struct psa_dpca_settings *settings = &dpca->settings;
    int64_t past = dpca->seen - settings->warmup, retry = settings->refit > 0 ? settings->refit : settings->warmup;
    bool learns = psa_dpca_learns(dpca), fitted = dpca->has_fit || dpca->given != NULL;
    size_t c = settings->n_columns;

    free(dpca->learned);
    dpca->learned = NULL;
    dpca->n_learned = 0;
    dpca->fresh = dpca->barren = false;
    if (learns && dpca->seen > 0) settle(dpca);
    if (fitted && settings->refit > 0 && past > 0 && past % settings->refit == 0 && fit_again(dpca, scratch) != 0)
        return -1;
    dpca->alarm = false;
    dpca->seen++;
    dpca->number++;
    if (learns) psa_dpca_put(&dpca->waiting, c, row, dpca->number);
    memmove(dpca->stack + c, dpca->stack, (dpca->longest - 1) * c * sizeof *dpca->stack);
    memcpy(dpca->stack, row, c * sizeof *row);
    if (dpca->n_stack < dpca->longest) dpca->n_stack++;
    *raw = NAN;
    if (!fitted) return past + 1 >= 0 && (past + 1) % retry == 0 ? fit_first(dpca, scratch) : 0;
    if (dpca->n_stack < dpca->longest) return 0;
    return psa_dpca_fit_score(dpca->has_fit ? &dpca->fit : dpca->given, dpca->stack, contribution, dpca->space, scratch,
                              raw);
}

void psa_dpca_judged(struct psa_dpca *dpca, bool alarm)
{
    dpca->alarm = alarm;
}

void psa_dpca_gap(struct psa_dpca *dpca)
{
    if (dpca->n_stack == 0) return;
    /* The row before the gap is judged by what was known then; its alarm must not be lost with the number. */
    if (dpca->alarm) dpca->last_alarm = dpca->number;
    dpca->alarm = false;
    dpca->number++;
    dpca->n_stack = 0;
}
