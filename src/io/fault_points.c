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
enum { ACTIONS = sizeof actions / sizeof *actions, ORDERS = 4 };

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
static int is_due(int order, long nth)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static long passed[ORDERS];
    long now;

    pthread_mutex_lock(&lock);
    now = ++passed[order];
    pthread_mutex_unlock(&lock);
    return now == nth;
}

static bool is_action(const char *p, const char *name)
{
    size_t n = strlen(name);

    return strncmp(p, name, n) == 0 && (p[n] == '\0' || p[n] == ',');
}

static int obey(const char *order, int number, const char *point)
{
    const char *colon = strchr(order, ':'), *action;
    bool every = colon && strncmp(colon, ":*:", 3) == 0;
    char *behind = NULL;
    long nth = every ? 1 : colon ? strtol(colon + 1, &behind, 10) : 0;

    if (number >= ORDERS || nth < 1 || (!every && *behind != ':')) refuse(order);
    if (strlen(point) != (size_t)(colon - order) || strncmp(order, point, strlen(point)) != 0 ||
        (!every && !is_due(number, nth)))
        return PSA_FAULT_NONE;
    action = every ? colon + 3 : behind + 1;
    if (is_action(action, "kill-before")) die();
    for (size_t i = 0; i < ACTIONS; i++)
        if (is_action(action, actions[i].name)) return actions[i].fault;
    refuse(order);
    return PSA_FAULT_NONE;
}

int psa_fault_begin(const char *point)
{
    const char *order = getenv("PSA_FAULT"), *file = getenv("PSA_FAULT_LIST");
    int fault = PSA_FAULT_NONE;

    if (!point) return PSA_FAULT_NONE;
    if (file) list(file, point);
    for (int number = 0; order && !fault; number++) {
        fault = obey(order, number, point);
        order = strchr(order, ',');
        if (order) order++;
    }
    return fault;
}

void psa_fault_end(int fault)
{
    if (fault == PSA_FAULT_KILL_AFTER || fault == PSA_FAULT_HALF) die();
}
