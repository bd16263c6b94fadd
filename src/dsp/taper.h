/*
 * taper.h - tapers: the weights w[n] that fade a segment out at both ends, so that a line of its spectrum leaks less
 * into the others. All are sums of cosines, w[i] = sum over k of (-1)^k a_k cos(2 pi k i / n), periodic in n
 * ("DFT-even"), as scipy.signal.get_window(name, n, fftbins=True) gives them. Harris, Proceedings of the IEEE 66(1),
 * 1978, doi:10.1109/PROC.1978.10837; flattop: D'Antona and Ferrero, Digital Signal Processing for Measurement
 * Systems, 2006, as SciPy has it.
 */
#ifndef PSA_DSP_TAPER_H
#define PSA_DSP_TAPER_H

#include <stdbool.h>
#include <stddef.h>

enum psa_taper {
    PSA_TAPER_BOXCAR,         /* 1: no taper; lines exact where they fall on bins */
    PSA_TAPER_HANN,           /* 0.5, 0.5 */
    PSA_TAPER_HAMMING,        /* 0.54, 0.46 */
    PSA_TAPER_BLACKMAN,       /* 0.42, 0.5, 0.08 */
    PSA_TAPER_BLACKMANHARRIS, /* 0.35875, 0.48829, 0.14128, 0.01168 */
    PSA_TAPER_FLATTOP,        /* 5 terms; a line's amplitude is right to 0.01 dB between bins too */
};

/* The taper of SciPy's name ("hann"); false, *taper as it was, when there is none. */
bool psa_taper_parse(const char *name, enum psa_taper *taper);

/* w[n], without unit, at most 1; a taper of one sample is 1. */
void psa_taper_fill(enum psa_taper taper, double *w, size_t n);

/*
 * Half the width of a line's main lobe in bins: 1 boxcar, 2 hann and hamming, 3 blackman, 4 blackmanharris, 5 flattop.
 * Lines further than this from a tone hold nothing of it but side lobes.
 */
size_t psa_taper_lobe(enum psa_taper taper);

#endif
