/* sensord_hub.c - see sensord_hub.h. */
#include "io/sensord_hub.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/error.h"
#include "io/clock.h"

int psa_hub_init(struct psa_hub *hub, struct psa_error *error)
{
    *hub = (struct psa_hub){ .promised_ns = INT64_MIN, .left = INT64_MAX, .offset_ns = INT64_MIN };
    if (pthread_mutex_init(&hub->lock, NULL) != 0 || pthread_mutex_init(&hub->say_lock, NULL) != 0)
        return psa_fail_memory(error, "starting");
    hub->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    hub->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (hub->wake_fd < 0 || hub->stop_fd < 0)
        return psa_fail(error, PSA_EXIT_RUNTIME, "cannot make an eventfd: %s", strerror(errno));
    return 0;
}

void psa_hub_free(struct psa_hub *hub)
{
    if (hub->wake_fd >= 0) close(hub->wake_fd);
    if (hub->stop_fd >= 0) close(hub->stop_fd);
    psa_queue_free(&hub->queue);
    psa_buf_free(&hub->scratch);
}

static void ring(int fd)
{
    const uint64_t one = 1;

    (void)!write(fd, &one, sizeof one); /* a full counter is a rung bell all the same */
}

void psa_hub_wake(struct psa_hub *hub)
{
    ring(hub->wake_fd);
}

void psa_hub_stop(struct psa_hub *hub)
{
    hub->stopping = true;
    ring(hub->stop_fd);
    ring(hub->wake_fd);
}

void psa_hub_push(struct psa_hub *hub, struct psa_queue_entry *entry, struct psa_str line)
{
    const bool idle = hub->queue.n == 0;

    hub->n_status += entry->kind == PSA_QUEUE_STATUS;
    entry->n = (uint32_t)line.n;
    entry->pushed_ns = psa_clock_ns();
    psa_queue_push(&hub->queue, entry, line.p);
    if (idle) psa_hub_wake(hub);
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

/* Causes are compared whole, but kept only so far: an id may be longer. */
static void shorten(char *cause, size_t size, const char *whole)
{
    snprintf(cause, size, "%s", whole);
}

void psa_hub_say(struct psa_hub *hub, const char *source, const char *cause, const char *format, ...)
{
    char text[1024], short_cause[sizeof hub->report.of->cause];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    shorten(short_cause, sizeof short_cause, cause);
    pthread_mutex_lock(&hub->say_lock);
    psa_report_say(&hub->report, "sensord", source, 0, short_cause, text);
    pthread_mutex_unlock(&hub->say_lock);
}

void psa_hub_mended(struct psa_hub *hub, const char *cause)
{
    char short_cause[sizeof hub->report.of->cause];

    shorten(short_cause, sizeof short_cause, cause);
    pthread_mutex_lock(&hub->say_lock);
    psa_report_mended(&hub->report, "sensord", short_cause);
    pthread_mutex_unlock(&hub->say_lock);
}

void psa_note_add(struct psa_note *note, uint64_t n, int64_t amount, int64_t now_ns)
{
    if (note->n == 0) note->first_ns = now_ns;
    if (note->n == 0 || amount > note->worst) note->worst = amount;
    note->n += n;
}

bool psa_note_due(struct psa_note *note, int64_t now_ns, bool at_once, struct psa_note *told)
{
    if (note->n == 0 || (now_ns < note->next_ns && !at_once)) return false;
    *told = *note;
    *note = (struct psa_note){ .said = told->said + 1, .next_ns = now_ns + PSA_NOTE_EVERY_NS };
    return true;
}
