/*
 * fuzz_model.c - texts as model files. A model that is read is described, scores rows, and is written again to a text that
 * reads as the same model. A text whose only fault is the id of its content gets the right id, or no damage would ever reach
 * what lies behind that check.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/detector.h"
#include "model/model_file.h"

static void check(bool good)
{
    if (!good) abort();
}

/* "model file was changed: its id is OLD, its content gives NEW": put NEW in OLD's place. */
static bool mend_id(struct psa_str text, const char *message)
{
    const char *old = strstr(message, "its id is "), *new = strstr(message, ", its content gives ");
    size_t n;
    char *at;

    if (!old || !new) return false;
    old += strlen("its id is ");
    n = (size_t)(new - old);
    new += strlen(", its content gives ");
    if (strlen(new) != n || n == 0) return false;
    at = memmem(text.p, text.n, old, n);
    if (!at) return false;
    memcpy(at, new, n);
    return true;
}

static void check_writes_back(struct psa_model *model)
{
    struct psa_model again = { 0 };
    struct psa_buf once = { 0 }, twice = { 0 };
    struct psa_error error = { 0 };

    psa_model_write(model, &once);
    check(!once.failed);
    check(psa_model_read(&again, psa_buf_str(&once), &error) == 0);
    check(strcmp(again.id, model->id) == 0);
    psa_model_write(&again, &twice);
    check(psa_str_is(psa_buf_str(&once), psa_buf_str(&twice)));
    psa_model_free(&again);
    psa_buf_free(&once);
    psa_buf_free(&twice);
}

/* Rows of the ranges it was trained in, one far out and one of missing values; what the scores are is not the question, but
 * nothing may be read that is not there, and a score without rows to stack is NaN. */
static void check_scores(const struct psa_model *model)
{
    const struct psa_detector_settings settings = { .horizon = 100, .refit = 30, .reference = 400, .guard = 30 };
    struct psa_detector detector = {
        .type = model->type, .settings = &settings, .model = model, .n_columns = model->n_features
    };
    double *row = calloc(model->n_features, sizeof *row), *contribution = calloc(model->n_features, sizeof *row);
    struct psa_error error = { 0 };
    struct psa_buf words = { 0 };

    check(row != NULL && contribution != NULL);
    detector.contribution = contribution;
    model->type->describe(model, &words);
    psa_buf_free(&words);
    if (model->type->start(&detector, &error) != 0) {
        check(error.text[0] != '\0');
    } else {
        for (int i = 0; i < 20; i++) {
            double raw;

            for (size_t j = 0; j < model->n_features; j++)
                row[j] = i == 18 ? NAN : i == 19 ? 1e300 : i % 2 ? model->trained.low[j] : model->trained.high[j];
            psa_scaler_transform(&model->scaler, row, row);
            if (model->type->update(&detector, row, i, &raw) != 0) break;
            if (model->type->judged != NULL) model->type->judged(&detector, i % 7 == 0);
        }
        model->type->stop(&detector);
    }
    free(row);
    free(contribution);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    char *copy = malloc(n ? n : 1);
    struct psa_str text = { copy, n };
    struct psa_model model = { 0 };
    struct psa_error error = { 0 };
    int status;

    check(copy != NULL);
    if (n) memcpy(copy, bytes, n);
    status = psa_model_read(&model, text, &error);
    if (status != 0 && mend_id(text, error.text)) {
        memset(&model, 0, sizeof model);
        status = psa_model_read(&model, text, &error);
    }
    if (status == 0) {
        check_scores(&model);
        check_writes_back(&model);
        psa_model_free(&model);
    } else {
        check(error.status == PSA_EXIT_PERMANENT || error.status == PSA_EXIT_RUNTIME);
        check(error.text[0] != '\0' && memchr(error.text, '\0', sizeof error.text) != NULL);
    }
    free(copy);
    return 0;
}
