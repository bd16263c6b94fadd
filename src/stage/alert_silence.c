/*
 * alert_silence.c - keys from which nothing comes. See alert.h.
 *
 * Event time is the newest time among accepted records and heartbeats; elapsed time is the sum of its moves. Each key
 * remembers the elapsed time at which it was heard last, and is silent once its limit more has elapsed; alert_wait.c has the
 * limits, and knows who is next.
 *
 * A clock that is wrong must not make everybody else silent:
 *
 *   near: at most --max-ahead from event time   moves it, if newer; all far ones are forgotten
 *   far, ahead or behind                        moves nothing; but once --max-ahead has gone by among far ones that are
 *                                               near to each other, with none near in between, event time jumps to them
 *   far behind, while event time is one other   event time jumps back to it: that other was ahead of all
 *   key's own word
 *   a heartbeat ahead                           moves it in any case; it jumps by more than a day, and by more than
 *                                               --max-ahead if it is near the last record far ahead, or if heartbeats
 *                                               used to come at less than a third of that
 *
 * A jump elapses nothing: a pause of the whole stream and a clock that was set are nobody's silence. A pause of everything
 * that is longer than --silent but no jump elapses, and whoever becomes due in it is given the benefit of --silent again,
 * once. A record that is dropped as late is no sign of life, but event time is told by it like by any other: so it follows
 * clocks that were set back, and their keys, of which nothing is accepted, become silent.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/hash.h"
#include "core/time.h"
#include "stage/alert.h"

enum {
    USUAL_TIMES = 3,  /* as long as heartbeats use to be apart is still usual */
    USUAL_SHRINK = 4, /* what is usual loses this part with each heartbeat that comes sooner */
    STRAYS_SAID = 3   /* records in a row, each far ahead of the one before: they are no wrong clocks */
};

#define LONGEST_STEP_NS (INT64_C(86400) * PSA_NS_PER_SECOND) /* of a heartbeat; above, its clock was set */

/* ---- event time ---------------------------------------------------------------------------------------------------------- */

static bool is_near(int64_t a, int64_t b, int64_t within)
{
    int64_t apart = psa_ns_since(a, b);

    return apart <= within && apart >= -within;
}

static void jump(struct psa_alert_clock *clock, int64_t ns)
{
    clock->now_ns = ns;
    clock->has_far = false;
    clock->strays = 0;
}

static void advance(struct psa_alert_clock *clock, int64_t ns)
{
    if (ns > clock->now_ns) {
        clock->strays = 0;
        clock->elapsed_ns = psa_ns_add(clock->elapsed_ns, psa_ns_since(ns, clock->now_ns));
        clock->now_ns = ns;
    }
    clock->has_far = false;
}

/* A record far from event time. */
static void note_far(struct psa_alert_clock *clock, int64_t ns, int64_t max_ahead_ns)
{
    int64_t newest = clock->has_far ? clock->far_newest_ns : clock->now_ns;

    if (ns > clock->now_ns) {
        clock->has_ahead = true;
        clock->ahead_ns = ns;
    }
    if (!clock->has_far || !is_near(ns, clock->far_newest_ns, max_ahead_ns)) {
        clock->strays = ns > newest ? clock->strays + (clock->strays < STRAYS_SAID) : 0;
        clock->has_far = true;
        clock->far_first_ns = clock->far_newest_ns = ns;
        return;
    }
    if (ns > clock->far_newest_ns) clock->far_newest_ns = ns;
    if (psa_ns_since(clock->far_newest_ns, clock->far_first_ns) < max_ahead_ns) return;
    jump(clock, clock->far_newest_ns);
    clock->mover = 0;
}

/* mover stands for the key whose record has this time. */
static void move_by_record(struct psa_node *node, int64_t ns, int64_t mover)
{
    const struct psa_alert_config *config = node->config;
    struct psa_alert *alert = node->state;
    struct psa_alert_clock *clock = &alert->clock;

    clock->paused = false;
    if (!clock->has_time) {
        *clock = (struct psa_alert_clock){ .has_time = true, .now_ns = ns, .mover = mover };
    } else if (is_near(ns, clock->now_ns, alert->max_ahead_ns)) {
        if (mover != clock->mover) clock->mover = 0;
        clock->paused = psa_ns_since(ns, clock->now_ns) > config->silent_ns;
        advance(clock, ns);
    } else if (clock->mover && clock->mover != mover && ns < clock->now_ns) {
        jump(clock, ns);
        clock->mover = mover;
    } else {
        note_far(clock, ns, alert->max_ahead_ns);
    }
    if (clock->strays < STRAYS_SAID || alert->said_strays) return;
    alert->said_strays = true;
    psa_say(
        node, "max_ahead",
        "each record comes more than --max-ahead %.3f s after all before it, so that no time is seen to pass, and no "
        "silence; give a longer --max-ahead",
        (double)alert->max_ahead_ns / 1e9);
}

/* Heartbeats used to come at less than a third of this step: they paused too, or their clock was set. */
static bool is_unusual(const struct psa_alert_clock *clock, int64_t step)
{
    return clock->beat_step_ns && step / USUAL_TIMES > clock->beat_step_ns;
}

static void note_beat(struct psa_alert_clock *clock, int64_t ns)
{
    int64_t step = psa_ns_since(ns, clock->beat_ns), shrunk = clock->beat_step_ns - clock->beat_step_ns / USUAL_SHRINK;

    if (clock->has_beat && step > 0) clock->beat_step_ns = step > shrunk ? step : shrunk;
    clock->has_beat = true;
    clock->beat_ns = ns;
}

static void move_by_heartbeat(struct psa_node *node, int64_t ns)
{
    const struct psa_alert_config *config = node->config;
    struct psa_alert *alert = node->state;
    struct psa_alert_clock *clock = &alert->clock;
    int64_t ahead = psa_ns_since(ns, clock->now_ns), most = alert->max_ahead_ns;
    bool stepped = is_unusual(clock, ahead) || (clock->has_ahead && is_near(ns, clock->ahead_ns, most));

    clock->paused = false;
    if (!clock->has_time) {
        *clock = (struct psa_alert_clock){ .has_time = true, .now_ns = ns };
    } else if (ahead > LONGEST_STEP_NS || (ahead > most && stepped)) {
        jump(clock, ns);
    } else if (ahead >= -most) {
        clock->paused = ahead > config->silent_ns && is_unusual(clock, ahead);
        advance(clock, ns);
        if (ahead > most) psa_alert_catch_up(node);
    } else {
        note_far(clock, ns, most);
    }
    note_beat(clock, ns);
    clock->mover = 0;
}

/* ---- writing --------------------------------------------------------------------------------------------------------------- */

/* Since when nothing has come from the key, by event time as it is now: when it was heard, or, if that was ahead of event
 * time, its record's own time once event time has got there. Neither may be later than what has elapsed since allows: a
 * clock set back has gone over that time again. */
static int64_t silent_since(const struct psa_alert *alert, const struct psa_alert_slot *slot)
{
    int64_t latest = psa_ns_since(alert->clock.now_ns, psa_ns_since(alert->clock.elapsed_ns, slot->seen_elapsed));

    if (slot->silence.active && slot->silence.since_ns <= latest) return slot->silence.since_ns;
    if (slot->known && slot->slot.newest_ns > slot->seen_ns && slot->slot.newest_ns <= latest)
        return slot->slot.newest_ns;
    return slot->seen_ns <= latest ? slot->seen_ns : latest;
}

static void explain_late(const struct psa_alert_slot *slot, struct psa_alert_sentence *sentence)
{
    char newest[PSA_TIME_ISO_MAX];

    psa_time_format_iso(slot->slot.newest_ns, newest);
    psa_alert_add(sentence, "; %lld dropped as late, for it has had one of %s: was its clock set back?",
                  (long long)slot->late, newest);
}

static void explain_calm(const struct psa_node *node, const struct psa_alert_slot *slot, bool cleared, int64_t since_ns,
                         struct psa_alert_sentence *sentence)
{
    int64_t ended = psa_alert_calm_ended(node, slot, since_ns);
    char until[PSA_TIME_ISO_MAX];

    if (cleared || ended == INT64_MIN) return;
    psa_time_format_iso(ended, until);
    psa_alert_add(sentence, "; in maintenance until %s", until);
}

static void explain(const struct psa_node *node, const struct psa_alert_slot *slot, const char *state, double seconds,
                    int64_t since_ns, struct psa_alert_sentence *sentence)
{
    const struct psa_alert_config *config = node->config;
    int64_t limit_ns = psa_alert_limit(node, slot);
    bool cleared = strcmp(state, "cleared") == 0;
    char shown[128], since[PSA_TIME_ISO_MAX];

    psa_time_format_iso(since_ns, since);
    psa_alert_add(sentence, "%s: ", psa_key_show(slot->slot.key, shown));
    if (cleared)
        psa_alert_add(sentence, "%s after %.1f s of silence", slot->known ? "records again" : "its first record",
                      seconds);
    else if (strcmp(state, "ongoing") == 0) psa_alert_add(sentence, "silent for %.1f s now, since %s", seconds, since);
    else if (slot->known) psa_alert_add(sentence, "no record for %.1f s, since %s", seconds, since);
    else psa_alert_add(sentence, "expected, but no record in the %.1f s since %s", seconds, since);
    if (!cleared && limit_ns > config->silent_ns)
        psa_alert_add(sentence, "; its limit is %.1f s, for its records came up to %.1f s apart",
                      (double)limit_ns / 1e9, (double)slot->pace.usual_ns / 1e9);
    if (!cleared && slot->late) explain_late(slot, sentence);
    explain_calm(node, slot, cleared, since_ns, sentence);
    if (!cleared && slot->down)
        psa_alert_add(sentence, "; it says itself that it is down%s%s%s", *slot->fault ? " (" : "", slot->fault,
                      *slot->fault ? ")" : "");
    psa_alert_end_whole(sentence);
}

/* {"a":{"b":"value"}} without the outer braces for the path a.b of --key, unless it is one that psa knows. */
static void put_path(struct psa_buf *line, const char *path, struct psa_str value)
{
    const char *dot = strchr(path, '.');
    struct psa_str root = { path, dot ? (size_t)(dot - path) : strlen(path) };
    size_t depth = 0;

    if (psa_member_identify(root) != PSA_M_OTHER) return;
    psa_buf_comma(line);
    while (dot) {
        psa_buf_quote(line, (struct psa_str){ path, (size_t)(dot - path) });
        psa_buf_puts(line, ":{");
        depth++;
        path = dot + 1;
        dot = strchr(path, '.');
    }
    psa_buf_quote(line, psa_str_of(path));
    psa_buf_puts(line, ":");
    psa_buf_quote(line, value);
    while (depth--) psa_buf_puts(line, "}");
}

static void put_known(struct psa_buf *line, const char *name, struct psa_str value)
{
    if (value.n) psa_buf_member_text(line, name, value);
}

/* The record of a silence: which sensor, how long, when. */
static struct psa_record *make_record(struct psa_node *node, const struct psa_alert_slot *slot, double seconds,
                                      struct psa_error *error)
{
    struct psa_alert *alert = node->state;
    struct psa_buf *line = &alert->line;
    struct psa_decoded decoded;

    line->n = 0;
    psa_buf_puts(line, "{");
    put_known(line, "sensor_type", slot->sensor_type);
    put_known(line, "sensor_model", slot->sensor_model);
    put_known(line, "sensor_id", slot->sensor_id);
    if (node->options.key) put_path(line, node->options.key, slot->slot.key);
    psa_buf_name(line, "fields");
    psa_buf_puts(line, "{");
    psa_buf_member_number(line, "silent_s", seconds);
    psa_buf_puts(line, "}");
    psa_buf_member_int(line, "timestamp_ns", alert->clock.now_ns);
    psa_buf_puts(line, "}");
    if (line->failed) {
        psa_fail_memory(error, "writing an alert");
        return NULL;
    }
    if (psa_decode(alert->decoder, psa_buf_str(line), &decoded) == PSA_LINE_RECORD) return decoded.record;
    psa_fail(error, PSA_EXIT_RUNTIME, "cannot make the record of a silence: %s", decoded.why);
    return NULL;
}

/* What a silence is worth: nothing new, if the sensor says itself that it is down. */
static enum psa_alert_severity severity_of(const struct psa_alert *alert, const struct psa_alert_slot *slot)
{
    return slot->status.active ? PSA_ALERT_INFO : alert->lost;
}

/* since_ns: of silent_since. */
static int write_alert(struct psa_node *node, struct psa_alert_slot *slot, const char *state, int64_t since_ns,
                       struct psa_error *error)
{
    struct psa_alert *alert = node->state;
    double seconds = psa_alert_seconds(alert->clock.now_ns, since_ns);
    struct psa_record *record = make_record(node, slot, seconds, error);
    struct psa_alert_words words = {
        .kind = PSA_ALERT_SILENCE, .state = state, .since_ns = since_ns, .score = NAN, .threshold = NAN
    };

    if (!record) return -1;
    explain(node, slot, state, seconds, since_ns, &words.reason);
    if (psa_alert_put(node, slot, &words, alert->clock.elapsed_ns, record, error) != 0) return -1;
    return psa_emit(node, record, error);
}

static int raise_silence(struct psa_node *node, struct psa_alert_slot *slot, struct psa_error *error)
{
    struct psa_alert *alert = node->state;

    slot->silence.since_ns = silent_since(alert, slot);
    psa_alert_wait_on(alert, slot);
    slot->silence.severity = severity_of(alert, slot);
    slot->silence.suppressed = 0;
    return write_alert(node, slot, "raised", slot->silence.since_ns, error);
}

static int go_on(struct psa_node *node, struct psa_alert_slot *slot, struct psa_error *error)
{
    struct psa_alert *alert = node->state;

    psa_alert_wait_on(alert, slot);
    if (psa_alert_calm_at(node, slot->slot.key, alert->clock.now_ns)) { /* as if it had been told of */
        slot->silence.last_ns = alert->clock.elapsed_ns;
        return 0;
    }
    if ((int64_t)severity_of(alert, slot) > slot->silence.severity) slot->silence.severity = severity_of(alert, slot);
    return write_alert(node, slot, "ongoing", silent_since(alert, slot), error);
}

/* Whoever is due now. */
static int look_around(struct psa_node *node, struct psa_error *error)
{
    const struct psa_alert_config *config = node->config;
    struct psa_alert *alert = node->state;
    int64_t now = alert->clock.elapsed_ns, cooldown_ns = config->cooldown_ns > 0 ? config->cooldown_ns : 1;
    struct psa_alert_slot *slot;

    while ((slot = psa_alert_next_due(node)))
        if (raise_silence(node, slot, error) != 0) return -1;
    while ((slot = alert->silent.first) && psa_ns_since(now, slot->silence.last_ns) >= cooldown_ns)
        if (go_on(node, slot, error) != 0) return -1;
    return 0;
}

int psa_alert_silence_worse(struct psa_node *node, struct psa_alert_slot *slot, struct psa_error *error)
{
    if (!slot->silence.active || (int64_t)severity_of(node->state, slot) <= slot->silence.severity) return 0;
    return go_on(node, slot, error);
}

/* ---- keys that are expected -------------------------------------------------------------------------------------------- */

bool psa_alert_keep(struct psa_str *place, struct psa_str text)
{
    char *copy = text.n ? malloc(text.n) : NULL;

    if (text.n && !copy) return false;
    if (copy) memcpy(copy, text.p, text.n);
    free((char *)place->p);
    *place = (struct psa_str){ copy, text.n };
    return true;
}

/* TYPE/ID as psa shows keys; without a slash it is an id. With --key it is the key itself. */
static struct psa_str expected_key(const struct psa_node *node, struct psa_str name, struct psa_str *type,
                                   struct psa_str *id)
{
    struct psa_alert *alert = node->state;

    *type = *id = (struct psa_str){ NULL, 0 };
    if (node->options.key) return name;
    psa_key_read(name, type, id);
    return psa_key_make(&alert->key, *type, *id);
}

/* The next name, without the blanks around it. */
static struct psa_str next_expected(const char **list)
{
    struct psa_str name = psa_list_next(list, NULL);

    while (name.n && strchr(" \t\n", name.p[0])) name = (struct psa_str){ name.p + 1, name.n - 1 };
    while (name.n && strchr(" \t\n", name.p[name.n - 1])) name.n--;
    return name;
}

int psa_alert_check_expected(const struct psa_node *node, struct psa_error *error)
{
    const struct psa_alert_config *config = node->config;
    const char *list = config->expect;
    int64_t n = 0;

    if (!list) return 0;
    if (!config->silent_ns) return psa_fail(error, PSA_EXIT_PERMANENT, "--expect means nothing with --silent 0");
    while (list) {
        struct psa_str name = next_expected(&list);
        const char *slash = node->options.key || !name.n ? NULL : memchr(name.p, '/', name.n);

        if (!name.n || (slash && (slash == name.p || slash == name.p + name.n - 1)))
            return psa_fail(error, PSA_EXIT_PERMANENT, "--expect: '%s' has an empty name%s; give TYPE/ID,TYPE/ID",
                            config->expect, name.n ? ", type or id" : "");
        n++;
    }
    if (n >= node->options.max_keys) /* room for one that is not expected, or it would take its own place */
        return psa_fail(error, PSA_EXIT_PERMANENT,
                        "--expect names %lld streams; --max-keys must be above that, not %lld", (long long)n,
                        (long long)node->options.max_keys);
    return 0;
}

/* Event time is known: those that have not been heard begin to be waited for. */
static int expect(struct psa_node *node, struct psa_error *error)
{
    const struct psa_alert_config *config = node->config;
    struct psa_alert *alert = node->state;
    const char *list = config->expect;

    alert->expecting = true;
    while (list) {
        struct psa_str type, id, key = expected_key(node, next_expected(&list), &type, &id);
        struct psa_alert_slot *slot = (struct psa_alert_slot *)psa_keyed_peek(node->keyed, key);

        if (slot && slot->turn) continue;
        if (!slot) slot = (struct psa_alert_slot *)psa_slot_of(node, key);
        if (!slot || !psa_alert_keep(&slot->sensor_type, type) || !psa_alert_keep(&slot->sensor_id, id))
            return psa_fail_memory(error, "opening a key");
        if (psa_alert_listen(node, slot, error) != 0) return -1;
    }
    return 0;
}

/* ---- hearing ------------------------------------------------------------------------------------------------------------- */

/* The key's first record: what alerts of its silence will need. */
static int make_known(struct psa_alert_slot *slot, struct psa_record *record, struct psa_error *error)
{
    slot->known = true;
    if (psa_alert_keep(&slot->sensor_type, record->sensor_type) &&
        psa_alert_keep(&slot->sensor_id, record->sensor_id) &&
        psa_alert_keep(&slot->sensor_model, psa_record_path(record, "sensor_model")))
        return 0;
    return psa_fail_memory(error, "opening a key");
}

int psa_alert_hear(struct psa_node *node, struct psa_str key, struct psa_alert_slot *slot, struct psa_record *record,
                   struct psa_error *error)
{
    const struct psa_alert_config *config = node->config;
    struct psa_alert *alert = node->state;
    int64_t mover = (int64_t)(psa_hash(PSA_HASH_START, key.p, key.n) >> 1 | 1);

    if (!config->silent_ns) return 0;
    move_by_record(node, record->timestamp_ns, mover);
    if (!alert->expecting && expect(node, error) != 0) return -1;
    if (slot && slot->silence.active && write_alert(node, slot, "cleared", silent_since(alert, slot), error) != 0)
        return -1;
    if (slot && slot->known) psa_alert_pace_step(node, slot);
    if (slot && psa_alert_listen(node, slot, error) != 0) return -1;
    if (slot && !slot->known && make_known(slot, record, error) != 0) return -1;
    return look_around(node, error);
}

int psa_alert_late(struct psa_node *node, struct psa_record *record, struct psa_error *error)
{
    const struct psa_alert_config *config = node->config;
    struct psa_alert *alert = node->state;
    struct psa_str key = psa_node_key(node, record);
    struct psa_alert_slot *slot;

    if (!config->silent_ns || !key.p || !record->has_time) return 0;
    slot = (struct psa_alert_slot *)psa_keyed_peek(node->keyed, key);
    if (!slot || !psa_slot_late(&slot->slot, record)) return 0;
    slot->late = psa_ns_add(slot->late, 1);
    move_by_record(node, record->timestamp_ns,
                   alert->clock.mover); /* nobody else's word against that of the only mover */
    return look_around(node, error);
}

int psa_alert_heartbeat(struct psa_node *node, int64_t ns, struct psa_error *error)
{
    const struct psa_alert_config *config = node->config;
    struct psa_alert *alert = node->state;

    if (!config->silent_ns) return 0;
    move_by_heartbeat(node, ns);
    if (!alert->expecting && expect(node, error) != 0) return -1;
    return look_around(node, error);
}
