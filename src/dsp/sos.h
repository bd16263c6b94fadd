/*
 * sos.h - recursive filters as a cascade of second-order sections. No allocation, no state outside the caller's arrays.
 */
#ifndef PSA_DSP_SOS_H
#define PSA_DSP_SOS_H

#include <stdbool.h>
#include <stddef.h>

/* One section, H(z) = (b0 + b1 z^-1 + b2 z^-2) / (1 + a1 z^-1 + a2 z^-2). */
struct psa_sos {
    double b0, b1, b2, a1, a2;
};

/* The most sections a design of this project has: a band-pass of order 12. */
enum { PSA_SOS_MAX = 12 };

/*
 * The state in which a constant input of 1 gives a constant output from the first sample on; times x[0] it starts a
 * filter without a jump. zi[2 n]: z0, z1 of section 0, then of section 1, ... Not finite when a section has a pole at
 * z = 1. Source: scipy.signal.sosfilt_zi.
 */
void psa_sos_zi(const struct psa_sos *sos, size_t n, double *zi);

/*
 * Filter x[n_x] into y[n_x] (y may be x) and leave the state behind in z[2 n], laid out as psa_sos_zi does; zeros are a
 * filter at rest. A NaN in x stays in the state for ever: missing samples are the caller's to leave out.
 * Source: scipy.signal.sosfilt; direct form II transposed (Oppenheim and Schafer, Discrete-Time Signal
 * Processing, chapter 6).
 */
void psa_sos_run(const struct psa_sos *sos, size_t n, double *z, const double *x, double *y, size_t n_x);

/*
 * Filter one sample of `width` channels, each with its own state; x[width] in and out. z[n][2][width]: of section 0 all
 * z0, then all z1, then of section 1, ... Every channel's output and state have the bits that psa_sos_run gives.
 */
void psa_sos_step_many(const struct psa_sos *sos, size_t n, double *z, double *x, size_t width);

/* Are all coefficients finite and all poles inside the unit circle? |a2| < 1 and |a1| < 1 + a2, the stability
 * triangle (Jury 1964). */
bool psa_sos_stable(const struct psa_sos *sos, size_t n);

#endif
