/* vibration.c - see vibration.h. */
#include "dsp/vibration.h"

#include <math.h>

#include "dsp/spectrum.h"

static const double pi = 3.14159265358979323846;

double psa_velocity_rms(const double *psd, size_t m, double step_hz, double low_hz, double high_hz)
{
    if (!(low_hz >= 0.0 && low_hz < high_hz && step_hz > 0.0)) return NAN;
    size_t k, end;
    psa_lines_between(m, step_hz, low_hz, high_hz, &k, &end);
    if (k == 0) k = 1;
    double sum = 0.0;
    for (; k < end; k++) sum += psd[k] / ((double)k * (double)k);
    double angular_step = 2.0 * pi * step_hz;
    return sqrt(sum * step_hz) / angular_step;
}

int psa_zone(double value, const double *limits, size_t n)
{
    if (isnan(value)) return -1;
    int zone = 0;
    while ((size_t)zone < n && value >= limits[zone]) zone++;
    return zone;
}
