/* backoff.c - see backoff.h. */
#include "core/backoff.h"

/* The state advances by the golden ratio and is then mixed: splitmix64 (Steele, Lea, Flood, "Fast splittable
 * pseudorandom number generators", OOPSLA 2014), which any seed will do for. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

int64_t psa_backoff_fail(struct psa_backoff *backoff, int64_t now_ns, int64_t first_ns, int64_t max_ns)
{
    int64_t wait_ns = first_ns;

    for (uint32_t i = 0; i < backoff->tries && wait_ns < max_ns; i++) wait_ns *= 2;
    if (wait_ns > max_ns) wait_ns = max_ns;
    if (backoff->tries < 62) backoff->tries++;
    wait_ns = wait_ns / 2 + (int64_t)(next_random(&backoff->random) % (uint64_t)(wait_ns - wait_ns / 2 + 1));
    backoff->until_ns = now_ns + wait_ns;
    return wait_ns;
}

void psa_backoff_reset(struct psa_backoff *backoff)
{
    backoff->tries = 0;
    backoff->until_ns = 0;
}

bool psa_backoff_over(const struct psa_backoff *backoff, int64_t now_ns)
{
    return now_ns >= backoff->until_ns;
}
