/*
 * detector_pca.c - PCA with T2 and Q (pca.h) as a detector that works by a model.
 *
 *     "parameters":{"share":0.87,"variance":[..],"mean":[..],"components":[..],"limit_t2":a,"limit_q":b}
 *
 * variance has an eigenvalue a component and comes before components, which are unit vectors one behind the other. The
 * raw score is the combined index; `anomaly` also gets the two statistics as t2 and q.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "model/detector.h"
#include "model/model_file.h"
#include "model/pca.h"

/* At work. */
struct state {
    double t2, q; /* of the newest row */
    double space[];
};

/* ---- at work ---------------------------------------------------------------------------------------------- */

static int start(struct psa_detector *detector, struct psa_error *error)
{
    detector->state = calloc(1, sizeof(struct state) + 2 * detector->n_columns * sizeof(double));
    return detector->state != NULL ? 0 : psa_fail_memory(error, "starting PCA");
}

static int update(struct psa_detector *detector, const double *row, int64_t time_ns, double *raw)
{
    struct state *state = detector->state;

    (void)time_ns;
    *raw = psa_pca_score(detector->model->parameters, row, &state->t2, &state->q, detector->contribution, state->space);
    return 0;
}

static void tell(const struct psa_detector *detector, struct psa_buf *out)
{
    const struct state *state = detector->state;

    psa_buf_member_number(out, "t2", state->t2);
    psa_buf_member_number(out, "q", state->q);
}

static void stop(struct psa_detector *detector)
{
    free(detector->state);
    detector->state = NULL;
}

/* ---- a model ---------------------------------------------------------------------------------------------- */

/* The model's arena owns its parameters, trained or read. false: memory is out. */
static bool keep(struct psa_model *model, const struct psa_pca *pca)
{
    struct psa_pca *kept = psa_arena_take(&model->arena, sizeof *kept);
    double *const from[] = { pca->mean, pca->variance, pca->component };
    size_t size[] = { pca->n_columns, pca->n_component, pca->n_component * pca->n_columns };
    double *to[3];

    for (size_t i = 0; i < 3; i++) {
        to[i] = psa_arena_take(&model->arena, size[i] * sizeof(double));
        if (kept == NULL || to[i] == NULL) return false;
        memcpy(to[i], from[i], size[i] * sizeof(double));
    }
    *kept = *pca;
    kept->mean = to[0];
    kept->variance = to[1];
    kept->component = to[2];
    model->parameters = kept;
    return true;
}

static int train(struct psa_model *model, const struct psa_training *training, double *scores, struct psa_error *error)
{
    struct psa_pca pca = { 0 };
    int failed;

    if (training->n_columns > PSA_PCA_COLUMNS_MAX)
        return psa_fail(error, PSA_EXIT_PERMANENT, "%zu features, the limit of a PCA is %d", training->n_columns,
                        PSA_PCA_COLUMNS_MAX);
    if (training->n_rows < 2)
        return psa_fail(error, PSA_EXIT_PERMANENT, "a PCA needs at least 2 rows, there is %zu", training->n_rows);
    for (size_t k = 0; k < training->n_rows * training->n_columns; k++)
        if (!(fabs(training->rows[k]) <= PSA_VALUE_MAX))
            return psa_fail(error, PSA_EXIT_PERMANENT, "feature %.*s has a value beyond 1e100; scale it with --scaler",
                            (int)model->feature[k % training->n_columns].n, model->feature[k % training->n_columns].p);
    if (training->progress != NULL)
        training->progress(training->progress_ctx, "decomposing rows", training->n_rows, training->n_rows);
    failed = psa_pca_train(&pca, training->rows, training->n_rows, training->n_columns, training->settings->variance,
                           scores);
    if (failed == 0 && !keep(model, &pca)) failed = -1;
    psa_pca_free(&pca);
    if (failed < 0) return psa_fail_memory(error, "training");
    return failed == 0 ? 0 : psa_fail(error, PSA_EXIT_PERMANENT, "all rows are alike: there is nothing to learn from");
}

static void write_parameters(const struct psa_model *model, struct psa_buf *out)
{
    const struct psa_pca *pca = model->parameters;

    psa_buf_member_number(out, "share", pca->share);
    psa_buf_member_numbers(out, "variance", pca->variance, pca->n_component);
    psa_buf_member_numbers(out, "mean", pca->mean, pca->n_columns);
    psa_buf_member_numbers(out, "components", pca->component, pca->n_component * pca->n_columns);
    psa_buf_member_number(out, "limit_t2", pca->limit_t2);
    psa_buf_member_number(out, "limit_q", pca->limit_q);
}

static double read_positive(struct psa_json *in)
{
    double value = psa_model_number(in);

    if (in->fault.what == NULL && !(value > 0.0)) psa_json_refuse(in, "a number is not above 0");
    return value;
}

static bool read_parameter(struct psa_model *model, struct psa_str name, struct psa_json *in)
{
    struct psa_pca *pca = model->parameters;
    size_t n = model->n_features;

    if (pca == NULL) {
        pca = model->parameters = psa_arena_take(&model->arena, sizeof *pca);
        if (pca == NULL) return psa_json_refuse(in, "memory is out");
        *pca = (struct psa_pca){ .n_columns = n };
    }
    if (psa_str_eq(name, "share")) {
        pca->share = read_positive(in);
    } else if (psa_str_eq(name, "limit_t2")) {
        pca->limit_t2 = read_positive(in);
    } else if (psa_str_eq(name, "limit_q")) {
        pca->limit_q = read_positive(in);
    } else if (psa_str_eq(name, "mean")) {
        pca->mean = psa_model_numbers(model, in, n, n, NULL);
    } else if (psa_str_eq(name, "variance")) {
        pca->variance = psa_model_numbers(model, in, 1, n, &pca->n_component);
    } else if (psa_str_eq(name, "components")) {
        if (pca->variance == NULL) return psa_json_refuse(in, "variance must come before components");
        pca->component = psa_model_numbers(model, in, pca->n_component * n, pca->n_component * n, NULL);
    } else {
        return false;
    }
    return in->fault.what == NULL;
}

static const char *check(struct psa_model *model)
{
    const struct psa_pca *pca = model->parameters;

    if (pca == NULL || pca->mean == NULL) return "mean is missing";
    if (pca->component == NULL) return "components are missing";
    if (pca->share == 0.0) return "share is missing";
    if (pca->limit_t2 == 0.0 || pca->limit_q == 0.0) return "limit_t2 or limit_q is missing";
    for (size_t k = 0; k < pca->n_component; k++)
        if (!(pca->variance[k] > 0.0)) return "a variance is not above 0";
    return psa_unit_vectors(pca->component, pca->n_component, pca->n_columns) ? NULL : "a component is not of length 1";
}

static void describe(const struct psa_model *model, struct psa_buf *out)
{
    const struct psa_pca *pca = model->parameters;

    psa_buf_int(out, (int64_t)pca->n_component);
    psa_buf_puts(out, " of ");
    psa_buf_int(out, (int64_t)pca->n_columns);
    psa_buf_puts(out, " components hold ");
    psa_buf_number(out, pca->share);
    psa_buf_puts(out, " of the variance; 1 training row in 100 had T2 above ");
    psa_buf_number(out, pca->limit_t2);
    psa_buf_puts(out, ", 1 in 100 had Q above ");
    psa_buf_number(out, pca->limit_q);
    psa_buf_puts(out, "\n");
}

const struct psa_detector_type psa_pca_detector = {
    .name = "pca",
    .prefix = "pca",
    .summary = "rows far out among the principal components (T2) or beside them (Q)",
    .traits = PSA_DETECTOR_TRAINS,
    .on = NAN,
    .off = NAN,
    .start = start,
    .update = update,
    .tell = tell,
    .stop = stop,
    .train = train,
    .write = write_parameters,
    .read = read_parameter,
    .check = check,
    .describe = describe,
};
