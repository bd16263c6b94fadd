/*
 * sensord_world.c - preloaded into sensord: a world that tests can change while it runs. Files in the folder $SENSORD_WORLD say
 * how it is now:
 *
 *     synced     the kernel calls the wall clock synchronised (otherwise it does not)
 *     refused    the kernel may not be asked whether it is
 *     stepped    the wall clock was set forward by an hour
 *     back       ... and then by two back
 *     stuck      no ppoll of a thread but the first one ever returns, whatever is asked of it: a call that hangs
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

static int is(const char *name)
{
    const char *folder = getenv("SENSORD_WORLD");
    char path[512];

    if (folder == NULL) return 0;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

int adjtimex(struct timex *state)
{
    memset(state, 0, sizeof *state);
    if (is("refused")) {
        errno = EPERM;
        return -1;
    }
    return is("synced") ? TIME_OK : TIME_ERROR;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    const int status = (int)syscall(SYS_clock_gettime, clock, now);

    if (clock == CLOCK_REALTIME && is("stepped")) now->tv_sec += is("back") ? -3600 : 3600;
    return status;
}

int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *wait, const sigset_t *mask)
{
    while (gettid() != getpid() && is("stuck")) pause();
    struct timespec left = wait != NULL ? *wait : (struct timespec){ 0 }; /* the kernel writes into it */
    return (int)syscall(SYS_ppoll, fds, n, wait != NULL ? &left : NULL, mask, 8);
}
