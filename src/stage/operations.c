/* operations.c - the list of psa-filter's operations, and what they share: frames, and reading an option's argument. */
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/number.h"
#include "core/option.h"
#include "stage/operation.h"

const struct psa_operation_type *const psa_operation_types[] = {
    &psa_lowpass_operation, &psa_highpass_operation,  &psa_bandpass_operation, &psa_bandstop_operation,
    &psa_notch_operation,   &psa_integrate_operation, &psa_ewma_operation,     &psa_difference_operation,
    &psa_scale_operation,   &psa_offset_operation,    &psa_clip_operation,     &psa_magnitude_operation,
    &psa_fill_operation,    &psa_median_operation,    &psa_hampel_operation,   &psa_detrend_operation,
    &psa_kalman_operation,  &psa_resample_operation,  &psa_decimate_operation, NULL,
};

/* ---- frames --------------------------------------------------------------------------------------------------------- */

int psa_frames_reserve(struct psa_frames *frames, size_t n)
{
    size_t cap = frames->cap ? frames->cap : 1;
    double *x;
    int64_t *time_ns;

    if (n <= frames->cap) return 0;
    while (cap < n) cap *= 2;
    x = realloc(frames->x, (cap * frames->width + 1) * sizeof *x);
    if (x) frames->x = x;
    time_ns = realloc(frames->time_ns, cap * sizeof *time_ns);
    if (time_ns) frames->time_ns = time_ns;
    if (!x || !time_ns) return -1;
    frames->cap = cap;
    return 0;
}

int psa_frames_append(struct psa_frames *frames, const struct psa_frames *from, size_t at, size_t n)
{
    if (!n) return 0;
    if (psa_frames_reserve(frames, frames->n + n) != 0) return -1;
    memcpy(frames->x + frames->n * frames->width, from->x + at * from->width, n * from->width * sizeof *from->x);
    memcpy(frames->time_ns + frames->n, from->time_ns + at, n * sizeof *from->time_ns);
    frames->n += n;
    return 0;
}

void psa_frames_shift(struct psa_frames *frames, size_t n)
{
    frames->n -= n;
    if (!n || !frames->n) return;
    memmove(frames->x, frames->x + n * frames->width, frames->n * frames->width * sizeof *frames->x);
    memmove(frames->time_ns, frames->time_ns + n, frames->n * sizeof *frames->time_ns);
}

void psa_frames_free(struct psa_frames *frames)
{
    free(frames->x);
    free(frames->time_ns);
    *frames = (struct psa_frames){ .width = frames->width };
}

/* ---- arguments -------------------------------------------------------------------------------------------------------- */

int psa_operation_split(const struct psa_operation *operation, const char *argument, char separator,
                        char part[][PSA_PART_MAX], size_t most, size_t *n, const char *shape, struct psa_error *error)
{
    const char *rest = argument;

    for (*n = 0; rest && *n < most;) {
        const char *end = strchr(rest, separator);
        size_t length = end ? (size_t)(end - rest) : strlen(rest);

        if (length >= PSA_PART_MAX) break;
        memcpy(part[*n], rest, length);
        part[(*n)++][length] = 0;
        rest = end ? end + 1 : NULL;
    }
    if (!rest) return 0;
    return psa_fail(error, PSA_EXIT_PERMANENT, "--%s: '%s' is not %s", operation->type->name, argument, shape);
}

/* "--lowpass", for messages. */
static const char *option_of(const struct psa_operation *operation, char out[32])
{
    out[0] = out[1] = '-';
    out[2] = 0;
    return strncat(out, operation->type->name, 29);
}

int psa_operation_real(const struct psa_operation *operation, const char *part, double min, double max, double *value,
                       struct psa_error *error)
{
    char what[32], low[PSA_NUMBER_MAX + 1], high[PSA_NUMBER_MAX + 1];

    if (psa_parse_real(part, option_of(operation, what), value, error) != 0) return -1;
    if (*value >= min && *value <= max) return 0;
    return psa_fail(error, PSA_EXIT_PERMANENT, "%s: '%s' is not within %s to %s", what, part, psa_number_text(min, low),
                    psa_number_text(max, high));
}

int psa_operation_count(const struct psa_operation *operation, const char *part, int64_t min, int64_t max,
                        int64_t *value, struct psa_error *error)
{
    char what[32];

    if (psa_parse_count(part, option_of(operation, what), value, error) != 0) return -1;
    if (*value >= min && *value <= max) return 0;
    return psa_fail(error, PSA_EXIT_PERMANENT, "%s: '%s' is not within %lld to %lld", what, part, (long long)min,
                    (long long)max);
}

int psa_operation_rate(const struct psa_operation *operation, const char *part, double *hz, struct psa_error *error)
{
    char what[32];

    if (psa_parse_rate(part, option_of(operation, what), hz, error) != 0) return -1;
    if (*hz > 0) return 0;
    return psa_fail(error, PSA_EXIT_PERMANENT, "%s: '%s' must be above zero", what, part);
}
