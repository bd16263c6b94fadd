/*
 * iir.h - designing recursive filters as second-order sections (dsp/sos.h): Butterworth, Chebyshev, notch, integrator.
 */
#ifndef PSA_DSP_IIR_H
#define PSA_DSP_IIR_H

#include <stddef.h>

#include "dsp/sos.h"

enum psa_band { PSA_LOWPASS, PSA_HIGHPASS, PSA_BANDPASS, PSA_BANDSTOP };

enum { PSA_BUTTER_ORDER_MAX = 12 };

/*
 * Design a digital Butterworth filter into sos[PSA_SOS_MAX] and return its number of sections: (order + 1) / 2, or
 * `order` for a band-pass or band-stop, whose true order is twice that. Cutoffs are the -3 dB points in Hz; a low-pass
 * or high-pass uses only low_hz. Returns 0, leaving sos alone, when order is not in 1..PSA_BUTTER_ORDER_MAX, a cutoff
 * in use is not inside (0, rate_hz / 2), or low_hz >= high_hz.
 *
 * A very narrow or low band of a high order can come out unstable by rounding; psa_sos_stable tells.
 *
 * Source: scipy.signal.butter(order, [low, high], band, fs=rate, output='sos'), section by section: the analog
 * prototype (Butterworth 1930), pre-warped and moved to the band, the bilinear transform (Oppenheim and Schafer,
 * Discrete-Time Signal Processing, chapter 7), and zpk2sos(pairing='nearest'): the poles closest to the unit circle in
 * the last section, the whole gain in the first. In a band symmetric about rate_hz / 4 poles tie for "closest", and the
 * sections may stand in another order than SciPy's, where rounding decides; their product is the same.
 */
size_t psa_butter_design(int order, enum psa_band band, double low_hz, double high_hz, double rate_hz,
                         struct psa_sos *sos);

/*
 * A notch at center_hz whose -3 dB bandwidth is center_hz / q, as one section. Returns 1; 0, leaving sos alone, when
 * center_hz or the bandwidth is not inside (0, rate_hz / 2).
 * Source: scipy.signal.iirnotch; Orfanidis, Introduction to Signal Processing, 1996, equations 11.3.4 to 11.3.7.
 */
size_t psa_notch_design(double center_hz, double q, double rate_hz, struct psa_sos *sos);

/*
 * A Chebyshev low-pass of the first kind: ripple_db (above 0) between the largest and the smallest gain below corner_hz,
 * where the gain is ripple_db below 1 for the last time. Returns the number of sections, (order + 1) / 2; 0, leaving sos
 * alone, when order is not in 1..PSA_BUTTER_ORDER_MAX, the ripple is not positive and finite, or corner_hz is not inside
 * (0, rate_hz / 2).
 * Source: scipy.signal.cheby1(order, ripple, corner, 'low', fs=rate, output='sos'), section by section; the prototype:
 * Rabiner and Gold, Theory and Application of Digital Signal Processing, 1975, chapter 4.
 */
size_t psa_cheby1_design(int order, double ripple_db, double corner_hz, double rate_hz, struct psa_sos *sos);

/*
 * An integrator that forgets what lies below corner_hz, as one section: the trapezoidal rule, T/2 (1 + z^-1) / (1 - z^-1)
 * with T = 1 / rate_hz, behind a Butterworth high-pass of order 2, k (1 - z^-1)^2 / A(z). One zero at z = 1 cancels the
 * integrator's pole exactly, on paper, before any rounding:
 *
 *     H(z) = k T/2 (1 - z^-2) / A(z)
 *
 * So a constant in (a sensor's bias) decays to 0 instead of growing. The unit is that of x times seconds. Returns 1; 0,
 * leaving sos alone, when corner_hz is not inside (0, rate_hz / 2).
 * Source: psa_butter_design(2, PSA_HIGHPASS, ...) and Tustin's rule (Oppenheim and Schafer, chapter 7).
 */
size_t psa_integrator_design(double corner_hz, double rate_hz, struct psa_sos *sos);

#endif
