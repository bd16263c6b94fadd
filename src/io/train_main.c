/*
 * train_main.c - psa-train: see train_main.h.
 *
 *     psa_lines_next -> psa_decode -> rows_add (all rows stay in memory) -> scaler, forest, threshold, reference -> model
 *
 * The columns are the number fields of the first usable record. Records that do not fit are left out, said and counted;
 * a model is written whole or not at all.
 */
#include "io/train_main.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"
#include "core/option.h"
#include "core/record.h"
#include "core/schema.h"
#include "core/time.h"
#include "io/filter_main.h"
#include "io/lines.h"
#include "io/report.h"
#include "io/signals.h"
#include "io/writer.h"
#include "model/model_file.h"

#define NAME "psa-train"
#define SUMMARY "learn a model of normal operation"
#define USAGE "isolation-forest [options] [file ...]"
#define PROGRESS_ROWS 10000 /* between two signs of life */

struct train_options {
    int64_t trees, samples, seed, max_rows, max_line;
    const char *contamination, *scaler, *output, *describe;
    bool flat;
};

static const struct psa_option train_option_table[] = {
    { .name = "trees",
      .type = PSA_OPT_COUNT,
      .offset = offsetof(struct train_options, trees),
      .metavar = "N",
      .initial = "100",
      .min = 1,
      .max = PSA_IFOREST_TREES_MAX,
      .help = "trees of the forest" },
    { .name = "samples",
      .type = PSA_OPT_COUNT,
      .offset = offsetof(struct train_options, samples),
      .metavar = "N",
      .initial = "256",
      .min = 2,
      .max = PSA_IFOREST_SAMPLES_MAX,
      .help = "rows that each tree is grown from" },
    { .name = "contamination",
      .type = PSA_OPT_TEXT,
      .offset = offsetof(struct train_options, contamination),
      .metavar = "SHARE|auto",
      .initial = "0.05",
      .help =
          "share of the training rows that the threshold calls anomalies; auto: the threshold is a raw score of -0.5" },
    { .name = "seed",
      .type = PSA_OPT_COUNT,
      .offset = offsetof(struct train_options, seed),
      .metavar = "N",
      .initial = "1",
      .min = 0,
      .max = 9e15,
      .help = "seed of the random numbers; the same seed and input give the same model" },
    { .name = "scaler",
      .type = PSA_OPT_TEXT,
      .offset = offsetof(struct train_options, scaler),
      .metavar = "standard|none",
      .initial = "standard",
      .help = "bring every feature to mean 0 and variance 1, or leave it as it is" },
    { .name = "output",
      .letter = 'o',
      .type = PSA_OPT_TEXT,
      .offset = offsetof(struct train_options, output),
      .metavar = "FILE",
      .help = "write the model to FILE, whole or not at all; without it to stdout" },
    { .name = "max-rows",
      .type = PSA_OPT_COUNT,
      .offset = offsetof(struct train_options, max_rows),
      .metavar = "N",
      .initial = "1000000",
      .min = 2,
      .max = 4e9,
      .help = "rows kept in memory; what comes behind them is left out" },
    { .name = "describe",
      .type = PSA_OPT_TEXT,
      .offset = offsetof(struct train_options, describe),
      .metavar = "MODEL",
      .help = "say in words what is inside the model file MODEL, and exit" },
    { .name = "flat",
      .type = PSA_OPT_FLAG,
      .offset = offsetof(struct train_options, flat),
      .help = "take the number members of a record without fields for its fields" },
    { .name = "max-line",
      .type = PSA_OPT_SIZE,
      .offset = offsetof(struct train_options, max_line),
      .metavar = "SIZE",
      .initial = "1MiB",
      .min = 64,
      .max = 1073741824,
      .help = "longest line that is read; a longer one is left out" },
    { .type = PSA_OPT_END },
};

struct train {
    struct train_options options;
    bool contamination_auto;
    double contamination;
    bool scale;
    bool terminal; /* stderr is one: show progress */
    struct psa_report report;
    const char *source; /* of the line at hand */
    uint64_t line;

    struct psa_schema schema;
    struct psa_field **field; /* [schema.n] */
    double *rows;             /* [n_row][schema.n] */
    size_t n_row, cap_row;
    uint64_t left_out, beyond; /* records that did not fit / came after --max-rows */
    bool has_time;
    int64_t from_ns, to_ns;
};

/* ---- progress --------------------------------------------------------------------------------------------------------- */

static void show_progress(const struct train *train, const char *what, size_t done, size_t total)
{
    if (!train->terminal) return;
    if (total > 0) fprintf(stderr, "\r" NAME ": %s %zu of %zu   ", what, done, total);
    else fprintf(stderr, "\r" NAME ": %s %zu   ", what, done);
}

static void clear_progress(const struct train *train)
{
    if (train->terminal) fprintf(stderr, "\r%60s\r", "");
}

static void show_trees(void *ctx, size_t done, size_t total)
{
    show_progress(ctx, "growing tree", done, total);
}

/* ---- rows --------------------------------------------------------------------------------------------------------------- */

/* This record is left out. Always returns 0. */
static int leave_out(struct train *train, const char *cause, const char *what, struct psa_str name, const char *why)
{
    char text[300];

    train->left_out++;
    snprintf(text, sizeof text, "%s%.*s%s; left out", what, (int)name.n, name.p != NULL ? name.p : "", why);
    psa_report_say(&train->report, NAME, train->source, train->line, cause, text);
    return 0;
}

static bool is_own(struct psa_str name)
{
    return psa_str_eq(name, "anomaly_score") || psa_str_eq(name, "anomaly_label");
}

/* The columns are the number (or null) fields of this record, if it has a number at all. */
static int learn_columns(struct train *train, const struct psa_record *record, struct psa_error *error)
{
    struct psa_schema *schema = &train->schema;
    size_t kept = 0, numbers = 0;

    for (size_t i = 0; i < record->n_field; i++)
        numbers += record->field[i].kind == PSA_NUMBER && !is_own(record->field[i].name) ? 1 : 0;
    if (numbers == 0)
        return leave_out(train, "no_fields", "no number field to learn from", (struct psa_str){ NULL, 0 }, "");
    if (!psa_schema_learn(schema, record, PSA_READINGS, NULL)) return psa_fail_memory(error, "learning the fields");
    for (size_t i = 0; i < schema->n; i++) {
        if (!is_own(schema->name[i])) schema->name[kept++] = schema->name[i];
    }
    schema->n = kept;
    if (kept > PSA_IFOREST_FEATURES_MAX)
        return psa_fail(error, PSA_EXIT_PERMANENT, "%zu fields, more than the limit of %d", kept,
                        PSA_IFOREST_FEATURES_MAX);
    train->field = malloc((kept + 1) * sizeof(struct psa_field *));
    return train->field != NULL ? 0 : psa_fail_memory(error, "learning the fields");
}

static int make_room(struct train *train, struct psa_error *error)
{
    size_t cap = train->cap_row > 0 ? 2 * train->cap_row : 1024;
    double *grown;

    if (train->n_row < train->cap_row) return 0;
    cap = cap < (size_t)train->options.max_rows ? cap : (size_t)train->options.max_rows;
    grown = realloc(train->rows, cap * train->schema.n * sizeof *grown);
    if (grown == NULL) return psa_fail_memory(error, "keeping the rows; lower --max-rows");
    train->rows = grown;
    train->cap_row = cap;
    return 0;
}

static int rows_add(struct train *train, const struct psa_record *record, struct psa_error *error)
{
    double *row;

    if (make_room(train, error) != 0) return -1;
    row = train->rows + train->n_row * train->schema.n;
    psa_schema_map(&train->schema, record, train->field, NULL);
    for (size_t j = 0; j < train->schema.n; j++) {
        const struct psa_field *field = train->field[j];

        if (field == NULL) return leave_out(train, "unmatched", "fields.", train->schema.name[j], " is missing");
        if (field->kind != PSA_NUMBER && field->kind != PSA_NULL)
            return leave_out(train, "type", "fields.", train->schema.name[j], " is not a number");
        row[j] = field->kind == PSA_NUMBER ? field->number : NAN; /* complete_rows fills these */
    }
    if (record->has_time) {
        train->from_ns =
            !train->has_time || record->timestamp_ns < train->from_ns ? record->timestamp_ns : train->from_ns;
        train->to_ns = !train->has_time || record->timestamp_ns > train->to_ns ? record->timestamp_ns : train->to_ns;
        train->has_time = true;
    }
    if (++train->n_row % PROGRESS_ROWS == 0) show_progress(train, "rows read:", train->n_row, 0);
    return 0;
}

static int take_record(struct train *train, const struct psa_record *record, struct psa_error *error)
{
    if (psa_record_is_status(record)) return 0;
    if (train->n_row == (size_t)train->options.max_rows) {
        train->beyond++;
        return 0;
    }
    for (size_t i = 0; i < record->n_field; i++) {
        if (record->field[i].kind == PSA_ARRAY && !record->field[i].shadowed)
            return leave_out(train, "array", "fields.", record->field[i].name,
                             " is an array, a window rather than features: put psa-features before psa-train");
    }
    if (train->schema.n == 0 && learn_columns(train, record, error) != 0) return -1;
    return train->schema.n > 0 ? rows_add(train, record, error) : 0;
}

static int take_line(struct train *train, struct psa_decoder *decoder, struct psa_str line, struct psa_error *error)
{
    struct psa_decoded decoded;

    switch (psa_decode(decoder, line, &decoded)) {
    case PSA_LINE_RECORD: return take_record(train, decoded.record, error);
    case PSA_LINE_REFUSED:
        return leave_out(train, psa_refusal_name(decoded.refusal), decoded.why, (struct psa_str){ NULL, 0 }, "");
    default: return 0; /* blank lines and control words */
    }
}

static int read_lines(struct train *train, struct psa_lines *lines, struct psa_decoder *decoder,
                      struct psa_error *error)
{
    struct psa_str line;

    for (;;) {
        enum psa_lines_got got = psa_lines_next(lines, &line, error);

        train->source = lines->name;
        train->line = lines->number;
        if (got == PSA_GOT_ERROR) return -1;
        if (got == PSA_GOT_END) break;
        if (got == PSA_GOT_TOO_LONG)
            leave_out(train, "max_line", "longer than --max-line", (struct psa_str){ NULL, 0 }, "");
        if (got == PSA_GOT_LINE && take_line(train, decoder, line, error) != 0) return -1;
    }
    if (psa_stop_asked()) return psa_fail(error, PSA_EXIT_RUNTIME, "stopped by a signal; no model was written");
    return 0;
}

static int read_rows(struct train *train, char *const *file, size_t n_file, struct psa_error *error)
{
    struct psa_decode_limits limits = PSA_DECODE_LIMITS;
    struct psa_decoder *decoder;
    struct psa_lines lines;
    int status;

    limits.flat = train->options.flat;
    decoder = psa_decoder_new(limits);
    if (decoder == NULL) return psa_fail_memory(error, "starting");
    psa_lines_init(&lines, file, n_file, (size_t)train->options.max_line);
    status = read_lines(train, &lines, decoder, error);
    psa_lines_free(&lines);
    psa_decoder_free(decoder);
    clear_progress(train);
    psa_report_totals(&train->report);
    if (train->beyond > 0)
        fprintf(stderr, NAME ": --max-rows %" PRId64 " reached; %" PRIu64 " records behind it left out\n",
                train->options.max_rows, train->beyond);
    if (status == 0 && train->n_row < 2)
        return psa_fail(error, PSA_EXIT_PERMANENT, "%zu usable records (%" PRIu64 " left out); a model needs 2 or more",
                        train->n_row, train->left_out);
    return status;
}

/* The mean of the values that column j has; *nulls counts those it lacks. */
static double column_mean(const struct train *train, size_t j, size_t *nulls)
{
    double sum = 0;

    *nulls = 0;
    for (size_t i = 0; i < train->n_row; i++) {
        double x = train->rows[i * train->schema.n + j];

        if (isnan(x)) ++*nulls;
        else sum += x;
    }
    return *nulls < train->n_row ? sum / (double)(train->n_row - *nulls) : NAN;
}

/* A feature that is null in more than half of the rows (the kurtosis of windows of one sample) says nothing: it does not
 * become part of the model. A null among values counts as their mean, as it does when the model scores. */
static int complete_rows(struct train *train, struct psa_error *error)
{
    struct psa_schema *schema = &train->schema;
    size_t width = schema->n, kept = 0;

    for (size_t j = 0; j < width; j++) {
        size_t nulls;
        double mean = column_mean(train, j, &nulls);
        char text[300];

        if (nulls > train->n_row / 2) {
            snprintf(text, sizeof text, "fields.%.*s is null in %zu of %zu records; it is not part of the model",
                     (int)(schema->name[j].n < 200 ? schema->name[j].n : 200), schema->name[j].p, nulls, train->n_row);
            psa_report_say(&train->report, NAME, NULL, 0, "null", text);
            continue;
        }
        for (size_t i = 0; nulls > 0 && i < train->n_row; i++) {
            double *x = &train->rows[i * width + j];

            if (isnan(*x)) *x = mean;
        }
        /* Columns are gathered at the rows' fronts first; the rows close up below. */
        for (size_t i = 0; kept != j && i < train->n_row; i++)
            train->rows[i * width + kept] = train->rows[i * width + j];
        schema->name[kept++] = schema->name[j];
    }
    for (size_t i = 1; kept < width && i < train->n_row; i++)
        memmove(train->rows + i * kept, train->rows + i * width, kept * sizeof *train->rows);
    schema->n = kept;
    return kept > 0 ? 0 : psa_fail(error, PSA_EXIT_PERMANENT, "every field is null in most records; nothing to learn");
}

/* ---- the model ---------------------------------------------------------------------------------------------------------- */

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void fill_training(const struct train *train, struct psa_model *model)
{
    size_t n = train->schema.n;

    model->contamination_auto = train->contamination_auto;
    model->contamination = train->contamination;
    model->seed = train->options.seed;
    model->trained.records = (int64_t)train->n_row;
    model->trained.has_time = train->has_time;
    model->trained.from_ns = train->from_ns;
    model->trained.to_ns = train->to_ns;
    for (size_t j = 0; j < n; j++) {
        model->trained.low[j] = model->trained.high[j] = train->rows[j];
        for (size_t i = 1; i < train->n_row; i++) {
            double x = train->rows[i * n + j];

            model->trained.low[j] = x < model->trained.low[j] ? x : model->trained.low[j];
            model->trained.high[j] = x > model->trained.high[j] ? x : model->trained.high[j];
        }
    }
}

/* Score every training row: from these scores come the threshold and the reference. `scores` has room for n_row. */
static int judge_rows(const struct train *train, struct psa_model *model, const float *rows, double *scores,
                      struct psa_error *error)
{
    struct psa_iforest_scorer scorer;
    size_t n = train->n_row;

    if (psa_iforest_compile(&scorer, &model->forest) != 0) return psa_fail_memory(error, "scoring the rows");
    for (size_t i = 0; i < n; i++) {
        scores[i] = -psa_iforest_score(&scorer, rows + i * train->schema.n, NULL);
        if (i % PROGRESS_ROWS == 0) show_progress(train, "scoring row", i, n);
    }
    psa_iforest_scorer_free(&scorer);
    qsort(scores, n, sizeof *scores, compare_doubles);
    psa_tail_table_make(&model->reference, scores, n);
    model->threshold = -0.5;
    if (!model->contamination_auto) { /* the same percentile of score_samples, whose order is the reverse */
        for (size_t i = 0; i < n; i++) scores[i] = -scores[i];
        qsort(scores, n, sizeof *scores, compare_doubles);
        model->threshold = psa_tail_quantile(scores, n, model->contamination);
    }
    return 0;
}

/* The rows as the forest sees them. NULL when memory is out. */
static float *scaled_rows(const struct train *train, const struct psa_scaler *scaler)
{
    size_t n = train->schema.n;
    float *out = malloc((train->n_row * n + 1) * sizeof *out);
    double *row = malloc((n + 1) * sizeof *row);

    for (size_t i = 0; out != NULL && row != NULL && i < train->n_row; i++) {
        psa_scaler_transform(scaler, train->rows + i * n, row);
        for (size_t j = 0; j < n; j++) out[i * n + j] = (float)row[j];
    }
    if (row == NULL) {
        free(out);
        out = NULL;
    }
    free(row);
    return out;
}

/* A feature that never varied cannot tell a bad day; a model of such features alone could never alarm. */
static int check_varied(struct train *train, const struct psa_model *model, struct psa_error *error)
{
    size_t constant = 0;

    for (size_t j = 0; j < train->schema.n; j++) {
        char text[300];

        if (model->trained.low[j] < model->trained.high[j]) continue;
        constant++;
        snprintf(text, sizeof text, "fields.%.*s was constant; the model cannot judge by it",
                 (int)(train->schema.name[j].n < 200 ? train->schema.name[j].n : 200), train->schema.name[j].p);
        psa_report_say(&train->report, NAME, NULL, 0, "constant", text);
    }
    if (constant < train->schema.n) return 0;
    return psa_fail(error, PSA_EXIT_PERMANENT, "every feature was constant; a model of them could never alarm");
}

static int make_model(struct train *train, struct psa_model *model, struct psa_error *error)
{
    struct psa_iforest_training training = { (size_t)train->options.trees, (size_t)train->options.samples,
                                             (uint64_t)train->options.seed, show_trees, train };
    size_t n = train->schema.n;
    double *scores;
    float *rows;
    int status;

    if (psa_model_init(model, train->schema.name, n) != 0) return psa_fail_memory(error, "making the model");
    fill_training(train, model);
    if (check_varied(train, model, error) != 0) return -1;
    if (psa_scaler_fit(&model->scaler, train->rows, train->n_row, n) != 0) return psa_fail_memory(error, "scaling");
    model->scaler.identity = !train->scale;
    rows = scaled_rows(train, &model->scaler);
    scores = malloc(train->n_row * sizeof *scores);
    if (rows == NULL || scores == NULL || psa_iforest_train(&model->forest, rows, train->n_row, n, &training) != 0)
        status = psa_fail_memory(error, "training");
    else status = judge_rows(train, model, rows, scores, error);
    free(rows);
    free(scores);
    clear_progress(train);
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

static int write_model(const struct train *train, struct psa_model *model, struct psa_error *error)
{
    struct psa_error inner = { 0 };
    struct psa_writer out;
    struct psa_buf text = { 0 };
    int status;

    psa_model_write(model, &text);
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

/* ---- --describe --------------------------------------------------------------------------------------------------------- */

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

static void describe_features(const struct psa_model *model, struct psa_buf *out)
{
    size_t width = 8;

    for (size_t j = 0; j < model->n_features; j++)
        width = model->feature[j].n > width && model->feature[j].n < 40 ? model->feature[j].n : width;
    put_text(out, "  %-*s %14s %14s %14s\n", (int)width, "feature", "least", "mean", "greatest");
    for (size_t j = 0; j < model->n_features; j++) {
        put_text(out, "  %.*s%*s", (int)(model->feature[j].n < 256 ? model->feature[j].n : 256), model->feature[j].p,
                 (int)(model->feature[j].n < width ? width - model->feature[j].n : 0), "");
        put_text(out, " %14.6g %14.6g %14.6g\n", model->trained.low[j], model->scaler.mean[j], model->trained.high[j]);
    }
}

static void describe_model(const struct psa_model *model, struct psa_buf *out)
{
    char from[PSA_TIME_ISO_MAX], to[PSA_TIME_ISO_MAX];
    size_t nodes = 0;

    for (size_t t = 0; t < model->forest.n_trees; t++) nodes += model->forest.tree[t].n;
    put_text(out, "%s: isolation forest of %zu trees, each grown from %zu rows (%zu nodes), seed %" PRId64 "\n",
             model->id, model->forest.n_trees, model->forest.max_samples, nodes, model->seed);
    put_text(out, "trained on %" PRId64 " records", model->trained.records);
    if (model->trained.has_time) {
        psa_time_format_iso(model->trained.from_ns, from);
        psa_time_format_iso(model->trained.to_ns, to);
        put_text(out, " from %s to %s", from, to);
    }
    put_text(out, "\nscaler: %s\n",
             model->scaler.identity
                 ? "none; a missing value counts as its training mean"
                 : "standard, every feature to mean 0 and variance 1; a missing value counts as its mean");
    put_text(out, "threshold: a raw score below %.6g is an anomaly, ", model->threshold);
    if (model->contamination_auto) put_text(out, "the forest's own default (contamination auto)\n");
    else put_text(out, "as %.4g %% of the training records were\n", 100.0 * model->contamination);
    put_text(out, "raw scores in training: half above %.6g, nine tenths above %.6g, the most unusual %.6g\n",
             -psa_tail_quantile(model->reference.score, model->reference.n, 0.5), -model->reference.tail.start,
             -model->reference.score[model->reference.n - 1]);
    put_text(out, "%zu features:\n", model->n_features);
    describe_features(model, out);
}

static int describe(const char *path, struct psa_error *error)
{
    struct psa_error inner = { 0 };
    struct psa_buf text = { 0 };
    struct psa_model model;
    struct psa_writer out;
    int status = psa_file_read(path, (int64_t)PSA_MODEL_BYTES_MAX, &text, error);

    if (status == 1) status = psa_fail(error, PSA_EXIT_PERMANENT, "model '%s' does not exist", path);
    else if (status == 0 && psa_model_read(&model, psa_buf_str(&text), &inner) != 0)
        status = psa_fail(error, inner.status, "model '%s': %s", path, inner.text);
    psa_buf_free(&text);
    if (status != 0) return -1;
    psa_writer_init(&out, STDOUT_FILENO, "stdout");
    describe_model(&model, &out.buf);
    psa_model_free(&model);
    return psa_writer_close(&out, error);
}

/* ---- the program -------------------------------------------------------------------------------------------------------- */

static int check_options(struct train *train, struct psa_error *error)
{
    const struct train_options *options = &train->options;

    train->contamination_auto = strcmp(options->contamination, "auto") == 0;
    if (!train->contamination_auto) {
        if (psa_parse_real(options->contamination, "--contamination", &train->contamination, error) != 0) return -1;
        if (!(train->contamination > 0.0 && train->contamination <= 0.5))
            return psa_fail(error, PSA_EXIT_PERMANENT, "--contamination '%s' is neither auto nor above 0 and up to 0.5",
                            options->contamination);
    }
    train->scale = strcmp(options->scaler, "standard") == 0;
    if (!train->scale && strcmp(options->scaler, "none") != 0)
        return psa_fail(error, PSA_EXIT_PERMANENT, "unknown scaler '%s'; there are standard and none", options->scaler);
    return 0;
}

static int train_run(struct train *train, int n_operand, char **operand, struct psa_error *error)
{
    struct psa_model model = { .n_features = 0 };
    int status;

    if (train->options.describe != NULL && n_operand > 0)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--describe takes no further arguments");
    if (train->options.describe != NULL) return describe(train->options.describe, error);
    if (n_operand == 0) return psa_fail(error, PSA_EXIT_PERMANENT, "say which kind of model: %s", USAGE);
    if (strcmp(operand[0], "isolation-forest") != 0)
        return psa_fail(error, PSA_EXIT_PERMANENT, "unknown kind of model '%s'; there is isolation-forest", operand[0]);
    if (check_options(train, error) != 0 || psa_signals_install(error) != 0) return -1;
    status = read_rows(train, operand + 1, (size_t)n_operand - 1, error);
    if (status == 0) status = complete_rows(train, error);
    if (status == 0) status = make_model(train, &model, error);
    if (status == 0 && psa_stop_asked())
        status = psa_fail(error, PSA_EXIT_RUNTIME, "stopped by a signal; no model was written");
    if (status == 0) status = write_model(train, &model, error);
    if (status == 0 && train->terminal)
        fprintf(stderr, NAME ": %s from %zu records, %" PRIu64 " left out\n", model.id, train->n_row, train->left_out);
    psa_model_free(&model);
    return status;
}

int psa_train_main(int argc, char **argv)
{
    struct train train = { .terminal = isatty(STDERR_FILENO) == 1 };
    struct psa_option_set set = { train_option_table, &train.options };
    struct psa_error error = { 0 };
    int operand, status;
    char asked = 0;

    status = psa_options_parse(&set, 1, argc, argv, &operand, &asked, NULL, &error);
    if (status == 0 && asked != 0) return psa_print_help(asked, &set, 1, NAME, USAGE, SUMMARY);
    if (status == 0) status = train_run(&train, argc - operand, argv + operand, &error);
    psa_schema_free(&train.schema);
    free(train.field);
    free(train.rows);
    if (status == 0) return PSA_EXIT_OK;
    if (error.status == PSA_BROKEN_PIPE) psa_exit_broken_pipe();
    psa_report_error(NAME, &error);
    return error.status;
}
