/* alert_anomaly.c - a key's scores: the state machine that alert.c states at its top. See alert.h. */
#include <math.h>
#include <string.h>

#include "core/error.h"
#include "core/number.h"
#include "stage/alert.h"

enum {
    TOP_SHOWN = 3,
    NAME_SHOWN = 80,      /* bytes of a name in a sentence */
    CONDITION_SHOWN = 200 /* of --when */
};

/* What a scored record says. */
struct verdict {
    bool counts, anomalous;
    double score, threshold;
    struct psa_str model, top; /* top: its JSON text */
    enum psa_alert_severity severity;
};

/* ---- reading the verdict ----------------------------------------------------------------------------------------------- */

static enum psa_alert_severity grade(const struct psa_alert_config *config, double score)
{
    if (score > config->critical) return PSA_ALERT_CRITICAL;
    return score > config->warning ? PSA_ALERT_WARNING : PSA_ALERT_INFO;
}

/* NaN for null and for what no double holds. */
static double read_number(struct psa_json *in)
{
    struct psa_str text = psa_json_skip(in);
    double number;

    return text.p && psa_number_parse(text.p, text.p + text.n, &number) && isfinite(number) ? number : NAN;
}

/* What psa-score says. false: the record has not been scored, or says nothing that can be read. */
static bool read_verdict(struct psa_node *node, const struct psa_record *record, struct verdict *verdict)
{
    struct psa_alert *alert = node->state;
    const struct psa_member *anomaly = psa_record_member(record, PSA_M_ANOMALY);
    const struct psa_field *score = psa_record_field(record, psa_str_of("anomaly_score"), 0);
    struct psa_str name, state = { NULL, 0 };
    struct psa_json in;
    bool judged = false;

    *verdict = (struct verdict){ .score = NAN, .threshold = NAN };
    if (score && score->kind == PSA_NUMBER) verdict->score = score->number;
    verdict->severity = grade(node->config, verdict->score);
    if (!anomaly || *anomaly->text.p != '{') return false;
    psa_arena_reset(&alert->arena);
    psa_json_open(&in, anomaly->text, &alert->arena);
    psa_json_enter_object(&in);
    while (psa_json_next_member(&in, &name)) {
        if (psa_str_eq(name, "is_anomaly")) {
            verdict->anomalous = psa_json_bool(&in);
            judged = true;
        } else if (psa_str_eq(name, "threshold")) verdict->threshold = read_number(&in);
        else if (psa_str_eq(name, "model")) verdict->model = psa_json_text(&in);
        else if (psa_str_eq(name, "state")) state = psa_json_text(&in);
        else if (psa_str_eq(name, "top")) verdict->top = psa_json_skip(&in);
        else psa_json_skip(&in);
    }
    verdict->counts = !state.p || psa_str_eq(state, "scoring");
    return !in.fault.what && (judged || !verdict->counts);
}

/* What --when says instead. What psa-score says, if it was asked, still explains and grades. */
static void ask_condition(struct psa_node *node, const struct psa_record *record, struct verdict *verdict)
{
    const struct psa_alert_config *config = node->config;
    const struct psa_alert *alert = node->state;
    struct verdict scored;
    const char *fault = "memory is out";
    bool holds = !alert->own.failed && psa_condition_holds_text(alert->condition, psa_buf_str(&alert->own), &fault);

    if (!read_verdict(node, record, &scored)) scored.model = scored.top = (struct psa_str){ NULL, 0 };
    *verdict = scored;
    verdict->counts = true;
    verdict->anomalous = holds;
    if (isnan(scored.score) || (config->when_severity_given && verdict->severity < alert->when_severity))
        verdict->severity = alert->when_severity;
    if (!fault) return;
    psa_note(node, "condition");
    psa_say(node, "condition", "--when: %s; taken for a record that the condition does not hold for", fault);
}

/* ---- writing ------------------------------------------------------------------------------------------------------------ */

/* "; driven by accel_z_kurtosis 61 %, accel_x_rms 20 %" from the top member. A share that is no number, null where a
 * detector ran out of doubles, says nothing and is passed over. */
static void add_top(struct psa_alert_sentence *sentence, struct psa_str top, struct psa_arena *arena)
{
    struct psa_json in;
    int shown = 0;

    if (!top.p) return;
    psa_json_open(&in, top, arena);
    if (!psa_json_enter_array(&in)) return;
    while (shown < TOP_SHOWN && psa_json_next_item(&in)) {
        struct psa_str name;
        double share;

        if (!psa_json_enter_array(&in) || !psa_json_next_item(&in)) return;
        name = psa_json_text(&in);
        if (!psa_json_next_item(&in)) return;
        share = read_number(&in);
        if (psa_json_next_item(&in) || in.fault.what) return;
        if (!isfinite(share)) continue;
        psa_alert_add(sentence, "%s%.*s %.0f %%", shown++ ? ", " : "; driven by ", psa_alert_shown_of(name, NAME_SHOWN),
                      name.p, 100 * share);
    }
}

/* The condition '.fields.temperature_C > 90' holds. */
static void add_condition(const struct psa_alert *alert, const char *verb, struct psa_alert_sentence *sentence)
{
    struct psa_str text = psa_str_of(psa_condition_text(alert->condition));

    psa_alert_add(sentence, "the condition '%.*s' %s", psa_alert_shown_of(text, CONDITION_SHOWN), text.p, verb);
}

static void explain(struct psa_node *node, const struct psa_alert_slot *slot, const struct verdict *verdict,
                    int64_t now_ns, const char *state, struct psa_alert_sentence *sentence)
{
    struct psa_alert *alert = node->state;
    double seconds = psa_alert_seconds(now_ns, slot->anomaly.since_ns);
    char shown[128];

    psa_alert_add(sentence, "%s: ", psa_key_show(slot->slot.key, shown));
    if (strcmp(state, "cleared") == 0) {
        if (alert->condition) {
            add_condition(alert, "holds no more", sentence);
            psa_alert_add(sentence, "; ");
        }
        psa_alert_add(sentence, "normal again after %.1f s", seconds);
        psa_alert_end_whole(sentence);
        return;
    }
    if (strcmp(state, "ongoing") == 0) psa_alert_add(sentence, "for %.1f s now, ", seconds);
    if (alert->condition) add_condition(alert, "holds", sentence);
    else if (isnan(verdict->score)) psa_alert_add(sentence, "anomalous, without a score");
    else psa_alert_add(sentence, "anomaly score %.3f", verdict->score);
    if (!alert->condition && !isnan(verdict->score) && !isnan(verdict->threshold))
        psa_alert_add(sentence, " above its threshold %.3f", verdict->threshold);
    if (alert->condition && !isnan(verdict->score)) {
        psa_alert_add(sentence, "; anomaly score %.3f", verdict->score);
        if (!isnan(verdict->threshold)) psa_alert_add(sentence, ", threshold %.3f", verdict->threshold);
    }
    if (verdict->model.p)
        psa_alert_add(sentence, " by %.*s", psa_alert_shown_of(verdict->model, NAME_SHOWN), verdict->model.p);
    add_top(sentence, verdict->top, &alert->arena);
    psa_alert_end_whole(sentence);
}

static int write_alert(struct psa_node *node, struct psa_alert_slot *slot, struct psa_record *record,
                       const struct verdict *verdict, const char *state, struct psa_error *error)
{
    struct psa_alert_words words = { .kind = PSA_ALERT_ANOMALY,
                                     .since_ns = slot->anomaly.since_ns,
                                     .state = state,
                                     .score = verdict->score,
                                     .threshold = verdict->threshold,
                                     .model = verdict->model,
                                     .top = verdict->top };

    explain(node, slot, verdict, record->timestamp_ns, state, &words.reason);
    if (psa_alert_put(node, slot, &words, record->timestamp_ns, record, error) != 0) return -1;
    return psa_pass(node, record, error);
}

/* ---- the state machine ------------------------------------------------------------------------------------------------------------ */

static uint64_t newest(const struct psa_alert *alert, uint64_t history)
{
    return alert->raise_n == PSA_ALERT_HISTORY_MAX ? history : history & ((UINT64_C(1) << alert->raise_n) - 1);
}

/* One more counted record in the history; its time too, as long as an event may begin with it. */
static void remember(const struct psa_alert *alert, struct psa_alert_slot *slot, const struct psa_record *record,
                     bool anomalous)
{
    slot->history = slot->history << 1 | anomalous;
    if (slot->anomaly.active) return;
    memmove(slot->time_ns + 1, slot->time_ns, ((size_t)alert->raise_n - 1) * sizeof *slot->time_ns);
    slot->time_ns[0] = record->timestamp_ns;
}

static int on_anomalous(struct psa_node *node, struct psa_alert_slot *slot, struct psa_record *record,
                        const struct verdict *verdict, struct psa_error *error)
{
    const struct psa_alert_config *config = node->config;
    const struct psa_alert *alert = node->state;

    slot->normal_run = 0;
    remember(alert, slot, record, true);
    if (!slot->anomaly.active) {
        if (__builtin_popcountll(newest(alert, slot->history)) < alert->raise_k) return psa_absorb(node);
        slot->anomaly.since_ns = slot->time_ns[63 - __builtin_clzll(newest(alert, slot->history))];
        slot->anomaly.active = true;
        slot->anomaly.severity = verdict->severity;
        slot->anomaly.suppressed = 0;
        return write_alert(node, slot, record, verdict, "raised", error);
    }
    if ((int64_t)verdict->severity > slot->anomaly.severity) {
        slot->anomaly.severity = verdict->severity;
        return write_alert(node, slot, record, verdict, "ongoing", error);
    }
    if (psa_ns_since(record->timestamp_ns, slot->anomaly.last_ns) >= config->cooldown_ns)
        return write_alert(node, slot, record, verdict, "ongoing", error);
    slot->anomaly.suppressed++;
    return psa_absorb(node);
}

static int on_normal(struct psa_node *node, struct psa_alert_slot *slot, struct psa_record *record,
                     const struct verdict *verdict, struct psa_error *error)
{
    const struct psa_alert_config *config = node->config;

    remember(node->state, slot, record, false);
    if (!slot->anomaly.active || ++slot->normal_run < config->clear) return psa_absorb(node);
    slot->anomaly.active = false;
    slot->history = 0;
    slot->normal_run = 0;
    return write_alert(node, slot, record, verdict, "cleared", error);
}

int psa_alert_anomaly_push(struct psa_node *node, struct psa_alert_slot *slot, struct psa_record *record,
                           struct psa_error *error)
{
    struct psa_alert *alert = node->state;
    struct verdict verdict;

    if (slot->calm.inside) {
        psa_note(node, "maintenance");
        return psa_absorb(node);
    }
    if (alert->condition) {
        ask_condition(node, record, &verdict);
    } else if (!read_verdict(node, record, &verdict)) {
        psa_note(node, "unscored");
        if (psa_record_member(record, PSA_M_ANOMALY))
            psa_say(node, "unscored",
                    "the record's member anomaly has no is_anomaly that can be read; taken for unscored");
        else psa_say(node, "unscored", "the record has no anomaly member; put psa-score before psa-alert");
        return psa_absorb(node);
    }
    if (!verdict.counts) {
        psa_note(node, "not_scoring");
        return psa_absorb(node);
    }
    if (verdict.anomalous) return on_anomalous(node, slot, record, &verdict, error);
    return on_normal(node, slot, record, &verdict, error);
}
