/*
 * detector_mahalanobis.c - robust Mahalanobis distances (mahalanobis.h) as a detector that works by a model.
 *
 *     "parameters":{"support":380,"mean":[..],"covariance":[..]}
 *
 * covariance has its rows one behind the other; it is symmetric and positive definite. The raw score is the squared
 * distance, as scikit-learn's MinCovDet.mahalanobis() gives it.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "model/detector.h"
#include "model/linear.h"
#include "model/mahalanobis.h"
#include "model/model_file.h"

#define SUPPORT_MAX ((int64_t)1 << 53)
#define RANGE_MIN 1e-100 /* of a feature that moves: its square, and that times a small share, are above 0 */

/* ---- at work ---------------------------------------------------------------------------------------------- */

/* The state is the inverse of the covariance. */
static int start(struct psa_detector *detector, struct psa_error *error)
{
    detector->state = psa_aligned_doubles(detector->n_columns * detector->n_columns);
    if (detector->state == NULL) return psa_fail_memory(error, "starting the Mahalanobis distance");
    if (psa_mahalanobis_invert(detector->model->parameters, detector->state) == 0) return 0;
    free(detector->state);
    detector->state = NULL;
    return psa_fail(error, PSA_EXIT_PERMANENT, "the model's covariance is not positive definite");
}

static int update(struct psa_detector *detector, const double *row, int64_t time_ns, double *raw)
{
    (void)time_ns;
    *raw = psa_mahalanobis_score(detector->model->parameters, detector->state, row, detector->contribution);
    return 0;
}

static void stop(struct psa_detector *detector)
{
    free(detector->state);
    detector->state = NULL;
}

/* ---- a model ---------------------------------------------------------------------------------------------- */

/* The model's arena owns its parameters, trained or read. false: memory is out. */
static bool keep(struct psa_model *model, const struct psa_mahalanobis *trained)
{
    struct psa_mahalanobis *kept = psa_arena_take(&model->arena, sizeof *kept);
    size_t c = trained->n_columns;
    double *mean = psa_arena_take(&model->arena, c * sizeof *mean);
    double *covariance = psa_arena_take(&model->arena, c * c * sizeof *covariance);

    if (kept == NULL || mean == NULL || covariance == NULL) return false;
    *kept = *trained;
    kept->mean = memcpy(mean, trained->mean, c * sizeof *mean);
    kept->covariance = memcpy(covariance, trained->covariance, c * c * sizeof *covariance);
    model->parameters = kept;
    return true;
}

/* Are the squares of a feature's values and of their differences numbers that can be told from 0? */
static int check_feature(const struct psa_model *model, const struct psa_training *training, size_t j,
                         struct psa_error *error)
{
    double low = training->rows[j], high = low;

    for (size_t i = 1; i < training->n_rows; i++) {
        low = fmin(low, training->rows[i * training->n_columns + j]);
        high = fmax(high, training->rows[i * training->n_columns + j]);
    }
    if (!(low >= -PSA_VALUE_MAX && high <= PSA_VALUE_MAX))
        return psa_fail(error, PSA_EXIT_PERMANENT, "feature %.*s has a value beyond 1e100; scale it with --scaler",
                        (int)model->feature[j].n, model->feature[j].p);
    if (high > low && high - low < RANGE_MIN)
        return psa_fail(error, PSA_EXIT_PERMANENT,
                        "feature %.*s moves by less than 1e-100, too little to square; give it in a smaller unit",
                        (int)model->feature[j].n, model->feature[j].p);
    return 0;
}

static int check_rows(const struct psa_model *model, const struct psa_training *training, struct psa_error *error)
{
    size_t c = training->n_columns;

    if (c > PSA_MAHALANOBIS_COLUMNS_MAX)
        return psa_fail(error, PSA_EXIT_PERMANENT, "%zu features, the limit of a robust covariance is %d", c,
                        PSA_MAHALANOBIS_COLUMNS_MAX);
    if (training->n_rows <= 2 * c)
        return psa_fail(
            error, PSA_EXIT_PERMANENT,
            "%zu rows are too few for a robust covariance of %zu features; more than %zu are needed, better %zu",
            training->n_rows, c, 2 * c, 5 * c);
    for (size_t j = 0; j < c; j++)
        if (check_feature(model, training, j, error) != 0) return -1;
    return 0;
}

static void show(void *ctx, size_t done, size_t total)
{
    const struct psa_training *training = *(const struct psa_training **)ctx;

    if (training->progress != NULL) training->progress(training->progress_ctx, "searching from start", done, total);
}

static int score_rows(const struct psa_mahalanobis *trained, const struct psa_training *training, double *scores)
{
    size_t c = trained->n_columns;
    double *precision = psa_aligned_doubles(c * c);

    if (precision == NULL || psa_mahalanobis_invert(trained, precision) != 0) {
        free(precision);
        return -1;
    }
    for (size_t i = 0; i < training->n_rows; i++)
        scores[i] = psa_mahalanobis_score(trained, precision, training->rows + i * c, NULL);
    free(precision);
    return 0;
}

static int train(struct psa_model *model, const struct psa_training *training, double *scores, struct psa_error *error)
{
    struct psa_mahalanobis_progress progress = { show, &training };
    struct psa_mahalanobis trained = { 0 };
    size_t column = 0;
    int failed;

    if (check_rows(model, training, error) != 0) return -1;
    failed = psa_mahalanobis_train(&trained, training->rows, training->n_rows, training->n_columns,
                                   (uint64_t)training->settings->seed, &progress, &column);
    if (failed == 2)
        return psa_fail(error, PSA_EXIT_PERMANENT,
                        "more than half of the rows are one and the same point, as of a machine at rest; leave such "
                        "rows out, the rest has no bulk to measure by");
    if (failed == 1)
        return psa_fail(
            error, PSA_EXIT_PERMANENT,
            "in most rows feature %.*s follows from the features before it, as a copy or a sum does; leave it out",
            (int)model->feature[column].n, model->feature[column].p);
    if (failed == 0 && (score_rows(&trained, training, scores) != 0 || !keep(model, &trained))) failed = -1;
    psa_mahalanobis_free(&trained);
    return failed == 0 ? 0 : psa_fail_memory(error, "training");
}

static void write_parameters(const struct psa_model *model, struct psa_buf *out)
{
    const struct psa_mahalanobis *trained = model->parameters;
    size_t c = trained->n_columns;

    psa_buf_member_int(out, "support", (int64_t)trained->n_support);
    psa_buf_member_numbers(out, "mean", trained->mean, c);
    psa_buf_member_numbers(out, "covariance", trained->covariance, c * c);
}

static bool read_parameter(struct psa_model *model, struct psa_str name, struct psa_json *in)
{
    struct psa_mahalanobis *trained = model->parameters;
    size_t n = model->n_features;

    if (trained == NULL) {
        trained = model->parameters = psa_arena_take(&model->arena, sizeof *trained);
        if (trained == NULL) return psa_json_refuse(in, "memory is out");
        *trained = (struct psa_mahalanobis){ .n_columns = n };
    }
    if (n > PSA_MAHALANOBIS_COLUMNS_MAX) return psa_json_refuse(in, "more features than the limit of 256");
    if (psa_str_eq(name, "support")) trained->n_support = (size_t)psa_model_count(in, 1, SUPPORT_MAX);
    else if (psa_str_eq(name, "mean")) trained->mean = psa_model_numbers(model, in, n, n, NULL);
    else if (psa_str_eq(name, "covariance")) trained->covariance = psa_model_numbers(model, in, n * n, n * n, NULL);
    else return false;
    return in->fault.what == NULL;
}

static const char *check(struct psa_model *model)
{
    const struct psa_mahalanobis *trained = model->parameters;
    size_t c = model->n_features;
    double *precision;
    bool is_regular;

    if (trained == NULL || trained->n_support == 0) return "support is missing";
    if (trained->mean == NULL) return "mean is missing";
    if (trained->covariance == NULL) return "covariance is missing";
    for (size_t j = 0; j < c; j++)
        for (size_t k = 0; k < j; k++)
            if (trained->covariance[j * c + k] != trained->covariance[k * c + j]) return "covariance is not symmetric";
    precision = psa_aligned_doubles(c * c);
    if (precision == NULL) return "memory is out";
    is_regular = psa_mahalanobis_invert(trained, precision) == 0;
    free(precision);
    return is_regular ? NULL : "covariance is not positive definite";
}

static void describe(const struct psa_model *model, struct psa_buf *out)
{
    const struct psa_mahalanobis *trained = model->parameters;

    psa_buf_puts(out, "mean and covariance of ");
    psa_buf_int(out, (int64_t)trained->n_support);
    psa_buf_puts(out, " training rows, the others being too far from the bulk to count\n");
}

const struct psa_detector_type psa_mahalanobis_detector = {
    .name = "mahalanobis",
    .prefix = "maha",
    .summary = "rows far from the bulk of the training rows, measured along their spread",
    .traits = PSA_DETECTOR_TRAINS,
    .on = NAN,
    .off = NAN,
    .start = start,
    .update = update,
    .stop = stop,
    .train = train,
    .write = write_parameters,
    .read = read_parameter,
    .check = check,
    .describe = describe,
};
