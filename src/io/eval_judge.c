/*
 * eval_judge.c - from the streams' rows to figures.
 *
 * Each stream adds to the pooled sums; ranks, delays and NAB's rows of all streams lie one behind the other in three
 * arrays, so that a stream's own figures are made from its part before all of it is judged as one.
 */
#include <math.h>
#include <stdlib.h>

#include "core/error.h"
#include "io/eval.h"

#define NS_PER_DAY 86400e9

/* What all streams together fill. */
struct pool {
    struct psa_scored *scored; /* [rows judged] */
    size_t n_scored;
    double *delay_rows, *delay_s; /* [ranges] */
    size_t n_delay;
    int64_t *found_at;           /* scratch: [ranges of a stream] */
    struct psa_range *predicted; /* scratch: [rows of a stream] */
    struct psa_nab_row *nab;     /* [rows] */
    size_t n_nab;
    double *best_of; /* scratch: [windows] */
    bool untimed;    /* a stream has rows without time */
};

/* ---- labels and ranges ---------------------------------------------------------------------------------------------------- */

static size_t rows_to_skip(const struct psa_eval_settings *settings, size_t n)
{
    double skip = settings->skip;

    if (settings->skip_by == PSA_EVAL_SKIP_NAB) return psa_nab_probation(n);
    if (settings->skip_by == PSA_EVAL_SKIP_PERCENT) skip = floor(skip / 100.0 * (double)n);
    return skip < (double)n ? (size_t)skip : n;
}

/* Label the rows within the entry's windows. Rows are in the order of time, so each window is looked for behind the last. */
static size_t label_by_windows(struct psa_eval_stream *stream, struct psa_range *window)
{
    size_t at = 0, n = 0;

    for (size_t i = 0; i < stream->n; i++) stream->labelled[i] = false;
    for (size_t w = 0; w < stream->entry->n; w++) {
        const struct psa_eval_window *span = &stream->entry->window[w];
        size_t first;

        while (at < stream->n && stream->time_ns[at] < span->from_ns) at++;
        first = at;
        for (; at < stream->n && stream->time_ns[at] <= span->to_ns; at++) stream->labelled[at] = true;
        if (at > first) window[n++] = (struct psa_range){ first, at - 1 };
    }
    return n;
}

/* The windows of all rows, and the ranges of those that are judged: what of a window lies behind the skipped rows. */
static int find_ranges(struct psa_eval_stream *stream, struct psa_error *error)
{
    size_t most;

    if (stream->entry == NULL) stream->n_window = psa_ranges_of(stream->labelled, 0, stream->n, NULL);
    most = stream->entry != NULL ? stream->entry->n : stream->n_window;
    stream->window = calloc(most + 1, sizeof *stream->window);
    stream->range = calloc(most + 1, sizeof *stream->range);
    if (stream->window == NULL || stream->range == NULL) return psa_fail_memory(error, "finding the labelled ranges");
    if (stream->entry != NULL) stream->n_window = label_by_windows(stream, stream->window);
    else psa_ranges_of(stream->labelled, 0, stream->n, stream->window);
    for (size_t i = 0; i < stream->n_window; i++) {
        struct psa_range range = stream->window[i];

        if (range.last < stream->skip) continue;
        if (range.first < stream->skip) range.first = stream->skip;
        stream->range[stream->n_range++] = range;
    }
    return 0;
}

/* ---- a stream --------------------------------------------------------------------------------------------------------------- */

static void judge_delays(const struct psa_eval_stream *stream, struct pool *pool, struct psa_eval_figures *figures)
{
    size_t begun = pool->n_delay;

    figures->found = psa_detection_delays(stream->predicted, stream->range, stream->n_range, pool->found_at);
    for (size_t i = 0; i < stream->n_range; i++) {
        size_t first = stream->range[i].first;

        if (pool->found_at[i] < 0) continue;
        pool->delay_rows[pool->n_delay] = (double)pool->found_at[i];
        pool->delay_s[pool->n_delay++] =
            psa_elapsed_ns(stream->time_ns[first], stream->time_ns[first + (size_t)pool->found_at[i]]) / 1e9;
    }
    figures->delay_rows = psa_summarise(pool->delay_rows + begun, pool->n_delay - begun);
    figures->delay_s =
        stream->untimed ? psa_summarise(NULL, 0) : psa_summarise(pool->delay_s + begun, pool->n_delay - begun);
}

/* The figures of ranked rows. Where none has a score there is nothing to rank by. */
static void judge_ranks(struct psa_scored *row, size_t n, struct psa_eval_figures *figures)
{
    psa_scored_sort(row, n);
    figures->roc_area = figures->unscored < n ? psa_roc_area(row, n) : NAN;
    figures->pr_area = figures->unscored < n ? psa_pr_area(row, n) : NAN;
    figures->has_best = psa_sweep_best(row, n, &figures->best);
}

static void judge_nab(struct psa_nab_row *row, size_t n, double *best_of, struct psa_eval_figures *figures)
{
    size_t windows = figures->nab_windows;

    psa_nab_sort(row, n);
    for (size_t p = 0; p < PSA_NAB_PROFILES; p++) {
        const struct psa_nab_profile *profile = &psa_nab_profile[p];
        struct psa_eval_nab *nab = &figures->nab[p];

        nab->score = psa_nab_score(profile, row, n, windows, best_of);
        nab->normalised = psa_nab_normalise(profile, nab->score, windows);
        nab->best = psa_nab_best(profile, row, n, windows, best_of, &nab->best_threshold);
        nab->best_normalised = psa_nab_normalise(profile, nab->best, windows);
    }
}

static void judge_stream(const struct psa_eval_stream *stream, const struct psa_eval_settings *settings,
                         struct pool *pool, struct psa_eval_figures *figures)
{
    size_t skip = stream->skip, judged = stream->n - skip, n_predicted;

    *figures = (struct psa_eval_figures){ .rows = stream->n, .skipped = skip };
    figures->empty_windows = stream->entry != NULL ? stream->entry->n - stream->n_range : 0;
    psa_confusion_add(&figures->points, stream->predicted + skip, stream->labelled + skip, judged);
    n_predicted = psa_ranges_of(stream->predicted, skip, stream->n, pool->predicted);
    psa_range_sums_add(&figures->ranges, stream->range, stream->n_range, pool->predicted, n_predicted);
    figures->false_alarms = psa_false_alarms(stream->range, stream->n_range, pool->predicted, n_predicted);
    figures->normal_days =
        stream->untimed ? NAN : psa_normal_time_ns(stream->time_ns, stream->labelled, skip, stream->n) / NS_PER_DAY;
    judge_delays(stream, pool, figures);
    for (size_t i = skip; i < stream->n; i++) {
        figures->unscored += stream->score[i] == -INFINITY;
        pool->scored[pool->n_scored + i - skip] = (struct psa_scored){ stream->score[i], stream->labelled[i] };
    }
    if (settings->each) judge_ranks(pool->scored + pool->n_scored, judged, figures);
    pool->n_scored += judged;
    if (settings->nab) {
        struct psa_nab_row *row = pool->nab + pool->n_nab;
        size_t n = psa_nab_rows(stream->score, stream->predicted, stream->n, stream->window, stream->n_window,
                                &figures->nab_windows, row);

        if (settings->each) judge_nab(row, n, pool->best_of, figures);
        pool->n_nab += n;
    }
}

/* ---- all -------------------------------------------------------------------------------------------------------------------- */

static void pool_figures(struct psa_eval_figures *all, const struct psa_eval_figures *one)
{
    all->rows += one->rows;
    all->skipped += one->skipped;
    all->unscored += one->unscored;
    all->empty_windows += one->empty_windows;
    all->points.tp += one->points.tp;
    all->points.fp += one->points.fp;
    all->points.fn += one->points.fn;
    all->points.tn += one->points.tn;
    all->ranges.labelled += one->ranges.labelled;
    all->ranges.predicted += one->ranges.predicted;
    all->ranges.labelled_reward += one->ranges.labelled_reward;
    all->ranges.predicted_reward += one->ranges.predicted_reward;
    all->found += one->found;
    all->false_alarms += one->false_alarms;
    all->normal_days += one->normal_days;
    all->nab_windows += one->nab_windows;
}

static void free_pool(struct pool *pool)
{
    free(pool->scored);
    free(pool->delay_rows);
    free(pool->delay_s);
    free(pool->found_at);
    free(pool->predicted);
    free(pool->nab);
    free(pool->best_of);
}

/* Find every stream's ranges, and make room for what all streams need. */
static int prepare(struct psa_eval_streams *streams, const struct psa_eval_settings *settings, struct pool *pool,
                   struct psa_error *error)
{
    size_t rows = 0, ranges = 0, longest = 0;

    for (size_t i = 0; i < streams->n; i++) {
        struct psa_eval_stream *stream = streams->of[i];

        if (stream->left_out) continue;
        stream->skip = rows_to_skip(settings, stream->n);
        if (find_ranges(stream, error) != 0) return -1;
        rows += stream->n;
        ranges += stream->n_window;
        longest = stream->n > longest ? stream->n : longest;
        pool->untimed = pool->untimed || stream->untimed;
    }
    pool->scored = malloc((rows + 1) * sizeof *pool->scored);
    pool->delay_rows = malloc((ranges + 1) * sizeof *pool->delay_rows);
    pool->delay_s = malloc((ranges + 1) * sizeof *pool->delay_s);
    pool->found_at = malloc((ranges + 1) * sizeof *pool->found_at);
    pool->predicted = malloc((longest + 1) * sizeof *pool->predicted);
    pool->nab = malloc((settings->nab ? rows + 1 : 1) * sizeof *pool->nab);
    pool->best_of = malloc((ranges + 1) * sizeof *pool->best_of);
    if (pool->scored && pool->delay_rows && pool->delay_s && pool->found_at && pool->predicted && pool->nab &&
        pool->best_of)
        return 0;
    return psa_fail_memory(error, "judging; lower --max-rows");
}

/*
 * Operating points for the sweep: of each step of 1/N of the rows that have a score the first point that predicts as many,
 * so that a sweep of a million scores fits a screen, and the best in any case.
 */
static int make_sweep(const struct pool *pool, const struct psa_eval_settings *settings, struct psa_eval_result *result,
                      struct psa_error *error)
{
    const double steps = (double)settings->sweep, n = (double)(pool->n_scored - result->pooled.unscored);
    size_t cap = settings->sweep < pool->n_scored ? settings->sweep : pool->n_scored;
    struct psa_sweep sweep;
    double step = 0.0; /* the last one shown */

    result->sweep = malloc((cap + 2) * sizeof *result->sweep);
    if (result->sweep == NULL) return psa_fail_memory(error, "making the sweep");
    psa_sweep_begin(&sweep, pool->scored, pool->n_scored);
    while (psa_sweep_next(&sweep)) {
        double reached = floor((double)(sweep.point.counts.tp + sweep.point.counts.fp) * steps / n);
        bool best = result->pooled.has_best && sweep.point.threshold == result->pooled.best.threshold;

        if (reached <= step && !best) continue;
        if (reached > step) step = reached;
        result->sweep[result->n_sweep++] = sweep.point;
    }
    return 0;
}

static int judge_all(struct psa_eval_streams *streams, const struct psa_eval_settings *settings, struct pool *pool,
                     struct psa_eval_result *result, struct psa_error *error)
{
    struct psa_eval_figures *all = &result->pooled, one;

    for (size_t i = 0; i < streams->n; i++) {
        const struct psa_eval_stream *stream = streams->of[i];
        size_t nab_from = pool->n_nab;

        if (stream->left_out) continue;
        judge_stream(stream, settings, pool, &one);
        /* From here on its windows are numbered behind those of the streams before it. */
        for (size_t r = nab_from; r < pool->n_nab; r++)
            if (pool->nab[r].window != PSA_NAB_NO_WINDOW) pool->nab[r].window += all->nab_windows;
        pool_figures(all, &one);
        if (result->each != NULL) result->each[i] = one;
        result->streams++;
    }
    all->delay_rows = psa_summarise(pool->delay_rows, pool->n_delay);
    all->delay_s = pool->untimed ? psa_summarise(NULL, 0) : psa_summarise(pool->delay_s, pool->n_delay);
    judge_ranks(pool->scored, pool->n_scored, all);
    if (settings->nab) judge_nab(pool->nab, pool->n_nab, pool->best_of, all);
    return settings->sweep > 0 ? make_sweep(pool, settings, result, error) : 0;
}

int psa_eval_judge(struct psa_eval_streams *streams, const struct psa_eval_settings *settings,
                   struct psa_eval_result *result, struct psa_error *error)
{
    struct pool pool = { .n_scored = 0 };
    int status;

    *result = (struct psa_eval_result){ .streams = 0 };
    status = prepare(streams, settings, &pool, error);
    if (status == 0 && settings->each) {
        result->each = calloc(streams->n + 1, sizeof *result->each);
        if (result->each == NULL) status = psa_fail_memory(error, "judging");
    }
    if (status == 0) status = judge_all(streams, settings, &pool, result, error);
    free_pool(&pool);
    return status;
}

void psa_eval_result_free(struct psa_eval_result *result)
{
    free(result->each);
    free(result->sweep);
    *result = (struct psa_eval_result){ .streams = 0 };
}
