/*
 * feature_rolling.c - see feature_rolling.h. What is remembered of a field is its samples in the longest window, and for
 * each window where its stacks meet (dsp/rolling.h); all else follows, so that is what a state holds.
 */
#include "stage/feature_rolling.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/json.h"
#include "core/keyed.h"
#include "core/number.h"
#include "core/record.h"
#include "stage/slot.h"

/* What a column needs at a record. The summary is made once for all columns of a window that follow each other. */
struct view {
    const struct psa_rolling *rolling;
    const struct psa_roll_column *column;
    struct psa_rolling_summary summary;
};

struct psa_roll_statistic {
    const char *name;
    unsigned parts; /* what it asks of its window */
    size_t least;   /* samples without which it is undefined */
    double (*of)(const struct view *view);
};

/* A key's rolling windows. */
struct roll_slot {
    struct psa_slot slot;
    struct psa_schema schema;
    struct psa_field **field;    /* [schema.n] */
    struct psa_str *key, *name;  /* [schema.n][config->n_column] */
    struct psa_rolling *rolling; /* [n_rolling], schema.n when all is well */
    size_t n_rolling;
    bool started; /* start_ns is set */
    int64_t start_ns;
};

/* ---- the statistics ---------------------------------------------------------------------------------------------------- */

static double mean_of(const struct view *view)
{
    return view->summary.mean;
}

static double std_of(const struct view *view)
{
    return sqrt(view->summary.var);
}

static double var_of(const struct view *view)
{
    return view->summary.var;
}

static double min_of(const struct view *view)
{
    return psa_rolling_min(view->rolling, view->column->window);
}

static double max_of(const struct view *view)
{
    return psa_rolling_max(view->rolling, view->column->window);
}

static double median_of(const struct view *view)
{
    return psa_rolling_median(view->rolling, view->column->window);
}

static double quantile_of(const struct view *view)
{
    return psa_rolling_quantile(view->rolling, view->column->window, view->column->level);
}

/* The mean square is the square of the mean and the variance; hypot does not overflow on the way. */
static double rms_of(const struct view *view)
{
    return hypot(view->summary.mean, sqrt(view->summary.var));
}

static double slope_of(const struct view *view)
{
    return view->summary.slope;
}

static double ewma_of(const struct view *view)
{
    return psa_rolling_ewma(view->rolling, view->column->window);
}

static double zscore_of(const struct view *view)
{
    return view->summary.var > 0 ? view->summary.deviation / sqrt(view->summary.var) : NAN;
}

/* The definitions stand with the functions in dsp/rolling.h. */
static const struct psa_roll_statistic statistics[] = {
    { "mean", PSA_ROLLING_MEAN, 1, mean_of },
    { "std", PSA_ROLLING_MEAN | PSA_ROLLING_VAR, 1, std_of },
    { "var", PSA_ROLLING_MEAN | PSA_ROLLING_VAR, 1, var_of },
    { "min", PSA_ROLLING_MIN, 1, min_of },
    { "max", PSA_ROLLING_MAX, 1, max_of },
    { "median", PSA_ROLLING_ORDER, 1, median_of },
    { "rms", PSA_ROLLING_MEAN | PSA_ROLLING_VAR, 1, rms_of },
    { "slope", PSA_ROLLING_MEAN | PSA_ROLLING_SLOPE, 2, slope_of },
    { "ewma", PSA_ROLLING_EWMA, 1, ewma_of },
    { "zscore", PSA_ROLLING_MEAN | PSA_ROLLING_VAR, 2, zscore_of },
};
static const struct psa_roll_statistic quantile = { "quantile", PSA_ROLLING_ORDER, 1, quantile_of };

/* ---- the option ---------------------------------------------------------------------------------------------------------- */

/* q05, q99.9: digits, and at most one point between them. */
static bool parse_level(struct psa_str name, double *level)
{
    const char *p = name.p + 1, *end = name.p + name.n;
    double scale = 1.0, digits = 0.0;
    bool point = false;

    if (name.n < 2 || name.n > 16 || *name.p != 'q') return false;
    for (; p < end; p++) {
        if (*p == '.' && !point && p > name.p + 1 && p + 1 < end) point = true;
        else if (*p < '0' || *p > '9') return false;
        else {
            digits = digits * 10.0 + (*p - '0');
            if (point) scale *= 10.0;
        }
    }
    *level = digits / scale / 100.0;
    return *level <= 1.0;
}

static const struct psa_roll_statistic *parse_statistic(struct psa_str name, double *level)
{
    for (size_t i = 0; i < sizeof statistics / sizeof *statistics; i++)
        if (psa_str_eq(name, statistics[i].name)) return &statistics[i];
    return parse_level(name, level) ? &quantile : NULL;
}

/* The window of that length, made where there is none. */
static int find_window(struct psa_roll_config *config, struct psa_str length, size_t *window, struct psa_error *error)
{
    struct psa_span span;
    char text[PSA_ROLL_SUFFIX_MAX];
    size_t i = 0;

    if (length.n >= sizeof text / 2)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--rolling: '%.*s' is no length", (int)length.n, length.p);
    memcpy(text, length.p, length.n);
    text[length.n] = 0;
    if (psa_parse_span(text, "--rolling", &span, error) != 0) return -1;
    if (span.by_count && span.value > (int64_t)PSA_ROLLING_COUNT_MAX)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--rolling: %s is more than %zu samples", text,
                        PSA_ROLLING_COUNT_MAX);
    for (; i < config->n_window; i++)
        if (span.by_count ? (int64_t)config->window[i].count == span.value : config->window[i].span_ns == span.value)
            break;
    *window = i;
    if (i < config->n_window) return 0;
    if (i == PSA_ROLL_LENGTHS_MAX)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--rolling: more than %d lengths", PSA_ROLL_LENGTHS_MAX);
    config->window[i] = (struct psa_rolling_spec){ .count = span.by_count ? (size_t)span.value : 0,
                                                   .span_ns = span.by_count ? 0 : span.value };
    config->n_window++;
    config->timed |= !span.by_count;
    return 0;
}

static int add_column(struct psa_roll_config *config, struct psa_str name, struct psa_str length,
                      struct psa_error *error)
{
    struct psa_roll_column column = { .window = 0 };
    struct psa_rolling_spec *window;

    column.statistic = parse_statistic(name, &column.level);
    if (!column.statistic)
        return psa_fail(error, PSA_EXIT_PERMANENT,
                        "--rolling: there is no statistic '%.*s'; there are mean, std, var, min, max, median, q05 (a "
                        "quantile in per cent), rms, slope, ewma and zscore",
                        (int)name.n, name.p);
    if (find_window(config, length, &column.window, error) != 0) return -1;
    window = &config->window[column.window];
    if (window->span_ns == 0 && window->count < column.statistic->least)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--rolling: %s@%.*s would always be null; it needs %zu samples",
                        column.statistic->name, (int)length.n, length.p, column.statistic->least);
    window->parts |= column.statistic->parts;
    memcpy(column.suffix, name.p, name.n);
    column.suffix[name.n] = '_';
    memcpy(column.suffix + name.n + 1, length.p, length.n);
    for (size_t i = 0; i < config->n_column; i++)
        if (strcmp(config->column[i].suffix, column.suffix) == 0)
            return psa_fail(error, PSA_EXIT_PERMANENT, "--rolling: %.*s@%.*s stands there twice", (int)name.n, name.p,
                            (int)length.n, length.p);
    if (config->n_column == PSA_ROLL_STATISTICS_MAX)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--rolling: more than %d statistics, each length counted",
                        PSA_ROLL_STATISTICS_MAX);
    config->column[config->n_column++] = column;
    return 0;
}

int psa_roll_take(void *config, const struct psa_option *option, const char *value, struct psa_error *error)
{
    struct psa_roll_config *roll = (void *)((char *)config + option->offset);
    const char *at = strchr(value, '@'), *lengths;
    struct psa_str length, name;

    if (!at) return psa_fail(error, PSA_EXIT_PERMANENT, "--rolling: '%s' has no lengths; write mean,std@10,50", value);
    lengths = at + 1;
    while ((length = psa_list_next(&lengths, NULL)).p) {
        const char *names = value;

        while ((name = psa_list_next(&names, at)).p)
            if (add_column(roll, name, length, error) != 0) return -1;
    }
    return 0;
}

int psa_roll_open(struct psa_roll_config *config, bool keep, int64_t max_samples, struct psa_error *error)
{
    if (config->timed && max_samples > (int64_t)PSA_ROLLING_COUNT_MAX)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--max-samples: at most %zu with --rolling", PSA_ROLLING_COUNT_MAX);
    config->keep = keep;
    config->max_samples = max_samples;
    for (size_t i = 0; i < config->n_window; i++)
        if (config->window[i].span_ns > 0) config->window[i].count = (size_t)max_samples;
    return 0;
}

/* ---- slots --------------------------------------------------------------------------------------------------------------- */

static void drop_slot(struct psa_slot *base)
{
    struct roll_slot *slot = (struct roll_slot *)base;

    for (size_t i = 0; i < slot->n_rolling; i++) psa_rolling_free(&slot->rolling[i]);
    free(slot->rolling);
    free(slot->field);
    psa_schema_free(&slot->schema);
}

static bool make_slot(const struct psa_roll_config *config, struct roll_slot *slot)
{
    size_t n = slot->schema.n * config->n_column;
    struct psa_arena *arena = &slot->schema.arena;

    slot->field = calloc(slot->schema.n + 1, sizeof *slot->field);
    slot->rolling = calloc(slot->schema.n + 1, sizeof *slot->rolling);
    slot->key = psa_arena_take(arena, (n + 1) * sizeof *slot->key);
    slot->name = psa_arena_take(arena, (n + 1) * sizeof *slot->name);
    if (!slot->field || !slot->rolling || !slot->key || !slot->name) return false;
    while (slot->n_rolling < slot->schema.n)
        if (psa_rolling_init(&slot->rolling[slot->n_rolling++], config->window, config->n_window) != 0) return false;
    for (size_t i = 0; i < n; i++)
        if (!psa_made_name(arena, slot->schema.name[i / config->n_column],
                           psa_str_of(config->column[i % config->n_column].suffix), &slot->key[i], &slot->name[i]))
            return false;
    return true;
}

/* ---- readings ------------------------------------------------------------------------------------------------------------ */

/* Why a statistic of a full window is null. */
static const char *reason_of(const struct view *view, size_t n)
{
    if (n == 0) return "empty_window";
    if (n < view->column->statistic->least) return "too_few_samples";
    return view->column->statistic->of == zscore_of && view->summary.var == 0.0 ? "constant" : "undefined";
}

/* Null until the window is full: a mean of three samples is no mean of two hundred. The exponential mean has no window.
 * */
static bool is_filling(const struct roll_slot *slot, const struct view *view, const struct psa_rolling_spec *spec)
{
    if (view->column->statistic->of == ewma_of) return isnan(ewma_of(view));
    if (spec->span_ns > 0) return psa_ns_since(slot->slot.newest_ns, slot->start_ns) < spec->span_ns;
    return psa_rolling_count(view->rolling, view->column->window) < spec->count;
}

/* The field's sample of this record, if it has one, into its windows. */
static int take_sample(struct psa_node *node, struct roll_slot *slot, size_t at)
{
    const struct psa_roll_config *config = node->config;
    struct psa_rolling *rolling = &slot->rolling[at];
    const struct psa_field *field = slot->field[at];
    int status = field && field->kind == PSA_NUMBER ? psa_rolling_push(rolling, field->number, slot->slot.newest_ns)
                                                    : psa_rolling_advance(rolling, slot->slot.newest_ns);

    for (; rolling->cut > 0; rolling->cut--) {
        psa_note(node, "max_samples");
        psa_say(node, "max_samples",
                "a rolling window holds more than --max-samples %lld; its oldest samples are left out",
                (long long)config->max_samples);
    }
    return status;
}

/* All statistics of a field, behind the fields made so far. */
static int roll(struct psa_node *node, struct psa_made *made, struct roll_slot *slot, size_t at)
{
    const struct psa_roll_config *config = node->config;
    struct view view = { .rolling = &slot->rolling[at] };
    size_t summarised = SIZE_MAX;

    if (take_sample(node, slot, at) != 0) return -1;
    for (size_t i = 0; i < config->n_column; i++) {
        const struct psa_rolling_spec *spec = &config->window[config->column[i].window];
        struct psa_field *field = psa_made_next(made);
        bool filling;

        if (!field) return -1;
        view.column = &config->column[i];
        if (view.column->window != summarised) {
            summarised = view.column->window;
            psa_rolling_summarise(view.rolling, summarised, &view.summary);
        }
        filling = is_filling(slot, &view, spec);
        *field = (struct psa_field){ .lead = slot->key[at * config->n_column + i],
                                     .name = slot->name[at * config->n_column + i] };
        psa_field_set(field, filling ? NAN : view.column->statistic->of(&view));
        if (field->kind == PSA_NULL) psa_note(node, filling ? "filling" : reason_of(&view, view.summary.n));
    }
    return 0;
}

/* Is the field one of the schema's, whose place its statistics take? */
static bool is_rolled(const struct roll_slot *slot, const struct psa_field *field)
{
    for (size_t i = 0; i < slot->schema.n; i++)
        if (slot->field[i] == field) return true;
    return false;
}

static int roll_record(struct psa_node *node, struct psa_made *made, struct roll_slot *slot, struct psa_record *record,
                       struct psa_error *error)
{
    const struct psa_roll_config *config = node->config;
    bool ok = true;

    made->n = 0;
    for (size_t i = 0; i < record->n_field && ok; i++) {
        if (record->field[i].shadowed || (!config->keep && is_rolled(slot, &record->field[i]))) continue;
        ok = psa_made_take_over(made, &record->field[i]) != NULL;
    }
    for (size_t i = 0; i < slot->schema.n && ok; i++) ok = roll(node, made, slot, i) == 0;
    /* No statistic's suffix ends in another's: two statistics have two names. */
    if (!ok || psa_made_put(made, node, false, record) != 0)
        return psa_fail_memory(error, "computing rolling statistics");
    return psa_pass(node, record, error);
}

int psa_roll_push(struct psa_node *node, struct psa_made *made, struct psa_record *record, struct psa_error *error)
{
    const struct psa_roll_config *config = node->config;
    const struct psa_field *extra;
    struct roll_slot *slot;
    struct psa_slot *base;
    bool fresh = false;
    int status;

    if (config->timed && !record->has_time)
        return psa_reject(node, record, "no_time", error, "no timestamp_ns for a --rolling length by time; rejected");
    status = psa_slot_find(node, record, PSA_READINGS, &base, &fresh, error);
    if (status != 0 || !base) return status;
    slot = (struct roll_slot *)base;
    if (fresh && (!psa_schema_learn(&slot->schema, record, PSA_READINGS, NULL) || !make_slot(config, slot)))
        return psa_fail_memory(error, "opening a key");
    psa_schema_map(&slot->schema, record, slot->field, &extra);
    psa_slot_extra(node, &slot->schema, base, extra, "passes untouched");
    status = psa_slot_check_kinds(node, record, slot->field, slot->schema.n, PSA_READINGS, error);
    if (status != 0) return status < 0 ? -1 : 0;
    psa_slot_advance(base, record);
    if (!slot->started && record->has_time) {
        slot->started = true;
        slot->start_ns = record->timestamp_ns;
    }
    return roll_record(node, made, slot, record, error);
}

/* ---- state ----------------------------------------------------------------------------------------------------------------- */

/* {"samples":[...],"times_ns":[...],"windows":[[n,n_back,ewma],...],"newest_ns":...} */
static void save_field(const struct psa_rolling *rolling, struct psa_buf *out)
{
    size_t n = psa_rolling_held(rolling);

    psa_buf_puts(out, "{\"samples\":[");
    for (size_t i = 0; i < n; i++) {
        psa_buf_comma(out);
        psa_buf_number(out, psa_rolling_sample(rolling, i));
    }
    psa_buf_puts(out, "]");
    if (rolling->timed) {
        psa_buf_name(out, "times_ns");
        psa_buf_puts(out, "[");
        for (size_t i = 0; i < n; i++) {
            psa_buf_comma(out);
            psa_buf_int(out, psa_rolling_sample_ns(rolling, i));
        }
        psa_buf_puts(out, "]");
    }
    psa_buf_name(out, "windows");
    psa_buf_puts(out, "[");
    for (size_t i = 0; i < rolling->n_window; i++) {
        struct psa_rolling_mark mark = psa_rolling_mark_of(rolling, i);

        psa_buf_puts(out, i ? ",[" : "[");
        psa_buf_int(out, (int64_t)mark.n);
        psa_buf_puts(out, ",");
        psa_buf_int(out, (int64_t)mark.n_back);
        psa_buf_puts(out, ",");
        psa_buf_number(out, mark.ewma);
        psa_buf_puts(out, "]");
    }
    psa_buf_puts(out, "]");
    psa_buf_member_int(out, "newest_ns", rolling->newest_ns);
    psa_buf_puts(out, "}");
}

static void save_slot(const struct psa_slot *base, struct psa_buf *out)
{
    const struct roll_slot *slot = (const struct roll_slot *)base;

    if (slot->started) psa_buf_member_int(out, "start_ns", slot->start_ns);
    psa_buf_name(out, "fields");
    psa_schema_save(&slot->schema, out);
    psa_buf_name(out, "rolling");
    psa_buf_puts(out, "[");
    for (size_t i = 0; i < slot->n_rolling; i++) {
        if (i) psa_buf_puts(out, ",");
        save_field(&slot->rolling[i], out);
    }
    psa_buf_puts(out, "]");
}

/* What a field's state says, while it is read. */
struct saved {
    struct psa_buf x, time_ns; /* doubles; int64 */
    size_t n, n_time, n_mark;
    struct psa_rolling_mark mark[PSA_ROLL_LENGTHS_MAX];
    int64_t newest_ns;
};

static bool load_samples(struct saved *saved, struct psa_json *in)
{
    saved->x.n = saved->n = 0;
    if (!psa_json_enter_array(in)) return false;
    while (psa_json_next_item(in)) {
        double number = psa_json_number(in);

        psa_buf_put(&saved->x, (const char *)&number, sizeof number);
        saved->n++;
    }
    return !in->fault.what && !saved->x.failed;
}

static bool load_times(struct saved *saved, struct psa_json *in)
{
    saved->time_ns.n = saved->n_time = 0;
    if (!psa_json_enter_array(in)) return false;
    while (psa_json_next_item(in)) {
        int64_t ns = psa_json_int(in);

        psa_buf_put(&saved->time_ns, (const char *)&ns, sizeof ns);
        saved->n_time++;
    }
    return !in->fault.what && !saved->time_ns.failed;
}

static bool load_marks(struct saved *saved, size_t n_window, struct psa_json *in)
{
    saved->n_mark = 0;
    if (!psa_json_enter_array(in)) return false;
    while (psa_json_next_item(in)) {
        int64_t n, n_back;
        double ewma;

        if (saved->n_mark == n_window || !psa_json_enter_array(in) || !psa_json_next_item(in)) return false;
        n = psa_json_int(in);
        if (!psa_json_next_item(in)) return false;
        n_back = psa_json_int(in);
        if (!psa_json_next_item(in)) return false;
        ewma = psa_json_number(in);
        if (psa_json_next_item(in) || n < 0 || n_back < 0) return false;
        saved->mark[saved->n_mark++] = (struct psa_rolling_mark){ (size_t)n, (size_t)n_back, ewma };
    }
    return !in->fault.what;
}

static bool load_field(struct psa_rolling *rolling, struct saved *saved, struct psa_json *in)
{
    struct psa_str name;
    bool ok = psa_json_enter_object(in);

    saved->n = saved->n_time = saved->n_mark = 0;
    saved->newest_ns = 0;
    while (ok && psa_json_next_member(in, &name)) {
        if (psa_str_eq(name, "samples")) ok = load_samples(saved, in);
        else if (psa_str_eq(name, "times_ns")) ok = load_times(saved, in);
        else if (psa_str_eq(name, "windows")) ok = load_marks(saved, rolling->n_window, in);
        else if (psa_str_eq(name, "newest_ns")) saved->newest_ns = psa_json_int(in);
        else ok = false;
    }
    return ok && !in->fault.what && saved->n_mark == rolling->n_window &&
           saved->n_time == (rolling->timed ? saved->n : 0) &&
           psa_rolling_restore(rolling, (const double *)(const void *)saved->x.p,
                               (const int64_t *)(const void *)saved->time_ns.p, saved->n, saved->mark,
                               saved->newest_ns);
}

static bool load_fields(struct roll_slot *slot, struct psa_json *in)
{
    struct saved saved = { .n = 0 };
    size_t i = 0;
    bool ok = slot->rolling && psa_json_enter_array(in);

    while (ok && psa_json_next_item(in)) {
        ok = i < slot->n_rolling && load_field(&slot->rolling[i], &saved, in);
        i++;
    }
    psa_buf_free(&saved.x);
    psa_buf_free(&saved.time_ns);
    return ok && i == slot->n_rolling;
}

static bool load_slot(struct psa_slot *base, struct psa_str name, struct psa_json *in)
{
    struct roll_slot *slot = (struct roll_slot *)base;

    if (psa_str_eq(name, "start_ns")) {
        slot->started = true;
        slot->start_ns = psa_json_int(in);
        return !in->fault.what;
    }
    if (psa_str_eq(name, "fields"))
        return psa_schema_load(&slot->schema, in) && make_slot(((struct psa_node *)base->owner)->config, slot);
    return psa_str_eq(name, "rolling") && load_fields(slot, in);
}

/* Times of the key and of its samples must not run backwards. */
static bool is_whole(struct psa_slot *base)
{
    const struct roll_slot *slot = (const struct roll_slot *)base;
    const struct psa_roll_config *config = ((const struct psa_node *)base->owner)->config;

    if (slot->started != base->has_time || (config->timed && !slot->started)) return false;
    if (slot->started && slot->start_ns > base->newest_ns) return false;
    for (size_t i = 0; i < slot->n_rolling && config->timed; i++)
        if (slot->rolling[i].newest_ns > base->newest_ns) return false;
    return true;
}

static const char *const saved_members[] = { "fields", "rolling", NULL };
const struct psa_slot_type psa_roll_slot_type = { .size = sizeof(struct roll_slot),
                                                  .drop = drop_slot,
                                                  .save = save_slot,
                                                  .load = load_slot,
                                                  .needs = saved_members,
                                                  .loaded = is_whole };
