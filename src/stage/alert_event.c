/* alert_event.c - an event's names, and the sentence that tells of it. See alert.h. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/error.h"
#include "stage/alert.h"

const char *const psa_alert_severity_name[] = { "info", "warning", "critical" };
const char *const psa_alert_kind_name[] = { "anomaly", "silence", "status" };

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
