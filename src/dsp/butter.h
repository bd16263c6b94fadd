/*
 * butter.h - designing Butterworth filters and notches as second-order sections (dsp/sos.h).
 */
#ifndef PSA_DSP_BUTTER_H
#define PSA_DSP_BUTTER_H

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

#endif
