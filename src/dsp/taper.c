/* taper.c - see taper.h. */
#include "dsp/taper.h"

#include <math.h>
#include <string.h>

static const double pi = 3.14159265358979323846;

enum { TERMS_MAX = 5 };

/* w = a[0] - a[1] cos + a[2] cos 2 - ..; the main lobe is as many bins wide on either side as there are terms, since
 * each term shifts a boxcar's lobe (1 bin) by one more. */
static const struct {
    const char *name;
    size_t terms;
    double a[TERMS_MAX];
} tapers[] = {
    [PSA_TAPER_BOXCAR] = { "boxcar", 1, { 1.0 } },
    [PSA_TAPER_HANN] = { "hann", 2, { 0.5, 0.5 } },
    [PSA_TAPER_HAMMING] = { "hamming", 2, { 0.54, 0.46 } },
    [PSA_TAPER_BLACKMAN] = { "blackman", 3, { 0.42, 0.5, 0.08 } },
    [PSA_TAPER_BLACKMANHARRIS] = { "blackmanharris", 4, { 0.35875, 0.48829, 0.14128, 0.01168 } },
    [PSA_TAPER_FLATTOP] = { "flattop", 5, { 0.21557895, 0.41663158, 0.277263158, 0.083578947, 0.006947368 } },
};

bool psa_taper_parse(const char *name, enum psa_taper *taper)
{
    for (size_t i = 0; i < sizeof tapers / sizeof *tapers; i++) {
        if (strcmp(tapers[i].name, name) != 0) continue;
        *taper = (enum psa_taper)i;
        return true;
    }
    return false;
}

void psa_taper_fill(enum psa_taper taper, double *w, size_t n)
{
    const double *a = tapers[taper].a;
    for (size_t i = 0; i < n; i++) {
        if (n == 1 || tapers[taper].terms == 1) {
            w[i] = 1.0;
            continue;
        }
        double sum = a[0], sign = -1.0;
        for (size_t k = 1; k < tapers[taper].terms; k++) {
            sum += sign * a[k] * cos(2.0 * pi * (double)(k * i % n) / (double)n);
            sign = -sign;
        }
        w[i] = sum;
    }
}

size_t psa_taper_lobe(enum psa_taper taper)
{
    return tapers[taper].terms;
}
