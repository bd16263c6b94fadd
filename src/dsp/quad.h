/*
 * quad.h - four partial results in two registers of two doubles: an order of additions that is written down, and vector
 * code from gcc and clang at -O2. Lanes never meet but in psa_quad_total. For the sources of dsp.
 */
#ifndef PSA_DSP_QUAD_H
#define PSA_DSP_QUAD_H

typedef double psa_pair __attribute__((vector_size(16)));

struct psa_quad {
    psa_pair lo, hi;
};

static inline struct psa_quad psa_quad_load(const double *x)
{
    return (struct psa_quad){ { x[0], x[1] }, { x[2], x[3] } };
}

static inline double psa_quad_total(struct psa_quad q)
{
    return (q.lo[0] + q.hi[0]) + (q.lo[1] + q.hi[1]);
}

#endif
