/* rolling.c - see rolling.h for the method, and for why nothing drifts. */
#include "dsp/rolling.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    FIRST_SAMPLES = 16,
    AT_ONCE =
        4096, /* a window by count up to this takes its memory when it is made, so that nothing is allocated later */
    SUMS = PSA_ROLLING_MEAN | PSA_ROLLING_VAR | PSA_ROLLING_SLOPE,
    WINDOWED = SUMS | PSA_ROLLING_MIN | PSA_ROLLING_MAX | PSA_ROLLING_ORDER
};

/* What a window's sums are made of; by time C needs the times' own moments too. */
struct shape {
    bool var, slope, by_time;
    size_t width; /* doubles of one aggregate of the front stack */
};

static inline struct shape shape_of(const struct psa_rolling_spec *spec)
{
    struct shape shape = { .var = spec->parts & PSA_ROLLING_VAR,
                           .slope = spec->parts & PSA_ROLLING_SLOPE,
                           .by_time = spec->span_ns > 0 };

    shape.width = 1 + (size_t)shape.var + (shape.slope ? shape.by_time ? 3 : 1 : 0);
    return shape;
}

/* a - b in nanoseconds; exact up to 104 days, and without overflow beyond. */
static inline double since(int64_t a, int64_t b)
{
    return a >= b ? (double)((uint64_t)a - (uint64_t)b) : -(double)((uint64_t)b - (uint64_t)a);
}

static inline size_t slot_of(const struct psa_rolling *rolling, uint64_t i)
{
    return (size_t)i & (rolling->cap - 1);
}

static inline int64_t time_at(const struct psa_rolling *rolling, size_t slot)
{
    return rolling->timed ? rolling->time_ns[slot] : 0;
}

/* ---- sums -------------------------------------------------------------------------------------------------------------- */

/* One more sample: newer than all that are in (side 1), or older (side -1), which by count is its place on the line. */
static inline void add(struct psa_rolling_sum *sum, struct shape shape, double side, double x, int64_t time_ns)
{
    double before = sum->n, n = before + 1.0, d = x - sum->shift - sum->mean, step = d / n;

    sum->n = n;
    sum->mean += step;
    if (shape.var) sum->m2 += step * d * before;
    if (!shape.slope) return;
    if (shape.by_time) {
        double e = since(time_ns, sum->shift_ns) - sum->mean_t, step_t = e / n;

        sum->mean_t += step_t;
        sum->t2 += step_t * e * before;
        sum->c += step_t * d * before;
    } else {
        sum->c += side * d * before / 2.0;
    }
}

static void store(double *entry, struct shape shape, const struct psa_rolling_sum *sum)
{
    *entry++ = sum->mean;
    if (shape.var) *entry++ = sum->m2;
    if (!shape.slope) return;
    *entry++ = sum->c;
    if (!shape.by_time) return;
    *entry++ = sum->mean_t;
    *entry++ = sum->t2;
}

/* The aggregate of the whole front stack. */
static inline struct psa_rolling_sum front_of(const struct psa_rolling_window *window, struct shape shape)
{
    size_t n = (size_t)(window->middle - window->first);
    struct psa_rolling_sum sum = { .n = (double)n, .shift = window->shift_front, .shift_ns = window->shift_front_ns };
    const double *entry = n ? window->front + (n - 1) * shape.width : NULL;

    if (!n) return sum;
    sum.mean = *entry++;
    if (shape.var) sum.m2 = *entry++;
    if (!shape.slope) return sum;
    sum.c = *entry++;
    if (!shape.by_time) return sum;
    sum.mean_t = *entry++;
    sum.t2 = *entry;
    return sum;
}

/* All of the older samples a and the newer ones b. */
static inline struct psa_rolling_sum merge(const struct psa_rolling_sum *a, const struct psa_rolling_sum *b,
                                           struct shape shape)
{
    double n = a->n + b->n, d = (b->shift - a->shift) + (b->mean - a->mean), share = b->n / n, weight = a->n * share;
    struct psa_rolling_sum sum = { .n = n, .shift = a->shift, .shift_ns = a->shift_ns };

    sum.mean = a->mean + d * share;
    if (shape.var) sum.m2 = a->m2 + b->m2 + d * d * weight;
    if (!shape.slope) return sum;
    if (shape.by_time) {
        double e = since(b->shift_ns, a->shift_ns) + (b->mean_t - a->mean_t);

        sum.mean_t = a->mean_t + e * share;
        sum.t2 = a->t2 + b->t2 + e * e * weight;
        sum.c = a->c + b->c + d * e * weight;
    } else {
        sum.c = a->c + b->c + d * (a->n * b->n / 2.0);
    }
    return sum;
}

static int reserve_front(struct psa_rolling_window *window, const struct psa_rolling_spec *spec, size_t n)
{
    size_t cap = spec->span_ns > 0 ? n + n / 2 : spec->count;
    double *grown;

    if (n <= window->cap_front) return 0;
    if (cap > spec->count) cap = spec->count;
    grown = malloc(cap * shape_of(spec).width * sizeof *grown);
    if (!grown) return -1;
    free(window->front);
    window->front = grown;
    window->cap_front = cap;
    return 0;
}

/* Samples [first, middle) become the front stack, in place of all it held: aggregates from the newest to the oldest. */
static int fill_front(const struct psa_rolling *rolling, size_t at, uint64_t first, uint64_t middle)
{
    struct psa_rolling_window *window = &rolling->window[at];
    struct shape shape = shape_of(&rolling->spec[at]);
    size_t newest, n = (size_t)(middle - first);
    struct psa_rolling_sum sum = { 0 };

    window->first = first;
    window->middle = middle;
    if (n == 0) return 0;
    if (reserve_front(window, &rolling->spec[at], n) != 0) return -1;
    newest = slot_of(rolling, middle - 1);
    sum.shift = window->shift_front = rolling->x[newest];
    sum.shift_ns = window->shift_front_ns = time_at(rolling, newest);
    for (size_t i = 0; i < n; i++) {
        size_t slot = slot_of(rolling, middle - 1 - i);

        add(&sum, shape, -1.0, rolling->x[slot], time_at(rolling, slot));
        store(window->front + i * shape.width, shape, &sum);
    }
    return 0;
}

static inline void add_back(struct psa_rolling_window *window, const struct psa_rolling_spec *spec, double x,
                            int64_t time_ns)
{
    if (window->back.n == 0.0) window->back = (struct psa_rolling_sum){ .shift = x, .shift_ns = time_ns };
    add(&window->back, shape_of(spec), 1.0, x, time_ns);
}

/* ---- minimum and maximum -------------------------------------------------------------------------------------------------- */

/* Put sample `number` behind; those before it that are not less (side 1; not greater: side -1) never count again. */
static inline void enqueue(const struct psa_rolling *rolling, struct psa_rolling_queue *queue, size_t cap, double side,
                           uint32_t number)
{
    double x = side * rolling->x[slot_of(rolling, number)];

    while (queue->n && side * rolling->x[slot_of(rolling, queue->at[(queue->begin + queue->n - 1) & (cap - 1)])] >= x)
        queue->n--;
    queue->at[(queue->begin + queue->n++) & (cap - 1)] = number;
}

/* Samples before `first` are gone. Numbers wrap, and differ by less than half their range. */
static inline void dequeue(struct psa_rolling_queue *queue, size_t cap, uint32_t first)
{
    while (queue->n && (int32_t)(queue->at[queue->begin & (cap - 1)] - first) < 0) {
        queue->begin++;
        queue->n--;
    }
}

/* ---- the ring ------------------------------------------------------------------------------------------------------------- */

static size_t power_of_two_from(size_t n)
{
    size_t power = 1;

    while (power < n) power *= 2;
    return power;
}

/* What a window keeps of its samples [first, end) beside its sums, made anew with room for `cap` of them. */
static int rebuild(const struct psa_rolling *rolling, size_t at, size_t cap)
{
    struct psa_rolling_window *window = &rolling->window[at];
    unsigned parts = rolling->spec[at].parts;
    struct psa_rolling_queue *queue[2] = { &window->least, &window->greatest };
    unsigned part[2] = { PSA_ROLLING_MIN, PSA_ROLLING_MAX };

    window->cap = cap;
    for (int i = 0; i < 2; i++) {
        if (!(parts & part[i])) continue;
        free(queue[i]->at);
        *queue[i] = (struct psa_rolling_queue){ malloc(cap * sizeof *queue[i]->at), 0, 0 };
        if (!queue[i]->at) return -1;
        for (uint64_t k = window->first; k < rolling->end; k++)
            enqueue(rolling, queue[i], cap, i == 0 ? 1.0 : -1.0, (uint32_t)k);
    }
    if (!(parts & PSA_ROLLING_ORDER)) return 0;
    psa_order_set_free(&window->order);
    if (psa_order_set_reserve(&window->order, cap) != 0) return -1;
    for (uint64_t k = window->first; k < rolling->end; k++)
        psa_order_set_insert(&window->order, (size_t)k & (cap - 1), rolling->x[slot_of(rolling, k)]);
    return 0;
}

static int resize(struct psa_rolling *rolling, size_t cap)
{
    double *x = malloc(cap * sizeof *x);
    int64_t *time_ns = rolling->timed ? malloc(cap * sizeof *time_ns) : NULL;

    if (!x || (rolling->timed && !time_ns)) {
        free(x);
        free(time_ns);
        return -1;
    }
    for (uint64_t i = rolling->begin; i < rolling->end; i++) {
        x[i & (cap - 1)] = rolling->x[slot_of(rolling, i)];
        if (time_ns) time_ns[i & (cap - 1)] = rolling->time_ns[slot_of(rolling, i)];
    }
    free(rolling->x);
    free(rolling->time_ns);
    rolling->x = x;
    rolling->time_ns = time_ns;
    rolling->cap = cap;
    for (size_t i = 0; i < rolling->n_window; i++) {
        size_t most = power_of_two_from(rolling->spec[i].count), wanted = most < cap ? most : cap;

        if (wanted != rolling->window[i].cap && rebuild(rolling, i, wanted) != 0) return -1;
    }
    return 0;
}

size_t psa_rolling_held(const struct psa_rolling *rolling)
{
    uint64_t first = rolling->end;

    for (size_t i = 0; i < rolling->n_window; i++)
        if (rolling->window[i].first < first) first = rolling->window[i].first;
    return (size_t)(rolling->end - first);
}

/* A free place at the ring's end. */
static int make_room(struct psa_rolling *rolling)
{
    if (rolling->end - rolling->begin < rolling->cap) return 0;
    rolling->begin = rolling->end - psa_rolling_held(rolling);
    if (rolling->end - rolling->begin < rolling->cap) return 0;
    return resize(rolling, rolling->cap ? rolling->cap * 2 : FIRST_SAMPLES);
}

/* ---- windows --------------------------------------------------------------------------------------------------------------- */

/* Short windows by count take their memory at once. */
static int prepare(struct psa_rolling *rolling)
{
    size_t cap = 0;

    for (size_t i = 0; i < rolling->n_window; i++) {
        const struct psa_rolling_spec *spec = &rolling->spec[i];
        size_t wanted = power_of_two_from(spec->count);

        if (spec->span_ns > 0 || spec->count > AT_ONCE || !(spec->parts & WINDOWED)) continue;
        if (wanted > cap) cap = wanted;
        if (spec->parts & SUMS && reserve_front(&rolling->window[i], spec, spec->count) != 0) return -1;
    }
    return cap ? resize(rolling, cap) : 0;
}

int psa_rolling_init(struct psa_rolling *rolling, const struct psa_rolling_spec *spec, size_t n_window)
{
    *rolling = (struct psa_rolling){ .spec = spec, .newest_ns = INT64_MIN };
    rolling->window = calloc(n_window ? n_window : 1, sizeof *rolling->window);
    if (!rolling->window) return -1;
    rolling->n_window = n_window;
    for (size_t i = 0; i < n_window; i++) {
        psa_order_set_init(&rolling->window[i].order, false);
        rolling->window[i].ewma = NAN;
        if (spec[i].span_ns > 0) rolling->timed = true;
        if (spec[i].count == 0 || spec[i].count > PSA_ROLLING_COUNT_MAX || spec[i].span_ns < 0) return -1;
    }
    return prepare(rolling);
}

void psa_rolling_free(struct psa_rolling *rolling)
{
    for (size_t i = 0; i < rolling->n_window; i++) {
        struct psa_rolling_window *window = &rolling->window[i];

        free(window->front);
        free(window->least.at);
        free(window->greatest.at);
        psa_order_set_free(&window->order);
    }
    free(rolling->window);
    free(rolling->x);
    free(rolling->time_ns);
    *rolling = (struct psa_rolling){ 0 };
}

/* Samples before `first` leave the window. */
static int retire(struct psa_rolling *rolling, size_t at, uint64_t first)
{
    struct psa_rolling_window *window = &rolling->window[at];
    unsigned parts = rolling->spec[at].parts;

    if (parts & PSA_ROLLING_ORDER)
        for (uint64_t i = window->first; i < first; i++)
            psa_order_set_erase(&window->order, (size_t)i & (window->cap - 1));
    if (parts & PSA_ROLLING_MIN) dequeue(&window->least, window->cap, (uint32_t)first);
    if (parts & PSA_ROLLING_MAX) dequeue(&window->greatest, window->cap, (uint32_t)first);
    window->first = first;
    if (first <= window->middle) return 0;
    window->back.n = 0.0;
    if (parts & SUMS) return fill_front(rolling, at, first, rolling->end);
    window->middle = first;
    return 0;
}

static void admit(struct psa_rolling *rolling, size_t at, double x, int64_t time_ns)
{
    struct psa_rolling_window *window = &rolling->window[at];
    const struct psa_rolling_spec *spec = &rolling->spec[at];

    if (spec->parts & SUMS) add_back(window, spec, x, time_ns);
    if (spec->parts & PSA_ROLLING_MIN) enqueue(rolling, &window->least, window->cap, 1.0, (uint32_t)rolling->end);
    if (spec->parts & PSA_ROLLING_MAX) enqueue(rolling, &window->greatest, window->cap, -1.0, (uint32_t)rolling->end);
    if (spec->parts & PSA_ROLLING_ORDER)
        psa_order_set_insert(&window->order, (size_t)rolling->end & (window->cap - 1), x);
}

/* A step of any size stays a number: the first form is exact where x is y, the second cannot overflow. */
static void follow(const struct psa_rolling *rolling, size_t at, double x, int64_t time_ns)
{
    double *y = &rolling->window[at].ewma, a, next;
    const struct psa_rolling_spec *spec = &rolling->spec[at];

    if (isnan(*y)) {
        *y = x;
        return;
    }
    a = spec->span_ns > 0 ? -expm1(-since(time_ns, rolling->newest_ns) / (double)spec->span_ns)
                          : 2.0 / ((double)spec->count + 1.0);
    next = *y + a * (x - *y);
    *y = isfinite(next) ? next : (1.0 - a) * *y + a * x;
}

static int expire(struct psa_rolling *rolling, size_t at, int64_t now_ns)
{
    uint64_t first = rolling->window[at].first, span = (uint64_t)rolling->spec[at].span_ns;

    while (first < rolling->end && (uint64_t)now_ns - (uint64_t)rolling->time_ns[slot_of(rolling, first)] >= span)
        first++;
    return first == rolling->window[at].first ? 0 : retire(rolling, at, first);
}

int psa_rolling_advance(struct psa_rolling *rolling, int64_t time_ns)
{
    for (size_t i = 0; rolling->timed && i < rolling->n_window; i++)
        if (rolling->spec[i].span_ns > 0 && (rolling->spec[i].parts & WINDOWED) && expire(rolling, i, time_ns) != 0)
            return -1;
    return 0;
}

/* Room for one more sample in a window; one of the exponential mean alone is empty for ever. */
static int make_way(struct psa_rolling *rolling, size_t at)
{
    struct psa_rolling_window *window = &rolling->window[at];

    if (!(rolling->spec[at].parts & WINDOWED)) {
        window->first = window->middle = rolling->end + 1;
        return 0;
    }
    if (rolling->end - window->first < rolling->spec[at].count) return 0;
    if (rolling->spec[at].span_ns > 0) rolling->cut++;
    return retire(rolling, at, window->first + 1);
}

int psa_rolling_push(struct psa_rolling *rolling, double x, int64_t time_ns)
{
    size_t slot;

    if (psa_rolling_advance(rolling, time_ns) != 0) return -1;
    for (size_t i = 0; i < rolling->n_window; i++)
        if (make_way(rolling, i) != 0) return -1;
    if (make_room(rolling) != 0) return -1;
    slot = slot_of(rolling, rolling->end);
    rolling->x[slot] = x;
    if (rolling->timed) rolling->time_ns[slot] = time_ns;
    for (size_t i = 0; i < rolling->n_window; i++) {
        if (rolling->spec[i].parts & WINDOWED) admit(rolling, i, x, time_ns);
        if (rolling->spec[i].parts & PSA_ROLLING_EWMA) follow(rolling, i, x, time_ns);
    }
    rolling->end++;
    rolling->newest_ns = time_ns;
    return 0;
}

/* ---- what they say ---------------------------------------------------------------------------------------------------------- */

size_t psa_rolling_count(const struct psa_rolling *rolling, size_t window)
{
    return (size_t)(rolling->end - rolling->window[window].first);
}

void psa_rolling_summarise(const struct psa_rolling *rolling, size_t window, struct psa_rolling_summary *summary)
{
    const struct psa_rolling_window *self = &rolling->window[window];
    struct shape shape = shape_of(&rolling->spec[window]);
    struct psa_rolling_sum sum;
    double n;

    *summary = (struct psa_rolling_summary){ psa_rolling_count(rolling, window), NAN, NAN, NAN, NAN };
    if (summary->n == 0 || !(rolling->spec[window].parts & SUMS)) return;
    sum = front_of(self, shape);
    if (sum.n == 0.0) sum = self->back;
    else if (self->back.n > 0.0) sum = merge(&sum, &self->back, shape);
    n = sum.n;
    summary->mean = sum.shift + sum.mean;
    if (shape.var) summary->var = sum.m2 / n;
    if (shape.var) summary->deviation = rolling->x[slot_of(rolling, rolling->end - 1)] - sum.shift - sum.mean;
    if (!shape.slope) return;
    if (!shape.by_time) sum.t2 = n * (n * n - 1.0) / 12.0;
    if (sum.t2 > 0.0) summary->slope = shape.by_time ? sum.c / sum.t2 * 1e9 : sum.c / sum.t2;
}

static double first_of(const struct psa_rolling *rolling, const struct psa_rolling_queue *queue, size_t cap)
{
    return queue->n ? rolling->x[slot_of(rolling, queue->at[queue->begin & (cap - 1)])] : NAN;
}

double psa_rolling_min(const struct psa_rolling *rolling, size_t window)
{
    return first_of(rolling, &rolling->window[window].least, rolling->window[window].cap);
}

double psa_rolling_max(const struct psa_rolling *rolling, size_t window)
{
    return first_of(rolling, &rolling->window[window].greatest, rolling->window[window].cap);
}

double psa_rolling_median(const struct psa_rolling *rolling, size_t window)
{
    const struct psa_order_set *set = &rolling->window[window].order;
    size_t n = psa_order_set_count(set);
    double a, b;

    if (n % 2) return psa_order_set_select(set, n / 2);
    a = psa_order_set_select(set, n / 2 - 1); /* NaN of an empty set: no rank is that high */
    b = psa_order_set_select(set, n / 2);
    return isinf(a + b) ? a / 2.0 + b / 2.0 : (a + b) / 2.0;
}

double psa_rolling_quantile(const struct psa_rolling *rolling, size_t window, double level)
{
    return psa_order_set_quantile(&rolling->window[window].order, level);
}

double psa_rolling_ewma(const struct psa_rolling *rolling, size_t window)
{
    return rolling->window[window].ewma;
}

/* ---- saving ------------------------------------------------------------------------------------------------------------------ */

double psa_rolling_sample(const struct psa_rolling *rolling, size_t i)
{
    return rolling->x[slot_of(rolling, rolling->end - psa_rolling_held(rolling) + i)];
}

int64_t psa_rolling_sample_ns(const struct psa_rolling *rolling, size_t i)
{
    return time_at(rolling, slot_of(rolling, rolling->end - psa_rolling_held(rolling) + i));
}

struct psa_rolling_mark psa_rolling_mark_of(const struct psa_rolling *rolling, size_t window)
{
    const struct psa_rolling_window *self = &rolling->window[window];

    return (struct psa_rolling_mark){ psa_rolling_count(rolling, window), (size_t)(rolling->end - self->middle),
                                      self->ewma };
}

/* Can a window of this spec, of n samples that are there, have this mark? */
static bool fits(const struct psa_rolling_spec *spec, const struct psa_rolling_mark *mark, size_t n)
{
    if (mark->n > n || mark->n > spec->count || mark->n_back > mark->n || isinf(mark->ewma)) return false;
    if (!(spec->parts & WINDOWED) && mark->n > 0) return false;
    return spec->parts & PSA_ROLLING_EWMA || isnan(mark->ewma);
}

static bool restore_window(struct psa_rolling *rolling, size_t at, const struct psa_rolling_mark *mark)
{
    struct psa_rolling_window *window = &rolling->window[at];
    const struct psa_rolling_spec *spec = &rolling->spec[at];
    uint64_t first = rolling->end - mark->n, middle = rolling->end - mark->n_back;

    window->ewma = mark->ewma;
    window->first = first;
    window->middle = middle;
    if (!(spec->parts & SUMS)) return true;
    if (fill_front(rolling, at, first, middle) != 0) return false;
    /* The back's aggregate only ever grows sample by sample from nothing, so growing it again gives the same bits. */
    for (uint64_t i = middle; i < rolling->end; i++)
        add_back(window, spec, rolling->x[slot_of(rolling, i)], time_at(rolling, slot_of(rolling, i)));
    return true;
}

bool psa_rolling_restore(struct psa_rolling *rolling, const double *x, const int64_t *time_ns, size_t n,
                         const struct psa_rolling_mark *mark, int64_t newest_ns)
{
    size_t longest = 0, cap = power_of_two_from(n < FIRST_SAMPLES ? FIRST_SAMPLES : n);

    for (size_t i = 0; i < rolling->n_window; i++) {
        if (!fits(&rolling->spec[i], &mark[i], n)) return false;
        if (mark[i].n > longest) longest = mark[i].n;
    }
    if (n > longest || (n && rolling->timed && time_ns[n - 1] > newest_ns)) return false;
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]) || (rolling->timed && i > 0 && time_ns[i] < time_ns[i - 1])) return false;

    if (cap > rolling->cap && resize(rolling, cap) != 0) return false;
    rolling->end = n;
    rolling->newest_ns = newest_ns;
    if (n) memcpy(rolling->x, x, n * sizeof *x);
    if (n && rolling->timed) memcpy(rolling->time_ns, time_ns, n * sizeof *time_ns);
    for (size_t i = 0; i < rolling->n_window; i++) {
        if (!restore_window(rolling, i, &mark[i]) || rebuild(rolling, i, rolling->window[i].cap) != 0) return false;
    }
    return true;
}
