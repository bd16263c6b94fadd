/*
 * filtfilt.h - recursive filters run forward and then backward over a whole array: no phase, twice the order.
 */
#ifndef PSA_DSP_FILTFILT_H
#define PSA_DSP_FILTFILT_H

#include <stddef.h>

#include "dsp/sos.h"

/*
 * By how many samples psa_filtfilt extends an array at either end: three times the taps of the cascade, 2 n + 1, less the
 * first-order sections among them. The array must be longer than that.
 */
size_t psa_filtfilt_pad(const struct psa_sos *sos, size_t n);

/*
 * Filter x[n_x] forward and backward into y[n_x] (y may be x); n_x > psa_filtfilt_pad(sos, n), n <= PSA_SOS_MAX. The ends
 * are extended by their odd reflection, 2 x[0] - x[i], and each run starts from the steady state of its first sample. A
 * NaN in x makes all of y NaN. scratch[n_x + 2 pad] is the caller's.
 * Source: scipy.signal.sosfiltfilt(sos, x), padtype 'odd' and its default padlen; Gustafsson, Determining the initial
 * states in forward-backward filtering, IEEE Transactions on Signal Processing 44(4), 1996, doi:10.1109/78.492552.
 */
void psa_filtfilt(const struct psa_sos *sos, size_t n, const double *x, double *y, size_t n_x, double *scratch);

#endif
