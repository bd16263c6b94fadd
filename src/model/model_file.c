/*
 * model_file.c - see model_file.h. Reading keeps nothing of the text, never recurses on it, and bounds every array before
 * it is filled: arrays of numbers are counted before room is made for them.
 */
#include "model/model_file.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/hash.h"
#include "model/detector.h"

#define ID_DIGITS 16

/* A model in the making. */
struct reader {
    struct psa_json in;
    struct psa_model *model;
    unsigned seen;         /* members so far, a bit each */
    struct psa_str id;     /* the id's value, quotes included, within the text */
    struct psa_str id_was; /* and what it says */
    struct psa_error
        found; /* a sentence that names what was found, in place of in.fault's words; "" when there is none */
};

/* ---- for the types' read() ---------------------------------------------------------------------------------------- */

double psa_model_number(struct psa_json *in)
{
    double value = psa_json_number(in);

    if (in->fault.what == NULL && !isfinite(value)) psa_json_refuse(in, "null where a number belongs");
    return value;
}

int64_t psa_model_count(struct psa_json *in, int64_t least, int64_t most)
{
    int64_t value = psa_json_int(in);

    if (in->fault.what == NULL && value >= least && value <= most) return value;
    if (in->fault.what == NULL) psa_json_refuse(in, "a count is out of range");
    return least;
}

size_t psa_model_items(const struct psa_json *in, size_t most)
{
    struct psa_json ahead = *in;
    size_t n = 0;

    psa_json_enter_array(&ahead);
    while (n <= most && psa_json_next_item(&ahead)) {
        psa_json_skip(&ahead);
        n++;
    }
    return n;
}

double *psa_model_numbers(struct psa_model *model, struct psa_json *in, size_t least, size_t most, size_t *n)
{
    size_t count = psa_model_items(in, most), i = 0;
    double *value;

    if (in->fault.what != NULL) return NULL;
    if (count > most) {
        psa_json_refuse(in, "an array is longer than it may be");
        return NULL;
    }
    value = psa_arena_take(&model->arena, (count + 1) * sizeof *value);
    if (value == NULL) {
        psa_json_refuse(in, "memory is out");
        return NULL;
    }
    psa_json_enter_array(in);
    while (psa_json_next_item(in) && i < count) value[i++] = psa_model_number(in);
    if (in->fault.what == NULL && i < least) psa_json_refuse(in, "an array is shorter than it must be");
    if (n != NULL) *n = i;
    return in->fault.what == NULL ? value : NULL;
}

/* ---- parts ------------------------------------------------------------------------------------------------------ */

static int compare_names(const void *a, const void *b)
{
    const struct psa_str *x = a, *y = b;
    int order = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);

    return order != 0 ? order : (x->n > y->n) - (x->n < y->n);
}

/* Records give a field its value by its name: two features of one name could not both have theirs. */
static void refuse_twins(struct reader *reader)
{
    struct psa_model *model = reader->model;
    struct psa_str *sorted = malloc(model->n_features * sizeof *sorted);

    if (sorted == NULL) {
        psa_json_refuse(&reader->in, "memory is out");
        return;
    }
    memcpy(sorted, model->feature, model->n_features * sizeof *sorted);
    qsort(sorted, model->n_features, sizeof *sorted, compare_names);
    for (size_t j = 1; j < model->n_features; j++) {
        if (psa_str_is(sorted[j - 1], sorted[j])) psa_json_refuse(&reader->in, "two features have one name");
    }
    free(sorted);
}

static void read_features(struct reader *reader)
{
    struct psa_json *in = &reader->in;
    struct psa_model *model = reader->model;

    model->feature = psa_arena_take(&model->arena, PSA_MODEL_FEATURES_MAX * sizeof *model->feature);
    if (model->feature == NULL) {
        psa_json_refuse(in, "memory is out");
        return;
    }
    psa_json_enter_array(in);
    while (psa_json_next_item(in)) {
        struct psa_str text = psa_json_text(in), *name = &model->feature[model->n_features];

        if (in->fault.what == NULL && model->n_features == PSA_MODEL_FEATURES_MAX)
            psa_json_refuse(in, "more features than the limit of 4096");
        if (in->fault.what != NULL) return;
        *name = psa_arena_copy(&model->arena, text);
        if (name->p == NULL) psa_json_refuse(in, "memory is out");
        else model->n_features++;
    }
    if (in->fault.what == NULL && model->n_features == 0) psa_json_refuse(in, "it has no features");
    if (in->fault.what == NULL) refuse_twins(reader);
}

/* The kind of that name; PSA_SCALER_KINDS when there is none. */
static enum psa_scaler_kind scaler_kind(struct psa_str name)
{
    enum psa_scaler_kind kind = PSA_SCALER_NONE;

    while (kind < PSA_SCALER_KINDS && !psa_str_eq(name, psa_scaler_name(kind))) kind++;
    return kind;
}

static void fill_scaler(struct reader *reader, enum psa_scaler_kind kind, const double *mean, const double *center,
                        const double *scale)
{
    struct psa_scaler *scaler = &reader->model->scaler;
    size_t n = reader->model->n_features;

    if (psa_scaler_init(scaler, kind, n) != 0) {
        psa_json_refuse(&reader->in, "memory is out");
        return;
    }
    memcpy(scaler->mean, mean, n * sizeof *mean);
    if (kind == PSA_SCALER_NONE) return;
    memcpy(scaler->center, center != NULL ? center : mean, n * sizeof *mean);
    memcpy(scaler->scale, scale, n * sizeof *scale);
    for (size_t j = 0; j < n; j++) {
        if (!(scale[j] > 0.0)) psa_json_refuse(&reader->in, "a scale is not above 0");
    }
}

static void read_scaler(struct reader *reader)
{
    struct psa_json *in = &reader->in;
    size_t n = reader->model->n_features;
    enum psa_scaler_kind kind = PSA_SCALER_KINDS;
    double *mean = NULL, *center = NULL, *scale = NULL;
    struct psa_str name;

    psa_json_enter_object(in);
    while (psa_json_next_member(in, &name)) {
        if (psa_str_eq(name, "kind")) kind = scaler_kind(psa_json_text(in));
        else if (psa_str_eq(name, "mean")) mean = psa_model_numbers(reader->model, in, n, n, NULL);
        else if (psa_str_eq(name, "center")) center = psa_model_numbers(reader->model, in, n, n, NULL);
        else if (psa_str_eq(name, "scale")) scale = psa_model_numbers(reader->model, in, n, n, NULL);
        else psa_json_skip(in);
    }
    if (in->fault.what != NULL) return;
    if (kind == PSA_SCALER_KINDS) psa_json_refuse(in, "its scaler's kind is none of standard, robust, minmax and none");
    else if (mean == NULL) psa_json_refuse(in, "its scaler lacks mean");
    else if (scale == NULL && kind != PSA_SCALER_NONE) psa_json_refuse(in, "its scaler lacks scale");
    else fill_scaler(reader, kind, mean, center, scale);
}

/* [[a,b],..], `least` to `most` pairs, apart into the arena. How many; 0 at a fault. */
static size_t read_pairs(struct reader *reader, size_t least, size_t most, double **first, double **second)
{
    struct psa_json *in = &reader->in;
    size_t count = psa_model_items(in, most), n = 0;

    if (count > most) {
        psa_json_refuse(in, "an array is longer than it may be");
        return 0;
    }
    *first = psa_arena_take(&reader->model->arena, (count + 1) * sizeof **first);
    *second = psa_arena_take(&reader->model->arena, (count + 1) * sizeof **second);
    if (*first == NULL || *second == NULL) {
        psa_json_refuse(in, "memory is out");
        return 0;
    }
    psa_json_enter_array(in);
    for (; psa_json_next_item(in) && n < count; n++) {
        double *part[] = { *first + n, *second + n };
        size_t parts = 0;

        psa_json_enter_array(in);
        for (; psa_json_next_item(in); parts++) {
            double value = psa_model_number(in);

            if (parts < 2) *part[parts] = value;
        }
        if (in->fault.what == NULL && parts != 2) psa_json_refuse(in, "an entry is no pair of numbers");
    }
    if (in->fault.what == NULL && n < least) psa_json_refuse(in, "an array is shorter than it must be");
    return in->fault.what == NULL ? n : 0;
}

static void read_quantiles(struct reader *reader)
{
    struct psa_tail_table *table = &reader->model->reference;

    table->n = read_pairs(reader, 1, PSA_MODEL_QUANTILES_MAX, &table->level, &table->score);
    for (size_t i = 0; i < table->n; i++) {
        if (table->level[i] < 0.0 || table->level[i] > 1.0 ||
            (i > 0 && (table->level[i] <= table->level[i - 1] || table->score[i] < table->score[i - 1])))
            psa_json_refuse(&reader->in, "the reference's quantiles do not ascend");
    }
}

static void read_reference(struct reader *reader)
{
    struct psa_json *in = &reader->in;
    struct psa_tail_table *table = &reader->model->reference;
    struct psa_str name;
    bool start = false, scale = false;

    psa_json_enter_object(in);
    while (psa_json_next_member(in, &name)) {
        if (psa_str_eq(name, "quantiles")) {
            read_quantiles(reader);
        } else if (psa_str_eq(name, "tail_start")) {
            table->tail.start = psa_model_number(in);
            start = true;
        } else if (psa_str_eq(name, "tail_scale")) {
            table->tail.scale = psa_model_number(in);
            if (table->tail.scale < 0.0) psa_json_refuse(in, "tail_scale is below 0");
            scale = true;
        } else {
            psa_json_skip(in);
        }
    }
    if (in->fault.what == NULL && (!start || !scale || table->n == 0))
        psa_json_refuse(in, "its reference lacks quantiles, tail_start or tail_scale");
}

/* false for null. */
static bool read_time(struct psa_json *in, int64_t *ns)
{
    bool given = psa_json_peek(in) != 'n';

    if (given) *ns = psa_json_int(in);
    else psa_json_skip(in);
    return given;
}

static void read_trained(struct reader *reader)
{
    struct psa_json *in = &reader->in;
    struct psa_model *model = reader->model;
    struct psa_model_training *trained = &model->trained;
    bool from = false, to = false;
    struct psa_str name;

    psa_json_enter_object(in);
    while (psa_json_next_member(in, &name)) {
        if (psa_str_eq(name, "records")) trained->records = psa_model_count(in, 1, INT64_MAX);
        else if (psa_str_eq(name, "from_ns")) from = read_time(in, &trained->from_ns);
        else if (psa_str_eq(name, "to_ns")) to = read_time(in, &trained->to_ns);
        else if (psa_str_eq(name, "ranges"))
            read_pairs(reader, model->n_features, model->n_features, &trained->low, &trained->high);
        else psa_json_skip(in);
    }
    trained->has_time = from;
    if (in->fault.what != NULL) return;
    if (trained->low == NULL) psa_json_refuse(in, "it lacks trained.ranges");
    else if (trained->records == 0) psa_json_refuse(in, "it lacks trained.records");
    else if (from != to || (from && trained->from_ns > trained->to_ns))
        psa_json_refuse(in, "trained.from_ns and to_ns do not go together");
    for (size_t j = 0; trained->low != NULL && trained->high != NULL && j < model->n_features; j++) {
        if (in->fault.what == NULL && trained->low[j] > trained->high[j])
            psa_json_refuse(in, "a range of trained.ranges is upside down");
    }
}

static void read_contamination(struct reader *reader)
{
    struct psa_json *in = &reader->in;
    double share;

    reader->model->contamination = NAN;
    if (psa_json_peek(in) == 'n') {
        psa_json_skip(in);
        return;
    }
    share = reader->model->contamination = psa_model_number(in);
    if (in->fault.what == NULL && !(share >= 0.0 && share < 1.0))
        psa_json_refuse(in, "contamination is neither null nor from 0 to below 1");
}

static void read_version(struct reader *reader)
{
    int64_t version = psa_json_int(&reader->in);

    if (reader->in.fault.what != NULL || version == PSA_MODEL_VERSION) return;
    psa_fail(&reader->found, PSA_EXIT_PERMANENT, "it is of version %" PRId64 ", and this psa reads version %d: %s",
             version, PSA_MODEL_VERSION,
             version < PSA_MODEL_VERSION ? "train it again with this psa-train" : "update psa, or train it again");
    psa_json_refuse(&reader->in, "another version");
}

/* Its kind is none of these. */
static void say_kinds(struct reader *reader, struct psa_str found)
{
    struct psa_buf kinds = { 0 };

    for (size_t t = 0; psa_detector_types[t] != NULL; t++) {
        if (!(psa_detector_types[t]->traits & PSA_DETECTOR_TRAINS)) continue;
        psa_buf_puts(&kinds, kinds.n > 0 ? ", " : "");
        psa_buf_puts(&kinds, psa_detector_types[t]->name);
    }
    psa_fail(&reader->found, PSA_EXIT_PERMANENT, "its kind '%.*s' is none that this psa knows: %.*s",
             (int)(found.n < 64 ? found.n : 64), found.p, (int)kinds.n, kinds.n > 0 ? kinds.p : "");
    psa_buf_free(&kinds);
    psa_json_refuse(&reader->in, "an unknown kind");
}

static void read_kind(struct reader *reader)
{
    struct psa_str name = psa_json_text(&reader->in);

    if (reader->in.fault.what != NULL) return;
    reader->model->type = psa_detector_find(name);
    if (reader->model->type == NULL || !(reader->model->type->traits & PSA_DETECTOR_TRAINS)) say_kinds(reader, name);
}

static void read_id(struct reader *reader)
{
    struct psa_json *in = &reader->in;
    const char *at = psa_json_space(in->p, in->end); /* the reader may still stand at white space */

    reader->id_was = psa_json_text(in);
    if (in->fault.what != NULL) return;
    at = memchr(at, '"', (size_t)(in->p - at));
    if (reader->id_was.n >= PSA_MODEL_ID_MAX || at == NULL) {
        psa_json_refuse(in, "its id is no model's id");
        return;
    }
    reader->id = (struct psa_str){ at, (size_t)(in->p - at) };
}

static void read_threshold(struct reader *reader)
{
    reader->model->threshold = psa_model_number(&reader->in);
}

static void read_seed(struct reader *reader)
{
    reader->model->seed = psa_json_int(&reader->in);
}

static void refuse_parameter(struct reader *reader, struct psa_str name, const char *what)
{
    if (reader->in.fault.what != NULL) return;
    psa_fail(&reader->found, PSA_EXIT_PERMANENT, "parameters: '%.*s' %s", (int)(name.n < 64 ? name.n : 64), name.p,
             what);
    psa_json_refuse(&reader->in, "parameters");
}

static void read_parameters(struct reader *reader)
{
    struct psa_json *in = &reader->in;
    struct psa_model *model = reader->model;
    struct psa_str name, seen[PSA_MODEL_PARAMETERS_MAX];
    size_t n = 0;

    psa_json_enter_object(in);
    while (psa_json_next_member(in, &name)) {
        for (size_t i = 0; i < n; i++) {
            if (psa_str_is(seen[i], name)) refuse_parameter(reader, name, "appears twice");
        }
        if (n == PSA_MODEL_PARAMETERS_MAX) refuse_parameter(reader, name, "is one member too many");
        if (in->fault.what != NULL) return;
        seen[n++] = name;
        if (!model->type->read(model, name, in)) refuse_parameter(reader, name, "is not known for this kind of model");
    }
}

/* ---- the whole -------------------------------------------------------------------------------------------------- */

enum { VERSION = 1, KIND = 2, FEATURES = 4 };

static const struct {
    const char *name;
    void (*read)(struct reader *reader);
    unsigned needs;       /* members that come before it */
    bool optional, added; /* added: a draft does without it */
} members[] = {
    { "psa_model", read_version, 0, false, false }, /* these three are the bits above */
    { "kind", read_kind, VERSION, false, false },
    { "features", read_features, VERSION, false, false },
    { "id", read_id, VERSION, false, true },
    { "scaler", read_scaler, VERSION | FEATURES, false, false },
    { "contamination", read_contamination, VERSION, false, false },
    { "threshold", read_threshold, VERSION, false, false },
    { "trained", read_trained, VERSION | FEATURES, false, true },
    { "seed", read_seed, VERSION, true, false },
    { "reference", read_reference, VERSION, false, true },
    { "parameters", read_parameters, VERSION | FEATURES | KIND, false, false },
};
#define N_MEMBERS (sizeof members / sizeof *members)

static void refuse_order(struct reader *reader, unsigned missing, const char *name)
{
    psa_fail(&reader->found, PSA_EXIT_PERMANENT, "\"%s\" must come before \"%s\"",
             members[missing & VERSION ? 0
                     : missing & KIND  ? 1
                                       : 2]
                 .name,
             name);
    psa_json_refuse(&reader->in, "order");
}

static void read_member(struct reader *reader, struct psa_str name)
{
    struct psa_json *in = &reader->in;

    for (size_t i = 0; i < N_MEMBERS; i++) {
        if (!psa_str_eq(name, members[i].name)) continue;
        if (reader->seen & 1U << i) psa_json_refuse(in, "a member appears twice");
        else if ((members[i].needs & ~reader->seen) != 0)
            refuse_order(reader, members[i].needs & ~reader->seen, members[i].name);
        else members[i].read(reader);
        reader->seen |= 1U << i;
        return;
    }
    if (reader->seen & VERSION) psa_json_skip(in);
    else psa_json_refuse(in, "its first member is not \"psa_model\", a model's version");
}

/* FNV-1a 64 of a text, white space outside strings left out; *in_string is carried from piece to piece. */
static uint64_t hash_piece(uint64_t hash, const char *p, const char *end, bool *in_string)
{
    bool escaped = false;

    for (; p < end; p++) {
        if (!*in_string && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')) continue;
        if (!escaped && *p == '"') *in_string = !*in_string;
        escaped = !escaped && *in_string && *p == '\\';
        hash = psa_hash(hash, p, 1);
    }
    return hash;
}

/* An id of zeros. */
static void blank_id(const struct psa_detector_type *type, char out[PSA_MODEL_ID_MAX])
{
    size_t n = strlen(type->prefix);

    memcpy(out, type->prefix, n);
    out[n++] = '-';
    memset(out + n, '0', ID_DIGITS);
    out[n + ID_DIGITS] = '\0';
}

/* The id that belongs to a text whose id's value (quotes included) is `id`. */
static void make_id(const struct psa_detector_type *type, struct psa_str text, struct psa_str id,
                    char out[PSA_MODEL_ID_MAX])
{
    static const char no_id[] = "\"\"";
    uint64_t hash = PSA_HASH_START;
    bool in_string = false;

    hash = hash_piece(hash, text.p, id.p, &in_string);
    hash = hash_piece(hash, no_id, no_id + 2, &in_string);
    hash = hash_piece(hash, id.p + id.n, text.p + text.n, &in_string);
    blank_id(type, out);
    for (size_t i = strlen(out); hash != 0; hash >>= 4) out[--i] = "0123456789abcdef"[hash & 15];
}

/* For ranges and reference. */
static bool make_room(struct psa_model *model)
{
    model->trained.low = psa_arena_take(&model->arena, model->n_features * sizeof(double));
    model->trained.high = psa_arena_take(&model->arena, model->n_features * sizeof(double));
    model->reference.level = psa_arena_take(&model->arena, PSA_TAIL_LEVELS * sizeof(double));
    model->reference.score = psa_arena_take(&model->arena, PSA_TAIL_LEVELS * sizeof(double));
    return model->trained.low != NULL && model->trained.high != NULL && model->reference.level != NULL &&
           model->reference.score != NULL;
}

/* What no single member can tell. */
static int check_model(struct reader *reader, struct psa_str text, bool draft, struct psa_error *error)
{
    struct psa_model *model = reader->model;
    const char *wrong;

    for (size_t i = 0; i < N_MEMBERS; i++) {
        if (!(reader->seen & 1U << i) && !members[i].optional && !(draft && members[i].added))
            return psa_fail(error, PSA_EXIT_PERMANENT, "not a model: it has no \"%s\"", members[i].name);
    }
    if (model->type->traits & PSA_DETECTOR_REVERSED) model->threshold = -model->threshold;
    wrong = model->type->check(model);
    if (wrong != NULL) return psa_fail(error, PSA_EXIT_PERMANENT, "not a model: parameters: %s", wrong);
    if (draft) return make_room(model) ? 0 : psa_fail_memory(error, "reading the model");
    make_id(model->type, text, reader->id, model->id);
    if (!psa_str_eq(reader->id_was, model->id))
        return psa_fail(error, PSA_EXIT_PERMANENT, "model file was changed: its id is %.*s, its content gives %s",
                        (int)reader->id_was.n, reader->id_was.p, model->id);
    return 0;
}

static int read_model(struct psa_model *model, struct psa_str text, bool draft, struct psa_error *error)
{
    struct reader reader = { .model = model };
    struct psa_json *in = &reader.in;
    struct psa_str name;
    int status = -1;

    *model = (struct psa_model){ .n_features = 0 };
    if (text.n > PSA_MODEL_BYTES_MAX)
        return psa_fail(error, PSA_EXIT_PERMANENT, "not a model: longer than the limit of 256 MiB");
    psa_json_open(in, text, &model->arena);
    psa_json_enter_object(in);
    while (psa_json_next_member(in, &name)) read_member(&reader, name);
    if (psa_json_close(in)) status = check_model(&reader, text, draft, error);
    else if (reader.found.text[0] != '\0')
        psa_fail(error, PSA_EXIT_PERMANENT, "not a model to use: %s", reader.found.text);
    else
        psa_fail(error, PSA_EXIT_PERMANENT, "not a model: byte %zu: %s",
                 in->fault.at != NULL ? (size_t)(in->fault.at - text.p) + 1 : text.n,
                 in->fault.what != NULL ? in->fault.what : "something follows it");
    if (status != 0) psa_model_free(model);
    return status;
}

int psa_model_read(struct psa_model *model, struct psa_str text, struct psa_error *error)
{
    return read_model(model, text, false, error);
}

int psa_model_read_draft(struct psa_model *model, struct psa_str text, struct psa_error *error)
{
    return read_model(model, text, true, error);
}

int psa_model_init(struct psa_model *model, const struct psa_detector_type *type, const struct psa_str *feature,
                   size_t n)
{
    *model = (struct psa_model){ .type = type, .n_features = n, .contamination = NAN, .threshold = NAN };
    model->feature = psa_arena_take(&model->arena, n * sizeof *model->feature);
    if (model->feature == NULL || !make_room(model)) {
        psa_model_free(model);
        return -1;
    }
    for (size_t j = 0; j < n; j++) {
        model->feature[j] = psa_arena_copy(&model->arena, feature[j]);
        if (model->feature[j].p == NULL) {
            psa_model_free(model);
            return -1;
        }
    }
    return 0;
}

void psa_model_free(struct psa_model *model)
{
    if (model->parameters != NULL && model->type->drop != NULL) model->type->drop(model);
    psa_scaler_free(&model->scaler);
    psa_arena_free(&model->arena);
    *model = (struct psa_model){ .n_features = 0 };
}

/* ---- writing ---------------------------------------------------------------------------------------------------- */

static void write_pairs(const double *first, const double *second, size_t n, struct psa_buf *out)
{
    psa_buf_puts(out, "[");
    for (size_t i = 0; i < n; i++) {
        psa_buf_comma(out);
        psa_buf_numbers(out, (const double[]){ first[i], second[i] }, 2);
    }
    psa_buf_puts(out, "]");
}

static void write_scaler(const struct psa_scaler *scaler, struct psa_buf *out)
{
    psa_buf_name(out, "scaler");
    psa_buf_puts(out, "{");
    psa_buf_member_text(out, "kind", psa_str_of(psa_scaler_name(scaler->kind)));
    psa_buf_member_numbers(out, "mean", scaler->mean, scaler->n);
    if (scaler->kind != PSA_SCALER_NONE) {
        if (memcmp(scaler->mean, scaler->center, scaler->n * sizeof *scaler->mean) != 0)
            psa_buf_member_numbers(out, "center", scaler->center, scaler->n);
        psa_buf_member_numbers(out, "scale", scaler->scale, scaler->n);
    }
    psa_buf_puts(out, "}");
}

static void write_reference(const struct psa_tail_table *table, struct psa_buf *out)
{
    psa_buf_name(out, "reference");
    psa_buf_puts(out, "{\"quantiles\":");
    write_pairs(table->level, table->score, table->n, out);
    psa_buf_member_number(out, "tail_start", table->tail.start);
    psa_buf_member_number(out, "tail_scale", table->tail.scale);
    psa_buf_puts(out, "}");
}

static void write_trained(const struct psa_model *model, struct psa_buf *out)
{
    const struct psa_model_training *trained = &model->trained;

    psa_buf_name(out, "trained");
    psa_buf_puts(out, "{");
    psa_buf_member_int(out, "records", trained->records);
    if (trained->has_time) {
        psa_buf_member_int(out, "from_ns", trained->from_ns);
        psa_buf_member_int(out, "to_ns", trained->to_ns);
    } else {
        psa_buf_puts(out, ",\"from_ns\":null,\"to_ns\":null");
    }
    psa_buf_name(out, "ranges");
    write_pairs(trained->low, trained->high, model->n_features, out);
    psa_buf_puts(out, "}");
}

void psa_model_write(struct psa_model *model, struct psa_buf *out)
{
    const struct psa_detector_type *type = model->type;
    char blank[PSA_MODEL_ID_MAX];
    size_t begin = out->n, id_at, id_n;

    psa_buf_puts(out, "{");
    psa_buf_member_int(out, "psa_model", PSA_MODEL_VERSION);
    psa_buf_member_text(out, "kind", psa_str_of(type->name));
    blank_id(type, blank);
    psa_buf_name(out, "id");
    id_at = out->n;
    psa_buf_quote(out, psa_str_of(blank));
    id_n = out->n - id_at;
    psa_buf_name(out, "features");
    psa_buf_puts(out, "[");
    for (size_t j = 0; j < model->n_features; j++) {
        psa_buf_comma(out);
        psa_buf_quote(out, model->feature[j]);
    }
    psa_buf_puts(out, "]");
    write_scaler(&model->scaler, out);
    psa_buf_member_number(out, "contamination", model->contamination);
    psa_buf_member_number(out, "threshold",
                          type->traits & PSA_DETECTOR_REVERSED ? -model->threshold : model->threshold);
    write_trained(model, out);
    psa_buf_member_int(out, "seed", model->seed);
    write_reference(&model->reference, out);
    psa_buf_name(out, "parameters");
    psa_buf_puts(out, "{");
    type->write(model, out);
    psa_buf_puts(out, "}}\n");
    if (out->failed) return;
    make_id(type, (struct psa_str){ out->p + begin, out->n - begin }, (struct psa_str){ out->p + id_at, id_n },
            model->id);
    memcpy(out->p + id_at + 1, model->id, strlen(model->id));
}
