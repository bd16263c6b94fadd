/* child.c - see child.h. */
#include "io/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/error.h"

static void close_one(int *fd)
{
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

/* Between fork and exec. */
static void become(char *const *argv, int in, int out)
{
    static const int ours[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGPIPE };
    static const char *const private[] = { "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID" };
    sigset_t none;

    (void)setpgid(0, 0);
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) signal(ours[i], SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    /* What systemd told us is not for the sink. No other thread of ours touches the environment, so its lock is free. */
    for (size_t i = 0; i < sizeof private / sizeof *private; i++) unsetenv(private[i]);
    if (dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0) execvp(argv[0], argv);
    dprintf(STDERR_FILENO, "psa-spool: '%s' cannot be run: %s\n", argv[0], strerror(errno));
    _exit(127);
}

int psa_child_start(struct psa_child *child, char *const *argv, struct psa_error *error)
{
    int to[2] = { -1, -1 }, from[2] = { -1, -1 };
    pid_t pid = -1;

    *child = PSA_CHILD_NONE;
    if (pipe2(to, O_CLOEXEC) == 0 && pipe2(from, O_CLOEXEC) == 0) pid = fork();
    if (pid == 0) become(argv, to[0], from[1]);
    if (pid < 0) psa_fail(error, PSA_EXIT_RUNTIME, "cannot start '%s': %s", argv[0], strerror(errno));
    close_one(&to[0]);
    close_one(&from[1]);
    if (pid < 0) {
        close_one(&to[1]);
        close_one(&from[0]);
        return -1;
    }
    (void)setpgid(pid, pid); /* the child does it too: whoever is first */
    (void)fcntl(to[1], F_SETFL, O_NONBLOCK);
    (void)fcntl(from[0], F_SETFL, O_NONBLOCK);
    *child = (struct psa_child){ pid, pidfd_open(pid, 0), to[1], from[0] };
    return 0;
}

void psa_child_close_in(struct psa_child *child)
{
    close_one(&child->in);
}

void psa_child_close_out(struct psa_child *child)
{
    close_one(&child->out);
}

void psa_child_signal(const struct psa_child *child, int number)
{
    if (child->pid > 0) (void)kill(-child->pid, number);
}

bool psa_child_reap(struct psa_child *child, int *status)
{
    pid_t got;

    if (child->pid <= 0) return false;
    do got = waitpid(child->pid, status, WNOHANG);
    while (got < 0 && errno == EINTR);
    if (got == 0) return false;
    if (got < 0) *status = 0; /* nobody's child any more: someone else has reaped it */
    /* What it has started goes with it: a half-dead pipeline would hold on to our pipes. */
    (void)kill(-child->pid, SIGTERM);
    child->pid = 0;
    close_one(&child->exited);
    close_one(&child->in);
    return true;
}

void psa_child_describe(int status, char text[96])
{
    if (WIFSIGNALED(status))
        snprintf(text, 96, "was killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else snprintf(text, 96, "exited with status %d", WIFEXITED(status) ? WEXITSTATUS(status) : 0);
}
