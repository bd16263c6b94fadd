/* account.c - see account.h. Beyond the table's size reasons are counted together as "other". */
#include "core/account.h"

#include <string.h>

void psa_count(struct psa_reasons *reasons, const char *reason, uint64_t n)
{
    for (size_t i = 0; i < reasons->n; i++)
        if (strcmp(reasons->of[i].reason, reason) == 0) {
            reasons->of[i].n += n;
            return;
        }
    if (reasons->n == PSA_REASONS_MAX) {
        reasons->of[PSA_REASONS_MAX - 1].reason = "other";
        reasons->of[PSA_REASONS_MAX - 1].n += n;
        return;
    }
    reasons->of[reasons->n].reason = reason;
    reasons->of[reasons->n++].n = n;
}

void psa_count_take(struct psa_reasons *to, struct psa_reasons *from)
{
    for (size_t i = 0; i < from->n; i++) psa_count(to, from->of[i].reason, from->of[i].n);
    from->n = 0;
}

void psa_reasons_put(struct psa_buf *out, const char *name, const struct psa_reasons *reasons)
{
    psa_buf_name(out, name);
    psa_buf_puts(out, "{");
    for (size_t i = 0; i < reasons->n; i++) psa_buf_member_int(out, reasons->of[i].reason, (int64_t)reasons->of[i].n);
    psa_buf_puts(out, "}");
}

void psa_stats_put(struct psa_buf *out, const char *name, const struct psa_stats *stats)
{
    psa_buf_puts(out, "{");
    psa_buf_member_text(out, "psa_stats", psa_str_of(name));
    psa_buf_member_int(out, "in", (int64_t)stats->in);
    psa_buf_member_int(out, "passed", (int64_t)stats->passed);
    psa_buf_member_int(out, "emitted", (int64_t)stats->emitted);
    psa_buf_member_int(out, "control", (int64_t)stats->control);
    psa_reasons_put(out, "rejected", &stats->rejected);
    psa_reasons_put(out, "dropped", &stats->dropped);
    psa_buf_member_int(out, "absorbed", (int64_t)stats->absorbed);
}
