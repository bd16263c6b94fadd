/*
 * spool_main.c - see spool_main.h. One thread and one poll loop for whatever part of the work a command has:
 *
 *     psa-spool -- SINK    intake and feed
 *     append               intake
 *     drain                feed
 */
#include "io/spool_main.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "core/error.h"
#include "core/time.h"
#include "io/clock.h"
#include "io/disk.h"
#include "io/filter_main.h"
#include "io/notify.h"
#include "io/signals.h"
#include "io/spool_feed.h"
#include "io/spool_intake.h"
#include "io/spool_tools.h"

#define NAME "psa-spool"

/* A full spool asks the feed to free what is finished that often. */
#define FREE_NS (100 * PSA_NS_PER_MS)

struct common_options {
    const char *folder;     /* --directory */
    int64_t linger_ns;      /* --linger */
    bool stats;             /* --stats */
    const char *stats_file; /* --stats-file */
};

struct command_options {
    bool ack;    /* append --ack */
    bool follow; /* drain --follow */
    bool all;    /* dump --all */
    bool dead;   /* dump --dead */
};

static const struct psa_option directory_table[] = {
    { .name = "directory",
      .letter = 'd',
      .type = PSA_OPT_TEXT,
      .offset = offsetof(struct common_options, folder),
      .metavar = "DIR",
      .initial = "/var/spool/psa",
      .help = "the spool; made when missing" },
    { .type = PSA_OPT_END },
};

static const struct psa_option running_table[] = {
    { .name = "linger",
      .type = PSA_OPT_DURATION,
      .offset = offsetof(struct common_options, linger_ns),
      .metavar = "TIME",
      .initial = "10s",
      .min = 0,
      .max = 9e18,
      .help = "at the end go on for so long with what is not finished; drain: give up after so long without progress" },
    { .name = "stats",
      .type = PSA_OPT_FLAG,
      .offset = offsetof(struct common_options, stats),
      .help = "print what became of every record as one JSON line on stderr, at the end and on SIGUSR1" },
    { .name = "stats-file",
      .type = PSA_OPT_TEXT,
      .offset = offsetof(struct common_options, stats_file),
      .metavar = "FILE",
      .help = "write that line whole to FILE, for a collector" },
    { .type = PSA_OPT_END },
};

static const struct psa_option append_table[] = {
    { .name = "ack",
      .type = PSA_OPT_FLAG,
      .offset = offsetof(struct command_options, ack),
      .help = "append: print on stdout how many input lines are taken" },
    { .type = PSA_OPT_END },
};

static const struct psa_option drain_table[] = {
    { .name = "follow",
      .type = PSA_OPT_FLAG,
      .offset = offsetof(struct command_options, follow),
      .help = "drain: go on when the queue is empty, with what another process appends" },
    { .type = PSA_OPT_END },
};

static const struct psa_option dump_table[] = {
    { .name = "all",
      .type = PSA_OPT_FLAG,
      .offset = offsetof(struct command_options, all),
      .not_with = "dead",
      .help = "dump: also records that are finished and still there" },
    { .name = "dead",
      .type = PSA_OPT_FLAG,
      .offset = offsetof(struct command_options, dead),
      .help = "dump: the dead letters instead" },
    { .type = PSA_OPT_END },
};

/* Which tables a command has. */
enum { WRITES = 1, FEEDS = 2, APPEND = 4, DRAIN = 8, DUMP = 16 };

static const struct command {
    const char *name, *usage, *summary;
    unsigned tables;
} commands[] = {
    { "",
      "[-d DIR] [options] -- SINK [ARG ...]\n       psa-spool append|drain|stat|dump|check|repair|retry-dead [-d DIR] "
      "...",
      "A durable queue: stdin to disk, and from there to a sink, which says what it has finished.",
      WRITES | FEEDS | APPEND | DRAIN | DUMP },
    { "append", "append [-d DIR] [options] [file ...]", "Put lines into the queue.", WRITES | APPEND },
    { "drain", "drain [-d DIR] [options] -- SINK [ARG ...]", "Give what is in the queue to a sink, until it is empty.",
      FEEDS | DRAIN },
    { "stat", "stat [-d DIR]", "Say what is in the queue, as one JSON object.", 0 },
    { "dump", "dump [-d DIR] [--all | --dead]", "Print the records that wait, as they came.", DUMP },
    { "check", "check [-d DIR]", "Say what is damaged; exit with 1 if anything is.", 0 },
    { "repair", "repair [-d DIR]", "Set damage aside; the queue must be at rest.", 0 },
    { "retry-dead", "retry-dead [-d DIR]", "Put the dead letters back into the queue; it must be at rest.", 0 },
};

struct spool {
    const struct command *command;
    struct common_options common;
    struct psa_intake_options intake_options;
    struct psa_feed_options feed_options;
    struct command_options options;
    struct psa_report report;
    struct psa_spool_say say;
    struct psa_disk disk;
    struct psa_intake intake;
    struct psa_feed feed;
    bool has_disk, has_intake, has_feed;
    int inotify;                          /* drain --follow; -1 */
    int64_t now_ns, watchdog_ns, told_ns; /* WATCHDOG=1 every watchdog_ns, told last at told_ns */
    bool ending;                          /* no more input, or asked to stop */
    int64_t end_ns;                       /* ending: then give up */
    bool gave_up;
};

static void say(void *ctx, const char *cause, const char *text)
{
    struct spool *spool = ctx;

    psa_report_say(&spool->report, NAME, NULL, 0, cause, text);
}

/* ---- statistics ------------------------------------------------------------------------------------------------------ */

static void put_totals(struct psa_buf *out, const struct psa_spool_totals *a, const struct psa_spool_totals *b)
{
    psa_buf_member_int(out, "dropped_oldest", (int64_t)a->dropped);
    psa_buf_member_int(out, "cut_bytes", (int64_t)a->cut_bytes);
    psa_buf_member_int(out, "bytes", (int64_t)(a->bytes + b->bytes));
    psa_buf_member_int(out, "writes", (int64_t)(a->writes + b->writes));
    psa_buf_member_int(out, "syncs", (int64_t)(a->syncs + b->syncs));
    psa_buf_member_int(out, "sync_errors", (int64_t)(a->sync_errors + b->sync_errors));
}

/* Records that were read and are neither safe on the disk nor finished by the sink. */
static uint64_t untaken_records(const struct spool *spool)
{
    uint64_t done = spool->has_feed ? psa_spool_cursor_of(spool->feed.reader).done : 0;

    return spool->has_intake ? psa_intake_untaken(&spool->intake, done) : 0;
}

static void stats_text(const struct spool *spool, struct psa_buf *out)
{
    const struct psa_feed *feed = &spool->feed;
    struct psa_spool_totals in = { 0 }, back = { 0 };

    psa_stats_put(out, NAME, &spool->intake.stats);
    if (spool->has_intake) {
        in = psa_spool_writer_totals(spool->intake.writer);
        psa_buf_member_int(out, "untaken", (int64_t)untaken_records(spool));
    }
    if (spool->has_feed) {
        struct psa_spool_cursor cursor = psa_spool_cursor_of(feed->reader);

        back = psa_spool_reader_totals(feed->reader);
        psa_buf_member_int(out, "delivered", (int64_t)feed->delivered);
        psa_buf_member_int(out, "dead", (int64_t)feed->dead);
        psa_buf_member_int(out, "dead_lost", (int64_t)feed->dead_lost);
        psa_buf_member_int(out, "restarts", (int64_t)feed->restarts);
        psa_buf_member_int(out, "stalls", (int64_t)feed->stalls);
        psa_buf_member_int(out, "done", (int64_t)cursor.done);
        psa_buf_member_int(out, "missing", (int64_t)cursor.missing);
        psa_buf_member_int(out, "damaged", (int64_t)cursor.damaged);
        psa_buf_member_int(out, "expired", (int64_t)cursor.expired);
        if (spool->has_intake)
            psa_buf_member_int(out, "backlog", (int64_t)(psa_spool_last_put(spool->intake.writer) - cursor.done));
    }
    put_totals(out, &in, &back);
    psa_buf_puts(out, "}\n");
}

static int print_stats(struct spool *spool, bool asked, struct psa_error *error)
{
    struct psa_buf text = { 0 };
    int status = 0;

    if (!asked && !spool->common.stats && !spool->common.stats_file) return 0;
    stats_text(spool, &text);
    if (text.failed) return psa_fail_memory(error, "printing statistics");
    if (spool->common.stats || asked) status = psa_write_all(STDERR_FILENO, "stderr", text.p, text.n, error);
    if (spool->common.stats_file && status == 0)
        status = psa_file_replace(spool->common.stats_file, psa_buf_str(&text), error);
    psa_buf_free(&text);
    return status;
}

/* ---- the loop -------------------------------------------------------------------------------------------------------- */

/* A queue of up to so many bytes is gone through to say how many records wait in it; that of a longer one would take too long for
 * someone who waits for us to end. */
enum { COUNTED_BYTES = 67108864 };

static int add_bytes(void *total, const char *name, int64_t bytes)
{
    uint64_t first;

    if (psa_spool_is_segment(name, &first)) *(int64_t *)total += bytes;
    return 0;
}

/* Records that are in the queue and not finished; UINT64_MAX: some, it would take long to say how many. */
static uint64_t backlog(const struct spool *spool)
{
    struct psa_spool_survey survey = { 0 };
    struct psa_error error = { 0 };
    int64_t bytes = 0;

    if (!spool->has_feed) return 0;
    if (spool->has_intake)
        return psa_spool_last_put(spool->intake.writer) - psa_spool_cursor_of(spool->feed.reader).done;
    (void)spool->disk.list(spool->disk.ctx, add_bytes, &bytes);
    if (bytes > COUNTED_BYTES || psa_spool_survey(&spool->disk, NULL, &survey, &error) != 0) return UINT64_MAX;
    return survey.backlog;
}

/* "20 records", "records" */
static void count_text(uint64_t n, char text[40])
{
    if (n == UINT64_MAX) snprintf(text, 40, "records");
    else snprintf(text, 40, "%llu records", (unsigned long long)n);
}

static void begin_to_end(struct spool *spool)
{
    char text[200];

    spool->ending = true;
    spool->end_ns =
        spool->common.linger_ns < INT64_MAX - spool->now_ns ? spool->now_ns + spool->common.linger_ns : INT64_MAX;
    psa_notify("STOPPING=1");
    if (!spool->has_feed || psa_feed_is_idle(&spool->feed) || !spool->has_intake || !psa_stop_asked()) return;
    snprintf(text, sizeof text, "stopping: %llu records wait; delivering for up to %.0f s (once more to stop at once)",
             (unsigned long long)backlog(spool), (double)spool->common.linger_ns / 1e9);
    say(spool, "stop", text);
}

/* Is there nothing left to do, or no more time for it? */
static bool is_over(struct spool *spool)
{
    bool stopped = psa_stop_asked();
    bool taken = !spool->has_intake || psa_intake_is_done(&spool->intake);
    bool empty = !spool->has_feed || psa_feed_is_idle(&spool->feed);
    bool last = spool->has_intake ? spool->intake.ended || stopped : stopped || !spool->options.follow;

    if (!spool->ending && last && (spool->has_intake || stopped)) begin_to_end(spool);
    if (psa_stops_asked() > 1 || (spool->has_intake && spool->intake.hopeless)) return spool->gave_up = true;
    if (last && taken && empty) return true;
    if (spool->ending) return spool->gave_up = (spool->has_feed || stopped) && spool->now_ns >= spool->end_ns;
    /* drain gives up on a sink that does not take anything */
    return spool->gave_up = !spool->has_intake && !spool->options.follow &&
                            spool->now_ns - spool->feed.finished_ns >= spool->common.linger_ns;
}

static int wait_for_any(struct spool *spool, struct psa_error *error)
{
    struct pollfd watch[2 + 2 + PSA_FEED_FDS] = { { psa_signals_fd(), POLLIN, 0 }, { spool->inotify, POLLIN, 0 } };
    int64_t wait_ns = INT64_MAX;
    char events[4096];
    nfds_t n = 2;
    int ready;

    if (spool->has_intake) {
        psa_intake_watch(&spool->intake, spool->now_ns, watch + n, &wait_ns);
        n += 2;
        if (spool->intake.holding) psa_wake_by(&wait_ns, spool->now_ns + FREE_NS, spool->now_ns);
    }
    if (spool->has_feed) n += psa_feed_watch(&spool->feed, spool->now_ns, watch + n, &wait_ns);
    if (spool->ending && spool->end_ns > spool->now_ns) psa_wake_by(&wait_ns, spool->end_ns, spool->now_ns);
    if (spool->watchdog_ns) psa_wake_by(&wait_ns, spool->told_ns + spool->watchdog_ns, spool->now_ns);
    if (!spool->ending && spool->has_feed && !spool->has_intake && !spool->options.follow)
        psa_wake_by(&wait_ns, spool->feed.finished_ns + spool->common.linger_ns, spool->now_ns);
    ready = poll(watch, n, psa_wait_ms(wait_ns));
    if (ready < 0 && errno != EINTR) return psa_fail(error, PSA_EXIT_RUNTIME, "cannot poll: %s", strerror(errno));
    spool->now_ns = psa_clock_ns();
    if (ready > 0 && watch[0].revents) psa_signals_drain();
    if (ready > 0 && watch[1].revents)
        while (read(spool->inotify, events, sizeof events) > 0) continue;
    if (psa_stats_asked()) return print_stats(spool, true, error);
    return 0;
}

static void tell_watchdog(struct spool *spool)
{
    if (!spool->watchdog_ns || spool->now_ns - spool->told_ns < spool->watchdog_ns) return;
    spool->told_ns = spool->now_ns;
    psa_notify("WATCHDOG=1");
}

static int loop(struct spool *spool, struct psa_error *error)
{
    for (;;) {
        tell_watchdog(spool);
        if (spool->has_intake && psa_intake_turn(&spool->intake, spool->now_ns, error) != 0) return -1;
        if (spool->has_feed) {
            spool->feed.input_ended =
                spool->has_intake ? psa_intake_is_done(&spool->intake) : !spool->options.follow || psa_stop_asked();
            if (psa_feed_turn(&spool->feed, spool->now_ns, error) != 0) return -1;
            if (spool->has_intake && spool->intake.holding && spool->now_ns - spool->feed.committed_ns >= FREE_NS)
                psa_feed_commit(&spool->feed, spool->now_ns);
        }
        if (spool->has_intake && (spool->intake.blocked || spool->intake.failing) && psa_disk_is_gone(&spool->disk))
            return psa_fail(error, PSA_EXIT_RUNTIME,
                            "%s: the folder was removed while it was in use; %llu records were not taken",
                            spool->common.folder, (unsigned long long)untaken_records(spool));
        if (is_over(spool)) return 0;
        if (wait_for_any(spool, error) != 0) return -1;
    }
}

/* Let the sink go, with the counts it still prints. */
static int end_feed(struct spool *spool, struct psa_error *error)
{
    if (!spool->has_feed) return 0;
    psa_feed_let_go(&spool->feed, spool->now_ns, psa_stops_asked() > 1);
    while (!psa_feed_is_done(&spool->feed)) {
        tell_watchdog(spool);
        if (psa_stops_asked() > 1) psa_feed_let_go(&spool->feed, spool->now_ns, true);
        if (psa_feed_turn(&spool->feed, spool->now_ns, error) != 0) return -1;
        if (!psa_feed_is_done(&spool->feed) && wait_for_any(spool, error) != 0) return -1;
    }
    if (psa_feed_commit(&spool->feed, spool->now_ns)) return 0;
    return psa_fail(error, PSA_EXIT_RUNTIME,
                    "%s: how far the sink has come could not be stored; it is given that again", spool->common.folder);
}

/* ---- running --------------------------------------------------------------------------------------------------------- */

static int open_all(struct spool *spool, char *const *argv, int n, struct psa_error *error)
{
    spool->now_ns = psa_clock_ns();
    signal(SIGPIPE, SIG_IGN); /* a sink that goes away is started again */
    if (spool->command->tables & WRITES) {
        spool->intake = (struct psa_intake){ .name = NAME, .report = &spool->report, .ack = spool->options.ack };
        spool->has_intake = true;
        if (psa_intake_open(&spool->intake, &spool->disk, &spool->intake_options, &spool->say, argv,
                            spool->command->tables & FEEDS ? 0 : (size_t)n, error) != 0)
            return -1;
    }
    if (spool->command->tables & FEEDS) {
        spool->feed = (struct psa_feed){ .name = NAME, .report = &spool->report, .finished_ns = spool->now_ns };
        spool->feed.eager = spool->has_intake || spool->options.follow;
        spool->has_feed = true;
        if (psa_feed_open(&spool->feed, &spool->disk, &spool->feed_options, &spool->say, argv, error) != 0) return -1;
    }
    if (spool->options.follow) {
        spool->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        if (spool->inotify < 0 || inotify_add_watch(spool->inotify, spool->common.folder, IN_MODIFY | IN_CREATE) < 0)
            return psa_fail(error, PSA_EXIT_RUNTIME, "%s: cannot be watched: %s", spool->common.folder,
                            strerror(errno));
    }
    spool->watchdog_ns = psa_notify_watchdog_ns();
    psa_notify("READY=1");
    return 0;
}

static void close_all(struct spool *spool)
{
    if (spool->has_feed) psa_feed_close(&spool->feed);
    if (spool->has_intake) psa_intake_close(&spool->intake);
    if (spool->inotify >= 0) close(spool->inotify);
}

/* What is left, for whoever has to know. */
static int tell_end(struct spool *spool, struct psa_error *error)
{
    uint64_t left = spool->gave_up ? backlog(spool) : 0;
    uint64_t untaken = untaken_records(spool);
    char text[512], count[40];

    count_text(left, count);
    if (untaken)
        return psa_fail(error, PSA_EXIT_RUNTIME, "%s: %llu records were read and could not be stored; they are lost%s",
                        spool->common.folder, (unsigned long long)untaken,
                        spool->options.ack ? ", unless whoever wrote them sends them again" : "");
    if (!left) return 0;
    if (!spool->has_intake && !spool->options.follow) /* told to stop is no failure; not getting done is one */
        return psa_fail(error, PSA_EXIT_RUNTIME, "%s: %s still wait", spool->common.folder, count);
    snprintf(text, sizeof text, "%s wait in %.200s; psa-spool drain -d %.200s -- SINK delivers them", count,
             spool->common.folder, spool->common.folder);
    say(spool, "backlog", text);
    return 0;
}

static int run(struct spool *spool, char *const *argv, int n, struct psa_error *error)
{
    struct psa_error later = { 0 };
    int status = open_all(spool, argv, n, error);

    if (status == 0) {
        status = loop(spool, error);
        if (status == 0) status = end_feed(spool, error);
        if (status == 0) status = tell_end(spool, error);
        psa_report_totals(&spool->report);
        if (print_stats(spool, false, &later) != 0 && status == 0) {
            *error = later;
            status = -1;
        }
    }
    close_all(spool);
    return status;
}

static int run_tool(struct spool *spool, struct psa_error *error)
{
    const char *name = spool->command->name;
    struct psa_writer out;
    uint64_t faults = 0;
    int status;

    psa_writer_init(&out, STDOUT_FILENO, "stdout");
    if (strcmp(name, "stat") == 0) status = psa_spool_stat(&spool->disk, spool->common.folder, &out, error);
    else if (strcmp(name, "dump") == 0)
        status = psa_spool_dump(&spool->disk, spool->options.all, spool->options.dead, &out, error);
    else if (strcmp(name, "check") == 0) status = psa_spool_check(&spool->disk, &out, &faults, error);
    else if (strcmp(name, "repair") == 0) status = psa_spool_mend(&spool->disk, &spool->say, &out, error);
    else status = psa_spool_revive(&spool->disk, &spool->say, &out, error);
    if (status != 0) {
        psa_buf_free(&out.buf);
        return status;
    }
    if (psa_writer_close(&out, error) != 0) return -1;
    return faults
               ? psa_fail(error, PSA_EXIT_RUNTIME, "%s: not in order; psa-spool repair mends it", spool->common.folder)
               : 0;
}

/* ---- the command line ------------------------------------------------------------------------------------------------ */

static const struct command *find_command(const char *word)
{
    for (size_t i = 1; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(commands[i].name, word) == 0) return &commands[i];
    return NULL;
}

static size_t option_sets(struct spool *spool, struct psa_option_set set[8])
{
    unsigned tables = spool->command->tables;
    size_t n = 0;

    set[n++] = (struct psa_option_set){ directory_table, &spool->common };
    if (tables & WRITES) set[n++] = (struct psa_option_set){ psa_intake_option_table, &spool->intake_options };
    if (tables & FEEDS) set[n++] = (struct psa_option_set){ psa_feed_option_table, &spool->feed_options };
    if (tables & (WRITES | FEEDS)) set[n++] = (struct psa_option_set){ running_table, &spool->common };
    if (tables & APPEND) set[n++] = (struct psa_option_set){ append_table, &spool->options };
    if (tables & DRAIN) set[n++] = (struct psa_option_set){ drain_table, &spool->options };
    if (tables & DUMP) set[n++] = (struct psa_option_set){ dump_table, &spool->options };
    return n;
}

/* The ordinary way has every option in its --help, but takes only its own. */
static int check_options(const struct spool *spool, struct psa_error *error)
{
    if (*spool->command->name) return 0;
    if (spool->options.ack || spool->options.follow || spool->options.all || spool->options.dead)
        return psa_fail(error, PSA_EXIT_PERMANENT,
                        "--ack belongs to psa-spool append, --follow to drain, --all and --dead to dump");
    return 0;
}

static int check_operands(const struct spool *spool, char **argv, int operand, int argc, struct psa_error *error)
{
    const struct command *command = spool->command;

    if (command->tables & FEEDS) {
        bool behind = operand > 0 && strcmp(argv[operand - 1], "--") == 0;

        if (operand == argc)
            return psa_fail(error, PSA_EXIT_PERMANENT, "no sink is given: psa-spool %s[options] -- SINK [ARG ...]",
                            *command->name ? "drain " : "");
        if (!behind)
            return psa_fail(error, PSA_EXIT_PERMANENT, "'%s' is no command of psa-spool; a sink stands behind --",
                            argv[operand]);
        return 0;
    }
    if (!(command->tables & WRITES) && operand < argc)
        return psa_fail(error, PSA_EXIT_PERMANENT, "'%s' is one argument too many for psa-spool %s", argv[operand],
                        command->name);
    return 0;
}

static int open_disk(struct spool *spool, struct psa_error *error)
{
    bool create = (spool->command->tables & (WRITES | FEEDS)) != 0;

    if (psa_signals_install(error) != 0) return -1; /* first: a closed stdin must not become the folder */
    if (psa_disk_open(&spool->disk, spool->common.folder, create, error) != 0) return -1;
    spool->has_disk = true;
    return 0;
}

int psa_spool_main(int argc, char **argv)
{
    const struct command *command = argc > 1 ? find_command(argv[1]) : NULL;
    struct spool *spool = calloc(1, sizeof *spool);
    struct psa_option_set set[8];
    struct psa_error error = { 0 };
    int operand = 0, status;
    char asked = 0;

    if (!spool) return PSA_EXIT_RUNTIME;
    spool->command = command ? command : commands;
    spool->inotify = -1;
    spool->say = (struct psa_spool_say){ spool, say };
    if (command) { /* options follow the command's name, which takes argv[0]'s place */
        argc--;
        argv++;
    }
    size_t n_set = option_sets(spool, set);
    status = psa_options_parse(set, n_set, argc, argv, &operand, &asked, NULL, &error);
    if (status == 0 && asked) {
        status = psa_print_help(asked, set, n_set, NAME, spool->command->usage, spool->command->summary);
        free(spool);
        return status;
    }
    if (status == 0) status = check_options(spool, &error);
    if (status == 0) status = check_operands(spool, argv, operand, argc, &error);
    if (status == 0) status = open_disk(spool, &error);
    if (status == 0 && spool->command->tables & (WRITES | FEEDS))
        status = run(spool, argv + operand, argc - operand, &error);
    else if (status == 0) status = run_tool(spool, &error);
    if (spool->has_disk) psa_disk_close(&spool->disk);
    if (status != 0 && error.status == PSA_BROKEN_PIPE) psa_exit_broken_pipe();
    if (status != 0) psa_report_error(NAME, &error);
    free(spool);
    return status == 0 ? PSA_EXIT_OK : error.status;
}
