/* syncer.c - see syncer.h. */
#include "io/syncer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/error.h"

struct psa_syncer {
    const struct psa_disk *disk;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    enum { NONE, SUBMITTED, DONE } state;
    bool stop;
    struct psa_spool_sync job;
    int event;
};

static void *work(void *arg)
{
    struct psa_syncer *syncer = arg;

    pthread_mutex_lock(&syncer->mutex);
    while (!syncer->stop) {
        if (syncer->state != SUBMITTED) {
            pthread_cond_wait(&syncer->changed, &syncer->mutex);
            continue;
        }
        struct psa_spool_sync job = syncer->job;
        pthread_mutex_unlock(&syncer->mutex);
        psa_spool_sync_run(syncer->disk, &job);
        pthread_mutex_lock(&syncer->mutex);
        syncer->job = job;
        syncer->state = DONE;
        pthread_cond_broadcast(&syncer->changed);
        (void)eventfd_write(syncer->event, 1);
    }
    pthread_mutex_unlock(&syncer->mutex);
    return NULL;
}

int psa_syncer_start(struct psa_syncer **made, const struct psa_disk *disk, struct psa_error *error)
{
    struct psa_syncer *syncer = calloc(1, sizeof *syncer);
    sigset_t all, before;
    int failed;

    *made = syncer;
    if (!syncer) return psa_fail_memory(error, "starting");
    syncer->disk = disk;
    pthread_mutex_init(&syncer->mutex, NULL);
    pthread_cond_init(&syncer->changed, NULL);
    syncer->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    sigfillset(&all); /* signals are the main thread's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = syncer->event < 0 ? errno : pthread_create(&syncer->thread, NULL, work, syncer);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!failed) return 0;
    if (syncer->event >= 0) close(syncer->event);
    free(syncer);
    *made = NULL;
    return psa_fail(error, PSA_EXIT_RUNTIME, "cannot start a thread: %s", strerror(failed));
}

void psa_syncer_stop(struct psa_syncer *syncer)
{
    if (!syncer) return;
    pthread_mutex_lock(&syncer->mutex);
    syncer->stop = true;
    pthread_cond_broadcast(&syncer->changed);
    pthread_mutex_unlock(&syncer->mutex);
    pthread_join(syncer->thread, NULL);
    close(syncer->event);
    pthread_mutex_destroy(&syncer->mutex);
    pthread_cond_destroy(&syncer->changed);
    free(syncer);
}

int psa_syncer_fd(const struct psa_syncer *syncer)
{
    return syncer->event;
}

void psa_syncer_submit(struct psa_syncer *syncer, const struct psa_spool_sync *job)
{
    pthread_mutex_lock(&syncer->mutex);
    syncer->job = *job;
    syncer->state = SUBMITTED;
    pthread_cond_broadcast(&syncer->changed);
    pthread_mutex_unlock(&syncer->mutex);
}

bool psa_syncer_collect(struct psa_syncer *syncer, struct psa_spool_sync *job)
{
    eventfd_t n;
    bool done;

    pthread_mutex_lock(&syncer->mutex);
    done = syncer->state == DONE;
    if (done) {
        *job = syncer->job;
        syncer->state = NONE;
        (void)eventfd_read(syncer->event, &n);
    }
    pthread_mutex_unlock(&syncer->mutex);
    return done;
}
