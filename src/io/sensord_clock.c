/*
 * sensord_clock.c - the wall clock: gateways boot in 1970 and are told the time later, by a step. Readings keep their distances
 * by the monotonic clock; a step moves the timestamps from then on, and is said, counted and written as a status record.
 */
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "core/time.h"
#include "io/clock.h"
#include "io/sensord.h"

/* A smaller change is the error of looking, not a step. */
#define STEP_MIN_NS 10000
/* Seconds since 1970 that the timer waits for: it is not meant to fire, only to be cancelled. 32 bits end in 2038. */
#define NEVER_S ((time_t)(sizeof(time_t) > 4 ? INT64_C(9000000000) : INT32_MAX))

static void arm(const struct psa_sensord *run)
{
    const struct itimerspec never = { .it_value = { .tv_sec = NEVER_S } };

    (void)timerfd_settime(run->wall.timer_fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL);
}

void psa_sensord_clock_open(struct psa_sensord *run)
{
    run->wall.offset_ns = psa_clock_offset_ns(&run->hub.offset_ns);
    run->wall.timer_fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (run->wall.timer_fd >= 0) arm(run);
}

void psa_sensord_clock_close(struct psa_sensord *run)
{
    if (run->wall.timer_fd >= 0) close(run->wall.timer_fd);
}

void psa_sensord_clock_put(struct psa_sensord *run, int64_t step_ns)
{
    struct psa_queue_entry entry = { .owner = PSA_QUEUE_NOBODY, .kind = PSA_QUEUE_STEP, .step_ns = step_ns };

    run->hub.scratch.n = 0;
    psa_record_put_step(&run->hub.scratch, (double)step_ns / PSA_NS_PER_SECOND, psa_clock_ns() + run->wall.offset_ns,
                        run->hub.unsynced);
    if (!run->hub.scratch.failed) (void)psa_hub_push(&run->hub, &entry, psa_buf_str(&run->hub.scratch));
}

void psa_sensord_clock_look(struct psa_sensord *run)
{
    const int64_t offset_ns = psa_clock_offset_ns(&run->hub.offset_ns), step_ns = offset_ns - run->wall.offset_ns;
    uint64_t fired;

    /* ECANCELED says that the clock was set, and the timer waits for nothing any more. */
    if (run->wall.timer_fd >= 0 && (read(run->wall.timer_fd, &fired, sizeof fired) == 0 || step_ns != 0)) arm(run);
    if (llabs(step_ns) < STEP_MIN_NS) return;
    run->wall.offset_ns = offset_ns;
    run->wall.steps++;
    const double step_s = (double)step_ns / PSA_NS_PER_SECOND;
    pthread_mutex_lock(&run->hub.lock);
    psa_sensord_clock_put(run, step_ns);
    pthread_mutex_unlock(&run->hub.lock);
    psa_hub_say(&run->hub, NULL, "clock", "the wall clock was set %s by %.6g s; timestamps follow it from here on",
                step_ns > 0 ? "forward" : "back", step_ns > 0 ? step_s : -step_s);
}

void psa_sensord_clock_ask(struct psa_sensord *run, bool first)
{
    const bool unsynced = !psa_clock_is_synced(), news = first ? unsynced : unsynced != run->hub.unsynced;

    run->hub.unsynced = unsynced;
    if (!news) return;
    psa_hub_say(&run->hub, NULL, "clock", "%s",
                unsynced ? "the kernel does not call the wall clock synchronised; until it does, readings carry "
                           "\"clock\":\"unsynced\""
                         : "the wall clock is synchronised now");
}
