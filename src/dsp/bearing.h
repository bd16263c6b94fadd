/*
 * bearing.h - the fault frequencies of a rolling bearing, and the reading of an envelope spectrum by them.
 */
#ifndef PSA_DSP_BEARING_H
#define PSA_DSP_BEARING_H

#include <stdbool.h>
#include <stddef.h>

/* A bearing's geometry; both diameters in one unit. */
struct psa_bearing {
    double n;         /* rolling elements */
    double d;         /* a rolling element's diameter */
    double D;         /* the pitch diameter, of the circle through their centres */
    double angle_deg; /* contact angle, 0 for a deep-groove ball bearing */
};

/* How often each element passes or turns, in Hz; 0 (or NaN): not known, never matched. */
struct psa_bearing_hz {
    double bpfo; /* a fault of the outer race is struck */
    double bpfi; /* a fault of the inner race is struck */
    double bsf;  /* a rolling element turns; its fault strikes either race, twice a turn both, so 2 bsf is a harmonic */
    double ftf;  /* the cage turns */
};

/*
 * The four frequencies at a shaft speed, the outer race at rest, without slip. With r = d/D cos(angle):
 *     bpfo = n/2 shaft (1 - r)     bpfi = n/2 shaft (1 + r)     bsf = D/(2d) shaft (1 - r^2)     ftf = shaft/2 (1 - r)
 * False, and all 0, when that is no bearing: n >= 1, 0 < d < D, |angle| < 90 and shaft_hz > 0 are asked. Randall and
 * Antoni 2011, equations 1 to 4, doi:10.1016/j.ymssp.2010.07.017. Real ones lie up to 2 % off: rolling elements slip.
 */
bool psa_bearing_frequencies(const struct psa_bearing *bearing, double shaft_hz, struct psa_bearing_hz *hz);

/* In the order of struct psa_bearing_hz. */
enum psa_element { PSA_ELEMENT_OUTER, PSA_ELEMENT_INNER, PSA_ELEMENT_BALL, PSA_ELEMENT_CAGE, PSA_ELEMENTS };
enum { PSA_ELEMENT_NONE = PSA_ELEMENTS };

/* "outer race", "inner race", "ball", "cage", "none": the words of a verdict. */
const char *psa_element_name(int element);

enum { PSA_BEARING_HARMONICS_MAX = 16 };

struct psa_bearing_options {
    double low_hz, high_hz; /* where the highest line is looked for, both ends included */
    double tolerance;       /* a line belongs to a frequency when it is off by at most this share of it */
    size_t harmonics;       /* multiples 1 .. harmonics of each frequency, at most PSA_BEARING_HARMONICS_MAX */
    double min_ratio;       /* a line must stand this many times above its background */
    double shaft_hz;        /* 0: not known. A line on a multiple of it is the shaft's, see psa_bearing_diagnose */
    size_t lobe;            /* psa_taper_lobe of the spectrum's taper: so many lines beside a line are its own flanks */
};

/* 10 to 500 Hz, 2 %, 3 harmonics, a ratio of PSA_BEARING_MIN_RATIO, no shaft, hann's lobe. */
struct psa_bearing_options psa_bearing_defaults(void);

/*
 * The default of min_ratio, from what the highest of N lines of noise does. The envelope of gaussian noise has a
 * spectrum whose amplitudes are Rayleigh-distributed; one of them exceeds r times their median with probability
 * 2^-(r^2). With L = r^2 ln 2, and s the relative error of a median of 80 neighbours (0.08, with hann's correlated
 * lines 0.1), the highest of N does so with N exp(-L / (1 + 2 L s^2)) / sqrt(1 + 2 L s^2). For the 491 lines from 10
 * to 500 Hz of a window of one second that is
 *     r = 4    5e-2        r = 5    1e-3        r = 6    2e-5
 * and of those an eighth lie near three harmonics of four elements, so 6 gives a healthy bearing a wrong verdict in 3
 * of a million windows of a second; that grows in proportion to the window's length. Simulated, a shaft and noise in
 * three bands: 3500 windows of one second reached 5.1, 300 of three seconds 5.4. The faults of MFPT's recordings stand
 * 14 to 47 times above their background in one second of nine different bands, and higher in longer windows.
 */
#define PSA_BEARING_MIN_RATIO 6.0

/* One expected line. */
struct psa_bearing_line {
    double expected_hz; /* order times the element's frequency; NaN: not known, or beyond the spectrum */
    double line_hz;     /* the highest line within tolerance of it, at least the nearest one; NaN with expected_hz */
    double amplitude;   /* its amplitude, in the unit of the spectrum; NaN likewise */
    double ratio;       /* over its background; NaN likewise; infinite where that is 0, NaN when there is none to see */
};

struct psa_diagnosis {
    int element;        /* the verdict: enum psa_element or PSA_ELEMENT_NONE */
    size_t order;       /* which harmonic of it; 0 with none */
    double expected_hz; /* order times the element's frequency; NaN with none */
    /*
     * What a verdict on each element would rest on, its primary frequency (the lower of the ball's two that can be seen):
     * NaN when it is not known; and whether it can be seen, see psa_bearing_diagnose.
     */
    double primary_hz[PSA_ELEMENTS];
    bool seen[PSA_ELEMENTS];
    /* The highest line from low_hz to high_hz, whatever the verdict; NaN, all three, when no line has any power. */
    double line_hz, amplitude;
    double ratio; /* over its background; infinite where that is 0, NaN when there is none to see: too few lines */
    bool shaft;   /* the verdict is none because the line is a multiple of the shaft's speed */
    /* [element][order - 1]; those of the orders asked for are filled. */
    struct psa_bearing_line of[PSA_ELEMENTS][PSA_BEARING_HARMONICS_MAX];
};

/*
 * Read the envelope spectrum amplitude[m], lines step_hz apart from 0 Hz (psa_envelope_spectrum), by a bearing's
 * frequencies. The verdict rests on one line, the highest from low_hz to high_hz (a spectrum with a NaN has none). It
 * names the element one of whose harmonics is nearest to the line, relative to that harmonic, if it is within
 * tolerance; of equally near ones the lower order, then the earlier element. It is none when
 *   - the line is less than min_ratio times its background: the highest of many lines of noise;
 *   - no harmonic is within tolerance of which the lines are close enough together, step_hz <= tolerance times the
 *     harmonic: else the line may be another's;
 *   - the harmonic is no primary one of its element, and no line stands out at a primary one either, at least half of
 *     min_ratio times its background: what strikes at any frequency is near some third or fourth harmonic in one case of
 *     seven. Primary is the first, of the ball the second too, since it may strike both races in a turn;
 *   - shaft_hz is known and the line is a multiple of it, within half a percent or one line, and no farther from
 *     that than from the element's harmonic: imbalance and misalignment modulate too, and elements slip, but a shaft
 *     does not.
 * The background of a line is the median of the lines around it, PSA_BEARING_NEIGHBOURS on either side (fewer at the
 * spectrum's ends; line 0 never), without the line and its flanks.
 *
 * Frequencies are not interpolated between lines. An element is seen, and can be named, when a primary frequency of it
 * lies from low_hz to high_hz and within the spectrum, and the lines are close enough for it: with 2 % at 80 Hz 1.6 Hz, so
 * that a window of one second does, for a cage at 10 Hz 0.2 Hz and five seconds. O(m).
 */
enum { PSA_BEARING_NEIGHBOURS = 40 };
void psa_bearing_diagnose(const double *amplitude, size_t m, double step_hz, const struct psa_bearing_hz *hz,
                          const struct psa_bearing_options *options, struct psa_diagnosis *diagnosis);

/*
 * The smallest step of a signal x[n] above 0, in its unit: min |x[i] - x[i-1]| over those that are not equal, the
 * resolution of what was digitised (a multiple of it, when the signal is never slow). 0 when all are equal, or n < 2.
 * Rounding to multiples of q adds noise of q/sqrt(12): Widrow, IRE Transactions on Circuit Theory 3(4), 1956,
 * doi:10.1109/TCT.1956.1086334.
 */
double psa_resolution(const double *x, size_t n);

#endif
