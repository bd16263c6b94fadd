/*
 * sensord_setup.h - which sensors there are: those of the command line and of --config, checked against each other. Two that
 * would speak under one name, or read one chip or line, and more than a bus can carry are refused before anything is opened.
 */
#ifndef PSA_IO_SENSORD_SETUP_H
#define PSA_IO_SENSORD_SETUP_H

#include <pthread.h>

#include "sensor/driver.h"

/* So many sensors, as many threads. */
#define PSA_SENSORD_MAX 1024
/* So many times --config. */
#define PSA_SENSORD_FILES_MAX 64

struct psa_setup {
    struct psa_sensor **sensor; /* [n] */
    size_t n;
    size_t *hold_of;       /* [n] index of the sensor's lock in hold[], PSA_NO_INDEX: it is alone on its chip */
    pthread_mutex_t *hold; /* [n_hold] */
    size_t n_hold;
};

/* Read the n arguments, then the lines of the files. -1 with *error set. Whatever is made belongs to *setup. */
int psa_setup_read(struct psa_setup *setup, char *const *argument, size_t n, const char *const *file, size_t n_file,
                   struct psa_error *error);
/* Releases the locks and lists, not the sensors. */
void psa_setup_free(struct psa_setup *setup);

#endif
