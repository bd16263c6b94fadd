/*
 * resample.h - other sampling rates: by a polyphase filter on a uniform stream, or onto a grid of times from any stream.
 */
#ifndef PSA_DSP_RESAMPLE_H
#define PSA_DSP_RESAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The largest term of a ratio of two rates: the filter has 20 max(up, down) + 1 taps. */
enum { PSA_RATIO_MAX = 4096 };

/*
 * The continued fraction of `value` (positive and finite, between 2^-60 and 2^60) up to the first convergent that rounds
 * to it, or the last one whose terms are both at most `most` (from 1 on). Returns its distance from value, relative to it;
 * infinity, leaving num and den alone, where there is none. The expansion is exact, by Euclid's algorithm on the integers
 * that a double is made of. Source: Hardy and Wright, An Introduction to the Theory of Numbers, chapter 10.
 */
double psa_rational(double value, int64_t most, int64_t *num, int64_t *den);

/* ---- low-pass filters of finite length ------------------------------------------------------------------------ */

enum psa_fir_taper { PSA_FIR_KAISER5, PSA_FIR_HAMMING };

/*
 * A linear-phase low-pass of n taps, gain 1 at zero frequency, by the window method: h[n], cutoff (-6 dB) in parts of half
 * the rate, inside (0, 1]. Kaiser's taper has beta = 5.
 * Source: scipy.signal.firwin(n, cutoff, window=('kaiser', 5.0) or 'hamming'); Oppenheim and Schafer, Discrete-Time Signal
 * Processing, chapter 7.5; Kaiser and Schafer, IEEE Transactions on Acoustics, Speech, and Signal Processing 28(1), 1980,
 * doi:10.1109/TASSP.1980.1163349.
 */
void psa_fir_design(double *h, size_t n, double cutoff, enum psa_fir_taper taper);

/* ---- polyphase ------------------------------------------------------------------------------------------------ */

/*
 * Rate times up / down. Output k is, of inputs x[i] that are 0 before the first and behind the last,
 *
 *     y[k] = sum over i of h[k down - i up + lead] x[i]
 *
 * which needs one tap in `up`: `span` of them. It comes out with input floor((k down + lead) / up), that is lead / up
 * inputs after its own time. Source: Crochiere and Rabiner, Multirate Digital Signal Processing, 1983, chapter 3.3;
 * scipy.signal.upfirdn.
 */
struct psa_polyphase {
    size_t up, down, lead;
    size_t span;  /* inputs that an output is made of: ceil(taps / up) */
    double *bank; /* [up][span], the taps of each phase, for the oldest input first */
};

/*
 * The filter h[n_h] for up and down, both in 1..PSA_RATIO_MAX. NULL when they are not or memory is out. Every output's
 * taps are multiplied by `gain`.
 */
struct psa_polyphase *psa_polyphase_new(size_t up, size_t down, const double *h, size_t n_h, size_t lead, double gain);

/*
 * The same with the taps of scipy.signal.resample_poly(x, up, down): 2 half + 1 of a low-pass at 1 / max(up, down),
 * Kaiser's taper of beta 5, half = 10 max(up, down) = lead, times up. up and down are reduced by their common divisor.
 */
struct psa_polyphase *psa_polyphase_resampler(size_t up, size_t down);

/* scipy.signal.decimate(x, down, ftype='fir'): 20 down + 1 taps of Hamming's taper; zero_phase centres them. */
struct psa_polyphase *psa_polyphase_decimator(size_t down, bool zero_phase);
void psa_polyphase_free(struct psa_polyphase *polyphase);

/*
 * The state for `width` channels, two arrays of the caller's: x[span][width], a ring of the newest inputs, zeroed at first,
 * and at[2]. psa_polyphase_start sets at.
 */
void psa_polyphase_start(const struct psa_polyphase *polyphase, int64_t at[2]);

/* Could `at` be a state's? Then nothing below reads or writes outside x. */
bool psa_polyphase_valid(const struct psa_polyphase *polyphase, const int64_t at[2]);

/* The next input, frame[width]. Then psa_polyphase_pull until it returns false. */
void psa_polyphase_push(const struct psa_polyphase *polyphase, double *x, int64_t at[2], const double *frame,
                        size_t width);

/* When an output belongs, counted from the newest input: `back` inputs before it, and then part / up of an interval
 * later. `slot` is the ring's index of the input `back` before the newest. */
struct psa_polyphase_place {
    size_t back, slot, part;
};

/*
 * The next output y[width], if there is one: with `flush` those too that lack only inputs that never come; they are 0.
 * ceil(inputs up / down) come in all. A NaN in x makes every output NaN that it takes part in. Channels are added up in
 * one fixed order, so the bits do not depend on how many there are.
 */
bool psa_polyphase_pull(const struct psa_polyphase *polyphase, const double *x, int64_t at[2], bool flush, double *y,
                        size_t width, struct psa_polyphase_place *place);

/* ---- grids of times -------------------------------------------------------------------------------------------- */

/* The times m den / num seconds since 1970, for all whole m, each rounded to the nearest nanosecond (a half up). */
struct psa_grid {
    int64_t num, den;
};

/* From one in 1e9 seconds to 1e8 in a second. */
#define PSA_GRID_MIN_HZ 1e-9
#define PSA_GRID_MAX_HZ 1e8

/* The grid of hz: of the simplest fraction that rounds to it, so that 0.1 is one in ten seconds. false when hz is not
 * within the limits. */
bool psa_grid_of(double hz, struct psa_grid *grid);

/* The time of point m, in ns since 1970; limited to what an int64 holds. Exact, in 128 bits. */
int64_t psa_grid_time(struct psa_grid grid, int64_t m);

/* The last point at or before a time, and the first at or behind it. */
int64_t psa_grid_at_or_before(struct psa_grid grid, int64_t time_ns);
int64_t psa_grid_at_or_after(struct psa_grid grid, int64_t time_ns);

/* The value at `time` on the line through (t0, x0) and (t1, x1), t0 <= time <= t1; x0 at t0 and x1 at t1, to the bit; NaN
 * when either is NaN, but for those two times. Source: numpy.interp. */
double psa_line_between(int64_t t0, double x0, int64_t t1, double x1, int64_t time_ns);

#endif
