/* spool_intake.c - see spool_intake.h. */
#include "io/spool_intake.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"
#include "core/time.h"
#include "io/clock.h"

enum {
    GROUP_BYTES = 524288,    /* a group this large is synced before --sync's time is over: it bounds memory */
    UNTAKEN_BYTES = 1048576, /* and with this much not taken nothing more is read; both at most a segment */
    TURN_BYTES = 131072      /* read in one go, then written, and the sink gets its turn */
};

/* How often a full spool is looked at for room. */
#define RETRY_NS (100 * PSA_NS_PER_MS)

#define AT(member) offsetof(struct psa_intake_options, member)

const struct psa_option psa_intake_option_table[] = {
    { .name = "sync",
      .type = PSA_OPT_TEXT,
      .offset = AT(sync),
      .metavar = "always|none|TIME",
      .initial = "100ms",
      .help = "when to fsync what is taken: at once, never, or in groups of at most TIME" },
    { .name = "max-size",
      .type = PSA_OPT_SIZE,
      .offset = AT(max_size),
      .metavar = "SIZE",
      .initial = "1GiB",
      .min = 1048576,
      .max = 1e15,
      .help = "most bytes that the spool may hold" },
    { .name = "on-full",
      .type = PSA_OPT_TEXT,
      .offset = AT(on_full),
      .metavar = "block|drop-oldest|reject",
      .initial = "block",
      .help = "what to do then: stop reading, drop the oldest records, or refuse the new" },
    { .name = "max-line",
      .type = PSA_OPT_SIZE,
      .offset = AT(max_line),
      .metavar = "SIZE",
      .initial = "1MiB",
      .min = 64,
      .max = PSA_SPOOL_TEXT_MAX,
      .help = "longest line that is read; a longer one is rejected" },
    { .name = "topic",
      .type = PSA_OPT_TEXT,
      .offset = AT(topic),
      .metavar = "TEMPLATE",
      .help = "store publish_topic in each record that has none, filled from it now" },
    { .name = "no-suffix",
      .type = PSA_OPT_FLAG,
      .offset = AT(no_suffix),
      .needs = "topic",
      .help = "without /alert or /inference behind it" },
    { .type = PSA_OPT_END },
};

/* ---- opening --------------------------------------------------------------------------------------------------------- */

static int parse_sync(struct psa_intake *intake, const char *text, struct psa_error *error)
{
    intake->sync_every_ns = strcmp(text, "none") == 0 ? -1 : 0;
    if (strcmp(text, "none") == 0 || strcmp(text, "always") == 0) return 0;
    if (psa_parse_duration(text, "--sync", &intake->sync_every_ns, error) != 0 || intake->sync_every_ns < 0)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--sync: '%s' is neither always, none, nor a time such as 100ms",
                        text);
    return 0;
}

static int parse_on_full(struct psa_intake *intake, struct psa_spool_limits *limits, const char *text,
                         struct psa_error *error)
{
    limits->drop_oldest = strcmp(text, "drop-oldest") == 0;
    intake->reject_when_full = strcmp(text, "reject") == 0;
    if (limits->drop_oldest || intake->reject_when_full || strcmp(text, "block") == 0) return 0;
    return psa_fail(error, PSA_EXIT_PERMANENT, "--on-full: '%s' is none of block, drop-oldest, reject", text);
}

int psa_intake_open(struct psa_intake *intake, const struct psa_disk *disk, const struct psa_intake_options *options,
                    const struct psa_spool_say *say, char *const *file, size_t n_file, struct psa_error *error)
{
    struct psa_spool_limits limits = { .max_size = options->max_size,
                                       .segment_size = psa_spool_segment_size(options->max_size) };

    intake->options = options;
    intake->group_bytes = limits.segment_size < GROUP_BYTES ? (size_t)limits.segment_size : GROUP_BYTES;
    intake->untaken_bytes = limits.segment_size < UNTAKEN_BYTES ? (size_t)limits.segment_size : UNTAKEN_BYTES;
    psa_writer_init(&intake->out, STDOUT_FILENO, "stdout");
    psa_lines_init(&intake->lines, file, n_file, (size_t)options->max_line);
    intake->lines.no_wait = true;
    if (parse_sync(intake, options->sync, error) != 0) return -1;
    if (parse_on_full(intake, &limits, options->on_full, error) != 0) return -1;
    if (options->topic &&
        psa_template_parse(&intake->template, PSA_TEMPLATE_TOPIC, options->topic, "--topic", error) != 0)
        return -1;
    intake->decoder = psa_decoder_new(PSA_DECODE_LIMITS);
    if (!intake->decoder) return psa_fail_memory(error, "starting");
    if (psa_spool_writer_open(&intake->writer, disk, &limits, say, error) != 0) return -1;
    return psa_syncer_start(&intake->syncer, disk, error);
}

void psa_intake_close(struct psa_intake *intake)
{
    psa_syncer_stop(intake->syncer);
    if (intake->writer) psa_spool_writer_close(intake->writer);
    psa_lines_free(&intake->lines);
    psa_decoder_free(intake->decoder);
    psa_template_free(intake->template);
    psa_buf_free(&intake->topic);
    psa_buf_free(&intake->quoted);
    psa_buf_free(&intake->text);
    psa_buf_free(&intake->out.buf);
}

/* ---- taking lines ---------------------------------------------------------------------------------------------------- */

/* The time at which a record is taken, for --max-age: none when the kernel says that the clock is not synchronised. */
static int64_t taken_ms(void)
{
    return psa_clock_is_synced() ? psa_clock_wall_ns() / PSA_NS_PER_MS : PSA_SPOOL_UNSYNCED;
}

static struct psa_str behind_blanks(struct psa_str text)
{
    while (text.n && (*text.p == ' ' || *text.p == '\t')) text = (struct psa_str){ text.p + 1, text.n - 1 };
    return text;
}

/* A reading whose own clock was not synchronised does not age either (psa-record(5)). Wherever the member stands: to keep a
 * record too long does no harm. */
static bool is_unsynced(struct psa_str line)
{
    static const char name[] = "\"clock\"", value[] = "\"unsynced\"";
    const char *end = line.p + line.n;
    const char *at = memmem(line.p, line.n, name, sizeof name - 1);

    for (; at; at = memmem(at, (size_t)(end - at), name, sizeof name - 1)) {
        at += sizeof name - 1;
        struct psa_str rest = behind_blanks((struct psa_str){ at, (size_t)(end - at) });
        if (!rest.n || *rest.p != ':') continue;
        rest = behind_blanks((struct psa_str){ rest.p + 1, rest.n - 1 });
        if (rest.n >= sizeof value - 1 && memcmp(rest.p, value, sizeof value - 1) == 0) return true;
    }
    return false;
}

static int refuse(struct psa_intake *intake, const char *reason, const char *why, struct psa_error *error)
{
    intake->stats.in++;
    psa_count(&intake->stats.rejected, reason, 1);
    psa_report_say(intake->report, intake->name, intake->lines.name, intake->lines.number, reason, why);
    intake->put_line = intake->line;
    if (!intake->ack) return 0;
    psa_buf_puts(&intake->out.buf, "!");
    psa_buf_int(&intake->out.buf, (int64_t)intake->line);
    psa_buf_puts(&intake->out.buf, " ");
    psa_buf_puts(&intake->out.buf, why);
    psa_buf_puts(&intake->out.buf, "\n");
    return psa_writer_added(&intake->out, error);
}

/* The line with its publish_topic; the line itself where it has one, or can have none (its sink will say why). */
static struct psa_str with_topic(struct psa_intake *intake, struct psa_str line)
{
    struct psa_decoded decoded;
    const char *why;

    if (!intake->template || psa_decode(intake->decoder, line, &decoded) != PSA_LINE_RECORD) return line;
    if (psa_record_member(decoded.record, PSA_M_PUBLISH_TOPIC)) return line;
    intake->topic.n = intake->quoted.n = intake->text.n = 0;
    if (!psa_topic_of(intake->template, !intake->options->no_suffix, decoded.record, &intake->topic, &why)) return line;
    psa_buf_quote(&intake->quoted, psa_buf_str(&intake->topic));
    if (intake->quoted.failed || psa_record_set(decoded.record, "publish_topic", psa_buf_str(&intake->quoted)) != 0)
        return line;
    psa_encode(decoded.record, &intake->text);
    return intake->text.failed ? line : (struct psa_str){ intake->text.p, intake->text.n - 1 };
}

static void say_blocked(struct psa_intake *intake)
{
    if (intake->blocked) return;
    intake->blocked = true;
    psa_report_say(intake->report, intake->name, NULL, 0, "full",
                   "the spool is full: nothing more is read until its reader has delivered some of it");
}

static void say_unblocked(struct psa_intake *intake)
{
    if (!intake->blocked) return;
    intake->blocked = false;
    psa_report_say(intake->report, intake->name, NULL, 0, "full", "there is room in the spool again");
}

/* Put one line. 1: there is no room for it now; it is to be held. */
static int put(struct psa_intake *intake, struct psa_str line, int64_t now_ns, struct psa_error *error)
{
    struct psa_str text = with_topic(intake, line);
    int64_t at_ms = is_unsynced(line) ? PSA_SPOOL_UNSYNCED : intake->taken_ms;
    enum psa_spool_put done = psa_spool_put(intake->writer, text, at_ms, NULL);
    char why[160];

    if (done == PSA_SPOOL_FULL && intake->reject_when_full &&
        now_ns >= intake->retry_ns) { /* has the reader freed some? */
        intake->retry_ns = now_ns + RETRY_NS;
        psa_spool_writer_look(intake->writer);
        done = psa_spool_put(intake->writer, text, at_ms, NULL);
    }
    switch (done) {
    case PSA_SPOOL_PUT:
        say_unblocked(intake);
        intake->stats.in++;
        intake->stats.passed++;
        intake->put_line = intake->line;
        return 0;
    case PSA_SPOOL_TOO_LONG:
        snprintf(why, sizeof why, "a record of %zu bytes, more than %s", text.n,
                 text.n > PSA_SPOOL_TEXT_MAX ? "a spool's line can be" : "a quarter of --max-size");
        return refuse(intake, "too_long", why, error);
    case PSA_SPOOL_FULL:
        if (intake->reject_when_full) return refuse(intake, "full", "the spool is full", error);
        return 1;
    default: return psa_fail_memory(error, "spooling");
    }
}

/* `{"psa":`: a control line, unless the decoder finds a record in it after all. */
static bool looks_like_control(struct psa_str line)
{
    size_t i = 0;

    while (i < line.n && (line.p[i] == ' ' || line.p[i] == '\t')) i++;
    if (i == line.n || line.p[i++] != '{') return false;
    while (i < line.n && (line.p[i] == ' ' || line.p[i] == '\t')) i++;
    return line.n - i > 5 && memcmp(line.p + i, "\"psa\"", 5) == 0;
}

/* A checkpoint asks for everything before it to be durable; a restore means nothing to a queue. Both are ours. A heartbeat is
 * for the stages behind us and is stored. false: it is to be stored. */
static bool take_control(struct psa_intake *intake, struct psa_str line)
{
    struct psa_decoded decoded;

    if (psa_decode(intake->decoder, line, &decoded) != PSA_LINE_CONTROL) return false;
    if (decoded.control.kind == PSA_HEARTBEAT) return false;
    intake->stats.control++;
    intake->put_line = intake->line;
    if (decoded.control.kind == PSA_CHECKPOINT)
        snprintf(intake->checkpoint, sizeof intake->checkpoint, "%s", decoded.control.id);
    return true;
}

/* Whoever counts acknowledgements has not written half a line: it died in the middle of one, and will send it again. */
static void leave_out_torn(struct psa_intake *intake)
{
    intake->stats.in++;
    psa_count(&intake->stats.rejected, "torn", 1);
    psa_report_say(intake->report, intake->name, intake->lines.name, intake->lines.number, "torn",
                   "half a line at the end of the input; left out");
}

static int take_line(struct psa_intake *intake, struct psa_str line, int64_t now_ns, struct psa_error *error)
{
    size_t i = 0;
    int status;

    if (intake->lines.torn && intake->ack) {
        leave_out_torn(intake);
        return 0;
    }
    intake->line++;
    while (i < line.n && (line.p[i] == ' ' || line.p[i] == '\t')) i++;
    if (i == line.n) { /* a blank line */
        intake->put_line = intake->line;
        return 0;
    }
    if (looks_like_control(line) && take_control(intake, line)) return 0;
    status = put(intake, line, now_ns, error);
    if (status != 1) return status;
    intake->holding = true;
    intake->held = line; /* the reader's buffer stays as it is until the next line is asked for */
    intake->retry_ns = now_ns + RETRY_NS;
    return 0;
}

static int take_long_line(struct psa_intake *intake, struct psa_error *error)
{
    char why[160];

    intake->line++;
    snprintf(why, sizeof why, "a line of %llu bytes, longer than --max-line %lld",
             (unsigned long long)intake->lines.skipped, (long long)intake->options->max_line);
    return refuse(intake, "max_line", why, error);
}

static void end_input(struct psa_intake *intake)
{
    intake->ended = true;
    if (intake->lines.unfinished)
        psa_report_say(intake->report, intake->name, intake->lines.name, intake->lines.number + 1, "stop",
                       "stopped within this line; it was not handled");
}

static bool may_read(const struct psa_intake *intake)
{
    return !intake->ended && !intake->holding && !intake->checkpoint[0] &&
           psa_spool_untaken_bytes(intake->writer) < intake->untaken_bytes;
}

static int read_lines(struct psa_intake *intake, int64_t now_ns, struct psa_error *error)
{
    struct psa_str line = { NULL, 0 };
    int status = 0;

    intake->more = false;
    for (size_t n = 0; n < TURN_BYTES && status == 0 && may_read(intake); n += line.n + 1) {
        switch (psa_lines_next(&intake->lines, &line, error)) {
        case PSA_GOT_LINE: status = take_line(intake, line, now_ns, error); break;
        case PSA_GOT_TOO_LONG: status = take_long_line(intake, error); break;
        case PSA_GOT_FILE: break;
        case PSA_GOT_NOTHING: return 0;
        case PSA_GOT_END: end_input(intake); break;
        case PSA_GOT_ERROR: return -1;
        }
    }
    intake->more = true; /* lines may lie in the reader's buffer, where no poll sees them */
    return status;
}

/* The held line, once there is room. */
static int retry_held(struct psa_intake *intake, int64_t now_ns, struct psa_error *error)
{
    int status;

    if (!intake->holding || now_ns < intake->retry_ns) return 0;
    intake->retry_ns = now_ns + RETRY_NS;
    psa_spool_writer_look(intake->writer);
    status = put(intake, intake->held, now_ns, error);
    if (status == 1) say_blocked(intake);
    else intake->holding = false;
    return status < 0 ? -1 : 0;
}

/* ---- syncing and acknowledging --------------------------------------------------------------------------------------- */

static void print_taken(struct psa_intake *intake, uint64_t line)
{
    if (intake->ack && line > intake->counted) {
        psa_buf_int(&intake->out.buf, (int64_t)line);
        psa_buf_puts(&intake->out.buf, "\n");
    }
    if (line > intake->counted) intake->counted = line;
    if (intake->checkpoint[0] && line >= intake->put_line) {
        if (intake->ack) {
            psa_buf_puts(&intake->out.buf, "@");
            psa_buf_puts(&intake->out.buf, intake->checkpoint);
            psa_buf_puts(&intake->out.buf, "\n");
        }
        intake->checkpoint[0] = '\0';
    }
}

static bool sync_is_due(const struct psa_intake *intake, int64_t now_ns)
{
    return now_ns - intake->synced_at_ns >= intake->sync_every_ns || intake->ended || intake->checkpoint[0] ||
           psa_spool_untaken_bytes(intake->writer) >= intake->group_bytes;
}

static void finish_sync(struct psa_intake *intake, const struct psa_spool_sync *job)
{
    intake->syncing = false;
    psa_spool_sync_end(intake->writer, job);
    if (job->result == 0) print_taken(intake, intake->syncing_line);
}

static void sync_turn(struct psa_intake *intake, int64_t now_ns)
{
    struct psa_spool_sync job;

    if (intake->syncing && psa_syncer_collect(intake->syncer, &job)) finish_sync(intake, &job);
    intake->failing = psa_spool_write(intake->writer) != 0;
    if (intake->failing) {
        intake->retry_ns = now_ns + RETRY_NS;
        intake->hopeless = intake->ended && intake->reject_when_full;
        return;
    }
    if (!psa_spool_untaken_bytes(intake->writer)) print_taken(intake, intake->put_line);
    if (intake->syncing || (intake->sync_every_ns >= 0 && !sync_is_due(intake, now_ns))) return;
    if (!psa_spool_sync_begin(intake->writer, &job)) return;
    intake->syncing = true;
    intake->syncing_line = intake->put_line;
    intake->synced_at_ns = now_ns;
    if (intake->sync_every_ns >= 0) {
        psa_syncer_submit(intake->syncer, &job);
        return;
    }
    job.result = 0; /* --sync none: what is written is the kernel's business */
    finish_sync(intake, &job);
}

/* ---- the turn -------------------------------------------------------------------------------------------------------- */

int psa_intake_turn(struct psa_intake *intake, int64_t now_ns, struct psa_error *error)
{
    intake->taken_ms = taken_ms();
    if (retry_held(intake, now_ns, error) != 0) return -1;
    if (read_lines(intake, now_ns, error) != 0) return -1;
    sync_turn(intake, now_ns);
    return psa_writer_flush(&intake->out, error);
}

void psa_intake_watch(const struct psa_intake *intake, int64_t now_ns, struct pollfd watch[2], int64_t *wait_ns)
{
    bool untaken = psa_spool_untaken_bytes(intake->writer) > 0;
    int64_t due_ns = INT64_MAX;

    watch[0] = (struct pollfd){ may_read(intake) ? intake->lines.fd : -1, POLLIN, 0 };
    watch[1] = (struct pollfd){ intake->syncing ? psa_syncer_fd(intake->syncer) : -1, POLLIN, 0 };
    if (may_read(intake) && intake->more) due_ns = now_ns;
    if (intake->holding) due_ns = intake->retry_ns;
    else if (due_ns > now_ns && untaken && !intake->syncing) {
        due_ns = intake->sync_every_ns > 0 && !intake->ended ? intake->synced_at_ns + intake->sync_every_ns : now_ns;
        if (due_ns < intake->retry_ns) due_ns = intake->retry_ns;
    }
    if (due_ns < INT64_MAX && due_ns - now_ns < *wait_ns) *wait_ns = due_ns - now_ns;
}

bool psa_intake_is_done(const struct psa_intake *intake)
{
    return intake->ended && !intake->holding && !intake->checkpoint[0] && !intake->syncing &&
           psa_spool_untaken_bytes(intake->writer) == 0 && intake->counted == intake->line;
}

uint64_t psa_intake_untaken(const struct psa_intake *intake, uint64_t finished)
{
    uint64_t safe = psa_spool_last_taken(intake->writer);

    if (safe < finished) safe = finished;
    return psa_spool_last_put(intake->writer) - safe + (intake->holding ? 1 : 0) + psa_lines_buffered(&intake->lines);
}
