/*
 * sensord_lateness.h - how late deadlines were met: a histogram with log-linear buckets, 16 to each power of two, so that a
 * quantile is off by at most 1/16. Fixed size, nothing allocated.
 */
#ifndef PSA_IO_SENSORD_LATENESS_H
#define PSA_IO_SENSORD_LATENESS_H

#include <stdint.h>

/* Up to 2^40 ns, 18 minutes; what is later counts there. */
#define PSA_LATENESS_BUCKETS (38 * 16)

struct psa_lateness {
    uint64_t n;
    int64_t max_ns;
    uint32_t bucket[PSA_LATENESS_BUCKETS];
};

void psa_lateness_add(struct psa_lateness *lateness, int64_t late_ns);
/* The q-th quantile, q in [0, 1], the bucket's upper end but never above the largest; 0 when there is none. */
int64_t psa_lateness_quantile_ns(const struct psa_lateness *lateness, double q);

#endif
