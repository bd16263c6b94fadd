/* signals.c - see signals.h. */
#include "io/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"

static volatile sig_atomic_t stop_asked, stats_asked;
static int wake[2] = { -1, -1 };

static void on_signal(int number)
{
    int saved = errno;

    if (number == SIGUSR1) stats_asked = 1;
    else if (number == SIGHUP && stop_asked > 0) return; /* a terminal that goes may say so more than once */
    else if (stop_asked < 100) stop_asked++;
    (void)!write(wake[1], "", 1); /* full means that the poll loop is woken already */
    errno = saved;
}

/* A standard descriptor that was closed would become the next file or pipe opened here, and be read or written in its
 * place. One open the wrong way round makes each use of it the error it should be. */
static int guard_standard_descriptors(struct psa_error *error)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) != -1 || errno != EBADF) continue;
        if (open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            return psa_fail(error, PSA_EXIT_RUNTIME, "/dev/null: cannot open: %s", strerror(errno));
    }
    return 0;
}

int psa_signals_install(struct psa_error *error)
{
    static const int numbers[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1 };
    struct sigaction action;

    if (guard_standard_descriptors(error) != 0) return -1;
    if (pipe2(wake, O_CLOEXEC | O_NONBLOCK) != 0)
        return psa_fail(error, PSA_EXIT_RUNTIME, "cannot make a pipe: %s", strerror(errno));
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct sigaction before;

        /* A background job of a shell without job control ignores SIGINT, and one of nohup SIGHUP; that stays so. */
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler == SIG_IGN) continue;
        if (sigaction(numbers[i], &action, NULL) != 0)
            return psa_fail(error, PSA_EXIT_RUNTIME, "cannot handle signals: %s", strerror(errno));
    }
    return 0;
}

int psa_signals_fd(void)
{
    return wake[0];
}

void psa_signals_drain(void)
{
    char bytes[64];

    while (read(wake[0], bytes, sizeof bytes) > 0) continue;
}

bool psa_stop_asked(void)
{
    return stop_asked != 0;
}

int psa_stops_asked(void)
{
    return stop_asked;
}

bool psa_stats_asked(void)
{
    if (!stats_asked) return false;
    stats_asked = 0;
    return true;
}

void psa_exit_broken_pipe(void)
{
    sigset_t set;

    signal(SIGPIPE, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    raise(SIGPIPE);
    _exit(PSA_EXIT_RUNTIME);
}
