/*
 * fault.h - why a sensor gave no reading: a kind, which programs tell apart, and a sentence for people. Faults are the
 * everyday business of sensors, not errors that end a run (core/error.h): the sensor counts as down and is tried again.
 */
#ifndef PSA_SENSOR_FAULT_H
#define PSA_SENSOR_FAULT_H

#include <stddef.h>

enum psa_fault_kind {
    PSA_FAULT_NONE,
    PSA_FAULT_ABSENT,   /* nothing answers there: no such bus, chip or line */
    PSA_FAULT_BUSY,     /* a kernel driver or another program has it */
    PSA_FAULT_DENIED,   /* no permission */
    PSA_FAULT_TIMEOUT,  /* it answers, but does not get ready; or the bus hangs */
    PSA_FAULT_CHECKSUM, /* what came does not add up */
    PSA_FAULT_STUCK,    /* the same raw value again and again */
    PSA_FAULT_WRONG,    /* something else answers than the driver is for */
    PSA_FAULT_IO        /* anything else that the kernel said */
};

/* "absent", as status records spell it. */
const char *psa_fault_name(enum psa_fault_kind kind);

struct psa_fault {
    enum psa_fault_kind kind;
    char text[240]; /* problem first, lower case, no full stop */
};

/* Fill *fault and return -1. Bytes that are no UTF-8 (names that the kernel has of others, a character that was cut at the end)
 * become '?': the text goes into records. */
int psa_fault_set(struct psa_fault *fault, enum psa_fault_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The fault that an errno of a bus stands for, "WHAT: TEXT (ENAME): what to do". Returns -1. ENOENT, ENODEV, ENXIO,
 * EREMOTEIO: absent; EBUSY: busy; EACCES, EPERM: denied; ETIMEDOUT, EAGAIN: timeout; others: io. */
int psa_fault_errno(struct psa_fault *fault, int number, const char *what);

#endif
