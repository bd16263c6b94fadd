/* clock.c - see clock.h. */
#include "io/clock.h"

#include <sys/timex.h>
#include <time.h>

#include "core/time.h"

/* poll counts milliseconds in an int; who is woken early looks at the clock and waits again. */
enum { WAIT_MAX_MS = 60000 };

/* Who is put aside by the scheduler between two clocks reads them again. */
enum { OFFSET_TRIES = 5 };
/* Less than this is the error of an earlier look, not a step. */
enum { OFFSET_SLACK_NS = 1000 };

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

int64_t psa_clock_offset_ns(_Atomic int64_t *offset_ns)
{
    const int64_t known_ns = *offset_ns;
    int64_t best_ns = known_ns, narrowest_ns = INT64_MAX;

    for (int i = 0; i < OFFSET_TRIES; i++) {
        const int64_t before_ns = psa_clock_ns(), wall_ns = psa_clock_wall_ns(), after_ns = psa_clock_ns();
        /* The wall clock was read at a moment between the two. */
        if (known_ns >= wall_ns - after_ns - OFFSET_SLACK_NS && known_ns <= wall_ns - before_ns + OFFSET_SLACK_NS)
            return known_ns;
        if (after_ns - before_ns >= narrowest_ns) continue;
        narrowest_ns = after_ns - before_ns;
        best_ns = wall_ns - before_ns - narrowest_ns / 2;
    }
    *offset_ns = best_ns;
    return best_ns;
}

bool psa_clock_is_synced(void)
{
    struct timex state = { 0 };
    const int status = adjtimex(&state);

    /* -1: a sandbox that forbids the call, and says nothing of the clock. */
    return status >= 0 && status != TIME_ERROR && !(state.status & STA_UNSYNC);
}

int psa_wait_ms(int64_t wait_ns)
{
    if (wait_ns <= 0) return 0;
    return wait_ns / PSA_NS_PER_MS >= WAIT_MAX_MS ? WAIT_MAX_MS : (int)(wait_ns / PSA_NS_PER_MS) + 1;
}
