/*
 * spectrum.h - the discrete Fourier transform of windows of one length, by FFTW3.
 */
#ifndef PSA_DSP_SPECTRUM_H
#define PSA_DSP_SPECTRUM_H

#include <stddef.h>

enum { PSA_SPECTRUM_MAX = 1000000 };

/* The plan and the buffers for one length. */
struct psa_spectrum;

/*
 * Plan for windows of n samples. NULL when n is not in 1..PSA_SPECTRUM_MAX or memory is out. FFTW_ESTIMATE and
 * fftw_malloc buffers: the plan depends on n and the CPU's type only, never on a measurement, and so do the last bits.
 * FFTW's planner is not thread-safe: no two threads may be in psa_spectrum_new or psa_spectrum_free at a time.
 */
struct psa_spectrum *psa_spectrum_new(size_t n);
void psa_spectrum_free(struct psa_spectrum *spectrum);

/*
 * Spectral energy of x[n] without its constant part: (1/n) sum of |X_k|^2 over k = 1 .. n-1 of the full transform
 * X_k = sum_t x_t exp(-2 pi i k t / n), in the unit of x squared; 0 for a constant window. By Parseval's theorem it is
 * n times the population variance. NaN when x holds one. Uses the plan's buffers: one thread at a time per plan.
 */
double psa_spectrum_energy(struct psa_spectrum *spectrum, const double *x);

#endif
