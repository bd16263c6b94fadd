/* replay_input.c - one file of psa-replay: what it is, told by its first bytes, and its records. See replay.h. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/error.h"
#include "core/json.h"
#include "io/replay.h"
#include "io/replay_sound.h"

void psa_replay_input_init(struct psa_replay_input *input, struct psa_replay *replay, char *file)
{
    *input = (struct psa_replay_input){ .replay = replay, .file = { file }, .format = replay->format };
    psa_lines_init(&input->lines, input->file, 1, (size_t)replay->config.max_line);
    input->due_ns = INT64_MIN;
}

void psa_replay_input_free(struct psa_replay_input *input)
{
    psa_replay_sound_free(input->sound); /* before the file that it reads */
    psa_lines_free(&input->lines);
    psa_decoder_free(input->decoder);
    psa_csv_free(&input->csv);
    psa_table_free(&input->table);
    psa_buf_free(&input->row.text);
}

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

struct psa_table_options psa_replay_identity(struct psa_replay_input *input)
{
    const struct psa_replay_config *config = &input->replay->config;

    name_by_file(input);
    return (struct psa_table_options){
        .sensor_type = config->sensor_type,
        .sensor_id = config->sensor_id != NULL ? config->sensor_id : input->id,
        .sensor_model = config->sensor_model,
    };
}

int psa_replay_print_row(const struct psa_replay_input *input, int64_t time_ns, struct psa_buf *out,
                         struct psa_error *error)
{
    const struct psa_buf *text = &input->row.text;
    const size_t split = input->row.split;

    (void)error; /* what runs out of memory here is seen when the line is written */
    psa_buf_put(out, text->p, split);
    psa_buf_int(out, time_ns);
    psa_buf_put(out, text->p + split, text->n - split);
    return 0;
}

/* ---- what it is -------------------------------------------------------------------------------------------------- */

static bool begins_json(struct psa_str line)
{
    const char *p = psa_json_space(line.p, line.p + line.n);

    return p != line.p + line.n && *p == '{';
}

/* Is the file named as sound files are? */
static bool named_sound(const char *file)
{
    static const char *const endings[] = { ".wav", ".flac", ".aiff", ".aif", ".aifc", ".w64",
                                           ".au",  ".caf",  ".rf64", ".bwf", ".ogg" };
    const size_t n = strlen(file);

    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        const size_t n_ending = strlen(endings[i]);
        if (n > n_ending && strcasecmp(file + n - n_ending, endings[i]) == 0) return true;
    }
    return false;
}

/* Does the file begin as sound does? It is read on only while that is open: a pipe may hold no more than one short
 * line for hours. What is named as sound and is none is more likely damaged than a table. */
static int tell_sound(struct psa_replay_input *input, struct psa_error *error)
{
    struct psa_str bytes = { NULL, 0 };
    enum psa_lines_got got;

    do got = psa_lines_peek(&input->lines, bytes.n, &bytes, error);
    while (got == PSA_GOT_LINE && psa_replay_sound_told(bytes) == PSA_SOUND_MAYBE);
    if (got == PSA_GOT_ERROR) return -1;
    if (psa_replay_sound_told(bytes) == PSA_SOUND_YES) {
        input->format = &psa_replay_sound;
        return 0;
    }
    if (!named_sound(input->lines.name)) return 0;
    if (bytes.n == 0) return psa_fail(error, PSA_EXIT_PERMANENT, "%s: an empty file, not sound", input->lines.name);
    return psa_fail(error, PSA_EXIT_PERMANENT,
                    "%s: named as a sound file, but it does not begin as one; --format csv or ndjson reads it as text, "
                    "--format sound tries",
                    input->lines.name);
}

static enum psa_replay_got begin(struct psa_replay_input *input, struct psa_error *error)
{
    struct psa_str bytes;

    if (input->format == NULL && tell_sound(input, error) != 0) return PSA_REPLAY_ERROR;
    if (input->format == NULL || input->format->text) {
        const enum psa_replay_got got = psa_replay_next_line(input, error);
        if (got != PSA_REPLAY_RECORD) return got;
        if (input->format == NULL) input->format = begins_json(input->line) ? &psa_replay_ndjson : &psa_replay_csv;
    } else if (psa_lines_peek(&input->lines, 0, &bytes, error) == PSA_GOT_ERROR) { /* opens it */
        return PSA_REPLAY_ERROR;
    }
    input->begun = true;
    return input->format->begin == NULL || input->format->begin(input, error) == 0 ? PSA_REPLAY_ON : PSA_REPLAY_ERROR;
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
    enum psa_replay_got got = input->begun ? PSA_REPLAY_ON : begin(input, error);

    while (got == PSA_REPLAY_ON) got = input->format->next(input, error);
    if (got == PSA_REPLAY_RECORD) settle_due(input);
    return got;
}
