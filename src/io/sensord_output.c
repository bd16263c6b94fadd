/*
 * sensord_output.c - from the queue to stdout. A pipe that poll calls writable has room for PIPE_BUF bytes, so that a write of no
 * more never blocks: however slow the reader, the loop turns. Lines leave the queue when they are about to be written, and
 * are whole from then on; until then the oldest may be dropped.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"
#include "core/time.h"
#include "io/clock.h"
#include "io/sensord.h"
#include "io/writer.h"

/* The queue's size is what the sensors will say in --queue, within these. The upper one also bounds blocks: a line is at most
 * a quarter of the queue. */
#define QUEUE_MIN_BYTES 262144
#define QUEUE_MAX_BYTES 268435456
/* What a sensor that speaks as events come is taken for. */
#define EVENTS_LIKELY_HZ 50.0

/* ---- the queue --------------------------------------------------------------------------------------------------- */

/* The hub's lock is held. */
static void count_dropped(void *ctx, const struct psa_queue_entry *entry)
{
    struct psa_sensord *run = ctx;
    struct psa_output *output = &run->output;

    if (entry->kind == PSA_QUEUE_HEARTBEAT) return; /* the next one makes up for it */
    if (!output->behind) output->behind_ns = psa_clock_ns();
    output->behind = true;
    if (entry->kind == PSA_QUEUE_STEP) output->step_ns += entry->step_ns;
    else psa_state_dropped(&run->worker[entry->owner].state, entry);
    if (entry->kind != PSA_QUEUE_READING) {
        run->hub.n_status--; /* it is written anew when the reader is back, and counts then */
        return;
    }
    output->behind_n += entry->weight;
    psa_note_add(&output->dropped, entry->weight, 0, psa_clock_ns());
}

int psa_sensord_make_queue(struct psa_sensord *run, struct psa_error *error)
{
    double bytes = 0;
    size_t longest = 0;

    for (size_t i = 0; i < run->setup.n; i++) {
        const struct psa_sensor *sensor = run->setup.sensor[i];
        const double rate_hz = sensor->rate_hz > 0 ? sensor->rate_hz : EVENTS_LIKELY_HZ;
        const size_t line = psa_record_bytes_max(sensor, sensor->common.block > 0 ? (size_t)sensor->common.block : 1);
        bytes += rate_hz * (double)run->config.queue_ns / PSA_NS_PER_SECOND * (double)psa_record_bytes_usual(sensor);
        if (line > longest) longest = line;
        if (line > QUEUE_MAX_BYTES / 5)
            return psa_fail(error, PSA_EXIT_PERMANENT, "%s: a block of %lld readings is too large for a line",
                            sensor->text, (long long)sensor->common.block);
    }
    if (bytes < QUEUE_MIN_BYTES) bytes = QUEUE_MIN_BYTES;
    if (bytes < 5.0 * (double)longest) bytes = 5.0 * (double)longest;
    if (bytes > QUEUE_MAX_BYTES) bytes = QUEUE_MAX_BYTES;
    run->hub.queue.dropped = count_dropped;
    run->hub.queue.ctx = run;
    if (psa_queue_init(&run->hub.queue, (size_t)bytes, run->config.queue_ns) != 0)
        return psa_fail_memory(error, "making the queue");
    return psa_buf_room(&run->output.pending, PIPE_BUF) != NULL ? 0 : psa_fail_memory(error, "making the queue");
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* The queue has room again after lines were dropped; the hub's lock is held. What is to be said of it goes to *told. */
static void catch_up(struct psa_sensord *run, struct psa_note *told)
{
    struct psa_output *output = &run->output;
    const int64_t step_ns = output->step_ns;

    output->step_ns = 0;
    if (step_ns != 0) psa_sensord_clock_put(run, step_ns);
    for (size_t i = 0; i < run->n; i++) psa_state_catch_up(&run->worker[i].state);
    if (output->behind_said) *told = (struct psa_note){ .n = output->behind_n, .first_ns = output->behind_ns };
    output->behind = output->behind_said = false;
    output->behind_n = 0;
    output->dropped.n = 0;
}

bool psa_sensord_take(struct psa_sensord *run)
{
    struct psa_output *output = &run->output;
    struct psa_queue *queue = &run->hub.queue;
    struct psa_queue_entry entry;
    struct psa_note told = { 0 };
    char within[PSA_NOTE_TIME_BYTES];
    const char *line;

    if (output->written < output->pending.n) return true;
    output->written = output->pending.n = output->n_taken = 0;
    pthread_mutex_lock(&run->hub.lock);
    psa_queue_expire(queue, psa_clock_ns());
    while (output->n_taken < PSA_OUTPUT_LINES && (line = psa_queue_front(queue, &entry)) != NULL) {
        if (output->pending.n > 0 && output->pending.n + entry.n > PIPE_BUF) break;
        psa_buf_put(&output->pending, line, entry.n);
        output->taken[output->n_taken++] = entry;
        psa_queue_pop(queue);
    }
    if (output->behind && psa_queue_is_easy(queue, psa_clock_ns())) catch_up(run, &told);
    pthread_mutex_unlock(&run->hub.lock);
    if (told.n > 0)
        psa_hub_say(&run->hub, "stdout", "queue", "the reader keeps up again; %llu reading%s dropped within %s",
                    (unsigned long long)told.n, told.n == 1 ? " was" : "s were",
                    psa_note_time(within, psa_clock_ns() - told.first_ns));
    return output->pending.n > 0;
}

int psa_sensord_write(struct psa_sensord *run, struct psa_error *error)
{
    struct psa_output *output = &run->output;
    size_t n = output->pending.n - output->written;
    ssize_t written;

    if (output->pending.failed) return psa_fail_memory(error, "writing");
    if (n > PIPE_BUF) n = PIPE_BUF;
    written = write(STDOUT_FILENO, output->pending.p + output->written, n);
    if (written >= 0) {
        output->written += (size_t)written;
        return 0;
    }
    if (errno == EINTR || errno == EAGAIN) return 0;
    if (errno == EPIPE) return psa_fail(error, PSA_BROKEN_PIPE, "stdout: the reader has gone");
    return psa_fail(error, PSA_EXIT_RUNTIME, "stdout: cannot write: %s", strerror(errno));
}

void psa_sensord_say_dropped(struct psa_sensord *run, bool at_once)
{
    struct psa_output *output = &run->output;
    struct psa_note told;

    pthread_mutex_lock(&run->hub.lock);
    const bool due = psa_note_due(&output->dropped, psa_clock_ns(), at_once, &told);
    if (due) output->behind_said = true;
    pthread_mutex_unlock(&run->hub.lock);
    if (due)
        psa_hub_say(
            &run->hub, "stdout", "queue",
            "the reader is too slow: more than --queue holds is waiting; %llu reading%s dropped, the oldest first",
            (unsigned long long)told.n, told.n == 1 ? " was" : "s were");
}

uint64_t psa_sensord_abandon(struct psa_sensord *run)
{
    struct psa_output *output = &run->output;
    struct psa_queue *queue = &run->hub.queue;
    struct psa_queue_entry entry;
    size_t end = 0;

    pthread_mutex_lock(&run->hub.lock);
    for (size_t i = 0; i < output->n_taken; i++) {
        end += output->taken[i].n;
        if (end > output->written) count_dropped(run, &output->taken[i]);
    }
    output->n_taken = 0;
    while (psa_queue_front(queue, &entry) != NULL) {
        psa_queue_pop(queue);
        count_dropped(run, &entry);
    }
    const uint64_t n = output->dropped.n;
    output->dropped.n = 0; /* the caller says it */
    pthread_mutex_unlock(&run->hub.lock);
    return n;
}
