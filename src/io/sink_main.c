/* sink_main.c - see sink_main.h. */
#include "io/sink_main.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"
#include "core/record.h"
#include "core/time.h"
#include "io/clock.h"
#include "io/lines.h"
#include "io/signals.h"
#include "io/writer.h"

enum {
    TRANSPORT_FDS = 64 /* descriptors that a transport may wait for */
};

#define AT(member) offsetof(struct psa_sink_options, member)

const struct psa_option psa_sink_option_table[] = {
    { .name = "ack",
      .type = PSA_OPT_FLAG,
      .offset = AT(ack),
      .help = "print on stdout how many input lines are finished, for psa-spool" },
    { .name = "in-flight",
      .type = PSA_OPT_COUNT,
      .offset = AT(in_flight),
      .metavar = "N",
      .initial = "1000",
      .min = 1,
      .max = 10000,
      .help = "most lines read and not finished" },
    { .name = "max-buffer",
      .type = PSA_OPT_SIZE,
      .offset = AT(max_buffer),
      .metavar = "SIZE",
      .initial = "16MiB",
      .min = 1024,
      .max = 1e12,
      .help = "most bytes of them; a single larger line is taken alone" },
    { .name = "retry-max",
      .type = PSA_OPT_DURATION,
      .offset = AT(retry_max_ns),
      .metavar = "TIME",
      .initial = "60s",
      .min = 1e6,
      .max = 86400e9,
      .help = "longest wait between two tries; waits double up to it, with jitter" },
    { .name = "drain-timeout",
      .type = PSA_OPT_DURATION,
      .offset = AT(drain_timeout_ns),
      .metavar = "TIME",
      .initial = "10s",
      .min = 0,
      .max = 9e18,
      .help = "at the end, wait that long for what is not finished" },
    { .name = "stats",
      .type = PSA_OPT_FLAG,
      .offset = AT(stats),
      .help = "print what became of every record as one JSON line on stderr, at the end and on SIGUSR1" },
    { .name = "stats-file",
      .type = PSA_OPT_TEXT,
      .offset = AT(stats_file),
      .metavar = "FILE",
      .help = "write that line whole to FILE, for a collector" },
    { .type = PSA_OPT_END },
};

/* One run of a sink: what the transport knows of it, and what it need not know. */
struct sink {
    struct psa_sink_run run; /* first: the transport's functions come back with it */
    const struct psa_sink_program *program;
    struct psa_sink_options options;
    struct psa_input_options input;
    struct psa_lines lines;
    struct psa_decoder *decoder;
    struct psa_writer rejects;
    int64_t give_up_ns; /* while ending */
    bool opened;
};

/* ---- for transports -------------------------------------------------------------------------------------------------- */

void psa_sink_say(struct psa_sink_run *run, const char *cause, uint64_t line, const char *format, ...)
{
    char text[1024];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    psa_report_say(&run->report, run->name, line ? "input" : NULL, line, cause, text);
}

void psa_sink_delivered(struct psa_sink_run *run, struct psa_letter *letter)
{
    run->stats.passed++;
    if (run->complained) psa_report_mended(&run->report, run->name, "refused");
    run->complained = false;
    psa_outbox_finish(&run->outbox, letter);
}

static int keep_line(struct sink *sink, struct psa_str line, struct psa_error *error)
{
    if (!sink->input.rejects) return 0;
    psa_buf_put(&sink->rejects.buf, line.p, line.n);
    psa_buf_put(&sink->rejects.buf, "\n", 1);
    return psa_writer_added(&sink->rejects, error);
}

int psa_sink_undeliverable(struct psa_sink_run *run, struct psa_letter *letter, const char *reason, const char *why,
                           struct psa_error *error)
{
    psa_count(&run->stats.rejected, reason, 1);
    psa_sink_say(run, reason, letter->line, "%s; it can never be delivered", why);
    if (keep_line((struct sink *)run, psa_buf_str(&letter->text), error) != 0) return -1;
    return psa_outbox_bury(&run->outbox, letter, why, error);
}

int psa_sink_refused(struct psa_sink_run *run, struct psa_error *error, const char *format, ...)
{
    char text[900];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (!run->options->ack) return psa_fail(error, PSA_EXIT_REFUSED, "%s", text);
    run->complained = true;
    psa_sink_say(run, "refused", 0, "%s; kept, and tried again later", text);
    return 0;
}

/* ---- reading --------------------------------------------------------------------------------------------------------- */

/* The line can not even be read as a record. */
static int refuse_line(struct sink *sink, struct psa_str line, const char *reason, const char *why,
                       struct psa_error *error)
{
    struct psa_letter *letter = psa_outbox_add(&sink->run.outbox);

    sink->run.stats.in++;
    psa_count(&sink->run.stats.rejected, reason, 1);
    psa_report_say(&sink->run.report, sink->run.name, sink->lines.name, sink->lines.number, reason, why);
    if (keep_line(sink, line, error) != 0) return -1;
    return psa_outbox_bury(&sink->run.outbox, letter, why, error);
}

static int take_record(struct sink *sink, struct psa_str line, struct psa_record *record, struct psa_error *error)
{
    const struct psa_transport *transport = sink->program->transport;
    struct psa_letter *letter = psa_outbox_add(&sink->run.outbox);
    const char *why = NULL;
    int status;

    sink->run.stats.in++;
    psa_buf_put(&letter->text, line.p, line.n);
    status = transport->address(sink->program->ctx, record, letter, &why, error);
    if (status < 0 || psa_outbox_filled(&sink->run.outbox, letter, error) != 0) return -1;
    return status == 0 ? 0 : psa_sink_undeliverable(&sink->run, letter, "address", why, error);
}

/* Control lines are obeyed by being in their place: nothing of them is delivered. */
static void take_control(struct sink *sink, const struct psa_control *control)
{
    struct psa_letter *letter = psa_outbox_add(&sink->run.outbox);

    sink->run.stats.control++;
    if (control->kind == PSA_CHECKPOINT) snprintf(letter->checkpoint, sizeof letter->checkpoint, "%s", control->id);
    psa_outbox_finish(&sink->run.outbox, letter);
}

static int take_line(struct sink *sink, struct psa_str line, struct psa_error *error)
{
    struct psa_decoded decoded;

    switch (psa_decode(sink->decoder, line, &decoded)) {
    case PSA_LINE_RECORD: return take_record(sink, line, decoded.record, error);
    case PSA_LINE_CONTROL: take_control(sink, &decoded.control); return 0;
    case PSA_LINE_BLANK: psa_outbox_finish(&sink->run.outbox, psa_outbox_add(&sink->run.outbox)); return 0;
    default: return refuse_line(sink, line, psa_refusal_name(decoded.refusal), decoded.why, error);
    }
}

static int take_long_line(struct sink *sink, struct psa_error *error)
{
    char why[160];

    snprintf(why, sizeof why, "a line of %llu bytes, longer than --max-line %lld",
             (unsigned long long)sink->lines.skipped, (long long)sink->input.max_line);
    return refuse_line(sink, (struct psa_str){ "", 0 }, "max_line", why, error);
}

static void end_input(struct sink *sink)
{
    sink->run.ending = true;
    sink->give_up_ns = sink->options.drain_timeout_ns < INT64_MAX - sink->run.now_ns
                           ? sink->run.now_ns + sink->options.drain_timeout_ns
                           : INT64_MAX;
    if (sink->lines.unfinished)
        psa_report_say(&sink->run.report, sink->run.name, sink->lines.name, sink->lines.number + 1, "stop",
                       "stopped within this line; it was not handled");
}

/* Lines while there is room for them and they are there. */
static int read_lines(struct sink *sink, struct psa_error *error)
{
    struct psa_str line = { NULL, 0 };
    int status = 0;

    while (status == 0 && !sink->run.ending && psa_outbox_has_room(&sink->run.outbox)) {
        switch (psa_lines_next(&sink->lines, &line, error)) {
        case PSA_GOT_LINE: status = take_line(sink, line, error); break;
        case PSA_GOT_TOO_LONG: status = take_long_line(sink, error); break;
        case PSA_GOT_FILE: break;
        case PSA_GOT_NOTHING: return 0;
        case PSA_GOT_END: end_input(sink); break;
        case PSA_GOT_ERROR: return -1;
        }
    }
    return status;
}

/* ---- statistics ------------------------------------------------------------------------------------------------------ */

static int print_stats(struct sink *sink, bool asked, struct psa_error *error)
{
    struct psa_buf text = { 0 };
    int status = 0;

    if (!asked && !sink->options.stats && !sink->options.stats_file) return 0;
    psa_stats_put(&text, sink->run.name, &sink->run.stats);
    psa_buf_member_int(&text, "unfinished", (int64_t)(sink->run.outbox.waiting + sink->run.outbox.sent));
    if (sink->program->transport->stats) sink->program->transport->stats(sink->program->ctx, &text);
    psa_buf_puts(&text, "}\n");
    if (text.failed) return psa_fail_memory(error, "printing statistics");
    if (sink->options.stats || asked) status = psa_write_all(STDERR_FILENO, "stderr", text.p, text.n, error);
    if (sink->options.stats_file && status == 0)
        status = psa_file_replace(sink->options.stats_file, psa_buf_str(&text), error);
    psa_buf_free(&text);
    return status;
}

/* ---- the loop -------------------------------------------------------------------------------------------------------- */

/* Wait for a signal, for the transport, and, while there is room, for input; at most wait_ns. */
static int wait_for_any(struct sink *sink, int64_t wait_ns, struct psa_error *error)
{
    const struct psa_transport *transport = sink->program->transport;
    struct pollfd watch[2 + TRANSPORT_FDS];
    bool reading = !sink->run.ending && psa_outbox_has_room(&sink->run.outbox);
    size_t n = transport->watch(sink->program->ctx, watch + 2, TRANSPORT_FDS, &wait_ns);
    int ready;

    watch[0] = (struct pollfd){ psa_signals_fd(), POLLIN, 0 };
    watch[1] = (struct pollfd){ reading ? sink->lines.fd : -1, POLLIN, 0 };
    ready = poll(watch, (nfds_t)(n + 2), psa_wait_ms(wait_ns));
    if (ready < 0 && errno != EINTR) return psa_fail(error, PSA_EXIT_RUNTIME, "cannot poll: %s", strerror(errno));
    sink->run.now_ns = psa_clock_ns();
    if (ready < 0) return 0;
    if (watch[0].revents) psa_signals_drain();
    if (psa_stats_asked() && print_stats(sink, true, error) != 0) return -1;
    if (psa_stop_asked() && !sink->run.ending && !reading) { /* full: nothing would find out */
        end_input(sink);
    }
    return transport->ready(sink->program->ctx, watch + 2, n, error);
}

static int loop(struct sink *sink, struct psa_error *error)
{
    const struct psa_transport *transport = sink->program->transport;

    for (;;) {
        int64_t wait_ns = INT64_MAX;
        bool full;

        if (read_lines(sink, error) != 0) return -1;
        full = !psa_outbox_has_room(&sink->run.outbox);
        if (transport->work(sink->program->ctx, error) != 0) return -1;
        if (psa_outbox_flush(&sink->run.outbox, error) != 0) return -1;
        if (sink->input.rejects && psa_writer_flush(&sink->rejects, error) != 0) return -1;
        if (sink->run.ending) {
            if (!sink->run.outbox.n || psa_stops_asked() > 1) return 0;
            wait_ns = sink->give_up_ns - sink->run.now_ns;
            if (wait_ns <= 0) return 0;
        } else if (sink->lines.fd < 0 || (full && psa_outbox_has_room(&sink->run.outbox))) {
            wait_ns = 0; /* between two files; or lines may lie in the reader's buffer, where no poll sees them */
        }
        if (wait_for_any(sink, wait_ns, error) != 0) return -1;
    }
}

/* The connection is closed in order, if that can be done soon. */
static int say_goodbye(struct sink *sink, struct psa_error *error)
{
    const struct psa_transport *transport = sink->program->transport;
    int64_t give_up_ns = sink->run.now_ns + PSA_SINK_GOODBYE_NS;

    sink->run.ending = true;
    for (;;) {
        int status = transport->goodbye(sink->program->ctx, error);
        int64_t wait_ns = give_up_ns - sink->run.now_ns;

        if (status != 0) return status < 0 ? -1 : 0;
        if (wait_ns <= 0 || psa_stops_asked() > 1) return 0;
        if (wait_for_any(sink, wait_ns, error) != 0) return -1;
    }
}

/* ---- the program ----------------------------------------------------------------------------------------------------- */

static int open_sink(struct sink *sink, struct psa_error *error)
{
    struct psa_decode_limits limits = { sink->input.max_fields, sink->input.max_depth, false };
    int fd;

    if (psa_signals_install(error) != 0) return -1;
    sink->run.now_ns = psa_clock_ns();
    if (psa_outbox_open(&sink->run.outbox, (size_t)sink->options.in_flight, (size_t)sink->options.max_buffer,
                        sink->options.ack, error) != 0)
        return -1;
    if (sink->input.rejects) {
        fd = open(sink->input.rejects, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        if (fd < 0)
            return psa_fail(error, PSA_EXIT_PERMANENT, "%s: cannot open: %s", sink->input.rejects, strerror(errno));
        psa_writer_init(&sink->rejects, fd, sink->input.rejects);
    }
    sink->opened = true;
    if (sink->program->transport->open(sink->program->ctx, &sink->run, error) != 0) return -1;
    limits.flat = sink->run.flat;
    sink->decoder = psa_decoder_new(limits);
    return sink->decoder ? 0 : psa_fail_memory(error, "starting");
}

/* What is neither delivered nor undeliverable is lost to this run, and said: whoever keeps the lines sends them again. */
static int count_unfinished(struct sink *sink, int status, struct psa_error *error)
{
    struct psa_sink_run *run = &sink->run;
    size_t n = run->outbox.waiting + run->outbox.sent;

    if (!n) return status;
    psa_count(&run->stats.dropped, "unacknowledged", n);
    if (status != 0) {
        psa_sink_say(run, "unacknowledged", 0, "%zu of %llu records were not acknowledged", n,
                     (unsigned long long)run->stats.in);
        return status;
    }
    return psa_fail(error, PSA_EXIT_RUNTIME, "%zu of %llu records were not acknowledged by the end%s", n,
                    (unsigned long long)run->stats.in,
                    run->options->ack ? "" : "; they are lost, unless whoever wrote them sends them again");
}

static int end_sink(struct sink *sink, int status, struct psa_error *error)
{
    struct psa_error later = { 0 };

    if (status == 0) status = say_goodbye(sink, error);
    status = count_unfinished(sink, status, error);
    if (psa_outbox_flush(&sink->run.outbox, &later) != 0 && status == 0) {
        *error = later;
        status = -1;
    }
    if (sink->rejects.name && psa_writer_close(&sink->rejects, &later) != 0 && status == 0) {
        *error = later;
        status = -1;
    }
    psa_report_totals(&sink->run.report);
    const bool began = status == 0 || sink->opened;
    if (began && print_stats(sink, false, &later) != 0 && status == 0) {
        *error = later;
        status = -1;
    }
    if (status != 0 && error->status != PSA_BROKEN_PIPE) psa_report_error(sink->run.name, error);
    if (status != 0) return error->status;
    return sink->input.strict && sink->run.stats.rejected.n ? PSA_EXIT_REJECTED : PSA_EXIT_OK;
}

static int run_sink(struct sink *sink, char *const *file, size_t n_file)
{
    struct psa_error error = { 0 };
    int status;

    psa_lines_init(&sink->lines, file, n_file, (size_t)sink->input.max_line);
    sink->lines.no_wait = true;
    status = open_sink(sink, &error);
    if (status == 0) status = loop(sink, &error);
    status = end_sink(sink, status, &error);
    if (sink->opened) sink->program->transport->close(sink->program->ctx);
    psa_outbox_close(&sink->run.outbox);
    psa_decoder_free(sink->decoder);
    psa_lines_free(&sink->lines);
    return status;
}

int psa_sink_main(const struct psa_sink_program *program, int argc, char **argv)
{
    struct sink *sink = calloc(1, sizeof *sink);
    struct psa_error error = { 0 };
    int operand, status;
    char asked = 0;

    if (!sink) return PSA_EXIT_RUNTIME;
    sink->program = program;
    sink->run = (struct psa_sink_run){ .name = program->name, .options = &sink->options };
    struct psa_option_set set[] = { { program->options, program->ctx },
                                    { psa_sink_option_table, &sink->options },
                                    { psa_input_option_table, &sink->input } };
    if (psa_options_parse(set, 3, argc, argv, &operand, &asked, NULL, &error) != 0) {
        psa_report_error(program->name, &error);
        status = error.status;
    } else if (asked) {
        status = psa_print_help(asked, set, 3, program->name, program->usage, program->summary);
    } else {
        int taken = program->operands ? program->operands(program->ctx, argv + operand, argc - operand, &error) : 0;

        if (taken < 0) psa_report_error(program->name, &error);
        status = taken < 0 ? error.status : run_sink(sink, argv + operand + taken, (size_t)(argc - operand - taken));
    }
    free(sink);
    if (status == PSA_BROKEN_PIPE) psa_exit_broken_pipe();
    return status;
}
