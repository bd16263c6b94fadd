/* clock.h - the clocks, and how long a poll loop may sleep. Programs read clocks; no stage does. */
#ifndef PSA_IO_CLOCK_H
#define PSA_IO_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* Nanoseconds since some moment in the past, never set back: for waits. */
int64_t psa_clock_ns(void);
/* Nanoseconds since 1970 by the wall clock. */
int64_t psa_clock_wall_ns(void);

/*
 * The wall clock minus the monotonic one, kept in *offset_ns (begin with INT64_MIN), which threads may share. It stays what it
 * was as long as the clocks agree with it, within the time that it takes to read them: so timestamps made with it have no
 * jitter of their own, and a step of the wall clock counts from the next call on.
 */
int64_t psa_clock_offset_ns(_Atomic int64_t *offset_ns);

/* Does the kernel call the wall clock synchronised, adjtimex(2)? A kernel that does not answer does not. */
bool psa_clock_is_synced(void);

/* Lower *wait_ns so that a wait that begins at now_ns ends by then_ns. */
static inline void psa_wake_by(int64_t *wait_ns, int64_t then_ns, int64_t now_ns)
{
    if (then_ns - now_ns < *wait_ns) *wait_ns = then_ns - now_ns;
}

/* poll's timeout for a wait: whole milliseconds, not less than asked for, a minute at most. */
int psa_wait_ms(int64_t wait_ns);

#endif
