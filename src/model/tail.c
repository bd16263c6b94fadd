/* tail.c - see tail.h. */
#include "model/tail.h"

#include <math.h>

#define LEAST_SCALE 1e-9 /* of the tail's start: below this the top tenth of the scores is one value */

double psa_tail_score(double ln_p, double ln_p_threshold)
{
    double most = log(PSA_TAIL_P0_MAX);

    return 1.0 - exp2(-ln_p / (ln_p_threshold < most ? ln_p_threshold : most));
}

static double tail_scale(const struct psa_tail *tail)
{
    double least = LEAST_SCALE * (fabs(tail->start) > LEAST_SCALE ? fabs(tail->start) : LEAST_SCALE);

    return tail->scale > least ? tail->scale : least;
}

static double tail_ln_p(const struct psa_tail *tail, double score)
{
    return log(1.0 - PSA_TAIL_LEVEL) - (score - tail->start) / tail_scale(tail);
}

/* The score whose ln p is at most that of the tail's start. */
static double tail_at(const struct psa_tail *tail, double ln_p)
{
    return tail->start + (log(1.0 - PSA_TAIL_LEVEL) - ln_p) * tail_scale(tail);
}

static bool is_in_tail(double ln_p)
{
    return ln_p <= log(1.0 - PSA_TAIL_LEVEL);
}

/* ---- rare scores ---------------------------------------------------------------------------------------------------- */

/* Where the quantile function is looked at. */
static const double tail_level[] = { 0.9,  0.91, 0.92,  0.93,  0.94,   0.95,   0.96, 0.97,
                                     0.98, 0.99, 0.995, 0.999, 0.9995, 0.9999, 1.0 };

enum { TAIL_LEVELS = sizeof tail_level / sizeof *tail_level };

/*
 * How far above q90 = score[0] the generalised Pareto distribution has its quantile, `rarity` = ln(0.1 / p). With y a line
 * between the levels, of each piece the integrals of y and of y u are exact, u = 0 .. 1 the level within the tail.
 */
static double pareto_excess(const double score[TAIL_LEVELS], double rarity)
{
    double l1 = 0.0, yu = 0.0, l2, shape;

    for (size_t i = 1; i < TAIL_LEVELS; i++) {
        double a = score[i - 1] - score[0], b = score[i] - score[0];
        double u = (tail_level[i - 1] - PSA_TAIL_LEVEL) / (1.0 - PSA_TAIL_LEVEL);
        double v = (tail_level[i] - PSA_TAIL_LEVEL) / (1.0 - PSA_TAIL_LEVEL);

        l1 += (v - u) * 0.5 * (a + b);
        yu += (v - u) * (a * (2.0 * u + v) + b * (u + 2.0 * v)) / 6.0;
    }
    l2 = 2.0 * yu - l1;
    if (!(l2 > 0.0)) return 0.0;
    shape = 2.0 - l1 / l2;
    return shape > 0.0 ? l1 * (l1 / l2 - 1.0) * expm1(shape * rarity) / shape : 0.0;
}

/* rare(p) of a p in the tail, `own` being the reference's own quantile there. */
static double rarest(const struct psa_tail *tail, const double score[TAIL_LEVELS], double ln_p, double own)
{
    double pareto = tail->start + pareto_excess(score, log(1.0 - PSA_TAIL_LEVEL) - ln_p);

    return fmax(fmax(pareto, tail_at(tail, ln_p)), own);
}

/* ---- tables and sets ------------------------------------------------------------------------------------------------ */

/* ln(1 - F) of a score between two neighbouring reference scores a < score <= b at the levels u and v. */
static double body_ln_p(double a, double b, double u, double v, double score)
{
    return log1p(-(u + (v - u) * ((score - a) / (b - a))));
}

double psa_tail_table_ln_p(const struct psa_tail_table *table, double score)
{
    size_t from = 0, to = table->n; /* the first entry that is not below the score */

    if (score >= table->tail.start) return tail_ln_p(&table->tail, score);
    while (from < to) {
        size_t middle = from + (to - from) / 2;

        if (table->score[middle] < score) from = middle + 1;
        else to = middle;
    }
    if (from == 0) return 0.0;
    if (from == table->n) /* a table that ends before the tail starts: no psa-train makes one */
        return log(1.0 - PSA_TAIL_LEVEL);
    return body_ln_p(table->score[from - 1], table->score[from], table->level[from - 1], table->level[from], score);
}

double psa_tail_table_quantile(const struct psa_tail_table *table, double level)
{
    size_t to = 0; /* the first entry that is not below the level */

    while (to < table->n && table->level[to] < level) to++;
    if (to == table->n) return table->score[table->n - 1];
    if (to == 0 || table->level[to] == level) return table->score[to];
    return psa_order_between(table->score[to - 1], table->score[to],
                             (level - table->level[to - 1]) / (table->level[to] - table->level[to - 1]));
}

double psa_tail_table_at(const struct psa_tail_table *table, double ln_p)
{
    return is_in_tail(ln_p) ? tail_at(&table->tail, ln_p) : psa_tail_table_quantile(table, -expm1(ln_p));
}

double psa_tail_table_rare(const struct psa_tail_table *table, double ln_p)
{
    double score[TAIL_LEVELS];

    if (!is_in_tail(ln_p)) return psa_tail_table_at(table, ln_p);
    for (size_t i = 0; i < TAIL_LEVELS; i++) score[i] = psa_tail_table_quantile(table, tail_level[i]);
    return rarest(&table->tail, score, ln_p, psa_tail_table_quantile(table, -expm1(ln_p)));
}

struct psa_tail psa_tail_of_set(const struct psa_order_set *set)
{
    struct psa_tail tail = { psa_order_set_quantile(set, PSA_TAIL_LEVEL), 0.0 };
    size_t rank = psa_order_set_up_to(set, tail.start), above = psa_order_set_count(set) - rank;

    if (above > 0) tail.scale = psa_order_set_sum_from(set, rank) / (double)above - tail.start;
    return tail;
}

double psa_tail_set_ln_p(const struct psa_order_set *set, const struct psa_tail *tail, double score)
{
    size_t rank;
    double last;

    if (score >= tail->start) return tail_ln_p(tail, score);
    rank = psa_order_set_below(set, score);
    if (rank == 0) return 0.0;
    last = (double)(psa_order_set_count(set) - 1); /* > 0: a score above one and below q90 has two around it */
    return body_ln_p(psa_order_set_select(set, rank - 1), psa_order_set_select(set, rank), (double)(rank - 1) / last,
                     (double)rank / last, score);
}

double psa_tail_set_at(const struct psa_order_set *set, const struct psa_tail *tail, double ln_p)
{
    return is_in_tail(ln_p) ? tail_at(tail, ln_p) : psa_order_set_quantile(set, -expm1(ln_p));
}

double psa_tail_set_rare(const struct psa_order_set *set, const struct psa_tail *tail, double ln_p)
{
    double score[TAIL_LEVELS];

    if (!is_in_tail(ln_p)) return psa_tail_set_at(set, tail, ln_p);
    for (size_t i = 0; i < TAIL_LEVELS; i++) score[i] = psa_order_set_quantile(set, tail_level[i]);
    return rarest(tail, score, ln_p, psa_order_set_quantile(set, -expm1(ln_p)));
}

double psa_tail_quantile(const double *sorted, size_t n, double level)
{
    double at = (double)(n - 1) * level;
    size_t k = (size_t)at;

    return k + 1 < n ? psa_order_between(sorted[k], sorted[k + 1], at - (double)k) : sorted[n - 1];
}

void psa_tail_table_make(struct psa_tail_table *table, const double *sorted, size_t n)
{
    static const double fine[] = { 0.995, 0.999, 0.9995, 0.9999, 1.0 };
    double excess = 0.0;
    size_t above = 0;

    table->n = PSA_TAIL_LEVELS;
    for (size_t i = 0; i < PSA_TAIL_LEVELS; i++) {
        table->level[i] = i < 100 ? (double)i / 100.0 : fine[i - 100];
        table->score[i] = psa_tail_quantile(sorted, n, table->level[i]);
    }
    table->tail.start = psa_tail_quantile(sorted, n, PSA_TAIL_LEVEL);
    while (above < n && sorted[n - 1 - above] > table->tail.start)
        excess += sorted[n - 1 - above++] - table->tail.start;
    table->tail.scale = above > 0 ? excess / (double)above : 0.0;
}
