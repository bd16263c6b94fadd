/*
 * alert_status.c - what sensors say of themselves: records of sensor_type "status". See alert.h and psa-record(5).
 *
 *   up   --fields.up 0------------------------>  down   writes `raised`
 *   down --fields.up 0, cooldown over--------->  down   writes `ongoing`
 *   down --fields.up 0 otherwise-------------->  down   counted as suppressed
 *   down --fields.up above 0------------------>  up     writes `cleared`
 *
 * A sensor that is up and says so is nothing to tell, and opens no key. The key is that of the sensor meant, `of` and
 * sensor_id, whatever --key says: one key may hold several sensors.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/error.h"
#include "stage/alert.h"

enum { REASON_SHOWN = 300 };

static struct psa_str key_of(struct psa_alert *alert, struct psa_record *record)
{
    struct psa_str of = psa_record_path(record, "of");

    return psa_key_make(&alert->key, of, record->sensor_id);
}

static int write_alert(struct psa_node *node, struct psa_alert_slot *slot, struct psa_record *record, const char *state,
                       struct psa_error *error)
{
    struct psa_alert_words words = {
        .kind = PSA_ALERT_STATUS, .state = state, .since_ns = slot->status.since_ns, .score = NAN, .threshold = NAN
    };
    struct psa_alert_sentence *sentence = &words.reason;
    struct psa_str why = psa_record_path(record, "reason");
    double seconds = psa_alert_seconds(record->timestamp_ns, slot->status.since_ns);
    char shown[128];

    psa_alert_add(sentence, "%s: ", psa_key_show(slot->slot.key, shown));
    if (strcmp(state, "cleared") == 0) psa_alert_add(sentence, "up again after %.1f s", seconds);
    else if (strcmp(state, "ongoing") == 0) psa_alert_add(sentence, "down for %.1f s now", seconds);
    else psa_alert_add(sentence, "down");
    if (slot->status.active && *slot->fault) psa_alert_add(sentence, " (%s)", slot->fault);
    if (slot->status.active && why.n) psa_alert_add(sentence, ": %.*s", psa_alert_shown_of(why, REASON_SHOWN), why.p);
    psa_alert_end_whole(sentence);
    if (psa_alert_put(node, slot, &words, record->timestamp_ns, record, error) != 0) return -1;
    return psa_pass(node, record, error);
}

/* What it is worth that the sensor is down: nothing new, if its silence has been told at that worth already. */
static enum psa_alert_severity severity_of(const struct psa_alert *alert, const struct psa_alert_slot *slot)
{
    return slot->silence.active && slot->silence.severity >= (int64_t)alert->lost ? PSA_ALERT_INFO : alert->lost;
}

static int on_down(struct psa_node *node, struct psa_alert_slot *slot, struct psa_record *record,
                   struct psa_error *error)
{
    const struct psa_alert_config *config = node->config;
    const struct psa_alert *alert = node->state;
    struct psa_str fault = psa_record_path(record, "fault");

    snprintf(slot->fault, sizeof slot->fault, "%.*s", psa_alert_shown_of(fault, sizeof slot->fault - 1),
             fault.p ? fault.p : "");
    slot->down = true;
    if (psa_alert_calm_at(node, slot->slot.key, record->timestamp_ns)) {
        psa_note(node, "maintenance");
        return psa_absorb(node);
    }
    if (!slot->status.active) {
        slot->status = (struct psa_alert_event){ .active = true,
                                                 .since_ns = record->timestamp_ns,
                                                 .severity = severity_of(alert, slot) };
        return write_alert(node, slot, record, "raised", error);
    }
    if ((int64_t)severity_of(alert, slot) > slot->status.severity) {
        slot->status.severity = severity_of(alert, slot);
        return write_alert(node, slot, record, "ongoing", error);
    }
    if (psa_ns_since(record->timestamp_ns, slot->status.last_ns) >= config->cooldown_ns)
        return write_alert(node, slot, record, "ongoing", error);
    slot->status.suppressed++;
    return psa_absorb(node);
}

int psa_alert_status_push(struct psa_node *node, struct psa_record *record, struct psa_error *error)
{
    const struct psa_field *up = psa_record_field(record, psa_str_of("up"), 0);
    struct psa_str key = key_of(node->state, record);
    struct psa_alert_slot *slot;
    char shown[128];

    if (!up || up->kind != PSA_NUMBER) {
        psa_note(node, "no_up");
        psa_say(node, "no_up", "%s: a status record without the number fields.up; it says nothing",
                psa_key_show(key, shown));
        return psa_absorb(node);
    }
    if (!record->has_time) return psa_reject(node, record, "no_time", error, "no timestamp_ns; rejected");
    if (psa_alert_hear(node, key, NULL, record, error) != 0) return -1;
    key = key_of(node->state, record);
    slot = (struct psa_alert_slot *)(up->number > 0 ? psa_keyed_peek(node->keyed, key) : psa_slot_of(node, key));
    if (!slot) return up->number > 0 ? psa_absorb(node) : psa_fail_memory(error, "opening a key");
    if (slot->has_status && record->timestamp_ns < slot->status_ns)
        return psa_drop(node, "late", "%s: status %lld ns older than the newest; dropped", psa_key_show(key, shown),
                        (long long)psa_ns_since(slot->status_ns, record->timestamp_ns));
    slot->has_status = true;
    slot->status_ns = record->timestamp_ns;
    if (!(up->number > 0)) return on_down(node, slot, record, error);
    slot->down = false;
    if (!slot->status.active) return psa_absorb(node);
    slot->status.active = false;
    if (write_alert(node, slot, record, "cleared", error) != 0) return -1;
    return psa_alert_silence_worse(node, slot, error);
}
