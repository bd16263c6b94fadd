/*
 * spectrum.c - the real-to-complex transform gives bins 0 .. n/2; of the others, X_{n-k} = conj X_k. So every bin
 * counts twice, but for k = 0, which is left out, and k = n/2 of an even n, which is its own mirror image.
 */
#include "dsp/spectrum.h"

#include <fftw3.h>
#include <stdlib.h>

struct psa_spectrum {
    size_t n;
    double *samples;    /* [n] */
    fftw_complex *bins; /* [n / 2 + 1] */
    fftw_plan plan;
};

struct psa_spectrum *psa_spectrum_new(size_t n)
{
    if (n < 1 || n > PSA_SPECTRUM_MAX) return NULL;
    struct psa_spectrum *spectrum = calloc(1, sizeof *spectrum);
    if (!spectrum) return NULL;
    spectrum->n = n;
    spectrum->samples = fftw_alloc_real(n);
    spectrum->bins = fftw_alloc_complex(n / 2 + 1);
    if (spectrum->samples && spectrum->bins)
        spectrum->plan = fftw_plan_dft_r2c_1d((int)n, spectrum->samples, spectrum->bins, FFTW_ESTIMATE);
    if (!spectrum->plan) {
        psa_spectrum_free(spectrum);
        return NULL;
    }
    return spectrum;
}

void psa_spectrum_free(struct psa_spectrum *spectrum)
{
    if (!spectrum) return;
    if (spectrum->plan) fftw_destroy_plan(spectrum->plan);
    fftw_free(spectrum->bins);
    fftw_free(spectrum->samples);
    free(spectrum);
}

double psa_spectrum_energy(struct psa_spectrum *spectrum, const double *x)
{
    /* A shift of all samples changes bin 0 alone. Without it a large offset would drown small bins in its rounding, and
     * a constant window would not come out as exactly 0. */
    size_t n = spectrum->n;
    for (size_t i = 0; i < n; i++) spectrum->samples[i] = x[i] - x[0];
    fftw_execute(spectrum->plan);

    const fftw_complex *bin = (const fftw_complex *)spectrum->bins;
    double re = 0.0, im = 0.0;
    for (size_t k = 1; k < (n + 1) / 2; k++) {
        re += bin[k][0] * bin[k][0];
        im += bin[k][1] * bin[k][1];
    }
    double sum = 2.0 * (re + im);
    if (n % 2 == 0) sum += bin[n / 2][0] * bin[n / 2][0];
    return sum / (double)n;
}
