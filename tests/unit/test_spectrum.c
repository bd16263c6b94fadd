/* test_spectrum.c - dsp/spectrum: golden vectors, Parseval's theorem, tones, noise, and a plain DFT. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dsp/moments.h"
#include "dsp/spectrum.h"
#include "golden.h"

static const double pi = 3.14159265358979323846;

static double energy_of(const double *x, size_t n)
{
    struct psa_moments moments = psa_moments_of(x, n);
    return psa_spectral_energy(&moments);
}

static void energy_as_numpy(void **state)
{
    (void)state;
    struct golden file = golden_open("features.json");
    struct psa_str windows = golden_at(file.text, "windows"), window;
    double x[256];
    size_t i = 0;
    for (; (window = golden_item(windows, i)).p; i++) {
        size_t n = golden_numbers(window, "x", x, COUNT(x));
        assert_near(energy_of(x, n), golden_number(window, "expected.spec_energy_noDC"), 1e-9);
    }
    assert_int_equal(i, 9);
    golden_close(&file);
}

/* (1/n) sum |X_k|^2 over all k but 0, as the definition says. */
static double plain_energy(const double *x, size_t n)
{
    double sum = 0.0;
    for (size_t k = 1; k < n; k++) {
        double re = 0.0, im = 0.0;
        for (size_t t = 0; t < n; t++) {
            double angle = 2.0 * pi * (double)(k * t % n) / (double)n;
            re += x[t] * cos(angle);
            im -= x[t] * sin(angle);
        }
        sum += re * re + im * im;
    }
    return sum / (double)n;
}

/* The same by the transform: every bin counts twice but k = n/2 of an even n, its own mirror image. */
static double energy_of_bins(const double *x, size_t n)
{
    struct psa_spectrum *spectrum = psa_spectrum_new(n);
    double(*bins)[2] = malloc((n / 2 + 1) * sizeof *bins), sum = 0.0;
    assert_non_null(spectrum);
    assert_non_null(bins);
    psa_spectrum_bins(spectrum, x, bins);
    for (size_t k = 1; k <= n / 2; k++)
        sum += (2 * k == n ? 1.0 : 2.0) * (bins[k][0] * bins[k][0] + bins[k][1] * bins[k][1]);
    free(bins);
    psa_spectrum_free(spectrum);
    return sum / (double)n;
}

static void every_length_agrees_with_the_definition_and_parseval(void **state)
{
    (void)state;
    double x[80];
    for (int i = 0; i < 80; i++) x[i] = sin(1.7 * i * i) + 4.0;
    for (size_t n = 1; n <= 80; n++) {
        assert_near(energy_of(x, n), plain_energy(x, n), 1e-11);
        assert_near(energy_of(x, n), energy_of_bins(x, n), 1e-12);
    }
}

static void a_tone_has_half_its_square(void **state)
{
    (void)state;
    enum { N = 96 };
    double x[N];
    for (int bin = 1; bin <= N / 2; bin++) {
        for (int i = 0; i < N; i++) x[i] = 10.0 + 3.0 * cos(2.0 * pi * bin * i / N);
        assert_near(energy_of(x, N), N * 9.0 * (bin == N / 2 ? 1.0 : 0.5), 1e-12);
    }
}

static void constants_have_none(void **state)
{
    (void)state;
    double x[100];
    for (int i = 0; i < 100; i++) x[i] = 0.1;
    for (size_t n = 1; n <= 100; n++) assert_true(energy_of(x, n) == 0.0);
}

static void one_plan_serves_many_windows(void **state)
{
    (void)state;
    struct psa_spectrum *spectrum = psa_spectrum_new(100);
    double x[101], first[51][2], bins[51][2]; /* one behind an odd address of the array: alignment must not matter */
    for (int round = 0; round < 10; round++) {
        double *window = x + round % 2;
        for (int i = 0; i < 100; i++) window[i] = sin(0.37 * i);
        psa_spectrum_bins(spectrum, window, bins);
        if (round == 0) memcpy(first, bins, sizeof first);
        assert_memory_equal(bins, first, sizeof first);
        for (int i = 0; i < 100; i++) window[i] = NAN;
        psa_spectrum_bins(spectrum, window, bins);
        assert_true(isnan(bins[7][0]));
    }
    psa_spectrum_free(spectrum);
}

static void lengths_have_limits(void **state)
{
    (void)state;
    assert_null(psa_spectrum_new(0));
    assert_null(psa_spectrum_new(PSA_SPECTRUM_MAX + 1));
    psa_spectrum_free(NULL);
    double *x = malloc(PSA_SPECTRUM_MAX * sizeof *x);
    assert_non_null(x);
    for (int i = 0; i < PSA_SPECTRUM_MAX; i++) x[i] = 1e3 + sin(0.01 * i);
    assert_near(energy_of(x, PSA_SPECTRUM_MAX), energy_of_bins(x, PSA_SPECTRUM_MAX), 1e-12);
    free(x);
}

/* a[n] near b[n] relative to the largest |b|. */
static void assert_all_near(const double *a, const double *b, size_t n, double tolerance)
{
    double scale = 0.0;
    for (size_t i = 0; i < n; i++) scale = fmax(scale, fabs(b[i]));
    for (size_t i = 0; i < n; i++)
        assert_near(scale > 0.0 ? a[i] / scale : a[i], scale > 0.0 ? b[i] / scale : b[i], tolerance);
}

/* One segment, no taper, mean removed: the default of psa-features. */
static void plain_psd(const double *x, size_t n, double rate_hz, double *psd)
{
    struct psa_welch welch = { .nperseg = n, .detrend = PSA_WELCH_DETREND_CONSTANT };
    struct psa_welch_plan *plan = psa_welch_new(&welch);
    assert_non_null(plan);
    psa_welch_run(plan, x, n, rate_hz, psd);
    psa_welch_free(plan);
}

/* Golden is 0 where a constant window leaves nothing to look at; here that is undefined. */
#define assert_feature(a, window, path, tolerance)                                            \
    do {                                                                                      \
        if (golden_number(window, "expected.spec_energy_noDC") == 0.0) assert_true(isnan(a)); \
        else assert_near(a, golden_number(window, path), tolerance);                          \
    } while (0)

static void features_as_numpy_and_tsfel(void **state)
{
    (void)state;
    struct golden file = golden_open("features.json");
    struct psa_str windows = golden_at(file.text, "windows"), w;
    double x[256], psd[129], shape[129], magnitude[129], bins[129][2], want[129], got[129];
    size_t i = 0;
    for (; (w = golden_item(windows, i)).p; i++) {
        size_t n = golden_numbers(w, "x", x, COUNT(x)), m = n / 2 + 1;
        double rate_hz = golden_number(w, "fs"), step_hz = rate_hz / (double)n;
        bool constant = golden_number(w, "expected.spec_energy_noDC") == 0.0,
             zero = golden_number(w, "expected.rms") == 0.0;
        struct psa_spectrum *spectrum = psa_spectrum_new(n);
        psa_spectrum_bins(spectrum, x, bins);
        psa_spectrum_magnitudes(spectrum, x, magnitude);
        psa_spectrum_free(spectrum);
        if (n <= 130) {
            golden_numbers(w, "expected.rfft_re", want, COUNT(want));
            for (size_t k = 0; k < m; k++) got[k] = bins[k][0];
            assert_all_near(got, want, m, 1e-14);
            golden_numbers(w, "expected.rfft_im", want, COUNT(want));
            for (size_t k = 0; k < m; k++) assert_near(bins[k][1], want[k], 1e-8); /* NumPy's, at the big offset */
            golden_numbers(w, "expected.power_raw", want, COUNT(want));
            for (size_t k = 0; k < m; k++) got[k] = magnitude[k] * magnitude[k];
            for (size_t k = 0; k < m; k++) assert_near(got[k], want[k], 1e-8);
        }
        plain_psd(x, n, rate_hz, psd);
        psa_shape_lines(psd, n, shape);
        assert_feature(psa_spectral_centroid(shape, m, step_hz), w, "expected.centroid_power_noDC", 1e-9);
        assert_feature(psa_spectral_spread(shape, m, step_hz), w, "expected.spread_power_demeaned", 1e-9);
        assert_feature(psa_spectral_entropy(shape, m), w, "expected.entropy_power_demeaned_nat", 1e-9);
        assert_feature(psa_spectral_entropy_norm(shape, m), w, "expected.entropy_power_demeaned_bits_norm_tsfel", 1e-9);
        size_t dominant = psa_spectral_dominant(shape, m);
        if (constant) assert_int_equal(dominant, 0);
        else assert_near((double)dominant * step_hz, golden_number(w, "expected.dominant_freq_noDC"), 1e-14);
        double centroid = psa_spectral_centroid(magnitude, m, step_hz),
               edge = psa_spectral_rolloff(magnitude, m, step_hz, 0.95);
        if (zero) {
            assert_true(isnan(centroid) && isnan(edge));
        } else {
            assert_near(centroid, golden_number(w, "expected.centroid_mag_tsfel"), 1e-12);
            assert_near(edge, golden_number(w, "expected.rolloff95_mag_tsfel"), 1e-14);
        }
    }
    assert_int_equal(i, 9);
    golden_close(&file);
}

static size_t size_at(struct psa_str object, const char *path, size_t otherwise)
{
    return psa_json_find(object, path).p ? (size_t)golden_number(object, path) : otherwise;
}

/* The arguments of scipy.signal.welch, its defaults where a case names none. */
static struct psa_welch welch_of(struct psa_str args, size_t n)
{
    struct psa_welch welch = { .nperseg = size_at(args, "nperseg", 256), .taper = PSA_TAPER_HANN, .n_max = n };
    welch.noverlap = size_at(args, "noverlap", welch.nperseg / 2);
    welch.detrend = PSA_WELCH_DETREND_CONSTANT;
    static const char *const tapers[] = { "boxcar", "hann", "hamming", "blackman", "blackmanharris", "flattop" };
    for (size_t i = 0; psa_json_find(args, "window").p && i < COUNT(tapers); i++)
        if (golden_is(args, "window", tapers[i])) assert_true(psa_taper_parse(tapers[i], &welch.taper));
    struct psa_str detrend = psa_json_find(args, "detrend");
    if (detrend.p && detrend.p[0] == 'f') welch.detrend = PSA_WELCH_DETREND_NONE;
    if (detrend.p && detrend.p[1] == 'l') welch.detrend = PSA_WELCH_DETREND_LINEAR;
    welch.median = psa_json_find(args, "average").p && golden_is(args, "average", "median");
    return welch;
}

static void welch_as_scipy(void **state)
{
    (void)state;
    struct golden file = golden_open("welch.json");
    struct psa_str cases = golden_at(file.text, "cases"), item;
    static double x[2000];
    double psd[257], want[257], f[257], rate_hz = golden_number(file.text, "fs");
    assert_int_equal(golden_numbers(file.text, "x", x, COUNT(x)), COUNT(x));
    size_t i = 0;
    for (; (item = golden_item(cases, i)).p; i++) {
        struct psa_welch welch = welch_of(golden_at(item, "args"), COUNT(x));
        struct psa_welch_plan *plan = psa_welch_new(&welch);
        size_t m = golden_numbers(item, "P", want, COUNT(want));
        assert_int_equal(m, welch.nperseg / 2 + 1);
        psa_welch_run(plan, x, COUNT(x), rate_hz, psd);
        if (psa_json_find(item, "args.scaling").p && golden_is(item, "args.scaling", "spectrum"))
            psa_welch_power(plan, psd, rate_hz, psd);
        for (size_t k = 0; k < m; k++) assert_near(psd[k] / want[k], 1.0, 1e-9);
        golden_numbers(item, "f", f, COUNT(f));
        for (size_t k = 0; k < m; k++) assert_near((double)k * (rate_hz / (double)welch.nperseg), f[k], 1e-15);
        psa_welch_free(plan);
    }
    assert_int_equal(i, 5);
    golden_close(&file);
}

static void every_taper_and_what_follows_as_scipy(void **state)
{
    (void)state;
    struct golden file = golden_open("features_more.json");
    struct psa_str cases = golden_at(file.text, "welch.cases"), item;
    double x[300], psd[151], power[151], shape[151], want[151], bands[10], band[5], got[5], rolloff[3];
    double rate_hz = golden_number(file.text, "welch.rate_hz");
    assert_int_equal(golden_numbers(file.text, "welch.x", x, COUNT(x)), COUNT(x));
    assert_int_equal(golden_numbers(file.text, "welch.bands", bands, COUNT(bands)), 10);
    size_t i = 0;
    for (; (item = golden_item(cases, i)).p; i++) {
        struct psa_welch welch = welch_of(golden_at(item, "args"), COUNT(x));
        size_t n = welch.nperseg, m = n / 2 + 1;
        double step_hz = rate_hz / (double)n;
        struct psa_welch_plan *plan = psa_welch_new(&welch);
        psa_welch_run(plan, x, COUNT(x), rate_hz, psd);
        assert_int_equal(golden_numbers(item, "psd", want, COUNT(want)), m);
        assert_all_near(psd, want, m, 1e-13);
        psa_welch_power(plan, psd, rate_hz, power);
        golden_numbers(item, "power", want, COUNT(want));
        assert_all_near(power, want, m, 1e-13);
        psa_amplitudes(power, n, power);
        golden_numbers(item, "amplitude", want, COUNT(want));
        assert_all_near(power, want, m, 1e-13);
        psa_welch_free(plan);
        psa_shape_lines(psd, n, shape);
        assert_near(psa_spectral_centroid(shape, m, step_hz), golden_number(item, "shape.centroid"), 1e-12);
        assert_near(psa_spectral_spread(shape, m, step_hz), golden_number(item, "shape.spread"), 1e-12);
        assert_near(psa_spectral_entropy(shape, m), golden_number(item, "shape.entropy"), 1e-12);
        assert_near(psa_spectral_entropy_norm(shape, m), golden_number(item, "shape.entropy_norm"), 1e-12);
        assert_near(psa_spectral_flatness(shape, m) / golden_number(item, "shape.flatness"), 1.0, 1e-9);
        golden_numbers(item, "shape.rolloff", rolloff, 3);
        assert_near(psa_spectral_rolloff(shape, m, step_hz, 0.5), rolloff[0], 1e-14);
        assert_near(psa_spectral_rolloff(shape, m, step_hz, 0.85), rolloff[1], 1e-14);
        assert_near(psa_spectral_rolloff(shape, m, step_hz, 0.95), rolloff[2], 1e-14);
        assert_true((double)psa_spectral_dominant(shape, m) == golden_number(item, "shape.dominant"));
        golden_numbers(item, "bands", band, COUNT(band));
        for (size_t b = 0; b < 5; b++) got[b] = psa_band_power(psd, m, step_hz, bands[2 * b], bands[2 * b + 1]);
        assert_all_near(got, band, 5, 1e-12);
    }
    assert_int_equal(i, 10);
    golden_close(&file);
}

/* A cos on a line, whatever the taper: amplitude A, power A^2/2 there, all of it within the main lobe. */
static void a_tone_has_its_line(void **state)
{
    (void)state;
    enum { N = 256, SEGMENT = 64, LINES = SEGMENT / 2 + 1 };
    double x[N], psd[LINES], power[LINES], amplitude[LINES], rate_hz = 1000.0, step_hz = rate_hz / SEGMENT;
    for (int t = PSA_TAPER_BOXCAR; t <= PSA_TAPER_FLATTOP; t++) {
        size_t lobe = psa_taper_lobe((enum psa_taper)t);
        for (size_t line = lobe; line + lobe < LINES; line++) {
            for (size_t i = 0; i < N; i++) x[i] = 3.0 * cos(2.0 * pi * (double)(line * i % SEGMENT) / SEGMENT + 0.7);
            struct psa_welch welch = { SEGMENT, SEGMENT / 2, (enum psa_taper)t, PSA_WELCH_DETREND_CONSTANT, t % 2 == 1,
                                       N };
            struct psa_welch_plan *plan = psa_welch_new(&welch);
            psa_welch_run(plan, x, N, rate_hz, psd);
            psa_welch_power(plan, psd, rate_hz, power);
            psa_amplitudes(power, SEGMENT, amplitude);
            double bias = t % 2 == 1 ? 1.0 - (1.0 / 2 - 1.0 / 3) - (1.0 / 4 - 1.0 / 5) - (1.0 / 6 - 1.0 / 7) : 1.0;
            assert_near(power[line] * bias, 4.5, 1e-13);
            assert_near(amplitude[line] * sqrt(bias), 3.0, 1e-13);
            assert_near(psa_band_power(psd, LINES, step_hz, 0.0, rate_hz) * bias, 4.5, 1e-13);
            assert_int_equal(psa_spectral_dominant(psd, LINES), line);
            for (size_t k = 0; k < LINES; k++)
                if (k + lobe <= line || k >= line + lobe) assert_near(psd[k], 0.0, 1e-13);
            psa_welch_free(plan);
        }
    }
}

/* One segment without taper: the sum of the density is the variance, the last line of an even n counted once. */
static void density_adds_up_to_the_variance(void **state)
{
    (void)state;
    double x[80], psd[41];
    for (int i = 0; i < 80; i++) x[i] = sin(1.7 * i * i) + 4.0;
    for (size_t n = 1; n <= 80; n++) {
        size_t m = n / 2 + 1;
        double rate_hz = 20.0, step_hz = rate_hz / (double)n, var = psa_moments_of(x, n).var;
        plain_psd(x, n, rate_hz, psd);
        assert_near(psa_band_power(psd, m, step_hz, 0.0, 10.1), var, 1e-13);
        assert_near(psa_band_power(psd, m, step_hz, 0.0, 1e9), var, 1e-13);
        double halves = 0.0;
        for (int b = 0; b < 21; b++) halves += psa_band_power(psd, m, step_hz, 0.5 * b, 0.5 * b + 0.5);
        assert_near(halves, var, 1e-13); /* bands side by side */
    }
}

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 11;
}

/* White noise is flat: one periodogram's lines are exponentially distributed, so its flatness is exp(-Euler's
 * constant), its entropy ln m - 1 + Euler's constant, and its centroid and spread are those of a uniform
 * distribution. */
static void white_noise_is_flat(void **state)
{
    (void)state;
    enum { N = 100000, LINES = N / 2 + 1 };
    static double x[N], psd[LINES];
    const double euler = 0.57721566490153286;
    uint64_t seed = 7;
    for (int i = 0; i < N; i++) { /* twelve uniform numbers, near enough to normal */
        x[i] = -6.0;
        for (int k = 0; k < 12; k++) x[i] += (double)next_random(&seed) / 9007199254740992.0;
    }
    plain_psd(x, N, 2.0, psd);
    assert_near(psa_spectral_flatness(psd, LINES), exp(-euler), 0.01);
    assert_near(psa_spectral_entropy(psd, LINES), log(LINES) - 1.0 + euler, 0.01);
    assert_near(psa_spectral_centroid(psd, LINES, 2.0 / N), 0.5, 0.01);
    assert_near(psa_spectral_spread(psd, LINES, 2.0 / N), 1.0 / sqrt(12.0), 0.01);
    assert_near(psa_spectral_rolloff(psd, LINES, 2.0 / N, 0.85), 0.85, 0.01);
    /* Density 1 over half the rate; averaged over many segments every line is near it, with the median too. */
    for (int median = 0; median <= 1; median++) {
        struct psa_welch welch = { 100, 0, PSA_TAPER_HANN, PSA_WELCH_DETREND_NONE, median, N };
        struct psa_welch_plan *plan = psa_welch_new(&welch);
        psa_welch_run(plan, x, N, 2.0, psd);
        for (size_t k = 1; k < 50; k++) assert_near(psd[k], 1.0, 0.2);
        assert_near(psa_band_power(psd, 51, 0.02, 0.0, 1.0), 1.0, 0.02);
        assert_true(psa_spectral_flatness(psd, 51) > 0.98);
        psa_welch_free(plan);
    }
}

/* What a spectrum looks like when every number can be written down. */
static void shapes_in_closed_form(void **state)
{
    (void)state;
    double p[101] = { 0 }, flat[101], two[101] = { 0 };
    for (int k = 0; k < 101; k++) flat[k] = 0.25;
    p[40] = 3.0;
    two[10] = two[30] = 2.0;
    assert_near(psa_spectral_centroid(p, 101, 0.5), 20.0, 1e-15);
    assert_near(psa_spectral_spread(p, 101, 0.5), 0.0, 1e-15);
    assert_near(psa_spectral_rolloff(p, 101, 0.5, 0.95), 20.0, 1e-15);
    assert_near(psa_spectral_entropy(p, 101), 0.0, 1e-15);
    assert_true(psa_spectral_flatness(p, 101) == 0.0 && psa_spectral_dominant(p, 101) == 40);
    assert_near(psa_spectral_centroid(two, 101, 0.5), 10.0, 1e-15);
    assert_near(psa_spectral_spread(two, 101, 0.5), 5.0, 1e-15);
    assert_near(psa_spectral_entropy(two, 101), log(2.0), 1e-15);
    assert_near(psa_spectral_rolloff(two, 101, 0.5, 0.49), 5.0, 1e-15);
    assert_near(psa_spectral_rolloff(two, 101, 0.5, 0.5), 15.0, 1e-15); /* exceeds: not reaches */
    assert_int_equal(psa_spectral_dominant(two, 101), 10);
    assert_near(psa_spectral_centroid(flat, 101, 1.0), 50.0, 1e-14);
    assert_near(psa_spectral_spread(flat, 101, 1.0), sqrt((101.0 * 101.0 - 1.0) / 12.0), 1e-14);
    assert_near(psa_spectral_entropy(flat, 101), log(101.0), 1e-14);
    assert_near(psa_spectral_entropy_norm(flat, 101), 1.0, 1e-14);
    assert_near(psa_spectral_flatness(flat, 101), 1.0, 1e-14);
    assert_true(isnan(psa_spectral_rolloff(flat, 101, 1.0, 1.0)));
    flat[0] = 1e9; /* the constant part is not in flatness and dominance */
    assert_near(psa_spectral_flatness(flat, 101), 1.0, 1e-14);
    assert_int_equal(psa_spectral_dominant(flat, 101), 1);
    flat[3] = 5e-324;
    assert_true(psa_spectral_flatness(flat, 101) > 0.0);
}

static void bands_and_lines(void **state)
{
    (void)state;
    size_t first, end;
    psa_lines_between(101, 0.1, 0.3, 0.7, &first, &end); /* 0.7 / 0.1 rounds below 7 */
    assert_int_equal(first, 3);
    assert_int_equal(end, 7);
    psa_lines_between(101, 0.1, 9.95, 10.01, &first, &end);
    assert_int_equal(first, 100);
    assert_int_equal(end, 101);
    psa_lines_between(101, 0.1, 9.95, 10.0, &first, &end); /* half-open, the last line too */
    assert_int_equal(first, end);
    psa_lines_between(101, 0.1, 20.0, 30.0, &first, &end);
    assert_int_equal(first, end);
    psa_lines_between(101, 0.1, 0.31, 0.39, &first, &end);
    assert_int_equal(first, end);
    psa_lines_between(101, 0.3, 2.1, 5.4, &first, &end); /* 2.1 / 0.3 rounds above 7, 5.4 / 0.3 above 18 */
    assert_int_equal(first, 7);
    assert_int_equal(end, 18);
    psa_lines_between(101, 0.1, 5.0, 2.0, &first, &end);
    assert_int_equal(first, end);
    double p[101] = { 0 };
    assert_true(psa_band_power(p, 101, 0.1, 0.31, 0.39) == 0.0);
    assert_true(isnan(psa_band_power(p, 101, 0.1, 2.0, 2.0)) && isnan(psa_band_power(p, 101, 0.1, 3.0, 2.0)));
    assert_true(isnan(psa_band_power(p, 101, 0.1, -1.0, 2.0)) && isnan(psa_band_power(p, 101, 0.1, NAN, 2.0)));
    p[0] = 9.0;
    p[24] = 3.0;
    p[27] = 4.0;
    assert_int_equal(psa_line_near(p, 101, 1.0, 25.3, 0.0), 25); /* none within reach: the nearest */
    assert_int_equal(psa_line_near(p, 101, 1.0, 25.3, 1.3), 24);
    assert_int_equal(psa_line_near(p, 101, 1.0, 25.3, 1.8), 27);
    assert_int_equal(psa_line_near(p, 101, 1.0, 0.2, 0.9), 1); /* never line 0 */
    assert_int_equal(psa_line_near(p, 101, 1.0, 100.4, 500.0), 27);
    assert_int_equal(psa_line_near(p, 101, 1.0, 100.5, 500.0), 0);
    assert_int_equal(psa_line_near(p, 101, 1.0, 0.0, 5.0), 0);
    assert_int_equal(psa_line_near(p, 101, 1.0, NAN, 5.0), 0);
    assert_int_equal(psa_line_near(p, 1, 1.0, 0.3, 5.0), 0);
}

static void an_offset_costs_no_digits_of_a_density(void **state)
{
    (void)state;
    enum { N = 200 };
    double x[N], moved[N], psd[26], offset_psd[26];
    for (int i = 0; i < N; i++) x[i] = (double)((i * i * 31) % 127) / 128.0; /* exact beside 2^40 too */
    for (int i = 0; i < N; i++) moved[i] = x[i] + ldexp(1.0, 40);
    for (int detrend = PSA_WELCH_DETREND_CONSTANT; detrend <= PSA_WELCH_DETREND_LINEAR; detrend++) {
        struct psa_welch welch = { 50, 25, PSA_TAPER_HANN, (enum psa_welch_detrend)detrend, false, 0 };
        struct psa_welch_plan *plan = psa_welch_new(&welch);
        psa_welch_run(plan, x, N, 1.0, psd);
        psa_welch_run(plan, moved, N, 1.0, offset_psd);
        assert_all_near(offset_psd, psd, 26, 1e-14);
        psa_welch_free(plan);
    }
}

static void a_line_is_gone_when_it_is_taken(void **state)
{
    (void)state;
    double x[100], psd[26];
    for (int i = 0; i < 100; i++) x[i] = 5.0 + 0.25 * i;
    struct psa_welch welch = { 50, 0, PSA_TAPER_BOXCAR, PSA_WELCH_DETREND_LINEAR, false, 0 };
    struct psa_welch_plan *plan = psa_welch_new(&welch);
    psa_welch_run(plan, x, 100, 1.0, psd);
    for (int k = 0; k < 26; k++) assert_near(psd[k], 0.0, 1e-28);
    psa_welch_free(plan);
}

static void nothing_to_see_is_nan(void **state)
{
    (void)state;
    double x[64], psd[33];
    for (int i = 0; i < 64; i++) x[i] = 0.1;
    plain_psd(x, 64, 10.0, psd);
    for (int k = 0; k < 33; k++) assert_true(psd[k] == 0.0);
    assert_true(isnan(psa_spectral_centroid(psd, 33, 1.0)) && isnan(psa_spectral_spread(psd, 33, 1.0)));
    assert_true(isnan(psa_spectral_entropy(psd, 33)) && isnan(psa_spectral_entropy_norm(psd, 33)));
    assert_true(isnan(psa_spectral_flatness(psd, 33)) && isnan(psa_spectral_rolloff(psd, 33, 1.0, 0.85)));
    assert_int_equal(psa_spectral_dominant(psd, 33), 0);
    x[10] = NAN;
    plain_psd(x, 64, 10.0, psd);
    for (int k = 0; k < 33; k++) assert_true(isnan(psd[k]));
    assert_true(isnan(psa_spectral_centroid(psd, 33, 1.0)) && isnan(psa_spectral_spread(psd, 33, 1.0)));
    assert_true(isnan(psa_spectral_entropy(psd, 33)) && isnan(psa_spectral_flatness(psd, 33)));
    assert_true(isnan(psa_spectral_rolloff(psd, 33, 1.0, 0.85)) && isnan(psa_band_power(psd, 33, 1.0, 0.0, 9.0)));
    assert_int_equal(psa_spectral_dominant(psd, 33), 0);
    for (int k = 0; k < 33; k++) psd[k] = 1e308; /* whose sum is no number */
    assert_true(isnan(psa_spectral_entropy(psd, 33)) && isnan(psa_spectral_flatness(psd, 33)));
    x[10] = 0.0; /* one and two samples */
    plain_psd(x, 1, 10.0, psd);
    assert_true(psd[0] == 0.0 && isnan(psa_spectral_entropy_norm(psd, 1)) && isnan(psa_spectral_flatness(psd, 1)));
    assert_true(isnan(psa_spectral_flatness(psd, 0)) && isnan(psa_spectral_centroid(psd, 0, 1.0)));
    x[0] = 1.0;
    x[1] = -1.0;
    plain_psd(x, 2, 10.0, psd);
    assert_near(psd[1] * 5.0, 1.0, 1e-15);
}

static void welch_has_limits(void **state)
{
    (void)state;
    struct psa_welch welch = { 50, 25, PSA_TAPER_HANN, PSA_WELCH_DETREND_NONE, false, 0 };
    assert_int_equal(psa_welch_segments(&welch, 49), 0);
    assert_int_equal(psa_welch_segments(&welch, 50), 1);
    assert_int_equal(psa_welch_segments(&welch, 74), 1);
    assert_int_equal(psa_welch_segments(&welch, 75), 2);
    double x[100] = { 1.0, 2.0 }, psd[26];
    struct psa_welch_plan *plan = psa_welch_new(&welch);
    psa_welch_run(plan, x, 49, 1.0, psd); /* shorter than a segment */
    for (int k = 0; k < 26; k++) assert_true(isnan(psd[k]));
    psa_welch_free(plan);
    welch.median = true;
    welch.n_max = 75;
    plan = psa_welch_new(&welch);
    psa_welch_run(plan, x, 49, 1.0, psd);
    assert_true(isnan(psd[0]) && isnan(psd[25]));
    psa_welch_run(plan, x, 75, 1.0, psd);
    assert_true(psd[1] >= 0.0);
    psa_welch_run(plan, x, 100, 1.0, psd); /* longer than was told */
    for (int k = 0; k < 26; k++) assert_true(isnan(psd[k]));
    x[60] = NAN;
    psa_welch_run(plan, x, 75, 1.0, psd);
    for (int k = 0; k < 26; k++) assert_true(isnan(psd[k]));
    psa_welch_free(plan);
    welch.noverlap = 40; /* one segment of six holds it: its place in the order would be arbitrary */
    welch.n_max = 100;
    plan = psa_welch_new(&welch);
    x[60] = 0.0;
    x[99] = NAN;
    psa_welch_run(plan, x, 100, 1.0, psd);
    for (int k = 0; k < 26; k++) assert_true(isnan(psd[k]));
    psa_welch_free(plan);
    welch = (struct psa_welch){ 1, 0, PSA_TAPER_HANN, PSA_WELCH_DETREND_LINEAR, false, 0 };
    plan = psa_welch_new(&welch); /* segments of one sample */
    psa_welch_run(plan, x, 50, 1.0, psd);
    assert_true(psd[0] == 0.0);
    psa_welch_free(plan);
    welch.nperseg = 50;
    welch.noverlap = 50;
    assert_null(psa_welch_new(&welch));
    welch = (struct psa_welch){ .nperseg = 0 };
    assert_null(psa_welch_new(&welch));
    welch.nperseg = PSA_SPECTRUM_MAX + 1;
    assert_null(psa_welch_new(&welch));
    welch = (struct psa_welch){ 1000, 999, PSA_TAPER_HANN, PSA_WELCH_DETREND_NONE, true, PSA_SPECTRUM_MAX };
    assert_null(psa_welch_new(&welch)); /* the median of half a thousand million numbers */
    psa_welch_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(energy_as_numpy),
        cmocka_unit_test(every_length_agrees_with_the_definition_and_parseval),
        cmocka_unit_test(a_tone_has_half_its_square),
        cmocka_unit_test(constants_have_none),
        cmocka_unit_test(one_plan_serves_many_windows),
        cmocka_unit_test(lengths_have_limits),
        cmocka_unit_test(features_as_numpy_and_tsfel),
        cmocka_unit_test(welch_as_scipy),
        cmocka_unit_test(every_taper_and_what_follows_as_scipy),
        cmocka_unit_test(a_tone_has_its_line),
        cmocka_unit_test(density_adds_up_to_the_variance),
        cmocka_unit_test(white_noise_is_flat),
        cmocka_unit_test(shapes_in_closed_form),
        cmocka_unit_test(bands_and_lines),
        cmocka_unit_test(an_offset_costs_no_digits_of_a_density),
        cmocka_unit_test(a_line_is_gone_when_it_is_taken),
        cmocka_unit_test(nothing_to_see_is_nan),
        cmocka_unit_test(welch_has_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
