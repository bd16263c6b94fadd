/* ecod_model.c - see ecod_model.h. */
#include "model/ecod_model.h"

#include <stdlib.h>

#include "core/error.h"
#include "dsp/quantile.h"
#include "model/ecod_sample.h"
#include "model/model_file.h"
#include "model/random.h"

#define PROGRESS_ROWS 10000 /* between two signs of life */

int psa_ecod_model_update(struct psa_detector *detector, const double *row, double *raw)
{
    *raw = psa_ecod_sample_score(detector->model->parameters, row, detector->contribution);
    return 0;
}

/* A new sample in the model's arena; NULL when memory is out. */
static struct psa_ecod_sample *new_sample(struct psa_model *model)
{
    struct psa_ecod_sample *sample = psa_arena_take(&model->arena, sizeof *sample);

    if (sample == NULL) return NULL;
    *sample = (struct psa_ecod_sample){ .n_columns = model->n_features };
    sample->column = psa_arena_take(&model->arena, model->n_features * sizeof *sample->column);
    return sample->column != NULL ? sample : NULL;
}

/* Mark which rows make the sample: all, or `size` drawn without replacement, each set of rows as likely as any other (D. E.
 * Knuth, "The Art of Computer Programming", vol. 2, 3rd ed., 1997, algorithm 3.4.2 S). */
static void choose_rows(unsigned char *chosen, size_t n_rows, size_t size, int64_t seed)
{
    struct psa_random random;
    size_t left = size;

    psa_random_seed(&random, (uint64_t)seed);
    for (size_t i = 0; i < n_rows; i++) {
        chosen[i] = psa_random_below(&random, n_rows - i) < left;
        left -= chosen[i];
    }
}

static int fill_sample(struct psa_ecod_sample *sample, struct psa_model *model, const struct psa_training *training,
                       const unsigned char *chosen)
{
    for (size_t j = 0; j < sample->n_columns; j++) {
        double *sorted = psa_arena_take(&model->arena, sample->n * sizeof *sorted);
        size_t n = 0;

        if (sorted == NULL) return -1;
        for (size_t i = 0; i < training->n_rows; i++) {
            if (chosen[i]) sorted[n++] = training->rows[i * training->n_columns + j];
        }
        psa_sort(sorted, n);
        psa_ecod_column_init(&sample->column[j], sorted, n);
    }
    return 0;
}

int psa_ecod_model_train(struct psa_model *model, const struct psa_training *training, double *scores,
                         struct psa_error *error)
{
    size_t most = (size_t)training->settings->samples, n_rows = training->n_rows;
    struct psa_ecod_sample *sample = model->parameters = new_sample(model);
    unsigned char *chosen = malloc(n_rows + 1);

    if (sample != NULL) sample->n = n_rows < most ? n_rows : most;
    if (sample != NULL && chosen != NULL) choose_rows(chosen, n_rows, sample->n, training->settings->seed);
    if (sample == NULL || chosen == NULL || fill_sample(sample, model, training, chosen) != 0) {
        free(chosen);
        return psa_fail_memory(error, "keeping the sample");
    }
    for (size_t i = 0; i < n_rows; i++) {
        const double *row = training->rows + i * training->n_columns;

        scores[i] = chosen[i] ? psa_ecod_sample_own_score(sample, row) : psa_ecod_sample_score(sample, row, NULL);
        if (training->progress != NULL && i % PROGRESS_ROWS == 0)
            training->progress(training->progress_ctx, "scoring row", i, n_rows);
    }
    free(chosen);
    return 0;
}

void psa_ecod_model_write(const struct psa_model *model, struct psa_buf *out)
{
    const struct psa_ecod_sample *sample = model->parameters;

    psa_buf_name(out, "sample");
    psa_buf_puts(out, "[");
    for (size_t j = 0; j < sample->n_columns; j++) {
        psa_buf_comma(out);
        psa_buf_numbers(out, sample->column[j].sorted, sample->n);
    }
    psa_buf_puts(out, "]");
}

bool psa_ecod_model_read(struct psa_model *model, struct psa_str name, struct psa_json *in)
{
    struct psa_ecod_sample *sample;
    size_t j = 0;

    if (!psa_str_eq(name, "sample")) return false;
    sample = new_sample(model);
    if (sample == NULL) return psa_json_refuse(in, "memory is out");
    psa_json_enter_array(in);
    for (; psa_json_next_item(in); j++) {
        size_t least = j == 0 ? 2 : sample->n, most = j == 0 ? PSA_ECOD_SAMPLE_MAX : sample->n;
        double *sorted;

        if (j == sample->n_columns) return psa_json_refuse(in, "the sample has more columns than there are features");
        sorted = psa_model_numbers(model, in, least, most, &sample->n);
        if (sorted == NULL) return false;
        for (size_t i = 1; i < sample->n; i++) {
            if (sorted[i] < sorted[i - 1]) return psa_json_refuse(in, "a column of the sample does not ascend");
        }
        psa_ecod_column_init(&sample->column[j], sorted, sample->n);
    }
    if (in->fault.what == NULL && j < sample->n_columns)
        return psa_json_refuse(in, "the sample has fewer columns than there are features");
    model->parameters = sample;
    return in->fault.what == NULL;
}

const char *psa_ecod_model_check(struct psa_model *model)
{
    return model->parameters == NULL ? "sample is missing" : NULL;
}

void psa_ecod_model_describe(const struct psa_model *model, struct psa_buf *out)
{
    const struct psa_ecod_sample *sample = model->parameters;

    psa_buf_puts(out, "a frozen sample of ");
    psa_buf_int(out, (int64_t)sample->n);
    if (model->trained.records > (int64_t)sample->n) {
        psa_buf_puts(out, " of the training records, drawn with seed ");
        psa_buf_int(out, model->seed);
        psa_buf_puts(out, "\n");
    } else {
        psa_buf_puts(out, " rows, all there were\n");
    }
}
