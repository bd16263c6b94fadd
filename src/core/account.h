/*
 * account.h - what became of every record: counts by reason, and the line of --stats that tells them.
 *
 *     in = passed + absorbed + dropped + rejected
 */
#ifndef PSA_CORE_ACCOUNT_H
#define PSA_CORE_ACCOUNT_H

#include "core/buf.h"
#include "psa.h"

/* A count by reason. Reasons are string constants; the table is small and fixed. */
#define PSA_REASONS_MAX 16
struct psa_reasons {
    struct {
        const char *reason;
        uint64_t n;
    } of[PSA_REASONS_MAX];
    size_t n;
};

struct psa_stats {
    uint64_t in, passed, emitted, absorbed, control, evicted_keys;
    struct psa_reasons rejected, dropped;
    struct psa_reasons noted; /* what happened to records that went on all the same: "unscored", "gap" */
};

void psa_count(struct psa_reasons *reasons, const char *reason, uint64_t n);
/* Move every count of `from` to `to`. */
void psa_count_take(struct psa_reasons *to, struct psa_reasons *from);

/* `,"name":{"reason":n,...}` */
void psa_reasons_put(struct psa_buf *out, const char *name, const struct psa_reasons *reasons);
/* `{"psa_stats":name,"in":n,...,"absorbed":n`: the caller adds what it counts besides, and `}\n`. */
void psa_stats_put(struct psa_buf *out, const char *name, const struct psa_stats *stats);

#endif
