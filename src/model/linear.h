/*
 * linear.h - what psa asks of linear algebra: memory for a computation, and eigenvectors.
 *
 * LAPACKE does the work, on one thread whatever OpenBLAS is installed: a stream's process is one of many, and the last
 * bits must not depend on how many cores are idle. Arrays begin at multiples of 64 bytes, because kernels that look at
 * the alignment add in another order. The kernels are chosen by the type of processor: same bytes means same build and
 * CPU type.
 */
#ifndef PSA_MODEL_LINEAR_H
#define PSA_MODEL_LINEAR_H

#include <stdbool.h>
#include <stddef.h>

/* Memory for the length of a call, which may be shared by all who call one after the other. Zeroed is empty. */
struct psa_scratch {
    double *p; /* aligned to 64 bytes */
    size_t n;  /* doubles */
};

/* Room for n doubles, aligned to 64 bytes, its content undefined: what was there before is lost. NULL when memory is
 * out. */
double *psa_scratch_room(struct psa_scratch *scratch, size_t n);
void psa_scratch_free(struct psa_scratch *scratch);

/* Values and deviations further out count as this far out, so that no square and no sum of them overflows. */
#define PSA_VALUE_MAX 1e100

/* NaN stays NaN. */
static inline double psa_value_clamped(double value)
{
    return value > PSA_VALUE_MAX ? PSA_VALUE_MAX : value < -PSA_VALUE_MAX ? -PSA_VALUE_MAX : value;
}

/* n doubles rounded up so that what lies behind them is aligned too. */
static inline size_t psa_aligned(size_t n)
{
    return (n + 7) & ~(size_t)7;
}

/* n doubles aligned to 64 bytes, to be freed; NULL when memory is out. */
double *psa_aligned_doubles(size_t n);

/* Are these n vectors of `width` numbers, one behind the other, of length 1 but for rounding? For what comes from a file. */
bool psa_unit_vectors(const double *vector, size_t n, size_t width);

/* Let no other thread take part in what comes; before the first call of CBLAS or LAPACKE in a computation. */
void psa_linear_serial(void);

/* Doubles of space that psa_eigen needs for a matrix of n rows. */
size_t psa_eigen_space(size_t n);

/*
 * Eigenvalues and eigenvectors of a real symmetric matrix a[n][n], of which the upper triangle (column >= row) is read.
 * value[n] becomes the eigenvalues in ascending order, row i of a the unit eigenvector of value[i] (of unknown sign).
 * a, value and space (psa_eigen_space(n) doubles) are the caller's. 0, or -1 when a holds a value that is not finite or
 * no eigenvectors were found. Source: divide and conquer, LAPACK's dsyevd: M. Gu, S. C. Eisenstat, SIAM Journal on
 * Matrix Analysis and Applications 16(1), 1995, DOI 10.1137/S0895479892241287.
 */
int psa_eigen(double *a, size_t n, double *value, double *space);

/* The inverse of a symmetric positive definite matrix a[n][n], of which the upper triangle is read and written, the rest left
 * as it is, by its Cholesky factors. 0, or -1 when it is not positive definite. */
int psa_inverse(double *a, size_t n);

/*
 * Components of a decomposition by psa_eigen, the largest first: how many are needed for at least `share` (0 .. 1) of
 * the sum of the eigenvalues; 1 .. n. 1 where nothing varies. Eigenvalues below 0 come of rounding and count as they
 * are, as NumPy's would.
 */
size_t psa_eigen_count(const double *value, size_t n, double share);

#endif
