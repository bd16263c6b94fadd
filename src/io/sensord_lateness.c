/* sensord_lateness.c - see sensord_lateness.h. */
#include "io/sensord_lateness.h"

#include <stddef.h>

/* Buckets to a power of two, as a power of two. */
#define FINE 4
#define PER_POWER (1 << FINE)
#define LARGEST_NS ((INT64_C(1) << 40) - 1)

/* Below 16 each value has its own; above, the FINE bits behind the leading one choose within the power. */
static size_t bucket_of(int64_t late_ns)
{
    const uint64_t value = late_ns < 0 ? 0 : late_ns > LARGEST_NS ? LARGEST_NS : (uint64_t)late_ns;

    if (value < PER_POWER) return (size_t)value;
    const unsigned shift = 63 - (unsigned)__builtin_clzll(value) - FINE;
    return (size_t)shift * PER_POWER + (size_t)(value >> shift);
}

/* The largest value of a bucket. */
static int64_t upper_ns(size_t bucket)
{
    if (bucket < 2 * PER_POWER) return (int64_t)bucket;
    const unsigned shift = (unsigned)(bucket / PER_POWER) - 1;
    return (int64_t)((((uint64_t)(bucket % PER_POWER) + PER_POWER + 1) << shift) - 1);
}

void psa_lateness_add(struct psa_lateness *lateness, int64_t late_ns)
{
    lateness->n++;
    lateness->bucket[bucket_of(late_ns)]++;
    if (late_ns > lateness->max_ns) lateness->max_ns = late_ns;
}

int64_t psa_lateness_quantile_ns(const struct psa_lateness *lateness, double q)
{
    const double rank = q * (double)lateness->n;
    uint64_t below = 0;

    for (size_t i = 0; i < PSA_LATENESS_BUCKETS; i++) {
        below += lateness->bucket[i];
        if (lateness->bucket[i] > 0 && (double)below >= rank) {
            const int64_t upper = upper_ns(i);
            return upper < lateness->max_ns ? upper : lateness->max_ns;
        }
    }
    return lateness->max_ns;
}
