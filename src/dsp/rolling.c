/* rolling.c - see rolling.h for the method. */
#include "dsp/rolling.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct aggregate {
    double n, mean, m2;
};

static struct aggregate merge(struct aggregate a, struct aggregate b)
{
    if (a.n == 0.0) return b;
    if (b.n == 0.0) return a;
    double n = a.n + b.n, d = b.mean - a.mean;
    return (struct aggregate){ n, a.mean + d * b.n / n, a.m2 + b.m2 + d * d * (a.n * b.n / n) };
}

int psa_rolling_init(struct psa_rolling *rolling, size_t length)
{
    *rolling = (struct psa_rolling){ 0 };
    if (length == 0 || length > SIZE_MAX / (3 * sizeof(double))) return -1;
    rolling->front_mean = malloc(3 * length * sizeof(double));
    if (!rolling->front_mean) return -1;
    rolling->front_m2 = rolling->front_mean + length;
    rolling->back = rolling->front_m2 + length;
    rolling->length = length;
    return 0;
}

void psa_rolling_free(struct psa_rolling *rolling)
{
    free(rolling->front_mean);
    *rolling = (struct psa_rolling){ 0 };
}

/* Turn the back stack over into the empty front one: aggregates from the newest sample to the oldest. */
static void turn_over(struct psa_rolling *r)
{
    struct aggregate sum = { 0 };
    for (size_t i = 0; i < r->n_back; i++) {
        sum = merge((struct aggregate){ 1.0, r->back[r->n_back - 1 - i], 0.0 }, sum);
        r->front_mean[i] = sum.mean;
        r->front_m2[i] = sum.m2;
    }
    r->n_front = r->n_back;
    r->n_back = 0;
}

static void push_back(struct psa_rolling *r, double x)
{
    struct aggregate sum = { (double)r->n_back, r->back_mean, r->back_m2 };
    sum = merge(sum, (struct aggregate){ 1.0, x, 0.0 });
    r->back[r->n_back++] = x;
    r->back_mean = sum.mean;
    r->back_m2 = sum.m2;
}

void psa_rolling_push(struct psa_rolling *r, double x)
{
    if (r->n_front + r->n_back == r->length) {
        if (r->n_front == 0) turn_over(r);
        r->n_front--;
    }
    push_back(r, x);
}

size_t psa_rolling_count(const struct psa_rolling *r)
{
    return r->n_front + r->n_back;
}

static struct aggregate whole(const struct psa_rolling *r)
{
    struct aggregate back = { (double)r->n_back, r->back_mean, r->back_m2 };
    if (r->n_front == 0) return back;
    size_t top = r->n_front - 1;
    return merge((struct aggregate){ (double)r->n_front, r->front_mean[top], r->front_m2[top] }, back);
}

double psa_rolling_mean(const struct psa_rolling *r)
{
    return psa_rolling_count(r) == 0 ? NAN : whole(r).mean;
}

double psa_rolling_var(const struct psa_rolling *r)
{
    struct aggregate all = whole(r);
    return all.n == 0.0 ? NAN : all.m2 / all.n;
}

double psa_rolling_std(const struct psa_rolling *r)
{
    return sqrt(psa_rolling_var(r));
}

/* A window is full before its front fills, and the newest sample is always in the back. */
static bool counts_fit(const struct psa_rolling *r, size_t n_front, size_t n_back)
{
    if (n_front >= r->length || n_back > r->length) return false;
    return n_front == 0 || n_front + n_back == r->length;
}

bool psa_rolling_restore(struct psa_rolling *r, const double *front_mean, const double *front_m2, size_t n_front,
                         const double *back, size_t n_back)
{
    r->n_front = 0;
    r->n_back = 0;
    if (!counts_fit(r, n_front, n_back)) return false;
    if (n_front > 0 && front_m2[0] != 0.0) return false; /* a single sample has no spread */
    for (size_t i = 0; i < n_front; i++)
        if (front_m2[i] < 0.0) return false;
    for (size_t i = 0; i < n_back; i++)
        if (!isfinite(back[i])) return false;

    if (n_front > 0) {
        memcpy(r->front_mean, front_mean, n_front * sizeof *front_mean);
        memcpy(r->front_m2, front_m2, n_front * sizeof *front_m2);
        r->n_front = n_front;
    }
    /* The back's aggregate only ever grows sample by sample from nothing, so growing it again gives the same bits. */
    for (size_t i = 0; i < n_back; i++) push_back(r, back[i]);
    return true;
}
