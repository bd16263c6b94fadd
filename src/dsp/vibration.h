/*
 * vibration.h - the severity of a machine's vibration: the velocity's rms in a band, and the zone it lies in.
 */
#ifndef PSA_DSP_VIBRATION_H
#define PSA_DSP_VIBRATION_H

#include <stddef.h>

/* Standard gravity in m/s^2, exact by definition (3rd CGPM, 1901): the factor from g to m/s^2. */
#define PSA_STANDARD_GRAVITY 9.80665

/*
 * The rms of the velocity between two frequencies, from the one-sided power spectral density psd[m] of the
 * acceleration (psa_welch_run), lines step_hz apart: sqrt of the sum of psd[k] / (2 pi f_k)^2 step_hz over the lines
 * low <= f < high (psa_lines_between). Its unit is that of the acceleration times s: of m/s^2 it is m/s; times 1000
 * mm/s, in which ISO 20816 counts; times PSA_STANDARD_GRAVITY from g. Line 0 never counts, since a constant
 * acceleration has no rms velocity. 0 when no line falls in between; NaN when not 0 <= low < high. A sin(wt) has A /
 * (w sqrt 2). Integration is division by i 2 pi f, and the sum is Parseval's: Brandt, Noise and Vibration Analysis,
 * 2011. The band from 10 to 1000 Hz is that of ISO 20816.
 *
 * Taper the segments (hann). What leaks from a strong high line down to 10 Hz is divided by a small f: with boxcar, 100
 * m/s^2 at 1500.5 Hz, outside the band and between two lines, would read as 1.6 mm/s; with hann it is less than 1e-6.
 */
double psa_velocity_rms(const double *psd, size_t m, double step_hz, double low_hz, double high_hz);

/* The zone of a value by limits[n], ascending, in the value's unit: how many of the limits it has reached, 0 (good)
 * to n. A value on a limit is in the worse zone. -1 when the value is NaN: a dead sensor is in no zone. */
int psa_zone(double value, const double *limits, size_t n);

#endif
