/*
 * alert_state.c - what psa-alert remembers, saved and loaded. See alert.h.
 *
 * {"now_ns":..,"elapsed_ns":..,...,"keys":[{"key":..,"anomaly":{..},...},...]}: event time, then a slot for each key with its
 * events, history, pace and, with --evidence, its last records and open bundles. A state is taken whole or refused.
 */
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/keyed.h"
#include "stage/alert.h"

/* ---- states --------------------------------------------------------------------------------------------------------------- */

/* An alert that nothing will clear any more. */
static void say_forgotten(struct psa_node *node, const struct psa_alert_slot *slot)
{
    char shown[128];

    if (!slot->anomaly.active && !slot->silence.active && !slot->status.active) return;
    psa_say(node, "forgotten",
            "%s: forgotten for --max-keys %lld while it has an alert (%s), which will never be cleared; give a higher "
            "--max-keys",
            psa_key_show(slot->slot.key, shown), (long long)node->options.max_keys,
            slot->status.active    ? "status"
            : slot->silence.active ? "silence"
                                   : "anomaly");
}

static void drop_slot(struct psa_slot *base)
{
    struct psa_alert_slot *slot = (struct psa_alert_slot *)base;
    struct psa_node *node = base->owner;

    if (node->state) { /* for --max-keys; at the end of the run there is none */
        say_forgotten(node, slot);
        psa_alert_evidence_flush(node, slot);
        psa_alert_forget(node->state, slot);
    }
    psa_alert_evidence_drop(slot);
    free((char *)slot->sensor_type.p);
    free((char *)slot->sensor_model.p);
    free((char *)slot->sensor_id.p);
}

static void save_event(const struct psa_alert_event *event, const char *name, struct psa_buf *out)
{
    psa_buf_name(out, name);
    psa_buf_puts(out, "{");
    psa_buf_member_bool(out, "active", event->active);
    psa_buf_member_int(out, "since_ns", event->since_ns);
    psa_buf_member_int(out, "last_ns", event->last_ns);
    psa_buf_member_int(out, "suppressed", event->suppressed);
    psa_buf_member_int(out, "severity", event->severity);
    psa_buf_puts(out, "}");
}

static void save_slot(const struct psa_slot *base, struct psa_buf *out)
{
    const struct psa_alert_slot *slot = (const struct psa_alert_slot *)base;

    save_event(&slot->anomaly, "anomaly", out);
    save_event(&slot->silence, "silence", out);
    save_event(&slot->status, "status", out);
    psa_buf_member_int(out, "history", (int64_t)slot->history);
    psa_buf_name(out, "time_ns");
    psa_buf_puts(out, "[");
    for (size_t i = 0; !slot->anomaly.active && i < PSA_ALERT_HISTORY_MAX && slot->history >> i; i++) {
        psa_buf_comma(out);
        psa_buf_int(out, slot->time_ns[i]);
    }
    psa_buf_puts(out, "]");
    psa_buf_member_int(out, "normal_run", slot->normal_run);
    psa_buf_member_bool(out, "known", slot->known);
    psa_buf_member_int(out, "seen_ns", slot->seen_ns);
    psa_buf_member_int(out, "seen_elapsed", slot->seen_elapsed);
    psa_buf_name(out, "interval_ns");
    psa_buf_puts(out, "[");
    for (size_t i = 0; i < slot->pace.n; i++) {
        psa_buf_comma(out);
        psa_buf_int(out, slot->pace.interval_ns[i]);
    }
    psa_buf_puts(out, "]");
    psa_buf_member_int(out, "stretch_ns", slot->pace.stretch_ns);
    psa_buf_member_int(out, "grace_ns", slot->grace_ns);
    psa_buf_member_int(out, "rest_ns", slot->rest_ns);
    psa_buf_member_int(out, "late", slot->late);
    psa_buf_member_int(out, "turn", slot->turn);
    psa_buf_member_text(out, "sensor_type", slot->sensor_type);
    psa_buf_member_text(out, "sensor_model", slot->sensor_model);
    psa_buf_member_text(out, "sensor_id", slot->sensor_id);
    if (slot->has_status) psa_buf_member_int(out, "status_ns", slot->status_ns);
    psa_buf_member_bool(out, "down", slot->down);
    psa_buf_member_text(out, "fault", psa_str_of(slot->fault));
    psa_alert_evidence_save(slot, out);
}

/* At most `most` numbers, *n of them. */
static bool load_times(int64_t *time_ns, size_t most, size_t *n, struct psa_json *in)
{
    *n = 0;
    if (!psa_json_enter_array(in)) return false;
    while (psa_json_next_item(in)) {
        if (*n == most) return false;
        time_ns[(*n)++] = psa_json_int(in);
    }
    return !in->fault.what;
}

/* Each member once. */
static bool load_event(struct psa_alert_event *event, struct psa_json *in)
{
    enum { ACTIVE = 1, SINCE = 2, LAST = 4, SUPPRESSED = 8, SEVERITY = 16, WHOLE = 31 };
    struct psa_str name;
    int seen = 0, bit;

    if (!psa_json_enter_object(in)) return false;
    for (; psa_json_next_member(in, &name); seen |= bit) {
        if (psa_str_eq(name, "active")) event->active = psa_json_bool(in), bit = ACTIVE;
        else if (psa_str_eq(name, "since_ns")) event->since_ns = psa_json_int(in), bit = SINCE;
        else if (psa_str_eq(name, "last_ns")) event->last_ns = psa_json_int(in), bit = LAST;
        else if (psa_str_eq(name, "suppressed")) event->suppressed = psa_json_int(in), bit = SUPPRESSED;
        else if (psa_str_eq(name, "severity")) event->severity = psa_json_int(in), bit = SEVERITY;
        else return false;
        if (seen & bit) return false;
    }
    return seen == WHOLE && event->severity >= PSA_ALERT_INFO && event->severity <= PSA_ALERT_CRITICAL &&
           event->suppressed >= 0;
}

static bool load_text(struct psa_str *place, struct psa_json *in)
{
    struct psa_str text = psa_json_text(in);

    return text.p && psa_alert_keep(place, text);
}

static bool load_fault(struct psa_alert_slot *slot, struct psa_json *in)
{
    struct psa_str text = psa_json_text(in);

    if (!text.p || text.n >= sizeof slot->fault || memchr(text.p, 0, text.n)) return false;
    memcpy(slot->fault, text.p, text.n);
    return true;
}

static bool load_status_time(struct psa_alert_slot *slot, struct psa_json *in)
{
    slot->has_status = true;
    slot->status_ns = psa_json_int(in);
    return true;
}

static bool load_slot(struct psa_slot *base, struct psa_str name, struct psa_json *in)
{
    struct psa_alert_slot *slot = (struct psa_alert_slot *)base;
    struct psa_alert_pace *pace = &slot->pace;
    size_t n;

    if (psa_str_eq(name, "anomaly")) return load_event(&slot->anomaly, in);
    if (psa_str_eq(name, "silence")) return load_event(&slot->silence, in);
    if (psa_str_eq(name, "status")) return load_event(&slot->status, in);
    if (psa_str_eq(name, "time_ns")) return load_times(slot->time_ns, PSA_ALERT_HISTORY_MAX, &n, in);
    if (psa_str_eq(name, "interval_ns")) return load_times(pace->interval_ns, PSA_ALERT_INTERVALS, &pace->n, in);
    if (psa_str_eq(name, "sensor_type")) return load_text(&slot->sensor_type, in);
    if (psa_str_eq(name, "sensor_model")) return load_text(&slot->sensor_model, in);
    if (psa_str_eq(name, "sensor_id")) return load_text(&slot->sensor_id, in);
    if (psa_str_eq(name, "status_ns")) return load_status_time(slot, in);
    if (psa_str_eq(name, "fault")) return load_fault(slot, in);
    if (psa_str_eq(name, "evidence")) return psa_alert_evidence_load(slot, in);
    if (psa_str_eq(name, "history")) slot->history = (uint64_t)psa_json_int(in);
    else if (psa_str_eq(name, "normal_run")) slot->normal_run = psa_json_int(in);
    else if (psa_str_eq(name, "known")) slot->known = psa_json_bool(in);
    else if (psa_str_eq(name, "seen_ns")) slot->seen_ns = psa_json_int(in);
    else if (psa_str_eq(name, "seen_elapsed")) slot->seen_elapsed = psa_json_int(in);
    else if (psa_str_eq(name, "stretch_ns")) pace->stretch_ns = psa_json_int(in);
    else if (psa_str_eq(name, "grace_ns")) slot->grace_ns = psa_json_int(in);
    else if (psa_str_eq(name, "rest_ns")) slot->rest_ns = psa_json_int(in);
    else if (psa_str_eq(name, "down")) slot->down = psa_json_bool(in);
    else if (psa_str_eq(name, "late")) slot->late = psa_json_int(in);
    else if (psa_str_eq(name, "turn")) slot->turn = psa_json_int(in);
    else return false;
    return true;
}

/* A key is known, and silent, only while it is waited for. */
static bool loaded_slot(struct psa_slot *base)
{
    struct psa_alert_slot *slot = (struct psa_alert_slot *)base;
    struct psa_alert_pace *pace = &slot->pace;

    for (size_t i = 0; i < pace->n; i++)
        if (pace->interval_ns[i] < 0) return false;
    if (pace->stretch_ns < 0) return false;
    psa_alert_pace_settle(pace);
    return slot->normal_run >= 0 && slot->turn >= 0 && slot->grace_ns >= 0 && slot->rest_ns >= 0 && slot->late >= 0 &&
           (slot->turn || !(slot->silence.active || slot->known)) && (slot->down || !slot->status.active) &&
           psa_alert_evidence_loaded(base->owner, slot);
}

static const char *const saved_members[] = {
    "anomaly",     "silence",      "status",      "history",    "time_ns",  "normal_run", "known",
    "seen_ns",     "seen_elapsed", "interval_ns", "stretch_ns", "grace_ns", "late",       "turn",
    "sensor_type", "sensor_model", "sensor_id",   "fault",      "rest_ns",  "down",       NULL
};
const struct psa_slot_type psa_alert_slot_type = { .size = sizeof(struct psa_alert_slot),
                                                   .drop = drop_slot,
                                                   .save = save_slot,
                                                   .load = load_slot,
                                                   .loaded = loaded_slot,
                                                   .needs = saved_members };

/* What the node's slots do not hold: event time, and for which --expect they were begun. */
int psa_alert_save(struct psa_node *node, struct psa_buf *out, struct psa_error *error)
{
    const struct psa_alert_config *config = node->config;
    const struct psa_alert *alert = node->state;
    const struct psa_alert_clock *clock = &alert->clock;

    psa_buf_puts(out, "{");
    if (clock->has_time) psa_buf_member_int(out, "now_ns", clock->now_ns);
    psa_buf_member_int(out, "elapsed_ns", clock->elapsed_ns);
    if (clock->has_far) psa_buf_member_int(out, "far_first_ns", clock->far_first_ns);
    if (clock->has_far) psa_buf_member_int(out, "far_newest_ns", clock->far_newest_ns);
    if (clock->has_ahead) psa_buf_member_int(out, "ahead_ns", clock->ahead_ns);
    if (clock->has_beat) psa_buf_member_int(out, "beat_ns", clock->beat_ns);
    psa_buf_member_int(out, "beat_step_ns", clock->beat_step_ns);
    psa_buf_member_int(out, "strays", clock->strays);
    psa_buf_member_int(out, "mover", clock->mover);
    psa_buf_member_int(out, "turn", alert->turn);
    if (alert->expecting) psa_buf_member_text(out, "expected", psa_str_of(config->expect ? config->expect : ""));
    psa_alert_evidence_save_names(node, out);
    psa_buf_name(out, "keys");
    psa_keyed_save(node->keyed, out);
    psa_buf_puts(out, "}");
    return out->failed ? psa_fail_memory(error, "saving the state") : 0;
}

/* What a state has besides its keys, each a bit in a set of those seen. */
enum {
    NOW = 1,
    ELAPSED = 2,
    FAR_FIRST = 4,
    FAR_NEWEST = 8,
    MOVER = 16,
    TURN = 32,
    EXPECTED = 64,
    KEYS = 128,
    AHEAD = 256,
    BEAT = 512,
    BEAT_STEP = 1024,
    STRAYS = 2048,
    BUNDLES = 4096
};

/* One member of the state's object: the bit that stands for it, 0 for one that there is not. */
static int load_member(struct psa_node *node, struct psa_str name, struct psa_json *in)
{
    const struct psa_alert_config *config = node->config;
    struct psa_alert *alert = node->state;
    struct psa_alert_clock *clock = &alert->clock;
    const struct {
        const char *name;
        int64_t *value;
        int bit;
    } numbers[] = { { "now_ns", &clock->now_ns, NOW },
                    { "elapsed_ns", &clock->elapsed_ns, ELAPSED },
                    { "far_first_ns", &clock->far_first_ns, FAR_FIRST },
                    { "far_newest_ns", &clock->far_newest_ns, FAR_NEWEST },
                    { "ahead_ns", &clock->ahead_ns, AHEAD },
                    { "beat_ns", &clock->beat_ns, BEAT },
                    { "beat_step_ns", &clock->beat_step_ns, BEAT_STEP },
                    { "strays", &clock->strays, STRAYS },
                    { "mover", &clock->mover, MOVER },
                    { "turn", &alert->turn, TURN } };

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (!psa_str_eq(name, numbers[i].name)) continue;
        *numbers[i].value = psa_json_int(in);
        return numbers[i].bit;
    }
    if (psa_str_eq(name, "expected")) {
        struct psa_str text = psa_json_text(in);

        alert->expecting = text.p && psa_str_eq(text, config->expect ? config->expect : "");
        return EXPECTED;
    }
    if (psa_str_eq(name, "bundles")) return psa_alert_evidence_load_names(node, in) ? BUNDLES : 0;
    if (!psa_str_eq(name, "keys")) return 0;
    (void)psa_keyed_load(node->keyed, in); /* a fault stays in `in` */
    return KEYS;
}

int psa_alert_load(struct psa_node *node, struct psa_json *in, struct psa_error *error)
{
    struct psa_alert *alert = node->state;
    const int needs = ELAPSED | BEAT_STEP | STRAYS | MOVER | TURN | KEYS;
    struct psa_str name;
    int seen = 0;

    (void)error; /* a fault stays in `in`, where the node finds it */
    psa_json_enter_object(in);
    while (psa_json_next_member(in, &name)) {
        int bit = load_member(node, name, in);

        if (!bit || seen & bit) psa_json_refuse(in, "a member that this state does not have, or twice");
        seen |= bit;
    }
    if (in->fault.what) return 0;
    alert->clock.has_time = seen & NOW;
    alert->clock.has_far = seen & FAR_NEWEST;
    alert->clock.has_ahead = seen & AHEAD;
    alert->clock.has_beat = seen & BEAT;
    if ((seen & needs) != needs || !(seen & FAR_FIRST) != !(seen & FAR_NEWEST) || alert->clock.elapsed_ns < 0 ||
        alert->clock.beat_step_ns < 0 || alert->clock.strays < 0 || alert->turn < 0)
        psa_json_refuse(in, "a state that is not whole");
    else if (!psa_alert_listen_again(node)) psa_json_refuse(in, "keys that are not in the order of their time");
    return 0;
}
