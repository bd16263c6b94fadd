/*
 * features.c - psa-features: what a window says in a few numbers.
 *
 * On windows (array fields) the features wanted take the place of the field they were made from: feature_registry.c is the
 * table of what there is, feature_choice.c picks from it, feature_analysis.c computes. On readings (number fields)
 * `--rolling` takes statistics over the last samples of each key (feature_rolling.c). With `--length` a psa-window runs
 * inside in front, so that `sensord | psa-features --length 1s | psa-score` works.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/json.h"
#include "core/number.h"
#include "core/record.h"
#include "stage/feature_choice.h"
#include "stage/feature_rolling.h"
#include "stage/made.h"
#include "stage/slot.h"
#include "stage/stages.h"
#include "stage/window.h"

enum {
    FIELD_NAMES_MAX = 4096, /* field names whose feature names are kept ready */
    PLACES_MAX = 64         /* fields of a record whose names are found without looking them up */
};

struct features_config {
    struct psa_roll_config rolling; /* the first: see stage/feature_rolling.h */
    struct psa_feature_settings settings;
    bool keep;
    struct psa_window_config window;
};

/* ---- options ----------------------------------------------------------------------------------------------------------------- */

static const struct psa_option options[] = {
    PSA_FEATURE_OPTIONS(offsetof(struct features_config, settings)){
        .name = "rolling",
        .type = PSA_OPT_CALL,
        .offset = offsetof(struct features_config, rolling),
        .metavar = "STAT,...@LENGTH,...",
        .take = psa_roll_take,
        .help = "on readings: statistics over the last samples, by count or time, such as mean,std@10,50 or "
                "median,q95@30s; see the manual" },
    { .name = "keep",
      .type = PSA_OPT_FLAG,
      .offset = offsetof(struct features_config, keep),
      .help = "keep the newest raw values beside their features" },
    PSA_WINDOW_OPTIONS(offsetof(struct features_config, window),
                       "take readings and window them first: psa-window's --length, as are the following"){
        .type = PSA_OPT_END },
};

/* ---- state -------------------------------------------------------------------------------------------------------------------- */

/* The names that the features of one field have: keys are `,"accel_x_rms":`. */
struct names {
    struct psa_slot slot; /* key: the field's name */
    struct psa_arena arena;
    struct psa_str *key, *name;
};

struct features {
    struct psa_feature_choice choice;
    struct psa_analysis analysis;
    struct psa_keyed *names;               /* field name -> struct names */
    const struct names *place[PLACES_MAX]; /* those of the last record's fields, in their places */
    struct psa_made made;                  /* the fields of the record to come */
    struct psa_arena values;               /* its arrays */
    struct psa_buf axis;                   /* its member `spectrum`, */
    struct psa_buf bearing;                /* and its member `bearing` */
    struct psa_feature_array first_axis;
    struct psa_node window; /* the psa-window inside, with --length */
    bool windowed;
};

static void drop_names(struct psa_slot *slot)
{
    psa_arena_free(&((struct names *)slot)->arena);
}

static const struct psa_slot_type names_type = { .size = sizeof(struct names), .drop = drop_names };

/* The feature names of a field, made at its first use. */
static const struct names *make_names(struct features *features, struct psa_str field)
{
    const struct psa_feature_choice *choice = &features->choice;
    bool fresh, evicted;
    struct psa_slot *slot = psa_keyed_get(features->names, field, &fresh, &evicted);
    struct names *names = (struct names *)slot;

    if (!slot || !fresh) return names;
    names->key = psa_arena_take(&names->arena, choice->n * sizeof *names->key);
    names->name = psa_arena_take(&names->arena, choice->n * sizeof *names->name);
    for (size_t i = 0; i < choice->n; i++)
        if (!names->key || !names->name ||
            !psa_made_name(&names->arena, field, choice->output[i].suffix, &names->key[i], &names->name[i]))
            return NULL;
    return names;
}

/* Those of the record's field number i, which mostly is called what it was in the last record. */
static const struct names *names_of(struct features *features, struct psa_str field, size_t i)
{
    const struct names **place = &features->place[i < PLACES_MAX ? i : PLACES_MAX - 1];

    if (!*place || !psa_str_is((*place)->slot.key, field)) *place = make_names(features, field);
    return *place;
}

/* The names of all fields of one record are ready at once: when there are too many to keep, start anew with room for it. */
static bool make_room_for_names(struct features *features, size_t n_field)
{
    if (psa_keyed_count(features->names) + n_field <= FIELD_NAMES_MAX) return true;
    memset(features->place, 0, sizeof features->place);
    psa_keyed_free(features->names);
    features->names = psa_keyed_new(&names_type, n_field > FIELD_NAMES_MAX ? (int64_t)n_field : FIELD_NAMES_MAX);
    return features->names != NULL;
}

/* ---- one feature ---------------------------------------------------------------------------------------------------------------- */

/* Is there all that the feature needs? If not, analysis->why says what is missing. */
static bool is_defined(struct psa_analysis *analysis, const struct psa_feature *feature)
{
    const struct psa_window_facts *facts = &analysis->facts;
    unsigned needs = feature->needs;

    if (!analysis->n && !(needs & PSA_TAKES_EMPTY)) analysis->why = PSA_UNDEFINED_EMPTY;
    else if ((needs & PSA_NEEDS_WHOLE) && !psa_analysis_is_whole(analysis)) analysis->why = PSA_UNDEFINED_MISSING;
    else if (analysis->n < feature->least) analysis->why = PSA_UNDEFINED_TOO_FEW;
    else if ((needs & PSA_NEEDS_SAMPLE_RATE) && !(facts->rate_hz > 0)) analysis->why = PSA_UNDEFINED_RATE;
    else if ((needs & PSA_NEEDS_SPEED) && !(facts->shaft_hz > 0)) analysis->why = PSA_UNDEFINED_SPEED;
    else if ((needs & PSA_NEEDS_INTERVALS) && isnan(facts->jitter)) analysis->why = PSA_UNDEFINED_INTERVALS;
    else analysis->why = PSA_DEFINED;
    return analysis->why == PSA_DEFINED;
}

/* Count why a feature is null. Where its function found no reason, the window is constant, or numbers left their range. */
static void note_undefined(struct psa_node *node, struct psa_analysis *analysis, double value)
{
    const struct psa_moments *moments = psa_analysis_moments(analysis);

    if (analysis->why == PSA_DEFINED)
        analysis->why = isnan(value) && !isnan(moments->var) && psa_moments_constant(moments) ? PSA_UNDEFINED_CONSTANT
                                                                                              : PSA_UNDEFINED_OTHER;
    psa_note(node, psa_undefined_name(analysis->why));
}

/* `"first_hz":0,"step_hz":S,"n":M` */
static void put_axis(struct psa_buf *out, const struct psa_feature_array *array)
{
    psa_buf_member_number(out, "first_hz", 0);
    psa_buf_member_number(out, "step_hz", array->step_hz);
    psa_buf_member_int(out, "n", (int64_t)array->n);
}

/* The member `spectrum` has the axis of the record's first spectrum, and below their names those of fields whose axis is
 * another. */
static void add_axis(struct features *features, struct psa_str name, const struct psa_feature_array *array)
{
    struct psa_feature_array *first = &features->first_axis;

    if (!(array->step_hz > 0)) return;
    if (!first->n) {
        *first = *array;
        psa_buf_puts(&features->axis, "{");
        put_axis(&features->axis, array);
        return;
    }
    if (first->n == array->n && first->step_hz == array->step_hz) return;
    psa_buf_comma(&features->axis);
    psa_buf_quote(&features->axis, name);
    psa_buf_puts(&features->axis, ":{");
    put_axis(&features->axis, array);
    psa_buf_puts(&features->axis, "}");
}

/* An array feature: its numbers are copied, since the next field's take their place. */
static bool set_array(struct psa_node *node, struct psa_field *made, const struct psa_feature *feature)
{
    struct features *features = node->state;
    struct psa_analysis *analysis = &features->analysis;
    struct psa_feature_array array = { NULL, 0, 0 };
    double *value;

    if (is_defined(analysis, feature)) array = feature->array_of(analysis);
    if (analysis->failed) return false;
    if (!array.n) {
        psa_field_set(made, NAN);
        note_undefined(node, analysis, NAN);
        return true;
    }
    value = psa_arena_take(&features->values, array.n * sizeof *value);
    if (!value) return false;
    memcpy(value, array.value, array.n * sizeof *value);
    psa_field_set_array(made, value, array.n);
    add_axis(features, made->name, &array);
    return true;
}

static bool set_number(struct psa_node *node, struct psa_field *made, const struct psa_feature_output *output)
{
    struct features *features = node->state;
    struct psa_analysis *analysis = &features->analysis;
    double value = NAN;

    if (is_defined(analysis, output->feature)) value = output->feature->of(analysis, output->parameter);
    if (analysis->failed) return false;
    psa_field_set(made, value);
    if (made->kind == PSA_NULL) note_undefined(node, analysis, value);
    else if (analysis->is_band_cut) psa_note(node, "band_cut");
    analysis->is_band_cut = false;
    return true;
}

/* `"unseen":{"cage":10.1}`: elements that the verdict says nothing of, with their frequencies; only when there are some. */
static void put_unseen(struct psa_buf *out, const struct psa_diagnosis *d)
{
    bool any = false;

    for (int element = 0; element < PSA_ELEMENTS; element++) {
        if (d->seen[element] || isnan(d->primary_hz[element])) continue;
        if (!any) psa_buf_puts(out, ",\"unseen\":{");
        any = true;
        psa_buf_member_number(out, psa_element_name(element), d->primary_hz[element]);
    }
    if (any) psa_buf_puts(out, "}");
}

/* `"<field>":{"verdict":...}` into the member `bearing`. */
static void add_bearing(struct features *features, struct psa_str field)
{
    const struct psa_analysis *analysis = &features->analysis;
    struct psa_buf *out = &features->bearing;
    const struct psa_diagnosis *d;
    bool judged;

    if (!analysis->has_diagnosis) return; /* the number fields are null, and their reason is counted */
    d = psa_analysis_diagnosis(&features->analysis);
    judged = analysis->no_verdict == PSA_DEFINED;
    psa_buf_puts(out, out->n ? "," : "{");
    psa_buf_quote(out, field);
    psa_buf_puts(out, ":{");
    if (judged) psa_buf_member_text(out, "verdict", psa_str_of(psa_element_name(d->element)));
    else psa_buf_member_number(out, "verdict", NAN);
    if (!judged) psa_buf_member_text(out, "reason", psa_str_of(psa_undefined_name(analysis->no_verdict)));
    psa_buf_member_number(out, "line_hz", d->line_hz);
    psa_buf_member_number(out, "expected_hz", judged ? d->expected_hz : NAN);
    psa_buf_member_int(out, "order", judged ? (int64_t)d->order : 0);
    psa_buf_member_number(out, "amplitude", d->amplitude);
    psa_buf_member_number(out, "ratio", d->ratio);
    psa_buf_member_number(out, "step_hz", analysis->facts.rate_hz / (double)analysis->n);
    put_unseen(out, d);
    psa_buf_puts(out, "}");
}

/* ---- windows -------------------------------------------------------------------------------------------------------------------- */

/* Put the features of one array field behind the fields made so far. */
static bool add_features(struct psa_node *node, const struct psa_field *field, size_t number)
{
    struct features *features = node->state;
    const struct names *names = names_of(features, field->name, number);

    if (!names || !psa_analysis_begin(&features->analysis, field->array, field->n_array)) return false;
    for (size_t i = 0; i < features->choice.n; i++) {
        const struct psa_feature_output *output = &features->choice.output[i];
        struct psa_field *made = psa_made_next(&features->made);

        if (!made) return false;
        *made = (struct psa_field){ .lead = names->key[i], .name = names->name[i] };
        if (!(output->feature->array_of ? set_array(node, made, output->feature) : set_number(node, made, output)))
            return false;
    }
    if (features->choice.needs & PSA_NEEDS_BEARING) add_bearing(features, field->name);
    return true;
}

/* The newest raw value of a window, with --keep. */
static bool keep_newest(struct features *features, const struct psa_field *field)
{
    struct psa_field *made = psa_made_take_over(&features->made, field);

    if (!made) return false;
    psa_field_set(made, field->n_array ? field->array[field->n_array - 1] : NAN);
    return true;
}

/* A member of the record's `window`; .p == NULL where there is none, which mostly a glance at the text tells. */
static struct psa_str window_member(const struct psa_member *window, const char *name)
{
    if (!window || !memmem(window->text.p, window->text.n, name, strlen(name))) return (struct psa_str){ NULL, 0 };
    return psa_json_member(window->text, psa_str_of(name));
}

/* It as a number; NaN where there is none. */
static double window_number(const struct psa_member *window, const char *name)
{
    struct psa_str text = window_member(window, name);
    double value;

    return text.p && psa_number_parse(text.p, text.p + text.n, &value) ? value : NAN;
}

/* The mean of the samples that are there; NaN when there are none. */
static double mean_of(const struct psa_field *field)
{
    double sum = 0;
    size_t n = 0;

    for (size_t i = 0; i < field->n_array; i++) {
        if (isnan(field->array[i])) continue;
        sum += field->array[i];
        n++;
    }
    return n ? sum / (double)n : NAN;
}

/* The shaft's speed in Hz: told, or of a field; the mean of an array. 0: not known. */
static double shaft_of(const struct psa_feature_settings *settings, const struct psa_record *record)
{
    const struct psa_field *field;
    double rpm = settings->rpm;

    if (settings->rpm_field) {
        field = psa_record_field(record, psa_str_of(settings->rpm_field), 0);
        rpm = field && field->kind == PSA_NUMBER ? field->number : 0;
        if (field && field->kind == PSA_ARRAY) rpm = mean_of(field);
    }
    return rpm > 0 && rpm <= 1e9 ? rpm / 60 : 0;
}

/* Is it the array of --rpm-field? */
static bool is_speed(const struct psa_feature_settings *settings, const struct psa_field *field)
{
    return settings->rpm_field && field->kind == PSA_ARRAY && psa_str_eq(field->name, settings->rpm_field);
}

/* A speed is no vibration: the window's mean takes its place, and it has no features. */
static bool put_speed(struct features *features, const struct psa_field *field)
{
    struct psa_field *made = psa_made_take_over(&features->made, field);

    if (made) psa_field_set(made, mean_of(field));
    return made != NULL;
}

/* window.last_ns: the time of the last sample, where it is not what the rate tells. */
static bool has_last_time(const struct psa_record *record, int64_t *ns)
{
    const struct psa_member *window = psa_record_member(record, PSA_M_WINDOW);
    struct psa_str last = window_member(window, "last_ns");

    return record->has_time && last.p && psa_int_parse(last.p, last.p + last.n, ns);
}

static void find_facts(struct psa_node *node, const struct psa_record *record)
{
    const struct features_config *config = node->config;
    struct features *features = node->state;
    struct psa_window_facts *facts = &features->analysis.facts;
    const struct psa_member *window;
    int64_t last_ns;

    facts->rate_hz = record->rate_hz;
    facts->jitter = facts->interval_s = facts->longest_s = facts->span_s = NAN;
    if (features->choice.needs & PSA_USES_SPEED) facts->shaft_hz = shaft_of(&config->settings, record);
    if (!(features->choice.needs & (PSA_USES_INTERVALS | PSA_NEEDS_WHOLE))) return;
    window = psa_record_member(record, PSA_M_WINDOW);
    facts->is_block = !window;
    if (has_last_time(record, &last_ns)) facts->span_s = (double)psa_ns_since(last_ns, record->timestamp_ns) / 1e9;
    facts->interval_s = window_number(window, "interval_s");
    if (isnan(facts->interval_s)) return;
    facts->longest_s = window_number(window, "longest_s");
    facts->jitter = window_number(window, "jitter");
}

/* The time of the last of n samples: window.last_ns where it is given, else by the rate. */
static int64_t last_time(const struct psa_record *record, size_t n)
{
    int64_t ns;

    if (has_last_time(record, &ns)) return ns;
    if (n < 2 || !(record->rate_hz > 0)) return record->timestamp_ns;
    return psa_ns_add(record->timestamp_ns, psa_ns_of_samples((double)(n - 1), record->rate_hz));
}

/* The members beside the fields. */
static bool set_members(struct features *features, struct psa_record *record)
{
    if (features->axis.n) {
        psa_buf_puts(&features->axis, "}");
        if (features->axis.failed || psa_record_set(record, "spectrum", psa_buf_str(&features->axis)) != 0)
            return false;
    }
    if (features->bearing.n) {
        psa_buf_puts(&features->bearing, "}");
        if (features->bearing.failed || psa_record_set(record, "bearing", psa_buf_str(&features->bearing)) != 0)
            return false;
    }
    return true;
}

/* Is a field called x_envelope beside one called x? Then x_envelope_rms may come of both. */
static bool has_nested_names(const struct psa_record *record)
{
    for (size_t i = 0; i < record->n_field; i++) {
        struct psa_str name = record->field[i].name;

        for (size_t j = 0; j < record->n_field; j++) {
            struct psa_str longer = record->field[j].name;

            if (longer.n > name.n && longer.p[name.n] == '_' && memcmp(longer.p, name.p, name.n) == 0) return true;
        }
    }
    return false;
}

/* A window or block: its array fields become features, other fields stay. */
static int push_window(struct psa_node *node, struct psa_record *record, struct psa_error *error)
{
    const struct features_config *config = node->config;
    struct features *features = node->state;
    size_t longest = 0;
    bool twins = features->choice.nested && has_nested_names(record);
    bool ok = make_room_for_names(features, record->n_field);

    features->made.n = features->axis.n = features->bearing.n = features->first_axis.n = 0;
    psa_arena_reset(&features->values);
    find_facts(node, record);
    for (size_t i = 0; i < record->n_field && ok; i++) {
        const struct psa_field *field = &record->field[i];

        if (field->shadowed) continue;
        if (is_speed(&config->settings, field)) {
            ok = put_speed(features, field);
            continue;
        }
        if (field->kind == PSA_ARRAY) {
            if (field->n_array > longest) longest = field->n_array;
            if (config->keep) ok = keep_newest(features, field);
            ok = ok && add_features(node, field, i);
            continue;
        }
        ok = psa_made_take_over(&features->made, field) != NULL;
    }
    if (record->has_time) ok = ok && psa_record_set_time(record, last_time(record, longest)) == 0;
    psa_record_unset(record, PSA_M_RATE_HZ);
    if (!ok || psa_made_put(&features->made, node, twins, record) != 0 || !set_members(features, record))
        return psa_fail_memory(error, "computing features");
    return 0;
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
    *inner = (struct psa_node){ .stage = &psa_window_stage, .name = node->name, .config = window, .holder = node };
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
    struct features *features = node->state;

    if (features->windowed) return push_inner(node, record, error);
    if (psa_roll_given(&config->rolling)) return psa_roll_push(node, &features->made, record, error);
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

/* --zones: the file is read at the start. */
static int read_zones(struct psa_node *node, struct psa_feature_settings *settings, struct psa_error *error)
{
    struct psa_str file, class_name;
    struct psa_buf text = { 0 }, path = { 0 };
    int status = -1;

    psa_feature_zones_cut(settings->zones, &file, &class_name);
    psa_buf_put(&path, file.p, file.n);
    psa_buf_put(&path, "", 1);
    if (path.failed) status = psa_fail_memory(error, "reading zones");
    else if (!node->world || !node->world->file_read)
        status = psa_fail(error, PSA_EXIT_PERMANENT, "--zones: no file can be read here");
    else status = node->world->file_read(node->world->ctx, path.p, &text, error);
    if (status > 0) status = psa_fail(error, PSA_EXIT_PERMANENT, "--zones: there is no file '%s'", path.p);
    else if (status < 0) error->status = PSA_EXIT_PERMANENT; /* a folder, or not for us: a restart reads no better */
    if (status == 0) status = psa_feature_zones_read(settings, psa_buf_str(&text), file, class_name, error);
    psa_buf_free(&text);
    psa_buf_free(&path);
    return status;
}

static int open_choice(struct psa_node *node, struct psa_error *error)
{
    struct features_config *config = node->config;
    struct features *features = node->state;

    features->analysis.settings = &config->settings;
    if (psa_feature_settings_check(&config->settings, error) != 0) return -1;
    if (config->settings.zones && read_zones(node, &config->settings, error) != 0) return -1;
    if (psa_feature_choose(&features->choice, &config->settings, error) != 0) return -1;
    features->analysis.sorts = features->choice.needs & PSA_USES_SORTED;
    /* What the quality of the intervals is told from. */
    if (features->choice.needs & PSA_USES_INTERVALS) config->window.intervals = true;
    return psa_window_is_asked(&config->window) ? open_inner(node, error) : 0;
}

static int open_features(struct psa_node *node, struct psa_error *error)
{
    struct features_config *config = node->config;
    struct features *features = node->state = calloc(1, sizeof *features);

    if (!features) return psa_fail_memory(error, "starting");
    features->names = psa_keyed_new(&names_type, FIELD_NAMES_MAX);
    if (!features->names) return psa_fail_memory(error, "starting");
    if (!psa_roll_given(&config->rolling)) return open_choice(node, error);
    if (psa_window_is_asked(&config->window))
        return psa_fail(error, PSA_EXIT_PERMANENT,
                        "--rolling works on readings and --length on windows; give one of them");

    return psa_roll_open(&config->rolling, config->keep, config->window.max_samples, error);
}

static void close_features(struct psa_node *node)
{
    struct features *features = node->state;

    if (!features) return;
    if (features->windowed) psa_node_close(&features->window);
    psa_keyed_free(features->names);
    psa_feature_choice_free(&features->choice);
    psa_analysis_free(&features->analysis);
    psa_made_free(&features->made);
    psa_arena_free(&features->values);
    psa_buf_free(&features->axis);
    psa_buf_free(&features->bearing);
    free(features);
    node->state = NULL;
}

/* With --length the state is that of the psa-window inside. */
static struct psa_node *inner_of(const struct psa_node *node)
{
    struct features *features = node->state;

    return features->windowed ? &features->window : NULL;
}

static int save(struct psa_node *node, struct psa_buf *out, struct psa_error *error)
{
    if (inner_of(node)) return psa_node_save_value(inner_of(node), out, error);
    psa_keyed_save(node->keyed, out);
    return out->failed ? psa_fail_memory(error, "saving the state") : 0;
}

static int load(struct psa_node *node, struct psa_json *in, struct psa_error *error)
{
    if (inner_of(node)) return psa_node_load_value(inner_of(node), in, error);
    (void)psa_keyed_load(node->keyed, in); /* a fault stays in `in`, where the node finds it */
    return 0;
}

static size_t keys(const struct psa_node *node)
{
    return node->state && inner_of(node) ? psa_node_keys(inner_of(node)) : psa_keyed_count(node->keyed);
}

_Static_assert(offsetof(struct features_config, rolling) == 0,
               "stage/feature_rolling.c finds its options at the start of the config");

const struct psa_stage psa_features_stage = {
    .name = "psa-features",
    .summary = "turn windows, or the last readings, into features",
    .options = options,
    .config_size = sizeof(struct features_config),
    .slot = &psa_roll_slot_type,
    .open = open_features,
    .push = push,
    .heartbeat = heartbeat,
    .finish = finish,
    .close = close_features,
    .save = save,
    .load = load,
    .keys = keys,
    .list = psa_features_list,
};
