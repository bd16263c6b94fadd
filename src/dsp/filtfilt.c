/*
 * filtfilt.c - see filtfilt.h. The extended array is filtered, turned round, filtered again and turned back; the turning
 * is done by the direction in which the second run walks.
 */
#include "dsp/filtfilt.h"

#include <string.h>

size_t psa_filtfilt_pad(const struct psa_sos *sos, size_t n)
{
    size_t short_b = 0, short_a = 0;
    for (size_t s = 0; s < n; s++) {
        short_b += sos[s].b2 == 0.0;
        short_a += sos[s].a2 == 0.0;
    }
    return 3 * (2 * n + 1 - (short_b < short_a ? short_b : short_a));
}

/* The state after a constant input of `first` for ever. */
static void steady(const struct psa_sos *sos, size_t n, double first, double *z)
{
    psa_sos_zi(sos, n, z);
    for (size_t i = 0; i < 2 * n; i++) z[i] *= first;
}

void psa_filtfilt(const struct psa_sos *sos, size_t n, const double *x, double *y, size_t n_x, double *scratch)
{
    size_t pad = psa_filtfilt_pad(sos, n), all = n_x + 2 * pad;
    double z[2 * PSA_SOS_MAX], last = x[n_x - 1];
    for (size_t i = 0; i < pad; i++) {
        scratch[i] = 2.0 * x[0] - x[pad - i];
        scratch[pad + n_x + i] = 2.0 * last - x[n_x - 2 - i];
    }
    memcpy(scratch + pad, x, n_x * sizeof *x);

    steady(sos, n, scratch[0], z);
    psa_sos_run(sos, n, z, scratch, scratch, all);
    steady(sos, n, scratch[all - 1], z);
    for (size_t i = all; i-- > pad;) psa_sos_run(sos, n, z, &scratch[i], &scratch[i], 1);
    memcpy(y, scratch + pad, n_x * sizeof *y);
}
