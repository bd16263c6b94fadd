/*
 * bus_iio.h - one device of the kernel's industrial I/O subsystem as sensor/iio.c sees it: channels that can be
 * read one by one, or captured together into the kernel's buffer at the beats of a trigger. bus_iio.c makes it of
 * libiio; tests make others. Numbers are as the kernel gives them: what they mean is sensor/iio.c's to know.
 */
#ifndef PSA_SENSOR_BUS_IIO_H
#define PSA_SENSOR_BUS_IIO_H

#include "sensor/bus.h"

struct psa_iio_channel {
    const char *id;       /* "accel_x", "voltage0-voltage1": an attribute's name without in_ and _raw */
    bool readable;        /* has in_ID_raw or in_ID_input */
    bool processed;       /* it is in_ID_input: offset and scale are in it */
    bool scan;            /* the buffer can have it */
    double offset, scale; /* (raw + offset) * scale has the unit of the kernel's ABI */
};

/* What to capture. */
struct psa_iio_capture {
    const char *trigger;   /* NULL: the one that is set */
    double rate_hz;        /* 0: as it is set */
    size_t samples;        /* of the buffer; 0: a second's */
    const size_t *channel; /* indices */
    size_t n_channel;
};

/* What came of it. */
struct psa_iio_stream {
    const char *trigger; /* NULL: the device needs none */
    double rate_hz;      /* in force; 0: nothing says it */
    bool timed;          /* the kernel notes each sample's time */
};

struct psa_iio {
    const struct psa_iio_calls *calls;
    const char *name; /* of the device, "mpu6050" */
    const struct psa_iio_channel *channel;
    size_t n_channel;
};

/* Calls return 0, or -1 with *fault set. */
struct psa_iio_calls {
    /* What the channel's attribute says now. */
    int (*read)(struct psa_iio *iio, size_t channel, double *number, struct psa_fault *fault);
    /* Begin to capture; *stream is valid until release. */
    int (*capture)(struct psa_iio *iio, const struct psa_iio_capture *how, struct psa_iio_stream *stream,
                   struct psa_fault *fault);
    /* Wait until then_ns (CLOCK_MONOTONIC) for samples: *n of them are in hand. 0: none came, or a stop was asked. */
    int (*wait)(struct psa_iio *iio, int64_t then_ns, size_t *n, struct psa_fault *fault);
    /* Sample i of those in hand: raw numbers in the order of capture's channels, and its time (CLOCK_MONOTONIC) where
     * the stream is timed. */
    void (*sample)(struct psa_iio *iio, size_t i, int64_t *at_ns, double *number);
    /* End the capture, and leave trigger and clock as they were. After a failed capture too. */
    void (*release)(struct psa_iio *iio);
    void (*close)(struct psa_iio *iio);
};

/* The device with that name, label or id (iio:device0), on this machine or where uri says (ip:HOST; NULL: here).
 * stop_fd readable ends waits. */
int psa_iio_open(const char *name, const char *uri, int stop_fd, struct psa_iio **iio, struct psa_fault *fault);

static inline void psa_iio_close(struct psa_iio *iio)
{
    iio->calls->close(iio);
}

#endif
