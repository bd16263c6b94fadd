/* clock.c - see clock.h. */
#include "io/clock.h"

#include <sys/timex.h>
#include <time.h>

#include "core/time.h"

/* poll counts milliseconds in an int; who is woken early looks at the clock and waits again. */
enum { WAIT_MAX_MS = 60000 };

static int64_t read_clock(clockid_t clock)
{
    struct timespec now = { 0, 0 };

    (void)clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * PSA_NS_PER_SECOND + now.tv_nsec;
}

int64_t psa_clock_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t psa_clock_wall_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

bool psa_clock_is_synced(void)
{
    struct timex state = { 0 };

    return adjtimex(&state) != TIME_ERROR && !(state.status & STA_UNSYNC);
}

int psa_wait_ms(int64_t wait_ns)
{
    if (wait_ns <= 0) return 0;
    return wait_ns / PSA_NS_PER_MS >= WAIT_MAX_MS ? WAIT_MAX_MS : (int)(wait_ns / PSA_NS_PER_MS) + 1;
}
