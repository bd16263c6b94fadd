/* source.c - see source.h. */
#include "io/source.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"
#include "core/number.h"
#include "core/time.h"
#include "io/clock.h"
#include "io/filter_main.h"
#include "io/report.h"
#include "io/signals.h"

/* ---- the command line -------------------------------------------------------------------------------------------- */

int psa_source_parse(const struct psa_source_program *program, int argc, char **argv, int *operand, char *asked)
{
    const struct psa_option_set set = { program->options, program->config };
    struct psa_error error = { 0 };

    *asked = 0;
    if (psa_options_parse(&set, 1, argc, argv, operand, asked, NULL, &error) != 0) {
        psa_report_error(program->name, &error);
        return error.status;
    }
    return *asked == 'h' || *asked == 'V'
               ? psa_print_help(*asked, &set, 1, program->name, program->usage, program->summary)
               : PSA_SOURCE_GO;
}

int psa_source_options(const struct psa_source_program *program, int argc, char **argv, int *operand)
{
    char asked;

    return psa_source_parse(program, argc, argv, operand, &asked);
}

int psa_source_end(const char *name, struct psa_writer *out, int status, struct psa_error *error)
{
    struct psa_error closing = { 0 };

    if (status != 0 && error->status == PSA_BROKEN_PIPE) psa_exit_broken_pipe();
    if (psa_writer_close(out, &closing) != 0 && status == 0) {
        if (closing.status == PSA_BROKEN_PIPE) psa_exit_broken_pipe();
        *error = closing;
        status = -1;
    }
    if (status == 0) return PSA_EXIT_OK;
    psa_report_error(name, error);
    return error->status;
}

/* ---- time -------------------------------------------------------------------------------------------------------- */

int64_t psa_source_now_ns(void)
{
    return psa_clock_wall_ns();
}

int psa_source_parse_time(const char *text, const char *what, int64_t *ns, struct psa_error *error)
{
    const char *end = text + strlen(text);

    if (strcmp(text, "now") == 0) {
        *ns = psa_source_now_ns();
        return 0;
    }
    if (psa_time_parse_iso(text, end, ns) || psa_time_parse_epoch(text, end, 1, ns)) return 0;
    return psa_fail(error, PSA_EXIT_PERMANENT,
                    "%s: '%s' is no time; 2024-03-09T16:00:00Z or nanoseconds since 1970 are", what, text);
}

int psa_pace_parse(const char *text, double *speed, struct psa_error *error)
{
    const size_t n = strlen(text);

    *speed = 0;
    if (strcmp(text, "max") == 0) return 0;
    if (n > 1 && text[n - 1] == 'x' && psa_number_parse(text, text + n - 1, speed) && *speed > 0) return 0;
    return psa_fail(error, PSA_EXIT_PERMANENT, "--speed: '%s' is no speed; max, 1x and 60x are", text);
}

/* Sleep until the monotonic clock shows due_ns, or a signal asks to stop (1). */
static int sleep_until(const struct psa_pace *pace, int64_t due_ns, struct psa_error *error)
{
    struct pollfd watch = { psa_signals_fd(), POLLIN, 0 };

    for (;;) {
        const int64_t left_ns = due_ns - psa_clock_ns();
        if (psa_stop_asked()) return 1;
        if (left_ns <= 0) return 0;
        const int ready = poll(&watch, 1, psa_wait_ms(left_ns));
        if (ready > 0) {
            psa_signals_drain();
            if (pace->woken != NULL && pace->woken(pace->ctx, error) != 0) return -1;
        }
        if (ready < 0 && errno != EINTR) return psa_fail(error, PSA_EXIT_RUNTIME, "cannot wait: %s", strerror(errno));
    }
}

int psa_pace_wait(struct psa_pace *pace, int64_t event_ns, struct psa_writer *out, struct psa_error *error)
{
    if (pace->speed == 0) return psa_stop_asked();
    const int64_t now_ns = psa_clock_ns();
    if (!pace->begun) {
        pace->begun = true;
        pace->event_ns = event_ns;
        pace->wall_ns = now_ns;
    }
    /* In doubles: a difference of event times may not fit int64, and a late wake of nanoseconds does not matter. */
    const double ahead_ns =
        ((double)event_ns - (double)pace->event_ns) / pace->speed - (double)(now_ns - pace->wall_ns);
    if (ahead_ns <= 0) return psa_stop_asked();
    if (psa_writer_flush(out, error) != 0) return -1;
    return sleep_until(pace, now_ns + (int64_t)fmin(ahead_ns, 4e18), error);
}
