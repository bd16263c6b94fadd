/* alert_event.c - what an alert looks like: the member `alert`, its sentence and its id. See alert.h. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/error.h"
#include "core/hash.h"
#include "stage/alert.h"

const char *const psa_alert_severity_name[] = { "info", "warning", "critical" };
static const char *const kind_name[] = { "anomaly", "silence", "status" };

int psa_alert_severity_parse(const char *option, const char *text, enum psa_alert_severity *severity,
                             struct psa_error *error)
{
    for (int i = PSA_ALERT_INFO; i <= PSA_ALERT_CRITICAL; i++) {
        if (strcmp(text, psa_alert_severity_name[i]) != 0) continue;
        *severity = (enum psa_alert_severity)i;
        return 0;
    }
    return psa_fail(error, PSA_EXIT_PERMANENT, "%s: '%s' is none of info, warning, critical", option, text);
}

void psa_alert_add(struct psa_alert_sentence *sentence, const char *format, ...)
{
    va_list arguments;
    int n;

    va_start(arguments, format);
    n = vsnprintf(sentence->text + sentence->n, PSA_ALERT_REASON_MAX - sentence->n, format, arguments);
    va_end(arguments);
    if (n > 0) sentence->n += (size_t)n;
    if (sentence->n > PSA_ALERT_REASON_MAX - 1) sentence->n = PSA_ALERT_REASON_MAX - 1;
}

int psa_alert_shown_of(struct psa_str text, size_t most)
{
    size_t n = text.n;

    if (n <= most) return (int)n;
    for (n = most; n && ((unsigned char)text.p[n] & 0xc0) == 0x80; n--) continue;
    return (int)n;
}

void psa_alert_end_whole(struct psa_alert_sentence *sentence)
{
    size_t n = sentence->n, back = 0;

    while (back < 4 && back < n && ((unsigned char)sentence->text[n - 1 - back] & 0xc0) == 0x80) back++;
    if (back < n && back < 4) {
        unsigned char first = (unsigned char)sentence->text[n - 1 - back];
        size_t want = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;

        if (want != back + 1) n -= want > back + 1 ? back + 1 : 0;
    }
    sentence->n = n;
}

double psa_alert_seconds(int64_t now_ns, int64_t then_ns)
{
    return (double)psa_ns_since(now_ns, then_ns) / 1e9;
}

struct psa_alert_event *psa_alert_event_of(struct psa_alert_slot *slot, enum psa_alert_kind kind)
{
    if (kind == PSA_ALERT_ANOMALY) return &slot->anomaly;
    return kind == PSA_ALERT_SILENCE ? &slot->silence : &slot->status;
}

/* 16 hex digits of FNV-1a over the key, the start and, but for anomalies, the kind: one for an event, the same for the
 * same input. */
static void event_id(const struct psa_alert_slot *slot, const struct psa_alert_event *event, enum psa_alert_kind kind,
                     char id[17])
{
    uint64_t hash = psa_hash(PSA_HASH_START, slot->slot.key.p, slot->slot.key.n);
    unsigned char since[8];

    for (int i = 0; i < 8; i++) since[i] = (unsigned char)((uint64_t)event->since_ns >> 8 * i & 0xff);
    hash = psa_hash(hash, since, sizeof since);
    if (kind != PSA_ALERT_ANOMALY) hash = psa_hash(hash, kind_name[kind], strlen(kind_name[kind]));
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
    psa_buf_member_text(text, "kind", psa_str_of(kind_name[words->kind]));
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
