/* train_describe.c - psa-train --describe: what is in a model, in words; see train.h. */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "core/error.h"
#include "core/time.h"
#include "io/train.h"
#include "io/writer.h"

#define NAME_SHOWN 256 /* bytes of a feature's name */

static void put_text(struct psa_buf *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put_text(struct psa_buf *out, const char *format, ...)
{
    char text[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    psa_buf_puts(out, text);
}

/* A name as a terminal may show it. */
static void put_name(struct psa_buf *out, struct psa_str name, size_t width)
{
    size_t shown = name.n < NAME_SHOWN ? name.n : NAME_SHOWN;

    for (size_t i = 0; i < shown; i++) {
        bool control = (unsigned char)name.p[i] < 0x20 || name.p[i] == 0x7f;

        psa_buf_put(out, control ? "?" : name.p + i, 1);
    }
    put_text(out, "%*s", (int)(shown < width ? width - shown : 0), "");
}

static void describe_features(const struct psa_model *model, struct psa_buf *out)
{
    size_t width = 8;

    for (size_t j = 0; j < model->n_features; j++)
        width = model->feature[j].n > width && model->feature[j].n < 40 ? model->feature[j].n : width;
    put_text(out, "%zu feature%s, and the values in training:\n", model->n_features, model->n_features == 1 ? "" : "s");
    put_text(out, "  %-*s %14s %14s %14s\n", (int)width, "feature", "least", "mean", "greatest");
    for (size_t j = 0; j < model->n_features; j++) {
        psa_buf_puts(out, "  ");
        put_name(out, model->feature[j], width);
        put_text(out, " %14.6g %14.6g %14.6g\n", model->trained.low[j], model->scaler.mean[j], model->trained.high[j]);
    }
}

static void describe_training(const struct psa_model *model, struct psa_buf *out)
{
    static const char *const scalers[PSA_SCALER_KINDS] = {
        "none, the features stay as they are",
        "standard, every feature to mean 0 and variance 1",
        "robust, every feature to median 0 and an interquartile range of 1",
        "minmax, every feature to 0 .. 1 in training",
    };
    char from[PSA_TIME_ISO_MAX], to[PSA_TIME_ISO_MAX];

    put_text(out, "trained on %" PRId64 " records", model->trained.records);
    if (model->trained.has_time) {
        psa_time_format_iso(model->trained.from_ns, from);
        psa_time_format_iso(model->trained.to_ns, to);
        put_text(out, " from %s to %s", from, to);
    }
    put_text(out, "\nscaler: %s; a missing value counts as its training mean\n", scalers[model->scaler.kind]);
}

/* Raw scores are shown as people read them. */
static void describe_scores(const struct psa_model *model, struct psa_buf *out)
{
    bool reversed = (model->type->traits & PSA_DETECTOR_REVERSED) != 0;
    const char *beyond = reversed ? "below" : "above", *within = reversed ? "above" : "below";
    const struct psa_tail_table *reference = &model->reference;
    double sign = reversed ? -1.0 : 1.0;

    put_text(out, "threshold: a raw score %s %.6g is an anomaly, ", beyond, sign * model->threshold);
    if (isnan(model->contamination) && isfinite(model->type->off))
        put_text(out, "until it is below %.6g: the kind's own limits\n", sign * model->type->off);
    else if (isnan(model->contamination)) put_text(out, "the kind's own limit\n");
    else put_text(out, "as %.4g %% of the training records were\n", 100.0 * model->contamination);
    put_text(out, "raw scores in training: half %s %.6g, nine tenths %s %.6g, the most unusual %.6g\n", within,
             sign * psa_tail_quantile(reference->score, reference->n, 0.5), within, sign * reference->tail.start,
             sign * reference->score[reference->n - 1]);
}

static void describe_model(const struct psa_model *model, struct psa_buf *out)
{
    put_text(out, "%s: %s, %s\n", model->id, model->type->name, model->type->summary);
    model->type->describe(model, out);
    describe_training(model, out);
    describe_scores(model, out);
    describe_features(model, out);
}

int psa_train_describe(const char *path, struct psa_error *error)
{
    struct psa_error inner = { 0 };
    struct psa_buf text = { 0 };
    struct psa_model model;
    struct psa_writer out;
    int status = psa_file_read(path, (int64_t)PSA_MODEL_BYTES_MAX, &text, error);

    if (status == 1) return psa_fail(error, PSA_EXIT_PERMANENT, "model '%s' does not exist", path);
    if (status == 0) status = psa_model_read(&model, psa_buf_str(&text), &inner);
    psa_buf_free(&text);
    if (inner.text[0] != '\0') return psa_fail(error, inner.status, "model '%s': %s", path, inner.text);
    if (status != 0) return -1;
    psa_writer_init(&out, STDOUT_FILENO, "stdout");
    describe_model(&model, &out.buf);
    psa_model_free(&model);
    return psa_writer_close(&out, error);
}
