/*
 * features.c - psa-features: what a window says in a few numbers.
 *
 * On windows (array fields) each feature of the registry below takes the place of the field it was made from. On readings
 * (number fields) `--rolling` takes statistics over the last samples of each key. With `--length` a psa-window runs inside
 * in front, so that `sensord | psa-features --length 1s | psa-score` works.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/json.h"
#include "core/number.h"
#include "core/record.h"
#include "dsp/moments.h"
#include "dsp/rolling.h"
#include "dsp/spectrum.h"
#include "stage/slot.h"
#include "stage/stages.h"
#include "stage/window.h"

enum {
    FEATURES_MAX = 32,
    LENGTHS_MAX = 16,
    PLANS_MAX = 16,        /* window lengths whose transforms are kept ready */
    FIELD_NAMES_MAX = 4096 /* field names whose feature names are kept ready */
};

struct features_config {
    const char *features;
    int64_t moving_avg;
    const char *rolling;
    bool keep;
    struct psa_window_config window;
};

/* ---- the registry ---------------------------------------------------------------------------------------------------------- */

/* One field of one window, its missing samples left out. */
struct view {
    const double *x;
    size_t n;
    bool whole; /* no sample is missing */
    size_t moving_avg;
    struct psa_moments moments;
    struct psa_spectrum *spectrum; /* for n samples; NULL when no feature needs it */
};

struct feature {
    const char *name;
    double (*of)(const struct view *view);
    bool needs_spectrum;
};

static double rms_of(const struct view *view)
{
    return view->moments.rms;
}

static double kurtosis_of(const struct view *view)
{
    return view->moments.kurtosis;
}

/* A transform of samples with holes is none. */
static double spectral_energy_of(const struct view *view)
{
    return view->whole && view->spectrum ? psa_spectrum_energy(view->spectrum, view->x) : NAN;
}

static double zcr_of(const struct view *view)
{
    return psa_zcr(view->x, view->n);
}

static double moving_avg_of(const struct view *view)
{
    return psa_moving_avg(view->x, view->n, view->moving_avg);
}

static double ptp_of(const struct view *view)
{
    return view->moments.ptp;
}

static double mean_of(const struct view *view)
{
    return view->moments.mean;
}

static double std_of(const struct view *view)
{
    return view->moments.std;
}

static double min_of(const struct view *view)
{
    return view->moments.min;
}

static double max_of(const struct view *view)
{
    return view->moments.max;
}

/* The definitions stand with the functions in dsp/. */
static const struct feature registry[] = {
    { "rms", rms_of, false },
    { "kurtosis", kurtosis_of, false },
    { "spectral_energy", spectral_energy_of, true },
    { "zcr", zcr_of, false },
    { "moving_avg", moving_avg_of, false },
    { "ptp", ptp_of, false },
    { "mean", mean_of, false },
    { "std", std_of, false },
    { "min", min_of, false },
    { "max", max_of, false },
};

enum rolling_statistic { ROLLING_MEAN, ROLLING_STD };
static const char *const rolling_name[] = { "mean", "std" };

/* ---- options ----------------------------------------------------------------------------------------------------------------- */

static const struct psa_option options[] = {
    { .name = "features",
      .type = PSA_OPT_TEXT,
      .offset = offsetof(struct features_config, features),
      .metavar = "NAME,...",
      .initial = "rms,kurtosis,spectral_energy,zcr,moving_avg,ptp,mean,std,min,max",
      .not_with = "rolling",
      .help = "features of each window, in this order" },
    { .name = "moving-avg",
      .type = PSA_OPT_COUNT,
      .offset = offsetof(struct features_config, moving_avg),
      .metavar = "N",
      .initial = "5",
      .min = 1,
      .max = 1e9,
      .not_with = "rolling",
      .help = "newest samples of the window that moving_avg is the mean of" },
    { .name = "rolling",
      .type = PSA_OPT_TEXT,
      .offset = offsetof(struct features_config, rolling),
      .metavar = "STAT,...@N,...",
      .help = "on readings: statistics (mean, std) over the last N samples, for each N, such as mean,std@10,50,200" },
    { .name = "keep",
      .type = PSA_OPT_FLAG,
      .offset = offsetof(struct features_config, keep),
      .help = "keep the newest raw values beside their features" },
    { .name = "length",
      .type = PSA_OPT_SPAN,
      .offset = offsetof(struct features_config, window.length),
      .metavar = "SPAN",
      .help = "take readings and window them first: psa-window's --length, as are the following" },
    { .name = "stride",
      .type = PSA_OPT_SPAN,
      .offset = offsetof(struct features_config, window.stride),
      .metavar = "SPAN",
      .needs = "length",
      .help = "from one window's start to the next one's; without it the length" },
    { .name = "max-gap",
      .type = PSA_OPT_DURATION,
      .offset = offsetof(struct features_config, window.max_gap_ns),
      .metavar = "TIME",
      .initial = "0",
      .min = 0,
      .max = 9e18,
      .needs = "length",
      .help = "a longer time between two samples starts the windows anew; 0: no gap does" },
    { .name = "partial",
      .type = PSA_OPT_FLAG,
      .offset = offsetof(struct features_config, window.partial),
      .needs = "length",
      .help = "take what is left of a window at a gap and at the end" },
    { .name = "max-samples",
      .type = PSA_OPT_COUNT,
      .offset = offsetof(struct features_config, window.max_samples),
      .metavar = "N",
      .initial = "100000",
      .min = 1,
      .max = 100000000,
      .needs = "length",
      .help = "samples held for one key; beyond it the oldest are left out" },
    { .type = PSA_OPT_END },
};

/* ---- state -------------------------------------------------------------------------------------------------------------------- */

/* The names that the features of one field have: keys are `,"accel_x_rms":`. */
struct names {
    struct psa_slot slot; /* key: the field's name */
    struct psa_arena arena;
    struct psa_str *key, *name;
};

/* A key's rolling windows. */
struct rolling_slot {
    struct psa_slot slot;
    struct psa_schema schema;
    struct psa_field **field;    /* [schema.n] */
    struct psa_str *key, *name;  /* [schema.n][lengths][statistics] */
    struct psa_rolling *rolling; /* [schema.n][lengths] */
    size_t n_rolling;
};

struct features {
    const struct feature *feature[FEATURES_MAX];
    size_t n_feature;
    enum rolling_statistic statistic[4];
    size_t n_statistic;
    int64_t length[LENGTHS_MAX];
    size_t n_length;
    struct psa_keyed *names; /* field name -> struct names */
    struct {
        size_t n;
        struct psa_spectrum *spectrum;
    } plan[PLANS_MAX];
    size_t n_plan, next_plan;
    bool needs_spectrum;
    struct psa_field *made; /* the fields of the record to come */
    size_t cap_made;
    double *whole; /* samples without the missing ones */
    size_t cap_whole;
    struct psa_node window; /* the psa-window inside, with --length */
    bool windowed;
};

static bool grow(void **array, size_t n, size_t *cap, size_t size)
{
    void *grown;

    if (n <= *cap) return true;
    grown = realloc(*array, (n + n / 2) * size);
    if (!grown) return false;
    *array = grown;
    *cap = n + n / 2;
    return true;
}

/* `<field>_<feature>` as a field's key and name. */
static bool make_name(struct psa_arena *arena, struct psa_str field, const char *suffix, struct psa_str *key,
                      struct psa_str *name)
{
    size_t n = strlen(suffix);
    char *text = psa_arena_take(arena, field.n + n + 1);

    if (!text) return false;
    memcpy(text, field.p, field.n);
    text[field.n] = '_';
    memcpy(text + field.n + 1, suffix, n);
    *name = (struct psa_str){ text, field.n + n + 1 };
    *key = psa_field_key(arena, *name);
    return key->p != NULL;
}

static void drop_names(struct psa_slot *slot)
{
    psa_arena_free(&((struct names *)slot)->arena);
}

static const struct psa_slot_type names_type = { .size = sizeof(struct names), .drop = drop_names };

/* The feature names of a field, made at its first use. */
static const struct names *names_of(struct features *features, struct psa_str field)
{
    bool fresh, evicted;
    struct psa_slot *slot = psa_keyed_get(features->names, field, &fresh, &evicted);
    struct names *names = (struct names *)slot;

    if (!slot || !fresh) return names;
    names->key = psa_arena_take(&names->arena, features->n_feature * sizeof *names->key);
    names->name = psa_arena_take(&names->arena, features->n_feature * sizeof *names->name);
    for (size_t i = 0; i < features->n_feature; i++)
        if (!names->key || !names->name ||
            !make_name(&names->arena, field, features->feature[i]->name, &names->key[i], &names->name[i]))
            return NULL;
    return names;
}

/* ---- windows -------------------------------------------------------------------------------------------------------------------- */

/* The transform for n samples; the plans of the last lengths are kept. */
static struct psa_spectrum *plan_for(struct features *features, size_t n)
{
    size_t at = features->next_plan;

    for (size_t i = 0; i < features->n_plan; i++)
        if (features->plan[i].n == n) return features->plan[i].spectrum;
    psa_spectrum_free(features->plan[at].spectrum);
    features->plan[at].n = n;
    features->plan[at].spectrum = psa_spectrum_new(n);
    if (features->n_plan < PLANS_MAX) features->n_plan++;
    features->next_plan = (at + 1) % PLANS_MAX;
    return features->plan[at].spectrum;
}

/* x without its missing samples, in features->whole when any is. */
static bool leave_out_missing(struct features *features, struct view *view, const double *x, size_t n)
{
    void *whole = features->whole;
    size_t kept = 0;

    view->x = x;
    view->n = n;
    view->whole = true;
    for (size_t i = 0; i < n && view->whole; i++) view->whole = !isnan(x[i]);
    if (view->whole) return true;
    if (!grow(&whole, n, &features->cap_whole, sizeof *features->whole)) return false;
    features->whole = whole;
    for (size_t i = 0; i < n; i++)
        if (!isnan(x[i])) features->whole[kept++] = x[i];
    view->x = features->whole;
    view->n = kept;
    return true;
}

static struct psa_field *next_made(struct features *features, size_t *n)
{
    void *made = features->made;
    bool ok = grow(&made, *n + 1, &features->cap_made, sizeof *features->made);

    features->made = made;
    return ok ? &features->made[(*n)++] : NULL;
}

/* A field that goes on as it is. Marked as shadowed until shade() has seen all fields. */
static bool take_over(struct features *features, const struct psa_field *field, size_t *n_made)
{
    struct psa_field *made = next_made(features, n_made);

    if (!made) return false;
    *made = *field;
    made->shadowed = true;
    return true;
}

/* Of fields with one name the last counts, as it does for who reads the line. Features differ from each other in name, so
 * one of two is always a field taken over. */
static void shade(struct features *features, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct psa_field *taken = &features->made[i];

        if (!taken->shadowed) continue;
        taken->shadowed = false;
        for (size_t j = 0; j < n; j++) {
            if (j == i || !psa_str_is(features->made[j].name, taken->name)) continue;
            features->made[j < i ? j : i].shadowed = true;
        }
    }
}

/* Put the features of one array field behind the fields made so far. */
static bool add_features(struct psa_node *node, const struct psa_field *field, size_t *n_made)
{
    const struct features_config *config = node->config;
    struct features *features = node->state;
    const struct names *names = names_of(features, field->name);
    struct view view = { .moving_avg = (size_t)config->moving_avg };

    if (!names || !leave_out_missing(features, &view, field->array, field->n_array)) return false;
    view.moments = psa_moments_of(view.x, view.n);
    if (features->needs_spectrum && view.n && view.whole) view.spectrum = plan_for(features, view.n);
    for (size_t i = 0; i < features->n_feature; i++) {
        struct psa_field *made = next_made(features, n_made);
        double value = view.n ? features->feature[i]->of(&view) : NAN;

        if (!made) return false;
        *made = (struct psa_field){ .lead = names->key[i], .name = names->name[i] };
        psa_field_set(made, value);
        if (made->kind == PSA_NULL)
            psa_note(node, !view.n ? "empty_window" : !view.whole ? "missing_samples" : "undefined");
    }
    return true;
}

/* The newest raw value of a window, with --keep. */
static bool keep_newest(struct features *features, const struct psa_field *field, size_t *n_made)
{
    if (!take_over(features, field, n_made)) return false;
    psa_field_set(&features->made[*n_made - 1], field->n_array ? field->array[field->n_array - 1] : NAN);
    return true;
}

/* The names of all fields of one record are ready at once: when there are too many to keep, start anew with room for it. */
static bool make_room_for_names(struct features *features, size_t n_field)
{
    if (psa_keyed_count(features->names) + n_field <= FIELD_NAMES_MAX) return true;
    psa_keyed_free(features->names);
    features->names = psa_keyed_new(&names_type, n_field > FIELD_NAMES_MAX ? (int64_t)n_field : FIELD_NAMES_MAX);
    return features->names != NULL;
}

/* The time of the last of n samples: window.last_ns where it is given, else by the rate. */
static int64_t last_time(const struct psa_record *record, size_t n)
{
    const struct psa_member *window = psa_record_member(record, PSA_M_WINDOW);
    struct psa_str last = { NULL, 0 };
    int64_t ns;

    if (window) last = psa_json_member(window->text, psa_str_of("last_ns"));
    if (last.p && psa_int_parse(last.p, last.p + last.n, &ns)) return ns;
    if (n < 2 || !(record->rate_hz > 0)) return record->timestamp_ns;
    return psa_ns_add(record->timestamp_ns, psa_ns_of_samples((double)(n - 1), record->rate_hz));
}

/* A window or block: its array fields become features, other fields stay. */
static int push_window(struct psa_node *node, struct psa_record *record, struct psa_error *error)
{
    const struct features_config *config = node->config;
    struct features *features = node->state;
    size_t n_made = 0, longest = 0;
    bool ok = make_room_for_names(features, record->n_field);

    for (size_t i = 0; i < record->n_field && ok; i++) {
        const struct psa_field *field = &record->field[i];

        if (field->shadowed) continue;
        if (field->kind == PSA_ARRAY) {
            if (field->n_array > longest) longest = field->n_array;
            if (config->keep) ok = keep_newest(features, field, &n_made);
            ok = ok && add_features(node, field, &n_made);
            continue;
        }
        ok = take_over(features, field, &n_made);
    }
    if (ok) shade(features, n_made);
    if (record->has_time) ok = ok && psa_record_set_time(record, last_time(record, longest)) == 0;
    psa_record_unset(record, PSA_M_RATE_HZ);
    if (!ok || psa_record_replace_fields(record, features->made, n_made) != 0)
        return psa_fail_memory(error, "computing features");
    return 0;
}

/* ---- readings --------------------------------------------------------------------------------------------------------------------- */

static void drop_rolling(struct psa_slot *base)
{
    struct rolling_slot *slot = (struct rolling_slot *)base;

    for (size_t i = 0; i < slot->n_rolling; i++) psa_rolling_free(&slot->rolling[i]);
    free(slot->rolling);
    free(slot->field);
    psa_schema_free(&slot->schema);
}

static bool make_rolling(const struct features *features, struct rolling_slot *slot)
{
    size_t per_field = features->n_length * features->n_statistic, n = slot->schema.n * per_field;
    struct psa_arena *arena = &slot->schema.arena;

    slot->field = calloc(slot->schema.n + 1, sizeof *slot->field);
    slot->rolling = calloc(slot->schema.n * features->n_length + 1, sizeof *slot->rolling);
    slot->key = psa_arena_take(arena, (n + 1) * sizeof *slot->key);
    slot->name = psa_arena_take(arena, (n + 1) * sizeof *slot->name);
    if (!slot->field || !slot->rolling || !slot->key || !slot->name) return false;
    for (size_t i = 0; i < slot->schema.n * features->n_length; i++) {
        slot->n_rolling++;
        if (psa_rolling_init(&slot->rolling[i], (size_t)features->length[i % features->n_length]) != 0) return false;
    }
    for (size_t i = 0; i < n; i++) {
        char suffix[64] = { 0 }, *p = suffix;
        const char *statistic = rolling_name[features->statistic[i % features->n_statistic]];

        memcpy(p, statistic, strlen(statistic));
        p += strlen(statistic);
        *p++ = '_';
        psa_int_format(features->length[i / features->n_statistic % features->n_length], p);
        if (!make_name(arena, slot->schema.name[i / per_field], suffix, &slot->key[i], &slot->name[i])) return false;
    }
    return true;
}

/* Null until the window is full: a mean of three samples is no mean of two hundred. */
static double rolling_value(const struct psa_rolling *rolling, enum rolling_statistic statistic)
{
    if (psa_rolling_count(rolling) < rolling->length) return NAN;
    return statistic == ROLLING_MEAN ? psa_rolling_mean(rolling) : psa_rolling_std(rolling);
}

static bool roll(struct psa_node *node, struct rolling_slot *slot, size_t at, size_t *n_made)
{
    struct features *features = node->state;
    const struct psa_field *field = slot->field[at];

    for (size_t l = 0; l < features->n_length; l++) {
        struct psa_rolling *rolling = &slot->rolling[at * features->n_length + l];

        if (field && field->kind == PSA_NUMBER) psa_rolling_push(rolling, field->number);
        for (size_t s = 0; s < features->n_statistic; s++) {
            size_t i = (at * features->n_length + l) * features->n_statistic + s;
            struct psa_field *made = next_made(features, n_made);

            if (!made) return false;
            *made = (struct psa_field){ .lead = slot->key[i], .name = slot->name[i] };
            psa_field_set(made, rolling_value(rolling, features->statistic[s]));
            if (made->kind == PSA_NULL) psa_note(node, "filling");
        }
    }
    return true;
}

/* Is the field one of the schema's, whose place its statistics take? */
static bool is_rolled(const struct rolling_slot *slot, const struct psa_field *field)
{
    for (size_t i = 0; i < slot->schema.n; i++)
        if (slot->field[i] == field) return true;
    return false;
}

static int roll_record(struct psa_node *node, struct rolling_slot *slot, struct psa_record *record,
                       struct psa_error *error)
{
    const struct features_config *config = node->config;
    struct features *features = node->state;
    size_t n_made = 0;
    bool ok = true;

    for (size_t i = 0; i < record->n_field && ok; i++) {
        if (record->field[i].shadowed || (!config->keep && is_rolled(slot, &record->field[i]))) continue;
        ok = take_over(features, &record->field[i], &n_made);
    }
    for (size_t i = 0; i < slot->schema.n && ok; i++) ok = roll(node, slot, i, &n_made);
    if (ok) shade(features, n_made);
    if (!ok || psa_record_replace_fields(record, features->made, n_made) != 0)
        return psa_fail_memory(error, "computing features");
    return psa_pass(node, record, error);
}

static int push_reading(struct psa_node *node, struct psa_record *record, struct psa_error *error)
{
    struct features *features = node->state;
    const struct psa_field *extra;
    struct rolling_slot *slot;
    struct psa_slot *base;
    bool fresh = false;
    int status = psa_slot_find(node, record, PSA_READINGS, &base, &fresh, error);

    if (status != 0 || !base) return status;
    slot = (struct rolling_slot *)base;
    if (fresh && (!psa_schema_learn(&slot->schema, record, PSA_READINGS, NULL) || !make_rolling(features, slot)))
        return psa_fail_memory(error, "opening a key");
    psa_schema_map(&slot->schema, record, slot->field, &extra);
    psa_slot_extra(node, &slot->schema, base, extra, "passes untouched");
    status = psa_slot_check_kinds(node, record, slot->field, slot->schema.n, PSA_READINGS, error);
    if (status != 0) return status < 0 ? -1 : 0;
    psa_slot_advance(base, record);
    return roll_record(node, slot, record, error);
}

/* ---- the psa-window inside, with --length ------------------------------------------------------------------------------------------- */

/* Its windows come here; what it makes of them goes out as this stage's own. */
static int put_inner(void *ctx, const struct psa_item *item, struct psa_error *error)
{
    struct psa_node *node = ctx;

    if (item->kind != PSA_ITEM_RECORD) return 0;
    if (push_window(node, item->record, error) != 0) return -1;
    return psa_emit(node, item->record, error);
}

static int open_inner(struct psa_node *node, struct psa_error *error)
{
    const struct features_config *config = node->config;
    struct features *features = node->state;
    struct psa_node *inner = &features->window;
    struct psa_window_config *window = malloc(sizeof *window);

    if (!window) return psa_fail_memory(error, "starting");
    *window = config->window;
    *inner = (struct psa_node){ .stage = &psa_window_stage, .name = node->name, .config = window };
    inner->options = node->options;
    inner->options.state = NULL; /* this stage saves it */
    features->windowed = true;
    return psa_node_open(inner, node->world, (struct psa_sink){ put_inner, node }, error);
}

static int push_inner(struct psa_node *node, struct psa_record *record, struct psa_error *error)
{
    struct features *features = node->state;
    int status;

    features->window.source = node->source;
    features->window.line = node->line;
    status = psa_window_stage.push(&features->window, record, error);
    psa_node_take_counts(node, &features->window); /* it accounts for the readings */
    return status;
}

/* ---- the stage --------------------------------------------------------------------------------------------------------------------------- */

static bool has_array(const struct psa_record *record)
{
    for (size_t i = 0; i < record->n_field; i++)
        if (record->field[i].kind == PSA_ARRAY && !record->field[i].shadowed) return true;
    return false;
}

static int push(struct psa_node *node, struct psa_record *record, struct psa_error *error)
{
    const struct features_config *config = node->config;
    const struct features *features = node->state;

    if (features->windowed) return push_inner(node, record, error);
    if (config->rolling) return push_reading(node, record, error);
    if (!has_array(record))
        return psa_reject(node, record, "no_window", error,
                          "no field is an array; put psa-window before it, or give --length or --rolling; rejected");
    if (push_window(node, record, error) != 0) return -1;
    return psa_pass(node, record, error);
}

static int heartbeat(struct psa_node *node, int64_t ns, struct psa_error *error)
{
    struct features *features = node->state;

    return features->windowed ? psa_window_stage.heartbeat(&features->window, ns, error) : 0;
}

static int finish(struct psa_node *node, struct psa_error *error)
{
    struct features *features = node->state;

    return features->windowed ? psa_window_stage.finish(&features->window, error) : 0;
}

/* The next item of a list up to one of `ends`, cut out of *list; .p == NULL at the end. */
static struct psa_str next_item(const char **list, const char *end)
{
    const char *begin = *list, *comma;

    if (begin >= end) return (struct psa_str){ NULL, 0 };
    comma = memchr(begin, ',', (size_t)(end - begin));
    if (!comma) comma = end;
    *list = comma + 1;
    return (struct psa_str){ begin, (size_t)(comma - begin) };
}

static int parse_features(struct features *features, const char *list, struct psa_error *error)
{
    const char *end = list + strlen(list);
    struct psa_str name;

    while ((name = next_item(&list, end)).p) {
        const struct feature *found = NULL;

        for (size_t i = 0; i < sizeof registry / sizeof *registry; i++)
            if (psa_str_eq(name, registry[i].name)) found = &registry[i];
        if (!found)
            return psa_fail(error, PSA_EXIT_PERMANENT, "--features: there is no feature '%.*s'; see --help",
                            (int)name.n, name.p);
        for (size_t i = 0; i < features->n_feature; i++)
            if (features->feature[i] == found)
                return psa_fail(error, PSA_EXIT_PERMANENT, "--features: '%s' stands there twice", found->name);
        if (features->n_feature == FEATURES_MAX)
            return psa_fail(error, PSA_EXIT_PERMANENT, "--features: more than %d", FEATURES_MAX);
        features->feature[features->n_feature++] = found;
        features->needs_spectrum |= found->needs_spectrum;
    }
    if (!features->n_feature) return psa_fail(error, PSA_EXIT_PERMANENT, "--features: no feature named");
    return 0;
}

/* mean,std@10,50 */
static int parse_rolling(struct features *features, const char *text, struct psa_error *error)
{
    const char *at = strchr(text, '@'), *list = text, *end;
    struct psa_str item;

    if (!at) return psa_fail(error, PSA_EXIT_PERMANENT, "--rolling: '%s' has no lengths; write mean,std@10,50", text);
    while ((item = next_item(&list, at)).p) {
        bool is_mean = psa_str_eq(item, "mean");

        if (!is_mean && !psa_str_eq(item, "std"))
            return psa_fail(error, PSA_EXIT_PERMANENT, "--rolling: there is no statistic '%.*s'; mean and std are",
                            (int)item.n, item.p);
        features->statistic[features->n_statistic++] = is_mean ? ROLLING_MEAN : ROLLING_STD;
        if (features->n_statistic > 2 ||
            (features->n_statistic == 2 && features->statistic[0] == features->statistic[1]))
            return psa_fail(error, PSA_EXIT_PERMANENT, "--rolling: a statistic stands there twice");
    }
    list = at + 1;
    end = list + strlen(list);
    while ((item = next_item(&list, end)).p) {
        int64_t *length = &features->length[features->n_length];

        if (features->n_length == LENGTHS_MAX)
            return psa_fail(error, PSA_EXIT_PERMANENT, "--rolling: more than %d lengths", LENGTHS_MAX);
        if (!psa_int_parse(item.p, item.p + item.n, length) || *length < 1 || *length > 100000000)
            return psa_fail(error, PSA_EXIT_PERMANENT, "--rolling: '%.*s' is no length from 1 to 100000000",
                            (int)item.n, item.p);
        for (size_t i = 0; i < features->n_length; i++)
            if (features->length[i] == *length)
                return psa_fail(error, PSA_EXIT_PERMANENT, "--rolling: the length %lld stands there twice",
                                (long long)*length);
        features->n_length++;
    }
    if (!features->n_statistic || !features->n_length)
        return psa_fail(error, PSA_EXIT_PERMANENT, "--rolling: '%s' names no statistic or no length", text);
    return 0;
}

static void save_rolling(const struct psa_slot *base, struct psa_buf *out)
{
    const struct rolling_slot *slot = (const struct rolling_slot *)base;

    psa_buf_name(out, "fields");
    psa_schema_save(&slot->schema, out);
    psa_buf_name(out, "rolling");
    psa_buf_puts(out, "[");
    for (size_t i = 0; i < slot->n_rolling; i++) {
        const struct psa_rolling *rolling = &slot->rolling[i];

        psa_buf_comma(out);
        psa_buf_puts(out, "[");
        psa_buf_numbers(out, rolling->front_mean, rolling->n_front);
        psa_buf_puts(out, ",");
        psa_buf_numbers(out, rolling->front_m2, rolling->n_front);
        psa_buf_puts(out, ",");
        psa_buf_numbers(out, rolling->back, rolling->n_back);
        psa_buf_puts(out, "]");
    }
    psa_buf_puts(out, "]");
}

/* One array of numbers into `value`; null stands for what no finite number is. */
static bool load_numbers(struct psa_json *in, struct psa_buf *value, size_t *n)
{
    value->n = *n = 0;
    if (!psa_json_next_item(in) || !psa_json_enter_array(in)) return false;
    while (psa_json_next_item(in)) {
        double number = psa_json_number(in);

        psa_buf_put(value, (const char *)&number, sizeof number);
        (*n)++;
    }
    return !in->fault.what && !value->failed;
}

static bool load_windows(struct rolling_slot *slot, struct psa_json *in)
{
    struct psa_buf mean = { 0 }, m2 = { 0 }, back = { 0 };
    size_t n_mean = 0, n_m2 = 0, n_back = 0, i = 0;
    bool ok = slot->rolling && psa_json_enter_array(in);

    while (ok && psa_json_next_item(in)) {
        ok = i < slot->n_rolling && psa_json_enter_array(in) && load_numbers(in, &mean, &n_mean) &&
             load_numbers(in, &m2, &n_m2) && load_numbers(in, &back, &n_back) && !psa_json_next_item(in) &&
             n_mean == n_m2 &&
             psa_rolling_restore(&slot->rolling[i], (const double *)(const void *)mean.p,
                                 (const double *)(const void *)m2.p, n_mean, (const double *)(const void *)back.p,
                                 n_back);
        i++;
    }
    ok = ok && i == slot->n_rolling;
    psa_buf_free(&mean);
    psa_buf_free(&m2);
    psa_buf_free(&back);
    return ok;
}

static bool load_rolling(struct psa_slot *base, struct psa_str name, struct psa_json *in)
{
    struct rolling_slot *slot = (struct rolling_slot *)base;

    if (psa_str_eq(name, "fields"))
        return psa_schema_load(&slot->schema, in) && make_rolling(((struct psa_node *)slot->slot.owner)->state, slot);
    return psa_str_eq(name, "rolling") && load_windows(slot, in);
}

static const char *const saved_members[] = { "fields", "rolling", NULL };
static const struct psa_slot_type rolling_type = { .size = sizeof(struct rolling_slot),
                                                   .drop = drop_rolling,
                                                   .save = save_rolling,
                                                   .load = load_rolling,
                                                   .needs = saved_members };

static int open_features(struct psa_node *node, struct psa_error *error)
{
    const struct features_config *config = node->config;
    struct features *features = node->state = calloc(1, sizeof *features);

    if (!features) return psa_fail_memory(error, "starting");
    features->names = psa_keyed_new(&names_type, FIELD_NAMES_MAX);
    if (!features->names) return psa_fail_memory(error, "starting");
    if (config->rolling && config->window.length.value)
        return psa_fail(error, PSA_EXIT_PERMANENT,
                        "--rolling works on readings and --length on windows; give one of them");
    if (parse_features(features, config->features, error) != 0) return -1;
    if (config->rolling) return parse_rolling(features, config->rolling, error);
    return config->window.length.value ? open_inner(node, error) : 0;
}

static void close_features(struct psa_node *node)
{
    struct features *features = node->state;

    if (!features) return;
    if (features->windowed) psa_node_close(&features->window);
    psa_keyed_free(features->names);
    for (size_t i = 0; i < features->n_plan; i++) psa_spectrum_free(features->plan[i].spectrum);
    free(features->made);
    free(features->whole);
    free(features);
    node->state = NULL;
}

/* With --length the state is that of the psa-window inside. */
static struct psa_node *holder(const struct psa_node *node)
{
    struct features *features = node->state;

    return features->windowed ? &features->window : NULL;
}

static int save(struct psa_node *node, struct psa_buf *out, struct psa_error *error)
{
    if (holder(node)) return psa_node_save_value(holder(node), out, error);
    psa_keyed_save(node->keyed, out);
    return out->failed ? psa_fail_memory(error, "saving the state") : 0;
}

static int load(struct psa_node *node, struct psa_json *in, struct psa_error *error)
{
    if (holder(node)) return psa_node_load_value(holder(node), in, error);
    (void)psa_keyed_load(node->keyed, in); /* a fault stays in `in`, where the node finds it */
    return 0;
}

static size_t keys(const struct psa_node *node)
{
    return node->state && holder(node) ? psa_node_keys(holder(node)) : psa_keyed_count(node->keyed);
}

const struct psa_stage psa_features_stage = {
    .name = "psa-features",
    .summary = "turn windows, or the last readings, into features",
    .options = options,
    .config_size = sizeof(struct features_config),
    .slot = &rolling_type,
    .open = open_features,
    .push = push,
    .heartbeat = heartbeat,
    .finish = finish,
    .close = close_features,
    .save = save,
    .load = load,
    .keys = keys,
};
