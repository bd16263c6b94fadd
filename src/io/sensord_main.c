/*
 * sensord_main.c - sensord: the options, the start, and the main thread's poll loop. The loop writes what the workers put into
 * the queue, watches over them, and looks after everything that has its time; it never waits for the reader.
 */
#include "io/sensord_main.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"
#include "core/option.h"
#include "core/time.h"
#include "io/clock.h"
#include "io/notify.h"
#include "io/sensord.h"
#include "io/sensord_probe.h"
#include "io/signals.h"
#include "io/source.h"
#include "io/writer.h"

/* A worker whose call hangs is waited for so long when all stop; then it is left behind. */
#define STOP_PATIENCE_NS PSA_NS_PER_SECOND
/* Stderr is waited for so long at the end; then the rest is not said. */
#define LAST_WORDS_MS 1000
/* What is looked at now and then, and which messages a service of months may repeat. */
#define TICK_NS PSA_NS_PER_SECOND
#define MINUTE_NS (60 * PSA_NS_PER_SECOND)
/* A block so many times as long as the distance of heartbeats is worth a word. */
#define BLOCK_LONG 4

static int take_file(void *config, const struct psa_option *option, const char *value, struct psa_error *error)
{
    struct psa_sensord_config *sensord = config;

    if (sensord->n_file == PSA_SENSORD_FILES_MAX)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--%s: more than %d files", option->name, PSA_SENSORD_FILES_MAX);
    sensord->file[sensord->n_file++] = value;
    return 0;
}

#define AT(member) offsetof(struct psa_sensord_config, member)
static const struct psa_option options[] = {
    { .name = "config",
      .type = PSA_OPT_CALL,
      .metavar = "FILE",
      .take = take_file,
      .help = "read further sensors from FILE, one a line; may be given again" },
    { .name = "strict",
      .type = PSA_OPT_FLAG,
      .offset = AT(worker.strict),
      .help = "end with status 1 when a sensor goes down, in place of trying again" },
    { .name = "heartbeat",
      .type = PSA_OPT_DURATION,
      .offset = AT(heartbeat_ns),
      .metavar = "TIME",
      .min = 1e6,
      .max = 86400e9,
      .help = "write a heartbeat so often: no older reading will follow" },
    { .name = "queue",
      .type = PSA_OPT_DURATION,
      .offset = AT(queue_ns),
      .metavar = "TIME",
      .initial = "10s",
      .min = 1e7,
      .max = 86400e9,
      .help = "keep readings so long for a slow reader, then drop the oldest" },
    { .name = "retry-max",
      .type = PSA_OPT_DURATION,
      .offset = AT(worker.retry_max_ns),
      .metavar = "TIME",
      .initial = "10s",
      .min = 1e6,
      .max = 86400e9,
      .help = "longest pause before a sensor that is down is tried again" },
    { .name = "duration",
      .type = PSA_OPT_DURATION,
      .offset = AT(duration_ns),
      .metavar = "TIME",
      .min = 1,
      .max = 9e18,
      .help = "stop after TIME" },
    { .name = "count",
      .letter = 'n',
      .type = PSA_OPT_COUNT,
      .offset = AT(count),
      .metavar = "N",
      .min = 1,
      .max = 9e18,
      .help = "stop after N records of readings, of all sensors together" },
    { .name = "stats", .type = PSA_OPT_FLAG, .offset = AT(stats), .help = "print statistics on stderr at the end" },
    { .name = "stats-file",
      .type = PSA_OPT_TEXT,
      .offset = AT(stats_file),
      .metavar = "FILE",
      .help = "write statistics to FILE at the end and on SIGUSR1" },
    { .name = "list", .type = PSA_OPT_ASK, .asks = 'l', .help = "print the drivers and their options" },
    { .name = "probe",
      .type = PSA_OPT_ASK,
      .asks = 'p',
      .help = "look at the buses, and print what answers as sensors to be named" },
    { .type = PSA_OPT_END },
};

/* ---- start ------------------------------------------------------------------------------------------------------- */

static int answer(char asked, struct psa_buf *text, struct psa_error *error)
{
    if (asked == 'l') psa_sensor_list(text);
    else if (psa_sensord_probe(text, error) != 0) return -1;
    return text->failed ? psa_fail_memory(error, "printing") : 0;
}

static int make_workers(struct psa_sensord *run, struct psa_error *error)
{
    run->worker = calloc(run->setup.n, sizeof *run->worker);
    if (run->worker == NULL) return psa_fail_memory(error, "starting");
    run->n = run->setup.n;
    for (size_t i = 0; i < run->n; i++) {
        struct psa_worker *worker = &run->worker[i];
        worker->sensor = run->setup.sensor[i];
        worker->hub = &run->hub;
        worker->options = &run->config.worker;
        worker->index = (uint16_t)i;
        if (run->setup.hold_of[i] != PSA_NO_INDEX) worker->hold = &run->setup.hold[run->setup.hold_of[i]];
    }
    for (size_t i = 0; i < run->n; i++) {
        struct psa_worker *worker = &run->worker[i];
        const bool strict = run->config.worker.strict;
        if (psa_state_init(&worker->state, &run->hub, worker->sensor, worker->index, strict, error) != 0) return -1;
    }
    return 0;
}

/* A heartbeat promises nothing of the time of a block that is being gathered: one far longer makes it late by as much. */
static void warn_of_blocks(struct psa_sensord *run)
{
    for (size_t i = 0; i < run->n; i++) {
        const struct psa_sensor *sensor = run->worker[i].sensor;
        const double block_s = sensor->rate_hz > 0 ? (double)sensor->common.block / sensor->rate_hz : 0;
        const double heartbeat_s = (double)run->config.heartbeat_ns / PSA_NS_PER_SECOND;
        if (run->config.heartbeat_ns > 0 && block_s >= BLOCK_LONG * heartbeat_s)
            psa_hub_say(&run->hub, sensor->id, "block",
                        "a block lasts %g s, and no heartbeat passes it: they are that late, for all sensors, where "
                        "--heartbeat says %g s; give a smaller block=",
                        block_s, heartbeat_s);
    }
}

/* Everything that may be refused, before any sensor is touched. */
static int prepare(struct psa_sensord *run, char **argument, size_t n, struct psa_error *error)
{
    if (psa_setup_read(&run->setup, argument, n, run->config.file, run->config.n_file, error) != 0) return -1;
    if (run->config.stats_file != NULL && psa_file_check_folder(run->config.stats_file, error) != 0) return -1;
    if (psa_signals_install(error) != 0) return -1;
    (void)signal(SIGPIPE, SIG_IGN); /* the sensors are stopped first; psa_source_end then ends as by SIGPIPE */
    if (psa_hub_init(&run->hub, error) != 0) return -1;
    if (make_workers(run, error) != 0 || psa_sensord_make_queue(run, error) != 0) return -1;
    if (run->config.count > 0) run->hub.left = run->config.count;
    warn_of_blocks(run);
    return 0;
}

static int start(struct psa_sensord *run, struct psa_error *error)
{
    const int64_t now_ns = psa_clock_ns();

    psa_sensord_clock_open(run);
    psa_sensord_clock_ask(run, true);
    run->start_ns = now_ns;
    run->tick_ns = now_ns + TICK_NS;
    run->minute_ns = now_ns + MINUTE_NS;
    run->heartbeat_ns = now_ns + run->config.heartbeat_ns;
    run->watchdog_every_ns = psa_notify_watchdog_ns();
    run->watchdog_ns = now_ns + run->watchdog_every_ns;
    for (size_t i = 0; i < run->n; i++) {
        if (psa_worker_start(&run->worker[i], error) == 0) continue;
        run->n = i; /* those that run are stopped at the end */
        return -1;
    }
    return 0;
}

/* ---- what has its time ------------------------------------------------------------------------------------------- */

/* Is `*due_ns` past? Then it is due again `every_ns` later, without drift. */
static bool is_due(int64_t *due_ns, int64_t every_ns, int64_t now_ns, int64_t *wait_ns)
{
    const bool due = now_ns >= *due_ns;

    if (due) *due_ns += every_ns * (1 + (now_ns - *due_ns) / every_ns);
    psa_wake_by(wait_ns, *due_ns, now_ns);
    return due;
}

static void each_second(struct psa_sensord *run)
{
    psa_sensord_clock_ask(run, false);
    psa_sensord_clock_look(run);
    pthread_mutex_lock(&run->hub.lock);
    run->hub.to_say = true; /* what was said a minute ago may be due again */
    pthread_mutex_unlock(&run->hub.lock);
}

/* Ten messages of a kind within a minute are enough; a minute later there may be ten more. */
static void each_minute(struct psa_sensord *run)
{
    static const char *const causes[] = { "missed", "lost", "clock", "queue" };

    for (size_t i = 0; i < sizeof causes / sizeof *causes; i++) psa_hub_mended(&run->hub, causes[i]);
    for (size_t i = 0; i < run->n; i++) psa_state_mend(&run->worker[i].state);
}

/* Say what is due, as far as stderr takes it: everything else goes on without a reader there. */
static void say(struct psa_sensord *run, bool at_once)
{
    struct psa_hub *hub = &run->hub;
    bool done;

    psa_sensord_say_dropped(run, at_once);
    pthread_mutex_lock(&hub->lock);
    const bool asked = hub->to_say || at_once;
    hub->to_say = false;
    pthread_mutex_unlock(&hub->lock);
    done = psa_hub_say_waiting(hub);
    for (size_t i = 0; i < run->n && done && asked; i++) done = psa_state_say(&run->worker[i].state, at_once);
    if (done || !asked) return;
    pthread_mutex_lock(&hub->lock);
    hub->to_say = true;
    pthread_mutex_unlock(&hub->lock);
}

/* Do what is due. Returns how long there is nothing to do. */
static int64_t look_around(struct psa_sensord *run)
{
    const int64_t now_ns = psa_clock_ns();
    int64_t wait_ns = MINUTE_NS;

    for (size_t i = 0; i < run->n; i++) psa_state_watch(&run->worker[i].state, now_ns, &wait_ns);
    if (is_due(&run->tick_ns, TICK_NS, now_ns, &wait_ns)) each_second(run);
    if (is_due(&run->minute_ns, MINUTE_NS, now_ns, &wait_ns)) each_minute(run);
    if (run->config.heartbeat_ns > 0 && is_due(&run->heartbeat_ns, run->config.heartbeat_ns, now_ns, &wait_ns))
        psa_sensord_heartbeat(run, now_ns);
    if (run->watchdog_every_ns > 0 && is_due(&run->watchdog_ns, run->watchdog_every_ns, now_ns, &wait_ns) &&
        !psa_sensord_is_stuck(run))
        psa_notify("WATCHDOG=1");
    if (run->config.duration_ns > 0 && run->stop_ns == 0) {
        const int64_t end_ns = run->start_ns + run->config.duration_ns;
        if (now_ns >= end_ns) psa_hub_stop(&run->hub);
        psa_wake_by(&wait_ns, end_ns, now_ns);
    }
    psa_sensord_tell(run);
    return wait_ns;
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

/* Have all workers come to their end, or is the time over that they were given? */
static bool are_done(struct psa_sensord *run, int64_t now_ns, int64_t *wait_ns)
{
    bool done = true;

    pthread_mutex_lock(&run->hub.lock);
    for (size_t i = 0; i < run->n; i++) done = done && run->worker[i].state.done;
    pthread_mutex_unlock(&run->hub.lock);
    if (done || now_ns >= run->stop_ns + STOP_PATIENCE_NS) return true;
    psa_wake_by(wait_ns, run->stop_ns + STOP_PATIENCE_NS, now_ns);
    return false;
}

/* A worker's last line may have come behind the last look. */
static bool is_queue_empty(struct psa_sensord *run)
{
    pthread_mutex_lock(&run->hub.lock);
    const bool empty = run->hub.queue.n == 0;
    pthread_mutex_unlock(&run->hub.lock);
    return empty;
}

/* A stop was asked for. 1: all is done; 0: not yet; -1: what is left cannot be written. */
static int wind_up(struct psa_sensord *run, bool waiting, int64_t *wait_ns, struct psa_error *error)
{
    const int64_t now_ns = psa_clock_ns();

    if (run->stop_ns == 0) {
        run->stop_ns = now_ns;
        run->stops_heard = psa_stops_asked();
        psa_hub_stop(&run->hub);
        psa_notify("STOPPING=1");
    }
    const bool done = are_done(run, now_ns, wait_ns);
    if (!waiting && is_queue_empty(run)) return done ? 1 : 0;
    /* Nobody waits longer for a reader than its readings would be kept, but for a moment in any case. */
    const int64_t queue_ns = run->config.queue_ns;
    const int64_t end_ns = run->stop_ns + (queue_ns > STOP_PATIENCE_NS ? queue_ns : STOP_PATIENCE_NS);
    const bool again = psa_stops_asked() > run->stops_heard;
    char within[PSA_NOTE_TIME_BYTES];
    psa_wake_by(wait_ns, end_ns, now_ns);
    if (!again && now_ns < end_ns) return 0;
    const uint64_t n = psa_sensord_abandon(run);
    return psa_fail(error, PSA_EXIT_RUNTIME, "stdout: the reader does not read; %llu reading%s not written %s%s",
                    (unsigned long long)n, n == 1 ? " was" : "s were", again ? "when a second signal came" : "within ",
                    again ? "" : psa_note_time(within, end_ns - run->stop_ns));
}

/* Wait for whatever comes first, and write if stdout takes it. */
static int wait_for_any(struct psa_sensord *run, bool waiting, int64_t wait_ns, struct psa_error *error)
{
    struct pollfd watch[] = { { psa_signals_fd(), POLLIN, 0 },
                              { run->hub.wake_fd, POLLIN, 0 },
                              { run->wall.timer_fd, POLLIN, 0 },
                              { STDOUT_FILENO, waiting ? POLLOUT : 0, 0 },
                              { run->hub.deaf ? STDERR_FILENO : -1, POLLOUT, 0 } }; /* what waits for it is said then */
    const int ready = poll(watch, sizeof watch / sizeof *watch, psa_wait_ms(wait_ns));
    uint64_t woken;

    if (ready < 0 && errno != EINTR) return psa_fail(error, PSA_EXIT_RUNTIME, "cannot poll: %s", strerror(errno));
    if (ready <= 0) return 0;
    if (watch[0].revents) psa_signals_drain();
    if (watch[1].revents) (void)!read(run->hub.wake_fd, &woken, sizeof woken);
    if (watch[2].revents) psa_sensord_clock_look(run);
    if (watch[4].revents) run->hub.deaf = false;
    if (watch[3].revents & POLLOUT) return psa_sensord_write(run, error);
    if (watch[3].revents & POLLERR) return psa_fail(error, PSA_BROKEN_PIPE, "stdout: the reader has gone");
    return 0;
}

static int turn(struct psa_sensord *run, struct psa_error *error)
{
    for (;;) {
        int64_t wait_ns = look_around(run);
        const bool waiting = psa_sensord_take(run);
        say(run, false);
        if (psa_stats_asked() && psa_sensord_print_stats(run, true, error) != 0) return -1;
        if (psa_stop_asked() || run->hub.stopping) {
            const int status = wind_up(run, waiting, &wait_ns, error);
            if (status != 0) return status < 0 ? -1 : 0;
        }
        if (wait_for_any(run, waiting, wait_ns, error) != 0) return -1;
    }
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

/* Let every chip be left as it should be, also where the output failed. false: a worker hangs, and is left behind. */
static bool stop_workers(struct psa_sensord *run)
{
    struct pollfd watch = { run->hub.wake_fd, POLLIN, 0 };
    uint64_t woken;
    bool all = true;

    psa_hub_stop(&run->hub);
    if (run->stop_ns == 0) run->stop_ns = psa_clock_ns();
    for (;;) {
        int64_t wait_ns = STOP_PATIENCE_NS;
        if (are_done(run, psa_clock_ns(), &wait_ns)) break;
        if (poll(&watch, 1, psa_wait_ms(wait_ns)) > 0) (void)!read(run->hub.wake_fd, &woken, sizeof woken);
    }
    for (size_t i = 0; i < run->n; i++) {
        pthread_mutex_lock(&run->hub.lock);
        const bool done = run->worker[i].state.done;
        pthread_mutex_unlock(&run->hub.lock);
        if (done) pthread_join(run->worker[i].thread, NULL);
        all = all && done;
    }
    return all;
}

static int run_sensors(struct psa_sensord *run, struct psa_error *error)
{
    int status = start(run, error);
    struct psa_error later = { 0 };

    if (status == 0) status = turn(run, error);
    run->left_behind = !stop_workers(run);
    run->hub.patience_ms = LAST_WORDS_MS;
    say(run, true);
    psa_hub_say_totals(&run->hub);
    if (psa_sensord_print_stats(run, false, &later) != 0 && status == 0) {
        *error = later;
        status = -1;
    }
    if (status == 0 && run->hub.strict_down != NULL)
        status = psa_fail(error, PSA_EXIT_RUNTIME, "%s went down, and --strict was given", run->hub.strict_down);
    return status;
}

static struct psa_sensord *make_run(void)
{
    struct psa_sensord *run = calloc(1, sizeof *run);
    struct psa_error error;

    if (run == NULL) {
        psa_fail_memory(&error, "starting");
        psa_report_error("sensord", &error);
        return NULL;
    }
    run->hub.wake_fd = run->hub.stop_fd = run->wall.timer_fd = -1;
    return run;
}

static void release(struct psa_sensord *run)
{
    psa_sensord_clock_close(run);
    for (size_t i = 0; i < run->setup.n; i++) {
        if (run->worker != NULL) psa_worker_free(&run->worker[i]);
        else psa_sensor_free(run->setup.sensor[i]);
    }
    free(run->worker);
    psa_setup_free(&run->setup);
    psa_hub_free(&run->hub);
    psa_buf_free(&run->output.pending);
    free(run);
}

int psa_sensord_main(int argc, char **argv)
{
    struct psa_sensord *run = make_run(); /* not on the stack: a thread that hangs outlives this function */
    const struct psa_source_program program = {
        "sensord",    "[options] [sensor ...]", "Read sensors at even times: one record a reading on stdout.", options,
        &run->config,
    };
    struct psa_error error = { 0 };
    struct psa_writer out;
    char asked;
    int operand = 0, status;

    if (run == NULL) return PSA_EXIT_RUNTIME;
    status = psa_source_parse(&program, argc, argv, &operand, &asked);
    if (status != PSA_SOURCE_GO) {
        release(run);
        return status;
    }
    (void)mallopt(M_ARENA_MAX, 1); /* threads that hardly allocate need no heaps of their own */
    psa_writer_init(&out, STDOUT_FILENO, "stdout");
    if (asked != 0 && argc > 2) {
        status = psa_fail(&error, PSA_EXIT_PERMANENT, "--%s stands alone", asked == 'l' ? "list" : "probe");
    } else if (asked != 0) {
        status = answer(asked, &out.buf, &error);
    } else {
        status = prepare(run, argv + operand, (size_t)(argc - operand), &error);
        if (status == 0) status = run_sensors(run, &error);
    }
    status = psa_source_end(program.name, &out, status, &error);
    if (!run->left_behind) release(run); /* a thread that hangs still uses it all */
    return status;
}
