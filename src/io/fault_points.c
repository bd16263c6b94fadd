/* fault_points.c - see fault_points.h. It exits on an order that it does not understand: a test must not pass by a
 * slip. */
#include "io/fault_points.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name;
    int fault;
} actions[] = {
    { "kill-after", PSA_FAULT_KILL_AFTER },
    { "half", PSA_FAULT_HALF },
    { "short", PSA_FAULT_SHORT },
    { "skip", PSA_FAULT_SKIP },
    { "EIO", -EIO },
    { "ENOSPC", -ENOSPC },
    { "EDQUOT", -EDQUOT },
    { "EROFS", -EROFS },
    { "EACCES", -EACCES },
    { "EPERM", -EPERM },
    { "EMFILE", -EMFILE },
    { "ENFILE", -ENFILE },
    { "ENOENT", -ENOENT },
    { "ENOMEM", -ENOMEM },
    { "EFBIG", -EFBIG },
    { "ENODEV", -ENODEV },
    { "EOPNOTSUPP", -EOPNOTSUPP },
};
enum { ACTIONS = sizeof actions / sizeof *actions };

static void refuse(const char *order)
{
    fprintf(stderr, "PSA_FAULT: '%s' is no POINT:N:ACTION\n", order);
    _exit(99);
}

static void die(void)
{
    kill(getpid(), SIGKILL);
    pause();
}

/* One line a point, in one write, so that threads and processes may share the file. */
static void list(const char *file, const char *point)
{
    char line[256];
    int n = snprintf(line, sizeof line, "%s\n", point),
        fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);

    if (fd < 0 || write(fd, line, (size_t)n) != n) {
        fprintf(stderr, "PSA_FAULT_LIST: %s: %s\n", file, strerror(errno));
        _exit(99);
    }
    close(fd);
}

/* Is this the call that the order is about? Points are passed by several threads. */
static int is_due(long nth)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static long passed;
    long now;

    pthread_mutex_lock(&lock);
    now = ++passed;
    pthread_mutex_unlock(&lock);
    return now == nth;
}

int psa_fault_begin(const char *point)
{
    const char *order = getenv("PSA_FAULT"), *file = getenv("PSA_FAULT_LIST"), *colon, *action;
    char *behind;
    bool every;
    long nth;

    if (!point) return PSA_FAULT_NONE;
    if (file) list(file, point);
    if (!order) return PSA_FAULT_NONE;
    colon = strchr(order, ':');
    every = colon && strncmp(colon, ":*:", 3) == 0;
    nth = every ? 1 : colon ? strtol(colon + 1, &behind, 10) : 0;
    if (nth < 1 || (!every && *behind != ':')) refuse(order);
    if (strlen(point) != (size_t)(colon - order) || strncmp(order, point, strlen(point)) != 0 ||
        (!every && !is_due(nth)))
        return PSA_FAULT_NONE;
    action = every ? colon + 3 : behind + 1;
    if (strcmp(action, "kill-before") == 0) die();
    for (size_t i = 0; i < ACTIONS; i++)
        if (strcmp(action, actions[i].name) == 0) return actions[i].fault;
    refuse(order);
    return PSA_FAULT_NONE;
}

void psa_fault_end(int fault)
{
    if (fault == PSA_FAULT_KILL_AFTER || fault == PSA_FAULT_HALF) die();
}
