/*
 * operation.h - what psa-filter does to the samples of a key: an ordered chain of operations on frames.
 *
 * A frame is one sample of every channel at one time; the channels are the key's fields, then those that --magnitude
 * makes. A reading is one frame, a block as many as its arrays have samples:
 *
 *     record --> frames --> step 0 --> step 1 --> ... --> frames --> record
 *
 * A step takes a batch of frames and leaves its own in their place: the same ones with other values; fewer, when it looks
 * ahead (a centred median) or decimates; more, when it interpolates or lets go of those it held. What comes out is always
 * in order of time. Without a resampling step the k-th frame out belongs to the k-th frame in, so the stage finds the
 * record whose values it holds; behind a resampling step frames become records of their own.
 *
 * An operation is a constant descriptor with the numbers its option gave. A step is an operation at work for one key: its
 * design for a rate, and its state. All state lies in two flat arrays, so that saving and loading it is the same for
 * every operation: whatever cannot be computed again from the options and the rate must be in them.
 */
#ifndef PSA_STAGE_OPERATION_H
#define PSA_STAGE_OPERATION_H

#include "psa.h"

struct psa_frames {
    size_t width;     /* channels */
    size_t n, cap;    /* frames held, and room for */
    double *x;        /* [cap][width], frame by frame; NaN: no value */
    int64_t *time_ns; /* [cap] */
};

/* Room for at least n frames; -1 when memory is out. Steady state does not grow it any more. */
int psa_frames_reserve(struct psa_frames *frames, size_t n);
/* Append copies of n frames of `from`, from its index `at` on; -1 when memory is out. */
int psa_frames_append(struct psa_frames *frames, const struct psa_frames *from, size_t at, size_t n);
/* Leave out the first n frames. */
void psa_frames_shift(struct psa_frames *frames, size_t n);
void psa_frames_free(struct psa_frames *frames);

struct psa_operation_type;

/* The longest --magnitude glob, its NUL included. */
enum { PSA_OPERATION_GLOB_MAX = 256 };

/* One use of an option: `--hampel 7,3`. */
struct psa_operation {
    const struct psa_operation_type *type;
    double value[4];                   /* what the type's parse read */
    int64_t count[2];                  /* likewise */
    const char *text;                  /* the option's argument as typed, or NULL; of --magnitude the name it makes */
    const char *fields;                /* the globs (core/glob.h) of the channels it works on; NULL: all */
    char glob[PSA_OPERATION_GLOB_MAX]; /* of --magnitude: what `fields` points at */
    int order;                         /* --order in force here */
    bool centred;                      /* --centred */
    bool zero_phase;                   /* --zero-phase */
    bool from_rest;                    /* --start zero */
    int64_t max_gap_ns; /* --max-gap; 0: none. Values further apart are not to be joined by a guess. The stage
                                        * itself drains and starts all steps when two records are further apart. */
};

/* An operation at work for one key. */
struct psa_step {
    const struct psa_operation *operation;
    const size_t *channel; /* [n_channel] which of a frame's channels it works on */
    size_t n_channel;
    size_t width;
    const bool *apart;           /* [width] channels that have no part in the newest batch; NULL: none */
    double rate_hz, rate_out_hz; /* before and behind it; 0: not known, and not needed */
    double told_interval_s; /* 1 / --rate: the interval to believe instead of the frames' times; 0: believe these */
    void *design;           /* the type's own, from design() */
    double *v;              /* [n_v] state, finite or NaN; zeroed by the stage before start() */
    int64_t *k;             /* [n_k] state; zeroed by the stage before start() */
    size_t n_v, n_k;
    uint64_t replaced;        /* outliers replaced since the stage last looked: it counts and clears them */
    uint64_t filled;          /* missing values filled, likewise */
    uint64_t overflown;       /* values that left the range of a double, likewise; they come out as NaN */
    size_t overflown_channel; /* the last of them, an index into a frame */
    uint64_t too_short;       /* arrays with too few samples for --zero-phase, likewise; they come out as NaN */
    uint64_t leapt;           /* stretches with too many points of a grid in them, likewise: nothing was put there */
};

/* A step writes a result here: one that left the range of a double becomes NaN and is counted; true then, and the step
 * starts the channel anew. A NaN that was one before the step is none: do not bring it here. */
static inline bool psa_step_overflows(struct psa_step *step, size_t channel, double *value)
{
    if (__builtin_isfinite(*value)) return false;
    *value = __builtin_nan("");
    step->overflown++;
    step->overflown_channel = channel;
    return true;
}

/* What the stage must know before it lets samples in. */
enum psa_operation_trait {
    PSA_NEEDS_RATE = 1,    /* design() needs rate_hz */
    PSA_RESAMPLES = 2,     /* frames out are not frames in */
    PSA_LOOKS_AHEAD = 4,   /* frames come out later than they went in */
    PSA_NEEDS_TIME = 8,    /* works on the frames' times */
    PSA_WHOLE_BLOCKS = 16, /* works on each batch by itself: only for blocks, and only where nothing before it delays */
    PSA_MAKES_CHANNEL = 32, /* --magnitude: operation->text names the channel it makes, the last of step->channel */
    PSA_HAS_ORDER = 64,     /* --order means something to it */
    PSA_HAS_START = 128,    /* --start zero means something to it */
    PSA_TOLD_RATE = 256,    /* a rate that was measured is not exact enough for it */
};

struct psa_operation_type {
    const char *name; /* of the option */
    /* Read the option's argument (NULL for one without). -1 with *error set, status PSA_EXIT_PERMANENT. */
    int (*parse)(struct psa_operation *operation, const char *argument, struct psa_error *error);
    /* A set of enum psa_operation_trait, once it is parsed. */
    unsigned (*traits)(const struct psa_operation *operation);
    /*
     * Make step->design for step->rate_hz (all other members above it are set); set n_v and n_k, and rate_out_hz, which is
     * rate_hz when it is called, where that differs. -1 with one sentence that names the option and says what to do, and
     * nothing to drop. Optional: without it there is no design and no state. The stage calls it again, on another
     * psa_step, when the rate changes; every design has a limit on its size.
     */
    int (*design)(struct psa_step *step, struct psa_error *error);
    /* Release step->design. Optional. */
    void (*drop)(struct psa_step *step);
    /* The state before the first frame, and after a gap: v and k are zeroed; set what is not zero. Optional. */
    void (*start)(struct psa_step *step);
    /* v and k were read from a file that anyone may have written: can run() work on them (indices inside their arrays,
     * counts that fit)? Values may be anything finite, or NaN. Optional: without it they may hold anything. */
    bool (*valid)(const struct psa_step *step);
    /*
     * `in` becomes what the step leaves of it: in place, or exchanged with `spare`, whose content is anyone's (swap the
     * structs). -1 only when memory is out.
     */
    int (*run)(struct psa_step *step, struct psa_frames *in, struct psa_frames *spare);
    /* Nothing older than now_ns comes any more: append to the empty `out` what that completes. Optional. */
    int (*advance)(struct psa_step *step, int64_t now_ns, struct psa_frames *out);
    /* No frame follows (the end, a gap): append to the empty `out` the frames held back; v and k are zeroed then, and
     * start() follows. Optional. */
    int (*drain)(struct psa_step *step, struct psa_frames *out);
    /* The newest time that a frame out at time_ns stands for. Optional: its own. */
    int64_t (*covers)(const struct psa_step *step, int64_t time_ns);
};

/* ---- for parse(): operations.c ------------------------------------------------------------------------------------ */

/* The longest part of an argument, its NUL included. */
enum { PSA_PART_MAX = 64 };

/* Cut an argument at each `separator` into at most `most` parts, which may be empty: their number in *n. -1, saying that
 * the argument is not `shape` ("N or N,K"), where there are more or one is too long. */
int psa_operation_split(const struct psa_operation *operation, const char *argument, char separator,
                        char part[][PSA_PART_MAX], size_t most, size_t *n, const char *shape, struct psa_error *error);
/* A number within [min, max], a whole one, a frequency above zero; -1 naming the option otherwise. */
int psa_operation_real(const struct psa_operation *operation, const char *part, double min, double max, double *value,
                       struct psa_error *error);
int psa_operation_count(const struct psa_operation *operation, const char *part, int64_t min, int64_t max,
                        int64_t *value, struct psa_error *error);
int psa_operation_rate(const struct psa_operation *operation, const char *part, double *hz, struct psa_error *error);

/* The operations there are, ended by NULL: operations.c. */
extern const struct psa_operation_type *const psa_operation_types[];

/* operation_linear.c: recursive filters and what is like them. */
extern const struct psa_operation_type psa_lowpass_operation, psa_highpass_operation, psa_bandpass_operation,
    psa_bandstop_operation, psa_notch_operation, psa_integrate_operation, psa_ewma_operation, psa_difference_operation;
/* operation_value.c: each value by itself. */
extern const struct psa_operation_type psa_scale_operation, psa_offset_operation, psa_clip_operation,
    psa_magnitude_operation, psa_fill_operation;
/* operation_robust.c: order statistics and trends over the last samples. */
extern const struct psa_operation_type psa_median_operation, psa_hampel_operation, psa_detrend_operation;
/* operation_kalman.c */
extern const struct psa_operation_type psa_kalman_operation;
/* operation_resample.c */
extern const struct psa_operation_type psa_resample_operation, psa_decimate_operation;

#endif
