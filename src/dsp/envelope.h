/*
 * envelope.h - the envelope of a vibration signal and its spectrum, for windows of one length. A worn bearing strikes
 * once a passage of the fault and makes the structure ring; the envelope of the ringing repeats at the fault's
 * frequency where the signal itself only has lines of the structure. Band-pass the signal around a resonance first
 * (dsp/iir.h, dsp/filtfilt.h): this file does not filter.
 *
 * Randall and Antoni, Rolling element bearing diagnostics - A tutorial, Mechanical Systems and Signal Processing 25(2),
 * 2011, doi:10.1016/j.ymssp.2010.07.017.
 */
#ifndef PSA_DSP_ENVELOPE_H
#define PSA_DSP_ENVELOPE_H

#include <stddef.h>

#include "dsp/taper.h"

/* The plans and the buffers for one length and taper. See dsp/spectrum.h about plans and threads. */
struct psa_envelope;

/* NULL when n is not in 1..PSA_SPECTRUM_MAX or memory is out. `taper` is that of the spectrum; hann is usual. */
struct psa_envelope *psa_envelope_new(size_t n, enum psa_taper taper);
void psa_envelope_free(struct psa_envelope *envelope);

/*
 * env[n] = |x + i H(x)|, in the unit of x, H the Hilbert transform over the whole window: the transform of x without
 * line 0 (and the last of an even n), turned by -90 degrees. A tone of amplitude A on a bin has the envelope A. No
 * NaN comes from numbers, NaN in x makes all NaN. In place is fine. numpy.abs(scipy.signal.hilbert(x)); Marple, IEEE
 * Transactions on Signal Processing 47(9), 1999, doi:10.1109/78.782222.
 */
void psa_envelope_run(struct psa_envelope *envelope, const double *x, double *env);

/*
 * The amplitude spectrum of an envelope without its mean: amplitude[k] = 2 |rfft((env - mean) w)[k]| / sum w, [n/2 +
 * 1], in the unit of env, lines rate_hz / n apart. A modulation A cos on a bin has a line A. (Line 0, and the last of
 * an even n, are twice as high as an amplitude would be: as in the golden vectors, and of no interest.) All 0 for a
 * constant envelope.
 */
void psa_envelope_spectrum(struct psa_envelope *envelope, const double *env, double *amplitude);

#endif
