/*
 * train_main.c - psa-train: see train_main.h; its parts stand in train.h.
 *
 *     rows (train_rows.c) -> ranges -> scaler -> the detector's train() -> scores -> threshold, reference -> model file
 *
 * A model is written whole or not at all, and only if psa-score would take it.
 */
#include "io/train_main.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"
#include "dsp/quantile.h"
#include "io/filter_main.h"
#include "io/signals.h"
#include "io/train.h"
#include "io/writer.h"
#include "model/linear.h"

#define SUMMARY "learn a model of normal operation"
#define USAGE "KIND [options] [file ...], or import-sklearn FILE.joblib [options] [file ...]"
#define NAME_SHOWN 200 /* bytes of a field's name in a message */

struct train {
    struct psa_train_options options;
    struct psa_train_plan plan;
    struct psa_train_rows rows;
    struct psa_report report;
    struct psa_model model;
};

/* ---- what the rows say ------------------------------------------------------------------------------------------------ */

static void fill_training(struct train *train)
{
    const struct psa_train_rows *rows = &train->rows;
    struct psa_model_training *trained = &train->model.trained;
    size_t n = rows->schema.n;

    trained->records = (int64_t)rows->n;
    trained->has_time = rows->has_time;
    trained->from_ns = rows->from_ns;
    trained->to_ns = rows->to_ns;
    for (size_t j = 0; j < n; j++) {
        trained->low[j] = trained->high[j] = rows->value[j];
        for (size_t i = 1; i < rows->n; i++) {
            double x = rows->value[i * n + j];

            trained->low[j] = x < trained->low[j] ? x : trained->low[j];
            trained->high[j] = x > trained->high[j] ? x : trained->high[j];
        }
    }
}

/* A feature that never varied cannot tell a bad day; a model of such features alone could never alarm. */
static int check_varied(struct train *train, struct psa_error *error)
{
    const struct psa_model *model = &train->model;
    size_t constant = 0;

    for (size_t j = 0; j < model->n_features; j++) {
        struct psa_str name = model->feature[j];
        char text[300];

        if (model->trained.low[j] < model->trained.high[j]) continue;
        constant++;
        snprintf(text, sizeof text, "fields.%.*s was constant; the model cannot judge by it",
                 (int)(name.n < NAME_SHOWN ? name.n : NAME_SHOWN), name.p);
        psa_report_say(&train->report, PSA_TRAIN, NULL, 0, "constant", text);
    }
    if (constant < model->n_features) return 0;
    return psa_fail(error, PSA_EXIT_PERMANENT, "every feature was constant; a model of them could never alarm");
}

/* Has the column a scale, and brought that the value to where it can be squared and summed? */
static bool is_scaled(const struct psa_scaler *scaler, size_t j, double value)
{
    return isfinite(value) && (scaler->kind == PSA_SCALER_NONE || fabs(value) <= PSA_VALUE_MAX) &&
           isfinite(scaler->mean[j]) && isfinite(scaler->center[j]) && isfinite(scaler->scale[j]) &&
           scaler->scale[j] > 0.0;
}

/* In place: the rows are not needed as they were any more. Values whose spread no double holds cannot be scaled. */
static int scale_rows(struct train *train, struct psa_error *error)
{
    const struct psa_model *model = &train->model;
    size_t n = train->rows.schema.n;

    for (size_t i = 0; i < train->rows.n; i++) {
        double *row = train->rows.value + i * n;

        psa_scaler_transform(&model->scaler, row, row);
        for (size_t j = 0; j < n; j++) {
            const struct psa_model_training *trained = &model->trained;

            if (is_scaled(&model->scaler, j, row[j])) continue;
            return psa_fail(error, PSA_EXIT_PERMANENT,
                            "fields.%.*s, from %g to %g, is too wide to be scaled; leave out the records that spoil it",
                            (int)(model->feature[j].n < NAME_SHOWN ? model->feature[j].n : NAME_SHOWN),
                            model->feature[j].p, trained->low[j], trained->high[j]);
        }
    }
    return 0;
}

/* ---- what the scores say ---------------------------------------------------------------------------------------------- */

/* The quantile at 1 - share of scores in ascending order. For scores whose sign people turn it is the quantile at share of
 * the turned ones, which differs by rounding: this is scikit-learn's offset_, to the last bit. */
static double upper_quantile(const struct psa_detector_type *type, double *sorted, size_t n, double share)
{
    double quantile;

    if (!(type->traits & PSA_DETECTOR_REVERSED)) return psa_tail_quantile(sorted, n, 1.0 - share);
    for (size_t i = 0; i < n; i++) sorted[i] = -sorted[i];
    psa_sort(sorted, n);
    quantile = -psa_tail_quantile(sorted, n, share);
    for (size_t i = 0; i < n; i++) sorted[i] = -sorted[i];
    psa_sort(sorted, n);
    return quantile;
}

/* The reference of all scores that there are, and with_threshold the threshold. scores is used up. */
static int judge_scores(struct train *train, double *scores, bool with_threshold, struct psa_error *error)
{
    struct psa_model *model = &train->model;
    size_t n = 0;

    for (size_t i = 0; i < train->rows.n; i++) {
        if (!isnan(scores[i])) scores[n++] = scores[i];
    }
    if (n == 0)
        return psa_fail(error, PSA_EXIT_PERMANENT, "no row could be scored: no stream has as many rows as are stacked");
    psa_sort(scores, n);
    psa_tail_table_make(&model->reference, scores, n);
    if (!with_threshold) return 0;
    model->contamination = train->plan.contamination;
    if (!isnan(model->contamination)) {
        model->threshold = upper_quantile(model->type, scores, n, model->contamination);
        return 0;
    }
    if (isnan(model->threshold)) model->threshold = model->type->on;
    if (!isnan(model->threshold)) return 0;
    return psa_fail(error, PSA_EXIT_PERMANENT, "%s has no threshold of its own: give --contamination SHARE",
                    model->type->name);
}

/* ---- a model ---------------------------------------------------------------------------------------------------------- */

static void show_training(void *ctx, const char *what, size_t done, size_t total)
{
    psa_train_progress(((const struct train *)ctx)->rows.terminal, what, done, total);
}

static int train_kind(struct train *train, double *scores, struct psa_error *error)
{
    const struct psa_train_rows *rows = &train->rows;
    struct psa_training training = { .settings = &train->plan.settings,
                                     .rows = rows->value,
                                     .n_rows = rows->n,
                                     .n_columns = rows->schema.n,
                                     .run = rows->run,
                                     .n_run = rows->n_run,
                                     .time_ns = rows->all_timed ? rows->time_ns : NULL,
                                     .progress = show_training,
                                     .progress_ctx = train };
    struct psa_model *model = &train->model;

    if (psa_scaler_fit(&model->scaler, train->plan.scaler, rows->value, rows->n, rows->schema.n) != 0)
        return psa_fail_memory(error, "scaling");
    if (scale_rows(train, error) != 0) return -1;
    model->seed = train->plan.settings.seed;
    model->threshold = NAN;
    return model->type->train(model, &training, scores, error);
}

/* A draft's means of columns that its scaler does not know, and the scores of the rows by it. */
static int score_draft(struct train *train, double *scores, struct psa_error *error)
{
    struct psa_model *model = &train->model;
    struct psa_detector detector = {
        .type = model->type, .settings = &train->plan.settings, .model = model, .n_columns = model->n_features
    };
    struct psa_scaler means;
    int status = 0;

    if (model->scaler.kind != PSA_SCALER_STANDARD) {
        if (psa_scaler_fit(&means, PSA_SCALER_NONE, train->rows.value, train->rows.n, model->n_features) != 0)
            return psa_fail_memory(error, "scaling");
        memcpy(model->scaler.mean, means.mean, model->n_features * sizeof *means.mean);
        psa_scaler_free(&means);
    }
    if (scale_rows(train, error) != 0) return -1;
    if (model->type->start(&detector, error) != 0) return -1;
    for (size_t i = 0; status == 0 && i < train->rows.n; i++)
        status = model->type->update(&detector, train->rows.value + i * model->n_features, train->rows.time_ns[i],
                                     &scores[i]);
    model->type->stop(&detector);
    return status == 0 ? 0 : psa_fail_memory(error, "scoring the rows");
}

static int make_model(struct train *train, bool draft, struct psa_error *error)
{
    struct psa_model *model = &train->model;
    double *scores;
    int status;

    if (!draft && psa_model_init(model, train->plan.type, train->rows.schema.name, train->rows.schema.n) != 0)
        return psa_fail_memory(error, "making the model");
    fill_training(train);
    if (!draft && check_varied(train, error) != 0) return -1;
    scores = calloc(train->rows.n, sizeof *scores);
    if (scores == NULL) return psa_fail_memory(error, "training");
    status = draft ? score_draft(train, scores, error) : train_kind(train, scores, error);
    if (status == 0) status = judge_scores(train, scores, !draft, error);
    free(scores);
    psa_train_progress_end(train->rows.terminal);
    return status;
}

/* Would psa-score take this model? */
static bool reads_back(struct psa_str text, struct psa_error *error)
{
    struct psa_model model;

    if (psa_model_read(&model, text, error) != 0) return false;
    psa_model_free(&model);
    return true;
}

static int write_model(struct train *train, struct psa_error *error)
{
    struct psa_error inner = { 0 };
    struct psa_writer out;
    struct psa_buf text = { 0 };
    int status;

    psa_model_write(&train->model, &text);
    if (text.failed) {
        status = psa_fail_memory(error, "writing the model");
    } else if (!reads_back(psa_buf_str(&text), &inner)) {
        status = psa_fail(error, PSA_EXIT_PERMANENT, "the values are too large to make a model of: %s", inner.text);
    } else if (train->options.output != NULL) {
        status = psa_file_replace(train->options.output, psa_buf_str(&text), error);
    } else {
        psa_writer_init(&out, STDOUT_FILENO, "stdout");
        psa_buf_put(&out.buf, text.p, text.n);
        status = psa_writer_close(&out, error);
    }
    psa_buf_free(&text);
    return status;
}

/* ---- the program -------------------------------------------------------------------------------------------------------- */

/* The draft's features are those that every record must have. */
static int take_draft(struct train *train, const char *file, struct psa_error *error)
{
    struct psa_schema *schema = &train->rows.schema;
    const struct psa_model *model = &train->model;

    if (file == NULL) return psa_fail(error, PSA_EXIT_PERMANENT, "say which file: import-sklearn FILE.joblib");
    if (psa_train_import(&train->model, file, &train->options, error) != 0) return -1;
    schema->name = psa_arena_take(&schema->arena, model->n_features * sizeof *schema->name);
    if (schema->name == NULL) return psa_fail_memory(error, "starting");
    memcpy(schema->name, model->feature, model->n_features * sizeof *schema->name);
    schema->n = model->n_features;
    if (isatty(STDIN_FILENO) == 1 && train->rows.terminal)
        fprintf(stderr,
                PSA_TRAIN ": now the records that the forest was trained on: anomaly_score is relative to them\n");
    return 0;
}

static int describe(const struct train *train, int n_operand, struct psa_error *error)
{
    struct psa_train_plan nothing;

    if (n_operand > 0) return psa_fail(error, PSA_EXIT_PERMANENT, "--describe takes no further arguments");
    if (train->options.output != NULL || psa_train_plan(&nothing, "--describe", &train->options, error) != 0)
        return train->options.output != NULL ? psa_fail(error, PSA_EXIT_PERMANENT, "--describe has no use for --output")
                                             : -1;
    return psa_train_describe(train->options.describe, error);
}

static int train_run(struct train *train, int n_operand, char **operand, struct psa_error *error)
{
    int first = 1, status = 0;
    bool draft;

    if (train->options.describe != NULL) return describe(train, n_operand, error);
    if (n_operand == 0) return psa_fail(error, PSA_EXIT_PERMANENT, "say which kind of model: %s", USAGE);
    if (psa_train_plan(&train->plan, operand[0], &train->options, error) != 0 || psa_signals_install(error) != 0)
        return -1;
    draft = train->plan.type == NULL;
    if (draft) status = take_draft(train, n_operand > 1 ? operand[first++] : NULL, error);
    if (status == 0)
        status = psa_train_rows_read(&train->rows, operand + first, (size_t)(n_operand - first), draft, error);
    if (status == 0) status = make_model(train, draft, error);
    if (status == 0 && psa_stop_asked())
        status = psa_fail(error, PSA_EXIT_RUNTIME, "stopped by a signal; no model was written");
    if (status == 0) status = write_model(train, error);
    if (status == 0 && train->rows.terminal)
        fprintf(stderr, PSA_TRAIN ": %s from %zu records, %" PRIu64 " left out\n", train->model.id, train->rows.n,
                train->rows.left_out);
    return status;
}

int psa_train_main(int argc, char **argv)
{
    struct train train = { .report = { .n = 0 } };
    struct psa_option_set set = { psa_train_option_table, &train.options };
    struct psa_error error = { 0 };
    int operand, status;
    char asked = 0;

    train.rows.options = &train.options;
    train.rows.report = &train.report;
    train.rows.terminal = isatty(STDERR_FILENO) == 1;
    status = psa_options_parse(&set, 1, argc, argv, &operand, &asked, NULL, &error);
    if (status == 0 && asked != 0) return psa_print_help(asked, &set, 1, PSA_TRAIN, USAGE, SUMMARY);
    if (status == 0) status = train_run(&train, argc - operand, argv + operand, &error);
    psa_train_rows_free(&train.rows);
    psa_model_free(&train.model);
    if (status == 0) return PSA_EXIT_OK;
    if (error.status == PSA_BROKEN_PIPE) psa_exit_broken_pipe();
    psa_report_error(PSA_TRAIN, &error);
    return error.status;
}
