/* linear.c - see linear.h. */
#include "model/linear.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include <lapacke.h>

#define UNIT_ERROR 1e-6 /* of a squared length: far above rounding */

/* Of OpenBLAS only, and where it is built without threads it does nothing. Another LAPACK is free to lack it. */
extern void openblas_set_num_threads(int n) __attribute__((weak));

void psa_linear_serial(void)
{
    if (openblas_set_num_threads != NULL) openblas_set_num_threads(1);
}

double *psa_aligned_doubles(size_t n)
{
    if (n > SIZE_MAX / (2 * sizeof(double))) return NULL;
    return aligned_alloc(64, (psa_aligned(n) + 8) * sizeof(double));
}

double *psa_scratch_room(struct psa_scratch *scratch, size_t n)
{
    if (n <= scratch->n) return scratch->p;
    free(scratch->p);
    scratch->p = psa_aligned_doubles(n);
    scratch->n = scratch->p == NULL ? 0 : n;
    return scratch->p;
}

void psa_scratch_free(struct psa_scratch *scratch)
{
    free(scratch->p);
    *scratch = (struct psa_scratch){ 0 };
}

bool psa_unit_vectors(const double *vector, size_t n, size_t width)
{
    for (size_t i = 0; i < n; i++) {
        double square = 0.0;

        for (size_t k = 0; k < width; k++) square += vector[i * width + k] * vector[i * width + k];
        if (!(fabs(square - 1.0) <= UNIT_ERROR)) return false;
    }
    return true;
}

/* dsyevd wants 1 + 6n + 2n^2 doubles and 3 + 5n integers. */
static size_t work_size(size_t n)
{
    return psa_aligned(1 + 6 * n + 2 * n * n);
}

size_t psa_eigen_space(size_t n)
{
    return work_size(n) + psa_aligned((3 + 5 * n) * sizeof(lapack_int) / sizeof(double) + 1);
}

int psa_eigen(double *a, size_t n, double *value, double *space)
{
    lapack_int rows = (lapack_int)n;

    for (size_t i = 0; i < n; i++)
        for (size_t j = i; j < n; j++)
            if (!isfinite(a[i * n + j])) return -1; /* LAPACK promises nothing then */
    psa_linear_serial();
    /* Read by columns, a symmetric matrix's upper triangle is its lower one, and eigenvectors lie in rows. */
    return LAPACKE_dsyevd_work(LAPACK_COL_MAJOR, 'V', 'L', rows, a, rows, value, space, (lapack_int)work_size(n),
                               (lapack_int *)(void *)(space + work_size(n)), (lapack_int)(3 + 5 * n)) == 0
               ? 0
               : -1;
}

int psa_inverse(double *a, size_t n)
{
    lapack_int rows = (lapack_int)n;

    psa_linear_serial();
    return LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'L', rows, a, rows) == 0 &&
                   LAPACKE_dpotri_work(LAPACK_COL_MAJOR, 'L', rows, a, rows) == 0
               ? 0
               : -1;
}

size_t psa_eigen_count(const double *value, size_t n, double share)
{
    double sum = 0.0, total = 0.0;
    size_t count = 0;

    for (size_t i = 0; i < n; i++) total += value[n - 1 - i];
    while (count < n && total > 0.0) {
        sum += value[n - 1 - count];
        count++;
        if (sum / total >= share) break;
    }
    return count == 0 ? 1 : count;
}
