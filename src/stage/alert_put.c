/* alert_put.c - an alert goes out: the member `alert`, its id, and the evidence that it leaves. See alert.h. */
#include <stdio.h>
#include <string.h>

#include "core/error.h"
#include "core/hash.h"
#include "stage/alert.h"

/* 16 hex digits of FNV-1a over the key, the start and, but for anomalies, the kind: one for an event, the same for the
 * same input. */
static void event_id(const struct psa_alert_slot *slot, const struct psa_alert_event *event, enum psa_alert_kind kind,
                     char id[17])
{
    uint64_t hash = psa_hash(PSA_HASH_START, slot->slot.key.p, slot->slot.key.n);
    unsigned char since[8];

    for (int i = 0; i < 8; i++) since[i] = (unsigned char)((uint64_t)event->since_ns >> 8 * i & 0xff);
    hash = psa_hash(hash, since, sizeof since);
    if (kind != PSA_ALERT_ANOMALY) hash = psa_hash(hash, psa_alert_kind_name[kind], strlen(psa_alert_kind_name[kind]));
    snprintf(id, 17, "%016llx", (unsigned long long)hash);
}

int psa_alert_put(struct psa_node *node, struct psa_alert_slot *slot, const struct psa_alert_words *words, int64_t now,
                  struct psa_record *record, struct psa_error *error)
{
    struct psa_alert *alert = node->state;
    struct psa_buf *text = &alert->text;
    struct psa_alert_event *event = psa_alert_event_of(slot, words->kind);
    char id[17];

    event_id(slot, event, words->kind, id);
    text->n = 0;
    psa_buf_puts(text, "{");
    psa_buf_member_text(text, "kind", psa_str_of(psa_alert_kind_name[words->kind]));
    psa_buf_member_text(text, "severity", psa_str_of(psa_alert_severity_name[event->severity]));
    psa_buf_member_text(text, "state", psa_str_of(words->state));
    psa_buf_member_int(text, "since_ns", words->since_ns);
    psa_buf_member_number(text, "score", words->score);
    psa_buf_member_number(text, "threshold", words->threshold);
    psa_buf_member_text(text, "reason", (struct psa_str){ words->reason.text, words->reason.n });
    psa_buf_name(text, "top");
    if (words->top.p) psa_buf_put(text, words->top.p, words->top.n);
    else psa_buf_puts(text, "[]");
    psa_buf_member_int(text, "suppressed", event->suppressed);
    psa_buf_member_text(text, "id", psa_str_of(id));
    psa_buf_puts(text, "}");
    if (text->failed || psa_record_set(record, "alert", psa_buf_str(text)) != 0)
        return psa_fail_memory(error, "writing an alert");
    psa_alert_evidence_note(node, slot, words, id, record);
    event->last_ns = now;
    event->suppressed = 0;
    return 0;
}
