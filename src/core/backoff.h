/*
 * backoff.h - how long to wait between two tries: exponential, with jitter, so that a thousand gateways do not come back
 * to a broker in step. The n-th wait (n from 0) is uniform in [d/2, d] with d = min(first * 2^n, max) ("equal jitter"; M.
 * Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015). Time and randomness come from the caller.
 */
#ifndef PSA_CORE_BACKOFF_H
#define PSA_CORE_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

struct psa_backoff {
    uint64_t random; /* state of the generator; seed it with anything */
    uint32_t tries;  /* failed in a row */
    int64_t until_ns;
};

/* A try has failed at now_ns: the next may be made at until_ns. Returns the wait. */
int64_t psa_backoff_fail(struct psa_backoff *backoff, int64_t now_ns, int64_t first_ns, int64_t max_ns);
/* It works again: the next wait is the shortest. */
void psa_backoff_reset(struct psa_backoff *backoff);
/* May the next try be made? */
bool psa_backoff_over(const struct psa_backoff *backoff, int64_t now_ns);

#endif
