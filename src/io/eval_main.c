/*
 * eval_main.c - psa-eval: see eval_main.h.
 *
 *     psa_lines_next -> psa_decode -> take_record -> the stream's arrays ... -> psa_eval_judge -> psa_eval_table or _json
 *
 * A row is 18 bytes: its time, score, prediction and label. Records that cannot be judged are left out, said and counted.
 * A signal ends the reading, and what was read is judged: a running pipeline can be looked at with Ctrl-C.
 */
#include "io/eval_main.h"

#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"
#include "core/key.h"
#include "core/number.h"
#include "core/option.h"
#include "core/record.h"
#include "io/eval.h"
#include "io/filter_main.h"
#include "io/lines.h"
#include "io/report.h"
#include "io/signals.h"
#include "io/writer.h"

#define NAME "psa-eval"
#define SUMMARY "judge scored records by their labels"
#define USAGE "[options] [file ...]"
#define DEFAULT_SCORE "fields.anomaly_score"
#define FILE_SEPARATOR 0x1e /* between a file's number and the key */

struct eval_options {
    const char *label, *score, *threshold, *skip, *windows, *windows_for, *key;
    bool nab, each, json, join;
    int64_t sweep, max_rows, max_keys;
};

static const struct psa_option eval_option_table[] = {
    { .name = "label",
      .type = PSA_OPT_TEXT,
      .offset = offsetof(struct eval_options, label),
      .metavar = "NAME",
      .initial = "anomaly",
      .not_with = "windows",
      .help = "which of the labels is the truth: a number other than 0 is an anomaly" },
    { .name = "windows",
      .type = PSA_OPT_TEXT,
      .offset = offsetof(struct eval_options, windows),
      .metavar = "FILE",
      .help = "take the truth from FILE, spans of time in NAB's format, instead of labels; implies --nab" },
    { .name = "windows-for",
      .type = PSA_OPT_TEXT,
      .offset = offsetof(struct eval_options, windows_for),
      .metavar = "NAME",
      .needs = "windows",
      .help = "the entry of the windows that all streams belong to; without it their names tell" },
    { .name = "threshold",
      .type = PSA_OPT_TEXT,
      .offset = offsetof(struct eval_options, threshold),
      .metavar = "X",
      .help = "predict where the score is X or higher, instead of by anomaly.is_anomaly" },
    { .name = "score",
      .type = PSA_OPT_TEXT,
      .offset = offsetof(struct eval_options, score),
      .metavar = "PATH",
      .initial = DEFAULT_SCORE,
      .help = "the number that ranks the rows, higher being more anomalous" },
    { .name = "skip",
      .type = PSA_OPT_TEXT,
      .offset = offsetof(struct eval_options, skip),
      .metavar = "N|N%|nab",
      .initial = "0",
      .help = "first rows of every stream that are not judged, or percent of its rows, or NAB's probation" },
    { .name = "nab",
      .type = PSA_OPT_FLAG,
      .offset = offsetof(struct eval_options, nab),
      .help = "the NAB score of labelled ranges too" },
    { .name = "each",
      .type = PSA_OPT_FLAG,
      .offset = offsetof(struct eval_options, each),
      .help = "every stream's figures too, before those of all" },
    { .name = "sweep",
      .type = PSA_OPT_COUNT,
      .offset = offsetof(struct eval_options, sweep),
      .metavar = "N",
      .min = 1,
      .max = 1e9,
      .help = "what N thresholds would give, evenly spaced by how many rows they predict" },
    { .name = "json",
      .type = PSA_OPT_FLAG,
      .offset = offsetof(struct eval_options, json),
      .help = "print one JSON object instead of a table" },
    { .name = "join",
      .type = PSA_OPT_FLAG,
      .offset = offsetof(struct eval_options, join),
      .help = "a stream goes on from file to file; without it each file has its own" },
    { .name = "key",
      .type = PSA_OPT_TEXT,
      .offset = offsetof(struct eval_options, key),
      .metavar = "PATH",
      .help = "what tells streams apart, instead of sensor_type and sensor_id" },
    { .name = "max-rows",
      .type = PSA_OPT_COUNT,
      .offset = offsetof(struct eval_options, max_rows),
      .metavar = "N",
      .initial = "10000000",
      .min = 1,
      .max = 1e12,
      .help = "rows kept in memory, skipped ones included; what comes behind them is left out" },
    { .name = "max-keys",
      .type = PSA_OPT_COUNT,
      .offset = offsetof(struct eval_options, max_keys),
      .metavar = "N",
      .initial = "10000",
      .min = 1,
      .max = 1e9,
      .help = "streams kept; records of further ones are left out" },
    { .type = PSA_OPT_END },
};

struct eval {
    struct eval_options options;
    struct psa_input_options input;
    struct psa_eval_settings settings;
    struct psa_eval_windows windows;
    struct psa_report report;
    struct psa_reasons left_out;
    struct psa_writer rejects;
    const char *source;  /* of the line at hand */
    uint64_t line, file; /* its number, and its file's */
    struct psa_str text; /* the line itself */
    struct psa_keyed *keyed;
    struct psa_eval_streams streams;
    size_t cap_streams;
    uint64_t rows;
    struct psa_buf key; /* scratch */
};

/* ---- streams ---------------------------------------------------------------------------------------------------------------- */

static void drop_stream(struct psa_slot *slot)
{
    struct psa_eval_stream *stream = (struct psa_eval_stream *)slot;

    free(stream->time_ns);
    free(stream->score);
    free(stream->predicted);
    free(stream->labelled);
    free(stream->range);
    free(stream->window);
}

static const struct psa_slot_type stream_type = { .size = sizeof(struct psa_eval_stream), .drop = drop_stream };

/* The record or line at hand is left out. Returns 0, or -1 where --rejects cannot be written. */
static int leave_out(struct eval *eval, const char *reason, struct psa_error *error, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static int leave_out(struct eval *eval, const char *reason, struct psa_error *error, const char *format, ...)
{
    char text[500];
    va_list arguments;
    int n;

    va_start(arguments, format);
    n = vsnprintf(text, sizeof text - 12, format, arguments);
    va_end(arguments);
    n = n < (int)sizeof text - 13 ? n : (int)sizeof text - 13;
    snprintf(text + n, sizeof text - (size_t)n, "; left out");
    psa_count(&eval->left_out, reason, 1);
    psa_report_say(&eval->report, NAME, eval->source, eval->line, reason, text);
    if (eval->input.rejects == NULL || eval->text.p == NULL) return 0;
    psa_buf_put(&eval->rejects.buf, eval->text.p, eval->text.n);
    psa_buf_put(&eval->rejects.buf, "\n", 1);
    return psa_writer_added(&eval->rejects, error);
}

/* What names the record's sensor; .p == NULL: nothing at --key. The stream's key, in eval->key, is the file's number and,
 * unless --key is given, the sensor's type before it. */
static struct psa_str make_key(struct eval *eval, struct psa_record *record)
{
    const char separator[] = { FILE_SEPARATOR, PSA_KEY_SEPARATOR };
    struct psa_buf *key = &eval->key;
    struct psa_str id = record->sensor_id;

    key->n = 0;
    if (!eval->options.join) psa_buf_int(key, (int64_t)eval->file);
    psa_buf_put(key, separator, 1);
    if (eval->options.key != NULL) {
        id = psa_record_path(record, eval->options.key);
    } else {
        psa_buf_put(key, record->sensor_type.p, record->sensor_type.n);
        psa_buf_put(key, separator + 1, 1);
    }
    if (id.n > 0) psa_buf_put(key, id.p, id.n);
    if (id.p == NULL && eval->options.key == NULL) id = (struct psa_str){ "", 0 };
    return id;
}

/* The stream of the record at hand; NULL: it was left out (*status 0) or memory is out (*status -1). */
static struct psa_eval_stream *stream_of(struct eval *eval, struct psa_record *record, int *status,
                                         struct psa_error *error)
{
    struct psa_str id = make_key(eval, record), key = psa_buf_str(&eval->key);
    struct psa_eval_streams *streams = &eval->streams;
    struct psa_eval_stream *stream;
    bool fresh, evicted;

    *status = -1;
    if (id.p == NULL) {
        *status = leave_out(eval, "no_key", error, "nothing at --key %s", eval->options.key);
        return NULL;
    }
    if (streams->n == (size_t)eval->options.max_keys && psa_keyed_peek(eval->keyed, key) == NULL) {
        *status =
            leave_out(eval, "max_keys", error, "one stream more than --max-keys %" PRId64, eval->options.max_keys);
        return NULL;
    }
    if (streams->n == eval->cap_streams) {
        size_t cap = eval->cap_streams > 0 ? 2 * eval->cap_streams : 16;
        struct psa_eval_stream **grown = realloc(streams->of, cap * sizeof *grown);

        if (grown != NULL) streams->of = grown;
        eval->cap_streams = grown != NULL ? cap : eval->cap_streams;
    }
    if (!eval->key.failed && streams->n < eval->cap_streams)
        stream = (struct psa_eval_stream *)psa_keyed_get(eval->keyed, key, &fresh, &evicted);
    else stream = NULL;
    if (stream == NULL) {
        psa_fail_memory(error, "keeping the streams; lower --max-keys");
        return NULL;
    }
    if (fresh) {
        const struct psa_str own = stream->slot.key;

        stream->id = (struct psa_str){ own.p + own.n - id.n, id.n };
        stream->source = eval->source;
        streams->of[streams->n++] = stream;
    }
    return stream;
}

/* Room for half as many rows again. What could be had is kept also where one of the four could not. */
static bool grow_rows(struct psa_eval_stream *stream)
{
    const size_t cap = stream->cap > 0 ? stream->cap + stream->cap / 2 : 64;
    int64_t *time_ns = realloc(stream->time_ns, cap * sizeof *time_ns);
    double *score = realloc(stream->score, cap * sizeof *score);
    bool *predicted = realloc(stream->predicted, cap * sizeof *predicted);
    bool *labelled = realloc(stream->labelled, cap * sizeof *labelled);

    if (time_ns != NULL) stream->time_ns = time_ns;
    if (score != NULL) stream->score = score;
    if (predicted != NULL) stream->predicted = predicted;
    if (labelled != NULL) stream->labelled = labelled;
    if (time_ns == NULL || score == NULL || predicted == NULL || labelled == NULL) return false;
    stream->cap = cap;
    return true;
}

static int add_row(struct eval *eval, struct psa_eval_stream *stream, const struct psa_record *record, double score,
                   bool predicted, bool labelled, struct psa_error *error)
{
    if (stream->n == stream->cap && !grow_rows(stream))
        return psa_fail_memory(error, "keeping the rows; lower --max-rows");
    stream->time_ns[stream->n] = record->has_time ? record->timestamp_ns : 0;
    stream->score[stream->n] = score;
    stream->predicted[stream->n] = predicted;
    stream->labelled[stream->n] = labelled;
    stream->untimed = stream->untimed || !record->has_time;
    stream->n++;
    eval->rows++;
    psa_slot_advance(&stream->slot, record);
    return 0;
}

/* ---- records ------------------------------------------------------------------------------------------------------------------ */

/* What became of looking at a part of the record: it can be used, it was left out, or the run ends. */
enum look { LOOK_OK, LOOK_LEFT_OUT, LOOK_FAILED };

static enum look left(int status)
{
    return status == 0 ? LOOK_LEFT_OUT : LOOK_FAILED;
}

/* Is it true or a number but 0? false where the text is neither of these nor their opposite. */
static bool read_truth(struct psa_str text, bool *truth)
{
    double value = 0.0;

    if (psa_str_eq(text, "true") || psa_str_eq(text, "false")) {
        *truth = text.n == 4;
        return true;
    }
    if (!psa_number_parse(text.p, text.p + text.n, &value)) return false;
    *truth = value != 0.0;
    return true;
}

static enum look look_at_label(struct eval *eval, const struct psa_record *record, bool *labelled,
                               struct psa_error *error)
{
    const struct psa_member *labels = psa_record_member(record, PSA_M_LABELS);
    struct psa_str text = { NULL, 0 };

    *labelled = false;
    if (eval->options.windows != NULL) return LOOK_OK;
    if (labels != NULL && labels->text.n > 0 && labels->text.p[0] == '{')
        text = psa_json_member(labels->text, psa_str_of(eval->options.label));
    if (text.p == NULL || psa_str_eq(text, "null"))
        return left(leave_out(eval, "unlabelled", error, "no labels.%s", eval->options.label));
    if (read_truth(text, labelled)) return LOOK_OK;
    return left(
        leave_out(eval, "label", error, "labels.%s is neither a number nor true or false", eval->options.label));
}

/* The score, -INFINITY where there is none. */
static enum look look_at_score(struct eval *eval, struct psa_record *record, double *score, struct psa_error *error)
{
    const char *path = eval->options.score;
    struct psa_str text;

    *score = -INFINITY;
    if (strcmp(path, DEFAULT_SCORE) == 0) {
        const struct psa_field *field =
            psa_record_field(record, psa_str_of("anomaly_score"), record->n_field > 1 ? record->n_field - 2 : 0);

        if (field == NULL || field->kind == PSA_NULL) return LOOK_OK;
        *score = field->number;
        if (field->kind == PSA_NUMBER) return LOOK_OK;
    } else {
        text = psa_record_path(record, path);
        if (text.p == NULL || psa_str_eq(text, "null")) return LOOK_OK;
        if (psa_number_parse(text.p, text.p + text.n, score)) return LOOK_OK;
    }
    return left(leave_out(eval, "score", error, "%s is not a number", path));
}

static enum look look_at_verdict(struct eval *eval, const struct psa_record *record, double score, bool *predicted,
                                 struct psa_error *error)
{
    const struct psa_member *anomaly = psa_record_member(record, PSA_M_ANOMALY);
    struct psa_str text = { NULL, 0 };

    *predicted = eval->settings.has_threshold && score >= eval->settings.threshold;
    if (anomaly == NULL && !(eval->settings.has_threshold && score > -INFINITY))
        return left(leave_out(eval, "unscored", error, "no member anomaly: psa-score did not judge it"));
    if (eval->settings.has_threshold) return LOOK_OK;
    if (anomaly->text.n > 0 && anomaly->text.p[0] == '{')
        text = psa_json_member(anomaly->text, psa_str_of("is_anomaly"));
    *predicted = psa_str_eq(text, "true");
    if (*predicted || psa_str_eq(text, "false")) return LOOK_OK;
    return left(leave_out(eval, "verdict", error, "anomaly.is_anomaly is neither true nor false"));
}

static int take_record(struct eval *eval, struct psa_record *record, struct psa_error *error)
{
    struct psa_eval_stream *stream;
    bool labelled, predicted;
    enum look look;
    double score;
    int status;

    if (psa_record_is_status(record)) return 0;
    if ((look = look_at_score(eval, record, &score, error)) != LOOK_OK ||
        (look = look_at_verdict(eval, record, score, &predicted, error)) != LOOK_OK ||
        (look = look_at_label(eval, record, &labelled, error)) != LOOK_OK)
        return look == LOOK_FAILED ? -1 : 0;
    if (eval->options.windows != NULL && !record->has_time)
        return leave_out(eval, "no_time", error, "no time, by which --windows judges");
    if (eval->rows == (uint64_t)eval->options.max_rows)
        return leave_out(eval, "max_rows", error, "one row more than --max-rows %" PRId64, eval->options.max_rows);
    stream = stream_of(eval, record, &status, error);
    if (stream == NULL) return status;
    if (psa_slot_late(&stream->slot, record))
        return leave_out(eval, "late", error, "older than the newest record of its stream");
    return add_row(eval, stream, record, score, predicted, labelled, error);
}

/* ---- reading -------------------------------------------------------------------------------------------------------------------- */

static int take_line(struct eval *eval, struct psa_decoder *decoder, struct psa_error *error)
{
    struct psa_decoded decoded;

    switch (psa_decode(decoder, eval->text, &decoded)) {
    case PSA_LINE_RECORD: return take_record(eval, decoded.record, error);
    case PSA_LINE_REFUSED: return leave_out(eval, psa_refusal_name(decoded.refusal), error, "%s", decoded.why);
    default: return 0; /* blank lines and control words */
    }
}

static int read_lines(struct eval *eval, struct psa_lines *lines, struct psa_decoder *decoder, struct psa_error *error)
{
    for (int status = 0; status == 0;) {
        enum psa_lines_got got = psa_lines_next(lines, &eval->text, error);

        eval->source = lines->name;
        eval->line = lines->number;
        if (got != PSA_GOT_LINE) eval->text.p = NULL;
        switch (got) {
        case PSA_GOT_LINE: status = take_line(eval, decoder, error); break;
        case PSA_GOT_TOO_LONG:
            status = leave_out(eval, "max_line", error, "a line of %" PRIu64 " bytes, longer than --max-line %" PRId64,
                               lines->skipped, eval->input.max_line);
            break;
        case PSA_GOT_FILE: eval->file++; break;
        case PSA_GOT_END: return 0;
        case PSA_GOT_ERROR: return -1;
        case PSA_GOT_NOTHING: break; /* never: this reader waits */
        }
    }
    return -1;
}

static int read_all(struct eval *eval, char *const *file, size_t n_file, struct psa_error *error)
{
    struct psa_decode_limits limits = { eval->input.max_fields, eval->input.max_depth, false };
    struct psa_decoder *decoder = psa_decoder_new(limits);
    struct psa_lines lines;
    int status;

    if (decoder == NULL) return psa_fail_memory(error, "starting");
    psa_lines_init(&lines, file, n_file, (size_t)eval->input.max_line);
    status = read_lines(eval, &lines, decoder, error);
    if (status == 0 && psa_stop_asked())
        psa_report_say(&eval->report, NAME, NULL, 0, "stop", "stopped by a signal; judging what was read");
    psa_lines_free(&lines);
    psa_decoder_free(decoder);
    return status;
}

/* ---- the program ---------------------------------------------------------------------------------------------------------------- */

static int read_skip(struct eval *eval, struct psa_error *error)
{
    const char *text = eval->options.skip;
    size_t n = strlen(text);
    struct psa_eval_settings *settings = &eval->settings;
    int64_t rows;

    if (strcmp(text, "nab") == 0) {
        settings->skip_by = PSA_EVAL_SKIP_NAB;
        return 0;
    }
    if (psa_int_parse(text, text + n, &rows) && rows >= 0) {
        settings->skip = (double)rows;
        return 0;
    }
    settings->skip_by = PSA_EVAL_SKIP_PERCENT;
    if (n > 1 && text[n - 1] == '%' && psa_number_parse(text, text + n - 1, &settings->skip) && settings->skip >= 0.0 &&
        settings->skip < 100.0)
        return 0;
    return psa_fail(error, PSA_EXIT_PERMANENT,
                    "--skip '%s' is neither a number of rows, nor a percentage below 100, nor nab", text);
}

static int settle(struct eval *eval, size_t n_file, struct psa_error *error)
{
    const struct eval_options *options = &eval->options;
    struct psa_eval_settings *settings = &eval->settings;

    settings->label = options->windows == NULL ? options->label : NULL;
    settings->windows_path = options->windows;
    settings->score = options->score;
    settings->nab = options->nab || options->windows != NULL;
    settings->each = options->each;
    settings->sweep = (size_t)options->sweep;
    settings->has_threshold = options->threshold != NULL;
    eval->streams.by_file = n_file > 1 && !options->join;
    if (settings->has_threshold && psa_parse_real(options->threshold, "--threshold", &settings->threshold, error) != 0)
        return -1;
    if (read_skip(eval, error) != 0) return -1;
    if (options->windows == NULL) return 0;
    if (psa_eval_windows_read(&eval->windows, options->windows, error) != 0) return -1;
    if (options->windows_for == NULL || psa_eval_windows_named(&eval->windows, options->windows_for) != NULL) return 0;
    return psa_fail(error, PSA_EXIT_PERMANENT, "--windows-for '%s': '%s' has no such entry, or several",
                    options->windows_for, options->windows);
}

static int start(struct eval *eval, struct psa_error *error)
{
    int fd;

    eval->keyed = psa_keyed_new(&stream_type, eval->options.max_keys);
    if (eval->keyed == NULL) return psa_fail_memory(error, "starting");
    if (psa_signals_install(error) != 0) return -1;
    if (eval->input.rejects == NULL) return 0;
    fd = open(eval->input.rejects, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0) return psa_fail(error, PSA_EXIT_PERMANENT, "%s: cannot open: %m", eval->input.rejects);
    psa_writer_init(&eval->rejects, fd, eval->input.rejects);
    return 0;
}

/* With --windows: which entry each stream belongs to. One that has none is left out. */
static int find_windows(struct eval *eval, struct psa_error *error)
{
    const struct eval_options *options = &eval->options;

    for (size_t i = 0; options->windows != NULL && i < eval->streams.n; i++) {
        struct psa_eval_stream *stream = eval->streams.of[i];
        char name[300], text[700];

        if (options->windows_for != NULL) stream->entry = psa_eval_windows_named(&eval->windows, options->windows_for);
        else if (psa_eval_windows_find(&eval->windows, stream, &stream->entry, error) != 0) return -1;
        if (stream->entry != NULL) continue;
        stream->left_out = true;
        psa_count(&eval->left_out, "no_windows", stream->n);
        eval->rows -= stream->n;
        snprintf(text, sizeof text, "stream %s has no entry in '%.300s'; its %zu rows are left out",
                 psa_eval_stream_name(stream, &eval->streams, name), options->windows, stream->n);
        psa_report_say(&eval->report, NAME, NULL, 0, "no_windows", text);
    }
    return 0;
}

static uint64_t count_left_out(const struct eval *eval)
{
    uint64_t n = 0;

    for (size_t i = 0; i < eval->left_out.n; i++) n += eval->left_out.of[i].n;
    return n;
}

static int print_result(struct eval *eval, const struct psa_eval_result *result, struct psa_error *error)
{
    struct psa_writer out;

    psa_writer_init(&out, STDOUT_FILENO, "stdout");
    if (eval->options.json) psa_eval_json(result, &eval->streams, &eval->settings, &eval->left_out, &out.buf);
    else psa_eval_table(result, &eval->streams, &eval->settings, &eval->left_out, &out.buf);
    return psa_writer_close(&out, error);
}

static int judge(struct eval *eval, struct psa_error *error)
{
    struct psa_eval_result result = { .streams = 0 };
    int status;

    if (find_windows(eval, error) != 0) return -1;
    if (eval->rows == 0)
        return psa_fail(error, PSA_EXIT_PERMANENT, "no row to judge; %" PRIu64 " records were left out",
                        count_left_out(eval));
    status = psa_eval_judge(&eval->streams, &eval->settings, &result, error);
    if (status == 0 && result.pooled.rows == result.pooled.skipped)
        status = psa_fail(error, PSA_EXIT_PERMANENT, "no row to judge; all %" PRIu64 " lie within --skip %s",
                          result.pooled.rows, eval->options.skip);
    if (status == 0) status = print_result(eval, &result, error);
    psa_eval_result_free(&result);
    return status;
}

static int run(struct eval *eval, char *const *file, size_t n_file, struct psa_error *error)
{
    struct psa_error later = { 0 };
    int status = settle(eval, n_file, error);

    if (status == 0) status = start(eval, error);
    if (status == 0) status = read_all(eval, file, n_file, error);
    if (eval->rejects.name != NULL && psa_writer_close(&eval->rejects, &later) != 0 && status == 0) {
        *error = later;
        status = -1;
    }
    if (status == 0) status = judge(eval, error);
    psa_report_totals(&eval->report);
    return status;
}

int psa_eval_main(int argc, char **argv)
{
    struct eval eval = { .source = "stdin" };
    struct psa_option_set set[] = { { eval_option_table, &eval.options }, { psa_input_option_table, &eval.input } };
    struct psa_error error = { 0 };
    int operand, status;
    char asked = 0;

    status = psa_options_parse(set, 2, argc, argv, &operand, &asked, NULL, &error);
    if (status == 0 && asked != 0) return psa_print_help(asked, set, 2, NAME, USAGE, SUMMARY);
    if (status == 0) status = psa_key_check_path(eval.options.key, &error);
    if (status == 0) status = run(&eval, argv + operand, (size_t)(argc - operand), &error);
    psa_keyed_free(eval.keyed);
    free(eval.streams.of);
    psa_buf_free(&eval.key);
    psa_eval_windows_free(&eval.windows);
    if (status == 0) return eval.input.strict && eval.left_out.n > 0 ? PSA_EXIT_REJECTED : PSA_EXIT_OK;
    if (error.status == PSA_BROKEN_PIPE) psa_exit_broken_pipe();
    psa_report_error(NAME, &error);
    return error.status;
}
