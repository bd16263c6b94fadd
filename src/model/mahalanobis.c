/* mahalanobis.c - see mahalanobis.h. */
#include "model/mahalanobis.h"

#include <cblas.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <lapacke.h>

#include "dsp/quantile.h"
#include "model/linear.h"
#include "model/random.h"

#define STARTS 500      /* random subsets, shared by the nested ones */
#define BEST 10         /* that are kept */
#define NESTED_MIN 600  /* more rows than this are nested */
#define NESTED_ROWS 300 /* rows of a nested subset */
#define NESTED_MAX 5    /* nested subsets */
#define STEPS_MAX 100   /* C-steps until convergence; a dozen is usual */
#define PIVOT_MIN 1e-12 /* a pivot below this share of its column's variance is rounding: the matrix is singular */
#define EQUAL_MIN 5     /* equal values in a few rows are chance */
#define BLOCK 64        /* rows at a time */

int psa_mahalanobis_init(struct psa_mahalanobis *model, size_t n_columns)
{
    *model = (struct psa_mahalanobis){ .n_columns = n_columns };
    model->mean = calloc(n_columns + 1, sizeof *model->mean);
    model->covariance = calloc(n_columns * n_columns + 1, sizeof *model->covariance);
    if (model->mean != NULL && model->covariance != NULL) return 0;
    psa_mahalanobis_free(model);
    return -1;
}

void psa_mahalanobis_free(struct psa_mahalanobis *model)
{
    free(model->mean);
    free(model->covariance);
    *model = (struct psa_mahalanobis){ 0 };
}

/* ---- chi-square ------------------------------------------------------------------------------------------- */

/* P(a, x), the lower incomplete gamma function over the complete one. */
static double incomplete_gamma(double a, double x)
{
    int sign;
    double front = exp(a * log(x) - x - lgamma_r(a, &sign)), term = 1.0 / a, sum = term, b, c, d, h;

    if (x < a + 1.0) {
        for (size_t k = 1; term > sum * DBL_EPSILON / 4.0; k++) {
            term *= x / (a + (double)k);
            sum += term;
        }
        return front * sum;
    }
    b = x + 1.0 - a;
    c = 1.0 / DBL_MIN;
    d = 1.0 / b;
    h = d;
    for (size_t k = 1; k < 10000; k++) {
        double part = -(double)k * ((double)k - a), change;

        b += 2.0;
        d = 1.0 / (part * d + b);
        c = b + part / c;
        change = d * c;
        h *= change;
        if (fabs(change - 1.0) < DBL_EPSILON) break;
    }
    return 1.0 - front * h;
}

double psa_chi_square_quantile(size_t n, double level)
{
    double low = 0.0, high = 1.0, a = (double)n / 2.0;

    while (incomplete_gamma(a, high / 2.0) < level) high *= 2.0;
    for (int i = 0; i < 100; i++) {
        double middle = 0.5 * (low + high);

        if (incomplete_gamma(a, middle / 2.0) < level) low = middle;
        else high = middle;
    }
    return 0.5 * (low + high);
}

/* ---- estimates -------------------------------------------------------------------------------------------- */

/* Mean and covariance of some rows; the arrays lie in a pool. */
struct estimate {
    double log_det; /* of the covariance; INFINITY: none yet */
    double *mean;   /* [c] */
    double *factor; /* [c][c], lower triangle: Cholesky's */
};

/* What a search works with. */
struct search {
    size_t c;
    const double *noise;       /* [c], variance of the quantisation */
    double *block;             /* [BLOCK][c] */
    double *distance, *sorted; /* [n_rows] */
    size_t *chosen;            /* [n_rows] */
    size_t singular;           /* the column at which the last factorisation failed */
};

/* Mean and covariance (its lower triangle, divided by n) of the rows chosen. */
static void describe_rows(const struct search *search, const double *rows, const size_t *chosen, size_t n, double *mean,
                          double *covariance)
{
    size_t c = search->c;

    memset(mean, 0, c * sizeof *mean);
    memset(covariance, 0, c * c * sizeof *covariance);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < c; j++) mean[j] += rows[chosen[i] * c + j];
    for (size_t j = 0; j < c; j++) mean[j] /= (double)n;
    for (size_t from = 0; from < n; from += BLOCK) {
        size_t m = n - from < BLOCK ? n - from : BLOCK;

        for (size_t i = 0; i < m; i++)
            for (size_t j = 0; j < c; j++) search->block[i * c + j] = rows[chosen[from + i] * c + j] - mean[j];
        cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, (int)c, (int)m, 1.0 / (double)n, search->block, (int)c, 1.0,
                    covariance, (int)c);
    }
    for (size_t j = 0; j < c; j++) covariance[j * c + j] += search->noise[j];
}

/* Cholesky's factor in place of the lower triangle, and the logarithm of the determinant. false: it is singular. */
static bool factorise(struct search *search, double *matrix, double *log_det)
{
    size_t c = search->c;
    double *variance = search->block; /* BLOCK * c are room enough */
    lapack_int failed;

    for (size_t j = 0; j < c; j++) variance[j] = matrix[j * c + j];
    failed = LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'U', (lapack_int)c, matrix, (lapack_int)c);
    if (failed != 0) {
        search->singular = failed > 0 ? (size_t)failed - 1 : 0;
        return false;
    }
    *log_det = 0.0;
    for (size_t j = 0; j < c; j++) {
        double pivot = matrix[j * c + j];

        if (!(pivot * pivot > PIVOT_MIN * variance[j])) {
            search->singular = j;
            return false;
        }
        *log_det += 2.0 * log(pivot);
    }
    return true;
}

static bool estimate_from(struct search *search, struct estimate *estimate, const double *rows, const size_t *chosen,
                          size_t n)
{
    describe_rows(search, rows, chosen, n, estimate->mean, estimate->factor);
    if (factorise(search, estimate->factor, &estimate->log_det)) return true;
    estimate->log_det = INFINITY;
    return false;
}

/* Squared distances of n rows by an estimate: y L' = x - m, D2 = y y'. */
static void measure(const struct search *search, const struct estimate *estimate, const double *rows, size_t n)
{
    size_t c = search->c;

    for (size_t from = 0; from < n; from += BLOCK) {
        size_t m = n - from < BLOCK ? n - from : BLOCK;

        for (size_t i = 0; i < m; i++)
            for (size_t j = 0; j < c; j++) search->block[i * c + j] = rows[(from + i) * c + j] - estimate->mean[j];
        cblas_dtrsm(CblasRowMajor, CblasRight, CblasLower, CblasTrans, CblasNonUnit, (int)m, (int)c, 1.0,
                    estimate->factor, (int)c, search->block, (int)c);
        for (size_t i = 0; i < m; i++) {
            double square = 0.0;

            for (size_t j = 0; j < c; j++) square += search->block[i * c + j] * search->block[i * c + j];
            search->distance[from + i] = square;
        }
    }
}

/* The h rows with the least distances; of equal ones the first. */
static void choose_nearest(const struct search *search, size_t n, size_t h)
{
    size_t taken = 0, below = 0;
    double limit;

    memcpy(search->sorted, search->distance, n * sizeof *search->sorted);
    psa_sort(search->sorted, n);
    limit = search->sorted[h - 1];
    for (size_t i = 0; i < n; i++) below += search->distance[i] < limit;
    for (size_t i = 0, equal = h - below; i < n && taken < h; i++) {
        bool is_equal = search->distance[i] == limit;

        if (!(search->distance[i] < limit) && !(is_equal && equal > 0)) continue;
        if (is_equal) equal--;
        search->chosen[taken++] = i;
    }
}

/* A C-step on n rows. false: the new estimate is singular. */
static bool c_step(struct search *search, struct estimate *estimate, const double *rows, size_t n, size_t h)
{
    measure(search, estimate, rows, n);
    choose_nearest(search, n, h);
    return estimate_from(search, estimate, rows, search->chosen, h);
}

/* ---- the search ------------------------------------------------------------------------------------------- */

/* The best estimates so far, the best first. */
struct pool {
    size_t n;
    struct estimate *estimate; /* [n] */
    struct estimate spare;
    double *memory;
};

static bool pool_init(struct pool *pool, size_t n, size_t c)
{
    size_t size = psa_aligned(c) + psa_aligned(c * c);

    *pool = (struct pool){ .n = n, .estimate = calloc(n + 1, sizeof *pool->estimate) };
    pool->memory = psa_aligned_doubles((n + 1) * size);
    if (pool->estimate == NULL || pool->memory == NULL) return false;
    for (size_t i = 0; i <= n; i++) {
        double *p = pool->memory + i * size;

        pool->estimate[i] = (struct estimate){ INFINITY, p, p + psa_aligned(c) };
    }
    pool->spare = pool->estimate[n];
    return true;
}

static void pool_free(struct pool *pool)
{
    free(pool->estimate);
    free(pool->memory);
}

/* The spare estimate among the first n, if it is good enough; the worst of them becomes the spare. */
static void pool_offer(struct pool *pool, size_t from, size_t n)
{
    struct estimate kept;
    size_t i;

    if (!(pool->spare.log_det < pool->estimate[from + n - 1].log_det)) return;
    kept = pool->estimate[from + n - 1];
    for (i = from + n - 1; i > from && pool->spare.log_det < pool->estimate[i - 1].log_det; i--)
        pool->estimate[i] = pool->estimate[i - 1];
    pool->estimate[i] = pool->spare;
    pool->spare = kept;
}

/* c + 1 random rows of n, and more of them until their covariance is regular. false: all n rows are not enough. */
static bool draw_start(struct search *search, struct estimate *estimate, const double *rows, size_t n,
                       struct psa_random *random, size_t *order)
{
    for (size_t i = 0; i < n; i++) order[i] = i;
    for (size_t drawn = 0; drawn < n;) {
        size_t at = drawn + (size_t)psa_random_below(random, n - drawn), kept = order[drawn];

        order[drawn] = order[at];
        order[at] = kept;
        drawn++;
        if (drawn > search->c && estimate_from(search, estimate, rows, order, drawn)) return true;
    }
    return false;
}

/* `starts` random starts on n rows with two C-steps each; the BEST of them into the pool at `from`. false: singular. */
static bool search_from_random(struct search *search, struct pool *pool, size_t from, const double *rows, size_t n,
                               size_t h, size_t starts, struct psa_random *random, size_t *order,
                               const struct psa_mahalanobis_progress *progress, size_t done)
{
    for (size_t s = 0; s < starts; s++) {
        if (!draw_start(search, &pool->spare, rows, n, random, order)) return false;
        for (int step = 0; step < 2; step++)
            if (!c_step(search, &pool->spare, rows, n, h)) return false;
        pool_offer(pool, from, BEST);
        if (progress != NULL && progress->show != NULL) progress->show(progress->ctx, done + s + 1, STARTS);
    }
    return true;
}

/* Two C-steps on n rows for each of the pool's first `from_n`, the best BEST of them to the front. */
static bool search_on(struct search *search, struct pool *pool, const double *rows, size_t n, size_t h)
{
    for (size_t i = 0; i < pool->n; i++) {
        struct estimate *estimate = &pool->estimate[i];

        for (int step = 0; step < 2 && estimate->log_det < INFINITY; step++)
            if (!c_step(search, estimate, rows, n, h)) return false;
    }
    for (size_t i = 1; i < pool->n; i++)
        for (size_t j = i; j > 0 && pool->estimate[j].log_det < pool->estimate[j - 1].log_det; j--) {
            struct estimate kept = pool->estimate[j];

            pool->estimate[j] = pool->estimate[j - 1];
            pool->estimate[j - 1] = kept;
        }
    for (size_t i = BEST; i < pool->n; i++) pool->estimate[i].log_det = INFINITY;
    return true;
}

/* C-steps until the determinant falls no more. */
static bool converge(struct search *search, struct estimate *estimate, const double *rows, size_t n, size_t h)
{
    for (int step = 0; step < STEPS_MAX; step++) {
        double before = estimate->log_det;

        if (!c_step(search, estimate, rows, n, h)) return false;
        if (!(estimate->log_det < before)) break;
    }
    return true;
}

/* What h of n rows is of a part of them: the same share, but enough for a regular covariance. */
static size_t part_of(const struct search *search, size_t part, size_t n, size_t h)
{
    size_t share = (size_t)ceil((double)part * (double)h / (double)n), least = (part + search->c + 2) / 2;

    return share > least ? share : least;
}

/* The nested starts: random disjoint subsets of the rows, copied one behind the other into `nested`; then all. */
static bool search_nested(struct search *search, struct pool *pool, const double *rows, size_t n, size_t h,
                          double *nested, size_t *order, struct psa_random *random,
                          const struct psa_mahalanobis_progress *progress)
{
    size_t c = search->c, subsets = n / NESTED_ROWS < NESTED_MAX ? n / NESTED_ROWS : NESTED_MAX;
    size_t size = n / subsets < NESTED_ROWS ? n / subsets : NESTED_ROWS, total;

    if (subsets < NESTED_MAX) size = n / subsets;
    total = size * subsets;
    for (size_t i = 0; i < n; i++) order[i] = i;
    for (size_t i = 0; i < total; i++) {
        size_t at = i + (size_t)psa_random_below(random, n - i), kept = order[i];

        order[i] = order[at];
        order[at] = kept;
        memcpy(nested + i * c, rows + order[i] * c, c * sizeof *nested);
    }
    for (size_t s = 0; s < subsets; s++)
        if (!search_from_random(search, pool, s * BEST, nested + s * size * c, size, part_of(search, size, n, h),
                                STARTS / subsets, random, order, progress, s * (STARTS / subsets)))
            return false;
    return search_on(search, pool, nested, total, part_of(search, total, n, h)) && search_on(search, pool, rows, n, h);
}

/* ---- training --------------------------------------------------------------------------------------------- */

/* The variance that quantisation adds to a column; sorted[n]: its values in order. */
static double quantisation(const double *sorted, size_t n, double *step)
{
    size_t run = 1, longest = 1, steps = 0;
    double q;

    for (size_t i = 1; i < n; i++) {
        run = sorted[i] == sorted[i - 1] ? run + 1 : 1;
        if (run > longest) longest = run;
        if (run == 1) step[steps++] = sorted[i] - sorted[i - 1];
    }
    if (longest < EQUAL_MIN || (double)longest <= PSA_MAHALANOBIS_QUANTISED * (double)n) return 0.0;
    q = steps == 0 ? 1.0 : psa_median(step, steps);
    return q * q / 12.0;
}

static void find_noise(const double *rows, size_t n, size_t c, double *noise, double *sorted, double *step)
{
    for (size_t j = 0; j < c; j++) {
        for (size_t i = 0; i < n; i++) sorted[i] = rows[i * c + j];
        psa_sort(sorted, n);
        noise[j] = quantisation(sorted, n, step);
    }
}

/* Are more than half of the rows one point? It is then their median in every column. middle: c doubles. */
static bool is_one_point(const double *rows, size_t n, size_t c, double *middle, double *column)
{
    size_t equal = 0;

    for (size_t j = 0; j < c; j++) {
        for (size_t i = 0; i < n; i++) column[i] = rows[i * c + j];
        middle[j] = psa_median(column, n);
    }
    for (size_t i = 0; i < n; i++) {
        size_t j = 0;

        while (j < c && rows[i * c + j] == middle[j]) j++;
        equal += j == c;
    }
    return 2 * equal > n;
}

/* The reweighted estimate from the raw one: false where it is singular. As no point is that of most rows, the median of the
 * distances is above 0, and half of the rows are the support at least. */
static bool reweight(struct search *search, struct psa_mahalanobis *model, const struct estimate *raw,
                     const double *rows, size_t n)
{
    size_t c = search->c;
    double limit = psa_chi_square_quantile(c, 0.975), unused;
    double *factor = raw->factor; /* no longer needed once the rows are measured */

    measure(search, raw, rows, n);
    memcpy(search->sorted, search->distance, n * sizeof *search->sorted);
    limit *= psa_median(search->sorted, n) / psa_chi_square_quantile(c, 0.5);
    model->n_support = 0;
    for (size_t i = 0; i < n; i++)
        if (search->distance[i] < limit) search->chosen[model->n_support++] = i;
    if (model->n_support <= c) return false;
    describe_rows(search, rows, search->chosen, model->n_support, model->mean, model->covariance);
    for (size_t j = 0; j < c; j++)
        for (size_t k = j + 1; k < c; k++) model->covariance[j * c + k] = model->covariance[k * c + j];
    memcpy(factor, model->covariance, c * c * sizeof *factor);
    return factorise(search, factor, &unused);
}

static bool find(struct search *search, struct pool *pool, struct psa_mahalanobis *model, const double *rows, size_t n,
                 double *nested, size_t *order, uint64_t seed, const struct psa_mahalanobis_progress *progress)
{
    size_t h = (n + search->c + 2) / 2 < n ? (n + search->c + 2) / 2 : n; /* ceil((n + c + 1) / 2) */
    struct psa_random random;

    psa_random_seed(&random, seed);
    if (n > NESTED_MIN) {
        if (!search_nested(search, pool, rows, n, h, nested, order, &random, progress)) return false;
    } else if (!search_from_random(search, pool, 0, rows, n, h, STARTS, &random, order, progress, 0)) {
        return false;
    }
    for (size_t i = 0; i < BEST && pool->estimate[i].log_det < INFINITY; i++) {
        if (!converge(search, &pool->estimate[i], rows, n, h)) return false;
        if (pool->estimate[i].log_det < pool->estimate[0].log_det) {
            struct estimate kept = pool->estimate[0];

            pool->estimate[0] = pool->estimate[i];
            pool->estimate[i] = kept;
        }
    }
    return reweight(search, model, &pool->estimate[0], rows, n);
}

int psa_mahalanobis_train(struct psa_mahalanobis *model, const double *rows, size_t n_rows, size_t n_columns,
                          uint64_t seed, const struct psa_mahalanobis_progress *progress, size_t *column)
{
    size_t c = n_columns, n = n_rows, nested = n > NESTED_MIN ? NESTED_ROWS * NESTED_MAX * c : 0;
    struct search search = { .c = c };
    struct pool pool = { 0 };
    double *memory = psa_aligned_doubles(psa_aligned(BLOCK * c) + 2 * psa_aligned(n) + psa_aligned(c) + nested);
    size_t *index = malloc((2 * n + 1) * sizeof *index);
    int status = -1;

    if (psa_mahalanobis_init(model, c) == 0 && memory != NULL && index != NULL &&
        pool_init(&pool, n > NESTED_MIN ? (size_t)BEST * NESTED_MAX : BEST, c)) {
        double *noise;

        search.block = memory;
        search.distance = search.block + psa_aligned(BLOCK * c);
        search.sorted = search.distance + psa_aligned(n);
        noise = search.sorted + psa_aligned(n);
        search.noise = noise;
        search.chosen = index;
        psa_linear_serial();
        find_noise(rows, n, c, noise, search.sorted, search.distance);
        if (is_one_point(rows, n, c, search.block, search.sorted)) status = 2;
        else status = find(&search, &pool, model, rows, n, noise + psa_aligned(c), index + n, seed, progress) ? 0 : 1;
        if (status == 1 && column != NULL) *column = search.singular;
    }
    pool_free(&pool);
    free(memory);
    free(index);
    if (status != 0) psa_mahalanobis_free(model);
    return status;
}

/* ---- scoring ---------------------------------------------------------------------------------------------- */

int psa_mahalanobis_invert(const struct psa_mahalanobis *model, double *precision)
{
    size_t c = model->n_columns;
    lapack_int n = (lapack_int)c;

    for (size_t k = 0; k < c * c; k++) {
        if (!isfinite(model->covariance[k])) return 1;
        precision[k] = model->covariance[k];
    }
    psa_linear_serial();
    if (LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'U', n, precision, n) != 0) return 1;
    if (LAPACKE_dpotri_work(LAPACK_COL_MAJOR, 'U', n, precision, n) != 0) return 1;
    for (size_t j = 0; j < c; j++)
        for (size_t k = j + 1; k < c; k++) precision[j * c + k] = precision[k * c + j];
    return 0;
}

/* By a model from a file, whose covariance may be anything, even what is clamped may overflow. */
static double bounded(double part)
{
    return isnan(part) ? 0.0 : fmax(-DBL_MAX, fmin(part, DBL_MAX));
}

double psa_mahalanobis_score(const struct psa_mahalanobis *model, const double *precision, const double *row,
                             double *contribution)
{
    size_t c = model->n_columns;
    double score = 0.0;

    for (size_t j = 0; j < c; j++) {
        double sum = 0.0, part;

        for (size_t k = 0; k < c; k++) sum += precision[j * c + k] * psa_value_clamped(row[k] - model->mean[k]);
        part = psa_value_clamped(row[j] - model->mean[j]) * sum;
        if (contribution != NULL) contribution[j] = bounded(part);
        score += part;
    }
    return score <= DBL_MAX ? score : DBL_MAX;
}
