/* sensord_hub.c - see sensord_hub.h. */
#include "io/sensord_hub.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/error.h"
#include "io/clock.h"

int psa_hub_init(struct psa_hub *hub, struct psa_error *error)
{
    *hub = (struct psa_hub){ .promised_ns = INT64_MIN, .left = INT64_MAX, .offset_ns = INT64_MIN };
    if (pthread_mutex_init(&hub->lock, NULL) != 0) return psa_fail_memory(error, "starting");
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

bool psa_hub_push(struct psa_hub *hub, struct psa_queue_entry *entry, struct psa_str line)
{
    const bool idle = hub->queue.n == 0;

    entry->n = (uint32_t)line.n;
    entry->pushed_ns = psa_clock_ns();
    if (!psa_queue_push(&hub->queue, entry, line.p)) return false;
    hub->n_status += entry->kind == PSA_QUEUE_STATUS || entry->kind == PSA_QUEUE_STEP;
    if (idle) psa_hub_wake(hub);
    return true;
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

/* A pipe or socket that poll calls writable has room for a message; a file always has. What is closed takes all and shows
 * nothing. */
bool psa_hub_can_say(struct psa_hub *hub)
{
    struct pollfd watch = { STDERR_FILENO, POLLOUT, 0 };

    hub->deaf = poll(&watch, 1, hub->patience_ms) <= 0;
    if (hub->deaf) hub->patience_ms = 0;
    return !hub->deaf;
}

void psa_hub_print(struct psa_hub *hub, const struct psa_message *message)
{
    struct psa_report fresh = { 0 };

    if (message->cause != NULL)
        psa_report_say(&hub->report, "sensord", message->source, 0, message->cause, message->text);
    else psa_report_say(&fresh, "sensord", message->source, 0, "", message->text);
}

bool psa_hub_say_waiting(struct psa_hub *hub)
{
    struct psa_message message;

    while (psa_messages_wait(&hub->messages)) {
        if (!psa_hub_can_say(hub)) return false;
        if (psa_messages_take(&hub->messages, &message)) psa_hub_print(hub, &message);
    }
    return true;
}

void psa_hub_say(struct psa_hub *hub, const char *source, const char *cause, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    psa_messages_vput(&hub->messages, source, cause, format, arguments);
    va_end(arguments);
    (void)psa_hub_say_waiting(hub);
}

void psa_hub_mended(struct psa_hub *hub, const char *cause)
{
    if (psa_hub_can_say(hub)) psa_report_mended(&hub->report, "sensord", cause);
}

void psa_hub_say_totals(struct psa_hub *hub)
{
    if (psa_hub_can_say(hub)) psa_report_totals(&hub->report);
}
