/* replay_input.c - one file of psa-replay: NDJSON or a table, told by its first line. See replay.h. */
#include <stdio.h>
#include <string.h>

#include "core/error.h"
#include "core/json.h"
#include "io/replay.h"

void psa_replay_input_init(struct psa_replay_input *input, struct psa_replay *replay, char *file)
{
    *input = (struct psa_replay_input){ .replay = replay, .file = { file }, .format = replay->format };
    psa_lines_init(&input->lines, input->file, 1, (size_t)replay->config.max_line);
    input->due_ns = INT64_MIN;
}

void psa_replay_input_free(struct psa_replay_input *input)
{
    psa_lines_free(&input->lines);
    psa_decoder_free(input->decoder);
    psa_csv_free(&input->csv);
    psa_table_free(&input->table);
    psa_buf_free(&input->row.text);
}

/* ---- the first line ---------------------------------------------------------------------------------------------- */

/* `runs/valve1/0.csv` is "0", or "valve1/0" with --id-from path. */
static void name_by_file(struct psa_replay_input *input)
{
    const char *file = input->lines.name, *slash = strrchr(file, '/'), *stem = slash != NULL ? slash + 1 : file;
    const char *dot = strrchr(stem, '.');
    const char *begin = stem;

    if (slash != NULL && strcmp(input->replay->config.id_from, "path") == 0) {
        for (begin = slash; begin != file && begin[-1] != '/'; begin--) continue;
        if (begin == slash) begin = stem;
    }
    const char *end = dot != NULL && dot != stem ? dot : stem + strlen(stem);
    snprintf(input->id, sizeof input->id, "%.*s", (int)(end - begin), begin);
}

static int begin_csv(struct psa_replay_input *input, struct psa_error *error)
{
    const char separator = input->replay->separator != 0 ? input->replay->separator : psa_csv_separator(input->line);

    name_by_file(input);
    return psa_csv_begin(&input->csv, &input->lines, input->line, separator) == 0
               ? 0
               : psa_fail_memory(error, "reading a table");
}

static int begin_ndjson(struct psa_replay_input *input, struct psa_error *error)
{
    input->decoder = psa_decoder_new(PSA_DECODE_LIMITS);
    return input->decoder != NULL ? 0 : psa_fail_memory(error, "reading records");
}

static bool begins_json(struct psa_str line)
{
    const char *p = psa_json_space(line.p, line.p + line.n);

    return p != line.p + line.n && *p == '{';
}

/* ---- reading lines ----------------------------------------------------------------------------------------------- */

static int reject_long(struct psa_replay_input *input, uint64_t bytes, struct psa_error *error)
{
    char why[100];

    snprintf(why, sizeof why, "a line of %llu bytes, longer than --max-line %lld", (unsigned long long)bytes,
             (long long)input->replay->config.max_line);
    input->line.n = 0;
    return psa_replay_reject(input, "max_line", why, error);
}

/* The next line that is no blank one and not too long, into input->line. */
static enum psa_replay_got next_line(struct psa_replay_input *input, struct psa_error *error)
{
    for (;;) {
        const enum psa_lines_got got = psa_lines_next(&input->lines, &input->line, error);
        input->number = input->lines.number;
        if (got == PSA_GOT_END || got == PSA_GOT_ERROR) return got == PSA_GOT_END ? PSA_REPLAY_END : PSA_REPLAY_ERROR;
        if (got == PSA_GOT_TOO_LONG && reject_long(input, input->lines.skipped, error) != 0) return PSA_REPLAY_ERROR;
        if (got == PSA_GOT_LINE &&
            psa_json_space(input->line.p, input->line.p + input->line.n) != input->line.p + input->line.n)
            return PSA_REPLAY_RECORD;
    }
}

/* ---- NDJSON ------------------------------------------------------------------------------------------------------ */

/* 1: input holds a record or a control line. 0: read on. */
static int take_json(struct psa_replay_input *input, struct psa_error *error)
{
    struct psa_decoded decoded;

    switch (psa_decode(input->decoder, input->line, &decoded)) {
    case PSA_LINE_RECORD:
        input->record = decoded.record;
        input->has_time = decoded.record->has_time;
        input->time_ns = decoded.record->timestamp_ns;
        return 1;
    case PSA_LINE_CONTROL:
        input->record = NULL;
        input->has_time = false;
        return 1;
    case PSA_LINE_BLANK: return 0;
    default: return psa_replay_reject(input, psa_refusal_name(decoded.refusal), decoded.why, error);
    }
}

/* ---- tables ------------------------------------------------------------------------------------------------------ */

static int open_table(struct psa_replay_input *input, struct psa_error *error)
{
    const struct psa_replay_config *config = &input->replay->config;
    const struct psa_table_options options = {
        config->time_column,
        input->replay->time_format,
        config->columns,
        config->drop,
        config->labels,
        config->sensor_type,
        config->sensor_id != NULL ? config->sensor_id : input->id,
        config->sensor_model,
    };

    input->table_open = true;
    return psa_table_open(&input->table, &options, &input->csv, input->lines.name, error);
}

static int take_row(struct psa_replay_input *input, struct psa_error *error)
{
    input->line = input->csv.text;
    input->number = input->csv.number;
    if (!input->table_open) return open_table(input, error);
    if (psa_str_is(input->csv.text, input->table.header)) /* files joined by cat */
        return 0;
    const char *reason = psa_table_take(&input->table, &input->csv, &input->row);
    if (reason != NULL) return psa_replay_reject(input, reason, input->row.why, error);
    if (input->row.text.failed) return psa_fail_memory(error, "reading a row");
    if (input->row.n_bad > 0) psa_replay_note(input, "not_a_number", input->row.n_bad, input->row.why);
    input->has_time = true;
    input->time_ns = input->row.time_ns;
    return 1;
}

/* 1, 0 as above; 2 at the end. */
static int next_row(struct psa_replay_input *input, struct psa_error *error)
{
    switch (psa_csv_next(&input->csv, error)) {
    case PSA_CSV_ROW: return take_row(input, error);
    case PSA_CSV_BAD:
        input->line = input->csv.text;
        input->number = input->csv.number;
        return psa_replay_reject(input, "csv", input->csv.why, error);
    case PSA_CSV_TOO_LONG: input->number = input->csv.number; return reject_long(input, input->csv.long_bytes, error);
    case PSA_CSV_END: return 2;
    default: return -1;
    }
}

/* ---- records ----------------------------------------------------------------------------------------------------- */

/* The place of the record at hand among the inputs: a file is taken to be in order; what goes back in time passes where
 * it stands. */
static void settle_due(struct psa_replay_input *input)
{
    if (!input->has_time) return;
    if (input->time_ns < input->due_ns)
        psa_replay_note(input, "backwards", 1, "time goes backwards; the record passes in its place");
    else input->due_ns = input->time_ns;
}

enum psa_replay_got psa_replay_input_next(struct psa_replay_input *input, struct psa_error *error)
{
    int status = 0;

    while (status == 0) {
        enum psa_replay_got got = PSA_REPLAY_RECORD;
        const bool fresh = input->decoder == NULL && input->csv.lines == NULL;
        if (fresh || input->format == PSA_REPLAY_NDJSON) got = next_line(input, error);
        if (got != PSA_REPLAY_RECORD) return got;
        if (fresh) {
            if (input->format == PSA_REPLAY_UNKNOWN)
                input->format = begins_json(input->line) ? PSA_REPLAY_NDJSON : PSA_REPLAY_CSV;
            status = input->format == PSA_REPLAY_CSV ? begin_csv(input, error) : begin_ndjson(input, error);
        }
        if (status == 0) status = input->format == PSA_REPLAY_CSV ? next_row(input, error) : take_json(input, error);
    }
    if (status == 1) settle_due(input);
    return status == 1 ? PSA_REPLAY_RECORD : status == 2 ? PSA_REPLAY_END : PSA_REPLAY_ERROR;
}
