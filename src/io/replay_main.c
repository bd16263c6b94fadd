/*
 * replay_main.c - psa-replay: merges the records of its files in time order and prints them, at once or paced by the
 * wall clock.
 *
 *     input.next -> heap (due first) -> range -> pace -> restamp -> writer
 *
 * The clock decides only when a line is written, never what it says (but for --restamp).
 */
#include "io/replay_main.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"
#include "core/option.h"
#include "core/time.h"
#include "io/clock.h"
#include "io/replay.h"
#include "io/signals.h"

/* Progress is shown so often, and the clock looked at for it only every so many records. */
#define PROGRESS_EVERY_NS (PSA_NS_PER_SECOND / 4)
#define PROGRESS_RECORDS 1024

static const char name[] = "psa-replay";

#define AT(member) offsetof(struct psa_replay_config, member)
static const struct psa_option options[] = {
    { .name = "format",
      .type = PSA_OPT_TEXT,
      .offset = AT(format),
      .metavar = "KIND",
      .initial = "auto",
      .help = "ndjson, csv or sound; auto tells by a file's content" },
    { .name = "separator",
      .type = PSA_OPT_TEXT,
      .offset = AT(separator),
      .metavar = "CHAR",
      .initial = "auto",
      .help = "between cells: one character, or tab; auto tells , ; and tab by the header" },
    { .name = "time-column",
      .type = PSA_OPT_TEXT,
      .offset = AT(time_column),
      .metavar = "NAME",
      .help = "the column that holds the time, if it has no usual name" },
    { .name = "time-format",
      .type = PSA_OPT_TEXT,
      .offset = AT(time_format),
      .metavar = "FORMAT",
      .initial = "auto",
      .help = "iso, epoch (seconds), epoch-ms, epoch-us, epoch-ns" },
    { .name = "columns",
      .type = PSA_OPT_TEXT,
      .offset = AT(columns),
      .metavar = "GLOB,...",
      .help = "take only these columns as fields" },
    { .name = "drop",
      .type = PSA_OPT_TEXT,
      .offset = AT(drop),
      .metavar = "GLOB,...",
      .help = "leave these columns out" },
    { .name = "labels",
      .type = PSA_OPT_TEXT,
      .offset = AT(labels),
      .metavar = "GLOB,...",
      .initial = "anomaly,changepoint,label,is_anomaly",
      .help = "columns of ground truth, printed as labels" },
    { .name = "channels",
      .type = PSA_OPT_TEXT,
      .offset = AT(channels),
      .metavar = "NAME,...",
      .help = "names of a sound file's channels instead of ch1,ch2,...; an empty one leaves its channel out" },
    { .name = "scale",
      .type = PSA_OPT_TEXT,
      .offset = AT(scale),
      .metavar = "FACTOR,...",
      .initial = "1",
      .help = "multiply sound samples: one factor, or one for each channel" },
    { .name = "start-time",
      .type = PSA_OPT_TEXT,
      .offset = AT(start_time),
      .metavar = "TIME",
      .help = "time of a sound file's first sample, if not the file's own or 1970" },
    { .name = "block",
      .type = PSA_OPT_COUNT,
      .offset = AT(block),
      .metavar = "N",
      .initial = "4096",
      .min = 1,
      .max = 1048576,
      .help = "samples of each channel in one record of a sound file" },
    { .name = "max-channels",
      .type = PSA_OPT_COUNT,
      .offset = AT(max_channels),
      .metavar = "N",
      .initial = "8",
      .min = 1,
      .max = 1024,
      .help = "most channels of a sound file that is read" },
    { .name = "sensor-type",
      .type = PSA_OPT_TEXT,
      .offset = AT(sensor_type),
      .metavar = "TYPE",
      .initial = "recording",
      .help = "sensor_type of a CSV or sound file's records" },
    { .name = "sensor-id",
      .type = PSA_OPT_TEXT,
      .offset = AT(sensor_id),
      .metavar = "ID",
      .help = "sensor_id of a CSV or sound file's records, instead of its file's name" },
    { .name = "id-from",
      .type = PSA_OPT_TEXT,
      .offset = AT(id_from),
      .metavar = "name|path",
      .initial = "name",
      .help = "make sensor_id of the file's name, or of its folder and name" },
    { .name = "sensor-model",
      .type = PSA_OPT_TEXT,
      .offset = AT(sensor_model),
      .metavar = "MODEL",
      .help = "sensor_model of a CSV or sound file's records" },
    { .name = "from",
      .type = PSA_OPT_TEXT,
      .offset = AT(from),
      .metavar = "TIME",
      .help = "leave out what is older: ISO 8601 or nanoseconds since 1970" },
    { .name = "to",
      .type = PSA_OPT_TEXT,
      .offset = AT(to),
      .metavar = "TIME",
      .help = "leave out this time and later" },
    { .name = "speed",
      .type = PSA_OPT_TEXT,
      .offset = AT(speed),
      .metavar = "max|1x|60x",
      .initial = "max",
      .help = "pace the output: event time runs so many times as fast as the clock" },
    { .name = "restamp",
      .type = PSA_OPT_FLAG,
      .offset = AT(restamp),
      .help = "shift all times so that the first record is now" },
    { .name = "restamp-to",
      .type = PSA_OPT_TEXT,
      .offset = AT(restamp_to),
      .metavar = "TIME",
      .help = "shift all times so that the first record is at TIME" },
    { .name = "rejects",
      .type = PSA_OPT_TEXT,
      .offset = AT(rejects),
      .metavar = "FILE",
      .help = "append lines that were rejected to FILE" },
    { .name = "strict",
      .type = PSA_OPT_FLAG,
      .offset = AT(strict),
      .help = "exit with 3 at the end if anything was rejected" },
    { .name = "max-line",
      .type = PSA_OPT_SIZE,
      .offset = AT(max_line),
      .metavar = "SIZE",
      .initial = "1MiB",
      .min = 64,
      .max = 1073741824,
      .help = "longest line or CSV row that is read; a longer one is rejected" },
    { .name = "stats", .type = PSA_OPT_FLAG, .offset = AT(stats), .help = "print the accounting to stderr at the end" },
    { .name = "stats-file",
      .type = PSA_OPT_TEXT,
      .offset = AT(stats_file),
      .metavar = "FILE",
      .help = "write the accounting to FILE at the end" },
    { .type = PSA_OPT_END },
};

/* ---- accounting -------------------------------------------------------------------------------------------------- */

void psa_replay_count(struct psa_reasons *reasons, const char *reason, uint64_t n)
{
    size_t i = 0;

    while (i < reasons->n && strcmp(reasons->of[i].reason, reason) != 0) i++;
    if (i == PSA_REASONS_MAX) i--;
    if (i == reasons->n) {
        reasons->of[i].reason = reason;
        reasons->n++;
    }
    reasons->of[i].n += n;
}

/* The line of progress gives way to a message. */
static void progress_clear(struct psa_replay *replay)
{
    if (replay->progress_shown) fprintf(stderr, "\r%78s\r", "");
    replay->progress_shown = false;
}

void psa_replay_note(struct psa_replay_input *input, const char *reason, uint64_t n, const char *why)
{
    struct psa_replay *replay = input->replay;

    progress_clear(replay);
    psa_replay_count(&replay->noted, reason, n);
    psa_report_say(&replay->report, name, input->lines.name, input->number, reason, why);
}

int psa_replay_reject(struct psa_replay_input *input, const char *reason, const char *why, struct psa_error *error)
{
    struct psa_replay *replay = input->replay;

    progress_clear(replay);
    replay->stats.in++;
    psa_replay_count(&replay->stats.rejected, reason, 1);
    psa_report_say(&replay->report, name, input->lines.name, input->number, reason, why);
    if (replay->config.rejects == NULL || input->line.n == 0) return 0;
    psa_buf_put(&replay->rejects.buf, input->line.p, input->line.n);
    psa_buf_puts(&replay->rejects.buf, "\n");
    return psa_writer_added(&replay->rejects, error);
}

static void put_reasons(struct psa_buf *out, const char *member, const struct psa_reasons *reasons)
{
    psa_buf_name(out, member);
    psa_buf_puts(out, "{");
    for (size_t i = 0; i < reasons->n; i++) psa_buf_member_int(out, reasons->of[i].reason, (int64_t)reasons->of[i].n);
    psa_buf_puts(out, "}");
}

static int print_stats(struct psa_replay *replay, bool asked, struct psa_error *error)
{
    const struct psa_stats *stats = &replay->stats;
    struct psa_buf text = { 0 };
    int status = 0;

    psa_buf_puts(&text, "{");
    psa_buf_member_text(&text, "psa_stats", psa_str_of(name));
    psa_buf_member_int(&text, "in", (int64_t)stats->in);
    psa_buf_member_int(&text, "passed", (int64_t)stats->passed);
    psa_buf_member_int(&text, "emitted", 0);
    psa_buf_member_int(&text, "control", (int64_t)stats->control);
    put_reasons(&text, "rejected", &stats->rejected);
    put_reasons(&text, "dropped", &stats->dropped);
    psa_buf_member_int(&text, "absorbed", 0);
    psa_buf_member_int(&text, "keys", 0);
    put_reasons(&text, "noted", &replay->noted);
    psa_buf_puts(&text, "}\n");
    if (text.failed) status = psa_fail_memory(error, "counting");
    if (status == 0 && (replay->config.stats || asked))
        status = psa_write_all(STDERR_FILENO, "stderr", text.p, text.n, error);
    if (status == 0 && replay->config.stats_file != NULL)
        status = psa_file_replace(replay->config.stats_file, psa_buf_str(&text), error);
    psa_buf_free(&text);
    return status;
}

/* ---- progress, on a terminal only -------------------------------------------------------------------------------- */

/* Plain text, rewritten in its place: nothing here needs colour, so NO_COLOR has nothing to change. */
static void progress(struct psa_replay *replay)
{
    const int64_t now_ns = psa_clock_ns();
    char event[PSA_TIME_ISO_MAX];

    if (now_ns < replay->progress_due_ns) return;
    replay->progress_due_ns = now_ns + PROGRESS_EVERY_NS;
    psa_time_format_iso(replay->newest_ns, event);
    fprintf(stderr, "\r%s: %llu records, %.30s, speed %s ", name, (unsigned long long)replay->stats.passed, event,
            replay->config.speed);
    replay->progress_shown = true;
}

/* ---- one record out ---------------------------------------------------------------------------------------------- */

/* Before a read that would block, and when a signal came: everything read is shown. */
static int idle(void *ctx, struct psa_error *error)
{
    struct psa_replay *replay = ctx;

    if (psa_writer_flush(&replay->out, error) != 0) return -1;
    if (replay->config.rejects != NULL && psa_writer_flush(&replay->rejects, error) != 0) return -1;
    return psa_stats_asked() ? print_stats(replay, true, error) : 0;
}

/* NULL, or the reason for which --from and --to leave the record out. */
static const char *outside(const struct psa_replay *replay, const struct psa_replay_input *input)
{
    if (!replay->has_from && !replay->has_to) return NULL;
    if (!input->has_time) return "no_time";
    if ((replay->has_from && input->time_ns < replay->from_ns) || (replay->has_to && input->time_ns >= replay->to_ns))
        return "range";
    return NULL;
}

/* The record's time on the output. The first record settles the shift. false: it does not fit int64. */
static bool restamp(struct psa_replay *replay, const struct psa_replay_input *input, int64_t *time_ns)
{
    *time_ns = input->time_ns;
    if (!(replay->config.restamp || replay->config.restamp_to != NULL) || !input->has_time) return true;
    if (!replay->restamped) {
        if (replay->config.restamp_to == NULL) replay->restamp_ns = psa_source_now_ns();
        if (__builtin_sub_overflow(replay->restamp_ns, input->time_ns, &replay->shift_ns)) return false;
        replay->restamped = true;
    }
    return !__builtin_add_overflow(input->time_ns, replay->shift_ns, time_ns);
}

/* 1: a signal asked to stop before the record was due. */
static int print_record(struct psa_replay *replay, struct psa_replay_input *input, struct psa_error *error)
{
    const bool control = input->control;
    const char *reason = control ? NULL : outside(replay, input);
    int64_t time_ns;
    int status = 0;

    if (reason != NULL) {
        replay->stats.in++;
        psa_replay_count(&replay->stats.dropped, reason, 1);
        return 0;
    }
    if (input->has_time) status = psa_pace_wait(&replay->pace, input->time_ns, &replay->out, error);
    if (status != 0) return status;
    if (!restamp(replay, input, &time_ns))
        return psa_replay_reject(input, "time", "its time, shifted, does not fit int64 nanoseconds", error);
    status = input->format->print(input, time_ns, &replay->out.buf, error);
    replay->stats.in += !control;
    replay->stats.passed += !control;
    replay->stats.control += control;
    if (input->has_time) replay->newest_ns = input->time_ns;
    if (replay->progress && (replay->pace.speed > 0 || replay->stats.passed % PROGRESS_RECORDS == 0)) progress(replay);
    return status != 0 ? status : psa_writer_added(&replay->out, error);
}

/* ---- which file is next ------------------------------------------------------------------------------------------ */

static bool earlier(const struct psa_replay *replay, size_t a, size_t b)
{
    const int64_t at = replay->input[a].due_ns, bt = replay->input[b].due_ns;

    return at != bt ? at < bt : a < b;
}

static void sink(struct psa_replay *replay, size_t at)
{
    for (;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < replay->n_heap; child++) {
            if (earlier(replay, replay->heap[child], replay->heap[least])) least = child;
        }
        if (least == at) return;
        const size_t swap = replay->heap[at];
        replay->heap[at] = replay->heap[least];
        replay->heap[least] = swap;
        at = least;
    }
}

/* Every file's first record. All are opened before anything is printed. */
static int prime(struct psa_replay *replay, struct psa_error *error)
{
    for (size_t i = 0; i < replay->n_input; i++) {
        const enum psa_replay_got got = psa_replay_input_next(&replay->input[i], error);
        if (got == PSA_REPLAY_ERROR) return -1;
        if (got == PSA_REPLAY_RECORD) replay->heap[replay->n_heap++] = i;
    }
    for (size_t i = replay->n_heap; i-- > 0;) sink(replay, i);
    return 0;
}

static int play(struct psa_replay *replay, struct psa_error *error)
{
    int status = prime(replay, error);

    while (status == 0 && replay->n_heap > 0 && !psa_stop_asked()) {
        struct psa_replay_input *input = &replay->input[replay->heap[0]];
        status = print_record(replay, input, error);
        if (status != 0) break;
        const enum psa_replay_got got = psa_replay_input_next(input, error);
        if (got == PSA_REPLAY_ERROR) return -1;
        if (got == PSA_REPLAY_END) replay->heap[0] = replay->heap[--replay->n_heap];
        sink(replay, 0);
    }
    return status < 0 ? -1 : 0;
}

/* ---- the command line -------------------------------------------------------------------------------------------- */

/* The index of text among n words. */
static int choose(const char *option, const char *text, const char *const *word, int n, int *chosen,
                  struct psa_error *error)
{
    for (*chosen = 0; *chosen < n; (*chosen)++) {
        if (strcmp(word[*chosen], text) == 0) return 0;
    }
    return psa_fail(error, PSA_EXIT_PERMANENT, "--%s: '%s' is none of its words; see --help", option, text);
}

static int settle_separator(struct psa_replay *replay, struct psa_error *error)
{
    const char *text = replay->config.separator;

    if (strcmp(text, "auto") == 0) return 0;
    if (strcmp(text, "tab") == 0 || strcmp(text, "\\t") == 0) text = "\t";
    if (strlen(text) != 1 || *text == '"' || *text == '\n' || *text == '\r')
        return psa_fail(error, PSA_EXIT_PERMANENT, "--separator: '%s' is not one character", text);
    replay->separator = *text;
    return 0;
}

static int settle_times(struct psa_replay *replay, struct psa_error *error)
{
    const struct psa_replay_config *config = &replay->config;

    replay->has_from = config->from != NULL;
    replay->has_to = config->to != NULL;
    if (config->restamp && config->restamp_to != NULL)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--restamp and --restamp-to exclude each other");
    if (replay->has_from && psa_source_parse_time(config->from, "--from", &replay->from_ns, error) != 0) return -1;
    if (replay->has_to && psa_source_parse_time(config->to, "--to", &replay->to_ns, error) != 0) return -1;
    if (replay->has_from && replay->has_to && replay->from_ns >= replay->to_ns)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--from %s is not before --to %s; there is nothing between them",
                        config->from, config->to);
    replay->has_start = config->start_time != NULL;
    if (replay->has_start && psa_source_parse_time(config->start_time, "--start-time", &replay->start_ns, error) != 0)
        return -1;
    if (config->restamp_to != NULL)
        return psa_source_parse_time(config->restamp_to, "--restamp-to", &replay->restamp_ns, error);
    return 0;
}

static int settle(struct psa_replay *replay, struct psa_error *error)
{
    static const struct psa_replay_format *const formats[] = { NULL, &psa_replay_ndjson, &psa_replay_csv,
                                                               &psa_replay_sound };
    static const char *const format_names[] = { "auto", "ndjson", "csv", "sound" };
    static const char *const times[] = { "auto", "iso", "epoch", "epoch-ms", "epoch-us", "epoch-ns" };
    static const char *const ids[] = { "name", "path" };
    int format, time_format, id_from;

    if (choose("format", replay->config.format, format_names, 4, &format, error) != 0 ||
        choose("time-format", replay->config.time_format, times, 6, &time_format, error) != 0 ||
        choose("id-from", replay->config.id_from, ids, 2, &id_from, error) != 0)
        return -1;
    replay->format = formats[format];
    replay->time_format = (enum psa_table_time)time_format;
    if (settle_separator(replay, error) != 0 || settle_times(replay, error) != 0) return -1;
    return psa_pace_parse(replay->config.speed, &replay->pace.speed, error);
}

/* ---- the program ------------------------------------------------------------------------------------------------- */

static int open_rejects(struct psa_replay *replay, struct psa_error *error)
{
    const char *file = replay->config.rejects;

    if (file == NULL) return 0;
    const int fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0) {
        replay->config.rejects = NULL;
        return psa_fail(error, PSA_EXIT_PERMANENT, "%s: cannot open: %s", file, strerror(errno));
    }
    psa_writer_init(&replay->rejects, fd, file);
    return 0;
}

static int open_inputs(struct psa_replay *replay, char **file, size_t n_file, struct psa_error *error)
{
    static char standard_input[] = "-";
    size_t n_stdin = 0;

    for (size_t i = 0; i < n_file; i++) n_stdin += strcmp(file[i], standard_input) == 0;
    if (n_stdin > 1) return psa_fail(error, PSA_EXIT_PERMANENT, "standard input (-) is named twice; it is read once");
    replay->n_input = n_file > 0 ? n_file : 1;
    replay->input = calloc(replay->n_input, sizeof *replay->input);
    replay->heap = calloc(replay->n_input, sizeof *replay->heap);
    if (replay->input == NULL || replay->heap == NULL) return psa_fail_memory(error, "starting");
    for (size_t i = 0; i < replay->n_input; i++) {
        psa_replay_input_init(&replay->input[i], replay, n_file > 0 ? file[i] : standard_input);
        replay->input[i].lines.idle = idle;
        replay->input[i].lines.ctx = replay;
    }
    return 0;
}

static int run_program(struct psa_replay *replay, char **file, size_t n_file, struct psa_error *error)
{
    if (settle(replay, error) != 0 || psa_signals_install(error) != 0 || open_rejects(replay, error) != 0 ||
        open_inputs(replay, file, n_file, error) != 0)
        return -1;
    replay->pace.woken = idle;
    replay->pace.ctx = replay;
    replay->progress = isatty(STDERR_FILENO) && !isatty(STDOUT_FILENO);
    return play(replay, error);
}

/* What there is to say and to close at the end, in whatever way it came. */
static int end_program(struct psa_replay *replay, int status, struct psa_error *error)
{
    struct psa_error later = { 0 };
    int closed = 0;

    progress_clear(replay);
    if (replay->rejects.name != NULL) closed = psa_writer_close(&replay->rejects, &later);
    psa_report_totals(&replay->report);
    const bool began = status == 0 || replay->stats.in > 0 || replay->stats.control > 0;
    if (closed == 0 && began) closed = print_stats(replay, false, &later);
    if (status == 0 && closed != 0) {
        status = closed;
        *error = later;
    }
    status = psa_source_end(name, &replay->out, status, error);
    for (size_t i = 0; replay->input != NULL && i < replay->n_input; i++) psa_replay_input_free(&replay->input[i]);
    free(replay->input);
    free(replay->heap);
    return status == PSA_EXIT_OK && replay->config.strict && replay->stats.rejected.n > 0 ? PSA_EXIT_REJECTED : status;
}

int psa_replay_main(int argc, char **argv)
{
    struct psa_replay *replay = calloc(1, sizeof *replay);
    struct psa_error error = { 0 };
    int operand = 0, status;

    if (replay == NULL) return PSA_EXIT_RUNTIME;
    const struct psa_source_program program = {
        name,
        "[OPTION]... [FILE]...",
        "Play recordings, NDJSON, CSV or sound, merged in time order: one record a line on stdout.",
        options,
        &replay->config,
    };
    status = psa_source_options(&program, argc, argv, &operand);
    if (status == PSA_SOURCE_GO) {
        psa_writer_init(&replay->out, STDOUT_FILENO, "stdout");
        status = run_program(replay, argv + operand, (size_t)(argc - operand), &error);
        status = end_program(replay, status, &error);
    }
    free(replay);
    return status;
}
