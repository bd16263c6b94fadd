/* bearing.c - see bearing.h. */
#include "dsp/bearing.h"

#include <math.h>

#include "dsp/quantile.h"
#include "dsp/spectrum.h"
#include "dsp/taper.h"

static const double pi = 3.14159265358979323846;

/* A shaft does not slip, but its speed is told to so many digits only: 1495 of 1500 rpm is 0.3 %. */
static const double shaft_tolerance = 0.005;

bool psa_bearing_frequencies(const struct psa_bearing *bearing, double shaft_hz, struct psa_bearing_hz *hz)
{
    *hz = (struct psa_bearing_hz){ 0 };
    double n = bearing->n, d = bearing->d, D = bearing->D, angle_deg = bearing->angle_deg;
    bool is_one = n >= 1.0 && d > 0.0 && d < D && fabs(angle_deg) < 90.0 && shaft_hz > 0.0;
    if (!is_one || !isfinite(n) || !isfinite(D) || !isfinite(shaft_hz)) return false;
    double r = d / D * cos(angle_deg * pi / 180.0);
    hz->bpfo = 0.5 * n * shaft_hz * (1.0 - r);
    hz->bpfi = 0.5 * n * shaft_hz * (1.0 + r);
    hz->bsf = D / (2.0 * d) * shaft_hz * (1.0 - r * r);
    hz->ftf = 0.5 * shaft_hz * (1.0 - r);
    return true;
}

const char *psa_element_name(int element)
{
    static const char *const name[] = { "outer race", "inner race", "ball", "cage", "none" };
    return name[element];
}

struct psa_bearing_options psa_bearing_defaults(void)
{
    return (struct psa_bearing_options){
        .low_hz = 10.0,
        .high_hz = 500.0,
        .tolerance = 0.02,
        .harmonics = 3,
        .min_ratio = PSA_BEARING_MIN_RATIO,
        .lobe = psa_taper_lobe(PSA_TAPER_HANN),
    };
}

static size_t orders_of(const struct psa_bearing_options *options)
{
    return options->harmonics < PSA_BEARING_HARMONICS_MAX ? options->harmonics : PSA_BEARING_HARMONICS_MAX;
}

/* Line k over the median of its neighbours. */
static double ratio_at(const double *amplitude, size_t m, size_t k, size_t lobe)
{
    double around[2 * PSA_BEARING_NEIGHBOURS];
    size_t n = 0, reach = lobe + PSA_BEARING_NEIGHBOURS;
    for (size_t i = k > reach ? k - reach : 1; i + lobe < k; i++) around[n++] = amplitude[i];
    for (size_t i = k + lobe + 1; i <= k + reach && i < m; i++) around[n++] = amplitude[i];
    if (n == 0) return NAN;
    psa_sort(around, n);
    double background = psa_quantile_sorted(around, n, 0.5);
    return background > 0.0 ? amplitude[k] / background : amplitude[k] > 0.0 ? INFINITY : NAN;
}

/* The highest line from low_hz to high_hz, 0 when there is none. */
static size_t highest_line(const double *amplitude, size_t m, double step_hz, const struct psa_bearing_options *options)
{
    double from = ceil(options->low_hz / step_hz - 1e-9), to = floor(options->high_hz / step_hz + 1e-9);
    size_t highest = 0;
    for (size_t k = from > 1.0 ? (size_t)fmin(from, (double)m) : 1; k < m && (double)k <= to; k++)
        if (amplitude[k] > (highest ? amplitude[highest] : 0.0)) highest = k;
    return highest;
}

static void read_lines(const double *amplitude, size_t m, double step_hz, double hz,
                       const struct psa_bearing_options *options, struct psa_bearing_line *line)
{
    for (size_t h = 0; h < orders_of(options); h++) {
        double expected_hz = (double)(h + 1) * hz;
        size_t k = psa_line_near(amplitude, m, step_hz, expected_hz, options->tolerance * expected_hz);
        line[h] = (struct psa_bearing_line){ NAN, NAN, NAN, NAN };
        if (k == 0) continue;
        line[h].expected_hz = expected_hz;
        line[h].line_hz = (double)k * step_hz;
        line[h].amplitude = amplitude[k];
        line[h].ratio = ratio_at(amplitude, m, k, options->lobe);
    }
}

/* Are lines step_hz apart close enough to tell a frequency from others? */
static bool is_resolved(double expected_hz, double step_hz, const struct psa_bearing_options *options)
{
    return expected_hz > 0.0 && step_hz <= options->tolerance * expected_hz * (1.0 + 1e-9);
}

static size_t primaries_of(int element)
{
    return element == PSA_ELEMENT_BALL ? 2 : 1;
}

/* Which elements can be named at all, and by what. */
static void look(const double *element_hz, size_t m, double step_hz, const struct psa_bearing_options *options,
                 struct psa_diagnosis *diagnosis)
{
    for (int element = 0; element < PSA_ELEMENTS; element++) {
        diagnosis->primary_hz[element] = element_hz[element] > 0.0 ? element_hz[element] : NAN;
        diagnosis->seen[element] = false;
        for (size_t order = 1; order <= primaries_of(element) && order <= orders_of(options); order++) {
            double hz = (double)order * element_hz[element];
            bool within = hz >= options->low_hz && hz <= options->high_hz && hz < (double)m * step_hz;
            if (diagnosis->seen[element] || !within || !is_resolved(hz, step_hz, options)) continue;
            diagnosis->seen[element] = true;
            diagnosis->primary_hz[element] = hz;
        }
    }
}

/* Does a line stand out at a primary frequency of the element, if the order is none itself? */
static bool is_borne_out(const struct psa_diagnosis *diagnosis, int element, size_t order, double step_hz,
                         const struct psa_bearing_options *options)
{
    if (order <= primaries_of(element)) return true;
    for (size_t primary = 1; primary <= primaries_of(element); primary++) {
        const struct psa_bearing_line *line = &diagnosis->of[element][primary - 1];
        if (is_resolved(line->expected_hz, step_hz, options) && line->ratio >= 0.5 * options->min_ratio) return true;
    }
    return false;
}

/* The element and order nearest to the diagnosis' line; returns the relative distance, more than tolerance for none. */
static double match(const double *element_hz, double step_hz, const struct psa_bearing_options *options,
                    struct psa_diagnosis *diagnosis)
{
    double nearest = INFINITY;
    for (size_t order = 1; order <= orders_of(options); order++) {
        for (int element = 0; element < PSA_ELEMENTS; element++) {
            double expected_hz = (double)order * element_hz[element];
            if (!is_resolved(expected_hz, step_hz, options)) continue;
            double off = fabs(diagnosis->line_hz - expected_hz) / expected_hz;
            if (!(off <= options->tolerance && off < nearest)) continue;
            if (!is_borne_out(diagnosis, element, order, step_hz, options)) continue;
            nearest = off;
            diagnosis->element = element;
            diagnosis->order = order;
            diagnosis->expected_hz = expected_hz;
        }
    }
    return nearest;
}

static bool is_the_shafts(double line_hz, double step_hz, double shaft_hz, double off_the_element)
{
    if (!(shaft_hz > 0.0)) return false;
    double multiple_hz = round(line_hz / shaft_hz) * shaft_hz, off_hz = fabs(line_hz - multiple_hz);
    return off_hz <= fmax(step_hz, shaft_tolerance * multiple_hz) && off_hz / multiple_hz <= off_the_element;
}

void psa_bearing_diagnose(const double *amplitude, size_t m, double step_hz, const struct psa_bearing_hz *hz,
                          const struct psa_bearing_options *options, struct psa_diagnosis *diagnosis)
{
    *diagnosis = (struct psa_diagnosis){ .element = PSA_ELEMENT_NONE, .expected_hz = NAN };
    diagnosis->line_hz = diagnosis->amplitude = diagnosis->ratio = NAN;
    double sum = 0.0;
    for (size_t k = 1; k < m; k++) sum += amplitude[k];
    if (isnan(sum)) m = 0; /* and so no line, and none expected */

    double element_hz[PSA_ELEMENTS] = { hz->bpfo, hz->bpfi, hz->bsf, hz->ftf };
    for (size_t element = 0; element < PSA_ELEMENTS; element++)
        read_lines(amplitude, m, step_hz, element_hz[element], options, diagnosis->of[element]);
    look(element_hz, m, step_hz, options, diagnosis);
    size_t highest = highest_line(amplitude, m, step_hz, options);
    if (highest == 0) return;
    diagnosis->line_hz = (double)highest * step_hz;
    diagnosis->amplitude = amplitude[highest];
    diagnosis->ratio = ratio_at(amplitude, m, highest, options->lobe);
    if (!(diagnosis->ratio >= options->min_ratio)) return;

    double off = match(element_hz, step_hz, options, diagnosis);
    if (diagnosis->element == PSA_ELEMENT_NONE || !is_the_shafts(diagnosis->line_hz, step_hz, options->shaft_hz, off))
        return;
    diagnosis->shaft = true;
    diagnosis->element = PSA_ELEMENT_NONE;
    diagnosis->order = 0;
    diagnosis->expected_hz = NAN;
}

double psa_resolution(const double *x, size_t n)
{
    double smallest = INFINITY;
    for (size_t i = 1; i < n; i++) {
        double step = fabs(x[i] - x[i - 1]);
        if (step > 0.0 && step < smallest) smallest = step;
    }
    return isinf(smallest) ? 0.0 : smallest;
}
