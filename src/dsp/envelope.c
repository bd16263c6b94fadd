/*
 * envelope.c - of the analytic signal x + i H(x) only the imaginary part has to be computed: a real transform, every
 * bin turned by -90 degrees ((a + ib)(-i) = b - ia), and a real transform back. That is half the work of the complex
 * ones of the definition, which set the negative frequencies to 0 and double the positive ones.
 */
#include "dsp/envelope.h"

#include <fftw3.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dsp/spectrum.h"
#include "dsp/waveform.h"

/* Between these the squares of a signal's samples stay in the range of a double. */
static const double squares_from = 1e-140, squares_to = 1e140;

struct psa_envelope {
    size_t n;
    double *samples;    /* [n] */
    fftw_complex *bins; /* [n / 2 + 1] */
    double *taper;      /* [n] */
    double taper_sum;
    fftw_plan forward, back;
};

struct psa_envelope *psa_envelope_new(size_t n, enum psa_taper taper)
{
    if (n < 1 || n > PSA_SPECTRUM_MAX) return NULL;
    struct psa_envelope *envelope = calloc(1, sizeof *envelope);
    if (!envelope) return NULL;
    envelope->n = n;
    envelope->samples = fftw_alloc_real(n);
    envelope->bins = fftw_alloc_complex(n / 2 + 1);
    envelope->taper = fftw_alloc_real(n);
    if (envelope->samples && envelope->bins && envelope->taper) {
        envelope->forward = fftw_plan_dft_r2c_1d((int)n, envelope->samples, envelope->bins, FFTW_ESTIMATE);
        envelope->back = fftw_plan_dft_c2r_1d((int)n, envelope->bins, envelope->samples, FFTW_ESTIMATE);
    }
    if (!envelope->forward || !envelope->back) {
        psa_envelope_free(envelope);
        return NULL;
    }
    psa_taper_fill(taper, envelope->taper, n);
    for (size_t i = 0; i < n; i++) envelope->taper_sum += envelope->taper[i];
    return envelope;
}

void psa_envelope_free(struct psa_envelope *envelope)
{
    if (!envelope) return;
    if (envelope->forward) fftw_destroy_plan(envelope->forward);
    if (envelope->back) fftw_destroy_plan(envelope->back);
    fftw_free(envelope->taper);
    fftw_free(envelope->bins);
    fftw_free(envelope->samples);
    free(envelope);
}

void psa_envelope_run(struct psa_envelope *envelope, const double *x, double *env)
{
    size_t n = envelope->n;
    double *turned = envelope->samples;
    memcpy(turned, x, n * sizeof *turned);
    fftw_execute(envelope->forward);

    fftw_complex *bin = envelope->bins;
    double scale = 1.0 / (double)n; /* FFTW's transforms there and back multiply by n */
    for (size_t k = 0; k <= n / 2; k++) {
        double re = bin[k][0] * scale;
        bin[k][0] = bin[k][1] * scale;
        bin[k][1] = -re;
    }
    /* Bins that are their own mirror images are real, before and behind: the turn leaves nothing of them. */
    bin[0][1] = 0.0;
    if (n % 2 == 0) bin[n / 2][1] = 0.0;
    fftw_execute(envelope->back);
    double peak = psa_peak(x, n);
    if (peak > squares_from && peak < squares_to) {
        for (size_t i = 0; i < n; i++) env[i] = sqrt(x[i] * x[i] + turned[i] * turned[i]);
    } else {
        for (size_t i = 0; i < n; i++) env[i] = hypot(x[i], turned[i]);
    }
}

void psa_envelope_spectrum(struct psa_envelope *envelope, const double *env, double *amplitude)
{
    size_t n = envelope->n;
    double *samples = envelope->samples, first = env[0], sum = 0.0;
    for (size_t i = 0; i < n; i++) sum += env[i] - first;
    double mean = sum / (double)n;
    for (size_t i = 0; i < n; i++) samples[i] = (env[i] - first - mean) * envelope->taper[i];
    fftw_execute(envelope->forward);

    const fftw_complex *bin = (const fftw_complex *)envelope->bins;
    double scale = 2.0 / envelope->taper_sum;
    for (size_t k = 0; k <= n / 2; k++) amplitude[k] = scale * sqrt(bin[k][0] * bin[k][0] + bin[k][1] * bin[k][1]);
}
