/*
 * window.c - psa-window: readings (or blocks) to windows of consecutive samples, each field an array.
 *
 * Per key the samples lie in rows, one a field, that slide through their storage: a window is a pointer into each row.
 * A time window [start, start + length) starts at the key's first record, or at the whole multiple of the stride that is
 * the start of the first window to hold it, and then every stride; it is complete when a record or a heartbeat at or past
 * its end comes. A count window is complete with its last sample, a session when a record or a heartbeat comes later
 * behind its last sample than samples of one session do.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/number.h"
#include "core/record.h"
#include "dsp/moments.h"
#include "dsp/quantile.h"
#include "stage/labels.h"
#include "stage/slot.h"
#include "stage/stages.h"
#include "stage/window.h"

enum {
    FIRST_SAMPLES = 128,
    OVERLAP_MOST = 10000 /* windows that a sample may lie in */
};

/* A rate_hz that is fitted to a clock wanders a little; beyond this share it is another rate. */
static const double RATE_TOLERANCE = 0.01;
/* How far, as a share of its length, a block may begin before its place and still follow the one before. */
static const double BLOCK_DRIFT = 0.01;

/* Labels that a run of consecutive samples shares. */
struct label_run {
    uint64_t first;      /* number of its first sample in the key */
    struct psa_str text; /* NULL: the samples have none */
};

struct window_slot {
    struct psa_slot slot;
    struct psa_schema schema;
    struct psa_str *key;      /* [schema.n] `,"name":` */
    struct psa_field **field; /* [schema.n] of the record at hand */
    double *row;              /* [schema.n][cap] */
    int64_t *time_ns;         /* [cap] */
    bool *begins;             /* [cap] is it the first sample held of its record? */
    size_t cap, begin, end;   /* samples held: [begin, end) */
    uint64_t first;           /* number of the sample at begin */
    uint64_t unwritten;       /* number of the first sample that is in no window yet */
    int64_t start_ns;         /* of the oldest window of time that is not written yet */
    uint64_t skip;            /* count windows with a stride above their length: samples still to leave out */
    bool open;                /* start_ns and last_ns are set */
    int64_t last_ns;          /* of the newest sample, held or not */
    bool continued;           /* the session at hand was cut: its beginning is written */
    uint64_t seq;
    double rate_hz;             /* that the records carry, 0: none */
    struct psa_record envelope; /* the newest record without its fields */
    struct label_run *run;
    size_t n_run, cap_run;
    size_t n_loaded; /* samples of each row, as a state had them */
};

struct window {
    struct psa_record out;
    struct psa_buf text;
    struct psa_str *label;
    size_t cap_label;
    double *interval; /* of one window, with --intervals */
    size_t cap_interval;
};

/* The n oldest samples of a key, about to be written. */
struct slice {
    size_t n;
    int64_t start_ns, end_ns;
    bool partial, cut;
};

/* ---- options ------------------------------------------------------------------------------------------------------------- */

static const struct psa_option options[] = { PSA_WINDOW_OPTIONS(
    0, "length of a window: a duration (1s) or a number of samples (100)"){ .type = PSA_OPT_END } };

int psa_window_check(struct psa_window_config *config, struct psa_error *error)
{
    if (!psa_window_is_asked(config))
        return psa_fail(error, PSA_EXIT_PERMANENT,
                        "no window named; give --length, such as --length 1s or --length 100, or --session 10s");
    config->epoch = strcmp(config->align, "epoch") == 0;
    if (!config->epoch && strcmp(config->align, "first") != 0)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--align: '%s' is neither first nor epoch", config->align);
    if (config->session_ns) return 0;
    if (!config->stride.value) config->stride = config->length;
    if (config->stride.by_count != config->length.by_count)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--length and --stride must both be durations or both be counts");
    if (config->epoch && config->length.by_count)
        return psa_fail(
            error, PSA_EXIT_PERMANENT,
            "--align epoch needs windows of time, such as --length 1s; --length %lld is a number of samples",
            (long long)config->length.value);
    if (!config->length.by_count && config->stride.value < config->length.value / OVERLAP_MOST)
        return psa_fail(error, PSA_EXIT_PERMANENT,
                        "--stride is below a %dth of --length: each sample would be written that often", OVERLAP_MOST);
    if (config->length.by_count && config->length.value > config->max_samples)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--length %lld is above --max-samples %lld",
                        (long long)config->length.value, (long long)config->max_samples);
    return 0;
}

/* Are the windows slices of time, [start, start + length)? Not counts, not sessions. */
static bool by_time(const struct psa_window_config *config)
{
    return !config->length.by_count && !config->session_ns;
}

/* ---- slots ---------------------------------------------------------------------------------------------------------------- */

/* How many of the samples held are in no window so far. */
static size_t unwritten_samples(const struct window_slot *slot)
{
    uint64_t from = slot->unwritten > slot->first ? slot->unwritten - slot->first : 0;
    size_t held = slot->end - slot->begin;

    return from < held ? held - (size_t)from : 0;
}

/* How many records that this run counted are in no window so far: all their samples are held and unwritten. */
static size_t unwritten_records(const struct window_slot *slot)
{
    uint64_t from = slot->unwritten > slot->first ? slot->unwritten - slot->first : 0;
    size_t n = 0;

    for (uint64_t i = slot->begin + from; i < slot->end; i++) n += slot->begins[i];
    return n;
}

static void drop_slot(struct psa_slot *base)
{
    struct window_slot *slot = (struct window_slot *)base;

    if (slot->end > slot->begin) psa_lose_held(slot->slot.owner, unwritten_records(slot), "evicted");
    for (size_t i = 0; i < slot->n_run; i++) free((char *)slot->run[i].text.p);
    free(slot->run);
    free(slot->key);
    free(slot->field);
    free(slot->row);
    free(slot->time_ns);
    free(slot->begins);
    psa_record_free(&slot->envelope);
    psa_schema_free(&slot->schema);
}

/* Storage for `cap` samples; those held are moved to its front. */
static bool resize(struct window_slot *slot, size_t cap)
{
    size_t width = slot->schema.n, held = slot->end - slot->begin;
    double *row = malloc((width * cap + 1) * sizeof *row);
    int64_t *time_ns = malloc(cap * sizeof *time_ns);
    bool *begins = malloc(cap * sizeof *begins);

    if (!row || !time_ns || !begins) {
        free(row);
        free(time_ns);
        free(begins);
        return false;
    }
    for (size_t i = 0; held && i < width; i++)
        memcpy(row + i * cap, slot->row + i * slot->cap + slot->begin, held * sizeof *row);
    if (held) memcpy(time_ns, slot->time_ns + slot->begin, held * sizeof *time_ns);
    if (held) memcpy(begins, slot->begins + slot->begin, held * sizeof *begins);
    free(slot->row);
    free(slot->time_ns);
    free(slot->begins);
    slot->row = row;
    slot->time_ns = time_ns;
    slot->begins = begins;
    slot->cap = cap;
    slot->begin = 0;
    slot->end = held;
    return true;
}

static bool make_slot(struct window_slot *slot)
{
    slot->key = calloc(slot->schema.n + 1, sizeof *slot->key);
    slot->field = calloc(slot->schema.n + 1, sizeof *slot->field);
    if (!slot->key || !slot->field) return false;
    for (size_t i = 0; i < slot->schema.n; i++) {
        slot->key[i] = psa_field_key(&slot->schema.arena, slot->schema.name[i]);
        if (!slot->key[i].p) return false;
    }
    return resize(slot, FIRST_SAMPLES);
}

/* Did a run end before the first sample held? */
static bool has_ended(const struct window_slot *slot, size_t run)
{
    return run + 1 < slot->n_run && slot->run[run + 1].first <= slot->first;
}

/* Leave out the n oldest samples. */
static void forget(struct window_slot *slot, size_t n)
{
    slot->begin += n;
    slot->first += n;
    /* Runs that ended before the first sample held say nothing any more. */
    size_t ended = 0;

    while (has_ended(slot, ended)) free((char *)slot->run[ended++].text.p);
    if (ended) memmove(slot->run, slot->run + ended, (slot->n_run - ended) * sizeof *slot->run);
    slot->n_run -= ended;
}

/* A place behind the samples held: slide down when half the storage is free, else take more. */
static int make_room(struct psa_node *node, struct window_slot *slot, struct psa_error *error)
{
    const struct psa_window_config *config = node->config;
    size_t held = slot->end - slot->begin;

    if (held == (size_t)config->max_samples) {
        forget(slot, 1);
        held--;
        psa_note(node, "max_samples");
        psa_say(node, "max_samples", "a window holds more than --max-samples %lld; its oldest samples are left out",
                (long long)config->max_samples);
    }
    if (slot->end < slot->cap) return 0;
    if (held > slot->cap / 2) return resize(slot, slot->cap * 2) ? 0 : psa_fail_memory(error, "filling a window");
    for (size_t i = 0; i < slot->schema.n; i++) {
        double *row = slot->row + i * slot->cap;

        memmove(row, row + slot->begin, held * sizeof *row);
    }
    memmove(slot->time_ns, slot->time_ns + slot->begin, held * sizeof *slot->time_ns);
    memmove(slot->begins, slot->begins + slot->begin, held * sizeof *slot->begins);
    slot->begin = 0;
    slot->end = held;
    return 0;
}

/* ---- what a window takes from its records ------------------------------------------------------------------------------------ */

static bool same_text(struct psa_str a, struct psa_str b)
{
    return a.p && b.p ? psa_str_is(a, b) : a.p == b.p;
}

static bool varies(enum psa_member_id id)
{
    return id == PSA_M_TIMESTAMP_NS || id == PSA_M_TS_MS || id == PSA_M_TIMESTAMP || id == PSA_M_FIELDS ||
           id == PSA_M_LABELS;
}

/* Do the records differ in nothing that a window shows? Time, fields and labels are its own. */
static bool same_envelope(const struct psa_record *a, const struct psa_record *b)
{
    if (a->n_member != b->n_member) return false;
    for (size_t i = 0; i < a->n_member; i++) {
        const struct psa_member *x = &a->member[i], *y = &b->member[i];

        if (x->id != y->id || !psa_str_is(x->lead, y->lead)) return false;
        if (!varies(x->id) && !psa_str_is(x->text, y->text)) return false;
    }
    return true;
}

static int add_run(struct window_slot *slot, uint64_t first, struct psa_str text, struct psa_error *error)
{
    struct psa_str copy = text;
    char *place;

    if (slot->n_run == slot->cap_run) {
        size_t cap = slot->cap_run ? slot->cap_run * 2 : 4;
        struct label_run *grown = realloc(slot->run, cap * sizeof *grown);

        if (!grown) return psa_fail_memory(error, "noting labels");
        slot->run = grown;
        slot->cap_run = cap;
    }
    if (text.p) {
        copy.p = place = malloc(text.n + 1);
        if (!place) return psa_fail_memory(error, "noting labels");
        memcpy(place, text.p, text.n);
    }
    slot->run[slot->n_run++] = (struct label_run){ first, copy };
    return 0;
}

/* The labels of the sample that comes next. */
static int note_labels(struct window_slot *slot, const struct psa_record *record, struct psa_error *error)
{
    const struct psa_member *labels = psa_record_member(record, PSA_M_LABELS);
    struct psa_str text = labels && *labels->text.p == '{' ? labels->text : (struct psa_str){ NULL, 0 };
    uint64_t next = slot->first + (slot->end - slot->begin);

    /* A run whose only sample was left out (between two windows) is none. */
    if (slot->n_run && slot->run[slot->n_run - 1].first == next) free((char *)slot->run[--slot->n_run].text.p);
    if (slot->n_run ? same_text(slot->run[slot->n_run - 1].text, text) : !text.p) return 0;
    return add_run(slot, next, text, error);
}

static int take_envelope(struct window_slot *slot, const struct psa_record *record, struct psa_error *error)
{
    slot->rate_hz = record->rate_hz;
    if (!same_envelope(&slot->envelope, record) && psa_record_copy(&slot->envelope, record, false) != 0)
        return psa_fail_memory(error, "keeping a record");
    return note_labels(slot, record, error);
}

/* ---- writing a window -------------------------------------------------------------------------------------------------------- */

/* The labels of the n oldest samples, into window->text; false when they have none. */
static int merge_labels(struct window *window, const struct window_slot *slot, size_t n, bool *any,
                        struct psa_error *error)
{
    size_t n_label = 0;

    *any = false;
    if (window->cap_label < slot->n_run) {
        struct psa_str *grown = realloc(window->label, slot->n_run * sizeof *grown);

        if (!grown) return psa_fail_memory(error, "joining labels");
        window->label = grown;
        window->cap_label = slot->n_run;
    }
    for (size_t i = 0; i < slot->n_run; i++)
        if (slot->run[i].text.p && slot->run[i].first < slot->first + n && !has_ended(slot, i))
            window->label[n_label++] = slot->run[i].text;
    window->text.n = 0;
    if (!n_label) return 0;
    *any = true;
    psa_labels_merge(window->label, n_label, &window->text);
    return window->text.failed ? psa_fail_memory(error, "joining labels") : 0;
}

/* What `--intervals` says of n times: the median of their intervals, their standard deviation over it, and the longest.
 * null: one sample has no interval, and a median of 0 measures nothing. */
static bool put_intervals(struct window *window, const int64_t *time_ns, size_t n)
{
    double median = NAN, jitter = NAN, longest = NAN;

    if (n > window->cap_interval) {
        double *grown = realloc(window->interval, (n + n / 2) * sizeof *grown);

        if (!grown) return false;
        window->interval = grown;
        window->cap_interval = n + n / 2;
    }
    for (size_t i = 1; i < n; i++) window->interval[i - 1] = (double)psa_ns_since(time_ns[i], time_ns[i - 1]);
    if (n > 1) {
        struct psa_moments moments = psa_moments_of(window->interval, n - 1);

        median = psa_median(window->interval, n - 1);
        longest = moments.max;
        if (median > 0) jitter = moments.std / median;
    }
    psa_buf_member_number(&window->text, "interval_s", median / 1e9);
    psa_buf_member_number(&window->text, "jitter", jitter);
    psa_buf_member_number(&window->text, "longest_s", longest / 1e9);
    return true;
}

/* The rate of the n oldest samples: what their records tell, else (n - 1) / (last - first); 0: none. */
static double rate_of(const struct window_slot *slot, size_t n)
{
    const int64_t *time_ns = slot->time_ns + slot->begin;
    double span_s = (double)psa_ns_since(time_ns[n - 1], time_ns[0]) / 1e9;

    if (slot->rate_hz > 0) return slot->rate_hz;
    return span_s > 0 ? (double)(n - 1) / span_s : 0;
}

/* Does the last of n samples stand where their rate puts it, within half an interval? Not where samples are missing from
 * records that tell their rate. */
static bool ends_on_time(const int64_t *time_ns, size_t n, double rate_hz)
{
    int64_t expected_ns = psa_ns_add(time_ns[0], psa_ns_of_samples((double)(n - 1), rate_hz));
    int64_t off_ns = psa_ns_since(time_ns[n - 1], expected_ns), half_ns = psa_ns_of_samples(0.5, rate_hz);

    return off_ns <= half_ns && off_ns >= -half_ns;
}

/* The member `window` of a slice, into window->text. */
static bool window_member(const struct psa_node *node, const struct window_slot *slot, const struct slice *slice,
                          double rate_hz)
{
    const struct psa_window_config *config = node->config;
    const int64_t *time_ns = slot->time_ns + slot->begin;
    struct window *window = node->state;
    struct psa_buf *text = &window->text;
    size_t n = slice->n;

    text->n = 0;
    psa_buf_puts(text, "{");
    psa_buf_member_int(text, "start_ns", slice->start_ns);
    psa_buf_member_int(text, "end_ns", slice->end_ns);
    psa_buf_member_int(text, "n", (int64_t)n);
    psa_buf_member_int(text, "seq", (int64_t)slot->seq);
    if (slice->partial) psa_buf_member_bool(text, "partial", true);
    if (slice->cut) psa_buf_member_bool(text, "cut", true);
    if (slot->continued) psa_buf_member_bool(text, "continued", true);
    if (rate_hz > 0 && !ends_on_time(time_ns, n, rate_hz)) psa_buf_member_int(text, "last_ns", time_ns[n - 1]);
    if (config->intervals && !put_intervals(window, time_ns, n)) return false;
    psa_buf_puts(text, "}");
    return !text->failed;
}

/* A slice as one record. */
static int emit(struct psa_node *node, struct window_slot *slot, const struct slice *slice, struct psa_error *error)
{
    struct window *window = node->state;
    struct psa_record *out = &window->out;
    size_t n = slice->n;
    double rate_hz = rate_of(slot, n);
    bool labelled, ok = psa_record_copy(out, &slot->envelope, false) == 0;

    if (merge_labels(window, slot, n, &labelled, error) != 0) return -1;
    if (labelled) ok = ok && psa_record_set(out, "labels", psa_buf_str(&window->text)) == 0;
    else psa_record_unset(out, PSA_M_LABELS);
    ok = ok && psa_record_set_time(out, slot->time_ns[slot->begin]) == 0;
    for (size_t i = 0; ok && i < slot->schema.n; i++) {
        struct psa_field *field = psa_record_add_field(out, slot->key[i], slot->schema.name[i]);

        ok = field != NULL;
        if (ok) psa_field_set_array(field, slot->row + i * slot->cap + slot->begin, n);
    }
    if (rate_hz > 0) ok = ok && psa_record_set_rate(out, rate_hz) == 0;
    else psa_record_unset(out, PSA_M_RATE_HZ);
    ok = ok && window_member(node, slot, slice, rate_hz);
    ok = ok && psa_record_set(out, "window", psa_buf_str(&window->text)) == 0;
    if (!ok) return psa_fail_memory(error, "writing a window");
    slot->seq++;
    if (slot->unwritten < slot->first + n) slot->unwritten = slot->first + n;
    return psa_emit(node, out, error);
}

/* How many of the samples held are older than ns. */
static size_t samples_before(const struct window_slot *slot, int64_t ns)
{
    size_t low = slot->begin, high = slot->end;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (slot->time_ns[middle] < ns) low = middle + 1;
        else high = middle;
    }
    return low - slot->begin;
}

/* ---- time windows -------------------------------------------------------------------------------------------------------------- */

/* Of the windows that start at base_ns and whole strides from there, where the first starts that has not ended by ns. None
 * began before time did. */
static int64_t start_of(const struct psa_window_config *config, int64_t base_ns, int64_t ns)
{
    const uint64_t stride = (uint64_t)config->stride.value;
    int64_t least_ns, start_ns; /* the start is this at least */

    if (__builtin_sub_overflow(ns, config->length.value - 1, &least_ns)) least_ns = INT64_MIN;
    /* The difference of two int64 fits uint64. */
    const uint64_t past =
        base_ns >= least_ns ? (uint64_t)base_ns - (uint64_t)least_ns : (uint64_t)least_ns - (uint64_t)base_ns;
    const uint64_t rest = past % stride, ahead = base_ns >= least_ns || rest == 0 ? rest : stride - rest;
    return __builtin_add_overflow(least_ns, (int64_t)ahead, &start_ns) ? INT64_MAX : start_ns;
}

/* Go forward to the first window that a sample at ns can lie in. */
static void skip_to(const struct psa_window_config *config, struct window_slot *slot, int64_t ns)
{
    int64_t start_ns = start_of(config, slot->start_ns, ns);

    if (start_ns > slot->start_ns) slot->start_ns = start_ns;
}

/* The window at start_ns is done: go to the next that has a sample, or can get one; empty ones are not written. */
static void advance(const struct psa_window_config *config, struct window_slot *slot, int64_t now_ns)
{
    slot->start_ns = psa_ns_add(slot->start_ns, config->stride.value);
    forget(slot, samples_before(slot, slot->start_ns));
    skip_to(config, slot, slot->end > slot->begin ? slot->time_ns[slot->begin] : now_ns);
    forget(slot, samples_before(slot, slot->start_ns));
}

/* Write the windows that are complete now that event time has reached now_ns, but none that ends more than `max_gap`
 * behind the newest sample: what it lacks is a gap. */
static int emit_complete(struct psa_node *node, struct window_slot *slot, int64_t now_ns, struct psa_error *error)
{
    const struct psa_window_config *config = node->config;

    while (slot->open && slot->end > slot->begin) {
        int64_t end_ns = psa_ns_add(slot->start_ns, config->length.value);
        size_t n = samples_before(slot, end_ns);

        if (now_ns < end_ns || end_ns == INT64_MAX) return 0; /* no window ends where time does */
        if (config->max_gap_ns && end_ns > psa_ns_add(slot->last_ns, config->max_gap_ns)) return 0;
        if (n && emit(node, slot, &(struct slice){ n, slot->start_ns, end_ns, false, false }, error) != 0) return -1;
        advance(config, slot, now_ns);
    }
    return 0;
}

/* ---- every kind ------------------------------------------------------------------------------------------------------------------ */

/* The n oldest samples as a window that samples bound, not time. Its exclusive end is one mean interval behind its last. */
static struct slice slice_of(const struct window_slot *slot, size_t n)
{
    const int64_t *time_ns = slot->time_ns + slot->begin;
    int64_t step = n > 1 ? psa_ns_since(time_ns[n - 1], time_ns[0]) / (int64_t)(n - 1) : 0;

    return (struct slice){ n, time_ns[0], psa_ns_add(time_ns[n - 1], step > 0 ? step : 1), false, false };
}

/* Nothing is held any more; the next sample starts the windows anew. */
static void start_anew(struct window_slot *slot)
{
    forget(slot, slot->end - slot->begin);
    slot->open = false;
    slot->continued = false;
    slot->skip = 0;
}

/* What is left of the oldest unfinished window, with --partial, or of a session; then start anew. */
static int end_windows(struct psa_node *node, struct window_slot *slot, struct psa_error *error)
{
    const struct psa_window_config *config = node->config;
    size_t n = slot->end - slot->begin;

    if (n && (config->partial || config->session_ns)) {
        struct slice slice = slice_of(slot, n);

        slice.partial = true;
        if (by_time(config)) {
            slice.start_ns = slot->start_ns;
            slice.end_ns = psa_ns_add(slot->start_ns, config->length.value);
        }
        if (emit(node, slot, &slice, error) != 0) return -1;
    } else if (n && unwritten_samples(slot)) {
        psa_count(&node->stats.noted, "unfinished", unwritten_samples(slot));
    }
    start_anew(slot);
    return 0;
}

/* Before a sample at ns: a gap starts the windows anew. */
static int heed_gap(struct psa_node *node, struct window_slot *slot, int64_t ns, struct psa_error *error)
{
    const struct psa_window_config *config = node->config;
    char shown[128];

    if (!config->max_gap_ns || !slot->open || psa_ns_since(ns, slot->last_ns) <= config->max_gap_ns) return 0;
    psa_note(node, "gap");
    psa_say(node, "gap", "%s: a gap of %.3f s; windows start anew", psa_key_show(slot->slot.key, shown),
            (double)psa_ns_since(ns, slot->last_ns) / 1e9);
    return end_windows(node, slot, error);
}

/* A stream whose rate_hz changes is sampled anew: windows of two rates would show neither. */
static int heed_rate(struct psa_node *node, struct window_slot *slot, double rate_hz, struct psa_error *error)
{
    char shown[128], old[PSA_NUMBER_MAX + 1], new[PSA_NUMBER_MAX + 1];

    if (!slot->open || !(rate_hz > 0) || !(slot->rate_hz > 0)) return 0;
    if (fabs(rate_hz - slot->rate_hz) <= RATE_TOLERANCE * slot->rate_hz) return 0;
    psa_number_text(slot->rate_hz, old);
    psa_number_text(rate_hz, new);
    psa_note(node, "rate_changed");
    psa_say(node, "rate_changed", "%s: the sampling rate changed from %s to %s Hz; windows start anew",
            psa_key_show(slot->slot.key, shown), old, new);
    return end_windows(node, slot, error);
}

/* ---- sessions ------------------------------------------------------------------------------------------------------------------ */

/* Event time has reached ns: a session whose last sample is longer ago than its samples are apart is over. */
static int end_session(struct psa_node *node, struct window_slot *slot, int64_t ns, struct psa_error *error)
{
    const struct psa_window_config *config = node->config;
    struct slice slice;

    if (slot->end == slot->begin || psa_ns_since(ns, slot->last_ns) <= config->session_ns) return 0;
    slice = slice_of(slot, slot->end - slot->begin);
    if (emit(node, slot, &slice, error) != 0) return -1;
    start_anew(slot);
    return 0;
}

/* Before one more sample: a session that holds as many as it may is written so far, and goes on in the next window. */
static int cut_session(struct psa_node *node, struct window_slot *slot, struct psa_error *error)
{
    const struct psa_window_config *config = node->config;
    struct slice slice;
    char shown[128];

    if (slot->end - slot->begin < (size_t)config->max_samples) return 0;
    slice = slice_of(slot, slot->end - slot->begin);
    slice.cut = true;
    psa_note(node, "cut");
    psa_say(node, "cut", "%s: a session holds more than --max-samples %lld; it goes on in another window",
            psa_key_show(slot->slot.key, shown), (long long)config->max_samples);
    if (emit(node, slot, &slice, error) != 0) return -1;
    forget(slot, slice.n);
    slot->continued = true;
    return 0;
}

/* ---- samples ------------------------------------------------------------------------------------------------------------------- */

/* Event time goes on to ns, where a sample will be stored: what that completes is written, and a gap heeded. */
static int go_to(struct psa_node *node, struct window_slot *slot, int64_t ns, struct psa_error *error)
{
    const struct psa_window_config *config = node->config;

    if (by_time(config) && emit_complete(node, slot, ns, error) != 0) return -1;
    if (config->session_ns && (end_session(node, slot, ns, error) != 0 || cut_session(node, slot, error) != 0))
        return -1;
    if (heed_gap(node, slot, ns, error) != 0) return -1;
    if (!slot->open) slot->start_ns = config->epoch ? start_of(config, 0, ns) : ns;
    slot->open = true;
    if (by_time(config) && slot->end == slot->begin) skip_to(config, slot, ns);
    return 0;
}

/* Sample number `at` of the record at hand, unless it lies between two windows. *begins: none of the record is stored. */
static int store(struct psa_node *node, struct window_slot *slot, int64_t ns, size_t at, bool *begins,
                 struct psa_error *error)
{
    const struct psa_window_config *config = node->config;

    slot->last_ns = ns;
    if (slot->skip) {
        slot->skip--;
        return 0;
    }
    if (by_time(config) && ns < slot->start_ns) return 0;
    if (make_room(node, slot, error) != 0) return -1;
    for (size_t i = 0; i < slot->schema.n; i++) {
        const struct psa_field *field = slot->field[i];
        double value = NAN;

        if (field && field->kind == PSA_NUMBER) value = field->number;
        else if (field && field->kind == PSA_ARRAY) value = field->array[at];
        slot->row[i * slot->cap + slot->end] = value;
    }
    slot->begins[slot->end] = *begins;
    slot->time_ns[slot->end++] = ns;
    *begins = false;
    return 0;
}

/* After a sample: a count window may be complete with it. */
static int emit_counted(struct psa_node *node, struct window_slot *slot, struct psa_error *error)
{
    const struct psa_window_config *config = node->config;
    size_t length = (size_t)config->length.value, stride = (size_t)config->stride.value, held = slot->end - slot->begin;
    struct slice slice;

    if (!config->length.by_count || held < length) return 0;
    slice = slice_of(slot, length);
    if (emit(node, slot, &slice, error) != 0) return -1;
    if (stride > length) slot->skip = stride - length;
    forget(slot, stride < held ? stride : held);
    return 0;
}

/* Samples of the record: 1 of a reading, the arrays' length of a block; 0 when the arrays differ. */
static size_t samples_of(const struct window_slot *slot)
{
    size_t n = 0, numbers = 0;

    for (size_t i = 0; i < slot->schema.n; i++) {
        const struct psa_field *field = slot->field[i];

        if (!field || field->kind == PSA_NULL) continue;
        if (field->kind == PSA_NUMBER) numbers++;
        else if (n && field->n_array != n) return 0;
        else n = field->n_array ? field->n_array : SIZE_MAX;
    }
    if (n == SIZE_MAX || (n && numbers)) return 0;
    return n ? n : 1;
}

/* ---- the stage --------------------------------------------------------------------------------------------------------------------- */

/* Does a block of n samples begin where the last sample lets expect it, but for the drift of a clock, a hundredth of the
 * block? A sensor's own clock and the gateway's differ by more than half a sample in a long block; then no sample of it has
 * been there before. */
static bool follows_closely(const struct window_slot *slot, const struct psa_record *record, size_t n)
{
    double slack = fmax(0.5, BLOCK_DRIFT * (double)n);

    if (!slot->open) return false;
    return record->timestamp_ns >=
           psa_ns_add(slot->last_ns, psa_ns_of_samples(1, record->rate_hz)) - psa_ns_of_samples(slack, record->rate_hz);
}

static int put_samples(struct psa_node *node, struct window_slot *slot, struct psa_record *record,
                       struct psa_error *error)
{
    size_t n = samples_of(slot);
    int64_t half_ns = record->rate_hz > 0 ? psa_ns_of_samples(0.5, record->rate_hz) : 0;
    bool taken = false, begins = true, follows;
    char shown[128];

    if (n == 0)
        return psa_reject(node, record, "blocks", error, "the fields are arrays of different lengths; rejected");
    if (n > 1 && !(record->rate_hz > 0))
        return psa_reject(node, record, "no_rate", error, "a block of samples without rate_hz; rejected");
    if (n == 1 && slot->open && record->timestamp_ns < slot->last_ns)
        return psa_drop(node, "late", "%s: %lld ns older than the newest sample; dropped",
                        psa_key_show(slot->slot.key, shown),
                        (long long)psa_ns_since(slot->last_ns, record->timestamp_ns));
    psa_slot_advance(&slot->slot, record);
    if (heed_rate(node, slot, record->rate_hz, error) != 0) return -1;
    follows = n > 1 && follows_closely(slot, record, n);
    for (size_t i = 0; i < n; i++) {
        int64_t ns = record->timestamp_ns;

        if (i) ns = psa_ns_add(ns, psa_ns_of_samples((double)i, record->rate_hz));
        if (follows && ns < slot->last_ns) ns = slot->last_ns;
        if (n > 1 && !follows && slot->open && ns < psa_ns_add(slot->last_ns, half_ns)) { /* it came before */
            psa_note(node, "overlap");
            continue;
        }
        if (go_to(node, slot, ns, error) != 0) return -1;
        if (!taken && take_envelope(slot, record, error) != 0) return -1;
        taken = true;
        if (store(node, slot, ns, i, &begins, error) != 0 || emit_counted(node, slot, error) != 0) return -1;
    }
    return psa_absorb(node);
}

static int push(struct psa_node *node, struct psa_record *record, struct psa_error *error)
{
    const struct psa_field *extra;
    struct window_slot *slot;
    struct psa_slot *base;
    bool fresh = false;
    int status;

    if (!record->has_time) return psa_reject(node, record, "no_time", error, "no timestamp_ns; rejected");
    status = psa_slot_find(node, record, PSA_SAMPLES, &base, &fresh, error);
    if (status != 0 || !base) return status;
    slot = (struct window_slot *)base;
    if (fresh && (!psa_schema_learn(&slot->schema, record, PSA_SAMPLES, NULL) || !make_slot(slot)))
        return psa_fail_memory(error, "opening a key");
    psa_schema_map(&slot->schema, record, slot->field, &extra);
    psa_slot_extra(node, &slot->schema, base, extra, "is left out");
    status = psa_slot_check_kinds(node, record, slot->field, slot->schema.n, PSA_SAMPLES, error);
    if (status != 0) return status < 0 ? -1 : 0;
    return put_samples(node, slot, record, error);
}

/* Nothing older than ns will come any more. */
static int heartbeat(struct psa_node *node, int64_t ns, struct psa_error *error)
{
    const struct psa_window_config *config = node->config;

    for (struct psa_slot *base = psa_keyed_next(node->keyed, NULL); base; base = psa_keyed_next(node->keyed, base)) {
        struct window_slot *slot = (struct window_slot *)base;

        if (base->has_time && base->newest_ns >= ns) continue;
        base->has_time = true;
        base->newest_ns = ns;
        if (by_time(config) && emit_complete(node, slot, ns, error) != 0) return -1;
        if (config->session_ns && end_session(node, slot, ns, error) != 0) return -1;
    }
    return 0;
}

static int finish(struct psa_node *node, struct psa_error *error)
{
    for (struct psa_slot *base = psa_keyed_next(node->keyed, NULL); base; base = psa_keyed_next(node->keyed, base))
        if (end_windows(node, (struct window_slot *)base, error) != 0) return -1;
    return 0;
}

/* ---- states -------------------------------------------------------------------------------------------------------------------------- */

static void save_runs(const struct window_slot *slot, struct psa_buf *out)
{
    psa_buf_name(out, "labels");
    psa_buf_puts(out, "[");
    for (size_t i = 0; i < slot->n_run; i++) {
        psa_buf_comma(out);
        psa_buf_puts(out, "[");
        psa_buf_int(out, (int64_t)slot->run[i].first);
        psa_buf_puts(out, ",");
        if (slot->run[i].text.p) psa_buf_put(out, slot->run[i].text.p, slot->run[i].text.n);
        else psa_buf_puts(out, "null");
        psa_buf_puts(out, "]");
    }
    psa_buf_puts(out, "]");
}

static void save_slot(const struct psa_slot *base, struct psa_buf *out)
{
    const struct window_slot *slot = (const struct window_slot *)base;
    struct psa_buf line = { 0 };

    psa_buf_name(out, "fields");
    psa_schema_save(&slot->schema, out);
    psa_buf_member_int(out, "first", (int64_t)slot->first);
    psa_buf_member_int(out, "seq", (int64_t)slot->seq);
    psa_buf_member_int(out, "skip", (int64_t)slot->skip);
    psa_buf_member_number(out, "rate_hz", slot->rate_hz);
    if (slot->open) psa_buf_member_int(out, "start_ns", slot->start_ns);
    if (slot->open) psa_buf_member_int(out, "last_ns", slot->last_ns);
    if (slot->continued) psa_buf_member_bool(out, "continued", true);
    if (slot->envelope.tail.p) {
        psa_encode(&slot->envelope, &line);
        psa_buf_member_text(out, "envelope", (struct psa_str){ line.p, line.n ? line.n - 1 : 0 });
    }
    save_runs(slot, out);
    psa_buf_name(out, "time_ns");
    psa_buf_puts(out, "[");
    for (size_t i = slot->begin; i < slot->end; i++) {
        psa_buf_comma(out);
        psa_buf_int(out, slot->time_ns[i]);
    }
    psa_buf_puts(out, "]");
    psa_buf_name(out, "rows");
    psa_buf_puts(out, "[");
    for (size_t i = 0; i < slot->schema.n; i++) {
        psa_buf_comma(out);
        psa_buf_numbers(out, slot->row + i * slot->cap + slot->begin, slot->end - slot->begin);
    }
    psa_buf_puts(out, "]");
    if (line.failed) out->failed = true;
    psa_buf_free(&line);
}

static bool load_envelope(struct window_slot *slot, struct psa_json *in)
{
    struct psa_decoder *decoder = psa_decoder_new((struct psa_decode_limits){ 1000000, 1000, false });
    struct psa_str line = psa_json_text(in);
    struct psa_decoded decoded;
    bool ok = decoder && line.p && psa_decode(decoder, line, &decoded) == PSA_LINE_RECORD &&
              psa_record_copy(&slot->envelope, decoded.record, false) == 0;

    psa_decoder_free(decoder);
    return ok;
}

static bool load_runs(struct window_slot *slot, struct psa_json *in)
{
    struct psa_error error;
    bool ok = psa_json_enter_array(in);

    while (ok && psa_json_next_item(in)) {
        struct psa_str text;
        uint64_t first;

        ok = psa_json_enter_array(in) && psa_json_next_item(in);
        first = (uint64_t)psa_json_int(in);
        ok = ok && psa_json_next_item(in);
        text = psa_json_skip(in);
        ok = ok && !psa_json_next_item(in) && !in->fault.what;
        if (ok && psa_str_eq(text, "null")) text = (struct psa_str){ NULL, 0 };
        ok = ok && add_run(slot, first, text, &error) == 0;
    }
    return ok && !in->fault.what;
}

static bool load_times(struct window_slot *slot, struct psa_json *in)
{
    if (!slot->row || !psa_json_enter_array(in)) return false;
    while (psa_json_next_item(in)) {
        if (slot->end == slot->cap && !resize(slot, slot->cap * 2)) return false;
        slot->begins[slot->end] = false; /* another run has counted its record */
        slot->time_ns[slot->end++] = psa_json_int(in);
    }
    return !in->fault.what;
}

static bool load_rows(struct window_slot *slot, struct psa_json *in)
{
    if (!slot->row || !psa_json_enter_array(in)) return false;
    for (size_t i = 0; i < slot->schema.n; i++) {
        size_t n = 0;

        if (!psa_json_next_item(in) || !psa_json_enter_array(in)) return false;
        while (psa_json_next_item(in)) {
            if (n == slot->end) return false;
            slot->row[i * slot->cap + n++] = psa_json_number(in);
        }
        if (n != slot->end) return false;
    }
    slot->n_loaded = slot->end;
    return !psa_json_next_item(in) && !in->fault.what;
}

static bool load_slot(struct psa_slot *base, struct psa_str name, struct psa_json *in)
{
    struct window_slot *slot = (struct window_slot *)base;

    if (psa_str_eq(name, "fields")) return psa_schema_load(&slot->schema, in) && make_slot(slot);
    if (psa_str_eq(name, "envelope")) return load_envelope(slot, in);
    if (psa_str_eq(name, "labels")) return load_runs(slot, in);
    if (psa_str_eq(name, "time_ns")) return load_times(slot, in);
    if (psa_str_eq(name, "rows")) return load_rows(slot, in);
    if (psa_str_eq(name, "first")) slot->first = (uint64_t)psa_json_int(in);
    else if (psa_str_eq(name, "seq")) slot->seq = (uint64_t)psa_json_int(in);
    else if (psa_str_eq(name, "skip")) slot->skip = (uint64_t)psa_json_int(in);
    else if (psa_str_eq(name, "rate_hz")) slot->rate_hz = psa_json_number(in);
    else if (psa_str_eq(name, "start_ns")) slot->open = true, slot->start_ns = psa_json_int(in);
    else if (psa_str_eq(name, "last_ns")) slot->last_ns = psa_json_int(in);
    else if (psa_str_eq(name, "continued")) slot->continued = psa_json_bool(in);
    else return false;
    return true;
}

static bool loaded_slot(struct psa_slot *base)
{
    const struct window_slot *slot = (const struct window_slot *)base;

    if (slot->n_loaded != slot->end) return false; /* times that came behind the rows have no samples */
    for (size_t i = slot->begin + 1; i < slot->end; i++)
        if (slot->time_ns[i] < slot->time_ns[i - 1]) return false;
    if (slot->end == slot->begin) return true;
    return slot->open && slot->envelope.tail.p && slot->time_ns[slot->end - 1] <= slot->last_ns;
}

static const char *const saved_members[] = { "fields", "first",   "seq",  "skip", "rate_hz",
                                             "labels", "time_ns", "rows", NULL };
static const struct psa_slot_type slot_type = { .size = sizeof(struct window_slot),
                                                .drop = drop_slot,
                                                .save = save_slot,
                                                .load = load_slot,
                                                .loaded = loaded_slot,
                                                .needs = saved_members };

static int open_window(struct psa_node *node, struct psa_error *error)
{
    struct window *window;

    if (psa_window_check(node->config, error) != 0) return -1;
    window = node->state = calloc(1, sizeof *window);
    return window ? 0 : psa_fail_memory(error, "starting");
}

static void close_window(struct psa_node *node)
{
    struct window *window = node->state;

    if (!window) return;
    psa_record_free(&window->out);
    psa_buf_free(&window->text);
    free(window->label);
    free(window->interval);
    free(window);
    node->state = NULL;
}

const struct psa_stage psa_window_stage = {
    .name = "psa-window",
    .summary = "gather the readings of each key into windows of samples",
    .options = options,
    .config_size = sizeof(struct psa_window_config),
    .slot = &slot_type,
    .open = open_window,
    .push = push,
    .heartbeat = heartbeat,
    .finish = finish,
    .close = close_window,
};
