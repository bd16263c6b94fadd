/* conformal.c - see conformal.h. */
#include "model/conformal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CANCELLED 1e6 /* what left was so many times what remains: ten of its sixteen digits are left */
#define FIRST_ROWS 16 /* capacity to begin with: ten thousand keys shall not cost ten thousand horizons at once */

int psa_conformal_init(struct psa_conformal *conformal, const struct psa_conformal_options *options, size_t n_columns)
{
    *conformal = (struct psa_conformal){ .options = *options, .n_columns = n_columns };
    conformal->nearest = calloc(options->nearest, sizeof *conformal->nearest);
    conformal->column = calloc(n_columns + 1, sizeof *conformal->column);
    if (conformal->nearest == NULL || conformal->column == NULL) {
        psa_conformal_free(conformal);
        return -1;
    }
    for (size_t j = 0; j < n_columns; j++) {
        struct psa_conformal_column *column = &conformal->column[j];

        psa_order_set_init(&column->in_range, false);
        for (int k = 0; k < PSA_CONFORMAL_PARTS; k++) psa_order_set_init(&column->part[k], false);
        column->residual = malloc(options->smooth * sizeof *column->residual);
        if (column->residual == NULL) {
            psa_conformal_free(conformal);
            return -1;
        }
        for (size_t i = 0; i < options->smooth; i++) column->residual[i] = NAN;
    }
    return 0;
}

void psa_conformal_free(struct psa_conformal *conformal)
{
    for (size_t j = 0; conformal->column != NULL && j < conformal->n_columns; j++) {
        struct psa_conformal_column *column = &conformal->column[j];

        free(column->value);
        free(column->residual);
        free(column->distance);
        psa_order_set_free(&column->in_range);
        for (int k = 0; k < PSA_CONFORMAL_PARTS; k++) psa_order_set_free(&column->part[k]);
    }
    free(conformal->column);
    free(conformal->nearest);
    *conformal = (struct psa_conformal){ .n_columns = 0 };
}

/* ---- room ------------------------------------------------------------------------------------------------------------- */

/* Values that the longest lag reaches back to. */
static size_t reach(const struct psa_conformal *conformal)
{
    return conformal->options.horizon + 2 * conformal->options.shingle;
}

/* Room for value number `seen`. Rings grow only until they have gone round once, so nothing has to move. */
static int reserve(struct psa_conformal *conformal, struct psa_conformal_column *column, uint64_t seen)
{
    size_t values = reach(conformal), rows = conformal->options.horizon;
    size_t cap_value = column->cap_value > 0 ? column->cap_value : FIRST_ROWS, cap_row = column->cap_row;
    double *grown;

    if (seen < values) values = (size_t)seen + 1;
    if (seen < rows) rows = (size_t)seen + 1;
    while (cap_value < values) cap_value *= 2;
    if (cap_value > column->cap_value) {
        if ((grown = realloc(column->value, cap_value * sizeof *grown)) == NULL) return -1;
        column->value = grown;
        column->cap_value = cap_value;
    }
    if (rows <= cap_row) return 0;
    for (cap_row = cap_row > 0 ? cap_row : FIRST_ROWS; cap_row < rows;) cap_row *= 2;
    if (cap_row > conformal->options.horizon) cap_row = conformal->options.horizon;
    if ((grown = realloc(column->distance, cap_row * sizeof *grown)) == NULL) return -1;
    column->distance = grown;
    if (psa_order_set_reserve(&column->in_range, cap_row) != 0) return -1;
    for (int k = 0; k < PSA_CONFORMAL_PARTS; k++) {
        if (psa_order_set_reserve(&column->part[k], cap_row) != 0) return -1;
    }
    column->cap_row = cap_row;
    return 0;
}

static double *value_at(const struct psa_conformal_column *column, uint64_t number)
{
    return &column->value[number & (column->cap_value - 1)];
}

/* ---- distances of shingles ---------------------------------------------------------------------------------------------- */

/* How many lags have all their terms when the newest value has this number. */
static size_t lags_at(const struct psa_conformal *conformal, uint64_t newest)
{
    size_t shingle = conformal->options.shingle;

    if (newest + 2 < 2 * (uint64_t)shingle) return 0;
    if (newest + 2 - 2 * (uint64_t)shingle > conformal->options.horizon) return conformal->options.horizon;
    return (size_t)(newest + 2 - 2 * (uint64_t)shingle);
}

/* D_g term by term. */
static double distance_anew(const struct psa_conformal *conformal, const struct psa_conformal_column *column,
                            uint64_t newest, size_t lag)
{
    double sum = 0.0;

    for (size_t s = 0; s < conformal->options.shingle; s++) {
        double d = *value_at(column, newest - s) - *value_at(column, newest - s - lag);

        sum += d * d;
    }
    return sum;
}

/* Bring D up to the newest value, which is in the ring. */
static void move_distances(const struct psa_conformal *conformal, struct psa_conformal_column *column, uint64_t newest)
{
    size_t shingle = conformal->options.shingle, mask = column->cap_value - 1;
    size_t now = lags_at(conformal, newest), before = newest > 0 ? lags_at(conformal, newest - 1) : 0;
    size_t turn = (size_t)(newest % conformal->options.horizon);
    const double *value = column->value;

    if (before > 0) {
        double come = *value_at(column, newest), gone = *value_at(column, newest - shingle);
        size_t at = (size_t)newest - shingle; /* of the value that many rows back; only its low bits matter */

        for (size_t g = 0; g < before; g++) {
            double in = come - value[(at - g) & mask], out = gone - value[(at - shingle - g) & mask];
            double moved = column->distance[g] + in * in - out * out;

            if (!(out * out <= CANCELLED * moved)) moved = distance_anew(conformal, column, newest, shingle + g);
            column->distance[g] = moved;
        }
    }
    for (size_t g = before; g < now; g++) column->distance[g] = distance_anew(conformal, column, newest, shingle + g);
    if (turn < before) column->distance[turn] = distance_anew(conformal, column, newest, shingle + turn);
}

/* The root of the mean of the nearest D; NaN when there are fewer. */
static double shape(struct psa_conformal *conformal, const struct psa_conformal_column *column, uint64_t newest)
{
    size_t lags = lags_at(conformal, newest), k = conformal->options.nearest, n = 0;
    double *nearest = conformal->nearest, sum = 0.0;

    if (lags < k) return NAN;
    for (size_t g = 0; g < lags; g++) {
        double d = column->distance[g];
        size_t i;

        if (n == k && d >= nearest[k - 1]) continue;
        for (i = n < k ? n++ : k - 1; i > 0 && nearest[i - 1] > d; i--) nearest[i] = nearest[i - 1];
        nearest[i] = d;
    }
    for (size_t i = 0; i < k; i++) sum += nearest[i];
    return sqrt(sum / (double)k);
}

/* ---- the other measures ------------------------------------------------------------------------------------------------- */

static struct psa_conformal_slot *slot_of(const struct psa_conformal *conformal, struct psa_conformal_column *column,
                                          int64_t time_ns)
{
    int64_t season = conformal->options.season_ns, into;
    size_t slot;

    if (season <= 0) return &column->slot[0];
    into = time_ns % season;
    if (into < 0) into += season;
    slot = (size_t)((double)into / (double)season * PSA_CONFORMAL_SLOTS);
    return &column->slot[slot < PSA_CONFORMAL_SLOTS ? slot : PSA_CONFORMAL_SLOTS - 1];
}

/* r of x, NaN where the slot has no mean yet; the slot takes x in. */
static double residual(const struct psa_conformal *conformal, struct psa_conformal_slot *slot, double x)
{
    double slots = conformal->options.season_ns > 0 ? PSA_CONFORMAL_SLOTS : 1.0;
    double r = slot->n > 0 ? x - slot->mean : NAN;
    double weight = fmin(1.0, fmax(1.0 / (double)++slot->n, slots / (double)conformal->options.horizon));

    slot->mean += weight * (x - slot->mean);
    return r;
}

static double short_mean(const struct psa_conformal *conformal, const struct psa_conformal_column *column)
{
    double sum = 0.0;

    if (column->since < conformal->options.smooth) return NAN;
    for (size_t i = 0; i < conformal->options.smooth; i++) sum += column->residual[i];
    return fabs(sum / (double)conformal->options.smooth);
}

/* How far x lies outside the set's values. */
static double excess(const struct psa_order_set *set, double x)
{
    size_t n = psa_order_set_count(set);

    if (n == 0) return NAN;
    return fmax(0.0, fmax(psa_order_set_select(set, 0) - x, x - psa_order_set_select(set, n - 1)));
}

/* ---- rows in ---------------------------------------------------------------------------------------------------------- */

/* -log10 p of a measure among the earlier ones, which it joins in the slot of the one that is too old now. */
static double surprise(struct psa_order_set *set, size_t slot, double a)
{
    double surprise = 0.0;

    if (psa_order_set_has(set, slot)) psa_order_set_erase(set, slot);
    if (isnan(a)) {
        set->value[slot] = NAN;
        return 0.0;
    }
    if (psa_order_set_count(set) > 0) {
        double n = (double)psa_order_set_count(set), as_far = n - (double)psa_order_set_below(set, a);

        surprise = log10((n + 1.0) / (as_far + 1.0));
    }
    psa_order_set_insert(set, slot, a);
    return surprise;
}

static int take(struct psa_conformal *conformal, struct psa_conformal_column *column, double x, int64_t time_ns,
                double *score)
{
    uint64_t newest = column->seen;
    size_t row = (size_t)(newest % conformal->options.horizon);
    double r, range;

    if (reserve(conformal, column, newest) != 0) return -1;
    x = fmin(fmax(x, -PSA_CONFORMAL_FAR), PSA_CONFORMAL_FAR);
    column->since++;
    r = residual(conformal, slot_of(conformal, column, time_ns), x);
    column->residual[newest % conformal->options.smooth] = r;
    range = excess(&column->in_range, x);
    if (psa_order_set_has(&column->in_range, row)) psa_order_set_erase(&column->in_range, row);
    psa_order_set_insert(&column->in_range, row, x);
    *value_at(column, newest) = x;
    move_distances(conformal, column, newest);
    *score = surprise(&column->part[PSA_CONFORMAL_PROFILE], row, fabs(r));
    *score += surprise(&column->part[PSA_CONFORMAL_MEAN], row, short_mean(conformal, column));
    *score += surprise(&column->part[PSA_CONFORMAL_SHAPE], row,
                       column->since < conformal->options.shingle ? NAN : shape(conformal, column, newest));
    *score += surprise(&column->part[PSA_CONFORMAL_RANGE], row, range);
    column->seen++;
    return 0;
}

int psa_conformal_update(struct psa_conformal *conformal, const double *row, int64_t time_ns, double *contribution,
                         double *raw)
{
    *raw = 0.0;
    for (size_t j = 0; j < conformal->n_columns; j++) {
        double score = 0.0;

        if (!isnan(row[j]) && take(conformal, &conformal->column[j], row[j], time_ns, &score) != 0) return -1;
        *raw = fmax(*raw, score);
        if (contribution != NULL) contribution[j] = score;
    }
    return 0;
}

void psa_conformal_gap(struct psa_conformal *conformal)
{
    for (size_t j = 0; j < conformal->n_columns; j++) conformal->column[j].since = 0;
}

/* ---- saving ------------------------------------------------------------------------------------------------------------- */

static size_t at_most(uint64_t seen, size_t n)
{
    return seen < n ? (size_t)seen : n;
}

size_t psa_conformal_values(const struct psa_conformal *conformal, const struct psa_conformal_column *column)
{
    return at_most(column->seen, reach(conformal));
}

size_t psa_conformal_rows(const struct psa_conformal *conformal, const struct psa_conformal_column *column)
{
    return at_most(column->seen, conformal->options.horizon);
}

size_t psa_conformal_lags(const struct psa_conformal *conformal, const struct psa_conformal_column *column)
{
    return column->seen > 0 ? lags_at(conformal, column->seen - 1) : 0;
}

double psa_conformal_value(const struct psa_conformal *conformal, const struct psa_conformal_column *column, size_t i)
{
    return *value_at(column, column->seen - psa_conformal_values(conformal, column) + i);
}

/* The slot of the i-th row held. */
static size_t row_at(const struct psa_conformal *conformal, const struct psa_conformal_column *column, size_t i)
{
    return (size_t)((column->seen - psa_conformal_rows(conformal, column) + i) % conformal->options.horizon);
}

double psa_conformal_measure(const struct psa_conformal *conformal, const struct psa_conformal_column *column,
                             enum psa_conformal_part part, size_t i)
{
    size_t slot = row_at(conformal, column, i);

    return psa_order_set_has(&column->part[part], slot) ? column->part[part].value[slot] : NAN;
}

int psa_conformal_restore(struct psa_conformal *conformal, struct psa_conformal_column *column, uint64_t seen)
{
    column->seen = seen;
    return seen > 0 ? reserve(conformal, column, seen - 1) : 0;
}

void psa_conformal_restore_value(struct psa_conformal *conformal, struct psa_conformal_column *column, size_t i,
                                 double x)
{
    size_t values = psa_conformal_values(conformal, column), rows = psa_conformal_rows(conformal, column);

    *value_at(column, column->seen - values + i) = x;
    if (values - i <= rows) psa_order_set_insert(&column->in_range, row_at(conformal, column, rows - (values - i)), x);
}

void psa_conformal_restore_measure(struct psa_conformal *conformal, struct psa_conformal_column *column,
                                   enum psa_conformal_part part, size_t i, double a)
{
    size_t slot = row_at(conformal, column, i);

    if (!isnan(a)) psa_order_set_insert(&column->part[part], slot, a);
}
