/*
 * train_rows.c - lines -> records -> rows: see train.h.
 *
 * All rows stay in memory: values one after the other, a time and the number of its stream for each. A stream's number is
 * found by its key in a hash table. At the end columns that are mostly null go, and the rows are brought into the order of
 * their streams in place, cycle by cycle, so that no second copy is needed.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/hash.h"
#include "core/key.h"
#include "core/record.h"
#include "io/lines.h"
#include "io/signals.h"
#include "io/train.h"

#define PROGRESS_ROWS 10000 /* between two signs of life */
#define NAME_SHOWN 200      /* bytes of a field's name in a message */

/* ---- records that do not fit ------------------------------------------------------------------------------------------ */

/* This record is left out. Always returns 0. */
static int leave_out(struct psa_train_rows *rows, const char *cause, const char *what, struct psa_str name,
                     const char *why)
{
    char text[300];

    rows->left_out++;
    snprintf(text, sizeof text, "%s%.*s%s; left out", what, (int)(name.n < NAME_SHOWN ? name.n : NAME_SHOWN),
             name.p != NULL ? name.p : "", why);
    psa_report_say(rows->report, PSA_TRAIN, rows->source, rows->line, cause, text);
    return 0;
}

/* A sentence about a column. */
static void say_column(struct psa_train_rows *rows, const char *cause, struct psa_str name, const char *what)
{
    char text[400];

    snprintf(text, sizeof text, "fields.%.*s %s", (int)(name.n < NAME_SHOWN ? name.n : NAME_SHOWN), name.p, what);
    psa_report_say(rows->report, PSA_TRAIN, NULL, 0, cause, text);
}

/* ---- streams ---------------------------------------------------------------------------------------------------------- */

static bool grow_places(struct psa_train_streams *streams)
{
    size_t n_place = streams->n_place > 0 ? 2 * streams->n_place : 64;
    uint32_t *place = calloc(n_place, sizeof *place);

    if (place == NULL) return false;
    for (size_t i = 0; i < streams->n; i++) {
        size_t at = (size_t)psa_hash(PSA_HASH_START, streams->key[i].p, streams->key[i].n) & (n_place - 1);

        while (place[at] != 0) at = (at + 1) & (n_place - 1);
        place[at] = (uint32_t)i + 1;
    }
    free(streams->place);
    streams->place = place;
    streams->n_place = n_place;
    return true;
}

static bool add_stream(struct psa_train_streams *streams, struct psa_str key)
{
    if (streams->n == streams->cap) {
        size_t cap = streams->cap > 0 ? 2 * streams->cap : 64;
        struct psa_str *grown = realloc(streams->key, cap * sizeof *grown);

        if (grown == NULL) return false;
        streams->key = grown;
        streams->cap = cap;
    }
    streams->key[streams->n] = psa_arena_copy(&streams->arena, key);
    return streams->key[streams->n].p != NULL && (streams->n++, true);
}

/* The number of the stream with that key, a new one if need be; -1 when memory is out. */
static int64_t stream_of(struct psa_train_streams *streams, struct psa_str key)
{
    size_t at;

    if (2 * streams->n >= streams->n_place && !grow_places(streams)) return -1;
    at = (size_t)psa_hash(PSA_HASH_START, key.p, key.n) & (streams->n_place - 1);
    for (; streams->place[at] != 0; at = (at + 1) & (streams->n_place - 1)) {
        if (psa_str_is(streams->key[streams->place[at] - 1], key)) return streams->place[at] - 1;
    }
    if (!add_stream(streams, key)) return -1;
    streams->place[at] = (uint32_t)streams->n;
    return (int64_t)streams->n - 1;
}

/* ---- from a record to a row ------------------------------------------------------------------------------------------- */

static int make_fields(struct psa_train_rows *rows, struct psa_error *error)
{
    rows->field = malloc((rows->schema.n + 1) * sizeof(struct psa_field *));
    return rows->field != NULL ? 0 : psa_fail_memory(error, "learning the fields");
}

/* The columns are the number (or null) fields of this record, if it has a number at all. */
static int learn_columns(struct psa_train_rows *rows, const struct psa_record *record, struct psa_error *error)
{
    struct psa_schema *schema = &rows->schema;
    size_t kept = 0, numbers = 0;

    for (size_t i = 0; i < record->n_field; i++)
        numbers += record->field[i].kind == PSA_NUMBER && !psa_field_is_verdict(record->field[i].name) ? 1 : 0;
    if (numbers == 0)
        return leave_out(rows, "no_fields", "no number field to learn from", (struct psa_str){ NULL, 0 }, "");
    if (!psa_schema_learn(schema, record, PSA_READINGS, NULL)) return psa_fail_memory(error, "learning the fields");
    for (size_t i = 0; i < schema->n; i++) {
        if (!psa_field_is_verdict(schema->name[i])) schema->name[kept++] = schema->name[i];
    }
    schema->n = kept;
    if (kept > PSA_MODEL_FEATURES_MAX)
        return psa_fail(error, PSA_EXIT_PERMANENT, "%zu fields, more than the limit of %d", kept,
                        PSA_MODEL_FEATURES_MAX);
    return make_fields(rows, error);
}

static int make_room(struct psa_train_rows *rows, struct psa_error *error)
{
    size_t cap = rows->cap > 0 ? 2 * rows->cap : 1024;
    void *value, *time_ns, *stream;

    if (rows->n < rows->cap) return 0;
    cap = cap < (size_t)rows->options->max_rows ? cap : (size_t)rows->options->max_rows;
    value = realloc(rows->value, cap * rows->schema.n * sizeof *rows->value);
    if (value != NULL) rows->value = value;
    time_ns = realloc(rows->time_ns, cap * sizeof *rows->time_ns);
    if (time_ns != NULL) rows->time_ns = time_ns;
    stream = realloc(rows->stream, cap * sizeof *rows->stream);
    if (stream != NULL) rows->stream = stream;
    if (value == NULL || time_ns == NULL || stream == NULL)
        return psa_fail_memory(error, "keeping the rows; lower --max-rows");
    rows->cap = cap;
    return 0;
}

static void note_time(struct psa_train_rows *rows, const struct psa_record *record)
{
    int64_t ns = record->timestamp_ns;

    rows->time_ns[rows->n] = record->has_time ? ns : 0;
    rows->all_timed = rows->all_timed && record->has_time;
    if (!record->has_time) return;
    rows->from_ns = !rows->has_time || ns < rows->from_ns ? ns : rows->from_ns;
    rows->to_ns = !rows->has_time || ns > rows->to_ns ? ns : rows->to_ns;
    rows->has_time = true;
}

static int add_row(struct psa_train_rows *rows, struct psa_record *record, struct psa_error *error)
{
    struct psa_str key;
    int64_t stream;
    double *row;

    if (make_room(rows, error) != 0) return -1;
    row = rows->value + rows->n * rows->schema.n;
    psa_schema_map(&rows->schema, record, rows->field, NULL);
    for (size_t j = 0; j < rows->schema.n; j++) {
        const struct psa_field *field = rows->field[j];

        if (field == NULL) return leave_out(rows, "unmatched", "fields.", rows->schema.name[j], " is missing");
        if (field->kind != PSA_NUMBER && field->kind != PSA_NULL)
            return leave_out(rows, "type", "fields.", rows->schema.name[j], " is not a number");
        row[j] = field->kind == PSA_NUMBER ? field->number : (double)NAN; /* complete_columns fills these */
    }
    key = psa_record_key(record, rows->options->key, &rows->streams.at_hand);
    if (key.p == NULL)
        return leave_out(rows, "no_key", "nothing at --key ", psa_str_of(rows->options->key), " says its stream");
    stream = stream_of(&rows->streams, key);
    if (stream < 0) return psa_fail_memory(error, "keeping the rows; lower --max-rows");
    rows->stream[rows->n] = (uint32_t)stream;
    note_time(rows, record);
    if (++rows->n % PROGRESS_ROWS == 0) psa_train_progress(rows->terminal, "rows read:", rows->n, 0);
    return 0;
}

static int take_record(struct psa_train_rows *rows, struct psa_record *record, struct psa_error *error)
{
    if (psa_record_is_status(record)) return 0;
    if (rows->n == (size_t)rows->options->max_rows) {
        rows->beyond++;
        return 0;
    }
    for (size_t i = 0; i < record->n_field; i++) {
        if (record->field[i].kind == PSA_ARRAY && !record->field[i].shadowed)
            return leave_out(rows, "array", "fields.", record->field[i].name,
                             " is an array, a window rather than features: put psa-features before psa-train");
    }
    if (rows->schema.n == 0 && learn_columns(rows, record, error) != 0) return -1;
    return rows->schema.n > 0 ? add_row(rows, record, error) : 0;
}

static int take_line(struct psa_train_rows *rows, struct psa_decoder *decoder, struct psa_str line,
                     struct psa_error *error)
{
    struct psa_decoded decoded;

    switch (psa_decode(decoder, line, &decoded)) {
    case PSA_LINE_RECORD: return take_record(rows, decoded.record, error);
    case PSA_LINE_REFUSED:
        return leave_out(rows, psa_refusal_name(decoded.refusal), decoded.why, (struct psa_str){ NULL, 0 }, "");
    default: return 0; /* blank lines and control words */
    }
}

static int read_lines(struct psa_train_rows *rows, struct psa_lines *lines, struct psa_decoder *decoder,
                      struct psa_error *error)
{
    struct psa_str line;

    for (;;) {
        enum psa_lines_got got = psa_lines_next(lines, &line, error);

        rows->source = lines->name;
        rows->line = lines->number;
        if (got == PSA_GOT_ERROR) return -1;
        if (got == PSA_GOT_END) break;
        if (got == PSA_GOT_TOO_LONG)
            leave_out(rows, "max_line", "longer than --max-line", (struct psa_str){ NULL, 0 }, "");
        if (got == PSA_GOT_LINE && take_line(rows, decoder, line, error) != 0) return -1;
    }
    if (psa_stop_asked()) return psa_fail(error, PSA_EXIT_RUNTIME, "stopped by a signal; no model was written");
    return 0;
}

/* ---- whole rows, stream after stream ---------------------------------------------------------------------------------- */

/* The mean of the values that column j has; *nulls counts those it lacks. */
static double column_mean(const struct psa_train_rows *rows, size_t j, size_t *nulls)
{
    double sum = 0;

    *nulls = 0;
    for (size_t i = 0; i < rows->n; i++) {
        double x = rows->value[i * rows->schema.n + j];

        if (isnan(x)) ++*nulls;
        else sum += x;
    }
    return *nulls < rows->n ? sum / (double)(rows->n - *nulls) : (double)NAN;
}

/* A feature that is null in more than half of the rows (the kurtosis of windows of one sample) says nothing: it does not
 * become part of the model. A null among values counts as their mean, as it does when the model scores. */
static int complete_columns(struct psa_train_rows *rows, bool fixed, struct psa_error *error)
{
    struct psa_schema *schema = &rows->schema;
    size_t width = schema->n, kept = 0;

    for (size_t j = 0; j < width; j++) {
        size_t nulls;
        double mean = column_mean(rows, j, &nulls);
        char text[100];

        if (fixed ? nulls == rows->n : nulls > rows->n / 2) {
            snprintf(text, sizeof text, "is null in %zu of %zu records; it is not part of the model", nulls, rows->n);
            if (!fixed) say_column(rows, "null", schema->name[j], text);
            if (!fixed) continue;
            return psa_fail(error, PSA_EXIT_PERMANENT, "fields.%.*s is null in every record",
                            (int)(schema->name[j].n < NAME_SHOWN ? schema->name[j].n : NAME_SHOWN), schema->name[j].p);
        }
        for (size_t i = 0; nulls > 0 && i < rows->n; i++) {
            double *x = &rows->value[i * width + j];

            if (isnan(*x)) *x = mean;
        }
        /* Columns are gathered at the rows' fronts first; the rows close up below. */
        for (size_t i = 0; kept != j && i < rows->n; i++) rows->value[i * width + kept] = rows->value[i * width + j];
        schema->name[kept++] = schema->name[j];
    }
    for (size_t i = 1; kept < width && i < rows->n; i++)
        memmove(rows->value + i * kept, rows->value + i * width, kept * sizeof *rows->value);
    schema->n = kept;
    return kept > 0 ? 0 : psa_fail(error, PSA_EXIT_PERMANENT, "every field is null in most records; nothing to learn");
}

/* Bring row from[i] to place i, for all i; from is used up: an entry done points to itself. */
static int permute(struct psa_train_rows *rows, size_t *from, struct psa_error *error)
{
    size_t width = rows->schema.n, bytes = width * sizeof *rows->value;
    double *kept = malloc(bytes + 1);

    if (kept == NULL) return psa_fail_memory(error, "grouping the rows");
    for (size_t i = 0; i < rows->n; i++) {
        int64_t kept_ns = rows->time_ns[i];
        size_t to = i;

        if (from[i] == i) continue;
        memcpy(kept, rows->value + i * width, bytes);
        while (from[to] != i) {
            size_t source = from[to];

            memcpy(rows->value + to * width, rows->value + source * width, bytes);
            rows->time_ns[to] = rows->time_ns[source];
            from[to] = to;
            to = source;
        }
        memcpy(rows->value + to * width, kept, bytes);
        rows->time_ns[to] = kept_ns;
        from[to] = to;
    }
    free(kept);
    return 0;
}

/* Stream after stream, each in the order of its records. */
static int group_rows(struct psa_train_rows *rows, struct psa_error *error)
{
    size_t n_run = rows->streams.n;
    size_t *next = calloc(n_run + 2, sizeof *next), *from = calloc(rows->n, sizeof *from);
    int status = -1;

    rows->run = calloc(n_run + 1, sizeof *rows->run);
    rows->n_run = n_run;
    if (next != NULL && from != NULL && rows->run != NULL) {
        for (size_t i = 0; i < rows->n; i++) next[rows->stream[i] + 1]++;
        for (size_t r = 0; r < n_run; r++) next[r + 1] += next[r];
        memcpy(rows->run, next, (n_run + 1) * sizeof *next);
        for (size_t i = 0; i < rows->n; i++) from[next[rows->stream[i]]++] = i;
        status = n_run > 1 ? permute(rows, from, error) : 0;
    } else {
        psa_fail_memory(error, "grouping the rows");
    }
    free(next);
    free(from);
    free(rows->stream);
    rows->stream = NULL;
    return status;
}

/* ---- the whole -------------------------------------------------------------------------------------------------------- */

static int read_files(struct psa_train_rows *rows, char *const *file, size_t n_file, struct psa_error *error)
{
    struct psa_decode_limits limits = PSA_DECODE_LIMITS;
    struct psa_decoder *decoder;
    struct psa_lines lines;
    int status;

    limits.flat = rows->options->flat;
    decoder = psa_decoder_new(limits);
    if (decoder == NULL) return psa_fail_memory(error, "starting");
    psa_lines_init(&lines, file, n_file, (size_t)rows->options->max_line);
    status = read_lines(rows, &lines, decoder, error);
    psa_lines_free(&lines);
    psa_decoder_free(decoder);
    return status;
}

int psa_train_rows_read(struct psa_train_rows *rows, char *const *file, size_t n_file, bool fixed,
                        struct psa_error *error)
{
    int status = fixed ? make_fields(rows, error) : 0;

    rows->all_timed = true;
    if (status == 0) status = read_files(rows, file, n_file, error);
    psa_train_progress_end(rows->terminal);
    psa_report_totals(rows->report);
    if (rows->beyond > 0)
        fprintf(stderr, PSA_TRAIN ": --max-rows %" PRId64 " reached; %" PRIu64 " records behind it left out\n",
                rows->options->max_rows, rows->beyond);
    if (status != 0) return -1;
    if (rows->n < 2)
        return psa_fail(error, PSA_EXIT_PERMANENT, "%zu usable records (%" PRIu64 " left out); a model needs 2 or more",
                        rows->n, rows->left_out);
    if (complete_columns(rows, fixed, error) != 0) return -1;
    return group_rows(rows, error);
}

void psa_train_rows_free(struct psa_train_rows *rows)
{
    psa_schema_free(&rows->schema);
    psa_arena_free(&rows->streams.arena);
    psa_buf_free(&rows->streams.at_hand);
    free(rows->streams.key);
    free(rows->streams.place);
    free(rows->field);
    free(rows->value);
    free(rows->time_ns);
    free(rows->stream);
    free(rows->run);
}
