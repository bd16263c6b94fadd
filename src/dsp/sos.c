/*
 * sos.c - second-order sections in direct form II transposed. For each section, x being the output of the one before:
 *
 *     y  = b0 x + z0
 *     z0 = b1 x - a1 y + z1
 *     z1 = b2 x - a2 y
 *
 * The order of these operations is SciPy's and fixed, so that one channel or many, on any machine, give the same bits.
 */
#include "dsp/sos.h"

#include <math.h>

void psa_sos_zi(const struct psa_sos *sos, size_t n, double *zi)
{
    /* The fixed point of the three equations above for x = scale: scale is the gain at zero frequency of all sections
     * before this one. */
    double scale = 1.0;
    for (size_t s = 0; s < n; s++) {
        const struct psa_sos c = sos[s];
        double a_sum = 1.0 + c.a1 + c.a2;
        double into_z0 = c.b1 - c.a1 * c.b0;
        double into_z1 = c.b2 - c.a2 * c.b0;
        double z0 = (into_z0 + into_z1) / a_sum;
        zi[2 * s] = scale * z0;
        zi[2 * s + 1] = scale * (into_z1 - c.a2 * z0);
        scale *= (c.b0 + c.b1 + c.b2) / a_sum;
    }
}

void psa_sos_run(const struct psa_sos *sos, size_t n, double *z, const double *x, double *y, size_t n_x)
{
    for (size_t t = 0; t < n_x; t++) {
        double value = x[t];
        for (size_t s = 0; s < n; s++) {
            double in = value;
            value = sos[s].b0 * in + z[2 * s];
            z[2 * s] = sos[s].b1 * in - sos[s].a1 * value + z[2 * s + 1];
            z[2 * s + 1] = sos[s].b2 * in - sos[s].a2 * value;
        }
        y[t] = value;
    }
}

/* Two doubles in one register: gcc and clang make vector code of it at -O2, which they do not of loops of unknown
 * length. Lanes never meet, so the bits are those of scalar code. */
typedef double pair __attribute__((vector_size(16)));

static inline pair load(const double *p)
{
    return (pair){ p[0], p[1] };
}

static inline void store(double *p, pair v)
{
    p[0] = v[0];
    p[1] = v[1];
}

/* Two neighbouring channels through all sections. */
static inline void step_pair(const struct psa_sos *restrict sos, size_t n, double *restrict z, double *restrict x,
                             size_t width)
{
    pair value = load(x);
    for (size_t s = 0; s < n; s++) {
        double *z0 = z + 2 * s * width;
        double *z1 = z0 + width;
        pair in = value;
        value = sos[s].b0 * in + load(z0);
        store(z0, sos[s].b1 * in - sos[s].a1 * value + load(z1));
        store(z1, sos[s].b2 * in - sos[s].a2 * value);
    }
    store(x, value);
}

void psa_sos_step_many(const struct psa_sos *sos, size_t n, double *z, double *x, size_t width)
{
    size_t i = 0;
    for (; i + 2 <= width; i += 2) step_pair(sos, n, z + i, x + i, width);
    if (i == width) return;
    double value = x[i];
    for (size_t s = 0; s < n; s++) {
        double *z0 = z + 2 * s * width + i;
        double *z1 = z0 + width;
        double in = value;
        value = sos[s].b0 * in + *z0;
        *z0 = sos[s].b1 * in - sos[s].a1 * value + *z1;
        *z1 = sos[s].b2 * in - sos[s].a2 * value;
    }
    x[i] = value;
}

bool psa_sos_stable(const struct psa_sos *sos, size_t n)
{
    for (size_t s = 0; s < n; s++) {
        const struct psa_sos c = sos[s];
        if (!isfinite(c.b0) || !isfinite(c.b1) || !isfinite(c.b2)) return false;
        /* Written so that a NaN fails. */
        if (!(fabs(c.a2) < 1.0 && fabs(c.a1) < 1.0 + c.a2)) return false;
    }
    return true;
}
