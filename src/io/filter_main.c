/*
 * filter_main.c - the one place to watch a record go by: see filter_main.h.
 *
 *     psa_lines_next -> psa_decode -> node[0].put -> ... -> node[n-1].put -> put_out -> psa_encode -> writer
 *
 * The reader calls `idle` before a read that would block; there everything computed is written out. Nothing in steady
 * state allocates, and per record there is no system call.
 */
#include "io/filter_main.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/error.h"
#include "core/record.h"
#include "io/clock.h"
#include "io/lines.h"
#include "io/recording.h"
#include "io/report.h"
#include "io/signals.h"
#include "io/writer.h"

enum {
    WHOLE_FILE_MAX = 1 << 30, /* files that a stage reads whole: models and states */
    STATS_ROOM = 4096         /* bytes of a line of --stats, usually */
};

const struct psa_option psa_flat_option_table[] = {
    { .name = "flat",
      .type = PSA_OPT_FLAG,
      .offset = offsetof(struct psa_input_options, flat),
      .free_of_state = true,
      .help = "take the number members of a record without fields for its fields" },
    { .type = PSA_OPT_END },
};

const struct psa_option psa_input_option_table[] = {
    { .name = "rejects",
      .type = PSA_OPT_TEXT,
      .offset = offsetof(struct psa_input_options, rejects),
      .metavar = "FILE",
      .free_of_state = true,
      .help = "append lines that were rejected to FILE" },
    { .name = "strict",
      .type = PSA_OPT_FLAG,
      .offset = offsetof(struct psa_input_options, strict),
      .free_of_state = true,
      .help = "exit with 3 at the end if anything was rejected" },
    { .name = "max-line",
      .type = PSA_OPT_SIZE,
      .offset = offsetof(struct psa_input_options, max_line),
      .metavar = "SIZE",
      .initial = "1MiB",
      .min = 64,
      .max = 1073741824,
      .free_of_state = true,
      .help = "longest line that is read; a longer one is rejected" },
    { .name = "max-fields",
      .type = PSA_OPT_COUNT,
      .offset = offsetof(struct psa_input_options, max_fields),
      .metavar = "N",
      .initial = "4096",
      .min = 1,
      .max = 1000000,
      .free_of_state = true,
      .help = "most members and fields of one record" },
    { .name = "max-depth",
      .type = PSA_OPT_COUNT,
      .offset = offsetof(struct psa_input_options, max_depth),
      .metavar = "N",
      .initial = "64",
      .min = 1,
      .max = 1000,
      .free_of_state = true,
      .help = "deepest nesting of one record" },
    { .type = PSA_OPT_END },
};

/* One run of a chain. */
struct run {
    const char *name;
    struct psa_node *node;
    size_t n_node;
    const struct psa_input_options *input;
    struct psa_lines lines;
    struct psa_decoder *decoder;
    struct psa_writer out, rejects;
    struct psa_report *report; /* [n_node]: each stage has its own first ten of a cause, as its process in a pipe has */
    struct psa_world world;
    int64_t state_every_ns, saved_at_ns;
};

/* ---- what the nodes need from the world ------------------------------------------------------------------------------- */

static void say(void *ctx, const struct psa_node *node, const char *cause, const char *text)
{
    struct run *run = ctx;
    const struct psa_node *outer = node;

    while (outer->holder) outer = outer->holder;
    psa_report_say(&run->report[outer - run->node], node->name, node->line ? node->source : NULL, node->line, cause,
                   text);
}

static int keep_line(struct run *run, struct psa_str line, struct psa_error *error)
{
    if (!run->input->rejects) return 0;
    psa_buf_put(&run->rejects.buf, line.p, line.n);
    psa_buf_put(&run->rejects.buf, "\n", 1);
    return psa_writer_added(&run->rejects, error);
}

static int reject(void *ctx, const struct psa_record *record, struct psa_error *error)
{
    struct run *run = ctx;

    if (!run->input->rejects) return 0;
    psa_encode(record, &run->rejects.buf);
    return psa_writer_added(&run->rejects, error);
}

static int file_write(void *ctx, const char *path, struct psa_str text, struct psa_error *error)
{
    (void)ctx;
    return psa_file_replace(path, text, error);
}

static int file_read(void *ctx, const char *path, struct psa_buf *text, struct psa_error *error)
{
    (void)ctx;
    return psa_file_read(path, WHOLE_FILE_MAX, text, error);
}

static int plain_file_read(void *ctx, const char *path, struct psa_buf *text, struct psa_error *error)
{
    (void)ctx;
    return psa_file_read_plain(path, WHOLE_FILE_MAX, text, error);
}

static int file_remove(void *ctx, const char *path, struct psa_error *error)
{
    (void)ctx;
    if (unlink(path) != 0 && errno != ENOENT)
        return psa_fail(error, PSA_EXIT_RUNTIME, "%s: cannot remove: %s", path, strerror(errno));
    return 0;
}

static int file_forget(void *ctx, const char *path, const char *id, struct psa_error *error)
{
    (void)ctx;
    return psa_file_forget(path, id, error);
}

static struct psa_decode_limits limits_of(const struct psa_input_options *input)
{
    return (struct psa_decode_limits){ input->max_fields, input->max_depth, input->flat };
}

static int recording_read(void *ctx, const char *path, psa_take_recorded *take, void *taker, struct psa_error *error)
{
    const struct run *run = ctx;

    return psa_recording_read(path, limits_of(run->input), (size_t)run->input->max_line, take, taker, error);
}

/* The last sink: stdout. */
static int put_out(void *ctx, const struct psa_item *item, struct psa_error *error)
{
    struct run *run = ctx;

    if (item->kind == PSA_ITEM_END) return psa_writer_flush(&run->out, error);
    if (item->kind == PSA_ITEM_RECORD) {
        psa_encode(item->record, &run->out.buf);
    } else {
        psa_buf_put(&run->out.buf, item->control->text.p, item->control->text.n);
        psa_buf_put(&run->out.buf, "\n", 1);
    }
    return psa_writer_added(&run->out, error);
}

/* ---- statistics and states ---------------------------------------------------------------------------------------------- */

static int print_stats(struct run *run, bool asked, struct psa_error *error)
{
    struct psa_buf text = { 0 };
    int status = 0;

    (void)psa_buf_room(&text, STATS_ROOM); /* so that counts of more digits do not look like a leak */
    for (size_t i = 0; i < run->n_node && status == 0; i++) {
        const struct psa_node *node = &run->node[i];

        text.n = 0;
        psa_node_stats(node, &text);
        if (text.failed) continue;
        if (node->options.stats || asked) status = psa_write_all(STDERR_FILENO, "stderr", text.p, text.n, error);
        if (node->options.stats_file && status == 0)
            status = psa_file_replace(node->options.stats_file, psa_buf_str(&text), error);
    }
    psa_buf_free(&text);
    return status;
}

static int save_states(struct run *run, struct psa_error *error)
{
    for (size_t i = 0; i < run->n_node; i++)
        if (run->node[i].options.state_every_ns > 0 && psa_node_save(&run->node[i], error) != 0) return -1;
    run->saved_at_ns = psa_clock_ns();
    return 0;
}

/* Before a read that would block: everything computed goes out. */
static int idle(void *ctx, struct psa_error *error)
{
    struct run *run = ctx;

    if (psa_writer_flush(&run->out, error) != 0) return -1;
    if (run->input->rejects && psa_writer_flush(&run->rejects, error) != 0) return -1;
    if (psa_stats_asked() && print_stats(run, true, error) != 0) return -1;
    if (run->state_every_ns && psa_clock_ns() - run->saved_at_ns >= run->state_every_ns) return save_states(run, error);
    return 0;
}

/* ---- the loop -------------------------------------------------------------------------------------------------------------- */

static int take_line(struct run *run, struct psa_str line, struct psa_error *error)
{
    struct psa_sink head = psa_node_sink(run->node);
    struct psa_decoded decoded;
    struct psa_item item;

    switch (psa_decode(run->decoder, line, &decoded)) {
    case PSA_LINE_RECORD:
        item = (struct psa_item){ PSA_ITEM_RECORD, decoded.record, NULL };
        return head.put(head.ctx, &item, error);
    case PSA_LINE_CONTROL:
        item = (struct psa_item){ PSA_ITEM_CONTROL, NULL, &decoded.control };
        return head.put(head.ctx, &item, error);
    case PSA_LINE_BLANK: psa_node_skip_line(run->node); return 0;
    default:
        psa_node_refuse(run->node, psa_refusal_name(decoded.refusal), decoded.why);
        return keep_line(run, line, error);
    }
}

static int take_long_line(struct run *run)
{
    char why[160];

    snprintf(why, sizeof why, "a line of %llu bytes, longer than --max-line %lld",
             (unsigned long long)run->lines.skipped, (long long)run->input->max_line);
    psa_node_refuse(run->node, "max_line", why);
    return 0;
}

static int loop(struct run *run, struct psa_error *error)
{
    struct psa_sink head = psa_node_sink(run->node);
    struct psa_str line = { NULL, 0 };
    int status = 0;

    while (status == 0) {
        switch (psa_lines_next(&run->lines, &line, error)) {
        case PSA_GOT_LINE: status = take_line(run, line, error); break;
        case PSA_GOT_TOO_LONG: status = take_long_line(run); break;
        case PSA_GOT_FILE:
            run->node->source = run->lines.name;
            run->node->line = 0;
            break;
        case PSA_GOT_ERROR: return -1;
        case PSA_GOT_NOTHING: break; /* never: this reader waits */
        case PSA_GOT_END:
            if (run->lines.unfinished)
                psa_report_say(&run->report[0], run->name, run->lines.name, run->lines.number + 1, "stop",
                               "stopped within this line; it was not handled");
            return head.put(head.ctx, &(struct psa_item){ PSA_ITEM_END, NULL, NULL }, error);
        }
    }
    return status;
}

/* What is written only later must be known to be possible now. */
static int check_outputs(const struct psa_node *node, struct psa_error *error)
{
    if (node->options.state && psa_file_check_folder(node->options.state, error) != 0) return -1;
    return node->options.stats_file ? psa_file_check_folder(node->options.stats_file, error) : 0;
}

static int open_chain(struct run *run, struct psa_error *error)
{
    struct psa_sink next = { put_out, run };

    for (size_t i = run->n_node; i-- > 0;) {
        if (psa_node_open(&run->node[i], &run->world, next, error) != 0) return -1;
        if (check_outputs(&run->node[i], error) != 0) return -1;
        next = psa_node_sink(&run->node[i]);
        if (run->node[i].options.state && run->node[i].options.state_every_ns > 0 &&
            (!run->state_every_ns || run->node[i].options.state_every_ns < run->state_every_ns))
            run->state_every_ns = run->node[i].options.state_every_ns;
    }
    run->lines.wake_every_ns = run->state_every_ns;
    run->saved_at_ns = psa_clock_ns();
    return 0;
}

static int open_run(struct run *run, struct psa_error *error)
{
    const struct psa_input_options *input = run->input;
    int fd;

    psa_writer_init(&run->out, STDOUT_FILENO, "stdout");
    if (psa_signals_install(error) != 0) return -1;
    run->decoder = psa_decoder_new(limits_of(input));
    if (!run->decoder) return psa_fail_memory(error, "starting");
    if (input->rejects) {
        fd = open(input->rejects, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        if (fd < 0) return psa_fail(error, PSA_EXIT_PERMANENT, "%s: cannot open: %s", input->rejects, strerror(errno));
        psa_writer_init(&run->rejects, fd, input->rejects);
    }
    return open_chain(run, error);
}

static bool anything_rejected(const struct run *run)
{
    for (size_t i = 0; i < run->n_node; i++)
        if (run->node[i].stats.rejected.n) return true;
    return false;
}

/* A run that failed before that has nothing to account for, and a line of zeros would hide why. */
static bool anything_read(const struct run *run)
{
    return run->node[0].stats.in || run->node[0].stats.control;
}

/* Flush and close what is open, say the totals, and choose the exit status. */
static int end_run(struct run *run, int status, struct psa_error *error)
{
    struct psa_error later = { 0 };

    if (status == 0) {
        status = psa_writer_close(&run->out, error);
    } else if (error->status != PSA_BROKEN_PIPE) {
        (void)psa_writer_close(&run->out,
                               &later); /* what was computed before the failure; that failure is the one to tell */
    }
    if (run->rejects.name && psa_writer_close(&run->rejects, &later) != 0 && status == 0) {
        *error = later;
        status = -1;
    }
    for (size_t i = 0; i < run->n_node; i++) psa_report_totals(&run->report[i]);
    if ((status == 0 || anything_read(run)) && print_stats(run, false, &later) != 0 && status == 0) {
        *error = later;
        status = -1;
    }
    if (status != 0 && error->status != PSA_BROKEN_PIPE) psa_report_error(run->name, error);
    if (status != 0) return error->status;
    return run->input->strict && anything_rejected(run) ? PSA_EXIT_REJECTED : PSA_EXIT_OK;
}

int psa_chain_run(const char *name, struct psa_node *node, size_t n, const struct psa_input_options *input,
                  char *const *file, size_t n_file)
{
    struct psa_error error = { 0 };
    struct run *run = calloc(1, sizeof *run);
    struct psa_report *report = calloc(n, sizeof *report);
    int status;

    if (!run || !report) {
        free(run);
        free(report);
        return PSA_EXIT_RUNTIME;
    }
    /* libjq would take definitions from ~/.jq, and its mktime the machine's zone: a replay elsewhere would mean something
     * else. */
    unsetenv("HOME");
    setenv("TZ", "UTC0", 1);
    tzset();
    *run = (struct run){ .name = name, .node = node, .n_node = n, .input = input, .report = report };
    run->world = (struct psa_world){ .ctx = run,
                                     .say = say,
                                     .reject = reject,
                                     .file_write = file_write,
                                     .file_read = file_read,
                                     .plain_file_read = plain_file_read,
                                     .file_remove = file_remove,
                                     .file_forget = file_forget,
                                     .recording_read = recording_read };
    psa_lines_init(&run->lines, file, n_file, (size_t)input->max_line);
    run->lines.idle = idle;
    run->lines.ctx = run;
    status = open_run(run, &error);
    if (status == 0) status = loop(run, &error);
    status = end_run(run, status, &error);
    for (size_t i = 0; i < n; i++) psa_node_close(&node[i]);
    psa_decoder_free(run->decoder);
    psa_lines_free(&run->lines);
    free(report);
    free(run);
    if (status == PSA_BROKEN_PIPE) psa_exit_broken_pipe();
    return status;
}

/* Close the writer of a text that was asked for; the exit status. */
static int end_text(struct psa_writer *out, const char *name)
{
    struct psa_error error = { 0 };

    if (psa_writer_close(out, &error) == 0) return PSA_EXIT_OK;
    if (error.status == PSA_BROKEN_PIPE) psa_exit_broken_pipe();
    psa_report_error(name, &error);
    return error.status;
}

int psa_print_help(char asked, const struct psa_option_set *set, size_t n_set, const char *name, const char *usage,
                   const char *summary)
{
    struct psa_writer out;

    psa_writer_init(&out, STDOUT_FILENO, "stdout");
    if (asked == 'h') {
        psa_options_help(set, n_set, name, usage, summary, &out.buf);
    } else {
        psa_buf_puts(&out.buf, name);
        psa_buf_puts(&out.buf, " (psa) " PSA_VERSION "\n");
    }
    return end_text(&out, name);
}

/* Answer --list. */
static int print_list(const struct psa_stage *stage)
{
    struct psa_writer out;

    psa_writer_init(&out, STDOUT_FILENO, "stdout");
    stage->list(&out.buf);
    return end_text(&out, stage->name);
}

int psa_filter_main(const struct psa_stage *stage, int argc, char **argv)
{
    struct psa_input_options input = { 0 };
    struct psa_option_set extra[] = { { psa_flat_option_table, &input }, { psa_input_option_table, &input } };
    struct psa_error error = { 0 };
    struct psa_node node;
    int operand, status;
    char asked;

    if (psa_node_parse(&node, stage, argc, argv, extra, 2, &operand, &asked, &error) != 0) {
        psa_report_error(stage->name, &error);
        psa_node_close(&node);
        return error.status;
    }
    if (asked == 'l') {
        status = print_list(stage);
        psa_node_close(&node);
        return status;
    }
    if (asked) {
        struct psa_option_set set[] = { { stage->options, NULL }, { psa_node_option_table, NULL }, extra[0], extra[1] };

        status = psa_print_help(asked, set, 4, stage->name, "[options] [file ...]", stage->summary);
        psa_node_close(&node);
        return status;
    }
    return psa_chain_run(stage->name, &node, 1, &input, argv + operand, (size_t)(argc - operand));
}
