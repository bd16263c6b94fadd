/* sensord_status.c - how a run is: heartbeats for the stages behind it, statistics for people, states for systemd. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/account.h"
#include "core/error.h"
#include "core/time.h"
#include "io/clock.h"
#include "io/notify.h"
#include "io/sensord.h"
#include "io/writer.h"

/* ---- heartbeats -------------------------------------------------------------------------------------------------- */

/* A sensor that is down, or hangs, holds nobody back: what it gives later is newer, or lost. The lock is held. */
static int64_t oldest_to_come_ns(const struct psa_sensord *run, int64_t now_ns)
{
    int64_t oldest_ns = now_ns;

    for (size_t i = 0; i < run->n; i++) {
        const struct psa_state *state = &run->worker[i].state;
        if (state->running && !state->hung && state->promise_ns < oldest_ns) oldest_ns = state->promise_ns;
    }
    return oldest_ns;
}

void psa_sensord_heartbeat(struct psa_sensord *run, int64_t now_ns)
{
    struct psa_queue_entry entry = { .owner = PSA_QUEUE_NOBODY, .kind = PSA_QUEUE_HEARTBEAT };
    struct psa_hub *hub = &run->hub;

    pthread_mutex_lock(&hub->lock);
    const int64_t promise_ns = oldest_to_come_ns(run, now_ns);
    /* By the monotonic clock: when the wall clock was set back, heartbeats follow it as readings do. */
    if (promise_ns > hub->promised_ns) {
        hub->promised_ns = promise_ns;
        run->heartbeats++;
        hub->scratch.n = 0;
        psa_record_put_heartbeat(&hub->scratch, promise_ns + psa_clock_offset_ns(&hub->offset_ns));
        if (!hub->scratch.failed) (void)psa_hub_push(hub, &entry, psa_buf_str(&hub->scratch));
    }
    pthread_mutex_unlock(&hub->lock);
}

/* ---- systemd ----------------------------------------------------------------------------------------------------- */

/* "7 of 8 sensors up; down: press-07 (absent)". The lock is held. */
static void describe(const struct psa_sensord *run, char *text, size_t size)
{
    size_t up = 0, n = 0, down = 0;
    char names[512] = "";

    for (size_t i = 0; i < run->n; i++) {
        const struct psa_state *state = &run->worker[i].state;
        up += state->up;
        if (!state->down || n >= sizeof names - 1) continue;
        n += (size_t)snprintf(names + n, sizeof names - n, "%s%s (%s)", down++ > 0 ? ", " : "; down: ", state->id,
                              psa_fault_name(state->fault));
    }
    snprintf(text, size, "STATUS=%zu of %zu sensor%s up%s", up, run->n, run->n == 1 ? "" : "s", names);
    for (char *p = text; *p != '\0'; p++) { /* a line feed would begin another word */
        if ((unsigned char)*p < ' ') *p = '?';
    }
}

void psa_sensord_tell(struct psa_sensord *run)
{
    char text[640] = "";
    bool tried = true, changed;

    pthread_mutex_lock(&run->hub.lock);
    changed = run->hub.changed;
    run->hub.changed = false;
    for (size_t i = 0; i < run->n; i++) tried = tried && run->worker[i].state.tried;
    if (changed) describe(run, text, sizeof text);
    pthread_mutex_unlock(&run->hub.lock);
    if (changed) psa_notify(text);
    if (!tried || run->ready) return;
    run->ready = true;
    psa_notify("READY=1");
}

bool psa_sensord_is_stuck(struct psa_sensord *run)
{
    bool stuck = true;

    pthread_mutex_lock(&run->hub.lock);
    for (size_t i = 0; i < run->n; i++) stuck = stuck && run->worker[i].state.hung;
    pthread_mutex_unlock(&run->hub.lock);
    return stuck;
}

/* ---- statistics -------------------------------------------------------------------------------------------------- */

/* The lock is held. */
static void put_sensor(struct psa_buf *out, const struct psa_state *state, int64_t until_ns)
{
    const struct {
        const char *name;
        uint64_t n;
    } counts[] = {
        { "readings", state->readings },
        { "missed", state->n_missed },
        { "failed", state->failed },
        { "lost", state->n_lost },
        { "absent", state->absent + psa_state_due(state, until_ns) },
        { "down", state->downs },
        { "dropped", state->dropped },
    };

    psa_buf_comma(out);
    psa_buf_puts(out, "{");
    psa_buf_member_text(out, "sensor_type", psa_str_of(state->type));
    psa_buf_member_text(out, "sensor_id", psa_str_of(state->id));
    psa_buf_member_bool(out, "up", state->up);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        psa_buf_member_int(out, counts[i].name, (int64_t)counts[i].n);
    psa_buf_name(out, "late_ns");
    psa_buf_puts(out, "{");
    psa_buf_member_int(out, "p50", psa_lateness_quantile_ns(&state->lateness, 0.5));
    psa_buf_member_int(out, "p99", psa_lateness_quantile_ns(&state->lateness, 0.99));
    psa_buf_member_int(out, "max", state->lateness.max_ns);
    psa_buf_puts(out, "}}");
}

static void put_stats(struct psa_sensord *run, struct psa_buf *text)
{
    struct psa_stats stats = { .control = run->heartbeats };
    struct psa_buf sensors = { 0 };
    uint64_t dropped = 0;

    pthread_mutex_lock(&run->hub.lock);
    const int64_t until_ns = run->stop_ns != 0 ? run->stop_ns : psa_clock_ns();
    for (size_t i = 0; i < run->n; i++) {
        const struct psa_state *state = &run->worker[i].state;
        stats.in += state->readings;
        dropped += state->dropped;
        put_sensor(&sensors, state, until_ns);
    }
    stats.emitted = run->hub.n_status;
    pthread_mutex_unlock(&run->hub.lock);
    stats.passed = stats.in - dropped;
    if (dropped > 0) psa_count(&stats.dropped, "queue", dropped);
    psa_stats_put(text, "sensord", &stats);
    psa_buf_member_int(text, "clock_steps", (int64_t)run->wall.steps);
    psa_buf_name(text, "sensors");
    psa_buf_puts(text, "[");
    psa_buf_put(text, sensors.p, sensors.n);
    psa_buf_puts(text, "]}\n");
    text->failed |= sensors.failed;
    psa_buf_free(&sensors);
}

int psa_sensord_print_stats(struct psa_sensord *run, bool asked, struct psa_error *error)
{
    struct psa_buf text = { 0 };
    int status = 0;

    if (!asked && !run->config.stats && run->config.stats_file == NULL) return 0;
    put_stats(run, &text);
    if (text.failed) status = psa_fail_memory(error, "printing statistics");
    if (status == 0 && (run->config.stats || asked))
        status = psa_write_all(STDERR_FILENO, "stderr", text.p, text.n, error);
    if (status == 0 && run->config.stats_file != NULL)
        status = psa_file_replace(run->config.stats_file, psa_buf_str(&text), error);
    psa_buf_free(&text);
    return status;
}
