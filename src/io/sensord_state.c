/* sensord_state.c - see sensord_state.h. */
#include "io/sensord_state.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/time.h"
#include "io/clock.h"
#include "io/sensord_record.h"

/* A sensor that was up for so long may speak of its next faults again, were it silenced before. */
#define STEADY_NS (60 * PSA_NS_PER_SECOND)
/* No sensor takes so long of itself for a read at a rate that it cannot keep. */
#define HELD_NS (500 * PSA_NS_PER_MS)

static int copy(char **kept, const char *text)
{
    if (*kept != NULL && strcmp(*kept, text) == 0) return 0;
    char *copied = strdup(text);
    if (copied == NULL) return -1;
    free(*kept);
    *kept = copied;
    return 0;
}

int psa_state_init(struct psa_state *state, struct psa_hub *hub, const struct psa_sensor *sensor, uint16_t index,
                   bool strict, struct psa_error *error)
{
    const int64_t patience_ns = sensor->driver->patience_ns;

    state->hub = hub;
    state->id = sensor->id;
    state->place = sensor->text;
    state->patience_ns = patience_ns > 0 ? patience_ns : PSA_SENSOR_PATIENCE_NS;
    state->index = index;
    state->strict = strict;
    state->stamped_ns = INT64_MIN;
    if (copy(&state->type, sensor->type) != 0 || copy(&state->model, sensor->model) != 0)
        return psa_fail_memory(error, "starting");
    pthread_mutex_lock(&hub->lock); /* the first threads run already */
    state->next = hub->states;
    hub->states = state;
    pthread_mutex_unlock(&hub->lock);
    return 0;
}

void psa_state_free(struct psa_state *state)
{
    free(state->type);
    free(state->model);
}

/* ---- what is to be said; the lock is held ------------------------------------------------------------------------ */

/* The main thread is woken once for all that comes until it looks. */
static void speak(struct psa_state *state)
{
    if (state->hub->to_say) return;
    state->hub->to_say = true;
    psa_hub_wake(state->hub);
}

static void note(struct psa_state *state, struct psa_note *what, uint64_t n, int64_t amount)
{
    const int64_t now_ns = psa_clock_ns();

    psa_note_add(what, n, amount, now_ns);
    if (psa_note_is_due(what, now_ns, false)) speak(state);
}

/* A message of a kind of which ten are shown. */
static void tell(struct psa_state *state, uint64_t *count, const char *lead, const char *text)
{
    if (++*count > PSA_REPORT_SHOWN) return;
    psa_messages_put(&state->messages, state->id, NULL, "%s%s", lead, text);
    speak(state);
}

/* Enough of them is forgotten: the next ten are shown again. */
static void sum_up(struct psa_state *state, uint64_t *count, const char *what)
{
    if (*count > PSA_REPORT_SHOWN) {
        psa_messages_put(&state->messages, state->id, NULL, "%llu such %s in all (the first %d were shown)",
                         (unsigned long long)*count, what, PSA_REPORT_SHOWN);
        speak(state);
    }
    *count = 0;
}

static void lose(struct psa_state *state, uint64_t n, const char *why)
{
    state->n_lost += n;
    snprintf(state->lost_why, sizeof state->lost_why, "%s", why);
    note(state, &state->lost, n, 0);
}

/* ---- up and down; the lock is held ------------------------------------------------------------------------------- */

static void push_status(struct psa_state *state)
{
    struct psa_hub *hub = state->hub;
    struct psa_queue_entry entry = { .owner = state->index, .kind = PSA_QUEUE_STATUS };
    const struct psa_record_status status = {
        .model = state->model,
        .id = state->id,
        .of = state->type,
        .up = state->up,
        .unsynced = hub->unsynced,
        .fault = state->fault,
        .reason = state->reason,
        .timestamp_ns = state->stamped_ns + psa_clock_offset_ns(&hub->offset_ns),
    };

    state->status_lost = false;
    hub->scratch.n = 0;
    psa_record_put_status(&hub->scratch, &status);
    if (!hub->scratch.failed) (void)psa_hub_push(hub, &entry, psa_buf_str(&hub->scratch));
}

/* Write how it is, at at_ns: later than what was said of it before, for whoever keeps the last word, and not before what a
 * heartbeat has promised. A reading that ends a hang may well be older: it was begun before. */
static void stamp(struct psa_state *state, int64_t at_ns)
{
    if (at_ns <= state->stamped_ns) at_ns = state->stamped_ns + 1;
    if (at_ns < state->hub->promised_ns) at_ns = state->hub->promised_ns;
    state->stamped_ns = at_ns;
    push_status(state);
}

/* Something that the main thread tells systemd. */
static void changed(struct psa_state *state)
{
    state->tried = true;
    state->hub->changed = true;
    psa_hub_wake(state->hub);
}

/* A fault without the sensor's name in front, which every message has. */
static const char *without_name(const char *id, const char *text)
{
    const size_t n = strlen(id);

    if (strncmp(text, id, n) != 0) return text;
    if (strncmp(text + n, ": ", 2) == 0) return text + n + 2;
    return text[n] == ' ' ? text + n + 1 : text;
}

/* It is down, which is said once until it is up again, or down for another cause. */
static void fall(struct psa_state *state, const struct psa_fault *fault)
{
    struct psa_hub *hub = state->hub;
    const int64_t now_ns = psa_clock_ns();
    const bool falls = !state->down;

    if (hub->stopping || (!falls && !state->renamed && fault->kind == state->fault)) return;
    state->renamed = false;
    if (state->up && now_ns - state->since_ns >= STEADY_NS) sum_up(state, &state->n_faults, "messages");
    if (falls) state->since_ns = now_ns;
    state->downs += falls;
    state->up = false;
    state->is_up = false;
    state->down = true;
    state->fault = fault->kind;
    memcpy(state->reason, fault->text, sizeof state->reason);
    stamp(state, now_ns);
    changed(state);
    tell(state, &state->n_faults, falls ? "down: " : "still down: ", without_name(state->id, fault->text));
    if (!state->strict) return;
    if (hub->strict_down == NULL) hub->strict_down = state->id;
    psa_hub_stop(hub);
}

static void rise(struct psa_state *state, int64_t taken_ns)
{
    const int64_t now_ns = psa_clock_ns();
    const bool was_down = state->down, hung = state->hung;
    char text[PSA_NOTE_TIME_BYTES];

    psa_note_time(text, now_ns - state->since_ns);
    state->up = true;
    state->is_up = true;
    state->down = state->hung = state->renamed = false;
    state->hung_before |= hung;
    state->since_ns = now_ns;
    state->fault = PSA_FAULT_NONE;
    if (state->busy_since_ns != 0) state->busy_since_ns = now_ns; /* a call that hung goes on now */
    stamp(state, hung ? now_ns : taken_ns);
    changed(state);
    if (was_down) tell(state, &state->n_faults, "up again after ", text);
}

/* Who else has this type, and the same id? */
static const struct psa_state *namesake(const struct psa_state *state, const char *type)
{
    for (const struct psa_state *other = state->hub->states; other != NULL; other = other->next) {
        if (other != state && strcmp(other->type, type) == 0 && strcmp(other->id, state->id) == 0) return other;
    }
    return NULL;
}

static void take_back(struct psa_state *state)
{
    if (!state->down) return;
    state->up = true;
    stamp(state, psa_clock_ns());
    state->up = false;
    state->renamed = true;
}

/* ---- for the worker ---------------------------------------------------------------------------------------------- */

int psa_state_describe(struct psa_state *state, const struct psa_sensor *sensor, struct psa_fault *fault)
{
    int status = 0;

    pthread_mutex_lock(&state->hub->lock);
    const bool differs = strcmp(state->type, sensor->type) != 0;
    const struct psa_state *other = differs ? namesake(state, sensor->type) : NULL;
    if (other != NULL) {
        status = psa_fault_set(fault, PSA_FAULT_WRONG,
                               "it is %s '%s', and so is %s: nobody could tell them apart; give one another id=",
                               sensor->type, state->id, other->place);
    } else {
        if (differs) take_back(state);
        state->every_ns = !sensor->own_seq && sensor->period_ns > 0 ? sensor->period_exact_ns
                          : sensor->rate_hz > 0                     ? PSA_NS_PER_SECOND / sensor->rate_hz
                                                                    : 0;
        if (copy(&state->type, sensor->type) != 0 || copy(&state->model, sensor->model) != 0)
            status = psa_fault_set(fault, PSA_FAULT_IO, "%s: out of memory", state->place);
    }
    pthread_mutex_unlock(&state->hub->lock);
    return status;
}

void psa_state_up(struct psa_state *state, int64_t taken_ns)
{
    pthread_mutex_lock(&state->hub->lock);
    rise(state, taken_ns);
    pthread_mutex_unlock(&state->hub->lock);
}

void psa_state_down(struct psa_state *state, const struct psa_fault *fault)
{
    pthread_mutex_lock(&state->hub->lock);
    state->hung = false;
    fall(state, fault);
    pthread_mutex_unlock(&state->hub->lock);
}

bool psa_state_is_down(struct psa_state *state)
{
    pthread_mutex_lock(&state->hub->lock);
    const bool down = state->down;
    pthread_mutex_unlock(&state->hub->lock);
    return down;
}

void psa_state_busy(struct psa_state *state, int64_t since_ns)
{
    pthread_mutex_lock(&state->hub->lock);
    state->busy_since_ns = since_ns;
    pthread_mutex_unlock(&state->hub->lock);
}

void psa_state_started(struct psa_state *state, uint64_t absent, int64_t promise_ns)
{
    pthread_mutex_lock(&state->hub->lock);
    state->absent += absent;
    state->running = true;
    state->hung = state->hung_before = false;
    state->due_ns = 0;
    state->read_ns = 0;
    state->busy_since_ns = 0;
    state->promise_ns = promise_ns;
    pthread_mutex_unlock(&state->hub->lock);
}

bool psa_state_stopped(struct psa_state *state, int64_t due_ns)
{
    pthread_mutex_lock(&state->hub->lock);
    const bool ran = state->running;
    if (ran) state->due_ns = due_ns;
    state->running = false;
    state->busy_since_ns = 0;
    pthread_mutex_unlock(&state->hub->lock);
    return ran;
}

void psa_state_deadline(struct psa_state *state, int64_t late_ns, uint64_t missed, int64_t now_ns, int64_t due_ns)
{
    pthread_mutex_lock(&state->hub->lock);
    psa_lateness_add(&state->lateness, late_ns);
    state->busy_since_ns = now_ns;
    state->due_ns = due_ns;
    if (state->hung_before) {
        state->absent += missed; /* it was down, which was said */
    } else if (missed > 0) {
        state->n_missed += missed;
        if ((double)state->read_ns >= state->every_ns && state->read_ns > state->slow_ns)
            state->slow_ns = state->read_ns;
        note(state, &state->missed, missed, late_ns);
    }
    state->hung_before = false;
    pthread_mutex_unlock(&state->hub->lock);
}

void psa_state_read(struct psa_state *state, bool failed, bool empty, int64_t promise_ns)
{
    const int64_t now_ns = psa_clock_ns();

    pthread_mutex_lock(&state->hub->lock);
    if (state->busy_since_ns != 0) state->read_ns = now_ns - state->busy_since_ns;
    state->busy_since_ns = 0;
    state->promise_ns = promise_ns;
    state->failed += failed;
    state->n_lost += !failed && empty;
    if (!state->tried) changed(state);
    pthread_mutex_unlock(&state->hub->lock);
}

void psa_state_give(struct psa_state *state, struct psa_str line, size_t n, int64_t taken_ns)
{
    struct psa_hub *hub = state->hub;
    struct psa_queue_entry entry = { .owner = state->index, .kind = PSA_QUEUE_READING, .weight = n };

    pthread_mutex_lock(&hub->lock);
    if (line.p == NULL) {
        lose(state, n, "out of memory");
    } else if (taken_ns < hub->promised_ns) {
        lose(state, n, "they came after the heartbeat that said none would");
    } else if (hub->left > 0 && !psa_hub_push(hub, &entry, line)) {
        lose(state, n, "a record is too large for the queue; give a smaller block=, or a longer --queue");
    } else if (hub->left > 0) {
        state->readings += n;
        if (hub->left != INT64_MAX && --hub->left == 0) psa_hub_stop(hub);
    }
    pthread_mutex_unlock(&hub->lock);
}

void psa_state_lost(struct psa_state *state, uint64_t n, const char *why)
{
    pthread_mutex_lock(&state->hub->lock);
    lose(state, n, why);
    pthread_mutex_unlock(&state->hub->lock);
}

void psa_state_warn(struct psa_state *state, const char *text)
{
    pthread_mutex_lock(&state->hub->lock);
    tell(state, &state->n_warnings, "", text);
    pthread_mutex_unlock(&state->hub->lock);
}

void psa_state_done(struct psa_state *state)
{
    pthread_mutex_lock(&state->hub->lock);
    state->done = true;
    pthread_mutex_unlock(&state->hub->lock);
    psa_hub_wake(state->hub);
}

/* ---- for the main thread ----------------------------------------------------------------------------------------- */

void psa_state_watch(struct psa_state *state, int64_t now_ns, int64_t *wake_ns)
{
    char text[PSA_NOTE_TIME_BYTES];
    struct psa_fault fault;

    pthread_mutex_lock(&state->hub->lock);
    const int64_t busy_ns = now_ns - state->busy_since_ns;
    if (state->busy_since_ns != 0 && !state->hung) {
        if (busy_ns < state->patience_ns) {
            psa_wake_by(wake_ns, now_ns - busy_ns + state->patience_ns, now_ns);
        } else {
            psa_fault_set(&fault, PSA_FAULT_TIMEOUT, "%s has not answered for %s; the bus or the chip hangs",
                          state->place, psa_note_time(text, busy_ns));
            state->hung = true;
            fall(state, &fault);
        }
    }
    pthread_mutex_unlock(&state->hub->lock);
}

/* The one that is due next may still be read, and an estimate must not be above what is counted in the end: the worker has
 * chosen due_ns so. */
uint64_t psa_state_due(const struct psa_state *state, int64_t until_ns)
{
    const bool away = state->down && (!state->running || state->hung);

    if ((!away && !state->hung_before) || state->due_ns == 0 || state->every_ns <= 0 || until_ns <= state->due_ns)
        return 0;
    return (uint64_t)ceil((double)(until_ns - state->due_ns) / state->every_ns);
}

void psa_state_mend(struct psa_state *state)
{
    pthread_mutex_lock(&state->hub->lock);
    sum_up(state, &state->n_warnings, "warnings");
    pthread_mutex_unlock(&state->hub->lock);
}

static void describe_missed(const struct psa_state *state, const struct psa_note *told, char *text, size_t size)
{
    char worst[PSA_NOTE_TIME_BYTES], took[PSA_NOTE_TIME_BYTES];
    const int n = snprintf(text, size, "%llu deadline%s missed%s, the worst by %s", (unsigned long long)told->n,
                           told->n == 1 ? "" : "s", told->said > 0 ? " since it was last said" : "",
                           psa_note_time(worst, told->worst));

    if (n < 0 || (size_t)n >= size) return;
    text += n;
    size -= (size_t)n;
    if (state->slow_ns < told->worst / 2)
        snprintf(text, size, ": the machine is too busy, or the sensor too slow for its rate");
    else
        snprintf(text, size, "; reads took up to %s: something holds the bus%s", psa_note_time(took, state->slow_ns),
                 state->slow_ns < HELD_NS ? ", or the sensor is too slow for its rate" : "");
}

/* The next message, or what a note has come to, whose ten a minute are those of all sensors together. The lock is held. */
static bool take_words(struct psa_state *state, int64_t now_ns, bool at_once, struct psa_message *message)
{
    struct psa_note told;

    if (psa_messages_take(&state->messages, message)) return true;
    message->source = state->id;
    if (psa_note_due(&state->missed, now_ns, at_once, &told)) {
        message->cause = "missed";
        describe_missed(state, &told, message->text, sizeof message->text);
        state->slow_ns = 0;
        return true;
    }
    if (!psa_note_due(&state->lost, now_ns, at_once, &told)) return false;
    message->cause = "lost";
    snprintf(message->text, sizeof message->text, "%llu reading%s lost%s: %s", (unsigned long long)told.n,
             told.n == 1 ? "" : "s", told.said > 0 ? " since it was last said" : "", state->lost_why);
    return true;
}

bool psa_state_say(struct psa_state *state, bool at_once)
{
    struct psa_hub *hub = state->hub;
    const int64_t now_ns = psa_clock_ns();
    struct psa_message message;
    bool any;

    for (;;) {
        pthread_mutex_lock(&hub->lock);
        if (at_once) {
            sum_up(state, &state->n_faults, "messages");
            sum_up(state, &state->n_warnings, "warnings");
        }
        any = psa_messages_wait(&state->messages) || psa_note_is_due(&state->missed, now_ns, at_once) ||
              psa_note_is_due(&state->lost, now_ns, at_once);
        pthread_mutex_unlock(&hub->lock);
        if (!any) return true;
        if (!psa_hub_can_say(hub)) return false;
        pthread_mutex_lock(&hub->lock);
        any = take_words(state, now_ns, at_once, &message);
        pthread_mutex_unlock(&hub->lock);
        if (any) psa_hub_print(hub, &message);
    }
}

void psa_state_dropped(struct psa_state *state, const struct psa_queue_entry *entry)
{
    if (entry->kind == PSA_QUEUE_STATUS) state->status_lost = true;
    else state->dropped += entry->weight;
}

void psa_state_catch_up(struct psa_state *state)
{
    if (state->status_lost) stamp(state, psa_clock_ns());
}
