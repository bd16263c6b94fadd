/* replay_text.c - the files of psa-replay that have lines: NDJSON and tables (CSV). See replay.h. */
#include <stdio.h>

#include "core/error.h"
#include "core/json.h"
#include "io/replay.h"

/* ---- lines ------------------------------------------------------------------------------------------------------- */

/* What a rejection leaves to do. */
static enum psa_replay_got on(int status)
{
    return status == 0 ? PSA_REPLAY_ON : PSA_REPLAY_ERROR;
}

static int reject_long(struct psa_replay_input *input, uint64_t bytes, struct psa_error *error)
{
    char why[100];

    snprintf(why, sizeof why, "a line of %llu bytes, longer than --max-line %lld", (unsigned long long)bytes,
             (long long)input->replay->config.max_line);
    input->line.n = 0;
    return psa_replay_reject(input, "max_line", why, error);
}

enum psa_replay_got psa_replay_next_line(struct psa_replay_input *input, struct psa_error *error)
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

static enum psa_replay_got take_json(struct psa_replay_input *input, struct psa_error *error)
{
    struct psa_decoded decoded;

    input->control = false;
    switch (psa_decode(input->decoder, input->line, &decoded)) {
    case PSA_LINE_RECORD:
        input->record = decoded.record;
        input->has_time = decoded.record->has_time;
        input->time_ns = decoded.record->timestamp_ns;
        return PSA_REPLAY_RECORD;
    case PSA_LINE_CONTROL:
        input->control = true;
        input->has_time = false;
        return PSA_REPLAY_RECORD;
    case PSA_LINE_BLANK: return PSA_REPLAY_ON;
    default: return on(psa_replay_reject(input, psa_refusal_name(decoded.refusal), decoded.why, error));
    }
}

static enum psa_replay_got next_json(struct psa_replay_input *input, struct psa_error *error)
{
    if (input->decoder == NULL) { /* the first line is at hand */
        input->decoder = psa_decoder_new(PSA_DECODE_LIMITS);
        if (input->decoder == NULL) return on(psa_fail_memory(error, "reading records"));
        return take_json(input, error);
    }
    const enum psa_replay_got got = psa_replay_next_line(input, error);
    return got == PSA_REPLAY_RECORD ? take_json(input, error) : got;
}

static int print_json(const struct psa_replay_input *input, int64_t time_ns, struct psa_buf *out,
                      struct psa_error *error)
{
    if (time_ns == input->time_ns || input->control || !input->has_time) { /* byte for byte */
        psa_buf_put(out, input->line.p, input->line.n);
        psa_buf_put(out, "\n", 1);
        return 0;
    }
    if (psa_record_set_time(input->record, time_ns) != 0) return psa_fail_memory(error, "restamping");
    psa_encode(input->record, out);
    return 0;
}

const struct psa_replay_format psa_replay_ndjson = {
    .name = "ndjson",
    .text = true,
    .next = next_json,
    .print = print_json,
};

/* ---- tables ------------------------------------------------------------------------------------------------------ */

static int begin_csv(struct psa_replay_input *input, struct psa_error *error)
{
    const char separator = input->replay->separator != 0 ? input->replay->separator : psa_csv_separator(input->line);

    return psa_csv_begin(&input->csv, &input->lines, input->line, separator) == 0
               ? 0
               : psa_fail_memory(error, "reading a table");
}

static int open_table(struct psa_replay_input *input, struct psa_error *error)
{
    const struct psa_replay_config *config = &input->replay->config;
    struct psa_table_options options = psa_replay_identity(input);

    options.time_column = config->time_column;
    options.time_format = input->replay->time_format;
    options.columns = config->columns;
    options.drop = config->drop;
    options.labels = config->labels;
    input->table_open = true;
    return psa_table_open(&input->table, &options, &input->csv, input->lines.name, error);
}

static enum psa_replay_got take_row(struct psa_replay_input *input, struct psa_error *error)
{
    input->line = input->csv.text;
    input->number = input->csv.number;
    if (!input->table_open) return on(open_table(input, error));
    if (psa_str_is(input->csv.text, input->table.header)) /* files joined by cat */
        return PSA_REPLAY_ON;
    const char *reason = psa_table_take(&input->table, &input->csv, &input->row);
    if (reason != NULL) return on(psa_replay_reject(input, reason, input->row.why, error));
    if (input->row.text.failed) return on(psa_fail_memory(error, "reading a row"));
    if (input->row.n_bad > 0) psa_replay_note(input, "not_a_number", input->row.n_bad, input->row.why);
    input->has_time = true;
    input->time_ns = input->row.time_ns;
    return PSA_REPLAY_RECORD;
}

static enum psa_replay_got next_row(struct psa_replay_input *input, struct psa_error *error)
{
    switch (psa_csv_next(&input->csv, error)) {
    case PSA_CSV_ROW: return take_row(input, error);
    case PSA_CSV_BAD:
        input->line = input->csv.text;
        input->number = input->csv.number;
        return on(psa_replay_reject(input, "csv", input->csv.why, error));
    case PSA_CSV_TOO_LONG:
        input->number = input->csv.number;
        return on(reject_long(input, input->csv.long_bytes, error));
    case PSA_CSV_END: return PSA_REPLAY_END;
    default: return PSA_REPLAY_ERROR;
    }
}

const struct psa_replay_format psa_replay_csv = {
    .name = "csv",
    .text = true,
    .begin = begin_csv,
    .next = next_row,
    .print = psa_replay_print_row,
};
