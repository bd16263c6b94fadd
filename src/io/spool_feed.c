/* spool_feed.c - see spool_feed.h. */
#include "io/spool_feed.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"
#include "core/time.h"
#include "io/clock.h"

enum {
    OUT_BYTES = 65536,    /* gathered before a write to the sink */
    ANSWER_BYTES = 65536, /* longest line of a sink's answers */
    ANSWERS_READ = 16384, /* bytes of answers taken in one read */
    TURN_READS = 4,       /* of them in a turn, */
    LAST_READS = 64       /* and from a sink that has gone: a pipe's content and more */
};

/* A sink that was told to end and has not is killed after this. */
#define KILL_NS (5 * PSA_NS_PER_SECOND)
/* A sink whose stdin was closed may take this long to finish what it has. */
#define GOODBYE_NS (2 * PSA_NS_PER_SECOND)
/* The first wait before a sink is started again. */
#define FIRST_RETRY_NS (200 * PSA_NS_PER_MS)
/* How often a sink is looked at where the kernel cannot tell that it has exited (no pidfd_open). */
#define LOOK_NS (100 * PSA_NS_PER_MS)
/* How often a spool without a sink is looked at for what is too old, and for something to send. */
#define PEEK_NS PSA_NS_PER_SECOND

#define AT(member) offsetof(struct psa_feed_options, member)

const struct psa_option psa_feed_option_table[] = {
    { .name = "in-flight",
      .type = PSA_OPT_COUNT,
      .offset = AT(in_flight),
      .metavar = "N",
      .initial = "1000",
      .min = 1,
      .max = 1e6,
      .help = "most lines given to the sink and not finished" },
    { .name = "stall",
      .type = PSA_OPT_DURATION,
      .offset = AT(stall_ns),
      .metavar = "TIME",
      .initial = "60s",
      .min = 1e6,
      .max = 9e18,
      .help = "restart a sink that finishes nothing for so long" },
    { .name = "retry-max",
      .type = PSA_OPT_DURATION,
      .offset = AT(retry_max_ns),
      .metavar = "TIME",
      .initial = "60s",
      .min = 1e6,
      .max = 86400e9,
      .help = "longest wait before a sink is started again; waits double up to it, with jitter" },
    { .name = "trust-write",
      .type = PSA_OPT_FLAG,
      .offset = AT(trust_write),
      .not_with = "checkpoint",
      .help = "take a line written to the sink for finished, for commands that cannot say" },
    { .name = "max-age",
      .type = PSA_OPT_DURATION,
      .offset = AT(max_age_ns),
      .metavar = "TIME",
      .initial = "0",
      .min = 0,
      .max = 9e18,
      .help = "drop records that have waited longer; 0: never" },
    { .name = "max-dead",
      .type = PSA_OPT_SIZE,
      .offset = AT(max_dead),
      .metavar = "SIZE",
      .initial = "16MiB",
      .min = 0,
      .max = 1e15,
      .help = "most bytes of dead letters" },
    { .name = "cursor-every",
      .type = PSA_OPT_DURATION,
      .offset = AT(cursor_every_ns),
      .metavar = "TIME",
      .initial = "1s",
      .min = 0,
      .max = 86400e9,
      .help = "store that often how far the sink has come" },
    { .name = "checkpoint",
      .type = PSA_OPT_COUNT,
      .offset = AT(checkpoint),
      .metavar = "N",
      .min = 1,
      .max = 1e6,
      .help = "give the sink a checkpoint every N records; then only @ID finishes, and stages may stand before it" },
    { .name = "checkpoint-every",
      .type = PSA_OPT_DURATION,
      .offset = AT(checkpoint_every_ns),
      .metavar = "TIME",
      .initial = "10s",
      .min = 1e6,
      .max = 86400e9,
      .needs = "checkpoint",
      .help = "and at the latest after so long" },
    { .type = PSA_OPT_END },
};

static void say(struct psa_feed *feed, const char *cause, const char *text)
{
    psa_report_say(feed->report, feed->name, NULL, 0, cause, text);
}

/* Now, to tell a record's age by: 0, so that none is too old, without --max-age and while the clock is not synchronised. */
static int64_t wall_ms(const struct psa_feed *feed)
{
    return feed->options->max_age_ns && psa_clock_is_synced() ? psa_clock_wall_ns() / PSA_NS_PER_MS : 0;
}

/* ---- opening --------------------------------------------------------------------------------------------------------- */

int psa_feed_open(struct psa_feed *feed, const struct psa_disk *disk, const struct psa_feed_options *options,
                  const struct psa_spool_say *tell, char *const *argv, struct psa_error *error)
{
    int64_t window = options->in_flight > options->checkpoint ? options->in_flight : options->checkpoint;

    feed->options = options;
    feed->argv = argv;
    feed->child = PSA_CHILD_NONE;
    feed->stored = true;
    feed->backoff.random = (uint64_t)psa_clock_wall_ns() ^ (uint64_t)getpid() << 32;
    if (!psa_ledger_open(&feed->ledger, (size_t)window + 2)) return psa_fail_memory(error, "starting");
    return psa_spool_reader_open(&feed->reader, disk, options->max_age_ns / PSA_NS_PER_MS, tell, error);
}

void psa_feed_close(struct psa_feed *feed)
{
    int status;

    if (feed->child.pid > 0) {
        psa_child_signal(&feed->child, SIGKILL);
        while (!psa_child_reap(&feed->child, &status)) usleep(1000);
    }
    psa_child_close_out(&feed->child);
    if (feed->reader) (void)psa_feed_commit(feed, 0);
    if (feed->reader) psa_spool_reader_close(feed->reader);
    psa_ledger_close(&feed->ledger);
    psa_buf_free(&feed->out);
    psa_buf_free(&feed->answers);
}

bool psa_feed_commit(struct psa_feed *feed, int64_t now_ns)
{
    struct psa_error error = { 0 };

    feed->committed_ns = now_ns;
    if (psa_spool_commit(feed->reader, &error) != 0) {
        say(feed, "cursor", error.text);
        feed->committed_ns += PEEK_NS; /* not at once again */
        return false;
    }
    feed->committed_done = psa_spool_cursor_of(feed->reader).done;
    return true;
}

/* ---- answers --------------------------------------------------------------------------------------------------------- */

/* The record is at hand no more: read it again, and come back to where the reader was. Age does not matter to it here. -1: the
 * disk failed, and the record is not finished. */
static int bury(struct psa_feed *feed, uint64_t seq, const char *reason)
{
    uint64_t back = psa_spool_looked_at(feed->reader);
    struct psa_buf quoted = { 0 };
    struct psa_spool_record record;
    struct psa_error error = { 0 };
    bool found = false;
    char text[600];
    int got = 0, status = 0;

    psa_buf_quote(&quoted, psa_str_of(reason));
    psa_spool_rewind(feed->reader);
    while (status >= 0 && psa_spool_looked_at(feed->reader) < back) {
        got = psa_spool_next(feed->reader, 0, &record, &error);
        if (got != 0) break;
        if (record.seq != seq) continue;
        found = true;
        record.reason = psa_buf_str(&quoted);
        status = psa_spool_bury(feed->reader, &record, feed->options->max_dead, &error);
    }
    psa_buf_free(&quoted);
    if (got < 0 || status < 0) {
        snprintf(text, sizeof text,
                 "record %llu can never be delivered, and cannot be moved to the dead letters now: %.300s",
                 (unsigned long long)seq, error.text);
        say(feed, "dead", text);
        return -1;
    }
    if (found && status == 0) feed->dead++;
    else feed->dead_lost++;
    snprintf(text, sizeof text, "record %llu can never be delivered: %.300s; %s", (unsigned long long)seq, reason,
             !found        ? "it is no longer there, the spool was full"
             : status == 0 ? "moved to the dead letters"
                           : "lost, the dead letters take no more (--max-dead)");
    say(feed, "dead", text);
    return 0;
}

static int finish_front(struct psa_feed *feed)
{
    struct psa_ledger_line *line = psa_ledger_front(&feed->ledger);

    if (line->reason && !line->control && bury(feed, line->seq, line->reason) != 0) return -1;
    if (!line->reason && !line->control) feed->delivered++;
    psa_spool_finish(feed->reader, line->seq);
    psa_ledger_pop(&feed->ledger);
    return 0;
}

static void stop_sink(struct psa_feed *feed, int64_t now_ns)
{
    psa_child_signal(&feed->child, feed->killing ? SIGKILL : SIGTERM);
    feed->killing = true;
    feed->kill_ns = now_ns + KILL_NS;
}

/* Something was finished: the next trouble is a new one. */
static void it_works(struct psa_feed *feed, int64_t now_ns)
{
    feed->progress_ns = feed->finished_ns = now_ns;
    if (!feed->backoff.tries) return;
    psa_backoff_reset(&feed->backoff);
    psa_report_mended(feed->report, feed->name, "sink");
    psa_report_mended(feed->report, feed->name, "stall");
}

/* Lines 1..count are finished. */
static void finish_lines(struct psa_feed *feed, uint64_t count, int64_t now_ns)
{
    while (psa_ledger_front(&feed->ledger) && psa_ledger_front_line(&feed->ledger) <= count) {
        if (finish_front(feed) != 0) { /* again from there, later */
            stop_sink(feed, now_ns);
            return;
        }
        it_works(feed, now_ns);
    }
}

/* The checkpoint has come through: everything before it is finished, and its states are what a restart begins with. The cursor
 * must say so before the next one, because the stages keep only two. */
static void finish_checkpoint(struct psa_feed *feed, int64_t now_ns)
{
    while (psa_ledger_front(&feed->ledger)) {
        struct psa_ledger_line *line = psa_ledger_front(&feed->ledger);

        if (line->seq > feed->asked_id) break;
        if (!line->control) feed->delivered++;
        psa_ledger_pop(&feed->ledger);
    }
    psa_spool_finish(feed->reader, feed->asked_id);
    psa_spool_set_checkpoint(feed->reader, feed->asked_id);
    feed->stored = psa_feed_commit(feed, now_ns);
    feed->asked = false;
    feed->ready = true;
    it_works(feed, now_ns);
}

static void take_nonsense(struct psa_feed *feed, struct psa_str line, const char *why)
{
    char text[300];

    snprintf(text, sizeof text, "the sink printed '%.*s', %s", (int)(line.n < 120 ? line.n : 120), line.p, why);
    say(feed, "answer", text);
}

static void take_answer(struct psa_feed *feed, struct psa_str line, int64_t now_ns)
{
    struct psa_answer answer = psa_answer_parse(line);
    bool counting = !feed->options->checkpoint && !feed->options->trust_write;

    switch (answer.kind) {
    case PSA_ANSWER_COUNT:
        if (!counting) feed->progress_ns = now_ns; /* a sign of life, no more */
        else if (answer.number > feed->ledger.lines) take_nonsense(feed, line, "more lines than it was given; ignored");
        else finish_lines(feed, answer.number, now_ns);
        return;
    case PSA_ANSWER_DEAD:
        if (!counting)
            take_nonsense(feed, line, "but its line numbers mean nothing here; that record counts as delivered");
        else if (!psa_ledger_condemn(&feed->ledger, answer.number, answer.reason))
            take_nonsense(feed, line, "but that line is not waiting; ignored");
        return;
    case PSA_ANSWER_CHECKPOINT:
        if (feed->asked && answer.number == feed->asked_id) finish_checkpoint(feed, now_ns);
        else take_nonsense(feed, line, "a checkpoint it was not given; ignored");
        return;
    default: take_nonsense(feed, line, "which is no answer (a count, !N reason, or @ID); ignored"); return;
    }
}

/* What is in the pipe now, in at most so many reads: one that never ends must not keep the rest from its turn. */
static void read_answers(struct psa_feed *feed, int reads, int64_t now_ns)
{
    for (; feed->child.out >= 0 && reads > 0; reads--) {
        char *room = psa_buf_room(&feed->answers, ANSWERS_READ);
        ssize_t n = room ? read(feed->child.out, room, ANSWERS_READ) : -1;
        size_t from = 0;

        if (!room) return;
        if (n < 0 && errno == EINTR) continue;
        if (n == 0) psa_child_close_out(&feed->child);
        if (n <= 0) return;
        feed->answers.n += (size_t)n;
        for (;;) {
            const char *begin = feed->answers.p + from, *newline = memchr(begin, '\n', feed->answers.n - from);

            if (!newline) break;
            take_answer(feed, (struct psa_str){ begin, (size_t)(newline - begin) }, now_ns);
            from = (size_t)(newline - feed->answers.p) + 1;
        }
        feed->answers.n -= from;
        memmove(feed->answers.p, feed->answers.p + from, feed->answers.n);
        if (feed->answers.n > ANSWER_BYTES) feed->answers.n = ANSWER_BYTES; /* the head of a longer line says it all */
    }
}

/* ---- the sink's life ------------------------------------------------------------------------------------------------- */

/* Is there a record to send? Asked while no sink runs. What is too old is passed over, and that is finished. */
static bool peek(struct psa_feed *feed, int64_t now_ns)
{
    struct psa_spool_record record;
    struct psa_error error = { 0 };
    int got = psa_spool_next(feed->reader, wall_ms(feed), &record, &error);

    feed->peek_ns = now_ns + PEEK_NS;
    if (got < 0) say(feed, "read", error.text);
    feed->caught_up = got > 0;
    if (got == 0 && record.seq > 0) psa_spool_finish(feed->reader, record.seq - 1);
    if (got > 0) psa_spool_finish(feed->reader, psa_spool_looked_at(feed->reader));
    psa_spool_rewind(feed->reader);
    return got == 0;
}

static void give_control(struct psa_feed *feed, const char *word, uint64_t id)
{
    size_t before = feed->out.n;
    char text[64];

    snprintf(text, sizeof text, "{\"psa\":{\"%s\":\"%llu\"}}\n", word, (unsigned long long)id);
    psa_buf_puts(&feed->out, text);
    psa_ledger_add(&feed->ledger, id, feed->out.n - before, true);
}

static void give_checkpoint(struct psa_feed *feed, uint64_t id, int64_t now_ns)
{
    give_control(feed, "checkpoint", id);
    feed->asked = true;
    feed->asked_id = id;
    feed->asked_ns = now_ns;
    feed->since = 0;
}

static void start(struct psa_feed *feed, int64_t now_ns)
{
    struct psa_spool_cursor cursor = psa_spool_cursor_of(feed->reader);
    struct psa_error error = { 0 };

    psa_ledger_reset(&feed->ledger);
    feed->out.n = feed->out_at = 0;
    feed->answers.n = 0;
    feed->written = 0;
    feed->killing = feed->asked = false;
    feed->since = 0;
    feed->sent_seq = cursor.done;
    feed->progress_ns = now_ns;
    psa_spool_rewind(feed->reader);
    if (psa_child_start(&feed->child, feed->argv, &error) != 0) {
        say(feed, "sink", error.text);
        psa_backoff_fail(&feed->backoff, now_ns, FIRST_RETRY_NS, feed->options->retry_max_ns);
        return;
    }
    if (!feed->options->checkpoint) return;
    /* The stages begin with the states of the last checkpoint. Before the first there is none, and one is made of how they
     * begin, so that every later start has one to go back to. */
    feed->ready = cursor.has_checkpoint;
    feed->asked_ns = now_ns;
    if (cursor.has_checkpoint) give_control(feed, "restore", cursor.checkpoint);
    else give_checkpoint(feed, cursor.done, now_ns);
}

static void take_exit(struct psa_feed *feed, int status, int64_t now_ns)
{
    size_t unfinished = feed->ledger.n;
    char how[96], text[320];
    int64_t wait_ns;

    psa_child_close_out(&feed->child);
    psa_ledger_reset(&feed->ledger);
    feed->out.n = feed->out_at = 0;
    feed->asked = false;
    feed->caught_up = false;
    feed->peek_ns = now_ns;
    psa_spool_rewind(feed->reader);
    if (feed->closing) return;
    feed->restarts++;
    psa_child_describe(status, how);
    wait_ns = psa_backoff_fail(&feed->backoff, now_ns, FIRST_RETRY_NS, feed->options->retry_max_ns);
    snprintf(text, sizeof text, "the sink '%.80s' %s with %zu lines unfinished; it is started again in %.1f s",
             feed->argv[0], how, unfinished, (double)wait_ns / 1e9);
    say(feed, "sink", text);
}

/* Start it, reap it, end it when it hangs. */
static void tend(struct psa_feed *feed, int64_t now_ns)
{
    int status;

    if (feed->child.pid > 0 && psa_child_reap(&feed->child, &status)) {
        read_answers(feed, LAST_READS, now_ns); /* what it printed before it went */
        take_exit(feed, status, now_ns);
    }
    if (feed->child.pid == 0) {
        bool wanted = now_ns >= feed->peek_ns ? peek(feed, now_ns) : !feed->caught_up;

        if (!feed->closing && (wanted || feed->eager) && psa_backoff_over(&feed->backoff, now_ns)) start(feed, now_ns);
        return;
    }
    if (feed->killing || feed->closing) {
        if (now_ns >= feed->kill_ns) stop_sink(feed, now_ns);
    } else if (feed->ledger.n && now_ns - feed->progress_ns >= feed->options->stall_ns) {
        char text[160];

        feed->stalls++;
        snprintf(text, sizeof text, "the sink has finished nothing for %.1f s with %zu lines given to it; it is ended",
                 (double)(now_ns - feed->progress_ns) / 1e9, feed->ledger.n);
        say(feed, "stall", text);
        stop_sink(feed, now_ns);
    }
}

/* ---- giving ---------------------------------------------------------------------------------------------------------- */

static bool checkpoint_is_due(const struct psa_feed *feed, int64_t now_ns)
{
    if (!feed->options->checkpoint || feed->asked || !feed->ready || !feed->since || !feed->stored) return false;
    return feed->since >= (uint64_t)feed->options->checkpoint || feed->input_ended ||
           feed->ledger.n + 1 >= feed->ledger.window || now_ns - feed->asked_ns >= feed->options->checkpoint_every_ns;
}

static bool may_give(const struct psa_feed *feed)
{
    if (feed->child.in < 0 || feed->killing || feed->out.n - feed->out_at >= OUT_BYTES) return false;
    /* Room for the checkpoint behind. */
    return (feed->ready || !feed->options->checkpoint) && feed->ledger.n + 2 < feed->ledger.window;
}

static void give_record(struct psa_feed *feed, const struct psa_spool_record *record, int64_t now_ns)
{
    if (!feed->ledger.n) feed->progress_ns = now_ns; /* from now on it is waited for */
    if (!feed->since) feed->asked_ns = now_ns;
    psa_buf_put(&feed->out, record->text.p, record->text.n);
    psa_buf_put(&feed->out, "\n", 1);
    psa_ledger_add(&feed->ledger, record->seq, record->text.n + 1, false);
    feed->sent_seq = record->seq;
    if (feed->options->checkpoint) feed->since++;
}

static int fill(struct psa_feed *feed, int64_t now_ns, struct psa_error *error)
{
    struct psa_spool_record record;
    struct psa_error why = { 0 };
    int64_t at_ms = wall_ms(feed);
    int got = 0;

    feed->caught_up = false;
    while (may_give(feed)) {
        if (checkpoint_is_due(feed, now_ns) && feed->since >= (uint64_t)feed->options->checkpoint)
            give_checkpoint(feed, feed->sent_seq, now_ns);
        got = psa_spool_next(feed->reader, at_ms, &record, &why);
        if (got != 0) break;
        give_record(feed, &record, now_ns);
    }
    if (got < 0) {
        say(feed, "read", why.text);
        feed->peek_ns = now_ns + PEEK_NS;
    }
    feed->caught_up = got > 0;
    feed->more = got == 0;
    if (feed->caught_up && !feed->ledger.n && !feed->since)
        psa_spool_finish(feed->reader, psa_spool_looked_at(feed->reader)); /* too old, or missing: passed over */
    if (feed->child.in >= 0 && !feed->killing && checkpoint_is_due(feed, now_ns) &&
        (feed->caught_up || !feed->input_ended))
        give_checkpoint(feed, feed->sent_seq, now_ns);
    return feed->out.failed ? psa_fail_memory(error, "feeding the sink") : 0;
}

/* As much as the pipe takes. */
static void push(struct psa_feed *feed, int64_t now_ns)
{
    while (feed->child.in >= 0 && feed->out_at < feed->out.n) {
        ssize_t n = write(feed->child.in, feed->out.p + feed->out_at, feed->out.n - feed->out_at);

        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return;
        if (n < 0) { /* it reads no more; it is about to exit, or else it is ended */
            psa_child_close_in(&feed->child);
            feed->killing = true;
            feed->kill_ns = now_ns + KILL_NS;
            return;
        }
        feed->out_at += (size_t)n;
        feed->written += (uint64_t)n;
        if (!feed->options->trust_write) continue;
        while (psa_ledger_front(&feed->ledger) && psa_ledger_front(&feed->ledger)->end <= feed->written) {
            (void)finish_front(feed); /* nothing is ever dead here */
            it_works(feed, now_ns);
        }
    }
    feed->out.n = feed->out_at = 0;
}

/* ---- the turn -------------------------------------------------------------------------------------------------------- */

int psa_feed_turn(struct psa_feed *feed, int64_t now_ns, struct psa_error *error)
{
    read_answers(feed, TURN_READS, now_ns);
    tend(feed, now_ns);
    if (feed->child.pid > 0 && !feed->closing && fill(feed, now_ns, error) != 0) return -1;
    push(feed, now_ns);
    if (feed->closing && feed->child.pid > 0 && feed->out_at == feed->out.n) psa_child_close_in(&feed->child);
    if (now_ns - feed->committed_ns >= feed->options->cursor_every_ns) feed->stored = psa_feed_commit(feed, now_ns);
    return 0;
}

size_t psa_feed_watch(const struct psa_feed *feed, int64_t now_ns, struct pollfd watch[PSA_FEED_FDS], int64_t *wait_ns)
{
    struct psa_spool_cursor cursor = psa_spool_cursor_of(feed->reader);

    watch[0] = (struct pollfd){ feed->out_at < feed->out.n ? feed->child.in : -1, POLLOUT, 0 };
    watch[1] = (struct pollfd){ feed->child.out, POLLIN, 0 };
    watch[2] = (struct pollfd){ feed->child.exited, POLLIN, 0 };
    if (cursor.done != feed->committed_done)
        psa_wake_by(wait_ns, feed->committed_ns + feed->options->cursor_every_ns, now_ns);
    if (feed->child.pid > 0 && feed->child.exited < 0) psa_wake_by(wait_ns, now_ns + LOOK_NS, now_ns);
    if (feed->child.pid == 0) {
        if (!feed->closing && (feed->eager || !feed->caught_up)) psa_wake_by(wait_ns, feed->backoff.until_ns, now_ns);
        psa_wake_by(wait_ns, feed->peek_ns, now_ns);
    } else if (feed->killing || feed->closing) {
        psa_wake_by(wait_ns, feed->kill_ns, now_ns);
    } else {
        if (feed->more && may_give(feed) && feed->out_at == feed->out.n)
            *wait_ns = 0; /* all was taken: there is more */
        if (!feed->more && !feed->caught_up && may_give(feed)) psa_wake_by(wait_ns, feed->peek_ns, now_ns);
        if (feed->ledger.n) psa_wake_by(wait_ns, feed->progress_ns + feed->options->stall_ns, now_ns);
        if (feed->options->checkpoint && feed->since && !feed->asked)
            psa_wake_by(wait_ns, feed->asked_ns + feed->options->checkpoint_every_ns, now_ns);
    }
    return PSA_FEED_FDS;
}

bool psa_feed_is_idle(const struct psa_feed *feed)
{
    return feed->caught_up && !feed->ledger.n && !feed->since && !feed->asked;
}

void psa_feed_let_go(struct psa_feed *feed, int64_t now_ns, bool at_once)
{
    if (feed->closing && !at_once) return;
    feed->closing = true;
    feed->kill_ns = at_once ? now_ns : now_ns + GOODBYE_NS;
}

bool psa_feed_is_done(const struct psa_feed *feed)
{
    return feed->child.pid == 0;
}
